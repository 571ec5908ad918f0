"""`make ui`: the Airflow UI with the provider and the example DAGs in it, the emulator in place of an account."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_ims.connection.fields import CONN_FIELDS
from airflow_provider_ims.emulator.process import EmulatorProcess
from dev.console import Interrupted, say, stop_on_signals
from dev.demo import SUSPECTS
from dev.sandbox import EXAMPLE_DAGS, AirflowSandbox
from dev.standalone import StandaloneAirflow

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTION_ID = "ims_default"


@contextmanager
def airflow_with_emulator() -> Iterator[tuple[StandaloneAirflow, EmulatorProcess]]:
    """Start emulator and Airflow, with connection and example DAGs in place, and stop both in the end."""
    say("Starting the IMS emulator ...")
    with EmulatorProcess() as emulator, AirflowSandbox() as sandbox:
        for media, (duration, watermark) in SUSPECTS.items():
            emulator.put_media(media, duration=duration, watermark=watermark)
        say("Creating a throw-away Airflow (AIRFLOW_HOME and SQLite database in a temporary directory) ...")
        sandbox.migrate()
        # Kept in the database, because the UI does not list connections of the environment.
        sandbox.airflow("connections", "add", CONNECTION_ID, "--conn-json", _connection_json(emulator))
        examples = sorted(EXAMPLE_DAGS.glob("*.py"))
        for example in examples:
            sandbox.add_dag(example)
        airflow = StandaloneAirflow(sandbox)
        say(f"Starting `airflow standalone` on port {airflow.port} (half a minute or so) ...")
        with airflow:
            try:
                # An example's id is the name of its file.
                for example in examples:
                    airflow.wait_for_dag(example.stem)
                yield airflow, emulator
            finally:
                say("Stopping Airflow and the emulator ...")


def _connection_json(emulator: EmulatorProcess) -> str:
    """Return the connection to the emulator, such that all of the UI can be tried with it."""
    # The form for editing shows those extra fields only that the connection has, be they empty.
    empty = {name: None for name in CONN_FIELDS if name != "region_id"}
    # Up to Airflow 3.3.2 the button "Test Connection" fails where there is no port: apache/airflow#73298.
    return json.dumps({**emulator.connection(**empty), "port": urlsplit(emulator.endpoint).port})


def ui() -> None:
    """Serve the UI until somebody stops it, or Airflow ends."""
    started = time.monotonic()
    with airflow_with_emulator() as (airflow, emulator):
        say(f"""
Airflow   {airflow.url}
          user {airflow.username}, password {airflow.password}
          Admin > Connections has {CONNECTION_ID}; trigger one of the example DAGs under Dags
Emulator  {emulator.endpoint}/_emulator
          its jobs, videos and bill

Ready after {time.monotonic() - started:.0f} s. Ctrl-C stops both.
""")
        with suppress(Interrupted):
            airflow.wait_until("somebody stops it", lambda: None, float("inf"))
    say("Both are stopped and removed.")


if __name__ == "__main__":
    stop_on_signals()
    try:
        ui()
    except Interrupted:
        say("Interrupted before the UI was ready; what had started is stopped and removed.")
        sys.exit(130)
    except RuntimeError as error:  # Airflow or the emulator; the text says what and shows the end of the log
        say(str(error))
        sys.exit(1)
