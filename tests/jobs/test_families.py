"""What each family's responses mean, state by state, through the reader of responses and the rules of a wait."""

from __future__ import annotations

import copy
import json
import logging
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_provider_ims.exceptions import ImsConfigurationError, ImsJobCancelledError, ImsJobFailedError
from airflow_provider_ims.jobs.catalog import JOB_TYPES, check_region, find_job_type, query_action
from airflow_provider_ims.jobs.outcome import JobOutcome, OutcomeKind, finish
from airflow_provider_ims.jobs.parameters import user_data_text
from airflow_provider_ims.jobs.polling import JobWait
from airflow_provider_ims.jobs.response import read_snapshot, read_submission
from airflow_provider_ims.jobs.types import JobSnapshot, JobState

# ---- the table, from the vendor's pages

STATE, CODE, MESSAGE, ERROR, ERRORS = "<state>", "<code>", "<message>", "<JSON>", "<JSON, other names>"
"""Stand for the state and, in failures only, for the texts of an error and for JSON texts that hold both."""

MEDIA = {"Type": "OSS", "Media": "oss://bucket/out.mp4"}
FILE = "https://bucket.oss-cn-shanghai.aliyuncs.com/out.mp4"


@dataclass(frozen=True)
class Row:
    """What a family's query returns, and what it means.

    :param response: the response, with placeholders
    :param result: the result of a success
    :param success: states of a success
    :param failure: states of a failure
    :param running: states of a job that goes on
    :param cancelled: states of a cancelled job
    :param has_code: whether the response of a failure has a code
    :param has_message: whether it has a text
    """

    response: dict[str, Any]
    result: Any
    success: tuple[str, ...] = ("Success",)
    failure: tuple[str, ...] = ("Fail",)
    running: tuple[str, ...] = ("Init",)
    cancelled: tuple[str, ...] = ()
    has_code: bool = True
    has_message: bool = True


def job(name: str, **fields: Any) -> dict[str, Any]:
    """Return a response with one object, which has the state and the error."""
    return {name: {"JobId": "J", "Status": STATE, "Code": CODE, "Message": MESSAGE, **fields}, "RequestId": "R"}


def smart() -> Row:
    """Return the row of the families that GetSmartHandleJob queries."""
    result = {"JobResult": {"AiResult": "[]", "MediaId": "M", "MediaUrl": FILE}, "Output": "text"}
    response = {"JobId": "J", "State": STATE, "ErrorCode": CODE, "ErrorMessage": MESSAGE, **result, "RequestId": "R"}
    return Row(response, result, ("Finished",), ("Failed",), ("Created", "Executing"))


SUB_JOBS = [
    {"JobId": "1", "Status": "Success", "MediaId": "M", "MediaURL": FILE, "ProjectId": "P"},
    {"JobId": "2", "Status": "Success", "MediaId": "N", "MediaURL": FILE, "ProjectId": "Q"},
]


def batch(result: Any) -> Row:
    """Return the row of the families that GetBatchMediaProducingJob queries."""
    fields = {"JobId": "J", "Status": STATE, "Extend": ERRORS, "ExtendOutput": '{"textMatch": []}'}
    response = {"EditingBatchJob": {**fields, "SubJobList": SUB_JOBS}, "RequestId": "R"}
    return Row(response, result, ("Finished",), ("Failed",), ("Init", "Processing"))


def voice() -> Row:
    """Return the row of the trainings of voices."""
    fields = {"JobId": "J", "Status": STATE, "Message": MESSAGE, "VoiceId": "V"}
    response = {"Data": {"CustomizedVoiceJob": fields}, "Success": True, "RequestId": "R"}
    running = ("Initialization", "AudioDetecting", "PreTraining", "Training")
    return Row(response, "V", running=running, has_code=False)


def embed(result: Any, **fields: Any) -> Row:
    """Return the row of the families that embed a watermark."""
    response = {
        "Data": [{"JobId": "J", "Status": STATE, "Result": ERROR, **fields}],
        "Message": "ok",
        "RequestId": "R",
        "StatusCode": 200,
    }
    # The vendor documents the example success; the other states are assumed.
    return Row(response, result, ("success",), ("fail", "failed"), ("processing", "running"))


