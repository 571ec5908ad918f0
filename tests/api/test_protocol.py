"""The protocol without a network: a request becomes bytes, a response becomes a value or an error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest

from airflow_provider_ims.api.protocol import ApiRequest, decode, encode, may_have_been_carried_out
from airflow_provider_ims.connection.access_key import AccessKey
from airflow_provider_ims.exceptions import ImsApiError, ImsConfigurationError, ImsError, ImsTransportError
from tests.responses import REJECTED, UNKNOWN, Case

if TYPE_CHECKING:
    from collections.abc import Callable

ENDPOINT = "https://ice.cn-shanghai.aliyuncs.com"
KEY = AccessKey("id", "secret")
WHEN = {"date": "2026-01-31T23:59:59Z", "nonce": "n-1"}


def decoded(
    status: int,
    body: bytes,
    headers: dict[str, str] | None = None,
    subject: str | None = None,
    redact: Callable[[str], str] = str,
) -> Any:
    request = ApiRequest("QueryX", {}, subject=subject)
    return decode(request, region="cn-shanghai", status=status, headers=headers or {}, body=body, redact=redact)


def test_parameters_travel_in_the_query_string() -> None:
    """Texts are sent as they are, objects and lists as JSON, None is left out, and there is no body."""
    params = {"B": "ü &=", "A": {"x": [1, None]}, "C": None, "D": 5}
    http = encode(ApiRequest("X", params), endpoint=ENDPOINT, key=KEY, **WHEN)
    url, _, query = http.url.partition("?")
    assert url == f"{ENDPOINT}/"
    assert parse_qsl(query) == [("A", '{"x":[1,null]}'), ("B", "ü &="), ("D", "5")]
    assert http.body == b""
    assert "content-type" not in http.headers


def test_body_parameters_travel_in_the_form_body() -> None:
    """A parameter that the family names is in the form body and nowhere else; the body has its type."""
    request = ApiRequest("X", {"Timeline": {"a": "ü"}, "Title": "t"}, body_parameters=frozenset({"Timeline", "Absent"}))
    http = encode(request, endpoint=ENDPOINT, key=KEY, **WHEN)
    assert parse_qsl(http.url.partition("?")[2]) == [("Title", "t")]
    assert parse_qsl(http.body.decode()) == [("Timeline", '{"a":"ü"}')]
    assert http.headers["content-type"] == "application/x-www-form-urlencoded"


def test_request_depends_on_its_arguments_only() -> None:
    """The same call with the same time and nonce is the same request, byte for byte."""
    request = ApiRequest("X", {"A": "1"})
    one, other = (encode(request, endpoint=ENDPOINT, key=KEY, **WHEN) for _ in range(2))
    assert one == other
    assert one.headers["x-acs-date"] == WHEN["date"]
    assert one.headers["x-acs-signature-nonce"] == WHEN["nonce"]
    assert one.headers["host"] == "ice.cn-shanghai.aliyuncs.com"


def test_parameter_that_is_not_json_is_refused() -> None:
    """A value that cannot be sent names the parameter and the action."""
    with pytest.raises(ImsConfigurationError, match="Parameter A of X cannot be sent as JSON"):
        encode(ApiRequest("X", {"A": object()}), endpoint=ENDPOINT, key=KEY, **WHEN)


def test_success_is_the_whole_body() -> None:
    """A successful response is returned as it is, with fields that the vendor does not document."""
    body = {"RequestId": "R", "Data": {"x": 1}, "Undocumented": [1]}
    assert decoded(200, json.dumps(body).encode()) == body


@pytest.mark.parametrize("code", ["OK", "Success", "success", "200"])
def test_code_of_success_is_not_an_error(code: str) -> None:
    """Some actions send a code with a success too."""
    assert decoded(200, json.dumps({"Code": code, "RequestId": "R"}).encode())["Code"] == code


@pytest.mark.parametrize("case", [*REJECTED, *UNKNOWN], ids=lambda case: case[0])
def test_response_becomes_an_error(case: Case) -> None:
    """An error response becomes the class to decide by, with action, code, status and what to do."""
    _, options, kind, code, says = case
    with pytest.raises(ImsApiError) as caught:
        decoded(options["status"], options["body"].encode(), options.get("headers"))
    error = caught.value
    assert type(error) is kind
    assert code is None or error.code == code
    assert (error.action, error.http_status) == ("QueryX", options["status"])
    assert says in str(error)


@pytest.mark.parametrize("case", [*REJECTED, *UNKNOWN], ids=lambda case: case[0])
def test_only_a_known_rejection_is_one(case: Case) -> None:
    """A submission was certainly not carried out only if the response is in the table of rejections."""
    with pytest.raises(ImsApiError) as caught:
        decode(
            ApiRequest("SubmitX", {}),
            region="r",
            status=case[1]["status"],
            headers={},
            body=case[1]["body"].encode(),
            redact=str,
        )
    assert may_have_been_carried_out(caught.value) is (case in UNKNOWN)


@pytest.mark.parametrize(
    ("error", "carried_out"),
    [
        (ImsTransportError("lost", sent=True), True),
        (ImsTransportError("refused", sent=False), False),
        (ImsError("killed before it was sent"), False),
    ],
)
def test_request_that_was_not_sent_was_not_carried_out(
    error: ImsError,
    carried_out: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Without a response, it counts whether the request was sent."""
    assert may_have_been_carried_out(error) is carried_out


