"""The poll policy: when to poll again, and what a response or an error means. Most tests pass in the time."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.exceptions import (
    ImsApiError,
    ImsConfigurationError,
    ImsConnectionNotFoundError,
    ImsCredentialsError,
    ImsError,
    ImsJobTimeoutError,
    ImsNotFoundError,
    ImsRequestError,
    ImsServiceError,
    ImsThrottledError,
    ImsTransportError,
    to_primitives,
)
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.outcome import JobOutcome, OutcomeKind, finish
from airflow_provider_ims.jobs.polling import (
    CORRECTION_GRACE,
    NOT_FOUND_GRACE,
    UNEXPLAINED_LIMIT,
    JobWait,
    WaitOptions,
    poll_once,
    poll_until_done,
    poll_until_explained,
)
from airflow_provider_ims.jobs.response import read_snapshot
from airflow_provider_ims.jobs.types import JobSnapshot, JobType

if TYPE_CHECKING:
    from collections.abc import Callable

SINCE = 1_700_000_000.0
DAY = 86_400.0
SEEDS = range(5)
# From a second to a day, evenly spaced on a logarithmic scale.
LENGTHS = [DAY ** (step / 59) for step in range(60)]

LOGGER = logging.getLogger("tests.polling")

STATEFUL = JobType(
    name="MadeUpJob",
    submit_action="SubmitMadeUpJob",
    query_action="QueryMadeUpJob",
    documentation="https://example.com",
    job_id_path="JobId",
    result_path="Result",
    state_path="Status",
    code_path="Code",
    message_path="Message",
)


def waiting(**changes: Any) -> JobWait:
    """Return a wait for a watermark job that began at SINCE and has a time-out of a day."""
    arguments = {"job_type": COPYRIGHT_EXTRACT, "job_id": "J", "since": SINCE, "deadline": SINCE + DAY, "log": LOGGER}
    return JobWait(**{**arguments, **changes})


def snapshot(body: dict[str, Any] | None = None, job_type: JobType = COPYRIGHT_EXTRACT) -> JobSnapshot:
    """Return the snapshot of a response with this body; by default that of an empty response."""
    return read_snapshot(
        job_type, "J", {"RequestId": "R-1", "StatusCode": 200, "Message": "ok", "Data": {}, **(body or {})}
    )


TEXT = {"Data": {"Message": "(c) Studio"}}
UNKNOWN_STATE = {"Data": {"Status": "Pondering"}}
ERROR_CODE = {"StatusCode": 403, "Message": "no"}


# ---- when to poll


def poll_times(wait: JobWait, until: float) -> list[float]:
    """Return the times of the polls: at once and after each pause, up to the first one that is not before ``until``."""
    moments = [wait.since]
    while moments[-1] < until:
        assert len(moments) < 1000  # else the pauses are zero
        moments.append(moments[-1] + wait.pause(moments[-1]))
    return moments


def max_polls(length: float) -> int:
    """Return the largest number of polls for a job: each pause is max(15, t/10) up to 300 s, less a tenth."""
    steady, growing, longest = 150.0, 3000.0, 300.0
    polls = 1 + math.ceil(min(length, steady) / (15 * 0.9))
    if length > steady:
        polls += math.ceil(math.log(min(length, growing) / steady) / math.log(1 + 0.9 / 10))
    if length > growing:
        polls += math.ceil((length - growing) / (longest * 0.9))
    return polls


@pytest.mark.parametrize("seed", SEEDS)
def test_result_is_found_soon_with_few_polls(seed: int) -> None:
    """A result is found at most a tenth of the job's duration late, with a limited number of polls."""
    random.seed(seed)
    for length in LENGTHS:
        # With a later deadline, so that the last poll depends on the pauses only.
        moments = poll_times(waiting(deadline=SINCE + 2 * DAY), SINCE + length)
        late = moments[-1] - (SINCE + length)
        assert late <= min(max(15.0, length / 10), 300.0), length
        assert len(moments) <= max_polls(length), length


