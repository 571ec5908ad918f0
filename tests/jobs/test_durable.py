"""A task over its attempts: what it remembers, what a retry makes of that, and what a clear forgets."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_ims.exceptions import (
    ImsConfigurationError,
    ImsCredentialsError,
    ImsError,
    ImsJobFailedError,
    ImsJobTimeoutError,
    ImsPublishError,
    ImsRecordError,
    ImsSubmitUnknownError,
    ImsThrottledError,
    ImsTransportError,
    ImsTriggerEventError,
)
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.durable import KEY, SubmissionStore
from airflow_provider_ims.jobs.submission import Attempt, SubmissionRecord, SubmissionRequest
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from tests.attempts import TaskLife, WorkerCrash

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess

    Said = Callable[[], str]

MEDIA = "oss://rights-evidence/clip.mp4"
OTHER_MEDIA = "oss://rights-evidence/other.mp4"
SUBMIT = "SubmitCopyrightExtractJob"
QUERY = "QueryCopyrightExtractJob"
TEXT = "(c) Studio"
WAYS: dict[str, dict[str, Any]] = {
    "submit": {},
    "sync": {"wait_for_completion": True, "deferrable": False},
    "defer": {"deferrable": True},
}
QUICK = {"poll_interval": 0.05, "max_poll_interval": 0.05, "timeout": 30}
UNMARKED: dict[str, Any] = {"processing_time": 0}
FORBIDDEN: dict[str, Any] = {"status": 403, "body": '{"Code": "Forbidden.RAM", "Message": "no", "RequestId": "R"}'}

every_way = pytest.mark.parametrize("way", WAYS)
every_wait = pytest.mark.parametrize("way", ["sync", "defer"])


@pytest.fixture
def emulator(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> EmulatorProcess:
    """Return an emulator with a marked video, whose jobs are done at once."""
    connect(extra={"connect_timeout": 2, "read_timeout": 1})
    ims_emulator.put_media(MEDIA, watermark=TEXT, processing_time=0)
    return ims_emulator


class WithToken(ImsSubmitCopyrightExtractJobOperator):
    """The operator of a family that takes a ClientToken."""

    job_type = replace(COPYRIGHT_EXTRACT, takes_client_token=True)


def life(
    way: str,
    *,
    dies_before: str | None = None,
    kind: type[ImsSubmitCopyrightExtractJobOperator] = ImsSubmitCopyrightExtractJobOperator,
    **arguments: Any,
) -> TaskLife:
    """Return the life of a task.

    :param dies_before: the method before which its first process dies
    :param kind: its class
    :param arguments: those of the operator that are not as usual
    """
    deaths = {dies_before}

    class Mortal(kind):  # type: ignore[misc, valid-type]
        def __getattribute__(self, name: str) -> Any:
            if name in deaths:
                deaths.clear()
                raise WorkerCrash
            return super().__getattribute__(name)

    how = {"task_id": "extract", "input_media": MEDIA, **QUICK, **WAYS[way], **arguments}
    return TaskLife(lambda: Mortal(**how))


def billed(emulator: EmulatorProcess) -> list[str]:
    return [line["job_id"] for line in emulator.bill()["lines"]]


def check_success(task: TaskLife, way: str, job_id: str) -> None:
    """Check that the last attempt has handed on all that there is of a job."""
    xcoms = task.ti.xcoms
    assert xcoms["return_value"] == xcoms["job_id"] == xcoms["ims_job_link"]["job_id"] == job_id
    assert xcoms["request_id"]
    assert xcoms.get("watermark") == (None if way == "submit" else TEXT)


# ---- retries resume


@every_way
def test_retry_goes_on_with_a_running_job(way: str, emulator: EmulatorProcess) -> None:
    """A retry hands on id, link and text of the job that was submitted before, and submits nothing."""
    emulator.put_media(MEDIA, watermark=TEXT, processing_time=1)
    task = life(way, dies_before="_publish")
    assert task.attempt() == "up_for_retry"
    (job_id,) = billed(emulator)
    assert task.ti.xcoms == {}
    assert task.attempt() == "success"
    check_success(task, way, job_id)
    assert billed(emulator) == [job_id]


@every_way
def test_retry_goes_on_with_a_job_that_has_ended(way: str, emulator: EmulatorProcess) -> None:
    """A job that ended while nobody looked gives its result, after one query."""
    task = life(way, dies_before="_publish")
    task.attempt()
    assert task.attempt() == "success"
    (job_id,) = billed(emulator)
    check_success(task, way, job_id)
    assert emulator.jobs()[0]["queries"] == 1


@every_way
def test_retry_after_success_goes_on_with_the_job(way: str, emulator: EmulatorProcess) -> None:
    """Airflow retries a task whose success it did not hear of; the job is the same."""
    task = life(way)
    assert task.attempt() == "success"
    assert task.attempt() == "success"
    check_success(task, way, billed(emulator)[0])
    assert len(billed(emulator)) == 1


@every_way
@pytest.mark.parametrize(("variant", "end"), [("state_field", "failed"), ("cancelled", "cancelled")])
def test_retry_submits_anew_after_a_job_that_came_to_nothing(
    way: str, variant: str, end: str, emulator: EmulatorProcess, said: Said
) -> None:
    """What the service calls failed or cancelled is not gone on with; the log says why there is a second job."""
    emulator.put_media(MEDIA, processing_time=0, variant=variant)
    task = life(way, dies_before="_publish")
    task.attempt()
    emulator.put_media(MEDIA, watermark=TEXT, processing_time=0)
    assert task.attempt() == "success"
    first, second = billed(emulator)
    check_success(task, way, second)
    assert f"Submitting a new job: {first} has {end}. It was submitted by attempt 1 at 20" in said()


@every_wait
def test_retry_submits_anew_after_its_wait_saw_the_job_fail(way: str, emulator: EmulatorProcess) -> None:
    """A failure that the task has reported is over: the retry does not ask for that job again."""
    emulator.put_media(MEDIA, processing_time=0, variant="state_field")
    task = life(way)
    assert task.attempt() == "up_for_retry"
    assert isinstance(task.error, ImsJobFailedError)
    assert task.record() is None
    emulator.put_media(MEDIA, watermark=TEXT, processing_time=0)
    assert task.attempt() == "success"
    check_success(task, way, billed(emulator)[1])
    assert [job["queries"] for job in emulator.jobs()] == [1, 1]


@every_wait
def test_job_that_cannot_be_asked_for_is_gone_on_with(way: str, emulator: EmulatorProcess) -> None:
    """A query that fails on the way says nothing of the job: it is not taken for lost."""
    emulator.fault(QUERY, "html_502", times=2)
    task = life(way, dies_before="_publish")
    task.attempt()
    assert task.attempt() == "success"
    check_success(task, way, billed(emulator)[0])


def test_adoption_is_told_in_one_line(emulator: EmulatorProcess, said: Said) -> None:
    """The log of the retry says which job it goes on with, and who has submitted it when."""
    task = life("submit", dies_before="_publish")
    task.attempt()
    said()
    task.attempt()
    (job,) = emulator.jobs()
    request_id = task.ti.xcoms["request_id"]
    text = said()
    assert f"Resuming CopyrightExtractJob {job['job_id']}, submitted by attempt 1 at 20" in text
    assert f"(RequestId {request_id})" in text
    assert "Submitted" not in text
    assert "Waiting" not in text


def test_kill_of_a_retry_names_the_job(emulator: EmulatorProcess, said: Said) -> None:
    """on_kill knows the job of an earlier attempt as well as one of its own."""
    task = life("submit", dies_before="_publish")
    task.attempt()
    operator = task.make()
    operator.execute(task.context())
    said()
    operator.on_kill()
    assert f"This task no longer waits for job {billed(emulator)[0]}" in said()


@every_wait
def test_timeout_counts_from_the_submission(way: str, emulator: EmulatorProcess) -> None:
    """A retry does not give a job its time anew: it asks once more, and ends."""
    emulator.put_media(MEDIA, **UNMARKED)
    task = life(way, dies_before="_publish")
    task.attempt()
    task.age(60)
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsJobTimeoutError)
    assert "after 1 poll in 1 min" in str(task.error)
    assert len(billed(emulator)) == 1


@every_wait
def test_silence_counts_from_the_submission(way: str, emulator: EmulatorProcess) -> None:
    """What was silent for long enough before the crash is not waited for once more."""
    emulator.put_media(MEDIA, **UNMARKED)
    task = life(way, dies_before="_publish", no_watermark_after=20)
    task.attempt()
    task.age(25)
    assert task.attempt() == "success"
    assert task.ti.xcoms["watermark"] == ""


# ---- what may be retried, and what not


@every_wait
def test_failed_wait_is_retried_where_the_job_is_remembered(way: str, emulator: EmulatorProcess) -> None:
    """A refused query does not end a task that has retries: they ask for the same job."""
    emulator.fault(QUERY, "answer", times=2, **FORBIDDEN)
    task = life(way)
    assert task.attempt() == "up_for_retry"
    assert type(task.error) is ImsCredentialsError
    assert task.run() == "success"
    assert task.number == 3
    check_success(task, way, billed(emulator)[0])


@every_way
@pytest.mark.parametrize("key", ["job_id", "ims_job_link"])
def test_failed_push_is_retried_where_the_job_is_remembered(way: str, key: str, emulator: EmulatorProcess) -> None:
    """An XCom that cannot be pushed is pushed by the retry."""
    task = life(way)
    assert task.attempt(refuses=key) == "up_for_retry"
    assert isinstance(task.error, ImsPublishError)
    assert not isinstance(task.error, AirflowFailException)
    assert task.attempt() == "success"
    check_success(task, way, billed(emulator)[0])


def test_broken_trigger_is_retried_where_the_job_is_remembered(emulator: EmulatorProcess) -> None:
    """Where Airflow ends a deferred task itself, the retry waits on for its job."""
    emulator.put_media(MEDIA, watermark=TEXT, processing_time=0.5)
    task = life("defer", dies_before="execute_complete")
    task.attempt()
    with pytest.raises(ImsTriggerEventError) as broken:
        task.make().resume_execution("__fail__", {"error": "Trigger timeout"}, task.context())
    assert not isinstance(broken.value, AirflowFailException)
    assert broken.value.job_id == billed(emulator)[0]
    assert task.attempt() == "success"
    check_success(task, "defer", billed(emulator)[0])


@pytest.mark.parametrize("forgets", ["durable", "store"])
@every_wait
def test_failed_wait_is_not_retried_where_the_job_is_forgotten(
    way: str, forgets: str, emulator: EmulatorProcess
) -> None:
    """Without a record a retry would pay again: then only a failed job is left to Airflow's retries."""
    emulator.fault(QUERY, "answer", **FORBIDDEN)
    task = life(way, durable=forgets != "durable")
    if forgets == "store":
        task.store = None
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsCredentialsError)
    assert len(billed(emulator)) == 1
    assert task.record() is None


