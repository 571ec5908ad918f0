"""A DAG with operators of several families in a real Airflow: templates, mapped tasks, XComs from one to the next."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.sandbox import AirflowSandbox

PIPELINE = """
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_ims.operators.call import ImsCallOperator
from airflow_provider_ims.operators.copyright import (
    ImsSubmitCopyrightExtractJobOperator,
    ImsSubmitCopyrightJobOperator,
)
from airflow_provider_ims.operators.job import ImsSubmitJobOperator
from airflow_provider_ims.operators.processing import ImsSubmitMediaConvertJobOperator
from airflow_provider_ims.operators.trace import ImsSubmitTraceAbJobOperator, ImsSubmitTraceM3u8JobOperator
from airflow_provider_ims.operators.upload import ImsUploadMediaByUrlOperator
from airflow_provider_ims.sensors.job import ImsJobSensor

FILM = "oss://rights/film.mp4"
WAIT = {"wait_for_completion": True, "deferrable": False, "poll_interval": 0.1}
CONFIG = {
    "Inputs": [{"InputFile": {"Type": "OSS", "Media": FILM}}],
    "Outputs": [{"Name": "hd", "OutputFile": {"Type": "OSS", "Media": "oss://rights/hd.mp4"}, "TemplateId": "t"}],
}

with DAG("pipeline", schedule=None, params={"level": 2, "config": CONFIG, "nothing": None}) as dag:
    mark = ImsSubmitCopyrightJobOperator(
        task_id="mark",
        input_media=FILM,
        output_media="oss://rights/{{ dag.dag_id }}.mp4",
        message="licence {{ params.level }}",
        level="{{ params.level }}",
        **WAIT,
    )
    read = ImsSubmitCopyrightExtractJobOperator(task_id="read", input_media=mark.output["output"], **WAIT)
    streams = ImsSubmitTraceAbJobOperator(
        task_id="streams", input_media=FILM, output_media="oss://rights/streams/", deferrable=True, poll_interval=0.1
    )
    playlists = ImsSubmitTraceM3u8JobOperator.partial(
        task_id="playlists",
        trace_media_id=streams.output["trace_media_id"],
        output_media="oss://rights/{{ ti.map_index }}.m3u8",
        **WAIT,
    ).expand(trace=["viewer 1", "viewer 2"])
    streams >> playlists
    upload = ImsUploadMediaByUrlOperator(task_id="upload", upload_urls="https://example.com/a.mp4", **WAIT)
    info = ImsCallOperator(
        task_id="info",
        action="GetMediaInfo",
        action_params={"MediaId": "{{ ti.xcom_pull('upload', key='media_ids')[0] }}"},
        result_path="MediaInfo.MediaBasicInfo.Status",
    )
    upload >> info
    ImsSubmitMediaConvertJobOperator(task_id="convert", config="{{ params.config | tojson }}", **WAIT)
    covers = ImsSubmitJobOperator.partial(task_id="covers", job_type="SnapshotJob").expand(
        job_params=[
            {
                "Input": {"Type": "OSS", "Media": FILM},
                "Output": {"Type": "OSS", "Media": f"oss://rights/{number}.jpg"},
                "TemplateConfig": {"TemplateId": "{{ dag.dag_id }}"},
            }
            for number in range(2)
        ]
    )
    ImsJobSensor.partial(task_id="wait", job_type="SnapshotJob", deferrable=False, poke_interval=0.1).expand(
        job_id=covers.output
    )
    ImsSubmitCopyrightJobOperator(
        task_id="refused",
        input_media=FILM,
        output_media="oss://rights/x.mp4",
        message="{{ params.nothing }}",
        retries=2,
    )
"""


def test_operators_work_together(airflow: AirflowSandbox, ims_emulator: EmulatorProcess) -> None:
    """Jobs of several families follow each other; a template that finds nothing fails its task and sends nothing."""
    ims_emulator.configure(processing_time=0.2)
    ims_emulator.put_media("oss://rights/film.mp4", duration=600)
    run = airflow.run_dag(airflow.add_dag(PIPELINE, "pipeline.py"))
    failed = {name for name, state in run.tasks.items() if state != "success"}
    assert failed == {"refused[-1]"}, run.output[-5000:]
    assert "message is 'None'. Give text; if it is a template" in run.output
    assert len(run.tasks) == 13
    (video,) = run.xcom("mark", "output")
    assert video == {"Type": "OSS", "Media": "oss://rights/pipeline.mp4"}
    assert run.xcom("read", "watermark") == ["licence 2"]
    assert [one["Media"] for one in run.xcom("playlists", "output")] == ["oss://rights/0.m3u8", "oss://rights/1.m3u8"]
    assert run.xcom("info") == ["Normal"]
    assert run.xcom("convert", "outputs")[0]["OutputDetails"][0]["Name"] == "hd"
    assert [one["Count"] for one in run.xcom("wait")] == [1, 1]
    sent = [request for request in ims_emulator.requests() if request["action"] == "SubmitSnapshotJob"]
    templates = [json.loads(request["parameters"]["TemplateConfig"]) for request in sent]
    assert templates == [{"TemplateId": "pipeline"}] * 2
    assert len(ims_emulator.bill()["lines"]) == 9
