"""From the fields of a connection to the specification of its credentials."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_ims.connection.access_key import AccessKey
from airflow_provider_ims.connection.credentials import (
    Credentials,
    CredentialsUri,
    DefaultChain,
    EcsRole,
    OidcRole,
    Profile,
    RamRole,
)
from airflow_provider_ims.connection.settings import parse_connection
from airflow_provider_ims.exceptions import ImsConfigurationError

SECRET = "canary-secret-value"
TOKEN = "canary-token"
ROLE = "acs:ram::1234:role/ims"
POD = "acs:ram::1234:role/pods"
PROVIDER = "acs:ram::1234:oidc-provider/ack"
FILE = "/var/run/secrets/token"
STS = "https://sts.cn-shanghai.aliyuncs.com"
KEYS = {"login": "LTAIkey", "password": SECRET}
OIDC = {"oidc_provider_arn": PROVIDER, "oidc_token_file": FILE}


def parse(*, conn_type: str = "ims", login: str = "", password: str = "", **extra: Any) -> Credentials:
    raw = json.dumps({"region_id": "cn-shanghai", **extra})
    return parse_connection(
        Connection(conn_id="ims_test", conn_type=conn_type, login=login, password=password, extra=raw)
    ).credentials


def role(base: AccessKey | OidcRole | EcsRole | None = None, **changes: Any) -> RamRole:
    return RamRole(base or AccessKey("LTAIkey", SECRET), ROLE, **{"sts_endpoint": STS, **changes})


@pytest.mark.parametrize(
    ("fields", "credentials", "description"),
    [
        (KEYS, AccessKey("LTAIkey", SECRET), "an access key"),
        ({**KEYS, "security_token": TOKEN}, AccessKey("LTAIkey", SECRET, TOKEN), "a temporary access key"),
        ({**KEYS, "role_arn": ROLE}, role(), f"RAM role {ROLE} over an access key"),
        (
            {**KEYS, "security_token": TOKEN, "role_arn": ROLE},
            role(AccessKey("LTAIkey", SECRET, TOKEN)),
            f"RAM role {ROLE} over a temporary access key",
        ),
        (
            {**OIDC, "oidc_role_arn": POD, "role_arn": ROLE},
            role(OidcRole(POD, PROVIDER, FILE, STS)),
            f"RAM role {ROLE} over RAM role {POD} over the OIDC provider {PROVIDER}",
        ),
        (
            {"ecs_role_name": "pods", "ecs_imds_v1": True, "role_arn": ROLE},
            role(EcsRole("pods", allow_imds_v1=True)),
            f"RAM role {ROLE} over the RAM role of the ECS instance (pods)",
        ),
        (
            {**OIDC, "role_arn": ROLE},
            OidcRole(ROLE, PROVIDER, FILE, STS),
            f"RAM role {ROLE} over the OIDC provider {PROVIDER}",
        ),
        ({"auth_type": "ecs_ram_role"}, EcsRole(), "the RAM role of the ECS instance"),
        ({"ecs_imds_v1": "TRUE"}, EcsRole(allow_imds_v1=True), "the RAM role of the ECS instance"),
        (
            {"secret_credentials_uri": f"https://keys.example.com/?key={SECRET}"},
            CredentialsUri(f"https://keys.example.com/?key={SECRET}"),
            "the keys of a credentials URI",
        ),
        ({"auth_type": "profile"}, Profile("ini", "default"), "profile 'default' of credentials.ini"),
        ({"profile_source": "cli"}, Profile("cli", "default"), "profile 'default' of the Alibaba Cloud CLI"),
        ({"profile_name": "ims"}, Profile("ini", "ims"), "profile 'ims' of credentials.ini"),
        ({"auth_type": "default_chain"}, DefaultChain(), "the default credentials chain"),
    ],
)
def test_each_kind_has_a_specification(fields: dict[str, Any], credentials: Credentials, description: str) -> None:
    """The filled fields become the specification of their kind, and its description has no secret."""
    found = parse(**fields)
    assert found == credentials
    assert found.description == description
    assert "canary" not in repr(found) + description
    # One client serves all waits with the same settings.
    assert hash(found) == hash(credentials)


def test_session_of_an_assumed_role_has_the_options() -> None:
    """Name, duration, policy, external id and endpoint of STS are those of the connection."""
    options = {
        "role_session_name": " airflow@etl-1_x.y ",
        "role_session_duration": "900",
        "role_policy": ' {"Version": "1", "Statement": []}\n',
        "sts_endpoint": "sts.aliyuncs.com",
    }
    expected: dict[str, Any] = {
        "session_name": "airflow@etl-1_x.y",
        "duration": 900,
        "policy": '{"Version": "1", "Statement": []}',
        "sts_endpoint": "https://sts.aliyuncs.com",
    }
    assert parse(**KEYS, role_arn=ROLE, role_external_id="a:b/c", **options) == role(**expected, external_id="a:b/c")
    assert parse(**OIDC, role_arn=ROLE, **options) == OidcRole(ROLE, PROVIDER, FILE, **expected)


def test_base_of_a_role_has_no_limits_of_the_session() -> None:
    """Duration and policy limit the assumed role, not the OIDC role that assumes it, which the policy would stop."""
    found = parse(**OIDC, oidc_role_arn=POD, role_arn=ROLE, role_session_name="airflow", role_policy={"Version": "1"})
    assert found == role(
        OidcRole(POD, PROVIDER, FILE, STS, session_name="airflow"), session_name="airflow", policy='{"Version": "1"}'
    )


def test_defaults_of_a_session() -> None:
    """A session is called airflow-provider-ims and lasts an hour, without policy and external id."""
    found = parse(**KEYS, role_arn=ROLE)
    assert isinstance(found, RamRole)
    assert (found.session_name, found.duration, found.policy, found.external_id) == (
        *("airflow-provider-ims", 3600, None, None),
    )


@pytest.mark.parametrize(
    ("extra", "endpoint"),
    [
        ({}, "https://sts.cn-shanghai.aliyuncs.com"),
        ({"network": "vpc"}, "https://sts-vpc.cn-shanghai.aliyuncs.com"),
        ({"network": "vpc", "region_id": "us-west-1"}, "https://sts-vpc.us-west-1.aliyuncs.com"),
        ({"sts_endpoint": " sts.aliyuncs.com\n", "network": "vpc"}, "https://sts.aliyuncs.com"),
        ({"sts_endpoint": "https://sts.cn-beijing.aliyuncs.com:443/"}, "https://sts.cn-beijing.aliyuncs.com"),
        ({"sts_endpoint": "sts.example.com:8443"}, "https://sts.example.com:8443"),
        ({"sts_endpoint": "http://127.0.0.1:8123"}, "http://127.0.0.1:8123"),
    ],
)
def test_endpoint_of_sts(extra: dict[str, Any], endpoint: str) -> None:
    """STS is called in the region and network of the connection, unless the connection has another endpoint."""
    found = parse(**KEYS, role_arn=ROLE, **extra)
    assert isinstance(found, RamRole)
    assert found.sts_endpoint == endpoint


def test_pasted_white_space_is_removed() -> None:
    """White space around ARNs, names, paths and URLs does not matter."""
    fields = {"role_arn": f" {ROLE}\n", "oidc_provider_arn": f"{PROVIDER} ", "oidc_token_file": f"\t{FILE}"}
    assert parse(**fields) == OidcRole(ROLE, PROVIDER, FILE, STS)
    assert parse(ecs_role_name=" pods ") == EcsRole("pods")
    assert parse(secret_credentials_uri=" https://keys.example.com/ ") == CredentialsUri("https://keys.example.com/")
    assert parse(profile_name=" ims ") == Profile("ini", "ims")


@pytest.mark.parametrize("value", [False, "false", "False", "", None])
def test_box_that_is_not_ticked_is_empty(value: object) -> None:
    """The form of Airflow before 3.2 saves false: no kind of credential is meant by it."""
    assert parse(**KEYS, ecs_imds_v1=value) == AccessKey("LTAIkey", SECRET)
    assert parse(ecs_role_name="pods", ecs_imds_v1=value) == EcsRole("pods")


@pytest.mark.parametrize(
    "path",
    [
        *("token", "./token", "~/token", "", "/", "/a/../b", "/..", "/../etc/passwd", "/a/..", "/a\x00b", "/a\nb"),
        *("/a\x7fb", "/a\x85b", "/\ud800", "C:\\token", 5, ["/token"], {"path": "/token"}, "/" + "x" * 4096),
    ],
)
def test_wrong_token_file_is_refused(path: object) -> None:
    """The path of the token must be absolute, without a way up and without control characters."""
    with pytest.raises(ImsConfigurationError, match="OIDC"):
        parse(role_arn=ROLE, oidc_provider_arn=PROVIDER, oidc_token_file=path)


@pytest.mark.parametrize("path", ["/token", "/a/..b/c..", "/a/.../b", "/with space/\u00e9"])
def test_other_token_files_are_accepted(path: str) -> None:
    """Dots in a name and letters of other languages are no way up."""
    assert parse(role_arn=ROLE, oidc_provider_arn=PROVIDER, oidc_token_file=path) == OidcRole(ROLE, PROVIDER, path, STS)


@pytest.mark.parametrize(
    "arn",
    [
        *("ims", "acs:ram::1234:role/", "acs:ram::1234:user/ims", "acs:ram::abc:role/ims", "acs:ram:1234:role/ims"),
        *("arn:aws:iam::1234:role/ims", f"{ROLE}/x", f"{ROLE} x", f"{ROLE}\u00e9", f"{ROLE}{'x' * 64}", 1234, [ROLE]),
        *("acs:ram::1234:role/..", "acs:ram::\u0661\u0662:role/ims", "acs:ram::1234:role/i\nms"),
    ],
)
def test_wrong_role_is_refused(arn: object) -> None:
    """A role is an ARN of a RAM role; the error says its form and not the value."""
    with pytest.raises(ImsConfigurationError) as caught:
        parse(**KEYS, role_arn=arn)
    assert str(caught.value) == (
        "Connection 'ims_test': Role ARN (extra role_arn) has a wrong form. "
        "Give the ARN of a RAM role: acs:ram::<account id>:role/<role name>."
    )


@pytest.mark.parametrize(
    "uri",
    [
        *(
            "keys.example.com",
            "//keys.example.com",
            "https:///x",
            "https://?canary",
            "file:///etc/passwd",
            "https://exa_mple..x",
        ),
        *("http://10.0.0.1/", "http://100.100.100.201/", "http://100.100.100.200.example.com/", "http://metadata/"),
        *("https://user@keys.example.com/", "https://:pw@keys.example.com/", "https://keys.example.com/#"),
        *("https://keys.example.com:99999/", "https://keys.example.com:x/", "https://[::1", "https://a/\tb", 5, ["x"]),
    ],
)
def test_wrong_credentials_uri_is_refused(uri: object) -> None:
    """Keys travel over https, or stay on the machine; the error does not repeat the URL."""
    with pytest.raises(ImsConfigurationError, match=r"Credentials URI \(extra secret_credentials_uri\)") as caught:
        parse(secret_credentials_uri=uri)
    assert not (isinstance(uri, str) and uri in str(caught.value))


@pytest.mark.parametrize(
    "uri",
    [
        *(
            "https://keys.example.com",
            "https://keys.example.com:8443/a?b=c",
            "http://127.0.0.1:8080/x",
            "http://[::1]/",
        ),
        *("http://localhost/x", "http://100.100.100.200/latest/meta-data"),
    ],
)
def test_other_credentials_uris_are_accepted(uri: str) -> None:
    """The URL is used as it is, over http only for this machine and the metadata service."""
    assert parse(secret_credentials_uri=uri) == CredentialsUri(uri)


@pytest.mark.parametrize("policy", ["{", "[]", '"x"', "1", "null", [], "[" * 100_000, '{"a": "\ud800"}', True])
def test_wrong_policy_is_refused(policy: object) -> None:
    """A policy is a JSON object, in a text or as it is."""
    with pytest.raises(ImsConfigurationError, match=r"Role policy \(extra role_policy\) is not a JSON object"):
        parse(**KEYS, role_arn=ROLE, role_policy=policy)


def test_policy_has_the_length_that_sts_takes() -> None:
    """A policy of 2,048 characters is accepted, and a longer one is refused."""
    text = json.dumps({"Version": "1", "Statement": "x" * 2015})
    assert len(text) == 2048
    assert parse(**KEYS, role_arn=ROLE, role_policy=text) == role(policy=text)
    with pytest.raises(ImsConfigurationError, match="has more than 2048 characters"):
        parse(**KEYS, role_arn=ROLE, role_policy=text.replace("x", "xx", 1))


@pytest.mark.parametrize("duration", [True, 0, -3600, "nan", "inf", 10**400, [3600], 899.9, "43200.5"])
def test_wrong_duration_is_refused(duration: object) -> None:
    """A duration is a whole number of seconds that STS takes."""
    with pytest.raises(ImsConfigurationError, match="Give whole seconds, at least 900 and at most 43200"):
        parse(**KEYS, role_arn=ROLE, role_session_duration=duration)


def test_connection_of_the_alibaba_provider_may_have_the_new_extras() -> None:
    """A connection of type alibaba_cloud can have any kind of credential, also over the keys in its extras."""
    keys = {"access_key_id": "LTAIkey", "access_key_secret": SECRET, "auth_type": "AK"}
    assert parse(conn_type="alibaba_cloud", **keys, role_arn=ROLE) == role()
    assert parse(conn_type="alibaba_cloud", ecs_role_name="pods") == EcsRole("pods")


def test_nothing_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that is missing is an error, even if the environment has what the SDK would take for it."""
    for name, value in {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAIenvironment",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET,
        "ALIBABA_CLOUD_ROLE_ARN": ROLE,
        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": PROVIDER,
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE": FILE,
        "ALIBABA_CLOUD_CREDENTIALS_URI": "https://keys.example.com",
        "ALIBABA_CLOUD_ROLE_SESSION_NAME": "environment",
    }.items():
        monkeypatch.setenv(name, value)
    for fields in ({}, OIDC, {"role_arn": ROLE}, {"auth_type": "credentials_uri"}, {"auth_type": "ram_role_arn"}):
        with pytest.raises(ImsConfigurationError):
            parse(**fields)
    assert parse(**OIDC, role_arn=ROLE) == OidcRole(ROLE, PROVIDER, FILE, STS)
