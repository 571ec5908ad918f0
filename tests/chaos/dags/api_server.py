"""A DAG for each row of the table of stopped tasks."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG

from tests.chaos.crash_points import STOPS, Way
from tests.chaos.operators import StoppingOperator
from tests.runs import TASK, media_of

for _row in STOPS:
    with DAG(_row.dag_id, schedule=None) as _dag:
        StoppingOperator(
            task_id=TASK,
            input_media=media_of(_row.dag_id),
            step=_row.step,
            wait_for_completion=_row.way is not Way.SUBMIT,
            deferrable=_row.way is Way.DEFER,
            poll_interval=0.5,
            retries=2,
            # Much shorter than Airflow's five minutes: an attempt may start while the API server is still gone.
            retry_delay=10,
        )
    globals()[_row.dag_id] = _dag
