"""Our client and our table of jobs, compared with the official SDK: same requests, existing fields."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
import typing
from functools import cache
from typing import TYPE_CHECKING, Any

import jmespath
import pytest

from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT, JOB_TYPES
from airflow_provider_ims.jobs.types import JobType

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess

MEDIA = "oss://rights-evidence/夜 &+.mp4"


def last_request(emulator: EmulatorProcess) -> tuple[str, dict[str, Any]]:
    """Return action and parameters of the last request, with the JSON in them decoded."""
    request = emulator.requests()[-1]
    parameters = dict(request["parameters"])
    for name in ("Input", "Params"):
        if name in parameters:
            parameters[name] = json.loads(parameters[name])
    assert request["code"] in {"OK", "JobNotFound"}
    return request["action"], parameters


@pytest.mark.parametrize(
    ("algo_type", "user_data"), [(None, None), ("v2", None), (None, "夜 &+=%"), ("v1", '{"run":"a b"}')]
)
def test_submission_equals_that_of_the_sdk(
    algo_type: str | None, user_data: str | None, ims_emulator: EmulatorProcess, connect: object
) -> None:
    """The hook and the SDK's client send a submission with the same parameters."""
    from alibabacloud_ice20201109 import models

    hook = ImsHook()
    hook.submit_copyright_extract_job(MEDIA, algo_type=algo_type, user_data=user_data)
    ours = last_request(ims_emulator)
    hook.get_conn().submit_copyright_extract_job(
        models.SubmitCopyrightExtractJobRequest(
            input=models.SubmitCopyrightExtractJobRequestInput(type="OSS", media=MEDIA),
            params=json.dumps({"algoType": algo_type}) if algo_type else None,
            user_data=user_data,
        )
    )
    assert last_request(ims_emulator) == ours
    assert len(ims_emulator.jobs()) == 2


def test_query_equals_that_of_the_sdk(ims_emulator: EmulatorProcess, connect: object) -> None:
    """The hook and the SDK's client send a query with the same parameters."""
    from alibabacloud_ice20201109 import models

    hook = ImsHook()
    job_id = hook.submit_copyright_extract_job(MEDIA)
    hook.query_copyright_extract_job(job_id)
    ours = last_request(ims_emulator)
    hook.get_conn().query_copyright_extract_job(models.QueryCopyrightExtractJobRequest(job_id=job_id))
    assert last_request(ims_emulator) == ours


# ---- the table of jobs


@cache
def sdk_actions() -> frozenset[str]:
    """Return the actions that the SDK's client can call, from its source."""
    from alibabacloud_ice20201109 import client

    return frozenset(re.findall(r"action ?= ?['\"](\w+)['\"]", inspect.getsource(client)))


@cache
def sdk_fields(model: str) -> dict[str, Any]:
    """Return a body with all fields of a model of the SDK, by their names in requests and responses."""
    from alibabacloud_ice20201109 import models

    kind = getattr(models, model, None)
    return {} if kind is None else filled(kind, ()).to_map()


def filled(kind: Any, parents: tuple[Any, ...]) -> Any:
    """Return a value of a type with all fields set: a model becomes an object, anything else a text."""
    if typing.get_origin(kind) is list:
        return [filled(typing.get_args(kind)[0], parents)]
    if not hasattr(kind, "to_map") or kind in parents:  # a model may contain itself
        return "text"
    types = typing.get_type_hints(kind.__init__, vars(sys.modules[kind.__module__]))
    return kind(**{name: filled(hint, (*parents, kind)) for name, hint in types.items()})


def differences(job_type: JobType) -> list[str]:
    """Return how a row of our table differs from the SDK."""
    submit, query, cancel = job_type.submit_action, job_type.query_action, job_type.cancel_action
    found = [
        f"there is no action {action}" for action in (submit, query, cancel) if action and action not in sdk_actions()
    ]
    paths = {
        "job_id_path": submit,
        "result_path": query,
        "state_path": query,
        "code_path": query,
        "message_path": query,
    }
    for name, action in paths.items():
        path = getattr(job_type, name)
        if path is not None and not jmespath.search(path, sdk_fields(f"{action}ResponseBody")):
            found.append(f"{name} {path} is not in the response of {action}")
    # The hook cancels with the parameter that it queries with.
    found += [
        f"query_parameter {job_type.query_parameter} is not in the request of {action}"
        for action in (query, cancel)
        if action and job_type.query_parameter not in sdk_fields(f"{action}Request")
    ]
    if job_type.takes_client_token is not ("ClientToken" in sdk_fields(f"{submit}Request")):
        found.append(f"takes_client_token is {job_type.takes_client_token} and {submit} differs")
    return found