def upload(result: Any) -> Row:
    """Return the row of the uploads."""
    fields = {"JobId": "J", "Status": STATE, "ErrorCode": CODE, "ErrorMessage": MESSAGE, "MediaId": "M"}
    # The vendor documents the example Normal; the other states are assumed.
    return Row({"URLUploadInfoList": [fields], "NonExists": [], "RequestId": "R"}, result, ("Normal",))


OUTPUTS = [{"Status": "Success", "Name": "a"}, {"Status": "Skipped", "Name": "b"}]
GROUPS = [{"Status": "Success", "Name": "g", "Outputs": [{"Status": "Success", "Name": "c"}]}]
TRANSCODED = [{"JobId": "1", "Status": "Success", "Output": MEDIA}]
ENDPOINTS = [{"ConfigurationName": "hls", "Status": STATE, "Url": "https://play/1"}]
CENSORED = {"Suggestion": "pass", "VensorCensorResult": {"NextPageToken": "", "CensorResults": None}}
PRODUCED = {"MediaId": "M", "MediaURL": FILE, "VodMediaId": None}

FAMILIES: dict[str, Row] = {
    "CopyrightJob": embed(MEDIA, Output=MEDIA, Message="(c) Studio"),
    "TraceAbJob": embed({"TraceMediaId": "T", "Output": MEDIA}, Output=MEDIA, TraceMediaId="T"),
    "TraceM3u8Job": Row(
        {"Data": [{"JobId": "J", "Status": STATE, "Output": MEDIA, "Trace": "t"}], "Message": "ok", "RequestId": "R"},
        MEDIA,
        ("success",),
        ("fail", "failed"),
        ("processing", "running"),
        has_code=False,
        has_message=False,
    ),
    "MediaConvertJob": Row(
        {
            "Job": {
                "JobId": "J",
                "State": STATE,
                "Code": CODE,
                "Message": MESSAGE,
                "OutputDetails": OUTPUTS,
                "OutputGroupDetails": GROUPS,
            },
            "RequestId": "R",
        },
        {"OutputDetails": OUTPUTS, "OutputGroupDetails": GROUPS},
        ("Complete", "Success"),
        ("Error", "Failed"),
        ("Inited", "Running"),
        ("Cancelled",),
    ),
    "TranscodeJob": Row(
        {"TranscodeParentJob": {"ParentJobId": "J", "Status": STATE, "TranscodeJobList": TRANSCODED}, "RequestId": "R"},
        TRANSCODED,
        running=("Init", "Processing"),
        has_code=False,
        has_message=False,
    ),
    "SnapshotJob": Row(job("SnapshotJob", Count=2, Output=MEDIA, Type="Normal"), {"Count": 2, "Output": MEDIA}),
    "DynamicImageJob": Row(job("DynamicImageJob", OutputUrl=FILE), FILE),
    "MediaInfoJob": Row(
        {"MediaInfoJob": {"JobId": "J", "Status": STATE, "MediaInfoProperty": {"FileBasicInfo": {}}}, "RequestId": "R"},
        {"FileBasicInfo": {}},
        has_code=False,
        has_message=False,
    ),
    "PackageJob": Row(job("PackageJob", OutputUrl=FILE), FILE),
    "VodPackagingAsset": Row(
        {"Asset": {"AssetName": "J", "EgressEndpoints": ENDPOINTS}, "RequestId": "R"},
        [{"ConfigurationName": "hls", "Url": "https://play/1"}],
        ("Playable",),
        ("Failed",),
        ("Queuing",),
        has_code=False,
        has_message=False,
    ),
    "UploadMediaByURL": upload(["M"]),
    "UploadStreamByURL": upload("M"),
    "MediaIndexJob": Row(
        {
            "Code": "200",
            "Success": "true",
            "IndexJobInfoList": [{"IndexType": "mm", "Status": STATE}],
            "RequestId": "R",
        },
        [{"IndexType": "mm", "Status": STATE}],
        running=("Running",),
        has_code=False,
        has_message=False,
    ),
    "WorkflowTask": Row(
        {"WorkflowTask": {"TaskId": "J", "Status": STATE, "ActivityResults": "{}"}, "RequestId": "R"},
        "{}",
        ("Succeed",),
        ("Failed",),
        ("Init", "Processing"),
        ("Canceled",),
        has_code=False,
        has_message=False,
    ),
    "AIWorkflowTask": Row(
        {"WorkflowTask": {"TaskId": "J", "Status": STATE, "Outputs": '{"result":"test"}'}, "RequestId": "R"},
        '{"result":"test"}',
        ("succeeded",),
        ("failed", "partial-succeeded"),
        ("running",),
        ("stopped",),
        has_code=False,
        has_message=False,
    ),
    "MediaProducingJob": Row(
        job("MediaProducingJob", MediaId="M", MediaURL=FILE),
        PRODUCED,
        failure=("Failed",),
        running=("Init", "Queuing", "Processing"),
    ),
    "BatchMediaProducingJob": batch(SUB_JOBS),
    "SceneBatchEditingJob": batch(SUB_JOBS),
    "SceneMediaSelectionJob": batch('{"textMatch": []}'),
    "SceneTimelineOrganizationJob": batch(["P", "Q"]),
    "ScreenMediaHighlightsJob": batch(SUB_JOBS),
    "SportsHighlightsJob": batch(SUB_JOBS),
    "ProjectExportJob": Row(
        job("ProjectExportJob", ExportResult={"ProjectUrl": FILE}),
        {"ProjectUrl": FILE},
        failure=("Failed",),
        running=("Init", "Processing"),
    ),
    "LiveEditingJob": Row(
        job("LiveEditingJob", MediaId="M", MediaURL=FILE),
        {"MediaId": "M", "MediaURL": FILE},
        failure=("Failed",),
        running=("Init", "Queuing", "Processing"),
    ),
    "YikeAIAppJob": Row(
        {"JobId": "J", "Status": STATE, "Result": {"ImageResult": []}, "RequestId": "R"},
        {"ImageResult": []},
        ("Finished",),
        ("Failed",),
        ("Created", "Queuing", "Executing"),
        has_code=False,
        has_message=False,
    ),
    "YikeStoryboardJob": Row(
        {"JobId": "J", "JobStatus": STATE, "JobResult": {"OutputUrl": FILE}, "RequestId": "R"},
        {"OutputUrl": FILE},
        ("Succeeded",),
        ("Failed",),
        ("Running", "Suspended"),
        has_code=False,
        has_message=False,
    ),
    "ASRJob": smart(),
    "AudioProduceJob": smart(),
    "TextGenerateJob": smart(),
    "DynamicChartJob": smart(),
    "AvatarVideoJob": smart(),
    "HighlightExtractionJob": smart(),
    "SegmentationJob": smart(),
    "VideoTranslationJob": smart(),
    "IProductionJob": Row(
        {"JobId": "J", "Status": STATE, "Result": "{}", "OutputFiles": ["f"], "OutputUrls": [FILE], "RequestId": "R"},
        {"Result": "{}", "OutputFiles": ["f"], "OutputMediaIds": None, "OutputUrls": [FILE]},
        running=("Queuing", "Analyzing", "Init", "Analysing", "Processing"),
        has_code=False,
        has_message=False,
    ),
    "SmarttagJob": Row(
        {"JobStatus": STATE, "Results": {"Result": [{"Type": "TextLabel", "Data": "{}"}]}, "RequestId": "R"},
        [{"Type": "TextLabel", "Data": "{}"}],
        running=("Submitted", "Processing"),
        has_code=False,
        has_message=False,
    ),
    "DNAJob": Row(
        {
            "JobList": [{"Id": "J", "Status": STATE, "Code": CODE, "Message": MESSAGE, "DNAResult": FILE}],
            "RequestId": "R",
        },
        FILE,
        running=("Queuing", "Analysing"),
    ),
    "MediaCensorJob": Row(
        {"MediaCensorJobDetail": {"State": STATE, "Code": CODE, "Message": MESSAGE, **CENSORED}, "RequestId": "R"},
        CENSORED,
        running=("Queuing", "Analysing"),
    ),
    "VideoCognitionJob": Row(
        {"JobStatus": STATE, "Results": {"result": [{"Type": "a", "Data": "{}"}]}, "RequestId": "R"},
        [{"Type": "a", "Data": "{}"}],
        running=("Submitted", "Processing"),
        has_code=False,
        has_message=False,
    ),
    "AvatarTrainingJob": Row(
        {
            "Data": {"AvatarTrainingJob": {"Status": STATE, "Message": MESSAGE, "AvatarId": "A"}},
            "Success": True,
            "RequestId": "R",
        },
        "A",
        running=("Init", "Queuing", "Training"),
        has_code=False,
    ),
    "CustomizedVoiceJob": voice(),
    "StandardCustomizedVoiceJob": voice(),
    "CosyVoiceCustomizedVoiceJob": voice(),
}
STATELESS = {"CopyrightExtractJob": "Message", "TraceExtractJob": "Trace"}
"""The field of the text."""
WITHOUT_QUERY = {"MediaAiAnalysisJob", "AIAgentVideoAuditTask"}


