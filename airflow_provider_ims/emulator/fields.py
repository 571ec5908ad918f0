"""Strict reading of JSON input: a mistyped option must be an error, not silently the default."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_ims.emulator.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Most seconds of a duration or of the clock, some 317 years. Times in this distance are still valid dates.
MAX_SECONDS = 10_000_000_000

_Default = TypeVar("_Default")
_Member = TypeVar("_Member", bound=StrEnum)


class Fields:
    """The fields of one JSON object, read one by one. :meth:`done` refuses the fields that were not read.

    :param payload: the decoded JSON.
    :param what: what the object describes, for messages.
    """

    def __init__(self, payload: object, what: str) -> None:
        if not isinstance(payload, dict):
            raise InvalidInputError(f"{what} must be a JSON object")
        self._left: dict[str, Any] = dict(payload)
        self._known: list[str] = []
        self._what = what

    def done(self) -> None:
        """Refuse fields that were not read.

        :raises InvalidInputError: if there are any.
        """
        if self._left:
            unknown, known = ", ".join(sorted(self._left)), ", ".join(self._known) or "nothing"
            raise InvalidInputError(f"{self._what} does not take: {unknown}. It takes: {known}")

    def text(self, name: str, default: _Default) -> str | _Default:
        """Read a string."""
        value: str | _Default = self._read(name, default, str, "a string")
        return value

    def required_text(self, name: str) -> str:
        """Read a string that is required and not empty."""
        value = self.text(name, "")
        if not value:
            raise InvalidInputError(f"{name} is required")
        return value

    def filled_text(self, name: str, default: _Default) -> str | _Default:
        """Read a string that is not empty."""
        value = self.text(name, default)
        if value == "":
            raise InvalidInputError(f"{name} must not be empty")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Read true or false."""
        value: bool = self._read(name, default, bool, "true or false")
        return value

    def seconds(self, name: str, default: _Default) -> float | _Default:
        """Read a number of seconds, from 0 to :data:`MAX_SECONDS`."""
        value: float | _Default = self._read(name, default, (int, float), "a number of seconds")
        if isinstance(value, (int, float)):
            if value < 0:
                raise InvalidInputError(f"{name} must be a number of seconds, 0 or more")
            if value > MAX_SECONDS:
                raise InvalidInputError(f"{name} must be {MAX_SECONDS:,} seconds or less")
        return value

    def seconds_or_none(self, name: str, default: float | None) -> float | None:
        """Read a number of seconds, or null. The default is for a missing field only."""
        if name in self._left and self._left[name] is None:
            default = None
        return self.seconds(name, default)

    def offset(self, name: str, default: float) -> float:
        """Read a number of seconds, from -:data:`MAX_SECONDS` to :data:`MAX_SECONDS`."""
        value: float = self._read(name, default, (int, float), "a number of seconds")
        if abs(value) > MAX_SECONDS:
            raise InvalidInputError(f"{name} must be {MAX_SECONDS:,} seconds or less, in both directions")
        return value

    def count(self, name: str, default: _Default, *, least: int = 1, most: int | None = None) -> int | _Default:
        """Read a whole number."""
        value: int | _Default = self._read(name, default, int, "a whole number")
        if isinstance(value, int):
            if value < least:
                raise InvalidInputError(f"{name} must be {least} or more")
            if most is not None and value > most:
                raise InvalidInputError(f"{name} must be {most} or less")
        return value

    def names(self, name: str) -> tuple[str, ...]:
        """Read a list of strings that are not empty."""
        value: list[Any] = self._read(name, [], list, "a list of strings")
        if not all(isinstance(item, str) and item for item in value):
            raise InvalidInputError(f"{name} must be a list of strings")
        return tuple(value)

    def objects(self, name: str) -> list[dict[str, Any]] | None:
        """Read a list of objects, None if it is missing."""
        value: list[Any] | None = self._read(name, None, list, "a list of objects")
        if value is not None and not all(isinstance(item, dict) for item in value):
            raise InvalidInputError(f"{name} must be a list of objects")
        return value

    def anything(self, name: str) -> Any:
        """Read any JSON value, None if it is missing."""
        self._known.append(name)
        return self._left.pop(name, None)

    def texts(self, name: str) -> dict[str, str]:
        """Read an object of strings."""
        value: dict[str, str] = self._read(name, {}, dict, "an object of strings")
        if not all(isinstance(item, str) for item in value.values()):
            raise InvalidInputError(f"{name} must be an object of strings")
        return value

    def one_of(self, name: str, choices: Sequence[str], default: str | None) -> str:
        """Read one of several strings. It is required if ``default`` is None."""
        value: str | None = self._read(name, default, str, "a string")
        if value is None or value not in choices:
            raise InvalidInputError(f"{name} must be one of: {', '.join(choices)}")
        return value

    def optional_one_of(self, name: str, choices: Sequence[str]) -> str | None:
        """Read one of several strings, None if it is missing."""
        if self._left.get(name) is None:
            self._read(name, None, str, "a string")
            return None
        return self.one_of(name, choices, None)

    def member(self, name: str, members: type[_Member], default: _Member | None = None) -> _Member:
        """Read a member of an enumeration by its value. It is required if ``default`` is None."""
        return members(self.one_of(name, list(members), default))

    def _read(self, name: str, default: Any, types: type | tuple[type, ...], kind: str) -> Any:
        self._known.append(name)
        value = self._left.pop(name, None)
        if value is None:
            return default
        # In Python, unlike in JSON, true is a number.
        if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
            raise InvalidInputError(f"{name} must be {kind}")
        return value
