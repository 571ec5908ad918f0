"""STS: its actions, limits and errors, called in the RPC style and with the signature of IMS."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_ims.emulator.process import EmulatorProcess

ACCOUNT = "1234567890123456"
ROLE = f"acs:ram::{ACCOUNT}:role/worker"
ASSUME = {"RoleArn": ROLE, "RoleSessionName": "airflow"}
STS = {"x-acs-version": "2015-04-01"}
LIST = "QueryCopyrightJobList"
ALLOW_ALL = {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def stamp(offset: float = 0) -> str:
    """Return a date near now in the format of the protocol."""
    return (datetime.now(UTC) + timedelta(seconds=offset)).strftime("%Y-%m-%dT%H:%M:%SZ")


def encode(text: str) -> str:
    """Encode a text by the rules of the protocol."""
    return quote(text, safe="")


def rpc(
    emulator: EmulatorProcess,
    action: str,
    parameters: Mapping[str, str | None] | None = None,
    *,
    method: str = "GET",
    secret: str | None = None,
    host: str | None = None,
    signature: str | None = None,
) -> tuple[int, dict[str, Any]]:
    """Call STS in the RPC style. A parameter that is None is left out."""
    given = {
        "AccessKeyId": emulator.access_key_id,
        "Action": action,
        "Format": "JSON",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": uuid.uuid4().hex,
        "SignatureVersion": "1.0",
        "Timestamp": stamp(),
        "Version": "2015-04-01",
        **(parameters or {}),
    }
    all_parameters = {name: value for name, value in given.items() if value is not None}
    query = "&".join(f"{encode(name)}={encode(value)}" for name, value in sorted(all_parameters.items()))
    text = f"{method}&{encode('/')}&{encode(query)}"
    key = f"{secret or emulator.access_key_secret}&".encode()
    right = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha1).digest()).decode()
    if signature != "":
        all_parameters["Signature"] = signature or right
    own = urlsplit(emulator.endpoint).netloc
    connection = http.client.HTTPConnection(own, timeout=10)
    try:
        if method == "GET":
            connection.request("GET", f"/?{urlencode(all_parameters)}", headers={"host": host or own})
        else:
            headers = {"host": host or own, "content-type": "application/x-www-form-urlencoded"}
            connection.request("POST", "/", urlencode(all_parameters), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def keys_from(body: Mapping[str, Any]) -> dict[str, str]:
    """Return what a client signs with, from the response to AssumeRole."""
    names = {"access_key_id": "AccessKeyId", "access_key_secret": "AccessKeySecret", "security_token": "SecurityToken"}
    return {name: body["Credentials"][field] for name, field in names.items()}


@pytest.fixture
def emulator(ims_emulator: EmulatorProcess) -> EmulatorProcess:
    """Return the emulator of the session, with a role."""
    ims_emulator.put_role("worker")
    return ims_emulator


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_role_is_assumed_in_the_rpc_style(emulator: EmulatorProcess, method: str) -> None:
    """AssumeRole returns keys, their expiry and the identity in the service's shape."""
    status, body = rpc(emulator, "AssumeRole", {**ASSUME, "DurationSeconds": "900"}, method=method)

    assert status == 200
    assert body.keys() == {"AssumedRoleUser", "Credentials", "RequestId"}
    assert body["AssumedRoleUser"]["Arn"] == f"{ROLE}/airflow"
    assert re.fullmatch(r"3[0-9]{17}:airflow", body["AssumedRoleUser"]["AssumedRoleId"])
    credentials = body["Credentials"]
    assert credentials.keys() == {"AccessKeyId", "AccessKeySecret", "Expiration", "SecurityToken"}
    assert credentials["AccessKeyId"].startswith("STS.")
    assert stamp(890) <= credentials["Expiration"] <= stamp(901)


def test_a_role_is_assumed_with_the_signature_of_ims(call: Any, connect: Callable[..., Any]) -> None:
    """STS accepts requests with an Authorization header, and IMS accepts the keys."""
    call.emulator.put_role("worker")
    response = call("AssumeRole", ASSUME, headers=STS)

    assert response.status == 200
    assert response.headers["x-acs-request-id"] == response.body["RequestId"]
    assert connect(call.emulator, **keys_from(response.body))(LIST).status == 200


