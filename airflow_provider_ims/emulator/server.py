"""The HTTP server: parses API requests, sends responses, and applies faults."""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import UTC, datetime
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl
from weakref import WeakKeyDictionary

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict

from airflow_provider_ims.emulator.access import is_from_foreign_page, is_loopback_host, is_navigation
from airflow_provider_ims.emulator.calls import Response
from airflow_provider_ims.emulator.control import PREFIX, control_routes, error_response
from airflow_provider_ims.emulator.errors import ApiError
from airflow_provider_ims.emulator.faults import Fault, FaultKind
from airflow_provider_ims.emulator.gateway import ApiCall, is_api_host, parse_parameters
from airflow_provider_ims.emulator.metadata import (
    METADATA_HOST,
    METADATA_PREFIX,
    URI_PREFIX,
    CredentialsUriCall,
    MetadataCall,
)
from airflow_provider_ims.emulator.signature import SignedRequest
from airflow_provider_ims.emulator.tunnel import open_tunnel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from ssl import SSLContext

    from airflow_provider_ims.emulator.calls import Call
    from airflow_provider_ims.emulator.state import EmulatorState

# Longest request line in bytes. Most parameters are in the query string, percent-encoded.
_MAX_LINE = 64 * 1024
_MAX_HEADERS = 128
# The target of a request in absolute form, as a client sends it to a proxy.
_ABSOLUTE = re.compile(r"https?://(?P<host>[^/?#]*)(?P<target>.*)", re.IGNORECASE | re.DOTALL)
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


