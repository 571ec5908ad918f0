"""Every night: read the watermarks of all new suspected copies whose fingerprint is known, and report the copies.

A fingerprint job compares each suspect with a fingerprint library of your films. Only a suspect with a match goes on to
the extraction, which costs more. If a fingerprint job fails, its suspect is not extracted either.

Needs the connection `ims_default` (Admin > Connections > Alibaba Cloud IMS), videos in a bucket of its region, and a
fingerprint library (CreateDNADB) with your films. The wait takes no worker slot.

Costs one DNAJob for each suspect and one CopyrightExtractJob for each match, both billed per minute of video.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import urlopen

# The same names as in airflow.sdk, on Airflow 2.11 too.
from airflow.providers.common.compat.sdk import AirflowSkipException, chain, dag, task, task_group

from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.operators.dna import ImsSubmitDnaJobOperator

LIBRARY = "your-fingerprint-library"
"""Id of the fingerprint library. Replace it with yours."""

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
    """Compare the fingerprint of each suspect, read the watermark of those with a match, and report."""

    @task
    def suspects() -> list[str]:
        """Return the new suspects. Replace it with the list of your crawler."""
        return [f"oss://rights-evidence/suspects/clip-{number}.mp4" for number in (1, 2, 3)]

    @task_group
    def check(media: str) -> Any:
        """Check one suspect. If it fails, the others go on."""
        fingerprint = ImsSubmitDnaJobOperator(
            task_id="fingerprint",
            input_media=media,
            dna_db_id=LIBRARY,
            primary_key=media,
            config={"SaveType": "nosave", "MediaType": "video"},  # search only: do not add the suspect
            deferrable=True,
            timeout=timedelta(hours=2),
            cancel_on_kill=True,
            map_index_template="{{ task.input_media }}",  # the UI shows the video, not a number
            retries=2,  # on Airflow 3.3 they resume the job; before, a retry after a crash would be a second bill
        )

        @task
        def matches(dna_result: str) -> list[Any]:
            """Read the matches from the file that the job has written, or skip the rest if there are none.

            The vendor does not document this file: JSON with a list is assumed. Adapt it to the first one that you see.
            """
            with urlopen(dna_result, timeout=60) as response:  # noqa: S310 - the URL comes from the service
                found: list[Any] = json.load(response)
            if not found:
                raise AirflowSkipException("The fingerprint library has no match: there is nothing to extract")
            return found

        known = matches(fingerprint.output["dna_result"])
        extract = ImsSubmitCopyrightExtractJobOperator(
            task_id="extract",
            input_media=media,
            user_data={"run_id": "{{ run_id }}"},  # stored with the job: support can search for it
            deferrable=True,
            # The service does not report that there is no watermark: we take four hours of empty responses for it.
            no_watermark_after=timedelta(hours=4),
            timeout=timedelta(hours=12),
            map_index_template="{{ task.input_media }}",
            retries=2,
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

        chain(known, extract)
        return match(media, extract.output, extract.output["watermark"])

    @task(trigger_rule="all_done")
    def report(findings: Any) -> list[dict[str, str | None]]:
        """Report the copies, also if some suspects could not be checked."""
        # Of a mapped group, Airflow 3 passes None if there is no result, and a single result without a list. Airflow
        # 3.0 passes an object for each result that is missing.
        found = [findings] if isinstance(findings, dict) else findings or []
        copies = [finding for finding in found if isinstance(finding, dict) and finding["film"]]
        for copy in copies:
            print(f"{copy['media']} is a copy of {copy['film']!r} ({copy['watermark']})")  # noqa: T201 - the task's log
        return copies

    findings = check.expand(media=suspects())
    report(findings)


example_ims_nightly_suspects()
