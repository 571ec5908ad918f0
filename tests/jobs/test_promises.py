"""One job, one bill, under a slow, failing or interrupted record, and an interrupted task."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.exceptions import ImsConnectionNotFoundError, ImsRecordError, ImsSubmitUnknownError
from airflow_provider_ims.jobs import durable
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from tests.attempts import ObjectStore, SimulatedTask, WorkerCrash

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from airflow_provider_ims.emulator.process import EmulatorProcess

    Connect = Callable[..., None]
    Logged = Callable[[], str]

MEDIA = "oss://rights-evidence/clip.mp4"
OTHER_MEDIA = "oss://rights-evidence/other.mp4"
SUBMIT = "SubmitCopyrightExtractJob"
TEXT = "(c) Studio"
QUICK = {"poll_interval": 0.05, "max_poll_interval": 0.05, "timeout": 30}


@pytest.fixture
def emulator(ims_emulator: EmulatorProcess, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> EmulatorProcess:
    """Return an emulator with a marked video; the record of a job is written again soon."""
    connect(extra={"connect_timeout": 1, "read_timeout": 1})
    ims_emulator.put_media(MEDIA, watermark=TEXT, processing_time=0)
    monkeypatch.setattr(durable, "_FIRST_WRITE_PAUSE", 0.05)
    return ims_emulator


def make_task(media: str = MEDIA, **arguments: Any) -> SimulatedTask:
    values: dict[str, Any] = {"task_id": "extract", "input_media": media, **QUICK, **arguments}
    return SimulatedTask(lambda: ImsSubmitCopyrightExtractJobOperator(**values))


def billed(emulator: EmulatorProcess) -> list[str]:
    return [line["job_id"] for line in emulator.bill()["lines"]]


def before_write(task: SimulatedTask, number: int, action: Callable[[], None]) -> None:
    """Call a function in the write of a given number to the task's store."""
    store = task.store
    assert store is not None
    write, calls = store.set, iter(range(1, 1000))

    def set_value(key: str, value: Any, *, retention: timedelta) -> None:
        if next(calls) == number:
            action()
        write(key, value, retention=retention)

    store.set = set_value  # type: ignore[method-assign]


# ---- the write of the record


def test_slow_record_does_not_use_up_the_time_of_the_request(emulator: EmulatorProcess) -> None:
    """A write of 2.5 s with time-outs of 1 s delays the submission, and the JobId is not lost."""
    task = make_task()
    before_write(task, 1, lambda: time.sleep(2.5))
    assert task.attempt() == "success"
    assert task.ti.xcoms["job_id"] == billed(emulator)[0]
    assert len(billed(emulator)) == 1


def test_response_still_has_its_time_out_after_a_slow_record(emulator: EmulatorProcess) -> None:
    """The time-out of the response begins when the request leaves."""
    emulator.fault(SUBMIT, "hang")
    task = make_task()
    before_write(task, 1, lambda: time.sleep(1.5))
    begun = time.monotonic()
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsSubmitUnknownError)
    assert 2.4 <= time.monotonic() - begun < 6


def test_task_that_is_killed_during_the_write_sends_nothing(emulator: EmulatorProcess) -> None:
    """A kill while the record is written keeps the request from being sent, and leaves no record."""
    task = make_task()
    operators: list[ImsSubmitCopyrightExtractJobOperator] = []
    make_operator = task.make_operator

    def remember() -> ImsSubmitCopyrightExtractJobOperator:
        operators.append(make_operator())  # type: ignore[arg-type]
        return operators[-1]

    task.make_operator = remember
    before_write(task, 1, lambda: operators[-1].on_kill())  # noqa: PLW0108 - there is no operator yet
    assert task.attempt() == "up_for_retry"
    assert "The task was killed before it had submitted its job. Nothing was sent." in str(task.error)
    assert emulator.requests() == []
    assert task.record() is None


class TaskTimeoutError(BaseException):
    """What Airflow raises into the main thread at execution_timeout."""


