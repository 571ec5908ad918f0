"""The operator for jobs of any family, and the sensor on its jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException, AirflowFailException, BaseOperator

from airflow_provider_ims.exceptions import ImsConfigurationError, ImsSubmitUnknownError
from airflow_provider_ims.jobs.catalog import JOB_TYPES
from airflow_provider_ims.operators.job import ImsSubmitJobOperator
from airflow_provider_ims.sensors.job import ImsJobSensor
from tests.attempts import SimulatedTask, TaskInstance
from tests.emulator.test_job_families import CASES, FILM
from tests.operators.typed_cases import INPUT, prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from airflow_provider_ims.jobs.types import JobType

QUICK = {"poll_interval": 0.05, "max_poll_interval": 0.05, "timeout": 30}
CONVERT = {"Config": {"Inputs": [{"InputFile": INPUT}], "Outputs": [{"OutputFile": INPUT}]}}
SNAPSHOT = {"Input": INPUT, "Output": {"Type": "OSS", "Media": "oss://rights/a.jpg"}, "TemplateConfig": {"a": 1}}
COVER = {"FunctionName": "Cover", "Input": INPUT, "Output": {"Type": "OSS", "Media": "oss://rights/a.jpg"}}
OF_THE_SDK: dict[str, dict[str, Any]] = {case.action: case.request.to_map() for case in CASES}
"""Valid parameters of each submit action, from the tests of the emulator with the SDK."""

never_mapped = pytest.mark.filterwarnings("ignore:Task .* was never mapped")


@pytest.fixture
def emulator(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> EmulatorProcess:
    """Return an emulator with a marked film and a pair of streams."""
    prepare(ims_emulator)
    ims_emulator.put_media(FILM, duration=600, watermark="mark", trace="user 0")
    return ims_emulator


def task_of(job_type: str, job_params: Any = None, **arguments: Any) -> SimulatedTask:
    return SimulatedTask(
        lambda: ImsSubmitJobOperator(task_id="extract", job_type=job_type, job_params=job_params, **arguments)
    )


# ---- the family


@never_mapped
@pytest.mark.parametrize(
    ("job_type", "message"),
    [
        ("SnapshotJobs", "Unknown job type 'SnapshotJobs'. Do you mean SnapshotJob"),
        ("SubmitSnapshotJob", "Unknown job type 'SubmitSnapshotJob'. Do you mean SnapshotJob?"),
        ("copyright", "Do you mean CopyrightExtractJob or CopyrightJob?"),
        ("", "Unknown job type ''. Give the name of one of the 47 families"),
        (None, "Unknown job type None"),
        (["SnapshotJob"], "Unknown job type"),
        ("{{ params.job_type }}", "job_type is the Jinja template"),
    ],
)
def test_unknown_family_is_an_import_error(job_type: Any, message: str) -> None:
    """A family that does not exist is refused when the DAG file is parsed, mapped or not, with the nearest names."""
    with pytest.raises(ImsConfigurationError, match=message.replace("?", r"\?")):
        ImsSubmitJobOperator(task_id="submit", job_type=job_type, job_params={})
    with pytest.raises(ImsConfigurationError, match=message.replace("?", r"\?")):
        ImsSubmitJobOperator.partial(task_id="submit", job_type=job_type)


def test_output_of_a_task_as_family_is_an_import_error() -> None:
    """The family cannot come from another task: what may be done with a job depends on it."""
    with DAG("outputs", schedule=None):
        output: Any = BaseOperator(task_id="crawl").output
        with pytest.raises(ImsConfigurationError, match="job_type is a PlainXComArg, and job_type is not a template"):
            ImsSubmitJobOperator(task_id="submit", job_type=output)


@never_mapped
def test_family_cannot_be_mapped() -> None:
    """Mapped tasks share their family; the error says where it belongs."""
    message = r"job_type is missing. It cannot be mapped: give it to partial\(...\)."
    with DAG("mapped", schedule=None), pytest.raises(ImsConfigurationError, match=message):
        ImsSubmitJobOperator.partial(task_id="submit").expand(job_type=["SnapshotJob", "PackageJob"])
    operator: Any = ImsSubmitJobOperator
    with pytest.raises((TypeError, AirflowException, ImsConfigurationError), match="job_type"):
        operator(task_id="submit", job_params={})


def test_family_of_default_args_counts() -> None:
    """The family may come from default_args of the DAG, mapped or not."""
    with DAG("defaults", schedule=None, default_args={"job_type": "SnapshotJob"}):
        operator: Any = ImsSubmitJobOperator
        assert operator(task_id="one").job_type.name == "SnapshotJob"
        mapped = operator.partial(task_id="some").expand(job_params=[SNAPSHOT])
        assert mapped.unmap({"job_params": SNAPSHOT}).job_type.name == "SnapshotJob"


def test_parameters_can_be_mapped(emulator: EmulatorProcess) -> None:
    """One task for each dict of parameters submits one job."""
    with DAG("mapped", schedule=None):
        mapped: Any = ImsSubmitJobOperator.partial(task_id="submit", job_type="SnapshotJob").expand(
            job_params=[SNAPSHOT, {**SNAPSHOT, "Name": "second"}]
        )
    context: Any = {"ti": TaskInstance()}
    for parameters in (SNAPSHOT, {**SNAPSHOT, "Name": "second"}):
        assert mapped.unmap({"job_params": parameters}).execute(context)
    assert [request["parameters"].get("Name") for request in emulator.requests()] == [None, "second"]


@never_mapped
@pytest.mark.parametrize("job_type", [job.name for job in JOB_TYPES.values() if job.query_action is None])
@pytest.mark.parametrize("wait", [{"deferrable": True}, {"wait_for_completion": True}], ids=str)
def test_family_without_a_query_cannot_be_waited_for(
    job_type: str, wait: dict[str, Any], emulator: EmulatorProcess
) -> None:
    """A wait for a family without a query is an import error; a submission alone works."""
    message = f"IMS has no action that queries a {job_type}: such jobs can be submitted, not waited for"
    with pytest.raises(ImsConfigurationError, match=message):
        ImsSubmitJobOperator(task_id="submit", job_type=job_type, **wait)
    with pytest.raises(ImsConfigurationError, match=message):
        ImsSubmitJobOperator.partial(task_id="submit", job_type=job_type, **wait)
    task = task_of(job_type, OF_THE_SDK[JOB_TYPES[job_type].submit_action])
    assert task.attempt() == "success", task.error
    assert task.attempt() == "success"  # a retry resumes without a query
    assert len(emulator.bill()["lines"]) == 1


# ---- the parameters

PARAMETERS: list[tuple[str, Any, str]] = [
    ("text", "{}", "job_params is a str. Give a dict of parameters, or leave it out"),
    ("list", [SNAPSHOT], "job_params is a list. Give a dict"),
    ("name with a space", {"User Data": "x"}, "job_params has the key 'User Data'. Give the vendor's names"),
    ("number as a name", {5: "x"}, "job_params has the key 5. Give the vendor's names"),
    ("empty name", {"": "x"}, "job_params has the key ''"),
    ("set", {"Input": {"a": {1}}}, "job_params['Input'] cannot be sent as JSON"),
    ("NaN", {"Input": [float("nan")]}, "job_params['Input'] cannot be sent as JSON"),
    ("not UTF-8", {"Input": {"a": "\ud800"}}, "job_params['Input'] has characters that UTF-8 cannot write"),
    ("long UserData", {"UserData": "ü" * 257}, "job_params['UserData'] has 257 characters. IMS takes at most 256"),
    ("number as UserData", {"UserData": 5}, "job_params['UserData'] is a int. Give text, or a dict"),
]


@pytest.mark.parametrize(("given", "message"), [one[1:] for one in PARAMETERS], ids=[one[0] for one in PARAMETERS])
def test_wrong_parameters_are_refused(given: Any, message: str, emulator: EmulatorProcess) -> None:
    """Parameters that cannot be sent are refused before any call, and not retried."""
    task = task_of("IProductionJob", given)
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsConfigurationError)
    assert message in str(task.error)
    assert emulator.requests() == []


def test_values_are_sent_as_the_service_reads_them(emulator: EmulatorProcess) -> None:
    """Mappings and lists are JSON, truth values are in lower case, and None is left out."""
    given = {**COVER, "Name": None, "ModelId": 7, "Template": True, "UserData": {"a": "ü"}, "JobParams": [1, "x"]}
    assert task_of("IProductionJob", given).attempt() == "success"
    (request,) = emulator.requests()
    assert request["parameters"] == {
        "FunctionName": "Cover",
        "Input": '{"Type":"OSS","Media":"oss://rights/film.mp4"}',
        "Output": '{"Type":"OSS","Media":"oss://rights/a.jpg"}',
        "ModelId": "7",
        "Template": "true",
        "UserData": '{"a":"ü"}',
        "JobParams": '[1,"x"]',
    }


def test_region_without_the_family_is_refused(emulator: EmulatorProcess) -> None:
    """A region that does not offer the family is refused before any call."""
    task = task_of("DynamicChartJob", {"ChartType": "Line"}, region="cn-beijing")
    assert task.attempt() == "failed"
    message = "DynamicChartJob is not offered in the region 'cn-beijing'. Use cn-shanghai; the media must be there too."
    assert str(task.error) == message
    assert emulator.requests() == []


# ---- a submission whose response is lost


@pytest.mark.parametrize("kind", ["cut_after", "internal_error_after"])
def test_submission_with_client_token_is_repeated_safely(kind: str, emulator: EmulatorProcess) -> None:
    """A family with ClientToken gets one that the task derives: after a lost response, a retry gets the same job."""
    emulator.fault("SubmitMediaConvertJob", kind)
    task = task_of("MediaConvertJob", CONVERT)
    assert task.attempt() == "up_for_retry"
    assert isinstance(task.error, ImsSubmitUnknownError)
    first = (task.record() or {})["client_token"]
    assert task.attempt() == "success"
    assert (task.record() or {})["client_token"] == first
    assert [line["job_id"] for line in emulator.bill()["lines"]] == [task.ti.xcoms["job_id"]]
    assert len(emulator.requests()) == 2


def test_tokens_of_tasks_differ(emulator: EmulatorProcess) -> None:
    """Mapped tasks with the same parameters get jobs of their own, and so does a cleared task."""
    tasks = [task_of("MediaConvertJob", CONVERT) for _ in range(2)]
    for map_index, task in enumerate(tasks):
        task.map_index = map_index
        assert task.attempt() == "success"
    assert len(emulator.bill()["lines"]) == 2
    tasks[0].clear()
    assert tasks[0].attempt() == "success"
    assert len(emulator.bill()["lines"]) == 3


def test_token_of_the_user_is_kept(emulator: EmulatorProcess) -> None:
    """A ClientToken in job_params is the one that is sent."""
    task = task_of("MediaConvertJob", {**CONVERT, "ClientToken": "mine"})
    assert task.attempt() == "success"
    assert (task.record() or {})["client_token"] == "mine"


def test_token_for_a_family_that_ignores_it_makes_nothing_safe(emulator: EmulatorProcess) -> None:
    """A ClientToken that the service ignores does not make a lost submission safe to repeat."""
    emulator.fault("SubmitIProductionJob", "cut_after")
    task = task_of("IProductionJob", {**COVER, "ClientToken": "mine"})
    assert task.attempt() == "failed"
    assert isinstance(task.error, ImsSubmitUnknownError)
    assert isinstance(task.error, AirflowFailException)
    assert "may be sent again" not in str(task.error)
    assert task.attempt() == "failed"
    assert len(emulator.requests()) == 1


# ---- waiting


class StartedOnce(TaskInstance):
    """A task instance that was not rescheduled yet."""

    def get_first_reschedule_date(self, context: object) -> None:
        return None


WITH_QUERY = [job_type for job_type in JOB_TYPES.values() if job_type.query_action]


@pytest.mark.parametrize("job_type", WITH_QUERY, ids=lambda job_type: job_type.name)
def test_operator_and_sensor_wait_for_each_family(job_type: JobType, emulator: EmulatorProcess) -> None:
    """A job of each family is waited for by the operator, and by the sensor that has its JobId and family only."""
    task = task_of(job_type.name, OF_THE_SDK[job_type.submit_action], wait_for_completion=True, **QUICK)
    assert task.attempt() == "success", task.error
    job_id, result = task.ti.xcoms["job_id"], task.ti.xcoms[job_type.result_name]
    assert result not in (None, "", [], {})
    ti = StartedOnce()
    context: Any = {"ti": ti}
    sensor = ImsJobSensor(
        task_id="wait", job_id=job_id, job_type=job_type.name, poke_interval=0.05, deferrable=False, mode="poke"
    )
    assert sensor.execute(context) == result
    assert ti.xcoms[job_type.result_name] == result
    assert ti.xcoms["ims_job_link"]["query_action"] == job_type.query_action
    assert {request["action"] for request in emulator.requests()} == {job_type.submit_action, job_type.query_action}
