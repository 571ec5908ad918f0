"""The access keys of the emulator: expiry, revocation, rotation, permissions, the clock, and the control API."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.emulator.keys import FIXED_CALLER, Credentials, Expiry, KeyStore
from airflow_provider_ims.emulator.process import EmulatorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess

LIST = "QueryCopyrightJobList"
SUBMIT = "SubmitCopyrightExtractJob"
FIXED = "emulator-access-key-id"
EXPIRED = (400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")


@pytest.fixture
def new_keys(ims_emulator: EmulatorProcess) -> Callable[[str], dict[str, str]]:
    """Return a function that gets keys of a role."""

    def get(role: str = "worker") -> dict[str, str]:
        uri = ims_emulator.put_credentials_uri("keys", role=role)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(uri, timeout=10) as response:
            body = json.load(response)
        return {
            "access_key_id": body["AccessKeyId"],
            "access_key_secret": body["AccessKeySecret"],
            "security_token": body["SecurityToken"],
        }

    return get


def code_of(response: Any) -> str:
    """Return the error code of a response, OK if there is none."""
    code: str = response.body.get("Code", "OK")
    return code


def test_a_key_expires_in_real_time(
    ims_emulator: EmulatorProcess, connect: Callable[..., Any], new_keys: Callable[[], dict[str, str]]
) -> None:
    """A short-lived key is accepted, and some time later it is expired. The clock of the jobs does not count."""
    ims_emulator.configure(token_lifetime=0.7)
    start = time.monotonic()
    call = connect(ims_emulator, **new_keys())
    ims_emulator.advance(3600)
    assert call(LIST).status == 200

    while (response := call(LIST)).status == 200:
        assert time.monotonic() - start < 10
    assert response.error == EXPIRED
    assert time.monotonic() - start >= 0.7
    assert ims_emulator.access_keys()[1]["state"] == "expired"


def test_a_key_can_expire_before_its_stated_expiry(
    ims_emulator: EmulatorProcess, connect: Callable[..., Any], new_keys: Callable[[], dict[str, str]]
) -> None:
    """The response with a key can state another expiry than the one that counts."""
    ims_emulator.configure(token_lifetime=0, stated_lifetime=3600)
    uri = ims_emulator.put_credentials_uri("mine")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(uri, timeout=10) as response:
        stated = datetime.fromisoformat(json.load(response)["Expiration"])

    assert 3500 < (stated - datetime.now(UTC)).total_seconds() <= 3600
    assert ims_emulator.access_keys()[1]["state"] == "expired"
    assert connect(ims_emulator, **new_keys())(LIST).error == EXPIRED


def test_the_lifetime_is_that_of_the_request_again(ims_emulator: EmulatorProcess) -> None:
    """The setting for the lifetime can be unset, and other changes keep it."""
    ims_emulator.configure(token_lifetime=3)
    ims_emulator.configure(processing_time=1)
    assert setting(ims_emulator, "token_lifetime") == 3
    ims_emulator.configure(token_lifetime=None)
    assert setting(ims_emulator, "token_lifetime") is None


def setting(emulator: EmulatorProcess, name: str) -> Any:
    """Return a setting."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{emulator.endpoint}/_emulator/settings", timeout=10) as response:
        return json.load(response)[name]


@pytest.mark.parametrize(
    ("token", "error"),
    [
        (None, (400, "MissingSecurityToken")),
        ("odd", (400, "InvalidSecurityToken.Malformed")),
        ("other", (400, "InvalidSecurityToken.MismatchWithAccessKey")),
    ],
)
def test_the_token_must_be_that_of_the_key(
    ims_emulator: EmulatorProcess,
    connect: Callable[..., Any],
    new_keys: Callable[[], dict[str, str]],
    token: str | None,
    error: tuple[int, str],
) -> None:
    """A temporary key without its token, with an odd one or with that of another key is refused."""
    other, keys = new_keys(), new_keys()
    del keys["security_token"]
    if token is not None:
        keys["security_token"] = other["security_token"] if token == "other" else token

    assert connect(ims_emulator, **keys)(LIST).error[:2] == error


def test_tokens_need_encoding(new_keys: Callable[[], dict[str, str]]) -> None:
    """Tokens have the characters of Base64 that a client must encode in a query string."""
    tokens = "".join(new_keys()["security_token"] for _ in range(20))

    assert {"+", "/", "="} <= set(tokens)


