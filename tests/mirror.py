"""A server that is none of Alibaba Cloud, or is a broken one: its responses repeat the request, tokens included."""

from __future__ import annotations

import itertools
import json
import re
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.api.encodings import ENCODINGS, encode

if TYPE_CHECKING:
    from types import TracebackType

_SECRET_NAMES = ("SecurityToken", "OIDCToken", "Signature")
_SECRET_HEADERS = ("x-acs-security-token", "x-aliyun-ecs-metadata-token")
_SIGNATURE = re.compile("Signature=([0-9a-f]+)")
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Mirror:
    """A server on this machine, as a context manager. Each response is encoded in another way than the one before.

    :param code: error code of its responses; empty for a success, ``ECHO`` for a token or a query of the request
    :param status: HTTP status of its responses
    :param page: respond with an HTML page instead of JSON
    :param forward_to: endpoint that the first requests are forwarded to
    :param forwards: number of these requests
    :param remembers: repeat the tokens of the last requests too
    """

    ECHO = "ECHO"

    def __init__(
        self,
        code: str = "",
        status: int = 400,
        *,
        page: bool = False,
        forward_to: str = "",
        forwards: int = 0,
        remembers: bool = False,
    ) -> None:
        self.code = code
        self.status = status
        self.page = page
        self.forward_to = forward_to
        self.remembers = remembers
        self.secrets: set[str] = set()
        """Tokens and signatures of all requests."""
        self.tokens: list[str] = []
        """The security tokens of all requests."""
        self.mirrored = 0
        """Number of the requests that it repeated."""
        self._forwards = iter(range(forwards))
        self._encodings = itertools.cycle(ENCODINGS)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def respond(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, str, bytes]:
        """Return status, content type and body of the response."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        query = urlsplit(request.path).query
        parameters = {**dict(parse_qsl(query)), **dict(parse_qsl(body.decode("utf-8", "replace")))}
        secrets = [parameters[name] for name in _SECRET_NAMES if name in parameters]
        secrets += [headers[name] for name in _SECRET_HEADERS if name in headers]
        self.secrets |= {*secrets, *_SIGNATURE.findall(headers.get("authorization", ""))}
        earlier = self.tokens[-2:] if self.remembers else []
        self.tokens += [secret for secret in secrets if secret.startswith("CAIS") and secret not in self.tokens]
        if next(self._forwards, None) is not None:
            return self._forward(request, headers, body)
        self.mirrored += 1
        return self._repeat(request, [*secrets, *earlier], parameters)

    def _repeat(
        self, request: BaseHTTPRequestHandler, secrets: list[str], parameters: dict[str, str]
    ) -> tuple[int, str, bytes]:
        whole = f"{request.command} {request.path}\n{request.headers}"
        if not self.code and not self.page:
            # The name of the algorithm is no secret, and a result may have it; an error or a log has not.
            whole = whole.replace("ACS3-HMAC-SHA256 ", "")
        text = encode(" ".join([*secrets, whole]), [next(self._encodings)])
        if self.page:
            return self.status, "text/html", f"<html><body>{text}</body></html>".encode()
        content: dict[str, Any] = {"RequestId": f"R-{text}", "Message": f"we got <{text}>", "HostId": text}
        if self.code == self.ECHO:
            values = [*secrets, *parameters.values()]
            content |= {"Code": values[0], "RequestId": values[-1]}
        elif self.code:
            content |= {"Code": self.code, "Recommend": f"u?{text}"}
        else:
            content |= {"StatusCode": 200, "Data": {"JobId": "f" * 32, "Message": f"(c) {text}"}}
        return self.status, "application/json", json.dumps(content).encode()

    def _forward(self, request: BaseHTTPRequestHandler, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        # The host stays the same: it is signed.
        url = f"{self.forward_to}{urlsplit(request.path)._replace(scheme='', netloc='').geturl()}"
        forwarded = urllib.request.Request(url, body or None, headers, method=request.command)
        try:
            with _OPENER.open(forwarded, timeout=10) as response:
                return response.status, "application/json", response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, "application/json", error.read()


def _handler_of(mirror: Mirror) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, kind, data = mirror.respond(self, body)
            self.send_response(status)
            for name, value in (("Content-Type", kind), ("Content-Length", str(len(data)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_PUT = do_GET  # noqa: N815 - the names of the library

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    return Handler
