"""The connection test: what it says about each kind of credential and each fault, and that it never takes long."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.hooks.ims import ImsHook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_ims.emulator.process import EmulatorProcess

LIST = "QueryCopyrightJobList"
IDENTITY = "GetCallerIdentity"
ACCOUNT = "1234567890123456"
USER = f"acs:ram::{ACCOUNT}:user/emulator"
SESSION = f"acs:ram::{ACCOUNT}:assumed-role/ims"
SLOW = {"connect_timeout": 300, "read_timeout": 300}
"""The longest time-outs of a connection."""

pytestmark = pytest.mark.usefixtures("connect")


@contextmanager
def silent_server() -> Iterator[str]:
    """Run a server that accepts connections and never answers, and yield its host and port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    accepted.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for connection in accepted:
            connection.close()


@contextmanager
def dropping_server() -> Iterator[str]:
    """Yield the host and port of a server whose queue is full: the system drops each further SYN."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(server.getsockname())
        yield f"127.0.0.1:{server.getsockname()[1]}"
        for one in waiting:
            one.close()


DEAD = {"dropped SYN": dropping_server, "no response": silent_server}


def run_test(region: str | None = None) -> tuple[bool, str, float]:
    """Run the connection test, and return its result and the seconds that it took."""
    start = time.monotonic()
    ok, text = ImsHook(region=region).test_connection()
    return ok, text, time.monotonic() - start


@pytest.fixture
def oidc(ims_emulator: EmulatorProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the extras of a role that a token of a registered OIDC provider gets."""
    monkeypatch.setenv("AIRFLOW__IMS__OIDC_TOKEN_DIRS", str(tmp_path))
    provider = ims_emulator.put_oidc_provider("ack")
    token = tmp_path / "token"
    token.write_text(ims_emulator.oidc_token("ack"))
    role = ims_emulator.put_role("ims")
    return {"role_arn": role["arn"], "oidc_provider_arn": provider["arn"], "oidc_token_file": str(token)}


