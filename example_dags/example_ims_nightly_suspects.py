"""Every night: read the watermarks of all new suspected copies, look them up in a registry, and report the copies.

Needs the connection `ims_default` (Admin > Connections > Alibaba Cloud IMS) and videos in a bucket of its region. Each
suspect is one job, billed per minute of video. The wait takes no worker slot.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

# The same names as in airflow.sdk, on Airflow 2.11 too.
from airflow.providers.common.compat.sdk import dag, task, task_group

from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator

REGISTRY = {
    "(c) Example Studio, licence 1001": "The Long Night",
    "(c) Example Studio, licence 1002": "Harbour Lights",
}
"""The film of each watermark. Replace it with a table of your database."""


@dag(
    schedule=None,  # each run is billed: set "@daily" when the list has your videos
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["ims", "copyright"],
    doc_md=__doc__,
)
def example_ims_nightly_suspects() -> None:
    """Submit a job for each suspect, wait for the texts, match them, and report."""

    @task
    def suspects() -> list[str]:
        """Return the new suspects. Replace it with the list of your crawler."""
        return [f"oss://rights-evidence/suspects/clip-{number}.mp4" for number in (1, 2, 3)]

    @task_group
    def check(media: str) -> Any:
        """Check one suspect. If it fails, the others go on."""
        extract = ImsSubmitCopyrightExtractJobOperator(
            task_id="extract",
            input_media=media,
            user_data={"run_id": "{{ run_id }}"},  # stored with the job: support can search for it
            deferrable=True,
            # The service does not report that there is no watermark: we take four hours of empty responses for it.
            no_watermark_after=timedelta(hours=4),
            timeout=timedelta(hours=12),
            map_index_template="{{ task.input_media }}",  # the UI shows the video, not a number
            retries=2,  # on Airflow 3.3 they resume the job; before, a retry after a crash would be a second bill
        )

        @task(multiple_outputs=False)
        def match(media: str, job_id: str, watermark: str) -> dict[str, str | None]:
            """Look up the text in the registry."""
            return {
                "media": media,
                "job_id": job_id,
                "watermark": watermark,
                "film": REGISTRY.get(watermark),
            }

        return match(media, extract.output, extract.output["watermark"])

    @task(trigger_rule="all_done")
    def report(findings: list[dict[str, str | None]]) -> list[dict[str, str | None]]:
        """Report the copies, also if some suspects could not be checked."""
        copies = [finding for finding in findings if finding["film"]]
        for copy in copies:
            print(f"{copy['media']} is a copy of {copy['film']!r} ({copy['watermark']})")  # noqa: T201 - the task's log
        return copies

    findings: Any = check.expand(media=suspects())  # stands for the list that the task gets
    report(findings)


example_ims_nightly_suspects()
