"""The commands of the control API for identities: roles, identity providers, keys and permissions."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.emulator.errors import InvalidInputError
from airflow_provider_ims.emulator.fields import Fields
from airflow_provider_ims.emulator.identity import (
    DENIAL_CODES,
    NO_PERMISSION,
    PROVIDER_ARN,
    ROLE_ARN,
    CredentialsUri,
    Denial,
    Instance,
    Role,
)
from airflow_provider_ims.emulator.keys import ACCOUNT_ID, INACTIVE, NOT_FOUND, REFUSALS, AccessKey, Credentials
from airflow_provider_ims.emulator.oidc import OidcProvider, public_keys_from_json
from airflow_provider_ims.emulator.sts import date, key_as_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_ims.emulator.state import EmulatorState

# What RAM accepts for a role, in seconds.
_MIN_SESSION, _MAX_SESSION = 3600, 43_200
_ROLE_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_URI_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
# The Authorization header separates its parts with commas and spaces.
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_MAX_TEXT = 1024

#: What happens to the earlier fixed keys at a rotation: the error that they are refused with, None for none.
_OLD_KEYS: Mapping[str, str | None] = {"deleted": NOT_FOUND, "inactive": INACTIVE, "active": None}


class IdentityControl:
    """The commands and the values of the control API, as JSON values.

    No value but :meth:`issued_keys` has a secret or the token of a key.
    """

    def __init__(self, state: EmulatorState) -> None:
        self._state = state
        self._identity = state.identity

    def put_role(self, payload: object) -> object:
        """Create or replace a role."""
        fields = Fields(payload, "a role")
        trusted = fields.anything("trusted")
        role = Role(
            arn=_arn(fields.required_text("name"), "role", ROLE_ARN),
            max_session_duration=fields.count(
                "max_session_duration", _MIN_SESSION, least=_MIN_SESSION, most=_MAX_SESSION
            ),
            external_id=fields.filled_text("external_id", None),
            trusted=None if trusted is None else Fields({"trusted": trusted}, "a role").names("trusted"),
            oidc_subject=fields.filled_text("oidc_subject", None),
        )
        fields.done()
        self._identity.roles[role.arn] = role
        return asdict(role)

    def roles(self) -> list[dict[str, Any]]:
        """Return all roles that were put."""
        return [asdict(role) for role in self._identity.roles.values()]

    def put_oidc_provider(self, payload: object) -> object:
        """Create or replace an identity provider."""
        fields = Fields(payload, "an OIDC provider")
        arn = _arn(fields.required_text("name"), "oidc-provider", PROVIDER_ARN)
        issuer = fields.filled_text("issuer", f"https://{arn.partition('/')[2]}.oidc.example")
        client_ids = fields.names("client_ids") or ("sts.aliyuncs.com",)
        jwks = fields.anything("jwks")
        fields.done()
        keys = None if jwks is None else public_keys_from_json(jwks)
        self._identity.oidc_providers[arn] = OidcProvider(arn, issuer, client_ids, keys)
        return _provider_as_json(self._identity.oidc_providers[arn])

    def oidc_providers(self) -> list[dict[str, Any]]:
        """Return all identity providers that were put."""
        return [_provider_as_json(provider) for provider in self._identity.oidc_providers.values()]

    def make_oidc_token(self, payload: object) -> object:
        """Make an OIDC token that is signed with the key of the emulator."""
        fields = Fields(payload, "an OIDC token")
        provider = self._identity.oidc_providers.get(
            _arn(fields.required_text("provider"), "oidc-provider", PROVIDER_ARN)
        )
        if provider is None:
            raise InvalidInputError("provider must be an OIDC provider that was put")
        now = int(self._state.now())
        claims = {
            "iss": fields.filled_text("issuer", provider.issuer),
            "sub": fields.filled_text("subject", "system:serviceaccount:airflow:worker"),
            "aud": [fields.filled_text("audience", provider.client_ids[0])],
            "iat": now,
            "exp": now + int(fields.seconds("lifetime", 3600)),
        }
        fields.done()
        return {"token": self._identity.oidc_key.token(claims)}

    def put_instance_role(self, payload: object) -> object:
        """Attach a role to the instance of the metadata service, or detach it."""
        fields = Fields(payload, "an instance role")
        instance = Instance(_role_name(fields.text("role", None)), fields.flag("imds_v1", default=True))
        fields.done()
        self._identity.instance = instance
        return self.instance_role()

    def instance_role(self) -> dict[str, Any]:
        """Return the role of the instance."""
        return asdict(self._identity.instance)

    def put_credentials_uri(self, payload: object) -> object:
        """Create or replace a credentials URI."""
        fields = Fields(payload, "a credentials URI")
        name = fields.required_text("name")
        if not _URI_NAME.fullmatch(name):
            raise InvalidInputError("name must have letters, digits, '.', '-' and '_', at most 128")
        uri = CredentialsUri(
            name=name,
            role=_role_name(fields.filled_text("role", "credentials-uri")) or "",
            code=_short(fields.filled_text("code", "Success"), "code"),
            status=fields.count("status", 200, least=200, most=599),
        )
        fields.done()
        self._identity.credentials_uris[name] = uri
        return asdict(uri)

    def credentials_uris(self) -> list[dict[str, Any]]:
        """Return all credentials URIs that were put."""
        return [asdict(uri) for uri in self._identity.credentials_uris.values()]

    def put_denial(self, payload: object) -> object:
        """Deny an action to an identity, or allow it again."""
        fields = Fields(payload, "a denial")
        denial = Denial(
            action=_short(fields.required_text("action"), "action"),
            identity=fields.filled_text("identity", None),
            code=fields.one_of("code", list(DENIAL_CODES), NO_PERMISSION),
        )
        denied = fields.flag("denied", default=True)
        fields.done()
        key = (denial.action, denial.identity)
        if denied:
            self._identity.denials[key] = denial
        elif self._identity.denials.pop(key, None) is None:
            raise InvalidInputError("this action was not denied to this identity")
        return self.denials()

    def denials(self) -> list[dict[str, Any]]:
        """Return all denials."""
        return [asdict(denial) for denial in self._identity.denials.values()]

    def access_keys(self) -> list[dict[str, Any]]:
        """Return all access keys, without their secrets."""
        now = self._state.now()
        return [_key_as_json(key, now) for key in self._identity.keys]

    def issued_keys(self) -> list[dict[str, Any]]:
        """Return all temporary keys with their secrets, as the services return them."""
        return [key_as_json(key) for key in self._identity.keys if key.expiry is not None]

    def rotate_key(self, payload: object) -> object:
        """Replace the fixed access key."""
        fields = Fields(payload, "an access key")
        credentials = Credentials(
            fields.required_text("access_key_id"),
            _short(fields.required_text("access_key_secret"), "access_key_secret"),
            fields.filled_text("security_token", None),
        )
        old = fields.one_of("old", list(_OLD_KEYS), "deleted")
        fields.done()
        if not _KEY_ID.fullmatch(credentials.access_key_id):
            raise InvalidInputError("access_key_id must have letters, digits, '.', '-' and '_', at most 128")
        self._identity.keys.rotate(credentials, _OLD_KEYS[old])
        return self.access_keys()

    def revoke(self, payload: object) -> object:
        """Refuse all temporary keys of a role, or one key."""
        fields = Fields(payload, "a revocation")
        role, access_key_id = fields.filled_text("role", None), fields.filled_text("access_key_id", None)
        code = fields.text("code", None)
        fields.done()
        if (role is None) == (access_key_id is None):
            raise InvalidInputError("a revocation needs either role or access_key_id")
        if code is not None and code not in REFUSALS:
            raise InvalidInputError(f"code must be one of: {', '.join(REFUSALS)}")

        def is_meant(key: AccessKey) -> bool:
            if role is None:
                return key.credentials.access_key_id == access_key_id
            return key.expiry is not None and key.caller.is_named(role)

        if access_key_id is not None and not any(map(is_meant, self._identity.keys)):
            raise InvalidInputError("there is no such access key")
        return {"revoked": len(self._identity.keys.refuse(is_meant, code))}


def _arn(name: str, kind: str, pattern: re.Pattern[str]) -> str:
    """Return the resource name for a name or a resource name."""
    arn = name if name.startswith("acs:") else f"acs:ram::{ACCOUNT_ID}:{kind}/{name}"
    if not pattern.fullmatch(arn):
        raise InvalidInputError(
            f"the name must have letters, digits, '.', '-' and '_', or be acs:ram::<account>:{kind}/<name>"
        )
    return arn


def _role_name(name: str | None) -> str | None:
    if name is not None and not _ROLE_NAME.fullmatch(name):
        raise InvalidInputError("role must have letters, digits, '.', '-' and '_', at most 64")
    return name


def _short(text: str, name: str) -> str:
    if len(text) > _MAX_TEXT:
        raise InvalidInputError(f"{name} must be {_MAX_TEXT:,} characters or less")
    return text


def _provider_as_json(provider: OidcProvider) -> dict[str, Any]:
    return {
        "arn": provider.arn,
        "issuer": provider.issuer,
        "client_ids": list(provider.client_ids),
        "own_keys": provider.keys is not None,
    }


def _key_as_json(key: AccessKey, now: float) -> dict[str, Any]:
    state = "active" if key.refusal is None else key.refusal
    return {
        "access_key_id": key.credentials.access_key_id,
        "identity": key.caller.arn,
        "expiration": None if key.expiry is None else date(key.expiry.at),
        "state": "expired" if key.refusal is None and key.is_expired(now) else state,
    }
