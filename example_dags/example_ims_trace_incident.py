"""Trace a leaked stream to one viewer: a playlist with a mark for each viewer, and the mark of the leak.

The job for the A and B streams marks the video twice. Each playlist mixes the two in its own order, so that a recording
of it has the mark of this viewer. The extraction reads the mark of the leak, a sensor waits for it, and a table says
whose it is.

In production, these are two DAGs: the first half runs when a video is published, the second when a leak is found.
Trigger it with the leak as parameter `leak`.

Needs the connection `ims_default` (Admin > Connections > Alibaba Cloud IMS) and a bucket in its region, which the
players of the viewers can read. The video and the leak must have three minutes or more.

Costs one TraceAbJob and one TraceExtractJob, billed per minute of video, and one TraceM3u8Job for each viewer.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# The same names as in airflow.sdk, on Airflow 2.11 too.
from airflow.providers.common.compat.sdk import Param, chain, dag, task

from airflow_provider_ims.operators.trace import (
    ImsSubmitTraceAbJobOperator,
    ImsSubmitTraceExtractJobOperator,
    ImsSubmitTraceM3u8JobOperator,
)
from airflow_provider_ims.sensors.trace import ImsTraceExtractJobSensor

STREAM = "oss://studio-streams/final.mp4"
STREAMS = "oss://studio-streams/final/"

VIEWERS = {
    "viewer-1001": "North Cinema, screen 3",
    "viewer-1002": "South Festival, jury room",
    "viewer-1003": "West Broadcast, preview desk",
}
"""The viewer of each mark. Replace it with a table of your database."""


@dag(
    schedule=None,  # each run is billed
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["ims", "trace"],
    doc_md=__doc__,
    params={"leak": Param("oss://rights-evidence/leaks/stream-1.mp4", type="string", title="Recording of the leak")},
)
def example_ims_trace_incident() -> None:
    """Make the streams and a playlist for each viewer, read the mark of the leak, and name the viewer."""
    streams = ImsSubmitTraceAbJobOperator(
        task_id="streams",
        input_media=STREAM,
        output_media=STREAMS,
        deferrable=True,
        timeout=timedelta(hours=12),
        retries=2,  # on Airflow 3.3 they resume the job; before, a retry after a crash would be a second bill
    )
    playlist = ImsSubmitTraceM3u8JobOperator.partial(
        task_id="playlist",
        trace_media_id=streams.output["trace_media_id"],
        deferrable=True,
        timeout=timedelta(hours=1),
        map_index_template="{{ task.trace }}",  # the UI shows the mark, not a number
        retries=2,
    ).expand_kwargs([{"trace": mark, "output_media": f"{STREAMS}{mark}.m3u8"} for mark in VIEWERS])
    extract = ImsSubmitTraceExtractJobOperator(
        task_id="extract",
        input_media="{{ params.leak }}",
        retries=2,
    )
    trace = ImsTraceExtractJobSensor(
        task_id="trace",
        job_id=extract.output,
        deferrable=True,
        # The service does not report that there is no watermark: we take four hours of empty responses for it.
        no_watermark_after=timedelta(hours=4),
        timeout=timedelta(hours=12),
        retries=2,  # these wait again for the same job
    )

    @task
    def name_the_viewer(trace: str) -> str:
        """Return whose playlist was recorded. Replace it with a message to your legal team."""
        viewer = VIEWERS.get(trace, "nobody that we know")
        print(f"The leak has the mark {trace!r} of {viewer}")  # noqa: T201 - goes to the task's log
        return viewer

    chain(playlist, extract)
    name_the_viewer(trace.output["trace"])


example_ims_trace_incident()
