"""Submit jobs and put tasks that are deferred for them into Airflow's database: deferred_tasks.py DAG_ID JOBS TRIGGER.

TRIGGER has the other arguments of each job's ``ImsJobTrigger`` as JSON. Workers would need half an hour for 1000 tasks.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Any

from airflow.models.dag_version import DagVersion
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType

from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.triggers.job import ImsJobTrigger


async def submit(media: str, jobs: int) -> list[str]:
    """Submit jobs on one video, and return their ids."""
    hook = ImsHook()
    params = {"Input": {"Type": "OSS", "Media": media}}
    submissions = await asyncio.gather(*(hook.asubmit(COPYRIGHT_EXTRACT, params) for _ in range(jobs)))
    await hook.aclose()
    return [submission.job_id for submission in submissions]


def defer_all(dag_id: str, jobs: int, arguments: dict[str, Any]) -> None:
    """Create a run of a DAG with one task, and a deferred instance of the task for each job."""
    now = datetime.now(UTC)
    with create_session() as session:
        serialized = SerializedDagModel.get(dag_id, session=session)
        version = DagVersion.get_latest_version(dag_id, session=session)
        if serialized is None or version is None:
            raise LookupError(dag_id)
        dag: Any = serialized.dag
        run = dag.create_dagrun(
            run_id="deferred",
            run_after=now,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            session=session,
        )
        (task,) = dag.tasks
        for number, job_id in enumerate(asyncio.run(submit(task.input_media, jobs))):
            wait = {"job_type": COPYRIGHT_EXTRACT.name, "job_id": job_id, **arguments}
            trigger = Trigger(*ImsJobTrigger(wait=wait).serialize())
            session.add(trigger)
            session.flush()
            instance = TaskInstance(task, version.id, run.run_id, TaskInstanceState.DEFERRED, number)
            instance.trigger_id = trigger.id
            instance.next_method = "execute_complete"
            instance.next_kwargs = {}
            instance.try_number = 1
            instance.start_date = now
            session.add(instance)


if __name__ == "__main__":
    defer_all(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]))
