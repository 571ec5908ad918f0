"""The operator that registers objects as media assets: what it sends, what it refuses, and what is retried."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, BaseOperator
from alibabacloud_ice20201109 import models

from airflow_provider_ims.exceptions import (
    ImsConfigurationError,
    ImsRequestError,
    ImsSubmitUnknownError,
    ImsThrottledError,
    ImsTransportError,
)
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.catalog import JOB_TYPES, MEDIA_REGISTRATION
from airflow_provider_ims.operators.upload import ImsRegisterMediaInfoOperator
from tests.attempts import SimulatedTask
from tests.jobs.test_families_sdk import differences

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess

FILM = "oss://rights/film.mp4"
REGISTER = "RegisterMediaInfo"
ALL: dict[str, Any] = {
    "input_url": FILM,
    "overwrite": False,
    "media_type": "video",
    "business_type": "general",
    "title": "Film",
    "description": "the film, \u7248\u6743",
    "cover_url": "https://example.com/cover.jpg",
    "media_tags": "film,master",
    "cate_id": 7,
    "workflow_id": "flow",
    "reference_id": "film-7_A",
    "register_config": {"NeedSprite": False},
    "smart_tag_template_id": "S00000101-300080",
    "user_data": {"case": 7},
}


@pytest.fixture
def emulator(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> EmulatorProcess:
    """Return an emulator with one marked film; its connection has a short read_timeout."""
    connect(extra={"read_timeout": 0.5})
    ims_emulator.configure(processing_time=0)
    ims_emulator.put_media(FILM, duration=600, watermark="(c) Studio")
    return ims_emulator


def task_of(*, store: Any = None, map_index: int = -1, **arguments: Any) -> SimulatedTask:
    """Return a task with the operator, over its attempts. It needs no state store."""
    given: dict[str, Any] = {"input_url": FILM, **arguments}

    def operator() -> Any:
        return ImsRegisterMediaInfoOperator(task_id="register", **given)

    return SimulatedTask(operator, store=store, map_index=map_index)


def register(**arguments: Any) -> str:
    """Run one attempt, and return the media id."""
    task = task_of(**arguments)
    if task.attempt() != "success":
        raise task.error or AssertionError("the attempt failed without an error")
    media_id: str = task.ti.xcoms["return_value"]
    return media_id


# ---- requests and return values


def test_row_matches_the_sdk() -> None:
    """Action, limits and paths are those of the SDK, each parameter has an argument, and the action creates no job."""
    assert differences(MEDIA_REGISTRATION) == []
    assert REGISTER not in JOB_TYPES
    request = models.RegisterMediaInfoRequest()
    of_sdk = set(request.from_map(dict.fromkeys(map(pascal, vars(request)), "x")).to_map()) | {"ClientToken"}
    assert {one.name for one in MEDIA_REGISTRATION.parameters} | {"ClientToken"} == of_sdk


def pascal(name: str) -> str:
    """Return the vendor's name of an attribute of the SDK."""
    return "".join({"url": "URL"}.get(part, part.capitalize()) for part in name.split("_"))


def test_all_arguments_are_sent(emulator: EmulatorProcess) -> None:
    """Each argument is sent by the vendor's name, and a ClientToken too."""
    register(**ALL)
    (request,) = emulator.requests()
    parameters = request["parameters"]
    assert parameters.pop("ClientToken") == "***"  # the emulator's journal shows no tokens
    assert json.loads(parameters.pop("RegisterConfig")) == {"NeedSprite": False}
    assert json.loads(parameters.pop("UserData")) == {"case": 7}
    assert parameters == {
        "InputURL": FILM,
        "Overwrite": "false",
        "MediaType": "video",
        "BusinessType": "general",
        "Title": "Film",
        "Description": "the film, \u7248\u6743",
        "CoverURL": "https://example.com/cover.jpg",
        "MediaTags": "film,master",
        "CateId": "7",
        "WorkflowId": "flow",
        "ReferenceId": "film-7_A",
        "SmartTagTemplateId": "S00000101-300080",
    }


def test_media_id_is_what_other_jobs_take(emulator: EmulatorProcess, logged: Callable[[], str]) -> None:
    """The media id is the return value and the XCom media_id, and an extraction of it reads the same object."""
    task = task_of()
    assert task.attempt() == "success"
    media_id = task.ti.xcoms["media_id"]
    assert task.ti.xcoms == {"media_id": media_id, "return_value": media_id}
    hook = ImsHook()
    found = [hook.wait("CopyrightExtractJob", hook.submit_copyright_extract_job(media)) for media in (FILM, media_id)]
    assert [one.result for one in found] == ["(c) Studio"] * 2
    assert f"Registered {FILM} as media asset {media_id} in cn-shanghai (RequestId " in logged()


