from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.emulator.process import EmulatorProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILM = "oss://bucket/film.mp4"
MEDIA_ID = "60ab0cf0b3e54c8a8a6d0b5e6a3d1f0e"


@pytest.fixture(scope="module")
def hangzhou() -> Iterator[EmulatorProcess]:
    """Run an emulator of a region without watermark actions."""
    with EmulatorProcess(region="cn-hangzhou") as emulator:
        yield emulator


def submit_input(call: Any, value: object, **parameters: str) -> Any:
    """Submit an extraction with any Input."""
    text = value if isinstance(value, str) else json.dumps(value)
    return call("SubmitCopyrightExtractJob", {"Input": text, **parameters})


def invalid(name: str, reason: str) -> tuple[int, str, str]:
    """Return the refusal of a parameter."""
    return 400, f"InvalidParameter.{name}", f"The specified parameter {name} is not valid: {reason}."


def test_a_submission_answers_with_a_job_id(call: Any) -> None:
    """The answer to a submission is a JobId of 32 hexadecimal digits in the documented shape."""
    answer = call.submit(FILM)

    assert answer.status == 200
    assert re.fullmatch("[0-9a-f]{32}", answer.body["Data"].pop("JobId"))
    assert answer.body["Data"].keys() == {"JobId"}
    assert answer.body["Message"] == "ok"
    assert answer.body["StatusCode"] == 200
    assert answer.body.keys() == {"Data", "Message", "RequestId", "StatusCode"}


def test_each_submission_is_a_job_of_its_own(call: Any) -> None:
    """The service has no idempotency: the same submission twice is two jobs."""
    assert call.submitted(FILM) != call.submitted(FILM)
    assert len(call.emulator.jobs()) == 2


@pytest.mark.parametrize(("setting", "jobs"), [("ignored", [1, 2, 3]), ("honoured", [1, 1, 2])])
def test_client_token(call: Any, setting: str, jobs: list[int]) -> None:
    """Where tokens are honoured, one that was seen before makes no second job; the watermark actions ignore them."""
    call.emulator.configure(client_token=setting)
    for token, expected in zip(["a", "a", "b"], jobs, strict=True):
        answer = submit_input(call, {"Type": "OSS", "Media": FILM}, ClientToken=token)
        assert [job["job_id"] for job in call.emulator.jobs()][expected - 1] == answer.body["Data"]["JobId"]
        assert len(call.emulator.bill()["lines"]) == expected


@pytest.mark.parametrize(
    "media",
    [
        FILM,
        "https://bucket.oss-cn-shanghai.aliyuncs.com/film.mp4",
        "http://bucket.oss-cn-shanghai.aliyuncs.com/film.mp4",
    ],
)
def test_the_forms_of_an_oss_url_name_one_object(call: Any, media: str) -> None:
    """A media object is found under any of the documented forms of its URL."""
    call.emulator.put_media(FILM, watermark="mark")
    call.submit(media)

    assert [job["media"] for job in call.emulator.jobs()] == [FILM]


def test_the_path_of_a_web_address_is_percent_encoded(call: Any) -> None:
    """An https URL names the object whose name it encodes."""
    call.submit("https://bucket.oss-cn-shanghai.aliyuncs.com/a%20%E6%B0%B4.mp4")

    assert call.emulator.jobs()[0]["media"] == "oss://bucket/a 水.mp4"


def test_a_media_asset_is_named_by_its_id(call: Any) -> None:
    """Type Media takes the id of a media asset."""
    assert submit_input(call, {"Type": "Media", "Media": MEDIA_ID}).status == 200
    assert call.emulator.jobs()[0]["media"] == MEDIA_ID


def test_input_is_mandatory(call: Any) -> None:
    """A submission without Input is refused."""
    message = "Input is mandatory for this action."

    assert call("SubmitCopyrightExtractJob").refusal == (400, "MissingInput", message)


@pytest.mark.parametrize("text", [FILM, "[]", "{"])
def test_input_is_a_json_object(call: Any, text: str) -> None:
    """Input that is no JSON object is refused."""
    assert submit_input(call, text).refusal == invalid("Input", "it must be a JSON object")


@pytest.mark.parametrize("name", ["Type", "Media"])
def test_both_fields_of_input_are_mandatory(call: Any, name: str) -> None:
    """Input without Type or Media is refused."""
    value = {"Type": "OSS", "Media": FILM}
    del value[name]

    message = f"Input.{name} is mandatory for this action."
    assert submit_input(call, value).refusal == (400, "MissingParameter", message)


def test_the_type_is_one_of_two(call: Any) -> None:
    """A Type other than OSS and Media is refused."""
    answer = submit_input(call, {"Type": "oss", "Media": FILM})

    assert answer.refusal == invalid("Input", "Type must be one of OSS, Media")


def test_media_is_a_string(call: Any) -> None:
    """Media that is no string is refused."""
    assert submit_input(call, {"Type": "OSS", "Media": 1}).refusal == invalid("Input", "Media must be a string")


