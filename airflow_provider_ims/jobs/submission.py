"""One submission: its request, the attempt that sends it, the record of it, and the error if its outcome is unknown."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow_provider_ims.exceptions import ImsSubmitUnknownError
from airflow_provider_ims.jobs.media import media_text
from airflow_provider_ims.jobs.primitives import STRICT, read_primitives
from airflow_provider_ims.jobs.types import Submission

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_ims.jobs.types import JobType

CLIENT_TOKEN = "ClientToken"  # noqa: S105 - the name of a parameter
"""The parameter that makes a submission safe to repeat, if the family takes it."""
USER_DATA = "UserData"

# These do not change what the job does: requests that differ in nothing else are the same.
_LABELS = frozenset({CLIENT_TOKEN, USER_DATA})


@dataclass(frozen=True, slots=True)
class SubmissionRequest:
    """What a submission requests.

    :param job_type: the family of the job
    :param region: region of the job
    :param params: parameters of the submit action by the vendor's names
    """

    job_type: JobType
    region: str
    params: Mapping[str, Any]

    @property
    def action(self) -> str:
        """The submit action."""
        return self.job_type.submit_action

    @property
    def subject(self) -> str | None:
        """What the job works on, for messages; None if its family names nothing."""
        name = self.job_type.subject_parameter
        return None if name is None or name not in self.params else media_text(self.params[name])

    @property
    def description(self) -> str:
        """The action and what it is about, for messages."""
        return self.action if self.subject is None else f"{self.action} of {self.subject}"

    @property
    def digest(self) -> str:
        """A short name of the request; ``UserData`` and ``ClientToken`` do not count."""
        params = {name: value for name, value in self.params.items() if name not in _LABELS and value is not None}
        text = json.dumps([self.action, self.region, params], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def user_data(self) -> str | None:
        """``UserData``, None for none."""
        return self.params.get(USER_DATA)

    @property
    def client_token(self) -> str | None:
        """``ClientToken``, None for none, and for a family that ignores it: repeating its submission is not safe."""
        return self.params.get(CLIENT_TOKEN) if self.job_type.takes_client_token else None

    def with_client_token(self, token: str) -> Self:
        """Return the request with a ``ClientToken``."""
        return replace(self, params={**self.params, CLIENT_TOKEN: token})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a task instance.

    :param task: dag, run, task and map index
    :param number: 1 for the first
    :param max_tries: number of the last attempt whose failure may be retried; a clear raises it, a retry does not
    :param retries: the task's, as the DAG has it now
    :param clear_number: how often tasks of the run were cleared
    """

    task: tuple[str, str, str, int] = ("", "", "", -1)
    number: int = 1
    max_tries: int = 0
    retries: int = 0
    clear_number: int = 0

    @classmethod
    def from_context(cls, task: BaseOperator, context: Context) -> Attempt:
        """Return the attempt that a context belongs to."""
        ti: Any = context["ti"]
        run: Any = context["dag_run"]
        return cls(
            task=(ti.dag_id, ti.run_id, ti.task_id, ti.map_index),
            number=ti.try_number,
            max_tries=ti.max_tries,
            retries=task.retries or 0,
            clear_number=run.clear_number or 0,
        )

    def client_token(self, number: int = 0) -> str:
        """Return a ``ClientToken`` that is the same for all attempts that want the same.

        :param number: number of the attempt that sent it first, if a record tells it to later attempts; else 0: then
            all attempts between two clears of the task have the same token
        """
        name = json.dumps([*self.task, self.max_tries, number])
        return hashlib.sha256(name.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class SubmissionRecord:
    """What an attempt has recorded of its submission.

    :param action: the submit action
    :param region: region of the job
    :param description: the action and what it is about, for messages
    :param digest: of the request
    :param at: when it was sent or, with a JobId, when the response arrived; in seconds since the epoch
    :param attempt: number of the attempt
    :param max_tries: that of the attempt
    :param clear_number: that of the attempt
    :param user_data: the request's ``UserData``
    :param client_token: the request's ``ClientToken``
    :param job_id: the job's id; None until the response is there
    :param request_id: the service's id of the submission
    :param results: what else the response has for other tasks, by XCom key
    :param unexpected_job_id: what the response has in place of a JobId, as text
    :param origin: which attempt submitted when, if a person had this attempt resume the job; else None
    :param resumed_at: when that was, in seconds since the epoch; the wait starts over then
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    action: str
    region: str
    description: str
    digest: str
    at: float
    attempt: int
    max_tries: int
    clear_number: int = 0
    user_data: str | None = None
    client_token: str | None = None
    job_id: str | None = None
    request_id: str | None = None
    results: dict[str, str] = field(default_factory=dict)
    unexpected_job_id: str | None = None
    origin: str | None = None
    resumed_at: float | None = None

    @classmethod
    def of(cls, request: SubmissionRequest, attempt: Attempt, *, at: float) -> SubmissionRecord:
        """Return the record of a submission that has no response yet.

        :param request: what is submitted
        :param attempt: the attempt that submits
        :param at: seconds since the epoch
        """
        return cls(
            action=request.action,
            region=request.region,
            description=request.description,
            digest=request.digest,
            at=at,
            attempt=attempt.number,
            max_tries=attempt.max_tries,
            clear_number=attempt.clear_number,
            user_data=request.user_data,
            client_token=request.client_token,
        )

    @property
    def job(self) -> Submission | None:
        """The job; None while it is unknown whether there is one."""
        if self.job_id is None:
            return None
        return Submission(self.job_id, self.request_id, response={}, results=self.results)

    def to_value(self) -> dict[str, Any]:
        """Return the record for the store; ``state`` is for people who look at it there."""
        return {"state": "submitted" if self.job_id else "submitting", **asdict(self)}

    @classmethod
    def from_value(cls, value: object) -> SubmissionRecord:
        """Read a record; fields of a newer version are ignored.

        :param value: what is in the store
        :raises ValueError: if it is not a record
        """
        record = read_primitives(cls, value)
        for seconds in (record.at, record.resumed_at or 0.0):
            try:
                utc(seconds)
            except (ValueError, OverflowError, OSError):
                raise ValueError(f"at: {seconds:g} is not a time in seconds since 1970") from None
        return record

    def is_same_clear(self, attempt: Attempt) -> bool:
        """Whether the task was not cleared between the record and an attempt: retries resume, clearing starts over."""
        if self.max_tries != attempt.max_tries:
            return False
        # A clear sets max_tries to the number of the last attempt plus the task's retries. If the DAG has fewer
        # retries by then, that can be the old value.
        first_after_clear = attempt.max_tries - attempt.retries + 1
        return attempt.clear_number <= self.clear_number or self.attempt >= first_after_clear

    def __str__(self) -> str:
        """Say which attempt submitted when, for logs and messages."""
        return self.origin or f"attempt {self.attempt} at {utc(self.at)} (RequestId {self.request_id or 'none'})"


def unknown_submission(
    request: SubmissionRequest | SubmissionRecord,
    why: str,
    *,
    at: float | None = None,
    request_id: str | None = None,
    is_repeatable: bool = False,
    attempt: int | None = None,
) -> ImsSubmitUnknownError:
    """Return the error for a submission of which it is unknown whether it created a job.

    :param request: the submission, or its record
    :param why: the reason why it is unknown, as a sentence
    :param at: when it was sent, in seconds since the epoch; None for just now
    :param request_id: the service's id of the request, if one came back
    :param is_repeatable: whether the next attempt sends the same request with the same ``ClientToken``
    :param attempt: the attempt that sent it, if that is not the current one
    """
    known = [
        f"sent at {utc(time.time() if at is None else at)}",
        f"RequestId {request_id or 'none'}",
        f"request digest {request.digest}",
        *([] if request.user_data is None else [f"UserData {request.user_data}"]),
    ]
    return ImsSubmitUnknownError(
        f"It is unknown whether {request.description} in {request.region} created a job. {why} "
        f"What is known: {', '.join(known)}.",
        advice=_check(attempt) if request.client_token is None else _SAFE_TO_REPEAT,
        action=request.action,
        request_id=request_id,
        is_repeatable=is_repeatable,
    )


def _check(attempt: int | None) -> str:
    log = "this log" if attempt is None else f"the log of attempt {attempt}"
    return (
        f"Look at {log} first: the JobId may be there. IMS has no list of these jobs: look in the account's bill for a "
        f"charge at that time, or contact Alibaba Cloud support. If you find a JobId, an ImsJobSensor on it gets the "
        f"result. If there is none, or a second bill does not matter: clearing the task submits again."
    )


_SAFE_TO_REPEAT = "The same request with the same ClientToken may be sent again: it makes no second job."


def utc(seconds: float) -> str:
    """Return a time for messages and logs, in UTC.

    :param seconds: seconds since the epoch
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
