"""What the server needs to know of any request that is logged and that faults can hit."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airflow_provider_ims.emulator.errors import ApiError


@dataclass(frozen=True, slots=True)
class Response:
    """One response, ready to send.

    :param code: ``OK`` or the error code, for the log of requests.
    """

    status: int
    code: str
    body: str
    content_type: str = "application/json;charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


class Call(Protocol):
    """One request to an API, to the metadata service or to a credentials URI."""

    @property
    def action(self) -> str:
        """What faults and the log of requests name it by."""

    @property
    def request_id(self) -> str:
        """The RequestId of the response and of the log of requests."""

    @property
    def logged_parameters(self) -> Mapping[str, str]:
        """The parameters for the log of requests, which redacts them."""

    @property
    def form_parameters(self) -> Collection[str]:
        """The names of those that were in the form body."""

    def respond(self) -> Response:
        """Carry out the request and return its response, also if the service refuses it."""

    def refuse(self, error: ApiError, headers: Mapping[str, str] | None = None) -> Response:
        """Return the response for an error, in the shape of the service."""


def new_request_id() -> str:
    """Return the RequestId for a new request."""
    return str(uuid.uuid4()).upper()
