"""A real triggerer with many deferred tasks over TLS: all of them end, no resource leaks, no odd text harms the others.

``IMS_SOAK_POLLS`` sets the number of polls, by default six for each job. Jobs that take an hour need about 60 each.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped] # a dependency of Airflow, which ships no types
import pytest

from airflow_provider_ims.api.rate_limit import IN_FLIGHT
from airflow_provider_ims.emulator.process import EmulatorProcess
from benchmarks.certificate import self_signed
from dev.sandbox import AirflowSandbox
from tests.runs import AIRFLOW, exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.skipif(AIRFLOW < (3, 3), reason="the deferred tasks are rows of Airflow 3.3's database"),
    pytest.mark.timeout(1800),
]

JOBS = 1000
POLLS = int(os.environ.get("IMS_SOAK_POLLS", str(6 * JOBS)))
POLLS_PER_SECOND = 200
QUERY = "QueryCopyrightExtractJob"
MEDIA = "oss://waiting/clip.mp4"
HOUR = 3600
TIMEOUT = 120.0
DAG_ID = "waiting"
DAG = f"""
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator

with DAG({DAG_ID!r}, schedule=None):
    ImsSubmitCopyrightExtractJobOperator(task_id="extract", input_media={MEDIA!r}, deferrable=True)
"""
MIB = 2**20
POOL = 32
"""Most threads in the pool of asyncio."""


@dataclass(frozen=True)
class Triggerer:
    """A running triggerer with the deferred tasks, and the emulator that has their jobs."""

    supervisor: Any
    """The process that accesses the database."""
    process: Any
    """Its child, which runs the triggers."""
    emulator: EmulatorProcess
    database: Path
    log: Path

    def polls(self) -> int:
        """Return how often the jobs were polled."""
        return sum(job["queries"] for job in self.emulator.jobs())

    def tasks(self) -> list[tuple[str, str]]:
        """Return state and event of each task."""
        with closing(sqlite3.connect(self.database, timeout=30)) as connection:
            return connection.execute("SELECT state, next_kwargs FROM task_instance WHERE map_index >= 0").fetchall()

    def ended(self) -> list[str]:
        """Return the events of the tasks that are not deferred any more."""
        # Decoded: Airflow stores odd characters as escapes.
        return [
            json.dumps(json.loads(event), ensure_ascii=False) for state, event in self.tasks() if state == "scheduled"
        ]

    def wait_until(self, what: str, condition: Callable[[], bool], timeout: float = TIMEOUT) -> None:
        """Wait until a condition holds."""
        wait_until(what, condition, self.process, self.log, timeout)


def wait_until(what: str, condition: Callable[[], bool], process: Any, log: Path, timeout: float = TIMEOUT) -> None:
    """Check a condition repeatedly until it holds; fail at the time-out, or if the process ends."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}\n{log.read_text()[-3000:]}"
        assert process.is_running(), log.read_text()[-3000:]
        time.sleep(0.5)


