"""What stands between a client and its server: stubs that do not respond, and a relay whose server can be replaced."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_CHUNK = 64 * 1024
_HOST = "127.0.0.1"


class StubServer:
    """A server for one connection of a worker, as a context manager."""

    scheme = "http"

    def __init__(self) -> None:
        self._listener = socket.create_server((_HOST, 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.reached = threading.Event()
        """Set when the worker waits for a response that does not come."""

    @property
    def endpoint(self) -> str:
        """The endpoint for the worker."""
        host, port = self._listener.getsockname()
        return f"{self.scheme}://{host}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        try:
            worker, _ = self._listener.accept()
        except OSError:  # no worker has connected
            return
        with worker:
            self._handle(worker)
            while worker.recv(_CHUNK):  # until the worker has crashed
                pass

    def _handle(self, worker: socket.socket) -> None:
        raise NotImplementedError


class HangingHandshake(StubServer):
    """Accepts the connection and does not respond to the TLS handshake: the request cannot be sent."""

    scheme = "https"

    def _handle(self, worker: socket.socket) -> None:
        worker.recv(_CHUNK)
        self.reached.set()


class DroppedResponse(StubServer):
    """Passes the request to the service and drops the response.

    :param endpoint: the endpoint of the service
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        service = urlsplit(endpoint)
        self._service = (service.hostname, service.port)

    def _handle(self, worker: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            received = worker.recv(_CHUNK)
            if not received:  # the worker has closed the connection without a request
                return
            request += received
        with socket.create_connection(self._service) as service:
            service.sendall(request)
            service.recv(_CHUNK)
        self.reached.set()


class Relay:
    """Passes the connections to its port on to a server on this machine, as a context manager.

    While there is no server, it refuses connections.
    """

    def __init__(self) -> None:
        self._listener: socket.socket | None = socket.create_server((_HOST, 0))
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        """The port for the clients."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Refuse connections, and wait until the server has closed the open ones."""
        self.refuse()
        for thread in self._threads:
            thread.join()

    def pass_on_to(self, port: int) -> None:
        """Pass new connections on to a server.

        :param port: the server's
        """
        if self._listener is None:
            self._listener = socket.create_server((_HOST, self.port))
        self._start(self._accept, self._listener, port)

    def refuse(self) -> None:
        """Refuse new connections."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket, port: int) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                client, _ = listener.accept()
                self._start(_pass_on, client, port)

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()


def _pass_on(client: socket.socket, port: int) -> None:
    with client, suppress(OSError), socket.create_connection((_HOST, port)) as server:
        responses = threading.Thread(target=_copy, args=(server, client), daemon=True)
        responses.start()
        _copy(client, server)
        responses.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    """Copy bytes until one side has closed the connection, and close both sides."""
    with suppress(OSError):
        while received := source.recv(_CHUNK):
            sink.sendall(received)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