@pytest.mark.parametrize("seed", SEEDS)
def test_job_of_a_day_needs_about_340_polls(seed: int) -> None:
    """A job that takes a day is polled between 320 and 360 times."""
    random.seed(seed)
    polls = len(poll_times(waiting(deadline=SINCE + 2 * DAY), SINCE + DAY))
    assert 320 <= polls <= max_polls(DAY) <= 360


@pytest.mark.parametrize(
    ("elapsed", "pause"), [(0, 15.0), (149, 15.0), (300, 30.0), (2999, 299.9), (3001, 300.0), (80_000, 300.0)]
)
def test_pause_is_a_tenth_of_the_time_waited(elapsed: float, pause: float) -> None:
    """A pause is max(15, elapsed / 10) seconds, at most 300: never more, and up to a tenth less."""
    random.seed(1)
    begun = [SINCE + random.random() for _ in range(500)]
    pauses = [waiting(since=since).pause(since + elapsed) for since in begun]
    assert 0.9 * pause <= min(pauses) < 0.92 * pause
    assert 0.98 * pause < max(pauses) <= pause


def test_shortest_and_longest_pause_can_be_given() -> None:
    """The pauses of a wait are between its own poll interval and maximum."""
    wait = waiting(poll_interval=2.0, max_poll_interval=5.0)
    assert 1.8 <= wait.pause(SINCE) <= 2.0
    assert 4.5 <= wait.pause(SINCE + 3600) <= 5.0


@pytest.mark.parametrize("timeout", [1.0, 14.0, 100.0, 3600.0, DAY])
@pytest.mark.parametrize("seed", SEEDS)
def test_last_poll_is_at_the_deadline(seed: int, timeout: float) -> None:
    """A wait polls for the last time exactly at its deadline."""
    random.seed(seed)
    wait = waiting(deadline=SINCE + timeout)
    moments = poll_times(wait, wait.deadline)
    assert moments[-1] == pytest.approx(wait.deadline, abs=1e-3)
    assert len([moment for moment in moments if moment > wait.deadline - 1e-3]) == 1


def test_pause_after_the_deadline_is_zero() -> None:
    """A wait whose deadline has passed polls at once: a triggerer may restart hours later."""
    wait = waiting(deadline=SINCE + 60)
    assert wait.pause(SINCE + 60) == 0
    assert wait.pause(SINCE + 9999) == 0


