"""The arguments of the sensor, and how it waits with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred

from airflow_provider_ims.exceptions import (
    ImsConfigurationError,
    ImsJobFailedError,
    ImsJobTimeoutError,
    ImsTriggerEventError,
)
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.polling import JobWait
from airflow_provider_ims.sensors.copyright import ImsCopyrightExtractJobSensor
from airflow_provider_ims.sensors.job import ImsJobSensor
from airflow_provider_ims.sensors.trace import ImsTraceExtractJobSensor
from airflow_provider_ims.triggers.job import ImsJobTrigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess

MEDIA = "oss://rights-evidence/clip.mp4"


class TaskInstance:
    """The part of a task instance that the sensor uses, at its first start."""

    map_index = -1

    def __init__(self) -> None:
        self.start_date = datetime.now(UTC)
        self.xcoms: dict[str, Any] = {}

    def get_first_reschedule_date(self, context: object) -> datetime | None:
        return None

    def xcom_push(self, key: str, value: object) -> None:
        self.xcoms[key] = value


def run(sensor: ImsJobSensor, ti: TaskInstance | None = None) -> Any:
    context: Any = {"ti": ti or TaskInstance()}
    return sensor.execute(context)


@pytest.fixture
def job_id(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> str:
    """Return the id of a job on a video that has no watermark."""
    ims_emulator.put_media(MEDIA, processing_time=0)
    return ImsHook().submit_copyright_extract_job(MEDIA)


@pytest.fixture
def failed_job_id(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> str:
    """Return the id of a job that reports that it failed."""
    ims_emulator.put_media(MEDIA, processing_time=0, variant="state_field")
    return ImsHook().submit_copyright_extract_job(MEDIA)


EXTRACT_SENSORS = pytest.mark.parametrize(
    "kind", [ImsCopyrightExtractJobSensor, ImsTraceExtractJobSensor], ids=lambda kind: kind.__name__
)


def extraction(emulator: EmulatorProcess, kind: Any, **media: Any) -> str:
    """Submit an extraction of the family of a sensor, and return its JobId."""
    emulator.put_media(MEDIA, processing_time=0, **media)
    return ImsHook().submit(kind.family, {"Input": {"Type": "OSS", "Media": MEDIA}}).job_id


def deferral(sensor: ImsJobSensor) -> tuple[ImsJobTrigger, TaskDeferred]:
    with pytest.raises(TaskDeferred) as deferred:
        run(sensor)
    trigger = deferred.value.trigger
    assert isinstance(trigger, ImsJobTrigger)
    return trigger, deferred.value


@EXTRACT_SENSORS
def test_deferral_passes_the_arguments_to_the_trigger(
    kind: Any, ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """The trigger gets the options of the sensor, and its count of polls includes that of the sensor."""
    job_id = extraction(ims_emulator, kind)
    sensor = kind(
        task_id="wait",
        job_id=job_id,
        deferrable=True,
        poke_interval=20,
        max_wait=timedelta(minutes=2),
        timeout=timedelta(hours=1),
        no_watermark_after=timedelta(minutes=30),
    )
    trigger, deferred = deferral(sensor)
    wait = JobWait.from_primitives(trigger.wait)
    assert (wait.job_type, wait.job_id, trigger.region) == (kind.family, job_id, "cn-shanghai")
    assert (wait.poll_interval, wait.max_poll_interval, wait.polls) == (20, 120, 1)
    assert wait.deadline == wait.since + 3600
    assert wait.accept_empty_from == wait.since + 1800
    assert not trigger.cancel_on_kill
    assert deferred.method_name == "execute_complete"
    assert isinstance(deferred.timeout, timedelta)
    assert timedelta(hours=1) < deferred.timeout  # Airflow's own time-out, which does not report the job, is later


def test_pauses_do_not_grow_without_exponential_backoff(job_id: str) -> None:
    """With exponential_backoff=False the pauses stay at poke_interval."""
    trigger, _ = deferral(
        ImsJobSensor(task_id="wait", job_id=job_id, deferrable=True, poke_interval=20, exponential_backoff=False)
    )
    wait = JobWait.from_primitives(trigger.wait)
    assert (wait.poll_interval, wait.max_poll_interval) == (20, 20)


def test_pauses_grow_without_limit_if_max_wait_is_none(job_id: str) -> None:
    """With max_wait=None the pauses are limited by the time-out only."""
    trigger, _ = deferral(ImsJobSensor(task_id="wait", job_id=job_id, deferrable=True, max_wait=None, timeout=7200))
    assert JobWait.from_primitives(trigger.wait).max_poll_interval == 7200


def test_execution_timeout_counts_while_deferred(job_id: str) -> None:
    """If execution_timeout ends before the time-out, the deadline is a margin before its end."""
    trigger, _ = deferral(
        ImsJobSensor(task_id="wait", job_id=job_id, deferrable=True, execution_timeout=timedelta(minutes=10))
    )
    wait = JobWait.from_primitives(trigger.wait)
    assert wait.deadline - wait.since == pytest.approx(540, abs=5)


@EXTRACT_SENSORS
def test_execution_timeout_does_not_shorten_a_wait_in_reschedule_mode(kind: Any) -> None:
    """Airflow counts execution_timeout for each start of a sensor that comes back: it says nothing of the wait."""

    def sensor(mode: Any) -> Any:
        return kind(
            task_id="wait", job_id="J", mode=mode, no_watermark_after=3600, execution_timeout=timedelta(minutes=10)
        )

    assert sensor("reschedule").no_watermark_after == 3600
    with pytest.raises(ImsConfigurationError, match=r"no_watermark_after \(3600 s\) is not shorter than the wait"):
        sensor("poke")


def test_first_line_of_the_log_names_job_and_deadline(job_id: str, logged: Callable[[], str]) -> None:
    """A sensor says first which job it waits for, since when and until when, as the operator does."""
    with pytest.raises(TaskDeferred):
        run(ImsJobSensor(task_id="wait", job_id=job_id, deferrable=True))
    assert f"Waiting for CopyrightExtractJob {job_id}" in logged()


def test_reschedule_mode_polls_once_and_reschedules(job_id: str) -> None:
    """A sensor in reschedule mode polls once and is rescheduled after the pause."""
    sensor = ImsJobSensor(task_id="wait", job_id=job_id, mode="reschedule", poke_interval=100)
    with pytest.raises(AirflowRescheduleException) as rescheduled:
        run(sensor)
    pause = (rescheduled.value.reschedule_date - datetime.now(UTC)).total_seconds()
    assert 85 < pause <= 100


# In `dag.test()` of Airflow 3.0 it is a text.
@pytest.mark.parametrize("first_start", [lambda date: date, datetime.isoformat], ids=["date", "text"])
def test_timeout_in_reschedule_mode_counts_from_the_first_start(job_id: str, first_start: Callable[..., Any]) -> None:
    """In reschedule mode the time-out counts from the first start of the attempt."""

    class Rescheduled(TaskInstance):
        def get_first_reschedule_date(self, context: object) -> Any:
            return first_start(datetime.now(UTC) - timedelta(hours=2))

    sensor = ImsJobSensor(task_id="wait", job_id=job_id, mode="reschedule", timeout=3600)
    with pytest.raises(ImsJobTimeoutError, match=r"after 1 poll in 2\.0 h"):
        run(sensor, Rescheduled())


MODES: list[dict[str, Any]] = [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}]


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
def test_failure_skips_the_task_with_soft_fail_or_never_fail(
    failed_job_id: str, mode: dict[str, Any], option: str
) -> None:
    """With soft_fail or never_fail a failed job skips the task and gives the reason, in every mode."""
    arguments: dict[str, Any] = {**mode, option: True}
    sensor = ImsJobSensor(task_id="wait", job_id=failed_job_id, **arguments)
    with pytest.raises(AirflowSkipException, match=r"failed \(state 'Fail'\)"):
        run(sensor)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_failure_fails_the_task(failed_job_id: str, mode: dict[str, Any]) -> None:
    """A failed job fails the task, in every mode."""
    with pytest.raises(ImsJobFailedError):
        run(ImsJobSensor(task_id="wait", job_id=failed_job_id, **mode))


RESUMES: list[tuple[str, dict[str, Any]]] = [
    ("execute_complete", {"event": {"job_type": "CopyrightExtractJob", "job_id": "J", "kind": "timeout"}}),
    ("execute_complete", {"event": None}),
    ("__fail__", {"error": "Trigger timeout"}),
    ("__fail__", {"error": "Trigger failure"}),
]


@pytest.mark.parametrize(("method", "kwargs"), RESUMES)
@pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
def test_failure_after_a_deferral_skips_the_task(method: str, kwargs: dict[str, Any], option: str) -> None:
    """soft_fail and never_fail also skip the task if the failure, or a broken trigger, comes after a deferral."""
    arguments: dict[str, Any] = {option: True}
    context: Any = {"ti": TaskInstance()}
    with pytest.raises(AirflowSkipException):
        ImsJobSensor(task_id="wait", job_id="J", **arguments).resume_execution(method, kwargs, context)


@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger failure"])
def test_broken_trigger_names_the_job(error: str) -> None:
    """If Airflow itself ends a deferred sensor, the error names the job."""
    context: Any = {"ti": TaskInstance()}
    with pytest.raises(ImsTriggerEventError, match=error) as caught:
        ImsJobSensor(task_id="wait", job_id="J").resume_execution("__fail__", {"error": error}, context)
    assert caught.value.job_id == "J"


def test_event_of_another_job_is_refused(job_id: str) -> None:
    """An event about another job is an error."""
    sensor = ImsJobSensor(task_id="wait", job_id=job_id)
    context: Any = {"ti": TaskInstance()}
    with pytest.raises(ImsTriggerEventError, match="it is about job other"):
        sensor.execute_complete(context, {"job_type": "CopyrightExtractJob", "job_id": "other", "kind": "succeeded"})


def test_default_deferrable_of_airflow_is_used(job_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default of deferrable is Airflow's default_deferrable; an argument overrides it."""
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    deferral(ImsJobSensor(task_id="wait", job_id=job_id))
    with pytest.raises(ImsJobTimeoutError):
        run(ImsJobSensor(task_id="wait", job_id=job_id, deferrable=False, poke_interval=0.1, timeout=0.3))


