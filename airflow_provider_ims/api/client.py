"""The transport: one HTTP session that sends signed requests to IMS.

Not imported when a DAG file is parsed: aiohttp takes longer to load than all of this package.
"""

from __future__ import annotations

import asyncio
import functools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from airflow_provider_ims import metrics
from airflow_provider_ims.api.credentials import KeySource
from airflow_provider_ims.api.protocol import HttpResponse, decode, encode, may_have_been_carried_out
from airflow_provider_ims.api.rate_limit import IN_FLIGHT, RateLimiter
from airflow_provider_ims.api.redact import MARK, Redactor, log_text
from airflow_provider_ims.api.stamp import new_stamp
from airflow_provider_ims.connection.endpoint import is_host, is_loopback
from airflow_provider_ims.exceptions import (
    ImsConfigurationError,
    ImsCredentialsError,
    ImsError,
    ImsSubmitUnknownError,
    ImsThrottledError,
    ImsTransportError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from types import TracebackType

    from airflow_provider_ims.api.credentials import KeyCache
    from airflow_provider_ims.api.observer import SubmissionObserver
    from airflow_provider_ims.api.protocol import ApiRequest, HttpRequest
    from airflow_provider_ims.connection.access_key import AccessKey
    from airflow_provider_ims.connection.settings import ImsSettings

# Seconds. A kept connection outlasts the pauses between the polls of the first minutes, so that no poll pays for TLS;
# the service may close it earlier.
_KEEPALIVE = 60.0
_IDLE_CONNECTIONS_TIME_OUT = aiohttp.__version__ in {"3.14.0", "3.14.1"}
"""Whether the read timeout goes on while nobody uses a kept connection, and the next request over it fails at once
(https://github.com/aio-libs/aiohttp/issues/12953)."""
_DNS_CACHE_TTL = 60
# Bytes of a response that are read, unpacked. More is none of IMS, and must not use up the memory of a triggerer.
_MAX_BODY = 8 * 1024 * 1024


class ImsClient:
    """Calls IMS over one HTTP session. Belongs to the event loop it is first used on.

    Only a read whose connection broke is sent twice: the caller decides what else is safe to repeat.

    :param settings: endpoint, credentials and limits
    :param key_cache: the keys that this client shares with others; None fetches its own
    """

    def __init__(self, settings: ImsSettings, *, key_cache: KeyCache | None = None) -> None:
        self._settings = settings
        self._proxy = _proxy(settings.endpoint)
        self._rate_limiter = RateLimiter(settings.max_requests_per_second)
        self._keys = KeySource(settings.credentials, self.exchange, cache=key_cache)
        self._redactor = Redactor(*self._keys.known)
        self._redacted = self._keys.known
        self._session: aiohttp.ClientSession | None = None

    @property
    def settings(self) -> ImsSettings:
        """Endpoint, credentials and limits."""
        return self._settings

    @property
    def keys(self) -> KeySource:
        """The keys that sign requests."""
        return self._keys

    def redact(self, text: str) -> str:
        """Return a text for a log or a message: one line, shortened, without secrets and signatures."""
        return log_text(self._current_redactor().redact(text))

    log_text = staticmethod(log_text)
    """The same for texts of responses, which have no secrets any more."""

    @staticmethod
    def is_redacted(text: str) -> bool:
        """Whether a text of a response is not what the service sent: it had a secret in it."""
        return MARK in text

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the session; a later call opens a new one."""
        await self._keys.aclose()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, request: ApiRequest, *, ahead: bool = False) -> dict[str, Any]:
        """Call an action within the rate limit, and return the whole response body.

        A read whose connection broke is sent once more, over a new connection: the service may have closed a kept
        connection while nobody used it.

        :param request: the call
        :param ahead: whether the call goes before all that wait, over a connection of its own. It is sent once.
        :raises ImsApiError: if the response is an error, see its subclasses
        :raises ImsTransportError: if no response came back
        """
        send = functools.partial(self._call_alone, ahead=True) if ahead else self._call
        return await self._with_current_key(functools.partial(send, request))

    async def _call(self, request: ApiRequest, key: AccessKey) -> dict[str, Any]:
        async with self._turn(request):
            if self._session is None:
                half = self._settings.read_timeout / 2
                keepalive = min(_KEEPALIVE, half) if _IDLE_CONNECTIONS_TIME_OUT else _KEEPALIVE
                self._session = self._new_session(
                    aiohttp.TCPConnector(limit=IN_FLIGHT, keepalive_timeout=keepalive, ttl_dns_cache=_DNS_CACHE_TTL)
                )
            try:
                return await self._send(self._session, request, key)
            except ImsTransportError as error:
                if not (error.is_broken and request.is_read):
                    raise
        # Other kept connections may be closed too.
        return await self._call_alone(request, key)

    async def _call_alone(self, request: ApiRequest, key: AccessKey, *, ahead: bool = False) -> dict[str, Any]:
        """Call over a connection of its own."""
        connector = aiohttp.TCPConnector(force_close=True)
        async with self._turn(request, ahead=ahead), self._new_session(connector) as session:
            return await self._send(session, request, key)

    @asynccontextmanager
    async def _turn(self, request: ApiRequest, *, ahead: bool = False) -> AsyncIterator[None]:
        """Wait until a request may be sent, which is the body of ``async with``, and measure the wait."""
        now = asyncio.get_running_loop().time
        begun = now()
        try:
            async with self._rate_limiter.turn(ahead=ahead):
                metrics.QUEUEING_TIME.time(now() - begun, action=request.action, region=self._settings.region)
                yield
        except ImsThrottledError:
            metrics.THROTTLED.count(action=request.action, region=self._settings.region)
            raise

    async def _with_current_key(self, call: Callable[[AccessKey], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Make a call with the current keys, and once more with others if the service says that these have expired."""
        key = await self._keys.current()
        try:
            return await call(key)
        except ImsCredentialsError as error:
            if not self._keys.refuse(key, error.code):
                raise
        return await call(await self._keys.current())

    async def submit(self, request: ApiRequest, observer: SubmissionObserver | None = None) -> dict[str, Any]:
        """Call an action that creates something, over a connection of its own.

        A kept connection that the service has closed would make it unknown whether the service got the request. A call
        that is cancelled after its request was sent raises ImsSubmitUnknownError too: its response is lost.

        :param request: the call
        :param observer: is told what happens to the submission, except that it is unknown. It may block the loop.
        :raises ImsSubmitUnknownError: if the request may have been carried out and the response is lost; its text is
            the reason only
        :raises ImsApiError: if the service rejected the request, so that nothing was created
        :raises ImsTransportError: if the request was not sent
        """
        return await self._with_current_key(functools.partial(self._submit, request, observer))

    async def _submit(self, request: ApiRequest, observer: SubmissionObserver | None, key: AccessKey) -> dict[str, Any]:
        settings = self._settings
        connector = _SubmissionConnector(observer, settings.read_timeout)
        # No total time-out: the observer may take longer than the request. The connector limits the time after it.
        timeout = aiohttp.ClientTimeout(connect=settings.connect_timeout, sock_read=settings.read_timeout)
        async with self._turn(request), self._new_session(connector, timeout) as session:
            try:
                response = await self._send(session, request, key, connector)
            except ImsError as error:
                if not may_have_been_carried_out(error):
                    connector.report_rejection()
                    raise
                unknown = ImsSubmitUnknownError(
                    error.problem, action=request.action, request_id=getattr(error, "request_id", None)
                )
            except asyncio.CancelledError:
                if not connector.is_open:
                    connector.report_rejection()
                    raise
                unknown = ImsSubmitUnknownError(
                    "It was interrupted while it waited for the response.", action=request.action
                )
            else:
                # Before the session is closed: closing it gives an interruption a chance.
                if observer is not None:
                    observer.on_accepted(response)
                return response
        raise unknown

    def _current_redactor(self) -> Redactor:
        if self._redacted is not self._keys.known:
            self._redacted = self._keys.known
            self._redactor = Redactor(*self._redacted)
        return self._redactor

    async def exchange(self, http: HttpRequest, description: str) -> HttpResponse:
        """Send a request once, to IMS or a service of keys, over its own connection; return the response as it came.

        :param http: the request
        :param description: what it is, for messages
        :raises ImsTransportError: if no response came back
        """
        async with self._new_session(aiohttp.TCPConnector(force_close=True)) as session:
            return await self._exchange(session, http, description, _proxy(http.url))

    def _new_session(
        self, connector: aiohttp.BaseConnector, timeout: aiohttp.ClientTimeout | None = None
    ) -> aiohttp.ClientSession:
        settings = self._settings
        return aiohttp.ClientSession(
            connector=connector,
            timeout=timeout
            or aiohttp.ClientTimeout(
                total=settings.connect_timeout + settings.read_timeout,
                connect=settings.connect_timeout,
                sock_read=settings.read_timeout,
            ),
            # A request without a body has no type; a type that is sent must be signed.
            skip_auto_headers=("Content-Type",),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def _send(
        self,
        session: aiohttp.ClientSession,
        request: ApiRequest,
        key: AccessKey,
        connector: _SubmissionConnector | None = None,
    ) -> dict[str, Any]:
        settings = self._settings
        stamp = new_stamp()
        http = encode(request, endpoint=settings.endpoint, key=key, date=stamp.date, nonce=stamp.nonce)
        response = await self._exchange(session, http, request.description, self._proxy, connector)
        return decode(
            request,
            region=settings.region,
            status=response.status,
            headers=response.headers,
            body=response.body,
            redact=self._current_redactor().with_signature(http.signature).redact,
            sent_at=stamp.at,
            are_keys_given=not self._keys.is_refreshable,
        )

    async def _exchange(
        self,
        session: aiohttp.ClientSession,
        http: HttpRequest,
        description: str,
        proxy: URL | None,
        connector: _SubmissionConnector | None = None,
    ) -> HttpResponse:
        # Errors are raised below, outside the except block: aiohttp's exceptions carry the request's headers with
        # the signature and the token, and would travel along as the context of ours.
        try:
            async with (
                asyncio.timeout(None) if connector is None else connector.time_limit,
                session.request(
                    http.method,
                    URL(http.url, encoded=True),
                    headers=http.headers,
                    data=http.body or None,
                    allow_redirects=False,
                    proxy=proxy,
                ) as response,
            ):
                return HttpResponse(response.status, response.headers, await _read(response))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            host, why = urlsplit(http.url).netloc, self.redact(_cause(error, proxy))
            # aiohttp tells a connection that was not opened by the class of the error; a submission needs certainty.
            sent = not isinstance(error, _NOT_CONNECTED) if connector is None else connector.is_open
            failure = _transport_error(description, host, why, error, sent=sent)
        raise failure


def _transport_error(description: str, host: str, why: str, error: Exception, *, sent: bool) -> ImsTransportError:
    if not sent:
        return ImsTransportError(
            f"{description} was not sent: {host} could not be reached: {why}.",
            advice="Look at the network, the proxy and the connection's region, network and endpoint.",
        )
    return ImsTransportError(
        f"{description} was sent to {host} and no response came back: {why}.",
        advice="Look at the network, or raise the connection's read_timeout.",
        sent=True,
        is_broken=isinstance(error, aiohttp.ClientConnectionError) and not isinstance(error, TimeoutError),
    )


_NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)


class _SubmissionConnector(aiohttp.TCPConnector):
    """Opens the one connection of a submission, and tells the observer when the request leaves next.

    Only then, so that a process that dies during DNS, TCP or TLS leaves no unknown submission. TLS sessions are not
    resumed: asyncio has no way to.

    :param observer: the submission's observer, None for none
    :param read_timeout: seconds for the response, from the moment on at which the request leaves
    """

    def __init__(self, observer: SubmissionObserver | None, read_timeout: float) -> None:
        super().__init__(force_close=True)
        self._observer = observer
        self._read_timeout = read_timeout
        self._was_told = False
        self.time_limit = asyncio.timeout(None)
        """The time-out of the request; it begins when the observer is done."""
        self.is_open = False
        """Whether the connection is open: from then on the request may have been carried out."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> aiohttp.connector.Connection:
        """Return the connection."""
        connection = await super().connect(req, traces, timeout)
        if self._observer is not None:
            self._was_told = True
            try:
                self._observer.before_send()
                # It blocks the loop: a cancellation that came meanwhile takes effect here, before the request leaves.
                await asyncio.sleep(0)
            except BaseException:
                connection.close()
                raise
        self.time_limit.reschedule(asyncio.get_running_loop().time() + self._read_timeout)
        self.is_open = True
        return connection

    def report_rejection(self) -> None:
        """Tell the observer that nothing was created, if it was told that something might be."""
        if self._observer is not None and self._was_told:
            self._observer.on_rejected()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the body of a response, or the beginning of one that is too long: a JSON object that is cut is none."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_BODY:
            break
    return bytes(body[:_MAX_BODY])


def _proxy(url: str) -> URL | None:
    """Return the environment's proxy for a URL; never one for a service on this machine, as the emulator is.

    Not left to aiohttp's ``trust_env``: that reads ``~/.netrc`` too, whose entry would replace our Authorization.

    :param url: the endpoint or the whole URL
    :raises ImsConfigurationError: if the proxy cannot be used; its value may hold a password
    """
    endpoint = urlsplit(url)
    if is_loopback(endpoint.hostname or "") or proxy_bypass(endpoint.netloc):
        return None
    proxies = getproxies()
    value = proxies.get(endpoint.scheme) or proxies.get("all")
    if not value:
        return None
    try:
        proxy = URL(value if "://" in value else f"http://{value}")
        # aiohttp sends user and password as Latin-1.
        f"{proxy.user}{proxy.password}".encode("latin-1")
        usable = proxy.scheme in {"http", "https"} and is_host(proxy.raw_host or "") and proxy.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ImsConfigurationError(
            f"The proxy that the environment names for {endpoint.scheme} (HTTPS_PROXY or ALL_PROXY) is not a valid "
            f"http:// or https:// URL.",
            advice=f"Correct it, or add {endpoint.hostname} to NO_PROXY.",
        )
    return proxy


def _cause(error: Exception, proxy: URL | None) -> str:
    """Say in a few words what happened on the wire, without the addresses and headers that some exceptions print."""
    if isinstance(error, aiohttp.ClientConnectorError):
        # The names of all other hosts are looked up by the proxy.
        is_of_proxy = proxy is not None and error.host in {proxy.host, proxy.raw_host} and error.port == proxy.port
        return f"{'the proxy: ' if is_of_proxy else ''}{_connector_cause(error)}"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy's response was HTTP {error.status}"
    if isinstance(error, TimeoutError):
        return "it did not respond in time" + ("" if proxy is None else ", through the proxy of the environment")
    return f"the connection broke ({type(error).__name__})"


def _connector_cause(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name could not be resolved"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        # The class has no os_error in the aiohttp of old Airflows.
        refusal = error.certificate_error
        return f"its certificate was refused ({getattr(refusal, 'verify_message', type(refusal).__name__)})"
    cause = error.os_error
    reason = getattr(cause, "reason", None) or type(cause).__name__
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return _NOT_TLS_TEXT if reason in _NOT_TLS else f"the TLS handshake failed ({reason})"
    return cause.strerror or type(cause).__name__


_NOT_TLS_TEXT = "it does not speak TLS at this port, which https needs"
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})
"""What OpenSSL says when the response is plain HTTP."""
