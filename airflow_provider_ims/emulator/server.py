"""The HTTP side: requests to the state and back, and faults on the wire."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode
from weakref import WeakKeyDictionary

from aiohttp import web

from airflow_provider_ims.emulator.actions import VERSION, find_operation
from airflow_provider_ims.emulator.control import control_routes
from airflow_provider_ims.emulator.errors import ApiError
from airflow_provider_ims.emulator.faults import Fault, FaultKind
from airflow_provider_ims.emulator.parameters import Parameters
from airflow_provider_ims.emulator.signature import SignedRequest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ssl import SSLContext

    from airflow_provider_ims.emulator.state import EmulatorState

# Longest request line in bytes. Most parameters are in the query string, percent-encoded.
_MAX_LINE = 64 * 1024
# How often a hanging request looks whether its client is still there, in seconds.
_HANG_TICK = 0.05

_HTML_502 = """<html>
<head><title>502 Bad Gateway</title></head>
<body>
<center><h1>502 Bad Gateway</h1></center>
<hr><center>nginx</center>
</body>
</html>
"""

_INTERNAL_ERROR = (500, "InternalError", "The request failed for a reason inside the service.")
_REFUSALS: Mapping[FaultKind, tuple[int, str, str]] = {
    FaultKind.THROTTLE: (400, "Throttling.User", "Request was denied due to user flow control."),
    FaultKind.SERVICE_UNAVAILABLE: (503, "ServiceUnavailable", "The service is temporarily unavailable."),
    FaultKind.INTERNAL_ERROR: _INTERNAL_ERROR,
    FaultKind.INTERNAL_ERROR_AFTER: _INTERNAL_ERROR,
}


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, taken apart."""

    request_id: str
    host: str
    action: str
    version: str
    parameters: Parameters
    signed: SignedRequest


@dataclass(frozen=True, slots=True)
class _Reply:
    """One answer, ready to send; ``code`` is what the journal notes."""

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
        """Return the runner of the application, not yet set up."""
        app = web.Application()
        app.router.add_route("GET", "/", self._serve)
        app.router.add_route("POST", "/", self._serve)
        app.add_routes(control_routes(self._state))
        # No access log: its lines would carry the parameters. A request that hangs does not delay the end.
        return web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, max_line_size=_MAX_LINE, max_field_size=_MAX_LINE
        )

    async def listen(self, runner: web.AppRunner, host: str, port: int, tls: SSLContext | None) -> None:
        """Begin to listen.

        :param runner: the runner of the application, set up.
        :param host: address to listen on.
        :param port: port to listen on, 0 picks a free one.
        :param tls: to serve https.
        """
        self._listener = _Listener(runner, host, port, tls)
        await self._listener.open()

    async def _serve(self, request: web.Request) -> web.Response:
        call = _take_apart(request, await request.read())
        record = self._state.journal.open(
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            action=call.action,
            parameters=call.parameters.merged(),
            request_id=call.request_id,
            connection=self._connection_number(request.transport),
        )
        fault = self._state.faults.draw(call.action)
        if fault is None:
            reply: _Reply | None = self._process(call)
        else:
            record.fault = fault.kind
            reply = await self._process_with(fault, call, request)
        if reply is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        record.code, record.http_status = reply.code, reply.status
        return web.Response(
            status=reply.status,
            body=reply.body.encode(),
            headers={"Content-Type": reply.content_type, **reply.headers},
        )

    def _connection_number(self, transport: asyncio.Transport | None) -> int:
        if transport is None:  # The client has gone already.
            return 0
        number = self._connections.get(transport)
        if number is None:
            self._connection_count += 1
            number = self._connections[transport] = self._connection_count
        return number

    def _process(self, call: _Call) -> _Reply:
        try:
            body = self._carry_out(call)
        except ApiError as error:
            return _refusal(call, error)
        return _json_reply(call, HTTPStatus.OK, "OK", {**body, "RequestId": call.request_id})

    def _carry_out(self, call: _Call) -> dict[str, Any]:
        operation = find_operation(self._state.service, call.action)
        if operation is None:
            raise ApiError(
                404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method."
            )
        if call.version != VERSION:
            raise ApiError(404, "InvalidVersion", "Specified parameter Version is not valid.")
        self._state.verifier.verify(call.signed, time.time())
        return operation(call.parameters)

    async def _process_with(self, fault: Fault, call: _Call, request: web.Request) -> _Reply | None:
        """Return the answer to a call that a fault hits, None to close the connection without one."""
        match fault.kind:
            case FaultKind.SLOW:
                await asyncio.sleep(fault.options["seconds"])
                return self._process(call)
            case FaultKind.HANG:
                await _client_gone(request)
            case FaultKind.OUTAGE:
                await self._fall_silent(fault.options["seconds"])
            case FaultKind.CUT_AFTER | FaultKind.INTERNAL_ERROR_AFTER:
                self._process(call)
        return _spoilt_reply(fault, call)

    async def _fall_silent(self, seconds: float) -> None:
        """Break all connections and refuse new ones for a while."""
        if self._listener is None:
            return
        await self._listener.close()
        for transport in list(self._connections):
            transport.abort()
        await asyncio.sleep(seconds)
        await self._listener.open()


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


async def _client_gone(request: web.Request) -> None:
    # The framework has no event for it: it tells all handlers, by cancelling them, or none. A service goes on with
    # what it has begun when the client leaves, so ours are not cancelled.
    while request.transport is not None:  # noqa: ASYNC110
        await asyncio.sleep(_HANG_TICK)


def _spoilt_reply(fault: Fault, call: _Call) -> _Reply | None:
    options = fault.options
    if fault.kind in _REFUSALS:
        after = options.get("retry_after")
        headers = {} if after is None else {"x-acs-retry-after": str(after)}
        return _refusal(call, ApiError(*_REFUSALS[fault.kind]), headers)
    match fault.kind:
        case FaultKind.HTML_502:
            return _Reply(HTTPStatus.BAD_GATEWAY, "BadGateway", _HTML_502, "text/html")
        case FaultKind.ANSWER:
            return _Reply(options["status"], "Answer", options["body"], options["content_type"], options["headers"])
        case _:
            return None


def _take_apart(request: web.Request, body: bytes) -> _Call:
    headers = {name.lower(): value for name, value in request.headers.items()}
    # The raw path: the framework would normalise the query, and the client has signed what it sent.
    path, _, query_string = request.raw_path.partition("?")
    query = parse_qsl(query_string, keep_blank_values=True)
    form: list[tuple[str, str]] = []
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    return _Call(
        request_id=str(uuid.uuid4()).upper(),
        host=headers.get("host", ""),
        action=headers.get("x-acs-action", ""),
        version=headers.get("x-acs-version", ""),
        parameters=Parameters(dict(query), dict(form)),
        signed=SignedRequest(request.method, path, query, headers, body),
    )


def _json_reply(
    call: _Call, status: int, code: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> _Reply:
    return _Reply(
        status,
        code,
        json.dumps(body, ensure_ascii=False),
        headers={"x-acs-request-id": call.request_id, **(headers or {})},
    )


def _refusal(call: _Call, error: ApiError, headers: Mapping[str, str] | None = None) -> _Reply:
    diagnosis = urlencode({"q": error.code, "product": "ICE", "requestId": call.request_id})
    body = {
        "RequestId": call.request_id,
        "HostId": call.host,
        "Code": error.code,
        "Message": error.message,
        "Recommend": f"https://api.aliyun.com/troubleshoot?{diagnosis}",
    }
    return _json_reply(call, error.http_status, error.code, body, headers)
