"""From an Airflow connection to validated settings.

Extras are an allow-list and nothing is completed from the worker's environment: a half-filled connection would
otherwise run with somebody else's identity, because the SDK fills gaps from environment variables without a word.
"""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from airflow_provider_ims.connection.fields import (
    AUTH_TYPES,
    CONN_FIELDS,
    CONN_TYPE,
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_MAX_REQUESTS_PER_SECOND,
    DEFAULT_READ_TIMEOUT,
    HIGHEST_MAX_REQUESTS_PER_SECOND,
    MAX_TIMEOUT,
    NETWORKS,
    REGIONS,
)
from airflow_provider_ims.exceptions import ImsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.providers.common.compat.sdk import Connection

ALIBABA_CLOUD_CONN_TYPE = "alibaba_cloud"
"""Connection type of apache-airflow-providers-alibaba; it keeps the key pair in two extras."""
ALIBABA_CLOUD_KEY_FIELDS = ("access_key_id", "access_key_secret")

_REGION = re.compile(r"[a-z]{2}(-[a-z0-9]+)+")
_SERVICE_HOST = re.compile(r"ice(?:-vpc)?\.(?P<region>[a-z0-9-]+)\.aliyuncs\.com")


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key pair, with a security token where the keys are temporary ones of STS."""

    key_id: str
    secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ImsSettings:
    """A parsed connection.

    :param conn_id: id of the Airflow connection, for messages
    :param region: region of the jobs
    :param endpoint: scheme, host and perhaps port of the service, such as ``https://ice.cn-shanghai.aliyuncs.com``
    :param credentials: the identity that signs the requests
    :param connect_timeout: seconds for DNS, TCP and TLS
    :param read_timeout: seconds for the answer
    :param max_requests_per_second: most requests that one process sends in a second
    """

    conn_id: str
    region: str
    endpoint: str
    credentials: AccessKey
    connect_timeout: float = DEFAULT_CONNECT_TIMEOUT
    read_timeout: float = DEFAULT_READ_TIMEOUT
    max_requests_per_second: float = DEFAULT_MAX_REQUESTS_PER_SECOND

    @property
    def is_loopback(self) -> bool:
        """Whether the endpoint is on this machine, as the emulator is."""
        return _is_loopback(urlsplit(self.endpoint).hostname or "")


def parse_connection(connection: Connection, region: str | None = None) -> ImsSettings:
    """Validate a connection.

    :param connection: an Airflow connection of type ``ims`` or ``alibaba_cloud``
    :param region: the caller's region, which wins over the connection's
    :raises ImsConfigurationError: if anything in it is missing, contradictory or unknown; names the field, never a
        value that could be secret
    """
    where = f"Connection {connection.conn_id!r}"
    if connection.conn_type not in {CONN_TYPE, ALIBABA_CLOUD_CONN_TYPE}:
        raise ImsConfigurationError(
            f"{where} has the type {connection.conn_type!r}. Choose the type {CONN_TYPE!r} (Alibaba Cloud IMS) "
            f"or {ALIBABA_CLOUD_CONN_TYPE!r}."
        )
    extra = _extra(connection, where)
    chosen_region = _region(region, extra.get("region_id"), where)
    return ImsSettings(
        conn_id=connection.conn_id,
        region=chosen_region,
        endpoint=_endpoint(connection, chosen_region, _choice(extra, "network", NETWORKS, where), where),
        credentials=_credentials(connection, extra, where),
        connect_timeout=_seconds(extra, "connect_timeout", DEFAULT_CONNECT_TIMEOUT, where),
        read_timeout=_seconds(extra, "read_timeout", DEFAULT_READ_TIMEOUT, where),
        max_requests_per_second=_number(
            extra,
            "max_requests_per_second",
            DEFAULT_MAX_REQUESTS_PER_SECOND,
            HIGHEST_MAX_REQUESTS_PER_SECOND,
            where,
        ),
    )


def _extra(connection: Connection, where: str) -> dict[str, Any]:
    """Return the extras that are filled in; the form saves an empty field as null or as an empty string."""
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        raise ImsConfigurationError(f"{where}: its Extra is not valid JSON. Correct it.") from None
    if not isinstance(extra, dict):
        raise ImsConfigurationError(f"{where}: its Extra is not a JSON object. Correct it.")
    known = [*CONN_FIELDS]
    if connection.conn_type == ALIBABA_CLOUD_CONN_TYPE:
        known += ALIBABA_CLOUD_KEY_FIELDS
    if unknown := sorted(extra.keys() - set(known)):
        raise ImsConfigurationError(
            f"{where} has the unknown extra {', '.join(map(repr, unknown))}. Remove it; known are: {', '.join(known)}."
        )
    return {key: value for key, value in extra.items() if value is not None and value != ""}


def _text(value: object, name: str, where: str) -> str:
    """Return a value as text without the white space that pasting adds."""
    text = value.strip() if isinstance(value, str) else ""
    if not text or not text.isprintable() or " " in text:
        raise ImsConfigurationError(
            f"{where}: {name} must be text without spaces or control characters. Paste it again."
        )
    return text


def _choice(extra: Mapping[str, Any], name: str, choices: tuple[str, ...], where: str) -> str:
    """Return one of the choices, the first where the field is empty."""
    value = extra.get(name, choices[0])
    if value not in choices:
        raise ImsConfigurationError(f"{where}: {name} is {value!r}. Choose one of: {', '.join(choices)}.")
    return str(value)


def _seconds(extra: Mapping[str, Any], name: str, default: float, where: str) -> float:
    return _number(extra, name, default, MAX_TIMEOUT, where, unit="seconds")


def _number(
    extra: Mapping[str, Any], name: str, default: float, highest: float, where: str, *, unit: str = "a number"
) -> float:
    value = extra.get(name, default)
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 < number <= highest:
        raise ImsConfigurationError(f"{where}: {name} is {value!r}. Give {unit}, more than 0 and at most {highest:g}.")
    return number


def _region(argument: str | None, extra_value: object, where: str) -> str:
    value = argument or extra_value
    if not value:
        raise ImsConfigurationError(
            f"No region: neither the region argument nor {where} names one. Fill in Region in the connection."
        )
    # The region becomes part of a host name that signed requests go to, so nothing but a region may pass.
    if not isinstance(value, str) or not _REGION.fullmatch(value):
        raise ImsConfigurationError(
            f"The region {value!r} is not a region id. Use one such as {' or '.join(REGIONS[:2])} "
            f"({'the region argument' if argument else where})."
        )
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _endpoint(connection: Connection, region: str, network: str, where: str) -> str:
    """Return the endpoint, always computed here: the SDK's own map sends five of six regions to another host."""
    if connection.schema:
        raise ImsConfigurationError(f"{where}: Schema is not used. Empty it, and write the scheme into Endpoint.")
    if not connection.host:
        if connection.port:
            raise ImsConfigurationError(f"{where} has a port and no Endpoint. Empty it, or fill in Endpoint.")
        if region not in REGIONS:
            raise ImsConfigurationError(
                f"IMS documents no endpoint in the region {region!r}. Use one of {', '.join(REGIONS)}, "
                f"or fill in Endpoint in {where[0].lower()}{where[1:]}."
            )
        return f"https://ice{'-vpc' if network == 'vpc' else ''}.{region}.aliyuncs.com"
    return _explicit_endpoint(connection.host.strip(), connection.port, region, where)


