"""The API server of a whole Airflow is killed with SIGKILL while tasks submit, and another one starts after a while.

``IMS_OUTAGES`` names the lengths of the outages in seconds, separated by commas. An outage affects tasks at all steps
of a submission at the same time. ``pytest -s`` prints a table of each outage.

While the API server is gone, Airflow terminates a task after three failed heartbeats (``[workers]
max_failed_heartbeats``). The supervisor sends them in turn with the other calls of the task, and tries each five times,
for 4 to 15 seconds. So a task that writes its record is terminated after a minute on average. If no write has succeeded
by then, only its log has the JobId.
"""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psutil  # type: ignore[import-untyped] # a dependency of Airflow, which ships no types
import pytest

from airflow_provider_ims.jobs.durable import KEY
from dev.rest_api import ApiError, free_port
from dev.sandbox import ROOT, AirflowSandbox
from tests.chaos.crash_points import STOPS, Step, Stop, Way
from tests.chaos.wires import Relay
from tests.runs import TIMEOUT, Run, media_of, needs_a_store, whole_airflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.standalone import StandaloneAirflow

pytestmark = [
    needs_a_store,
    pytest.mark.timeout(900),  # the first test also waits for the start of Airflow
]

T = TypeVar("T")

DAG_FILE = Path(__file__).parent / "dags" / "api_server.py"
OUTAGES = [int(seconds) for seconds in os.environ.get("IMS_OUTAGES", "5,20").split(",")]
KILL_TIMEOUT = 10.0
SETTINGS = {
    # Airflow's default. It matters here: it decides when Airflow ends a task whose heartbeats fail.
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5",
    # All tasks run at the same time.
    "AIRFLOW__CORE__PARALLELISM": str(len(STOPS)),
}


@dataclass(frozen=True)
class Result:
    """How a task has ended.

    :param row: its row of the table
    :param state: the task's final state
    :param billed: the JobIds on its bill
    :param record: its record
    :param xcoms: its XComs
    :param logs: the logs of its attempts
    :param terminated_after: seconds from the kill of the API server to the end of its first process, if Airflow has
        terminated it
    """

    row: Stop
    state: str
    billed: list[str]
    record: dict[str, Any]
    xcoms: dict[str, Any]
    logs: list[list[dict[str, Any]]] = field(repr=False)
    terminated_after: float | None

    @property
    def lost(self) -> list[str]:
        """The jobs that are billed and neither in the record nor in an XCom."""
        return sorted({*self.billed} - {self.record.get("job_id"), self.xcoms["job_id"]})

    @property
    def failures(self) -> list[str]:
        """How each attempt without success has ended."""
        return [
            self._failure(log, is_first=number == 0)
            for number, log in enumerate(self.logs)
            if self.state != "success" or number < len(self.logs) - 1
        ]

    def _failure(self, log: list[dict[str, Any]], *, is_first: bool) -> str:
        if is_first and self.terminated_after is not None:
            return "terminated"
        if not any(line["event"] == "::group::Pre Execute" for line in log):
            return "not started"
        events = {line["event"]: line for line in log if line.get("error_detail")}
        if failed := events.get("Task failed with exception"):
            return str(failed["error_detail"][0]["exc_type"])
        return "not reported" if "Failed to report terminal task state to supervisor" in events else "?"


