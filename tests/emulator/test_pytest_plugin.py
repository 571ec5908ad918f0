from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "emulator.md"
PLUGIN = "airflow_provider_ims.emulator.pytest_plugin"
NAMED_FILE = re.compile(r"^`([\w/]+\.py)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Other installed plugins take seconds to import.
ONLY_OURS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": PLUGIN}


def run_pytest(project: Path, *arguments: str, **environment: str) -> str:
    """Run pytest in a project of a user, and return its output."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "--rootdir", project, *arguments],
        env={**inherited, **environment},
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.mark.timeout(300)
def test_the_recipe_runs_as_it_stands(tmp_path: Path) -> None:
    """The files of the page, in an empty project, test a text, no text, a failed job and a lost response."""
    files = dict(NAMED_FILE.findall(PAGE.read_text()))
    assert files.keys() == {"dags/watermarks.py", "conftest.py", "test_watermarks.py"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    output = run_pytest(tmp_path)

    tests = {"test_found", "test_not_found", "test_failed", "test_lost_response", "test_a_job_takes_an_hour"}
    assert set(re.findall(r"::(\w+) PASSED", output)) == tests


def test_an_installation_brings_the_fixtures(tmp_path: Path) -> None:
    """In a project that does not name the plugin, its fixtures are listed."""
    output = run_pytest(tmp_path, "--fixtures")

    assert re.search(r"^ims_emulator ", output, re.MULTILINE)
    assert re.search(r"^ims_emulator_process ", output, re.MULTILINE)


def test_a_conftest_may_name_the_plugin(tmp_path: Path) -> None:
    """A conftest.py that names the installed plugin, as earlier versions needed it, does not register it twice."""
    (entry,) = [entry for entry in entry_points(group="pytest11") if entry.value == PLUGIN]
    (tmp_path / "conftest.py").write_text(f'pytest_plugins = ["{PLUGIN}"]\n')
    (tmp_path / "test_user.py").write_text("def test_one(ims_emulator): assert ims_emulator.jobs() == []\n")

    assert "1 passed" in run_pytest(tmp_path, "-p", entry.name, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")


def test_the_fixture_is_reset_before_each_test(tmp_path: Path) -> None:
    """The tests of a user share one emulator, which is empty at the start of each test."""
    (tmp_path / "test_user.py").write_text(
        "endpoints = set()\n"
        "def check(emulator):\n"
        "    assert emulator.media() == []\n"
        "    emulator.put_media('oss://bucket/film.mp4')\n"
        "    endpoints.add(emulator.endpoint)\n"
        "def test_one(ims_emulator): check(ims_emulator)\n"
        "def test_two(ims_emulator): check(ims_emulator)\n"
        "def test_three(ims_emulator_process): assert endpoints == {ims_emulator_process.endpoint}\n"
    )

    assert "3 passed" in run_pytest(tmp_path, **ONLY_OURS)


def test_the_plugin_imports_nothing_until_a_test_needs_it() -> None:
    """Each pytest of the environment imports the plugin, so it imports neither Airflow nor a server nor a client."""
    code = f"import sys, pytest; before = set(sys.modules); import {PLUGIN}; print(*sorted(set(sys.modules) - before))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    output = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert output.split() == ["airflow_provider_ims", "airflow_provider_ims.emulator", PLUGIN]
