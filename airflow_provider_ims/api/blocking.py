"""Runs asynchronous code from synchronous code, on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

T = TypeVar("T")


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end and return its result.

    ``asyncio.run`` would fail in ``on_kill``: Airflow calls it in a signal handler, and the interrupted code may be
    running a loop.

    If an exception is raised while this function waits, as Airflow does at a time-out, the coroutine is cancelled and
    its end is waited for. If the coroutine then ends in an error of its own, that error is raised instead: a
    submission that was interrupted says so.

    anyio's blocking portal takes 15 ms more to load, an eighth of a cold submission (``benchmarks/cold_submit.py``).
    """
    future = None
    try:
        with _loop_in_thread() as loop:
            # Runs in a copy of the caller's context: Airflow keeps a connection under test there.
            future = asyncio.run_coroutine_threadsafe(coroutine, loop)
            return future.result()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as interruption:
        if future is None or not future.done() or future.cancelled():
            raise
        error = future.exception()
        if error is None or error is interruption:
            raise
        raise error from interruption


@contextmanager
def _loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()

    def run() -> None:
        # The thread cleans up after itself: a caller that is interrupted a second time leaves nothing running.
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(_end_all(loop))
            loop.close()

    def stop() -> None:
        # Cancelled before anything else runs: a step that is due could still send a request.
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.stop()

    thread = threading.Thread(target=run, daemon=True, name="ims-hook")
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(stop)
        thread.join()


async def _end_all(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left and wait for it, so that nothing stays open."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        if not task.cancelling():
            task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


def run_within(seconds: float, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end and return its result, or give up.

    A look-up of a name in the DNS cannot be interrupted: then the thread is left to itself, and ends later.

    :param seconds: how long it may take
    :param coroutine: what to run
    :raises TimeoutError: if it takes longer
    """
    future: concurrent.futures.Future[T] = concurrent.futures.Future()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        try:
            result = await coroutine
        except BaseException as error:  # noqa: BLE001 - the caller gets whatever it is
            future.set_exception(error)
        else:
            future.set_result(result)

    def run_loop() -> None:
        # In the caller's context: Airflow keeps a connection under test there.
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(run(), context=context)

    context = contextvars.copy_context()
    threading.Thread(target=run_loop, daemon=True, name="ims-hook").start()
    try:
        return future.result(seconds)
    except concurrent.futures.TimeoutError:
        if not future.done():
            loop.call_soon_threadsafe(_cancel_all, loop)
        raise


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
