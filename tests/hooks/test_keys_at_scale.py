"""A thousand waits of one connection over a day of temporary keys, and over a rotation of fixed keys.

The waits run in virtual time (``tests/virtual_time.py``) with the default limits; hooks, transport and sockets are
real, and so is the emulator, which runs on the same event loop: it verifies each signature, and refuses expired keys.
``IMS_WAITS`` sets the number of waits, 1,000 at most. ``pytest -s`` prints a table of the results.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_credentials.utils import parameter_helper

from airflow_provider_ims.api import masking
from airflow_provider_ims.api.rate_limit import IN_FLIGHT
from airflow_provider_ims.emulator.faults import Fault, FaultKind
from airflow_provider_ims.emulator.identity import Role
from airflow_provider_ims.emulator.journal import Journal
from airflow_provider_ims.emulator.keys import NOT_FOUND, Credentials
from airflow_provider_ims.emulator.media import MediaObject
from airflow_provider_ims.emulator.server import EmulatorServer
from airflow_provider_ims.emulator.service import Service, Settings
from airflow_provider_ims.emulator.signature import Verifier
from airflow_provider_ims.emulator.state import EmulatorState
from airflow_provider_ims.hooks.waiting import WaitingHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.outcome import OutcomeKind
from airflow_provider_ims.jobs.polling import MAX_POLL_INTERVAL, POLL_INTERVAL, JobWait
from tests.secrets_backend import RotatingBackend
from tests.virtual_time import run_in_virtual_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from airflow_provider_ims.emulator.journal import RequestRecord
    from airflow_provider_ims.emulator.keys import AccessKey, KeyStore
    from airflow_provider_ims.emulator.signature import SignedRequest
    from airflow_provider_ims.jobs.outcome import JobOutcome

pytestmark = pytest.mark.timeout(600)

WAITS = min(1000, int(os.environ.get("IMS_WAITS", "1000")))
MEDIA = "oss://rights-evidence/clip.mp4"
RESULT = "(c) Studio"
CONN_ID = "ims_rotated"
ROLE = "acs:ram::1234567890123456:role/worker"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
REFRESHED_AFTER = 45 * MINUTE
"""Seconds after which the next keys are fetched: they are valid for an hour."""
PAUSE = 3.6
"""Seconds between two polls of all waits together: with 1,000 of them, each polls once an hour."""
QUERY = "QueryCopyrightExtractJob"
FAILED = "Poll %d of job %s failed (%d in a row), polling again: %s"
MOST_THREADS = min(32, (os.cpu_count() or 1) + 4)
"""Threads of an event loop's executor."""


# ---- the emulator on the event loop of the waits


