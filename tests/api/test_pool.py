"""What the hooks of one event loop share: look-ups of connections, clients and rate limits."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import async_to_sync

from airflow_provider_ims.api import pool
from airflow_provider_ims.api.pool import ClientPool
from airflow_provider_ims.exceptions import ImsConfigurationError
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.hooks.waiting import WaitingHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.polling import JobWait
from airflow_provider_ims.jobs.timers import SharedTimers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_ims.emulator.process import EmulatorProcess

LIST = "QueryCopyrightJobList"
MEDIA = "oss://rights-evidence/clip.mp4"
pytestmark = pytest.mark.usefixtures("connect")


class LookUps:
    """Counts the look-ups of connections, and makes each of them slow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float = 0.2) -> None:
        self.threads: list[int] = []
        self.error: Exception | None = None
        self.seconds = seconds
        real = ImsHook.get_connection

        def look_up(conn_id: str) -> Any:
            self.threads.append(threading.get_ident())
            time.sleep(self.seconds)  # as a secrets backend does
            if self.error is not None:
                raise self.error
            return real(conn_id)

        monkeypatch.setattr(ImsHook, "get_connection", staticmethod(look_up))


@pytest.fixture
def look_ups(monkeypatch: pytest.MonkeyPatch) -> LookUps:
    return LookUps(monkeypatch)


async def close(hooks: Sequence[ImsHook]) -> None:
    for hook in hooks:
        await hook.aclose()


async def test_hooks_that_start_together_look_up_the_connection_once(
    ims_emulator: EmulatorProcess, look_ups: LookUps
) -> None:
    """Hundreds of hooks read the Airflow connection once, in a thread, and share a few HTTP connections."""
    hooks = [ImsHook() for _ in range(200)]
    await asyncio.gather(*(hook.acall(LIST) for hook in hooks[:20]))
    await asyncio.gather(*(hook._client() for hook in hooks))
    assert len(look_ups.threads) == 1
    assert threading.get_ident() not in look_ups.threads
    assert len({id(await hook._client()) for hook in hooks}) == 1
    for hook in hooks[20:24]:
        await hook.acall(LIST)
    assert len({request["connection"] for request in ims_emulator.requests()}) <= 20
    await close(hooks)


