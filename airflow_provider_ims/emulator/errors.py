"""The errors of the emulator: one for the API, one for the control API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class ApiError(Exception):
    """The service refuses a request.

    :param http_status: HTTP status of the response.
    :param code: the vendor's error code, by which a client decides.
    :param message: text for a human reader.
    :param details: further fields of the response.
    """

    def __init__(self, http_status: int, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.http_status = http_status
        self.code = code
        self.message = message
        self.details = details or {}


class InvalidInputError(ValueError):
    """A control command is not valid. The text says what is wrong and what is valid."""
