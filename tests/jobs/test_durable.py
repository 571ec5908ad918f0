"""A task over its attempts: what it records, what a retry does with the record, and what a clear does."""

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
from airflow_provider_ims.jobs import durable
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.durable import KEY, SubmissionStore
from airflow_provider_ims.jobs.polling import UNEXPLAINED_LIMIT
from airflow_provider_ims.jobs.submission import Attempt, SubmissionRecord, SubmissionRequest
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from tests.attempts import SimulatedTask, WorkerCrash
from tests.responses import REJECTED as RESPONSES_OF_A_REJECTION
from tests.responses import UNKNOWN, Case

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_ims.emulator.process import EmulatorProcess

    Logged = Callable[[], str]

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
NO_WATERMARK: dict[str, Any] = {"processing_time": 0}
FORBIDDEN: dict[str, Any] = {"status": 403, "body": '{"Code": "Forbidden.RAM", "Message": "no", "RequestId": "R"}'}

every_way = pytest.mark.parametrize("way", WAYS)
every_wait = pytest.mark.parametrize("way", ["sync", "defer"])


pytestmark = pytest.mark.usefixtures("no_correction_grace")


@pytest.fixture
def emulator(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> EmulatorProcess:
    """Return an emulator with a video that has a watermark and whose jobs end at once."""
    connect(extra={"connect_timeout": 2, "read_timeout": 1})
    ims_emulator.put_media(MEDIA, watermark=TEXT, processing_time=0)
    return ims_emulator


class WithToken(ImsSubmitCopyrightExtractJobOperator):
    """The operator of a family that takes a ClientToken."""

    job_type = replace(COPYRIGHT_EXTRACT, takes_client_token=True)


def make_task(
    way: str,
    *,
    crash_before: str | None = None,
    kind: type[ImsSubmitCopyrightExtractJobOperator] = ImsSubmitCopyrightExtractJobOperator,
    **arguments: Any,
) -> SimulatedTask:
    """Return a task that submits, and waits in one of the ways.

    :param crash_before: the method of the operator at which its first worker crashes, None for none
    :param kind: the class of the operator
    :param arguments: arguments of the operator that differ from the defaults of this module
    """
    crashes = {crash_before}

    class CrashingOperator(kind):  # type: ignore[misc, valid-type]
        def __getattribute__(self, name: str) -> Any:
            if name in crashes:
                crashes.clear()
                raise WorkerCrash
            return super().__getattribute__(name)

    values = {"task_id": "extract", "input_media": MEDIA, **QUICK, **WAYS[way], **arguments}
    return SimulatedTask(lambda: CrashingOperator(**values))


def billed(emulator: EmulatorProcess) -> list[str]:
    return [line["job_id"] for line in emulator.bill()["lines"]]


def check_success(task: SimulatedTask, way: str, job_id: str) -> None:
    """Check that the last attempt has pushed everything about a job."""
    xcoms = task.ti.xcoms
    assert xcoms["return_value"] == xcoms["job_id"] == xcoms["ims_job_link"]["job_id"] == job_id
    assert xcoms["request_id"]
    assert xcoms.get("watermark") == (None if way == "submit" else TEXT)
    assert xcoms.get("outcome") == (None if way == "submit" else "found")


# ---- retries resume


@every_way
def test_retry_resumes_a_running_job(way: str, emulator: EmulatorProcess) -> None:
    """A retry pushes id, link and text of the job of the earlier attempt, and submits nothing."""
    emulator.put_media(MEDIA, watermark=TEXT, processing_time=1)
    task = make_task(way, crash_before="_publish")
    assert task.attempt() == "up_for_retry"
    (job_id,) = billed(emulator)
    assert task.ti.xcoms == {}
    assert task.attempt() == "success"
    check_success(task, way, job_id)
    assert billed(emulator) == [job_id]


@every_way
def test_retry_resumes_a_job_that_has_ended(way: str, emulator: EmulatorProcess) -> None:
    """A retry gets the result of a job that ended in the meantime with one query."""
    task = make_task(way, crash_before="_publish")
    task.attempt()
    assert task.attempt() == "success"
    (job_id,) = billed(emulator)
    check_success(task, way, job_id)
    assert emulator.jobs()[0]["queries"] == 1


@every_way
def test_retry_after_success_resumes_the_job(way: str, emulator: EmulatorProcess) -> None:
    """A retry of a successful task, whose success did not reach Airflow, resumes the same job."""
    task = make_task(way)
    assert task.attempt() == "success"
    assert task.attempt() == "success"
    check_success(task, way, billed(emulator)[0])
    assert len(billed(emulator)) == 1


@every_way
@pytest.mark.parametrize(("variant", "state"), [("state_field", "failed"), ("cancelled", "cancelled")])
def test_retry_submits_anew_after_a_failed_or_cancelled_job(
    way: str, variant: str, state: str, emulator: EmulatorProcess, logged: Logged
) -> None:
    """A retry does not resume a failed or cancelled job; the log says why it submits a second one."""
    emulator.put_media(MEDIA, processing_time=0, variant=variant)
    task = make_task(way, crash_before="_publish")
    task.attempt()
    emulator.put_media(MEDIA, watermark=TEXT, processing_time=0)
    assert task.attempt() == "success"
    first, second = billed(emulator)
    check_success(task, way, second)
    assert f"Submitting a new job: {first} has {state}. It was submitted by attempt 1 at 20" in logged()


@every_wait
def test_retry_submits_anew_after_the_task_reported_the_failure(way: str, emulator: EmulatorProcess) -> None:
    """After a task has failed with its job, the record is deleted and the retry does not poll that job."""
    emulator.put_media(MEDIA, processing_time=0, variant="state_field")
    task = make_task(way)
    assert task.attempt() == "up_for_retry"
    assert isinstance(task.error, ImsJobFailedError)
    assert task.record() is None
    emulator.put_media(MEDIA, watermark=TEXT, processing_time=0)
    assert task.attempt() == "success"
    check_success(task, way, billed(emulator)[1])
    assert [job["queries"] for job in emulator.jobs()] == [1, 1]


@every_wait
def test_retry_resumes_a_job_whose_first_polls_fail(way: str, emulator: EmulatorProcess) -> None:
    """A failed query says nothing about the job: the retry resumes it."""
    emulator.fault(QUERY, "html_502", times=2)
    task = make_task(way, crash_before="_publish")
    task.attempt()
    assert task.attempt() == "success"
    check_success(task, way, billed(emulator)[0])


def test_resume_is_logged_in_one_line(emulator: EmulatorProcess, logged: Logged) -> None:
    """The log of the retry names the resumed job, and the attempt and time of its submission."""
    task = make_task("submit", crash_before="_publish")
    task.attempt()
    logged()
    task.attempt()
    (job,) = emulator.jobs()
    request_id = task.ti.xcoms["request_id"]
    text = logged()
    assert f"Resuming CopyrightExtractJob {job['job_id']}, submitted by attempt 1 at 20" in text
    assert f"(RequestId {request_id})" in text
    assert "Submitted" not in text
    assert "Waiting" not in text


def test_kill_of_a_retry_names_the_job(emulator: EmulatorProcess, logged: Logged) -> None:
    """on_kill also names a job that an earlier attempt has submitted."""
    task = make_task("submit", crash_before="_publish")
    task.attempt()
    operator = task.make_operator()
    operator.execute(task.context())
    logged()
    operator.on_kill()
    assert f"This task no longer waits for job {billed(emulator)[0]}" in logged()


@every_wait
def test_timeout_counts_from_the_submission(way: str, emulator: EmulatorProcess) -> None:
    """The time-out does not start again with a retry: it polls once more and fails."""
    emulator.put_media(MEDIA, **NO_WATERMARK)
    task = make_task(way, crash_before="_publish")
    task.attempt()
    task.backdate(60)
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsJobTimeoutError)
    assert "after 1 poll in 1 min" in str(task.error)
    assert len(billed(emulator)) == 1


