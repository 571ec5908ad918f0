"""The hook that waits for jobs, as operators, sensors and the trigger use it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest
from airflow.models.connection import Connection

from airflow_provider_ims.api.rate_limit import IN_FLIGHT
from airflow_provider_ims.connection.access_key import AccessKey
from airflow_provider_ims.exceptions import ImsConfigurationError
from airflow_provider_ims.hooks import waiting
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.hooks.waiting import WaitingHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.outcome import OutcomeKind
from airflow_provider_ims.jobs.polling import JobWait
from tests.families import IPRODUCTION as CANCELLABLE
from tests.hooks.calls import in_loop, requested

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from airflow_provider_ims.jobs.types import JobType

SUBMIT = "SubmitCopyrightExtractJob"
QUERY = "QueryCopyrightExtractJob"
MEDIA = "oss://rights-evidence/clip.mp4"
FORBIDDEN = '{"RequestId": "R", "Code": "Forbidden.RAM", "Message": "no"}'
pytestmark = pytest.mark.usefixtures("connect", "no_correction_grace")


# ---- the public wait


def test_hook_waits_for_its_job(ims_emulator: EmulatorProcess, caplog: pytest.LogCaptureFixture) -> None:
    """A task of one's own submits and waits with two calls, and its log has the JobId and the text."""
    caplog.set_level(logging.INFO)
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0.2)
    hook = ImsHook()
    job_id = hook.submit_copyright_extract_job(MEDIA)
    outcome = hook.wait("CopyrightExtractJob", job_id, timeout=30, poll_interval=0.05)
    assert (outcome.kind, outcome.result, outcome.job_id) == (OutcomeKind.SUCCEEDED, "(c) Studio", job_id)
    lines = [line for line in caplog.messages if job_id in line]
    assert lines[0] == f"Submitted CopyrightExtractJob {job_id} for {MEDIA} in cn-shanghai"
    assert lines[-1].endswith(": '(c) Studio'")


def test_hook_returns_how_a_wait_ended(ims_emulator: EmulatorProcess) -> None:
    """A time-out and a declared silence are outcomes, not errors: the task decides what they mean."""
    ims_emulator.put_media(MEDIA, processing_time=0)
    hook = ImsHook()
    job_id = hook.submit_copyright_extract_job(MEDIA)
    assert hook.wait("CopyrightExtractJob", job_id, timeout=0.2, poll_interval=0.05).kind is OutcomeKind.TIMEOUT
    silence = hook.wait("CopyrightExtractJob", job_id, timeout=30, poll_interval=0.05, accept_empty_after=0.1)
    assert silence.kind is OutcomeKind.NOTHING_FOUND
    assert len(ims_emulator.bill()["lines"]) == 1


@pytest.mark.parametrize(
    "arguments", [{"job_id": "None"}, {"timeout": 0}, {"poll_interval": "15"}, {"job_type": "Nothing"}], ids=str
)
def test_wrong_argument_of_a_wait_sends_nothing(arguments: dict[str, Any], ims_emulator: EmulatorProcess) -> None:
    """An argument that cannot be right raises before a call."""
    with pytest.raises(ImsConfigurationError):
        ImsHook().wait(**{"job_type": "CopyrightExtractJob", "job_id": "J", **arguments})
    assert ims_emulator.requests() == []


# ---- waiting


def wait_for(job_id: str, **changes: Any) -> JobWait:
    """Return a wait with short pauses."""
    now = time.time()
    quick: dict[str, Any] = {"since": now, "deadline": now + 60, "poll_interval": 0.02, "max_poll_interval": 0.02}
    return JobWait(COPYRIGHT_EXTRACT, job_id, **{**quick, **changes})


