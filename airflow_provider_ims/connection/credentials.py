"""The identity that signs requests: one frozen specification for each kind of credential.

A specification says where keys come from, not what they are now: getting and refreshing them needs I/O, and is not done
here. Its ``description`` is for logs and has no secret. A connection with a key pair does not need to load this module.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_ims.connection.access_key import AccessKey
from airflow_provider_ims.connection.fields import (
    DEFAULT_PROFILE_NAME,
    DEFAULT_SESSION_DURATION,
    DEFAULT_SESSION_NAME,
)


@dataclass(frozen=True, slots=True)
class OidcRole:
    """A RAM role that an OIDC token gets, as a pod does with RRSA.

    :param role_arn: the role
    :param oidc_provider_arn: the identity provider in RAM that issued the token
    :param token_file: absolute path of the file with the token, which is replaced from time to time
    :param sts_endpoint: scheme, host and perhaps port of STS
    :param session_name: name of the session
    :param duration: lifetime of the temporary keys, in seconds
    :param policy: a RAM policy as JSON that limits the session, None for no further limit
    """

    role_arn: str
    oidc_provider_arn: str
    token_file: str
    sts_endpoint: str
    session_name: str = DEFAULT_SESSION_NAME
    duration: int = DEFAULT_SESSION_DURATION
    policy: str | None = None

    @property
    def description(self) -> str:
        """The identity in words, without a secret."""
        return f"RAM role {self.role_arn} over the OIDC provider {self.oidc_provider_arn}"


@dataclass(frozen=True, slots=True)
class EcsRole:
    """The RAM role of the ECS instance, from its metadata service.

    :param role_name: name of the role, None for the one that the metadata service names
    :param allow_imds_v1: whether version 1 of the metadata service, which needs no token, may be used
    """

    role_name: str | None = None
    allow_imds_v1: bool = False

    @property
    def description(self) -> str:
        """The identity in words, without a secret."""
        return "the RAM role of the ECS instance" + ("" if self.role_name is None else f" ({self.role_name})")


@dataclass(frozen=True, slots=True)
class RamRole:
    """A RAM role that another identity assumes.

    :param base: the identity that assumes the role
    :param role_arn: the role
    :param sts_endpoint: scheme, host and perhaps port of STS
    :param session_name: name of the session
    :param duration: lifetime of the temporary keys, in seconds
    :param policy: a RAM policy as JSON that limits the session, None for no further limit
    :param external_id: the ExternalId that the trust policy of the role requires, None for none
    """

    base: AccessKey | OidcRole | EcsRole | RamRole
    role_arn: str
    sts_endpoint: str
    session_name: str = DEFAULT_SESSION_NAME
    duration: int = DEFAULT_SESSION_DURATION
    policy: str | None = None
    external_id: str | None = field(default=None, repr=False)

    @property
    def description(self) -> str:
        """The identity in words, without a secret."""
        return f"RAM role {self.role_arn} over {self.base.description}"


@dataclass(frozen=True, slots=True)
class CredentialsUri:
    """A URL that returns temporary keys.

    :param uri: the URL; its query may be a secret
    """

    uri: str = field(repr=False)

    @property
    def description(self) -> str:
        """The identity in words, without a secret."""
        return "the keys of a credentials URI"


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile of a file on the machine that runs the task.

    :param source: ``ini`` for ``~/.alibabacloud/credentials.ini``, ``cli`` for the file of the Alibaba Cloud CLI
    :param name: name of the profile
    :param file: another file than that of the source, which only the default chain can name; None for none
    """

    source: Literal["ini", "cli"] = "ini"
    name: str = DEFAULT_PROFILE_NAME
    file: str | None = None

    @property
    def description(self) -> str:
        """The identity in words, without a secret."""
        where = "the Alibaba Cloud CLI" if self.source == "cli" else "credentials.ini"
        return f"profile {self.name!r} of {where}" if self.name else f"the current profile of {where}"


@dataclass(frozen=True, slots=True)
class DefaultChain:
    """Whatever the SDK's default chain finds on the machine that runs the task."""

    @property
    def description(self) -> str:
        """The identity in words, without a secret."""
        return "the default credentials chain"


Credentials = AccessKey | RamRole | OidcRole | EcsRole | CredentialsUri | Profile | DefaultChain
"""Any kind of credential."""


def given_keys(credentials: Credentials) -> tuple[AccessKey, ...]:
    """Return the keys that are in the connection itself."""
    if isinstance(credentials, RamRole):
        return given_keys(credentials.base)
    return (credentials,) if isinstance(credentials, AccessKey) else ()
