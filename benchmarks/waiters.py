"""What the fresh processes of ``waiting.py`` run: so many jobs that are waited for on one event loop.

``waiters.py CONTESTANT JOBS INTERVAL SECONDS``: an interval of 0 asks again at once. The last line of the output is
the measurement, as JSON. Measuring starts when each job was asked for once, or after a while where that takes too long.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import resource
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped] # a dependency of Airflow, which ships no types

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    Count = Callable[[], None]
    Wait = Callable[[str], Coroutine[Any, Any, None]]

_SAMPLE = 0.02
"""Seconds between two looks at how late the event loop is."""
_LONGEST_START = 60.0


class Contest:
    """Counts the polls of a contestant.

    :param interval: seconds between two polls of a job, 0 for none
    """

    def __init__(self, interval: float) -> None:
        # All of them pause, be it for a moment: between two polls of a job there is a timer in life too.
        self.interval = interval or 1e-9
        self.polls = 0
        self.failed = 0
        self.asked: set[str] = set()

    async def keep_asking(self, job_id: str, ask: Callable[[str], Awaitable[object]]) -> None:
        """Ask for a job again and again, evenly spread: the loop that everybody writes."""
        await asyncio.sleep(random.uniform(0, self.interval))  # noqa: S311 - spreads load
        while True:
            try:
                await ask(job_id)
            except Exception:  # noqa: BLE001 - counted: the SDK raises RuntimeError, OSError and its own
                self.failed += 1
            else:
                self.polls += 1
            self.asked.add(job_id)
            await asyncio.sleep(self.interval)


async def ours(contest: Contest) -> Wait:
    """JobWait as the triggerer does, with a trigger for each job."""
    from airflow_provider_ims.jobs import polling  # noqa: PLC0415 - measured
    from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT  # noqa: PLC0415
    from airflow_provider_ims.triggers.job import ImsJobTrigger  # noqa: PLC0415

    on_response = polling.JobWait.on_response

    def count(wait: polling.JobWait, *args: Any) -> Any:
        contest.polls += 1
        contest.asked.add(wait.job_id)
        return on_response(wait, *args)

    polling.JobWait.on_response = count  # type: ignore[method-assign, assignment]

    async def wait(job_id: str) -> None:
        wait = polling.JobWait(
            COPYRIGHT_EXTRACT,
            job_id,
            since=time.time(),
            deadline=time.time() + 86_400,
            poll_interval=contest.interval,
            max_poll_interval=contest.interval,
            polls=1,
        )
        trigger = ImsJobTrigger(wait=wait.to_primitives())
        async for _ in trigger.run():
            raise RuntimeError("the job has ended")

    return wait


async def sdk_async(contest: Contest) -> Wait:
    """JobWait with the typed client's asynchronous method."""
    client, models = _typed()

    async def ask(job_id: str) -> None:
        await client.query_copyright_extract_job_async(models.QueryCopyrightExtractJobRequest(job_id=job_id))

    return lambda job_id: contest.keep_asking(job_id, ask)


async def sdk_threads(contest: Contest) -> Wait:
    """JobWait with the typed client's synchronous method in the loop's pool of threads."""
    client, models = _typed()

    async def ask(job_id: str) -> None:
        request = models.QueryCopyrightExtractJobRequest(job_id=job_id)
        await asyncio.to_thread(client.query_copyright_extract_job, request)

    return lambda job_id: contest.keep_asking(job_id, ask)


async def bare(contest: Contest) -> Wait:
    """JobWait with aiohttp alone and headers made once: what no client can do without."""
    import aiohttp  # noqa: PLC0415 - measured

    from airflow_provider_ims.api.signature import percent_encode, signed_headers  # noqa: PLC0415
    from airflow_provider_ims.connection.credentials import AccessKey  # noqa: PLC0415

    endpoint = _connection()["host"]
    action, query = "QueryCopyrightExtractJob", percent_encode({"JobId": "J"})
    host = endpoint.partition("://")[2]
    key = AccessKey("id", "secret")
    of_call = {"host": host, "action": action, "version": "2020-11-09", "query": query}
    headers = signed_headers(key, **of_call, date="2026-01-31T23:59:59Z", nonce="n")
    session = aiohttp.ClientSession()

    async def ask(_job_id: str) -> None:
        async with session.post(f"{endpoint}/?{query}", headers=headers) as response:
            await response.read()

    return lambda job_id: contest.keep_asking(job_id, ask)