@pytest.mark.parametrize("accept_empty_after", [1.0, 100.0, 3600.0, 50_000.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_poll_is_due_when_an_empty_response_becomes_the_result(seed: int, accept_empty_after: float) -> None:
    """One poll is exactly when an empty response becomes the result; the usual pauses continue after it."""
    random.seed(seed)
    wait = waiting(accept_empty_from=SINCE + accept_empty_after)
    (on_time,) = [
        moment for moment in poll_times(wait, wait.deadline) if abs(moment - SINCE - accept_empty_after) < 1e-3
    ]
    assert wait.pause(on_time + 1) >= 13.5


def test_jobs_submitted_together_drift_apart() -> None:
    """The polls of a hundred jobs that were submitted together spread over several seconds."""
    random.seed(1)
    tenth_polls = [poll_times(waiting(), SINCE + 1800)[10] for _ in range(100)]
    assert max(tenth_polls) - min(tenth_polls) > 3
    assert max(Counter(int(moment) for moment in tenth_polls).values()) < 40


@pytest.mark.parametrize("interval", [10.0, 15.0, 300.0])
def test_polls_are_due_at_the_same_moment_of_a_second(interval: float) -> None:
    """All jobs of a process are polled at the same moment of a second, so that it wakes up once for all of them."""
    random.seed(1)
    moments = [
        moment
        for number in range(20)
        for moment in poll_times(waiting(since=SINCE + random.uniform(0, 60), poll_interval=interval), SINCE + 3600)[1:]
    ]
    phases = {round((moment - moments[0]) % 1, 3) % 1 for moment in moments}
    assert phases == {0.0}


# ---- what a response or an error means

PASSING = [
    ImsThrottledError("throttled"),
    ImsServiceError("unavailable"),
    ImsTransportError("refused", sent=False),
    ImsTransportError("lost", sent=True),
    ImsConnectionNotFoundError("no connection, or no API server"),
]
FINAL = [ImsRequestError("parameter")]


def by_class(error: Exception) -> str:
    return type(error).__name__


@pytest.mark.parametrize("error", PASSING, ids=by_class)
def test_temporary_error_does_not_end_the_wait(error: ImsError, caplog: pytest.LogCaptureFixture) -> None:
    """Throttling, service and network errors end a wait only at its deadline, and are logged with their count."""
    caplog.set_level(logging.INFO)
    wait = waiting()
    for count in range(1, 301):
        assert wait.on_failure(error, SINCE + count) is None
        assert caplog.records[-1].levelno == logging.WARNING
        assert f"Poll {count} of job J failed ({count} in a row), polling again: {error.problem}" in caplog.text
    wait.on_response(snapshot(), SINCE + 400)
    wait.on_failure(error, SINCE + 401)
    assert "Poll 302 of job J failed (1 in a row)" in caplog.text
    outcome = wait.on_failure(error, wait.deadline)
    assert outcome is not None
    assert (outcome.kind, outcome.failure, outcome.polls) == (OutcomeKind.TIMEOUT, error.problem, 303)


@pytest.mark.parametrize("error", FINAL, ids=by_class)
def test_permanent_error_ends_the_wait_at_once(error: ImsError) -> None:
    """An error of the request ends the wait at the first poll."""
    outcome = waiting().on_failure(error, SINCE)
    assert outcome is not None
    assert (outcome.kind, outcome.error, outcome.polls) == (OutcomeKind.REFUSED, to_primitives(error), 1)


@pytest.mark.parametrize("error", [ImsCredentialsError("key"), ImsConfigurationError("connection")], ids=by_class)
def test_correctable_error_ends_the_wait_after_two_minutes(error: ImsError) -> None:
    """Refused keys and a wrong connection end a wait after five polls in a row and two minutes, not earlier."""
    wait = waiting()
    for second in range(100):
        assert wait.on_failure(error, SINCE + second) is None
    assert wait.on_failure(error, SINCE + CORRECTION_GRACE - 0.1) is None
    outcome = wait.on_failure(error, SINCE + CORRECTION_GRACE)
    assert outcome is not None
    assert outcome.kind is OutcomeKind.REFUSED
    assert CORRECTION_GRACE == 120
    slow = waiting()
    assert [slow.on_failure(error, SINCE + minutes * 60) for minutes in range(4)] == [None] * 4
    assert slow.on_failure(error, SINCE + 240) is not None


def test_corrected_error_starts_the_count_again() -> None:
    """A response after refused keys starts the count and the two minutes again."""
    wait = waiting()
    for second in range(100):
        wait.on_failure(ImsCredentialsError("key"), SINCE + second)
    assert wait.on_response(snapshot(), SINCE + 119) is None
    assert [wait.on_failure(ImsCredentialsError("key"), SINCE + second) for second in (121, 130, 140, 150, 160)] == [
        None
    ] * 5


def test_unknown_job_has_a_grace_period() -> None:
    """For two minutes after the submission, an error that the job is unknown does not end the wait."""
    error = ImsNotFoundError("unknown")
    wait = waiting()
    for _ in range(20):
        assert wait.on_failure(error, SINCE + NOT_FOUND_GRACE - 0.1) is None
    outcomes = [wait.on_failure(error, SINCE + NOT_FOUND_GRACE) for _ in range(5)]
    assert outcomes[:4] == [None] * 4
    assert outcomes[4] is not None
    assert outcomes[4].kind is OutcomeKind.REFUSED
    assert NOT_FOUND_GRACE == 120


def test_grace_period_ends_at_the_deadline() -> None:
    """A wait for an unknown job ends at its deadline, even within the grace period."""
    outcome = waiting(deadline=SINCE + 60).on_failure(ImsNotFoundError("unknown"), SINCE + 60)
    assert outcome is not None
    assert outcome.kind is OutcomeKind.TIMEOUT


def take_in(wait: JobWait, what: dict[str, Any] | Exception, now: float = SINCE + 1) -> JobOutcome | None:
    """Pass a response or a failed poll to a wait."""
    return wait.on_failure(what, now) if isinstance(what, Exception) else wait.on_response(snapshot(what), now)


UNKNOWN_ERROR = ImsApiError("odd", code="Strange.Thing")
FOREIGN = RuntimeError("no database")
UNEXPLAINED: dict[str, tuple[list[dict[str, Any] | Exception], OutcomeKind]] = {
    "status code": ([ERROR_CODE] * 5, OutcomeKind.FAILED),
    "unknown error code": ([UNKNOWN_ERROR] * 5, OutcomeKind.REFUSED),
    "foreign exception": ([FOREIGN] * 5, OutcomeKind.REFUSED),
    "text and error code": ([{**TEXT, "StatusCode": 500}] * 5, OutcomeKind.FAILED),
    "unknown form": ([{"Data": {"Message": ["(c)"]}}] * 5, OutcomeKind.FAILED),
    "data that is text": ([{"Data": "(c)"}] * 5, OutcomeKind.FAILED),
    "Success is false": ([{"Success": False}] * 5, OutcomeKind.FAILED),
    "mixed, response last": ([UNKNOWN_ERROR, FOREIGN, ERROR_CODE, UNKNOWN_ERROR, ERROR_CODE], OutcomeKind.FAILED),
    "mixed, error last": ([ERROR_CODE, ERROR_CODE, FOREIGN, ERROR_CODE, UNKNOWN_ERROR], OutcomeKind.REFUSED),
}


@pytest.mark.parametrize(("polls", "kind"), UNEXPLAINED.values(), ids=UNEXPLAINED)
def test_five_unexplained_polls_in_a_row_end_the_wait(
    polls: list[dict[str, Any] | Exception], kind: OutcomeKind
) -> None:
    """The fifth unexplained response or error in a row ends the wait, also if they differ."""
    wait = waiting()
    assert [take_in(wait, what) for what in polls[:4]] == [None] * 4
    outcome = take_in(wait, polls[4])
    assert outcome is not None
    assert (outcome.kind, outcome.polls) == (kind, 5)
    assert UNEXPLAINED_LIMIT == 5


BETWEEN: dict[str, dict[str, Any] | Exception] = {
    "empty": {},
    "state": UNKNOWN_STATE,
    "throttled": ImsThrottledError("throttled"),
    "service": ImsServiceError("unavailable"),
    "network": ImsTransportError("lost", sent=True),
    "unknown job": ImsNotFoundError("unknown"),
}


@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN)
@pytest.mark.parametrize(
    "unexplained", [ERROR_CODE, UNKNOWN_ERROR, FOREIGN], ids=["status code", "error code", "foreign"]
)
def test_explained_poll_resets_the_count_of_unexplained_ones(
    unexplained: dict[str, Any] | Exception, between: dict[str, Any] | Exception
) -> None:
    """After an explained response or a temporary error, the count of unexplained polls starts at zero again."""
    wait = waiting()
    assert [take_in(wait, what) for what in [unexplained] * 4 + [between] + [unexplained] * 4] == [None] * 9
    assert take_in(wait, unexplained) is not None


@pytest.mark.parametrize("state", ["Processing", "Pondering"])
def test_error_code_beside_a_state_is_explained(state: str) -> None:
    """If the response has a state, an undocumented StatusCode beside it does not end the wait."""
    wait = waiting()
    assert [take_in(wait, {**ERROR_CODE, "Status": state}) for _ in range(9)] == [None] * 9


def test_failure_by_status_code_has_the_response() -> None:
    """The outcome after undocumented StatusCodes has the code, its message and the last response."""
    wait = waiting()
    outcome = [take_in(wait, ERROR_CODE) for _ in range(5)][-1]
    assert outcome is not None
    assert (outcome.service_state, outcome.code, outcome.message, outcome.request_id) == (None, "403", "no", "R-1")
    assert outcome.response is not None
    assert '"StatusCode":403' in outcome.response


def test_text_of_a_foreign_exception_is_not_in_the_outcome() -> None:
    """An outcome has only the class of a foreign exception, because its text may contain a secret."""
    wait = waiting()
    outcome = [take_in(wait, RuntimeError("password=canary")) for _ in range(5)][-1]
    assert outcome is not None
    assert outcome.failure == "RuntimeError, see the log."
    assert "canary" not in repr(outcome)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (TEXT, OutcomeKind.SUCCEEDED),
        ({"Data": {"Status": "FAIL"}}, OutcomeKind.FAILED),
        ({"Data": {"Status": "Canceled"}}, OutcomeKind.CANCELLED),
        # A text beside a failure is its message.
        ({"Data": {"Status": "Failed", "Message": "file not found"}}, OutcomeKind.FAILED),
        # A state explains the response, whatever the code.
        ({**ERROR_CODE, "Status": "Fail"}, OutcomeKind.FAILED),
    ],
)
def test_reported_end_of_the_job_ends_the_wait_at_once(body: dict[str, Any], kind: OutcomeKind) -> None:
    """A result or a final state ends the wait at the first poll, also after the deadline."""
    for now in (SINCE, SINCE + DAY, SINCE + 9 * DAY):
        outcome = waiting(accept_empty_from=SINCE).on_response(snapshot(body), now)
        assert outcome is not None
        assert (outcome.kind, outcome.polls, outcome.elapsed) == (kind, 1, now - SINCE)
        assert outcome.result == ("(c) Studio" if kind is OutcomeKind.SUCCEEDED else None)


