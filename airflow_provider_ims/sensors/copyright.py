"""Waits for a copyright watermark job that another task submitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.polling import MAX_POLL_INTERVAL, POLL_INTERVAL, TIMEOUT, Duration
from airflow_provider_ims.sensors.job import ImsJobSensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from airflow.providers.common.compat.sdk import XComArg

    from airflow_provider_ims.jobs.argument_types import (
        BaseSensorArguments,
        CopyrightExtractSensorArguments,
        JobPartial,
    )


class ImsCopyrightExtractJobSensor(ImsJobSensor):
    """Wait for a copyright extraction job that another task submitted, and return its watermark.

    The return value is the text, and so is the XCom ``watermark``. It is empty if empty responses were taken for an
    unmarked video.

    Like :class:`~airflow_provider_ims.sensors.job.ImsJobSensor`, with ``no_watermark_after`` for a service that reports
    no state of such jobs.

    :param job_id: the job's id, such as ``submit.output`` (templated)
    :param no_watermark_after: how long empty responses must last, from the start of the sensor on, to mean that there
        is no watermark; in seconds or as a timedelta. The task then succeeds, and the text is empty. By default they
        never mean that, and the wait ends in ``ImsJobTimeoutError``.
    :param deferrable: whether to wait in the triggerer, without a worker slot; None takes ``default_deferrable`` of
        Airflow's section ``[operators]``
    :param mode: ``poke`` or ``reschedule``, if not deferrable
    :param poke_interval: pause between the first polls, in seconds or as a timedelta; shortened by up to a tenth at
        random
    :param exponential_backoff: whether pauses grow to a tenth of the time waited, as those of the operators do; else
        they stay at ``poke_interval``
    :param max_wait: longest pause between two polls, in seconds or as a timedelta; None for no limit
    :param timeout: how long to wait, in seconds or as a timedelta, counted over all starts of an attempt. If the sensor
        keeps its slot or is deferred, an earlier ``execution_timeout`` counts instead.
    :param soft_fail: whether the task is skipped instead of failed
    :param region: ``cn-shanghai`` or ``cn-beijing``; None takes the connection's (templated)
    :param ims_conn_id: id of the Airflow connection (templated)
    :param kwargs: those of :class:`~airflow.sdk.BaseSensorOperator`
    :raises ImsJobFailedError: if the service says that the job failed
    :raises ImsJobCancelledError: if the service says that the job was cancelled
    :raises ImsJobTimeoutError: if the job was not seen to end in time
    :raises ImsApiError: if the service refuses the query; the subclass says why
    """

    family = COPYRIGHT_EXTRACT

    template_fields: Sequence[str] = ("job_id", "region", "ims_conn_id")

    if TYPE_CHECKING:

        @classmethod
        def partial(  # type: ignore[override] # it has no job_type
            cls, **kwargs: Unpack[CopyrightExtractSensorArguments]
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
            job_type=COPYRIGHT_EXTRACT.name,
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
