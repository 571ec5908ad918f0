"""All scenarios of one way of waiting, one after the other: the DAG that test_waiting.py runs.

``IMS_WAY`` names the way, ``IMS_EMULATOR`` the emulator, ``IMS_RECORD`` the file for what became of each task.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_ims import polling
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.sensors.job import ImsJobSensor
from tests.real_airflow.scenarios import GRACE, INTERVAL, LONG, QUERY, Scenario, scenarios_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

WAY = os.environ["IMS_WAY"]
EMULATOR = os.environ["IMS_EMULATOR"]
RECORD = Path(os.environ["IMS_RECORD"])

# A setting of the policy: two minutes are too long to wait for here.
polling.NOT_FOUND_GRACE = GRACE


def control(method: str, path: str, payload: object = None) -> Any:
    """Call the emulator's control API."""
    request = urllib.request.Request(
        f"{EMULATOR}/_emulator/{path}", method=method, data=None if payload is None else json.dumps(payload).encode()
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.loads(response.read() or b"null")
        except urllib.error.URLError:  # an outage is part of a scenario
            continue


def record(context: Context) -> None:
    """Note what became of a task, and what the emulator saw of it."""
    error: Any = dict(context).get("exception")
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
    """Return the video of a scenario."""
    return f"oss://rights-evidence/{name}.mp4"


def arrange(name: str, scenario: Scenario) -> Any:
    """Return the task that sets the scene; for a sensor it submits the job too, and returns the JobId."""

    @task(task_id=f"arrange_{name}", trigger_rule="all_done")
    def set_scene() -> str | None:
        from airflow_provider_ims.hooks.ims import ImsHook

        control("POST", "reset", {})
        control("PUT", "media", {"media": media_of(name), **scenario.media})
        job_id = ImsHook().submit_copyright_extract_job(media_of(name)) if WAY.startswith("sensor") else None
        for fault in scenario.faults:
            control("POST", "faults", fault)
        return job_id

    return set_scene()


def spoilt(event: Any, how: str) -> Any:
    """Return what is left of an event."""
    return None if how == "missing" else {**event, "end": "running"}


def wait(name: str, scenario: Scenario, job_id: Any) -> Any:
    """Return the task that waits."""
    arguments: dict[str, Any] = {
        "task_id": name,
        "on_failure_callback": record,
        "on_success_callback": record,
        "timeout": LONG,
        **scenario.wait,
    }
    kind: Any = ImsJobSensor if WAY.startswith("sensor") else ImsSubmitCopyrightExtractJobOperator
    if scenario.breaks_event:
        how = scenario.breaks_event

        class SpoiltEvent(kind):  # type: ignore[misc]
            def execute_complete(self, context: Context, event: object = None) -> Any:
                return super().execute_complete(context, spoilt(event, how))

        kind = SpoiltEvent
    match WAY:
        case "operator_sync" | "operator_deferrable":
            return kind(
                input_media=media_of(name),
                wait_for_completion=True,
                deferrable=WAY == "operator_deferrable",
                poll_interval=INTERVAL,
                max_poll_interval=INTERVAL,
                **arguments,
            )
        case "sensor_poke" | "sensor_reschedule" | "sensor_deferrable":
            return kind(
                job_id=job_id,
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
        scene = arrange(_name, _scenario)
        if before is not None:
            before >> scene
        before = wait(_name, _scenario, scene)
        scene >> before
