"""The client over real HTTP: what is sent, how often, and what each answer becomes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_ims.api.client import ImsClient
from airflow_provider_ims.api.protocol import ApiRequest
from airflow_provider_ims.connection.credentials import AccessKey
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
PORT_OF_NOBODY = "http://127.0.0.1:1"


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


async def test_submission_arrives_once_and_whole(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """Objects travel as JSON, None is left out, and the whole body comes back."""
    body = await submit(settings)
    assert set(body) == {"Data", "Message", "RequestId", "StatusCode"}
    (request,) = ims_emulator.requests()
    assert json.loads(request["parameters"].pop("Input")) == SUBMISSION["Input"]
    assert request["parameters"] == {}
    assert [job["job_id"] for job in ims_emulator.jobs()] == [body["Data"]["JobId"]]


class Observer:
    """Records what it is told.

    :param refuses: what it raises before the request is sent
    """

    def __init__(self, refuses: Exception | None = None) -> None:
        self.told: list[str] = []
        self.refuses = refuses

    def before_send(self) -> None:
        self.told.append("before_send")
        if self.refuses is not None:
            raise self.refuses

    def on_rejected(self) -> None:
        self.told.append("on_rejected")

    def on_accepted(self, response: dict[str, Any]) -> None:
        self.told.append(f"on_accepted {response['Data']['JobId']}")

    def on_unknown(self, request_id: str | None) -> None:
        raise AssertionError("the hook calls it")


async def told_of(settings: ImsSettings) -> list[str]:
    """Return what the observer of a submission was told, whatever its outcome."""
    observer = Observer()
    with contextlib.suppress(ImsError):
        await submit(settings, observer)
    return observer.told


REFUSAL = {"status": 400, "body": '{"Code": "InvalidParameter.Input"}'}


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        (None, {}, ["before_send", "on_accepted {}"]),
        ("throttle", {}, ["before_send", "on_rejected"]),
        ("answer", REFUSAL, ["before_send", "on_rejected"]),
        ("cut_before", {}, ["before_send"]),
        ("cut_after", {}, ["before_send"]),
        ("html_502", {}, ["before_send"]),
        ("hang", {}, ["before_send"]),
    ],
)
async def test_observer_is_told_the_outcome_of_a_submission(
    kind: str | None, options: dict[str, Any], told: list[str], ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """An observer is told before the service gets the request, and then of the job, or that none was created."""
    if kind:
        ims_emulator.fault(SUBMIT, kind, **options)
    seen = await told_of(dataclasses.replace(settings, read_timeout=0.5))
    assert seen == [text.format(*(job["job_id"] for job in ims_emulator.jobs())) for text in told]


@pytest.mark.parametrize("endpoint", [PORT_OF_NOBODY, "https://ims.invalid", "TLS"])
async def test_observer_is_told_nothing_without_a_connection(
    endpoint: str, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """Until the connection is open, TLS included, no job can exist: the observer is not called."""
    if endpoint == "TLS":
        endpoint = settings.endpoint.replace("http://", "https://")
    assert await told_of(dataclasses.replace(settings, endpoint=endpoint)) == []


async def test_observer_can_keep_a_submission_from_being_sent(
    ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """An exception of before_send reaches the caller; the connection is closed and nothing was sent over it."""
    observer = Observer(refuses=ImsRecordError("no"))
    with pytest.raises(ImsRecordError):
        await submit(settings, observer)
    assert observer.told == ["before_send", "on_rejected"]
    assert ims_emulator.requests() == []


async def test_observer_of_an_interrupted_submission(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """An interruption after the request was sent leaves the outcome unknown: the observer is told nothing more."""
    ims_emulator.fault(SUBMIT, "hang")
    observer = Observer()
    with pytest.raises(ImsSubmitUnknownError):
        await asyncio.wait_for(submit(settings, observer), 0.3)
    assert observer.told == ["before_send"]


async def test_any_text_survives_the_signature(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """What is signed is what is sent, whatever characters it has."""
    nasty = "夜 +&=?#%2F~*'()/\"\\ü"
    async with ImsClient(settings) as client:
        await client.submit(request(SUBMIT, {**SUBMISSION, "UserData": nasty}))
    assert ims_emulator.requests()[0]["parameters"]["UserData"] == nasty


async def test_queries_share_a_connection_and_a_submission_has_its_own(
    ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """Queries keep a connection alive; a submission never travels on one that may have died unseen."""
    async with ImsClient(settings) as client:
        job_id = (await client.submit(request(SUBMIT, SUBMISSION)))["Data"]["JobId"]
        for _ in range(3):
            await client.call(request(QUERY, {"JobId": job_id}))
        await client.submit(request(SUBMIT, SUBMISSION))
    used = [request["connection"] for request in ims_emulator.requests()]
    assert used[1] == used[2] == used[3]
    assert len({used[0], used[1], used[4]}) == 3


@pytest.mark.parametrize("nth", [1, 2])
async def test_query_is_sent_again_if_its_connection_broke(
    nth: int, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """The service may close a kept connection; a new one that breaks is treated alike."""
    ims_emulator.fault(LIST, "cut_before", nth=nth)
    async with ImsClient(settings) as client:
        await client.call(request(LIST, {}))
        assert (await client.call(request(LIST, {})))["StatusCode"] == 200
    used = [request["connection"] for request in ims_emulator.requests()]
    assert used[nth - 1] != used[nth]
    assert len(used) == 3


async def test_query_goes_out_again_only_once(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """Where the new connection breaks too, the caller is told."""
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
    """A time-out and an error response are left to the poll policy."""
    ims_emulator.fault(LIST, kind, nth=2)
    async with ImsClient(dataclasses.replace(settings, read_timeout=0.5)) as client:
        await client.call(request(LIST, {}))
        with pytest.raises(ImsError):
            await client.call(request(LIST, {}))
    assert len(ims_emulator.requests()) == 2


async def test_what_is_no_query_never_goes_out_again(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """A submission through call(), against all advice, is not sent twice by us."""
    ims_emulator.fault(SUBMIT, "cut_after")
    async with ImsClient(settings) as client:
        await client.call(request(LIST, {}))
        with pytest.raises(ImsTransportError):
            await client.call(request(SUBMIT, SUBMISSION))
    assert ims_emulator.bill()["jobs"] == 1


async def test_closed_client_opens_a_new_session(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """A client that was closed can be used again."""
    client = ImsClient(settings)
    for _ in range(2):
        await client.call(request("QueryCopyrightJobList", {"PageSize": 1}))
        await client.aclose()
    await client.aclose()
    assert len(ims_emulator.requests()) == 2


@pytest.mark.parametrize("case", [*REJECTED, *UNKNOWN], ids=lambda case: case[0])
async def test_answer_to_a_query_becomes_an_error(
    case: Case, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """An error has the class to decide by, and what failed, on what, why and what to do in its message."""
    _, options, kind, code, says = case
    ims_emulator.fault(QUERY, "answer", **options)
    with pytest.raises(ImsApiError) as caught:
        await call(settings)
    error = caught.value
    assert type(error) is kind
    assert isinstance(error, AirflowFailException) == (kind is ImsRequestError)
    assert code is None or error.code == code
    assert (error.action, error.http_status) == (QUERY, options["status"])
    assert says in str(error)
    assert f"{QUERY} of job J in cn-shanghai" in str(error)
    assert (error.request_id or "none") in str(error)
    assert len(ims_emulator.requests()) == 1


@pytest.mark.parametrize("case", REJECTED, ids=lambda case: case[0])
async def test_refused_submission_is_known_to_be_refused(
    case: Case, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """A submission that the service turned down is no unknown one: Airflow may retry it."""
    _, options, kind, _, _ = case
    ims_emulator.fault(SUBMIT, "answer", **options)
    with pytest.raises(ImsError) as caught:
        await submit(settings)
    assert type(caught.value) is kind
    assert len(ims_emulator.requests()) == 1


@pytest.mark.parametrize("case", UNKNOWN, ids=lambda case: case[0])
async def test_submission_with_an_unclear_answer_is_unknown(
    case: Case, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """If the response leaves open whether a job exists, the error is of the class that says so, with the reason."""
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
async def test_submission_without_an_answer_is_unknown(
    kind: str, options: dict[str, Any], jobs: int, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """Whether the job exists or not, without an answer nobody can know; nothing is sent a second time."""
    ims_emulator.fault(SUBMIT, kind, **options)
    with pytest.raises(ImsSubmitUnknownError) as caught:
        await submit(dataclasses.replace(settings, read_timeout=0.3))
    assert len(ims_emulator.requests()) == 1
    assert len(ims_emulator.bill()["lines"]) == jobs
    assert caught.value.request_id is None or kind == "internal_error_after"


async def test_query_without_an_answer(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """A query that was sent and not answered says so, and names the time-out to raise."""
    ims_emulator.fault(QUERY, "hang")
    with pytest.raises(
        ImsTransportError, match=r"was sent to .*no response.*it did not respond in time.*read_timeout"
    ) as e:
        await call(dataclasses.replace(settings, read_timeout=0.2))
    assert e.value.sent


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        (PORT_OF_NOBODY, "Connection refused|Connect call failed"),
        ("https://127.0.0.1:1", "Connection refused|Connect call failed"),
        ("https://ims.invalid", "its name could not be resolved"),
    ],
)
async def test_unreachable_service(endpoint: str, why: str, settings: ImsSettings) -> None:
    """What never left this machine is no unknown submission."""
    with pytest.raises(ImsTransportError, match=rf"was not sent: .* could not be reached: .*({why})") as caught:
        await submit(dataclasses.replace(settings, endpoint=endpoint))
    assert not caught.value.sent


async def test_plain_http_behind_https_endpoint(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """A failed TLS handshake is a request that was not sent."""
    endpoint = settings.endpoint.replace("http://", "https://")
    with pytest.raises(ImsTransportError, match="was not sent") as caught:
        await submit(dataclasses.replace(settings, endpoint=endpoint))
    assert not caught.value.sent
    assert ims_emulator.bill()["lines"] == []


async def test_connect_timeout(settings: ImsSettings) -> None:
    """A service that accepts no connection in time is unreachable, and the submission was not sent."""
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
async def test_pause_of_a_throttling_answer_is_in_milliseconds(
    header: str, seconds: float | None, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """x-acs-retry-after has milliseconds; what is no positive number is no advice."""
    throttled = error_response(400, "Throttling.User", headers=None)
    throttled["headers"] = {"x-acs-retry-after": header}
    ims_emulator.fault(QUERY, "answer", **throttled)
    with pytest.raises(ImsThrottledError) as caught:
        await call(settings)
    assert caught.value.retry_after == seconds


async def test_diagnosis_link_of_the_service_is_kept(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """Recommend is a link to the vendor's diagnosis of this very request."""
    ims_emulator.fault(
        QUERY, "answer", **error_response(400, "InvalidJob", Recommend="https://example.com/diagnose?q=1")
    )
    with pytest.raises(ImsRequestError, match=r"Diagnosis: https://example.com/diagnose\?q=1"):
        await call(settings)


