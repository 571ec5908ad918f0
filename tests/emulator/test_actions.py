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
    """Submit an extraction job with any Input."""
    text = value if isinstance(value, str) else json.dumps(value)
    return call("SubmitCopyrightExtractJob", {"Input": text, **parameters})


def invalid_parameter(name: str, reason: str) -> tuple[int, str, str]:
    """Return the error for a parameter with a wrong value."""
    return 400, f"InvalidParameter.{name}", f"The specified parameter {name} is not valid: {reason}."


def test_a_submission_returns_a_job_id(call: Any) -> None:
    """The response to a submission has a JobId of 32 hexadecimal digits in the documented shape."""
    response = call.submit(FILM)

    assert response.status == 200
    assert re.fullmatch("[0-9a-f]{32}", response.body["Data"].pop("JobId"))
    assert response.body["Data"].keys() == {"JobId"}
    assert response.body["Message"] == "ok"
    assert response.body["StatusCode"] == 200
    assert response.body.keys() == {"Data", "Message", "RequestId", "StatusCode"}


def test_each_submission_makes_a_new_job(call: Any) -> None:
    """The service has no idempotency: the same submission twice makes two jobs."""
    assert call.submitted(FILM) != call.submitted(FILM)
    assert len(call.emulator.jobs()) == 2


@pytest.mark.parametrize(("setting", "jobs"), [("ignored", [1, 2, 3]), ("honoured", [1, 1, 2])])
def test_client_token(call: Any, setting: str, jobs: list[int]) -> None:
    """A repeated ClientToken makes no second job if tokens are honoured, and a new job if they are ignored."""
    call.emulator.configure(client_token=setting)
    for token, expected in zip(["a", "a", "b"], jobs, strict=True):
        response = submit_input(call, {"Type": "OSS", "Media": FILM}, ClientToken=token)
        assert [job["job_id"] for job in call.emulator.jobs()][expected - 1] == response.body["Data"]["JobId"]
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


def test_the_path_of_an_https_url_is_percent_decoded(call: Any) -> None:
    """The path of an https URL is decoded to the name of the object."""
    call.submit("https://bucket.oss-cn-shanghai.aliyuncs.com/a%20%E6%B0%B4.mp4")

    assert call.emulator.jobs()[0]["media"] == "oss://bucket/a 水.mp4"


def test_a_media_asset_is_named_by_its_id(call: Any) -> None:
    """Type Media takes the id of a media asset."""
    assert submit_input(call, {"Type": "Media", "Media": MEDIA_ID}).status == 200
    assert call.emulator.jobs()[0]["media"] == MEDIA_ID


def test_input_is_mandatory(call: Any) -> None:
    """A submission without Input is refused."""
    message = "Input is mandatory for this action."

    assert call("SubmitCopyrightExtractJob").error == (400, "MissingInput", message)


@pytest.mark.parametrize("text", [FILM, "[]", "{"])
def test_input_is_a_json_object(call: Any, text: str) -> None:
    """Input that is not a JSON object is refused."""
    assert submit_input(call, text).error == invalid_parameter("Input", "it must be a JSON object")


@pytest.mark.parametrize("name", ["Type", "Media"])
def test_both_fields_of_input_are_mandatory(call: Any, name: str) -> None:
    """Input without Type or Media is refused."""
    value = {"Type": "OSS", "Media": FILM}
    del value[name]

    message = f"Input.{name} is mandatory for this action."
    assert submit_input(call, value).error == (400, "MissingParameter", message)


def test_the_type_is_one_of_two(call: Any) -> None:
    """A Type other than OSS and Media is refused."""
    response = submit_input(call, {"Type": "oss", "Media": FILM})

    assert response.error == invalid_parameter("Input", "Type must be one of OSS, Media")


def test_media_is_a_string(call: Any) -> None:
    """Media that is not a string is refused."""
    assert submit_input(call, {"Type": "OSS", "Media": 1}).error == invalid_parameter("Input", "Media must be a string")


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
    """Media in an undocumented form is refused, and the error does not repeat it because it may be a signed URL."""
    reason = "Media must be oss://bucket/object, http(s)://bucket.oss-<region>.aliyuncs.com/object or a media id"

    assert call.submit(media).error == invalid_parameter("Input", reason)


def test_media_in_another_region_is_refused(call: Any) -> None:
    """An object in another region than the service is refused."""
    reason = "Media is in region cn-beijing, this service is in cn-shanghai"

    assert call.submit("https://bucket.oss-cn-beijing.aliyuncs.com/film.mp4").error == invalid_parameter(
        "Input", reason
    )


