"""Operators whose first attempt crashes or stops at a point. ``IMS_PIDS`` names the directory for process ids."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.operators.base import ImsJobBaseOperator
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.operators.job import ImsSubmitJobOperator
from airflow_provider_ims.operators.processing import ImsSubmitMediaConvertJobOperator
from tests.chaos.crash_points import Point, Step

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

PIDS = Path(os.environ["IMS_PIDS"])


def crash() -> None:
    """Kill this process at once, like a power failure."""
    os.kill(os.getpid(), signal.SIGKILL)


def stop_process() -> None:
    """Stop this process until it gets SIGCONT."""
    # Sent to this thread: if another one got the signal, this one would continue for a moment.
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


class CrashingStore:
    """The state store of the task, which crashes before it stores a JobId if that is the crash point."""

    def __init__(self, store: Any, point: Point) -> None:
        self._store = store
        self._point = point

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the store."""
        return getattr(self._store, name)

    def set(self, key: str, value: Any, **options: Any) -> None:
        """Store a value, unless the crash point is before that."""
        if self._point is Point.BEFORE_RECORD and has_job_id(value):
            crash()
        self._store.set(key, value, **options)


class Crashing(ImsJobBaseOperator):
    """What lets the first attempt of an operator crash at a point; it stands before the operator among the bases."""

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


class CrashingOperator(Crashing, ImsSubmitCopyrightExtractJobOperator):
    """The operator, whose first attempt crashes at a point."""


class CrashingConvertOperator(Crashing, ImsSubmitMediaConvertJobOperator):
    """The operator for conversions, whose first attempt crashes at a point."""


class CrashingJobOperator(Crashing, ImsSubmitJobOperator):
    """The operator for any family, whose first attempt crashes at a point."""


CRASHING: dict[type[ImsJobBaseOperator], type[Crashing]] = {
    kind.__bases__[1]: kind for kind in (CrashingOperator, CrashingConvertOperator, CrashingJobOperator)
}
"""The crashing operator for each one."""


class ClearingOperator(ImsSubmitCopyrightExtractJobOperator):
    """The operator, whose first attempt crashes when Airflow has cleared its objects after the success."""

    def execute(self, context: Context) -> str:
        """Run, and have the process crash afterwards."""
        ti: Any = context["ti"]
        job_id = super().execute(context)
        if ti.try_number == 1:
            store: Any = context["task_state_store"]
            clear = store._clear_backend_only  # Airflow's name

            def clear_and_crash() -> None:
                clear()
                crash()

            store._clear_backend_only = clear_and_crash
        return job_id


class StoppingStore:
    """The state store of the task, which stops the process at a step, once."""

    def __init__(self, store: Any, step: Step) -> None:
        self._store = store
        self._step: Step | None = step

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the store."""
        return getattr(self._store, name)

    def set(self, key: str, value: Any, **options: Any) -> None:
        """Store a value, and stop before or after that if it is the step."""
        self._stop_at(Step.AFTER_RESPONSE if has_job_id(value) else Step.BEFORE_RECORD)
        self._store.set(key, value, **options)
        if isinstance(value, Mapping) and not has_job_id(value):
            self._stop_at(Step.AFTER_RECORD)

    def _stop_at(self, step: Step) -> None:
        if self._step is step:
            self._step = None
            stop_process()


class StoppingOperator(ImsSubmitCopyrightExtractJobOperator):
    """The operator, whose first attempt stops at a step."""

    def __init__(self, *, step: Step, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step
        self._stops_before_xcom = False

    def execute(self, context: Context) -> str:
        """Record the ids of the process and its supervisor, and run up to the step."""
        ti: Any = context["ti"]
        if ti.try_number == 1:
            (PIDS / f"{ti.dag_id}-{ti.run_id}").write_text(f"{os.getpid()} {os.getppid()}")
            self._stops_before_xcom = self.step is Step.BEFORE_XCOM
            with_store: Any = {**context, "task_state_store": StoppingStore(context["task_state_store"], self.step)}
            context = with_store
        return super().execute(context)

    def _publish(self, *args: Any) -> None:
        if self._stops_before_xcom:
            stop_process()
        super()._publish(*args)


def has_job_id(value: object) -> bool:
    """Whether a value for the state store is the record of a job. On object storage, there is another key."""
    return isinstance(value, Mapping) and bool(value["job_id"])
