"""The trace watermark families: a pair of streams, playlists of them that carry a text, and the extraction.

Parameters and responses are those of the vendor's API reference:
https://help.aliyun.com/zh/ims/developer-reference/api-ice-2020-11-09-querytraceabjoblist and its neighbours
``...-querytracem3u8joblist``, ``...-submittraceabjob``, ``...-submittracem3u8job`` and ``...-submittraceextractjob``.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
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
    new_id,
    params_choice,
    read_output,
    read_source,
)
from airflow_provider_ims.emulator.parameters import invalid_parameter, json_object

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.media import MediaObject

#: Shortest video in seconds that streams are made of, and that a watermark is found in.
MIN_DURATION = 180.0
M3U8_TYPES = ("v1", "v2")

_ACCOUNT = 1234567890123456
_RUNNING, _WORDS = words(["processing"], "success", "fail")


def _plan_streams(family: JobFamily, submission: Submission) -> JobPlan:
    source = read_source(family, submission)
    output = json_object(submission.parameters.required("Output"), "Output")
    directory = read_output(output, "Output", submission.region, ("OSS", "Media"))
    if output["Type"] == "OSS" and not directory.endswith("/"):
        raise invalid_parameter("Output", "Media must be a directory, with a slash at the end")
    trace_media_id = new_id()
    plan = JobPlan(
        family,
        family.outcome,
        source.media,
        source.found,
        submit_fields={"Data.TraceMediaId": trace_media_id},
        query_fields={"Data[0].TraceMediaId": trace_media_id},
    )
    if source.found is None:
        return replace(plan, outcome=NOT_FOUND)
    if source.found.duration < MIN_DURATION:
        return replace(plan, outcome=TOO_SHORT)
    streams = replace(source.found, media=trace_media_id, trace_streams=True, trace=None)
    return replace(plan, outputs=(streams,))


def _plan_playlist(family: JobFamily, submission: Submission) -> JobPlan:
    parameters = submission.parameters
    output = read_output(json_object(parameters.required("Output"), "Output"), "Output", submission.region)
    m3u8_type = params_choice(submission, "m3u8Type", M3U8_TYPES)
    media_id, text = parameters.required("TraceMediaId"), parameters.required("Trace")
    streams = submission.media_objects.get(media_id)
    if streams is None and media_id in submission.expected:
        return JobPlan(family, NOT_FOUND, media_id)
    if streams is None or not streams.trace_streams:
        raise invalid_parameter("TraceMediaId", "there are no streams with this id")
    playlist = replace(streams, media=output, trace=text, m3u8_type=m3u8_type, trace_streams=False)
    return JobPlan(family, family.outcome, media_id, streams, outputs=(playlist,))


def _plan_extraction(family: JobFamily, submission: Submission) -> JobPlan:
    source = read_source(family, submission)
    m3u8_type = params_choice(submission, "m3u8Type", M3U8_TYPES)
    # A media object that does not exist is accepted; its job finds nothing.
    text = None if source.found is None else _extracted_text(source.found, m3u8_type)
    return JobPlan(
        family=family if source.found is None else variant_of(family, source.found.variant),
        outcome=Outcome(JobState.FAILED) if text is None else Outcome(JobState.SUCCEEDED, text),
        media=source.media,
        source=source.found,
    )


def _extracted_text(source: MediaObject, m3u8_type: str) -> str | None:
    if source.trace is None or source.m3u8_type not in {None, m3u8_type} or source.duration < MIN_DURATION:
        return None
    return f"{source.trace}\n" if source.trailing_newline else source.trace


AB = JobFamily(
    name="TraceAbJob",
    submit_action="SubmitTraceAbJob",
    query_action="QueryTraceAbJobList",
    plan=_plan_streams,
    regions=REGIONS,
    required_parameters=("Input", "Output"),
    media_parameter="Input",
    user_data_limit=1024,
    list_path="Data",
    list_filters={"TraceMediaId": "Data[0].TraceMediaId"},
    job_id_path="Data.JobId",
    query_id_path="Data[0].JobId",
    state_path="Data[0].Status",
    running_words=_RUNNING,
    state_words=_WORDS,
    result_path="Data[0].Result",
    error_text_path="Data[0].Result",
    created_path="Data[0].GmtCreate",
    modified_path="Data[0].GmtModified",
    text_echoes={"Data[0].UserData": "UserData"},
    json_echoes={"Data[0].Input": "Input", "Data[0].Output": "Output", "Data[0].Level": "Level"},
    submit_base={"Message": "ok", "StatusCode": 200},
    base_response={"Data": [{"UserId": _ACCOUNT}], "Message": "ok", "StatusCode": 200},
    price=Decimal("1.50"),
    price_per=PricePer.MINUTE,
    outcome=Outcome(JobState.SUCCEEDED, '{"Code":"success","Message":"ok"}'),
)

M3U8 = JobFamily(
    name="TraceM3u8Job",
    submit_action="SubmitTraceM3u8Job",
    query_action="QueryTraceM3u8JobList",
    plan=_plan_playlist,
    regions=REGIONS,
    required_parameters=("Output",),
    list_path="Data",
    job_id_path="Data.JobId",
    query_id_path="Data[0].JobId",
    state_path="Data[0].Status",
    running_words=_RUNNING,
    state_words=_WORDS,
    created_path="Data[0].GmtCreate",
    modified_path="Data[0].GmtModified",
    text_echoes={"Data[0].Trace": "Trace", "Data[0].TraceMediaId": "TraceMediaId"},
    json_echoes={"Data[0].Output": "Output"},
    submit_base={"Message": "ok"},
    base_response={"Data": [{"UserId": _ACCOUNT}], "Message": "ok", "StatusCode": 200},
    price=Decimal("0.01"),
)

EXTRACT = JobFamily(
    name="TraceExtractJob",
    submit_action="SubmitTraceExtractJob",
    query_action="QueryTraceExtractJob",
    plan=_plan_extraction,
    regions=REGIONS,
    required_parameters=("Input",),
    media_parameter="Input",
    user_data_limit=1024,
    job_id_path="Data.JobId",
    result_path="Data.Trace",
    base_response={"Data": {}, "Message": "ok", "StatusCode": 200},
    price=Decimal("1.50"),
    price_per=PricePer.MINUTE,
)

FAMILIES = (AB, M3U8, EXTRACT)
