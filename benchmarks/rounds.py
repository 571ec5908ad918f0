"""Run benchmarks in interleaved rounds of fresh processes, and write their reports."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Sample: TypeAlias = dict[str, Any]
"""One measurement of one process; empty if the process timed out."""
Samples: TypeAlias = dict[str, list[Sample]]
"""The measurements of each candidate, one for each round."""

_HERE = Path(__file__).parent
_RESULTS = _HERE / "results"
# Variables of the caller that would change the measurement. The SDK ignores NO_PROXY, so the proxies are removed too.
_REMOVED_VARIABLES = (
    "AIRFLOW",
    "ALIBABA",
    "DEBUG",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONWARNINGS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
)
_TIMEOUT = 120.0
_PACKAGES = (
    "apache-airflow",
    "apache-airflow-providers-alibaba",
    "alibabacloud-ice20201109",
    "alibabacloud-tea-openapi",
    "alibabacloud-credentials",
    "aiohttp",
)
MILLI = 1000
MIB = 2**20


def arguments(description: str, rounds: int) -> argparse.Namespace:
    """Parse the command line that all benchmarks share: ``rounds``, and ``results`` for the output directory."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"number of measured rounds ({rounds})")
    parser.add_argument("--results", type=Path, metavar="DIRECTORY", default=_RESULTS, help="directory of the report")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return options


def measure(
    *args: str, script: str, home: str, env: Mapping[str, str] | None = None, timeout: float = _TIMEOUT
) -> Sample:
    """Run a script of this directory in a fresh process and return its measurement: the last line of its output.

    :param args: arguments of the script
    :param script: file name of the script
    :param home: AIRFLOW_HOME of the process
    :param env: further environment variables
    :param timeout: timeout of the process, in seconds
    :raises RuntimeError: if the process fails
    :raises subprocess.TimeoutExpired: if it does not end within the timeout
    """
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(_REMOVED_VARIABLES)}
    completed = subprocess.run(
        [sys.executable, str(_HERE / script), *args],
        env={**inherited, "AIRFLOW_HOME": home, **(env or {})},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if completed.returncode:
        output = f"{completed.stdout}\n{completed.stderr}"
        raise RuntimeError(f"{script} {' '.join(args)} failed with exit status {completed.returncode}:\n{output}")
    sample: Sample = json.loads(completed.stdout.splitlines()[-1])
    return sample


def interleave(names: Iterable[str], rounds: int, run: Callable[[str], Sample], *, warm_up: bool = True) -> Samples:
    """Run each candidate once in each round.

    The order rotates by one in each round: on a busy machine a fixed position in the round would bias the results.

    :param names: the candidates
    :param rounds: number of measured rounds
    :param run: measures one candidate
    :param warm_up: whether to run one more round first, which writes byte code and fills caches and is not measured
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
    """Return the median of one value of the measurements."""
    values: list[float] = [sample[key] for sample in samples]
    return statistics.median(values)


def ratio(samples: Sequence[Sample], base: Sequence[Sample], key: str) -> float:
    """Return the median of the ratios within the rounds: the processes of one round ran under the same load."""
    values: list[float] = [one[key] / other[key] for one, other in zip(samples, base, strict=True)]
    return statistics.median(values)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; all columns except the first contain numbers."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the measured packages that are installed."""
    found = {"Python": platform.python_version()}
    for package in _PACKAGES:
        # Only the benchmark of imports needs the other providers.
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def heading(rounds: int, processes: str = "fresh processes") -> str:
    """Return the first line of a report: how it was measured, and with which versions."""
    return f"{rounds} rounds, {processes}. " + ", ".join(f"{name} {number}" for name, number in versions().items())


def goal_list(goals: Mapping[str, bool]) -> str:
    """Return the goals as a Markdown list that shows which of them are met."""
    return "\n".join(f"- {'met' if met else 'MISSED'}: {goal}" for goal, met in goals.items())


def check_goals(goals: Mapping[str, bool]) -> int:
    """Print which goals are met, and return the exit status: 1 if a goal is missed."""
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
    """Plot one line for each candidate; both axes are logarithmic.

    :param path: the image file
    :param title: title of the plot
    :param jobs: x values: the numbers of waiting jobs
    :param lines: y values of each candidate
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - only the waiting benchmark needs it

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, values in lines.items():
        axes.plot(jobs, values, marker="o", label=name)
    axes.set(title=title, xlabel="waiting jobs", xscale="log", yscale="log")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
