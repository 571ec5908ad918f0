"""Reads a response of the service: what it says of a job."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.exceptions import ImsConfigurationError
from airflow_provider_ims.jobs.types import JobSnapshot, JobState, JobType, ResultKind, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Names of a field that might hold the state if a family documents none, in lower case.
_UNDOCUMENTED_STATE_FIELDS = ("status", "state", "jobstatus")
# Codes that mean success: the value that is documented, and what other actions of IMS send with it.
_SUCCESS_CODES = frozenset({"200", "ok", "success"})
_one_line = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def read_submission(job_type: JobType, response: dict[str, Any]) -> Submission | None:
    """Read the response to a submission; None if it has no JobId.

    :param job_type: the family
    :param response: the response body
    """
    job_id = search(job_type.job_id_path, response)
    if not isinstance(job_id, str) or not job_id.strip():
        return None
    found = {key: search(path, response) for key, path in job_type.submit_results}
    results = {key: value for key, value in found.items() if isinstance(value, str) and value}
    return Submission(job_id=job_id, request_id=request_id(response), response=response, results=results)


def find_job_id(job_type: JobType, response: dict[str, Any]) -> str | None:
    """Return what the response to a submission has in place of a JobId, as text; None if there is nothing.

    :param job_type: the family
    :param response: the response body
    """
    found = search(job_type.job_id_path, response)
    return None if found is None or found == "" else _one_line(found)[:100]


def check_path(path: object) -> None:
    """Refuse what is no JMESPath expression, before the action is called.

    :param path: the value
    :raises ImsConfigurationError: if it is not one
    """
    try:
        if not isinstance(path, str):
            raise TypeError  # noqa: TRY301 - reported as the others
        search(path, {})  # an unknown function is found by a search only
    except (TypeError, ValueError) as error:
        # JMESPath's message shows the expression on several lines.
        raise ImsConfigurationError(
            f"result_path {path!r:.80} is not a JMESPath expression ({type(error).__name__}). Correct it, or leave it "
            f"out to get the whole response."
        ) from None


def read_path(path: str, response: dict[str, Any], *, action: str) -> Any:
    """Return a part of a response.

    :param path: a JMESPath expression
    :param response: the response body
    :param action: the action that was called, for messages
    :raises ImsConfigurationError: if the response has no such part
    """
    try:
        found = search(path, response)
    except ValueError:  # a function that the check has not reached
        found = None
    if found is None:
        raise ImsConfigurationError(
            f"{action} was carried out (RequestId {request_id(response) or 'none'}), and its response has nothing at "
            f"the result_path {path!r:.80}; it has {', '.join(sorted(response))}. Correct the path, or leave it out to "
            f"get the whole response."
        )
    return found


def read_snapshot(
    job_type: JobType, job_id: str, response: dict[str, Any], *, redact: Callable[[str], str] = str
) -> JobSnapshot:
    """Read the response to a query.

    A family that reports no state leaves an empty response open: it means "running", "nothing found" or "failed", and
    the three cannot be told apart. So a result is the sign of success, a state that the service sends nevertheless is
    obeyed, and everything else counts as running. A result beside a state of failure, or beside a code that does not
    mean success, may be the text of an error: it is not a result.

    :param job_type: the job's family
    :param job_id: the job's id
    :param response: the response body
    :param redact: takes out of a text of the service what is secret or too long
    """
    found = search(job_type.result_path, response)
    result = _result(job_type, found)
    service_state = _service_state(job_type, response)
    code = search(job_type.code_path, response)
    if isinstance(code, float) and code.is_integer():
        code = int(code)
    is_error = code is not None and str(code).lower() not in _SUCCESS_CODES
    state = job_type.state_of(service_state)
    # Some families explain a failure by a text without a code.
    has_message = is_error or (code is None and job_type.reports_state and state is JobState.FAILED)
    message = search(job_type.message_path, response) if has_message else None
    if state is JobState.RUNNING and not job_type.reports_state and result is not None and not is_error:
        state = JobState.SUCCEEDED
    has_succeeded = state is JobState.SUCCEEDED
    parts = _parts(job_type, response) if has_succeeded or state is JobState.FAILED else []
    # Redacted before it becomes JSON, which would escape part of what is looked for.
    cleaned = _map_texts(response, redact)
    return JobSnapshot(
        job_id=job_id,
        state=_state_of_all(parts) if parts and has_succeeded else state,
        result=result,
        service_state=None if service_state is None else redact(service_state),
        is_known_state=job_type.knows_state(service_state)
        and (not has_succeeded or all(part.is_known_state for part in parts)),
        is_understood=_is_understood(job_type, response, found),
        code=redact(str(code)) if is_error else None,
        message=None if message is None else redact(str(message)),
        request_id=request_id(cleaned),
        response=redact(_one_line(cleaned)),
        raw=response,
        failed_parts=tuple(redact(_one_line(_map_texts(part.content, redact))) for part in parts if part.has_failed),
        parts=len(parts),
    )


def request_id(response: Mapping[str, Any]) -> str | None:
    """Return the service's id of the request, None if the response has none.

    :param response: the response body
    """
    value = response.get("RequestId")
    return value if isinstance(value, str) and value else None


def _result(job_type: JobType, found: Any) -> Any:
    if isinstance(found, str):
        return found.removesuffix("\n").removesuffix("\r") if found.strip() else None
    return None if job_type.result_kind is ResultKind.TEXT else found


def _service_state(job_type: JobType, response: dict[str, Any]) -> str | None:
    if job_type.state_path is not None:
        return _as_state(search(job_type.state_path, response))
    # A top-level state is the job's only in a response of the service: a gateway has states of its own.
    for place in (response.get("Data"), response if request_id(response) else None):
        if isinstance(place, dict):
            for name, value in place.items():
                if str(name).lower() in _UNDOCUMENTED_STATE_FIELDS and (state := _as_state(value)):
                    return state
    return None


def _as_state(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of a job, such as one output file of a transcoding."""

    content: Any
    state: JobState
    is_known_state: bool

    @property
    def has_failed(self) -> bool:
        return self.state in {JobState.FAILED, JobState.CANCELLED}


