"""Thousands of waits in outages that last for an hour: deadlines hold, and the rate limit does too.

The waits run in virtual time (``tests/virtual_time.py``) with the default limits; hooks, transport and sockets are
real. ``IMS_WAITS`` sets the number of waits, at least 100. ``pytest -s`` prints a table of the results.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from airflow_provider_ims.api.rate_limit import IN_FLIGHT
from airflow_provider_ims.connection.fields import DEFAULT_MAX_REQUESTS_PER_SECOND
from airflow_provider_ims.exceptions import ImsJobTimeoutError
from airflow_provider_ims.hooks.waiting import WaitingHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.outcome import JobOutcome, OutcomeKind, finish
from airflow_provider_ims.jobs.polling import POLL_INTERVAL, JobWait
from tests.virtual_time import run_in_virtual_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.timeout(600)

WAITS = int(os.environ.get("IMS_WAITS", "5000"))
WAITS_OF_ANOTHER_ENDPOINT = 100
TURN = 4.0
"""Seconds until each of them has had its turn, if all are due at the same moment."""
MINUTE = 60.0
LATEST = 15.0
"""Seconds after its deadline in which each wait must have ended."""
RESULT = "(c) Studio"


# ---- the service

Respond = Callable[[float, str], Awaitable[web.Response]]
"""Takes the seconds since the start of the service and the id of a job, and returns the response to a poll."""


def service_json(status: int = 200, headers: dict[str, str] | None = None, **content: Any) -> web.Response:
    return web.json_response({"RequestId": "R", **content}, status=status, headers=headers)


RUNNING: dict[str, Any] = {"StatusCode": 200, "Message": "ok", "Data": {}}
SUCCEEDED: dict[str, Any] = {**RUNNING, "Data": {"Message": RESULT}}


async def no_response(seconds: float, job_id: str) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError("nothing sets this event")


async def throttled(seconds: float, job_id: str) -> web.Response:
    return service_json(400, {"x-acs-retry-after": "60000"}, Code="Throttling.User", Message="flow control")


async def page_of_a_proxy(seconds: float, job_id: str) -> web.Response:
    return web.Response(status=503, text="<html>no upstream</html>", content_type="text/html")


async def slow(seconds: float, job_id: str) -> web.Response:
    await asyncio.sleep(9)
    return service_json(**RUNNING)


async def dead_for_ten_minutes(seconds: float, job_id: str) -> web.Response:
    """Respond as an endpoint that is dead while its jobs end."""
    if 5 * MINUTE <= seconds < 15 * MINUTE:
        return await no_response(seconds, job_id)
    return service_json(**(RUNNING if seconds < 5 * MINUTE else SUCCEEDED))


async def end_at_once(seconds: float, job_id: str) -> web.Response:
    return service_json(**SUCCEEDED)


async def end_one_after_the_other(seconds: float, job_id: str) -> web.Response:
    return service_json(**(RUNNING if seconds < duration(job_id) else SUCCEEDED))


def duration(job_id: str) -> float:
    """Return after how many seconds a job ends: another one every ten seconds."""
    return 10.0 * (1 + int(job_id.rpartition("-")[2]))


@dataclass
class Service:
    """An endpoint, and what it has received.

    :param respond: how it responds; None if no connection to it can be opened
    """

    respond: Respond | None
    endpoint: str = ""
    arrivals: list[float] = field(default_factory=list)
    polled: set[str] = field(default_factory=set)
    """Ids of the jobs that were polled."""
    known: set[str] = field(default_factory=set)
    """Ids of the jobs of which a response has told the state."""

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        if self.respond is None:
            with socket.socket() as listener, socket.socket() as queued:
                listener.bind(("127.0.0.1", 0))
                listener.listen(0)
                # The queue is full now: the kernel drops the packets of all others, as a firewall does.
                queued.connect(listener.getsockname())
                self.endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
                yield
            return
        runner = web.AppRunner(self._app(self.respond), access_log=None, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield
        finally:
            await runner.cleanup()

    def _app(self, respond: Respond) -> web.Application:
        now = asyncio.get_running_loop().time
        started = now()

        async def handle(request: web.Request) -> web.Response:
            job_id = request.query["JobId"]
            self.arrivals.append(now())
            self.polled.add(job_id)
            response = await respond(now() - started, job_id)
            if response.status == 200:
                self.known.add(job_id)
            return response

        app = web.Application()
        app.router.add_post("/", handle)
        return app

    @property
    def most_in_a_second(self) -> int:
        """The most requests that arrived within any second."""
        most = first = 0
        for number, arrival in enumerate(self.arrivals):
            while arrival - self.arrivals[first] >= 1 - 1e-6:
                first += 1
            most = max(most, number - first + 1)
        return most


# ---- the waits


@dataclass
class Ended:
    wait: JobWait
    outcome: JobOutcome
    at: float


@dataclass
class Waits:
    """Waits of one connection that start together.

    :param service: the connection's endpoint
    :param number: how many
    :param first: seconds until the first deadline
    :param last: seconds until the last deadline; the others are spread evenly
    """

    service: Service
    number: int = WAITS
    first: float = 20 * MINUTE
    last: float = 60 * MINUTE
    since: float = 0.0
    """Seconds until the start of the jobs; negative if they were submitted before."""
    ended: list[Ended] = field(default_factory=list)
    messages: Counter[str] = field(default_factory=Counter)
    """How often each message was logged."""

    @property
    def latest(self) -> float:
        """How many seconds after its deadline the latest wait ended; negative if all ended before."""
        return max(ended.at - ended.wait.deadline for ended in self.ended)

    @property
    def last_end(self) -> float:
        """How many seconds after the start the last wait ended."""
        return max(ended.outcome.elapsed for ended in self.ended)

    async def run(self, conn_id: str) -> None:
        log = logging.Logger(conn_id)  # noqa: LOG001 - of these waits only
        log.addFilter(self._count)
        now = time.time()
        step = (self.last - self.first) / (self.number - 1)
        async with asyncio.TaskGroup() as group:
            for number in range(self.number):
                deadline = now + self.first + number * step
                wait = JobWait(COPYRIGHT_EXTRACT, f"{conn_id}-{number}", now + self.since, deadline, log=log)
                group.create_task(self._wait(wait, WaitingHook(ims_conn_id=conn_id)))

    async def _wait(self, wait: JobWait, hook: WaitingHook) -> None:
        try:
            outcome = await hook.apoll_until_done(wait)
        finally:
            await hook.aclose()
        self.ended.append(Ended(wait, outcome, time.time()))

    def _count(self, record: logging.LogRecord) -> bool:
        self.messages[str(record.msg)] += 1
        return False


class Table:
    """The results of all outages."""

    def __init__(self) -> None:
        header = [
            "outage",
            "waits",
            "requests",
            "most in a second",
            "timed out",
            "of these without a response",
            "results",
            "last end, minutes",
            "latest deadline, seconds late",
        ]
        self.rows = [header, ["---"] * len(header)]

    def add(self, outage: str, waits: Waits) -> None:
        outcomes, service = [ended.outcome for ended in waits.ended], waits.service
        timed_out = [outcome for outcome in outcomes if outcome.kind is OutcomeKind.TIMEOUT]
        cells = [
            outage.replace("_", " "),
            f"{waits.number:,}",
            f"{len(service.arrivals):,}",
            f"{service.most_in_a_second}",
            f"{len(timed_out):,}",
            f"{sum(outcome.response is None for outcome in timed_out):,}",
            f"{sum(outcome.result == RESULT for outcome in outcomes):,}",
            f"{waits.last_end / MINUTE:.1f}",
            f"{waits.latest:.1f}" if timed_out else "none",
        ]
        self.rows.append(cells)

    def __str__(self) -> str:
        return "\n".join(f"| {' | '.join(row)} |" for row in self.rows)


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    """Print the table when all tests have run."""
    table = Table()
    yield table
    print(f"\n{table}")  # noqa: T201 - for pytest -s


RunWaits = Callable[..., None]


@pytest.fixture
def run_waits(table: Table, monkeypatch: pytest.MonkeyPatch) -> RunWaits:
    """Return a function that runs waits of several connections together, and adds each to the table."""

    def run(**outages: Waits) -> None:
        async def main() -> None:
            async with AsyncExitStack() as services, asyncio.TaskGroup() as group:
                for conn_id, waits in outages.items():
                    await services.enter_async_context(waits.service.run())
                    connection = {
                        "conn_type": "ims",
                        "login": "id",
                        "password": "secret",
                        "host": waits.service.endpoint,
                        "extra": {"region_id": "cn-shanghai"},
                    }
                    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
                    group.create_task(waits.run(conn_id))

        run_in_virtual_time(main())
        for conn_id, waits in outages.items():
            table.add(conn_id, waits)

    return run


# ---- the tests


def check_limits(waits: Waits) -> None:
    """Each wait has ended once and in time, and the rate limit held."""
    assert len({ended.outcome.job_id for ended in waits.ended}) == len(waits.ended) == waits.number
    assert waits.latest <= LATEST
    assert waits.service.most_in_a_second <= DEFAULT_MAX_REQUESTS_PER_SECOND


def check_timeouts(waits: Waits) -> None:
    """Each wait has timed out, and its error says whether the job's state is known, and whether it had a turn."""
    check_limits(waits)
    service = waits.service
    for ended in waits.ended:
        job_id = ended.outcome.job_id
        with pytest.raises(ImsJobTimeoutError) as caught:
            finish(ended.outcome, COPYRIGHT_EXTRACT)
        text = str(caught.value)
        assert ("this one may still run" in text) is (job_id in service.known)
        assert ("No poll of this process got a response" in text) is (job_id not in service.known)
        if service.respond is not None and job_id not in service.polled:
            assert "The poll got no turn, no connection or no response within" in text


