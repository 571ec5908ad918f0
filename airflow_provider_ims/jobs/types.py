"""The job families of IMS as data, and what an answer of the service says of a job. No I/O."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.exceptions import ImsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jmespath.parser import ParsedResult


class JobState(StrEnum):
    """The states of a job, whatever words its family uses for them."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


# Words that IMS uses for the states of a job, in lower case: no two families have the same, and case differs between
# pages of one family.
SUCCESS_WORDS = frozenset({"success", "succeed", "succeeded", "finish", "finished", "complete", "completed"})
FAILURE_WORDS = frozenset({"fail", "failed", "failure", "error"})
CANCEL_WORDS = frozenset({"cancel", "canceled", "cancelled"})
RUNNING_WORDS = frozenset(
    {"init", "inited", "created", "submitted", "queuing", "queued", "processing", "running", "executing"}
    | {"analysing", "analyzing"}
)


@dataclass(frozen=True, slots=True)
class JobType:
    """One family of jobs.

    :param name: the family's name in IMS
    :param submit_action: API operation that creates a job
    :param query_action: API operation that asks for a job
    :param documentation: the vendor's page of the query
    :param job_id_path: JMESPath of the job's id in the answer to the submission
    :param result_path: JMESPath of the result in the answer to the query
    :param result_name: XCom key of the result
    :param code_path: JMESPath of a code that tells trouble from success; None where there is none
    :param message_path: JMESPath of the text that goes with the code; None where there is none
    :param query_parameter: the parameter of query and cancellation for the job's id
    :param state_path: JMESPath of the state; None for a family whose query reports no state
    :param success_words: states that mean success, in lower case
    :param failure_words: states that mean failure, in lower case
    :param cancel_words: states that mean cancelled, in lower case
    :param running_words: states that are known to be no end, in lower case
    :param cancel_action: API operation that cancels a job, None where there is none
    :param takes_client_token: whether the submit action takes a ``ClientToken``, which makes repeating it safe
    :param regions: regions that offer the family; None for all
    """

    name: str
    submit_action: str
    query_action: str
    documentation: str
    job_id_path: str
    result_path: str
    code_path: str | None = None
    message_path: str | None = None
    result_name: str = "result"
    query_parameter: str = "JobId"
    state_path: str | None = None
    success_words: frozenset[str] = SUCCESS_WORDS
    failure_words: frozenset[str] = FAILURE_WORDS
    cancel_words: frozenset[str] = CANCEL_WORDS
    running_words: frozenset[str] = RUNNING_WORDS
    cancel_action: str | None = None
    takes_client_token: bool = False
    regions: frozenset[str] | None = None

    @property
    def is_stateless(self) -> bool:
        """Whether the query reports no state, so that silence can mean running, nothing found or failed."""
        return self.state_path is None


COPYRIGHT_EXTRACT = JobType(
    name="CopyrightExtractJob",
    submit_action="SubmitCopyrightExtractJob",
    query_action="QueryCopyrightExtractJob",
    documentation="https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-querycopyrightextractjob",
    job_id_path="Data.JobId",
    result_path="Data.Message",
    result_name="watermark",
    code_path="StatusCode",
    message_path="Message",
    regions=frozenset({"cn-shanghai", "cn-beijing"}),
)

JOB_TYPES: dict[str, JobType] = {job_type.name: job_type for job_type in (COPYRIGHT_EXTRACT,)}

