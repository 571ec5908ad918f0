"""When to ask for a job again, and what an answer or a failed poll means for the wait.

One policy for all ways of waiting: the loop on a worker, the triggerer and the sensor.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.exceptions import (
    ImsConfigurationError,
    ImsCredentialsError,
    ImsError,
    ImsNotFoundError,
    ImsRequestError,
    ImsServiceError,
    ImsThrottledError,
    ImsTransportError,
    to_primitives,
)
from airflow_provider_ims.jobs.outcome import End, Ending
from airflow_provider_ims.jobs.types import JobSnapshot, JobState, JobType

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

Duration = float | timedelta
"""Seconds, or a timedelta."""

POLL_INTERVAL = 15.0
MAX_POLL_INTERVAL = 300.0
TIMEOUT = timedelta(hours=24)

# The pause grows to this part of the time waited, so that a result is seen at most a tenth of the job's length late.
_GROWTH = 10
# Pauses are shortened by up to this part at random, so that jobs that were submitted together drift apart. Never
# lengthened: how late a result is seen at most is a promise.
_JITTER = 0.1
# All jobs that a process waits for are asked for at the same moment of a second, at random for each process: waking up
# for each of them by itself costs more than the requests do.
_TICK = 1.0
_TICKS_TO_SPREAD_OVER = 10
_CLOCK_ERROR = 1e-6
_TICK_PHASE = random.random()  # noqa: S311
# Seconds after the submission in which the service may not know the job yet.
NOT_FOUND_GRACE = 120.0
# No job is waited for longer, and no clock overflows.
_LONGEST = timedelta(days=366)
# So many answers in a row that nobody can explain fail a wait.
UNEXPLAINED_LIMIT = 5
# An execution_timeout is Airflow's, which ends a task without a word on the job; Airflow 2 does so to one that resumes
# too late. So we stop so many seconds earlier, to resume and to report: a tenth of it, within these bounds, and never
# more than half.
_EXECUTION_MARGIN = 0.1
_MIN_EXECUTION_MARGIN = 30.0
_MAX_EXECUTION_MARGIN = 60.0

_TRANSIENT = (ImsThrottledError, ImsServiceError, ImsTransportError)
_FINAL = (ImsCredentialsError, ImsRequestError)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a job and how often to ask, validated. All in seconds.

    :param poll_interval: pause between the first polls
    :param max_poll_interval: longest pause, not below ``poll_interval``
    :param timeout: how long to wait at all
    :param no_watermark_after: how long silence is to last to mean "nothing found"; None for never
    """

    poll_interval: float
    max_poll_interval: float
    timeout: float
    no_watermark_after: float | None

    @classmethod
    def checked(
        cls,
        job_type: JobType,
        *,
        poll_interval: Duration,
        max_poll_interval: Duration,
        timeout: Duration,
        no_watermark_after: Duration | None,
        execution_timeout: timedelta | None = None,
        interval_name: str = "poll_interval",
        max_name: str = "max_poll_interval",
    ) -> Patience:
        """Return the arguments of an operator in seconds.

        :param execution_timeout: the task's, where it ends the wait; None for none
        :param interval_name: what the operator calls ``poll_interval``
        :param max_name: what it calls ``max_poll_interval``
        :raises ImsConfigurationError: if one of them cannot be right
        """
        interval = _seconds(poll_interval, interval_name)
        longest = max(interval, _seconds(max_poll_interval, max_name))
        limit = _seconds(timeout, "timeout")
        silence = None if no_watermark_after is None else _seconds(no_watermark_after, "no_watermark_after")
        if silence is not None and not job_type.is_stateless:
            raise ImsConfigurationError(
                f"no_watermark_after is for jobs whose query reports no state, and {job_type.name} reports one. "
                f"Leave it out."
            )
        earliest = min(limit, math.inf if execution_timeout is None else _usable(execution_timeout))
        if silence is not None and silence >= earliest:
            raise ImsConfigurationError(
                f"no_watermark_after ({silence:g} s) is not shorter than the wait, which ends after {earliest:g} s "
                f"(timeout, or a little before execution_timeout). Lower it, or wait longer."
            )
        return cls(interval, longest, limit, silence)

    def wait_for(
        self,
        job_type: JobType,
        job_id: str,
        *,
        since: float,
        log: Any,
        started: datetime | None = None,
        execution_timeout: timedelta | None = None,
        polls: int = 0,
    ) -> Wait:
        """Return the wait for a job. It ends at ``timeout``, or a little before an earlier ``execution_timeout``.

        :param job_type: the family
        :param job_id: the job's id
        :param since: when the wait began, in seconds since the epoch
        :param log: where its life is told
        :param started: when Airflow started the task
        :param execution_timeout: the task's; None for none
        :param polls: polls so far
        """
        deadline = since + self.timeout
        if execution_timeout is not None:
            began = since if started is None else started.timestamp()
            deadline = min(deadline, began + _usable(execution_timeout))
        return Wait(
            job_type=job_type,
            job_id=job_id,
            since=since,
            deadline=deadline,
            poll_interval=self.poll_interval,
            max_poll_interval=self.max_poll_interval,
            silence_until=None if self.no_watermark_after is None else since + self.no_watermark_after,
            polls=polls,
            log=log,
        )


