"""AssumeRoleWithOIDC: identity providers, their tokens, and the errors of STS about them."""

from __future__ import annotations

import base64
import http.client
import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from airflow_provider_ims.emulator.errors import ApiError
from airflow_provider_ims.emulator.oidc import OidcProvider, SigningKey, check_token
from airflow_provider_ims.emulator.process import EmulatorError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_ims.emulator.process import EmulatorProcess

ROLE = "acs:ram::1234567890123456:role/worker"
PROVIDER = "acs:ram::1234567890123456:oidc-provider/ack"
CODE = "AuthenticationFail.OIDCToken"


@pytest.fixture
def emulator(ims_emulator: EmulatorProcess) -> EmulatorProcess:
    """Return the emulator of the session, with a role and an identity provider."""
    ims_emulator.put_role("worker")
    ims_emulator.put_oidc_provider("ack")
    return ims_emulator


def assume(
    emulator: EmulatorProcess,
    token: str | None = None,
    changes: Mapping[str, str | None] | None = None,
    *,
    method: str = "POST",
) -> Any:
    """Assume the role with a token, without a signature, and return status and body."""
    parameters = {
        "Action": "AssumeRoleWithOIDC",
        "Version": "2015-04-01",
        "Format": "JSON",
        "RoleArn": ROLE,
        "OIDCProviderArn": PROVIDER,
        "OIDCToken": emulator.oidc_token("ack") if token is None else token,
        "RoleSessionName": "airflow",
        **(changes or {}),
    }
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    connection = http.client.HTTPConnection(urlsplit(emulator.endpoint).netloc, timeout=10)
    try:
        if method == "GET":
            connection.request("GET", f"/?{query}")
        else:
            connection.request("POST", "/", query, {"content-type": "application/x-www-form-urlencoded"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def encode(value: object) -> str:
    """Encode a part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a valid token."""
    now = int(time.time())
    given = {"iss": "https://ack.oidc.example", "aud": "sts.aliyuncs.com", "sub": "me", "iat": now, "exp": now + 60}
    return {name: value for name, value in {**given, **changes}.items() if value is not None}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_role_is_assumed_with_a_token(emulator: EmulatorProcess, method: str) -> None:
    """A valid token gets keys, and what STS has read in it."""
    token = emulator.oidc_token("ack", subject="me", lifetime=60)
    status, body = assume(emulator, token, method=method)

    assert status == 200
    assert body.keys() == {"AssumedRoleUser", "Credentials", "OIDCTokenInfo", "RequestId"}
    assert body["AssumedRoleUser"]["Arn"] == f"{ROLE}/airflow"
    info = body["OIDCTokenInfo"]
    assert info.pop("ExpirationTime") > info.pop("IssuanceTime")
    assert info == {
        "Subject": "me",
        "Issuer": "https://ack.oidc.example",
        "ClientIds": "sts.aliyuncs.com",
        "VerificationInfo": "Success",
    }


@pytest.mark.parametrize(
    ("changes", "status", "code", "message"),
    [
        ({"OIDCProviderArn": None}, 400, "MissingParameter.OIDCProviderArn", "Parameter OIDCProviderArn is required."),
        ({"RoleArn": None}, 400, "MissingParameter.RoleArn", "required"),
        ({"RoleSessionName": ""}, 400, "MissingParameter.RoleSessionName", "required"),
        ({"RoleArn": "worker"}, 400, "InvalidParameter.RoleArn", "wrongly formed"),
        ({"RoleSessionName": "a b"}, 400, "InvalidParameter.RoleSessionName", "wrongly formed"),
        ({"DurationSeconds": "60"}, 400, "InvalidParameter.DurationSeconds", "15min/1hr"),
        ({"Policy": "[]"}, 400, "InvalidParameter.PolicyGrammar", "grammar"),
        ({"OIDCProviderArn": "ack"}, 401, "AuthenticationFail.NoPermission", "Parameter OIDCProviderArn is not valid"),
        ({"OIDCProviderArn": f"{PROVIDER}s"}, 401, "AuthenticationFail.NoPermission", "No such OIDC Provider"),
        ({"RoleArn": f"{ROLE}s"}, 404, "EntityNotExist.Role", f"The role not exists: {ROLE}s."),
    ],
)
def test_odd_parameters_are_refused(
    emulator: EmulatorProcess, changes: dict[str, str | None], status: int, code: str, message: str
) -> None:
    """Parameters that are missing, odd or name nothing are refused with the codes of STS, and give no keys."""
    response, body = assume(emulator, changes=changes)

    assert (response, body["Code"]) == (status, code)
    assert message in body["Message"]
    assert len(emulator.access_keys()) == 1


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"lifetime": 0}, "Expired"),
        ({"audience": "other"}, "AudienceNotMatch"),
        ({"issuer": "https://other.example"}, "IssuerNotMatch"),
    ],
)
def test_a_token_of_another_time_or_place_is_refused(
    emulator: EmulatorProcess, options: dict[str, Any], code: str
) -> None:
    """A token that is expired, or has another audience or issuer, is 401."""
    status, body = assume(emulator, emulator.oidc_token("ack", **options))

    assert (status, body["Code"]) == (401, f"{CODE}.{code}")


