from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.emulator.errors import ApiError
from airflow_provider_ims.emulator.process import EmulatorProcess
from airflow_provider_ims.emulator.signature import MAX_SKEW, Credentials, SignedRequest, Verifier

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
    """Return a date near now in the form of the protocol."""
    return (datetime.now(UTC) + offset).strftime("%Y-%m-%dT%H:%M:%SZ")


def signed_request(nonce: str, date: datetime) -> SignedRequest:
    """Return a request that is in order."""
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
    """Run an emulator that wants a security token."""
    with EmulatorProcess(security_token="a-security-token") as emulator:
        yield emulator


def test_a_well_signed_request_is_served(call: Any) -> None:
    """A request with a right signature is answered in the service's shape."""
    answer = call("QueryCopyrightJobList")

    assert answer.status == 200
    assert answer.body == {"Data": [], "Message": "ok", "RequestId": answer.body["RequestId"], "StatusCode": 200}


def test_get_is_served_like_post(call: Any) -> None:
    """The actions answer GET, too."""
    assert call("QueryCopyrightJobList", method="GET").status == 200


def test_every_character_of_a_parameter_is_signed_as_rfc_3986_says(call: Any) -> None:
    """Reserved, unreserved and non-ASCII characters and empty values survive signing."""
    user_data = "-_.~ !*'();:@&=+$,/?#[]%20 水印"

    assert call.submit(UserData=user_data).status == 200
    assert call("QueryCopyrightJobList", {"JobId": "", "PageNumber": "0", "a name 水": "1"}).status == 200
    assert call.emulator.jobs()[0]["user_data"] == user_data


def test_form_parameters_count_like_those_of_the_query(call: Any) -> None:
    """Parameters in a form body are merged with those of the URL."""
    assert call("QueryCopyrightExtractJob", body="JobId=no-such-job").body["Code"] == "JobNotFound"


def test_the_error_envelope_is_the_vendors(call: Any) -> None:
    """A refusal carries RequestId, HostId, Code, Message and Recommend, and the RequestId as a header."""
    answer = call("NoSuchAction")

    assert answer.body.keys() == {"RequestId", "HostId", "Code", "Message", "Recommend"}
    assert answer.body["RequestId"] == answer.headers["x-acs-request-id"] == answer.body["RequestId"].upper()
    assert answer.body["HostId"] == call.emulator.endpoint.removeprefix("http://")
    assert answer.body["RequestId"] in answer.body["Recommend"]


def test_an_unknown_action_is_refused(call: Any) -> None:
    """An action that does not exist is 404."""
    message = "Specified api is not found, please check your url and method."

    assert call("NoSuchAction").refusal == (404, "InvalidAction.NotFound", message)


def test_another_version_is_refused(call: Any) -> None:
    """A version other than the API's is 404."""
    answer = call("QueryCopyrightJobList", headers={"x-acs-version": "2014-06-18"})

    assert answer.refusal == (404, "InvalidVersion", "Specified parameter Version is not valid.")


def test_a_wrong_secret_is_refused(call: Any) -> None:
    """A signature by another secret is refused with the string that the server has signed."""
    status, code, message = call("QueryCopyrightJobList", secret="wrong").refusal

    assert (status, code) == (400, "SignatureDoesNotMatch")
    assert message.startswith("Specified signature is not matched with our calculation. server StringToSign:[ACS3-")
    assert "server CanonicalRequest:[POST\n/\n" in message
    assert "\nx-acs-action:QueryCopyrightJobList\n" in message
    assert call.emulator.access_key_secret not in message


def test_a_wrong_secret_makes_the_server_print_the_security_token(
    sts_emulator: EmulatorProcess, connect: Callable[[EmulatorProcess], Any]
) -> None:
    """The text about a wrong signature contains the security token: a client must redact it."""
    headers = {"x-acs-security-token": "a-security-token"}

    assert "a-security-token" in connect(sts_emulator)("QueryCopyrightJobList", secret="wrong", headers=headers).text


