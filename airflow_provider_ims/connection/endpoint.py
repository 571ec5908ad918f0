"""From region and network to the URL of the service, or a checked override."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from airflow_provider_ims.connection.fields import REGIONS
from airflow_provider_ims.connection.values import field_name, plain_text, shown
from airflow_provider_ims.exceptions import ImsConfigurationError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

_REGION = re.compile(r"[a-z]{2}(-[a-z0-9]+)+")
_LONGEST_REGION = 40
_SERVICE_HOST = re.compile(r"ice(?:-vpc)?\.(?P<region>[a-z0-9-]+)\.aliyuncs\.com")
METADATA_HOST = "100.100.100.200"
"""The metadata service of ECS, which speaks http."""
_DEFAULT_PORTS = {"https": 443, "http": 80}
_HIGHEST_PORT = 65_535

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_LONGEST_HOST = 253
# An access key secret that was pasted into Endpoint would become a host name: sent to the DNS, and shown in messages.
_KEY_LIKE = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9]{16,}")


def parse_region(argument: str | None, extra_value: object, where: str) -> str:
    """Return the region of the jobs.

    :param argument: the caller's region, which wins
    :param extra_value: the connection's region
    :param where: the connection, for messages
    :raises ImsConfigurationError: if there is none, or it is not a region id
    """
    value = argument or extra_value
    if not value:
        raise ImsConfigurationError(
            f"{where} names no region, and there is no region argument.",
            advice=f"Fill in {field_name('region_id')} in the connection.",
        )
    region = value.strip() if isinstance(value, str) else ""
    # The region becomes part of a host name that signed requests go to, so nothing but a region may pass.
    if len(region) > _LONGEST_REGION or not _REGION.fullmatch(region):
        # The code of a DAG has the argument; in the connection, somebody may have filled in the wrong field.
        wrong = (
            f"The region {str(value)[:_LONGEST_REGION]!r} is not a region id (the region argument)."
            if argument
            else f"{where}: {field_name('region_id')} is not a region id{shown(value, REGIONS)}."
        )
        raise ImsConfigurationError(wrong, advice=f"Use one such as {' or '.join(REGIONS[:2])}.")
    return region


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_host(text: str) -> bool:
    """Whether a text is an IP address, or a host name that can be looked up.

    :param text: the host, without port and brackets
    """
    if ":" in text:
        try:
            return ipaddress.ip_address(text).version == 6  # noqa: PLR2004 - IPv6
        except ValueError:
            return False
    name = text.removesuffix(".")
    return len(name) <= _LONGEST_HOST and all(map(_LABEL.fullmatch, name.split(".")))


def parse_port(value: object, where: str) -> int | None:
    """Return the Port of a connection; None if it is empty or 0.

    :param value: the port; Airflow accepts any number, and text in some versions
    :param where: the connection, for messages
    :raises ImsConfigurationError: if there is no such port
    """
    match value:
        case None | "" | 0 if value is not False:
            return None
        case str() if value.isascii() and value.isdigit() and len(value) <= len(str(_HIGHEST_PORT)):
            port = int(value)
        case int() if not isinstance(value, bool):
            port = value
        case _:
            port = -1
    if not 0 < port <= _HIGHEST_PORT:
        raise ImsConfigurationError(
            f"{where}: Port is not a number from 1 to {_HIGHEST_PORT}{shown(value)}.",
            advice="Correct it, or empty it.",
        )
    return port


def parse_endpoint(connection: Connection, region: str, network: str, where: str) -> str:
    """Return scheme, host and port of the service; no port if it is the scheme's own.

    Always computed here: the SDK's own map sends five of six regions to another host.

    :param connection: the Airflow connection
    :param region: region of the jobs
    :param network: ``public`` or ``vpc``
    :param where: the connection, for messages
    :raises ImsConfigurationError: if the endpoint cannot be right
    """
    port = parse_port(connection.port, where)
    if connection.host:
        return _explicit_endpoint(connection.host.strip(), port, region, where)
    if port not in {None, 443}:
        raise ImsConfigurationError(
            f"{where} has a Port other than 443 and no Endpoint; the endpoints of IMS have port 443 only.",
            advice="Make it 443, empty it, or fill in Endpoint.",
        )
    if region not in REGIONS:
        raise ImsConfigurationError(
            f"IMS documents no endpoint in the region {region!r}.",
            advice=f"Use one of {', '.join(REGIONS)}, or fill in Endpoint in {where[0].lower()}{where[1:]}.",
        )
    return f"https://ice{'-vpc' if network == 'vpc' else ''}.{region}.aliyuncs.com"


def parse_sts_endpoint(value: object, region: str, network: str, endpoint: str, where: str) -> str:
    """Return scheme, host and port of the Security Token Service; no port if it is the scheme's own.

    :param value: the override of the connection; None for the endpoint of the region, or for that of IMS if it is on
        this machine: the emulator is STS too
    :param region: region of the jobs
    :param network: ``public`` or ``vpc``
    :param endpoint: the endpoint of IMS
    :param where: the connection, for messages
    :raises ImsConfigurationError: if the override is not a host name, an https URL, or an http URL of this machine
    """
    if value is None and is_loopback(urlsplit(endpoint).hostname or ""):
        return endpoint
    if value is None:
        return f"https://sts{'-vpc' if network == 'vpc' else ''}.{region}.aliyuncs.com"
    name = field_name("sts_endpoint")
    url, port = _split_endpoint(plain_text(value, name, where), f"sts.{region}.aliyuncs.com", f"{where}: {name}")
    return _endpoint(url, port)


def parse_credentials_uri(value: object, where: str) -> str:
    """Return the URL that temporary keys come from.

    :param value: the URL; not repeated in an error, because its query may be a secret
    :param where: the connection, for messages
    :raises ImsConfigurationError: if it is not an https URL, or an http URL of this machine or the metadata service
    """
    name = field_name("secret_credentials_uri")
    uri = plain_text(value, name, where)
    problem = f"{where}: {name}"
    try:
        url = urlsplit(uri)
        # A port that is no number is a ValueError, too.
        valid = url.scheme in _DEFAULT_PORTS and is_host(url.hostname or "") and url.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ImsConfigurationError(
            f"{problem} is not an https:// URL.", advice="Give one such as https://credentials.example.com/ims."
        )
    if url.username is not None or url.password is not None:
        raise ImsConfigurationError(
            f"{problem} has credentials before its host.", advice="Remove them; a secret may be in the query."
        )
    if "#" in uri:
        raise ImsConfigurationError(f"{problem} has a fragment.", advice="Remove it, and its #.")
    if url.scheme == "http" and not is_loopback(url.hostname or "") and url.hostname != METADATA_HOST:
        raise ImsConfigurationError(
            f"{problem} begins with http://, and its host is neither this machine nor {METADATA_HOST}.",
            advice="Use https.",
        )
    return uri


def _explicit_endpoint(endpoint: str, port: int | None, region: str, where: str) -> str:
    problem = f"{where}: Endpoint"  # its value is not repeated: it may hold a password
    url, port_of_url = _split_endpoint(endpoint, f"ice.{region}.aliyuncs.com", problem)
    if (service_host := _SERVICE_HOST.fullmatch(_host(url))) and service_host["region"] != region:
        raise ImsConfigurationError(
            f"{problem} is in {service_host['region']} and the region is {region}. Jobs run where the endpoint is.",
            advice="Make both the same, or empty Endpoint.",
        )
    if port and port_of_url and port != port_of_url:
        raise ImsConfigurationError(f"{problem} and Port name different ports.", advice="Empty Port, or make it equal.")
    return _endpoint(url, port_of_url or port)


def _host(url: SplitResult) -> str:
    return (url.hostname or "").rstrip(".")


def _endpoint(url: SplitResult, port: int | None) -> str:
    """Return scheme, host and port, without the scheme's own port."""
    host = _host(url)
    suffix = "" if port in {None, _DEFAULT_PORTS[url.scheme]} else f":{port}"
    return f"{url.scheme}://{f'[{host}]' if ':' in host else host}{suffix}"