def test_wait_polls_over_one_connection(ims_emulator: EmulatorProcess) -> None:
    """A wait polls until there is text, and all polls share one connection."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0.3)
    hook = WaitingHook()
    job_id = hook.submit_copyright_extract_job(MEDIA)
    outcome = hook.poll_until_done(wait_for(job_id))
    assert (outcome.kind, outcome.result, outcome.job_id) == (OutcomeKind.SUCCEEDED, "(c) Studio", job_id)
    polls = [request for request in ims_emulator.requests() if request["action"] == QUERY]
    assert outcome.polls == len(polls) > 2
    assert len({request["connection"] for request in polls}) == 1


def test_poll_once_polls_once(ims_emulator: EmulatorProcess) -> None:
    """poll_once polls once, and an empty response does not end the wait."""
    hook = WaitingHook()
    job_id = hook.submit_copyright_extract_job(MEDIA)
    assert hook.poll_once(wait_for(job_id)) is None
    assert [request["action"] for request in ims_emulator.requests()] == [SUBMIT, QUERY]


def test_poll_once_until_explained_ends_after_five_unexplained_responses(ims_emulator: EmulatorProcess) -> None:
    """With until_explained, five responses with an undocumented StatusCode end the wait in one call."""
    ims_emulator.fault(QUERY, "answer", times=9, body='{"RequestId": "R", "StatusCode": 500, "Message": "no"}')
    hook, wait = WaitingHook(), wait_for("J")
    assert hook.poll_once(wait) is None
    assert len(ims_emulator.requests()) == 1
    outcome = hook.poll_once(wait, until_explained=True)
    assert outcome is not None
    assert (outcome.kind, outcome.code, outcome.message, outcome.polls) == (OutcomeKind.FAILED, "500", "no", 5)
    assert len(ims_emulator.requests()) == 5


# ---- leaving a job

CANCEL = "CancelIProductionJob"
QUERY_CANCELLABLE = "QueryIProductionJob"
LOGGER = logging.getLogger("tests.hooks")


both_leaves = pytest.mark.parametrize(
    "leave", [WaitingHook.leave, in_loop(WaitingHook.aleave)], ids=["leave", "aleave"]
)


@both_leaves
def test_leave_cancels_a_running_job(
    leave: Callable[..., Any], ims_emulator: EmulatorProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """With cancel=True a running job is cancelled, and this is logged."""
    caplog.set_level(logging.INFO)
    ims_emulator.fault(QUERY_CANCELLABLE, "answer", body='{"RequestId": "R", "Status": "Analysing"}')
    ims_emulator.fault(CANCEL, "answer", body='{"RequestId": "R"}')
    leave(WaitingHook(), CANCELLABLE, "J", cancel=True, log=LOGGER)
    assert [action for action, _ in requested(ims_emulator)] == [QUERY_CANCELLABLE, CANCEL]
    assert "Cancelled job J" in caplog.text


@both_leaves
def test_leave_does_not_cancel_a_job_that_has_ended(
    leave: Callable[..., Any], ims_emulator: EmulatorProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """A job that had ended before is not cancelled, and the log names its state."""
    caplog.set_level(logging.INFO)
    ims_emulator.fault(QUERY_CANCELLABLE, "answer", body='{"RequestId": "R", "Status": "Success"}')
    leave(WaitingHook(), CANCELLABLE, "J", cancel=True, log=LOGGER)
    assert [action for action, _ in requested(ims_emulator)] == [QUERY_CANCELLABLE]
    assert "Job J had ended before: succeeded" in caplog.text


@both_leaves
def test_leave_logs_a_missing_connection(
    leave: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If the connection is missing, leave logs that the job may go on, and raises nothing."""
    monkeypatch.delenv("AIRFLOW_CONN_IMS_DEFAULT")
    leave(WaitingHook(), CANCELLABLE, "J", cancel=True, log=LOGGER)
    assert "Job J could not be cancelled; it may go on, and be billed: Airflow finds no connection" in caplog.text


