"""What operators, sensors and the trigger need beside the public hook: to wait for a job, and to leave it."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.exceptions import ImsError
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.catalog import find_job_type
from airflow_provider_ims.jobs.polling import poll_once, poll_until_done, poll_until_explained
from airflow_provider_ims.jobs.types import JobState, JobType
from airflow_provider_ims.metrics import Component

if TYPE_CHECKING:
    from airflow_provider_ims.connection.settings import ImsSettings
    from airflow_provider_ims.jobs.outcome import JobOutcome
    from airflow_provider_ims.jobs.polling import JobWait

CANCEL_TIMEOUT = 4.0
"""Seconds. Airflow's worker kills a task five seconds after it has told it to end."""


class WaitingHook(ImsHook):
    """A hook that waits for jobs. Private: its names may change.

    :param ims_conn_id: id of a connection of type ``ims`` or ``alibaba_cloud``
    :param region: region of the jobs; None takes the connection's
    :param is_first_start: whether the task starts for the first time; a sensor in the mode ``reschedule`` comes back
    """

    def __init__(
        self,
        ims_conn_id: str = ImsHook.default_conn_name,
        region: str | None = None,
        *,
        is_first_start: bool = True,
    ) -> None:
        super().__init__(ims_conn_id, region)
        self._is_first_start = is_first_start

    def _log_credentials(self, settings: ImsSettings) -> None:
        if self._is_first_start:
            super()._log_credentials(settings)

    async def apoll_until_done(self, wait: JobWait, component: Component = Component.TRIGGERER) -> JobOutcome:
        """Asynchronous twin of :meth:`poll_until_done`."""
        return await poll_until_done(self._query(wait), wait, component)

    def poll_until_done(self, wait: JobWait) -> JobOutcome:
        """Poll a job over one session until the wait for it ends.

        :param wait: the job, and how long to wait for it
        """
        return self._blocking(self.apoll_until_done, wait, Component.WORKER)

    def poll_once(self, wait: JobWait, *, until_explained: bool = False) -> JobOutcome | None:
        """Poll a job once, and return how the wait for it ended, None if it goes on.

        :param wait: the job, and how long to wait for it
        :param until_explained: whether to poll again, for two minutes at most, while the responses are unexplained
        """
        policy = poll_until_explained if until_explained else poll_once
        return self._blocking(policy, self._query(wait), wait)

    async def aleave(
        self,
        job_type: str | JobType,
        job_id: str,
        *,
        cancel: bool,
        log: Any,
        timeout: float | None = None,  # noqa: ASYNC109 - of all calls together
    ) -> None:
        """Asynchronous twin of :meth:`leave`; a triggerer may give it more time than a worker has."""
        job = find_job_type(job_type)
        if not (cancel and job.cancel_action):
            _warn_that_job_goes_on(job, job_id, log)
            return
        try:
            async with asyncio.timeout(CANCEL_TIMEOUT if timeout is None else timeout):
                before = await self.acancel(job, job_id)
        except Exception as error:  # noqa: BLE001 - the last line about a job that costs money must be written
            _warn_that_job_may_go_on(job_id, error, log)
        else:
            what = (
                "Cancelled job %s" if before.state is JobState.RUNNING else f"Job %s had ended before: {before.state}"
            )
            log.info(what, job_id)

    def leave(self, job_type: str | JobType, job_id: str, *, cancel: bool, log: Any) -> None:
        """Cancel a job that no task waits for any more, if that is wanted and possible; else log that it goes on.

        Takes five seconds at most: Airflow's worker gives ``on_kill`` no more.

        :param job_type: the job family
        :param job_id: the job's id
        :param cancel: whether to cancel it
        :param log: the task's or the trigger's
        """
        job = find_job_type(job_type)
        if not (cancel and job.cancel_action):
            _warn_that_job_goes_on(job, job_id, log)
            return
        try:
            self._blocking(functools.partial(self.aleave, cancel=cancel, log=log), job, job_id)
        except Exception as error:  # noqa: BLE001 - as above: the connection is read before
            _warn_that_job_may_go_on(job_id, error, log)


def _warn_that_job_goes_on(job_type: JobType, job_id: str, log: Any) -> None:
    why = "It is not to be cancelled" if job_type.cancel_action else f"IMS has no action that cancels a {job_type.name}"
    log.warning(
        "This task no longer waits for job %s. %s: the job goes on, and is billed. An %s on its JobId can still get "
        "the result.",
        job_id,
        why,
        job_type.sensor,
    )


def _warn_that_job_may_go_on(job_id: str, error: Exception, log: Any) -> None:
    why = str(error) if isinstance(error, ImsError) else type(error).__name__
    log.warning("Job %s could not be cancelled; it may go on, and be billed: %s", job_id, why)
