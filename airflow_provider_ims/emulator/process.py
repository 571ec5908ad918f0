"""The emulator as a child process, and the client of its control API. Needs the standard library only."""

from __future__ import annotations

import json
import os
import re
import select
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from airflow_provider_ims.emulator.keys import DEFAULT_ACCESS_KEY_ID, DEFAULT_ACCESS_KEY_SECRET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

# Seconds.
_START_TIMEOUT = 15.0
_STOP_TIMEOUT = 5.0
_CALL_TIMEOUT = 10.0

_READY = re.compile(r"IMS emulator listening on (?P<endpoint>https?://\S+)( and (?P<tls_endpoint>https://\S+))? ")


class EmulatorError(RuntimeError):
    """The emulator did not start, or refused a control command. The text is the emulator's own message."""


class EmulatorProcess:
    """An emulator in its own process, on a free port, while the ``with`` block runs.

    .. code-block:: python

        with EmulatorProcess(processing_time=0) as emulator:
            emulator.put_media("oss://bucket/film.mp4", watermark="(c) 2024")
            os.environ["AIRFLOW_CONN_IMS_DEFAULT"] = emulator.connection_json()

    :param access_key_id: the fixed access key. Besides it, the emulator accepts the temporary keys that it issues.
    :param access_key_secret: its secret. Do not use a real one: the command line of the process shows it.
    :param security_token: security token (STS) that requests must have; None if they must have none.
    :param region: region to emulate.
    :param processing_time: seconds of emulator time that a job takes.
    :param tls_cert: path of a certificate (PEM), to serve https. The control client trusts it.
    :param tls_key: path of its private key (PEM).
    :param tls_port: serve http at :attr:`endpoint`, and https with the certificate on this port, at
        :attr:`tls_endpoint`; 0 picks a free one. Without it, a certificate makes :attr:`endpoint` https.
    """

    def __init__(
        self,
        *,
        access_key_id: str = DEFAULT_ACCESS_KEY_ID,
        access_key_secret: str = DEFAULT_ACCESS_KEY_SECRET,
        security_token: str | None = None,
        region: str = "cn-shanghai",
        processing_time: float = 5.0,
        tls_cert: str | os.PathLike[str] | None = None,
        tls_key: str | os.PathLike[str] | None = None,
        tls_port: int | None = None,
    ) -> None:
        self.access_key_id = access_key_id
        self.access_key_secret = access_key_secret
        self.security_token = security_token
        self.region = region
        self.endpoint = ""
        self.tls_endpoint = ""
        self._start_key = (access_key_id, access_key_secret, security_token)
        self._options = {
            "--port": 0,
            "--access-key-id": access_key_id,
            "--access-key-secret": access_key_secret,
            "--security-token": security_token,
            "--region": region,
            "--processing-time": processing_time,
            "--tls-cert": tls_cert,
            "--tls-key": tls_key,
            "--tls-port": tls_port,
            "--exit-with-parent": os.getpid(),
        }
        self._tls_cert = tls_cert
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] | None = None
        self._opener: urllib.request.OpenerDirector | None = None

    def __enter__(self) -> Self:
        """Start the process.

        :raises EmulatorError: if the process ends, or is not ready within 15 seconds.
        """
        # A file, because nothing reads it while the process runs: a full pipe would block the process.
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "airflow_provider_ims.emulator", *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=_environment(),
                text=True,
            )
            self.endpoint, self.tls_endpoint = self._wait_until_ready(self._process, self._errors)
            self._opener = _opener(self._tls_cert)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the process, also after an exception."""
        self._stop()

    def put_media(
        self,
        media: str,
        *,
        duration: float = 600,
        watermark: str | None = None,
        algo_type: str = "v1",
        **options: Any,
    ) -> dict[str, Any]:
        """Create or replace a media object and return it.

        :param media: OSS URL or media id.
        :param duration: seconds.
        :param watermark: text of the embedded watermark, None for an unmarked video.
        :param algo_type: algorithm that embedded the watermark, ``v1`` or ``v2``.
        :param options: ``trace`` (text of the embedded trace watermark), ``m3u8_type`` (``v1`` or ``v2``, for a
            playlist with a trace watermark), ``trace_streams`` (whether it is the pair of streams that such playlists
            are made from), ``survives_transcoding`` (whether jobs that make another video of it keep its watermarks),
            ``processing_time`` (seconds), ``trailing_newline``, ``variant``.
        """
        payload = {
            "media": media,
            "duration": duration,
            "watermark": watermark,
            "algo_type": algo_type,
            **options,
        }
        return self._object("PUT", "/media", payload)

    def media(self) -> list[dict[str, Any]]:
        """Return all media objects."""
        return self._list("/media")

    def put_family(self, row: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
        """Add a job family, or replace one that was added, and return its row with all fields.

        .. code-block:: python

            row = {
                "name": "EditingJob",
                "submit_action": "SubmitEditingJob",
                "query_action": "GetEditingJob",
                "required_parameters": ["Timeline"],
                "body_parameters": ["Timeline"],
                "state_path": "EditingJob.Status",
                "code_path": "EditingJob.Code",
            }
            emulator.put_family(row)
            emulator.put_family(row, outcome="failed", error_code="InvalidTimeline")

        Jobs keep the row that they were submitted with. A changed ``outcome`` is that of jobs submitted from now on.

        :param row: the fields of the family, see ``docs/emulator.md``.
        :param changes: fields that replace those of ``row``.
        """
        return self._object("PUT", "/families", {**row, **changes})

    def families(self) -> list[dict[str, Any]]:
        """Return the rows of all families that were added."""
        return self._list("/families")

    def put_outcome(self, family: str, outcome: str = "succeeded", **fields: Any) -> dict[str, Any]:
        """Choose how the jobs of a family end that are submitted from now on, built-in families included.

        .. code-block:: python

            emulator.put_outcome("MediaProducingJob", "failed", error_code="InvalidTimeline")
            emulator.put_outcome("MediaProducingJob")  # as usual again

        :param family: name of the family, see ``docs/emulator.md``.
        :param outcome: ``succeeded``, ``failed`` or ``cancelled``.
        :param fields: ``result``, ``parts``, ``error_code``, ``error_message``; ``word``, which queries report as the
            state instead of the family's word. A field that the family's queries cannot return is refused.
        """
        return self._object("PUT", "/outcomes", {"family": family, "outcome": outcome, **fields})

    def outcomes(self) -> list[dict[str, Any]]:
        """Return the outcomes that were chosen."""
        return self._list("/outcomes")

    def jobs(self) -> list[dict[str, Any]]:
        """Return all jobs, the oldest first."""
        return self._list("/jobs")

    def bill(self) -> dict[str, Any]:
        """Return the bill: ``lines``, and the totals ``jobs``, ``minutes``, ``price``, ``currency``."""
        return self._object("GET", "/bill")

    def fault(self, action: str, kind: str, *, nth: int = 1, times: int = 1, **options: Any) -> None:
        """Add a fault.

        :param action: API action whose calls are counted from now on.
        :param kind: a value of :class:`~airflow_provider_ims.emulator.faults.FaultKind`.
        :param nth: the first call that is hit.
        :param times: number of calls in a row that are hit.
        :param options: ``retry_after`` (milliseconds) for ``throttle``; ``seconds`` for ``slow`` and ``outage``;
            ``status``, ``body``, ``content_type``, ``headers``, ``carried_out`` for ``answer``.
        """
        self._call("POST", "/faults", {"action": action, "kind": kind, "nth": nth, "times": times, **options})

    def faults(self) -> list[dict[str, Any]]:
        """Return all faults since the last reset, with the numbers of calls that they have counted and hit."""
        return self._list("/faults")

    def advance(self, seconds: float) -> None:
        """Advance the clock of the jobs: running jobs end earlier.

        No other clock moves: the times of the operator (``poll_interval``, ``no_watermark_after``, ``timeout``), the
        dates and nonces of requests, and the ``seconds`` of a fault are real time.

        :param seconds: 0 or more, 10,000,000,000 or less in total.
        """
        self._call("POST", "/clock", {"advance": seconds})

    def requests(self) -> list[dict[str, Any]]:
        """Return the last 10,000 API requests, at most 16 MiB of them, the oldest first.

        The ``sequence`` of the last is the number of all.
        """
        value: list[dict[str, Any]] = self._object("GET", "/requests")["requests"]
        return value

    def configure(self, **settings: Any) -> None:
        """Change settings.

        :param settings: ``processing_time`` (seconds, for new jobs), ``unknown_job`` (``error`` or ``silent``),
            ``client_token`` (``ignored`` or ``honoured``), ``token_lifetime`` (seconds that new temporary keys are
            valid; None for what their requests say), ``stated_lifetime`` (seconds that the responses with these keys
            say; None for the truth), ``clock_skew`` (seconds that the server's clock is ahead of real time, for the
            dates of requests and the expiries of keys).
        """
        self._call("PATCH", "/settings", settings)

    def put_role(
        self,
        name: str,
        *,
        max_session_duration: int = 3600,
        external_id: str | None = None,
        trusted: Sequence[str] | None = None,
        oidc_subject: str | None = None,
    ) -> dict[str, Any]:
        """Create or replace a RAM role and return it, with its ``arn``.

        :param name: name or resource name.
        :param max_session_duration: longest ``DurationSeconds``, 3600 to 43200 seconds.
        :param external_id: ``ExternalId`` that ``AssumeRole`` must have.
        :param trusted: names or resource names of users, roles and OIDC providers that may assume it; None for all.
        :param oidc_subject: subject that an OIDC token must have.
        """
        payload = {
            "name": name,
            "max_session_duration": max_session_duration,
            "external_id": external_id,
            "trusted": None if trusted is None else list(trusted),
            "oidc_subject": oidc_subject,
        }
        return self._object("PUT", "/roles", payload)

    def roles(self) -> list[dict[str, Any]]:
        """Return all roles that were put."""
        return self._list("/roles")

    def put_oidc_provider(self, name: str, **options: Any) -> dict[str, Any]:
        """Create or replace an OIDC identity provider and return it, with its ``arn``.

        :param name: name or resource name.
        :param options: ``issuer``; ``client_ids`` (list of audiences, by default ``sts.aliyuncs.com``); ``jwks`` (its
            public keys; by default the key that :meth:`oidc_token` signs with).
        """
        return self._object("PUT", "/oidc-providers", {"name": name, **options})

    def oidc_providers(self) -> list[dict[str, Any]]:
        """Return all OIDC identity providers that were put."""
        return self._list("/oidc-providers")

    def oidc_token(self, provider: str, **claims: Any) -> str:
        """Return a new OIDC token, signed with the key of the emulator.

        :param provider: name or resource name of an identity provider that was put.
        :param claims: ``subject``, ``audience``, ``issuer``, and ``lifetime`` (3600 seconds; 0 is an expired token).
        """
        token: str = self._object("POST", "/oidc-tokens", {"provider": provider, **claims})["token"]
        return token

    def put_instance_role(self, role: str | None, *, imds_v1: bool = True) -> dict[str, Any]:
        """Attach a role to the ECS instance of the metadata service.

        :param role: name of the role, which need not be put; None for an instance without a role.
        :param imds_v1: whether the metadata service serves requests without a token.
        """
        return self._object("PUT", "/instance-role", {"role": role, "imds_v1": imds_v1})

    def instance_role(self) -> dict[str, Any]:
        """Return the role of the ECS instance: ``role`` and ``imds_v1``."""
        return self._object("GET", "/instance-role")

    def put_credentials_uri(
        self, name: str, *, role: str = "credentials-uri", code: str = "Success", status: int = 200
    ) -> str:
        """Create or replace a credentials URI and return it.

        :param name: last part of its path.
        :param role: name of the role of the keys, which need not be put.
        :param code: ``Success``, or the code of a response without keys.
        :param status: HTTP status of the response; only 200 has keys.
        """
        self._object("PUT", "/credentials-uris", {"name": name, "role": role, "code": code, "status": status})
        return f"{self.endpoint}/credentials/{name}"

    def credentials_uris(self) -> list[dict[str, Any]]:
        """Return all credentials URIs that were put."""
        return self._list("/credentials-uris")

    def deny(self, action: str, *, identity: str | None = None, code: str = "NoPermission") -> None:
        """Take the permission for an action away.

        :param action: action of IMS or STS; ``*`` for all but ``GetCallerIdentity``, which needs no permission.
        :param identity: name or resource name of the user (``emulator`` is that of the fixed key), role or session;
            None for all.
        :param code: error code, ``NoPermission`` or ``Forbidden.RAM``.
        """
        self._call("PUT", "/denials", {"action": action, "identity": identity, "code": code})

    def allow(self, action: str, *, identity: str | None = None) -> None:
        """Give back a permission that :meth:`deny` took away from the same ``identity``."""
        self._call("PUT", "/denials", {"action": action, "identity": identity, "denied": False})

    def denials(self) -> list[dict[str, Any]]:
        """Return all permissions that were taken away and not given back."""
        return self._list("/denials")

    def access_keys(self) -> list[dict[str, Any]]:
        """Return all access keys, without secrets: ``access_key_id``, ``identity``, ``expiration``, ``state``."""
        return self._list("/access-keys")

    def issued_keys(self) -> list[dict[str, Any]]:
        """Return all temporary keys with their secrets: for tests that search logs and databases for them.

        The fields are those of STS: ``AccessKeyId``, ``AccessKeySecret``, ``SecurityToken``, ``Expiration``.
        """
        return self._list("/issued-keys")

    def revoke(self, *, role: str | None = None, access_key_id: str | None = None, code: str | None = None) -> int:
        """Refuse keys from now on, whatever their expiry, and return their number.

        :param role: name or resource name of the role whose temporary keys are revoked.
        :param access_key_id: the key to revoke, instead of ``role``.
        :param code: error code of requests with them; by default ``InvalidSecurityToken.Expired`` for temporary keys
            and ``InvalidAccessKeyId.Inactive`` for the fixed one.
        """
        payload = {"role": role, "access_key_id": access_key_id, "code": code}
        revoked: int = self._object("POST", "/access-keys/revoke", payload)["revoked"]
        return revoked

    def rotate_key(
        self,
        access_key_id: str,
        access_key_secret: str,
        *,
        security_token: str | None = None,
        old: str = "deleted",
    ) -> None:
        """Replace the fixed access key, until a reset. :meth:`connection` returns the new one.

        :param old: what becomes of the earlier one: ``deleted``, ``inactive`` or ``active``.
        """
        payload = {
            "access_key_id": access_key_id,
            "access_key_secret": access_key_secret,
            "security_token": security_token,
            "old": old,
        }
        self._call("POST", "/access-keys/rotate", payload)
        self.access_key_id, self.access_key_secret, self.security_token = (
            access_key_id,
            access_key_secret,
            security_token,
        )

    def reset(self) -> None:
        """Return to the state after the start."""
        self._call("POST", "/reset", {})
        self.access_key_id, self.access_key_secret, self.security_token = self._start_key

    def connection(self, **extra: Any) -> dict[str, Any]:
        """Return an Airflow connection to the emulator.

        :param extra: further fields of the connection's ``extra``.
        """
        token = {} if self.security_token is None else {"security_token": self.security_token}
        return {
            "conn_type": "ims",
            "login": self.access_key_id,
            "password": self.access_key_secret,
            "host": self.endpoint,
            "extra": {"region_id": self.region, **token, **extra},
        }

    def connection_json(self, **extra: Any) -> str:
        """Return :meth:`connection` as JSON, for the environment variable ``AIRFLOW_CONN_...``."""
        return json.dumps(self.connection(**extra))

    def _arguments(self) -> list[str]:
        # With "=", because a value can start with a dash.
        return [f"{name}={value}" for name, value in self._options.items() if value is not None]

    def _wait_until_ready(self, process: subprocess.Popen[str], errors: IO[str]) -> tuple[str, str]:
        assert process.stdout is not None  # noqa: S101 - for the type checker: stdout is a pipe
        # The line is written and flushed in one step: if a part of it is readable, the whole line is.
        readable, _, _ = select.select([process.stdout], [], [], _START_TIMEOUT)
        match = _READY.match(process.stdout.readline()) if readable else None
        if match is None:
            how = "ended before it was ready" if readable else f"was not ready within {_START_TIMEOUT:.0f} seconds"
            if readable:
                process.wait(_STOP_TIMEOUT)
            errors.seek(0)
            raise EmulatorError(f"the emulator {how}; its error output: {errors.read().strip() or 'none'}")
        endpoint: str = match["endpoint"]
        return endpoint, match["tls_endpoint"] or (endpoint if endpoint.startswith("https:") else "")

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if self._errors is not None:
            self._errors.close()

    def _list(self, path: str) -> list[dict[str, Any]]:
        value: list[dict[str, Any]] = self._call("GET", path)
        return value

    def _object(self, method: str, path: str, payload: object = None) -> dict[str, Any]:
        value: dict[str, Any] = self._call(method, path, payload)
        return value

    def _call(self, method: str, path: str, payload: object = None) -> Any:
        if self._opener is None:
            raise EmulatorError("the emulator runs only inside the with block")
        request = urllib.request.Request(  # noqa: S310 - the endpoint is that of our child process
            f"{self.endpoint}/_emulator{path}",
            data=None if payload is None else json.dumps(payload).encode(),
            method=method,
            headers={"Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=_CALL_TIMEOUT) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise EmulatorError(f"{method} {path}: {error.read().decode()}") from None


def _environment() -> dict[str, str]:
    # The child must import this same package, even if the parent found it through a changed sys.path.
    root = str(Path(__file__).parents[2])
    paths = [path for path in (os.environ.get("PYTHONPATH"), root) if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _opener(tls_cert: str | os.PathLike[str] | None) -> urllib.request.OpenerDirector:
    # No proxies, because a proxy cannot reach the loopback address of this machine.
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if tls_cert is not None:
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=os.fspath(tls_cert))))
    return urllib.request.build_opener(*handlers)
