"""The outcome of a wait: the event of a trigger, and the result or error of the task."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout

from airflow_provider_ims.exceptions import (
    ImsApiError,
    ImsConfigurationError,
    ImsCredentialsError,
    ImsError,
    ImsJobCancelledError,
    ImsJobError,
    ImsJobFailedError,
    ImsJobTimeoutError,
    ImsNotFoundError,
    ImsRequestError,
    ImsServiceError,
    ImsThrottledError,
    ImsTransportError,
    ImsTriggerEventError,
    to_primitives,
)
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.outcome import JobOutcome, OutcomeKind, finish
from tests.families import IPRODUCTION

if TYPE_CHECKING:
    from airflow_provider_ims.jobs.types import JobType

# ---- the outcome as an event

REFUSED_QUERY = ImsCredentialsError(
    "Query was refused.", advice="Check.", action="Q", code="K", request_id="R-2", http_status=403, retry_after=1.5
)


def outcome(kind: OutcomeKind, **changes: Any) -> JobOutcome:
    """Return an outcome with all its fields."""
    fields = {
        "job_type": "CopyrightExtractJob",
        "job_id": "J-1",
        "request_id": "R-1",
        "response": '{"StatusCode":200}',
        "elapsed": 605.0,
        "polls": 9,
        "error": to_primitives(REFUSED_QUERY) if kind is OutcomeKind.REFUSED else None,
        "failure": REFUSED_QUERY.problem if kind is OutcomeKind.REFUSED else None,
    }
    return JobOutcome(kind=kind, **{**fields, **changes})


@pytest.mark.parametrize(
    "original",
    [
        outcome(OutcomeKind.SUCCEEDED, result="夜 (c)"),
        outcome(OutcomeKind.SUCCEEDED, result={"Files": ["a", 1, None]}),
        outcome(OutcomeKind.NOTHING_FOUND),
        outcome(OutcomeKind.FAILED, service_state="Fail", code="403", message="no"),
        outcome(OutcomeKind.CANCELLED, service_state="Canceled"),
        outcome(OutcomeKind.TIMEOUT, failure="no route", request_id=None, response=None),
        outcome(OutcomeKind.REFUSED),
    ],
    ids=lambda original: original.kind.value,
)
def test_outcome_is_restored_from_its_event(original: JobOutcome) -> None:
    """An outcome is equal after it was an event in JSON; fields of a newer version are ignored."""
    assert {type(value) for value in original.to_event().values()} <= {str, int, float, bool, dict, list, type(None)}
    event = json.loads(json.dumps(original.to_event()))
    assert JobOutcome.from_event(event, IPRODUCTION, "J-1") == original
    assert JobOutcome.from_event({**event, "of_a_newer_version": {"x": 1}}, IPRODUCTION, None) == original


@pytest.mark.parametrize(
    "error",
    [
        ImsError("p", advice="a"),
        ImsThrottledError("throttled", retry_after=1.5),
        ImsServiceError("unavailable"),
        ImsTransportError("lost", sent=True),
        ImsCredentialsError("key"),
        ImsRequestError("parameter"),
        ImsConfigurationError("connection"),
        ImsNotFoundError("p", action="Q", code="JobNotFound", http_status=404),
        ImsApiError("odd", code="Strange.Thing"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_error_can_be_an_event(error: ImsError) -> None:
    """An error of any class is raised again with the same class after it was an event."""
    original = outcome(OutcomeKind.REFUSED, error=to_primitives(error) | {"of_a_newer_version": 1})
    event = json.loads(json.dumps(original.to_event()))
    with pytest.raises(type(error)) as caught:
        finish(JobOutcome.from_event(event, COPYRIGHT_EXTRACT, "J-1"), COPYRIGHT_EXTRACT)
    assert type(caught.value) is type(error)


EVENT = outcome(OutcomeKind.REFUSED).to_event()
MALFORMED: dict[str, object] = {
    "none": None,
    "text": "succeeded",
    "list": [EVENT],
    "empty": {},
    "no kind": {name: value for name, value in EVENT.items() if name != "kind"},
    "no job_id": {name: value for name, value in EVENT.items() if name != "job_id"},
    "no job_type": {name: value for name, value in EVENT.items() if name != "job_type"},
    "unknown kind": {**EVENT, "kind": "evaporated"},
    "kind is not a text": {**EVENT, "kind": None},
    "job_id is not a text": {**EVENT, "job_id": 7},
    "job_type is not a text": {**EVENT, "job_type": None},
    "polls is not a number": {**EVENT, "polls": "9"},
    "elapsed is missing": {**EVENT, "elapsed": None},
    "refused without error": {**EVENT, "error": None},
    "refused with text": {**EVENT, "error": "no"},
    "refused without class": {**EVENT, "error": {"problem": "p"}},
    "refused with unknown class": {**EVENT, "error": {"class": "SystemExit", "problem": "p"}},
    "refused without problem": {**EVENT, "error": {"class": "ImsError"}},
    "elapsed is not a number": {**EVENT, "elapsed": math.nan},
    "result is not a text": {**EVENT, "result": 7},
    "not JSON": {**EVENT, "result": object()},
}


@pytest.mark.parametrize("event", MALFORMED.values(), ids=MALFORMED)
def test_unreadable_event_raises_trigger_event_error(event: object) -> None:
    """A missing or unreadable event raises an error that names the job and says what to do."""
    with pytest.raises(ImsTriggerEventError, match=r"report on job J-1 is missing or cannot be read: ") as caught:
        JobOutcome.from_event(event, COPYRIGHT_EXTRACT, "J-1")
    assert caught.value.job_id == "J-1"
    assert "ImsJobSensor on its JobId" in str(caught.value)
    with pytest.raises(ImsTriggerEventError, match=r"report on job \(see the XCom job_id\) is missing"):
        JobOutcome.from_event(event, COPYRIGHT_EXTRACT, None)


def test_event_about_another_job_is_refused() -> None:
    """An event about another job raises ImsTriggerEventError."""
    with pytest.raises(ImsTriggerEventError, match=r"report on job J-2 .* it is about job J-1"):
        JobOutcome.from_event(EVENT, COPYRIGHT_EXTRACT, "J-2")


# ---- the outcome as the result or error of a task


@pytest.mark.parametrize(
    ("success", "job_type", "result"),
    [
        (outcome(OutcomeKind.SUCCEEDED, result="(c) Studio"), COPYRIGHT_EXTRACT, "(c) Studio"),
        # An empty text, because Airflow 3 does not pass an XCom that is None to another task.
        (outcome(OutcomeKind.NOTHING_FOUND), COPYRIGHT_EXTRACT, ""),
        (outcome(OutcomeKind.SUCCEEDED), COPYRIGHT_EXTRACT, ""),
        (outcome(OutcomeKind.SUCCEEDED, result={"Files": ["a"]}), IPRODUCTION, {"Files": ["a"]}),
        (outcome(OutcomeKind.SUCCEEDED), IPRODUCTION, None),
    ],
    ids=["text", "nothing found", "no text", "object", "no object"],
)
def test_success_returns_the_result(success: JobOutcome, job_type: JobType, result: Any) -> None:
    """A task returns the result of a successful job; a missing text becomes the empty text."""
    assert finish(success, job_type) == result


@pytest.mark.parametrize(
    ("success", "job_type", "verdict"),
    [
        (outcome(OutcomeKind.SUCCEEDED, result="(c) Studio"), COPYRIGHT_EXTRACT, "found"),
        (outcome(OutcomeKind.SUCCEEDED, service_state="Success"), COPYRIGHT_EXTRACT, "not_found"),
        (outcome(OutcomeKind.NOTHING_FOUND), COPYRIGHT_EXTRACT, "assumed_not_found"),
        (outcome(OutcomeKind.SUCCEEDED, result={"Files": []}), IPRODUCTION, "succeeded"),
        (outcome(OutcomeKind.SUCCEEDED), IPRODUCTION, "succeeded"),
    ],
    ids=["text", "state without text", "silence", "object", "no object"],
)
def test_verdict_tells_what_the_service_said_from_what_is_assumed(
    success: JobOutcome, job_type: JobType, verdict: str
) -> None:
    """The XCom `outcome` tells a text, "no text" in the service's words, and silence apart."""
    assert success.verdict(job_type) == verdict


