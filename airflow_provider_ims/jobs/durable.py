"""What a task remembers of its submission, so that a retry goes on with the job and does not pay for another one.

Airflow 3.3 has a store for each task instance that outlives its attempts. The record is written there right before the
request goes out, and again when the answer is there. Nothing else survives: XComs are wiped before each attempt.

The record stays when the task has succeeded. Taken away as its last act, it would be missing where the worker dies
between that and Airflow's learning of the success, and the retry would submit again. That a clear starts over is told
by ``max_tries`` instead, which a clear raises and a retry does not.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, fields, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_ims.exceptions import ImsError, ImsRecordError, without_retry
from airflow_provider_ims.jobs.submission import CLIENT_TOKEN, Request, moment, submission_unknown
from airflow_provider_ims.jobs.types import JobType, Submission, submission

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import BaseOperator, Context

KEY = "ims_submission"
"""The record's key in the store; with another name, tasks that are under way would be submitted again."""

# How long the record is kept beyond the wait, for the retries; Airflow deletes what is older when it cleans up.
_RETENTION = timedelta(days=30)


class StateStore(Protocol):
    """As much of Airflow's ``task_state_store`` as is used here."""

    def get(self, key: str) -> Any:
        """Return a value, None where there is none."""

    def set(self, key: str, value: Any, *, retention: timedelta) -> None:
        """Store a value."""

    def delete(self, key: str) -> None:
        """Delete a value, if there is one."""


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
    def of(cls, task: BaseOperator, context: Context) -> Attempt:
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


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an attempt has written down of its submission.

    :param action: the submit action
    :param region: region of the job
    :param what: the action and what it is about, for messages
    :param digest: of the request
    :param at: when it was sent or, with a JobId, when that was there; in seconds since the epoch
    :param attempt: number of the attempt
    :param max_tries: that of the attempt
    :param clear_number: that of the attempt
    :param user_data: the request's ``UserData``
    :param client_token: the request's ``ClientToken``
    :param job_id: the job's id; None as long as the answer is not there
    :param request_id: the service's id of the submission
    """

    action: str
    region: str
    what: str
    digest: str
    at: float
    attempt: int
    max_tries: int
    clear_number: int = 0
    user_data: str | None = None
    client_token: str | None = None
    job_id: str | None = None
    request_id: str | None = None

    @property
    def job(self) -> Submission | None:
        """The job, None as long as it is not known whether there is one."""
        return None if self.job_id is None else Submission(self.job_id, self.request_id, response={})

    def as_value(self) -> dict[str, Any]:
        """Return the record for the store, with a word for who looks at it there."""
        return {"state": "submitted" if self.job_id else "submitting", **asdict(self)}

    @classmethod
    def from_value(cls, value: object) -> Remembered:
        """Read a record; fields of a newer version are left out.

        :raises TypeError: if it is none
        """
        if not isinstance(value, dict):
            raise TypeError(f"it is a {type(value).__name__}")
        record = cls(**{one.name: value[one.name] for one in fields(cls) if one.name in value})
        numbers = (record.at, record.attempt, record.max_tries, record.clear_number)
        texts = (record.user_data, record.client_token, record.job_id, record.request_id)
        if not all(isinstance(number, int | float) for number in numbers):
            raise TypeError("a time or a number in it is none")
        if not all(isinstance(text, str | None) for text in texts):
            raise TypeError("a text in it is none")
        return record

    def is_of_the_life_of(self, attempt: Attempt) -> bool:
        """Whether there was no clear since then: retries resume, clearing starts over."""
        if self.max_tries != attempt.max_tries:
            return False
        # A clear makes max_tries the number of the last attempt plus the task's retries. Where the DAG has fewer of
        # them by then, that can be what it was before.
        first_of_life = attempt.max_tries - attempt.retries + 1
        return attempt.clear_number <= self.clear_number or self.attempt >= first_of_life

    def __str__(self) -> str:
        """Say who has submitted when, for logs and messages."""
        return f"attempt {self.attempt} at {moment(self.at)} (RequestId {self.request_id or 'none'})"


class JobRecord:
    """The record of a task's submission; where Airflow keeps none, it lasts as long as the attempt.

    It is the witness of the submission, see :class:`~airflow_provider_ims.jobs.submission.SubmissionWitness`.

    :param job_type: the family of the job
    :param attempt: the attempt that remembers
    :param store: Airflow's store for the task instance, None for none
    :param log: the task's
    """

    def __init__(self, job_type: JobType, attempt: Attempt, store: StateStore | None, log: Any) -> None:
        self._job_type = job_type
        self._attempt = attempt
        self._store = store
        self._log = log
        self._retention = _RETENTION
        self.current: Remembered | None = None
        """The submission of this life of the task, None as long as there is none."""
        self.retry_is_safe = False
        """Whether a retry finds the job, or there is none to find."""
        self.is_called_off = False
        """Whether nothing is to be submitted any more: the task was killed."""

    @classmethod
    def of(cls, task: BaseOperator, context: Context, job_type: JobType, *, durable: bool) -> JobRecord:
        """Return the record of a task instance, and read it.

        :param task: the operator
        :param context: the context of its attempt
        :param job_type: the family of its job
        :param durable: whether the record is to outlive the attempt
        :raises ImsRecordError: if it cannot be read
        """
        store: Any = dict(context).get("task_state_store") if durable else None
        is_asked_for = store is not None or job_type.takes_client_token
        record = cls(job_type, Attempt.of(task, context) if is_asked_for else Attempt(), store, task.log)
        record.recall()
        return record

    @property
    def outlives_the_attempt(self) -> bool:
        """Whether Airflow has a store for it."""
        return self._store is not None

    def recall(self) -> None:
        """Read what an earlier attempt of this life has written down.

        :raises ImsRecordError: if it cannot be read
        """
        value = self._ask("read", lambda store: store.get(KEY))
        if value is None:
            return
        try:
            record = Remembered.from_value(value)
        except TypeError as trouble:
            unreadable = ImsRecordError(
                f"What the task remembers of its submission makes no sense: {trouble}. There may be a job.",
                advice=f"Look at {KEY} in the task's state store. When it is deleted, clearing the task submits anew.",
            )
            raise without_retry(unreadable) from None
        if record.is_of_the_life_of(self._attempt):
            self.current = record
            self.retry_is_safe = record.job_id is not None

    def job_to_go_on_with(self, request: Request, *, resubmit_unknown: bool) -> Remembered | None:
        """Return the submission of an earlier attempt that got a job; None where a new one is to be made.

        :param request: what this attempt would submit
        :param resubmit_unknown: whether to submit again where an earlier attempt may have done so
        :raises ImsSubmitUnknownError: if an earlier attempt may have submitted a job, and it is not to be done again
        """
        before = self.current
        if before is None:
            return None
        if before.job_id is None:
            self._judge_unknown(before, request, resubmit=resubmit_unknown)
            return None
        if before.digest != request.digest:
            self._log.warning(
                "Submitting a new job, since this attempt asks for something else than job %s (request digest %s, was "
                "%s). That one goes on and is billed; it was submitted by %s",
                before.job_id,
                request.digest,
                before.digest,
                before,
            )
            return None
        return before

    def begin(self, request: Request, *, wait: float) -> Request:
        """Become the witness of a new submission, and return the request with its ``ClientToken``, if it takes one.

        :param request: what is to be submitted
        :param wait: how long its job may be waited for, in seconds
        """
        if self._job_type.takes_client_token and request.client_token is None:
            request = replace(request, params={**request.params, CLIENT_TOKEN: self._token_for(request)})
        self.retry_is_safe = False
        self._retention = _RETENTION + timedelta(seconds=wait)
        self.current = Remembered(
            action=request.action,
            region=request.region,
            what=request.what,
            digest=request.digest,
            at=time.time(),
            attempt=self._attempt.number,
            max_tries=self._attempt.max_tries,
            clear_number=self._attempt.clear_number,
            user_data=request.user_data,
            client_token=request.client_token,
        )
        return request

    def about_to_send(self) -> None:
        """Write down that a submission is on its way.

        :raises ImsRecordError: if that is not possible: then nothing may be sent
        :raises ImsError: if the submission was called off
        """
        if self.is_called_off:
            raise ImsError("The task was killed before it had submitted its job. Nothing was sent.")
        self._write(at=time.time())

    def not_carried_out(self) -> None:
        """Forget the submission, which certainly created no job."""
        self.forget()

    def answered(self, response: dict[str, Any]) -> None:
        """Write down which job there is now. That this fails is logged and not raised: the job exists."""
        job = submission(self._job_type, response)
        if job is None:
            return
        try:
            self._write(at=time.time(), job_id=job.job_id, request_id=job.request_id)
        except ImsRecordError as error:
            self._log.error("Job %s exists and will be billed, and no retry finds it. %s", job.job_id, error.problem)
        else:
            self.retry_is_safe = self.outlives_the_attempt

    def lost(self, request_id: str | None) -> None:
        """Add to the record what is known of the lost answer."""
        try:
            self._write(request_id=request_id)
        except ImsRecordError as error:
            self._log.warning("%s", error.problem)

    def forget(self) -> None:
        """Delete the record, because there is nothing to go on with. That this fails is logged and not raised."""
        self.current = None
        self.retry_is_safe = True
        try:
            self._ask("deleted", lambda store: store.delete(KEY))
        except ImsRecordError as error:
            self._log.warning("%s", error.problem)

    def _judge_unknown(self, before: Remembered, request: Request, *, resubmit: bool) -> None:
        if before.client_token is not None and before.digest == request.digest:
            self._log.info("Submitting again with the same ClientToken, since the answer to %s is not known", before)
            return
        why = f"Attempt {before.attempt} of this task ended while it was sending, or before it could keep the answer."
        unknown = submission_unknown(before, why, at=before.at, request_id=before.request_id)
        if not resubmit:
            raise without_retry(unknown)
        self._log.warning("Submitting again, which may be paid twice. %s", unknown.problem)

    def _token_for(self, request: Request) -> str:
        """Return a token that is the same for all attempts that want the same job.

        Known limitation: without a store, nobody knows that the last attempt's job has failed and that a new one is
        wanted; then all attempts between two clears get the same job.
        """
        before = self.current
        if before is not None and before.job_id is None and before.client_token and before.digest == request.digest:
            return before.client_token
        first = self._attempt.number if self.outlives_the_attempt else 0
        name = json.dumps([*self._attempt.task, self._attempt.max_tries, first])
        return hashlib.sha256(name.encode()).hexdigest()[:32]

    def _write(self, **changes: Any) -> None:
        if self.current is None:
            return
        record = self.current = replace(self.current, **changes)
        self._ask("written", lambda store: store.set(KEY, record.as_value(), retention=self._retention))

    def _ask(self, what: str, question: Callable[[StateStore], Any]) -> Any:
        if self._store is None:
            return None
        try:
            return question(self._store)
        except Exception as error:
            raise ImsRecordError(
                f"What the task remembers of its submission could not be {what}: {type(error).__name__}: {error}.",
                advice="Nothing is submitted without it. Look at Airflow's API server; where the task was cleared or "
                "another attempt took over, nothing is to be done.",
            ) from error
