"""What a response says about a job."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.exceptions import ImsConfigurationError
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT, check_job_id, check_region, find_job_type
from airflow_provider_ims.jobs.response import read_snapshot, read_submission
from airflow_provider_ims.jobs.types import JobState, JobType
from tests.families import IPRODUCTION

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("data", "state", "result"),
    [
        ({"Message": "(c) Studio"}, JobState.SUCCEEDED, "(c) Studio"),
        ({"Message": "(c) Studio\n"}, JobState.SUCCEEDED, "(c) Studio"),
        ({"Message": " two\n\n"}, JobState.SUCCEEDED, " two\n"),
        ({"Message": ""}, JobState.RUNNING, None),
        ({"Message": " \n"}, JobState.RUNNING, None),
        ({"Message": None}, JobState.RUNNING, None),
        ({"Message": 7}, JobState.RUNNING, None),
        ({}, JobState.RUNNING, None),
        (None, JobState.RUNNING, None),
        ("text", JobState.RUNNING, None),
    ],
)
def test_text_means_success(data: object, state: JobState, result: str | None) -> None:
    """A job has succeeded if the response has a text; the newline that the service may append is removed."""
    body = {"Data": data, "Message": "ok", "RequestId": "R", "StatusCode": 200, "Extra": 1}
    snapshot = read_snapshot(COPYRIGHT_EXTRACT, "J", body)
    assert (snapshot.job_id, snapshot.state, snapshot.result, snapshot.request_id) == ("J", state, result, "R")
    assert snapshot.raw is body


def test_submission_is_read_from_the_response() -> None:
    """A submission has the JobId, the request id and the whole response."""
    body = {"Data": {"JobId": "J"}, "RequestId": "R"}
    accepted = read_submission(COPYRIGHT_EXTRACT, body)
    assert accepted is not None
    assert (accepted.job_id, accepted.request_id, accepted.response) == ("J", "R", body)


@pytest.mark.parametrize("body", [{}, {"Data": {}}, {"Data": {"JobId": " "}}, {"Data": "J"}, {"Data": {"JobId": 5}}])
def test_response_without_job_id_is_not_a_submission(body: dict[str, Any]) -> None:
    """A response without a JobId is read as None."""
    assert read_submission(COPYRIGHT_EXTRACT, body) is None


def test_job_type_is_found_by_its_name() -> None:
    """A name is exact; anything else is refused."""
    assert find_job_type("CopyrightExtractJob") is COPYRIGHT_EXTRACT
    with pytest.raises(ImsConfigurationError, match=r"Unknown job type 'copyrightextractjob'"):
        find_job_type("copyrightextractjob")


def test_region_without_the_family_is_refused() -> None:
    """Watermark jobs are available in two regions only."""
    for region in ("cn-shanghai", "cn-beijing"):
        check_region(COPYRIGHT_EXTRACT, region)
    with pytest.raises(ImsConfigurationError, match=r"'cn-hangzhou'. Use cn-beijing or cn-shanghai"):
        check_region(COPYRIGHT_EXTRACT, "cn-hangzhou")


SERVICE_STATES = [
    *((text, JobState.SUCCEEDED) for text in ["Success", "SUCCESS", "succeed", "Succeeded", "Finished", "Complete"]),
    *((text, JobState.FAILED) for text in ["Fail", "FAILED", "failed", "Error"]),
    *((text, JobState.CANCELLED) for text in ["Canceled", "CANCELLED", "cancel"]),
    *((text, JobState.RUNNING) for text in ["Init", "QUEUING", "processing", "Analysing", "Analyzing", "Executing"]),
    (" Success\n", JobState.SUCCEEDED),
    (" Processing ", JobState.RUNNING),
]


@pytest.mark.parametrize(("service_state", "state"), SERVICE_STATES)
@pytest.mark.parametrize("job_type", [COPYRIGHT_EXTRACT, IPRODUCTION], ids=["undocumented", "documented"])
def test_states_of_ims_are_known_in_any_case(job_type: JobType, service_state: str, state: JobState) -> None:
    """A state is recognized in upper and lower case, for families with and without a documented state."""
    snapshot = read_snapshot(job_type, "J", {"RequestId": "R", "Status": service_state})
    assert (snapshot.state, snapshot.service_state, snapshot.is_known_state) == (state, service_state.strip(), True)
    assert not snapshot.is_empty


@pytest.mark.parametrize("service_state", ["Pondering", "Suspended", "2", "Successful"])
@pytest.mark.parametrize("job_type", [COPYRIGHT_EXTRACT, IPRODUCTION], ids=["undocumented", "documented"])
def test_unknown_state_counts_as_running(job_type: JobType, service_state: str) -> None:
    """An unknown state counts as running, and the snapshot marks it as unknown."""
    snapshot = read_snapshot(job_type, "J", {"RequestId": "R", "Status": service_state})
    assert (snapshot.state, snapshot.service_state, snapshot.is_known_state) == (JobState.RUNNING, service_state, False)


@pytest.mark.parametrize(
    "body", [{}, {"Status": None}, {"Status": ""}, {"Status": " "}, {"Status": True}, {"Status": {}}]
)
@pytest.mark.parametrize("job_type", [COPYRIGHT_EXTRACT, IPRODUCTION], ids=["undocumented", "documented"])
def test_response_without_a_state_is_empty(job_type: JobType, body: dict[str, Any]) -> None:
    """A response whose state is missing, empty or not a text is an empty response."""
    snapshot = read_snapshot(job_type, "J", body)
    assert (snapshot.state, snapshot.service_state, snapshot.is_known_state, snapshot.is_empty) == (
        JobState.RUNNING,
        None,
        True,
        True,
    )


PLACES = [
    pytest.param(lambda field: {"Data": field}, id="in Data"),
    pytest.param(lambda field: field, id="beside Data"),
    pytest.param(lambda field: {"Data": None, **field}, id="beside null"),
    pytest.param(lambda field: {"Data": "text", **field}, id="beside text"),
]


@pytest.mark.parametrize("name", ["Status", "State", "JobStatus", "status", "STATE", "jobStatus"])
@pytest.mark.parametrize("place", PLACES)
def test_undocumented_state_is_used(place: Callable[[dict[str, Any]], dict[str, Any]], name: str) -> None:
    """An undocumented state is found in Data and beside it, under several names in any case."""
    snapshot = read_snapshot(COPYRIGHT_EXTRACT, "J", {"Message": "ok", "RequestId": "R", **place({name: "Fail"})})
    assert (snapshot.state, snapshot.service_state, snapshot.result) == (JobState.FAILED, "Fail", None)


def test_state_in_data_overrides_the_top_level_state() -> None:
    """If Data and the top level both have a state, the one in Data counts."""
    body = {"Data": {"Status": "Processing"}, "Status": "Success"}
    assert read_snapshot(COPYRIGHT_EXTRACT, "J", body).service_state == "Processing"


@pytest.mark.parametrize("service_state", ["Success", "Processing", "Pondering"])
def test_text_overrides_a_state_that_is_not_a_failure(service_state: str) -> None:
    """A job with a text has succeeded, even if an undocumented state says that it is running."""
    snapshot = read_snapshot(COPYRIGHT_EXTRACT, "J", {"Data": {"Message": "(c) Studio", "Status": service_state}})
    assert (snapshot.state, snapshot.result, snapshot.service_state) == (
        JobState.SUCCEEDED,
        "(c) Studio",
        service_state,
    )


@pytest.mark.parametrize(("service_state", "state"), [("Fail", JobState.FAILED), ("Canceled", JobState.CANCELLED)])
def test_text_of_a_failure_is_not_a_watermark(service_state: str, state: JobState) -> None:
    """A text beside a failed or cancelled state is an error message, not a watermark."""
    assert (
        read_snapshot(COPYRIGHT_EXTRACT, "J", {"Data": {"Message": "file not found", "Status": service_state}}).state
        is state
    )


def test_text_beside_an_error_code_is_not_a_watermark() -> None:
    """A text beside a StatusCode other than 200 counts as an unexplained response."""
    snapshot = read_snapshot(COPYRIGHT_EXTRACT, "J", {"StatusCode": 500, "Data": {"Message": "InternalError"}})
    assert (snapshot.state, snapshot.is_unexplained, snapshot.is_empty) == (JobState.RUNNING, True, False)


@pytest.mark.parametrize(
    "body", [{"Data": "x"}, {"Data": {"Message": ["x"]}}, {"Data": {"Message": 1}}, {"Success": False}]
)
def test_response_of_unknown_form_is_not_empty(body: dict[str, Any]) -> None:
    """A response of unknown form is unexplained: it means neither a watermark nor the lack of one."""
    snapshot = read_snapshot(COPYRIGHT_EXTRACT, "J", {"RequestId": "R", **body})
    assert (snapshot.state, snapshot.is_unexplained, snapshot.is_empty) == (JobState.RUNNING, True, False)


def test_state_of_a_gateway_is_ignored() -> None:
    """A top-level state counts only if the response has a RequestId, as those of the service do."""
    assert read_snapshot(COPYRIGHT_EXTRACT, "J", {"status": "error"}).state is JobState.RUNNING


def test_success_without_text_has_no_result() -> None:
    """A state of success without a text is a success without a result."""
    snapshot = read_snapshot(COPYRIGHT_EXTRACT, "J", {"Data": {"Message": "", "Status": "Success"}})
    assert (snapshot.state, snapshot.result) == (JobState.SUCCEEDED, None)


@pytest.mark.parametrize("code", [200, 200.0, "200", "OK", "ok", "Success", None])
def test_code_of_success_is_dropped(code: object) -> None:
    """A code that means success is not kept, nor is its message."""
    snapshot = read_snapshot(COPYRIGHT_EXTRACT, "J", {"StatusCode": code, "Message": "ok"})
    assert (snapshot.code, snapshot.message, snapshot.is_empty) == (None, None, True)


@pytest.mark.parametrize(("code", "text"), [(500, "500"), ("403", "403"), (0, "0"), ("Strange.Thing", "Strange.Thing")])
def test_error_code_is_kept(code: object, text: str) -> None:
    """An undocumented StatusCode is kept: the job counts as running, and the response is not empty."""
    snapshot = read_snapshot(COPYRIGHT_EXTRACT, "J", {"StatusCode": code, "Message": "no"})
    assert (snapshot.state, snapshot.code, snapshot.message, snapshot.is_empty) == (JobState.RUNNING, text, "no", False)


@pytest.mark.parametrize(
    ("body", "state", "result", "code", "message"),
    [
        ({"Status": "Success", "Result": '{"a":1}'}, JobState.SUCCEEDED, '{"a":1}', None, None),
        ({"Status": "Success", "Result": {"a": [1]}}, JobState.SUCCEEDED, {"a": [1]}, None, None),
        ({"Status": "Success"}, JobState.SUCCEEDED, None, None, None),
        # The service may send a part of the result while the job is running.
        ({"Status": "Analysing", "Result": "half"}, JobState.RUNNING, "half", None, None),
        ({"Status": "Fail", "Code": "NoVideo", "Message": "m"}, JobState.FAILED, None, "NoVideo", "m"),
        ({"Data": {"Status": "Success"}, "State": "Success"}, JobState.RUNNING, None, None, None),
    ],
)
def test_documented_state_decides_alone(
    body: dict[str, Any], state: JobState, result: Any, code: str | None, message: str | None
) -> None:
    """If a family documents a state, only that decides, and the result may be any JSON value."""
    snapshot = read_snapshot(IPRODUCTION, "J", {**body, "RequestId": "R"})
    assert (snapshot.state, snapshot.result, snapshot.code, snapshot.message) == (state, result, code, message)


def test_family_can_define_its_own_states() -> None:
    """A family whose states have other meanings defines them in its row."""
    own = dataclasses.replace(
        IPRODUCTION,
        success_states=frozenset({"playable"}),
        failure_states=frozenset({"stopped"}),
        cancel_states=frozenset({"deleted"}),
        running_states=frozenset({"finished"}),
    )
    states = {
        text: read_snapshot(own, "J", {"Status": text}) for text in ("Playable", "Stopped", "Deleted", "Finished")
    }
    assert [snapshot.state.value for snapshot in states.values()] == ["succeeded", "failed", "cancelled", "running"]
    assert all(snapshot.is_known_state for snapshot in states.values())


def test_reports_state_is_false_without_a_state_path() -> None:
    """A family reports a state if its row has a state path."""
    assert not COPYRIGHT_EXTRACT.reports_state
    assert IPRODUCTION.reports_state


def test_texts_of_the_service_are_redacted() -> None:
    """Texts that are logged are redacted; the result and the raw response are not changed."""
    body = {"Status": "secret-word", "Code": "secret-code", "Message": "secret-text", "Result": "secret-result"}
    snapshot = read_snapshot(IPRODUCTION, "J", body, redact=lambda text: text.replace("secret", "***"))
    assert (snapshot.service_state, snapshot.code, snapshot.message) == ("***-word", "***-code", "***-text")
    assert json.loads(snapshot.response) == {name: value.replace("secret", "***") for name, value in body.items()}
    assert snapshot.result == "secret-result"
    assert snapshot.raw is body
    assert "raw" not in repr(snapshot)


def test_response_is_logged_in_one_line() -> None:
    """A snapshot has the response as one readable line of JSON."""
    body = {"Data": {"Message": "夜\n"}, "StatusCode": 200}
    assert read_snapshot(COPYRIGHT_EXTRACT, "J", body).response == '{"Data":{"Message":"夜\\n"},"StatusCode":200}'


@pytest.mark.parametrize("job_id", ["", " \n", None, 5, ["J"]])
def test_invalid_job_id_is_refused(job_id: object) -> None:
    """A value that is not a JobId is refused; the message names the family."""
    with pytest.raises(ImsConfigurationError, match=r"Give the JobId of a IProductionJob\."):
        check_job_id(IPRODUCTION, job_id)
    check_job_id(IPRODUCTION, "J")


def test_family_without_regions_is_accepted_everywhere() -> None:
    """A family whose row has no regions is available in all of them."""
    check_region(IPRODUCTION, "cn-hangzhou")


def test_job_type_can_be_given_as_a_row() -> None:
    """find_job_type returns a row unchanged, even if the table does not have it."""
    assert find_job_type(IPRODUCTION) is IPRODUCTION
