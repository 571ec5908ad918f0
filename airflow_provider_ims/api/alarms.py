"""One alarm for all who sleep until the same moment: an event loop that waits for thousands of jobs wakes up once.

A timer for each of them costs its share of CPU, and leaves objects behind: the more of them, the sooner Python's
garbage collector goes through all memory of a triggerer, in which its loop stands still for a fifth of a second.
"""

from __future__ import annotations

import asyncio
import math
from contextvars import Context
from dataclasses import dataclass, field

# Alarms in a second; nobody is woken too early, and nobody later than one part of it.
_PER_SECOND = 100


@dataclass(slots=True)
class _Alarm:
    handle: asyncio.TimerHandle
    sleepers: set[asyncio.Future[None]] = field(default_factory=set)


class Alarms:
    """The alarms of one event loop."""

    def __init__(self) -> None:
        self._alarms: dict[int, _Alarm] = {}
        # Of its own: the log lines of who is woken would name the trigger that came first.
        self._context = Context()

    async def sleep(self, seconds: float) -> None:
        """Sleep, like :func:`asyncio.sleep` and up to a hundredth of a second longer."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        moment = math.ceil((loop.time() + seconds) * _PER_SECOND)
        alarm = self._alarms.get(moment)
        if alarm is None:
            handle = loop.call_at(moment / _PER_SECOND, self._ring, moment, context=self._context)
            alarm = self._alarms[moment] = _Alarm(handle)
        sleeper: asyncio.Future[None] = loop.create_future()
        alarm.sleepers.add(sleeper)
        try:
            await sleeper
        except BaseException:
            alarm.sleepers.discard(sleeper)
            if not alarm.sleepers and self._alarms.pop(moment, None) is alarm:
                alarm.handle.cancel()
            raise

    def _ring(self, moment: int) -> None:
        for sleeper in self._alarms.pop(moment).sleepers:
            if not sleeper.done():
                sleeper.set_result(None)