NO_TOKENS = [
    ("", "The OIDCToken can not empty."),
    ("a.b", "The number of Jwt field should be divided into 3 parts"),
    ("a.b.c.d", "3 parts"),
    ("a." * 20_000 + "b", "3 parts"),
    ("水.b.c", "Cannot decode base64 encoded response(format invalided)."),
    ("a.b.c", "Cannot decode base64"),
    (f"{encode(b'x')}.{encode({})}.", "The Jwt content is invalid that cannot be recognized."),
    (f"{encode([])}.{encode({})}.", "The Jwt content is invalid"),
    (f"{encode(b'[' * 9999)}.{encode({})}.", "The Jwt content is invalid"),
    (f"{encode({'alg': 'none'})}.{encode({})}.", "The algorithm none that be specified in Jwt header is unknown."),
    (f"{encode({'alg': 'HS256'})}.{encode({})}.", "The algorithm HS256"),
    (f"{encode({'alg': 'RS256'})}.{encode(claims(sub=None))}.", "The Jwt content is invalid"),
    (f"{encode({'alg': 'RS256'})}.{encode(claims(sub=1))}.", "The Jwt content is invalid"),
    (f"{encode({'alg': 'RS256'})}.{encode(claims(exp=None))}.", "The Jwt content is invalid"),
    (f"{encode({'alg': 'RS256'})}.{encode(claims(exp='1'))}.", "The Jwt content is invalid"),
    (f"{encode({'alg': 'RS256'})}.{encode(claims(exp=10**18))}.", "The Jwt content is invalid"),
    (f"{encode({'alg': 'RS256'})}.{encode(claims(aud=[1]))}.", "The Jwt content is invalid"),
]


@pytest.mark.parametrize(("token", "message"), NO_TOKENS, ids=range(len(NO_TOKENS)))
def test_a_text_that_is_no_token_is_refused(emulator: EmulatorProcess, token: str, message: str) -> None:
    """A text that is no token of an identity provider is 401."""
    status, body = assume(emulator, token)

    assert (status, body["Code"]) == (401, f"{CODE}.Invalid")
    assert message in body["Message"]


def test_a_changed_token_is_refused(emulator: EmulatorProcess) -> None:
    """A token whose claims were changed has a wrong signature."""
    header, _, signature = emulator.oidc_token("ack").split(".")
    status, body = assume(emulator, f"{header}.{encode(claims(sub='other'))}.{signature}")

    assert (status, body["Code"]) == (401, f"{CODE}.InvalidSignature")


@pytest.mark.parametrize(
    "role",
    [{"trusted": []}, {"trusted": ["other"]}, {"oidc_subject": "system:serviceaccount:airflow:other"}],
)
def test_a_trust_policy_can_refuse_a_token(emulator: EmulatorProcess, role: dict[str, Any]) -> None:
    """A role that trusts another provider or another subject cannot be assumed."""
    emulator.put_role("worker", **role)
    status, body = assume(emulator)

    assert (status, body["Code"], body["Message"]) == (
        401,
        "AuthenticationFail.NoPermission",
        "There is no permission",
    )
    detail = body["AccessDeniedDetail"]
    assert (detail["PolicyType"], detail["AuthPrincipalType"]) == ("AssumeRolePolicy", "Federated")


