"""Operators for copyright watermarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_ims.jobs.media import Media, copyright_extract_parameters
from airflow_provider_ims.jobs.types import COPYRIGHT_EXTRACT
from airflow_provider_ims.operators.base import ImsJobBaseOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ImsSubmitCopyrightExtractJobOperator(ImsJobBaseOperator):
    """Submit a job that reads the invisible copyright watermark of a video, and wait for the text if asked to.

    The return value is the JobId, waited or not; the XCom ``job_id`` has it too and ``request_id`` the service's id of
    the submission, both pushed before the wait. A wait that ends well pushes the text as ``watermark``, empty where
    silence was taken for an unmarked video.

    Each job is billed per minute of video, and a second submission is a second bill. So a retry goes on with the job
    that an earlier attempt has submitted (``durable``), unless the service says that it failed or was cancelled; and an
    answer that got lost ends the task without a retry (``ImsSubmitUnknownError``, see ``on_unknown_submit``). Wrong
    arguments (``ImsConfigurationError``, before any call), requests that the service calls invalid
    (``ImsRequestError``) and a wait that lasted too long (``ImsJobTimeoutError``) are not retried either.

    Known limitation: before Airflow 3.3 nothing is remembered, and a worker that dies after the submission leaves a
    task that Airflow's retries submit again. Give it ``retries=0`` where that matters more than a missed job.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-submitcopyrightextractjob

    :param input_media: ``oss://bucket/object``, ``https://bucket.oss-<region>.aliyuncs.com/object``, a media asset id,
        or ``{"Type": "OSS" | "Media", "Media": ...}``. The media must be in the region of the call. (templated)
    :param algo_type: ``v1`` (long videos, the service's default) or ``v2`` (short ones); must be the one that the
        watermark was embedded with. (templated)
    :param user_data: text, or a mapping sent as JSON, of at most 1,024 bytes in UTF-8. (templated)
    :param job_params: further keys of the action's ``Params``. (templated)
    :param kwargs: how to wait, ``region`` and ``ims_conn_id``: see
        :class:`~airflow_provider_ims.operators.base.ImsJobBaseOperator`. The regions are ``cn-shanghai`` and
        ``cn-beijing``.
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
    template_fields_renderers: ClassVar[dict[str, str]] = {"job_params": "json"}

    def __init__(
        self,
        *,
        input_media: Media,
        algo_type: str | None = None,
        user_data: str | Mapping[str, Any] | None = None,
        job_params: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.input_media = input_media
        self.algo_type = algo_type
        self.user_data = user_data
        self.job_params = job_params

    def job_parameters(self, region: str) -> dict[str, str]:
        """Return the parameters of ``SubmitCopyrightExtractJob``."""
        return copyright_extract_parameters(
            region=region,
            input_media=self.input_media,
            algo_type=self.algo_type,
            user_data=self.user_data,
            job_params=self.job_params,
        )
