"""How a wait ends: the event of a trigger, and what a task makes of it."""

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

# ---- the ending, as an event

REFUSAL = ImsCredentialsError(
    "Query was refused.", advice="Check.", action="Q", code="K", request_id="R-2", http_status=403, retry_after=1.5
)


def outcome(kind: OutcomeKind, **changes: Any) -> JobOutcome:
    """Return an ending with all its facts."""
    facts = {
        "job_type": "CopyrightExtractJob",
        "job_id": "J-1",
        "request_id": "R-1",
        "response": '{"StatusCode":200}',
        "elapsed": 605.0,
        "polls": 9,
        "error": to_primitives(REFUSAL) if kind is OutcomeKind.REFUSED else None,
        "failure": REFUSAL.problem if kind is OutcomeKind.REFUSED else None,
    }
    return JobOutcome(kind=kind, **{**facts, **changes})


@pytest.mark.parametrize(
    "told",
    [
        outcome(OutcomeKind.SUCCEEDED, result="夜 (c)"),
        outcome(OutcomeKind.SUCCEEDED, result={"Files": ["a", 1, None]}),
        outcome(OutcomeKind.NOTHING_FOUND),
        outcome(OutcomeKind.FAILED, service_state="Fail", code="403", message="no"),
        outcome(OutcomeKind.CANCELLED, service_state="Canceled"),
        outcome(OutcomeKind.TIMEOUT, failure="no route", request_id=None, response=None),
        outcome(OutcomeKind.REFUSED),
    ],
    ids=lambda told: told.kind.value,
)
def test_ending_survives_the_way_through_the_database(told: JobOutcome) -> None:
    """An ending is the same after it was an event in JSON, fields of a newer version left out."""
    assert {type(value) for value in told.to_event().values()} <= {str, int, float, bool, dict, list, type(None)}
    event = json.loads(json.dumps(told.to_event()))
    assert JobOutcome.from_event(event, IPRODUCTION, "J-1") == told
    assert JobOutcome.from_event({**event, "of_a_newer_version": {"x": 1}}, IPRODUCTION, None) == told


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
def test_every_refusal_can_be_an_event(error: ImsError) -> None:
    """Whatever class a poll can end in survives the event, class and attributes."""
    told = outcome(OutcomeKind.REFUSED, error=to_primitives(error) | {"of_a_newer_version": 1})
    event = json.loads(json.dumps(told.to_event()))
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
    "no text as kind": {**EVENT, "kind": None},
    "no text as job_id": {**EVENT, "job_id": 7},
    "no text as job_type": {**EVENT, "job_type": None},
    "no number as polls": {**EVENT, "polls": "9"},
    "no number as elapsed": {**EVENT, "elapsed": None},
    "refused without error": {**EVENT, "error": None},
    "refused with text": {**EVENT, "error": "no"},
    "refused without class": {**EVENT, "error": {"problem": "p"}},
    "refused with foreign class": {**EVENT, "error": {"class": "SystemExit", "problem": "p"}},
    "refused without problem": {**EVENT, "error": {"class": "ImsError"}},
    "time that is no number": {**EVENT, "elapsed": math.nan},
    "no text as result": {**EVENT, "result": 7},
    "not JSON": {**EVENT, "result": object()},
}


@pytest.mark.parametrize("event", MALFORMED.values(), ids=MALFORMED)
def test_event_that_cannot_be_read_is_its_own_error(event: object) -> None:
    """A missing or broken report of the triggerer fails the task, with the job and what to do."""
    with pytest.raises(ImsTriggerEventError, match=r"report on job J-1 is missing or cannot be read: ") as caught:
        JobOutcome.from_event(event, COPYRIGHT_EXTRACT, "J-1")
    assert caught.value.job_id == "J-1"
    assert "ImsJobSensor on its JobId" in str(caught.value)
    with pytest.raises(ImsTriggerEventError, match=r"report on job \(see the XCom job_id\) is missing"):
        JobOutcome.from_event(event, COPYRIGHT_EXTRACT, None)


def test_event_about_another_job_is_refused() -> None:
    """A report on another job is not taken for that on ours."""
    with pytest.raises(ImsTriggerEventError, match=r"report on job J-2 .* it is about job J-1"):
        JobOutcome.from_event(EVENT, COPYRIGHT_EXTRACT, "J-2")


# ---- the ending, as the end of a task


