"""The DAG of test_waiting.py: all scenarios of one way of waiting, one after the other.

``IMS_WAY`` names the way, ``IMS_EMULATOR`` the emulator, ``IMS_RECORD`` the file for the outcomes of the tasks.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs import polling
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.sensors.copyright import ImsCopyrightExtractJobSensor
from tests.real_airflow.scenarios import GRACE, INTERVAL, LONG, QUERY, SCENARIOS, Scenario, scenarios_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.providers.common.compat.sdk import Context

WAY = os.environ["IMS_WAY"]
EMULATOR = os.environ["IMS_EMULATOR"]
RECORD = Path(os.environ["IMS_RECORD"])

# A constant of the poll policy: its two minutes are too long for a test.
polling.NOT_FOUND_GRACE = GRACE
polling.CORRECTION_GRACE = 0.0


def control(method: str, path: str, payload: object = None) -> Any:
    """Call the emulator's control API."""
    request = urllib.request.Request(
        f"{EMULATOR}/_emulator/{path}", method=method, data=None if payload is None else json.dumps(payload).encode()
    )
    deadline = time.monotonic() + LONG
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.loads(response.read() or b"null")
        except urllib.error.URLError:  # an outage is part of a scenario
            if time.monotonic() > deadline:
                raise
            time.sleep(INTERVAL)


def record(context: Context) -> None:
    """Record the outcome of a task, and the requests and jobs that the emulator has of it."""
    # Airflow 3.0 has the exception in the context of its workers, not in that of `dag.test()`.
    error: Any = dict(context).get("exception") or RAISED.get(context["ti"].task_id)
    requests = control("GET", "requests")["requests"]
    line = {
        "scenario": context["ti"].task_id,
        "exception": type(error).__name__ if error else None,
        "message": str(error) if error else "",
        "queries": len([one for one in requests if one["action"] == QUERY]),
        "jobs": [job["job_id"] for job in control("GET", "jobs")],
    }
    with RECORD.open("a") as file:
        file.write(json.dumps(line) + "\n")


def media_of(name: str) -> str:
    """Return the URL of the video of a scenario."""
    return f"oss://rights-evidence/{name}.mp4"


JOBS: dict[str, str] = {}
"""The jobs of the scenarios that have started: `dag.test()` runs all starts of a task in one process."""


def set_up(name: str) -> str:
    """Set up a scenario at the first start of its task, and return the JobId: submitted for a sensor, else empty."""
    if name not in JOBS:
        scenario = SCENARIOS[name]
        control("POST", "reset", {})
        control("PUT", "media", {"media": media_of(name), **scenario.media})
        JOBS[name] = ImsHook().submit_copyright_extract_job(media_of(name)) if WAY.startswith("sensor") else ""
        for fault in scenario.faults_of(WAY):
            control("POST", "faults", fault)
    return JOBS[name]


RAISED: dict[str, Exception] = {}
"""What the last start of a task has raised."""


@contextmanager
def started(name: str) -> Iterator[str]:
    """Set up the scenario of a task that starts, give its JobId, and keep what the task raises."""
    RAISED.pop(name, None)
    try:
        yield set_up(name)
    except Exception as error:
        RAISED[name] = error
        raise


def damaged(event: Any, damage: str | None) -> Any:
    """Return an event after the damage of the scenario."""
    match damage:
        case "missing":
            return None
        case "malformed":
            return {**event, "kind": "running"}
        case _:
            return event


class Operator(ImsSubmitCopyrightExtractJobOperator):
    """The operator, which sets up its scenario first."""

    def execute(self, context: Context) -> Any:
        """Set up the scenario, and run."""
        with started(self.task_id):
            return super().execute(context)

    def execute_complete(self, context: Context, event: object = None) -> Any:
        """Resume with the damaged event."""
        with started(self.task_id):
            return super().execute_complete(context, damaged(event, SCENARIOS[self.task_id].breaks_event))


class Sensor(ImsCopyrightExtractJobSensor):
    """The sensor, which sets up its scenario first."""

    def execute(self, context: Context) -> Any:
        """Set up the scenario, and run."""
        with started(self.task_id) as self.job_id:
            return super().execute(context)

    def execute_complete(self, context: Context, event: object = None) -> Any:
        """Resume with the damaged event."""
        with started(self.task_id) as self.job_id:
            return super().execute_complete(context, damaged(event, SCENARIOS[self.task_id].breaks_event))


def wait(name: str, scenario: Scenario) -> Any:
    """Return the task that waits."""
    arguments: dict[str, Any] = {
        "task_id": name,
        "trigger_rule": "all_done",
        "on_failure_callback": record,
        "on_success_callback": record,
        "timeout": LONG,
        **scenario.wait,
    }
    match WAY:
        case "operator_sync" | "operator_deferrable":
            return Operator(
                input_media=media_of(name),
                wait_for_completion=True,
                deferrable=WAY == "operator_deferrable",
                poll_interval=INTERVAL,
                max_poll_interval=INTERVAL,
                **arguments,
            )
        case "sensor_poke" | "sensor_reschedule" | "sensor_deferrable":
            return Sensor(
                job_id="submitted when the task starts",
                mode="reschedule" if WAY == "sensor_reschedule" else "poke",
                deferrable=WAY == "sensor_deferrable",
                poke_interval=INTERVAL,
                exponential_backoff=False,
                **arguments,
            )
    raise ValueError(WAY)


with DAG("waiting", schedule=None) as dag:
    before: Any = None
    for _name, _scenario in scenarios_of(WAY).items():
        task = wait(_name, _scenario)
        if before is not None:
            before >> task
        before = task