def test_forgetful_task_submits_again(emulator: EmulatorProcess) -> None:
    """The control of all of the above: with durable=False a dead worker costs a second job."""
    task = life("sync", dies_before="_publish", durable=False)
    task.attempt()
    assert task.attempt() == "success"
    check_success(task, "sync", billed(emulator)[1])


def test_airflow_without_a_store_says_so_once(emulator: EmulatorProcess, said: Said) -> None:
    """Before Airflow 3.3 one line says what a dead worker costs; none where the task is not to be durable."""
    line = "Airflow before 3.3 keeps nothing from attempt to attempt"
    for durable, times in ((True, 1), (False, 0)):
        task = life("sync", durable=durable)
        task.store = None
        assert task.attempt() == "success"
        assert said().count(line) == times
    assert life("sync").attempt() == "success"
    assert line not in said()


# ---- clearing starts over

ENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "success": ("success", {}),
    "failure": ("failed", {}),
    "timeout": ("failed", {"timeout": 0.2}),
    "unknown": ("failed", {}),
}


def end_once(end: str, task: TaskLife, emulator: EmulatorProcess) -> None:
    """Let a task end in a way, with one job."""
    match end:
        case "failure":
            emulator.fault(QUERY, "answer", times=task.retries + 1, **FORBIDDEN)
        case "timeout":
            emulator.put_media(MEDIA, **UNMARKED)
        case "unknown":
            emulator.fault(SUBMIT, "cut_after")
    assert task.run() == ENDS[end][0]
    assert len(billed(emulator)) == 1
    emulator.put_media(MEDIA, watermark=TEXT, processing_time=0)


