"""OpenLineage: which datasets a task reports, and that nothing of it is imported otherwise.

The OpenLineage provider is not part of the test environment. To run all of these tests, install
``apache-airflow-providers-openlineage`` into a copy of it.
"""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator, ImsSubmitCopyrightJobOperator
from airflow_provider_ims.operators.job import ImsSubmitJobOperator
from airflow_provider_ims.operators.processing import ImsSubmitMediaConvertJobOperator
from airflow_provider_ims.operators.trace import ImsSubmitTraceAbJobOperator
from dev.sandbox import EXAMPLE_DAGS, AirflowSandbox
from tests.test_architecture import AIRFLOW, loaded

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from airflow_provider_ims.operators.base import ImsJobBaseOperator

IS_INSTALLED = importlib.util.find_spec("airflow.providers.openlineage") is not None
needs_openlineage = pytest.mark.skipif(not IS_INSTALLED, reason="apache-airflow-providers-openlineage is not installed")

FILM = "oss://studio-masters/film.mp4"
COPY = "https://studio-screeners.oss-cn-shanghai.aliyuncs.com/north/film%201.mp4"


PARSE = """
import importlib.util
spec = importlib.util.spec_from_file_location("example", {path!r})
spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""


def test_dag_file_imports_nothing_of_openlineage() -> None:
    """A DAG file imports neither OpenLineage nor the module of this package for it."""
    # Airflow itself reads the metadata of each provider.
    after = f"{AIRFLOW}\nfrom airflow.providers.common.compat.sdk import chain, dag, task"
    modules = loaded(PARSE.format(path=str(EXAMPLE_DAGS / "example_ims_leak_drill.py")), after=after)
    assert "airflow_provider_ims.operators.copyright" in modules
    assert [name for name in modules if "lineage" in name] == []


@pytest.mark.skipif(IS_INSTALLED, reason="apache-airflow-providers-openlineage is installed")
def test_nothing_is_reported_without_the_provider() -> None:
    """Without the OpenLineage provider there are no facets, and no error."""
    task = ImsSubmitCopyrightExtractJobOperator(task_id="extract", input_media=FILM)
    assert task.get_openlineage_facets_on_complete(None) is None


def datasets(task: ImsJobBaseOperator) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return inputs and outputs of a task as namespace and name, read from the classes of OpenLineage."""
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import Dataset

    lineage = task.get_openlineage_facets_on_complete(None)
    assert isinstance(lineage, OperatorLineage)
    assert all(isinstance(one, Dataset) for one in [*lineage.inputs, *lineage.outputs])
    inputs, outputs = ([(one.namespace, one.name) for one in side] for side in (lineage.inputs, lineage.outputs))
    return inputs, outputs


@needs_openlineage
def test_media_in_oss_become_datasets() -> None:
    """What a job reads is an input, what it writes an output; the namespace is the bucket and the name the object."""
    embed = ImsSubmitCopyrightJobOperator(task_id="embed", input_media=FILM, output_media=COPY, message="(c)")
    assert datasets(embed) == (
        [("oss://studio-masters", "film.mp4")],
        [("oss://studio-screeners", "north/film 1.mp4")],
    )
    streams = ImsSubmitTraceAbJobOperator(task_id="streams", input_media="0123abcd", output_media="oss://b-1/film/")
    assert datasets(streams) == ([], [("oss://b-1", "film")])


@needs_openlineage
@pytest.mark.parametrize(
    "task",
    [
        ImsSubmitMediaConvertJobOperator(task_id="convert", config={"Inputs": [{"InputFile": {"Media": FILM}}]}),
        ImsSubmitJobOperator(task_id="job", job_type="SnapshotJob", job_params={"Input": {"Media": FILM}}),
    ],
    ids=lambda task: task.task_id,
)
def test_media_in_mappings_are_left_out(task: ImsJobBaseOperator) -> None:
    """Known limitation: media in a mapping of the vendor's names are no datasets."""
    assert datasets(task) == ([], [])


DAG = f"""
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator

with DAG("lineage", schedule=None):
    ImsSubmitCopyrightExtractJobOperator(task_id="extract", input_media="{FILM}")
"""


@needs_openlineage
def test_event_of_a_run_has_the_datasets(ims_emulator: EmulatorProcess, tmp_path: Path) -> None:
    """In a real Airflow with OpenLineage, the event of the completed task has the media as its input."""
    events = tmp_path / "events"
    env = {
        "AIRFLOW_CONN_IMS_DEFAULT": ims_emulator.connection_json(),
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "file", "log_file_path": str(events), "append": True}),
    }
    with AirflowSandbox(env) as airflow:
        airflow.migrate()
        run = airflow.run_dag(airflow.add_dag(DAG, "lineage.py"))
    assert run.state == "success", run.output
    completed: list[dict[str, Any]] = [
        event
        for event in map(json.loads, events.read_text().splitlines())
        if event["eventType"] == "COMPLETE" and event["job"]["name"] == "lineage.extract"
    ]
    assert [(one["namespace"], one["name"]) for event in completed for one in event["inputs"]] == [
        ("oss://studio-masters", "film.mp4")
    ]
