"""People have cleared tasks resume their jobs: `airflow ims resume` and the REST API, in a whole Airflow."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from dev.sandbox import AirflowSandbox
from tests.runs import TASK, TIMEOUT, Run, media_of, needs_a_store, whole_airflow

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.standalone import StandaloneAirflow

pytestmark = [needs_a_store, pytest.mark.timeout(900)]  # the first test also waits for the start of Airflow

FILMS = 4
DAGS = f"""
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator

def extract(dag_id, **arguments):
    with DAG(dag_id, schedule=None):
        task = ImsSubmitCopyrightExtractJobOperator.partial(
            task_id={TASK!r}, deferrable=True, poll_interval=0.5, timeout=2, retries=0
        )
        if dag_id == "films":
            return task.expand(input_media=[f"oss://waiting/film-{{number}}.mp4" for number in range({FILMS})])
        return ImsSubmitCopyrightExtractJobOperator(
            task_id={TASK!r}, input_media=f"oss://waiting/{{dag_id}}.mp4", retries=0, **arguments
        )

films = extract("films")
by_api = extract("by_api", deferrable=True, poll_interval=0.5, timeout=2)
lost = extract("lost", deferrable=True, poll_interval=0.5, timeout=2)
running = extract("running", deferrable=True, timeout=3600)
submitted = extract("submitted")
"""


@pytest.fixture(scope="module")
def airflow(ims_emulator_process: EmulatorProcess) -> Iterator[StandaloneAirflow]:
    """Start Airflow. No test of this module may reset the emulator."""
    emulator = ims_emulator_process
    emulator.reset()
    names = [*(f"film-{number}" for number in range(FILMS)), "by_api", "lost", "running", "submitted"]
    for name in names:
        emulator.put_media(media_of(name), watermark=f"(c) {name}", processing_time=3600)
    with AirflowSandbox({"AIRFLOW_CONN_IMS_DEFAULT": emulator.connection_json()}) as sandbox:
        sandbox.add_dag(DAGS, "resume.py")
        with whole_airflow(sandbox) as airflow:
            yield airflow


def start(airflow: StandaloneAirflow, emulator: EmulatorProcess, dag_id: str) -> Run:
    return Run(airflow, emulator, dag_id, airflow.trigger(dag_id))


def command(airflow: StandaloneAirflow, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return airflow.sandbox.airflow("ims", "resume", *arguments, check=check)


def rows(done: subprocess.CompletedProcess[str]) -> dict[int, dict[str, Any]]:
    """Return the rows that the command prints with ``--output json``, by map index."""
    listing: list[dict[str, Any]] = json.loads(done.stdout[done.stdout.index("[") :])
    return {int(row["map_index"]): row for row in listing}


def errors(lines: list[dict[str, Any]]) -> str:
    return json.dumps([line for line in lines if line.get("level") == "error"])


def advised_command(lines: list[dict[str, Any]]) -> list[str]:
    """Return the arguments of the command that the error in a task's log names."""
    found = re.search(r"airflow ims resume [^\"\\]+", errors(lines))
    assert found, errors(lines)
    return shlex.split(found[0])[3:]


def test_mapped_tasks_resume_after_a_clear(airflow: StandaloneAirflow, ims_emulator_process: EmulatorProcess) -> None:
    """Four films whose waits failed are cleared: with the command that their errors name, each is billed once."""
    emulator = ims_emulator_process
    run = start(airflow, emulator, "films")
    assert run.wait_for_end() == "failed"
    bill = {line["media"]: line["job_id"] for line in emulator.bill()["lines"] if "film-" in line["media"]}
    assert len(bill) == FILMS
    advised = advised_command(airflow.task_log("films", run.run_id, TASK, map_index=2))
    assert rows(command(airflow, *advised, "--output", "json"))[2]["job_id"] == bill[media_of("film-2")]
    # Without a map index, the command is about all that failed.
    listing = rows(command(airflow, "films", run.run_id, TASK, "--output", "json"))
    assert {index: row["job_id"] for index, row in listing.items()} == {
        number: bill[media_of(f"film-{number}")] for number in range(FILMS)
    }
    assert {row["result"] for row in listing.values()} == {"resumes after a clear"}
    emulator.advance(3600)
    run.clear()
    assert run.wait_for_end() == "success"
    assert [airflow.xcom("films", run.run_id, TASK, "watermark", number) for number in range(FILMS)] == [
        f"(c) film-{number}" for number in range(FILMS)
    ]
    assert len([line for line in emulator.bill()["lines"] if "film-" in line["media"]]) == FILMS