@pytest.mark.parametrize(
    ("job_type", "cancel", "why"),
    [
        (COPYRIGHT_EXTRACT, True, "IMS has no action that cancels a CopyrightExtractJob"),
        (COPYRIGHT_EXTRACT, False, "IMS has no action that cancels a CopyrightExtractJob"),
        (CANCELLABLE, False, "It is not to be cancelled"),
    ],
)
@both_leaves
def test_leave_logs_a_job_that_goes_on(
    leave: Callable[..., Any],
    job_type: JobType,
    cancel: bool,  # noqa: FBT001 - a column of the table
    why: str,
    ims_emulator: EmulatorProcess,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A job that is not cancelled is logged as going on and billed, without any call or connection."""
    monkeypatch.delenv("AIRFLOW_CONN_IMS_DEFAULT")
    leave(WaitingHook(), job_type, "J", cancel=cancel, log=LOGGER)
    (record,) = [record for record in caplog.records if record.name == LOGGER.name]
    assert record.levelno == logging.WARNING
    assert f"This task no longer waits for job J. {why}: the job goes on, and is billed." in record.getMessage()
    assert ims_emulator.requests() == []


@pytest.mark.parametrize(
    ("action", "fault", "message"),
    [
        (
            CANCEL,
            {"kind": "answer", "status": 403, "body": '{"RequestId": "R", "Code": "Forbidden.RAM", "Message": "no"}'},
            "Forbidden",
        ),
        (QUERY_CANCELLABLE, {"kind": "internal_error"}, "InternalError"),
        (QUERY_CANCELLABLE, {"kind": "cut_before", "times": 2}, "no response came back"),
    ],
    ids=["cancel refused", "query failed", "network"],
)
@both_leaves
def test_leave_logs_a_failed_cancellation(
    leave: Callable[..., Any],
    action: str,
    fault: dict[str, Any],
    message: str,
    ims_emulator: EmulatorProcess,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If the cancellation fails, leave logs that the job may go on, and raises nothing."""
    ims_emulator.fault(action, **fault)
    ims_emulator.fault(QUERY_CANCELLABLE, "answer", body='{"RequestId": "R", "Status": "Analysing"}')
    leave(WaitingHook(), CANCELLABLE, "J", cancel=True, log=LOGGER)
    (record,) = [record for record in caplog.records if record.name == LOGGER.name]
    assert record.levelno == logging.WARNING
    assert "Job J could not be cancelled; it may go on, and be billed: " in record.getMessage()
    assert message in record.getMessage()


async def test_cancellation_goes_ahead_of_polls(
    ims_emulator: EmulatorProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """While all places in flight are taken by slow polls and more of them wait, a job is cancelled in time."""
    caplog.set_level(logging.INFO)
    polls = 2 * IN_FLIGHT
    ims_emulator.fault(QUERY, "slow", times=polls, seconds=2 * waiting.CANCEL_TIMEOUT)
    ims_emulator.fault(QUERY_CANCELLABLE, "answer", body='{"RequestId": "R", "Status": "Analysing"}')
    ims_emulator.fault(CANCEL, "answer", body='{"RequestId": "R"}')
    hook = WaitingHook()
    try:
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(hook.aquery(COPYRIGHT_EXTRACT, "J")) for _ in range(polls)]
            await asyncio.sleep(0)
            await hook.aleave(CANCELLABLE, "K", cancel=True, log=LOGGER)
            assert "Cancelled job K" in caplog.text
            assert not any(wait.done() for wait in waits)
            for wait in waits:
                wait.cancel()
    finally:
        await hook.aclose()


@pytest.mark.parametrize("action", [QUERY_CANCELLABLE, CANCEL], ids=["query", "cancel"])
@both_leaves
def test_leave_has_a_timeout(
    leave: Callable[..., Any],
    action: str,
    ims_emulator: EmulatorProcess,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If the service does not respond, leave returns before Airflow kills the task after five seconds."""
    assert waiting.CANCEL_TIMEOUT < 5
    monkeypatch.setattr(waiting, "CANCEL_TIMEOUT", 0.3)
    ims_emulator.fault(action, "hang")
    ims_emulator.fault(QUERY_CANCELLABLE, "answer", body='{"RequestId": "R", "Status": "Analysing"}')
    begun = time.monotonic()
    leave(WaitingHook(), CANCELLABLE, "J", cancel=True, log=LOGGER)
    # The connection's own time-out would be ten seconds.
    assert 0.3 <= time.monotonic() - begun < 5
    assert "Job J could not be cancelled; it may go on, and be billed: TimeoutError" in caplog.text
    assert [name for name, _ in requested(ims_emulator)][-1] == action


# ---- keys that change during the wait


async def test_wait_uses_the_new_keys_of_the_connection(
    ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """If the keys are refused, the wait reads the connection again and polls with its new keys."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    job_id = ImsHook().submit_copyright_extract_job(MEDIA)
    connect(password="retired")
    hook = WaitingHook()
    assert hook.settings.credentials == AccessKey(ims_emulator.access_key_id, "retired")
    connect()
    outcome = await hook.apoll_until_done(wait_for(job_id))
    await hook.aclose()
    assert (outcome.kind, outcome.result, outcome.polls) == (OutcomeKind.SUCCEEDED, "(c) Studio", 1)
    assert [request["code"] for request in ims_emulator.requests()[1:]] == ["SignatureDoesNotMatch", "OK"]


async def test_unchanged_keys_are_not_tried_again(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> None:
    """If the keys are refused and the connection has no others, each poll is one request."""
    connect(password="revoked")
    hook = WaitingHook()
    outcome = await hook.apoll_until_done(wait_for("J"))
    await hook.aclose()
    assert outcome.kind is OutcomeKind.REFUSED
    assert [request["code"] for request in ims_emulator.requests()] == ["SignatureDoesNotMatch"] * 5


class FailingSecretsBackend:
    """A secrets backend whose first look-ups fail."""

    def __init__(self, value: str, failures: int) -> None:
        self.value = value
        self.failures = failures

    def get_connection(self, conn_id: str) -> Connection:
        self.failures -= 1
        if self.failures >= 0:
            raise OSError("vault sealed")
        return Connection.from_json(self.value, conn_id=conn_id)


async def test_wait_continues_after_failed_look_ups(
    ims_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to four failed look-ups of the connection do not end the wait."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    job_id = ImsHook().submit_copyright_extract_job(MEDIA)
    backend = FailingSecretsBackend(ims_emulator.connection_json(), failures=3)
    monkeypatch.setattr(ImsHook, "get_connection", backend.get_connection)
    hook = WaitingHook()
    outcome = await hook.apoll_until_done(wait_for(job_id))
    await hook.aclose()
    assert (outcome.kind, outcome.polls) == (OutcomeKind.SUCCEEDED, 4)


async def test_refused_keys_are_reported_if_the_look_up_fails(
    ims_emulator: EmulatorProcess, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the keys are refused and the connection cannot be read again, the outcome is the refusal."""
    connect(password="revoked")
    hook = WaitingHook()
    assert hook.settings.credentials == AccessKey(ims_emulator.access_key_id, "revoked")
    monkeypatch.setattr(ImsHook, "get_connection", FailingSecretsBackend("", failures=9).get_connection)
    outcome = await hook.apoll_until_done(wait_for("J"))
    await hook.aclose()
    assert outcome.error is not None
    assert (outcome.kind, outcome.error["class"], outcome.polls) == (OutcomeKind.REFUSED, "ImsCredentialsError", 5)