FACTS = ["CopyrightExtractJob J-1", "9 polls in 10 min", "RequestId R-1", 'Last response: {"StatusCode":200}']
FAILURES: list[tuple[JobOutcome, type[ImsJobError], list[str]]] = [
    (
        outcome(OutcomeKind.FAILED, service_state="Fail"),
        ImsJobFailedError,
        ["failed (state 'Fail')", "Look at the input and the arguments", "A new submission is a new bill"],
    ),
    (
        outcome(OutcomeKind.FAILED, code="403", message="no"),
        ImsJobFailedError,
        [
            "counts as failed: the last responses were all of a kind that is not documented",
            "(code 403, message 'no')",
            "It may still go on: an ImsCopyrightExtractJobSensor on its JobId polls again",
            "a new submission is a new bill",
        ],
    ),
    (
        outcome(OutcomeKind.CANCELLED, service_state="Canceled"),
        ImsJobCancelledError,
        ["was cancelled (state 'Canceled')", "outside of Airflow", "A new submission is a new bill"],
    ),
    (
        outcome(OutcomeKind.TIMEOUT, failure="no route."),
        ImsJobTimeoutError,
        [
            "has not ended in time",
            "The last poll failed: no route.",
            "may still run, may have found nothing, or may have failed",
            "Wait on with an ImsCopyrightExtractJobSensor on this JobId",
            "set no_watermark_after",
        ],
    ),
    (
        outcome(OutcomeKind.TIMEOUT, service_state="Pondering"),
        ImsJobTimeoutError,
        ["has not ended in time (state 'Pondering')", "Wait on with an ImsCopyrightExtractJobSensor on this JobId"],
    ),
]