@pytest.mark.parametrize(
    "media",
    [
        "oss://bucket/",
        "oss://b/film.mp4",
        "https://example.com/film.mp4",
        "https://bucket.oss-cn-shanghai.aliyuncs.com/film.mp4?Expires=1&Signature=abc",
        "/tmp/film.mp4",
    ],
)
def test_media_in_another_form_is_refused(call: Any, media: str) -> None:
    """Media in a form that is not documented is refused, and not repeated: it may be a signed URL."""
    reason = "Media must be oss://bucket/object, http(s)://bucket.oss-<region>.aliyuncs.com/object or a media id"

    assert call.submit(media).refusal == invalid("Input", reason)


def test_media_in_another_region_is_refused(call: Any) -> None:
    """An object in a region other than the service's is refused."""
    reason = "Media is in region cn-beijing, this service is in cn-shanghai"

    assert call.submit("https://bucket.oss-cn-beijing.aliyuncs.com/film.mp4").refusal == invalid("Input", reason)


@pytest.mark.parametrize(("kind", "media"), [("Media", FILM), ("OSS", MEDIA_ID)])
def test_type_and_media_must_go_together(call: Any, kind: str, media: str) -> None:
    """A URL as Media and an id as OSS are refused."""
    reason = "Type OSS goes with the URL of an OSS object, Type Media with a media id"

    assert submit_input(call, {"Type": kind, "Media": media}).refusal == invalid("Input", reason)


def test_the_algorithm_is_v1_by_default(call: Any) -> None:
    """Without Params a job runs with v1."""
    call.submit(FILM)

    assert call.emulator.jobs()[0]["algo_type"] == "v1"


def test_the_algorithm_can_be_chosen(call: Any) -> None:
    """Params chooses the algorithm."""
    call.submit(FILM, Params='{"algoType": "v2"}')

    assert call.emulator.jobs()[0]["algo_type"] == "v2"


def test_an_unknown_algorithm_is_refused(call: Any) -> None:
    """An algorithm other than v1 and v2 is refused."""
    answer = call.submit(FILM, Params='{"algoType": "v3"}')

    assert answer.refusal == invalid("Params", "algoType must be one of v1, v2")


@pytest.mark.parametrize("text", ["v1", '"v1"'])
def test_params_is_a_json_object(call: Any, text: str) -> None:
    """Params that is no JSON object is refused."""
    assert call.submit(FILM, Params=text).refusal == invalid("Params", "it must be a JSON object")


def test_user_data_of_1024_bytes_is_accepted(call: Any) -> None:
    """User data is limited in bytes, not in characters: 341 of three bytes each and one more fit."""
    assert call.submit(FILM, UserData="水" * 341 + "x").status == 200


def test_user_data_of_1025_bytes_is_refused(call: Any) -> None:
    """One byte over the limit is refused."""
    answer = call.submit(FILM, UserData="水" * 341 + "xx")

    assert answer.refusal == invalid("UserData", "it must not be longer than 1024 bytes")


def test_a_parameter_far_too_long_gets_the_services_answer(call: Any) -> None:
    """A request line longer than most servers take still reaches the check of the parameter."""
    assert call.submit(FILM, UserData="水" * 5000).body["Code"] == "InvalidParameter.UserData"


def test_a_refused_submission_makes_no_job(call: Any) -> None:
    """What was refused is not on the bill."""
    call.submit(FILM, Params="nonsense")

    assert call.emulator.jobs() == []


@pytest.mark.parametrize("action", ["SubmitCopyrightExtractJob", "QueryCopyrightExtractJob", "QueryCopyrightJobList"])
def test_watermarks_are_for_two_regions_only(
    hangzhou: EmulatorProcess, connect: Callable[[EmulatorProcess], Any], action: str
) -> None:
    """Outside of Shanghai and Beijing the watermark actions are refused."""
    answer = connect(hangzhou)(action)

    message = f"{action} is not supported in region cn-hangzhou, only in cn-beijing and cn-shanghai."
    assert answer.refusal == (400, "UnsupportedOperation", message)


def test_a_running_job_says_nothing(call: Any) -> None:
    """While a job runs, its query answers with empty Data."""
    call.emulator.put_media(FILM, watermark="mark")
    answer = call.query(call.submitted(FILM))

    assert answer.status == 200
    assert answer.body == {"Data": {}, "Message": "ok", "RequestId": answer.body["RequestId"], "StatusCode": 200}


def test_a_finished_job_tells_the_text(call: Any) -> None:
    """When a job is done, its query answers with the text of the watermark."""
    call.emulator.put_media(FILM, watermark="版权水印测试")
    job_id = call.submitted(FILM)
    call.emulator.advance(5)

    answer = call.query(job_id)

    data = {"Message": "版权水印测试"}
    assert answer.body == {"Data": data, "Message": "ok", "RequestId": answer.body["RequestId"], "StatusCode": 200}


