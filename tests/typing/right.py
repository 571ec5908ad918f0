"""Uses that mypy and pyright must accept, with all that strict checks."""

# pyright: strict, reportUnknownMemberType=true, reportUnknownVariableType=true

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, TriggerRule, XComArg

from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.sensors.copyright import ImsCopyrightExtractJobSensor
from airflow_provider_ims.sensors.job import ImsJobSensor

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
    ImsCopyrightExtractJobSensor.partial(task_id="each_text", no_watermark_after=60).expand(job_id=extract.output)


class Watched(ImsSubmitCopyrightExtractJobOperator):
    """A subclass with an argument of its own."""

    def __init__(self, *, watcher: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.watcher = watcher

    def subject(self) -> str:
        """Return a template field, which is a value when the task runs."""
        return self.ims_conn_id + (self.region or "")
