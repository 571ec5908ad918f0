"""Each job family through the official SDK. Requests and expected words come from the SDK's models and their comments.

The tests read nothing of the emulator's rows: a row that differs from the vendor's models fails here.
"""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from alibabacloud_ice20201109 import client as sdk_client
from alibabacloud_ice20201109 import models as m
from alibabacloud_ice20201109.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException

from airflow_provider_ims.emulator.process import EmulatorError, EmulatorProcess
from tests.emulator.test_contract import sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from darabonba.model import DaraModel

FILM = "oss://bucket/film.mp4"
FILM_URL = "https://bucket.oss-cn-shanghai.aliyuncs.com/film.mp4"
OUT = "oss://bucket/out.mp4"
OUT_URL = "https://bucket.oss-cn-shanghai.aliyuncs.com/out.mp4"
SECONDS = 60.0
"""Processing time of all jobs."""

SOURCE = inspect.getsource(sdk_client)


@dataclass(frozen=True)
class Case:
    """One family.

    :param method: method of the SDK that submits a job
    :param request: a request with all required parameters
    :param job_id: path of the job id in the response
    :param query: method of the SDK that queries a job, and its request for a job id; None if there is none
    :param state: path of the state
    :param words: the vendor's words: while the job runs in order, after a success, after a failure
    :param result: path of what a job returns that has succeeded; None for nothing
    :param error: paths of code and message of a job that has failed; None if it has none
    :param error_text: path of a JSON text with both instead, and their names there
    :param cancel: method that cancels a job, its request, and the word afterwards
    """

    method: str
    request: DaraModel
    job_id: str = "JobId"
    query: tuple[str, Callable[[str], DaraModel]] | None = None
    state: str = ""
    words: tuple[list[str], str, str] = ([], "", "")
    result: str | None = None
    error: tuple[str, str] | None = None
    error_text: tuple[str, str, str] | None = None
    cancel: tuple[str, Callable[[str], DaraModel], str] | None = None

    @property
    def family(self) -> str:
        """Name of the family in the emulator."""
        return self.action.removeprefix("Submit")

    @property
    def action(self) -> str:
        """The API action that submits a job."""
        return type(self.request).__name__.removesuffix("Request")

    @property
    def required(self) -> list[str]:
        """The attributes of the request that the comments of the SDK call required."""
        lines = inspect.getsource(type(self.request).__init__).splitlines()
        required, names = False, []
        for line in map(str.strip, lines):
            if line == "# This parameter is required.":
                required = True
            elif match := re.match(r"self\.(\w+) = ", line):
                names += [match[1]] if required else []
                required = False
        return names

    @property
    def has_client_token(self) -> bool:
        """Whether the request has a ClientToken."""
        return "client_token" in inspect.signature(type(self.request).__init__).parameters


def batch(request: DaraModel, method: str, result: str = "EditingBatchJob.SubJobList.0.Status") -> Case:
    """Return a family that GetBatchMediaProducingJob queries."""
    return Case(
        method,
        request,
        query=("get_batch_media_producing_job", lambda i: m.GetBatchMediaProducingJobRequest(job_id=i)),
        state="EditingBatchJob.Status",
        words=(["Init", "Processing"], "Finished", "Failed"),
        result=result,
        error_text=("EditingBatchJob.Extend", "ErrorCode", "ErrorMessage"),
    )


def smart(request: DaraModel, method: str, result: str, job_id: str = "JobId") -> Case:
    """Return a family that GetSmartHandleJob queries."""
    return Case(
        method,
        request,
        job_id,
        query=("get_smart_handle_job", lambda i: m.GetSmartHandleJobRequest(job_id=i)),
        state="State",
        words=(["Created", "Executing"], "Finished", "Failed"),
        result=result,
        error=("ErrorCode", "ErrorMessage"),
    )


def voice(request: DaraModel, method: str) -> Case:
    """Return a family that GetCustomizedVoiceJob queries."""
    return Case(
        method,
        request,
        "Data.JobId",
        query=("get_customized_voice_job", lambda i: m.GetCustomizedVoiceJobRequest(job_id=i)),
        state="Data.CustomizedVoiceJob.Status",
        words=(["Initialization", "AudioDetecting", "PreTraining", "Training"], "Success", "Fail"),
        result="Data.CustomizedVoiceJob.VoiceId",
    )


def media(model: type[DaraModel], name: str = FILM) -> Any:
    """Return a reference to an OSS object."""
    return model(type="OSS", media=name)


