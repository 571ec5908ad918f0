"""The parameters of one request, and the service's errors about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.emulator.errors import ApiError, InvalidInputError
from airflow_provider_ims.emulator.json_text import decode_json

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of one request.

    :param query: those of the query string.
    :param form: those of the form body.
    """

    query: Mapping[str, str]
    form: Mapping[str, str]

    def merged(self) -> dict[str, str]:
        """Return all parameters. If a name is in both places, the form body wins."""
        return {**self.query, **self.form}

    def get(self, name: str) -> str | None:
        """Return a parameter, None if it was not sent."""
        return self.form.get(name, self.query.get(name))

    def required(self, name: str) -> str:
        """Return a parameter.

        :raises ApiError: if it is missing or empty.
        """
        value = self.get(name)
        if not value:
            raise ApiError(400, f"Missing{name}", f"{name} is mandatory for this action.")
        return value

    def required_in_body(self, name: str) -> str:
        """Return a parameter of the form body.

        :raises ApiError: if it is missing or empty, or is in the query string.
        """
        if not self.form.get(name) and self.query.get(name):
            raise ApiError(400, f"Missing{name}", f"{name} must be in the form body, not in the query string.")
        return self.required(name)


def json_object(text: str, name: str) -> dict[str, Any]:
    """Decode a parameter that must be a JSON object.

    :param name: name of the parameter, for the error.
    :raises ApiError: for any other text.
    """
    try:
        value = decode_json(text)
    except InvalidInputError:
        value = None
    if not isinstance(value, dict):
        raise invalid_parameter(name, "it must be a JSON object")
    return value


def invalid_parameter(name: str, reason: str) -> ApiError:
    """Return the service's error for a parameter with a wrong value."""
    return ApiError(400, f"InvalidParameter.{name}", f"The specified parameter {name} is not valid: {reason}.")