def test_unknown_state_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """An unknown state counts as running; each unknown state is logged once as a warning."""
    wait = waiting()
    for state in ["Pondering"] * 8 + ["Musing"] * 8 + ["Processing"] * 8:
        assert wait.on_response(snapshot({"Data": {"Status": state}}), SINCE + 1) is None
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert (
        "Job J has the state 'Pondering', which is not known; it counts as running. The response was: {" in warnings[0]
    )
    assert "'Musing'" in warnings[1]


def test_unknown_code_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """An undocumented StatusCode is logged once as a warning before it ends the wait."""
    wait = waiting()
    for _ in range(4):
        take_in(wait, ERROR_CODE)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "Job J has the code 403, which is not documented. The response was: {" in warnings[0]


def test_empty_response_is_the_result_from_the_given_time() -> None:
    """An empty response means that nothing was found if it comes at or after accept_empty_from."""
    wait = waiting(accept_empty_from=SINCE + 600)
    assert wait.on_response(snapshot(), SINCE + 599.9) is None
    outcome = wait.on_response(snapshot(), SINCE + 600)
    assert outcome is not None
    assert (outcome.kind, outcome.result) == (OutcomeKind.NOTHING_FOUND, None)


NOT_EMPTY: dict[str, dict[str, Any] | Exception] = {
    "known state": {"Data": {"Status": "Processing"}},
    "unknown state": UNKNOWN_STATE,
    "status code": ERROR_CODE,
    "unknown form": {"Data": {"Message": 7}},
    "network": ImsTransportError("no route"),
    "throttled": ImsThrottledError("throttled"),
    "foreign": FOREIGN,
}