@pytest.mark.parametrize(
    "host", ["sts.aliyuncs.com", "sts.cn-shanghai.aliyuncs.com", "sts-vpc.cn-shanghai.aliyuncs.com:443"]
)
def test_sts_is_recognized_by_its_host(emulator: EmulatorProcess, host: str) -> None:
    """A request with a host of STS is one to STS, so it must have the version of STS."""
    status, body = rpc(emulator, "GetCallerIdentity", {"Version": "2020-11-09"}, host=host)

    assert (status, body["Code"], body["HostId"]) == (404, "InvalidVersion", host)


def test_an_unknown_action_is_refused(emulator: EmulatorProcess) -> None:
    """An action that STS does not have is 404, also if IMS has it."""
    status, body = rpc(emulator, LIST)

    assert (status, body["Code"]) == (404, "InvalidAction.NotFound")
    assert body.keys() == {"RequestId", "HostId", "Code", "Message", "Recommend"}
    assert "product=Sts" in body["Recommend"]


def test_ims_does_not_accept_the_rpc_style(emulator: EmulatorProcess) -> None:
    """A request to IMS without headers of its protocol is refused."""
    assert rpc(emulator, LIST, {"Version": "2020-11-09"})[1]["Code"] == "InvalidAction.NotFound"


def test_the_identity_of_the_fixed_key(emulator: EmulatorProcess) -> None:
    """GetCallerIdentity returns the RAM user of the fixed key."""
    _, body = rpc(emulator, "GetCallerIdentity")

    assert body == {
        "IdentityType": "RAMUser",
        "AccountId": ACCOUNT,
        "UserId": body["PrincipalId"],
        "PrincipalId": body["UserId"],
        "Arn": f"acs:ram::{ACCOUNT}:user/emulator",
        "RequestId": body["RequestId"],
    }


def test_the_identity_of_a_role(call: Any, connect: Callable[..., Any]) -> None:
    """GetCallerIdentity returns the session of a role."""
    call.emulator.put_role("acs:ram::42:role/other")
    keys = keys_from(call("AssumeRole", {**ASSUME, "RoleArn": "acs:ram::42:role/other"}, headers=STS).body)
    body = connect(call.emulator, **keys)("GetCallerIdentity", headers=STS).body

    assert body == {
        "IdentityType": "AssumedRoleUser",
        "AccountId": "42",
        "RoleId": body["RoleId"],
        "PrincipalId": f"{body['RoleId']}:airflow",
        "Arn": "acs:ram::42:assumed-role/other/airflow",
        "RequestId": body["RequestId"],
    }


def test_rpc_parameters_are_encoded_by_rfc_3986(emulator: EmulatorProcess) -> None:
    """Reserved and non-ASCII characters and empty values have a correct signature."""
    assert rpc(emulator, "GetCallerIdentity", {"a name 水": "-_.~ !*'();:@&=+$,/?#[]%20 水印", "b": ""})[0] == 200


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"AccessKeyId": None}, 400, "MissingAccessKeyId"),
        ({"SignatureNonce": None}, 400, "MissingSignatureNonce"),
        ({"Timestamp": None}, 400, "MissingTimestamp"),
        ({"SignatureMethod": "HMAC-MD5"}, 400, "IncompleteSignature"),
        ({"SignatureVersion": "2.0"}, 400, "IncompleteSignature"),
        ({"Timestamp": "yesterday"}, 400, "InvalidTimeStamp.Format"),
        ({"Timestamp": "2024-01-01T00:00:00Z"}, 400, "InvalidTimeStamp.Expired"),
        ({"AccessKeyId": "nobody"}, 404, "InvalidAccessKeyId.NotFound"),
        ({"SecurityToken": "odd"}, 400, "InvalidSecurityToken.MismatchWithAccessKey"),
    ],
)
def test_odd_rpc_signatures_are_refused(
    emulator: EmulatorProcess, changes: dict[str, str | None], status: int, code: str
) -> None:
    """A signature that lacks a part, or names another method, time or key, is refused with the gateway's code."""
    response, body = rpc(emulator, "GetCallerIdentity", changes)

    assert (response, body["Code"]) == (status, code)