def test_all_keys_of_a_role_are_revoked(
    ims_emulator: EmulatorProcess, connect: Callable[..., Any], new_keys: Callable[..., dict[str, str]]
) -> None:
    """A revocation for a role refuses its keys, not those of another role or later ones."""
    first, second, other = connect(ims_emulator, **new_keys()), connect(ims_emulator, **new_keys()), new_keys("other")

    assert ims_emulator.revoke(role="worker") == 2
    assert first(LIST).error == second(LIST).error == EXPIRED
    assert connect(ims_emulator, **other)(LIST).status == 200
    assert connect(ims_emulator, **new_keys())(LIST).status == 200
    assert connect(ims_emulator)(LIST).status == 200


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("InvalidSecurityToken.Expired", 400),
        ("InvalidSecurityToken.Malformed", 400),
        ("InvalidAccessKeyId.NotFound", 404),
        ("InvalidAccessKeyId.Inactive", 400),
    ],
)
def test_one_key_is_revoked_with_a_code(
    ims_emulator: EmulatorProcess,
    connect: Callable[..., Any],
    new_keys: Callable[[], dict[str, str]],
    code: str,
    status: int,
) -> None:
    """A revoked key is refused with the code of the revocation."""
    kept, keys = new_keys(), new_keys()

    assert ims_emulator.revoke(access_key_id=keys["access_key_id"], code=code) == 1
    assert connect(ims_emulator, **keys)(LIST).error[:2] == (status, code)
    assert connect(ims_emulator, **kept)(LIST).status == 200
    assert [key["state"] for key in ims_emulator.access_keys()] == ["active", "active", code]