@pytest.mark.parametrize("what", NOT_EMPTY.values(), ids=NOT_EMPTY)
def test_only_an_empty_response_is_accepted_as_the_result(what: dict[str, Any] | Exception) -> None:
    """A state, an undocumented code or a failed poll does not mean that nothing was found; an empty response does."""
    wait = waiting(accept_empty_from=SINCE + 600)
    assert take_in(wait, what, SINCE + 700) is None
    outcome = take_in(wait, {}, SINCE + 710)
    assert outcome is not None
    assert outcome.kind is OutcomeKind.NOTHING_FOUND


@pytest.mark.parametrize(
    "what",
    [{}, UNKNOWN_STATE, ERROR_CODE, UNKNOWN_ERROR, FOREIGN],
    ids=["empty", "state", "status code", "error code", "foreign"],
)
def test_wait_without_a_final_state_ends_at_the_deadline(what: dict[str, Any] | Exception) -> None:
    """If the service reports no end of the job, the wait ends at its deadline."""
    wait = waiting()
    assert take_in(wait, what, wait.deadline - 0.1) is None
    outcome = take_in(wait, what, wait.deadline)
    assert outcome is not None
    assert (outcome.kind, outcome.elapsed, outcome.polls) == (OutcomeKind.TIMEOUT, DAY, 2)


