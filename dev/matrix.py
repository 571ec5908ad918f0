"""`make matrix`: run the tests on each version of Airflow and Python, and print a table of the results."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from dev.console import echo

UV = str(Path(sys.executable).with_name("uv"))
COUNTS = ("passed", "failed", "errors", "skipped")
NO_PYTHON = "no such Python here"


@dataclass(frozen=True)
class Result:
    """What a row has given.

    :param row: version of Airflow and version of Python, such as ``3.1.8/3.12``
    :param status: ``passed``, ``failed`` or ``no such Python here``
    :param counts: number of tests by outcome
    :param seconds: duration, with the installation
    """

    row: str
    status: str
    counts: dict[str, int]
    seconds: float


def counts_of(output: str) -> dict[str, int]:
    """Return the numbers in the closing line of pytest; empty if it has not got that far."""
    lines = [line for line in output.splitlines() if re.search(r"\b\d+ \w+.* in \d[\d.]*s", line)]
    if not lines:
        return {}
    found = {name.rstrip("s"): int(number) for number, name in re.findall(r"(\d+) (\w+)", lines[-1])}
    return {name: found.get(name.rstrip("s"), 0) for name in COUNTS}


def has_python(version: str) -> bool:
    """Return whether uv finds a Python of this version, or can install it."""
    commands = ([UV, "python", "find", version], [UV, "python", "install", "--no-bin", version])
    return any(subprocess.run(command, capture_output=True, check=False).returncode == 0 for command in commands)


def run(row: str) -> Result:
    """Run the tests of a row, print their output, and return the result."""
    airflow, _, python = row.partition("/")
    started = time.monotonic()
    if not has_python(python):
        return Result(row, NO_PYTHON, {}, time.monotonic() - started)
    echo(f"\n=== Airflow {airflow}, Python {python}")
    command = [
        *("make", "--no-print-directory", "test-airflow"),
        *(f"AIRFLOW={airflow}", f"AIRFLOW_PYTHON={python}", f"VENV_AIRFLOW=.venv-airflow/{airflow}-py{python}"),
    ]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            echo(line.rstrip("\n"))
            lines.append(line)
    status = "failed" if process.returncode else "passed"
    return Result(row, status, counts_of("".join(lines)), time.monotonic() - started)


def table(results: list[Result]) -> str:
    """Return the results as the rows of a table in Markdown."""
    head = ["Airflow", "Python", "result", *COUNTS, "seconds"]
    rows = [head, ["---"] * len(head)]
    for one in results:
        counts = [str(one.counts.get(name, "")) for name in COUNTS]
        rows.append([*one.row.split("/"), one.status, *counts, f"{one.seconds:.0f}"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(rows: list[str]) -> int:
    """Run all rows, and return the exit status: 0 if no row failed and at least one has run."""
    results = [run(row) for row in rows]
    echo(f"\n{table(results)}")
    statuses = {one.status for one in results}
    return 0 if "passed" in statuses and "failed" not in statuses else 1


if __name__ == "__main__":
    if sys.argv[1] == "--json":
        columns = ("airflow", "python")
        echo(json.dumps([dict(zip(columns, row.split("/"), strict=True)) for row in sys.argv[2:]]))
    else:
        sys.exit(main(sys.argv[1:]))
