"""Waits in a whole Airflow: scheduler, triggerer, API server and workers are separate processes.

The runs of all DAGs start together and wait at the same time; each test checks one of them. The last test kills the
triggerer.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dev.sandbox import AirflowSandbox
from tests.runs import AIRFLOW, TASK, TIMEOUT, Run, media_of, needs_airflow_3, whole_airflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ims.emulator.process import EmulatorProcess

pytestmark = [
    needs_airflow_3,
    pytest.mark.timeout(900),  # the first test also waits for the start of Airflow
]
triggers_have_on_kill = pytest.mark.skipif(
    AIRFLOW < (3, 3), reason="before Airflow 3.3 a trigger does not learn that its task was cleared or marked"
)

EXECUTION_TIMEOUT = timedelta(seconds=30)

DAGS = f"""
import datetime
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.sensors.job import ImsJobSensor

def extract(dag_id, task_id={TASK!r}, **arguments):
    with DAG(dag_id, schedule=None):
        return ImsSubmitCopyrightExtractJobOperator(
            task_id=task_id, input_media=f"oss://waiting/{{dag_id}}.mp4", retries=2, retry_delay=0.1, **arguments
        )

for dag_id in ("deferred", "marked", "cleared", "outlived"):
    globals()[dag_id] = extract(dag_id, deferrable=True, poll_interval=0.5)
timed = extract("timed", deferrable=True, poll_interval=0.5, execution_timeout={EXECUTION_TIMEOUT!r})
synchronous = extract("synchronous", wait_for_completion=True, poll_interval=0.5)
submitted = extract("sensed", task_id="submit")
with submitted.dag:
    ImsJobSensor(task_id="wait", job_id=submitted.output, deferrable=True, poke_interval=0.5)
