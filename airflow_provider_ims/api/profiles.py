"""Reads credentials that are on the machine: profiles of two files, and the environment of the process.

The SDK's own readers run programs, write files, start threads that never end, fill blanks from the environment, and do
not say when keys expire. The forms of the files are the SDK's:
https://help.aliyun.com/en/sdk/developer-reference/v2-manage-python-access-credentials
"""

from __future__ import annotations

import configparser
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.connection.access_key import AccessKey
from airflow_provider_ims.connection.credentials import (
    Credentials,
    CredentialsUri,
    EcsRole,
    OidcRole,
    Profile,
    RamRole,
)
from airflow_provider_ims.connection.fields import DEFAULT_PROFILE_NAME, DEFAULT_SESSION_NAME
from airflow_provider_ims.connection.parser import parse_profile
from airflow_provider_ims.exceptions import ImsConfigurationError, ImsCredentialsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FILES = {"ini": Path(".alibabacloud", "credentials.ini"), "cli": Path(".aliyun", "config.json")}
_MAX_BYTES = 1024 * 1024
_CURRENT = ""
"""The name of the profile that the CLI's file calls the current one."""
_MAX_SOURCES = 5

# For each kind of profile, the kind of credential, and what its fields are called in a connection.
_KEYS = {"access_key_id": "login", "access_key_secret": "password"}
_INI: dict[str, tuple[str, dict[str, str]]] = {
    "access_key": ("access_key", _KEYS),
    "ram_role_arn": (
        "ram_role_arn",
        {**_KEYS, "role_arn": "role_arn", "role_session_name": "role_session_name", "policy": "role_policy"},
    ),
    "oidc_role_arn": (
        "oidc_role_arn",
        {
            "role_arn": "role_arn",
            "oidc_provider_arn": "oidc_provider_arn",
            "oidc_token_file_path": "oidc_token_file",
            "role_session_name": "role_session_name",
            "policy": "role_policy",
        },
    ),
    "ecs_ram_role": ("ecs_ram_role", {"role_name": "ecs_role_name"}),
}
_CLI_ROLE = {
    "ram_role_arn": "role_arn",
    "ram_session_name": "role_session_name",
    "expired_seconds": "role_session_duration",
    "policy": "role_policy",
    "external_id": "role_external_id",
}
_CLI: dict[str, tuple[str, dict[str, str]]] = {
    "AK": ("access_key", _KEYS),
    "StsToken": ("sts", {**_KEYS, "sts_token": "security_token"}),
    "RamRoleArn": ("ram_role_arn", {**_KEYS, **_CLI_ROLE}),
    "EcsRamRole": ("ecs_ram_role", {"ram_role_name": "ecs_role_name"}),
    "OIDC": (
        "oidc_role_arn",
        {
            "ram_role_arn": "role_arn",
            "oidc_provider_arn": "oidc_provider_arn",
            "oidc_token_file": "oidc_token_file",
            "role_session_name": "role_session_name",
            "expired_seconds": "role_session_duration",
            "policy": "role_policy",
        },
    ),
    # Its keys are those of another profile.
    "ChainableRamRoleArn": ("ram_role_arn", _CLI_ROLE),
}
_USES_STS = frozenset({"ram_role_arn", "oidc_role_arn"})
# What stands in for the keys of another profile while the fields are checked.
_NO_KEYS = {"login": "-", "password": "-"}


def read_profile(profile: Profile) -> Credentials:
    """Return the credentials that a profile of the machine describes.

    Kinds that run a program, open a browser or write the file are refused.

    :param profile: the file and the name
    :raises ImsCredentialsError: if the file cannot be read, has no such profile, or the profile cannot be used
    """
    try:
        if profile.source == "cli":
            return _cli_credentials(profile, _read_cli(profile), profile.name)
        return _credentials(profile, _INI, _read_ini(profile), "type")
    except (OSError, ValueError, configparser.Error, RecursionError) as error:
        why = f"{type(error).__name__}: {error.strerror}" if isinstance(error, OSError) else type(error).__name__
    raise ImsCredentialsError(
        f"The file {_file_name(profile)} of the machine that runs the task cannot be read ({why}).",
        advice="Look at the file there, and at the user that Airflow runs as.",
        is_rejection=True,
    )