@every_wait
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("retries", [3, 2, 1, 0])
def test_clear_submits_anew(way: str, end: str, retries: int, emulator: EmulatorProcess) -> None:
    """However the task has ended, who clears it wants a new job; also where the DAG has fewer retries by then."""
    task = life(way, **ENDS[end][1])
    end_once(end, task, emulator)
    task.clear(retries=retries)
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 2
    check_success(task, way, billed(emulator)[1])


def test_clear_of_another_task_of_the_run_is_none(emulator: EmulatorProcess) -> None:
    """A clear of another task raises the run's count of clears, and is no reason to submit again."""
    task = life("sync", dies_before="_publish")
    task.attempt()
    task.clear_number += 1
    assert task.attempt() == "success"
    check_success(task, "sync", billed(emulator)[0])
    assert len(billed(emulator)) == 1


RECORD = SubmissionRecord(
    action="S", region="r", description="S", digest="d", at=0.0, attempt=2, max_tries=3, clear_number=1
)


@pytest.mark.parametrize(
    ("attempt", "same"),
    [
        (Attempt(number=3, max_tries=3, retries=3, clear_number=1), True),
        (Attempt(number=2, max_tries=3, retries=3, clear_number=1), True),
        # A clear: the second attempt's number plus three retries.
        (Attempt(number=3, max_tries=5, retries=3, clear_number=2), False),
        # A clear when the DAG has one retry: 2 + 1 is what it was before.
        (Attempt(number=3, max_tries=3, retries=1, clear_number=2), False),
        # The DAG has one retry by now, and nothing was cleared.
        (Attempt(number=3, max_tries=3, retries=1, clear_number=1), True),
        # Another task was cleared.
        (Attempt(number=3, max_tries=3, retries=3, clear_number=7), True),
    ],
)
def test_clear_is_told_from_a_retry(attempt: Attempt, same: bool) -> None:  # noqa: FBT001 - a column of the table
    """A clear raises max_tries and a retry does not."""
    assert RECORD.is_same_clear(attempt) is same


