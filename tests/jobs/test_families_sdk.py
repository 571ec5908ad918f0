"""The rows of the job families, compared with the official SDK: its models, its documentation and what it sends."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import typing
from functools import cache
from typing import Any

import pytest

from airflow_provider_ims.jobs.ai_jobs import DNA, IPRODUCTION
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT, JOB_TYPES
from airflow_provider_ims.jobs.editing_jobs import BATCH_PRODUCING, MEDIA_PRODUCING
from airflow_provider_ims.jobs.processing_jobs import MEDIA_CONVERT, MEDIA_UPLOAD, VOD_PACKAGING_ASSET
from airflow_provider_ims.jobs.response import search
from airflow_provider_ims.jobs.types import JobType, ResultKind
from airflow_provider_ims.jobs.watermark_jobs import COPYRIGHT

# ---- the SDK

# Texts that are JSON, by their names in responses, with the keys that the vendor documents for them.
JSON_TEXTS = {
    "Result": '{"Code": "text", "Message": "text"}',
    "Extend": '{"ErrorCode": "text", "ErrorMessage": "text"}',
}


@dataclasses.dataclass(frozen=True)
class Sent:
    """What the SDK sends for an action if all its parameters are set: method, query string and form body."""

    method: str
    query: frozenset[str]
    body: frozenset[str]


@cache
def sdk_methods() -> dict[str, str]:
    """Return the method of the SDK's client for each action with parameters."""
    from alibabacloud_ice20201109.client import Client

    found = {}
    for name, method in vars(Client).items():
        if name.endswith("with_options"):
            request = next(iter(typing.get_type_hints(method).values())).__name__
            found[request.removesuffix("Request")] = name
    del found["RuntimeOptions"]  # of actions without parameters
    return found


@cache
def sent_by_sdk(action: str) -> Sent:
    """Return what the SDK's own client hands to its transport for an action."""
    from alibabacloud_ice20201109 import models
    from alibabacloud_ice20201109.client import Client

    calls = []

    class Intercepted(Client):  # type: ignore[misc]
        def __init__(self) -> None:
            """Need no credentials."""

        def call_api(self, params: Any, request: Any, _runtime: Any) -> dict[str, Any]:
            assert params.action == action
            calls.append(Sent(params.method, frozenset(request.query or {}), frozenset(request.body or {})))
            return {"body": {}, "headers": {}, "statusCode": 200}

    getattr(Intercepted(), sdk_methods()[action])(filled(getattr(models, f"{action}Request"), ()), None)
    (sent,) = calls
    return sent


def filled(kind: Any, parents: tuple[Any, ...]) -> Any:
    """Return a value of a type with all fields set: a model becomes an object, anything else a text."""
    if typing.get_origin(kind) is list:
        return [filled(typing.get_args(kind)[0], parents)]
    if not hasattr(kind, "to_map") or kind in parents:  # a model may contain itself
        return "text"
    types = typing.get_type_hints(kind.__init__, vars(sys.modules[kind.__module__]))
    return kind(**{name: filled(hint, (*parents, kind)) for name, hint in types.items()})


def with_json(value: Any) -> Any:
    """Return a body whose texts that are documented as JSON are some."""
    match value:
        case dict():
            return {
                name: JSON_TEXTS[name] if name in JSON_TEXTS and one == "text" else with_json(one)
                for name, one in value.items()
            }
        case list():
            return [with_json(one) for one in value]
        case _:
            return value


@cache
def sdk_response(action: str) -> dict[str, Any]:
    """Return a response with all fields that the SDK's model has."""
    from alibabacloud_ice20201109 import models

    body: dict[str, Any] = with_json(filled(getattr(models, f"{action}ResponseBody"), ()).to_map())
    return body


