"""Airflow's state store with common.io's object-storage backend, in this process and without an API server."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from unittest import mock
from uuid import uuid4

from tests.attempts import Store, TaskInstance
from tests.runs import OBJECT_STORAGE, state_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ABSENT: Any = object()


class ObjectStorage(Store):
    """What a task gets from Airflow as ``task_state_store``: values are files, the database has references to them.

    The database is simulated; ``failures`` are those of the calls to it. Use within :func:`object_storage`.
    """

    def __init__(self) -> None:
        from airflow.sdk.execution_time.context import TaskStateStoreAccessor
        from airflow.sdk.state import TaskScope

        super().__init__()
        ti = TaskInstance
        scope = TaskScope(dag_id=ti.dag_id, run_id=uuid4().hex, task_id=ti.task_id, map_index=ti.map_index)
        self._accessor = TaskStateStoreAccessor(uuid4(), scope)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, the default if there is none, None if its file is gone."""
        with self._as_supervisor():
            return self._accessor.get(key, default)

    def set(self, key: str, value: Any, *, retention: timedelta) -> None:
        """Write a file, then the reference to it."""
        with self._as_supervisor():
            self._accessor.set(key, value, retention=retention)

    def delete(self, key: str) -> None:
        """Delete a reference, then its file."""
        with self._as_supervisor():
            self._accessor.delete(key)

    def send(self, message: Any) -> Any:
        """Carry out a message of the accessor to the supervisor, and return the supervisor's response."""
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time.comms import (
            DeleteTaskStateStore,
            ErrorResponse,
            GetTaskStateStore,
            OKResponse,
            SetTaskStateStore,
            TaskStateStoreResult,
        )

        match message:
            case GetTaskStateStore(key=key):
                value = super().get(key, _ABSENT)
                if value is _ABSENT:
                    return ErrorResponse(error=ErrorType.TASK_STORE_NOT_FOUND)
                return TaskStateStoreResult(value=value)
            case SetTaskStateStore(key=key, value=value):
                super().set(key, value, retention=timedelta())
            case DeleteTaskStateStore(key=key):
                super().delete(key)
            case _:
                raise AssertionError(message)
        return OKResponse(ok=True)

    @contextmanager
    def _as_supervisor(self) -> Iterator[None]:
        from airflow.sdk.execution_time import task_runner

        with mock.patch.object(task_runner, "SUPERVISOR_COMMS", self, create=True):
            yield


@contextmanager
def object_storage(directory: Path) -> Iterator[None]:
    """Configure Airflow's object-storage backend.

    :param directory: where the files are
    """
    from airflow.providers.common.io.state_store import backend
    from airflow.sdk.execution_time import context

    caches = (context._get_worker_state_store_backend, backend._get_base_path)
    with mock.patch.dict("os.environ", state_store(OBJECT_STORAGE, directory)):
        for cache in caches:
            cache.cache_clear()
        yield
    for cache in caches:
        cache.cache_clear()