@every_wait
def test_no_watermark_after_counts_from_the_submission(way: str, emulator: EmulatorProcess) -> None:
    """Time before the crash counts for no_watermark_after: the retry does not wait again."""
    emulator.put_media(MEDIA, **NO_WATERMARK)
    task = make_task(way, crash_before="_publish", no_watermark_after=20)
    task.attempt()
    task.backdate(25)
    assert task.attempt() == "success"
    assert task.ti.xcoms["watermark"] == ""


# ---- which errors are retried


@every_wait
def test_failed_wait_is_retried_if_the_job_is_recorded(way: str, emulator: EmulatorProcess) -> None:
    """If a query is refused, the retries poll the same job."""
    emulator.fault(QUERY, "answer", times=2 * UNEXPLAINED_LIMIT, **FORBIDDEN)
    task = make_task(way)
    assert task.attempt() == "up_for_retry"
    assert type(task.error) is ImsCredentialsError
    assert task.run() == "success"
    assert task.number == 3
    check_success(task, way, billed(emulator)[0])


@every_way
@pytest.mark.parametrize("key", ["job_id", "ims_job_link"])
def test_failed_push_is_retried_if_the_job_is_recorded(way: str, key: str, emulator: EmulatorProcess) -> None:
    """If an XCom cannot be pushed, the retry pushes it."""
    task = make_task(way)
    assert task.attempt(failing_key=key) == "up_for_retry"
    assert isinstance(task.error, ImsPublishError)
    assert not isinstance(task.error, AirflowFailException)
    assert task.attempt() == "success"
    check_success(task, way, billed(emulator)[0])