def _split_endpoint(endpoint: str, example: str, problem: str) -> tuple[SplitResult, int | None]:
    """Return the parts of an endpoint that can be right, and its port.

    :param endpoint: a host name or a URL
    :param example: an endpoint, for messages
    :param problem: the field, for messages
    """
    try:
        url = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        valid = is_host(url.hostname or "") and not _KEY_LIKE.fullmatch(endpoint)
    except ValueError:
        valid = False
    if not valid:
        raise ImsConfigurationError(
            f"{problem} is not a host name or URL.", advice=f"Give one such as {example}, or leave it empty."
        )
    try:
        port = url.port
    except ValueError:
        port = 0
    if port == 0:
        raise ImsConfigurationError(
            f"{problem} has a port that is not a number from 1 to {_HIGHEST_PORT}.",
            advice="Correct the port, or remove it with its colon.",
        )
    if url.scheme not in _DEFAULT_PORTS:
        raise ImsConfigurationError(
            f"{problem} has a scheme that is not https.", advice="Give a host name or an https:// URL."
        )
    if url.username is not None or url.password is not None:
        raise ImsConfigurationError(
            f"{problem} has credentials in it.", advice="Remove them; keys have fields of their own."
        )
    if url.path.rstrip("/") or url.query or url.fragment or "?" in endpoint or "#" in endpoint:
        raise ImsConfigurationError(
            f"{problem} has a path, query or fragment.", advice="Give scheme, host and port only."
        )
    if url.scheme == "http" and not is_loopback(_host(url)):
        raise ImsConfigurationError(
            f"{problem} begins with http://, and its host is not this machine.",
            advice="Use https; http is for loopback addresses only.",
        )
    return url, port
