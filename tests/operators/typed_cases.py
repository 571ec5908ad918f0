"""The typed operators: arguments of each, and what the service gets, by the vendor's names. Written from its pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.operators.copyright import (
    ImsSubmitCopyrightExtractJobOperator,
    ImsSubmitCopyrightJobOperator,
)
from airflow_provider_ims.operators.dna import ImsSubmitDnaJobOperator
from airflow_provider_ims.operators.processing import (
    ImsSubmitMediaConvertJobOperator,
    ImsSubmitMediaInfoJobOperator,
    ImsSubmitSnapshotJobOperator,
    ImsSubmitTranscodeJobOperator,
)
from airflow_provider_ims.operators.producing import ImsSubmitMediaProducingJobOperator
from airflow_provider_ims.operators.tagging import ImsSubmitSmarttagJobOperator
from airflow_provider_ims.operators.trace import (
    ImsSubmitTraceAbJobOperator,
    ImsSubmitTraceExtractJobOperator,
    ImsSubmitTraceM3u8JobOperator,
)
from airflow_provider_ims.operators.upload import ImsUploadMediaByUrlOperator

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess

FILM = "oss://rights/film.mp4"
STREAMS = "streams"
INPUT = {"Type": "OSS", "Media": FILM}
FILE = "https://rights.oss-cn-shanghai.aliyuncs.com/out.mp4"
URLS = ["https://cdn.example.com/a b.mp4?x=1,2", "http://example.com/b.mp4"]
SCHEDULE = {"PipelineId": "pipe", "Priority": "6"}
TIMELINE = {"VideoTracks": [{"VideoTrackClips": [{"MediaURL": FILE, "In": 0.5}]}]}


@dataclass(frozen=True)
class TypedCase:
    """One row.

    :param kind: the operator
    :param arguments: its arguments, all that go together
    :param parameters: the parameters that the service gets; those that are JSON as values
    :param needed: the arguments without which the service refuses the submission
    :param result: XCom key of the result, a JMESPath expression for a part of it, and the value of this part
    :param form: the parameters in the form body
    :param name: what tells rows of one operator apart
    """

    kind: Any
    arguments: dict[str, Any]
    parameters: dict[str, Any]
    needed: tuple[str, ...]
    result: tuple[str, str, Any]
    form: tuple[str, ...] = ()
    name: str = ""
    has_client_token: bool = False

    def __str__(self) -> str:
        """Name the row in the ids of tests."""
        return f"{self.kind.__name__}{self.name}"

    @property
    def action(self) -> str:
        """The submit action: the name of the vendor's page."""
        name: str = self.kind.__name__.removeprefix("Ims").removesuffix("Operator")
        return {"UploadMediaByUrl": "UploadMediaByURL", "SubmitDnaJob": "SubmitDNAJob"}.get(name, name)

    @property
    def job_type(self) -> str:
        """The name of the family."""
        return self.action.removeprefix("Submit")


def prepare(emulator: EmulatorProcess, *, processing_time: float = 0.0) -> None:
    """Put what the rows name: a marked film and a pair of streams."""
    emulator.configure(processing_time=processing_time)
    emulator.put_media(FILM, duration=600, watermark="(c) Studio", trace="viewer 7")
    emulator.put_media(STREAMS, trace_streams=True)


def producing(name: str, **source: Any) -> TypedCase:
    """Return a row of the operator that produces videos, from one of its three sources."""
    wire = {"timeline": "Timeline", "project_id": "ProjectId", "template_id": "TemplateId", "clips_param": "ClipsParam"}
    return TypedCase(
        ImsSubmitMediaProducingJobOperator,
        {
            "output_media_config": {"MediaURL": FILE},
            "output_media_target": "oss-object",
            "editing_produce_config": {"AutoRegisterInputVodMedia": "false"},
            "media_metadata": {"Title": "trailer"},
            "user_data": {"NotifyAddress": "https://example.com"},
            **source,
        },
        {
            "OutputMediaConfig": {"MediaURL": FILE},
            "OutputMediaTarget": "oss-object",
            "EditingProduceConfig": {"AutoRegisterInputVodMedia": "false"},
            "MediaMetadata": {"Title": "trailer"},
            "UserData": {"NotifyAddress": "https://example.com"},
            **{wire[argument]: value for argument, value in source.items()},
        },
        needed=("output_media_config", *(name for name in ("clips_param",) if name in source)),
        result=("media", "MediaURL", FILE.replace("https://rights.oss-cn-shanghai.aliyuncs.com", "oss://rights")),
        form=("Timeline",) if "timeline" in source else (),
        name=name,
        has_client_token=True,
    )