def test_broken_trigger_is_retried_if_the_job_is_recorded(emulator: EmulatorProcess) -> None:
    """If Airflow itself ends a deferred task, the retry continues the wait for its job."""
    emulator.put_media(MEDIA, watermark=TEXT, processing_time=0.5)
    task = make_task("defer", crash_before="execute_complete")
    task.attempt()
    with pytest.raises(ImsTriggerEventError) as broken:
        task.make_operator().resume_execution("__fail__", {"error": "Trigger timeout"}, task.context())
    assert not isinstance(broken.value, AirflowFailException)
    assert broken.value.job_id == billed(emulator)[0]
    assert task.attempt() == "success"
    check_success(task, "defer", billed(emulator)[0])


@pytest.mark.parametrize("missing", ["durable", "store"])
@every_wait
def test_failed_wait_is_not_retried_without_a_record(way: str, missing: str, emulator: EmulatorProcess) -> None:
    """Without a record, a failed wait is not retried, because the retry would pay for a second job."""
    emulator.fault(QUERY, "answer", times=UNEXPLAINED_LIMIT, **FORBIDDEN)
    task = make_task(way, durable=missing != "durable")
    if missing == "store":
        task.store = None
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsCredentialsError)
    assert len(billed(emulator)) == 1
    assert task.record() is None


def test_task_that_is_not_durable_submits_again(emulator: EmulatorProcess) -> None:
    """With durable=False, a retry after a crash submits a second job: what the tests above exclude."""
    task = make_task("sync", crash_before="_publish", durable=False)
    task.attempt()
    assert task.attempt() == "success"
    check_success(task, "sync", billed(emulator)[1])


def test_missing_store_is_logged_once(emulator: EmulatorProcess, logged: Logged) -> None:
    """Without a store, one line says that a crash costs a second job; not if durable=False."""
    line = "Airflow before 3.3 keeps nothing from attempt to attempt"
    for is_durable, times in ((True, 1), (False, 0)):
        task = make_task("sync", durable=is_durable)
        task.store = None
        assert task.attempt() == "success"
        assert logged().count(line) == times
    assert make_task("sync").attempt() == "success"
    assert line not in logged()


# ---- a clear submits anew

OUTCOMES: dict[str, tuple[str, dict[str, Any]]] = {
    "success": ("success", {}),
    "failure": ("failed", {}),
    "timeout": ("failed", {"timeout": 0.2}),
    "unknown": ("failed", {}),
}


def run_to_outcome(outcome: str, task: SimulatedTask, emulator: EmulatorProcess) -> None:
    """Run a task to an outcome, with one job."""
    match outcome:
        case "failure":
            emulator.fault(QUERY, "answer", times=(task.retries + 1) * UNEXPLAINED_LIMIT, **FORBIDDEN)
        case "timeout":
            emulator.put_media(MEDIA, **NO_WATERMARK)
        case "unknown":
            emulator.fault(SUBMIT, "cut_after")
    assert task.run() == OUTCOMES[outcome][0]
    assert len(billed(emulator)) == 1
    emulator.put_media(MEDIA, watermark=TEXT, processing_time=0)


