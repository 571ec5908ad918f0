"""From region and network to the URL of the service, or a checked override."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from airflow_provider_ims.connection.fields import REGIONS
from airflow_provider_ims.exceptions import ImsConfigurationError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

_REGION = re.compile(r"[a-z]{2}(-[a-z0-9]+)+")
_SERVICE_HOST = re.compile(r"ice(?:-vpc)?\.(?P<region>[a-z0-9-]+)\.aliyuncs\.com")


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
            f"No region: neither the region argument nor {where} names one. Fill in Region in the connection."
        )
    # The region becomes part of a host name that signed requests go to, so nothing but a region may pass.
    if not isinstance(value, str) or not _REGION.fullmatch(value):
        raise ImsConfigurationError(
            f"The region {value!r} is not a region id. Use one such as {' or '.join(REGIONS[:2])} "
            f"({'the region argument' if argument else where})."
        )
    return value


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_endpoint(connection: Connection, region: str, network: str, where: str) -> str:
    """Return scheme, host and port of the service.

    Always computed here: the SDK's own map sends five of six regions to another host.

    :param connection: the Airflow connection
    :param region: region of the jobs
    :param network: ``public`` or ``vpc``
    :param where: the connection, for messages
    :raises ImsConfigurationError: if the endpoint cannot be right
    """
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
    if url.scheme == "http" and not is_loopback(host):
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
