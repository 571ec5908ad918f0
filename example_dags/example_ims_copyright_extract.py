"""Submit one watermark extraction job for each suspected copy, and pass the JobIds to the next task.

Needs the connection `ims_default` (Admin > Connections > Alibaba Cloud IMS) and three videos in a bucket of its region.

Costs three CopyrightExtractJobs, billed per minute of video.
"""

from __future__ import annotations

# The same names as in airflow.sdk, on Airflow 2.11 too.
from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator

SUSPECTS = [
    "oss://rights-evidence/suspects/clip-1.mp4",
    "oss://rights-evidence/suspects/clip-2.mp4",
    "oss://rights-evidence/suspects/clip-3.mp4",
]


@dag(schedule=None, catchup=False, tags=["ims", "copyright"], doc_md=__doc__)
def example_ims_copyright_extract() -> None:
    """Submit one extraction job for each suspect."""
    submit = ImsSubmitCopyrightExtractJobOperator.partial(
        task_id="submit",
        user_data={"run_id": "{{ run_id }}"},  # stored with the job: support can search for it
        map_index_template="{{ task.input_media }}",  # the UI shows the video, not a number
        retries=2,  # on Airflow 3.3 they resume the job; before, a retry after a crash would be a second bill
    ).expand(input_media=SUSPECTS)

    @task(multiple_outputs=False)
    def pair_with_jobs(job_ids: list[str]) -> dict[str, str]:
        """Return the JobId of each suspect: mapped results have the order of the list that was expanded."""
        jobs = dict(zip(SUSPECTS, job_ids, strict=True))
        for suspect, job_id in jobs.items():
            print(f"{suspect} is examined by job {job_id}")  # noqa: T201 - goes to the task's log
        return jobs

    pair_with_jobs(submit.output)


example_ims_copyright_extract()
