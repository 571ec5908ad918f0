from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from airflow_provider_ims.emulator.process import EmulatorError

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess

FILM = "oss://bucket/film.mp4"

EDITING: dict[str, Any] = {
    "name": "EditingJob",
    "submit_action": "SubmitEditingJob",
    "query_action": "GetEditingJob",
    "cancel_action": "CancelEditingJob",
    "required_parameters": ["OutputConfig", "Timeline"],
    "body_parameters": ["Timeline"],
    "job_id_path": "Data.JobId",
    "state_path": "EditingJob.Status",
    "state_words": {"running": "Queuing", "succeeded": "Finished"},
    "result_path": "EditingJob.Output",
    "parts_path": "EditingJob.SubJobList",
    "code_path": "EditingJob.Code",
    "message_path": "EditingJob.Message",
    "result": {"Url": "oss://bucket/out.mp4", "Seconds": 7.5},
}


def submit(call: Any, *, timeline: str = "{}", **parameters: str) -> Any:
    """Submit an editing job with its timeline in the form body."""
    return call("SubmitEditingJob", {"OutputConfig": "{}", **parameters}, body=urlencode({"Timeline": timeline}))


def submitted(call: Any, **parameters: str) -> str:
    """Submit an editing job and return its job id."""
    job_id: str = submit(call, **parameters).body["Data"]["JobId"]
    return job_id


def queried(call: Any, job_id: str) -> Any:
    """Query an editing job and return the response without its RequestId."""
    body = call("GetEditingJob", {"JobId": job_id}).body
    del body["RequestId"]
    return body


def queried_at_end(call: Any) -> Any:
    """Submit an editing job, wait for its end and query it."""
    job_id = submitted(call)
    call.emulator.advance(5)
    return queried(call, job_id)


def error_of(emulator: EmulatorProcess, **changes: Any) -> str:
    """Return the error that a changed row is refused with."""
    with pytest.raises(EmulatorError) as refused:
        emulator.put_family(EDITING, **changes)
    error: str = json.loads(str(refused.value).removeprefix("PUT /families: "))["error"]
    return error


def test_a_family_has_defaults(ims_emulator: EmulatorProcess) -> None:
    """A row with only a name and two actions is completed with defaults."""
    row = ims_emulator.put_family({"name": "A", "submit_action": "SubmitA", "query_action": "GetA"})

    assert row == {
        "name": "A",
        "submit_action": "SubmitA",
        "query_action": "GetA",
        "cancel_action": None,
        "required_parameters": [],
        "body_parameters": [],
        "media_parameter": None,
        "user_data_limit": None,
        "client_token": False,
        "query_parameter": "JobId",
        "job_id_path": "JobId",
        "state_path": None,
        "state_words": {
            "running": "Processing",
            "succeeded": "Success",
            "failed": "Failed",
            "cancelled": "Canceled",
        },
        "result_path": None,
        "parts_path": None,
        "code_path": None,
        "message_path": None,
        "price": "1.00",
        "price_per": "job",
        "outcome": "succeeded",
        "result": None,
        "parts": None,
        "error_code": None,
        "error_message": None,
    }
    assert ims_emulator.families() == [row]


def test_a_returned_row_can_be_put_again(ims_emulator: EmulatorProcess) -> None:
    """The row that the emulator returns is itself a valid row."""
    row = ims_emulator.put_family(EDITING, price="0.25", parts=[{"Status": "Failed"}])

    assert ims_emulator.put_family(row) == row


def test_a_submission_returns_the_job_id_at_its_path(call: Any) -> None:
    """The response to a submission holds the job id where the row says."""
    call.emulator.put_family(EDITING)
    response = submit(call)

    assert response.status == 200
    (job,) = call.emulator.jobs()
    assert response.body == {"Data": {"JobId": job["job_id"]}, "RequestId": response.body["RequestId"]}


def test_a_query_reports_the_state_until_the_job_succeeds(call: Any) -> None:
    """The query returns the family's own words, and the result once the job has succeeded."""
    call.emulator.put_family(EDITING)
    job_id = submitted(call)

    assert queried(call, job_id) == {"EditingJob": {"Status": "Queuing"}}
    call.emulator.advance(5)
    assert queried(call, job_id) == {"EditingJob": {"Status": "Finished", "Output": EDITING["result"]}}


