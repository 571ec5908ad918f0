"""What an answer says of a job."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ims.exceptions import ImsConfigurationError
from airflow_provider_ims.jobs import COPYRIGHT_EXTRACT, JobState, check_region, find_job_type, snapshot, submission


@pytest.mark.parametrize(
    ("data", "state", "result"),
    [
        ({"Message": "(c) Studio"}, JobState.SUCCEEDED, "(c) Studio"),
        ({"Message": "(c) Studio\n"}, JobState.SUCCEEDED, "(c) Studio"),
        ({"Message": " two\n\n"}, JobState.SUCCEEDED, " two\n"),
        ({"Message": ""}, JobState.RUNNING, None),
        ({"Message": " \n"}, JobState.RUNNING, None),
        ({"Message": None}, JobState.RUNNING, None),
        ({"Message": 7}, JobState.RUNNING, None),
        ({}, JobState.RUNNING, None),
        (None, JobState.RUNNING, None),
        ("text", JobState.RUNNING, None),
    ],
)
def test_text_is_the_one_sign_of_an_end(data: object, state: JobState, result: str | None) -> None:
    """A job has succeeded when there is text, without the newline the service may append."""
    body = {"Data": data, "Message": "ok", "RequestId": "R", "StatusCode": 200, "Extra": 1}
    seen = snapshot(COPYRIGHT_EXTRACT, "J", body)
    assert (seen.job_id, seen.state, seen.result, seen.request_id) == ("J", state, result, "R")
    assert seen.raw is body


def test_submission_has_the_job_id() -> None:
    """The answer to a submission is read with its request id, the body kept."""
    body = {"Data": {"JobId": "J"}, "RequestId": "R"}
    accepted = submission(COPYRIGHT_EXTRACT, body)
    assert accepted is not None
    assert (accepted.job_id, accepted.request_id, accepted.response) == ("J", "R", body)


@pytest.mark.parametrize("body", [{}, {"Data": {}}, {"Data": {"JobId": " "}}, {"Data": "J"}, {"Data": {"JobId": 5}}])
def test_answer_without_job_id_is_no_submission(body: dict[str, Any]) -> None:
    """An answer without a JobId is not taken for a submission."""
    assert submission(COPYRIGHT_EXTRACT, body) is None


def test_unknown_family_is_refused() -> None:
    """A misspelt job type names those that exist."""
    assert find_job_type("CopyrightExtractJob") is COPYRIGHT_EXTRACT
    with pytest.raises(ImsConfigurationError, match=r"Unknown job type 'Extract'. Known are: CopyrightExtractJob"):
        find_job_type("Extract")


def test_region_that_lacks_the_family_is_refused() -> None:
    """Watermark jobs are offered in two regions only."""
    for region in ("cn-shanghai", "cn-beijing"):
        check_region(COPYRIGHT_EXTRACT, region)
    with pytest.raises(ImsConfigurationError, match=r"'cn-hangzhou'. Use cn-beijing or cn-shanghai"):
        check_region(COPYRIGHT_EXTRACT, "cn-hangzhou")