# ---- unknown submissions

LOST = ["cut_before", "cut_after", "hang", "internal_error", "internal_error_after", "html_502"]


@every_way
@pytest.mark.parametrize("kind", LOST)
def test_lost_answer_ends_the_task(way: str, kind: str, emulator: EmulatorProcess) -> None:
    """Nobody knows whether there is a job: by default nothing more is submitted."""
    emulator.fault(SUBMIT, kind)
    task = life(way)
    assert task.attempt() == "failed"
    assert type(task.error).__name__ == "ImsSubmitUnknownError"
    assert isinstance(task.error, ImsSubmitUnknownError)
    assert len(billed(emulator)) == (kind in {"cut_after", "internal_error_after"})
    assert len(emulator.requests()) == 1
    record = task.record()
    assert record is not None
    assert (record["state"], record["job_id"]) == ("submitting", None)


@every_way
@pytest.mark.parametrize("kind", LOST)
def test_lost_answer_is_submitted_again_where_that_is_wanted(
    way: str, kind: str, emulator: EmulatorProcess, said: Said
) -> None:
    """With on_unknown_submit="resubmit" the next attempt submits, and says that it may be paid twice."""
    emulator.fault(SUBMIT, kind)
    task = life(way, on_unknown_submit="resubmit")
    assert task.attempt() == "up_for_retry"
    assert type(task.error) is ImsSubmitUnknownError
    assert task.attempt() == "success"
    check_success(task, way, billed(emulator)[-1])
    assert len(billed(emulator)) == 1 + (kind in {"cut_after", "internal_error_after"})
    text = said()
    assert "Submitting again, which may be paid twice. It is unknown whether SubmitCopyrightExtractJob of" in text
    first = next(request for request in emulator.requests() if request["action"] == SUBMIT)
    if kind.startswith("internal_error"):
        assert f"RequestId {first['request_id']}, request digest" in text


def test_what_is_known_of_a_lost_submission_is_said(emulator: EmulatorProcess) -> None:
    """The error names time, RequestId, digest and UserData, what to check, and both ways to go on."""
    emulator.fault(SUBMIT, "internal_error_after")
    task = life("submit", user_data="night 7")
    task.attempt()
    (request,) = emulator.requests()
    record = task.record()
    assert record is not None
    said = str(task.error)
    for text in (
        f'It is unknown whether {SUBMIT} of {{"Type":"OSS","Media":"{MEDIA}"}} in cn-shanghai created a job.',
        "InternalError",
        "What is known: sent at 20",
        f"RequestId {request['request_id']}",
        f"request digest {record['digest']}",
        "UserData night 7",
        "look in the account's bill for a charge at that time, or contact Alibaba Cloud support",
        "an ImsJobSensor on it gets the result",
        "clearing the task submits again",
    ):
        assert text in said


