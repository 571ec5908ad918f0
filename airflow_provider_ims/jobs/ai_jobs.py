"""The families that analyse and generate media by algorithms and models, and trainings: one row of data each."""

from __future__ import annotations

import functools

from airflow_provider_ims.jobs.types import RUNNING_STATES, Form, JobType, Parameter, ResultKind, page

_INPUT = Parameter("Input", "input_media", Form.MEDIA, is_needed=True)
_USER_DATA = Parameter("UserData", "user_data", Form.USER_DATA)

# One query for all of these. Its page names no states: they are those of the submissions that return one.
_smart = functools.partial(
    JobType,
    query_action="GetSmartHandleJob",
    documentation=page("GetSmartHandleJob"),
    job_id_path="JobId",
    result_path="{JobResult: JobResult, Output: Output}",
    state_path="State",
    code_path="ErrorCode",
    message_path="ErrorMessage",
)

ASR = _smart(name="ASRJob", submit_action="SubmitASRJob", subject_parameter="InputFile")
AUDIO_PRODUCE = _smart(
    name="AudioProduceJob", submit_action="SubmitAudioProduceJob", subject_parameter="Title", user_data_limit=512
)
TEXT_GENERATE = _smart(
    name="TextGenerateJob", submit_action="SubmitTextGenerateJob", subject_parameter="Title", user_data_limit=512
)
DYNAMIC_CHART = _smart(
    name="DynamicChartJob",
    submit_action="SubmitDynamicChartJob",
    subject_parameter="Title",
    regions=frozenset({"cn-shanghai"}),
)
AVATAR_VIDEO = _smart(name="AvatarVideoJob", submit_action="SubmitAvatarVideoJob", subject_parameter="Title")
HIGHLIGHT_EXTRACTION = _smart(
    name="HighlightExtractionJob",
    submit_action="SubmitHighlightExtractionJob",
    body_parameters=frozenset({"InputConfig"}),
    takes_client_token=True,
)
SEGMENTATION = _smart(
    name="SegmentationJob",
    submit_action="SubmitSegmentationJob",
    body_parameters=frozenset({"InputConfig"}),
    user_data_limit=512,
    takes_client_token=True,
)
VIDEO_TRANSLATION = _smart(
    name="VideoTranslationJob",
    submit_action="SubmitVideoTranslationJob",
    job_id_path="Data.JobId",
    subject_parameter="Title",
    user_data_limit=512,
    takes_client_token=True,
)

IPRODUCTION = JobType(
    name="IProductionJob",
    submit_action="SubmitIProductionJob",
    query_action="QueryIProductionJob",
    documentation=page("QueryIProductionJob"),
    job_id_path="JobId",
    subject_parameter="Input",
    user_data_limit=256,
    user_data_unit="characters",
    result_path="{Result: Result, OutputFiles: OutputFiles, OutputMediaIds: OutputMediaIds, OutputUrls: OutputUrls}",
    state_path="Status",
    # The state of a cancelled job is not documented.
    cancel_action="CancelIProductionJob",
)
SMART_TAG = JobType(
    name="SmarttagJob",
    submit_action="SubmitSmarttagJob",
    query_action="QuerySmarttagJob",
    documentation=page("QuerySmarttagJob"),
    job_id_path="JobId",
    subject_parameter="Input",
    parameters=(
        _INPUT,
        Parameter("TemplateId", "template_id"),
        Parameter("Title", "title", limits=(None, 256)),
        Parameter("Content", "content", limits=(None, 1024)),
        Parameter("TemplateConfig", "template_config", Form.JSON),
        Parameter("ScheduleConfig", "schedule_config", Form.JSON),
        Parameter("Params", "job_params", Form.PARAMS),
        _USER_DATA,
    ),
    user_data_limit=1024,
    result_path="Results.Result",
    result_name="tags",
    state_path="JobStatus",
    regions=frozenset({"cn-beijing", "cn-shanghai", "cn-hangzhou"}),
)
DNA = JobType(
    name="DNAJob",
    submit_action="SubmitDNAJob",
    query_action="QueryDNAJobList",
    documentation=page("QueryDNAJobList"),
    job_id_path="JobId",
    subject_parameter="Input",
    parameters=(
        _INPUT,
        Parameter("DBId", "dna_db_id", is_needed=True),
        Parameter("PrimaryKey", "primary_key", is_needed=True),
        Parameter("Config", "config", Form.JSON),
        Parameter("TemplateId", "template_id"),
        Parameter("PipelineId", "pipeline_id"),
        _USER_DATA,
    ),
    user_data_limit=128,
    query_parameter="JobIds",
    result_path="JobList[0].DNAResult",
    result_name="dna_result",
    state_path="JobList[0].Status",
    code_path="JobList[0].Code",
    message_path="JobList[0].Message",
    # It cancels jobs that are queuing only.
    cancel_action="CancelDNAJob",
    cancel_parameter="JobId",
    regions=frozenset({"cn-beijing", "cn-shanghai", "cn-hangzhou"}),
)
MEDIA_CENSOR = JobType(
    name="MediaCensorJob",
    submit_action="SubmitMediaCensorJob",
    query_action="QueryMediaCensorJobDetail",
    documentation=page("QueryMediaCensorJobDetail"),
    job_id_path="JobId",
    subject_parameter="Input",
    user_data_limit=128,
    # The results of a video are one page of several.
    result_path="MediaCensorJobDetail.{Suggestion: Suggestion, VensorCensorResult: VensorCensorResult}",
    result_name="censor_result",
    # Its page names no states; the filter of the list does.
    state_path="MediaCensorJobDetail.State",
    code_path="MediaCensorJobDetail.Code",
    message_path="MediaCensorJobDetail.Message",
)
VIDEO_COGNITION = JobType(
    name="VideoCognitionJob",
    submit_action="SubmitVideoCognitionJob",
    query_action="QueryVideoCognitionJob",
    documentation=page("QueryVideoCognitionJob"),
    job_id_path="JobId",
    subject_parameter="Input",
    user_data_limit=1024,
    result_path="Results.result",
    result_name="results",
    state_path="JobStatus",
)

