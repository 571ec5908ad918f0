"""Programs under ``supervisord``. Needs the dependency group ``cluster``, and no cluster."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped] # a dependency of Airflow, which ships no types
import pytest

from dev.processes import in_sessions
from dev.supervised import Program, Supervised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytest.importorskip("supervisor", reason="make cluster-test")

ROOT = Path(__file__).parent.parent.parent
TIMEOUT = 60.0
# It starts another process, as a worker does, and both ignore SIGTERM.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, sys.argv[0], "child"], start_new_session=True)
print("100% started", flush=True)
time.sleep(600)
"""


def wait_until(probe: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not probe():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Supervised]:
    """Run one program."""
    script = tmp_path / "stubborn.py"
    script.write_text(STUBBORN)
    command = (sys.executable, str(script))
    with Supervised({"stubborn": Program(command, stop_timeout=1)}, tmp_path, os.environ) as supervised:
        supervised.start("stubborn")
        wait_until(lambda: supervised.log_of("stubborn").read_text().count("100% started") == 2)
        yield supervised


def test_killed_program_is_restarted(programs: Supervised) -> None:
    """A program that was killed is started again; what it had started is killed with it."""
    pid = programs.pid("stubborn")
    children = psutil.Process(pid).children()
    programs.kill("stubborn")
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    wait_until(lambda: programs.pid("stubborn") not in {None, pid})
    assert programs.starts("stubborn") == 2


def test_stopped_program_is_not_restarted(programs: Supervised) -> None:
    """A program that is asked to end stays away until it is started."""
    programs.stop("stubborn")
    programs.wait_until_stopped("stubborn")
    assert programs.pid("stubborn") is None
    programs.start("stubborn")
    wait_until(lambda: programs.pid("stubborn"))


def test_nothing_is_left(programs: Supervised) -> None:
    """At the end nothing runs any more, also what ignores signals and has a session of its own."""
    pid = programs.pid("stubborn")
    assert pid is not None
    found = [psutil.Process(pid), *psutil.Process(pid).children()]
    assert len(found) == 2
    programs.stop_all()
    assert not programs.is_running
    assert not [one for one in found if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_orphan_is_killed_at_the_end(programs: Supervised) -> None:
    """What a program has started in a session of its own is killed at the end, also if the program ended before."""
    (child,) = psutil.Process(programs.pid("stubborn")).children()
    programs.stop("stubborn")
    programs.wait_until_stopped("stubborn")
    assert child.is_running()
    programs.stop_all()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_program_leads_a_session(programs: Supervised) -> None:
    """A program has a session of its own, in which its processes are found."""
    pid = programs.pid("stubborn")
    assert pid is not None
    assert os.getsid(pid) == pid
    assert len(in_sessions([pid])) == 2


def test_programs_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    """If the process that started ``supervisord`` is killed, the programs end."""
    script = f"""
import os, sys, time
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from dev.supervised import Program, Supervised
sleep = Program((sys.executable, "-c", "import time; time.sleep(600)"))
with Supervised({{"sleep": sleep}}, Path({str(tmp_path)!r}), os.environ) as one:
    one.start("sleep")
    while not one.pid("sleep"):
        time.sleep(0.1)
    print(one.pid("sleep"), flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert psutil.pid_exists(pid)
        starter.kill()
    wait_until(lambda: not psutil.pid_exists(pid))
