"""Wrong input is an error before any call: nothing is sent and nothing is billed."""

from __future__ import annotations

import inspect
import math
import re
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException, AirflowFailException, BaseOperator, TaskGroup

from airflow_provider_ims.exceptions import ImsConfigurationError, ImsConnectionNotFoundError
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.operators.job import ImsSubmitJobOperator
from airflow_provider_ims.operators.upload import ImsRegisterMediaInfoOperator
from airflow_provider_ims.sensors.copyright import ImsCopyrightExtractJobSensor
from airflow_provider_ims.sensors.job import ImsJobSensor
from airflow_provider_ims.sensors.trace import ImsTraceExtractJobSensor
from tests.operators.typed_cases import CASES

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_ims.emulator.process import EmulatorProcess

VALID = "oss://rights-evidence/suspects/clip-1.mp4"
SIGNED = "https://b-1.oss-cn-shanghai.aliyuncs.com/o.mp4?OSSAccessKeyId=x&Signature=canary-signature"


HTTPS = "https://my-bucket.oss-cn-shanghai.aliyuncs.com/"


def media(value: object) -> dict[str, Any]:
    return {"input_media": value}


ARGUMENTS: list[tuple[str, dict[str, Any], str]] = [
    ("empty media", media(""), "input_media is empty. Use oss://bucket/object"),
    ("blank media", media(" \n"), "input_media is empty. Use oss://bucket/object"),
    ("no media", media(None), "input_media is missing. SubmitCopyrightExtractJob needs it"),
    ("other type", media({"Type": "S3", "Media": VALID}), "Type of input_media is 'S3'. Use 'OSS' or 'Media'"),
    ("type in lower case", media({"Type": "oss", "Media": VALID}), "Type of input_media is 'oss'"),
    ("unknown key", media({"type": "OSS", "media": VALID}), "keys ['media', 'type']. Give exactly 'Type' and 'Media'"),
    ("blank in dict", media({"Type": "OSS", "Media": " "}), "Media of input_media is empty"),
    ("id as OSS", media({"Type": "OSS", "Media": "abc"}), "input_media is 'abc', which is not a URL that IMS reads"),
    ("URL as media id", media({"Type": "Media", "Media": VALID}), "is neither a URL nor a media asset id"),
    ("S3", media("s3://bucket/o.mp4"), "input_media is 's3://bucket/o.mp4', which is not a URL that IMS reads"),
    ("path", media("/videos/o.mp4"), "which is not a URL that IMS reads"),
    ("bucket alone", media("oss://my-bucket"), "names no object in the bucket 'my-bucket'"),
    ("bucket and slash", media("oss://my-bucket/"), "names no object in the bucket 'my-bucket'"),
    ("folder", media("oss://my-bucket/videos/"), "IMS reads one file, not a folder"),
    ("no bucket", media("oss:///o.mp4"), "has '' where the bucket belongs"),
    ("host as bucket", media("oss://b.oss-cn-shanghai.aliyuncs.com/o"), "where the bucket belongs"),
    (
        "https of another region",
        media("https://my-bucket.oss-cn-beijing.aliyuncs.com/o.mp4"),
        "is in cn-beijing and the job would run in cn-shanghai. Both must be in the same region",
    ),
    (
        "https elsewhere",
        media("https://cdn.example.com/o.mp4"),
        "which is on 'cdn.example.com': that is not a bucket of OSS",
    ),
    ("acceleration", media("https://my-b.oss-accelerate-overseas.aliyuncs.com/o.mp4"), "which belongs to no region"),
    ("internal host", media("https://my-b.oss-cn-shanghai-internal.aliyuncs.com/o.mp4"), "Use the public name"),
    ("https without object", media("https://my-bucket.oss-cn-shanghai.aliyuncs.com/"), "names no object"),
    ("signed URL", media(SIGNED), "IMS takes no signed URLs"),
    ("broken URL", media("https://[::1/o.mp4"), "which is not a valid URL"),
    ("signed oss URL", media("oss://my-bucket/o.mp4?Signature=canary"), "IMS takes no signed URLs"),
    ("credentials in oss URL", media("oss://AKID:canary@my-bucket/o.mp4"), "IMS takes no signed URLs"),
    *[
        (f"{text} as {form}", media(value), "the template found nothing")
        for text in ("None", "null", "nan", " NONE")
        for form, value in [("media", text), ("media in dict", {"Type": "Media", "Media": text})]
    ],
    ("key that begins with a slash", media("oss://my-bucket//o.mp4"), "begins with a slash"),
    ("key of 1,024 bytes", media("oss://my-bucket/" + "夜" * 341 + "x"), "names an object with 1,024 bytes"),
    ("key of 1,024 bytes, https", media(HTTPS + "%E5%A4%9C" * 341 + "x"), "names an object with 1,024 bytes"),
    ("zero-width space", media("oss://my-bucket/o\u200b.mp4"), "has control or format characters"),
    ("direction", media("oss://my-bucket/o\u202egpm.4"), "has control or format characters"),
    *[
        (f"job_params key {key}", {"job_params": {key: "v2"}}, f"job_params has the key {key!r}. Write it 'algoType'")
        for key in ("algo_type", "AlgoType", "algotype", "algo-type")
    ],
    ("spaces", media("my video"), "is neither a URL nor a media asset id"),
    ("file name", media("video.mp4"), "is neither a URL nor a media asset id"),
    ("control characters", media("abc\x00def"), "input_media is 'abc\\x00def', which has control or format characters"),
    ("space at the end", media(f"{VALID} "), "which has spaces at its ends. Remove them"),
    ("algo_type", {"algo_type": "v3"}, "algo_type is 'v3'. Use 'v1' (long videos) or 'v2'"),
    ("algo_type in job_params", {"job_params": {"algoType": "v3"}}, "algo_type is 'v3'. Use 'v1'"),
    (
        "algo_type twice",
        {"algo_type": "v1", "job_params": {"algoType": "v2"}},
        "algo_type is 'v1' and job_params['algoType'] is 'v2'. Give one of them",
    ),
    (
        "user_data too long",
        {"user_data": "夜" * 341 + "xy"},
        "user_data has 1,025 bytes in UTF-8. IMS takes at most 1,024",
    ),
    ("user_data dict too long", {"user_data": {"k": "夜" * 341}}, "bytes in UTF-8. IMS takes at most 1,024"),
    ("user_data of another type", {"user_data": 5}, "user_data is a int. Give text, or a dict"),
    ("user_data not JSON", {"user_data": {"k": object()}}, "user_data cannot be sent as JSON"),
    ("user_data not UTF-8", {"user_data": "\ud800"}, "user_data has characters that UTF-8 cannot write"),
    ("job_params not JSON", {"job_params": {"k": {1, 2}}}, "job_params cannot be sent as JSON: Object of type set"),
    ("job_params NaN", {"job_params": {"k": float("nan")}}, "job_params cannot be sent as JSON"),
    ("job_params not a dict", {"job_params": '{"algoType":"v1"}'}, "job_params is a str. Give a dict"),
    (
        "region without the service",
        {"region": "cn-hangzhou"},
        "not offered in the region 'cn-hangzhou'. Use cn-beijing",
    ),
    ("unknown region", {"region": "moon"}, "The region 'moon' is not a region id"),
    ("unknown connection", {"ims_conn_id": "nobody"}, "Airflow finds no connection 'nobody': none has this id"),
]

