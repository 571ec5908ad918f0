"""The keys of a connection over time: one fetch for all calls, refreshed before they expire or if they are refused."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_ice20201109 import models

from airflow_provider_ims.api import credentials
from airflow_provider_ims.api.client import ImsClient
from airflow_provider_ims.api.credentials import KeyCache
from airflow_provider_ims.api.protocol import ApiRequest
from airflow_provider_ims.connection.credentials import CredentialsUri, Profile
from airflow_provider_ims.exceptions import ImsCredentialsError, ImsError, ImsServiceError
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.outcome import OutcomeKind
from tests.api.identities import LIST, SUBMIT, Identities

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MEDIA = "oss://rights-evidence/clip.mp4"
SUBMISSION = ApiRequest(SUBMIT, {"Input": {"Type": "OSS", "Media": MEDIA}})
QUERY = ApiRequest(LIST, {})
EXPIRED = "InvalidSecurityToken.Expired"


@pytest.fixture
async def client(identities: Identities) -> AsyncIterator[ImsClient]:
    """Return a client with the role ``worker``."""
    async with ImsClient(identities.settings(identities.ram(), max_requests_per_second=1000)) as client:
        yield client


def fetches(identities: Identities) -> list[str]:
    """Return the codes of all requests for keys."""
    return [record["code"] for record in identities.emulator.requests() if record["action"] == "AssumeRole"]


async def test_many_callers_share_a_fetch(client: ImsClient, identities: Identities) -> None:
    """200 calls at once fetch keys once, and so does a later call."""
    await asyncio.gather(*(client.call(QUERY) for _ in range(200)))
    await client.call(QUERY)
    assert fetches(identities) == ["OK"]
    assert [code for _, code in identities.actions()] == ["OK"] * 202


async def test_own_keys_are_known_whatever_another_thread_notes(
    client: ImsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys that a client uses are redacted, also if another thread has overwritten what the process remembers."""
    monkeypatch.setattr(credentials, "remember", lambda *_: None)
    key = await client.keys.current()
    assert key in client.keys.known
    assert len(set(client.keys.known)) == len(client.keys.known)


async def test_loop_does_not_block_while_keys_are_fetched(client: ImsClient, identities: Identities) -> None:
    """While STS is slow, other tasks of the loop go on."""
    await client.call(QUERY)
    client.keys.refuse(await client.keys.current(), EXPIRED)
    identities.emulator.fault("AssumeRole", "slow", seconds=3)
    waiting = asyncio.ensure_future(client.keys.current())
    longest = 0.0
    while not waiting.done():
        before = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - before)
    assert longest < 2


async def test_keys_are_refreshed_before_they_expire_and_no_call_waits(
    client: ImsClient, identities: Identities
) -> None:
    """In the last quarter of their lifetime, keys are fetched again while calls go on with the old ones."""
    # STS says whole seconds: the keys are valid for 15 to 16 seconds, and the last quarter begins after 11.2 to 12.
    identities.emulator.configure(token_lifetime=16)
    old = await client.keys.current()
    await asyncio.sleep(10)
    assert await client.keys.current() == old
    assert fetches(identities) == ["OK"]
    identities.emulator.fault("AssumeRole", "slow", seconds=1)
    await asyncio.sleep(2.2)
    for _ in range(5):
        before = time.monotonic()
        assert await client.keys.current() == old
        assert time.monotonic() - before < 0.5
    await client.call(QUERY)
    await asyncio.sleep(1.5)
    assert await client.keys.current() != old
    assert fetches(identities) == ["OK", "OK"]


async def test_failed_refresh_is_a_warning_while_the_old_keys_are_valid(
    client: ImsClient, identities: Identities, caplog: pytest.LogCaptureFixture
) -> None:
    """A failed refresh is one warning with the next attempt, which is before the old keys expire. Calls go on."""
    identities.emulator.configure(token_lifetime=12)
    await client.keys.current()
    identities.emulator.fault("AssumeRole", "service_unavailable")
    await asyncio.sleep(9.2)
    with caplog.at_level(logging.WARNING):
        for number in range(12):
            await client.call(QUERY)
            await asyncio.sleep(0.2)
            if number == 3:
                assert fetches(identities) == ["OK", "ServiceUnavailable"]
    assert fetches(identities) == ["OK", "ServiceUnavailable", "OK"]
    (warning,) = [record.getMessage() for record in caplog.records if "could not be refreshed" in record.getMessage()]
    assert "The keys of RAM role acs:ram::1234567890123456:role/worker over an access key" in warning
    assert "The old ones are valid for 2 s; the next attempt is in 2 s." in warning.replace("for 3 s", "for 2 s")
    assert "was refused: ServiceUnavailable" in warning


