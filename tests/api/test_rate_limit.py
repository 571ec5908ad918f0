"""How fast requests follow each other, on a real event loop's clock."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from airflow_provider_ims.api import rate_limit
from airflow_provider_ims.api.rate_limit import IN_FLIGHT, RateLimiter
from airflow_provider_ims.exceptions import ImsServiceError, ImsThrottledError

if TYPE_CHECKING:
    from collections.abc import Sequence

CLOCK_ERROR = 1e-3


def now() -> float:
    return asyncio.get_running_loop().time()


async def departures(pacer: RateLimiter, number: int, lasting: float = 0.0) -> list[float]:
    """Send requests that all want to go at once, and return when each went, in the order in which they asked."""
    moments = [0.0] * number

    async def request(index: int) -> None:
        async with pacer:
            moments[index] = now()
            await asyncio.sleep(lasting)

    await asyncio.gather(*(request(index) for index in range(number)))
    return moments


def most_within(seconds: float, moments: Sequence[float]) -> int:
    """Return the largest number of moments in any window of a length."""
    return max(sum(start <= moment < start + seconds - CLOCK_ERROR for moment in moments) for start in moments)


async def throttled(pacer: RateLimiter, retry_after: float | None = None, lasting: float = 0.0) -> None:
    """Send a request whose answer throttles."""
    with pytest.raises(ImsThrottledError):  # noqa: PT012 - raised inside the pacer, which must see it
        async with pacer:
            await asyncio.sleep(lasting)
            raise ImsThrottledError("throttled", retry_after=retry_after)


async def test_no_second_sees_more_than_the_limit() -> None:
    """Requests beyond the limit wait, and go in the order in which they came."""
    moments = await departures(RateLimiter(40), 100)
    assert most_within(1.0, moments) == 40
    assert moments == sorted(moments)
    assert 2.0 - CLOCK_ERROR <= moments[-1] - moments[0] < 3


async def test_requests_below_the_limit_do_not_wait() -> None:
    """A pause is for who comes too fast."""
    moments = await departures(RateLimiter(40), 40)
    assert moments[-1] - moments[0] < 0.5


async def test_limit_below_one_request_per_second() -> None:
    """A limit may be less than one request, or no whole number."""
    moments = await departures(RateLimiter(4.5), 5)
    assert moments[4] - moments[0] >= 4 / 4.5 - CLOCK_ERROR
    moments = await departures(RateLimiter(0.8), 2)
    assert moments[1] - moments[0] >= 1 / 0.8 - CLOCK_ERROR


async def test_requests_under_way_are_bounded() -> None:
    """However many are due, so many are under way: a slow service is not buried, nor the loop held up."""
    moments = sorted(await departures(RateLimiter(10_000), IN_FLIGHT + 1, lasting=0.3))
    assert moments[IN_FLIGHT - 1] - moments[0] < 0.3
    assert moments[IN_FLIGHT] - moments[0] >= 0.3 - CLOCK_ERROR


async def test_who_is_cancelled_while_waiting_takes_no_place() -> None:
    """Waits that end before their turn leave the others their places."""
    pacer = RateLimiter(1000)
    busy = asyncio.create_task(departures(pacer, IN_FLIGHT, lasting=0.2))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(departures(pacer, 1)) for _ in range(IN_FLIGHT)]
    await asyncio.sleep(0.05)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await busy
    moments = await asyncio.wait_for(departures(pacer, IN_FLIGHT, lasting=0.1), 5)
    assert max(moments) - min(moments) < 0.1


async def test_who_is_cancelled_in_its_turn_holds_up_nobody() -> None:
    """The one that sleeps until the limit allows it can be cancelled too."""
    pacer = RateLimiter(2)
    await departures(pacer, 2)
    next_one = asyncio.create_task(departures(pacer, 1))
    after_it = asyncio.create_task(departures(pacer, 1))
    await asyncio.sleep(0.05)
    next_one.cancel()
    begun = now()
    await asyncio.wait_for(after_it, 5)
    assert now() - begun < 1.5


async def test_pause_that_the_service_asks_for_is_kept_by_all(caplog: pytest.LogCaptureFixture) -> None:
    """Who is throttled stops everybody who shares the client, for as long as the answer says."""
    pacer = RateLimiter(100)
    begun = now()
    await throttled(pacer, retry_after=0.5)
    moments = await departures(pacer, 3)
    assert 0.5 - CLOCK_ERROR <= moments[0] - begun < 1
    (record,) = caplog.records
    assert "throttles: no request for 0.5 s, then at most 50 per second, 100 again" in record.getMessage()


async def test_pause_where_the_service_asks_for_none() -> None:
    """Without a word on it, it is a second."""
    pacer = RateLimiter(100)
    begun = now()
    await throttled(pacer)
    assert (await departures(pacer, 1))[0] - begun >= 1 - CLOCK_ERROR


async def test_pause_is_not_longer_than_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that asks for days is not believed."""
    monkeypatch.setattr(rate_limit, "_MAX_BLOCK", 0.2)
    pacer = RateLimiter(100)
    await throttled(pacer, retry_after=86_400)
    await asyncio.wait_for(departures(pacer, 1), 5)