# Arguments of both the operator and the sensor. They are refused whether the task waits or not.
NO_WATERMARK_AFTER: list[tuple[str, dict[str, Any], str]] = [
    (
        "no duration of empty responses",
        {"no_watermark_after": 0},
        "no_watermark_after is 0. Give a number of seconds above 0",
    ),
    (
        "negative duration of empty responses",
        {"no_watermark_after": timedelta(-1)},
        "no_watermark_after is -86400.0. Give a number",
    ),
    (
        "infinite duration of empty responses",
        {"no_watermark_after": math.inf},
        "no_watermark_after is inf. Give a number",
    ),
    ("duration of empty responses as text", {"no_watermark_after": "1h"}, "no_watermark_after is '1h'. Give a number"),
    ("duration of empty responses as bool", {"no_watermark_after": True}, "no_watermark_after is True. Give a number"),
    (
        "duration of empty responses beyond the timeout",
        {"no_watermark_after": 600, "timeout": timedelta(minutes=10)},
        "no_watermark_after (600 s) is not shorter than the wait, which ends after 600 s",
    ),
]

WAITING: list[tuple[str, dict[str, Any], str]] = [
    *NO_WATERMARK_AFTER,
    ("no pause", {"poll_interval": 0}, "poll_interval is 0. Give a number of seconds above 0, or a timedelta"),
    ("negative pause", {"poll_interval": -1.5}, "poll_interval is -1.5. Give a number"),
    ("pause NaN", {"poll_interval": math.nan}, "poll_interval is nan. Give a number"),
    ("pause as text", {"poll_interval": "15"}, "poll_interval is '15'. Give a number"),
    ("pause as bool", {"poll_interval": True}, "poll_interval is True. Give a number"),
    ("pause None", {"poll_interval": None}, "poll_interval is None. Give a number"),
    ("no longest pause", {"max_poll_interval": 0}, "max_poll_interval is 0. Give a number"),
    ("infinite longest pause", {"max_poll_interval": math.inf}, "max_poll_interval is inf. Give a number"),
    ("no timeout", {"timeout": timedelta(0)}, "timeout is 0.0. Give a number"),
    ("negative timeout", {"timeout": -3600}, "timeout is -3600. Give a number"),
    ("timeout as text", {"timeout": "24:00"}, "timeout is '24:00'. Give a number"),
    ("timeout None", {"timeout": None}, "timeout is None. Give a number"),
    ("timeout beyond all clocks", {"timeout": timedelta.max}, "of a year at most"),
    ("deferrable as text", {"deferrable": "False"}, "deferrable is 'False'. Give True or False"),
    ("wait as text", {"wait_for_completion": "no"}, "wait_for_completion is 'no'. Give True or False"),
    ("durable as text", {"durable": "no"}, "durable is 'no'. Give True or False"),
    ("durable None", {"durable": None}, "durable is None. Give True or False"),
    ("unknown submissions", {"on_unknown_submit": "retry"}, "on_unknown_submit is 'retry'. Give 'fail' or 'resubmit'"),
]

