"""Responses of the service and of gateways or proxies before it, with the error that each becomes."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_ims.exceptions import (
    ImsApiError,
    ImsCredentialsError,
    ImsError,
    ImsRequestError,
    ImsServiceError,
    ImsThrottledError,
)


def response(status: int, body: object, **options: Any) -> dict[str, Any]:
    """Return the options of the emulator's fault ``answer``: a text is the body, anything else becomes JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    return {"status": status, "body": text, **options}


Case = tuple[str, dict[str, Any], type[ImsError], str | None, str]
ERROR = {"RequestId": "REQ-1", "HostId": "h", "Message": "the service's words"}


def error_response(status: int, code: str, **more: Any) -> dict[str, Any]:
    """Return a response of the service with an error code."""
    return response(status, {**ERROR, "Code": code, **more})


REJECTED: list[Case] = [
    ("throttled", error_response(400, "Throttling.User"), ImsThrottledError, "Throttling.User", "calls too often"),
    ("throttled, 429", error_response(429, "Throttling"), ImsThrottledError, "Throttling", "calls too often"),
    ("throttled, 503", error_response(503, "Throttling.Api"), ImsThrottledError, "Throttling.Api", "calls too often"),
    (
        "unavailable",
        error_response(503, "ServiceUnavailable"),
        ImsServiceError,
        "ServiceUnavailable",
        "Try again later",
    ),
    ("key", error_response(404, "InvalidAccessKeyId.NotFound"), ImsCredentialsError, None, "Check the keys"),
    ("key, 400", error_response(400, "InvalidAccessKeyId.Inactive"), ImsCredentialsError, None, "Check the keys"),
    ("signature", error_response(403, "SignatureDoesNotMatch"), ImsCredentialsError, None, "Check the keys"),
    ("token", error_response(400, "InvalidSecurityToken.Expired"), ImsCredentialsError, None, "Check the keys"),
    ("clock", error_response(400, "InvalidTimeStamp.Expired"), ImsCredentialsError, None, "Set the clock"),
    ("permission", error_response(403, "Forbidden.RAM"), ImsCredentialsError, None, "Grant the RAM action ice:"),
    ("permission", error_response(403, "NoPermission"), ImsCredentialsError, None, "Grant the RAM action ice:"),
    (
        "no plan",
        error_response(403, "Forbidden.SubscriptionRequired"),
        ImsCredentialsError,
        None,
        "that IMS is activated",
    ),
    ("parameter", error_response(400, "InvalidParameter.Input"), ImsRequestError, None, "Correct the arguments"),
    ("missing", error_response(400, "MissingInput"), ImsRequestError, None, "Correct the arguments"),
    ("action", error_response(404, "InvalidAction.NotFound"), ImsRequestError, None, "Correct the arguments"),
    ("region", error_response(400, "UnsupportedOperation"), ImsRequestError, None, "Correct the arguments"),
    ("other", error_response(400, "Strange.Thing"), ImsApiError, "Strange.Thing", "open a ticket"),
    ("no code, 403", response(403, ERROR), ImsApiError, None, "HTTP 403 and no error code"),
    ("empty object, 400", response(400, {}), ImsApiError, None, "HTTP 400 and no error code"),
    ("list, 400", response(400, [ERROR]), ImsApiError, None, "a body of 73 bytes, which is not the service's JSON"),
    ("HTML, 413", response(413, "<HTML>no</HTML>"), ImsApiError, None, "an HTML page, which is not the service's JSON"),
]

UNKNOWN: list[Case] = [
    ("internal error", error_response(500, "InternalError"), ImsServiceError, "InternalError", "Try again later"),
    ("unknown code, 500", error_response(500, "SystemError"), ImsServiceError, "SystemError", "Try again later"),
    ("unknown code, 504", error_response(504, "GatewayTimeout"), ImsServiceError, "GatewayTimeout", "Try again later"),
    ("parameter, 500", error_response(500, "InvalidStatus"), ImsRequestError, "InvalidStatus", "Correct the arguments"),
    ("HTML, 408", response(408, "<html>"), ImsApiError, None, "HTTP 408 and an HTML page"),
    ("empty, 499", response(499, ""), ImsApiError, None, "HTTP 499 and an empty body"),
    ("200, code", error_response(200, "Strange"), ImsApiError, "Strange", "was refused: Strange"),
    (
        "200, Success false",
        error_response(200, "Strange", Success=False),
        ImsApiError,
        "Strange",
        "was refused: Strange",
    ),
    ("nonce used", error_response(400, "SignatureNonceUsed"), ImsServiceError, "SignatureNonceUsed", "Try again later"),
    (
        "HTML, 502",
        response(502, "<html>", content_type="text/html"),
        ImsServiceError,
        None,
        "HTTP 502 and an HTML page",
    ),
    ("empty, 504", response(504, ""), ImsServiceError, None, "HTTP 504 and an empty body"),
    ("empty object, 500", response(500, {}), ImsServiceError, None, "HTTP 500 and no error code"),
    ("list, 500", response(500, []), ImsServiceError, None, "HTTP 500 and a body of 2 bytes"),
    ("text, 200", response(200, "fine"), ImsServiceError, None, "HTTP 200 and a body of 4 bytes"),
    ("empty, 200", response(200, " "), ImsServiceError, None, "HTTP 200 and an empty body"),
    ("list, 200", response(200, []), ImsServiceError, None, "HTTP 200 and a body of 2 bytes"),
    ("redirect with JSON", response(302, {}), ImsServiceError, None, "HTTP 302 and no error code"),
    ("redirect", response(302, "", headers={"Location": "/x"}), ImsServiceError, None, "HTTP 302 and an empty body"),
]
