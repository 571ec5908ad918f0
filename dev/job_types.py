"""Write `docs/job-types.md` from the catalog of job families: `python -m dev.job_types`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_ims.jobs.ai_jobs import AI_JOBS
from airflow_provider_ims.jobs.editing_jobs import EDITING_JOBS
from airflow_provider_ims.jobs.processing_jobs import PROCESSING_JOBS
from airflow_provider_ims.jobs.types import ResultKind
from airflow_provider_ims.jobs.watermark_jobs import WATERMARK_JOBS
from dev.console import echo

if TYPE_CHECKING:
    from airflow_provider_ims.jobs.types import JobType

PAGE = Path(__file__).parent.parent / "docs" / "job-types.md"

GROUPS = {
    "Watermarks": WATERMARK_JOBS,
    "Processing, upload, workflows": PROCESSING_JOBS,
    "Editing": EDITING_JOBS,
    "Analysis, generation, training": AI_JOBS,
}

HEAD = """\
# Job types

<!-- `python -m dev.job_types` writes this page from airflow_provider_ims/jobs/. Do not edit it by hand. -->

These are the job families of IMS that run to an end. `ImsSubmitJobOperator`, `ImsJobSensor`, `ImsHook.submit`,
`ImsHook.query` and `ImsHook.wait` take the name of each:

```python
cover = ImsSubmitJobOperator(
    task_id="cover",
    job_type="DynamicImageJob",
    job_params={"Input": {...}, "Output": {...}, "TemplateConfig": {...}},
    deferrable=True,
)
```

Some have an [operator of their own](operators.md), which checks all arguments. The parameters are those of the
submit action, by the vendor's names; mappings and lists are sent as JSON. The RAM policy must permit
`ice:<action>` for each action that is used.

