"""Operators for copyright watermarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_ims.jobs.catalog import COPYRIGHT, COPYRIGHT_EXTRACT
from airflow_provider_ims.operators.base import ImsJobBaseOperator
from airflow_provider_ims.operators.extract import ImsExtractJobBaseOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from airflow.providers.common.compat.sdk import XComArg

    from airflow_provider_ims.jobs.argument_types import (
        ExtractArguments,
        JobPartial,
        SubmitArguments,
        SubmitCopyrightArguments,
        SubmitCopyrightExtractArguments,
        Template,
    )
    from airflow_provider_ims.jobs.media import Media


class ImsSubmitCopyrightJobOperator(ImsJobBaseOperator):
    """Submit a job that embeds an invisible copyright watermark into a video.

    A wait that ends well pushes where the marked video is as ``output``. There is no token that makes a submission safe
    to repeat: records, retries and errors are those of :class:`ImsSubmitCopyrightExtractJobOperator`.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-submitcopyrightjob

    :param input_media: the video, in the region of the call: ``oss://bucket/object``,
        ``https://bucket.oss-<region>.aliyuncs.com/object``, a media asset id, or ``{"Type": "OSS" | "Media", "Media":
        ...}`` (templated)
    :param output_media: URL of the marked video in OSS, in the region of the call (templated)
    :param message: text of the watermark. The vendor documents no limit of its length. (templated)
    :param level: channels that carry the mark: 0 (U), 1 (UV) or 2 (YUV); None leaves it to the service (templated)
    :param start_time: where the mark begins, in seconds; None means at the beginning (templated)
    :param total_time: The vendor contradicts itself: the page of IMS says where the mark ends, in seconds; that of its
        predecessor MPS, and the name, say for how many seconds. Both are the same if the mark begins at 0. None marks
        all to the end. (templated)
    :param algo_type: ``v1`` (videos of three minutes or more, the default of the service) or ``v2`` (short ones);
        extraction needs the same (templated)
    :param description: free text (templated)
    :param user_data: text, or a mapping sent as JSON, of at most 1,024 bytes in UTF-8 (templated)
    :param job_params: further keys of the action's ``Params`` (templated)
    :param kwargs: those of :class:`~airflow_provider_ims.operators.base.ImsJobBaseOperator`
    """

    job_type = COPYRIGHT

    template_fields: Sequence[str] = (*ImsJobBaseOperator.template_fields, *COPYRIGHT.arguments)
    input_media: Template[Media]
    output_media: Template[str]
    message: Template[str]
    level: Template[int | str | None]
    start_time: Template[int | str | None]
    total_time: Template[int | str | None]
    algo_type: Template[str | None]
    description: Template[str | None]
    user_data: Template[str | Mapping[str, Any] | None]
    job_params: Template[Mapping[str, Any] | None]
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(COPYRIGHT.json_arguments, "json")

    if TYPE_CHECKING:

        @classmethod
        def partial(cls, **kwargs: Unpack[SubmitCopyrightArguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""

    def __init__(
        self,
        *,
        input_media: Media | XComArg,
        output_media: str | XComArg,
        message: str | XComArg,
        level: int | str | XComArg | None = None,
        start_time: int | str | XComArg | None = None,
        total_time: int | str | XComArg | None = None,
        algo_type: str | XComArg | None = None,
        description: str | XComArg | None = None,
        user_data: str | Mapping[str, Any] | XComArg | None = None,
        job_params: Mapping[str, Any] | XComArg | None = None,
        **kwargs: Unpack[SubmitArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.input_media = input_media
        self.output_media = output_media
        self.message = message
        self.level = level
        self.start_time = start_time
        self.total_time = total_time
        self.algo_type = algo_type
        self.description = description
        self.user_data = user_data
        self.job_params = job_params


class ImsSubmitCopyrightExtractJobOperator(ImsExtractJobBaseOperator):
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

    template_fields: Sequence[str] = (*ImsJobBaseOperator.template_fields, *COPYRIGHT_EXTRACT.arguments)
    input_media: Template[Media]
    algo_type: Template[str | None]
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(COPYRIGHT_EXTRACT.json_arguments, "json")

    if TYPE_CHECKING:

        @classmethod
        def partial(cls, **kwargs: Unpack[SubmitCopyrightExtractArguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""

    def __init__(
        self,
        *,
        input_media: Media | XComArg,
        algo_type: str | XComArg | None = None,
        **kwargs: Unpack[ExtractArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.input_media = input_media
        self.algo_type = algo_type
