"""The official credentials library gets keys from the emulator, and these keys sign requests to IMS."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from alibabacloud_credentials.exceptions import CredentialException
from alibabacloud_credentials.http import HttpOptions
from alibabacloud_credentials.provider import (
    EcsRamRoleCredentialsProvider,
    OIDCRoleArnCredentialsProvider,
    RamRoleArnCredentialsProvider,
    URLCredentialsProvider,
)
from Tea.exceptions import RetryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from airflow_provider_ims.emulator.process import EmulatorProcess

LIST = "QueryCopyrightJobList"


def keys_of(credentials: Any) -> dict[str, str]:
    """Return what a client signs with."""
    return {
        "access_key_id": credentials.get_access_key_id(),
        "access_key_secret": credentials.get_access_key_secret(),
        "security_token": credentials.get_security_token(),
    }


def sts_host(emulator: EmulatorProcess) -> str:
    """Return the endpoint of STS as the library takes it."""
    return urlsplit(emulator.tls_endpoint).netloc


def ram_role(emulator: EmulatorProcess, **options: Any) -> Any:
    """Return a provider that assumes a role with the fixed key."""
    arguments = {
        "access_key_id": emulator.access_key_id,
        "access_key_secret": emulator.access_key_secret,
        "role_arn": "acs:ram::1234567890123456:role/worker",
        "role_session_name": "airflow",
        "sts_endpoint": sts_host(emulator),
    }
    return RamRoleArnCredentialsProvider(**{**arguments, **options})


def oidc(emulator: EmulatorProcess, token_file: Path, **options: Any) -> Any:
    """Return a provider that assumes a role with a token in a file."""
    arguments = {
        "role_arn": "acs:ram::1234567890123456:role/worker",
        "oidc_provider_arn": "acs:ram::1234567890123456:oidc-provider/ack",
        "oidc_token_file_path": str(token_file),
        "role_session_name": "airflow",
        "sts_endpoint": sts_host(emulator),
    }
    return OIDCRoleArnCredentialsProvider(**{**arguments, **options})


def ecs(emulator: EmulatorProcess, **options: Any) -> Any:
    """Return a provider that asks the metadata service, with the emulator as the proxy."""
    http_options = HttpOptions(proxy=emulator.endpoint)
    return EcsRamRoleCredentialsProvider(http_options=http_options, async_update_enabled=False, **options)


def actions(emulator: EmulatorProcess) -> list[tuple[str, str]]:
    """Return action and code of all requests."""
    return [(record["action"], record["code"]) for record in emulator.requests()]


@pytest.fixture
def list_with(tls_emulator: EmulatorProcess, connect: Callable[..., Any]) -> Callable[[Mapping[str, str]], Any]:
    """Return a function that calls IMS with keys."""
    return lambda keys: connect(tls_emulator, **keys)(LIST)


def test_keys_of_a_ram_role(tls_emulator: EmulatorProcess, list_with: Any) -> None:
    """The library assumes a role with a signed request, and IMS accepts the keys."""
    tls_emulator.put_role("worker", external_id="an-id")
    provider = ram_role(
        tls_emulator, external_id="an-id", policy='{"Version":"1","Statement":[{"Effect":"Allow","Action":"*"}]}'
    )
    keys = keys_of(provider.get_credentials())

    assert keys["access_key_id"].startswith("STS.")
    assert list_with(keys).status == 200
    assert actions(tls_emulator) == [("AssumeRole", "OK"), (LIST, "OK")]


def test_keys_of_a_ram_role_for_a_ram_role(tls_emulator: EmulatorProcess, list_with: Any) -> None:
    """The keys of one role assume another."""
    tls_emulator.put_role("worker")
    second = tls_emulator.put_role("second", trusted=["worker"])["arn"]
    first = keys_of(ram_role(tls_emulator).get_credentials())
    keys = keys_of(ram_role(tls_emulator, role_arn=second, **first).get_credentials())

    assert list_with(keys).status == 200
    assert [key["identity"].rpartition(":")[2] for key in tls_emulator.access_keys()] == [
        "user/emulator",
        "assumed-role/worker/airflow",
        "assumed-role/second/airflow",
    ]


def test_keys_of_an_oidc_role(tls_emulator: EmulatorProcess, tmp_path: Path, list_with: Any) -> None:
    """The library assumes a role with the token of a file, without a signature, and IMS accepts the keys."""
    tls_emulator.put_role("worker", trusted=["ack"])
    tls_emulator.put_oidc_provider("ack")
    file = tmp_path / "token"
    file.write_text(tls_emulator.oidc_token("ack"))

    assert list_with(keys_of(oidc(tls_emulator, file).get_credentials())).status == 200
    assert actions(tls_emulator) == [("AssumeRoleWithOIDC", "OK"), (LIST, "OK")]


def test_a_new_token_in_the_file_is_used(tls_emulator: EmulatorProcess, tmp_path: Path) -> None:
    """After an expired token, a new one in the same file gets keys."""
    tls_emulator.put_role("worker")
    tls_emulator.put_oidc_provider("ack")
    file = tmp_path / "token"
    file.write_text(tls_emulator.oidc_token("ack", lifetime=0))
    provider = oidc(tls_emulator, file)

    with pytest.raises(CredentialException, match=r"http_code: 401, .*AuthenticationFail\.OIDCToken\.Expired"):
        provider.get_credentials()
    file.write_text(tls_emulator.oidc_token("ack"))
    assert keys_of(provider.get_credentials())["security_token"]


@pytest.mark.parametrize("role_name", [None, "worker"], ids=["role asked for", "role given"])
@pytest.mark.parametrize("imds_v1", [True, False])
def test_keys_of_an_instance(
    tls_emulator: EmulatorProcess, list_with: Any, role_name: str | None, *, imds_v1: bool
) -> None:
    """The library gets keys of the instance's role through the emulator as a proxy, and IMS accepts them."""
    tls_emulator.put_instance_role("worker", imds_v1=imds_v1)

    assert list_with(keys_of(ecs(tls_emulator, role_name=role_name).get_credentials())).status == 200


