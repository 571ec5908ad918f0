"""A web server on this machine, for the example DAGs: it serves files, and keeps the requests that notify it."""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType


class WebServer:
    """A server in a thread, on a free port, while the ``with`` block runs.

    :attr:`received` has the path and the JSON body of each POST request.
    """

    def __init__(self) -> None:
        self.received: list[tuple[str, Any]] = []
        self._responses: dict[str, list[bytes]] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """The URL of the server, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def connection_json(self) -> str:
        """Return an Airflow connection of type HTTP to the server, as JSON."""
        return json.dumps({"conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": self.port})

    def serve(self, path: str, *responses: Any) -> str:
        """Serve JSON values at a path, one for each request and the last one from then on, and return the URL.

        :param path: path, with a slash at its beginning
        :param responses: the values
        """
        self._responses[path] = [json.dumps(response).encode() for response in responses]
        return f"{self.url}{path}"

    def _next(self, path: str) -> bytes | None:
        with self._lock:
            responses = self._responses.get(path, [])
            return responses.pop(0) if len(responses) > 1 else next(iter(responses), None)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = server._next(self.path)
                self._respond(HTTPStatus.NOT_FOUND if body is None else HTTPStatus.OK, body or b"null")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.received.append((self.path, json.loads(body)))
                self._respond(HTTPStatus.OK, b"{}")

            def _respond(self, status: HTTPStatus, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Print nothing."""

        return Handler
