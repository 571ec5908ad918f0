"""The advice of each error of the connection works: a connection that follows it has no further error."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims import connection
from airflow_provider_ims.exceptions import ImsConfigurationError, ImsTransportError
from airflow_provider_ims.hooks.ims import ImsHook

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess

PACKAGE = Path(connection.__file__).parent
NAME = "AIRFLOW_CONN_IMS_DEFAULT"
ENVIRONMENT = f"Connection 'ims_default' (environment variable {NAME})"
KEYS = {"login": "LTAIkey", "password": "secret"}
REGIONS = "cn-shanghai, cn-beijing, cn-hangzhou, cn-shenzhen, ap-southeast-1, us-west-1"
EXTRAS = "region_id, network, auth_type, security_token, connect_timeout, read_timeout, max_requests_per_second"
FIELDS = "conn_type, description, host, login, password, schema, port, extra"
AS_JSON = (
    'Write it as JSON: {"conn_type": "ims", "login": "<id>", "password": "<secret>", '
    '"extra": {"region_id": "<region>"}}.'
)

Value = dict[str, Any] | str
"""A connection as JSON, or the text of its environment variable."""


def ims(*, region: str | None = "cn-shanghai", extra: dict[str, Any] | None = None, **fields: Any) -> Value:
    """Return a connection of type ims, with changes to a valid one."""
    return {"conn_type": "ims", **KEYS, **fields, "extra": {"region_id": region, **(extra or {})}}


def alibaba(*, extra: dict[str, Any] | None = None, **fields: Any) -> Value:
    """Return a connection of type alibaba_cloud, with changes to a valid one."""
    keys = {"access_key_id": "LTAIkey", "access_key_secret": "secret", "region": "cn-shanghai"}
    return {"conn_type": "alibaba_cloud", **fields, "extra": {**keys, **(extra or {})}}


@dataclass(frozen=True)
class Case:
    """A wrong connection, its error, and the connections that follow the advice of the error.

    :param bad: the connection
    :param problem: the error's text before its advice
    :param advice: what the error says to do
    :param good: one connection for each way that the advice offers
    :param region: the region argument of the hook
    """

    bad: Value
    problem: str
    advice: str
    good: tuple[Value, ...]
    region: str | None = None


HOST = "https://proxy.example.com"
TOKEN = {"security_token": "token"}

CASES = [
    # ---- settings.py
    Case("secret", "Connection 'ims_default' has no type.", AS_JSON, (ims(),)),
    Case(
        {"conn_type": "aws", **KEYS, "extra": {"region_name": "us-east-1"}},
        "Connection 'ims_default' has the type 'aws' of another service.",
        "Use a connection of the type 'ims' (Alibaba Cloud IMS) or 'alibaba_cloud': pass its id as ims_conn_id.",
        (ims(), alibaba()),
    ),
    Case(
        ims(schema="https"),
        "Connection 'ims_default' has a Schema, which is not used.",
        "Empty it. The form shows Schema only while another type, such as Generic, is chosen.",
        (ims(schema=""),),
    ),
    Case(
        {**KEYS, "conn_type": "ims", "extra": '{"region_id": "cn-shanghai"'},
        "Connection 'ims_default': its Extra is not valid JSON.",
        "Correct it.",
        (ims(),),
    ),
    Case(
        {**KEYS, "conn_type": "ims", "extra": '["cn-shanghai"]'},
        "Connection 'ims_default': its Extra is not a JSON object.",
        "Correct it.",
        (ims(),),
    ),
    Case(
        ims(extra={"bucket": "b"}),
        "Connection 'ims_default' has the unknown extra 'bucket'.",
        f"Remove it; known are: {EXTRAS}.",
        (ims(),),
    ),
    Case(
        ims(region=None, extra={"region": "cn-shanghai"}),
        "Connection 'ims_default' has the unknown extra 'region'.",
        "Rename region to region_id.",
        (ims(),),
    ),
    Case(
        ims(login="", password="", extra={"access_key_id": "LTAIkey", "access_key_secret": "secret", "timeout": 5}),
        "Connection 'ims_default' has the unknown extra 'access_key_id', 'access_key_secret', 'timeout'.",
        "Move access_key_id to Access key ID (login). Move access_key_secret to Access key secret (password). "
        "Rename timeout to read_timeout.",
        (ims(extra={"read_timeout": 5}),),
    ),
    Case(
        ims(region=None, extra={"regionId": "cn-shanghai", "bucket": "b", "acl": "x"}),
        "Connection 'ims_default' has the unknown extra 'acl', 'bucket', 'regionId'.",
        f"Rename regionId to region_id. Remove the others; known are: {EXTRAS}.",
        (ims(),),
    ),
    Case(
        alibaba(extra={"region_id": "cn-beijing"}),
        "Connection 'ims_default' has different regions in the extras region and region_id.",
        "Remove one of them.",
        (alibaba(), alibaba(extra={"region": None, "region_id": "cn-beijing"})),
    ),
    # ---- endpoint.py
    Case(
        ims(region=None),
        "Connection 'ims_default' names no region, and there is no region argument.",
        "Fill in Region (extra region_id) in the connection.",
        (ims(),),
    ),
    Case(
        ims(),
        "The region 'shanghai' is not a region id (the region argument).",
        "Use one such as cn-shanghai or cn-beijing.",
        (ims(region="cn-shanghai"), ims(region="cn-beijing")),
        region="shanghai",
    ),
    Case(
        ims(region="CN-Shanghai"),
        "Connection 'ims_default': Region (extra region_id) is not a region id ('CN-Shanghai').",
        "Use one such as cn-shanghai or cn-beijing.",
        (ims(region="cn-shanghai"), ims(region="cn-beijing")),
    ),
    Case(
        ims(host=HOST, port=65_536),
        "Connection 'ims_default': Port is not a number from 1 to 65535 (65536).",
        "Correct it, or empty it.",
        (ims(host=HOST, port=8443), ims(host=HOST)),
    ),
    Case(
        ims(port=8443),
        "Connection 'ims_default' has a Port other than 443 and no Endpoint; the endpoints of IMS have port 443 only.",
        "Make it 443, empty it, or fill in Endpoint.",
        (ims(port=443), ims(port=None), ims(port=8443, host=HOST)),
    ),
    Case(
        ims(region="cn-shangai"),
        "IMS documents no endpoint in the region 'cn-shangai'.",
        f"Use one of {REGIONS}, or fill in Endpoint in connection 'ims_default'.",
        (*(ims(region=region) for region in REGIONS.split(", ")), ims(region="cn-shangai", host=HOST)),
    ),
    Case(
        ims(region="cn-beijing", host="https://ice cn-beijing"),
        "Connection 'ims_default': Endpoint is not a host name or URL.",
        "Give one such as ice.cn-beijing.aliyuncs.com, or leave it empty.",
        (ims(region="cn-beijing", host="ice.cn-beijing.aliyuncs.com"), ims(region="cn-beijing", host="")),
    ),
    Case(
        ims(host=f"{HOST}:99999"),
        "Connection 'ims_default': Endpoint has a port that is not a number from 1 to 65535.",
        "Correct the port, or remove it with its colon.",
        (ims(host=f"{HOST}:9999"), ims(host=HOST)),
    ),
    Case(
        ims(host="ftp://proxy.example.com"),
        "Connection 'ims_default': Endpoint has a scheme that is not https.",
        "Give a host name or an https:// URL.",
        (ims(host="proxy.example.com"), ims(host=HOST)),
    ),
    Case(
        ims(host="https://LTAIkey:secret@proxy.example.com", login="", password=""),
        "Connection 'ims_default': Endpoint has credentials in it.",
        "Remove them; keys have fields of their own.",
        (ims(host=HOST),),
    ),
    Case(
        ims(host=f"{HOST}/?x=y"),
        "Connection 'ims_default': Endpoint has a path, query or fragment.",
        "Give scheme, host and port only.",
        (ims(host=HOST), ims(host=f"{HOST}:443")),
    ),
    Case(
        ims(host="http://proxy.example.com"),
        "Connection 'ims_default': Endpoint begins with http://, and its host is not this machine.",
        "Use https; http is for loopback addresses only.",
        (ims(host=HOST), ims(host="http://127.0.0.1:8080"), ims(host="http://localhost")),
    ),
    Case(
        ims(region="cn-beijing", host="ice-vpc.cn-shanghai.aliyuncs.com"),
        "Connection 'ims_default': Endpoint is in cn-shanghai and the region is cn-beijing. "
        "Jobs run where the endpoint is.",
        "Make both the same, or empty Endpoint.",
        (
            ims(region="cn-shanghai", host="ice-vpc.cn-shanghai.aliyuncs.com"),
            ims(region="cn-beijing", host="ice-vpc.cn-beijing.aliyuncs.com"),
            ims(region="cn-beijing", host=""),
        ),
    ),
    Case(
        ims(host=f"{HOST}:8443", port=443),
        "Connection 'ims_default': Endpoint and Port name different ports.",
        "Empty Port, or make it equal.",
        (ims(host=f"{HOST}:8443", port=None), ims(host=f"{HOST}:8443", port=8443)),
    ),
    # ---- credentials.py
    Case(
        ims(extra={**TOKEN, "auth_type": "access_key"}),
        "Connection 'ims_default' has an STS security token (extra security_token), and the value access_key of "
        "Authentication (extra auth_type) does not use one.",
        "Choose sts there, or empty the token.",
        (ims(extra={**TOKEN, "auth_type": "sts"}), ims(extra={"auth_type": "access_key"})),
    ),
    Case(
        ims(extra={"auth_type": "sts"}),
        "Connection 'ims_default': Authentication (extra auth_type) is sts, and there is no security token.",
        "Fill in STS security token (extra security_token), or choose access_key if the keys are not temporary.",
        (ims(extra={**TOKEN, "auth_type": "sts"}), ims(extra={"auth_type": "access_key"})),
    ),
    Case(
        alibaba(login="LTAIkey", extra={"access_key_id": None}),
        "Connection 'ims_default' has keys in Login or Password, and also in the extra access_key_id or "
        "access_key_secret.",
        "Keep one pair, both of its parts, and empty the two other fields.",
        (alibaba(), alibaba(**KEYS, extra={"access_key_id": None, "access_key_secret": ""})),
    ),
    Case(
        ims(login="", password=""),
        "Connection 'ims_default' lacks the Access key ID and the Access key secret.",
        "Fill in both; nothing is taken from the environment.",
        (ims(),),
    ),
    Case(
        alibaba(extra={"access_key_secret": ""}),
        "Connection 'ims_default' lacks the Access key secret (extra access_key_secret).",
        "Fill in both; nothing is taken from the environment.",
        (alibaba(),),
    ),
    # ---- values.py
    Case(
        ims(password="sec ret"),
        "Connection 'ims_default': Access key secret must be ASCII text without spaces or control characters.",
        "Paste it again.",
        (ims(),),
    ),
    Case(
        ims(extra={"network": "internal"}),
        "Connection 'ims_default': Network (extra network) has an unknown value.",
        "Choose one of: public, vpc.",
        (ims(extra={"network": "public"}), ims(extra={"network": "vpc"})),
    ),
    Case(
        ims(extra={"auth_type": "AccessKey"}),
        "Connection 'ims_default': Authentication (extra auth_type) has an unknown value ('AccessKey').",
        "Choose one of: auto, access_key, sts.",
        (
            ims(extra={"auth_type": "auto"}),
            ims(extra={"auth_type": "access_key"}),
            ims(extra={"auth_type": "sts", **TOKEN}),
        ),
    ),
    Case(
        ims(extra={"read_timeout": 0}),
        "Connection 'ims_default': Read timeout (extra read_timeout) has a wrong value (0).",
        "Give seconds, more than 0 and at most 300.",
        (ims(extra={"read_timeout": 0.1}), ims(extra={"read_timeout": "300"})),
    ),
    Case(
        ims(extra={"max_requests_per_second": "many"}),
        "Connection 'ims_default': Requests per second (extra max_requests_per_second) has a wrong value.",
        "Give a number, more than 0 and at most 10000.",
        (ims(extra={"max_requests_per_second": 0.1}), ims(extra={"max_requests_per_second": 10_000})),
    ),
    # ---- environment.py: Airflow finds no connection if it cannot read one
    Case('{"conn_type": "ims",}', f"{ENVIRONMENT} is not valid JSON (line 1, column 21).", "Correct it.", (ims(),)),
    Case(
        ims(password="\ud800secret"),
        f"{ENVIRONMENT} has characters that UTF-8 cannot write (half of a surrogate pair).",
        "Remove them.",
        (ims(),),
    ),
    Case(
        {"conn_type": "ims", **KEYS, "region": "cn-shanghai"},
        f"{ENVIRONMENT} has the unknown field 'region'.",
        "Write region_id into the object extra instead.",
        (ims(),),
    ),
    Case(
        {"conn_type": "ims", "user": "LTAIkey", "password": "secret", "extra": {"region_id": "cn-shanghai"}},
        f"{ENVIRONMENT} has the unknown field 'user'.",
        f"Rename it, or remove it; known are: {FIELDS}.",
        (ims(),),
    ),
    Case(
        ims(password=12345), f"{ENVIRONMENT}: password must be text.", "Write it in quotes.", (ims(password="12345"),)
    ),
    Case(
        "ims://LTAIkey:secret@[proxy/?region_id=cn-shanghai",
        f"{ENVIRONMENT} is not a valid URI.",
        AS_JSON,
        (ims(),),
    ),
    Case(
        "ims://LTAIkey:secret@proxy.example.com:99999/?region_id=cn-shanghai",
        "Connection 'ims_default': Port is not a number from 1 to 65535 ('99999').",
        "Correct it, or empty it.",
        (
            "ims://LTAIkey:secret@proxy.example.com:9999/?region_id=cn-shanghai",
            "ims://LTAIkey:secret@proxy.example.com/?region_id=cn-shanghai",
        ),
    ),
]


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
    assert case.good
    for good in case.good:
        set_connection(monkeypatch, good)
        # An argument that was wrong is corrected, too: the connection then has the region.
        assert ImsHook().settings.conn_id == "ims_default"


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
    assert ImsHook().test_connection() == (True, f"Connected to {ims_emulator.endpoint} (region cn-shanghai)")


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
