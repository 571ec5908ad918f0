"""The families of Yike: its AI applications and storyboards.

Source: the models of the official SDK, ``SubmitYikeAIAppJobRequest`` and ``SubmitYikeStoryboardJobRequest``.
"""

from __future__ import annotations

from decimal import Decimal

from airflow_provider_ims.emulator.families.family import JobFamily, JobState, Outcome, words

_RUNNING, _WORDS = words(["Created", "Queuing", "Executing"], "Finished", "Failed")
_STORYBOARD_RUNNING, _STORYBOARD_WORDS = words(["Running"], "Succeeded", "Failed")
_OUTPUT_URL = "http://bucket.oss-cn-shanghai.aliyuncs.com/yike.mp4"

AI_APP = JobFamily(
    name="YikeAIAppJob",
    submit_action="SubmitYikeAIAppJob",
    query_action="GetYikeAIAppJob",
    required_parameters=("AppId",),
    body_parameters=("AppId", "AppParams", "FolderId", "ProductionId"),
    query_id_path="JobId",
    state_path="Status",
    running_words=_RUNNING,
    state_words=_WORDS,
    result_path="Result",
    text_echoes={
        "AppId": "AppId",
        "AppParams": "AppParams",
        "FolderId": "FolderId",
        "ProductionId": "ProductionId",
    },
    price=Decimal("1.10"),
    outcome=Outcome(JobState.SUCCEEDED, {"VideoResult": [{"OutputUrl": _OUTPUT_URL}]}),
)

STORYBOARD = JobFamily(
    name="YikeStoryboardJob",
    submit_action="SubmitYikeStoryboardJob",
    query_action="GetYikeStoryboardJob",
    body_parameters=("FileURL", "ShotSplitMode", "SourceType", "StyleId"),
    query_id_path="JobId",
    state_path="JobStatus",
    running_words=_STORYBOARD_RUNNING,
    state_words=_STORYBOARD_WORDS,
    result_path="JobResult",
    text_echoes={
        "JobParams.Title": "Title",
        "JobParams.FileURL": "FileURL",
        "JobParams.StyleId": "StyleId",
        "JobParams.SourceType": "SourceType",
    },
    price=Decimal("6.00"),
    outcome=Outcome(JobState.SUCCEEDED, {"OutputUrl": _OUTPUT_URL}),
)

FAMILIES = (AI_APP, STORYBOARD)
