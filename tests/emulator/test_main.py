from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts the command, and kill its processes at the end."""
    processes: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow_provider_ims.emulator", *arguments],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def ready_line(process: subprocess.Popen[str]) -> str:
    """Return the line that a process prints when it listens."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 15)[0]
    return process.stdout.readline()


def test_one_line_reports_that_it_listens(start: Start) -> None:
    """When it listens, the command prints one line with the address and the region."""
    line = ready_line(start("--port", "0", "--region", "cn-beijing"))

    assert re.fullmatch(r"IMS emulator listening on http://127\.0\.0\.1:\d+ \(region cn-beijing\)\n", line)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(start: Start, number: signal.Signals) -> None:
    """A signal ends the command with status 0 and without a traceback."""
    process = start("--port", "0", "--access-key-secret", "do-not-print")
    line = ready_line(process)
    process.send_signal(number)

    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "", "")
    assert "do-not-print" not in line


def test_a_hanging_call_does_not_delay_the_end(start: Start) -> None:
    """The emulator ends although a client waits for a response."""
    process = start("--port", "0")
    endpoint = ready_line(process).split()[4]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(f"{endpoint}/_emulator/faults", b'{"action": "Any", "kind": "hang"}', timeout=5).close()
    with pytest.raises(TimeoutError):
        opener.open(urllib.request.Request(endpoint, b"", {"x-acs-action": "Any"}), timeout=0.2)
    process.terminate()

    assert process.wait(5) == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "example.com"])
def test_a_host_that_is_not_loopback_is_refused(start: Start, host: str) -> None:
    """The emulator listens on loopback only, because its control API needs no key."""
    process = start("--host", host)
    _, errors = process.communicate(timeout=15)

    assert process.returncode == 2
    assert f"{host} is not a loopback address; the emulator serves this machine only" in errors


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("--port", "65536", "65536 is not a port"),
        ("--processing-time", "-1", "-1 is not a number of seconds, 0 or more"),
        ("--processing-time", "1e11", "1e11 is not a number of seconds, 0 or more and 10,000,000,000 or less"),
        ("--processing-time", "nan", "nan is not a number of seconds, 0 or more"),
    ],
)
def test_a_value_out_of_range_is_refused(start: Start, option: str, value: str, error: str) -> None:
    """A port or a time out of range is refused with a reason."""
    process = start(f"{option}={value}")
    _, errors = process.communicate(timeout=15)

    assert process.returncode == 2
    assert error in errors


def test_a_port_in_use_is_an_error_without_a_traceback(start: Start) -> None:
    """A start on a port in use fails with one line."""
    port = ready_line(start("--port", "0")).split()[4].rpartition(":")[2]
    process = start("--port", port)
    output, errors = process.communicate(timeout=15)

    assert (process.returncode, output) == (1, "")
    assert errors.startswith("IMS emulator: ")
    assert "Traceback" not in errors


def test_a_port_for_https_needs_a_certificate(start: Start) -> None:
    """A port for https without a certificate is refused with a reason."""
    process = start("--tls-port", "0")
    _, errors = process.communicate(timeout=15)

    assert process.returncode == 2
    assert "--tls-port needs --tls-cert" in errors
