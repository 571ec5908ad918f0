"""The hook, as operators and users' own tasks call it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import threading
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import Connection
from packaging.version import Version

from airflow_provider_ims.exceptions import (
    ImsApiError,
    ImsConfigurationError,
    ImsCredentialsError,
    ImsNotFoundError,
    ImsSubmitUnknownError,
    ImsTransportError,
)
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.types import JobState
from tests.families import IPRODUCTION as CANCELLABLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import FrameType

    from airflow_provider_ims.emulator.process import EmulatorProcess

MEDIA = "oss://rights-evidence/clip.mp4"
SUBMIT = "SubmitCopyrightExtractJob"
QUERY = "QueryCopyrightExtractJob"
LIST = "QueryCopyrightJobList"

pytestmark = pytest.mark.usefixtures("connect")


def test_watermark_of_a_video(ims_emulator: EmulatorProcess) -> None:
    """The mission in two calls: a JobId, and later the text, with the raw answer kept."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", trailing_newline=True)
    hook = ImsHook()
    job_id = hook.submit_copyright_extract_job(MEDIA, algo_type="v1", user_data={"case": 7}, job_params={"x": 1})
    running = hook.query_copyright_extract_job(job_id)
    assert (running.state, running.result) == (JobState.RUNNING, None)
    ims_emulator.advance(3600)
    done = hook.query_copyright_extract_job(job_id)
    assert (done.job_id, done.state, done.result) == (job_id, JobState.SUCCEEDED, "(c) Studio")
    assert done.raw["Data"] == {"Message": "(c) Studio\n"}
    assert done.request_id == done.raw["RequestId"]
    parameters = ims_emulator.requests()[0]["parameters"]
    assert parameters["Params"] == '{"x":1,"algoType":"v1"}'
    assert parameters["UserData"] == '{"case":7}'


async def test_asynchronous_twins(ims_emulator: EmulatorProcess) -> None:
    """Each method has a twin for the triggerer's loop; its calls share one connection until aclose."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    hook = ImsHook()
    submission = await hook.asubmit("CopyrightExtractJob", {"Input": {"Type": "OSS", "Media": MEDIA}})
    for _ in range(2):
        assert (await hook.aquery(COPYRIGHT_EXTRACT, submission.job_id)).result == "(c) Studio"
    assert (await hook.acall(LIST, {"PageSize": 1}))["Data"] == []
    await hook.aclose()
    await hook.aclose()
    assert (await hook.acall(LIST))["StatusCode"] == 200
    await hook.aclose()
    used = [request["connection"] for request in ims_emulator.requests()]
    assert used[1] == used[2] == used[3] != used[4]


async def test_synchronous_call_where_a_loop_is_running(ims_emulator: EmulatorProcess) -> None:
    """A synchronous call works on a thread whose loop is running, where asyncio.run fails."""
    assert asyncio.get_running_loop().is_running()
    assert ImsHook().call(LIST)["Message"] == "ok"


def test_call_inside_a_signal_handler(ims_emulator: EmulatorProcess) -> None:
    """A call works inside a signal handler that interrupts another call: there Airflow calls on_kill."""
    hook = ImsHook()
    ims_emulator.fault(QUERY, "slow", seconds=1)
    answers: list[Any] = []

    def on_alarm(_signal: int, _frame: FrameType | None) -> None:
        answers.append(hook.call(LIST)["Message"])

    previous = signal.signal(signal.SIGALRM, on_alarm)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(ImsApiError, match="JobNotFound"):
            hook.query_copyright_extract_job("nobody")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert answers == ["ok"]


def test_synchronous_calls_leave_no_thread(ims_emulator: EmulatorProcess) -> None:
    """A call's thread and loop end with it, so a hook needs no close and survives a fork."""
    hook = ImsHook()
    before = threading.active_count()
    for _ in range(3):
        hook.call(LIST)
    assert threading.active_count() == before


