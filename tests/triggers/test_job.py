"""The trigger, as the triggerer runs it: on an event loop, over real HTTP, from stored arguments."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

from airflow_provider_ims.emulator.process import EmulatorProcess
from airflow_provider_ims.exceptions import (
    ImsConfigurationError,
    ImsCredentialsError,
    ImsError,
    ImsJobTimeoutError,
    ImsNotFoundError,
)
from airflow_provider_ims.hooks import waiting
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT, JOB_TYPES
from airflow_provider_ims.jobs.outcome import JobOutcome, OutcomeKind, finish
from airflow_provider_ims.jobs.polling import JobWait
from airflow_provider_ims.triggers import job as trigger_module
from airflow_provider_ims.triggers.job import ImsJobTrigger
from tests.families import IPRODUCTION as CANCELLABLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from airflow.triggers.base import TriggerEvent

    Connect = Callable[..., None]
    Logged = Callable[[], str]

MEDIA = "oss://rights-evidence/clip.mp4"
QUERY = "QueryCopyrightExtractJob"
CLASS = "airflow_provider_ims.triggers.job.ImsJobTrigger"
triggers_have_on_kill = pytest.mark.skipif(
    Version(version("apache-airflow")) < Version("3.3"), reason="before Airflow 3.3 a trigger is not told of a kill"
)

# As release 0.1.0 stores them. Do not change after the release: a wait may last over an upgrade of the provider.
WAIT_OF_0_1_0: dict[str, Any] = {
    "job_type": "CopyrightExtractJob",
    "job_id": "b4d6e0c1a2f34e5f8a9b0c1d2e3f4a5b",
    "since": 1735689600.25,
    "deadline": 1735776000.25,
    "poll_interval": 15.0,
    "max_poll_interval": 300.0,
    "accept_empty_from": 1735693200.25,
    "polls": 1,
    "unexplained": 0,
}
ARGUMENTS_OF_0_1_0: dict[str, Any] = {
    "wait": WAIT_OF_0_1_0,
    "ims_conn_id": "ims_default",
    "region": "cn-shanghai",
    "cancel_on_kill": False,
}
REQUIRED_ARGUMENTS = {"wait": {name: WAIT_OF_0_1_0[name] for name in ("job_type", "job_id", "since", "deadline")}}


@pytest.fixture
def logged(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Logged:
    """Return a function that returns the log so far: Airflow 3 prints it, Airflow 2 logs it."""
    caplog.set_level(logging.DEBUG)

    def read() -> str:
        out, err = capfd.readouterr()
        return f"{out}{err}{caplog.text}"

    return read


def arguments(job_id: str, *, seconds: float = 60.0, **changes: Any) -> dict[str, Any]:
    """Return the arguments of a trigger with short pauses; changes are for the trigger or for its wait."""
    now = time.time()
    of_trigger: dict[str, Any] = {
        name: changes.pop(name) for name in ("ims_conn_id", "region", "cancel_on_kill") if name in changes
    }
    quick = {"poll_interval": 0.02, "max_poll_interval": 0.02, "since": now, "deadline": now + seconds}
    return {"wait": {"job_type": "CopyrightExtractJob", "job_id": job_id, **quick, **changes}, **of_trigger}


def load(class_path: str, kwargs: dict[str, Any]) -> ImsJobTrigger:
    """Create a trigger as the triggerer does, from its class path and arguments that were stored as JSON."""
    module, _, name = class_path.rpartition(".")
    trigger = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(kwargs)))
    assert isinstance(trigger, ImsJobTrigger)
    return trigger


async def events(trigger: ImsJobTrigger) -> list[Any]:
    """Run a trigger to its end, and return the payloads of its events after they were stored as JSON."""
    fired: list[TriggerEvent] = [event async for event in trigger.run()]
    return [json.loads(json.dumps(event.payload)) for event in fired]


async def outcome_of(trigger: ImsJobTrigger) -> JobOutcome:
    """Run a trigger, and return the outcome of its only event."""
    (event,) = await events(trigger)
    return JobOutcome.from_event(event, COPYRIGHT_EXTRACT, trigger.wait["job_id"])


async def submit(media: str = MEDIA) -> str:
    hook = ImsHook()
    try:
        submission = await hook.asubmit("CopyrightExtractJob", {"Input": {"Type": "OSS", "Media": media}})
    finally:
        await hook.aclose()
    return submission.job_id


def actions(emulator: EmulatorProcess) -> list[str]:
    """Return the actions that were requested."""
    return [request["action"] for request in emulator.requests()]


async def wait_until_polled(emulator: EmulatorProcess, times: int, waiting: asyncio.Task[Any]) -> None:
    """Wait until the running wait has polled so often."""
    while actions(emulator).count(QUERY) < times:
        assert not waiting.done()
        await asyncio.sleep(0.01)


# ---- arguments


@pytest.mark.parametrize("kwargs", [ARGUMENTS_OF_0_1_0, REQUIRED_ARGUMENTS], ids=["of 0.1.0", "required only"])
def test_stored_trigger_can_be_loaded(kwargs: dict[str, Any]) -> None:
    """A trigger is created from the arguments of release 0.1.0 or the required ones, and stores all of them again."""
    trigger = load(CLASS, kwargs)
    stored = trigger.serialize()
    assert {name: stored[1][name] for name in kwargs} == kwargs
    assert load(*stored).serialize() == stored


def test_stored_arguments_are_primitives() -> None:
    """A trigger stores its class path and its unchanged arguments, as values of JSON."""
    given = arguments(
        "J",
        region="cn-beijing",
        ims_conn_id="other",
        cancel_on_kill=True,
        accept_empty_from=5.0,
        polls=7,
        unexplained=2,
    )
    class_path, kwargs = ImsJobTrigger(**given).serialize()
    assert class_path == CLASS
    assert kwargs == given
    assert json.loads(json.dumps(kwargs)) == kwargs
    assert {type(value) for value in kwargs["wait"].values()} <= {str, int, float, bool}


def test_wait_is_restored_from_json() -> None:
    """A wait is equal after it was stored as JSON; values of a newer version are ignored."""
    wait = JobWait(COPYRIGHT_EXTRACT, "J", since=1.5, deadline=9.5, accept_empty_from=5.0, polls=7, unexplained=2)
    stored = json.loads(json.dumps(wait.to_primitives()))
    assert JobWait.from_primitives({**stored, "of_a_newer_version": {"x": 1}}) == wait


# ---- one event


async def test_trigger_fires_one_event_with_the_watermark(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """A trigger fires one event with the text and ends; its polls share a connection."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio")
    job_id = await submit()
    waiting = asyncio.create_task(events(load(CLASS, arguments(job_id, polls=1))))
    await wait_until_polled(ims_emulator, 3, waiting)
    ims_emulator.advance(3600)
    (event,) = await waiting
    outcome = JobOutcome.from_event(event, COPYRIGHT_EXTRACT, job_id)
    assert (outcome.kind, outcome.result) == (OutcomeKind.SUCCEEDED, "(c) Studio")
    polls = [request for request in ims_emulator.requests() if request["action"] == QUERY]
    assert outcome.polls == 1 + len(polls)
    assert len({request["connection"] for request in polls}) == 1


