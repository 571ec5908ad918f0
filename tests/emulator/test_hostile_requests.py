"""Requests that a client should not send: none ends in a traceback, and a refused one changes nothing."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.emulator.errors import InvalidInputError
from airflow_provider_ims.emulator.json_text import MAX_DEPTH, decode_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FAMILY = b'{"name": "F", "submit_action": "S", "query_action": "Q", '
FORM = {"content-type": "application/x-www-form-urlencoded"}
MEDIA = b'{"media": "id"}'
MEGABYTE = 1024 * 1024
IDENTITIES = ("roles", "oidc-providers", "instance-role", "credentials-uris", "denials", "access-keys")
STATE = ("media", "jobs", "bill", "faults", "families", "settings", *IDENTITIES)


@dataclass
class Wire:
    """Sends bytes to an emulator, and reads its responses, its state and its error output."""

    port: int
    errors: IO[str]

    def send(self, data: bytes) -> tuple[int, bytes]:
        """Send bytes and return status and body of the response, which ends the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            try:
                connection.sendall(data)
                received = b"".join(iter(lambda: connection.recv(65536), b""))
            except ConnectionError as error:  # closed before everything was sent
                pytest.fail(f"no response: {error}")
        head, _, body = received.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str | bytes] | None = None,
    ) -> tuple[int, bytes]:
        """Send a request. The headers replace Host and Content-Length; an empty one leaves them out."""
        all_headers = {
            "host": f"127.0.0.1:{self.port}",
            "content-length": str(len(body)),
            "connection": "close",
            **(headers or {}),
        }
        lines = [
            name.encode() + b": " + (value if isinstance(value, bytes) else value.encode())
            for name, value in all_headers.items()
            if value
        ]
        return self.send(b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *lines, b"", body]))

    def state(self) -> dict[str, Any]:
        """Return everything that the control API reports, except the time."""
        parts = {name: json.loads(self.request("GET", f"/_emulator/{name}")[1]) for name in STATE}
        clock = json.loads(self.request("GET", "/_emulator/clock")[1])
        return {**parts, "advanced": clock["advanced"]}

    def error_output(self) -> str:
        """Return what the process has written to its error output."""
        self.errors.seek(0)
        return self.errors.read()


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """Run an emulator that has some state."""
    log: Path = tmp_path_factory.mktemp("emulator") / "errors"
    with (
        log.open("w+") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "airflow_provider_ims.emulator", "--port=0"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 15)[0]
        wire = Wire(int(process.stdout.readline().split()[4].rpartition(":")[2]), errors)
        assert wire.request("PUT", "/_emulator/media", b'{"media": "oss://bucket/film.mp4"}')[0] == 200
        assert wire.request("PUT", "/_emulator/families", FAMILY + b'"price": "2.00"}')[0] == 200
        assert wire.request("PUT", "/_emulator/roles", b'{"name": "worker"}')[0] == 200
        yield wire
        process.terminate()


