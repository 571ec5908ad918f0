"""The metrics of DAG runs in a real Airflow, as a StatsD server receives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.runs import needs_a_store
from tests.statsd import StatsdReceiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.sandbox import AirflowSandbox

MEDIA = "oss://b-1/a.mp4"
SUBMIT = "SubmitCopyrightExtractJob"
QUERY = "QueryCopyrightExtractJob"
DAG = """
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator

with DAG("measured", schedule=None):
    ImsSubmitCopyrightExtractJobOperator(
        task_id="extract", input_media={media!r}, poll_interval=0.2, retry_delay=0.01, **{arguments!r}
    )
"""


def measured(**arguments: object) -> str:
    return DAG.format(media=MEDIA, arguments=arguments)


@pytest.fixture
def statsd() -> Iterator[StatsdReceiver]:
    with StatsdReceiver() as receiver:
        yield receiver


def test_run_of_a_deferred_task_is_measured(
    airflow: AirflowSandbox, ims_emulator: EmulatorProcess, statsd: StatsdReceiver
) -> None:
    """A run counts its submission, its polls, the failed and throttled ones, and how long its job took."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=1)
    ims_emulator.fault(QUERY, "throttle", nth=2, retry_after=100)
    ims_emulator.fault(QUERY, "service_unavailable", nth=3)
    dag = airflow.add_dag(measured(deferrable=True), "measured.py")
    run = airflow.run_dag(dag, env=statsd.env)
    assert run.state == "success", run.output
    polls = sum(request["action"] == QUERY for request in ims_emulator.requests())
    assert statsd.total("ims.submissions") == 1
    assert statsd.total("ims.polls") == polls >= 4
    assert statsd.total("ims.failed_polls") == 2
    assert statsd.total("ims.throttled", action=QUERY) == 1
    assert len(statsd.samples("ims.queueing_time")) == polls + 1
    assert [one.tags["outcome"] for one in statsd.samples("ims.time_to_result")] == ["succeeded"]
    assert [one.value for one in statsd.samples("ims.waiting")][-1] == 0
    # Without tags there is nothing but the names, and the host in one of them.
    text = "\n".join(statsd.lines())
    (job,) = ims_emulator.jobs()
    assert job["job_id"] not in text
    assert "b-1" not in text


def test_run_with_an_unknown_submission_is_measured(
    airflow: AirflowSandbox, ims_emulator: EmulatorProcess, statsd: StatsdReceiver
) -> None:
    """A run whose response is lost counts an unknown submission, and none that was accepted."""
    ims_emulator.fault(SUBMIT, "cut_after")
    run = airflow.run_dag(airflow.add_dag(measured(), "measured.py"), env=statsd.env)
    assert run.state == "failed"
    assert statsd.total("ims.unknown", found_by="sender") == 1
    assert statsd.samples("ims.submissions") == []


@needs_a_store
def test_run_with_a_retry_is_measured(
    airflow: AirflowSandbox, ims_emulator: EmulatorProcess, statsd: StatsdReceiver
) -> None:
    """A retry that resumes the job of the first attempt counts as resumed, and submits nothing."""
    ims_emulator.put_media(MEDIA, processing_time=0)
    ims_emulator.fault(QUERY, "answer", times=5, body='{"RequestId": "R", "Data": []}')
    dag = airflow.add_dag(measured(wait_for_completion=True, timeout=20, retries=1), "measured.py")
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    run = airflow.run_dag(dag, env=statsd.env)
    assert run.state == "success", run.output
    assert statsd.total("ims.resumed") == 1
    assert statsd.total("ims.submissions") == len(ims_emulator.bill()["lines"]) == 1
    assert [one.tags["outcome"] for one in statsd.samples("ims.time_to_result")] == ["failed", "succeeded"]


def test_run_without_metrics_sends_nothing(
    airflow: AirflowSandbox, ims_emulator: EmulatorProcess, statsd: StatsdReceiver
) -> None:
    """If metrics are off, which is Airflow's default, nothing is sent."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    run = airflow.run_dag(
        airflow.add_dag(measured(deferrable=True), "measured.py"),
        env={**statsd.env, "AIRFLOW__METRICS__STATSD_ON": "False"},
    )
    assert run.state == "success", run.output
    assert statsd.lines() == []
    assert "metric could not be sent" not in run.output