class Outage:
    """An Airflow whose API server goes, and its tasks.

    :param airflow: a running Airflow, whose clients reach the API server over the relay
    :param relay: where the API server can be replaced
    :param emulator: the service
    :param pids: the directory to which the DAGs write the process ids
    """

    def __init__(self, airflow: StandaloneAirflow, relay: Relay, emulator: EmulatorProcess, pids: Path) -> None:
        self.airflow = airflow
        self.emulator = emulator
        self._relay = relay
        self._pids = pids
        self._runs: dict[Stop, Run] = {}
        self._began = 0.0

    def start_tasks(self) -> None:
        """Start a run of each DAG, and wait until all tasks are at their step."""
        self.emulator.reset()
        for row in STOPS:
            dag_id = row.dag_id
            self.emulator.put_media(media_of(dag_id), watermark=f"(c) {dag_id}", processing_time=3)
            self._runs[row] = Run(self.airflow, self.emulator, dag_id, self.airflow.trigger(dag_id))
            is_at_its_step = functools.partial(self._is_at_its_step, row)
            self.airflow.wait_until(f"{dag_id} is at its step", is_at_its_step, TIMEOUT)

    def happen(self, seconds: float) -> None:
        """Kill the API server, let the tasks go on, and have another API server take its place.

        :param seconds: how long there is no API server
        """
        old, new = int(self.airflow.env["AIRFLOW__API__PORT"]), free_port()
        # It starts while the old one runs: the outage lasts as long as it should on machines of any speed.
        self.airflow.env["AIRFLOW__API__PORT"] = str(new)
        self.airflow.start_component("api-server")
        self.airflow.wait_until("another API server responds", functools.partial(responds, new), TIMEOUT)
        self._relay.refuse()
        end, self._began = time.monotonic() + seconds, time.time()
        self._kill_api_server(old)
        for row in STOPS:
            os.kill(self._pid(row), signal.SIGCONT)
        time.sleep(max(0.0, end - time.monotonic()))
        self._relay.pass_on_to(new)

    def results(self) -> list[Result]:
        """Wait until all runs have ended, and return how."""
        return [self._result(row, run) for row, run in self._runs.items()]

    def _result(self, row: Stop, run: Run) -> Result:
        state = run.wait_for_end()
        return Result(
            row,
            state,
            run.billed(),
            run.record(KEY) or {},
            {key: if_found(run.xcom, key) for key in ("return_value", "job_id", "watermark")},
            # Airflow has no log of an attempt that it could not start.
            [if_found(run.log, attempt) or [] for attempt in range(1, run.task()["try_number"] + 1)],
            self._terminated_after(self._pid(row)),
        )

    def _terminated_after(self, pid: int) -> float | None:
        line = rf"(\S+Z) .*Process exited.*\bpid={pid}\b.*signal_sent=SIG"
        found = re.search(line, self.airflow.log.read_text(errors="replace"))
        return datetime.fromisoformat(found[1]).timestamp() - self._began if found else None

    def _kill_api_server(self, port: int) -> None:
        title = f"api_server -- host:127.0.0.1 port:{port}"
        pids = self.airflow.processes(title)
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.airflow.wait_until("the API server has ended", lambda: not self.airflow.processes(title), KILL_TIMEOUT)

    def _pid(self, row: Stop) -> int:
        return int((self._pids / f"{row.dag_id}-{self._runs[row].run_id}").read_text().split()[0])

    def _is_at_its_step(self, row: Stop) -> bool:
        try:
            return bool(psutil.Process(self._pid(row)).status() == psutil.STATUS_STOPPED)
        except (FileNotFoundError, IndexError):  # the task has not started
            return False


def if_found(read: Callable[..., T], *args: Any) -> T | None:
    """Return what a call to the REST API returns, None if the response is 404."""
    try:
        return read(*args)
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return None


def responds(port: int) -> bool:
    """Whether an API server responds at a port."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{port}/api/v2/version"):
        return True


def table(seconds: int, results: list[Result]) -> str:
    """Return a line for each step."""
    times = sorted(result.terminated_after for result in results if result.terminated_after is not None)
    lines = [
        f"API server gone for {seconds} s. Airflow has terminated {len(times)} of {len(results)} processes"
        + (f", after {times[0]:.0f} to {times[-1]:.0f} s" if times else ""),
        f"{'step':20}{'tasks':>6}{'bills':>6}{'lost':>6}  final states; failed attempts",
    ]
    for step in Step:
        found = [result for result in results if result.row.step is step]
        bills, lost = sum(len(result.billed) for result in found), sum(len(result.lost) for result in found)
        states = Counter(result.state for result in found)
        failures = Counter(failure for result in found for failure in result.failures)
        lines.append(
            f"{step.replace('_', ' '):20}{len(found):>6}{bills:>6}{lost:>6}  {listed(states)}; {listed(failures)}"
        )
    return "\n".join(lines)


def listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


@pytest.fixture(scope="module")
def outage(ims_emulator_process: EmulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    """Start an Airflow whose clients reach the API server over a relay."""
    emulator = ims_emulator_process
    pids = tmp_path_factory.mktemp("pids")
    env = {"AIRFLOW_CONN_IMS_DEFAULT": emulator.connection_json(), "IMS_PIDS": str(pids), "PYTHONPATH": str(ROOT)}
    port = free_port()
    with AirflowSandbox(env) as sandbox, Relay() as relay:
        sandbox.add_dag(DAG_FILE)
        relay.pass_on_to(port)
        with whole_airflow(sandbox, {**SETTINGS, "AIRFLOW__API__PORT": str(port)}, port=relay.port) as airflow:
            yield Outage(airflow, relay, emulator, pids)


@pytest.mark.parametrize("seconds", OUTAGES)
def test_outage_of_the_api_server_costs_no_second_job_and_loses_none(seconds: int, outage: Outage) -> None:
    """A task has one job, and its JobId is in the record or in an XCom, unless Airflow has terminated the process."""
    outage.start_tasks()
    outage.happen(seconds)
    results = outage.results()
    print(f"\n{table(seconds, results)}")  # noqa: T201 - for pytest -s
    for result in results:
        check(result)


def check(result: Result) -> None:
    """Check that a task has no second job, that its job is not lost, and that its failure has a reason."""
    assert len(result.billed) <= 1, result
    if result.lost:
        assert result.terminated_after is not None, result
        assert result.lost[0] in json.dumps(result.logs[0]), result
    if result.state != "success":
        # Or Airflow had no attempt left that it could start.
        assert result.failures[-1] in {"ImsSubmitUnknownError", "not started"}, result
        return
    assert result.billed == [result.xcoms["return_value"]] == [result.xcoms["job_id"]], result
    assert result.record["job_id"] == result.billed[0], result
    if result.row.way is not Way.SUBMIT:
        assert result.xcoms["watermark"] == f"(c) {result.row.dag_id}", result
