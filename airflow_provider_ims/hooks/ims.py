"""The IMS hook: a connection's settings and a client, for operators and for tasks of your own."""

from __future__ import annotations

import asyncio
import functools
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_ims.api.blocking import run_blocking
from airflow_provider_ims.api.pool import SharedClients
from airflow_provider_ims.connection.fields import CONN_FIELDS, CONN_NAME, CONN_TYPE, UI_FIELD_BEHAVIOUR
from airflow_provider_ims.connection.settings import ImsSettings, parse_connection
from airflow_provider_ims.exceptions import (
    ImsConfigurationError,
    ImsCredentialsError,
    ImsError,
    ImsRequestError,
    ImsSubmitUnknownError,
    ImsTransportError,
    without_retry,
)
from airflow_provider_ims.jobs.media import Media, copyright_extract_parameters
from airflow_provider_ims.jobs.polling import poll, settle, watch
from airflow_provider_ims.jobs.submission import Request, submission_unknown
from airflow_provider_ims.jobs.types import (
    COPYRIGHT_EXTRACT,
    JobSnapshot,
    JobState,
    JobType,
    Submission,
    check_job_id,
    check_region,
    find_job_type,
    request_id,
    snapshot,
    submission,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from alibabacloud_ice20201109.client import Client as TypedClient

    from airflow_provider_ims.api.client import ImsClient
    from airflow_provider_ims.jobs.outcome import Ending
    from airflow_provider_ims.jobs.polling import Wait
    from airflow_provider_ims.jobs.submission import SubmissionWitness

T = TypeVar("T")

CANCEL_TIMEOUT = 4.0
"""Seconds. Airflow's worker kills a task five seconds after it has asked it to end."""


class ImsHook(BaseHook):
    """Calls Alibaba Cloud Intelligent Media Services with the identity of an Airflow connection.

    Nothing happens before the first call: the connection is read then, once for each hook.

    :param ims_conn_id: id of a connection of type ``ims`` or ``alibaba_cloud``
    :param region: region of the jobs; None takes the connection's
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

    # ---- settings

    @cached_property
    def settings(self) -> ImsSettings:
        """The connection, validated.

        :raises ImsConfigurationError: if the connection does not exist or is not right
        """
        return self._read_settings()

    def _read_settings(self) -> ImsSettings:
        try:
            connection = self.get_connection(self.ims_conn_id)
        except AirflowNotFoundException:
            raise ImsConfigurationError(
                f"There is no usable connection {self.ims_conn_id!r}: none has this id, or its value cannot be read. "
                f"Add one of type {CONN_NAME!r} under Admin > Connections, or pass ims_conn_id."
            ) from None
        return parse_connection(connection, self.region)

    def get_conn(self) -> TypedClient:
        """Return the official typed SDK client, with endpoint, credentials and time-outs of the connection.

        Known limitation: its asynchronous methods build a TLS context for each call, and it loads 1,600 modules.
        """
        settings = self.settings
        from airflow_provider_ims.api.client import typed_client  # noqa: PLC0415 - loads the SDK

        return typed_client(settings)

    def test_connection(self) -> tuple[bool, str]:
        """Ask the service for one line of a list: the cheapest read that needs a valid identity.

        :return: whether it worked, and a short text for the UI
        """
        try:
            return self._blocking(self._probe)
        except ImsError as error:
            return False, _test_failure(error)

    async def _probe(self) -> tuple[bool, str]:
        client = await self._client()
        answer = await client.call("QueryCopyrightJobList", {"PageSize": 1})
        settings = self.settings
        if (status := answer.get("StatusCode", 200)) != 200:  # noqa: PLR2004 - the one value that is documented
            said = client.harmless(f"StatusCode {status}: {answer.get('Message')}")
            return False, f"{settings.endpoint} answered with {said}"
        return True, f"Connected to {settings.endpoint} (region {settings.region})"

    # ---- any action

    async def acall(self, action: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Asynchronous twin of :meth:`call`."""
        client = await self._client()
        return await client.call(action, params or {})

    def call(self, action: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Call any action of the API (ICE 2020-11-09) and return the whole response body.

        For reads, and for what may be repeated: use :meth:`submit` to create a job.

        :param action: API operation, such as ``QueryCopyrightExtractJob``
        :param params: its parameters by the vendor's names; mappings and lists are sent as JSON, None is left out
        :raises ImsApiError: if the service refused; the subclass says why
        :raises ImsTransportError: if no answer came back
        """
        return self._blocking(self.acall, action, params)

    # ---- jobs

    async def asubmit(
        self, job_type: str | JobType, params: Mapping[str, Any], *, witness: SubmissionWitness | None = None
    ) -> Submission:
        """Asynchronous twin of :meth:`submit`."""
        job = find_job_type(job_type)
        client = await self._client()
        check_region(job, self.settings.region)
        try:
            response = await client.submit(job.submit_action, params, witness)
            accepted = submission(job, response)
            if accepted is None:
                message = client.harmless(str(response.get("Message")))
                raise submission_unknown(
                    Request(job.submit_action, self.settings.region, params),
                    f"The service answered without a JobId (Message {message!r}).",
                    request_id=request_id(response),
                )
        except ImsSubmitUnknownError as unknown:
            if witness is None:
                raise without_retry(unknown) from None
            witness.lost(unknown.request_id)
            raise
        return accepted

    def submit(
        self, job_type: str | JobType, params: Mapping[str, Any], *, witness: SubmissionWitness | None = None
    ) -> Submission:
        """Submit a job, once: nothing is ever sent again.

        :param job_type: the job family, such as ``CopyrightExtractJob``
        :param params: parameters of its submit action by the vendor's names
        :param witness: is told what becomes of the submission, at the moment it happens and on the thread that sends
            it; whoever gives one decides whether Airflow may retry a submission whose outcome is unknown
        :raises ImsConfigurationError: if the region does not offer the family
        :raises ImsApiError: if the service refused, so that no job exists
        :raises ImsTransportError: if the service could not be reached, so that no job exists
        :raises ImsSubmitUnknownError: if the answer is lost, so that a job may exist; not retried by Airflow, unless
            there is a witness
        """
        return self._blocking(functools.partial(self.asubmit, witness=witness), job_type, params)

    async def aquery(self, job_type: str | JobType, job_id: str) -> JobSnapshot:
        """Asynchronous twin of :meth:`query`."""
        job = find_job_type(job_type)
        check_job_id(job, job_id)
        client = await self._client()
        response = await client.call(job.query_action, {job.query_parameter: job_id})
        return snapshot(job, job_id, response, harmless=client.harmless)

    def query(self, job_type: str | JobType, job_id: str) -> JobSnapshot:
        """Ask once what has become of a job.

        :param job_type: the job family, such as ``CopyrightExtractJob``
        :param job_id: the job's id
        :raises ImsApiError: if the service refused
        :raises ImsTransportError: if no answer came back
        """
        return self._blocking(self.aquery, job_type, job_id)

    async def acancel(self, job_type: str | JobType, job_id: str) -> JobSnapshot:
        """Asynchronous twin of :meth:`cancel`."""
        job = find_job_type(job_type)
        if job.cancel_action is None:
            raise ImsConfigurationError(f"IMS has no action that cancels a {job.name}: job {job_id} goes on.")
        seen = await self.aquery(job, job_id)
        if seen.state is JobState.RUNNING:
            client = await self._client()
            await client.call(job.cancel_action, {job.query_parameter: job_id})
        return seen

    def cancel(self, job_type: str | JobType, job_id: str) -> JobSnapshot:
        """Cancel a job that has not ended, and return what it was before. May be repeated.

        :param job_type: the job family
        :param job_id: the job's id
        :raises ImsConfigurationError: if the family's jobs cannot be cancelled, as watermark jobs cannot
        :raises ImsApiError: if the service refused
        :raises ImsTransportError: if no answer came back
        """
        return self._blocking(self.acancel, job_type, job_id)

    async def aabandon(self, job_type: str | JobType, job_id: str, *, cancel: bool, log: Any) -> None:
        """Asynchronous twin of :meth:`abandon`."""
        job = find_job_type(job_type)
        if not (cancel and job.cancel_action):
            _say_what_goes_on(job, job_id, log)
            return
        try:
            async with asyncio.timeout(CANCEL_TIMEOUT):
                seen = await self.acancel(job, job_id)
        except Exception as error:  # noqa: BLE001 - the last word on a job that costs money must be said
            _say_that_it_may_go_on(job_id, error, log)
        else:
            what = "Cancelled job %s" if seen.state is JobState.RUNNING else f"Job %s had ended before: {seen.state}"
            log.info(what, job_id)

    def abandon(self, job_type: str | JobType, job_id: str, *, cancel: bool, log: Any) -> None:
        """Cancel a job that nobody waits for any longer, where that is wanted and possible; say what goes on.

        Takes five seconds at most: Airflow's worker gives ``on_kill`` no more.

        :param job_type: the job family
        :param job_id: the job's id
        :param cancel: whether to cancel it
        :param log: where to say it
        """
        job = find_job_type(job_type)
        if not (cancel and job.cancel_action):
            _say_what_goes_on(job, job_id, log)
            return
        try:
            self._blocking(functools.partial(self.aabandon, cancel=cancel, log=log), job, job_id)
        except Exception as error:  # noqa: BLE001 - as above: the connection is read before
            _say_that_it_may_go_on(job_id, error, log)

    async def awatch(self, wait: Wait) -> Ending:
        """Asynchronous twin of :meth:`watch`."""
        query = functools.partial(self._aquery_with_new_keys, wait.job_type, wait.job_id)
        return await watch(query, wait, SharedClients.of_this_loop().alarms.sleep)

    def watch(self, wait: Wait) -> Ending:
        """Poll a job over one session until the wait for it ends.

        :param wait: the job, and how long to wait for it
        """
        return self._blocking(self.awatch, wait)

    async def aglance(self, wait: Wait, *, settled: bool = False) -> Ending | None:
        """Asynchronous twin of :meth:`glance`."""
        ask = settle if settled else poll
        return await ask(functools.partial(self._aquery_with_new_keys, wait.job_type, wait.job_id), wait)

    def glance(self, wait: Wait, *, settled: bool = False) -> Ending | None:
        """Poll a job once, and return how the wait for it ended, None if it has not.

        :param wait: the job, and how long to wait for it
        :param settled: whether to poll again, for a minute at most, as long as nobody can explain the answers
        """
        return self._blocking(functools.partial(self.aglance, settled=settled), wait)

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
        :param algo_type: ``v1`` (long videos, the service's default) or ``v2`` (short ones); must be the one that the
            watermark was embedded with
        :param user_data: text, or a mapping sent as JSON, of at most 1,024 bytes
        :param job_params: further keys of the action's ``Params``
        :raises ImsConfigurationError: if an argument cannot be right; nothing was sent
        """
        return self.submit(
            COPYRIGHT_EXTRACT,
            copyright_extract_parameters(
                region=self.settings.region,
                input_media=input_media,
                algo_type=algo_type,
                user_data=user_data,
                job_params=job_params,
            ),
        ).job_id

    def query_copyright_extract_job(self, job_id: str) -> JobSnapshot:
        """Ask once for the watermark of a copyright extraction job.

        The service reports no state: an answer without text means running, nothing found or failed.

        Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-querycopyrightextractjob

        :param job_id: the job's id
        """
        return self.query(COPYRIGHT_EXTRACT, job_id)

    # ---- transport

    async def _aquery_with_new_keys(self, job_type: JobType, job_id: str) -> JobSnapshot:
        """Query; where the keys are refused, look whether the connection has new ones: a wait can outlive its keys."""
        asked = asyncio.get_running_loop().time()
        try:
            return await self.aquery(job_type, job_id)
        except ImsCredentialsError:
            if not await self._connection_has_changed(asked):
                raise
        return await self.aquery(job_type, job_id)

    async def _connection_has_changed(self, since: float) -> bool:
        """Read the connection again, and return whether it is another one; then the next call uses that.

        :param since: time of the loop; what somebody else has read after it will do
        """
        try:
            settings = await SharedClients.of_this_loop().look_up(self._name, self._read_settings, since=since)
        except Exception:
            self.log.exception("The connection %s could not be read again", self.ims_conn_id)
            return False
        if settings == self.settings:
            return False
        self.settings = settings
        await self.aclose()
        return True

    async def aclose(self) -> None:
        """Give back what this event loop's calls have used; the last hook to do so closes the session."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await SharedClients.of_this_loop().give_back(client)

    async def _client(self) -> ImsClient:
        """Return this loop's client; loading aiohttp and reading the connection happen in a thread."""
        loop = asyncio.get_running_loop()
        if client := self._clients.get(loop):
            return client
        shared = SharedClients.of_this_loop()
        if "settings" in self.__dict__:
            await asyncio.to_thread(_load_transport)
        else:
            self.settings = await shared.look_up(self._name, self._read_settings_and_load)
        # Somebody else may have taken one for this hook in the meantime: only one will be given back.
        if loop not in self._clients:
            self._clients[loop] = shared.take(self.settings)
        return self._clients[loop]

    @property
    def _name(self) -> tuple[type, str, str | None]:
        """What tells the look-ups of this hook's connection from others."""
        return type(self), self.ims_conn_id, self.region

    def _read_settings_and_load(self) -> ImsSettings:
        _load_transport()
        return self._read_settings()

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
        from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget  # noqa: PLC0415
        from wtforms import PasswordField, StringField  # noqa: PLC0415

        widgets = {}
        for name, definition in CONN_FIELDS.items():
            secret = definition["schema"].get("format") == "password"
            field, widget = (PasswordField, BS3PasswordFieldWidget) if secret else (StringField, BS3TextFieldWidget)
            widgets[name] = field(definition["label"], description=definition["description"], widget=widget())
        return widgets

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the behaviour of the standard fields, for Airflow before 3.2."""
        return {name.replace("-", "_"): value for name, value in UI_FIELD_BEHAVIOUR.items()}


def _load_transport() -> None:
    """Import what calls need: on an event loop, that would hold it up."""
    import jmespath  # noqa: F401, PLC0415 - answers are read with it

    import airflow_provider_ims.api.client  # noqa: F401, PLC0415 - loads aiohttp


def _say_what_goes_on(job_type: JobType, job_id: str, log: Any) -> None:
    why = "It is not to be cancelled" if job_type.cancel_action else f"IMS has no action that cancels a {job_type.name}"
    log.warning(
        "This task no longer waits for job %s. %s: the job goes on, and is billed. An ImsJobSensor on its JobId can "
        "still get the result.",
        job_id,
        why,
    )


def _say_that_it_may_go_on(job_id: str, error: Exception, log: Any) -> None:
    why = str(error) if isinstance(error, ImsError) else type(error).__name__
    log.warning("Job %s could not be cancelled; it may go on, and be billed: %s", job_id, why)


def _test_failure(error: ImsError) -> str:
    """Say in one line why the connection test failed."""
    match error:
        case ImsCredentialsError(code=str(code)) if code.startswith("InvalidAccessKeyId"):
            text = f"Wrong access key ID: the service does not know it ({code})."
        case ImsCredentialsError(code=str(code)) if code.startswith(("SignatureDoesNotMatch", "IncompleteSignature")):
            text = f"Wrong access key secret: the signature was refused ({code})."
        case ImsCredentialsError(code=str(code)) if code.startswith(("Forbidden", "NoPermission", "PermissionDenied")):
            text = f"The keys are right and lack permission ({code}). Grant ice:QueryCopyrightJobList to their owner."
        case ImsRequestError(code=str(code)) if code.startswith(("Unsupported", "InvalidAction", "InvalidApi")):
            text = f"Wrong region: it does not offer watermark jobs ({code}). Use cn-shanghai or cn-beijing."
        case ImsTransportError():
            text = f"Unreachable: {error}"
        case _:
            text = str(error)
    return text
