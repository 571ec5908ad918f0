"""Metrics of a whole Airflow: a worker, a sensor and a triggerer send them, each from a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.sandbox import AirflowSandbox
from tests.runs import Run, media_of, needs_airflow_3, whole_airflow
from tests.statsd import StatsdReceiver

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess

pytestmark = [needs_airflow_3, pytest.mark.timeout(600)]

DAG_ID = "measured"
DAG = f"""
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.sensors.job import ImsJobSensor

with DAG({DAG_ID!r}, schedule=None):
    extract = ImsSubmitCopyrightExtractJobOperator(
        task_id="extract", input_media={media_of(DAG_ID)!r}, deferrable=True, poll_interval=0.5
    )
    ImsJobSensor(task_id="wait", job_id=extract.output, poke_interval=0.5)
"""


def test_each_process_sends_its_metrics(ims_emulator: EmulatorProcess) -> None:
    """Workers send what they submit and poll, the triggerer its polls, how many it waits for, and when that ends."""
    ims_emulator.put_media(media_of(DAG_ID), watermark="(c) Measured", processing_time=10)
    connection = {"AIRFLOW_CONN_IMS_DEFAULT": ims_emulator.connection_json()}
    with StatsdReceiver() as receiver, AirflowSandbox({**connection, **receiver.env}) as sandbox:
        sandbox.add_dag(DAG, "measured.py")
        with whole_airflow(sandbox) as airflow:
            run = Run(airflow, ims_emulator, DAG_ID, airflow.trigger(DAG_ID))
            assert run.wait_for_end() == "success"
            (job,) = run.jobs()
            assert receiver.total("ims.submissions") == len(run.billed()) == 1
            # The worker polls once before it defers, and the sensor once; all others are the triggerer's.
            assert receiver.total("ims.polls") == job["queries"] >= 3
            assert [sample.tags["outcome"] for sample in receiver.samples("ims.time_to_result")] == ["succeeded"] * 2
            assert receiver.samples("ims.time_to_result")[0].value >= 9000
            numbers = [
                sample.value for sample in receiver.samples("ims.waiting") if sample.tags["component"] == "triggerer"
            ]
            assert (numbers[0], numbers[-1]) == (1, 0)
