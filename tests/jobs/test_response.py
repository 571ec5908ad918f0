"""What an answer says of a job."""

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
def test_text_is_the_sign_of_success(data: object, state: JobState, result: str | None) -> None:
    """A job has succeeded when there is text, without the newline the service may append."""
    body = {"Data": data, "Message": "ok", "RequestId": "R", "StatusCode": 200, "Extra": 1}
    seen = read_snapshot(COPYRIGHT_EXTRACT, "J", body)
    assert (seen.job_id, seen.state, seen.result, seen.request_id) == ("J", state, result, "R")
    assert seen.raw is body


def test_submission_has_the_job_id() -> None:
    """The answer to a submission is read with its request id, the body kept."""
    body = {"Data": {"JobId": "J"}, "RequestId": "R"}
    accepted = read_submission(COPYRIGHT_EXTRACT, body)
    assert accepted is not None
    assert (accepted.job_id, accepted.request_id, accepted.response) == ("J", "R", body)


@pytest.mark.parametrize("body", [{}, {"Data": {}}, {"Data": {"JobId": " "}}, {"Data": "J"}, {"Data": {"JobId": 5}}])
def test_answer_without_job_id_is_no_submission(body: dict[str, Any]) -> None:
    """An answer without a JobId is not taken for a submission."""
    assert read_submission(COPYRIGHT_EXTRACT, body) is None


def test_unknown_family_is_refused() -> None:
    """A misspelt job type names those that exist."""
    assert find_job_type("CopyrightExtractJob") is COPYRIGHT_EXTRACT
    with pytest.raises(ImsConfigurationError, match=r"Unknown job type 'Extract'. Known are: CopyrightExtractJob"):
        find_job_type("Extract")


def test_region_that_lacks_the_family_is_refused() -> None:
    """Watermark jobs are offered in two regions only."""
    for region in ("cn-shanghai", "cn-beijing"):
        check_region(COPYRIGHT_EXTRACT, region)
    with pytest.raises(ImsConfigurationError, match=r"'cn-hangzhou'. Use cn-beijing or cn-shanghai"):
        check_region(COPYRIGHT_EXTRACT, "cn-hangzhou")


WORDS = [
    *((word, JobState.SUCCEEDED) for word in ["Success", "SUCCESS", "succeed", "Succeeded", "Finished", "Complete"]),
    *((word, JobState.FAILED) for word in ["Fail", "FAILED", "failed", "Error"]),
    *((word, JobState.CANCELLED) for word in ["Canceled", "CANCELLED", "cancel"]),
    *((word, JobState.RUNNING) for word in ["Init", "QUEUING", "processing", "Analysing", "Analyzing", "Executing"]),
    (" Success\n", JobState.SUCCEEDED),
    (" Processing ", JobState.RUNNING),
]


@pytest.mark.parametrize(("word", "state"), WORDS)
@pytest.mark.parametrize("job_type", [COPYRIGHT_EXTRACT, IPRODUCTION], ids=["undocumented", "documented"])
def test_words_of_ims_are_known_in_any_case(job_type: JobType, word: str, state: JobState) -> None:
    """The service's words for a state mean the same in any case, documented or not, and stay readable."""
    seen = read_snapshot(job_type, "J", {"RequestId": "R", "Status": word})
    assert (seen.state, seen.service_state, seen.is_known_state) == (state, word.strip(), True)
    assert not seen.is_empty


@pytest.mark.parametrize("word", ["Pondering", "Suspended", "2", "Successful"])
@pytest.mark.parametrize("job_type", [COPYRIGHT_EXTRACT, IPRODUCTION], ids=["undocumented", "documented"])
def test_unknown_word_counts_as_running(job_type: JobType, word: str) -> None:
    """A word that nobody knows is no end, and can be told from one that means running."""
    seen = read_snapshot(job_type, "J", {"RequestId": "R", "Status": word})
    assert (seen.state, seen.service_state, seen.is_known_state) == (JobState.RUNNING, word, False)


@pytest.mark.parametrize(
    "body", [{}, {"Status": None}, {"Status": ""}, {"Status": " "}, {"Status": True}, {"Status": {}}]
)
@pytest.mark.parametrize("job_type", [COPYRIGHT_EXTRACT, IPRODUCTION], ids=["undocumented", "documented"])
def test_answer_without_a_word_is_silent(job_type: JobType, body: dict[str, Any]) -> None:
    """What is no text is no state."""
    seen = read_snapshot(job_type, "J", body)
    assert (seen.state, seen.service_state, seen.is_known_state, seen.is_empty) == (JobState.RUNNING, None, True, True)


