"""How a wait ends: the event of the trigger, and the result or the error that a task makes of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from airflow_provider_ims.exceptions import (
    ImsJobCancelledError,
    ImsJobError,
    ImsJobFailedError,
    ImsJobTimeoutError,
    ImsTriggerEventError,
    from_primitives,
)
from airflow_provider_ims.jobs.catalog import JOB_TYPES
from airflow_provider_ims.jobs.primitives import STRICT, read_primitives
from airflow_provider_ims.jobs.types import JobType, ResultKind

OUTCOME = "outcome"
"""XCom key of how a wait ended, in a word: see :meth:`JobOutcome.verdict`."""
TRIGGER_FAILED = "__fail__"
"""The method at which Airflow resumes a task whose trigger raised, or did not fire in time."""


class OutcomeKind(StrEnum):
    """How a wait can end."""

    SUCCEEDED = "succeeded"
    NOTHING_FOUND = "nothing_found"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a wait ended, in primitives: the event of a trigger carries it, and :func:`finish` judges it.

    :param job_type: the family's name
    :param job_id: the job's id
    :param kind: see :class:`OutcomeKind`
    :param result: the result of a success
    :param service_state: the service's own text for the state, None if it gave none
    :param code: the service's code for what is wrong, None if it gave none
    :param message: the text that goes with the code
    :param request_id: the service's id of the last request that got a response
    :param response: the last response, None if there was none
    :param failed_parts: the parts of the job that failed
    :param parts: how many parts the job has
    :param failure: what the last poll failed with, None if it got a response
    :param error: the error that ended the wait, as primitives
    :param accepts_empty: whether the task says how long empty responses must last to be the result
    :param elapsed: seconds from the beginning of the wait
    :param polls: how often the job was polled
    :param subject: what the job works on, for the log; None if that is not known
    :param is_unknown_job: whether the last poll said that there is no such job
    :param assumption: what the task takes empty responses for, if they ended the wait; else None
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    job_type: str
    job_id: str
    kind: OutcomeKind
    result: Any = None
    service_state: str | None = None
    code: str | None = None
    message: str | None = None
    request_id: str | None = None
    response: str | None = None
    failed_parts: list[str] = field(default_factory=list)
    parts: int = 0
    failure: str | None = None
    error: dict[str, Any] | None = None
    accepts_empty: bool = False
    elapsed: float = 0.0
    polls: int = 0
    subject: str | None = None
    is_unknown_job: bool = False
    assumption: str | None = None

    @property
    def is_failure_of_the_job(self) -> bool:
        """Whether the service says that the job has failed or was cancelled: then there is nothing to wait for."""
        return self.kind is OutcomeKind.CANCELLED or (
            self.kind is OutcomeKind.FAILED and self.service_state is not None
        )

    @property
    def effort(self) -> str:
        """How often the job was polled in what time, in words."""
        return f"{self.polls} {'poll' if self.polls == 1 else 'polls'} in {_duration(self.elapsed)}"

    @property
    def summary(self) -> str:
        """The job, what it works on, how the wait for it ended, after what effort and with what result, for the log."""
        job = self.job_id if self.subject is None else f"{self.job_id} on {self.subject}"
        if self.assumption is not None:
            return f"Job {job}: an empty response after {self.effort}, {self.assumption}"
        found = f": {self._found}" if self._found else ""
        return f"Job {job}: {self.kind.value.replace('_', ' ')} after {self.effort}{found}"

    @property
    def _found(self) -> str:
        """The result in a few words, empty if there is none to expect."""
        match self.result:
            case str() as text if text:
                return f"{text[:_LONGEST_RESULT]!r}{'...' if len(text) > _LONGEST_RESULT else ''}"
            # Not their values: they may be URLs with a signature.
            case dict() as values if values:
                names = ", ".join(map(str, values))
                return f"an object with {names[:_LONGEST_RESULT]}{'...' if len(names) > _LONGEST_RESULT else ''}"
            case list() as values if values:
                return f"a list of {len(values)}"
            case None | "" if self.kind is OutcomeKind.SUCCEEDED:
                job_type = JOB_TYPES.get(self.job_type)
                if job_type is not None and job_type.result_kind is ResultKind.TEXT:
                    return f"no {job_type.result_name}"
        return ""

    def verdict(self, job_type: JobType) -> str:
        """Return a successful outcome in a word, for the XCom :data:`OUTCOME`.

        ``found``; ``not_found`` if the service says that the job ended without a text; ``assumed_not_found`` if it said
        nothing for as long as the task allows; ``succeeded`` if the result of the family is not a text.

        :param job_type: the family of the job
        """
        if job_type.result_kind is not ResultKind.TEXT:
            return self.kind.value
        if self.kind is OutcomeKind.NOTHING_FOUND:
            return "assumed_not_found"
        return "found" if self.result else "not_found"

    def to_event(self) -> dict[str, Any]:
        """Return the outcome as the payload of a trigger's event."""
        return {**asdict(self), "kind": self.kind.value}

    @classmethod
    def from_event(cls, event: object, job_type: JobType, job_id: str | None) -> JobOutcome:
        """Read the payload of a trigger's event; fields of a newer version are ignored.

        :param event: the payload
        :param job_type: the family of the job that the task waits for
        :param job_id: the job that the task waits for, if that is known
        :raises ImsTriggerEventError: if the event is missing, cannot be read, or is about another job
        """
        if event is None:
            raise unreadable_event(job_id, "there is none")
        try:
            outcome = read_primitives(cls, event)
            if outcome.kind is OutcomeKind.REFUSED:
                from_primitives(outcome.error or {})
            _check(outcome, job_type, job_id)
        except ValueError as error:
            raise unreadable_event(job_id, str(error)[:200]) from None
        except (KeyError, TypeError) as error:
            raise unreadable_event(job_id, f"error: {type(error).__name__}: {str(error)[:200]}") from None
        return outcome


