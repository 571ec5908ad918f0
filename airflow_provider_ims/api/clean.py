"""Cleans the texts of a response right after decoding, so that nothing in one can harm a log, a database or a trigger.

A lone surrogate is legal JSON and cannot be written as UTF-8: in the event of one trigger it ends the triggerer, with
everybody's triggers. NUL cannot be stored by PostgreSQL; ESC and direction characters change what a log shows.
"""

from __future__ import annotations

import math
import re
from typing import Any

# All control characters but tab and line breaks, the marks that change the direction of a text, and surrogates.
_UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_REPLACEMENT = "\ufffd"
_DEEPEST = 50


def clean(value: Any, depth: int = 0) -> Any:
    """Return a JSON value whose texts can be written anywhere; what cannot is replaced by U+FFFD.

    A number that JSON does not know (NaN, an infinity) becomes a text.

    :param value: the decoded JSON
    :param depth: levels above it
    :raises ValueError: if it is nested more deeply than any response of the service
    """
    match value:
        case str():
            return _UNSAFE.sub(_REPLACEMENT, value)
        case float() if not math.isfinite(value):
            return str(value)
        case list() | dict() if depth >= _DEEPEST:
            raise ValueError("it is nested too deeply")
        case list():
            return [clean(item, depth + 1) for item in value]
        case dict():
            return {clean(name): clean(item, depth + 1) for name, item in value.items()}
        case _:
            return value
