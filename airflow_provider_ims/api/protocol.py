"""The RPC protocol of IMS: a request becomes bytes, a response becomes a value or an error.

Pure: no I/O, no clock, no HTTP library. So the rules can be read, and tested, without a network.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_ims import __version__
from airflow_provider_ims.api.clean import clean
from airflow_provider_ims.api.redact import log_text, redact_texts
from airflow_provider_ims.api.signature import percent_encode, signed_headers
from airflow_provider_ims.connection.values import is_utf8
from airflow_provider_ims.exceptions import (
    ImsApiError,
    ImsConfigurationError,
    ImsCredentialsError,
    ImsError,
    ImsNotFoundError,
    ImsRequestError,
    ImsServiceError,
    ImsThrottledError,
    ImsTransportError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_ims.api.refusal import Refusal
    from airflow_provider_ims.connection.access_key import AccessKey

API_VERSION = "2020-11-09"
USER_AGENT = f"airflow-provider-ims/{__version__}"
# Responses have some hundred bytes: compressing them is not worth the CPU time.
_UNSIGNED_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": USER_AGENT}
_MILLISECONDS = re.compile(r"[0-9]{1,8}")
_ACTION = re.compile(r"[A-Za-z][A-Za-z0-9]{0,99}")
_READS = ("Query", "Get", "List", "Describe", "Search", "BatchGet")
_NO_READS = frozenset({"SearchIndexJobRerun"})


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One call of an action.

    :param action: API operation
    :param params: its parameters by the vendor's names; mappings and lists are sent as JSON, None is left out
    :param body_parameters: names of the parameters that travel in the form body; all others are in the query string
    :param subject: what the call is about, for messages; None if there is nothing to name
    :param version: version of the API, which says whether it is that of IMS or of another service
    """

    action: str
    params: Mapping[str, Any]
    body_parameters: frozenset[str] = frozenset()
    subject: str | None = None
    version: str = API_VERSION

    @property
    def description(self) -> str:
        """The action and what it is about, for messages."""
        return self.action if self.subject is None else f"{self.action} of {self.subject}"

    @property
    def is_read(self) -> bool:
        """Whether the action only reads, so that a second request changes nothing."""
        return self.action.startswith(_READS) and self.action not in _NO_READS


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A signed request, ready to send.

    :param url: with the query string, percent-encoded
    :param headers: all headers
    :param body: form parameters, empty for none
    :param method: the HTTP method
    """

    url: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"

    @property
    def signature(self) -> str:
        """The signature of the request, which a response may repeat; empty if it is not signed."""
        return self.headers.get("authorization", "").rpartition("=")[2]


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response as it came.

    :param status: HTTP status
    :param headers: all headers; their names may be in any case
    :param body: the body
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


def encode(request: ApiRequest, *, endpoint: str, key: AccessKey, date: str, nonce: str) -> HttpRequest:
    """Return the signed HTTP request of a call.

    :param request: the call
    :param endpoint: scheme, host and perhaps port of the service
    :param key: the identity that signs
    :param date: the time of now in UTC, such as ``2026-01-31T23:59:59Z``
    :param nonce: a text that no other request has
    :raises ImsConfigurationError: if a parameter cannot be sent
    """
    # The action becomes a header: a line break in it would end the header.
    if not _ACTION.fullmatch(str(request.action)):
        raise ImsConfigurationError(
            "The name of the action is not one of the API: it must be letters and digits.",
            advice="Use a name such as GetMediaInfo.",
        )
    texts = _as_texts(request)
    in_body = {name: texts.pop(name) for name in request.body_parameters & texts.keys()}
    query, body = percent_encode(texts), percent_encode(in_body).encode() if in_body else b""
    signed = signed_headers(
        key,
        host=endpoint.partition("://")[2],
        action=request.action,
        version=request.version,
        query=query,
        date=date,
        nonce=nonce,
        body=body,
    )
    return HttpRequest(f"{endpoint}/?{query}", {**signed, **_UNSIGNED_HEADERS}, body)


def decode(
    request: ApiRequest,
    *,
    region: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    redact: Callable[[str], str],
    sent_at: float | None = None,
    are_keys_given: bool = True,
) -> dict[str, Any]:
    """Return the response body of a call that succeeded, without secrets.

    :param request: the call
    :param region: region of the call, for messages
    :param status: HTTP status of the response
    :param headers: its headers
    :param body: its body
    :param redact: takes secrets out of a text of the service
    :param sent_at: the time at which the request was signed, in seconds since the epoch; None if it does not matter
    :param are_keys_given: whether the keys that signed the request are in the connection
    :raises ImsApiError: if the response is an error or cannot be used, see its subclasses
    """
    content = read_json(body, redact)
    if not isinstance(content, dict) or not _string(content, "RequestId"):
        raise _foreign_error(request, region, status, headers, content, body, lambda text: log_text(redact(text)))
    if status in HTTP_SUCCESS and not _is_error(content):
        return content
    raise _service_error(request, region, status, headers, content, sent_at=sent_at, are_keys_given=are_keys_given)


def read_json(body: bytes, redact: Callable[[str], str]) -> Any:
    """Return the JSON of a response, clean and without secrets; None if it is none.

    Everything that a response brings comes from here, so that nothing else has to redact it.

    :param body: the body of the response
    :param redact: takes secrets out of a text of the service
    """
    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass")
        content = clean(json.loads(text))
    except (ValueError, RecursionError):
        return None
    # Almost all responses have no secret: the whole body is searched at once.
    return content if redact(text) == text else redact_texts(content, redact)


def _foreign_error(
    request: ApiRequest,
    region: str,
    status: int,
    headers: Mapping[str, str],
    content: Any,
    body: bytes,
    redact: Callable[[str], str],
) -> ImsApiError:
    """Return the error of a response that is not the service's own: a gateway, a proxy or a login page sent it."""
    kind = ImsThrottledError if status == HTTP_TOO_MANY_REQUESTS else ImsServiceError
    what = "JSON without a RequestId" if isinstance(content, dict) else describe_body(body)
    request_id = headers.get("x-acs-request-id")
    request_id = request_id and redact(request_id)
    return kind(
        f"{request.description} in {region} got a response with HTTP {status} and {what}, which is not the service's "
        f"JSON object (RequestId {request_id or 'none'}, HTTP {status}).",
        advice=_FOREIGN_ADVICE,
        action=request.action,
        request_id=request_id,
        http_status=status,
        retry_after=retry_after(headers),
    )


