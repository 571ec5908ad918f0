"""Operators for media fingerprints (DNA)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_ims.jobs.catalog import DNA
from airflow_provider_ims.operators.base import ImsJobBaseOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from airflow.providers.common.compat.sdk import XComArg

    from airflow_provider_ims.jobs.argument_types import JobPartial, SubmitArguments, SubmitDnaArguments, Template
    from airflow_provider_ims.jobs.media import Media


class ImsSubmitDnaJobOperator(ImsJobBaseOperator):
    """Submit a job that compares the fingerprint of media with those of a library.

    A wait that ends well pushes where the matches are as ``dna_result``. A queuing job can be cancelled:
    ``cancel_on_kill``.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-submitdnajob

    :param input_media: the media, in the region of the call: ``oss://bucket/object``,
        ``https://bucket.oss-<region>.aliyuncs.com/object``, a media asset id, or ``{"Type": "OSS" | "Media", "Media":
        ...}`` (templated)
    :param dna_db_id: the fingerprint library (templated)
    :param primary_key: your own unique key of the media in the library (templated)
    :param config: settings such as ``SaveType``, in place of those of the template (templated)
    :param template_id: template of the job (templated)
    :param pipeline_id: pipeline of the job; None takes the default one (templated)
    :param user_data: text, or a mapping sent as JSON, of at most 128 bytes in UTF-8 (templated)
    :param cancel_on_kill: whether to cancel the job when the task is killed; only a queuing job can be cancelled
    :param kwargs: those of :class:`~airflow_provider_ims.operators.base.ImsJobBaseOperator`
    """

    job_type = DNA

    template_fields: Sequence[str] = (*ImsJobBaseOperator.template_fields, *DNA.arguments)
    input_media: Template[Media]
    dna_db_id: Template[str]
    primary_key: Template[str]
    config: Template[str | Mapping[str, Any] | None]
    template_id: Template[str | None]
    pipeline_id: Template[str | None]
    user_data: Template[str | Mapping[str, Any] | None]
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(DNA.json_arguments, "json")

    if TYPE_CHECKING:

        @classmethod
        def partial(cls, **kwargs: Unpack[SubmitDnaArguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""

    def __init__(
        self,
        *,
        input_media: Media | XComArg,
        dna_db_id: str | XComArg,
        primary_key: str | XComArg,
        config: str | Mapping[str, Any] | XComArg | None = None,
        template_id: str | XComArg | None = None,
        pipeline_id: str | XComArg | None = None,
        user_data: str | Mapping[str, Any] | XComArg | None = None,
        cancel_on_kill: bool = False,
        **kwargs: Unpack[SubmitArguments],
    ) -> None:
        self.cancel_on_kill = cancel_on_kill  # first, because the base class checks it
        super().__init__(**kwargs)
        self.input_media = input_media
        self.dna_db_id = dna_db_id
        self.primary_key = primary_key
        self.config = config
        self.template_id = template_id
        self.pipeline_id = pipeline_id
        self.user_data = user_data
