"""The two ways to say no: to a caller of the API and to a caller of the control API."""

from __future__ import annotations


class ApiError(Exception):
    """The service refuses a call.

    :param http_status: HTTP status of the answer.
    :param code: the vendor's error code, which is what a client decides by.
    :param message: text for people.
    """

    def __init__(self, http_status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.http_status = http_status
        self.code = code
        self.message = message


class InvalidInputError(ValueError):
    """Something told to the emulator makes no sense; the text says what and what would."""
