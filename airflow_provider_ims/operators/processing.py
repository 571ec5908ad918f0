"""Operators for jobs that analyse and convert media: media info, convert, transcode, snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_ims.jobs.catalog import MEDIA_CONVERT, MEDIA_INFO, SNAPSHOT, TRANSCODE
from airflow_provider_ims.operators.base import ImsJobBaseOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from airflow.providers.common.compat.sdk import XComArg

    from airflow_provider_ims.jobs.argument_types import (
        JobPartial,
        ProcessingArguments,
        SubmitArguments,
        SubmitMediaConvertArguments,
        SubmitMediaInfoArguments,
        SubmitSnapshotArguments,
        SubmitTranscodeArguments,
        Template,
    )
    from airflow_provider_ims.jobs.media import Media


class _ProcessingBaseOperator(ImsJobBaseOperator):
    """The arguments that most of these jobs have."""

    job_name: Template[str | None]
    schedule_config: Template[str | Mapping[str, Any] | None]
    user_data: Template[str | Mapping[str, Any] | None]

    def __init__(
        self,
        *,
        job_name: str | XComArg | None = None,
        schedule_config: str | Mapping[str, Any] | XComArg | None = None,
        user_data: str | Mapping[str, Any] | XComArg | None = None,
        **kwargs: Unpack[SubmitArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.job_name = job_name
        self.schedule_config = schedule_config
        self.user_data = user_data


class ImsSubmitMediaInfoJobOperator(_ProcessingBaseOperator):
    """Submit a job that reads duration, format and streams of media.

    A wait that ends well pushes them as ``media_info``.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-submitmediainfojob

    :param input_media: the media, in the region of the call: ``oss://bucket/object``,
        ``https://bucket.oss-<region>.aliyuncs.com/object``, a media asset id, or ``{"Type": "OSS" | "Media", "Media":
        ...}`` (templated)
    :param job_name: name of the job, for the lists of the service (templated)
    :param schedule_config: ``PipelineId`` and ``Priority`` of the job (templated)
    :param user_data: text, or a mapping sent as JSON (templated)
    :param kwargs: those of :class:`~airflow_provider_ims.operators.base.ImsJobBaseOperator`
    """

    job_type = MEDIA_INFO

    template_fields: Sequence[str] = (*ImsJobBaseOperator.template_fields, *MEDIA_INFO.arguments)
    input_media: Template[Media]
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(MEDIA_INFO.json_arguments, "json")

    if TYPE_CHECKING:

        @classmethod
        def partial(cls, **kwargs: Unpack[SubmitMediaInfoArguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""

    def __init__(
        self,
        *,
        input_media: Media | XComArg,
        **kwargs: Unpack[ProcessingArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.input_media = input_media


class ImsSubmitMediaConvertJobOperator(ImsJobBaseOperator):
    """Submit a job that converts media: the current way to transcode.

    A wait that ends well pushes the outputs as ``outputs``. A job with failed outputs fails the task.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-submitmediaconvertjob

    :param config: inputs and outputs: https://help.aliyun.com/document_detail/2999539.html (templated)
    :param pipeline_id: pipeline of the job; None takes the default one (templated)
    :param user_data: text, or a mapping sent as JSON (templated)
    :param kwargs: those of :class:`~airflow_provider_ims.operators.base.ImsJobBaseOperator`
    """

    job_type = MEDIA_CONVERT

    template_fields: Sequence[str] = (*ImsJobBaseOperator.template_fields, *MEDIA_CONVERT.arguments)
    config: Template[str | Mapping[str, Any]]
    pipeline_id: Template[str | None]
    user_data: Template[str | Mapping[str, Any] | None]
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(MEDIA_CONVERT.json_arguments, "json")

    if TYPE_CHECKING:

        @classmethod
        def partial(cls, **kwargs: Unpack[SubmitMediaConvertArguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""

    def __init__(
        self,
        *,
        config: str | Mapping[str, Any] | XComArg,
        pipeline_id: str | XComArg | None = None,
        user_data: str | Mapping[str, Any] | XComArg | None = None,
        **kwargs: Unpack[SubmitArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.pipeline_id = pipeline_id
        self.user_data = user_data


class ImsSubmitTranscodeJobOperator(_ProcessingBaseOperator):
    """Submit a transcoding job.

    The vendor discontinued transcoding jobs on 2025-12-31: use :class:`ImsSubmitMediaConvertJobOperator` for new DAGs.
    A wait that ends well pushes the outputs as ``outputs``. A job with failed outputs fails the task.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-submittranscodejob

    :param input_group: the inputs; several are merged (templated)
    :param output_group: the outputs, each with ``Output`` and ``ProcessConfig`` (templated)
    :param job_name: name of the job, for the lists of the service (templated)
    :param schedule_config: ``PipelineId`` and ``Priority`` of the job (templated)
    :param user_data: text, or a mapping sent as JSON, of at most 512 bytes in UTF-8 (templated)
    :param kwargs: those of :class:`~airflow_provider_ims.operators.base.ImsJobBaseOperator`
    """

    job_type = TRANSCODE

    template_fields: Sequence[str] = (*ImsJobBaseOperator.template_fields, *TRANSCODE.arguments)
    input_group: Template[str | Sequence[Mapping[str, Any]]]
    output_group: Template[str | Sequence[Mapping[str, Any]]]
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(TRANSCODE.json_arguments, "json")

    if TYPE_CHECKING:

        @classmethod
        def partial(cls, **kwargs: Unpack[SubmitTranscodeArguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""

    def __init__(
        self,
        *,
        input_group: str | Sequence[Mapping[str, Any]] | XComArg,
        output_group: str | Sequence[Mapping[str, Any]] | XComArg,
        **kwargs: Unpack[ProcessingArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.input_group = input_group
        self.output_group = output_group


class ImsSubmitSnapshotJobOperator(_ProcessingBaseOperator):
    """Submit a job that takes pictures of a video.

    A wait that ends well pushes their number and the output as ``snapshots``.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-submitsnapshotjob

    :param input_media: the video, in the region of the call: ``oss://bucket/object``,
        ``https://bucket.oss-<region>.aliyuncs.com/object``, a media asset id, or ``{"Type": "OSS" | "Media", "Media":
        ...}`` (templated)
    :param output_media: URL of the pictures in OSS, in the region of the call; ``{Count}`` stands for their numbers
        (templated)
    :param template_config: ``TemplateId``, or ``OverwriteParams`` with the time, the interval and the number of
        pictures (templated)
    :param job_name: name of the job, for the lists of the service (templated)
    :param schedule_config: ``PipelineId`` and ``Priority`` of the job (templated)
    :param user_data: text, or a mapping sent as JSON (templated)
    :param kwargs: those of :class:`~airflow_provider_ims.operators.base.ImsJobBaseOperator`
    """

    job_type = SNAPSHOT

    template_fields: Sequence[str] = (*ImsJobBaseOperator.template_fields, *SNAPSHOT.arguments)
    input_media: Template[Media]
    output_media: Template[str]
    template_config: Template[str | Mapping[str, Any]]
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(SNAPSHOT.json_arguments, "json")

    if TYPE_CHECKING:

        @classmethod
        def partial(cls, **kwargs: Unpack[SubmitSnapshotArguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""

    def __init__(
        self,
        *,
        input_media: Media | XComArg,
        output_media: str | XComArg,
        template_config: str | Mapping[str, Any] | XComArg,
        **kwargs: Unpack[ProcessingArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.input_media = input_media
        self.output_media = output_media
        self.template_config = template_config