@every_wait
@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("retries", [3, 2, 1, 0])
def test_clear_submits_anew(way: str, outcome: str, retries: int, emulator: EmulatorProcess) -> None:
    """A cleared task submits a new job, whatever its outcome was, also if the DAG has fewer retries since."""
    task = make_task(way, **OUTCOMES[outcome][1])
    run_to_outcome(outcome, task, emulator)
    task.clear(retries=retries)
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 2
    check_success(task, way, billed(emulator)[1])


def test_clear_of_another_task_does_not_submit_anew(emulator: EmulatorProcess) -> None:
    """If another task of the run was cleared, the retry still resumes its job."""
    task = make_task("sync", crash_before="_publish")
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
        # A clear: max_tries is the second attempt's number plus three retries.
        (Attempt(number=3, max_tries=5, retries=3, clear_number=2), False),
        # A clear when the DAG has one retry: 2 + 1 is the same max_tries as before.
        (Attempt(number=3, max_tries=3, retries=1, clear_number=2), False),
        # The DAG has one retry since, and nothing was cleared.
        (Attempt(number=3, max_tries=3, retries=1, clear_number=1), True),
        # Another task was cleared.
        (Attempt(number=3, max_tries=3, retries=3, clear_number=7), True),
    ],
)
def test_clear_is_distinguished_from_a_retry(attempt: Attempt, same: bool) -> None:  # noqa: FBT001 - a column of the table
    """A clear raises max_tries, a retry does not."""
    assert RECORD.is_same_clear(attempt) is same


# ---- unknown submissions

LOST = ["cut_before", "cut_after", "hang", "internal_error", "internal_error_after", "html_502", "service_unavailable"]


@every_way
@pytest.mark.parametrize("kind", LOST)
def test_lost_response_fails_the_task(way: str, kind: str, emulator: EmulatorProcess) -> None:
    """If the response is lost, the task fails without a retry, because a job may exist."""
    emulator.fault(SUBMIT, kind)
    task = make_task(way)
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
def test_lost_response_is_submitted_again_with_resubmit(
    way: str, kind: str, emulator: EmulatorProcess, logged: Logged
) -> None:
    """With on_unknown_submit="resubmit" the next attempt submits, and logs that it may be paid twice."""
    emulator.fault(SUBMIT, kind)
    task = make_task(way, on_unknown_submit="resubmit")
    assert task.attempt() == "up_for_retry"
    assert type(task.error) is ImsSubmitUnknownError
    assert task.attempt() == "success"
    check_success(task, way, billed(emulator)[-1])
    assert len(billed(emulator)) == 1 + (kind in {"cut_after", "internal_error_after"})
    text = logged()
    assert "Submitting again, which may be paid twice. It is unknown whether SubmitCopyrightExtractJob of" in text
    first = next(request for request in emulator.requests() if request["action"] == SUBMIT)
    if kind.startswith("internal_error"):
        assert f"RequestId {first['request_id']}, request digest" in text


def test_unknown_submission_names_what_is_known(emulator: EmulatorProcess) -> None:
    """The error has time, RequestId, digest and UserData, and says what to check and what to do then."""
    emulator.fault(SUBMIT, "internal_error_after")
    task = make_task("submit", user_data="night 7")
    task.attempt()
    (request,) = emulator.requests()
    record = task.record()
    assert record is not None
    message = str(task.error)
    for text in (
        f"It is unknown whether {SUBMIT} of {MEDIA} in cn-shanghai created a job.",
        "InternalError",
        "What is known: sent at 20",
        f"RequestId {request['request_id']}",
        f"request digest {record['digest']}",
        "UserData night 7",
        "look in the account's bill for a charge at that time, or contact Alibaba Cloud support",
        "an ImsJobSensor on it gets the result",
        "clearing the task submits again",
    ):
        assert text in message


@every_way
def test_submission_of_a_crashed_worker_is_unknown(way: str, emulator: EmulatorProcess) -> None:
    """A retry that finds the record of a submission without a response fails and sends nothing."""
    task = make_task(way, user_data="night 7")
    assert task.store is not None
    task.store.failures["set", 2] = WorkerCrash()
    assert task.attempt() == "up_for_retry"
    requests = len(emulator.requests())
    assert task.attempt() == "failed"
    assert len(emulator.requests()) == requests
    for text in ("Attempt 1 of this task ended", "sent at 20", "UserData night 7", "clearing the task submits again"):
        assert text in str(task.error)


