"""Waits in a whole Airflow: scheduler, triggerer, API server and workers are separate processes.

The runs of nearly all DAGs start together and wait at the same time; each test checks one of them. The last test kills
the triggerer.
"""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped] # a dependency of Airflow, which ships no types
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

for dag_id in ("deferred", "marked", "cleared", "overtaken", "moved", "outlived"):
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


@triggers_have_on_kill
def test_clear_is_no_move_if_the_new_attempt_is_deferred_already(runs: dict[str, Run]) -> None:
    """If a new attempt is deferred before Airflow cancels the old trigger, the log says that the old job goes on."""
    runs["timed"].wait_for_end()  # its wait ends late if triggers are frozen
    run = start("overtaken", runs)
    old = run.wait_until_polled("deferred")["job_id"]
    run.emulator.put_media(run.media, watermark="(c) Overtaken", processing_time=10)
    with frozen_triggers(run):
        run.clear()

        def deferred_again() -> bool:
            task = run.task()
            return (task["try_number"], task["state"]) == (2, "deferred")

        run.airflow.wait_until("the new attempt is deferred", deferred_again, TIMEOUT)
    wait_for_warning(run, old)
    assert run.wait_for_end() == "success"
    assert run.billed() == [old, run.xcom("return_value")]
    assert run.xcom("watermark") == "(c) Overtaken"
    assert not [line for line in run.log() if "still waits" in line["event"]]


@triggers_have_on_kill
def test_wait_that_moves_to_another_triggerer_is_not_left(runs: dict[str, Run]) -> None:
    """If Airflow cancels a trigger that has moved, the log says that the task still waits, and the wait goes on."""
    # Shorter than the job of "outlived", which advancing the clock must not end.
    run = start("moved", runs, watermark="(c) Moved", processing_time=1800)
    job_id = run.wait_until_polled("deferred")["job_id"]
    with moved_to_another_triggerer(run):
        wait_for_line(run, "Trigger cancelled by user action, invoking on_kill")
        line = wait_for_line(run, f"This task still waits for job {job_id}, in another triggerer or attempt")
        assert line["level"] == "info"
        assert line["logger"].endswith("ImsJobTrigger")
        assert run.task()["state"] == "deferred"
    (job,) = run.jobs()
    run.airflow.wait_until("the job is polled again", lambda: run.jobs()[0]["queries"] > job["queries"], TIMEOUT)
    run.emulator.advance(1800)
    assert run.wait_for_end() == "success"
    assert run.xcom("watermark") == "(c) Moved"
    assert run.billed() == [run.xcom("return_value")] == [job_id]
    assert run.task()["try_number"] == 1
    assert not [line for line in run.log() if "no longer waits" in line["event"]]


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
    lines = [line for line in run.log() if "airflow_provider_ims" in line.get("logger", "")]
    assert lines[0]["event"] == "Connection 'ims_default': an access key, region cn-shanghai"
    # A triggerer says so too, in the log of one of its tasks. Before 3.3, a line says that a retry would submit again.
    ours = [line for line in lines if not line["event"].startswith((lines[0]["event"], "Airflow before 3.3 "))]
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


def start(dag_id: str, runs: dict[str, Run], **video: Any) -> Run:
    """Start a run that does not wait together with the others.

    :param video: of the video on which the job runs
    """
    other = runs["outlived"]
    other.emulator.put_media(media_of(dag_id), **video)
    return Run(other.airflow, other.emulator, dag_id, other.airflow.trigger(dag_id))


@contextmanager
def frozen_triggers(run: Run) -> Iterator[None]:
    """Stop the processes that run the triggers; their parent, which accesses the database, goes on."""
    found = [psutil.Process(pid) for pid in run.airflow.processes("triggerer")]
    (supervisor,) = [process for process in found if process.parent() not in found]
    children = supervisor.children(recursive=True)
    assert children
    for process in children:
        process.suspend()
    try:
        yield
    finally:
        for process in children:
            process.resume()


@contextmanager
def moved_to_another_triggerer(run: Run) -> Iterator[None]:
    """Assign the trigger of a deferred task to a triggerer that Airflow takes for a living one; free it at the end."""
    with closing(sqlite3.connect(run.airflow.sandbox.home / "airflow.db", timeout=60)) as database:
        with database:
            trigger, triggerer = database.execute(
                "SELECT trigger.id, triggerer_id FROM trigger JOIN task_instance ON trigger_id = trigger.id "
                "WHERE run_id = ?",
                [run.run_id],
            ).fetchone()
            # The heartbeat of the other triggerer is as fresh as it has to be during the whole test.
            heartbeat = datetime.now(UTC) + timedelta(hours=1)
            other = database.execute(
                "INSERT INTO job (state, job_type, start_date, latest_heartbeat, hostname, unixname) "
                "SELECT state, job_type, start_date, ?, hostname, unixname FROM job WHERE id = ?",
                [heartbeat.strftime("%Y-%m-%d %H:%M:%S.%f"), triggerer],
            ).lastrowid
            database.execute("UPDATE trigger SET triggerer_id = ? WHERE id = ?", [other, trigger])
        try:
            yield
        finally:
            with database:
                database.execute("UPDATE trigger SET triggerer_id = NULL WHERE id = ?", [trigger])
                database.execute("DELETE FROM job WHERE id = ?", [other])


def wait_for_warning(run: Run, job_id: str) -> dict[str, Any]:
    """Wait until the log warns that a job goes on, and return that line."""
    goes_on = (
        f"This task no longer waits for job {job_id}. IMS has no action that cancels a CopyrightExtractJob: "
        f"the job goes on, and is billed."
    )
    return wait_for_line(run, goes_on)


def wait_for_line(run: Run, start: str) -> dict[str, Any]:
    """Wait until the log of the first attempt has a line that starts like this, and return it."""

    def line() -> dict[str, Any] | None:
        return next((line for line in run.log() if line["event"].startswith(start)), None)

    return run.airflow.wait_until(f"the log of {run.dag_id} has: {start}", line, TIMEOUT)


def at(time: str) -> datetime:
    return datetime.fromisoformat(time)
