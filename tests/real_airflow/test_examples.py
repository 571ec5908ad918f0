"""The example DAGs in a real Airflow, against the emulator."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from packaging.version import Version

from dev.sandbox import EXAMPLE_DAGS

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.sandbox import AirflowSandbox

EXAMPLES = sorted(EXAMPLE_DAGS.glob("*.py"))
SUSPECT = "oss://rights-evidence/suspects/clip-{}.mp4"
LINKS_ARE_STORED = Version(version("apache-airflow")).major >= 3
"""Airflow 3 computes a link in the worker and stores it; Airflow 2 computes it in the web server."""

TIMETABLES = """
import json, sys
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag
dags = DagBag(sys.argv[1]).dags
print(json.dumps({dag_id: type(dag.timetable).__name__ for dag_id, dag in dags.items()}))
"""

MAPPED_SENSOR = """
from airflow.providers.common.compat.sdk import DAG, task
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.sensors.copyright import ImsCopyrightExtractJobSensor

with DAG("mapped_sensor", schedule=None) as dag:
    submit = ImsSubmitCopyrightExtractJobOperator.partial(task_id="submit").expand(
        input_media=[f"oss://b-1/{number}.mp4" for number in range(3)]
    )
    wait = ImsCopyrightExtractJobSensor.partial(
        task_id="wait", deferrable=True, poke_interval=0.2, no_watermark_after=0.5
    ).expand(job_id=submit.output)

    @task
    def collect(texts):
        return list(texts)

    collect(wait.output)