def test_the_fixed_key_can_be_revoked(call: Any) -> None:
    """A revoked fixed key counts as disabled, until a reset."""
    call.emulator.revoke(access_key_id=FIXED)
    assert call(LIST).error == (400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")

    call.emulator.reset()
    assert call(LIST).status == 200


@pytest.mark.parametrize(
    ("old", "code"),
    [("deleted", "InvalidAccessKeyId.NotFound"), ("inactive", "InvalidAccessKeyId.Inactive"), ("active", "OK")],
)
def test_the_fixed_key_is_rotated(
    ims_emulator: EmulatorProcess, connect: Callable[..., Any], old: str, code: str
) -> None:
    """After a rotation the connection has the new key, and the old one is gone, disabled or still active."""
    before = {"access_key_id": ims_emulator.access_key_id, "access_key_secret": ims_emulator.access_key_secret}
    ims_emulator.rotate_key("new-id", "new-secret", security_token="new-token", old=old)
    connection = ims_emulator.connection()

    assert (connection["login"], connection["password"]) == ("new-id", "new-secret")
    assert connection["extra"]["security_token"] == "new-token"
    assert code_of(connect(ims_emulator, **before)(LIST)) == code
    new = {"access_key_id": "new-id", "access_key_secret": "new-secret", "security_token": "new-token"}
    assert connect(ims_emulator, **new)(LIST).status == 200
    assert [key["identity"] for key in ims_emulator.access_keys()] == [FIXED_CALLER.arn] * 2

    ims_emulator.reset()
    assert ims_emulator.connection()["login"] == FIXED
    assert connect(ims_emulator, **before)(LIST).status == 200
    assert code_of(connect(ims_emulator, **new)(LIST)) == "InvalidAccessKeyId.NotFound"


def test_a_rotation_can_change_the_secret_only(ims_emulator: EmulatorProcess, connect: Callable[..., Any]) -> None:
    """If the new key has the id of the old one, the old secret no longer fits."""
    before = {"access_key_id": FIXED, "access_key_secret": ims_emulator.access_key_secret}
    ims_emulator.rotate_key(FIXED, "new-secret")

    assert code_of(connect(ims_emulator, **before)(LIST)) == "SignatureDoesNotMatch"
    assert connect(ims_emulator)(LIST).status == 200


@pytest.mark.parametrize("code", ["NoPermission", "Forbidden.RAM"])
def test_an_action_is_denied(call: Any, code: str) -> None:
    """A denied action is 403 with details, makes no job, and works again when it is allowed."""
    call.emulator.deny(SUBMIT, code=code)
    response = call.submit()

    assert response.error[:2] == (403, code)
    detail = response.body["AccessDeniedDetail"]
    assert detail.pop("EncodedDiagnosticMessage")
    assert detail == {
        "AuthAction": f"ice:{SUBMIT}",
        "AuthPrincipalDisplayName": FIXED_CALLER.entity_id,
        "AuthPrincipalOwnerId": "1234567890123456",
        "AuthPrincipalType": "SubUser",
        "NoPermissionType": "ImplicitDeny",
        "PolicyType": "AccountLevelIdentityBasedPolicy",
    }
    assert call.emulator.jobs() == []
    assert call(LIST).status == 200
    assert call.emulator.denials() == [{"action": SUBMIT, "identity": None, "code": code}]

    call.emulator.allow(SUBMIT)
    assert call.submit().status == 200


@pytest.mark.parametrize(
    ("identity", "fixed", "temporary"),
    [
        (None, 403, 403),
        ("emulator", 403, 200),
        ("acs:ram::1234567890123456:user/emulator", 403, 200),
        ("worker", 200, 403),
        ("acs:ram::1234567890123456:role/worker", 200, 403),
        ("acs:ram::1234567890123456:assumed-role/worker/i-emulator", 200, 403),
        ("other", 200, 200),
    ],
)
def test_a_denial_can_name_an_identity(
    ims_emulator: EmulatorProcess,
    connect: Callable[..., Any],
    new_keys: Callable[[], dict[str, str]],
    identity: str | None,
    fixed: int,
    temporary: int,
) -> None:
    """A denial hits a user, a role or a session, by name or resource name, or all."""
    keys = new_keys()
    ims_emulator.deny("*", identity=identity)

    assert connect(ims_emulator)(LIST).status == fixed
    assert connect(ims_emulator, **keys)(LIST).status == temporary
    assert connect(ims_emulator)("GetCallerIdentity", headers={"x-acs-version": "2015-04-01"}).status == 200


def test_the_signature_is_checked_before_the_permission(call: Any) -> None:
    """A request with a wrong signature does not learn about permissions."""
    call.emulator.deny(LIST)

    assert call(LIST, secret="wrong").body["Code"] == "SignatureDoesNotMatch"


def test_assume_role_can_be_denied(call: Any) -> None:
    """A denied AssumeRole is 403, with the action of RAM."""
    call.emulator.put_role("worker")
    call.emulator.deny("AssumeRole")
    parameters = {"RoleArn": "acs:ram::1234567890123456:role/worker", "RoleSessionName": "airflow"}
    response = call("AssumeRole", parameters, headers={"x-acs-version": "2015-04-01"})

    assert response.error[:2] == (403, "NoPermission")
    assert response.body["AccessDeniedDetail"]["AuthAction"] == "sts:AssumeRole"


@pytest.mark.parametrize("skew", [-1000, 1000])
def test_the_clock_of_the_server_can_be_off(call: Any, skew: int) -> None:
    """With a clock that is off by more than 15 minutes the server refuses all requests; the header Date shows it."""
    call.emulator.configure(clock_skew=skew)
    response = call(LIST)

    assert response.error[:2] == (400, "InvalidTimeStamp.Expired")
    assert abs(parsedate_to_datetime(response.headers["date"]).timestamp() - time.time() - skew) < 60
    call.emulator.configure(clock_skew=0)
    assert call(LIST).status == 200


@pytest.mark.parametrize("skew", [-10_000_000_000, 10_000_000_000])
def test_a_clock_at_its_limits_breaks_nothing(ims_emulator: EmulatorProcess, call: Any, skew: float) -> None:
    """Dates of tokens and of responses exist for every skew that is accepted."""
    ims_emulator.configure(clock_skew=skew, token_lifetime=10_000_000_000)
    ims_emulator.put_instance_role("worker")
    ims_emulator.put_oidc_provider("ack")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"{ims_emulator.endpoint}/latest/meta-data/ram/security-credentials/worker"
    with opener.open(url, timeout=10) as response:
        assert json.load(response)["Code"] == "Success"

    assert ims_emulator.oidc_token("ack", lifetime=10_000_000_000)
    assert ims_emulator.access_keys()[1]["expiration"]
    assert call(LIST).body["Code"] == "InvalidTimeStamp.Expired"


def test_the_log_contains_no_secret(
    call: Any, connect: Callable[..., Any], new_keys: Callable[[], dict[str, str]]
) -> None:
    """No secret or token of a key, no OIDC token and no token of the metadata service is in log, page or lists."""
    emulator = call.emulator
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    emulator.put_role("worker", external_id="an-id")
    emulator.put_oidc_provider("ack")
    emulator.put_instance_role("worker")
    emulator.rotate_key("new-id", "new-secret")
    keys, token = new_keys(), emulator.oidc_token("ack")
    connect(emulator, **keys)(LIST)
    connect(emulator, **keys)(LIST, {"SecurityToken": keys["security_token"]}, secret="wrong")
    query = f"Action=AssumeRoleWithOIDC&Version=2015-04-01&OIDCToken={token}"
    for url in (f"/?{query}", f"/credentials/keys?token={token}", "/latest/meta-data/ram/security-credentials/worker"):
        try:
            opener.open(emulator.endpoint + url, timeout=10).close()
        except urllib.error.HTTPError as error:
            error.close()
    headers = {"X-aliyun-ecs-metadata-token-ttl-seconds": "60"}
    request = urllib.request.Request(f"{emulator.endpoint}/latest/api/token", method="PUT", headers=headers)
    with opener.open(request, timeout=10) as response:
        metadata_token = response.read().decode()

    shown = [emulator.requests(), emulator.access_keys(), emulator.roles(), emulator.oidc_providers()]
    with opener.open(f"{emulator.endpoint}/_emulator", timeout=10) as response:
        text = json.dumps(shown) + response.read().decode()
    assert len(emulator.requests()) == 7
    for secret in (keys["access_key_secret"], keys["security_token"], token, metadata_token, "new-secret"):
        assert secret not in text


@pytest.mark.parametrize(
    ("method", "path", "body", "error"),
    [
        ("PUT", "/roles", "[]", "a role must be a JSON object"),
        ("PUT", "/roles", "{}", "name is required"),
        ("PUT", "/roles", '{"name": "a b"}', "the name must have letters, digits"),
        ("PUT", "/roles", '{"name": "acs:ram::1:user/a"}', "the name must have letters, digits"),
        ("PUT", "/roles", json.dumps({"name": "a" * 65}), "the name must have letters, digits"),
        ("PUT", "/roles", '{"name": "a", "max_session_duration": 3599}', "max_session_duration must be 3600 or more"),
        ("PUT", "/roles", '{"name": "a", "max_session_duration": 43201}', "max_session_duration must be 43200 or less"),
        ("PUT", "/roles", '{"name": "a", "trusted": "b"}', "trusted must be a list of strings"),
        ("PUT", "/roles", '{"name": "a", "trusted": [1]}', "trusted must be a list of strings"),
        ("PUT", "/roles", '{"name": "a", "external_id": ""}', "external_id must not be empty"),
        ("PUT", "/roles", '{"name": "a", "secret": 1}', "a role does not take: secret"),
        ("PUT", "/roles", "[" * 100_000, "the body is not JSON: "),
        ("PUT", "/oidc-providers", '{"name": "a/b"}', "the name must have letters, digits"),
        ("PUT", "/oidc-providers", '{"name": "a", "jwks": 1}', "jwks must be an object"),
        ("PUT", "/oidc-providers", '{"name": "a", "client_ids": [""]}', "client_ids must be a list of strings"),
        ("POST", "/oidc-tokens", '{"provider": "a"}', "provider must be an OIDC provider that was put"),
        ("PUT", "/instance-role", '{"role": "a/b"}', "role must have letters, digits"),
        ("PUT", "/instance-role", '{"role": ""}', "role must have letters, digits"),
        ("PUT", "/instance-role", '{"role": "a", "imds_v1": 1}', "imds_v1 must be true or false"),
        ("PUT", "/credentials-uris", '{"name": "a/b"}', "name must have letters, digits"),
        ("PUT", "/credentials-uris", '{"name": "a", "status": 199}', "status must be 200 or more"),
        ("PUT", "/credentials-uris", '{"name": "a", "status": 600}', "status must be 599 or less"),
        ("PUT", "/credentials-uris", json.dumps({"name": "a", "code": "b" * 1025}), "code must be 1,024 characters"),
        ("PUT", "/denials", "{}", "action is required"),
        ("PUT", "/denials", '{"action": "A", "code": "Other"}', "code must be one of: NoPermission, Forbidden.RAM"),
        ("PUT", "/denials", '{"action": "A", "denied": false}', "this action was not denied to this identity"),
        ("POST", "/access-keys/rotate", '{"access_key_id": "a"}', "access_key_secret is required"),
        (
            "POST",
            "/access-keys/rotate",
            '{"access_key_id": "a,b", "access_key_secret": "c"}',
            "access_key_id must have letters, digits",
        ),
        (
            "POST",
            "/access-keys/rotate",
            '{"access_key_id": "a", "access_key_secret": "b", "old": "kept"}',
            "old must be one of: deleted, inactive, active",
        ),
        ("POST", "/access-keys/revoke", "{}", "a revocation needs either role or access_key_id"),
        ("POST", "/access-keys/revoke", '{"role": "a", "access_key_id": "b"}', "a revocation needs either role or"),
        ("POST", "/access-keys/revoke", '{"access_key_id": "b"}', "there is no such access key"),
        ("POST", "/access-keys/revoke", '{"role": "a", "code": "Other"}', "code must be one of: InvalidSecurityToken"),
        ("PATCH", "/settings", '{"token_lifetime": -1}', "token_lifetime must be a number of seconds, 0 or more"),
        ("PATCH", "/settings", '{"token_lifetime": 1e11}', "token_lifetime must be 10,000,000,000 seconds or less"),
        ("PATCH", "/settings", '{"stated_lifetime": "1"}', "stated_lifetime must be a number of seconds"),
        ("PATCH", "/settings", '{"clock_skew": 1e11}', "clock_skew must be 10,000,000,000 seconds or less"),
        ("PATCH", "/settings", '{"clock_skew": -1e11}', "clock_skew must be 10,000,000,000 seconds or less"),
        ("PATCH", "/settings", '{"clock_skew": true}', "clock_skew must be a number of seconds"),
        ("PATCH", "/settings", '{"clock_skew": NaN}', "the body is not JSON: NaN"),
    ],
    ids=lambda value: value[:60],
)
def test_invalid_commands_change_nothing(
    ims_emulator: EmulatorProcess, method: str, path: str, body: str, error: str
) -> None:
    """An invalid command is 400 with its reason, and changes nothing."""
    request = urllib.request.Request(f"{ims_emulator.endpoint}/_emulator{path}", body.encode(), method=method)
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10)

    with raised.value as response:
        assert response.code == 400
        assert json.load(response)["error"].startswith(error)
    nothing = [
        ims_emulator.roles(),
        ims_emulator.oidc_providers(),
        ims_emulator.credentials_uris(),
        ims_emulator.denials(),
    ]
    assert nothing == [[]] * 4
    assert ims_emulator.instance_role()["role"] is None
    assert [(key["access_key_id"], key["state"]) for key in ims_emulator.access_keys()] == [(FIXED, "active")]
    assert (setting(ims_emulator, "clock_skew"), setting(ims_emulator, "token_lifetime")) == (0, None)