OUTPUT_CONFIG = json.dumps({"MediaURL": OUT_URL})
CASES = [
    Case(
        "submit_copyright_job",
        m.SubmitCopyrightJobRequest(
            input=media(m.SubmitCopyrightJobRequestInput),
            output=media(m.SubmitCopyrightJobRequestOutput, OUT),
            message="(c) 2024",
            level=1,
            user_data="mine",
        ),
        "Data.JobId",
        query=("query_copyright_job_list", lambda i: m.QueryCopyrightJobListRequest(job_id=i)),
        state="Data.0.Status",
        words=(["processing"], "success", "fail"),
        result="Data.0.Output.Media",
        error_text=("Data.0.Result", "Code", "Message"),
    ),
    Case(
        "submit_trace_ab_job",
        m.SubmitTraceAbJobRequest(
            input=media(m.SubmitTraceAbJobRequestInput),
            output=media(m.SubmitTraceAbJobRequestOutput, "oss://bucket/streams/"),
        ),
        "Data.JobId",
        query=("query_trace_ab_job_list", lambda i: m.QueryTraceAbJobListRequest(job_id=i)),
        state="Data.0.Status",
        words=(["processing"], "success", "fail"),
        result="Data.0.TraceMediaId",
        error_text=("Data.0.Result", "Code", "Message"),
    ),
    Case(
        "submit_trace_m3u_8job",
        m.SubmitTraceM3u8JobRequest(
            output=media(m.SubmitTraceM3u8JobRequestOutput, "oss://bucket/a.m3u8"),
            trace="user 1",
            trace_media_id="streams",
        ),
        "Data.JobId",
        query=("query_trace_m3u_8job_list", lambda i: m.QueryTraceM3u8JobListRequest(job_id=i)),
        state="Data.0.Status",
        words=(["processing"], "success", "fail"),
        result="Data.0.Trace",
    ),
    Case(
        "submit_media_convert_job",
        m.SubmitMediaConvertJobRequest(
            config=json.dumps(
                {
                    "Inputs": [{"InputFile": {"Type": "OSS", "Media": FILM}}],
                    "Outputs": [{"Name": "a", "OutputFile": {"Type": "OSS", "Media": OUT}, "TemplateId": "t"}],
                }
            )
        ),
        "Job.JobId",
        query=("get_media_convert_job", lambda i: m.GetMediaConvertJobRequest(job_id=i)),
        state="Job.State",
        words=(["Inited", "Running"], "Complete", "Error"),
        result="Job.OutputDetails.0.Result.OutputFile.Media",
        error=("Job.Code", "Job.Message"),
    ),
    Case(
        "submit_transcode_job",
        m.SubmitTranscodeJobRequest(
            input_group=[media(m.SubmitTranscodeJobRequestInputGroup)],
            output_group=[
                m.SubmitTranscodeJobRequestOutputGroup(
                    output=media(m.SubmitTranscodeJobRequestOutputGroupOutput, OUT),
                    process_config=m.SubmitTranscodeJobRequestOutputGroupProcessConfig(),
                )
            ],
        ),
        "TranscodeParentJob.ParentJobId",
        query=("get_transcode_job", lambda i: m.GetTranscodeJobRequest(parent_job_id=i)),
        state="TranscodeParentJob.Status",
        words=(["Init", "Processing"], "Success", "Fail"),
        result="TranscodeParentJob.TranscodeJobList.0.Status",
    ),
    Case(
        "submit_snapshot_job",
        m.SubmitSnapshotJobRequest(
            input=media(m.SubmitSnapshotJobRequestInput),
            output=media(m.SubmitSnapshotJobRequestOutput, "oss://bucket/{Count}.jpg"),
            template_config=m.SubmitSnapshotJobRequestTemplateConfig(template_id="t"),
        ),
        query=("get_snapshot_job", lambda i: m.GetSnapshotJobRequest(job_id=i)),
        state="SnapshotJob.Status",
        words=(["Init"], "Success", "Fail"),
        result="SnapshotJob.Count",
        error=("SnapshotJob.Code", "SnapshotJob.Message"),
    ),
    Case(
        "submit_dynamic_image_job",
        m.SubmitDynamicImageJobRequest(
            input=media(m.SubmitDynamicImageJobRequestInput),
            output=media(m.SubmitDynamicImageJobRequestOutput, "oss://bucket/a.gif"),
            template_config=m.SubmitDynamicImageJobRequestTemplateConfig(template_id="t"),
        ),
        query=("get_dynamic_image_job", lambda i: m.GetDynamicImageJobRequest(job_id=i)),
        state="DynamicImageJob.Status",
        words=(["Init"], "Success", "Fail"),
        result="DynamicImageJob.OutputUrl",
        error=("DynamicImageJob.Code", "DynamicImageJob.Message"),
    ),
    Case(
        "submit_media_info_job",
        m.SubmitMediaInfoJobRequest(input=media(m.SubmitMediaInfoJobRequestInput)),
        "MediaInfoJob.JobId",
        query=("get_media_info_job", lambda i: m.GetMediaInfoJobRequest(job_id=i)),
        state="MediaInfoJob.Status",
        words=(["Init"], "Success", "Fail"),
        result="MediaInfoJob.MediaInfoProperty.FileBasicInfo.Duration",
    ),
    Case(
        "submit_package_job",
        m.SubmitPackageJobRequest(
            inputs=[m.SubmitPackageJobRequestInputs(input=media(m.SubmitPackageJobRequestInputsInput))],
            output=media(m.SubmitPackageJobRequestOutput, "oss://bucket/a.m3u8"),
        ),
        query=("get_package_job", lambda i: m.GetPackageJobRequest(job_id=i)),
        state="PackageJob.Status",
        words=(["Init"], "Success", "Fail"),
        result="PackageJob.OutputUrl",
        error=("PackageJob.Code", "PackageJob.Message"),
    ),
    Case(
        "submit_media_producing_job",
        m.SubmitMediaProducingJobRequest(output_media_config=OUTPUT_CONFIG, timeline="{}"),
        query=("get_media_producing_job", lambda i: m.GetMediaProducingJobRequest(job_id=i)),
        state="MediaProducingJob.Status",
        words=(["Init", "Queuing", "Processing"], "Success", "Failed"),
        result="MediaProducingJob.MediaId",
        error=("MediaProducingJob.Code", "MediaProducingJob.Message"),
    ),
    batch(
        m.SubmitBatchMediaProducingJobRequest(input_config="{}", output_config=OUTPUT_CONFIG),
        "submit_batch_media_producing_job",
    ),
    batch(
        m.SubmitSceneBatchEditingJobRequest(output_config=OUTPUT_CONFIG, project_ids="p1,p2"),
        "submit_scene_batch_editing_job",
    ),
    batch(
        m.SubmitSceneMediaSelectionJobRequest(
            input_config="{}", job_type="Smart_Mix_Media_Select", output_config=OUTPUT_CONFIG
        ),
        "submit_scene_media_selection_job",
        "EditingBatchJob.ExtendOutput",
    ),
    batch(
        m.SubmitSceneTimelineOrganizationJobRequest(
            input_config="{}",
            job_type="Smart_Mix_Timeline_Organize",
            media_select_result="{}",
            output_config=OUTPUT_CONFIG,
        ),
        "submit_scene_timeline_organization_job",
        "EditingBatchJob.SubJobList.0.ProjectId",
    ),
    batch(m.SubmitScreenMediaHighlightsJobRequest(input_config="{}"), "submit_screen_media_highlights_job"),
    batch(m.SubmitSportsHighlightsJobRequest(input_config="{}"), "submit_sports_highlights_job"),
    Case(
        "submit_project_export_job",
        m.SubmitProjectExportJobRequest(output_media_config='{"Bucket":"bucket"}', project_id="p"),
        query=("get_project_export_job", lambda i: m.GetProjectExportJobRequest(job_id=i)),
        state="ProjectExportJob.Status",
        words=(["Init", "Processing"], "Success", "Failed"),
        result="ProjectExportJob.ExportResult.Timeline",
        error=("ProjectExportJob.Code", "ProjectExportJob.Message"),
    ),
    Case(
        "submit_live_editing_job",
        m.SubmitLiveEditingJobRequest(clips="[]", output_media_config=OUTPUT_CONFIG),
        query=("get_live_editing_job", lambda i: m.GetLiveEditingJobRequest(job_id=i)),
        state="LiveEditingJob.Status",
        words=(["Init", "Queuing", "Processing"], "Success", "Failed"),
        result="LiveEditingJob.MediaURL",
        error=("LiveEditingJob.Code", "LiveEditingJob.Message"),
    ),
    Case(
        "submit_iproduction_job",
        m.SubmitIProductionJobRequest(
            function_name="Cover",
            input=media(m.SubmitIProductionJobRequestInput),
            output=media(m.SubmitIProductionJobRequestOutput, OUT),
        ),
        query=("query_iproduction_job", lambda i: m.QueryIProductionJobRequest(job_id=i)),
        state="Status",
        words=(["Queuing", "Analyzing"], "Success", "Fail"),
        result="OutputFiles.0",
        cancel=("cancel_iproduction_job", lambda i: m.CancelIProductionJobRequest(job_id=i), "Fail"),
    ),
    smart(m.SubmitASRJobRequest(input_file=FILM), "submit_asrjob", "JobResult.AiResult"),
    smart(
        m.SubmitAudioProduceJobRequest(editing_config="{}", input_config="text", output_config="{}"),
        "submit_audio_produce_job",
        "JobResult.MediaId",
    ),
    smart(m.SubmitTextGenerateJobRequest(generate_config="{}"), "submit_text_generate_job", "JobResult.AiResult"),
    smart(
        m.SubmitDynamicChartJobRequest(chart_type="Line", input="{}", output_config=OUTPUT_CONFIG),
        "submit_dynamic_chart_job",
        "JobResult.MediaId",
    ),
    smart(
        m.SubmitAvatarVideoJobRequest(input_config='{"Text":"Hello."}', output_config=OUTPUT_CONFIG),
        "submit_avatar_video_job",
        "JobResult.MediaId",
    ),
    smart(
        m.SubmitHighlightExtractionJobRequest(input_config="{}"),
        "submit_highlight_extraction_job",
        "JobResult.AiResult",
    ),
    smart(m.SubmitSegmentationJobRequest(input_config="{}"), "submit_segmentation_job", "JobResult.AiResult"),
    smart(
        m.SubmitVideoTranslationJobRequest(
            input_config=json.dumps({"Type": "Video", "Video": FILM_URL}), output_config=OUTPUT_CONFIG
        ),
        "submit_video_translation_job",
        "JobResult.MediaId",
        "Data.JobId",
    ),
    Case(
        "submit_smarttag_job",
        m.SubmitSmarttagJobRequest(input=media(m.SubmitSmarttagJobRequestInput)),
        query=("query_smarttag_job", lambda i: m.QuerySmarttagJobRequest(job_id=i)),
        state="JobStatus",
        words=(["Submitted", "Processing"], "Success", "Fail"),
        result="Results.Result.0.Data",
    ),
    Case(
        "submit_dnajob",
        m.SubmitDNAJobRequest(dbid="db", input=media(m.SubmitDNAJobRequestInput), primary_key="key"),
        query=("query_dnajob_list", lambda i: m.QueryDNAJobListRequest(job_ids=i)),
        state="JobList.0.Status",
        words=(["Queuing", "Analysing"], "Success", "Fail"),
        result="JobList.0.DNAResult",
        error=("JobList.0.Code", "JobList.0.Message"),
        cancel=("cancel_dnajob", lambda i: m.CancelDNAJobRequest(job_id=i), "Fail"),
    ),
    Case("submit_media_ai_analysis_job", m.SubmitMediaAiAnalysisJobRequest(input=FILM), "MediaId"),
    Case(
        "submit_media_censor_job",
        m.SubmitMediaCensorJobRequest(input=media(m.SubmitMediaCensorJobRequestInput)),
        query=("query_media_censor_job_detail", lambda i: m.QueryMediaCensorJobDetailRequest(job_id=i)),
        state="MediaCensorJobDetail.State",
        words=(["Queuing", "Analysing"], "Success", "Fail"),
        result="MediaCensorJobDetail.Suggestion",
        error=("MediaCensorJobDetail.Code", "MediaCensorJobDetail.Message"),
    ),
    Case(
        "submit_video_cognition_job",
        m.SubmitVideoCognitionJobRequest(input=media(m.SubmitVideoCognitionJobRequestInput)),
        query=("query_video_cognition_job", lambda i: m.QueryVideoCognitionJobRequest(job_id=i)),
        state="JobStatus",
        words=(["Submitted", "Processing"], "Success", "Fail"),
        result="Results.result.0.Data",
    ),
    Case(
        "submit_avatar_training_job",
        m.SubmitAvatarTrainingJobRequest(job_id="draft"),
        "Data.JobId",
        query=("get_avatar_training_job", lambda i: m.GetAvatarTrainingJobRequest(job_id=i)),
        state="Data.AvatarTrainingJob.Status",
        words=(["Init", "Queuing", "Training"], "Success", "Fail"),
        result="Data.AvatarTrainingJob.AvatarId",
    ),
    voice(m.SubmitCustomizedVoiceJobRequest(voice_id="voice"), "submit_customized_voice_job"),
    voice(m.SubmitStandardCustomizedVoiceJobRequest(voice_name="a"), "submit_standard_customized_voice_job"),
    voice(m.SubmitCosyVoiceCustomizedVoiceJobRequest(voice_name="a"), "submit_cosy_voice_customized_voice_job"),
    Case(
        "start_workflow",
        m.StartWorkflowRequest(task_input=json.dumps({"Type": "OSS", "Media": FILM}), workflow_id="w"),
        "TaskId",
        query=("get_workflow_task", lambda i: m.GetWorkflowTaskRequest(task_id=i)),
        state="WorkflowTask.Status",
        words=(["Init", "Processing"], "Succeed", "Failed"),
        result="WorkflowTask.ActivityResults",
    ),
    Case(
        "start_aiworkflow",
        m.StartAIWorkflowRequest(inputs="{}", workflow_id="w"),
        "TaskId",
        query=("get_aiworkflow_task", lambda i: m.GetAIWorkflowTaskRequest(task_id=i)),
        state="WorkflowTask.Status",
        words=(["running"], "succeeded", "failed"),
        result="WorkflowTask.Outputs",
        cancel=("stop_aiworkflow_task", lambda i: m.StopAIWorkflowTaskRequest(task_id=i), "stopped"),
    ),
    Case(
        "register_media_info",
        m.RegisterMediaInfoRequest(input_url=FILM, overwrite=True),
        "MediaId",
        query=("get_media_info", lambda i: m.GetMediaInfoRequest(media_id=i)),
        state="MediaInfo.MediaBasicInfo.Status",
        words=(["Preparing"], "Normal", "PrepareFail"),
    ),
    Case(
        "upload_media_by_url",
        m.UploadMediaByURLRequest(upload_urls="https%3A%2F%2Fexample.com%2Fa.mp4"),
        "UploadJobs.0.JobId",
        query=("get_url_upload_infos", lambda i: m.GetUrlUploadInfosRequest(job_ids=i)),
        state="URLUploadInfoList.0.Status",
        words=(["Uploading"], "Normal", "UploadFail"),
        result="URLUploadInfoList.0.MediaId",
        error=("URLUploadInfoList.0.ErrorCode", "URLUploadInfoList.0.ErrorMessage"),
    ),
    Case(
        "upload_stream_by_url",
        m.UploadStreamByURLRequest(stream_url="https://example.com/a.mp4"),
        query=("get_url_upload_infos", lambda i: m.GetUrlUploadInfosRequest(job_ids=i)),
        state="URLUploadInfoList.0.Status",
        words=(["Uploading"], "Normal", "UploadFail"),
        result="URLUploadInfoList.0.MediaId",
        error=("URLUploadInfoList.0.ErrorCode", "URLUploadInfoList.0.ErrorMessage"),
    ),
    Case(
        "insert_media_to_search_lib",
        m.InsertMediaToSearchLibRequest(input=FILM_URL),
        "MediaId",
        query=("query_media_index_job", lambda i: m.QueryMediaIndexJobRequest(media_id=i)),
        state="IndexJobInfoList.0.Status",
        words=(["Running"], "Success", "Fail"),
    ),
    Case(
        "create_vod_packaging_asset",
        m.CreateVodPackagingAssetRequest(
            asset_name="asset", input=media(m.CreateVodPackagingAssetRequestInput), group_name="group"
        ),
        "Asset.AssetName",
        query=("get_vod_packaging_asset", lambda i: m.GetVodPackagingAssetRequest(asset_name=i)),
        state="Asset.EgressEndpoints.0.Status",
        words=(["Queuing"], "Playable", "Failed"),
        result="Asset.EgressEndpoints.0.Url",
    ),
    Case(
        "submit_yike_aiapp_job",
        m.SubmitYikeAIAppJobRequest(app_id="app"),
        query=("get_yike_aiapp_job", lambda i: m.GetYikeAIAppJobRequest(job_id=i)),
        state="Status",
        words=(["Created", "Queuing", "Executing"], "Finished", "Failed"),
        result="Result.VideoResult.0.OutputUrl",
    ),
    Case(
        "submit_yike_storyboard_job",
        m.SubmitYikeStoryboardJobRequest(file_url=FILM_URL, style_id="s"),
        query=("get_yike_storyboard_job", lambda i: m.GetYikeStoryboardJobRequest(job_id=i)),
        state="JobStatus",
        words=(["Running"], "Succeeded", "Failed"),
        result="JobResult.OutputUrl",
    ),
    Case(
        "submit_aiagent_video_audit_task",
        m.SubmitAIAgentVideoAuditTaskRequest(
            aiagent_id="agent",
            capture_policies=[m.SubmitAIAgentVideoAuditTaskRequestCapturePolicies()],
            input=media(m.SubmitAIAgentVideoAuditTaskRequestInput),
        ),
    ),
    Case(
        "submit_copyright_extract_job",
        m.SubmitCopyrightExtractJobRequest(input=media(m.SubmitCopyrightExtractJobRequestInput)),
        "Data.JobId",
        query=("query_copyright_extract_job", lambda i: m.QueryCopyrightExtractJobRequest(job_id=i)),
        result="Data.Message",
    ),
    Case(
        "submit_trace_extract_job",
        m.SubmitTraceExtractJobRequest(input=media(m.SubmitTraceExtractJobRequestInput)),
        "Data.JobId",
        query=("query_trace_extract_job", lambda i: m.QueryTraceExtractJobRequest(job_id=i)),
        result="Data.Trace",
    ),
]
WITH_QUERY = [case for case in CASES if case.query is not None]
WITH_STATE = [case for case in CASES if case.state]