# Its job is the draft that CreateAvatarTrainingJob makes.
AVATAR_TRAINING = JobType(
    name="AvatarTrainingJob",
    submit_action="SubmitAvatarTrainingJob",
    query_action="GetAvatarTrainingJob",
    documentation=page("GetAvatarTrainingJob"),
    job_id_path="Data.JobId",
    subject_parameter="JobId",
    takes_user_data=False,
    result_path="Data.AvatarTrainingJob.AvatarId",
    result_name="avatar_id",
    state_path="Data.AvatarTrainingJob.Status",
    running_states=RUNNING_STATES | {"training"},
    message_path="Data.AvatarTrainingJob.Message",
)
_voice = functools.partial(
    JobType,
    query_action="GetCustomizedVoiceJob",
    documentation=page("GetCustomizedVoiceJob"),
    job_id_path="Data.JobId",
    takes_user_data=False,
    result_path="Data.CustomizedVoiceJob.VoiceId",
    result_name="voice_id",
    state_path="Data.CustomizedVoiceJob.Status",
    running_states=RUNNING_STATES | {"initialization", "audiodetecting", "pretraining", "training"},
    message_path="Data.CustomizedVoiceJob.Message",
)
CUSTOMIZED_VOICE = _voice(
    name="CustomizedVoiceJob", submit_action="SubmitCustomizedVoiceJob", subject_parameter="VoiceId"
)
STANDARD_CUSTOMIZED_VOICE = _voice(
    name="StandardCustomizedVoiceJob", submit_action="SubmitStandardCustomizedVoiceJob", subject_parameter="VoiceName"
)
COSY_VOICE_CUSTOMIZED_VOICE = _voice(
    name="CosyVoiceCustomizedVoiceJob",
    submit_action="SubmitCosyVoiceCustomizedVoiceJob",
    subject_parameter="VoiceName",
)

# The results of these two arrive by callback only. The first one returns the id of the media, not of a job.
MEDIA_AI_ANALYSIS = JobType(
    name="MediaAiAnalysisJob",
    submit_action="SubmitMediaAiAnalysisJob",
    query_action=None,
    documentation=page("SubmitMediaAiAnalysisJob"),
    job_id_path="MediaId",
    subject_parameter="Input",
    user_data_limit=512,
    result_kind=ResultKind.NONE,
)
AI_AGENT_VIDEO_AUDIT = JobType(
    name="AIAgentVideoAuditTask",
    submit_action="SubmitAIAgentVideoAuditTask",
    query_action=None,
    documentation=page("SubmitAIAgentVideoAuditTask"),
    job_id_path="JobId",
    subject_parameter="Input",
    result_kind=ResultKind.NONE,
)

AI_JOBS = (
    *(ASR, AUDIO_PRODUCE, TEXT_GENERATE, DYNAMIC_CHART, AVATAR_VIDEO, HIGHLIGHT_EXTRACTION, SEGMENTATION),
    *(VIDEO_TRANSLATION, IPRODUCTION, SMART_TAG, DNA, MEDIA_CENSOR, VIDEO_COGNITION, AVATAR_TRAINING),
    *(CUSTOMIZED_VOICE, STANDARD_CUSTOMIZED_VOICE, COSY_VOICE_CUSTOMIZED_VOICE),
    *(MEDIA_AI_ANALYSIS, AI_AGENT_VIDEO_AUDIT),
)
