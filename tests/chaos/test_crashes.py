"""Workers and the triggerer of a whole Airflow are killed with SIGKILL at each point of a task: it has one job.

The runs start before the first test, except those whose worker waits for a stub server. Each test checks one run.
``IMS_STATE_STORES`` names the state-store backends that it runs on.
"""

from __future__ import annotations

import functools
import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.emulator.process import EmulatorProcess
from dev.rest_api import FINAL_STATES, ApiError
from dev.sandbox import ROOT, AirflowSandbox
from tests.chaos.crash_points import CRASHES, INSTANCES, MAPPED, RUN_TYPES, Crash, Point, Way
from tests.chaos.families import put_media
from tests.chaos.wires import DroppedResponse, HangingHandshake, StubServer
from tests.runs import STATE_STORES, TASK, TIMEOUT, Run, media_of, needs_a_store, state_store, whole_airflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.standalone import StandaloneAirflow

pytestmark = [
    needs_a_store,
    pytest.mark.timeout(900),  # the first test also waits for the start of Airflow
]

DAG_FILE = Path(__file__).parent / "dags" / "crashes.py"
MAPPED_MEDIA = [media_of(f"{run_type}-{number}") for run_type in RUN_TYPES for number in range(INSTANCES)]
LONG = 3600
"""Duration in seconds of a job whose test advances the clock."""


class Suite:
    """A running Airflow with a run for each row of the table."""

    def __init__(
        self,
        airflow: StandaloneAirflow,
        emulators: dict[str, EmulatorProcess],
        servers: dict[str, StubServer],
        pids: Path,
    ) -> None:
        self.airflow = airflow
        self.emulators = emulators
        self.emulator = emulators[MAPPED]
        self.servers = servers
        self.pids = pids
        day = "2020-01-01T00:00:00Z"
        airflow.wait_for_dag(MAPPED)
        airflow.tell("POST", "/backfills", {"dag_id": MAPPED, "from_date": day, "to_date": day})
        self.runs: dict[str, Run] = {}
        airflow.trigger(MAPPED)
        # A worker cannot wait for a stub until its test: asyncio ends a TLS handshake after a minute.
        for dag_id in emulators:
            if dag_id != MAPPED and dag_id not in servers:
                self.start(dag_id)

    def start(self, dag_id: str) -> Run:
        """Start a run and wait until its task has started.

        SQLite stays locked for longer than Airflow waits if many tasks start at once.
        """
        run = Run(self.airflow, self.emulators[dag_id], dag_id, self.airflow.trigger(dag_id))
        self.airflow.wait_until(f"{dag_id} has started", functools.partial(has_started, run), TIMEOUT)
        self.runs[dag_id] = run
        return run

    def kill_worker(self, dag_id: str) -> None:
        """Kill the process of the first attempt of a DAG's task."""
        os.kill(int((self.pids / f"{dag_id}-1").read_text()), signal.SIGKILL)


def has_started(run: Run) -> bool:
    """Whether the first attempt of a run's task has started."""
    return run.task()["state"] not in {None, "scheduled", "queued"}


@pytest.fixture(scope="module", params=STATE_STORES)
def suite(
    request: pytest.FixtureRequest, ims_emulator_process: EmulatorProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Suite]:
    """Start Airflow and a run of each DAG. No test of this module may reset the emulator."""
    ims_emulator_process.reset()
    pids = tmp_path_factory.mktemp("pids")
    emulators = {MAPPED: ims_emulator_process}
    for media in MAPPED_MEDIA:
        ims_emulator_process.put_media(media, watermark=f"(c) {media}", processing_time=3)
    servers: dict[str, StubServer] = {}
    connections = {"ims_default": ims_emulator_process.connection()}
    with ExitStack() as stack:
        for crash in CRASHES:
            has_own_clock = crash.point in {Point.POLLING, Point.BEFORE_DEFER, Point.DEFERRED}
            emulator = stack.enter_context(EmulatorProcess()) if has_own_clock else ims_emulator_process
            put_media(emulator, media_of(crash.dag_id), processing_time=LONG if has_own_clock else 3)
            emulators[crash.dag_id] = emulator
            if has_own_clock:
                connections[crash.dag_id] = emulator.connection()
            if crash.point in {Point.CONNECTING, Point.BEFORE_RESPONSE}:
                is_connecting = crash.point is Point.CONNECTING
                server = stack.enter_context(
                    HangingHandshake() if is_connecting else DroppedResponse(emulator.endpoint)
                )
                slow = emulator.connection(connect_timeout=TIMEOUT, read_timeout=TIMEOUT)
                connections[crash.dag_id] = {**slow, "host": server.endpoint}
                servers[crash.dag_id] = server
        env = {f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(fields) for conn_id, fields in connections.items()}
        sandbox = stack.enter_context(AirflowSandbox({**env, "IMS_PIDS": str(pids), "PYTHONPATH": str(ROOT)}))
        sandbox.add_dag(DAG_FILE)
        # Some workers stay at their crash point until their test runs.
        store = state_store(request.param, tmp_path_factory.mktemp("objects"))
        airflow = stack.enter_context(whole_airflow(sandbox, {"AIRFLOW__CORE__PARALLELISM": "12", **store}))
        yield Suite(airflow, emulators, servers, pids)


