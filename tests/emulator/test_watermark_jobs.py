"""Watermarks survive from job to job: what one job embeds, the next one finds, through the official SDK."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_ice20201109 import models as m
from alibabacloud_tea_openapi.exceptions import ClientException

from tests.emulator.test_contract import sdk

if TYPE_CHECKING:
    from alibabacloud_ice20201109.client import Client

    from airflow_provider_ims.emulator.process import EmulatorProcess

FILM = "oss://bucket/film.mp4"
MARKED = "oss://bucket/marked.mp4"
HTTPS_MARKED = "https://bucket.oss-cn-shanghai.aliyuncs.com/marked.mp4"
COPY = "oss://bucket/copy.mp4"
PLAYLIST = "oss://bucket/user-1.m3u8"


class Service:
    """The jobs of these tests, each run to its end."""

    def __init__(self, emulator: EmulatorProcess) -> None:
        self.emulator = emulator
        self.client: Client = sdk(emulator)

    def finish(self) -> None:
        """Let all running jobs end."""
        self.emulator.advance(5)

    def embed(self, source: str = FILM, output: str = MARKED, **options: Any) -> Any:
        """Embed a copyright watermark and return the finished job."""
        request = m.SubmitCopyrightJobRequest(
            input=m.SubmitCopyrightJobRequestInput(type="OSS", media=source),
            output=m.SubmitCopyrightJobRequestOutput(type="OSS", media=output),
            **{"message": "(c) 2024", **options},
        )
        job_id = self.client.submit_copyright_job(request).body.data.job_id
        self.finish()
        (job,) = self.client.query_copyright_job_list(m.QueryCopyrightJobListRequest(job_id=job_id)).body.data
        return job

    def extract(self, media: str = MARKED, **options: Any) -> str | None:
        """Extract a copyright watermark and return its text."""
        kind = "OSS" if "/" in media else "Media"
        request = m.SubmitCopyrightExtractJobRequest(
            input=m.SubmitCopyrightExtractJobRequestInput(type=kind, media=media), **options
        )
        job_id = self.client.submit_copyright_extract_job(request).body.data.job_id
        self.finish()
        body = self.client.query_copyright_extract_job(m.QueryCopyrightExtractJobRequest(job_id=job_id)).body
        text: str | None = body.data.message
        return text

    def make_streams(self, source: str = FILM, output: str = "oss://bucket/streams/") -> str:
        """Submit a job for a pair of streams and return its TraceMediaId."""
        request = m.SubmitTraceAbJobRequest(
            input=m.SubmitTraceAbJobRequestInput(type="OSS", media=source),
            output=m.SubmitTraceAbJobRequestOutput(type="OSS", media=output),
            user_data="mine",
        )
        trace_media_id: str = self.client.submit_trace_ab_job(request).body.data.trace_media_id
        return trace_media_id

    def make_playlist(self, trace_media_id: str | None, trace: str | None = "user 1", **options: Any) -> Any:
        """Make a playlist with a trace watermark and return the finished job."""
        request = m.SubmitTraceM3u8JobRequest(
            output=m.SubmitTraceM3u8JobRequestOutput(type="OSS", media=PLAYLIST),
            trace=trace,
            trace_media_id=trace_media_id,
            **options,
        )
        job_id = self.client.submit_trace_m3u_8job(request).body.data.job_id
        self.finish()
        (job,) = self.client.query_trace_m3u_8job_list(m.QueryTraceM3u8JobListRequest(job_id=job_id)).body.data
        return job

    def extract_trace(self, media: str = PLAYLIST, **options: Any) -> str | None:
        """Extract a trace watermark and return its text."""
        request = m.SubmitTraceExtractJobRequest(
            input=m.SubmitTraceExtractJobRequestInput(type="OSS", media=media), **options
        )
        job_id = self.client.submit_trace_extract_job(request).body.data.job_id
        self.finish()
        body = self.client.query_trace_extract_job(m.QueryTraceExtractJobRequest(job_id=job_id)).body
        text: str | None = body.data.trace
        return text

    def convert(self, source: str, output: str = COPY) -> None:
        """Convert a video."""
        config = {
            "Inputs": [{"InputFile": {"Type": "OSS", "Media": source}}],
            "Outputs": [{"OutputFile": {"Type": "OSS", "Media": output}, "TemplateId": "t"}],
        }
        self.client.submit_media_convert_job(m.SubmitMediaConvertJobRequest(config=json.dumps(config)))
        self.finish()

    def transcode(self, source: str, output: str = COPY) -> None:
        """Transcode a video with the deprecated action."""
        group = m.SubmitTranscodeJobRequestOutputGroup(
            output=m.SubmitTranscodeJobRequestOutputGroupOutput(type="OSS", media=output),
            process_config=m.SubmitTranscodeJobRequestOutputGroupProcessConfig(),
        )
        inputs = [m.SubmitTranscodeJobRequestInputGroup(type="OSS", media=source)]
        self.client.submit_transcode_job(m.SubmitTranscodeJobRequest(input_group=inputs, output_group=[group]))
        self.finish()

    def media(self, name: str) -> dict[str, Any] | None:
        """Return a media object, None if it does not exist."""
        return next((media for media in self.emulator.media() if media["media"] == name), None)


@pytest.fixture
def service(ims_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> Service:
    """Return the service with an unmarked film of ten minutes."""
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    ims_emulator.put_media(FILM, duration=600)
    return Service(ims_emulator)


def test_an_embedded_text_is_extracted(service: Service) -> None:
    """The output of an embedding job has its text, its algorithm and the duration of the input."""
    assert service.extract(FILM) is None
    service.embed(message="(c) 水 2024")

    assert service.extract() == "(c) 水 2024"
    marked = service.media(MARKED)
    assert marked is not None
    assert (marked["duration"], marked["algo_type"]) == (600, "v1")


def test_the_input_of_an_embedding_job_stays_unmarked(service: Service) -> None:
    """Only the output is marked."""
    service.embed()

    assert service.extract(FILM) is None


@pytest.mark.parametrize(
    ("embedded", "extracted", "found"),
    [("v1", "v1", True), ("v2", "v2", True), ("v1", "v2", False), ("v2", "v1", False)],
)
def test_the_algorithm_of_the_extraction_must_match(
    service: Service, embedded: str, extracted: str, *, found: bool
) -> None:
    """Another algorithm than the embedding one finds nothing."""
    service.embed(params=json.dumps({"algoType": embedded}))

    assert (service.extract(params=json.dumps({"algoType": extracted})) is not None) is found


def test_the_output_exists_when_the_job_has_ended(service: Service) -> None:
    """While the embedding job runs there is no output; an extraction that is submitted then finds nothing."""
    service.emulator.configure(processing_time=100)
    job = service.embed()
    assert (job.status, service.media(MARKED)) == ("processing", None)
    service.emulator.configure(processing_time=5)
    assert service.extract() is None

    service.emulator.advance(100)
    assert service.extract() == "(c) 2024"


def test_the_list_has_all_fields_of_an_embedding_job(service: Service) -> None:
    """The finished job has the fields of the vendor's list."""
    job = service.embed(level=2, user_data="mine")

    assert json.loads(job.result) == {"Code": "success", "Message": "ok"}
    assert (job.status, job.message, job.level, job.user_data) == ("success", "(c) 2024", 2, "mine")
    assert (job.input.type, job.input.media, job.output.type, job.output.media) == ("OSS", FILM, "OSS", MARKED)
    assert job.gmt_modified - job.gmt_create in {5, 6}
    assert job.user_id == 1234567890123456


