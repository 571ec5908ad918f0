"""The families that analyse media: smart tags, moderation, fingerprints, the index of a search library.

Source: the request and response models of the official SDK, ``SubmitSmarttagJobRequest`` and so on.
"""

from __future__ import annotations

from decimal import Decimal

from airflow_provider_ims.emulator.families.family import (
    JobFamily,
    JobPlan,
    JobState,
    Outcome,
    PricePer,
    Submission,
    words,
)
from airflow_provider_ims.emulator.families.inputs import NOT_FOUND, asset_of, new_id, plan_by_input, read_source


def _plan_media_id(family: JobFamily, submission: Submission) -> JobPlan:
    """Plan a job that is named by a media asset: a named one, or a new one for the object that it reads."""
    source = read_source(family, submission)
    media_id = submission.parameters.get("MediaId") or new_id()
    return JobPlan(
        family,
        NOT_FOUND if source.is_missing else family.outcome,
        source.media,
        source.found,
        job_id=media_id,
        created=() if source.found is None else (asset_of(source.found, media_id),),
    )


_RUNNING, _WORDS = words(["Submitted", "Processing"], "Success", "Fail")
_QUEUED_RUNNING, _QUEUED_WORDS = words(["Queuing", "Analysing"], "Success", "Fail")
_INDEX_RUNNING, _INDEX_WORDS = words(["Running"], "Success", "Fail")

SMARTTAG = JobFamily(
    name="SmarttagJob",
    submit_action="SubmitSmarttagJob",
    query_action="QuerySmarttagJob",
    plan=plan_by_input,
    media_parameter="Input",
    media_types=("OSS", "Media", "URL"),
    user_data_limit=1024,
    state_path="JobStatus",
    running_words=_RUNNING,
    state_words=_WORDS,
    result_path="Results.Result",
    text_echoes={"UserData": "UserData"},
    price=Decimal("0.70"),
    price_per=PricePer.MINUTE,
    outcome=Outcome(
        JobState.SUCCEEDED,
        [{"Type": "Meta", "Data": '{"title":"A film"}'}],
        fields={"Usages.Usage": [{"Type": "Video", "Quota": 1}]},
    ),
)

DNA = JobFamily(
    name="DNAJob",
    submit_action="SubmitDNAJob",
    query_action="QueryDNAJobList",
    cancel_action="CancelDNAJob",
    plan=plan_by_input,
    required_parameters=("DBId", "Input", "PrimaryKey"),
    media_parameter="Input",
    user_data_limit=128,
    query_parameter="JobIds",
    cancel_parameter="JobId",
    cancel_word="Queuing",
    cancel_id_path="JobId",
    list_path="JobList",
    query_id_path="JobList[0].Id",
    state_path="JobList[0].Status",
    running_words=_QUEUED_RUNNING,
    state_words=_QUEUED_WORDS,
    result_path="JobList[0].DNAResult",
    code_path="JobList[0].Code",
    message_path="JobList[0].Message",
    text_echoes={
        "JobList[0].DBId": "DBId",
        "JobList[0].PrimaryKey": "PrimaryKey",
        "JobList[0].Config": "Config",
        "JobList[0].UserData": "UserData",
    },
    json_echoes={"JobList[0].Input": "Input"},
    price=Decimal("0.30"),
    price_per=PricePer.MINUTE,
    outcome=Outcome(JobState.SUCCEEDED, "http://bucket.oss-cn-shanghai.aliyuncs.com/dna.json"),
)

AI_ANALYSIS = JobFamily(
    name="MediaAiAnalysisJob",
    submit_action="SubmitMediaAiAnalysisJob",
    query_action=None,
    plan=_plan_media_id,
    media_parameter="Input",
    media_types=("URL",),
    user_data_limit=512,
    job_id_path="MediaId",
    price=Decimal("0.90"),
)

CENSOR = JobFamily(
    name="MediaCensorJob",
    submit_action="SubmitMediaCensorJob",
    query_action="QueryMediaCensorJobDetail",
    plan=plan_by_input,
    media_parameter="Input",
    user_data_limit=128,
    query_id_path="MediaCensorJobDetail.JobId",
    state_path="MediaCensorJobDetail.State",
    running_words=_QUEUED_RUNNING,
    state_words=_QUEUED_WORDS,
    result_path="MediaCensorJobDetail.Suggestion",
    code_path="MediaCensorJobDetail.Code",
    message_path="MediaCensorJobDetail.Message",
    text_echoes={"MediaCensorJobDetail.UserData": "UserData"},
    price=Decimal("0.12"),
    price_per=PricePer.MINUTE,
    outcome=Outcome(
        JobState.SUCCEEDED,
        "pass",
        fields={
            "MediaCensorJobDetail.VensorCensorResult.CensorResults.CensorResult": [
                {"Label": "normal", "Rate": "99.9", "Scene": "porn", "Suggestion": "pass"}
            ]
        },
    ),
)

COGNITION = JobFamily(
    name="VideoCognitionJob",
    submit_action="SubmitVideoCognitionJob",
    query_action="QueryVideoCognitionJob",
    plan=plan_by_input,
    media_parameter="Input",
    media_types=("OSS", "Media", "URL"),
    user_data_limit=1024,
    state_path="JobStatus",
    running_words=_RUNNING,
    state_words=_WORDS,
    result_path="Results.result",
    text_echoes={"Params": "Params", "TemplateId": "TemplateId", "UserData": "UserData"},
    json_echoes={"Input": "Input"},
    price=Decimal("0.75"),
    price_per=PricePer.MINUTE,
    outcome=Outcome(JobState.SUCCEEDED, [{"Type": "ASR", "Data": "{}"}]),
)

SEARCH_INDEX = JobFamily(
    name="InsertMediaToSearchLib",
    submit_action="InsertMediaToSearchLib",
    query_action="QueryMediaIndexJob",
    plan=_plan_media_id,
    required_parameters=("Input",),
    media_parameter="Input",
    media_types=(),
    query_parameter="MediaId",
    job_id_path="MediaId",
    state_path="IndexJobInfoList[0].Status",
    running_words=_INDEX_RUNNING,
    state_words=_INDEX_WORDS,
    base_response={"Code": "200", "Success": "true", "IndexJobInfoList": [{"IndexType": "mm"}]},
    submit_base={"Code": "200", "Success": "true"},
    price=Decimal("0.40"),
)

VIDEO_AUDIT = JobFamily(
    name="AIAgentVideoAuditTask",
    submit_action="SubmitAIAgentVideoAuditTask",
    query_action=None,
    plan=plan_by_input,
    required_parameters=("AIAgentId", "CapturePolicies", "Input"),
    media_parameter="Input",
    media_types=("OSS",),
    price=Decimal("0.95"),
)

FAMILIES = (SMARTTAG, DNA, AI_ANALYSIS, CENSOR, COGNITION, SEARCH_INDEX, VIDEO_AUDIT)