CASES = [
    TypedCase(
        ImsSubmitCopyrightExtractJobOperator,
        {"input_media": FILM, "algo_type": "v1", "user_data": "case 7", "job_params": {"more": [1, "ü"]}},
        {"Input": INPUT, "Params": {"more": [1, "ü"], "algoType": "v1"}, "UserData": "case 7"},
        needed=("input_media",),
        result=("watermark", "@", "(c) Studio"),
    ),
    TypedCase(
        ImsSubmitCopyrightJobOperator,
        {
            "input_media": FILM,
            "output_media": FILE,
            "message": "(c) 版权 & =",
            "level": 2,
            "start_time": 0,
            "total_time": "60",  # as a template renders it
            "algo_type": "v2",
            "description": "for partners",
            "user_data": {"case": 7},
            "job_params": {"more": True},
        },
        {
            "Input": INPUT,
            "Output": {"Type": "OSS", "Media": FILE},
            "Message": "(c) 版权 & =",
            "Level": 2,
            "StartTime": 0,
            "TotalTime": 60,
            "Params": {"more": True, "algoType": "v2"},
            "Description": "for partners",
            "UserData": {"case": 7},
        },
        needed=("input_media", "output_media", "message"),
        result=("output", "@", {"Type": "OSS", "Media": FILE}),
    ),
    TypedCase(
        ImsSubmitTraceAbJobOperator,
        {
            "input_media": INPUT,
            "output_media": "oss://rights/streams/",
            "level": 1,
            "start_time": 10,
            "total_time": 300,
            "cipher_base64ed": "bm8gc2VjcmV0",
            "user_data": "x",
        },
        {
            "Input": INPUT,
            "Output": {"Type": "OSS", "Media": "oss://rights/streams/"},
            "Level": 1,
            "StartTime": 10,
            "TotalTime": 300,
            "CipherBase64ed": "bm8gc2VjcmV0",
            "UserData": "x",
        },
        needed=("input_media", "output_media"),
        result=("output", "Output", {"Type": "OSS", "Media": "oss://rights/streams/"}),
    ),
    TypedCase(
        ImsSubmitTraceM3u8JobOperator,
        {
            "trace_media_id": STREAMS,
            "trace": "viewer 8",
            "output_media": "oss://rights/viewer-8.m3u8",
            "m3u8_type": "v2",
            "key_uri": "https://keys.example.com",
            "job_params": {"more": 1},
        },
        {
            "TraceMediaId": STREAMS,
            "Trace": "viewer 8",
            "Output": {"Type": "OSS", "Media": "oss://rights/viewer-8.m3u8"},
            "Params": {"more": 1, "m3u8Type": "v2"},
            "KeyUri": "https://keys.example.com",
        },
        needed=("trace_media_id", "trace", "output_media"),
        result=("output", "@", {"Type": "OSS", "Media": "oss://rights/viewer-8.m3u8"}),
    ),
    TypedCase(
        ImsSubmitTraceExtractJobOperator,
        {"input_media": FILM, "m3u8_type": "v1", "user_data": "x", "job_params": {"more": 1}},
        {"Input": INPUT, "Params": {"more": 1, "m3u8Type": "v1"}, "UserData": "x"},
        needed=("input_media",),
        result=("trace", "@", "viewer 7"),
    ),
    TypedCase(
        ImsSubmitMediaInfoJobOperator,
        {"input_media": FILM, "job_name": "look", "schedule_config": SCHEDULE, "user_data": "x"},
        {"Input": INPUT, "Name": "look", "ScheduleConfig": SCHEDULE, "UserData": "x"},
        needed=("input_media",),
        result=("media_info", "FileBasicInfo.FileName", "film.mp4"),
    ),
    TypedCase(
        ImsSubmitMediaConvertJobOperator,
        {
            "config": {
                "Inputs": [{"InputFile": INPUT}],
                "Outputs": [{"Name": "hd", "OutputFile": {"Type": "OSS", "Media": FILE}, "TemplateId": "t"}],
            },
            "pipeline_id": "pipe",
            "user_data": "x",
        },
        {
            "Config": {
                "Inputs": [{"InputFile": INPUT}],
                "Outputs": [{"Name": "hd", "OutputFile": {"Type": "OSS", "Media": FILE}, "TemplateId": "t"}],
            },
            "PipelineId": "pipe",
            "UserData": "x",
        },
        needed=("config",),
        result=("outputs", "OutputDetails[0].Name", "hd"),
        has_client_token=True,
    ),
    TypedCase(
        ImsSubmitTranscodeJobOperator,
        {
            "input_group": [INPUT],
            "output_group": [{"Output": {"Type": "OSS", "Media": FILE}, "ProcessConfig": {"Transcode": {}}}],
            "job_name": "old",
            "schedule_config": {"PipelineId": "pipe"},
            "user_data": "x",
        },
        {
            "InputGroup": [INPUT],
            "OutputGroup": [{"Output": {"Type": "OSS", "Media": FILE}, "ProcessConfig": {"Transcode": {}}}],
            "Name": "old",
            "ScheduleConfig": {"PipelineId": "pipe"},
            "UserData": "x",
        },
        needed=("input_group", "output_group"),
        result=("outputs", "[0].Status", "Success"),
        has_client_token=True,
    ),
    TypedCase(
        ImsSubmitSnapshotJobOperator,
        {
            "input_media": FILM,
            "output_media": "oss://rights/{Count}.jpg",
            "template_config": {"TemplateId": "t", "OverwriteParams": {"Count": 3, "Time": 0}},
            "job_name": "pictures",
            "schedule_config": {"PipelineId": "pipe"},
            "user_data": "x",
        },
        {
            "Input": INPUT,
            "Output": {"Type": "OSS", "Media": "oss://rights/{Count}.jpg"},
            "TemplateConfig": {"TemplateId": "t", "OverwriteParams": {"Count": 3, "Time": 0}},
            "Name": "pictures",
            "ScheduleConfig": {"PipelineId": "pipe"},
            "UserData": "x",
        },
        needed=("input_media", "output_media", "template_config"),
        result=("snapshots", "Count", 1),
    ),
    TypedCase(
        ImsSubmitDnaJobOperator,
        {
            "input_media": FILM,
            "dna_db_id": "library",
            "primary_key": "film-7",
            "config": {"SaveType": "nosave"},
            "template_id": "t",
            "pipeline_id": "pipe",
            "user_data": "x",
        },
        {
            "Input": INPUT,
            "DBId": "library",
            "PrimaryKey": "film-7",
            "Config": {"SaveType": "nosave"},
            "TemplateId": "t",
            "PipelineId": "pipe",
            "UserData": "x",
        },
        needed=("input_media", "dna_db_id", "primary_key"),
        result=("dna_result", "@", "http://bucket.oss-cn-shanghai.aliyuncs.com/dna.json"),
    ),
    producing("-timeline", timeline=TIMELINE),
    producing("-project", project_id="project"),
    producing("-template", template_id="t", clips_param={"Text": "a title"}),
    TypedCase(
        ImsSubmitSmarttagJobOperator,
        {
            "input_media": FILM,
            "template_id": "t",
            "title": "A film",
            "content": "About a film",
            "template_config": {"FaceCategoryIds": "a,b"},
            "schedule_config": SCHEDULE,
            "job_params": {"needAsrData": True},
            "user_data": "x",
        },
        {
            "Input": INPUT,
            "TemplateId": "t",
            "Title": "A film",
            "Content": "About a film",
            "TemplateConfig": {"FaceCategoryIds": "a,b"},
            "ScheduleConfig": SCHEDULE,
            "Params": {"needAsrData": True},
            "UserData": "x",
        },
        needed=("input_media",),
        result=("tags", "[0].Type", "Meta"),
    ),
    TypedCase(
        ImsUploadMediaByUrlOperator,
        {
            "upload_urls": URLS,
            "upload_target_config": {"StorageType": "oss", "StorageLocation": "vod.example.com"},
            "media_metadata": [{"SourceURL": URLS[0], "Title": "a"}],
            "user_data": {"case": 7},
        },
        {
            "UploadURLs": "https%3A%2F%2Fcdn.example.com%2Fa%20b.mp4%3Fx%3D1%2C2,http%3A%2F%2Fexample.com%2Fb.mp4",
            "UploadTargetConfig": {"StorageType": "oss", "StorageLocation": "vod.example.com"},
            "MediaMetaData": [{"SourceURL": URLS[0], "Title": "a"}],
            "UserData": {"case": 7},
        },
        needed=("upload_urls",),
        result=("media_ids", "length(@)", 2),
    ),
]
