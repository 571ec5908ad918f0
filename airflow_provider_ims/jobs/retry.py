"""May Airflow retry this error? The one place that decides it.

A retry is another attempt of the task. It is refused if it would fail in the same way, or pay for a second job.
``docs/errors.md`` has the same rules as a table, and a test compares the two.
"""

from __future__ import annotations

from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_ims.exceptions import (
    ImsError,
    ImsJobTimeoutError,
    ImsRecordError,
    ImsSubmitUnknownError,
    to_primitives,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

OnUnknownSubmit = Literal["fail", "resubmit"]


class RecordState(StrEnum):
    """What a retry would find in the state store of the task."""

    NONE = "none"
    """No record, and no job to find: the retry submits."""
    SUBMITTING = "submitting"
    """A submission whose outcome is unknown."""
    SUBMITTED = "submitted"
    """The job: the retry resumes it."""
    MISSING = "missing"
    """No record, although a job exists: the retry would submit a second one."""


def may_retry(error: ImsError, record: RecordState, on_unknown_submit: OnUnknownSubmit = "fail") -> bool:
    """Whether Airflow may retry a task that ends in an error.

    :param error: what the attempt ended in
    :param record: what the next attempt would find
    :param on_unknown_submit: what the user wants if it is unknown whether a submission created a job
    """
    match error:
        case AirflowFailException():
            # The connection, an argument or the request is wrong, and will be wrong again.
            return False
        case ImsJobTimeoutError():
            # A retry would wait as long again; without a record it would also pay again.
            return False
        case ImsRecordError(is_damaged=True):
            # Nobody knows whether a job exists: a person has to look.
            return False
        case ImsSubmitUnknownError():
            return error.is_repeatable or on_unknown_submit == "resubmit"
        case _:
            return record is not RecordState.MISSING


@contextmanager
def retries_without_record() -> Iterator[None]:
    """Leave to Airflow's retries only the errors that :func:`may_retry` allows, in a task that keeps no record."""
    try:
        yield
    except ImsError as error:
        raised = for_airflow(error, RecordState.NONE)
        if raised is error:
            raise
        raise raised from error.__cause__


def for_airflow(error: ImsError, record: RecordState, on_unknown_submit: OnUnknownSubmit = "fail") -> ImsError:
    """Return the error to raise from a task: one of the same class that Airflow does not retry if it must not.

    :param error: what the attempt ended in
    :param record: what the next attempt would find
    :param on_unknown_submit: what the user wants if it is unknown whether a submission created a job
    """
    if may_retry(error, record, on_unknown_submit) or isinstance(error, AirflowFailException | ImsJobTimeoutError):
        return error
    kind = type(error)
    final = type(kind.__name__, (kind, AirflowFailException), {"__doc__": kind.__doc__, "__module__": kind.__module__})
    details = to_primitives(error)
    del details["class"]
    again: ImsError = final(**details)
    return again
