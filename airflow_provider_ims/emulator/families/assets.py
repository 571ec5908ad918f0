"""The families that create media assets: of an object in OSS, or by an upload from a URL.

Source: the request and response models of the official SDK, ``RegisterMediaInfoRequest`` and so on.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from airflow_provider_ims.emulator.errors import ApiError
from airflow_provider_ims.emulator.families.family import JobFamily, JobPlan, JobState, Outcome, Submission, words
from airflow_provider_ims.emulator.families.inputs import (
    NOT_FOUND,
    asset_of,
    is_foreign_url,
    new_id,
    read_media,
    read_source,
)
from airflow_provider_ims.emulator.media import MediaObject
from airflow_provider_ims.emulator.parameters import invalid_parameter

#: Most files of one upload.
MAX_URLS = 20


def _plan_registration(family: JobFamily, submission: Submission) -> JobPlan:
    source = read_source(family, submission)
    earlier = None if source.media is None else submission.earlier_job(source.media)
    overwrites = _switch(submission, "Overwrite")
    if earlier is not None and not overwrites:
        raise ApiError(409, "MediaAlreadyExist", "The media with the given inputUrl already exists.")
    media_id = new_id()
    # The asset is named by its id at once: the object is in OSS already.
    assets = () if source.found is None else (asset_of(source.found, media_id),)
    outcome = NOT_FOUND if source.is_missing else family.outcome
    fields = {"MediaInfo.MediaId": media_id}
    return JobPlan(
        family,
        outcome,
        source.media,
        source.found,
        job_id=media_id,
        created=assets,
        replaces=earlier,
        query_fields=fields,
    )


def _switch(submission: Submission, name: str) -> bool:
    value = submission.parameters.get(name) or "false"
    if value.lower() not in {"true", "false"}:
        raise invalid_parameter(name, "it must be true or false")
    return value.lower() == "true"


def _asset_info(submission: Submission) -> dict[str, Any] | None:
    """Return the response of GetMediaInfo for an asset that was not registered, for example an uploaded one."""
    media_id = submission.parameters.get("MediaId") or ""
    asset = submission.media_objects.get(media_id)
    if asset is None:
        return None
    basics = {"MediaId": media_id, "Status": "Normal"}
    files = [{"FileBasicInfo": {"Duration": str(asset.duration), "Region": submission.region}}]
    return {"MediaInfo": {"MediaId": media_id, "MediaBasicInfo": basics, "FileInfoList": files}}


def _plan_upload(family: JobFamily, submission: Submission) -> JobPlan:
    """Plan one job per URL, each with an asset of its own."""
    urls = [unquote(url) for url in (submission.parameters.get("UploadURLs") or "").split(",") if url]
    if not 1 <= len(urls) <= MAX_URLS:
        raise invalid_parameter("UploadURLs", f"it must have 1 to {MAX_URLS} URLs")
    first, *others = [_upload(family, submission, url, "UploadURLs", new_id(), "UploadJobs[0].") for url in urls]
    return replace(first, siblings=tuple(others))


def _plan_stream(family: JobFamily, submission: Submission) -> JobPlan:
    url = submission.parameters.get("StreamURL") or ""
    media_id = submission.parameters.get("MediaId") or new_id()
    return _upload(family, submission, url, "StreamURL", media_id)


def _upload(family: JobFamily, submission: Submission, url: str, name: str, media_id: str, place: str = "") -> JobPlan:
    """Plan the upload of one file.

    :param name: name of the parameter, for errors.
    :param place: where the response to the submission describes the job.
    """
    plan = JobPlan(
        family,
        family.outcome,
        submit_fields={f"{place}SourceURL": url, f"{place}MediaId": media_id},
        query_fields={"URLUploadInfoList[0].UploadURL": url, "URLUploadInfoList[0].MediaId": media_id},
    )
    # The emulator does not load the file of another site: it counts as an unmarked video.
    if is_foreign_url(url):
        return replace(plan, outputs=(MediaObject(media_id),))
    media = read_media(url, name, submission.region)
    found = submission.media_objects.get(media or "")
    if found is None:
        return replace(plan, outcome=NOT_FOUND, media=media)
    return replace(plan, media=media, source=found, outputs=(asset_of(found, media_id),))


_REGISTER_RUNNING, _REGISTER_WORDS = words(["Preparing"], "Normal", "PrepareFail")
_UPLOAD_RUNNING, _UPLOAD_WORDS = words(["Uploading"], "Normal", "UploadFail")

REGISTER = JobFamily(
    name="RegisterMediaInfo",
    submit_action="RegisterMediaInfo",
    query_action="GetMediaInfo",
    plan=_plan_registration,
    required_parameters=("InputURL",),
    media_parameter="InputURL",
    media_types=(),
    user_data_limit=1024,
    client_token=True,
    query_parameter="MediaId",
    job_id_path="MediaId",
    query_id_path="MediaInfo.MediaBasicInfo.MediaId",
    state_path="MediaInfo.MediaBasicInfo.Status",
    running_words=_REGISTER_RUNNING,
    state_words=_REGISTER_WORDS,
    text_echoes={
        "MediaInfo.MediaBasicInfo.InputURL": "InputURL",
        "MediaInfo.MediaBasicInfo.Title": "Title",
        "MediaInfo.MediaBasicInfo.ReferenceId": "ReferenceId",
        "MediaInfo.MediaBasicInfo.UserData": "UserData",
    },
    price=Decimal("0.00"),
    query_without_job=_asset_info,
)

UPLOAD = JobFamily(
    name="UploadMediaByURL",
    submit_action="UploadMediaByURL",
    query_action="GetUrlUploadInfos",
    plan=_plan_upload,
    query_parameter="JobIds",
    list_path="URLUploadInfoList",
    list_filters={"UploadURLs": "URLUploadInfoList[0].UploadURL"},
    list_needs_filter=True,
    missing_path="NonExists",
    job_id_path="UploadJobs[0].JobId",
    query_id_path="URLUploadInfoList[0].JobId",
    state_path="URLUploadInfoList[0].Status",
    running_words=_UPLOAD_RUNNING,
    state_words=_UPLOAD_WORDS,
    code_path="URLUploadInfoList[0].ErrorCode",
    message_path="URLUploadInfoList[0].ErrorMessage",
    text_echoes={"URLUploadInfoList[0].UserData": "UserData"},
    price=Decimal("0.02"),
    outcome=Outcome(JobState.SUCCEEDED, fields={"URLUploadInfoList[0].ErrorCode": "200"}),
)

UPLOAD_STREAM = replace(
    UPLOAD,
    name="UploadStreamByURL",
    submit_action="UploadStreamByURL",
    plan=_plan_stream,
    job_id_path="JobId",
)

FAMILIES = (REGISTER, UPLOAD, UPLOAD_STREAM)