# Negative numbers and text are refused by Airflow itself.
SENSOR_WAITING: list[tuple[str, dict[str, Any], str]] = [
    *NO_WATERMARK_AFTER,
    ("no pause", {"poke_interval": 0}, "poke_interval is 0"),
    ("no timeout", {"timeout": 0}, "timeout is 0"),
    ("negative longest pause", {"max_wait": timedelta(-1)}, "is -86400.0. Give a number of seconds above 0"),
    ("backoff as text", {"exponential_backoff": "no"}, "exponential_backoff is 'no'. Give True or False"),
    ("soft_fail as text", {"soft_fail": "no"}, "soft_fail is 'no'. Give True or False"),
]

SENSOR: list[tuple[str, dict[str, Any], str]] = [
    ("no job", {"job_id": None}, "job_id is None. Give the JobId of a CopyrightExtractJob"),
    ("empty job", {"job_id": ""}, "job_id is ''. Give the JobId"),
    ("blank job", {"job_id": " \n"}, "job_id is ' \\n'. Give the JobId"),
    ("job as a number", {"job_id": 7}, "job_id is 7. Give the JobId"),
    ("job of nothing", {"job_id": "None"}, "job_id is 'None'. Give the JobId"),
    ("job of null", {"job_id": " null"}, "job_id is ' null'. Give the JobId"),
    ("jobs in a list", {"job_id": ["J"]}, "job_id is ['J']. Give the JobId"),
    ("unknown family", {"job_type": "Copyright"}, "Unknown job type 'Copyright'. Do you mean CopyrightExtractJob or"),
    ("family in lower case", {"job_type": "copyrightextractjob"}, "Unknown job type 'copyrightextractjob'"),
    ("no family", {"job_type": None}, "Unknown job type None"),
    (
        "region without the service",
        {"region": "cn-hangzhou"},
        "CopyrightExtractJob is not offered in the region 'cn-hangzhou'. Use cn-beijing or cn-shanghai",
    ),
    ("unknown region", {"region": "moon"}, "The region 'moon' is not a region id"),
    ("unknown connection", {"ims_conn_id": "nobody"}, "Airflow finds no connection 'nobody'"),
]

