"""A DAG for each row of the table of crashes. ``IMS_PIDS`` names the directory for the process ids of the tasks."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from tests.chaos.crash_points import CRASHES, INSTANCES, MAPPED, Crash, Point, Way
from tests.runs import TASK, media_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import Context

PIDS = Path(os.environ["IMS_PIDS"])


def crash() -> None:
    """Kill this process at once, like a power failure."""
    os.kill(os.getpid(), signal.SIGKILL)


class CrashingStore:
    """The state store of the task, which crashes before it stores a JobId if that is the crash point."""

    def __init__(self, store: Any, point: Point) -> None:
        self._store = store
        self._point = point

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the store."""
        return getattr(self._store, name)

    def set(self, key: str, value: Mapping[str, Any], **options: Any) -> None:
        """Store a value, unless the crash point is before that."""
        if value["job_id"] and self._point is Point.BEFORE_RECORD:
            crash()
        self._store.set(key, value, **options)


class CrashingOperator(ImsSubmitCopyrightExtractJobOperator):
    """The operator, whose first attempt crashes at a point."""

    def __init__(self, *, point: Point, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.point = point
        self._is_first = False

    def execute(self, context: Context) -> str:
        """Record the process id, and run up to the crash point."""
        ti: Any = context["ti"]
        (PIDS / f"{ti.dag_id}-{ti.try_number}").write_text(str(os.getpid()))
        self._is_first = ti.try_number == 1
        if self._is_first:
            with_store: Any = {**context, "task_state_store": CrashingStore(context["task_state_store"], self.point)}
            context = with_store
        return self._return(super().execute(context))

    def execute_complete(self, context: Context, event: object = None) -> str:
        """Finish, or crash before Airflow learns of the success."""
        ti: Any = context["ti"]
        self._is_first = ti.try_number == 1
        return self._return(super().execute_complete(context, event))

    def defer(self, **kwargs: Any) -> Any:
        """Defer, unless the crash point is before that."""
        self._crash_at(Point.BEFORE_DEFER)
        super().defer(**kwargs)

    def _publish(self, *args: Any) -> None:
        self._crash_at(Point.BEFORE_XCOM)
        super()._publish(*args)

    def _return(self, result: str) -> str:
        self._crash_at(Point.BEFORE_SUCCESS)
        return result

    def _crash_at(self, point: Point) -> None:
        if self._is_first and self.point is point:
            crash()


def make_dag(row: Crash) -> DAG:
    """Return the DAG for a row of the table."""
    # If the first attempt, or all of them, need their own connection, it is named like the DAG.
    match row.point:
        case Point.CONNECTING | Point.BEFORE_RESPONSE:
            ims_conn_id = f"{{{{ '{row.dag_id}' if ti.try_number == 1 else 'ims_default' }}}}"
        case Point.POLLING | Point.BEFORE_DEFER | Point.DEFERRED:
            ims_conn_id = row.dag_id
        case _:
            ims_conn_id = "ims_default"
    with DAG(row.dag_id, schedule=None) as dag:
        CrashingOperator(
            task_id=TASK,
            input_media=media_of(row.dag_id),
            point=row.point,
            ims_conn_id=ims_conn_id,
            wait_for_completion=row.way is not Way.SUBMIT,
            deferrable=row.way is Way.DEFER,
            poll_interval=0.5,
            durable=row.durable,
            on_unknown_submit="resubmit" if row.resubmits else "fail",
            retries=3,
            retry_delay=0.1,
        )
    return dag


for _row in CRASHES:
    globals()[_row.dag_id] = make_dag(_row)

with DAG(MAPPED, schedule="@yearly", start_date=datetime(2020, 1, 1, tzinfo=UTC), catchup=False) as mapped:
    CrashingOperator.partial(
        task_id=TASK,
        point=Point.BEFORE_XCOM,
        wait_for_completion=True,
        poll_interval=0.5,
        retries=3,
        retry_delay=0.1,
    ).expand(input_media=[media_of(f"{{{{ dag_run.run_type.value }}}}-{number}") for number in range(INSTANCES)])