@pytest.mark.parametrize("case", UNKNOWN, ids=lambda case: case[0])
@pytest.mark.parametrize("carried_out", [True, False], ids=["created", "not created"])
def test_job_behind_an_error_is_not_paid_for_twice(
    case: Case,
    carried_out: bool,  # noqa: FBT001 - a column of the table
    emulator: EmulatorProcess,
) -> None:
    """If a response does not say for certain that no job exists, the task ends, and no attempt submits again."""
    emulator.fault(SUBMIT, "answer", **case[1], carried_out=carried_out)
    task = make_task("submit")
    assert task.run() == "failed"
    assert isinstance(task.error, ImsSubmitUnknownError)
    assert len(billed(emulator)) == carried_out
    record = task.record()
    assert record is not None
    assert record["state"] == "submitting"


@pytest.mark.parametrize("case", RESPONSES_OF_A_REJECTION, ids=lambda case: case[0])
def test_known_rejection_leaves_no_record(case: Case, emulator: EmulatorProcess) -> None:
    """After a response that says for certain that no job exists, there is nothing to resume."""
    emulator.fault(SUBMIT, "answer", **case[1])
    task = make_task("submit")
    task.attempt()
    assert isinstance(task.error, case[2])
    assert task.record() is None
    assert billed(emulator) == []


REJECTED = ["throttle"]


@every_way
@pytest.mark.parametrize("kind", REJECTED)
def test_rejected_submission_leaves_no_record(way: str, kind: str, emulator: EmulatorProcess) -> None:
    """A rejected submission created no job: its record is deleted and the retry submits."""
    emulator.fault(SUBMIT, kind)
    task = make_task(way)
    assert task.attempt() == "up_for_retry"
    assert task.record() is None
    assert task.attempt() == "success"
    check_success(task, way, billed(emulator)[0])
    assert len(billed(emulator)) == 1


def test_unreachable_service_writes_no_record(emulator: EmulatorProcess, connect: Callable[..., None]) -> None:
    """Nothing is recorded before the connection is open: a crash until then leaves no unknown submission."""
    connect(host="http://127.0.0.1:1")
    task = make_task("sync")
    assert task.store is not None
    task.store.failures["set", 1] = AssertionError("a record was written")
    assert task.attempt() == "up_for_retry"
    assert isinstance(task.error, ImsTransportError)


def test_submission_is_recorded_before_it_is_sent(emulator: EmulatorProcess) -> None:
    """The record is written before the request is sent: action, region, user data and attempt."""
    task = make_task("submit", user_data="night 7", algo_type="v2")
    records: list[dict[str, Any]] = []
    store = task.store
    assert store is not None
    write = store.set

    def record(key: str, value: Any, *, retention: timedelta) -> None:
        assert len(emulator.jobs()) == len(records)
        records.append(value)
        write(key, value, retention=retention)

    store.set = record  # type: ignore[method-assign]
    task.attempt()
    before, after = records
    (job,) = emulator.jobs()
    assert (before["state"], before["job_id"], before["attempt"], before["max_tries"]) == ("submitting", None, 1, 3)
    assert (before["action"], before["region"], before["user_data"]) == (SUBMIT, "cn-shanghai", "night 7")
    assert (after["state"], after["job_id"]) == ("submitted", job["job_id"])
    assert {**before, "state": 0, "at": 0, "job_id": 0, "request_id": 0} == {
        **after,
        "state": 0,
        "at": 0,
        "job_id": 0,
        "request_id": 0,
    }
    assert store.retention == timedelta(days=30, seconds=30)


# ---- changed requests


@every_way
def test_changed_request_is_submitted(way: str, emulator: EmulatorProcess, logged: Logged) -> None:
    """A retry with a changed request submits a new job, and logs that the first one goes on."""
    emulator.put_media(OTHER_MEDIA, watermark=TEXT, processing_time=0)
    task = make_task(way, crash_before="_publish")
    task.attempt()
    task.make_operator = make_task(way, input_media=OTHER_MEDIA).make_operator
    assert task.attempt() == "success"
    first, second = billed(emulator)
    check_success(task, way, second)
    assert f"the request of this attempt differs from that of job {first} (request digest " in logged()