CONNECTIONS: list[tuple[str, dict[str, Any], str]] = [
    ("no region", {"extra": {"region_id": None}}, "names no region, and there is no region argument."),
    ("no secret", {"password": ""}, "lacks the Access key secret. Fill in both"),
    ("no key id", {"login": ""}, "lacks the Access key ID. Fill in both"),
    ("unknown extra", {"extra": {"endpoint": "x"}}, "has the unknown extra 'endpoint'. Remove it; known are"),
    ("plain http", {"host": "http://ice.cn-shanghai.aliyuncs.com"}, "http is for loopback addresses only"),
    ("endpoint with path", {"host": "https://a.example.com/x"}, "Endpoint has a path, query or fragment"),
    ("endpoint with query", {"host": "https://a.example.com?x=y"}, "Endpoint has a path, query or fragment"),
    ("endpoint with credentials", {"host": "https://u:p@a.example.com"}, "Endpoint has credentials in it"),
]


def operator_error(emulator: EmulatorProcess, arguments: dict[str, Any]) -> str:
    """Execute the operator with wrong arguments, and return the message of its error."""
    return error_of(
        ImsSubmitCopyrightExtractJobOperator(task_id="submit", **{"input_media": VALID, **arguments}), emulator
    )


def error_of(task: BaseOperator, emulator: EmulatorProcess) -> str:
    """Execute a task with wrong arguments, and return the message of its error."""
    context: Context = {}  # it fails before it uses its task instance
    with pytest.raises((ImsConfigurationError, ImsConnectionNotFoundError)) as caught:
        task.execute(context)
    # Airflow does not retry a task that raises this.
    assert isinstance(caught.value, AirflowFailException | ImsConnectionNotFoundError)
    assert emulator.requests() == []
    assert emulator.bill()["lines"] == []
    return str(caught.value)


@pytest.mark.parametrize(("arguments", "message"), [c[1:] for c in ARGUMENTS], ids=[c[0] for c in ARGUMENTS])
def test_wrong_argument_of_the_operator_is_refused(
    arguments: dict[str, Any], message: str, ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """The error about a wrong argument says what is wrong and what to do."""
    error = operator_error(ims_emulator, arguments)
    assert message in error
    assert "canary" not in error


WAYS: dict[str, dict[str, Any]] = {
    "no wait": {},
    "on the worker": {"wait_for_completion": True},
    "deferred": {"deferrable": True},
}


@pytest.mark.parametrize(("arguments", "message"), [c[1:] for c in WAITING], ids=[c[0] for c in WAITING])
@pytest.mark.parametrize("way", WAYS)
def test_wrong_wait_option_is_an_import_error(way: str, arguments: dict[str, Any], message: str) -> None:
    """A wrong option of the wait is refused when the DAG file is parsed, also if the task does not wait."""
    given = {**WAYS[way], **arguments}
    with pytest.raises(ImsConfigurationError, match=re.escape(message)):
        ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=VALID, **given)


@pytest.mark.filterwarnings("ignore:Task .* was never mapped")
@pytest.mark.parametrize(("arguments", "message"), [c[1:] for c in WAITING], ids=[c[0] for c in WAITING])
def test_wrong_wait_option_of_mapped_tasks_is_an_import_error(arguments: dict[str, Any], message: str) -> None:
    """What all mapped tasks share is checked when the DAG file is parsed."""
    with pytest.raises(ImsConfigurationError, match=re.escape(message)):
        ImsSubmitCopyrightExtractJobOperator.partial(task_id="submit", **{"deferrable": True, **arguments})


