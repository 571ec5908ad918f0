"""The tables of these tests: where a worker crashes or stops, how its task waits, and the expected outcome."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.families import STATELESS, WITH_CANCEL, WITH_PARTS, WITH_TOKEN, Family


class Point(StrEnum):
    """Where the first attempt of a task crashes."""

    CONNECTING = "connecting"
    """Before the request is sent: while it connects to the service."""
    BEFORE_RESPONSE = "before_response"
    """After the request is sent, before the response."""
    BEFORE_RECORD = "before_record"
    """After the response, before the JobId is recorded."""
    BEFORE_XCOM = "before_xcom"
    """After the JobId is recorded, before anything is pushed to XCom."""
    POLLING = "polling"
    """While the worker waits for the job."""
    BEFORE_DEFER = "before_defer"
    """Before Airflow learns that the task defers."""
    DEFERRED = "deferred"
    """While the task is deferred: the triggerer crashes."""
    BEFORE_SUCCESS = "before_success"
    """After the operator has returned, before Airflow learns of its success."""


class Step(StrEnum):
    """Where the first attempt of a task stops until its test continues it."""

    BEFORE_RECORD = "before_the_record"
    """The connection to the service is open, and the record is written next."""
    AFTER_RECORD = "after_the_record"
    """The record is written, and the request is sent next."""
    AFTER_RESPONSE = "after_the_response"
    """The job exists, and its JobId is recorded next."""
    BEFORE_XCOM = "before_the_xcom"
    """The JobId is recorded, and pushed to XCom next."""


class Way(StrEnum):
    """What the task does with its job."""

    SUBMIT = "submit"
    SYNC = "sync"
    DEFER = "defer"


UNKNOWN = frozenset({Point.BEFORE_RESPONSE, Point.BEFORE_RECORD})
"""Points after which it is unknown whether a job exists."""


@dataclass(frozen=True)
class Crash:
    """One row of the table.

    :param point: where the first attempt crashes
    :param way: what the task does with its job
    :param resubmits: whether the task submits again if the outcome of the submission is unknown
    :param durable: whether the task records its submission
    :param family: the family of the job
    """

    point: Point
    way: Way
    resubmits: bool = False
    durable: bool = True
    family: Family = STATELESS

    @property
    def dag_id(self) -> str:
        """The id of the DAG for this row."""
        resubmits = "_resubmits" if self.resubmits else ""
        family = "" if self.family is STATELESS else f"_{self.family}"
        return f"{self.point}_{self.way}{resubmits}{'' if self.durable else '_not_durable'}{family}"

    @property
    def jobs(self) -> int:
        """How many jobs are billed at the end."""
        unknown = self.point in UNKNOWN and not self.has_token
        return 2 if not self.durable or (unknown and self.resubmits) else 1

    @property
    def has_token(self) -> bool:
        """Whether a submission is repeated with the same ClientToken."""
        return self.family.job_type.takes_client_token

    @property
    def is_unknown(self) -> bool:
        """Whether the task fails with ImsSubmitUnknownError."""
        return self.point in UNKNOWN and self.durable and not self.resubmits and not self.has_token

    @property
    def attempts(self) -> int:
        """How many attempts the task needs."""
        return 1 if self.point is Point.DEFERRED else 2


WITH_RECORD = [
    *(Crash(Point.CONNECTING, way) for way in Way),
    Crash(Point.BEFORE_RESPONSE, Way.SUBMIT),
    Crash(Point.BEFORE_RESPONSE, Way.DEFER),
    Crash(Point.BEFORE_RESPONSE, Way.SYNC, resubmits=True),
    Crash(Point.BEFORE_RECORD, Way.SYNC),
    Crash(Point.BEFORE_RECORD, Way.DEFER, resubmits=True),
    *(Crash(Point.BEFORE_XCOM, way) for way in Way),
    Crash(Point.POLLING, Way.SYNC),
    Crash(Point.BEFORE_DEFER, Way.DEFER),
    *(Crash(Point.BEFORE_SUCCESS, way) for way in Way),
    Crash(Point.DEFERRED, Way.DEFER),
]
WITHOUT_RECORD = [
    # For comparison: without the record, the same crashes cost a second job.
    *(Crash(Point.BEFORE_XCOM, way, durable=False) for way in Way),
    Crash(Point.POLLING, Way.SYNC, durable=False),
    Crash(Point.BEFORE_DEFER, Way.DEFER, durable=False),
]
OTHER_FAMILIES = [
    # What differs from the first family: a ClientToken, parts, and a cancel action that a crash must not lead to.
    Crash(Point.BEFORE_RESPONSE, Way.SYNC, family=WITH_TOKEN),
    Crash(Point.BEFORE_RECORD, Way.DEFER, family=WITH_TOKEN),
    Crash(Point.BEFORE_RECORD, Way.SYNC, family=WITH_PARTS),
    Crash(Point.BEFORE_DEFER, Way.DEFER, family=WITH_PARTS),
    Crash(Point.BEFORE_RECORD, Way.SUBMIT, family=WITH_CANCEL),
    Crash(Point.POLLING, Way.SYNC, family=WITH_CANCEL),
    Crash(Point.DEFERRED, Way.DEFER, family=WITH_CANCEL),
]
CRASHES = [*WITH_RECORD, *WITHOUT_RECORD, *OTHER_FAMILIES]


@dataclass(frozen=True)
class Stop:
    """One row of the table of stopped tasks.

    :param step: where the first attempt stops
    :param way: what the task does with its job
    """

    step: Step
    way: Way

    @property
    def dag_id(self) -> str:
        """The id of the DAG for this row."""
        return f"{self.step}_{self.way}"


STOPS = [Stop(step, way) for step in Step for way in Way]

MAPPED = "mapped"
"""A DAG of mapped tasks, all of which crash before XCom; it has runs of several types at the same time."""
INSTANCES = 2
RUN_TYPES = ("manual", "scheduled", "backfill")

RANDOM_KILLS = "random_kills"
"""A DAG with a mapped task for each way, whose processes are killed at random."""
RANDOM_KILLS_INSTANCES = 3
