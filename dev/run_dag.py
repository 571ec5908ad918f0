"""Run the DAG of one file with ``dag.test()`` and write a report: run_dag.py DAG_FILE REPORT_FILE [ENV].

ENV is a JSON object: environment variables to set after the file is parsed and before the DAG runs.
"""

from __future__ import annotations

import gc

# A quarter of the time of such a short process: most of it is the import of Airflow and the setup of its API.
gc.disable()

# ruff: noqa: E402
import json
import os
import sys
from pathlib import Path
from typing import Any

from airflow.utils.session import create_session
from sqlalchemy import select

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # Airflow before 3.2
    from airflow.models.dagbag import DagBag  # type: ignore[no-redef]

try:
    from airflow.models.xcom import XComModel
except ImportError:  # Airflow 2
    from airflow.models.xcom import XCom as XComModel  # type: ignore[no-redef]


def value_of(row: XComModel) -> Any:
    """Return the value of an XCom row; in Airflow 2 it is already deserialized."""
    return XComModel.deserialize_value(row) if XComModel.__name__ == "XComModel" else row.value


def run(dag_file: str, env: dict[str, str]) -> dict[str, Any]:
    """Run the only DAG of a file, and return its states and XComs.

    :param dag_file: path of the file
    :param env: environment variables to set after the file is parsed
    """
    bag = DagBag(dag_file)
    if bag.import_errors:
        raise RuntimeError("\n".join(bag.import_errors.values()))
    (dag,) = bag.dags.values()
    os.environ.update(env)
    dag_run = dag.test()
    with create_session() as session:
        rows = session.scalars(select(XComModel).where(XComModel.run_id == dag_run.run_id))
        xcoms = [
            {
                "task_id": row.task_id,
                "map_index": row.map_index,
                "key": row.key,
                "value": value_of(row),
            }
            for row in rows
        ]
        instances = dag_run.get_task_instances(session=session)
        return {
            "run_id": dag_run.run_id,
            "state": str(dag_run.state),
            "tasks": {f"{ti.task_id}[{ti.map_index}]": str(ti.state) for ti in instances},
            "xcoms": xcoms,
        }


if __name__ == "__main__":
    report = run(sys.argv[1], json.loads(sys.argv[3]) if len(sys.argv) > 3 else {})  # noqa: PLR2004 - ENV is optional
    Path(sys.argv[2]).write_text(json.dumps(report, default=str))
