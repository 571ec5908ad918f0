"""The client over real HTTP: what is sent, how often, and what each response becomes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import socket
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_ims.api.client import ImsClient
from airflow_provider_ims.api.protocol import ApiRequest
from airflow_provider_ims.connection.access_key import AccessKey
from airflow_provider_ims.connection.settings import ImsSettings
from airflow_provider_ims.exceptions import (
    ImsApiError,
    ImsConfigurationError,
    ImsError,
    ImsRecordError,
    ImsRequestError,
    ImsSubmitUnknownError,
    ImsThrottledError,
    ImsTransportError,
)
from tests.responses import REJECTED, UNKNOWN, Case, error_response, response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_ims.api.observer import SubmissionObserver
    from airflow_provider_ims.emulator.process import EmulatorProcess

SUBMIT = "SubmitCopyrightExtractJob"
QUERY = "QueryCopyrightExtractJob"
LIST = "QueryCopyrightJobList"
MEDIA = "oss://rights-evidence/clip.mp4"
SUBMISSION = {"Input": {"Type": "OSS", "Media": MEDIA}, "UserData": None}
UNUSED_PORT = "http://127.0.0.1:1"


@pytest.fixture
def settings(ims_emulator: EmulatorProcess) -> ImsSettings:
    return ImsSettings(
        conn_id="ims_test",
        region=ims_emulator.region,
        endpoint=ims_emulator.endpoint,
        credentials=AccessKey(ims_emulator.access_key_id, ims_emulator.access_key_secret),
        connect_timeout=2,
        read_timeout=2,
    )


def request(action: str, params: dict[str, Any]) -> ApiRequest:
    """Return a request that names its job or its media, as the hook does."""
    return ApiRequest(action, params, subject="job J" if action == QUERY else json.dumps(params.get("Input")))


async def call(settings: ImsSettings, action: str = QUERY, params: dict[str, Any] | None = None) -> dict[str, Any]:
    async with ImsClient(settings) as client:
        return await client.call(request(action, {"JobId": "J"} if params is None else params))


async def submit(settings: ImsSettings, observer: SubmissionObserver | None = None) -> dict[str, Any]:
    async with ImsClient(settings) as client:
        return await client.submit(request(SUBMIT, SUBMISSION), observer)


async def test_submission_is_sent_once_and_complete(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """Objects are sent as JSON, None is left out, and the whole body is returned."""
    body = await submit(settings)
    assert set(body) == {"Data", "Message", "RequestId", "StatusCode"}
    (request,) = ims_emulator.requests()
    assert json.loads(request["parameters"].pop("Input")) == SUBMISSION["Input"]
    assert request["parameters"] == {}
    assert [job["job_id"] for job in ims_emulator.jobs()] == [body["Data"]["JobId"]]


class Observer:
    """Records how it is called.

    :param error: what it raises before the request is sent, None for nothing
    """

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[str] = []
        self.error = error

    def before_send(self) -> None:
        self.calls.append("before_send")
        if self.error is not None:
            raise self.error

    def on_rejected(self) -> None:
        self.calls.append("on_rejected")

    def on_accepted(self, response: dict[str, Any]) -> None:
        self.calls.append(f"on_accepted {response['Data']['JobId']}")

    def on_unknown(self, request_id: str | None) -> None:
        raise AssertionError("the hook calls it, not the client")


async def observed_calls(settings: ImsSettings) -> list[str]:
    """Submit, whatever the outcome, and return how the observer was called."""
    observer = Observer()
    with contextlib.suppress(ImsError):
        await submit(settings, observer)
    return observer.calls


REJECTION = {"status": 400, "body": '{"RequestId": "R", "Code": "InvalidParameter.Input"}'}


@pytest.mark.parametrize(
    ("kind", "options", "calls"),
    [
        (None, {}, ["before_send", "on_accepted {}"]),
        ("throttle", {}, ["before_send", "on_rejected"]),
        ("answer", REJECTION, ["before_send", "on_rejected"]),
        ("cut_before", {}, ["before_send"]),
        ("cut_after", {}, ["before_send"]),
        ("html_502", {}, ["before_send"]),
        ("hang", {}, ["before_send"]),
    ],
)
async def test_observer_is_called_with_the_outcome_of_a_submission(
    kind: str | None, options: dict[str, Any], calls: list[str], ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """An observer is called before the request is sent, and again if a job was created or if none was."""
    if kind:
        ims_emulator.fault(SUBMIT, kind, **options)
    observed = await observed_calls(dataclasses.replace(settings, read_timeout=0.5))
    assert observed == [call.format(*(job["job_id"] for job in ims_emulator.jobs())) for call in calls]


@pytest.mark.parametrize("endpoint", [UNUSED_PORT, "https://ims.invalid", "TLS"])
async def test_observer_is_not_called_without_a_connection(
    endpoint: str, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """The observer is not called before the connection is open, TLS included: no job can exist."""
    if endpoint == "TLS":
        endpoint = settings.endpoint.replace("http://", "https://")
    assert await observed_calls(dataclasses.replace(settings, endpoint=endpoint)) == []


async def test_observer_can_prevent_a_submission(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """An exception of before_send is raised to the caller, the connection is closed and nothing is sent."""
    observer = Observer(error=ImsRecordError("no"))
    with pytest.raises(ImsRecordError):
        await submit(settings, observer)
    assert observer.calls == ["before_send", "on_rejected"]
    assert ims_emulator.requests() == []


async def test_observer_is_not_called_again_if_the_submission_is_interrupted(
    ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """An interruption after the request was sent leaves the outcome unknown: the client reports nothing more."""
    ims_emulator.fault(SUBMIT, "hang")
    observer = Observer()
    with pytest.raises(ImsSubmitUnknownError):
        await asyncio.wait_for(submit(settings, observer), 0.3)
    assert observer.calls == ["before_send"]


async def test_any_text_can_be_signed_and_sent(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """A parameter may contain any characters: the text that arrives is the text that was given."""
    text = "夜 +&=?#%2F~*'()/\"\\ü"
    async with ImsClient(settings) as client:
        await client.submit(request(SUBMIT, {**SUBMISSION, "UserData": text}))
    assert ims_emulator.requests()[0]["parameters"]["UserData"] == text


async def test_queries_share_a_connection_and_each_submission_opens_one(
    ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """Queries reuse a kept connection; each submission opens a new one, because a kept one may be closed."""
    async with ImsClient(settings) as client:
        job_id = (await client.submit(request(SUBMIT, SUBMISSION)))["Data"]["JobId"]
        for _ in range(3):
            await client.call(request(QUERY, {"JobId": job_id}))
        await client.submit(request(SUBMIT, SUBMISSION))
    used = [request["connection"] for request in ims_emulator.requests()]
    assert used[1] == used[2] == used[3]
    assert len({used[0], used[1], used[4]}) == 3


async def test_query_succeeds_after_a_pause_longer_than_the_read_timeout(
    ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """The read timeout does not go on while nobody uses a kept connection: some versions of aiohttp let it."""
    async with ImsClient(dataclasses.replace(settings, read_timeout=0.3)) as client:
        for pause in (0.5, 0.5, 0):
            assert (await client.call(request(LIST, {})))["StatusCode"] == 200
            await asyncio.sleep(pause)
    assert len(ims_emulator.requests()) == 3


@pytest.mark.parametrize("nth", [1, 2])
async def test_query_is_sent_again_if_its_connection_broke(
    nth: int, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """A query is sent again if its connection broke, whether that was kept or new."""
    ims_emulator.fault(LIST, "cut_before", nth=nth)
    async with ImsClient(settings) as client:
        await client.call(request(LIST, {}))
        assert (await client.call(request(LIST, {})))["StatusCode"] == 200
    used = [request["connection"] for request in ims_emulator.requests()]
    assert used[nth - 1] != used[nth]
    assert len(used) == 3


async def test_query_is_sent_again_only_once(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """If the second connection breaks too, the error is raised."""
    ims_emulator.fault(LIST, "cut_before", nth=2, times=2)
    async with ImsClient(settings) as client:
        await client.call(request(LIST, {}))
        with pytest.raises(ImsTransportError, match=r"was sent to .* the connection broke"):
            await client.call(request(LIST, {}))
    assert len(ims_emulator.requests()) == 3


@pytest.mark.parametrize("kind", ["hang", "internal_error"])
async def test_query_is_sent_once_if_its_connection_did_not_break(
    kind: str, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """A query that timed out or got an error response is not sent again: the poll policy decides."""
    ims_emulator.fault(LIST, kind, nth=2)
    async with ImsClient(dataclasses.replace(settings, read_timeout=0.5)) as client:
        await client.call(request(LIST, {}))
        with pytest.raises(ImsError):
            await client.call(request(LIST, {}))
    assert len(ims_emulator.requests()) == 2


async def test_submission_through_call_is_sent_once(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """call() does not repeat a request that is not a query, even if its connection broke."""
    ims_emulator.fault(SUBMIT, "cut_after")
    async with ImsClient(settings) as client:
        await client.call(request(LIST, {}))
        with pytest.raises(ImsTransportError):
            await client.call(request(SUBMIT, SUBMISSION))
    assert ims_emulator.bill()["jobs"] == 1


async def test_each_request_has_its_own_nonce(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """A nonce is never used twice: the service, which refuses a used one, accepts all of 100 requests."""
    async with ImsClient(dataclasses.replace(settings, max_requests_per_second=1000)) as client:
        await asyncio.gather(*(client.call(request(LIST, {})) for _ in range(100)))
    assert [one["code"] for one in ims_emulator.requests()] == ["OK"] * 100


async def test_closed_client_opens_a_new_session(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """A closed client can be used again."""
    client = ImsClient(settings)
    for _ in range(2):
        await client.call(request("QueryCopyrightJobList", {"PageSize": 1}))
        await client.aclose()
    await client.aclose()
    assert len(ims_emulator.requests()) == 2


@pytest.mark.parametrize("case", [*REJECTED, *UNKNOWN], ids=lambda case: case[0])
async def test_error_response_to_a_query_is_raised(
    case: Case, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """The class of an error tells its kind; the message says what failed, for which job, why and what to do."""
    _, options, kind, code, message = case
    ims_emulator.fault(QUERY, "answer", **options)
    with pytest.raises(ImsApiError) as caught:
        await call(settings)
    error = caught.value
    assert type(error) is kind
    assert isinstance(error, AirflowFailException) == (kind is ImsRequestError)
    assert code is None or error.code == code
    assert (error.action, error.http_status) == (QUERY, options["status"])
    assert message in str(error)
    assert f"{QUERY} of job J in cn-shanghai" in str(error)
    assert (error.request_id or "none") in str(error)
    assert len(ims_emulator.requests()) == 1


@pytest.mark.parametrize("case", REJECTED, ids=lambda case: case[0])
async def test_rejected_submission_is_not_unknown(
    case: Case, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """A submission that the service rejected created no job, and its error is not ImsSubmitUnknownError."""
    _, options, kind, _, _ = case
    ims_emulator.fault(SUBMIT, "answer", **options)
    with pytest.raises(ImsError) as caught:
        await submit(settings)
    assert type(caught.value) is kind
    assert len(ims_emulator.requests()) == 1


@pytest.mark.parametrize("case", UNKNOWN, ids=lambda case: case[0])
async def test_submission_with_an_unclear_response_is_unknown(
    case: Case, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """A response that does not tell whether a job exists raises ImsSubmitUnknownError with the reason."""
    _, options, _, _, _ = case
    ims_emulator.fault(SUBMIT, "answer", **options)
    with pytest.raises(ImsSubmitUnknownError, match=f"^{SUBMIT} of .*{MEDIA}.* in cn-shanghai ") as caught:
        await submit(settings)
    assert "Try again" not in str(caught.value)
    assert len(ims_emulator.requests()) == 1


@pytest.mark.parametrize(
    ("kind", "options", "jobs"),
    [
        ("cut_before", {}, 0),
        ("cut_after", {}, 1),
        ("hang", {}, 0),
        ("internal_error_after", {}, 1),
    ],
)
async def test_submission_without_a_response_is_unknown(
    kind: str, options: dict[str, Any], jobs: int, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """Without a response it is unknown whether a job exists; the submission is not sent again."""
    ims_emulator.fault(SUBMIT, kind, **options)
    with pytest.raises(ImsSubmitUnknownError) as caught:
        await submit(dataclasses.replace(settings, read_timeout=0.3))
    assert len(ims_emulator.requests()) == 1
    assert len(ims_emulator.bill()["lines"]) == jobs
    assert caught.value.request_id is None or kind == "internal_error_after"


async def test_query_without_a_response_is_a_transport_error(
    ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """The error says that the query was sent without a response, and names the time-out to raise."""
    ims_emulator.fault(QUERY, "hang")
    with pytest.raises(
        ImsTransportError, match=r"was sent to .*no response.*it did not respond in time.*read_timeout"
    ) as e:
        await call(dataclasses.replace(settings, read_timeout=0.2))
    assert e.value.sent


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        (UNUSED_PORT, "Connection refused|Connect call failed"),
        ("https://127.0.0.1:1", "Connection refused|Connect call failed"),
        ("https://ims.invalid", "its name could not be resolved"),
    ],
)
async def test_submission_to_an_unreachable_service_was_not_sent(
    endpoint: str, why: str, settings: ImsSettings
) -> None:
    """A submission without a connection is known as not sent."""
    with pytest.raises(ImsTransportError, match=rf"was not sent: .* could not be reached: .*({why})") as caught:
        await submit(dataclasses.replace(settings, endpoint=endpoint))
    assert not caught.value.sent


async def test_submission_without_a_tls_handshake_was_not_sent(
    ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """If the TLS handshake fails, the submission is known as not sent."""
    endpoint = settings.endpoint.replace("http://", "https://")
    with pytest.raises(ImsTransportError, match="was not sent") as caught:
        await submit(dataclasses.replace(settings, endpoint=endpoint))
    assert not caught.value.sent
    assert ims_emulator.bill()["lines"] == []


async def test_submission_after_a_connect_timeout_was_not_sent(settings: ImsSettings) -> None:
    """If the service accepts no connection in time, the submission is known as not sent."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        try:
            for filler in fillers:  # the queue of connections that nobody accepts is full now
                filler.setblocking(False)  # noqa: FBT003 - its only parameter
                filler.connect_ex(("127.0.0.1", port))
            slow = dataclasses.replace(settings, endpoint=f"http://127.0.0.1:{port}", connect_timeout=0.3)
            with pytest.raises(ImsTransportError, match=r"was not sent: .*it did not respond in time") as caught:
                await submit(slow)
        finally:
            for filler in fillers:
                filler.close()
    assert not caught.value.sent