async def test_calls_fail_without_keys_and_do_not_all_try(client: ImsClient, identities: Identities) -> None:
    """If no keys can be had, all callers get the error, and there is one attempt in a pause of two seconds."""
    identities.emulator.fault("AssumeRole", "service_unavailable", times=2)
    for _ in range(3):
        errors = await asyncio.gather(*(client.call(QUERY) for _ in range(50)), return_exceptions=True)
        assert {type(error) for error in errors} == {ImsServiceError}
    assert fetches(identities) == ["ServiceUnavailable"]
    await asyncio.sleep(2.1)
    with pytest.raises(ImsServiceError):
        await client.call(QUERY)
    assert len(fetches(identities)) == 2
    await asyncio.sleep(2.1)
    await client.call(QUERY)
    assert fetches(identities)[2:] == ["OK"]


async def test_pause_that_the_service_requests_is_kept(client: ImsClient, identities: Identities) -> None:
    """The next attempt is not before the pause of a throttled response."""
    identities.emulator.fault("AssumeRole", "throttle", retry_after=3500)
    for _ in range(2):
        with pytest.raises(ImsError, match=r"Throttling\.User"):
            await client.call(QUERY)
        await asyncio.sleep(2.2)
    assert len(fetches(identities)) == 1
    await client.call(QUERY)


async def test_expired_keys_are_replaced_at_once(client: ImsClient, identities: Identities) -> None:
    """If the service refuses keys as expired, others are fetched once for all, and each call is repeated once."""
    await client.call(QUERY)
    identities.emulator.revoke(role="worker")
    await asyncio.gather(*(client.call(QUERY) for _ in range(20)))
    assert fetches(identities) == ["OK", "OK"]


async def test_new_keys_that_are_refused_too_are_not_replaced(client: ImsClient, identities: Identities) -> None:
    """If the service refuses the new keys too, the error is raised, and not each call fetches keys."""
    body = json.dumps({"RequestId": "R", "Code": "InvalidSecurityToken.Expired", "Message": "no"})
    identities.emulator.fault(LIST, "answer", times=1000, status=400, body=body)
    for _ in range(5):
        with pytest.raises(ImsCredentialsError, match=r"InvalidSecurityToken\.Expired"):
            await client.call(QUERY)
    assert fetches(identities) == ["OK", "OK"]


@pytest.mark.parametrize("code", ["NoPermission", "SignatureDoesNotMatch"])
async def test_other_refusals_replace_no_keys(code: str, client: ImsClient, identities: Identities) -> None:
    """If the keys are refused for another reason, other keys would not help."""
    identities.emulator.fault(
        LIST, "answer", status=403, body=json.dumps({"RequestId": "R", "Code": code, "Message": "no"})
    )
    with pytest.raises(ImsCredentialsError):
        await client.call(QUERY)
    assert fetches(identities) == ["OK"]


async def test_fixed_keys_are_not_replaced(identities: Identities) -> None:
    """A call with the keys of the connection is not repeated if these are refused."""
    body = json.dumps({"RequestId": "R", "Code": "InvalidSecurityToken.Expired", "Message": "no"})
    identities.emulator.fault(LIST, "answer", status=400, body=body)
    async with ImsClient(identities.settings(identities.key)) as client:
        with pytest.raises(ImsCredentialsError):
            await client.call(QUERY)
    assert len(identities.actions()) == 1


@dataclass
class Observer:
    """Records how it is called."""

    calls: list[str] = field(default_factory=list)

    def before_send(self) -> None:
        self.calls.append("before_send")

    def on_rejected(self) -> None:
        self.calls.append("on_rejected")

    def on_accepted(self, response: dict[str, Any]) -> None:
        self.calls.append("on_accepted")

    def on_unknown(self, request_id: str | None) -> None:
        raise AssertionError