def test_table_has_each_family() -> None:
    """Each family of the catalog is in the tables of this module."""
    assert {*FAMILIES, *STATELESS, *WITHOUT_QUERY} == JOB_TYPES.keys()


# ---- how a response is read


def response_of(template: Any, state: str, *, failed: bool = False) -> Any:
    """Return a response in a state; only that of a failure has the texts of an error."""
    texts = {
        STATE: state,
        CODE: "InvalidParameter.Url",
        MESSAGE: "No such file.",
        ERROR: json.dumps({"Code": "InvalidParameter.Url", "Message": "No such file."}),
        ERRORS: json.dumps({"ErrorCode": "InvalidParameter.Url", "ErrorMessage": "No such file."}),
    }
    match template:
        case dict():
            return {
                name: response_of(one, state, failed=failed)
                for name, one in template.items()
                if failed or one is STATE or not isinstance(one, str) or one not in texts
            }
        case list():
            return [response_of(one, state, failed=failed) for one in template]
        case str():
            return texts.get(template, template)
        case _:
            return template


def poll(name: str, response: dict[str, Any]) -> tuple[JobSnapshot, JobOutcome | None, list[str]]:
    """Return what the response to the first poll says, how it ends the wait, and the warnings."""
    warnings: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                warnings.append(record.getMessage())

    log = logging.Logger(name)  # noqa: LOG001 - of this poll only
    log.addHandler(Handler())
    wait = JobWait(find_job_type(name), "J", since=0.0, deadline=1e9, log=log)
    snapshot = read_snapshot(wait.job_type, "J", response)
    return snapshot, wait.on_response(snapshot, 1.0), warnings


