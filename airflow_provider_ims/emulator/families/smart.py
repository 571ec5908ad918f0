"""The smart jobs: IProduction, and the families that share the query ``GetSmartHandleJob``.

Source: the request and response models of the official SDK, ``SubmitIProductionJobRequest`` and so on.
"""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

from airflow_provider_ims.emulator.families.family import (
    JobFamily,
    JobPlan,
    JobState,
    LengthUnit,
    Outcome,
    PricePer,
    Submission,
    words,
)
from airflow_provider_ims.emulator.families.inputs import (
    NOT_FOUND,
    asset_of,
    config_media,
    derived,
    new_id,
    plan_by_input,
    read_source,
)
from airflow_provider_ims.emulator.parameters import json_object


def _plan_iproduction(family: JobFamily, submission: Submission) -> JobPlan:
    source = read_source(family, submission)
    output = json_object(submission.parameters.required("Output"), "Output")
    fields = {"OutputFiles": [output.get("Media")], "OutputMediaIds": [], "OutputUrls": []}
    outcome = NOT_FOUND if source.is_missing else replace(family.outcome, fields=fields)
    return JobPlan(family, outcome, source.media, source.found)


def _plan_made(family: JobFamily, submission: Submission) -> JobPlan:
    """Plan a job that makes a media asset, and an object at the ``MediaURL`` of its output configuration."""
    source = read_source(family, submission)
    url = config_media(submission, "OutputConfig", ["MediaURL", "MediaUrl"])
    media_id = new_id()
    object_made = derived(source.found, url or media_id)
    made = (asset_of(object_made, media_id),) if url is None else (object_made, asset_of(object_made, media_id))
    fields = {"JobResult.MediaId": media_id} if url is None else {"JobResult.MediaId": media_id, "Output": url}
    return JobPlan(
        family,
        NOT_FOUND if source.is_missing else replace(family.outcome, fields=fields),
        source.media,
        source.found,
        outputs=() if source.is_missing else made,
        submit_fields={"MediaId": media_id} if family.name in _SUBMIT_RETURNS_MEDIA_ID else {},
    )


_SUBMIT_RETURNS_MEDIA_ID = ("AudioProduceJob", "AvatarVideoJob")
_RUNNING, _WORDS = words(["Created", "Executing"], "Finished", "Failed")
_IPRODUCTION_RUNNING, _IPRODUCTION_WORDS = words(["Queuing", "Analyzing"], "Success", "Fail")

IPRODUCTION = JobFamily(
    name="IProductionJob",
    submit_action="SubmitIProductionJob",
    query_action="QueryIProductionJob",
    cancel_action="CancelIProductionJob",
    plan=_plan_iproduction,
    required_parameters=("FunctionName", "Input", "Output"),
    media_parameter="Input",
    user_data_limit=256,
    user_data_unit=LengthUnit.CHARACTERS,
    query_id_path="JobId",
    state_path="Status",
    running_words=_IPRODUCTION_RUNNING,
    state_words=_IPRODUCTION_WORDS,
    result_path="Result",
    text_echoes={"FunctionName": "FunctionName", "JobParams": "JobParams", "Name": "Name", "UserData": "UserData"},
    json_echoes={"Input": "Input", "Output": "Output"},
    price=Decimal("0.80"),
    outcome=Outcome(JobState.SUCCEEDED, '{"Code":"Success"}'),
)

ASR = JobFamily(
    name="ASRJob",
    submit_action="SubmitASRJob",
    query_action="GetSmartHandleJob",
    plan=plan_by_input,
    media_parameter="InputFile",
    media_types=(),
    submit_state_path="State",
    query_id_path="JobId",
    state_path="State",
    running_words=_RUNNING,
    state_words=_WORDS,
    result_path="JobResult.AiResult",
    code_path="ErrorCode",
    message_path="ErrorMessage",
    text_echoes={
        "UserData": "UserData",
        "SmartJobInfo.Title": "Title",
        "SmartJobInfo.Description": "Description",
        "SmartJobInfo.InputConfig.InputFile": "InputFile",
    },
    base_response={"SmartJobInfo": {"JobType": "ASR"}},
    submit_base={},
    price=Decimal("0.20"),
    price_per=PricePer.MINUTE,
    outcome=Outcome(JobState.SUCCEEDED, json.dumps([{"content": "Hello.", "from": 0.0, "to": 1.5}])),
)

