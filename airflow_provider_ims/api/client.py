"""The only room that talks to Alibaba Cloud: one transport, and what its answers mean.

Not imported when a DAG file is parsed: aiohttp takes longer to load than all of ours.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from airflow_provider_ims import __version__
from airflow_provider_ims.api.rate_limit import IN_FLIGHT, Pacer
from airflow_provider_ims.api.signature import canonical_query, signed_headers
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
from airflow_provider_ims.jobs.submission import Request, submission_unknown, what_is_asked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from aiohttp.client_proto import ResponseHandler
    from alibabacloud_ice20201109.client import Client

    from airflow_provider_ims.connection.settings import AccessKey, ImsSettings
    from airflow_provider_ims.jobs.submission import SubmissionWitness

log = logging.getLogger(__name__)

# Seconds. A connection outlasts the pauses between the polls of the first minutes, so that no poll pays for TLS; the
# service may close it earlier.
_KEPT_FOR = 60.0
_NAME_KEPT_FOR = 60
_READS = ("Query", "Get", "List", "Describe", "Search")

API_VERSION = "2020-11-09"
USER_AGENT = f"airflow-provider-ims/{__version__}"
# Answers are some hundred bytes, which are not worth packing.
_UNSIGNED_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": USER_AGENT}

HTTP_SUCCESS = range(200, 300)
HTTP_BAD_REQUEST = 400
HTTP_SERVER_ERROR = 500

# Codes are compared, never HTTP statuses: the products of Alibaba Cloud send the same code with different ones.
_THROTTLED = re.compile(r"Throttling(\..*)?")
_CREDENTIALS = re.compile(
    r"(InvalidAccessKeyId|InvalidSecurityToken|InvalidTimeStamp|SignatureDoesNotMatch|IncompleteSignature"
    r"|MissingSecurityToken|MissingAccessKeyId|Forbidden|NoPermission|PermissionDenied|InvalidIdentity)(\..*)?"
)
_PERMISSION = re.compile(r"(Forbidden|NoPermission|PermissionDenied)(\.RAM|\.NoPermission)?")
_NOT_FOUND = re.compile(r"(Invalid|.*\.)?Job(Id)?\.?NotFound(\..*)?")
_SERVICE = re.compile(r"(ServiceUnavailable|InternalError|SignatureNonceUsed)(\..*)?")
_REQUEST = re.compile(r"(Invalid|Missing|Unsupported)[A-Za-z]*(\..*)?")
_CERTAIN_REFUSAL = re.compile(r"ServiceUnavailable(\..*)?")
# The service has seen this request before: something on the way repeated it, and the first copy may have been
# carried out.
_SEEN_BEFORE = re.compile(r"SignatureNonceUsed(\..*)?")
# A gateway gave up waiting, for the client or for the service behind it.
_GAVE_UP = (408, 499)
_SUCCESS_CODES = frozenset({"ok", "success", "200"})

_ADVICE: dict[type[ImsApiError], str] = {
    ImsThrottledError: "The account calls too often: let fewer tasks run at once (an Airflow pool), or ask for a "
    "higher quota.",
    ImsCredentialsError: "Check the keys and the security token of the connection, and that IMS is activated for the "
    "account.",
    ImsNotFoundError: "Check the JobId, and that the region and the account are those of its submission.",
    ImsRequestError: "Correct the arguments; the same request will be refused again.",
}
_OTHER_ADVICE = "Try again later; if it stays, look at the service's status page and open a ticket with the RequestId."

_SIGNATURE_TEXT = re.compile(
    r"(?i)(signature=|authorization:|x-acs-security-token:|security-?token=|accesskeyid=)\s*[^\s,&]+"
)
_MAX_SERVICE_TEXT = 400


class ImsClient:
    """Calls IMS over one HTTP session. Belongs to the event loop it is first used on.

    Nothing is sent twice but a read whose kept connection broke: the caller decides what else is safe to repeat.

    :param settings: where to and as whom
    """

    def __init__(self, settings: ImsSettings) -> None:
        self._settings = settings
        self._host = urlsplit(settings.endpoint).netloc
        self._proxy = _proxy(settings)
        self._pacer = Pacer(settings.max_requests_per_second)
        self.harmless = Censor(settings.credentials)
        """Takes what is secret out of a text of the service."""
        self._session: aiohttp.ClientSession | None = None

    @property
    def settings(self) -> ImsSettings:
        """Where it calls, and as whom."""
        return self._settings

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the session; a later call opens a new one."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, action: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Call an action and return the whole response body, when its turn has come.

        What reads goes out a second time where it met a kept connection that the service had closed.

        :param action: API operation
        :param params: its parameters by the vendor's names; mappings and lists are sent as JSON, None is left out
        :raises ImsApiError: if the service refused, see its subclasses
        :raises ImsTransportError: if no answer came back
        """
        async with self._pacer:
            if self._session is None:
                self._session = self._new_session(
                    _Connections(limit=IN_FLIGHT, keepalive_timeout=_KEPT_FOR, ttl_dns_cache=_NAME_KEPT_FOR)
                )
            wire = _Wire()
            try:
                return await self._send(self._session, action, params, wire)
            except ImsTransportError:
                if not (wire.broke and wire.is_reused and action.startswith(_READS)):
                    raise
            # The service had closed the connection while nobody used it; others may have gone the same way.
            async with self._new_session(_Connections(force_close=True)) as session:
                return await self._send(session, action, params, _Wire())

    async def submit(
        self, action: str, params: Mapping[str, Any], witness: SubmissionWitness | None = None
    ) -> dict[str, Any]:
        """Call an action that creates something, over a connection of its own.

        A pooled connection that died unseen would make it unknown whether the service got the request. A call that is
        cancelled after its request went out ends in ImsSubmitUnknownError too: nobody will read the answer.

        :param action: API operation
        :param params: its parameters
        :param witness: is told right before the request goes out, when the answer is there, and when it is certain that
            nothing was created. It may block the event loop.
        :raises ImsSubmitUnknownError: if the request may have been carried out and the answer is lost
        :raises ImsApiError: if the service refused, so that nothing was created
        :raises ImsTransportError: if the request was not sent
        """
        asked = Request(action, self._settings.region, params)
        wire = _Wire()
        connector = _Connections(witness, force_close=True)
        async with self._pacer, self._new_session(connector) as session:
            try:
                answer = await self._send(session, action, params, wire)
            except ImsError as error:
                if not _maybe_carried_out(error):
                    connector.retract()
                    raise
                unknown = submission_unknown(asked, error.problem, request_id=getattr(error, "request_id", None))
            except asyncio.CancelledError:
                if not wire.sent:
                    connector.retract()
                    raise
                unknown = submission_unknown(asked, "It was interrupted while it waited for the answer.")
                # Who interrupts may end the process before anybody sees the error.
                log.warning("%s", unknown)
            else:
                # Before the session is closed: an interruption could come in between.
                if witness is not None:
                    witness.answered(answer)
                return answer
        raise unknown

    def _new_session(self, connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
        settings = self._settings
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(
                total=settings.connect_timeout + settings.read_timeout,
                connect=settings.connect_timeout,
                sock_read=settings.read_timeout,
            ),
            # A request without a body has no type; one that is sent would have to be signed.
            skip_auto_headers=("Content-Type",),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def _send(
        self, session: aiohttp.ClientSession, action: str, params: Mapping[str, Any], wire: _Wire
    ) -> dict[str, Any]:
        query = canonical_query(_as_text(action, params))
        url = URL(f"{self._settings.endpoint}/?{query}", encoded=True)
        key, host = self._settings.credentials, self._host
        signed = signed_headers(key, host=host, action=action, version=API_VERSION, query=query)
        headers = {**signed, **_UNSIGNED_HEADERS}
        # Errors are raised below, outside the except block: aiohttp's exceptions carry the request's headers with
        # the signature and the token, and would travel along as the context of ours.
        task = asyncio.current_task()
        _WIRES[task] = wire
        try:
            async with session.post(url, headers=headers, allow_redirects=False, proxy=self._proxy) as response:
                status, answer_headers, body = response.status, response.headers, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            wire.broke = isinstance(error, aiohttp.ClientConnectionError) and not isinstance(error, TimeoutError)
            failure = self._transport_error(action, params, error, sent=wire.sent)
        else:
            return self._decode(action, params, status, answer_headers, body)
        finally:
            del _WIRES[task]
        raise failure

    def _decode(
        self, action: str, params: Mapping[str, Any], status: int, headers: Mapping[str, str], body: bytes
    ) -> dict[str, Any]:
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if isinstance(answer, dict) and status in HTTP_SUCCESS and not _refused(answer):
            return answer
        details = answer if isinstance(answer, dict) else {}
        code, request_id = _string(details, "Code"), _string(details, "RequestId") or headers.get("x-acs-request-id")
        code, request_id = code and self.harmless(code), request_id and self.harmless(request_id)
        kind = _error_class(code, status)
        problem = f"{what_is_asked(action, params)} in {self._settings.region} "
        if code:
            problem += f"was refused: {code}: {self.harmless(_string(details, 'Message') or 'no message')}"
        elif isinstance(answer, dict):
            problem += f"was answered with HTTP {status} and no error code"
        else:
            problem += f"was answered with HTTP {status} and {_describe(body)}, which is not the service's JSON object"
        problem += f" (RequestId {request_id or 'none'}, HTTP {status})."
        if recommend := _string(details, "Recommend"):
            problem += f" Diagnosis: {self.harmless(recommend)}."
        raise kind(
            problem,
            advice=_advice(kind, code, action),
            action=action,
            code=code,
            request_id=request_id,
            http_status=status,
            retry_after=_retry_after(headers),
        )

    def _transport_error(
        self, action: str, params: Mapping[str, Any], error: Exception, *, sent: bool
    ) -> ImsTransportError:
        host, what = self._host, what_is_asked(action, params)
        why = self.harmless(_cause(error))
        if sent:
            return ImsTransportError(
                f"{what} was sent to {host} and no answer came back: {why}.",
                advice="Look at the network, or raise the connection's read_timeout.",
                sent=True,
            )
        return ImsTransportError(
            f"{what} was not sent: {host} could not be reached: {why}.",
            advice="Look at the network, the proxy and the connection's region, network and endpoint.",
        )


class Censor:
    """Returns text of the service without what is secret: refusals of a signature repeat the signed request.

    :param key: whose secrets
    """

    def __init__(self, key: AccessKey) -> None:
        secrets = [secret for secret in (key.secret, key.security_token) if secret]
        self._needles = [*secrets, *(quote(secret, safe="~") for secret in secrets)]

    def __call__(self, text: str) -> str:
        """Return a text in one line, shortened, without secrets."""
        for needle in self._needles:
            text = text.replace(needle, "***")
        # Most texts, a RequestId and an "ok", have nothing that could be a signature.
        if "=" in text or ":" in text:
            text = _SIGNATURE_TEXT.sub(r"\1***", text)
        text = " ".join(text.split())
        return text if len(text) <= _MAX_SERVICE_TEXT else f"{text[:_MAX_SERVICE_TEXT]}..."


@dataclass(slots=True)
class _Wire:
    """What has happened to a request.

    :param sent: whether its connection stands and it goes out; until then nothing can have been carried out
    :param is_reused: whether it went over a connection that was used before
    :param broke: whether the connection broke, in whatever way but silence
    """

    sent: bool = False
    is_reused: bool = True
    broke: bool = False


# The request that each task has under way. A context variable would leave objects behind in each task, see alarms.py.
_WIRES: dict[asyncio.Task[Any] | None, _Wire] = {}


class _Connections(aiohttp.TCPConnector):
    """Notes on a request's wire when its connection stands and it goes out next, and tells a witness, if there is one.

    As late as that, so that a process that dies while it looks for the service leaves no doubt behind. aiohttp's traces
    would tell the same for a tenth of a poll's CPU time.

    TLS sessions are not resumed: asyncio has no way to, and it would save 0.1 ms of a connection that serves hundreds
    of polls.
    """

    def __init__(self, witness: SubmissionWitness | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._witness = witness
        self._was_told = False

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> aiohttp.connector.Connection:
        """Return a connection, new or used."""
        connection = await super().connect(req, traces, timeout)
        if self._witness is not None:
            self._was_told = True
            try:
                self._witness.about_to_send()
            except BaseException:
                connection.close()
                raise
        _WIRES[asyncio.current_task()].sent = True
        return connection

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - as above
    ) -> ResponseHandler:
        """Connect, which is asked for where no kept connection is free."""
        _WIRES[asyncio.current_task()].is_reused = False
        return await super()._create_connection(req, traces, timeout)

    def retract(self) -> None:
        """Tell the witness that nothing was created, if it was told that something might be."""
        if self._witness is not None and self._was_told:
            self._witness.not_carried_out()


def _as_text(action: str, params: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters as the RPC style sends them: text, with objects and lists as JSON."""
    texts = {}
    for name, value in params.items():
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
                        f"Parameter {name} of {action} cannot be sent as JSON: {error}. Use plain values."
                    ) from None
        texts[name] = text
    return texts


def _proxy(settings: ImsSettings) -> URL | None:
    """Return the environment's proxy for the endpoint; never one for the emulator on this machine.

    Not left to aiohttp's ``trust_env``: that reads ``~/.netrc`` too, whose entry would replace our Authorization.

    :raises ImsConfigurationError: if the proxy is none that can be used; its value may hold a password
    """
    endpoint = urlsplit(settings.endpoint)
    if settings.is_loopback or proxy_bypass(endpoint.netloc):
        return None
    proxies = getproxies()
    value = proxies.get(endpoint.scheme) or proxies.get("all")
    if not value:
        return None
    try:
        proxy = URL(value if "://" in value else f"http://{value}")
        usable = proxy.scheme in {"http", "https"} and bool(proxy.host)
    except ValueError:
        usable = False
    if not usable:
        raise ImsConfigurationError(
            f"The proxy that the environment names for {endpoint.scheme} (HTTPS_PROXY or ALL_PROXY) is not an http:// "
            f"or https:// URL. Correct it, or add {endpoint.hostname} to NO_PROXY."
        )
    return proxy


def _refused(answer: Mapping[str, Any]) -> bool:
    """Whether a 200 is a refusal in disguise: an error code where the data should be, or ``Success: false``."""
    code = _string(answer, "Code")
    if code is None or code.lower() in _SUCCESS_CODES:
        return False
    return not answer.get("Data") or str(answer.get("Success", "")).lower() == "false"


def _string(answer: Mapping[str, Any], name: str) -> str | None:
    value = answer.get(name)
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


def _maybe_carried_out(error: ImsError) -> bool:
    """Whether a call that ended in an error may have been carried out by the service.

    No codes of IMS are documented, so only what is known to be a refusal counts as one.
    """
    match error:
        case ImsTransportError():
            return error.sent
        case ImsThrottledError() | ImsCredentialsError():
            return False
        case ImsApiError(code=str(code)) if _CERTAIN_REFUSAL.fullmatch(code):
            return False
        case ImsApiError(code=str(code)) if _SEEN_BEFORE.fullmatch(code):
            return True
        case ImsApiError(http_status=int(status)):
            return not HTTP_BAD_REQUEST <= status < HTTP_SERVER_ERROR or status in _GAVE_UP
        case _:
            return False


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


def _cause(error: Exception) -> str:
    """Say in a few words what happened on the wire, without the addresses and headers some exceptions print."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate was refused ({error.certificate_error})"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name could not be resolved"
    if isinstance(error, aiohttp.ClientConnectorError):
        via = "the proxy: " if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
        return f"{via}{error.os_error.strerror or type(error.os_error).__name__}"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered HTTP {error.status}"
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return f"the connection broke ({type(error).__name__})"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the pause that a throttling answer asks for, in seconds; the header has milliseconds."""
    value = headers.get("x-acs-retry-after", "")
    return int(value) / 1000 if value.isascii() and value.isdigit() and int(value) > 0 else None


def typed_client(settings: ImsSettings) -> Client:
    """Return the official typed client, with endpoint and credentials of the connection."""
    from alibabacloud_ice20201109.client import Client  # noqa: PLC0415 - 1,600 modules, only for who asks for it
    from alibabacloud_tea_openapi.utils_models import Config  # noqa: PLC0415

    endpoint = urlsplit(settings.endpoint)
    key = settings.credentials
    client = Client(
        Config(
            access_key_id=key.key_id,
            access_key_secret=key.secret,
            security_token=key.security_token,
            region_id=settings.region,
            endpoint=endpoint.netloc,
            protocol=endpoint.scheme,
            connect_timeout=int(settings.connect_timeout * 1000),
            read_timeout=int(settings.read_timeout * 1000),
            user_agent=USER_AGENT,
        )
    )
    _silence_sdk_loggers()
    return client


def _silence_sdk_loggers() -> None:
    """Remove what prints secrets.

    On import the SDK gives its loggers handlers of their own on stderr and the level DEBUG; with ``DEBUG=sdk`` in the
    environment they print all headers, the live security token and the signature included.
    """
    for name in ("darabonba-core", "alibabacloud-tea", "credentials"):
        logger = logging.getLogger(name)
        for handler in logger.handlers[:]:
            logger.removeHandler(handler)
        logger.setLevel(logging.WARNING)
