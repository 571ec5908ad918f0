"""Nothing that a run writes contains the key secret, the security token or a signature."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import threading
import traceback
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.emulator.process import EmulatorProcess
from airflow_provider_ims.exceptions import ImsError, ImsSubmitUnknownError
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from dev.sandbox import AirflowSandbox, DagRunReport
from tests.api.encodings import ENCODINGS, encode
from tests.attempts import SimulatedTask

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "canarysecret5b1f"
TOKEN = "canarytoken/+=77zz"
SIGNATURE = re.compile(rb"(?i)signature=[0-9a-f]{64}|ACS3-HMAC-SHA256 Credential")
CANARIES = [b"canarysecret5b1f", b"canarytoken", b"77zz"]

DAG = """
from airflow.providers.common.compat.sdk import DAG, task
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator

with DAG("canary", schedule=None) as dag:
    submit = ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media="oss://b-1/a.mp4")

    @task(trigger_rule="all_done")
    def call():
        from airflow_provider_ims.hooks.ims import ImsHook

        return ImsHook().call("QueryCopyrightJobList")

    @task(trigger_rule="all_done")
    def typed():
        from alibabacloud_ice20201109 import models
        from airflow_provider_ims.hooks.ims import ImsHook

        client = ImsHook().get_conn()
        return client.query_copyright_job_list(models.QueryCopyrightJobListRequest(page_size=1)).to_map()

    submit >> call() >> typed()
"""

WAITING = """
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.sensors.job import ImsJobSensor

with DAG("waiting", schedule=None) as dag:
    arguments = {"input_media": "oss://b-1/a.mp4", "poll_interval": 0.1, "timeout": 1.5}
    ImsSubmitCopyrightExtractJobOperator(task_id="sync", wait_for_completion=True, **arguments)
    ImsSubmitCopyrightExtractJobOperator(task_id="deferred", deferrable=True, **arguments)
    for task_id, mode in (("poke", {}), ("reschedule", {"mode": "reschedule"}), ("sensor", {"deferrable": True})):
        ImsJobSensor(task_id=task_id, job_id="f" * 32, poke_interval=0.1, timeout=1.5, **mode)
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorProcess]:
    """Run an emulator that requires the canary credentials; its errors repeat the signed request with the token."""
    with EmulatorProcess(access_key_secret=SECRET, security_token=TOKEN) as process:
        yield process


@pytest.fixture(scope="module")
def airflow() -> Iterator[AirflowSandbox]:
    with AirflowSandbox() as sandbox:
        sandbox.migrate()
        yield sandbox


@cache
def encoded_canaries(depth: int) -> list[bytes]:
    """Return what the canaries are in all encodings, and from a depth of two on in all encodings of those."""
    chains: list[tuple[str, ...]] = [(name,) for name in ENCODINGS]
    if depth > 1:
        chains = [*chains, *((inner, outer) for inner in ENCODINGS for outer in ENCODINGS)]
    found = set()
    for secret in (SECRET, TOKEN):
        for names in chains:
            # The first and the last characters of base64 depend on what is around the secret.
            edge = 4 * sum(name.startswith("base64") for name in names)
            text = encode(secret, names, padding=False)
            found.add(text[edge : len(text) - edge].encode())
    return sorted(found)


def find_leaks(text: bytes, *, depth: int = 1) -> list[bytes]:
    found = [canary for canary in (*CANARIES, *encoded_canaries(depth)) if canary in text]
    return found + SIGNATURE.findall(text)


def written_of(error: BaseException) -> bytes:
    """Return all texts of an exception: message, attributes, traceback, and those of all that it carries."""
    texts = traceback.format_exception(error, chain=True)
    left, seen = [error], set()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        texts += [str(one), repr(one), repr(one.args), repr(vars(one))]
        # Suppressed contexts, the request of an SDK error and the exception inside it included.
        left += [value for value in (one.__cause__, one.__context__, *vars(one).values()) if hasattr(value, "__dict__")]
    return "\n".join(texts).encode()