def _service_error(
    request: ApiRequest,
    region: str,
    status: int,
    headers: Mapping[str, str],
    content: dict[str, Any],
    *,
    sent_at: float | None,
    are_keys_given: bool,
) -> ImsApiError:
    """Return the error of a response that is the service's own."""
    code, request_id = _string(content, "Code"), log_text(_string(content, "RequestId") or "")
    rule = next((rule for rule in _RULES if code and rule.codes.fullmatch(code)), None)
    kind = rule.kind if rule else _class_without_rule(code, status)
    code = code and log_text(code)
    refusal = None
    if kind is ImsCredentialsError:
        refusal = _explain_refusal(code, request.action, headers, content, sent_at, are_keys_given=are_keys_given)
    if code:
        message = log_text(without_signed_request(_string(content, "Message") or "no message"))
        what = f"was refused: {refusal.problem if refusal else code}: {message}"
    else:
        what = f"got a response with HTTP {status} and no error code"
    advice = refusal.advice if refusal else _advice(kind, code, request.action)
    recommend = _string(content, "Recommend")
    diagnosis = f" Diagnosis: {log_text(recommend)}." if recommend else ""
    return kind(
        f"{request.description} in {region} {what} (RequestId {request_id}, HTTP {status}).{diagnosis}",
        advice=advice,
        action=request.action,
        code=code,
        request_id=request_id,
        http_status=status,
        retry_after=retry_after(headers),
        is_rejection=rule is not None
        and rule.is_rejection
        and (kind is ImsThrottledError or status not in HTTP_SERVER_ERRORS),
    )


