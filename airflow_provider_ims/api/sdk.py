"""The official typed client, made safe: its methods and models, with the transport of this package.

The SDK's own transport follows redirects, to plain HTTP too, and its errors carry the signed request. So the SDK never
gets the keys: the methods of its client all call ``call_api`` or ``do_rpcrequest``, which are replaced here. If a newer
SDK calls something else, that ends in an error for lack of credentials.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_ims.api.blocking import run_blocking
from airflow_provider_ims.api.client import ImsClient
from airflow_provider_ims.api.credentials import shared_keys
from airflow_provider_ims.api.loggers import silence_sdk_loggers
from airflow_provider_ims.api.protocol import (
    HTTP_CLIENT_ERRORS,
    HTTP_SUCCESS,
    USER_AGENT,
    HttpRequest,
    describe_body,
    read_json,
    retry_after,
)
from airflow_provider_ims.api.redact import Redactor, log_text, redact_texts
from airflow_provider_ims.api.signature import ALGORITHM, FORM, percent_encode
from airflow_provider_ims.api.stamp import new_stamp
from airflow_provider_ims.exceptions import ImsTransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alibabacloud_ice20201109.client import Client

    from airflow_provider_ims.api.protocol import HttpResponse
    from airflow_provider_ims.connection.access_key import AccessKey
    from airflow_provider_ims.connection.settings import ImsSettings

HTTP_REDIRECTS = range(300, 400)

# Options of a call that would change where it goes, or whom it trusts. The connection and the environment decide that.
_REFUSED_OPTIONS = (
    *("ignore_ssl", "key", "cert", "ca"),
    *("http_proxy", "https_proxy", "no_proxy", "socks_5proxy", "local_addr", "extends_parameters"),
)


def typed_client(settings: ImsSettings) -> Client:
    """Return the official typed client, with endpoint, credentials and time-outs of the connection.

    :param settings: the parsed connection
    """
    client = _client_class()(settings)
    silence_sdk_loggers()
    return client


@functools.cache
def _client_class() -> type[Client]:
    """Return the class of the client; the SDK has 1,600 modules, which only callers of ``get_conn`` load."""
    from alibabacloud_ice20201109.client import Client  # noqa: PLC0415
    from alibabacloud_tea_openapi.utils_models import Config, Params  # noqa: PLC0415

    class SafeClient(Client):  # type: ignore[misc] # the SDK has no types
        """The official client with a transport that neither follows redirects nor raises or prints secrets.

        :param settings: the parsed connection
        """

        def __init__(self, settings: ImsSettings) -> None:
            endpoint = urlsplit(settings.endpoint)
            super().__init__(
                Config(region_id=settings.region, endpoint=endpoint.netloc, protocol=endpoint.scheme.upper())
            )
            self._settings = settings

        async def _call(self, params: Any, request: Any, runtime: Any) -> dict[str, Any]:
            settings = _with_options(self._settings, runtime)
            async with ImsClient(settings, key_cache=shared_keys) as client:
                return await _call(client, params, request)

        async def call_api_async(self, params: Any, request: Any, runtime: Any) -> dict[str, Any]:
            return await self._call(params, request, runtime)

        def call_api(self, params: Any, request: Any, runtime: Any) -> dict[str, Any]:
            return run_blocking(self._call(params, request, runtime))

        # What actions without a signature call.
        async def do_rpcrequest_async(self, *arguments: Any) -> dict[str, Any]:
            action, version, _protocol, method, auth_type, _body_type, request, runtime = arguments
            params = Params(action=action, version=version, method=method, auth_type=auth_type)
            return await self._call(params, request, runtime)

        def do_rpcrequest(self, *arguments: Any) -> dict[str, Any]:
            return run_blocking(self.do_rpcrequest_async(*arguments))

    return SafeClient


async def _call(client: ImsClient, params: Any, request: Any) -> dict[str, Any]:
    """Send a request of the typed client, and return the response as the SDK's methods expect it.

    If its keys have expired, it is sent once more with others.

    :param client: sends it
    :param params: action, version, method and kind of authentication
    :param request: query and body
    """
    for _ in range(2):
        key = await client.keys.current()
        http = _http_request(client.settings, key, params, request)
        redact = Redactor(*client.keys.known).with_signature(http.signature).redact
        try:
            response = await client.exchange(http, params.action)
        except ImsTransportError as error:
            failure = _transport_failure(error)
            break
        content = read_json(response.body, redact)
        if response.status in HTTP_SUCCESS and isinstance(content, dict):
            return {"body": content, "headers": _headers(response, redact), "statusCode": response.status}
        failure = _failure(response, content, redact)
        code = content.get("Code") if isinstance(content, dict) else None
        if not (isinstance(code, str) and client.keys.refuse(key, code)):
            break
    # Raised here, so that nothing travels along as its context.
    raise failure


def _with_options(settings: ImsSettings, runtime: Any) -> ImsSettings:
    from alibabacloud_tea_openapi.exceptions import ClientException  # noqa: PLC0415

    refused = [name for name in _REFUSED_OPTIONS if getattr(runtime, name, None)]
    if refused:
        raise ClientException(
            code="UnsupportedRuntimeOptions",
            message=f"The typed client of an Airflow connection does not take the RuntimeOptions {', '.join(refused)}: "
            "the connection and the environment of the process decide.",
        )
    return replace(
        settings,
        connect_timeout=runtime.connect_timeout / 1000 if runtime.connect_timeout else settings.connect_timeout,
        read_timeout=runtime.read_timeout / 1000 if runtime.read_timeout else settings.read_timeout,
    )


def _http_request(settings: ImsSettings, key: AccessKey, params: Any, request: Any) -> HttpRequest:
    """Return the HTTP request of a call, signed by the SDK."""
    from alibabacloud_tea_openapi.client import DaraRequest  # noqa: PLC0415
    from alibabacloud_tea_openapi.utils import Utils  # noqa: PLC0415

    query = Utils.query(request.query)
    body = percent_encode(Utils.query(request.body)).encode() if request.body else b""
    stamp = new_stamp()
    headers = {
        "host": urlsplit(settings.endpoint).netloc,
        "x-acs-action": params.action,
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
        "x-acs-date": stamp.date,
        "x-acs-signature-nonce": stamp.nonce,
        "x-acs-version": params.version,
    }
    if body:
        headers["content-type"] = FORM
    if params.auth_type != "Anonymous":
        if key.security_token:
            headers |= {"x-acs-accesskey-id": key.key_id, "x-acs-security-token": key.security_token}
        signed = DaraRequest()
        signed.method, signed.pathname, signed.query, signed.headers = params.method, "/", query, headers
        headers["authorization"] = Utils.get_authorization(
            signed, ALGORITHM, headers["x-acs-content-sha256"], key.key_id, key.secret
        )
    unsigned = {"accept": "application/json", "user-agent": Utils.get_user_agent(USER_AGENT)}
    url = f"{settings.endpoint}/?{percent_encode(query)}"
    return HttpRequest(url, {**headers, **unsigned}, body, method=params.method)


def _headers(response: HttpResponse, redact: Callable[[str], str]) -> dict[str, str]:
    return {name.lower(): redact(value) for name, value in response.headers.items()}


def _transport_failure(error: ImsTransportError) -> Exception:
    """Return the SDK's error for a call without a response. Its last request is None: that would have the headers."""
    from alibabacloud_tea_openapi.client import DaraException, RetryPolicyContext, UnretryableException  # noqa: PLC0415

    inner = DaraException({"code": "NoResponse" if error.sent else "NotSent", "message": str(error)})
    failure: Exception = UnretryableException(RetryPolicyContext(exception=inner))
    return failure


