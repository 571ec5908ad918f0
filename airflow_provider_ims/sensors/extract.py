"""What the sensors for watermark jobs have in common: the service reports no state of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.polling import MAX_POLL_INTERVAL, POLL_INTERVAL, TIMEOUT, Duration
from airflow_provider_ims.sensors.job import ImsJobSensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from airflow.providers.common.compat.sdk import XComArg

    from airflow_provider_ims.jobs.argument_types import BaseSensorArguments, ExtractSensorArguments, JobPartial
    from airflow_provider_ims.jobs.types import JobType


class ImsExtractJobBaseSensor(ImsJobSensor):
    """Wait for an extraction job of one family that another task submitted, and return its text.

    A subclass sets its ``family``, and explains the arguments.
    """

    family: ClassVar[JobType]

    template_fields: Sequence[str] = ("job_id", "region", "ims_conn_id")

    if TYPE_CHECKING:

        @classmethod
        def partial(  # type: ignore[override] # it has no job_type
            cls, **kwargs: Unpack[ExtractSensorArguments]
        ) -> JobPartial:
            """Return the arguments that all mapped tasks share."""

    def __init__(
        self,
        *,
        job_id: str | XComArg,
        no_watermark_after: Duration | None = None,
        deferrable: bool | None = None,
        mode: Literal["poke", "reschedule"] = "poke",
        poke_interval: Duration = POLL_INTERVAL,
        exponential_backoff: bool = True,
        max_wait: Duration | None = MAX_POLL_INTERVAL,
        timeout: Duration = TIMEOUT,
        soft_fail: bool = False,
        region: str | XComArg | None = None,
        ims_conn_id: str | XComArg = ImsHook.default_conn_name,
        **kwargs: Unpack[BaseSensorArguments],
    ) -> None:
        self.no_watermark_after = no_watermark_after  # first, because the base class checks it
        super().__init__(
            job_id=job_id,
            job_type=self.family.name,
            deferrable=deferrable,
            mode=mode,
            poke_interval=poke_interval,
            exponential_backoff=exponential_backoff,
            max_wait=max_wait,
            timeout=timeout,
            soft_fail=soft_fail,
            region=region,
            ims_conn_id=ims_conn_id,
            **kwargs,
        )
