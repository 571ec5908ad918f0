"""May Airflow retry this error: the one function that decides it."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout

from airflow_provider_ims.exceptions import (
    ImsApiError,
    ImsConfigurationError,
    ImsCredentialsError,
    ImsError,
    ImsJobCancelledError,
    ImsJobFailedError,
    ImsJobTimeoutError,
    ImsNotFoundError,
    ImsPublishError,
    ImsRecordError,
    ImsRequestError,
    ImsServiceError,
    ImsSubmitUnknownError,
    ImsThrottledError,
    ImsTransportError,
    ImsTriggerEventError,
)
from airflow_provider_ims.jobs.retry import OnUnknownSubmit, RecordState, for_airflow, may_retry

NONE, SUBMITTING, SUBMITTED, MISSING = RecordState
ANY = tuple(RecordState)

# Errors that a retry repairs, unless it would pay for a second job.
RETRIABLE = [
    *(ImsError("killed"), ImsTransportError("lost", sent=True), ImsApiError("odd"), ImsThrottledError("slow down")),
    *(ImsServiceError("failed"), ImsCredentialsError("key"), ImsNotFoundError("unknown job")),
    *(ImsJobFailedError("failed"), ImsJobCancelledError("cancelled"), ImsTriggerEventError("no event")),
    *(ImsPublishError("no XCom"), ImsRecordError("the store is down")),
]
# Errors that no retry repairs.
FINAL = [
    *(ImsConfigurationError("wrong argument"), ImsRequestError("invalid"), ImsJobTimeoutError("too long")),
    ImsRecordError("damaged", is_damaged=True),
]
UNKNOWN = ImsSubmitUnknownError("unknown")


def by_class(error: ImsError) -> str:
    return type(error).__name__


@pytest.mark.parametrize("policy", ["fail", "resubmit"])
@pytest.mark.parametrize("error", RETRIABLE, ids=by_class)
def test_error_that_may_pass_is_retried_unless_a_job_has_no_record(error: ImsError, policy: OnUnknownSubmit) -> None:
    """A retry is refused only if a job exists that it would not find: it would submit a second one."""
    assert {state: may_retry(error, state, policy) for state in ANY} == {
        NONE: True,
        SUBMITTING: True,
        SUBMITTED: True,
        MISSING: False,
    }


@pytest.mark.parametrize("policy", ["fail", "resubmit"])
@pytest.mark.parametrize("record", ANY)
@pytest.mark.parametrize("error", FINAL, ids=by_class)
def test_error_that_stays_is_never_retried(error: ImsError, record: RecordState, policy: OnUnknownSubmit) -> None:
    """A wrong argument, an invalid request, a time-out and a damaged record end the task, whatever was submitted."""
    assert not may_retry(error, record, policy)


@pytest.mark.parametrize("record", ANY)
def test_unknown_submission_is_retried_as_the_user_says(record: RecordState) -> None:
    """By default an unknown submission ends the task; "resubmit" and a ClientToken let the retry submit."""
    assert not may_retry(UNKNOWN, record)
    assert not may_retry(UNKNOWN, record, "fail")
    assert may_retry(UNKNOWN, record, "resubmit")
    assert may_retry(ImsSubmitUnknownError("unknown", is_repeatable=True), record, "fail")


@pytest.mark.parametrize("record", ANY)
@pytest.mark.parametrize("error", [*RETRIABLE, *FINAL, UNKNOWN], ids=by_class)
def test_airflow_retries_what_may_be_retried(error: ImsError, record: RecordState) -> None:
    """The error that a task raises is of the same class, and Airflow's classes say whether it is retried."""
    raised = for_airflow(error, record)
    assert isinstance(raised, type(error))
    assert type(raised).__name__ == type(error).__name__
    is_final = isinstance(raised, AirflowFailException | AirflowSensorTimeout)
    assert is_final is not may_retry(error, record)


def test_error_that_is_made_final_keeps_its_details() -> None:
    """Attributes and text survive the change of the class."""
    error = ImsApiError("problem.", advice="advice", action="A", code="C", request_id="R", http_status=400)
    final = for_airflow(error, MISSING)
    assert isinstance(final, ImsApiError)
    assert final is not error
    assert (str(final), vars(final)) == (str(error), vars(error))


def test_error_that_needs_no_change_is_the_same_object() -> None:
    """An error that may be retried, or that Airflow does not retry anyway, keeps its traceback."""
    for error in (RETRIABLE[0], *FINAL[:3]):
        assert for_airflow(error, NONE) is error
