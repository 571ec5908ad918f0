"""Keys of each kind of credential, from the official library and the emulator's services."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.api.client import ImsClient
from airflow_provider_ims.connection.credentials import CredentialsUri, EcsRole
from airflow_provider_ims.emulator.process import EmulatorProcess
from airflow_provider_ims.exceptions import ImsCredentialsError
from tests.api.identities import ACCOUNT, LIST, Identities, call, fetch
from tests.certificates import make_certificate

if TYPE_CHECKING:
    from airflow_provider_ims.connection.access_key import AccessKey

ROLES = {
    "RAM role over a key": "worker",
    "RAM role over OIDC": "worker",
    "RAM role over ECS": "worker",
    "RAM role over a RAM role": "worker",
    "OIDC role": "base",
    "ECS role": "base",
    "ECS role by name": "base",
    "ECS role, version 1 allowed": "base",
    "credentials URI": "base",
}


@pytest.mark.parametrize("kind", ROLES)
async def test_keys_of_each_kind_are_accepted(kind: str, identities: Identities) -> None:
    """A call is signed with keys of the role that the connection names, and IMS accepts them."""
    assert (await call(identities.settings(identities.kinds()[kind])))["StatusCode"] == 200
    assert identities.identity().startswith(f"assumed-role/{ROLES[kind]}/")
    assert identities.actions()[-1] == (LIST, "OK")


def test_keys_over_temporary_keys_are_accepted(identities: Identities) -> None:
    """Temporary keys of a connection sign calls, and assume a role."""
    key = identities.temporary_key()
    for credentials in (key, identities.ram(key)):
        assert asyncio.run(call(identities.settings(credentials)))["StatusCode"] == 200
    assert [action for action, _ in identities.actions()] == ["AssumeRole", LIST, "AssumeRole", LIST]


async def test_version_1_of_the_metadata_service_is_used_only_if_allowed(identities: Identities) -> None:
    """If the metadata service issues no token, keys come without one only if the connection allows it."""
    identities.emulator.put_instance_role("base", imds_v1=True)
    identities.emulator.fault("EcsMetadata", "answer", status=404, body="")
    assert (await call(identities.settings(EcsRole("base", allow_imds_v1=True))))["StatusCode"] == 200
    identities.emulator.fault("EcsMetadata", "answer", status=404, body="")
    with pytest.raises(ImsCredentialsError):
        await call(identities.settings(EcsRole("base")))


POLICY = '{"Version": "1", "Statement": [{"Effect": "Allow", "Action": ["ice:*"], "Resource": "a b*~+é"}]}'


async def test_request_for_a_role_has_the_settings_of_the_connection(identities: Identities) -> None:
    """STS gets session name, duration, policy and external id of the connection, and nothing else."""
    identities.emulator.put_role("worker", external_id="a+b=c@d:e/f", max_session_duration=7200)
    options = {"session_name": "of.a@test-1", "duration": 7200, "policy": POLICY}
    await call(identities.settings(identities.ram(**options, external_id="a+b=c@d:e/f")))
    (record,) = [record for record in identities.emulator.requests() if record["action"] == "AssumeRole"]
    parameters = record["parameters"]
    assert json.loads(parameters.pop("Policy")) == json.loads(POLICY)
    assert {name: value for name, value in parameters.items() if name in SETTINGS} == {
        "RoleArn": f"{ACCOUNT}:role/worker",
        "RoleSessionName": "of.a@test-1",
        "DurationSeconds": "7200",
        "ExternalId": "a+b=c@d:e/f",
    }


SETTINGS = {"RoleArn", "RoleSessionName", "DurationSeconds", "ExternalId", "OIDCProviderArn", "Policy"}


async def test_request_for_an_oidc_role_has_the_settings_of_the_connection(identities: Identities) -> None:
    """STS gets session name, duration and policy of the connection; the base of another role gets no policy."""
    identities.write_token()
    oidc = identities.oidc(session_name="pod", duration=900, policy=POLICY)
    await call(identities.settings(oidc))
    (record,) = [record for record in identities.emulator.requests() if record["action"] == "AssumeRoleWithOIDC"]
    assert json.loads(record["parameters"].pop("Policy")) == json.loads(POLICY)
    assert {name: value for name, value in record["parameters"].items() if name in SETTINGS} == {
        "RoleArn": f"{ACCOUNT}:role/base",
        "OIDCProviderArn": f"{ACCOUNT}:oidc-provider/ack",
        "RoleSessionName": "pod",
        "DurationSeconds": "900",
    }


async def test_token_file_is_read_each_time(identities: Identities) -> None:
    """A token that was replaced in the file is used, and white space around it is left out."""
    identities.write_token(lifetime=0)
    async with ImsClient(identities.settings(identities.oidc())) as client:
        with pytest.raises(ImsCredentialsError, match="Expired OIDC token"):
            await client.keys.current()
    identities.write_token(f"  {identities.emulator.oidc_token('ack')}\n")
    assert (await call(identities.settings(identities.oidc())))["StatusCode"] == 200


async def test_symbolic_link_inside_the_directory_is_followed(identities: Identities) -> None:
    """A token file may be a symbolic link to another file of the directory, as the files of Kubernetes are."""
    (identities.home / "..data").mkdir()
    (identities.home / "..data" / "real").write_text(identities.emulator.oidc_token("ack"))
    (identities.home / "link").symlink_to("..data/real")
    await fetch(identities.settings(identities.oidc(token_file=str(identities.home / "link"))))


@pytest.mark.parametrize("query", ["", "?empty=&twice=1&twice=2&space=a%20b", "?signature=a%2Fb%3D"])
async def test_credentials_uri_is_called_as_it_is(query: str, identities: Identities) -> None:
    """The request goes to the URI of the connection, each part of its query included."""
    uri = identities.emulator.put_credentials_uri("exact", role="base")
    await fetch(identities.settings(CredentialsUri(uri + query)))
    assert identities.actions() == [("CredentialsUri", "OK")]


def test_credentials_uri_needs_no_port(identities: Identities) -> None:
    """A credentials URI without a port has the port of its scheme: its host is looked up."""
    uri = CredentialsUri("https://credentials.invalid/ims?query=canaryquery")
    with pytest.raises(Exception, match=r"could not be reached: its name could not be resolved"):
        asyncio.run(fetch(identities.settings(uri)))


def open_files() -> set[str]:
    """Return the open files, sockets and pipes of this process."""
    gc.collect()
    links = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            links.add(str(link.readlink()))
        except FileNotFoundError:
            continue
    return links


@pytest.mark.parametrize("kind", ROLES)
def test_fetching_leaves_nothing(kind: str, identities: Identities) -> None:
    """After 50 fetches, no thread is left and no file is open that was not before; no scheduler was ever started."""
    settings = identities.settings(identities.kinds()[kind])
    asyncio.run(fetch(settings))

    async def fetch_often() -> set[str]:
        for _ in range(50):
            await fetch(settings)
        return {thread.name for thread in threading.enumerate()}

    threads, files = set(threading.enumerate()), open_files()
    names = asyncio.run(fetch_often())
    assert not {name for name in names if "APScheduler" in name or "refresh" in name}
    assert set(threading.enumerate()) <= threads
    assert open_files() <= files


CHILD = """
import asyncio, json, sys
from airflow_provider_ims.hooks.ims import ImsHook
import alibabacloud_credentials.provider
results = {}
for name in json.loads(sys.argv[1]):
    results[name] = ImsHook(name).test_connection()
