"""Which requests the emulator serves: those of programs of this machine, and none of foreign web pages."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_ims.emulator.process import EmulatorProcess

COMMANDS = [
    ("PUT", "/media", {"media": "id"}),
    ("PUT", "/families", {"name": "F", "submit_action": "S", "query_action": "Q"}),
    ("POST", "/faults", {"action": "A", "kind": "hang"}),
    ("POST", "/clock", {"advance": 1}),
    ("PATCH", "/settings", {"processing_time": 1}),
    ("POST", "/reset", {}),
    ("PUT", "/roles", {"name": "worker"}),
    ("PUT", "/oidc-providers", {"name": "ack"}),
    ("PUT", "/instance-role", {"role": "worker"}),
    ("PUT", "/credentials-uris", {"name": "mine"}),
    ("PUT", "/denials", {"action": "*"}),
    ("POST", "/access-keys/rotate", {"access_key_id": "a", "access_key_secret": "b"}),
    ("POST", "/access-keys/revoke", {"access_key_id": "emulator-access-key-id"}),
]
PAGES = (
    "",
    "/media",
    "/jobs",
    "/bill",
    "/faults",
    "/requests",
    "/settings",
    "/access-keys",
    "/issued-keys",
    "/roles",
    "/instance-role",
)
READS = [("GET", path, None) for path in PAGES]
LINK = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def request(
    emulator: EmulatorProcess, method: str, path: str, payload: object = None, headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Send a request to the control API and return status and body. ``{own}`` in a header is the emulator's address."""
    own = urlsplit(emulator.endpoint).netloc
    connection = http.client.HTTPConnection(own, timeout=10)
    try:
        connection.request(
            method,
            f"/_emulator{path}",
            None if payload is None else json.dumps(payload),
            {name: value.replace("{own}", own) for name, value in (headers or {}).items()},
        )
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(("method", "path", "payload"), [*COMMANDS, *READS])
@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "localhost.evil.example"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"host": "evil.example:8123", "origin": "http://evil.example:8123", "sec-fetch-site": "same-origin"},
    ],
    ids=str,
)
def test_foreign_pages_are_refused(
    ims_emulator: EmulatorProcess, method: str, path: str, payload: object, headers: dict[str, str]
) -> None:
    """A page of another origin can neither command the emulator nor read from it, whatever its name resolves to."""
    ims_emulator.put_media("oss://bucket/film.mp4")
    status, body = request(ims_emulator, method, path, payload, headers)

    assert (status, json.loads(body).keys()) == (403, {"error"})
    assert [media["media"] for media in ims_emulator.media()] == ["oss://bucket/film.mp4"]
    assert ims_emulator.faults() == ims_emulator.families() == ims_emulator.roles() == ims_emulator.denials() == []
    assert json.loads(request(ims_emulator, "GET", "/clock")[1])["advanced"] == 0


@pytest.mark.parametrize(
    "host",
    [
        "",
        "0.0.0.0",
        "127.1",
        "2130706433",
        "[::]",
        "[::1",
        "::1",
        "127.0.0.1.",
        "localhost@evil",
        "127.0.0.1:x",
        "a:b:c",
    ],
)
def test_other_hosts_are_refused(ims_emulator: EmulatorProcess, host: str) -> None:
    """A Host header that does not clearly name a loopback address is refused."""
    assert request(ims_emulator, "GET", "/media", headers={"host": host})[0] in {400, 403}


@pytest.mark.parametrize("host", ["localhost", "LocalHost:1", "127.0.0.1", "127.9.9.9:80", "[::1]", "[::1]:8123"])
def test_loopback_hosts_are_served(ims_emulator: EmulatorProcess, host: str) -> None:
    """Each name of the loopback interface is served, with any port: a port can be forwarded."""
    assert request(ims_emulator, "GET", "/media", headers={"host": host}) == (200, "[]")


@pytest.mark.parametrize(("method", "path", "payload"), [*COMMANDS, *READS])
@pytest.mark.parametrize(
    "headers", [{}, {"origin": "http://{own}", "sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}], ids=str
)
def test_own_requests_are_served(
    ims_emulator: EmulatorProcess, method: str, path: str, payload: object, headers: dict[str, str]
) -> None:
    """Programs, pages of the emulator's own origin and addresses that a user types are served."""
    assert request(ims_emulator, method, path, payload, headers)[0] == 200


def test_a_link_to_the_page_can_be_followed(ims_emulator: EmulatorProcess) -> None:
    """A link of another site leads to the page, and to nothing else."""
    assert request(ims_emulator, "GET", "", headers=LINK)[0] == 200
    assert request(ims_emulator, "GET", "", headers={**LINK, "sec-fetch-dest": "iframe"})[0] == 403
    assert request(ims_emulator, "GET", "", headers={**LINK, "origin": "http://evil.example"})[0] == 403
    assert request(ims_emulator, "GET", "/requests", headers=LINK)[0] == 403
    assert request(ims_emulator, "POST", "/reset", {}, LINK)[0] == 403


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}], ids=str)
def test_foreign_pages_cannot_call_the_api(call: Any, headers: dict[str, str]) -> None:
    """A page of another origin makes no job and leaves no trace in the log of requests."""
    assert call("QueryCopyrightJobList", headers=headers).status == 403
    assert call.emulator.requests() == []


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("DELETE", "/media", 405)])
def test_other_requests_are_refused_in_json(ims_emulator: EmulatorProcess, method: str, path: str, status: int) -> None:
    """An unknown path or method is refused in the form of the control API."""
    refused, body = request(ims_emulator, method, path)

    assert (refused, json.loads(body).keys()) == (status, {"error"})


def test_the_response_to_another_method_names_the_allowed_ones(ims_emulator: EmulatorProcess) -> None:
    """The response to a method that a path does not have has the header Allow."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            urllib.request.Request(f"{ims_emulator.endpoint}/_emulator/reset", method="DELETE"), timeout=10
        )

    with refused.value as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
