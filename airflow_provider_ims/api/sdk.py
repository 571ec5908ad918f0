"""The official typed client, with the settings of a connection."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_ims.api.protocol import USER_AGENT

if TYPE_CHECKING:
    from alibabacloud_ice20201109.client import Client

    from airflow_provider_ims.connection.settings import ImsSettings


def typed_client(settings: ImsSettings) -> Client:
    """Return the official typed client, with endpoint, credentials and time-outs of the connection.

    :param settings: the parsed connection
    """
    from alibabacloud_ice20201109.client import Client  # noqa: PLC0415 - 1,600 modules, only for callers of get_conn
    from alibabacloud_tea_openapi.utils_models import Config  # noqa: PLC0415

    endpoint = urlsplit(settings.endpoint)
    key = settings.credentials
    client = Client(
        Config(
            access_key_id=key.key_id,
            access_key_secret=key.secret,
            security_token=key.security_token,
            region_id=settings.region,
            endpoint=endpoint.netloc,
            protocol=endpoint.scheme,
            connect_timeout=int(settings.connect_timeout * 1000),
            read_timeout=int(settings.read_timeout * 1000),
            user_agent=USER_AGENT,
        )
    )
    _silence_sdk_loggers()
    return client


def _silence_sdk_loggers() -> None:
    """Remove the handlers that print secrets.

    On import the SDK gives its loggers handlers of their own on stderr and the level DEBUG; with ``DEBUG=sdk`` in the
    environment they print all headers, the live security token and the signature included.
    """
    for name in ("darabonba-core", "alibabacloud-tea", "credentials"):
        logger = logging.getLogger(name)
        for handler in logger.handlers[:]:
            logger.removeHandler(handler)
        logger.setLevel(logging.WARNING)