async def test_look_up_can_use_the_loop_that_waits_for_it(
    ims_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look-up may ask the triggerer's supervisor over streams of the event loop, as Airflow 3.0 does."""
    real = ImsHook.get_connection
    loops = []

    async def ask() -> None:
        loops.append(asyncio.get_running_loop())

    def look_up(conn_id: str) -> Any:
        async_to_sync(ask)()
        return real(conn_id)

    monkeypatch.setattr(ImsHook, "get_connection", staticmethod(look_up))
    hook = ImsHook()
    await hook.acall(LIST)
    await hook.aclose()
    assert loops == [asyncio.get_running_loop()]


async def test_last_hook_closes_the_session(ims_emulator: EmulatorProcess) -> None:
    """The session stays open until its last hook is closed; a later call opens a new one."""
    first, second = ImsHook(), ImsHook()
    await first.acall(LIST)
    await second.acall(LIST)
    await first.aclose()
    await first.aclose()
    await second.acall(LIST)
    await second.aclose()
    await second.acall(LIST)
    await second.aclose()
    used = [request["connection"] for request in ims_emulator.requests()]
    assert used[0] == used[1] == used[2] != used[3]
    shared = ClientPool.of_running_loop()
    assert not shared._clients
    assert not shared._users
    assert not shared._look_ups


async def test_hooks_with_different_settings_share_no_client(
    ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """Each region and each version of the connection has its own client."""
    here, there = ImsHook(region="cn-shanghai"), ImsHook(region="cn-beijing")
    assert await here._client() is not await there._client()
    connect(extra={"read_timeout": 7})
    other = ImsHook(region="us-west-1")
    assert (await other._client()).settings.read_timeout == 7
    await close([here, there, other])


async def test_look_up_is_reused_for_half_a_minute(
    ims_emulator: EmulatorProcess, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch, look_ups: LookUps
) -> None:
    """A hook that starts after half a minute reads the connection again, and sees its changes."""
    first, second, third = ImsHook(), ImsHook(), ImsHook()
    await first._client()
    connect(extra={"read_timeout": 7})
    assert (await second._client()).settings.read_timeout == 10
    monkeypatch.setattr(pool, "_LOOK_UP_TTL", -1.0)
    assert (await third._client()).settings.read_timeout == 7
    assert len(look_ups.threads) == 2
    await close([first, second, third])


async def test_failed_look_up_is_not_reused(ims_emulator: EmulatorProcess, look_ups: LookUps) -> None:
    """A failed look-up fails for all hooks that wait for it; a later hook looks up again."""
    look_ups.error = OSError("vault sealed")
    hooks = [ImsHook() for _ in range(5)]
    failures = await asyncio.gather(*(hook._client() for hook in hooks), return_exceptions=True)
    assert [str(failure) for failure in failures] == ["vault sealed"] * 5
    assert len(look_ups.threads) == 1
    look_ups.error = None
    await asyncio.gather(*(hook._client() for hook in hooks))
    assert len(look_ups.threads) == 2
    await close(hooks)


async def test_cancelled_hook_does_not_cancel_a_shared_look_up(
    ims_emulator: EmulatorProcess, look_ups: LookUps
) -> None:
    """If the hook that started a shared look-up is cancelled, the others still get the result."""
    first, second = ImsHook(), ImsHook()
    starter = asyncio.create_task(first._client())
    await asyncio.sleep(0.05)
    other = asyncio.create_task(second._client())
    await asyncio.sleep(0.05)
    starter.cancel()
    await asyncio.wait([starter])
    assert starter.cancelled()
    await other
    assert len(look_ups.threads) == 1
    await close([first, second])


async def test_invalid_connection_is_an_error_for_each_hook(connect: Callable[..., None]) -> None:
    """A configuration error is raised by each hook that shares the look-up."""
    connect(host="ftp://example.com")
    failures = await asyncio.gather(*(ImsHook()._client() for _ in range(3)), return_exceptions=True)
    assert all(isinstance(failure, ImsConfigurationError) for failure in failures)


def wait_for(job_id: str, interval: float = 1e-3) -> JobWait:
    """Return a wait that a worker has started."""
    now = time.time()
    return JobWait(
        COPYRIGHT_EXTRACT, job_id, now, now + 60, poll_interval=interval, max_poll_interval=interval, polls=1
    )


async def test_refused_keys_are_looked_up_again_once_for_all_waits(
    ims_emulator: EmulatorProcess, connect: Callable[..., None], look_ups: LookUps
) -> None:
    """If the keys are refused, the waits read the connection again together, and continue with the new keys."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    submitting = ImsHook()
    job_id = (await submitting.asubmit(COPYRIGHT_EXTRACT, {"Input": {"Type": "OSS", "Media": MEDIA}})).job_id
    await submitting.aclose()
    connect(password="retired")
    hooks = [WaitingHook() for _ in range(20)]
    await asyncio.gather(*(hook._client() for hook in hooks))
    connect()
    before = len(look_ups.threads)
    outcomes = await asyncio.gather(*(hook.apoll_until_done(wait_for(job_id)) for hook in hooks))
    assert [outcome.result for outcome in outcomes] == ["(c) Studio"] * 20
    # A look-up serves the waits whose request was sent before it started; the others share the next one.
    assert 1 <= len(look_ups.threads) - before <= 3
    await close(hooks)


async def test_waits_share_timers(ims_emulator: EmulatorProcess) -> None:
    """A hundred waits with the same poll interval need at most sixteen timers."""
    ims_emulator.put_media(MEDIA)
    hooks = [WaitingHook() for _ in range(100)]
    waits = [asyncio.create_task(hook.apoll_until_done(wait_for("J", 15.0))) for hook in hooks]
    await asyncio.sleep(0.2)
    assert 1 <= len(SharedTimers.of_running_loop()._timers) <= 16
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    assert not SharedTimers.of_running_loop()._timers
    await close(hooks)


async def test_throttled_response_slows_down_all_hooks_of_the_loop(ims_emulator: EmulatorProcess) -> None:
    """If one hook is throttled, the next request of another hook waits for the retry-after of that response."""
    first, second = ImsHook(), ImsHook()
    await second.acall(LIST)
    ims_emulator.fault(LIST, "throttle", retry_after=600)
    begun = time.monotonic()
    with pytest.raises(Exception, match=r"Throttling\.User"):
        await first.acall(LIST)
    await second.acall(LIST)
    assert time.monotonic() - begun >= 0.6
    await close([first, second])


async def test_hooks_share_the_rate_limit_of_the_connection(
    ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """The rate limit of a connection applies to all hooks together, not to each."""
    connect(extra={"max_requests_per_second": 10})
    hooks = [ImsHook() for _ in range(25)]
    begun = time.monotonic()
    await asyncio.gather(*(hook.acall(LIST) for hook in hooks))
    assert time.monotonic() - begun >= 2
    await close(hooks)
