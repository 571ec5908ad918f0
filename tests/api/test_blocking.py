"""Asynchronous code that synchronous code waits for, within a time limit."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time

import pytest

from airflow_provider_ims.api.blocking import run_within


async def value(seconds: float = 0) -> str:
    await asyncio.sleep(seconds)
    return "value"


async def failure() -> None:
    raise LookupError("x")


def test_result_and_error_are_those_of_the_coroutine() -> None:
    """The result is returned, and an error raised, also a time-out of the coroutine's own."""
    assert run_within(5, value()) == "value"
    with pytest.raises(LookupError):
        run_within(5, failure())


def test_coroutine_that_takes_longer_is_cancelled() -> None:
    """After the time limit the caller goes on, and what it waited for ends."""
    before = set(threading.enumerate())
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        run_within(0.2, value(60))
    assert time.monotonic() - start < 2
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


def test_blocked_thread_is_left_to_itself() -> None:
    """A thread that cannot be interrupted, as one that looks up a name, does not hold the caller up."""
    released = threading.Event()
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        run_within(0.2, asyncio.to_thread(released.wait, 20))
    assert time.monotonic() - start < 2
    released.set()


def test_context_of_the_caller_is_that_of_the_coroutine() -> None:
    """Context variables of the caller are those of the coroutine: Airflow keeps a connection under test there."""
    variable = contextvars.ContextVar("variable", default="outside")
    variable.set("inside")

    async def read() -> str:
        return variable.get()

    assert run_within(5, read()) == "inside"
