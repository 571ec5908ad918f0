"""Strict decoding of JSON text: what the emulator accepts, it can store and send back."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from airflow_provider_ims.emulator.errors import InvalidInputError

#: Most objects and lists inside of each other. Copies and encoders recurse, so the limit is far below Python's own.
MAX_DEPTH = 32
_MAX_INTEGER = 2**63 - 1


def decode_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    :param text: the text; bytes must be UTF-8.
    :raises InvalidInputError: if it is not JSON by RFC 8259, or has a name twice in one object, a number that does not
        fit into 64 bits, half a surrogate pair or more than 32 levels.
    """
    try:
        value = json.loads(
            text.decode() if isinstance(text, bytes) else text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_float,
            parse_int=_integer,
        )
    except InvalidInputError:
        raise
    except ValueError as error:  # not JSON, or not UTF-8
        raise InvalidInputError(str(error)) from None
    except RecursionError:
        raise _too_deep() from None
    _check(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    decoded = dict(pairs)
    if len(decoded) < len(pairs):
        raise InvalidInputError("an object has the same name twice")
    return decoded


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidInputError(f"{name} is not a number in JSON")


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise InvalidInputError("a number is too large")
    return number


def _integer(digits: str) -> int:
    # The length first: Python refuses to convert thousands of digits.
    if len(digits) > len(f"-{_MAX_INTEGER}") or abs(number := int(digits)) > _MAX_INTEGER:
        raise InvalidInputError("a number is too large")
    return number


def _check(value: object) -> None:
    """Refuse deep values and texts that are not Unicode. No recursion, because the value can be deep."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner: list[object] = []
        for item in level:
            match item:
                case str():
                    _check_text(item)
                case dict():
                    inner += [*item.keys(), *item.values()]
                case list():
                    inner += item
        if not inner:
            return
        level = inner
    raise _too_deep()


def _check_text(text: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInputError("a text contains half a surrogate pair")


def _too_deep() -> InvalidInputError:
    return InvalidInputError(f"more than {MAX_DEPTH} levels of objects and lists")