print(json.dumps(results))
"""

WRONG = {
    "ACCESS_KEY_ID": "of-the-worker",
    "ACCESS_KEY_SECRET": "of-the-worker",
    "SECURITY_TOKEN": "of-the-worker",
    "ROLE_ARN": f"{ACCOUNT}:role/of-the-worker",
    "ROLE_SESSION_NAME": "of-the-worker",
    "OIDC_PROVIDER_ARN": f"{ACCOUNT}:oidc-provider/of-the-worker",
    "OIDC_TOKEN_FILE": "/of-the-worker",
    "ECS_METADATA": "of-the-worker",
    "ECS_METADATA_DISABLED": "true",
    "IMDSV1_DISABLED": "true",
    "CREDENTIALS_URI": "http://127.0.0.1:1/",
    "CREDENTIALS_FILE": "/of-the-worker",
    "PROFILE": "of-the-worker",
    "CLI_PROFILE_DISABLED": "true",
    "STS_REGION": "of-the-worker",
    "VPC_ENDPOINT_ENABLED": "true",
}


def in_child(connections: dict[str, str], **environment: str) -> dict[str, list[Any]]:
    """Return the result of the connection test of each connection in a new process."""
    variables = {f"AIRFLOW_CONN_{name.upper()}": value for name, value in connections.items()}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(list(connections))],
        env={**os.environ, **variables, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    # Airflow 3.0 may log a line after it.
    (printed,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    results: dict[str, list[Any]] = json.loads(printed)
    return results


def connections(identities: Identities) -> dict[str, str]:
    """Return a connection of each kind that takes nothing from the environment."""
    identities.write_token()
    write_ini(identities.home / ".alibabacloud" / "credentials.ini", identities.key)
    sts = {"sts_endpoint": identities.emulator.endpoint}
    oidc = {"oidc_provider_arn": f"{ACCOUNT}:oidc-provider/ack", "oidc_token_file": identities.token_file, **sts}
    worker, base = f"{ACCOUNT}:role/worker", f"{ACCOUNT}:role/base"
    identities.emulator.put_instance_role("base", imds_v1=True)
    return {
        "key": identities.emulator.connection_json(),
        "ram": identities.connection_of_role(),
        "ram_oidc": identities.connection(role_arn=worker, oidc_role_arn=base, **oidc),
        "ram_ecs": identities.connection(role_arn=worker, ecs_role_name="base", **sts),
        "oidc": identities.connection(role_arn=base, **oidc),
        "ecs": identities.connection(auth_type="ecs_ram_role"),
        "ecs_v1": identities.connection(auth_type="ecs_ram_role", ecs_imds_v1=True),
        "uri": identities.connection(secret_credentials_uri=identities.uri),
        "profile": identities.connection(auth_type="profile"),
    }


def write_ini(file: Path, key: AccessKey) -> None:
    """Write a file with the key pair as the profile ``default``."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"[default]\ntype = access_key\naccess_key_id = {key.key_id}\naccess_key_secret = {key.secret}\n")


