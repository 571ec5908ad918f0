"""Reads dataclasses from what was stored as JSON: the record of a submission, the event of a trigger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")

STRICT = {"strict": True, "allow_inf_nan": False}
"""The ``__pydantic_config__`` of a dataclass that is read here: a number is not taken for a text, nor null for one."""


def read_primitives(kind: type[T], value: object) -> T:
    """Return a dataclass from its primitives; fields of a newer version are ignored.

    :param kind: the dataclass
    :param value: the primitives, from a store that keeps JSON
    :raises ValueError: if they are not those of the dataclass; the text is one line
    """
    from pydantic import ValidationError  # noqa: PLC0415 - not needed when a DAG file is parsed

    try:
        return _adapter(kind).validate_json(json.dumps(value))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or kind.__name__
        raise ValueError(f"{place}: {first['msg']}") from None
    except TypeError:
        raise ValueError(f"{kind.__name__}: it is not JSON") from None


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    from pydantic import TypeAdapter  # noqa: PLC0415 - as above

    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}
"""To make one takes milliseconds."""