@pytest.mark.parametrize(("failure", "kind", "texts"), FAILURES)
def test_failure_raises_an_error_with_the_facts(failure: JobOutcome, kind: type[ImsJobError], texts: list[str]) -> None:
    """The error names the job, its outcome, the last response and the time waited, and says what to do."""
    with pytest.raises(kind) as caught:
        finish(failure, COPYRIGHT_EXTRACT)
    for text in [*FACTS, *texts]:
        assert text in str(caught.value)
    assert type(caught.value) is kind
    assert (caught.value.job_id, caught.value.request_id) == ("J-1", "R-1")


@pytest.mark.parametrize(
    ("timeout", "job_type"),
    [
        (outcome(OutcomeKind.TIMEOUT, service_state="Pondering"), COPYRIGHT_EXTRACT),
        (outcome(OutcomeKind.TIMEOUT), IPRODUCTION),
    ],
)
def test_timeout_of_a_job_with_a_state_does_not_mention_empty_responses(timeout: JobOutcome, job_type: JobType) -> None:
    """If the service reports a state, the time-out error gives no advice on empty responses."""
    with pytest.raises(ImsJobTimeoutError) as caught:
        finish(timeout, job_type)
    assert "no_watermark_after" not in str(caught.value)
    # Airflow does not retry AirflowSensorTimeout.
    assert isinstance(caught.value, AirflowSensorTimeout)


def test_timeout_does_not_advise_what_is_set() -> None:
    """If no_watermark_after is set, the error does not say to set it."""
    with pytest.raises(ImsJobTimeoutError) as caught:
        finish(outcome(OutcomeKind.TIMEOUT, accepts_empty=True), COPYRIGHT_EXTRACT)
    assert "may have found nothing" in str(caught.value)
    assert "no_watermark_after" not in str(caught.value)


def test_timeout_without_a_response_says_none() -> None:
    """If no poll got a response, the error says that there is none."""
    with pytest.raises(
        ImsJobTimeoutError, match=r"after 1 poll in 5\.0 s\. Last response: none.*\. The last poll failed: x"
    ):
        finish(
            outcome(OutcomeKind.TIMEOUT, request_id=None, response=None, polls=1, elapsed=5.0, failure="x"),
            COPYRIGHT_EXTRACT,
        )


@pytest.mark.parametrize(
    ("elapsed", "text"),
    [(0.0, "0.0 s"), (59.9, "59.9 s"), (60.0, "1 min"), (5900.0, "98 min"), (6000.0, "1.7 h"), (86400.0, "24.0 h")],
)
def test_time_waited_has_a_readable_unit(elapsed: float, text: str) -> None:
    """The message has the time waited in seconds, minutes or hours, depending on its length."""
    with pytest.raises(ImsJobFailedError, match=f"after 9 polls in {text}. "):
        finish(outcome(OutcomeKind.FAILED, elapsed=elapsed), COPYRIGHT_EXTRACT)


@pytest.mark.parametrize(
    ("result", "job_type", "found"),
    [
        ("(c) Studio", COPYRIGHT_EXTRACT.name, ": '(c) Studio'"),
        ("x" * 101, COPYRIGHT_EXTRACT.name, f": {'x' * 100!r}..."),
        (None, COPYRIGHT_EXTRACT.name, ": no watermark"),
        ("", COPYRIGHT_EXTRACT.name, ": no watermark"),
        (None, "MediaInfoJob", ""),
        ({"Url": "https://b-1/a?Signature=x", "Size": 1}, "MediaInfoJob", ": an object with Url, Size"),
        ([1, 2], "MediaInfoJob", ": a list of 2"),
        ({}, "MediaInfoJob", ""),
        (None, "a family of a newer version", ""),
    ],
)
def test_last_log_line_says_what_was_found(result: Any, job_type: str, found: str) -> None:
    """The log line of a success ends with the text, shortened, or the names in a JSON object, without their values."""
    success = JobOutcome(job_type, "J", OutcomeKind.SUCCEEDED, result, polls=2, elapsed=3.0)
    assert success.summary == f"Job J: succeeded after 2 polls in 3.0 s{found}"


def test_refused_wait_raises_the_original_error() -> None:
    """A refused wait raises the original error with its attributes, and says that the job goes on."""
    with pytest.raises(ImsCredentialsError) as caught:
        finish(outcome(OutcomeKind.REFUSED), COPYRIGHT_EXTRACT)
    error = caught.value
    assert (error.action, error.code, error.request_id) == ("Q", "K", "R-2")
    assert (error.http_status, error.retry_after) == (403, 1.5)
    for text in [
        *FACTS,
        "Query was refused. Check. The job itself goes on, and is billed",
        "ImsCopyrightExtractJobSensor on its JobId",
    ]:
        assert text in str(error)
    assert str(error) == f"{error.problem} {error.advice}"
