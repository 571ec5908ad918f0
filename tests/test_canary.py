"""Nothing that a run writes contains the key secret, the security token or a signature."""

from __future__ import annotations

import json
import logging
import re
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from airflow_provider_ims.emulator.process import EmulatorProcess
from airflow_provider_ims.exceptions import ImsError
from airflow_provider_ims.hooks.ims import ImsHook
from dev.sandbox import AirflowSandbox, DagRunReport

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

    @task
    def typed(job_id):
        from alibabacloud_ice20201109 import models
        from airflow_provider_ims.hooks.ims import ImsHook

        hook = ImsHook()
        client = hook.get_conn()
        client.query_copyright_job_list(models.QueryCopyrightJobListRequest(page_size=1))
        return hook.call("QueryCopyrightJobList")

    typed(submit.output)
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


def find_leaks(text: bytes) -> list[bytes]:
    found = [canary for canary in CANARIES if canary in text]
    return found + SIGNATURE.findall(text)


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
    assert EXPECTED[case] in run.output if case != "success" else run.state == "success", run.output
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
    for text in (written, repr(caught.value), repr(vars(caught.value)), caplog.text):
        assert find_leaks(text.encode()) == []
    error: BaseException | None = caught.value
    while error is not None:  # suppressed contexts included
        assert find_leaks(repr(vars(error)).encode()) == []
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "secret", [SECRET, TOKEN, quote(TOKEN, safe=""), f"Signature={'0a' * 32}", f"signature={TOKEN}"]
)
def test_error_text_of_the_service_is_redacted(
    secret: str, emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If an error response repeats parts of the signed request, our message does not contain them."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", emulator.connection_json())
    body = json.dumps(
        {
            "RequestId": "R",
            "Code": "SignatureDoesNotMatch",
            "Message": f"we got <{secret}>, go to",
            "Recommend": f"u?{secret}",
        }
    )
    emulator.fault("SubmitCopyrightExtractJob", "answer", status=400, body=body)
    with pytest.raises(ImsError, match=r"we got <.*\*\*\*.*go to.*Diagnosis: u\?") as caught:
        ImsHook().submit_copyright_extract_job("oss://b-1/a.mp4")
    assert find_leaks(str(caught.value).encode()) == []


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


def test_find_leaks_finds_each_secret() -> None:
    """find_leaks finds the secret, the token and signatures."""
    for text in (f"x{SECRET}x", f"token: {TOKEN}", f"Signature={'0a' * 32}", "ACS3-HMAC-SHA256 Credential=x"):
        assert find_leaks(text.encode())
    assert not find_leaks(b"nothing to see")


def test_sdk_loggers_do_not_print(emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """After get_conn, the SDK's loggers have no handlers that print headers."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", emulator.connection_json())
    ImsHook().get_conn()
    for name in ("darabonba-core", "alibabacloud-tea", "credentials"):
        assert logging.getLogger(name).handlers == []
        assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)
