from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.emulator.errors import ApiError
from airflow_provider_ims.emulator.keys import Credentials, KeyStore
from airflow_provider_ims.emulator.process import EmulatorProcess
from airflow_provider_ims.emulator.signature import MAX_SKEW, SignedRequest, Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ALWAYS_SIGNED = (
    "host",
    "x-acs-action",
    "x-acs-content-sha256",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-version",
)


def stamp(offset: timedelta) -> str:
    """Return a date near now in the format of the protocol."""
    return (datetime.now(UTC) + offset).strftime("%Y-%m-%dT%H:%M:%SZ")


def signed_request(nonce: str, date: datetime) -> SignedRequest:
    """Return a valid signed request."""
    headers = {
        "host": "localhost",
        "x-acs-action": "QueryCopyrightJobList",
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-acs-date": date.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": nonce,
        "x-acs-version": "2020-11-09",
    }
    canonical = SignedRequest("POST", "/", [], headers, b"").canonical(ALWAYS_SIGNED)
    string_to_sign = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(b"emulator-access-key-secret", string_to_sign.encode(), hashlib.sha256).hexdigest()
    credential = f"Credential=emulator-access-key-id,SignedHeaders={';'.join(ALWAYS_SIGNED)},Signature={signature}"
    return SignedRequest("POST", "/", [], {**headers, "authorization": f"ACS3-HMAC-SHA256 {credential}"}, b"")


@pytest.fixture(scope="module")
def sts_emulator() -> Iterator[EmulatorProcess]:
    """Run an emulator that requires a security token."""
    with EmulatorProcess(security_token="a-security-token") as emulator:
        yield emulator


def test_a_well_signed_request_is_served(call: Any) -> None:
    """A request with a correct signature gets a response in the service's shape."""
    response = call("QueryCopyrightJobList")

    assert response.status == 200
    assert response.body == {"Data": [], "Message": "ok", "RequestId": response.body["RequestId"], "StatusCode": 200}


def test_get_is_served_like_post(call: Any) -> None:
    """The actions accept GET as well as POST."""
    assert call("QueryCopyrightJobList", method="GET").status == 200


def test_parameters_are_encoded_by_rfc_3986(call: Any) -> None:
    """Reserved, unreserved and non-ASCII characters and empty values have a correct signature."""
    user_data = "-_.~ !*'();:@&=+$,/?#[]%20 水印"

    assert call.submit(UserData=user_data).status == 200
    assert call("QueryCopyrightJobList", {"JobId": "", "PageNumber": "0", "a name 水": "1"}).status == 200
    assert call.emulator.jobs()[0]["user_data"] == user_data


def test_form_parameters_are_found_in_the_form_body(call: Any) -> None:
    """A parameter of the form body is found there."""
    assert call("SubmitYikeAIAppJob", body="AppId=an-app").status == 200


@pytest.mark.parametrize(
    ("request_", "place"),
    [
        (("SubmitYikeAIAppJob", {"AppId": "an-app"}, ""), "AppId must be in the form body, not in the query string."),
        (("GetYikeAIAppJob", {}, "JobId=a"), "JobId must be in the query string, not in the form body."),
    ],
)
def test_a_parameter_in_the_wrong_place_is_missing(
    call: Any, request_: tuple[str, dict[str, str], str], place: str
) -> None:
    """A parameter that the SDK sends in the query string is not read from the form body, nor the other way round."""
    action, query, body = request_

    assert call(action, query, body=body).error == (400, f"Missing{place.partition(' ')[0]}", place)


def test_errors_have_the_fields_of_the_vendor(call: Any) -> None:
    """An error has RequestId, HostId, Code, Message and Recommend, and the RequestId as a header."""
    response = call("NoSuchAction")

    assert response.body.keys() == {"RequestId", "HostId", "Code", "Message", "Recommend"}
    assert response.body["RequestId"] == response.headers["x-acs-request-id"] == response.body["RequestId"].upper()
    assert response.body["HostId"] == call.emulator.endpoint.removeprefix("http://")
    assert response.body["RequestId"] in response.body["Recommend"]


def test_an_unknown_action_is_refused(call: Any) -> None:
    """An action that does not exist is 404."""
    message = "Specified api is not found, please check your url and method."

    assert call("NoSuchAction").error == (404, "InvalidAction.NotFound", message)


def test_another_version_is_refused(call: Any) -> None:
    """A version other than that of the API is 404."""
    response = call("QueryCopyrightJobList", headers={"x-acs-version": "2014-06-18"})

    assert response.error == (404, "InvalidVersion", "Specified parameter Version is not valid.")


