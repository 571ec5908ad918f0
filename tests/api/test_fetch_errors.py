"""Keys that cannot be had: the class of the error, its words, and what it must not contain."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_ims.api.client import ImsClient
from airflow_provider_ims.api.protocol import may_have_been_carried_out
from airflow_provider_ims.connection.credentials import CredentialsUri, EcsRole
from airflow_provider_ims.emulator.process import EmulatorProcess
from airflow_provider_ims.exceptions import (
    ImsCredentialsError,
    ImsError,
    ImsServiceError,
    ImsThrottledError,
    ImsTransportError,
)
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT, find_job_type
from airflow_provider_ims.jobs.polling import WaitOptions
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from tests.api.identities import ACCOUNT, Identities, call, fetch
from tests.attempts import SimulatedTask
from tests.certificates import make_certificate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_ims.connection.access_key import AccessKey
    from airflow_provider_ims.connection.credentials import Credentials

    Failure = Callable[[Identities], Credentials]

# ---- what goes wrong


def unknown_role(identities: Identities) -> Credentials:
    return identities.ram(role_arn=f"{ACCOUNT}:role/nobody")


def no_permission(identities: Identities) -> Credentials:
    identities.emulator.deny("AssumeRole", identity="emulator")
    return identities.ram()


def not_trusted(identities: Identities) -> Credentials:
    identities.emulator.put_role("worker", trusted=["others"])
    return identities.ram()


def wrong_external_id(identities: Identities) -> Credentials:
    identities.emulator.put_role("worker", external_id="right")
    return identities.ram(external_id="canaryid")


def wrong_key_id(identities: Identities) -> Credentials:
    return identities.ram(replace(identities.key, key_id="nobody"))


def wrong_secret(identities: Identities) -> Credentials:
    return identities.ram(replace(identities.key, secret="canarysecret"))


def expired_base(identities: Identities) -> Credentials:
    identities.emulator.revoke(role="base")
    return identities.ram(BASE[identities.emulator.endpoint])


def malformed_token(identities: Identities) -> Credentials:
    return identities.ram(replace(BASE[identities.emulator.endpoint], security_token="canarytoken/+="))


def too_long_duration(identities: Identities) -> Credentials:
    return identities.ram(duration=43_200)


def wrong_policy(identities: Identities) -> Credentials:
    return identities.ram(policy='{"Version": "2"}')


def expired_token(identities: Identities) -> Credentials:
    identities.write_token(lifetime=0)
    return identities.oidc()


def foreign_token(identities: Identities) -> Credentials:
    identities.write_token(issuer="https://canaryissuer.example")
    return identities.oidc()


def wrong_token(identities: Identities) -> Credentials:
    identities.write_token("canaryheader.canaryclaims.canarysignature")
    return identities.oidc()


def unknown_provider(identities: Identities) -> Credentials:
    identities.write_token()
    return identities.oidc(oidc_provider_arn=f"{ACCOUNT}:oidc-provider/other")


def oidc_not_trusted(identities: Identities) -> Credentials:
    identities.write_token()
    identities.emulator.put_role("base", oidc_subject="other")
    return identities.oidc()


def empty_token(identities: Identities) -> Credentials:
    identities.write_token(" \n")
    return identities.oidc()


def too_long_token(identities: Identities) -> Credentials:
    identities.write_token("c" * 20_001)
    return identities.oidc()


def not_a_token(identities: Identities) -> Credentials:
    (identities.home / "token").write_bytes(b"canary\xff\x00")
    return identities.oidc()


def two_words(identities: Identities) -> Credentials:
    identities.write_token("canary two words")
    return identities.oidc()


def no_token_file(identities: Identities) -> Credentials:
    return identities.oidc()


def token_pipe(identities: Identities) -> Credentials:
    os.mkfifo(identities.token_file)
    return identities.oidc()


def token_directory(identities: Identities) -> Credentials:
    return identities.oidc(token_file=str(identities.home))


def token_elsewhere(identities: Identities) -> Credentials:
    return identities.oidc(token_file="/etc/passwd")


def token_beside(identities: Identities) -> Credentials:
    return identities.oidc(token_file=f"{identities.home}-2/token")


def token_link(identities: Identities) -> Credentials:
    (identities.home / "token").symlink_to("/etc/hostname")
    return identities.oidc()


def no_instance_role(identities: Identities) -> Credentials:
    identities.emulator.put_instance_role(None)
    return EcsRole()


def wrong_instance_role(identities: Identities) -> Credentials:
    return EcsRole("other")


def only_version_1(identities: Identities) -> Credentials:
    identities.emulator.fault("EcsMetadata", "answer", times=9, status=403, body="no tokens")
    return EcsRole("base")


def odd_role_name(identities: Identities) -> Credentials:
    identities.emulator.fault("EcsMetadata", "answer", nth=2, times=9, status=200, body="a\r\nHost: b\r\n\r\n")
    return EcsRole()


def instance_without_keys(identities: Identities) -> Credentials:
    identities.emulator.fault("EcsMetadata", "answer", nth=2, times=9, status=200, body='{"Code": "Failed"}')
    return EcsRole("base")


def unknown_uri(identities: Identities) -> Credentials:
    return CredentialsUri(f"{identities.emulator.endpoint}/credentials/none?query=canaryquery")


def code_of_uri(identities: Identities) -> Credentials:
    return CredentialsUri(identities.emulator.put_credentials_uri("bad", code="NoKeys") + "?query=canaryquery")


def answer_of_uri(body: str, status: int = 200, **headers: str) -> Failure:
    def prepare(identities: Identities) -> Credentials:
        identities.emulator.fault("CredentialsUri", "answer", times=9, status=status, body=body, headers=headers)
        return CredentialsUri(identities.uri)

    return prepare


FOREIGN = {"AccessKeyId": "canaryid", "SecurityToken": ["canary"], "AccessKeySecret": 5, "Expiration": None}


def fault_of(action: str, kind: str, **options: Any) -> Failure:
    def prepare(identities: Identities) -> Credentials:
        identities.emulator.fault(action, kind, times=9, **options)
        kinds = identities.kinds()
        names = {"AssumeRole": "RAM role over a key", "AssumeRoleWithOIDC": "RAM role over OIDC"}
        names |= {"EcsMetadata": "ECS role", "CredentialsUri": "credentials URI"}
        return kinds[names[action]]

    return prepare


def at(endpoint: str) -> Failure:
    """Return a role at another endpoint of STS."""

    def prepare(identities: Identities) -> Credentials:
        identities.write_token()
        url = identities.emulator.endpoint.replace("http:", "https:") if endpoint == "TLS" else endpoint
        return identities.oidc(sts_endpoint=url)

    return prepare


def expired_keys(identities: Identities) -> Credentials:
    identities.emulator.configure(token_lifetime=0)
    return identities.ram()


def unreachable_metadata(identities: Identities) -> Credentials:
    os.environ["HTTP_PROXY"] = UNUSED
    return EcsRole()


UNUSED = "http://127.0.0.1:1"
BASE: dict[str, AccessKey] = {}

REPEATABLE: dict[str, tuple[Failure, str, str]] = {
    "unknown role": (unknown_role, "Unknown role: STS does not know the RAM role (EntityNotExist.Role)", "Correct the"),
    "no permission": (no_permission, "Role not assumable", "Grant sts:AssumeRole on the role to the identity"),
    "not trusted": (not_trusted, "Role not assumable", "name the identity in the trust policy of the role"),
    "wrong external id": (wrong_external_id, "Role not assumable", "requires an ExternalId, give it"),
    "wrong key id": (wrong_key_id, "Wrong access key ID", "enter the pair again"),
    "wrong secret": (wrong_secret, "Wrong access key secret", "enter the access key secret again"),
    "expired base token": (expired_base, "Wrong STS security token", "enter a new temporary pair"),
    "malformed token": (malformed_token, "Wrong STS security token", "enter a new temporary pair"),
    "too long": (too_long_duration, "Wrong session duration", "Lower the Session duration"),
    "wrong policy": (wrong_policy, "Wrong session policy", "Correct the Session policy"),
    "expired OIDC token": (expired_token, "Expired OIDC token", "renews the token file"),
    "foreign OIDC token": (foreign_token, "Foreign OIDC token", "Compare issuer and audience"),
    "wrong OIDC token": (wrong_token, "Wrong OIDC token", "a token that the OIDC provider has signed"),
    "unknown OIDC provider": (unknown_provider, "does not know the OIDC provider", "OIDC provider ARN"),
    "OIDC token not trusted": (oidc_not_trusted, "does not trust the token", "in the trust policy of the role"),
    "empty OIDC token": (empty_token, "cannot be used: it is empty", "service account and the volume of the pod"),
    "long OIDC token": (too_long_token, "more than 20,000 characters", "volume of the pod"),
    "binary OIDC token": (not_a_token, "it does not hold a token", "volume of the pod"),
    "OIDC token with spaces": (two_words, "it does not hold a token", "volume of the pod"),
    "no OIDC token": (no_token_file, "No such file", "volume of the pod"),
    "pipe for an OIDC token": (token_pipe, "it is not a file", "volume of the pod"),
    "directory for an OIDC token": (token_directory, "it is not a file", "volume of the pod"),
    "OIDC token elsewhere": (token_elsewhere, "not in a directory", "[ims] oidc_token_dirs"),
    "OIDC token beside": (token_beside, "not in a directory", "[ims] oidc_token_dirs"),
    "link out of the directory": (token_link, "not in a directory", "[ims] oidc_token_dirs"),
    "no instance role": (no_instance_role, "found no RAM role (The metadata service", "Attach the RAM role"),
    "wrong instance role": (wrong_instance_role, "found no RAM role 'other'", "correct its name"),
    "only version 1": (only_version_1, "was refused (The metadata service", "allow version 1"),
    "odd role name": (odd_role_name, "names no role", "an ECS instance"),
    "instance without keys": (instance_without_keys, "holds no keys", "an ECS instance"),
    "unknown URI": (unknown_uri, "was refused: NotFound (The credentials URI (127.0.0.1", "Look at the service"),
    "code of a URI": (code_of_uri, "holds no keys", "Look at the service"),
    "text of a URI": (answer_of_uri("canarytext"), "holds no keys", "Look at the service"),
    "list of a URI": (answer_of_uri("[]"), "holds no keys", "Look at the service"),
    "foreign JSON of a URI": (
        answer_of_uri(json.dumps({"Code": "Success", **FOREIGN})),
        "holds no keys",
        "Look at the service",
    ),
    "redirect of a URI": (
        answer_of_uri("", 302, Location="http://canary.invalid/"),
        "got a redirect, which is not followed",
        "Look at the service",
    ),
    "HTML of a URI": (answer_of_uri("<html>canary</html>", 403), "got an HTML page", "Look at the service"),
    "expired keys": (expired_keys, "have expired already: the clock", "STS endpoint"),
}
STS = "Look at the network, the proxy"
PASSING: dict[str, tuple[Failure, type[ImsError], str, str]] = {
    "throttled": (fault_of("AssumeRole", "throttle", retry_after=1500), ImsThrottledError, "Throttling.User", "later"),
    "throttled instance": (
        fault_of("EcsMetadata", "answer", status=429, body=""),
        ImsThrottledError,
        "an empty body",
        "later",
    ),
    "unavailable": (fault_of("AssumeRole", "service_unavailable"), ImsServiceError, "was refused: Serv", "later"),
    "internal error": (fault_of("AssumeRoleWithOIDC", "internal_error"), ImsServiceError, "InternalError", "later"),
    "HTML of a proxy": (fault_of("AssumeRole", "html_502"), ImsServiceError, "got an HTML page", "later"),
    "HTML for an instance": (fault_of("EcsMetadata", "html_502"), ImsServiceError, "got an HTML page", "later"),
    "HTML for a URI": (fault_of("CredentialsUri", "html_502"), ImsServiceError, "got an HTML page", "later"),
    "hang": (fault_of("AssumeRole", "hang"), ImsTransportError, "it did not respond in time", STS),
    "hang with a token": (fault_of("AssumeRoleWithOIDC", "hang"), ImsTransportError, "did not respond in time", STS),
    "hang of an instance": (fault_of("EcsMetadata", "hang"), ImsTransportError, "not respond", "is an ECS instance"),
    "hang of a URI": (fault_of("CredentialsUri", "hang"), ImsTransportError, "not respond", "Look at the service"),
    "broken connection": (fault_of("AssumeRole", "cut_after"), ImsTransportError, "the connection broke", STS),
    "refused connection": (at(UNUSED), ImsTransportError, "could not be reached: Connect", STS),
    "unknown host": (at("https://sts.invalid"), ImsTransportError, "its name could not be resolved", STS),
    "no TLS": (at("TLS"), ImsTransportError, "does not speak TLS", STS),
    "unreachable instance": (unreachable_metadata, ImsTransportError, "could not be reached", "is an ECS instance"),
}


@pytest.fixture
def failing(identities: Identities, monkeypatch: pytest.MonkeyPatch) -> Identities:
    """Return the identities, with keys of the role ``base`` for the failures that need some."""
    BASE[identities.emulator.endpoint] = identities.temporary_key()
    identities.actions()
    return identities


async def failure_of(identities: Identities, credentials: Credentials) -> ImsError:
    """Return the error of a call without keys."""
    with pytest.raises(ImsError) as caught:
        await call(identities.settings(credentials, read_timeout=0.4))
    return caught.value


def ends_a_wait(error: ImsError) -> int | None:
    """Return after how many polls with an error a wait ends; None if it goes on."""
    job = find_job_type(COPYRIGHT_EXTRACT)
    options = WaitOptions.checked(job, poll_interval=1, max_poll_interval=1, timeout=3600)
    wait = options.wait_for(job, "f" * 32, since=time.time(), log=logging.getLogger("wait"))
    return next((number for number in range(1, 20) if wait.on_failure(error, time.time()) is not None), None)


def everything(error: BaseException) -> str:
    """Return all texts of an exception, those that travel along included."""
    assert (error.__cause__, error.__context__) == (None, None)
    return "".join([*traceback.format_exception(error), repr(error), str(error), repr(vars(error))])


def secrets_of(identities: Identities) -> list[str]:
    """Return what must not be in a text."""
    token = identities.home / "token"
    tokens = [token.read_text(errors="replace").strip()] if token.is_file() and not token.is_symlink() else []
    base = BASE[identities.emulator.endpoint]
    keys = [identities.emulator.access_key_secret, base.secret, str(base.security_token)]
    return ["canary", "Signature=", "SignatureNonce", *keys, *[part for part in tokens if len(part) > 8]]


def assert_clean(text: str, identities: Identities) -> None:
    """Check that a text has no secret, and no large part of one."""
    for secret in secrets_of(identities):
        assert secret[:20] not in text, secret
        assert secret[-12:] not in text, secret


@pytest.mark.parametrize("name", REPEATABLE)
async def test_refusal_ends_a_wait_only_after_several_polls(
    name: str, failing: Identities, no_correction_grace: None
) -> None:
    """What is refused, missing or wrong is an ImsCredentialsError: it says why and what to do, and may be repeated."""
    prepare, problem, advice = REPEATABLE[name]
    error = await failure_of(failing, prepare(failing))
    assert type(error) is ImsCredentialsError, error
    assert not isinstance(error, AirflowFailException)
    assert problem in error.problem
    assert advice in error.advice
    assert (may_have_been_carried_out(error), ends_a_wait(error)) == (False, 5)
    assert_clean(everything(error), failing)


@pytest.mark.parametrize("name", PASSING)
async def test_outage_ends_no_wait(name: str, failing: Identities, monkeypatch: pytest.MonkeyPatch) -> None:
    """Throttling, failures and unreachable services end no wait, and a submission in this state was not sent."""
    monkeypatch.setenv("HTTP_PROXY", os.environ["HTTP_PROXY"])
    prepare, kind, problem, advice = PASSING[name]
    started = time.monotonic()
    error = await failure_of(failing, prepare(failing))
    assert type(error) is kind, error
    assert problem in error.problem
    assert advice in error.advice
    assert (may_have_been_carried_out(error), ends_a_wait(error)) == (False, None)
    assert time.monotonic() - started < 10
    assert_clean(everything(error), failing)


# ---- through the hook


class Observer:
    """Fails the test if it is called: nothing was sent."""

    def before_send(self) -> None:
        raise AssertionError

    on_rejected = before_send

    def on_accepted(self, response: dict[str, Any]) -> None:
        raise AssertionError

    def on_unknown(self, request_id: str | None) -> None:
        raise AssertionError


FAILURES = [("AssumeRole", "hang"), ("AssumeRole", "cut_after"), ("AssumeRole", "internal_error")]


@pytest.mark.parametrize(("action", "kind"), FAILURES)
def test_submission_without_keys_is_not_sent(
    action: str, kind: str, failing: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without keys nothing is sent: the observer hears nothing, and the error is not that of an unknown submission."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", failing.connection_of_role(read_timeout=0.4))
    failing.emulator.fault(action, kind)
    with pytest.raises((ImsTransportError, ImsServiceError)) as caught:
        ImsHook().submit(COPYRIGHT_EXTRACT, {"Input": {"Type": "OSS", "Media": "oss://b-1/a"}}, observer=Observer())
    assert not may_have_been_carried_out(caught.value)
    assert failing.emulator.bill()["jobs"] == 0


@pytest.mark.parametrize(("action", "kind"), FAILURES)
def test_task_without_keys_keeps_no_record(
    action: str, kind: str, failing: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task whose keys cannot be had leaves no record, and its retry submits the one job."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", failing.connection_of_role(read_timeout=0.4))
    task = SimulatedTask(lambda: ImsSubmitCopyrightExtractJobOperator(task_id="t", input_media="oss://b-1/a.mp4"))
    failing.emulator.fault(action, kind)
    assert (task.attempt(), task.record()) == ("up_for_retry", None)
    assert task.attempt() == "success"
    assert failing.emulator.bill()["jobs"] == 1


@pytest.mark.parametrize("name", ["role", "trust", "secret"])
def test_connection_test_says_what_a_task_says(name: str, failing: Identities, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection test gives the sentence and the advice of the error of a task."""
    extra = {"role": {"role_arn": f"{ACCOUNT}:role/nobody"}}.get(name, {"role_arn": f"{ACCOUNT}:role/worker"})
    connection = failing.emulator.connection(sts_endpoint=failing.emulator.endpoint, **extra)
    if name == "secret":
        connection["password"] = "canarysecret"
    failing.emulator.put_role("worker", trusted=["others"] if name == "trust" else None)
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", json.dumps(connection))
    works, text = ImsHook().test_connection()
    assert not works
    with pytest.raises(ImsCredentialsError) as caught:
        ImsHook().query(COPYRIGHT_EXTRACT, "f" * 32)
    assert text.endswith(caught.value.advice)
    assert text.removesuffix(caught.value.advice).strip(" .") in caught.value.problem


