"""A DAG for each line of the table of crashes. ``IMS_PIDS`` names the directory for the process ids of its tasks."""

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


def die() -> None:
    """OutcomeKind this process as a machine does that loses power."""
    os.kill(os.getpid(), signal.SIGKILL)


class MinedStore:
    """The task's store, which ends the process around the writing of a job's id."""

    def __init__(self, store: Any, point: Point) -> None:
        self._store = store
        self._point = point

    def __getattr__(self, name: str) -> Any:
        """Return what the store has."""
        return getattr(self._store, name)

    def set(self, key: str, value: Mapping[str, Any], **options: Any) -> None:
        """Write, unless the mine is before that."""
        if value["job_id"] and self._point is Point.BEFORE_RECORD:
            die()
        self._store.set(key, value, **options)


class Mined(ImsSubmitCopyrightExtractJobOperator):
    """The operator, whose first attempt ends at a point."""

    def __init__(self, *, point: Point, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.point = point
        self._is_first = False

    def execute(self, context: Context) -> str:
        """Run, perhaps into a mine."""
        ti: Any = context["ti"]
        (PIDS / f"{ti.dag_id}-{ti.try_number}").write_text(str(os.getpid()))
        self._is_first = ti.try_number == 1
        if self._is_first:
            mined: Any = {**context, "task_state_store": MinedStore(context["task_state_store"], self.point)}
            context = mined
        return self._after_all(super().execute(context))

    def execute_complete(self, context: Context, event: object = None) -> str:
        """Go on, perhaps into a mine."""
        ti: Any = context["ti"]
        self._is_first = ti.try_number == 1
        return self._after_all(super().execute_complete(context, event))

    def defer(self, **kwargs: Any) -> Any:
        """Defer, unless the mine is before that."""
        self._die_at(Point.BEFORE_DEFER)
        super().defer(**kwargs)

    def _publish(self, *args: Any) -> None:
        self._die_at(Point.BEFORE_XCOM)
        super()._publish(*args)

    def _after_all(self, result: str) -> str:
        self._die_at(Point.BEFORE_SUCCESS)
        return result

    def _die_at(self, point: Point) -> None:
        if self._is_first and self.point is point:
            die()


def dag_of(crash: Crash) -> DAG:
    """Return the DAG of a line."""
    # A connection named like the DAG, where the first attempt, or all of them, have one of their own.
    match crash.point:
        case Point.CONNECTING | Point.ANSWERING:
            ims_conn_id = f"{{{{ '{crash.dag_id}' if ti.try_number == 1 else 'ims_default' }}}}"
        case Point.POLLING | Point.BEFORE_DEFER | Point.DEFERRED:
            ims_conn_id = crash.dag_id
        case _:
            ims_conn_id = "ims_default"
    with DAG(crash.dag_id, schedule=None) as dag:
        Mined(
            task_id=TASK,
            input_media=media_of(crash.dag_id),
            point=crash.point,
            ims_conn_id=ims_conn_id,
            wait_for_completion=crash.way is not Way.SUBMIT,
            deferrable=crash.way is Way.DEFER,
            poll_interval=0.5,
            durable=crash.durable,
            on_unknown_submit="resubmit" if crash.resubmits else "fail",
            retries=3,
            retry_delay=0.1,
        )
    return dag


for _crash in CRASHES:
    globals()[_crash.dag_id] = dag_of(_crash)

with DAG(MAPPED, schedule="@yearly", start_date=datetime(2020, 1, 1, tzinfo=UTC), catchup=False) as mapped:
    Mined.partial(
        task_id=TASK,
        point=Point.BEFORE_XCOM,
        wait_for_completion=True,
        poll_interval=0.5,
        retries=3,
        retry_delay=0.1,
    ).expand(input_media=[media_of(f"{{{{ dag_run.run_type.value }}}}-{number}") for number in range(INSTANCES)])