CONNECTIONS: dict[str, dict[str, Any]] = {
    "success": {},
    "rejected": {"password": f"{SECRET}x"},
    "unreachable": {"host": "http://127.0.0.1:1"},
    "misconfigured": {"host": f"https://user:{SECRET}@example.com"},
}
EXPECTED = {
    "success": "success",
    "rejected": "SignatureDoesNotMatch",
    "unreachable": "could not be reached",
    "misconfigured": "has credentials in it",
}


@pytest.mark.parametrize("case", CONNECTIONS)
def test_run_writes_no_secret(case: str, emulator: EmulatorProcess, airflow: AirflowSandbox) -> None:
    """Logs, XComs, rendered fields, serialized DAG, database and stderr have no secret, also with DEBUG=sdk."""
    connection = {**emulator.connection(), **CONNECTIONS[case]}
    run = airflow.run_dag(
        airflow.add_dag(DAG, "canary.py"), env={"AIRFLOW_CONN_IMS_DEFAULT": json.dumps(connection), "DEBUG": "sdk"}
    )
    assert set(run.tasks.values()) == {"success" if case == "success" else "failed"}, run.output
    assert run.output.count(EXPECTED[case]) >= len(run.tasks)
    check_everything_written(run, airflow)


@pytest.mark.parametrize(
    "response",
    [
        {"RequestId": "R", "StatusCode": 500, "Message": f"we got <{SECRET}>, {TOKEN} and Signature={'0a' * 32}"},
        {"RequestId": "R", "Data": {"Status": f"{SECRET} {TOKEN}"}},
    ],
    ids=["code", "state"],
)
def test_wait_writes_no_secret(response: dict[str, Any], emulator: EmulatorProcess, airflow: AirflowSandbox) -> None:
    """In every way of waiting, secrets that a response repeats are in no log, event, XCom or message."""
    emulator.reset()
    emulator.fault("QueryCopyrightExtractJob", "answer", times=1000, body=json.dumps(response))
    env = {"AIRFLOW_CONN_IMS_DEFAULT": emulator.connection_json()}
    run = airflow.run_dag(airflow.add_dag(WAITING, "waiting.py"), env=env)
    emulator.reset()
    assert set(run.tasks.values()) == {"failed"}
    assert run.output.count("Last response: {") >= 5
    assert "***" in run.output
    check_everything_written(run, airflow)


def test_success_writes_no_secret(emulator: EmulatorProcess, airflow: AirflowSandbox) -> None:
    """In every way of waiting, secrets that a success repeats are in no log, event, XCom or record."""
    emulator.reset()
    submitted = {"RequestId": f"R {TOKEN}", "Message": SECRET, "Data": {"JobId": "j-1"}}
    found = {"RequestId": TOKEN, "StatusCode": 200, "Data": {"Message": f"(c) {SECRET} 夜"}}
    emulator.fault("SubmitCopyrightExtractJob", "answer", times=1000, body=json.dumps(submitted))
    emulator.fault("QueryCopyrightExtractJob", "answer", times=1000, body=json.dumps(found))
    env = {"AIRFLOW_CONN_IMS_DEFAULT": emulator.connection_json()}
    run = airflow.run_dag(airflow.add_dag(WAITING, "waiting.py"), env=env)
    emulator.reset()
    assert set(run.tasks.values()) == {"success"}, run.output
    assert "(c) *** 夜" in run.output
    check_everything_written(run, airflow)


def check_everything_written(run: DagRunReport, airflow: AirflowSandbox) -> None:
    assert find_leaks(run.output.encode()) == []
    files = [path for path in airflow.home.rglob("*") if path.is_file()]
    assert any(path.name == "airflow.db" for path in files)
    assert {str(path): found for path in files if (found := find_leaks(path.read_bytes()))} == {}


@pytest.mark.parametrize("case", ["rejected", "unreachable", "misconfigured"])
def test_exception_contains_no_secret(
    case: str, emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Text, traceback and chain of an exception, and log records, have no secret without Airflow's masker."""
    connection = {**emulator.connection(), **CONNECTIONS[case]}
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("DEBUG", "sdk")
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ImsError) as caught:
        ImsHook().submit_copyright_extract_job("oss://b-1/a.mp4")
    written = "".join(traceback.format_exception(caught.value, chain=True))
    assert EXPECTED[case] in written
    assert find_leaks(written_of(caught.value), depth=2) == []
    assert find_leaks(caplog.text.encode(), depth=2) == []


