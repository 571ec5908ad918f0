"""Waiting for a job that another task submitted."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException, BaseSensorOperator, conf

from airflow_provider_ims.exceptions import ImsConfigurationError, ImsError
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.outcome import TRIGGER_FAILED, Ending, finish, no_report
from airflow_provider_ims.jobs.polling import MAX_POLL_INTERVAL, POLL_INTERVAL, TIMEOUT, Duration, Patience
from airflow_provider_ims.jobs.types import check_job_id, check_region, find_job_type
from airflow_provider_ims.links.ims import ImsJobLink

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.providers.common.compat.sdk import BaseOperatorLink, Context

    from airflow_provider_ims.jobs.polling import Wait


class ImsJobSensor(BaseSensorOperator):
    """Wait for a job that another task submitted, and hand on its result.

    The return value is the result, for a watermark its text; the XCom ``watermark`` (``result`` for other families)
    has it too. Where silence was taken for an unmarked video the text is empty.

    Modes: ``deferrable=True`` waits in the triggerer, ``mode="reschedule"`` comes back to a worker for each poll,
    ``mode="poke"`` (the default) keeps its worker slot. Failed polls that may pass (throttling, errors of the service,
    the network) do not end the wait in any of them, so that ``silent_fail`` has nothing to do. With ``soft_fail`` or
    ``never_fail`` the task is skipped instead of failed.

    :param job_id: the job's id, such as ``submit.output`` (templated)
    :param job_type: the job family (templated)
    :param no_watermark_after: for jobs without a state: how long silence is to last, from the start of the sensor on,
        to mean that there is no watermark; in seconds or as a timedelta. The task then succeeds, and the text is
        empty. By default silence never means that, and ends in ``ImsJobTimeoutError``.
    :param deferrable: whether to wait in the triggerer, without a worker slot; None takes ``default_deferrable`` of
        Airflow's section ``[operators]``
    :param poke_interval: pause between the first polls, in seconds or as a timedelta; shortened by up to a tenth at
        random
    :param exponential_backoff: whether pauses grow to a tenth of the time waited, as those of the operators do; else
        they stay at ``poke_interval``
    :param max_wait: longest pause between two polls, in seconds or as a timedelta; None for no limit
    :param timeout: how long to wait, in seconds or as a timedelta, counted over all starts of an attempt. Where the
        sensor keeps its slot or is deferred, an earlier ``execution_timeout`` counts instead.
    :param region: region of the job; None takes the connection's (templated)
    :param ims_conn_id: id of the Airflow connection (templated)
    :raises ImsJobFailedError: if the service says that the job failed
    :raises ImsJobCancelledError: if it says that the job was cancelled
    :raises ImsJobTimeoutError: if the job was not seen to end in time
    :raises ImsApiError: if the service refuses to tell; the subclass says why
    """

    template_fields: Sequence[str] = ("job_id", "job_type", "region", "ims_conn_id")
    operator_extra_links: Sequence[BaseOperatorLink] = (ImsJobLink(),)
    ui_color = "#fff1e6"

    def __init__(
        self,
        *,
        job_id: str,
        job_type: str = "CopyrightExtractJob",
        no_watermark_after: Duration | None = None,
        deferrable: bool | None = None,
        poke_interval: Duration = POLL_INTERVAL,
        exponential_backoff: bool = True,
        max_wait: Duration | None = MAX_POLL_INTERVAL,
        timeout: Duration = TIMEOUT,
        region: str | None = None,
        ims_conn_id: str = ImsHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            poke_interval=poke_interval,
            exponential_backoff=exponential_backoff,
            max_wait=max_wait,
            timeout=timeout,
            **kwargs,
        )
        self.job_id = job_id
        self.job_type = job_type
        self.no_watermark_after = no_watermark_after
        self.deferrable = deferrable
        self.region = region
        self.ims_conn_id = ims_conn_id

    def execute(self, context: Context) -> Any:
        """Wait for the job, and return its result."""
        with self._leniency():
            hook = ImsHook(ims_conn_id=self.ims_conn_id, region=self.region)
            wait = self._begin(context, hook.settings.region)
            if self._keeps_its_slot:
                return self._finish(context, hook.watch(wait))
            ending = hook.glance(wait, settled=not self._defers)
            if ending is not None:
                return self._finish(context, ending)
        return self._leave(wait, hook.settings.region)

    def execute_complete(self, context: Context, event: object = None) -> Any:
        """Go on after a deferral: judge what the trigger has seen."""
        with self._leniency():
            return self._finish(context, Ending.from_event(event, self.job_id))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral; where the trigger broke or never ran, say so like everything else."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSkipException:
            raise
        except AirflowException as error:
            if next_method != TRIGGER_FAILED:
                raise
            with self._leniency():
                raise no_report(self.job_id, f"{type(error).__name__}: {error}") from error

    def on_kill(self) -> None:
        """Say what goes on when the task is killed; a sensor never cancels what it has not submitted."""
        hook = ImsHook(ims_conn_id=self.ims_conn_id, region=self.region)
        hook.abandon(self.job_type, self.job_id, cancel=False, log=self.log)

    @contextmanager
    def _leniency(self) -> Iterator[None]:
        """Skip the task where an error is to be no failure: Airflow's own loop does so for some classes only."""
        try:
            yield
        except ImsError as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise

    @property
    def _defers(self) -> bool:
        if self.deferrable is None:
            return bool(conf.getboolean("operators", "default_deferrable", fallback=False))
        return self.deferrable

    @property
    def _keeps_its_slot(self) -> bool:
        return not self._defers and not self.reschedule

    def _begin(self, context: Context, region: str) -> Wait:
        """Return the wait, or refuse arguments that cannot be right."""
        job_type = find_job_type(self.job_type)
        check_job_id(job_type, self.job_id)
        check_region(job_type, region)
        if not isinstance(self.deferrable, bool | None):
            raise ImsConfigurationError(f"deferrable is {self.deferrable!r}. Give True or False, or leave it out.")
        comes_back = self.reschedule and not self._defers
        # Airflow counts it for each start of a sensor that comes back.
        execution_timeout = None if comes_back else self.execution_timeout
        longest = self.poke_interval if not self.exponential_backoff else self.max_wait or self.timeout
        patience = Patience.checked(
            job_type,
            poll_interval=self.poke_interval,
            max_poll_interval=longest,
            timeout=self.timeout,
            no_watermark_after=self.no_watermark_after,
            execution_timeout=execution_timeout,
            interval_name="poke_interval",
            max_name="max_wait",
        )
        if self.do_xcom_push:
            link = ImsJobLink.value(job_type, region=region, job_id=self.job_id)
            context["ti"].xcom_push(key=ImsJobLink.key, value=link)
        first, polls = _earlier_starts(context) if comes_back else (None, 0)
        wait = patience.wait_for(
            job_type,
            self.job_id,
            since=first.timestamp() if first else time.time(),
            started=context["ti"].start_date,
            execution_timeout=execution_timeout,
            polls=polls,
            log=self.log,
        )
        wait.announce()
        return wait

    def _leave(self, wait: Wait, region: str) -> NoReturn:
        """Free the worker slot until the next poll."""
        if self._defers:
            from airflow_provider_ims.triggers.job import defer  # noqa: PLC0415 - only for who defers

            defer(self, wait, ims_conn_id=self.ims_conn_id, region=region)
        raise AirflowRescheduleException(datetime.now(UTC) + timedelta(seconds=wait.pause(time.time())))

    def _finish(self, context: Context, ending: Ending) -> Any:
        result = finish(ending)
        if self.do_xcom_push:
            context["ti"].xcom_push(key=find_job_type(ending.job_type).result_name, value=result)
        return result


def _earlier_starts(context: Context) -> tuple[datetime | None, int]:
    """Return when this attempt of a sensor that comes back started first, and how often it has started before."""
    ti: Any = context["ti"]
    if hasattr(ti, "get_first_reschedule_date"):
        count: Any = dict(context).get("task_reschedule_count")
        return ti.get_first_reschedule_date(context), int(count or 0)
    return _earlier_starts_in_airflow_2(ti)


def _earlier_starts_in_airflow_2(ti: Any) -> tuple[datetime | None, int]:
    from airflow.models.taskreschedule import TaskReschedule  # noqa: PLC0415 - Airflow 3 has it for itself only
    from airflow.utils.session import create_session  # noqa: PLC0415

    earlier: Any = TaskReschedule
    with create_session() as session:
        starts = [
            row.start_date
            for row in session.scalars(earlier.stmt_for_task_instance(ti, try_number=ti.try_number, descending=False))
        ]
    return (starts[0] if starts else None), len(starts)
