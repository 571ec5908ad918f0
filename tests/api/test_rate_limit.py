"""The rate limit, measured with the clock of a real event loop."""

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


async def send_times(limiter: RateLimiter, number: int, duration: float = 0.0) -> list[float]:
    """Start requests at the same time, and return when each was sent, in the order in which they were started."""
    moments = [0.0] * number

    async def request(index: int) -> None:
        async with limiter.turn():
            moments[index] = now()
            await asyncio.sleep(duration)

    await asyncio.gather(*(request(index) for index in range(number)))
    return moments


def most_within(seconds: float, moments: Sequence[float]) -> int:
    """Return the largest number of moments in any window of so many seconds."""
    return max(sum(start <= moment < start + seconds - CLOCK_ERROR for moment in moments) for start in moments)


async def throttled(limiter: RateLimiter, retry_after: float | None = None, duration: float = 0.0) -> None:
    """Send a request whose response is throttled."""
    with pytest.raises(ImsThrottledError):  # noqa: PT012 - raised inside the limiter, which must see it
        async with limiter.turn():
            await asyncio.sleep(duration)
            raise ImsThrottledError("throttled", retry_after=retry_after)


async def test_requests_of_any_second_are_within_the_limit() -> None:
    """Requests above the limit wait, and are sent in the order in which they were started."""
    moments = await send_times(RateLimiter(40), 100)
    assert most_within(1.0, moments) == 40
    assert moments == sorted(moments)
    assert 2.0 - CLOCK_ERROR <= moments[-1] - moments[0] < 3


async def test_requests_below_the_limit_do_not_wait() -> None:
    """As many requests as the limit allows are sent without a pause."""
    moments = await send_times(RateLimiter(40), 40)
    assert moments[-1] - moments[0] < 0.5


async def test_limit_may_be_fractional_and_below_one() -> None:
    """A limit may be a fraction, also less than one request per second."""
    moments = await send_times(RateLimiter(4.5), 5)
    assert moments[4] - moments[0] >= 4 / 4.5 - CLOCK_ERROR
    moments = await send_times(RateLimiter(0.8), 2)
    assert moments[1] - moments[0] >= 1 / 0.8 - CLOCK_ERROR


async def test_requests_in_flight_are_limited() -> None:
    """No more than IN_FLIGHT requests are in flight, however many may be sent."""
    moments = sorted(await send_times(RateLimiter(10_000), IN_FLIGHT + 1, duration=0.3))
    assert moments[IN_FLIGHT - 1] - moments[0] < 0.3
    assert moments[IN_FLIGHT] - moments[0] >= 0.3 - CLOCK_ERROR


async def test_cancelled_request_frees_its_slot() -> None:
    """Requests that are cancelled while they wait for a slot do not occupy one."""
    limiter = RateLimiter(1000)
    busy = asyncio.create_task(send_times(limiter, IN_FLIGHT, duration=0.2))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(send_times(limiter, 1)) for _ in range(IN_FLIGHT)]
    await asyncio.sleep(0.05)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await busy
    moments = await asyncio.wait_for(send_times(limiter, IN_FLIGHT, duration=0.1), 5)
    assert max(moments) - min(moments) < 0.1


async def test_cancelled_request_does_not_delay_the_next() -> None:
    """If the request that is next is cancelled, the one after it is sent in time."""
    limiter = RateLimiter(2)
    await send_times(limiter, 2)
    next_one = asyncio.create_task(send_times(limiter, 1))
    after_it = asyncio.create_task(send_times(limiter, 1))
    await asyncio.sleep(0.05)
    next_one.cancel()
    begun = now()
    await asyncio.wait_for(after_it, 5)
    assert now() - begun < 1.5


async def test_retry_after_blocks_all_requests(caplog: pytest.LogCaptureFixture) -> None:
    """After a throttled response no request is sent for as long as its retry-after says."""
    limiter = RateLimiter(100)
    begun = now()
    await throttled(limiter, retry_after=0.5)
    moments = await send_times(limiter, 3)
    assert 0.5 - CLOCK_ERROR <= moments[0] - begun < 1
    (record,) = caplog.records
    assert "throttles: no request for 0.5 s, then at most 50 per second, 100 again" in record.getMessage()


async def test_throttled_response_without_retry_after_blocks_for_a_second() -> None:
    """If a throttled response has no retry-after, no request is sent for a second."""
    limiter = RateLimiter(100)
    begun = now()
    await throttled(limiter)
    assert (await send_times(limiter, 1))[0] - begun >= 1 - CLOCK_ERROR


async def test_retry_after_is_limited_to_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """A longer retry-after blocks for the maximum only."""
    monkeypatch.setattr(rate_limit, "_MAX_BLOCK", 0.2)
    limiter = RateLimiter(100)
    await throttled(limiter, retry_after=86_400)
    await asyncio.wait_for(send_times(limiter, 1), 5)


