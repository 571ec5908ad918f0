"""Wrong input ends in a clear error before any call: nothing is sent and nothing billed."""

from __future__ import annotations

import math
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_ims.exceptions import ImsConfigurationError
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.sensors.copyright import ImsCopyrightExtractJobSensor
from airflow_provider_ims.sensors.job import ImsJobSensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_ims.emulator.process import EmulatorProcess

GOOD = "oss://rights-evidence/suspects/clip-1.mp4"
SIGNED = "https://b-1.oss-cn-shanghai.aliyuncs.com/o.mp4?OSSAccessKeyId=x&Signature=canary-signature"


def media(value: object) -> dict[str, Any]:
    return {"input_media": value}


ARGUMENTS: list[tuple[str, dict[str, Any], str]] = [
    ("empty media", media(""), "input_media is empty. Use oss://bucket/object"),
    ("blank media", media(" \n"), "input_media is empty. Use oss://bucket/object"),
    ("no media", media(None), "input_media is a NoneType. Use oss://bucket/object"),
    ("other type", media({"Type": "S3", "Media": GOOD}), "Type of input_media is 'S3'. Use 'OSS' or 'Media'"),
    ("type in lower case", media({"Type": "oss", "Media": GOOD}), "Type of input_media is 'oss'"),
    ("unknown key", media({"type": "OSS", "media": GOOD}), "keys ['media', 'type']. Give exactly 'Type' and 'Media'"),
    ("blank in dict", media({"Type": "OSS", "Media": " "}), "Media of input_media is empty"),
    ("id as OSS", media({"Type": "OSS", "Media": "abc"}), "starts with 'abc', which is not a URL that IMS reads"),
    ("URL as media id", media({"Type": "Media", "Media": GOOD}), "is neither a URL nor a media asset id"),
    ("S3", media("s3://bucket/o.mp4"), "starts with 's3://buc', which is not a URL that IMS reads"),
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
    ("https elsewhere", media("https://cdn.example.com/o.mp4"), "'cdn.example.com', which is not a bucket of OSS"),
    ("internal host", media("https://my-b.oss-cn-shanghai-internal.aliyuncs.com/o.mp4"), "Use the public name"),
    ("https without object", media("https://my-bucket.oss-cn-shanghai.aliyuncs.com/"), "names no object"),
    ("signed URL", media(SIGNED), "IMS takes no signed URLs"),
    ("broken URL", media("https://[::1/o.mp4"), "IMS takes no signed URLs"),
    ("spaces", media("my video"), "is neither a URL nor a media asset id"),
    ("file name", media("video.mp4"), "is neither a URL nor a media asset id"),
    ("control characters", media("abc\x00def"), "has control characters or spaces at its ends"),
    ("space at the end", media(f"{GOOD} "), "has control characters or spaces at its ends"),
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
    ("user_data no JSON", {"user_data": {"k": object()}}, "user_data cannot be sent as JSON"),
    ("user_data no UTF-8", {"user_data": "\ud800"}, "user_data has characters that UTF-8 cannot write"),
    ("job_params no JSON", {"job_params": {"k": {1, 2}}}, "job_params cannot be sent as JSON: Object of type set"),
    ("job_params NaN", {"job_params": {"k": float("nan")}}, "job_params cannot be sent as JSON"),
    ("job_params no dict", {"job_params": '{"algoType":"v1"}'}, "job_params is a str. Give a dict"),
    (
        "region without the service",
        {"region": "cn-hangzhou"},
        "not offered in the region 'cn-hangzhou'. Use cn-beijing",
    ),
    ("region of nowhere", {"region": "moon"}, "The region 'moon' is not a region id"),
    ("unknown connection", {"ims_conn_id": "nobody"}, "There is no usable connection 'nobody': none has this id"),
]

# What both the operator and the sensor take. They are refused whether the task is to wait or not.
SILENCE: list[tuple[str, dict[str, Any], str]] = [
    ("no silence", {"no_watermark_after": 0}, "no_watermark_after is 0. Give a number of seconds above 0"),
    ("negative silence", {"no_watermark_after": timedelta(-1)}, "no_watermark_after is -86400.0. Give a number"),
    ("silence for ever", {"no_watermark_after": math.inf}, "no_watermark_after is inf. Give a number"),
    ("silence as text", {"no_watermark_after": "1h"}, "no_watermark_after is '1h'. Give a number"),
    ("silence as flag", {"no_watermark_after": True}, "no_watermark_after is True. Give a number"),
    (
        "silence for too long",
        {"no_watermark_after": 600, "timeout": timedelta(minutes=10)},
        "no_watermark_after (600 s) is not shorter than the wait, which ends after 600 s",
    ),
]

