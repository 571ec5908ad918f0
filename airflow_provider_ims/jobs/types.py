"""What a job is: its family, its states, and what one response says of it. Data only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple


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


class Form(StrEnum):
    """What the value of an argument must be, and how it is sent."""

    MEDIA = "media"
    """A media reference; sent as a JSON object with Type and Media."""
    OBJECT = "object"
    """The URL of an object in OSS that the job writes; sent as the same JSON object."""
    FOLDER = "folder"
    """The URL of a folder in OSS; sent as the same JSON object."""
    SOURCE = "source"
    """The URL of an object in OSS, or of media in the vendor's product VOD; sent as it is."""
    URLS = "urls"
    """The URL of a file that IMS downloads, or a list of them."""
    TEXT = "text"
    """A text that is not empty."""
    WHOLE_NUMBER = "whole number"
    SWITCH = "switch"
    """True or False, or the same as text."""
    CHOICE = "choice"
    """One of some texts."""
    JSON = "json"
    """A mapping, or the same as JSON text."""
    JSON_LIST = "json list"
    """A list, or the same as JSON text."""
    PARAMS = "params"
    """A mapping of further keys; keys that have an argument of their own are added to it."""
    USER_DATA = "user data"


class Key(NamedTuple):
    """A key of ``Params`` that has an argument of its own.

    :param name: the vendor's name
    :param argument: the argument
    :param choices: the values that it may have
    :param hint: what the values mean, for messages
    """

    name: str
    argument: str
    choices: tuple[str, ...]
    hint: str


class Parameter(NamedTuple):
    """A parameter of a submission that has an argument of its own.

    :param name: the vendor's name
    :param argument: the argument
    :param form: what the value must be
    :param is_needed: whether the argument must be given
    :param needed_with: an argument with which this one must be given too
    :param limits: of a whole number, the lowest and the highest value; of a text, the fewest and the most bytes in
        UTF-8; of URLs, their fewest and most; None for no limit
    :param choices: of a choice, the values
    :param keys: of ``Params``, the keys with arguments of their own
    """

    name: str
    argument: str
    form: Form = Form.TEXT
    is_needed: bool = False
    needed_with: str | None = None
    limits: tuple[int | None, int | None] = (None, None)
    choices: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()


def page(action: str) -> str:
    """Return the vendor's page of an action.

    :param action: API operation
    """
    return f"https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-{action.lower()}"


@dataclass(frozen=True, slots=True)
class JobType:
    """One family of jobs: all that differs between families, as data.

    All paths are JMESPath expressions, with one more function: ``parse_json(text)`` is the value of a text that is
    JSON, and null for anything else.

    :param name: the family's name in IMS
    :param submit_action: API operation that creates a job
    :param query_action: API operation that returns a job; None if there is none: such jobs can be submitted only
    :param documentation: the vendor's page of the query, or of the submission if there is no query
    :param job_id_path: the job's id in the response to the submission
    :param subject_parameter: parameter of the submission that names what the job works on, for messages
    :param parameters: parameters of the submission that have arguments, if the family has an operator of its own
    :param exactly_one: arguments of which exactly one must be given
    :param body_parameters: parameters of the submission that travel in the form body instead of the query string
    :param takes_user_data: whether the submission takes a ``UserData``
    :param user_data_limit: the longest ``UserData``; None if the vendor documents no limit
    :param user_data_unit: what the limit counts: bytes in UTF-8, or characters
    :param takes_client_token: whether the submission takes a ``ClientToken``, which makes repeating it safe
    :param submit_results: what the response to the submission has beside the id: XCom key and path of each
    :param query_parameter: the job's id in the parameters of the query
    :param cancel_parameter: the job's id in the parameters of the cancellation; None if it is ``query_parameter``
    :param result_kind: see :class:`ResultKind`
    :param result_path: the result in the response to the query; None for :attr:`ResultKind.NONE`
    :param result_name: XCom key of the result
    :param state_path: the state in the response to the query; None if the family reports no state
    :param success_states: states that mean success, in lower case
    :param failure_states: states that mean failure, in lower case
    :param cancel_states: states that mean cancelled, in lower case
    :param running_states: states that are known to mean that the job goes on, in lower case
    :param code_path: a code that tells an error from a success; None if there is none
    :param message_path: the text that goes with the code or, without a code, with a failure; None if there is none
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
    parameters: tuple[Parameter, ...] = ()
    exactly_one: tuple[str, ...] = ()
    body_parameters: frozenset[str] = frozenset()
    takes_user_data: bool = True
    user_data_limit: int | None = None
    user_data_unit: Literal["bytes", "characters"] = "bytes"
    takes_client_token: bool = False
    submit_results: tuple[tuple[str, str], ...] = ()
    query_parameter: str = "JobId"
    cancel_parameter: str | None = None
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
    def arguments(self) -> tuple[str, ...]:
        """The arguments for the parameters of the submission, those for keys of ``Params`` included."""
        return tuple(name for one in self.parameters for name in (*(key.argument for key in one.keys), one.argument))

    @property
    def json_arguments(self) -> tuple[str, ...]:
        """Those of them that are JSON, to be shown as such."""
        return tuple(one.argument for one in self.parameters if one.form in {Form.JSON, Form.JSON_LIST, Form.PARAMS})

    @property
    def sensor(self) -> str:
        """The sensor that waits for such jobs, with the argument that it needs for that, for messages."""
        return f"ImsJobSensor(job_type={self.name!r})" if self.empty_result_option is None else f"Ims{self.name}Sensor"

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
    :param results: what else the response has for other tasks, by XCom key
    """

    job_id: str
    request_id: str | None
    response: dict[str, Any] = field(repr=False)
    results: dict[str, str] = field(default_factory=dict)


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
