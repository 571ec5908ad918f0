"""The IMS hook: the settings of a connection and a client, for operators and for tasks of your own."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_ims import metrics
from airflow_provider_ims.api.blocking import run_blocking
from airflow_provider_ims.api.pool import ClientPool
from airflow_provider_ims.connection.fields import CONN_FIELDS, CONN_NAME, CONN_TYPE, UI_FIELD_BEHAVIOUR
from airflow_provider_ims.exceptions import (
    ImsConnectionNotFoundError,
    ImsCredentialsError,
    ImsError,
    ImsSubmitUnknownError,
)
from airflow_provider_ims.jobs.catalog import (
    COPYRIGHT_EXTRACT,
    body_parameters_of,
    cancel_action,
    check_job_id,
    check_region,
    find_job_type,
    find_subject,
    query_action,
)
from airflow_provider_ims.jobs.polling import (
    MAX_POLL_INTERVAL,
    POLL_INTERVAL,
    TIMEOUT,
    Duration,
    WaitOptions,
    poll_until_done,
)
from airflow_provider_ims.jobs.response import find_job_id, read_snapshot, read_submission, request_id
from airflow_provider_ims.jobs.retry import RecordState, for_airflow
from airflow_provider_ims.jobs.submission import SubmissionRequest, unknown_submission
from airflow_provider_ims.jobs.types import JobSnapshot, JobState, JobType, Submission

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from alibabacloud_ice20201109.client import Client as TypedClient

    from airflow_provider_ims.api.client import ImsClient
    from airflow_provider_ims.api.observer import SubmissionObserver
    from airflow_provider_ims.api.protocol import ApiRequest
    from airflow_provider_ims.connection.settings import ImsSettings
    from airflow_provider_ims.jobs.media import Media
    from airflow_provider_ims.jobs.outcome import JobOutcome
    from airflow_provider_ims.jobs.polling import JobWait

T = TypeVar("T")

SETTINGS_TTL = 60.0
"""Seconds after which a wait looks its connection up again."""

log = logging.getLogger(__name__)


class ImsHook(BaseHook):
    """Calls Alibaba Cloud Intelligent Media Services with the identity of an Airflow connection.

    Nothing happens before the first call: the connection is read then, once for each hook. Each method of the service
    has an asynchronous twin, whose name begins with ``a``; end with :meth:`aclose`.

    :param ims_conn_id: id of a connection of type ``ims`` or ``alibaba_cloud``
    :param region: region of the jobs; None takes the connection's
    :param kwargs: those of :class:`~airflow.sdk.BaseHook`
    """

    conn_name_attr = "ims_conn_id"
    default_conn_name = "ims_default"
    conn_type = CONN_TYPE
    hook_name = CONN_NAME

    def __init__(self, ims_conn_id: str = default_conn_name, region: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ims_conn_id = ims_conn_id
        self.region = region
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, ImsClient] = WeakKeyDictionary()
        self._settings_read_at = 0.0

    # ---- connection

    @cached_property
    def settings(self) -> ImsSettings:
        """The connection, validated.

        :raises ImsConnectionNotFoundError: if Airflow finds no connection
        :raises ImsConfigurationError: if the connection is not valid
        """
        self._settings_read_at = time.monotonic()
        settings = self._read_settings()
        self._log_credentials(settings)
        return settings

    def get_conn(self) -> TypedClient:
        """Return the official typed SDK client, with endpoint, credentials and time-outs of the connection.

        Its methods and errors are the SDK's; its requests go over the transport of this hook, which follows no
        redirects and keeps the keys out of errors and logs. Of ``RuntimeOptions``, the time-outs count. Known
        limitation: each call opens a connection, and the SDK has 1,600 modules to load.
        """
        settings = self.settings
        from airflow_provider_ims.api.sdk import typed_client  # noqa: PLC0415 - loads the SDK

        return typed_client(settings)

    def test_connection(self) -> tuple[bool, str]:
        """Fetch keys, request one line of a list from IMS, and the identity from STS. Nothing of that is billed.

        Ends within ten seconds, whatever the time-outs of the connection are.

        :return: whether it worked, and a short text for the UI
        """
        from airflow_provider_ims.hooks.connection_test import (  # noqa: PLC0415 - loads the transport
            failure_text,
            run_connection_test,
        )

        try:
            ok, text = run_connection_test(self._read_settings())
        except ImsError as error:
            ok, text = False, failure_text(error)
        # The UI tests a copy with a random id.
        return ok, text.replace(f"Connection {self.ims_conn_id!r}", "The connection")

    # ---- any action

    async def acall(
        self, action: str, params: Mapping[str, Any] | None = None, *, mutates: bool = False
    ) -> dict[str, Any]:
        """Asynchronous twin of :meth:`call`."""
        params = params or {}
        request = _api_request(action, params, find_subject(action, params))
        client = await self._client()
        if not mutates:
            return await client.call(request)
        try:
            return await client.submit(request)
        except ImsSubmitUnknownError as lost:
            unknown = ImsSubmitUnknownError(
                f"{request.description} was sent, and it is unknown whether it was carried out. {lost.problem}",
                advice="Look in the IMS console or with a query, before you call it again.",
                action=action,
                request_id=lost.request_id,
            )
        raise for_airflow(unknown, RecordState.MISSING)

    def call(self, action: str, params: Mapping[str, Any] | None = None, *, mutates: bool = False) -> dict[str, Any]:
        """Call any action of the API and return the whole response body.

        A read is sent once more if its connection breaks; nothing else is repeated. Known limitation: parameters are
        sent in the query string, in a POST; only those of actions that submit a job are in the form body where the
        vendor's SDK sends them there.

        :param action: API operation, such as ``GetMediaInfo``
        :param params: its parameters by the vendor's names; mappings and lists are sent as JSON, None is left out
        :param mutates: whether the action changes something: then a lost response is an error of its own, and the
            request goes over a connection of its own
        :raises ImsSubmitUnknownError: if ``mutates`` is given and it is unknown whether the action was carried out; not
            retried by Airflow
        :raises ImsApiError: if the response is an error, see its subclasses
        :raises ImsTransportError: if no response came back; with ``mutates``, if the request was not sent
        """
        return self._blocking(functools.partial(self.acall, mutates=mutates), action, params)

    # ---- jobs

    async def asubmit(
        self, job_type: str | JobType, params: Mapping[str, Any], *, observer: SubmissionObserver | None = None
    ) -> Submission:
        """Asynchronous twin of :meth:`submit`."""
        job = find_job_type(job_type)
        client = await self._client()
        request = SubmissionRequest(job, self.settings.region, params)
        check_region(job, request.region)
        try:
            response = await client.submit(_api_request(job.submit_action, params, request.subject, job), observer)
        except ImsSubmitUnknownError as lost:
            unknown = _unknown(request, lost.problem, observer, lost.request_id)
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # An interruption may end the process before anybody sees the error.
                log.warning("%s", unknown)
            raise unknown from None
        accepted = read_submission(job, response)
        if accepted is None or client.is_redacted(accepted.job_id):
            message = client.redact(str(response.get("Message")))
            found = find_job_id(job, response)
            form = "of an unexpected type" if accepted is None else "which repeats a secret of the connection"
            what = "no JobId" if found is None else f"the JobId {client.redact(found)}, {form}"
            why = f"The response of the service has {what} (Message {message!r})."
            raise _unknown(request, why, observer, request_id(response))
        metrics.SUBMISSIONS.count(job_type=job.name, region=request.region)
        if observer is None:  # else the operator logs it
            what, where = request.subject or "its input", request.region
            log.info("Submitted %s %s for %s in %s", job.name, accepted.job_id, what, where)
        return accepted

    def submit(
        self, job_type: str | JobType, params: Mapping[str, Any], *, observer: SubmissionObserver | None = None
    ) -> Submission:
        """Submit a job. The request is sent once and never repeated.

        :param job_type: the job family, such as ``CopyrightExtractJob``
        :param params: parameters of its submit action by the vendor's names
        :param observer: is told what happens to the submission, at that moment and on the thread that sends it. A
            caller that gives one decides whether Airflow may retry a submission whose outcome is unknown.
        :raises ImsConfigurationError: if the region does not offer the family
        :raises ImsApiError: if the service rejected the request, so that no job exists
        :raises ImsTransportError: if the service could not be reached, so that no job exists
        :raises ImsSubmitUnknownError: if the response is lost, so that a job may exist; not retried by Airflow, unless
            there is an observer
        """
        return self._blocking(functools.partial(self.asubmit, observer=observer), job_type, params)

    async def aquery(self, job_type: str | JobType, job_id: str) -> JobSnapshot:
        """Asynchronous twin of :meth:`query`."""
        return await self._query_job(find_job_type(job_type), job_id)

    async def _query_job(self, job: JobType, job_id: str, *, ahead: bool = False) -> JobSnapshot:
        check_job_id(job, job_id)
        request = _api_request(query_action(job), {job.query_parameter: job_id}, f"job {job_id}")
        client = await self._client()
        response = await client.call(request, ahead=ahead)
        return read_snapshot(job, job_id, response, redact=client.log_text)

    def query(self, job_type: str | JobType, job_id: str) -> JobSnapshot:
        """Poll a job once.

        :param job_type: the job family, such as ``CopyrightExtractJob``
        :param job_id: the job's id
        :raises ImsApiError: if the response is an error
        :raises ImsTransportError: if no response came back
        """
        return self._blocking(self.aquery, job_type, job_id)

    async def acancel(self, job_type: str | JobType, job_id: str) -> JobSnapshot:
        """Asynchronous twin of :meth:`cancel`."""
        job = find_job_type(job_type)
        action = cancel_action(job)
        snapshot = await self._query_job(job, job_id, ahead=True)
        if snapshot.state is JobState.RUNNING:
            parameter = job.cancel_parameter or job.query_parameter
            client = await self._client()
            await client.call(_api_request(action, {parameter: job_id}, f"job {job_id}"), ahead=True)
        return snapshot

    def cancel(self, job_type: str | JobType, job_id: str) -> JobSnapshot:
        """Cancel a job that has not ended, and return what it was before. May be repeated.

        It goes ahead of all other calls of the process that wait for their turn within the rate limit.

        :param job_type: the job family
        :param job_id: the job's id
        :raises ImsConfigurationError: if the family's jobs cannot be cancelled
        :raises ImsApiError: if the response is an error
        :raises ImsTransportError: if no response came back
        """
        return self._blocking(self.acancel, job_type, job_id)

    def submit_copyright_extract_job(
        self,
        input_media: Media,
        algo_type: str | None = None,
        user_data: str | Mapping[str, Any] | None = None,
        job_params: Mapping[str, Any] | None = None,
    ) -> str:
        """Submit a job that reads the invisible copyright watermark of a video, and return its JobId.

        Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-submitcopyrightextractjob

        :param input_media: ``oss://bucket/object``, ``https://bucket.oss-<region>.aliyuncs.com/object``, a media asset
            id, or ``{"Type": "OSS" | "Media", "Media": ...}``, in the region of the call
        :param algo_type: ``v1`` (long videos, the service's default) or ``v2`` (short ones); the one that the watermark
            was embedded with
        :param user_data: text, or a mapping sent as JSON, of at most 1,024 bytes
        :param job_params: further keys of the action's ``Params``
        :raises ImsConfigurationError: if an argument cannot be right; nothing was sent
        """
        from airflow_provider_ims.jobs.parameters import submission_parameters  # noqa: PLC0415 - as above

        given = {"input_media": input_media, "algo_type": algo_type, "user_data": user_data, "job_params": job_params}
        parameters = submission_parameters(COPYRIGHT_EXTRACT, given, region=self.settings.region)
        return self.submit(COPYRIGHT_EXTRACT, parameters).job_id

    def query_copyright_extract_job(self, job_id: str) -> JobSnapshot:
        """Poll a copyright extraction job once.

        The service reports no state: a response without text means running, nothing found or failed.

        Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-querycopyrightextractjob

        :param job_id: the job's id
        """
        return self.query(COPYRIGHT_EXTRACT, job_id)

    def wait(
        self,
        job_type: str | JobType,
        job_id: str,
        *,
        timeout: Duration = TIMEOUT,
        poll_interval: Duration = POLL_INTERVAL,
        max_poll_interval: Duration = MAX_POLL_INTERVAL,
        accept_empty_after: Duration | None = None,
    ) -> JobOutcome:
        """Wait for a job with the poll policy of operators and sensors, and return how the wait ended.

        It takes the worker slot of the task that calls it. Operator and sensor can wait without one.

        :param job_type: the job family, such as ``CopyrightExtractJob``
        :param job_id: the job's id
        :param timeout: how long to wait, in seconds or as a timedelta; then the outcome is ``OutcomeKind.TIMEOUT``
        :param poll_interval: pause between the first polls, in seconds
        :param max_poll_interval: longest pause between two polls, in seconds
        :param accept_empty_after: how long empty responses must last to be the result, in seconds; for families that
            report no state (``no_watermark_after`` of the operators)
        :raises ImsConfigurationError: if an argument cannot be right
        """
        job = find_job_type(job_type)
        check_job_id(job, job_id)
        query_action(job)
        options = WaitOptions.checked(
            job,
            poll_interval=poll_interval,
            max_poll_interval=max_poll_interval,
            timeout=timeout,
            accept_empty_after=accept_empty_after,
        )
        wait = options.wait_for(job, job_id, region=self.settings.region, since=time.time(), log=log)
        wait.announce()
        return self._blocking(poll_until_done, self._query(wait), wait)

    async def aclose(self) -> None:
        """Release what this event loop's calls have used; the last hook to do so closes the session."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await ClientPool.of_running_loop().release(client)

    # ---- transport

    def _read_settings(self) -> ImsSettings:
        from airflow_provider_ims.connection.environment import check_environment  # noqa: PLC0415 - as below
        from airflow_provider_ims.connection.settings import parse_connection  # noqa: PLC0415 - not to parse a DAG file

        try:
            connection = self.get_connection(self.ims_conn_id)
        except AirflowNotFoundException:
            check_environment(self.ims_conn_id)
            raise ImsConnectionNotFoundError(
                f"Airflow finds no connection {self.ims_conn_id!r}: none has this id, its value cannot be read, or the "
                f"API server or the secrets backend is down.",
                advice=f"Look for it under Admin > Connections, type {CONN_NAME!r}. If it is there, look at the logs "
                f"of the API server and of the secrets backend. If not, add it, or pass ims_conn_id.",
            ) from None
        return parse_connection(connection, self.region)

    def _read_settings_and_load(self) -> ImsSettings:
        _load_transport()
        settings = self._read_settings()
        self._log_credentials(settings)
        return settings

    def _log_credentials(self, settings: ImsSettings) -> None:
        """Log the identity of the connection: once for each task, and in a triggerer once for all its triggers."""
        text = f"Connection {settings.conn_id!r}: {settings.credentials.description}, region {settings.region}"
        name = (text, *(os.environ.get(variable) for variable in _TASK))
        if name not in _logged:
            _logged.add(name)
            log.info("%s", text)

    def _query(self, wait: JobWait) -> Callable[[], Awaitable[JobSnapshot]]:
        return functools.partial(self._aquery_with_current_settings, wait.job_type, wait.job_id)

    async def _aquery_with_current_settings(self, job_type: JobType, job_id: str) -> JobSnapshot:
        """Query with the settings that the connection has now: a wait outlives keys, endpoints and limits.

        The connection is looked up once a minute, for all waits of the event loop together, and at once if its keys
        are refused.
        """
        if "settings" in self.__dict__:
            await self._refresh_settings(SETTINGS_TTL)
        sent = asyncio.get_running_loop().time()
        try:
            return await self.aquery(job_type, job_id)
        except ImsCredentialsError:
            if not await self._refresh_settings(asyncio.get_running_loop().time() - sent):
                raise
        return await self.aquery(job_type, job_id)

    async def _client(self) -> ImsClient:
        """Return this loop's client; loading aiohttp and reading the connection happen in a thread."""
        loop = asyncio.get_running_loop()
        if client := self._clients.get(loop):
            return client
        pool = ClientPool.of_running_loop()
        if "settings" in self.__dict__:
            await asyncio.to_thread(_load_transport)
        else:
            self.settings = await pool.settings(self._look_up_name, self._read_settings_and_load)
            self._settings_read_at = pool.read_at(self._look_up_name)
        # Another coroutine may have acquired a client for this hook in the meantime: only one is released.
        if loop not in self._clients:
            self._clients[loop] = pool.acquire(self.settings)
        return self._clients[loop]

    @property
    def _look_up_name(self) -> tuple[type, str, str | None]:
        """What tells the look-ups of this hook's connection from others."""
        return type(self), self.ims_conn_id, self.region

    async def _refresh_settings(self, max_age: float) -> bool:
        """Look the connection up again if its settings are older, and return whether they have changed.

        The next call then uses the new settings. A connection that cannot be read, or is not valid any more, changes
        nothing.

        :param max_age: in seconds
        """
        if time.monotonic() - self._settings_read_at < max_age:
            return False
        pool = ClientPool.of_running_loop()
        settings = await pool.refresh(self._look_up_name, self._read_settings, max_age=max_age)
        if settings is None:
            return False
        self._settings_read_at = pool.read_at(self._look_up_name)
        if settings == self.settings:
            return False
        self._log_credentials(settings)
        self.settings = settings
        await self.aclose()
        return True

    def _blocking(self, method: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run an asynchronous method from synchronous code."""

        async def call_and_close() -> T:
            try:
                return await method(*args)
            finally:
                await self.aclose()

        # Read here, where an interruption ends it at once: a thread could not be stopped.
        _ = self.settings
        return run_blocking(call_and_close())

    # ---- forms of Airflow before 3.2, which ignores the metadata

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the extra fields of the connection form, for Airflow before 3.2."""
        from flask_appbuilder.fieldwidgets import (  # noqa: PLC0415
            BS3PasswordFieldWidget,
            BS3TextAreaFieldWidget,
            BS3TextFieldWidget,
        )
        from wtforms import BooleanField, IntegerField, PasswordField, StringField  # noqa: PLC0415
        from wtforms.validators import Optional  # noqa: PLC0415

        widgets = {}
        for name, definition in CONN_FIELDS.items():
            schema = definition["schema"]
            texts = {"label": definition["label"], "description": definition["description"]}
            # Airflow takes these four classes only: a number with a fraction is text, and so is one of several lines.
            match schema["type"][0], schema.get("format"):
                case "boolean", _:
                    widgets[name] = BooleanField(**texts)
                case "integer", _:
                    # Without the validator, an empty field is not a valid integer.
                    widgets[name] = IntegerField(**texts, validators=[Optional()], widget=BS3TextFieldWidget())
                case _, "password":
                    widgets[name] = PasswordField(**texts, widget=BS3PasswordFieldWidget())
                case _, "multiline":
                    widgets[name] = StringField(**texts, widget=BS3TextAreaFieldWidget())
                case _:
                    widgets[name] = StringField(**texts, widget=BS3TextFieldWidget())
        return widgets

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the behaviour of the standard fields, for Airflow before 3.2."""
        return {name.replace("-", "_"): value for name, value in UI_FIELD_BEHAVIOUR.items()}


def _api_request(
    action: str, params: Mapping[str, Any], subject: str | None, job_type: JobType | None = None
) -> ApiRequest:
    from airflow_provider_ims.api.protocol import ApiRequest  # noqa: PLC0415 - not needed when a DAG file is parsed

    body = body_parameters_of(action) if job_type is None else job_type.body_parameters
    return ApiRequest(action, params, body_parameters=body, subject=subject)


def _unknown(
    request: SubmissionRequest, why: str, observer: SubmissionObserver | None, request_id: str | None
) -> ImsError:
    """Return the error for a submission whose outcome is unknown, and tell its observer."""
    is_repeatable = observer is not None and request.client_token is not None
    if not is_repeatable:
        metrics.UNKNOWN.count(job_type=request.job_type.name, region=request.region, found_by="sender")
    unknown = unknown_submission(request, why, request_id=request_id, is_repeatable=is_repeatable)
    if observer is None:
        # A task of a user has no record: a retry would pay again.
        return for_airflow(unknown, RecordState.MISSING)
    observer.on_unknown(request_id)
    return unknown


_TASK = ("AIRFLOW_CTX_DAG_ID", "AIRFLOW_CTX_TASK_ID", "AIRFLOW_CTX_DAG_RUN_ID", "AIRFLOW_CTX_TRY_NUMBER")
"""The environment variables by which Airflow names the task of this process; a triggerer has none of them."""
_logged: set[tuple[str | None, ...]] = set()


def _load_transport() -> None:
    """Import what calls need: on an event loop, that would block it."""
    import jmespath  # noqa: F401, PLC0415 - reads responses

    import airflow_provider_ims.api.client  # noqa: F401, PLC0415 - loads aiohttp

    metrics.load()
