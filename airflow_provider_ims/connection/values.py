"""Checks of the values of a connection's fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ims.connection.fields import MAX_TIMEOUT
from airflow_provider_ims.exceptions import ImsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


def plain_text(value: object, name: str, where: str) -> str:
    """Return a value as text without the white space that pasting adds.

    :param value: the value; not repeated in the error, because it may be a secret
    :param name: the field, for messages
    :param where: the connection, for messages
    :raises ImsConfigurationError: if it is not text, or has spaces or control characters
    """
    text = value.strip() if isinstance(value, str) else ""
    if not text or not text.isprintable() or " " in text:
        raise ImsConfigurationError(
            f"{where}: {name} must be text without spaces or control characters. Paste it again."
        )
    return text


def choice(extra: Mapping[str, Any], name: str, choices: tuple[str, ...], where: str) -> str:
    """Return one of the choices; the first one if the field is empty.

    :raises ImsConfigurationError: if the value is not one of them
    """
    value = extra.get(name, choices[0])
    if value not in choices:
        raise ImsConfigurationError(f"{where}: {name} is {value!r}. Choose one of: {', '.join(choices)}.")
    return str(value)


def seconds(extra: Mapping[str, Any], name: str, default: float, where: str) -> float:
    """Return a time-out.

    :raises ImsConfigurationError: if the value is not a number of seconds in the range of a time-out
    """
    return number(extra, name, default, MAX_TIMEOUT, where, unit="seconds")


def number(
    extra: Mapping[str, Any], name: str, default: float, highest: float, where: str, *, unit: str = "a number"
) -> float:
    """Return a number.

    :param highest: the highest value that is allowed; the value must be above 0
    :param unit: what to give, for messages
    :raises ImsConfigurationError: if the value is not a number in that range
    """
    value = extra.get(name, default)
    try:
        result = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        result = float("nan")
    if not 0 < result <= highest:
        raise ImsConfigurationError(f"{where}: {name} is {value!r}. Give {unit}, more than 0 and at most {highest:g}.")
    return result
