"""A simulation of Airflow for one task, in this process: attempts, retries, XComs, the state store, clears.

For tests that need many attempts. ``tests/chaos/test_crashes.py`` tests the same with a real Airflow.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout, TaskDeferred

from airflow_provider_ims.jobs.durable import KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from airflow_provider_ims.operators.base import ImsJobBaseOperator


class TaskInstance:
    """The part of a task instance that the operator uses.

    :param number: number of the attempt
    :param max_tries: number of the last attempt whose failure may be retried
    :param failing_key: the XCom key that cannot be pushed
    :param map_index: which of the mapped tasks it is
    """

    dag_id, run_id, task_id, map_index = "dag", "run", "extract", -1

    def __init__(
        self, *, number: int = 1, max_tries: int = 0, failing_key: str | None = None, map_index: int = -1
    ) -> None:
        self.map_index = map_index
        self.try_number = number
        self.max_tries = max_tries
        self.start_date = datetime.now(UTC)
        self.xcoms: dict[str, Any] = {}
        self.failing_key = failing_key

    def xcom_push(self, key: str, value: object) -> None:
        """Push a value, or fail if the key is the one that cannot be pushed."""
        if key == self.failing_key:
            raise ConnectionError("the database is gone")
        self.xcoms[key] = value

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int) -> Any:
        """Pull a value of this attempt."""
        return self.xcoms.get(key)


class Store:
    """The part of ``task_state_store`` that the operator uses; values are stored as JSON.

    ``failures`` has the exceptions that calls raise: the key of the second ``set`` is ``("set", 2)``.
    """

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.retention: timedelta | None = None
        self.failures: dict[tuple[str, int], BaseException] = {}
        self._calls: Counter[str] = Counter()

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, the default if there is none."""
        self._check("get")
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any, *, retention: timedelta) -> None:
        """Store a value."""
        self._check("set")
        self.values[key] = json.dumps(value)
        self.retention = retention

    def delete(self, key: str) -> None:
        """Delete a value."""
        self._check("delete")
        self.values.pop(key, None)

    def _check(self, call: str) -> None:
        self._calls[call] += 1
        if failure := self.failures.get((call, self._calls[call])):
            raise failure


class ObjectStore(Store):
    """The part of common.io's backend that matters: values are objects, the database has references to them.

    An object is written before the database refuses an attempt whose place was taken.
    """

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, str] = {}
        self.live_attempt = 1
        self.attempt = 1

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, the default if there is none, None if its object is gone."""
        if super().get(key, None) is None:
            return default
        return json.loads(self.objects.get(key, "null"))

    def set(self, key: str, value: Any, *, retention: timedelta) -> None:
        """Write an object, then the reference to it."""
        self.objects[key] = json.dumps(value)
        if self.attempt != self.live_attempt:
            raise ConnectionError("404: the attempt is over")
        super().set(key, "reference", retention=retention)

    def delete(self, key: str) -> None:
        """Delete a reference and its object."""
        super().delete(key)
        self.objects.pop(key, None)


class WorkerCrash(BaseException):
    """Stands for the death of the worker: no code of the package may catch it."""


@dataclass
class SimulatedTask:
    """One task instance over its attempts.

    :param make_operator: creates a new operator, as each process does
    :param retries: number of retries of the task
    :param store: the state store that outlives attempts, None for an Airflow before 3.3
    :param map_index: which of the mapped tasks it is
    """

    make_operator: Callable[[], ImsJobBaseOperator]
    retries: int = 3
    store: Store | None = field(default_factory=Store)
    number: int = 0
    max_tries: int | None = None
    clear_number: int = 0
    map_index: int = -1
    ti: TaskInstance = field(default_factory=TaskInstance)
    error: BaseException | None = None
    events: list[Any] = field(default_factory=list)
    """Arguments and events of the triggers of all attempts."""

    def clear(self, *, retries: int | None = None) -> None:
        """Clear the task; the DAG may have another number of retries since."""
        self.retries = self.retries if retries is None else retries
        self.max_tries = self.number + self.retries
        self.clear_number += 1

    def attempt(self, *, failing_key: str | None = None) -> str:
        """Run one attempt, deferral included, and return the task's state after it."""
        self.max_tries = self.retries if self.max_tries is None else self.max_tries
        self.number += 1
        self.ti = TaskInstance(
            number=self.number, max_tries=self.max_tries, failing_key=failing_key, map_index=self.map_index
        )
        self.error = None
        try:
            self._run()
        except WorkerCrash:
            return self._failed()
        except (AirflowFailException, AirflowSensorTimeout) as error:
            self.error = error
            return "failed"
        except Exception as error:  # noqa: BLE001 - as Airflow does
            self.error = error
            return self._failed()
        return "success"

    def run(self, *, retry_delay: float = 0.0) -> str:
        """Run attempts until the task has ended, and return ``success`` or ``failed``.

        :param retry_delay: pause between two attempts, in seconds
        """
        while (state := self.attempt()) == "up_for_retry":
            time.sleep(retry_delay)
        return state

    def record(self) -> dict[str, Any] | None:
        """Return the record of the submission, None if there is none."""
        value: dict[str, Any] | None = json.loads(self.store.values.get(KEY, "null")) if self.store else None
        return value

    def backdate(self, seconds: float) -> None:
        """Move the time of the submission back by so many seconds."""
        record = self.record()
        if self.store is not None and record is not None:
            self.store.values[KEY] = json.dumps({**record, "at": record["at"] - seconds})

    def context(self) -> Any:
        """Return the context of the attempt."""
        run = SimpleNamespace(clear_number=self.clear_number)
        store = {} if self.store is None else {"task_state_store": self.store}
        return {"ti": self.ti, "dag_run": run, **store}

    def _run(self) -> None:
        try:
            result = self._operator().execute(self.context())
        except TaskDeferred as deferred:
            path, arguments = deferred.trigger.serialize()
            event = asyncio.run(first_event(path, json.loads(json.dumps(arguments))))
            self.events += [arguments, event]
            result = self._operator().execute_complete(self.context(), json.loads(json.dumps(event)))
        self.ti.xcoms["return_value"] = result

    def _operator(self) -> ImsJobBaseOperator:
        operator = self.make_operator()
        operator.retries = self.retries
        return operator

    def _failed(self) -> str:
        return "up_for_retry" if self.max_tries and self.number <= self.max_tries else "failed"


async def first_event(class_path: str, arguments: dict[str, Any]) -> Any:
    """Create a trigger as the triggerer does, run it, and return the payload of its first event."""
    module, _, name = class_path.rpartition(".")
    trigger = getattr(importlib.import_module(module), name)(**arguments)
    async for event in trigger.run():
        return event.payload
    raise AssertionError("the trigger ended without an event")
