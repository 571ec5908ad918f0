"""ACS3-HMAC-SHA256, the signature of Alibaba Cloud's RPC gateway. Pure: the caller gives time and nonce.

Written here although the official SDK has it: ``alibabacloud_tea_openapi.utils`` imports ``requests``, ``darabonba``
and 150 other modules, a quarter of the CPU time between a task's start and its request on the wire
(``benchmarks/cold_submit.py``). A test compares this signature with the SDK's, header for header.

Source: https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_ims.connection.access_key import AccessKey

ALGORITHM = "ACS3-HMAC-SHA256"
EMPTY_BODY = hashlib.sha256(b"").hexdigest()
FORM = "application/x-www-form-urlencoded"


def percent_encode(parameters: Mapping[str, str]) -> str:
    """Return parameters as they are signed and must be sent: sorted, percent-encoded by RFC 3986."""
    return "&".join(f"{quote(name, safe='~')}={quote(parameters[name], safe='~')}" for name in sorted(parameters))


def signed_headers(
    key: AccessKey, *, host: str, action: str, version: str, query: str, date: str, nonce: str, body: bytes = b""
) -> dict[str, str]:
    """Return the headers of a POST to ``/``, with the signature.

    :param key: the identity that signs
    :param host: host and, unless it is the default port of the scheme, port of the endpoint
    :param action: API operation
    :param version: version of the API
    :param query: the query string, from :func:`percent_encode`
    :param date: the time of now in UTC, such as ``2026-01-31T23:59:59Z``
    :param nonce: a text that no other request has
    :param body: form parameters, from :func:`percent_encode`; empty for none
    """
    headers = {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest() if body else EMPTY_BODY,
        "x-acs-date": date,
        "x-acs-signature-nonce": nonce,
        "x-acs-version": version,
    }
    if body:
        headers["content-type"] = FORM
    if key.security_token:
        headers["x-acs-accesskey-id"] = key.key_id
        headers["x-acs-security-token"] = key.security_token
    return {**headers, "authorization": authorization(key, headers, query)}


def authorization(key: AccessKey, headers: Mapping[str, str], query: str) -> str:
    """Return the Authorization header of a POST to ``/``.

    :param key: the identity that signs
    :param headers: the headers to sign, their names in lower case; ``x-acs-content-sha256`` covers the body
    :param query: the query string, from :func:`percent_encode`
    """
    names = sorted(headers)
    request = "\n".join(
        [
            *("POST", "/", query),
            *(f"{name}:{headers[name]}" for name in names),
            *("", ";".join(names), headers["x-acs-content-sha256"]),
        ]
    )
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(key.secret.encode(), to_sign.encode(), "sha256").hex()
    return f"{ALGORITHM} Credential={key.key_id},SignedHeaders={';'.join(names)},Signature={signature}"