def _advice(kind: type[ImsApiError], code: str | None, action: str) -> str:
    if code != _UNKNOWN_ACTION:
        return _ADVICE.get(kind, _OTHER_ADVICE)
    from airflow_provider_ims.api.actions import advice_about_action  # noqa: PLC0415 - rare

    return f"{_ADVICE[kind]} {advice_about_action(action)}"


def _explain_refusal(
    code: str | None,
    action: str,
    headers: Mapping[str, str],
    content: dict[str, Any],
    sent_at: float | None,
    *,
    are_keys_given: bool,
) -> Refusal | None:
    """Return why an identity was refused, with the advice of the response if it has one."""
    from airflow_provider_ims.api.denial import advice_about_clock, advice_about_permission  # noqa: PLC0415 - rare
    from airflow_provider_ims.api.refusal import explain_refusal  # noqa: PLC0415 - rare

    refusal = explain_refusal(code, action, are_keys_given=are_keys_given)
    if refusal is None:
        return None
    advice = advice_about_permission(content) or advice_about_clock(code, headers, sent_at)
    return refusal._replace(advice=advice or refusal.advice)


@dataclass(frozen=True, slots=True)
class _Rule:
    """What an error code means.

    :param codes: the codes, all of a text
    :param kind: the class of the error; it decides what a poll makes of it (``jobs/polling.py``)
    :param is_rejection: whether the service certainly did not carry out the request. Only throttling says so with HTTP
        5xx too.
    """

    codes: re.Pattern[str]
    kind: type[ImsApiError]
    is_rejection: bool


def _rule(codes: str, kind: type[ImsApiError], *, is_rejection: bool) -> _Rule:
    return _Rule(re.compile(codes), kind, is_rejection)


# IMS documents no error codes. A submission was rejected only if the response is the service's own JSON with one of
# these codes; whatever is not in the table is unknown. Alibaba Cloud names ServiceUnavailable and InternalError beside
# "no response" as the cases that need a ClientToken to be repeated (help pages "How to ensure idempotence" of ECS, VPC
# and ROS): the request may have been carried out.
_RULES = (
    _rule(r"(Throttling|RequestsTooFrequent)(\..*)?", ImsThrottledError, is_rejection=True),
    # The service has seen this request before: something on the way repeated it, and the first copy may have been
    # carried out.
    _rule(r"SignatureNonceUsed(\..*)?", ImsServiceError, is_rejection=False),
    _rule(
        r"(InvalidAccessKeyId|InvalidSecurityToken|InvalidTimeStamp|SignatureDoesNotMatch|IncompleteSignature"
        r"|MissingSecurityToken|MissingAccessKeyId|Forbidden|NoPermission|PermissionDenied|InvalidIdentity)(\..*)?",
        ImsCredentialsError,
        is_rejection=True,
    ),
    # IMS spells it ServiceUnAvailable.
    _rule(r"(?i:ServiceUnavailable|InternalError)(\..*)?", ImsServiceError, is_rejection=False),
    _rule(r"(Invalid|.*\.)?Job(Id)?\.?NotFound(\..*)?", ImsNotFoundError, is_rejection=True),
    _rule(r"(Invalid|Missing|Unsupported)[A-Za-z]*(\..*)?", ImsRequestError, is_rejection=True),
    # With HTTP 409, for an InputURL that is registered: https://developer.aliyun.com/ask/614862
    _rule(r"MediaAlreadyExist(\..*)?", ImsRequestError, is_rejection=True),
)
_SIGNED_REQUEST = re.compile(r"(?is)\s*(server\s+)?(string\s?to\s?sign|canonical\s?request)\b.*")


