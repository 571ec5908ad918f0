"""The log of requests. It contains no secrets."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_MAX_RECORDS = 10_000
_MAX_BYTES = 16 * 1024 * 1024
# What a record takes besides its texts.
_RECORD_BYTES = 512
_SECRET_NAME = re.compile("signature|token|secret|credential|password|access_?key", re.IGNORECASE)
# The query of a signed URL gives access to the object. No URL is searched twice, however many begin in a text.
_URL_QUERY = re.compile(r"(https?://(?:(?!https?://)[^\s\"?])*\?)[^\s\"]+")


@dataclass(slots=True)
class RequestRecord:
    """One request to the API. The last three fields are set when the response is sent.

    :param sequence: 1 for the first request since the start or the last reset.
    :param time: real time of arrival, UTC, ISO 8601.
    :param connection: number of the TCP connection of the request.
    :param form_parameters: names of the parameters that were in the form body; all others were in the query string.
    :param fault: kind of the fault that hit the request, None for no fault.
    :param code: ``OK`` or the error code; None if there is no response yet.
    :param http_status: None if there is no response yet.
    """

    sequence: int
    time: str
    action: str
    parameters: Mapping[str, str]
    request_id: str
    connection: int
    form_parameters: tuple[str, ...] = ()
    fault: str | None = None
    code: str | None = None
    http_status: int | None = None


class Journal:
    """The last 10,000 requests or the last 16 MiB of them, and the number of all requests."""

    def __init__(self) -> None:
        self._records: deque[RequestRecord] = deque()
        self._bytes = 0
        self.total = 0

    def __iter__(self) -> Iterator[RequestRecord]:
        return iter(self._records)

    def clear(self) -> None:
        """Delete all records and count from 1 again."""
        self._records.clear()
        self._bytes = self.total = 0

    def open(
        self,
        *,
        time: str,
        action: str,
        parameters: Mapping[str, str],
        request_id: str,
        connection: int,
        form_parameters: Iterable[str] = (),
    ) -> RequestRecord:
        """Add the record of a new request and return it."""
        self.total += 1
        names = tuple(sorted(form_parameters))
        record = RequestRecord(self.total, time, action, _redact(parameters), request_id, connection, names)
        self._records.append(record)
        self._bytes += _size(record)
        while len(self._records) > _MAX_RECORDS or self._bytes > _MAX_BYTES:
            self._bytes -= _size(self._records.popleft())
        return record


def _size(record: RequestRecord) -> int:
    """Return about how many bytes a record takes. The fields that are set later do not change the number."""
    texts = [record.action, *record.parameters.keys(), *record.parameters.values(), *record.form_parameters]
    return _RECORD_BYTES + sum(len(text.encode()) for text in texts)


def _redact(parameters: Mapping[str, str]) -> dict[str, str]:
    return {
        name: "***" if _SECRET_NAME.search(name) else _URL_QUERY.sub(r"\1***", value)
        for name, value in parameters.items()
    }