def test_nothing_is_pushed_without_do_xcom_push(emulator: EmulatorProcess) -> None:
    """With do_xcom_push=False the operator pushes no XCom of its own."""
    task = task_of(do_xcom_push=False)
    assert task.attempt() == "success"
    assert "media_id" not in task.ti.xcoms


@pytest.mark.parametrize(
    ("value", "sent"), [(True, "true"), (False, "false"), ("True", "true"), (" false ", "false")], ids=repr
)
def test_switch_may_be_a_text(value: Any, sent: str, emulator: EmulatorProcess) -> None:
    """True and False are sent as the vendor writes them, also if a template has made a text of them."""
    register(overwrite=value)
    assert emulator.requests()[0]["parameters"]["Overwrite"] == sent


def test_media_of_vod_are_sent(emulator: EmulatorProcess) -> None:
    """A vod:// URL is sent as it is; the emulator has no such media."""
    with pytest.raises(ImsRequestError):
        register(input_url="vod://a20b48fb04483915d4f2cd8ac")
    assert emulator.requests()[0]["parameters"]["InputURL"] == "vod://a20b48fb04483915d4f2cd8ac"


# ---- what is refused

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"input_url": None}, "input_url is missing. RegisterMediaInfo needs it; if it is a template, look at"),
    ({"input_url": "None"}, "input_url is 'None': the template found nothing"),
    ({"input_url": ""}, "input_url is empty. Use oss://bucket/object, https://"),
    (
        {"input_url": "0123abcd"},
        "input_url is '0123abcd', which is not a URL that IMS reads. Use oss://bucket/object, ",
    ),
    ({"input_url": "oss://rights/films/"}, "which names no object in the bucket 'rights'"),
    (
        {"input_url": f"https://rights.oss-cn-beijing.aliyuncs.com/{FILM}"},
        "which is in cn-beijing and the job would run",
    ),
    ({"input_url": "oss://rights/a.mp4?Signature=x"}, "which has a query string (not shown)"),
    ({"input_url": "vod://"}, "input_url is 'vod://', which has no media id after vod://. Use oss://bucket/object"),
    ({"input_url": [FILM]}, "input_url is a list"),
    ({"overwrite": "yes"}, "overwrite is 'yes'. Give True or False"),
    ({"overwrite": 1}, "overwrite is 1. Give True or False"),
    ({"media_type": "film"}, "media_type is 'film'. Use one of: image, video, audio, text"),
    ({"business_type": "x"}, "business_type is 'x'. Use one of: subtitles, font, watermark, opening, ending, general"),
    ({"title": "x" * 129}, "title has 129 bytes in UTF-8. IMS takes at most 128"),
    ({"description": "\u7248" * 342}, "description has 1,026 bytes in UTF-8. IMS takes at most 1,024"),
    ({"cover_url": "x" * 129}, "cover_url has 129 bytes"),
    ({"media_tags": ["a"]}, "media_tags is a list. Give text"),
    ({"cate_id": "seven"}, "cate_id is 'seven'. Give a whole number"),
    ({"reference_id": "short"}, "reference_id has 5 bytes in UTF-8. IMS takes no less than 6"),
    ({"register_config": "{"}, "register_config is a text, and the text is not JSON"),
    ({"smart_tag_template_id": " "}, "smart_tag_template_id is ' '. Give text"),
    ({"user_data": "x" * 1025}, "user_data has 1,025 bytes in UTF-8. IMS takes at most 1,024"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[next(iter(one[0])) for one in WRONG])
def test_wrong_argument_is_refused(arguments: dict[str, Any], message: str, emulator: EmulatorProcess) -> None:
    """An argument that cannot be right is refused before the call, and the task is not retried."""
    with pytest.raises(ImsConfigurationError, match=re.escape(message)):
        register(**arguments)
    assert emulator.requests() == []


def test_error_of_a_mapped_task_has_its_index(emulator: EmulatorProcess) -> None:
    """The message about an argument of a mapped task begins with the map index."""
    with pytest.raises(ImsConfigurationError, match=r"^Mapped task 3: title has 129 bytes"):
        register(title="x" * 129, map_index=3)


def test_arguments_are_templates() -> None:
    """All arguments stay as they are given until the task runs, also mapped."""
    with DAG("templates", schedule=None) as dag:
        output = BaseOperator(task_id="crawl").output
        arguments: dict[str, Any] = dict.fromkeys(ImsRegisterMediaInfoOperator.template_fields, output)
        task: Any = ImsRegisterMediaInfoOperator(task_id="register", **arguments)
        mapped: Any = ImsRegisterMediaInfoOperator.partial(task_id="each", title="{{ ds }}").expand(input_url=[FILM])
    assert {name: getattr(task, name) for name in arguments} == arguments
    assert dag.get_task("register").upstream_task_ids == {"crawl"}
    assert set(MEDIA_REGISTRATION.arguments) | {"region", "ims_conn_id"} == set(task.template_fields)
    assert task.template_fields_renderers == {"register_config": "json"}
    assert mapped.unmap({"input_url": FILM}).title == "{{ ds }}"