async def test_request_id_of_the_header_where_the_body_has_none(
    ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """An unreadable answer still has a request id for the ticket."""
    ims_emulator.fault(SUBMIT, "answer", **response(502, "<html>", headers={"x-acs-request-id": "REQ-9"}))
    with pytest.raises(ImsSubmitUnknownError) as caught:
        await submit(settings)
    assert caught.value.request_id == "REQ-9"


async def test_long_text_of_the_service_is_cut(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """A message of the service does not fill the log."""
    ims_emulator.fault(QUERY, "answer", **error_response(400, "InvalidX", Message="long " * 5000))
    with pytest.raises(ImsRequestError) as caught:
        await call(settings)
    assert len(str(caught.value)) < 1000


async def test_parameter_that_is_no_json_is_refused(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """A value that cannot be sent names the parameter; nothing is sent."""
    with pytest.raises(ImsConfigurationError, match=f"Parameter X of {QUERY} cannot be sent as JSON"):
        await call(settings, params={"X": object()})
    assert ims_emulator.requests() == []


async def test_loopback_is_never_proxied(
    ims_emulator: EmulatorProcess, settings: ImsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy of the environment does not come between us and the emulator."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, PORT_OF_NOBODY)
    assert await submit(settings)


async def test_netrc_does_not_replace_the_signature(
    settings: ImsSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An entry of ~/.netrc is for other programs: no identity comes from the worker's environment."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with pytest.raises(ImsTransportError, match="its name could not be resolved"):
        await submit(dataclasses.replace(settings, endpoint="https://ims.invalid"))


@pytest.mark.parametrize("proxy", ["socks5://user:canary@127.0.0.1:1", "http://user:canary@127.0.0.1:99999", "http://"])
async def test_proxy_that_cannot_be_used_is_refused(
    proxy: str, settings: ImsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy is never silently left out, and its password not repeated."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(
        ImsConfigurationError, match=r"HTTPS_PROXY or ALL_PROXY.*or add ims.invalid to NO_PROXY"
    ) as caught:
        await submit(dataclasses.replace(settings, endpoint="https://ims.invalid"))
    assert "canary" not in str(caught.value)


async def test_proxy_without_a_scheme_is_an_http_proxy(settings: ImsSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Host and port alone are enough, as for other programs."""
    monkeypatch.setenv("HTTPS_PROXY", "127.0.0.1:1")
    with pytest.raises(ImsTransportError, match="could not be reached: the proxy: "):
        await submit(dataclasses.replace(settings, endpoint="https://ims.invalid"))


async def test_proxy_of_the_environment_is_used(settings: ImsSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real service is reached through the environment's proxy, unless NO_PROXY names it."""
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


async def test_cancelled_call_closes_cleanly(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """A cancelled call leaves nothing behind that disturbs the next one."""
    ims_emulator.fault(QUERY, "hang")
    async with ImsClient(settings) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.call(request(QUERY, {"JobId": "J"})), 0.2)
        assert await client.call(request("QueryCopyrightJobList", {"PageSize": 1}))


async def test_cancelled_submission_is_unknown_once_it_was_sent(
    ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """A caller that stops waiting for the response is told that a job may exist."""
    ims_emulator.fault(SUBMIT, "hang")
    with pytest.raises(ImsSubmitUnknownError, match="It was interrupted while it waited for the response"):
        await asyncio.wait_for(submit(settings), 0.3)


async def test_cancelled_submission_that_was_not_sent_is_just_cancelled(settings: ImsSettings) -> None:
    """Before the request is on its way nothing can have been carried out."""
    task = asyncio.create_task(submit(settings))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("read", [lambda e: e.__cause__, lambda e: e.__context__])
async def test_error_does_not_carry_the_request(read: Callable[[Exception], object], settings: ImsSettings) -> None:
    """The exceptions of the HTTP library hold headers with signature and token; none is attached to ours."""
    with pytest.raises(ImsTransportError) as caught:
        await submit(dataclasses.replace(settings, endpoint=PORT_OF_NOBODY))
    assert read(caught.value) is None