class EmulatorServer:
    """The HTTP server of an emulator.

    The APIs are at ``/``, the metadata service below ``/latest``, credentials URIs below ``/credentials``, the control
    API and the page below ``/_emulator``.

    :param state: what the requests read and change.
    """

    def __init__(self, state: EmulatorState) -> None:
        self._state = state
        self._listeners: list[_Listener] = []
        # A reset does not restart these numbers, because the connections stay open.
        self._connections: WeakKeyDictionary[asyncio.Transport, int] = WeakKeyDictionary()
        self._connection_count = 0

    def runner(self) -> web.AppRunner:
        """Return the runner of the application, before its setup."""
        app = web.Application(middlewares=[_guard, self._tunnel])
        app.router.add_route("GET", "/", self._serve)
        app.router.add_route("POST", "/", self._serve)
        app.router.add_route("*", METADATA_PREFIX + "{item:.*}", self._serve)
        app.router.add_route("GET", URI_PREFIX + "{name}", self._serve)
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

    async def listen(self, runner: web.AppRunner, host: str, port: int, tls: SSLContext | None) -> int:
        """Start to listen. A server can listen on several ports.

        :param runner: the runner of the application, after its setup.
        :param host: address to listen on.
        :param port: port to listen on; 0 picks a free one.
        :param tls: serves https; None serves http.
        :return: the port.
        """
        listener = _Listener(runner, host, port, tls)
        await listener.open()
        self._listeners.append(listener)
        return listener.port

    async def _serve(self, request: web.Request) -> web.Response:
        call = self._parse(request, await request.read())
        record = self._state.journal.open(
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            action=call.action,
            parameters=call.logged_parameters,
            request_id=call.request_id,
            connection=self._connection_number(request.transport),
            form_parameters=call.form_parameters,
        )
        fault = self._state.faults.draw(call.action)
        if fault is None:
            response: Response | None = call.respond()
        else:
            record.fault = fault.kind
            response = await self._respond_with_fault(fault, call, request)
        if response is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        record.code, record.http_status = response.code, response.status
        # The date is that of the clock that the server checks requests with.
        headers = CIMultiDict(
            {"Content-Type": response.content_type, "Date": formatdate(self._state.now(), usegmt=True)}
        )
        headers.update(response.headers)
        return web.Response(status=response.status, body=response.body.encode(), headers=headers)

    def _parse(self, request: web.Request, body: bytes) -> Call:
        headers = {name.lower(): value for name, value in request.headers.items()}
        # The raw path, because aiohttp normalises the query and the signature covers the query as it was sent.
        path, _, query_string = _target(request).partition("?")
        query = parse_qsl(query_string, keep_blank_values=True)
        if path.startswith(METADATA_PREFIX):
            return MetadataCall(self._state, request.method, path, headers)
        if path.startswith(URI_PREFIX):
            return CredentialsUriCall(self._state, request.match_info["name"], dict(query))
        signed = SignedRequest(request.method, path or "/", query, headers, body)
        return ApiCall(self._state, signed, parse_parameters(signed))

    @web.middleware
    async def _tunnel(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Serve ``CONNECT``, as a proxy for the hosts of the APIs."""
        if request.method != "CONNECT":
            return await handler(request)
        listener = next((listener for listener in self._listeners if listener.tls is not None), None)
        if listener is None or not is_api_host(request.raw_path):
            return error_response(403, "the emulator is a proxy for https to IMS and STS, and needs a certificate")
        if request.transport is not None:
            self._connection_number(request.transport)  # so that an outage closes it
            await open_tunnel(request.transport, listener.host, listener.port)
        return web.Response()

    def _connection_number(self, transport: asyncio.Transport | None) -> int:
        if transport is None:  # The client has disconnected.
            return 0
        number = self._connections.get(transport)
        if number is None:
            self._connection_count += 1
            number = self._connections[transport] = self._connection_count
        return number

    async def _respond_with_fault(self, fault: Fault, call: Call, request: web.Request) -> Response | None:
        """Return the response to a request that a fault hits, None to close the connection without a response."""
        match fault.kind:
            case FaultKind.SLOW:
                await asyncio.sleep(fault.options["seconds"])
                return call.respond()
            case FaultKind.HANG:
                await _wait_for_disconnect(request)
            case FaultKind.OUTAGE:
                await self._refuse_connections(fault.options["seconds"])
            case FaultKind.CUT_AFTER | FaultKind.INTERNAL_ERROR_AFTER:
                call.respond()
            case FaultKind.ANSWER if fault.options["carried_out"]:
                call.respond()
        return _fault_response(fault, call)

    async def _refuse_connections(self, seconds: float) -> None:
        """Close all connections and refuse new ones for a number of seconds."""
        for listener in self._listeners:
            await listener.close()
        for transport in list(self._connections):
            transport.abort()
        await asyncio.sleep(seconds)
        for listener in self._listeners:
            await listener.open()


@web.middleware
async def _guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse requests that are odd, for another server or from a foreign page, before anything reads them."""
    if (refusal := _refusal(request)) is not None:
        return refusal
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


def _refusal(request: web.Request) -> web.Response | None:
    headers = {name.lower(): value for name, value in request.headers.items()}
    # aiohttp decodes bytes that are not UTF-8 to surrogates, which nothing can encode again.
    if not _is_unicode([request.raw_path, *headers, *request.headers.values()]):
        return error_response(400, "the request line or a header is not UTF-8")
    # Newer versions of aiohttp refuse both. Python's own client sends CONNECT without a Host.
    has_host = request.method == "CONNECT" or len(request.headers.getall("Host", [])) == 1
    if len(request.headers) > _MAX_HEADERS or not has_host:
        return error_response(400, f"a request must have one Host header, and {_MAX_HEADERS} headers or fewer")
    if not _is_for_this_server(request):
        return error_response(403, f"the emulator is a proxy for http://{METADATA_HOST}{METADATA_PREFIX} only")
    is_link_to_page = request.path == PREFIX and is_navigation(headers)
    if is_from_foreign_page(headers, request.scheme) and not is_link_to_page:
        return error_response(403, "the emulator does not serve pages of other origins")
    return None


def _is_for_this_server(request: web.Request) -> bool:
    """Return whether a request names no host in its target, or one that the emulator responds for as a proxy."""
    match = _ABSOLUTE.fullmatch(request.raw_path)
    if match is None or is_loopback_host(match["host"]):
        return True
    return match["host"] in {METADATA_HOST, f"{METADATA_HOST}:80"} and match["target"].startswith(METADATA_PREFIX)


def _target(request: web.Request) -> str:
    match = _ABSOLUTE.fullmatch(request.raw_path)
    return request.raw_path if match is None else match["target"]


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
        self.host = host
        self.port = port
        self.tls = tls
        self._site: web.TCPSite | None = None

    async def open(self) -> None:
        self._site = web.TCPSite(self._runner, self.host, self.port, ssl_context=self.tls)
        await self._site.start()
        self.port = self._runner.addresses[-1][1]

    async def close(self) -> None:
        if self._site is not None:
            await self._site.stop()


async def _wait_for_disconnect(request: web.Request) -> None:
    # aiohttp has no event for a disconnect. It can cancel the handlers of disconnected clients, but then it cancels all
    # handlers, and a real service completes a request whose client has disconnected.
    while request.transport is not None:  # noqa: ASYNC110
        await asyncio.sleep(_HANG_CHECK_INTERVAL)


def _fault_response(fault: Fault, call: Call) -> Response | None:
    options = fault.options
    if fault.kind in _FAULT_ERRORS:
        after = options.get("retry_after")
        headers = {} if after is None else {"x-acs-retry-after": str(after)}
        return call.refuse(ApiError(*_FAULT_ERRORS[fault.kind]), headers)
    match fault.kind:
        case FaultKind.HTML_502:
            return Response(HTTPStatus.BAD_GATEWAY, "BadGateway", _HTML_502, "text/html")
        case FaultKind.ANSWER:
            return Response(options["status"], "Answer", options["body"], options["content_type"], options["headers"])
        case _:
            return None
