"""The copyright watermark families.

Parameters and responses are those of the vendor's API reference:
https://www.alibabacloud.com/help/en/ims/developer-reference/api-ice-2020-11-09-submitcopyrightextractjob
and its neighbours ``...-querycopyrightextractjob`` and ``...-querycopyrightjoblist``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.emulator.errors import ApiError, InvalidInputError
from airflow_provider_ims.emulator.families.family import (
    FixedAction,
    JobFamily,
    JobPlan,
    JobState,
    Outcome,
    PricePer,
    Submission,
)
from airflow_provider_ims.emulator.media import MediaObject, canonical_media, is_media_id
from airflow_provider_ims.emulator.parameters import invalid_parameter, json_object

if TYPE_CHECKING:
    from collections.abc import Mapping

REGIONS = ("cn-beijing", "cn-shanghai")

#: Shortest video in seconds, by algorithm. v1 embeds in videos of three minutes or more; we assume the same for
#: extraction.
MIN_DURATION = {"v1": 180.0, "v2": 0.0}
ALGO_TYPES = tuple(MIN_DURATION)

_MEDIA_TYPES = ("OSS", "Media")


def _plan(family: JobFamily, submission: Submission) -> JobPlan:
    parameters = submission.parameters
    media = _media(json_object(parameters.required("Input"), "Input"), submission.region)
    algo_type = json_object(parameters.get("Params") or "{}", "Params").get("algoType", "v1")
    if algo_type not in ALGO_TYPES:
        raise invalid_parameter("Params", f"algoType must be one of {', '.join(ALGO_TYPES)}")
    # A media object that does not exist is accepted; its job finds nothing.
    source = submission.media_objects.get(media)
    text = None if source is None else _extracted_text(source, algo_type)
    return JobPlan(
        family=family if source is None else VARIANTS[source.variant],
        outcome=Outcome(JobState.FAILED) if text is None else Outcome(JobState.SUCCEEDED, text),
        media=media,
        source=source,
        algo_type=algo_type,
    )


def _extracted_text(source: MediaObject, algo_type: str) -> str | None:
    if source.watermark is None or algo_type != source.algo_type or source.duration < MIN_DURATION[algo_type]:
        return None
    return f"{source.watermark}\n" if source.trailing_newline else source.watermark


def _media(value: Mapping[str, Any], region: str) -> str:
    for key in ("Type", "Media"):
        if not value.get(key):
            raise ApiError(400, "MissingParameter", f"Input.{key} is mandatory for this action.")
    media_type, media = value["Type"], value["Media"]
    if media_type not in _MEDIA_TYPES:
        raise invalid_parameter("Input", f"Type must be one of {', '.join(_MEDIA_TYPES)}")
    if not isinstance(media, str):
        raise invalid_parameter("Input", "Media must be a string")
    try:
        canonical = canonical_media(media, region)
    except InvalidInputError as error:
        raise invalid_parameter("Input", str(error)) from None
    if (media_type == "Media") is not is_media_id(canonical):
        raise invalid_parameter("Input", "Type OSS goes with the URL of an OSS object, Type Media with a media id")
    return canonical


EXTRACT = JobFamily(
    name="CopyrightExtractJob",
    submit_action="SubmitCopyrightExtractJob",
    query_action="QueryCopyrightExtractJob",
    plan=_plan,
    regions=REGIONS,
    required_parameters=("Input",),
    user_data_limit=1024,
    job_id_path="Data.JobId",
    result_path="Data.Message",
    base_response={"Data": {}, "Message": "ok", "StatusCode": 200},
    price_per=PricePer.MINUTE,
)


def _with_state(running: str, succeeded: str, failed: str) -> JobFamily:
    words = {JobState.RUNNING: running, JobState.SUCCEEDED: succeeded, JobState.FAILED: failed}
    return replace(EXTRACT, state_path="Data.Status", state_words=words)


#: How the queries of a job respond, by the variant of its media object. Only ``silent`` is documented. The others are
#: undocumented responses that a client should survive.
VARIANTS: Mapping[str, JobFamily] = {
    "silent": EXTRACT,
    "state_field": _with_state("Processing", "Success", "Fail"),
    "empty_success": _with_state("Processing", "Success", "Success"),
    "status_code": replace(
        EXTRACT, result_path=None, base_response={"Data": {}, "Message": "InternalError", "StatusCode": 500}
    ),
    "cancelled": replace(_with_state("Processing", "Canceled", "Canceled"), result_path=None),
    "unknown_word": _with_state("Pondering", "Pondering", "Pondering"),
}

#: The list holds embedding jobs, which are not emulated.
LIST = FixedAction("QueryCopyrightJobList", {"Data": [], "Message": "ok", "StatusCode": 200}, REGIONS)