@cache
def user_data_limit(action: str) -> tuple[int, str] | None:
    """Return the limit of UserData and its unit, from the SDK's comment."""
    from alibabacloud_ice20201109 import models

    source = inspect.getsource(getattr(models, f"{action}Request").__init__)
    comment = re.search(r"((?: *#[^\n]*\n)+) *self\.user_data = ", source)
    assert comment
    limit = re.search(r"([\d,]+) (KB|bytes|characters)", comment[1])
    if limit is None:
        return None
    number = int(limit[1].replace(",", ""))
    return (number * 1024, "bytes") if limit[2] == "KB" else (number, limit[2])


# ---- a row


def is_complete(value: object) -> bool:
    """Whether a path has found something everywhere that it looked for it."""
    match value:
        case dict():
            return bool(value) and all(is_complete(one) for one in value.values())
        case list():
            return bool(value) and all(is_complete(one) for one in value)
        case _:
            return value is not None


def wrong_paths(job_type: JobType) -> list[str]:
    """Return the paths of a row that find nothing in the responses of the SDK's models."""
    submit, query = job_type.submit_action, job_type.query_action
    paths = {
        "job_id_path": submit,
        **dict.fromkeys(("result_path", "state_path", "code_path", "message_path", "parts_path"), query),
    }
    found = []
    for name, action in paths.items():
        path = getattr(job_type, name)
        # Each alternative must be there.
        for one in path.split(" || ") if path and action else []:
            value = search(one, sdk_response(action))
            if not is_complete(value) or (name not in {"result_path", "parts_path"} and value != "text"):
                found.append(f"{name} {one} is not in the response of {action}")
    if job_type.parts_path and query:
        parts = [part for part in search(job_type.parts_path, sdk_response(query)) or [] if isinstance(part, dict)]
        if not parts or not all(search(job_type.part_state_path, part) == "text" for part in parts):
            found.append(f"part_state_path {job_type.part_state_path} is not in the parts of {query}")
    return found


def wrong_parameters(job_type: JobType) -> list[str]:
    """Return how the parameters of a row differ from those that the SDK sends."""
    submit, query, cancel = job_type.submit_action, job_type.query_action, job_type.cancel_action
    sent = sent_by_sdk(submit)
    names = sent.query | sent.body
    found = []
    if job_type.body_parameters != sent.body:
        found.append(f"body_parameters of {submit} are {sorted(sent.body)}")
    if job_type.takes_client_token is not ("ClientToken" in names):
        found.append(f"takes_client_token is {job_type.takes_client_token} and {submit} differs")
    if job_type.takes_user_data is not ("UserData" in names):
        found.append(f"takes_user_data is {job_type.takes_user_data} and {submit} differs")
    limit = user_data_limit(submit) if "UserData" in names else None
    if (job_type.user_data_limit, job_type.user_data_unit) != (limit or (None, "bytes")):
        found.append(f"user_data_limit of {submit} is {limit}")
    if job_type.subject_parameter is not None and job_type.subject_parameter not in names:
        found.append(f"subject_parameter {job_type.subject_parameter} is not in the request of {submit}")
    cancel_parameter = job_type.cancel_parameter or job_type.query_parameter
    for action, name in ((query, job_type.query_parameter), (cancel, cancel_parameter)):
        if action and name not in sent_by_sdk(action).query:
            found.append(f"parameter {name} is not in the query string of {action}")
    return found


def differences(job_type: JobType) -> list[str]:
    """Return how a row differs from the SDK."""
    actions = [action for action in (job_type.submit_action, job_type.query_action, job_type.cancel_action) if action]
    unknown = [f"there is no action {action}" for action in actions if action not in sdk_methods()]
    if unknown:
        return unknown
    # Our client sends no other method.
    found = [f"{action} is not sent with POST" for action in actions if sent_by_sdk(action).method != "POST"]
    page = f"/api-ice-2020-11-09-{(job_type.query_action or job_type.submit_action).lower()}"
    if not job_type.documentation.endswith(page):
        found.append(f"documentation is not the page {page}")
    return [*found, *wrong_parameters(job_type), *wrong_paths(job_type)]


@pytest.mark.parametrize("job_type", JOB_TYPES.values(), ids=lambda job_type: job_type.name)
def test_row_matches_the_sdk(job_type: JobType) -> None:
    """Actions, parameters, limits and paths of a family are those of the official SDK."""
    assert differences(job_type) == []


