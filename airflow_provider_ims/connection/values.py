"""Checks of the values of a connection's fields.

A value in the wrong field may be a secret: a message repeats it only if it is a number, or a misspelt choice.
"""

from __future__ import annotations

import difflib
import json
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


def parse_extra(text: str | None, where: str) -> dict[str, Any]:
    """Return the extras of a connection.

    :param text: its Extra
    :param where: the connection, for messages
    :raises ImsConfigurationError: if it is not a JSON object
    """
    try:
        extra = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise ImsConfigurationError(f"{where}: its Extra is not valid JSON.", advice="Correct it.") from None
    if not isinstance(extra, dict):
        raise ImsConfigurationError(f"{where}: its Extra is not a JSON object.", advice="Correct it.")
    return extra


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


def matching_text(value: object, pattern: re.Pattern[str], expected: str, name: str, where: str) -> str:
    """Return a text of a certain form, without the white space that pasting adds.

    :param value: the value; not repeated in the error, because it may be a secret
    :param pattern: what the whole text must match
    :param expected: the form, for messages
    :param name: the field, for messages
    :param where: the connection, for messages
    :raises ImsConfigurationError: if it is not text of that form
    """
    text = value.strip() if isinstance(value, str) else ""
    if not pattern.fullmatch(text):
        raise ImsConfigurationError(f"{where}: {name} has a wrong form.", advice=f"Give {expected}.")
    return text


def flag(extra: Mapping[str, Any], name: str, where: str) -> bool:
    """Return a yes or no; False if the field is empty.

    :raises ImsConfigurationError: if the value is neither true nor false; text is accepted, as a URI has no other
    """
    value = extra.get(name, False)
    match value.strip().lower() if isinstance(value, str) else value:
        case True | "true":
            return True
        case False | "false":
            return False
    raise ImsConfigurationError(
        f"{where}: {field_name(name)} is neither true nor false{shown(value)}.", advice="Give true or false."
    )


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
    result = _as_float(value)
    if not 0 < result <= highest:
        raise ImsConfigurationError(
            f"{where}: {field_name(name)} has a wrong value{shown(value)}.",
            advice=f"Give {unit}, more than 0 and at most {highest:g}.",
        )
    return result


def whole_number(
    extra: Mapping[str, Any], name: str, default: int, limits: tuple[int, int], where: str, *, label: str, unit: str
) -> int:
    """Return a whole number.

    :param limits: the lowest and the highest value that is allowed
    :param label: what messages call the field
    :param unit: what to give, for messages
    :raises ImsConfigurationError: if the value is not a whole number in that range
    """
    value = extra.get(name, default)
    result = _as_float(value)
    lowest, highest = limits
    if not (lowest <= result <= highest and result.is_integer()):
        raise ImsConfigurationError(
            f"{where}: {label} has a wrong value{shown(value)}.",
            advice=f"Give {unit}, at least {lowest} and at most {highest}.",
        )
    return int(result)


def is_utf8(text: str) -> bool:
    """Whether a text can be written in UTF-8: a lone surrogate cannot.

    :param text: the text
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_float(value: Any) -> float:
    """Return a value as a number, NaN if it is none; a text is accepted, as a URI has no numbers."""
    try:
        return float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")
