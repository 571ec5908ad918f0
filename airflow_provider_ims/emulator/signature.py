"""Verification of ACS3-HMAC-SHA256 and RPC signatures by the rules of the vendor's gateway.

Protocol: https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_ims.emulator.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_ims.emulator.keys import AccessKey, KeyStore
    from airflow_provider_ims.emulator.rpc import RpcRequest

ALGORITHM = "ACS3-HMAC-SHA256"

#: Largest accepted difference between the date of a request and the clock of the server, in seconds.
MAX_SKEW = 15 * 60

_ALWAYS_SIGNED = frozenset(
    {
        "host",
        "x-acs-action",
        "x-acs-content-sha256",
        "x-acs-date",
        "x-acs-signature-nonce",
        "x-acs-version",
    }
)
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} +Credential=(?P<key>[^,\s]+), *SignedHeaders=(?P<headers>[^,\s]+), *Signature=(?P<signature>[^,\s]+)"
)
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The parts of an HTTP request that its signature covers.

    :param query: decoded name-value pairs of the URL, in any order.
    :param headers: names in lower case.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes

    def canonical(self, signed_headers: Sequence[str]) -> str:
        """Return the canonical request over ``signed_headers`` (sorted, lower case)."""
        query = "&".join(f"{_encode(name)}={_encode(value)}" for name, value in sorted(self.query))
        headers = "".join(f"{name}:{self.headers[name].strip()}\n" for name in signed_headers)
        body_hash = hashlib.sha256(self.body).hexdigest()
        # Each header ends with a newline, so an empty line separates the headers from the list of their names.
        return "\n".join([self.method, self.path, query, headers, ";".join(signed_headers), body_hash])


def _encode(text: str) -> str:
    return quote(text, safe="~")


class Verifier:
    """Checks that a request is signed with a valid key, recent, and not a replay.

    :param keys: the keys that requests can be signed with.
    """

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys
        # Nonce -> the time when it can be deleted, because the date of its request is then too old. Oldest first.
        self._nonces: dict[str, float] = {}

    def forget_nonces(self) -> None:
        """Delete all nonces: each is accepted again."""
        self._nonces.clear()

    def verify(self, request: SignedRequest, now: float) -> AccessKey:
        """Return the key that a request with an ``Authorization`` header is signed with.

        :param now: the time of the server in seconds since the epoch.
        :raises ApiError: with the gateway's code for the first failed check.
        """
        headers = request.headers
        match = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if match is None:
            raise _incomplete(
                f"The Authorization header must name {ALGORITHM}, Credential, SignedHeaders and Signature."
            )
        signed_headers = sorted(set(match["headers"].lower().split(";")))
        _check_signed_headers(headers, signed_headers)
        _check_date(headers["x-acs-date"], now)
        key = self._keys.find(match["key"], headers.get("x-acs-security-token"), now)
        _check_signature(request, signed_headers, match["signature"], key.credentials.access_key_secret)
        # The last check, because a refused request must not use up its nonce.
        self._check_nonce(headers["x-acs-signature-nonce"], now)
        return key

    def verify_rpc(self, request: RpcRequest, now: float) -> AccessKey:
        """Return the key that a request with the parameter ``Signature`` is signed with.

        :param now: the time of the server in seconds since the epoch.
        :raises ApiError: with the gateway's code for the first failed check.
        """
        request.check_complete()
        _check_date(request.parameters["Timestamp"], now)
        key = self._keys.find(request.parameters["AccessKeyId"], request.parameters.get("SecurityToken"), now)
        request.check_signature(key.credentials.access_key_secret)
        self._check_nonce(request.parameters["SignatureNonce"], now)
        return key

    def _check_nonce(self, nonce: str, now: float) -> None:
        nonces = self._nonces
        while nonces and nonces[oldest := next(iter(nonces))] < now:
            del nonces[oldest]
        if nonce in nonces:
            raise ApiError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        # The date of a request can be MAX_SKEW in the future, and the request expires MAX_SKEW after its date.
        nonces[nonce] = now + 2 * MAX_SKEW


def _check_signature(request: SignedRequest, signed_headers: Sequence[str], signature: str, secret: str) -> None:
    if request.headers["x-acs-content-sha256"].lower() != hashlib.sha256(request.body).hexdigest():
        raise ApiError(400, "SignatureDoesNotMatch", "x-acs-content-sha256 is not the SHA-256 of the request body.")
    canonical = request.canonical(signed_headers)
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    string_to_sign = f"{ALGORITHM}\n{digest}"
    expected = hmac.new(secret.encode(), string_to_sign.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogateescape")):
        # The gateway shows the signed text, security token included: clients must redact the message.
        raise ApiError(
            400,
            "SignatureDoesNotMatch",
            "Specified signature is not matched with our calculation. "
            f"server StringToSign:[{string_to_sign}] server CanonicalRequest:[{canonical}]",
        )


def _incomplete(message: str) -> ApiError:
    return ApiError(400, "IncompleteSignature", f"The request signature does not conform to standards. {message}")


def _check_signed_headers(headers: Mapping[str, str], signed_headers: Sequence[str]) -> None:
    if absent := [name for name in (*sorted(_ALWAYS_SIGNED), *signed_headers) if name not in headers]:
        raise _incomplete(f"Header not sent: {absent[0]}.")
    to_sign = _ALWAYS_SIGNED.union(name for name in headers if name.startswith("x-acs-"))
    if unsigned := sorted(to_sign.difference(signed_headers)):
        raise _incomplete(f"SignedHeaders does not include: {';'.join(unsigned)}.")


def _check_date(text: str, now: float) -> None:
    sent = _timestamp(text)
    if sent is None:
        raise ApiError(400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.")
    if abs(now - sent) > MAX_SKEW:
        raise ApiError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")


def _timestamp(text: str) -> float | None:
    # fromisoformat alone accepts other forms than that of the protocol; the pattern alone accepts impossible dates.
    if not _DATE.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
