"""The identity that signs requests: one frozen specification for each kind of credential."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.connection.fields import AUTH_TYPES
from airflow_provider_ims.connection.values import choice, field_name, plain_text
from airflow_provider_ims.exceptions import ImsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.providers.common.compat.sdk import Connection

ALIBABA_CLOUD_KEY_FIELDS = ("access_key_id", "access_key_secret")
"""Extras in which a connection of apache-airflow-providers-alibaba has its key pair."""


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
            f"{where} has an {field_name('security_token')}, and the value access_key of {field_name('auth_type')} "
            "does not use one.",
            advice="Choose sts there, or empty the token.",
        )
    return _key_pair(connection, extra, where)


def _sts(connection: Connection, extra: Mapping[str, Any], where: str) -> AccessKey:
    if "security_token" not in extra:
        raise ImsConfigurationError(
            f"{where}: {field_name('auth_type')} is sts, and there is no security token.",
            advice=f"Fill in {field_name('security_token')}, or choose access_key if the keys are not temporary.",
        )
    pair = _key_pair(connection, extra, where)
    token = plain_text(extra["security_token"], field_name("security_token"), where)
    return AccessKey(pair.key_id, pair.secret, token)


def _key_pair(connection: Connection, extra: Mapping[str, Any], where: str) -> AccessKey:
    in_fields = (connection.login, connection.password)
    in_extras = tuple(extra.get(name) for name in ALIBABA_CLOUD_KEY_FIELDS)
    if any(in_fields) and any(in_extras):
        # Two identities, or two halves that may not belong together.
        raise ImsConfigurationError(
            f"{where} has keys in Login or Password, and also in the extra {' or '.join(ALIBABA_CLOUD_KEY_FIELDS)}.",
            advice="Keep one pair, both of its parts, and empty the two other fields.",
        )
    labels = [f"the Access key {part}" for part in ("ID", "secret")]
    if any(in_extras):
        labels = [f"{label} (extra {name})" for label, name in zip(labels, ALIBABA_CLOUD_KEY_FIELDS, strict=True)]
    pair = in_extras if any(in_extras) else in_fields
    if missing := " and ".join(label for label, value in zip(labels, pair, strict=True) if not value):
        raise ImsConfigurationError(
            f"{where} lacks {missing}.", advice="Fill in both; nothing is taken from the environment."
        )
    key_id, secret = (
        plain_text(value, label.removeprefix("the "), where) for label, value in zip(labels, pair, strict=True)
    )
    return AccessKey(key_id, secret)


_KINDS: dict[str, Callable[[Connection, Mapping[str, Any], str], AccessKey]] = {
    "access_key": _access_key,
    "sts": _sts,
}
"""One parser for each ``auth_type``; a new kind of credential is a row here and in ``AUTH_TYPES``."""