PLACES = [
    pytest.param(lambda field: {"Data": field}, id="in Data"),
    pytest.param(lambda field: field, id="beside Data"),
    pytest.param(lambda field: {"Data": None, **field}, id="beside null"),
    pytest.param(lambda field: {"Data": "text", **field}, id="beside text"),
]


@pytest.mark.parametrize("name", ["Status", "State", "JobStatus", "status", "STATE", "jobStatus"])
@pytest.mark.parametrize("place", PLACES)
def test_undocumented_state_is_obeyed(place: Callable[[dict[str, Any]], dict[str, Any]], name: str) -> None:
    """A state that the service should send all the same is found at each place, in any spelling of its key."""
    seen = read_snapshot(COPYRIGHT_EXTRACT, "J", {"Message": "ok", "RequestId": "R", **place({name: "Fail"})})
    assert (seen.state, seen.service_state, seen.result) == (JobState.FAILED, "Fail", None)


def test_state_of_the_job_goes_before_that_of_the_answer() -> None:
    """Where both places have a state, that in Data is the job's."""
    body = {"Data": {"Status": "Processing"}, "Status": "Success"}
    assert read_snapshot(COPYRIGHT_EXTRACT, "J", body).service_state == "Processing"


@pytest.mark.parametrize("word", ["Success", "Processing", "Pondering"])
def test_text_wins_over_a_state_that_is_no_failure(word: str) -> None:
    """A job with a watermark has succeeded, even where the state that the service should send lags behind."""
    seen = read_snapshot(COPYRIGHT_EXTRACT, "J", {"Data": {"Message": "(c) Studio", "Status": word}})
    assert (seen.state, seen.result, seen.service_state) == (JobState.SUCCEEDED, "(c) Studio", word)


@pytest.mark.parametrize(("word", "state"), [("Fail", JobState.FAILED), ("Canceled", JobState.CANCELLED)])
def test_text_of_a_failure_is_no_watermark(word: str, state: JobState) -> None:
    """Text beside a state of failure is an error's text: nobody is to take a film down for it."""
    assert read_snapshot(COPYRIGHT_EXTRACT, "J", {"Data": {"Message": "file not found", "Status": word}}).state is state


def test_text_beside_a_strange_code_is_no_watermark_yet() -> None:
    """A StatusCode other than 200 makes a text doubtful, so that the wait goes on."""
    seen = read_snapshot(COPYRIGHT_EXTRACT, "J", {"StatusCode": 500, "Data": {"Message": "InternalError"}})
    assert (seen.state, seen.is_unexplained, seen.is_empty) == (JobState.RUNNING, True, False)


@pytest.mark.parametrize(
    "body", [{"Data": "x"}, {"Data": {"Message": ["x"]}}, {"Data": {"Message": 1}}, {"Success": False}]
)
def test_answer_of_another_form_is_not_silence(body: dict[str, Any]) -> None:
    """What cannot be read is neither a watermark nor the lack of one."""
    seen = read_snapshot(COPYRIGHT_EXTRACT, "J", {"RequestId": "R", **body})
    assert (seen.state, seen.is_unexplained, seen.is_empty) == (JobState.RUNNING, True, False)


def test_state_of_a_gateway_is_not_the_jobs() -> None:
    """A top-level state counts in an answer of the service, which has a RequestId, only."""
    assert read_snapshot(COPYRIGHT_EXTRACT, "J", {"status": "error"}).state is JobState.RUNNING


def test_success_without_text_has_no_result() -> None:
    """A success that the service tells without a text is a success that found nothing."""
    seen = read_snapshot(COPYRIGHT_EXTRACT, "J", {"Data": {"Message": "", "Status": "Success"}})
    assert (seen.state, seen.result) == (JobState.SUCCEEDED, None)


@pytest.mark.parametrize("code", [200, "200", "OK", "ok", "Success", None])
def test_code_of_success_is_no_code(code: object) -> None:
    """Only a code of trouble is kept, with its text: what comes with a success says nothing."""
    seen = read_snapshot(COPYRIGHT_EXTRACT, "J", {"StatusCode": code, "Message": "ok"})
    assert (seen.code, seen.message, seen.is_empty) == (None, None, True)


