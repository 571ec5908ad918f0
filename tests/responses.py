"""Responses of the service and of gateways or proxies before it, with the error that each becomes."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_ims.exceptions import (
    ImsApiError,
    ImsCredentialsError,
    ImsError,
    ImsNotFoundError,
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


# Only these say that a submission created no job: the service's own JSON with a code that is known to be a rejection.
REJECTED: list[Case] = [
    ("throttled", error_response(400, "Throttling.User"), ImsThrottledError, "Throttling.User", "calls too often"),
    ("throttled, 429", error_response(429, "Throttling"), ImsThrottledError, "Throttling", "calls too often"),
    ("throttled, 503", error_response(503, "Throttling.Api"), ImsThrottledError, "Throttling.Api", "calls too often"),
    ("too frequent", error_response(403, "RequestsTooFrequent"), ImsThrottledError, None, "calls too often"),
    ("key", error_response(404, "InvalidAccessKeyId.NotFound"), ImsCredentialsError, None, "Check the keys"),
    ("key, 400", error_response(400, "InvalidAccessKeyId.Inactive"), ImsCredentialsError, None, "Check the keys"),
    ("signature", error_response(403, "SignatureDoesNotMatch"), ImsCredentialsError, None, "Check the keys"),
    ("token", error_response(400, "InvalidSecurityToken.Expired"), ImsCredentialsError, None, "Check the keys"),
    ("clock", error_response(400, "InvalidTimeStamp.Expired"), ImsCredentialsError, None, "Set the clock"),
    ("permission", error_response(403, "Forbidden.RAM"), ImsCredentialsError, None, "Grant the RAM action ice:"),
    ("permission", error_response(403, "NoPermission"), ImsCredentialsError, None, "Grant the RAM action ice:"),
    ("no plan", error_response(403, "Forbidden.SubscriptionRequired"), ImsCredentialsError, None, "IMS is activated"),
    ("parameter", error_response(400, "InvalidParameter.Input"), ImsRequestError, None, "Correct the arguments"),
    ("parameter, 200", error_response(200, "InvalidParameter"), ImsRequestError, None, "Correct the arguments"),
    ("missing", error_response(400, "MissingInput"), ImsRequestError, None, "Correct the arguments"),
    ("action", error_response(404, "InvalidAction.NotFound"), ImsRequestError, None, "Correct the arguments"),
    ("region", error_response(400, "UnsupportedOperation"), ImsRequestError, None, "Correct the arguments"),
    ("registered", error_response(409, "MediaAlreadyExist"), ImsRequestError, None, "Correct the arguments"),
    ("no job", error_response(404, "JobNotFound"), ImsNotFoundError, None, "Check the JobId"),
]

# Everything else leaves open whether a job exists.
UNKNOWN: list[Case] = [
    (
        "unavailable",
        error_response(503, "ServiceUnavailable"),
        ImsServiceError,
        "ServiceUnavailable",
        "Try again later",
    ),
    ("unavailable, 400", error_response(400, "ServiceUnavailable"), ImsServiceError, None, "Try again later"),
    ("unavailable, as IMS spells it", error_response(503, "ServiceUnAvailable"), ImsServiceError, None, "Try again"),
    ("internal error", error_response(500, "InternalError"), ImsServiceError, "InternalError", "Try again later"),
    ("internal error, 400", error_response(400, "InternalError"), ImsServiceError, "InternalError", "Try again later"),
    ("internal error, 200", error_response(200, "InternalError"), ImsServiceError, "InternalError", "Try again later"),
    ("unknown code, 500", error_response(500, "SystemError"), ImsServiceError, "SystemError", "Try again later"),
    ("unknown code, 504", error_response(504, "GatewayTimeout"), ImsServiceError, "GatewayTimeout", "Try again later"),
    ("unknown code, 400", error_response(400, "Strange.Thing"), ImsApiError, "Strange.Thing", "open a ticket"),
    ("parameter, 500", error_response(500, "InvalidStatus"), ImsRequestError, "InvalidStatus", "Correct the arguments"),
    ("key, 502", error_response(502, "InvalidAccessKeyId"), ImsCredentialsError, None, "Check the keys"),
    ("no code, 403", response(403, ERROR), ImsApiError, None, "HTTP 403 and no error code"),
    ("no code, 500", response(500, ERROR), ImsServiceError, None, "HTTP 500 and no error code"),
    ("no code, 302", response(302, ERROR), ImsServiceError, None, "HTTP 302 and no error code"),
    ("200, code", error_response(200, "Strange"), ImsApiError, "Strange", "was refused: Strange"),
    ("200, no success", error_response(200, "Strange", Success=False), ImsApiError, "Strange", "was refused: Strange"),
    ("nonce used", error_response(400, "SignatureNonceUsed"), ImsServiceError, "SignatureNonceUsed", "Try again later"),
    *[
        (f"HTML, {status}", response(status, "<html>no</html>", content_type="text/html"), kind, None, "an HTML page")
        for status, kind in [
            *((code, ImsServiceError) for code in (200, 302, 400, 403, 404, 405, 407, 408, 413, 502, 504)),
            (429, ImsThrottledError),
        ]
    ],
    ("empty, 499", response(499, ""), ImsServiceError, None, "HTTP 499 and an empty body"),
    ("empty, 504", response(504, ""), ImsServiceError, None, "HTTP 504 and an empty body"),
    ("empty, 200", response(200, " "), ImsServiceError, None, "HTTP 200 and an empty body"),
    ("empty object, 200", response(200, {}), ImsServiceError, None, "HTTP 200 and JSON without a RequestId"),
    ("empty object, 400", response(400, {}), ImsServiceError, None, "HTTP 400 and JSON without a RequestId"),
    ("foreign object, 403", response(403, {"error": "no"}), ImsServiceError, None, "JSON without a RequestId"),
    ("foreign code, 400", response(400, {"Code": "InvalidX"}), ImsServiceError, None, "JSON without a RequestId"),
    ("foreign data, 200", response(200, {"Data": {"JobId": "J"}}), ImsServiceError, None, "JSON without a RequestId"),
    ("list, 400", response(400, [ERROR]), ImsServiceError, None, "a body of 73 bytes, which is not the service's JSON"),
    ("list, 200", response(200, []), ImsServiceError, None, "HTTP 200 and a body of 2 bytes"),
    ("text, 200", response(200, "fine"), ImsServiceError, None, "HTTP 200 and a body of 4 bytes"),
    ("redirect", response(302, "", headers={"Location": "/x"}), ImsServiceError, None, "HTTP 302 and an empty body"),
]
