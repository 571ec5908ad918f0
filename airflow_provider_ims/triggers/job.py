"""Waiting for a job in the triggerer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_ims.exceptions import ImsConfigurationError, to_primitives
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.outcome import End, Ending
from airflow_provider_ims.jobs.polling import MAX_POLL_INTERVAL, POLL_INTERVAL, Wait
from airflow_provider_ims.jobs.types import find_job_type

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.providers.common.compat.sdk import BaseOperator

# The trigger ends at its own deadline and reports on the job. Should no triggerer run then, Airflow's scheduler ends
# the task so much later, without a report.
_BACKSTOP = timedelta(hours=1)


class ImsJobTrigger(BaseTrigger):
    """Polls a job until it ends or the deadline has passed, and fires one event.

    The event is an :class:`~airflow_provider_ims.jobs.outcome.Ending` in primitives. Failed polls that may pass
    (throttling, errors of the service, the network) do not end the wait. All times are wall-clock seconds since the
    epoch, so that a triggerer that starts anew goes on where the last one stopped; the number of polls then starts
    anew too.

    Known limitation: before Airflow 3.3 nothing tells a trigger that its task was cleared or marked, so that the log
    does not say what goes on; nor does it where that happens before the trigger has started.

    :param job_type: name of the job family, such as ``CopyrightExtractJob``
    :param job_id: the job's id
    :param since: when the wait began
    :param deadline: when to give up
    :param ims_conn_id: id of the Airflow connection
    :param region: region of the job; None takes the connection's
    :param poll_interval: pause between the first polls, in seconds
    :param max_poll_interval: longest pause, in seconds
    :param silence_until: from when on silence means "nothing found"; None for never
    :param polls: polls before the deferral
    :param unexplained: how many of them, the last in a row, had answers that nobody can explain
    :param cancel_on_kill: whether to cancel the job when its task is cleared or marked, if its family can be cancelled
    """

    def __init__(
        self,
        *,
        job_type: str,
        job_id: str,
        since: float,
        deadline: float,
        ims_conn_id: str = ImsHook.default_conn_name,
        region: str | None = None,
        poll_interval: float = POLL_INTERVAL,
        max_poll_interval: float = MAX_POLL_INTERVAL,
        silence_until: float | None = None,
        polls: int = 0,
        unexplained: int = 0,
        cancel_on_kill: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.job_type = job_type
        self.job_id = job_id
        self.since = since
        self.deadline = deadline
        self.ims_conn_id = ims_conn_id
        self.region = region
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval
        self.silence_until = silence_until
        self.polls = polls
        self.unexplained = unexplained
        self.cancel_on_kill = cancel_on_kill

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, all of them primitives and none of them secret."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "job_type": self.job_type,
            "job_id": self.job_id,
            "since": self.since,
            "deadline": self.deadline,
            "ims_conn_id": self.ims_conn_id,
            "region": self.region,
            "poll_interval": self.poll_interval,
            "max_poll_interval": self.max_poll_interval,
            "silence_until": self.silence_until,
            "polls": self.polls,
            "unexplained": self.unexplained,
            "cancel_on_kill": self.cancel_on_kill,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire the one event."""
        try:
            job_type = find_job_type(self.job_type)
        except ImsConfigurationError as error:  # a worker of a newer version knows a family that we do not
            refused = Ending(self.job_type, self.job_id, End.REFUSED, error=to_primitives(error))
            yield TriggerEvent(refused.as_event())
            return
        hook = ImsHook(ims_conn_id=self.ims_conn_id, region=self.region)
        wait = Wait(
            job_type=job_type,
            job_id=self.job_id,
            since=self.since,
            deadline=self.deadline,
            poll_interval=self.poll_interval,
            max_poll_interval=self.max_poll_interval,
            silence_until=self.silence_until,
            polls=self.polls,
            unexplained=self.unexplained,
            log=self.log,
        )
        try:
            ending = await hook.awatch(wait)
        finally:
            await hook.aclose()
        yield TriggerEvent(ending.as_event())

    async def on_kill(self) -> None:
        """Say what goes on when a user clears or marks the task, and cancel the job where that can be done."""
        ending = asyncio.ensure_future(self._abandon())
        # Airflow 3.3 cancels the trigger again each second until it has ended, in the middle of a call.
        while not ending.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(ending)
        ending.result()

    async def _abandon(self) -> None:
        hook = ImsHook(ims_conn_id=self.ims_conn_id, region=self.region)
        try:
            await hook.aabandon(self.job_type, self.job_id, cancel=self.cancel_on_kill, log=self.log)
        finally:
            await hook.aclose()


def defer(task: BaseOperator, wait: Wait, *, ims_conn_id: str, region: str, cancel_on_kill: bool = False) -> NoReturn:
    """Hand a wait over to the triggerer, which resumes the task at ``execute_complete``.

    :param task: the operator or sensor that waits
    :param wait: what it waits for
    :param ims_conn_id: id of the Airflow connection
    :param region: region of the job
    :param cancel_on_kill: see :class:`ImsJobTrigger`
    """
    trigger = ImsJobTrigger(
        job_type=wait.job_type.name,
        job_id=wait.job_id,
        since=wait.since,
        deadline=wait.deadline,
        ims_conn_id=ims_conn_id,
        region=region,
        poll_interval=wait.poll_interval,
        max_poll_interval=wait.max_poll_interval,
        silence_until=wait.silence_until,
        polls=wait.polls,
        unexplained=wait.unexplained,
        cancel_on_kill=cancel_on_kill,
    )
    remaining = timedelta(seconds=max(wait.deadline - time.time(), 0))
    task.defer(trigger=trigger, method_name="execute_complete", timeout=remaining + _BACKSTOP)