@every_way
def test_submission_that_died_with_its_worker_is_unknown(way: str, emulator: EmulatorProcess) -> None:
    """A retry that finds a submission without an answer says so and sends nothing."""
    task = life(way, user_data="night 7")
    assert task.store is not None
    task.store.troubles["set", 2] = WorkerCrash()
    assert task.attempt() == "up_for_retry"
    asked = len(emulator.requests())
    assert task.attempt() == "failed"
    assert len(emulator.requests()) == asked
    for text in ("Attempt 1 of this task ended", "sent at 20", "UserData night 7", "clearing the task submits again"):
        assert text in str(task.error)


REFUSED = ["throttle", "service_unavailable"]


@every_way
@pytest.mark.parametrize("kind", REFUSED)
def test_refused_submission_is_forgotten(way: str, kind: str, emulator: EmulatorProcess) -> None:
    """A submission that certainly made no job is retried like any other call."""
    emulator.fault(SUBMIT, kind)
    task = life(way)
    assert task.attempt() == "up_for_retry"
    assert task.record() is None
    assert task.attempt() == "success"
    check_success(task, way, billed(emulator)[0])
    assert len(billed(emulator)) == 1


def test_unreachable_service_leaves_no_record(emulator: EmulatorProcess, connect: Callable[..., None]) -> None:
    """What could not be sent is not written down either: a worker that dies meanwhile leaves no doubt."""
    connect(host="http://127.0.0.1:1")
    task = life("sync")
    assert task.store is not None
    task.store.troubles["set", 1] = AssertionError("nothing was to be written")
    assert task.attempt() == "up_for_retry"
    assert isinstance(task.error, ImsTransportError)


def test_request_is_written_down_before_it_is_sent(emulator: EmulatorProcess) -> None:
    """The record is there when the service gets the request: what, where, when, and by which attempt."""
    task = life("submit", user_data="night 7", algo_type="v2")
    seen: list[dict[str, Any]] = []
    store = task.store
    assert store is not None
    write = store.set

    def watch(key: str, value: Any, *, retention: timedelta) -> None:
        assert len(emulator.jobs()) == len(seen)
        seen.append(value)
        write(key, value, retention=retention)

    store.set = watch  # type: ignore[method-assign]
    task.attempt()
    intent, answer = seen
    (job,) = emulator.jobs()
    assert (intent["state"], intent["job_id"], intent["attempt"], intent["max_tries"]) == ("submitting", None, 1, 3)
    assert (intent["action"], intent["region"], intent["user_data"]) == (SUBMIT, "cn-shanghai", "night 7")
    assert (answer["state"], answer["job_id"]) == ("submitted", job["job_id"])
    assert {**intent, "state": 0, "at": 0, "job_id": 0, "request_id": 0} == {
        **answer,
        "state": 0,
        "at": 0,
        "job_id": 0,
        "request_id": 0,
    }
    assert store.retention == timedelta(days=30, seconds=30)


# ---- changed requests


@every_way
def test_changed_request_is_submitted(way: str, emulator: EmulatorProcess, said: Said) -> None:
    """A retry that asks for something else gets a job of its own, and the log says what goes on."""
    emulator.put_media(OTHER_MEDIA, watermark=TEXT, processing_time=0)
    task = life(way, dies_before="_publish")
    task.attempt()
    task.make = life(way, input_media=OTHER_MEDIA).make
    assert task.attempt() == "success"
    first, second = billed(emulator)
    check_success(task, way, second)
    assert f"the request of this attempt differs from that of job {first} (request digest " in said()


@pytest.mark.parametrize(
    "change", [{"algo_type": "v1"}, {"job_params": {"x": 1}}, {"input_media": OTHER_MEDIA}], ids=str
)
def test_digest_tells_what_is_asked_for(change: dict[str, Any]) -> None:
    """The digest changes with whatever changes the job."""
    operator = ImsSubmitCopyrightExtractJobOperator
    one = operator(task_id="t", input_media=MEDIA).job_parameters("cn-shanghai")
    other = operator(**{"task_id": "t", "input_media": MEDIA, **change}).job_parameters("cn-shanghai")
    assert (
        SubmissionRequest(COPYRIGHT_EXTRACT, "cn-shanghai", one).digest
        != SubmissionRequest(COPYRIGHT_EXTRACT, "cn-shanghai", other).digest
    )
    assert (
        SubmissionRequest(COPYRIGHT_EXTRACT, "cn-shanghai", one).digest
        != SubmissionRequest(COPYRIGHT_EXTRACT, "cn-beijing", one).digest
    )


