"""Workers and the triggerer of a whole Airflow are killed with -9, at each point of a task's life: one job, one bill.

The runs of all DAGs start together; each test looks at its own. The triggerer is killed by the last one.
"""

from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.emulator.process import EmulatorProcess
from dev.sandbox import ROOT, AirflowSandbox
from dev.standalone import FINAL_STATES, ApiError, StandaloneAirflow
from tests.chaos.crash_points import CRASHES, INSTANCES, MAPPED, RUN_TYPES, Crash, Point, Way
from tests.chaos.wires import SwallowedAnswer, UnansweredHandshake, Wire
from tests.runs import PATIENCE, TASK, Run, media_of, needs_a_store, whole_airflow

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    needs_a_store,
    pytest.mark.timeout(900),  # the first test waits for Airflow's start too
]

DAG_FILE = Path(__file__).parent / "dags" / "crashes.py"
MAPPED_MEDIA = [media_of(f"{run_type}-{number}") for run_type in RUN_TYPES for number in range(INSTANCES)]
LONG = 3600
"""Seconds that a job takes whose test advances the clock."""


class Suite:
    """A running Airflow with a run for each line of the table."""

    def __init__(
        self, airflow: StandaloneAirflow, emulators: dict[str, EmulatorProcess], wires: dict[str, Wire], pids: Path
    ) -> None:
        self.airflow = airflow
        self.emulator = emulators[MAPPED]
        self.wires = wires
        self.pids = pids
        day = "2020-01-01T00:00:00Z"
        airflow.wait_for_dag(MAPPED)
        airflow.tell("POST", "/backfills", {"dag_id": MAPPED, "from_date": day, "to_date": day})
        self.runs = {
            dag_id: Run(airflow, emulator, dag_id, airflow.trigger(dag_id)) for dag_id, emulator in emulators.items()
        }

    def kill_worker(self, dag_id: str) -> None:
        """Kill the process of a DAG's task, in its first attempt."""
        os.kill(int((self.pids / f"{dag_id}-1").read_text()), signal.SIGKILL)


