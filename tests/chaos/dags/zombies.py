"""Tasks whose first attempt falls asleep at a point. ``IMS_PIDS`` names the directory for their process ids."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from tests.runs import TASK, media_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

PIDS = Path(os.environ["IMS_PIDS"])


def fall_asleep() -> None:
    """Stop this process until somebody wakes it."""
    # To this very thread: another one could take the signal, and this one run on for a moment.
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


class SleepyStore:
    """The task's store, which stops the process when it has written that a submission is on its way."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        """Return what the store has."""
        return getattr(self._store, name)

    def set(self, *args: Any, **options: Any) -> None:
        """Write, and stop once."""
        self._store.set(*args, **options)
        self.set = self._store.set  # type: ignore[method-assign]
        fall_asleep()


class Sleepy(ImsSubmitCopyrightExtractJobOperator):
    """The operator, whose first attempt falls asleep."""

    sleeps_first = False

    def execute(self, context: Context) -> str:
        """Run, and fall asleep on the way."""
        ti: Any = context["ti"]
        if ti.try_number == 1:
            (PIDS / ti.dag_id).write_text(f"{os.getpid()} {os.getppid()}")
            if ti.dag_id == "before_sending":
                sleepy: Any = {**context, "task_state_store": SleepyStore(context["task_state_store"])}
                context = sleepy
            if ti.dag_id == "before_submitting":
                self.sleeps_first = True
        return super().execute(context)

    def _submit(self, *args: Any) -> Any:
        if self.sleeps_first:
            fall_asleep()
        return super()._submit(*args)


for _dag_id in ("before_submitting", "before_sending", "while_waiting", "dead", "cleared_while_running"):
    with DAG(_dag_id, schedule=None) as _dag:
        Sleepy(
            task_id=TASK,
            input_media=media_of(_dag_id),
            ims_conn_id=_dag_id,
            wait_for_completion=True,
            poll_interval=0.5,
            # On a busy machine a live worker can be taken for dead, too.
            retries=10,
            retry_delay=0.1,
        )
    globals()[_dag_id] = _dag