def without_signed_request(message: str) -> str:
    """Return the message of a refused signature without the signed request: long, of no use, and full of secrets.

    :param message: the message of an error
    """
    return _SIGNED_REQUEST.sub("", message)


_SUCCESS_CODES = frozenset({"ok", "success", "200"})
_UNKNOWN_ACTION = "InvalidAction.NotFound"
HTTP_SUCCESS = range(200, 300)
HTTP_TOO_MANY_REQUESTS = 429
HTTP_CLIENT_ERRORS = range(400, 500)
HTTP_SERVER_ERRORS = range(500, 600)

_ADVICE: dict[type[ImsApiError], str] = {
    ImsThrottledError: "The account calls too often: let fewer tasks run at once (an Airflow pool), or request a "
    "higher quota.",
    ImsCredentialsError: "Check the keys and the security token of the connection, and that IMS is activated for the "
    "account.",
    ImsNotFoundError: "Check the JobId, and that the region and the account are those of its submission.",
    ImsRequestError: "Correct the arguments; the same request will be refused again.",
}
_FOREIGN_ADVICE = (
    "Look at the network, the proxy and the connection's Endpoint: the response is not from IMS. If it "
    "persists, try the endpoint from a worker with curl."
)
_OTHER_ADVICE = (
    "Try again later; if the error persists, look at the service's status page and open a ticket with the RequestId."
)


def may_have_been_carried_out(error: ImsError) -> bool:
    """Whether the service may have carried out a call that ended in an error.

    It did not if the request was not sent, or if the service rejected it: its own JSON with a code that is known to be
    a rejection. Everything else is unknown, whatever the HTTP status.

    :param error: what the call ended in
    """
    match error:
        case ImsTransportError():
            return error.sent
        case ImsApiError():
            return not error.is_rejection
        case _:
            return False


def _as_texts(request: ApiRequest) -> dict[str, str]:
    """Return the parameters as the RPC style sends them: text, with objects and lists as JSON."""
    texts = {}
    for name, value in request.params.items():
        if value is None:
            continue
        try:
            text = value if isinstance(value, str) else _as_json(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise ImsConfigurationError(
                f"Parameter {name} of {request.action} cannot be sent as JSON: {error}.", advice="Use plain values."
            ) from None
        if not is_utf8(f"{name}{text}"):
            raise ImsConfigurationError(
                f"Parameter {name!r} of {request.action} has characters that UTF-8 cannot write.", advice="Remove them."
            )
        texts[str(name)] = text
    return texts


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _is_error(content: Mapping[str, Any]) -> bool:
    """Whether a response with HTTP 200 is an error: an error code and no data, or ``Success: false``."""
    code = _string(content, "Code")
    if code is None or code.lower() in _SUCCESS_CODES:
        return False
    return not content.get("Data") or str(content.get("Success", "")).lower() == "false"


def _string(content: Mapping[str, Any], name: str) -> str | None:
    value = content.get(name)
    return value if isinstance(value, str) and value else None


def _class_without_rule(code: str | None, status: int) -> type[ImsApiError]:
    if status in HTTP_SERVER_ERRORS:
        return ImsServiceError
    return ImsApiError if code or status in HTTP_CLIENT_ERRORS else ImsServiceError


def describe_body(body: bytes) -> str:
    """Describe an unreadable body without repeating it: it may come from a proxy and mirror the request.

    :param body: the body of the response
    """
    if not body.strip():
        return "an empty body"
    return "an HTML page" if b"<html" in body[:1000].lower() else f"a body of {len(body):,} bytes"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the pause that a throttled response requests, in seconds; None if it requests none.

    :param headers: the headers of the response; this one has milliseconds
    """
    value = headers.get("x-acs-retry-after", "")
    # More digits than a day has milliseconds are no pause; a number of 400 digits would not even fit into a float.
    return int(value) / 1000 if _MILLISECONDS.fullmatch(value) and int(value) > 0 else None