def test_jobs_take_the_processing_time_of_the_settings(call: Any) -> None:
    """With a processing time of 0 a job has ended at its first query."""
    call.emulator.put_family(EDITING)
    call.emulator.configure(processing_time=0)

    assert queried(call, submitted(call))["EditingJob"]["Status"] == "Finished"


@pytest.mark.parametrize("result", ["text", 0, False, [], ["a", {"b": None}], {}], ids=repr)
def test_a_result_is_any_json_value(call: Any, result: object) -> None:
    """The result arrives in the query response as it was put, whatever its JSON type."""
    call.emulator.put_family(EDITING, result=result)

    assert queried_at_end(call)["EditingJob"]["Output"] == result


def test_a_family_can_fail(call: Any) -> None:
    """A job of a family with the outcome "failed" ends with the state, code and message of the row."""
    call.emulator.put_family(EDITING, outcome="failed", error_code="BadTimeline", error_message="No clip.")

    assert queried_at_end(call) == {"EditingJob": {"Status": "Failed", "Code": "BadTimeline", "Message": "No clip."}}


def test_a_family_can_be_cancelled_by_the_service(call: Any) -> None:
    """A job of a family with the outcome "cancelled" runs, and then ends as cancelled."""
    call.emulator.put_family(EDITING, outcome="cancelled")
    job_id = submitted(call)

    assert queried(call, job_id) == {"EditingJob": {"Status": "Queuing"}}
    call.emulator.advance(5)
    assert queried(call, job_id) == {"EditingJob": {"Status": "Canceled"}}


def test_parts_can_fail_in_a_job_that_finishes(call: Any) -> None:
    """The parts of a finished job are returned as they were put, failed ones included."""
    parts = [{"JobId": "1", "Status": "Success"}, {"JobId": "2", "Status": "Failed", "ErrorCode": "NoAudio"}]
    call.emulator.put_family(EDITING, parts=parts)
    job_id = submitted(call)

    assert "SubJobList" not in queried(call, job_id)["EditingJob"]
    call.emulator.advance(5)
    assert queried(call, job_id)["EditingJob"]["Status"] == "Finished"
    assert queried(call, job_id)["EditingJob"]["SubJobList"] == parts


def test_a_new_outcome_is_for_new_jobs(call: Any) -> None:
    """A job keeps the row that it was submitted with, and the next job takes the new row."""
    call.emulator.put_family(EDITING)
    first = submitted(call)
    call.emulator.put_family(EDITING, outcome="failed")
    second = submitted(call)
    call.emulator.advance(5)

    assert queried(call, first)["EditingJob"]["Status"] == "Finished"
    assert queried(call, second)["EditingJob"]["Status"] == "Failed"


def test_a_family_without_a_state_is_silent(call: Any) -> None:
    """Without a state path, a job that runs and a job that has failed return the same."""
    call.emulator.put_family(EDITING, state_path=None, outcome="failed")
    job_id = submitted(call)

    assert queried(call, job_id) == {}
    call.emulator.advance(5)
    assert queried(call, job_id) == {}


def test_a_path_can_lead_into_a_list(call: Any) -> None:
    """A name with [0] in a path is a list of one object, which holds all fields of the job."""
    call.emulator.put_family(
        EDITING, state_path="Jobs[0].Status", result_path="Jobs[0].Outputs[0]", job_id_path="Ids[0]", result="a"
    )
    job_id = submit(call).body["Ids"][0]
    call.emulator.advance(5)

    assert queried(call, job_id) == {"Jobs": [{"Status": "Finished", "Outputs": ["a"]}]}


@pytest.mark.parametrize("name", ["OutputConfig", "Timeline"])
def test_a_required_parameter_is_mandatory(call: Any, name: str) -> None:
    """A submission without a required parameter is refused and makes no job."""
    call.emulator.put_family(EDITING)
    query = {"OutputConfig": ""} if name == "OutputConfig" else {"OutputConfig": "{}"}
    body = "" if name == "Timeline" else urlencode({"Timeline": "{}"})

    response = call("SubmitEditingJob", query, body=body)
    assert response.error == (400, f"Missing{name}", f"{name} is mandatory for this action.")
    assert call.emulator.jobs() == []


