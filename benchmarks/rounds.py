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
"""One measurement of one process; empty where it came to no end."""
Samples: TypeAlias = dict[str, list[Sample]]
"""The measurements of each contestant, one for each round."""

_HERE = Path(__file__).parent
_RESULTS = _HERE / "results"
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
    """Parse the command line that the benchmarks share: ``rounds``, and ``results`` for the directory to write to."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--rounds", type=int, default=rounds, help=f"measured rounds, after one that warms up ({rounds})"
    )
    parser.add_argument("--results", type=Path, metavar="DIRECTORY", default=_RESULTS, help="directory of the report")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return options


def measure(
    *args: str, script: str, home: str, env: Mapping[str, str] | None = None, timeout: float = _TIMEOUT
) -> Sample:
    """Run a script of this directory in a fresh process and return what it measured: the last line of its output.

    :param args: its arguments
    :param script: its file
    :param home: AIRFLOW_HOME of the process
    :param env: further environment variables
    :param timeout: in seconds
    """
    clean = {name: value for name, value in os.environ.items() if not name.upper().startswith(_FOREIGN)}
    done = subprocess.run(
        [sys.executable, str(_HERE / script), *args],
        env={**clean, "AIRFLOW_HOME": home, **(env or {})},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{script} {' '.join(args)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    sample: Sample = json.loads(done.stdout.splitlines()[-1])
    return sample


def interleave(names: Iterable[str], rounds: int, run: Callable[[str], Sample], *, warm_up: bool = True) -> Samples:
    """Run every contestant once in each round; a first round writes byte code and fills caches, and does not count.

    The order turns by one each round: on a busy machine the place in a round would otherwise favour somebody.
    """
    order = list(names)
    samples: Samples = {name: [] for name in order}
    for number in range(0 if warm_up else 1, rounds + 1):
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


def heading(rounds: int, processes: str = "fresh processes") -> str:
    """Return the line that says how a report was measured, and with which versions."""
    return f"{rounds} rounds, {processes}. " + ", ".join(f"{name} {number}" for name, number in versions().items())


def goal_list(goals: Mapping[str, bool]) -> str:
    """Return the goals as a Markdown list that shows which of them are met."""
    return "\n".join(f"- {'met' if met else 'MISSED'}: {goal}" for goal, met in goals.items())


def verdict(goals: Mapping[str, bool]) -> int:
    """Print which goals were met, and return the exit status: 1 if one was missed."""
    for goal, met in goals.items():
        print(f"{'met   ' if met else 'MISSED'} {goal}")
    return 0 if all(goals.values()) else 1


def publish(directory: Path, name: str, text: str) -> None:
    """Print a report and write it to a Markdown file.

    :param directory: directory of the file, created if it does not exist
    :param name: file name without its suffix
    :param text: the report
    """
    print(text, end="\n\n")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.md").write_text(text + "\n", encoding="utf-8")


def plot(path: Path, title: str, jobs: Sequence[int], lines: Mapping[str, Sequence[float]]) -> None:
    """Draw a line for each contestant, both axes logarithmic.

    :param path: the picture
    :param title: what is shown
    :param jobs: the numbers of waiting jobs
    :param lines: the contestants' values for them
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - only for who draws

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, values in lines.items():
        axes.plot(jobs, values, marker="o", label=name)
    axes.set(title=title, xlabel="waiting jobs", xscale="log", yscale="log")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
