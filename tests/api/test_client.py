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
from airflow_provider_ims.connection.settings import AccessKey, ImsSettings
from airflow_provider_ims.exceptions import (
    ImsApiError,
    ImsConfigurationError,
    ImsCredentialsError,
    ImsError,
    ImsRecordError,
    ImsRequestError,
    ImsServiceError,
    ImsSubmitUnknownError,
    ImsThrottledError,
    ImsTransportError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from airflow_provider_ims.jobs.submission import SubmissionWitness

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


def answer(status: int, body: object, **options: Any) -> dict[str, Any]:
    """Return the options of a fault that answers with a body: text as it is, anything else as JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    return {"status": status, "body": text, **options}


async def call(settings: ImsSettings, action: str = QUERY, params: dict[str, Any] | None = None) -> dict[str, Any]:
    async with ImsClient(settings) as client:
        return await client.call(action, params or {"JobId": "J"})


async def submit(settings: ImsSettings, witness: SubmissionWitness | None = None) -> dict[str, Any]:
    async with ImsClient(settings) as client:
        return await client.submit(SUBMIT, SUBMISSION, witness)


async def test_submission_arrives_once_and_whole(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """Objects travel as JSON, None is left out, and the whole body comes back."""
    body = await submit(settings)
    assert set(body) == {"Data", "Message", "RequestId", "StatusCode"}
    (request,) = ims_emulator.requests()
    assert json.loads(request["parameters"].pop("Input")) == SUBMISSION["Input"]
    assert request["parameters"] == {}
    assert [job["job_id"] for job in ims_emulator.jobs()] == [body["Data"]["JobId"]]


class Witness:
    """Writes down what it is told.

    :param refuses: what it raises when the request is about to be sent
    """

    def __init__(self, refuses: Exception | None = None) -> None:
        self.told: list[str] = []
        self.refuses = refuses

    def about_to_send(self) -> None:
        self.told.append("about to send")
        if self.refuses is not None:
            raise self.refuses

    def not_carried_out(self) -> None:
        self.told.append("not carried out")

    def answered(self, response: dict[str, Any]) -> None:
        self.told.append(f"answered {response['Data']['JobId']}")

    def lost(self, request_id: str | None) -> None:
        raise AssertionError("that is the hook's part")


async def told_of(settings: ImsSettings) -> list[str]:
    """Return what a witness of a submission was told, whatever came of it."""
    witness = Witness()
    with contextlib.suppress(ImsError):
        await submit(settings, witness)
    return witness.told


REFUSAL = {"status": 400, "body": '{"Code": "InvalidParameter.Input"}'}


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        (None, {}, ["about to send", "answered {}"]),
        ("throttle", {}, ["about to send", "not carried out"]),
        ("answer", REFUSAL, ["about to send", "not carried out"]),
        ("cut_before", {}, ["about to send"]),
        ("cut_after", {}, ["about to send"]),
        ("html_502", {}, ["about to send"]),
        ("hang", {}, ["about to send"]),
    ],
)
async def test_witness_is_told_what_becomes_of_a_submission(
    kind: str | None, options: dict[str, Any], told: list[str], ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """A witness knows before the service does, and hears of the job, or that certainly none was created."""
    if kind:
        ims_emulator.fault(SUBMIT, kind, **options)
    seen = await told_of(dataclasses.replace(settings, read_timeout=0.5))
    assert seen == [text.format(*(job["job_id"] for job in ims_emulator.jobs())) for text in told]


@pytest.mark.parametrize("endpoint", [PORT_OF_NOBODY, "https://ims.invalid", "TLS"])
async def test_witness_is_not_bothered_where_there_is_no_connection(
    endpoint: str, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """As long as the connection does not stand, handshake included, there is nothing that could be lost."""
    if endpoint == "TLS":
        endpoint = settings.endpoint.replace("http://", "https://")
    assert await told_of(dataclasses.replace(settings, endpoint=endpoint)) == []


async def test_witness_can_keep_a_submission_from_being_sent(
    ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """What the witness raises is what the caller gets; the connection is closed and nothing went over it."""
    witness = Witness(refuses=ImsRecordError("no"))
    with pytest.raises(ImsRecordError):
        await submit(settings, witness)
    assert witness.told == ["about to send", "not carried out"]
    assert ims_emulator.requests() == []


async def test_witness_of_an_interrupted_submission(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """An interruption after the request went out says nothing of the job."""
    ims_emulator.fault(SUBMIT, "hang")
    witness = Witness()
    with pytest.raises(ImsSubmitUnknownError):
        await asyncio.wait_for(submit(settings, witness), 0.3)
    assert witness.told == ["about to send"]


async def test_any_text_survives_the_signature(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """What is signed is what is sent, whatever characters it has."""
    nasty = "夜 +&=?#%2F~*'()/\"\\ü"
    async with ImsClient(settings) as client:
        await client.submit(SUBMIT, {**SUBMISSION, "UserData": nasty})
    assert ims_emulator.requests()[0]["parameters"]["UserData"] == nasty


async def test_queries_share_a_connection_and_a_submission_has_its_own(
    ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """Queries keep a connection alive; a submission never travels on one that may have died unseen."""
    async with ImsClient(settings) as client:
        job_id = (await client.submit(SUBMIT, SUBMISSION))["Data"]["JobId"]
        for _ in range(3):
            await client.call(QUERY, {"JobId": job_id})
        await client.submit(SUBMIT, SUBMISSION)
    used = [request["connection"] for request in ims_emulator.requests()]
    assert used[1] == used[2] == used[3]
    assert len({used[0], used[1], used[4]}) == 3


async def test_query_goes_out_again_where_a_kept_connection_broke(
    ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """The service may close a connection while nobody uses it; the next query must not fail for that."""
    ims_emulator.fault(LIST, "cut_before", nth=2)
    async with ImsClient(settings) as client:
        await client.call(LIST, {})
        assert (await client.call(LIST, {}))["StatusCode"] == 200
    used = [request["connection"] for request in ims_emulator.requests()]
    assert used[0] == used[1] != used[2]


async def test_query_goes_out_again_only_once(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """Where the new connection breaks too, the caller is told."""
    ims_emulator.fault(LIST, "cut_before", nth=2, times=2)
    async with ImsClient(settings) as client:
        await client.call(LIST, {})
        with pytest.raises(ImsTransportError, match=r"was sent to .* the connection broke"):
            await client.call(LIST, {})
    assert len(ims_emulator.requests()) == 3


@pytest.mark.parametrize(("kind", "nth"), [("cut_before", 1), ("hang", 2), ("internal_error", 2)])
async def test_query_goes_out_once_where_its_connection_is_not_to_blame(
    kind: str, nth: int, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """A new connection that breaks, silence and an answer are for the policy of waiting to judge."""
    ims_emulator.fault(LIST, kind, nth=nth)
    async with ImsClient(dataclasses.replace(settings, read_timeout=0.5)) as client:
        with pytest.raises(ImsError):  # noqa: PT012 - the first call or the second
            for _ in range(nth):
                await client.call(LIST, {})
    assert len(ims_emulator.requests()) == nth


async def test_what_is_no_query_never_goes_out_again(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """A submission through call(), against all advice, is not sent twice by us."""
    ims_emulator.fault(SUBMIT, "cut_after")
    async with ImsClient(settings) as client:
        await client.call(LIST, {})
        with pytest.raises(ImsTransportError):
            await client.call(SUBMIT, SUBMISSION)
    assert ims_emulator.bill()["jobs"] == 1


async def test_closed_client_opens_a_new_session(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """A client that was closed can be used again."""
    client = ImsClient(settings)
    for _ in range(2):
        await client.call("QueryCopyrightJobList", {"PageSize": 1})
        await client.aclose()
    await client.aclose()
    assert len(ims_emulator.requests()) == 2


Case = tuple[str, dict[str, Any], type[ImsError], str | None, str]
ERROR = {"RequestId": "REQ-1", "HostId": "h", "Message": "the service's words"}


def refusal(status: int, code: str, **more: Any) -> dict[str, Any]:
    return answer(status, {**ERROR, "Code": code, **more})


REFUSALS: list[Case] = [
    ("throttled", refusal(400, "Throttling.User"), ImsThrottledError, "Throttling.User", "calls too often"),
    ("throttled, 429", refusal(429, "Throttling"), ImsThrottledError, "Throttling", "calls too often"),
    ("throttled, 503", refusal(503, "Throttling.Api"), ImsThrottledError, "Throttling.Api", "calls too often"),
    ("unavailable", refusal(503, "ServiceUnavailable"), ImsServiceError, "ServiceUnavailable", "Try again later"),
    ("key", refusal(404, "InvalidAccessKeyId.NotFound"), ImsCredentialsError, None, "Check the keys"),
    ("key, 400", refusal(400, "InvalidAccessKeyId.Inactive"), ImsCredentialsError, None, "Check the keys"),
    ("signature", refusal(403, "SignatureDoesNotMatch"), ImsCredentialsError, None, "Check the keys"),
    ("token", refusal(400, "InvalidSecurityToken.Expired"), ImsCredentialsError, None, "Check the keys"),
    ("clock", refusal(400, "InvalidTimeStamp.Expired"), ImsCredentialsError, None, "Set the clock"),
    ("permission", refusal(403, "Forbidden.RAM"), ImsCredentialsError, None, "Grant the RAM action ice:"),
    ("permission", refusal(403, "NoPermission"), ImsCredentialsError, None, "Grant the RAM action ice:"),
    ("no plan", refusal(403, "Forbidden.SubscriptionRequired"), ImsCredentialsError, None, "that IMS is activated"),
    ("parameter", refusal(400, "InvalidParameter.Input"), ImsRequestError, None, "Correct the arguments"),
    ("missing", refusal(400, "MissingInput"), ImsRequestError, None, "Correct the arguments"),
    ("action", refusal(404, "InvalidAction.NotFound"), ImsRequestError, None, "Correct the arguments"),
    ("region", refusal(400, "UnsupportedOperation"), ImsRequestError, None, "Correct the arguments"),
    ("other", refusal(400, "Strange.Thing"), ImsApiError, "Strange.Thing", "open a ticket"),
    ("no code, 403", answer(403, ERROR), ImsApiError, None, "HTTP 403 and no error code"),
    ("empty object, 400", answer(400, {}), ImsApiError, None, "HTTP 400 and no error code"),
    ("list, 400", answer(400, [ERROR]), ImsApiError, None, "a body of 73 bytes, which is not the service's JSON"),
    ("HTML, 413", answer(413, "<HTML>no</HTML>"), ImsApiError, None, "an HTML page, which is not the service's JSON"),
]

LOST: list[Case] = [
    ("internal error", refusal(500, "InternalError"), ImsServiceError, "InternalError", "Try again later"),
    ("unknown code, 500", refusal(500, "SystemError"), ImsServiceError, "SystemError", "Try again later"),
    ("unknown code, 504", refusal(504, "GatewayTimeout"), ImsServiceError, "GatewayTimeout", "Try again later"),
    ("parameter, 500", refusal(500, "InvalidStatus"), ImsRequestError, "InvalidStatus", "Correct the arguments"),
    ("HTML, 408", answer(408, "<html>"), ImsApiError, None, "HTTP 408 and an HTML page"),
    ("empty, 499", answer(499, ""), ImsApiError, None, "HTTP 499 and an empty body"),
    ("200, code", refusal(200, "Strange"), ImsApiError, "Strange", "was refused: Strange"),
    ("200, Success false", refusal(200, "Strange", Success=False), ImsApiError, "Strange", "was refused: Strange"),
    ("nonce used", refusal(400, "SignatureNonceUsed"), ImsServiceError, "SignatureNonceUsed", "Try again later"),
    ("HTML, 502", answer(502, "<html>", content_type="text/html"), ImsServiceError, None, "HTTP 502 and an HTML page"),
    ("empty, 504", answer(504, ""), ImsServiceError, None, "HTTP 504 and an empty body"),
    ("empty object, 500", answer(500, {}), ImsServiceError, None, "HTTP 500 and no error code"),
    ("list, 500", answer(500, []), ImsServiceError, None, "HTTP 500 and a body of 2 bytes"),
    ("text, 200", answer(200, "fine"), ImsServiceError, None, "HTTP 200 and a body of 4 bytes"),
    ("empty, 200", answer(200, " "), ImsServiceError, None, "HTTP 200 and an empty body"),
    ("list, 200", answer(200, []), ImsServiceError, None, "HTTP 200 and a body of 2 bytes"),
    ("redirect with JSON", answer(302, {}), ImsServiceError, None, "HTTP 302 and no error code"),
    ("redirect", answer(302, "", headers={"Location": "/x"}), ImsServiceError, None, "HTTP 302 and an empty body"),
]


@pytest.mark.parametrize("case", [*REFUSALS, *LOST], ids=lambda case: case[0])
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


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case[0])
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


@pytest.mark.parametrize("case", LOST, ids=lambda case: case[0])
async def test_submission_with_an_unclear_answer_is_unknown(
    case: Case, ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """Where the answer leaves open whether a job exists, the error says so, and what is known and to be done."""
    _, options, _, _, _ = case
    ims_emulator.fault(SUBMIT, "answer", **options)
    with pytest.raises(ImsSubmitUnknownError, match="It is unknown whether SubmitCopyrightExtractJob of") as caught:
        await submit(settings)
    assert MEDIA in str(caught.value)
    assert "Try again" not in str(caught.value)
    assert "clearing the task submits again" in str(caught.value)
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
        ImsTransportError, match=r"was sent to .*no answer.*it did not answer in time.*read_timeout"
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
            with pytest.raises(ImsTransportError, match=r"was not sent: .*it did not answer in time") as caught:
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
    throttled = refusal(400, "Throttling.User", headers=None)
    throttled["headers"] = {"x-acs-retry-after": header}
    ims_emulator.fault(QUERY, "answer", **throttled)
    with pytest.raises(ImsThrottledError) as caught:
        await call(settings)
    assert caught.value.retry_after == seconds


async def test_diagnosis_link_of_the_service_is_kept(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """Recommend is a link to the vendor's diagnosis of this very request."""
    ims_emulator.fault(QUERY, "answer", **refusal(400, "InvalidJob", Recommend="https://example.com/diagnose?q=1"))
    with pytest.raises(ImsRequestError, match=r"Diagnosis: https://example.com/diagnose\?q=1"):
        await call(settings)


async def test_request_id_of_the_header_where_the_body_has_none(
    ims_emulator: EmulatorProcess, settings: ImsSettings
) -> None:
    """An unreadable answer still has a request id for the ticket."""
    ims_emulator.fault(SUBMIT, "answer", **answer(502, "<html>", headers={"x-acs-request-id": "REQ-9"}))
    with pytest.raises(ImsSubmitUnknownError, match="RequestId REQ-9") as caught:
        await submit(settings)
    assert caught.value.request_id == "REQ-9"


async def test_long_text_of_the_service_is_cut(ims_emulator: EmulatorProcess, settings: ImsSettings) -> None:
    """A message of the service does not fill the log."""
    ims_emulator.fault(QUERY, "answer", **refusal(400, "InvalidX", Message="long " * 5000))
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
            await asyncio.wait_for(client.call(QUERY, {"JobId": "J"}), 0.2)
        assert await client.call("QueryCopyrightJobList", {"PageSize": 1})


async def test_cancelled_submission_is_unknown_once_it_was_sent(
    ims_emulator: EmulatorProcess, settings: ImsSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Who stops waiting for the answer is told, and the log too, that a job may exist."""
    ims_emulator.fault(SUBMIT, "hang")
    with pytest.raises(ImsSubmitUnknownError, match="It was interrupted while it waited for the answer"):
        await asyncio.wait_for(submit(settings), 0.3)
    assert "It is unknown whether" in caplog.text


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
