"""Waits while something is wrong: slow turns are warned of, and a corrected connection reaches running waits.

``test_outages_at_scale.py`` shows that deadlines hold.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.hooks import ims
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.hooks.waiting import WaitingHook
from airflow_provider_ims.jobs import polling
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.polling import JobWait

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from airflow_provider_ims.jobs.outcome import JobOutcome

    Connect = Callable[..., None]

MEDIA = "oss://rights-evidence/clip.mp4"
LOGGER = logging.getLogger("tests.outages")


def wait_for(job_id: str, seconds: float, **changes: Any) -> JobWait:
    now = time.time()
    intervals = {"poll_interval": 0.05, "max_poll_interval": 0.05}
    return JobWait(COPYRIGHT_EXTRACT, job_id, now, now + seconds, **{**intervals, **changes}, log=LOGGER)


async def wait_all(waits: list[JobWait]) -> list[tuple[JobOutcome, float]]:
    """Run waits as a triggerer does, and return each outcome and how long after its deadline it came."""

    async def one(wait: JobWait) -> tuple[JobOutcome, float]:
        hook = WaitingHook()
        try:
            outcome = await hook.apoll_until_done(wait)
        finally:
            await hook.aclose()
        return outcome, time.time() - wait.deadline

    return list(await asyncio.gather(*(one(wait) for wait in waits)))


async def test_slow_turns_are_warned_of_once(
    ims_emulator: EmulatorProcess,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A poll that takes longer than the interval is warned of: the rate limit is too low for so many jobs."""
    monkeypatch.setattr(polling, "_SLOW", 0.1)
    connect(extra={"max_requests_per_second": 5})
    ims_emulator.put_media(MEDIA, processing_time=60)
    job_id = ImsHook().submit_copyright_extract_job(MEDIA)
    await wait_all([wait_for(job_id, 2.0) for _ in range(12)])
    warnings = [record.getMessage() for record in caplog.records if "longer than poll_interval" in record.getMessage()]
    assert 1 <= len(warnings) <= 12
    assert f"of job {job_id} took" in warnings[0]


async def test_corrected_endpoint_reaches_a_running_wait(
    ims_emulator: EmulatorProcess, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is corrected in the UI is used by waits that run already, without a restart."""
    monkeypatch.setattr(ims, "SETTINGS_TTL", 0.2)
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    job_id = ImsHook().submit_copyright_extract_job(MEDIA)
    connect(host="http://127.0.0.1:1")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(wait_all([wait_for(job_id, 30.0) for _ in range(20)]))
        await asyncio.sleep(0.5)
        assert not running.done()
        connect()
    results = running.result()
    assert {outcome.result for outcome, _ in results} == {"(c) Studio"}


async def test_running_waits_share_the_look_up(
    ims_emulator: EmulatorProcess, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty waits look their connection up together, at most once in each interval."""
    monkeypatch.setattr(ims, "SETTINGS_TTL", 0.5)
    look_ups: list[float] = []
    real = ImsHook.get_connection

    def look_up(conn_id: str) -> Any:
        look_ups.append(time.monotonic())
        return real(conn_id)

    monkeypatch.setattr(ImsHook, "get_connection", staticmethod(look_up))
    connect(extra={"max_requests_per_second": 1000})
    ims_emulator.put_media(MEDIA, processing_time=60)
    hook = ImsHook()
    job_id = (await hook.asubmit("CopyrightExtractJob", {"Input": {"Type": "OSS", "Media": MEDIA}})).job_id
    await hook.aclose()
    look_ups.clear()
    await wait_all([wait_for(job_id, 2.0) for _ in range(50)])
    assert 3 <= len(look_ups) <= 7


async def test_unreadable_connection_is_not_read_at_each_poll(
    ims_emulator: EmulatorProcess, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the connection cannot be read, its last settings stay in use, and it is not read more often."""
    monkeypatch.setattr(ims, "SETTINGS_TTL", 0.5)
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=1.5)
    job_id = ImsHook().submit_copyright_extract_job(MEDIA)
    look_ups: list[float] = []
    real = ImsHook.get_connection

    def look_up(conn_id: str) -> Any:
        look_ups.append(time.monotonic())
        if len(look_ups) > 1:
            raise OSError("vault sealed")
        return real(conn_id)

    monkeypatch.setattr(ImsHook, "get_connection", staticmethod(look_up))
    results = await wait_all([wait_for(job_id, 30.0) for _ in range(20)])
    assert {outcome.result for outcome, _ in results} == {"(c) Studio"}
    assert len(look_ups) <= 6
