"""What the tests of temporary keys share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.api.identities import Identities

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_ims.emulator.process import EmulatorProcess


@pytest.fixture
def identities(ims_emulator: EmulatorProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Identities:
    """Return the identities of the emulator; it is also the proxy to the metadata service, so no other is called."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith("ALIBABA_CLOUD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HTTP_PROXY", ims_emulator.endpoint)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__IMS__OIDC_TOKEN_DIRS", str(tmp_path))
    return Identities(ims_emulator, tmp_path)