def test_the_list_without_a_job_id_has_all_jobs(service: Service) -> None:
    """Without JobId the list has all embedding jobs, the newest first; Level selects some."""
    ids = [service.embed(level=level).job_id for level in (0, 1, 1)]

    def listed(**options: Any) -> list[str]:
        jobs = service.client.query_copyright_job_list(m.QueryCopyrightJobListRequest(**options)).body.data
        return [job.job_id for job in jobs]

    assert listed() == ids[::-1]
    assert listed(level=1) == [ids[2], ids[1]]


@pytest.mark.parametrize(("algo_type", "status"), [("v1", "fail"), ("v2", "success")])
def test_v1_needs_three_minutes(service: Service, algo_type: str, status: str) -> None:
    """In a video of less than three minutes v1 fails, with a code, and makes no output; v2 succeeds."""
    service.emulator.put_media(FILM, duration=179.9)
    params = json.dumps({"algoType": algo_type})
    job = service.embed(params=params)

    assert job.status == status
    assert (json.loads(job.result)["Code"] == "success") is (status == "success")
    assert (service.extract(params=params) is not None) is (status == "success")


def test_a_video_of_three_minutes_is_long_enough(service: Service) -> None:
    """The limit of v1 is part of the permitted range."""
    service.emulator.put_media(FILM, duration=180)

    assert service.embed().status == "success"


