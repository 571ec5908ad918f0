"""From an Airflow connection to settings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_ims.connection.credentials import AccessKey
from airflow_provider_ims.connection.fields import CONN_FIELDS, REGIONS
from airflow_provider_ims.connection.settings import ImsSettings, parse_connection
from airflow_provider_ims.exceptions import ImsConfigurationError

SECRET = "canary-secret-value"


def make(*, extra: dict[str, Any] | str | None = None, **fields: Any) -> Connection:
    values = {"conn_id": "ims_test", "conn_type": "ims", "login": "LTAIkey", "password": SECRET, **fields}
    raw = extra if isinstance(extra, str) else json.dumps({"region_id": "cn-shanghai"} if extra is None else extra)
    return Connection(extra=raw, **values)


def parse(region: str | None = None, **fields: Any) -> ImsSettings:
    return parse_connection(make(**fields), region)


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize(("network", "host"), [(None, "ice"), ("public", "ice"), ("vpc", "ice-vpc")])
def test_endpoint_of_every_documented_region_and_network(region: str, network: str | None, host: str) -> None:
    """The endpoint is computed from region and network, for all six documented regions."""
    settings = parse(extra={"region_id": region, "network": network})
    assert settings.endpoint == f"https://{host}.{region}.aliyuncs.com"
    assert settings.region == region


@pytest.mark.parametrize(
    ("host", "port", "endpoint"),
    [
        ("ice.cn-shanghai.aliyuncs.com", None, "https://ice.cn-shanghai.aliyuncs.com"),
        ("https://proxy.example.com:8443", None, "https://proxy.example.com:8443"),
        ("https://proxy.example.com/", None, "https://proxy.example.com"),
        ("proxy.example.com", 8443, "https://proxy.example.com:8443"),
        ("http://127.0.0.1:8123", None, "http://127.0.0.1:8123"),
        ("http://localhost:8123", None, "http://localhost:8123"),
        ("http://[::1]:8123", None, "http://[::1]:8123"),
        ("http://[::1]", 8123, "http://[::1]:8123"),
        ("proxy.example.com:", 8443, "https://proxy.example.com:8443"),
        ("ice.cn-shanghai.aliyuncs.com.", None, "https://ice.cn-shanghai.aliyuncs.com"),
        (" ICE.cn-shanghai.aliyuncs.com ", None, "https://ice.cn-shanghai.aliyuncs.com"),
    ],
)
def test_endpoint_can_be_given(host: str, port: int | None, endpoint: str) -> None:
    """An endpoint in the connection wins; https is the default, http is for loopback."""
    assert parse(host=host, port=port).endpoint == endpoint


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("http://ice.cn-shanghai.aliyuncs.com", "http is for loopback addresses only"),
        ("http://127.0.0.1.example.com", "http is for loopback addresses only"),
        ("http://10.0.0.1:8123", "http is for loopback addresses only"),
        ("https://proxy.example.com/path", "has a path, query or fragment"),
        ("https://proxy.example.com?x=1", "has a path, query or fragment"),
        ("https://proxy.example.com?", "has a path, query or fragment"),
        ("https://proxy.example.com#x", "has a path, query or fragment"),
        (f"https://user:{SECRET}@proxy.example.com", "has credentials in it"),
        (f"user:{SECRET}@proxy.example.com", "has credentials in it"),
        ("ftp://proxy.example.com", "scheme that is not https"),
        ("https://", "not a host name or URL"),
        ("https://exa mple.com", "not a host name or URL"),
        ("https://example.com:99999", "not a host name or URL"),
        ("https://[::1", "not a host name or URL"),
        ("ice.cn-beijing.aliyuncs.com", "is in cn-beijing and the region is cn-shanghai"),
        ("ice.cn-beijing.aliyuncs.com.", "is in cn-beijing and the region is cn-shanghai"),
        ("ice-vpc.cn-beijing.aliyuncs.com", "is in cn-beijing and the region is cn-shanghai"),
    ],
)
def test_wrong_endpoint_is_refused(host: str, says: str) -> None:
    """An endpoint that would send requests somewhere surprising is refused, and a password in it not repeated."""
    with pytest.raises(ImsConfigurationError, match=says) as caught:
        parse(host=host)
    assert "Connection 'ims_test': Endpoint" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_two_ports_are_refused() -> None:
    """A port in the endpoint and another in the port field contradict each other."""
    with pytest.raises(ImsConfigurationError, match="name different ports"):
        parse(host="https://proxy.example.com:1", port=2)


def test_port_without_endpoint_is_refused() -> None:
    """A port alone says nothing."""
    with pytest.raises(ImsConfigurationError, match="has a port and no Endpoint"):
        parse(port=8123)


def test_schema_is_refused() -> None:
    """A field that is not used is not silently ignored."""
    with pytest.raises(ImsConfigurationError, match="Schema is not used"):
        parse(schema="https")


def test_argument_wins_over_the_connections_region() -> None:
    """The region of the caller wins over the connection's, and the endpoint follows it."""
    settings = parse("cn-beijing")
    assert (settings.region, settings.endpoint) == ("cn-beijing", "https://ice.cn-beijing.aliyuncs.com")