@pytest.mark.parametrize(("arguments", "message"), [c[1:] for c in WAITING], ids=[c[0] for c in WAITING])
def test_wrong_mapped_wait_option_is_refused_when_the_task_starts(arguments: dict[str, Any], message: str) -> None:
    """A mapped option is checked before the task runs: Airflow creates the task with it."""
    with DAG("mapped", schedule=None):
        mapped: Any = ImsSubmitCopyrightExtractJobOperator.partial(task_id="submit", input_media=VALID).expand_kwargs(
            [{"deferrable": True, **arguments}]
        )
    with pytest.raises(ImsConfigurationError, match=re.escape(message)):
        mapped.unmap({"deferrable": True, **arguments})


@pytest.mark.parametrize(("arguments", "message"), [c[1:] for c in WAITING], ids=[c[0] for c in WAITING])
def test_wrong_wait_option_that_is_set_later_is_refused(
    arguments: dict[str, Any], message: str, ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """An option that a cluster policy makes wrong is refused before anything is sent."""
    task = ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=VALID, deferrable=True)
    for name, value in arguments.items():
        setattr(task, name, value)
    assert message in error_of(task, ims_emulator)


NO_WAIT: list[dict[str, Any]] = [
    {},
    {"deferrable": False},
    {"deferrable": None},
    {"wait_for_completion": False},
    {"wait_for_completion": False, "deferrable": True},
]


@pytest.mark.filterwarnings("ignore:Task .* was never mapped")
@pytest.mark.parametrize("wait", NO_WAIT, ids=str)
@pytest.mark.parametrize("default_deferrable", ["True", "False"])
def test_no_watermark_after_without_a_wait_is_an_import_error(
    wait: dict[str, Any], default_deferrable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """no_watermark_after needs a wait, and default_deferrable says how tasks wait, not that they do."""
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", default_deferrable)
    message = "no_watermark_after is given, and the task does not wait. Give deferrable=True or"
    with pytest.raises(ImsConfigurationError, match=message):
        ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=VALID, no_watermark_after=60, **wait)
    with pytest.raises(ImsConfigurationError, match=f"{message}.* If you map one of them, map both"):
        ImsSubmitCopyrightExtractJobOperator.partial(task_id="submit", no_watermark_after=60, **wait)


@pytest.mark.parametrize("owner", ["DAG", "task group"])
@pytest.mark.parametrize("arguments", [{"deferrable": True}, {"wait_for_completion": True}], ids=str)
def test_wait_of_default_args_counts(arguments: dict[str, Any], owner: str) -> None:
    """Mapped or not, a task with no_watermark_after may get its wait from default_args of DAG or task group."""
    of_dag: Any
    of_group: Any
    of_dag, of_group = (arguments, {}) if owner == "DAG" else ({}, arguments)
    with DAG("defaults", schedule=None, default_args=of_dag), TaskGroup("group", default_args=of_group):
        task = ImsSubmitCopyrightExtractJobOperator(task_id="one", input_media=VALID, no_watermark_after=60)
        mapped: Any = ImsSubmitCopyrightExtractJobOperator.partial(task_id="some", no_watermark_after=60).expand(
            input_media=[VALID]
        )
    name, value = next(iter(arguments.items()))
    assert getattr(task, name) == getattr(mapped.unmap({"input_media": VALID}), name) == value


def test_wait_and_no_watermark_after_can_be_mapped_together() -> None:
    """The two arguments may both be mapped, and are checked for each task."""
    with DAG("together", schedule=None):
        mapped: Any = ImsSubmitCopyrightExtractJobOperator.partial(task_id="submit").expand_kwargs(
            [{"input_media": VALID, "deferrable": True, "no_watermark_after": 60}, {"input_media": VALID}]
        )
    assert mapped.unmap({"input_media": VALID, "deferrable": True, "no_watermark_after": 60}).no_watermark_after == 60
    with pytest.raises(ImsConfigurationError, match="the task does not wait"):
        mapped.unmap({"input_media": VALID, "no_watermark_after": 60})


