"""Roles, tokens and files that the emulator issues keys for, as the credentials of a connection."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.api.client import ImsClient
from airflow_provider_ims.api.protocol import ApiRequest
from airflow_provider_ims.connection.access_key import AccessKey
from airflow_provider_ims.connection.credentials import (
    Credentials,
    CredentialsUri,
    EcsRole,
    OidcRole,
    RamRole,
)
from airflow_provider_ims.connection.settings import ImsSettings

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_ims.api.fetch import FetchedKey
    from airflow_provider_ims.emulator.process import EmulatorProcess

ACCOUNT = "acs:ram::1234567890123456"
LIST = "QueryCopyrightJobList"
SUBMIT = "SubmitCopyrightExtractJob"


@dataclass
class Identities:
    """What the emulator knows: the role ``worker``, the OIDC provider ``ack``, an instance and a credentials URI.

    :param emulator: the emulator
    :param home: the home directory, which may hold tokens
    """

    emulator: EmulatorProcess
    home: Path
    uri: str = field(init=False)

    def __post_init__(self) -> None:
        self.emulator.put_role("worker", trusted=["emulator", "ack", "base"], max_session_duration=7200)
        self.emulator.put_role("base")
        self.emulator.put_oidc_provider("ack")
        self.emulator.put_instance_role("base", imds_v1=False)
        self.uri = self.emulator.put_credentials_uri("mine", role="base") + "?query=canaryquery"

    @property
    def key(self) -> AccessKey:
        """The fixed key."""
        return AccessKey(self.emulator.access_key_id, self.emulator.access_key_secret)

    @property
    def token_file(self) -> str:
        """The file of the OIDC token."""
        return str(self.home / "token")

    def write_token(self, text: str | None = None, **claims: Any) -> str:
        """Write a token into the file, a new one of the emulator by default, and return it."""
        token = self.emulator.oidc_token("ack", **claims) if text is None else text
        (self.home / "token").write_text(token)
        return token

    def ram(self, base: Any = None, **options: Any) -> RamRole:
        """Return the role ``worker`` over another identity, the fixed key by default."""
        arguments = {"role_arn": f"{ACCOUNT}:role/worker", "sts_endpoint": self.emulator.endpoint, **options}
        return RamRole(base=base or self.key, **arguments)

    def oidc(self, role: str = "base", **options: Any) -> OidcRole:
        """Return a role over the OIDC token in the file."""
        arguments: dict[str, Any] = {
            "role_arn": f"{ACCOUNT}:role/{role}",
            "oidc_provider_arn": f"{ACCOUNT}:oidc-provider/ack",
            "token_file": self.token_file,
            "sts_endpoint": self.emulator.endpoint,
        }
        return OidcRole(**{**arguments, **options})

    def temporary_key(self) -> AccessKey:
        """Return keys of the role ``base``."""
        return asyncio.run(fetch(self.settings(self.ram(role_arn=f"{ACCOUNT}:role/base")))).key

    def kinds(self) -> dict[str, Credentials]:
        """Return a credential of each kind that a service issues keys for."""
        self.write_token()
        return {
            "RAM role over a key": self.ram(),
            "RAM role over OIDC": self.ram(self.oidc()),
            "RAM role over ECS": self.ram(EcsRole("base")),
            "RAM role over a RAM role": self.ram(self.ram(role_arn=f"{ACCOUNT}:role/base")),
            "OIDC role": self.oidc(),
            "ECS role": EcsRole(),
            "ECS role by name": EcsRole("base"),
            "ECS role, version 1 allowed": EcsRole("base", allow_imds_v1=True),
            "credentials URI": CredentialsUri(self.uri),
        }

    def settings(self, credentials: Credentials, **options: Any) -> ImsSettings:
        """Return the settings of a connection to the emulator."""
        arguments = {"connect_timeout": 2.0, "read_timeout": 2.0, **options}
        return ImsSettings("ims_test", self.emulator.region, self.emulator.endpoint, credentials, **arguments)

    def actions(self) -> list[tuple[str, str]]:
        """Return action and code of all requests since the last call."""
        done = [(record["action"], record["code"]) for record in self.emulator.requests()]
        new = done[self._seen :]
        self._seen = len(done)
        return new

    _seen: int = field(default=0, init=False)

    def identity(self) -> str:
        """Return who made the newest key: the name of the session's role."""
        return str(self.emulator.access_keys()[-1]["identity"]).rpartition(":")[2]

    def connection(self, **extra: Any) -> str:
        """Return a connection without keys as JSON."""
        connection = self.emulator.connection(**extra)
        del connection["login"], connection["password"]
        return json.dumps(connection)

    def connection_of_role(self, **extra: Any) -> str:
        """Return a connection with the role ``worker`` over the fixed key as JSON."""
        return self.emulator.connection_json(
            role_arn=f"{ACCOUNT}:role/worker", sts_endpoint=self.emulator.endpoint, **extra
        )


async def call(settings: ImsSettings, action: str = LIST) -> dict[str, Any]:
    """Call IMS once with a client of its own."""
    async with ImsClient(settings) as client:
        return await client.call(ApiRequest(action, {}))


async def fetch(settings: ImsSettings) -> FetchedKey:
    """Return the keys that a client of its own gets."""
    async with ImsClient(settings) as client:
        await client.keys.current()
        assert client.keys.fetched is not None
        return client.keys.fetched
