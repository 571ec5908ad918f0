"""Which room may use which, and what a DAG file pays for importing ours."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_ims.get_provider_info import get_provider_info

PACKAGE = Path(__file__).parent.parent / "airflow_provider_ims"

# Each room may import those to its left, and no other.
ORDER = [
    "__init__",
    "connection.fields",
    "exceptions",
    "connection.settings",
    "jobs.media",
    "api.signature",
    "api.blocking",
    "api.alarms",
    "jobs.types",
    "jobs.submission",
    "jobs.durable",
    "jobs.outcome",
    "jobs.polling",
    "api.rate_limit",
    "api.client",
    "api.pool",
    "links",
    "hooks",
    "triggers",
    "operators",
    "sensors",
]
PACKAGES = ("connection", "api", "jobs")


TALKERS = (
    "aiohttp",
    "yarl",
    "httpx",
    "requests",
    "http.",
    "urllib.request",
    "socket",
    "alibabacloud",
    "darabonba",
    "Tea",
)


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:2]) if parts[0] in PACKAGES else parts[0]


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, anywhere in it, for types included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def rooms_used(path: Path) -> set[str]:
    names = {tuple(n.split(".")[1:]) for n in imports(path) if n.startswith("airflow_provider_ims.")}
    found = {".".join(parts[:2]) if parts[0] in PACKAGES else parts[0] for parts in names if parts[1:] or parts[0]}
    return found & {room(file) for file in PACKAGE.rglob("*.py")}


MODULES = sorted(
    p
    for p in PACKAGE.rglob("*.py")
    if room(p) not in {"emulator", "get_provider_info"} and not room(p).endswith(".__init__")
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_run_one_way(path: Path) -> None:
    """A room uses only rooms below it; nothing uses the emulator."""
    here = room(path)
    assert rooms_used(path) <= {*ORDER[: ORDER.index(here)], here}


@pytest.mark.parametrize("path", sorted((PACKAGE / "emulator").rglob("*.py")), ids=lambda path: path.name)
def test_emulator_is_an_independent_witness(path: Path) -> None:
    """The emulator uses nothing of the provider and nothing of the official SDK."""
    assert rooms_used(path) <= {"emulator"}
    assert not {name for name in imports(path) if name.startswith(("alibabacloud", "darabonba", "Tea"))}


def test_only_the_client_talks_to_alibaba_cloud() -> None:
    """No other room knows the SDK or an HTTP library, but for a type of the hook."""
    for path in MODULES:
        foreign = {name for name in imports(path) if name.startswith(TALKERS)}
        if room(path) == "hooks":
            foreign -= {"alibabacloud_ice20201109.client", "alibabacloud_ice20201109.client.Client"}  # a type
        assert not foreign or room(path) == "api.client", path


AIRFLOW = """
import airflow.providers.common.compat.sdk as compat
compat.BaseHook, compat.BaseOperator, compat.BaseOperatorLink, compat.XCom, compat.AirflowNotFoundException
compat.BaseSensorOperator, compat.conf
import airflow.triggers.base
"""


def loaded(statement: str, *, on_top_of: str = "") -> set[str]:
    """Return the modules that a statement loads in a fresh process, those of the standard library left out."""
    code = (
        f"import sys, json\n{on_top_of}\nbefore = set(sys.modules)\n{statement}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    modules: list[str] = json.loads(done.stdout.splitlines()[-1])
    return {name for name in modules if name.split(".")[0] not in sys.stdlib_module_names}


def test_parsing_a_dag_file_loads_nothing_heavy() -> None:
    """Importing all public modules loads no module but ours: a DAG file is parsed every 30 seconds."""
    info = get_provider_info()
    public = [
        *(
            module
            for kind in ("hooks", "operators", "sensors", "triggers")
            for entry in info[kind]
            for module in entry["python-modules"]
        ),
        *(path.rpartition(".")[0] for path in info["extra-links"]),
    ]
    assert len(public) >= 5
    modules = loaded(f"import {', '.join(public)}", on_top_of=AIRFLOW)
    assert modules >= set(public)
    assert {name for name in modules if name.split(".")[0] != "airflow_provider_ims"} == set()


def test_provider_info_loads_only_the_fields() -> None:
    """Airflow asks for the metadata at every start of every process."""
    assert loaded("from airflow_provider_ims.get_provider_info import get_provider_info; get_provider_info()") == {
        "airflow_provider_ims",
        "airflow_provider_ims.connection",
        "airflow_provider_ims.connection.fields",
        "airflow_provider_ims.get_provider_info",
    }