def test_rest_api_has_a_task_resume_its_job(airflow: StandaloneAirflow, ims_emulator_process: EmulatorProcess) -> None:
    """Without the command, the same is done with one call of Airflow's REST API."""
    run = start(airflow, ims_emulator_process, "by_api")
    assert run.wait_for_end() == "failed"
    (job_id,) = run.billed()
    ims_emulator_process.advance(3600)
    path = f"/dags/by_api/dagRuns/{run.run_id}/taskInstances/{TASK}/state-store/ims_resume?map_index=-1"
    airflow.request("PUT", path, {"value": True})
    run.clear()
    assert run.wait_for_end() == "success", run.report()
    assert run.xcom("watermark") == "(c) by_api"
    assert run.billed() == [job_id]


def test_lost_job_is_given_to_its_task(airflow: StandaloneAirflow, ims_emulator_process: EmulatorProcess) -> None:
    """The command that an unknown submission names takes the JobId, and the task gets the result of that job."""
    emulator = ims_emulator_process
    emulator.fault("SubmitCopyrightExtractJob", "cut_after")
    run = start(airflow, emulator, "lost")
    assert run.wait_for_end() == "failed"
    (job_id,) = run.billed()
    done = command(airflow, "lost", run.run_id, TASK, "--output", "json", check=False)
    assert done.returncode == 1
    assert "give its --job-id if you find it" in rows(done)[-1]["result"]
    advised = advised_command(run.log())
    assert advised[-1] == "JOB_ID"
    listing = rows(command(airflow, *advised[:-1], job_id, "--output", "json"))
    assert (listing[-1]["job_id"], listing[-1]["from"]) == (job_id, "given")
    emulator.advance(3600)
    run.clear()
    assert run.wait_for_end() == "success", run.report()
    assert run.xcom("watermark") == "(c) lost"
    assert run.billed() == [job_id]


def test_task_that_runs_is_not_changed(airflow: StandaloneAirflow, ims_emulator_process: EmulatorProcess) -> None:
    """A task with an attempt is left alone: the command says so and ends with status 1."""
    run = start(airflow, ims_emulator_process, "running")
    run.wait_until_polled("deferred")
    done = command(airflow, "running", run.run_id, TASK, "--map-index", "-1", "--output", "json", check=False)
    assert done.returncode == 1
    assert "an attempt runs or is about to" in rows(done)[-1]["result"]
    assert run.record("ims_resume") is None
    run.mark_failed()
    run.wait_for_end()


def test_task_that_succeeded_resumes_if_it_is_named(
    airflow: StandaloneAirflow, ims_emulator_process: EmulatorProcess
) -> None:
    """A task that succeeded is changed only if its map index is given; a dry run changes nothing."""
    run = start(airflow, ims_emulator_process, "submitted")
    assert run.wait_for_end() == "success"
    done = command(airflow, "submitted", run.run_id, TASK, check=False)
    assert "No instance of the task has failed" in done.stderr
    one = ("submitted", run.run_id, TASK, "--map-index", "-1", "--output", "json")
    assert rows(command(airflow, *one, "--dry-run"))[-1]["result"] == "would resume after a clear"
    assert run.record("ims_resume") is None
    assert rows(command(airflow, *one))[-1]["result"] == "resumes after a clear"
    assert run.record("ims_resume") is True
    run.clear()
    airflow.wait_until("the task has run again", lambda: run.task()["try_number"] == 2, TIMEOUT)
    assert run.wait_for_end() == "success"
    assert run.record("ims_resume") is None
    assert len(run.billed()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "run", TASK), "There is no task 'extract' in the run 'run' of the Dag 'nowhere'."),
        (("submitted", "{run}", TASK, "--map-index", "3"), "The task 'extract' has no map index 3 in this run."),
        (("submitted", "{run}", TASK, "--job-id", "x=J"), "the map index before = is not a number"),
        (("submitted", "{run}", TASK, "--job-id", "None"), "give a JobId"),
        (("submitted", "{run}", TASK, "--job-id", "J", "K"), "one JobId only without a map index"),
        (("submitted", "{run}", TASK, "--job-id", "0=J", "0=K"), "two for 0"),
        (("films", "{run}", TASK, "--map-index", "0", "1", "--job-id", "J"), "Say whose job it is"),
    ],
    ids=["no task", "no map index", "no number", "no job id", "two jobs", "two jobs of one", "whose job"],
)
def test_wrong_arguments_change_nothing(arguments: tuple[str, ...], message: str, airflow: StandaloneAirflow) -> None:
    """Arguments that do not fit end the command with a message that says what to give."""
    dag_id = arguments[0]
    run_id = (
        "run" if dag_id == "nowhere" else airflow.request("GET", f"/dags/{dag_id}/dagRuns")["dag_runs"][0]["dag_run_id"]
    )
    done = command(airflow, *(argument.format(run=run_id) for argument in arguments), check=False)
    assert done.returncode == 1
    assert message in done.stderr