def test_a_missing_signature_is_refused(emulator: EmulatorProcess) -> None:
    """A request without a signature is refused."""
    assert rpc(emulator, "GetCallerIdentity", signature="")[1]["Code"] == "MissingSignature"


@pytest.mark.parametrize("arguments", [{"secret": "wrong"}, {"signature": "b2Rk"}, {"signature": "水"}])
def test_a_wrong_rpc_signature_is_refused(emulator: EmulatorProcess, arguments: dict[str, str]) -> None:
    """The error for a wrong signature shows the text that the server signs, and no secret."""
    status, body = rpc(emulator, "GetCallerIdentity", **arguments)  # type: ignore[arg-type]

    assert (status, body["Code"]) == (400, "SignatureDoesNotMatch")
    assert "server string to sign is:GET&%2F&AccessKeyId%3Demulator-access-key-id%26Action" in body["Message"]
    assert emulator.access_key_secret not in body["Message"]


def test_a_nonce_is_accepted_once_in_both_styles(call: Any) -> None:
    """The nonces of both styles are in one store."""
    assert rpc(call.emulator, "GetCallerIdentity", {"SignatureNonce": "once"})[0] == 200
    assert rpc(call.emulator, "GetCallerIdentity", {"SignatureNonce": "once"})[1]["Code"] == "SignatureNonceUsed"
    assert call(LIST, headers={"x-acs-signature-nonce": "once"}).body["Code"] == "SignatureNonceUsed"


@pytest.mark.parametrize(
    ("changes", "status", "code", "message"),
    [
        ({"RoleArn": None}, 400, "MissingRoleArn", "RoleArn is mandatory"),
        ({"RoleArn": "worker"}, 400, "InvalidParameter.RoleArn", "The parameter RoleArn is wrongly formed."),
        ({"RoleArn": f"acs:ram::{ACCOUNT}:user/worker"}, 400, "InvalidParameter.RoleArn", "wrongly formed"),
        ({"RoleArn": f"{ROLE}\n"}, 400, "InvalidParameter.RoleArn", "wrongly formed"),
        ({"RoleArn": f"{ROLE}s"}, 404, "EntityNotExist.Role", "The specified Role not exists ."),
        ({"RoleSessionName": None}, 400, "MissingRoleSessionName", "mandatory"),
        ({"RoleSessionName": "a"}, 400, "InvalidParameter.RoleSessionName", "RoleSessionName is wrongly formed."),
        ({"RoleSessionName": "a" * 65}, 400, "InvalidParameter.RoleSessionName", "wrongly formed"),
        ({"RoleSessionName": "忍者"}, 400, "InvalidParameter.RoleSessionName", "wrongly formed"),
        ({"DurationSeconds": "899"}, 400, "InvalidParameter.DurationSeconds", "is 15min/1hr."),
        ({"DurationSeconds": "3601"}, 400, "InvalidParameter.DurationSeconds", "15min/1hr"),
        ({"DurationSeconds": "-900"}, 400, "InvalidParameter.DurationSeconds", "15min/1hr"),
        ({"DurationSeconds": "9" * 9999}, 400, "InvalidParameter.DurationSeconds", "15min/1hr"),
        ({"DurationSeconds": "\u0661\u0662\u0663\u0664"}, 400, "InvalidParameter.DurationSeconds", "15min/1hr"),
        ({"ExternalId": "?"}, 400, "InvalidParameter.ExternalId", "The parameter ExternalId is wrongly formed."),
        ({"Policy": "{"}, 400, "InvalidParameter.PolicyGrammar", "has not passed grammar check."),
        ({"Policy": "[" * 1000}, 400, "InvalidParameter.PolicyGrammar", "grammar check"),
        ({"Policy": '{"Version": "1"}'}, 400, "InvalidParameter.PolicyGrammar", "grammar check"),
        ({"Policy": '{"Version": "1", "Statement": [1]}'}, 400, "InvalidParameter.PolicyGrammar", "grammar check"),
        (
            {"Policy": '{"Version": "1", "Statement": [{"Effect": [], "Action": 1}]}'},
            400,
            "InvalidParameter.PolicyGrammar",
            "grammar check",
        ),
        (
            {"Policy": json.dumps({**ALLOW_ALL, "a": "x" * 2048})},
            400,
            "InvalidParameter.PolicySize",
            "The size of Policy must be smaller than 2048 bytes.",
        ),
    ],
    ids=lambda value: repr(value)[:60] if isinstance(value, dict) else "",
)
def test_odd_parameters_are_refused(
    emulator: EmulatorProcess, changes: dict[str, str | None], status: int, code: str, message: str
) -> None:
    """Parameters out of the documented limits are refused with the documented codes, and give no keys."""
    response, body = rpc(emulator, "AssumeRole", {**ASSUME, **changes}, method="POST")

    assert (response, body["Code"]) == (status, code)
    assert message in body["Message"]
    assert len(emulator.access_keys()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"RoleSessionName": "a_b.c@d-1"},
        {"RoleSessionName": "a" * 64},
        {"ExternalId": "=,.@:/-_x"},
        {"DurationSeconds": "7200"},
        {"Policy": json.dumps(ALLOW_ALL)},
        {"Policy": ""},
    ],
    ids=str,
)
def test_parameters_at_the_limits_are_accepted(emulator: EmulatorProcess, changes: dict[str, str]) -> None:
    """Parameters at the documented limits are accepted."""
    emulator.put_role("worker", max_session_duration=7200)

    assert rpc(emulator, "AssumeRole", {**ASSUME, **changes})[0] == 200


