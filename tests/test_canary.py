"""Nothing that a run writes contains a key secret, a token, a signature or another secret of a connection.

The secrets (``tests/canaries.py`` searches for them, in every encoding of the redaction tests) are those of the
connection, of files and variables of the machine and of the proxy, the OIDC tokens, the query of the credentials URI,
the external id, all keys that the emulator issues, and all signatures of requests that a mirror (``tests/mirror.py``)
got.

``tests/canary_cases.py`` has the kinds of credentials and their failures. What is covered:

- all pairs of a kind and a failure that it can have, through the hook, the typed client and the connection test;
- in a DAG run, whose files and database are searched too: all failures for the RAM role over a key; for each other kind
  a success, a success that repeats the request, and the failures that a RAM role over a key does not have. The tasks
  take the seven paths in turn: operator and sensor with and without a trigger, hook, typed client, connection test;
- keys that cannot be refreshed, or are revoked, in a wait: in each of the four ways to wait;
- responses that repeat keys from before a refresh.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
import socket
import threading
import traceback
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.api import masking
from airflow_provider_ims.emulator.process import EmulatorProcess
from airflow_provider_ims.exceptions import ImsError, ImsSubmitUnknownError
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.sensors.job import ImsJobSensor
from dev.sandbox import AirflowSandbox, DagRunReport
from tests.api.encodings import ENCODINGS, encode
from tests.attempts import SimulatedTask
from tests.canaries import Canaries, written_of
from tests.canary_cases import (
    FAILURES,
    FIXED,
    IMS_REPEATS,
    KEY,
    KINDS,
    MARKED,
    SECRET,
    TOKEN,
    UNMARKED,
    World,
    cases,
    task_cases,
)
from tests.mirror import Mirror
from tests.runs import AIRFLOW

if TYPE_CHECKING:
    from collections.abc import Iterator

CANARIES = Canaries()
CANARIES.learn(*FIXED, depth=2)

PRINTS_MESSAGES = AIRFLOW[:2] == (3, 0)
"""Airflow 3.0 prints the messages between task and supervisor when ``dag.test()`` runs a DAG: also those with a
connection. And it breaks the texts of errors into lines.
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


TASKS = """
import json
import os
from airflow.providers.common.compat.sdk import DAG, task
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.sensors.job import ImsJobSensor

def call(conn_id):
    return ImsHook(conn_id).call("QueryCopyrightJobList")

def typed(conn_id):
    from alibabacloud_ice20201109 import models

    client = ImsHook(conn_id).get_conn()
    return client.query_copyright_job_list(models.QueryCopyrightJobListRequest(page_size=1)).to_map()

def test(conn_id):
    works, text = ImsHook(conn_id).test_connection()
    print(text)
    if not works:
        raise ValueError(text)
    return text

def python(function):
    return lambda case, task_id: task(task_id=task_id)(function)(case["conn_id"])

def operator(**options):
    return lambda case, task_id: ImsSubmitCopyrightExtractJobOperator(
        task_id=task_id, ims_conn_id=case["conn_id"], input_media=case["media"], poll_interval=0.1,
        timeout=case["timeout"], **options,
    )

def sensor(**options):
    return lambda case, task_id: ImsJobSensor(
        task_id=task_id, ims_conn_id=case["conn_id"], job_id=case["job_id"], poke_interval=0.1,
        timeout=case["timeout"], **options,
    )

PATHS = {
    "hook.call": python(call),
    "typed client": python(typed),
    "connection test": python(test),
    "operator": operator(wait_for_completion=True),
    "deferred operator": operator(deferrable=True),
    "sensor": sensor(),
    "deferred sensor": sensor(deferrable=True),
}
with DAG("kinds", schedule=None) as dag:
    for number, case in enumerate(json.loads(os.environ["CANARY_CASES"])):
        PATHS[case["path"]](case, f"task_{number}")
"""
WAITING_PATHS = ("operator", "deferred operator", "sensor", "deferred sensor")
TASK_PATHS = (*WAITING_PATHS, "hook.call", "typed client", "connection test")


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


def find_leaks(text: bytes) -> list[bytes]:
    return CANARIES.find(text)


