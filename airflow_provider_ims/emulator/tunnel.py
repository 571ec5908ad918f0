"""Tunnels: the emulator as a proxy for https, which sends the connection of a client to its own TLS port."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class _Relay(asyncio.Protocol):
    """One end of a tunnel: what it receives goes to the other end.

    :param on_close: called when the connection of this end is closed.
    """

    def __init__(self, on_close: Callable[[], object]) -> None:
        self.other: asyncio.Transport | None = None
        self._on_close = on_close

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and not self.other.is_closing():
            self.other.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and not self.other.is_closing():
            self.other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature of asyncio
        if self.other is not None:
            self.other.close()
        self._on_close()


async def open_tunnel(client: asyncio.Transport, host: str, port: int) -> None:
    """Connect a client with a port of this machine, until one of them closes the connection.

    :param client: the connection of the client, which gets the response to ``CONNECT`` first.
    """
    loop = asyncio.get_running_loop()
    closed = asyncio.Event()
    # The protocol of the HTTP server must learn that its connection has ended.
    http = client.get_protocol()
    near, far = _Relay(lambda: http.connection_lost(None)), _Relay(closed.set)
    server, _ = await loop.create_connection(lambda: far, host, port)
    near.other, far.other = server, client
    client.set_protocol(near)
    client.write(_ESTABLISHED)
    await closed.wait()
