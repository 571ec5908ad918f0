"""Mapped tasks with all ways of waiting. ``IMS_PIDS`` names the directory for the process ids of the tasks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from tests.chaos.crash_points import RANDOM_KILLS, RANDOM_KILLS_INSTANCES, Way
from tests.runs import media_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

PIDS = Path(os.environ["IMS_PIDS"])


class Operator(ImsSubmitCopyrightExtractJobOperator):
    """The operator, which records the id of its process."""

    def execute(self, context: Context) -> str:
        """Record the process id, and run."""
        self._record_pid(context)
        return super().execute(context)

    def execute_complete(self, context: Context, event: object = None) -> str:
        """Record the process id, and finish."""
        self._record_pid(context)
        return super().execute_complete(context, event)

    def _record_pid(self, context: Context) -> None:
        ti: Any = context["ti"]
        (PIDS / f"{ti.run_id}-{ti.task_id}-{ti.map_index}").write_text(str(os.getpid()))


with DAG(RANDOM_KILLS, schedule=None) as dag:
    for _way in Way:
        Operator.partial(
            task_id=_way,
            wait_for_completion=_way is not Way.SUBMIT,
            deferrable=_way is Way.DEFER,
            poll_interval=0.5,
            retries=20,
            retry_delay=0.5,
        ).expand(
            input_media=[media_of(f"{{{{ run_id }}}}-{_way}-{number}") for number in range(RANDOM_KILLS_INSTANCES)]
        )
