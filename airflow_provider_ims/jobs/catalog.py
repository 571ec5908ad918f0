"""The job families of IMS together: which there are, and what a task may do with each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ims.exceptions import ImsConfigurationError
from airflow_provider_ims.jobs.ai_jobs import AI_JOBS, DNA, SMART_TAG
from airflow_provider_ims.jobs.editing_jobs import EDITING_JOBS, MEDIA_PRODUCING
from airflow_provider_ims.jobs.media import media_text
from airflow_provider_ims.jobs.processing_jobs import (
    MEDIA_CONVERT,
    MEDIA_INFO,
    MEDIA_REGISTRATION,
    MEDIA_UPLOAD,
    PROCESSING_JOBS,
    SNAPSHOT,
    TRANSCODE,
)
from airflow_provider_ims.jobs.types import JobType
from airflow_provider_ims.jobs.watermark_jobs import (
    COPYRIGHT,
    COPYRIGHT_EXTRACT,
    TRACE_AB,
    TRACE_EXTRACT,
    TRACE_M3U8,
    WATERMARK_JOBS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# What has an operator of its own: families, and an action that creates no job, which is not among JOB_TYPES.
__all__ = [
    "COPYRIGHT",
    "COPYRIGHT_EXTRACT",
    "DNA",
    "MEDIA_CONVERT",
    "MEDIA_INFO",
    "MEDIA_PRODUCING",
    "MEDIA_REGISTRATION",
    "MEDIA_UPLOAD",
    "SMART_TAG",
    "SNAPSHOT",
    "TRACE_AB",
    "TRACE_EXTRACT",
    "TRACE_M3U8",
    "TRANSCODE",
]

JOB_TYPES: dict[str, JobType] = {
    job_type.name: job_type for job_type in (*WATERMARK_JOBS, *PROCESSING_JOBS, *EDITING_JOBS, *AI_JOBS)
}

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
    if isinstance(name, str) and name in JOB_TYPES:
        return JOB_TYPES[name]
    nearest = _nearest_names(name) if isinstance(name, str) else []
    hint = (
        f"Do you mean {' or '.join(filter(None, (', '.join(nearest[:-1]), nearest[-1])))}?"
        if nearest
        else f"Give the name of one of the {len(JOB_TYPES)} families, such as {DEFAULT_JOB_TYPE}."
    )
    raise ImsConfigurationError(f"Unknown job type {name!r:.80}. {hint}")


def _nearest_names(text: str) -> list[str]:
    """Return the families whose name or submit action is like a text in any case, the nearest first."""
    import difflib  # noqa: PLC0415 - for this error only

    known = {key.lower(): job.name for job in JOB_TYPES.values() for key in (job.submit_action, job.name)}
    wanted = text.strip().lower()
    if wanted in known:
        return [known[wanted]]
    parts = [key for key in known if len(wanted) >= _SHORTEST_PART and wanted in key]
    similar = difflib.get_close_matches(wanted, known, n=2 * _MOST_NAMES)
    return list(dict.fromkeys(known[key] for key in (parts or similar)))[:_MOST_NAMES]


_MOST_NAMES = 3
_SHORTEST_PART = 3


def check_region(job_type: JobType, region: str) -> None:
    """Refuse a region that does not offer the family.

    :param job_type: the family
    :param region: region of the call
    :raises ImsConfigurationError: if the region does not offer it
    """
    if job_type.regions is not None and region not in job_type.regions:
        # Not every family works on media that is there already.
        media = "" if job_type.subject_parameter is None else "; the media must be there too"
        raise ImsConfigurationError(
            f"{job_type.name} is not offered in the region {region!r}. Use {' or '.join(sorted(job_type.regions))}"
            f"{media}."
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


def cancel_action(job_type: JobType) -> str:
    """Return the action that cancels a job.

    :param job_type: the family
    :raises ImsConfigurationError: if IMS has none
    """
    if job_type.cancel_action is None:
        raise ImsConfigurationError(f"IMS has no action that cancels a {job_type.name}: a submitted job goes on.")
    return job_type.cancel_action


def body_parameters_of(action: str) -> frozenset[str]:
    """Return the parameters of an action that travel in the form body; none if the action submits no job.

    :param action: API operation
    """
    found = (job_type.body_parameters for job_type in JOB_TYPES.values() if job_type.submit_action == action)
    return next(found, frozenset())


def find_subject(action: str, params: Mapping[str, Any]) -> str | None:
    """Return what a call of any action is about, for messages; None if that is not known.

    :param action: API operation
    :param params: its parameters
    """
    for job_type in (*JOB_TYPES.values(), MEDIA_REGISTRATION):
        name = job_type.subject_parameter
        if action == job_type.submit_action and name is not None and name in params:
            return media_text(params[name])
    return f"job {params['JobId']}" if "JobId" in params else None
