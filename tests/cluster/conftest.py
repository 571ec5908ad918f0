"""The cluster of these tests, and the table of their accounts at the end."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dev.sandbox import ROOT, AirflowSandbox
from tests.cluster.loads import LOADS
from tests.cluster.trials import HEADING, PROCESSING_TIME, TIMEOUT, Account, line
from tests.runs import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.cluster import Cluster

DAG_FILE = Path(__file__).parent / "dags" / "load.py"
CONNECTION_ID = "ims_default"
FORM = os.environ.get("IMS_CLUSTER", "")
"""``short`` or ``long``; the empty text without a cluster."""
SETTINGS = {
    # Triggerers and tasks count as dead after seconds, not after minutes.
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    # Longer than an API server is away that is asked to end without PostgreSQL, and starts again.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "45",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    # A task that a scheduler had queued before it ended is looked for after seconds, not after five minutes.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    # A task whose message a worker has taken with it is queued again after a minute, not after ten.
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "32",
}
READ_TIMEOUT = 120
"""Seconds: longer than the slow responses of the tests."""

_accounts = pytest.StashKey[list[Account]]()


@pytest.fixture(scope="session")
def cluster(ims_emulator_process: EmulatorProcess) -> Iterator[Cluster]:
    """Start a cluster with the connection in its database."""
    from dev.cluster import Cluster

    emulator = ims_emulator_process
    emulator.reset()
    emulator.configure(processing_time=PROCESSING_TIME)
    with AirflowSandbox({"PYTHONPATH": str(ROOT)}) as sandbox:
        sandbox.add_dag(DAG_FILE)
        with exclusive(), Cluster(sandbox, env=SETTINGS) as running:
            connection = emulator.connection(read_timeout=READ_TIMEOUT)
            extra = json.dumps(connection["extra"])
            running.tell("POST", "/connections", {**connection, "connection_id": CONNECTION_ID, "extra": extra})
            for load in LOADS:
                running.wait_for_dag(load.dag_id, TIMEOUT)
            yield running


@pytest.fixture
def accounts(request: pytest.FixtureRequest) -> list[Account]:
    """Return the accounts of all scenarios so far."""
    return request.config.stash.setdefault(_accounts, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table."""
    if accounts := config.stash.get(_accounts, []):
        terminalreporter.section(f"bills of the cluster, {FORM} form")
        for text in [HEADING, *map(line, accounts)]:
            terminalreporter.write_line(text)
