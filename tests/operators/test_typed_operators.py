"""The operators of single job families: what they send, push, refuse and cancel."""

from __future__ import annotations

import ast
import inspect
import json
import math
from typing import TYPE_CHECKING, Any

import jmespath
import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, TaskDeferred

from airflow_provider_ims.exceptions import ImsConfigurationError
from airflow_provider_ims.get_provider_info import get_provider_info
from airflow_provider_ims.operators.base import ImsJobBaseOperator
from airflow_provider_ims.operators.dna import ImsSubmitDnaJobOperator
from airflow_provider_ims.operators.job import ImsSubmitJobOperator
from airflow_provider_ims.operators.trace import ImsSubmitTraceAbJobOperator, ImsSubmitTraceM3u8JobOperator
from tests.attempts import SimulatedTask, TaskInstance
from tests.operators.typed_cases import CASES, FILM, TypedCase, prepare
from tests.test_signatures import public_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_ims.emulator.process import EmulatorProcess

QUICK = {"poll_interval": 0.05, "max_poll_interval": 0.05, "timeout": 30}
WAYS: dict[str, dict[str, Any]] = {
    "worker": {"wait_for_completion": True, "deferrable": False},
    "deferred": {"deferrable": True},
}
each_case = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture
def emulator(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> EmulatorProcess:
    """Return an emulator with what the rows name."""
    prepare(ims_emulator)
    return ims_emulator


def task_of(case: TypedCase, **arguments: Any) -> SimulatedTask:
    """Return a task of a row."""
    return SimulatedTask(lambda: case.kind(task_id="extract", **{**case.arguments, **QUICK, **arguments}))


def read(text: str) -> Any:
    """Return the value of a parameter: what its JSON says, or the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def test_each_typed_operator_has_a_row() -> None:
    """The table has each operator of a single family, with all arguments of its own."""
    typed = {
        kind for kind in public_classes() if issubclass(kind, ImsJobBaseOperator) and kind is not ImsSubmitJobOperator
    }
    assert {case.kind for case in CASES} == typed
    for kind in typed:
        own = set(inspect.signature(inspect.unwrap(kind.__init__)).parameters)
        given = {name for case in CASES if case.kind is kind for name in case.arguments}
        assert own - given - {"self", "kwargs"} <= {"no_watermark_after", "cancel_on_kill"}, kind


@each_case
def test_submission_has_exactly_the_parameters(case: TypedCase, emulator: EmulatorProcess) -> None:
    """Each argument becomes its parameter, in query string or form body, and nothing else is sent."""
    assert task_of(case).attempt() == "success"
    (request,) = emulator.requests()
    parameters = {name: read(text) for name, text in request["parameters"].items()}
    assert request["action"] == case.action
    assert (parameters.pop("ClientToken", None) is not None) is case.has_client_token
    assert parameters == case.parameters
    assert request["form_parameters"] == list(case.form)


@each_case
def test_needed_arguments_are_enough(case: TypedCase, emulator: EmulatorProcess) -> None:
    """With the needed arguments alone, only their parameters are sent."""
    sources = {"timeline", "project_id", "template_id"} & case.arguments.keys()
    arguments = {name: case.arguments[name] for name in {*case.needed, *sources}}
    assert SimulatedTask(lambda: case.kind(task_id="extract", **arguments)).attempt() == "success"
    (request,) = emulator.requests()
    parameters = {name: read(text) for name, text in request["parameters"].items() if name != "ClientToken"}
    assert parameters.items() <= case.parameters.items()
    assert len(parameters) == len(arguments)


@pytest.mark.parametrize("way", WAYS)
@each_case
def test_wait_pushes_the_result(case: TypedCase, way: str, emulator: EmulatorProcess) -> None:
    """A task that waits for its job, in the worker or deferred, pushes JobId, link and the result of the family."""
    prepare(emulator, processing_time=0.3)
    task = task_of(case, **WAYS[way])
    assert task.attempt() == "success", task.error
    key, expression, value = case.result
    assert jmespath.search(expression, task.ti.xcoms[key]) == value
    job_ids = ",".join(job["job_id"] for job in emulator.jobs())
    assert task.ti.xcoms["return_value"] == task.ti.xcoms["job_id"] == job_ids
    assert task.ti.xcoms["ims_job_link"]["job_id"] == job_ids
    assert bool(task.events) is (way == "deferred")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", [case for case in CASES if "extract" not in case.action.lower()], ids=str)
def test_failed_job_fails_the_task(case: TypedCase, way: str, emulator: EmulatorProcess) -> None:
    """A job that the service calls failed is an error that names it; the next attempt submits a new one."""
    family = case.action.removeprefix("Submit")
    emulator.put_outcome(family, "failed")
    task = task_of(case, **WAYS[way])
    assert task.attempt() == "up_for_retry"
    assert type(task.error).__name__ == "ImsJobFailedError"
    assert task.ti.xcoms["job_id"] in str(task.error)
    assert case.result[0] not in task.ti.xcoms
    emulator.put_outcome(family)
    assert task.attempt() == "success"
    assert len({line["job_id"] for line in emulator.bill()["lines"]}) > 1


# ---- what is refused

REGION = "https://rights.oss-cn-beijing.aliyuncs.com/film.mp4"
NO_TEXT = ["", " ", "None", "null", 5, ["text"], {"a": 1}, "\ud800"]
NO_JSON = ["", "None", "{", "{'single': 'quotes'}", '{"a": NaN}', 5, b"{}", "\ud800"]
BAD_CONTENT = [math.nan, {1, 2}, "\ud800"]
NO_WHOLE_NUMBER = [1.5, 1.0, True, "", "None", "1.5", "1e2", "one", [1], 2**63, "9" * 30, -1, "-1"]
WRONG: dict[str, list[Any]] = {
    "media": ["", "None", "film.mp4", "s3://b/o", FILM + "\n", [FILM], 5, {"Type": "OSS"}, f"{REGION}", FILM[:-8]],
    "object": ["", "None", "film", 5, [FILM], {"Type": "OSS", "Media": FILM}, "oss://rights/folder/", REGION],
    "folder": ["", "None", "film", 5, "oss://rights/folder", "oss://rights", "https://example.com/", f"{REGION}/"],
    "text": NO_TEXT,
    "object of JSON": [*NO_JSON, "[]", [], *({"a": one} for one in BAD_CONTENT)],
    "list of JSON": [*NO_JSON, "{}", {}, *([one] for one in BAD_CONTENT)],
    "keys": ["{}", [1], 5, *({"a": one} for one in BAD_CONTENT)],
    "user data": [5, ["text"], {"a": math.nan}, "\ud800"],
    "choice": ["", "None", "v3", "V1", 1, ["v1"], {}],
    "level": [*NO_WHOLE_NUMBER, 3, "3"],
    "seconds": NO_WHOLE_NUMBER,
    "seconds above 0": [*NO_WHOLE_NUMBER, 0],
    "URLs": ["", "None", "a.mp4", "ftp://a/b", "oss://a/b", "https:///b", [], [5], ["https://a/b", ""], 5, {}],
}
"""Values that no argument of a kind takes."""

KINDS: dict[str, str] = {
    "input_media": "media",
    "output_media": "object",
    "level": "level",
    "start_time": "seconds",
    "total_time": "seconds above 0",
    "upload_urls": "URLs",
    "user_data": "user data",
    "job_params": "keys",
    **dict.fromkeys(("algo_type", "m3u8_type", "output_media_target"), "choice"),
    **dict.fromkeys(("config", "schedule_config", "template_config", "output_media_config"), "object of JSON"),
    **dict.fromkeys(("timeline", "clips_param", "editing_produce_config", "upload_target_config"), "object of JSON"),
    **dict.fromkeys(("input_group", "output_group"), "list of JSON"),
    **dict.fromkeys(("message", "description", "trace", "trace_media_id", "key_uri", "cipher_base64ed"), "text"),
    **dict.fromkeys(("job_name", "pipeline_id", "template_id", "project_id", "dna_db_id", "primary_key"), "text"),
    **dict.fromkeys(("title", "content"), "text"),
}
"""The kind of each argument; ``media_metadata`` is an object of one operator and a list of another."""


def kind_of(case: TypedCase, name: str) -> str:
    """Return the kind of an argument of a row."""
    if name == "media_metadata":
        return "list of JSON" if "Upload" in case.action else "object of JSON"
    return "folder" if case.kind is ImsSubmitTraceAbJobOperator and name == "output_media" else KINDS[name]


def arguments_of_all() -> Iterator[Any]:
    """Yield each argument of each row."""
    for case in CASES:
        for name in case.arguments:
            yield pytest.param(case, name, id=f"{case}-{name}")


def refusal(case: TypedCase, emulator: EmulatorProcess, **arguments: Any) -> str:
    """Return the error about the arguments, which is raised before any call and not retried."""
    task = task_of(case, **arguments)
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsConfigurationError)
    assert isinstance(task.error, AirflowFailException)
    assert emulator.requests() == []
    return str(task.error)


@pytest.mark.parametrize(("case", "name"), arguments_of_all())
def test_wrong_value_is_refused(case: TypedCase, name: str, emulator: EmulatorProcess) -> None:
    """A value that the service cannot take is refused before any call, and the message names the argument."""
    for value in WRONG[kind_of(case, name)]:
        assert name in refusal(case, emulator, **{name: value}).partition(". ")[0], repr(value)


NEEDED = [pytest.param(case, name, id=f"{case}-{name}") for case in CASES for name in case.needed]


@pytest.mark.parametrize(("case", "name"), NEEDED)
def test_missing_argument_is_refused(case: TypedCase, name: str, emulator: EmulatorProcess) -> None:
    """An argument that the action needs is refused if a template has found nothing, and if it is left out."""
    message = refusal(case, emulator, **{name: None})
    assert message.startswith(f"{name} is missing. {case.action} needs it")
    assert "if it is a template, look at the XCom or variable that it reads" in message
    if name != "clips_param":
        without = {key: value for key, value in case.arguments.items() if key != name}
        with pytest.raises((AirflowException, TypeError), match=name):
            case.kind(task_id="extract", **without)


@pytest.mark.parametrize(
    ("case", "name"),
    [
        pytest.param(case, name, id=f"{case}-{name}")
        for case in CASES
        for name in case.needed
        if "JSON" in kind_of(case, name) and name != "clips_param"
    ],
)
def test_empty_json_for_a_needed_argument_is_refused(case: TypedCase, name: str, emulator: EmulatorProcess) -> None:
    """An empty object or list, as a value or as text, is refused if the action needs its content."""
    empty: tuple[Any, ...] = ([], "[]") if kind_of(case, name) == "list of JSON" else ({}, "{ }")
    for value in empty:
        assert f"{name} is an empty" in refusal(case, emulator, **{name: value})


@each_case
def test_json_may_be_given_as_text(case: TypedCase, emulator: EmulatorProcess) -> None:
    """An argument that is JSON may be JSON text, which is sent as it is."""
    texts = {
        name: json.dumps(value, indent=1)
        for name, value in case.arguments.items()
        if kind_of(case, name) in {"object of JSON", "list of JSON"}
    }
    assert task_of(case, **texts).attempt() == "success"
    sent = emulator.requests()[0]["parameters"].values()
    assert set(texts.values()) <= set(sent)


LIMITS: list[tuple[str, str, int, str]] = [
    ("ImsSubmitCopyrightExtractJobOperator", "user_data", 1024, "bytes"),
    ("ImsSubmitCopyrightJobOperator", "user_data", 1024, "bytes"),
    ("ImsSubmitTraceAbJobOperator", "user_data", 1024, "bytes"),
    ("ImsSubmitTraceExtractJobOperator", "user_data", 1024, "bytes"),
    ("ImsSubmitTranscodeJobOperator", "user_data", 512, "bytes"),
    ("ImsSubmitDnaJobOperator", "user_data", 128, "bytes"),
    ("ImsSubmitMediaProducingJobOperator-project", "user_data", 512, "bytes"),
    ("ImsSubmitSmarttagJobOperator", "user_data", 1024, "bytes"),
    ("ImsSubmitSmarttagJobOperator", "title", 256, "bytes"),
    ("ImsSubmitSmarttagJobOperator", "content", 1024, "bytes"),
]


@pytest.mark.parametrize(("name", "argument", "limit", "unit"), LIMITS)
def test_limit_of_a_text(name: str, argument: str, limit: int, unit: str, emulator: EmulatorProcess) -> None:
    """The longest text that the vendor documents is sent; one byte more, in UTF-8, is refused."""
    (case,) = [case for case in CASES if str(case) == name]
    too_long = "ü" + "x" * (limit - 1)
    assert f"{argument} has {limit + 1:,} {unit} in UTF-8. IMS takes at most {limit:,}" in refusal(
        case, emulator, **{argument: too_long}
    )
    assert task_of(case, **{argument: too_long[:-1]}).attempt() == "success"


@pytest.mark.parametrize("case", [case for case in CASES if "user_data" in case.arguments], ids=str)
def test_other_families_have_no_limit(case: TypedCase, emulator: EmulatorProcess) -> None:
    """A family for which the vendor documents no limit takes a long UserData."""
    if any(str(case).startswith(name.partition("-")[0]) for name, argument, *_ in LIMITS if argument == "user_data"):
        return
    assert task_of(case, user_data="x" * 2000).attempt() == "success"


def test_at_most_ten_urls_are_uploaded(emulator: EmulatorProcess) -> None:
    """One task uploads ten files: the query takes no more ids."""
    (case,) = [case for case in CASES if case.action == "UploadMediaByURL"]
    urls = [f"https://example.com/{number}.mp4" for number in range(11)]
    message = refusal(case, emulator, upload_urls=urls)
    assert message == "upload_urls has 11 URLs. Give a URL, or a list of 1 to 10 URLs."
    assert task_of(case, upload_urls=tuple(urls[:10]), **WAYS["worker"]).attempt() == "success"
    assert len(emulator.jobs()) == 10


def test_a_signed_upload_url_is_not_shown(emulator: EmulatorProcess, logged: Callable[[], str]) -> None:
    """A URL that is refused may be signed: the message does not repeat it, and a submission does not log it."""
    (case,) = [case for case in CASES if case.action == "UploadMediaByURL"]
    assert "canary" not in refusal(case, emulator, upload_urls=["https://a/b", "htps://a/b?Signature=canary"])
    assert task_of(case, upload_urls="https://a/b?Signature=canary", media_metadata=None).attempt() == "success"
    assert "canary" not in logged()


SOURCES: list[tuple[dict[str, Any], str]] = [
    (
        {"timeline": None, "project_id": None, "template_id": None},
        "None of timeline, project_id, template_id is given. Give exactly one of timeline, project_id, template_id.",
    ),
    ({"timeline": {"a": 1}, "project_id": "p"}, "timeline and project_id are given. Give exactly one of"),
    ({"project_id": "p", "template_id": "t"}, "project_id and template_id are given. Give exactly one of"),
    (
        {"timeline": {"a": 1}, "project_id": "p", "template_id": "t"},
        "timeline and project_id and template_id are given. Give exactly one of",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), SOURCES)
def test_exactly_one_source_is_needed(arguments: dict[str, Any], message: str, emulator: EmulatorProcess) -> None:
    """A production needs exactly one of its three sources."""
    case = next(case for case in CASES if case.action == "SubmitMediaProducingJob")
    assert message in refusal(case, emulator, **{"timeline": None, **arguments})


def test_a_template_needs_its_materials(emulator: EmulatorProcess) -> None:
    """A template without clips_param is refused, as the vendor's page says."""
    case = next(case for case in CASES if str(case).endswith("-template"))
    message = refusal(case, emulator, clips_param=None)
    assert "clips_param is missing. SubmitMediaProducingJob needs it together with template_id" in message


def test_misspelt_and_contradicting_keys_are_refused(emulator: EmulatorProcess) -> None:
    """A key of job_params that differs from its argument, or is misspelt, is refused: IMS would ignore it."""
    for case in CASES:
        for argument, key in (("algo_type", "algoType"), ("m3u8_type", "m3u8Type")):
            if argument in case.arguments:
                wrong = {"v1": "v2", "v2": "v1"}[case.arguments[argument]]
                message = refusal(case, emulator, job_params={key: wrong})
                assert f"{argument} is {case.arguments[argument]!r} and job_params[{key!r}] is {wrong!r}" in message
                message = refusal(case, emulator, job_params={argument: "v1"})
                assert f"job_params has the key {argument!r}. Write it {key!r}." in message
                message = refusal(case, emulator, **{argument: None}, job_params={key: "v9"})
                assert f"{argument} is 'v9'. Use 'v1'" in message


IN_SOME_REGIONS = {
    **dict.fromkeys(("SubmitCopyrightJob", "SubmitCopyrightExtractJob"), "cn-hangzhou"),
    **dict.fromkeys(("SubmitTraceAbJob", "SubmitTraceM3u8Job", "SubmitTraceExtractJob"), "cn-hangzhou"),
    **dict.fromkeys(("SubmitDNAJob", "SubmitSmarttagJob"), "cn-shenzhen"),
    "UploadMediaByURL": "cn-hangzhou",
}


@pytest.mark.parametrize("case", [case for case in CASES if case.action in IN_SOME_REGIONS], ids=str)
def test_region_without_the_family_is_refused(case: TypedCase, emulator: EmulatorProcess) -> None:
    """A region that does not offer the family is refused before any call."""
    region = IN_SOME_REGIONS[case.action]
    urls = {name: value for name, value in case.arguments.items() if isinstance(value, str) and "oss-cn-" in value}
    elsewhere = {name: value.replace("cn-shanghai", region) for name, value in urls.items()}
    message = refusal(case, emulator, region=region, **elsewhere)
    assert f"is not offered in the region {region!r}. Use " in message


# ---- further results of the submission


def test_trace_media_id_is_pushed_after_the_submission(emulator: EmulatorProcess) -> None:
    """The id of the streams is there without a wait, and makes a playlist when the streams are there."""
    (case,) = [case for case in CASES if case.kind is ImsSubmitTraceAbJobOperator]
    task = task_of(case)
    assert task.attempt() == "success"
    trace_media_id = task.ti.xcoms["trace_media_id"]
    assert (task.record() or {})["results"] == {"trace_media_id": trace_media_id}
    playlist = SimulatedTask(
        lambda: ImsSubmitTraceM3u8JobOperator(
            task_id="extract",
            trace_media_id=trace_media_id,
            trace="viewer",
            output_media="oss://rights/v.m3u8",
            **WAYS["worker"],
        )
    )
    assert playlist.attempt() == "success", playlist.error


@pytest.mark.parametrize("key", ["job_id", "trace_media_id"])
def test_trace_media_id_is_pushed_by_a_retry_that_resumes(key: str, emulator: EmulatorProcess) -> None:
    """A retry that resumes the job pushes the id of the streams from the record."""
    (case,) = [case for case in CASES if case.kind is ImsSubmitTraceAbJobOperator]
    task = task_of(case)
    assert task.attempt(failing_key=key) == "up_for_retry"
    assert "trace_media_id" not in task.ti.xcoms
    assert task.attempt() == "success"
    assert task.ti.xcoms["trace_media_id"]
    assert len(emulator.bill()["lines"]) == 1
    query = {"JobId": task.ti.xcoms["job_id"]}
    from airflow_provider_ims.hooks.ims import ImsHook

    (entry,) = ImsHook().call("QueryTraceAbJobList", query)["Data"]
    assert entry["TraceMediaId"] == task.ti.xcoms["trace_media_id"]


# ---- cancelling


def cancellable(kind: str, **arguments: Any) -> ImsJobBaseOperator:
    """Return an operator of a family whose jobs can be cancelled."""
    if kind == "DNAJob":
        (case,) = [case for case in CASES if case.kind is ImsSubmitDnaJobOperator]
        return ImsSubmitDnaJobOperator(task_id="extract", **case.arguments, **arguments)
    job_params = {"FunctionName": "Cover", "Input": {"Type": "OSS", "Media": FILM}, "Output": {"Media": FILM}}
    job_params["Output"]["Type"] = "OSS"  # type: ignore[index]
    return ImsSubmitJobOperator(task_id="extract", job_type=kind, job_params=job_params, **arguments)


CANCELLABLE = pytest.mark.parametrize(
    ("kind", "action"), [("DNAJob", "CancelDNAJob"), ("IProductionJob", "CancelIProductionJob")]
)


@CANCELLABLE
def test_killed_task_cancels_its_job(
    kind: str, action: str, emulator: EmulatorProcess, logged: Callable[[], str]
) -> None:
    """With cancel_on_kill, a killed task cancels its job; without, it logs that the job goes on."""
    emulator.configure(processing_time=3600)
    context: Any = {"ti": TaskInstance()}
    for cancel_on_kill in (False, True):
        task = cancellable(kind, cancel_on_kill=cancel_on_kill)
        job_id = task.execute(context)
        task.on_kill()
        sent = emulator.requests()[-1]
        log = logged()
        if cancel_on_kill:
            assert (sent["action"], sent["parameters"], sent["code"]) == (action, {"JobId": job_id}, "OK")
            assert f"Cancelled job {job_id}" in log
        else:
            assert sent["action"].startswith("Submit")
            assert "It is not to be cancelled: the job goes on, and is billed" in log
    assert [job["state"] for job in emulator.jobs()] == ["running", "cancelled"]


@CANCELLABLE
def test_deferred_task_cancels_its_job(kind: str, action: str, emulator: EmulatorProcess) -> None:
    """The trigger of a deferred task gets cancel_on_kill."""
    emulator.configure(processing_time=3600)
    context: Any = {"ti": TaskInstance()}
    for cancel_on_kill in (False, True):
        with pytest.raises(TaskDeferred) as deferred:
            cancellable(kind, cancel_on_kill=cancel_on_kill, deferrable=True).execute(context)
        assert deferred.value.trigger.serialize()[1]["cancel_on_kill"] is cancel_on_kill


def test_fingerprint_that_is_analysed_is_not_cancelled(emulator: EmulatorProcess, logged: Callable[[], str]) -> None:
    """The service cancels queuing fingerprint jobs only: the log says that the job may go on, and why."""
    emulator.configure(processing_time=3600)
    task = cancellable("DNAJob", cancel_on_kill=True)
    context: Any = {"ti": TaskInstance()}
    job_id = task.execute(context)
    emulator.advance(1800)
    task.on_kill()
    log = logged()
    assert f"Job {job_id} could not be cancelled; it may go on, and be billed" in log
    assert "InvalidJobStatus" in log


@pytest.mark.filterwarnings("ignore:Task .* was never mapped")
def test_family_that_cannot_be_cancelled_is_refused_when_the_dag_is_parsed() -> None:
    """cancel_on_kill for a family without a cancel action is an import error, mapped or not."""
    message = "IMS has no action that cancels a SnapshotJob: a submitted job goes on"
    with pytest.raises(ImsConfigurationError, match=message):
        ImsSubmitJobOperator(task_id="submit", job_type="SnapshotJob", cancel_on_kill=True)
    with pytest.raises(ImsConfigurationError, match=message):
        ImsSubmitJobOperator.partial(task_id="submit", job_type="SnapshotJob", cancel_on_kill=True)
    for value in ("yes", None, 1):
        with pytest.raises(ImsConfigurationError, match="cancel_on_kill is"):
            ImsSubmitJobOperator(task_id="submit", job_type="IProductionJob", cancel_on_kill=value)  # type: ignore[arg-type]


# ---- their form

MOST_LINES = 60


@pytest.mark.parametrize("kind", dict.fromkeys(case.kind for case in CASES), ids=lambda kind: kind.__name__)
def test_typed_operator_is_short(kind: type) -> None:
    """A typed operator has arguments and no code of its own: less than 60 lines, docstring aside."""
    (definition,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    lines = len(inspect.getsource(kind).splitlines()) - len(ast.get_docstring(definition, clean=False).splitlines())  # type: ignore[union-attr]
    assert lines < MOST_LINES
    functions = {one.name for one in definition.body if isinstance(one, ast.FunctionDef)}
    assert functions == {"__init__"}


def test_each_module_is_listed() -> None:
    """The metadata lists the modules of all typed operators."""
    (entry,) = get_provider_info()["operators"]
    assert {case.kind.__module__ for case in CASES} <= set(entry["python-modules"])