def default_chain(environment: Mapping[str, str]) -> Iterator[Credentials]:
    """Return the credentials that the SDK's default chain would try, in its order.

    :param environment: the variables of the process
    """

    def get(name: str) -> str:
        return environment.get(f"ALIBABA_CLOUD_{name}", "")

    if get("ACCESS_KEY_ID") and get("ACCESS_KEY_SECRET"):
        yield AccessKey(get("ACCESS_KEY_ID"), get("ACCESS_KEY_SECRET"), get("SECURITY_TOKEN") or None)
    if get("ROLE_ARN") and get("OIDC_PROVIDER_ARN") and get("OIDC_TOKEN_FILE"):
        yield OidcRole(
            role_arn=get("ROLE_ARN"),
            oidc_provider_arn=get("OIDC_PROVIDER_ARN"),
            token_file=get("OIDC_TOKEN_FILE"),
            sts_endpoint=_sts_endpoint(get("STS_REGION"), is_vpc=_is_true(get("VPC_ENDPOINT_ENABLED"))),
            session_name=get("ROLE_SESSION_NAME") or DEFAULT_SESSION_NAME,
        )
    if not _is_true(get("CLI_PROFILE_DISABLED")):
        yield Profile("cli", get("PROFILE") or _CURRENT)
    yield Profile("ini", get("PROFILE") or DEFAULT_PROFILE_NAME, get("CREDENTIALS_FILE") or None)
    if not _is_true(get("ECS_METADATA_DISABLED")):
        yield EcsRole(get("ECS_METADATA") or None, allow_imds_v1=not _is_true(get("IMDSV1_DISABLED")))
    if get("CREDENTIALS_URI"):
        yield CredentialsUri(get("CREDENTIALS_URI"))


def _file_name(profile: Profile) -> str:
    return profile.file or f"~/{_FILES[profile.source]}"


def _read(profile: Profile) -> str:
    with Path(_file_name(profile)).expanduser().open(encoding="utf-8") as file:
        text = file.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise ValueError
    return text


def _read_ini(profile: Profile) -> dict[str, Any] | None:
    # Without interpolation: a percent sign is part of a secret.
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(_read(profile))
    if not parser.has_section(profile.name):
        return None
    return {key: value.split("#")[0].strip() for key, value in parser.items(profile.name)}


def _read_cli(profile: Profile) -> dict[str, Any]:
    content = json.loads(_read(profile))
    if not isinstance(content, dict) or not isinstance(content.get("profiles"), list):
        raise ValueError  # noqa: TRY004 - the content of a file, as json.loads says it
    return content


def _cli_credentials(profile: Profile, content: dict[str, Any], name: str, depth: int = 0) -> Credentials:
    name = name or str(content.get("current") or DEFAULT_PROFILE_NAME)
    profile = replace(profile, name=name)
    found = [one for one in content["profiles"] if isinstance(one, dict) and one.get("name") == name]
    fields = found[0] if found else None
    if fields is None or fields.get("mode") != "ChainableRamRoleArn":
        return _credentials(profile, _CLI, fields, "mode")
    role = _credentials(profile, _CLI, {**fields, **_NO_KEYS}, "mode")
    source = str(fields.get("source_profile") or "")
    if depth == _MAX_SOURCES or not source:
        raise _unusable(profile, "has no source_profile" if not source else "has too many profiles above it")
    base = _cli_credentials(profile, content, source, depth + 1)
    if not isinstance(role, RamRole) or not isinstance(base, AccessKey | OidcRole | EcsRole | RamRole):
        raise _unusable(profile, f"cannot assume a role with the profile {source!r}")
    return replace(role, base=base)


def _credentials(
    profile: Profile, kinds: Mapping[str, tuple[str, dict[str, str]]], fields: dict[str, Any] | None, type_name: str
) -> Credentials:
    if fields is None:
        raise _unusable(profile, "does not exist")
    kind = str(fields.get(type_name))
    if kind not in kinds:
        raise _unusable(profile, f"is of a kind that is not used; known are: {', '.join(kinds)}")
    auth_type, names = kinds[kind]
    values = {ours: fields[theirs] for theirs, ours in names.items() if fields.get(theirs)}
    values |= {name: value for name, value in fields.items() if name in _NO_KEYS}
    if auth_type in _USES_STS:
        values["sts_endpoint"] = _sts_endpoint(fields.get("sts_region"), is_vpc=fields.get("enable_vpc") is True)
    try:
        ours_to_theirs = {ours: theirs for theirs, ours in names.items()}
        return parse_profile(
            auth_type, values, {**ours_to_theirs, "auth_type": "its kind"}, f"The {profile.description}"
        )
    except ImsConfigurationError as error:
        # The file may be corrected while a wait runs: no reason to end it.
        advice = f"{error.advice} The file is {_file_name(profile)} on the machine that runs the task."
        failure = ImsCredentialsError(error.problem, advice=advice, is_rejection=True)
    raise failure


def _unusable(profile: Profile, why: str) -> ImsCredentialsError:
    return ImsCredentialsError(
        f"The {profile.description} {why}.",
        advice=f"Look at {_file_name(profile)} on the machine that runs the task, or choose another profile in "
        "the connection.",
        is_rejection=True,
    )


def _sts_endpoint(region: object, *, is_vpc: bool) -> str:
    prefix = "sts-vpc" if is_vpc else "sts"
    return f"https://{prefix}.{region}.aliyuncs.com" if region else "https://sts.aliyuncs.com"


def _is_true(value: str) -> bool:
    return value.lower() == "true"
