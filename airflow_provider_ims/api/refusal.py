"""What a refused identity means: the same sentence in the error of a task and in the connection test."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the service refused an identity.

    :param problem: what is wrong, with the error code; without a full stop
    :param advice: what to do
    """

    problem: str
    advice: str


@dataclass(frozen=True, slots=True)
class _Rule:
    codes: re.Pattern[str]
    problem: str
    advice: str


# The first rule that matches counts. "{code}" and "{action}" are filled in.
_RULES = (
    _Rule(
        re.compile(r"InvalidAccessKeyId\.Inactive"),
        "Disabled access key: the service knows it, and it is not active ({code})",
        "Check the keys of the connection: enable the access key in the RAM console, or enter another pair.",
    ),
    _Rule(
        re.compile(r"(InvalidAccessKeyId|MissingAccessKeyId)(\..*)?"),
        "Wrong access key ID: the service does not know it ({code})",
        "Check the keys of the connection: enter the pair again, and its STS security token if the pair is temporary.",
    ),
    _Rule(
        re.compile(r"(SignatureDoesNotMatch|IncompleteSignature)(\..*)?"),
        "Wrong access key secret: the signature was refused ({code})",
        "Check the keys of the connection: enter the access key secret again.",
    ),
    _Rule(
        re.compile(r"(InvalidSecurityToken|MissingSecurityToken)(\..*)?"),
        "Wrong STS security token: it has expired, or does not belong to the access key ({code})",
        "Check the keys of the connection: enter a new temporary pair with its token, or empty the token if the pair "
        "is not temporary.",
    ),
    _Rule(
        re.compile(r"InvalidTimeStamp(\..*)?"),
        "Wrong time: the service refused the date of the request ({code})",
        "Set the clock of this machine: it is more than 15 minutes off.",
    ),
    _Rule(
        re.compile(r"(Forbidden|NoPermission|PermissionDenied)(\.RAM|\.NoPermission)?"),
        "Missing permission: the keys are right, and they lack permission ({code})",
        "Grant the RAM action ice:{action} on the resource * to the identity of the connection.",
    ),
)


def explain_refusal(code: str | None, action: str | None) -> Refusal | None:
    """Return why the service refused an identity; None if the code is about something else.

    :param code: the service's error code
    :param action: the API operation that was called
    """
    rule = next((rule for rule in _RULES if code and rule.codes.fullmatch(code)), None)
    if rule is None:
        return None
    return Refusal(rule.problem.format(code=code), rule.advice.format(action=action))
