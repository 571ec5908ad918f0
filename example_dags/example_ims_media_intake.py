"""Take a partner's video into the media library: download, tags, cover, duration, and its subtitles.

The jobs after the download run side by side. The task `cover` only submits, so its JobId can be used at once, and the
sensor `cover_is_ready` waits for the end of the job. The subtitles are in the bucket already: a registration makes them
an asset that jobs can use.

Needs the connection `ims_default` (Admin > Connections > Alibaba Cloud IMS), a bucket in its region that is a storage
location of IMS, and a template for tags.

Costs one SmarttagJob, billed per minute of video, one IProductionJob and one download.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# The same names as in airflow.sdk, on Airflow 2.11 too.
from airflow.providers.common.compat.sdk import chain, dag, task

from airflow_provider_ims.operators.call import ImsCallOperator
from airflow_provider_ims.operators.job import ImsSubmitJobOperator
from airflow_provider_ims.operators.tagging import ImsSubmitSmarttagJobOperator
from airflow_provider_ims.operators.upload import ImsRegisterMediaInfoOperator, ImsUploadMediaByUrlOperator
from airflow_provider_ims.sensors.job import ImsJobSensor

TEMPLATE = "your-tag-template"
"""Id of a template for tags. Replace it with yours."""

VIDEO = "https://partner.example.com/harbour-lights.mp4"
BUCKET = "studio-library.oss-cn-shanghai.aliyuncs.com"
MEDIA_ID = "{{ ti.xcom_pull(task_ids='upload', key='media_ids')[0] }}"
"""The media asset that the download has made."""


@dag(
    schedule=None,  # each run is billed
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["ims", "media library"],
    doc_md=__doc__,
)
def example_ims_media_intake() -> None:
    """Download the video, then tag it, make its cover, read its duration, and register its subtitles."""
    upload = ImsUploadMediaByUrlOperator(
        task_id="upload",
        upload_urls=[VIDEO],
        upload_target_config={"StorageType": "oss", "StorageLocation": BUCKET},
        deferrable=True,
        timeout=timedelta(hours=6),
    )
    subtitles = ImsRegisterMediaInfoOperator(
        task_id="subtitles",
        input_url="oss://studio-library/subtitles/harbour-lights.srt",
        media_type="text",
        business_type="subtitles",
        title="Harbour Lights, subtitles",
        overwrite=True,  # a second run of this DAG registers them anew
        retries=2,  # all attempts send the same ClientToken
    )
    tags = ImsSubmitSmarttagJobOperator(
        task_id="tags",
        input_media=MEDIA_ID,
        template_id=TEMPLATE,
        title="Harbour Lights",
        deferrable=True,
        timeout=timedelta(hours=12),
        retries=2,  # on Airflow 3.3 they resume the job; before, a retry after a crash would be a second bill
    )
    cover = ImsSubmitJobOperator(
        task_id="cover",
        job_type="IProductionJob",
        job_params={
            "FunctionName": "Cover",
            "Input": {"Type": "Media", "Media": MEDIA_ID},
            "Output": {"Type": "OSS", "Media": f"https://{BUCKET}/covers/{{index}}.jpg"},
        },
    )
    cover_is_ready = ImsJobSensor(
        task_id="cover_is_ready",
        job_type="IProductionJob",
        job_id=cover.output,
        deferrable=True,
        timeout=timedelta(hours=1),
    )
    duration = ImsCallOperator(
        task_id="duration",
        action="GetMediaInfo",
        action_params={"MediaId": MEDIA_ID},
        result_path="MediaInfo.FileInfoList[0].FileBasicInfo.Duration",
    )

    @task
    def announce(job_id: str, seconds: str) -> None:
        """Tell the newsroom. Replace it with your notification operator."""
        print(f"Harbour Lights has {seconds} s; job {job_id} makes its cover")  # noqa: T201 - goes to the task's log

    chain(upload, [tags, cover, duration, subtitles])
    chain(announce(cover.output, duration.output), cover_is_ready)


example_ims_media_intake()
