"""The copyright watermark families.

Parameters and responses are those of the vendor's API reference:
https://www.alibabacloud.com/help/en/ims/developer-reference/api-ice-2020-11-09-submitcopyrightextractjob
and its neighbours ``...-submitcopyrightjob``, ``...-querycopyrightextractjob`` and ``...-querycopyrightjoblist``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_ims.emulator.families.extraction import REGIONS, variant_of
from airflow_provider_ims.emulator.families.family import (
    JobFamily,
    JobPlan,
    JobState,
    Outcome,
    PricePer,
    Submission,
    words,
)
from airflow_provider_ims.emulator.families.inputs import (
    NOT_FOUND,
    TOO_SHORT,
    params_choice,
    read_output,
    read_source,
)
from airflow_provider_ims.emulator.parameters import json_object

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.media import MediaObject

#: Shortest video in seconds, by algorithm. v1 embeds in videos of three minutes or more; we assume the same for
#: extraction.
MIN_DURATION = {"v1": 180.0, "v2": 0.0}
ALGO_TYPES = tuple(MIN_DURATION)

_ACCOUNT = 1234567890123456

#: What the list of watermark jobs says of a job that has succeeded.
DONE = '{"Code":"success","Message":"ok"}'


def _plan_embedding(family: JobFamily, submission: Submission) -> JobPlan:
    parameters = submission.parameters
    source = read_source(family, submission)
    output = read_output(json_object(parameters.required("Output"), "Output"), "Output", submission.region)
    algo_type = params_choice(submission, "algoType", ALGO_TYPES)
    if source.found is None:
        return JobPlan(family, NOT_FOUND, source.media, algo_type=algo_type)
    if source.found.duration < MIN_DURATION[algo_type]:
        return JobPlan(family, TOO_SHORT, source.media, source.found, algo_type)
    marked = replace(source.found, media=output, watermark=parameters.required("Message"), algo_type=algo_type)
    return JobPlan(family, family.outcome, source.media, source.found, algo_type, outputs=(marked,))


def _plan_extraction(family: JobFamily, submission: Submission) -> JobPlan:
    source = read_source(family, submission)
    algo_type = params_choice(submission, "algoType", ALGO_TYPES)
    # A media object that does not exist is accepted; its job finds nothing.
    text = None if source.found is None else _extracted_text(source.found, algo_type)
    return JobPlan(
        family=family if source.found is None else variant_of(family, source.found.variant),
        outcome=Outcome(JobState.FAILED) if text is None else Outcome(JobState.SUCCEEDED, text),
        media=source.media,
        source=source.found,
        algo_type=algo_type,
    )


def _extracted_text(source: MediaObject, algo_type: str) -> str | None:
    if source.watermark is None or algo_type != source.algo_type or source.duration < MIN_DURATION[algo_type]:
        return None
    return f"{source.watermark}\n" if source.trailing_newline else source.watermark


_RUNNING, _WORDS = words(["processing"], "success", "fail")

EMBED = JobFamily(
    name="CopyrightJob",
    submit_action="SubmitCopyrightJob",
    query_action="QueryCopyrightJobList",
    plan=_plan_embedding,
    regions=REGIONS,
    required_parameters=("Input", "Message", "Output"),
    media_parameter="Input",
    user_data_limit=1024,
    list_path="Data",
    list_filters={"Level": "Data[0].Level"},
    job_id_path="Data.JobId",
    query_id_path="Data[0].JobId",
    state_path="Data[0].Status",
    running_words=_RUNNING,
    state_words=_WORDS,
    result_path="Data[0].Result",
    error_text_path="Data[0].Result",
    created_path="Data[0].GmtCreate",
    modified_path="Data[0].GmtModified",
    text_echoes={"Data[0].Message": "Message", "Data[0].UserData": "UserData"},
    json_echoes={"Data[0].Input": "Input", "Data[0].Output": "Output", "Data[0].Level": "Level"},
    submit_base={"Message": "ok", "StatusCode": 200},
    base_response={"Data": [{"UserId": _ACCOUNT}], "Message": "ok", "StatusCode": 200},
    price_per=PricePer.MINUTE,
    outcome=Outcome(JobState.SUCCEEDED, DONE),
)

EXTRACT = JobFamily(
    name="CopyrightExtractJob",
    submit_action="SubmitCopyrightExtractJob",
    query_action="QueryCopyrightExtractJob",
    plan=_plan_extraction,
    regions=REGIONS,
    required_parameters=("Input",),
    media_parameter="Input",
    user_data_limit=1024,
    job_id_path="Data.JobId",
    result_path="Data.Message",
    base_response={"Data": {}, "Message": "ok", "StatusCode": 200},
    price_per=PricePer.MINUTE,
)

FAMILIES = (EMBED, EXTRACT)