def test_a_missing_input_fails(service: Service) -> None:
    """An embedding job for an object that does not exist is accepted and fails."""
    job = service.embed("oss://bucket/none.mp4")

    assert (job.status, json.loads(job.result)["Code"]) == ("fail", "InvalidParameter.ResourceNotFound")
    assert service.media(MARKED) is None


def test_a_chosen_failure_makes_no_output(service: Service) -> None:
    """A job that put_outcome() lets fail creates no object."""
    service.emulator.put_outcome("CopyrightJob", "failed", error_code="Broken")

    assert json.loads(service.embed().result) == {"Code": "Broken"}
    assert service.media(MARKED) is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"output": "oss://bucket/"}, "InvalidParameter.Output"),
        ({"output": "some-id"}, "InvalidParameter.Output"),
        ({"source": "some-id"}, "InvalidParameter.Input"),
        ({"params": '{"algoType":"v3"}'}, "InvalidParameter.Params"),
        ({"message": ""}, "MissingMessage"),
        ({"user_data": "x" * 1025}, "InvalidParameter.UserData"),
    ],
)
def test_a_bad_embedding_is_refused(service: Service, change: dict[str, Any], code: str) -> None:
    """Parameters in an undocumented form are refused, and make no job."""
    with pytest.raises(ClientException) as refused:
        service.embed(**change)

    assert refused.value.code == code
    assert service.emulator.jobs() == []


def test_the_latest_text_replaces_an_earlier_one(service: Service) -> None:
    """Embedding into a marked video leaves the new text only."""
    service.embed(message="first")
    service.embed(MARKED, COPY, message="second")

    assert (service.extract(), service.extract(COPY)) == ("first", "second")


@pytest.mark.parametrize("method", ["convert", "transcode"])
@pytest.mark.parametrize("survives", [True, False])
def test_a_watermark_survives_transcoding_or_not(service: Service, method: str, *, survives: bool) -> None:
    """Convert and transcode keep the watermarks of a video, unless the media setting says that they do not survive."""
    service.emulator.put_media(FILM, watermark="mark", trace="user 1", duration=240, survives_transcoding=survives)
    getattr(service, method)(FILM)

    copy = service.media(COPY)
    assert copy is not None
    assert copy["duration"] == 240
    assert service.extract(COPY) == ("mark" if survives else None)
    assert service.extract_trace(COPY) == ("user 1" if survives else None)


@pytest.mark.parametrize("method", ["convert", "transcode"])
def test_a_missing_input_has_no_copy(service: Service, method: str) -> None:
    """Convert and transcode of an object that does not exist make no object."""
    getattr(service, method)("oss://bucket/none.mp4")

    assert service.media(COPY) is None


def test_an_output_group_makes_files_in_its_directory(service: Service) -> None:
    """The outputs of a group are objects below its directory, with the watermark, and are listed in the job."""
    service.embed()
    outputs = [{"Name": "hd", "OutputFileName": "hd.mp4"}, {"Name": "sd", "OutputFileName": "sd.mp4"}]
    base = {"Type": "OSS", "Media": "oss://bucket/group"}
    config = {
        "Inputs": [{"InputFile": {"Type": "OSS", "Media": MARKED}}],
        "OutputGroups": [{"GroupConfig": {"Type": "File", "OutputFileBase": base}, "Outputs": outputs}],
    }
    request = m.SubmitMediaConvertJobRequest(config=json.dumps(config))
    job_id = service.client.submit_media_convert_job(request).body.job.job_id
    service.finish()
    (group,) = service.client.get_media_convert_job(
        m.GetMediaConvertJobRequest(job_id=job_id)
    ).body.job.output_group_details

    assert [output.result.output_file.media for output in group.outputs] == [
        "oss://bucket/group/hd.mp4",
        "oss://bucket/group/sd.mp4",
    ]
    assert service.extract("oss://bucket/group/sd.mp4") == "(c) 2024"


