"""The trigger, as the triggerer runs it: on a loop, over real HTTP, from arguments that were stored."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.emulator.process import EmulatorProcess
from airflow_provider_ims.exceptions import (
    ImsConfigurationError,
    ImsCredentialsError,
    ImsError,
    ImsJobTimeoutError,
    ImsNotFoundError,
)
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT, JOB_TYPES
from airflow_provider_ims.jobs.outcome import JobOutcome, OutcomeKind, finish
from airflow_provider_ims.jobs.polling import JobWait
from airflow_provider_ims.triggers.job import ImsJobTrigger
from tests.families import IPRODUCTION as CANCELLABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow.triggers.base import TriggerEvent

    Connect = Callable[..., None]
    Written = Callable[[], str]

MEDIA = "oss://rights-evidence/clip.mp4"
QUERY = "QueryCopyrightExtractJob"
CLASS = "airflow_provider_ims.triggers.job.ImsJobTrigger"

# As release 0.1.0 stores them. Do not change after the release: a wait outlives the upgrade of the provider.
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
LEAST_ARGUMENTS = {"wait": {name: WAIT_OF_0_1_0[name] for name in ("job_type", "job_id", "since", "deadline")}}


@pytest.fixture
def written(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Written:
    """Return a function that returns what was logged: Airflow 3 prints it, Airflow 2 gives it to logging."""
    caplog.set_level(logging.DEBUG)

    def read() -> str:
        out, err = capfd.readouterr()
        return f"{out}{err}{caplog.text}"

    return read


def arguments(job_id: str, *, seconds: float = 60.0, **changes: Any) -> dict[str, Any]:
    """Return the arguments of a trigger that polls often; changes are those of the trigger or of its wait."""
    now = time.time()
    of_trigger: dict[str, Any] = {
        name: changes.pop(name) for name in ("ims_conn_id", "region", "cancel_on_kill") if name in changes
    }
    quick = {"poll_interval": 0.02, "max_poll_interval": 0.02, "since": now, "deadline": now + seconds}
    return {"wait": {"job_type": "CopyrightExtractJob", "job_id": job_id, **quick, **changes}, **of_trigger}


def load(class_path: str, kwargs: dict[str, Any]) -> ImsJobTrigger:
    """Make a trigger as the triggerer does: from its class path, and arguments that were JSON in the database."""
    module, _, name = class_path.rpartition(".")
    trigger = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(kwargs)))
    assert isinstance(trigger, ImsJobTrigger)
    return trigger


async def events(trigger: ImsJobTrigger) -> list[Any]:
    """Run a trigger to its end, and return the payloads of its events as they leave the database."""
    fired: list[TriggerEvent] = [event async for event in trigger.run()]
    return [json.loads(json.dumps(event.payload)) for event in fired]


async def end_of(trigger: ImsJobTrigger) -> JobOutcome:
    """Run a trigger, and return the one outcome that it reports."""
    (event,) = await events(trigger)
    return JobOutcome.from_event(event, COPYRIGHT_EXTRACT, trigger.wait["job_id"])


async def submit(media: str = MEDIA) -> str:
    hook = ImsHook()
    try:
        submission = await hook.asubmit("CopyrightExtractJob", {"Input": {"Type": "OSS", "Media": media}})
    finally:
        await hook.aclose()
    return submission.job_id


def asked(emulator: EmulatorProcess) -> list[str]:
    """Return the actions that were called."""
    return [request["action"] for request in emulator.requests()]


async def until_asked(emulator: EmulatorProcess, times: int, waiting: asyncio.Task[Any]) -> None:
    """Let a wait go on until it has asked so often."""
    while asked(emulator).count(QUERY) < times:
        assert not waiting.done()
        await asyncio.sleep(0.01)


# ---- arguments


@pytest.mark.parametrize("kwargs", [ARGUMENTS_OF_0_1_0, LEAST_ARGUMENTS], ids=["of 0.1.0", "least"])
def test_stored_trigger_can_be_loaded(kwargs: dict[str, Any]) -> None:
    """The arguments of release 0.1.0 are understood, those that have a default may be missing, and none gets lost."""
    trigger = load(CLASS, kwargs)
    stored = trigger.serialize()
    assert {name: stored[1][name] for name in kwargs} == kwargs
    assert load(*stored).serialize() == stored


def test_arguments_are_primitives() -> None:
    """The class path and arguments that JSON knows are stored, each as it was given."""
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


def test_wait_survives_the_database() -> None:
    """A wait is the same after it was stored as JSON; values of a newer version are ignored."""
    wait = JobWait(COPYRIGHT_EXTRACT, "J", since=1.5, deadline=9.5, accept_empty_from=5.0, polls=7, unexplained=2)
    stored = json.loads(json.dumps(wait.to_primitives()))
    assert JobWait.from_primitives({**stored, "of_a_newer_version": {"x": 1}}) == wait


# ---- one event


async def test_watermark_is_the_one_event(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """A wait over real HTTP fires one event, with the text, and is over; its polls share a connection."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio")
    job_id = await submit()
    waiting = asyncio.create_task(events(load(CLASS, arguments(job_id, polls=1))))
    await until_asked(ims_emulator, 3, waiting)
    ims_emulator.advance(3600)
    (event,) = await waiting
    outcome = JobOutcome.from_event(event, COPYRIGHT_EXTRACT, job_id)
    assert (outcome.kind, outcome.result) == (OutcomeKind.SUCCEEDED, "(c) Studio")
    polls = [request for request in ims_emulator.requests() if request["action"] == QUERY]
    assert outcome.polls == 1 + len(polls)
    assert len({request["connection"] for request in polls}) == 1


