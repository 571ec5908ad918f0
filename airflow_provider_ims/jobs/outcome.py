"""How a wait ends: what a trigger reports of it, and what a task makes of the report."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from airflow_provider_ims.exceptions import (
    ImsJobCancelledError,
    ImsJobError,
    ImsJobFailedError,
    ImsJobTimeoutError,
    ImsTriggerEventError,
    from_primitives,
)

TRIGGER_FAILED = "__fail__"
"""The method at which Airflow resumes a task whose trigger raised, or did not fire in time."""


class End(StrEnum):
    """How a wait can end."""

    SUCCEEDED = "succeeded"
    NOTHING_FOUND = "nothing_found"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a wait ended, in primitives: the event of a trigger carries it, and :func:`finish` judges it.

    :param job_type: the family's name
    :param job_id: the job's id
    :param end: see :class:`End`
    :param result: the result of a success
    :param word: the service's word for the state, None where it gave none
    :param code: the service's code for what is wrong, None where it gave none
    :param message: the text that goes with the code
    :param request_id: the service's id of the last request that it answered
    :param response: its last answer, None if there was none
    :param failure: what the last poll failed with, None if it was answered
    :param error: the refusal that ended the wait, as primitives
    :param is_stateless: whether the family's query reports no state
    :param elapsed: seconds from the beginning of the wait
    :param polls: how often the service was asked
    """

    job_type: str
    job_id: str
    end: End
    result: Any = None
    word: str | None = None
    code: str | None = None
    message: str | None = None
    request_id: str | None = None
    response: str | None = None
    failure: str | None = None
    error: dict[str, Any] | None = None
    is_stateless: bool = True
    elapsed: float = 0.0
    polls: int = 0

    @property
    def is_failure_of_the_job(self) -> bool:
        """Whether the service says that the job has come to nothing: then there is nothing left to wait for."""
        return self.end is End.CANCELLED or (self.end is End.FAILED and self.word is not None)

    @property
    def effort(self) -> str:
        """How often the service was asked in what time, in words."""
        return f"{self.polls} {'poll' if self.polls == 1 else 'polls'} in {_duration(self.elapsed)}"

    def as_event(self) -> dict[str, Any]:
        """Return the ending as the payload of a trigger's event."""
        return {**asdict(self), "end": self.end.value}

    @classmethod
    def from_event(cls, event: object, job_id: str | None) -> Ending:
        """Read the payload of a trigger's event; fields of a newer version are left out.

        :param event: the payload
        :param job_id: the job that the task waits for, where that is known
        :raises ImsTriggerEventError: if the event is missing, cannot be read, or is about another job
        """
        try:
            ending = cls._read(event)
            if job_id is not None and ending.job_id != job_id:
                raise ValueError(f"it is about job {ending.job_id}")  # noqa: TRY301 - told like the others below
        except (KeyError, TypeError, ValueError) as trouble:
            raise no_report(job_id, f"{type(trouble).__name__}: {str(trouble)[:200]}") from None
        return ending

    @classmethod
    def _read(cls, event: object) -> Ending:
        if not isinstance(event, dict):
            raise TypeError(f"it is a {type(event).__name__}")
        known = {one.name for one in fields(cls)}
        ending = cls(**{name: value for name, value in event.items() if name in known} | {"end": End(event["end"])})
        texts: tuple[object, ...] = (ending.job_id, ending.job_type)
        numbers: tuple[object, ...] = (ending.elapsed, ending.polls)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("its job_id or job_type is no text")
        if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
            raise TypeError("its elapsed or polls is no number")
        if ending.is_stateless and not isinstance(ending.result, str | None):
            raise TypeError("its result is no text")
        if ending.end is End.REFUSED:
            from_primitives(ending.error or {})
        return ending


