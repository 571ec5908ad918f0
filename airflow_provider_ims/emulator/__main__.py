"""The command line of the emulator."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import ssl
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING

from airflow_provider_ims.emulator.fields import MAX_SECONDS
from airflow_provider_ims.emulator.keys import DEFAULT_ACCESS_KEY_ID, DEFAULT_ACCESS_KEY_SECRET, Credentials
from airflow_provider_ims.emulator.server import EmulatorServer
from airflow_provider_ims.emulator.service import Service, Settings
from airflow_provider_ims.emulator.state import EmulatorState

if TYPE_CHECKING:
    from collections.abc import Sequence

# Interval in seconds at which the process checks whether its parent still runs.
_PARENT_CHECK_INTERVAL = 0.5


def main(arguments: list[str] | None = None) -> int:
    """Run the emulator until SIGTERM or SIGINT.

    :return: the exit status.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.tls_port is not None and options.tls_cert is None:
        parser.error("--tls-port needs --tls-cert")
    try:
        asyncio.run(_run(options))
    except OSError as error:
        # For example, the port is in use or a certificate is not readable. The message is enough without a traceback.
        print(f"IMS emulator: {error}", file=sys.stderr)  # noqa: T201 - command line output
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_ims.emulator",
        description="A local emulator of Alibaba Cloud Intelligent Media Services (IMS) for demonstrations and tests.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", type=_loopback, default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument("--port", type=_port, default=8123, help="port to listen on; 0 picks a free one")
    parser.add_argument("--access-key-id", default=DEFAULT_ACCESS_KEY_ID, help="the fixed access key")
    parser.add_argument("--access-key-secret", default=DEFAULT_ACCESS_KEY_SECRET, help="its secret")
    parser.add_argument("--security-token", help="security token (STS) that requests must have")
    parser.add_argument("--region", default="cn-shanghai", help="region to emulate")
    parser.add_argument("--processing-time", type=_seconds, default=5.0, help="seconds that a job takes")
    parser.add_argument("--tls-cert", help="certificate chain (PEM) for https")
    parser.add_argument(
        "--tls-port", type=_port, help="serve https on this port, and http on --port; 0 picks a free one"
    )
    parser.add_argument("--tls-key", help="private key (PEM), if it is not in the file of the certificate")
    parser.add_argument(
        "--exit-with-parent", type=int, metavar="PID", help="end when this process is no longer the parent"
    )
    return parser


def _loopback(host: str) -> str:
    # The control API needs no key, so it must not be reachable from other machines.
    try:
        is_loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise argparse.ArgumentTypeError(f"{host} is not a loopback address; the emulator serves this machine only")
    return host


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:  # noqa: PLR2004 - the range of ports
        raise argparse.ArgumentTypeError(f"{port} is not a port")
    return port


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds, 0 or more and {MAX_SECONDS:,} or less")
    return seconds


async def _run(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    state = EmulatorState(
        Credentials(options.access_key_id, options.access_key_secret, options.security_token or None),
        Service(options.region, Settings(processing_time=options.processing_time)),
    )
    server = EmulatorServer(state)
    tls = _tls(options.tls_cert, options.tls_key)
    listeners = [(options.port, tls)]
    if options.tls_port is not None:
        listeners = [(options.port, None), (options.tls_port, tls)]
    runner = server.runner()
    await runner.setup()
    try:
        endpoints: list[str] = []
        for port, context in listeners:
            scheme = "http" if context is None else "https"
            actual_port = await server.listen(runner, options.host, port, context)
            endpoints.append(f"{scheme}://{_authority(options.host)}:{actual_port}")
        print(_ready_line(endpoints, options.region), flush=True)  # noqa: T201 - the caller waits for it
        if options.exit_with_parent is None:
            await stop.wait()
        else:
            await _stopped_or_orphaned(stop, options.exit_with_parent)
    finally:
        await runner.cleanup()


def _tls(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    if cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


def _authority(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _ready_line(endpoints: Sequence[str], region: str) -> str:
    return f"IMS emulator listening on {' and '.join(endpoints)} (region {region})"


async def _stopped_or_orphaned(stop: asyncio.Event, parent: int) -> None:
    # If the parent has died, for whatever reason, this process has another parent.
    while os.getppid() == parent:
        try:
            await asyncio.wait_for(stop.wait(), _PARENT_CHECK_INTERVAL)
        except TimeoutError:
            continue
        return


if __name__ == "__main__":
    sys.exit(main())
