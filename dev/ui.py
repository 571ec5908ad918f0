"""`make ui`: run the Airflow UI with the provider, the example DAGs and the emulator."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from airflow_provider_ims.connection.fields import CONN_FIELDS
from airflow_provider_ims.emulator.process import EmulatorProcess
from dev.console import Interrupted, echo, stop_on_signals
from dev.examples import connections, prepare
from dev.sandbox import EXAMPLE_DAGS, AirflowSandbox
from dev.standalone import StandaloneAirflow
from dev.web_server import WebServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dev.rest_api import AirflowApi

CONNECTION_ID = "ims_default"

A = TypeVar("A", bound="AirflowApi")


@contextmanager
def airflow_with_emulator(
    set_up: Callable[[EmulatorProcess, AirflowSandbox], Mapping[str, str]] | None = None,
) -> Iterator[tuple[StandaloneAirflow, EmulatorProcess]]:
    """Start the emulator, and `airflow standalone` with its connection and the example DAGs; stop both at the end.

    :param set_up: called before Airflow starts; returns further environment variables of Airflow
    """

    def create(emulator: EmulatorProcess, sandbox: AirflowSandbox) -> StandaloneAirflow:
        echo("Creating a temporary Airflow (AIRFLOW_HOME and SQLite database in a temporary directory) ...")
        sandbox.migrate()
        airflow = StandaloneAirflow(sandbox, env=set_up(emulator, sandbox) if set_up else None)
        echo(f"Starting `airflow standalone` on port {airflow.port} (half a minute or so) ...")
        return airflow

    with examples_on(create) as started:
        yield started


@contextmanager
def examples_on(create: Callable[[EmulatorProcess, AirflowSandbox], A]) -> Iterator[tuple[A, EmulatorProcess]]:
    """Start the emulator, and an Airflow with its connection and the example DAGs; stop both at the end.

    :param create: returns the Airflow, which is not started yet
    """
    echo("Starting the IMS emulator ...")
    with EmulatorProcess() as emulator, WebServer() as web, AirflowSandbox() as sandbox:
        prepare(emulator, web)
        examples = sorted(EXAMPLE_DAGS.glob("*.py"))
        for example in examples:
            sandbox.add_dag(example)
        with create(emulator, sandbox) as airflow:
            try:
                # Stored in the database, because the UI does not list connections from environment variables.
                airflow.tell("POST", "/connections", _connection(emulator))
                for name, text in connections(sandbox.home, web).items():
                    airflow.tell("POST", "/connections", {"connection_id": name, **json.loads(text)})
                # The DAG id of an example is its file name.
                for example in examples:
                    airflow.wait_for_dag(example.stem)
                yield airflow, emulator
            finally:
                echo("Stopping Airflow and the emulator ...")


def _connection(emulator: EmulatorProcess) -> dict[str, Any]:
    """Return the connection to the emulator for the API, with all fields that the UI needs."""
    # The edit form shows only the extra fields that the connection has, so each field is added with an empty value.
    connection = emulator.connection(**{name: None for name in CONN_FIELDS if name != "region_id"})
    return {
        **connection,
        "connection_id": CONNECTION_ID,
        # Up to Airflow 3.3.2 the button "Test Connection" fails without a port: apache/airflow#73298.
        "port": urlsplit(emulator.endpoint).port,
        "extra": json.dumps(connection["extra"]),
    }


def ui() -> None:
    """Serve the UI until the process is interrupted or Airflow ends."""
    started = time.monotonic()
    with airflow_with_emulator() as (airflow, emulator):
        serve(airflow, emulator, started)
    echo("Airflow and the emulator are stopped and removed.")


def serve(airflow: AirflowApi, emulator: EmulatorProcess, started: float, more: str = "") -> None:
    """Print URL and login, and wait until the process is interrupted or Airflow ends.

    :param started: when the start began, by the monotonic clock
    :param more: further lines
    """
    echo(f"""
Airflow   {airflow.url}
          user {airflow.username}, password {airflow.password}
          Admin > Connections has what the example DAGs need; trigger one of them under Dags
          your own DAG files go to {airflow.sandbox.dags}
Emulator  {emulator.endpoint}, region {emulator.region}
          access key ID {emulator.access_key_id}, secret {emulator.access_key_secret}
          {emulator.endpoint}/_emulator shows jobs, videos and bill
{more}
Ready after {time.monotonic() - started:.0f} s. Ctrl-C stops everything.
""")
    with suppress(Interrupted):
        airflow.wait_until("the process is interrupted", lambda: None, float("inf"))


def main(run: Callable[[], None]) -> None:
    """Run until the process is interrupted; exit with a message if something fails.

    :param run: starts everything, and waits
    """
    stop_on_signals()
    try:
        run()
    except Interrupted:
        echo("Interrupted before the UI was ready; Airflow and the emulator are stopped and removed.")
        sys.exit(130)
    except RuntimeError as error:  # Airflow or the emulator failed; the message contains the end of the log
        echo(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main(ui)
