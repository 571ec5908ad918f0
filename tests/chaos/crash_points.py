"""Where a worker dies, in which way of waiting, and what is to come of it: the table of ``test_crashes.py``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Point(StrEnum):
    """Where the first attempt of a task ends, without a word."""

    CONNECTING = "connecting"
    """Before the request is sent: the service is being connected to."""
    ANSWERING = "answering"
    """After the request is sent, before the answer."""
    BEFORE_RECORD = "before_record"
    """After the answer, before it is written down."""
    BEFORE_XCOM = "before_xcom"
    """After it is written down, before anything is pushed to XCom."""
    POLLING = "polling"
    """While the worker waits for the job."""
    BEFORE_DEFER = "before_defer"
    """Before Airflow learns that the task defers."""
    DEFERRED = "deferred"
    """While the task is deferred: the triggerer dies."""
    BEFORE_SUCCESS = "before_success"
    """After the last act of the operator, before Airflow learns of its success."""


class Way(StrEnum):
    """What the task does with its job."""

    SUBMIT = "submit"
    SYNC = "sync"
    DEFER = "defer"


UNKNOWN = frozenset({Point.ANSWERING, Point.BEFORE_RECORD})
"""Points after which nobody can know whether there is a job."""


@dataclass(frozen=True)
class Crash:
    """One line of the table.

    :param point: where the first attempt ends
    :param way: what the task does with its job
    :param resubmits: whether the task is told to submit again where the outcome is unknown
    :param durable: whether the task remembers its submission
    """

    point: Point
    way: Way
    resubmits: bool = False
    durable: bool = True

    @property
    def dag_id(self) -> str:
        """The DAG of this line."""
        told = "_resubmits" if self.resubmits else ""
        return f"{self.point}_{self.way}{told}{'' if self.durable else '_forgets'}"

    @property
    def jobs(self) -> int:
        """How many jobs are billed in the end."""
        unknown = self.point in UNKNOWN
        return 2 if not self.durable or (unknown and self.resubmits) else 1

    @property
    def ends_unknown(self) -> bool:
        """Whether the task ends in the error that says that nobody knows."""
        return self.point in UNKNOWN and self.durable and not self.resubmits

    @property
    def attempts(self) -> int:
        """How many attempts it takes."""
        return 1 if self.point is Point.DEFERRED else 2


RECORD = [
    *(Crash(Point.CONNECTING, way) for way in Way),
    Crash(Point.ANSWERING, Way.SUBMIT),
    Crash(Point.ANSWERING, Way.DEFER),
    Crash(Point.ANSWERING, Way.SYNC, resubmits=True),
    Crash(Point.BEFORE_RECORD, Way.SYNC),
    Crash(Point.BEFORE_RECORD, Way.DEFER, resubmits=True),
    *(Crash(Point.BEFORE_XCOM, way) for way in Way),
    Crash(Point.POLLING, Way.SYNC),
    Crash(Point.BEFORE_DEFER, Way.DEFER),
    *(Crash(Point.BEFORE_SUCCESS, way) for way in Way),
    Crash(Point.DEFERRED, Way.DEFER),
]
FORGOTTEN = [
    # The control: the same crashes without the record, which must cost a second job.
    *(Crash(Point.BEFORE_XCOM, way, durable=False) for way in Way),
    Crash(Point.POLLING, Way.SYNC, durable=False),
    Crash(Point.BEFORE_DEFER, Way.DEFER, durable=False),
]
CRASHES = [*RECORD, *FORGOTTEN]

MAPPED = "mapped"
"""A DAG of mapped tasks, all of which die before XCom; it has runs of several kinds at once."""
INSTANCES = 2
RUN_TYPES = ("manual", "scheduled", "backfill")

NIGHT = "night"
"""A DAG of mapped tasks, one for each way, whose processes are killed at random."""
NIGHT_INSTANCES = 3
