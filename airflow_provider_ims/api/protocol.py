"""The RPC protocol of IMS: a request becomes bytes, a response becomes a value or an error.

Pure: no I/O, no clock, no HTTP library. So the rules can be read, and tested, without a network.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_ims import __version__
from airflow_provider_ims.api.signature import percent_encode, signed_headers
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

    from airflow_provider_ims.connection.credentials import AccessKey

API_VERSION = "2020-11-09"
USER_AGENT = f"airflow-provider-ims/{__version__}"
# Responses have some hundred bytes: compressing them is not worth the CPU time.
_UNSIGNED_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": USER_AGENT}
_READS = ("Query", "Get", "List", "Describe", "Search")

HTTP_SUCCESS = range(200, 300)
HTTP_BAD_REQUEST = 400
HTTP_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One call of an action.

    :param action: API operation
    :param params: its parameters by the vendor's names; mappings and lists are sent as JSON, None is left out
    :param body_parameters: names of the parameters that travel in the form body; all others are in the query string
    :param subject: what the call is about, for messages; None if there is nothing to name
    """

    action: str
    params: Mapping[str, Any]
    body_parameters: frozenset[str] = frozenset()
    subject: str | None = None

    @property
    def description(self) -> str:
        """The action and what it is about, for messages."""
        return self.action if self.subject is None else f"{self.action} of {self.subject}"

    @property
    def is_read(self) -> bool:
        """Whether the action only reads, so that a second request changes nothing."""
        return self.action.startswith(_READS)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A signed request, ready to send as a POST.

    :param url: with the query string, percent-encoded
    :param headers: all headers
    :param body: form parameters, empty for none
    """

    url: str
    headers: dict[str, str]
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
    texts = _as_texts(request)
    in_body = {name: text for name, text in texts.items() if name in request.body_parameters}
    query = percent_encode({name: text for name, text in texts.items() if name not in in_body})
    body = percent_encode(in_body).encode()
    signed = signed_headers(
        key,
        host=urlsplit(endpoint).netloc,
        action=request.action,
        version=API_VERSION,
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
) -> dict[str, Any]:
    """Return the response body of a call that succeeded.

    :param request: the call
    :param region: region of the call, for messages
    :param status: HTTP status of the response
    :param headers: its headers
    :param body: its body
    :param redact: takes secrets out of a text of the service
    :raises ImsApiError: if the response is an error or cannot be used, see its subclasses
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict) and status in HTTP_SUCCESS and not _is_error(content):
        return content
    raise _error(request, region, status, headers, content if isinstance(content, dict) else _describe(body), redact)


def _error(
    request: ApiRequest,
    region: str,
    status: int,
    headers: Mapping[str, str],
    content: dict[str, Any] | str,
    redact: Callable[[str], str],
) -> ImsApiError:
    """Return the error of a response; its content is a JSON object, or the description of another body."""
    details = content if isinstance(content, dict) else {}
    code, request_id = _string(details, "Code"), _string(details, "RequestId") or headers.get("x-acs-request-id")
    code, request_id = code and redact(code), request_id and redact(request_id)
    kind = _error_class(code, status)
    if code:
        what = f"was refused: {code}: {redact(_string(details, 'Message') or 'no message')}"
    elif isinstance(content, dict):
        what = f"got a response with HTTP {status} and no error code"
    else:
        what = f"got a response with HTTP {status} and {content}, which is not the service's JSON object"
    recommend = _string(details, "Recommend")
    diagnosis = f" Diagnosis: {redact(recommend)}." if recommend else ""
    return kind(
        f"{request.description} in {region} {what} (RequestId {request_id or 'none'}, HTTP {status}).{diagnosis}",
        advice=_advice(kind, code, request.action),
        action=request.action,
        code=code,
        request_id=request_id,
        http_status=status,
        retry_after=_retry_after(headers),
    )


# Codes decide before HTTP statuses: the products of Alibaba Cloud send the same code with different statuses.
_THROTTLED = re.compile(r"Throttling(\..*)?")
_CREDENTIALS = re.compile(
    r"(InvalidAccessKeyId|InvalidSecurityToken|InvalidTimeStamp|SignatureDoesNotMatch|IncompleteSignature"
    r"|MissingSecurityToken|MissingAccessKeyId|Forbidden|NoPermission|PermissionDenied|InvalidIdentity)(\..*)?"
)
_PERMISSION = re.compile(r"(Forbidden|NoPermission|PermissionDenied)(\.RAM|\.NoPermission)?")
_NOT_FOUND = re.compile(r"(Invalid|.*\.)?Job(Id)?\.?NotFound(\..*)?")
_SERVICE = re.compile(r"(ServiceUnavailable|InternalError|SignatureNonceUsed)(\..*)?")
_REQUEST = re.compile(r"(Invalid|Missing|Unsupported)[A-Za-z]*(\..*)?")
_REJECTED = re.compile(r"ServiceUnavailable(\..*)?")
# The service has seen this request before: something on the way repeated it, and the first copy may have been
# carried out.
_NONCE_USED = re.compile(r"SignatureNonceUsed(\..*)?")
# A gateway stopped waiting, for the client or for the service behind it.
_GATEWAY_TIMEOUTS = (408, 499)
_SUCCESS_CODES = frozenset({"ok", "success", "200"})

