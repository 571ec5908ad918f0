"""The layers of the package, and what an import of it loads."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_ims.get_provider_info import get_provider_info

PACKAGE = Path(__file__).parent.parent / "airflow_provider_ims"

# The packages and modules that each one may import, besides itself. api and jobs are independent: hooks use both.
LAYERS: dict[str, set[str]] = {
    "__init__": set(),
    "get_provider_info": {"connection"},
    "exceptions": set(),
    "metrics": set(),
    "connection": {"exceptions"},
    "api": {"connection", "exceptions", "metrics", "__init__"},
    "jobs": {"exceptions", "metrics"},
    "links": {"jobs"},
    "hooks": {"api", "jobs", "connection", "exceptions", "metrics"},
    "triggers": {"hooks", "jobs", "exceptions"},
    "sensors": {"triggers", "hooks", "jobs", "links", "exceptions"},
    "operators": {"triggers", "hooks", "jobs", "links", "exceptions", "metrics"},
    "cli": {"jobs"},
    "verify": {"hooks", "api", "jobs", "connection", "exceptions", "__init__"},
    "emulator": set(),
}
# Inside a package, each module may import those before it.
ORDER: dict[str, list[str]] = {
    "connection": [
        *("fields", "values", "access_key", "credentials", "kinds", "endpoint", "specifications", "parser"),
        *("environment", "settings"),
    ],
    "api": [
        *(
            "observer",
            "clean",
            "redact",
            "refusal",
            "signature",
            "stamp",
            "denial",
            "actions",
            "protocol",
            "rate_limit",
        ),
        *("blocking", "loggers", "masking", "recent_keys", "profiles", "fetch", "credentials", "client", "pool"),
        "sdk",
    ],
    "jobs": [
        *("types", "response", "watermark_jobs", "processing_jobs", "editing_jobs", "ai_jobs", "media", "catalog"),
        *("arguments", "parameters", "lineage", "primitives"),
        *("submission", "retry", "resume", "durable", "timers", "outcome", "polling", "argument_types"),
    ],
    "hooks": ["connection_test", "ims", "waiting"],
    "operators": [
        *(
            "base",
            "extract",
            "copyright",
            "trace",
            "processing",
            "producing",
            "dna",
            "tagging",
            "upload",
            "job",
            "call",
        ),
    ],
    "sensors": ["job", "extract", "copyright", "trace"],
    "verify": ["estimate", "scrub", "calls", "cases", "report", "run", "__main__"],
}
# Modules of the standard library and of PyPI that access the network, and our modules that may import them.
NETWORK = {
    "aiohttp": {"api.client", "emulator"},
    "yarl": {"api.client"},
    "urllib.request": {"api.client", "emulator"},  # api.client reads the proxies of the environment with it
    "alibabacloud": {"api.sdk"},
    "ssl": {"emulator"},
    **{name: set() for name in ("httpx", "requests", "http.client", "socket", "darabonba", "Tea")},
}
# Modules that are used by all families of jobs.
GENERIC = (
    *(
        "connection",
        "api",
        "jobs/types.py",
        "jobs/response.py",
        "jobs/polling.py",
        "jobs/outcome.py",
        "jobs/durable.py",
    ),
    *(
        "jobs/submission.py",
        "jobs/retry.py",
        "jobs/resume.py",
        "jobs/primitives.py",
        "jobs/timers.py",
        "jobs/media.py",
        "jobs/parameters.py",
    ),
    *("hooks/waiting.py", "operators/base.py", "operators/job.py", "operators/call.py", "sensors/job.py"),
    *("triggers", "links", "metrics.py"),
)
ONE_FAMILY = re.compile(r'watermark|copyright|video|"Input"', re.IGNORECASE)


def module_name(path: Path) -> str:
    """Return the name of a module inside the package, such as ``api.client``."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def layer(module: str) -> str:
    """Return the row of ``LAYERS`` that a module belongs to."""
    return module if module in LAYERS else module.partition(".")[0]


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, anywhere in it, for types included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def own_imports(module: str) -> set[str]:
    """Return the modules of this package that a module imports."""
    names = {name.removeprefix("airflow_provider_ims.") for name in imports(MODULES[module])}
    found = names & MODULES.keys() - {"emulator"} if layer(module) != "emulator" else names & MODULES.keys()
    return found | ({"__init__"} if "airflow_provider_ims.__version__" in imports(MODULES[module]) else set())


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_only_from_lower_layers(module: str) -> None:
    """A module imports only from the layers below; the emulator imports none of ours and is imported by none."""
    own = layer(module)
    for imported in own_imports(module) - {module}:
        assert layer(imported) in {*LAYERS[own], own}, f"{module} imports {imported}"


@pytest.mark.parametrize("package", ORDER)
def test_modules_of_a_package_import_only_earlier_ones(package: str) -> None:
    """Inside a package, a module imports only those before it; each module has a place in the order."""
    order = ORDER[package]
    assert {name.partition(".")[2] for name in MODULES if name.startswith(f"{package}.")} == set(order)
    for number, name in enumerate(order):
        inside = {one.partition(".")[2] for one in own_imports(f"{package}.{name}") if one.startswith(f"{package}.")}
        assert inside <= set(order[:number]), f"{package}.{name}"