def test_task_that_times_out_during_the_write_sends_nothing(
    emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception raised into the main thread while the record is written keeps the request from being sent."""
    import signal

    def raise_timeout(*_: object) -> None:
        raise TaskTimeoutError

    previous = signal.signal(signal.SIGUSR1, raise_timeout)
    task = make_task()

    def write() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        time.sleep(0.5)

    before_write(task, 1, write)
    try:
        with pytest.raises(TaskTimeoutError):
            task.attempt()
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert emulator.requests() == []
    assert task.record() is None


# ---- a rejected submission


@pytest.mark.parametrize("kind", ["rejected", "unreachable"])
def test_rejected_submission_keeps_the_earlier_record(kind: str, emulator: EmulatorProcess, connect: Connect) -> None:
    """J1 exists, a changed request is rejected or not sent, and the first request then resumes J1."""
    task = make_task()
    assert task.attempt() == "success"
    first = task.make_operator
    task.make_operator = make_task(OTHER_MEDIA).make_operator
    if kind == "rejected":
        emulator.fault(SUBMIT, "throttle")
    else:
        connect(host="http://127.0.0.1:1")
    assert task.attempt() == "up_for_retry"
    connect(extra={"connect_timeout": 1, "read_timeout": 1})
    task.make_operator = first
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 1


def test_rejected_submission_keeps_an_unknown_record(emulator: EmulatorProcess) -> None:
    """An unknown submission stays unknown if the submission that follows it is rejected."""
    emulator.fault(SUBMIT, "cut_after")
    task = make_task(on_unknown_submit="resubmit")
    assert task.attempt() == "up_for_retry"
    emulator.fault(SUBMIT, "throttle")
    assert task.attempt() == "up_for_retry"
    record = task.record()
    assert record is not None
    assert (record["state"], record["attempt"]) == ("submitting", 1)
    task.make_operator = make_task().make_operator
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsSubmitUnknownError)
    assert len(billed(emulator)) == 1


@pytest.mark.parametrize("in_store", ["nothing", "a record"])
def test_rejection_is_recorded_until_it_is_there(in_store: str, emulator: EmulatorProcess, logged: Logged) -> None:
    """While the API server is away after a rejection, what was in the store is put back again and again."""
    task = make_task()
    store = task.store
    assert store is not None
    writes = 0
    if in_store == "a record":
        assert task.attempt() == "success"
        writes = 2
        task.make_operator = make_task(OTHER_MEDIA).make_operator
    before = task.record()
    store.failures = {("delete", call): ConnectionError("restarting") for call in range(1, 4)}
    store.failures |= {("set", call): ConnectionError("restarting") for call in range(writes + 2, writes + 5)}
    emulator.fault(SUBMIT, "throttle")
    assert task.attempt() == "up_for_retry"
    assert task.record() == before
    assert logged().count("It is tried again in 0 s. No job was created") == 3


@pytest.mark.parametrize("fault", ["throttle", "cut_after"])
def test_kill_after_a_submission_has_ended_says_nothing_of_it(
    fault: str, emulator: EmulatorProcess, logged: Logged
) -> None:
    """A task that is killed after its submission was rejected, or is known to be unknown, does not warn of it again."""
    task = make_task()
    assert task.attempt() == "success"
    operator = make_task(OTHER_MEDIA).make_operator()
    task.make_operator = lambda: operator
    emulator.fault(SUBMIT, fault)
    assert task.attempt() in {"up_for_retry", "failed"}
    operator.on_kill()
    assert "The task was killed while it submitted" not in logged()


def test_rejection_that_cannot_be_recorded_is_an_error_in_the_log(
    emulator: EmulatorProcess, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the store stays away after a rejection, the log says that nothing was billed: the retry cannot know."""
    monkeypatch.setattr(durable, "_WRITE_TIMEOUT", 0.0)
    task = make_task()
    assert task.store is not None
    task.store.failures.update({("delete", call): ConnectionError("gone") for call in range(1, 9)})
    emulator.fault(SUBMIT, "throttle")
    assert task.attempt() == "up_for_retry"
    assert "No job was created, and a retry cannot know it. The record" in logged()
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsSubmitUnknownError)
    assert billed(emulator) == []


# ---- a JobId in hand


def test_record_of_a_job_is_written_until_it_is_there(emulator: EmulatorProcess, logged: Logged) -> None:
    """While the API server is away, the JobId is written again and again; the next attempt resumes the job."""
    task = make_task()
    assert task.store is not None
    task.store.failures.update({("set", call): ConnectionError("restarting") for call in range(2, 6)})
    assert task.attempt() == "success"
    (job_id,) = billed(emulator)
    record = task.record()
    assert record is not None
    assert record["job_id"] == job_id
    text = logged()
    assert f"Submitting {SUBMIT} of" in text
    assert (
        text.index("Submitting ")
        < text.index("It is tried again in")
        < text.index(f"Submitted CopyrightExtractJob {job_id}")
    )
    assert task.attempt() == "success"
    assert billed(emulator) == [job_id]