@pytest.mark.parametrize("host", ["ice.cn-beijing.aliyuncs.com", "ICE-VPC.cn-beijing.aliyuncs.com:443"])
def test_the_host_of_another_region_is_refused(call: Any, host: str) -> None:
    """A request to the host of another region than the service is refused, and makes no job."""
    media = json.dumps({"Type": "OSS", "Media": FILM})
    status, code, message = call("SubmitCopyrightExtractJob", {"Input": media}, headers={"host": host}).error

    assert (status, code) == (400, "InvalidOperation.NotSupportedEndpoint")
    assert message.endswith("The endpoint is in cn-shanghai, the request names cn-beijing.")
    assert call.emulator.jobs() == []


@pytest.mark.parametrize("place", ["query", "form"])
def test_the_region_id_of_another_region_is_refused(call: Any, place: str) -> None:
    """A request with the RegionId of another region than the service is refused, and makes no job."""
    if place == "query":
        response = call.submit(RegionId="cn-beijing")
    else:
        response = call("SubmitCopyrightExtractJob", body="RegionId=cn-beijing")

    assert response.error[:2] == (400, "InvalidOperation.NotSupportedEndpoint")
    assert call.emulator.jobs() == []


def test_the_own_region_is_accepted(call: Any) -> None:
    """A request to the host of the service's region and with its RegionId is served."""
    headers = {"host": "ice.cn-shanghai.aliyuncs.com"}

    assert call("QueryCopyrightJobList", {"RegionId": "cn-shanghai"}, headers=headers).status == 200


@pytest.mark.parametrize(("kind", "media"), [("Media", FILM), ("OSS", MEDIA_ID)])
def test_type_and_media_must_match(call: Any, kind: str, media: str) -> None:
    """Type Media with a URL and type OSS with a media id are refused."""
    reason = "Type OSS goes with the URL of an OSS object, Type Media with a media id"

    assert submit_input(call, {"Type": kind, "Media": media}).error == invalid_parameter("Input", reason)


def test_the_algorithm_is_v1_by_default(call: Any) -> None:
    """Without Params a job uses v1."""
    call.submit(FILM)

    assert call.emulator.jobs()[0]["algo_type"] == "v1"


def test_the_algorithm_can_be_chosen(call: Any) -> None:
    """Params chooses the algorithm."""
    call.submit(FILM, Params='{"algoType": "v2"}')

    assert call.emulator.jobs()[0]["algo_type"] == "v2"


def test_an_unknown_algorithm_is_refused(call: Any) -> None:
    """An algorithm other than v1 and v2 is refused."""
    response = call.submit(FILM, Params='{"algoType": "v3"}')

    assert response.error == invalid_parameter("Params", "algoType must be one of v1, v2")


@pytest.mark.parametrize("text", ["v1", '"v1"'])
def test_params_is_a_json_object(call: Any, text: str) -> None:
    """Params that is not a JSON object is refused."""
    assert call.submit(FILM, Params=text).error == invalid_parameter("Params", "it must be a JSON object")


def test_user_data_of_1024_bytes_is_accepted(call: Any) -> None:
    """The limit of user data is in bytes: 341 characters of three bytes and one of one byte are accepted."""
    assert call.submit(FILM, UserData="水" * 341 + "x").status == 200


def test_user_data_of_1025_bytes_is_refused(call: Any) -> None:
    """One byte over the limit is refused."""
    response = call.submit(FILM, UserData="水" * 341 + "xx")

    assert response.error == invalid_parameter("UserData", "it must not be longer than 1024 bytes")


def test_a_very_long_parameter_is_checked_by_the_service(call: Any) -> None:
    """A request line that is too long for most servers still reaches the check of the parameter."""
    assert call.submit(FILM, UserData="水" * 5000).body["Code"] == "InvalidParameter.UserData"


def test_a_refused_submission_makes_no_job(call: Any) -> None:
    """A refused submission is not in the list of jobs."""
    call.submit(FILM, Params="nonsense")

    assert call.emulator.jobs() == []


@pytest.mark.parametrize("action", ["SubmitCopyrightExtractJob", "QueryCopyrightExtractJob", "QueryCopyrightJobList"])
def test_watermark_actions_exist_in_two_regions(
    hangzhou: EmulatorProcess, connect: Callable[[EmulatorProcess], Any], action: str
) -> None:
    """Outside of Shanghai and Beijing the watermark actions are refused."""
    response = connect(hangzhou)(action)

    message = f"{action} is not supported in region cn-hangzhou, only in cn-beijing and cn-shanghai."
    assert response.error == (400, "UnsupportedOperation", message)