@pytest.mark.parametrize("crash", CRASHES, ids=lambda crash: crash.dag_id)
def test_crash_costs_no_second_job(crash: Crash, suite: Suite) -> None:
    """After a crash, the task has one job with its id and result, or fails because the submission is unknown."""
    run = suite.runs.get(crash.dag_id) or suite.start(crash.dag_id)
    match crash.point:
        case Point.CONNECTING | Point.BEFORE_RESPONSE:
            assert suite.servers[crash.dag_id].reached.wait(TIMEOUT)
            suite.kill_worker(crash.dag_id)
        case Point.POLLING:
            run.wait_until_polled("running")
            suite.kill_worker(crash.dag_id)
            polls_before = polls(run)
            suite.airflow.wait_until("the second attempt polls", lambda: polls(run) > polls_before + 1, TIMEOUT)
            run.emulator.advance(LONG)
        case Point.BEFORE_DEFER:
            run.wait_until_polled("deferred")
            run.emulator.advance(LONG)
        case Point.DEFERRED:
            run.wait_until_polled("deferred")
            suite.airflow.kill_component("triggerer")
            suite.airflow.start_component("triggerer")
            run.emulator.advance(LONG)
    assert run.wait_for_end() == ("failed" if crash.is_unknown else "success"), run.report()
    assert run.task()["try_number"] == crash.attempts, run.report()
    billed = run.billed()
    assert len(billed) == crash.jobs
    assert "cancelled" not in {job["state"] for job in run.jobs()}
    if crash.is_unknown:
        check_unknown_submission(run, crash.family.job_type.submit_action)
        return
    assert run.xcom("return_value") == run.xcom("job_id") == billed[-1]
    assert run.xcom("ims_job_link")["job_id"] == billed[-1]
    assert run.xcom("request_id")
    if crash.way is not Way.SUBMIT:
        result = run.xcom(crash.family.job_type.result_name)
        assert crash.family.result(run.media) in json.dumps(result)


def test_instances_and_runs_do_not_mix_their_jobs(suite: Suite) -> None:
    """Mapped instances and runs of all types that crash at the same time each resume their own job."""
    airflow = suite.airflow

    def ended() -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = airflow.request("GET", f"/dags/{MAPPED}/dagRuns")["dag_runs"]
        return runs if {run["run_type"] for run in runs if run["state"] in FINAL_STATES} == set(RUN_TYPES) else []

    runs = airflow.wait_until("runs of all types have ended", ended, TIMEOUT)
    assert [run["state"] for run in runs] == ["success"] * len(RUN_TYPES)
    lines = [line for line in suite.emulator.bill()["lines"] if line["media"] in MAPPED_MEDIA]
    bill = {line["media"]: line["job_id"] for line in lines}
    assert len(bill) == len(lines) == len(MAPPED_MEDIA)
    for run in runs:
        instances = airflow.task_instances(MAPPED, run["dag_run_id"])
        assert sorted(ti["map_index"] for ti in instances) == list(range(INSTANCES))
        # Airflow may start more than one after the crash: SQLite is locked when all tasks start at once.
        assert min(ti["try_number"] for ti in instances) > 1
        for number in range(INSTANCES):
            media = media_of(f"{run['run_type']}-{number}")
            for key, value in (("return_value", bill[media]), ("job_id", bill[media]), ("watermark", f"(c) {media}")):
                assert airflow.xcom(MAPPED, run["dag_run_id"], TASK, key, map_index=number) == value


def polls(run: Run) -> int:
    """Return how often the jobs of a run were polled."""
    return sum(job["queries"] for job in run.jobs())


def check_unknown_submission(run: Run, action: str) -> None:
    """Check that the second attempt logs what is known of the unknown submission, and pushes nothing."""
    (failure,) = [line for line in run.log(2) if "ImsSubmitUnknownError" in json.dumps(line.get("error_detail"))]
    message = json.dumps(failure["error_detail"])
    for text in (
        f"It is unknown whether {action} of",
        run.media,
        "Attempt 1 of this task ended",
        "What is known: sent at 20",
        "request digest ",
        "clearing the task submits again",
        "ImsJobSensor",
    ):
        assert text in message
    with pytest.raises(ApiError):
        run.xcom("job_id")
