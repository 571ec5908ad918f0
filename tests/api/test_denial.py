"""What an error says beside its code: which permission is missing, and how wrong the clock is."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any

import pytest

from airflow_provider_ims.api.protocol import ApiRequest, decode
from airflow_provider_ims.exceptions import ImsCredentialsError

NOW = 1_800_000_000.0
DETAIL = {
    "AuthAction": "ice:QueryX",
    "AuthPrincipalType": "SubUser",
    "AuthPrincipalDisplayName": "2000",
    "AuthPrincipalOwnerId": "1234",
    "PolicyType": "AccountLevelIdentityBasedPolicy",
}


def advice(code: str, *, headers: dict[str, str] | None = None, sent_at: float | None = NOW, **content: Any) -> str:
    """Return the advice of the error of a response."""
    body = {"RequestId": "R", "Code": code, "Message": "m", **content}
    with pytest.raises(ImsCredentialsError) as caught:
        decode(
            ApiRequest("QueryX", {}),
            region="cn-shanghai",
            status=403,
            headers=headers or {},
            body=json.dumps(body).encode(),
            redact=str,
            sent_at=sent_at,
        )
    return caught.value.advice


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "ice:QueryX on the resource * to the RAM user 2000 of the account 1234."),
        ({"AuthAction": "oss:GetObject"}, "oss:GetObject on the resource * to the RAM user 2000 of the account 1234."),
        (
            {"AuthPrincipalType": "AssumedRoleUser", "AuthPrincipalDisplayName": "ims:session"},
            "ice:QueryX on the resource * to the RAM role ims of the account 1234.",
        ),
        ({"AuthPrincipalType": "New"}, "ice:QueryX on the resource * to the identity 2000 of the account 1234."),
        ({"AuthPrincipalOwnerId": None}, "ice:QueryX on the resource * to the RAM user 2000."),
        ({"AuthPrincipalDisplayName": "<b> x"}, "ice:QueryX on the resource * to the identity of the connection."),
        ({"AuthAction": "<b>"}, "ice:QueryX on the resource * to the identity of the connection."),
        ({"PolicyType": "AssumeRolePolicy"}, "ice:QueryX on the resource * to the identity of the connection."),
    ],
)
def test_missing_permission_names_action_and_identity(changes: dict[str, Any], expected: str) -> None:
    """The advice names the action and the identity of AccessDeniedDetail, and only if they look like that."""
    assert advice("NoPermission", AccessDeniedDetail={**DETAIL, **changes}) == f"Grant the RAM action {expected}"


@pytest.mark.parametrize("detail", [None, [], "x", {}])
def test_detail_of_another_form_is_ignored(detail: object) -> None:
    """Without a usable AccessDeniedDetail, the advice names the action of the call."""
    expected = "Grant the RAM action ice:QueryX on the resource * to the identity of the connection."
    assert advice("NoPermission", AccessDeniedDetail=detail) == expected


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (-1000, "it is 17 min behind that of the service."),
        (1000, "it is 17 min ahead of that of the service."),
        (-3600, "it is 1 h behind that of the service."),
        (5430, "it is 1 h 30 min ahead of that of the service."),
        (-200_000, "it is 2 days behind that of the service."),
    ],
)
def test_clock_skew_is_that_between_request_and_response(offset: float, expected: str) -> None:
    """The advice says by how much the clock of this machine is wrong."""
    headers = {"Date": formatdate(NOW, usegmt=True)}
    text = advice("InvalidTimeStamp.Expired", headers=headers, sent_at=NOW + offset)
    assert text == f"Set the clock of this machine: {expected}"


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 99 Jan 2027 00:00:00 GMT", formatdate(NOW, usegmt=True)])
def test_clock_skew_is_not_invented(date: str) -> None:
    """Without a usable date, or with the right time, the advice does not say by how much the clock is wrong."""
    text = advice("InvalidTimeStamp.Expired", headers={"Date": date})
    assert text == "Set the clock of this machine: it is more than 15 minutes off."


def test_date_matters_only_for_a_refused_time() -> None:
    """Another refusal says nothing about the clock."""
    text = advice("SignatureDoesNotMatch", headers={"Date": formatdate(NOW + 9999, usegmt=True)})
    assert "clock" not in text
