"""How people have a task resume a job after a clear, which otherwise starts over and pays for a new one.

They write the *resume key* into the state store of the task instance, with ``airflow ims resume`` or with Airflow's
REST API. The next attempt reads it, resumes the job and deletes the key. Data and texts only: no store, no clock.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_ims.exceptions import ImsConfigurationError, ImsRecordError
from airflow_provider_ims.jobs.catalog import check_job_id
from airflow_provider_ims.jobs.submission import SubmissionRecord

if TYPE_CHECKING:
    from airflow_provider_ims.jobs.submission import Attempt, SubmissionRequest
    from airflow_provider_ims.jobs.types import JobType

RESUME_KEY = "ims_resume"
"""The key in the state store. People write it: the name does not change without a changelog entry."""


@dataclass(frozen=True, slots=True)
class ResumeOrder:
    """What the resume key says.

    :param job_id: the job to resume; None for that of the record
    """

    job_id: str | None = None

    @classmethod
    def from_value(cls, value: object, job_type: JobType) -> ResumeOrder:
        """Read the value of the key: ``true`` for the job of the record, else a JobId.

        :param value: what is in the store
        :param job_type: the family of the job
        :raises ImsRecordError: if it is neither
        """
        if value is True:
            return cls()
        try:
            check_job_id(job_type, value)
        except ImsConfigurationError:
            raise ImsRecordError(
                f"The key {RESUME_KEY} in the task's state store is neither true nor a JobId. Nothing was submitted.",
                advice="Correct or delete the key, then clear the task.",
                is_damaged=True,
            ) from None
        return cls(str(value).strip())


def resumed_record(
    order: ResumeOrder, record: SubmissionRecord | None, request: SubmissionRequest, attempt: Attempt, *, now: float
) -> SubmissionRecord:
    """Return the record of the job that an attempt resumes, as if it had been submitted since the last clear.

    :param order: what the resume key says
    :param record: what is in the store, from before the last clear or after it; None for no record
    :param request: what the attempt would submit
    :param attempt: the attempt
    :param now: seconds since the epoch
    :raises ImsRecordError: if there is no record, or if its job is of another request
    """
    if order.job_id is None:
        if record is None:
            raise _refused("there is no record of a job", request, attempt, job_id=None)
        if record.digest != request.digest:
            raise _refused(
                f"job {record.job_id or '(not known)'} of its record belongs to another request (request digest "
                f"{record.digest}; this attempt's is {request.digest})",
                request,
                attempt,
                job_id=record.job_id,
            )
    current = SubmissionRecord.of(request, attempt, at=now)
    if record is None or not _is_of_job(record, order, request):
        return replace(current, job_id=order.job_id, origin="an unknown attempt: a person gave the JobId")
    return replace(
        current,
        at=record.at,
        client_token=record.client_token,
        job_id=order.job_id or record.job_id,
        request_id=record.request_id,
        unexpected_job_id=record.unexpected_job_id,
        origin=str(record),
        resumed_at=now,
    )


def _is_of_job(record: SubmissionRecord, order: ResumeOrder, request: SubmissionRequest) -> bool:
    """Whether time and RequestId of a record are those of the job to resume, not of another one."""
    if order.job_id is None or record.job_id == order.job_id:
        return True
    return record.job_id is None and record.digest == request.digest


def resume_command(attempt: Attempt, job_id: str | None = None) -> str:
    """Return the command that has a task resume a job after a clear.

    :param attempt: an attempt of the task instance
    :param job_id: the job; None for that of the record
    """
    dag_id, run_id, task_id, map_index = attempt.task
    mapped = [] if map_index < 0 else ["--map-index", str(map_index)]
    given = [] if job_id is None else ["--job-id", job_id]
    return shlex.join(["airflow", "ims", "resume", dag_id, run_id, task_id, *mapped, *given])


def _refused(why: str, request: SubmissionRequest, attempt: Attempt, *, job_id: str | None) -> ImsRecordError:
    return ImsRecordError(
        f"The key {RESUME_KEY} says to resume the job of the task's record, and {why}. Nothing was submitted for "
        f"{request.description}.",
        advice="Clear the task after you have deleted the key, which submits a new job, or after you have given the "
        f"JobId of the job to resume: {resume_command(attempt, job_id or 'JOB_ID')}",
        is_damaged=True,
    )
