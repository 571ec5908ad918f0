"""How fast requests may follow each other, and how many may be under way: one pace for all who share a client.

Written here because no library has it: ``aiolimiter``'s leaky bucket lets twice the limit pass within a second, and
none can be slowed down by an answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from airflow_provider_ims.exceptions import ImsThrottledError

if TYPE_CHECKING:
    from types import TracebackType

log = logging.getLogger(__name__)

IN_FLIGHT = 32
"""Requests under way at once. All that are due together would hold up the event loop for their number times 0.2 ms."""

# Seconds without a request after an answer that throttles and does not say how long to wait; and at most, if it does.
_SILENCE = 1.0
_LONGEST_SILENCE = 60.0
# Each such answer halves the speed, down to this part, and it takes so many seconds to come back to full speed.
_SLOWEST = 1 / 16
_RECOVERY = 60.0
# Requests that were under way together are throttled together: their answers count as one.
_SAME_MOMENT = 1.0


class Pacer:
    """Lets at most so many requests out in any second, in the order in which they ask; belongs to one event loop.

    A request is what happens inside ``async with``. One that ends in
    :class:`~airflow_provider_ims.exceptions.ImsThrottledError` slows down all that follow, for a minute.

    :param per_second: the limit
    """

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._places = asyncio.Semaphore(IN_FLIGHT)
        self._turn = asyncio.Lock()
        self._departures: deque[float] = deque(maxlen=max(1, int(per_second)))
        self._silent_until = 0.0
        self._slowed_at = 0.0
        self._speed_then = 1.0

    async def __aenter__(self) -> None:
        """Wait for one's turn."""
        await self._places.acquire()
        try:
            async with self._turn:
                now = asyncio.get_running_loop().time
                while (pause := self._pause(now())) > 0:  # noqa: ASYNC110 - an answer may have made it longer
                    await asyncio.sleep(pause)
                self._departures.append(now())
        except BaseException:
            self._places.release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take note of how the request ended."""
        self._places.release()
        if isinstance(error, ImsThrottledError):
            self._slow_down(asyncio.get_running_loop().time(), error.retry_after)

    def _pause(self, now: float) -> float:
        """Return how many seconds are left until the next request may go out; none or less, if it may."""
        speed = self._speed(now)
        # So many requests in so many seconds: about one second, and no less than one request.
        number = max(1, int(self._per_second * speed))
        earliest = self._silent_until
        if len(self._departures) >= number:
            earliest = max(earliest, self._departures[-number] + number / (self._per_second * speed))
        return earliest - now

    def _speed(self, now: float) -> float:
        """Return the part of the limit that counts now."""
        return min(1.0, self._speed_then + (now - self._slowed_at) / _RECOVERY)

    def _slow_down(self, now: float, retry_after: float | None) -> None:
        silence = _SILENCE if retry_after is None else min(retry_after, _LONGEST_SILENCE)
        self._silent_until = max(self._silent_until, now + silence)
        if now - self._slowed_at < _SAME_MOMENT:
            return
        self._speed_then = max(self._speed(now) / 2, _SLOWEST)
        self._slowed_at = now
        log.warning(
            "The service throttles: no request for %.1f s, then at most %.3g per second, %g again after a minute",
            silence,
            self._per_second * self._speed_then,
            self._per_second,
        )