# ---- objects that are registered


def test_registered_object_is_refused_for_good(emulator: EmulatorProcess) -> None:
    """Without overwrite, a registered object is an error that is not retried, and says what to do."""
    register()
    task = task_of(map_index=1)
    assert task.run() == "failed"
    assert task.number == 1
    assert isinstance(task.error, ImsRequestError)
    message = str(task.error)
    assert message.startswith(
        f"RegisterMediaInfo of {FILM} in cn-shanghai was refused: MediaAlreadyExist: The media with"
    )
    assert "give overwrite=True to delete that asset and register a new one, or look up its MediaId with" in message


def test_other_refusals_do_not_speak_of_overwrite(emulator: EmulatorProcess) -> None:
    """The advice about overwrite is for an object that is registered only."""
    emulator.fault(
        REGISTER, "answer", status=400, body='{"RequestId": "R", "Code": "InvalidParameter", "Message": "no"}'
    )
    with pytest.raises(ImsRequestError) as caught:
        register()
    assert "overwrite" not in str(caught.value)


def test_overwrite_registers_anew(emulator: EmulatorProcess) -> None:
    """With overwrite, the object gets a new asset."""
    assert register() != register(overwrite=True, map_index=1)


# ---- retries

LOST = ["cut_after", "cut_before", "internal_error", "service_unavailable", "html_502", "hang"]


@pytest.mark.parametrize("overwrite", [None, True])
@pytest.mark.parametrize("kind", LOST)
def test_lost_response_is_repeated_safely(kind: str, overwrite: Any, emulator: EmulatorProcess) -> None:
    """After a lost response Airflow retries with the same ClientToken: there is one registration, and its id."""
    emulator.fault(REGISTER, kind)
    task = task_of(overwrite=overwrite)
    assert task.attempt() == "up_for_retry"
    assert isinstance(task.error, ImsSubmitUnknownError)
    assert str(task.error).startswith(f"{REGISTER} of {FILM} was sent, and it is unknown whether it was carried out. ")
    assert str(task.error).endswith("with the same ClientToken may be sent again: it registers nothing twice.")
    assert task.attempt() == "success"
    (line,) = emulator.bill()["lines"]
    assert line["job_id"] == task.ti.xcoms["media_id"]


def test_response_without_a_media_id_is_repeated(emulator: EmulatorProcess) -> None:
    """A success without a MediaId is a lost response too."""
    emulator.fault(REGISTER, "answer", body='{"RequestId": "R-1"}')
    task = task_of()
    assert task.attempt() == "up_for_retry"
    assert isinstance(task.error, ImsSubmitUnknownError)
    assert "the response of the service has no MediaId" in str(task.error)
    assert task.error.request_id == "R-1"
    assert task.attempt() == "success"


def test_worker_that_dies_registers_nothing_twice(emulator: EmulatorProcess) -> None:
    """If the id could not be kept after the registration, the retry gets the same id."""
    task = task_of()
    assert task.attempt(failing_key="media_id") == "up_for_retry"
    assert task.attempt() == "success"
    (line,) = emulator.bill()["lines"]
    assert line["job_id"] == task.ti.xcoms["media_id"]


def test_clear_starts_over(emulator: EmulatorProcess) -> None:
    """A task that is cleared sends another ClientToken: with overwrite it registers anew."""
    task = task_of(overwrite=True)
    assert task.attempt() == "success"
    first = task.ti.xcoms["media_id"]
    task.clear()
    assert task.attempt() == "success"
    assert task.ti.xcoms["media_id"] != first


def test_clear_without_overwrite_is_refused(emulator: EmulatorProcess) -> None:
    """A task that is cleared and does not overwrite is refused what it has registered before."""
    task = task_of()
    assert task.attempt() == "success"
    task.clear()
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsRequestError)
    assert task.error.code == "MediaAlreadyExist"


def test_each_mapped_task_has_its_token(emulator: EmulatorProcess) -> None:
    """Two mapped tasks of one run send two tokens: each gets an asset. A task gets the same asset twice."""
    ids = [register(overwrite=True, map_index=map_index) for map_index in (0, 1, 1)]
    assert ids[0] != ids[1] == ids[2]


def test_throttled_request_is_retried(emulator: EmulatorProcess) -> None:
    """A request that is throttled was not carried out, and is retried."""
    emulator.fault(REGISTER, "throttle")
    task = task_of()
    assert task.attempt() == "up_for_retry"
    assert isinstance(task.error, ImsThrottledError)
    assert task.attempt() == "success"


def test_request_that_is_not_sent_is_retried(emulator: EmulatorProcess, connect: Callable[..., None]) -> None:
    """If the service cannot be reached, nothing was registered, and Airflow may retry."""
    connect(host="http://127.0.0.1:9")
    with pytest.raises(ImsTransportError) as caught:
        register()
    assert not isinstance(caught.value, AirflowFailException)
