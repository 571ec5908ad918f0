"""How a wait ends: the event of a trigger, and what a task makes of it."""

from __future__ import annotations

import json
import math
from typing import Any

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
from airflow_provider_ims.jobs.outcome import End, Ending, finish

# ---- the ending, as an event

REFUSAL = ImsCredentialsError(
    "Query was refused.", advice="Check.", action="Q", code="K", request_id="R-2", http_status=403, retry_after=1.5
)


def ending(end: End, **changes: Any) -> Ending:
    """Return an ending with all its facts."""
    facts = {
        "job_type": "CopyrightExtractJob",
        "job_id": "J-1",
        "request_id": "R-1",
        "response": '{"StatusCode":200}',
        "elapsed": 605.0,
        "polls": 9,
        "error": to_primitives(REFUSAL) if end is End.REFUSED else None,
        "failure": REFUSAL.problem if end is End.REFUSED else None,
    }
    return Ending(end=end, **{**facts, **changes})


@pytest.mark.parametrize(
    "told",
    [
        ending(End.SUCCEEDED, result="夜 (c)"),
        ending(End.SUCCEEDED, result={"Files": ["a", 1, None]}, is_stateless=False),
        ending(End.NOTHING_FOUND),
        ending(End.FAILED, word="Fail", code="403", message="no"),
        ending(End.CANCELLED, word="Canceled"),
        ending(End.TIMEOUT, failure="no route", request_id=None, response=None),
        ending(End.REFUSED),
    ],
    ids=lambda told: told.end.value,
)
def test_ending_survives_the_way_through_the_database(told: Ending) -> None:
    """An ending is the same after it was an event in JSON, fields of a newer version left out."""
    assert {type(value) for value in told.as_event().values()} <= {str, int, float, bool, dict, type(None)}
    event = json.loads(json.dumps(told.as_event()))
    assert Ending.from_event(event, "J-1") == told
    assert Ending.from_event({**event, "of_a_newer_version": {"x": 1}}, None) == told


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
    told = ending(End.REFUSED, error=to_primitives(error) | {"of_a_newer_version": 1})
    event = json.loads(json.dumps(told.as_event()))
    with pytest.raises(type(error)) as caught:
        finish(Ending.from_event(event, "J-1"))
    assert type(caught.value) is type(error)


EVENT = ending(End.REFUSED).as_event()
MALFORMED: dict[str, object] = {
    "none": None,
    "text": "succeeded",
    "list": [EVENT],
    "empty": {},
    "no end": {name: value for name, value in EVENT.items() if name != "end"},
    "no job_id": {name: value for name, value in EVENT.items() if name != "job_id"},
    "no job_type": {name: value for name, value in EVENT.items() if name != "job_type"},
    "unknown end": {**EVENT, "end": "evaporated"},
    "no text as end": {**EVENT, "end": None},
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
}


@pytest.mark.parametrize("event", MALFORMED.values(), ids=MALFORMED)
def test_event_that_cannot_be_read_is_its_own_error(event: object) -> None:
    """A missing or broken report of the triggerer fails the task, with the job and what to do."""
    with pytest.raises(ImsTriggerEventError, match=r"report on job J-1 is missing or cannot be read: ") as caught:
        Ending.from_event(event, "J-1")
    assert caught.value.job_id == "J-1"
    assert "ImsJobSensor on its JobId" in str(caught.value)
    with pytest.raises(ImsTriggerEventError, match=r"report on job \(see the XCom job_id\) is missing"):
        Ending.from_event(event, None)


def test_event_about_another_job_is_refused() -> None:
    """A report on another job is not taken for that on ours."""
    with pytest.raises(ImsTriggerEventError, match=r"report on job J-2 .* it is about job J-1"):
        Ending.from_event(EVENT, "J-2")


# ---- the ending, as the end of a task


