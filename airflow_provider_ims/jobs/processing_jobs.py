"""The families that convert, package, upload and index media, and workflows: one row of data each."""

from __future__ import annotations

import functools

from airflow_provider_ims.jobs.types import (
    CANCEL_STATES,
    FAILURE_STATES,
    RUNNING_STATES,
    SUCCESS_STATES,
    Form,
    JobType,
    Parameter,
    ResultKind,
    page,
)

_INPUT = Parameter("Input", "input_media", Form.MEDIA, is_needed=True)
_NAME = Parameter("Name", "job_name")
_SCHEDULE_CONFIG = Parameter("ScheduleConfig", "schedule_config", Form.JSON)
_USER_DATA = Parameter("UserData", "user_data", Form.USER_DATA)

MEDIA_CONVERT = JobType(
    name="MediaConvertJob",
    submit_action="SubmitMediaConvertJob",
    query_action="GetMediaConvertJob",
    documentation=page("GetMediaConvertJob"),
    job_id_path="Job.JobId",
    parameters=(
        Parameter("Config", "config", Form.JSON, is_needed=True),
        Parameter("PipelineId", "pipeline_id"),
        _USER_DATA,
    ),
    takes_client_token=True,
    result_path="Job.{OutputDetails: OutputDetails, OutputGroupDetails: OutputGroupDetails}",
    result_name="outputs",
    state_path="Job.State",
    # The query documents Complete and Error, the submission Success and Failed. An output may be skipped: assumed to be
    # no failure.
    success_states=SUCCESS_STATES | {"skipped"},
    running_states=RUNNING_STATES | {"scheduled"},
    code_path="Job.Code",
    message_path="Job.Message",
    parts_path="Job.[OutputDetails, OutputGroupDetails, OutputGroupDetails[].Outputs[]][]",
)
# The vendor discontinued it on 2025-12-31.
TRANSCODE = JobType(
    name="TranscodeJob",
    submit_action="SubmitTranscodeJob",
    query_action="GetTranscodeJob",
    documentation=page("GetTranscodeJob"),
    job_id_path="TranscodeParentJob.ParentJobId",
    parameters=(
        Parameter("InputGroup", "input_group", Form.JSON_LIST, is_needed=True),
        Parameter("OutputGroup", "output_group", Form.JSON_LIST, is_needed=True),
        _NAME,
        _SCHEDULE_CONFIG,
        _USER_DATA,
    ),
    user_data_limit=512,
    takes_client_token=True,
    query_parameter="ParentJobId",
    result_path="TranscodeParentJob.TranscodeJobList",
    result_name="outputs",
    # Success means that all parts succeeded on the page of the query, and that one did on that of the submission.
    state_path="TranscodeParentJob.Status",
    cancel_states=CANCEL_STATES | {"deleted"},
    parts_path="TranscodeParentJob.TranscodeJobList",
)
SNAPSHOT = JobType(
    name="SnapshotJob",
    submit_action="SubmitSnapshotJob",
    query_action="GetSnapshotJob",
    documentation=page("GetSnapshotJob"),
    job_id_path="JobId",
    subject_parameter="Input",
    parameters=(
        _INPUT,
        Parameter("Output", "output_media", Form.OBJECT, is_needed=True),
        Parameter("TemplateConfig", "template_config", Form.JSON, is_needed=True),
        _NAME,
        _SCHEDULE_CONFIG,
        _USER_DATA,
    ),
    result_path="SnapshotJob.{Count: Count, Output: Output}",
    result_name="snapshots",
    state_path="SnapshotJob.Status",
    code_path="SnapshotJob.Code",
    message_path="SnapshotJob.Message",
)
DYNAMIC_IMAGE = JobType(
    name="DynamicImageJob",
    submit_action="SubmitDynamicImageJob",
    query_action="GetDynamicImageJob",
    documentation=page("GetDynamicImageJob"),
    job_id_path="JobId",
    subject_parameter="Input",
    result_path="DynamicImageJob.OutputUrl",
    result_name="output_url",
    state_path="DynamicImageJob.Status",
    code_path="DynamicImageJob.Code",
    message_path="DynamicImageJob.Message",
)
MEDIA_INFO = JobType(
    name="MediaInfoJob",
    submit_action="SubmitMediaInfoJob",
    query_action="GetMediaInfoJob",
    documentation=page("GetMediaInfoJob"),
    job_id_path="MediaInfoJob.JobId",
    subject_parameter="Input",
    parameters=(
        _INPUT,
        _NAME,
        _SCHEDULE_CONFIG,
        _USER_DATA,
    ),
    result_path="MediaInfoJob.MediaInfoProperty",
    result_name="media_info",
    state_path="MediaInfoJob.Status",
)
PACKAGE = JobType(
    name="PackageJob",
    submit_action="SubmitPackageJob",
    query_action="GetPackageJob",
    documentation=page("GetPackageJob"),
    job_id_path="JobId",
    result_path="PackageJob.OutputUrl",
    result_name="output_url",
    # The query documents the example Init only; the filter of the list has Success and Fail.
    state_path="PackageJob.Status",
    code_path="PackageJob.Code",
    message_path="PackageJob.Message",
)
# The "job" is the asset, and its name the id. It has no state of its own: each endpoint has one.
VOD_PACKAGING_ASSET = JobType(
    name="VodPackagingAsset",
    submit_action="CreateVodPackagingAsset",
    query_action="GetVodPackagingAsset",
    documentation=page("GetVodPackagingAsset"),
    job_id_path="Asset.AssetName",
    subject_parameter="AssetName",
    takes_user_data=False,
    query_parameter="AssetName",
    result_path="Asset.EgressEndpoints[].{ConfigurationName: ConfigurationName, Url: Url}",
    result_name="endpoints",
    state_path="Asset.EgressEndpoints[0].Status",
    success_states=frozenset({"playable"}),
    parts_path="Asset.EgressEndpoints",
)
# The vendor documents no state but the example Normal: success. The others are assumed to be those of other families,
# and of videos in its product VOD, whose page it names.
_upload = functools.partial(
    JobType,
    query_action="GetUrlUploadInfos",
    documentation=page("GetUrlUploadInfos"),
    query_parameter="JobIds",
    state_path="URLUploadInfoList[0].Status",
    success_states=SUCCESS_STATES | {"normal"},
    failure_states=FAILURE_STATES | {"uploadfail"},
    running_states=RUNNING_STATES | {"pending", "uploading"},
    code_path="URLUploadInfoList[0].ErrorCode",
    message_path="URLUploadInfoList[0].ErrorMessage",
    regions=frozenset({"cn-shanghai", "cn-beijing", "cn-shenzhen"}),
)
# One submission creates a job for each URL: the ids, with commas, are one id for us as they are for the query, which
# takes ten at most; the submission would take twenty URLs. An id that the query does not find keeps the whole running.
MEDIA_UPLOAD = _upload(
    name="UploadMediaByURL",
    submit_action="UploadMediaByURL",
    job_id_path="join(',', UploadJobs[].JobId)",
    parameters=(
        Parameter("UploadURLs", "upload_urls", Form.URLS, is_needed=True, limits=(1, 10)),
        Parameter("UploadTargetConfig", "upload_target_config", Form.JSON),
        Parameter("MediaMetaData", "media_metadata", Form.JSON_LIST),
        _USER_DATA,
    ),
    result_path="URLUploadInfoList[].MediaId",
    result_name="media_ids",
    parts_path="[URLUploadInfoList, NonExists][]",
)
STREAM_UPLOAD = _upload(
    name="UploadStreamByURL",
    submit_action="UploadStreamByURL",
    job_id_path="JobId",
    subject_parameter="MediaId",
    result_path="URLUploadInfoList[0].MediaId",
    result_name="media_id",
)
# No job to wait for: the response has the id of the asset. The vendor calls the registration asynchronous, of two or
# three seconds, in which GetMediaInfo may not have the information about the file yet.
MEDIA_REGISTRATION = JobType(
    name="RegisterMediaInfo",
    submit_action="RegisterMediaInfo",
    query_action=None,
    documentation=page("RegisterMediaInfo"),
    job_id_path="MediaId",
    subject_parameter="InputURL",
    parameters=(
        Parameter("InputURL", "input_url", Form.SOURCE, is_needed=True),
        Parameter("Overwrite", "overwrite", Form.SWITCH),
        Parameter("MediaType", "media_type", Form.CHOICE, choices=("image", "video", "audio", "text")),
        Parameter(
            "BusinessType",
            "business_type",
            Form.CHOICE,
            choices=("subtitles", "font", "watermark", "opening", "ending", "general"),
        ),
        Parameter("Title", "title", limits=(None, 128)),
        Parameter("Description", "description", limits=(None, 1024)),
        Parameter("CoverURL", "cover_url", limits=(None, 128)),
        Parameter("MediaTags", "media_tags"),
        Parameter("CateId", "cate_id", Form.WHOLE_NUMBER, limits=(0, None)),
        Parameter("WorkflowId", "workflow_id"),
        Parameter("ReferenceId", "reference_id", limits=(6, 64)),
        Parameter("RegisterConfig", "register_config", Form.JSON),
        Parameter("SmartTagTemplateId", "smart_tag_template_id"),
        _USER_DATA,
    ),
    user_data_limit=1024,
    takes_client_token=True,
    result_kind=ResultKind.NONE,
    result_name="media_id",
)
# The query finds media of the default search library only: for another one it needs SearchLibName. Each index of the
# media has a state.
MEDIA_INDEX = JobType(
    name="MediaIndexJob",
    submit_action="InsertMediaToSearchLib",
    query_action="QueryMediaIndexJob",
    documentation=page("QueryMediaIndexJob"),
    job_id_path="MediaId",
    subject_parameter="Input",
    takes_user_data=False,
    query_parameter="MediaId",
    result_path="IndexJobInfoList",
    result_name="indexes",
    state_path="IndexJobInfoList[0].Status",
    code_path="Code",
    parts_path="IndexJobInfoList",
)
# The form of ActivityResults and NodeResults depends on the workflow: they are not judged.
WORKFLOW = JobType(
    name="WorkflowTask",
    submit_action="StartWorkflow",
    query_action="GetWorkflowTask",
    documentation=page("GetWorkflowTask"),
    job_id_path="TaskId",
    subject_parameter="TaskInput",
    user_data_limit=512,
    query_parameter="TaskId",
    result_path="WorkflowTask.ActivityResults",
    result_name="activity_results",
    state_path="WorkflowTask.Status",
)
AI_WORKFLOW = JobType(
    name="AIWorkflowTask",
    submit_action="StartAIWorkflow",
    query_action="GetAIWorkflowTask",
    documentation=page("GetAIWorkflowTask"),
    job_id_path="TaskId",
    subject_parameter="WorkflowId",
    query_parameter="TaskId",
    result_path="WorkflowTask.Outputs",
    result_name="outputs",
    state_path="WorkflowTask.Status",
    failure_states=FAILURE_STATES | {"partial-succeeded"},
    cancel_states=CANCEL_STATES | {"stopped"},
    # It stops real-time tasks only: live streams and calls.
    cancel_action="StopAIWorkflowTask",
)

PROCESSING_JOBS = (
    *(MEDIA_CONVERT, TRANSCODE, SNAPSHOT, DYNAMIC_IMAGE, MEDIA_INFO, PACKAGE, VOD_PACKAGING_ASSET),
    *(MEDIA_UPLOAD, STREAM_UPLOAD, MEDIA_INDEX, WORKFLOW, AI_WORKFLOW),
)