def test_outcome_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The last log line of a wait has the outcome, the number of polls and the time waited."""
    caplog.set_level(logging.INFO)
    wait = waiting(polls=8, accept_empty_from=SINCE + 600)
    wait.on_response(snapshot(), SINCE + 605)
    assert caplog.messages == [
        "Job J: an empty response after 9 polls in 10 min, taken for 'no watermark', as no_watermark_after says"
    ]


@pytest.mark.parametrize("polls", [1, UNEXPLAINED_LIMIT], ids=["at the deadline", "again and again"])
def test_job_that_is_not_known_is_not_said_to_go_on(polls: int) -> None:
    """If the service knows no such job, the error says so: it does not run, and no sensor can wait for it."""
    unknown = ImsNotFoundError("Query: JobNotFound.", advice="Check the JobId.", code="JobNotFound")
    wait = waiting()
    now = wait.deadline if polls == 1 else SINCE + NOT_FOUND_GRACE + 1
    outcomes = [wait.on_failure(unknown, now + number) for number in range(polls)]
    outcome = outcomes[-1]
    assert outcome is not None
    with pytest.raises((ImsNotFoundError, ImsJobTimeoutError)) as caught:
        finish(JobOutcome.from_event(outcome.to_event(), COPYRIGHT_EXTRACT, "J"), COPYRIGHT_EXTRACT)
    text = str(caught.value)
    assert re.search(r"[Cc]heck the JobId", text)
    assert re.search(rf"after {polls} polls? in", text)
    for wrong in ("goes on", "still run", "ImsJobSensor", "nothing is known"):
        assert wrong not in text


@pytest.mark.parametrize(
    ("text", "logged"), [("(c) Studio", "'(c) Studio'"), ("x" * 101, f"'{'x' * 100}'...")], ids=["short", "long"]
)
def test_log_names_the_media_and_the_text(text: str, logged: str, caplog: pytest.LogCaptureFixture) -> None:
    """The first and the last log line of a wait name the media; the last one has the text, shortened."""
    caplog.set_level(logging.INFO)
    wait = waiting(subject="oss://bucket/clip.mp4")
    wait.announce()
    wait.on_response(snapshot({"Data": {"Message": text}}), SINCE + 60)
    first, last = caplog.messages
    assert first.startswith("Waiting for CopyrightExtractJob J on oss://bucket/clip.mp4 since ")
    assert last == f"Job J on oss://bucket/clip.mp4: succeeded after 1 poll in 1 min: {logged}"


# ---- one poll, or all polls


def query_with(*responses: dict[str, Any] | Exception) -> Callable[[], Any]:
    """Return a query that returns or raises these responses and errors in turn."""
    remaining = iter(responses)

    async def query() -> JobSnapshot:
        response = next(remaining)
        if isinstance(response, Exception):
            raise response
        return snapshot(response)

    return query


def quick(**changes: Any) -> JobWait:
    """Return a wait that begins now and has pauses of a millisecond."""
    now = datetime.now(UTC).timestamp()
    return waiting(since=now, deadline=now + 60, poll_interval=1e-3, max_poll_interval=1e-3, **changes)


async def test_foreign_exception_is_a_failed_poll(caplog: pytest.LogCaptureFixture) -> None:
    """An exception from outside of the package does not end the wait; the log has its traceback."""
    assert await poll_once(query_with(FOREIGN), quick()) is None
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.getMessage() == "Poll of job J failed for a reason that is not the service's"
    assert "RuntimeError: no database" in caplog.text


async def test_poll_until_done_polls_until_the_job_has_ended() -> None:
    """poll_until_done continues after empty responses and temporary errors."""
    wait = quick()
    outcome = await poll_until_done(query_with({}, PASSING[0], {}, FOREIGN, TEXT, {}), wait)
    assert (outcome.kind, outcome.result, outcome.polls) == (OutcomeKind.SUCCEEDED, "(c) Studio", 5)


async def test_poll_until_done_polls_at_once() -> None:
    """The first poll is at once, also if the poll interval is an hour."""
    wait = quick()
    wait.poll_interval = wait.max_poll_interval = 3600.0
    async with asyncio.timeout(10):
        assert (await poll_until_done(query_with(TEXT), wait)).polls == 1


async def test_resumed_waits_spread_over_the_interval() -> None:
    """The first polls of waits that are resumed together are spread over the poll interval."""

    async def first_poll() -> float:
        wait = quick(polls=1)
        wait.poll_interval = wait.max_poll_interval = 1.0
        outcome = await poll_until_done(query_with(TEXT), wait)
        assert outcome.polls == 2
        return outcome.elapsed

    random.seed(1)
    elapsed = await asyncio.gather(*(first_poll() for _ in range(100)))
    assert min(elapsed) < 0.2
    assert max(elapsed) > 0.8
    assert max(Counter(int(moment * 10) for moment in elapsed).values()) < 70


@pytest.mark.parametrize("response", [{}, UNKNOWN_STATE, PASSING[0], ImsNotFoundError("unknown")])
async def test_poll_until_explained_polls_an_explained_job_once(response: dict[str, Any] | Exception) -> None:
    """poll_until_explained polls once if the response is explained or the error is temporary."""
    wait = quick()
    assert await poll_until_explained(query_with(response), wait) is None
    assert wait.polls == 1


async def test_poll_until_explained_polls_again_after_an_unexplained_response() -> None:
    """poll_until_explained continues until a response is explained or the fifth unexplained one ends the wait."""
    wait = quick()
    assert await poll_until_explained(query_with(ERROR_CODE, UNKNOWN_ERROR, {}, TEXT), wait) is None
    assert wait.polls == 3
    outcome = await poll_until_explained(query_with(*[FOREIGN] * 5), quick())
    assert outcome is not None
    assert (outcome.kind, outcome.polls) == (OutcomeKind.REFUSED, 5)


# ---- options of a wait

VALID: dict[str, Any] = {
    "poll_interval": 15.0,
    "max_poll_interval": 300.0,
    "timeout": timedelta(hours=1),
    "accept_empty_after": None,
}
INVALID_DURATIONS: list[Any] = [
    0,
    -1,
    -0.5,
    math.nan,
    math.inf,
    -math.inf,
    True,
    False,
    "15",
    [15],
    timedelta(0),
    timedelta(-1),
    1e12,
    10**400,
    timedelta.max,
]


@pytest.mark.parametrize("value", INVALID_DURATIONS, ids=repr)
@pytest.mark.parametrize("name", VALID)
def test_invalid_duration_is_refused(name: str, value: Any) -> None:
    """The error about an invalid duration has the argument's name and value, and says what to give."""
    shown = value.total_seconds() if isinstance(value, timedelta) else value
    with pytest.raises(ImsConfigurationError) as caught:
        WaitOptions.checked(COPYRIGHT_EXTRACT, **{**VALID, name: value})
    name = "no_watermark_after" if name == "accept_empty_after" else name
    assert (
        str(caught.value)
        == f"{name} is {shown!r:.40}. Give a number of seconds above 0, or a timedelta, of a year at most."
    )


