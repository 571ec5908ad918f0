"""A client of the API without the official SDK. It can also send requests that the SDK cannot send."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest

from airflow_provider_ims.emulator.process import EmulatorProcess
from tests.certificates import make_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Keys:
    """An access key, with a token if it is temporary."""

    access_key_id: str
    access_key_secret: str
    security_token: str | None = None


@dataclass(frozen=True)
class Response:
    """A response of the API."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> dict[str, Any]:
        """The response as JSON."""
        body: dict[str, Any] = json.loads(self.text)
        return body

    @property
    def error(self) -> tuple[int, str, str]:
        """HTTP status, code and message of an error."""
        return self.status, self.body["Code"], self.body["Message"]


class Client:
    """Signs requests and sends them over one connection that stays open.

    :param keys: signs with these keys; None for those of the emulator, as they are at the time of the request
    """

    def __init__(self, emulator: EmulatorProcess, keys: Keys | None = None) -> None:
        self.emulator = emulator
        self.keys = keys
        self._connection = http.client.HTTPConnection(urlsplit(emulator.endpoint).netloc, timeout=10)

    def close(self) -> None:
        """Close the connection. The next call opens a new one."""
        self._connection.close()

    def __call__(
        self,
        action: str,
        parameters: Mapping[str, str] | None = None,
        *,
        method: str = "POST",
        secret: str | None = None,
        headers: Mapping[str, str | None] | None = None,
        signed: list[str] | None = None,
        body: str = "",
        sent_body: str | None = None,
        timeout: float = 10,
    ) -> Response:
        """Call ``action``.

        :param headers: replace headers of the request; None leaves a header out
        :param signed: the signed headers; by default all headers of the protocol
        :param body: the signed form body
        :param sent_body: sent instead of ``body``
        """
        emulator = self.emulator
        keys = self.keys or Keys(emulator.access_key_id, emulator.access_key_secret)
        to_sign = {
            "host": urlsplit(emulator.endpoint).netloc,
            "x-acs-action": action,
            "x-acs-content-sha256": hashlib.sha256(body.encode()).hexdigest(),
            "x-acs-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": uuid.uuid4().hex,
            "x-acs-version": "2020-11-09",
        }
        if keys.security_token is not None:
            to_sign["x-acs-security-token"] = keys.security_token
        to_send = {"content-type": "application/x-www-form-urlencoded"} if body else {}
        for name, value in (headers or {}).items():
            if value is None:
                del to_sign[name]
            elif name == "authorization":
                to_send[name] = value
            else:
                to_sign[name] = value
        names = sorted(to_sign if signed is None else signed)
        query = "&".join(
            f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted((parameters or {}).items())
        )
        lines = [method, "/", query, *(f"{name}:{to_sign.get(name, '')}" for name in names), "", ";".join(names)]
        canonical = "\n".join([*lines, hashlib.sha256(body.encode()).hexdigest()])
        string_to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
        key = (secret or keys.access_key_secret).encode()
        signature = hmac.new(key, string_to_sign.encode(), hashlib.sha256).hexdigest()
        credential = f"Credential={keys.access_key_id},SignedHeaders={';'.join(names)},Signature={signature}"
        all_headers = {"authorization": f"ACS3-HMAC-SHA256 {credential}", **to_sign, **to_send}

        self._connection.timeout = timeout
        self._connection.request(
            method, f"/?{query}", body=(body if sent_body is None else sent_body) or None, headers=all_headers
        )
        response = self._connection.getresponse()
        text = response.read().decode()
        return Response(response.status, {name.lower(): value for name, value in response.getheaders()}, text)

    def submit(self, media: str = "oss://bucket/film.mp4", **options: str) -> Response:
        """Submit an extraction job for an OSS object."""
        return self("SubmitCopyrightExtractJob", {"Input": json.dumps({"Type": "OSS", "Media": media}), **options})

    def submitted(self, media: str = "oss://bucket/film.mp4", **options: str) -> str:
        """Submit an extraction job for an OSS object and return its JobId."""
        job_id: str = self.submit(media, **options).body["Data"]["JobId"]
        return job_id

    def query(self, job_id: str) -> Response:
        """Query an extraction job."""
        return self("QueryCopyrightExtractJob", {"JobId": job_id})


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Return a function that creates a client of an emulator. The fields of :class:`Keys` are keys to sign with."""
    clients: list[Client] = []

    def make(emulator: EmulatorProcess, **keys: str) -> Client:
        clients.append(Client(emulator, Keys(**keys) if keys else None))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def call(ims_emulator: EmulatorProcess, connect: Callable[[EmulatorProcess], Client]) -> Client:
    """Return a client of the emulator of the session."""
    return connect(ims_emulator)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the paths of a self-signed certificate for 127.0.0.1 and STS, and of its key."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def tls_emulator_process(certificate: tuple[Path, Path]) -> Iterator[EmulatorProcess]:
    """Run one emulator for the session that serves http and https."""
    cert, key = certificate
    with EmulatorProcess(tls_cert=cert, tls_key=key, tls_port=0) as emulator:
        yield emulator


@pytest.fixture
def tls_emulator(
    tls_emulator_process: EmulatorProcess, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> EmulatorProcess:
    """Return this emulator after a reset. The official library trusts its certificate."""
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    tls_emulator_process.reset()
    return tls_emulator_process
