"""The resume key: a cleared task resumes a job, because a person says so."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.exceptions import (
    ImsJobTimeoutError,
    ImsRecordError,
    ImsSubmitUnknownError,
    ImsThrottledError,
)
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.durable import KEY
from airflow_provider_ims.jobs.resume import RESUME_KEY, ResumeOrder, resume_command, resumed_record
from airflow_provider_ims.jobs.submission import Attempt, SubmissionRecord, SubmissionRequest
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from tests.attempts import SimulatedTask

if TYPE_CHECKING:
    from collections.abc import Callable

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
QUICK = {"poll_interval": 0.05, "max_poll_interval": 0.05, "timeout": 0.3}

every_way = pytest.mark.parametrize("way", WAYS)

pytestmark = pytest.mark.usefixtures("no_correction_grace")


@pytest.fixture
def emulator(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> EmulatorProcess:
    """Return an emulator with a video whose jobs take longer than the tasks wait."""
    connect(extra={"connect_timeout": 2, "read_timeout": 1})
    ims_emulator.put_media(MEDIA, watermark=TEXT, processing_time=3600)
    return ims_emulator


def make_task(
    way: str = "sync", *, retries: int = 0, media: list[str] | None = None, **arguments: Any
) -> SimulatedTask:
    """Return a task that submits, and waits in one of the ways.

    :param media: the video of each attempt; the last one counts for all further ones
    """
    videos = media or [MEDIA]

    def make() -> ImsSubmitCopyrightExtractJobOperator:
        video = videos.pop(0) if len(videos) > 1 else videos[0]
        return ImsSubmitCopyrightExtractJobOperator(
            task_id="extract", input_media=video, **{**QUICK, **WAYS[way], **arguments}
        )

    return SimulatedTask(make, retries=retries)


def tell(task: SimulatedTask, value: object) -> None:
    """Write the resume key, as a person does, and clear the task."""
    assert task.store is not None
    task.store.values[RESUME_KEY] = json.dumps(value)
    task.clear()


def billed(emulator: EmulatorProcess) -> list[str]:
    return [line["job_id"] for line in emulator.bill()["lines"]]


@every_way
def test_cleared_task_resumes_the_job_of_its_record(way: str, emulator: EmulatorProcess) -> None:
    """With the resume key, a task that is cleared after its wait failed gets the result of its job, for one bill."""
    task = make_task(way)
    assert task.attempt() == ("success" if way == "submit" else "failed")
    (job_id,) = billed(emulator)
    emulator.advance(3600)
    tell(task, value=True)
    assert task.attempt() == "success"
    assert billed(emulator) == [job_id]
    assert task.ti.xcoms["job_id"] == job_id
    assert task.ti.xcoms.get("watermark") == (None if way == "submit" else TEXT)


@every_way
def test_cleared_task_resumes_a_given_job(way: str, emulator: EmulatorProcess) -> None:
    """A JobId that a person knows is resumed by a task whose submission is unknown."""
    task = make_task(way)
    emulator.fault(SUBMIT, "cut_after")
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsSubmitUnknownError)
    (job_id,) = billed(emulator)
    emulator.advance(3600)
    tell(task, job_id)
    assert task.attempt() == "success"
    assert task.ti.xcoms["return_value"] == job_id
    assert billed(emulator) == [job_id]


@pytest.mark.parametrize("record", ["missing", "damaged", "other request"])
def test_given_job_needs_no_record(record: str, emulator: EmulatorProcess) -> None:
    """A JobId counts whatever the record is: missing, damaged, or of another request."""
    task = make_task(media=[MEDIA, OTHER_MEDIA] if record == "other request" else None)
    task.attempt()
    (job_id,) = billed(emulator)
    assert task.store is not None
    if record == "missing":
        del task.store.values[KEY]
    elif record == "damaged":
        task.store.values[KEY] = '{"state": 7}'
    emulator.advance(3600)
    tell(task, job_id)
    assert task.attempt() == "success"
    assert task.ti.xcoms["watermark"] == TEXT
    assert billed(emulator) == [job_id]


REQUEST = SubmissionRequest(COPYRIGHT_EXTRACT, "cn-shanghai", {"Input": MEDIA})
UNKNOWN = SubmissionRecord.of(REQUEST, Attempt(), at=1.0)


@pytest.mark.parametrize(
    ("record", "at", "request_id"),
    [
        (replace(UNKNOWN, job_id="J", request_id="R"), 1.0, "R"),
        (replace(UNKNOWN, request_id="R"), 1.0, "R"),
        (replace(UNKNOWN, job_id="another", request_id="R"), 99.0, None),
        (replace(UNKNOWN, digest="another", request_id="R"), 99.0, None),
        (None, 99.0, None),
    ],
    ids=["of the job", "unknown submission", "of another job", "of another request", "none"],
)
def test_given_job_does_not_get_the_time_of_another(
    record: SubmissionRecord | None, at: float, request_id: str | None
) -> None:
    """Time and RequestId of a record count for a given job only if they can be its own."""
    resumed = resumed_record(ResumeOrder("J"), record, REQUEST, Attempt(number=2), now=99.0)
    assert (resumed.job_id, resumed.at, resumed.request_id) == ("J", at, request_id)


def test_request_that_names_no_subject_is_described_by_its_action() -> None:
    """A family whose requests name nothing is described by the action alone."""
    request = SubmissionRequest(replace(COPYRIGHT_EXTRACT, subject_parameter=None), "cn-shanghai", {"Input": MEDIA})
    assert request.description == SUBMIT


def test_retry_resumes_a_given_job_without_a_clear(emulator: EmulatorProcess) -> None:
    """The key counts at the next attempt, whether it is a retry or follows a clear."""
    task = make_task(retries=2, on_unknown_submit="resubmit")
    emulator.fault(SUBMIT, "cut_after")
    assert task.attempt() == "up_for_retry"
    (job_id,) = billed(emulator)
    emulator.advance(3600)
    assert task.store is not None
    task.store.values[RESUME_KEY] = json.dumps(job_id)
    assert task.attempt() == "success"
    assert billed(emulator) == [job_id]


def test_resumed_wait_has_its_whole_timeout(emulator: EmulatorProcess) -> None:
    """The time-out of a resumed wait counts from the clear, not from the submission days ago."""
    task = make_task()
    task.attempt()
    task.backdate(86_400)
    tell(task, value=True)
    queries = emulator.jobs()[0]["queries"]
    task.attempt()
    assert isinstance(task.error, ImsJobTimeoutError)
    assert emulator.jobs()[0]["queries"] > queries + 1


def test_silence_counts_from_the_submission(emulator: EmulatorProcess) -> None:
    """If the job was silent for longer than `no_watermark_after`, the first poll of a resumed wait ends it."""
    task = make_task(timeout=0.3)
    task.attempt()
    task.backdate(3600)
    patient = make_task(timeout=30, no_watermark_after=10)
    patient.store, patient.number, patient.max_tries = task.store, task.number, task.max_tries
    tell(patient, value=True)
    assert patient.attempt() == "success"
    assert (patient.ti.xcoms["watermark"], patient.ti.xcoms["outcome"]) == ("", "assumed_not_found")
    assert len(billed(emulator)) == 1


def test_key_counts_once(emulator: EmulatorProcess) -> None:
    """After the job was resumed, the next clear starts over."""
    task = make_task()
    task.attempt()
    tell(task, value=True)
    task.attempt()
    assert len(billed(emulator)) == 1
    task.clear()
    task.attempt()
    assert len(billed(emulator)) == 2


def test_retries_after_the_clear_resume_the_job(emulator: EmulatorProcess) -> None:
    """The record belongs to the new clear: its retries resume the job, although the key is gone."""
    task = make_task(retries=2)
    task.attempt()
    tell(task, value=True)
    emulator.fault(QUERY, "answer", status=403, body='{"Code": "Forbidden.RAM", "RequestId": "R"}', times=1000)
    for _ in range(3):
        task.attempt()
        assert task.store is not None
        assert RESUME_KEY not in task.store.values
    assert len(billed(emulator)) == 1


@pytest.mark.parametrize("call", [("set", 3), ("delete", 1)], ids=str)
def test_key_that_cannot_be_used_up_submits_nothing(call: tuple[str, int], emulator: EmulatorProcess) -> None:
    """If the record cannot be written or the key cannot be deleted, the attempt fails and the next one resumes."""
    task = make_task(retries=1)
    task.attempt()
    emulator.advance(3600)
    assert task.store is not None
    task.store.failures[call] = ConnectionError("the API server is gone")
    tell(task, value=True)
    assert task.attempt() == "up_for_retry"
    assert isinstance(task.error, ImsRecordError)
    assert task.attempt() == "success"
    assert len(billed(emulator)) == 1


def test_job_that_failed_is_submitted_anew_once(emulator: EmulatorProcess) -> None:
    """A resumed job of which the service says that it failed is replaced by one new job, not by one for each retry."""
    task = make_task(retries=3)
    task.attempt()
    emulator.fault(QUERY, "answer", body='{"RequestId": "R", "Data": {"Status": "Failed"}, "StatusCode": 200}')
    tell(task, value=True)
    task.attempt()
    task.attempt()
    assert len(billed(emulator)) == 2


def test_record_of_another_request_is_not_resumed(emulator: EmulatorProcess) -> None:
    """If the request has changed, nothing is submitted and nothing is resumed: the result could be another video's."""
    task = make_task(retries=3, media=[MEDIA, OTHER_MEDIA])
    task.attempt()
    (job_id,) = billed(emulator)
    tell(task, value=True)
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsRecordError)
    assert f"job {job_id} of its record belongs to another request" in str(task.error)
    assert f"airflow ims resume dag run extract --job-id {job_id}" in str(task.error)
    assert billed(emulator) == [job_id]