def test_a_job_can_be_done_at_once(call: Any) -> None:
    """With a processing time of 0 the first query has the text."""
    call.emulator.configure(processing_time=0)
    call.emulator.put_media(FILM, watermark="mark")

    assert call.query(call.submitted(FILM)).body["Data"] == {"Message": "mark"}


def test_a_media_object_can_have_its_own_processing_time(call: Any) -> None:
    """The processing time of a media object goes before the general one."""
    call.emulator.put_media(FILM, watermark="mark", processing_time=0)

    assert call.query(call.submitted(FILM)).body["Data"] == {"Message": "mark"}


@pytest.mark.parametrize(
    "media",
    [
        pytest.param({"watermark": None}, id="unmarked"),
        pytest.param({"watermark": "mark", "algo_type": "v2"}, id="embedded with another algorithm"),
        pytest.param({"watermark": "mark", "duration": 179}, id="too short for v1"),
        pytest.param(None, id="missing"),
    ],
)
def test_nothing_found_is_silence_for_ever(call: Any, media: dict[str, Any] | None) -> None:
    """A job that finds nothing answers like one that runs, however long one waits."""
    if media is not None:
        call.emulator.put_media(FILM, **media)
    job_id = call.submitted(FILM)
    call.emulator.advance(10**6)

    assert call.query(job_id).body["Data"] == {}


def test_v2_finds_the_mark_of_a_short_video(call: Any) -> None:
    """The algorithm for short videos has no minimum length."""
    call.emulator.put_media(FILM, watermark="mark", algo_type="v2", duration=20, processing_time=0)

    assert call.query(call.submitted(FILM, Params='{"algoType": "v2"}')).body["Data"] == {"Message": "mark"}


def test_the_text_can_end_in_a_newline(call: Any) -> None:
    """On request the text ends in a newline, as a sample of the sister product has it."""
    call.emulator.put_media(FILM, watermark="mark", processing_time=0, trailing_newline=True)

    assert call.query(call.submitted(FILM)).body["Data"] == {"Message": "mark\n"}


def test_a_job_reads_the_media_as_it_was(call: Any) -> None:
    """What happens to a media object after the submission changes no job."""
    call.emulator.put_media(FILM, watermark="old", processing_time=0)
    job_id = call.submitted(FILM)
    call.emulator.put_media(FILM, watermark="new")

    assert call.query(job_id).body["Data"] == {"Message": "old"}


@pytest.mark.parametrize(
    ("variant", "watermark", "running", "done"),
    [
        ("silent", "mark", {}, {"Message": "mark"}),
        ("state_field", "mark", {"Status": "Processing"}, {"Message": "mark", "Status": "Success"}),
        ("state_field", None, {"Status": "Processing"}, {"Status": "Fail"}),
        ("cancelled", "mark", {"Status": "Processing"}, {"Status": "Canceled"}),
        ("empty_success", "mark", {"Status": "Processing"}, {"Message": "mark", "Status": "Success"}),
        ("empty_success", None, {"Status": "Processing"}, {"Status": "Success"}),
        ("unknown_word", "mark", {"Status": "Pondering"}, {"Message": "mark", "Status": "Pondering"}),
        ("unknown_word", None, {"Status": "Pondering"}, {"Status": "Pondering"}),
    ],
)
def test_the_query_can_answer_with_a_state(
    call: Any, variant: str, watermark: str | None, running: dict[str, str], done: dict[str, str]
) -> None:
    """A media object can be told to have its jobs answer with a state that is not documented."""
    call.emulator.put_media(FILM, watermark=watermark, variant=variant)
    job_id = call.submitted(FILM)

    assert call.query(job_id).body["Data"] == running
    call.emulator.advance(5)
    assert call.query(job_id).body["Data"] == done


def test_the_query_can_answer_with_a_status_code(call: Any) -> None:
    """A media object can be told to have its jobs answer with another StatusCode, for ever, and HTTP 200."""
    call.emulator.put_media(FILM, watermark="mark", variant="status_code", processing_time=0)
    job_id = call.submitted(FILM)

    for _ in range(2):
        answer = call.query(job_id)
        assert answer.status == 200
        assert (answer.body["StatusCode"], answer.body["Message"], answer.body["Data"]) == (500, "InternalError", {})


def test_the_job_id_is_mandatory(call: Any) -> None:
    """A query without JobId is refused."""
    message = "JobId is mandatory for this action."

    assert call("QueryCopyrightExtractJob").refusal == (400, "MissingJobId", message)


def test_an_unknown_job_is_refused(call: Any) -> None:
    """A JobId that was never given out is 404."""
    assert call.query("0" * 32).refusal == (404, "JobNotFound", "The specified job does not exist.")


def test_an_unknown_job_can_be_silent(call: Any) -> None:
    """On request a JobId that was never given out answers like a running job."""
    call.emulator.configure(unknown_job="silent")

    assert call.query("0" * 32).body["Data"] == {}
