"""Find and kill processes that were started here, with everything that they have started."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped] # a dependency of Airflow, which ships no types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Seconds.
_KILL_TIMEOUT = 10.0
_POLL_INTERVAL = 0.25


def in_sessions(leaders: Iterable[int]) -> list[Any]:
    """Return the processes of some sessions, and their descendants in other sessions, as ``psutil.Process``.

    :param leaders: process ids of the leaders of the sessions
    """
    sessions = set(leaders)
    found: dict[int, Any] = {}
    parents: dict[int, tuple[int, Any]] = {}
    for process in psutil.process_iter():
        # The process has ended in the meantime, or belongs to another user.
        with suppress(psutil.Error, OSError):
            parents[process.pid] = (process.ppid(), process)
            if os.getsid(process.pid) in sessions:
                found[process.pid] = process
    while more := {pid: child for pid, (parent, child) in parents.items() if parent in found and pid not in found}:
        found |= more
    return alive(found.values())


def tree(pid: int) -> list[Any]:
    """Return a process and its descendants, as ``psutil.Process``; nothing if it has ended."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def freeze(pid: int) -> list[Any]:
    """Suspend a process and its descendants, so that they start no more, and return them as ``psutil.Process``."""
    frozen: dict[int, Any] = {}
    while new := [process for process in tree(pid) if process.pid not in frozen]:
        for process in new:
            frozen[process.pid] = process
            with suppress(psutil.Error):
                process.suspend()
    return list(frozen.values())


def kill(members: list[Any], find_new: Callable[[], list[Any]] = list) -> None:
    """Kill processes with SIGKILL, and wait until they have ended.

    :param members: the processes
    :param find_new: called again and again until it finds no further process to kill
    :raises RuntimeError: if they do not end
    """
    deadline = time.monotonic() + _KILL_TIMEOUT
    while members := alive([*members, *find_new()]):
        if time.monotonic() > deadline:
            raise RuntimeError(f"These processes do not end: {sorted(member.pid for member in members)}")
        for member in members:
            with suppress(psutil.Error):
                member.kill()
        psutil.wait_procs(members, timeout=_POLL_INTERVAL)


def alive(processes: Iterable[Any]) -> list[Any]:
    """Return the processes that run, each once. A zombie has ended, but its parent has not reaped it yet."""
    found = {}
    for process in processes:
        with suppress(psutil.Error):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process
    return list(found.values())
