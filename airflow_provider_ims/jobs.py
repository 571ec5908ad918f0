"""The job families of IMS as data, and what an answer of the service says of a job. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.exceptions import ImsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


class JobState(StrEnum):
    """The states of a job, whatever words its family uses for them."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"


@dataclass(frozen=True, slots=True)
class JobType:
    """One family of jobs.

    :param name: the family's name in IMS
    :param submit_action: API operation that creates a job
    :param query_action: API operation that asks for a job by ``JobId``
    :param job_id_path: JMESPath of the job's id in the answer to the submission
    :param result_path: JMESPath of the result in the answer to the query
    :param regions: regions that offer the family
    """

    name: str
    submit_action: str
    query_action: str
    job_id_path: str
    result_path: str
    regions: frozenset[str]


COPYRIGHT_EXTRACT = JobType(
    name="CopyrightExtractJob",
    submit_action="SubmitCopyrightExtractJob",
    query_action="QueryCopyrightExtractJob",
    job_id_path="Data.JobId",
    result_path="Data.Message",
    regions=frozenset({"cn-shanghai", "cn-beijing"}),
)

JOB_TYPES: Mapping[str, JobType] = {job_type.name: job_type for job_type in (COPYRIGHT_EXTRACT,)}


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that the service accepted.

    :param job_id: the job's id
    :param request_id: the service's id of the request
    :param response: the whole response body
    """

    job_id: str
    request_id: str | None
    response: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """What one query said of a job.

    :param job_id: the job's id
    :param state: see :class:`JobState`
    :param result: the result, None where the answer has none; for a watermark the text without the newline that the
        service may append
    :param request_id: the service's id of the request
    :param raw: the whole response body, fields that the vendor does not document included
    """

    job_id: str
    state: JobState
    result: str | None
    request_id: str | None
    raw: dict[str, Any] = field(repr=False)


def find_job_type(job_type: str | JobType) -> JobType:
    """Return a job type by its name.

    :raises ImsConfigurationError: if there is no such family
    """
    if isinstance(job_type, JobType):
        return job_type
    if job_type not in JOB_TYPES:
        raise ImsConfigurationError(f"Unknown job type {job_type!r}. Known are: {', '.join(JOB_TYPES)}.")
    return JOB_TYPES[job_type]


def check_region(job_type: JobType, region: str) -> None:
    """Refuse a region that does not offer the family.

    :raises ImsConfigurationError: if the region does not
    """
    if region not in job_type.regions:
        raise ImsConfigurationError(
            f"{job_type.name} is not offered in the region {region!r}. Use {' or '.join(sorted(job_type.regions))}; "
            f"the media must be there too."
        )


def submission(job_type: JobType, response: dict[str, Any]) -> Submission | None:
    """Read the answer to a submission; None if there is no id of a job in it."""
    job_id = _search(job_type.job_id_path, response)
    if not isinstance(job_id, str) or not job_id.strip():
        return None
    return Submission(job_id=job_id, request_id=request_id(response), response=response)


def snapshot(job_type: JobType, job_id: str, response: dict[str, Any]) -> JobSnapshot:
    """Read the answer to a query.

    The service keeps no state for extraction jobs: an answer without text means "running", "nothing found" or
    "failed", and the three cannot be told apart. So the text is the one sign of an end.
    """
    text = _search(job_type.result_path, response)
    found = isinstance(text, str) and bool(text.strip())
    return JobSnapshot(
        job_id=job_id,
        state=JobState.SUCCEEDED if found else JobState.RUNNING,
        result=text.removesuffix("\n") if found else None,
        request_id=request_id(response),
        raw=response,
    )


def request_id(response: Mapping[str, Any]) -> str | None:
    """Return the service's id of the request, None where the answer has none."""
    value = response.get("RequestId")
    return value if isinstance(value, str) and value else None


def _search(path: str, response: dict[str, Any]) -> Any:
    import jmespath  # noqa: PLC0415 - imported by calls, not by every parse of a DAG file

    return jmespath.search(path, response)