def in_odd_cases(state: str) -> tuple[str, ...]:
    """Return a state in several spellings."""
    return state, state.upper(), state.lower(), state.swapcase(), f" {state}\n"


STATES = [
    pytest.param(name, kind, state, id=f"{name}-{kind}-{state}")
    for name, row in FAMILIES.items()
    for kind in ("success", "failure", "running", "cancelled")
    for state in getattr(row, kind)
]


@pytest.mark.parametrize(("name", "kind", "state"), STATES)
def test_state_ends_the_wait_as_documented(name: str, kind: str, state: str) -> None:
    """Each state of each family, in any case, ends the wait with its result or error, or is known to go on."""
    row, job_type = FAMILIES[name], find_job_type(name)
    for text in in_odd_cases(state):
        response = response_of(row.response, text, failed=kind == "failure")
        before = copy.deepcopy(response)
        snapshot, outcome, warnings = poll(name, response)
        assert snapshot.service_state == text.strip()
        assert (snapshot.is_known_state, snapshot.is_unexplained, warnings) == (True, False, [])
        assert response == before
        match kind:
            case "success":
                assert outcome is not None
                assert finish(outcome, job_type) == response_of(row.result, text)
            case "running":
                assert (snapshot.state, outcome) == (JobState.RUNNING, None)
            case "cancelled":
                assert outcome is not None
                with pytest.raises(ImsJobCancelledError, match=r"was cancelled \(state '"):
                    finish(outcome, job_type)
            case "failure":
                assert outcome is not None
                assert outcome.is_failure_of_the_job
                code = ", code InvalidParameter.Url" if row.has_code else ""
                message = ", message 'No such file.'" if row.has_message else ""
                with pytest.raises(ImsJobFailedError) as error:
                    finish(outcome, job_type)
                assert f"{name} J failed (state {text.strip()!r}{code}{message}" in str(error.value)


