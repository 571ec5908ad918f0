"""The errors of the emulator: one for the API, one for the control API."""

from __future__ import annotations


class ApiError(Exception):
    """The service refuses a request.

    :param http_status: HTTP status of the response.
    :param code: the vendor's error code, by which a client decides.
    :param message: text for a human reader.
    """

    def __init__(self, http_status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.http_status = http_status
        self.code = code
        self.message = message


class InvalidInputError(ValueError):
    """A control command is not valid. The text says what is wrong and what is valid."""