def test_a_trace_is_extracted_from_its_playlist(service: Service) -> None:
    """Streams, playlist and extraction: the playlist has the text, and its own only."""
    trace_media_id = service.make_streams()
    service.finish()
    job = service.make_playlist(trace_media_id)

    assert (job.status, job.trace, job.trace_media_id) == ("success", "user 1", trace_media_id)
    assert (job.output.type, job.output.media) == ("OSS", PLAYLIST)
    assert service.extract_trace() == "user 1"
    assert (service.extract_trace(FILM), service.extract()) == (None, None)


def test_two_playlists_of_the_same_streams_have_their_own_text(service: Service) -> None:
    """The text belongs to the playlist, not to the streams."""
    trace_media_id = service.make_streams()
    service.finish()
    service.make_playlist(trace_media_id, "user 1")
    service.convert(PLAYLIST)
    service.make_playlist(trace_media_id, "user 2")

    assert (service.extract_trace(COPY), service.extract_trace()) == ("user 1", "user 2")


def test_streams_are_listed_by_job_and_by_media(service: Service) -> None:
    """The list of stream jobs takes JobId or TraceMediaId."""
    trace_media_id = service.make_streams()
    service.make_streams()
    service.finish()
    request = m.QueryTraceAbJobListRequest(trace_media_id=trace_media_id)
    (job,) = service.client.query_trace_ab_job_list(request).body.data

    assert (job.trace_media_id, job.status, job.user_data) == (trace_media_id, "success", "mine")
    assert job.output.media == "oss://bucket/streams/"
    (same,) = service.client.query_trace_ab_job_list(m.QueryTraceAbJobListRequest(job_id=job.job_id)).body.data
    assert same.trace_media_id == trace_media_id


def test_streams_need_three_minutes(service: Service) -> None:
    """A stream job of a shorter video fails, and its TraceMediaId is then unknown."""
    service.emulator.put_media(FILM, duration=179)
    trace_media_id = service.make_streams()
    service.finish()
    (job,) = service.client.query_trace_ab_job_list(m.QueryTraceAbJobListRequest()).body.data

    assert (job.status, json.loads(job.result)["Code"]) == ("fail", "InvalidParameter.DurationTooShort")
    with pytest.raises(ClientException) as refused:
        service.make_playlist(trace_media_id)
    assert refused.value.code == "InvalidParameter.TraceMediaId"


@pytest.mark.parametrize("trace_media_id", ["unknown", FILM])
def test_a_playlist_of_unknown_streams_is_refused(service: Service, trace_media_id: str) -> None:
    """A TraceMediaId that no stream job has returned is refused, and makes no job."""
    with pytest.raises(ClientException) as refused:
        service.make_playlist(trace_media_id)

    assert refused.value.code == "InvalidParameter.TraceMediaId"
    assert service.emulator.jobs() == []


@pytest.mark.parametrize(("change", "code"), [({"trace": None}, "Trace"), ({"trace_media_id": None}, "TraceMediaId")])
def test_a_playlist_needs_streams_and_a_text(service: Service, change: dict[str, None], code: str) -> None:
    """A playlist without TraceMediaId or Trace is refused, although the SDK does not call them required."""
    with pytest.raises(ClientException) as refused:
        service.make_playlist(**{"trace_media_id": "streams", **change})

    assert refused.value.code == f"Missing{code}"


def test_a_playlist_of_unfinished_streams_fails(service: Service) -> None:
    """A TraceMediaId whose stream job still runs is accepted, and the playlist job fails and makes no object."""
    job = service.make_playlist(service.make_streams())

    assert job.status == "fail"
    assert service.media(PLAYLIST) is None


def test_streams_go_into_a_directory(service: Service) -> None:
    """An output without a slash at the end is refused."""
    with pytest.raises(ClientException) as refused:
        service.make_streams(output="oss://bucket/streams")

    assert refused.value.code == "InvalidParameter.Output"