# Where a state might be in the answer of a family that documents none, whatever the case of the letters.
_UNDOCUMENTED_STATE = ("status", "state", "jobstatus")
_one_line = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
# Codes that say nothing of trouble: the value that is documented, and what other actions of IMS send with it.
_HARMLESS_CODES = frozenset({"200", "ok", "success"})


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
    :param result: the result, None where the answer has none; for a watermark the text without the newline that the
        service may append
    :param word: the service's own word for the state, None where it gave none
    :param is_known_word: whether it is known what the word means
    :param is_understood: whether the answer has a form that is known, apart from word and code
    :param code: a code that is not one of success, None where the answer has none
    :param message: the text that goes with the code
    :param request_id: the service's id of the request
    :param response: the response body in one line, fit for a log: shortened, without secrets
    :param raw: the whole response body, fields that the vendor does not document included
    """

    job_id: str
    state: JobState
    result: Any
    word: str | None
    is_known_word: bool
    is_understood: bool
    code: str | None
    message: str | None
    request_id: str | None
    response: str
    raw: dict[str, Any] = field(repr=False)

    @property
    def is_unexplained(self) -> bool:
        """Whether the answer says something that is neither documented nor a state."""
        return (
            self.state is JobState.RUNNING and self.word is None and (self.code is not None or not self.is_understood)
        )

    @property
    def is_silent(self) -> bool:
        """Whether the answer says nothing of the job at all: neither result, nor state, nor trouble."""
        return self.state is JobState.RUNNING and self.word is None and not self.is_unexplained


def find_job_type(job_type: str | JobType) -> JobType:
    """Return a job type by its name.

    :raises ImsConfigurationError: if there is no such family
    """
    if isinstance(job_type, JobType):
        return job_type
    name: object = job_type  # a template may have made anything of it
    if not isinstance(name, str) or name not in JOB_TYPES:
        raise ImsConfigurationError(f"Unknown job type {name!r}. Known are: {', '.join(JOB_TYPES)}.")
    return JOB_TYPES[name]


def check_region(job_type: JobType, region: str) -> None:
    """Refuse a region that does not offer the family.

    :raises ImsConfigurationError: if the region does not
    """
    if job_type.regions is not None and region not in job_type.regions:
        raise ImsConfigurationError(
            f"{job_type.name} is not offered in the region {region!r}. Use {' or '.join(sorted(job_type.regions))}; "
            f"the media must be there too."
        )


def check_job_id(job_type: JobType, job_id: object) -> None:
    """Refuse what cannot be the id of a job.

    :raises ImsConfigurationError: if it is not
    """
    if not isinstance(job_id, str) or not job_id.strip():
        raise ImsConfigurationError(f"job_id is {job_id!r}. Give the JobId of a {job_type.name}.")


def submission(job_type: JobType, response: dict[str, Any]) -> Submission | None:
    """Read the answer to a submission; None if there is no id of a job in it."""
    job_id = _search(job_type.job_id_path, response)
    if not isinstance(job_id, str) or not job_id.strip():
        return None
    return Submission(job_id=job_id, request_id=request_id(response), response=response)


def snapshot(
    job_type: JobType, job_id: str, response: dict[str, Any], *, harmless: Callable[[str], str] = str
) -> JobSnapshot:
    """Read the answer to a query.

    The service keeps no state for extraction jobs: an answer without text means "running", "nothing found" or
    "failed", and the three cannot be told apart. So the text is the sign of success, a state that the service should
    send all the same is obeyed, and everything else counts as running. Text beside a state of failure, or beside a
    code other than that of success, may be an error's: it is no result.

    :param job_type: the job's family
    :param job_id: the job's id
    :param response: the response body
    :param harmless: takes what is secret or too long out of a text of the service
    """
    found = _search(job_type.result_path, response)
    result = _result(job_type, found)
    word = _word(job_type, response)
    code = _search(job_type.code_path, response)
    troubled = code is not None and str(code).lower() not in _HARMLESS_CODES
    message = _search(job_type.message_path, response) if troubled else None
    state = _state(job_type, word, None if troubled else result)
    # Cleaned before it becomes JSON, which would escape part of what is looked for.
    cleaned = _each_text(response, harmless)
    return JobSnapshot(
        job_id=job_id,
        state=state,
        result=result,
        word=None if word is None else harmless(word),
        is_known_word=state is not JobState.RUNNING or word is None or word.lower() in job_type.running_words,
        is_understood=_is_understood(job_type, response, found),
        code=harmless(str(code)) if troubled else None,
        message=None if message is None else harmless(str(message)),
        request_id=request_id(cleaned),
        response=harmless(_one_line(cleaned)),
        raw=response,
    )


def request_id(response: Mapping[str, Any]) -> str | None:
    """Return the service's id of the request, None where the answer has none."""
    value = response.get("RequestId")
    return value if isinstance(value, str) and value else None


def _result(job_type: JobType, result: Any) -> Any:
    if isinstance(result, str):
        return result.removesuffix("\n").removesuffix("\r") if result.strip() else None
    return None if job_type.is_stateless else result


def _word(job_type: JobType, response: dict[str, Any]) -> str | None:
    if job_type.state_path is not None:
        return _as_word(_search(job_type.state_path, response))
    # A top-level state is the job's only in an answer of the service: a gateway has states of its own.
    for place in (response.get("Data"), response if request_id(response) else None):
        if isinstance(place, dict):
            for name, value in place.items():
                if str(name).lower() in _UNDOCUMENTED_STATE and (word := _as_word(value)):
                    return word
    return None


def _as_word(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def _is_understood(job_type: JobType, response: dict[str, Any], result: Any) -> bool:
    """Whether result, and what holds it, have the form that is documented; absent and null count as silence."""
    if not job_type.is_stateless:
        return True
    holder = _search(job_type.result_path.rpartition(".")[0] or "@", response)
    return (
        (holder is None or isinstance(holder, dict))
        and (result is None or isinstance(result, str))
        and str(response.get("Success", "")).lower() != "false"
    )


def _state(job_type: JobType, word: str | None, result: Any) -> JobState:
    word = (word or "").lower()
    if word in job_type.failure_words:
        return JobState.FAILED
    if word in job_type.cancel_words:
        return JobState.CANCELLED
    if word in job_type.success_words or (job_type.is_stateless and result is not None):
        return JobState.SUCCEEDED
    return JobState.RUNNING


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """Return a JSON value with each text in it changed."""
    match value:
        case str():
            return change(value)
        case list():
            return [_each_text(item, change) for item in value]
        case dict():
            return {name: _each_text(item, change) for name, item in value.items()}
        case _:
            return value


def _search(path: str | None, response: dict[str, Any]) -> Any:
    return None if path is None else _expression(path).search(response)


@functools.cache
def _expression(path: str) -> ParsedResult:
    import jmespath  # noqa: PLC0415 - imported by calls, not by every parse of a DAG file

    return jmespath.compile(path)
