"""The metrics of the provider, which Airflow sends to StatsD, Datadog or OpenTelemetry if it is configured to.

Each metric is declared here, once. To send one never raises and does not block an event loop. A tag never holds a
JobId, a media reference or anything else that differs from job to job: each value of a tag is a time series of its own.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)


class MetricKind(StrEnum):
    """What a metric measures."""

    COUNTER = "counter"
    """How often something happened."""
    TIMER = "timer"
    """How long something took, in milliseconds, as all timers of Airflow."""
    GAUGE = "gauge"
    """How many there are now."""


class Component(StrEnum):
    """Where a job is waited for."""

    WORKER = "worker"
    TRIGGERER = "triggerer"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric.

    :param name: its name, without the prefix that Airflow puts before it
    :param kind: see :class:`MetricKind`
    :param unit: what is counted, or the unit of time
    :param meaning: what it says, for the docs
    :param tags: names of its tags; StatsD gets them only if Airflow is set to send tags
    """

    name: str
    kind: MetricKind
    unit: str
    meaning: str
    tags: tuple[str, ...]

    def count(self, **tags: str | None) -> None:
        """Count one event.

        :param tags: values by name; None leaves the tag out
        """
        _interface.send("incr", self.name, 1, tags)

    def time(self, seconds: float, **tags: str | None) -> None:
        """Report how long something took.

        :param seconds: how long, in seconds
        :param tags: values by name; None leaves the tag out
        """
        _interface.send("timing", self.name, max(seconds, 0.0) * 1000, tags)

    def set(self, value: float, **tags: str) -> bool:
        """Report how many there are now, and return whether that was sent.

        Sent under two names, as Airflow does with ``triggers.running``: without tags, the values of two processes would
        overwrite each other.

        :param value: how many
        :param tags: values by name; they are parts of the second name
        """
        _interface.send("gauge", self.name, value, tags)
        return _interface.send("gauge", ".".join([self.name, *(_clean(tags[name]) for name in self.tags)]), value, {})


_OF_A_JOB = ("job_type", "region")
_OF_A_REQUEST = ("action", "region")

SUBMISSIONS = Metric(
    "ims.submissions",
    MetricKind.COUNTER,
    "jobs",
    "The service accepted a submission. Each is a job that is billed.",
    _OF_A_JOB,
)
RESUMED = Metric(
    "ims.resumed",
    MetricKind.COUNTER,
    "attempts",
    "An attempt of a task resumed the job of an earlier attempt and submitted none.",
    _OF_A_JOB,
)
UNKNOWN = Metric(
    "ims.unknown",
    MetricKind.COUNTER,
    "submissions",
    "It is unknown whether a submission created a job, and it cannot be repeated safely. `found_by` is `sender` if its "
    "response was lost, `retry` if a later attempt found that an earlier one ended while it submitted.",
    (*_OF_A_JOB, "found_by"),
)
POLLS = Metric(
    "ims.polls",
    MetricKind.COUNTER,
    "polls",
    "A job that is waited for was polled, whether that failed or not.",
    _OF_A_JOB,
)
FAILED_POLLS = Metric(
    "ims.failed_polls",
    MetricKind.COUNTER,
    "polls",
    "A poll failed. `error` is the class of the error.",
    (*_OF_A_JOB, "error"),
)
THROTTLED = Metric(
    "ims.throttled",
    MetricKind.COUNTER,
    "responses",
    "The service throttled a request, and the process slows down.",
    _OF_A_REQUEST,
)
QUEUEING_TIME = Metric(
    "ims.queueing_time",
    MetricKind.TIMER,
    "ms",
    "How long a request, such as a poll or a submission, waited for its turn in the rate limit.",
    _OF_A_REQUEST,
)
TIME_TO_RESULT = Metric(
    "ims.time_to_result",
    MetricKind.TIMER,
    "ms",
    "How long a job was waited for until the wait ended: since its submission, in a sensor since the first start of "
    "the attempt. `outcome` is `succeeded`, `nothing_found`, `failed`, `cancelled`, `timeout` or `refused`.",
    (*_OF_A_JOB, "outcome"),
)
WAITING = Metric(
    "ims.waiting",
    MetricKind.GAUGE,
    "jobs",
    "How many jobs a process waits for now. `component` is `triggerer` or `worker`, `hostname` its machine.",
    ("component", "hostname"),
)

