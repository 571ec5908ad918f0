"""OIDC: the tokens of identity providers, and how STS checks them. No HTTP.

RS256 takes a few lines with Python's numbers, so the emulator needs no library for it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.emulator.errors import ApiError, InvalidInputError
from airflow_provider_ims.emulator.fields import MAX_SECONDS
from airflow_provider_ims.emulator.json_text import decode_json

if TYPE_CHECKING:
    from collections.abc import Mapping

ALGORITHM = "RS256"
#: Shortest and longest token that STS accepts, in characters.
TOKEN_LENGTHS = (4, 20_000)

_KEY_ID = "emulator"
_EXPONENT = 65537
# Each of the two primes. Short, because the key is made while a client waits; valid for the emulator only.
_PRIME_BITS = 512
# DER of the algorithm SHA-256, as RFC 8017 (section 9.2) puts it before the hash.
_SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")
_PARTS = 3


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An RSA key that signatures are checked with."""

    modulus: int
    exponent: int = _EXPONENT

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Return whether a signature is that of the message."""
        number = int.from_bytes(signature)
        if number >= self.modulus:
            return False
        size = (self.modulus.bit_length() + 7) // 8
        padded = pow(number, self.exponent, self.modulus).to_bytes(size)
        return hmac.compare_digest(padded, _padded(message, size))


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An RSA key that tokens are signed with."""

    public: PublicKey
    private_exponent: int

    @classmethod
    def generate(cls) -> SigningKey:
        """Make a new key."""
        first, second = _prime(), _prime()
        return cls(PublicKey(first * second), pow(_EXPONENT, -1, (first - 1) * (second - 1)))

    def token(self, claims: Mapping[str, Any]) -> str:
        """Return a signed token (JWT) with the claims."""
        header = {"alg": ALGORITHM, "typ": "JWT", "kid": _KEY_ID}
        signed = f"{_encode(json.dumps(header).encode())}.{_encode(json.dumps(claims).encode())}"
        size = (self.public.modulus.bit_length() + 7) // 8
        number = pow(int.from_bytes(_padded(signed.encode(), size)), self.private_exponent, self.public.modulus)
        return f"{signed}.{_encode(number.to_bytes(size))}"


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """An identity provider that is registered with RAM.

    :param arn: its resource name.
    :param issuer: the claim ``iss`` of its tokens.
    :param client_ids: what the claim ``aud`` of its tokens can be.
    :param keys: its public keys by key id; None for the key of the emulator.
    """

    arn: str
    issuer: str
    client_ids: tuple[str, ...]
    keys: Mapping[str, PublicKey] | None = None


@dataclass(frozen=True, slots=True)
class OidcToken:
    """The claims of a token that was checked.

    :param expires_at: seconds since the epoch, like ``issued_at``.
    """

    subject: str
    issuer: str
    audience: tuple[str, ...]
    expires_at: float
    issued_at: float


def check_token(text: str, provider: OidcProvider, emulator_key: PublicKey, now: float) -> OidcToken:
    """Check a token like STS.

    :param now: the time of the server in seconds since the epoch.
    :raises ApiError: with the code of STS for the first failed check.
    """
    header, claims, signature = _decoded(text)
    if header.get("alg") != ALGORITHM:
        raise _invalid(f"The algorithm {header.get('alg')} that be specified in Jwt header is unknown.")
    token = _claims(claims)
    if token.issuer != provider.issuer:
        raise _failed("IssuerNotMatch", "The issuer in the OIDC Token doesn't match the OIDC Provider registered.")
    if not set(token.audience) & set(provider.client_ids):
        raise _failed("AudienceNotMatch", "Invalid audience.")
    if token.expires_at <= now:
        raise _failed("Expired", "This JsonWebToken is expired.")
    keys = {_KEY_ID: emulator_key} if provider.keys is None else provider.keys
    key = keys.get(str(header.get("kid")))
    if key is None or not key.verifies(text.rpartition(".")[0].encode(), signature):
        raise _failed("InvalidSignature", "OIDC token validate failed: invalid signature.")
    return token


def public_keys_from_json(payload: object) -> dict[str, PublicKey]:
    """Read a key set (JWKS) of RSA keys.

    :raises InvalidInputError: for anything else.
    """
    entries = payload.get("keys") if isinstance(payload, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InvalidInputError("jwks must be an object with a list of keys")
    keys: dict[str, PublicKey] = {}
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("kty") != "RSA" or not isinstance(entry.get("kid"), str):
            raise InvalidInputError("jwks must have keys with the kty RSA and a kid")
        keys[entry["kid"]] = PublicKey(_number(entry.get("n"), "n"), _number(entry.get("e"), "e"))
    return keys


def _number(text: object, name: str) -> int:
    try:
        number = int.from_bytes(_decode(text)) if isinstance(text, str) else 0
    except ValueError:
        number = 0
    # Below: no RSA. Above: the check of a signature would take seconds.
    least, most = (1023, 4096) if name == "n" else (1, 32)
    if not least <= number.bit_length() <= most:
        raise InvalidInputError(f"jwks: {name} of a key must be a number in Base64 (URL), of {most} bits or less")
    return number


def _decoded(text: str) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    if not text:
        raise _invalid("The OIDCToken can not empty.")
    parts = text.split(".")
    least, most = TOKEN_LENGTHS
    if len(parts) != _PARTS or not least <= len(text) <= most:
        raise _invalid("The number of Jwt field should be divided into 3 parts with '.' .")
    try:
        header, claims, signature = map(_decode, parts)
    except ValueError:
        raise _invalid("Cannot decode base64 encoded response(format invalided).") from None
    return _json_object(header), _json_object(claims), signature


def _claims(claims: Mapping[str, Any]) -> OidcToken:
    audience = claims.get("aud")
    audience = [audience] if isinstance(audience, str) else audience
    texts = [claims.get("sub"), claims.get("iss"), *(audience if isinstance(audience, list) else [None])]
    times = [claims.get("exp"), claims.get("iat", 0)]
    are_times = all(isinstance(time, (int, float)) and 0 <= time <= MAX_SECONDS for time in times)
    if not are_times or not all(isinstance(text, str) for text in texts):
        raise _not_recognized()
    subject, issuer, *names = map(str, texts)
    return OidcToken(subject, issuer, tuple(names), *map(float, times))


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        value = decode_json(text)
    except InvalidInputError:
        value = None
    if not isinstance(value, dict):
        raise _not_recognized()
    return value


def _not_recognized() -> ApiError:
    return _invalid("The Jwt content is invalid that cannot be recognized.")


def _invalid(message: str) -> ApiError:
    return _failed("Invalid", message)


def _failed(code: str, message: str) -> ApiError:
    return ApiError(401, f"AuthenticationFail.OIDCToken.{code}", message)


def _padded(message: bytes, size: int) -> bytes:
    hashed = _SHA256_PREFIX + hashlib.sha256(message).digest()
    return b"\x00\x01" + b"\xff" * (size - len(hashed) - 3) + b"\x00" + hashed


def _prime() -> int:
    while True:
        # Odd, and with the two highest bits set: the product of two such numbers has all its bits.
        number = secrets.randbits(_PRIME_BITS) | 0b11 << _PRIME_BITS - 2 | 1
        if number % _EXPONENT != 1 and all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7)):
            return number


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)