ECHOES = {
    **{f"secret, {name}": encode(SECRET, [name]) for name in ENCODINGS},
    **{f"token, {name}": encode(TOKEN, [name]) for name in ENCODINGS},
    "beginning of the token": TOKEN[:9],
    "signature in a URL": f"Signature={'0a' * 32}",
    "signature in JSON": f'"Signature": "{"0a" * 32}"',
    "another token": "signature=x/Y=",
    "header": f"Authorization: ACS3-HMAC-SHA256 Credential=x,SignedHeaders=host,Signature={'0a' * 32}",
}


@pytest.mark.parametrize("echo", ECHOES)
def test_error_text_of_the_service_is_redacted(
    echo: str, emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If an error response repeats parts of the signed request, in any encoding, our message does not contain them."""
    text = ECHOES[echo]
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", emulator.connection_json())
    body = {
        "RequestId": f"R-{text}",
        "Code": "InvalidX",
        "Message": f"we got <{text}>, go to",
        "Recommend": f"u?{text}",
    }
    emulator.fault("SubmitCopyrightExtractJob", "answer", status=400, body=json.dumps(body))
    with pytest.raises(ImsError, match=r"we got <.*\*\*\*.*Diagnosis: u\?") as caught:
        ImsHook().submit_copyright_extract_job("oss://b-1/a.mp4")
    assert find_leaks(written_of(caught.value), depth=2) == []


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("secret", [SECRET, TOKEN], ids=["secret", "token"])
def test_success_is_redacted(
    secret: str, name: str, emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a successful response repeats of the secrets is in no result, submission or snapshot, and the rest is."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", emulator.connection_json())
    text = encode(secret, [name])
    body = {"RequestId": f"R-{text}", "Message": f"we got <{text}>", "Data": {text: [text], "Url": "u?Signature=0a1b"}}
    query = {**body, "Data": {"Message": f"(c) {text}", "JobId": text}}
    emulator.fault("GetMediaInfo", "answer", status=200, body=json.dumps(body))
    emulator.fault("QueryCopyrightExtractJob", "answer", status=200, body=json.dumps(query))
    response = ImsHook().call("GetMediaInfo")
    assert response["RequestId"].startswith("R-")
    assert "***" in response["RequestId"]
    assert response["Data"]["Url"] == "u?Signature=0a1b"
    snapshot = ImsHook().query_copyright_extract_job("J")
    assert snapshot.raw["Data"]["Message"].startswith("(c) ")
    assert "***" in snapshot.result
    for value in (response, snapshot, snapshot.raw):
        assert find_leaks(repr(value).encode(), depth=2) == []


@pytest.mark.parametrize("secret", [SECRET, TOKEN])
def test_text_of_a_success_is_redacted(secret: str, emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error about an unusable HTTP success repeats the service's message without secrets."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", emulator.connection_json())
    body = json.dumps({"RequestId": "R", "StatusCode": 403, "Message": f"we got <{secret}>"})
    for action in ("SubmitCopyrightExtractJob", "QueryCopyrightJobList"):
        emulator.fault(action, "answer", status=200, body=body)
    with pytest.raises(ImsError, match="we got <") as caught:
        ImsHook().submit_copyright_extract_job("oss://b-1/a.mp4")
    ok, text = ImsHook().test_connection()
    assert not ok
    assert "StatusCode 403: we got <" in text
    assert find_leaks(f"{caught.value} {text}".encode()) == []


@pytest.mark.parametrize("job_id", [SECRET, f"j-{TOKEN}", {"x": TOKEN}])
def test_job_id_with_a_secret_leaves_the_submission_unknown(
    job_id: object, emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A JobId that repeats a secret is neither stored nor logged, and the task does not submit again."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", emulator.connection_json())
    caplog.set_level(logging.DEBUG)
    body = json.dumps({"RequestId": f"R {TOKEN}", "Data": {"JobId": job_id}})
    emulator.fault("SubmitCopyrightExtractJob", "answer", status=200, body=body, times=9)
    task = SimulatedTask(lambda: ImsSubmitCopyrightExtractJobOperator(task_id="extract", input_media="oss://b-1/a.mp4"))
    assert task.attempt() == "failed"
    record = task.record()
    assert record is not None
    assert (record["job_id"], record["state"]) == (None, "submitting")
    assert "***" in record["unexpected_job_id"]
    first = task.error
    assert isinstance(first, Exception)
    assert task.attempt() == "failed"
    assert isinstance(task.error, Exception)
    for text in (repr(record), repr(task.ti.xcoms), caplog.text):
        assert find_leaks(text.encode()) == []
    for error in (first, task.error):
        assert "the JobId" in str(error)
        assert find_leaks(written_of(error)) == []
    with pytest.raises(ImsSubmitUnknownError, match="the JobId"):
        ImsHook().submit_copyright_extract_job("oss://b-1/a.mp4")
    emulator.reset()


# ---- the typed client

LIST = "QueryCopyrightJobList"
LOOPBACK = "http://127.0.0.1"


def error_body(text: str) -> str:
    return json.dumps({"RequestId": "R", "Code": "Strange", "Message": f"we got <{text}>", "HostId": text})


MIRRORED = "\n".join(encode(secret, [name]) for secret in (SECRET, TOKEN) for name in ENCODINGS)
# Name -> changes of the connection, the fault and its options, and the error: its class, and what it says.
FAILURES: dict[str, tuple[dict[str, Any], tuple[str, dict[str, Any]] | None, str, str]] = {
    "wrong secret": ({"password": f"{SECRET}x"}, None, "ClientException", "SignatureDoesNotMatch"),
    "wrong key": ({"login": "nobody"}, None, "ClientException", "InvalidAccessKeyId.NotFound"),
    "expired token": ({"token": f"{TOKEN}x"}, None, "ClientException", "InvalidSecurityToken.Malformed"),
    "no token": ({"token": None}, None, "ClientException", "MissingSecurityToken"),
    "throttled": ({}, ("throttle", {}), "ClientException", "Throttling.User"),
    "throttled for a while": ({}, ("throttle", {"retry_after": 500}), "ThrottlingException", "Throttling.User"),
    "500": ({}, ("internal_error", {}), "ServerException", "InternalError"),
    "503": ({}, ("service_unavailable", {}), "ServerException", "ServiceUnavailable"),
    "error that repeats the request": (
        {},
        ("answer", {"status": 400, "body": error_body(MIRRORED)}),
        "ClientException",
        "we got <",
    ),
    "500 that repeats the request": (
        {},
        ("answer", {"status": 500, "body": error_body(MIRRORED)}),
        "ServerException",
        "we got <",
    ),
    "header that repeats the request": (
        {},
        ("answer", {"status": 500, "body": "", "headers": {"x-acs-request-id": TOKEN}}),
        "ServerException",
        "an empty body",
    ),
    "page 502": ({}, ("html_502", {}), "ServerException", "an HTML page"),
    "page that repeats the request": (
        {},
        ("answer", {"status": 403, "body": f"<html>{MIRRORED}", "content_type": "text/html"}),
        "ClientException",
        "an HTML page",
    ),
    "page instead of a success": (
        {},
        ("answer", {"status": 200, "body": f"<html>{MIRRORED}", "content_type": "text/html"}),
        "ServerException",
        "an HTML page",
    ),
    "list instead of a success": (
        {},
        ("answer", {"status": 200, "body": json.dumps([MIRRORED])}),
        "ServerException",
        "which is not the service's",
    ),
    **{
        f"redirect {status}": (
            {},
            ("answer", {"status": status, "body": TOKEN, "headers": {"Location": f"{LOOPBACK}:PORT/?{TOKEN}"}}),
            "ServerException",
            "a redirect, which is not followed",
        )
        for status in (301, 302, 303, 307, 308)
    },
    "cut before": ({}, ("cut_before", {}), "UnretryableException", "no response came back"),
    "cut after": ({}, ("cut_after", {}), "UnretryableException", "no response came back"),
    "time-out": ({}, ("hang", {}), "UnretryableException", "it did not respond in time"),
    "no server": ({"host": f"{LOOPBACK}:1"}, None, "UnretryableException", "could not be reached"),
    "no name": ({"host": "https://ims.invalid"}, None, "UnretryableException", "its name could not be resolved"),
    "no TLS": ({"host": "https://127.0.0.1:PORT"}, None, "UnretryableException", "was not sent"),
}


@contextmanager
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """Run a server that answers nothing, and yield its port and what it has received."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    received.append(connection.recv(65536))

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1], received
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def typed_connection(emulator: EmulatorProcess, changes: dict[str, Any]) -> str:
    connection = emulator.connection(read_timeout=0.5, connect_timeout=1)
    if "token" in changes:
        connection["extra"]["security_token"] = changes["token"]
    return json.dumps({**connection, **{name: value for name, value in changes.items() if name != "token"}})


