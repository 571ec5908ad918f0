"""The connection test: Airflow's Test button, and ``airflow connections test``. Private: its names may change.

Not imported when a DAG file is parsed: it loads the transport.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_ims.api.blocking import run_within
from airflow_provider_ims.api.client import ImsClient
from airflow_provider_ims.api.protocol import ApiRequest, encode, read_json
from airflow_provider_ims.api.refusal import explain_refusal
from airflow_provider_ims.api.stamp import new_stamp
from airflow_provider_ims.connection.credentials import EcsRole, RamRole
from airflow_provider_ims.exceptions import (
    ImsApiError,
    ImsCredentialsError,
    ImsError,
    ImsRequestError,
    ImsTransportError,
)

if TYPE_CHECKING:
    from airflow_provider_ims.connection.access_key import AccessKey
    from airflow_provider_ims.connection.credentials import Credentials
    from airflow_provider_ims.connection.settings import ImsSettings

ACTION = "QueryCopyrightJobList"
"""A list of one line: the cheapest read that needs a valid identity. It is not billed."""
TIME_LIMIT = 6.0
"""Seconds. A person waits for the response: with the start of the Airflow CLI, it comes within ten seconds."""
# Seconds for each request, if the connection does not have less: so that the error names the one that got no response.
_CONNECT_TIMEOUT = 2.0
_READ_TIMEOUT = 3.0
# Seconds that are left for the end of the test after the identity was given up.
_RESERVE = 0.5

_STS_VERSION = "2015-04-01"
_STS_ACTIONS = frozenset({"AssumeRole", "AssumeRoleWithOIDC"})
# Names have at most 64 characters.
_ARN = re.compile(r"acs:(ram|sts)::[0-9]{1,20}:(root|[a-z-]{1,20}(/[\w.@-]{1,64}){1,3})", re.ASCII)
_PART_OF_SECRET = 12
_PROXY = re.compile(r"\bthe proxy\b(?! of the environment)")
_WRONG_REGION = re.compile(r"(Unsupported|InvalidAction|InvalidApi).*")
_WRONG_ENDPOINT = re.compile(r"InvalidOperation\.NotSupportedEndpoint(\..*)?")
_MISSING_PERMISSION = "Missing permission"
_NOT_FOUND = 404


def run_connection_test(settings: ImsSettings) -> tuple[bool, str]:
    """Fetch keys, request one line of a list from IMS, and the identity from STS.

    Ends within ten seconds, whatever the time-outs of the connection are.

    :param settings: the parsed connection
    :return: whether it worked, and a short text for people: what is wrong, and what to do
    """
    test = _ConnectionTest(settings)
    try:
        return run_within(TIME_LIMIT, test.run())
    except TimeoutError:
        return False, (
            f"Unreachable: {test.step} took longer than {TIME_LIMIT:g} s. Look at the network, the DNS, the proxy and "
            "the connection's region, network and endpoint."
        )
    except ImsError as error:
        return False, failure_text(error, settings)


class _ConnectionTest:
    """One run of the test.

    :param settings: the parsed connection
    """

    def __init__(self, settings: ImsSettings) -> None:
        self._settings = replace(
            settings,
            connect_timeout=min(settings.connect_timeout, _CONNECT_TIMEOUT),
            read_timeout=min(settings.read_timeout, _READ_TIMEOUT),
        )
        self.step = ""
        """What the test waits for."""

    async def run(self) -> tuple[bool, str]:
        settings = self._settings
        give_up_at = asyncio.get_running_loop().time() + TIME_LIMIT - _RESERVE
        async with ImsClient(settings) as client:
            self.step = f"fetching the keys of {settings.credentials.description}"
            key = await client.keys.current()
            self.step = f"{ACTION} at {settings.endpoint}"
            identity = asyncio.create_task(self._identity(key, give_up_at))
            try:
                response = await client.call(ApiRequest(ACTION, {"PageSize": 1}))
                # Any server may send JSON with a RequestId. Only this action's own response has a StatusCode too.
                status = response.get("StatusCode")
                if status is None:
                    return False, (
                        f"The response of {settings.endpoint} is not from IMS: it has no StatusCode. Check Endpoint."
                    )
                if str(status) != "200":
                    text = client.redact(f"StatusCode {status}: {response.get('Message')}")
                    return False, f"The response of {settings.endpoint} has {text}"
                arn = await identity
                name = f" as {arn}" if arn else ""
                return True, f"Connected to {settings.endpoint} (region {settings.region}){name}"
            finally:
                identity.cancel()

    async def _identity(self, key: AccessKey, give_up_at: float) -> str | None:
        """Return the ARN of the identity from STS; None if STS does not say it. The connection works all the same."""
        if not self._settings.sts_endpoint:
            return None
        settings = replace(self._settings, endpoint=self._settings.sts_endpoint, credentials=key)
        stamp = new_stamp()
        http = encode(
            ApiRequest("GetCallerIdentity", {}, version=_STS_VERSION),
            endpoint=settings.endpoint,
            key=key,
            date=stamp.date,
            nonce=stamp.nonce,
        )
        try:
            async with asyncio.timeout_at(give_up_at), ImsClient(settings) as client:
                response = await client.exchange(http, "GetCallerIdentity")
        except (ImsError, TimeoutError):
            return None
        return _arn(response.body, key)


def _arn(body: bytes, key: AccessKey) -> str | None:
    """Return the ARN of a response of STS; None if it has none, or one that repeats a part of a secret.

    The usual redaction would also take a user name out that is the beginning of a secret, as with the emulator.
    """
    content = read_json(body, str)
    arn = content.get("Arn") if isinstance(content, dict) else None
    if not (isinstance(arn, str) and _ARN.fullmatch(arn)):
        return None
    own = (key.secret, key.security_token or "")
    names = [name for name in re.split("[:/]", arn) if len(name) >= _PART_OF_SECRET]
    return None if any(name in secret or secret in name for name in names for secret in own if secret) else arn


def failure_text(error: ImsError, settings: ImsSettings | None = None) -> str:
    """Say in one line what is wrong, and what to do.

    :param error: what the test ended in
    :param settings: the parsed connection; None if it could not be parsed
    """
    match error:
        case ImsCredentialsError() | ImsApiError(action="AssumeRole" | "AssumeRoleWithOIDC"):
            return _refusal_text(error, settings.credentials if settings else None)
        case ImsRequestError(code=str(code)) if _WRONG_REGION.fullmatch(code):
            return (
                f"Wrong region: it does not offer watermark jobs ({code}). "
                "Set Region to cn-shanghai or cn-beijing, and empty Endpoint or give one of that region."
            )
        case ImsRequestError(code=str(code)) if _WRONG_ENDPOINT.fullmatch(code):
            return (
                f"Wrong region: the endpoint is that of another one ({code}). "
                "Make Region and Endpoint the same, or empty Endpoint."
            )
        case ImsTransportError():
            return _transport_text(error, settings)
        case _:
            return str(error)


def _transport_text(error: ImsTransportError, settings: ImsSettings | None) -> str:
    if _PROXY.search(error.problem):
        return f"Proxy: {error}"
    if "read_timeout" in error.advice and settings and settings.read_timeout > _READ_TIMEOUT:
        # A longer time-out of the connection would not change the test.
        advice = f"The test waits {_READ_TIMEOUT:g} s: look at the network, and at Endpoint of the connection."
        return f"Unreachable: {error.problem} {advice}"
    return f"Unreachable: {error}"


def _refusal_text(error: ImsApiError, credentials: Credentials | None) -> str:
    refusal = explain_refusal(error.code, error.action)
    is_of_sts = error.action in _STS_ACTIONS
    if refusal and not (is_of_sts and refusal.problem.startswith(_MISSING_PERMISSION)):
        return f"{refusal.problem}. {error.advice}"
    if not is_of_sts:
        base = credentials.base if isinstance(credentials, RamRole) else credentials
        is_without_role = isinstance(base, EcsRole) and error.http_status == _NOT_FOUND
        return f"No instance role: {error}" if is_without_role else str(error)
    if isinstance(error, ImsCredentialsError):
        advice = (
            "Look at the ARN of the role and of the OIDC provider in the connection, and at the trust policy of the "
            "role, its ExternalId and its maximum session duration included."
        )
        if error.action == "AssumeRole":
            advice = f"Grant the RAM action sts:AssumeRole on the role to the identity that assumes it. {advice}"
        return f"Role not assumable: {error.problem} {advice}"
    advice = "Test again later; if it persists, look at the status page of STS."
    return f"STS issues no keys just now: {error.problem} {advice}"
