"""Accepted and throttled requests per second if the service allows less than the limit, with and without halving.

After a throttled response the rate limiter sends nothing for a second and then continues at half its rate. Without
the halving, each second starts with a burst of the whole limit.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

# A script that is run by its path finds its own directory on the import path, but not the project's.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from airflow_provider_ims.api.rate_limit import RateLimiter
from airflow_provider_ims.exceptions import ImsThrottledError
from benchmarks.rounds import arguments, check_goals, goal_list, heading, interleave, median, publish, ratio, table

if TYPE_CHECKING:
    from benchmarks.rounds import Sample, Samples

LIMIT = 30
QUOTAS = (5, 10, 20)
CLIENTS = 60
SECONDS = 60.0
"""Duration of a measurement. In a much shorter one, the first burst causes most of the throttled requests."""
LATENCY = 0.02
"""Seconds until a response, so that a burst is sent before its first throttled response arrives."""
GOAL_QUOTA, GOAL_RATIO = 10, 0.25


class NoHalving(RateLimiter):
    """A rate limiter that sends nothing for a second after a throttled response, but keeps its rate."""

    def _rate(self, _now: float) -> float:
        return 1.0


HALVING, NO_HALVING = "halving", "no halving"
CANDIDATES: dict[str, type[RateLimiter]] = {HALVING: RateLimiter, NO_HALVING: NoHalving}


class Service:
    """Accepts a number of requests in each sliding second, throttles the others, and counts both.

    :param quota: the number of requests
    """

    def __init__(self, quota: int) -> None:
        self._accepted_at: deque[float] = deque([-math.inf] * quota, maxlen=quota)
        self.responses = {"accepted": 0, "throttled": 0}

    async def call(self) -> None:
        """Accept a request.

        :raises ImsThrottledError: without ``retry_after``, if the quota is used up
        """
        now = asyncio.get_running_loop().time()
        accepted = now - self._accepted_at[0] >= 1.0
        if accepted:
            self._accepted_at.append(now)
        self.responses["accepted" if accepted else "throttled"] += 1
        await asyncio.sleep(LATENCY)
        if not accepted:
            raise ImsThrottledError("throttled")


async def send(limiter: RateLimiter, service: Service, seconds: float) -> None:
    """Send requests from all clients through one rate limiter."""

    async def client() -> None:
        while True:
            with suppress(ImsThrottledError):
                async with limiter.turn():
                    await service.call()

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(client() for _ in range(CLIENTS)))


def run(candidate: str, seconds: float = SECONDS) -> Sample:
    """Measure a candidate with all quotas at the same time: the process is idle most of the time."""
    services = {quota: Service(quota) for quota in QUOTAS}

    async def send_to_all() -> None:
        await asyncio.gather(*(send(CANDIDATES[candidate](LIMIT), one, seconds) for one in services.values()))

    asyncio.run(send_to_all())
    return {
        f"{kind} {quota}": number / seconds
        for quota, service in services.items()
        for kind, number in service.responses.items()
    }


def report(samples: Samples) -> str:
    """Return the table."""
    rows = [
        [
            f"{quota} · {name}",
            f"{median(runs, f'accepted {quota}'):.1f}",
            f"{median(runs, f'throttled {quota}'):.1f}",
            f"{ratio(runs, samples[NO_HALVING], f'throttled {quota}'):.2f}",
        ]
        for quota in QUOTAS
        for name, runs in samples.items()
    ]
    return table(["quota per second", "accepted/s", "throttled/s", "throttled, no halving = 1"], rows)


def main() -> int:
    """Measure, print the report and return the exit status."""
    options = arguments("throttled requests with and without halving the rate", rounds=2)
    logging.disable(logging.WARNING)  # one line for each throttled response
    samples = interleave(CANDIDATES, options.rounds, run, warm_up=False)
    share = ratio(samples[HALVING], samples[NO_HALVING], f"throttled {GOAL_QUOTA}")
    name = f"throttled requests per second at a quota of {GOAL_QUOTA}, without halving = 1"
    goals = {f"{name}: {share:.2f}, goal at most {GOAL_RATIO}": share <= GOAL_RATIO}
    load = f"Limit {LIMIT} per second, {CLIENTS} coroutines that always have a request to send, {SECONDS:.0f} s each"
    text = ["# Throttling", f"{heading(options.rounds, 'one process')}. {load}.", report(samples)]
    publish(options.results, "throttling", "\n\n".join([*text, "## Goals", goal_list(goals)]))
    return check_goals(goals)


if __name__ == "__main__":
    sys.exit(main())
