"""What the operators that read watermarks share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_ims.operators.base import ImsJobBaseOperator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Unpack

    from airflow.providers.common.compat.sdk import XComArg

    from airflow_provider_ims.jobs.argument_types import SubmitArguments, Template
    from airflow_provider_ims.jobs.polling import Duration


class ImsExtractJobBaseOperator(ImsJobBaseOperator):
    """Submit a job that reads a watermark. The query of these families reports no state.

    :param user_data: text, or a mapping sent as JSON (templated)
    :param job_params: further keys of the action's ``Params`` (templated)
    :param no_watermark_after: how long empty responses must last to mean that there is no watermark
    :param kwargs: those of :class:`~airflow_provider_ims.operators.base.ImsJobBaseOperator`
    """

    user_data: Template[str | Mapping[str, Any] | None]
    job_params: Template[Mapping[str, Any] | None]

    def __init__(
        self,
        *,
        user_data: str | Mapping[str, Any] | XComArg | None = None,
        job_params: Mapping[str, Any] | XComArg | None = None,
        no_watermark_after: Duration | None = None,
        **kwargs: Unpack[SubmitArguments],
    ) -> None:
        self.no_watermark_after = no_watermark_after  # first, because the base class checks it
        super().__init__(**kwargs)
        self.user_data = user_data
        self.job_params = job_params
