"""Fixtures. Add ``pytest_plugins = ["airflow_provider_ims.emulator.pytest_plugin"]`` to the root ``conftest.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_ims.emulator.process import EmulatorProcess

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def ims_emulator_process() -> Iterator[EmulatorProcess]:
    """Run one emulator for the whole session. It is not reset between tests, unlike :func:`ims_emulator`."""
    with EmulatorProcess() as emulator:
        yield emulator


@pytest.fixture
def ims_emulator(ims_emulator_process: EmulatorProcess) -> EmulatorProcess:
    """Return the emulator of the session after a reset."""
    ims_emulator_process.reset()
    return ims_emulator_process