async def test_submission_with_expired_keys_is_repeated_once(client: ImsClient, identities: Identities) -> None:
    """A submission that was refused for expired keys is sent once more: one job, and the observer hears of both."""
    await client.call(QUERY)
    identities.emulator.revoke(role="worker")
    observer = Observer()
    await client.submit(SUBMISSION, observer)
    assert observer.calls == ["before_send", "on_rejected", "before_send", "on_accepted"]
    assert identities.emulator.bill()["jobs"] == 1


async def test_submission_is_not_repeated_if_no_keys_can_be_had(client: ImsClient, identities: Identities) -> None:
    """If the keys have expired and STS is down, the submission was refused, and nothing is sent after that."""
    await client.call(QUERY)
    identities.emulator.revoke(role="worker")
    identities.emulator.fault("AssumeRole", "service_unavailable")
    observer = Observer()
    with pytest.raises(ImsServiceError):
        await client.submit(SUBMISSION, observer)
    assert observer.calls == ["before_send", "on_rejected"]
    assert identities.emulator.bill()["jobs"] == 0


async def test_cancelled_caller_does_not_cancel_the_fetch_of_others(client: ImsClient, identities: Identities) -> None:
    """A caller that is cancelled while keys are fetched leaves the fetch to the others."""
    identities.emulator.fault("AssumeRole", "slow", seconds=0.5)
    first, second = (asyncio.ensure_future(client.keys.current()) for _ in range(2))
    await asyncio.sleep(0.2)
    first.cancel()
    assert (await second).security_token
    assert first.cancelled()
    assert fetches(identities) == ["OK"]


async def test_close_ends_a_fetch(identities: Identities) -> None:
    """Closing the client ends a fetch that hangs: no task, thread or connection is left, at once."""
    identities.emulator.fault("AssumeRole", "hang", times=9)
    client = ImsClient(identities.settings(identities.ram(), read_timeout=60))
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    waiting = asyncio.ensure_future(client.keys.current())
    await asyncio.sleep(1)
    before = time.monotonic()
    await client.aclose()
    assert time.monotonic() - before < 1
    assert asyncio.all_tasks() - tasks <= {waiting}
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert asyncio.all_tasks() == tasks
    # The threads of the loop wait for its next work.
    assert {thread.name.partition("_")[0] for thread in set(threading.enumerate()) - threads} <= {"asyncio"}


@pytest.mark.parametrize("kind", ["hang", "slow"])
def test_loop_that_ends_leaves_nothing(kind: str, identities: Identities) -> None:
    """An event loop that ends while keys are fetched ends at once, and leaves no thread, connection or warning."""
    identities.emulator.fault("AssumeRole", kind, **({"seconds": 30} if kind == "slow" else {}))
    threads = set(threading.enumerate())

    async def begin() -> None:
        client = ImsClient(identities.settings(identities.ram(), read_timeout=60))
        waiting = asyncio.ensure_future(client.keys.current())
        await asyncio.sleep(1)
        assert not waiting.done()

    before = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(begin())
        gc.collect()
    assert time.monotonic() - before < 5
    assert set(threading.enumerate()) <= threads


@pytest.mark.parametrize(
    ("expiration", "works"),
    [
        ("9999-12-31T23:59:59Z", True),
        ("2001-01-01T00:00:00Z", False),
        ("", False),
        (None, False),
        ("soon", False),
        (4102444800, False),
    ],
)
async def test_odd_expiry(expiration: object, *, works: bool, identities: Identities) -> None:
    """Keys may be valid for thousands of years; keys that have expired, or whose expiry is no date, are not used."""
    key = {"AccessKeyId": "STS.x", "AccessKeySecret": "s", "SecurityToken": "t", "Expiration": expiration}
    identities.emulator.fault("CredentialsUri", "answer", status=200, body=json.dumps({"Code": "Success", **key}))
    async with ImsClient(identities.settings(CredentialsUri(identities.uri))) as client:
        if works:
            assert (await client.keys.current()).key_id == "STS.x"
            assert (await client.keys.current()).key_id == "STS.x"
        else:
            with pytest.raises(ImsCredentialsError, match="holds"):
                await client.keys.current()
    assert len(identities.actions()) == 1


