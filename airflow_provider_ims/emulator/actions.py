"""The API actions: which ones exist, and what the service does for each."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.emulator.errors import ApiError
from airflow_provider_ims.emulator.families.family import (
    RUNNING,
    JobFamily,
    JobPlan,
    LengthUnit,
    Submission,
    response,
)
from airflow_provider_ims.emulator.parameters import Parameters, invalid_parameter
from airflow_provider_ims.emulator.service import Job, Service, UnknownJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

VERSION = "2020-11-09"


def find_operation(service: Service, action: str) -> Callable[[Parameters], dict[str, Any]] | None:
    """Return the function that carries out an action, None if the service does not know the action.

    :return: a function from the parameters of a request to the body of the response, without its RequestId. It raises
        :class:`ApiError` if the service refuses the request.
    """
    families = service.families.values()
    if submitting := [family for family in families if family.submit_action == action]:
        return partial(_submit, service, submitting[0])  # Two families never share it.
    if queried := [family for family in families if family.query_action == action]:
        return partial(_list if queried[0].list_path is not None else _query, service, action, queried)
    if cancelling := [family for family in families if family.cancel_action == action]:
        return partial(_cancel, service, cancelling)
    return None


def _submit(service: Service, family: JobFamily, sent: Parameters) -> dict[str, Any]:
    _check_region(service.region, family.submit_action, [family])
    parameters = sent.placed(family.body_parameters)
    for name in family.required_parameters:
        parameters.required(name)
    for names in family.alternatives:
        if not any(parameters.get(name) for name in names):
            raise ApiError(400, "MissingParameter", f"One of {', '.join(names)} is mandatory for this action.")
    _check_user_data(family, parameters.get("UserData"))
    jobs = service.repeated_jobs(family, parameters.get("ClientToken"))
    if not jobs:
        earlier_job = partial(service.latest_job_on, family)
        submission = Submission(parameters, service.region, service.media, service.expected_media(), earlier_job)
        plan = family.plan(family, submission)
        jobs = [_create_job(service, family, planned, parameters) for planned in (plan, *plan.siblings)]
    return _joined(family.submit_response(job.job_id, job.plan.submit_fields) for job in jobs)


def _create_job(service: Service, family: JobFamily, plan: JobPlan, parameters: Parameters) -> Job:
    plan = replace(plan, query_fields={**family.echoes(parameters), **plan.query_fields})
    if (chosen := service.outcomes.get(family.name)) is not None:
        plan = chosen.applied_to(plan)
    return service.create_job(plan, parameters.get("UserData"), parameters.get("ClientToken"))


def _query(service: Service, action: str, families: Sequence[JobFamily], sent: Parameters) -> dict[str, Any]:
    _check_region(service.region, action, families)
    parameters = sent.placed()
    job = _find_job(service, families, parameters, families[0].query_parameter)
    if job is None:
        if (without_job := families[0].query_without_job) is not None:
            body = without_job(Submission(parameters, service.region, service.media))
            if body is not None:
                return body
        if service.settings.unknown_job is UnknownJob.SILENT:
            return families[0].query_response(RUNNING)
        raise _job_not_found()
    job.queries += 1
    return job.query_response(service.clock.now())


def _list(service: Service, action: str, families: Sequence[JobFamily], sent: Parameters) -> dict[str, Any]:
    """Return the jobs that a query names; all jobs, the newest first, if it names none."""
    _check_region(service.region, action, families)
    family, parameters = families[0], sent.placed()
    ids = _split(parameters.get(family.query_parameter))
    filters = {path: values for name, path in family.list_filters.items() if (values := _split(parameters.get(name)))}
    if family.list_needs_filter and not ids and not filters:
        parameters.required(family.query_parameter)
    if ids:
        found = {job_id: service.find_job(families, job_id) for job_id in dict.fromkeys(ids)}
        jobs = [job for job in found.values() if job is not None]
        missing = [job_id for job_id, job in found.items() if job is None]
    else:
        jobs = [
            job
            for job in service.jobs_of(families)
            if all(str(job.plan.query_fields.get(path)) in values for path, values in filters.items())
        ]
        missing = []
    now = service.clock.now()
    for job in jobs:
        job.queries += 1
    empty = {**response(family.base_response, []), str(family.list_path): []}
    body = _joined([empty, *(job.query_response(now) for job in jobs)])
    return response(body, [(family.missing_path, missing)])


def _cancel(service: Service, families: Sequence[JobFamily], sent: Parameters) -> dict[str, Any]:
    family = families[0]
    job = _find_job(service, families, sent.placed(), family.cancel_parameter or family.query_parameter)
    if job is None:
        raise _job_not_found()
    now = service.clock.now()
    if job.is_done(now):
        raise ApiError(400, "InvalidJobStatus", "The specified job has ended and cannot be cancelled.")
    word = job.word(now)
    if job.family.cancel_word not in {None, word}:
        raise ApiError(
            400,
            "InvalidJobStatus",
            f"The specified job is {word} and cannot be cancelled, only {job.family.cancel_word}.",
        )
    job.cancel(now)
    return job.family.cancel_response(job.job_id)


def _find_job(service: Service, families: Sequence[JobFamily], parameters: Parameters, default_name: str) -> Job | None:
    """Return the job of a query or cancellation, None if no family of the action has such a job."""
    # Families that share an action can name the job id differently.
    names = [family.query_parameter for family in families if parameters.get(family.query_parameter)]
    name = default_name if parameters.get(default_name) or not names else names[0]
    return service.find_job(families, parameters.required(name))


def _split(text: str | None) -> list[str]:
    return [item for item in (text or "").split(",") if item]


def _joined(bodies: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return one response of several: their lists one after the other, all else from the first."""
    joined, *others = bodies
    for body in others:
        for name, value in body.items():
            if isinstance(value, list):
                joined[name] = [*joined.get(name, []), *value]
    return joined


def _check_user_data(family: JobFamily, user_data: str | None) -> None:
    limit, unit = family.user_data_limit, family.user_data_unit
    if user_data is None or limit is None:
        return
    if (len(user_data) if unit is LengthUnit.CHARACTERS else len(user_data.encode())) > limit:
        raise invalid_parameter("UserData", f"it must not be longer than {limit} {unit}")


def _job_not_found() -> ApiError:
    return ApiError(404, "JobNotFound", "The specified job does not exist.")


def _check_region(region: str, action: str, families: Sequence[JobFamily]) -> None:
    offered = [family.regions for family in families if family.regions is not None]
    if len(offered) < len(families):
        return
    regions = sorted({name for names in offered for name in names})
    if region not in regions:
        raise ApiError(
            400,
            "UnsupportedOperation",
            f"{action} is not supported in region {region}, only in {' and '.join(regions)}.",
        )
