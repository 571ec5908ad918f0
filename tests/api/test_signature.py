"""Our signature, compared with that of the official SDK."""

from __future__ import annotations

import hashlib

import pytest
from alibabacloud_tea_openapi.utils import Utils
from darabonba.request import DaraRequest

from airflow_provider_ims.api.signature import ALGORITHM, EMPTY_BODY, authorization, percent_encode, signed_headers
from airflow_provider_ims.connection.access_key import AccessKey

SPECIAL_CHARACTERS = "夜 +&=?#%2F~*'()/\"\\ü-_."
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
        {"Input": '{"Media":"oss://b/ü"}', "UserData": SPECIAL_CHARACTERS, "E": ""},
    ],
)
@pytest.mark.parametrize("token", [None, "token/+=="])
@pytest.mark.parametrize("form", [{}, {"Timeline": SPECIAL_CHARACTERS, "A": "1"}], ids=["no body", "form body"])
def test_signature_equals_that_of_the_sdk(parameters: dict[str, str], token: str | None, form: dict[str, str]) -> None:
    """For the same headers, parameters and body the SDK's signer gives the same Authorization header."""
    key = AccessKey("LTAIkey", "secret", token)
    body = percent_encode(form).encode()
    ours = signed_headers(
        key,
        host="ice.cn-shanghai.aliyuncs.com",
        action="X",
        version="V",
        query=percent_encode(parameters),
        date="2026-01-31T23:59:59Z",
        nonce="n",
        body=body,
    )
    sent = ours.pop("authorization")
    request = DaraRequest()
    request.method, request.pathname, request.query, request.headers = "POST", "/", parameters, ours
    payload = hashlib.sha256(body).hexdigest()
    assert sent == Utils.get_authorization(request, ALGORITHM, payload, key.key_id, key.secret)
    assert set(ours) == REQUIRED | ({"x-acs-accesskey-id", "x-acs-security-token"} if token else set()) | (
        {"content-type"} if form else set()
    )


def test_each_part_changes_the_signature() -> None:
    """Secret, headers, query and body are all signed."""
    key = AccessKey("LTAIkey", "secret")
    headers = {"host": "h", "x-acs-action": "A", "x-acs-content-sha256": EMPTY_BODY}
    signatures = {
        authorization(key, headers, "a=1"),
        authorization(AccessKey("LTAIkey", "secreT"), headers, "a=1"),
        authorization(key, {**headers, "host": "i"}, "a=1"),
        authorization(key, headers, "a=2"),
        authorization(key, {**headers, "x-acs-content-sha256": hashlib.sha256(b"a=1").hexdigest()}, "a=1"),
    }
    assert len(signatures) == 5
