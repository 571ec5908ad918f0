"""The Security Token Service (STS), API version 2015-04-01: temporary keys for RAM roles.

Actions and errors: https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-overview
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.emulator.errors import ApiError, InvalidInputError
from airflow_provider_ims.emulator.identity import (
    PROVIDER_ARN,
    ROLE_ARN,
    IdentityState,
    Role,
    access_denied_detail,
    is_policy,
    permission_error,
)
from airflow_provider_ims.emulator.json_text import decode_json
from airflow_provider_ims.emulator.keys import AccessKey, Caller, IdentityType
from airflow_provider_ims.emulator.oidc import OidcToken, check_token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_ims.emulator.keys import Expiry
    from airflow_provider_ims.emulator.parameters import Parameters

VERSION = "2015-04-01"
#: Actions that need a signature.
SIGNED_ACTIONS = ("AssumeRole", "GetCallerIdentity")
#: The action whose only proof of identity is an OIDC token.
OIDC_ACTION = "AssumeRoleWithOIDC"

#: Seconds of ``DurationSeconds``.
MIN_DURATION = 900
_DEFAULT_DURATION = 3600
_MAX_POLICY = 2048
_RAM_ACTION = "sts:AssumeRole"
_TRUST_POLICY = "AssumeRolePolicy"

_SESSION_NAME = re.compile(r"[A-Za-z0-9.@_-]{2,64}")
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_DURATION = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Sts:
    """STS at one moment.

    :param identity: keys, roles and identity providers.
    :param now: the time of the server in seconds since the epoch.
    :param expiry: returns the end of a key for ``DurationSeconds``.
    """

    identity: IdentityState
    now: float
    expiry: Callable[[float], Expiry]

    def carry_out(self, action: str, key: AccessKey, parameters: Parameters) -> dict[str, Any]:
        """Carry out an action of :data:`SIGNED_ACTIONS`.

        :param key: the key that the request is signed with.
        :return: the body of the response, without its RequestId.
        :raises ApiError: if STS refuses the request.
        """
        self.identity.authorize(key, "sts", action)
        return _caller_identity(key.caller) if action == "GetCallerIdentity" else self._assume_role(key, parameters)

    def _assume_role(self, key: AccessKey, parameters: Parameters) -> dict[str, Any]:
        arn = parameters.required("RoleArn")
        if not ROLE_ARN.fullmatch(arn):
            raise _wrongly_formed("RoleArn")
        _check_session_name(parameters.required("RoleSessionName"))
        external_id = parameters.get("ExternalId")
        if external_id is not None and not _EXTERNAL_ID.fullmatch(external_id):
            raise _wrongly_formed("ExternalId")
        policy = _policy(parameters)
        role = self.identity.roles.get(arn)
        if role is None:
            raise ApiError(404, "EntityNotExist.Role", "The specified Role not exists .")
        if not role.trusts(key.caller) or role.external_id not in {None, external_id}:
            raise permission_error(key.caller, _RAM_ACTION, _TRUST_POLICY)
        return self._issue(role, parameters, policy)

    def assume_role_with_oidc(self, parameters: Parameters) -> dict[str, Any]:
        """Carry out :data:`OIDC_ACTION`.

        :return: the body of the response, without its RequestId.
        :raises ApiError: if STS refuses the request.
        """
        for name in ("OIDCProviderArn", "RoleArn", "RoleSessionName"):
            if not parameters.get(name):
                raise ApiError(400, f"MissingParameter.{name}", f"Parameter {name} is required.")
        provider_arn, arn = parameters.required("OIDCProviderArn"), parameters.required("RoleArn")
        session_name = parameters.required("RoleSessionName")
        if not PROVIDER_ARN.fullmatch(provider_arn):
            raise ApiError(401, "AuthenticationFail.NoPermission", "Parameter OIDCProviderArn is not valid")
        if not ROLE_ARN.fullmatch(arn):
            raise _wrongly_formed("RoleArn")
        _check_session_name(session_name)
        policy = _policy(parameters)
        provider = self.identity.oidc_providers.get(provider_arn)
        if provider is None:
            raise ApiError(401, "AuthenticationFail.NoPermission", "No such OIDC Provider registered.")
        token = check_token(parameters.get("OIDCToken") or "", provider, self.identity.oidc_key.public, self.now)
        role = self.identity.roles.get(arn)
        if role is None:
            raise ApiError(404, "EntityNotExist.Role", f"The role not exists: {arn}. ")
        if not self._may_assume(role, provider_arn, token, role.session(session_name)):
            raise _oidc_permission_error(role, provider_arn)
        return {"OIDCTokenInfo": _token_info(token), **self._issue(role, parameters, policy)}

    def _may_assume(self, role: Role, provider_arn: str, token: OidcToken, session: Caller) -> bool:
        denied = any(denial.hits(OIDC_ACTION, session) for denial in self.identity.denials.values())
        is_subject = role.oidc_subject in {None, token.subject}
        return not denied and is_subject and role.trusts_provider(provider_arn)

    def _issue(self, role: Role, parameters: Parameters, policy: Mapping[str, Any] | None) -> dict[str, Any]:
        duration = _duration(parameters, role.max_session_duration)
        session = role.session(parameters.required("RoleSessionName"))
        key = self.identity.keys.issue(session, self.expiry(duration), policy)
        return {
            "AssumedRoleUser": {"AssumedRoleId": session.principal_id, "Arn": f"{role.arn}/{session.session}"},
            "Credentials": key_as_json(key),
        }


def key_as_json(key: AccessKey) -> dict[str, str]:
    """Return a temporary key as the identity services return it."""
    return {
        "AccessKeyId": key.credentials.access_key_id,
        "AccessKeySecret": key.credentials.access_key_secret,
        "SecurityToken": key.credentials.security_token or "",
        "Expiration": date(key.expiry.stated if key.expiry else 0),
    }


def date(seconds: float) -> str:
    """Return a date as the identity services write it: UTC, whole seconds.

    :param seconds: seconds since the epoch.
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _caller_identity(caller: Caller) -> dict[str, Any]:
    id_name = "UserId" if caller.type is IdentityType.RAM_USER else "RoleId"
    return {
        "IdentityType": caller.type,
        "AccountId": caller.account_id,
        "PrincipalId": caller.principal_id,
        "Arn": caller.arn,
        id_name: caller.entity_id,
    }


