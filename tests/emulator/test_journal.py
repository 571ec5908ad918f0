from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.emulator.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess

LIST = "QueryCopyrightJobList"


def test_a_request_is_logged(call: Any) -> None:
    """A request is logged with its parameters and the result."""
    response = call("QueryCopyrightExtractJob", {"JobId": "none"})
    (record,) = call.emulator.requests()

    assert record.pop("time").endswith("+00:00")
    assert isinstance(record.pop("connection"), int)
    assert record == {
        "sequence": 1,
        "action": "QueryCopyrightExtractJob",
        "parameters": {"JobId": "none"},
        "request_id": response.body["RequestId"],
        "form_parameters": [],
        "fault": None,
        "code": "JobNotFound",
        "http_status": 404,
    }


def test_the_place_of_a_parameter_is_logged(call: Any) -> None:
    """The log names the parameters that were in the form body."""
    call(LIST, {"JobId": "none"}, body="Level=1&UserData=x")
    (record,) = call.emulator.requests()

    assert record["parameters"] == {"JobId": "none", "Level": "1", "UserData": "x"}
    assert record["form_parameters"] == ["Level", "UserData"]


def test_a_success_is_logged_as_ok(call: Any) -> None:
    """The code of a successful request is OK."""
    call(LIST)

    assert [(record["code"], record["http_status"]) for record in call.emulator.requests()] == [("OK", 200)]


def test_a_fault_is_logged(call: Any) -> None:
    """A request that a fault hit is logged with the fault."""
    call.emulator.fault(LIST, "html_502")
    call(LIST)

    (record,) = call.emulator.requests()
    assert (record["fault"], record["code"], record["http_status"]) == ("html_502", "BadGateway", 502)


def test_requests_over_one_connection_have_its_number(call: Any) -> None:
    """Requests over the same connection have the same connection number, and others have another."""
    call(LIST)
    call(LIST)
    call.close()
    call(LIST)

    first, second, third = (record["connection"] for record in call.emulator.requests())
    assert first == second != third


def test_connections_at_the_same_time_have_their_own_numbers(
    call: Any, connect: Callable[[EmulatorProcess], Any]
) -> None:
    """Two open connections have different numbers."""
    call(LIST)
    connect(call.emulator)(LIST)

    first, second = (record["connection"] for record in call.emulator.requests())
    assert first != second


def test_the_log_contains_no_credentials(call: Any) -> None:
    """Tokens and signatures in headers or parameters are not in the log."""
    headers = {"x-acs-security-token": "hush-token"}
    parameters = {"SecurityToken": "hush", "Signature": "hush", "AccessKeyId": "hush", "JobId": "a"}
    response = call(LIST, parameters, headers=headers)
    assert response.body["Code"] == "InvalidSecurityToken.MismatchWithAccessKey"
    call(LIST, secret="wrong", headers={"x-acs-signature-nonce": "hush-nonce"})

    log = json.dumps(call.emulator.requests())
    assert "hush" not in log
    assert "HMAC" not in log
    assert '"JobId": "a"' in log


def test_the_log_contains_no_signed_url(call: Any) -> None:
    """The query of a URL, which can give access to the object, is not in the log."""
    call.submit("https://bucket.oss-cn-shanghai.aliyuncs.com/film.mp4?Expires=1&Signature=hush")

    text = call.emulator.requests()[0]["parameters"]["Input"]
    assert json.loads(text) == {"Type": "OSS", "Media": "https://bucket.oss-cn-shanghai.aliyuncs.com/film.mp4?***"}


def test_the_log_keeps_the_last_10000_requests() -> None:
    """The log keeps 10,000 requests and counts all of them."""
    journal = Journal()
    for _ in range(10_001):
        journal.open(time="", action=LIST, parameters={}, request_id="", connection=1)

    kept = list(journal)
    assert (len(kept), kept[0].sequence, journal.total) == (10_000, 2, 10_001)


def test_the_log_is_bounded_in_bytes() -> None:
    """The log keeps at most 16 MiB: of large requests it keeps the latest, and counts all of them."""
    journal = Journal()
    for number in range(40):
        journal.open(time="", action=LIST, parameters={"a": "\u6c34" * 350_000}, request_id=str(number), connection=1)

    kept = [record.request_id for record in journal]
    assert sum(len(record.parameters["a"].encode()) for record in journal) <= 16 * 1024 * 1024
    assert (kept, journal.total) == ([str(number) for number in range(25, 40)], 40)


def test_the_log_is_full_again_after_a_reset() -> None:
    """A reset also forgets how large the deleted requests were."""
    journal = Journal()
    for _ in range(2):
        journal.clear()
        for _ in range(15):
            journal.open(time="", action=LIST, parameters={"a": "x" * 1024 * 1024}, request_id="", connection=1)

        assert len(list(journal)) == 15


@pytest.mark.timeout(10)
def test_a_text_with_many_urls_is_redacted_at_once() -> None:
    """The time to redact a text grows with its length only, however many URLs begin in it."""
    text = "http://" * 140_000 + " http://b.com/f?"
    record = Journal().open(time="", action=LIST, parameters={"a": f"{text}hush"}, request_id="", connection=1)

    assert record.parameters["a"] == f"{text}***"