def test_a_wrong_secret_is_refused(call: Any) -> None:
    """A signature with another secret is refused, and the error shows the string that the server has signed."""
    status, code, message = call("QueryCopyrightJobList", secret="wrong").error

    assert (status, code) == (400, "SignatureDoesNotMatch")
    assert message.startswith("Specified signature is not matched with our calculation. server StringToSign:[ACS3-")
    assert "server CanonicalRequest:[POST\n/\n" in message
    assert "\nx-acs-action:QueryCopyrightJobList\n" in message
    assert call.emulator.access_key_secret not in message


def test_the_error_for_a_wrong_secret_shows_the_security_token(
    sts_emulator: EmulatorProcess, connect: Callable[[EmulatorProcess], Any]
) -> None:
    """The error for a wrong signature contains the security token: a client must redact it."""
    headers = {"x-acs-security-token": "a-security-token"}

    assert "a-security-token" in connect(sts_emulator)("QueryCopyrightJobList", secret="wrong", headers=headers).text


def test_an_unknown_access_key_is_refused(call: Any) -> None:
    """An unknown access key is 404."""
    signed = ";".join(ALWAYS_SIGNED)
    authorization = f"ACS3-HMAC-SHA256 Credential=somebody,SignedHeaders={signed},Signature={'0' * 64}"
    response = call("QueryCopyrightJobList", headers={"authorization": authorization})

    assert response.error == (404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer something",
        "ACS3-HMAC-SHA256 Credential=somebody",
        "ACS3-HMAC-SM3 Credential=a,SignedHeaders=b,Signature=c",
    ],
)
def test_a_malformed_authorization_is_refused(call: Any, authorization: str) -> None:
    """An Authorization header that is missing, incomplete or of another scheme is refused."""
    status, code, message = call("QueryCopyrightJobList", headers={"authorization": authorization}).error

    assert (status, code) == (400, "IncompleteSignature")
    assert "The Authorization header must name ACS3-HMAC-SHA256" in message


@pytest.mark.parametrize("name", ALWAYS_SIGNED)
def test_the_signature_must_cover_the_headers_of_the_protocol(call: Any, name: str) -> None:
    """A signature that does not cover a header of the protocol is refused with the header's name."""
    signed = [other for other in ALWAYS_SIGNED if other != name]
    status, code, message = call("QueryCopyrightJobList", signed=signed).error

    assert (status, code) == (400, "IncompleteSignature")
    assert message.endswith(f"SignedHeaders does not include: {name}.")


def test_the_signature_must_cover_every_header_of_the_vendor(call: Any) -> None:
    """A signature that does not cover an x-acs- header of the request is refused."""
    response = call("QueryCopyrightJobList", headers={"x-acs-more": "1"}, signed=list(ALWAYS_SIGNED))

    assert response.error[:2] == (400, "IncompleteSignature")
    assert response.error[2].endswith("SignedHeaders does not include: x-acs-more.")


@pytest.mark.parametrize("name", ["x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"])
def test_a_missing_header_is_refused(call: Any, name: str) -> None:
    """A request without a header of the protocol is refused with the header's name."""
    response = call("QueryCopyrightJobList", headers={name: None}, signed=list(ALWAYS_SIGNED))

    assert response.error[:2] == (400, "IncompleteSignature")
    assert response.error[2].endswith(f"Header not sent: {name}.")


def test_a_signed_header_that_was_not_sent_is_refused(call: Any) -> None:
    """A signature over a header that was not sent is refused."""
    response = call("QueryCopyrightJobList", signed=[*ALWAYS_SIGNED, "x-lost"])

    assert response.error[:2] == (400, "IncompleteSignature")
    assert response.error[2].endswith("Header not sent: x-lost.")


def test_the_body_must_have_the_signed_hash(call: Any) -> None:
    """A body with another hash than the signed one is refused."""
    response = call("QueryCopyrightJobList", headers={"x-acs-content-sha256": "0" * 64})

    message = "x-acs-content-sha256 is not the SHA-256 of the request body."
    assert response.error == (400, "SignatureDoesNotMatch", message)


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_date_more_than_15_minutes_off_is_refused(call: Any, minutes: int) -> None:
    """A date too far in the past or in the future is refused."""
    response = call("QueryCopyrightJobList", headers={"x-acs-date": stamp(timedelta(minutes=minutes))})

    message = "Specified time stamp or date value is expired."
    assert response.error == (400, "InvalidTimeStamp.Expired", message)