@pytest.mark.parametrize(
    "role",
    [{"trusted": ["ack"]}, {"trusted": [PROVIDER]}, {"oidc_subject": "system:serviceaccount:airflow:worker"}],
)
def test_a_trust_policy_can_name_provider_and_subject(emulator: EmulatorProcess, role: dict[str, Any]) -> None:
    """A role that trusts the provider and the subject can be assumed."""
    emulator.put_role("worker", **role)

    assert assume(emulator)[0] == 200


def test_the_permission_can_be_denied(emulator: EmulatorProcess) -> None:
    """A denial for the role refuses its tokens, until it is allowed again."""
    emulator.deny("AssumeRoleWithOIDC", identity="worker")
    assert assume(emulator)[1]["Code"] == "AuthenticationFail.NoPermission"

    emulator.allow("AssumeRoleWithOIDC", identity="worker")
    assert assume(emulator)[0] == 200


def test_a_provider_can_have_its_own_keys(emulator: EmulatorProcess) -> None:
    """Tokens of a provider with its own public keys are checked with them."""
    key = rsa.generate_private_key(65537, 2048)
    numbers = key.public_key().public_numbers()
    jwk = {
        "kty": "RSA",
        "kid": "mine",
        "n": encode(numbers.n.to_bytes(256)),
        "e": encode(numbers.e.to_bytes(3)),
    }
    emulator.put_oidc_provider("ack", jwks={"keys": [jwk]})

    def token(kid: str) -> str:
        text = f"{encode({'alg': 'RS256', 'kid': kid})}.{encode(claims())}"
        return f"{text}.{encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    assert assume(emulator, token("mine"))[0] == 200
    assert assume(emulator, token("other"))[1]["Code"] == f"{CODE}.InvalidSignature"
    assert assume(emulator)[1]["Code"] == f"{CODE}.InvalidSignature"


def test_other_libraries_verify_the_tokens_of_the_emulator() -> None:
    """A token of the emulator has a correct RS256 signature."""
    key = SigningKey.generate()
    text, _, signature = key.token(claims()).rpartition(".")
    public = rsa.RSAPublicNumbers(key.public.exponent, key.public.modulus).public_key()

    public.verify(base64.urlsafe_b64decode(signature + "=="), text.encode(), padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize("signature", [b"", b"\xff" * 128, b"\xff" * 5000])
def test_numbers_that_are_no_signature_are_refused(signature: bytes) -> None:
    """A signature that is empty or larger than the key is wrong, not a failure."""
    key = SigningKey.generate()
    text = key.token(claims()).rpartition(".")[0]
    provider = OidcProvider(PROVIDER, "https://ack.oidc.example", ("sts.aliyuncs.com",))

    with pytest.raises(ApiError, match="InvalidSignature"):
        check_token(f"{text}.{encode(signature)}", provider, key.public, time.time())


@pytest.mark.parametrize(
    ("jwks", "error"),
    [
        ([], "jwks must be an object with a list of keys"),
        ({"keys": []}, "a list of keys"),
        ({"keys": [1]}, "keys with the kty RSA and a kid"),
        ({"keys": [{"kty": "EC", "kid": "a"}]}, "kty RSA"),
        ({"keys": [{"kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB"}]}, "n of a key must be a number"),
        ({"keys": [{"kty": "RSA", "kid": "a", "n": encode(b"\xff" * 513), "e": "AQAB"}]}, "4096 bits or less"),
        ({"keys": [{"kty": "RSA", "kid": "a", "n": encode(b"\xff" * 256), "e": encode(b"\xff" * 99)}]}, "e of a key"),
        ({"keys": [{"kty": "RSA", "kid": "a", "n": "?", "e": "AQAB"}]}, "n of a key must be a number in Base64"),
    ],
)
def test_odd_public_keys_are_refused(emulator: EmulatorProcess, jwks: object, error: str) -> None:
    """Public keys that are no RSA keys, or too large, are refused and change nothing."""
    before = emulator.oidc_providers()

    with pytest.raises(EmulatorError, match=error):
        emulator.put_oidc_provider("ack", jwks=jwks)
    assert emulator.oidc_providers() == before
