"""Interleaved rounds in fresh processes, and their report."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Sample: TypeAlias = dict[str, Any]
"""One measurement of one process."""
Samples: TypeAlias = dict[str, list[Sample]]
"""The measurements of each contestant, one for each round."""

_MEASURED = Path(__file__).with_name("measured.py")
# Settings of the caller that would change what is measured. The SDK ignores NO_PROXY, so the proxies must go.
_FOREIGN = ("AIRFLOW", "ALIBABA", "DEBUG", "PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS", "HTTP_PROXY", "HTTPS_PROXY")
_TIMEOUT = 120.0
_PACKAGES = (
    "apache-airflow",
    "apache-airflow-providers-alibaba",
    "alibabacloud-ice20201109",
    "alibabacloud-tea-openapi",
    "aiohttp",
)
MILLI = 1000
MIB = 2**20


def arguments(description: str, rounds: int) -> argparse.Namespace:
    """Parse the command line that the benchmarks share: ``rounds``, and ``json`` for a file to write."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--rounds", type=int, default=rounds, help=f"measured rounds, after one that warms up ({rounds})"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measurements to FILE")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return options


def measure(*args: str, home: str, env: Mapping[str, str] | None = None) -> Sample:
    """Run ``measured.py`` in a fresh process and return what it measured.

    :param args: its arguments
    :param home: AIRFLOW_HOME of the process
    :param env: further environment variables
    """
    clean = {name: value for name, value in os.environ.items() if not name.upper().startswith(_FOREIGN)}
    done = subprocess.run(
        [sys.executable, str(_MEASURED), *args],
        env={**clean, "AIRFLOW_HOME": home, **(env or {})},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"measured.py {' '.join(args)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    sample: Sample = json.loads(done.stdout.splitlines()[-1])
    return sample


def interleave(names: Iterable[str], rounds: int, run: Callable[[str], Sample]) -> Samples:
    """Run every contestant once in each round; the first round writes byte code and fills caches, and does not count.

    The order turns by one each round: on a busy machine the place in a round would otherwise favour somebody.
    """
    order = list(names)
    samples: Samples = {name: [] for name in order}
    for number in range(rounds + 1):
        for name in order:
            sample = run(name)
            if number:
                samples[name].append(sample)
        order.append(order.pop(0))
        print(f"\rround {number} of {rounds} ", end="" if number < rounds else "\n", file=sys.stderr, flush=True)
    return samples


def median(samples: Sequence[Sample], key: str) -> float:
    """Return the median of a measurement."""
    values: list[float] = [sample[key] for sample in samples]
    return statistics.median(values)


def ratio(samples: Sequence[Sample], base: Sequence[Sample], key: str) -> float:
    """Return the median of the rounds' ratios: the two processes of a round ran under the same load."""
    values: list[float] = [one[key] / other[key] for one, other in zip(samples, base, strict=True)]
    return statistics.median(values)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown; all columns but the first are numbers."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def versions() -> dict[str, str]:
    """Return the versions of what was measured."""
    return {"Python": platform.python_version(), **{package: version(package) for package in _PACKAGES}}


def heading(rounds: int) -> str:
    """Say what a report was measured with."""
    return f"{rounds} rounds, fresh processes. " + ", ".join(f"{name} {number}" for name, number in versions().items())


def verdict(goals: Mapping[str, bool]) -> int:
    """Print which goals were met, and return the exit status: 1 if one was missed."""
    for goal, met in goals.items():
        print(f"{'met   ' if met else 'MISSED'} {goal}")
    return 0 if all(goals.values()) else 1


def write(path: Path | None, report: dict[str, Any]) -> None:
    """Write a report as JSON, where a file for it was named."""
    if path is not None:
        path.write_text(json.dumps({"versions": versions(), **report}, indent=2) + "\n", encoding="utf-8")
