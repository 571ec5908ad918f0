"""The quickstart works by copy and paste."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dev.quickstart import PAGE, problem, run, script


@pytest.mark.timeout(500)
def test_quickstart_runs_as_it_stands() -> None:
    """The blocks of the page, one after the other in a new directory, print the watermark and a bill of one job."""
    assert not problem(run(Path(sys.executable).parent))


def test_script_has_each_block() -> None:
    """The script has all blocks of the page but the installation, and its own port."""
    text = script(PAGE.read_text(), 4711)
    for command in ("emulator --port 4711 &", "_emulator/media", "airflow db migrate", "airflow dags test", "kill %1"):
        assert command in text
    assert "8123" not in text
    assert "pip install" not in text
