"""When to poll a job again, and what a response or a failed poll means for the wait.

One policy for all ways of waiting: the loop on a worker, the triggerer and the sensor.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_ims import metrics
from airflow_provider_ims.exceptions import (
    ImsConfigurationError,
    ImsConnectionNotFoundError,
    ImsCredentialsError,
    ImsError,
    ImsNotFoundError,
    ImsRequestError,
    ImsServiceError,
    ImsThrottledError,
    ImsTransportError,
    to_primitives,
)
from airflow_provider_ims.jobs.catalog import find_job_type
from airflow_provider_ims.jobs.outcome import JobOutcome, OutcomeKind
from airflow_provider_ims.jobs.submission import utc
from airflow_provider_ims.jobs.timers import SharedTimers
from airflow_provider_ims.jobs.types import JobSnapshot, JobState, JobType
from airflow_provider_ims.metrics import Component

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

log = logging.getLogger(__name__)

Duration = float | timedelta
"""Seconds, or a timedelta."""

POLL_INTERVAL = 15.0
MAX_POLL_INTERVAL = 300.0
TIMEOUT = timedelta(hours=24)

# The pause grows to this part of the time waited, so that a result is seen at most a tenth of the job's length late.
_GROWTH = 10
# Pauses are shortened by up to this part at random, so that jobs that were submitted together drift apart. They are
# never lengthened: how late a result is seen is a promise.
_JITTER = 0.1
# All jobs that a process waits for are polled at the same moment of a second, at random for each process: a wake-up
# for each job costs more than its request.
_TICK = 1.0
_TICKS_TO_SPREAD_OVER = 10
_CLOCK_ERROR = 1e-6
_TICK_PHASE = random.random()  # noqa: S311
# Seconds after the submission in which the service may not know the job yet.
NOT_FOUND_GRACE = 120.0
# No wait is longer, and no clock overflows.
_LONGEST = timedelta(days=366)
# So many unexplained responses in a row end a wait.
UNEXPLAINED_LIMIT = 5
# At execution_timeout Airflow ends a task without a line about the job, and Airflow 2 does so to a task that resumes
# too late. So a wait stops so many seconds earlier, to resume and to report: a tenth of it, within these bounds, and
# at most half.
_EXECUTION_MARGIN = 0.1
_MIN_EXECUTION_MARGIN = 30.0
_MAX_EXECUTION_MARGIN = 60.0

# Errors of a poll that never end a wait before its deadline: the service, the network or Airflow may recover.
_PASSING = (ImsThrottledError, ImsServiceError, ImsTransportError, ImsConnectionNotFoundError)
# Errors that end it at once: the same request fails again.
_FINAL = (ImsRequestError,)
# All other errors end it after several in a row. Refused keys and a wrong connection must last for some time too: keys
# are rotated and connections are corrected while jobs are waited for.
_CORRECTABLE = (ImsCredentialsError, ImsConfigurationError)
CORRECTION_GRACE = 120.0
# Seconds after the deadline in which a poll that waits for its turn, its connection or its response is cut off.
_POLL_GRACE = 5.0
# The same for the first poll of a wait that is taken up after its deadline, such as after a night without a triggerer:
# thousands of them wait for their turns together, and their jobs have ended long ago.
_LATE_GRACE = 600.0
# Seconds that any poll may take without a warning.
_SLOW = 5.0


@dataclass(frozen=True, slots=True)
class WaitOptions:
    """How long to wait for a job and how often to poll it, validated. All in seconds.

    :param poll_interval: pause between the first polls
    :param max_poll_interval: longest pause, not below ``poll_interval``
    :param timeout: how long to wait at all
    :param accept_empty_after: how long empty responses must last to be the result; None for never
    """

    poll_interval: float
    max_poll_interval: float
    timeout: float
    accept_empty_after: float | None = None

    @classmethod
    def checked(
        cls,
        job_type: JobType,
        *,
        poll_interval: Duration,
        max_poll_interval: Duration,
        timeout: Duration,
        accept_empty_after: Duration | None = None,
        execution_timeout: timedelta | None = None,
        interval_name: str = "poll_interval",
        max_name: str = "max_poll_interval",
    ) -> WaitOptions:
        """Return the arguments of an operator in seconds.

        :param accept_empty_after: value of the argument that ``job_type.empty_result_option`` names
        :param execution_timeout: the task's, if it ends the wait; None for none
        :param interval_name: what the operator calls ``poll_interval``
        :param max_name: what it calls ``max_poll_interval``
        :raises ImsConfigurationError: if one of them cannot be right
        """
        interval = _seconds(poll_interval, interval_name)
        longest = max(interval, _seconds(max_poll_interval, max_name))
        limit = _seconds(timeout, "timeout")
        if accept_empty_after is None:
            return cls(interval, longest, limit)
        name = job_type.empty_result_option
        if name is None:
            raise ImsConfigurationError(
                f"Empty responses of a {job_type.name} are not a result: its query reports a state. Leave out how long "
                f"they may last."
            )
        empty = _seconds(accept_empty_after, name)
        earliest = min(limit, math.inf if execution_timeout is None else _usable(execution_timeout))
        if empty >= earliest:
            raise ImsConfigurationError(
                f"{name} ({empty:g} s) is not shorter than the wait, which ends after {earliest:g} s "
                f"(timeout, or a little before execution_timeout). Lower it, or wait longer."
            )
        return cls(interval, longest, limit, empty)

    def wait_for(
        self,
        job_type: JobType,
        job_id: str,
        *,
        since: float,
        log: Any,
        region: str | None = None,
        subject: str | None = None,
        resumed_at: float | None = None,
        started: datetime | None = None,
        execution_timeout: timedelta | None = None,
        polls: int = 0,
    ) -> JobWait:
        """Return the wait for a job. It ends at ``timeout``, or a little before an earlier ``execution_timeout``.

        :param job_type: the family
        :param job_id: the job's id
        :param since: when the wait began, in seconds since the epoch
        :param log: the task's
        :param region: region of the job, for metrics
        :param subject: what the job works on, for the log; None if that is not known
        :param resumed_at: when a person had the job resumed, if the time-out counts from then
        :param started: when Airflow started the task
        :param execution_timeout: the task's; None for none
        :param polls: polls so far
        """
        deadline = (since if resumed_at is None else resumed_at) + self.timeout
        if execution_timeout is not None:
            began = since if started is None else started.timestamp()
            deadline = min(deadline, began + _usable(execution_timeout))
        return JobWait(
            job_type=job_type,
            job_id=job_id,
            since=since,
            deadline=deadline,
            poll_interval=self.poll_interval,
            max_poll_interval=self.max_poll_interval,
            accept_empty_from=None if self.accept_empty_after is None else since + self.accept_empty_after,
            polls=polls,
            subject=subject,
            region=region,
            log=log,
        )


@dataclass(slots=True)
class JobWait:
    """The wait for one job. All times are wall-clock seconds since the epoch: a wait outlives its process.

    :param job_type: the family
    :param job_id: the job's id
    :param since: when the wait began; the submission, if the task submitted
    :param deadline: when to give up
    :param poll_interval: pause between the first polls, in seconds
    :param max_poll_interval: longest pause, in seconds
    :param accept_empty_from: from when on an empty response is the result; None for never
    :param polls: polls so far
    :param unexplained: unexplained responses in a row so far
    :param subject: what the job works on, for the log; None if that is not known
    :param region: region of the job, for metrics; None if that is not known. No primitive: a trigger has it anyway
    :param log: the task's or the trigger's
    """

    job_type: JobType
    job_id: str
    since: float
    deadline: float
    poll_interval: float = POLL_INTERVAL
    max_poll_interval: float = MAX_POLL_INTERVAL
    accept_empty_from: float | None = None
    polls: int = 0
    unexplained: int = 0
    subject: str | None = None
    region: str | None = None
    log: Any = field(default=log, repr=False, compare=False)
    _unexplained_since: float = field(default=0.0, init=False, repr=False, compare=False)
    _failed_in_a_row: int = field(default=0, init=False, repr=False, compare=False)
    _last: JobSnapshot | None = field(default=None, init=False, repr=False, compare=False)
    _warned_of: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def to_primitives(self) -> dict[str, Any]:
        """Return the wait as primitives, for the arguments of a trigger."""
        names = [one.name for one in fields(self) if one.init and one.name not in {"log", "region"}]
        values = {name: getattr(self, name) for name in names}
        return {**values, "job_type": self.job_type.name}

    @classmethod
    def from_primitives(cls, values: Mapping[str, Any], log: Any = log) -> JobWait:
        """Return the wait again; values of a newer version are ignored.

        :param values: from :meth:`to_primitives`
        :param log: the trigger's
        :raises ImsConfigurationError: if the job type is not known
        :raises TypeError: if a value is missing
        """
        known = {one.name for one in fields(cls) if one.init}
        arguments = {name: value for name, value in values.items() if name in known}
        return cls(**{**arguments, "job_type": find_job_type(arguments["job_type"]), "log": log})

    def announce(self) -> None:
        """Log which job is waited for, since when, and when the wait ends at the latest."""
        what = f"{self.job_type.name} {self.job_id}" + (f" on {self.subject}" if self.subject else "")
        since, until = utc(self.since), utc(self.deadline)
        self.log.info("Waiting for %s since %s until %s at the latest", what, since, until)

    def pause(self, now: float) -> float:
        """Return the seconds until the next poll: ``max(poll_interval, elapsed / 10)``, up to the maximum.

        Shortened at random by up to a tenth, and so that the last poll is at the deadline.
        """
        pause = min(max(self.poll_interval, (now - self.since) / _GROWTH), self.max_poll_interval)
        pause = _until_tick(now, pause * (1 - _JITTER), pause)
        moments = [self.deadline]
        if self.accept_empty_from is not None and self.accept_empty_from > now:
            moments.append(self.accept_empty_from)
        return max(min(pause, *(moment - now for moment in moments)), 0.0)

    def on_response(self, snapshot: JobSnapshot, now: float) -> JobOutcome | None:
        """Take in a response, and return the outcome if it ends the wait."""
        self._count_poll()
        self._failed_in_a_row = 0
        self._last = snapshot
        match snapshot.state:
            case JobState.SUCCEEDED:
                return self._outcome(OutcomeKind.SUCCEEDED, now)
            case JobState.FAILED:
                return self._outcome(OutcomeKind.FAILED, now)
            case JobState.CANCELLED:
                return self._outcome(OutcomeKind.CANCELLED, now)
        self._warn_of(snapshot)
        if snapshot.is_unexplained:
            self._count_unexplained(now)
            if self.unexplained >= UNEXPLAINED_LIMIT:
                return self._outcome(OutcomeKind.FAILED, now)
        else:
            self.unexplained = 0
        if snapshot.is_empty and self.accept_empty_from is not None and now >= self.accept_empty_from:
            return self._outcome(OutcomeKind.NOTHING_FOUND, now)
        return self._outcome(OutcomeKind.TIMEOUT, now) if now >= self.deadline else None

    def on_failure(self, error: Exception, now: float) -> JobOutcome | None:
        """Take in a failed poll, and return the outcome if it ends the wait."""
        self._count_poll()
        self._failed_in_a_row += 1
        metrics.FAILED_POLLS.count(
            job_type=self.job_type.name, region=self.region, error=type(_as_ims_error(error)).__name__
        )
        if isinstance(error, _PASSING) or (isinstance(error, ImsNotFoundError) and now < self.since + NOT_FOUND_GRACE):
            self.unexplained = 0
        elif isinstance(error, _FINAL):
            return self._outcome(OutcomeKind.REFUSED, now, error)
        else:
            self._count_unexplained(now)
            grace = CORRECTION_GRACE if isinstance(error, _CORRECTABLE) else 0.0
            if self.unexplained >= UNEXPLAINED_LIMIT and now - self._unexplained_since >= grace:
                return self._outcome(OutcomeKind.REFUSED, now, error)
        if now >= self.deadline:
            return self._outcome(OutcomeKind.TIMEOUT, now, error)
        self.log.warning(
            "Poll %d of job %s failed (%d in a row), polling again: %s",
            self.polls,
            self.job_id,
            self._failed_in_a_row,
            _as_ims_error(error).problem,
        )
        return None

    def _count_poll(self) -> None:
        self.polls += 1
        metrics.POLLS.count(job_type=self.job_type.name, region=self.region)

    def _count_unexplained(self, now: float) -> None:
        if not self.unexplained or not self._unexplained_since:
            self._unexplained_since = now
        self.unexplained += 1

    def _outcome(self, kind: OutcomeKind, now: float, error: Exception | None = None) -> JobOutcome:
        last = self._last
        failure = None if error is None else _as_ims_error(error)
        outcome = JobOutcome(
            job_type=self.job_type.name,
            job_id=self.job_id,
            kind=kind,
            result=last.result if last and kind is OutcomeKind.SUCCEEDED else None,
            service_state=last.service_state if last else None,
            code=last.code if last else None,
            message=last.message if last else None,
            request_id=last.request_id if last else None,
            response=last.response if last else None,
            failed_parts=list(last.failed_parts) if last else [],
            parts=last.parts if last else 0,
            failure=failure.problem if failure else None,
            error=to_primitives(failure) if failure and kind is OutcomeKind.REFUSED else None,
            accepts_empty=self.accept_empty_from is not None,
            elapsed=round(max(now - self.since, 0.0), 1),
            polls=self.polls,
            subject=self.subject,
            is_unknown_job=isinstance(error, ImsNotFoundError),
            assumption=self._assumption if kind is OutcomeKind.NOTHING_FOUND else None,
        )
        self.log.info("%s", outcome.summary)
        metrics.TIME_TO_RESULT.time(
            now - self.since, job_type=self.job_type.name, region=self.region, outcome=kind.value
        )
        return outcome

    @property
    def _assumption(self) -> str:
        return f"taken for 'no {self.job_type.result_name}', as {self.job_type.empty_result_option} says"

    def warn_if_slow(self, seconds: float) -> None:
        """Warn, once, if a poll took longer than the interval between polls: the rate limit or the service is too slow.

        :param seconds: how long the poll took
        """
        if seconds > max(self.poll_interval, _SLOW) and "slow" not in self._warned_of:
            self._warned_of.add("slow")
            self.log.warning(
                "Poll %d of job %s took %.0f s, longer than poll_interval (%g s): rate limit or service are slow",
                self.polls + 1,
                self.job_id,
                seconds,
                self.poll_interval,
            )

    def _warn_of(self, snapshot: JobSnapshot) -> None:
        if not snapshot.is_known_state:
            what = f"the state {snapshot.service_state!r}, which is not known; it counts as running"
        elif snapshot.is_unexplained and snapshot.code is not None:
            what = f"the code {snapshot.code}, which is not documented"
        elif snapshot.is_unexplained:
            what = "a response of a form that is not documented"
        else:
            return
        if what not in self._warned_of:
            self._warned_of.add(what)
            self.log.warning("Job %s has %s. The response was: %s", self.job_id, what, snapshot.response)


async def poll_once(query: Callable[[], Awaitable[JobSnapshot]], wait: JobWait) -> JobOutcome | None:
    """Poll once, and return the outcome if it ends the wait.

    A poll that waits for its turn, its connection or its response is cut off a few seconds after the deadline; if the
    wait was taken up after its deadline, after ten minutes.
    """
    begun = time.time()
    is_late = begun >= wait.deadline and not wait.polls
    try:
        async with asyncio.timeout(max(wait.deadline - begun, 0.0) + (_LATE_GRACE if is_late else _POLL_GRACE)):
            snapshot = await query()
    except TimeoutError:
        late = ImsTransportError(
            f"The poll got no turn, no connection or no response within {time.time() - begun:.0f} s, and the "
            f"deadline has passed."
        )
        return wait.on_failure(late, time.time())
    except ImsError as error:
        return wait.on_failure(error, time.time())
    except Exception as error:
        # Not of the service: the connection cannot be looked up, or a defect of this package.
        wait.log.exception("Poll of job %s failed for a reason that is not the service's", wait.job_id)
        return wait.on_failure(error, time.time())
    wait.warn_if_slow(time.time() - begun)
    return wait.on_response(snapshot, time.time())


async def poll_until_explained(query: Callable[[], Awaitable[JobSnapshot]], wait: JobWait) -> JobOutcome | None:
    """Poll once, and again soon while the responses are unexplained: five of them in a row end a wait.

    For callers that do not keep the count between polls. It takes a minute at most; two if keys are refused.
    """
    while True:
        outcome = await poll_once(query, wait)
        if outcome is not None or not wait.unexplained:
            return outcome
        await asyncio.sleep(min(wait.pause(time.time()), POLL_INTERVAL))


async def poll_until_done(
    query: Callable[[], Awaitable[JobSnapshot]], wait: JobWait, component: Component = Component.WORKER
) -> JobOutcome:
    """Poll until the wait ends. The first poll is at once or, if there were polls before, within ``poll_interval``.

    At random then, because a triggerer that starts resumes all of its waits at the same moment.

    :param query: polls the job
    :param wait: the job, and how long to wait for it
    :param component: where that is, for metrics
    """
    timers = SharedTimers.of_running_loop()
    pause = 0.0
    if wait.polls:
        now = time.time()
        pause = _until_tick(now, 0.0, min(wait.pause(now), wait.poll_interval))
    with metrics.waiting(component):
        while True:
            await timers.sleep(pause)
            outcome = await poll_once(query, wait)
            if outcome is not None:
                return outcome
            metrics.refresh_waiting(component)
            pause = wait.pause(time.time())


def _until_tick(now: float, shortest: float, longest: float) -> float:
    """Return a random pause that ends at a tick, if it is long enough for several ticks to choose from.

    :param now: seconds since the epoch
    :param shortest: the shortest pause, in seconds
    :param longest: the longest one
    """
    if longest < _TICKS_TO_SPREAD_OVER * _TICK:
        return random.uniform(shortest, longest)  # noqa: S311 - spreads load, keeps no secret
    first = shortest + (_TICK_PHASE - now - shortest) % _TICK
    ticks = 1 + int((longest - first + _CLOCK_ERROR) / _TICK)
    return min(first + random.randrange(ticks) * _TICK, longest)  # noqa: S311


def _as_ims_error(error: Exception) -> ImsError:
    # The text of a foreign exception may hold anything; the log has it.
    return error if isinstance(error, ImsError) else ImsError(f"{type(error).__name__}, see the log.")


def _usable(execution_timeout: timedelta) -> float:
    """Return the seconds of an execution_timeout that can be waited, so that some are left to report."""
    limit = execution_timeout.total_seconds()
    return limit - min(max(limit * _EXECUTION_MARGIN, _MIN_EXECUTION_MARGIN), _MAX_EXECUTION_MARGIN, limit / 2)


def _seconds(value: object, name: str) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST.total_seconds():
        raise ImsConfigurationError(
            f"{name} is {value!r:.40}. Give a number of seconds above 0, or a timedelta, of a year at most."
        )
    return float(value)
