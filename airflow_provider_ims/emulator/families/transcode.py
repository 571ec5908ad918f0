"""The families that make other files of a video: convert, transcode, snapshots, media information, packages.

Source: the request and response models of the official SDK, ``SubmitMediaConvertJobRequest`` and so on.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

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
    asset_of,
    derived,
    new_id,
    plan_by_input,
    read_output,
    read_source,
)
from airflow_provider_ims.emulator.parameters import invalid_parameter, json_object, json_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_ims.emulator.media import MediaObject


@dataclass(frozen=True, slots=True)
class _Output:
    """A file that a job will create.

    :param video: the new media object.
    :param described: the reference to it, as ``Type`` and ``Media``.
    """

    video: MediaObject
    described: Mapping[str, str]


def _output(reference: object, name: str, source: MediaObject, region: str) -> _Output:
    """Return the file that a reference names. Type Media without an id of an asset makes a new asset."""
    if isinstance(reference, dict) and reference.get("Type") == "Media":
        media_id = new_id()
        return _Output(asset_of(derived(source, media_id), media_id), {"Type": "Media", "Media": media_id})
    media = read_output(reference, name, region)
    return _Output(derived(source, media), {"Type": "OSS", "Media": media})


def _plan_convert(family: JobFamily, submission: Submission) -> JobPlan:
    source = read_source(family, submission)
    config = json_object(submission.parameters.required("Config"), "Config")
    if not config.get("Outputs") and not config.get("OutputGroups"):
        raise invalid_parameter("Config", "it must have Outputs or OutputGroups")
    if source.found is None:
        return JobPlan(family, NOT_FOUND, source.media)
    place, region = "Config.Outputs[0].OutputFile", submission.region
    singles = [
        (item.get("Name"), _output(item.get("OutputFile"), place, source.found, region))
        for item in _objects(config, "Outputs")
    ]
    groups = [
        (group.get("Name"), list(_group_outputs(group, source.found, region)))
        for group in _objects(config, "OutputGroups")
    ]
    fields: dict[str, Any] = {}
    if groups:
        fields["Job.OutputGroupDetails"] = [
            {"Name": name, "TaskId": new_id(), "Status": "Success", "Outputs": [_detail(*output) for output in outputs]}
            for name, outputs in groups
        ]
    parts = [_detail(*single) for single in singles] or None
    every = [output for _, output in singles] + [output for _, outputs in groups for _, output in outputs]
    return JobPlan(
        family,
        Outcome(JobState.SUCCEEDED, parts=parts, fields=fields),
        source.media,
        source.found,
        outputs=tuple(output.video for output in every),
    )


def _group_outputs(group: Mapping[str, Any], source: MediaObject, region: str) -> Iterator[tuple[str | None, _Output]]:
    config = group.get("GroupConfig")
    place = "Config.OutputGroups[0].GroupConfig.OutputFileBase"
    base = config.get("OutputFileBase") if isinstance(config, dict) else None
    directory = read_output(base, place, region)
    for item in _objects(group, "Outputs"):
        media = f"{directory.rstrip('/')}/{item.get('OutputFileName') or new_id()}"
        yield item.get("Name"), _output({"Type": "OSS", "Media": media}, place, source, region)


def _detail(name: str | None, output: _Output) -> dict[str, Any]:
    return {"Name": name, "TaskId": new_id(), "Status": "Success", "Result": {"OutputFile": dict(output.described)}}


def _plan_transcode(family: JobFamily, submission: Submission) -> JobPlan:
    source = read_source(family, submission)
    groups = json_value(submission.parameters.required("OutputGroup"), "OutputGroup")
    if not isinstance(groups, list) or not groups or not all(isinstance(group, dict) for group in groups):
        raise invalid_parameter("OutputGroup", "it must be a JSON array of objects")
    if source.found is None:
        return JobPlan(family, NOT_FOUND, source.media)
    outputs = [
        _output(group.get("Output"), "OutputGroup[0].Output", source.found, submission.region) for group in groups
    ]
    parts = [
        {"JobId": new_id(), "JobIndex": index, "Status": "Success", "Output": dict(output.described)}
        for index, output in enumerate(outputs)
    ]
    return JobPlan(
        family,
        Outcome(JobState.SUCCEEDED, parts=parts),
        source.media,
        source.found,
        outputs=tuple(output.video for output in outputs),
        query_fields={"TranscodeParentJob.JobCount": len(outputs)},
    )


def _plan_dynamic_image(family: JobFamily, submission: Submission) -> JobPlan:
    source = read_source(family, submission)
    value = json_object(submission.parameters.required("Output"), "Output")
    output = new_id() if value.get("Type") == "Media" else read_output(value, "Output", submission.region)
    return JobPlan(
        family, NOT_FOUND if source.found is None else Outcome(JobState.SUCCEEDED, output), source.media, source.found
    )


def _plan_media_info(family: JobFamily, submission: Submission) -> JobPlan:
    source = read_source(family, submission)
    if source.found is None:
        return JobPlan(family, NOT_FOUND, source.media)
    basics = {
        "Duration": str(source.found.duration),
        "FileName": source.found.media.rpartition("/")[2],
        "Region": submission.region,
    }
    return JobPlan(family, Outcome(JobState.SUCCEEDED, {"FileBasicInfo": basics}), source.media, source.found)


def _plan_package(family: JobFamily, submission: Submission) -> JobPlan:
    source = read_source(family, submission)
    output = json_object(submission.parameters.required("Output"), "Output")
    if source.found is None:
        return JobPlan(family, NOT_FOUND, source.media)
    made = _output(output, "Output", source.found, submission.region)
    return JobPlan(
        family,
        Outcome(JobState.SUCCEEDED, made.described["Media"]),
        source.media,
        source.found,
        outputs=(made.video,),
    )


def _plan_asset(family: JobFamily, submission: Submission) -> JobPlan:
    source = read_source(family, submission)
    name = submission.parameters.get("AssetName") or new_id()
    endpoint = f"https://packaging.example/{name}/index.m3u8"
    outcome = NOT_FOUND if source.is_missing else Outcome(JobState.SUCCEEDED, endpoint)
    return JobPlan(family, outcome, source.media, source.found, job_id=name)


def _objects(value: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    items = value.get(key) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise invalid_parameter("Config", f"{key} must be an array of objects")
    return items


_INIT, _WORDS = words(["Init"], "Success", "Fail")
_CONVERT_RUNNING, _CONVERT_WORDS = words(["Inited", "Running"], "Complete", "Error", "Cancelled")
_TRANSCODE_RUNNING, _TRANSCODE_WORDS = words(["Init", "Processing"], "Success", "Fail")
_ASSET_RUNNING, _ASSET_WORDS = words(["Queuing"], "Playable", "Failed")

CONVERT = JobFamily(
    name="MediaConvertJob",
    submit_action="SubmitMediaConvertJob",
    query_action="GetMediaConvertJob",
    plan=_plan_convert,
    required_parameters=("Config",),
    media_parameter="Config.Inputs[0].InputFile",
    media_types=("OSS", "Media", "ExternalURL"),
    client_token=True,
    job_id_path="Job.JobId",
    submit_state_path="Job.State",
    query_id_path="Job.JobId",
    state_path="Job.State",
    running_words=_CONVERT_RUNNING,
    state_words=_CONVERT_WORDS,
    parts_path="Job.OutputDetails",
    code_path="Job.Code",
    message_path="Job.Message",
    text_echoes={"Job.UserData": "UserData", "Job.ClientToken": "ClientToken", "Job.PipelineId": "PipelineId"},
    json_echoes={"Job.Config": "Config"},
    price=Decimal("0.05"),
    price_per=PricePer.MINUTE,
)

TRANSCODE = JobFamily(
    name="TranscodeJob",
    submit_action="SubmitTranscodeJob",
    query_action="GetTranscodeJob",
    plan=_plan_transcode,
    required_parameters=("InputGroup", "OutputGroup"),
    media_parameter="InputGroup[0]",
    user_data_limit=512,
    client_token=True,
    query_parameter="ParentJobId",
    job_id_path="TranscodeParentJob.ParentJobId",
    submit_state_path="TranscodeParentJob.Status",
    query_id_path="TranscodeParentJob.ParentJobId",
    state_path="TranscodeParentJob.Status",
    running_words=_TRANSCODE_RUNNING,
    state_words=_TRANSCODE_WORDS,
    parts_path="TranscodeParentJob.TranscodeJobList",
    text_echoes={"TranscodeParentJob.UserData": "UserData", "TranscodeParentJob.Name": "Name"},
    json_echoes={"TranscodeParentJob.InputGroup": "InputGroup", "TranscodeParentJob.OutputGroup": "OutputGroup"},
    price=Decimal("0.04"),
    price_per=PricePer.MINUTE,
)

SNAPSHOT = JobFamily(
    name="SnapshotJob",
    submit_action="SubmitSnapshotJob",
    query_action="GetSnapshotJob",
    plan=plan_by_input,
    required_parameters=("Input", "Output", "TemplateConfig"),
    media_parameter="Input",
    query_id_path="SnapshotJob.JobId",
    state_path="SnapshotJob.Status",
    running_words=_INIT,
    state_words=_WORDS,
    result_path="SnapshotJob.Count",
    code_path="SnapshotJob.Code",
    message_path="SnapshotJob.Message",
    text_echoes={"SnapshotJob.UserData": "UserData", "SnapshotJob.Name": "Name"},
    json_echoes={"SnapshotJob.Input": "Input", "SnapshotJob.Output": "Output"},
    price=Decimal("0.01"),
    outcome=Outcome(JobState.SUCCEEDED, 1),
)

DYNAMIC_IMAGE = JobFamily(
    name="DynamicImageJob",
    submit_action="SubmitDynamicImageJob",
    query_action="GetDynamicImageJob",
    plan=_plan_dynamic_image,
    required_parameters=("Input", "Output", "TemplateConfig"),
    media_parameter="Input",
    query_id_path="DynamicImageJob.JobId",
    state_path="DynamicImageJob.Status",
    running_words=_INIT,
    state_words=_WORDS,
    result_path="DynamicImageJob.OutputUrl",
    code_path="DynamicImageJob.Code",
    message_path="DynamicImageJob.Message",
    text_echoes={"DynamicImageJob.UserData": "UserData", "DynamicImageJob.Name": "Name"},
    json_echoes={"DynamicImageJob.Input": "Input", "DynamicImageJob.Output": "Output"},
    price=Decimal("0.02"),
)

MEDIA_INFO = JobFamily(
    name="MediaInfoJob",
    submit_action="SubmitMediaInfoJob",
    query_action="GetMediaInfoJob",
    plan=_plan_media_info,
    required_parameters=("Input",),
    media_parameter="Input",
    job_id_path="MediaInfoJob.JobId",
    submit_state_path="MediaInfoJob.Status",
    query_id_path="MediaInfoJob.JobId",
    state_path="MediaInfoJob.Status",
    running_words=_INIT,
    state_words=_WORDS,
    result_path="MediaInfoJob.MediaInfoProperty",
    text_echoes={"MediaInfoJob.UserData": "UserData", "MediaInfoJob.Name": "Name"},
    json_echoes={"MediaInfoJob.Input": "Input"},
    price=Decimal("0.001"),
)

PACKAGE = JobFamily(
    name="PackageJob",
    submit_action="SubmitPackageJob",
    query_action="GetPackageJob",
    plan=_plan_package,
    required_parameters=("Inputs", "Output"),
    media_parameter="Inputs[0].Input",
    query_id_path="PackageJob.JobId",
    state_path="PackageJob.Status",
    running_words=_INIT,
    state_words=_WORDS,
    result_path="PackageJob.OutputUrl",
    code_path="PackageJob.Code",
    message_path="PackageJob.Message",
    text_echoes={"PackageJob.UserData": "UserData", "PackageJob.Name": "Name"},
    json_echoes={"PackageJob.Inputs": "Inputs", "PackageJob.Output": "Output"},
    price=Decimal("0.03"),
    price_per=PricePer.MINUTE,
)

PACKAGING_ASSET = JobFamily(
    name="CreateVodPackagingAsset",
    submit_action="CreateVodPackagingAsset",
    query_action="GetVodPackagingAsset",
    plan=_plan_asset,
    media_parameter="Input",
    query_parameter="AssetName",
    job_id_path="Asset.AssetName",
    query_id_path="Asset.AssetName",
    state_path="Asset.EgressEndpoints[0].Status",
    running_words=_ASSET_RUNNING,
    state_words=_ASSET_WORDS,
    result_path="Asset.EgressEndpoints[0].Url",
    text_echoes={"Asset.GroupName": "GroupName", "Asset.ContentId": "ContentId"},
    json_echoes={"Asset.Input": "Input"},
    price=Decimal("0.03"),
    price_per=PricePer.MINUTE,
)

FAMILIES = (CONVERT, TRANSCODE, SNAPSHOT, DYNAMIC_IMAGE, MEDIA_INFO, PACKAGE, PACKAGING_ASSET)
