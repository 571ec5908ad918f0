"""Fetches temporary keys once: from STS, the metadata service of an ECS instance, or a URL.

Over the transport of this package, and signed as requests to IMS are. The official credentials library would fill in
blanks from environment variables that it has read when it was imported, follow redirects, ignore ``NO_PROXY``, block
the event loop or start threads, print tokens on loggers of its own, and repeat URLs with tokens in its errors. Tests
hold this module to it: both get their keys from the same emulator.

Sources: https://help.aliyun.com/en/ram/developer-reference/api-sts-2015-04-01-assumerole,
https://help.aliyun.com/en/ram/developer-reference/api-sts-2015-04-01-assumerolewithoidc,
https://help.aliyun.com/en/ecs/user-guide/view-instance-metadata
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from airflow.providers.common.compat.sdk import conf

from airflow_provider_ims.api.profiles import default_chain, read_profile
from airflow_provider_ims.api.protocol import (
    HTTP_SERVER_ERRORS,
    HTTP_TOO_MANY_REQUESTS,
    ApiRequest,
    HttpRequest,
    describe_body,
    encode,
    retry_after,
    without_signed_request,
)
from airflow_provider_ims.api.recent_keys import recent_keys, remember
from airflow_provider_ims.api.redact import Redactor, log_text
from airflow_provider_ims.api.refusal import ASSUME_ROLE, ASSUME_ROLE_WITH_OIDC, are_keys_given, explain_refusal
from airflow_provider_ims.api.signature import FORM, percent_encode
from airflow_provider_ims.api.stamp import TIME_FORMAT, new_stamp
from airflow_provider_ims.connection.access_key import AccessKey
from airflow_provider_ims.connection.credentials import (
    CredentialsUri,
    DefaultChain,
    EcsRole,
    OidcRole,
    Profile,
    RamRole,
)
from airflow_provider_ims.connection.endpoint import METADATA_HOST
from airflow_provider_ims.connection.fields import OIDC_TOKEN_DIRS
from airflow_provider_ims.exceptions import (
    ImsApiError,
    ImsCredentialsError,
    ImsError,
    ImsServiceError,
    ImsThrottledError,
    ImsTransportError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from airflow_provider_ims.api.protocol import HttpResponse
    from airflow_provider_ims.connection.credentials import Credentials

log = logging.getLogger(__name__)

_MAX_TOKEN_LENGTH = 20_000
"""Characters. STS takes no longer OIDC token."""
_SHORTEST_SECRET = 8
"""Characters, as many as the redaction needs to know a secret by its beginning."""
_OK = 200
_NOT_FOUND = 404
_REDIRECTS = range(300, 400)
_THROTTLED = re.compile(r"(Throttling|RequestsTooFrequent)(\..*)?")
# What a foreign server has there is not repeated.
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_KEY = re.compile(r"[!-~]{1,20000}")
_ROLE_NAME = re.compile(r"(?!\.{1,2}$)[\w.-]{1,64}", re.ASCII)

_STS_VERSION = "2015-04-01"
_ROLES = "meta-data/ram/security-credentials/"
_METADATA_TOKEN = "X-aliyun-ecs-metadata-token"  # noqa: S105 - the name of a header
_METADATA_TTL = f"{_METADATA_TOKEN}-ttl-seconds"
_METADATA_TOKEN_SECONDS = "60"  # noqa: S105 - its lifetime

_STS_ADVICE = "Look at the network, the proxy, and Network and STS endpoint in the connection."
_METADATA_ADVICE = (
    "Look whether the machine that runs the task is an ECS instance and reaches the address, without a proxy."
)
_URI_ADVICE = "Look at the service that the credentials URI of the connection names."


class Exchange(Protocol):
    """Sends a request once, and returns the response as it came, whatever its status."""

    def __call__(self, http: HttpRequest, description: str) -> Awaitable[HttpResponse]:
        """Send a request.

        :param http: the request
        :param description: what it is, for messages
        :raises ImsTransportError: if no response came back
        """


@dataclass(frozen=True, slots=True)
class FetchedKey:
    """Keys, and when they expire.

    :param key: the keys
    :param expires_at: in seconds since the epoch; None if they do not expire
    """

    key: AccessKey
    expires_at: float | None = None


class KeyFetcher:
    """Fetches the keys of one connection.

    :param credentials: where the keys come from
    :param exchange: sends requests
    """

    def __init__(self, credentials: Credentials, exchange: Exchange) -> None:
        self._credentials = credentials
        self._exchange = exchange
        self._of_chain: Credentials | None = None

    async def fetch(self) -> FetchedKey:
        """Return current keys.

        No error is of a request to IMS: after each of them, that was certainly not sent.

        :raises ImsCredentialsError: if no keys can be had, because something is refused, missing or wrong
        :raises ImsServiceError: if the service that issues them fails
        :raises ImsThrottledError: if it throttles
        :raises ImsTransportError: if it cannot be reached
        """
        return await self._fetch(self._credentials)

    async def _fetch(self, credentials: Credentials) -> FetchedKey:
        match credentials:
            case AccessKey():
                return FetchedKey(credentials)
            case Profile():
                found = await asyncio.to_thread(read_profile, credentials)
                _log_found(credentials, found)
                return await self._fetch(found)
            case DefaultChain():
                return await self._fetch_of_chain()
            case RamRole(base=base):
                # The chain of assumed roles is followed here, so that each error is about one service.
                key = (await self._fetch(base)).key
                remember(base, key)
                return await self._issue(credentials, key)
            case _:
                return await self._issue(credentials)

    async def _fetch_of_chain(self) -> FetchedKey:
        # What has worked once is used ever after: the chain must not go on to another identity
        # because a service is down.
        if self._of_chain is not None:
            return await self._fetch(self._of_chain)
        tried = []
        for credentials in default_chain(os.environ):
            try:
                fetched = await self._fetch(credentials)
            except ImsError as error:
                if _is_passing(error) and not _is_absent(credentials, error):
                    raise
                tried.append(f"{credentials.description}: {error.problem}")
            else:
                self._of_chain = credentials
                _log_found(DefaultChain(), credentials)
                return fetched
        raise ImsCredentialsError(
            f"The default credentials chain finds no credentials. {' '.join(tried)}",
            advice="Give the machine that runs the task an identity, or choose another Authentication in the "
            "connection.",
            is_rejection=True,
        )

    async def _issue(
        self, credentials: RamRole | OidcRole | EcsRole | CredentialsUri, base: AccessKey | None = None
    ) -> FetchedKey:
        """Return keys that a service issues.

        :param credentials: what to request from which service
        :param base: the keys that sign the request, if it is signed
        """
        token = await asyncio.to_thread(_oidc_token, credentials) if isinstance(credentials, OidcRole) else ""
        are_given = are_keys_given(self._credentials, _action(credentials))
        service = _Service(credentials, self._exchange, token=token, base=base, are_keys_given=are_given)
        match credentials:
            case RamRole() if base is not None:
                content = await service.assume_role(credentials, base)
            case OidcRole():
                content = await service.assume_role_with_oidc(credentials, token)
            case EcsRole():
                content = await service.read_metadata(credentials)
            case CredentialsUri():
                content = await service.read_uri(credentials)
            case _:
                raise TypeError(type(credentials))
        return service.read_key(content)


_found: dict[str, str] = {}
"""For each profile and the default chain, what the log has said last."""


def _log_found(credentials: Profile | DefaultChain, found: Credentials) -> None:
    """Log which identity the machine has; each call of a hook would say it again, so only if it is another one."""
    name = credentials.description
    if _found.get(name) != found.description:
        _found[name] = found.description
        log.info("The identity of %s is %s", name, found.description)


def _is_passing(error: ImsError) -> bool:
    return isinstance(error, ImsTransportError | ImsServiceError | ImsThrottledError)


def _is_absent(credentials: Credentials, error: ImsError) -> bool:
    """Whether the machine does not have what the chain tries: only an ECS instance has a metadata service."""
    return isinstance(credentials, EcsRole) and isinstance(error, ImsTransportError)


class _Service:
    """A service that issues keys.

    :param credentials: what is requested
    :param exchange: sends requests
    :param token: the OIDC token that is sent, empty if none is
    :param base: the keys that sign the request, if it is signed
    :param are_keys_given: whether these keys are in the connection
    """

    def __init__(
        self,
        credentials: RamRole | OidcRole | EcsRole | CredentialsUri,
        exchange: Exchange,
        *,
        token: str,
        base: AccessKey | None,
        are_keys_given: bool,
    ) -> None:
        self._credentials = credentials
        self._exchange = exchange
        self._secrets = (token, *_secrets_of(credentials))
        self._keys = (*(() if base is None else (base,)), *_earlier_keys(credentials))
        self._are_keys_given = are_keys_given
        self._action = _action(credentials)
        match credentials:
            case RamRole() | OidcRole():
                self._name = f"STS ({urlsplit(credentials.sts_endpoint).netloc})"
                self._subject = f"{self._action} of {credentials.role_arn}"
                self._advice = _STS_ADVICE
            case EcsRole():
                self._name = f"The metadata service of the ECS instance ({METADATA_HOST})"
                self._subject = "The request for keys of the ECS instance"
                self._advice = _METADATA_ADVICE
            case CredentialsUri():
                self._name = f"The credentials URI ({urlsplit(credentials.uri).netloc})"
                self._subject = "The request for keys of the credentials URI"
                self._advice = _URI_ADVICE

    async def assume_role(self, role: RamRole, base: AccessKey) -> Any:
        """Request the keys of a RAM role from STS. The request is signed as those to IMS are."""
        params = {**_session(role), "ExternalId": role.external_id}
        request = ApiRequest(ASSUME_ROLE, params, body_parameters=frozenset(params), version=_STS_VERSION)
        stamp = new_stamp()
        http = encode(request, endpoint=role.sts_endpoint, key=base, date=stamp.date, nonce=stamp.nonce)
        return _object(await self._send(http, http.signature)).get("Credentials")

    async def assume_role_with_oidc(self, role: OidcRole, token: str) -> Any:
        """Request the keys of a RAM role from STS with a token; the token is in the body, and nothing is signed."""
        stamp = new_stamp()
        query = {
            "Action": ASSUME_ROLE_WITH_OIDC,
            "Version": _STS_VERSION,
            "Format": "JSON",
            "Timestamp": stamp.date,
            "SignatureNonce": stamp.nonce,
        }
        body = {**_session(role), "OIDCProviderArn": role.oidc_provider_arn, "OIDCToken": token}
        texts = {name: str(value) for name, value in body.items() if value is not None}
        http = HttpRequest(
            f"{role.sts_endpoint}/?{percent_encode(query)}", {"content-type": FORM}, percent_encode(texts).encode()
        )
        return _object(await self._send(http)).get("Credentials")

    async def read_metadata(self, role: EcsRole) -> Any:
        """Request the keys of the instance's role from the metadata service, in version 2, or 1 if that is allowed."""
        try:
            headers = {_METADATA_TTL: _METADATA_TOKEN_SECONDS}
            token = (await self._send(_metadata("api/token", headers, method="PUT"))).decode("ascii").strip()
            return await self._read_role(role, {_METADATA_TOKEN: token})
        except (ImsError, UnicodeDecodeError):
            if not role.allow_imds_v1:
                raise
        return await self._read_role(role, {})

    async def _read_role(self, role: EcsRole, headers: dict[str, str]) -> Any:
        name = role.role_name
        if name is None:
            name = (await self._send(_metadata(_ROLES, headers))).decode("utf-8", "replace").strip()
            # It becomes part of a path, and must not make it another one.
            if not _ROLE_NAME.fullmatch(name):
                raise self._without_keys("names no role")
        return _object(await self._send(_metadata(f"{_ROLES}{name}", headers)))

    async def read_uri(self, credentials: CredentialsUri) -> Any:
        """Request keys from a URL."""
        return _object(await self._send(HttpRequest(credentials.uri, {}, b"", method="GET")))

    def read_key(self, content: Any) -> FetchedKey:
        """Return the keys of a response.

        :raises ImsCredentialsError: if it holds none, or they have expired already
        """
        content = content if isinstance(content, dict) else {}
        parts = [content.get(name) for name in ("AccessKeyId", "AccessKeySecret", "SecurityToken")]
        texts = [part for part in parts if isinstance(part, str) and _KEY.fullmatch(part)]
        try:
            expiration = datetime.strptime(str(content.get("Expiration")), TIME_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            expiration = None
        if len(texts) < len(parts) or expiration is None or content.get("Code", "Success") != "Success":
            raise self._without_keys("holds no keys")
        if expiration.timestamp() <= time.time():
            raise self._without_keys(
                "holds keys that have expired already: the clock of the machine that runs the task is wrong"
            )
        return FetchedKey(AccessKey(*texts), expiration.timestamp())

    async def _send(self, http: HttpRequest, signature: str = "") -> bytes:
        """Send a request, and return the body of a success.

        :raises ImsError: if no response came back, or it is no success
        """
        try:
            response = await self._exchange(http, self._subject)
        except ImsTransportError as error:
            failure: ImsError = ImsTransportError(error.problem, advice=self._advice)
        else:
            if response.status == _OK:
                return response.body
            # The metadata service issues a token for the requests to it.
            issued = http.headers.get(_METADATA_TOKEN, "")
            failure = self._failure(response, Redactor(*self._keys, others=(*self._secrets, signature, issued)))
        raise failure

    def _without_keys(self, why: str) -> ImsError:
        return ImsCredentialsError(
            f"{self._subject} failed: the response of {self._name} {why}.",
            advice=self._advice,
            action=self._action,
            is_rejection=True,
        )

    def _failure(self, response: HttpResponse, redactor: Redactor) -> ImsApiError:
        """Return the error for a response that is no success."""
        content = _object(response.body)
        texts = {name: value for name, value in content.items() if isinstance(value, str)}

        def word(name: str) -> str | None:
            value = redactor.redact(texts.get(name, ""))
            return value if _CODE.fullmatch(value) else None

        code, request_id, status = word("Code"), word("RequestId"), response.status
        kind = self._kind(code, status)
        refusal = None
        if kind is ImsCredentialsError:
            refusal = explain_refusal(code, self._action, are_keys_given=self._are_keys_given)
        if refusal:
            why = f"was refused: {refusal.problem}"
        elif code:
            why = f"was refused: {code}"
        elif status in _REDIRECTS:
            why = "got a redirect, which is not followed"
        elif isinstance(self._credentials, EcsRole) and kind is ImsCredentialsError:
            name = self._credentials.role_name
            why = "was refused" if status != _NOT_FOUND else f"found no RAM role{f' {name!r}' if name else ''}"
        else:
            why = f"got {describe_body(response.body)}"
        # The message of a server of somebody's own may be anything.
        message = ""
        if self._action and code:
            message = log_text(redactor.redact(without_signed_request(texts.get("Message", ""))))
        return kind(
            f"{self._subject} {why}{f': {message}' if message else ''} ({self._name}, RequestId "
            f"{request_id or 'none'}, HTTP {status}).",
            advice=refusal.advice if refusal else self._advice_about(kind),
            action=self._action,
            code=code,
            request_id=request_id,
            http_status=status,
            retry_after=retry_after(response.headers),
            is_rejection=True,
        )

    def _kind(self, code: str | None, status: int) -> type[ImsApiError]:
        if status == HTTP_TOO_MANY_REQUESTS or (code and _THROTTLED.fullmatch(code)):
            return ImsThrottledError
        # aiohttp sends a GET again if its connection broke; STS refuses the second one.
        is_passing = status in HTTP_SERVER_ERRORS or code == "SignatureNonceUsed"
        return ImsServiceError if is_passing else ImsCredentialsError

    def _advice_about(self, kind: type[ImsApiError]) -> str:
        if kind is not ImsCredentialsError:
            return "Try again later; if the error persists, look at the status page of the service."
        if isinstance(self._credentials, EcsRole):
            return (
                "Attach the RAM role to the instance, correct its name in the connection, or allow version 1 of the "
                "metadata service there if the instance has no other."
            )
        return self._advice


def _action(credentials: Credentials) -> str | None:
    """Return the action of STS that issues the keys; None if another service does."""
    if isinstance(credentials, RamRole):
        return ASSUME_ROLE
    return ASSUME_ROLE_WITH_OIDC if isinstance(credentials, OidcRole) else None


def _session(role: RamRole | OidcRole) -> dict[str, Any]:
    """Return the parameters that all roles have; None is left out."""
    return {
        "RoleArn": role.role_arn,
        "RoleSessionName": role.session_name,
        "DurationSeconds": role.duration,
        "Policy": role.policy,
    }


def _secrets_of(credentials: Credentials) -> list[str]:
    """Return the texts of a connection that go into requests for keys and that no message may repeat.

    Short ones are left out: they may be a part of any word, and are no secrets.
    """
    texts = []
    match credentials:
        case RamRole(external_id=str(external_id)):
            texts = [external_id]
        case CredentialsUri(uri=uri):
            parts = urlsplit(uri)
            texts = [parts.query, *parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
    return [text for text in texts if len(text) >= _SHORTEST_SECRET]


def _earlier_keys(credentials: Credentials) -> tuple[AccessKey, ...]:
    """Return the last keys that a service has issued, and those that signed the requests for them."""
    base = recent_keys(credentials.base) if isinstance(credentials, RamRole) else ()
    return (*recent_keys(credentials), *base)


def _metadata(path: str, headers: dict[str, str], *, method: str = "GET") -> HttpRequest:
    return HttpRequest(f"http://{METADATA_HOST}/latest/{path}", headers, b"", method=method)


def _object(body: bytes) -> dict[str, Any]:
    """Return a JSON object; an empty one if the body is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _oidc_token(credentials: OidcRole) -> str:
    """Return the OIDC token of a file.

    :raises ImsCredentialsError: if it is in another directory than tokens may be in, or cannot be read
    """
    directories = conf.get("ims", "oidc_token_dirs", fallback=OIDC_TOKEN_DIRS)
    # The files of Kubernetes are symbolic links to others beside them.
    path = Path(os.path.realpath(credentials.token_file))
    allowed = [Path(os.path.realpath(name)) for name in directories.split(":") if name]
    if not any(path.is_relative_to(directory) for directory in allowed):
        raise ImsCredentialsError(
            "The OIDC token file of the connection is not in a directory that tokens may be read from.",
            advice=f"Use a file in {directories}, or have the administrator of Airflow add its directory to "
            "[ims] oidc_token_dirs (AIRFLOW__IMS__OIDC_TOKEN_DIRS) on all machines.",
            is_rejection=True,
        )
    token, why = "", None
    try:
        # A pipe would block, and has no end.
        if path.exists() and not path.is_file():
            why = "it is not a file"
        else:
            with path.open(encoding="ascii") as file:
                token = file.read(_MAX_TOKEN_LENGTH + 100).strip()
    except OSError as error:
        why = error.strerror or type(error).__name__
    except ValueError:
        why = "it does not hold a token"
    if why is None:
        if not token:
            why = "it is empty"
        elif len(token) > _MAX_TOKEN_LENGTH:
            why = f"it has more than {_MAX_TOKEN_LENGTH:,} characters"
        elif not token.isprintable() or " " in token:
            why = "it does not hold a token"
    if why is not None:
        raise ImsCredentialsError(
            f"The OIDC token file of the connection cannot be used: {why}.",
            advice="Look at the service account and the volume of the pod, and at OIDC token file in the connection.",
            is_rejection=True,
        )
    return token
