"""Waits for a job that another task submitted."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException, BaseSensorOperator, conf

from airflow_provider_ims.exceptions import ImsError
from airflow_provider_ims.hooks.waiting import WaitingHook
from airflow_provider_ims.jobs.arguments import (
    OPTIONAL_SWITCH,
    SWITCH,
    check_choices,
    check_no_templates,
    with_defaults,
)
from airflow_provider_ims.jobs.catalog import (
    DEFAULT_JOB_TYPE,
    check_job_id,
    check_region,
    find_job_type,
    query_action,
)
from airflow_provider_ims.jobs.outcome import OUTCOME, TRIGGER_FAILED, JobOutcome, finish, unreadable_event
from airflow_provider_ims.jobs.polling import MAX_POLL_INTERVAL, POLL_INTERVAL, TIMEOUT, Duration, WaitOptions
from airflow_provider_ims.links.ims import ImsJobLink

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Unpack

    from airflow.providers.common.compat.sdk import BaseOperatorLink, Context, XComArg

    from airflow_provider_ims.jobs.argument_types import BaseSensorArguments, JobPartial, JobSensorArguments, Template
    from airflow_provider_ims.jobs.polling import JobWait
    from airflow_provider_ims.jobs.types import JobType


# The arguments that are not templates, and the values that some may have. Airflow checks mode.
_DURATIONS = ("poke_interval", "max_wait", "timeout")
_CHOICES: dict[str, Any] = {
    "deferrable": OPTIONAL_SWITCH,
    "exponential_backoff": SWITCH,
    "soft_fail": SWITCH,
}


class ImsJobSensor(BaseSensorOperator):
    """Wait for a job that another task submitted, and return its result.

    The return value is the result of the job, and so is the XCom of the name that its family gives it. A result that is
    a text is the empty text if the job ended without one.

    Modes: ``deferrable=True`` waits in the triggerer, ``mode="reschedule"`` comes back to a worker for each poll,
    ``mode="poke"`` (the default) keeps its worker slot. Failed polls that may pass (throttling, errors of the service,
    the network) do not end the wait in any of them, so that ``silent_fail`` has no effect. With ``soft_fail`` or
    ``never_fail`` the task is skipped instead of failed.

    :param job_id: the job's id, such as ``submit.output`` (templated)
    :param job_type: the job family (templated)
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
    :param region: region of the job; None takes the connection's (templated)
    :param ims_conn_id: id of the Airflow connection (templated)
    :param kwargs: those of :class:`~airflow.sdk.BaseSensorOperator`
    :raises ImsJobFailedError: if the service says that the job failed
    :raises ImsJobCancelledError: if the service says that the job was cancelled
    :raises ImsJobTimeoutError: if the job was not seen to end in time
    :raises ImsApiError: if the service refuses the query; the subclass says why
    """

    template_fields: Sequence[str] = ("job_id", "job_type", "region", "ims_conn_id")
    job_id: Template[str]
    job_type: Template[str]
    region: Template[str | None]
    ims_conn_id: Template[str]
    operator_extra_links: Sequence[BaseOperatorLink] = (ImsJobLink(),)
    ui_color = "#fff1e6"

    family: ClassVar[JobType | None] = None
    """The job family of a subclass that waits for no other."""

    if TYPE_CHECKING:

        @property
        def output(self) -> Any:
            """What stands for the value in other tasks: their functions are typed with the value, not with XComArg."""

    def __init__(
        self,
        *,
        job_id: str | XComArg,
        job_type: str | XComArg = DEFAULT_JOB_TYPE,
        deferrable: bool | None = None,
        mode: Literal["poke", "reschedule"] = "poke",
        poke_interval: Duration = POLL_INTERVAL,
        exponential_backoff: bool = True,
        max_wait: Duration | None = MAX_POLL_INTERVAL,
        timeout: Duration = TIMEOUT,
        soft_fail: bool = False,
        region: str | XComArg | None = None,
        ims_conn_id: str | XComArg = WaitingHook.default_conn_name,
        **kwargs: Unpack[BaseSensorArguments],
    ) -> None:
        # Airflow's message about a template would not say that it is one.
        given: dict[str, Any] = {
            "deferrable": deferrable,
            "mode": mode,
            "poke_interval": poke_interval,
            "exponential_backoff": exponential_backoff,
            "max_wait": max_wait,
            "timeout": timeout,
            "soft_fail": soft_fail,
        }
        check_no_templates(given, given)
        super().__init__(
            mode=mode,
            poke_interval=poke_interval,
            exponential_backoff=exponential_backoff,
            max_wait=max_wait,
            timeout=timeout,
            soft_fail=soft_fail,
            **kwargs,
        )
        self.job_id = job_id
        self.job_type = job_type
        self.deferrable = deferrable
        self.region = region
        self.ims_conn_id = ims_conn_id
        self._check(vars(self), self.family)

    if TYPE_CHECKING:

        @classmethod
        def partial(cls, **kwargs: Unpack[JobSensorArguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""
    else:

        @classmethod
        def partial(cls, **kwargs: Any) -> Any:
            """Check what is not mapped when the DAG file is parsed; the rest is checked when a mapped task starts."""
            partial = super().partial(**kwargs)
            cls._check(with_defaults(partial.kwargs), cls.family)
            return partial

    def execute(self, context: Context) -> Any:
        """Wait for the job, and return its result."""
        with self._soft_fail():
            # Airflow 2 does not say so here.
            hook = self._hook(is_first_start=not dict(context).get("task_reschedule_count"))
            wait = self._start(context, hook.settings.region)
            if self._keeps_its_slot:
                return self._finish(context, hook.poll_until_done(wait))
            outcome = hook.poll_once(wait, until_explained=not self._defers)
            if outcome is not None:
                return self._finish(context, outcome)
        return self._free_slot(wait, hook.settings.region)

    def execute_complete(self, context: Context, event: object = None) -> Any:
        """Finish after a deferral: judge the outcome that the trigger reports."""
        with self._soft_fail():
            outcome = JobOutcome.from_event(event, self._job_type, self.job_id)
            self.log.info("%s", outcome.summary)
            return self._finish(context, outcome)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral; if the trigger broke or never ran, raise the error for it."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSkipException:
            raise
        except AirflowException as error:
            if next_method != TRIGGER_FAILED:
                raise
            with self._soft_fail():
                raise unreadable_event(self.job_id, f"{type(error).__name__}: {error}") from error

    def on_kill(self) -> None:
        """Log which job goes on when the task is killed; a sensor never cancels what it has not submitted."""
        hook = self._hook()
        hook.leave(self.job_type, self.job_id, cancel=False, log=self.log)

    @contextmanager
    def _soft_fail(self) -> Iterator[None]:
        """Skip the task if an error is not to fail it: Airflow's own loop does so for some classes only."""
        try:
            yield
        except ImsError as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise

    def _hook(self, *, is_first_start: bool = True) -> WaitingHook:
        return WaitingHook(ims_conn_id=self.ims_conn_id, region=self.region, is_first_start=is_first_start)

    @property
    def _job_type(self) -> JobType:
        return find_job_type(self.job_type)

    @property
    def _defers(self) -> bool:
        return _defers(vars(self))

    @property
    def _keeps_its_slot(self) -> bool:
        return not self._defers and not self.reschedule

    def _start(self, context: Context, region: str) -> JobWait:
        """Check all arguments before any call, and return the wait."""
        job_type = self._job_type
        check_job_id(job_type, self.job_id)
        check_region(job_type, region)
        query_action(job_type)
        options = self._check(vars(self), job_type)
        comes_back = self.reschedule and not self._defers
        if self.do_xcom_push:
            link = ImsJobLink.value(job_type, region=region, job_id=self.job_id)
            context["ti"].xcom_push(key=ImsJobLink.key, value=link)
        first, polls = _earlier_starts(context) if comes_back else (None, 0)
        wait = options.wait_for(
            job_type,
            self.job_id,
            region=region,
            since=first.timestamp() if first else time.time(),
            started=context["ti"].start_date,
            execution_timeout=None if comes_back else self.execution_timeout,
            polls=polls,
            log=self.log,
        )
        wait.announce()
        return wait

    @classmethod
    def _check(cls, given: Mapping[str, Any], job_type: JobType | None) -> WaitOptions:
        """Check the arguments that are not templates, alone and together.

        :param given: arguments by name; a missing one has its default
        :param job_type: the family; None if it is not known before the task runs
        """
        option = None if job_type is None else job_type.empty_result_option
        check_no_templates(given, [*_CHOICES, *_DURATIONS, "mode", *([option] if option else [])])
        check_choices(given, _CHOICES)
        interval = given.get("poke_interval", POLL_INTERVAL)
        timeout = given.get("timeout", TIMEOUT)
        longest = given.get("max_wait", MAX_POLL_INTERVAL) or timeout
        # Airflow counts it for each start of a sensor that comes back.
        comes_back = given.get("mode") == "reschedule" and not _defers(given)
        return WaitOptions.checked(
            job_type or find_job_type(DEFAULT_JOB_TYPE),
            poll_interval=interval,
            max_poll_interval=longest if given.get("exponential_backoff", True) else interval,
            timeout=timeout,
            accept_empty_after=None if option is None else given.get(option),
            execution_timeout=None if comes_back else given.get("execution_timeout"),
            interval_name="poke_interval",
            max_name="max_wait",
        )

    def _free_slot(self, wait: JobWait, region: str) -> NoReturn:
        """Free the worker slot until the next poll."""
        if self._defers:
            from airflow_provider_ims.triggers.job import defer  # noqa: PLC0415 - only for tasks that defer

            defer(self, wait, ims_conn_id=self.ims_conn_id, region=region)
        raise AirflowRescheduleException(datetime.now(UTC) + timedelta(seconds=wait.pause(time.time())))

    def _finish(self, context: Context, outcome: JobOutcome) -> Any:
        job_type = self._job_type
        result = finish(outcome, job_type)
        if self.do_xcom_push:
            context["ti"].xcom_push(key=job_type.result_name, value=result)
            context["ti"].xcom_push(key=OUTCOME, value=outcome.verdict(job_type))
        return result


def _defers(given: Mapping[str, Any]) -> bool:
    deferrable: bool | None = given.get("deferrable")
    if deferrable is None:
        return bool(conf.getboolean("operators", "default_deferrable", fallback=False))
    return deferrable


def _earlier_starts(context: Context) -> tuple[datetime | None, int]:
    """Return when this attempt of a sensor that comes back started first, and how often it has started before."""
    ti: Any = context["ti"]
    if hasattr(ti, "get_first_reschedule_date"):
        count: Any = dict(context).get("task_reschedule_count")
        first: Any = ti.get_first_reschedule_date(context)
        # In `dag.test()` of Airflow 3.0 it is a string.
        return (datetime.fromisoformat(first) if isinstance(first, str) else first), int(count or 0)
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