_ADVICE: dict[type[ImsApiError], str] = {
    ImsThrottledError: "The account calls too often: let fewer tasks run at once (an Airflow pool), or request a "
    "higher quota.",
    ImsCredentialsError: "Check the keys and the security token of the connection, and that IMS is activated for the "
    "account.",
    ImsNotFoundError: "Check the JobId, and that the region and the account are those of its submission.",
    ImsRequestError: "Correct the arguments; the same request will be refused again.",
}
_OTHER_ADVICE = (
    "Try again later; if the error persists, look at the service's status page and open a ticket with the RequestId."
)


def may_have_been_carried_out(error: ImsError) -> bool:
    """Whether the service may have carried out a call that ended in an error.

    IMS documents no error codes, so only what is known to be a rejection counts as one.

    :param error: what the call ended in
    """
    match error:
        case ImsTransportError():
            return error.sent
        case ImsThrottledError() | ImsCredentialsError():
            return False
        case ImsApiError(code=str(code)) if _REJECTED.fullmatch(code):
            return False
        case ImsApiError(code=str(code)) if _NONCE_USED.fullmatch(code):
            return True
        case ImsApiError(http_status=int(status)):
            return not HTTP_BAD_REQUEST <= status < HTTP_SERVER_ERROR or status in _GATEWAY_TIMEOUTS
        case _:
            return False


def _as_texts(request: ApiRequest) -> dict[str, str]:
    """Return the parameters as the RPC style sends them: text, with objects and lists as JSON."""
    texts = {}
    for name, value in request.params.items():
        match value:
            case None:
                continue
            case str():
                text = value
            case _:
                try:
                    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
                except (TypeError, ValueError, RecursionError) as error:
                    raise ImsConfigurationError(
                        f"Parameter {name} of {request.action} cannot be sent as JSON: {error}. Use plain values."
                    ) from None
        texts[name] = text
    return texts


def _is_error(content: Mapping[str, Any]) -> bool:
    """Whether a response with HTTP 200 is an error: an error code and no data, or ``Success: false``."""
    code = _string(content, "Code")
    if code is None or code.lower() in _SUCCESS_CODES:
        return False
    return not content.get("Data") or str(content.get("Success", "")).lower() == "false"


def _string(content: Mapping[str, Any], name: str) -> str | None:
    value = content.get(name)
    return value if isinstance(value, str) and value else None


def _error_class(code: str | None, status: int) -> type[ImsApiError]:
    for pattern, kind in (
        (_THROTTLED, ImsThrottledError),
        (_CREDENTIALS, ImsCredentialsError),
        (_SERVICE, ImsServiceError),
        (_NOT_FOUND, ImsNotFoundError),
        (_REQUEST, ImsRequestError),
    ):
        if code and pattern.fullmatch(code):
            return kind
    if status >= HTTP_SERVER_ERROR or (status < HTTP_BAD_REQUEST and not code):
        return ImsServiceError
    return ImsApiError


def _advice(kind: type[ImsApiError], code: str | None, action: str) -> str:
    if kind is ImsCredentialsError:
        if code and _PERMISSION.fullmatch(code):
            return f"Grant the RAM action ice:{action} on the resource * to the identity of the connection."
        if code and code.startswith("InvalidTimeStamp"):
            return "Set the clock of this machine: it is more than 15 minutes off."
    return _ADVICE.get(kind, _OTHER_ADVICE)


def _describe(body: bytes) -> str:
    """Describe an unreadable body without repeating it: it may come from a proxy and mirror the request."""
    if not body.strip():
        return "an empty body"
    return "an HTML page" if b"<html" in body[:1000].lower() else f"a body of {len(body):,} bytes"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the pause that a throttled response requests, in seconds; the header has milliseconds."""
    value = headers.get("x-acs-retry-after", "")
    return int(value) / 1000 if value.isascii() and value.isdigit() and int(value) > 0 else None