async def test_longest_retry_after_counts() -> None:
    """A short retry-after does not shorten the longer one of another response."""
    limiter = RateLimiter(100)
    begun = now()
    await asyncio.gather(throttled(limiter, retry_after=0.6), throttled(limiter, retry_after=0.01, duration=0.1))
    assert (await send_times(limiter, 1))[0] - begun >= 0.6 - CLOCK_ERROR


async def test_retry_after_also_delays_requests_that_are_waiting() -> None:
    """A request that already waits for its turn waits longer if another response is throttled."""
    limiter = RateLimiter(2)
    begun = now()
    first = asyncio.create_task(throttled(limiter, retry_after=1.5, duration=0.2))
    moments = await send_times(limiter, 2)
    await first
    assert moments[1] - begun >= 1.7 - CLOCK_ERROR


async def test_rate_is_halved_and_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A throttled response halves the rate; after the recovery the full rate applies again."""
    monkeypatch.setattr(rate_limit, "_RECOVERY", 1e9)
    limiter = RateLimiter(40)
    await throttled(limiter, retry_after=0)
    assert most_within(1.0, await send_times(limiter, 50)) == 20
    monkeypatch.setattr(rate_limit, "_RECOVERY", 0.1)
    await asyncio.sleep(1)
    moments = await send_times(limiter, 40)
    assert moments[-1] - moments[0] < 0.5


async def test_requests_throttled_together_halve_the_rate_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The throttled responses of requests that were in flight together count as one."""
    monkeypatch.setattr(rate_limit, "_RECOVERY", 1e9)
    limiter = RateLimiter(40)
    await asyncio.gather(*(throttled(limiter, retry_after=0) for _ in range(10)))
    await asyncio.sleep(1)  # until those ten no longer count
    assert most_within(1.0, await send_times(limiter, 50)) == 20


async def test_rate_has_a_lower_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """If every response is throttled, a sixteenth of the limit is still sent."""
    monkeypatch.setattr(rate_limit, "_RECOVERY", 1e9)
    monkeypatch.setattr(rate_limit, "_SAME_MOMENT", 0.0)
    limiter = RateLimiter(160)
    for _ in range(10):
        await throttled(limiter, retry_after=0)
    moments = await send_times(limiter, 30)
    gaps = [later - earlier for earlier, later in pairwise(moments[::10])]
    assert all(0.9 < gap < 2 for gap in gaps)


async def test_fractional_limit_is_never_exceeded() -> None:
    """With 29.9 requests per second, no second sees more than 29."""
    moments = await send_times(RateLimiter(29.9), 70)
    assert most_within(1.0, moments) == 29


async def test_rate_recovers_from_the_end_of_a_long_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a long retry-after the full rate does not return at once: the recovery starts when the block ends."""
    monkeypatch.setattr(rate_limit, "_RECOVERY", 2.0)
    limiter = RateLimiter(40)
    await throttled(limiter, retry_after=2.0)
    moments = await send_times(limiter, 40)
    assert most_within(0.1, moments) <= 25
    assert moments[-1] - moments[0] > 0.5


async def test_request_that_goes_ahead_waits_for_one_other_at_most() -> None:
    """It is sent before all that wait but the first, also if all places in flight are taken, and within the limit."""
    limiter = RateLimiter(10)
    sent: list[tuple[float, str]] = []

    async def request(name: str, *, ahead: bool, duration: float) -> None:
        async with limiter.turn(ahead=ahead):
            sent.append((now(), name))
            await asyncio.sleep(duration)

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(request("poll", ahead=False, duration=1.5))
        await asyncio.sleep(0.1)
        for number in range(2):
            group.create_task(request(f"cancel {number}", ahead=True, duration=0))
    names = [name for _, name in sent]
    assert names[10:13] == ["poll", "cancel 0", "cancel 1"]
    assert most_within(1.0, [moment for moment, _ in sent]) == 10


async def test_requests_that_go_ahead_have_places_of_their_own() -> None:
    """They are sent while requests without a response take all other places."""
    limiter = RateLimiter(1000)
    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(send_times(limiter, 1, duration=2))
        await asyncio.sleep(0.1)
        begun = now()
        async with limiter.turn(ahead=True):
            assert now() - begun < 1


async def test_other_errors_do_not_slow_down(caplog: pytest.LogCaptureFixture) -> None:
    """Only throttled responses slow requests down, other errors do not."""
    limiter = RateLimiter(100)
    with pytest.raises(ImsServiceError):
        async with limiter.turn():
            raise ImsServiceError("down")
    begun = now()
    await send_times(limiter, 10)
    assert now() - begun < 0.5
    assert not caplog.records