@pytest.fixture
def metadata(ims_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the emulator be the metadata service of ECS."""
    monkeypatch.setenv("HTTP_PROXY", ims_emulator.endpoint)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


NO_KEYS = {"login": "", "password": ""}


# ---- success


def test_success_names_the_user(ims_emulator: EmulatorProcess) -> None:
    """The test of an access key names its RAM user, from STS, and sends nothing that is billed."""
    expected = f"Connected to {ims_emulator.endpoint} (region cn-shanghai) as {USER}"
    assert ImsHook().test_connection() == (True, expected)
    assert {request["action"] for request in ims_emulator.requests()} == {LIST, IDENTITY}
    assert ims_emulator.bill()["lines"] == []


@pytest.mark.usefixtures("metadata")
@pytest.mark.parametrize(
    ("kind", "session"),
    [
        ("ram", "airflow-provider-ims"),
        ("oidc", "airflow-provider-ims"),
        ("ram over oidc", "airflow-provider-ims"),
        ("ecs", "i-emulator"),
        ("ram over ecs", "airflow-provider-ims"),
        ("uri", "i-emulator"),
        ("chain", "i-emulator"),
    ],
)
def test_success_names_the_session_of_a_role(
    kind: str, session: str, ims_emulator: EmulatorProcess, oidc: dict[str, str], connect: Callable[..., None]
) -> None:
    """The test of each kind of temporary keys names the session of the role that the keys belong to."""
    ims_emulator.put_instance_role("ims")
    role = {"role_arn": oidc["role_arn"]}
    fields: dict[str, dict[str, Any]] = {
        "ram": {"extra": role},
        "oidc": {**NO_KEYS, "extra": oidc},
        "ram over oidc": {**NO_KEYS, "extra": {**oidc, "oidc_role_arn": oidc["role_arn"]}},
        "ecs": {**NO_KEYS, "extra": {"auth_type": "ecs_ram_role"}},
        "ram over ecs": {**NO_KEYS, "extra": {**role, "ecs_role_name": "ims"}},
        "uri": {**NO_KEYS, "extra": {"secret_credentials_uri": ims_emulator.put_credentials_uri("x", role="ims")}},
        "chain": {**NO_KEYS, "extra": {"auth_type": "default_chain"}},
    }
    connect(**fields[kind])
    ok, text, _ = run_test()
    assert (ok, text) == (True, f"Connected to {ims_emulator.endpoint} (region cn-shanghai) as {SESSION}/{session}")


@pytest.mark.parametrize("sts", ["internal_error", "cut_before", "hang", "page", "other arn", "secret"])
def test_connection_works_without_an_identity(
    sts: str, ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """If STS does not say the identity, the test succeeds all the same, and says no identity."""
    bodies = {
        "page": "<html>",
        "other arn": json.dumps({"RequestId": "R", "Arn": "a person <b>"}),
        "secret": json.dumps({"RequestId": "R", "Arn": f"acs:ram::{ACCOUNT}:user/{ims_emulator.access_key_secret}"}),
    }
    connect(extra=SLOW)
    if sts in bodies:
        ims_emulator.fault(IDENTITY, "answer", body=bodies[sts])
    else:
        ims_emulator.fault(IDENTITY, sts)
    ok, text, seconds = run_test()
    assert (ok, text) == (True, f"Connected to {ims_emulator.endpoint} (region cn-shanghai)")
    assert seconds < 10


def test_sts_of_the_region_is_asked_for_a_real_endpoint(connect: Callable[..., None]) -> None:
    """STS is that of the region and the network, the one of the connection, or the emulator itself."""
    connect(host="", extra={"network": "vpc"})
    assert ImsHook().settings.sts_endpoint == "https://sts-vpc.cn-shanghai.aliyuncs.com"
    connect(host="https://gateway.example.com")
    assert ImsHook().settings.sts_endpoint == "https://sts.cn-shanghai.aliyuncs.com"
    connect(host="http://127.0.0.1:8123")
    assert ImsHook().settings.sts_endpoint == "http://127.0.0.1:8123"
    connect(extra={"role_arn": f"acs:ram::{ACCOUNT}:role/ims", "sts_endpoint": "sts.example.com"})
    assert ImsHook().settings.sts_endpoint == "https://sts.example.com"


# ---- what is wrong


@pytest.mark.parametrize(
    ("fields", "beginning", "end"),
    [
        ({"login": "LTAInobody"}, "Wrong access key ID: ", "if the pair is temporary."),
        ({"password": "canary"}, "Wrong access key secret: ", "enter the access key secret again."),
        ({"extra": {"security_token": "canary"}}, "Wrong STS security token: ", "if the pair is not temporary."),
        ({"host": "http://127.0.0.1:1"}, "Unreachable: ", "the connection's region, network and endpoint."),
        (
            {"extra": {"role_arn": f"acs:ram::{ACCOUNT}:role/ims", "sts_endpoint": "http://127.0.0.1:1"}},
            "Unreachable: ",
            ".",
        ),
    ],
)
def test_wrong_connection(fields: dict[str, Any], beginning: str, end: str, connect: Callable[..., None]) -> None:
    """The text begins with what is wrong and ends with what to do."""
    connect(**fields)
    ok, text, _ = run_test()
    assert not ok
    assert text.startswith(beginning), text
    assert text.endswith(end), text
    assert "canary" not in text


def test_expired_token(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> None:
    """Temporary keys that have been revoked are named as that."""
    uri = ims_emulator.put_credentials_uri("x", role="ims")
    connect(**NO_KEYS, extra={"secret_credentials_uri": uri})
    ims_emulator.fault(LIST, "answer", times=2, status=400, body=refusal("InvalidSecurityToken.Expired"))
    ok, text, _ = run_test()
    assert not ok
    assert text.startswith("Wrong STS security token: it has expired, or does not belong to the access key")


def refusal(code: str, **details: Any) -> str:
    return json.dumps({"RequestId": "R", "Code": code, "Message": "m", **details})


@pytest.mark.parametrize(
    ("skew", "text"),
    [
        (1200, "it is 20 min behind that of the service."),
        (-7500, "it is 2 h 5 min ahead of that of the service."),
        (3 * 86_400, "it is 3 days behind that of the service."),
    ],
)
def test_clock_skew(skew: int, text: str, ims_emulator: EmulatorProcess) -> None:
    """If the clock is wrong, the text says by how much, from the date of the response."""
    ims_emulator.configure(clock_skew=skew)
    problem = "Wrong time: the service refused the date of the request (InvalidTimeStamp.Expired)."
    assert ImsHook().test_connection() == (False, f"{problem} Set the clock of this machine: {text}")


def test_missing_permission_of_a_user(ims_emulator: EmulatorProcess) -> None:
    """A missing permission is named by its RAM action, and the user by its id and account."""
    ims_emulator.deny(LIST)
    ok, text, _ = run_test()
    assert not ok
    assert text.startswith("Missing permission: the keys are right, and they lack permission (NoPermission). Grant ")
    assert re.search(
        rf"the RAM action ice:{LIST} on the resource \* to the RAM user \d+ of the account {ACCOUNT}\.$", text
    )


def test_missing_permission_of_a_role(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> None:
    """A missing permission of a role names the role."""
    connect(extra={"role_arn": ims_emulator.put_role("ims")["arn"]})
    ims_emulator.deny(LIST)
    ok, text, _ = run_test()
    assert not ok
    assert text.endswith(f"the RAM action ice:{LIST} on the resource * to the RAM role ims of the account {ACCOUNT}.")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("UnsupportedOperation", "Wrong region: it does not offer watermark jobs (UnsupportedOperation)."),
        ("InvalidAction.NotFound", "Wrong region: it does not offer watermark jobs (InvalidAction.NotFound)."),
        (
            "InvalidOperation.NotSupportedEndpoint",
            "Wrong region: the endpoint is that of another one (InvalidOperation.NotSupportedEndpoint).",
        ),
    ],
)
def test_wrong_region(code: str, text: str, ims_emulator: EmulatorProcess) -> None:
    """A region that does not offer the jobs, or has another endpoint, is named as that."""
    ims_emulator.fault(LIST, "answer", status=400, body=refusal(code))
    ok, found, _ = run_test()
    assert not ok
    assert found.startswith(text)
    assert "Endpoint" in found.removeprefix(text)


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "http://proxy.invalid:3128", "https://127.0.0.1:PORT"])
def test_proxy_that_cannot_be_used(
    proxy: str, ims_emulator: EmulatorProcess, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the proxy is not taken for one of the service."""
    connect(host="https://ims.invalid")
    monkeypatch.setenv("HTTPS_PROXY", proxy.replace("PORT", ims_emulator.endpoint.rpartition(":")[2]))
    ok, text, _ = run_test()
    assert not ok
    assert text.startswith("Proxy: "), text


def test_proxy_that_refuses(
    ims_emulator: EmulatorProcess, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that refuses to connect to the service is named as that."""
    connect(host="https://ims.invalid")
    monkeypatch.setenv("HTTPS_PROXY", ims_emulator.endpoint)
    ok, text, _ = run_test()
    assert not ok
    assert re.match(r"Proxy: .*the proxy's response was HTTP \d+\. Look at the network, the proxy and", text), text


# Texts about a role that cannot be assumed; the second half is what the explanation of the code begins with.
ROLE = r"(Role not assumable|Unknown role|Expired OIDC token): "


@pytest.mark.parametrize("case", ["unknown role", "external id", "denied", "unknown provider", "expired", "subject"])
def test_role_that_cannot_be_assumed(
    case: str, ims_emulator: EmulatorProcess, oidc: dict[str, str], connect: Callable[..., None], tmp_path: Path
) -> None:
    """A role that does not exist, or does not trust the identity or the token, is named as that."""
    role = ims_emulator.put_role("strict", external_id="an-id", oidc_subject="nobody")["arn"]
    match case:
        case "unknown role":
            connect(extra={"role_arn": f"acs:ram::{ACCOUNT}:role/nobody"})
        case "external id":
            connect(extra={"role_arn": role})
        case "denied":
            connect(extra={"role_arn": oidc["role_arn"]})
            ims_emulator.deny("AssumeRole")
        case "unknown provider":
            connect(**NO_KEYS, extra={**oidc, "oidc_provider_arn": f"acs:ram::{ACCOUNT}:oidc-provider/nobody"})
        case "expired":
            (tmp_path / "token").write_text(ims_emulator.oidc_token("ack", lifetime=0))
            connect(**NO_KEYS, extra=oidc)
        case "subject":
            connect(**NO_KEYS, extra={**oidc, "role_arn": role})
    ok, text, _ = run_test()
    assert not ok
    assert re.match(ROLE, text), text
    assert text.endswith(".")
    assert ims_emulator.access_key_secret not in text


def test_sts_that_refuses_the_keys(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> None:
    """If STS refuses the keys that assume a role, the text says what is wrong with the keys."""
    connect(password="canary", extra={"role_arn": ims_emulator.put_role("ims")["arn"]})
    ok, text, _ = run_test()
    assert not ok
    assert text.startswith("Wrong access key secret: the signature was refused (SignatureDoesNotMatch).")
    assert "canary" not in text


@pytest.mark.parametrize("kind", ["internal_error", "service_unavailable", "throttle"])
def test_sts_that_fails(kind: str, ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> None:
    """If STS fails or throttles, the text says so, and that a later test may succeed."""
    connect(extra={"role_arn": ims_emulator.put_role("ims")["arn"]})
    ims_emulator.fault("AssumeRole", kind)
    ok, text, _ = run_test()
    assert not ok
    assert text.startswith("STS issues no keys just now: ")
    assert text.endswith("Test again later; if it persists, look at the status page of STS.")


@pytest.mark.parametrize("problem", ["missing", "unreadable", "elsewhere", "empty"])
def test_oidc_token_file(
    problem: str, oidc: dict[str, str], connect: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token file that is missing, cannot be read or is in another directory is named, without its path."""
    token = tmp_path / "token"
    match problem:
        case "missing":
            token.unlink()
        case "unreadable":
            token.unlink()
            token.mkdir()
        case "elsewhere":
            monkeypatch.setenv("AIRFLOW__IMS__OIDC_TOKEN_DIRS", str(tmp_path / "other"))
        case "empty":
            token.write_text("\n")
    connect(**NO_KEYS, extra=oidc)
    ok, text, _ = run_test()
    assert not ok
    assert text.startswith("The OIDC token file of the connection ")
    assert str(token) not in text


@pytest.mark.usefixtures("metadata")
@pytest.mark.parametrize("role", [None, "another"])
def test_instance_without_the_role(
    role: str | None, ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """An ECS instance without the role is named as that."""
    ims_emulator.put_instance_role(role)
    connect(**NO_KEYS, extra={"auth_type": "ecs_ram_role", **({"ecs_role_name": "ims"} if role else {})})
    ok, text, _ = run_test()
    assert not ok
    assert text.startswith("No instance role: ")
    assert "Attach the RAM role to the instance" in text


# ---- how long it takes


@pytest.mark.parametrize("dead", DEAD)
@pytest.mark.parametrize("what", ["endpoint", "sts", "oidc", "proxy", "metadata", "uri"])
def test_dead_server_is_reported_soon(
    what: str,
    dead: str,
    oidc: dict[str, str],
    connect: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """Whatever is dead and whatever the time-outs of the connection are, the test ends within seven seconds."""
    with DEAD[dead]() as server:
        url = f"http://{server}"
        match what:
            case "endpoint":
                connect(host=url, extra=SLOW)
            case "sts":
                connect(extra={"role_arn": oidc["role_arn"], "sts_endpoint": url, **SLOW})
            case "oidc":
                connect(**NO_KEYS, extra={**oidc, "sts_endpoint": url, **SLOW})
            case "proxy":
                monkeypatch.setenv("HTTPS_PROXY", url)
                connect(host="https://ims.invalid", extra=SLOW)
            case "metadata":
                monkeypatch.setenv("HTTP_PROXY", url)
                connect(**NO_KEYS, extra={"auth_type": "ecs_ram_role", "ecs_imds_v1": True, **SLOW})
            case "uri":
                connect(**NO_KEYS, extra={"secret_credentials_uri": f"{url}/x", **SLOW})
        ok, text, seconds = run_test()
    record_property("seconds", round(seconds, 1))
    print(f"{what}, {dead}: {seconds:.1f} s")  # noqa: T201 - a figure for people
    assert not ok
    assert re.match("(Unreachable|Proxy): ", text), text
    assert text.endswith(".")
    # Only the time-outs of single requests tell what is dead; the metadata service gets several.
    assert what == "metadata" or "took longer" not in text
    # That is no help here: the test has time-outs of its own.
    assert "raise the connection's read_timeout" not in text
    assert seconds < 7


def test_short_time_outs_of_the_connection_count(connect: Callable[..., None]) -> None:
    """The time-outs of the connection are used if they are shorter than those of the test."""
    with silent_server() as server:
        connect(host=f"http://{server}", extra={"read_timeout": 0.3})
        ok, text, seconds = run_test()
    assert not ok
    assert text.endswith("raise the connection's read_timeout.")
    assert seconds < 2


def test_slow_look_up_of_a_name_ends_the_test(connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up in the DNS cannot be interrupted; the test ends all the same, and says what it waits for."""
    from airflow_provider_ims.hooks import connection_test

    released = threading.Event()

    def look_up(*_arguments: Any, **_options: Any) -> Any:
        released.wait(20)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(connection_test, "TIME_LIMIT", 1.0)
    monkeypatch.setattr(connection_test, "_CONNECT_TIMEOUT", 60.0)
    connect(host="https://ims.invalid", extra=SLOW)
    before = set(threading.enumerate())
    ok, text, seconds = run_test()
    released.set()
    assert not ok
    assert text.startswith(f"Unreachable: {LIST} at https://ims.invalid took longer than 1 s. Look at the network")
    assert seconds < 5
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()