@pytest.mark.parametrize("credentials", ["role", "uri", "key"])
def test_advice_fits_where_the_keys_are(credentials: str, failing: Identities, monkeypatch: pytest.MonkeyPatch) -> None:
    """Advice to enter keys is only given if the keys that were refused are in the connection."""
    connection = {
        "role": failing.connection_of_role(),
        "uri": failing.connection(secret_credentials_uri=failing.uri),
        "key": failing.emulator.connection_json(),
    }[credentials]
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", connection)
    body = json.dumps({"RequestId": "R", "Code": "InvalidSecurityToken.Expired", "Message": "no"})
    failing.emulator.fault("QueryCopyrightJobList", "answer", times=9, status=400, body=body)
    texts = [ImsHook().test_connection()[1]]
    with pytest.raises(ImsCredentialsError) as caught:
        ImsHook().call("QueryCopyrightJobList")
    texts.append(str(caught.value))
    for text in texts:
        assert ("enter a new temporary pair" in text) == (credentials == "key")
        assert ("These keys are not in the connection" in text) == (credentials != "key")


CHILD = """
import asyncio, io, json, logging, logging.config, sys, traceback
from airflow_provider_ims.hooks.ims import ImsHook
CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"level": "DEBUG", "handlers": ["console"]},
}
for configure in (False, True, True):
    if configure:
        logging.config.dictConfig(CONFIG)
        for name in ("credentials", "alibabacloud-tea", "darabonba-core"):
            logging.getLogger(name).disabled = False
    for name in json.loads(sys.argv[1]):
        try:
            ImsHook(name).call("QueryCopyrightJobList")
        except Exception:
            traceback.print_exc()
        else:
            print("works")
"""


