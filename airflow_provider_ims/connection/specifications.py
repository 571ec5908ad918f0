"""What the fields of a connection mean for each kind of credential but a key pair, which most connections have."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow_provider_ims.connection.access_key import AccessKey, parse_access_key
from airflow_provider_ims.connection.credentials import (
    Credentials,
    CredentialsUri,
    DefaultChain,
    EcsRole,
    OidcRole,
    Profile,
    RamRole,
)
from airflow_provider_ims.connection.endpoint import parse_credentials_uri, parse_sts_endpoint
from airflow_provider_ims.connection.fields import (
    DEFAULT_PROFILE_NAME,
    DEFAULT_SESSION_DURATION,
    DEFAULT_SESSION_NAME,
    MAX_POLICY_LENGTH,
    MAX_SESSION_DURATION,
    MIN_SESSION_DURATION,
    PROFILE_SOURCES,
)
from airflow_provider_ims.connection.values import choice, field_name, is_utf8, matching_text, whole_number
from airflow_provider_ims.exceptions import ImsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# RAM documents letters, digits, "." and "-" for the name of a role; service-linked roles and OIDC providers have "_"
# too. The name becomes a part of a path of the metadata service, so it must not be "." or "..".
_NAME = r"(?!\.{1,2}$)[\w.-]"
_ROLE_NAME = re.compile(rf"{_NAME}{{1,64}}", re.ASCII)
_ROLE_ARN = re.compile(rf"acs:ram::[0-9]{{1,20}}:role/{_NAME}{{1,64}}", re.ASCII)
_PROVIDER_ARN = re.compile(rf"acs:ram::[0-9]{{1,20}}:oidc-provider/{_NAME}{{1,128}}", re.ASCII)
_SESSION_NAME = re.compile(r"[\w.@-]{2,64}", re.ASCII)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_NO_CONTROL = r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]"
# Which directories are allowed is checked when the file is read.
_TOKEN_FILE = re.compile(rf"(?!(?:.*/)?\.\.(?:/|$))/{_NO_CONTROL}{{1,4095}}")
_PROFILE_NAME = re.compile(rf"{_NO_CONTROL}{{1,128}}")


def specify(
    auth_type: str,
    values: Mapping[str, Any],
    names: Mapping[str, str],
    where: str,
    *,
    region: str,
    network: str,
    endpoint: str,
) -> Credentials:
    """Return the specification of credentials that are no key pair.

    :param auth_type: the kind of credential, which the filled fields fit
    :param values: the filled fields
    :param names: what messages call the two fields of the key pair, and others that are not those of the form
    :param where: the connection, for messages
    :param region: region of the jobs, for the endpoint of STS
    :param network: ``public`` or ``vpc``, for the endpoint of STS
    :param endpoint: the endpoint of IMS, which is that of STS if it is on this machine
    :raises ImsConfigurationError: if a field is wrong
    """
    return _SPECIFICATIONS[auth_type](_Fields(values, names, where, region, network, endpoint))


@dataclass(frozen=True, slots=True)
class _Fields:
    """The filled fields of a connection whose kind of credential is known, and so which of them there are."""

    values: Mapping[str, Any]
    names: Mapping[str, str]
    where: str
    region: str
    network: str
    endpoint: str

    def ram_role(self) -> RamRole:
        base: AccessKey | OidcRole | EcsRole
        if "oidc_role_arn" in self.values:
            # Limits of the session are those of the assumed role: a policy for it would not let the base assume it.
            base = OidcRole(
                role_arn=self._arn("oidc_role_arn"),
                oidc_provider_arn=self._provider_arn(),
                token_file=self._token_file(),
                sts_endpoint=self._sts_endpoint(),
                session_name=self._session_name(),
            )
        elif "ecs_role_name" in self.values:
            base = self.ecs_role()
        else:
            base = parse_access_key(self.values, self.names, self.where)
        return RamRole(
            base=base,
            role_arn=self._arn("role_arn"),
            sts_endpoint=self._sts_endpoint(),
            session_name=self._session_name(),
            duration=self._duration(),
            policy=self._policy(),
            external_id=self._text(
                "role_external_id", _EXTERNAL_ID, "2 to 1224 letters, digits and characters of + = , . @ : / - _"
            ),
        )

    def oidc_role(self) -> OidcRole:
        return OidcRole(
            role_arn=self._arn("role_arn"),
            oidc_provider_arn=self._provider_arn(),
            token_file=self._token_file(),
            sts_endpoint=self._sts_endpoint(),
            session_name=self._session_name(),
            duration=self._duration(),
            policy=self._policy(),
        )

    def ecs_role(self) -> EcsRole:
        expected = "the name of a role, not its ARN: 1 to 64 letters, digits and characters of . - _"
        return EcsRole(self._text("ecs_role_name", _ROLE_NAME, expected), allow_imds_v1="ecs_imds_v1" in self.values)

    def credentials_uri(self) -> CredentialsUri:
        return CredentialsUri(parse_credentials_uri(self.values["secret_credentials_uri"], self.where))

    def profile(self) -> Profile:
        source = cast("Literal['ini', 'cli']", choice(self.values, "profile_source", PROFILE_SOURCES, self.where))
        name = self._text("profile_name", _PROFILE_NAME, "1 to 128 characters, no control characters")
        return Profile(source, name or DEFAULT_PROFILE_NAME)

    def _name(self, name: str) -> str:
        return self.names.get(name) or field_name(name)

    def _text(self, name: str, pattern: re.Pattern[str], expected: str) -> str | None:
        """Return a field of a certain form, None if it is empty."""
        if name not in self.values:
            return None
        return matching_text(self.values[name], pattern, expected, self._name(name), self.where)

    def _needed(self, name: str, pattern: re.Pattern[str], expected: str) -> str:
        return matching_text(self.values[name], pattern, expected, self._name(name), self.where)

    def _arn(self, name: str) -> str:
        return self._needed(name, _ROLE_ARN, "the ARN of a RAM role: acs:ram::<account id>:role/<role name>")

    def _provider_arn(self) -> str:
        expected = "the ARN of an OIDC provider in RAM: acs:ram::<account id>:oidc-provider/<name>"
        return self._needed("oidc_provider_arn", _PROVIDER_ARN, expected)

    def _token_file(self) -> str:
        expected = "an absolute path without .. and control characters, such as /var/run/secrets/token"
        return self._needed("oidc_token_file", _TOKEN_FILE, expected)

    def _sts_endpoint(self) -> str:
        value = self.values.get("sts_endpoint")
        return parse_sts_endpoint(value, self.region, self.network, self.endpoint, self.where)

    def _session_name(self) -> str:
        expected = "2 to 64 letters, digits and characters of . @ - _"
        return self._text("role_session_name", _SESSION_NAME, expected) or DEFAULT_SESSION_NAME

    def _duration(self) -> int:
        return whole_number(
            self.values,
            "role_session_duration",
            DEFAULT_SESSION_DURATION,
            (MIN_SESSION_DURATION, MAX_SESSION_DURATION),
            self.where,
            label=self._name("role_session_duration"),
            unit="whole seconds",
        )

    def _policy(self) -> str | None:
        """Return the policy as text; in JSON, people write it as an object too."""
        value = self.values.get("role_policy")
        if value is None:
            return None
        problem = f"{self.where}: {self._name('role_policy')}"
        try:
            text = value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            is_policy = isinstance(json.loads(text), dict) and is_utf8(text)
        except (ValueError, RecursionError):
            is_policy = False
        if not is_policy:
            raise ImsConfigurationError(
                f"{problem} is not a JSON object.", advice="Give the JSON of a RAM policy, or empty it."
            )
        if len(text) > MAX_POLICY_LENGTH:
            raise ImsConfigurationError(
                f"{problem} has more than {MAX_POLICY_LENGTH} characters.", advice="Shorten it; white space counts."
            )
        return text


_SPECIFICATIONS: dict[str, Callable[[_Fields], Credentials]] = {
    "ram_role_arn": _Fields.ram_role,
    "oidc_role_arn": _Fields.oidc_role,
    "ecs_ram_role": _Fields.ecs_role,
    "credentials_uri": _Fields.credentials_uri,
    "profile": _Fields.profile,
    "default_chain": lambda _: DefaultChain(),
}
"""For each kind of credential but the key pairs, what its fields become."""
