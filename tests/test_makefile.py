"""The Makefile: which interpreter it takes, and what it says if it cannot install anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OTHER_VERSION = "3.99.0 (another interpreter) /opt/python3.99"


def make(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run make in the project's directory."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PIP_", "UV_"))}
    return subprocess.run(
        ["make", *arguments],
        cwd=ROOT,
        env={**inherited, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def interpreter(path: Path, script: str) -> Path:
    """Write an executable in place of a Python."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (None, "is missing"),
        ("exit 3", "is too old"),
        ("exit 1", "does not run"),
    ],
)
def test_unusable_interpreter_is_named(script: str | None, message: str, tmp_path: Path) -> None:
    """A missing interpreter is called missing, and an old one old; the message names a way out."""
    python = tmp_path / "python"
    if script is not None:
        interpreter(python, script)
    result = make("demo", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}")
    assert result.returncode != 0
    assert f"{python} {message}." in result.stderr
    if message != "does not run":
        assert "Name one: make demo PYTHON=python3.12" in result.stderr


def test_named_interpreter_replaces_the_environment_of_another_one(tmp_path: Path) -> None:
    """With an existing environment, PYTHON creates it again only if it names another interpreter."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (venv / ".ready").touch()
    creates = f"-m venv --clear {venv}"
    other = interpreter(tmp_path / "python3.99", f"echo '{OTHER_VERSION}'")
    assert creates in make("--dry-run", "demo", f"VENV={venv}", f"PYTHON={other}").stdout
    assert creates not in make("--dry-run", "demo", f"VENV={venv}", f"PYTHON={venv / 'bin' / 'python'}").stdout
    assert creates not in make("--dry-run", "demo", f"VENV={venv}").stdout


def test_environment_whose_interpreter_is_gone_is_created_again(tmp_path: Path) -> None:
    """An environment whose Python was removed, such as after an upgrade of the system, is not used."""
    venv = tmp_path / "venv"
    interpreter(venv / "bin" / "python", "exit 127")
    (venv / ".ready").touch()
    assert f"-m venv --clear {venv}" in make("--dry-run", "demo", f"VENV={venv}").stdout


@pytest.mark.parametrize(
    ("own", "airflow", "expected"),
    [
        ("3.11", "2.11.2", None),
        ("3.13", "2.11.2", "3.12"),
        ("3.13", "3.3.2", None),
        ("3.99", "3.3.2", "3.13"),
        ("3.99", "3.1.7", None),  # not in the Makefile
    ],
)
def test_airflow_gets_a_python_that_it_supports(own: str, airflow: str, expected: str | None, tmp_path: Path) -> None:
    """An Airflow that does not support the Python of the environment gets its newest one."""
    venv = tmp_path / "venv"
    python = interpreter(venv / "bin" / "python", f"echo {own}")
    (venv / ".ready").touch()
    commands = make("--dry-run", "test-airflow", f"VENV={venv}", f"AIRFLOW={airflow}", "DATE=2026-03-20").stdout
    assert f"uv venv --quiet --clear --python {expected or python} .venv-airflow/{airflow}\n" in commands


def test_missing_package_index_gives_one_line(tmp_path: Path) -> None:
    """Without a package index, the message is one line that says how to name another one, and no traceback."""
    venv = tmp_path / "venv"
    result = make("demo", f"VENV={venv}", f"PYTHON={sys.executable}", PIP_NO_INDEX="1")
    assert result.returncode != 0
    (error,) = [line for line in result.stderr.splitlines() if not line.startswith("make")]
    assert error.startswith("No package index can be reached, so nothing can be installed. PIP_INDEX_URL and ")
    assert error.endswith(f"Details: {venv / 'install.log'}")
