"""The policy of waiting: when to ask again, what a poll means. The clock is a number here."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.exceptions import (
    ImsApiError,
    ImsConfigurationError,
    ImsCredentialsError,
    ImsError,
    ImsNotFoundError,
    ImsRequestError,
    ImsServiceError,
    ImsThrottledError,
    ImsTransportError,
    to_primitives,
)
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.outcome import JobOutcome, OutcomeKind
from airflow_provider_ims.jobs.polling import (
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
# From a second to a day, evenly on a logarithmic scale.
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
    """Return a wait for a watermark job that began at SINCE and has a day's time."""
    arguments = {"job_type": COPYRIGHT_EXTRACT, "job_id": "J", "since": SINCE, "deadline": SINCE + DAY, "log": LOGGER}
    return JobWait(**{**arguments, **changes})


def seen(body: dict[str, Any] | None = None, job_type: JobType = COPYRIGHT_EXTRACT) -> JobSnapshot:
    """Return what an answer of the service says; without one, what a silent answer says."""
    return read_snapshot(
        job_type, "J", {"RequestId": "R-1", "StatusCode": 200, "Message": "ok", "Data": {}, **(body or {})}
    )


TEXT = {"Data": {"Message": "(c) Studio"}}
PONDERING = {"Data": {"Status": "Pondering"}}
STRANGE = {"StatusCode": 403, "Message": "no"}


# ---- when to ask


def moments_of_polls(wait: JobWait, until: float) -> list[float]:
    """Return when a wait polls: at once, and after each pause, up to the first poll at or after a moment."""
    moments = [wait.since]
    while moments[-1] < until:
        assert len(moments) < 1000  # else it does not get on
        moments.append(moments[-1] + wait.pause(moments[-1]))
    return moments


def most_polls(length: float) -> int:
    """Return how many polls a job can cost: each pause is max(15, t/10) up to 300 s, less a tenth."""
    steady, growing, longest = 150.0, 3000.0, 300.0
    polls = 1 + math.ceil(min(length, steady) / (15 * 0.9))
    if length > steady:
        polls += math.ceil(math.log(min(length, growing) / steady) / math.log(1 + 0.9 / 10))
    if length > growing:
        polls += math.ceil((length - growing) / (longest * 0.9))
    return polls


@pytest.mark.parametrize("seed", SEEDS)
def test_result_is_seen_soon_at_few_polls(seed: int) -> None:
    """From a second to a day, a result is seen at most a tenth of the job's length late, and polls stay few."""
    random.seed(seed)
    for length in LENGTHS:
        # A deadline of its own, so that it is the growth of the pauses that is measured.
        moments = moments_of_polls(waiting(deadline=SINCE + 2 * DAY), SINCE + length)
        late = moments[-1] - (SINCE + length)
        assert late <= min(max(15.0, length / 10), 300.0), length
        assert len(moments) <= most_polls(length), length


@pytest.mark.parametrize("seed", SEEDS)
def test_job_of_a_day_costs_a_few_hundred_polls(seed: int) -> None:
    """A job that takes a day is asked for some 340 times."""
    random.seed(seed)
    polls = len(moments_of_polls(waiting(deadline=SINCE + 2 * DAY), SINCE + DAY))
    assert 320 <= polls <= most_polls(DAY) <= 360


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
    """A wait keeps to the interval and the maximum of its own."""
    wait = waiting(poll_interval=2.0, max_poll_interval=5.0)
    assert 1.8 <= wait.pause(SINCE) <= 2.0
    assert 4.5 <= wait.pause(SINCE + 3600) <= 5.0


@pytest.mark.parametrize("timeout", [1.0, 14.0, 100.0, 3600.0, DAY])
@pytest.mark.parametrize("seed", SEEDS)
def test_last_poll_is_at_the_deadline(seed: int, timeout: float) -> None:
    """A wait asks one last time at the deadline, neither earlier nor later."""
    random.seed(seed)
    wait = waiting(deadline=SINCE + timeout)
    moments = moments_of_polls(wait, wait.deadline)
    assert moments[-1] == pytest.approx(wait.deadline, abs=1e-3)
    assert len([moment for moment in moments if moment > wait.deadline - 1e-3]) == 1


def test_no_pause_after_the_deadline() -> None:
    """A wait whose deadline has passed asks at once: a triggerer may come back hours late."""
    wait = waiting(deadline=SINCE + 60)
    assert wait.pause(SINCE + 60) == 0
    assert wait.pause(SINCE + 9999) == 0