async def test_clock_that_is_behind_uses_keys_until_they_are_refused(client: ImsClient, identities: Identities) -> None:
    """A clock that is ten minutes behind takes expired keys for valid: they are refused, and others are used."""
    identities.emulator.configure(clock_skew=600, token_lifetime=2)
    await client.call(QUERY)
    await asyncio.sleep(2.2)
    await client.call(QUERY)
    assert fetches(identities) == ["OK", "OK"]


async def test_clock_that_is_set_changes_nothing(
    client: ImsClient, identities: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lifetime of keys is counted from when they came: setting the clock makes it neither longer nor shorter."""
    identities.emulator.configure(token_lifetime=5)
    clock = time.time
    old = await client.keys.current()
    for offset in (86_400, -86_400):
        monkeypatch.setattr(time, "time", lambda offset=offset: clock() + offset)
        assert await client.keys.current() == old
    # The request for the next keys needs the right time.
    monkeypatch.setattr(time, "time", clock)
    await asyncio.sleep(4.2)
    await client.keys.current()
    await asyncio.sleep(0.5)
    assert fetches(identities) == ["OK", "OK"]
    assert await client.keys.current() != old


def test_wait_goes_on_over_failed_refreshes(
    identities: Identities, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A wait of the hook outlives its keys: the first two refreshes fail, the third one succeeds, as the wait does."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", identities.connection_of_role())
    identities.emulator.configure(token_lifetime=3, processing_time=7)
    identities.emulator.put_media(MEDIA, watermark="(c)")
    job_id = ImsHook().submit_copyright_extract_job(MEDIA)
    assert fetches(identities) == ["OK"]
    identities.emulator.fault("AssumeRole", "service_unavailable", nth=2, times=2)
    outcome = ImsHook().wait(COPYRIGHT_EXTRACT, job_id, poll_interval=0.3, max_poll_interval=0.3, timeout=60)
    assert (outcome.kind, outcome.result) == (OutcomeKind.SUCCEEDED, "(c)")
    assert fetches(identities)[1:5] == ["OK", "ServiceUnavailable", "ServiceUnavailable", "OK"]
    polls = [record for record in identities.emulator.requests() if record["action"].startswith("QueryCopyright")]
    assert len(polls) > 10


def test_typed_client_keeps_its_keys(identities: Identities, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls of a typed client share keys, until these expire or are refused: then the call is repeated once."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", identities.connection_of_role())
    client = ImsHook().get_conn()
    request = models.QueryCopyrightJobListRequest(page_size=1)
    for _ in range(3):
        assert client.query_copyright_job_list(request).status_code == 200
    assert fetches(identities) == ["OK"]
    identities.emulator.revoke(role="worker")
    for _ in range(2):
        assert client.query_copyright_job_list(request).status_code == 200
    assert fetches(identities) == ["OK", "OK"]
    codes = [code for action, code in identities.actions() if action == LIST]
    assert codes == ["OK"] * 3 + ["InvalidSecurityToken.Expired"] + ["OK"] * 2


def test_typed_client_fetches_keys_when_the_old_ones_have_expired(
    identities: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The typed client does not use keys whose time is over."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", identities.connection_of_role())
    identities.emulator.configure(token_lifetime=2)
    client = ImsHook().get_conn()
    for _ in range(2):
        client.query_copyright_job_list(models.QueryCopyrightJobListRequest(page_size=1))
        time.sleep(2.1)
    assert fetches(identities) == ["OK", "OK"]
    assert {code for _, code in identities.actions()} == {"OK"}


def test_secrets_of_earlier_keys_are_redacted_too(identities: Identities) -> None:
    """A response that repeats keys is redacted, whether the keys are the current ones or those before."""

    async def body(client: ImsClient) -> str:
        first = await client.keys.current()
        client.keys.refuse(first, EXPIRED)
        second = await client.keys.current()
        assert first != second
        texts = [text for key in (first, second, identities.key) for text in (key.secret, key.security_token) if text]
        answer = {"RequestId": "R", "Data": texts}
        identities.emulator.fault(LIST, "answer", status=200, body=json.dumps(answer))
        return json.dumps(await client.call(QUERY))

    async def run() -> str:
        async with ImsClient(identities.settings(identities.ram())) as client:
            return await body(client)

    assert json.loads(asyncio.run(run()))["Data"] == ["***"] * 5


# ---- keys that calls of a process share


@pytest.fixture
def hook(identities: Identities, monkeypatch: pytest.MonkeyPatch) -> ImsHook:
    """Return a hook whose connection has the role ``worker``."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", identities.connection_of_role())
    return ImsHook()