# Families of IMS that the provider does not run yet: correct rows for which the check must pass too.
PROJECT_EXPORT = JobType(
    name="ProjectExportJob",
    submit_action="SubmitProjectExportJob",
    query_action="GetProjectExportJob",
    documentation="https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-getprojectexportjob",
    job_id_path="JobId",
    result_path="ProjectExportJob.ExportResult",
    state_path="ProjectExportJob.Status",
    code_path="ProjectExportJob.Code",
    message_path="ProjectExportJob.Message",
)
SMART_HANDLE = JobType(
    name="HighlightExtractionJob",
    submit_action="SubmitHighlightExtractionJob",
    query_action="GetSmartHandleJob",
    documentation="https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-getsmarthandlejob",
    job_id_path="JobId",
    result_path="JobResult.AiResult",
    state_path="State",
    code_path="ErrorCode",
    message_path="ErrorMessage",
    takes_client_token=True,
)


@pytest.mark.parametrize(
    "job_type", [*JOB_TYPES.values(), PROJECT_EXPORT, SMART_HANDLE], ids=lambda job_type: job_type.name
)
def test_row_matches_the_sdk(job_type: JobType) -> None:
    """Actions, paths, parameters and tokens of a family exist in the official SDK."""
    assert differences(job_type) == []


@pytest.mark.parametrize(
    ("job_type", "change", "message"),
    [
        (COPYRIGHT_EXTRACT, {"submit_action": "SubmitMadeUpJob"}, "there is no action SubmitMadeUpJob"),
        (COPYRIGHT_EXTRACT, {"query_action": "QueryMadeUpJob"}, "there is no action QueryMadeUpJob"),
        (COPYRIGHT_EXTRACT, {"cancel_action": "CancelMadeUpJob"}, "there is no action CancelMadeUpJob"),
        (COPYRIGHT_EXTRACT, {"job_id_path": "JobId"}, "job_id_path JobId is not in the response of SubmitCopyright"),
        (
            COPYRIGHT_EXTRACT,
            {"result_path": "Data.Trace"},
            "result_path Data.Trace is not in the response of QueryCopy",
        ),
        (
            COPYRIGHT_EXTRACT,
            {"state_path": "Data.Status"},
            "state_path Data.Status is not in the response of QueryCopy",
        ),
        (COPYRIGHT_EXTRACT, {"code_path": "statusCode"}, "code_path statusCode is not in the response of QueryCopy"),
        (COPYRIGHT_EXTRACT, {"message_path": "Data.Message.x"}, "message_path Data.Message.x is not in the response"),
        (COPYRIGHT_EXTRACT, {"query_parameter": "JobIds"}, "query_parameter JobIds is not in the request of QueryCopy"),
        (COPYRIGHT_EXTRACT, {"takes_client_token": True}, "takes_client_token is True and SubmitCopyrightExtractJob"),
        (SMART_HANDLE, {"takes_client_token": False}, "takes_client_token is False and SubmitHighlightExtractionJob"),
        # These jobs are cancelled one by one and queried as a list.
        (
            PROJECT_EXPORT,
            {"query_action": "QueryDNAJobList", "query_parameter": "JobIds", "cancel_action": "CancelDNAJob"},
            "query_parameter JobIds is not in the request of CancelDNAJob",
        ),
    ],
)
def test_wrong_row_is_detected(job_type: JobType, change: dict[str, Any], message: str) -> None:
    """The check fails for a row that differs from the SDK, and names the field."""
    assert any(found.startswith(message) for found in differences(dataclasses.replace(job_type, **change)))
