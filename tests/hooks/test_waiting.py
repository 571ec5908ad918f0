"""The hook that waits for jobs, as operators, sensors and the trigger use it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_ims.hooks import waiting
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.hooks.waiting import WaitingHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.outcome import OutcomeKind
from airflow_provider_ims.jobs.polling import JobWait
from tests.families import IPRODUCTION as CANCELLABLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from airflow_provider_ims.jobs.types import JobType

SUBMIT = "SubmitCopyrightExtractJob"
QUERY = "QueryCopyrightExtractJob"
MEDIA = "oss://rights-evidence/clip.mp4"
pytestmark = pytest.mark.usefixtures("connect")


# ---- waiting


def wait_for(job_id: str, **changes: Any) -> JobWait:
    """Return a wait that asks often."""
    now = time.time()
    quick: dict[str, Any] = {"since": now, "deadline": now + 60, "poll_interval": 0.02, "max_poll_interval": 0.02}
    return JobWait(COPYRIGHT_EXTRACT, job_id, **{**quick, **changes})


def test_wait_polls_over_one_connection(ims_emulator: EmulatorProcess) -> None:
    """A wait asks until there is text, all polls over one session."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0.3)
    hook = WaitingHook()
    job_id = hook.submit_copyright_extract_job(MEDIA)
    outcome = hook.poll_until_done(wait_for(job_id))
    assert (outcome.kind, outcome.result, outcome.job_id) == (OutcomeKind.SUCCEEDED, "(c) Studio", job_id)
    polls = [request for request in ims_emulator.requests() if request["action"] == QUERY]
    assert outcome.polls == len(polls) > 2
    assert len({request["connection"] for request in polls}) == 1


def test_one_poll(ims_emulator: EmulatorProcess) -> None:
    """A glance at a silent job is one poll, and no end."""
    hook = WaitingHook()
    job_id = hook.submit_copyright_extract_job(MEDIA)
    assert hook.poll_once(wait_for(job_id)) is None
    assert [request["action"] for request in ims_emulator.requests()] == [SUBMIT, QUERY]


def test_polling_until_responses_are_explained(ims_emulator: EmulatorProcess) -> None:
    """Five answers with a StatusCode that nobody documents end a wait within one glance, where it is to settle them."""
    ims_emulator.fault(QUERY, "answer", times=9, body='{"StatusCode": 500, "Message": "no"}')
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