def test_missing_region_is_refused() -> None:
    """A region must come from somewhere."""
    with pytest.raises(ImsConfigurationError, match=r"No region: .*Fill in Region in the connection"):
        parse(extra={})


@pytest.mark.parametrize(
    "region", ["cn shanghai", "evil.example.com/", "CN-SHANGHAI", "shanghai", "cn-shanghai@x", "-"]
)
def test_region_that_is_none_is_refused(region: str) -> None:
    """The region becomes part of a host name, so nothing else than a region passes, from wherever it comes."""
    with pytest.raises(ImsConfigurationError, match="is not a region id"):
        parse(region)
    with pytest.raises(ImsConfigurationError, match="is not a region id"):
        parse(extra={"region_id": region})


def test_region_without_documented_endpoint_is_refused() -> None:
    """A misspelt region is not looked up in the DNS; an endpoint makes it acceptable."""
    with pytest.raises(ImsConfigurationError, match="documents no endpoint in the region 'cn-shangai'"):
        parse("cn-shangai")
    assert parse("cn-newplace", host="ice.cn-newplace.aliyuncs.com").region == "cn-newplace"


def test_keys_without_token_sign_as_they_are() -> None:
    """Key pair alone: an access key."""
    assert parse().credentials == AccessKey("LTAIkey", SECRET)


def test_token_makes_temporary_credentials() -> None:
    """Key pair and security token: STS, said or not."""
    for extra in ({"security_token": "tok"}, {"security_token": "tok", "auth_type": "sts"}):
        assert parse(extra={"region_id": "cn-shanghai", **extra}).credentials == AccessKey("LTAIkey", SECRET, "tok")


