"""Assets of Airflow that users give as inlets and outlets. On Airflow 2.11 they are datasets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.sandbox import AirflowSandbox

FILM = "oss://rights/film.mp4"
CLIP = "oss://rights/clip.mp4"
DAG = """
from airflow.providers.common.compat.sdk import DAG, Asset
from airflow_provider_ims.operators.copyright import (
    ImsSubmitCopyrightExtractJobOperator,
    ImsSubmitCopyrightJobOperator,
)
from airflow_provider_ims.operators.upload import ImsRegisterMediaInfoOperator

FILM, CLIP = "oss://rights/film.mp4", "oss://rights/clip.mp4"


def note_assets(context, result):
    task = context["task"]
    context["ti"].xcom_push(key="assets", value=[[one.uri for one in side] for side in (task.inlets, task.outlets)])


ASSETS = {"inlets": [Asset(FILM)], "outlets": [Asset(CLIP)], "post_execute": note_assets}

with DAG("assets", schedule=None):
    mark = ImsSubmitCopyrightJobOperator(
        task_id="deferred",
        input_media=FILM,
        output_media=CLIP,
        message="(c) Studio",
        deferrable=True,
        poll_interval=0.1,
        **ASSETS,
    )
    ImsSubmitCopyrightExtractJobOperator(task_id="submitted", input_media=FILM, **ASSETS)
    ImsRegisterMediaInfoOperator(task_id="registered", input_url=FILM, **ASSETS)
    # Its argument is refused: a task that fails emits no event.
    ImsSubmitCopyrightExtractJobOperator(task_id="refused", input_media="{{ params.get('none') }}", **ASSETS)
"""

EVENTS = """
import json
from airflow.utils.session import create_session
try:
    from airflow.models.asset import AssetEvent, AssetModel
    key = AssetEvent.asset_id
except ImportError:  # Airflow 2
    from airflow.models.dataset import DatasetEvent as AssetEvent, DatasetModel as AssetModel
    key = AssetEvent.dataset_id
with create_session() as session:
    rows = session.query(AssetEvent.source_task_id, AssetModel.uri).join(AssetModel, AssetModel.id == key)
    print(json.dumps([list(row) for row in rows.filter(AssetEvent.source_dag_id == "assets")]))
"""


Assets = tuple[dict[str, list[list[str]]], list[list[str]]]

each_task = pytest.mark.parametrize("task_id", ["deferred", "submitted", "registered"])


@each_task
def test_assets_of_the_user_are_kept(task_id: str, assets: Assets) -> None:
    """The operator changes neither inlets nor outlets."""
    assert assets[0][task_id] == [[FILM], [CLIP]]


@each_task
def test_event_of_an_outlet_is_emitted(task_id: str, assets: Assets) -> None:
    """The event of an outlet is emitted when the task succeeds, deferred or not, and no other event is."""
    assert [uri for source, uri in assets[1] if source == task_id] == [CLIP]


def test_task_that_fails_emits_no_event(assets: Assets) -> None:
    """A task whose argument is refused emits no event of its outlet."""
    assert [uri for source, uri in assets[1] if source == "refused"] == []


@pytest.fixture(scope="module")
def assets(migrated: AirflowSandbox, ims_emulator_process: EmulatorProcess) -> Assets:
    """Run the DAG once; return the inlets and outlets of each task after it, and the events by task and URI."""
    ims_emulator_process.reset()
    ims_emulator_process.configure(processing_time=0.2)
    ims_emulator_process.put_media(FILM, duration=600)
    path = migrated.add_dag(DAG, "assets.py")
    # As a DAG processor does it. Before that, Airflow knows no asset of the DAG.
    migrated.airflow("dags", "reserialize")
    run = migrated.run_dag(path)
    failed = {name for name, state in run.tasks.items() if state != "success"}
    assert failed == {"refused[-1]"}, run.output[-5000:]
    kept = {task_id: run.xcom(task_id, "assets")[0] for task_id in ("deferred", "submitted", "registered")}
    return kept, json.loads(migrated.python("-c", EVENTS).stdout.splitlines()[-1])
