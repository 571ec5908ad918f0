from __future__ import annotations

import ast
from pathlib import Path

import pytest

import airflow_provider_ims.emulator

PACKAGE = "airflow_provider_ims.emulator"
FILES = sorted(Path(airflow_provider_ims.emulator.__path__[0]).glob("*.py"))
PROVIDER = "airflow_provider_ims"
VENDOR = ("alibabacloud", "Tea", "darabonba")


def imported(path: Path) -> set[str]:
    """Return the names of the modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                names.update(alias.name for alias in node.names)
            case ast.ImportFrom():
                names.add(node.module or ".")
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_emulator_is_an_independent_witness(path: Path) -> None:
    """The emulator imports nothing of the provider, of Airflow or of the vendor's SDK."""
    for name in imported(path):
        assert not name.startswith((*VENDOR, ".", "airflow.")), name
        assert not name.startswith(PROVIDER) or name.startswith(PACKAGE), name