class RecordingJournal(Journal):
    """A log of requests that keeps all of them, and when they arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[tuple[float, RequestRecord]] = []

    def open(self, **fields: Any) -> RequestRecord:
        record = super().open(**fields)
        self.all.append((time.time(), record))
        return record


class RecordingVerifier(Verifier):
    """Keeps when each key has signed a request that was accepted last."""

    def __init__(self, keys: KeyStore) -> None:
        super().__init__(keys)
        self.last_use: dict[str, float] = {}

    def verify(self, request: SignedRequest, now: float) -> AccessKey:
        key = super().verify(request, now)
        self.last_use[key.credentials.access_key_id] = now
        return key


class Emulator:
    """The emulator, with a job that ends when it says.

    :param duration: seconds that the job takes
    """

    def __init__(self, duration: float) -> None:
        self.key = Credentials("first-id", "first-secret")
        self.state = EmulatorState(self.key, Service("cn-shanghai", Settings(processing_time=duration)))
        self.state.identity.roles[ROLE] = Role(ROLE)
        self.state.service.media[MEDIA] = MediaObject(MEDIA, watermark=RESULT)
        self.journal = self.state.journal = RecordingJournal()
        self.verifier = self.state.verifier = RecordingVerifier(self.state.identity.keys)
        self.endpoint = ""

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        server = EmulatorServer(self.state)
        runner = server.runner()
        await runner.setup()
        self.endpoint = f"http://127.0.0.1:{await server.listen(runner, '127.0.0.1', 0, None)}"
        try:
            yield
        finally:
            await runner.cleanup()

    def connection(self, **extra: Any) -> str:
        """Return a connection with the current fixed key as JSON."""
        return json.dumps(
            {
                "conn_type": "ims",
                "login": self.key.access_key_id,
                "password": self.key.access_key_secret,
                "host": self.endpoint,
                "extra": {"region_id": "cn-shanghai", **extra},
            }
        )

    def create_key(self) -> str:
        """Add another fixed key, and return the id of the earlier one."""
        old, self.key = self.key, Credentials("second-id", "second-secret")
        self.state.identity.keys.rotate(self.key, None)
        return old.access_key_id

    def delete_key(self, key_id: str) -> None:
        """Refuse a fixed key from now on."""
        self.state.identity.keys.refuse(lambda key: key.credentials.access_key_id == key_id, NOT_FOUND)

    def codes(self, action: str) -> Counter[str | None]:
        """Return how often an action got each code."""
        return Counter(record.code for _, record in self.journal.all if record.action == action)

    def issued_at(self) -> list[float]:
        """Return when temporary keys were issued."""
        return [at for at, record in self.journal.all if (record.action, record.code) == ("AssumeRole", "OK")]


# ---- the waits


@dataclass
class Waits:
    """Waits for one job, which start together.

    :param emulator: where the job is
    :param interval: seconds between the first polls
    :param longest: the longest pause between two polls, in seconds
    """

    emulator: Emulator
    interval: float = POLL_INTERVAL
    longest: float = MAX_POLL_INTERVAL
    ended: list[JobOutcome] = field(default_factory=list)
    messages: Counter[str] = field(default_factory=Counter)
    """How often each message was logged."""
    most_failed: int = 0
    """The most polls of a wait that failed in a row."""

    async def run(self, conn_id: str) -> None:
        log = logging.Logger(conn_id)  # noqa: LOG001 - of these waits only
        log.addFilter(self._count)
        hook = WaitingHook(ims_conn_id=conn_id)
        job_id = (await hook.asubmit(COPYRIGHT_EXTRACT, {"Input": {"Type": "OSS", "Media": MEDIA}})).job_id
        await hook.aclose()
        async with asyncio.TaskGroup() as group:
            for _ in range(WAITS):
                now = time.time()
                wait = JobWait(
                    COPYRIGHT_EXTRACT,
                    job_id,
                    since=now,
                    deadline=now + 2 * DAY,
                    poll_interval=self.interval,
                    max_poll_interval=self.longest,
                    polls=1,  # so that the first polls are spread
                    log=log,
                )
                group.create_task(self._wait(wait, WaitingHook(ims_conn_id=conn_id)))

    async def _wait(self, wait: JobWait, hook: WaitingHook) -> None:
        try:
            self.ended.append(await hook.apoll_until_done(wait))
        finally:
            await hook.aclose()

    def _count(self, record: logging.LogRecord) -> bool:
        self.messages[str(record.msg)] += 1
        if record.msg == FAILED and isinstance(record.args, tuple):
            self.most_failed = max(self.most_failed, int(str(record.args[2])))
        return False

    def check_results(self) -> None:
        """Each wait has ended with the result."""
        assert Counter((ended.kind, ended.result) for ended in self.ended) == {(OutcomeKind.SUCCEEDED, RESULT): WAITS}


@dataclass
class Usage:
    """Threads and open sockets of this process, each hour."""

    threads: list[int] = field(default_factory=list)
    sockets: list[int] = field(default_factory=list)

    def note(self) -> None:
        self.threads.append(threading.active_count())
        links = [os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()]
        self.sockets.append(sum("socket:" in link for link in links))

    async def note_each_hour(self) -> None:
        while True:
            await asyncio.sleep(HOUR)
            self.note()


class Table:
    """The results, as rows of a table."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, dict[str, object]]] = []

    def add(self, name: str, **values: object) -> None:
        self.rows.append((name, values))

    def __str__(self) -> str:
        return "\n".join(f"| {' | '.join((name, *map(_cell, values.items())))} |" for name, values in self.rows)


def _cell(value: tuple[str, object]) -> str:
    return f"{value[0].replace('_', ' ')}: {value[1]}"


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    """Print the table when all tests have run."""
    table = Table()
    yield table
    print(f"\n{table}")  # noqa: T201 - for pytest -s


# ---- temporary keys