@pytest.mark.parametrize(
    "change", [{"algo_type": "v1"}, {"job_params": {"x": 1}}, {"input_media": OTHER_MEDIA}], ids=str
)
def test_digest_depends_on_arguments_and_region(change: dict[str, Any]) -> None:
    """The digest changes with each argument that changes the job, and with the region."""
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
def test_changed_user_data_does_not_change_the_request(way: str, emulator: EmulatorProcess) -> None:
    """UserData may render differently in each attempt: the retry still resumes the job."""
    task = make_task(way, crash_before="_publish", user_data="attempt 1")
    task.attempt()
    task.make_operator = make_task(way, user_data="attempt 2").make_operator
    assert task.attempt() == "success"
    check_success(task, way, billed(emulator)[0])
    assert len(billed(emulator)) == 1


def test_changed_request_does_not_hide_an_unknown_submission(emulator: EmulatorProcess) -> None:
    """An unknown submission fails the task, also if this attempt has another request."""
    emulator.fault(SUBMIT, "cut_after")
    task = make_task("submit", on_unknown_submit="resubmit")
    task.attempt()
    task.make_operator = make_task("submit", input_media=OTHER_MEDIA).make_operator
    assert task.attempt() == "failed"
    assert f"of {MEDIA} in" in str(task.error)
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
    logged: Logged,
) -> None:
    """With a token the retry submits again, without a warning or a second job, with and without a store."""
    emulator.configure(client_token="honoured")
    emulator.fault(SUBMIT, kind)
    task = make_task(way, kind=WithToken)
    if not has_store:
        task.store = None
    assert task.attempt() == "up_for_retry"
    logged()
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 1
    check_success(task, way, billed(emulator)[0])
    assert "paid twice" not in logged()


@every_way
def test_token_prevents_a_second_job_after_a_crash(way: str, emulator: EmulatorProcess) -> None:
    """Without a store, the token alone prevents that a retry creates a second job."""
    emulator.configure(client_token="honoured")
    task = make_task(way, kind=WithToken, crash_before="_publish")
    task.store = None
    task.attempt()
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 1


def test_token_changes_after_a_failed_job_and_a_clear(emulator: EmulatorProcess) -> None:
    """A retry after a failed job creates a new job, and so does a clear."""
    emulator.configure(client_token="honoured")
    emulator.put_media(MEDIA, processing_time=0, variant="state_field")
    task = make_task("sync", kind=WithToken)
    assert task.attempt() == "up_for_retry"
    emulator.put_media(MEDIA, watermark=TEXT, processing_time=0)
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 2
    task.clear()
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 3


def test_token_of_the_caller_is_kept() -> None:
    """A ClientToken in the request is kept; else one is made, and only for families that take one."""
    family = replace(COPYRIGHT_EXTRACT, takes_client_token=True)
    record = SubmissionStore(family, Attempt(), None, None)
    assert record.start(SubmissionRequest(family, "r", {"ClientToken": "mine"}), wait=1).client_token == "mine"
    tokens = {record.start(SubmissionRequest(family, "r", {}), wait=1).client_token for _ in range(3)}
    assert len(tokens) == 1
    assert None not in tokens
    assert (
        SubmissionStore(COPYRIGHT_EXTRACT, Attempt(), None, None)
        .start(SubmissionRequest(COPYRIGHT_EXTRACT, "r", {}), wait=1)
        .params
        == {}
    )


# ---- a store that fails


@pytest.mark.parametrize("call", ["get", "set"])
def test_nothing_is_submitted_without_a_record(call: str, emulator: EmulatorProcess) -> None:
    """If the record cannot be read or written, nothing is sent, and the retry tries again."""
    task = make_task("sync")
    assert task.store is not None
    task.store.failures[call, 1] = ConnectionError("the API server is gone")
    assert task.attempt() == "up_for_retry"
    assert isinstance(task.error, ImsRecordError)
    operation = {"get": "read", "set": "written"}[call]
    assert f"could not be {operation}: ConnectionError: the API server is gone" in str(task.error)
    assert "Nothing is submitted without it" in str(task.error)
    assert emulator.requests() == []
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 1


