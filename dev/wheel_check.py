"""`make check-wheel`: use the installed package as a new user does, in an environment with Airflow and no test tools.

It must run in a directory without the package, so that the installed one is what it finds.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import airflow_provider_ims
from airflow_provider_ims.connection.fields import CONN_FIELDS, CONN_NAME, CONN_TYPE
from airflow_provider_ims.emulator.process import EmulatorProcess
from airflow_provider_ims.hooks.ims import ImsHook
from dev.console import echo
from dev.sandbox import AirflowSandbox

DISTRIBUTION = "airflow-provider-ims"
PLUGINS = "pytest_plugin"
"""Needs pytest, which tests of users have."""

FORM = """
import json
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
forms = {form.connection_type: form for form in HookMetaService.hook_meta_data()}
print(json.dumps(list(forms["ims"].extra_fields)))
"""
"""Prints the fields of the form in the UI of Airflow 3."""


class WheelError(Exception):
    """The installed package does not do what it should."""


def check(found: object, expected: object, what: str) -> None:
    """Compare two values.

    :raises WheelError: if they differ
    """
    if found != expected:
        raise WheelError(f"{what}: got {found!r}, expected {expected!r}.")


def import_all() -> int:
    """Import each module of the installed package, and return their number."""
    folder = Path(airflow_provider_ims.__file__).parent
    check(folder.parent.name, "site-packages", "Folder of the package")
    check((folder / "py.typed").is_file(), True, "py.typed")  # noqa: FBT003 - a value to compare
    names = [
        module.name
        for module in pkgutil.walk_packages(airflow_provider_ims.__path__, "airflow_provider_ims.")
        if not module.name.endswith(("__main__", PLUGINS))
    ]
    for name in names:
        importlib.import_module(name)
    return len(names)


def rows(airflow: AirflowSandbox, *command: str) -> list[dict[str, Any]]:
    """Return the rows that a listing command of Airflow prints."""
    out = airflow.airflow(*command, "--output", "json").stdout
    found: list[dict[str, Any]] = json.loads(out[out.index("[") :])
    return found


def check_discovery(airflow: AirflowSandbox) -> None:
    """Compare what ``airflow providers`` lists with the package."""
    (ours,) = [row for row in rows(airflow, "providers", "list") if row["package_name"] == DISTRIBUTION]
    check(ours["version"], airflow_provider_ims.__version__, "Version in airflow providers list")
    (hook,) = [row for row in rows(airflow, "providers", "hooks") if row["connection_type"] == CONN_TYPE]
    check(hook["hook_name"], CONN_NAME, "Hook in airflow providers hooks")


def check_form(airflow: AirflowSandbox) -> None:
    """Compare the fields of the connection form with those of the package."""
    if version("apache-airflow").startswith("2."):
        prefix = f"extra__{CONN_TYPE}__"
        names = [row["connection_parameter_name"] for row in rows(airflow, "providers", "widgets")]
        found = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        check(sorted(found), sorted(CONN_FIELDS), "Connection form")
    else:
        form = airflow.python("-c", FORM).stdout.splitlines()[-1]
        check(json.loads(form), list(CONN_FIELDS), "Connection form")


def submit() -> str:
    """Submit a job to the emulator, compare the bill, and return the JobId."""
    with EmulatorProcess() as emulator:
        os.environ["AIRFLOW_CONN_IMS_DEFAULT"] = emulator.connection_json()
        job_id = ImsHook().submit_copyright_extract_job("oss://rights-evidence/clip.mp4")
        check([line["job_id"] for line in emulator.bill()["lines"]], [job_id], "Bill")
    return job_id


def main() -> None:
    """Run all checks."""
    echo(f"{DISTRIBUTION} {version(DISTRIBUTION)}, Airflow {version('apache-airflow')}, {platform.python_version()}")
    echo(f"  imported {import_all()} modules")
    with AirflowSandbox() as airflow:
        airflow.migrate()
        check_discovery(airflow)
        echo("  airflow providers lists the provider and its hook")
        check_form(airflow)
        echo(f"  the connection form has all {len(CONN_FIELDS)} fields")
    echo(f"  the emulator billed job {submit()}")


if __name__ == "__main__":
    try:
        main()
    except (WheelError, RuntimeError) as error:
        sys.exit(str(error))
