"""The timers that waits share, measured with the clock of a real event loop."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextvars import ContextVar

from airflow_provider_ims.jobs.timers import SharedTimers

TRIGGER: ContextVar[TriggerName] = ContextVar("trigger")


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_sleep_is_never_too_short() -> None:
    """A sleep lasts as long as requested, and at most a hundredth of a second longer."""
    timers = SharedTimers()

    async def delay(seconds: float) -> float:
        begun = now()
        await timers.sleep(seconds)
        return now() - begun - seconds

    delays = await asyncio.gather(*(delay(0.1 + number / 977) for number in range(200)))
    assert min(delays) >= 0
    assert sorted(delays)[100] < 0.05  # the machine may be busy for some of them


async def test_sleeps_that_end_at_the_same_moment_share_a_timer() -> None:
    """A thousand sleepers are woken by one timer of the loop."""
    timers = SharedTimers()
    wake_at = now() + 0.3
    sleepers = [asyncio.create_task(timers.sleep(wake_at - now())) for _ in range(1000)]
    await asyncio.sleep(0.1)
    assert len(timers._timers) <= 2
    await asyncio.gather(*sleepers)
    assert not timers._timers


async def test_cancelled_sleep_keeps_the_timer_of_the_others() -> None:
    """A cancelled sleep does not wake the others; the last cancelled sleep removes the timer."""
    timers = SharedTimers()
    wake_at = now() + 0.5
    first, second = (asyncio.create_task(timers.sleep(wake_at - now())) for _ in range(2))
    await asyncio.sleep(0.05)
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    assert not second.done()
    await second
    assert now() >= wake_at
    third = asyncio.create_task(timers.sleep(3600))
    await asyncio.sleep(0.05)
    third.cancel()
    await asyncio.wait([third])
    assert not timers._timers


async def test_sleep_of_zero_lets_others_run() -> None:
    """A sleep of zero seconds lets other tasks run, as asyncio.sleep does."""
    order: list[str] = []

    async def other() -> None:
        order.append("other")

    task = asyncio.create_task(other())
    await SharedTimers().sleep(0)
    order.append("sleeper")
    await task
    assert order == ["other", "sleeper"]


class TriggerName:
    """An object that a context refers to."""


async def test_timer_does_not_keep_the_context_of_the_first_sleeper() -> None:
    """A timer does not run in the context of its first sleeper: later log lines would name that trigger."""
    timers = SharedTimers()
    wake_at = now() + 0.5

    async def sleep_as_a_trigger() -> None:
        TRIGGER.set(TriggerName())
        names.append(weakref.ref(TRIGGER.get()))
        await timers.sleep(wake_at - now())

    names: list[weakref.ref[TriggerName]] = []
    first = asyncio.create_task(sleep_as_a_trigger())
    await asyncio.sleep(0.05)
    second = asyncio.create_task(timers.sleep(wake_at - now()))
    await asyncio.sleep(0.05)
    assert len(timers._timers) == 1
    first.cancel()
    await asyncio.wait([first])
    del first
    gc.collect()
    assert names[0]() is None
    await second