def _failure(response: HttpResponse, content: Any, redact: Callable[[str], str]) -> Exception:
    """Return the SDK's error for a response that is not a success."""
    from alibabacloud_tea_openapi import exceptions  # noqa: PLC0415

    status = response.status
    data: Mapping[str, Any] = redact_texts(content, log_text) if isinstance(content, dict) else {}
    headers = _headers(response, lambda text: log_text(redact(text)))
    request_id = data.get("RequestId") or headers.get("x-acs-request-id")
    text = data.get("Message")
    if not data:
        text = f"the response is {describe_body(response.body)}, which is not the service's JSON object"
    if status in HTTP_REDIRECTS:
        text = "the response is a redirect, which is not followed: it is not from IMS"
    arguments = {
        "status_code": status,
        "code": f"{data.get('Code') or f'HTTP{status}'}",
        "message": f"code: {status}, {text} request id: {request_id}",
        "description": f"{data.get('Description')}",
        "data": {**data},
        "request_id": f"{request_id}",
    }
    failure: Exception
    if pause := retry_after(headers):
        failure = exceptions.ThrottlingException(retry_after=int(pause * 1000), **arguments)
    elif status in HTTP_CLIENT_ERRORS:
        failure = exceptions.ClientException(access_denied_detail=data.get("AccessDeniedDetail"), **arguments)
    else:
        failure = exceptions.ServerException(**arguments)
    return failure
