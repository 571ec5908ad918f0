"""The hook, as operators and the tasks of users call it."""

from __future__ import annotations

import asyncio
import json
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
    ImsConnectionNotFoundError,
    ImsCredentialsError,
    ImsNotFoundError,
    ImsRequestError,
    ImsSubmitUnknownError,
    ImsThrottledError,
    ImsTransportError,
)
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.types import JobState
from tests.families import IPRODUCTION as CANCELLABLE
from tests.hooks.calls import in_loop, requested

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from airflow_provider_ims.emulator.process import EmulatorProcess

MEDIA = "oss://rights-evidence/clip.mp4"
SUBMIT = "SubmitCopyrightExtractJob"
QUERY = "QueryCopyrightExtractJob"
LIST = "QueryCopyrightJobList"

pytestmark = pytest.mark.usefixtures("connect")


def connected(emulator: EmulatorProcess) -> str:
    """Return what a successful test of the connection to the emulator says."""
    return f"Connected to {emulator.endpoint} (region cn-shanghai) as acs:ram::1234567890123456:user/emulator"


def test_submission_and_query_return_the_watermark(ims_emulator: EmulatorProcess) -> None:
    """A submission returns a JobId, and a query of it the text and the raw response."""
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


async def test_asynchronous_methods_share_a_connection(ims_emulator: EmulatorProcess) -> None:
    """The asynchronous methods of a hook share one connection until aclose."""
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


async def test_synchronous_call_works_while_a_loop_is_running(ims_emulator: EmulatorProcess) -> None:
    """A synchronous call works on a thread whose loop is running, although asyncio.run would fail."""
    assert asyncio.get_running_loop().is_running()
    assert ImsHook().call(LIST)["Message"] == "ok"


def test_call_works_inside_a_signal_handler(ims_emulator: EmulatorProcess) -> None:
    """A call works inside a signal handler that interrupts another call, as Airflow calls on_kill."""
    hook = ImsHook()
    ims_emulator.fault(QUERY, "slow", seconds=1)
    messages: list[Any] = []

    def on_timer(_signal: int, _frame: FrameType | None) -> None:
        messages.append(hook.call(LIST)["Message"])

    previous = signal.signal(signal.SIGALRM, on_timer)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(ImsApiError, match="JobNotFound"):
            hook.query_copyright_extract_job("nobody")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert messages == ["ok"]


def test_synchronous_calls_leave_no_thread(ims_emulator: EmulatorProcess) -> None:
    """A synchronous call ends its thread and loop: a hook needs no close and works after a fork."""
    hook = ImsHook()
    before = threading.active_count()
    for _ in range(3):
        hook.call(LIST)
    assert threading.active_count() == before