def test_execution_timeout_of_default_args_is_checked() -> None:
    """An execution_timeout of the DAG that is too short for no_watermark_after is an import error."""
    with (
        DAG("short", schedule=None, default_args={"execution_timeout": timedelta(minutes=10)}),
        pytest.raises(ImsConfigurationError, match=r"no_watermark_after \(3600 s\) is not shorter than the wait"),
    ):
        ImsSubmitCopyrightExtractJobOperator(
            task_id="submit", input_media=VALID, deferrable=True, no_watermark_after=3600
        )


KINDS: list[Any] = [
    *dict.fromkeys(case.kind for case in CASES),
    ImsSubmitJobOperator,
    ImsRegisterMediaInfoOperator,
    ImsJobSensor,
    ImsCopyrightExtractJobSensor,
    ImsTraceExtractJobSensor,
]
EXTRACT_SENSORS = pytest.mark.parametrize(
    "kind", [ImsCopyrightExtractJobSensor, ImsTraceExtractJobSensor], ids=lambda kind: kind.__name__
)
NOT_TEMPLATES = [
    (kind, name)
    for kind in KINDS
    for name in inspect.signature(kind).parameters
    if name not in {"self", "kwargs", *kind.template_fields}
]


def needed_by(kind: Any) -> dict[str, Any]:
    """Return values for the arguments that a class needs."""
    parameters = inspect.signature(inspect.unwrap(kind.__init__)).parameters.values()
    needed = {one.name: "J" for one in parameters if one.kind is one.KEYWORD_ONLY and one.default is one.empty}
    return {**needed, **needed_family(kind)}


def needed_family(kind: Any) -> dict[str, Any]:
    """Return the family for the operator of any family, which cannot be mapped."""
    return {"job_type": "SnapshotJob"} if kind is ImsSubmitJobOperator else {}


