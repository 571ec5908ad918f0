"""The control command that chooses how jobs end, and rows that replace built-in families."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.emulator.process import EmulatorError

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess

ROW = {
    "name": "EditingJob",
    "submit_action": "SubmitASRJob",
    "query_action": "GetSmartHandleJob",
    "state_path": "Row.State",
}


def submitted(call: Any, action: str = "SubmitASRJob", **parameters: str) -> str:
    """Submit a job and return its id."""
    job_id: str = call(action, parameters).body["JobId"]
    return job_id


def queried(call: Any, job_id: str) -> Any:
    """Query a smart job."""
    return call("GetSmartHandleJob", {"JobId": job_id}).body


def test_an_outcome_is_for_new_jobs(call: Any) -> None:
    """A chosen outcome is that of the jobs submitted after it, until another one is chosen."""
    first = submitted(call)
    call.emulator.put_outcome("ASRJob", "failed", error_code="Broken")
    second = submitted(call)
    call.emulator.put_outcome("ASRJob")
    third = submitted(call)
    call.emulator.advance(5)

    assert [queried(call, job)["State"] for job in (first, second, third)] == ["Finished", "Failed", "Finished"]
    assert queried(call, second)["ErrorCode"] == "Broken"
    assert queried(call, third)["JobResult"] == queried(call, first)["JobResult"]


def test_an_outcome_is_for_one_family(call: Any) -> None:
    """Other families that share the query end as usual."""
    call.emulator.put_outcome("ASRJob", "failed")
    job_id = submitted(call, "SubmitTextGenerateJob", GenerateConfig="{}")
    call.emulator.advance(5)

    assert queried(call, job_id)["State"] == "Finished"


def test_a_result_can_be_chosen(call: Any) -> None:
    """A chosen result replaces that of the family."""
    call.emulator.put_outcome("ASRJob", result="my text")
    job_id = submitted(call)
    assert "JobResult" not in queried(call, job_id)
    call.emulator.advance(5)

    assert queried(call, job_id)["JobResult"] == {"AiResult": "my text"}


def test_a_word_can_be_chosen(call: Any) -> None:
    """A chosen word is reported at the end, instead of that of the family."""
    call.emulator.put_outcome("StartAIWorkflow", word="partial-succeeded")
    task_id = call("StartAIWorkflow").body["TaskId"]
    states = []
    for _ in range(2):
        states.append(call("GetAIWorkflowTask", {"TaskId": task_id}).body["WorkflowTask"]["Status"])
        call.emulator.advance(5)

    assert states == ["running", "partial-succeeded"]


def test_the_service_can_cancel_a_job(call: Any) -> None:
    """A job with the outcome cancelled ends with the family's word for that."""
    call.emulator.put_outcome("StartWorkflow", "cancelled")
    task_id = call("StartWorkflow").body["TaskId"]
    call.emulator.advance(5)

    assert call("GetWorkflowTask", {"TaskId": task_id}).body["WorkflowTask"]["Status"] == "Canceled"


def test_outcomes_are_listed_until_a_reset(ims_emulator: EmulatorProcess) -> None:
    """The chosen outcomes can be read with all their fields; a reset removes them."""
    outcome = ims_emulator.put_outcome("ASRJob", "failed", error_code="Broken")

    assert outcome == {
        "family": "ASRJob",
        "outcome": "failed",
        "result": None,
        "parts": None,
        "error_code": "Broken",
        "error_message": None,
        "word": None,
    }
    assert ims_emulator.outcomes() == [outcome]
    ims_emulator.reset()
    assert ims_emulator.outcomes() == []


@pytest.mark.parametrize(
    ("family", "fields", "error"),
    [
        ("Nothing", {}, "family must be one of: CopyrightJob, "),
        ("ASRJob", {"outcome": "running"}, "outcome must be one of: succeeded, failed, cancelled"),
        ("ASRJob", {"parts": [{}]}, "parts needs parts_path"),
        ("TranscodeJob", {"error_code": "A"}, "error_code needs code_path"),
        ("SmarttagJob", {"error_message": "A"}, "error_message needs message_path"),
        ("TraceM3u8Job", {"result": 1}, "result needs result_path"),
        ("CopyrightExtractJob", {"word": "Fail"}, "word needs state_path"),
        ("ASRJob", {"word": ""}, "word must not be empty"),
        ("ASRJob", {"state": "A"}, "an outcome does not take: state."),
    ],
)
def test_a_bad_outcome_is_refused(
    ims_emulator: EmulatorProcess, family: str, fields: dict[str, Any], error: str
) -> None:
    """An outcome that the queries of the family cannot report is refused with a reason, and changes nothing."""
    with pytest.raises(EmulatorError) as refused:
        ims_emulator.put_outcome(family, **fields)

    assert json.loads(str(refused.value).removeprefix("PUT /outcomes: "))["error"].startswith(error)
    assert ims_emulator.outcomes() == []


@pytest.mark.parametrize("name", ["EditingJob", "ASRJob"])
def test_a_row_replaces_the_built_in_family_of_its_action(call: Any, name: str) -> None:
    """A row with the submit action of a built-in family takes its place; others keep the shared query."""
    call.emulator.put_family({**ROW, "name": name})
    job_id = submitted(call)
    other = submitted(call, "SubmitTextGenerateJob", GenerateConfig="{}")

    assert queried(call, job_id)["Row"] == {"State": "Processing"}
    assert queried(call, other)["State"] == "Created"
    assert call.emulator.jobs()[0]["family"] == name


def test_a_reset_brings_the_built_in_family_back(call: Any) -> None:
    """After a reset the built-in family has its action again."""
    call.emulator.put_family(ROW)
    call.emulator.reset()

    assert queried(call, submitted(call))["State"] == "Created"


def test_a_replaced_family_has_no_outcome(call: Any) -> None:
    """An outcome can be chosen for the row, and no longer for the family that it replaces."""
    call.emulator.put_family(ROW)
    call.emulator.put_outcome("EditingJob", "failed")
    with pytest.raises(EmulatorError, match="family must be one of"):
        call.emulator.put_outcome("ASRJob", "failed")


def test_an_uploaded_asset_has_its_information(call: Any) -> None:
    """GetMediaInfo knows all media assets, and no other id."""
    call.emulator.put_media("an-asset", duration=61)
    info = call("GetMediaInfo", {"MediaId": "an-asset"}).body["MediaInfo"]

    assert info["MediaBasicInfo"] == {"MediaId": "an-asset", "Status": "Normal"}
    assert info["FileInfoList"][0]["FileBasicInfo"]["Duration"] == "61"
    assert call("GetMediaInfo", {"MediaId": "another"}).body["Code"] == "JobNotFound"


def test_one_of_several_parameters_is_mandatory(call: Any) -> None:
    """An editing job needs a project, a timeline or a template."""
    message = "One of ProjectId, Timeline, TemplateId is mandatory for this action."
    error = (400, "MissingParameter", message)

    assert call("SubmitMediaProducingJob", {"OutputMediaConfig": "{}"}).error == error


@pytest.mark.parametrize(("length", "status"), [(256, 200), (257, 400)])
def test_user_data_can_be_limited_in_characters(call: Any, length: int, status: int) -> None:
    """The limit of an IProduction job counts characters, not bytes."""
    oss = json.dumps({"Type": "OSS", "Media": "oss://bucket/film.mp4"})
    parameters = {"FunctionName": "Cover", "Input": oss, "Output": oss, "UserData": "水" * length}

    assert call("SubmitIProductionJob", parameters).status == status