"""
"""Each DAG extracts the watermark of the video with its name."""

VIDEOS: dict[str, dict[str, Any]] = {
    # Long enough that the task is deferred before its job ends.
    "deferred": {"watermark": "(c) Deferred", "processing_time": 4},
    "sensed": {"watermark": "(c) Sensed", "processing_time": 8},
    # Ends when its test advances the clock.
    "outlived": {"watermark": "(c) Outlived", "processing_time": 3600},
    # Unmarked: all responses are empty.
    "marked": {},
    "cleared": {},
    "timed": {},
    "synchronous": {},
}


@pytest.fixture(scope="module")
def runs(ims_emulator_process: EmulatorProcess) -> Iterator[dict[str, Run]]:
    """Start Airflow and a run of each DAG, all at once. No test of this module may reset the emulator."""
    emulator = ims_emulator_process
    emulator.reset()
    for dag_id, options in VIDEOS.items():
        emulator.put_media(media_of(dag_id), **options)
    # Its own home directory, because its triggerer would also run the triggers of other tests.
    with AirflowSandbox({"AIRFLOW_CONN_IMS_DEFAULT": emulator.connection_json()}) as sandbox:
        sandbox.add_dag(DAGS, "waiting.py")
        with whole_airflow(sandbox) as airflow:
            yield {dag_id: Run(airflow, emulator, dag_id, airflow.trigger(dag_id)) for dag_id in VIDEOS}


@triggers_have_on_kill
def test_marking_a_deferred_task_failed_logs_the_job_that_goes_on(runs: dict[str, Run]) -> None:
    """If a deferred task is marked as failed, its log says that the job goes on and is billed."""
    run = runs["marked"]
    job = run.wait_until_polled("deferred")
    run.mark_failed()
    warning = wait_for_warning(run, job["job_id"])
    assert warning["level"] == "warning"
    assert warning["logger"].endswith("ImsJobTrigger")
    assert run.wait_for_end() == "failed"
    assert run.billed() == [job["job_id"]]


def test_marking_a_waiting_task_failed_logs_the_job_that_goes_on(runs: dict[str, Run]) -> None:
    """If a task that waits on its worker is marked as failed, its log says that the job goes on and is billed."""
    run = runs["synchronous"]
    job = run.wait_until_polled("running")
    run.mark_failed()
    warning = wait_for_warning(run, job["job_id"])
    assert warning["level"] == "warning"
    assert warning["logger"].endswith("ImsSubmitCopyrightExtractJobOperator")
    assert run.wait_for_end() == "failed"
    assert run.billed() == [job["job_id"]]


@triggers_have_on_kill
def test_clearing_a_deferred_task_submits_again_and_logs_the_old_job(runs: dict[str, Run]) -> None:
    """A cleared deferred task submits a new job, and its first log says that the old one goes on and is billed."""
    run = runs["cleared"]
    old = run.wait_until_polled("deferred")["job_id"]
    run.emulator.put_media(run.media, watermark="(c) Cleared", processing_time=2)
    run.clear()
    assert run.wait_for_end() == "success"
    wait_for_warning(run, old)
    new = run.xcom("return_value")
    assert run.billed() == [old, new]
    assert run.xcom("job_id") == new
    assert run.xcom("watermark") == "(c) Cleared"
    assert run.task()["try_number"] == 2


def test_deferred_task_pushes_the_watermark(runs: dict[str, Run]) -> None:
    """A deferred task succeeds with one job; it returns the JobId and pushes the text to XCom."""
    run = runs["deferred"]
    assert run.wait_for_end() == "success"
    (job_id,) = run.billed()
    assert run.xcom("return_value") == job_id
    assert run.xcom("watermark") == "(c) Deferred"


def test_log_of_a_deferred_task_has_submission_wait_and_outcome(runs: dict[str, Run]) -> None:
    """Worker, triggerer and resumed worker each name the job: submission, since when and until when, outcome."""
    run = runs["deferred"]
    assert run.wait_for_end() == "success"
    (job_id,) = run.billed()
    ours = [line for line in run.log() if "airflow_provider_ims" in line.get("logger", "")]
    assert len(ours) == 7, ours
    sending, submission, first_wait, deferring, second_wait, outcome, resumed = ours
    assert sending["event"].startswith("Submitting SubmitCopyrightExtractJob of ")
    assert submission["event"].startswith(f"Submitted CopyrightExtractJob {job_id} for ")
    assert submission["event"].endswith(f"in cn-shanghai (RequestId {run.xcom('request_id')})")
    for wait in (first_wait, second_wait):
        text = rf"Waiting for CopyrightExtractJob {job_id} on {run.media} since \S+ until \S+ at the latest"
        assert re.fullmatch(text, wait["event"])
    assert deferring["event"].startswith(f"Deferring: the triggerer waits for job {job_id}.")
    assert second_wait["logger"].endswith("ImsJobTrigger")
    ended = rf"Job {job_id} on {run.media}: succeeded after \d+ polls in \d+\.\d s: '\(c\) Deferred'"
    assert re.fullmatch(ended, outcome["event"])
    assert outcome["logger"].endswith("ImsJobTrigger")
    assert resumed["event"] == outcome["event"]
    assert resumed["logger"].endswith("ImsSubmitCopyrightExtractJobOperator")


def test_deferred_sensor_returns_the_watermark(runs: dict[str, Run]) -> None:
    """A deferred sensor returns the text of the job that another task has submitted."""
    run = runs["sensed"]
    assert run.wait_for_end() == "success"
    assert run.xcom("return_value", "wait") == "(c) Sensed"
    assert run.xcom("watermark", "wait") == "(c) Sensed"
    assert run.billed() == [run.xcom("return_value", "submit")]


def test_execution_timeout_ends_a_deferred_wait(runs: dict[str, Run]) -> None:
    """A deferred wait ends shortly before the execution_timeout, with an error about the job and without a retry."""
    run = runs["timed"]
    assert run.wait_for_end() == "failed"
    (job,) = run.jobs()
    assert run.billed() == [job["job_id"]]
    task = run.task()
    assert task["try_number"] == 1
    outcome = f"Job {job['job_id']} on {run.media}: timeout after "
    # The supervisor of the triggerer writes its part of the log with a delay.

    def outcomes() -> list[str]:
        return [line["logger"].rpartition(".")[2] for line in run.log() if line["event"].startswith(outcome)]

    run.airflow.wait_until("the log has both outcomes", lambda: len(outcomes()) == 2, TIMEOUT)
    assert outcomes() == ["ImsJobTrigger", "ImsSubmitCopyrightExtractJobOperator"]
    log = run.log()
    (failure,) = [line for line in log if "ImsJobTimeoutError" in json.dumps(line.get("error_detail"))]
    assert f"CopyrightExtractJob {job['job_id']} has not ended in time" in json.dumps(failure["error_detail"])
    polls = [at(sent["time"]) for sent in run.emulator.requests() if sent["parameters"].get("JobId") == job["job_id"]]
    assert polls[-1] >= at(task["start_date"]) + 0.5 * EXECUTION_TIMEOUT
    # The worker counts from the response of the API server, which may be seconds later than start_date.
    assert polls[-1] < at(job["created_at"]) + EXECUTION_TIMEOUT


def test_wait_continues_after_the_triggerer_was_killed(runs: dict[str, Run]) -> None:
    """If the triggerer is killed, the next one resumes the wait, and the task gets the watermark of its only job."""
    run = runs["outlived"]
    run.wait_until_polled("deferred")
    run.airflow.kill_component("triggerer")
    (job,) = run.jobs()
    assert run.task()["state"] == "deferred"
    run.airflow.start_component("triggerer")
    run.airflow.wait_until("the job is polled again", lambda: run.jobs()[0]["queries"] > job["queries"], TIMEOUT)
    run.emulator.advance(3600)
    assert run.wait_for_end() == "success"
    assert run.xcom("watermark") == "(c) Outlived"
    assert run.billed() == [run.xcom("return_value")] == [job["job_id"]]


def wait_for_warning(run: Run, job_id: str) -> dict[str, Any]:
    """Wait until the log warns that a job goes on, and return that line."""
    goes_on = (
        f"This task no longer waits for job {job_id}. IMS has no action that cancels a CopyrightExtractJob: "
        f"the job goes on, and is billed."
    )

    def warning() -> dict[str, Any] | None:
        return next((line for line in run.log() if line["event"].startswith(goes_on)), None)

    return run.airflow.wait_until(f"the log of {run.dag_id} warns of job {job_id}", warning, TIMEOUT)


def at(time: str) -> datetime:
    return datetime.fromisoformat(time)
