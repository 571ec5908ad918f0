"""Credentials of the machine that runs the task: the profiles of two files, and the default chain."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.api import fetch, profiles
from airflow_provider_ims.api.client import ImsClient
from airflow_provider_ims.api.profiles import default_chain, read_profile
from airflow_provider_ims.api.protocol import ApiRequest
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
from airflow_provider_ims.exceptions import ImsCredentialsError, ImsError, ImsServiceError
from tests.api.identities import ACCOUNT, LIST, Identities, call

if TYPE_CHECKING:
    from pathlib import Path

ROLE = f"{ACCOUNT}:role/worker"
PROVIDER = f"{ACCOUNT}:oidc-provider/ack"
STS = "https://sts.aliyuncs.com"
KEY = AccessKey("id", "secret%(x)s/+=")
PAIR = {"access_key_id": KEY.key_id, "access_key_secret": KEY.secret}
OIDC_FILE = "/var/run/secrets/token"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write_ini(home: Path, **profiles: dict[str, str]) -> None:
    """Write the file of the SDKs."""
    file = home / ".alibabacloud" / "credentials.ini"
    file.parent.mkdir(exist_ok=True)
    sections = (
        (name, "\n".join(f"{key} = {value}" for key, value in fields.items())) for name, fields in profiles.items()
    )
    file.write_text("\n".join(f"[{name}]\n{text}\n" for name, text in sections))


def write_cli(home: Path, *profiles: dict[str, Any], current: str = "first") -> None:
    """Write the file of the Alibaba Cloud CLI."""
    file = home / ".aliyun" / "config.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"current": current, "profiles": list(profiles), "meta_path": ""}))


INI: dict[str, tuple[dict[str, str], Credentials]] = {
    "access_key": (PAIR, KEY),
    "ram_role_arn": (
        {**PAIR, "role_arn": ROLE, "role_session_name": "s1", "policy": '{"Version": "1"}'},
        RamRole(KEY, ROLE, STS, "s1", policy='{"Version": "1"}'),
    ),
    "oidc_role_arn": (
        {
            "role_arn": ROLE,
            "oidc_provider_arn": PROVIDER,
            "oidc_token_file_path": OIDC_FILE,
            "role_session_name": "s1",
        },
        OidcRole(ROLE, PROVIDER, OIDC_FILE, STS, "s1"),
    ),
    "ecs_ram_role": ({"role_name": "base"}, EcsRole("base")),
}
_CLI_ROLE = {"ram_role_arn": ROLE, "ram_session_name": "s1", "expired_seconds": 900}
CLI: dict[str, tuple[dict[str, Any], Credentials]] = {
    "AK": (PAIR, KEY),
    "StsToken": ({**PAIR, "sts_token": "token"}, replace(KEY, security_token="token")),
    "RamRoleArn": (
        {**PAIR, **_CLI_ROLE, "policy": "{}", "external_id": "an-id", "sts_region": "cn-beijing", "enable_vpc": True},
        RamRole(KEY, ROLE, "https://sts-vpc.cn-beijing.aliyuncs.com", "s1", 900, "{}", "an-id"),
    ),
    "EcsRamRole": ({"ram_role_name": "base"}, EcsRole("base")),
    "OIDC": (
        {
            "ram_role_arn": ROLE,
            "oidc_provider_arn": PROVIDER,
            "oidc_token_file": OIDC_FILE,
            "role_session_name": "s1",
            "expired_seconds": 900,
        },
        OidcRole(ROLE, PROVIDER, OIDC_FILE, STS, "s1", 900),
    ),
}


@pytest.mark.parametrize("kind", INI)
def test_profile_of_each_type_is_read(kind: str, home: Path) -> None:
    """Each type of profile of ``credentials.ini`` becomes its kind of credential; other profiles do not matter."""
    fields, expected = INI[kind]
    write_ini(home, other={"type": "rsa_key_pair"}, mine={"type": kind, **fields})
    assert read_profile(Profile("ini", "mine")) == expected


@pytest.mark.parametrize("mode", CLI)
def test_profile_of_each_mode_is_read(mode: str, home: Path) -> None:
    """Each mode of the CLI's file becomes its kind of credential; empty fields are as if they were not there."""
    fields, expected = CLI[mode]
    empty = dict.fromkeys(("sts_token", "private_key", "key_pair_name", "ram_role_arn", "access_key_id"), "")
    profile = {**empty, "name": "mine", "mode": mode, "output_format": "json", "region_id": "cn-hangzhou", **fields}
    write_cli(home, {"name": "first", "mode": "OAuth"}, profile)
    assert read_profile(Profile("cli", "mine")) == expected


