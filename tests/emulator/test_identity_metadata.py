"""The metadata service, credentials URIs, and the emulator as a proxy."""

from __future__ import annotations

import json
import socket
import ssl
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_ims.emulator.process import EmulatorProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

ROLES = "/latest/meta-data/ram/security-credentials/"
LIST = "QueryCopyrightJobList"


def send(
    emulator: EmulatorProcess, method: str, target: str, headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], str]:
    """Send a request with any target and return status, headers and body."""
    address = urlsplit(emulator.endpoint)
    lines = [f"{method} {target} HTTP/1.1", "Content-Length: 0", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in {"Host": address.netloc, **(headers or {})}.items()]
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        received = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    head, _, body = received.partition("\r\n\r\n")
    first, *others = head.split("\r\n")
    pairs = (line.partition(": ") for line in others)
    return int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, body


def metadata_token(emulator: EmulatorProcess, seconds: int = 60) -> str:
    """Return a token of the metadata service."""
    headers = {"X-aliyun-ecs-metadata-token-ttl-seconds": str(seconds)}
    status, _, token = send(emulator, "PUT", "/latest/api/token", headers)
    assert status == 200
    return token


def with_token(token: str) -> dict[str, str]:
    """Return the header with a token."""
    return {"X-aliyun-ecs-metadata-token": token}


@pytest.mark.parametrize("path", [ROLES, ROLES.removesuffix("/")])
def test_the_role_of_the_instance(ims_emulator: EmulatorProcess, path: str) -> None:
    """The metadata service returns the name of the role as text."""
    ims_emulator.put_instance_role("worker")

    status, headers, body = send(ims_emulator, "GET", path)
    assert (status, headers["content-type"], body) == (200, "text/plain;charset=utf-8", "worker")
    assert ims_emulator.instance_role() == {"role": "worker", "imds_v1": True}


def test_the_keys_of_the_instance(ims_emulator: EmulatorProcess, connect: Callable[..., Any]) -> None:
    """The metadata service returns keys that are valid for six hours, in the vendor's shape."""
    ims_emulator.put_instance_role("worker")
    body = json.loads(send(ims_emulator, "GET", f"{ROLES}worker")[2])

    assert body.keys() == {"AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration", "LastUpdated", "Code"}
    assert (body["Code"], body["Expiration"] > body["LastUpdated"]) == ("Success", True)
    keys = {
        "access_key_id": body["AccessKeyId"],
        "access_key_secret": body["AccessKeySecret"],
        "security_token": body["SecurityToken"],
    }
    assert connect(ims_emulator, **keys)(LIST).status == 200
    assert ims_emulator.access_keys()[1] == {
        "access_key_id": body["AccessKeyId"],
        "identity": "acs:ram::1234567890123456:assumed-role/worker/i-emulator",
        "expiration": body["Expiration"],
        "state": "active",
    }


def test_a_token_is_required_if_v1_is_switched_off(ims_emulator: EmulatorProcess) -> None:
    """Without v1, requests without a token are 403, and with one they are served."""
    ims_emulator.put_instance_role("worker", imds_v1=False)

    assert send(ims_emulator, "GET", ROLES)[0] == 403
    assert send(ims_emulator, "GET", ROLES, with_token(metadata_token(ims_emulator)))[0] == 200


@pytest.mark.parametrize("imds_v1", [True, False])
def test_a_wrong_or_expired_token_is_refused(ims_emulator: EmulatorProcess, *, imds_v1: bool) -> None:
    """A token that was not issued, has expired or is from before a reset is 401, also if v1 is allowed."""
    ims_emulator.put_instance_role("worker", imds_v1=imds_v1)
    token = metadata_token(ims_emulator, 1)
    assert send(ims_emulator, "GET", ROLES, with_token("odd"))[0] == 401

    ims_emulator.configure(clock_skew=2)
    assert send(ims_emulator, "GET", ROLES, with_token(token))[0] == 401
    token = metadata_token(ims_emulator)
    ims_emulator.reset()
    assert send(ims_emulator, "GET", ROLES, with_token(token))[0] == 401


