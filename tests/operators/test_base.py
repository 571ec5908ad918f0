"""The operator base class: its arguments, and what it does with a job."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_ims.exceptions import (
    ImsConfigurationError,
    ImsCredentialsError,
    ImsJobFailedError,
    ImsJobTimeoutError,
    ImsPublishError,
    ImsTriggerEventError,
)
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.polling import JobWait
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.triggers.job import ImsJobTrigger
from tests.attempts import TaskInstance

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess

MEDIA = "oss://rights-evidence/clip.mp4"
QUICK = {"poll_interval": 0.1, "max_poll_interval": 0.1, "timeout": 0.3}


def operator(**arguments: Any) -> ImsSubmitCopyrightExtractJobOperator:
    return ImsSubmitCopyrightExtractJobOperator(task_id="extract", input_media=MEDIA, **arguments)


def run(task: ImsSubmitCopyrightExtractJobOperator, ti: TaskInstance | None = None) -> str:
    context: Any = {"ti": ti or TaskInstance()}
    return task.execute(context)


@pytest.fixture
def emulator(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> EmulatorProcess:
    """Return an emulator with one video that has no watermark, so that no wait for it ends early."""
    ims_emulator.put_media(MEDIA, processing_time=0)
    return ims_emulator


@pytest.mark.parametrize(
    ("arguments", "default_deferrable", "expected"),
    [
        ({}, False, "no wait"),
        ({}, True, "no wait"),
        ({"wait_for_completion": False}, True, "no wait"),
        ({"wait_for_completion": False, "deferrable": True}, False, "no wait"),
        ({"deferrable": False}, True, "no wait"),
        ({"wait_for_completion": True}, False, "on the worker"),
        ({"wait_for_completion": True, "deferrable": False}, True, "on the worker"),
        ({"wait_for_completion": True}, True, "deferred"),
        ({"wait_for_completion": True, "deferrable": True}, False, "deferred"),
        ({"deferrable": True}, False, "deferred"),
    ],
)
def test_arguments_decide_whether_and_how_to_wait(
    arguments: dict[str, Any],
    default_deferrable: bool,  # noqa: FBT001 - a column of the table
    expected: str,
    emulator: EmulatorProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """wait_for_completion decides whether to wait and deferrable how; deferrable=True alone means both."""
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", str(default_deferrable))
    # Long enough that the deadline does not come before the deferral.
    task = operator(**arguments, **{**QUICK, "timeout": 30 if expected == "deferred" else QUICK["timeout"]})
    match expected:
        case "no wait":
            assert run(task) == emulator.jobs()[0]["job_id"]
            assert emulator.jobs()[0]["queries"] == 0
        case "on the worker":
            with pytest.raises(ImsJobTimeoutError):
                run(task)
        case "deferred":
            with pytest.raises(TaskDeferred):
                run(task)
    assert len(emulator.jobs()) == 1


def test_deferral_passes_the_arguments_to_the_trigger(emulator: EmulatorProcess) -> None:
    """A deferral pushes JobId and link first, and the trigger gets the operator's options."""
    ti = TaskInstance()
    with pytest.raises(TaskDeferred) as deferred:
        run(operator(deferrable=True, poll_interval=20, timeout=3600, no_watermark_after=timedelta(minutes=30)), ti)
    (job,) = emulator.jobs()
    assert (ti.xcoms["job_id"], ti.xcoms["ims_job_link"]["job_id"]) == (job["job_id"], job["job_id"])
    trigger = deferred.value.trigger
    assert isinstance(trigger, ImsJobTrigger)
    wait = JobWait.from_primitives(trigger.wait)
    assert (wait.job_type.name, wait.job_id, trigger.region) == ("CopyrightExtractJob", job["job_id"], "cn-shanghai")
    assert (wait.poll_interval, wait.max_poll_interval, wait.polls) == (20, 300, 1)
    assert wait.deadline == wait.since + 3600
    assert wait.accept_empty_from == wait.since + 1800


def test_execution_timeout_counts_from_the_start_of_the_task(emulator: EmulatorProcess) -> None:
    """If execution_timeout ends before the time-out, the deadline is a margin before its end."""
    ti = TaskInstance()
    ti.start_date -= timedelta(seconds=50)
    with pytest.raises(TaskDeferred) as deferred:
        run(operator(deferrable=True, execution_timeout=timedelta(seconds=100)), ti)
    trigger = deferred.value.trigger
    assert isinstance(trigger, ImsJobTrigger)
    wait = JobWait.from_primitives(trigger.wait)
    assert wait.deadline - wait.since == pytest.approx(20, abs=5)


def test_event_of_another_job_is_refused(emulator: EmulatorProcess) -> None:
    """An event about another job is an error that has the id of the own job."""
    ti = TaskInstance()
    with pytest.raises(TaskDeferred):
        run(operator(deferrable=True), ti)
    context: Any = {"ti": ti}
    event = {"job_type": "CopyrightExtractJob", "job_id": "other", "kind": "succeeded", "result": "(c) X"}
    with pytest.raises(ImsTriggerEventError, match="it is about job other") as caught:
        operator(deferrable=True).execute_complete(context, event)
    assert caught.value.job_id == ti.xcoms["job_id"]
    assert "watermark" not in ti.xcoms


