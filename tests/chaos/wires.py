"""Stub servers between a worker and the service, which signal when a request has come, and do not respond."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from types import TracebackType

_CHUNK = 64 * 1024


class StubServer:
    """A server for one connection of a worker, as a context manager."""

    scheme = "http"

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
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