def test_result_and_link_are_pushed(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> None:
    """The text is the return value and the XCom watermark, the link is pushed; do_xcom_push=False pushes nothing."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    job_id = ImsHook().submit_copyright_extract_job(MEDIA)
    ti = TaskInstance()
    assert run(ImsJobSensor(task_id="wait", job_id=job_id), ti) == "(c) Studio"
    assert ti.xcoms["watermark"] == "(c) Studio"
    assert ti.xcoms["ims_job_link"]["job_id"] == job_id
    without_push = TaskInstance()
    assert run(ImsJobSensor(task_id="wait", job_id=job_id, do_xcom_push=False), without_push) == "(c) Studio"
    assert without_push.xcoms == {}


@EXTRACT_SENSORS
def test_text_of_the_family_is_returned(kind: Any, ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> None:
    """A sensor for watermarks returns the text of its own family, and pushes it under the name of that family."""
    job_id = extraction(ims_emulator, kind, watermark="(c) Studio", trace="viewer 7")
    ti = TaskInstance()
    text = {"watermark": "(c) Studio", "trace": "viewer 7"}[kind.family.result_name]
    assert run(kind(task_id="wait", job_id=job_id), ti) == ti.xcoms[kind.family.result_name] == text
    assert ti.xcoms["outcome"] == "found"


@EXTRACT_SENSORS
def test_no_watermark_after_makes_empty_responses_the_result(
    kind: Any, ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """Empty responses for no_watermark_after mean that there is no watermark: the text is empty, and pushed."""
    job_id = extraction(ims_emulator, kind)
    ti = TaskInstance()
    sensor = kind(task_id="wait", job_id=job_id, no_watermark_after=0.3, poke_interval=0.1, timeout=30)
    assert run(sensor, ti) == ti.xcoms[kind.family.result_name] == ""
    assert ti.xcoms["outcome"] == "assumed_not_found"


@EXTRACT_SENSORS
def test_advice_of_a_timeout_names_the_sensor_of_the_family(
    kind: Any, ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """ImsJobSensor has no no_watermark_after: for a family without a state, its error names the sensor that has it."""
    job_id = extraction(ims_emulator, kind)
    sensor = ImsJobSensor(task_id="wait", job_id=job_id, job_type=kind.family.name, poke_interval=0.1, timeout=0.3)
    with pytest.raises(ImsJobTimeoutError) as caught:
        run(sensor)
    message = str(caught.value)
    assert f"Wait on with an {kind.__name__} on this JobId" in message
    assert message.endswith(
        "If empty responses shall mean that nothing was found, set no_watermark_after of the operator or of "
        f"{kind.__name__} to how long they must last."
    )