def test_an_instance_can_be_asked_without_a_token(tls_emulator: EmulatorProcess) -> None:
    """If the metadata service gives no token, the library requests the keys without one."""
    tls_emulator.put_instance_role("worker")
    tls_emulator.fault("EcsMetadata", "service_unavailable")

    assert keys_of(ecs(tls_emulator, role_name="worker").get_credentials())["security_token"]


@pytest.mark.parametrize(
    ("attached", "asked", "options", "status"),
    [
        (None, None, {}, "404"),
        (None, "worker", {}, "404"),
        ("worker", "other", {}, "404"),
        # An old library does not try without a token if the token was good.
        ("worker", "other", {"imds_v1": False}, "40[34]"),
    ],
)
def test_an_instance_without_the_role(
    tls_emulator: EmulatorProcess, attached: str | None, asked: str | None, options: dict[str, bool], status: str
) -> None:
    """An instance without a role, or with another, has no keys. The library then tries without a token."""
    tls_emulator.put_instance_role(attached, **options)

    with pytest.raises(CredentialException, match=f"HttpCode={status}"):
        ecs(tls_emulator, role_name=asked).get_credentials()


def test_the_proxy_of_the_environment_is_used(tls_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY sends the library's requests for the metadata service to the emulator."""
    monkeypatch.setenv("HTTP_PROXY", tls_emulator.endpoint)
    tls_emulator.put_instance_role("worker")
    provider = EcsRamRoleCredentialsProvider(async_update_enabled=False)

    assert keys_of(provider.get_credentials())["security_token"]
    assert keys_of(asyncio.run(provider.get_credentials_async()))["security_token"]


def test_keys_of_a_credentials_uri(tls_emulator: EmulatorProcess, list_with: Any) -> None:
    """The library gets keys from a credentials URI, and IMS accepts them."""
    uri = tls_emulator.put_credentials_uri("mine")

    assert list_with(keys_of(URLCredentialsProvider(uri=uri).get_credentials())).status == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"status": 404}, r"http_code=404"),
        ({"status": 500, "code": "Broken"}, r'http_code=500, result: \{"Code": "Broken"'),
        ({"code": "NoKeys"}, r'"Code": "NoKeys"'),
    ],
)
def test_a_credentials_uri_without_keys(tls_emulator: EmulatorProcess, changes: dict[str, Any], error: str) -> None:
    """A credentials URI can return an error status, or a code other than Success."""
    uri = tls_emulator.put_credentials_uri("mine", **changes)

    with pytest.raises(CredentialException, match=error):
        URLCredentialsProvider(uri=uri).get_credentials()