@pytest.mark.parametrize(
    ("told", "job_type", "result"),
    [
        (outcome(OutcomeKind.SUCCEEDED, result="(c) Studio"), COPYRIGHT_EXTRACT, "(c) Studio"),
        # An empty text: Airflow 3 does not hand an XCom that is None to another task.
        (outcome(OutcomeKind.NOTHING_FOUND), COPYRIGHT_EXTRACT, ""),
        (outcome(OutcomeKind.SUCCEEDED), COPYRIGHT_EXTRACT, ""),
        (outcome(OutcomeKind.SUCCEEDED, result={"Files": ["a"]}), IPRODUCTION, {"Files": ["a"]}),
        (outcome(OutcomeKind.SUCCEEDED), IPRODUCTION, None),
    ],
    ids=["text", "nothing found", "no text", "any result", "no result"],
)
def test_good_outcome_has_the_result(told: JobOutcome, job_type: JobType, result: Any) -> None:
    """A wait that ends well returns the job's result; a text is empty if the job found none."""
    assert finish(told, job_type) == result


FACTS = ["CopyrightExtractJob J-1", "9 polls in 10 min", "RequestId R-1", 'Last response: {"StatusCode":200}']
BAD_ENDS: list[tuple[JobOutcome, type[ImsJobError], list[str]]] = [
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
            "It may still go on: an ImsJobSensor on its JobId polls again",
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
            "Wait on with an ImsJobSensor on this JobId",
            "set no_watermark_after",
        ],
    ),
    (
        outcome(OutcomeKind.TIMEOUT, service_state="Pondering"),
        ImsJobTimeoutError,
        ["has not ended in time (state 'Pondering')", "Wait on with an ImsJobSensor on this JobId"],
    ),
]


@pytest.mark.parametrize(("told", "kind", "says"), BAD_ENDS)
def test_bad_end_is_an_error_with_the_facts(told: JobOutcome, kind: type[ImsJobError], says: list[str]) -> None:
    """An error says what became of which job, the last answer, how long it was waited for, and what to do."""
    with pytest.raises(kind) as caught:
        finish(told, COPYRIGHT_EXTRACT)
    for text in [*FACTS, *says]:
        assert text in str(caught.value)
    assert type(caught.value) is kind
    assert (caught.value.job_id, caught.value.request_id) == ("J-1", "R-1")


@pytest.mark.parametrize(
    ("told", "job_type"),
    [
        (outcome(OutcomeKind.TIMEOUT, service_state="Pondering"), COPYRIGHT_EXTRACT),
        (outcome(OutcomeKind.TIMEOUT), IPRODUCTION),
    ],
)
def test_time_out_of_a_job_with_a_state_has_one_reading(told: JobOutcome, job_type: JobType) -> None:
    """If the service reports a state, a time-out does not speak of empty responses."""
    with pytest.raises(ImsJobTimeoutError) as caught:
        finish(told, job_type)
    assert "no_watermark_after" not in str(caught.value)
    # Airflow does not retry the time-out of a sensor.
    assert isinstance(caught.value, AirflowSensorTimeout)


def test_end_without_any_answer_says_so() -> None:
    """Where no poll was ever answered, the error does not pretend that one was."""
    with pytest.raises(
        ImsJobTimeoutError, match=r"after 1 poll in 5\.0 s\. Last response: none.*\. The last poll failed: x"
    ):
        finish(
            outcome(OutcomeKind.TIMEOUT, request_id=None, response=None, polls=1, elapsed=5.0, failure="x"),
            COPYRIGHT_EXTRACT,
        )


@pytest.mark.parametrize(
    ("elapsed", "says"),
    [(0.0, "0.0 s"), (59.9, "59.9 s"), (60.0, "1 min"), (5900.0, "98 min"), (6000.0, "1.7 h"), (86400.0, "24.0 h")],
)
def test_time_waited_is_readable(elapsed: float, says: str) -> None:
    """The time waited is told in the unit that a reader would choose."""
    with pytest.raises(ImsJobFailedError, match=f"after 9 polls in {says}. "):
        finish(outcome(OutcomeKind.FAILED, elapsed=elapsed), COPYRIGHT_EXTRACT)


def test_refusal_keeps_class_and_attributes() -> None:
    """A refused wait raises the refusal itself, with what it was about, and says that the job goes on."""
    with pytest.raises(ImsCredentialsError) as caught:
        finish(outcome(OutcomeKind.REFUSED), COPYRIGHT_EXTRACT)
    error = caught.value
    assert (error.action, error.code, error.request_id) == ("Q", "K", "R-2")
    assert (error.http_status, error.retry_after) == (403, 1.5)
    for text in [
        *FACTS,
        "Query was refused. Check. The job itself goes on, and is billed",
        "ImsJobSensor on its JobId",
    ]:
        assert text in str(error)
    assert str(error) == f"{error.problem} {error.advice}"
