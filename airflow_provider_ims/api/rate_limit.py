"""How many requests may be sent per second, and how many may be in flight: one limit for all users of a client.

Written here because no library fits: ``aiolimiter``'s leaky bucket lets twice the limit pass within a second, and none
can be slowed down by a response.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

from airflow_provider_ims.exceptions import ImsThrottledError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logging.getLogger(__name__)

IN_FLIGHT = 32
"""Most requests in flight. More, sent at once, would hold up the event loop for their number times 0.2 ms."""

_AHEAD_IN_FLIGHT = 8
"""Most of the requests in flight that go ahead of others, beside those."""

# Seconds without a request after a throttled response that does not say how long to wait; and at most, if it does.
_DEFAULT_BLOCK = 1.0
_MAX_BLOCK = 60.0
# Each throttled response halves the rate, down to this part of the limit, and the full rate returns after so many
# seconds. With a quota of 10 requests per second for 30 that want to go, the service throttles 0.7 requests per second;
# without halving it throttles 20, because each second starts with a burst of the whole limit
# (benchmarks/throttling.py).
_SLOWEST = 1 / 16
_RECOVERY = 60.0
# Requests that were in flight together are throttled together: their responses count as one.
_SAME_MOMENT = 1.0


class RateLimiter:
    """Lets at most so many requests out in any second; belongs to one event loop.

    :param per_second: the limit
    """

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._slots_ahead = asyncio.Semaphore(_AHEAD_IN_FLIGHT)
        # Only the first in the queue waits for the turn, so that one that goes ahead has one other before it at most.
        self._queue = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._sent_at: deque[float] = deque(maxlen=max(1, int(per_second)))
        self._blocked_until = 0.0
        self._slowed_at = 0.0
        self._recovers_from = 0.0
        self._rate_then = 1.0

    @asynccontextmanager
    async def turn(self, *, ahead: bool = False) -> AsyncIterator[None]:
        """Wait until a request may be sent, which is the body of ``async with``: first come, first served.

        One that ends in :class:`~airflow_provider_ims.exceptions.ImsThrottledError` slows down all that follow, for a
        minute.

        :param ahead: whether the request goes before those that wait, and needs none of their places in flight
        """
        async with self._slots_ahead if ahead else self._slots:
            async with nullcontext() if ahead else self._queue, self._turn:
                now = asyncio.get_running_loop().time
                while (pause := self._pause(now())) > 0:  # noqa: ASYNC110 - a response may have made it longer
                    await asyncio.sleep(pause)
                self._sent_at.append(now())
            try:
                yield
            except ImsThrottledError as error:
                self._slow_down(now(), error.retry_after)
                raise

    def _pause(self, now: float) -> float:
        """Return how many seconds are left until the next request may be sent; zero or less if it may be sent now."""
        per_second = self._per_second * self._rate(now)
        # So many requests in a second or, below one request per second, one request in so many seconds.
        number = max(1, int(per_second))
        window = max(1.0, 1 / per_second)
        earliest = self._blocked_until
        if len(self._sent_at) >= number:
            earliest = max(earliest, self._sent_at[-number] + window)
        return earliest - now

    def _rate(self, now: float) -> float:
        """Return the part of the limit that is in force now."""
        return min(1.0, self._rate_then + max(now - self._recovers_from, 0.0) / _RECOVERY)

    def _slow_down(self, now: float, retry_after: float | None) -> None:
        block = _DEFAULT_BLOCK if retry_after is None else min(retry_after, _MAX_BLOCK)
        rate = self._rate(now)
        self._blocked_until = max(self._blocked_until, now + block)
        # Not from now: a minute without a request would end in a burst at the full rate.
        self._recovers_from = self._blocked_until
        if now - self._slowed_at < _SAME_MOMENT:
            return
        self._rate_then = max(rate / 2, _SLOWEST)
        self._slowed_at = now
        log.warning(
            "The service throttles: no request for %.1f s, then at most %.3g per second, %g again after a minute",
            block,
            self._per_second * self._rate_then,
            self._per_second,
        )