def _token_info(token: OidcToken) -> dict[str, str]:
    return {
        "Subject": token.subject,
        "Issuer": token.issuer,
        "ClientIds": ",".join(token.audience),
        "ExpirationTime": date(token.expires_at),
        "IssuanceTime": date(token.issued_at),
        "VerificationInfo": "Success",
    }


def _check_session_name(name: str) -> None:
    if not _SESSION_NAME.fullmatch(name):
        raise _wrongly_formed("RoleSessionName")


def _policy(parameters: Parameters) -> dict[str, Any] | None:
    text = parameters.get("Policy")
    if not text:
        return None
    if len(text) > _MAX_POLICY:
        raise ApiError(
            400, "InvalidParameter.PolicySize", f"The size of Policy must be smaller than {_MAX_POLICY} bytes."
        )
    try:
        policy = decode_json(text)
    except InvalidInputError:
        policy = None
    if not isinstance(policy, dict) or not is_policy(policy):
        raise ApiError(400, "InvalidParameter.PolicyGrammar", "The parameter Policy has not passed grammar check.")
    return policy


def _duration(parameters: Parameters, most: int) -> int:
    text = parameters.get("DurationSeconds") or str(min(_DEFAULT_DURATION, most))
    if not _DURATION.fullmatch(text) or not MIN_DURATION <= int(text) <= most:
        raise ApiError(
            400,
            "InvalidParameter.DurationSeconds",
            f"The Min/Max value of DurationSeconds is 15min/{most / 3600:g}hr.",
        )
    return int(text)


def _wrongly_formed(name: str) -> ApiError:
    return ApiError(400, f"InvalidParameter.{name}", f"The parameter {name} is wrongly formed.")


def _oidc_permission_error(role: Role, provider_arn: str) -> ApiError:
    detail = access_denied_detail(
        _TRUST_POLICY,
        _RAM_ACTION,
        owner=role.session("").account_id,
        principal_type="Federated",
        principal=provider_arn,
    )
    return ApiError(401, "AuthenticationFail.NoPermission", "There is no permission", detail)