@pytest.fixture(scope="module")
def suite(ims_emulator_process: EmulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Start Airflow and a run of each DAG. Nobody may reset the emulator until the end of the module."""
    ims_emulator_process.reset()
    pids = tmp_path_factory.mktemp("pids")
    emulators = {MAPPED: ims_emulator_process}
    for media in MAPPED_MEDIA:
        ims_emulator_process.put_media(media, watermark=f"(c) {media}", processing_time=3)
    wires: dict[str, Wire] = {}
    connections = {"ims_default": ims_emulator_process.connection()}
    with ExitStack() as stack:
        for crash in CRASHES:
            has_own_clock = crash.point in {Point.POLLING, Point.BEFORE_DEFER, Point.DEFERRED}
            emulator = stack.enter_context(EmulatorProcess()) if has_own_clock else ims_emulator_process
            emulator.put_media(
                media_of(crash.dag_id), watermark=f"(c) {crash.dag_id}", processing_time=LONG if has_own_clock else 3
            )
            emulators[crash.dag_id] = emulator
            if has_own_clock:
                connections[crash.dag_id] = emulator.connection()
            if crash.point in {Point.CONNECTING, Point.ANSWERING}:
                silent = crash.point is Point.CONNECTING
                wire = stack.enter_context(UnansweredHandshake() if silent else SwallowedAnswer(emulator.endpoint))
                patient = emulator.connection(connect_timeout=PATIENCE, read_timeout=PATIENCE)
                connections[crash.dag_id] = {**patient, "host": wire.endpoint}
                wires[crash.dag_id] = wire
        env = {f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(fields) for conn_id, fields in connections.items()}
        sandbox = stack.enter_context(AirflowSandbox({**env, "IMS_PIDS": str(pids), "PYTHONPATH": str(ROOT)}))
        sandbox.add_dag(DAG_FILE)
        # Some workers are held where they are until their test comes.
        airflow = stack.enter_context(whole_airflow(sandbox, AIRFLOW__CORE__PARALLELISM="12"))
        yield Suite(airflow, emulators, wires, pids)


@pytest.mark.parametrize("crash", CRASHES, ids=lambda crash: crash.dag_id)
def test_crash_costs_no_second_job(crash: Crash, suite: Suite) -> None:
    """A worker that dies anywhere leaves one job to pay for, whose id and watermark arrive; or an honest error."""
    run = suite.runs[crash.dag_id]
    match crash.point:
        case Point.CONNECTING | Point.ANSWERING:
            assert suite.wires[crash.dag_id].used.wait(PATIENCE)
            suite.kill_worker(crash.dag_id)
        case Point.POLLING:
            run.wait_until_polled("running")
            suite.kill_worker(crash.dag_id)
            asked = polls(run)
            suite.airflow.wait_until("the second attempt polls", lambda: polls(run) > asked + 1, PATIENCE)
            run.emulator.advance(LONG)
        case Point.BEFORE_DEFER:
            run.wait_until_polled("deferred")
            run.emulator.advance(LONG)
        case Point.DEFERRED:
            run.wait_until_polled("deferred")
            suite.airflow.kill_component("triggerer")
            suite.airflow.start_component("triggerer")
            run.emulator.advance(LONG)
    assert run.wait_for_end() == ("failed" if crash.ends_unknown else "success"), run.story()
    assert run.task()["try_number"] == crash.attempts, run.story()
    billed = run.billed()
    assert len(billed) == crash.jobs
    if crash.ends_unknown:
        check_what_is_said(run)
        return
    assert run.xcom("return_value") == run.xcom("job_id") == billed[-1]
    assert run.xcom("ims_job_link")["job_id"] == billed[-1]
    assert run.xcom("request_id")
    if crash.way is not Way.SUBMIT:
        assert run.xcom("watermark") == f"(c) {crash.dag_id}"


def test_instances_and_runs_do_not_mix_their_jobs(suite: Suite) -> None:
    """Mapped instances and runs of all kinds that die at the same time each go on with the job of their own."""
    airflow = suite.airflow

    def ended() -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = airflow.request("GET", f"/dags/{MAPPED}/dagRuns")["dag_runs"]
        return runs if {run["run_type"] for run in runs if run["state"] in FINAL_STATES} == set(RUN_TYPES) else []

    runs = airflow.wait_until("runs of all kinds have ended", ended, PATIENCE)
    assert [run["state"] for run in runs] == ["success"] * len(RUN_TYPES)
    lines = [line for line in suite.emulator.bill()["lines"] if line["media"] in MAPPED_MEDIA]
    bill = {line["media"]: line["job_id"] for line in lines}
    assert len(bill) == len(lines) == len(MAPPED_MEDIA)
    for run in runs:
        instances = airflow.task_instances(MAPPED, run["dag_run_id"])
        assert sorted((ti["map_index"], ti["try_number"]) for ti in instances) == [(n, 2) for n in range(INSTANCES)]
        for number in range(INSTANCES):
            media = media_of(f"{run['run_type']}-{number}")
            for key, value in (("return_value", bill[media]), ("job_id", bill[media]), ("watermark", f"(c) {media}")):
                assert airflow.xcom(MAPPED, run["dag_run_id"], TASK, key, map_index=number) == value


def polls(run: Run) -> int:
    """Return how often the jobs of a run were asked for."""
    return sum(job["queries"] for job in run.jobs())


def check_what_is_said(run: Run) -> None:
    """Check that the second attempt says what is known of the first one's submission, and pushes nothing."""
    (failure,) = [line for line in run.log(2) if "ImsSubmitUnknownError" in json.dumps(line.get("error_detail"))]
    said = json.dumps(failure["error_detail"])
    for text in (
        "It is unknown whether SubmitCopyrightExtractJob of",
        run.media,
        "Attempt 1 of this task ended",
        "What is known: sent at 20",
        "request digest ",
        "clearing the task submits again",
        "ImsJobSensor",
    ):
        assert text in said
    with pytest.raises(ApiError):
        run.xcom("job_id")