def test_many_threads_share_a_hook(ims_emulator: EmulatorProcess) -> None:
    """Calls of several threads on one hook do not disturb each other."""
    hook = ImsHook()
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(hook.call(LIST)["Message"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["ok"] * 8


@pytest.mark.parametrize(
    "body", ['{"RequestId": "R-1", "StatusCode": 200, "Message": "later"}', '{"Data": {"JobId": ""}}']
)
def test_success_without_a_job_id_is_an_error(body: str, ims_emulator: EmulatorProcess) -> None:
    """A 200 without a JobId is not None: a job may exist and nobody knows which."""
    ims_emulator.fault(SUBMIT, "answer", status=200, body=body)
    with pytest.raises(
        ImsSubmitUnknownError, match=r"The response of the service has no JobId \(Message .*clearing the task"
    ):
        ImsHook().submit_copyright_extract_job(MEDIA)


@pytest.mark.parametrize("job_id", ["", " ", None])
def test_query_of_nothing_is_refused(job_id: Any, ims_emulator: EmulatorProcess) -> None:
    """An empty JobId is caught before the call, as a missing upstream XCom would be."""
    with pytest.raises(ImsConfigurationError, match="Give the JobId of a CopyrightExtractJob"):
        ImsHook().query_copyright_extract_job(job_id)
    assert ims_emulator.requests() == []


def test_constructor_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is looked up by the first call, not when the hook is made."""
    monkeypatch.delenv("AIRFLOW_CONN_IMS_DEFAULT")
    hook = ImsHook(ims_conn_id="nobody")
    with pytest.raises(ImsConfigurationError, match="There is no usable connection 'nobody'"):
        hook.call(LIST)


def test_typed_client_has_endpoint_and_credentials(ims_emulator: EmulatorProcess) -> None:
    """get_conn returns the official client, ready to call."""
    from alibabacloud_ice20201109 import models

    answer = ImsHook().get_conn().query_copyright_job_list(models.QueryCopyrightJobListRequest(page_size=1))
    assert answer.body.status_code == 200


def test_connection_test_succeeds(ims_emulator: EmulatorProcess) -> None:
    """The test of the connection is one cheap, authenticated read."""
    ok, text = ImsHook().test_connection()
    assert ok
    assert text == f"Connected to {ims_emulator.endpoint} (region cn-shanghai)"
    assert [request["action"] for request in ims_emulator.requests()] == [LIST]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"login": "LTAInobody"}, "Wrong access key ID: the service does not know it (InvalidAccessKeyId.NotFound)."),
        ({"password": "canary"}, "Wrong access key secret: the signature was refused (SignatureDoesNotMatch)."),
        (
            {"host": "http://127.0.0.1:1"},
            "Unreachable: QueryCopyrightJobList was not sent: 127.0.0.1:1 could not be reached",
        ),
        ({"password": ""}, "lacks the Access key secret"),
    ],
)
def test_connection_test_says_what_is_wrong(fields: dict[str, Any], says: str, connect: Callable[..., None]) -> None:
    """A failed test says in a line what to correct, and repeats no secret."""
    connect(**fields)
    ok, text = ImsHook().test_connection()
    assert not ok
    assert says in text
    assert "canary" not in text


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "Forbidden.RAM", "lack permission (Forbidden.RAM). Grant ice:QueryCopyrightJobList"),
        (400, "UnsupportedOperation", "Wrong region: it does not offer watermark jobs"),
        (404, "InvalidAction.NotFound", "Wrong region: it does not offer watermark jobs"),
        (503, "ServiceUnavailable", "was refused: ServiceUnavailable"),
    ],
)
def test_connection_test_reads_the_refusal(status: int, code: str, says: str, ims_emulator: EmulatorProcess) -> None:
    """Permission, region and the service's own trouble are told apart."""
    ims_emulator.fault(LIST, "answer", status=status, body=f'{{"Code": "{code}", "Message": "m"}}')
    ok, text = ImsHook().test_connection()
    assert not ok
    assert says in text


@pytest.mark.skipif(Version(version("apache-airflow")) < Version("3.3"), reason="older ones store it first")
def test_connection_under_test_need_not_be_stored(
    ims_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The UI tests a connection before it is saved: Airflow keeps it in the context of the call."""
    monkeypatch.delenv("AIRFLOW_CONN_IMS_DEFAULT")
    fields = ims_emulator.connection()
    connection = Connection(conn_id="unsaved", **{**fields, "extra": json.dumps(fields["extra"])})
    assert connection.test_connection() == (True, f"Connected to {ims_emulator.endpoint} (region cn-shanghai)")


def test_interrupted_call_ends_at_once(ims_emulator: EmulatorProcess) -> None:
    """An exception raised into a waiting call, as Airflow does at a time-out, does not wait for the answer."""

    class TimeUp(BaseException):
        pass

    def on_alarm(_signal: int, _frame: FrameType | None) -> None:
        raise TimeUp

    ims_emulator.fault(QUERY, "hang")
    before = threading.active_count()
    previous = signal.signal(signal.SIGALRM, on_alarm)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(TimeUp):
            ImsHook().query_copyright_extract_job("J")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert threading.active_count() == before


def test_interrupted_submission_is_unknown(ims_emulator: EmulatorProcess) -> None:
    """A time-out that Airflow raises into a submission becomes the error that is not retried."""

    class TimeUp(BaseException):
        pass

    def on_alarm(_signal: int, _frame: FrameType | None) -> None:
        raise TimeUp

    ims_emulator.fault(SUBMIT, "hang")
    previous = signal.signal(signal.SIGALRM, on_alarm)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(ImsSubmitUnknownError, match="It was interrupted") as caught:
            ImsHook().submit_copyright_extract_job(MEDIA)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert isinstance(caught.value.__cause__, TimeUp)


def test_ctrl_c_stays_ctrl_c(ims_emulator: EmulatorProcess) -> None:
    """Who presses Ctrl-C gets a KeyboardInterrupt, whatever was under way."""
    ims_emulator.fault(SUBMIT, "hang")
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        ImsHook().submit_copyright_extract_job(MEDIA)
    timer.join()


def test_connection_test_reads_the_status_code(ims_emulator: EmulatorProcess) -> None:
    """An HTTP success with a StatusCode that is not 200 fails the connection test."""
    ims_emulator.fault(LIST, "answer", status=200, body='{"StatusCode": 403, "Message": "no"}')
    assert ImsHook().test_connection() == (False, f"The response of {ims_emulator.endpoint} has StatusCode 403: no")


def test_unreachable_service_is_a_transport_error(connect: Callable[..., None]) -> None:
    """A hook's error has the class to decide by."""
    connect(host="http://127.0.0.1:1")
    with pytest.raises(ImsTransportError):
        ImsHook().submit_copyright_extract_job(MEDIA)


@pytest.mark.parametrize("job_id", ["nobody", "0" * 32])
def test_job_that_the_service_does_not_know_has_its_own_error(job_id: str, ims_emulator: EmulatorProcess) -> None:
    """A JobId of nobody is told from a wrong argument: it may be too early to ask, or the wrong region."""
    with pytest.raises(ImsNotFoundError, match="that the region and the account are those of its submission") as caught:
        ImsHook().query_copyright_extract_job(job_id)
    assert (caught.value.code, caught.value.http_status, caught.value.action) == ("JobNotFound", 404, QUERY)


# ---- cancelling

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


both_cancels = pytest.mark.parametrize("cancel", [ImsHook.cancel, in_loop(ImsHook.acancel)], ids=["cancel", "acancel"])


def asked(emulator: EmulatorProcess) -> list[tuple[str, dict[str, Any]]]:
    return [(request["action"], request["parameters"]) for request in emulator.requests()]


@both_cancels
def test_running_job_is_cancelled(cancel: Callable[..., Any], ims_emulator: EmulatorProcess) -> None:
    """A job is asked for first and cancelled if it has not ended."""
    ims_emulator.fault(QUERY_CANCELLABLE, "answer", body='{"Status": "Analysing"}')
    ims_emulator.fault(CANCEL, "answer", body='{"RequestId": "R"}')
    seen = cancel(ImsHook(), CANCELLABLE, "J")
    assert (seen.state, seen.service_state) == (JobState.RUNNING, "Analysing")
    assert asked(ims_emulator) == [(QUERY_CANCELLABLE, {"JobId": "J"}), (CANCEL, {"JobId": "J"})]


@pytest.mark.parametrize(
    ("word", "state"),
    [("Success", JobState.SUCCEEDED), ("Fail", JobState.FAILED), ("Canceled", JobState.CANCELLED)],
)
@both_cancels
def test_ended_job_is_not_cancelled(
    cancel: Callable[..., Any], word: str, state: JobState, ims_emulator: EmulatorProcess
) -> None:
    """A job that has ended is left alone, so that cancelling may be repeated."""
    ims_emulator.fault(QUERY_CANCELLABLE, "answer", body=json.dumps({"Status": word}))
    assert cancel(ImsHook(), CANCELLABLE, "J").state is state
    assert asked(ims_emulator) == [(QUERY_CANCELLABLE, {"JobId": "J"})]


@both_cancels
def test_refused_cancel_is_an_error(cancel: Callable[..., Any], ims_emulator: EmulatorProcess) -> None:
    """Who cancels a job learns that the service refused."""
    ims_emulator.fault(QUERY_CANCELLABLE, "answer", body='{"Status": "Analysing"}')
    ims_emulator.fault(CANCEL, "answer", status=403, body='{"Code": "Forbidden.RAM", "Message": "no"}')
    with pytest.raises(ImsCredentialsError, match="Grant the RAM action ice:CancelIProductionJob"):
        cancel(ImsHook(), CANCELLABLE, "J")


@both_cancels
def test_watermark_job_cannot_be_cancelled(cancel: Callable[..., Any], ims_emulator: EmulatorProcess) -> None:
    """A family without a cancel action is refused before any call, and the job goes on."""
    with pytest.raises(ImsConfigurationError, match="no action that cancels a CopyrightExtractJob: job J goes on"):
        cancel(ImsHook(), "CopyrightExtractJob", "J")
    assert ims_emulator.requests() == []
