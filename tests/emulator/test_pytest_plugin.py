from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_the_fixture_is_reset_before_each_test(tmp_path: Path) -> None:
    """The tests of a user share one emulator, which is empty at the start of each test."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["airflow_provider_ims.emulator.pytest_plugin"]\n')
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
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        # Other installed plugins are not needed and take seconds to import.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rootdir", tmp_path, tmp_path],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout
