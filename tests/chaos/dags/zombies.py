"""Tasks whose first attempt stops at a point. ``IMS_PIDS`` names the directory for their process ids."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from tests.chaos.crash_points import Step
from tests.chaos.operators import PIDS, StoppingStore, stop_process
from tests.runs import TASK, media_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class ZombieOperator(ImsSubmitCopyrightExtractJobOperator):
    """The operator, whose first attempt stops."""

    stops_before_submitting = False

    def execute(self, context: Context) -> str:
        """Record the process ids, and run up to the point."""
        ti: Any = context["ti"]
        if ti.try_number == 1:
            (PIDS / ti.dag_id).write_text(f"{os.getpid()} {os.getppid()}")
            if ti.dag_id == "before_sending":
                with_store: Any = {
                    **context,
                    "task_state_store": StoppingStore(context["task_state_store"], Step.AFTER_RECORD),
                }
                context = with_store
            if ti.dag_id == "before_submitting":
                self.stops_before_submitting = True
        return super().execute(context)

    def _submit(self, *args: Any) -> Any:
        if self.stops_before_submitting:
            stop_process()
        return super()._submit(*args)


for _dag_id in ("before_submitting", "before_sending", "while_waiting", "dead", "cleared_while_running"):
    with DAG(_dag_id, schedule=None) as _dag:
        ZombieOperator(
            task_id=TASK,
            input_media=media_of(_dag_id),
            ims_conn_id=_dag_id,
            wait_for_completion=True,
            poll_interval=0.5,
            # On a busy machine a live worker may count as dead.
            retries=10,
            retry_delay=0.1,
        )
    globals()[_dag_id] = _dag
