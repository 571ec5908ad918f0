"""The identity that signs requests: one frozen specification for each kind of credential."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.connection.fields import AUTH_TYPES
from airflow_provider_ims.connection.values import choice, plain_text
from airflow_provider_ims.exceptions import ImsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.providers.common.compat.sdk import Connection


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key pair, with a security token if the keys are temporary keys of STS."""

    key_id: str
    secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)


def parse_credentials(connection: Connection, extra: Mapping[str, Any], where: str) -> AccessKey:
    """Return the credentials of a connection.

    :param connection: the Airflow connection
    :param extra: its extras that are filled in
    :param where: the connection, for messages
    :raises ImsConfigurationError: if a part is missing or does not belong to the kind of credential
    """
    auth_type = choice(extra, "auth_type", AUTH_TYPES, where)
    if auth_type == "auto":
        auth_type = "sts" if "security_token" in extra else "access_key"
    return _KINDS[auth_type](connection, extra, where)


def _access_key(connection: Connection, extra: Mapping[str, Any], where: str) -> AccessKey:
    if "security_token" in extra:
        raise ImsConfigurationError(
            f"{where} has a security token, and auth_type access_key does not use one. "
            "Choose auth_type sts, or remove the token."
        )
    return _key_pair(connection, extra, where)


def _sts(connection: Connection, extra: Mapping[str, Any], where: str) -> AccessKey:
    if "security_token" not in extra:
        raise ImsConfigurationError(f"{where} has auth_type sts and no security token. Fill in the STS security token.")
    pair = _key_pair(connection, extra, where)
    return AccessKey(pair.key_id, pair.secret, plain_text(extra["security_token"], "security_token", where))


def _key_pair(connection: Connection, extra: Mapping[str, Any], where: str) -> AccessKey:
    key_id = connection.login or extra.get("access_key_id")
    secret = connection.password or extra.get("access_key_secret")
    if not key_id or not secret:
        missing = " and ".join(
            label for label, value in (("the Access key ID", key_id), ("the Access key secret", secret)) if not value
        )
        raise ImsConfigurationError(f"{where} lacks {missing}. Fill in both; nothing is taken from the environment.")
    return AccessKey(plain_text(key_id, "Access key ID", where), plain_text(secret, "Access key secret", where))


_KINDS: dict[str, Callable[[Connection, Mapping[str, Any], str], AccessKey]] = {
    "access_key": _access_key,
    "sts": _sts,
}
"""One parser for each ``auth_type``; a new kind of credential is a row here and in ``AUTH_TYPES``."""
