"""The parameters of one request, and the service's errors about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.emulator.errors import ApiError, InvalidInputError
from airflow_provider_ims.emulator.json_text import decode_json

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of one request.

    :param query: those of the query string.
    :param form: those of the form body.
    :param misplaced: where the parameters belong that were sent in the wrong place, by name.
    """

    query: Mapping[str, str]
    form: Mapping[str, str]
    misplaced: Mapping[str, str] = field(default_factory=dict)

    def placed(self, body_parameters: Collection[str] = ()) -> Parameters:
        """Return only the parameters that an action finds.

        :param body_parameters: those that it reads from the form body. It reads all others from the query string.
        """
        in_form = {name: "the form body, not in the query string" for name in self.query if name in body_parameters}
        in_query = {name: "the query string, not in the form body" for name in self.form if name not in body_parameters}
        return Parameters(
            query={name: value for name, value in self.query.items() if name not in body_parameters},
            form={name: value for name, value in self.form.items() if name in body_parameters},
            misplaced={**in_form, **in_query},
        )

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
        if value:
            return value
        if name in self.misplaced:
            raise ApiError(400, f"Missing{name}", f"{name} must be in {self.misplaced[name]}.")
        raise ApiError(400, f"Missing{name}", f"{name} is mandatory for this action.")


def json_value(text: str, name: str) -> Any:
    """Decode a parameter that must be JSON.

    :param name: name of the parameter, for the error.
    :raises ApiError: for any other text.
    """
    try:
        return decode_json(text)
    except InvalidInputError:
        raise invalid_parameter(name, "it must be JSON") from None


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