def test_pasted_white_space_is_removed() -> None:
    """A newline pasted along with a key does not end in a wrong signature."""
    assert parse(login=" LTAIkey\n", password=f"{SECRET} ").credentials == AccessKey("LTAIkey", SECRET)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"login": None}, "lacks the Access key ID"),
        ({"password": None}, "lacks the Access key secret"),
        ({"password": ""}, "lacks the Access key secret"),
        ({"login": None, "password": None}, "lacks the Access key ID and the Access key secret"),
        ({"login": "a b"}, "Access key ID must be text without spaces"),
        ({"login": "a\nb"}, "Access key ID must be text without spaces"),
        ({"password": f"{SECRET} {SECRET}"}, "Access key secret must be text without spaces"),
    ],
)
def test_half_a_key_pair_is_refused(fields: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a key pair is an error, also where the environment could complete it."""
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAIenvironment")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "environment-secret")
    with pytest.raises(ImsConfigurationError, match=says) as caught:
        parse(**fields)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"regionid": "cn-shanghai"}, "unknown extra 'regionid'. Remove it; known are: region_id, network"),
        ({"access_key_id": "x"}, "unknown extra 'access_key_id'"),
        ({"network": "internal"}, "network is 'internal'. Choose one of: public, vpc"),
        ({"network": ["vpc"]}, "network is"),
        ({"auth_type": "ram"}, "auth_type is 'ram'. Choose one of: auto, access_key, sts"),
        ({"auth_type": "sts"}, "auth_type sts and no security token"),
        ({"auth_type": "access_key", "security_token": SECRET}, "auth_type access_key does not use one"),
        ({"security_token": f"{SECRET} x"}, "security_token must be text without spaces"),
        ({"read_timeout": 0}, "read_timeout is 0. Give seconds, more than 0 and at most 300"),
        ({"read_timeout": True}, "read_timeout is True. Give seconds"),
        ({"read_timeout": "nan"}, "read_timeout is 'nan'. Give seconds"),
        ({"connect_timeout": "soon"}, "connect_timeout is 'soon'. Give seconds"),
        ({"connect_timeout": 301}, "connect_timeout is 301. Give seconds"),
        ({"connect_timeout": [1]}, "connect_timeout is"),
        (
            {"max_requests_per_second": 0},
            "max_requests_per_second is 0. Give a number, more than 0 and at most 10000",
        ),
        ({"max_requests_per_second": "fast"}, "max_requests_per_second is 'fast'. Give a number"),
    ],
)
def test_wrong_extra_is_refused(extra: dict[str, Any], says: str) -> None:
    """Extras are an allow-list with checked values; a secret value is never repeated."""
    with pytest.raises(ImsConfigurationError) as caught:
        parse(extra={"region_id": "cn-shanghai", **extra})
    assert says in str(caught.value)
    assert "Connection 'ims_test'" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_extra_that_is_no_json_object_is_refused() -> None:
    """Broken JSON is an error, not an empty extra."""
    with pytest.raises(ImsConfigurationError, match="is not a JSON object"):
        parse(extra='["region_id"]')
    broken = make()
    object.__setattr__(broken, "extra", "{")  # Airflow 3 refuses it in the constructor, a secrets backend may not
    with pytest.raises(ImsConfigurationError, match="is not valid JSON"):
        parse_connection(broken)


def test_empty_form_fields_are_unset() -> None:
    """The form saves an empty field as null or as an empty string; both mean the default."""
    empty = dict.fromkeys(CONN_FIELDS, None)
    settings = parse(extra={**empty, "network": "", "region_id": "cn-shanghai"})
    assert settings == parse()


def test_timeouts_are_seconds_and_may_be_text() -> None:
    """A connection given as a URI has its numbers as text."""
    settings = parse(extra={"region_id": "cn-shanghai", "connect_timeout": "2.5", "read_timeout": 20})
    assert (settings.connect_timeout, settings.read_timeout) == (2.5, 20.0)
    assert (parse().connect_timeout, parse().read_timeout) == (5.0, 10.0)


def test_limit_of_requests() -> None:
    """The limit is 30 a second unless the connection says otherwise; it may be less than one."""
    assert parse().max_requests_per_second == 30
    assert parse(extra={"region_id": "cn-shanghai", "max_requests_per_second": "0.5"}).max_requests_per_second == 0.5


def test_connection_of_the_alibaba_provider_is_accepted() -> None:
    """A connection of type alibaba_cloud brings its key pair in two extras."""
    settings = parse(
        conn_type="alibaba_cloud",
        login=None,
        password=None,
        extra={"access_key_id": "LTAIother", "access_key_secret": SECRET, "region_id": "cn-beijing"},
    )
    assert settings.credentials == AccessKey("LTAIother", SECRET)
    assert settings.region == "cn-beijing"


def test_connection_of_another_type_is_refused() -> None:
    """Keys of another service are not sent to this one."""
    with pytest.raises(ImsConfigurationError, match=r"has the type 'aws'. Choose the type 'ims'"):
        parse(conn_type="aws")


def test_settings_do_not_print_secrets() -> None:
    """Settings that end up in a log or traceback show no secret."""
    settings = parse(extra={"region_id": "cn-shanghai", "security_token": "canary-token"})
    assert SECRET not in repr(settings)
    assert "canary-token" not in repr(settings)