def test_pauses_between_the_writes_of_a_record_double(
    emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An API server that restarts is not flooded: there is a pause after each write that failed."""
    task = make_task()
    assert task.store is not None
    task.store.failures.update({("set", call): ConnectionError("restarting") for call in range(2, 6)})
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    assert task.attempt() == "success"
    assert pauses == [0.05, 0.1, 0.2, 0.4]


def test_job_that_no_retry_finds_can_be_given_to_its_task(
    emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the record of a job was never written, the error names the command with the JobId in it."""
    monkeypatch.setattr(durable, "_WRITE_TIMEOUT", 0.0)
    emulator.put_media(MEDIA, watermark=TEXT, processing_time=3600)
    task = make_task(wait_for_completion=True, deferrable=False, timeout=0.2)
    assert task.store is not None
    task.store.failures.update({("set", call): ConnectionError("gone") for call in range(2, 9)})
    assert task.attempt() == "failed"
    assert str(task.error).endswith(f"airflow ims resume dag run extract --job-id {billed(emulator)[0]}")


@pytest.mark.parametrize("fault", ["cut_after", None], ids=["unknown submission", "job"])
def test_failed_writes_are_logged(
    fault: str | None, emulator: EmulatorProcess, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write of a record that fails is logged: what is known of a lost response, and the one after publishing."""
    monkeypatch.setattr(durable, "_WRITE_TIMEOUT", 0.0)
    task = make_task()
    assert task.store is not None
    task.store.failures.update({("set", call): ConnectionError(f"gone {call}") for call in (2, 3)})
    if fault is not None:
        emulator.fault(SUBMIT, fault)
    task.attempt()
    assert f"could not be written: ConnectionError: gone {3 if fault is None else 2}." in logged()


def test_record_is_written_once_more_after_publishing(
    emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that could not be written for minutes is written when the XComs are there."""
    monkeypatch.setattr(durable, "_WRITE_TIMEOUT", 0.0)
    task = make_task()
    assert task.store is not None
    task.store.failures["set", 2] = ConnectionError("restarting")
    assert task.attempt() == "success"
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 1


def test_event_completes_a_record_without_a_job(emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no write succeeded before the deferral, execute_complete writes the JobId of the event."""
    monkeypatch.setattr(durable, "_WRITE_TIMEOUT", 0.0)
    emulator.put_media(MEDIA, watermark=TEXT, processing_time=0.3)
    task = make_task(deferrable=True)
    assert task.store is not None
    task.store.failures.update({("set", call): ConnectionError("restarting") for call in (2, 3)})
    assert task.attempt() == "success"
    record = task.record()
    assert record is not None
    assert record["job_id"] == billed(emulator)[0]


def test_result_is_not_lost_with_the_record(emulator: EmulatorProcess, logged: Logged) -> None:
    """If the record cannot be read after a deferral, the event decides: the result is pushed."""
    emulator.put_media(MEDIA, watermark=TEXT, processing_time=0.3)
    task = make_task(deferrable=True)
    assert task.store is not None
    task.store.failures["get", 2] = ConnectionError("the API server is gone")
    assert task.attempt() == "success"
    assert task.ti.xcoms["watermark"] == TEXT
    assert "could not be read: ConnectionError: the API server is gone" in logged()


def test_job_id_of_an_unexpected_type_is_kept(emulator: EmulatorProcess) -> None:
    """A JobId that is a number ends the task, and stays in the error and in the record."""
    emulator.fault(SUBMIT, "answer", body=json.dumps({"RequestId": "R-1", "Data": {"JobId": 4711}}), carried_out=True)
    task = make_task()
    assert task.attempt() == "failed"
    assert "has the JobId 4711, of an unexpected type" in str(task.error)
    record = task.record()
    assert record is not None
    assert record["unexpected_job_id"] == "4711"
    task.make_operator = make_task().make_operator
    assert task.attempt() == "failed"
    assert "got the JobId 4711, which is of an unexpected type" in str(task.error)
    assert "Look at the log of attempt 1 first" in str(task.error)
    assert len(billed(emulator)) == 1


# ---- what the log says


def test_kill_in_the_middle_of_a_submission_is_logged(emulator: EmulatorProcess, logged: Logged) -> None:
    """A task that is killed while its request is in flight logs that a job may exist, and what is known."""
    emulator.fault(SUBMIT, "hang")
    task = make_task()
    operator = task.make_operator()
    task.max_tries = 3

    def kill() -> None:
        deadline = time.monotonic() + 5
        while not emulator.requests() and time.monotonic() < deadline:
            time.sleep(0.02)
        operator.on_kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(ImsSubmitUnknownError):
        operator.execute(task.context())
    killer.join()
    text = logged()
    assert f"It is unknown whether {SUBMIT} of" in text
    assert "The task was killed while it submitted. What is known: sent at 20" in text


def test_kill_while_the_record_is_written_again_names_no_unknown_submission(
    emulator: EmulatorProcess, logged: Logged
) -> None:
    """When the response is there, the submission is known: a kill does not warn that a job may exist."""
    task = make_task()
    operator = task.make_operator()
    task.make_operator = lambda: operator
    before_write(task, 2, operator.on_kill)
    assert task.attempt() == "success"
    assert "It is unknown whether" not in logged()


def test_clear_is_logged(emulator: EmulatorProcess, logged: Logged) -> None:
    """A record from before a clear is not used, and the log says so."""
    task = make_task()
    task.attempt()
    task.clear()
    logged()
    task.attempt()
    assert "Starting over: the task was cleared after the submission by attempt 1 at 20" in logged()
    assert len(billed(emulator)) == 2


def test_missing_connection_does_not_end_a_task_that_holds_a_job(
    emulator: EmulatorProcess, connect: Connect, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    """Airflow finds no connection while its API server is down: the retry resumes the job that was paid for."""

    class Crashing(ImsSubmitCopyrightExtractJobOperator):
        def _publish(self, *_: Any) -> None:
            raise WorkerCrash

    task = make_task()
    again = task.make_operator
    task.make_operator = lambda: Crashing(task_id="extract", input_media=MEDIA)
    assert task.attempt() == "up_for_retry"
    monkeypatch.delenv("AIRFLOW_CONN_IMS_DEFAULT")
    task.make_operator = again
    assert task.attempt() == "up_for_retry"
    assert isinstance(task.error, ImsConnectionNotFoundError)
    assert "goes on, and is billed. It was submitted by attempt 1" in logged()
    connect()
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 1


def test_unwritable_record_sends_nothing_and_keeps_what_was_there(emulator: EmulatorProcess) -> None:
    """If the record cannot be written before the request, nothing is sent, and the retry submits."""
    task = make_task()
    assert task.store is not None
    task.store.failures["set", 1] = ConnectionError("the API server is gone")
    assert task.attempt() == "up_for_retry"
    assert isinstance(task.error, ImsRecordError)
    assert emulator.requests() == []
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 1


# ---- object storage as state-store backend


@pytest.fixture
def object_store(monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    monkeypatch.setenv("AIRFLOW__WORKERS__STATE_STORE_BACKEND", "airflow.providers.common.io.state_store.backend.X")
    return ObjectStore()


def test_record_that_is_gone_is_not_taken_for_none(emulator: EmulatorProcess, object_store: ObjectStore) -> None:
    """If the object of a record is missing, the task ends: it may have submitted a job."""
    task = make_task()
    task.store = object_store
    assert task.attempt() == "success"
    del object_store.objects[durable.KEY]
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsRecordError)
    assert "its object is gone from the state-store backend" in str(task.error)
    assert len(billed(emulator)) == 1


def test_object_storage_resumes_like_the_database(emulator: EmulatorProcess, object_store: ObjectStore) -> None:
    """A task that finds no record submits, and its retry resumes."""
    task = make_task()
    task.store = object_store
    assert task.attempt() == "success"
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 1


def test_zombie_does_not_overwrite_the_record_of_the_live_attempt(
    emulator: EmulatorProcess, object_store: ObjectStore
) -> None:
    """An attempt whose place was taken is refused before it touches the record, and sends nothing."""
    task = make_task()
    task.store = object_store
    assert task.attempt() == "success"
    record = object_store.objects[durable.KEY]
    object_store.live_attempt = 2
    task.make_operator = make_task(OTHER_MEDIA).make_operator
    assert task.attempt() == "up_for_retry"
    assert isinstance(task.error, ImsRecordError)
    assert object_store.objects[durable.KEY] == record
    assert len(billed(emulator)) == 1