@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger failure"])
def test_broken_trigger_names_the_job_and_is_not_retried(emulator: EmulatorProcess, error: str) -> None:
    """If Airflow itself ends a deferred task, the error names the job that goes on."""
    ti = TaskInstance()
    with pytest.raises(TaskDeferred):
        run(operator(deferrable=True), ti)
    context: Any = {"ti": ti}
    with pytest.raises(ImsTriggerEventError, match=error) as caught:
        operator(deferrable=True).resume_execution("__fail__", {"error": error}, context)
    assert caught.value.job_id == emulator.jobs()[0]["job_id"]
    assert isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize(("map_index", "start"), [(-1, "input_media is"), (3, "Mapped task 3: input_media is")])
def test_error_about_a_template_says_which_mapped_task(map_index: int, start: str, emulator: EmulatorProcess) -> None:
    """An error about an argument of a mapped task begins with the map index; nothing is sent."""
    ti: Any = TaskInstance()
    ti.map_index = map_index
    task = ImsSubmitCopyrightExtractJobOperator(task_id="extract", input_media="clip.mp4")
    with pytest.raises(ImsConfigurationError) as caught:
        run(task, ti)
    assert str(caught.value).startswith(start)
    assert emulator.requests() == []


FORBIDDEN: dict[str, Any] = {
    "status": 403,
    "body": json.dumps({"Code": "Forbidden.RAM", "Message": "no", "RequestId": "R"}),
}


@pytest.mark.usefixtures("no_correction_grace")
def test_refused_query_of_a_paid_job_is_not_retried(emulator: EmulatorProcess) -> None:
    """If the query is refused, the task fails with that error and is not retried: a retry would submit again."""
    emulator.fault("QueryCopyrightExtractJob", "answer", times=5, **FORBIDDEN)
    with pytest.raises(ImsCredentialsError, match="ice:QueryCopyrightExtractJob") as caught:
        run(operator(wait_for_completion=True, poll_interval=0.05, max_poll_interval=0.05))
    assert isinstance(caught.value, AirflowFailException)
    assert type(caught.value).__name__ == "ImsCredentialsError"
    assert (caught.value.code, caught.value.http_status) == ("Forbidden.RAM", 403)


def test_unexplained_failure_is_not_retried(emulator: EmulatorProcess) -> None:
    """A failure after unexplained responses is not retried: the job may go on, and a second one would be billed."""
    emulator.put_media(MEDIA, processing_time=0, variant="status_code")
    with pytest.raises(ImsJobFailedError, match="It may still go on") as failed:
        run(operator(wait_for_completion=True, poll_interval=0.05, max_poll_interval=0.05))
    assert isinstance(failed.value, AirflowFailException)
    assert failed.value.job_id == emulator.jobs()[0]["job_id"]


def test_failure_of_the_job_is_retried(emulator: EmulatorProcess) -> None:
    """If the service reports that the job failed, Airflow may retry the task."""
    emulator.put_media(MEDIA, processing_time=0, variant="state_field")
    with pytest.raises(ImsJobFailedError) as failed:
        run(operator(wait_for_completion=True))
    assert not isinstance(failed.value, AirflowFailException)


def test_watermark_that_cannot_be_pushed_is_not_retried(emulator: EmulatorProcess) -> None:
    """If the text cannot be pushed, the error names the job and Airflow does not retry the task."""
    emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    with pytest.raises(ImsPublishError, match="watermark could not be pushed to XCom: the database is gone") as caught:
        run(operator(wait_for_completion=True), TaskInstance(failing_key="watermark"))
    assert caught.value.job_id == emulator.jobs()[0]["job_id"]


def test_kill_logs_the_job_that_goes_on(emulator: EmulatorProcess, logged: Callable[[], str]) -> None:
    """A killed task logs that its job goes on and is billed; before the submission it logs nothing."""
    task = operator()
    task.on_kill()
    assert "no longer waits" not in logged()
    job_id = run(task)
    requests = len(emulator.requests())
    task.on_kill()
    why = "IMS has no action that cancels a CopyrightExtractJob: the job goes on, and is billed"
    assert f"This task no longer waits for job {job_id}. {why}" in logged()
    assert len(emulator.requests()) == requests


def test_kill_cancels_a_job_that_can_be_cancelled(emulator: EmulatorProcess, logged: Callable[[], str]) -> None:
    """With cancel_on_kill, a killed task queries its job and then cancels it."""

    class Cancellable(ImsSubmitCopyrightExtractJobOperator):
        job_type = replace(COPYRIGHT_EXTRACT, cancel_action="CancelIProductionJob")
        cancel_on_kill = True

    emulator.fault("CancelIProductionJob", "answer", body=json.dumps({"RequestId": "R"}))
    task = Cancellable(task_id="extract", input_media=MEDIA)
    job_id = run(task)
    task.on_kill()
    _, query, cancel = emulator.requests()
    assert (query["action"], cancel["action"]) == ("QueryCopyrightExtractJob", "CancelIProductionJob")
    assert cancel["parameters"]["JobId"] == job_id
    assert f"Cancelled job {job_id}" in logged()
