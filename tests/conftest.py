"""What all tests share: a temporary home for Airflow, the emulator, and a connection to it."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# Before anything imports Airflow: it writes its configuration into its home.
_HOME = tempfile.TemporaryDirectory(prefix="airflow-ims-tests-", ignore_cleanup_errors=True)
for _name in [name for name in os.environ if name.startswith(("AIRFLOW", "ALIBABA"))]:
    del os.environ[_name]
os.environ["AIRFLOW_HOME"] = _HOME.name
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_ims.emulator.process import EmulatorProcess

    Connect = Callable[..., None]

# Without this, Python 3.11 creates an event loop for this thread when pytest-asyncio 1.3 gets the current one. Nobody
# closes that loop, and a later test would fail with a ResourceWarning.
asyncio.set_event_loop(None)

pytest_plugins = ["airflow_provider_ims.emulator.pytest_plugin"]


@cache
def _runs(path: Path) -> int:
    """Return what the tests of a file run: 0 whole Airflows, 1 DAGs, 2 neither."""
    text = path.read_text()
    # Both functions of tests/runs.py that take the lock.
    if "whole_airflow(" in text or "exclusive(" in text:
        return 0
    return 1 if "AirflowSandbox" in text else 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what takes longest first: at the end, no process of xdist is to wait for another one."""
    items.sort(key=lambda item: _runs(item.path))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give the tests of a file to one process of xdist, and those that run a whole Airflow all to the same one.

    Only one whole Airflow runs at a time (``tests/runs.py``): other processes would wait for their turn.
    """
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

    root = Path(__file__).parent.parent

    class Scheduling(LoadFileScheduling):  # type: ignore[misc] # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return file if _runs(root / file) else "whole Airflow"

    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture
def connect(ims_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Return a function that sets the connection ``ims_default`` to the emulator, with changes.

    Keyword arguments replace fields of the connection; ``extra`` is merged.
    """

    def set_connection(*, extra: dict[str, Any] | None = None, **fields: Any) -> None:
        connection = {**ims_emulator.connection(**(extra or {})), **fields}
        monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", json.dumps(connection))

    set_connection()
    return set_connection


@pytest.fixture(autouse=True)
def no_fetched_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the keys that other tests have fetched, as in a new process."""
    from airflow_provider_ims.api import recent_keys
    from airflow_provider_ims.api.credentials import shared_keys

    shared_keys.clear()
    monkeypatch.setattr(recent_keys, "_recent", {})


@pytest.fixture
def no_correction_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let refused keys and a wrong connection end a wait after five polls, not after two minutes."""
    from airflow_provider_ims.jobs import polling

    monkeypatch.setattr(polling, "CORRECTION_GRACE", 0.0)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Return a function that returns what was logged since its last call.

    Airflow 2 logs it, Airflow 3 prints it, and Airflow 3.0 does both.
    """
    does_both = version("apache-airflow").startswith("3.0.")

    def read() -> str:
        text = capsys.readouterr().out + ("" if does_both else caplog.text)
        caplog.clear()
        return text

    return read


@pytest.fixture(scope="session", autouse=True)
def airflow_home() -> Iterator[None]:
    """Migrate the home's database once: a look-up of a connection may read it."""
    from airflow.utils.db import initdb

    initdb()
    yield
    _HOME.cleanup()
