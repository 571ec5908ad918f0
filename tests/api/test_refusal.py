"""What a refused identity means, in the error of a task and in the connection test."""

from __future__ import annotations

import pytest

from airflow_provider_ims.api.protocol import ApiRequest, decode
from airflow_provider_ims.api.refusal import explain_refusal
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