def call_typed_client(*, asynchronous: bool) -> Any:
    """List jobs with the typed client, its loggers turned on again."""
    from alibabacloud_ice20201109 import models

    client = ImsHook().get_conn()
    for name in ("darabonba-core", "alibabacloud-tea", "credentials"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    request = models.QueryCopyrightJobListRequest(page_size=1)
    if asynchronous:
        return asyncio.run(client.query_copyright_job_list_async(request))
    return client.query_copyright_job_list(request)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("case", FAILURES)
def test_typed_client_reveals_no_secret(
    case: str,
    asynchronous: bool,  # noqa: FBT001 - a column of the table
    emulator: EmulatorProcess,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """However a call of the typed client fails, error, log and output have no secret, and no redirect is followed."""
    from alibabacloud_tea_openapi import exceptions
    from alibabacloud_tea_openapi.client import DaraException, UnretryableException

    changes, fault, kind, says = FAILURES[case]
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("DEBUG", "sdk")
    emulator.reset()
    with listener() as (port, received):
        changes = json.loads(json.dumps(changes).replace("PORT", str(port)))
        monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", typed_connection(emulator, changes))
        if fault is not None:
            options = json.loads(json.dumps(fault[1]).replace("PORT", str(port)))
            emulator.fault(LIST, fault[0], **options)
        with pytest.raises((DaraException, UnretryableException)) as caught:
            call_typed_client(asynchronous=asynchronous)
    error = caught.value
    assert type(error) is getattr(exceptions, kind, UnretryableException)
    assert says in f"{error} {vars(error)}"
    assert error.__cause__ is None
    assert error.__context__ is None
    assert len(emulator.requests()) == (0 if "host" in changes else 1)
    assert [text for text in received if not text.startswith(b"\x16")] == []  # but for a TLS handshake
    captured = capfd.readouterr()
    for text in (written_of(error), caplog.text.encode(), captured.out.encode(), captured.err.encode()):
        assert find_leaks(text, depth=2) == []
        assert b"CanonicalRequest:[POST" not in text
    emulator.reset()


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_typed_client_returns_no_secret(
    asynchronous: bool,  # noqa: FBT001 - a column of the table
    emulator: EmulatorProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A success that repeats secrets is returned without them."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", typed_connection(emulator, {}))
    body = json.dumps({"RequestId": "R", "StatusCode": 200, "Message": MIRRORED})
    emulator.fault(LIST, "answer", status=200, body=body, headers={"x-acs-trace-id": TOKEN})
    response = call_typed_client(asynchronous=asynchronous)
    assert response.body.request_id == "R"
    assert "***" in response.body.message
    assert response.headers["x-acs-trace-id"] == "***"
    assert find_leaks(repr(response.to_map()).encode(), depth=2) == []


def test_find_leaks_finds_each_secret() -> None:
    """find_leaks finds the secret, the token and signatures, in all encodings."""
    for text in (f"x{SECRET}x", f"token: {TOKEN}", f"Signature={'0a' * 32}", "ACS3-HMAC-SHA256 Credential=x"):
        assert find_leaks(text.encode())
    for inner in ENCODINGS:
        for outer in ENCODINGS:
            assert find_leaks(f"<{encode(TOKEN, [inner, outer])}>".encode(), depth=2), (inner, outer)
    assert not find_leaks(b"nothing to see", depth=2)


def test_sdk_loggers_do_not_print(emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """After get_conn, the SDK's loggers have no handlers that print headers."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", emulator.connection_json())
    ImsHook().get_conn()
    for name in ("darabonba-core", "alibabacloud-tea", "credentials"):
        assert logging.getLogger(name).handlers == []
        assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)