METRICS = (
    SUBMISSIONS,
    RESUMED,
    UNKNOWN,
    POLLS,
    FAILED_POLLS,
    THROTTLED,
    QUEUEING_TIME,
    TIME_TO_RESULT,
    WAITING,
)


def load() -> None:
    """Have Airflow create its client, which reads the configuration and looks up a host name.

    On an event loop, call it in a thread: a metric that is sent from there before is dropped.
    """
    _interface.load()


@contextmanager
def waiting(component: Component) -> Iterator[None]:
    """Count a wait among those of the process while the body runs.

    :param component: where the process is
    """
    _waits.change(component, 1)
    try:
        yield
    finally:
        _waits.change(component, -1)


def refresh_waiting(component: Component) -> None:
    """Send the number of waits again if that is some time ago: receivers forget a process that sends nothing.

    :param component: where the process is
    """
    _waits.refresh(component)


class _Interface:
    """Airflow's stats interface."""

    def __init__(self) -> None:
        self._stats: Any = None
        self._has_failed = False

    def load(self) -> Any:
        """Return the interface with its client created; None if metrics are off."""
        if self._stats is None:
            try:
                stats = _find_stats()
                if stats is not None:
                    # It creates the client and sends nothing: it is never started.
                    stats.timer(WAITING.name)
                    self._stats = stats
            except Exception as error:  # noqa: BLE001 - no metric is worth a task
                self._warn(error)
        return self._stats

    def send(self, method: str, name: str, value: float, tags: dict[str, Any]) -> bool:
        """Call a method of the interface, and return whether it was called and did not fail."""
        stats = self._stats
        if stats is None:
            stats = None if _is_on_a_loop() else self.load()
        if stats is None:
            return False
        try:
            known = {tag: _clean(text) for tag, text in tags.items() if text is not None}
            getattr(stats, method)(name, value, tags=known)
        except Exception as error:  # noqa: BLE001 - as above
            self._warn(error)
            return False
        return True

    def _warn(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            log.warning("A metric could not be sent; further failures are not logged: %s", type(error).__name__)


class _Waits:
    """How many jobs this process waits for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = dict.fromkeys(Component, 0)
        self._sent_at = dict.fromkeys(Component, -_REFRESH)

    def change(self, component: Component, difference: int) -> None:
        with self._lock:
            self._numbers[component] += difference
        self._send(component)

    def refresh(self, component: Component) -> None:
        if time.monotonic() - self._sent_at[component] >= _REFRESH:
            self._send(component)

    def _send(self, component: Component) -> None:
        if WAITING.set(self._numbers[component], component=component, hostname=_hostname()):
            self._sent_at[component] = time.monotonic()


_REFRESH = 10.0
"""Seconds after which the number of waits is sent again."""


def _find_stats() -> Any:
    """Return the stats interface that this process has configured; None if metrics are off.

    Airflow 3.2 and 3.3 have two, in the Task SDK and in the core. A worker configures that of the SDK, a triggerer that
    of the core; there, the one of the SDK drops everything, unless ``airflow.sdk.serde`` is loaded, which configures it
    too (apache/airflow#68077 is the same in the API server). The second look-up can be deleted when triggerers
    configure both.
    """
    from airflow.providers.common.compat.sdk import Stats  # noqa: PLC0415 - not to parse a DAG file

    if _is_configured(Stats):
        return Stats
    try:
        from airflow.observability.stats import Stats as CoreStats  # noqa: PLC0415
    except ImportError:  # Airflow before 3.2
        return None
    return CoreStats if _is_configured(CoreStats) else None


def _is_configured(stats: Any) -> bool:
    # An attribute of the class before Airflow 3.3, a name of its module since.
    factory = getattr(stats, "factory", getattr(sys.modules[stats.__module__], "_factory", stats))
    return factory is not None and getattr(factory, "__name__", "") != "NoStatsLogger"


def _is_on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@cache
def _hostname() -> str:
    import platform  # noqa: PLC0415 - not to parse a DAG file

    return _clean(platform.node())


@lru_cache(maxsize=1024)
def _clean(text: str) -> str:
    """Return a text as a part of a name or the value of a tag that all receivers accept."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:_LONGEST]


_LONGEST = 64
_interface = _Interface()
_waits = _Waits()
