"""What a refused identity means: the same sentence in the error of a task and in the connection test.

Loaded only if a request was refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_ims.connection.access_key import AccessKey
from airflow_provider_ims.connection.credentials import given_keys

if TYPE_CHECKING:
    from airflow_provider_ims.connection.credentials import Credentials


class Refusal(NamedTuple):
    """Why the service refused an identity.

    :param problem: what is wrong, with the error code; without a full stop
    :param advice: what to do
    """

    problem: str
    advice: str


class _Rule(NamedTuple):
    """What an error code means.

    :param codes: the codes
    :param problem: what is wrong
    :param advice: what to do
    :param is_of_keys: whether the keys are wrong. If they are not in the connection, there is nothing to enter there.
    """

    codes: re.Pattern[str]
    problem: str
    advice: str
    is_of_keys: bool = False


_FETCHED_ADVICE = (
    "These keys are not in the connection: others are fetched for the next call. If the error persists, look at the "
    "role, the profile or the service that the connection names, and whether its sessions were revoked."
)

ASSUME_ROLE = "AssumeRole"
ASSUME_ROLE_WITH_OIDC = "AssumeRoleWithOIDC"

# The first rule that matches counts. "{code}" and "{action}" are filled in. Codes of STS:
# https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-assumerole
# https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-assumerolewithoidc
_STS_RULES = (
    _Rule(
        re.compile(r"EntityNotExist\.Role"),
        "Unknown role: STS does not know the RAM role ({code})",
        "Correct the ARN of the role in the connection, its account included, or create the role in the RAM console.",
    ),
    _Rule(
        re.compile(r"(InvalidParameter|MissingParameter)\.DurationSeconds|InvalidParameter\.Duration.*"),
        "Wrong session duration: the role does not allow it ({code})",
        "Lower the Session duration of the connection, or raise the maximum session duration of the role. A role that "
        "another role assumes has an hour at most.",
    ),
    _Rule(
        re.compile(r"InvalidParameter\.Policy(Grammar|Size)|MalformedPolicy.*"),
        "Wrong session policy: STS refused it ({code})",
        "Correct the Session policy of the connection, or empty it.",
    ),
)
_ASSUME_ROLE_RULES = (
    _Rule(
        re.compile(r"(Forbidden|NoPermission|PermissionDenied)(\..*)?"),
        "Role not assumable: the identity may not assume the RAM role ({code})",
        "Grant sts:AssumeRole on the role to the identity, and name the identity in the trust policy of the role. If "
        "the trust policy requires an ExternalId, give it in the connection.",
    ),
)
_OIDC_RULES = (
    _Rule(
        re.compile(r"AuthenticationFail\.OIDCToken\.Expired"),
        "Expired OIDC token: STS refused it ({code})",
        "Look at what renews the token file on the machine that runs the task, such as the projected volume of the pod "
        "(the file is read again each time), and at the clock of that machine.",
    ),
    _Rule(
        re.compile(r"AuthenticationFail\.OIDCToken\.(AudienceNotMatch|IssuerNotMatch)"),
        "Foreign OIDC token: it is not from or for the OIDC provider of the connection ({code})",
        "Compare issuer and audience of the token with issuer URL and client ids of the OIDC provider in the RAM "
        "console, and the OIDC provider ARN of the connection.",
    ),
    _Rule(
        re.compile(r"AuthenticationFail\.OIDCToken(\..*)?"),
        "Wrong OIDC token: STS cannot verify it ({code})",
        "Look at the OIDC token file of the connection: it must hold a token that the OIDC provider has signed.",
    ),
    _Rule(
        re.compile(r"AuthenticationFail(\..*)?|(Forbidden|NoPermission|PermissionDenied)(\..*)?"),
        "Role not assumable: STS does not know the OIDC provider, or the RAM role does not trust the token ({code})",
        "Correct the OIDC provider ARN of the connection, or name the OIDC provider, and the subject and the audience "
        "of the token, in the trust policy of the role.",
    ),
)
_RULES_OF_ACTIONS = {
    ASSUME_ROLE: (*_STS_RULES, *_ASSUME_ROLE_RULES),
    ASSUME_ROLE_WITH_OIDC: (*_STS_RULES, *_OIDC_RULES),
}
_RULES = (
    _Rule(
        re.compile(r"InvalidAccessKeyId\.Inactive"),
        "Disabled access key: the service knows it, and it is not active ({code})",
        "Check the keys of the connection: enable the access key in the RAM console, or enter another pair.",
        is_of_keys=True,
    ),
    _Rule(
        re.compile(r"(InvalidAccessKeyId|MissingAccessKeyId)(\..*)?"),
        "Wrong access key ID: the service does not know it ({code})",
        "Check the keys of the connection: enter the pair again, and its STS security token if the pair is temporary.",
        is_of_keys=True,
    ),
    _Rule(
        re.compile(r"(SignatureDoesNotMatch|IncompleteSignature)(\..*)?"),
        "Wrong access key secret: the signature was refused ({code})",
        "Check the keys of the connection: enter the access key secret again.",
        is_of_keys=True,
    ),
    _Rule(
        re.compile(r"(InvalidSecurityToken|MissingSecurityToken)(\..*)?"),
        "Wrong STS security token: it has expired, or does not belong to the access key ({code})",
        "Check the keys of the connection: enter a new temporary pair with its token, or empty the token if the pair "
        "is not temporary.",
        is_of_keys=True,
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


def explain_refusal(code: str | None, action: str | None, *, are_keys_given: bool = True) -> Refusal | None:
    """Return why IMS or STS refused an identity; None if the code is about something else.

    :param code: the service's error code
    :param action: the API operation that was called
    :param are_keys_given: whether the keys that signed the request are in the connection
    """
    rules = (*_RULES_OF_ACTIONS.get(action or "", ()), *_RULES)
    rule = next((rule for rule in rules if code and rule.codes.fullmatch(code)), None)
    if rule is None:
        return None
    advice = _FETCHED_ADVICE if rule.is_of_keys and not are_keys_given else rule.advice
    return Refusal(rule.problem.format(code=code), advice.format(action=action))


def are_keys_given(credentials: Credentials, action: str | None) -> bool:
    """Whether the keys that sign a request are in the connection.

    :param credentials: those of the connection
    :param action: the API operation: keys of the connection also sign the request for keys of a role
    """
    return isinstance(credentials, AccessKey) or (action == ASSUME_ROLE and bool(given_keys(credentials)))


_EXPIRED = re.compile(r"(InvalidSecurityToken|InvalidAccessKeyId)(\..*)?")


def has_expired(code: str | None) -> bool:
    """Whether the service does not know keys, or not any more: others may be accepted.

    :param code: the service's error code
    """
    return code is not None and _EXPIRED.fullmatch(code) is not None


def is_about_keys(code: str | None) -> bool:
    """Whether the service refused the keys themselves, not what they request.

    :param code: the service's error code
    """
    return code is not None and any(rule.is_of_keys and rule.codes.fullmatch(code) for rule in _RULES)
