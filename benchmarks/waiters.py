"""Script of the fresh processes of ``waiting.py``: wait for a number of jobs on one event loop.

``waiters.py CANDIDATE JOBS INTERVAL SECONDS``: with an interval of 0, each job is polled again at once. The last line
of the output is the measurement, as JSON. The measurement starts when each job has been polled once, or after a
timeout.
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

    Wait = Callable[[str], Coroutine[Any, Any, None]]

_SAMPLE_INTERVAL = 0.02
"""Seconds between two measurements of the event loop's delay."""
_START_TIMEOUT = 60.0


class PollCounter:
    """Counts the polls of a candidate.

    :param interval: seconds between two polls of a job, 0 for none
    """

    def __init__(self, interval: float) -> None:
        # Never 0: each candidate has a timer between two polls of a job, as in production.
        self.interval = interval or 1e-9
        self.polls = 0
        self.failed = 0
        self.polled: set[str] = set()

    async def poll_forever(self, job_id: str, poll: Callable[[str], Awaitable[object]]) -> None:
        """Poll a job in a simple loop; the first polls of all jobs are spread evenly over the interval."""
        await asyncio.sleep(random.uniform(0, self.interval))  # noqa: S311 - spreads the load
        while True:
            try:
                await poll(job_id)
            except Exception:  # noqa: BLE001 - counted: the SDK raises many exception types
                self.failed += 1
            else:
                self.polls += 1
            self.polled.add(job_id)
            await asyncio.sleep(self.interval)


async def ours(counter: PollCounter) -> Wait:
    """Wait as the triggerer does, with one trigger for each job."""
    from airflow_provider_ims.jobs import polling  # noqa: PLC0415 - measured
    from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT  # noqa: PLC0415
    from airflow_provider_ims.triggers.job import ImsJobTrigger  # noqa: PLC0415

    on_response = polling.JobWait.on_response

    def count(wait: polling.JobWait, *args: Any) -> Any:
        counter.polls += 1
        counter.polled.add(wait.job_id)
        return on_response(wait, *args)

    polling.JobWait.on_response = count  # type: ignore[method-assign, assignment]

    async def wait(job_id: str) -> None:
        wait = polling.JobWait(
            COPYRIGHT_EXTRACT,
            job_id,
            since=time.time(),
            deadline=time.time() + 86_400,
            poll_interval=counter.interval,
            max_poll_interval=counter.interval,
            polls=1,
        )
        trigger = ImsJobTrigger(wait=wait.to_primitives())
        async for _ in trigger.run():
            raise RuntimeError("the job has ended")

    return wait


async def sdk_async(counter: PollCounter) -> Wait:
    """Wait with the asynchronous method of the typed client."""
    client, models = _typed()

    async def poll(job_id: str) -> None:
        await client.query_copyright_extract_job_async(models.QueryCopyrightExtractJobRequest(job_id=job_id))

    return lambda job_id: counter.poll_forever(job_id, poll)


async def sdk_threads(counter: PollCounter) -> Wait:
    """Wait with the synchronous method of the typed client in the thread pool of the event loop."""
    client, models = _typed()

    async def poll(job_id: str) -> None:
        request = models.QueryCopyrightExtractJobRequest(job_id=job_id)
        await asyncio.to_thread(client.query_copyright_extract_job, request)

    return lambda job_id: counter.poll_forever(job_id, poll)


async def bare(counter: PollCounter) -> Wait:
    """Wait with aiohttp alone and headers that are signed once: the least that a client must do."""
    import aiohttp  # noqa: PLC0415 - measured

    from airflow_provider_ims.api.signature import percent_encode, signed_headers  # noqa: PLC0415
    from airflow_provider_ims.connection.access_key import AccessKey  # noqa: PLC0415

    endpoint = _connection()["host"]
    action, query = "QueryCopyrightExtractJob", percent_encode({"JobId": "J"})
    host = endpoint.partition("://")[2]
    key = AccessKey("id", "secret")
    of_call = {"host": host, "action": action, "version": "2020-11-09", "query": query}
    headers = signed_headers(key, **of_call, date="2026-01-31T23:59:59Z", nonce="n")
    session = aiohttp.ClientSession()

    async def poll(_job_id: str) -> None:
        async with session.post(f"{endpoint}/?{query}", headers=headers) as response:
            await response.read()

    return lambda job_id: counter.poll_forever(job_id, poll)


CANDIDATES: dict[str, Callable[[PollCounter], Awaitable[Wait]]] = {
    "ours": ours,
    "bare aiohttp": bare,
    "SDK, threads": sdk_threads,
    "SDK, async": sdk_async,
}


async def measure(candidate: str, jobs: int, interval: float, seconds: float) -> dict[str, Any]:
    """Wait for jobs with a candidate, and return the measurement."""
    counter = PollCounter(interval)
    wait = await CANDIDATES[candidate](counter)
    # One job first: it loads the modules and opens the connection that all jobs share.
    first = asyncio.create_task(wait("first"))
    await _wait_until(lambda: "first" in counter.polled, _START_TIMEOUT + interval)
    first.cancel()
    await asyncio.wait([first])
    gc.collect()
    memory = _rss()
    counter.polled.clear()
    tasks = [asyncio.create_task(wait(f"job-{number}")) for number in range(jobs)]
    await _wait_until(lambda: len(counter.polled) == jobs, max(_START_TIMEOUT / 4, 1.2 * interval))
    # Collect the garbage of the start now, so that it is not collected during the measurement.
    gc.collect()
    stalls: list[float] = []
    monitor = asyncio.create_task(_record_stalls(stalls))
    polls, failed, cpu, start = counter.polls, counter.failed, time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    polls, failed = counter.polls - polls, counter.failed - failed
    monitor.cancel()
    gc.collect()
    memory = _rss() - memory
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
        "memory_per_job": memory / jobs,
    }


async def _record_stalls(stalls: list[float]) -> None:
    """Record how late the event loop resumes a sleeping coroutine, in seconds."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _SAMPLE_INTERVAL
        await asyncio.sleep(_SAMPLE_INTERVAL)
        stalls.append(loop.time() - due)


async def _wait_until(condition: Callable[[], bool], timeout: float) -> None:  # noqa: ASYNC109 - no error if it is over
    deadline = time.monotonic() + timeout
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 - an event would need a counter
        await asyncio.sleep(_SAMPLE_INTERVAL)


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
    candidate, jobs, interval, seconds = sys.argv[1:]
    # The SDK opens a connection for each call.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    sample = asyncio.run(measure(candidate, int(jobs), float(interval), float(seconds)))
    print(json.dumps(sample), flush=True)
    # Skips the cleanup of thousands of connections at exit.
    os._exit(0)


if __name__ == "__main__":
    main()
