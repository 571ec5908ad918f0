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


def make_connection(*, extra: dict[str, Any] | str | None = None, **fields: Any) -> Connection:
    values = {"conn_id": "ims_test", "conn_type": "ims", "login": "LTAIkey", "password": SECRET, **fields}
    raw = extra if isinstance(extra, str) else json.dumps({"region_id": "cn-shanghai"} if extra is None else extra)
    return Connection(extra=raw, **values)


def parse(region: str | None = None, **fields: Any) -> ImsSettings:
    return parse_connection(make_connection(**fields), region)


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize(("network", "host"), [(None, "ice"), ("public", "ice"), ("vpc", "ice-vpc")])
def test_endpoint_of_every_documented_region_and_network(region: str, network: str | None, host: str) -> None:
    """The endpoint is computed from region and network, for all documented regions."""
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
    """An endpoint in the connection is used; its scheme is https by default, and http for loopback only."""
    assert parse(host=host, port=port).endpoint == endpoint


@pytest.mark.parametrize(
    ("host", "message"),
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
def test_wrong_endpoint_is_refused(host: str, message: str) -> None:
    """An endpoint that is ambiguous or unsafe is refused, and the message does not repeat a password in it."""
    with pytest.raises(ImsConfigurationError, match=message) as caught:
        parse(host=host)
    assert "Connection 'ims_test': Endpoint" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_two_ports_are_refused() -> None:
    """The endpoint and the port field must not have different ports."""
    with pytest.raises(ImsConfigurationError, match="name different ports"):
        parse(host="https://proxy.example.com:1", port=2)


def test_port_without_endpoint_is_refused() -> None:
    """A port needs an endpoint."""
    with pytest.raises(ImsConfigurationError, match="has a port and no Endpoint"):
        parse(port=8123)


def test_schema_is_refused() -> None:
    """A field that is not used must be empty."""
    with pytest.raises(ImsConfigurationError, match="Schema is not used"):
        parse(schema="https")


def test_region_argument_overrides_the_connection() -> None:
    """The region of the caller overrides that of the connection, and the endpoint is in that region."""
    settings = parse("cn-beijing")
    assert (settings.region, settings.endpoint) == ("cn-beijing", "https://ice.cn-beijing.aliyuncs.com")


def test_missing_region_is_refused() -> None:
    """Either the caller or the connection must give a region."""
    with pytest.raises(ImsConfigurationError, match=r"No region: .*Fill in Region in the connection"):
        parse(extra={})


@pytest.mark.parametrize(
    "region", ["cn shanghai", "evil.example.com/", "CN-SHANGHAI", "shanghai", "cn-shanghai@x", "-"]
)
def test_malformed_region_is_refused(region: str) -> None:
    """The region becomes part of a host name: only a valid region id is accepted, from caller and connection."""
    with pytest.raises(ImsConfigurationError, match="is not a region id"):
        parse(region)
    with pytest.raises(ImsConfigurationError, match="is not a region id"):
        parse(extra={"region_id": region})


def test_region_without_documented_endpoint_is_refused() -> None:
    """A region without a documented endpoint is accepted only if the connection has an endpoint."""
    with pytest.raises(ImsConfigurationError, match="documents no endpoint in the region 'cn-shangai'"):
        parse("cn-shangai")
    assert parse("cn-newplace", host="ice.cn-newplace.aliyuncs.com").region == "cn-newplace"


def test_key_pair_without_token_is_an_access_key() -> None:
    """A key pair alone makes an access key."""
    assert parse().credentials == AccessKey("LTAIkey", SECRET)


def test_key_pair_with_token_is_temporary_credentials() -> None:
    """A key pair and a security token make STS credentials, with or without auth_type."""
    for extra in ({"security_token": "tok"}, {"security_token": "tok", "auth_type": "sts"}):
        assert parse(extra={"region_id": "cn-shanghai", **extra}).credentials == AccessKey("LTAIkey", SECRET, "tok")


def test_white_space_around_keys_is_removed() -> None:
    """White space around a key, as from pasting, is removed."""
    assert parse(login=" LTAIkey\n", password=f"{SECRET} ").credentials == AccessKey("LTAIkey", SECRET)


@pytest.mark.parametrize(
    ("fields", "message"),
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
def test_incomplete_or_malformed_key_pair_is_refused(
    fields: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a key pair is an error, even if the environment has both keys."""
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAIenvironment")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "environment-secret")
    with pytest.raises(ImsConfigurationError, match=message) as caught:
        parse(**fields)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "message"),
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
def test_wrong_extra_is_refused(extra: dict[str, Any], message: str) -> None:
    """Unknown extras and wrong values are refused; the message does not repeat a secret."""
    with pytest.raises(ImsConfigurationError) as caught:
        parse(extra={"region_id": "cn-shanghai", **extra})
    assert message in str(caught.value)
    assert "Connection 'ims_test'" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_extra_that_is_not_a_json_object_is_refused() -> None:
    """An extra that is not valid JSON is an error, not an empty extra."""
    with pytest.raises(ImsConfigurationError, match="is not a JSON object"):
        parse(extra='["region_id"]')
    broken = make_connection()
    object.__setattr__(broken, "extra", "{")  # Airflow 3 refuses it in the constructor, a secrets backend may not
    with pytest.raises(ImsConfigurationError, match="is not valid JSON"):
        parse_connection(broken)


def test_empty_form_fields_are_unset() -> None:
    """The form saves an empty field as null or as an empty string; both mean the default."""
    empty = dict.fromkeys(CONN_FIELDS, None)
    settings = parse(extra={**empty, "network": "", "region_id": "cn-shanghai"})
    assert settings == parse()


def test_timeouts_may_be_text() -> None:
    """Timeouts are seconds, and may be text, as in a connection that is a URI."""
    settings = parse(extra={"region_id": "cn-shanghai", "connect_timeout": "2.5", "read_timeout": 20})
    assert (settings.connect_timeout, settings.read_timeout) == (2.5, 20.0)
    assert (parse().connect_timeout, parse().read_timeout) == (5.0, 10.0)


def test_rate_limit_has_a_default_and_may_be_below_one() -> None:
    """The rate limit is 30 per second unless the connection sets another, which may be less than one."""
    assert parse().max_requests_per_second == 30
    assert parse(extra={"region_id": "cn-shanghai", "max_requests_per_second": "0.5"}).max_requests_per_second == 0.5


def test_connection_of_the_alibaba_provider_is_accepted() -> None:
    """A connection of type alibaba_cloud has its key pair in two extras."""
    settings = parse(
        conn_type="alibaba_cloud",
        login=None,
        password=None,
        extra={"access_key_id": "LTAIother", "access_key_secret": SECRET, "region_id": "cn-beijing"},
    )
    assert settings.credentials == AccessKey("LTAIother", SECRET)
    assert settings.region == "cn-beijing"


def test_connection_of_another_type_is_refused() -> None:
    """A connection of another type is refused: its keys belong to another service."""
    with pytest.raises(ImsConfigurationError, match=r"has the type 'aws'. Choose the type 'ims'"):
        parse(conn_type="aws")


def test_repr_of_settings_has_no_secret() -> None:
    """Settings in a log or traceback show no secret."""
    settings = parse(extra={"region_id": "cn-shanghai", "security_token": "canary-token"})
    assert SECRET not in repr(settings)
    assert "canary-token" not in repr(settings)
