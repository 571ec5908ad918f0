"""A throw-away Airflow: its own home, its own migrated SQLite database, nothing of the caller's environment."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE_DAGS = ROOT / "example_dags"
_PATIENT = 15
"""Seconds that a process waits for the database."""
_FOREIGN = ("AIRFLOW", "ALIBABA", "DEBUG", "PYTHONWARNINGS")


class AirflowSandbox:
    """A temporary AIRFLOW_HOME, as a context manager.

    :param env: further environment variables, such as ``AIRFLOW_CONN_IMS_DEFAULT``
    """

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="airflow-ims-", ignore_cleanup_errors=True)
        self.home = Path(self._directory.name)
        self.dags = self.home / "dags"
        self.dags.mkdir()
        database = self.home / "airflow.db"
        # Where several processes write at once, they wait for each other instead of failing; who reads does not wait.
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        self.env = {
            **inherited,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}?timeout={_PATIENT}",
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
        """Create the metadata database."""
        self.airflow("db", "migrate")

    def airflow(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run an airflow command and return what it printed."""
        return self.python("-m", "airflow", *args, check=check)

    def python(
        self, *args: str, check: bool = True, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run Python in the sandbox; a failure carries what it printed."""
        done = subprocess.run(
            [sys.executable, *args],
            env={**self.env, **(env or {})},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(f"{_shown(args)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def add_dag(self, source: Path | str, name: str = "dag.py") -> Path:
        """Put a DAG file into the DAGs folder.

        :param source: a file to copy, or the text of one
        :param name: its name where the text is given
        """
        text = source.read_text() if isinstance(source, Path) else source
        path = self.dags / (source.name if isinstance(source, Path) else name)
        path.write_text(text)
        return path

    def run_dag(
        self, path: Path, env: Mapping[str, str] | None = None, late_env: Mapping[str, str] | None = None
    ) -> DagRunReport:
        """Run the DAG of a file once with ``dag.test()``, in a process of its own.

        :param path: the file, which defines one DAG
        :param env: further environment variables
        :param late_env: those that are set when the file has been parsed
        """
        report = self.home / "report.json"
        report.unlink(missing_ok=True)
        script = str(ROOT / "dev" / "run_dag.py")
        done = self.python(script, str(path), str(report), json.dumps(dict(late_env or {})), check=False, env=env)
        if not report.exists():
            raise RuntimeError(f"The DAG {path.name} did not run:\n{done.stdout}\n{done.stderr}")
        return DagRunReport(json.loads(report.read_text()), done.stdout, done.stderr)


class DagRunReport:
    """What a DAG run left behind.

    :param report: states and XComs, as ``run_dag.py`` writes them
    :param stdout: what the run printed
    :param stderr: what the run printed to standard error, its logs
    """

    def __init__(self, report: dict[str, Any], stdout: str, stderr: str) -> None:
        self.state: str = report["state"]
        self.run_id: str = report["run_id"]
        self.tasks: dict[str, str] = report["tasks"]
        self.xcoms: list[dict[str, Any]] = report["xcoms"]
        self.output = stdout + stderr

    def xcom(self, task_id: str, key: str = "return_value") -> list[Any]:
        """Return the values that the instances of a task pushed, in the order of their map index."""
        found = [x for x in self.xcoms if x["task_id"] == task_id and x["key"] == key]
        return [x["value"] for x in sorted(found, key=lambda x: int(x["map_index"]))]


def _shown(args: Sequence[str]) -> str:
    return " ".join(args)
