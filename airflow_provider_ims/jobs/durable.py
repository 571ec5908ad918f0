"""The record of a submission over the attempts of a task: a retry resumes the job and does not pay for another one.

Airflow 3.3 has a store for each task instance that outlives its attempts. The record is written there right before the
request leaves, and again when the response is there. Nothing else survives: XComs are wiped before each attempt.

The record stays when the task has succeeded. Deleted as the last act, it would be missing if the worker dies before
Airflow learns of the success, and the retry would submit again. A clear starts over nevertheless: it raises
``max_tries``, which a retry does not.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_ims import metrics
from airflow_provider_ims.exceptions import ImsError, ImsRecordError
from airflow_provider_ims.jobs.response import find_job_id, read_submission
from airflow_provider_ims.jobs.resume import RESUME_KEY, ResumeOrder, resume_command, resumed_record
from airflow_provider_ims.jobs.retry import RecordState
from airflow_provider_ims.jobs.submission import Attempt, SubmissionRecord, SubmissionRequest, unknown_submission

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_ims.exceptions import ImsSubmitUnknownError
    from airflow_provider_ims.jobs.types import JobType

KEY = "ims_submission"
"""The record's key in the store; with another name, tasks that are running would submit again."""

_FENCE_KEY = "ims_submission_attempt"
_ABSENT: Any = object()
# What the transport writes in place of a secret. A JobId that had one in it cannot be queried.
_REDACTED = "***"

RETENTION = timedelta(days=30)
"""How long the record is kept beyond the wait, for the retries; Airflow's clean-up deletes what is older."""
# Seconds. What only this attempt knows is written again and again for so long, with pauses that double.
_WRITE_TIMEOUT = 600.0
_FIRST_WRITE_PAUSE = 1.0
_LONGEST_WRITE_PAUSE = 15.0


class StateStore(Protocol):
    """The part of Airflow's ``task_state_store`` that is used here."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, the default if there is none, None if its object is gone from object storage."""

    def set(self, key: str, value: Any, *, retention: timedelta) -> None:
        """Store a value."""

    def delete(self, key: str) -> None:
        """Delete a value, if there is one."""


class RecoveryPoint(StrEnum):
    """What an attempt finds of the attempts before it."""

    NO_RECORD = "no_record"
    """Nothing was submitted, or the task was cleared, or the request has changed: submit."""
    SUBMITTING = "submitting"
    """An attempt ended while its request was in flight: it is unknown whether a job exists."""
    SUBMITTED = "submitted"
    """A job exists: resume."""
    ENDED = "ended"
    """The service says that the job failed or was cancelled: submit anew."""