def test_issued_keys_have_their_secrets(ims_emulator: EmulatorProcess, new_keys: Callable[[], dict[str, str]]) -> None:
    """A test can learn the secrets of all temporary keys, to search for them; the fixed key is not among them."""
    assert ims_emulator.issued_keys() == []
    keys = new_keys()
    (issued,) = ims_emulator.issued_keys()
    assert issued.pop("Expiration")
    assert list(issued.values()) == [keys["access_key_id"], keys["access_key_secret"], keys["security_token"]]
    ims_emulator.reset()
    assert ims_emulator.issued_keys() == []


def test_reset_deletes_all_identities(ims_emulator: EmulatorProcess, new_keys: Callable[[], dict[str, str]]) -> None:
    """A reset deletes roles, providers, URIs, denials and keys, and restores instance, clock and lifetime."""
    ims_emulator.put_role("worker")
    ims_emulator.put_oidc_provider("ack")
    ims_emulator.put_instance_role("worker", imds_v1=False)
    new_keys()
    ims_emulator.deny("*")
    ims_emulator.configure(clock_skew=1, token_lifetime=1)

    ims_emulator.reset()

    lists = [
        ims_emulator.roles(),
        ims_emulator.oidc_providers(),
        ims_emulator.credentials_uris(),
        ims_emulator.denials(),
    ]
    assert lists == [[]] * 4
    assert ims_emulator.instance_role() == {"role": None, "imds_v1": True}
    assert len(ims_emulator.access_keys()) == 1
    assert (setting(ims_emulator, "clock_skew"), setting(ims_emulator, "token_lifetime")) == (0, None)


def test_a_refused_command_raises_its_reason(ims_emulator: EmulatorProcess) -> None:
    """Methods raise the reason of the emulator."""
    with pytest.raises(EmulatorError, match="this action was not denied to this identity"):
        ims_emulator.allow(LIST)


def test_the_store_is_bounded() -> None:
    """The store keeps 10,000 keys: the fixed one and the latest temporary ones."""
    store = KeyStore(Credentials())
    for _ in range(10_005):
        last = store.issue(FIXED_CALLER, Expiry(1e12, 1e12))
    keys = list(store)

    assert len(keys) == 10_000
    assert keys[0].credentials.access_key_id == FIXED
    assert keys[-1] is last


def test_keys_do_not_show_their_secrets() -> None:
    """The representation of a key contains neither its secret nor its token."""
    key = KeyStore(Credentials()).issue(FIXED_CALLER, Expiry(0, 0))

    assert key.credentials.access_key_secret not in repr(key)
    assert str(key.credentials.security_token) not in repr(key)