def check_refused(wire: Wire, before: dict[str, Any], response: tuple[int, bytes], expected: int = 400) -> None:
    """Check status and state after a refused request, and that nothing shows a traceback."""
    status, body = response
    assert status == expected, body
    assert b"Traceback" not in body
    assert wire.state() == before
    assert wire.request("GET", "/_emulator")[0] == 200
    assert wire.error_output() == ""


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        *(
            (method, path, template % number)
            for method, path, template in [
                ("PUT", "/media", b'{"media": "id", "duration": %s}'),
                ("PUT", "/media", b'{"media": "id", "processing_time": %s}'),
                ("POST", "/clock", b'{"advance": %s}'),
                ("PATCH", "/settings", b'{"processing_time": %s}'),
                ("PATCH", "/settings", b'{"token_lifetime": %s}'),
                ("PUT", "/roles", b'{"name": "worker", "max_session_duration": %s}'),
                ("PUT", "/credentials-uris", b'{"name": "mine", "status": %s}'),
                ("POST", "/faults", b'{"action": "A", "kind": "outage", "seconds": %s}'),
                ("POST", "/faults", b'{"action": "A", "kind": "hang", "nth": %s}'),
                ("POST", "/faults", b'{"action": "A", "kind": "throttle", "retry_after": %s}'),
                ("PUT", "/families", FAMILY + b'"user_data_limit": %s}'),
            ]
            for number in [
                *(b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1", b"true", b'"1"', b"[1]", b"1e18"),
                *(b"1" + b"0" * 400, b"-1" + b"0" * 400, b"1" + b"0" * 10_000),
            ]
        ),
        ("PUT", "/oidc-providers", b'{"name": "ack", "jwks": {"keys": ' + b"[" * 500 + b"]" * 500 + b"}}"),
        ("PUT", "/oidc-providers", b'{"name": "ack", "jwks": {"keys": [{"kty": "RSA", "kid": "\\ud800"}]}}'),
        ("PUT", "/roles", b'{"name": "worker", "external_id": "\\ud800"}'),
        ("POST", "/access-keys/rotate", b'{"access_key_id": "a\\nb", "access_key_secret": "c"}'),
        ("PUT", "/families", FAMILY + b'"result_path": "a", "result": 1e400}'),
        ("PUT", "/families", FAMILY + b'"result_path": "a", "result": ' + b"[" * 500 + b"]" * 500 + b"}"),
        ("PUT", "/families", FAMILY + b'"result_path": "a", "result": [{"\\ud800": 1}]}'),
        ("PUT", "/families", FAMILY + b'"result_path": "' + b"a." * 500 + b'a"}'),
        ("PUT", "/families", FAMILY + '"price": "\u0661"}'.encode()),
        ("PUT", "/media", b'{"media": "id", "media": "id"}'),
        ("PUT", "/media", b'{"media": "id", "watermark": "\\ud800"}'),
        ("PUT", "/media", b'{"media": "id", "\\udfff": 1}'),
        ("PUT", "/media", b'{"media": "id", "watermark": "\x00"}'),
        ("PUT", "/media", b'{"media": "\xff"}'),
        ("PUT", "/media", MEDIA.decode().encode("utf-16")),
        ("PUT", "/media", b"[" * 100_000),
        ("PUT", "/media", b"[" * 100_000 + b"]" * 100_000),
        ("PUT", "/media", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        ("PUT", "/media", b""),
        ("POST", "/faults", b'{"action": "A", "kind": "answer", "status": 600}'),
        ("POST", "/faults", b'{"action": "A", "kind": "answer", "headers": {"a": "b\\r\\nc: d"}}'),
        ("POST", "/faults", b'{"action": "A", "kind": "answer", "headers": {"a": "\\u0000"}}'),
        ("POST", "/faults", b'{"action": "A", "kind": "answer", "headers": {"a b": "c"}}'),
        ("POST", "/faults", b'{"action": "A", "kind": "answer", "headers": {"Content-Length": "1"}}'),
        ("POST", "/faults", b'{"action": "A", "kind": "answer", "content_type": "a\\nb"}'),
        ("POST", "/reset", b'{"media": true}'),
        ("POST", "/reset", b"[]"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value[:60]),
)
def test_absurd_commands_are_refused(wire: Wire, method: str, path: str, body: bytes) -> None:
    """A command with an absurd number, deep JSON or a broken text is 400 and changes nothing."""
    check_refused(wire, wire.state(), wire.request(method, f"/_emulator{path}", body))


CHUNKED: dict[str, str | bytes] = {"content-length": "", "transfer-encoding": "chunked"}
ODD_HEADERS: dict[str, tuple[Mapping[str, str | bytes], bytes]] = {
    "no UTF-8": ({"x-a": b"\xff"}, MEDIA),
    "NUL": ({"x-a": b"a\x00b"}, MEDIA),
    "bell": ({"x-a": b"a\x07b"}, MEDIA),
    "folded": ({"x-a": "folded\r\n value"}, MEDIA),
    "space in a name": ({"x a": "b"}, MEDIA),
    "long": ({"x-a": "a" * 70_000}, MEDIA),
    "many": ({f"x-{number}": "a" for number in range(1000)}, MEDIA),
    "two hosts": ({"Host": "localhost"}, MEDIA),
    "no host": ({"host": ""}, MEDIA),
    "host not UTF-8": ({"host": b"\xff"}, MEDIA),
    "negative length": ({"content-length": "-1"}, MEDIA),
    "two lengths": ({"content-length": "1", "Content-Length": "2"}, MEDIA),
    "no length": ({"content-length": ""}, MEDIA),
    "length and chunks": ({"transfer-encoding": "chunked"}, MEDIA),
    "unknown transfer encoding": ({"content-length": "", "transfer-encoding": "nonsense"}, MEDIA),
    "chunk without size": (CHUNKED, b"zz\r\n" + MEDIA + b"\r\n0\r\n\r\n"),
    "chunk of 16^18 bytes": (CHUNKED, b"f" * 18 + b"\r\n" + MEDIA + b"\r\n0\r\n\r\n"),
    "not gzip": ({"content-encoding": "gzip"}, MEDIA),
    "not deflate": ({"content-encoding": "deflate"}, MEDIA),
}


@pytest.mark.parametrize("name", ODD_HEADERS)
@pytest.mark.parametrize(("method", "path"), [("PUT", "/_emulator/media"), ("POST", "/")])
def test_odd_headers_are_refused(wire: Wire, method: str, path: str, name: str) -> None:
    """A request whose headers are not HTTP or not UTF-8 is 400 and changes nothing, on the control API and the API."""
    headers, body = ODD_HEADERS[name]
    check_refused(wire, wire.state(), wire.request(method, path, body, headers))


@pytest.mark.parametrize("name", ["x-acs-action", "x-acs-version", "x-acs-date", "authorization"])
def test_odd_bytes_of_the_protocol_are_refused(wire: Wire, name: str) -> None:
    """A header of the protocol that is not UTF-8 is 400, and is not logged."""
    logged = wire.request("GET", "/_emulator/requests")

    check_refused(wire, wire.state(), wire.request("POST", "/", headers={name: b"\xff"}))
    assert wire.request("GET", "/_emulator/requests") == logged


@pytest.mark.parametrize(
    "path",
    ["/?a=%ff&b=%00&%ed%a0%80=c", "/?" + "a&" * 30_000, "/?a=" + "http://" * 9000],
    ids=["bytes", "many", "urls"],
)
def test_odd_parameters_are_a_normal_refusal(wire: Wire, path: str) -> None:
    """Parameters that are not UTF-8 or very many are no reason for a failure of the emulator."""
    headers = {"x-acs-action": "QueryCopyrightJobList", "x-acs-version": "2020-11-09"}
    check_refused(wire, wire.state(), wire.request("POST", path, headers=headers))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/?Version=2015-04-01&Action=AssumeRole&Signature=%ff&Timestamp=%00"),
        ("GET", "/?Version=2015-04-01&Action=AssumeRoleWithOIDC&OIDCToken=" + "a." * 20_000),
        ("GET", "/?Version=2015-04-01&Action=%ed%a0%80"),
        ("GET", "/latest/%ff/%00"),
        ("PUT", "/latest/api/token"),
        ("GET", "/credentials/%ff?%ff=%00"),
        ("GET", "/credentials/" + "a" * 60_000),
        ("CONNECT", "sts.aliyuncs.com:1"),
    ],
    ids=lambda value: value[:60],
)
def test_odd_requests_to_the_identity_services_are_refused(wire: Wire, method: str, path: str) -> None:
    """Odd requests to STS, to the metadata service and to a credentials URI are a normal refusal."""
    before = wire.state()
    status, body = wire.request(method, path)

    check_refused(wire, before, (status, body), status)
    assert 400 <= status < 500


