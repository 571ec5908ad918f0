from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_ims.emulator.process import EmulatorError, EmulatorProcess

if TYPE_CHECKING:
    from collections.abc import Callable


def is_listening(endpoint: str) -> bool:
    """Return whether the address accepts connections."""
    address = urlsplit(endpoint)
    try:
        socket.create_connection((address.hostname, address.port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_the_process_ends_with_the_block() -> None:
    """After the with block the address accepts no connections."""
    with EmulatorProcess() as emulator:
        assert is_listening(emulator.endpoint)

    assert not is_listening(emulator.endpoint)


def test_the_process_ends_with_an_exception() -> None:
    """An exception in the with block is raised to the caller, and the process ends."""
    with pytest.raises(ZeroDivisionError), EmulatorProcess() as emulator:
        raise ZeroDivisionError

    assert not is_listening(emulator.endpoint)


def test_the_process_ends_with_its_parent() -> None:
    """The process ends when its parent is killed."""
    code = (
        "import sys; from airflow_provider_ims.emulator.process import EmulatorProcess\n"
        "with EmulatorProcess() as emulator: print(emulator.endpoint, flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        address = urlsplit(parent.stdout.readline().strip())
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            parent.send_signal(signal.SIGKILL)
            # When the emulator ends, it closes its connections, and the kernel resets those that were not yet accepted.
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""


def test_a_failed_start_raises_the_error_output(tmp_path: Path) -> None:
    """A failed start raises the error output of the process."""
    missing = tmp_path / "missing.pem"

    with pytest.raises(EmulatorError, match=r"ended before it was ready; its error output: .*No such file"):
        EmulatorProcess(tls_cert=missing).__enter__()


def test_a_bad_command_raises_its_reason(ims_emulator: EmulatorProcess) -> None:
    """A refused control command raises the emulator's reason."""
    with pytest.raises(EmulatorError, match="variant must be one of: silent"):
        ims_emulator.put_media("oss://bucket/film.mp4", variant="loud")


def test_a_command_outside_of_the_block_is_an_error() -> None:
    """A command before the process runs is an error."""
    with pytest.raises(EmulatorError, match="only inside the with block"):
        EmulatorProcess().jobs()


def test_the_connection_has_the_fields_of_airflow(ims_emulator: EmulatorProcess) -> None:
    """The connection has credentials, endpoint and region in the fields of an Airflow connection."""
    assert ims_emulator.connection(read_timeout=2) == {
        "conn_type": "ims",
        "login": "emulator-access-key-id",
        "password": "emulator-access-key-secret",
        "host": ims_emulator.endpoint,
        "extra": {"region_id": "cn-shanghai", "read_timeout": 2},
    }


def test_the_connection_has_the_security_token() -> None:
    """The connection has the security token in its extra."""
    emulator = EmulatorProcess(security_token="a-token", region="cn-beijing")

    assert emulator.connection()["extra"] == {"region_id": "cn-beijing", "security_token": "a-token"}


def test_the_connection_is_json_for_the_environment(ims_emulator: EmulatorProcess) -> None:
    """The connection is also available as JSON for an environment variable."""
    assert json.loads(ims_emulator.connection_json(network="vpc")) == ims_emulator.connection(network="vpc")


def test_credentials_and_start_settings_can_be_chosen(connect: Callable[[EmulatorProcess], Any]) -> None:
    """Keys, region and processing time are arguments, and a reset returns to them."""
    with EmulatorProcess(
        access_key_id="me", access_key_secret="--mine", region="cn-beijing", processing_time=0
    ) as emulator:
        emulator.configure(processing_time=60)
        emulator.reset()
        emulator.put_media("https://bucket.oss-cn-beijing.aliyuncs.com/film.mp4", watermark="mark")
        call = connect(emulator)

        assert call.query(call.submitted("oss://bucket/film.mp4")).body["Data"] == {"Message": "mark"}


def test_proxies_are_bypassed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control client ignores the proxy of the environment."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    with EmulatorProcess() as emulator:
        assert emulator.jobs() == []


def test_https_is_served_with_a_certificate(certificate: tuple[Path, Path]) -> None:
    """With a certificate the endpoint is https, and the control client trusts it."""
    cert, key = certificate
    with EmulatorProcess(tls_cert=cert, tls_key=key) as emulator:
        assert emulator.endpoint.startswith("https://127.0.0.1:")
        assert emulator.tls_endpoint == emulator.endpoint
        assert emulator.jobs() == []


def test_http_and_https_are_served_at_once(tls_emulator: EmulatorProcess, certificate: tuple[Path, Path]) -> None:
    """With a port for https, the endpoint stays http, and both ports serve the same state."""
    tls_emulator.put_media("oss://bucket/film.mp4")
    context = ssl.create_default_context(cafile=str(certificate[0]))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))

    assert tls_emulator.endpoint.startswith("http://127.0.0.1:")
    with opener.open(f"{tls_emulator.tls_endpoint}/_emulator/media", timeout=10) as response:
        assert json.load(response) == tls_emulator.media()


def test_without_a_certificate_there_is_no_https(ims_emulator: EmulatorProcess) -> None:
    """Without a certificate the address for https is empty."""
    assert ims_emulator.tls_endpoint == ""


def test_an_outage_closes_both_ports(tls_emulator: EmulatorProcess) -> None:
    """During an outage neither http nor https is served, and afterwards both are, on the same ports."""
    endpoints = [tls_emulator.endpoint, tls_emulator.tls_endpoint]
    tls_emulator.fault("CredentialsUri", "outage", seconds=0.3)
    with pytest.raises((OSError, http.client.HTTPException)):
        urllib.request.urlopen(f"{tls_emulator.endpoint}/credentials/any", timeout=10)

    assert not any(map(is_listening, endpoints))
    deadline = time.monotonic() + 10
    while not all(map(is_listening, endpoints)):
        assert time.monotonic() < deadline


def test_the_control_client_imports_no_server() -> None:
    """The control client does not import aiohttp."""
    code = "import sys, airflow_provider_ims.emulator.process; print('aiohttp' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    output = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert output == "False\n"
