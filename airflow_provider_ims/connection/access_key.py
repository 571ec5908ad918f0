"""A key pair: what signs requests. Most connections have one, so the other kinds of credentials are apart from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.connection.values import field_name, plain_text

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = ("login", "password")
"""The fields of the key pair. A connection of type ``alibaba_cloud`` may have them in extras, by other names."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key pair, with a security token if the keys are temporary keys of STS."""

    key_id: str
    secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)

    @property
    def description(self) -> str:
        """The identity in words, without a secret."""
        return "an access key" if self.security_token is None else "a temporary access key"


def parse_access_key(values: Mapping[str, Any], names: Mapping[str, str], where: str) -> AccessKey:
    """Return the key pair of a connection.

    :param values: its filled fields
    :param names: what messages call the two fields of the pair, and the token if it is not that of the form
    :param where: the connection, for messages
    :raises ImsConfigurationError: if a part is no key
    """
    key_id, secret = (plain_text(values[name], names[name].removeprefix("the "), where) for name in KEYS)
    token = values.get("security_token")
    if token is not None:
        token = plain_text(token, names.get("security_token") or field_name("security_token"), where)
    return AccessKey(key_id, secret, token)