CONTESTANTS: dict[str, Callable[[Contest], Awaitable[Wait]]] = {
    "ours": ours,
    "bare aiohttp": bare,
    "SDK, threads": sdk_threads,
    "SDK, async": sdk_async,
}


async def measure(contestant: str, jobs: int, interval: float, seconds: float) -> dict[str, Any]:
    """Let a contestant wait for jobs, and report what that costs."""
    contest = Contest(interval)
    wait = await CONTESTANTS[contestant](contest)
    # One job beforehand loads and connects what all share.
    first = asyncio.create_task(wait("first"))
    await _until(lambda: "first" in contest.asked, _LONGEST_START + interval)
    first.cancel()
    await asyncio.wait([first])
    gc.collect()
    memory = _rss()
    contest.asked.clear()
    tasks = [asyncio.create_task(wait(f"job-{number}")) for number in range(jobs)]
    await _until(lambda: len(contest.asked) == jobs, max(_LONGEST_START / 4, 1.2 * interval))
    # The start has left its garbage, which is not to be swept while the wait is measured.
    gc.collect()
    stalls: list[float] = []
    watchman = asyncio.create_task(_watch(stalls))
    polls, failed, cpu, begun = contest.polls, contest.failed, time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    polls, failed = contest.polls - polls, contest.failed - failed
    watchman.cancel()
    gc.collect()
    grown = _rss() - memory
    if ended := [task for task in tasks if task.done()]:
        raise RuntimeError(f"{len(ended)} waits have ended, the first with {ended[0].exception()!r}")
    stalls.sort()
    return {
        "polls": polls,
        "failed": failed,
        "wall": wall,
        "cpu": cpu,
        "polls_per_second": polls / wall,
        "cpu_per_poll": cpu / polls if polls else None,
        "core": cpu / wall,
        "stall_p50": stalls[len(stalls) // 2],
        "stall_p99": stalls[int(len(stalls) * 0.99)],
        "stall_max": stalls[-1],
        "memory_per_job": grown / jobs,
    }


async def _watch(stalls: list[float]) -> None:
    """Note how late the loop wakes up a coroutine, in seconds."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _SAMPLE
        await asyncio.sleep(_SAMPLE)
        stalls.append(loop.time() - due)


async def _until(is_so: Callable[[], bool], longest: float) -> None:
    deadline = time.monotonic() + longest
    while not is_so() and time.monotonic() < deadline:  # noqa: ASYNC110 - an event would have to be counted down
        await asyncio.sleep(_SAMPLE)


def _connection() -> dict[str, Any]:
    connection: dict[str, Any] = json.loads(os.environ["AIRFLOW_CONN_IMS_DEFAULT"])
    return connection


def _typed() -> tuple[Any, Any]:
    from alibabacloud_ice20201109 import models  # noqa: PLC0415 - measured
    from alibabacloud_ice20201109.client import Client  # noqa: PLC0415
    from alibabacloud_tea_openapi.utils_models import Config  # noqa: PLC0415

    connection = _connection()
    scheme, _, endpoint = connection["host"].partition("://")
    config = Config(access_key_id="id", access_key_secret="secret", endpoint=endpoint, protocol=scheme)  # noqa: S106
    return Client(config), models


def _rss() -> int:
    return int(psutil.Process().memory_info().rss)


def main() -> None:
    """Measure, and print the measurement."""
    contestant, jobs, interval, seconds = sys.argv[1:]
    # The SDK opens a connection for each call.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    report = asyncio.run(measure(contestant, int(jobs), float(interval), float(seconds)))
    print(json.dumps(report), flush=True)
    # Without the goodbyes of thousands of tasks.
    os._exit(0)


if __name__ == "__main__":
    main()