async def test_longest_pause_counts() -> None:
    """An answer that asks for a short pause does not shorten the long one that another has asked for."""
    pacer = RateLimiter(100)
    begun = now()
    await asyncio.gather(throttled(pacer, retry_after=0.6), throttled(pacer, retry_after=0.01, lasting=0.1))
    assert (await departures(pacer, 1))[0] - begun >= 0.6 - CLOCK_ERROR


async def test_who_waits_already_keeps_a_pause_that_comes_meanwhile() -> None:
    """A request that waits for its turn when an answer throttles waits longer."""
    pacer = RateLimiter(2)
    begun = now()
    first = asyncio.create_task(throttled(pacer, retry_after=1.5, lasting=0.2))
    moments = await departures(pacer, 2)
    await first
    assert moments[1] - begun >= 1.7 - CLOCK_ERROR


async def test_speed_halves_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a throttling answer half as many go, and all of them again when the recovery is over."""
    monkeypatch.setattr(rate_limit, "_RECOVERY", 1e9)
    pacer = RateLimiter(40)
    await throttled(pacer, retry_after=0)
    assert most_within(1.0, await departures(pacer, 50)) == 20
    monkeypatch.setattr(rate_limit, "_RECOVERY", 0.1)
    await asyncio.sleep(1)
    moments = await departures(pacer, 40)
    assert moments[-1] - moments[0] < 0.5


async def test_requests_that_are_throttled_together_halve_the_speed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answers to what was under way together are one sign, and not as many as there are requests."""
    monkeypatch.setattr(rate_limit, "_RECOVERY", 1e9)
    pacer = RateLimiter(40)
    await asyncio.gather(*(throttled(pacer, retry_after=0) for _ in range(10)))
    await asyncio.sleep(1)  # until those ten no longer count
    assert most_within(1.0, await departures(pacer, 50)) == 20


async def test_speed_has_a_lower_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that throttles everything is still asked now and then."""
    monkeypatch.setattr(rate_limit, "_RECOVERY", 1e9)
    monkeypatch.setattr(rate_limit, "_SAME_MOMENT", 0.0)
    pacer = RateLimiter(160)
    for _ in range(10):
        await throttled(pacer, retry_after=0)
    moments = await departures(pacer, 30)
    gaps = [later - earlier for earlier, later in pairwise(moments[::10])]
    assert all(0.9 < gap < 2 for gap in gaps)


async def test_other_errors_do_not_slow_down(caplog: pytest.LogCaptureFixture) -> None:
    """A broken service is not a throttling one: the wait's own pauses are enough."""
    pacer = RateLimiter(100)
    with pytest.raises(ImsServiceError):
        async with pacer:
            raise ImsServiceError("down")
    begun = now()
    await departures(pacer, 10)
    assert now() - begun < 0.5
    assert not caplog.records
