"""Wires between a worker and the service that tell when something happens on them, and do not pass everything on."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from types import TracebackType

_CHUNK = 64 * 1024


class Wire:
    """A listening socket for one worker, as a context manager."""

    scheme = "http"

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.used = threading.Event()
        """Set when the worker has come to where it is to be left alone."""

    @property
    def endpoint(self) -> str:
        """Where the worker is to call."""
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
        except OSError:  # nobody came
            return
        with worker:
            self._handle(worker)
            while worker.recv(_CHUNK):  # until the worker is dead
                pass

    def _handle(self, worker: socket.socket) -> None:
        raise NotImplementedError


class UnansweredHandshake(Wire):
    """Accepts the connection and never answers the TLS handshake: the request cannot be sent."""

    scheme = "https"

    def _handle(self, worker: socket.socket) -> None:
        worker.recv(_CHUNK)
        self.used.set()


class SwallowedAnswer(Wire):
    """Passes the request on to the service and keeps the answer for itself.

    :param endpoint: of the service
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        service = urlsplit(endpoint)
        self._service = (service.hostname, service.port)

    def _handle(self, worker: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += worker.recv(_CHUNK)
        with socket.create_connection(self._service) as service:
            service.sendall(request)
            service.recv(_CHUNK)
        self.used.set()
