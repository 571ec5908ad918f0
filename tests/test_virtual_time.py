"""The event loop that the outages run on."""

from __future__ import annotations

import asyncio
import time
import warnings

from tests.virtual_time import run_in_virtual_time

HOUR = 3600.0
real_time = time.perf_counter


def test_an_hour_passes_at_once() -> None:
    """A sleep moves the clocks of the loop and of ``time`` by its length, and takes no time."""

    async def main() -> list[float]:
        def clocks() -> list[float]:
            return [asyncio.get_running_loop().time(), time.time(), time.monotonic()]

        before = clocks()
        await asyncio.sleep(HOUR)
        return [now - then for now, then in zip(clocks(), before, strict=True)]

    begun = real_time()
    passed = run_in_virtual_time(main())
    assert real_time() - begun < 10
    assert all(abs(seconds - HOUR) < 0.01 for seconds in passed)


def test_work_in_a_thread_holds_the_clock() -> None:
    """A time-out does not end work that a thread does meanwhile."""

    async def main() -> None:
        begun = asyncio.get_running_loop().time()
        async with asyncio.timeout(0.001):
            await asyncio.to_thread(time.sleep, 0.1)
        assert asyncio.get_running_loop().time() == begun

    run_in_virtual_time(main())


def test_end_of_the_loop_waits_for_its_threads() -> None:
    """The time-out of asyncio for threads that still work at the end does not end the wait for them."""
    left: list[asyncio.Task[None]] = []

    async def main() -> None:
        left.append(asyncio.create_task(asyncio.to_thread(time.sleep, 0.1)))
        await asyncio.sleep(0)

    with warnings.catch_warnings():
        # asyncio warns of threads that it does not wait for.
        warnings.simplefilter("error")
        run_in_virtual_time(main())
    assert left[0].cancelled()


def test_data_on_a_connection_holds_the_clock() -> None:
    """A thousand round trips to a server on the loop take no time; its pauses do."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await asyncio.sleep(1)
            writer.write(line)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(respond, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            begun = time.monotonic()
            for _ in range(1000):
                writer.write(b"line\n")
                assert await reader.readline() == b"line\n"
            assert abs(time.monotonic() - begun - 1000) < 0.01
            writer.close()
            await writer.wait_closed()

    run_in_virtual_time(main())