| column | meaning |
|---|---|
| job type | the name, with a link to the vendor's page of the query; if there is no query, of the submission |
| submit action | the action that creates the job |
| waits by | the action that is polled, and where its response has the state. "no state": see [waiting](waiting.md) |
| result key | the XCom of the result |
| parts | whether a failed part fails a job that says that it has finished |
| cancel action | the action that cancels a job; without one a job goes on, and is billed, when its task is killed |
| ClientToken | whether a submission can be repeated safely |
| UserData | the longest `UserData`; "any" if the vendor documents no limit; none if there is no such parameter |
| regions | the regions that offer the family; all regions of IMS if none is named |
"""

COLUMNS = (
    *("job type", "submit action", "waits by", "result key", "parts", "cancel action"),
    *("ClientToken", "UserData", "regions"),
)

# What is not plainly documented, or needs a word for users.
NOTES = {
    "CopyrightExtractJob": "The vendor documents no state: see [waiting](waiting.md).",
    "TraceExtractJob": "As CopyrightExtractJob.",
    "CopyrightJob": "Of the states, only the example `success` is documented; those of other families are assumed for "
    "failed and running jobs. That code and text of an error are in the JSON text `Result` is assumed from its "
    "example.",
    "TraceAbJob": "As CopyrightJob. The response to the submission has the `TraceMediaId` too.",
    "TraceM3u8Job": "As CopyrightJob, without `Result`: the query does not explain a failure.",
    "MediaConvertJob": "Its pages name the states differently; all of them are known. That a skipped output is no "
    "failure is assumed.",
    "TranscodeJob": "The vendor discontinued it on 2025-12-31. Its pages differ in what success means: all parts, or "
    "one. Here it means all.",
    "PackageJob": "The page of the query names no state of an end; they are those of the list.",
    "VodPackagingAsset": "The JobId is the name of the asset. The job has succeeded when all endpoints can be played.",
    "UploadMediaByURL": "Of the states, only the example `Normal` is documented; those of other families and of videos "
    "in the vendor's product VOD are assumed. All URLs of a submission are one job, whose JobId has the ids with "
    "commas; the query takes ten ids at most.",
    "UploadStreamByURL": "As UploadMediaByURL, with one URL.",
    "MediaIndexJob": "The JobId is the id of the media. Known limitation: the query finds media of the default search "
    "library only. The job has succeeded when all indexes have.",
    "WorkflowTask": "The form of `ActivityResults` depends on the workflow: failed activities of a task that "
    "succeeded are not looked for.",
    "AIWorkflowTask": "`partial-succeeded` counts as failed, `stopped` as cancelled: assumed. `StopAIWorkflowTask` "
    "stops real-time tasks only.",
    "BatchMediaProducingJob": "`Finished` says only that all parts have ended. `Failed` is on the page of the list "
    "only.",
    "SceneBatchEditingJob": "As BatchMediaProducingJob.",
    "SceneMediaSelectionJob": "As BatchMediaProducingJob. The result is the parameter `MediaSelectResult` of a "
    "SceneTimelineOrganizationJob.",
    "SceneTimelineOrganizationJob": "As BatchMediaProducingJob.",
    "ScreenMediaHighlightsJob": "As BatchMediaProducingJob. The query is inferred: its page lists this type of job.",
    "SportsHighlightsJob": "As ScreenMediaHighlightsJob.",
    "YikeStoryboardJob": "With `SkipFailureShot`, which is the default, a job succeeds without the shots that failed: "
    "look at `FailureShotList` of the result. The state `Suspended` is from a sample of the vendor.",
    "IProductionJob": "The vendor spells a state Analyzing and, in a sample, Analysing: both are known. The state of "
    "a cancelled job is not documented.",
    "DNAJob": "`CancelDNAJob` cancels jobs that are queuing only. The result is a URL.",
    "MediaCensorJob": "The page of the query names no states; they are those of the list. The result has the first "
    "page of the results of a video.",
    "AvatarTrainingJob": "Submits the draft that `CreateAvatarTrainingJob` has made.",
    "CustomizedVoiceJob": "Submits the draft that `CreateCustomizedVoiceJob` has made.",
    "MediaAiAnalysisJob": "Results arrive by callback only. The JobId is the id of the media.",
    "AIAgentVideoAuditTask": "Results arrive by callback only.",
}
SMART = "The page of the query names no states; they are those of the submissions that return one."


def text() -> str:
    """Return the page."""
    parts = [HEAD]
    for heading, job_types in GROUPS.items():
        lines = [cells(COLUMNS), "|" + "---|" * len(COLUMNS), *(cells(row(job_type)) for job_type in job_types)]
        parts.append(f"## {heading}\n\n" + "\n".join(lines) + "\n")
    parts.append(
        "## What is documented\n\n"
        "No row was verified with the real service. Actions, parameters and the fields of responses are those of the\n"
        "official SDK; a test compares them. States are documented in its comments or on the vendor's pages, but:\n\n"
        + "\n".join((cells(("job type", "note")), "|---|---|", *(cells(line) for line in notes())))
        + "\n"
    )
    return "\n".join(parts)


def cells(values: tuple[str, ...]) -> str:
    """Return a line of a table."""
    return f"|{'|'.join(f' {value} ' if value else ' ' for value in values)}|"


def row(job_type: JobType) -> tuple[str, ...]:
    """Return the cells of a family."""
    return (
        f"[{job_type.name}]({job_type.documentation})",
        f"`{job_type.submit_action}`",
        waits_by(job_type),
        "" if job_type.result_kind is ResultKind.NONE else f"`{job_type.result_name}`",
        "yes" if job_type.parts_path else "",
        f"`{job_type.cancel_action}`" if job_type.cancel_action else "",
        "yes" if job_type.takes_client_token else "",
        user_data(job_type),
        ", ".join(f"`{region}`" for region in sorted(job_type.regions or ())),
    )


def waits_by(job_type: JobType) -> str:
    """Return how a job of a family is waited for."""
    if job_type.query_action is None:
        return "none: cannot wait"
    state = "no state" if job_type.state_path is None else f"`{job_type.state_path}`"
    return f"`{job_type.query_action}`, {state}"


def user_data(job_type: JobType) -> str:
    """Return the limit of ``UserData`` in words."""
    if not job_type.takes_user_data:
        return ""
    limit = job_type.user_data_limit
    return "any" if limit is None else f"{limit:,} {job_type.user_data_unit}"


def notes() -> list[tuple[str, str]]:
    """Return the families with a note."""
    found = []
    for job_type in (one for group in GROUPS.values() for one in group):
        note = NOTES.get(job_type.name, SMART if job_type.query_action == "GetSmartHandleJob" else None)
        if note is not None:
            found.append((job_type.name, note))
    return found


if __name__ == "__main__":
    PAGE.write_text(text())
    echo(f"Wrote {PAGE}")
