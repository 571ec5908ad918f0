"""Runs of DAGs in a whole Airflow (scheduler, triggerer, API server and workers as processes), and their bills."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

from dev.rest_api import ApiError, free_port
from dev.standalone import StandaloneAirflow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.sandbox import AirflowSandbox

AIRFLOW = Version(version("apache-airflow")).release

needs_airflow_3 = pytest.mark.skipif(
    AIRFLOW < (3,), reason="StandaloneAirflow uses the REST API and the login of Airflow 3"
)
needs_a_store = pytest.mark.skipif(
    AIRFLOW < (3, 3), reason="before Airflow 3.3 there is no state store that outlives an attempt"
)

DATABASE, OBJECT_STORAGE = "database", "object_storage"
STATE_STORES = os.environ.get("IMS_STATE_STORES", DATABASE).split(",")
"""The state-store backends of Airflow that the suites run on; ``make chaos`` names both."""

TASK = "extract"
TIMEOUT = 240.0
"""Seconds. Long enough for everything that the tests wait for, also on a slow machine."""

SETTINGS = {
    # A triggerer counts as dead after a few seconds, not after half a minute.
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "4",
    # A worker learns from the response to its heartbeat that its task was marked.
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
}


@contextmanager
def exclusive() -> Iterator[None]:
    """Wait until no other test process runs a whole Airflow: two cores are not enough for two of them."""
    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def whole_airflow(
    sandbox: AirflowSandbox, settings: Mapping[str, str] | None = None, *, port: int | None = None
) -> Iterator[StandaloneAirflow]:
    """Run an Airflow with short intervals.

    :param settings: further environment variables
    :param port: port on which the API server is reached, None for a free one
    """
    env = {**SETTINGS, **(settings or {})}
    if not sandbox.is_migrated:
        sandbox.migrate()
    with exclusive(), StandaloneAirflow(sandbox, port=port or free_port(), env=env) as airflow:
        yield airflow


def state_store(kind: str, objects: Path) -> dict[str, str]:
    """Return the environment variables of a state-store backend.

    :param kind: which one, see :data:`STATE_STORES`
    :param objects: directory for the objects
    """
    if kind == DATABASE:
        return {}
    return {
        "AIRFLOW__WORKERS__STATE_STORE_BACKEND": (
            "airflow.providers.common.io.state_store.backend.StateStoreObjectStorageBackend"
        ),
        "AIRFLOW__COMMON_IO__STATE_STORE_OBJECTSTORAGE_PATH": objects.as_uri(),
    }


def media_of(dag_id: str) -> str:
    """Return the URL of the video of a DAG."""
    return f"oss://waiting/{dag_id}.mp4"


@dataclass(frozen=True)
class Run:
    """A run of a DAG, and the emulator that has its jobs."""

    airflow: StandaloneAirflow
    emulator: EmulatorProcess
    dag_id: str
    run_id: str

    @property
    def media(self) -> str:
        """The URL of the DAG's video."""
        return media_of(self.dag_id)

    def wait_for_end(self) -> str:
        """Wait until the run has ended, and return ``success`` or ``failed``."""
        return self.airflow.wait_for_run(self.dag_id, self.run_id, TIMEOUT)

    def wait_until_polled(self, state: str) -> dict[str, Any]:
        """Wait until the task is in a state and its job was polled twice, and return the job."""

        def polled() -> dict[str, Any] | None:
            found = [job for job in self.jobs() if job["queries"] >= 2]
            return found[0] if found and self.task()["state"] == state else None

        return self.airflow.wait_until(f"{self.dag_id} is {state} and its job was polled", polled, TIMEOUT)

    def task(self, task_id: str = TASK) -> dict[str, Any]:
        """Return the instance of a task."""
        (found,) = [ti for ti in self.airflow.task_instances(self.dag_id, self.run_id) if ti["task_id"] == task_id]
        return found

    def xcom(self, key: str, task_id: str = TASK) -> Any:
        """Return an XCom that a task has pushed."""
        return self.airflow.xcom(self.dag_id, self.run_id, task_id, key)

    def record(self, key: str) -> Any:
        """Return what the task has stored under a key of its state store, None if there is nothing."""
        path = f"/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/{TASK}/state-store/{key}"
        try:
            return self.airflow.request("GET", path)["value"]
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None

    def log(self, try_number: int = 1) -> list[dict[str, Any]]:
        """Return the log of an attempt of the task, as the UI shows it."""
        return self.airflow.task_log(self.dag_id, self.run_id, TASK, try_number)

    def report(self, lines: int = 12) -> str:
        """Return the last lines of each attempt's log, as the message of a failed assertion."""
        task = self.task()
        logs = [
            f"attempt {attempt}: " + "\n".join(json.dumps(line)[:1000] for line in self.log(attempt)[-lines:])
            for attempt in range(1, task["try_number"] + 1)
        ]
        return "\n".join([f"{self.dag_id} is {task['state']}", *logs, self.airflow.log_tail()])

    def mark_failed(self) -> None:
        """Mark the task as failed."""
        self.airflow.mark(self.dag_id, self.run_id, TASK, "failed")

    def clear(self) -> None:
        """Clear the task."""
        self.airflow.clear(self.dag_id, self.run_id, TASK)

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs on the DAG's video, or that name it in their UserData, the oldest first."""
        return [job for job in self.emulator.jobs() if self.media in {job["media"], job["user_data"]}]

    def billed(self) -> list[str]:
        """Return the JobIds on the bill for the DAG's video."""
        ids = {job["job_id"] for job in self.jobs()}
        return [line["job_id"] for line in self.emulator.bill()["lines"] if line["job_id"] in ids]