@pytest.mark.parametrize("failing", [0, 2], ids=["STS works", "the first two refreshes fail each time"])
def test_keys_of_a_role_are_refreshed_for_all_waits_together(
    failing: int, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a day, keys are fetched once for each 45 minutes, however many waits there are, and no poll fails."""
    # The library dates its requests with another clock than those of virtual time.
    monkeypatch.setattr(
        parameter_helper, "get_iso_8061_date", lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time()))
    )
    # The masker would keep the keys for all later tests of this process.
    monkeypatch.setattr(masking, "MAX_KEYS", 0)
    usage = Usage()

    async def main() -> tuple[Emulator, Waits]:
        emulator = Emulator(DAY)
        if failing:
            cycles = range(2, 200, failing + 1)
            faults = [Fault("AssumeRole", FaultKind.SERVICE_UNAVAILABLE, nth, failing) for nth in cycles]
            emulator.state.faults.post(faults)
        waits = Waits(emulator, PAUSE * WAITS, PAUSE * WAITS)
        async with emulator.run():
            monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", emulator.connection(role_arn=ROLE))
            usage.note()
            noting = asyncio.create_task(usage.note_each_hour())
            await waits.run(CONN_ID)
            noting.cancel()
            await asyncio.sleep(1)
            usage.note()
        return emulator, waits

    emulator, waits = run_in_virtual_time(main())
    issued, codes = emulator.issued_at(), emulator.codes("AssumeRole")
    lasted = [later - earlier for earlier, later in pairwise(issued)]
    table.add(
        "a day of temporary keys" + (", each refresh fails twice" if failing else ""),
        waits=f"{WAITS:,}",
        polls=f"{emulator.codes(QUERY).total():,}",
        failed_polls=waits.messages[FAILED],
        AssumeRole=codes.total(),
        of_these_failed=codes.total() - codes["OK"],
        seconds_between_keys=f"{min(lasted):.0f} to {max(lasted):.0f}",
        sockets=f"{usage.sockets[0]} before, {max(usage.sockets)} at most, {usage.sockets[-1]} after",
        threads=f"{usage.threads[0]} before, {max(usage.threads)} at most, {usage.threads[-1]} after",
    )
    waits.check_results()
    assert emulator.codes(QUERY).keys() == {"OK"}
    assert waits.messages[FAILED] == 0
    # The last polls are a pause after the end of the job.
    assert codes["OK"] == len(issued) <= 1 + (DAY + PAUSE * WAITS) / REFRESHED_AFTER
    assert codes.total() - codes["OK"] == failing * (len(issued) - 1)
    # An attempt is at the first poll that is 30 seconds or more after the last attempt.
    assert min(lasted) >= REFRESHED_AFTER - 1
    assert max(lasted) <= REFRESHED_AFTER + MINUTE + failing * 1.5 * MINUTE
    assert usage.sockets[-1] == usage.sockets[0]
    # A client and a server for each connection.
    assert max(usage.sockets) <= usage.sockets[0] + 2 * (IN_FLIGHT + 2)
    # Those of the event loop's executor.
    assert max(usage.threads) <= usage.threads[0] + MOST_THREADS


# ---- fixed keys


def change(emulator: Emulator) -> None:
    """Let the secrets backend return the current key."""
    RotatingBackend.connections[CONN_ID] = emulator.connection()


@dataclass(frozen=True)
class Rotation:
    """The steps of a rotation after the second key was created, and what running waits notice.

    :param changed: seconds until the connection is changed
    :param deleted: seconds until the first key is deleted
    :param fails: whether polls fail meanwhile
    """

    changed: float
    deleted: float
    fails: bool


ROTATIONS = {
    "the old key is deleted two minutes after the change": Rotation(0, 120, fails=False),
    "the old key is deleted with the change": Rotation(0, 0, fails=False),
    "the old key is deleted 40 s before the change": Rotation(40, 0, fails=True),
    "the old key is deleted 110 s before the change": Rotation(110, 0, fails=True),
}


@pytest.mark.parametrize("name", ROTATIONS)
def test_rotation_of_keys_fails_no_wait(name: str, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits go on with the keys that a secrets backend returns now, and take over new ones before they give up."""
    rotation = ROTATIONS[name]
    monkeypatch.setattr(RotatingBackend, "connections", {})
    monkeypatch.setattr(RotatingBackend, "look_ups", [])
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "tests.secrets_backend.RotatingBackend")
    started = 90.0

    async def rotate(emulator: Emulator) -> tuple[str, float]:
        await asyncio.sleep(started)
        RotatingBackend.look_ups.clear()
        old, begun = emulator.create_key(), time.time()
        steps: dict[Callable[[], None], float] = {
            lambda: change(emulator): rotation.changed,
            lambda: emulator.delete_key(old): rotation.deleted,
        }
        for step in sorted(steps, key=lambda step: steps[step]):
            await asyncio.sleep(begun + steps[step] - time.time())
            step()
        return old, begun + rotation.changed

    async def main() -> tuple[Emulator, Waits, float]:
        emulator = Emulator(10 * MINUTE)
        waits = Waits(emulator)
        async with emulator.run():
            change(emulator)
            rotating = asyncio.create_task(rotate(emulator))
            await waits.run(CONN_ID)
            old, changed = await rotating
            return emulator, waits, emulator.verifier.last_use[old] - changed

    emulator, waits, last_use = run_in_virtual_time(main())
    codes = emulator.codes(QUERY)
    table.add(
        name,
        waits=f"{WAITS:,}",
        polls=f"{codes.total():,}",
        refused=codes[NOT_FOUND],
        failed_polls=waits.messages[FAILED],
        most_in_a_row=waits.most_failed,
        look_ups=len(RotatingBackend.look_ups),
        last_use_of_the_old_key_after_the_change=f"{last_use:.0f} s",
    )
    waits.check_results()
    assert codes.keys() <= {"OK", NOT_FOUND}
    assert (waits.messages[FAILED] > 0) == rotation.fails
    assert last_use <= 120