def in_loop(method: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """Return an asynchronous method of a hook as the triggerer calls it, with the end of its session."""

    async def call(hook: ImsHook, *args: Any, **kwargs: Any) -> Any:
        try:
            return await method(hook, *args, **kwargs)
        finally:
            await hook.aclose()

    def run(*args: Any, **kwargs: Any) -> Any:
        # With a factory, the loop of pytest-asyncio stays that of the thread.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(call(*args, **kwargs))

    return run


both_leaves = pytest.mark.parametrize(
    "leave", [WaitingHook.leave, in_loop(WaitingHook.aleave)], ids=["leave", "aleave"]
)


def asked(emulator: EmulatorProcess) -> list[tuple[str, dict[str, Any]]]:
    return [(request["action"], request["parameters"]) for request in emulator.requests()]


@both_leaves
def test_job_that_is_left_is_cancelled(
    leave: Callable[..., Any], ims_emulator: EmulatorProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """A job that nobody waits for any longer is cancelled if that is wanted, and the log says so."""
    caplog.set_level(logging.INFO)
    ims_emulator.fault(QUERY_CANCELLABLE, "answer", body='{"Status": "Analysing"}')
    ims_emulator.fault(CANCEL, "answer", body="{}")
    leave(WaitingHook(), CANCELLABLE, "J", cancel=True, log=LOGGER)
    assert [action for action, _ in asked(ims_emulator)] == [QUERY_CANCELLABLE, CANCEL]
    assert "Cancelled job J" in caplog.text


@both_leaves
def test_job_that_is_left_that_has_ended_is_left_alone(
    leave: Callable[..., Any], ims_emulator: EmulatorProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """A job that had ended is not cancelled, and not called so."""
    caplog.set_level(logging.INFO)
    ims_emulator.fault(QUERY_CANCELLABLE, "answer", body='{"Status": "Success"}')
    leave(WaitingHook(), CANCELLABLE, "J", cancel=True, log=LOGGER)
    assert [action for action, _ in asked(ims_emulator)] == [QUERY_CANCELLABLE]
    assert "Job J had ended before: succeeded" in caplog.text


@both_leaves
def test_leaving_without_a_connection_is_logged(
    leave: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The end of a task raises nothing, whatever stands in the way of the cancellation."""
    monkeypatch.delenv("AIRFLOW_CONN_IMS_DEFAULT")
    leave(WaitingHook(), CANCELLABLE, "J", cancel=True, log=LOGGER)
    assert "Job J could not be cancelled; it may go on, and be billed: There is no usable connection" in caplog.text


@pytest.mark.parametrize(
    ("job_type", "cancel", "why"),
    [
        (COPYRIGHT_EXTRACT, True, "IMS has no action that cancels a CopyrightExtractJob"),
        (COPYRIGHT_EXTRACT, False, "IMS has no action that cancels a CopyrightExtractJob"),
        (CANCELLABLE, False, "It is not to be cancelled"),
    ],
)
@both_leaves
def test_job_that_is_left_that_goes_on_is_told_of(
    leave: Callable[..., Any],
    job_type: JobType,
    cancel: bool,  # noqa: FBT001 - a parameter of the table
    why: str,
    ims_emulator: EmulatorProcess,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where a job is not cancelled, the log says which one goes on and is billed; not even a connection is needed."""
    monkeypatch.delenv("AIRFLOW_CONN_IMS_DEFAULT")
    leave(WaitingHook(), job_type, "J", cancel=cancel, log=LOGGER)
    (record,) = [record for record in caplog.records if record.name == LOGGER.name]
    assert record.levelno == logging.WARNING
    assert f"This task no longer waits for job J. {why}: the job goes on, and is billed." in record.getMessage()
    assert ims_emulator.requests() == []


@pytest.mark.parametrize(
    ("action", "fault", "says"),
    [
        (CANCEL, {"kind": "answer", "status": 403, "body": '{"Code": "Forbidden.RAM", "Message": "no"}'}, "Forbidden"),
        (QUERY_CANCELLABLE, {"kind": "internal_error"}, "InternalError"),
        (QUERY_CANCELLABLE, {"kind": "cut_before", "times": 2}, "no response came back"),
    ],
    ids=["cancel refused", "query failed", "network"],
)
@both_leaves
def test_failed_cancel_of_a_job_that_is_left_is_logged(
    leave: Callable[..., Any],
    action: str,
    fault: dict[str, Any],
    says: str,
    ims_emulator: EmulatorProcess,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A task that is being killed does not fail over the cancelling of its job: the log says that the job may go on."""
    ims_emulator.fault(action, **fault)
    ims_emulator.fault(QUERY_CANCELLABLE, "answer", body='{"Status": "Analysing"}')
    leave(WaitingHook(), CANCELLABLE, "J", cancel=True, log=LOGGER)
    (record,) = [record for record in caplog.records if record.name == LOGGER.name]
    assert record.levelno == logging.WARNING
    assert "Job J could not be cancelled; it may go on, and be billed: " in record.getMessage()
    assert says in record.getMessage()


@pytest.mark.parametrize("action", [QUERY_CANCELLABLE, CANCEL], ids=["query", "cancel"])
@both_leaves
def test_leaving_takes_no_longer_than_it_may(
    leave: Callable[..., Any],
    action: str,
    ims_emulator: EmulatorProcess,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A service that does not answer does not hold up the end of a task, which Airflow kills after five seconds."""
    assert waiting.CANCEL_TIMEOUT < 5
    monkeypatch.setattr(waiting, "CANCEL_TIMEOUT", 0.3)
    ims_emulator.fault(action, "hang")
    ims_emulator.fault(QUERY_CANCELLABLE, "answer", body='{"Status": "Analysing"}')
    begun = time.monotonic()
    leave(WaitingHook(), CANCELLABLE, "J", cancel=True, log=LOGGER)
    # The connection's own time-out would be ten seconds.
    assert 0.3 <= time.monotonic() - begun < 5
    assert "Job J could not be cancelled; it may go on, and be billed: TimeoutError" in caplog.text
    assert [name for name, _ in asked(ims_emulator)][-1] == action


# ---- keys that change while a job is waited for


async def test_wait_takes_the_new_keys_of_a_connection(
    ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """A wait outlives its keys: where they are refused, those that the connection has by now are tried."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    job_id = ImsHook().submit_copyright_extract_job(MEDIA)
    connect(password="retired")
    hook = WaitingHook()
    assert hook.settings.credentials.secret == "retired"
    connect()
    outcome = await hook.apoll_until_done(wait_for(job_id))
    await hook.aclose()
    assert (outcome.kind, outcome.result, outcome.polls) == (OutcomeKind.SUCCEEDED, "(c) Studio", 1)
    assert [request["code"] for request in ims_emulator.requests()[1:]] == ["SignatureDoesNotMatch", "OK"]


async def test_keys_that_have_not_changed_are_not_tried_again(
    ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """Keys that are refused end the wait after one request if the connection has no others."""
    connect(password="revoked")
    hook = WaitingHook()
    outcome = await hook.apoll_until_done(wait_for("J"))
    await hook.aclose()
    assert outcome.kind is OutcomeKind.REFUSED
    assert [request["code"] for request in ims_emulator.requests()] == ["SignatureDoesNotMatch"]


class SealedVault:
    """A secrets backend that is down for the first look-ups."""

    def __init__(self, value: str, failures: int) -> None:
        self.value = value
        self.failures = failures

    def get_connection(self, conn_id: str) -> Connection:
        self.failures -= 1
        if self.failures >= 0:
            raise OSError("vault sealed")
        return Connection.from_json(self.value, conn_id=conn_id)


async def test_wait_outlives_a_vault_that_is_sealed_for_a_while(
    ims_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that cannot be read for some polls does not end a wait."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    job_id = ImsHook().submit_copyright_extract_job(MEDIA)
    vault = SealedVault(ims_emulator.connection_json(), failures=3)
    monkeypatch.setattr(ImsHook, "get_connection", vault.get_connection)
    hook = WaitingHook()
    outcome = await hook.apoll_until_done(wait_for(job_id))
    await hook.aclose()
    assert (outcome.kind, outcome.polls) == (OutcomeKind.SUCCEEDED, 4)


async def test_refused_keys_are_what_is_told_if_the_vault_is_sealed(
    ims_emulator: EmulatorProcess, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the connection cannot be read again, the wait ends in the refusal of the keys, not in that."""
    connect(password="revoked")
    hook = WaitingHook()
    assert hook.settings.credentials.secret == "revoked"
    monkeypatch.setattr(ImsHook, "get_connection", SealedVault("", failures=9).get_connection)
    outcome = await hook.apoll_until_done(wait_for("J"))
    await hook.aclose()
    assert outcome.error is not None
    assert (outcome.kind, outcome.error["class"], outcome.polls) == (OutcomeKind.REFUSED, "ImsCredentialsError", 1)
