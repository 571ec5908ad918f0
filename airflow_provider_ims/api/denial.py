"""What the response to a refused request says beside its code: who lacks which permission, and how wrong the clock is.

Pure, as the protocol is. Loaded only if a request was refused.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.api.redact import log_text

if TYPE_CHECKING:
    from collections.abc import Mapping

_RAM_ACTION = re.compile(r"[a-z][a-z0-9-]{0,30}:[A-Za-z][A-Za-z0-9]{0,99}")
_NAME = re.compile(r"[\w.@:/+=,-]{1,200}", re.ASCII)
_KINDS = {"SubUser": "the RAM user", "AssumedRoleUser": "the RAM role", "Federated": "the identity provider"}
"""What RAM calls the kinds of identities, and what a sentence calls them."""
_MINUTE = 60.0
_TRUST_POLICY = "AssumeRolePolicy"


def advice_about_permission(content: Mapping[str, Any]) -> str | None:
    """Return which RAM action has to be granted to whom; None if the response does not say so.

    :param content: the body of the response. Services of Alibaba Cloud add an ``AccessDeniedDetail`` to it.
    """
    detail = content.get("AccessDeniedDetail")
    detail = detail if isinstance(detail, dict) else {}
    action = _text(detail, "AuthAction", _RAM_ACTION)
    if action is None or detail.get("PolicyType") == _TRUST_POLICY:
        return None
    name = _text(detail, "AuthPrincipalDisplayName", _NAME)
    account = _text(detail, "AuthPrincipalOwnerId", _NAME)
    identity = "the identity of the connection"
    if name:
        # A role comes with the name of its session.
        identity = f"{_KINDS.get(str(detail.get('AuthPrincipalType')), 'the identity')} {name.partition(':')[0]}"
        identity += f" of the account {account}" if account else ""
    return f"Grant the RAM action {action} on the resource * to {identity}."


def advice_about_clock(code: str | None, headers: Mapping[str, str], sent_at: float | None) -> str | None:
    """Return by how much the clock of this machine is wrong; None if that is not what the response is about.

    :param code: the error code of the response
    :param headers: its headers. ``Date`` is the time of the service.
    :param sent_at: the time at which the request was signed, in seconds since the epoch
    """
    if sent_at is None or not (code or "").startswith("InvalidTimeStamp"):
        return None
    try:
        ahead = sent_at - parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    # A date of another format is refused too: then the clock is right.
    if abs(ahead) < _MINUTE:
        return None
    direction = "ahead of" if ahead > 0 else "behind"
    return f"Set the clock of this machine: it is {_duration(abs(ahead))} {direction} that of the service."


def _text(detail: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str | None:
    value = detail.get(name)
    return log_text(value) if isinstance(value, str) and pattern.fullmatch(value) else None


def _duration(seconds: float) -> str:
    minutes = round(seconds / _MINUTE)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:  # noqa: PLR2004 - two days
        return f"{hours // 24} days"
    parts = [f"{hours} h"] if hours else []
    return " ".join([*parts, f"{minutes} min"] if minutes or not parts else parts)
