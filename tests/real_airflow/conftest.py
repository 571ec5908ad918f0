"""A real Airflow with its own home directory, migrated once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from dev.sandbox import EXAMPLE_DAGS, AirflowSandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ims.emulator.process import EmulatorProcess


@pytest.fixture(scope="session")
def migrated(ims_emulator_process: EmulatorProcess) -> Iterator[AirflowSandbox]:
    """Migrate the database once. Tests use :func:`airflow`."""
    with AirflowSandbox({"AIRFLOW_CONN_IMS_DEFAULT": ims_emulator_process.connection_json()}) as sandbox:
        sandbox.env["AIRFLOW_CONN_RIGHTS_DB"] = json.dumps({"conn_type": "sqlite", "host": f"{sandbox.home}/rights.db"})
        for path in EXAMPLE_DAGS.glob("*.py"):
            sandbox.add_dag(path)
        sandbox.migrate()
        yield sandbox


@pytest.fixture
def airflow(migrated: AirflowSandbox, ims_emulator: EmulatorProcess) -> AirflowSandbox:
    """Return the migrated Airflow, with a connection to an emulator that was reset."""
    return migrated
