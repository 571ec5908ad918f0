"""The log of requests, which holds no secret."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_KEPT = 10_000
_SENSITIVE_NAME = re.compile("signature|token|secret|credential|password|access_?key", re.IGNORECASE)
# The query of a URL may be what opens the object: a signed URL.
_URL_QUERY = re.compile(r"(https?://[^\s\"?]*\?)[^\s\"]+")


@dataclass(slots=True)
class RequestRecord:
    """One request to the API, filled in when it is answered.

    :param sequence: 1 for the first since the start or the last reset.
    :param time: real time of arrival, UTC, ISO 8601.
    :param connection: number of the TCP connection that it came over.
    :param fault: kind of the fault that hit it.
    :param code: ``OK``, or the error's code; None as long as there is no answer.
    :param http_status: None as long as there is no answer.
    """

    sequence: int
    time: str
    action: str
    parameters: Mapping[str, str]
    request_id: str
    connection: int
    fault: str | None = None
    code: str | None = None
    http_status: int | None = None


class Journal:
    """The last 10,000 requests and the number of all."""

    def __init__(self) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=_KEPT)
        self.total = 0

    def __iter__(self) -> Iterator[RequestRecord]:
        return iter(self._records)

    def clear(self) -> None:
        """Forget all requests and count from 1 again."""
        self._records.clear()
        self.total = 0

    def open(
        self, *, time: str, action: str, parameters: Mapping[str, str], request_id: str, connection: int
    ) -> RequestRecord:
        """Note that a request has arrived and return its record."""
        self.total += 1
        record = RequestRecord(self.total, time, action, _without_secrets(parameters), request_id, connection)
        self._records.append(record)
        return record


def _without_secrets(parameters: Mapping[str, str]) -> dict[str, str]:
    return {
        name: "***" if _SENSITIVE_NAME.search(name) else _URL_QUERY.sub(r"\1***", value)
        for name, value in parameters.items()
    }
