"""Uses that mypy and pyright must accept, with all that strict checks."""

# pyright: strict, reportUnknownMemberType=true, reportUnknownVariableType=true

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, TriggerRule, XComArg

from airflow_provider_ims.operators.call import ImsCallOperator
from airflow_provider_ims.operators.copyright import (
    ImsSubmitCopyrightExtractJobOperator,
    ImsSubmitCopyrightJobOperator,
)
from airflow_provider_ims.operators.dna import ImsSubmitDnaJobOperator
from airflow_provider_ims.operators.job import ImsSubmitJobOperator
from airflow_provider_ims.operators.processing import ImsSubmitMediaConvertJobOperator
from airflow_provider_ims.operators.upload import ImsRegisterMediaInfoOperator, ImsUploadMediaByUrlOperator
from airflow_provider_ims.sensors.copyright import ImsCopyrightExtractJobSensor
from airflow_provider_ims.sensors.job import ImsJobSensor
from airflow_provider_ims.sensors.trace import ImsTraceExtractJobSensor

MEDIA = "oss://rights-evidence/clip.mp4"


def alert(context: Any) -> None:
    """Stand for a callback."""


def accepts_text(text: str) -> None:
    """Stand for a task function, which is typed with the value."""


with DAG("right", schedule=None) as dag:
    crawl = BaseOperator(task_id="crawl")
    submit = ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=MEDIA)
    ImsSubmitCopyrightExtractJobOperator(
        task_id="all",
        input_media={"Type": "OSS", "Media": MEDIA},
        algo_type="v1",
        user_data={"run_id": "{{ run_id }}"},
        job_params={"key": 1},
        wait_for_completion=True,
        deferrable=True,
        poll_interval=30,
        max_poll_interval=timedelta(minutes=5),
        timeout=timedelta(hours=12),
        no_watermark_after=timedelta(hours=4),
        durable=False,
        on_unknown_submit="resubmit",
        region="cn-beijing",
        ims_conn_id="ims_other",
        retries=2,
        retry_delay=timedelta(minutes=1),
        execution_timeout=timedelta(hours=13),
        on_failure_callback=[alert],
        on_success_callback=alert,
        trigger_rule=TriggerRule.ALL_DONE,
        params={"media": MEDIA},
        default_args={"owner": "rights"},
        doc_md="Checks one video.",
        dag=dag,
    )
    ImsSubmitCopyrightExtractJobOperator(
        task_id="outputs",
        input_media=crawl.output,
        algo_type=XComArg(crawl, key="algo_type"),
        user_data=crawl.output,
        job_params=crawl.output,
        region=crawl.output,
        ims_conn_id=crawl.output,
    )
    ImsJobSensor(task_id="sensor", job_id=submit.output)
    ImsJobSensor(task_id="of_xcom", job_id=XComArg(submit, key="job_id"), job_type="CopyrightExtractJob")
    text = ImsCopyrightExtractJobSensor(
        task_id="text",
        job_id=submit.output["job_id"],
        no_watermark_after=3600,
        mode="reschedule",
        poke_interval=timedelta(seconds=30),
        exponential_backoff=False,
        max_wait=None,
        timeout=86400,
        soft_fail=True,
        silent_fail=False,
        retries=1,
    )
    accepts_text(text.output)
    extract = ImsSubmitCopyrightExtractJobOperator.partial(
        task_id="extract",
        deferrable=True,
        no_watermark_after=timedelta(hours=4),
        retries=2,
    ).expand(input_media=[MEDIA, MEDIA])
    accepts_text(extract.output["watermark"])
    ImsSubmitCopyrightExtractJobOperator.partial(task_id="dicts").expand_kwargs([{"input_media": MEDIA}])
    ImsJobSensor.partial(task_id="each", deferrable=True).expand(job_id=extract.output)
    ImsSubmitCopyrightJobOperator(
        task_id="mark", input_media=crawl.output, output_media=MEDIA, message="{{ ds }}", level="{{ params.level }}"
    )
    ImsSubmitMediaConvertJobOperator(task_id="text_of_json", config="{{ params.config | tojson }}", deferrable=True)
    ImsSubmitMediaConvertJobOperator.partial(task_id="convert_all", timeout=60).expand(config=crawl.output)
    ImsSubmitDnaJobOperator(
        task_id="dna", input_media=MEDIA, dna_db_id="d", primary_key=crawl.output, config={"a": 1}, cancel_on_kill=True
    )
    ImsUploadMediaByUrlOperator(task_id="upload", upload_urls=[MEDIA], media_metadata=[{"Title": "a"}], retries=1)
    asset = ImsRegisterMediaInfoOperator(task_id="register", input_url=MEDIA, overwrite=True, cate_id="{{ params.c }}")
    accepts_text(asset.output)
    ImsRegisterMediaInfoOperator.partial(task_id="registers", overwrite=True).expand(input_url=crawl.output)
    ImsSubmitJobOperator(task_id="any", job_type="SnapshotJob", job_params={"Input": {}}, durable=False)
    ImsSubmitJobOperator.partial(task_id="each_any", job_type="SnapshotJob").expand(job_params=[{"Input": {}}])
    called = ImsCallOperator(task_id="call", action="GetMediaInfo", action_params=crawl.output, result_path="MediaInfo")
    accepts_text(called.output)
    ImsCallOperator.partial(task_id="calls", action="GetMediaInfo").expand(action_params=[{"MediaId": "a"}])
    ImsCopyrightExtractJobSensor.partial(task_id="each_text", no_watermark_after=60).expand(job_id=extract.output)
    accepts_text(ImsTraceExtractJobSensor(task_id="viewer", job_id="J", no_watermark_after=60).output)
    ImsTraceExtractJobSensor.partial(task_id="viewers", no_watermark_after=60).expand(job_id=crawl.output)


class Watched(ImsSubmitCopyrightExtractJobOperator):
    """A subclass with an argument of its own."""

    def __init__(self, *, watcher: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.watcher = watcher

    def subject(self) -> str:
        """Return a template field, which is a value when the task runs."""
        return self.ims_conn_id + (self.region or "")
