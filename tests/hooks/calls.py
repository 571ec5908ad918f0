"""Calls hooks in both forms, and reads which requests came of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from airflow_provider_ims.hooks.ims import ImsHook


def in_loop(method: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """Return a function that runs an asynchronous method of a hook on a loop, and then closes the hook."""

    async def call(hook: ImsHook, *args: Any, **kwargs: Any) -> Any:
        try:
            return await method(hook, *args, **kwargs)
        finally:
            await hook.aclose()

    def run(*args: Any, **kwargs: Any) -> Any:
        # With a factory, the loop of pytest-asyncio stays that of the thread.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(call(*args, **kwargs))

    return run


def requested(emulator: EmulatorProcess) -> list[tuple[str, dict[str, Any]]]:
    """Return action and parameters of each request that the emulator got."""
    return [(request["action"], request["parameters"]) for request in emulator.requests()]
