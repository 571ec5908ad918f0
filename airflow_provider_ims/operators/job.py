"""The operator for jobs of any family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_ims.exceptions import ImsConfigurationError
from airflow_provider_ims.jobs.arguments import check_no_templates
from airflow_provider_ims.jobs.catalog import find_job_type
from airflow_provider_ims.operators.base import ImsJobBaseOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from airflow.providers.common.compat.sdk import XComArg

    from airflow_provider_ims.jobs.argument_types import JobPartial, SubmitArguments, SubmitJobArguments, Template
    from airflow_provider_ims.jobs.types import JobType


class ImsSubmitJobOperator(ImsJobBaseOperator):
    """Submit a job of any family by the vendor's names of its parameters.

    Records, waits, retries and errors are those of all submit operators; ``docs/job-types.md`` lists the families. The
    parameters are not checked before the call, but for what all families share: prefer the operator of the family if
    there is one.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-overview

    :param job_type: the family, such as ``SnapshotJob``
    :param job_params: parameters of the submit action by the vendor's names. Mappings and lists are sent as JSON, None
        is left out. (templated)
    :param cancel_on_kill: whether to cancel the job when the task is killed, if the family can be cancelled
    :param kwargs: those of :class:`~airflow_provider_ims.operators.base.ImsJobBaseOperator`
    """

    template_fields: Sequence[str] = (*ImsJobBaseOperator.template_fields, "job_params")
    job_params: Template[Mapping[str, Any] | None]
    template_fields_renderers: ClassVar[dict[str, str]] = {"job_params": "json"}

    if TYPE_CHECKING:

        @classmethod
        def partial(cls, **kwargs: Unpack[SubmitJobArguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""

    def __init__(
        self,
        *,
        job_type: str,
        job_params: Mapping[str, Any] | XComArg | None = None,
        cancel_on_kill: bool = False,
        **kwargs: Unpack[SubmitArguments],
    ) -> None:
        # First, because the base class checks them together with its own.
        self.job_type = self.family({"job_type": job_type})
        self.cancel_on_kill = cancel_on_kill
        super().__init__(**kwargs)
        self.job_params = job_params

    @classmethod
    def family(cls, given: Mapping[str, Any]) -> JobType:
        """Return the job family that the argument names.

        :param given: arguments by name
        :raises ImsConfigurationError: if there is none
        """
        if "job_type" not in given:
            raise ImsConfigurationError("job_type is missing. It cannot be mapped: give it to partial(...).")
        check_no_templates(given, ["job_type"])
        return find_job_type(given["job_type"])

    def job_parameters(self, region: str) -> Mapping[str, Any]:  # noqa: ARG002 - they have no media that is checked
        """Return the parameters of the submit action.

        :param region: region of the call
        :raises ImsConfigurationError: if they are not a mapping, or cannot be sent
        """
        from airflow_provider_ims.jobs.parameters import action_parameters  # noqa: PLC0415 - not to parse a DAG file

        return action_parameters(self.job_params, "job_params", self.job_type)
