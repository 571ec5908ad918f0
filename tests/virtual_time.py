"""Hours of waiting in seconds: an event loop whose clock jumps to the next timer when there is nothing else to do.

Sockets and threads are real. A jump waits for both: what is sent to a loopback address can be received at once, and
work in a thread holds the clock until it has ended. The code under test takes no time.

Written here because ``looptime`` moves the clock of the loop only, the clocks of ``time`` would still be ours to patch,
and its pytest plugin changes the loops of all other tests.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

import aiohttp.connector
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Executor

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@dataclass(slots=True)
class _Clock:
    now: float = 1000.0
    threads: int = 0
    """How many threads work for the loop."""


class _JumpingSelector(selectors.DefaultSelector):
    """Moves the clock where another selector would sleep.

    :param clock: the loop's
    """

    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready now; if nothing is, move the clock or wait for a thread."""
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None or self._clock.threads:
            return super().select()
        self._clock.now += timeout
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own, which stands still while there is something to do."""

    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(_JumpingSelector(self._clock))

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._clock.now

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run a function in a thread, and hold the clock until it has ended."""
        future = super().run_in_executor(executor, func, *args)
        self._clock.threads += 1
        future.add_done_callback(self._release)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """End the threads, and stop the clock: since Python 3.12 there is a time-out for it."""
        self._clock.threads += 1
        await super().shutdown_default_executor(*args)

    def _release(self, _: asyncio.Future[Any]) -> None:
        self._clock.threads -= 1


def run_in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on such a loop, with ``time.time`` and ``time.monotonic`` as its clock."""
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        now = runner.get_loop().time
        epoch = time.time() - now()
        patch.setattr(time, "time", lambda: epoch + now())
        patch.setattr(time, "monotonic", now)
        # Imported by name; it closes idle connections and ends the life of DNS entries.
        patch.setattr(aiohttp.connector, "monotonic", now)
        return runner.run(main)
