"""The advice of each error of the connection works: a connection that follows it has no further error."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims import connection
from airflow_provider_ims.exceptions import ImsConfigurationError, ImsTransportError
from airflow_provider_ims.hooks.ims import ImsHook
from tests.connection.cases import CASES, NAME, TOKEN, Case, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess

PACKAGE = Path(connection.__file__).parent


def set_connection(monkeypatch: pytest.MonkeyPatch, value: Value) -> None:
    monkeypatch.setenv(NAME, value if isinstance(value, str) else json.dumps(value))


def error_of(case: Case, monkeypatch: pytest.MonkeyPatch) -> ImsConfigurationError:
    """Return the error of the wrong connection."""
    set_connection(monkeypatch, case.bad)
    with pytest.raises(ImsConfigurationError) as caught:
        _ = ImsHook(region=case.region).settings
    return caught.value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.problem[:60])
def test_following_the_advice_leaves_no_error(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each error says what is wrong and what to do, and every way to do it ends in a valid connection."""
    error = error_of(case, monkeypatch)
    assert (error.problem, error.advice) == (case.problem, case.advice)
    tested, text = ImsHook(region=case.region).test_connection()
    assert (tested, text) == (False, str(error).replace("Connection 'ims_default'", "The connection"))
    assert case.good
    for good in case.good:
        set_connection(monkeypatch, good)
        # An argument that was wrong is corrected, too: the connection then has the region.
        assert ImsHook().settings.conn_id == "ims_default"


def test_there_are_enough_cases() -> None:
    """The table has many malformed connections: a form of this size can be filled in wrongly in many ways."""
    assert len(CASES) >= 60


def test_each_error_of_the_package_has_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cases reach every place in the package that raises an error."""
    reached = set()
    for case in CASES:
        trace = error_of(case, monkeypatch).__traceback__
        assert trace is not None
        while trace.tb_next is not None:
            trace = trace.tb_next
        reached.add((Path(trace.tb_frame.f_code.co_filename).name, trace.tb_lineno))
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise):
                lines = {(path.name, line) for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
                assert lines & reached, f"{path.name}:{node.lineno} has no case"


# ---- the connection test

TLS = "https, at the port of the emulator, which speaks http"
NO_ONE_LISTENS = "http://127.0.0.1:1"
LIST = "QueryCopyrightJobList"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"login": "LTAInobody"},
            (
                "Wrong access key ID: the service does not know it (InvalidAccessKeyId.NotFound). Check the keys of "
                "the connection: enter the pair again, and its STS security token if the pair is temporary."
            ),
        ),
        (
            {"password": "wrong"},
            (
                "Wrong access key secret: the signature was refused (SignatureDoesNotMatch). Check the keys of the "
                "connection: enter the access key secret again."
            ),
        ),
        (
            {"extra": TOKEN},
            (
                "Wrong STS security token: it has expired, or does not belong to the access key "
                "(InvalidSecurityToken.MismatchWithAccessKey). Check the keys of the connection: enter a new temporary "
                "pair with its token, or empty the token if the pair is not temporary."
            ),
        ),
        (
            {"host": NO_ONE_LISTENS},
            (
                "Unreachable: QueryCopyrightJobList was not sent: 127.0.0.1:1 could not be reached: Connect call "
                "failed ('127.0.0.1', 1). Look at the network, the proxy and the connection's region, network and "
                "endpoint."
            ),
        ),
        (
            {"host": TLS},
            (
                "Unreachable: QueryCopyrightJobList was not sent: {host} could not be reached: it does not speak TLS "
                "at this port, which https needs. Look at the network, the proxy and the connection's region, network "
                "and endpoint."
            ),
        ),
    ],
)
def test_following_the_advice_of_the_connection_test_connects(
    wrong: dict[str, Any], message: str, connect: Callable[..., None], ims_emulator: EmulatorProcess
) -> None:
    """The connection test names the field that is wrong; it succeeds when that field is corrected."""
    host = ims_emulator.endpoint.removeprefix("http://")
    connect(**{**wrong, **({"host": f"https://{host}"} if wrong.get("host") == TLS else {})})
    assert ImsHook().test_connection() == (False, message.replace("{host}", host))
    connect()
    identity = "acs:ram::1234567890123456:user/emulator"
    text = f"Connected to {ims_emulator.endpoint} (region cn-shanghai) as {identity}"
    assert ImsHook().test_connection() == (True, text)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "Forbidden.RAM",
            (
                "Missing permission: the keys are right, and they lack permission (Forbidden.RAM). Grant the RAM "
                "action ice:QueryCopyrightJobList on the resource * to the identity of the connection."
            ),
        ),
        (
            "InvalidAccessKeyId.Inactive",
            (
                "Disabled access key: the service knows it, and it is not active (InvalidAccessKeyId.Inactive). Check "
                "the keys of the connection: enable the access key in the RAM console, or enter another pair."
            ),
        ),
        (
            "UnsupportedOperation",
            (
                "Wrong region: it does not offer watermark jobs (UnsupportedOperation). Set Region to cn-shanghai or "
                "cn-beijing, and empty Endpoint or give one of that region."
            ),
        ),
    ],
)
def test_connection_test_connects_when_the_service_accepts_the_identity(
    code: str, message: str, ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """What has to be changed at the service or in the region is named by the connection test, too."""
    ims_emulator.fault(LIST, "answer", status=403, body=json.dumps({"RequestId": "R", "Code": code, "Message": "m"}))
    assert ImsHook().test_connection() == (False, message)
    assert ImsHook().test_connection()[0]


def test_missing_connection_can_be_added(connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """The error about a missing connection tells where to look for it, and that it can be added."""
    monkeypatch.delenv(NAME)
    ok, text = ImsHook().test_connection()
    assert not ok
    assert text.startswith("Airflow finds no connection 'ims_default': none has this id, ")
    assert text.endswith("If not, add it, or pass ims_conn_id.")
    connect()
    assert ImsHook().test_connection()[0]


@pytest.mark.parametrize(
    "corrected", [{"HTTPS_PROXY": "http://127.0.0.1:1"}, {"HTTPS_PROXY": ""}, {"NO_PROXY": "ims.invalid"}]
)
def test_following_the_advice_about_the_proxy_leaves_no_configuration_error(
    corrected: dict[str, str], connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy of the environment that cannot be used is corrected, or left out with NO_PROXY."""
    connect(host="https://ims.invalid")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(ImsConfigurationError) as caught:
        ImsHook().call(LIST)
    assert caught.value.advice == "Correct it, or add ims.invalid to NO_PROXY."
    for name, value in corrected.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ImsTransportError, match="could not be reached"):
        ImsHook().call(LIST)
