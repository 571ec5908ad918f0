"""The life of a job in a task, whatever its family."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowException, BaseOperator, conf

from airflow_provider_ims.endings import TRIGGER_FAILED, Ending, finish, no_report
from airflow_provider_ims.exceptions import ImsConfigurationError, ImsPublishError
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.links.ims import ImsJobLink
from airflow_provider_ims.polling import MAX_POLL_INTERVAL, POLL_INTERVAL, TIMEOUT, Duration, Patience

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.common.compat.sdk import BaseOperatorLink, Context

    from airflow_provider_ims.jobs import JobType, Submission


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
        self.region = region
        self.ims_conn_id = ims_conn_id
        self._job_id: str | None = None

    def job_parameters(self, region: str) -> Mapping[str, Any]:
        """Return the parameters of the submit action, by the vendor's names.

        :param region: region of the call
        :raises ImsConfigurationError: if an argument cannot be right
        """
        raise NotImplementedError

    def execute(self, context: Context) -> str:
        """Submit the job, wait for it if asked to, and return its JobId."""
        hook = ImsHook(ims_conn_id=self.ims_conn_id, region=self.region)
        region = hook.settings.region
        patience = Patience.checked(
            self.job_type,
            poll_interval=self.poll_interval,
            max_poll_interval=self.max_poll_interval,
            timeout=self.timeout,
            no_watermark_after=self.no_watermark_after,
            execution_timeout=self.execution_timeout,
        )
        self._check_how_to_wait()
        params = self.job_parameters(region)
        job = hook.submit(self.job_type, params)
        self._job_id = job.job_id
        submitted = time.time()
        # Logged first: should the XCom fail, the log still has the id of a job that is billed.
        self.log.info(
            "Submitted %s %s for %s in %s (RequestId %s)",
            self.job_type.name,
            job.job_id,
            params.get("Input", "its input"),
            region,
            job.request_id,
        )
        self._publish(context, job, region)
        if not self._waits():
            return job.job_id
        wait = patience.wait_for(
            self.job_type,
            job.job_id,
            since=submitted,
            started=context["ti"].start_date,
            execution_timeout=self.execution_timeout,
            log=self.log,
        )
        if not self._defers():
            return self._finish(context, hook.watch(wait))
        ending = hook.glance(wait)
        if ending is None:
            from airflow_provider_ims.triggers.job import defer  # noqa: PLC0415 - only for who defers

            defer(self, wait, ims_conn_id=self.ims_conn_id, region=region, cancel_on_kill=self.cancel_on_kill)
        return self._finish(context, ending)

    def execute_complete(self, context: Context, event: object = None) -> str:
        """Go on after a deferral: judge what the trigger has seen."""
        return self._finish(context, Ending.from_event(event, self._published_job_id(context)))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral; where the trigger broke or never ran, say which job goes on."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowException as error:
            if next_method != TRIGGER_FAILED:
                raise
            raise no_report(self._published_job_id(context), f"{type(error).__name__}: {error}") from error

    def on_kill(self) -> None:
        """Say what goes on when the task is killed, and cancel the job where that can be done."""
        if self._job_id is not None:
            hook = ImsHook(ims_conn_id=self.ims_conn_id, region=self.region)
            hook.abandon(self.job_type, self._job_id, cancel=self.cancel_on_kill, log=self.log)

    def _check_how_to_wait(self) -> None:
        for name in ("wait_for_completion", "deferrable"):
            if not isinstance(value := getattr(self, name), bool | None):
                raise ImsConfigurationError(f"{name} is {value!r}. Give True or False, or leave it out.")
        if self.no_watermark_after is not None and not self._waits():
            raise ImsConfigurationError(
                "no_watermark_after is given, and the task does not wait. Give deferrable=True or "
                "wait_for_completion=True too, or leave it out."
            )

    def _waits(self) -> bool:
        return bool(self.deferrable) if self.wait_for_completion is None else self.wait_for_completion

    def _defers(self) -> bool:
        if self.deferrable is None:
            return bool(conf.getboolean("operators", "default_deferrable", fallback=False))
        return self.deferrable

    def _finish(self, context: Context, ending: Ending) -> str:
        name = self.job_type.result_name
        self._hand_on(context, ending.job_id, {name: finish(ending, retry_submits=True)}, what=name)
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
                advice="Go on with this JobId by hand; clearing the task submits a second job.",
                job_id=job_id,
            ) from error

    def _published_job_id(self, context: Context) -> str | None:
        """Return the JobId that was pushed before the deferral, None where it cannot be told."""
        ti = context["ti"]
        try:
            job_id = ti.xcom_pull(task_ids=self.task_id, key="job_id", map_indexes=ti.map_index)
        except Exception:  # noqa: BLE001 - the event has it too: nothing may come between a paid job and its result
            return None
        return job_id if isinstance(job_id, str) else None
