"""The families that edit and produce videos: one row of data each."""

from __future__ import annotations

import functools

from airflow_provider_ims.jobs.types import RUNNING_STATES, Form, JobType, Parameter, page

MEDIA_PRODUCING = JobType(
    name="MediaProducingJob",
    submit_action="SubmitMediaProducingJob",
    query_action="GetMediaProducingJob",
    documentation=page("GetMediaProducingJob"),
    job_id_path="JobId",
    subject_parameter="ProjectId",
    parameters=(
        Parameter("OutputMediaConfig", "output_media_config", Form.JSON, is_needed=True),
        Parameter("Timeline", "timeline", Form.JSON),
        Parameter("ProjectId", "project_id"),
        Parameter("TemplateId", "template_id"),
        Parameter("ClipsParam", "clips_param", Form.JSON, needed_with="template_id"),
        Parameter("OutputMediaTarget", "output_media_target", Form.CHOICE, choices=("oss-object", "vod-media", "S3")),
        Parameter("EditingProduceConfig", "editing_produce_config", Form.JSON),
        Parameter("MediaMetadata", "media_metadata", Form.JSON),
        Parameter("UserData", "user_data", Form.USER_DATA),
    ),
    exactly_one=("timeline", "project_id", "template_id"),
    body_parameters=frozenset({"Timeline"}),
    user_data_limit=512,
    takes_client_token=True,
    result_path="MediaProducingJob.{MediaId: MediaId, MediaURL: MediaURL, VodMediaId: VodMediaId}",
    result_name="media",
    state_path="MediaProducingJob.Status",
    code_path="MediaProducingJob.Code",
    message_path="MediaProducingJob.Message",
)
PROJECT_EXPORT = JobType(
    name="ProjectExportJob",
    submit_action="SubmitProjectExportJob",
    query_action="GetProjectExportJob",
    documentation=page("GetProjectExportJob"),
    job_id_path="JobId",
    subject_parameter="ProjectId",
    body_parameters=frozenset({"Timeline"}),
    result_path="ProjectExportJob.ExportResult",
    result_name="export_result",
    state_path="ProjectExportJob.Status",
    code_path="ProjectExportJob.Code",
    message_path="ProjectExportJob.Message",
)
LIVE_EDITING = JobType(
    name="LiveEditingJob",
    submit_action="SubmitLiveEditingJob",
    query_action="GetLiveEditingJob",
    documentation=page("GetLiveEditingJob"),
    job_id_path="JobId",
    subject_parameter="ProjectId",
    user_data_limit=512,
    result_path="LiveEditingJob.{MediaId: MediaId, MediaURL: MediaURL}",
    result_name="media",
    state_path="LiveEditingJob.Status",
    code_path="LiveEditingJob.Code",
    message_path="LiveEditingJob.Message",
)

# One query for all jobs of several parts. Finished says that the parts have ended, not how. Failed is on the page of
# the list only; Extend is JSON text with the error of the whole job.
_batch = functools.partial(
    JobType,
    query_action="GetBatchMediaProducingJob",
    documentation=page("GetBatchMediaProducingJob"),
    job_id_path="JobId",
    result_path="EditingBatchJob.SubJobList",
    result_name="sub_jobs",
    state_path="EditingBatchJob.Status",
    code_path="parse_json(EditingBatchJob.Extend).ErrorCode",
    message_path="parse_json(EditingBatchJob.Extend).ErrorMessage",
    parts_path="EditingBatchJob.SubJobList",
)

BATCH_PRODUCING = _batch(
    name="BatchMediaProducingJob",
    submit_action="SubmitBatchMediaProducingJob",
    body_parameters=frozenset({"EditingConfig", "InputConfig"}),
    takes_client_token=True,
)
SCENE_BATCH_EDITING = _batch(
    name="SceneBatchEditingJob",
    submit_action="SubmitSceneBatchEditingJob",
    subject_parameter="ProjectIds",
)
SCENE_MEDIA_SELECTION = _batch(
    name="SceneMediaSelectionJob",
    submit_action="SubmitSceneMediaSelectionJob",
    body_parameters=frozenset({"EditingConfig", "InputConfig"}),
    # JSON text, as the parameter MediaSelectResult of a SceneTimelineOrganizationJob takes it.
    result_path="EditingBatchJob.ExtendOutput",
    result_name="selection",
)
SCENE_TIMELINE_ORGANIZATION = _batch(
    name="SceneTimelineOrganizationJob",
    submit_action="SubmitSceneTimelineOrganizationJob",
    body_parameters=frozenset({"EditingConfig", "InputConfig"}),
    result_path="EditingBatchJob.SubJobList[].ProjectId",
    result_name="project_ids",
)
# The query action of these two is inferred: its page lists their types of jobs, theirs name no query.
SCREEN_MEDIA_HIGHLIGHTS = _batch(
    name="ScreenMediaHighlightsJob",
    submit_action="SubmitScreenMediaHighlightsJob",
    body_parameters=frozenset({"EditingConfig", "InputConfig"}),
)
SPORTS_HIGHLIGHTS = _batch(
    name="SportsHighlightsJob",
    submit_action="SubmitSportsHighlightsJob",
    body_parameters=frozenset({"InputConfig"}),
    takes_client_token=True,
)

YIKE_AI_APP = JobType(
    name="YikeAIAppJob",
    submit_action="SubmitYikeAIAppJob",
    query_action="GetYikeAIAppJob",
    documentation=page("GetYikeAIAppJob"),
    job_id_path="JobId",
    subject_parameter="AppId",
    body_parameters=frozenset({"AppId", "AppParams", "FolderId", "ProductionId"}),
    takes_user_data=False,
    result_path="Result",
    state_path="Status",
)
YIKE_STORYBOARD = JobType(
    name="YikeStoryboardJob",
    submit_action="SubmitYikeStoryboardJob",
    query_action="GetYikeStoryboardJob",
    documentation=page("GetYikeStoryboardJob"),
    job_id_path="JobId",
    subject_parameter="Title",
    body_parameters=frozenset({"FileURL", "ShotSplitMode", "SourceType", "StyleId"}),
    # SkipFailureShot, true by default, lets a job succeed without some shots: FailureShotList of the result has them.
    result_path="JobResult",
    state_path="JobStatus",
    # In a sample of the vendor only: such a job goes on after ResumeYikeStoryboardJob.
    running_states=RUNNING_STATES | {"suspended"},
)

EDITING_JOBS = (
    *(MEDIA_PRODUCING, BATCH_PRODUCING, SCENE_BATCH_EDITING, SCENE_MEDIA_SELECTION, SCENE_TIMELINE_ORGANIZATION),
    *(SCREEN_MEDIA_HIGHLIGHTS, SPORTS_HIGHLIGHTS, PROJECT_EXPORT, LIVE_EDITING, YIKE_AI_APP, YIKE_STORYBOARD),
)