def test_a_body_parameter_is_refused_in_the_query_string(call: Any) -> None:
    """A parameter that must be in the form body is refused in the query string and makes no job."""
    call.emulator.put_family(EDITING)

    response = call("SubmitEditingJob", {"OutputConfig": "{}", "Timeline": "{}"})
    message = "Timeline must be in the form body, not in the query string."
    assert response.error == (400, "MissingTimeline", message)
    assert call.emulator.jobs() == []


def test_a_form_body_is_signed(call: Any) -> None:
    """A form body other than the signed one is refused and makes no job."""
    call.emulator.put_family(EDITING)
    query, body = {"OutputConfig": "{}"}, urlencode({"Timeline": "{}"})
    response = call("SubmitEditingJob", query, body=body, sent_body=urlencode({"Timeline": "[]"}))

    message = "x-acs-content-sha256 is not the SHA-256 of the request body."
    assert response.error == (400, "SignatureDoesNotMatch", message)
    assert call.emulator.jobs() == []


def test_a_large_body_parameter_arrives(call: Any) -> None:
    """A parameter that is too long for a request line arrives in the form body."""
    call.emulator.put_family(EDITING)

    assert submit(call, timeline="水" * 100_000).status == 200


def test_user_data_is_limited_in_bytes(call: Any) -> None:
    """User data may have as many UTF-8 bytes as the row allows, and not one more."""
    call.emulator.put_family(EDITING, user_data_limit=6)

    assert submit(call, UserData="水水").status == 200
    reason = "The specified parameter UserData is not valid: it must not be longer than 6 bytes."
    assert submit(call, UserData="水水x").error == (400, "InvalidParameter.UserData", reason)


@pytest.mark.parametrize(("honoured", "jobs"), [(True, 2), (False, 3)])
def test_a_family_can_honour_the_client_token(call: Any, *, honoured: bool, jobs: int) -> None:
    """In a family that honours tokens, a second submission with a token returns the first job."""
    call.emulator.put_family(EDITING, client_token=honoured)
    ids = [submitted(call, ClientToken=token) for token in ("a", "a", "b")]

    assert len(set(ids)) == len(call.emulator.jobs()) == jobs


def test_a_client_token_is_for_one_family(call: Any) -> None:
    """A token that another family has seen makes a new job."""
    call.emulator.put_family(EDITING, client_token=True)
    other = {"name": "Other", "submit_action": "SubmitOther", "query_action": "GetOther", "client_token": True}
    call.emulator.put_family(other)
    submit(call, ClientToken="a")

    call("SubmitOther", {"ClientToken": "a"})
    assert [job["family"] for job in call.emulator.jobs()] == ["EditingJob", "Other"]


def test_a_running_job_can_be_cancelled(call: Any) -> None:
    """After a cancellation the job has ended as cancelled, for the query and for the control API."""
    call.emulator.put_family(EDITING)
    job_id = submitted(call)

    response = call("CancelEditingJob", {"JobId": job_id})
    assert (response.status, response.body.keys()) == (200, {"RequestId"})
    assert queried(call, job_id) == {"EditingJob": {"Status": "Canceled"}}
    assert call.emulator.jobs()[0]["state"] == "cancelled"


def test_an_ended_job_cannot_be_cancelled(call: Any) -> None:
    """A cancellation after the end is refused and leaves the outcome as it is."""
    call.emulator.put_family(EDITING)
    job_id = submitted(call)
    call.emulator.advance(5)

    message = "The specified job has ended and cannot be cancelled."
    assert call("CancelEditingJob", {"JobId": job_id}).error == (400, "InvalidJobStatus", message)
    assert queried(call, job_id)["EditingJob"]["Status"] == "Finished"


@pytest.mark.parametrize("action", ["GetEditingJob", "CancelEditingJob"])
def test_an_unknown_job_is_refused(call: Any, action: str) -> None:
    """The query and the cancellation of a job that does not exist are refused."""
    call.emulator.put_family(EDITING)

    error = (404, "JobNotFound", "The specified job does not exist.")
    assert call(action, {"JobId": "0" * 32}).error == error


@pytest.mark.parametrize("action", ["GetEditingJob", "CancelEditingJob"])
def test_a_job_of_another_family_is_unknown(call: Any, action: str) -> None:
    """The actions of one family do not find the jobs of another."""
    call.emulator.put_family(EDITING)

    assert call(action, {"JobId": call.submitted(FILM)}).body["Code"] == "JobNotFound"


