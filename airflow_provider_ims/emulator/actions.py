"""The API actions: which ones exist, and what the service does for each."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.emulator.errors import ApiError
from airflow_provider_ims.emulator.families.catalog import FIXED_ACTIONS
from airflow_provider_ims.emulator.families.family import RUNNING, FixedAction, JobFamily, Submission
from airflow_provider_ims.emulator.parameters import Parameters, invalid_parameter
from airflow_provider_ims.emulator.service import Job, Service, UnknownJob

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VERSION = "2020-11-09"


def find_operation(service: Service, action: str) -> Callable[[Parameters], dict[str, Any]] | None:
    """Return the function that carries out an action, None if the service does not know the action.

    :return: a function from the parameters of a request to the body of the response, without its RequestId. It raises
        :class:`ApiError` if the service refuses the request.
    """
    if action in FIXED_ACTIONS:
        return partial(_fixed_response, service, FIXED_ACTIONS[action])
    families = service.families.values()
    if submitting := [family for family in families if family.submit_action == action]:
        return partial(_submit, service, submitting[0])  # Two families never share it.
    if queried := [family for family in families if family.query_action == action]:
        return partial(_query, service, queried)
    if cancelling := [family for family in families if family.cancel_action == action]:
        return partial(_cancel, service, cancelling)
    return None


def _fixed_response(service: Service, fixed: FixedAction, _parameters: Parameters) -> dict[str, Any]:
    _check_region(service.region, fixed.action, fixed.regions)
    return deepcopy(dict(fixed.response))


def _submit(service: Service, family: JobFamily, parameters: Parameters) -> dict[str, Any]:
    _check_region(service.region, family.submit_action, family.regions)
    for name in family.required_parameters:
        if name in family.body_parameters:
            parameters.required_in_body(name)
        else:
            parameters.required(name)
    user_data = parameters.get("UserData")
    limit = family.user_data_limit
    if user_data is not None and limit is not None and len(user_data.encode()) > limit:
        raise invalid_parameter("UserData", f"it must not be longer than {limit} bytes")
    plan = family.plan(family, Submission(parameters, service.region, service.media))
    job = service.create_job(plan, user_data, parameters.get("ClientToken"))
    return family.submit_response(job.job_id)


def _query(service: Service, families: Sequence[JobFamily], parameters: Parameters) -> dict[str, Any]:
    _check_region(service.region, families[0].query_action, families[0].regions)
    job = _find_job(service, families, parameters)
    if job is None:
        if service.settings.unknown_job is UnknownJob.SILENT:
            return families[0].query_response(RUNNING)
        raise _job_not_found()
    job.queries += 1
    return job.family.query_response(job.outcome(service.clock.now()))


def _cancel(service: Service, families: Sequence[JobFamily], parameters: Parameters) -> dict[str, Any]:
    job = _find_job(service, families, parameters)
    if job is None:
        raise _job_not_found()
    now = service.clock.now()
    if job.is_done(now):
        raise ApiError(400, "InvalidJobStatus", "The specified job has ended and cannot be cancelled.")
    job.cancel(now)
    return job.family.cancel_response()


def _find_job(service: Service, families: Sequence[JobFamily], parameters: Parameters) -> Job | None:
    """Return the job of a query or cancellation, None if no family of the action has such a job."""
    # Families that share an action can name the job id differently.
    family = next((family for family in families if parameters.get(family.query_parameter)), families[0])
    job = service.jobs.get(parameters.required(family.query_parameter))
    return job if job is not None and job.family.name in {family.name for family in families} else None


def _job_not_found() -> ApiError:
    return ApiError(404, "JobNotFound", "The specified job does not exist.")


def _check_region(region: str, action: str, regions: Sequence[str] | None) -> None:
    if regions is not None and region not in regions:
        raise ApiError(
            400,
            "UnsupportedOperation",
            f"{action} is not supported in region {region}, only in {' and '.join(regions)}.",
        )
