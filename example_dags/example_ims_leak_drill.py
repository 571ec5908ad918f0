"""Test that a watermark survives: embed it, convert the video as a pirate would, extract it, and compare the texts.

The run fails if the text of the copy is not the text that was embedded. Run it for each template and codec whose copies
you want to recognize.

Needs the connection `ims_default` (Admin > Connections > Alibaba Cloud IMS), a video and a bucket for the copies in its
region, and a transcoding template.

Costs one CopyrightJob, one MediaConvertJob and one CopyrightExtractJob, all billed per minute of video.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# The same names as in airflow.sdk, on Airflow 2.11 too.
from airflow.providers.common.compat.sdk import AirflowFailException, chain, dag, task

from airflow_provider_ims.operators.copyright import (
    ImsSubmitCopyrightExtractJobOperator,
    ImsSubmitCopyrightJobOperator,
)
from airflow_provider_ims.operators.processing import ImsSubmitMediaConvertJobOperator

MASTER = "oss://studio-masters/trailer.mp4"
MARKED = "oss://rights-drills/marked.mp4"
COPY = "oss://rights-drills/copy.mp4"
MARK = "(c) Example Studio, leak drill"
TEMPLATE = "your-transcoding-template"
"""Id of a transcoding template with the quality of a bad copy. Replace it with yours."""


@dag(
    schedule=None,  # each run is billed
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # runs write the same files
    tags=["ims", "copyright"],
    doc_md=__doc__,
)
def example_ims_leak_drill() -> None:
    """Embed, convert, extract, compare."""
    embed = ImsSubmitCopyrightJobOperator(
        task_id="embed",
        input_media=MASTER,
        output_media=MARKED,
        message=MARK,
        deferrable=True,
        timeout=timedelta(hours=6),
    )
    convert = ImsSubmitMediaConvertJobOperator(
        task_id="convert",
        config={
            "Inputs": [{"InputFile": {"Type": "OSS", "Media": MARKED}}],
            "Outputs": [{"TemplateId": TEMPLATE, "OutputFile": {"Type": "OSS", "Media": COPY}}],
        },
        deferrable=True,
        timeout=timedelta(hours=6),
    )
    extract = ImsSubmitCopyrightExtractJobOperator(
        task_id="extract",
        input_media=COPY,
        deferrable=True,
        # The service does not report that there is no watermark: we take two hours of empty responses for it.
        no_watermark_after=timedelta(hours=2),
        timeout=timedelta(hours=6),
    )

    @task
    def compare(extracted: str) -> str:
        """Fail if the copy has another text or none."""
        if extracted != MARK:
            raise AirflowFailException(f"Embedded {MARK!r}, and {TEMPLATE} leaves {extracted!r}")
        return extracted

    chain(embed, convert, extract)
    compare(extract.output["watermark"])


example_ims_leak_drill()