@pytest.mark.parametrize(
    ("outage", "waits"),
    [
        pytest.param("no_response", Waits(Service(no_response)), id="no response"),
        pytest.param("no_connection", Waits(Service(None)), id="no connection"),
        pytest.param("throttled", Waits(Service(throttled)), id="throttled"),
        pytest.param(
            "page_of_a_proxy",
            # Shorter, because it is polled 30 times per second.
            Waits(Service(page_of_a_proxy), first=5 * MINUTE, last=15 * MINUTE),
            id="page of a proxy",
        ),
    ],
)
def test_deadlines_hold(outage: str, waits: Waits, run_waits: RunWaits) -> None:
    """Each wait ends soon after its deadline, with an error that says that nothing is known of the job."""
    run_waits(**{outage: waits})
    check_timeouts(waits)
    assert not waits.service.known


def test_deadlines_hold_while_the_service_is_slow(run_waits: RunWaits) -> None:
    """Each wait ends soon after its deadline, and warns once that its turns take longer than the poll interval."""
    waits = Waits(Service(slow))
    run_waits(slow=waits)
    check_timeouts(waits)
    assert waits.service.known
    warned = sum(number for message, number in waits.messages.items() if "longer than poll_interval" in message)
    # The first polls, which need no turn, are not slow.
    assert waits.number - IN_FLIGHT <= warned <= waits.number