def _parts(job_type: JobType, response: dict[str, Any]) -> list[_Part]:
    found = search(job_type.parts_path, response)
    parts = []
    for content in found if isinstance(found, list) else []:
        text = _as_state(search(job_type.part_state_path, content)) if isinstance(content, dict) else None
        parts.append(_Part(content, job_type.state_of(text), job_type.knows_state(text)))
    return parts


def _state_of_all(parts: list[_Part]) -> JobState:
    """Return the state of a job whose own state says success: it has failed if one part has."""
    if any(part.has_failed for part in parts):
        return JobState.FAILED
    return JobState.SUCCEEDED if all(part.state is JobState.SUCCEEDED for part in parts) else JobState.RUNNING


def _is_understood(job_type: JobType, response: dict[str, Any], found: Any) -> bool:
    """Whether the result, and what contains it, have the form that is documented; absent and null count as empty."""
    if job_type.reports_state or job_type.result_path is None:
        return True
    container = search(job_type.result_path.rpartition(".")[0] or "@", response)
    return (
        (container is None or isinstance(container, dict))
        and (found is None or isinstance(found, str) or job_type.result_kind is not ResultKind.TEXT)
        and str(response.get("Success", "")).lower() != "false"
    )


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return a JSON value with each text in it changed."""
    match value:
        case str():
            return change(value)
        case list():
            return [_map_texts(item, change) for item in value]
        case dict():
            return {name: _map_texts(item, change) for name, item in value.items()}
        case _:
            return value


def search(path: str | None, content: Any) -> Any:
    """Return what a path of a job type finds in a response; None if there is nothing, or something of another type.

    :param path: JMESPath expression, None for no path
    :param content: the response body, or a part of it
    """
    if path is None:
        return None
    searcher, options, refused = _searcher(path)
    try:
        return searcher(content, options)
    except refused:
        return None


@functools.cache
def _searcher(path: str) -> tuple[Callable[[Any, Any], Any], Any, type[Exception]]:
    """Return what searches a path, its options, and the error for content that the path cannot be applied to."""
    import jmespath.exceptions  # noqa: PLC0415 - imported by calls, not by every parse of a DAG file

    return jmespath.compile(path).search, _options(), jmespath.exceptions.JMESPathTypeError


@functools.cache
def _options() -> Any:
    """Return the functions that paths have: those of JMESPath, and ``parse_json``."""
    from jmespath import Options, functions  # noqa: PLC0415 - as above

    class Functions(functions.Functions):
        @functions.signature({"types": []})
        def _func_parse_json(self, text: object) -> Any:
            try:
                return json.loads(text) if isinstance(text, str) else None
            except (ValueError, RecursionError):
                return None

    return Options(custom_functions=Functions())
