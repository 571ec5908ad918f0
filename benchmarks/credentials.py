"""Temporary keys: how they are refreshed under many waits, and what they cost the first submission of a process.

Compared with the official credentials library, and with the typed SDK with a client of that library.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

# A script that is run by its path finds its own directory on the import path, but not the project's.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from airflow_provider_ims.emulator.process import EmulatorProcess
from benchmarks import cold_submit
from benchmarks.certificate import self_signed
from benchmarks.key_callers import CANDIDATES, GRACE, INTERVAL, ROLE
from benchmarks.measured import MEDIA
from benchmarks.rounds import (
    MILLI,
    arguments,
    check_goals,
    goal_list,
    heading,
    interleave,
    measure,
    median,
    publish,
    ratio,
    table,
)

if TYPE_CHECKING:
    from benchmarks.rounds import Sample, Samples

CALLERS = (200, 1000)
SECONDS = 25.0
"""Duration of a measurement: two or three refreshes."""
REFRESHED_AFTER = 10.0
"""Seconds after which keys are due."""
LATENCY = 0.2
"""Seconds until STS responds."""
OURS, LIBRARY = "ours", "library, async"
# Ours fetches the next keys in the last quarter of their lifetime; the library in the last 15 minutes, whatever it is.
_LIFETIMES = dict.fromkeys(CANDIDATES, REFRESHED_AFTER + 900) | {OURS: REFRESHED_AFTER / 0.75}
GOAL_STALL = 0.1
"""Seconds that the longest stall of the event loop may take."""
GOAL_FETCHES = 6
"""The first keys, one fetch for each refresh, and one more for a slow start."""
GOAL_RATIO = 0.5
"""CPU time of a cold submission, compared with the typed synchronous client."""


def run(callers: int, seconds: float, rounds: int, directory: Path) -> Samples:
    """Measure all candidates with a number of callers.

    :param callers: number of callers
    :param seconds: duration of a measurement
    :param rounds: number of rounds
    :param directory: AIRFLOW_HOME of the processes
    """
    with EmulatorProcess(processing_time=86_400) as emulator:

        def one(candidate: str) -> Sample:
            emulator.reset()
            emulator.put_media(MEDIA)
            emulator.put_role(ROLE)
            connection = emulator.connection_json(role_arn=ROLE, max_requests_per_second=10_000)
            emulator.configure(token_lifetime=_LIFETIMES[candidate])
            emulator.fault("AssumeRole", "slow", seconds=LATENCY, times=100_000)
            sample = measure(
                *(candidate, str(callers), str(seconds)),
                script="key_callers.py",
                home=str(directory),
                env={"AIRFLOW_CONN_IMS_DEFAULT": connection},
                timeout=seconds + GRACE + 60,
            )
            fetches = [record for record in emulator.requests() if record["action"] == "AssumeRole"]
            return {**sample, "fetches": len(fetches)}

        return interleave(CANDIDATES, rounds, one, warm_up=False)


def report(results: dict[int, Samples]) -> str:
    """Return the table of refreshes."""
    rows = [
        [
            f"{callers:,} · {name}",
            _milliseconds(samples, "stall_p99"),
            _milliseconds(samples, "stall_max"),
            _milliseconds(samples, "stalled"),
            f"{median(samples, 'fetches'):.0f}",
            f"{median(samples, 'uses'):,.0f}",
            f"{median(samples, 'failed'):,.0f}",
        ]
        for callers, by_name in results.items()
        for name, samples in by_name.items()
    ]
    header = ["callers", "stall, p99", "longest stall", "stalls together", "AssumeRole", "uses", "failed"]
    return table(header, rows)


def _milliseconds(samples: list[Sample], key: str) -> str:
    text = f"{median(samples, key) * MILLI:,.0f} ms"
    return f"more than {text}" if key != "stall_p99" and any(sample["is_blocked"] for sample in samples) else text


def main() -> int:
    """Measure, print the report and return the exit status."""
    options = arguments("refreshes of temporary keys, and a cold submission with a RAM role", rounds=5)
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        # A blocked event loop blocks in each round.
        rounds = min(options.rounds, 2)
        results = {callers: run(callers, SECONDS, rounds, directory) for callers in CALLERS}
        certificate = self_signed(directory)
        cold = cold_submit.run(directory, options.rounds, certificate, tls=True, role=ROLE)

    share = ratio(cold[OURS], cold[cold_submit.BASE], "cpu")
    goals = {
        f"cold submission with a RAM role: {share:.2f} of the CPU time of the typed sync client, goal at most "
        f"{GOAL_RATIO}": share <= GOAL_RATIO
    }
    for callers, samples in results.items():
        stall, fetches = median(samples[OURS], "stall_max"), median(samples[OURS], "fetches")
        goals[f"{callers:,} waits: longest stall {stall * MILLI:.0f} ms, goal at most {GOAL_STALL * MILLI:.0f} ms"] = (
            stall <= GOAL_STALL
        )
        goals[f"{callers:,} waits: {fetches:.0f} AssumeRole, goal at most {GOAL_FETCHES}"] = fetches <= GOAL_FETCHES
    how = (
        f"{SECONDS:.0f} s each, {rounds} rounds. Keys are due after {REFRESHED_AFTER:.0f} s, STS responds after "
        f"{LATENCY * MILLI:.0f} ms, and each caller needs keys every {INTERVAL:.0f} s."
    )
    text = [
        "# Temporary keys",
        heading(options.rounds),
        "## Refreshes",
        how,
        report(results),
        "## Cold submit with a RAM role, https",
        cold_submit.report(cold),
        cold_submit.profile(cold),
        "## Goals",
        goal_list(goals),
    ]
    publish(options.results, "credentials", "\n\n".join(text))
    return check_goals(goals)


if __name__ == "__main__":
    sys.exit(main())
