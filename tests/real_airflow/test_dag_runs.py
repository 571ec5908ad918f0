"""DAG runs in a real Airflow, against the emulator."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.sandbox import AirflowSandbox

SINGLE = """
import datetime
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator

with DAG("single", schedule=None) as dag:
    ImsSubmitCopyrightExtractJobOperator(task_id="submit", retries=2, retry_delay=0.01, **{arguments!r})
"""


def single(**arguments: object) -> str:
    return SINGLE.format(arguments=arguments)


def test_log_names_job_media_and_request(airflow: AirflowSandbox, ims_emulator: EmulatorProcess) -> None:
    """One log line names the submitted job, its media, region and RequestId."""
    run = airflow.run_dag(airflow.add_dag(single(input_media="oss://b-1/a.mp4"), "single.py"))
    (job,) = ims_emulator.jobs()
    (request,) = ims_emulator.requests()
    media = "oss://b-1/a.mp4"
    assert (
        f"Submitted CopyrightExtractJob {job['job_id']} for {media} in cn-shanghai (RequestId {request['request_id']})"
        in run.output
    )


def test_wrong_input_fails_the_task_and_sends_nothing(airflow: AirflowSandbox, ims_emulator: EmulatorProcess) -> None:
    """A wrong argument fails the task with its message, without a request, a job or a link."""
    run = airflow.run_dag(airflow.add_dag(single(input_media="s3://b-1/a.mp4"), "single.py"))
    assert run.tasks == {"submit[-1]": "failed"}
    assert "which is not a URL that IMS reads. Use oss://bucket/object" in run.output
    assert ims_emulator.requests() == []
    assert run.xcom("submit") == []
    assert set(run.xcom("submit", "_link_ImsJobLink")) <= {""}
    assert "TypeError" not in run.output


def test_unknown_submission_is_not_retried(airflow: AirflowSandbox, ims_emulator: EmulatorProcess) -> None:
    """After a lost response the task fails although it has retries left, and one job is billed."""
    ims_emulator.fault("SubmitCopyrightExtractJob", "cut_after")
    run = airflow.run_dag(airflow.add_dag(single(input_media="oss://b-1/a.mp4"), "single.py"))
    assert run.tasks == {"submit[-1]": "failed"}
    assert "It is unknown whether SubmitCopyrightExtractJob of" in run.output
    assert len(ims_emulator.bill()["lines"]) == 1
    assert len(ims_emulator.requests()) == 1


def test_timed_out_submission_is_not_retried(airflow: AirflowSandbox, ims_emulator: EmulatorProcess) -> None:
    """After an execution_timeout during the submission the task fails without a retry: a job may exist."""
    ims_emulator.fault("SubmitCopyrightExtractJob", "hang")
    run = airflow.run_dag(
        airflow.add_dag(single(input_media="oss://b-1/a.mp4", execution_timeout=timedelta(seconds=3)), "single.py")
    )
    assert run.tasks == {"submit[-1]": "failed"}
    assert "It was interrupted while it waited for the response" in run.output
    assert len(ims_emulator.requests()) == 1


def test_job_whose_id_cannot_be_pushed_is_not_submitted_again(
    airflow: AirflowSandbox, ims_emulator: EmulatorProcess
) -> None:
    """If Airflow cannot store the JobId, the task fails with it in the message, although it has retries left."""
    broken = "from airflow_provider_ims.links.ims import ImsJobLink\nImsJobLink.key = object()\n"
    run = airflow.run_dag(airflow.add_dag(broken + single(input_media="oss://b-1/a.mp4"), "single.py"))
    assert run.tasks == {"submit[-1]": "failed"}
    (job,) = ims_emulator.jobs()
    assert f"Job {job['job_id']} is submitted and will be billed, and its id could not be pushed" in run.output
    assert len(ims_emulator.bill()["lines"]) == 1


def test_throttled_submission_is_retried_by_airflow(airflow: AirflowSandbox, ims_emulator: EmulatorProcess) -> None:
    """A throttled submission is repeated by Airflow's retry, not within the attempt."""
    ims_emulator.fault("SubmitCopyrightExtractJob", "throttle")
    run = airflow.run_dag(airflow.add_dag(single(input_media="oss://b-1/a.mp4"), "single.py"))
    assert "ImsThrottledError" in run.output
    assert run.tasks == {"submit[-1]": "success"}
    assert len(ims_emulator.requests()) == 2
    assert len(ims_emulator.bill()["lines"]) == 1


def test_templates_are_rendered(airflow: AirflowSandbox, ims_emulator: EmulatorProcess) -> None:
    """All arguments can be templates, also inside of dicts."""
    dag = single(
        input_media={"Type": "{{ 'O' }}SS", "Media": "oss://b-1/{{ dag.dag_id }}.mp4"},
        algo_type="{{ 'v' }}2",
        user_data="{{ task.task_id }}",
        job_params={"tag": "{{ dag.dag_id }}"},
        region="cn-{{ 'shanghai' }}",
        ims_conn_id="{{ 'ims' }}_default",
    )
    run = airflow.run_dag(airflow.add_dag(dag, "single.py"))
    assert run.state == "success", run.output
    parameters = ims_emulator.requests()[0]["parameters"]
    assert json.loads(parameters["Input"]) == {"Type": "OSS", "Media": "oss://b-1/single.mp4"}
    assert json.loads(parameters["Params"]) == {"tag": "single", "algoType": "v2"}
    assert parameters["UserData"] == "submit"


def test_do_xcom_push_false_pushes_nothing(airflow: AirflowSandbox, ims_emulator: EmulatorProcess) -> None:
    """With do_xcom_push=False the job is submitted and no XCom is pushed."""
    run = airflow.run_dag(airflow.add_dag(single(input_media="oss://b-1/a.mp4", do_xcom_push=False), "single.py"))
    assert run.state == "success", run.output
    assert len(ims_emulator.bill()["lines"]) == 1
    assert {xcom["key"] for xcom in run.xcoms} <= {"_link_ImsJobLink"}
