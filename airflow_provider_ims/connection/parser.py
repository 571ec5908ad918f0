"""From the fields of a connection to the specification of its credentials.

Nothing is read but the connection, and nothing is completed from the environment of the process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ims.connection.access_key import KEYS, parse_access_key
from airflow_provider_ims.connection.fields import AUTH_TYPES
from airflow_provider_ims.connection.kinds import CREDENTIAL_FIELDS, find_kind
from airflow_provider_ims.connection.values import choice, flag
from airflow_provider_ims.exceptions import ImsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_ims.connection.credentials import Credentials

ALIBABA_CLOUD_KEY_FIELDS = ("access_key_id", "access_key_secret")
"""Extras in which a connection of apache-airflow-providers-alibaba has its key pair."""
_KEY_NAMES = ("the Access key ID", "the Access key secret")


def parse_credentials(
    connection: Connection, extra: Mapping[str, Any], *, region: str, network: str, endpoint: str, where: str
) -> Credentials:
    """Return the credentials of a connection.

    :param connection: the Airflow connection
    :param extra: its extras that are filled in
    :param region: region of the jobs, for the endpoint of STS
    :param network: ``public`` or ``vpc``, for the endpoint of STS
    :param endpoint: the endpoint of IMS, which is that of STS if it is on this machine
    :param where: the connection, for messages
    :raises ImsConfigurationError: if a field is missing, is wrong, or does not belong to the kind of credential
    """
    auth_type = choice(extra, "auth_type", AUTH_TYPES, where)
    keys, names = _keys(connection, extra, where)
    values = {name: value for name, value in {**extra, **keys}.items() if name in CREDENTIAL_FIELDS}
    if not flag(extra, "ecs_imds_v1", where):
        # A form of Airflow before 3.2 saves a box that is not ticked.
        values.pop("ecs_imds_v1", None)
    return _specification(auth_type, values, names, where, region=region, network=network, endpoint=endpoint)


def parse_profile(auth_type: str, values: Mapping[str, Any], names: Mapping[str, str], where: str) -> Credentials:
    """Return the credentials of a profile.

    :param auth_type: the kind of credential
    :param values: its fields by the names of a connection, those that are filled in; STS is ``sts_endpoint``
    :param names: what the profile calls these fields, and the kind: ``auth_type``
    :param where: the profile, for messages
    :raises ImsConfigurationError: if a field is missing, is wrong, or does not belong to the kind of credential
    """
    return _specification(auth_type, values, {**dict(zip(KEYS, _KEY_NAMES, strict=True)), **names}, where)


def _specification(
    auth_type: str,
    values: Mapping[str, Any],
    names: Mapping[str, str],
    where: str,
    *,
    region: str = "",
    network: str = "public",
    endpoint: str = "",
) -> Credentials:
    kind = find_kind(auth_type, values.keys(), names, where)
    if kind.auth_type in {"access_key", "sts"}:
        return parse_access_key(values, names, where)
    from airflow_provider_ims.connection.specifications import specify  # noqa: PLC0415 - slow to load

    return specify(kind.auth_type, values, names, where, region=region, network=network, endpoint=endpoint)


def _keys(connection: Connection, extra: Mapping[str, Any], where: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the parts of the key pair that are filled in, and what messages call them."""
    in_fields = (connection.login, connection.password)
    in_extras = tuple(extra.get(name) for name in ALIBABA_CLOUD_KEY_FIELDS)
    if any(in_fields) and any(in_extras):
        # Two identities, or two halves that may not belong together.
        raise ImsConfigurationError(
            f"{where} has keys in Login or Password, and also in the extra {' or '.join(ALIBABA_CLOUD_KEY_FIELDS)}.",
            advice="Keep one pair, both of its parts, and empty the two other fields.",
        )
    pair = zip(KEYS, in_extras if any(in_extras) else in_fields, strict=True)
    extras = [f" (extra {name})" if any(in_extras) else "" for name in ALIBABA_CLOUD_KEY_FIELDS]
    names = [f"{name}{place}" for name, place in zip(_KEY_NAMES, extras, strict=True)]
    return {name: value for name, value in pair if value}, dict(zip(KEYS, names, strict=True))
