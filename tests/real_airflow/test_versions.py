"""What depends on the version of Airflow, as the table of the README says. Each test checks the cell of this version.

``make matrix`` runs them on all versions.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from airflow.triggers.base import BaseTrigger

from airflow_provider_ims.connection.fields import CONN_FIELDS
from dev.sandbox import ROOT
from tests.runs import AIRFLOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.sandbox import AirflowSandbox, DagRunReport

    Test = Callable[..., None]

README = (ROOT / "README.md").read_text()
THIS_VERSION = ".".join(map(str, AIRFLOW[:2]))
PATCH, PYTHON = "Patch in `make matrix`", "Python in `make matrix`"
TESTED = {PATCH, PYTHON}
"""The rows that a test of this module checks."""


def read_table() -> tuple[list[str], dict[str, dict[str, str]]]:
    """Return the versions in the head of the table, and its cells by row and version."""
    lines = README[README.index("| | 2.11 |") :].split("\n\n", maxsplit=1)[0].splitlines()
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return head[1:], {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


VERSIONS, TABLE = read_table()


def checks(row: str) -> Callable[[Test], Test]:
    """Mark the test of a row, which is skipped on a version without a column."""
    TESTED.add(row)
    return pytest.mark.skipif(THIS_VERSION not in VERSIONS, reason="the README has no such version")


def cell(row: str) -> str:
    """Return what a row says of this version of Airflow."""
    return TABLE[row][THIS_VERSION]


def test_each_row_has_a_test() -> None:
    """The tests of this module check each row of the table."""
    assert set(TABLE) == TESTED


def test_table_has_the_rows_of_the_matrix() -> None:
    """The patches and Pythons in the table are those that ``make matrix`` runs."""
    command = ["make", "--silent", "matrix-rows", f"PYTHON={sys.executable}"]
    # Without what a `make matrix ROWS=...` hands down.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "ROWS"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True, timeout=60)
    pythons: dict[str, list[str]] = {}
    for row in json.loads(done.stdout):
        pythons.setdefault(row["airflow"], []).append(row["python"])
    assert list(TABLE[PATCH].values()) == list(pythons)
    assert list(TABLE[PYTHON].values()) == [", ".join(versions) for versions in pythons.values()]
    assert [patch.rpartition(".")[0] for patch in pythons] == VERSIONS


# ---- one run of a DAG

DAG = """
from airflow.providers.common.compat.sdk import DAG, get_current_context, task
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator

with DAG("versions", schedule=None):
    ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media="oss://b-1/once.mp4")

    @task
    def twice():
        for _ in range(2):
            again = ImsSubmitCopyrightExtractJobOperator(task_id="again", input_media="oss://b-1/twice.mp4")
            again.execute(get_current_context())

    twice()
"""
"""The second task runs an operator twice, like a worker that dies after the submission and its successor."""


@pytest.fixture(scope="module")
def run(migrated: AirflowSandbox, ims_emulator_process: EmulatorProcess) -> tuple[DagRunReport, list[str]]:
    """Run the DAG, and return the report and the media of the jobs that were billed."""
    ims_emulator_process.reset()
    report = migrated.run_dag(migrated.add_dag(DAG, "versions.py"))
    assert report.state == "success", report.output
    return report, sorted(job["media"] for job in ims_emulator_process.jobs())


RESUMES = "A retry [resumes the job](docs/durable.md) of an earlier attempt"


@checks(RESUMES)
def test_second_execution_resumes_the_job(run: tuple[DagRunReport, list[str]]) -> None:
    """The second execution of a task submits nothing if there is a store that outlives the first one."""
    jobs = {"yes": 1, "no": 2}[cell(RESUMES)]
    assert run[1] == ["oss://b-1/once.mp4", *["oss://b-1/twice.mp4"] * jobs]


LINK = "The link is computed by the"


@checks(LINK)
def test_worker_stores_the_link(run: tuple[DagRunReport, list[str]]) -> None:
    """A worker that computes the link stores it as an XCom."""
    stored = run[0].xcom("submit", "_link_ImsJobLink")
    assert len(stored) == {"worker": 1, "web server": 0}[cell(LINK)]


PRINTS = "`dag.test()`, which is Airflow's, prints the secrets of connections"


@checks(PRINTS)
def test_output_of_a_run_has_the_secret(
    run: tuple[DagRunReport, list[str]], ims_emulator_process: EmulatorProcess
) -> None:
    """The output of ``dag.test()`` has the secret of the connection only in the version that the table names."""
    is_printed = ims_emulator_process.access_key_secret in run[0].output
    assert is_printed == (cell(PRINTS) == "yes")


# ---- commands and forms

RESUME_COMMAND = "`airflow ims resume`"


@checks(RESUME_COMMAND)
def test_resume_command(airflow: AirflowSandbox) -> None:
    """The command is missing, says that it needs Airflow 3.3, or looks for the run."""
    done = airflow.airflow("ims", "resume", "no_dag", "no_run", "no_task", check=False)
    expected = {
        "missing": r"invalid choice: '?ims",
        "needs 3.3": r"airflow ims resume needs Airflow 3\.3 or newer",
        "yes": r"no_run",
    }[cell(RESUME_COMMAND)]
    assert done.returncode != 0
    assert re.search(expected, done.stdout + done.stderr), done.stderr


KILL = "A log names the job that goes on after its deferred task is cleared or marked"


@checks(KILL)
def test_triggers_learn_that_their_task_is_killed() -> None:
    """Airflow tells triggers of it or not. ``test_standalone_waiting.py`` reads the log where it does."""
    assert hasattr(BaseTrigger, "on_kill") == (cell(KILL) == "yes")


FORM = """
import json, sys
if "without" in sys.argv:
    sys.modules["flask_appbuilder"] = None
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
(ims,) = [form for form in HookMetaService.hook_meta_data() if form.connection_type == "ims"]
print(json.dumps({name: field["schema"].get("enum") for name, field in (ims.extra_fields or {}).items()}))
"""
CHOICES, NEEDS_FAB = "Choices in the connection form", "The form needs `apache-airflow-providers-fab`"


def form_fields(airflow: AirflowSandbox, *options: str) -> dict[str, list[str] | None]:
    """Return the fields of the form with their choices, as the UI of Airflow 3 gets them."""
    fields: dict[str, list[str] | None] = json.loads(airflow.python("-c", FORM, *options).stdout.splitlines()[-1])
    return fields


@checks(CHOICES)
def test_choices_of_the_form(airflow: AirflowSandbox) -> None:
    """A field with choices is a list or a text field."""
    if AIRFLOW < (3,):
        out = airflow.airflow("providers", "widgets", "--output", "json").stdout
        rows = json.loads(out[out.index("[") :])
        (kind,) = [row["field_type"] for row in rows if row["connection_parameter_name"] == "extra__ims__auth_type"]
        assert (kind, cell(CHOICES)) == ("StringField", "text")
        return
    if cell(NEEDS_FAB) == "yes":
        pytest.importorskip("flask_appbuilder")
    is_list = form_fields(airflow)["auth_type"] is not None
    assert is_list == (cell(CHOICES) == "list")


@checks(NEEDS_FAB)
@pytest.mark.skipif(AIRFLOW < (3,), reason="Airflow 2 always has Flask-AppBuilder")
def test_form_without_flask_appbuilder(airflow: AirflowSandbox) -> None:
    """Without Flask-AppBuilder the form has all fields, or none."""
    expected = [] if cell(NEEDS_FAB) == "yes" else list(CONN_FIELDS)
    assert list(form_fields(airflow, "without")) == expected
