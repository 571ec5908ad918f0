"""What a job is: its family, its states, and what one response says of it. Data only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class JobState(StrEnum):
    """The states of a job, whatever its family calls them."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ResultKind(StrEnum):
    """What the result of a job is."""

    TEXT = "text"
    """A text. Without one, the result is the empty text."""
    OBJECT = "object"
    """Any JSON value."""
    NONE = "none"
    """Nothing: the job writes files."""


# What IMS calls the states of a job, in lower case: no two families use the same texts, and the case differs between
# the pages of one family.
SUCCESS_STATES = frozenset({"success", "succeed", "succeeded", "finish", "finished", "complete", "completed"})
FAILURE_STATES = frozenset({"fail", "failed", "failure", "error"})
CANCEL_STATES = frozenset({"cancel", "canceled", "cancelled"})
RUNNING_STATES = frozenset(
    {"init", "inited", "created", "submitted", "queuing", "queued", "processing", "running", "executing"}
    | {"analysing", "analyzing"}
)


@dataclass(frozen=True, slots=True)
class JobType:
    """One family of jobs: all that differs between families, as data.

    All paths are JMESPath expressions.

    :param name: the family's name in IMS
    :param submit_action: API operation that creates a job
    :param query_action: API operation that returns a job; None if there is none: such jobs can be submitted only
    :param documentation: the vendor's page of the query, or of the submission if there is no query
    :param job_id_path: the job's id in the response to the submission
    :param subject_parameter: parameter of the submission that names what the job works on, for messages
    :param body_parameters: parameters of the submission that travel in the form body instead of the query string
    :param user_data_limit: most bytes of ``UserData`` in UTF-8; None if the submission takes none
    :param takes_client_token: whether the submission takes a ``ClientToken``, which makes repeating it safe
    :param query_parameter: the job's id in the parameters of query and cancellation
    :param result_kind: see :class:`ResultKind`
    :param result_path: the result in the response to the query; None for :attr:`ResultKind.NONE`
    :param result_name: XCom key of the result
    :param state_path: the state in the response to the query; None if the family reports no state
    :param success_states: states that mean success, in lower case
    :param failure_states: states that mean failure, in lower case
    :param cancel_states: states that mean cancelled, in lower case
    :param running_states: states that are known to mean that the job goes on, in lower case
    :param code_path: a code that tells an error from a success; None if there is none
    :param message_path: the text that goes with the code; None if there is none
    :param parts_path: the parts of a job whose success can hide failed parts: a list of objects; None if there are none
    :param part_state_path: the state in a part
    :param empty_result_option: argument of operator and sensor that says how long an empty response must last to be
        the result; None if the family reports a state
    :param cancel_action: API operation that cancels a job; None if there is none
    :param regions: regions that offer the family; None for all
    """

    name: str
    submit_action: str
    query_action: str | None
    documentation: str
    job_id_path: str
    subject_parameter: str | None = None
    body_parameters: frozenset[str] = frozenset()
    user_data_limit: int | None = 1024
    takes_client_token: bool = False
    query_parameter: str = "JobId"
    result_kind: ResultKind = ResultKind.OBJECT
    result_path: str | None = None
    result_name: str = "result"
    state_path: str | None = None
    success_states: frozenset[str] = SUCCESS_STATES
    failure_states: frozenset[str] = FAILURE_STATES
    cancel_states: frozenset[str] = CANCEL_STATES
    running_states: frozenset[str] = RUNNING_STATES
    code_path: str | None = None
    message_path: str | None = None
    parts_path: str | None = None
    part_state_path: str = "Status"
    empty_result_option: str | None = None
    cancel_action: str | None = None
    regions: frozenset[str] | None = None

    @property
    def reports_state(self) -> bool:
        """Whether the query is documented to report a state."""
        return self.state_path is not None

    def state_of(self, service_state: str | None) -> JobState:
        """Return what the service's own text for a state means; RUNNING if it is not known.

        :param service_state: the text, in any case; None for none
        """
        text = "" if service_state is None else service_state.lower()
        if text in self.failure_states:
            return JobState.FAILED
        if text in self.cancel_states:
            return JobState.CANCELLED
        return JobState.SUCCEEDED if text in self.success_states else JobState.RUNNING

    def knows_state(self, service_state: str | None) -> bool:
        """Whether it is known what the service's own text for a state means; no text is known to mean nothing."""
        return (
            service_state is None
            or self.state_of(service_state) is not JobState.RUNNING
            or service_state.lower() in self.running_states
        )


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that the service accepted.

    :param job_id: the job's id
    :param request_id: the service's id of the request
    :param response: the whole response body
    """

    job_id: str
    request_id: str | None
    response: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """What one query said of a job.

    :param job_id: the job's id
    :param state: see :class:`JobState`
    :param result: the result, None if the response has none; a text without the newline that the service may append
    :param service_state: the service's own text for the state, None if it gave none
    :param is_known_state: whether it is known what that text means
    :param is_understood: whether the response has a form that is known, apart from state and code
    :param code: a code that does not mean success, None if the response has none
    :param message: the text that goes with the code
    :param request_id: the service's id of the request
    :param response: the response body in one line, fit for a log: shortened, without secrets
    :param raw: the whole response body, fields that the vendor does not document included
    :param failed_parts: the failed parts of the job, each in one line, fit for a log
    :param parts: how many parts the job has
    """

    job_id: str
    state: JobState
    result: Any
    service_state: str | None
    is_known_state: bool
    is_understood: bool
    code: str | None
    message: str | None
    request_id: str | None
    response: str
    raw: dict[str, Any] = field(repr=False)
    failed_parts: tuple[str, ...] = ()
    parts: int = 0

    @property
    def is_unexplained(self) -> bool:
        """Whether the response says something that is neither documented nor a state."""
        return (
            self.state is JobState.RUNNING
            and self.service_state is None
            and (self.code is not None or not self.is_understood)
        )

    @property
    def is_empty(self) -> bool:
        """Whether the response says nothing of the job: no result, no state and no error."""
        return self.state is JobState.RUNNING and self.service_state is None and not self.is_unexplained