@every_wait
def test_job_whose_id_cannot_be_recorded_is_waited_for(
    way: str, emulator: EmulatorProcess, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the JobId cannot be recorded for minutes, it is logged and the task still waits for the job."""
    monkeypatch.setattr(durable, "_WRITE_TIMEOUT", 0.0)
    task = make_task(way)
    assert task.store is not None
    task.store.failures.update({("set", call): ConnectionError("the API server is gone") for call in range(2, 9)})
    assert task.attempt() == "success"
    (job_id,) = billed(emulator)
    check_success(task, way, job_id)
    assert f"Job {job_id} exists and is billed, and no retry finds it." in logged()
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsSubmitUnknownError)
    assert len(billed(emulator)) == 1


TIMES = [{**RECORD.to_value(), name: seconds} for name in ("at", "resumed_at") for seconds in (1e15, -1e15, 1.7e12)]


@pytest.mark.parametrize("value", ["text", [], {}, {"at": "noon"}, {**RECORD.to_value(), "job_id": 7}, *TIMES], ids=str)
def test_damaged_record_fails_the_task(value: Any, emulator: EmulatorProcess) -> None:
    """A record that cannot be read fails the task without a submission: a person has to look."""
    task = make_task("sync")
    assert task.store is not None
    task.store.values[KEY] = json.dumps(value)
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsRecordError)
    assert f"Look at {KEY} in the task's state store" in str(task.error)
    assert emulator.requests() == []


def test_record_of_a_newer_version_is_read() -> None:
    """Fields of a newer version are ignored."""
    value = {**RECORD.to_value(), "of_a_newer_version": 1}
    assert SubmissionRecord.from_value(value) == RECORD


def test_killed_task_submits_nothing(emulator: EmulatorProcess) -> None:
    """A task that is killed before its submission does not submit."""

    class Killed(ImsSubmitCopyrightExtractJobOperator):
        def job_parameters(self, region: str) -> Mapping[str, Any]:
            self.on_kill()
            return super().job_parameters(region)

    task = make_task("sync", kind=Killed)
    assert task.attempt() == "up_for_retry"
    assert "The task was killed before it had submitted its job. Nothing was sent." in str(task.error)
    assert emulator.requests() == []
    assert task.record() is None


# ---- wrong arguments


def test_choices_are_read_from_default_args() -> None:
    """The arguments durable and on_unknown_submit can be set in the default_args of a DAG."""
    from airflow.providers.common.compat.sdk import DAG

    with DAG("defaults", schedule=None, default_args={"durable": False, "on_unknown_submit": "resubmit"}):
        operator = ImsSubmitCopyrightExtractJobOperator(task_id="extract", input_media=MEDIA)
    assert (operator.durable, operator.on_unknown_submit) == (False, "resubmit")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"durable": "no"}, "durable is 'no'. Give True or False"),
        ({"durable": None}, "durable is None. Give True or False"),
        ({"on_unknown_submit": "retry"}, "on_unknown_submit is 'retry'. Give 'fail' or 'resubmit'"),
    ],
)
def test_wrong_choice_is_refused_before_the_submission(
    arguments: dict[str, Any], message: str, emulator: EmulatorProcess
) -> None:
    """A value that is not a valid choice is an error, and nothing is sent."""
    task = make_task("sync", **arguments)
    assert task.attempt() == "failed"
    assert message in str(task.error)
    assert emulator.requests() == []


def test_invalid_connection_logs_the_job_that_goes_on(
    emulator: EmulatorProcess, connect: Callable[..., None], logged: Logged
) -> None:
    """A retry whose connection has become invalid logs which job goes on."""
    task = make_task("sync", crash_before="_publish")
    task.attempt()
    connect(password="")
    logged()
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsConfigurationError)
    assert f"Job {billed(emulator)[0]} goes on, and is billed. It was submitted by attempt 1 at 20" in logged()


def test_unknown_submission_of_the_hook_is_not_retried(emulator: EmulatorProcess) -> None:
    """An unknown submission through the hook is not retried, because it has no record; a throttled one is."""
    from airflow_provider_ims.hooks.ims import ImsHook

    emulator.fault(SUBMIT, "cut_after")
    with pytest.raises(ImsSubmitUnknownError) as lost:
        ImsHook().submit_copyright_extract_job(MEDIA)
    assert isinstance(lost.value, AirflowFailException)
    assert isinstance(lost.value, ImsError)
    emulator.fault(SUBMIT, "throttle")
    with pytest.raises(ImsThrottledError) as throttled:
        ImsHook().submit_copyright_extract_job(MEDIA)
    assert not isinstance(throttled.value, AirflowFailException)