@pytest.mark.parametrize("seconds", ["", "0", "21601", "-1", "x", "1" * 5000, "\u0661"])
def test_a_token_has_a_bounded_lifetime(ims_emulator: EmulatorProcess, seconds: str) -> None:
    """A token lives 1 to 21,600 seconds."""
    headers = {"X-aliyun-ecs-metadata-token-ttl-seconds": seconds}

    assert send(ims_emulator, "PUT", "/latest/api/token", headers)[0] == 400
    assert send(ims_emulator, "PUT", "/latest/api/token")[0] == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/latest/api/token", 405),
        ("PUT", ROLES, 405),
        ("POST", f"{ROLES}worker", 405),
        ("GET", f"{ROLES}other", 404),
        ("GET", f"{ROLES}worker/", 404),
        ("GET", f"{ROLES}../worker", 404),
        ("GET", "/latest/meta-data/instance-id", 404),
        ("GET", "/latest/", 404),
        ("GET", "/latest", 404),
        ("GET", f"{ROLES}%ff", 404),
    ],
)
def test_other_paths_and_methods_are_refused(
    ims_emulator: EmulatorProcess, method: str, path: str, status: int
) -> None:
    """The metadata service has the role and its keys only, and gives no keys for another role."""
    ims_emulator.put_instance_role("worker")

    assert send(ims_emulator, method, path)[0] == status
    assert len(ims_emulator.access_keys()) == 1


def test_an_instance_without_a_role(ims_emulator: EmulatorProcess) -> None:
    """At the start, and after the role was detached, there is no role."""
    assert send(ims_emulator, "GET", ROLES)[0] == 404
    ims_emulator.put_instance_role("worker")
    ims_emulator.put_instance_role(None)
    assert send(ims_emulator, "GET", ROLES)[0] == send(ims_emulator, "GET", f"{ROLES}worker")[0] == 404


@pytest.mark.parametrize("host", ["100.100.100.200", "100.100.100.200:80"])
def test_the_emulator_is_a_proxy_for_the_metadata_service(ims_emulator: EmulatorProcess, host: str) -> None:
    """A request as a client sends it to a proxy is served for the address of the metadata service."""
    ims_emulator.put_instance_role("worker")

    assert send(ims_emulator, "GET", f"http://{host}{ROLES}", {"Host": host})[2] == "worker"
    assert ims_emulator.requests()[0]["parameters"] == {"method": "GET", "path": ROLES}


@pytest.mark.parametrize(
    "target",
    [
        "http://100.100.100.200/",
        "http://100.100.100.200/_emulator/media",
        "http://100.100.100.200/credentials/mine",
        "http://100.100.100.200:81/latest/api/token",
        "http://100.100.100.201/latest/api/token",
        "http://example.com/latest/api/token",
        "http://user@100.100.100.200/latest/api/token",
        "HTTP://example.com/",
    ],
)
def test_the_emulator_is_no_proxy_for_others(ims_emulator: EmulatorProcess, target: str) -> None:
    """A request for another host or another path of the metadata service's host is refused, and not logged."""
    host = urlsplit(target).netloc.rpartition("@")[2]
    status, _, body = send(ims_emulator, "GET", target, {"Host": host})

    assert (status, json.loads(body).keys()) == (403, {"error"})
    assert ims_emulator.requests() == []


def test_a_request_to_the_emulator_itself_can_be_in_the_form_for_proxies(ims_emulator: EmulatorProcess) -> None:
    """A client with the emulator as its proxy can also call the emulator's own address."""
    uri = ims_emulator.put_credentials_uri("mine")

    assert send(ims_emulator, "GET", uri)[0] == 200
    assert json.loads(send(ims_emulator, "GET", f"{ims_emulator.endpoint}/_emulator/roles")[2]) == []
    assert send(ims_emulator, "GET", ims_emulator.endpoint)[0] == 404