# Actions of the SDK that start something that does not run to completion, or return their result at once.
OTHER_ACTIONS = {
    *("SubmitLiveRecordJob", "SubmitLiveSnapshotJob", "SubmitLiveTranscodeJob", "SubmitSyncMediaInfoJob"),
}


def families(cases: list[Case]) -> pytest.MarkDecorator:
    """Run a test for each family."""
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.family)


def at(value: Any, path: str) -> Any:
    """Return a field of a response, None if it is missing."""
    for key in path.split("."):
        if isinstance(value, list):
            value = value[int(key)] if int(key) < len(value) else None
        else:
            value = (value or {}).get(key)
    return value


@pytest.fixture
def emulator(ims_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> EmulatorProcess:
    """Return an emulator with a marked film, a pair of streams, and jobs of one minute."""
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    ims_emulator.configure(processing_time=SECONDS)
    ims_emulator.put_media(FILM, duration=600, watermark="mark", trace="user 0")
    ims_emulator.put_media("streams", trace_streams=True)
    return ims_emulator


@pytest.fixture
def client(emulator: EmulatorProcess) -> Client:
    """Return the official client of this emulator."""
    return sdk(emulator)


def submit(client: Client, case: Case, request: DaraModel | None = None) -> str:
    """Submit a job with the SDK and return its id."""
    body = getattr(client, case.method)(case.request if request is None else request).body.to_map()
    job_id = at(body, case.job_id)
    assert isinstance(job_id, str)
    assert job_id
    return job_id


def query(client: Client, case: Case, job_id: str) -> dict[str, Any]:
    """Query a job with the SDK and return the fields of the model."""
    assert case.query is not None
    method, request = case.query
    body: dict[str, Any] = getattr(client, method)(request(job_id)).body.to_map()
    return body


def lost(sent: Any, read: Any, path: str = "") -> list[str]:
    """Return the paths of the fields of a response that a model of the SDK has not read."""
    if isinstance(sent, dict) and isinstance(read, dict):
        return [found for key in sent for found in lost(sent[key], read.get(key), f"{path}.{key}")]
    if isinstance(sent, list) and isinstance(read, list) and len(sent) == len(read):
        pairs = enumerate(zip(sent, read, strict=True))
        return [found for index, (one, other) in pairs for found in lost(one, other, f"{path}.{index}")]
    return [] if sent == read else [path]


def changed(request: DaraModel, **changes: object) -> DaraModel:
    """Return a copy of a request with other values."""
    copy = type(request)()
    for name, value in {**vars(request), **changes}.items():
        setattr(copy, name, value)
    return copy


def sent_parameters(case: Case) -> tuple[dict[str, str], dict[str, str]]:
    """Return the parameters of a request that the SDK sends in the query string, and in the form body."""
    found: dict[str, dict[str, str]] = {}

    def record(_params: object, request: Any, _runtime: object) -> None:
        found.update(query=dict(request.query or {}), body=dict(request.body or {}))
        raise InterruptedError

    recorder = Client.__new__(Client)
    recorder.call_api = record
    with pytest.raises(InterruptedError):
        getattr(recorder, f"{case.method}_with_options".replace("by_url_with", "by_urlwith"))(case.request, None)
    return found["query"], found["body"]


def test_every_job_of_the_sdk_is_a_family(call: Any) -> None:
    """Each action of the SDK that submits a job is one that the emulator knows, or runs without an end."""
    submitting = set(re.findall(r"action = '(Submit\w+)'", SOURCE))

    assert submitting - {case.action for case in CASES} == OTHER_ACTIONS
    assert len({case.action for case in CASES}) == len(CASES)


@families(WITH_STATE)
def test_a_job_runs_and_succeeds(emulator: EmulatorProcess, client: Client, case: Case) -> None:
    """A job goes through the vendor's words in their order, and has its result at the end and no sooner."""
    running, succeeded, _ = case.words
    job_id = submit(client, case)

    seen = []
    for _ in running:
        seen.append(at(query(client, case, job_id), case.state))
        emulator.advance(SECONDS / len(running))
    assert seen == running
    done = query(client, case, job_id)
    assert at(done, case.state) == succeeded
    assert case.result is None or at(done, case.result)


@families(WITH_STATE)
def test_a_job_fails(emulator: EmulatorProcess, client: Client, case: Case) -> None:
    """A job that fails has the vendor's word, and code and message if the query has fields for them."""
    has_error = case.error is not None or case.error_text is not None
    error = {"error_code": "Broken", "error_message": "It broke."} if has_error else {}
    emulator.put_outcome(case.family, "failed", **error)
    job_id = submit(client, case)
    assert at(query(client, case, job_id), case.state) == case.words[0][0]
    emulator.advance(SECONDS)

    failed = query(client, case, job_id)
    assert at(failed, case.state) == case.words[2]
    if case.error is not None:
        assert [at(failed, path) for path in case.error] == ["Broken", "It broke."]
    if case.error_text is not None:
        path, code, message = case.error_text
        assert json.loads(at(failed, path)) == {code: "Broken", message: "It broke."}


@families([case for case in WITH_STATE if case.error is None and case.error_text is None])
def test_a_family_without_error_fields_takes_no_error(emulator: EmulatorProcess, case: Case) -> None:
    """An error code for a family whose query returns none is refused. Only the trainings have a message."""
    with pytest.raises(EmulatorError, match="error_code needs code_path"):
        emulator.put_outcome(case.family, "failed", error_code="Broken")


@families(WITH_QUERY)
@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_responses_have_only_fields_of_the_models(
    emulator: EmulatorProcess, client: Client, call: Any, case: Case, outcome: str
) -> None:
    """The SDK's models contain every field of a response, from the submission to the end."""
    emulator.put_outcome(case.family, outcome)
    assert case.query is not None
    method, request = case.query
    patterns = [rf"def {name}\(.*?-> main_models\.(\w+)" for name in (case.method, method)]
    names = [re.findall(pattern, SOURCE, re.DOTALL)[0] for pattern in patterns]
    bodies = {name: getattr(m, f"{name}Body") for name in names}
    sent, form = sent_parameters(case)
    submitted = call(case.action, {name: str(value) for name, value in sent.items()}, body=encoded(form)).body
    assert lost(submitted, bodies[f"{case.action}Response"]().from_map(submitted).to_map()) == []
    job_id = at(submitted, case.job_id)
    queried = request(job_id)
    action = type(queried).__name__.removesuffix("Request")
    for _ in range(2):
        raw = call(action, queried.to_map()).body
        assert lost(raw, bodies[f"{action}Response"]().from_map(raw).to_map()) == []
        assert at(raw, case.state or "RequestId")
        emulator.advance(SECONDS)


@families(CASES)
def test_a_required_parameter_is_mandatory(emulator: EmulatorProcess, client: Client, case: Case) -> None:
    """A submission without a parameter that the SDK's comments call required is refused, and makes no job."""
    source = inspect.getsource(case.request.to_map)
    names = dict(re.findall(r"if self\.(\w+) is not None:\s+result\['(\w+)'\]", source))
    names |= {name: wire for wire, name in re.findall(r"result\['(\w+)'\] = \[\]\s+if self\.(\w+) ", source)}
    for name in case.required:
        with pytest.raises(ClientException) as refused:
            getattr(client, case.method)(changed(case.request, **{name: None}))
        assert (refused.value.code, refused.value.status_code) == (f"Missing{names[name]}", 400)
    assert emulator.jobs() == []


@families([case for case in CASES if case.required])
def test_a_parameter_in_the_wrong_place_is_missing(call: Any, case: Case, emulator: EmulatorProcess) -> None:
    """A submission that swaps query string and form body is refused, and makes no job."""
    sent, form = sent_parameters(case)
    response = call(case.action, {name: str(value) for name, value in form.items()}, body=encoded(sent))

    assert response.status == 400
    assert re.search("must be in the (form body|query string)", response.body["Message"])
    assert emulator.jobs() == []


@families([case for case in CASES if case.has_client_token])
def test_a_client_token_names_one_job(emulator: EmulatorProcess, client: Client, case: Case) -> None:
    """The same ClientToken twice is the same job and one line of the bill; another token is another job."""
    ids = [submit(client, case, changed(case.request, client_token=token)) for token in ("a", "a", "b")]

    assert ids[0] == ids[1] != ids[2]
    assert [line["job_id"] for line in emulator.bill()["lines"]] == [ids[0], ids[2]]


@families([case for case in CASES if not case.has_client_token])
def test_other_families_have_no_client_token(call: Any, emulator: EmulatorProcess, case: Case) -> None:
    """A ClientToken that the SDK does not know is ignored: two submissions are two jobs."""
    sent, form = sent_parameters(case)
    for _ in range(2):
        call(
            case.action, {**{name: str(value) for name, value in sent.items()}, "ClientToken": "a"}, body=encoded(form)
        )

    assert emulator.bill()["jobs"] == 2


@families([case for case in CASES if case.cancel])
def test_a_running_job_can_be_cancelled(emulator: EmulatorProcess, client: Client, case: Case) -> None:
    """The cancel action ends a running job; it is refused for a job that has ended, and for an unknown one."""
    assert case.cancel is not None
    method, request, word = case.cancel
    job_id = submit(client, case)
    getattr(client, method)(request(job_id))
    cancelled = query(client, case, job_id)
    assert at(cancelled, case.state) == word
    assert case.result is None or not at(cancelled, case.result)

    for refused_id, code in ((job_id, "InvalidJobStatus"), ("unknown", "JobNotFound")):
        with pytest.raises(ClientException) as refused:
            getattr(client, method)(request(refused_id))
        assert refused.value.code == code


def test_a_fingerprint_job_is_cancelled_in_the_queue_only(emulator: EmulatorProcess, client: Client) -> None:
    """A DNA job that is no longer Queuing cannot be cancelled."""
    case = next(case for case in CASES if case.family == "DNAJob")
    job_id = submit(client, case)
    emulator.advance(SECONDS / 2)

    with pytest.raises(ClientException, match="Analysing") as refused:
        client.cancel_dnajob(m.CancelDNAJobRequest(job_id=job_id))
    assert refused.value.code == "InvalidJobStatus"


@families(CASES)
def test_each_job_is_on_the_bill(emulator: EmulatorProcess, client: Client, case: Case) -> None:
    """A job has one line on the bill, with a price. Only the registration of media is free."""
    job_id = submit(client, case)

    (line,) = emulator.bill()["lines"]
    assert line["job_id"] == job_id
    assert (Decimal(line["price"]) > 0) is (case.family != "RegisterMediaInfo")
    assert emulator.jobs()[0]["family"] == case.family


@families(WITH_QUERY)
def test_an_unknown_job_is_not_found(client: Client, case: Case) -> None:
    """The query of a job that does not exist is refused, or returns an empty list."""
    assert case.query is not None
    try:
        body = query(client, case, "unknown")
    except ClientException as refused:
        assert (refused.code, refused.status_code) == ("JobNotFound", 404)  # noqa: PT017
    else:
        (path,) = {name for name in ("Data", "JobList", "URLUploadInfoList") if name in body}
        assert body[path] == []
        assert path != "URLUploadInfoList" or body["NonExists"] == ["unknown"]


def encoded(form: Mapping[str, Any]) -> str:
    """Return a form body."""
    return urlencode(form)


@pytest.fixture(scope="module")
def beijing() -> Iterator[EmulatorProcess]:
    """Run an emulator of a region with watermarks and without dynamic charts."""
    with EmulatorProcess(region="cn-beijing") as emulator:
        yield emulator


@pytest.fixture(scope="module")
def hangzhou() -> Iterator[EmulatorProcess]:
    """Run an emulator of a region without watermarks."""
    with EmulatorProcess(region="cn-hangzhou") as emulator:
        yield emulator


@families([case for case in CASES if "Copyright" in case.action or "Trace" in case.action])
def test_watermarks_are_offered_in_two_regions(hangzhou: EmulatorProcess, beijing: EmulatorProcess, case: Case) -> None:
    """The watermark families exist in Shanghai and Beijing, and are refused in other regions."""
    with pytest.raises(ClientException) as refused:
        getattr(sdk(hangzhou), case.method)(case.request)
    assert refused.value.code == "UnsupportedOperation"
    beijing.put_media(FILM)
    beijing.put_media("streams", trace_streams=True)
    assert submit(sdk(beijing), case)


def test_dynamic_charts_are_offered_in_one_region(beijing: EmulatorProcess) -> None:
    """A dynamic chart is refused outside of Shanghai, and the query that it shares with others is not."""
    case = next(case for case in CASES if case.family == "DynamicChartJob")
    with pytest.raises(ClientException) as refused:
        submit(sdk(beijing), case)
    assert refused.value.code == "UnsupportedOperation"
    asr = next(case for case in CASES if case.family == "TextGenerateJob")
    assert at(query(sdk(beijing), asr, submit(sdk(beijing), asr)), "State") == "Created"


@families(CASES)
def test_each_family_is_documented(case: Case) -> None:
    """The table of docs/emulator.md has the submission, the query, the words and the ClientToken of a family."""
    lines = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text().splitlines()
    (row,) = [line for line in lines if line.startswith(f"| `{case.family}` | {case.action}")]
    _, _, submission, queries, states, *_ = (cell.strip() for cell in row.split("|"))
    running, succeeded, failed = case.words
    actions = [type(request("a")).__name__ for request in (q[1] for q in (case.query, case.cancel) if q is not None)]

    assert submission == case.action + (" (ClientToken)" if case.has_client_token else "")
    assert queries == (", ".join(name.removesuffix("Request") for name in actions) or "none")
    assert states == (f"{', '.join(running)}: {succeeded} or {failed}" if case.state else "none")
