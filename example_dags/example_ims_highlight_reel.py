"""Produce a short reel of a long video, take a picture of it, and notify a web service.

The timeline takes ten seconds at one, two and three quarters of the video, whatever its duration. Replace `timeline`
with your own choice of scenes.

Needs the connections `ims_default` (Admin > Connections > Alibaba Cloud IMS) and `newsroom` (type HTTP), a bucket in
the region of the service, and a snapshot template.

Costs one MediaInfoJob, one MediaProducingJob and one SnapshotJob.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

# The same names as in airflow.sdk, on Airflow 2.11 too.
from airflow.providers.common.compat.sdk import chain, dag, task
from airflow.providers.http.operators.http import HttpOperator

from airflow_provider_ims.operators.processing import ImsSubmitMediaInfoJobOperator, ImsSubmitSnapshotJobOperator
from airflow_provider_ims.operators.producing import ImsSubmitMediaProducingJobOperator

BUCKET = "https://sports-archive.oss-cn-shanghai.aliyuncs.com"
MATCH = f"{BUCKET}/matches/final.mp4"
TEMPLATE = "your-snapshot-template"
"""Id of a snapshot template. Replace it with yours."""


@dag(
    schedule=None,  # each run is billed
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["ims", "editing"],
    doc_md=__doc__,
)
def example_ims_highlight_reel() -> None:
    """Read the duration, produce the reel, take its picture, and notify."""
    info = ImsSubmitMediaInfoJobOperator(
        task_id="info",
        input_media=MATCH,
        deferrable=True,
        timeout=timedelta(hours=1),
    )

    @task(multiple_outputs=False)
    def timeline(media_info: dict[str, Any]) -> dict[str, Any]:
        """Return the scenes of the reel."""
        duration = float(media_info["FileBasicInfo"]["Duration"])
        starts = [duration * quarter / 4 for quarter in (1, 2, 3)]
        clips = [{"MediaURL": MATCH, "In": start, "Out": start + 10} for start in starts]
        return {"VideoTracks": [{"VideoTrackClips": clips}]}

    scenes: Any = timeline(info.output["media_info"])  # stands for the dict that the operator gets
    produce = ImsSubmitMediaProducingJobOperator(
        task_id="produce",
        timeline=scenes,
        output_media_config={"MediaURL": f"{BUCKET}/reels/final.mp4"},
        deferrable=True,
        timeout=timedelta(hours=6),
    )
    snapshot = ImsSubmitSnapshotJobOperator(
        task_id="snapshot",
        input_media="{{ ti.xcom_pull(task_ids='produce', key='media')['MediaId'] }}",
        output_media=f"{BUCKET}/reels/final-{{Count}}.jpg",
        template_config={"TemplateId": TEMPLATE, "OverwriteParams": {"Count": 1}},
        deferrable=True,
        timeout=timedelta(hours=1),
    )
    notify = HttpOperator(
        task_id="notify",
        http_conn_id="newsroom",
        endpoint="reels",
        headers={"Content-Type": "application/json"},
        data="""{{ {
            "reel": ti.xcom_pull(task_ids="produce", key="media")["MediaURL"],
            "pictures": ti.xcom_pull(task_ids="snapshot", key="snapshots")["Count"],
        } | tojson }}""",
        retries=3,
    )
    chain(produce, snapshot, notify)


example_ims_highlight_reel()