def test_an_unknown_access_key_is_refused(call: Any) -> None:
    """An access key that nobody owns is 404."""
    signed = ";".join(ALWAYS_SIGNED)
    authorization = f"ACS3-HMAC-SHA256 Credential=somebody,SignedHeaders={signed},Signature={'0' * 64}"
    answer = call("QueryCopyrightJobList", headers={"authorization": authorization})

    assert answer.refusal == (404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")


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
    """An Authorization header that is missing, of another scheme or not whole is refused."""
    status, code, message = call("QueryCopyrightJobList", headers={"authorization": authorization}).refusal

    assert (status, code) == (400, "IncompleteSignature")
    assert "The Authorization header must name ACS3-HMAC-SHA256" in message


@pytest.mark.parametrize("name", ALWAYS_SIGNED)
def test_the_signature_must_cover_the_headers_of_the_protocol(call: Any, name: str) -> None:
    """A signature that leaves out a header of the protocol is refused with the header's name."""
    signed = [other for other in ALWAYS_SIGNED if other != name]
    status, code, message = call("QueryCopyrightJobList", signed=signed).refusal

    assert (status, code) == (400, "IncompleteSignature")
    assert message.endswith(f"SignedHeaders does not include: {name}.")


def test_the_signature_must_cover_every_header_of_the_vendor(call: Any) -> None:
    """A signature that leaves out any x-acs- header of the request is refused."""
    answer = call("QueryCopyrightJobList", headers={"x-acs-more": "1"}, signed=list(ALWAYS_SIGNED))

    assert answer.refusal[:2] == (400, "IncompleteSignature")
    assert answer.refusal[2].endswith("SignedHeaders does not include: x-acs-more.")


@pytest.mark.parametrize("name", ["x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"])
def test_a_missing_header_is_refused(call: Any, name: str) -> None:
    """A request without a header of the protocol is refused with the header's name."""
    answer = call("QueryCopyrightJobList", headers={name: None}, signed=list(ALWAYS_SIGNED))

    assert answer.refusal[:2] == (400, "IncompleteSignature")
    assert answer.refusal[2].endswith(f"Header not sent: {name}.")


def test_a_signed_header_that_was_not_sent_is_refused(call: Any) -> None:
    """A signature over a header that did not arrive is refused."""
    answer = call("QueryCopyrightJobList", signed=[*ALWAYS_SIGNED, "x-lost"])

    assert answer.refusal[:2] == (400, "IncompleteSignature")
    assert answer.refusal[2].endswith("Header not sent: x-lost.")


def test_the_body_must_have_the_hash_that_was_signed(call: Any) -> None:
    """A body other than the hashed one is refused."""
    answer = call("QueryCopyrightJobList", headers={"x-acs-content-sha256": "0" * 64})

    message = "x-acs-content-sha256 is not the SHA-256 of the request body."
    assert answer.refusal == (400, "SignatureDoesNotMatch", message)


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_date_more_than_a_quarter_of_an_hour_off_is_refused(call: Any, minutes: int) -> None:
    """A date too far in the past or in the future is refused."""
    answer = call("QueryCopyrightJobList", headers={"x-acs-date": stamp(timedelta(minutes=minutes))})

    message = "Specified time stamp or date value is expired."
    assert answer.refusal == (400, "InvalidTimeStamp.Expired", message)


@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_date_less_than_a_quarter_of_an_hour_off_is_accepted(call: Any, minutes: int) -> None:
    """A small difference of the clocks is tolerated."""
    answer = call("QueryCopyrightJobList", headers={"x-acs-date": stamp(timedelta(minutes=minutes))})

    assert answer.status == 200


def test_dates_are_held_against_the_real_clock(call: Any) -> None:
    """Advancing the emulator's clock makes no request stale."""
    call.emulator.advance(3600)

    assert call("QueryCopyrightJobList").status == 200


@pytest.mark.parametrize(
    "date", ["yesterday", "2024-01-01 00:00:00", "2024-01-01T00:00:00+00:00", "2024-13-01T00:00:00Z"]
)
def test_a_malformed_date_is_refused(call: Any, date: str) -> None:
    """A date in any form but the protocol's is refused."""
    answer = call("QueryCopyrightJobList", headers={"x-acs-date": date})

    message = "Specified time stamp or date value is not well formatted."
    assert answer.refusal == (400, "InvalidTimeStamp.Format", message)


def test_a_nonce_is_accepted_once(call: Any) -> None:
    """The second request with a nonce is refused."""
    headers = {"x-acs-signature-nonce": "once"}

    assert call("QueryCopyrightJobList", headers=headers).status == 200
    message = "Specified signature nonce was used already."
    assert call("QueryCopyrightJobList", headers=headers).refusal == (400, "SignatureNonceUsed", message)


def test_a_request_that_was_not_authentic_uses_up_no_nonce(call: Any) -> None:
    """Nobody without the secret can burn a nonce."""
    headers = {"x-acs-signature-nonce": "once"}

    assert call("QueryCopyrightJobList", headers=headers, secret="wrong").status == 400
    assert call("QueryCopyrightJobList", headers=headers).status == 200


def test_nonces_are_forgotten_when_their_requests_are_stale() -> None:
    """A nonce is kept as long as a request with it could be valid, and no longer."""
    verifier = Verifier(Credentials())
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
    """With a token configured, the request that carries it is served."""
    headers = {"x-acs-security-token": "a-security-token", "x-acs-accesskey-id": sts_emulator.access_key_id}

    assert connect(sts_emulator)("QueryCopyrightJobList", headers=headers).status == 200


def test_a_wrong_security_token_is_refused(
    sts_emulator: EmulatorProcess, connect: Callable[[EmulatorProcess], Any]
) -> None:
    """With a token configured, another one is refused."""
    answer = connect(sts_emulator)("QueryCopyrightJobList", headers={"x-acs-security-token": "another"})

    assert answer.refusal == (400, "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed.")


def test_a_missing_security_token_is_refused(
    sts_emulator: EmulatorProcess, connect: Callable[[EmulatorProcess], Any]
) -> None:
    """With a token configured, a request without one is refused."""
    answer = connect(sts_emulator)("QueryCopyrightJobList")

    assert answer.refusal == (400, "MissingSecurityToken", "SecurityToken is mandatory for this action.")


def test_a_security_token_beside_a_permanent_key_is_refused(call: Any) -> None:
    """With no token configured, a request that carries one is refused."""
    answer = call("QueryCopyrightJobList", headers={"x-acs-security-token": "a-security-token"})

    message = "Specified SecurityToken mismatch with the AccessKey."
    assert answer.refusal == (400, "InvalidSecurityToken.MismatchWithAccessKey", message)


def test_credentials_do_not_show_their_secrets() -> None:
    """The representation of the credentials holds neither the secret nor the token."""
    shown = repr(Credentials("key-id", "the-secret", "the-token"))

    assert "key-id" in shown
    assert "the-secret" not in shown
    assert "the-token" not in shown
