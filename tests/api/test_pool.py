"""What hooks on one event loop share, and what they do not."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

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
    """Counts the look-ups of connections, which take a while."""

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


async def test_hooks_that_start_together_look_the_connection_up_once(
    ims_emulator: EmulatorProcess, look_ups: LookUps
) -> None:
    """A triggerer with hundreds of triggers reads the connection once, off the loop, and opens few connections."""
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


async def test_last_hook_closes_the_session(ims_emulator: EmulatorProcess) -> None:
    """The connection stays until nobody uses it any more; who comes later opens another one."""
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


async def test_regions_and_connections_share_nothing(
    ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """Settings that differ have a client each."""
    here, there = ImsHook(region="cn-shanghai"), ImsHook(region="cn-beijing")
    assert await here._client() is not await there._client()
    connect(extra={"read_timeout": 7})
    other = ImsHook(region="us-west-1")
    assert (await other._client()).settings.read_timeout == 7
    await close([here, there, other])


async def test_look_up_serves_others_for_a_while_only(
    ims_emulator: EmulatorProcess, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch, look_ups: LookUps
) -> None:
    """A connection that was changed in the UI is used by what starts half a minute later."""
    first, second, third = ImsHook(), ImsHook(), ImsHook()
    await first._client()
    connect(extra={"read_timeout": 7})
    assert (await second._client()).settings.read_timeout == 10
    monkeypatch.setattr(pool, "_LOOK_UP_TTL", -1.0)
    assert (await third._client()).settings.read_timeout == 7
    assert len(look_ups.threads) == 2
    await close([first, second, third])


async def test_look_up_that_failed_is_tried_again(ims_emulator: EmulatorProcess, look_ups: LookUps) -> None:
    """Those who asked together learn of the failure; who asks later looks for himself."""
    look_ups.error = OSError("vault sealed")
    hooks = [ImsHook() for _ in range(5)]
    failures = await asyncio.gather(*(hook._client() for hook in hooks), return_exceptions=True)
    assert [str(failure) for failure in failures] == ["vault sealed"] * 5
    assert len(look_ups.threads) == 1
    look_ups.error = None
    await asyncio.gather(*(hook._client() for hook in hooks))
    assert len(look_ups.threads) == 2
    await close(hooks)


async def test_who_is_cancelled_leaves_the_look_up_to_the_others(
    ims_emulator: EmulatorProcess, look_ups: LookUps
) -> None:
    """The first of many can be cleared while it looks the connection up for all."""
    first, second = ImsHook(), ImsHook()
    asking = asyncio.create_task(first._client())
    await asyncio.sleep(0.05)
    other = asyncio.create_task(second._client())
    await asyncio.sleep(0.05)
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()
    await other
    assert len(look_ups.threads) == 1
    await close([first, second])


async def test_wrong_connection_is_told_to_each(connect: Callable[..., None]) -> None:
    """An error of the configuration reaches all who share the look-up."""
    connect(host="ftp://example.com")
    failures = await asyncio.gather(*(ImsHook()._client() for _ in range(3)), return_exceptions=True)
    assert all(isinstance(failure, ImsConfigurationError) for failure in failures)


def wait_for(job_id: str, interval: float = 1e-3) -> JobWait:
    """Return a wait that was begun by a worker."""
    now = time.time()
    return JobWait(
        COPYRIGHT_EXTRACT, job_id, now, now + 60, poll_interval=interval, max_poll_interval=interval, polls=1
    )


async def test_keys_that_are_refused_are_looked_up_again_once_for_all(
    ims_emulator: EmulatorProcess, connect: Callable[..., None], look_ups: LookUps
) -> None:
    """However fresh the look-up: where keys are refused, many waits read the connection together, and go on."""
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
    # Those whose request was on its way when somebody began to read wait for him, the others for the next one.
    assert 1 <= len(look_ups.threads) - before <= 3
    await close(hooks)


async def test_waits_share_their_timers(ims_emulator: EmulatorProcess) -> None:
    """Waits with pauses of some length wake up together, at the ticks of the interval."""
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


async def test_throttling_answer_slows_down_everybody_on_the_loop(ims_emulator: EmulatorProcess) -> None:
    """One hook is throttled; another one's next request waits as long as the answer to the first asked for."""
    first, second = ImsHook(), ImsHook()
    await second.acall(LIST)
    ims_emulator.fault(LIST, "throttle", retry_after=600)
    begun = time.monotonic()
    with pytest.raises(Exception, match=r"Throttling\.User"):
        await first.acall(LIST)
    await second.acall(LIST)
    assert time.monotonic() - begun >= 0.6
    await close([first, second])


async def test_limit_of_the_connection_is_kept_by_all_together(
    ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """The connection's limit is one for the process, not for each hook."""
    connect(extra={"max_requests_per_second": 10})
    hooks = [ImsHook() for _ in range(25)]
    begun = time.monotonic()
    await asyncio.gather(*(hook.acall(LIST) for hook in hooks))
    assert time.monotonic() - begun >= 2
    await close(hooks)