@pytest.mark.parametrize("job_type", JOB_TYPES.values(), ids=lambda job_type: job_type.name)
def test_row_is_consistent(job_type: JobType) -> None:
    """A row that can be waited for has a state or a time for empty responses, and a result with a path."""
    assert JOB_TYPES[job_type.name] is job_type
    if job_type.query_action is None:
        assert (job_type.state_path, job_type.result_path, job_type.result_kind) == (None, None, ResultKind.NONE)
    else:
        assert job_type.reports_state is (job_type.empty_result_option is None)
        assert job_type.result_path is not None
    states = (job_type.success_states, job_type.failure_states, job_type.cancel_states, job_type.running_states)
    assert sum(map(len, states)) == len(frozenset().union(*states))
    assert all(text == text.lower() for one in states for text in one)


@pytest.mark.parametrize(
    ("job_type", "change", "message"),
    [
        (COPYRIGHT_EXTRACT, {"submit_action": "SubmitMadeUpJob"}, "there is no action SubmitMadeUpJob"),
        (COPYRIGHT_EXTRACT, {"query_action": "QueryMadeUpJob"}, "there is no action QueryMadeUpJob"),
        (COPYRIGHT_EXTRACT, {"cancel_action": "CancelMadeUpJob"}, "there is no action CancelMadeUpJob"),
        (COPYRIGHT_EXTRACT, {"query_action": "ListSmartJobs"}, "ListSmartJobs is not sent with POST"),
        (COPYRIGHT_EXTRACT, {"documentation": "https://example.com"}, "documentation is not the page"),
        (COPYRIGHT_EXTRACT, {"job_id_path": "JobId"}, "job_id_path JobId is not in the response of SubmitCopyright"),
        (COPYRIGHT_EXTRACT, {"job_id_path": "Data"}, "job_id_path Data is not in the response of SubmitCopyright"),
        (COPYRIGHT_EXTRACT, {"result_path": "Data.Trace"}, "result_path Data.Trace is not in the response of Query"),
        (COPYRIGHT_EXTRACT, {"state_path": "Data.Status"}, "state_path Data.Status is not in the response of Query"),
        (COPYRIGHT_EXTRACT, {"code_path": "statusCode"}, "code_path statusCode is not in the response of QueryCopy"),
        (COPYRIGHT_EXTRACT, {"message_path": "Data.Message.x"}, "message_path Data.Message.x is not in the response"),
        (COPYRIGHT, {"code_path": "StatusCode || Data[0].Code"}, "code_path Data[0].Code is not in the response"),
        (COPYRIGHT, {"message_path": "parse_json(Data[0].Status).Message"}, "message_path parse_json(Data[0].Status)"),
        (MEDIA_PRODUCING, {"result_path": "MediaProducingJob.{Url: Url}"}, "result_path MediaProducingJob.{Url: Url}"),
        (MEDIA_UPLOAD, {"job_id_path": "join(',', Jobs[].JobId)"}, "job_id_path join(',', Jobs[].JobId) is not in"),
        (MEDIA_CONVERT, {"parts_path": "Job.Outputs"}, "parts_path Job.Outputs is not in the response of GetMedia"),
        (BATCH_PRODUCING, {"part_state_path": "State"}, "part_state_path State is not in the parts of GetBatchMedia"),
        (VOD_PACKAGING_ASSET, {"parts_path": "Asset.Input"}, "part_state_path Status is not in the parts of GetVod"),
        (COPYRIGHT_EXTRACT, {"query_parameter": "JobIds"}, "parameter JobIds is not in the query string of QueryCopy"),
        (DNA, {"cancel_parameter": None}, "parameter JobIds is not in the query string of CancelDNAJob"),
        (COPYRIGHT_EXTRACT, {"subject_parameter": "Media"}, "subject_parameter Media is not in the request of Submit"),
        (COPYRIGHT_EXTRACT, {"takes_client_token": True}, "takes_client_token is True and SubmitCopyrightExtractJob"),
        (MEDIA_PRODUCING, {"takes_client_token": False}, "takes_client_token is False and SubmitMediaProducingJob"),
        (COPYRIGHT_EXTRACT, {"takes_user_data": False}, "takes_user_data is False and SubmitCopyrightExtractJob"),
        (VOD_PACKAGING_ASSET, {"takes_user_data": True}, "takes_user_data is True and CreateVodPackagingAsset"),
        (
            COPYRIGHT_EXTRACT,
            {"user_data_limit": 512},
            "user_data_limit of SubmitCopyrightExtractJob is (1024, 'bytes')",
        ),
        (IPRODUCTION, {"user_data_unit": "bytes"}, "user_data_limit of SubmitIProductionJob is (256, 'characters')"),
        (MEDIA_CONVERT, {"user_data_limit": 512}, "user_data_limit of SubmitMediaConvertJob is None"),
        (
            MEDIA_PRODUCING,
            {"body_parameters": frozenset({"Timeline", "Source"})},
            "body_parameters of SubmitMediaProducingJob are ['Timeline']",
        ),
        (
            BATCH_PRODUCING,
            {"body_parameters": frozenset({"InputConfig"})},
            "body_parameters of SubmitBatchMediaProducingJob are ['EditingConfig', 'InputConfig']",
        ),
    ],
)
def test_wrong_row_is_detected(job_type: JobType, change: dict[str, Any], message: str) -> None:
    """The check fails for a row that differs from the SDK, and names what differs."""
    found = differences(dataclasses.replace(job_type, **change))
    assert any(one.startswith(message) for one in found), found