def test_api_and_jobs_do_not_import_each_other() -> None:
    """The packages api and jobs do not import each other."""
    for module in MODULES:
        for one, other in (("api", "jobs"), ("jobs", "api")):
            if module.startswith(f"{one}."):
                assert not {name for name in own_imports(module) if name.startswith(other)}, module


@pytest.mark.parametrize("library", NETWORK)
def test_only_the_transport_accesses_the_network(library: str) -> None:
    """A library that can access the network is imported only by the transport, except for types in the hook."""
    for module, path in MODULES.items():
        foreign = {name for name in imports(path) if name.startswith(library)}
        if module == "hooks.ims":
            foreign -= {"alibabacloud_ice20201109.client", "alibabacloud_ice20201109.client.Client"}  # a type
        assert not foreign or {module, layer(module)} & NETWORK[library], module


def test_protocol_has_no_side_effects() -> None:
    """The protocol imports nothing for network, clock, random numbers, environment or logging."""
    for module in ("api.protocol", "api.signature", "api.redact"):
        assert not imports(MODULES[module]) & {"asyncio", "time", "datetime", "random", "secrets", "os", "logging"}


@pytest.mark.parametrize("module", MODULES)
def test_generic_modules_name_no_family(module: str) -> None:
    """A module for all families does not mention watermark, copyright, video or "Input"."""
    path = MODULES[module]
    if not str(path.relative_to(PACKAGE)).startswith(GENERIC):
        return
    text = path.read_text()
    assert not ONE_FAMILY.findall(text), [line for line in text.splitlines() if ONE_FAMILY.search(line)]


AIRFLOW = """
import airflow.providers.common.compat.sdk as compat
compat.BaseHook, compat.BaseOperator, compat.BaseOperatorLink, compat.XCom, compat.AirflowNotFoundException
compat.BaseSensorOperator, compat.conf
import airflow.triggers.base
"""


def loaded(statement: str, *, after: str = "") -> set[str]:
    """Return the modules that a statement loads in a new process, without those of the standard library."""
    code = (
        f"import sys, json\n{after}\nbefore = set(sys.modules)\n{statement}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    modules: list[str] = json.loads(done.stdout.splitlines()[-1])
    return {name for name in modules if name.split(".")[0] not in sys.stdlib_module_names}


def public_modules() -> list[str]:
    """Return the modules that the metadata lists: all operators, sensors, hooks, triggers and links."""
    info = get_provider_info()
    return [
        *(
            module
            for kind in ("hooks", "operators", "sensors", "triggers")
            for entry in info[kind]
            for module in entry["python-modules"]
        ),
        *(path.rpartition(".")[0] for path in info["extra-links"]),
    ]


def test_import_of_all_public_modules_loads_only_this_package() -> None:
    """The public modules load no other library, because a DAG file is parsed every 30 seconds."""
    public = public_modules()
    assert len(public) >= 13
    modules = loaded(f"import {', '.join(public)}", after=AIRFLOW)
    assert modules >= set(public)
    assert {name for name in modules if name.split(".")[0] != "airflow_provider_ims"} == set()


MOST_CALLS = 33_000
"""Of functions in Python and C, by the import of all public modules: 27,000 to 31,800 on Airflow 2.11 to 3.3."""


def test_import_of_all_public_modules_calls_few_functions() -> None:
    """An import does little besides loading: calls are counted, because times depend on the machine.

    Few calls can also take long. What the import costs in milliseconds is measured by ``benchmarks/import_cost.py``.
    """
    code = (
        f"import sys\n{AIRFLOW}\nevents = []\nsys.setprofile(lambda frame, event, argument: events.append(event))\n"
        f"import {', '.join(public_modules())}\nsys.setprofile(None)\n"
        "print(sum(event.endswith('call') for event in events))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert 0 < int(done.stdout.splitlines()[-1]) < MOST_CALLS


def test_provider_info_loads_only_the_fields() -> None:
    """The metadata loads only the connection fields, because each process of Airflow reads it at its start."""
    assert loaded("from airflow_provider_ims.get_provider_info import get_provider_info; get_provider_info()") == {
        "airflow_provider_ims",
        "airflow_provider_ims.connection",
        "airflow_provider_ims.connection.fields",
        "airflow_provider_ims.get_provider_info",
    }


def test_transport_loads_no_credentials_library() -> None:
    """Calls with a key pair need no credentials library: only temporary keys do, and load it then."""
    modules = loaded(
        "import airflow_provider_ims.hooks.ims, airflow_provider_ims.api.pool, airflow_provider_ims.api.client",
        after=f"{AIRFLOW}\nimport aiohttp",
    )
    assert "airflow_provider_ims.api.client" in modules
    assert not {name for name in modules if name.startswith(("alibabacloud", "Tea", "darabonba", "requests"))}
