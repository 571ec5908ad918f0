from __future__ import annotations

import ast
from pathlib import Path

import pytest

import airflow_provider_ims.emulator

PACKAGE = "airflow_provider_ims.emulator"
ROOT = Path(airflow_provider_ims.emulator.__path__[0])
FILES = sorted(ROOT.rglob("*.py"))
PROVIDER = "airflow_provider_ims"
VENDOR = ("alibabacloud", "Tea", "darabonba")

# The modules of the job families.
GROUPS = [
    *("analysis", "assets", "copyright", "producing", "smart", "trace", "training", "transcode", "workflow", "yike"),
]
# Each module may import the modules of earlier rows, and no others.
LAYERS = [
    {"", "families", "access", "errors", "faults", "journal", "page", "tunnel"},
    {"calls", "fields", "json_text", "keys", "media", "rpc"},
    {"oidc", "parameters", "signature"},
    {"families.family", "identity"},
    {"families.extraction", "families.inputs", "sts"},
    {f"families.{group}" for group in GROUPS},
    {"families.catalog"},
    {"families.row", "service"},
    {"actions", "state"},
    {"gateway", "identity_control", "metadata"},
    {"control"},
    {"server"},
    {"__main__"},
    {"process"},
    {"pytest_plugin"},
]


def imported(path: Path) -> set[str]:
    """Return the names of the modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                names.update(alias.name for alias in node.names)
            case ast.ImportFrom():
                module = node.module or "."
                # What is imported from a package can be a module.
                names.update({module, *(f"{module}.{alias.name}" for alias in node.names)})
    return names


def module_name(path: Path) -> str:
    """Return the name of a module inside of the package, "" for the package itself."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_the_emulator_shares_no_code_with_what_it_tests(path: Path) -> None:
    """The emulator imports nothing of the provider, of Airflow or of the vendor's SDK."""
    for name in imported(path):
        assert not name.startswith((*VENDOR, ".", "airflow.")), name
        assert not name.startswith(PROVIDER) or name.startswith(PACKAGE), name


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_run_one_way(path: Path) -> None:
    """A module of the emulator imports only modules of the layers below its own."""
    layer = next(number for number, names in enumerate(LAYERS) if module_name(path) in names)
    below = set().union(*LAYERS[:layer])
    modules = {f"{PACKAGE}.{name}": name for name in map(module_name, FILES)}

    assert {modules[name] for name in imported(path) if name in modules} <= below
