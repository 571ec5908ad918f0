"""Nights in a whole Airflow in which tasks and the triggerer are killed with -9 at random moments.

``IMS_NIGHTS`` says how many, one after the other; the seed of each is in its test's name.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dev.sandbox import ROOT, AirflowSandbox
from dev.standalone import FINAL_STATES, StandaloneAirflow
from tests.chaos.crash_points import NIGHT, NIGHT_INSTANCES, Way
from tests.runs import PATIENCE, media_of, needs_a_store, whole_airflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ims.emulator.process import EmulatorProcess

pytestmark = [
    needs_a_store,
    pytest.mark.timeout(900),  # the first test waits for Airflow's start too
]

DAG_FILE = Path(__file__).parent / "dags" / "nights.py"
SEEDS = range(int(os.environ.get("IMS_NIGHTS", "1")))
TRIGGERERS = 0.15
"""How often a victim is the triggerer. Workers of LocalExecutor cannot be killed at any moment: they share locks."""
# Seconds.
LONG = 3600
MAYHEM = 20.0


class Night:
    """The Airflow in which it all happens."""

    def __init__(self, airflow: StandaloneAirflow, emulator: EmulatorProcess, pids: Path) -> None:
        self.airflow = airflow
        self.emulator = emulator
        self.pids = pids

    def kill_somebody(self, run_id: str, dice: random.Random) -> str:
        """Kill the process of a task, or the triggerer, and say which."""
        victims = sorted(self.pids.glob(f"{run_id}-*"))
        if not victims or dice.random() < TRIGGERERS:
            self.airflow.kill_component("triggerer")
            self.airflow.start_component("triggerer")
            return "triggerer"
        victim = dice.choice(victims)
        pid = int(victim.read_text())
        victim.unlink()
        if pid not in self.airflow.processes():
            return f"{victim.name}, which had ended"
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal.SIGKILL)
        return victim.name


@pytest.fixture(scope="module")
def night(ims_emulator_process: EmulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """Start Airflow."""
    emulator = ims_emulator_process
    emulator.reset()
    pids = tmp_path_factory.mktemp("pids")
    env = {"AIRFLOW_CONN_IMS_DEFAULT": emulator.connection_json(), "IMS_PIDS": str(pids), "PYTHONPATH": str(ROOT)}
    with AirflowSandbox(env) as sandbox:
        sandbox.add_dag(DAG_FILE)
        with whole_airflow(sandbox) as airflow:
            yield Night(airflow, emulator, pids)


@pytest.mark.parametrize("seed", SEEDS)
def test_night_of_mayhem(seed: int, night: Night) -> None:
    """Whoever dies whenever: each task has one bill and its watermark, or says that nobody knows."""
    airflow, emulator = night.airflow, night.emulator
    dice = random.Random(seed)
    emulator.reset()
    airflow.wait_for_dag(NIGHT)
    run_id = f"night-{seed}"
    places = [(way, number) for way in Way for number in range(NIGHT_INSTANCES)]
    for way, number in places:
        media = media_of(f"{run_id}-{way}-{number}")
        emulator.put_media(media, watermark=f"(c) {media}", processing_time=LONG)
    airflow.tell("POST", f"/dags/{NIGHT}/dagRuns", {"dag_run_id": run_id, "logical_date": None})
    end = time.monotonic() + MAYHEM
    victims = []
    while time.monotonic() < end:
        time.sleep(dice.uniform(0.2, 2.0))
        victims.append(night.kill_somebody(run_id, dice))
    emulator.advance(LONG)
    airflow.wait_for_run(NIGHT, run_id, PATIENCE)
    bill = [line["media"] for line in emulator.bill()["lines"]]
    jobs = {job["media"]: job["job_id"] for job in emulator.jobs()}
    instances = {(ti["task_id"], ti["map_index"]): ti for ti in airflow.task_instances(NIGHT, run_id)}
    for way, number in places:
        ti, media = instances[way, number], media_of(f"{run_id}-{way}-{number}")
        assert ti["state"] in FINAL_STATES

        def xcom(key: str, way: str = way, number: int = number) -> Any:
            return airflow.xcom(NIGHT, run_id, way, key, map_index=number)

        if ti["state"] == "success":
            assert bill.count(media) == 1, victims
            assert xcom("return_value") == xcom("job_id") == jobs[media]
            assert way is Way.SUBMIT or xcom("watermark") == f"(c) {media}"
        else:
            assert bill.count(media) <= 1, victims
            log = airflow.task_log(NIGHT, run_id, way, ti["try_number"], map_index=number)
            assert "ImsSubmitUnknownError" in json.dumps(log), victims
