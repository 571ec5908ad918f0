"""Cost of waiting for thousands of jobs over TLS on one event loop, compared with the official SDK and bare aiohttp.

There are two polling modes: polling again at once, which shows the highest throughput, and polling every 30 seconds,
as in production.
"""

from __future__ import annotations

import json
import math
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

# A script that is run by its path finds its own directory on the import path, but not the project's.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.certificate import self_signed
from benchmarks.rounds import (
    MIB,
    MILLI,
    arguments,
    check_goals,
    goal_list,
    heading,
    interleave,
    measure,
    median,
    plot,
    publish,
    ratio,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.rounds import Sample, Samples

_HERE = Path(__file__).parent
OURS, BARE, THREADS, SDK = CANDIDATES = ("ours", "bare aiohttp", "SDK, threads", "SDK, async")
JOBS = (1, 10, 100, 1000, 5000)
INTERVAL = 30.0
AT_ONCE_SECONDS = 3.0
# One interval, so that each job is polled once.
EVERY_SECONDS = INTERVAL
# A candidate that has not finished by then is not measured again.
PROCESS_TIMEOUT = 120.0
KIB = 1024

MANY, MOST = 1000, 5000
GOALS: dict[str, tuple[float, str]] = {
    "polls per second at 100 jobs, SDK async = 1": (90.0, "at least"),
    "polls per second at 100 jobs, bare aiohttp = 1": (0.6, "at least"),
    # 0.45 ms, compared with 0.25 ms of bare aiohttp.
    "CPU per poll at 100 jobs, bare aiohttp = 1": (1.8, "at most"),
    "stall p99 with 1,000 jobs every 30 s, in ms": (10.0, "at most"),
    "longest stall with 1,000 jobs every 30 s, in ms": (100.0, "at most"),
    "CPU of 5,000 jobs every 30 s, bare aiohttp = 1": (0.5, "at most"),
    "memory per job at 5,000 jobs, in KiB": (10.0, "at most"),
    "connections at 5,000 jobs": (50.0, "at most"),
    "CPU per job at 5,000 jobs, 100 jobs = 1": (1.2, "at most"),
}


class Service:
    """A running process of ``service.py``.

    :param port: its port
    :param trusted: CA bundle that contains its certificate
    """

    def __init__(self, port: int, trusted: Path) -> None:
        self.endpoint = f"https://127.0.0.1:{port}"
        context = ssl.create_default_context(cafile=str(trusted))
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    def connections(self) -> int:
        """Return the number of connections that clients have opened so far, without the one of this request."""
        with self._opener.open(f"{self.endpoint}/", timeout=10) as response:
            return int(response.read()) - 1


@contextmanager
def service(directory: Path) -> Iterator[tuple[Service, dict[str, str]]]:
    """Run the service, and yield it with the environment variables that a client needs to use it."""
    certificate = self_signed(directory)
    command = [sys.executable, str(_HERE / "service.py"), str(certificate.path), str(certificate.key)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101
            running = Service(int(process.stdout.readline()), certificate.trusted)
            connection = {
                "conn_type": "ims",
                "login": "id",
                "password": "secret",
                "host": running.endpoint,
                # Higher than the polling rate, so that the rate limiter never waits.
                "extra": {"region_id": "cn-shanghai", "max_requests_per_second": 10_000},
            }
            env = {"AIRFLOW_CONN_IMS_DEFAULT": json.dumps(connection), "SSL_CERT_FILE": str(certificate.trusted)}
            yield running, env
        finally:
            process.kill()


def run(jobs: int, interval: float, seconds: float, rounds: int, directory: Path) -> Samples:
    """Measure all candidates with a number of jobs, in rounds.

    Each measurement starts a new service, so that the connections of one candidate do not slow down the next one.

    :param jobs: number of jobs to wait for
    :param interval: seconds between two polls of a job, 0 for none
    :param seconds: duration of a measurement
    :param rounds: number of rounds
    :param directory: AIRFLOW_HOME of the processes
    """
    timed_out: set[str] = set()

    def one(candidate: str) -> Sample:
        if candidate in timed_out:
            return {}
        with service(directory) as (running, env):
            try:
                sample = measure(
                    *(candidate, str(jobs), str(interval), str(seconds)),
                    script="waiters.py",
                    home=str(directory),
                    env=env,
                    timeout=PROCESS_TIMEOUT,
                )
            except subprocess.TimeoutExpired:
                timed_out.add(candidate)
                return {}
            sample["connections"] = running.connections()
            return sample

    return interleave(CANDIDATES, rounds, one, warm_up=False)


def report(results: dict[int, Samples], base: str) -> str:
    """Return the table of one polling mode.

    :param results: the measurements by number of jobs
    :param base: the candidate whose ratio is 1
    """
    rows = []
    for jobs, samples in results.items():
        for name, runs in samples.items():
            if not all(runs):
                rows.append([f"{jobs:,} · {name}", *[""] * 10, f"timed out after {PROCESS_TIMEOUT:.0f} s"])
                continue
            polled = all(sample["polls"] for sample in runs)
            based = polled and all(sample["polls"] for sample in samples[base])
            rows.append(
                [
                    f"{jobs:,} · {name}",
                    f"{ratio(runs, samples[base], 'polls_per_second'):.2f}" if based else "",
                    f"{ratio(runs, samples[base], 'cpu_per_poll'):.2f}" if based else "",
                    f"{median(runs, 'polls_per_second'):,.1f}",
                    f"{median(runs, 'cpu_per_poll') * MILLI:.2f}" if polled else "",
                    f"{median(runs, 'core') * 100:.1f} %",
                    *(f"{median(runs, f'stall_{part}') * MILLI:,.1f}" for part in ("p50", "p99", "max")),
                    f"{median(runs, 'connections'):,.0f}",
                    f"{median(runs, 'memory_per_job') / KIB:,.1f}" if jobs >= MANY / 10 else "",
                    f"{median(runs, 'failed'):,.0f}",
                ]
            )
    header = [
        "jobs",
        f"polls/s, {base} = 1",
        f"CPU per poll, {base} = 1",
        "polls/s",
        "CPU ms per poll",
        "CPU core",
        "stall ms p50",
        "p99",
        "max",
        "connections",
        "KiB per job",
        "failed",
    ]
    return table(header, rows)


def goal_values(at_once: dict[int, Samples], every: dict[int, Samples]) -> dict[str, float]:
    """Return the measured values of the goals."""
    hundred, many, most = at_once[100], every[MANY][OURS], every[MOST]
    values = (
        ratio(hundred[OURS], hundred[SDK], "polls_per_second"),
        ratio(hundred[OURS], hundred[BARE], "polls_per_second"),
        ratio(hundred[OURS], hundred[BARE], "cpu_per_poll"),
        median(many, "stall_p99") * MILLI,
        median(many, "stall_max") * MILLI,
        ratio(most[OURS], most[BARE], "cpu"),
        median(most[OURS], "memory_per_job") / KIB,
        median(most[OURS], "connections"),
        median(most[OURS], "cpu") / MOST / (median(every[100][OURS], "cpu") / 100),
    )
    return dict(zip(GOALS, values, strict=True))


def draw(directory: Path, at_once: dict[int, Samples], every: dict[int, Samples]) -> None:
    """Write the plots."""

    def lines(results: dict[int, Samples], value: Callable[[list[Any]], float]) -> dict[str, list[float]]:
        return {
            name: [value(samples[name]) if all(samples[name]) else math.nan for samples in results.values()]
            for name in CANDIDATES
        }

    def stall(runs: list[Any]) -> float:
        return median(runs, "stall_max") * MILLI

    polls = lines(at_once, lambda runs: median(runs, "polls_per_second"))
    plot(directory / "throughput.png", "Polls per second, polled again at once", list(at_once), polls)
    cores = lines(every, lambda runs: median(runs, "core") * 100)
    plot(directory / "core.png", "Percent of a core, polled every 30 s", list(every), cores)
    plot(
        directory / "stall.png",
        "Longest stall of the event loop in ms, polled every 30 s",
        list(every),
        lines(every, stall),
    )
    memory = lines(every, lambda runs: max(median(runs, "memory_per_job"), KIB) / MIB * KIB)
    plot(directory / "memory.png", "KiB per job, polled every 30 s", list(every), memory)


def main() -> int:
    """Measure, print the report and return the exit status."""
    options = arguments("cost of waiting for jobs on one event loop", rounds=2)
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        at_once = {jobs: run(jobs, 0.0, AT_ONCE_SECONDS, options.rounds, home) for jobs in JOBS}
        every = {jobs: run(jobs, INTERVAL, EVERY_SECONDS, 1, home) for jobs in JOBS if jobs >= MANY / 10}
    values = goal_values(at_once, every)
    goals = {
        f"{name}: {values[name]:.2f}, goal {bound} {goal:g}": values[name] >= goal
        if bound == "at least"
        else values[name] <= goal
        for name, (goal, bound) in GOALS.items()
    }
    text = "\n\n".join(
        [
            "# Waiting for jobs",
            f"{heading(options.rounds)}. TLS over loopback. Memory is shown for 100 jobs and more.",
            "## Polled again at once",
            report(at_once, BARE),
            f"## Polled every {INTERVAL:.0f} s, one round",
            report(every, BARE),
            "## Goals",
            goal_list(goals),
        ]
    )
    publish(options.results, "waiting", text)
    draw(options.results, at_once, every)
    return check_goals(goals)


if __name__ == "__main__":
    sys.exit(main())