def test_environment_of_the_worker_has_no_effect(identities: Identities) -> None:
    """Each kind but the default chain gets the same keys, whatever the library finds in the environment."""
    wrong = {f"ALIBABA_CLOUD_{name}": value for name, value in WRONG.items()}
    every = connections(identities)
    logs: list[list[Any]] = []
    for environment in ({}, wrong):
        results = in_child(every, **environment)
        assert {name: works for name, (works, _) in results.items()} == dict.fromkeys(every, True), results
        parameters = ("RoleArn", "RoleSessionName", "DurationSeconds", "OIDCProviderArn", "path", "name")
        requests = identities.emulator.requests()[sum(len(log) for log in logs) :]
        logs.append([(one["action"], *map(one["parameters"].get, parameters), one["code"]) for one in requests])
    assert logs[0] == logs[1]


def test_sts_is_called_over_https(identities: Identities, tmp_path: Path) -> None:
    """STS is called over https, at its port, with a certificate that the process trusts."""
    cert, key = make_certificate(tmp_path)
    with EmulatorProcess(tls_cert=cert, tls_key=key, tls_port=0) as tls:
        tls.put_role("worker")
        connection = tls.connection_json(role_arn=f"{ACCOUNT}:role/worker", sts_endpoint=tls.tls_endpoint)
        assert in_child({"https": connection}, SSL_CERT_FILE=str(cert))["https"][0]
        assert {record["action"] for record in tls.requests()} == {"AssumeRole", LIST, "GetCallerIdentity"}