def test_results_arrive_after_an_outage(run_waits: RunWaits) -> None:
    """An endpoint that is dead for ten minutes costs no result."""
    waits = Waits(Service(dead_for_ten_minutes), first=40 * MINUTE)
    run_waits(dead_for_ten_minutes=waits)
    check_limits(waits)
    assert {ended.outcome.result for ended in waits.ended} == {RESULT}


def test_waits_that_are_taken_up_after_their_deadlines_get_their_results(run_waits: RunWaits) -> None:
    """After a night without a triggerer, all waits are due at once: each gets its turn, and the result of its job."""
    waits = Waits(Service(end_at_once), first=-60 * MINUTE, last=-MINUTE, since=-120 * MINUTE)
    run_waits(taken_up_late=waits)
    assert Counter(ended.outcome.result for ended in waits.ended) == {RESULT: waits.number}
    assert waits.service.most_in_a_second <= DEFAULT_MAX_REQUESTS_PER_SECOND
    assert len(waits.service.arrivals) == waits.number


def test_dead_endpoint_ends_waits_that_are_taken_up_after_their_deadlines(run_waits: RunWaits) -> None:
    """If the endpoint is dead then, each wait ends within ten minutes and a few seconds."""
    waits = Waits(Service(no_response), first=-60 * MINUTE, last=-MINUTE, since=-120 * MINUTE)
    run_waits(taken_up_late_and_dead=waits)
    assert {ended.outcome.kind for ended in waits.ended} == {OutcomeKind.TIMEOUT}
    assert waits.last_end - 120 * MINUTE <= 10 * MINUTE + LATEST


def test_dead_endpoint_does_not_hold_back_another(run_waits: RunWaits) -> None:
    """Beside thousands of waits for a dead endpoint, the results of another one are seen as soon as without them."""

    def healthy() -> Waits:
        return Waits(Service(end_one_after_the_other), number=WAITS_OF_ANOTHER_ENDPOINT)

    alone, dead, beside = healthy(), Waits(Service(no_response), last=30 * MINUTE), healthy()
    run_waits(alone=alone)
    run_waits(dead=dead, beside_a_dead_endpoint=beside)
    check_timeouts(dead)
    for waits in (alone, beside):
        check_limits(waits)
        for ended in waits.ended:
            assert ended.outcome.result == RESULT
            ended_after = duration(ended.outcome.job_id)
            pause = max(POLL_INTERVAL, ended_after / 10)
            assert ended.outcome.elapsed <= ended_after + pause + TURN
