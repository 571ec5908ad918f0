"""The job families of IMS: one row of data each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ims.exceptions import ImsConfigurationError
from airflow_provider_ims.jobs.types import JobType, ResultKind

if TYPE_CHECKING:
    from collections.abc import Mapping

COPYRIGHT_EXTRACT = JobType(
    name="CopyrightExtractJob",
    submit_action="SubmitCopyrightExtractJob",
    query_action="QueryCopyrightExtractJob",
    documentation="https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-querycopyrightextractjob",
    job_id_path="Data.JobId",
    subject_parameter="Input",
    result_kind=ResultKind.TEXT,
    result_path="Data.Message",
    result_name="watermark",
    code_path="StatusCode",
    message_path="Message",
    empty_result_option="no_watermark_after",
    regions=frozenset({"cn-shanghai", "cn-beijing"}),
)

JOB_TYPES: dict[str, JobType] = {job_type.name: job_type for job_type in (COPYRIGHT_EXTRACT,)}

DEFAULT_JOB_TYPE = COPYRIGHT_EXTRACT.name
"""The family that :class:`~airflow_provider_ims.sensors.job.ImsJobSensor` waits for by default."""


def find_job_type(job_type: str | JobType) -> JobType:
    """Return a job type by its name.

    :param job_type: the name, or the job type itself
    :raises ImsConfigurationError: if there is no such family
    """
    if isinstance(job_type, JobType):
        return job_type
    name: object = job_type  # a template may have made anything of it
    if not isinstance(name, str) or name not in JOB_TYPES:
        raise ImsConfigurationError(f"Unknown job type {name!r}. Known are: {', '.join(JOB_TYPES)}.")
    return JOB_TYPES[name]


def check_region(job_type: JobType, region: str) -> None:
    """Refuse a region that does not offer the family.

    :param job_type: the family
    :param region: region of the call
    :raises ImsConfigurationError: if the region does not offer it
    """
    if job_type.regions is not None and region not in job_type.regions:
        raise ImsConfigurationError(
            f"{job_type.name} is not offered in the region {region!r}. Use {' or '.join(sorted(job_type.regions))}; "
            f"the media must be there too."
        )


def check_job_id(job_type: JobType, job_id: object) -> None:
    """Refuse a value that cannot be the id of a job.

    :param job_type: the family
    :param job_id: the value
    :raises ImsConfigurationError: if it is not a text, or empty, or a template made it of nothing
    """
    if not isinstance(job_id, str) or job_id.strip().lower() in {"", "none", "null", "nan"}:
        raise ImsConfigurationError(f"job_id is {job_id!r}. Give the JobId of a {job_type.name}.")


def query_action(job_type: JobType) -> str:
    """Return the action that returns a job.

    :param job_type: the family
    :raises ImsConfigurationError: if IMS has none
    """
    if job_type.query_action is None:
        raise ImsConfigurationError(
            f"IMS has no action that queries a {job_type.name}: such jobs can be submitted, not waited for."
        )
    return job_type.query_action


def cancel_action(job_type: JobType, job_id: str) -> str:
    """Return the action that cancels a job.

    :param job_type: the family
    :param job_id: the job's id, for the message
    :raises ImsConfigurationError: if IMS has none
    """
    if job_type.cancel_action is None:
        raise ImsConfigurationError(f"IMS has no action that cancels a {job_type.name}: job {job_id} goes on.")
    return job_type.cancel_action


def find_subject(action: str, params: Mapping[str, Any]) -> str | None:
    """Return what a call of any action is about, for messages; None if that is not known.

    :param action: API operation
    :param params: its parameters
    """
    for job_type in JOB_TYPES.values():
        name = job_type.subject_parameter
        if action == job_type.submit_action and name is not None and name in params:
            return str(params[name])
    return f"job {params['JobId']}" if "JobId" in params else None
