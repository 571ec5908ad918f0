"""Records on object storage (common.io's state-store backend) in a whole Airflow: no task has two jobs.

Airflow clears the records after a success (``[state_store] clear_on_success``), which is not its default.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped] # a dependency of Airflow, which ships no types
import pytest

from airflow_provider_ims.emulator.process import EmulatorProcess
from airflow_provider_ims.jobs.durable import KEY
from dev.sandbox import ROOT, AirflowSandbox
from tests.chaos.crash_points import Way
from tests.runs import OBJECT_STORAGE, TASK, TIMEOUT, Run, media_of, needs_a_store, state_store, whole_airflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.standalone import StandaloneAirflow

pytestmark = [
    needs_a_store,
    pytest.mark.timeout(600),  # the first test also waits for the start of Airflow
]

DAG_FILE = Path(__file__).parent / "dags" / "object_storage.py"
SETTINGS = {
    "AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS": "True",
    # A worker counts as dead after 15 seconds, not after five minutes.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
}
LONG = 3600
"""Duration in seconds of the job of the zombie; its test advances the clock."""


class Suite:
    """A running Airflow whose state store is on object storage.

    :param airflow: it
    :param emulators: those of DAGs with a clock of their own, and under the empty name that of the others
    :param objects: the directory of the objects
    :param pids: the directory to which the DAGs write process ids
    """

    def __init__(
        self, airflow: StandaloneAirflow, emulators: dict[str, EmulatorProcess], objects: Path, pids: Path
    ) -> None:
        self._airflow = airflow
        self._emulators = emulators
        self._objects = objects
        self._pids = pids

    def start(self, dag_id: str) -> Run:
        """Start a run of a DAG."""
        emulator = self._emulators.get(dag_id, self._emulators[""])
        emulator.put_media(media_of(dag_id), watermark=f"(c) {dag_id}")
        return Run(self._airflow, emulator, dag_id, self._airflow.trigger(dag_id))

    def wait_until_stopped(self, run: Run) -> list[int]:
        """Wait until the first attempt of a run has stopped, and return the ids of its process and its supervisor."""
        path = self._pids / f"{run.dag_id}-{run.run_id}"

        def stopped() -> list[int] | None:
            pids = [int(pid) for pid in path.read_text().split()] if path.exists() else []
            return pids if pids and psutil.Process(pids[0]).status() == psutil.STATUS_STOPPED else None

        return self._airflow.wait_until(f"{run.dag_id} has stopped", stopped, TIMEOUT)

    def objects_of(self, run: Run) -> Path:
        """Return the directory of the objects of a run's task."""
        return self._objects / run.dag_id / run.run_id / TASK / "-1"

    def record_of(self, run: Run) -> dict[str, Any]:
        """Return the record of a run's task."""
        record: dict[str, Any] = json.loads((self.objects_of(run) / KEY).read_text())
        return record


@pytest.fixture(scope="module")
def suite(ims_emulator_process: EmulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Start Airflow. No test of this module may reset the emulator."""
    ims_emulator_process.reset()
    objects, pids = tmp_path_factory.mktemp("objects"), tmp_path_factory.mktemp("pids")
    with EmulatorProcess(processing_time=LONG) as zombie:
        env = {
            "AIRFLOW_CONN_IMS_DEFAULT": ims_emulator_process.connection_json(),
            "AIRFLOW_CONN_ZOMBIE": zombie.connection_json(),
            "IMS_PIDS": str(pids),
            "PYTHONPATH": str(ROOT),
        }
        with AirflowSandbox(env) as sandbox:
            sandbox.add_dag(DAG_FILE)
            with whole_airflow(sandbox, {**SETTINGS, **state_store(OBJECT_STORAGE, objects)}) as airflow:
                yield Suite(airflow, {"": ims_emulator_process, "zombie": zombie}, objects, pids)


@pytest.mark.parametrize("way", Way)
def test_record_on_object_storage_is_resumed(way: Way, suite: Suite) -> None:
    """A retry finds the record of a crashed attempt, and publishes the JobId and the watermark of its job."""
    run = suite.start(f"crashing_{way}")
    assert run.wait_for_end() == "success", run.report()
    assert run.task()["try_number"] == 2
    assert run.billed() == [run.xcom("return_value")] == [run.xcom("job_id")]
    if way is not Way.SUBMIT:
        assert run.xcom("watermark") == f"(c) {run.dag_id}"


def test_record_whose_object_was_deleted_ends_the_task(suite: Suite) -> None:
    """If the object of a record is deleted between two attempts, the second one fails and submits nothing."""
    run = suite.start("gone")
    task, _ = suite.wait_until_stopped(run)
    assert run.billed() == [suite.record_of(run)["job_id"]]
    assert run.billed()[0] not in json.dumps(run.record(KEY))  # the database has a reference only
    (suite.objects_of(run) / KEY).unlink()
    os.kill(task, signal.SIGKILL)
    check_damaged(run)


def test_crash_after_the_record_was_cleared_costs_no_second_job(suite: Suite) -> None:
    """If a worker dies after clear_on_success, before Airflow learns of the success, the retry submits nothing."""
    run = suite.start("cleared_and_crashing")
    check_damaged(run)


def test_record_is_cleared_after_a_success(suite: Suite) -> None:
    """With clear_on_success, no object and no reference to one is left, and a cleared task submits a new job."""
    run = suite.start("cleared")
    assert run.wait_for_end() == "success", run.report()
    (first,) = run.billed()
    assert not list(suite.objects_of(run).iterdir())
    assert run.record(KEY) is None
    run.clear()
    run.airflow.wait_until("the second job is submitted", lambda: len(run.billed()) == 2, TIMEOUT)
    assert run.wait_for_end() == "success", run.report()
    assert run.billed() == [first, run.xcom("return_value")]


def test_zombie_does_not_overwrite_the_record_of_the_live_attempt(suite: Suite) -> None:
    """An attempt that another one has replaced is refused before it writes the object, and sends nothing."""
    run = suite.start("zombie")
    pids = suite.wait_until_stopped(run)
    os.kill(pids[1], signal.SIGSTOP)  # the supervisor: its heartbeats would go on
    job_id = run.wait_until_polled("running")["job_id"]  # by the second attempt
    record = suite.record_of(run)
    assert (record["job_id"], record["attempt"]) == (job_id, 2)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    run.airflow.wait_until("the first attempt has ended", lambda: not psutil.pid_exists(pids[0]), TIMEOUT)
    assert suite.record_of(run) == record
    run.emulator.advance(LONG)
    assert run.wait_for_end() == "success", run.report()
    assert run.billed() == [job_id] == [run.xcom("return_value")]


def check_damaged(run: Run) -> None:
    """Check that the second attempt fails, names what is missing, and submits nothing."""
    assert run.wait_for_end() == "failed", run.report()
    assert run.task()["try_number"] == 2, run.report()
    assert "its object is gone from the state-store backend" in json.dumps(run.log(2))
    assert len(run.billed()) == 1