@pytest.mark.parametrize("silence", [1.0, 100.0, 3600.0, 50_000.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_poll_is_due_when_silence_becomes_an_answer(seed: int, silence: float) -> None:
    """One poll is at the moment from which silence means that nothing was found, and the pauses go on after it."""
    random.seed(seed)
    wait = waiting(accept_empty_from=SINCE + silence)
    (on_time,) = [moment for moment in moments_of_polls(wait, wait.deadline) if abs(moment - SINCE - silence) < 1e-3]
    assert wait.pause(on_time + 1) >= 13.5


def test_jobs_submitted_together_drift_apart() -> None:
    """A hundred jobs that were submitted together spread over the interval, not all to be asked for in one second."""
    random.seed(1)
    tenth_polls = [moments_of_polls(waiting(), SINCE + 1800)[10] for _ in range(100)]
    assert max(tenth_polls) - min(tenth_polls) > 3
    assert max(Counter(int(moment) for moment in tenth_polls).values()) < 40


@pytest.mark.parametrize("interval", [10.0, 15.0, 300.0])
def test_polls_fall_due_together_once_a_second(interval: float) -> None:
    """Jobs submitted at any time are asked for at the same moment of a second: a process wakes up once for all."""
    random.seed(1)
    moments = [
        moment
        for number in range(20)
        for moment in moments_of_polls(
            waiting(since=SINCE + random.uniform(0, 60), poll_interval=interval), SINCE + 3600
        )[1:]
    ]
    phases = {round((moment - moments[0]) % 1, 3) % 1 for moment in moments}
    assert phases == {0.0}


# ---- what a poll means

PASSING = [
    ImsThrottledError("throttled"),
    ImsServiceError("unavailable"),
    ImsTransportError("refused", sent=False),
    ImsTransportError("lost", sent=True),
]
FINAL = [ImsCredentialsError("key"), ImsRequestError("parameter")]


def by_class(error: Exception) -> str:
    return type(error).__name__


@pytest.mark.parametrize("error", PASSING, ids=by_class)
def test_trouble_that_may_pass_ends_no_wait(error: ImsError, caplog: pytest.LogCaptureFixture) -> None:
    """Throttling, an error of the service and the network end a wait at its deadline only, told with their count."""
    caplog.set_level(logging.INFO)
    wait = waiting()
    for count in range(1, 301):
        assert wait.on_failure(error, SINCE + count) is None
        assert caplog.records[-1].levelno == logging.WARNING
        assert f"Poll {count} of job J failed ({count} in a row), polling again: {error.problem}" in caplog.text
    wait.on_response(seen(), SINCE + 400)
    wait.on_failure(error, SINCE + 401)
    assert "Poll 302 of job J failed (1 in a row)" in caplog.text
    outcome = wait.on_failure(error, wait.deadline)
    assert outcome is not None
    assert (outcome.kind, outcome.failure, outcome.polls) == (OutcomeKind.TIMEOUT, error.problem, 303)


@pytest.mark.parametrize("error", FINAL, ids=by_class)
def test_trouble_that_stays_ends_a_wait_at_once(error: ImsError) -> None:
    """What will be refused again (credentials, request, configuration) is the end, however early."""
    outcome = waiting().on_failure(error, SINCE)
    assert outcome is not None
    assert (outcome.kind, outcome.error, outcome.polls) == (OutcomeKind.REFUSED, to_primitives(error), 1)


def test_unknown_job_has_a_grace() -> None:
    """A job may be unknown for two minutes after its submission, and not longer."""
    error = ImsNotFoundError("unknown")
    wait = waiting()
    for _ in range(20):
        assert wait.on_failure(error, SINCE + NOT_FOUND_GRACE - 0.1) is None
    ended = [wait.on_failure(error, SINCE + NOT_FOUND_GRACE) for _ in range(5)]
    assert ended[:4] == [None] * 4
    assert ended[4] is not None
    assert ended[4].kind is OutcomeKind.REFUSED
    assert NOT_FOUND_GRACE == 120


def test_unknown_job_ends_at_an_early_deadline() -> None:
    """The grace of an unknown job does not outlast the deadline."""
    outcome = waiting(deadline=SINCE + 60).on_failure(ImsNotFoundError("unknown"), SINCE + 60)
    assert outcome is not None
    assert outcome.kind is OutcomeKind.TIMEOUT


def take(wait: JobWait, what: dict[str, Any] | Exception, now: float = SINCE + 1) -> JobOutcome | None:
    """Let a wait take in an answer, or a poll that failed."""
    return wait.on_failure(what, now) if isinstance(what, Exception) else wait.on_response(seen(what), now)


ODD = ImsApiError("odd", code="Strange.Thing")
FOREIGN = RuntimeError("no database")
GONE = ImsConfigurationError("There is no usable connection")  # so says Airflow too when its secrets backend is down
UNEXPLAINED: dict[str, tuple[list[dict[str, Any] | Exception], OutcomeKind]] = {
    "status code": ([STRANGE] * 5, OutcomeKind.FAILED),
    "code of no known class": ([ODD] * 5, OutcomeKind.REFUSED),
    "foreign exception": ([FOREIGN] * 5, OutcomeKind.REFUSED),
    "connection gone": ([GONE] * 5, OutcomeKind.REFUSED),
    "text beside a code": ([{**TEXT, "StatusCode": 500}] * 5, OutcomeKind.FAILED),
    "another form": ([{"Data": {"Message": ["(c)"]}}] * 5, OutcomeKind.FAILED),
    "data that is text": ([{"Data": "(c)"}] * 5, OutcomeKind.FAILED),
    "no success": ([{"Success": False}] * 5, OutcomeKind.FAILED),
    "mixed, answer last": ([ODD, FOREIGN, STRANGE, ODD, STRANGE], OutcomeKind.FAILED),
    "mixed, refusal last": ([STRANGE, STRANGE, FOREIGN, STRANGE, ODD], OutcomeKind.REFUSED),
}


@pytest.mark.parametrize(("run", "end"), UNEXPLAINED.values(), ids=UNEXPLAINED)
def test_five_answers_that_nobody_can_explain_are_an_end(
    run: list[dict[str, Any] | Exception], end: OutcomeKind
) -> None:
    """The fifth answer in a row that nobody can explain ends a wait, whatever mixture they are of."""
    wait = waiting()
    assert [take(wait, what) for what in run[:4]] == [None] * 4
    outcome = take(wait, run[4])
    assert outcome is not None
    assert (outcome.kind, outcome.polls) == (end, 5)
    assert UNEXPLAINED_LIMIT == 5


BETWEEN: dict[str, dict[str, Any] | Exception] = {
    "silent": {},
    "state": PONDERING,
    "throttled": ImsThrottledError("throttled"),
    "service": ImsServiceError("unavailable"),
    "network": ImsTransportError("lost", sent=True),
    "unknown yet": ImsNotFoundError("unknown"),
}


@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN)
@pytest.mark.parametrize("odd", [STRANGE, ODD, FOREIGN], ids=["status code", "code", "foreign"])
def test_four_unexplained_answers_are_no_end(
    odd: dict[str, Any] | Exception, between: dict[str, Any] | Exception
) -> None:
    """An answer that can be explained, or trouble that may pass, begins the count anew."""
    wait = waiting()
    assert [take(wait, what) for what in [odd] * 4 + [between] + [odd] * 4] == [None] * 9
    assert take(wait, odd) is not None


@pytest.mark.parametrize("word", ["Processing", "Pondering"])
def test_code_beside_a_state_is_no_riddle(word: str) -> None:
    """Where the service tells a state, a strange StatusCode beside it does not end the wait, however often."""
    wait = waiting()
    assert [take(wait, {**STRANGE, "Status": word}) for _ in range(9)] == [None] * 9


def test_failure_by_status_code_keeps_the_facts() -> None:
    """A wait that ends in a StatusCode nobody documents has it, its message and the answer."""
    wait = waiting()
    outcome = [take(wait, STRANGE) for _ in range(5)][-1]
    assert outcome is not None
    assert (outcome.service_state, outcome.code, outcome.message, outcome.request_id) == (None, "403", "no", "R-1")
    assert outcome.response is not None
    assert '"StatusCode":403' in outcome.response


def test_text_of_a_foreign_exception_is_not_handed_on() -> None:
    """A foreign exception may have anything in its text, so an outcome has its class only."""
    wait = waiting()
    outcome = [take(wait, RuntimeError("password=canary")) for _ in range(5)][-1]
    assert outcome is not None
    assert outcome.failure == "RuntimeError, see the log."
    assert "canary" not in repr(outcome)


@pytest.mark.parametrize(
    ("body", "end"),
    [
        (TEXT, OutcomeKind.SUCCEEDED),
        ({"Data": {"Status": "FAIL"}}, OutcomeKind.FAILED),
        ({"Data": {"Status": "Canceled"}}, OutcomeKind.CANCELLED),
        # Text beside a failure is the failure's.
        ({"Data": {"Status": "Failed", "Message": "file not found"}}, OutcomeKind.FAILED),
        # A state explains the answer, so that the code is no riddle.
        ({**STRANGE, "Status": "Fail"}, OutcomeKind.FAILED),
    ],
)
def test_end_that_the_service_tells_is_one_at_once(body: dict[str, Any], end: OutcomeKind) -> None:
    """What the service says of an end is believed at the first poll, at any time."""
    for now in (SINCE, SINCE + DAY, SINCE + 9 * DAY):
        outcome = waiting(accept_empty_from=SINCE).on_response(seen(body), now)
        assert outcome is not None
        assert (outcome.kind, outcome.polls, outcome.elapsed) == (end, 1, now - SINCE)
        assert outcome.result == ("(c) Studio" if end is OutcomeKind.SUCCEEDED else None)


def test_unknown_word_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """A state that nobody knows counts as running, with one warning for each word."""
    wait = waiting()
    for word in ["Pondering"] * 8 + ["Musing"] * 8 + ["Processing"] * 8:
        assert wait.on_response(seen({"Data": {"Status": word}}), SINCE + 1) is None
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert (
        "Job J has the state 'Pondering', which is not known; it counts as running. The response was: {" in warnings[0]
    )
    assert "'Musing'" in warnings[1]


def test_unknown_code_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """A StatusCode that nobody documents is warned of before it ends the wait, once."""
    wait = waiting()
    for _ in range(4):
        take(wait, STRANGE)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "Job J has StatusCode 403, which is not documented. The response was: {" in warnings[0]


def test_silence_is_an_answer_from_its_moment_on() -> None:
    """Silence means that nothing was found from the given moment on, not before."""
    wait = waiting(accept_empty_from=SINCE + 600)
    assert wait.on_response(seen(), SINCE + 599.9) is None
    outcome = wait.on_response(seen(), SINCE + 600)
    assert outcome is not None
    assert (outcome.kind, outcome.result) == (OutcomeKind.NOTHING_FOUND, None)


NOT_SILENT: dict[str, dict[str, Any] | Exception] = {
    "known state": {"Data": {"Status": "Processing"}},
    "unknown state": PONDERING,
    "status code": STRANGE,
    "another form": {"Data": {"Message": 7}},
    "network": ImsTransportError("no route"),
    "throttled": ImsThrottledError("throttled"),
    "foreign": FOREIGN,
}


@pytest.mark.parametrize("what", NOT_SILENT.values(), ids=NOT_SILENT)
def test_only_silence_is_silence(what: dict[str, Any] | Exception) -> None:
    """A state, a strange code or a failed poll does not say that nothing was found; the next silent answer does."""
    wait = waiting(accept_empty_from=SINCE + 600)
    assert take(wait, what, SINCE + 700) is None
    outcome = take(wait, {}, SINCE + 710)
    assert outcome is not None
    assert outcome.kind is OutcomeKind.NOTHING_FOUND


@pytest.mark.parametrize(
    "what", [{}, PONDERING, STRANGE, ODD, FOREIGN], ids=["silent", "state", "code", "odd", "foreign"]
)
def test_everything_else_ends_at_the_deadline(what: dict[str, Any] | Exception) -> None:
    """Without an end that the service tells, a wait ends at its deadline, not before."""
    wait = waiting()
    assert take(wait, what, wait.deadline - 0.1) is None
    outcome = take(wait, what, wait.deadline)
    assert outcome is not None
    assert (outcome.kind, outcome.elapsed, outcome.polls) == (OutcomeKind.TIMEOUT, DAY, 2)


def test_end_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The last line of a wait says how it ended, after how many polls and how long."""
    caplog.set_level(logging.INFO)
    wait = waiting(polls=8, accept_empty_from=SINCE + 600)
    wait.on_response(seen(), SINCE + 605)
    assert caplog.messages == ["Job J: nothing found after 9 polls in 10 min"]


# ---- one poll, or all of them


def script(*answers: dict[str, Any] | Exception) -> Callable[[], Any]:
    """Return a query that gives these answers in turn."""
    left = iter(answers)

    async def query() -> JobSnapshot:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return seen(answer)

    return query


def quick(**changes: Any) -> JobWait:
    """Return a wait in the present with pauses that nobody notices."""
    now = datetime.now(UTC).timestamp()
    return waiting(since=now, deadline=now + 60, poll_interval=1e-3, max_poll_interval=1e-3, **changes)


async def test_foreign_exception_is_a_poll_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    """A secrets backend that is down for a poll does not end the wait; the log has the traceback."""
    assert await poll_once(script(FOREIGN), quick()) is None
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.getMessage() == "Poll of job J failed for a reason that is not the service's"
    assert "RuntimeError: no database" in caplog.text


async def test_watch_asks_until_the_end() -> None:
    """Watching goes on over silence and trouble until the job has ended."""
    wait = quick()
    outcome = await poll_until_done(script({}, PASSING[0], {}, FOREIGN, TEXT, {}), wait)
    assert (outcome.kind, outcome.result, outcome.polls) == (OutcomeKind.SUCCEEDED, "(c) Studio", 5)


async def test_watch_begins_with_a_poll() -> None:
    """A watch asks at once, whatever its interval."""
    wait = quick()
    wait.poll_interval = wait.max_poll_interval = 3600.0
    async with asyncio.timeout(10):
        assert (await poll_until_done(script(TEXT), wait)).polls == 1


async def test_waits_that_are_taken_up_together_spread_over_the_interval() -> None:
    """A triggerer that starts takes up all of its waits at once, and asks for each within the interval."""

    async def first_poll() -> float:
        wait = quick(polls=1)
        wait.poll_interval = wait.max_poll_interval = 1.0
        outcome = await poll_until_done(script(TEXT), wait)
        assert outcome.polls == 2
        return outcome.elapsed

    random.seed(1)
    elapsed = await asyncio.gather(*(first_poll() for _ in range(100)))
    assert min(elapsed) < 0.2
    assert max(elapsed) > 0.8
    assert max(Counter(int(moment * 10) for moment in elapsed).values()) < 70


@pytest.mark.parametrize("answer", [{}, PONDERING, PASSING[0], ImsNotFoundError("unknown")])
async def test_settling_asks_once(answer: dict[str, Any] | Exception) -> None:
    """A glance at a job that has not ended is one poll."""
    wait = quick()
    assert await poll_until_explained(script(answer), wait) is None
    assert wait.polls == 1


async def test_settling_asks_again_what_nobody_can_explain() -> None:
    """A run of unexplained answers is counted within one glance: a sensor that comes back would start anew."""
    wait = quick()
    assert await poll_until_explained(script(STRANGE, ODD, {}, TEXT), wait) is None
    assert wait.polls == 3
    outcome = await poll_until_explained(script(*[FOREIGN] * 5), quick())
    assert outcome is not None
    assert (outcome.kind, outcome.polls) == (OutcomeKind.REFUSED, 5)


# ---- options of a wait

GOOD: dict[str, Any] = {
    "poll_interval": 15.0,
    "max_poll_interval": 300.0,
    "timeout": timedelta(hours=1),
    "accept_empty_after": None,
}
NO_DURATION: list[Any] = [
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


@pytest.mark.parametrize("value", NO_DURATION, ids=repr)
@pytest.mark.parametrize("name", GOOD)
def test_what_is_no_duration_is_refused(name: str, value: Any) -> None:
    """An argument that is no time above zero is refused by its name, with what to give."""
    told = value.total_seconds() if isinstance(value, timedelta) else value
    with pytest.raises(ImsConfigurationError) as caught:
        WaitOptions.checked(COPYRIGHT_EXTRACT, **{**GOOD, name: value})
    name = "no_watermark_after" if name == "accept_empty_after" else name
    assert (
        str(caught.value)
        == f"{name} is {told!r:.40}. Give a number of seconds above 0, or a timedelta, of a year at most."
    )


@pytest.mark.parametrize("name", ["poll_interval", "max_poll_interval", "timeout"])
def test_none_is_no_duration(name: str) -> None:
    """Only no_watermark_after may be None."""
    with pytest.raises(ImsConfigurationError, match=f"^{name} is None"):
        WaitOptions.checked(COPYRIGHT_EXTRACT, **{**GOOD, name: None})


def test_refusal_has_the_name_that_the_user_knows() -> None:
    """A sensor calls the interval poke_interval, and so does the refusal."""
    with pytest.raises(ImsConfigurationError, match=r"^poke_interval is 0"):
        WaitOptions.checked(COPYRIGHT_EXTRACT, **{**GOOD, "poll_interval": 0}, interval_name="poke_interval")


@pytest.mark.parametrize("silence", [3600, 3601, timedelta(hours=1)])
def test_silence_that_cannot_come_in_time_is_refused(silence: Any) -> None:
    """A no_watermark_after that is not shorter than timeout could never matter."""
    with pytest.raises(ImsConfigurationError, match=r"no_watermark_after \(360\d s\) is not shorter than the wait"):
        WaitOptions.checked(COPYRIGHT_EXTRACT, **{**GOOD, "accept_empty_after": silence})


def test_silence_that_an_execution_timeout_cuts_off_is_refused() -> None:
    """A no_watermark_after that an earlier execution_timeout leaves no time for could never matter."""
    limits = {"execution_timeout": timedelta(minutes=30), "accept_empty_after": timedelta(minutes=29)}
    with pytest.raises(ImsConfigurationError, match=r"which ends after 1740 s \(timeout, or a little before execution"):
        WaitOptions.checked(COPYRIGHT_EXTRACT, **{**GOOD, **limits})
    limits["accept_empty_after"] = timedelta(minutes=28)
    WaitOptions.checked(COPYRIGHT_EXTRACT, **{**GOOD, **limits})


def test_silence_of_a_family_with_states_is_refused() -> None:
    """A job whose query reports a state is never silent about its end."""
    with pytest.raises(
        ImsConfigurationError, match="Empty responses of a MadeUpJob are not a result: its query reports a state"
    ):
        WaitOptions.checked(STATEFUL, **{**GOOD, "accept_empty_after": 60})
    assert WaitOptions.checked(STATEFUL, **GOOD).accept_empty_after is None


def test_good_arguments_become_seconds() -> None:
    """Numbers and timedeltas are taken alike, and the longest pause is not below the shortest."""
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
        # A little less, so that it is the task that ends, with a word on the job: half a minute, a tenth, or half.
        (STARTED, timedelta(seconds=100), SINCE - 30 + 70),
        (STARTED, timedelta(seconds=400), SINCE - 30 + 360),
        (STARTED, timedelta(seconds=40), SINCE - 30 + 20),
        # A minute less at most.
        (STARTED, timedelta(minutes=40), SINCE - 30 + 2340),
        # Airflow counts from the start of the task; where that is not known, from the beginning of the wait.
        (None, timedelta(seconds=100), SINCE + 70),
        # The earlier of the two counts.
        (STARTED, timedelta(hours=10), SINCE + 3600),
    ],
)
def test_execution_timeout_is_not_waited_for(
    started: datetime | None, execution_timeout: timedelta | None, deadline: float
) -> None:
    """A wait ends at its timeout, or a little before an earlier execution_timeout."""
    options = WaitOptions.checked(COPYRIGHT_EXTRACT, **GOOD)
    wait = options.wait_for(
        COPYRIGHT_EXTRACT, "J", since=SINCE, log=LOGGER, started=started, execution_timeout=execution_timeout
    )
    assert wait.deadline == pytest.approx(deadline, abs=1e-3)


def test_wait_has_all_of_the_options() -> None:
    """What was asked for reaches the wait, in moments."""
    options = WaitOptions(2.0, 5.0, 100.0, 40.0)
    wait = options.wait_for(COPYRIGHT_EXTRACT, "J", since=SINCE, log=LOGGER, polls=3)
    assert (wait.job_type, wait.job_id, wait.since, wait.polls) == (COPYRIGHT_EXTRACT, "J", SINCE, 3)
    assert (wait.poll_interval, wait.max_poll_interval) == (2.0, 5.0)
    assert (wait.deadline, wait.accept_empty_from) == (SINCE + 100, SINCE + 40)
    assert (
        WaitOptions(2.0, 5.0, 100.0, None).wait_for(COPYRIGHT_EXTRACT, "J", since=SINCE, log=LOGGER).accept_empty_from
        is None
    )
