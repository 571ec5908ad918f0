"""Checks of the values of a connection's fields.

A value in the wrong field may be a secret: a message repeats it only if it is a number, or a misspelt choice.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.connection.fields import CONN_FIELDS, MAX_TIMEOUT
from airflow_provider_ims.exceptions import ImsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LONGEST_SHOWN = 20
_NUMBER = re.compile(r"[-+]?[0-9.,]{1,8}|[-+]?(nan|inf)")
_KEY = re.compile(r"[!-~]+")


def field_name(name: str) -> str:
    """Return an extra as people see it: its label in the form, and its key.

    :param name: the key
    """
    return f"{CONN_FIELDS[name]['label'].removesuffix(' (seconds)')} (extra {name})"


def shown(value: object, choices: Iterable[str] = ()) -> str:
    """Return a wrong value in quotes and brackets for a message; empty if it may be a secret.

    :param value: the value
    :param choices: the valid values
    """
    match value:
        case bool() | float():
            is_public = True
        case int():
            is_public = abs(value) < 10**_LONGEST_SHOWN
        case str():
            is_typo = bool(difflib.get_close_matches(value.lower(), choices, n=1, cutoff=0.75))
            is_public = len(value) <= _LONGEST_SHOWN and (is_typo or _NUMBER.fullmatch(value.lower()) is not None)
        case _:
            is_public = False
    return f" ({value!r})" if is_public else ""


def plain_text(value: object, name: str, where: str) -> str:
    """Return a value as text without the white space that pasting adds.

    :param value: the value; not repeated in the error, because it may be a secret
    :param name: the field, for messages
    :param where: the connection, for messages
    :raises ImsConfigurationError: if it is not text, or has spaces, control characters or letters that no key has
    """
    text = value.strip() if isinstance(value, str) else ""
    if not _KEY.fullmatch(text):
        raise ImsConfigurationError(
            f"{where}: {name} must be ASCII text without spaces or control characters.", advice="Paste it again."
        )
    return text


def choice(extra: Mapping[str, Any], name: str, choices: tuple[str, ...], where: str) -> str:
    """Return one of the choices; the first one if the field is empty.

    :raises ImsConfigurationError: if the value is not one of them
    """
    value = extra.get(name, choices[0])
    if value not in choices:
        raise ImsConfigurationError(
            f"{where}: {field_name(name)} has an unknown value{shown(value, choices)}.",
            advice=f"Choose one of: {', '.join(choices)}.",
        )
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
    except (TypeError, ValueError, OverflowError):
        result = float("nan")
    if not 0 < result <= highest:
        raise ImsConfigurationError(
            f"{where}: {field_name(name)} has a wrong value{shown(value)}.",
            advice=f"Give {unit}, more than 0 and at most {highest:g}.",
        )
    return result


def is_utf8(text: str) -> bool:
    """Whether a text can be written in UTF-8: a lone surrogate cannot.

    :param text: the text
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