@pytest.mark.parametrize("name", ["poll_interval", "max_poll_interval", "timeout"])
def test_none_is_not_a_duration(name: str) -> None:
    """Only no_watermark_after may be None."""
    with pytest.raises(ImsConfigurationError, match=f"^{name} is None"):
        WaitOptions.checked(COPYRIGHT_EXTRACT, **{**VALID, name: None})


def test_error_has_the_argument_name_of_the_sensor() -> None:
    """The error for a sensor names poke_interval, not poll_interval."""
    with pytest.raises(ImsConfigurationError, match=r"^poke_interval is 0"):
        WaitOptions.checked(COPYRIGHT_EXTRACT, **{**VALID, "poll_interval": 0}, interval_name="poke_interval")


@pytest.mark.parametrize("accept_empty_after", [3600, 3601, timedelta(hours=1)])
def test_no_watermark_after_beyond_the_timeout_is_refused(accept_empty_after: Any) -> None:
    """no_watermark_after must be shorter than the time-out, else it has no effect."""
    with pytest.raises(ImsConfigurationError, match=r"no_watermark_after \(360\d s\) is not shorter than the wait"):
        WaitOptions.checked(COPYRIGHT_EXTRACT, **{**VALID, "accept_empty_after": accept_empty_after})


def test_no_watermark_after_beyond_the_execution_timeout_is_refused() -> None:
    """no_watermark_after must be shorter than the wait that an earlier execution_timeout allows."""
    limits = {"execution_timeout": timedelta(minutes=30), "accept_empty_after": timedelta(minutes=29)}
    with pytest.raises(ImsConfigurationError, match=r"which ends after 1740 s \(timeout, or a little before execution"):
        WaitOptions.checked(COPYRIGHT_EXTRACT, **{**VALID, **limits})
    limits["accept_empty_after"] = timedelta(minutes=28)
    WaitOptions.checked(COPYRIGHT_EXTRACT, **{**VALID, **limits})


