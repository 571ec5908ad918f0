"""The life of a job in a task, whatever its family."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import AirflowException, BaseOperator, conf

from airflow_provider_ims.exceptions import (
    ImsConfigurationError,
    ImsError,
    ImsJobTimeoutError,
    ImsPublishError,
    ImsSubmitUnknownError,
    without_retry,
)
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.durable import JobRecord
from airflow_provider_ims.jobs.outcome import TRIGGER_FAILED, Ending, finish, no_report
from airflow_provider_ims.jobs.polling import MAX_POLL_INTERVAL, POLL_INTERVAL, TIMEOUT, Duration, Patience
from airflow_provider_ims.jobs.submission import Request
from airflow_provider_ims.links.ims import ImsJobLink

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow.providers.common.compat.sdk import BaseOperatorLink, Context

    from airflow_provider_ims.jobs.polling import Wait
    from airflow_provider_ims.jobs.types import JobType, Submission


class ImsJobBaseOperator(BaseOperator):
    """Submit a job of one family and, if asked to, wait for it.

    A subclass names its ``job_type``, and turns its arguments into the action's parameters in ``job_parameters``.

    The return value is the JobId, waited or not; the XCom ``job_id`` has it too and ``request_id`` the service's id of
    the submission, both pushed before the wait. A wait that ends well pushes the job's result (``watermark`` for
    watermarks).

    :param wait_for_completion: whether to wait for the job's end; None means no, unless ``deferrable=True`` is given
    :param deferrable: whether to wait in the triggerer, without a worker slot; None takes ``default_deferrable`` of
        Airflow's section ``[operators]``
    :param poll_interval: pause between the first polls, in seconds. Pauses grow to a tenth of the time waited, and are
        shortened by up to a tenth at random.
    :param max_poll_interval: longest pause between two polls, in seconds
    :param timeout: how long to wait, in seconds or as a timedelta. An earlier ``execution_timeout`` counts instead.
    :param no_watermark_after: for jobs without a state: how long silence is to last, from the submission on, to mean
        that there is no watermark; in seconds or as a timedelta. The task then succeeds, and the text is empty. By
        default silence never means that, and ends in ``ImsJobTimeoutError``.
    :param durable: whether a retry goes on with the job that an earlier attempt has submitted, instead of paying for
        another one. Clearing the task starts over. Needs Airflow 3.3; before, every attempt submits.
    :param on_unknown_submit: what follows when nobody knows whether a submission created a job, because its answer was
        lost or its worker died: ``fail`` ends the task without a retry, ``resubmit`` lets the next attempt submit
        again and perhaps pay twice
    :param region: region of the job; None takes the connection's (templated)
    :param ims_conn_id: id of the Airflow connection (templated)
    """

    job_type: ClassVar[JobType]
    cancel_on_kill: bool = False
    """Whether to cancel the job when the task is killed; families that can be cancelled make it an argument."""

    template_fields: Sequence[str] = ("region", "ims_conn_id")
    operator_extra_links: Sequence[BaseOperatorLink] = (ImsJobLink(),)
    ui_color = "#fff1e6"

    def __init__(
        self,
        *,
        wait_for_completion: bool | None = None,
        deferrable: bool | None = None,
        poll_interval: Duration = POLL_INTERVAL,
        max_poll_interval: Duration = MAX_POLL_INTERVAL,
        timeout: Duration = TIMEOUT,
        no_watermark_after: Duration | None = None,
        durable: bool = True,
        on_unknown_submit: Literal["fail", "resubmit"] = "fail",
        region: str | None = None,
        ims_conn_id: str = ImsHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval
        self.timeout = timeout
        self.no_watermark_after = no_watermark_after
        self.durable = durable
        self.on_unknown_submit = on_unknown_submit
        self.region = region
        self.ims_conn_id = ims_conn_id
        self._job_id: str | None = None
        self._record: JobRecord | None = None

    def job_parameters(self, region: str) -> Mapping[str, Any]:
        """Return the parameters of the submit action, by the vendor's names.

        :param region: region of the call
        :raises ImsConfigurationError: if an argument cannot be right
        """
        raise NotImplementedError

    def execute(self, context: Context) -> str:
        """Submit the job, or go on with that of an earlier attempt; wait for it if asked to, and return its JobId."""
        record = self._record = JobRecord.of(self, context, self.job_type, durable=self.durable)
        hook = ImsHook(ims_conn_id=self.ims_conn_id, region=self.region)
        with self._earlier_job_in_sight(record):
            region = hook.settings.region
            patience = self._patience()
            self._check_choices()
            request = Request(self.job_type.submit_action, region, self.job_parameters(region))
        earlier = self._earlier_job(hook, record, request, patience, context)
        job = earlier[0] if earlier else self._submit(hook, record, request, patience)
        submitted = time.time()
        with self._no_second_bill(record):
            self._publish(context, job, region)
            if not self._waits():
                return job.job_id
            _, wait, ending = earlier or (job, self._wait_for(job.job_id, submitted, patience, context), None)
            if ending is None:
                wait.announce()
                ending = self._look_on(hook, wait, region)
            return self._finish(context, record, ending)

    def execute_complete(self, context: Context, event: object = None) -> str:
        """Go on after a deferral: judge what the trigger has seen."""
        record = JobRecord.of(self, context, self.job_type, durable=self.durable)
        with self._no_second_bill(record):
            return self._finish(context, record, Ending.from_event(event, self._job_waited_for(context, record)))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral; where the trigger broke or never ran, say which job goes on."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowException as error:
            if next_method != TRIGGER_FAILED:
                raise
            record = JobRecord.of(self, context, self.job_type, durable=self.durable)
            with self._no_second_bill(record):
                why = f"{type(error).__name__}: {error}"
                raise no_report(self._job_waited_for(context, record), why) from error

    def on_kill(self) -> None:
        """Say what goes on when the task is killed, and cancel the job where that can be done.

        Airflow leaves the process five seconds more: a job that is not submitted yet is called off.
        """
        if self._record is not None:
            self._record.is_called_off = True
        if self._job_id is not None:
            hook = ImsHook(ims_conn_id=self.ims_conn_id, region=self.region)
            hook.abandon(self.job_type, self._job_id, cancel=self.cancel_on_kill, log=self.log)

    # ---- to the job

    @contextmanager
    def _earlier_job_in_sight(self, record: JobRecord) -> Iterator[None]:
        """Do not lose sight of the job of an earlier attempt where connection or arguments are wrong by now."""
        before = record.current
        self._job_id = before.job_id if before else None
        try:
            yield
        except ImsConfigurationError:
            if self._job_id is not None:
                self.log.warning("Job %s goes on, and is billed. It was submitted by %s", self._job_id, before)
            raise

    def _patience(self) -> Patience:
        return Patience.checked(
            self.job_type,
            poll_interval=self.poll_interval,
            max_poll_interval=self.max_poll_interval,
            timeout=self.timeout,
            no_watermark_after=self.no_watermark_after,
            execution_timeout=self.execution_timeout,
        )

    def _check_choices(self) -> None:
        for name, choices, hint in (
            ("wait_for_completion", (True, False, None), "True or False"),
            ("deferrable", (True, False, None), "True or False"),
            ("durable", (True, False), "True or False"),
            ("on_unknown_submit", ("fail", "resubmit"), "'fail' or 'resubmit'"),
        ):
            value = getattr(self, name)
            if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
                raise ImsConfigurationError(f"{name} is {value!r}. Give {hint}, or leave it out.")
        if self.no_watermark_after is not None and not self._waits():
            raise ImsConfigurationError(
                "no_watermark_after is given, and the task does not wait. Give deferrable=True or "
                "wait_for_completion=True too, or leave it out."
            )

    def _earlier_job(
        self, hook: ImsHook, record: JobRecord, request: Request, patience: Patience, context: Context
    ) -> tuple[Submission, Wait, Ending | None] | None:
        """Return the job of an earlier attempt, the wait for it and its end, if it has one; None if there is none.

        :raises ImsSubmitUnknownError: if an earlier attempt may have submitted a job, and it is not to be done again
        """
        before = record.job_to_go_on_with(request, resubmit_unknown=self.on_unknown_submit == "resubmit")
        if before is None or before.job is None:
            return None
        wait = self._wait_for(before.job.job_id, before.at, patience, context)
        ending = hook.glance(wait)
        if ending is not None and ending.is_failure_of_the_job:
            self.log.warning("Submitting a new job: %s has %s. It was submitted by %s", wait.job_id, ending.end, before)
            return None
        self.log.info("Going on with %s %s, submitted by %s", self.job_type.name, wait.job_id, before)
        return before.job, wait, ending

    def _submit(self, hook: ImsHook, record: JobRecord, request: Request, patience: Patience) -> Submission:
        if self.durable and not record.outlives_the_attempt:
            self.log.info(
                "Airflow before 3.3 keeps nothing from attempt to attempt: should this one die, a retry submits again"
            )
        request = record.begin(request, wait=patience.timeout)
        try:
            job = hook.submit(self.job_type, request.params, witness=record)
        except ImsSubmitUnknownError as unknown:
            if self.on_unknown_submit == "resubmit" or request.client_token is not None:
                raise
            raise without_retry(unknown) from None
        self._job_id = job.job_id
        # Logged first: should the XCom fail, the log still has the id of a job that is billed.
        self.log.info(
            "Submitted %s %s for %s in %s (RequestId %s)",
            self.job_type.name,
            job.job_id,
            request.params.get("Input", "its input"),
            request.region,
            job.request_id,
        )
        return job

    def _wait_for(self, job_id: str, since: float, patience: Patience, context: Context) -> Wait:
        return patience.wait_for(
            self.job_type,
            job_id,
            since=since,
            started=context["ti"].start_date,
            execution_timeout=self.execution_timeout,
            log=self.log,
        )

    def _look_on(self, hook: ImsHook, wait: Wait, region: str) -> Ending:
        """Wait for the job on this worker and return how that ended, or hand the wait over to the triggerer."""
        if not self._defers():
            return hook.watch(wait)
        # Not twice: the job of an earlier attempt was looked at to see whether it has failed.
        ending = None if wait.polls else hook.glance(wait)
        if ending is None:
            from airflow_provider_ims.triggers.job import defer  # noqa: PLC0415 - only for who defers

            defer(self, wait, ims_conn_id=self.ims_conn_id, region=region, cancel_on_kill=self.cancel_on_kill)
        return ending

    # ---- from the job

    @contextmanager
    def _no_second_bill(self, record: JobRecord) -> Iterator[None]:
        """Leave to Airflow's retries only what does not pay for a second job."""
        try:
            yield
        except ImsJobTimeoutError:  # never retried
            raise
        except ImsError as error:
            if record.retry_is_safe:
                raise
            raise without_retry(error) from error.__cause__

    def _waits(self) -> bool:
        return bool(self.deferrable) if self.wait_for_completion is None else self.wait_for_completion

    def _defers(self) -> bool:
        if self.deferrable is None:
            return bool(conf.getboolean("operators", "default_deferrable", fallback=False))
        return self.deferrable

    def _finish(self, context: Context, record: JobRecord, ending: Ending) -> str:
        if ending.is_failure_of_the_job:
            record.forget()
        name = self.job_type.result_name
        self._hand_on(context, ending.job_id, {name: finish(ending)}, what=name)
        return ending.job_id

    def _publish(self, context: Context, job: Submission, region: str) -> None:
        link = ImsJobLink.value(self.job_type, region=region, job_id=job.job_id)
        xcoms = {"job_id": job.job_id, "request_id": job.request_id, ImsJobLink.key: link}
        self._hand_on(context, job.job_id, xcoms, what="id")

    def _hand_on(self, context: Context, job_id: str, xcoms: Mapping[str, Any], *, what: str) -> None:
        if not self.do_xcom_push:
            return
        try:
            for key, value in xcoms.items():
                context["ti"].xcom_push(key=key, value=value)
        except Exception as error:
            raise ImsPublishError(
                f"Job {job_id} is submitted and will be billed, and its {what} could not be pushed to XCom: {error}.",
                advice="Where Airflow does not retry this, go on with the JobId by hand: clearing the task submits a "
                "second job.",
                job_id=job_id,
            ) from error

    def _job_waited_for(self, context: Context, record: JobRecord) -> str | None:
        """Return the JobId from before the deferral, None where it cannot be told."""
        if record.current is not None and record.current.job_id is not None:
            return record.current.job_id
        ti = context["ti"]
        try:
            job_id = ti.xcom_pull(task_ids=self.task_id, key="job_id", map_indexes=ti.map_index)
        except Exception:  # noqa: BLE001 - the event has it too: nothing may come between a paid job and its result
            return None
        return job_id if isinstance(job_id, str) else None