def test_an_unknown_job_can_look_like_a_running_one(call: Any) -> None:
    """With the setting unknown_job=silent, the query of an unknown job responds as for a running job."""
    call.emulator.put_family(EDITING)
    call.emulator.configure(unknown_job="silent")

    assert queried(call, "0" * 32) == {"EditingJob": {"Status": "Queuing"}}


def test_the_parameter_of_the_job_id_can_be_named(call: Any) -> None:
    """The query takes the job id in the parameter of the row, and in no other."""
    call.emulator.put_family(EDITING, query_parameter="TaskId")
    job_id = submitted(call)

    assert call("GetEditingJob", {"TaskId": job_id}).status == 200
    assert call("GetEditingJob", {"JobId": job_id}).body["Code"] == "MissingTaskId"


def test_families_can_share_a_query_action(call: Any) -> None:
    """A query action that two families share finds the jobs of both, each with its own response."""
    call.emulator.put_family(EDITING)
    scene = {"name": "SceneJob", "submit_action": "SubmitSceneJob", "query_action": "GetEditingJob"}
    call.emulator.put_family(scene, query_parameter="TaskId", state_path="State")
    editing_id, scene_id = submitted(call), call("SubmitSceneJob").body["JobId"]

    assert queried(call, editing_id) == {"EditingJob": {"Status": "Queuing"}}
    assert call("GetEditingJob", {"TaskId": scene_id}).body["State"] == "Processing"


def test_jobs_are_listed_like_all_others(call: Any) -> None:
    """A job of an added family is in the list of jobs, with the name of its family."""
    call.emulator.put_family(EDITING)
    job_id = submitted(call, UserData="mine")
    queried(call, job_id)
    (job,) = call.emulator.jobs()

    assert job.pop("created_at") < job.pop("done_at")
    assert job == {
        "job_id": job_id,
        "family": "EditingJob",
        "media": None,
        "algo_type": None,
        "user_data": "mine",
        "state": "running",
        "text": None,
        "queried": True,
        "queries": 1,
    }


def test_a_price_per_job_is_on_the_bill(call: Any) -> None:
    """The bill adds up the prices of jobs of all families."""
    call.emulator.put_family(EDITING, price="0.25")
    call.emulator.put_media(FILM, duration=61)
    call.submit(FILM)
    job_id = submitted(call)

    bill = call.emulator.bill()
    line = {"job_id": job_id, "media": None, "minutes": 0, "price": "0.25", "currency": "CNY"}
    assert bill["lines"][1] == line
    assert (bill["jobs"], bill["minutes"], bill["price"]) == (2, 2, "2.25")


@pytest.mark.parametrize("reference", [FILM, json.dumps({"Type": "OSS", "Media": FILM})])
def test_a_price_per_minute_is_that_of_the_media_object(call: Any, reference: str) -> None:
    """A family with a media parameter reads duration and processing time of that media object."""
    call.emulator.put_media(FILM, duration=90, processing_time=0)
    call.emulator.put_family(EDITING, media_parameter="OutputConfig", price="0.10", price_per="minute")
    job_id = submitted(call, OutputConfig=reference)

    (line,) = call.emulator.bill()["lines"]
    assert (line["media"], line["minutes"], line["price"]) == (FILM, 2, "0.20")
    assert queried(call, job_id)["EditingJob"]["Status"] == "Finished"


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (
            "ftp://a",
            "Media must be oss://bucket/object, http(s)://bucket.oss-<region>.aliyuncs.com/object or a media id",
        ),
        ("{}", "Media must be a string"),
        ("{", "it must be a JSON object"),
    ],
)
def test_a_bad_media_parameter_is_refused(call: Any, reference: str, reason: str) -> None:
    """A media parameter that names no media object is refused and makes no job."""
    call.emulator.put_family(EDITING, media_parameter="OutputConfig")

    message = f"The specified parameter OutputConfig is not valid: {reason}."
    assert submit(call, OutputConfig=reference).error == (400, "InvalidParameter.OutputConfig", message)
    assert call.emulator.jobs() == []


