"""Access keys: the fixed one, and temporary ones with a security token. No HTTP."""

from __future__ import annotations

import base64
import hashlib
import secrets
import string
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.emulator.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

DEFAULT_ACCESS_KEY_ID = "emulator-access-key-id"
DEFAULT_ACCESS_KEY_SECRET = "emulator-access-key-secret"  # noqa: S105 - public, valid for the emulator only
#: The account of the fixed key, and of roles and providers that are put by their name.
ACCOUNT_ID = "1234567890123456"

# Most keys in the store. If there are more, the oldest temporary ones are deleted.
_MAX_KEYS = 10_000
_LETTERS_AND_DIGITS = string.ascii_letters + string.digits

INACTIVE = "InvalidAccessKeyId.Inactive"
EXPIRED = "InvalidSecurityToken.Expired"
NOT_FOUND = "InvalidAccessKeyId.NotFound"
_MALFORMED = "InvalidSecurityToken.Malformed"
#: Errors that a key can be refused with: HTTP status and message.
REFUSALS: Mapping[str, tuple[int, str]] = {
    EXPIRED: (400, "Specified SecurityToken is expired."),
    _MALFORMED: (400, "Specified SecurityToken is malformed."),
    NOT_FOUND: (404, "Specified access key is not found."),
    INACTIVE: (400, "Specified access key is disabled."),
}


class IdentityType(StrEnum):
    """Types of identities that sign requests, in the words of STS."""

    RAM_USER = "RAMUser"
    ASSUMED_ROLE = "AssumedRoleUser"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key: id, secret, and security token (STS) or none."""

    access_key_id: str = DEFAULT_ACCESS_KEY_ID
    access_key_secret: str = field(default=DEFAULT_ACCESS_KEY_SECRET, repr=False)
    security_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Caller:
    """The identity that signs a request: a RAM user, or a session of a RAM role.

    :param name: name of the user or of the role.
    :param session: name of the session; None for a user.
    """

    type: IdentityType
    account_id: str
    name: str
    session: str | None = None

    @property
    def entity_arn(self) -> str:
        """The resource name of the user or of the role."""
        kind = "user" if self.session is None else "role"
        return f"acs:ram::{self.account_id}:{kind}/{self.name}"

    @property
    def arn(self) -> str:
        """The resource name of the user or of the session."""
        if self.session is None:
            return self.entity_arn
        return f"acs:ram::{self.account_id}:assumed-role/{self.name}/{self.session}"

    @property
    def entity_id(self) -> str:
        """The id of the user or of the role: digits that depend on its resource name only."""
        digest = hashlib.sha256(self.entity_arn.encode()).digest()
        return f"3{int.from_bytes(digest[:7]) % 10**17:017d}"

    @property
    def principal_id(self) -> str:
        """The id of the user, or of the role with its session."""
        return self.entity_id if self.session is None else f"{self.entity_id}:{self.session}"

    def is_named(self, name: str) -> bool:
        """Return whether a name, or a resource name, is that of the user, of the role or of the session."""
        return name in {self.name, self.entity_arn, self.arn}


#: The identity of the fixed key.
FIXED_CALLER = Caller(IdentityType.RAM_USER, ACCOUNT_ID, "emulator")


@dataclass(frozen=True, slots=True)
class Expiry:
    """The end of a temporary key, in seconds since the epoch on the clock of the server.

    :param at: from when on requests with it are refused.
    :param stated: what the response with the key says.
    """

    at: float
    stated: float


@dataclass(slots=True)
class AccessKey:
    """One access key of the store.

    :param caller: the identity that signs with it.
    :param expiry: end of a temporary key; None for the fixed key.
    :param policy: policy that limits what a temporary key may do; None for no limit.
    :param refusal: error code that requests with the key are refused with, see :data:`REFUSALS`; None if it is valid.
    """

    credentials: Credentials
    caller: Caller
    expiry: Expiry | None = None
    policy: Mapping[str, Any] | None = None
    refusal: str | None = None

    def is_expired(self, now: float) -> bool:
        """Return whether it is a temporary key whose time is over."""
        return self.expiry is not None and now >= self.expiry.at


class KeyStore:
    """All access keys that requests can be signed with.

    :param start: the fixed key after the start and after :meth:`reset`.
    """

    def __init__(self, start: Credentials) -> None:
        self._start = start
        self.reset()

    def __iter__(self) -> Iterator[AccessKey]:
        return iter(self._keys.values())

    def reset(self) -> None:
        """Delete all keys but the fixed one of the start."""
        self._keys = {self._start.access_key_id: AccessKey(self._start, FIXED_CALLER)}

    def find(self, access_key_id: str, token: str | None, now: float) -> AccessKey:
        """Return a valid key.

        :param token: the security token of the request; None if it has none.
        :param now: the time of the server in seconds since the epoch.
        :raises ApiError: if there is no such key, its token is another one, or it is expired or refused.
        """
        key = self._keys.get(access_key_id)
        if key is None:
            raise _refused(NOT_FOUND)
        if key.refusal in {NOT_FOUND, INACTIVE}:
            raise _refused(key.refusal)
        self._check_token(key, token)
        if key.refusal is not None:
            raise _refused(key.refusal)
        if key.is_expired(now):
            raise _refused(EXPIRED)
        return key

    def issue(self, caller: Caller, expiry: Expiry, policy: Mapping[str, Any] | None = None) -> AccessKey:
        """Make a temporary key."""
        # Tokens of the service are Base64 with "+", "/" and "=": a client that does not encode them fails.
        token = f"CAIS{base64.b64encode(secrets.token_bytes(160)).decode()}"
        credentials = Credentials(f"STS.{_random_text(24)}", _random_text(44), token)
        key = AccessKey(credentials, caller, expiry, policy)
        self._keys[credentials.access_key_id] = key
        if len(self._keys) > _MAX_KEYS:
            oldest = next(key for key in self if key.expiry is not None)
            del self._keys[oldest.credentials.access_key_id]
        return key

    def refuse(self, which: Callable[[AccessKey], bool], code: str | None) -> list[AccessKey]:
        """Refuse all keys of a kind from now on, and return them.

        :param code: a code of :data:`REFUSALS`. None chooses it by the key: a temporary one counts as expired, the
            fixed one as disabled.
        """
        refused = [key for key in self if which(key)]
        for key in refused:
            key.refusal = code or (INACTIVE if key.expiry is None else EXPIRED)
        return refused

    def rotate(self, credentials: Credentials, old_refusal: str | None) -> None:
        """Add another fixed key.

        :param old_refusal: error code that requests with the earlier fixed keys are refused with; None to keep them.
        """
        if old_refusal is not None:
            self.refuse(lambda key: key.expiry is None and key.refusal is None, old_refusal)
        self._keys[credentials.access_key_id] = AccessKey(credentials, FIXED_CALLER)

    def _check_token(self, key: AccessKey, token: str | None) -> None:
        expected = key.credentials.security_token
        if token == expected:
            return
        if expected is not None and not token:
            raise ApiError(400, "MissingSecurityToken", "SecurityToken is mandatory for this action.")
        if expected is None or any(other.credentials.security_token == token for other in self):
            raise ApiError(
                400,
                "InvalidSecurityToken.MismatchWithAccessKey",
                "Specified SecurityToken mismatch with the AccessKey.",
            )
        raise _refused(_MALFORMED)


def _refused(code: str) -> ApiError:
    status, message = REFUSALS[code]
    return ApiError(status, code, message)


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_LETTERS_AND_DIGITS) for _ in range(length))
