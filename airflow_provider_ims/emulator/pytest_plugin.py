"""Fixtures. pytest finds them by the entry point of this package; ``docs/emulator.md`` has tests that use them.

Every pytest of an environment with this package imports this module. It imports nothing until a test needs a fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ims.emulator.process import EmulatorProcess


@pytest.fixture(scope="session")
def ims_emulator_process() -> Iterator[EmulatorProcess]:
    """Run one emulator for the whole session. It is not reset between tests, unlike :func:`ims_emulator`."""
    from airflow_provider_ims.emulator.process import EmulatorProcess  # noqa: PLC0415 - see the docstring above

    with EmulatorProcess() as emulator:
        yield emulator


@pytest.fixture
def ims_emulator(ims_emulator_process: EmulatorProcess) -> EmulatorProcess:
    """Return the emulator of the session after a reset."""
    ims_emulator_process.reset()
    return ims_emulator_process
