"""Our signature beside the official one."""

from __future__ import annotations

import pytest
from alibabacloud_tea_openapi.utils import Utils
from darabonba.request import DaraRequest

from airflow_provider_ims.api.signature import ALGORITHM, EMPTY_BODY, authorization, canonical_query, signed_headers
from airflow_provider_ims.connection.settings import AccessKey

NASTY = "夜 +&=?#%2F~*'()/\"\\ü-_."
REQUIRED = {
    "host",
    "x-acs-action",
    "x-acs-content-sha256",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-version",
}


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"JobId": "J"},
        {"b": "2", "a": "1", "A": "0"},
        {"Input": '{"Media":"oss://b/ü"}', "UserData": NASTY, "E": ""},
    ],
)
@pytest.mark.parametrize("token", [None, "token/+=="])
def test_signature_is_the_official_one(parameters: dict[str, str], token: str | None) -> None:
    """For the same headers and parameters the SDK's signer gives the same Authorization header."""
    key = AccessKey("LTAIkey", "secret", token)
    ours = signed_headers(
        key, host="ice.cn-shanghai.aliyuncs.com", action="X", version="V", query=canonical_query(parameters)
    )
    sent = ours.pop("authorization")
    request = DaraRequest()
    request.method, request.pathname, request.query, request.headers = "POST", "/", parameters, ours
    assert sent == Utils.get_authorization(request, ALGORITHM, EMPTY_BODY, key.key_id, key.secret)
    assert set(ours) == REQUIRED | ({"x-acs-accesskey-id", "x-acs-security-token"} if token else set())


def test_every_request_has_its_own_nonce() -> None:
    """A nonce is never used twice."""
    key = AccessKey("LTAIkey", "secret")
    nonces = {
        signed_headers(key, host="h", action="A", version="V", query="")["x-acs-signature-nonce"] for _ in range(1000)
    }
    assert len(nonces) == 1000


def test_each_part_changes_the_signature() -> None:
    """Secret, headers and query are all signed."""
    key = AccessKey("LTAIkey", "secret")
    headers = {"host": "h", "x-acs-action": "A"}
    signatures = {
        authorization(key, headers, "a=1"),
        authorization(AccessKey("LTAIkey", "secreT"), headers, "a=1"),
        authorization(key, {**headers, "host": "i"}, "a=1"),
        authorization(key, headers, "a=2"),
    }
    assert len(signatures) == 4
