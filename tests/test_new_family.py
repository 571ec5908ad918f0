"""A job family that the provider does not know, added by one row of data: operator, sensor, trigger, hook, emulator."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_ims.exceptions import ImsConfigurationError, ImsJobCancelledError, ImsJobFailedError
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.catalog import JOB_TYPES
from airflow_provider_ims.jobs.parameters import user_data_text
from airflow_provider_ims.jobs.types import JobState, JobType, ResultKind
from airflow_provider_ims.operators.base import ImsJobBaseOperator
from airflow_provider_ims.sensors.job import ImsJobSensor
from tests.attempts import TaskInstance, first_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess

# The row. It reports a state, has a form body, an object as result, and parts that can fail.
EDITING = JobType(
    name="EditingJob",
    submit_action="SubmitEditingJob",
    query_action="GetEditingJob",
    documentation="https://example.com/editing",
    job_id_path="Data.JobId",
    subject_parameter="Title",
    body_parameters=frozenset({"Timeline"}),
    user_data_limit=512,
    result_kind=ResultKind.OBJECT,
    result_path="EditingJob.Output",
    result_name="output",
    state_path="EditingJob.Status",
    code_path="EditingJob.Code",
    message_path="EditingJob.Message",
    parts_path="EditingJob.SubJobList",
    cancel_action="CancelEditingJob",
)

# The same family as the service has it, told to the emulator in words of its own.
SERVICE: dict[str, Any] = {
    "name": "EditingJob",
    "submit_action": "SubmitEditingJob",
    "query_action": "GetEditingJob",
    "cancel_action": "CancelEditingJob",
    "required_parameters": ["Timeline", "Title"],
    "body_parameters": ["Timeline"],
    "query_parameter": "JobId",
    "job_id_path": "Data.JobId",
    "state_path": "EditingJob.Status",
    "state_words": {"running": "Processing", "succeeded": "Finished", "failed": "Failed", "cancelled": "Canceled"},
    "result_path": "EditingJob.Output",
    "parts_path": "EditingJob.SubJobList",
    "code_path": "EditingJob.Code",
    "message_path": "EditingJob.Message",
    "user_data_limit": 512,
    "price": "0.25",
    "price_per": "job",
    "result": {"Url": "oss://bucket/out.mp4", "Size": 7},
}
RESULT = {"Url": "oss://bucket/out.mp4", "Size": 7}
TIMELINE = {"Tracks": [{"Clips": ["ü &="]}]}
PARTS = [{"Status": "Success", "Id": 1}, {"Status": "Failed", "Id": 2, "Message": "no such clip"}]


class SubmitEditingJobOperator(ImsJobBaseOperator):
    """All that an operator of a new family needs."""

    job_type = EDITING

    def job_parameters(self, region: str) -> dict[str, Any]:
        return {
            "Timeline": TIMELINE,
            "Title": "trailer",
            "UserData": user_data_text("x", limit=EDITING.user_data_limit),
        }


@pytest.fixture
def emulator(
    ims_emulator: EmulatorProcess, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> EmulatorProcess:
    """Return an emulator that knows the family, whose jobs end at once; the provider knows it too."""
    monkeypatch.setitem(JOB_TYPES, EDITING.name, EDITING)
    ims_emulator.configure(processing_time=0)
    ims_emulator.put_family(SERVICE)
    return ims_emulator


class StartedOnce(TaskInstance):
    """A task instance that was not rescheduled yet."""

    def get_first_reschedule_date(self, context: object) -> None:
        return None


def operator(**arguments: Any) -> SubmitEditingJobOperator:
    return SubmitEditingJobOperator(task_id="edit", poll_interval=0.05, max_poll_interval=0.05, **arguments)


def run(task: Any, ti: TaskInstance) -> Any:
    """Run a task, deferral included, and return its return value."""
    context: Any = {"ti": ti}
    try:
        return task.execute(context)
    except TaskDeferred as deferred:
        path, arguments = deferred.trigger.serialize()
        event = asyncio.run(first_event(path, json.loads(json.dumps(arguments))))
        return task.execute_complete(context, json.loads(json.dumps(event)))


WAYS: dict[str, dict[str, Any]] = {
    "worker": {"wait_for_completion": True, "deferrable": False},
    "deferred": {"deferrable": True},
}
both_ways = pytest.mark.parametrize("way", WAYS)


@both_ways
def test_operator_pushes_the_object(way: str, emulator: EmulatorProcess) -> None:
    """The operator submits one job with its form body, waits, and pushes JobId, link and result."""
    ti = TaskInstance()
    job_id = run(operator(**WAYS[way]), ti)
    submission, *polls = emulator.requests()
    assert json.loads(submission["parameters"]["Timeline"]) == TIMELINE
    assert submission["parameters"]["Title"] == "trailer"
    assert {request["action"] for request in polls} == {"GetEditingJob"}
    assert [line["job_id"] for line in emulator.bill()["lines"]] == [job_id]
    assert (ti.xcoms["job_id"], ti.xcoms["output"]) == (job_id, RESULT)
    assert ti.xcoms["ims_job_link"]["query_action"] == "GetEditingJob"


@pytest.mark.parametrize("mode", [{"deferrable": True}, {"mode": "poke"}, {"mode": "reschedule"}], ids=str)
def test_sensor_returns_the_object(mode: dict[str, Any], emulator: EmulatorProcess) -> None:
    """The sensor waits for a job of the family by its name."""
    job_id = run(operator(), TaskInstance())
    ti = StartedOnce()
    sensor = ImsJobSensor(task_id="wait", job_id=job_id, job_type="EditingJob", poke_interval=0.05, **mode)
    assert run(sensor, ti) == RESULT
    assert ti.xcoms["output"] == RESULT


@both_ways
def test_failed_parts_fail_the_job(way: str, emulator: EmulatorProcess) -> None:
    """A job that says "finished" has failed if one of its parts has, and the error names that part."""
    emulator.put_family(SERVICE, parts=PARTS)
    ti = TaskInstance()
    with pytest.raises(
        ImsJobFailedError, match=r"EditingJob \w+ failed \(state 'Finished', 1 of 2 parts failed\)"
    ) as e:
        run(operator(**WAYS[way]), ti)
    assert 'Failed parts: {"Status":"Failed","Id":2,"Message":"no such clip"}' in str(e.value)
    assert "output" not in ti.xcoms


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ([], JobState.SUCCEEDED),
        (["Success", "SUCCESS"], JobState.SUCCEEDED),
        (["Success", "Canceled"], JobState.FAILED),
        (["Processing", "Failed"], JobState.FAILED),
        (["Success", "Processing"], JobState.RUNNING),
        (["Success", "Pondering"], JobState.RUNNING),
        (["Success", None], JobState.RUNNING),
    ],
    ids=str,
)
def test_job_has_ended_when_all_its_parts_have(
    states: list[str | None], state: JobState, emulator: EmulatorProcess
) -> None:
    """One failed part fails the job; a part that runs, or whose state is not known, keeps it running."""
    emulator.put_family(SERVICE, parts=[{"Status": text} for text in states])
    snapshot = ImsHook().query("EditingJob", run(operator(), TaskInstance()))
    assert snapshot.state is state
    assert snapshot.is_known_state is ("Pondering" not in states)
    assert (len(snapshot.failed_parts), snapshot.parts) == (
        sum(text in {"Failed", "Canceled"} for text in states),
        len(states),
    )


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (
            {"outcome": "failed", "error_code": "BadTimeline", "error_message": "No clip."},
            ImsJobFailedError,
            r"failed \(state 'Failed', code BadTimeline, message 'No clip\.'\)",
        ),
        ({"outcome": "cancelled"}, ImsJobCancelledError, r"was cancelled \(state 'Canceled'\)"),
    ],
    ids=["failed", "cancelled"],
)
@both_ways
def test_bad_outcome_is_its_error(
    way: str, change: dict[str, Any], error: type[Exception], says: str, emulator: EmulatorProcess
) -> None:
    """Failure and cancellation raise their own error, with code and message; a retry may submit."""
    emulator.put_family(SERVICE, **change)
    with pytest.raises(error, match=says) as caught:
        run(operator(**WAYS[way]), TaskInstance())
    assert not isinstance(caught.value, AirflowFailException)


def test_running_job_is_cancelled(emulator: EmulatorProcess) -> None:
    """The hook cancels a job of the family by its action."""
    emulator.configure(processing_time=3600)
    job_id = run(operator(), TaskInstance())
    assert ImsHook().cancel("EditingJob", job_id).state is JobState.RUNNING
    assert ImsHook().query("EditingJob", job_id).state is JobState.CANCELLED


def test_messages_name_the_subject_of_the_family(emulator: EmulatorProcess, logged: Callable[[], str]) -> None:
    """The log names what the job works on by the parameter of its own family."""
    run(operator(), TaskInstance())
    assert "Submitted EditingJob" in (text := logged())
    assert "for trailer in cn-shanghai" in text


def test_family_without_a_result_pushes_none(emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A family whose jobs write files only has no result XCom."""
    writes_files = replace(EDITING, result_kind=ResultKind.NONE, result_path=None)
    monkeypatch.setattr(SubmitEditingJobOperator, "job_type", writes_files)
    monkeypatch.setitem(JOB_TYPES, EDITING.name, writes_files)
    ti = TaskInstance()
    run(operator(wait_for_completion=True, deferrable=False), ti)
    assert "output" not in ti.xcoms
    assert ti.xcoms["job_id"]


def test_family_without_a_query_can_be_submitted_not_waited_for(
    emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a query action, waiting is refused before anything is billed; submitting works."""
    unqueried = replace(EDITING, query_action=None)
    monkeypatch.setattr(SubmitEditingJobOperator, "job_type", unqueried)
    monkeypatch.setitem(JOB_TYPES, EDITING.name, unqueried)
    with pytest.raises(ImsConfigurationError, match="IMS has no action that queries a EditingJob"):
        operator(deferrable=True)
    with pytest.raises(ImsConfigurationError, match="IMS has no action that queries a EditingJob"):
        run(ImsJobSensor(task_id="wait", job_id="J", job_type="EditingJob"), TaskInstance())
    assert emulator.requests() == []
    assert run(operator(), TaskInstance()) == emulator.jobs()[0]["job_id"]
