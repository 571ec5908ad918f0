"""Runs on the cluster, and their accounts: what was billed, what was lost, and what nothing explains."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dev.rest_api import FINAL_STATES, AirflowError
from tests.cluster.loads import Load, Way, media_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.cluster import Cluster

SUBMIT, QUERY = "SubmitCopyrightExtractJob", "QueryCopyrightExtractJob"
PROCESSING_TIME = 3600.0
"""Seconds of emulator time: a job ends when a test advances the clock."""
TIMEOUT = 600.0
"""Seconds. Long enough for everything that the tests wait for, also on a slow machine."""

EXPLANATIONS = (
    "Submitting again, which may be paid twice",
    "Submitting a new job",
    "Starting over: the task was cleared",
)
"""Log lines that say why a task submits once more."""
UNKNOWN = "ImsSubmitUnknownError"
GOES_ON = "This task no longer waits for job"


@dataclass(frozen=True)
class Instance:
    """A task instance at the end of a scenario.

    :param way: what it does with its job
    :param number: its map index
    :param state: its state; None if its run was deleted
    :param attempts: number of its attempts
    :param jobs: the JobIds on the bill
    :param xcoms: what it has pushed
    :param log: the text of all its logs
    """

    way: Way
    number: int
    state: str | None
    attempts: int
    jobs: list[str]
    xcoms: dict[str, Any]
    log: str

    @property
    def has_result(self) -> bool:
        """Whether it has succeeded with what it should push, of the job that was billed last."""
        expected = {"return_value": self.jobs[-1:], "job_id": self.jobs[-1:]}
        if self.way is not Way.SUBMIT:
            expected["watermark"] = [f"(c) {self.way}-{self.number}"]
        return self.state == "success" and all([self.xcoms.get(key)] == value for key, value in expected.items())

    @property
    def is_unknown(self) -> bool:
        """Whether it has failed because it does not know whether its submission created a job."""
        return self.state == "failed" and UNKNOWN in self.log

    @property
    def lost(self) -> int:
        """Number of results and jobs of which neither the result nor a log line says anything."""
        if self.has_result:
            return 0
        if self.state == "success":
            return 1
        return sum(job not in self.log for job in self.jobs) * (not self.is_unknown)

    @property
    def unexplained(self) -> int:
        """Number of bills after the first that no log line explains, and of failures for another reason."""
        explained = sum(self.log.count(text) for text in EXPLANATIONS)
        bills = max(0, len(self.jobs) - 1 - explained)
        failure = self.state not in {"success", None} and not self.is_unknown and GOES_ON not in self.log
        return bills + failure


@dataclass(frozen=True)
class Account:
    """A line of the table.

    :param scenario: what happened
    :param instances: all task instances
    :param note: what the scenario has hit
    :param seconds: how long it took
    """

    scenario: str
    instances: list[Instance]
    note: str
    seconds: float

    @property
    def bills(self) -> int:
        """Number of jobs on the bill."""
        return sum(len(one.jobs) for one in self.instances)

    @property
    def lost(self) -> int:
        """Number of lost results and jobs."""
        return sum(one.lost for one in self.instances)

    @property
    def unexplained(self) -> int:
        """Number of bills and failures that no log line explains."""
        return sum(one.unexplained for one in self.instances)

    @property
    def outcome(self) -> str:
        """The states of the task instances, for people."""
        states = Counter(
            "unknown submission" if one.is_unknown else str(one.state or "deleted") for one in self.instances
        )
        return ", ".join(f"{number} {state}" for state, number in sorted(states.items()))


HEADING = f"{'scenario':46}{'tasks':>6}{'bills':>6}{'lost':>6}{'unexplained':>12}{'s':>5}  outcome; what was hit"


def line(account: Account) -> str:
    """Return an account as a line of the table."""
    return (
        f"{account.scenario:46}{len(account.instances):>6}{account.bills:>6}{account.lost:>6}{account.unexplained:>12}"
        f"{account.seconds:>5.0f}  {account.outcome}; {account.note}"
    )


@dataclass
class Trial:
    """A run of a load.

    :param cluster: the cluster
    :param emulator: the service, whose bill counts
    :param load: the DAG
    :param run_id: id of the run
    """

    cluster: Cluster
    emulator: EmulatorProcess
    load: Load
    run_id: str
    began: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Put the videos and start the run."""
        for way, number in self.instances():
            media = media_of(self.run_id, way, number)
            self.emulator.put_media(media, watermark=f"(c) {way}-{number}", processing_time=PROCESSING_TIME)
        self.cluster.tell(
            "POST", f"/dags/{self.load.dag_id}/dagRuns", {"dag_run_id": self.run_id, "logical_date": None}
        )

    def instances(self) -> Iterator[tuple[Way, int]]:
        """Return what identifies each task instance."""
        return ((way, number) for way, size in self.load.tasks.items() for number in range(size))

    def states(self) -> dict[tuple[Way, int], str | None]:
        """Return the states of the task instances that exist."""
        rows = self.cluster.sql(
            "SELECT task_id, map_index, state FROM task_instance WHERE dag_id = %s AND run_id = %s AND map_index >= 0",
            self.load.dag_id,
            self.run_id,
        )
        return {(Way(task_id), number): state for task_id, number, state in rows}

    def jobs(self) -> dict[tuple[Way, int], list[dict[str, Any]]]:
        """Return the jobs of each task instance, the oldest first."""
        found: dict[str, list[dict[str, Any]]] = {}
        for job in self.emulator.jobs():
            found.setdefault(job["media"], []).append(job)
        return {(way, number): found.get(media_of(self.run_id, way, number), []) for way, number in self.instances()}

    def wait_until_polled(self, state: str = "deferred", way: Way = Way.DEFER) -> None:
        """Wait until all instances of a task are in a state, and the triggerer or worker has polled their jobs."""

        def polled() -> bool:
            jobs, states = self.jobs(), self.states()
            return all(
                states.get(key) == state and jobs[key] and jobs[key][-1]["queries"] > 1
                for key in self.instances()
                if key[0] is way
            )

        self.wait_until(f"all instances of {way} are {state} and polled", polled)

    def submitting(self) -> set[tuple[Way, int]]:
        """Return the instances whose submission has no response yet."""
        media = {media_of(self.run_id, *key): key for key in self.instances()}
        found = set()
        for request in self.emulator.requests():
            if request["action"] == SUBMIT and request["http_status"] is None:
                subject = json.loads(request["parameters"]["Input"])["Media"]
                found |= {media[subject]} if subject in media else set()
        return found

    def pids(self) -> dict[tuple[Way, int], int]:
        """Return the process ids of the instances that run."""
        rows = self.cluster.sql(
            "SELECT task_id, map_index, pid FROM task_instance "
            "WHERE dag_id = %s AND run_id = %s AND state = 'running' AND pid IS NOT NULL",
            self.load.dag_id,
            self.run_id,
        )
        return {(Way(task_id), number): pid for task_id, number, pid in rows}

    def wait_until(self, what: str, probe: Any, timeout: float = TIMEOUT) -> Any:
        """Wait until the result of a function is true, and return it."""
        return self.cluster.wait_until(f"{self.run_id}: {what}", probe, timeout)

    def finish(self) -> None:
        """Let the jobs end, and wait until all instances have ended."""
        sizes = sum(1 for _ in self.instances())

        def ended() -> bool:
            # Again and again: a retry may submit a job that is not there yet.
            self.emulator.advance(PROCESSING_TIME)
            states = self.states()
            return len(states) == sizes and all(state in FINAL_STATES for state in states.values())

        try:
            self.wait_until("all instances have ended", ended)
        except AirflowError as error:
            stuck = {key: state for key, state in self.states().items() if state not in FINAL_STATES}
            logs = "\n".join(f"{key}:\n{self.log(*key)[-3000:]}" for key in list(stuck)[:3])
            raise AirflowError(f"{error}\nNot ended: {stuck}\n{logs}") from None

    def account(self, scenario: str, note: str = "") -> Account:
        """Return the account of this run."""
        states, jobs = self.states(), self.jobs()
        billed = {bill["job_id"] for bill in self.emulator.bill()["lines"]}
        xcoms = self._xcoms()
        instances = [
            Instance(
                way,
                number,
                states.get((way, number)),
                len(self._attempts(way, number)),
                [job["job_id"] for job in jobs[way, number] if job["job_id"] in billed],
                xcoms.get((way, number), {}),
                self.log(way, number),
            )
            for way, number in self.instances()
        ]
        return Account(scenario, instances, note, time.monotonic() - self.began)

    def log(self, way: Way, number: int) -> str:
        """Return the logs of all attempts of an instance: of workers and triggerers."""
        return "\n".join(path.read_text(errors="replace") for path in self._logs(way, number))

    def _logs(self, way: Way, number: int) -> list[Path]:
        logs = self.cluster.sandbox.home / "logs" / f"dag_id={self.load.dag_id}" / f"run_id={self.run_id}"
        return sorted((logs / f"task_id={way}" / f"map_index={number}").glob("attempt=*"))

    def _attempts(self, way: Way, number: int) -> set[str]:
        return {found[0] for path in self._logs(way, number) if (found := re.match(r"attempt=\d+", path.name))}

    def _xcoms(self) -> dict[tuple[Way, int], dict[str, Any]]:
        rows = self.cluster.sql(
            "SELECT task_id, map_index, key, value FROM xcom WHERE dag_id = %s AND run_id = %s AND map_index >= 0",
            self.load.dag_id,
            self.run_id,
        )
        found: dict[tuple[Way, int], dict[str, Any]] = {}
        for task_id, number, key, value in rows:
            text = json.loads(value) if isinstance(value, str) and value.startswith('"') else value
            found.setdefault((Way(task_id), number), {})[key] = text
        return found