def test_chain_of_source_profiles_is_followed(home: Path) -> None:
    """A profile whose keys are those of another profile assumes its role with the identity of that."""
    chained = {"mode": "ChainableRamRoleArn", **_CLI_ROLE}
    write_cli(
        home,
        {"name": "first", "source_profile": "second", **chained},
        {"name": "second", "source_profile": "third", **chained, "expired_seconds": 1800},
        {"name": "third", "mode": "AK", **PAIR},
    )
    second = RamRole(KEY, ROLE, STS, "s1", 1800)
    assert read_profile(Profile("cli", "first")) == RamRole(second, ROLE, STS, "s1", 900)


def test_current_profile_of_the_cli_is_that_of_the_chain(home: Path) -> None:
    """Without a name, the profile is the current one of the CLI."""
    write_cli(home, {"name": "a", "mode": "EcsRamRole"}, {"name": "b", "mode": "AK", **PAIR}, current="b")
    assert read_profile(Profile("cli", "")) == KEY


def test_comment_of_a_value_is_left_out(home: Path) -> None:
    """In ``credentials.ini``, what follows a ``#`` is a comment, as for the SDK."""
    write_ini(home, default={"type": "access_key # the main one", **PAIR})
    assert read_profile(Profile()) == KEY


LOOP = {"name": "first", "mode": "ChainableRamRoleArn", "source_profile": "first", **_CLI_ROLE}
UNUSABLE: list[tuple[str, str | None, dict[str, Any] | None, str]] = [
    (
        "no file",
        None,
        None,
        r"~/.aliyun/config.json of the machine .* cannot be read \(FileNotFoundError: No such file",
    ),
    ("no JSON", "canary{", None, r"cannot be read \(JSONDecodeError\)"),
    ("no object", "[]", None, r"cannot be read \(ValueError\)"),
    ("deep", "[" * 100_000, None, r"cannot be read \(RecursionError\)"),
    ("too long", '"' + "a" * 1_100_000 + '"', None, r"cannot be read \(ValueError\)"),
    ("no profile", None, {"name": "other", "mode": "AK"}, "profile 'first' of the Alibaba Cloud CLI does not exist"),
    ("program", None, {"name": "first", "mode": "External", "process_command": "canary"}, "of a kind that is not used"),
    ("OAuth", None, {"name": "first", "mode": "OAuth"}, "of a kind that is not used; known are: AK, StsToken"),
    ("CloudSSO", None, {"name": "first", "mode": "CloudSSO"}, "of a kind that is not used"),
    ("no mode", None, {"name": "first"}, "of a kind that is not used"),
    (
        "half a key",
        None,
        {"name": "first", "mode": "AK", "access_key_id": "canary"},
        "its kind is access_key, which needs access_key_secret",
    ),
    (
        "number",
        None,
        {"name": "first", "mode": "AK", **PAIR, "access_key_secret": 5},
        "access_key_secret must be ASCII text",
    ),
    (
        "bad role",
        None,
        {"name": "first", "mode": "RamRoleArn", **PAIR, "ram_role_arn": "x"},
        "ram_role_arn has a wrong form",
    ),
    ("loop", None, LOOP, "has too many profiles above it"),
    ("no source", None, {**LOOP, "source_profile": ""}, "has no source_profile"),
    ("unknown source", None, {**LOOP, "source_profile": "x"}, "profile 'x' of the Alibaba Cloud CLI does not exist"),
]