def test_hook_can_be_shared_by_threads(ims_emulator: EmulatorProcess) -> None:
    """Several threads can call one hook at the same time."""
    hook = ImsHook()
    messages: list[str] = []
    threads = [threading.Thread(target=lambda: messages.append(hook.call(LIST)["Message"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert messages == ["ok"] * 8


@pytest.mark.parametrize(
    "body", ['{"RequestId": "R-1", "StatusCode": 200, "Message": "later"}', '{"RequestId": "R", "Data": {"JobId": ""}}']
)
def test_success_without_a_job_id_is_an_error(body: str, ims_emulator: EmulatorProcess) -> None:
    """A success without a JobId is an unknown submission: a job may exist."""
    ims_emulator.fault(SUBMIT, "answer", status=200, body=body)
    with pytest.raises(
        ImsSubmitUnknownError, match=r"The response of the service has no JobId \(Message .*clearing the task"
    ):
        ImsHook().submit_copyright_extract_job(MEDIA)


@pytest.mark.parametrize("job_id", ["", " ", None])
def test_query_without_a_job_id_is_refused(job_id: Any, ims_emulator: EmulatorProcess) -> None:
    """An empty JobId, as from a missing XCom, is refused before the call."""
    with pytest.raises(ImsConfigurationError, match="Give the JobId of a CopyrightExtractJob"):
        ImsHook().query_copyright_extract_job(job_id)
    assert ims_emulator.requests() == []


def test_constructor_does_not_look_up_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is looked up by the first call, not by the constructor."""
    monkeypatch.delenv("AIRFLOW_CONN_IMS_DEFAULT")
    hook = ImsHook(ims_conn_id="nobody")
    with pytest.raises(ImsConnectionNotFoundError, match="Airflow finds no connection 'nobody'"):
        hook.call(LIST)


def test_typed_client_has_endpoint_and_credentials(ims_emulator: EmulatorProcess) -> None:
    """get_conn returns a client of the official SDK that can be called at once."""
    from alibabacloud_ice20201109 import models

    response = ImsHook().get_conn().query_copyright_job_list(models.QueryCopyrightJobListRequest(page_size=1))
    assert response.body.status_code == 200


def test_connection_test_succeeds(ims_emulator: EmulatorProcess) -> None:
    """The test of the connection is one cheap, authenticated read, and the identity from STS."""
    assert ImsHook().test_connection() == (True, connected(ims_emulator))
    assert {request["action"] for request in ims_emulator.requests()} == {LIST, "GetCallerIdentity"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"login": "LTAInobody"}, "Wrong access key ID: the service does not know it (InvalidAccessKeyId.NotFound)."),
        ({"password": "canary"}, "Wrong access key secret: the signature was refused (SignatureDoesNotMatch)."),
        (
            {"host": "http://127.0.0.1:1"},
            "Unreachable: QueryCopyrightJobList was not sent: 127.0.0.1:1 could not be reached",
        ),
        ({"password": ""}, "The connection lacks the Access key secret. Fill in both; nothing is taken from"),
        ({"port": 99_999}, "The connection: Port is not a number from 1 to 65535 (99999). Correct it, or empty it."),
    ],
)
def test_connection_test_says_what_is_wrong(fields: dict[str, Any], message: str, connect: Callable[..., None]) -> None:
    """A failed test of the connection says what to correct, without a secret."""
    connect(**fields)
    ok, text = ImsHook().test_connection()
    assert not ok
    assert message in text
    assert "canary" not in text


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, "Forbidden.RAM", "lack permission (Forbidden.RAM). Grant the RAM action ice:QueryCopyrightJobList on"),
        (403, "Forbidden.SubscriptionRequired", "was refused: Forbidden.SubscriptionRequired: m"),
        (400, "InvalidAccessKeyId.Inactive", "Disabled access key: "),
        (400, "InvalidSecurityToken.Expired", "Wrong STS security token: "),
        (400, "UnsupportedOperation", "Wrong region: it does not offer watermark jobs"),
        (404, "InvalidAction.NotFound", "Wrong region: it does not offer watermark jobs"),
        (503, "ServiceUnavailable", "was refused: ServiceUnavailable"),
    ],
)
def test_connection_test_explains_an_error_response(
    status: int, code: str, message: str, ims_emulator: EmulatorProcess
) -> None:
    """The message distinguishes a missing permission, a wrong region and an error of the service."""
    ims_emulator.fault(LIST, "answer", status=status, body=f'{{"RequestId": "R", "Code": "{code}", "Message": "m"}}')
    ok, text = ImsHook().test_connection()
    assert not ok
    assert message in text


def test_port_out_of_range_is_named_by_the_test_of_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection under test is in a URI, which Airflow cannot read with such a port; the error names Port."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", "ims://LTAIkey:canary@proxy.example.com:99999/")
    text = "The connection: Port is not a number from 1 to 65535 ('99999'). Correct it, or empty it."
    assert ImsHook().test_connection() == (False, text)


@pytest.mark.skipif(Version(version("apache-airflow")) < Version("3.3"), reason="older versions store it first")
def test_connection_under_test_need_not_be_stored(
    ims_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection can be tested before it is saved, as the UI does."""
    monkeypatch.delenv("AIRFLOW_CONN_IMS_DEFAULT")
    fields = ims_emulator.connection()
    connection = Connection(conn_id="unsaved", **{**fields, "extra": json.dumps(fields["extra"])})
    assert connection.test_connection() == (True, connected(ims_emulator))


def test_interrupted_call_ends_at_once(ims_emulator: EmulatorProcess) -> None:
    """An exception that a signal raises in a call, as Airflow's time-out does, ends it without the response."""

    class TimeUp(BaseException):
        pass

    def on_timer(_signal: int, _frame: FrameType | None) -> None:
        raise TimeUp

    ims_emulator.fault(QUERY, "hang")
    before = threading.active_count()
    previous = signal.signal(signal.SIGALRM, on_timer)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(TimeUp):
            ImsHook().query_copyright_extract_job("J")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert threading.active_count() == before


def test_interrupted_submission_is_unknown(ims_emulator: EmulatorProcess) -> None:
    """A time-out that Airflow raises during a submission becomes ImsSubmitUnknownError."""

    class TimeUp(BaseException):
        pass

    def on_timer(_signal: int, _frame: FrameType | None) -> None:
        raise TimeUp

    ims_emulator.fault(SUBMIT, "hang")
    previous = signal.signal(signal.SIGALRM, on_timer)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(ImsSubmitUnknownError, match="It was interrupted") as caught:
            ImsHook().submit_copyright_extract_job(MEDIA)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert isinstance(caught.value.__cause__, TimeUp)


def test_ctrl_c_raises_keyboard_interrupt(ims_emulator: EmulatorProcess) -> None:
    """Ctrl-C during a submission raises KeyboardInterrupt."""
    ims_emulator.fault(SUBMIT, "hang")
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        ImsHook().submit_copyright_extract_job(MEDIA)
    timer.join()


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, '{"RequestId": "R", "StatusCode": 403, "Message": "no"}', "has StatusCode 403: no"),
        (200, '{"RequestId": "R"}', "is not from IMS: it has no StatusCode. Check Endpoint."),
        (200, '{"RequestId": "R", "Success": false}', "is not from IMS: it has no StatusCode. Check Endpoint."),
        (200, '{"RequestId": "R", "Data": []}', "is not from IMS: it has no StatusCode. Check Endpoint."),
        (200, '{"StatusCode": 200, "Data": []}', "which is not the service's JSON object"),
        (200, "<html>ok</html>", "which is not the service's JSON object"),
        (200, "", "which is not the service's JSON object"),
        (204, "", "which is not the service's JSON object"),
        (302, '{"RequestId": "R", "StatusCode": 200}', "HTTP 302"),
    ],
)
def test_connection_test_succeeds_only_with_a_response_of_the_service(
    status: int, body: str, message: str, ims_emulator: EmulatorProcess
) -> None:
    """A response that is not the one of the service, such as that of a login page, fails the connection test."""
    ims_emulator.fault(LIST, "answer", status=status, body=body)
    ok, text = ImsHook().test_connection()
    assert not ok
    assert message in text


@pytest.mark.parametrize("fields", [{"password": "canary"}, {"login": "LTAInobody"}])
def test_error_of_a_task_says_what_the_connection_test_says(
    fields: dict[str, Any], connect: Callable[..., None]
) -> None:
    """Wrong keys have the same words in a task and in the connection test, without the signed request."""
    connect(**fields)
    _, text = ImsHook().test_connection()
    with pytest.raises(ImsCredentialsError) as caught:
        ImsHook().submit_copyright_extract_job(MEDIA)
    what, advice = text.split(". ", 1)
    assert f"{SUBMIT} of oss://rights-evidence/clip.mp4 in cn-shanghai was refused: {what}: " in str(caught.value)
    assert str(caught.value).endswith(advice)
    assert "canonical" not in str(caught.value).lower()


def test_http_endpoint_with_https_says_so(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> None:
    """An endpoint that speaks plain HTTP is named as that, not by the constant of OpenSSL."""
    connect(host=ims_emulator.endpoint.replace("http://", "https://"))
    _, text = ImsHook().test_connection()
    assert "could not be reached: it does not speak TLS at this port, which https needs" in text


@pytest.mark.parametrize("proxy", ["http://proxy.invalid:3128", "https://user:canary@proxy.invalid", "proxy.invalid"])
def test_name_of_the_proxy_is_not_taken_for_that_of_the_service(
    proxy: str, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the name of the proxy cannot be resolved, the error says that it is the proxy's."""
    connect(host="https://ims.invalid")
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    _, text = ImsHook().test_connection()
    assert "ims.invalid could not be reached: the proxy: its name could not be resolved" in text


@pytest.mark.parametrize(
    "proxy",
    [
        f"http://{'a' * 64}.example.com",
        "http://a..b",
        "http://-a.b:1",
        "http://proxy:0",
        "http://proxy:99999",
        "http://prox y",
        "http://[::1",
        "http://user:canary\u4e2d@127.0.0.1:1",
        "http://127.0.0.1:1\r\nX: canary",
        "http://\udc80canary",
        "://canary",
    ],
)
def test_odd_proxy_is_a_configuration_error(
    proxy: str, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that cannot be used is an error of ours that does not repeat it, not one of a library."""
    connect(host="https://ims.invalid")
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(
        ImsConfigurationError, match=r"HTTPS_PROXY or ALL_PROXY.*or add ims.invalid to NO_PROXY"
    ) as caught:
        ImsHook().call(LIST)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("action", ["Query\nX", "Query\r\nx-acs-version: canary", "Qu\u00e9ry", "Q\ud800", "", "Get X"])
def test_odd_action_is_a_configuration_error(action: str, ims_emulator: EmulatorProcess) -> None:
    """The name of an action becomes a header: only letters and digits are sent."""
    with pytest.raises(ImsConfigurationError, match="The name of the action is not one of the API"):
        ImsHook().call(action)
    assert ims_emulator.requests() == []


@pytest.mark.parametrize("params", [{"X": "\ud800"}, {"X": {"k": "\ud800"}}, {"\ud800": "x"}])
def test_parameter_that_is_not_utf8_is_a_configuration_error(
    params: dict[str, Any], ims_emulator: EmulatorProcess
) -> None:
    """A parameter with half of a surrogate pair, as from a damaged file name, is an error of ours."""
    with pytest.raises(ImsConfigurationError, match="has characters that UTF-8 cannot write"):
        ImsHook().call(LIST, params)
    assert ims_emulator.requests() == []


@pytest.mark.parametrize("digits", [400, 5000])
def test_absurd_retry_after_is_ignored(digits: int, ims_emulator: EmulatorProcess) -> None:
    """A retry-after that no float can hold is ignored."""
    body = '{"RequestId": "R", "Code": "Throttling.User", "Message": "m"}'
    ims_emulator.fault(LIST, "answer", status=400, body=body, headers={"x-acs-retry-after": "9" * digits})
    with pytest.raises(ImsThrottledError) as caught:
        ImsHook().call(LIST)
    assert caught.value.retry_after is None


UNREADABLE = [
    ("{", r"is not valid JSON \(line 1, column 2\)"),
    ('{"conn_type": "ims", "port": "canary"}', "Port is not a number from 1 to 65535"),
    ('{"conn_type": "ims", "region_id": "cn-shanghai"}', "has the unknown field 'region_id'"),
    ('{"conn_type": "ims", "password": 5}', "password must be text"),
    ('{"conn_type": "ims", "password": "\\ud800"}', "has characters that UTF-8 cannot write"),
    ("ims://LTAIkey:canary@[::1/", "is not a valid URI"),
    ("ims://https://canary://x://y", "is not a valid URI"),
]


@pytest.mark.parametrize(("value", "message"), UNREADABLE)
def test_connection_that_airflow_cannot_read_is_not_called_missing(
    value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow says that a connection it cannot read does not exist; the error says what is wrong with it."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", value)
    with pytest.raises(
        ImsConfigurationError, match=rf"'ims_default' \(environment variable AIRFLOW_CONN_IMS_DEFAULT\).*{message}"
    ) as caught:
        ImsHook().call(LIST)
    assert "canary" not in str(caught.value)


def test_unreachable_service_is_a_transport_error(connect: Callable[..., None]) -> None:
    """If the service cannot be reached, the hook raises ImsTransportError."""
    connect(host="http://127.0.0.1:1")
    with pytest.raises(ImsTransportError):
        ImsHook().submit_copyright_extract_job(MEDIA)


@pytest.mark.parametrize("job_id", ["nobody", "0" * 32])
def test_unknown_job_raises_not_found_error(job_id: str, ims_emulator: EmulatorProcess) -> None:
    """An unknown JobId raises ImsNotFoundError, which advises to check region and account."""
    with pytest.raises(ImsNotFoundError, match="that the region and the account are those of its submission") as caught:
        ImsHook().query_copyright_extract_job(job_id)
    assert (caught.value.code, caught.value.http_status, caught.value.action) == ("JobNotFound", 404, QUERY)


# ---- cancelling

CANCEL = "CancelIProductionJob"
QUERY_CANCELLABLE = "QueryIProductionJob"


both_cancels = pytest.mark.parametrize("cancel", [ImsHook.cancel, in_loop(ImsHook.acancel)], ids=["cancel", "acancel"])


@both_cancels
def test_running_job_is_cancelled(cancel: Callable[..., Any], ims_emulator: EmulatorProcess) -> None:
    """A job is queried first, and cancelled if it is running."""
    ims_emulator.fault(QUERY_CANCELLABLE, "answer", body='{"RequestId": "R", "Status": "Analysing"}')
    ims_emulator.fault(CANCEL, "answer", body='{"RequestId": "R"}')
    snapshot = cancel(ImsHook(), CANCELLABLE, "J")
    assert (snapshot.state, snapshot.service_state) == (JobState.RUNNING, "Analysing")
    assert requested(ims_emulator) == [(QUERY_CANCELLABLE, {"JobId": "J"}), (CANCEL, {"JobId": "J"})]


@pytest.mark.parametrize(
    ("service_state", "state"),
    [("Success", JobState.SUCCEEDED), ("Fail", JobState.FAILED), ("Canceled", JobState.CANCELLED)],
)
@both_cancels
def test_ended_job_is_not_cancelled(
    cancel: Callable[..., Any], service_state: str, state: JobState, ims_emulator: EmulatorProcess
) -> None:
    """A job that has ended is not cancelled, so that cancel may be repeated."""
    ims_emulator.fault(QUERY_CANCELLABLE, "answer", body=json.dumps({"RequestId": "R", "Status": service_state}))
    assert cancel(ImsHook(), CANCELLABLE, "J").state is state
    assert requested(ims_emulator) == [(QUERY_CANCELLABLE, {"JobId": "J"})]


def test_error_of_a_call_names_the_media_without_its_signature(ims_emulator: EmulatorProcess, connect: object) -> None:
    """The error of any submit action names what the job works on, without a query string that may hold a signature."""
    ims_emulator.fault(
        "SubmitSnapshotJob",
        "answer",
        status=400,
        body='{"RequestId": "R", "Code": "InvalidParameter", "Message": "no"}',
    )
    with pytest.raises(ImsRequestError, match=r"SubmitSnapshotJob of https://host/a\.mp4 in ") as error:
        ImsHook().call("SubmitSnapshotJob", {"Input": {"Type": "OSS", "Media": "https://host/a.mp4?Signature=canary"}})
    assert "canary" not in str(error.value)


@both_cancels
def test_job_is_cancelled_by_the_parameter_of_that_action(
    cancel: Callable[..., Any], ims_emulator: EmulatorProcess
) -> None:
    """A family that is queried by a list of ids is cancelled by one id."""
    ims_emulator.fault("QueryDNAJobList", "answer", body='{"RequestId": "R", "JobList": [{"Status": "Queuing"}]}')
    ims_emulator.fault("CancelDNAJob", "answer", body='{"RequestId": "R"}')
    assert cancel(ImsHook(), "DNAJob", "J").service_state == "Queuing"
    assert requested(ims_emulator) == [("QueryDNAJobList", {"JobIds": "J"}), ("CancelDNAJob", {"JobId": "J"})]


@both_cancels
def test_refused_cancel_is_an_error(cancel: Callable[..., Any], ims_emulator: EmulatorProcess) -> None:
    """If the service refuses to cancel, the error is raised."""
    ims_emulator.fault(QUERY_CANCELLABLE, "answer", body='{"RequestId": "R", "Status": "Analysing"}')
    ims_emulator.fault(
        CANCEL, "answer", status=403, body='{"RequestId": "R", "Code": "Forbidden.RAM", "Message": "no"}'
    )
    with pytest.raises(ImsCredentialsError, match="Grant the RAM action ice:CancelIProductionJob"):
        cancel(ImsHook(), CANCELLABLE, "J")


@both_cancels
def test_watermark_job_cannot_be_cancelled(cancel: Callable[..., Any], ims_emulator: EmulatorProcess) -> None:
    """A job of a family without a cancel action is refused before any call."""
    with pytest.raises(ImsConfigurationError, match="no action that cancels a CopyrightExtractJob"):
        cancel(ImsHook(), "CopyrightExtractJob", "J")
    assert ims_emulator.requests() == []
