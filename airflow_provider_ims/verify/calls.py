"""Sends requests, each exactly once, and keeps their responses as they came."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.api.protocol import (
    ApiRequest,
    decode,
    describe_body,
    encode,
    may_have_been_carried_out,
    read_json,
)
from airflow_provider_ims.api.redact import Redactor
from airflow_provider_ims.api.stamp import new_stamp
from airflow_provider_ims.exceptions import ImsApiError, ImsError, ImsTransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_ims.api.client import ImsClient

_KEPT_HEADERS = ("x-acs-", "x-ratelimit", "retry-after", "content-type")
"""Beginnings of the names of headers that are kept, in lower case."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came back.

    :param action: the API operation
    :param at: when it was sent, in seconds since the epoch
    :param status: HTTP status; None if no response came back
    :param headers: the headers that may say something of the service, by their names in lower case
    :param body: the body: a JSON value, or a description of what is no JSON; None if no response came back
    :param error: what the provider makes of a response that is no success; None for a success
    :param may_have_been_carried_out: whether the service may have carried out a request that ended in an error
    """

    action: str
    at: float
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    error: ImsError | None = None
    may_have_been_carried_out: bool = False

    @property
    def content(self) -> dict[str, Any] | None:
        """The body of a success; None for an error."""
        return self.body if self.error is None and isinstance(self.body, dict) else None

    @property
    def code(self) -> str | None:
        """The error code; None if there is none."""
        return self.error.code if isinstance(self.error, ImsApiError) else None

    @property
    def summary(self) -> str:
        """What came back in a few words, before the ids of the account are removed."""
        if self.status is None:
            return self.error.problem if self.error else "no response"
        return f"HTTP {self.status}, {self.code or ('an error without a code' if self.error else 'a success')}"


async def exchange(client: ImsClient, action: str, params: Mapping[str, Any]) -> Exchange:
    """Send a request once, whatever happens to it.

    The methods of the client return neither headers nor the bodies of errors, which are what the kit is for.

    :param client: the client
    :param action: the API operation
    :param params: its parameters, sent in the query string
    """
    at = time.time()
    settings = client.settings
    request = ApiRequest(action, params)
    try:
        key = await client.keys.current()
    except ImsError as error:
        return Exchange(action, at, error=error)
    stamp = new_stamp()
    http = encode(request, endpoint=settings.endpoint, key=key, date=stamp.date, nonce=stamp.nonce)
    try:
        response = await client.exchange(http, action)
    except ImsTransportError as error:
        return Exchange(action, at, error=error, may_have_been_carried_out=error.sent)
    redact = Redactor(*client.keys.known, others=[one.key_id for one in client.keys.known])
    redact = redact.with_signature(http.signature)
    headers = {name.lower(): redact.redact(value) for name, value in response.headers.items()}
    headers = {name: value for name, value in headers.items() if name.startswith(_KEPT_HEADERS)}
    body = read_json(response.body, redact.redact)
    try:
        decode(
            request,
            region=settings.region,
            status=response.status,
            headers=response.headers,
            body=response.body,
            redact=redact.redact,
            sent_at=stamp.at,
            are_keys_given=not client.keys.is_refreshable,
        )
    except ImsApiError as raised:
        failure = raised
    else:
        return Exchange(action, at, response.status, headers, body)
    if body is None:
        # A page of a proxy may repeat the request.
        body = describe_body(response.body)
    return Exchange(action, at, response.status, headers, body, failure, may_have_been_carried_out(failure))
