"""Script of the fresh processes of ``credentials.py``: many callers on one event loop that need the keys of a RAM role.

``key_callers.py CANDIDATE CALLERS SECONDS``: each caller needs keys every ``INTERVAL`` seconds. The last line of the
output is the measurement, as JSON. The connection is in the environment, and the service decides how long keys live.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import logging
import os
import random
import resource
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

# A script that is run by its path finds its own directory on the import path, but not the project's.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measured import MEDIA

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

INTERVAL = 5.0
"""Seconds between two uses of a caller."""
GRACE = 10.0
"""Seconds after the end of the measurement after which a blocked event loop is not waited for any more."""
_SAMPLE_INTERVAL = 0.02
ROLE = "acs:ram::1234567890123456:role/worker"


@dataclass
class Counter:
    """What the callers and the event loop do.

    :param callers: number of callers
    :param interval: seconds between two uses of a caller
    """

    callers: int
    interval: float = INTERVAL
    uses: int = 0
    failed: int = 0
    stalls: list[float] = field(default_factory=list)
    """How late the event loop resumed a sleeping coroutine, in seconds."""
    alive_at: float = 0.0
    """When it did so last."""

    async def record_stalls(self) -> None:
        """Record how late the event loop resumes a sleeping coroutine."""
        while True:
            due = time.monotonic() + _SAMPLE_INTERVAL
            self.alive_at = due
            await asyncio.sleep(_SAMPLE_INTERVAL)
            self.stalls.append(time.monotonic() - due)

    async def use_forever(self, use: Callable[[], Awaitable[object]]) -> None:
        """Use keys again and again; the first uses are spread evenly over the interval."""
        await asyncio.sleep(random.uniform(0, self.interval))  # noqa: S311 - spreads the load
        while True:
            try:
                await use()
            except Exception:  # noqa: BLE001 - counted: the library raises many exception types
                self.failed += 1
            else:
                self.uses += 1
            await asyncio.sleep(self.interval)

    def sample(self, *, is_blocked: bool) -> dict[str, Any]:
        """Return the measurement.

        :param is_blocked: whether the event loop has not resumed the monitor yet
        """
        stalls = sorted([*self.stalls, time.monotonic() - self.alive_at] if is_blocked else self.stalls)
        return {
            "uses": self.uses,
            "failed": self.failed,
            "stall_p99": stalls[int(len(stalls) * 0.99)],
            "stall_max": stalls[-1],
            "stalled": sum(stall for stall in stalls if stall > _SAMPLE_INTERVAL),
            "is_blocked": is_blocked,
        }


async def ours(counter: Counter) -> None:
    """Wait for jobs as the triggerer does; each poll is signed with the current keys, and is sent."""
    from airflow_provider_ims.hooks.ims import ImsHook  # noqa: PLC0415 - measured
    from airflow_provider_ims.jobs import polling  # noqa: PLC0415
    from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT  # noqa: PLC0415
    from airflow_provider_ims.triggers.job import ImsJobTrigger  # noqa: PLC0415

    on_response, on_failure = polling.JobWait.on_response, polling.JobWait.on_failure

    def count_response(wait: polling.JobWait, *args: Any) -> Any:
        counter.uses += 1
        return on_response(wait, *args)

    def count_failure(wait: polling.JobWait, *args: Any) -> Any:
        counter.failed += 1
        return on_failure(wait, *args)

    polling.JobWait.on_response = count_response  # type: ignore[method-assign, assignment]
    polling.JobWait.on_failure = count_failure  # type: ignore[method-assign, assignment]

    hook = ImsHook()
    job_id = (await hook.asubmit(COPYRIGHT_EXTRACT, {"Input": {"Type": "OSS", "Media": MEDIA}})).job_id
    await hook.aclose()

    async def wait() -> None:
        wait = polling.JobWait(
            COPYRIGHT_EXTRACT,
            job_id,
            since=time.time(),
            deadline=time.time() + 86_400,
            poll_interval=counter.interval,
            max_poll_interval=counter.interval,
            polls=1,
        )
        async for _ in ImsJobTrigger(wait=wait.to_primitives()).run():
            raise RuntimeError("the job has ended")

    await asyncio.gather(*(wait() for _ in range(counter.callers)))


async def library(counter: Counter) -> None:
    """Get keys with the asynchronous method of the credentials library; nothing is sent to IMS."""
    provider = _provider()
    await asyncio.gather(*(counter.use_forever(provider.get_credentials_async) for _ in range(counter.callers)))


async def library_in_threads(counter: Counter) -> None:
    """Get keys with the synchronous method, in a thread and one caller at a time; nothing is sent to IMS."""
    provider, lock = _provider(), asyncio.Lock()

    async def use() -> None:
        async with lock:
            await asyncio.to_thread(provider.get_credentials)

    await asyncio.gather(*(counter.use_forever(use) for _ in range(counter.callers)))


@functools.cache
def _provider() -> Any:
    """Return the provider of the library, whose keys the first caller has fetched."""
    from alibabacloud_credentials.provider import RamRoleArnCredentialsProvider  # noqa: PLC0415 - measured

    logging.getLogger("credentials").handlers.clear()
    connection = json.loads(os.environ["AIRFLOW_CONN_IMS_DEFAULT"])
    return RamRoleArnCredentialsProvider(
        access_key_id=connection["login"],
        access_key_secret=connection["password"],
        role_arn=ROLE,
        role_session_name="benchmark",
        duration_seconds=3600,
        sts_endpoint=connection["host"],
    )


CANDIDATES: dict[str, Callable[[Counter], Awaitable[None]]] = {
    "ours": ours,
    "library, async": library,
    "library, in threads": library_in_threads,
}


async def measure(candidate: str, counter: Counter, seconds: float) -> None:
    """Run the callers of a candidate for a number of seconds."""
    # One caller first: it loads the modules and fetches the first keys.
    first = Counter(1, interval=0.2)
    caller = asyncio.ensure_future(CANDIDATES[candidate](first))
    while not first.uses:  # noqa: ASYNC110 - an event would need more code in each candidate
        await asyncio.sleep(_SAMPLE_INTERVAL)
    caller.cancel()
    await asyncio.wait([caller])
    threading.Thread(target=_give_up, args=(counter, INTERVAL + seconds + GRACE), daemon=True).start()
    callers = asyncio.ensure_future(CANDIDATES[candidate](counter))
    # Each caller has started by then, and the first keys are not due yet.
    await asyncio.sleep(INTERVAL)
    counter.uses = counter.failed = 0
    gc.collect()
    monitor = asyncio.create_task(counter.record_stalls())
    await asyncio.sleep(seconds)
    if callers.done():
        callers.result()
    monitor.cancel()


def _give_up(counter: Counter, seconds: float) -> None:
    """End the process if the event loop is still blocked by then."""
    time.sleep(seconds)
    _end(counter.sample(is_blocked=True))


def _end(sample: dict[str, Any]) -> None:
    print(json.dumps(sample), flush=True)
    # Skips the cleanup of connections and blocked threads.
    os._exit(0)


def main() -> None:
    """Measure, and print the measurement."""
    candidate, callers, seconds = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    logging.disable(logging.CRITICAL)
    counter = Counter(int(callers))
    asyncio.run(measure(candidate, counter, float(seconds)))
    _end(counter.sample(is_blocked=False))


if __name__ == "__main__":
    main()