def _check(outcome: JobOutcome, job_type: JobType, job_id: str | None) -> None:
    if job_id is not None and outcome.job_id != job_id:
        raise ValueError(f"it is about job {outcome.job_id}")
    if job_type.result_kind is ResultKind.TEXT and not isinstance(outcome.result, str | None):
        raise ValueError("its result is not a text")


def finish(outcome: JobOutcome, job_type: JobType) -> Any:
    """Return the result of a wait, or raise the error that it ended in.

    A text that was not found is empty, not None: Airflow 3 does not hand an XCom that is None to another task
    (``XComNotFound``), and leaves it out if it is a return value, so that results of mapped tasks would shift.

    :param outcome: how the wait ended
    :param job_type: the family of the job
    :raises ImsJobFailedError: if the service says that the job failed
    :raises ImsJobCancelledError: if it says that the job was cancelled
    :raises ImsJobTimeoutError: if the job was not seen to end in time
    :raises ImsApiError: if the service refuses the query; the subclass says why
    """
    match outcome.kind:
        case OutcomeKind.SUCCEEDED | OutcomeKind.NOTHING_FOUND:
            is_text = job_type.result_kind is ResultKind.TEXT
            return "" if outcome.result is None and is_text else outcome.result
        case OutcomeKind.FAILED if outcome.service_state is None:
            what = "counts as failed: the last responses were all of a kind that is not documented"
            raise _job_error(
                ImsJobFailedError, outcome, f"{what}{_why(outcome)}", _COUNTS_AS_FAILED.format(job_type.sensor)
            )
        case OutcomeKind.FAILED:
            raise _job_error(ImsJobFailedError, outcome, f"failed{_why(outcome)}", _FAILED)
        case OutcomeKind.CANCELLED:
            raise _job_error(ImsJobCancelledError, outcome, f"was cancelled{_why(outcome)}", _CANCELLED)
        case OutcomeKind.TIMEOUT:
            raise _job_error(
                ImsJobTimeoutError, outcome, f"has not ended in time{_why(outcome)}", _timeout_advice(outcome, job_type)
            )
        case OutcomeKind.REFUSED:
            error = from_primitives(outcome.error or {})
            error.problem = f"Waiting for {outcome.job_type} {outcome.job_id} ended, {_facts(outcome)} {error.problem}"
            error.add_advice("" if outcome.is_unknown_job else _GOES_ON.format(job_type.sensor))
            raise error