@pytest.mark.parametrize("case", UNUSABLE, ids=lambda case: case[0])
def test_profile_that_cannot_be_used(case: tuple[str, str | None, dict[str, Any] | None, str], home: Path) -> None:
    """The error names the file and the profile, not what is in it; a wait goes on, as the file may be corrected."""
    _, text, profile, problem = case
    if profile is not None:
        write_cli(home, profile)
    if text is not None:
        write_cli(home)
        (home / ".aliyun" / "config.json").write_text(text)
    with pytest.raises(ImsCredentialsError, match=problem) as caught:
        read_profile(Profile("cli", "first"))
    error = caught.value
    assert (error.is_rejection, error.__cause__, error.__context__) == (True, None, None)
    assert error.advice
    assert "canary" not in repr(vars(error))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"canary", r"cannot be read \(MissingSectionHeaderError\)"),
        (b"[default]\ncanary", r"cannot be read \(ParsingError\)"),
        (b"[default]\na = \xff", r"cannot be read \(UnicodeDecodeError\)"),
        (b"[other]\ntype = access_key", "profile 'default' of credentials.ini does not exist"),
        (b"[default]\ntype = rsa_key_pair\nprivate_key_file = /canary", "kind that is not used; known are: access_key"),
        (b"[default]\ntype = access_key", "needs access_key_id and access_key_secret"),
    ],
)
def test_ini_profile_that_cannot_be_used(content: bytes, problem: str, home: Path) -> None:
    """The error names the file and the profile, not what is in it."""
    write_ini(home)
    (home / ".alibabacloud" / "credentials.ini").write_bytes(content)
    with pytest.raises(ImsCredentialsError, match=problem) as caught:
        read_profile(Profile())
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert "canary" not in repr(vars(caught.value))


async def test_profile_that_is_corrected_is_used(identities: Identities) -> None:
    """The file is read again at each attempt."""
    settings = identities.settings(Profile())
    with pytest.raises(ImsCredentialsError, match="cannot be read"):
        await call(settings)
    pair = {"access_key_id": identities.key.key_id, "access_key_secret": identities.key.secret}
    write_ini(identities.home, default={"type": "access_key", **pair})
    assert (await call(settings))["StatusCode"] == 200


@pytest.mark.parametrize("old", ["deleted", "inactive"])
async def test_keys_of_a_profile_that_were_replaced_are_used(old: str, identities: Identities) -> None:
    """If the keys of a profile are unknown or disabled, the file is read again and the call is repeated."""
    pair = {"access_key_id": identities.key.key_id, "access_key_secret": identities.key.secret}
    write_ini(identities.home, default={"type": "access_key", **pair})
    async with ImsClient(identities.settings(Profile())) as client:
        await client.call(ApiRequest(LIST, {}))
        identities.emulator.rotate_key("new-id", "new-secret", old=old)
        write_ini(
            identities.home,
            default={"type": "access_key", "access_key_id": "new-id", "access_key_secret": "new-secret"},
        )
        assert (await client.call(ApiRequest(LIST, {})))["StatusCode"] == 200


PROFILES: list[tuple[str, str, dict[str, Any]]] = [
    ("ini", "ram_role_arn", {"role_arn": ROLE}),
    ("ini", "oidc_role_arn", {"role_arn": f"{ACCOUNT}:role/base", "oidc_provider_arn": PROVIDER}),
    ("ini", "ecs_ram_role", {}),
    ("cli", "StsToken", {}),
    ("cli", "RamRoleArn", {"ram_role_arn": ROLE}),
    ("cli", "OIDC", {"ram_role_arn": f"{ACCOUNT}:role/base", "oidc_provider_arn": PROVIDER}),
    ("cli", "EcsRamRole", {}),
    ("cli", "ChainableRamRoleArn", {"ram_role_arn": ROLE, "source_profile": "source"}),
]


