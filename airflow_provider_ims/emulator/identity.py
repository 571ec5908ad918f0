"""What identity services know: keys, roles, identity providers, the instance, and denied permissions. No HTTP."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.emulator.errors import ApiError
from airflow_provider_ims.emulator.keys import (
    ACCOUNT_ID,
    AccessKey,
    Caller,
    Credentials,
    Expiry,
    IdentityType,
    KeyStore,
)
from airflow_provider_ims.emulator.oidc import OidcProvider, SigningKey

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_PERMISSION = "NoPermission"
FORBIDDEN = "Forbidden.RAM"
#: Messages of the errors for a missing permission.
DENIAL_CODES: Mapping[str, str] = {
    NO_PERMISSION: "You are not authorized to do this action. You should be authorized by RAM.",
    FORBIDDEN: "User not authorized to operate on the specified resource, or this API doesn't support RAM.",
}
#: All actions, in a denial. ``GetCallerIdentity`` needs no permission, so this does not include it.
ALL_ACTIONS = "*"
_NEEDS_NO_PERMISSION = "GetCallerIdentity"

#: Seconds that keys of the instance's role and of a credentials URI are valid.
INSTANCE_LIFETIME = 6 * 3600
_INSTANCE = "i-emulator"

ROLE_ARN = re.compile(r"acs:ram::(?P<account>[0-9]{1,32}):role/(?P<name>[A-Za-z0-9._-]{1,64})")
PROVIDER_ARN = re.compile(r"acs:ram::(?P<account>[0-9]{1,32}):oidc-provider/(?P<name>[A-Za-z0-9._-]{1,128})")


@dataclass(frozen=True, slots=True)
class Role:
    """A RAM role that can be assumed.

    :param arn: its resource name, ``acs:ram::<account>:role/<name>``.
    :param max_session_duration: longest ``DurationSeconds`` in seconds.
    :param external_id: ``ExternalId`` that its trust policy requires; None for none.
    :param trusted: names or resource names of the users, roles and identity providers that may assume it; None for all.
    :param oidc_subject: subject that an OIDC token must have; None for any.
    """

    arn: str
    max_session_duration: int = 3600
    external_id: str | None = None
    trusted: tuple[str, ...] | None = None
    oidc_subject: str | None = None

    def session(self, name: str) -> Caller:
        """Return the identity of a session."""
        return role_session(self.arn, name)

    def trusts(self, caller: Caller) -> bool:
        """Return whether a user or a role may assume it."""
        return self.trusted is None or any(map(caller.is_named, self.trusted))

    def trusts_provider(self, arn: str) -> bool:
        """Return whether the users of an identity provider may assume it."""
        return self.trusted is None or not {arn, arn.partition("/")[2]}.isdisjoint(self.trusted)


@dataclass(frozen=True, slots=True)
class Instance:
    """The ECS instance that the metadata service describes.

    :param role: name of its RAM role; None for none.
    :param imds_v1: whether requests without a token are served.
    """

    role: str | None = None
    imds_v1: bool = True


@dataclass(frozen=True, slots=True)
class CredentialsUri:
    """A service of the user's own that returns keys.

    :param name: last part of its path.
    :param role: name of the RAM role of the keys.
    :param code: ``Success``, or the reason why the response has no keys.
    :param status: HTTP status of the response; only 200 has keys.
    """

    name: str
    role: str
    code: str = "Success"
    status: int = 200


@dataclass(frozen=True, slots=True)
class Denial:
    """A missing permission.

    :param action: an action of IMS or STS, or ``*``.
    :param identity: name or resource name of the user, role or session that lacks it; None for all.
    :param code: a code of :data:`DENIAL_CODES`.
    """

    action: str
    identity: str | None
    code: str = NO_PERMISSION

    def hits(self, action: str, caller: Caller) -> bool:
        """Return whether it refuses a request."""
        is_action = self.action == action or (self.action == ALL_ACTIONS and action != _NEEDS_NO_PERMISSION)
        return is_action and (self.identity is None or caller.is_named(self.identity))


class IdentityState:
    """The identities of one emulator.

    :param credentials: the fixed key after the start and after :meth:`reset`.
    """

    def __init__(self, credentials: Credentials) -> None:
        self.keys = KeyStore(credentials)
        self.reset()

    def reset(self) -> None:
        """Return to the fixed key, without roles, providers, tokens and denials."""
        self.keys.reset()
        self.roles: dict[str, Role] = {}
        self.oidc_providers: dict[str, OidcProvider] = {}
        self.credentials_uris: dict[str, CredentialsUri] = {}
        self.denials: dict[tuple[str, str | None], Denial] = {}
        self.instance = Instance()
        # Tokens of the metadata service, with the time when each expires. The oldest first.
        self.metadata_tokens: dict[str, float] = {}

    @cached_property
    def oidc_key(self) -> SigningKey:
        """The key that signs the OIDC tokens of the emulator."""
        return SigningKey.generate()

    def issue_for_instance(self, role: str, expiry: Expiry) -> AccessKey:
        """Make a key for the instance, or for a service of the user's own."""
        return self.keys.issue(role_session(role_arn(role), _INSTANCE), expiry)

    def authorize(self, key: AccessKey, product: str, action: str) -> None:
        """Check that an identity may carry out an action.

        :param product: prefix of the action in RAM policies: ``ice`` or ``sts``.
        :raises ApiError: if it lacks the permission.
        """
        ram_action = f"{product}:{action}"
        for denial in self.denials.values():
            if denial.hits(action, key.caller):
                raise permission_error(key.caller, ram_action, code=denial.code)
        if key.policy is not None and action != _NEEDS_NO_PERMISSION and not policy_allows(key.policy, ram_action):
            raise permission_error(key.caller, ram_action, "SessionPolicy")