@pytest.fixture
def triggerer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Triggerer]:
    """Defer as many tasks as the parameter says, start a triggerer, and return it when it has polled each job."""
    jobs: int = request.param
    certificate = self_signed(tmp_path)
    with EmulatorProcess(tls_cert=certificate.path, tls_key=certificate.key) as emulator:
        emulator.put_media(MEDIA, watermark="(c) Waiting", processing_time=2 * HOUR)
        env = {
            "AIRFLOW_CONN_IMS_DEFAULT": emulator.connection_json(max_requests_per_second=POLLS_PER_SECOND),
            "SSL_CERT_FILE": str(certificate.trusted),
        }
        with exclusive(), AirflowSandbox(env) as sandbox:
            sandbox.migrate()
            sandbox.add_dag(DAG, "waiting.py")
            sandbox.airflow("dags", "reserialize")
            arguments = {
                "since": time.time(),
                "deadline": time.time() + 24 * HOUR,
                "poll_interval": jobs / POLLS_PER_SECOND,
                "max_poll_interval": jobs / POLLS_PER_SECOND,
                "polls": 1,
            }
            script = str(Path(__file__).with_name("deferred_tasks.py"))
            sandbox.python(script, DAG_ID, str(jobs), json.dumps(arguments))
            log = sandbox.home / "triggerer.log"
            with (
                log.open("wb") as output,
                subprocess.Popen(
                    [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs"],
                    env=sandbox.env,
                    cwd=sandbox.home,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                ) as process,
            ):
                try:
                    yield wait_for_first_polls(process.pid, emulator, sandbox.home / "airflow.db", log)
                finally:
                    family = [*psutil.Process(process.pid).children(recursive=True), process]
                    for member in family:
                        member.kill()


def job_id_in(event: str) -> str:
    """Return the JobId of an event, in any form in which Airflow stores it."""
    (job_id,) = set(re.findall(r'"([0-9a-f]{32})"', event))
    return str(job_id)


def wait_for_first_polls(pid: int, emulator: EmulatorProcess, database: Path, log: Path) -> Triggerer:
    """Return the triggerer when it has polled each job."""
    supervisor = psutil.Process(pid)
    wait_until("there is a process for the triggers", lambda: bool(supervisor.children()), supervisor, log)
    triggerer = Triggerer(supervisor, supervisor.children()[0], emulator, database, log)
    triggerer.wait_until("each job was polled", lambda: all(job["queries"] for job in emulator.jobs()))
    return triggerer


@pytest.mark.parametrize("triggerer", [JOBS], indirect=True)
def test_thousand_deferred_tasks_end_without_leaks(triggerer: Triggerer, capsys: pytest.CaptureFixture[str]) -> None:
    """A thousand deferred tasks share a few connections, leak no memory, files or threads, and get their results."""
    process, emulator = triggerer.process, triggerer.emulator
    begun, polls_before = time.monotonic(), triggerer.polls()
    memory, files, threads = process.memory_info().rss, process.num_fds(), process.num_threads()
    triggerer.wait_until("the jobs were polled often enough", lambda: triggerer.polls() >= POLLS, TIMEOUT + POLLS / 50)
    rate = (triggerer.polls() - polls_before) / (time.monotonic() - begun)
    grown = (process.memory_info().rss - memory) / MIB
    figures = (
        f"{triggerer.polls()} polls, {rate:.0f} per second; memory {memory / MIB:.0f} MiB, {grown:+.1f}; "
        f"files {files}, {process.num_fds() - files:+d}; threads {threads}, {process.num_threads() - threads:+d}"
    )
    with capsys.disabled():
        sys.stdout.write(f"\n{figures}\n")
    assert rate <= POLLS_PER_SECOND * 1.05
    assert grown < 10
    # The pools of connections and threads may still grow to their limits; a leak would grow with each job.
    assert process.num_fds() <= files + IN_FLIGHT
    assert process.num_threads() <= threads + POOL
    emulator.advance(2 * HOUR)
    triggerer.wait_until("all have ended", lambda: len(triggerer.ended()) == JOBS)
    events = triggerer.ended()
    assert sum("(c) Waiting" in event for event in events) == JOBS
    assert {job["job_id"] for job in emulator.jobs()} == {job_id_in(event) for event in events}
    used = {request["connection"] for request in emulator.requests() if request["action"] == QUERY}
    assert len(used) <= IN_FLIGHT
    assert emulator.bill()["jobs"] == JOBS


@pytest.mark.parametrize("triggerer", [100], indirect=True)
def test_odd_text_of_one_job_harms_no_other_wait(triggerer: Triggerer) -> None:
    """A lone surrogate, NUL, ESC and a direction mark in one response are replaced, and all 100 events are right."""
    emulator = triggerer.emulator
    odd = json.dumps({"RequestId": "R", "Data": {"Message": "half \ud83d nul \x00 esc \x1b turn \u202e end"}})
    emulator.fault(QUERY, "answer", nth=50, body=odd)
    triggerer.wait_until("the job with the odd text has ended", lambda: len(triggerer.ended()) == 1)
    polls = triggerer.polls()
    triggerer.wait_until("the others are polled again", lambda: triggerer.polls() >= polls + 100)
    emulator.advance(2 * HOUR)
    triggerer.wait_until("all have ended", lambda: len(triggerer.ended()) == 100)
    (odd_job,) = [request["parameters"]["JobId"] for request in emulator.requests() if request["fault"]]
    results = {job_id_in(event): event for event in triggerer.ended()}
    assert results.keys() == {job["job_id"] for job in emulator.jobs()}
    assert all('"succeeded"' in event for event in results.values())
    assert '"half \ufffd nul \ufffd esc \ufffd turn \ufffd end"' in results.pop(odd_job)
    assert len(results) == 99
    assert all('"(c) Waiting"' in event for event in results.values())
    assert triggerer.process.is_running()
    assert triggerer.supervisor.children() == [triggerer.process]
    assert emulator.bill()["jobs"] == 100