def test_the_async_methods_get_keys(tls_emulator: EmulatorProcess, tmp_path: Path, list_with: Any) -> None:
    """The asynchronous methods of all providers get keys that IMS accepts."""
    tls_emulator.put_role("worker")
    tls_emulator.put_oidc_provider("ack")
    tls_emulator.put_instance_role("worker")
    file = tmp_path / "token"
    file.write_text(tls_emulator.oidc_token("ack"))
    uri = tls_emulator.put_credentials_uri("mine")

    for provider in (ram_role(tls_emulator), oidc(tls_emulator, file), URLCredentialsProvider(uri=uri)):
        assert list_with(keys_of(asyncio.run(provider.get_credentials_async()))).status == 200


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"role_arn": "acs:ram::1234567890123456:role/none"}, 404, "EntityNotExist.Role"),
        ({"role_arn": "worker"}, 400, "InvalidParameter.RoleArn"),
        ({"role_session_name": "a/b"}, 400, "InvalidParameter.RoleSessionName"),
        ({"duration_seconds": 3601}, 400, "InvalidParameter.DurationSeconds"),
        ({"policy": "[]"}, 400, "InvalidParameter.PolicyGrammar"),
        ({"external_id": "another"}, 403, "NoPermission"),
        ({"access_key_id": "nobody"}, 404, "InvalidAccessKeyId.NotFound"),
        ({"access_key_secret": "wrong"}, 400, "SignatureDoesNotMatch"),
        ({"security_token": "odd"}, 400, "InvalidSecurityToken.MismatchWithAccessKey"),
        # By the protocol a space is signed as %20. The library signs it as "+".
        ({"policy": '{"Version": "1"}'}, 400, "SignatureDoesNotMatch"),
    ],
)
def test_refusals_of_sts(tls_emulator: EmulatorProcess, options: dict[str, Any], status: int, code: str) -> None:
    """The library's error has status and code of STS."""
    tls_emulator.put_role("worker", external_id="an-id")

    with pytest.raises(CredentialException, match=rf'http_code: {status}, result: .*"Code": "{code}"'):
        ram_role(tls_emulator, **{"external_id": "an-id", **options}).get_credentials()


