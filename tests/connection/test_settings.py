"""From an Airflow connection to settings."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_ims.connection.access_key import AccessKey
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
        ("ice.cn-shanghai.aliyuncs.com", 443, "https://ice.cn-shanghai.aliyuncs.com"),
        ("https://proxy.example.com:443/", 443, "https://proxy.example.com"),
        ("https://proxy.example.com:8443", 8443, "https://proxy.example.com:8443"),
        ("https://proxy.example.com", "8443", "https://proxy.example.com:8443"),
        ("https://proxy.example.com", 0, "https://proxy.example.com"),
        ("http://127.0.0.1:80", None, "http://127.0.0.1"),
        ("ims_proxy:8443", None, "https://ims_proxy:8443"),
        (f"{'a' * 63}.example.com", None, f"https://{'a' * 63}.example.com"),
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
def test_endpoint_can_be_given(host: str, port: int | str | None, endpoint: str) -> None:
    """An endpoint in the connection is used, with its port or Port; its scheme is https unless it says http."""
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
        ("https://example.com:99999", "has a port that is not a number from 1 to 65535"),
        ("https://example.com:0", "has a port that is not a number from 1 to 65535"),
        ("https://example.com:https", "has a port that is not a number from 1 to 65535"),
        ("https://[::1", "not a host name or URL"),
        ("::1", "not a host name or URL"),
        ("https://[1::2::3]", "not a host name or URL"),
        (f"{'a' * 64}.example.com", "not a host name or URL"),
        (".".join(["a" * 50] * 6), "not a host name or URL"),
        ("a..example.com", "not a host name or URL"),
        ("-a.example.com", "not a host name or URL"),
        ("b\u00fccher.example.com", "not a host name or URL"),
        ("\ud800.example.com", "not a host name or URL"),
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


@pytest.mark.parametrize("port", [None, 0, "", 443, "443"])
def test_port_without_endpoint_may_be_the_default(port: Any) -> None:
    """Port may be filled in with 443 although Endpoint is empty: Airflow 3.3.2 tests no connection without a port."""
    assert parse(port=port).endpoint == "https://ice.cn-shanghai.aliyuncs.com"


def test_other_port_without_endpoint_is_refused() -> None:
    """A port that the computed endpoint does not have needs an endpoint."""
    with pytest.raises(ImsConfigurationError, match="has a Port other than 443 and no Endpoint"):
        parse(port=8123)


@pytest.mark.parametrize(
    "port",
    [-1, 65_536, 10**400, "99999", "x", "\u00b2", "\ud800", "9" * 5000, 1.5, True, False, [1]],
    ids=lambda port: ascii(port)[:20],
)
@pytest.mark.parametrize("host", [None, "proxy.example.com"])
def test_port_that_does_not_exist_is_refused(port: Any, host: str | None) -> None:
    """A port that is not a number from 1 to 65535 is refused, in whatever form a secrets backend gives it."""
    connection = make_connection(host=host)
    object.__setattr__(connection, "port", port)
    with pytest.raises(ImsConfigurationError, match="Port is not a number from 1 to 65535"):
        parse_connection(connection)


def test_schema_is_refused() -> None:
    """A field that is not used must be empty."""
    with pytest.raises(ImsConfigurationError, match="has a Schema, which is not used"):
        parse(schema="https")


def test_region_argument_overrides_the_connection() -> None:
    """The region of the caller overrides that of the connection, and the endpoint is in that region."""
    settings = parse("cn-beijing")
    assert (settings.region, settings.endpoint) == ("cn-beijing", "https://ice.cn-beijing.aliyuncs.com")


def test_missing_region_is_refused() -> None:
    """Either the caller or the connection must give a region."""
    with pytest.raises(
        ImsConfigurationError, match=r"names no region, .*Fill in Region \(extra region_id\) in the connection"
    ):
        parse(extra={})


@pytest.mark.parametrize(
    "region",
    [
        "cn shanghai",
        "evil.example.com/",
        "CN-SHANGHAI",
        "shanghai",
        "cn-shanghai@x",
        "-",
        f"cn-{'a' * 64}",
        "cn-\ud800",
    ],
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
        ({"login": "a b"}, "Access key ID must be ASCII text without spaces"),
        ({"login": "LTAI\u00e9"}, "Access key ID must be ASCII text without spaces"),
        ({"login": "LTAI\ud800"}, "Access key ID must be ASCII text without spaces"),
        ({"login": "a\nb"}, "Access key ID must be ASCII text without spaces"),
        ({"password": f"{SECRET} {SECRET}"}, "Access key secret must be ASCII text without spaces"),
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
        ({"network": "internal"}, "Network (extra network) has an unknown value. Choose one of: public, vpc"),
        ({"network": "publc"}, "Network (extra network) has an unknown value ('publc'). Choose one of: public, vpc"),
        ({"network": ["vpc"]}, "Network (extra network) has an unknown value."),
        ({"auth_type": "STS"}, "Authentication (extra auth_type) has an unknown value ('STS'). Choose one of: auto"),
        ({"auth_type": "AK"}, "Authentication (extra auth_type) has an unknown value. Choose one of: auto"),
        ({"auth_type": "sts"}, "Authentication (extra auth_type) is sts, which needs STS security token"),
        ({"auth_type": "access_key", "security_token": SECRET}, "is access_key, which does not use STS security token"),
        ({"security_token": f"{SECRET} x"}, "STS security token (extra security_token) must be ASCII text"),
        ({"region_id": "cn-shangai."}, "Region (extra region_id) is not a region id ('cn-shangai.')"),
        ({"read_timeout": 0}, "Read timeout (extra read_timeout) has a wrong value (0). Give seconds, more than 0"),
        ({"read_timeout": True}, "Read timeout (extra read_timeout) has a wrong value (True). Give seconds"),
        ({"read_timeout": "nan"}, "Read timeout (extra read_timeout) has a wrong value ('nan'). Give seconds"),
        ({"read_timeout": 10**400}, "Read timeout (extra read_timeout) has a wrong value. Give seconds"),
        ({"connect_timeout": "9" * 400}, "Connect timeout (extra connect_timeout) has a wrong value. Give seconds"),
        ({"connect_timeout": "soon"}, "Connect timeout (extra connect_timeout) has a wrong value. Give seconds"),
        ({"connect_timeout": 301}, "Connect timeout (extra connect_timeout) has a wrong value (301). Give seconds"),
        ({"connect_timeout": [1]}, "Connect timeout (extra connect_timeout) has a wrong value. Give seconds"),
        (
            {"max_requests_per_second": 0},
            "(extra max_requests_per_second) has a wrong value (0). Give a number, more than 0 and at most 10000",
        ),
        (
            {"max_requests_per_second": "0,5"},
            "(extra max_requests_per_second) has a wrong value ('0,5'). Give a number",
        ),
    ],
)
def test_wrong_extra_is_refused(extra: dict[str, Any], message: str) -> None:
    """Unknown extras and wrong values are refused; the message does not repeat a secret."""
    with pytest.raises(ImsConfigurationError) as caught:
        parse(extra={"region_id": "cn-shanghai", **extra})
    assert message in str(caught.value)
    assert "Connection 'ims_test'" in str(caught.value)
    assert SECRET not in str(caught.value)


SOMEBODYS_SECRETS = ["kX3vQ9wLzR7bT2mN5pY8cF4hJ6dS1g", "hunter2", "swordfish", "pa$$ word", "LTAI5tCanary7Key9Id00000"]


@pytest.mark.parametrize("secret", SOMEBODYS_SECRETS)
@pytest.mark.parametrize("field", ["login", "host", "port", "schema", "extra", *CONN_FIELDS])
def test_secret_in_the_wrong_field_is_not_repeated(field: str, secret: str) -> None:
    """A secret that was filled in at the wrong place is in no error."""
    extra = {"region_id": "cn-shanghai", **({field: secret} if field in CONN_FIELDS else {})}
    connection = make_connection(extra=extra)
    if field not in CONN_FIELDS:
        object.__setattr__(connection, field, f"{secret} x" if field == "login" else secret)
    message = ""
    try:
        parse_connection(connection)
    except ImsConfigurationError as error:
        message = str(error).lower()
    assert secret.lower() not in message


@pytest.mark.parametrize("key", ["kX3vQ9wLzR7bT2mN5pY8cF4hJ6dS1g", "LTAI5tCanary7Key9Id00000"])
def test_key_in_the_endpoint_is_refused(key: str) -> None:
    """A key that was filled in as Endpoint does not become a host name, which would be sent to the DNS."""
    with pytest.raises(ImsConfigurationError, match="Endpoint is not a host name or URL"):
        parse(host=key)


@pytest.mark.parametrize(
    "extra", ["[" * 100_000, f'{{"read_timeout": {"9" * 5000}}}', "{"], ids=["too deep", "too long a number", "broken"]
)
def test_extra_that_is_not_json_is_refused(extra: str) -> None:
    """An extra that is not valid JSON is an error, not an empty extra."""
    # Airflow's own class refuses some of them in its constructor; a secrets backend may return another one.
    fields = {name: getattr(make_connection(), name) for name in ("conn_id", "conn_type", "host", "port", "schema")}
    with pytest.raises(ImsConfigurationError, match="is not valid JSON"):
        parse_connection(cast("Connection", SimpleNamespace(**fields, extra=extra)))


def test_extra_that_is_not_a_json_object_is_refused() -> None:
    """An extra that is JSON and no object is an error, not an empty extra."""
    with pytest.raises(ImsConfigurationError, match="is not a JSON object"):
        parse(extra='["region_id"]')


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


ALIBABA_CLOUD_KEYS = {"access_key_id": "LTAIother", "access_key_secret": SECRET}


def parse_alibaba_cloud(extra: dict[str, Any], region: str | None = None, **fields: Any) -> ImsSettings:
    """Parse a connection of type alibaba_cloud, which has no login and password unless they are given."""
    return parse(region, **{"conn_type": "alibaba_cloud", "login": None, "password": None, "extra": extra, **fields})


@pytest.mark.parametrize(
    "extra",
    [
        {"region_id": "cn-beijing"},
        {"region": "cn-beijing"},
        {"region": "cn-beijing", "region_id": "cn-beijing", "auth_type": ""},
        {"auth_type": "AK", "region": "cn-beijing"},
        {"auth_type": "AK", "region": "cn-beijing", "endpoint": "oss-cn-beijing.aliyuncs.com"},
    ],
)
@pytest.mark.parametrize("bucket", [None, "rights-evidence"])
def test_connection_of_the_alibaba_provider_is_accepted(extra: dict[str, Any], bucket: str | None) -> None:
    """A connection is read as apache-airflow-providers-alibaba documents it: keys in extras, AK, region, a bucket."""
    settings = parse_alibaba_cloud({**ALIBABA_CLOUD_KEYS, **extra}, schema=bucket)
    assert settings.credentials == AccessKey("LTAIother", SECRET)
    assert settings.region == "cn-beijing"
    assert settings.endpoint == "https://ice.cn-beijing.aliyuncs.com"


def test_connection_of_the_alibaba_provider_may_have_a_token() -> None:
    """A security token beside the keys makes them temporary ones, also with the auth_type of that provider."""
    extra = {**ALIBABA_CLOUD_KEYS, "auth_type": "AK", "region": "cn-beijing", "security_token": "tok"}
    assert parse_alibaba_cloud(extra).credentials == AccessKey("LTAIother", SECRET, "tok")


def test_connection_of_the_alibaba_provider_may_have_login_and_password() -> None:
    """Login and Password are the keys if the extras have none."""
    fields = {"login": "LTAIkey", "password": SECRET}
    assert parse_alibaba_cloud({"region": "cn-beijing"}, **fields).credentials == AccessKey("LTAIkey", SECRET)


@pytest.mark.parametrize("in_fields", [{"login": "LTAIkey"}, {"password": "x"}, {"login": "LTAIkey", "password": "x"}])
@pytest.mark.parametrize("names", [["access_key_id"], ["access_key_secret"], ["access_key_id", "access_key_secret"]])
def test_two_key_pairs_are_refused(in_fields: dict[str, str], names: list[str]) -> None:
    """Keys in the fields and in the extras are an error: a mix would be the identity of nobody."""
    extra = {"region": "cn-beijing", **{name: ALIBABA_CLOUD_KEYS[name] for name in names}}
    with pytest.raises(ImsConfigurationError, match="has keys in Login or Password, and also in the extra") as caught:
        parse_alibaba_cloud(extra, **in_fields)
    assert SECRET not in str(caught.value)


def test_half_pair_in_the_extras_is_refused() -> None:
    """A missing extra is named by its key."""
    with pytest.raises(ImsConfigurationError, match=r"lacks the Access key ID \(extra access_key_id\)"):
        parse_alibaba_cloud({"region": "cn-beijing", "access_key_secret": SECRET})


def test_two_regions_are_refused() -> None:
    """The region by the name of that provider and by ours must not differ."""
    with pytest.raises(ImsConfigurationError, match="has different regions in the extras region and region_id"):
        parse_alibaba_cloud({**ALIBABA_CLOUD_KEYS, "region": "cn-beijing", "region_id": "cn-shanghai"})


def test_names_of_the_alibaba_provider_are_unknown_to_other_connections() -> None:
    """A connection of type ims has its keys and its region in the fields of the form only."""
    for name in ("access_key_id", "access_key_secret", "region", "endpoint"):
        with pytest.raises(ImsConfigurationError, match=f"has the unknown extra '{name}'"):
            parse(extra={"region_id": "cn-shanghai", name: "x"})


def test_connection_of_another_type_is_refused() -> None:
    """A connection of another type is refused: its keys belong to another service."""
    with pytest.raises(ImsConfigurationError, match=r"has the type 'aws' of another service"):
        parse(conn_type="aws")
    with pytest.raises(ImsConfigurationError, match=r"has no type\. Write it as JSON"):
        parse(conn_type="")


def test_repr_of_settings_has_no_secret() -> None:
    """Settings in a log or traceback show no secret."""
    settings = parse(extra={"region_id": "cn-shanghai", "security_token": "canary-token"})
    assert SECRET not in repr(settings)
    assert "canary-token" not in repr(settings)