@dataclass(slots=True)
class Wait:
    """A job that is waited for. All times are wall-clock seconds since the epoch: a wait outlives its process.

    :param job_type: the family
    :param job_id: the job's id
    :param since: when the wait began; the submission, where the task submitted
    :param deadline: when to give up
    :param poll_interval: pause between the first polls, in seconds
    :param max_poll_interval: longest pause, in seconds
    :param silence_until: from when on silence means "nothing found"; None for never
    :param polls: polls so far
    :param unexplained: answers in a row so far that nobody can explain
    :param log: where its life is told
    """

    job_type: JobType
    job_id: str
    since: float
    deadline: float
    poll_interval: float = POLL_INTERVAL
    max_poll_interval: float = MAX_POLL_INTERVAL
    silence_until: float | None = None
    polls: int = 0
    unexplained: int = 0
    log: Any = field(default=log, repr=False)
    _failed_in_a_row: int = field(default=0, init=False)
    _last: JobSnapshot | None = field(default=None, init=False)
    _warned_of: set[str] = field(default_factory=set, init=False)

    def announce(self) -> None:
        """Say that the wait begins, and when it ends at the latest."""
        until = datetime.fromtimestamp(self.deadline, UTC).isoformat(timespec="seconds")
        self.log.info("Waiting for %s %s until %s at the latest", self.job_type.name, self.job_id, until)

    def pause(self, now: float) -> float:
        """Return how many seconds to wait for the next poll: ``max(poll_interval, elapsed / 10)``, up to the maximum.

        Shortened at random by up to a tenth, and so that the last poll is at the deadline.
        """
        pause = min(max(self.poll_interval, (now - self.since) / _GROWTH), self.max_poll_interval)
        pause = _at_a_tick(now, pause * (1 - _JITTER), pause)
        moments = [self.deadline]
        if self.silence_until is not None and self.silence_until > now:
            moments.append(self.silence_until)
        return max(min(pause, *(moment - now for moment in moments)), 0.0)

    def answered(self, snapshot: JobSnapshot, now: float) -> Ending | None:
        """Take in an answer, and return the end if it is one."""
        self.polls += 1
        self._failed_in_a_row = 0
        self._last = snapshot
        match snapshot.state:
            case JobState.SUCCEEDED:
                return self._end(End.SUCCEEDED, now)
            case JobState.FAILED:
                return self._end(End.FAILED, now)
            case JobState.CANCELLED:
                return self._end(End.CANCELLED, now)
        self._warn_of(snapshot)
        if snapshot.is_unexplained:
            self.unexplained += 1
            if self.unexplained >= UNEXPLAINED_LIMIT:
                return self._end(End.FAILED, now)
        else:
            self.unexplained = 0
        if snapshot.is_silent and self.silence_until is not None and now >= self.silence_until:
            return self._end(End.NOTHING_FOUND, now)
        return self._end(End.TIMEOUT, now) if now >= self.deadline else None

    def failed(self, error: Exception, now: float) -> Ending | None:
        """Take in a poll that failed, and return the end if it is one."""
        self.polls += 1
        self._failed_in_a_row += 1
        if isinstance(error, _TRANSIENT) or (
            isinstance(error, ImsNotFoundError) and now < self.since + NOT_FOUND_GRACE
        ):
            self.unexplained = 0
        elif isinstance(error, _FINAL):
            return self._end(End.REFUSED, now, error)
        else:
            self.unexplained += 1
            if self.unexplained >= UNEXPLAINED_LIMIT:
                return self._end(End.REFUSED, now, error)
        if now >= self.deadline:
            return self._end(End.TIMEOUT, now, error)
        self.log.warning(
            "Poll %d of job %s failed (%d in a row), asking again: %s",
            self.polls,
            self.job_id,
            self._failed_in_a_row,
            _as_ims_error(error).problem,
        )
        return None

    def _end(self, end: End, now: float, error: Exception | None = None) -> Ending:
        last = self._last
        failure = None if error is None else _as_ims_error(error)
        ending = Ending(
            job_type=self.job_type.name,
            job_id=self.job_id,
            end=end,
            result=last.result if last and end is End.SUCCEEDED else None,
            word=last.word if last else None,
            code=last.code if last else None,
            message=last.message if last else None,
            request_id=last.request_id if last else None,
            response=last.response if last else None,
            failure=failure.problem if failure else None,
            error=to_primitives(failure) if failure and end is End.REFUSED else None,
            is_stateless=self.job_type.is_stateless,
            elapsed=round(max(now - self.since, 0.0), 1),
            polls=self.polls,
        )
        self.log.info("Job %s: %s after %s", self.job_id, end.value.replace("_", " "), ending.effort)
        return ending

    def _warn_of(self, snapshot: JobSnapshot) -> None:
        if not snapshot.is_known_word:
            what = f"the state {snapshot.word!r}, which is not known; it counts as running"
        elif snapshot.is_unexplained and snapshot.code is not None:
            what = f"{self.job_type.code_path} {snapshot.code}, which is not documented"
        elif snapshot.is_unexplained:
            what = "an answer of a form that is not documented"
        else:
            return
        if what not in self._warned_of:
            self._warned_of.add(what)
            self.log.warning("Job %s has %s. The answer was: %s", self.job_id, what, snapshot.response)