def test_expired_keys_are_refused_and_renewed(tls_emulator: EmulatorProcess, list_with: Any) -> None:
    """Keys expire, and the library gets new ones at each call if their expiry is near."""
    tls_emulator.put_role("worker")
    tls_emulator.configure(token_lifetime=60)
    provider = ram_role(tls_emulator)
    keys = keys_of(provider.get_credentials())
    assert list_with(keys).status == 200

    tls_emulator.configure(clock_skew=61)
    assert list_with(keys).error == (400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
    assert list_with(keys_of(provider.get_credentials())).status == 200


def test_the_library_refuses_keys_that_are_expired_already(tls_emulator: EmulatorProcess) -> None:
    """The library does not return keys whose expiry is over when it gets them."""
    tls_emulator.put_role("worker")
    tls_emulator.configure(token_lifetime=0)

    with pytest.raises(CredentialException, match="No cached value was found"):
        ram_role(tls_emulator).get_credentials()


def test_a_clock_that_is_off_refuses_the_library(tls_emulator: EmulatorProcess, tmp_path: Path) -> None:
    """If the clocks are too far apart, a signed request to STS is refused, and an OIDC token can be expired."""
    tls_emulator.put_role("worker")
    tls_emulator.put_oidc_provider("ack")
    file = tmp_path / "token"
    file.write_text(tls_emulator.oidc_token("ack"))
    tls_emulator.configure(clock_skew=3700)

    with pytest.raises(CredentialException, match=r"400, .*InvalidTimeStamp\.Expired"):
        ram_role(tls_emulator).get_credentials()
    with pytest.raises(CredentialException, match=r"401, .*AuthenticationFail\.OIDCToken\.Expired"):
        oidc(tls_emulator, file).get_credentials()


@pytest.mark.parametrize("kind", ["throttle", "html_502", "internal_error", "cut_before"])
def test_faults_hit_the_library(tls_emulator: EmulatorProcess, kind: str) -> None:
    """Faults hit the actions of STS, the metadata service and credentials URIs by their names."""
    tls_emulator.put_role("worker")
    tls_emulator.put_instance_role("worker")
    uri = tls_emulator.put_credentials_uri("mine")
    for action in ("AssumeRole", "EcsMetadata", "CredentialsUri"):
        tls_emulator.fault(action, kind, times=9)

    for provider in (ram_role(tls_emulator), ecs(tls_emulator), URLCredentialsProvider(uri=uri)):
        with pytest.raises((CredentialException, RetryError)):
            provider.get_credentials()
    assert {record["fault"] for record in tls_emulator.requests()} == {kind}
    assert all(key["expiration"] is None for key in tls_emulator.access_keys())


def test_a_certificate_that_is_not_trusted_is_refused(
    tls_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without SSL_CERT_FILE the library does not trust the test certificate."""
    from Tea.core import TeaCore

    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setattr(TeaCore, "_sessions", {})  # it keeps connections, and what they trust, for the whole process

    with pytest.raises(RetryError, match="CERTIFICATE_VERIFY_FAILED"):
        ram_role(tls_emulator).get_credentials()


def test_sts_can_be_called_over_http(tls_emulator: EmulatorProcess) -> None:
    """With an endpoint that begins with http:// the library calls STS without TLS."""
    tls_emulator.put_role("worker")

    assert keys_of(ram_role(tls_emulator, sts_endpoint=tls_emulator.endpoint).get_credentials())["security_token"]


CHILD = """
import asyncio, sys
from alibabacloud_credentials.provider import RamRoleArnCredentialsProvider
provider = RamRoleArnCredentialsProvider(
    access_key_id=sys.argv[1], access_key_secret=sys.argv[2], role_arn="acs:ram::1234567890123456:role/worker"
)
print(asyncio.run(provider.get_credentials_async()).get_access_key_id())
provider = RamRoleArnCredentialsProvider(
    access_key_id=sys.argv[1], access_key_secret=sys.argv[2], role_arn="acs:ram::1234567890123456:role/worker"
)
print(provider.get_credentials().get_access_key_id())
"""


def test_the_default_host_of_sts_is_reached_through_the_proxy(
    tls_emulator: EmulatorProcess, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """A child process reaches sts.aliyuncs.com at the emulator, with HTTPS_PROXY and a certifi that trusts it."""
    tls_emulator.put_role("worker")
    (tmp_path / "sitecustomize.py").write_text(
        f"import certifi\ncertifi.where = certifi.core.where = lambda: {str(certificate[0])!r}\n"
    )
    environment = {**os.environ, "HTTPS_PROXY": tls_emulator.endpoint, "PYTHONPATH": str(tmp_path)}
    keys = (tls_emulator.access_key_id, tls_emulator.access_key_secret)
    output = subprocess.check_output([sys.executable, "-c", CHILD, *keys], env=environment, text=True, timeout=60)

    assert output.split() == [key["access_key_id"] for key in tls_emulator.access_keys()[1:]]