class SubmissionStore:
    """Keeps the record of a task's submission; if Airflow has no store, only as long as the attempt.

    Observes the submission, see :class:`~airflow_provider_ims.api.observer.SubmissionObserver`.

    :param job_type: the family of the job
    :param attempt: the attempt that submits
    :param store: Airflow's store for the task instance, None for none
    :param log: the task's
    """

    def __init__(self, job_type: JobType, attempt: Attempt, store: StateStore | None, log: Any) -> None:
        self._job_type = job_type
        self._attempt = attempt
        self._store = store
        self._log = log
        self._retention = RETENTION
        self._job_exists = False
        self._is_stored = False
        self._is_stopped = False
        self._is_in_flight = False
        # What was in the store, and its record if it counts: a rejected submission puts both back.
        self._earlier_value: Any = _ABSENT
        self._earlier: SubmissionRecord | None = None
        self._order: ResumeOrder | None = None
        self.record: SubmissionRecord | None = None
        """The record of this task since its last clear, None if there is none."""

    @classmethod
    def open(cls, task: BaseOperator, context: Context, job_type: JobType, *, durable: bool) -> SubmissionStore:
        """Return the store of a task instance, not yet read.

        :param task: the operator
        :param context: the context of its attempt
        :param job_type: the family of its job
        :param durable: whether the record is to outlive the attempt
        """
        store: Any = dict(context).get("task_state_store") if durable else None
        needs_attempt = store is not None or job_type.takes_client_token
        return cls(job_type, Attempt.from_context(task, context) if needs_attempt else Attempt(), store, task.log)

    @property
    def is_durable(self) -> bool:
        """Whether the record outlives the attempt."""
        return self._store is not None

    @property
    def state(self) -> RecordState:
        """What a retry of this attempt would find."""
        match self.record:
            case None:
                return RecordState.MISSING if self._job_exists else RecordState.NONE
            case SubmissionRecord(job_id=None):
                return RecordState.SUBMITTING
            case _:
                return RecordState.SUBMITTED if self._is_stored else RecordState.MISSING

    @property
    def resume_advice(self) -> str:
        """How people have the task resume its job after a clear; empty if there is no job, or no store."""
        if not self.is_durable or self._order is not None:
            return ""
        job_id = self.record.job_id if self.record else None
        match self.state:
            case RecordState.SUBMITTED:
                command = resume_command(self._attempt)
            case RecordState.MISSING if job_id is not None:
                command = resume_command(self._attempt, job_id)
            case RecordState.SUBMITTING:
                command = resume_command(self._attempt, "JOB_ID")
                return f"If you find the JobId, clear the task after this command, and it resumes the job: {command}"
            case _:
                return ""
        return f"A cleared task submits a new job; to let it resume this one, run before the clear: {command}"

    def load_at_start(self) -> SubmissionRecord | None:
        """Read the record, and whether people want its job or another one resumed, at the start of an attempt.

        :raises ImsRecordError: if it cannot be read
        """
        if self._attempt.number > 1:  # there is nothing to resume before
            value = self._access("read", lambda store: store.get(RESUME_KEY, _ABSENT))
            self._order = None if value is _ABSENT else ResumeOrder.from_value(value, self._job_type)
        try:
            return self.load()
        except ImsRecordError as error:
            if not error.is_damaged or self._order is None or self._order.job_id is None:
                raise
            self._log.warning("%s The task resumes job %s, which a person has given", error.problem, self._order.job_id)
            return None

    def load(self) -> SubmissionRecord | None:
        """Read what an earlier attempt since the last clear has recorded.

        :raises ImsRecordError: if it cannot be read
        """
        value = self._access("read", lambda store: store.get(KEY, _ABSENT))
        if value is _ABSENT:
            return None
        if value is None and self.is_durable:
            # Airflow's database names an object, and the object storage does not have it.
            raise _damaged("it was written, and its object is gone from the state-store backend")
        try:
            record = SubmissionRecord.from_value(value)
        except ValueError as error:
            raise _damaged(str(error)) from None
        self._earlier_value = value
        if record.is_same_clear(self._attempt) or self._order is not None:
            self.record = self._earlier = record
            self._is_stored = record.job_id is not None
        else:
            self._log.info("Starting over: the task was cleared after the submission by %s", record)
        return self.record

    def note_job(self) -> None:
        """Note that a job exists, whether there is a record of it or not: the task was deferred for it."""
        self._job_exists = True

    def recovery_point(self, request: SubmissionRequest) -> RecoveryPoint:
        """Return what the record says, before the service is queried.

        :param request: what this attempt would submit
        :raises ImsRecordError: if people want a job resumed and it cannot be; then nothing is submitted
        """
        if self._order is not None:
            self._follow(self._order, request)
        record = self.record
        if record is None:
            return RecoveryPoint.NO_RECORD
        if record.job_id is None:
            return RecoveryPoint.SUBMITTING
        if record.digest != request.digest:
            self._log.warning(
                "Submitting a new job: the request of this attempt differs from that of job %s (request digest %s, was "
                "%s). That job goes on and is billed; it was submitted by %s",
                record.job_id,
                request.digest,
                record.digest,
                record,
            )
            return RecoveryPoint.NO_RECORD
        return RecoveryPoint.SUBMITTED

    def check_unknown(self, request: SubmissionRequest, *, resubmit: bool) -> None:
        """Return if this attempt may submit although an earlier one may have created a job.

        :param request: what this attempt would submit
        :param resubmit: whether the user accepts a second job
        :raises ImsSubmitUnknownError: if it may not
        """
        record = self.record
        if record is None or record.job_id is not None:
            return
        if record.client_token is not None and record.digest == request.digest:
            self._log.info("Submitting again with the same ClientToken: the response to %s is not known", record)
            return
        metrics.UNKNOWN.count(job_type=self._job_type.name, region=request.region, found_by="retry")
        why = f"Attempt {record.attempt} of this task ended while it was sending, or before it could keep the response."
        if record.unexpected_job_id is not None:
            why = f"Attempt {record.attempt} got the JobId {record.unexpected_job_id}, which is of an unexpected type."
        unknown = unknown_submission(record, why, at=record.at, request_id=record.request_id, attempt=record.attempt)
        if not resubmit:
            raise unknown
        self._log.warning("Submitting again, which may be paid twice. %s", unknown.problem)

    def start(self, request: SubmissionRequest, *, wait: float) -> SubmissionRequest:
        """Begin a new record, and return the request with its ``ClientToken`` if the family takes one.

        :param request: what is to be submitted
        :param wait: how long its job may be waited for, in seconds
        """
        if self._job_type.takes_client_token and request.client_token is None:
            request = request.with_client_token(self._token_for(request))
        self._is_stored = False
        self._retention = RETENTION + timedelta(seconds=wait)
        self.record = SubmissionRecord.of(request, self._attempt, at=time.time())
        return request

    def stop(self) -> ImsSubmitUnknownError | None:
        """Keep a submission that is not sent yet from being sent: the task was killed.

        :return: the error to log if a submission is in flight
        """
        self._is_stopped = True
        if not self._is_in_flight or self.record is None:
            return None
        return unknown_submission(self.record, "The task was killed while it submitted.", at=self.record.at)

    def delete(self) -> None:
        """Delete the record: there is nothing to resume. A failure is logged, not raised."""
        self.record = None
        self._job_exists = False
        try:
            self._access("deleted", lambda store: store.delete(KEY))
        except ImsRecordError as error:
            self._log.warning("%s", error.problem)

    # ---- observer of the submission

    def before_send(self) -> None:
        """Record that a submission leaves.

        :raises ImsRecordError: if it cannot be recorded: then nothing is sent
        :raises ImsError: if the task was killed
        """
        self._refuse_if_stopped()
        self._write(at=time.time())
        # The write can take half a minute: Airflow's API client repeats it.
        self._refuse_if_stopped()
        self._is_in_flight = True
        if self.record is not None:
            self._log.info("Submitting %s in %s", self.record.description, self.record.region)

    def on_rejected(self) -> None:
        """Put back what was in the store: the submission created no job.

        If the record of the submission was written, this is tried for some minutes, because only this attempt knows of
        the rejection. Then a failure is logged, not raised.
        """
        was_in_flight, self._is_in_flight = self._is_in_flight, False
        self.record = self._earlier
        self._is_stored = self._earlier is not None and self._earlier.job_id is not None
        timeout = _WRITE_TIMEOUT if was_in_flight else 0.0
        error = self._persist(self._put_back, "No job was created", timeout=timeout)
        if error is not None:
            self._log.error("No job was created, and a retry cannot know it. %s", error.problem)

    def on_accepted(self, response: dict[str, Any]) -> None:
        """Record which job there is now.

        This is tried for some minutes, because the JobId is known here only. Then a failure is logged, not raised,
        because the job already exists.
        """
        self._is_in_flight = False
        job = read_submission(self._job_type, response)
        if job is None or _REDACTED in job.job_id:
            self._change(unexpected_job_id=find_job_id(self._job_type, response))
            return
        self._change(at=time.time(), job_id=job.job_id, request_id=job.request_id, results=job.results)
        error = self._persist(self._write_job, f"The JobId is {job.job_id}", timeout=_WRITE_TIMEOUT)
        if error is not None:
            self._log.error("Job %s exists and is billed, and no retry finds it. %s", job.job_id, error.problem)

    def on_unknown(self, request_id: str | None) -> None:
        """Add to the record what is known of the lost response."""
        self._is_in_flight = False
        try:
            self._write(request_id=request_id)
        except ImsRecordError as error:
            self._log.warning("%s", error.problem)

    def write_again(self, job_id: str | None = None) -> None:
        """Write the record of a job once more if it is not in the store. A failure is logged, not raised.

        :param job_id: the job's id, if it is known from elsewhere
        """
        record = self.record
        if record is None or self._is_stored:
            return
        if record.job_id is None and job_id is not None:
            self._change(job_id=job_id)
        try:
            self._write_job()
        except ImsRecordError as error:
            self._log.warning("%s", error.problem)

    def _write_job(self) -> None:
        if self.record is None or self.record.job_id is None:
            return
        self._write()
        self._is_stored = self.is_durable

    def _put_back(self) -> None:
        value = self._earlier_value
        if value is _ABSENT:
            self._access("deleted", lambda store: store.delete(KEY))
        else:
            self._access("written", lambda store: self._set(store, value))

    def _persist(self, change: Callable[[], None], known: str, *, timeout: float) -> ImsRecordError | None:
        """Change the store, and try again until the time-out: Airflow's API server may be restarting.

        If it stays away, Airflow ends the process.

        :param change: the change, which may be made twice
        :param known: what only this attempt knows until then, for the log
        :param timeout: for how long, in seconds
        :return: why it failed, None if it did not
        """
        give_up = time.monotonic() + timeout
        pause = _FIRST_WRITE_PAUSE
        while True:
            try:
                change()
            except ImsRecordError as error:
                if self._is_stopped or time.monotonic() >= give_up:
                    return error
                self._log.warning("%s It is tried again in %.0f s. %s", error.problem, pause, known)
            else:
                return None
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_WRITE_PAUSE)

    def _follow(self, order: ResumeOrder, request: SubmissionRequest) -> None:
        """Make the job that people want resumed the one of this attempt, and delete the resume key.

        Both must succeed: if the key outlived a job that has failed, each retry would submit a new one.
        """
        record = resumed_record(order, self.record, request, self._attempt, now=time.time())
        self._log.info("The key %s says to resume job %s, not to start over", RESUME_KEY, record.job_id or "(unknown)")
        self.record = self._earlier = record
        self._earlier_value = record.to_value()
        self._write()
        self._is_stored = record.job_id is not None
        self._access("deleted", lambda store: store.delete(RESUME_KEY))
        self._order = None

    def _refuse_if_stopped(self) -> None:
        if self._is_stopped:
            raise ImsError("The task was killed before it had submitted its job. Nothing was sent.")

    def _token_for(self, request: SubmissionRequest) -> str:
        """Return a token that is the same for all attempts that want the same job.

        Known limitation: without a store, an attempt does not know that the job of the last one has failed and that a
        new one is wanted; then all attempts between two clears get the same job.
        """
        record = self.record
        if record is not None and record.job_id is None and record.client_token and record.digest == request.digest:
            return record.client_token
        return self._attempt.client_token(self._attempt.number if self.is_durable else 0)

    def _change(self, **changes: Any) -> None:
        if self.record is not None:
            self.record = replace(self.record, **changes)

    def _write(self, **changes: Any) -> None:
        self._change(**changes)
        record = self.record
        if record is None:
            return
        self._access("written", lambda store: self._set(store, record.to_value()))

    def _set(self, store: StateStore, value: Any) -> None:
        if _writes_to_object_storage():
            # Such a backend writes the object before Airflow refuses an attempt whose place was taken. An object of
            # its own is refused first, so that such an attempt does not overwrite the record of the live one.
            store.set(_FENCE_KEY, self._attempt.number, retention=self._retention)
        store.set(KEY, value, retention=self._retention)

    def _access(self, what: str, operation: Callable[[StateStore], Any]) -> Any:
        if self._store is None:
            return _ABSENT
        try:
            return operation(self._store)
        except Exception as error:
            raise ImsRecordError(
                f"The record of the task's submission could not be {what}: {type(error).__name__}: {error}.",
                advice="Nothing is submitted without it. Look at Airflow's API server; if the task was cleared or "
                "another attempt took over, do nothing.",
            ) from error


def _damaged(why: str) -> ImsRecordError:
    return ImsRecordError(
        f"The record of the task's submission cannot be read: {why}. There may be a job.",
        advice=f"Look at {KEY} in the task's state store, and at the logs of the task's attempts for a JobId. If you "
        f"delete the record and clear the task, the task submits a new job.",
        is_damaged=True,
    )


def _writes_to_object_storage() -> bool:
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - not needed when a DAG file is parsed

    return bool(conf.get("workers", "state_store_backend", fallback=""))