@pytest.mark.parametrize(("source", "kind", "fields"), PROFILES)
def test_keys_of_a_profile_are_accepted(
    source: str, kind: str, fields: dict[str, Any], identities: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The credentials of a profile get keys, and IMS accepts them; its endpoint of STS is that of the emulator here."""
    monkeypatch.setattr(profiles, "_sts_endpoint", lambda *_, **__: identities.emulator.endpoint)
    identities.write_token()
    key = identities.temporary_key() if kind == "StsToken" else identities.key
    pair = {"access_key_id": key.key_id, "access_key_secret": key.secret}
    if kind in {"StsToken", "RamRoleArn", "ram_role_arn"}:
        fields = {**fields, **pair, **({"sts_token": key.security_token} if kind == "StsToken" else {})}
    if "oidc_provider_arn" in fields:
        fields = {**fields, "oidc_token_file" if source == "cli" else "oidc_token_file_path": identities.token_file}
    if source == "ini":
        write_ini(identities.home, mine={"type": kind, **fields})
    else:
        write_cli(identities.home, {"name": "mine", "mode": kind, **fields}, {"name": "source", "mode": "AK", **pair})
    profile = Profile("cli" if source == "cli" else "ini", "mine")
    assert asyncio.run(call(identities.settings(profile)))["StatusCode"] == 200


# ---- the default chain

EVERYTHING = {
    "ACCESS_KEY_ID": "id",
    "ACCESS_KEY_SECRET": "secret",
    "SECURITY_TOKEN": "token",
    "ROLE_ARN": ROLE,
    "OIDC_PROVIDER_ARN": PROVIDER,
    "OIDC_TOKEN_FILE": OIDC_FILE,
    "ROLE_SESSION_NAME": "s1",
    "STS_REGION": "cn-beijing",
    "VPC_ENDPOINT_ENABLED": "true",
    "PROFILE": "mine",
    "CREDENTIALS_FILE": "/etc/credentials.ini",
    "ECS_METADATA": "base",
    "IMDSV1_DISABLED": "true",
    "CREDENTIALS_URI": "http://127.0.0.1/x",
}


def chain(**variables: str) -> list[Credentials]:
    """Return the default chain with variables."""
    return list(default_chain({f"ALIBABA_CLOUD_{name}": value for name, value in variables.items()}))


def test_default_chain_has_the_order_of_the_sdk() -> None:
    """The chain: keys, OIDC role, profile of the CLI, profile of the file, role of the instance, URI."""
    assert chain(**EVERYTHING) == [
        AccessKey("id", "secret", "token"),
        OidcRole(ROLE, PROVIDER, OIDC_FILE, "https://sts-vpc.cn-beijing.aliyuncs.com", "s1"),
        Profile("cli", "mine"),
        Profile("ini", "mine", "/etc/credentials.ini"),
        EcsRole("base"),
        CredentialsUri("http://127.0.0.1/x"),
    ]
    assert chain() == [Profile("cli", ""), Profile("ini", "default"), EcsRole(allow_imds_v1=True)]
    assert chain(ACCESS_KEY_ID="half", CLI_PROFILE_DISABLED="TRUE", ECS_METADATA_DISABLED="True") == [Profile()]


@pytest.fixture
def no_profiles(identities: Identities) -> Identities:
    """Return the identities of a machine without profiles, whose instance has no role."""
    identities.emulator.put_instance_role(None)
    return identities


async def test_default_chain_goes_on_to_the_next(no_profiles: Identities, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is left out: files, the role of the instance; the credentials URI has keys."""
    monkeypatch.setenv("ALIBABA_CLOUD_CREDENTIALS_URI", no_profiles.uri)
    assert (await call(no_profiles.settings(DefaultChain())))["StatusCode"] == 200
    assert no_profiles.actions()[-2:] == [("CredentialsUri", "OK"), (LIST, "OK")]


async def test_log_says_which_identity_the_machine_has(
    identities: Identities, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a profile and of the default chain, the log says what they are: once, and again if it is another identity."""
    monkeypatch.setattr(fetch, "_found", {})
    caplog.set_level(logging.INFO, logger=fetch.__name__)
    pair = {"access_key_id": identities.key.key_id, "access_key_secret": identities.key.secret}
    write_ini(identities.home, default={"type": "access_key", **pair})
    for credentials in (DefaultChain(), DefaultChain(), Profile()):
        await call(identities.settings(credentials))
    write_ini(identities.home)
    await call(identities.settings(DefaultChain()))
    assert [record.getMessage() for record in caplog.records if record.name == fetch.__name__] == [
        "The identity of profile 'default' of credentials.ini is an access key",
        "The identity of the default credentials chain is profile 'default' of credentials.ini",
        "The identity of the default credentials chain is the RAM role of the ECS instance",
    ]


async def test_default_chain_without_anything(no_profiles: Identities) -> None:
    """The error says what was tried and why it had no keys."""
    with pytest.raises(ImsCredentialsError) as caught:
        await call(no_profiles.settings(DefaultChain()))
    text = str(caught.value)
    assert "the current profile of the Alibaba Cloud CLI: The file ~/.aliyun/config.json of the machine" in text
    assert "profile 'default' of credentials.ini: The file ~/.alibabacloud/credentials.ini" in text
    assert "the RAM role of the ECS instance: The request for keys of the ECS instance found no RAM role" in text
    assert "Give the machine that runs the task an identity" in text


async def test_default_chain_takes_no_other_identity_in_an_outage(
    no_profiles: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the service of an identity fails, the chain does not go on: jobs would be those of another identity."""
    write_ini(
        no_profiles.home,
        default={"type": "access_key", "access_key_id": "other", "access_key_secret": "other"},
    )
    no_profiles.emulator.fault("EcsMetadata", "service_unavailable", times=9)
    monkeypatch.setenv("ALIBABA_CLOUD_CREDENTIALS_FILE", "/none")
    monkeypatch.setenv("ALIBABA_CLOUD_CREDENTIALS_URI", no_profiles.uri)
    with pytest.raises(ImsServiceError):
        await call(no_profiles.settings(DefaultChain()))
    assert {action for action, _ in no_profiles.actions()} == {"EcsMetadata"}


async def test_default_chain_keeps_the_identity_that_it_has_found(
    no_profiles: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh takes the identity of the first fetch, even if another one comes before it in the chain by now."""
    no_profiles.emulator.put_instance_role("base")
    pair = {"access_key_id": no_profiles.key.key_id, "access_key_secret": no_profiles.key.secret}
    async with ImsClient(no_profiles.settings(DefaultChain())) as client:
        first = await client.keys.current()
        write_ini(no_profiles.home, default={"type": "access_key", **pair})
        client.keys.refuse(first, "InvalidSecurityToken.Expired")
        second = await client.keys.current()
    assert second != first
    assert second.security_token


CHILD = """
import os, sys
import alibabacloud_credentials.provider
os.environ.update(dict(zip(("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"), sys.argv[1:])))
from airflow_provider_ims.hooks.ims import ImsHook
print(ImsHook().test_connection())
"""


def test_default_chain_reads_the_environment_when_it_is_used(identities: Identities) -> None:
    """Variables that are set after the library was imported count, as those of a connection test do."""
    connection = identities.connection(auth_type="default_chain")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, identities.key.key_id, identities.key.secret],
        env={**os.environ, "AIRFLOW_CONN_IMS_DEFAULT": connection, "ALIBABA_CLOUD_ACCESS_KEY_ID": "old"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "(True, " in done.stdout


async def test_profile_of_a_role_is_of_the_machine(identities: Identities, home: Path) -> None:
    """A refused role of a profile has advice that does not tell to enter keys into the connection."""
    write_cli(home, {"name": "default", "mode": "AK", "access_key_id": "nobody", "access_key_secret": "made-up-secret"})
    with pytest.raises(ImsError) as caught:
        await call(identities.settings(Profile("cli", "default")))
    assert "These keys are not in the connection" in caught.value.advice