def test_record_without_a_job_is_unknown(emulator: EmulatorProcess) -> None:
    """The key without a JobId does not make an unknown submission a known one."""
    task = make_task(retries=3)
    emulator.fault(SUBMIT, "cut_after")
    task.attempt()
    tell(task, value=True)
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsSubmitUnknownError)
    assert len(billed(emulator)) == 1


def test_no_record_is_an_error(emulator: EmulatorProcess) -> None:
    """If there is no record, the key does not let the task submit."""
    task = make_task()
    task.attempt()
    assert task.store is not None
    task.store.values.clear()
    tell(task, value=True)
    assert task.attempt() == "failed"
    assert "there is no record of a job" in str(task.error)
    assert len(billed(emulator)) == 1


@pytest.mark.parametrize("value", [False, 7, 1, "", " ", "None", "null", "nan", [], {}, {"job_id": "J"}], ids=repr)
def test_value_that_is_no_job_is_refused(value: object, emulator: EmulatorProcess) -> None:
    """A key that is neither true nor a JobId ends the task without a retry and without a bill."""
    task = make_task(retries=3)
    task.attempt()
    tell(task, value)
    assert task.attempt() == "failed"
    assert "neither true nor a JobId" in str(task.error)
    assert len(billed(emulator)) == 1


def test_first_attempt_reads_no_key(emulator: EmulatorProcess) -> None:
    """The first attempt has nothing to resume, and does not pay for a look."""
    task = make_task()
    assert task.store is not None
    task.store.failures["get", 2] = ConnectionError("a second read")
    task.attempt()
    assert isinstance(task.error, ImsJobTimeoutError)


