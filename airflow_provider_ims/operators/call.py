"""The operator for any action of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.arguments import (
    SWITCH,
    check_action,
    check_choices,
    check_no_templates,
    with_defaults,
)
from airflow_provider_ims.jobs.response import check_path, read_path
from airflow_provider_ims.jobs.retry import retries_without_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_provider_ims.jobs.argument_types import BaseOperatorArguments, CallArguments, JobPartial, Template


class ImsCallOperator(BaseOperator):
    """Call any action of the API, and return its response.

    For actions that submit a job there is :class:`~airflow_provider_ims.operators.job.ImsSubmitJobOperator`, which
    keeps a record of the job. An action that only reads may be retried. One that changes something is sent once: if its
    response is lost, the task fails without a retry in ``ImsSubmitUnknownError``.

    Known limitation: there is no record of a call. If the worker dies after it, Airflow's retries call again: give the
    task ``retries=0`` if an action that changes something must not be repeated.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-overview

    :param action: API operation, such as ``GetMediaInfo``
    :param action_params: its parameters by the vendor's names. Mappings and lists are sent as JSON, None is left out.
        (templated)
    :param result_path: JMESPath expression of the part of the response to return, such as ``MediaInfo.MediaBasicInfo``;
        None returns all of it. If the response has no such part, the task fails.
    :param mutates: whether the action changes something; must be given for actions whose name does not begin with
        ``Query``, ``Get``, ``List``, ``Describe`` or ``Search``
    :param region: region of the call; None takes the connection's (templated)
    :param ims_conn_id: id of the Airflow connection (templated)
    :param kwargs: those of :class:`~airflow.sdk.BaseOperator`
    """

    template_fields: Sequence[str] = ("action_params", "region", "ims_conn_id")
    action_params: Template[Mapping[str, Any] | None]
    region: Template[str | None]
    ims_conn_id: Template[str]
    template_fields_renderers: ClassVar[dict[str, str]] = {"action_params": "json"}
    ui_color = "#fff1e6"

    if TYPE_CHECKING:

        @property
        def output(self) -> Any:
            """What stands for the value in other tasks: their functions are typed with the value, not with XComArg."""

        @classmethod
        def partial(cls, **kwargs: Unpack[CallArguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""
    else:

        @classmethod
        def partial(cls, **kwargs: Any) -> Any:
            """Check what is not mapped when the DAG file is parsed; the rest is checked when a mapped task starts."""
            partial = super().partial(**kwargs)
            _check(with_defaults(partial.kwargs))
            return partial

    def __init__(
        self,
        *,
        action: str,
        action_params: Mapping[str, Any] | XComArg | None = None,
        result_path: str | None = None,
        mutates: bool = False,
        region: str | XComArg | None = None,
        ims_conn_id: str | XComArg = ImsHook.default_conn_name,
        **kwargs: Unpack[BaseOperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.action = action
        self.action_params = action_params
        self.result_path = result_path
        self.mutates = mutates
        self.region = region
        self.ims_conn_id = ims_conn_id
        _check(vars(self))

    def execute(self, context: Context) -> Any:  # noqa: ARG002 - Airflow passes it
        """Call the action, and return the response or the part of it."""
        from airflow_provider_ims.jobs.parameters import action_parameters  # noqa: PLC0415 - not to parse a DAG file

        hook = ImsHook(ims_conn_id=self.ims_conn_id, region=self.region)
        with retries_without_record():
            _check(vars(self))
            params = action_parameters(self.action_params, "action_params")
            response = hook.call(self.action, params, mutates=self.mutates)
            if self.result_path is None:
                return response
            return read_path(self.result_path, response, action=self.action)


def _check(given: Mapping[str, Any]) -> None:
    """Check the arguments that are not templates.

    :param given: arguments by name; a missing one has its default, or is mapped
    """
    check_no_templates(given, ("action", "result_path", "mutates"))
    check_choices(given, {"mutates": SWITCH})
    if "action" in given:
        check_action(given["action"], mutates=given.get("mutates", False))
    if given.get("result_path") is not None:
        check_path(given["result_path"])
