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

from airflow_provider_ims.emulator.server import EmulatorServer
from airflow_provider_ims.emulator.service import Service, Settings
from airflow_provider_ims.emulator.signature import DEFAULT_ACCESS_KEY_ID, DEFAULT_ACCESS_KEY_SECRET, Credentials
from airflow_provider_ims.emulator.state import EmulatorState

if TYPE_CHECKING:
    from aiohttp.web import AppRunner

# How often the child looks whether its parent is still there, in seconds.
_PARENT_TICK = 0.5


def main(arguments: list[str] | None = None) -> int:
    """Run the emulator until SIGTERM or SIGINT.

    :return: the exit status.
    """
    options = _parser().parse_args(arguments)
    try:
        asyncio.run(_run(options))
    except OSError as error:
        # The port is taken, a certificate is not readable: no traceback is needed to say so.
        print(f"IMS emulator: {error}", file=sys.stderr)  # noqa: T201 - a command line
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_ims.emulator",
        description="A local Alibaba Cloud Intelligent Media Services (IMS) for demonstrations and tests.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", type=_loopback, default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument("--port", type=_port, default=8123, help="port to listen on, 0 picks a free one")
    parser.add_argument("--access-key-id", default=DEFAULT_ACCESS_KEY_ID, help="the only access key that may call")
    parser.add_argument("--access-key-secret", default=DEFAULT_ACCESS_KEY_SECRET, help="its secret")
    parser.add_argument("--security-token", help="security token (STS) that calls must carry; none if not given")
    parser.add_argument("--region", default="cn-shanghai", help="region to play")
    parser.add_argument(
        "--processing-time", type=_seconds, default=5.0, help="seconds until a job is done, 0 for at once"
    )
    parser.add_argument("--tls-cert", help="certificate chain (PEM): serve https")
    parser.add_argument("--tls-key", help="private key (PEM), if it is not in the certificate's file")
    parser.add_argument(
        "--exit-with-parent", type=int, metavar="PID", help="end when the parent process is no longer this one"
    )
    return parser


def _loopback(host: str) -> str:
    # The control API asks nobody for a key, so it must not be reachable from elsewhere.
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
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds, 0 or more")
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
    runner = server.runner()
    await runner.setup()
    try:
        await server.listen(runner, options.host, options.port, tls)
        print(_ready_line(runner, options, "https" if tls else "http"), flush=True)  # noqa: T201 - for who started it
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


def _ready_line(runner: AppRunner, options: argparse.Namespace, scheme: str) -> str:
    host = f"[{options.host}]" if ":" in options.host else options.host
    return f"IMS emulator listening on {scheme}://{host}:{runner.addresses[0][1]} (region {options.region})"


async def _stopped_or_orphaned(stop: asyncio.Event, parent: int) -> None:
    # An orphan is given to another process, so the number changes however the parent has died.
    while os.getppid() == parent:
        try:
            await asyncio.wait_for(stop.wait(), _PARENT_TICK)
        except TimeoutError:
            continue
        return


if __name__ == "__main__":
    sys.exit(main())