@pytest.mark.parametrize("name", FAMILIES)
def test_state_that_is_not_known_goes_on_with_a_warning(name: str) -> None:
    """A state that no page of the family has counts as running, and the log names it."""
    snapshot, outcome, warnings = poll(name, response_of(FAMILIES[name].response, "Pondering"))
    assert (snapshot.state, outcome) == (JobState.RUNNING, None)
    assert [text for text in warnings if "the state 'Pondering', which is not known" in text] == warnings != []


def without_state(template: Any) -> Any:
    """Return a template without state: lists are empty, and objects lack the field."""
    match template:
        case dict():
            return {name: without_state(one) for name, one in template.items() if one is not STATE}
        case list():
            return []
        case _:
            return template


@pytest.mark.parametrize("name", FAMILIES)
def test_response_without_a_state_says_nothing(name: str) -> None:
    """An empty list of jobs, a missing object and a missing state neither end the wait nor are worth a warning."""
    for response in ({"RequestId": "R"}, response_of(without_state(FAMILIES[name].response), "")):
        snapshot, outcome, warnings = poll(name, response)
        assert (snapshot.state, snapshot.service_state, outcome, warnings) == (JobState.RUNNING, None, None, [])
        assert snapshot.is_empty


# ---- parts

PARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "MediaConvertJob": ("Failed", {"Job": {"State": "Complete", "OutputDetails": OUTPUTS}}),
    "TranscodeJob": ("Fail", {"TranscodeParentJob": {"Status": "Success", "TranscodeJobList": TRANSCODED}}),
    "VodPackagingAsset": ("Failed", {"Asset": {"EgressEndpoints": [{"Status": "Playable"}]}}),
    "UploadMediaByURL": ("Fail", {"URLUploadInfoList": [{"Status": "Normal"}]}),
    "MediaIndexJob": ("Fail", {"IndexJobInfoList": [{"IndexType": "mm", "Status": "Success"}]}),
    **{
        name: ("Failed", {"EditingBatchJob": {"Status": "Finished", "SubJobList": SUB_JOBS}})
        for name, row in FAMILIES.items()
        if "EditingBatchJob" in row.response
    },
}
"""A finished job without failed parts, and the state of a failed part."""


