"""The families that produce videos: editing, batches of it, live editing and the export of projects.

Source: the request and response models of the official SDK, ``SubmitMediaProducingJobRequest`` and so on. The actions
of one-click video share the query ``GetBatchMediaProducingJob``.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.emulator.families.family import (
    JobFamily,
    JobPlan,
    JobState,
    Outcome,
    Submission,
    words,
)
from airflow_provider_ims.emulator.families.inputs import asset_of, config_media, new_id, read_media
from airflow_provider_ims.emulator.media import MediaObject
from airflow_provider_ims.emulator.parameters import invalid_parameter, json_object

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Most videos of one batch. Not documented.
MAX_VIDEOS = 100


def _plan_video(family: JobFamily, submission: Submission) -> JobPlan:
    """Plan a job that makes one video, at the ``MediaURL`` of its output configuration, and its media asset."""
    url = config_media(submission, "OutputMediaConfig", ["MediaURL"])
    root = (family.state_path or "").partition(".")[0]
    media_id = new_id()
    videos = () if url is None else (MediaObject(url), asset_of(MediaObject(url), media_id))
    fields = {f"{root}.MediaId": media_id, f"{root}.MediaURL": url}
    outcome = Outcome(JobState.SUCCEEDED, fields=fields)
    submit_fields = {"MediaId": media_id, "ProjectId": submission.parameters.get("ProjectId") or new_id()}
    return JobPlan(family, outcome, outputs=videos, submit_fields=submit_fields)


def _plan_batch(family: JobFamily, submission: Submission) -> JobPlan:
    """Plan a job of one part per video: as many as its output configuration or its projects say."""
    parameters = submission.parameters
    text = parameters.get("OutputConfig")
    config: Mapping[str, Any] = {} if text is None else json_object(text, "OutputConfig")
    projects = [project for project in (parameters.get("ProjectIds") or "").split(",") if project]
    count = len(projects) or config.get("Count", 1)
    if not isinstance(count, int) or not 1 <= count <= MAX_VIDEOS:
        raise invalid_parameter("OutputConfig", f"Count must be from 1 to {MAX_VIDEOS}")
    parts: list[dict[str, Any]] = []
    videos: list[MediaObject] = []
    for index in range(count):
        media_id = new_id()
        part: dict[str, Any] = {
            "JobId": new_id(),
            "Status": "Success",
            "ProjectId": projects[index] if projects else new_id(),
        }
        if isinstance(url := config.get("MediaURL"), str):
            named = url.replace("{index}", str(index))
            if media := read_media(named, "OutputConfig", submission.region):
                videos += [MediaObject(media), asset_of(MediaObject(media), media_id)]
                part |= {"MediaId": media_id, "MediaURL": named, "Duration": MediaObject(media).duration}
        parts.append(part)
    job_type = parameters.get("JobType") or _JOB_TYPES.get(family.name)
    return JobPlan(
        family,
        replace(family.outcome, parts=parts),
        outputs=tuple(videos),
        query_fields={"EditingBatchJob.JobType": job_type},
    )


_JOB_TYPES = {
    "BatchMediaProducingJob": "Script",
    "SceneBatchEditingJob": "Scene_Batch_Editing",
    "ScreenMediaHighlightsJob": "Screen_Media_Highlights",
    "SportsHighlightsJob": "Sports_Highlights",
}

_RUNNING, _WORDS = words(["Init", "Queuing", "Processing"], "Success", "Failed")
_EXPORT_RUNNING, _ = words(["Init", "Processing"], "Success", "Failed")
_BATCH_RUNNING, _BATCH_WORDS = words(["Init", "Processing"], "Finished", "Failed")

PRODUCING = JobFamily(
    name="MediaProducingJob",
    submit_action="SubmitMediaProducingJob",
    query_action="GetMediaProducingJob",
    plan=_plan_video,
    required_parameters=("OutputMediaConfig",),
    alternatives=(("ProjectId", "Timeline", "TemplateId"),),
    body_parameters=("Timeline",),
    user_data_limit=512,
    client_token=True,
    query_id_path="MediaProducingJob.JobId",
    state_path="MediaProducingJob.Status",
    running_words=_RUNNING,
    state_words=_WORDS,
    code_path="MediaProducingJob.Code",
    message_path="MediaProducingJob.Message",
    text_echoes={
        "MediaProducingJob.UserData": "UserData",
        "MediaProducingJob.Timeline": "Timeline",
        "MediaProducingJob.ProjectId": "ProjectId",
        "MediaProducingJob.TemplateId": "TemplateId",
    },
    price=Decimal("0.50"),
)

LIVE_EDITING = JobFamily(
    name="LiveEditingJob",
    submit_action="SubmitLiveEditingJob",
    query_action="GetLiveEditingJob",
    plan=_plan_video,
    required_parameters=("Clips",),
    user_data_limit=512,
    query_id_path="LiveEditingJob.JobId",
    state_path="LiveEditingJob.Status",
    running_words=_RUNNING,
    state_words=_WORDS,
    code_path="LiveEditingJob.Code",
    message_path="LiveEditingJob.Message",
    text_echoes={
        "LiveEditingJob.UserData": "UserData",
        "LiveEditingJob.Clips": "Clips",
        "LiveEditingJob.ProjectId": "ProjectId",
    },
    price=Decimal("0.30"),
)

PROJECT_EXPORT = JobFamily(
    name="ProjectExportJob",
    submit_action="SubmitProjectExportJob",
    query_action="GetProjectExportJob",
    required_parameters=("OutputMediaConfig",),
    alternatives=(("ProjectId", "Timeline"),),
    body_parameters=("Timeline",),
    query_id_path="ProjectExportJob.JobId",
    state_path="ProjectExportJob.Status",
    running_words=_EXPORT_RUNNING,
    state_words=_WORDS,
    result_path="ProjectExportJob.ExportResult",
    code_path="ProjectExportJob.Code",
    message_path="ProjectExportJob.Message",
    text_echoes={
        "ProjectExportJob.UserData": "UserData",
        "ProjectExportJob.ProjectId": "ProjectId",
        "ProjectExportJob.ExportType": "ExportType",
    },
    price=Decimal("0.10"),
    outcome=Outcome(JobState.SUCCEEDED, {"Timeline": "{}"}),
)

BATCH = JobFamily(
    name="BatchMediaProducingJob",
    submit_action="SubmitBatchMediaProducingJob",
    query_action="GetBatchMediaProducingJob",
    plan=_plan_batch,
    body_parameters=("EditingConfig", "InputConfig"),
    client_token=True,
    query_id_path="EditingBatchJob.JobId",
    state_path="EditingBatchJob.Status",
    running_words=_BATCH_RUNNING,
    state_words=_BATCH_WORDS,
    parts_path="EditingBatchJob.SubJobList",
    error_text_path="EditingBatchJob.Extend",
    error_text_names=("ErrorCode", "ErrorMessage"),
    text_echoes={
        "EditingBatchJob.UserData": "UserData",
        "EditingBatchJob.InputConfig": "InputConfig",
        "EditingBatchJob.EditingConfig": "EditingConfig",
        "EditingBatchJob.OutputConfig": "OutputConfig",
    },
    price=Decimal("2.00"),
)

SCENE_BATCH = replace(
    BATCH,
    name="SceneBatchEditingJob",
    submit_action="SubmitSceneBatchEditingJob",
    required_parameters=("OutputConfig", "ProjectIds"),
    body_parameters=(),
    client_token=False,
)

SCENE_SELECTION = replace(
    BATCH,
    name="SceneMediaSelectionJob",
    submit_action="SubmitSceneMediaSelectionJob",
    required_parameters=("InputConfig", "JobType", "OutputConfig"),
    client_token=False,
    result_path="EditingBatchJob.ExtendOutput",
    price=Decimal("1.50"),
    outcome=Outcome(JobState.SUCCEEDED, '{"MediaSelectResult":[]}'),
)

SCENE_TIMELINE = replace(
    BATCH,
    name="SceneTimelineOrganizationJob",
    submit_action="SubmitSceneTimelineOrganizationJob",
    required_parameters=("InputConfig", "JobType", "MediaSelectResult", "OutputConfig"),
    client_token=False,
    text_echoes={**BATCH.text_echoes, "EditingBatchJob.ExtendInput": "MediaSelectResult"},
    price=Decimal("1.50"),
)

SCREEN_HIGHLIGHTS = replace(
    BATCH,
    name="ScreenMediaHighlightsJob",
    submit_action="SubmitScreenMediaHighlightsJob",
    client_token=False,
    price=Decimal("3.00"),
)

SPORTS_HIGHLIGHTS = replace(
    BATCH,
    name="SportsHighlightsJob",
    submit_action="SubmitSportsHighlightsJob",
    body_parameters=("InputConfig",),
    price=Decimal("3.00"),
)

FAMILIES = (
    PRODUCING,
    BATCH,
    SCENE_BATCH,
    SCENE_SELECTION,
    SCENE_TIMELINE,
    SCREEN_HIGHLIGHTS,
    SPORTS_HIGHLIGHTS,
    PROJECT_EXPORT,
    LIVE_EDITING,
)
