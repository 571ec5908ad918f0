"""A service for which every job is running: ``service.py CERTIFICATE KEY``. It prints the port that it listens on.

It does not verify requests, so it is faster than the emulator, which would limit the throughput of the candidates. The
response to a GET request is the number of connections that clients have opened so far.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys

_RESPONSE = json.dumps({"RequestId": "R", "StatusCode": 200, "Message": "ok", "Data": {}}).encode()
_BODY_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Service(asyncio.Protocol):
    """One connection of a client."""

    opened = 0

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        Service.opened += 1
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Send a response to each complete request."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            length = _BODY_LENGTH.search(head)
            end += 4 + (int(length[1]) if length else 0)
            if len(self._received) < end:
                return
            self._received = self._received[end:]
            body = str(Service.opened).encode() if head.startswith(b"GET") else _RESPONSE
            if self._transport is not None:
                self._transport.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                    % (len(body), body)
                )


async def serve(certificate: str, key: str) -> None:
    """Serve until the process is killed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Service, "127.0.0.1", 0, ssl=context, backlog=8192)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