# ---- the actions without a row

_CHANNEL = "a channel that runs until it is stopped, not a job that ends"
_CALL = "a call or conversation that runs until it is stopped, not a job that ends"
WITHOUT_A_ROW = {
    "SubmitLiveTranscodeJob": _CHANNEL,
    "SubmitLiveRecordJob": _CHANNEL,
    "SubmitLiveSnapshotJob": _CHANNEL,
    "StartChannel": _CHANNEL,
    "StartMediaLiveChannel": _CHANNEL,
    "StartRtcRobotInstance": _CALL,
    "StartAIAgentInstance": _CALL,
    "StartAIAgentOutboundCall": _CALL,
    "SubmitSyncMediaInfoJob": "its response has the result already",
    "CreateAvatarTrainingJob": "creates a draft that SubmitAvatarTrainingJob starts",
    "CreateCustomizedVoiceJob": "creates a draft that SubmitCustomizedVoiceJob starts",
    "UpdateAvatarTrainingJob": "changes a draft",
    "DeleteAvatarTrainingJob": "removes a job from the list, which cancels nothing",
    "ResumeYikeStoryboardJob": "continues a job that SubmitYikeStoryboardJob has created",
    "CancelDNAJob": "cancels a job",
    "StopAIWorkflowTask": "cancels a job",
}
_READS = re.compile(r"Get|List|Query|Describe|BatchGet|Search(?!IndexJobRerun)")


def keys(value: object) -> set[str]:
    """Return the names of all fields of a body."""
    match value:
        case dict():
            return set(value).union(*(keys(one) for one in value.values()))
        case list():
            return set().union(*(keys(one) for one in value))
        case _:
            return set()


def test_each_action_that_creates_a_job_has_a_row() -> None:
    """An action that submits or starts, or whose response has the id of a job, has a row or a reason for none."""
    creating = {
        action
        for action in sdk_methods()
        if not _READS.match(action)
        and (
            action.startswith(("Submit", "Start"))
            or any(re.search(r"(Job|Task)Ids?$", name) for name in keys(sdk_response(action)))
        )
    }
    with_a_row = {job_type.submit_action for job_type in JOB_TYPES.values()}
    assert len(with_a_row) == len(JOB_TYPES)
    assert creating - with_a_row == WITHOUT_A_ROW.keys()
    # These return the id of what they work on, not of a job.
    assert with_a_row - creating == {"CreateVodPackagingAsset", "InsertMediaToSearchLib"}
