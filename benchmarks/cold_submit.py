"""CPU time of the first submission in a process, compared with the official typed SDK.

A task process runs one task, so every submission of an operator is the first one of its process.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

# A script that is run by its path finds its own directory on the import path, but not the project's.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from airflow_provider_ims.emulator.process import EmulatorProcess
from benchmarks.certificate import self_signed
from benchmarks.measured import CANDIDATES, MEDIA
from benchmarks.rounds import (
    MIB,
    MILLI,
    arguments,
    check_goals,
    heading,
    interleave,
    measure,
    median,
    publish,
    ratio,
    table,
)

if TYPE_CHECKING:
    from benchmarks.certificate import Certificate
    from benchmarks.rounds import Sample, Samples

GOAL_RATIO = 0.4
OURS, BASE = "ours", "typed SDK, sync"


def run(directory: Path, rounds: int, certificate: Certificate, *, tls: bool, role: str | None = None) -> Samples:
    """Run the rounds against one emulator, and check that each process has created exactly one job.

    :param directory: AIRFLOW_HOME of the processes
    :param rounds: number of rounds
    :param certificate: certificate of the emulator, which the processes trust
    :param tls: whether to use HTTPS
    :param role: a RAM role that the key of the connection assumes, None for none
    :raises RuntimeError: if a process has created no job, several jobs, or another job than it reports
    """
    path, key = (certificate.path, certificate.key) if tls else (None, None)
    with EmulatorProcess(tls_cert=path, tls_key=key) as emulator:
        emulator.put_media(MEDIA)
        if role is not None:
            emulator.put_role(role)
        env = {
            "AIRFLOW_CONN_IMS_DEFAULT": emulator.connection_json(**({} if role is None else {"role_arn": role})),
            # A default of OpenSSL, which aiohttp and both methods of the SDK use.
            "SSL_CERT_FILE": str(certificate.trusted),
        }

        def one(candidate: str) -> Sample:
            billed = emulator.bill()["jobs"]
            sample = measure("submit", candidate, script="measured.py", home=str(directory), env=env)
            jobs = [job["job_id"] for job in emulator.jobs()]
            if emulator.bill()["jobs"] != billed + 1 or jobs[-1] != sample["job_id"]:
                raise RuntimeError(f"{candidate} returned {sample['job_id']!r}; last jobs of the emulator: {jobs[-2:]}")
            return sample

        return interleave(CANDIDATES, rounds, one)


def report(samples: Samples) -> str:
    """Return the table of one protocol."""
    rows = [
        [
            name,
            f"{ratio(runs, samples[BASE], 'cpu'):.2f}",
            f"{ratio(runs, samples[BASE], 'wall'):.2f}",
            f"{median(runs, 'cpu') * MILLI:.0f} ms",
            f"{median(runs, 'wall') * MILLI:.0f} ms",
            f"{median(runs, 'rss') / MIB:.0f} MiB",
            f"{median(runs, 'modules'):.0f}",
        ]
        for name, runs in samples.items()
    ]
    header = ["cold submit", "CPU, sync SDK = 1", "wall, sync SDK = 1", "CPU", "wall", "memory", "modules"]
    return table(header, rows)


def profile(samples: Samples) -> str:
    """Return the table of CPU time by part; a shared import counts for the row that imports it first."""
    parts = {part: None for runs in samples.values() for part in runs[0]["imports"]}
    rows = [
        [
            f"import of {part}",
            *(_milliseconds([run["imports"].get(part, 0.0) for run in runs]) for runs in samples.values()),
        ]
        for part in parts
    ]
    rest = [
        "other imports and the request",
        *(_milliseconds([run["rest"] for run in runs]) for runs in samples.values()),
    ]
    return table(["CPU ms", *samples], [*rows, rest])


def _milliseconds(seconds: list[float]) -> str:
    middle = statistics.median(seconds) * MILLI
    return f"{middle:.0f}" if middle else ""


def main() -> int:
    """Measure, print the report and return the exit status."""
    options = arguments("CPU time of a cold submission, compared with the typed SDK", rounds=7)
    results: dict[str, Samples] = {}
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        certificate = self_signed(directory)
        for protocol, tls in (("http", False), ("https", True)):
            results[protocol] = run(directory, options.rounds, certificate, tls=tls)

    text = ["# Cold submit", heading(options.rounds)]
    for protocol, samples in results.items():
        text += [f"## {protocol}", report(samples), profile(samples)]
    publish(options.results, "cold_submit", "\n\n".join(text))
    ratios = {protocol: ratio(samples[OURS], samples[BASE], "cpu") for protocol, samples in results.items()}
    return check_goals(
        {
            f"{protocol}: {share:.2f} of the CPU time of the typed sync client, goal at most {GOAL_RATIO}": (
                share <= GOAL_RATIO
            )
            for protocol, share in ratios.items()
        }
    )


if __name__ == "__main__":
    sys.exit(main())
