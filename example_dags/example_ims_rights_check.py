"""Read the copyright watermark of one file, and branch on its text: ours, another owner's, or none.

Trigger it with the file as parameter `media`. One task submits the job, and a sensor waits for it: other tasks can use
the JobId meanwhile.

Needs the connection `ims_default` (Admin > Connections > Alibaba Cloud IMS) and a video in a bucket of its region.

Costs one CopyrightExtractJob, billed per minute of video.
"""

from __future__ import annotations

from datetime import timedelta

# The same names as in airflow.sdk, on Airflow 2.11 too.
from airflow.providers.common.compat.sdk import Param, chain, dag, task

from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.sensors.copyright import ImsCopyrightExtractJobSensor

OUR_MARK = "(c) Example Studio"


@dag(
    schedule=None,
    catchup=False,
    tags=["ims", "copyright"],
    doc_md=__doc__,
    params={"media": Param("oss://rights-evidence/suspects/clip-1.mp4", type="string", title="Video")},
)
def example_ims_rights_check() -> None:
    """Submit, wait without a worker slot, and branch on the text."""
    submit = ImsSubmitCopyrightExtractJobOperator(
        task_id="submit",
        input_media="{{ params.media }}",
        retries=2,  # on Airflow 3.3 they resume the job; before, a retry after a crash would be a second bill
    )
    watermark = ImsCopyrightExtractJobSensor(
        task_id="watermark",
        job_id=submit.output,
        deferrable=True,
        # The service does not report that there is no watermark: we take two hours of empty responses for it.
        no_watermark_after=timedelta(hours=2),
        timeout=timedelta(hours=6),
    )

    @task.branch
    def decide(text: str) -> str:
        """Return the task that runs next."""
        if not text:
            return "look_at_it"
        return "takedown_notice" if text.startswith(OUR_MARK) else "ask_the_owner"

    @task
    def takedown_notice(text: str) -> None:
        """Send the notice. Replace it with your notification operator."""
        print(f"Ours: {text}")  # noqa: T201 - goes to the task's log

    @task
    def ask_the_owner(text: str) -> None:
        """Inform the owner that the watermark names. Replace it with an e-mail."""
        print(f"Another owner: {text}")  # noqa: T201

    @task
    def look_at_it() -> None:
        """Let a person check the video. Replace it with a ticket."""
        print("No watermark was found.")  # noqa: T201

    text = watermark.output
    chain(decide(text), [takedown_notice(text), ask_the_owner(text), look_at_it()])


example_ims_rights_check()