@contextmanager
def tunnel_to_sts(emulator: EmulatorProcess) -> Iterator[socket.socket]:
    """Open a tunnel and return the connection."""
    address = urlsplit(emulator.endpoint)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(b"CONNECT sts.aliyuncs.com:443 HTTP/1.1\r\nHost: sts.aliyuncs.com:443\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 200 Connection established\r\n\r\n"
        yield connection


def test_a_tunnel_leads_to_sts(tls_emulator: EmulatorProcess, certificate: tuple[Path, Path]) -> None:
    """CONNECT opens a tunnel to the https port of the emulator, which ends with the client's connection."""
    context = ssl.create_default_context(cafile=str(certificate[0]))
    with (
        tunnel_to_sts(tls_emulator) as connection,
        context.wrap_socket(connection, server_hostname="sts.aliyuncs.com") as tunnel,
    ):
        for _ in range(2):
            tunnel.sendall(b"GET /?Action=GetCallerIdentity HTTP/1.1\r\nHost: sts.aliyuncs.com\r\n\r\n")
            assert tunnel.recv(100).startswith(b"HTTP/1.1 404")
            while b"}" not in tunnel.recv(65536):
                pass

    assert [record["action"] for record in tls_emulator.requests()] == ["GetCallerIdentity"] * 2


@pytest.mark.parametrize(
    "target", ["example.com:443", "sts.aliyuncs.com.example:443", "127.0.0.1:22", "localhost:80", "100.100.100.200:80"]
)
def test_there_is_no_tunnel_to_others(tls_emulator: EmulatorProcess, target: str) -> None:
    """CONNECT for any host but those of the APIs is refused."""
    assert send(tls_emulator, "CONNECT", target)[0] == 403


def test_there_is_no_tunnel_without_https(ims_emulator: EmulatorProcess) -> None:
    """CONNECT is refused by an emulator without a certificate."""
    assert send(ims_emulator, "CONNECT", "sts.aliyuncs.com:443")[0] == 403


def test_an_outage_closes_tunnels(tls_emulator: EmulatorProcess) -> None:
    """An outage closes a tunnel that is open."""
    tls_emulator.fault("EcsMetadata", "outage", seconds=0.1)
    with tunnel_to_sts(tls_emulator) as connection:
        with suppress(ConnectionError, IndexError):
            send(tls_emulator, "GET", ROLES)
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_an_open_tunnel_does_not_delay_the_end(certificate: tuple[Path, Path]) -> None:
    """The process ends although a tunnel is open."""
    cert, key = certificate
    with EmulatorProcess(tls_cert=cert, tls_key=key, tls_port=0) as emulator, tunnel_to_sts(emulator) as connection:
        start = time.monotonic()
        emulator.__exit__(None, None, None)
        assert time.monotonic() - start < 4  # after 5 seconds it would be killed
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_keys_of_a_credentials_uri(ims_emulator: EmulatorProcess) -> None:
    """A credentials URI returns keys, in the shape that the vendor's libraries read, until it is replaced."""
    uri = ims_emulator.put_credentials_uri("mine", role="worker")
    status, _, text = send(ims_emulator, "GET", urlsplit(uri).path)
    body = json.loads(text)

    assert status == 200
    assert body.keys() == {"Code", "AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"}
    assert ims_emulator.access_keys()[1]["identity"] == "acs:ram::1234567890123456:assumed-role/worker/i-emulator"
    assert ims_emulator.credentials_uris() == [{"name": "mine", "role": "worker", "code": "Success", "status": 200}]
    ims_emulator.put_credentials_uri("mine", status=503)
    status, _, text = send(ims_emulator, "GET", urlsplit(uri).path)
    assert (status, json.loads(text)["Code"]) == (503, "Failed")


def test_an_unknown_credentials_uri(ims_emulator: EmulatorProcess) -> None:
    """A credentials URI that was not put is 404."""
    status, _, text = send(ims_emulator, "GET", "/credentials/none")

    assert (status, json.loads(text)["Code"]) == (404, "NotFound")
    assert send(ims_emulator, "GET", "/credentials/")[0] == 404


@pytest.mark.parametrize(
    ("kind", "options", "status", "text"),
    [
        ("throttle", {"retry_after": 7}, 400, "Throttling.User"),
        ("service_unavailable", {}, 503, ""),
        ("html_502", {}, 502, "502 Bad Gateway"),
        ("answer", {"status": 418, "body": "odd"}, 418, "odd"),
    ],
)
def test_faults_hit_by_name(
    ims_emulator: EmulatorProcess, kind: str, options: dict[str, Any], status: int, text: str
) -> None:
    """Requests to the metadata service and to credentials URIs have names for faults."""
    ims_emulator.put_instance_role("worker")
    uri = ims_emulator.put_credentials_uri("mine")
    ims_emulator.fault("EcsMetadata", kind, **options)
    ims_emulator.fault("CredentialsUri", kind, **options)

    for path in (f"{ROLES}worker", urlsplit(uri).path):
        response = send(ims_emulator, "GET", path)
        assert response[0] == status
        assert send(ims_emulator, "GET", path)[0] == 200
    assert text in response[2]
    assert [record["fault"] for record in ims_emulator.requests()] == [kind, None, kind, None]


def test_a_cut_after_gives_keys_that_nobody_sees(ims_emulator: EmulatorProcess) -> None:
    """If the connection is cut after the request was carried out, the keys exist."""
    ims_emulator.put_instance_role("worker")
    ims_emulator.fault("EcsMetadata", "internal_error_after")

    assert send(ims_emulator, "GET", f"{ROLES}worker")[0] == 500
    assert len(ims_emulator.access_keys()) == 2