async def poll(query: Callable[[], Awaitable[JobSnapshot]], wait: Wait) -> Ending | None:
    """Ask once, and return the end if it is one."""
    try:
        snapshot = await query()
    except ImsError as error:
        return wait.failed(error, time.time())
    except Exception as error:
        # Not of the service: a database or secrets backend that cannot tell the connection, or a fault of ours.
        wait.log.exception("Poll of job %s failed for a reason that is not the service's", wait.job_id)
        return wait.failed(error, time.time())
    return wait.answered(snapshot, time.time())


async def settle(query: Callable[[], Awaitable[JobSnapshot]], wait: Wait) -> Ending | None:
    """Ask once, and again soon as long as nobody can explain the answers: a run of such answers is an end.

    For who keeps no count from one poll to the next. It takes a minute at most.
    """
    while True:
        ending = await poll(query, wait)
        if ending is not None or not wait.unexplained:
            return ending
        await asyncio.sleep(min(wait.pause(time.time()), POLL_INTERVAL))


async def watch(
    query: Callable[[], Awaitable[JobSnapshot]],
    wait: Wait,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Ending:
    """Ask until the wait ends. The first poll is at once or, if there were polls before, within ``poll_interval``.

    At random then: a triggerer that starts takes up all of its waits at the same moment.
    """
    pause = 0.0
    if wait.polls:
        now = time.time()
        pause = _at_a_tick(now, 0.0, min(wait.pause(now), wait.poll_interval))
    while True:
        await sleep(pause)
        ending = await poll(query, wait)
        if ending is not None:
            return ending
        pause = wait.pause(time.time())


def _at_a_tick(now: float, shortest: float, longest: float) -> float:
    """Return a pause at random that ends at a tick, if it is long enough for several of them to choose from.

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
    """Return the seconds of an execution_timeout that can be waited, so that some are left to report in."""
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
