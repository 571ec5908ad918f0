"""Waits for a job in the triggerer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_ims.exceptions import ImsConfigurationError, to_primitives
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.hooks.waiting import WaitingHook
from airflow_provider_ims.jobs.outcome import JobOutcome, OutcomeKind
from airflow_provider_ims.jobs.polling import JobWait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from airflow.providers.common.compat.sdk import BaseOperator

# The trigger ends at its own deadline and reports on the job. If no triggerer runs then, Airflow's scheduler ends the
# task so much later, without a report.
_BACKSTOP = timedelta(hours=1)
KILL_TIMEOUT = 28.0
"""Seconds. By default Airflow gives ``on_kill`` 30."""
READ_TIMEOUT = 20.0
"""Seconds of it for the state of the task: the triggerer's supervisor serves one request at a time."""


class ImsJobTrigger(BaseTrigger):
    """Polls a job until it ends or the deadline has passed, and fires one event.

    The event is a :class:`~airflow_provider_ims.jobs.outcome.JobOutcome` in primitives. Failed polls that may pass
    (throttling, errors of the service, the network) do not end the wait. All times are wall-clock seconds since the
    epoch, so that a triggerer that starts anew resumes the wait of the last one; only the number of polls starts anew.

    Known limitation: before Airflow 3.3 a trigger does not learn that its task was cleared or marked, so that the log
    does not say which job goes on. The same is true if that happens before the trigger has started.

    :param wait: the job, and how long to wait for it: a :class:`~airflow_provider_ims.jobs.polling.JobWait` in
        primitives (``job_type``, ``job_id``, ``since``, ``deadline``, ``poll_interval``, ``max_poll_interval``,
        ``accept_empty_from``, ``polls``, ``unexplained``); the first four are required
    :param ims_conn_id: id of the Airflow connection
    :param region: region of the job; None takes the connection's
    :param cancel_on_kill: whether to cancel the job when its task is cleared or marked, if its family can be cancelled
    """

    def __init__(
        self,
        *,
        wait: Mapping[str, Any],
        ims_conn_id: str = ImsHook.default_conn_name,
        region: str | None = None,
        cancel_on_kill: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.wait = dict(wait)
        self.ims_conn_id = ims_conn_id
        self.region = region
        self.cancel_on_kill = cancel_on_kill

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments: primitives without secrets."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "wait": self.wait,
            "ims_conn_id": self.ims_conn_id,
            "region": self.region,
            "cancel_on_kill": self.cancel_on_kill,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire the one event."""
        try:
            wait = JobWait.from_primitives(self.wait, self.log)
        except ImsConfigurationError as error:  # a worker of a newer version knows a family that this one does not
            job_type, job_id = self.wait["job_type"], self.wait["job_id"]
            refused = JobOutcome(job_type, job_id, OutcomeKind.REFUSED, error=to_primitives(error))
            yield TriggerEvent(refused.to_event())
            return
        wait.region = self.region
        wait.announce()
        hook = WaitingHook(ims_conn_id=self.ims_conn_id, region=self.region)
        try:
            outcome = await hook.apoll_until_done(wait)
        finally:
            await hook.aclose()
        yield TriggerEvent(outcome.to_event())

    async def on_kill(self) -> None:
        """Log which job goes on when a user clears or marks the task; cancel the job if that is wanted and possible.

        Airflow 3.3.2 also calls this if a triggerer was frozen and its triggers have moved to another one
        (apache/airflow#73454). So nothing is cancelled, and no job is said to be left, while the task still waits for
        this job: it is deferred, and the JobId that it has pushed to XCom is this one. A new attempt of a cleared task
        may be deferred already, but has pushed another JobId, unless it has resumed this job.

        In doubt nothing is cancelled: if Airflow cannot be read, nobody can clear or mark a task either, and a move is
        the likelier cause. The check can be deleted when no supported Airflow calls ``on_kill`` after a move.

        Known limitation: if a task pushes no JobId (``do_xcom_push=False``, or a sensor), a new attempt that is
        deferred already counts as one that waits for this job.
        """
        leaving = asyncio.ensure_future(self._leave())
        # Airflow 3.3 cancels the trigger again each second until it has ended, in the middle of a call.
        while not leaving.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(leaving)
        leaving.result()

    async def _leave(self) -> None:
        job_id = self.wait["job_id"]
        until = time.monotonic() + KILL_TIMEOUT
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                still_waits = await self._task_still_waits()
        # Whatever keeps it from being read: the job costs money. The read is cancelled if the triggerer ends meanwhile.
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - as said
            self.log.warning(
                "It could not be found out whether this task still waits for job %s: %r. Nothing is cancelled; the job "
                "may go on, and be billed. Look at the state of the task, and at Airflow's metadata database.",
                job_id,
                error,
            )
            return
        if still_waits:
            self.log.info("This task still waits for job %s, in another triggerer or attempt", job_id)
            return
        hook = WaitingHook(ims_conn_id=self.ims_conn_id, region=self.region)
        try:
            await hook.aleave(
                self.wait["job_type"],
                job_id,
                cancel=self.cancel_on_kill,
                log=self.log,
                timeout=until - time.monotonic(),
            )
        finally:
            await hook.aclose()

    async def _task_still_waits(self) -> bool:
        """Whether the task is deferred, and for this job."""
        ti: Any = self.task_instance
        if ti is None:
            return False
        # Airflow 3 only. The channel of the triggerer exists when it runs.
        from airflow.sdk.execution_time.comms import GetTaskStates  # noqa: PLC0415
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS  # noqa: PLC0415
        from airflow.sdk.execution_time.xcom import XCom  # noqa: PLC0415

        response: Any = await SUPERVISOR_COMMS.asend(
            GetTaskStates(dag_id=ti.dag_id, run_ids=[ti.run_id], task_ids=[ti.task_id], map_index=ti.map_index)
        )
        # The key of a mapped task ends in its index.
        if "deferred" not in response.task_states.get(ti.run_id, {}).values():
            return False
        pushed = await XCom.aget_one(
            key="job_id", dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=ti.map_index
        )
        return pushed in (None, self.wait["job_id"])


def defer(
    task: BaseOperator, wait: JobWait, *, ims_conn_id: str, region: str, cancel_on_kill: bool = False
) -> NoReturn:
    """Hand a wait over to the triggerer, which resumes the task at ``execute_complete``.

    :param task: the operator or sensor that waits
    :param wait: the job, and how long to wait for it
    :param ims_conn_id: id of the Airflow connection
    :param region: region of the job
    :param cancel_on_kill: see :class:`ImsJobTrigger`
    """
    trigger = ImsJobTrigger(
        wait=wait.to_primitives(), ims_conn_id=ims_conn_id, region=region, cancel_on_kill=cancel_on_kill
    )
    text = "Deferring: the triggerer waits for job %s. If no triggerer runs, the task stays deferred"
    task.log.info(text, wait.job_id)
    remaining = timedelta(seconds=max(wait.deadline - time.time(), 0))
    task.defer(trigger=trigger, method_name="execute_complete", timeout=remaining + _BACKSTOP)
