"""Check with mypy and pyright that each line of wrong.py that is marked is an error, and no other line.

``make lint`` runs it. The right uses are in right.py and in the example DAGs, which both type checkers check as usual.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

WRONG = Path(__file__).with_name("wrong.py")


def mypy_errors() -> dict[int, str]:
    """Return the messages of mypy by line."""
    done = subprocess.run([sys.executable, "-m", "mypy", str(WRONG)], capture_output=True, text=True, check=False)
    found = re.findall(r"^[^:]*wrong\.py:(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    if not found:
        raise SystemExit(f"mypy did not check {WRONG}: {done.stdout}{done.stderr}")
    return {int(line): message for line, message in found}


def pyright_errors() -> dict[int, str]:
    """Return the messages of pyright by line, without those about Airflow's own types."""
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "--outputjson", str(WRONG)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {one["range"]["start"]["line"] + 1: one["message"] for one in found if one["severity"] == "error"}


def main() -> None:
    """Compare both with the marks."""
    lines = WRONG.read_text().splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("# E")}
    problems: list[str] = []
    for name, errors in (("mypy", mypy_errors()), ("pyright", pyright_errors())):
        problems += [f"{name} accepts line {number}: {lines[number - 1]}" for number in sorted(marked - errors.keys())]
        problems += [f"{name}, line {number}: {errors[number]}" for number in sorted(errors.keys() - marked)]
    if problems:
        raise SystemExit("\n".join(problems))
    print(f"mypy and pyright refuse all {len(marked)} wrong uses")  # noqa: T201 - a script


if __name__ == "__main__":
    main()
