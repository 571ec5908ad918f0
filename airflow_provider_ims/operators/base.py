"""The life of a job in a task, whatever its family."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, BaseOperator, conf

from airflow_provider_ims import metrics
from airflow_provider_ims.exceptions import (
    ImsConfigurationError,
    ImsConnectionNotFoundError,
    ImsError,
    ImsNotFoundError,
    ImsPublishError,
    ImsRecordError,
)
from airflow_provider_ims.hooks.waiting import WaitingHook
from airflow_provider_ims.jobs.arguments import (
    OPTIONAL_SWITCH,
    SWITCH,
    AllArguments,
    check_choices,
    check_no_templates,
    with_defaults,
)
from airflow_provider_ims.jobs.catalog import cancel_action, check_region, query_action
from airflow_provider_ims.jobs.durable import RecoveryPoint, SubmissionStore
from airflow_provider_ims.jobs.outcome import OUTCOME, TRIGGER_FAILED, JobOutcome, finish, unreadable_event
from airflow_provider_ims.jobs.polling import MAX_POLL_INTERVAL, POLL_INTERVAL, TIMEOUT, Duration, WaitOptions
from airflow_provider_ims.jobs.retry import OnUnknownSubmit, for_airflow
from airflow_provider_ims.jobs.submission import SubmissionRequest
from airflow_provider_ims.jobs.types import ResultKind
from airflow_provider_ims.links.ims import ImsJobLink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Unpack

    from airflow.providers.common.compat.sdk import BaseOperatorLink, Context, XComArg

    from airflow_provider_ims.jobs.argument_types import BaseOperatorArguments, JobPartial, Template
    from airflow_provider_ims.jobs.polling import JobWait
    from airflow_provider_ims.jobs.submission import SubmissionRecord
    from airflow_provider_ims.jobs.types import JobType, Submission


# The arguments that are not templates, and the values that some may have.
_DURATIONS = ("poll_interval", "max_poll_interval", "timeout")
_CHOICES: dict[str, Any] = {
    "wait_for_completion": OPTIONAL_SWITCH,
    "deferrable": OPTIONAL_SWITCH,
    "durable": SWITCH,
    "cancel_on_kill": SWITCH,
    "on_unknown_submit": (("fail", "resubmit"), "'fail' or 'resubmit'"),
}


class ImsJobBaseOperator(BaseOperator):
    """Submit a job of one family and, if requested, wait for it.

    A subclass sets its ``job_type``, whose row says which arguments become which parameters of the action.

    The return value is the JobId, waited or not; the XCom ``job_id`` has it too and ``request_id`` the service's id of
    the submission, both pushed before the wait. A wait that ends well pushes the result of the job, under the name that
    its family gives it.

    :param wait_for_completion: whether to wait for the job's end; None means no, unless ``deferrable=True`` is given
    :param deferrable: whether to wait in the triggerer, without a worker slot; None takes ``default_deferrable`` of
        Airflow's section ``[operators]``
    :param poll_interval: pause between the first polls, in seconds. Pauses grow to a tenth of the time waited, and are
        shortened by up to a tenth at random.
    :param max_poll_interval: longest pause between two polls, in seconds
    :param timeout: how long to wait, in seconds or as a timedelta. An earlier ``execution_timeout`` counts instead.
    :param durable: whether a retry resumes the job that an earlier attempt has submitted, instead of paying for another
        one. Clearing the task starts over. Needs Airflow 3.3; before, every attempt submits.
    :param on_unknown_submit: what to do if it is unknown whether a submission created a job, because its response was
        lost or its worker died: ``fail`` ends the task without a retry, ``resubmit`` lets the next attempt submit again
        and perhaps pay twice
    :param region: region of the job; None takes the connection's (templated)
    :param ims_conn_id: id of the Airflow connection (templated)
    :param kwargs: those of :class:`~airflow.sdk.BaseOperator`
    """

    job_type: JobType
    cancel_on_kill: bool = False
    """Whether to cancel the job when the task is killed; an argument of families that can be cancelled."""

    __signature__ = AllArguments()
    template_fields: Sequence[str] = ("region", "ims_conn_id")
    region: Template[str | None]
    ims_conn_id: Template[str]
    operator_extra_links: Sequence[BaseOperatorLink] = (ImsJobLink(),)
    ui_color = "#fff1e6"

    if TYPE_CHECKING:

        @property
        def output(self) -> Any:
            """What stands for the value in other tasks: their functions are typed with the value, not with XComArg."""

    def __init__(
        self,
        *,
        wait_for_completion: bool | None = None,
        deferrable: bool | None = None,
        poll_interval: Duration = POLL_INTERVAL,
        max_poll_interval: Duration = MAX_POLL_INTERVAL,
        timeout: Duration = TIMEOUT,
        durable: bool = True,
        on_unknown_submit: OnUnknownSubmit = "fail",
        region: str | XComArg | None = None,
        ims_conn_id: str | XComArg = WaitingHook.default_conn_name,
        **kwargs: Unpack[BaseOperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval
        self.timeout = timeout
        self.durable = durable
        self.on_unknown_submit = on_unknown_submit
        self.region = region
        self.ims_conn_id = ims_conn_id
        self._job_id: str | None = None
        self._store: SubmissionStore | None = None
        self._check(vars(self))

    if TYPE_CHECKING:
        partial: Callable[..., JobPartial]
    else:

        @classmethod
        def partial(cls, **kwargs: Any) -> Any:
            """Check what is not mapped when the DAG file is parsed; the rest is checked when a mapped task starts."""
            partial = super().partial(**kwargs)
            cls._check(with_defaults(partial.kwargs), mapped=True)
            return partial

    def job_parameters(self, region: str) -> Mapping[str, Any]:
        """Return the parameters of the submit action, by the vendor's names.

        :param region: region of the call
        :raises ImsConfigurationError: if an argument is missing, or cannot be right
        """
        from airflow_provider_ims.jobs.parameters import submission_parameters  # noqa: PLC0415 - not to parse a DAG file

        return submission_parameters(self.job_type, vars(self), region=region)

    # ---- the life of a job

    def execute(self, context: Context) -> str:
        """Submit the job or resume that of an earlier attempt, wait for it if requested, and return its JobId."""
        with self._safe_retries(context) as store:
            hook = self._hook()
            request, options = self._validate(hook, store.load_at_start(), context)
            match self._recovery_point(hook, store, request, options, context):
                case RecoveryPoint.NO_RECORD | RecoveryPoint.ENDED, _:
                    current = self._submit(hook, store, request, options)
                case RecoveryPoint.SUBMITTING, _:
                    store.check_unknown(request, resubmit=self.on_unknown_submit == "resubmit")
                    current = self._submit(hook, store, request, options)
                case RecoveryPoint.SUBMITTED, _Current() as current:
                    self.log.info("Resuming %s %s, submitted by %s", self.job_type.name, self._job_id, store.record)
                    metrics.RESUMED.count(job_type=self.job_type.name, region=request.region)
            self._publish(context, current.job, request.region)
            store.write_again()
            if not _waits(vars(self)):
                return current.job.job_id
            wait = current.wait or self._wait_for(current.job, current.since, request, options, context)
            return self._finish(context, store, current.outcome or self._wait(hook, wait, request.region))

    def execute_complete(self, context: Context, event: object = None) -> str:
        """Finish after a deferral: judge the outcome that the trigger reports."""
        with self._safe_retries(context) as store:
            job_id = self._deferred_job_id(context, store)
            outcome = JobOutcome.from_event(event, self.job_type, job_id)
            self.log.info("%s", outcome.summary)
            store.write_again(outcome.job_id)
            return self._finish(context, store, outcome)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral; if the trigger broke or never ran, say which job goes on."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowException as error:
            if next_method != TRIGGER_FAILED:
                raise
            with self._safe_retries(context) as store:
                job_id = self._deferred_job_id(context, store)
                raise unreadable_event(job_id, f"{type(error).__name__}: {error}") from error

    def on_kill(self) -> None:
        """Log which job goes on when the task is killed; cancel the job if that is wanted and possible.

        Airflow leaves the process five seconds more: a job that is not submitted yet will not be.
        """
        unknown = None if self._store is None else self._store.stop()
        if unknown is not None:
            self.log.warning("%s", unknown)
        if self._job_id is not None:
            hook = self._hook()
            hook.leave(self.job_type, self._job_id, cancel=self.cancel_on_kill, log=self.log)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - the provider's signature
        """Return the objects in OSS that the job reads and writes. Airflow's OpenLineage provider calls it.

        :param task_instance: the task instance
        """
        from airflow_provider_ims.jobs.lineage import openlineage_facets  # noqa: PLC0415 - only if it is called

        return openlineage_facets(self.job_type, vars(self))

    # ---- its steps

    @contextmanager
    def _safe_retries(self, context: Context) -> Iterator[SubmissionStore]:
        """Leave to Airflow's retries only the errors that :func:`~airflow_provider_ims.jobs.retry.may_retry` allows."""
        store = self._store = SubmissionStore.open(self, context, self.job_type, durable=self.durable)
        try:
            yield store
        except ImsError as error:
            if not isinstance(error, ImsNotFoundError):
                error.add_advice(store.resume_advice)
            raised = for_airflow(error, store.state, self.on_unknown_submit)
            if raised is error:
                raise
            raise raised from error.__cause__

    def _validate(
        self, hook: WaitingHook, record: SubmissionRecord | None, context: Context
    ) -> tuple[SubmissionRequest, WaitOptions]:
        """Check all arguments before any call, and log which job goes on if they are wrong by now."""
        self._job_id = record.job_id if record else None
        try:
            region = hook.settings.region
            options = self._check(vars(self))
            # Before a record is begun: an error after that would advise to look for a job.
            check_region(self.job_type, region)
            with position_in_errors(context):
                return SubmissionRequest(self.job_type, region, self.job_parameters(region)), options
        except (ImsConfigurationError, ImsConnectionNotFoundError):
            if self._job_id is not None:
                self.log.warning("Job %s goes on, and is billed. It was submitted by %s", self._job_id, record)
            raise

    @classmethod
    def family(cls, given: Mapping[str, Any]) -> JobType:  # noqa: ARG003 - for a class with an argument for it
        """Return the job family of a task.

        :param given: arguments by name
        """
        return cls.job_type

    @classmethod
    def _check(cls, given: Mapping[str, Any], *, mapped: bool = False) -> WaitOptions:
        """Check the arguments that are not templates, alone and together.

        :param given: arguments by name; a missing one has its default
        :param mapped: whether further arguments may follow when the task is mapped
        """
        job_type = cls.family(given)
        option = job_type.empty_result_option
        accept_empty_after = None if option is None else given.get(option)
        check_no_templates(given, [*_CHOICES, *_DURATIONS, *([option] if option else [])])
        options = WaitOptions.checked(
            job_type,
            poll_interval=given.get("poll_interval", POLL_INTERVAL),
            max_poll_interval=given.get("max_poll_interval", MAX_POLL_INTERVAL),
            timeout=given.get("timeout", TIMEOUT),
            accept_empty_after=accept_empty_after,
            execution_timeout=given.get("execution_timeout"),
        )
        check_choices(given, _CHOICES)
        waits = _waits(given)
        if accept_empty_after is not None and not waits:
            hint = " If you map one of them, map both." if mapped else ""
            raise ImsConfigurationError(
                f"{option} is given, and the task does not wait. Give deferrable=True or wait_for_completion=True too, "
                f"or leave it out.{hint}"
            )
        if waits:
            query_action(job_type)
        if given.get("cancel_on_kill"):
            cancel_action(job_type)
        return options

    def _recovery_point(
        self,
        hook: WaitingHook,
        store: SubmissionStore,
        request: SubmissionRequest,
        options: WaitOptions,
        context: Context,
    ) -> tuple[RecoveryPoint, _Current | None]:
        """Return what this attempt finds, and the job to resume; a submitted job is polled once."""
        point = store.recovery_point(request)
        record = store.record
        if point is not RecoveryPoint.SUBMITTED or record is None or record.job is None:
            return point, None
        wait = self._wait_for(record.job, record.at, request, options, context, resumed_at=record.resumed_at)
        outcome = hook.poll_once(wait) if self.job_type.query_action else None
        if outcome is not None and outcome.is_failure_of_the_job:
            self.log.warning(
                "Submitting a new job: %s has %s. It was submitted by %s", wait.job_id, outcome.kind, record
            )
            return RecoveryPoint.ENDED, None
        return point, _Current(record.job, record.at, wait, outcome)

    def _submit(
        self, hook: WaitingHook, store: SubmissionStore, request: SubmissionRequest, options: WaitOptions
    ) -> _Current:
        if self.durable and not store.is_durable:
            self.log.info(
                "Airflow before 3.3 keeps nothing from attempt to attempt: if this one dies, a retry submits again"
            )
        request = store.start(request, wait=options.timeout)
        job = hook.submit(self.job_type, request.params, observer=store)
        self._job_id = job.job_id
        # Logged first: if the XCom fails, the log still has the id of a job that is billed.
        self.log.info(
            "Submitted %s %s for %s in %s (RequestId %s)",
            self.job_type.name,
            job.job_id,
            request.subject or "its input",
            request.region,
            job.request_id,
        )
        return _Current(job, time.time())

    def _wait_for(
        self,
        job: Submission,
        since: float,
        request: SubmissionRequest,
        options: WaitOptions,
        context: Context,
        *,
        resumed_at: float | None = None,
    ) -> JobWait:
        return options.wait_for(
            self.job_type,
            job.job_id,
            region=request.region,
            subject=request.subject,
            since=since,
            resumed_at=resumed_at,
            started=context["ti"].start_date,
            execution_timeout=self.execution_timeout,
            log=self.log,
        )

    def _wait(self, hook: WaitingHook, wait: JobWait, region: str) -> JobOutcome:
        """Wait on this worker and return the outcome, or hand the wait over to the triggerer."""
        wait.announce()
        if not self._defers():
            return hook.poll_until_done(wait)
        # A resumed job was polled already, to see whether it has failed.
        outcome = None if wait.polls else hook.poll_once(wait)
        if outcome is None:
            from airflow_provider_ims.triggers.job import defer  # noqa: PLC0415 - only for tasks that defer

            defer(self, wait, ims_conn_id=self.ims_conn_id, region=region, cancel_on_kill=self.cancel_on_kill)
        return outcome

    def _hook(self) -> WaitingHook:
        return WaitingHook(ims_conn_id=self.ims_conn_id, region=self.region)

    def _defers(self) -> bool:
        if self.deferrable is None:
            return bool(conf.getboolean("operators", "default_deferrable", fallback=False))
        return self.deferrable

    def _finish(self, context: Context, store: SubmissionStore, outcome: JobOutcome) -> str:
        if outcome.is_failure_of_the_job:
            store.delete()
        name = self.job_type.result_name
        result = finish(outcome, self.job_type)
        xcoms = {} if self.job_type.result_kind is ResultKind.NONE else {name: result}
        self._push(context, outcome.job_id, {**xcoms, OUTCOME: outcome.verdict(self.job_type)}, what=name)
        return outcome.job_id

    def _publish(self, context: Context, job: Submission, region: str) -> None:
        link = ImsJobLink.value(self.job_type, region=region, job_id=job.job_id)
        xcoms = {"job_id": job.job_id, "request_id": job.request_id, ImsJobLink.key: link, **job.results}
        self._push(context, job.job_id, xcoms, what="id")

    def _push(self, context: Context, job_id: str, xcoms: Mapping[str, Any], *, what: str) -> None:
        if not self.do_xcom_push:
            return
        try:
            for key, value in xcoms.items():
                context["ti"].xcom_push(key=key, value=value)
        except Exception as error:
            raise ImsPublishError(
                f"Job {job_id} is submitted and will be billed, and its {what} could not be pushed to XCom: {error}.",
                advice="If Airflow does not retry this, use the JobId by hand: clearing the task submits a second job.",
                job_id=job_id,
            ) from error

    def _deferred_job_id(self, context: Context, store: SubmissionStore) -> str | None:
        """Return the JobId from before the deferral, None if it is not known."""
        store.note_job()
        try:
            record = store.load()
        except ImsRecordError as error:
            # The event decides: nothing may come between a paid job and its result.
            self.log.warning("%s", error.problem)
            record = None
        if record is not None and record.job_id is not None:
            return record.job_id
        ti = context["ti"]
        try:
            job_id = ti.xcom_pull(task_ids=self.task_id, key="job_id", map_indexes=ti.map_index)
        except Exception:  # noqa: BLE001 - the event has it too: nothing may come between a paid job and its result
            return None
        return job_id if isinstance(job_id, str) else None


@contextmanager
def position_in_errors(context: Context) -> Iterator[None]:
    """Let an error about an argument say which of the mapped tasks has it."""
    try:
        yield
    except ImsConfigurationError as error:
        map_index = getattr(context.get("ti"), "map_index", -1)
        if map_index < 0:
            raise
        problem = f"Mapped task {map_index}: {error.problem}"
        raise ImsConfigurationError(problem, advice=error.advice) from error.__cause__


def _waits(given: Mapping[str, Any]) -> bool:
    """Whether a task with these arguments waits; ``deferrable=None`` says how to wait, not that it does."""
    wait_for_completion: bool | None = given.get("wait_for_completion")
    return bool(given.get("deferrable")) if wait_for_completion is None else wait_for_completion


@dataclass(frozen=True, slots=True)
class _Current:
    """The job of this attempt and since when it runs; if it was polled already, the wait and how that has ended."""

    job: Submission
    since: float
    wait: JobWait | None = None
    outcome: JobOutcome | None = None