def role_arn(name: str) -> str:
    """Return the resource name of a role of the account."""
    return f"acs:ram::{ACCOUNT_ID}:role/{name}"


def role_session(arn: str, session: str) -> Caller:
    """Return the identity of a session of a role."""
    match = ROLE_ARN.fullmatch(arn)
    assert match is not None  # noqa: S101 - for the type checker: the names were checked when they were put
    return Caller(IdentityType.ASSUMED_ROLE, match["account"], match["name"], session)


def permission_error(
    caller: Caller, ram_action: str, policy_type: str = "AccountLevelIdentityBasedPolicy", code: str = NO_PERMISSION
) -> ApiError:
    """Return the error for a missing permission.

    :param ram_action: the action in the words of RAM policies, such as ``sts:AssumeRole``.
    :param policy_type: kind of the policy that does not allow it.
    """
    is_user = caller.type is IdentityType.RAM_USER
    detail = access_denied_detail(
        policy_type,
        ram_action,
        owner=caller.account_id,
        principal_type="SubUser" if is_user else str(caller.type),
        principal=caller.entity_id if is_user else f"{caller.name}:{caller.session}",
    )
    return ApiError(403, code, DENIAL_CODES[code], detail)


def access_denied_detail(
    policy_type: str, ram_action: str, *, owner: str, principal_type: str, principal: str
) -> dict[str, Any]:
    """Return the fields that an error for a missing permission has."""
    return {
        "AccessDeniedDetail": {
            "AuthAction": ram_action,
            "AuthPrincipalDisplayName": principal,
            "AuthPrincipalOwnerId": owner,
            "AuthPrincipalType": principal_type,
            "EncodedDiagnosticMessage": f"AQEAAAAA{uuid.uuid4().hex}",
            "NoPermissionType": "ImplicitDeny",
            "PolicyType": policy_type,
        }
    }


def is_policy(policy: Mapping[str, Any]) -> bool:
    """Return whether a JSON object has the form of a policy. Resources and conditions are not checked."""
    statements = policy.get("Statement")
    return policy.get("Version") == "1" and isinstance(statements, list) and all(map(_is_statement, statements))


def policy_allows(policy: Mapping[str, Any], ram_action: str) -> bool:
    """Return whether a policy allows an action. Resources and conditions are ignored."""
    effects = {
        statement["Effect"] for statement in policy["Statement"] if _names_action(_actions(statement), ram_action)
    }
    return effects == {"Allow"}


def _is_statement(statement: object) -> bool:
    if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
        return False
    actions = _actions(statement)
    return bool(actions) and all(isinstance(action, str) for action in actions)


def _actions(statement: Mapping[str, Any]) -> list[Any]:
    actions = statement.get("Action")
    return actions if isinstance(actions, list) else [actions]


def _names_action(patterns: list[str], ram_action: str) -> bool:
    return any(fnmatchcase(ram_action.lower(), pattern.lower()) for pattern in patterns)
