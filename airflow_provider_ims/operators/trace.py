"""Operators for trace watermarks: one mark for each viewer of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_ims.jobs.catalog import TRACE_AB, TRACE_EXTRACT, TRACE_M3U8
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
        SubmitTraceAbArguments,
        SubmitTraceExtractArguments,
        SubmitTraceM3u8Arguments,
        Template,
    )
    from airflow_provider_ims.jobs.media import Media


class ImsSubmitTraceAbJobOperator(ImsJobBaseOperator):
    """Submit a job that makes the A and B streams of a video, from which playlists for single viewers are made.

    Beside the XComs of all submit operators, ``trace_media_id`` is pushed right after the submission:
    :class:`ImsSubmitTraceM3u8JobOperator` needs it.

    The service takes videos of three minutes or more; it says that shorter ones may fail or have no output.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-submittraceabjob

    :param input_media: the video, in the region of the call: ``oss://bucket/object``,
        ``https://bucket.oss-<region>.aliyuncs.com/object``, a media asset id, or ``{"Type": "OSS" | "Media", "Media":
        ...}`` (templated)
    :param output_media: a folder in OSS in the same region, which ends with a slash: ``oss://bucket/folder/``
        (templated)
    :param level: channels that carry the mark: 0 (U), 1 (UV) or 2 (YUV); None leaves it to the service (templated)
    :param start_time: where the mark begins, in seconds (templated)
    :param total_time: how many seconds of the video are marked; None for all from ``start_time`` on (templated)
    :param cipher_base64ed: key of the encryption in Base64. Airflow shows it among the rendered fields, unless its
        secrets masker knows it: take it from a connection or a secret variable. (templated)
    :param user_data: text, or a mapping sent as JSON, of at most 1,024 bytes in UTF-8 (templated)
    :param kwargs: those of :class:`~airflow_provider_ims.operators.base.ImsJobBaseOperator`
    """

    job_type = TRACE_AB

    template_fields: Sequence[str] = (*ImsJobBaseOperator.template_fields, *TRACE_AB.arguments)
    input_media: Template[Media]
    output_media: Template[str]
    level: Template[int | str | None]
    start_time: Template[int | str | None]
    total_time: Template[int | str | None]
    cipher_base64ed: Template[str | None]
    user_data: Template[str | Mapping[str, Any] | None]

    if TYPE_CHECKING:

        @classmethod
        def partial(cls, **kwargs: Unpack[SubmitTraceAbArguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""

    def __init__(
        self,
        *,
        input_media: Media | XComArg,
        output_media: str | XComArg,
        level: int | str | XComArg | None = None,
        start_time: int | str | XComArg | None = None,
        total_time: int | str | XComArg | None = None,
        cipher_base64ed: str | XComArg | None = None,
        user_data: str | Mapping[str, Any] | XComArg | None = None,
        **kwargs: Unpack[SubmitArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.input_media = input_media
        self.output_media = output_media
        self.level = level
        self.start_time = start_time
        self.total_time = total_time
        self.cipher_base64ed = cipher_base64ed
        self.user_data = user_data


class ImsSubmitTraceM3u8JobOperator(ImsJobBaseOperator):
    """Submit a job that makes the playlist of one viewer from the A and B streams of a video.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-submittracem3u8job

    :param trace_media_id: the streams, from the XCom ``trace_media_id`` of :class:`ImsSubmitTraceAbJobOperator`
        (templated)
    :param trace: the text that tells this viewer from others (templated)
    :param output_media: URL of the playlist in OSS, in the region of the call (templated)
    :param m3u8_type: ``v1`` (absolute paths, playable for 24 hours; the service's default) or ``v2`` (relative paths:
        it must stay beside the files of the streams) (templated)
    :param key_uri: URL of the key server (templated)
    :param job_params: further keys of the action's ``Params`` (templated)
    :param kwargs: those of :class:`~airflow_provider_ims.operators.base.ImsJobBaseOperator`
    """

    job_type = TRACE_M3U8

    template_fields: Sequence[str] = (*ImsJobBaseOperator.template_fields, *TRACE_M3U8.arguments)
    trace_media_id: Template[str]
    trace: Template[str]
    output_media: Template[str]
    m3u8_type: Template[str | None]
    key_uri: Template[str | None]
    job_params: Template[Mapping[str, Any] | None]
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(TRACE_M3U8.json_arguments, "json")

    if TYPE_CHECKING:

        @classmethod
        def partial(cls, **kwargs: Unpack[SubmitTraceM3u8Arguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""

    def __init__(
        self,
        *,
        trace_media_id: str | XComArg,
        trace: str | XComArg,
        output_media: str | XComArg,
        m3u8_type: str | XComArg | None = None,
        key_uri: str | XComArg | None = None,
        job_params: Mapping[str, Any] | XComArg | None = None,
        **kwargs: Unpack[SubmitArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.trace_media_id = trace_media_id
        self.trace = trace
        self.output_media = output_media
        self.m3u8_type = m3u8_type
        self.key_uri = key_uri
        self.job_params = job_params


class ImsSubmitTraceExtractJobOperator(ImsExtractJobBaseOperator):
    """Submit a job that reads the trace watermark of a video, and wait for the text if requested.

    A wait that ends well pushes the text as ``trace``, empty if empty responses were taken for an unmarked video. The
    service takes videos of three minutes or more; jobs for shorter ones fail.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-submittraceextractjob

    :param input_media: the video, in the region of the call: ``oss://bucket/object``,
        ``https://bucket.oss-<region>.aliyuncs.com/object``, a media asset id, or ``{"Type": "OSS" | "Media", "Media":
        ...}`` (templated)
    :param m3u8_type: ``v1`` (absolute paths; the service's default) or ``v2`` (relative paths), as the playlist was
        made (templated)
    :param user_data: text, or a mapping sent as JSON, of at most 1,024 bytes in UTF-8 (templated)
    :param job_params: further keys of the action's ``Params`` (templated)
    :param no_watermark_after: how long empty responses must last, from the submission on, to mean that there is no
        watermark; in seconds or as a timedelta. The task then succeeds, and the text is empty. By default they never
        mean that, and the wait ends in ``ImsJobTimeoutError``.
    :param kwargs: those of :class:`~airflow_provider_ims.operators.base.ImsJobBaseOperator`
    """

    job_type = TRACE_EXTRACT

    template_fields: Sequence[str] = (*ImsJobBaseOperator.template_fields, *TRACE_EXTRACT.arguments)
    input_media: Template[Media]
    m3u8_type: Template[str | None]
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(TRACE_EXTRACT.json_arguments, "json")

    if TYPE_CHECKING:

        @classmethod
        def partial(cls, **kwargs: Unpack[SubmitTraceExtractArguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""

    def __init__(
        self,
        *,
        input_media: Media | XComArg,
        m3u8_type: str | XComArg | None = None,
        **kwargs: Unpack[ExtractArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.input_media = input_media
        self.m3u8_type = m3u8_type
