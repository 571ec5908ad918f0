"""Tasks and the triggerer of a whole Airflow are killed with SIGKILL at random moments.

``IMS_NIGHTS`` sets the number of runs, one after the other; the seed of each is in the name of its test.
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

from dev.rest_api import FINAL_STATES, AirflowError
from dev.sandbox import ROOT, AirflowSandbox
from tests.chaos.crash_points import RANDOM_KILLS, RANDOM_KILLS_INSTANCES, Way
from tests.runs import TIMEOUT, media_of, needs_a_store, whole_airflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.standalone import StandaloneAirflow

pytestmark = [
    needs_a_store,
    pytest.mark.timeout(900),  # the first test also waits for the start of Airflow
]

DAG_FILE = Path(__file__).parent / "dags" / "nights.py"
SEEDS = range(int(os.environ.get("IMS_NIGHTS", "1")))
TRIGGERER_SHARE = 0.15
"""Share of the kills that hit the triggerer. Workers of LocalExecutor are not killed, because they share locks."""
# Seconds.
LONG = 3600
DURATION = 20.0
STEP = 10.0


class RandomKills:
    """A running Airflow, and the processes that can be killed."""

    def __init__(self, airflow: StandaloneAirflow, emulator: EmulatorProcess, pids: Path) -> None:
        self.airflow = airflow
        self.emulator = emulator
        self.pids = pids

    def kill_one_process(self, run_id: str, rng: random.Random) -> str:
        """Kill the process of a task or the triggerer, and return which."""
        candidates = sorted(self.pids.glob(f"{run_id}-*"))
        if not candidates or rng.random() < TRIGGERER_SHARE:
            self.airflow.kill_component("triggerer")
            self.airflow.start_component("triggerer")
            return "triggerer"
        chosen = rng.choice(candidates)
        pid = int(chosen.read_text())
        chosen.unlink()
        if pid not in self.airflow.processes():
            return f"{chosen.name}, which had ended before"
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal.SIGKILL)
        return chosen.name


@pytest.fixture(scope="module")
def kills(ims_emulator_process: EmulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RandomKills]:
    """Start Airflow."""
    emulator = ims_emulator_process
    emulator.reset()
    pids = tmp_path_factory.mktemp("pids")
    env = {"AIRFLOW_CONN_IMS_DEFAULT": emulator.connection_json(), "IMS_PIDS": str(pids), "PYTHONPATH": str(ROOT)}
    with AirflowSandbox(env) as sandbox:
        sandbox.add_dag(DAG_FILE)
        with whole_airflow(sandbox) as airflow:
            yield RandomKills(airflow, emulator, pids)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_kills_cost_no_second_job(seed: int, kills: RandomKills) -> None:
    """After random kills, each task has one job and its watermark, or fails because the submission is unknown."""
    airflow, emulator = kills.airflow, kills.emulator
    rng = random.Random(seed)
    emulator.reset()
    airflow.wait_for_dag(RANDOM_KILLS)
    run_id = f"kills-{seed}"
    pairs = [(way, number) for way in Way for number in range(RANDOM_KILLS_INSTANCES)]
    for way, number in pairs:
        media = media_of(f"{run_id}-{way}-{number}")
        emulator.put_media(media, watermark=f"(c) {media}", processing_time=LONG)
    airflow.tell("POST", f"/dags/{RANDOM_KILLS}/dagRuns", {"dag_run_id": run_id, "logical_date": None})
    end = time.monotonic() + DURATION
    killed = []
    while time.monotonic() < end:
        time.sleep(rng.uniform(0.2, 2.0))
        killed.append(kills.kill_one_process(run_id, rng))
    deadline = time.monotonic() + TIMEOUT
    while True:
        # Again and again: a retry after the last kill may submit a job that is not there yet.
        emulator.advance(LONG)
        try:
            airflow.wait_for_run(RANDOM_KILLS, run_id, STEP)
        except AirflowError:
            if time.monotonic() > deadline:
                raise
        else:
            break
    bill = [line["media"] for line in emulator.bill()["lines"]]
    jobs = {job["media"]: job["job_id"] for job in emulator.jobs()}
    instances = {(ti["task_id"], ti["map_index"]): ti for ti in airflow.task_instances(RANDOM_KILLS, run_id)}
    for way, number in pairs:
        ti, media = instances[way, number], media_of(f"{run_id}-{way}-{number}")
        assert ti["state"] in FINAL_STATES

        def xcom(key: str, way: str = way, number: int = number) -> Any:
            return airflow.xcom(RANDOM_KILLS, run_id, way, key, map_index=number)

        if ti["state"] == "success":
            assert bill.count(media) == 1, killed
            assert xcom("return_value") == xcom("job_id") == jobs[media]
            assert way is Way.SUBMIT or xcom("watermark") == f"(c) {media}"
        else:
            assert bill.count(media) <= 1, killed
            log = airflow.task_log(RANDOM_KILLS, run_id, way, ti["try_number"], map_index=number)
            assert "ImsSubmitUnknownError" in json.dumps(log), killed