async def test_silence_is_an_event_from_its_moment_on(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """Where the task says how long silence is to last, the event says that nothing was found."""
    job_id = await submit()
    outcome = await end_of(load(CLASS, arguments(job_id, accept_empty_from=time.time() + 0.2)))
    assert (outcome.kind, outcome.result) == (OutcomeKind.NOTHING_FOUND, None)
    assert outcome.elapsed >= 0.2


async def test_trouble_that_may_pass_is_no_event(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """A throttled, broken or failing service does not end the wait."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    job_id = await submit()
    for nth, kind in enumerate(
        # The last one twice: where a connection that was kept breaks, a query goes out again at once.
        ["throttle", "service_unavailable", "internal_error", "html_502", "cut_before", "cut_before"],
        start=1,
    ):
        ims_emulator.fault(QUERY, kind, nth=nth)
    outcome = await end_of(load(CLASS, arguments(job_id)))
    assert (outcome.kind, outcome.polls) == (OutcomeKind.SUCCEEDED, 6)


async def test_late_triggerer_asks_once(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """A trigger that starts anew after its deadline asks one last time, and reports that time is up."""
    job_id = await submit()
    given = arguments(job_id, since=time.time() - 7200, deadline=time.time() - 3600, polls=4)
    outcome = await end_of(load(CLASS, given))
    assert (outcome.kind, outcome.polls) == (OutcomeKind.TIMEOUT, 5)
    assert outcome.elapsed == pytest.approx(7200, abs=60)
    assert asked(ims_emulator).count(QUERY) == 1
    with pytest.raises(ImsJobTimeoutError, match=r"5 polls in 2\.0 h"):
        finish(outcome, COPYRIGHT_EXTRACT)


async def test_late_triggerer_still_sees_the_result(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """A job that ended while no triggerer ran has not timed out."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    job_id = await submit()
    given = arguments(job_id, since=time.time() - 7200, deadline=time.time() - 3600)
    assert (await end_of(load(CLASS, given))).kind is OutcomeKind.SUCCEEDED


async def test_second_triggerer_goes_on(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """A trigger that is stopped fires nothing, and another one from the same arguments goes on with the job."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio")
    job_id = await submit()
    stored = load(CLASS, arguments(job_id)).serialize()
    first = asyncio.create_task(events(load(*stored)))
    await until_asked(ims_emulator, 1, first)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    ims_emulator.advance(3600)
    outcome = await end_of(load(*stored))
    assert (outcome.kind, outcome.result) == (OutcomeKind.SUCCEEDED, "(c) Studio")
    assert len(ims_emulator.jobs()) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"host": "http://ice.cn-shanghai.aliyuncs.com"}, "http is for loopback addresses only"),
        ({"password": ""}, "lacks the Access key secret"),
        ({"extra": {"region_id": None}}, "No region"),
        (None, "There is no usable connection 'ims_default'"),
    ],
    ids=["http", "no secret", "no region", "gone"],
)
async def test_connection_that_went_wrong_is_an_event(
    change: dict[str, Any] | None,
    says: str,
    ims_emulator: EmulatorProcess,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection that disappears or is broken during a wait ends it with a report, not with a crash."""
    if change is None:
        monkeypatch.delenv("AIRFLOW_CONN_IMS_DEFAULT")
    else:
        connect(**change)
    outcome = await end_of(load(CLASS, arguments("J")))
    # Not the first time: Airflow says so too if its secrets backend is down.
    assert (outcome.kind, outcome.polls) == (OutcomeKind.REFUSED, 5)
    with pytest.raises(ImsConfigurationError, match=says) as caught:
        finish(outcome, COPYRIGHT_EXTRACT)
    assert "The job itself goes on, and is billed" in str(caught.value)
    assert ims_emulator.requests() == []


async def test_task_names_connection_and_region(
    ims_emulator: EmulatorProcess, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait goes on with the connection and the region of the task, not with the default ones."""
    monkeypatch.delenv("AIRFLOW_CONN_IMS_DEFAULT")
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", ims_emulator.connection_json())
    given = arguments("nobody", since=time.time() - 600, ims_conn_id="other", region="cn-beijing")
    outcome = await end_of(load(CLASS, given))
    with pytest.raises(ImsNotFoundError, match=r"job nobody in cn-beijing was refused: JobNotFound"):
        finish(outcome, COPYRIGHT_EXTRACT)


# ---- the end by a user


async def test_kill_of_a_watermark_job_says_what_goes_on(
    ims_emulator: EmulatorProcess, connect: Connect, written: Written
) -> None:
    """When a user clears the task, the log says that the job goes on and is billed; nothing is called."""
    await load(CLASS, arguments("J-77", cancel_on_kill=True)).on_kill()
    text = written()
    assert "This task no longer waits for job J-77." in text
    assert "IMS has no action that cancels a CopyrightExtractJob: the job goes on, and is billed" in text
    assert ims_emulator.requests() == []


@pytest.mark.parametrize("wanted", [True, False])
async def test_kill_cancels_where_that_is_wanted_and_possible(
    wanted: bool,  # noqa: FBT001 - a parameter of the test
    ims_emulator: EmulatorProcess,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    written: Written,
) -> None:
    """A job that can be cancelled is cancelled if the task says so, and else left alone."""
    monkeypatch.setitem(JOB_TYPES, CANCELLABLE.name, CANCELLABLE)
    ims_emulator.fault("QueryIProductionJob", "answer", body='{"Status": "Analysing"}')
    ims_emulator.fault("CancelIProductionJob", "answer", body="{}")
    await load(CLASS, arguments("J-77", job_type=CANCELLABLE.name, cancel_on_kill=wanted)).on_kill()
    assert asked(ims_emulator) == (["QueryIProductionJob", "CancelIProductionJob"] if wanted else [])
    assert ("Cancelled job J-77" in (text := written())) is wanted
    assert ("It is not to be cancelled: the job goes on" in text) is not wanted


async def test_kill_ends_although_it_is_cancelled_again_and_again(
    ims_emulator: EmulatorProcess, connect: Connect, monkeypatch: pytest.MonkeyPatch, written: Written
) -> None:
    """Airflow 3.3 cancels a trigger each second until it has ended; the job is cancelled all the same."""
    # An action that the emulator knows stands in for one that cancels: a slow answer has to be a real one.
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
    assert asked(ims_emulator) == [QUERY, "QueryCopyrightJobList"]
    assert "Cancelled job J-77" in written()


async def test_cleanup_calls_nothing(
    ims_emulator: EmulatorProcess, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a triggerer is no reason to cancel a job."""
    monkeypatch.setitem(JOB_TYPES, CANCELLABLE.name, CANCELLABLE)
    await load(CLASS, arguments("J", job_type=CANCELLABLE.name, cancel_on_kill=True)).cleanup()
    assert ims_emulator.requests() == []


# ---- secrets

SECRET = "canarysecret5b1f"
TOKEN = "canarytoken/+=77zz"


@pytest.fixture(scope="module")
def canary() -> Iterator[EmulatorProcess]:
    """Run an emulator that wants canary credentials."""
    with EmulatorProcess(access_key_secret=SECRET, security_token=TOKEN) as process:
        yield process


MIRRORS: dict[str, tuple[dict[str, Any], OutcomeKind]] = {
    "status code": (
        {"body": json.dumps({"StatusCode": 403, "Message": f"we got <{SECRET}> <{TOKEN}>"})},
        OutcomeKind.FAILED,
    ),
    "state": (
        {"body": json.dumps({"Data": {"Status": "Fail"}, "Message": f"<{TOKEN}>", "x": SECRET})},
        OutcomeKind.FAILED,
    ),
    "word": ({"body": json.dumps({"Data": {"Status": f"<{SECRET}>"}})}, OutcomeKind.TIMEOUT),
    "refusal": (
        {"status": 403, "body": json.dumps({"Code": "Forbidden", "Message": f"<{TOKEN}>", "Recommend": SECRET})},
        OutcomeKind.REFUSED,
    ),
    "strange refusal": (
        {"status": 400, "body": json.dumps({"Code": "Odd", "Message": f"<{SECRET}>"})},
        OutcomeKind.REFUSED,
    ),
}


@pytest.mark.parametrize(("answer", "end"), MIRRORS.values(), ids=MIRRORS)
async def test_trigger_tells_no_secret(
    answer: dict[str, Any],
    end: OutcomeKind,
    canary: EmulatorProcess,
    monkeypatch: pytest.MonkeyPatch,
    written: Written,
) -> None:
    """Arguments, event, log and error are clean of secret and token, whatever the service repeats of them."""
    canary.reset()
    canary.fault(QUERY, "answer", times=100_000, **answer)
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", canary.connection_json())
    trigger = load(CLASS, arguments("J", seconds=0.2 if end is OutcomeKind.TIMEOUT else 60.0))
    (event,) = await events(trigger)
    outcome = JobOutcome.from_event(event, COPYRIGHT_EXTRACT, "J")
    assert outcome.kind is end
    with pytest.raises(ImsError, match=r"\*\*\*") as caught:
        finish(outcome, COPYRIGHT_EXTRACT)
    for text in (repr(trigger), json.dumps(trigger.serialize()), json.dumps(event), str(caught.value), written()):
        assert "canary" not in text
        assert "77zz" not in text


async def test_wrong_secret_is_an_event_without_it(
    canary: EmulatorProcess, monkeypatch: pytest.MonkeyPatch, written: Written
) -> None:
    """The service's refusal of a signature repeats the signed request, token included; the event does not."""
    canary.reset()
    connection = {**canary.connection(), "password": f"{SECRET}x"}
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", json.dumps(connection))
    (event,) = await events(load(CLASS, arguments("J")))
    for text in (json.dumps(event), written()):
        assert "SignatureDoesNotMatch" in json.dumps(event)
        assert "canary" not in text
        assert "77zz" not in text
    with pytest.raises(ImsCredentialsError):
        finish(JobOutcome.from_event(event, COPYRIGHT_EXTRACT, "J"), COPYRIGHT_EXTRACT)


# ---- the loop of the triggerer

HARNESS = """
import asyncio, json, logging, sys, time
from airflow_provider_ims.triggers.job import ImsJobTrigger

complaints = []


class Keep(logging.Handler):
    def emit(self, record):
        complaints.append(record.getMessage())


logger = logging.getLogger("asyncio")
logger.addHandler(Keep(logging.WARNING))


async def main():
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = 0.1
    loaded = "aiohttp" in sys.modules
    events = [event.payload async for event in ImsJobTrigger(**json.loads(sys.argv[1])).run()]
    await asyncio.sleep(0)  # asyncio complains after a step has ended
    during = complaints[:]
    loop.call_soon(time.sleep, 0.2)
    await asyncio.sleep(0.3)
    return {"loaded": loaded, "events": events, "during": during, "after": complaints[len(during):]}


print("ANSWER " + json.dumps(asyncio.run(main(), debug=True)))
"""

SLOW_SECRETS = '''
import time
from airflow.models.connection import Connection
from airflow.secrets import BaseSecretsBackend


class SlowSecrets(BaseSecretsBackend):
    """A secrets backend as they are: each look-up is a call over the network, and blocks."""

    def get_connection(self, conn_id, **_):
        from pathlib import Path

        time.sleep(0.3)
        return Connection.from_json(Path(__file__).with_suffix(".json").read_text(), conn_id=conn_id)
'''


async def test_wait_does_not_block_the_loop(ims_emulator: EmulatorProcess, connect: Connect, tmp_path: Path) -> None:
    """A whole wait, with the look-up of the connection and the first import of aiohttp, holds no loop for 0.1 s."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0.5)
    job_id = await submit()
    (tmp_path / "harness.py").write_text(HARNESS)
    (tmp_path / "slow_secrets.py").write_text(SLOW_SECRETS)
    (tmp_path / "slow_secrets.json").write_text(ims_emulator.connection_json())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_CONN")}
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
    assert "ANSWER" in done.stdout, done.stderr
    answer = json.loads(done.stdout.partition("ANSWER ")[2].splitlines()[0])
    assert not answer["loaded"]
    assert [(event["kind"], event["result"]) for event in answer["events"]] == [("succeeded", "(c) Studio")]
    assert answer["during"] == []
    # The same check does complain when something blocks.
    assert any("took 0.2" in complaint for complaint in answer["after"]), answer["after"]
