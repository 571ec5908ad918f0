"""Operators for copyright watermarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.polling import MAX_POLL_INTERVAL, POLL_INTERVAL, TIMEOUT, Duration
from airflow_provider_ims.operators.base import ImsJobBaseOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from airflow.providers.common.compat.sdk import XComArg

    from airflow_provider_ims.jobs.argument_types import (
        BaseOperatorArguments,
        JobPartial,
        SubmitCopyrightExtractArguments,
        Template,
    )
    from airflow_provider_ims.jobs.media import Media
    from airflow_provider_ims.jobs.retry import OnUnknownSubmit


class ImsSubmitCopyrightExtractJobOperator(ImsJobBaseOperator):
    """Submit a job that reads the invisible copyright watermark of a video, and wait for the text if requested.

    The return value is the JobId, waited or not; the XCom ``job_id`` has it too and ``request_id`` the service's id of
    the submission, both pushed before the wait. A wait that ends well pushes the text as ``watermark``, empty if empty
    responses were taken for an unmarked video.

    Each job is billed per minute of video, and a second submission is a second bill. So a retry resumes the job that an
    earlier attempt has submitted (``durable``), unless the service says that it failed or was cancelled; and a lost
    response ends the task without a retry (``ImsSubmitUnknownError``, see ``on_unknown_submit``). Wrong arguments
    (``ImsConfigurationError``, before any call), requests that the service calls invalid (``ImsRequestError``) and a
    wait that lasted too long (``ImsJobTimeoutError``) are not retried either.

    Known limitation: before Airflow 3.3 there is no record, and a worker that dies after the submission leaves a task
    that Airflow's retries submit again. Give it ``retries=0`` if that matters more than a missed job.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-submitcopyrightextractjob

    :param input_media: ``oss://bucket/object``, ``https://bucket.oss-<region>.aliyuncs.com/object``, a media asset id,
        or ``{"Type": "OSS" | "Media", "Media": ...}``. The media must be in the region of the call. (templated)
    :param algo_type: ``v1`` (long videos, the service's default) or ``v2`` (short ones); the one that the watermark was
        embedded with. (templated)
    :param user_data: text, or a mapping sent as JSON, of at most 1,024 bytes in UTF-8. (templated)
    :param job_params: further keys of the action's ``Params``. (templated)
    :param wait_for_completion: whether to wait for the job's end; None means no, unless ``deferrable=True`` is given
    :param deferrable: whether to wait in the triggerer, without a worker slot; None takes ``default_deferrable`` of
        Airflow's section ``[operators]``
    :param poll_interval: pause between the first polls, in seconds. Pauses grow to a tenth of the time waited, and are
        shortened by up to a tenth at random.
    :param max_poll_interval: longest pause between two polls, in seconds
    :param timeout: how long to wait, in seconds or as a timedelta. An earlier ``execution_timeout`` counts instead.
    :param no_watermark_after: how long empty responses must last, from the submission on, to mean that there is no
        watermark; in seconds or as a timedelta. The task then succeeds, and the text is empty. By default they never
        mean that, and the wait ends in ``ImsJobTimeoutError``.
    :param durable: whether a retry resumes the job that an earlier attempt has submitted, instead of paying for another
        one. Clearing the task starts over. Needs Airflow 3.3; before, every attempt submits.
    :param on_unknown_submit: what to do if it is unknown whether a submission created a job, because its response was
        lost or its worker died: ``fail`` ends the task without a retry, ``resubmit`` lets the next attempt submit again
        and perhaps pay twice
    :param region: ``cn-shanghai`` or ``cn-beijing``; None takes the connection's (templated)
    :param ims_conn_id: id of the Airflow connection (templated)
    :param kwargs: those of :class:`~airflow.sdk.BaseOperator`
    """

    job_type = COPYRIGHT_EXTRACT

    template_fields: Sequence[str] = (
        "input_media",
        "algo_type",
        "user_data",
        "job_params",
        "region",
        "ims_conn_id",
    )
    input_media: Template[Media]
    algo_type: Template[str | None]
    user_data: Template[str | Mapping[str, Any] | None]
    job_params: Template[Mapping[str, Any] | None]
    template_fields_renderers: ClassVar[dict[str, str]] = {"job_params": "json"}

    if TYPE_CHECKING:

        @classmethod
        def partial(cls, **kwargs: Unpack[SubmitCopyrightExtractArguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""

    def __init__(
        self,
        *,
        input_media: Media | XComArg,
        algo_type: str | XComArg | None = None,
        user_data: str | Mapping[str, Any] | XComArg | None = None,
        job_params: Mapping[str, Any] | XComArg | None = None,
        wait_for_completion: bool | None = None,
        deferrable: bool | None = None,
        poll_interval: Duration = POLL_INTERVAL,
        max_poll_interval: Duration = MAX_POLL_INTERVAL,
        timeout: Duration = TIMEOUT,
        no_watermark_after: Duration | None = None,
        durable: bool = True,
        on_unknown_submit: OnUnknownSubmit = "fail",
        region: str | XComArg | None = None,
        ims_conn_id: str | XComArg = ImsHook.default_conn_name,
        **kwargs: Unpack[BaseOperatorArguments],
    ) -> None:
        self.no_watermark_after = no_watermark_after  # first, because the base class checks it
        super().__init__(
            wait_for_completion=wait_for_completion,
            deferrable=deferrable,
            poll_interval=poll_interval,
            max_poll_interval=max_poll_interval,
            timeout=timeout,
            durable=durable,
            on_unknown_submit=on_unknown_submit,
            region=region,
            ims_conn_id=ims_conn_id,
            **kwargs,
        )
        self.input_media = input_media
        self.algo_type = algo_type
        self.user_data = user_data
        self.job_params = job_params

    def job_parameters(self, region: str) -> dict[str, str]:
        """Return the parameters of ``SubmitCopyrightExtractJob``.

        :param region: region of the call
        :raises ImsConfigurationError: if an argument cannot be right
        """
        from airflow_provider_ims.jobs.copyright import copyright_extract_parameters  # noqa: PLC0415 - not to parse a DAG file

        return copyright_extract_parameters(
            region=region,
            input_media=self.input_media,
            algo_type=self.algo_type,
            user_data=self.user_data,
            job_params=self.job_params,
        )
