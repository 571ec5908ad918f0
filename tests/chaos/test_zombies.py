"""Two attempts of a task run at the same time, because a worker that counted as dead continues: it has one job."""

from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped] # a dependency of Airflow, which ships no types
import pytest

from airflow_provider_ims.emulator.process import EmulatorProcess
from dev.sandbox import ROOT, AirflowSandbox
from tests.runs import STATE_STORES, TIMEOUT, Run, media_of, needs_a_store, state_store, whole_airflow

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    needs_a_store,
    pytest.mark.timeout(900),  # the first test also waits for the start of Airflow
]

DAG_FILE = Path(__file__).parent / "dags" / "zombies.py"
HEARTBEATS = {
    # A worker counts as dead after 15 seconds, not after five minutes.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
}
BEFORE_SUBMITTING, BEFORE_SENDING, WHILE_WAITING = "before_submitting", "before_sending", "while_waiting"
DEAD, CLEARED = "dead", "cleared_while_running"
DAG_IDS = (BEFORE_SUBMITTING, BEFORE_SENDING, WHILE_WAITING, DEAD, CLEARED)
LONG = 3600
"""Duration of a job in seconds, unless its test advances the clock."""


class Zombie:
    """The first attempt of a DAG's task: its process, and the process that supervises it.

    :param run: the DAG's run
    :param pids: the directory to which the DAG writes the process ids
    """

    def __init__(self, run: Run, pids: Path) -> None:
        self.run = run
        self._file = pids / run.dag_id
        self._pids: list[int] = []

    @property
    def task(self) -> int:
        """Process id of the task."""
        return self._pids[0]

    def stop(self, sign: int = signal.SIGSTOP) -> None:
        """Wait until the task is at its point, and stop it and its supervisor, or kill both."""
        self.run.airflow.wait_until(f"{self.run.dag_id} is at its point", self._is_at_its_point, TIMEOUT)
        for pid in reversed(self._pids):  # the supervisor first: it would report to Airflow
            os.kill(pid, sign)

    def wait_for_next_attempt(self) -> None:
        """Wait until Airflow has started another attempt."""
        self.run.airflow.wait_until(
            f"{self.run.dag_id} has another attempt", lambda: self.run.task()["try_number"] >= 2, TIMEOUT
        )

    def resume(self) -> None:
        """Continue the process of the task, and then its supervisor."""
        for pid in self._pids:
            os.kill(pid, signal.SIGCONT)

    def wait_for_exit(self) -> None:
        """Wait until the process of the task has ended."""
        self.run.airflow.wait_until(
            f"the first attempt of {self.run.dag_id} has ended", lambda: not psutil.pid_exists(self.task), TIMEOUT
        )

    def _is_at_its_point(self) -> bool:
        if not self._file.exists():
            return False
        self._pids = [int(pid) for pid in self._file.read_text().split()]
        if self.run.dag_id in {WHILE_WAITING, DEAD}:
            return bool(self.run.billed())
        return bool(psutil.Process(self.task).status() == psutil.STATUS_STOPPED)


@pytest.fixture(scope="module", params=STATE_STORES)
def zombies(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Zombie]]:
    """Start Airflow and a run of each DAG, each with its own emulator, whose clock its test advances."""
    pids = tmp_path_factory.mktemp("pids")
    env = {"IMS_PIDS": str(pids), "PYTHONPATH": str(ROOT)}
    with ExitStack() as stack:
        emulators = {dag_id: stack.enter_context(EmulatorProcess(processing_time=LONG)) for dag_id in DAG_IDS}
        for dag_id, emulator in emulators.items():
            emulator.put_media(media_of(dag_id), watermark=f"(c) {dag_id}")
            env[f"AIRFLOW_CONN_{dag_id.upper()}"] = emulator.connection_json()
        sandbox = stack.enter_context(AirflowSandbox(env))
        sandbox.add_dag(DAG_FILE)
        store = state_store(request.param, tmp_path_factory.mktemp("objects"))
        airflow = stack.enter_context(whole_airflow(sandbox, {**HEARTBEATS, **store}))
        zombies = {
            dag_id: Zombie(Run(airflow, emulator, dag_id, airflow.trigger(dag_id)), pids)
            for dag_id, emulator in emulators.items()
        }
        for dag_id in (BEFORE_SUBMITTING, BEFORE_SENDING, WHILE_WAITING):
            zombies[dag_id].stop()
        zombies[DEAD].stop(signal.SIGKILL)
        yield zombies


def check_success(run: Run, job_id: str) -> None:
    """Let the job end, and check that the task returns this job and its watermark."""
    run.emulator.advance(LONG)
    assert run.wait_for_end() == "success", run.report()
    assert run.xcom("return_value") == run.xcom("job_id") == job_id
    assert run.xcom("watermark") == f"(c) {run.dag_id}"


def test_worker_that_continues_before_its_submission_submits_nothing(zombies: dict[str, Zombie]) -> None:
    """An attempt that another one has replaced cannot record a submission, and so sends none."""
    zombie = zombies[BEFORE_SUBMITTING]
    run = zombie.run
    zombie.wait_for_next_attempt()
    run.airflow.wait_until("the second attempt submits", run.billed, TIMEOUT)
    zombie.resume()
    zombie.wait_for_exit()
    (job_id,) = run.billed()
    check_success(run, job_id)
    assert run.billed() == [job_id]


def test_worker_that_continues_its_submission_is_the_only_one_that_submits(zombies: dict[str, Zombie]) -> None:
    """The first attempt sends the submission that it has recorded; the second attempt fails and submits nothing."""
    zombie = zombies[BEFORE_SENDING]
    run = zombie.run
    assert run.wait_for_end() == "failed", run.report()
    assert run.task()["try_number"] == 2
    assert any("ImsSubmitUnknownError" in json.dumps(line.get("error_detail")) for line in run.log(2))
    assert run.billed() == []
    os.kill(zombie.task, signal.SIGCONT)  # it sends before its supervisor continues
    run.airflow.wait_until("the first attempt submits", run.billed, TIMEOUT)
    zombie.resume()
    zombie.wait_for_exit()
    assert len(run.billed()) == 1
    assert run.task()["state"] == "failed"


def test_worker_that_continues_its_wait_costs_no_second_job(zombies: dict[str, Zombie]) -> None:
    """Both attempts wait for the same job, and the second one returns its result."""
    zombie = zombies[WHILE_WAITING]
    run = zombie.run
    (job_id,) = run.billed()
    zombie.wait_for_next_attempt()
    zombie.resume()
    zombie.wait_for_exit()
    check_success(run, job_id)
    assert run.billed() == [job_id]


def test_job_is_resumed_after_worker_and_supervisor_are_killed(zombies: dict[str, Zombie]) -> None:
    """After the heartbeats of a killed worker are missing, the next attempt resumes its job."""
    zombie = zombies[DEAD]
    run = zombie.run
    (job_id,) = run.billed()
    zombie.wait_for_next_attempt()
    check_success(run, job_id)
    assert run.billed() == [job_id]


def test_clear_of_a_running_task_submits_anew(zombies: dict[str, Zombie]) -> None:
    """A running task that is cleared submits a new job; the first job goes on."""
    run = zombies[CLEARED].run
    first = run.wait_until_polled("running")["job_id"]
    run.clear()
    run.airflow.wait_until("the second attempt submits", lambda: len(run.billed()) == 2, TIMEOUT)
    check_success(run, run.billed()[1])
    assert run.billed()[0] == first