@every_way
def test_changed_user_data_is_no_other_request(way: str, emulator: EmulatorProcess) -> None:
    """UserData is a label: one that renders differently at each attempt must not be paid for each time."""
    task = life(way, dies_before="_publish", user_data="attempt 1")
    task.attempt()
    task.make = life(way, user_data="attempt 2").make
    assert task.attempt() == "success"
    check_success(task, way, billed(emulator)[0])
    assert len(billed(emulator)) == 1


def test_changed_request_does_not_hide_an_unknown_one(emulator: EmulatorProcess) -> None:
    """Whether the earlier request made a job is not known, whatever this attempt asks for: the task ends."""
    emulator.fault(SUBMIT, "cut_after")
    task = life("submit", on_unknown_submit="resubmit")
    task.attempt()
    task.make = life("submit", input_media=OTHER_MEDIA).make
    assert task.attempt() == "failed"
    assert f'"Media":"{MEDIA}"' in str(task.error)
    assert len(billed(emulator)) == 1


# ---- families with a ClientToken


@every_way
@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("has_store", [True, False])
def test_token_makes_a_lost_submission_safe_to_repeat(
    way: str,
    kind: str,
    has_store: bool,  # noqa: FBT001 - a column of the table
    emulator: EmulatorProcess,
    said: Said,
) -> None:
    """With a token the retry submits again, without a warning and without a second job, on any Airflow."""
    emulator.configure(client_token="honoured")
    emulator.fault(SUBMIT, kind)
    task = life(way, kind=WithToken)
    if not has_store:
        task.store = None
    assert task.attempt() == "up_for_retry"
    said()
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 1
    check_success(task, way, billed(emulator)[0])
    assert "paid twice" not in said()


@every_way
def test_token_makes_a_dead_worker_harmless(way: str, emulator: EmulatorProcess) -> None:
    """Without a store the token alone keeps a retry from making a second job."""
    emulator.configure(client_token="honoured")
    task = life(way, kind=WithToken, dies_before="_publish")
    task.store = None
    task.attempt()
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 1


def test_token_changes_where_a_new_job_is_wanted(emulator: EmulatorProcess) -> None:
    """A retry after a failed job, and a clear, get a job of their own."""
    emulator.configure(client_token="honoured")
    emulator.put_media(MEDIA, processing_time=0, variant="state_field")
    task = life("sync", kind=WithToken)
    assert task.attempt() == "up_for_retry"
    emulator.put_media(MEDIA, watermark=TEXT, processing_time=0)
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 2
    task.clear()
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 3


def test_token_of_the_user_is_kept() -> None:
    """Who brings a token of their own knows what it is for."""
    record = SubmissionStore(replace(COPYRIGHT_EXTRACT, takes_client_token=True), Attempt(), None, None)
    assert (
        record.start(SubmissionRequest(COPYRIGHT_EXTRACT, "r", {"ClientToken": "mine"}), wait=1).client_token == "mine"
    )
    tokens = {record.start(SubmissionRequest(COPYRIGHT_EXTRACT, "r", {}), wait=1).client_token for _ in range(3)}
    assert len(tokens) == 1
    assert (
        SubmissionStore(COPYRIGHT_EXTRACT, Attempt(), None, None)
        .start(SubmissionRequest(COPYRIGHT_EXTRACT, "r", {}), wait=1)
        .params
        == {}
    )


# ---- a store that does not work


@pytest.mark.parametrize("call", ["get", "set"])
def test_nothing_is_submitted_that_cannot_be_remembered(call: str, emulator: EmulatorProcess) -> None:
    """If the record cannot be read or written, nothing is sent, and the retry tries again."""
    task = life("sync")
    assert task.store is not None
    task.store.troubles[call, 1] = ConnectionError("the API server is gone")
    assert task.attempt() == "up_for_retry"
    assert isinstance(task.error, ImsRecordError)
    done = {"get": "read", "set": "written"}[call]
    assert f"could not be {done}: ConnectionError: the API server is gone" in str(task.error)
    assert "Nothing is submitted without it" in str(task.error)
    assert emulator.requests() == []
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 1


