"""The life of a job in a task: what the operator is told, and what it does."""

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
    """Return an emulator whose one video has no watermark, so that every wait for it lasts."""
    ims_emulator.put_media(MEDIA, processing_time=0)
    return ims_emulator


@pytest.mark.parametrize(
    ("arguments", "default_deferrable", "how"),
    [
        ({}, False, "not"),
        ({}, True, "not"),
        ({"wait_for_completion": False}, True, "not"),
        ({"wait_for_completion": False, "deferrable": True}, False, "not"),
        ({"deferrable": False}, True, "not"),
        ({"wait_for_completion": True}, False, "here"),
        ({"wait_for_completion": True, "deferrable": False}, True, "here"),
        ({"wait_for_completion": True}, True, "deferred"),
        ({"wait_for_completion": True, "deferrable": True}, False, "deferred"),
        ({"deferrable": True}, False, "deferred"),
    ],
)
def test_whether_and_how_to_wait(
    arguments: dict[str, Any],
    default_deferrable: bool,  # noqa: FBT001 - a column of the table
    how: str,
    emulator: EmulatorProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """wait_for_completion says whether to wait, deferrable says how; deferrable=True alone means both."""
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", str(default_deferrable))
    task = operator(**arguments, **QUICK)
    match how:
        case "not":
            assert run(task) == emulator.jobs()[0]["job_id"]
            assert emulator.jobs()[0]["queries"] == 0
        case "here":
            with pytest.raises(ImsJobTimeoutError):
                run(task)
        case "deferred":
            with pytest.raises(TaskDeferred):
                run(task)
    assert len(emulator.jobs()) == 1


def test_deferral_hands_the_arguments_to_the_trigger(emulator: EmulatorProcess) -> None:
    """What the task knows before the deferral is published, and the trigger waits as the operator was told to."""
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
    """An execution_timeout earlier than the time-out is the deadline, less a margin to report in."""
    ti = TaskInstance()
    ti.start_date -= timedelta(seconds=50)
    with pytest.raises(TaskDeferred) as deferred:
        run(operator(deferrable=True, execution_timeout=timedelta(seconds=100)), ti)
    trigger = deferred.value.trigger
    assert isinstance(trigger, ImsJobTrigger)
    wait = JobWait.from_primitives(trigger.wait)
    assert wait.deadline - wait.since == pytest.approx(20, abs=5)


def test_event_of_another_job_is_refused(emulator: EmulatorProcess) -> None:
    """An event about another job is no report on this one; the message has the id of this one."""
    ti = TaskInstance()
    with pytest.raises(TaskDeferred):
        run(operator(deferrable=True), ti)
    context: Any = {"ti": ti}
    event = {"job_type": "CopyrightExtractJob", "job_id": "other", "kind": "succeeded", "result": "(c) X"}
    with pytest.raises(ImsTriggerEventError, match="it is about job other") as refused:
        operator(deferrable=True).execute_complete(context, event)
    assert refused.value.job_id == ti.xcoms["job_id"]
    assert "watermark" not in ti.xcoms


@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger failure"])
def test_broken_trigger_names_the_job_and_is_not_retried(emulator: EmulatorProcess, error: str) -> None:
    """Where Airflow ends a deferred task itself, the error names the job that goes on."""
    ti = TaskInstance()
    with pytest.raises(TaskDeferred):
        run(operator(deferrable=True), ti)
    context: Any = {"ti": ti}
    with pytest.raises(ImsTriggerEventError, match=error) as ended:
        operator(deferrable=True).resume_execution("__fail__", {"error": error}, context)
    assert ended.value.job_id == emulator.jobs()[0]["job_id"]
    assert isinstance(ended.value, AirflowFailException)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"deferrable": "False"}, "deferrable is 'False'. Give True or False"),
        ({"wait_for_completion": "no"}, "wait_for_completion is 'no'. Give True or False"),
        ({"no_watermark_after": 60}, "no_watermark_after is given, and the task does not wait"),
        ({"wait_for_completion": True, "timeout": timedelta.max}, "of a year at most"),
    ],
)
def test_wrong_way_to_wait_is_refused_before_anything_is_billed(
    arguments: dict[str, Any], says: str, emulator: EmulatorProcess
) -> None:
    """What would not wait as it was meant to is told before the submission."""
    with pytest.raises(ImsConfigurationError, match=says):
        run(operator(**arguments))
    assert emulator.requests() == []


REFUSAL: dict[str, Any] = {
    "status": 403,
    "body": json.dumps({"Code": "Forbidden.RAM", "Message": "no", "RequestId": "R"}),
}


def test_refused_query_of_a_paid_job_is_not_retried(emulator: EmulatorProcess) -> None:
    """Keys that may submit and not query cost one job, not one for each retry; the error is the service's."""
    emulator.fault("QueryCopyrightExtractJob", "answer", **REFUSAL)
    with pytest.raises(ImsCredentialsError, match="ice:QueryCopyrightExtractJob") as refused:
        run(operator(wait_for_completion=True))
    assert isinstance(refused.value, AirflowFailException)
    assert type(refused.value).__name__ == "ImsCredentialsError"
    assert (refused.value.code, refused.value.http_status) == ("Forbidden.RAM", 403)


def test_job_of_which_nobody_knows_whether_it_failed_is_not_submitted_again(emulator: EmulatorProcess) -> None:
    """Answers that nobody can explain are taken for a failure, and the job may go on: a retry would pay for another."""
    emulator.put_media(MEDIA, processing_time=0, variant="status_code")
    with pytest.raises(ImsJobFailedError, match="It may still go on") as failed:
        run(operator(wait_for_completion=True, poll_interval=0.05, max_poll_interval=0.05))
    assert isinstance(failed.value, AirflowFailException)
    assert failed.value.job_id == emulator.jobs()[0]["job_id"]


def test_job_that_failed_may_be_submitted_again(emulator: EmulatorProcess) -> None:
    """A retry after a failure of the job is what retries are for."""
    emulator.put_media(MEDIA, processing_time=0, variant="state_field")
    with pytest.raises(ImsJobFailedError) as failed:
        run(operator(wait_for_completion=True))
    assert not isinstance(failed.value, AirflowFailException)


def test_watermark_that_cannot_be_pushed_is_not_retried(emulator: EmulatorProcess) -> None:
    """If XCom refuses the text, the error names the job and Airflow does not submit it again."""
    emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    with pytest.raises(ImsPublishError, match="watermark could not be pushed to XCom: the database is gone") as refused:
        run(operator(wait_for_completion=True), TaskInstance(refuses="watermark"))
    assert refused.value.job_id == emulator.jobs()[0]["job_id"]


def test_kill_says_what_goes_on(emulator: EmulatorProcess, said: Callable[[], str]) -> None:
    """A killed task names its job, which goes on and is billed; before the submission there is nothing to say."""
    task = operator()
    task.on_kill()
    assert "no longer waits" not in said()
    job_id = run(task)
    asked = len(emulator.requests())
    task.on_kill()
    why = "IMS has no action that cancels a CopyrightExtractJob: the job goes on, and is billed"
    assert f"This task no longer waits for job {job_id}. {why}" in said()
    assert len(emulator.requests()) == asked


def test_kill_cancels_where_that_can_be_done(emulator: EmulatorProcess, said: Callable[[], str]) -> None:
    """A job of a family with a cancel action is asked for and then cancelled."""

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
    assert f"Cancelled job {job_id}" in said()