"""


def put_suspects(emulator: EmulatorProcess) -> None:
    """Put the videos of the example DAGs into the emulator."""
    for number, watermark in enumerate(
        ["(c) Example Studio, licence 1001", "(c) Example Studio, licence 1002", "?"], 1
    ):
        emulator.put_media(SUSPECT.format(number), watermark=watermark, processing_time=0)


def test_example_passes_job_ids_downstream(airflow: AirflowSandbox, ims_emulator: EmulatorProcess) -> None:
    """Three mapped tasks submit one job each; its JobId is in the XCom, the link and the downstream task."""
    run = airflow.run_dag(airflow.dags / "example_ims_copyright_extract.py")
    assert run.state == "success", run.output
    billed = {line["job_id"]: line["media"] for line in ims_emulator.bill()["lines"]}
    job_ids = run.xcom("submit")
    assert sorted(job_ids) == sorted(billed)
    assert len(job_ids) == 3
    assert run.xcom("submit", "job_id") == job_ids
    sent = [request["request_id"] for request in ims_emulator.requests()]
    assert sorted(run.xcom("submit", "request_id")) == sorted(sent)
    assert run.xcom("pair_with_jobs") == [{billed[job_id]: job_id for job_id in job_ids}]
    user_data = {job["user_data"] for job in ims_emulator.jobs()}
    assert user_data == {json.dumps({"run_id": run.run_id}, separators=(",", ":"))}
    links = run.xcom("submit", "_link_ImsJobLink")
    if not LINKS_ARE_STORED:
        return
    for job_id, link in zip(job_ids, links, strict=True):
        url = urlsplit(link)
        assert link.startswith("https://api.aliyun.com/api/ICE/2020-11-09/QueryCopyrightExtractJob?")
        query = parse_qs(url.query, strict_parsing=True)
        assert query == {"RegionId": ["cn-shanghai"], "params": [f'{{"JobId":"{job_id}"}}']}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_parsed_without_a_connection(
    path: Path, airflow: AirflowSandbox, ims_emulator: EmulatorProcess
) -> None:
    """An example is parsed without a connection, and runs after the connection is defined."""
    put_suspects(ims_emulator)
    name = "AIRFLOW_CONN_IMS_DEFAULT"
    run = airflow.run_dag(airflow.dags / path.name, env={name: ""}, late_env={name: airflow.env[name]})
    assert run.state == "success", run.output
    assert ims_emulator.jobs()


def test_nightly_suspects_reports_the_copies(airflow: AirflowSandbox, ims_emulator: EmulatorProcess) -> None:
    """A known watermark is reported as a copy; a failed job is retried and fails only its own mapped task."""
    put_suspects(ims_emulator)
    ims_emulator.put_media(SUSPECT.format(2), variant="state_field", processing_time=0)
    ims_emulator.put_media(SUSPECT.format(3), variant="empty_success", processing_time=0)
    no_retry_delay = {"AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "0"}
    run = airflow.run_dag(airflow.dags / "example_ims_nightly_suspects.py", env=no_retry_delay)
    assert [run.tasks[f"check.extract[{number}]"] for number in range(3)] == ["success", "failed", "success"]
    assert [finding["watermark"] for finding in run.xcom("check.match")] == ["(c) Example Studio, licence 1001", ""]
    (copies,) = run.xcom("report")
    jobs = {job["media"]: job["job_id"] for job in ims_emulator.jobs()}
    assert [job["media"] for job in ims_emulator.jobs()].count(SUSPECT.format(2)) == 3
    assert copies == [
        {
            "media": SUSPECT.format(1),
            "job_id": jobs[SUSPECT.format(1)],
            "watermark": "(c) Example Studio, licence 1001",
            "film": "The Long Night",
        }
    ]
    assert len(ims_emulator.bill()["lines"]) == 5


def test_video_is_checked_in_one_run_only(airflow: AirflowSandbox, ims_emulator: EmulatorProcess) -> None:
    """Two runs that are given the same videos pay for each once, and the table has the findings."""
    put_suspects(ims_emulator)
    ims_emulator.put_media(SUSPECT.format(3), variant="empty_success", processing_time=0)
    (airflow.home / "rights.db").unlink(missing_ok=True)  # another test may have run the example
    runs = [airflow.run_dag(airflow.dags / "example_ims_check_once.py") for _ in range(2)]
    assert [run.state for run in runs] == ["success", "success"], runs[-1].output
    bill = {line["media"]: line["job_id"] for line in ims_emulator.bill()["lines"]}
    assert len(ims_emulator.bill()["lines"]) == 3
    with closing(sqlite3.connect(airflow.home / "rights.db")) as database:
        rows = database.execute("SELECT media, run_id, job_id, outcome, watermark FROM checked_videos ORDER BY media")
        found = rows.fetchall()
    assert found == [
        (SUSPECT.format(number), runs[0].run_id, bill[SUSPECT.format(number)], outcome, text)
        for number, outcome, text in (
            (1, "found", "(c) Example Studio, licence 1001"),
            (2, "found", "(c) Example Studio, licence 1002"),
            (3, "not_found", ""),
        )
    ]


def test_no_example_runs_by_itself(airflow: AirflowSandbox) -> None:
    """No example has a schedule: unpausing one costs nothing."""
    printed = airflow.python("-c", TIMETABLES, str(EXAMPLE_DAGS)).stdout.splitlines()[-1]
    assert json.loads(printed) == {path.stem: "NullTimetable" for path in EXAMPLES}


@pytest.mark.parametrize(
    ("watermark", "branch"),
    [
        ("(c) Example Studio, licence 1001", "takedown_notice"),
        ("(c) Another Studio", "ask_the_owner"),
        (None, "look_at_it"),
    ],
)
def test_rights_check_branches_on_the_watermark(
    watermark: str | None, branch: str, airflow: AirflowSandbox, ims_emulator: EmulatorProcess
) -> None:
    """The branch that runs depends on the text that the sensor returns."""
    # Two hours of empty responses are too long for a test: here the service reports the end of the job.
    ims_emulator.put_media(SUSPECT.format(1), watermark=watermark, processing_time=0, variant="empty_success")
    run = airflow.run_dag(airflow.dags / "example_ims_rights_check.py")
    assert run.state == "success", run.output
    branches = ("takedown_notice", "ask_the_owner", "look_at_it")
    assert [name for name in branches if run.tasks[f"{name}[-1]"] == "success"] == [branch]


def test_sensor_maps_over_jobs(airflow: AirflowSandbox, ims_emulator: EmulatorProcess) -> None:
    """A mapped sensor waits for each job of a mapped submission, and the texts are complete and in order."""
    for number, watermark in enumerate(["(c) A", None, "(c) C"]):
        ims_emulator.put_media(f"oss://b-1/{number}.mp4", watermark=watermark, processing_time=0)
    run = airflow.run_dag(airflow.add_dag(MAPPED_SENSOR, "mapped_sensor.py"))
    assert run.state == "success", run.output
    assert run.xcom("collect") == [["(c) A", "", "(c) C"]]
