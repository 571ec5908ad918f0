"""Operators for copyright watermarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_ims.exceptions import ImsPublishError
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs import COPYRIGHT_EXTRACT
from airflow_provider_ims.links.ims import ImsJobLink
from airflow_provider_ims.parameters import Media, copyright_extract_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.common.compat.sdk import BaseOperatorLink, Context

    from airflow_provider_ims.jobs import Submission


class ImsSubmitCopyrightExtractJobOperator(BaseOperator):
    """Submit a job that reads the invisible copyright watermark of a video.

    The task ends when the service has accepted the job. The return value is the JobId; the XCom ``job_id`` has it too
    and ``request_id`` the service's id of the request.

    Each job is billed per minute of video, and a second submission is a second bill. So an answer that got lost fails
    the task without retry (``ImsSubmitUnknownError``), as do a JobId that cannot be pushed (``ImsPublishError``),
    wrong arguments (``ImsConfigurationError``, before any call) and requests that the service calls invalid
    (``ImsRequestError``).

    Known limitation: a worker that dies after the submission, or Airflow failing to store the return value, leaves a
    task that Airflow's retries submit again. Give it ``retries=0`` where that matters more than a missed job.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-submitcopyrightextractjob

    :param input_media: ``oss://bucket/object``, ``https://bucket.oss-<region>.aliyuncs.com/object``, a media asset id,
        or ``{"Type": "OSS" | "Media", "Media": ...}``. The media must be in the region of the call. (templated)
    :param algo_type: ``v1`` (long videos, the service's default) or ``v2`` (short ones); must be the one that the
        watermark was embedded with. (templated)
    :param user_data: text, or a mapping sent as JSON, of at most 1,024 bytes in UTF-8. (templated)
    :param job_params: further keys of the action's ``Params``. (templated)
    :param region: ``cn-shanghai`` or ``cn-beijing``; None takes the connection's. (templated)
    :param ims_conn_id: id of the Airflow connection. (templated)
    """

    template_fields: Sequence[str] = (
        "input_media",
        "algo_type",
        "user_data",
        "job_params",
        "region",
        "ims_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"job_params": "json"}
    operator_extra_links: Sequence[BaseOperatorLink] = (ImsJobLink(),)
    ui_color = "#fff1e6"

    def __init__(
        self,
        *,
        input_media: Media,
        algo_type: str | None = None,
        user_data: str | Mapping[str, Any] | None = None,
        job_params: Mapping[str, Any] | None = None,
        region: str | None = None,
        ims_conn_id: str = ImsHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.input_media = input_media
        self.algo_type = algo_type
        self.user_data = user_data
        self.job_params = job_params
        self.region = region
        self.ims_conn_id = ims_conn_id

    def execute(self, context: Context) -> str:
        """Submit the job and return its JobId."""
        hook = ImsHook(ims_conn_id=self.ims_conn_id, region=self.region)
        region = hook.settings.region
        params = copyright_extract_parameters(
            region=region,
            input_media=self.input_media,
            algo_type=self.algo_type,
            user_data=self.user_data,
            job_params=self.job_params,
        )
        job = hook.submit(COPYRIGHT_EXTRACT, params)
        # Logged first: should the XCom fail, the log still has the id of a job that is billed.
        self.log.info(
            "Submitted job %s for %s in %s (RequestId %s)", job.job_id, params["Input"], region, job.request_id
        )
        self._publish(context, job, region)
        return job.job_id

    def _publish(self, context: Context, job: Submission, region: str) -> None:
        if not self.do_xcom_push:
            return
        try:
            context["ti"].xcom_push(key="job_id", value=job.job_id)
            context["ti"].xcom_push(key="request_id", value=job.request_id)
            ImsJobLink.persist(context, region=region, query_action=COPYRIGHT_EXTRACT.query_action, job_id=job.job_id)
        except Exception as error:
            raise ImsPublishError(
                f"Job {job.job_id} is submitted and will be billed, and its id could not be pushed to XCom: {error}.",
                advice="Go on with this JobId by hand; clearing the task submits a second job.",
                job_id=job.job_id,
            ) from error