def hide(text: str) -> str:
    return text.replace("canary", "***")


def test_texts_of_an_error_are_redacted() -> None:
    """Code, message, diagnosis and RequestId of an error pass the redaction."""
    body = {"Code": "Invalid.canary", "Message": "a canary", "Recommend": "https://canary", "RequestId": "r-canary"}
    with pytest.raises(ImsApiError) as caught:
        decoded(400, json.dumps(body).encode(), subject="job J", redact=hide)
    assert str(caught.value).startswith(
        "QueryX of job J in cn-shanghai was refused: Invalid.***: a *** (RequestId r-***, HTTP 400). "
        "Diagnosis: https://***."
    )
    assert (caught.value.code, caught.value.request_id) == ("Invalid.***", "r-***")


def test_texts_of_a_success_are_redacted() -> None:
    """All texts of a success pass the redaction before anybody gets them, names included."""
    body = {"RequestId": "r-canary", "Data": {"JobId": "canary", "canary": ["a canary", 5, None]}}
    assert decoded(200, json.dumps(body).encode(), redact=hide) == {
        "RequestId": "r-***",
        "Data": {"JobId": "***", "***": ["a ***", 5, None]},
    }


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_body_is_redacted_in_each_encoding_of_json(encoding: str) -> None:
    """A body that Python reads as JSON is redacted, whatever its encoding is."""
    assert decoded(200, '{"RequestId": "r-canary"}'.encode(encoding), redact=hide) == {"RequestId": "r-***"}


def test_request_id_of_a_header_is_redacted() -> None:
    """The RequestId of a response that is not the service's passes the redaction too."""
    with pytest.raises(ImsApiError) as caught:
        decoded(502, b"<html>", {"x-acs-request-id": "r-canary"}, redact=hide)
    assert caught.value.request_id == "r-***"
    assert "canary" not in str(caught.value)


def test_header_has_the_request_id_if_the_body_has_none() -> None:
    """An unreadable response still has a RequestId for the ticket."""
    with pytest.raises(ImsApiError) as caught:
        decoded(502, b"<html>", {"x-acs-request-id": "r-9"})
    assert caught.value.request_id == "r-9"


@pytest.mark.parametrize(
    ("action", "is_read"),
    [
        *(("QueryX", True), ("GetX", True), ("ListX", True), ("DescribeX", True), ("SearchX", True)),
        *(("SubmitX", False), ("CancelX", False), ("DeleteX", False), ("UpdateX", False), ("Unqueried", False)),
    ],
)
def test_only_reads_may_be_sent_again(
    action: str,
    is_read: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """An action that changes something is not a read."""
    assert ApiRequest(action, {}).is_read is is_read
