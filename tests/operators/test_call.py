"""The operator for any action of the API."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, BaseOperator

from airflow_provider_ims.api.actions import actions_of_sdk
from airflow_provider_ims.api.protocol import ApiRequest
from airflow_provider_ims.exceptions import (
    ImsConfigurationError,
    ImsError,
    ImsRequestError,
    ImsServiceError,
    ImsSubmitUnknownError,
    ImsThrottledError,
    ImsTransportError,
)
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.arguments import check_action
from airflow_provider_ims.operators.call import ImsCallOperator
from tests.attempts import TaskInstance
from tests.hooks.calls import in_loop
from tests.responses import REJECTED, UNKNOWN, Case

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess

FILM = "oss://rights/film.mp4"
LIST = "QueryCopyrightJobList"
REGISTER = "RegisterMediaInfo"

never_mapped = pytest.mark.filterwarnings("ignore:Task .* was never mapped")


@pytest.fixture
def emulator(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> EmulatorProcess:
    """Return an emulator with one film; its connection has a short read_timeout."""
    connect(extra={"read_timeout": 0.5})
    ims_emulator.configure(processing_time=0)
    ims_emulator.put_media(FILM)
    return ims_emulator


def call(action: str, action_params: Any = None, **arguments: Any) -> Any:
    """Run the operator, and return what it returns."""
    context: Any = {"ti": TaskInstance()}
    return ImsCallOperator(task_id="call", action=action, action_params=action_params, **arguments).execute(context)


# ---- reads


def test_read_returns_the_response(emulator: EmulatorProcess) -> None:
    """A read returns the whole response; mappings and lists are sent as JSON, None is left out."""
    response = call(LIST, {"PageSize": 5, "Filter": {"a": [1]}, "JobId": None})
    (request,) = emulator.requests()
    assert request["parameters"] == {"PageSize": "5", "Filter": '{"a":[1]}'}
    assert response["RequestId"] == request["request_id"]
    assert response["Data"] == []


def test_result_path_returns_a_part(emulator: EmulatorProcess) -> None:
    """With result_path, the part of the response is returned that the expression finds."""
    media_id = call(REGISTER, {"InputURL": FILM}, mutates=True, result_path="MediaId")
    assert isinstance(media_id, str)
    info = {"MediaId": media_id}
    assert call("GetMediaInfo", info, result_path="MediaInfo.MediaBasicInfo.Status") == "Normal"
    assert call("GetMediaInfo", info, result_path="MediaInfo.MediaBasicInfo.[MediaId]") == [media_id]
    # Falsy parts are parts.
    assert call(LIST, result_path="Data") == []
    assert call(LIST, result_path="length(Data)") == 0


def test_missing_part_fails_the_task_for_good(emulator: EmulatorProcess) -> None:
    """If the response has no such part, the error names the path and what there is; a retry would find no more."""
    with pytest.raises(ImsConfigurationError) as caught:
        call(LIST, result_path="Jobs[0].JobId")
    assert isinstance(caught.value, AirflowFailException)
    (request,) = emulator.requests()
    assert str(caught.value) == (
        f"{LIST} was carried out (RequestId {request['request_id']}), and its response has nothing at the result_path "
        "'Jobs[0].JobId'; it has Data, Message, RequestId, StatusCode. Correct the path, or leave it out to get the "
        "whole response."
    )


@never_mapped
@pytest.mark.parametrize("path", ["Data[", "", "Data..x", "unknown(Data)", "length(Data, Data)", "a b", 5, ["Data"]])
def test_invalid_result_path_is_an_import_error(path: Any) -> None:
    """What is no JMESPath expression is refused when the DAG file is parsed, mapped or not."""
    with pytest.raises(ImsConfigurationError, match=r"result_path .* is not a JMESPath expression"):
        ImsCallOperator(task_id="call", action=LIST, result_path=path)
    with pytest.raises(ImsConfigurationError, match=r"result_path .* is not a JMESPath expression"):
        ImsCallOperator.partial(task_id="call", action=LIST, result_path=path)


def test_part_of_another_type_is_missing(emulator: EmulatorProcess) -> None:
    """An expression that the response does not fit finds nothing."""
    with pytest.raises(ImsConfigurationError, match="nothing at the result_path"):
        call(LIST, result_path="abs(Message)")


def test_read_whose_connection_broke_is_sent_again(emulator: EmulatorProcess) -> None:
    """A read goes out once more if its connection broke."""
    emulator.fault(LIST, "cut_after")
    assert call(LIST)["Message"] == "ok"
    assert len(emulator.requests()) == 2


# ---- arguments

ARGUMENTS: list[tuple[str, dict[str, Any], str]] = [
    ("no action", {"action": ""}, "action is ''. Give the name of an action, such as GetMediaInfo"),
    ("None", {"action": None}, "action is None. Give the name"),
    ("two words", {"action": "Get MediaInfo"}, "action is 'Get MediaInfo'"),
    ("line break", {"action": "GetMediaInfo\n"}, "action is 'GetMediaInfo\\n'"),
    ("other letters", {"action": "GetMediaÜ"}, "action is 'GetMediaÜ'"),
    ("template", {"action": "{{ params.action }}"}, "action is the Jinja template"),
    ("write", {"action": "DeleteMediaInfos"}, "DeleteMediaInfos may change something: only actions whose name begins"),
    ("submission", {"action": "SubmitSnapshotJob"}, "Give mutates=True to call it"),
    ("write that is named like a read", {"action": "SearchIndexJobRerun"}, "SearchIndexJobRerun may change something"),
    ("write, refused", {"action": "DeleteMediaInfos", "mutates": False}, "DeleteMediaInfos may change something"),
    ("mutates as text", {"action": LIST, "mutates": "yes"}, "mutates is 'yes'. Give True or False"),
    ("mutates None", {"action": LIST, "mutates": None}, "mutates is None. Give True or False"),
    ("mutates as a template", {"action": LIST, "mutates": "{{ x }}"}, "mutates is the Jinja template"),
    ("path as a template", {"action": LIST, "result_path": "{{ x }}"}, "result_path is the Jinja template"),
]


@never_mapped
@pytest.mark.parametrize(("arguments", "message"), [one[1:] for one in ARGUMENTS], ids=[one[0] for one in ARGUMENTS])
def test_wrong_argument_is_an_import_error(arguments: dict[str, Any], message: str) -> None:
    """What is not a template is checked when the DAG file is parsed, mapped or not: also a write without mutates."""
    with pytest.raises(ImsConfigurationError, match=re.escape(message)):
        ImsCallOperator(task_id="call", **arguments)
    with pytest.raises(ImsConfigurationError, match=re.escape(message)):
        ImsCallOperator.partial(task_id="call", **arguments)


def test_output_of_a_task_is_a_template_for_parameters_only() -> None:
    """The parameters may come from another task, the action may not."""
    with DAG("outputs", schedule=None):
        output: Any = BaseOperator(task_id="crawl").output
        ImsCallOperator(task_id="call", action=LIST, action_params=output, region=output, ims_conn_id=output)
        with pytest.raises(ImsConfigurationError, match="action is a PlainXComArg"):
            ImsCallOperator(task_id="wrong", action=output)


def test_mapped_write_needs_mutates() -> None:
    """A write is mapped with mutates in partial, and its actions are checked when the tasks start."""
    with DAG("mapped", schedule=None):
        mapped: Any = ImsCallOperator.partial(task_id="call", mutates=True).expand(action=["DeleteMediaInfos"])
        reads: Any = ImsCallOperator.partial(task_id="reads").expand(action=["DeleteMediaInfos"])
    assert mapped.unmap({"action": "DeleteMediaInfos"}).mutates is True
    with pytest.raises(ImsConfigurationError, match="DeleteMediaInfos may change something"):
        reads.unmap({"action": "DeleteMediaInfos"})


def test_action_that_is_set_later_is_checked(emulator: EmulatorProcess) -> None:
    """An action that a cluster policy changes is refused before the call."""
    task = ImsCallOperator(task_id="call", action=LIST)
    task.action = "DeleteMediaInfos"
    context: Any = {"ti": TaskInstance()}
    with pytest.raises(ImsConfigurationError, match="may change something"):
        task.execute(context)
    assert emulator.requests() == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{}", "action_params is a str. Give a dict of parameters, or leave it out"),
        ([1], "action_params is a list"),
        ({"Job Id": 1}, "action_params has the key 'Job Id'"),
        ({"JobId": {"a": {1}}}, "action_params['JobId'] cannot be sent as JSON"),
        ({"JobId": object()}, "Parameter JobId of QueryCopyrightJobList cannot be sent as JSON"),
        ({"JobId": float("inf")}, "Parameter JobId of QueryCopyrightJobList cannot be sent as JSON"),
        ({"JobId": "\ud800"}, "has characters that UTF-8 cannot write"),
    ],
    ids=range(7),
)
def test_wrong_parameters_are_refused(given: Any, message: str, emulator: EmulatorProcess) -> None:
    """Parameters that cannot be sent are refused before the call, and not retried."""
    with pytest.raises(ImsConfigurationError) as caught:
        call(LIST, given)
    assert message in str(caught.value)
    assert emulator.requests() == []


def test_both_lists_of_reads_agree() -> None:
    """What the operator takes for a read is what the client sends again: compared for all actions of the SDK."""

    def is_read(action: str) -> bool:
        try:
            check_action(action, mutates=False)
        except ImsConfigurationError:
            return False
        return True

    actions = actions_of_sdk()
    assert len(actions) >= 390
    reads = {action for action in actions if is_read(action)}
    assert reads == {action for action in actions if ApiRequest(action, {}).is_read}
    assert {"GetMediaInfo", "BatchGetMediaInfos", "DescribePlayList", "SearchMedia"} <= reads
    changing = re.compile("Rerun|Delete|Create|Update|Submit|Start|Stop|Cancel|Register|Batch(?!Get|MediaProducing)")
    assert [action for action in reads if changing.search(action)] == []


# ---- writes


def test_write_is_carried_out(emulator: EmulatorProcess) -> None:
    """With mutates, an action that changes something is called once, over a connection of its own."""
    response = call(REGISTER, {"InputURL": FILM, "Title": "a"}, mutates=True)
    (request,) = emulator.requests()
    assert (request["action"], request["parameters"]) == (REGISTER, {"InputURL": FILM, "Title": "a"})
    assert response["MediaId"]


def test_parameters_of_a_submission_are_where_the_sdk_sends_them(emulator: EmulatorProcess) -> None:
    """A submit action gets its large parameters in the form body here too."""
    given = {"OutputMediaConfig": {"MediaURL": "oss://rights/out.mp4"}, "Timeline": {"VideoTracks": []}}
    assert call("SubmitMediaProducingJob", given, mutates=True, result_path="JobId")
    assert emulator.requests()[0]["form_parameters"] == ["Timeline"]


@pytest.mark.parametrize(
    "kind", ["cut_after", "cut_before", "internal_error", "service_unavailable", "html_502", "hang"]
)
def test_write_with_a_lost_response_is_not_retried(kind: str, emulator: EmulatorProcess) -> None:
    """A write whose response is lost is sent once, and ends in an error that Airflow does not retry."""
    emulator.fault(REGISTER, kind)
    with pytest.raises(ImsSubmitUnknownError) as caught:
        call(REGISTER, {"InputURL": FILM}, mutates=True)
    assert isinstance(caught.value, AirflowFailException)
    assert type(caught.value).__name__ == "ImsSubmitUnknownError"
    message = str(caught.value)
    assert message.startswith(f"{REGISTER} of {FILM} was sent, and it is unknown whether it was carried out. ")
    assert message.endswith("Look in the IMS console or with a query, before you call it again.")
    assert caught.value.action == REGISTER
    assert len(emulator.requests()) == 1


@pytest.mark.parametrize("call_hook", [ImsHook.call, in_loop(ImsHook.acall)], ids=["call", "acall"])
def test_lost_write_of_a_task_of_users_is_not_retried(call_hook: Callable[..., Any], emulator: EmulatorProcess) -> None:
    """The hook raises an error that Airflow does not retry too: a task of a user would write twice."""
    emulator.fault(REGISTER, "cut_after")
    with pytest.raises(ImsSubmitUnknownError) as caught:
        call_hook(ImsHook(), REGISTER, {"InputURL": FILM}, mutates=True)
    assert isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("case", REJECTED, ids=lambda case: case[0])
def test_rejected_write_is_the_error_of_the_rejection(case: Case, emulator: EmulatorProcess) -> None:
    """A write that the service rejects is known not to be carried out."""
    _, options, kind, *_ = case
    emulator.fault(REGISTER, "answer", times=2, **options)
    with pytest.raises(kind):
        call(REGISTER, {"InputURL": FILM}, mutates=True)


@pytest.mark.parametrize("case", UNKNOWN, ids=lambda case: case[0])
def test_any_other_response_to_a_write_is_unknown(case: Case, emulator: EmulatorProcess) -> None:
    """A write with any other response may have been carried out."""
    emulator.fault(REGISTER, "answer", **case[1])
    with pytest.raises(ImsSubmitUnknownError):
        call(REGISTER, {"InputURL": FILM}, mutates=True)
    assert len(emulator.requests()) == 1


def test_write_that_is_not_sent_may_be_retried(emulator: EmulatorProcess, connect: Callable[..., None]) -> None:
    """If the service cannot be reached, the write was not sent: Airflow may retry it."""
    connect(host="http://127.0.0.1:9")
    with pytest.raises(ImsTransportError) as caught:
        call(REGISTER, {"InputURL": FILM}, mutates=True)
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize(("kind", "error"), [("throttle", ImsThrottledError), ("internal_error", ImsServiceError)])
def test_failed_read_may_be_retried(kind: str, error: type[ImsError], emulator: EmulatorProcess) -> None:
    """A read that fails for now may be retried by Airflow."""
    emulator.fault(LIST, kind)
    with pytest.raises(error) as caught:
        call(LIST)
    assert not isinstance(caught.value, AirflowFailException)


# ---- unknown actions


@pytest.mark.parametrize(
    ("action", "advice"),
    [
        ("GetMediaInfos", "IMS has no action GetMediaInfos. Do you mean GetMediaInfo or "),
        ("getmediainfo", "IMS has no action getmediainfo. Do you mean GetMediaInfo or "),
        ("QueryCopyrightExtractJobs", "Do you mean QueryCopyrightExtractJob or "),
        ("Zzzzz", "IMS has no action Zzzzz. Its actions: https://api.aliyun.com/api/ICE/2020-11-09."),
    ],
)
def test_unknown_action_names_the_nearest(action: str, advice: str, emulator: EmulatorProcess) -> None:
    """The error about an action that does not exist names the nearest actions of the SDK, and is not retried."""
    with pytest.raises(ImsRequestError, match=r"InvalidAction\.NotFound") as caught:
        call(action, mutates=not action.startswith(("Get", "Query")))
    assert advice in str(caught.value)


def test_unknown_action_of_the_hook_names_the_nearest(emulator: EmulatorProcess) -> None:
    """The error of the hook has the same advice."""
    with pytest.raises(ImsRequestError, match="Do you mean GetMediaInfo or "):
        ImsHook().call("GetMediaInfos")


def test_action_of_the_sdk_that_is_not_found_points_to_the_endpoint(emulator: EmulatorProcess) -> None:
    """If the SDK has the action, the Endpoint may be that of another service."""
    body = json.dumps({"Code": "InvalidAction.NotFound", "Message": "no", "RequestId": "R"})
    emulator.fault("GetMediaInfo", "answer", status=404, body=body)
    with pytest.raises(ImsRequestError, match="look at the Endpoint and the region of the connection"):
        call("GetMediaInfo", {"MediaId": "a"})


def test_names_are_read_without_an_import_of_the_sdk() -> None:
    """The names of the actions come from the text of the SDK, which is not imported."""
    code = (
        "import sys\nfrom airflow_provider_ims.api.actions import advice_about_action\n"
        "print(advice_about_action('GetMediaInfos'))\n"
        "print([name for name in sys.modules if name.startswith(('alibabacloud', 'darabonba'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    advice, modules = done.stdout.splitlines()
    assert "Do you mean GetMediaInfo or " in advice
    assert modules == "[]"


# ---- secrets


def test_secrets_are_redacted(emulator: EmulatorProcess, logged: Callable[[], str]) -> None:
    """A secret of the connection that a response repeats is in no return value, error or log."""
    secret = emulator.access_key_secret
    body = {"Code": "InvalidParameter", "Message": f"not {secret}", "RequestId": "R"}
    emulator.fault(LIST, "answer", status=400, body=json.dumps(body))
    with pytest.raises(ImsRequestError) as caught:
        call(LIST)
    assert secret not in str(caught.value)
    assert "***" in str(caught.value)
    emulator.fault(LIST, "answer", body=json.dumps({"RequestId": "R", "Data": [{"Key": f"x{secret}y"}]}))
    assert call(LIST) == {"RequestId": "R", "Data": [{"Key": "x***y"}]}
    emulator.fault(LIST, "answer", body=json.dumps({"RequestId": "R", "Data": [{"Key": secret}]}))
    assert call(LIST, result_path="Data[0].Key") == "***"
    assert secret not in logged()