@pytest.mark.parametrize(("made", "read", "found"), [("v1", "v2", False), ("v2", "v2", True), ("v2", "v1", False)])
def test_the_type_of_the_playlist_must_match(service: Service, made: str, read: str, *, found: bool) -> None:
    """A trace is found in a playlist with its own m3u8Type only."""
    trace_media_id = service.make_streams()
    service.finish()
    service.make_playlist(trace_media_id, params=json.dumps({"m3u8Type": made}))

    assert (service.extract_trace(params=json.dumps({"m3u8Type": read})) is not None) is found


def test_a_trace_in_a_short_video_is_not_found(service: Service) -> None:
    """A trace is found in videos of three minutes or more only."""
    service.emulator.put_media(FILM, trace="user 1", duration=179)
    service.emulator.put_media(COPY, trace="user 1", duration=180)

    assert (service.extract_trace(FILM), service.extract_trace(COPY)) == (None, "user 1")


def test_a_variant_is_for_both_extractions(service: Service) -> None:
    """The query of a trace extraction responds as the variant of its media object says."""
    service.emulator.put_media(FILM, trace="user 1", variant="cancelled")

    assert service.extract_trace(FILM) is None


def test_a_registered_object_is_read_by_its_media_id(service: Service) -> None:
    """Registration returns a MediaId at once that later jobs can read, and that has its information."""
    service.embed()
    media_id = service.client.register_media_info(m.RegisterMediaInfoRequest(input_url=MARKED)).body.media_id
    assert service.extract(media_id) == "(c) 2024"

    basics = service.client.get_media_info(m.GetMediaInfoRequest(media_id=media_id)).body.media_info.media_basic_info
    assert (basics.media_id, basics.status, basics.input_url) == (media_id, "Normal", MARKED)


def register(service: Service, **parameters: Any) -> str:
    """Register the marked video, and return the MediaId."""
    request = m.RegisterMediaInfoRequest(input_url=parameters.pop("input_url", MARKED), **parameters)
    media_id: str = service.client.register_media_info(request).body.media_id
    return media_id


@pytest.mark.parametrize("input_url", [MARKED, HTTPS_MARKED], ids=["oss", "https"])
@pytest.mark.parametrize("options", [{}, {"overwrite": False}], ids=str)
def test_an_object_is_registered_once(service: Service, input_url: str, options: dict[str, Any]) -> None:
    """Without Overwrite, the registration of a registered object is refused, in whichever form its URL is."""
    service.embed()
    media_id = register(service)
    with pytest.raises(ClientException, match="The media with the given inputUrl") as refused:
        register(service, input_url=input_url, **options)
    assert (refused.value.code, refused.value.status_code) == ("MediaAlreadyExist", 409)
    assert service.extract(media_id) == "(c) 2024"


def test_overwrite_replaces_the_asset(service: Service) -> None:
    """With Overwrite, the earlier asset is deleted and a new one is registered."""
    service.embed()
    earlier = register(service)
    media_id = register(service, overwrite=True)
    assert media_id != earlier
    assert service.extract(media_id) == "(c) 2024"
    assert service.extract(earlier) is None
    with pytest.raises(ClientException) as refused:
        service.client.get_media_info(m.GetMediaInfoRequest(media_id=earlier))
    assert refused.value.code == "JobNotFound"


def test_a_repeated_registration_is_the_first_one(service: Service) -> None:
    """The same ClientToken gets the MediaId of the first registration, with Overwrite and without."""
    service.embed()
    media_id = register(service, client_token="a")
    assert register(service, client_token="a") == media_id
    assert register(service, client_token="a", overwrite=True) == media_id
    assert register(service, client_token="b", overwrite=True) != media_id


def test_overwrite_is_true_or_false(call: Any) -> None:
    """Another value of Overwrite is refused."""
    response = call("RegisterMediaInfo", {"InputURL": MARKED, "Overwrite": "yes"})
    assert (response.status, response.body["Code"]) == (400, "InvalidParameter.Overwrite")


def test_an_unregistered_media_id_finds_nothing(service: Service) -> None:
    """The registration of a missing object ends as PrepareFail, and its MediaId names nothing."""
    request = m.RegisterMediaInfoRequest(input_url="oss://bucket/none.mp4")
    media_id = service.client.register_media_info(request).body.media_id
    service.finish()

    info = service.client.get_media_info(m.GetMediaInfoRequest(media_id=media_id)).body.media_info
    assert info.media_basic_info.status == "PrepareFail"
    assert service.extract(media_id) is None


