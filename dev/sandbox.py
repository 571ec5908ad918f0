"""A temporary Airflow with its own home directory and SQLite database, independent of the caller's environment."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE_DAGS = ROOT / "example_dags"
_DATABASE_TIMEOUT = 15
"""Seconds that a process waits for a database lock."""
_CONNECT_ARGS = """\
import sys

# A component that does not get a lock ends, and nothing starts it again. A request of the API server fails, and is
# repeated; while it waits for a lock, it may hold another one.
COMPONENTS = {"scheduler", "triggerer", "dag-processor"}
CONNECT_ARGS = {"timeout": 120} if COMPONENTS & {*sys.argv} else {}
"""
# Variables of the caller that the sandbox does not inherit.
_REMOVED_VARIABLES = ("AIRFLOW", "ALIBABA", "DEBUG", "PYTHONWARNINGS")


class AirflowSandbox:
    """A temporary AIRFLOW_HOME, as a context manager.

    :param env: further environment variables, such as ``AIRFLOW_CONN_IMS_DEFAULT``
    """

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="airflow-ims-", ignore_cleanup_errors=True)
        self.home = Path(self._directory.name)
        self.dags = self.home / "dags"
        self.dags.mkdir()
        # Airflow has this directory on its import path.
        config = self.home / "config"
        config.mkdir()
        (config / "sandbox_database.py").write_text(_CONNECT_ARGS)
        self._database = self.home / "airflow.db"
        self._write_ahead()
        self.is_migrated = False
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_REMOVED_VARIABLES)}
        self.env = {
            **inherited,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self._database}?timeout={_DATABASE_TIMEOUT}",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": "sandbox_database.CONNECT_ARGS",
            "NO_COLOR": "1",
            **(env or {}),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._directory.cleanup()

    def migrate(self) -> None:
        """Create the metadata database, a copy of one that this process migrates once: that takes seconds."""
        self._database.write_bytes(_migrated_database())
        self._write_ahead()
        self.is_migrated = True

    def _write_ahead(self) -> None:
        """Have concurrent writers wait for each other instead of failing, and readers not wait."""
        with closing(sqlite3.connect(self._database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")

    def airflow(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run an airflow command and return the completed process with its output.

        :raises RuntimeError: if it fails and ``check`` is true; the message contains the output
        """
        return self.python("-m", "airflow", *args, check=check)

    def python(
        self, *args: str, check: bool = True, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run Python in the sandbox and return the completed process with its output.

        :param args: arguments of the interpreter
        :param check: whether a failure raises
        :param env: further environment variables
        :raises RuntimeError: if it fails and ``check`` is true; the message contains the output
        """
        completed = subprocess.run(
            [sys.executable, *args],
            env={**self.env, **(env or {})},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if check and completed.returncode:
            output = f"{completed.stdout}\n{completed.stderr}"
            raise RuntimeError(f"{' '.join(args)} failed with exit status {completed.returncode}:\n{output}")
        return completed

    def add_dag(self, source: Path | str, name: str = "dag.py") -> Path:
        """Write a DAG file to the DAGs folder, and return its path.

        :param source: a file to copy, or the text of the file
        :param name: file name, if ``source`` is a text
        """
        text = source.read_text() if isinstance(source, Path) else source
        path = self.dags / (source.name if isinstance(source, Path) else name)
        path.write_text(text)
        return path

    def run_dag(
        self, path: Path, env: Mapping[str, str] | None = None, late_env: Mapping[str, str] | None = None
    ) -> DagRunReport:
        """Run the DAG of a file once with ``dag.test()`` in a new process.

        :param path: the file, which must define exactly one DAG
        :param env: further environment variables
        :param late_env: environment variables that are set after the file is parsed
        :raises RuntimeError: if the DAG cannot be run; the message contains the output
        """
        report = self.home / "report.json"
        report.unlink(missing_ok=True)
        script = str(ROOT / "dev" / "run_dag.py")
        completed = self.python(script, str(path), str(report), json.dumps(dict(late_env or {})), check=False, env=env)
        if not report.exists():
            raise RuntimeError(f"The DAG {path.name} did not run:\n{completed.stdout}\n{completed.stderr}")
        return DagRunReport(json.loads(report.read_text()), completed.stdout, completed.stderr)


@cache
def _migrated_database() -> bytes:
    with AirflowSandbox() as sandbox:
        sandbox.airflow("db", "migrate")
        copy = sandbox.home / "copy.db"
        with closing(sqlite3.connect(sandbox.home / "airflow.db")) as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
        return copy.read_bytes()


class DagRunReport:
    """States, XComs and output of a DAG run.

    :param report: states and XComs, as ``run_dag.py`` writes them
    :param stdout: standard output of the run
    :param stderr: standard error of the run, which contains the logs
    """

    def __init__(self, report: dict[str, Any], stdout: str, stderr: str) -> None:
        self.state: str = report["state"]
        self.run_id: str = report["run_id"]
        self.tasks: dict[str, str] = report["tasks"]
        self.xcoms: list[dict[str, Any]] = report["xcoms"]
        # Airflow 3.0 marks words with escape sequences, and breaks the messages of tracebacks after a space.
        self.output = re.sub(r"\x1b\[[\d;]*m", "", stdout + stderr).replace(" \n", " ")

    def xcom(self, task_id: str, key: str = "return_value") -> list[Any]:
        """Return the XCom values of a task's instances, sorted by map index."""
        rows = [x for x in self.xcoms if x["task_id"] == task_id and x["key"] == key]
        return [x["value"] for x in sorted(rows, key=lambda x: int(x["map_index"]))]