@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_date_less_than_15_minutes_off_is_accepted(call: Any, minutes: int) -> None:
    """A small difference between the clocks is accepted."""
    response = call("QueryCopyrightJobList", headers={"x-acs-date": stamp(timedelta(minutes=minutes))})

    assert response.status == 200


def test_dates_are_compared_with_the_real_clock(call: Any) -> None:
    """Advancing the emulator's clock does not make a request expire."""
    call.emulator.advance(3600)

    assert call("QueryCopyrightJobList").status == 200


@pytest.mark.parametrize(
    "date", ["yesterday", "2024-01-01 00:00:00", "2024-01-01T00:00:00+00:00", "2024-13-01T00:00:00Z"]
)
def test_a_malformed_date_is_refused(call: Any, date: str) -> None:
    """A date in another format than that of the protocol is refused."""
    response = call("QueryCopyrightJobList", headers={"x-acs-date": date})

    message = "Specified time stamp or date value is not well formatted."
    assert response.error == (400, "InvalidTimeStamp.Format", message)


def test_a_nonce_is_accepted_once(call: Any) -> None:
    """The second request with the same nonce is refused."""
    headers = {"x-acs-signature-nonce": "once"}

    assert call("QueryCopyrightJobList", headers=headers).status == 200
    message = "Specified signature nonce was used already."
    assert call("QueryCopyrightJobList", headers=headers).error == (400, "SignatureNonceUsed", message)


def test_a_request_with_a_wrong_signature_uses_up_no_nonce(call: Any) -> None:
    """After a request with a wrong signature, its nonce is still accepted."""
    headers = {"x-acs-signature-nonce": "once"}

    assert call("QueryCopyrightJobList", headers=headers, secret="wrong").status == 400
    assert call("QueryCopyrightJobList", headers=headers).status == 200


def test_nonces_are_deleted_when_their_requests_have_expired() -> None:
    """A nonce is kept exactly as long as a request with it could be valid."""
    verifier = Verifier(KeyStore(Credentials()))
    start = datetime(2024, 1, 1, tzinfo=UTC)

    def refusal(after: float) -> str | None:
        now = start + timedelta(seconds=after)
        try:
            verifier.verify(signed_request("one nonce", now), now.timestamp())
        except ApiError as error:
            return error.code
        return None

    assert refusal(0) is None
    assert refusal(2 * MAX_SKEW - 1) == "SignatureNonceUsed"
    assert refusal(2 * MAX_SKEW + 1) is None


def test_the_right_security_token_is_accepted(
    sts_emulator: EmulatorProcess, connect: Callable[[EmulatorProcess], Any]
) -> None:
    """If a token is configured, a request with this token is accepted."""
    headers = {"x-acs-security-token": "a-security-token", "x-acs-accesskey-id": sts_emulator.access_key_id}

    assert connect(sts_emulator)("QueryCopyrightJobList", headers=headers).status == 200


def test_a_wrong_security_token_is_refused(
    sts_emulator: EmulatorProcess, connect: Callable[[EmulatorProcess], Any]
) -> None:
    """If a token is configured, a request with another token is refused."""
    response = connect(sts_emulator)("QueryCopyrightJobList", headers={"x-acs-security-token": "another"})

    assert response.error == (400, "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed.")


def test_a_missing_security_token_is_refused(
    sts_emulator: EmulatorProcess, connect: Callable[[EmulatorProcess], Any]
) -> None:
    """If a token is configured, a request without a token is refused."""
    response = connect(sts_emulator)("QueryCopyrightJobList")

    assert response.error == (400, "MissingSecurityToken", "SecurityToken is mandatory for this action.")


def test_a_security_token_beside_a_permanent_key_is_refused(call: Any) -> None:
    """If no token is configured, a request with a token is refused."""
    response = call("QueryCopyrightJobList", headers={"x-acs-security-token": "a-security-token"})

    message = "Specified SecurityToken mismatch with the AccessKey."
    assert response.error == (400, "InvalidSecurityToken.MismatchWithAccessKey", message)


def test_credentials_do_not_show_their_secrets() -> None:
    """The representation of the credentials contains neither the secret nor the token."""
    shown = repr(Credentials("key-id", "the-secret", "the-token"))

    assert "key-id" in shown
    assert "the-secret" not in shown
    assert "the-token" not in shown
