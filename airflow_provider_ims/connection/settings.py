"""From an Airflow connection to validated settings.

Extras are an allow-list and nothing is completed from the worker's environment: the SDK fills gaps of a connection
from environment variables, and the task would then run with another identity.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_ims.connection.endpoint import is_loopback, parse_endpoint, parse_region, parse_sts_endpoint
from airflow_provider_ims.connection.environment import AS_JSON
from airflow_provider_ims.connection.fields import (
    CONN_FIELDS,
    CONN_NAME,
    CONN_TYPE,
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_MAX_REQUESTS_PER_SECOND,
    DEFAULT_READ_TIMEOUT,
    HIGHEST_MAX_REQUESTS_PER_SECOND,
    NETWORKS,
)
from airflow_provider_ims.connection.parser import ALIBABA_CLOUD_KEY_FIELDS, parse_credentials
from airflow_provider_ims.connection.values import choice, number, parse_extra, seconds
from airflow_provider_ims.exceptions import ImsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_ims.connection.credentials import Credentials

ALIBABA_CLOUD_CONN_TYPE = "alibaba_cloud"
"""Connection type of apache-airflow-providers-alibaba."""
_ALIBABA_CLOUD_EXTRAS = (*ALIBABA_CLOUD_KEY_FIELDS, "region", "endpoint")
"""Its extras beside ``auth_type``. The ``endpoint``, like Schema (a bucket), is about OSS: not used here."""
_FIELDS_OF_EXTRAS = {
    **dict(zip(ALIBABA_CLOUD_KEY_FIELDS, ("Access key ID (login)", "Access key secret (password)"), strict=True)),
    "endpoint": "Endpoint (host)",
}
"""Extras whose value belongs into a field of the connection."""
_TYPE = re.compile(r"[a-z_]{1,20}")
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class ImsSettings:
    """A parsed connection.

    :param conn_id: id of the Airflow connection, for messages
    :param region: region of the jobs
    :param endpoint: scheme, host and perhaps port of the service, such as ``https://ice.cn-shanghai.aliyuncs.com``
    :param credentials: where the keys come from that sign the requests
    :param sts_endpoint: scheme, host and perhaps port of the Security Token Service, from which the connection test
        requests the identity; empty if it is not known
    :param connect_timeout: seconds for DNS, TCP and TLS; asyncio ends a TLS handshake after 60 s in any case
    :param read_timeout: seconds for the response
    :param max_requests_per_second: most requests that one process sends in a second
    """

    conn_id: str
    region: str
    endpoint: str
    credentials: Credentials
    sts_endpoint: str = ""
    connect_timeout: float = DEFAULT_CONNECT_TIMEOUT
    read_timeout: float = DEFAULT_READ_TIMEOUT
    max_requests_per_second: float = DEFAULT_MAX_REQUESTS_PER_SECOND

    @property
    def is_loopback(self) -> bool:
        """Whether the endpoint is on this machine, as the emulator is."""
        return is_loopback(urlsplit(self.endpoint).hostname or "")


def parse_connection(connection: Connection, region: str | None = None) -> ImsSettings:
    """Validate a connection.

    :param connection: an Airflow connection of type ``ims`` or ``alibaba_cloud``
    :param region: the caller's region, which wins over the connection's
    :raises ImsConfigurationError: if anything in it is missing, contradictory or unknown; names the field, never a
        value that could be secret
    """
    where = f"Connection {connection.conn_id!r}"
    if not connection.conn_type:
        raise ImsConfigurationError(f"{where} has no type.", advice=AS_JSON)
    if connection.conn_type not in {CONN_TYPE, ALIBABA_CLOUD_CONN_TYPE}:
        # A URI without a scheme has its user name here.
        kind = f"the type {connection.conn_type!r}" if _TYPE.fullmatch(connection.conn_type) else "the type"
        raise ImsConfigurationError(
            f"{where} has {kind} of another service.",
            advice=f"Use a connection of the type {CONN_TYPE!r} ({CONN_NAME}) or {ALIBABA_CLOUD_CONN_TYPE!r}: pass its "
            "id as ims_conn_id.",
        )
    if connection.schema and connection.conn_type == CONN_TYPE:
        raise ImsConfigurationError(
            f"{where} has a Schema, which is not used.",
            advice="Empty it. The form shows Schema only while another type, such as Generic, is chosen.",
        )
    extra = _filled_extras(connection, where)
    chosen_region = parse_region(region, extra.get("region_id"), where)
    network = choice(extra, "network", NETWORKS, where)
    endpoint = parse_endpoint(connection, chosen_region, network, where)
    return ImsSettings(
        conn_id=connection.conn_id,
        region=chosen_region,
        endpoint=endpoint,
        credentials=parse_credentials(
            connection, extra, region=chosen_region, network=network, endpoint=endpoint, where=where
        ),
        sts_endpoint=parse_sts_endpoint(extra.get("sts_endpoint"), chosen_region, network, endpoint, where),
        connect_timeout=seconds(extra, "connect_timeout", DEFAULT_CONNECT_TIMEOUT, where),
        read_timeout=seconds(extra, "read_timeout", DEFAULT_READ_TIMEOUT, where),
        max_requests_per_second=number(
            extra,
            "max_requests_per_second",
            DEFAULT_MAX_REQUESTS_PER_SECOND,
            HIGHEST_MAX_REQUESTS_PER_SECOND,
            where,
        ),
    )


def _filled_extras(connection: Connection, where: str) -> dict[str, Any]:
    """Return the extras that are filled in; the form saves an empty field as null or as an empty string."""
    extra = parse_extra(connection.extra, where)
    is_of_alibaba_provider = connection.conn_type == ALIBABA_CLOUD_CONN_TYPE
    known = [*CONN_FIELDS, *(_ALIBABA_CLOUD_EXTRAS if is_of_alibaba_provider else ())]
    if unknown := sorted(extra.keys() - set(known)):
        names = ", ".join(repr(name[:_LONGEST_NAME]) for name in unknown)
        raise ImsConfigurationError(
            f"{where} has the unknown extra {names}.", advice=_advice_about(unknown, connection, extra, known)
        )
    filled = {key: value for key, value in extra.items() if value is not None and value != ""}
    return _without_other_names(filled, where) if is_of_alibaba_provider else filled


def _advice_about(unknown: list[str], connection: Connection, extra: Mapping[str, Any], known: list[str]) -> str:
    """Say what to do with unknown extras: one that only has the wrong name would be missed."""
    advice, others = [], []
    for name in unknown:
        similar = [one for one in difflib.get_close_matches(name.lower(), known) if not extra.get(one)]
        if name in ALIBABA_CLOUD_KEY_FIELDS or (name == "endpoint" and not connection.host):
            advice.append(f"Move {name} to {_FIELDS_OF_EXTRAS[name]}.")
        elif similar and name not in _FIELDS_OF_EXTRAS:
            advice.append(f"Rename {name[:_LONGEST_NAME]} to {similar[0]}.")
        else:
            others.append(name)
    if others:
        what = "it" if len(unknown) == 1 else "the others" if advice else "them"
        advice.append(f"Remove {what}; known are: {', '.join(known)}.")
    return " ".join(advice)


def _without_other_names(extra: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the extras of a connection of apache-airflow-providers-alibaba by the names of this provider."""
    extra = dict(extra)
    region = extra.pop("region", None)
    if region is not None and extra.setdefault("region_id", region) != region:
        raise ImsConfigurationError(
            f"{where} has different regions in the extras region and region_id.", advice="Remove one of them."
        )
    # That provider knows this value only; it says that the keys are in the extras.
    if extra.get("auth_type") == "AK":
        del extra["auth_type"]
    return extra