def test_error_of_a_wait_says_how_to_resume(emulator: EmulatorProcess) -> None:
    """The command that an error names lets the cleared task resume its job."""
    task = make_task()
    task.attempt()
    assert str(task.error).endswith("run before the clear: airflow ims resume dag run extract")
    tell(task, value=True)
    task.attempt()
    assert str(task.error).endswith("run before the clear: airflow ims resume dag run extract")
    task.store = None
    task.clear()
    task.attempt()
    assert "airflow ims resume" not in str(task.error)


def test_error_of_an_unknown_submission_says_how_to_resume(emulator: EmulatorProcess) -> None:
    """The error of an unknown submission says how the task resumes the job if its JobId is found."""
    task = make_task()
    emulator.fault(SUBMIT, "cut_after")
    task.attempt()
    assert "airflow ims resume dag run extract --job-id JOB_ID" in str(task.error)


def test_error_without_a_job_says_nothing_about_resuming(emulator: EmulatorProcess) -> None:
    """If nothing was submitted, there is nothing to resume."""
    task = make_task()
    emulator.fault(SUBMIT, "throttle")
    task.attempt()
    assert isinstance(task.error, ImsThrottledError)
    assert "airflow ims resume" not in str(task.error)


def test_log_says_which_job_is_resumed(emulator: EmulatorProcess, logged: Logged) -> None:
    """The log says that a person wanted the job resumed, and which attempt submitted it."""
    task = make_task()
    task.attempt()
    (job_id,) = billed(emulator)
    tell(task, value=True)
    task.attempt()
    text = logged()
    assert f"The key ims_resume says to resume job {job_id}, not to start over" in text
    assert re.search(f"Resuming CopyrightExtractJob {job_id}, submitted by attempt 1 at ", text)
    assert "Starting over" not in text


def test_command_is_quoted_for_the_shell() -> None:
    """Ids with spaces and colons survive the copy into a shell."""
    attempt = Attempt(task=("rights check", "manual__2026-11-25T00:00:00+00:00", "extract", 7))
    assert resume_command(attempt, "J1") == (
        "airflow ims resume 'rights check' manual__2026-11-25T00:00:00+00:00 extract --map-index 7 --job-id J1"
    )
    assert resume_command(Attempt(task=("d", "r", "t", 0))) == "airflow ims resume d r t --map-index 0"
    assert resume_command(Attempt(task=("d", "r", "t", -1))) == "airflow ims resume d r t"
