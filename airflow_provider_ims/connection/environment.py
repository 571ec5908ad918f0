"""Why Airflow cannot read a connection from the environment: it logs the reason and says that there is none."""

from __future__ import annotations

import difflib
import json
import os
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_ims.connection.endpoint import parse_port
from airflow_provider_ims.connection.fields import CONN_FIELDS
from airflow_provider_ims.connection.values import is_utf8, parse_extra
from airflow_provider_ims.exceptions import ImsConfigurationError

PREFIX = "AIRFLOW_CONN_"
_TEXTS = ("conn_type", "description", "host", "login", "password", "schema")
_FIELDS = (*_TEXTS, "port", "extra")
AS_JSON = (
    'Write it as JSON: {"conn_type": "ims", "login": "<id>", "password": "<secret>", '
    '"extra": {"region_id": "<region>"}}.'
)
"""What to do about a value that is no connection."""
_MOST_SCHEMES = 2
"""Airflow's URI has the connection type as its scheme, and may have one before the host."""
_MOST_NAMES = 5
_LONGEST_NAME = 40


def check_environment(conn_id: str) -> None:
    """Check the environment variable of a connection that Airflow does not find.

    :param conn_id: id of the connection
    :raises ImsConfigurationError: if there is a variable and Airflow cannot read it; its value may be secret
    """
    name = f"{PREFIX}{conn_id.upper()}"
    value = os.environ.get(name, "").strip()
    connection = f"Connection {conn_id!r}"
    where = f"{connection} (environment variable {name})"
    if value.startswith("{"):
        _check_json(value, where, connection)
    else:
        _check_uri(value, where)
        _check_port(value, connection)


def _check_json(value: str, where: str, connection: str) -> None:
    try:
        fields: dict[str, Any] = json.loads(value)
    except (ValueError, RecursionError) as error:
        place = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise ImsConfigurationError(f"{where} is not valid JSON{place}.", advice="Correct it.") from None
    if not is_utf8(json.dumps(fields, ensure_ascii=False)):
        raise ImsConfigurationError(
            f"{where} has characters that UTF-8 cannot write (half of a surrogate pair).", advice="Remove them."
        )
    if unknown := sorted(fields.keys() - set(_FIELDS)):
        names = ", ".join(repr(name[:_LONGEST_NAME]) for name in unknown[:_MOST_NAMES])
        extras = [match for name in unknown for match in difflib.get_close_matches(name.lower(), CONN_FIELDS, n=1)]
        all_are_extras = len(extras) == len(unknown)
        raise ImsConfigurationError(
            f"{where} has the unknown field {names}.",
            advice=f"Write {', '.join(extras)} into the object extra instead."
            if all_are_extras
            else f"Rename it, or remove it; known are: {', '.join(_FIELDS)}.",
        )
    parse_port(fields.get("port"), where)
    if wrong := [name for name in _TEXTS if not isinstance(fields.get(name), str | None)]:
        raise ImsConfigurationError(f"{where}: {', '.join(wrong)} must be text.", advice="Write it in quotes.")
    if isinstance(extra := fields.get("extra"), str):
        parse_extra(extra, connection)  # Airflow 3.0 finds no connection if it is wrong


def _check_uri(value: str, where: str) -> None:
    try:
        urlsplit(value)
        valid = value.count("://") <= _MOST_SCHEMES
    except ValueError:
        valid = False
    if not valid:
        raise ImsConfigurationError(f"{where} is not a valid URI.", advice=AS_JSON)


def _check_port(value: str, where: str) -> None:
    # The API server has a connection under test in such a variable: what was typed into the form, not a URI, is wrong.
    url = urlsplit(value)
    try:
        _ = url.port
    except ValueError:
        parse_port(url.netloc.rpartition(":")[2], where)
