from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess

FILM = "oss://bucket/film.mp4"


def control(emulator: EmulatorProcess, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
    """Call the control API with any text as the body."""
    request = urllib.request.Request(
        f"{emulator.endpoint}/_emulator{path}", method=method, data=None if body is None else body.encode()
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_media_have_defaults(ims_emulator: EmulatorProcess) -> None:
    """A media object with only a name is unmarked, ten minutes long and of the variant silent."""
    status, media = control(ims_emulator, "PUT", "/media", json.dumps({"media": FILM}))

    assert status == 200
    assert media == {
        "media": FILM,
        "duration": 600.0,
        "watermark": None,
        "algo_type": "v1",
        "trace": None,
        "m3u8_type": None,
        "trace_streams": False,
        "survives_transcoding": True,
        "processing_time": None,
        "trailing_newline": False,
        "variant": "silent",
    }
    assert ims_emulator.media() == [media]


def test_all_fields_of_a_media_object_can_be_set(ims_emulator: EmulatorProcess) -> None:
    """All fields of a media object are kept as they were put."""
    fields: dict[str, Any] = {
        "media": FILM,
        "duration": 61.5,
        "watermark": "mark",
        "algo_type": "v2",
        "trace": "user 1",
        "m3u8_type": "v2",
        "trace_streams": True,
        "survives_transcoding": False,
        "processing_time": 7.0,
        "trailing_newline": True,
        "variant": "state_field",
    }

    assert ims_emulator.put_media(**fields) == fields


def test_both_forms_of_a_url_put_the_same_object(ims_emulator: EmulatorProcess) -> None:
    """A media object that was put under one form of its URL is replaced under the other."""
    ims_emulator.put_media(FILM, watermark="old")
    ims_emulator.put_media("https://bucket.oss-cn-shanghai.aliyuncs.com/film.mp4", watermark="new")

    assert [(media["media"], media["watermark"]) for media in ims_emulator.media()] == [(FILM, "new")]


@pytest.mark.parametrize(
    ("method", "path", "body", "error"),
    [
        ("PUT", "/media", "{", "the body is not JSON: "),
        ("PUT", "/media", "[]", "a media object must be a JSON object"),
        ("PUT", "/media", "{}", "media is required"),
        ("PUT", "/media", '{"media": "https://example.com/"}', "media: Media must be oss://bucket/object, "),
        ("PUT", "/media", '{"media": "id", "duration": "long"}', "duration must be a number of seconds"),
        ("PUT", "/media", '{"media": "id", "duration": true}', "duration must be a number of seconds"),
        ("PUT", "/media", '{"media": "id", "duration": -1}', "duration must be a number of seconds, 0 or more"),
        ("PUT", "/media", '{"media": "id", "duration": NaN}', "the body is not JSON: NaN is not a number"),
        ("PUT", "/media", '{"media": "id", "duration": 1e11}', "duration must be 10,000,000,000 seconds or less"),
        ("PUT", "/media", '{"media": "id", "watermark": 1}', "watermark must be a string"),
        ("PUT", "/media", '{"media": "id", "algo_type": "v3"}', "algo_type must be one of: v1, v2"),
        ("PUT", "/media", '{"media": "id", "trailing_newline": 1}', "trailing_newline must be true or false"),
        ("PUT", "/media", '{"media": "id", "variant": "loud"}', "variant must be one of: silent, state_field, "),
        ("PUT", "/media", '{"media": "id", "durations": 1}', "a media object does not take: durations. It takes: "),
        ("POST", "/faults", "1", "a fault must be a JSON object"),
        ("POST", "/faults", '{"kind": "hang"}', "action is required"),
        ("POST", "/faults", '{"action": "A"}', "kind must be one of: throttle, service_unavailable, "),
        ("POST", "/faults", '{"action": "A", "kind": "hang", "nth": 0}', "nth must be 1 or more"),
        ("POST", "/faults", '{"action": "A", "kind": "hang", "times": 1.5}', "times must be a whole number"),
        ("POST", "/faults", '{"action": "A", "kind": "hang", "seconds": 1}', "a fault does not take: seconds"),
        ("POST", "/faults", '{"action": "A", "kind": "answer", "status": 99}', "status must be 200 or more"),
        (
            "POST",
            "/faults",
            '{"action": "A", "kind": "answer", "headers": {"x": 1}}',
            "headers must be an object of strings",
        ),
        ("POST", "/clock", "{}", "advance is required"),
        ("POST", "/clock", '{"advance": -1}', "advance must be a number of seconds, 0 or more"),
        ("PATCH", "/settings", '{"unknown_job": "loud"}', "unknown_job must be one of: error, silent"),
        ("PATCH", "/settings", '{"client_token": "lost"}', "client_token must be one of: ignored, honoured"),
        ("PATCH", "/settings", '{"region": "cn-beijing"}', "settings does not take: region. It takes: "),
    ],
)
def test_invalid_input_is_refused_with_a_reason(
    ims_emulator: EmulatorProcess, method: str, path: str, body: str, error: str
) -> None:
    """Invalid input is 400 with an error that says why, and changes nothing."""
    status, response = control(ims_emulator, method, path, body)

    assert (status, response.keys()) == (400, {"error"})
    assert response["error"].startswith(error)
    assert ims_emulator.media() == ims_emulator.faults() == []


def test_several_faults_can_be_posted_at_once(ims_emulator: EmulatorProcess) -> None:
    """A list of faults adds all of them."""
    faults = json.dumps([{"action": "A", "kind": "hang"}, {"action": "B", "kind": "slow"}])

    assert control(ims_emulator, "POST", "/faults", faults)[0] == 200
    assert [(fault["action"], fault["options"]) for fault in ims_emulator.faults()] == [
        ("A", {}),
        ("B", {"seconds": 1.0}),
    ]


def test_a_list_with_a_bad_fault_adds_none(ims_emulator: EmulatorProcess) -> None:
    """A list with an invalid fault adds none of them."""
    faults = json.dumps([{"action": "A", "kind": "hang"}, {"action": "B", "kind": "nonsense"}])

    assert control(ims_emulator, "POST", "/faults", faults)[0] == 400
    assert ims_emulator.faults() == []


def test_the_clock_can_be_advanced(ims_emulator: EmulatorProcess) -> None:
    """Advances of the clock add up."""
    ims_emulator.advance(60)
    ims_emulator.advance(0.5)

    status, clock = control(ims_emulator, "GET", "/clock")
    assert (status, clock["advanced"], clock.keys()) == (200, 60.5, {"now", "advanced"})


def test_settings_can_be_changed_one_by_one(ims_emulator: EmulatorProcess) -> None:
    """A change of one setting does not change the others."""
    ims_emulator.configure(unknown_job="silent")
    ims_emulator.configure(processing_time=9)

    settings = {
        "processing_time": 9,
        "unknown_job": "silent",
        "client_token": "ignored",
        "token_lifetime": None,
        "stated_lifetime": None,
        "clock_skew": 0,
    }
    assert control(ims_emulator, "GET", "/settings") == (200, settings)


def test_jobs_are_listed_with_all_their_fields(call: Any) -> None:
    """The list of jobs has all fields of a job, also those that the service does not return."""
    call.emulator.put_media(FILM, watermark="mark")
    job_id = call.submitted(FILM, UserData="mine")
    (job,) = call.emulator.jobs()

    assert job.pop("created_at") < job.pop("done_at")
    assert job == {
        "job_id": job_id,
        "family": "CopyrightExtractJob",
        "media": FILM,
        "algo_type": "v1",
        "user_data": "mine",
        "state": "running",
        "text": None,
        "queried": False,
        "queries": 0,
    }


def test_a_finished_job_is_listed_with_its_text(call: Any) -> None:
    """A job that has ended is listed as done, with its text."""
    call.emulator.put_media(FILM, watermark="mark")
    call.query(call.submitted(FILM))
    call.emulator.advance(5)

    (job,) = call.emulator.jobs()
    assert (job["state"], job["text"], job["queried"], job["queries"]) == ("done", "mark", True, 1)


def test_the_bill_has_a_line_for_each_job(call: Any) -> None:
    """Each job is billed by started minutes of its media, and the lines add up."""
    call.emulator.put_media(FILM, duration=600)
    call.emulator.put_media("oss://bucket/clip.mp4", duration=61)
    jobs = [call.submitted(FILM), call.submitted("oss://bucket/clip.mp4")]

    assert call.emulator.bill() == {
        "lines": [
            {"job_id": jobs[0], "media": FILM, "minutes": 10, "price": "10.00", "currency": "CNY"},
            {"job_id": jobs[1], "media": "oss://bucket/clip.mp4", "minutes": 2, "price": "2.00", "currency": "CNY"},
        ],
        "jobs": 2,
        "minutes": 12,
        "price": "12.00",
        "currency": "CNY",
    }


def test_a_job_on_a_missing_object_costs_nothing(call: Any) -> None:
    """A job on an object that does not exist is in the bill with 0 minutes."""
    call.submit("oss://bucket/missing.mp4")

    bill = call.emulator.bill()
    assert [(line["minutes"], line["price"]) for line in bill["lines"]] == [(0, "0.00")]


def test_reset_returns_to_the_start(call: Any) -> None:
    """A reset deletes media, jobs, bill, faults, requests and nonces, and restores clock and settings."""
    emulator = call.emulator
    before = control(emulator, "GET", "/settings")
    emulator.put_media(FILM)
    emulator.advance(100)
    emulator.configure(processing_time=1, unknown_job="silent")
    call.submit(FILM)
    call("QueryCopyrightJobList", headers={"x-acs-signature-nonce": "used"})
    emulator.fault("QueryCopyrightJobList", "throttle")

    emulator.reset()

    assert emulator.media() == emulator.jobs() == emulator.faults() == emulator.requests() == []
    assert emulator.bill()["jobs"] == 0
    assert control(emulator, "GET", "/clock")[1]["advanced"] == 0
    assert control(emulator, "GET", "/settings") == before
    assert call("QueryCopyrightJobList", headers={"x-acs-signature-nonce": "used"}).status == 200
    assert emulator.requests()[0]["sequence"] == 1
