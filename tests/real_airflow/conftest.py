"""A real Airflow with its own home directory, migrated once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.examples import connections
from dev.sandbox import EXAMPLE_DAGS, AirflowSandbox
from dev.web_server import WebServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ims.emulator.process import EmulatorProcess


@pytest.fixture(scope="session")
def web() -> Iterator[WebServer]:
    """Return a web server for the examples."""
    with WebServer() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(ims_emulator_process: EmulatorProcess, web: WebServer) -> Iterator[AirflowSandbox]:
    """Migrate the database once. Tests use :func:`airflow`."""
    with AirflowSandbox({"AIRFLOW_CONN_IMS_DEFAULT": ims_emulator_process.connection_json()}) as sandbox:
        for name, text in connections(sandbox.home, web).items():
            sandbox.env[f"AIRFLOW_CONN_{name.upper()}"] = text
        for path in EXAMPLE_DAGS.glob("*.py"):
            sandbox.add_dag(path)
        sandbox.migrate()
        yield sandbox


@pytest.fixture
def airflow(migrated: AirflowSandbox, ims_emulator: EmulatorProcess) -> AirflowSandbox:
    """Return the migrated Airflow, with a connection to an emulator that was reset."""
    return migrated
