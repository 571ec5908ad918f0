"""The API actions: which parameters each accepts and what it answers.

A further action is a function and a row in :data:`ACTIONS`. Parameters and answers are those of the vendor's API
reference: https://www.alibabacloud.com/help/en/ims/developer-reference/api-ice-2020-11-09-submitcopyrightextractjob
and its neighbours ``...-querycopyrightextractjob`` and ``...-querycopyrightjoblist``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.emulator.errors import ApiError, InvalidInputError
from airflow_provider_ims.emulator.service import (
    ALGO_TYPES,
    Job,
    Service,
    UnknownJob,
    Variant,
    canonical_media,
    is_media_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VERSION = "2020-11-09"
WATERMARK_REGIONS = ("cn-beijing", "cn-shanghai")
MAX_USER_DATA_BYTES = 1024

_MEDIA_TYPES = ("OSS", "Media")


@dataclass(frozen=True, slots=True)
class _States:
    """What ``Data.Status`` says in a variant; None leaves the field out."""

    running: str | None = None
    found: str | None = None
    not_found: str | None = None
    tells_text: bool = True


_STATES: Mapping[Variant, _States] = {
    Variant.SILENT: _States(),
    Variant.STATE_FIELD: _States("Processing", "Success", "Fail"),
    Variant.EMPTY_SUCCESS: _States("Processing", "Success", "Success"),
    Variant.CANCELLED: _States("Processing", "Canceled", "Canceled", tells_text=False),
    Variant.UNKNOWN_WORD: _States("Pondering", "Pondering", "Pondering"),
}


def dispatch(service: Service, action: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Carry out an action that is in :data:`ACTIONS`.

    :return: the body of the answer, without its RequestId.
    :raises ApiError: if the service refuses.
    """
    if service.region not in WATERMARK_REGIONS:
        raise ApiError(
            400,
            "UnsupportedOperation",
            f"{action} is not supported in region {service.region}, only in {' and '.join(WATERMARK_REGIONS)}.",
        )
    return ACTIONS[action](service, parameters)


def _submit_copyright_extract_job(service: Service, parameters: Mapping[str, str]) -> dict[str, Any]:
    media = _media(_json_object(_required(parameters, "Input"), "Input"), service.region)
    algo_type = _json_object(parameters.get("Params") or "{}", "Params").get("algoType", "v1")
    if algo_type not in ALGO_TYPES:
        raise _invalid("Params", f"algoType must be one of {', '.join(ALGO_TYPES)}")
    user_data = parameters.get("UserData")
    if user_data is not None and len(user_data.encode()) > MAX_USER_DATA_BYTES:
        raise _invalid("UserData", f"it must not be longer than {MAX_USER_DATA_BYTES} bytes")
    job = service.create_job(media, algo_type, user_data, parameters.get("ClientToken"))
    return _ok({"JobId": job.job_id})


def _query_copyright_extract_job(service: Service, parameters: Mapping[str, str]) -> dict[str, Any]:
    job = service.jobs.get(_required(parameters, "JobId"))
    if job is None:
        if service.settings.unknown_job is UnknownJob.SILENT:
            return _ok({})
        raise ApiError(404, "JobNotFound", "The specified job does not exist.")
    job.queries += 1
    if job.variant is Variant.STATUS_CODE:
        return {"Data": {}, "Message": "InternalError", "StatusCode": 500}
    return _ok(_extract_data(job, service.clock.now()))


def _extract_data(job: Job, now: float) -> dict[str, str]:
    text = job.text(now)
    states = _STATES[job.variant]
    ended = states.not_found if text is None else states.found
    status = ended if job.is_done(now) else states.running
    data = {} if text is None or not states.tells_text else {"Message": text}
    return data if status is None else {**data, "Status": status}


def _query_copyright_job_list(_service: Service, _parameters: Mapping[str, str]) -> dict[str, Any]:
    # It lists embedding jobs, and the emulator has none.
    return _ok([])


#: Action name -> handler. A handler gets the state and the request's parameters and returns the answer's body.
ACTIONS: Mapping[str, Callable[[Service, Mapping[str, str]], dict[str, Any]]] = {
    "SubmitCopyrightExtractJob": _submit_copyright_extract_job,
    "QueryCopyrightExtractJob": _query_copyright_extract_job,
    "QueryCopyrightJobList": _query_copyright_job_list,
}


def _ok(data: object) -> dict[str, Any]:
    return {"Data": data, "Message": "ok", "StatusCode": 200}


def _required(parameters: Mapping[str, str], name: str) -> str:
    value = parameters.get(name)
    if not value:
        raise ApiError(400, f"Missing{name}", f"{name} is mandatory for this action.")
    return value


def _invalid(name: str, reason: str) -> ApiError:
    return ApiError(400, f"InvalidParameter.{name}", f"The specified parameter {name} is not valid: {reason}.")


def _json_object(text: str, name: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise _invalid(name, "it must be a JSON object")
    return value


def _media(value: Mapping[str, Any], region: str) -> str:
    for key in ("Type", "Media"):
        if not value.get(key):
            raise ApiError(400, "MissingParameter", f"Input.{key} is mandatory for this action.")
    media_type, media = value["Type"], value["Media"]
    if media_type not in _MEDIA_TYPES:
        raise _invalid("Input", f"Type must be one of {', '.join(_MEDIA_TYPES)}")
    if not isinstance(media, str):
        raise _invalid("Input", "Media must be a string")
    try:
        canonical = canonical_media(media, region)
    except InvalidInputError as error:
        raise _invalid("Input", str(error)) from None
    if (media_type == "Media") is not is_media_id(canonical):
        raise _invalid("Input", "Type OSS goes with the URL of an OSS object, Type Media with a media id")
    return canonical
