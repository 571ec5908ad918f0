"""The HTTP server: parses API requests, sends responses, and applies faults."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode
from weakref import WeakKeyDictionary

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from airflow_provider_ims.emulator.access import is_from_foreign_page, is_navigation
from airflow_provider_ims.emulator.actions import VERSION, find_operation
from airflow_provider_ims.emulator.control import PREFIX, control_routes, error_response
from airflow_provider_ims.emulator.errors import ApiError
from airflow_provider_ims.emulator.faults import Fault, FaultKind
from airflow_provider_ims.emulator.parameters import Parameters
from airflow_provider_ims.emulator.signature import SignedRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from ssl import SSLContext

    from airflow_provider_ims.emulator.state import EmulatorState

# Longest request line in bytes. Most parameters are in the query string, percent-encoded.
_MAX_LINE = 64 * 1024
_MAX_HEADERS = 128
# The public and the internal host of a region.
_REGIONAL_HOST = re.compile(r"ice(-vpc)?\.(?P<region>[a-z0-9-]+)\.aliyuncs\.com(:[0-9]+)?")
# Interval in seconds at which a hanging request checks whether its client is still connected.
_HANG_CHECK_INTERVAL = 0.05

_HTML_502 = """<html>
<head><title>502 Bad Gateway</title></head>
<body>
<center><h1>502 Bad Gateway</h1></center>
<hr><center>nginx</center>
</body>
</html>
"""

_INTERNAL_ERROR = (500, "InternalError", "The request failed for a reason inside the service.")
_FAULT_ERRORS: Mapping[FaultKind, tuple[int, str, str]] = {
    FaultKind.THROTTLE: (400, "Throttling.User", "Request was denied due to user flow control."),
    FaultKind.SERVICE_UNAVAILABLE: (503, "ServiceUnavailable", "The service is temporarily unavailable."),
    FaultKind.INTERNAL_ERROR: _INTERNAL_ERROR,
    FaultKind.INTERNAL_ERROR_AFTER: _INTERNAL_ERROR,
}


@dataclass(frozen=True, slots=True)
class _ApiRequest:
    """One parsed API request."""

    request_id: str
    host: str
    action: str
    version: str
    parameters: Parameters
    signed: SignedRequest


@dataclass(frozen=True, slots=True)
class _ApiResponse:
    """One response, ready to send.

    :param code: ``OK`` or the error code, for the log of requests.
    """

    status: int
    code: str
    body: str
    content_type: str = "application/json;charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


class EmulatorServer:
    """The HTTP server of an emulator: the API at ``/``, the control API and the page below ``/_emulator``.

    :param state: what the requests read and change.
    """

    def __init__(self, state: EmulatorState) -> None:
        self._state = state
        self._listener: _Listener | None = None
        # A reset does not restart these numbers, because the connections stay open.
        self._connections: WeakKeyDictionary[asyncio.Transport, int] = WeakKeyDictionary()
        self._connection_count = 0

    def runner(self) -> web.AppRunner:
        """Return the runner of the application, before its setup."""
        app = web.Application(middlewares=[_guard])
        app.router.add_route("GET", "/", self._serve)
        app.router.add_route("POST", "/", self._serve)
        app.add_routes(control_routes(self._state))
        # No access log, because its lines would contain the parameters. The short shutdown timeout keeps a hanging
        # request from delaying the end of the process.
        return web.AppRunner(
            app,
            access_log=None,
            logger=_logger(),
            shutdown_timeout=0.1,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
        )

    async def listen(self, runner: web.AppRunner, host: str, port: int, tls: SSLContext | None) -> None:
        """Start to listen.

        :param runner: the runner of the application, after its setup.
        :param host: address to listen on.
        :param port: port to listen on; 0 picks a free one.
        :param tls: serves https; None serves http.
        """
        self._listener = _Listener(runner, host, port, tls)
        await self._listener.open()

    async def _serve(self, request: web.Request) -> web.Response:
        api_request = _parse_request(request, await request.read())
        record = self._state.journal.open(
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            action=api_request.action,
            parameters=api_request.parameters.merged(),
            request_id=api_request.request_id,
            connection=self._connection_number(request.transport),
        )
        fault = self._state.faults.draw(api_request.action)
        if fault is None:
            response: _ApiResponse | None = self._respond(api_request)
        else:
            record.fault = fault.kind
            response = await self._respond_with_fault(fault, api_request, request)
        if response is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        record.code, record.http_status = response.code, response.status
        return web.Response(
            status=response.status,
            body=response.body.encode(),
            headers={"Content-Type": response.content_type, **response.headers},
        )

    def _connection_number(self, transport: asyncio.Transport | None) -> int:
        if transport is None:  # The client has disconnected.
            return 0
        number = self._connections.get(transport)
        if number is None:
            self._connection_count += 1
            number = self._connections[transport] = self._connection_count
        return number

    def _respond(self, api_request: _ApiRequest) -> _ApiResponse:
        try:
            body = self._execute(api_request)
        except ApiError as error:
            return _error_response(api_request, error)
        return _json_response(api_request, HTTPStatus.OK, "OK", {**body, "RequestId": api_request.request_id})

    def _execute(self, api_request: _ApiRequest) -> dict[str, Any]:
        operation = find_operation(self._state.service, api_request.action)
        if operation is None:
            raise ApiError(
                404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method."
            )
        if api_request.version != VERSION:
            raise ApiError(404, "InvalidVersion", "Specified parameter Version is not valid.")
        self._state.verifier.verify(api_request.signed, time.time())
        self._check_region(api_request)
        return operation(api_request.parameters)

    def _check_region(self, api_request: _ApiRequest) -> None:
        """Refuse a request that names another region, with the host of that region or with the parameter RegionId."""
        match = _REGIONAL_HOST.fullmatch(api_request.host.lower())
        named = {match["region"] if match else None, api_request.parameters.get("RegionId")}
        if others := named - {None, "", self._state.service.region}:
            raise ApiError(
                400,
                "InvalidOperation.NotSupportedEndpoint",
                f"The specified endpoint cannot operate this region. The endpoint is in {self._state.service.region}, "
                f"the request names {' and '.join(sorted(map(str, others)))}.",
            )

    async def _respond_with_fault(
        self, fault: Fault, api_request: _ApiRequest, request: web.Request
    ) -> _ApiResponse | None:
        """Return the response to a request that a fault hits, None to close the connection without a response."""
        match fault.kind:
            case FaultKind.SLOW:
                await asyncio.sleep(fault.options["seconds"])
                return self._respond(api_request)
            case FaultKind.HANG:
                await _wait_for_disconnect(request)
            case FaultKind.OUTAGE:
                await self._refuse_connections(fault.options["seconds"])
            case FaultKind.CUT_AFTER | FaultKind.INTERNAL_ERROR_AFTER:
                self._respond(api_request)
            case FaultKind.ANSWER if fault.options["carried_out"]:
                self._respond(api_request)
        return _fault_response(fault, api_request)

    async def _refuse_connections(self, seconds: float) -> None:
        """Close all connections and refuse new ones for a number of seconds."""
        if self._listener is None:
            return
        await self._listener.close()
        for transport in list(self._connections):
            transport.abort()
        await asyncio.sleep(seconds)
        await self._listener.open()


@web.middleware
async def _guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse requests that have odd bytes or come from a foreign page, before anything reads them."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    # aiohttp decodes bytes that are not UTF-8 to surrogates, which nothing can encode again.
    if not _is_unicode([request.raw_path, *headers, *request.headers.values()]):
        return error_response(400, "the request line or a header is not UTF-8")
    # Newer versions of aiohttp refuse both.
    if len(request.headers) > _MAX_HEADERS or len(request.headers.getall("Host", [])) != 1:
        return error_response(400, f"a request must have one Host header, and {_MAX_HEADERS} headers or fewer")
    if is_from_foreign_page(headers, request.scheme):
        is_link_to_page = request.path == PREFIX and is_navigation(headers)
        if not is_link_to_page:
            return error_response(403, "the emulator does not serve pages of other origins")
    try:
        return await handler(request)
    except web.RequestPayloadError:
        return error_response(400, "the body has another Content-Encoding than its header says, or is cut off")
    except web.HTTPException as error:
        # The response to an unknown path, another method or a body that is too large.
        response = error_response(error.status, error.reason)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response


def _is_unicode(texts: list[str]) -> bool:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def _logger() -> logging.Logger:
    """Return a logger for aiohttp that logs no traceback for requests that are not HTTP, or that a client cuts off."""
    logger = logging.getLogger(__name__)
    logger.addFilter(_is_fault_of_the_server)
    return logger


def _is_fault_of_the_server(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError)


class _Listener:
    """The listening socket, which can be closed and opened again on the same port."""

    def __init__(self, runner: web.AppRunner, host: str, port: int, tls: SSLContext | None) -> None:
        self._runner = runner
        self._host = host
        self._port = port
        self._tls = tls
        self._site: web.TCPSite | None = None

    async def open(self) -> None:
        self._site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    async def close(self) -> None:
        if self._site is not None:
            await self._site.stop()


async def _wait_for_disconnect(request: web.Request) -> None:
    # aiohttp has no event for a disconnect. It can cancel the handlers of disconnected clients, but then it cancels all
    # handlers, and a real service completes a request whose client has disconnected.
    while request.transport is not None:  # noqa: ASYNC110
        await asyncio.sleep(_HANG_CHECK_INTERVAL)


def _fault_response(fault: Fault, api_request: _ApiRequest) -> _ApiResponse | None:
    options = fault.options
    if fault.kind in _FAULT_ERRORS:
        after = options.get("retry_after")
        headers = {} if after is None else {"x-acs-retry-after": str(after)}
        return _error_response(api_request, ApiError(*_FAULT_ERRORS[fault.kind]), headers)
    match fault.kind:
        case FaultKind.HTML_502:
            return _ApiResponse(HTTPStatus.BAD_GATEWAY, "BadGateway", _HTML_502, "text/html")
        case FaultKind.ANSWER:
            return _ApiResponse(
                options["status"], "Answer", options["body"], options["content_type"], options["headers"]
            )
        case _:
            return None


def _parse_request(request: web.Request, body: bytes) -> _ApiRequest:
    headers = {name.lower(): value for name, value in request.headers.items()}
    # The raw path, because aiohttp normalises the query and the signature covers the query as it was sent.
    path, _, query_string = request.raw_path.partition("?")
    query = parse_qsl(query_string, keep_blank_values=True)
    form: list[tuple[str, str]] = []
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    return _ApiRequest(
        request_id=str(uuid.uuid4()).upper(),
        host=headers.get("host", ""),
        action=headers.get("x-acs-action", ""),
        version=headers.get("x-acs-version", ""),
        parameters=Parameters(dict(query), dict(form)),
        signed=SignedRequest(request.method, path, query, headers, body),
    )


def _json_response(
    api_request: _ApiRequest, status: int, code: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> _ApiResponse:
    return _ApiResponse(
        status,
        code,
        json.dumps(body, ensure_ascii=False),
        headers={"x-acs-request-id": api_request.request_id, **(headers or {})},
    )


def _error_response(
    api_request: _ApiRequest, error: ApiError, headers: Mapping[str, str] | None = None
) -> _ApiResponse:
    diagnosis = urlencode({"q": error.code, "product": "ICE", "requestId": api_request.request_id})
    body = {
        "RequestId": api_request.request_id,
        "HostId": api_request.host,
        "Code": error.code,
        "Message": error.message,
        "Recommend": f"https://api.aliyun.com/troubleshoot?{diagnosis}",
    }
    return _json_response(api_request, error.http_status, error.code, body, headers)