WAITING: list[tuple[str, dict[str, Any], str]] = [
    *SILENCE,
    ("no pause", {"poll_interval": 0}, "poll_interval is 0. Give a number of seconds above 0, or a timedelta"),
    ("negative pause", {"poll_interval": -1.5}, "poll_interval is -1.5. Give a number"),
    ("pause of a number that is none", {"poll_interval": math.nan}, "poll_interval is nan. Give a number"),
    ("pause as text", {"poll_interval": "15"}, "poll_interval is '15'. Give a number"),
    ("pause as flag", {"poll_interval": True}, "poll_interval is True. Give a number"),
    ("pause of None", {"poll_interval": None}, "poll_interval is None. Give a number"),
    ("no longest pause", {"max_poll_interval": 0}, "max_poll_interval is 0. Give a number"),
    ("longest pause for ever", {"max_poll_interval": math.inf}, "max_poll_interval is inf. Give a number"),
    ("no time", {"timeout": timedelta(0)}, "timeout is 0.0. Give a number"),
    ("negative time", {"timeout": -3600}, "timeout is -3600. Give a number"),
    ("time as text", {"timeout": "24:00"}, "timeout is '24:00'. Give a number"),
    ("time of None", {"timeout": None}, "timeout is None. Give a number"),
]

# Negative numbers and text are refused by Airflow itself, when the DAG file is parsed.
SENSOR: list[tuple[str, dict[str, Any], str]] = [
    *SILENCE,
    ("no pause", {"poke_interval": 0}, "poke_interval is 0.0. Give a number of seconds above 0, or a timedelta"),
    ("no time", {"timeout": 0}, "timeout is 0.0. Give a number"),
    ("negative longest pause", {"max_wait": timedelta(-1)}, "is -86400.0. Give a number of seconds above 0"),
    ("no job", {"job_id": None}, "job_id is None. Give the JobId of a CopyrightExtractJob"),
    ("empty job", {"job_id": ""}, "job_id is ''. Give the JobId"),
    ("blank job", {"job_id": " \n"}, "job_id is ' \\n'. Give the JobId"),
    ("job of a number", {"job_id": 7}, "job_id is 7. Give the JobId"),
    ("jobs in a list", {"job_id": ["J"]}, "job_id is ['J']. Give the JobId"),
    ("unknown family", {"job_type": "Copyright"}, "Unknown job type 'Copyright'. Known are: CopyrightExtractJob"),
    ("family in lower case", {"job_type": "copyrightextractjob"}, "Unknown job type 'copyrightextractjob'"),
    ("no family", {"job_type": None}, "Unknown job type None"),
    (
        "region without the service",
        {"region": "cn-hangzhou"},
        "CopyrightExtractJob is not offered in the region 'cn-hangzhou'. Use cn-beijing or cn-shanghai",
    ),
    ("region of nowhere", {"region": "moon"}, "The region 'moon' is not a region id"),
    ("unknown connection", {"ims_conn_id": "nobody"}, "There is no usable connection 'nobody'"),
]

CONNECTIONS: list[tuple[str, dict[str, Any], str]] = [
    ("no region", {"extra": {"region_id": None}}, "No region: neither the region argument nor Connection"),
    ("no secret", {"password": ""}, "lacks the Access key secret. Fill in both"),
    ("no key id", {"login": ""}, "lacks the Access key ID. Fill in both"),
    ("unknown extra", {"extra": {"endpoint": "x"}}, "has the unknown extra 'endpoint'. Remove it; known are"),
    ("plain http", {"host": "http://ice.cn-shanghai.aliyuncs.com"}, "http is for loopback addresses only"),
    ("endpoint with path", {"host": "https://a.example.com/x"}, "Endpoint has a path, query or fragment"),
    ("endpoint with query", {"host": "https://a.example.com?x=y"}, "Endpoint has a path, query or fragment"),
    ("endpoint with credentials", {"host": "https://u:p@a.example.com"}, "Endpoint has credentials in it"),
]