_SMART = replace(
    ASR,
    media_parameter=None,
    submit_state_path=None,
    text_echoes={
        "UserData": "UserData",
        "SmartJobInfo.Title": "Title",
        "SmartJobInfo.Description": "Description",
    },
    price_per=PricePer.JOB,
)

AUDIO_PRODUCE = replace(
    _SMART,
    name="AudioProduceJob",
    submit_action="SubmitAudioProduceJob",
    plan=_plan_made,
    required_parameters=("EditingConfig", "InputConfig", "OutputConfig"),
    user_data_limit=512,
    submit_state_path="State",
    result_path=None,
    base_response={"SmartJobInfo": {"JobType": "AudioProduce"}},
    price=Decimal("0.15"),
    outcome=Outcome(JobState.SUCCEEDED),
)

TEXT_GENERATE = replace(
    _SMART,
    name="TextGenerateJob",
    submit_action="SubmitTextGenerateJob",
    required_parameters=("GenerateConfig",),
    user_data_limit=512,
    base_response={"SmartJobInfo": {"JobType": "TextGenerate"}},
    price=Decimal("0.25"),
    outcome=Outcome(JobState.SUCCEEDED, json.dumps({"texts": ["A title."]})),
)

DYNAMIC_CHART = replace(
    _SMART,
    name="DynamicChartJob",
    submit_action="SubmitDynamicChartJob",
    plan=_plan_made,
    regions=("cn-shanghai",),
    required_parameters=("ChartType", "Input", "OutputConfig"),
    result_path=None,
    base_response={"SmartJobInfo": {"JobType": "DynamicChart"}},
    price=Decimal("0.35"),
    outcome=Outcome(JobState.SUCCEEDED),
)

AVATAR_VIDEO = replace(
    _SMART,
    name="AvatarVideoJob",
    submit_action="SubmitAvatarVideoJob",
    plan=_plan_made,
    result_path="JobResult.AiResult",
    base_response={"SmartJobInfo": {"JobType": "AvatarVideo"}},
    price=Decimal("4.00"),
    outcome=Outcome(JobState.SUCCEEDED, json.dumps({"subtitleClips": []})),
)

HIGHLIGHT_EXTRACTION = replace(
    _SMART,
    name="HighlightExtractionJob",
    submit_action="SubmitHighlightExtractionJob",
    body_parameters=("InputConfig",),
    client_token=True,
    base_response={"SmartJobInfo": {"JobType": "HighlightExtraction"}},
    price=Decimal("1.20"),
    outcome=Outcome(JobState.SUCCEEDED, json.dumps({"highlights": [{"start": 0, "end": 5}]})),
)

SEGMENTATION = replace(
    _SMART,
    name="SegmentationJob",
    submit_action="SubmitSegmentationJob",
    body_parameters=("InputConfig",),
    user_data_limit=512,
    client_token=True,
    base_response={"SmartJobInfo": {"JobType": "Segmentation"}},
    price=Decimal("0.60"),
    outcome=Outcome(JobState.SUCCEEDED, json.dumps({"segments": [{"start": 0, "end": 5}]})),
)

VIDEO_TRANSLATION = replace(
    _SMART,
    name="VideoTranslationJob",
    submit_action="SubmitVideoTranslationJob",
    plan=_plan_made,
    media_parameter="InputConfig.Video",
    user_data_limit=512,
    client_token=True,
    job_id_path="Data.JobId",
    result_path="JobResult.AiResult",
    base_response={"SmartJobInfo": {"JobType": "VideoTranslation"}},
    submit_base={"Success": True},
    price=Decimal("5.00"),
    price_per=PricePer.MINUTE,
    outcome=Outcome(JobState.SUCCEEDED, json.dumps({"targetLanguage": "en"})),
)

FAMILIES = (
    IPRODUCTION,
    ASR,
    AUDIO_PRODUCE,
    TEXT_GENERATE,
    DYNAMIC_CHART,
    AVATAR_VIDEO,
    HIGHLIGHT_EXTRACTION,
    SEGMENTATION,
    VIDEO_TRANSLATION,
)