async def test_empty_response_is_an_event_from_the_given_time(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """An empty response at or after accept_empty_from fires the event that nothing was found."""
    job_id = await submit()
    outcome = await outcome_of(load(CLASS, arguments(job_id, accept_empty_from=time.time() + 0.2)))
    assert (outcome.kind, outcome.result) == (OutcomeKind.NOTHING_FOUND, None)
    assert outcome.elapsed >= 0.2


async def test_temporary_error_fires_no_event(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """A throttled, broken or failing service does not end the wait."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    job_id = await submit()
    for nth, kind in enumerate(
        # The last one twice, because a query is sent again at once if its kept connection breaks.
        ["throttle", "service_unavailable", "internal_error", "html_502", "cut_before", "cut_before"],
        start=1,
    ):
        ims_emulator.fault(QUERY, kind, nth=nth)
    outcome = await outcome_of(load(CLASS, arguments(job_id)))
    assert (outcome.kind, outcome.polls) == (OutcomeKind.SUCCEEDED, 6)


async def test_late_triggerer_polls_once(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """A trigger that starts again after its deadline polls once and reports the time-out."""
    job_id = await submit()
    given = arguments(job_id, since=time.time() - 7200, deadline=time.time() - 3600, polls=4)
    outcome = await outcome_of(load(CLASS, given))
    assert (outcome.kind, outcome.polls) == (OutcomeKind.TIMEOUT, 5)
    assert outcome.elapsed == pytest.approx(7200, abs=60)
    assert actions(ims_emulator).count(QUERY) == 1
    with pytest.raises(ImsJobTimeoutError, match=r"5 polls in 2\.0 h"):
        finish(outcome, COPYRIGHT_EXTRACT)


async def test_late_triggerer_reports_the_result(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """A trigger that starts again after its deadline reports the result of a job that has ended."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    job_id = await submit()
    given = arguments(job_id, since=time.time() - 7200, deadline=time.time() - 3600)
    assert (await outcome_of(load(CLASS, given))).kind is OutcomeKind.SUCCEEDED


async def test_second_triggerer_resumes_the_wait(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """A stopped trigger fires no event, and another one with the same arguments resumes the wait."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio")
    job_id = await submit()
    stored = load(CLASS, arguments(job_id)).serialize()
    first = asyncio.create_task(events(load(*stored)))
    await wait_until_polled(ims_emulator, 1, first)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    ims_emulator.advance(3600)
    outcome = await outcome_of(load(*stored))
    assert (outcome.kind, outcome.result) == (OutcomeKind.SUCCEEDED, "(c) Studio")
    assert len(ims_emulator.jobs()) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"host": "http://ice.cn-shanghai.aliyuncs.com"}, "http is for loopback addresses only"),
        ({"password": ""}, "lacks the Access key secret"),
        ({"extra": {"region_id": None}}, "names no region"),
    ],
    ids=["http", "no secret", "no region"],
)
async def test_invalid_connection_fires_an_event(
    change: dict[str, Any],
    message: str,
    ims_emulator: EmulatorProcess,
    connect: Connect,
) -> None:
    """If the connection is invalid, the trigger fires an event with the error."""
    connect(**change)
    outcome = await outcome_of(load(CLASS, arguments("J")))
    # Not at the first poll: it may be corrected.
    assert (outcome.kind, outcome.polls) == (OutcomeKind.REFUSED, 5)
    with pytest.raises(ImsConfigurationError, match=message) as caught:
        finish(outcome, COPYRIGHT_EXTRACT)
    assert "The job itself goes on, and is billed" in str(caught.value)
    assert ims_emulator.requests() == []


async def test_missing_connection_does_not_end_the_wait(
    ims_emulator: EmulatorProcess, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow reports a missing connection also while its API server or secrets backend is down: the wait goes on."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    job_id = await submit()
    monkeypatch.delenv("AIRFLOW_CONN_IMS_DEFAULT")
    waiting = asyncio.create_task(outcome_of(load(CLASS, arguments(job_id))))
    await asyncio.sleep(1)
    assert not waiting.done()
    connect()
    outcome = await waiting
    assert (outcome.kind, outcome.result) == (OutcomeKind.SUCCEEDED, "(c) Studio")
    assert outcome.polls > 5


async def test_trigger_uses_connection_and_region_of_the_task(
    ims_emulator: EmulatorProcess, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trigger polls with the connection and region of the task, not with the default ones."""
    monkeypatch.delenv("AIRFLOW_CONN_IMS_DEFAULT")
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", ims_emulator.connection_json())
    given = arguments("nobody", since=time.time() - 600, ims_conn_id="other", region="cn-beijing")
    outcome = await outcome_of(load(CLASS, given))
    with pytest.raises(ImsNotFoundError, match=r"job nobody in cn-beijing was refused: JobNotFound"):
        finish(outcome, COPYRIGHT_EXTRACT)


# ---- killed by a user


async def test_kill_logs_the_watermark_job_that_goes_on(
    ims_emulator: EmulatorProcess, connect: Connect, logged: Logged
) -> None:
    """If a user clears the task, the log says that the job goes on and is billed; no request is sent."""
    await load(CLASS, arguments("J-77", cancel_on_kill=True)).on_kill()
    text = logged()
    assert "This task no longer waits for job J-77." in text
    assert "IMS has no action that cancels a CopyrightExtractJob: the job goes on, and is billed" in text
    assert ims_emulator.requests() == []


@pytest.mark.parametrize("wanted", [True, False])
async def test_kill_cancels_the_job_with_cancel_on_kill(
    wanted: bool,  # noqa: FBT001 - the two cases of the test
    ims_emulator: EmulatorProcess,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    logged: Logged,
) -> None:
    """A job that can be cancelled is cancelled only with cancel_on_kill=True."""
    monkeypatch.setitem(JOB_TYPES, CANCELLABLE.name, CANCELLABLE)
    ims_emulator.fault("QueryIProductionJob", "answer", body='{"RequestId": "R", "Status": "Analysing"}')
    ims_emulator.fault("CancelIProductionJob", "answer", body='{"RequestId": "R"}')
    await load(CLASS, arguments("J-77", job_type=CANCELLABLE.name, cancel_on_kill=wanted)).on_kill()
    assert actions(ims_emulator) == (["QueryIProductionJob", "CancelIProductionJob"] if wanted else [])
    assert ("Cancelled job J-77" in (text := logged())) is wanted
    assert ("It is not to be cancelled: the job goes on" in text) is not wanted


async def test_kill_finishes_although_it_is_cancelled_repeatedly(
    ims_emulator: EmulatorProcess, connect: Connect, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    """on_kill cancels the job even if it is cancelled itself each second, as Airflow 3.3 does.

    It has more time for that than a worker.
    """
    monkeypatch.setattr(waiting, "CANCEL_TIMEOUT", 0.1)
    # An action of the emulator stands for the cancel action, because only its own actions can be slow.
    job_type = replace(COPYRIGHT_EXTRACT, name="MadeUpJob", cancel_action="QueryCopyrightJobList")
    monkeypatch.setitem(JOB_TYPES, job_type.name, job_type)
    ims_emulator.configure(unknown_job="silent")
    for action in (QUERY, "QueryCopyrightJobList"):
        ims_emulator.fault(action, "slow", seconds=0.3)
    kill = asyncio.ensure_future(load(CLASS, arguments("J-77", job_type="MadeUpJob", cancel_on_kill=True)).on_kill())
    while not kill.done():
        await asyncio.sleep(0.05)
        kill.cancel()
    kill.result()
    assert actions(ims_emulator) == [QUERY, "QueryCopyrightJobList"]
    assert "Cancelled job J-77" in logged()


async def test_cleanup_sends_no_request(
    ims_emulator: EmulatorProcess, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shutdown of a triggerer does not cancel the job."""
    monkeypatch.setitem(JOB_TYPES, CANCELLABLE.name, CANCELLABLE)
    await load(CLASS, arguments("J", job_type=CANCELLABLE.name, cancel_on_kill=True)).cleanup()
    assert ims_emulator.requests() == []


# ---- killed by a user, or moved to another triggerer


@dataclass
class Supervisor:
    """Airflow's side of a triggerer's channel: it knows one task instance, and the JobId in its XCom."""

    state: str | None
    pushed: str | None
    map_index: int = -1
    failures: dict[str, BaseException | None] = field(default_factory=dict)
    """By the name of the request; None if no response comes."""
    reads: list[str] = field(default_factory=list)

    @property
    def task_instance(self) -> Any:
        """The identity that the triggerer gives to the trigger."""
        return SimpleNamespace(dag_id="dag", run_id="run", task_id="extract", map_index=self.map_index)

    async def asend(self, message: Any) -> Any:
        """Respond to a read."""
        from airflow.sdk.execution_time.comms import TaskStatesResult, XComResult

        self.reads.append(name := type(message).__name__)
        if name in self.failures:
            if error := self.failures[name]:
                raise error
            await asyncio.Event().wait()
        assert (message.dag_id, message.map_index) == ("dag", self.map_index)
        if name == "GetTaskStates":
            assert (message.run_ids, message.task_ids) == (["run"], ["extract"])
            key = "extract" if self.map_index < 0 else f"extract_{self.map_index}"
            states = {} if self.state == "deleted" else {"run": {key: self.state}}
            return TaskStatesResult(task_states=states)
        assert name == "GetXCom"
        assert (message.run_id, message.task_id, message.key) == ("run", "extract", "job_id")
        return XComResult(key="job_id", value=self.pushed)


@pytest.fixture
def kill(
    ims_emulator: EmulatorProcess, connect: Connect, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> Callable[[Supervisor], Awaitable[str]]:
    """Return a function that kills the trigger of job J-77, which can be cancelled, and returns the log."""
    monkeypatch.setitem(JOB_TYPES, CANCELLABLE.name, CANCELLABLE)
    ims_emulator.fault("QueryIProductionJob", "answer", body='{"RequestId": "R", "Status": "Analysing"}')
    ims_emulator.fault("CancelIProductionJob", "answer", body='{"RequestId": "R"}')

    async def kill_trigger(supervisor: Supervisor) -> str:
        from airflow.sdk.execution_time import task_runner

        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
        trigger = load(CLASS, arguments("J-77", job_type=CANCELLABLE.name, cancel_on_kill=True))
        trigger.task_instance = supervisor.task_instance
        await trigger.on_kill()
        return logged()

    return kill_trigger


@triggers_have_on_kill
@pytest.mark.parametrize("map_index", [-1, 5])
@pytest.mark.parametrize("pushed", ["J-77", None])
async def test_move_to_another_triggerer_is_no_kill(
    map_index: int,
    pushed: str | None,
    kill: Callable[[Supervisor], Awaitable[str]],
    ims_emulator: EmulatorProcess,
) -> None:
    """If the task is still deferred, for this job or with no JobId in XCom, nothing is cancelled or said to be left."""
    text = await kill(Supervisor("deferred", pushed, map_index))
    assert "This task still waits for job J-77, in another triggerer or attempt" in text
    assert "no longer waits" not in text
    assert "warning" not in text.lower()
    assert ims_emulator.requests() == []


@triggers_have_on_kill
@pytest.mark.parametrize("map_index", [-1, 5])
@pytest.mark.parametrize(
    ("state", "pushed"),
    [
        ("failed", "J-77"),
        ("success", "J-77"),
        (None, "J-77"),
        ("queued", "J-77"),
        ("running", None),
        ("deleted", None),
        ("deferred", "J-78"),
    ],
    ids=[
        "marked failed",
        "marked success",
        "cleared",
        "queued again",
        "runs again",
        "run deleted",
        "new attempt deferred",
    ],
)
async def test_kill_is_told_from_a_move(
    state: str | None,
    pushed: str | None,
    map_index: int,
    kill: Callable[[Supervisor], Awaitable[str]],
    ims_emulator: EmulatorProcess,
) -> None:
    """If the task is not deferred any more, or deferred for another job, the job is cancelled."""
    text = await kill(Supervisor(state, pushed, map_index))
    assert "Cancelled job J-77" in text
    assert "still waits" not in text
    assert actions(ims_emulator) == ["QueryIProductionJob", "CancelIProductionJob"]


@triggers_have_on_kill
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionError("gone"), "ConnectionError('gone')"),
        (asyncio.CancelledError("closed"), "CancelledError('closed')"),
        (None, "TimeoutError()"),
    ],
    ids=["error", "triggerer ends", "time-out"],
)
@pytest.mark.parametrize("read", ["GetTaskStates", "GetXCom"])
async def test_job_is_not_cancelled_in_doubt(
    read: str,
    error: BaseException | None,
    reason: str,
    kill: Callable[[Supervisor], Awaitable[str]],
    ims_emulator: EmulatorProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If Airflow does not say whether the task still waits, nothing is cancelled, and the log says so and why."""
    monkeypatch.setattr(trigger_module, "READ_TIMEOUT", 0.1)
    text = await kill(supervisor := Supervisor("deferred", "J-77", failures={read: error}))
    assert (
        f"It could not be found out whether this task still waits for job J-77: {reason}. Nothing is cancelled" in text
    )
    assert "the job may go on, and be billed" in text
    assert "no longer waits" not in text
    assert supervisor.reads[-1] == read
    assert ims_emulator.requests() == []


# ---- odd texts


async def test_one_odd_text_harms_no_other_trigger(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """A lone surrogate, NUL or ESC in one job's response is replaced: all events can be stored."""
    connect(extra={"max_requests_per_second": 1000})
    poisoned = json.dumps({"RequestId": "R", "Data": {"Message": "half \ud83d nul \x00 esc \x1b"}})
    ims_emulator.fault(QUERY, "answer", nth=50, body=poisoned)
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    job_id = await submit()
    outcomes = await asyncio.gather(*(outcome_of(load(CLASS, arguments(job_id))) for _ in range(100)))
    results = sorted(str(outcome.result) for outcome in outcomes)
    assert results == ["(c) Studio"] * 99 + ["half \ufffd nul \ufffd esc \ufffd"]
    for outcome in outcomes:
        json.dumps(outcome.to_event(), ensure_ascii=False).encode()


# ---- secrets

SECRET = "canarysecret5b1f"
TOKEN = "canarytoken/+=77zz"


pytestmark = pytest.mark.usefixtures("no_correction_grace")


@pytest.fixture(scope="module")
def canary() -> Iterator[EmulatorProcess]:
    """Run an emulator that requires the canary credentials."""
    with EmulatorProcess(access_key_secret=SECRET, security_token=TOKEN) as process:
        yield process


REPEATED_SECRETS: dict[str, tuple[dict[str, Any], OutcomeKind]] = {
    "status code": (
        {"body": json.dumps({"RequestId": "R", "StatusCode": 403, "Message": f"we got <{SECRET}> <{TOKEN}>"})},
        OutcomeKind.FAILED,
    ),
    "state": (
        {"body": json.dumps({"RequestId": "R", "Data": {"Status": "Fail"}, "Message": f"<{TOKEN}>", "x": SECRET})},
        OutcomeKind.FAILED,
    ),
    "unknown state": ({"body": json.dumps({"RequestId": "R", "Data": {"Status": f"<{SECRET}>"}})}, OutcomeKind.TIMEOUT),
    "error": (
        {
            "status": 403,
            "body": json.dumps({"RequestId": "R", "Code": "Forbidden", "Message": f"<{TOKEN}>", "Recommend": SECRET}),
        },
        OutcomeKind.REFUSED,
    ),
    "unknown error code": (
        {"status": 400, "body": json.dumps({"RequestId": "R", "Code": "Odd", "Message": f"<{SECRET}>"})},
        OutcomeKind.REFUSED,
    ),
}


@pytest.mark.parametrize(("response", "kind"), REPEATED_SECRETS.values(), ids=REPEATED_SECRETS)
async def test_trigger_reveals_no_secret(
    response: dict[str, Any],
    kind: OutcomeKind,
    canary: EmulatorProcess,
    monkeypatch: pytest.MonkeyPatch,
    logged: Logged,
) -> None:
    """Arguments, event, log and error contain no secret or token, even if the response repeats them."""
    canary.reset()
    canary.fault(QUERY, "answer", times=100_000, **response)
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", canary.connection_json())
    trigger = load(CLASS, arguments("J", seconds=0.2 if kind is OutcomeKind.TIMEOUT else 60.0))
    (event,) = await events(trigger)
    outcome = JobOutcome.from_event(event, COPYRIGHT_EXTRACT, "J")
    assert outcome.kind is kind
    with pytest.raises(ImsError, match=r"\*\*\*") as caught:
        finish(outcome, COPYRIGHT_EXTRACT)
    for text in (repr(trigger), json.dumps(trigger.serialize()), json.dumps(event), str(caught.value), logged()):
        assert "canary" not in text
        assert "77zz" not in text


async def test_event_about_a_wrong_secret_has_no_secret(
    canary: EmulatorProcess, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    """The service's error about a signature repeats the signed request with the token; the event does not."""
    canary.reset()
    connection = {**canary.connection(), "password": f"{SECRET}x"}
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", json.dumps(connection))
    (event,) = await events(load(CLASS, arguments("J")))
    for text in (json.dumps(event), logged()):
        assert "SignatureDoesNotMatch" in json.dumps(event)
        assert "canary" not in text
        assert "77zz" not in text
    with pytest.raises(ImsCredentialsError):
        finish(JobOutcome.from_event(event, COPYRIGHT_EXTRACT, "J"), COPYRIGHT_EXTRACT)


# ---- the loop of the triggerer

HARNESS = """
import asyncio, json, logging, sys, time
from airflow_provider_ims.triggers import job as trigger_module
from airflow_provider_ims.triggers.job import ImsJobTrigger

warnings = []


class Collect(logging.Handler):
    def emit(self, record):
        warnings.append(record.getMessage())


logger = logging.getLogger("asyncio")
logger.addHandler(Collect(logging.WARNING))


async def main():
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = 0.1
    loaded = "aiohttp" in sys.modules
    events = [event.payload async for event in ImsJobTrigger(**json.loads(sys.argv[1])).run()]
    await asyncio.sleep(0)  # asyncio warns after a step has ended
    during = warnings[:]
    loop.call_soon(time.sleep, 0.2)
    await asyncio.sleep(0.3)
    return {"loaded": loaded, "events": events, "during": during, "after": warnings[len(during):]}


print("RESULT " + json.dumps(asyncio.run(main(), debug=True)))
"""

SLOW_SECRETS = '''
import time
from airflow.models.connection import Connection
from airflow.secrets import BaseSecretsBackend


class SlowSecrets(BaseSecretsBackend):
    """A secrets backend whose look-ups block, as a call over the network does."""

    def get_connection(self, conn_id, **_):
        from pathlib import Path

        time.sleep(0.3)
        return Connection.from_json(Path(__file__).with_suffix(".json").read_text(), conn_id=conn_id)
'''


async def test_wait_does_not_block_the_loop(ims_emulator: EmulatorProcess, connect: Connect, tmp_path: Path) -> None:
    """A whole wait, with look-up of the connection and import of aiohttp, never blocks the loop for 0.1 s."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0.5)
    job_id = await submit()
    (tmp_path / "harness.py").write_text(HARNESS)
    (tmp_path / "slow_secrets.py").write_text(SLOW_SECRETS)
    (tmp_path / "slow_secrets.json").write_text(ims_emulator.connection_json())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_CONN")}
    blocked = []
    for _ in range(3):
        done = subprocess.run(  # noqa: ASYNC221 - nothing else is to run on this loop
            [sys.executable, tmp_path / "harness.py", json.dumps(arguments(job_id))],
            env={
                **environment,
                "AIRFLOW__SECRETS__BACKEND": "slow_secrets.SlowSecrets",
                "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "RESULT" in done.stdout, done.stderr
        result = json.loads(done.stdout.partition("RESULT ")[2].splitlines()[0])
        assert not result["loaded"]
        assert [(event["kind"], event["result"]) for event in result["events"]] == [("succeeded", "(c) Studio")]
        # The same check warns if something blocks.
        assert any("took 0.2" in warning for warning in result["after"]), result["after"]
        blocked.append(result["during"])
        if not blocked[-1]:
            break
    # A busy machine halts the process at times. What blocks by itself does so in each run.
    assert blocked[-1] == [], blocked