def test_synchronous_calls_share_keys(hook: ImsHook, identities: Identities) -> None:
    """Calls of several hooks, a submission, a query and the typed client, each on a loop of its own, fetch once."""
    for _ in range(5):
        hook.call(LIST)
    identities.emulator.put_media(MEDIA)
    other = ImsHook()
    other.query(COPYRIGHT_EXTRACT, other.submit_copyright_extract_job(MEDIA))
    other.get_conn().query_copyright_job_list(models.QueryCopyrightJobListRequest(page_size=1))
    assert fetches(identities) == ["OK"]
    assert {code for _, code in identities.actions()} == {"OK"}


def test_connection_test_fetches_keys(hook: ImsHook, identities: Identities) -> None:
    """The connection test does not use keys of others: whether keys can be had is what it tests."""
    hook.call(LIST)
    identities.emulator.deny("AssumeRole")
    hook.call(LIST)
    ok, text = hook.test_connection()
    assert not ok
    assert "Role not assumable" in text


@pytest.mark.parametrize(
    "change", [{"role_session_name": "another"}, {"role_session_duration": 1800}, {"role_policy": "{}"}]
)
def test_changed_connection_uses_no_keys_of_the_old_one(
    change: dict[str, Any], hook: ImsHook, identities: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys are shared by calls with the same credentials only."""
    hook.call(LIST)
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", identities.connection_of_role(**change))
    with contextlib.suppress(ImsCredentialsError):  # the empty policy permits nothing
        ImsHook().call(LIST)
    assert len(fetches(identities)) == 2


def test_changed_base_keys_fetch_others(hook: ImsHook, identities: Identities, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the key pair that assumes the role is another one, so are the keys of the role."""
    hook.call(LIST)
    identities.emulator.rotate_key("new-id", "new-secret")
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", identities.connection_of_role())
    ImsHook().call(LIST)
    assert fetches(identities) == ["OK", "OK"]


def test_expired_keys_are_not_shared(hook: ImsHook, identities: Identities) -> None:
    """A call fetches keys if those of the last call have expired."""
    identities.emulator.configure(token_lifetime=2)
    hook.call(LIST)
    time.sleep(2.1)
    hook.call(LIST)
    assert {code for _, code in identities.actions()} == {"OK"}
    assert fetches(identities) == ["OK", "OK"]


def test_refused_keys_are_not_shared(hook: ImsHook, identities: Identities) -> None:
    """Keys that count as expired are replaced at once, and the calls after that use the new ones."""
    hook.call(LIST)
    identities.emulator.revoke(role="worker")
    for _ in range(3):
        hook.call(LIST)
    codes = [code for action, code in identities.actions() if action == LIST]
    assert codes == ["OK", EXPIRED, "OK", "OK", "OK"]
    assert fetches(identities) == ["OK", "OK"]


def test_keys_that_are_refused_for_another_reason_are_not_shared(hook: ImsHook, identities: Identities) -> None:
    """If a call fails because its keys are refused, the next one fetches others."""
    hook.call(LIST)
    error = {"RequestId": "R", "Code": "SignatureDoesNotMatch", "Message": "no"}
    identities.emulator.fault(LIST, "answer", status=403, body=json.dumps(error))
    with pytest.raises(ImsCredentialsError, match="Wrong access key secret"):
        hook.call(LIST)
    hook.call(LIST)
    assert fetches(identities) == ["OK", "OK"]


def test_keys_without_permission_are_shared(hook: ImsHook, identities: Identities) -> None:
    """A missing permission is not about the keys: calls go on to share them."""
    identities.emulator.deny(LIST)
    for _ in range(3):
        with pytest.raises(ImsCredentialsError, match="Missing permission"):
            hook.call(LIST)
    assert fetches(identities) == ["OK"]


def test_call_shortly_before_the_expiry_waits_for_the_next_keys(hook: ImsHook, identities: Identities) -> None:
    """A call that finds keys which are due fetches the next ones itself, once for all calls after it."""
    identities.emulator.configure(token_lifetime=4)
    hook.call(LIST)
    time.sleep(3.1)
    identities.emulator.configure(token_lifetime=3600)
    for _ in range(3):
        hook.call(LIST)
    assert fetches(identities) == ["OK", "OK"]


def test_call_shortly_before_the_expiry_works_without_sts(
    hook: ImsHook, identities: Identities, caplog: pytest.LogCaptureFixture
) -> None:
    """If the next keys cannot be had, a call uses those that are due, and a warning says so."""
    identities.emulator.configure(token_lifetime=6)
    hook.call(LIST)
    time.sleep(4.6)
    identities.emulator.fault("AssumeRole", "service_unavailable")
    hook.call(LIST)
    assert fetches(identities) == ["OK", "ServiceUnavailable"]
    assert "could not be refreshed. The old ones are valid for" in caplog.text
    hook.call(LIST)
    assert fetches(identities) == ["OK", "ServiceUnavailable", "OK"]


def test_burst_of_threads_does_no_harm(hook: ImsHook, identities: Identities) -> None:
    """Threads that start together all get keys; each fetches at most once, and later calls fetch nothing."""
    _ = hook.settings
    threads = 16
    barrier = threading.Barrier(threads)

    def call(_: int) -> Any:
        barrier.wait()
        return [ImsHook().call(LIST)["StatusCode"] for _ in range(3)]

    for number in (1, 2):
        with ThreadPoolExecutor(threads) as executor:
            assert list(executor.map(call, range(threads))) == [[200] * 3] * threads
        assert 1 <= len(fetches(identities)) <= number * threads
        identities.emulator.revoke(role="worker")
    before = len(fetches(identities))
    for _ in range(2):
        hook.call(LIST)
    assert len(fetches(identities)) == before + 1


async def test_keys_of_another_loop_replace_those_that_are_due(identities: Identities) -> None:
    """A client that lives long takes over the keys that another call has fetched meanwhile."""
    cache, settings = KeyCache(), identities.settings(identities.ram())
    identities.emulator.configure(token_lifetime=4)
    async with ImsClient(settings, key_cache=cache) as client, ImsClient(settings, key_cache=cache) as other:
        old = await client.keys.current()
        assert await other.keys.current() == old
        identities.emulator.configure(token_lifetime=3600)
        other.keys.refuse(old, EXPIRED)
        new = await other.keys.current()
        assert new != old
        # Not yet: the keys of this client were not refused, and are not due.
        assert await client.keys.current() == old
        await asyncio.sleep(3.1)
        assert await client.keys.current() == new
    assert fetches(identities) == ["OK", "OK"]


async def test_number_of_shared_keys_is_limited(identities: Identities) -> None:
    """Keys of 64 credentials are kept, those that were fetched last."""
    cache = KeyCache()
    numbers = [*range(67)]
    for number in [*numbers, 66, 3, 0]:
        credentials = identities.ram(session_name=f"session-{number}")
        async with ImsClient(identities.settings(credentials), key_cache=cache) as client:
            await client.keys.current()
        assert len(cache) <= 64
    assert len(fetches(identities)) == len(numbers) + 1


async def test_keys_without_an_expiry_are_not_shared(identities: Identities) -> None:
    """Keys of a profile's file are read again by each client: the file may have others now."""
    cache, settings = KeyCache(), identities.settings(Profile())
    file = identities.home / ".alibabacloud" / "credentials.ini"
    file.parent.mkdir()
    for name in ("first", "second"):
        file.write_text(
            f"[default]\nenable = true\ntype = access_key\naccess_key_id = {name}\naccess_key_secret = secret\n"
        )
        async with ImsClient(settings, key_cache=cache) as client:
            assert (await client.keys.current()).key_id == name
    assert len(cache) == 0


FORK = """
import os, time
from airflow_provider_ims.api.credentials import _HeldKey, shared_keys
from airflow_provider_ims.api.fetch import FetchedKey
from airflow_provider_ims.connection.access_key import AccessKey
from airflow_provider_ims.connection.credentials import CredentialsUri
held = _HeldKey.of(FetchedKey(AccessKey("id", "secret", "token"), time.time() + 60))
shared_keys.put(CredentialsUri("https://example.com"), held)
if os.fork() == 0:
    os._exit(len(shared_keys))
print(len(shared_keys), os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_forked_process_fetches_its_own_keys() -> None:
    """A forked process has no keys of its parent: its own supervisor has to mask them in its log."""
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "1 0"