@pytest.mark.parametrize(
    ("told", "result"),
    [
        (ending(End.SUCCEEDED, result="(c) Studio"), "(c) Studio"),
        # An empty text: Airflow 3 hands no XCom that is None to another task.
        (ending(End.NOTHING_FOUND), ""),
        (ending(End.SUCCEEDED), ""),
        (ending(End.SUCCEEDED, is_stateless=False, result={"Files": ["a"]}), {"Files": ["a"]}),
        (ending(End.SUCCEEDED, is_stateless=False), None),
    ],
    ids=["text", "nothing found", "no text", "any result", "no result"],
)
def test_good_end_has_the_result(told: Ending, result: Any) -> None:
    """A wait that ends well gives the job's result; for a watermark that is a text, empty where there is none."""
    assert finish(told) == result


FACTS = ["CopyrightExtractJob J-1", "9 polls in 10 min", "RequestId R-1", 'Last answer: {"StatusCode":200}']
BAD_ENDS: list[tuple[Ending, type[ImsJobError], list[str]]] = [
    (
        ending(End.FAILED, word="Fail"),
        ImsJobFailedError,
        ["failed (state 'Fail')", "Look at the video and the arguments", "A new submission is a new bill"],
    ),
    (
        ending(End.FAILED, code="403", message="no"),
        ImsJobFailedError,
        [
            "is taken for failed, since answer after answer was of a kind that is not documented",
            "(code 403, message 'no')",
            "It may still go on: an ImsJobSensor on its JobId asks again",
            "a new submission is a new bill",
        ],
    ),
    (
        ending(End.CANCELLED, word="Canceled"),
        ImsJobCancelledError,
        ["was cancelled (state 'Canceled')", "outside of Airflow", "A new submission is a new bill"],
    ),
    (
        ending(End.TIMEOUT, failure="no route."),
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
        ending(End.TIMEOUT, word="Pondering"),
        ImsJobTimeoutError,
        ["has not ended in time (state 'Pondering')", "Wait on with an ImsJobSensor on this JobId"],
    ),
]


@pytest.mark.parametrize(("told", "kind", "says"), BAD_ENDS)
def test_bad_end_is_an_error_with_the_facts(told: Ending, kind: type[ImsJobError], says: list[str]) -> None:
    """An error says what became of which job, the last answer, how long it was waited for, and what to do."""
    with pytest.raises(kind) as caught:
        finish(told)
    for text in [*FACTS, *says]:
        assert text in str(caught.value)
    assert type(caught.value) is kind
    assert (caught.value.job_id, caught.value.request_id) == ("J-1", "R-1")


@pytest.mark.parametrize("told", [ending(End.TIMEOUT, word="Pondering"), ending(End.TIMEOUT, is_stateless=False)])
def test_time_out_of_a_job_with_a_state_has_one_reading(told: Ending) -> None:
    """Where the service tells a state, a time-out does not speak of silence."""
    with pytest.raises(ImsJobTimeoutError) as caught:
        finish(told)
    assert "no_watermark_after" not in str(caught.value)
    # Airflow does not retry the time-out of a sensor.
    assert isinstance(caught.value, AirflowSensorTimeout)


def test_end_without_any_answer_says_so() -> None:
    """Where no poll was ever answered, the error does not pretend that one was."""
    with pytest.raises(
        ImsJobTimeoutError, match=r"after 1 poll in 5\.0 s\. Last answer: none.*\. The last poll failed: x"
    ):
        finish(ending(End.TIMEOUT, request_id=None, response=None, polls=1, elapsed=5.0, failure="x"))


@pytest.mark.parametrize(
    ("elapsed", "says"),
    [(0.0, "0.0 s"), (59.9, "59.9 s"), (60.0, "1 min"), (5900.0, "98 min"), (6000.0, "1.7 h"), (86400.0, "24.0 h")],
)
def test_time_waited_is_readable(elapsed: float, says: str) -> None:
    """The time waited is told in the unit that a reader would choose."""
    with pytest.raises(ImsJobFailedError, match=f"after 9 polls in {says}. "):
        finish(ending(End.FAILED, elapsed=elapsed))


def test_refusal_keeps_class_and_attributes() -> None:
    """A refused wait raises the refusal itself, with what it was about, and says that the job goes on."""
    with pytest.raises(ImsCredentialsError) as caught:
        finish(ending(End.REFUSED))
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