@pytest.mark.parametrize(("code", "told"), [(500, "500"), ("403", "403"), (0, "0"), ("Strange.Thing", "Strange.Thing")])
def test_code_of_trouble_is_kept(code: object, told: str) -> None:
    """A StatusCode that nobody documents is no end, and is no silence either."""
    seen = read_snapshot(COPYRIGHT_EXTRACT, "J", {"StatusCode": code, "Message": "no"})
    assert (seen.state, seen.code, seen.message, seen.is_empty) == (JobState.RUNNING, told, "no", False)


@pytest.mark.parametrize(
    ("body", "state", "result", "code", "message"),
    [
        ({"Status": "Success", "Result": '{"a":1}'}, JobState.SUCCEEDED, '{"a":1}', None, None),
        ({"Status": "Success", "Result": {"a": [1]}}, JobState.SUCCEEDED, {"a": [1]}, None, None),
        ({"Status": "Success"}, JobState.SUCCEEDED, None, None, None),
        # The service may have a part of the result before the end.
        ({"Status": "Analysing", "Result": "half"}, JobState.RUNNING, "half", None, None),
        ({"Status": "Fail", "Code": "NoVideo", "Message": "m"}, JobState.FAILED, None, "NoVideo", "m"),
        ({"Data": {"Status": "Success"}, "State": "Success"}, JobState.RUNNING, None, None, None),
    ],
)
def test_family_with_a_state(
    body: dict[str, Any], state: JobState, result: Any, code: str | None, message: str | None
) -> None:
    """Where a state is documented, it alone tells the end, and the result may be anything."""
    seen = read_snapshot(IPRODUCTION, "J", {**body, "RequestId": "R"})
    assert (seen.state, seen.result, seen.code, seen.message) == (state, result, code, message)


def test_family_with_words_of_its_own() -> None:
    """A family whose words mean something else says so in its row."""
    own = dataclasses.replace(
        IPRODUCTION,
        success_states=frozenset({"playable"}),
        failure_states=frozenset({"stopped"}),
        cancel_states=frozenset({"deleted"}),
        running_states=frozenset({"finished"}),
    )
    states = {
        word: read_snapshot(own, "J", {"Status": word}) for word in ("Playable", "Stopped", "Deleted", "Finished")
    }
    assert [seen.state.value for seen in states.values()] == ["succeeded", "failed", "cancelled", "running"]
    assert all(seen.is_known_state for seen in states.values())


def test_only_families_without_a_state_are_silent_about_it() -> None:
    """A row without a state path is a family whose silence has more than one reading."""
    assert not COPYRIGHT_EXTRACT.reports_state
    assert IPRODUCTION.reports_state


def test_texts_of_the_service_are_made_harmless() -> None:
    """What may end in a log or a message is cleaned; the result is the user's and stays as it is."""
    body = {"Status": "secret-word", "Code": "secret-code", "Message": "secret-text", "Result": "secret-result"}
    seen = read_snapshot(IPRODUCTION, "J", body, redact=lambda text: text.replace("secret", "***"))
    assert (seen.service_state, seen.code, seen.message) == ("***-word", "***-code", "***-text")
    assert json.loads(seen.response) == {name: value.replace("secret", "***") for name, value in body.items()}
    assert seen.result == "secret-result"
    assert seen.raw is body
    assert "raw" not in repr(seen)


def test_answer_is_one_line() -> None:
    """An answer is told in one readable line, fit for a log."""
    body = {"Data": {"Message": "夜\n"}, "StatusCode": 200}
    assert read_snapshot(COPYRIGHT_EXTRACT, "J", body).response == '{"Data":{"Message":"夜\\n"},"StatusCode":200}'


@pytest.mark.parametrize("job_id", ["", " \n", None, 5, ["J"]])
def test_what_is_no_job_id_is_refused(job_id: object) -> None:
    """What cannot be the id of a job is refused with the family whose id is wanted."""
    with pytest.raises(ImsConfigurationError, match=r"Give the JobId of a IProductionJob\."):
        check_job_id(IPRODUCTION, job_id)
    check_job_id(IPRODUCTION, "J")


def test_family_of_all_regions_has_no_wrong_one() -> None:
    """A row without regions is offered everywhere."""
    check_region(IPRODUCTION, "cn-hangzhou")


def test_row_can_stand_for_its_name() -> None:
    """A job type that is given as a row need not be in the table."""
    assert find_job_type(IPRODUCTION) is IPRODUCTION