@every_wait
def test_job_whose_id_cannot_be_remembered_is_waited_for(way: str, emulator: EmulatorProcess, said: Said) -> None:
    """The job exists: its result is worth more than the record, and the log has its id."""
    task = life(way)
    assert task.store is not None
    task.store.troubles["set", 2] = ConnectionError("the API server is gone")
    assert task.attempt() == "success"
    (job_id,) = billed(emulator)
    check_success(task, way, job_id)
    assert f"Job {job_id} exists and is billed, and no retry finds it." in said()
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsSubmitUnknownError)
    assert len(billed(emulator)) == 1


@pytest.mark.parametrize("value", ["text", [], {}, {"at": "noon"}, {**RECORD.to_value(), "job_id": 7}], ids=str)
def test_record_that_makes_no_sense_ends_the_task(value: Any, emulator: EmulatorProcess) -> None:
    """What somebody has changed in the store is no reason to submit: a person has to look."""
    task = life("sync")
    assert task.store is not None
    task.store.values[KEY] = json.dumps(value)
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsRecordError)
    assert f"Look at {KEY} in the task's state store" in str(task.error)
    assert emulator.requests() == []


def test_record_of_a_newer_version_is_read() -> None:
    """Fields that are not known yet do no harm, and those that are not known any more are not missed."""
    value = {**RECORD.to_value(), "of_a_newer_version": 1}
    assert SubmissionRecord.from_value(value) == RECORD


def test_task_that_was_killed_submits_nothing(emulator: EmulatorProcess) -> None:
    """A task that is killed before its submission pays for no job that nobody waits for."""

    class Killed(ImsSubmitCopyrightExtractJobOperator):
        def job_parameters(self, region: str) -> dict[str, str]:
            self.on_kill()
            return super().job_parameters(region)

    task = life("sync", kind=Killed)
    assert task.attempt() == "up_for_retry"
    assert "The task was killed before it had submitted its job. Nothing was sent." in str(task.error)
    assert emulator.requests() == []
    assert task.record() is None


# ---- wrong arguments


def test_choices_come_from_default_args_too() -> None:
    """What a DAG says for all of its tasks holds for this operator."""
    from airflow.providers.common.compat.sdk import DAG

    with DAG("defaults", schedule=None, default_args={"durable": False, "on_unknown_submit": "resubmit"}):
        operator = ImsSubmitCopyrightExtractJobOperator(task_id="extract", input_media=MEDIA)
    assert (operator.durable, operator.on_unknown_submit) == (False, "resubmit")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"durable": "no"}, "durable is 'no'. Give True or False"),
        ({"durable": None}, "durable is None. Give True or False"),
        ({"on_unknown_submit": "retry"}, "on_unknown_submit is 'retry'. Give 'fail' or 'resubmit'"),
    ],
)
def test_wrong_choice_is_refused_before_anything_is_billed(
    arguments: dict[str, Any], says: str, emulator: EmulatorProcess
) -> None:
    """A choice that does not exist is told before the submission."""
    task = life("sync", **arguments)
    assert task.attempt() == "failed"
    assert says in str(task.error)
    assert emulator.requests() == []


def test_job_is_not_lost_sight_of_where_the_connection_went_wrong(
    emulator: EmulatorProcess, connect: Callable[..., None], said: Said
) -> None:
    """A retry that cannot read the connection any more still says which job goes on."""
    task = life("sync", dies_before="_publish")
    task.attempt()
    connect(password="")
    said()
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsConfigurationError)
    assert f"Job {billed(emulator)[0]} goes on, and is billed. It was submitted by attempt 1 at 20" in said()


def test_submission_of_a_user_is_not_retried(emulator: EmulatorProcess) -> None:
    """Who calls the hook in a task of their own has no record: a lost answer is not retried."""
    from airflow_provider_ims.hooks.ims import ImsHook

    emulator.fault(SUBMIT, "cut_after")
    with pytest.raises(ImsSubmitUnknownError) as lost:
        ImsHook().submit_copyright_extract_job(MEDIA)
    assert isinstance(lost.value, AirflowFailException)
    assert isinstance(lost.value, ImsError)
    emulator.fault(SUBMIT, "throttle")
    with pytest.raises(ImsThrottledError) as refused:
        ImsHook().submit_copyright_extract_job(MEDIA)
    assert not isinstance(refused.value, AirflowFailException)
