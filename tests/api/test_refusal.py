"""What a refused identity means, in the error of a task and in the connection test."""

from __future__ import annotations

import pytest

from airflow_provider_ims.api.protocol import ApiRequest, decode
from airflow_provider_ims.api.refusal import are_keys_given, explain_refusal, has_expired
from airflow_provider_ims.connection.access_key import AccessKey
from airflow_provider_ims.connection.credentials import CredentialsUri, DefaultChain, EcsRole, RamRole
from airflow_provider_ims.exceptions import ImsCredentialsError
from tests.responses import error_response

REFUSALS = [
    ("InvalidAccessKeyId.NotFound", "Wrong access key ID", "enter the pair again"),
    ("MissingAccessKeyId", "Wrong access key ID", "enter the pair again"),
    ("InvalidAccessKeyId.Inactive", "Disabled access key", "enable the access key"),
    ("SignatureDoesNotMatch", "Wrong access key secret", "enter the access key secret again"),
    ("IncompleteSignature", "Wrong access key secret", "enter the access key secret again"),
    ("InvalidSecurityToken.Expired", "Wrong STS security token", "enter a new temporary pair with its token"),
    ("MissingSecurityToken", "Wrong STS security token", "enter a new temporary pair with its token"),
    ("InvalidTimeStamp.Expired", "Wrong time", "Set the clock"),
    ("Forbidden.RAM", "Missing permission", "Grant the RAM action ice:QueryX"),
    ("NoPermission", "Missing permission", "Grant the RAM action ice:QueryX"),
]


def error_of(code: str, message: str = "the service's words") -> ImsCredentialsError:
    """Return the error of a call that was refused with a code."""
    response = error_response(403, code, Message=message)
    with pytest.raises(ImsCredentialsError) as caught:
        decode(
            ApiRequest("QueryX", {}),
            region="cn-shanghai",
            status=response["status"],
            headers={},
            body=response["body"].encode(),
            redact=str,
        )
    return caught.value


@pytest.mark.parametrize(("code", "problem", "advice"), REFUSALS)
def test_error_of_a_call_explains_the_code(code: str, problem: str, advice: str) -> None:
    """The error of a call names the field that is wrong, with the explanation that the connection test uses."""
    refusal = explain_refusal(code, "QueryX")
    assert refusal is not None
    assert refusal.problem.startswith(problem)
    assert advice in refusal.advice
    error = error_of(code)
    assert error.code == code
    assert f"QueryX in cn-shanghai was refused: {refusal.problem}: the service's words (RequestId" in str(error)
    assert str(error).endswith(refusal.advice)


@pytest.mark.parametrize("code", ["Forbidden.SubscriptionRequired", "JobNotFound", "Throttling.User", "", None])
def test_other_codes_are_not_explained(code: str | None) -> None:
    """A code that is not about the keys or a permission has no explanation."""
    assert explain_refusal(code, "QueryX") is None


@pytest.mark.parametrize(
    "signed",
    [
        "server StringToSign:[ACS3 canary] server CanonicalRequest:[canary]",
        "server string to sign is:canary",
        "canonicalRequest:\ncanary",
    ],
)
def test_signed_request_of_the_service_is_left_out(signed: str) -> None:
    """The signed request, with which the service explains a refused signature, is not in the error."""
    text = str(error_of("SignatureDoesNotMatch", f"Specified signature is not matched. {signed}"))
    assert "(SignatureDoesNotMatch): Specified signature is not matched. (RequestId REQ-1" in text
    assert "canary" not in text


STS_REFUSALS = [
    ("AssumeRole", "EntityNotExist.Role", "Unknown role", "Correct the ARN"),
    ("AssumeRole", "NoPermission", "Role not assumable", "Grant sts:AssumeRole on the role to the identity"),
    ("AssumeRole", "Forbidden.RAM", "Role not assumable", "in the trust policy of the role"),
    ("AssumeRole", "InvalidParameter.DurationSeconds", "Wrong session duration", "Lower the Session duration"),
    ("AssumeRole", "InvalidParameter.PolicyGrammar", "Wrong session policy", "Correct the Session policy"),
    ("AssumeRole", "SignatureDoesNotMatch", "Wrong access key secret", "enter the access key secret again"),
    ("AssumeRole", "InvalidTimeStamp.Expired", "Wrong time", "Set the clock"),
    ("AssumeRoleWithOIDC", "EntityNotExist.Role", "Unknown role", "Correct the ARN"),
    ("AssumeRoleWithOIDC", "AuthenticationFail.NoPermission", "Role not assumable", "name the OIDC provider"),
    ("AssumeRoleWithOIDC", "AuthenticationFail.OIDCToken.Expired", "Expired OIDC token", "renews the token file"),
    ("AssumeRoleWithOIDC", "AuthenticationFail.OIDCToken.IssuerNotMatch", "Foreign OIDC token", "Compare issuer"),
    ("AssumeRoleWithOIDC", "AuthenticationFail.OIDCToken.Invalid", "Wrong OIDC token", "has signed"),
    ("AssumeRoleWithOIDC", "AuthenticationFail.OIDCToken.InvalidSignature", "Wrong OIDC token", "has signed"),
]


@pytest.mark.parametrize(("action", "code", "problem", "advice"), STS_REFUSALS)
def test_refusals_of_sts_are_explained(action: str, code: str, problem: str, advice: str) -> None:
    """A refusal of STS names what is wrong with the role or the token, not a permission of IMS."""
    refusal = explain_refusal(code, action)
    assert refusal is not None
    assert refusal.problem.startswith(problem)
    assert code in refusal.problem
    assert advice in refusal.advice
    assert "ice:" not in refusal.advice


@pytest.mark.parametrize(("code", "problem", "advice"), REFUSALS)
def test_advice_about_keys_that_are_not_in_the_connection(code: str, problem: str, advice: str) -> None:
    """Keys that were fetched cannot be entered; a clock can be set and a permission granted as well."""
    given, fetched = explain_refusal(code, "QueryX"), explain_refusal(code, "QueryX", are_keys_given=False)
    assert given is not None
    assert fetched is not None
    assert fetched.problem == given.problem
    if problem in {"Wrong time", "Missing permission"}:
        assert fetched == given
    else:
        assert fetched.advice.startswith("These keys are not in the connection")


def test_keys_are_given_if_they_are_in_the_connection() -> None:
    """Keys of the connection sign calls of IMS, or the request for a role."""
    key = AccessKey("id", "secret")
    over_key = RamRole(key, "acs:ram::1:role/r", "https://sts.aliyuncs.com")
    over_ecs = RamRole(EcsRole("r"), "acs:ram::1:role/r", "https://sts.aliyuncs.com")
    assert are_keys_given(key, "QueryX")
    assert [are_keys_given(over_key, action) for action in ("AssumeRole", "QueryX", None)] == [True, False, False]
    for credentials in (over_ecs, DefaultChain(), CredentialsUri("https://x")):
        assert not are_keys_given(credentials, "AssumeRole")


@pytest.mark.parametrize(
    ("code", "expired"),
    [
        ("InvalidSecurityToken.Expired", True),
        ("InvalidSecurityToken.Malformed", True),
        ("InvalidAccessKeyId.NotFound", True),
        ("InvalidAccessKeyId.Inactive", True),
        ("SignatureDoesNotMatch", False),
        ("NoPermission", False),
        ("", False),
        (None, False),
    ],
)
def test_codes_of_expired_keys(code: str | None, *, expired: bool) -> None:
    """Keys that the service does not know, or not any more, may be replaced by others."""
    assert has_expired(code) == expired