def test_accept_empty_after_of_a_family_with_states_is_refused() -> None:
    """An empty response cannot be the result of a family that reports a state."""
    with pytest.raises(
        ImsConfigurationError, match="Empty responses of a MadeUpJob are not a result: its query reports a state"
    ):
        WaitOptions.checked(STATEFUL, **{**VALID, "accept_empty_after": 60})
    assert WaitOptions.checked(STATEFUL, **VALID).accept_empty_after is None


def test_valid_arguments_become_seconds() -> None:
    """Numbers and timedeltas become seconds; the longest pause is at least the poll interval."""
    assert WaitOptions.checked(
        COPYRIGHT_EXTRACT,
        poll_interval=timedelta(minutes=1),
        max_poll_interval=20,
        timeout=7200,
        accept_empty_after=timedelta(hours=1),
    ) == WaitOptions(poll_interval=60.0, max_poll_interval=60.0, timeout=7200.0, accept_empty_after=3600.0)


STARTED = datetime.fromtimestamp(SINCE - 30, tz=UTC)


@pytest.mark.parametrize(
    ("started", "execution_timeout", "deadline"),
    [
        (STARTED, None, SINCE + 3600),
        # A little less, so that the task itself ends and reports its job: half a minute, a tenth, or half less.
        (STARTED, timedelta(seconds=100), SINCE - 30 + 70),
        (STARTED, timedelta(seconds=400), SINCE - 30 + 360),
        (STARTED, timedelta(seconds=40), SINCE - 30 + 20),
        # A minute less at most.
        (STARTED, timedelta(minutes=40), SINCE - 30 + 2340),
        # Counted from the start of the task, as Airflow does; from the beginning of the wait if that is unknown.
        (None, timedelta(seconds=100), SINCE + 70),
        # The earlier of the two counts.
        (STARTED, timedelta(hours=10), SINCE + 3600),
    ],
)
def test_wait_ends_before_the_execution_timeout(
    started: datetime | None, execution_timeout: timedelta | None, deadline: float
) -> None:
    """A wait ends at its timeout, or a little before an earlier execution_timeout."""
    options = WaitOptions.checked(COPYRIGHT_EXTRACT, **VALID)
    wait = options.wait_for(
        COPYRIGHT_EXTRACT, "J", since=SINCE, log=LOGGER, started=started, execution_timeout=execution_timeout
    )
    assert wait.deadline == pytest.approx(deadline, abs=1e-3)


def test_wait_has_all_of_the_options() -> None:
    """A wait has all options; the durations have become points in time."""
    options = WaitOptions(2.0, 5.0, 100.0, 40.0)
    wait = options.wait_for(COPYRIGHT_EXTRACT, "J", since=SINCE, log=LOGGER, polls=3)
    assert (wait.job_type, wait.job_id, wait.since, wait.polls) == (COPYRIGHT_EXTRACT, "J", SINCE, 3)
    assert (wait.poll_interval, wait.max_poll_interval) == (2.0, 5.0)
    assert (wait.deadline, wait.accept_empty_from) == (SINCE + 100, SINCE + 40)
    assert (
        WaitOptions(2.0, 5.0, 100.0, None).wait_for(COPYRIGHT_EXTRACT, "J", since=SINCE, log=LOGGER).accept_empty_from
        is None
    )