def with_part(response: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return a response whose list of parts has one more."""
    changed = copy.deepcopy(response)
    (fields,) = changed.values()
    parts = fields if isinstance(fields, list) else next(one for one in fields.values() if isinstance(one, list))
    parts.append(part)
    return changed


def test_each_family_with_parts_is_tested() -> None:
    """The families that have parts are those of the table."""
    assert PARTS.keys() == {name for name, job_type in JOB_TYPES.items() if job_type.parts_path}


@pytest.mark.parametrize("name", PARTS)
def test_failed_part_fails_a_finished_job(name: str) -> None:
    """A job that says that it finished has failed if one of its parts has, and the error shows that part."""
    failed, response = PARTS[name]
    _, outcome, _ = poll(name, response)
    assert outcome is not None
    assert outcome.kind is OutcomeKind.SUCCEEDED
    for state in in_odd_cases(failed):
        snapshot, outcome, _ = poll(name, with_part(response, {"Status": state, "ErrorMessage": "no such clip"}))
        assert outcome is not None
        assert outcome.is_failure_of_the_job
        assert len(snapshot.failed_parts) == 1
        with pytest.raises(ImsJobFailedError, match=rf"1 of {snapshot.parts} parts failed\).*no such clip"):
            finish(outcome, find_job_type(name))


@pytest.mark.parametrize("name", PARTS)
def test_part_that_has_not_ended_keeps_the_job_running(name: str) -> None:
    """A job that says that it finished goes on while one of its parts does."""
    for part, is_known in (({"Status": "Processing"}, True), ({"Status": "Pondering"}, False), ({}, True)):
        snapshot, outcome, _ = poll(name, with_part(PARTS[name][1], part))
        assert (outcome, snapshot.is_known_state) == (None, is_known)


@pytest.mark.parametrize("group", [False, True])
def test_failed_output_in_a_group_fails_the_job(group: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A job of media conversion has failed if an output group, or an output in a group, has."""
    states = ("Failed", "Success") if group else ("Success", "Failed")
    details = [{"Status": states[0], "Outputs": [{"Status": "Success"}, {"Status": states[1]}]}]
    snapshot, _, _ = poll("MediaConvertJob", {"Job": {"State": "Complete", "OutputGroupDetails": details}})
    assert (snapshot.state, len(snapshot.failed_parts), snapshot.parts) == (JobState.FAILED, 1, 3)


def test_deleted_part_is_not_a_success() -> None:
    """A transcoding whose part was deleted has failed."""
    response = with_part(PARTS["TranscodeJob"][1], {"Status": "Deleted"})
    assert poll("TranscodeJob", response)[0].state is JobState.FAILED


def test_failed_job_shows_its_failed_parts() -> None:
    """The error of a failed job names the parts that failed: some families explain a failure nowhere else."""
    response = {"TranscodeParentJob": {"Status": "Fail", "TranscodeJobList": [{"Status": "Fail", "JobId": "7"}]}}
    _, outcome, _ = poll("TranscodeJob", response)
    assert outcome is not None
    with pytest.raises(ImsJobFailedError, match=r'1 of 1 parts failed\).*Failed parts: {"Status":"Fail","JobId":"7"}'):
        finish(outcome, find_job_type("TranscodeJob"))


# ---- families of their own kind


@pytest.mark.parametrize(
    ("result", "code", "message"),
    [
        ('{"Code":"NoVideo","Message":"no stream"}', "NoVideo", "no stream"),
        ('{"Code":"success","Message":"ok"}', None, None),
        ("not JSON", "500", "busy"),
        ("[]", "500", "busy"),
        (None, "500", "busy"),
        (7, "500", "busy"),
    ],
)
@pytest.mark.parametrize("name", ["CopyrightJob", "TraceAbJob"])
def test_error_of_an_embedding_is_in_a_json_text(name: str, result: object, code: str, message: str) -> None:
    """Code and text come from the JSON text of the job or, without one, from the response."""
    response = {"Data": [{"Status": "fail", "Result": result}], "StatusCode": 500, "Message": "busy"}
    snapshot, _, _ = poll(name, response)
    assert (snapshot.state, snapshot.code, snapshot.message) == (JobState.FAILED, code, message)


@pytest.mark.parametrize("name", STATELESS)
def test_text_is_the_only_sign_of_success_of_an_extraction(name: str) -> None:
    """An extraction has succeeded if there is a text; its result is that text."""
    field = STATELESS[name]
    _, outcome, _ = poll(name, {"Data": {field: "text\n"}, "Message": "ok", "RequestId": "R"})
    assert outcome is not None
    assert finish(outcome, find_job_type(name)) == "text"
    assert poll(name, {"Data": {}, "Message": "ok", "RequestId": "R"})[0].is_empty
    assert poll(name, {"Data": {"Status": "Fail"}, "RequestId": "R"})[0].state is JobState.FAILED
    assert find_job_type(name).empty_result_option == "no_watermark_after"


def test_uploads_of_one_submission_are_one_job() -> None:
    """The ids of all uploads are the id of the job, as the query takes them; a missing one keeps the job running."""
    job_type = find_job_type("UploadMediaByURL")
    submission = read_submission(job_type, {"UploadJobs": [{"JobId": "A"}, {"JobId": "B"}], "RequestId": "R"})
    assert submission is not None
    assert submission.job_id == "A,B"
    found = {"URLUploadInfoList": [{"JobId": "A", "Status": "Normal"}], "NonExists": ["B"]}
    assert poll("UploadMediaByURL", found)[0].state is JobState.RUNNING
    unknown: list[dict[str, Any]] = [{}, {"UploadJobs": []}, {"UploadJobs": [{"JobId": 5}]}, {"UploadJobs": "text"}]
    assert [read_submission(job_type, response) for response in unknown] == [None] * 4


@pytest.mark.parametrize("name", sorted(WITHOUT_QUERY))
def test_family_without_a_query_is_not_waited_for(name: str) -> None:
    """A family whose results arrive by callback only is refused by name if one wants to wait."""
    with pytest.raises(ImsConfigurationError, match=f"no action that queries a {name}: such jobs can be submitted"):
        query_action(find_job_type(name))


def test_code_of_success_beside_a_success_is_no_error() -> None:
    """Codes such as Success and 200, which some queries send with a success, are not shown as errors."""
    produced = {"MediaProducingJob": {"Status": "Success", "Code": "Success", "MediaURL": FILE}}
    assert poll("MediaProducingJob", produced)[0].code is None
    uploaded = {"URLUploadInfoList": [{"Status": "Normal", "ErrorCode": "200", "ErrorMessage": "Success"}]}
    assert poll("UploadStreamByURL", uploaded)[0].code is None


@pytest.mark.parametrize(
    ("name", "regions"),
    [
        *((name, {"cn-shanghai", "cn-beijing"}) for name in STATELESS),
        *((name, {"cn-shanghai", "cn-beijing"}) for name in ("CopyrightJob", "TraceAbJob", "TraceM3u8Job")),
        *((name, {"cn-shanghai", "cn-beijing", "cn-hangzhou"}) for name in ("DNAJob", "SmarttagJob")),
        *((name, {"cn-shanghai", "cn-beijing", "cn-shenzhen"}) for name in ("UploadMediaByURL", "UploadStreamByURL")),
        ("DynamicChartJob", {"cn-shanghai"}),
    ],
)
def test_regions_are_those_that_the_vendor_documents(name: str, regions: set[str]) -> None:
    """A family of some regions is refused elsewhere; all other families are accepted everywhere."""
    assert find_job_type(name).regions == frozenset(regions)
    with pytest.raises(ImsConfigurationError, match=f"{name} is not offered in the region 'ap-southeast-1'. Use "):
        check_region(find_job_type(name), "ap-southeast-1")
    assert sum(job_type.regions is not None for job_type in JOB_TYPES.values()) == 10


def test_jobs_with_a_cancel_action() -> None:
    """Three families can be cancelled; to delete a job cancels nothing."""
    assert {name: job_type.cancel_action for name, job_type in JOB_TYPES.items() if job_type.cancel_action} == {
        "IProductionJob": "CancelIProductionJob",
        "DNAJob": "CancelDNAJob",
        "AIWorkflowTask": "StopAIWorkflowTask",
    }


def test_limit_of_user_data_may_be_in_characters() -> None:
    """A limit in characters counts each character once, whatever its bytes are."""
    job_type = find_job_type("IProductionJob")
    limit, unit = job_type.user_data_limit, job_type.user_data_unit
    assert user_data_text("夜" * 256, limit=limit, unit=unit) == "夜" * 256
    with pytest.raises(ImsConfigurationError, match=r"user_data has 257 characters\. IMS takes at most 256"):
        user_data_text("x" * 257, limit=limit, unit=unit)


# ---- names


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SubmitSnapshotJob", "Do you mean SnapshotJob?"),
        ("snapshotjob", "Do you mean SnapshotJob?"),
        ("Snapshot", "Do you mean SnapshotJob?"),
        ("SnapshotJbo", "Do you mean SnapshotJob"),
        ("startworkflow", "Do you mean WorkflowTask?"),
        ("Extract", "Do you mean CopyrightExtractJob, TraceExtractJob or HighlightExtractionJob?"),
        ("xyz", "Give the name of one of the 47 families, such as CopyrightExtractJob."),
        (None, "Give the name of one of the 47 families, such as CopyrightExtractJob."),
        (5, "Give the name of one of the 47 families, such as CopyrightExtractJob."),
        ("", "Give the name of one of the 47 families, such as CopyrightExtractJob."),
    ],
)
def test_unknown_name_is_refused_with_the_nearest(name: Any, hint: str) -> None:
    """The error about an unknown job type names those that are spelt alike, in any case, or have that submit action."""
    with pytest.raises(ImsConfigurationError) as error:
        find_job_type(name)
    assert f"Unknown job type {name!r}. {hint}" in str(error.value)
    assert len(str(error.value)) < 200