@pytest.mark.parametrize(("header", "seconds"), [("1500", 1.5), ("0", None), ("soon", None), ("²", None)])
async def test_retry_after_of_a_throttled_response_is_in_milliseconds(
    header: str, seconds: float | None, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """x-acs-retry-after is in milliseconds; a value that is not a positive number is ignored."""
    throttled = error_response(400, "Throttling.User", headers=None)
    throttled["headers"] = {"x-acs-retry-after": header}
    ims_emulator.fault(QUERY, "answer", **throttled)
    with pytest.raises(ImsThrottledError) as caught:
        await call(settings)
    assert caught.value.retry_after == seconds


async def test_diagnosis_link_of_the_service_is_kept(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """The error has the link of the field Recommend, the vendor's diagnosis of the request."""
    ims_emulator.fault(
        QUERY, "answer", **error_response(400, "InvalidJob", Recommend="https://example.com/diagnose?q=1")
    )
    with pytest.raises(ImsRequestError, match=r"Diagnosis: https://example.com/diagnose\?q=1"):
        await call(settings)


async def test_request_id_is_read_from_the_header_if_the_body_has_none(
    ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """The error of an unreadable response has the request id, for a support ticket."""
    ims_emulator.fault(SUBMIT, "answer", **response(502, "<html>", headers={"x-acs-request-id": "REQ-9"}))
    with pytest.raises(ImsSubmitUnknownError) as caught:
        await submit(settings)
    assert caught.value.request_id == "REQ-9"


async def test_long_message_of_the_service_is_shortened(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """A long message of the service does not fill the log."""
    ims_emulator.fault(QUERY, "answer", **error_response(400, "InvalidX", Message="long " * 5000))
    with pytest.raises(ImsRequestError) as caught:
        await call(settings)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_response_without_end_is_given_up(encoding: str, settings: ImsSettings) -> None:
    """A response that never ends, or becomes huge when it is unpacked, uses some megabytes and is an error."""
    sent = 0
    is_done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Type: application/json\r\n\r\n"
        writer.write(head.encode())
        pack = zlib.compressobj(wbits=31)
        block = b"x" * 1024 * 1024
        with contextlib.suppress(ConnectionError):
            while sent < 100:
                writer.write(block if encoding == "identity" else pack.compress(block))
                await writer.drain()
                await asyncio.sleep(0)
                sent += 1
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        is_done.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ImsApiError, match=r"a body of 8,388,608 bytes"):
            await call(dataclasses.replace(settings, endpoint=f"http://127.0.0.1:{port}"))
        await is_done.wait()
    assert encoding == "gzip" or sent < 100


async def test_parameter_that_is_not_json_is_refused(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """A value that JSON cannot express is an error that names the parameter; nothing is sent."""
    with pytest.raises(ImsConfigurationError, match=f"Parameter X of {QUERY} cannot be sent as JSON"):
        await call(settings, params={"X": object()})
    assert ims_emulator.requests() == []


async def test_loopback_endpoint_uses_no_proxy(
    ims_emulator: EmulatorProcess, settings: ImsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests to the emulator ignore the proxy of the environment."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, UNUSED_PORT)
    assert await submit(settings)


async def test_netrc_does_not_replace_the_signature(
    settings: ImsSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An entry in ~/.netrc is ignored: it would replace the Authorization header."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with pytest.raises(ImsTransportError, match="its name could not be resolved"):
        await submit(dataclasses.replace(settings, endpoint="https://ims.invalid"))


@pytest.mark.parametrize("proxy", ["socks5://user:canary@127.0.0.1:1", "http://user:canary@127.0.0.1:99999", "http://"])
async def test_unusable_proxy_is_refused(proxy: str, settings: ImsSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that cannot be used is an error that does not contain its password."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(
        ImsConfigurationError, match=r"HTTPS_PROXY or ALL_PROXY.*or add ims.invalid to NO_PROXY"
    ) as caught:
        await submit(dataclasses.replace(settings, endpoint="https://ims.invalid"))
    assert "canary" not in str(caught.value)


async def test_proxy_without_a_scheme_is_an_http_proxy(settings: ImsSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheme of a proxy may be left out, as for other programs."""
    monkeypatch.setenv("HTTPS_PROXY", "127.0.0.1:1")
    with pytest.raises(ImsTransportError, match="could not be reached: the proxy: "):
        await submit(dataclasses.replace(settings, endpoint="https://ims.invalid"))


async def test_proxy_of_the_environment_is_used_unless_no_proxy_names_the_host(
    settings: ImsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests use the proxy of the environment, unless NO_PROXY has the host."""
    monkeypatch.setenv("HTTPS_PROXY", "http://user:canary@127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    remote = dataclasses.replace(settings, endpoint="https://ims.invalid")
    with pytest.raises(ImsTransportError, match="could not be reached: the proxy: ") as caught:
        await submit(remote)
    assert "canary" not in str(caught.value)
    monkeypatch.setenv("NO_PROXY", "ims.invalid")
    with pytest.raises(ImsTransportError, match="its name could not be resolved"):
        await submit(remote)


async def test_client_works_after_a_cancelled_call(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """The next call succeeds after a cancelled one."""
    ims_emulator.fault(QUERY, "hang")
    async with ImsClient(settings) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.call(request(QUERY, {"JobId": "J"})), 0.2)
        assert await client.call(request("QueryCopyrightJobList", {"PageSize": 1}))


async def test_submission_cancelled_after_sending_is_unknown(
    ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """A submission that is cancelled after it was sent raises ImsSubmitUnknownError."""
    ims_emulator.fault(SUBMIT, "hang")
    with pytest.raises(ImsSubmitUnknownError, match="It was interrupted while it waited for the response"):
        await asyncio.wait_for(submit(settings), 0.3)


async def test_submission_cancelled_before_sending_is_cancelled(settings: ImsSettings) -> None:
    """A submission that is cancelled before it was sent raises CancelledError: no job can exist."""
    task = asyncio.create_task(submit(settings))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("read", [lambda e: e.__cause__, lambda e: e.__context__])
async def test_error_does_not_carry_the_request(read: Callable[[Exception], object], settings: ImsSettings) -> None:
    """Our error has no exception of aiohttp as cause or context: those contain signature and token."""
    with pytest.raises(ImsTransportError) as caught:
        await submit(dataclasses.replace(settings, endpoint=UNUSED_PORT))
    assert read(caught.value) is None