@pytest.mark.filterwarnings("ignore:Task .* was never mapped")
@pytest.mark.parametrize(("kind", "name"), NOT_TEMPLATES, ids=lambda value: getattr(value, "__name__", value))
def test_template_for_another_argument_is_an_import_error(kind: Any, name: str) -> None:
    """A Jinja template or the output of a task is refused for an argument that Airflow does not render."""
    needed = needed_by(kind)
    with DAG("templates", schedule=None) as dag:
        output = BaseOperator(task_id="crawl").output
    for value, what in (
        ("{{ params.value }}", r"the Jinja template '\{\{ params.value \}\}'"),
        (output, "a PlainXComArg"),
        (dag.param("value"), "a DagParam"),
    ):
        message = f"{name} is {what}, and {name} is not a template. Give a value that is known when the DAG"
        with pytest.raises(ImsConfigurationError, match=message):
            kind(task_id="task", **{**needed, name: value})
        with pytest.raises(ImsConfigurationError, match=message):
            kind.partial(task_id="task", **{**needed_family(kind), name: value})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_template_fields_are_only_assigned(kind: Any) -> None:
    """Templates and outputs stay as they are given until the task runs, whatever they will be."""
    with DAG("fields", schedule=None) as dag:
        output = BaseOperator(task_id="crawl").output
        fields = {name: output if number % 2 else "{{ nothing }}" for number, name in enumerate(kind.template_fields)}
        task = kind(task_id="task", **needed_family(kind), **fields)
    assert {name: getattr(task, name) for name in fields} == fields
    assert dag.get_task("task").upstream_task_ids == {"crawl"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_misspelt_argument_is_an_import_error(kind: Any) -> None:
    """Airflow refuses an argument that does not exist, mapped or not."""
    needed = needed_by(kind)
    with pytest.raises((TypeError, AirflowException), match="defferable"):
        kind(task_id="task", defferable=True, **needed)
    with pytest.raises(TypeError, match="defferable"):
        kind.partial(task_id="task", defferable=True, **needed_family(kind))


@pytest.mark.parametrize(("arguments", "message"), [c[1:] for c in SENSOR_WAITING], ids=[c[0] for c in SENSOR_WAITING])
@pytest.mark.filterwarnings("ignore:Task .* was never mapped")
@pytest.mark.parametrize("mode", ["poke", "reschedule", "deferrable"])
@EXTRACT_SENSORS
def test_wrong_wait_option_of_the_sensor_is_an_import_error(
    kind: Any, mode: str, arguments: dict[str, Any], message: str
) -> None:
    """A wrong option of a sensor's wait is refused when the DAG file is parsed, in every mode, mapped or not."""
    wait: dict[str, Any] = {"deferrable": True} if mode == "deferrable" else {"mode": mode}
    with pytest.raises(ImsConfigurationError, match=re.escape(message)):
        kind(task_id="wait", job_id="J", **wait, **arguments)
    with pytest.raises(ImsConfigurationError, match=re.escape(message)):
        kind.partial(task_id="wait", **wait, **arguments)
    if "no_watermark_after" not in arguments:
        with pytest.raises(ImsConfigurationError, match=re.escape(message)):
            ImsJobSensor(task_id="wait", job_id="J", **wait, **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"no_watermark_after": 0},
        {"deferrable": "yes"},
        {"poke_interval": 0},
        {"no_watermark_after": 60, "timeout": 60},
    ],
    ids=str,
)
@EXTRACT_SENSORS
def test_wrong_wait_option_of_the_sensor_that_is_set_later_is_refused(
    kind: Any, arguments: dict[str, Any], ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """An option that a cluster policy makes wrong is refused before the first poll."""
    sensor = kind(task_id="wait", job_id="J")
    for name, value in arguments.items():
        setattr(sensor, name, value)
    assert next(iter(arguments)) in error_of(sensor, ims_emulator)


@pytest.mark.parametrize(("arguments", "message"), [c[1:] for c in SENSOR], ids=[c[0] for c in SENSOR])
@pytest.mark.parametrize("mode", ["poke", "reschedule", "deferrable"])
def test_wrong_argument_of_the_sensor_is_refused(
    mode: str, arguments: dict[str, Any], message: str, ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """A wrong argument of the sensor is refused before the first poll, in every mode."""
    wait: dict[str, Any] = {"deferrable": True} if mode == "deferrable" else {"mode": mode}
    sensor = ImsJobSensor(task_id="wait", **{"job_id": "J", **wait, **arguments})
    assert message in error_of(sensor, ims_emulator)


@pytest.mark.parametrize(("fields", "message"), [c[1:] for c in CONNECTIONS], ids=[c[0] for c in CONNECTIONS])
def test_wrong_connection_is_refused_by_the_sensor(
    fields: dict[str, Any], message: str, ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """The sensor refuses a wrong connection before the first poll."""
    connect(**fields)
    assert message in error_of(ImsJobSensor(task_id="wait", job_id="J"), ims_emulator)


@pytest.mark.parametrize(("fields", "message"), [c[1:] for c in CONNECTIONS], ids=[c[0] for c in CONNECTIONS])
def test_wrong_connection_is_refused_by_the_operator(
    fields: dict[str, Any], message: str, ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """The operator refuses a wrong connection when it runs; the message names the field."""
    connect(**fields)
    assert message in operator_error(ims_emulator, {})


def test_valid_input_is_accepted(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> None:
    """The input that all these cases change is accepted: so the error is about the change."""
    operator = ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=VALID, do_xcom_push=False)
    context: Context = {}
    assert operator.execute(context) == ims_emulator.jobs()[0]["job_id"]


def test_valid_wait_options_are_accepted(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> None:
    """Operator and sensor accept numbers and timedeltas above zero."""
    ims_emulator.put_media(VALID, watermark="(c) Studio", processing_time=0)
    submit = ImsSubmitCopyrightExtractJobOperator(
        task_id="submit",
        input_media=VALID,
        poll_interval=timedelta(seconds=1),
        max_poll_interval=2.5,
        timeout=timedelta(hours=1),
        do_xcom_push=False,
    )
    # A task that pushes nothing uses only the start date of its task instance.
    context = cast("Context", {"ti": SimpleNamespace(start_date=None)})
    wait = ImsCopyrightExtractJobSensor(
        task_id="wait",
        job_id=submit.execute(context),
        poke_interval=0.5,
        max_wait=None,
        timeout=60,
        no_watermark_after=timedelta(seconds=59),
        do_xcom_push=False,
    )
    assert wait.execute(context) == "(c) Studio"