def fail(emulator: EmulatorProcess, arguments: dict[str, Any]) -> str:
    """Execute an operator that must refuse its arguments, and return what it says."""
    return refusal(
        ImsSubmitCopyrightExtractJobOperator(task_id="submit", **{"input_media": GOOD, **arguments}), emulator
    )


def refusal(task: BaseOperator, emulator: EmulatorProcess) -> str:
    """Execute a task that must refuse its arguments, and return what it says."""
    context: Context = {}  # it fails before it looks for its task instance
    with pytest.raises(ImsConfigurationError) as caught:
        task.execute(context)
    # Airflow ends a task that raises it without retries.
    assert isinstance(caught.value, AirflowFailException)
    assert emulator.requests() == []
    assert emulator.bill()["lines"] == []
    return str(caught.value)


@pytest.mark.parametrize(("arguments", "says"), [c[1:] for c in ARGUMENTS], ids=[c[0] for c in ARGUMENTS])
def test_wrong_argument(
    arguments: dict[str, Any], says: str, ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """A wrong argument is refused with what is wrong and what to do."""
    message = fail(ims_emulator, arguments)
    assert says in message
    assert "canary" not in message


@pytest.mark.parametrize(("arguments", "says"), [c[1:] for c in WAITING], ids=[c[0] for c in WAITING])
@pytest.mark.parametrize("how", [{}, {"wait_for_completion": True}, {"deferrable": True}], ids=["no", "here", "away"])
def test_wrong_waiting_argument(
    how: dict[str, Any],
    arguments: dict[str, Any],
    says: str,
    ims_emulator: EmulatorProcess,
    connect: Callable[..., None],
) -> None:
    """A wrong argument of the wait is refused before the job is submitted and paid for, waited for or not."""
    assert says in fail(ims_emulator, {**how, **arguments})


@pytest.mark.parametrize(("arguments", "says"), [c[1:] for c in SENSOR], ids=[c[0] for c in SENSOR])
@pytest.mark.parametrize("mode", ["poke", "reschedule", "deferrable"])
def test_wrong_argument_of_the_sensor(
    mode: str, arguments: dict[str, Any], says: str, ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """A wrong argument of the sensor is refused before the first poll, however it waits."""
    how: dict[str, Any] = {"deferrable": True} if mode == "deferrable" else {"mode": mode}
    kind = ImsCopyrightExtractJobSensor if "no_watermark_after" in arguments else ImsJobSensor
    sensor = kind(task_id="wait", **{"job_id": "J", **how, **arguments})
    assert says in refusal(sensor, ims_emulator)


@pytest.mark.parametrize(("fields", "says"), [c[1:] for c in CONNECTIONS], ids=[c[0] for c in CONNECTIONS])
def test_wrong_connection_of_the_sensor(
    fields: dict[str, Any], says: str, ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """A wrong connection is refused by the sensor too, before the first poll."""
    connect(**fields)
    assert says in refusal(ImsJobSensor(task_id="wait", job_id="J"), ims_emulator)


@pytest.mark.parametrize(("fields", "says"), [c[1:] for c in CONNECTIONS], ids=[c[0] for c in CONNECTIONS])
def test_wrong_connection(
    fields: dict[str, Any], says: str, ims_emulator: EmulatorProcess, connect: Callable[..., None]
) -> None:
    """A wrong connection is refused when the task runs, with the name of the field."""
    connect(**fields)
    assert says in fail(ims_emulator, {})


def test_good_input_passes(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> None:
    """The input that all cases here are made from is accepted, so it is their change that is refused."""
    operator = ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=GOOD, do_xcom_push=False)
    context: Context = {}
    assert operator.execute(context) == ims_emulator.jobs()[0]["job_id"]


def test_good_waiting_arguments_pass(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> None:
    """Numbers and timedeltas above zero are accepted, by the operator and by the sensor."""
    ims_emulator.put_media(GOOD, watermark="(c) Studio", processing_time=0)
    submit = ImsSubmitCopyrightExtractJobOperator(
        task_id="submit",
        input_media=GOOD,
        poll_interval=timedelta(seconds=1),
        max_poll_interval=2.5,
        timeout=timedelta(hours=1),
        do_xcom_push=False,
    )
    # Of its task instance a task that pushes nothing wants to know when it started.
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