def test_nothing_prints_keys_and_tokens(failing: Identities) -> None:
    """Logs and standard error have no key, token or signed URL: neither with DEBUG=sdk, nor with logs set anew."""
    token = failing.write_token()
    # The lifetime of the keys lets the library warn at each fetch.
    failing.emulator.configure(token_lifetime=60)
    sts = {"sts_endpoint": failing.emulator.endpoint}
    role = {"oidc_provider_arn": f"{ACCOUNT}:oidc-provider/ack", "oidc_token_file": failing.token_file}
    other = {"role_arn": f"{ACCOUNT}:role/nobody"}
    wrong = failing.emulator.connection(role_arn=f"{ACCOUNT}:role/worker", **sts)
    broken = failing.emulator.put_credentials_uri("bad", code="NoKeys") + "?query=canaryquery"
    connections = {
        "ram": failing.connection_of_role(),
        "oidc": failing.connection(role_arn=f"{ACCOUNT}:role/base", **role, **sts),
        "ecs": failing.connection(auth_type="ecs_ram_role"),
        "uri": failing.connection(secret_credentials_uri=failing.uri),
        "bad_ram": failing.emulator.connection_json(**other, **sts),
        "bad_secret": json.dumps({**wrong, "password": "canarysecret"}),
        "bad_oidc": failing.connection(**other, **role, **sts),
        "no_sts": failing.connection(**other, **role, sts_endpoint="http://127.0.0.1:1"),
        "bad_uri": failing.connection(secret_credentials_uri=broken),
        "no_uri": failing.connection(secret_credentials_uri="http://127.0.0.1:1/x?query=canaryquery"),
    }
    variables = {f"AIRFLOW_CONN_{name.upper()}": value for name, value in connections.items()}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(list(connections))],
        env={**os.environ, **variables, "DEBUG": "sdk"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.count("works") == 12
    assert done.stderr.count("Traceback") == 18
    output = done.stdout + done.stderr
    assert token[-20:] not in output
    assert_clean(output, failing)
    assert "STS." not in output.replace("STS. ", "")


async def test_bad_certificate_is_an_error_of_the_transport(failing: Identities, tmp_path: Path) -> None:
    """A service of keys whose certificate is not trusted gets no request."""
    failing.write_token()
    cert, key = make_certificate(tmp_path)
    with EmulatorProcess(tls_cert=cert, tls_key=key, tls_port=0) as other:
        error = await failure_of(failing, failing.oidc(sts_endpoint=other.tls_endpoint))
        assert other.requests() == []
    assert type(error) is ImsTransportError
    assert "its certificate was refused" in error.problem
    assert_clean(everything(error), failing)


async def test_request_whose_response_was_lost_is_passing(failing: Identities) -> None:
    """STS refuses a request that came before, whose response was lost: the next attempt may succeed."""
    failing.emulator.fault("AssumeRole", "cut_after")
    error = await failure_of(failing, failing.ram())
    assert isinstance(error, ImsServiceError | ImsTransportError)
    assert ends_a_wait(error) is None
    await fetch(failing.settings(failing.ram()))


@pytest.mark.parametrize("name", ["a?b=c", "..", "a/b", "a b", "é", "a\r\nHost: b\r\n\r\n", "<html>", "a" * 65])
async def test_name_from_the_metadata_service_becomes_no_other_request(name: str, failing: Identities) -> None:
    """What the metadata service names as the role is a name, or nothing is requested with it."""
    failing.emulator.fault("EcsMetadata", "answer", nth=2, status=200, body=name)
    error = await failure_of(failing, EcsRole())
    assert "names no role" in error.problem
    paths = [record["parameters"]["path"] for record in failing.emulator.requests() if "path" in record["parameters"]]
    assert set(paths) == {"/latest/api/token", "/latest/meta-data/ram/security-credentials/"}


async def test_error_of_one_caller_is_not_changed_by_another(failing: Identities) -> None:
    """Each caller gets an error of its own: advice that one adds is not in that of another."""
    failing.emulator.fault("AssumeRole", "internal_error", times=9)
    async with ImsClient(failing.settings(failing.ram())) as client:
        errors = await asyncio.gather(*(client.keys.current() for _ in range(3)), return_exceptions=True)
    assert len({id(error) for error in errors}) == 3
    for error in errors:
        assert isinstance(error, ImsServiceError)
        everything(error)