@pytest.mark.parametrize(
    ("role", "parameters"),
    [
        ({"external_id": "an-id"}, {}),
        ({"external_id": "an-id"}, {"ExternalId": "another"}),
        ({"trusted": []}, {}),
        ({"trusted": ["somebody", f"acs:ram::{ACCOUNT}:role/emulator"]}, {}),
    ],
)
def test_a_trust_policy_can_refuse_a_caller(
    emulator: EmulatorProcess, role: dict[str, Any], parameters: dict[str, str]
) -> None:
    """A caller that the role does not trust, or another external id, lacks the permission, with details."""
    emulator.put_role("worker", **role)
    status, body = rpc(emulator, "AssumeRole", {**ASSUME, **parameters})

    assert (status, body["Code"]) == (403, "NoPermission")
    assert body["Message"] == "You are not authorized to do this action. You should be authorized by RAM."
    detail = body["AccessDeniedDetail"]
    assert (detail["PolicyType"], detail["AuthAction"]) == ("AssumeRolePolicy", "sts:AssumeRole")


@pytest.mark.parametrize("name", ["emulator", f"acs:ram::{ACCOUNT}:user/emulator"])
def test_a_trust_policy_can_name_the_caller(emulator: EmulatorProcess, name: str) -> None:
    """A caller that the role trusts, by name or by resource name, may assume it."""
    emulator.put_role("worker", trusted=[name])

    assert rpc(emulator, "AssumeRole", ASSUME)[0] == 200


@pytest.mark.parametrize(
    ("action", "effect", "status"),
    [
        ("*", "Allow", 200),
        ("ice:*", "Allow", 200),
        (["oss:*", "ICE:querycopyrightjoblist"], "Allow", 200),
        ("oss:*", "Allow", 403),
        ("ice:*", "Deny", 403),
    ],
)
def test_a_session_policy_limits_the_keys(
    call: Any, connect: Callable[..., Any], action: object, effect: str, status: int
) -> None:
    """Keys may do what the policy of their request allows."""
    call.emulator.put_role("worker")
    policy = {"Version": "1", "Statement": [{"Effect": effect, "Action": action, "Resource": "*"}]}
    keys = keys_from(call("AssumeRole", {**ASSUME, "Policy": json.dumps(policy)}, headers=STS).body)
    response = connect(call.emulator, **keys)(LIST)

    assert response.status == status
    if status == 403:
        detail = response.body["AccessDeniedDetail"]
        assert (response.body["Code"], detail["PolicyType"]) == ("NoPermission", "SessionPolicy")
        assert detail["AuthAction"] == f"ice:{LIST}"
        assert connect(call.emulator, **keys)("GetCallerIdentity", headers=STS).status == 200