def _explicit_endpoint(endpoint: str, port: int | None, region: str, where: str) -> str:
    problem = f"{where}: Endpoint"  # its value is not repeated: it may hold a password
    url = _split_endpoint(endpoint, problem)
    host = (url.hostname or "").rstrip(".")
    if url.scheme not in {"http", "https"}:
        raise ImsConfigurationError(f"{problem} has a scheme that is not https. Give a host name or an https:// URL.")
    if url.username is not None or url.password is not None:
        raise ImsConfigurationError(f"{problem} has credentials in it. Remove them; keys have fields of their own.")
    if url.path.rstrip("/") or url.query or url.fragment or "?" in endpoint or "#" in endpoint:
        raise ImsConfigurationError(f"{problem} has a path, query or fragment. Give scheme, host and port only.")
    if url.scheme == "http" and not _is_loopback(host):
        raise ImsConfigurationError(
            f"{problem} is http://{host}, which is not this machine. Use https; http is for loopback addresses only."
        )
    if (service_host := _SERVICE_HOST.fullmatch(host)) and service_host["region"] != region:
        raise ImsConfigurationError(
            f"{problem} is in {service_host['region']} and the region is {region}. Jobs run where the endpoint is: "
            f"make both the same, or leave Endpoint empty."
        )
    if port and url.port and port != url.port:
        raise ImsConfigurationError(f"{problem} and Port name different ports. Empty Port.")
    chosen_port = url.port or port
    return f"{url.scheme}://{f'[{host}]' if ':' in host else host}{f':{chosen_port}' if chosen_port else ''}"


def _split_endpoint(endpoint: str, problem: str) -> SplitResult:
    try:
        url = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        valid = bool(url.hostname and re.fullmatch(r"[A-Za-z0-9.:-]+", url.hostname)) and url.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ImsConfigurationError(
            f"{problem} is not a host name or URL. Give one such as ice.cn-shanghai.aliyuncs.com, or leave it empty."
        )
    return url


def _credentials(connection: Connection, extra: Mapping[str, Any], where: str) -> AccessKey:
    auth_type = _choice(extra, "auth_type", AUTH_TYPES, where)
    if auth_type == "auto":
        auth_type = "sts" if "security_token" in extra else "access_key"
    return _CREDENTIALS[auth_type](connection, extra, where)


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
    return AccessKey(pair.key_id, pair.secret, _text(extra["security_token"], "security_token", where))


def _key_pair(connection: Connection, extra: Mapping[str, Any], where: str) -> AccessKey:
    key_id = connection.login or extra.get("access_key_id")
    secret = connection.password or extra.get("access_key_secret")
    if not key_id or not secret:
        missing = " and ".join(
            label for label, value in (("the Access key ID", key_id), ("the Access key secret", secret)) if not value
        )
        raise ImsConfigurationError(f"{where} lacks {missing}. Fill in both; nothing is taken from the environment.")
    return AccessKey(_text(key_id, "Access key ID", where), _text(secret, "Access key secret", where))


_CREDENTIALS: dict[str, Callable[[Connection, Mapping[str, Any], str], AccessKey]] = {
    "access_key": _access_key,
    "sts": _sts,
}
"""One builder for each ``auth_type``; a new kind of credentials is a row here and in ``AUTH_TYPES``."""
