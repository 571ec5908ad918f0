"""Sleeping with others, on a real event loop's clock."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextvars import ContextVar

from airflow_provider_ims.api.alarms import Alarms

MOOD: ContextVar[Mood] = ContextVar("mood")


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_nobody_is_woken_too_early() -> None:
    """A sleep lasts as long as it was asked for, and a hundredth of a second longer at most."""
    alarms = Alarms()

    async def overslept(seconds: float) -> float:
        begun = now()
        await alarms.sleep(seconds)
        return now() - begun - seconds

    late = await asyncio.gather(*(overslept(0.1 + number / 977) for number in range(200)))
    assert min(late) >= 0
    assert sorted(late)[100] < 0.05  # the machine may be busy for some of them


async def test_those_who_sleep_until_the_same_moment_share_an_alarm() -> None:
    """A thousand sleepers are woken by one timer of the loop."""
    alarms = Alarms()
    wake_at = now() + 0.3
    sleepers = [asyncio.create_task(alarms.sleep(wake_at - now())) for _ in range(1000)]
    await asyncio.sleep(0.1)
    assert len(alarms._alarms) <= 2
    await asyncio.gather(*sleepers)
    assert not alarms._alarms


async def test_who_is_cancelled_leaves_the_others_asleep() -> None:
    """A trigger that is cleared does not wake the others, and the last one takes the alarm with it."""
    alarms = Alarms()
    wake_at = now() + 0.5
    first, second = (asyncio.create_task(alarms.sleep(wake_at - now())) for _ in range(2))
    await asyncio.sleep(0.05)
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    assert not second.done()
    await second
    assert now() >= wake_at
    third = asyncio.create_task(alarms.sleep(3600))
    await asyncio.sleep(0.05)
    third.cancel()
    await asyncio.wait([third])
    assert not alarms._alarms


async def test_no_sleep_lets_others_run() -> None:
    """A pause of nothing is a turn for the others, as with asyncio.sleep."""
    turns: list[str] = []

    async def other() -> None:
        turns.append("other")

    task = asyncio.create_task(other())
    await Alarms().sleep(0)
    turns.append("sleeper")
    await task
    assert turns == ["other", "sleeper"]


class Mood:
    """What a context holds."""


async def test_alarm_keeps_nothing_of_who_came_first() -> None:
    """The context of the first sleeper, with all that its log lines name, is not the alarm's."""
    alarms = Alarms()
    wake_at = now() + 0.5

    async def sleep_in_a_mood() -> None:
        MOOD.set(Mood())
        moods.append(weakref.ref(MOOD.get()))
        await alarms.sleep(wake_at - now())

    moods: list[weakref.ref[Mood]] = []
    first = asyncio.create_task(sleep_in_a_mood())
    await asyncio.sleep(0.05)
    second = asyncio.create_task(alarms.sleep(wake_at - now()))
    await asyncio.sleep(0.05)
    assert len(alarms._alarms) == 1
    first.cancel()
    await asyncio.wait([first])
    del first
    gc.collect()
    assert moods[0]() is None
    await second