def test_faults_hit_the_actions_of_added_families(call: Any) -> None:
    """A fault works for an action of an added family as for any other."""
    call.emulator.put_family(EDITING)
    call.emulator.fault("SubmitEditingJob", "internal_error_after")

    assert submit(call).status == 500
    assert len(call.emulator.jobs()) == 1


def test_a_reset_removes_added_families(call: Any) -> None:
    """After a reset the actions of an added family are unknown again."""
    call.emulator.put_family(EDITING)
    call.emulator.reset()

    assert call.emulator.families() == []
    assert submit(call).body["Code"] == "InvalidAction.NotFound"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": ""}, "name is required"),
        ({"submit_action": None}, "submit_action is required"),
        ({"query_action": 1}, "query_action must be a string"),
        ({"cancel_action": ""}, "cancel_action must not be empty"),
        ({"required": ["A"]}, "a family does not take: required. It takes: name, "),
        ({"required_parameters": "Timeline"}, "required_parameters must be a list of strings"),
        ({"required_parameters": [""]}, "required_parameters must be a list of strings"),
        ({"body_parameters": ["Timelin"]}, "body_parameters must be among required_parameters: Timelin"),
        ({"media_parameter": "Input"}, "media_parameter must be among required_parameters: Input"),
        ({"user_data_limit": 0}, "user_data_limit must be 1 or more"),
        ({"client_token": "honoured"}, "client_token must be true or false"),
        ({"state_path": "EditingJob..Status"}, "state_path must be names with dots between them; "),
        ({"state_path": "Jobs[].Status"}, "state_path must be names with dots between them; "),
        ({"result_path": "EditingJob.Status.Text"}, "two paths must not overlap: EditingJob.Status, "),
        ({"parts_path": "EditingJob"}, "two paths must not overlap: EditingJob, "),
        ({"result_path": "Jobs[0]", "parts_path": "Jobs"}, "two paths must not overlap: Jobs[0], Jobs"),
        ({"state_words": "Success"}, "state_words must be a JSON object"),
        ({"state_words": {"success": "Success"}}, "state_words does not take: success. It takes: running, "),
        ({"state_words": {"running": 1}}, "running must be a string"),
        ({"price": 1.5}, "price must be a string"),
        ({"price": "-1"}, "price must be a decimal number as a string"),
        ({"price_per": "hour"}, "price_per must be one of: job, minute"),
        ({"price_per": "minute"}, "price_per minute needs media_parameter"),
        ({"outcome": "running"}, "outcome must be one of: succeeded, failed, cancelled"),
        ({"parts": {}}, "parts must be a list of objects"),
        ({"parts": ["Failed"]}, "parts must be a list of objects"),
        ({"parts": [{}], "parts_path": None}, "parts needs parts_path"),
        ({"result_path": None}, "result needs result_path"),
        ({"error_code": "A", "code_path": None}, "error_code needs code_path"),
        ({"error_message": "A", "message_path": None}, "error_message needs message_path"),
        ({"name": "CopyrightExtractJob"}, "name: CopyrightExtractJob is built in"),
        ({"query_action": "SubmitEditingJob"}, "submit_action, query_action and cancel_action must differ"),
        ({"query_action": "QueryCopyrightJobList"}, "query_action: QueryCopyrightJobList is an action of CopyrightJob"),
        ({"query_action": "GetSmartHandleJob"}, "query_action: GetSmartHandleJob is an action of ASRJob"),
        (
            {"query_action": "QueryCopyrightExtractJob"},
            "query_action: QueryCopyrightExtractJob is an action of CopyrightExtractJob",
        ),
        ({"submit_action": "SubmitTaken"}, "submit_action: SubmitTaken is an action of Taken"),
        ({"query_action": "CancelTaken"}, "query_action: CancelTaken is an action of Taken"),
    ],
)
def test_a_bad_row_is_refused_with_a_reason(ims_emulator: EmulatorProcess, changes: dict[str, Any], error: str) -> None:
    """An invalid row is refused with an error that names the field, and changes nothing."""
    taken = {"name": "Taken", "submit_action": "SubmitTaken", "query_action": "GetTaken"}
    before = ims_emulator.put_family(taken, cancel_action="CancelTaken")

    assert error_of(ims_emulator, **changes).startswith(error)
    assert ims_emulator.families() == [before]