_UNKNOWN_JOB = (
    "The service knows no such job: check the JobId, and that the region and the account are those of its submission."
)
_GOES_ON = "The job itself goes on, and is billed: an {} on its JobId can still get the result."
_FAILED = "Look at the input and the arguments of the job. A new submission is a new bill."
_COUNTS_AS_FAILED = (
    "It may still go on: an {} on its JobId polls again, which costs nothing; a new submission is a new bill."
)
_CANCELLED = "Somebody cancelled it outside of Airflow. A new submission is a new bill."


def _timeout_advice(outcome: JobOutcome, job_type: JobType) -> str:
    if outcome.is_unknown_job:
        return _UNKNOWN_JOB
    wait_on = f"Wait on with an {job_type.sensor} on this JobId, which costs nothing; a new submission is a new bill."
    if outcome.response is None:
        return f"No poll of this process got a response, so nothing is known of the job. {wait_on}"
    if job_type.reports_state or outcome.service_state is not None:
        return wait_on
    advice = (
        "The service reports no state for such jobs: this one may still run, may have found nothing, or may have "
        f"failed. {wait_on}"
    )
    if job_type.empty_result_option is None or outcome.accepts_empty:
        return advice
    return (
        f"{advice} If empty responses shall mean that nothing was found, set {job_type.empty_result_option} of the "
        f"operator or of {job_type.sensor} to how long they must last."
    )


def unreadable_event(job_id: str | None, why: str) -> ImsTriggerEventError:
    """Return the error for an event of the triggerer that is missing or cannot be read.

    :param job_id: the job that the task waits for, if that is known
    :param why: what is wrong with the event
    """
    return ImsTriggerEventError(
        f"The triggerer's report on job {job_id or '(see the XCom job_id)'} is missing or cannot be read: {why}.",
        advice=f"{_GOES_ON.format('ImsJobSensor')} Look at the triggerer's log. Clearing a task that submits submits a "
        f"second job.",
        job_id=job_id,
    )


def _job_error(kind: type[ImsJobError], outcome: JobOutcome, what: str, advice: str) -> ImsJobError:
    return kind(
        f"{outcome.job_type} {outcome.job_id} {what}, {_facts(outcome)}",
        advice=advice,
        job_id=outcome.job_id,
        request_id=outcome.request_id,
    )


def _why(outcome: JobOutcome) -> str:
    reasons = [
        *([f"state {outcome.service_state!r}"] if outcome.service_state else []),
        *([f"code {outcome.code}"] if outcome.code else []),
        *([f"message {outcome.message!r}"] if outcome.message else []),
        *([f"{len(outcome.failed_parts)} of {outcome.parts} parts failed"] if outcome.failed_parts else []),
    ]
    return f" ({', '.join(reasons)})" if reasons else ""


def _facts(outcome: JobOutcome) -> str:
    request_id = outcome.request_id or "none"
    last = f"{outcome.response} (RequestId {request_id})" if outcome.response else "none in this process"
    parts = f" Failed parts: {'; '.join(outcome.failed_parts[:_MAX_PARTS])}." if outcome.failed_parts else ""
    is_timeout = outcome.failure and outcome.kind is OutcomeKind.TIMEOUT
    failure = f" The last poll failed: {outcome.failure}" if is_timeout else ""
    return f"after {outcome.effort}. Last response: {last}.{parts}{failure}"


_MAX_PARTS = 3
_LONGEST_RESULT = 100
"""Characters of a result in a log line."""


def _duration(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, hours = round(seconds / 60), seconds / 3600
    return f"{minutes} min" if minutes < 100 else f"{hours:.1f} h"  # noqa: PLR2004 - reads better