@pytest.mark.parametrize(
    "line",
    ["GET /\xff HTTP/1.1", "GET /?a=" + "b" * 70_000 + " HTTP/1.1", "PRI * HTTP/2.0", "?"],
    ids=["path", "long", "h2", "none"],
)
def test_a_request_line_that_is_not_http_is_refused(wire: Wire, line: str) -> None:
    """A request line that is not HTTP/1, or is longer than 64 KiB, is 400."""
    check_refused(wire, wire.state(), wire.send(f"{line}\r\nHost: localhost\r\n\r\n".encode("latin-1")))


@pytest.mark.parametrize(("method", "path"), [("PUT", "/_emulator/media"), ("POST", "/")])
@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
def test_a_body_of_more_than_a_mebibyte_is_refused(wire: Wire, method: str, path: str, *, chunked: bool) -> None:
    """A body of more than 1 MiB is 413 and changes nothing."""
    if chunked:
        body = (b"10000\r\n" + b"a" * 65536 + b"\r\n") * 17 + b"0\r\n\r\n"
        headers: dict[str, str | bytes] = {**FORM, **CHUNKED}
    else:
        body, headers = b"a" * (MEGABYTE + 1), {**FORM}

    check_refused(wire, wire.state(), wire.request(method, path, body, headers), 413)


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/json; charset=utf-7", "a/b; charset=none", "multipart/form-data"]
)
def test_a_command_is_read_as_utf_8_whatever_its_content_type(wire: Wire, content_type: str) -> None:
    """The content type of a command does not change how its body is read."""
    body = '{"unknown_job": "水"}'.encode()
    status, response = wire.request("PATCH", "/_emulator/settings", body, {"content-type": content_type})

    assert (status, json.loads(response)) == (400, {"error": "unknown_job must be one of: error, silent"})


