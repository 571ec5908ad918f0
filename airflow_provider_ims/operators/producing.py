"""Operators for jobs that edit and produce videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_ims.jobs.catalog import MEDIA_PRODUCING
from airflow_provider_ims.operators.base import ImsJobBaseOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from airflow.providers.common.compat.sdk import XComArg

    from airflow_provider_ims.jobs.argument_types import (
        JobPartial,
        SubmitArguments,
        SubmitMediaProducingArguments,
        Template,
    )


class ImsSubmitMediaProducingJobOperator(ImsJobBaseOperator):
    """Submit a job that produces a video from an editing timeline, a project or a template.

    Exactly one of ``timeline``, ``project_id`` and ``template_id`` must be given. A wait that ends well pushes media id
    and URL of the video as ``media``.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-submitmediaproducingjob

    :param output_media_config: where the video goes: ``{"MediaURL":
        "https://bucket.oss-<region>.aliyuncs.com/object"}`` for OSS (templated)
    :param timeline: the timeline: https://help.aliyun.com/document_detail/198823.html (templated)
    :param project_id: an editing project (templated)
    :param template_id: a template; its materials are ``clips_param`` (templated)
    :param clips_param: the materials of the template (templated)
    :param output_media_target: ``oss-object`` (the default of the service), ``vod-media`` or ``S3`` (templated)
    :param editing_produce_config: settings of the production, such as the cover (templated)
    :param media_metadata: title, description and further metadata of the video (templated)
    :param user_data: text, or a mapping sent as JSON, of at most 512 bytes in UTF-8 (templated)
    :param kwargs: those of :class:`~airflow_provider_ims.operators.base.ImsJobBaseOperator`
    """

    job_type = MEDIA_PRODUCING

    template_fields: Sequence[str] = (*ImsJobBaseOperator.template_fields, *MEDIA_PRODUCING.arguments)
    output_media_config: Template[str | Mapping[str, Any]]
    timeline: Template[str | Mapping[str, Any] | None]
    project_id: Template[str | None]
    template_id: Template[str | None]
    clips_param: Template[str | Mapping[str, Any] | None]
    output_media_target: Template[str | None]
    editing_produce_config: Template[str | Mapping[str, Any] | None]
    media_metadata: Template[str | Mapping[str, Any] | None]
    user_data: Template[str | Mapping[str, Any] | None]
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(MEDIA_PRODUCING.json_arguments, "json")

    if TYPE_CHECKING:

        @classmethod
        def partial(cls, **kwargs: Unpack[SubmitMediaProducingArguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""

    def __init__(
        self,
        *,
        output_media_config: str | Mapping[str, Any] | XComArg,
        timeline: str | Mapping[str, Any] | XComArg | None = None,
        project_id: str | XComArg | None = None,
        template_id: str | XComArg | None = None,
        clips_param: str | Mapping[str, Any] | XComArg | None = None,
        output_media_target: str | XComArg | None = None,
        editing_produce_config: str | Mapping[str, Any] | XComArg | None = None,
        media_metadata: str | Mapping[str, Any] | XComArg | None = None,
        user_data: str | Mapping[str, Any] | XComArg | None = None,
        **kwargs: Unpack[SubmitArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.output_media_config = output_media_config
        self.timeline = timeline
        self.project_id = project_id
        self.template_id = template_id
        self.clips_param = clips_param
        self.output_media_target = output_media_target
        self.editing_produce_config = editing_produce_config
        self.media_metadata = media_metadata
        self.user_data = user_data
