"""Waits for a copyright watermark job that another task submitted."""

from __future__ import annotations

from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.sensors.extract import ImsExtractJobBaseSensor


class ImsCopyrightExtractJobSensor(ImsExtractJobBaseSensor):
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