CONNECTIONS: dict[str, dict[str, Any]] = {
    "rejected": {"password": f"{SECRET}x"},
    "unreachable": {"host": "http://127.0.0.1:1"},
    "misconfigured": {"host": f"https://user:{SECRET}@example.com"},
}
EXPECTED = {
    "rejected": "SignatureDoesNotMatch",
    "unreachable": "could not be reached",
    "misconfigured": "has credentials in it",
}


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
    assert PRINTS_MESSAGES or run.output.count("Last response: {") >= 5
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
    if not PRINTS_MESSAGES:
        assert find_leaks(run.output.encode()) == []
    files = [path for path in airflow.home.rglob("*") if path.is_file()]
    assert any(path.name == "airflow.db" for path in files)
    assert {str(path): found for path in files if (found := find_leaks(path.read_bytes()))} == {}


@pytest.mark.parametrize("case", CONNECTIONS)
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
    assert find_leaks(written_of(caught.value)) == []
    assert find_leaks(caplog.text.encode()) == []


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
    assert find_leaks(written_of(caught.value)) == []


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
        assert find_leaks(repr(value).encode()) == []


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
TYPED_FAILURES: dict[str, tuple[dict[str, Any], tuple[str, dict[str, Any]] | None, str, str]] = {
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


def list_with(client: Any) -> Any:
    """List jobs with a typed client."""
    from alibabacloud_ice20201109 import models

    return client.query_copyright_job_list(models.QueryCopyrightJobListRequest(page_size=1))


def call_typed_client(*, asynchronous: bool) -> Any:
    """List jobs with the typed client, its loggers turned on again."""
    from alibabacloud_ice20201109 import models

    client = ImsHook().get_conn()
    for name in ("darabonba-core", "alibabacloud-tea", "credentials"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    if not asynchronous:
        return list_with(client)
    return asyncio.run(client.query_copyright_job_list_async(models.QueryCopyrightJobListRequest(page_size=1)))


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("case", TYPED_FAILURES)
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

    changes, fault, kind, says = TYPED_FAILURES[case]
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
        assert find_leaks(text) == []
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
    assert find_leaks(repr(response.to_map()).encode()) == []


# ---- all kinds of credentials, and how each fails


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("home"), CANARIES) as one:
        yield one


@pytest.mark.timeout(400)  # a task for each kind, one after the other
def test_runs_of_all_kinds_write_no_secret(world: World, airflow: AirflowSandbox) -> None:
    """Logs, XComs, rendered fields, serialized DAG, database and stderr have no secret of any kind of credentials."""
    paths = itertools.cycle(TASK_PATHS)
    tasks = [(pair, next(paths), world.connection(*pair), MARKED) for pair in task_cases()]
    assert len(tasks) > len(FAILURES) + len(KINDS)
    with ExitStack() as stack:
        mirrors = []
        for path in WAITING_PATHS:
            # The submission and a query, or two queries, are answered.
            mirror = Mirror("InvalidSecurityToken.Expired", forward_to=world.emulator.endpoint, forwards=2)
            mirror.remembers = True
            mirrors.append(stack.enter_context(mirror))
            tasks.append(((KEY, "revoked in a wait"), path, world.connection(KEY, host=mirror.endpoint), UNMARKED))
        jobs = {media: world.submit(media) for media in (MARKED, UNMARKED)}
        variables = {f"AIRFLOW_CONN_IMS_{number}": task[2] for number, task in enumerate(tasks)}
        cases_of_dag = [
            {
                "conn_id": f"ims_{number}",
                "path": path,
                "media": media,
                "job_id": jobs[media],
                "timeout": 0.5 if media == MARKED else 2,
            }
            for number, (_, path, _, media) in enumerate(tasks)
        ]
        env = {**world.variables, **variables, "CANARY_CASES": json.dumps(cases_of_dag)}
        run = airflow.run_dag(airflow.add_dag(TASKS, "kinds.py"), env=env)
        assert all(mirror.mirrored for mirror in mirrors)
    world.learn_issued()
    CANARIES.learn(*(secret for mirror in mirrors for secret in mirror.secrets))
    states = [run.tasks[f"task_{number}[-1]"] for number in range(len(tasks))]
    expected = ["success" if failure in {"", IMS_REPEATS} else "failed" for (_, failure), *_ in tasks]
    assert states == expected, run.output
    check_everything_written(run, airflow)


@pytest.fixture
def machine(world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> World:
    """Return the world, with its environment variables set and everything logged, without Airflow's masker."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(masking, "MAX_KEYS", 0)
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    return world


def call_hook() -> object:
    return ImsHook().call(LIST)


def call_typed() -> object:
    return call_typed_client(asynchronous=False).to_map()


def run_connection_test() -> object:
    return ImsHook().test_connection()


PATHS = {"hook.call": call_hook, "typed client": call_typed, "connection test": run_connection_test}


@pytest.mark.parametrize(("kind", "failure"), cases())
def test_no_path_reveals_a_secret(
    kind: str,
    failure: str,
    machine: World,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Results, errors, logs and output of a call have no secret, for each kind of credentials and each failure."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", machine.connection(kind, failure))
    written = {}
    for name, call in PATHS.items():
        try:
            result = repr(call())
            failed = result.startswith("(False")
        except Exception as error:  # noqa: BLE001 - whatever it is must have no secret
            result, failed = written_of(error).decode(), True
        assert failed == (failure not in {"", IMS_REPEATS}), result
        assert re.search(FAILURES[failure].says if failure else "", result), result
        written[name] = result
    captured = capfd.readouterr()
    written |= {"log": caplog.text, "output": captured.out + captured.err}
    machine.learn_issued()
    assert {name: found for name, text in written.items() if (found := find_leaks(text.encode()))} == {}


def test_token_of_the_metadata_service_is_redacted(machine: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A metadata service that repeats its own token as an error code makes no error that has it."""
    with Mirror(Mirror.ECHO, 403, forward_to=machine.emulator.endpoint, forwards=1) as mirror:
        monkeypatch.setenv("HTTP_PROXY", mirror.endpoint)
        monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", machine.connection("ECS role"))
        with pytest.raises(ImsError, match="was refused") as caught:
            ImsHook().call(LIST)
        assert mirror.mirrored == 1
    CANARIES.learn(*mirror.secrets)
    assert find_leaks(written_of(caught.value)) == []


def repeated_keys(world: World, number: int) -> str:
    """Return the newest keys in all encodings, one after the other."""
    keys = world.emulator.issued_keys()[-number:]
    assert len(keys) == number
    CANARIES.learn_issued(world.emulator)
    secrets = [secret for key in keys for secret in (key["AccessKeySecret"], key["SecurityToken"])]
    return "\n".join(encode(secret, [name]) for name in ENCODINGS for secret in secrets)


@pytest.mark.parametrize("path", ["hook.call", "typed client", "one event loop", "connection test", "job"])
def test_response_that_repeats_earlier_keys_is_redacted(
    path: str, machine: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The secrets of the keys before the last refresh are redacted too, also if another client had them."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", machine.connection(KEY))
    hook = ImsHook()
    client = hook.get_conn()

    def call() -> object:
        if path == "typed client":
            return list_with(client).to_map()
        return hook.test_connection() if path == "connection test" else hook.call(LIST)

    def refresh() -> None:
        machine.emulator.revoke(role="partner")

    def repeat() -> None:
        body = {"RequestId": "R", "StatusCode": 201, "Message": repeated_keys(machine, 2), "Data": {"JobId": "f" * 32}}
        action = "QueryCopyrightExtractJob" if path == "job" else LIST
        machine.emulator.fault(action, "answer", body=json.dumps(body))

    async def calls() -> object:
        other = ImsHook()
        for step in (refresh, repeat):
            await other.acall(LIST)
            step()
        result = await other.acall(LIST)
        await other.aclose()
        return result

    if path == "one event loop":
        result = asyncio.run(calls())
    else:
        for step in (refresh, repeat):
            call()
            step()
        result = hook.query_copyright_extract_job("f" * 32).raw if path == "job" else call()
    assert "***" in repr(result)
    assert find_leaks(repr(result).encode()) == []


@pytest.mark.parametrize("kind", [KEY, "RAM role over OIDC", "RAM role over ECS"])
def test_sts_that_repeats_earlier_keys_is_redacted(kind: str, machine: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of STS has no keys that it issued before: neither those of the role, nor those that assume it."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", machine.connection(kind))
    for _ in range(2):
        ImsHook().call(LIST)
        machine.emulator.revoke(role="partner")
    machine.emulator.fault("AssumeRole", "answer", status=400, body=error_body(repeated_keys(machine, 2)))
    with pytest.raises(ImsError, match="Strange: we got") as caught:
        ImsHook().call(LIST)
    assert "***" in str(caught.value)
    assert find_leaks(written_of(caught.value)) == []


def operator(timeout: float, **options: Any) -> ImsSubmitCopyrightExtractJobOperator:
    return ImsSubmitCopyrightExtractJobOperator(
        task_id="extract", input_media=UNMARKED, poll_interval=0.1, timeout=timeout, **options
    )


def sensor(timeout: float, **options: Any) -> Any:
    return ImsJobSensor(task_id="wait", job_id="f" * 32, poke_interval=0.1, timeout=timeout, **options)


WAITS: dict[str, Any] = {
    "operator": lambda timeout: operator(timeout, wait_for_completion=True),
    "deferred operator": lambda timeout: operator(timeout, deferrable=True),
    "sensor": sensor,
    "deferred sensor": lambda timeout: sensor(timeout, deferrable=True),
}


@pytest.mark.parametrize("path", WAITS)
@pytest.mark.parametrize("event", ["refused refresh", "revoked keys"])
def test_keys_that_end_in_a_wait(
    event: str,
    path: str,
    machine: World,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """If STS refuses a refresh in a wait, or IMS the keys, and both repeat all tokens, nothing has them."""
    machine.emulator.configure(unknown_job="silent", token_lifetime=2 if event == "refused refresh" else None)
    is_sts = event == "refused refresh"
    code = "NoPermission" if is_sts else "InvalidSecurityToken.Expired"
    # The clients of a submission and of a wait share the keys of STS.
    forwards = 2 if "operator" in path and not is_sts else 1
    with Mirror(code, forward_to=machine.emulator.endpoint, forwards=forwards, remembers=True) as mirror:
        fields = {"sts_endpoint" if is_sts else "host": mirror.endpoint}
        kind = "RAM role over ECS" if is_sts else KEY
        monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", machine.connection(kind, **fields))
        # The keys are valid for up to two seconds; a revocation needs only some polls.
        task = SimulatedTask(lambda: WAITS[path](2.6 if is_sts else 1.0), retries=0)
        assert task.attempt() == "failed"
        assert mirror.mirrored >= 1
    assert task.error is not None
    captured = capfd.readouterr()
    assert code in written_of(task.error).decode() + caplog.text + captured.out + captured.err
    machine.learn_issued()
    CANARIES.learn(*mirror.secrets)
    machine.emulator.configure(unknown_job="error", token_lifetime=None)
    for text in (repr(task.events), repr(task.ti.xcoms), repr(task.record()), caplog.text, captured.out, captured.err):
        assert find_leaks(text.encode()) == []
    assert find_leaks(written_of(task.error)) == []


def test_find_leaks_finds_each_secret(world: World) -> None:
    """find_leaks finds each secret, also in part and wherever it is in a text, in all encodings; and signatures."""
    world.learn_issued()
    key = world.emulator.issued_keys()[-1]
    issued = (key["AccessKeySecret"], key["SecurityToken"], world.identities.home.joinpath("token").read_text())
    for secret in (*FIXED, *issued):
        for name in ENCODINGS:
            for number, part in enumerate((secret, secret[:24], f"{secret}-", f"x{secret}")):
                text = "x" * number + encode(part, [name], padding=False)
                assert find_leaks(text.encode()), (secret, name, part)
        assert find_leaks(f"key {secret[:16]}...".encode())
    for shift in range(9):
        assert find_leaks(f"{' ' * shift}{encode(TOKEN, ['percent, all'])}".encode())
    for text in (f"Signature={'0a' * 32}", "ACS3-HMAC-SHA256 Credential=x"):
        assert find_leaks(text.encode())
    for inner in ENCODINGS:
        for outer in ENCODINGS:
            assert find_leaks(f"<{encode(TOKEN, [inner, outer])}>".encode()), (inner, outer)
    assert not find_leaks(b"nothing to see")


def test_sdk_loggers_do_not_print(emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """After get_conn, the SDK's loggers have no handlers that print headers, and let no record through."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", emulator.connection_json())
    ImsHook().get_conn()
    for name in ("darabonba-core", "alibabacloud-tea", "credentials"):
        logger = logging.getLogger(name)
        assert logger.handlers == []
        assert not logger.propagate
        assert not logger.filter(logger.makeRecord(name, logging.CRITICAL, __file__, 1, "text", (), None))