def finish(ending: Ending) -> Any:
    """Return the result of a wait, or raise what it ended in.

    A text that was not found is empty, not None: Airflow 3 refuses to hand an XCom that is None to another task
    (``XComNotFound``), and leaves it out where it is a return value, so that results of mapped tasks would shift.

    :raises ImsJobFailedError: if the service says that the job failed
    :raises ImsJobCancelledError: if it says that the job was cancelled
    :raises ImsJobTimeoutError: if the job was not seen to end in time
    :raises ImsApiError: if the service refuses to tell; the subclass says why
    """
    match ending.end:
        case End.SUCCEEDED | End.NOTHING_FOUND:
            return "" if ending.result is None and ending.is_stateless else ending.result
        case End.FAILED if ending.word is None:
            what = "is taken for failed, since answer after answer was of a kind that is not documented"
            raise _job_error(ImsJobFailedError, ending, f"{what}{_why(ending)}", _TAKEN_FOR_FAILED)
        case End.FAILED:
            raise _job_error(ImsJobFailedError, ending, f"failed{_why(ending)}", _FAILED)
        case End.CANCELLED:
            raise _job_error(ImsJobCancelledError, ending, f"was cancelled{_why(ending)}", _CANCELLED)
        case End.TIMEOUT:
            may_have_ended = ending.is_stateless and ending.word is None
            raise _job_error(
                ImsJobTimeoutError,
                ending,
                f"has not ended in time{_why(ending)}",
                _TIMEOUT_STATELESS if may_have_ended else _TIMEOUT,
            )
        case End.REFUSED:
            error = from_primitives(ending.error or {})
            error.problem = f"Waiting for {ending.job_type} {ending.job_id} ended, {_facts(ending)} {error.problem}"
            error.advice = f"{error.advice} {_GOES_ON}".strip()
            error.args = (f"{error.problem} {error.advice}",)
            raise error


_GOES_ON = "The job itself goes on, and is billed; once this is mended, wait for it with an ImsJobSensor on its JobId."
_FAILED = "Look at the video and the arguments of the job. A new submission is a new bill."
_TAKEN_FOR_FAILED = (
    "It may still go on: an ImsJobSensor on its JobId asks again, which costs nothing; a new submission is a new bill."
)
_CANCELLED = "Somebody cancelled it outside of Airflow. A new submission is a new bill."
_TIMEOUT = "Wait on with an ImsJobSensor on this JobId, which costs nothing; a new submission is a new bill."
_TIMEOUT_STATELESS = (
    "The service reports no state for such jobs: this one may still run, may have found nothing, or may have failed. "
    f"{_TIMEOUT} Where silence shall mean that there is no watermark, set no_watermark_after."
)


def no_report(job_id: str | None, why: str) -> ImsTriggerEventError:
    """Return the error for a report of the triggerer that is missing or cannot be read."""
    return ImsTriggerEventError(
        f"The triggerer's report on job {job_id or '(see the XCom job_id)'} is missing or cannot be read: {why}.",
        advice=f"{_GOES_ON} Look at the triggerer's log. Clearing a task that submits submits a second job.",
        job_id=job_id,
    )


def _job_error(kind: type[ImsJobError], ending: Ending, what: str, advice: str) -> ImsJobError:
    return kind(
        f"{ending.job_type} {ending.job_id} {what}, {_facts(ending)}",
        advice=advice,
        job_id=ending.job_id,
        request_id=ending.request_id,
    )


def _why(ending: Ending) -> str:
    said = [
        *([f"state {ending.word!r}"] if ending.word else []),
        *([f"code {ending.code}"] if ending.code else []),
        *([f"message {ending.message!r}"] if ending.message else []),
    ]
    return f" ({', '.join(said)})" if said else ""


def _facts(ending: Ending) -> str:
    last = f"{ending.response} (RequestId {ending.request_id or 'none'})" if ending.response else "none in this process"
    failure = f" The last poll failed: {ending.failure}" if ending.failure and ending.end is End.TIMEOUT else ""
    return f"after {ending.effort}. Last answer: {last}.{failure}"


def _duration(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, hours = round(seconds / 60), seconds / 3600
    return f"{minutes} min" if minutes < 100 else f"{hours:.1f} h"  # noqa: PLR2004 - reads better