def test_a_chunked_command_is_carried_out(wire: Wire) -> None:
    """A valid command can have a chunked body."""
    body = b'14\r\n{"processing_time":5\r\n1\r\n}\r\n0\r\n\r\n'

    assert wire.request("PATCH", "/_emulator/settings", body, CHUNKED)[0] == 200


def test_a_client_that_disconnects_is_not_logged(wire: Wire) -> None:
    """A client that closes the connection in the middle of its body changes nothing and leaves no traceback."""
    before = wire.state()
    head = f"PUT /_emulator/media HTTP/1.1\r\nHost: localhost:{wire.port}\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", wire.port), timeout=10) as connection:
        connection.sendall(head.encode() + MEDIA)

    assert wire.state() == before
    assert wire.error_output() == ""


def test_the_clock_stays_in_the_range_of_dates(wire: Wire) -> None:
    """Advances that add up to more than 10,000,000,000 seconds are refused; all times can still be read."""
    assert wire.request("POST", "/_emulator/clock", b'{"advance": 9e9}')[0] == 200
    check_refused(wire, wire.state(), wire.request("POST", "/_emulator/clock", b'{"advance": 9e9}'))


@pytest.mark.parametrize(
    "text",
    ["[" * 10_000, '{"Type": NaN}', '{"Type": "a", "Type": "b"}', '{"a": "\\ud800"}'],
    ids=["deep", "NaN", "twice", "half"],
)
@pytest.mark.parametrize("name", ["Input", "Params"])
def test_json_parameters_are_decoded_as_strictly(call: Any, name: str, text: str) -> None:
    """A parameter of the API that must be a JSON object is refused if it is deep, ambiguous or not JSON."""
    parameters = {"Input": '{"Type": "OSS", "Media": "oss://bucket/film.mp4"}', name: ""}
    status, code, _ = call("SubmitCopyrightExtractJob", {**parameters, name: text}).error

    assert (status, code) == (400, f"InvalidParameter.{name}")
    assert call.emulator.jobs() == []


def test_json_has_at_most_32_levels() -> None:
    """JSON is decoded up to 32 levels, and refused above."""
    text = "[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH

    assert json.dumps(decode_json(text)) == text
    with pytest.raises(InvalidInputError, match="more than 32 levels"):
        decode_json(f"[{text}]")


def test_numbers_have_64_bits() -> None:
    """Whole numbers are decoded up to 64 bits, and refused above."""
    assert decode_json("[9223372036854775807, -9223372036854775807, 1e300]")
    for number in ("9223372036854775808", "-9223372036854775808", "1" + "0" * 5000, "1e309"):
        with pytest.raises(InvalidInputError, match="too large"):
            decode_json(number)
