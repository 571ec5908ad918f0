"""Operators for smart tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_ims.jobs.catalog import SMART_TAG
from airflow_provider_ims.operators.base import ImsJobBaseOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from airflow.providers.common.compat.sdk import XComArg

    from airflow_provider_ims.jobs.argument_types import JobPartial, SubmitArguments, SubmitSmarttagArguments, Template
    from airflow_provider_ims.jobs.media import Media


class ImsSubmitSmarttagJobOperator(ImsJobBaseOperator):
    """Submit a job that tags media by what they show and say.

    A wait that ends well pushes the tags as ``tags``.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-submitsmarttagjob

    :param input_media: the media, in the region of the call: ``oss://bucket/object``,
        ``https://bucket.oss-<region>.aliyuncs.com/object``, a media asset id, or ``{"Type": "OSS" | "Media", "Media":
        ...}`` (templated)
    :param template_id: the template, which names the algorithms (templated)
    :param title: title of the media, of at most 256 bytes in UTF-8 (templated)
    :param content: description of the media, of at most 1,024 bytes in UTF-8 (templated)
    :param template_config: settings in place of those of the template (templated)
    :param schedule_config: ``PipelineId`` and ``Priority`` of the job (templated)
    :param job_params: the action's ``Params``, such as ``needAsrData`` (templated)
    :param user_data: text, or a mapping sent as JSON, of at most 1,024 bytes in UTF-8 (templated)
    :param kwargs: those of :class:`~airflow_provider_ims.operators.base.ImsJobBaseOperator`
    """

    job_type = SMART_TAG

    template_fields: Sequence[str] = (*ImsJobBaseOperator.template_fields, *SMART_TAG.arguments)
    input_media: Template[Media]
    template_id: Template[str | None]
    title: Template[str | None]
    content: Template[str | None]
    template_config: Template[str | Mapping[str, Any] | None]
    schedule_config: Template[str | Mapping[str, Any] | None]
    job_params: Template[Mapping[str, Any] | None]
    user_data: Template[str | Mapping[str, Any] | None]
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(SMART_TAG.json_arguments, "json")

    if TYPE_CHECKING:

        @classmethod
        def partial(cls, **kwargs: Unpack[SubmitSmarttagArguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""

    def __init__(
        self,
        *,
        input_media: Media | XComArg,
        template_id: str | XComArg | None = None,
        title: str | XComArg | None = None,
        content: str | XComArg | None = None,
        template_config: str | Mapping[str, Any] | XComArg | None = None,
        schedule_config: str | Mapping[str, Any] | XComArg | None = None,
        job_params: Mapping[str, Any] | XComArg | None = None,
        user_data: str | Mapping[str, Any] | XComArg | None = None,
        **kwargs: Unpack[SubmitArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.input_media = input_media
        self.template_id = template_id
        self.title = title
        self.content = content
        self.template_config = template_config
        self.schedule_config = schedule_config
        self.job_params = job_params
        self.user_data = user_data
