"""A DAG for each row of the table of crashes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from tests.chaos.crash_points import CRASHES, INSTANCES, MAPPED, Crash, Point, Way
from tests.chaos.operators import CRASHING, CrashingOperator
from tests.runs import TASK, media_of


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
        CRASHING[row.family.operator](
            task_id=TASK,
            **row.family.all_arguments(media_of(row.dag_id)),
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
    # The type of `partial` does not know the arguments of subclasses.
    operator: Any = CrashingOperator
    operator.partial(
        task_id=TASK,
        point=Point.BEFORE_XCOM,
        wait_for_completion=True,
        poll_interval=0.5,
        retries=3,
        retry_delay=0.1,
    ).expand(input_media=[media_of(f"{{{{ dag_run.run_type.value }}}}-{number}") for number in range(INSTANCES)])