def test_uploaded_media_are_read_by_their_ids(service: Service) -> None:
    """An upload of several URLs makes a job and an asset for each, which later jobs can read when it has ended."""
    service.embed()
    urls = [
        "https%3A%2F%2Fbucket.oss-cn-shanghai.aliyuncs.com%2Fmarked.mp4",
        "https%3A%2F%2Fexample.com%2Fa.mp4",
        "https%3A%2F%2Fbucket.oss-cn-shanghai.aliyuncs.com%2Fnone.mp4",
    ]
    jobs = service.client.upload_media_by_url(m.UploadMediaByURLRequest(upload_urls=",".join(urls))).body.upload_jobs
    assert [job.source_url for job in jobs][1] == "https://example.com/a.mp4"
    assert service.media(jobs[0].media_id) is None
    service.finish()

    assert service.extract(jobs[0].media_id) == "(c) 2024"
    assert service.media(jobs[1].media_id) is not None
    assert service.media(jobs[2].media_id) is None
    ids = f"{jobs[2].job_id},unknown,{jobs[0].job_id}"
    body = service.client.get_url_upload_infos(m.GetUrlUploadInfosRequest(job_ids=ids)).body.to_map()
    assert [job["Status"] for job in body["URLUploadInfoList"]] == ["UploadFail", "Normal"]
    assert body["NonExists"] == ["unknown"]
    assert service.emulator.bill()["jobs"] == 5


def test_uploads_are_found_by_their_url(service: Service) -> None:
    """The query of uploads takes JobIds or UploadURLs, and needs one of them."""
    service.client.upload_media_by_url(m.UploadMediaByURLRequest(upload_urls="https://example.com/a.mp4"))
    request = m.GetUrlUploadInfosRequest(upload_urls="https://example.com/a.mp4")
    assert len(service.client.get_url_upload_infos(request).body.to_map()["URLUploadInfoList"]) == 1

    with pytest.raises(ClientException) as refused:
        service.client.get_url_upload_infos(m.GetUrlUploadInfosRequest())
    assert refused.value.code == "MissingJobIds"


def test_a_produced_video_can_be_marked(service: Service) -> None:
    """The output of an editing job is an object, and an asset with its MediaId, that later jobs can read."""
    config = json.dumps({"MediaURL": "https://bucket.oss-cn-shanghai.aliyuncs.com/cut.mp4"})
    request = m.SubmitMediaProducingJobRequest(output_media_config=config, timeline="{}")
    media_id = service.client.submit_media_producing_job(request).body.media_id
    service.finish()

    assert service.media(media_id) is not None
    assert service.embed("oss://bucket/cut.mp4").status == "success"


def test_a_batch_has_a_part_for_each_video(service: Service) -> None:
    """A batch job has as many parts as its output configuration says, each with an object of its own."""
    url = "https://bucket.oss-cn-shanghai.aliyuncs.com/cut-{index}.mp4"
    config = json.dumps({"MediaURL": url, "Count": 3})
    request = m.SubmitBatchMediaProducingJobRequest(output_config=config)
    job_id = service.client.submit_batch_media_producing_job(request).body.job_id
    service.finish()
    query = m.GetBatchMediaProducingJobRequest(job_id=job_id)
    parts = service.client.get_batch_media_producing_job(query).body.editing_batch_job.sub_job_list

    assert [part.media_url for part in parts] == [url.replace("{index}", str(index)) for index in range(3)]
    assert service.media("oss://bucket/cut-2.mp4") is not None


def test_a_finished_batch_can_have_failed_parts(service: Service) -> None:
    """With put_outcome() a batch job is Finished although its parts have failed."""
    failed = {"JobId": "1", "Status": "Failed", "ErrorCode": "NoAudio", "ErrorMessage": "There is no audio."}
    service.emulator.put_outcome("BatchMediaProducingJob", parts=[failed])
    job_id = service.client.submit_batch_media_producing_job(m.SubmitBatchMediaProducingJobRequest()).body.job_id
    service.finish()
    query = m.GetBatchMediaProducingJobRequest(job_id=job_id)
    job = service.client.get_batch_media_producing_job(query).body.editing_batch_job

    assert (job.status, [part.to_map() for part in job.sub_job_list]) == ("Finished", [failed])