def test_a_running_job_returns_empty_data(call: Any) -> None:
    """The query for a running job returns empty Data."""
    call.emulator.put_media(FILM, watermark="mark")
    response = call.query(call.submitted(FILM))

    assert response.status == 200
    assert response.body == {"Data": {}, "Message": "ok", "RequestId": response.body["RequestId"], "StatusCode": 200}


def test_a_finished_job_returns_the_text(call: Any) -> None:
    """The query for a finished job returns the text of the watermark."""
    call.emulator.put_media(FILM, watermark="版权水印测试")
    job_id = call.submitted(FILM)
    call.emulator.advance(5)

    response = call.query(job_id)

    data = {"Message": "版权水印测试"}
    assert response.body == {"Data": data, "Message": "ok", "RequestId": response.body["RequestId"], "StatusCode": 200}


def test_a_job_can_take_no_time(call: Any) -> None:
    """With a processing time of 0 the first query returns the text."""
    call.emulator.configure(processing_time=0)
    call.emulator.put_media(FILM, watermark="mark")

    assert call.query(call.submitted(FILM)).body["Data"] == {"Message": "mark"}


def test_a_media_object_can_have_its_own_processing_time(call: Any) -> None:
    """The processing time of a media object has priority over that of the settings."""
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
def test_a_job_that_finds_nothing_looks_like_a_running_job(call: Any, media: dict[str, Any] | None) -> None:
    """A job that finds nothing returns the same as a running job, however much time passes."""
    if media is not None:
        call.emulator.put_media(FILM, **media)
    job_id = call.submitted(FILM)
    call.emulator.advance(10**6)

    assert call.query(job_id).body["Data"] == {}


def test_v2_finds_the_mark_of_a_short_video(call: Any) -> None:
    """The algorithm v2 has no minimum duration."""
    call.emulator.put_media(FILM, watermark="mark", algo_type="v2", duration=20, processing_time=0)

    assert call.query(call.submitted(FILM, Params='{"algoType": "v2"}')).body["Data"] == {"Message": "mark"}


def test_the_text_can_end_in_a_newline(call: Any) -> None:
    """With trailing_newline the text ends with a newline, as in an example of the sister product."""
    call.emulator.put_media(FILM, watermark="mark", processing_time=0, trailing_newline=True)

    assert call.query(call.submitted(FILM)).body["Data"] == {"Message": "mark\n"}


def test_a_job_keeps_the_media_object_of_its_submission(call: Any) -> None:
    """A change of a media object does not change jobs that were submitted before."""
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
def test_the_query_can_return_a_state(
    call: Any, variant: str, watermark: str | None, running: dict[str, str], done: dict[str, str]
) -> None:
    """With a variant, the query returns an undocumented state."""
    call.emulator.put_media(FILM, watermark=watermark, variant=variant)
    job_id = call.submitted(FILM)

    assert call.query(job_id).body["Data"] == running
    call.emulator.advance(5)
    assert call.query(job_id).body["Data"] == done


def test_the_query_can_return_a_status_code(call: Any) -> None:
    """With the variant status_code, every query returns StatusCode 500 and HTTP status 200."""
    call.emulator.put_media(FILM, watermark="mark", variant="status_code", processing_time=0)
    job_id = call.submitted(FILM)

    for _ in range(2):
        response = call.query(job_id)
        assert response.status == 200
        assert (response.body["StatusCode"], response.body["Message"], response.body["Data"]) == (
            500,
            "InternalError",
            {},
        )


def test_the_job_id_is_mandatory(call: Any) -> None:
    """A query without JobId is refused."""
    message = "JobId is mandatory for this action."

    assert call("QueryCopyrightExtractJob").error == (400, "MissingJobId", message)


def test_an_unknown_job_is_refused(call: Any) -> None:
    """A query for a JobId that does not exist is 404."""
    assert call.query("0" * 32).error == (404, "JobNotFound", "The specified job does not exist.")


def test_an_unknown_job_can_be_silent(call: Any) -> None:
    """With unknown_job=silent, a JobId that does not exist returns the same as a running job."""
    call.emulator.configure(unknown_job="silent")

    assert call.query("0" * 32).body["Data"] == {}
