"""The cases of the kit, and the assumptions that each one checks: rows of data."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_ims.exceptions import ImsCredentialsError, ImsThrottledError
from airflow_provider_ims.jobs.response import read_snapshot
from airflow_provider_ims.jobs.types import JobSnapshot, JobState
from airflow_provider_ims.jobs.watermark_jobs import COPYRIGHT, COPYRIGHT_EXTRACT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_ims.jobs.types import JobType
    from airflow_provider_ims.verify.calls import Exchange

SHORTEST_V1 = 180
"""Seconds of the shortest video that v1 embeds in, by the vendor; extraction is assumed to need the same."""
EMBEDDED_TEXT = "ims-verify"
"""The text that ``--embed`` embeds."""


class Video(StrEnum):
    """What a video of the user is."""

    MARKED = "marked"
    SHORT = "short"
    UNMARKED = "unmarked"
    MISSING = "missing"


class Verdict(NamedTuple):
    """What the responses say about an assumption.

    :param holds: None if they say nothing
    :param case: the case whose response decided; None if there is none
    :param found: what the response is, before the ids of the account are removed
    """

    holds: bool | None
    case: str | None
    found: str


NOT_OBSERVED = Verdict(None, None, "not observed")


class Place(NamedTuple):
    """What to change if an assumption does not hold.

    :param file: path in the repository
    :param row: of a page, the first cell of the row of a table; of a module, a text to search for
    """

    file: str
    row: str


@dataclass(frozen=True, slots=True)
class Assumption:
    """One statement about the service that its vendor does not make, or makes for another product.

    :param text: the statement
    :param check: compares responses with it
    :param places: what to change if it does not hold
    """

    text: str
    check: Callable[[Sequence[CaseResult]], Verdict]
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    :param name: its name, as in ``--skip``
    :param question: what it finds out
    :param action: the action that it calls; None for a case that looks at the responses of others
    :param video: the video of its job
    :param algo_type: the ``algoType`` of its job; None if there is no job, or for the algorithm of the marked video
    :param job_type: the family of its job; None if it submits none
    :param looks_at: names of the cases whose responses its assumptions are compared with; empty for its own
    :param assumptions: what it checks
    """

    name: str
    question: str
    action: str | None
    video: Video | None = None
    algo_type: str | None = None
    job_type: JobType | None = None
    looks_at: tuple[str, ...] = ()
    assumptions: tuple[Assumption, ...] = ()


@dataclass(slots=True)
class CaseResult:
    """What a run has seen of a case.

    :param case: the case
    :param not_run: why it was not run; None if it was
    :param submitted_at: when its job was submitted, in seconds since the epoch; None while it was not
    :param submission: the response to the submission; None while the request is on its way
    :param is_unknown: whether it is unknown if a job exists
    :param job_id: the job
    :param polls: the responses to its queries, the oldest first
    :param expected_text: the text of the watermark, if the kit has embedded it
    :param algo_type: the ``algoType`` of its job
    :param seconds: duration of its video
    """

    case: Case
    not_run: str | None = None
    submitted_at: float | None = None
    submission: Exchange | None = None
    is_unknown: bool = False
    job_id: str | None = None
    polls: list[Exchange] = field(default_factory=list)
    expected_text: str | None = None
    algo_type: str | None = None
    seconds: Decimal = Decimal(0)

    @property
    def is_spent(self) -> bool:
        """Whether its job is, or may be, billed."""
        return self.job_id is not None or self.is_unknown

    @property
    def goes_on(self) -> bool:
        """Whether its job was not seen to end."""
        return self.job_id is not None and self.end is None

    @property
    def responses(self) -> list[Exchange]:
        """The responses to its queries that say something of the job: neither throttling nor a refused identity."""
        passing = (ImsThrottledError, ImsCredentialsError)
        return [one for one in self.polls if one.status is not None and not isinstance(one.error, passing)]

    @property
    def end(self) -> JobSnapshot | None:
        """The last response, if it says that the job has ended."""
        last = snapshot(self, self.responses[-1]) if self.responses else None
        return None if last is None or last.state is JobState.RUNNING else last


def snapshot(result: CaseResult, response: Exchange) -> JobSnapshot | None:
    """Return what the provider reads in a response; None for an error.

    :param result: the case of the job
    :param response: the response to a query
    """
    job_type, content = result.case.job_type, response.content
    if job_type is None or content is None:
        return None
    return read_snapshot(job_type, result.job_id or "", content)


# ---- what responses are compared with


def _describe(result: CaseResult, response: Exchange) -> str:
    one = None if response is result.submission else snapshot(result, response)
    if one is None:
        return response.summary
    state = "no state" if one.service_state is None else f"the state {one.service_state!r}"
    size = f"a text of {len(one.result)} characters" if isinstance(one.result, str) else "no text"
    code = "" if one.code is None else f", the code {one.code}"
    return f"{response.summary} with {size} and {state}{code}"


def _is_empty(result: CaseResult, response: Exchange) -> bool:
    one = snapshot(result, response)
    return one is not None and one.is_empty


def _of_each(
    results: Sequence[CaseResult],
    choose: Callable[[CaseResult], Sequence[Exchange]],
    holds: Callable[[CaseResult, Exchange], bool],
) -> Verdict:
    """Compare the chosen responses of all results; the first that does not fit decides."""
    chosen = [(result, response) for result in results for response in choose(result)]
    for result, response in chosen:
        if not holds(result, response):
            return Verdict(holds=False, case=result.case.name, found=_describe(result, response))
    if not chosen:
        return NOT_OBSERVED
    result, response = chosen[0]
    return Verdict(holds=True, case=result.case.name, found=_describe(result, response))


def _last(result: CaseResult) -> Sequence[Exchange]:
    return result.responses[-1:]


def _while_running(result: CaseResult) -> Sequence[Exchange]:
    """Return the responses that came while the job was running.

    That is certain before a text arrived. Otherwise only the response right after the submission counts.
    """
    has_text = result.end is not None and isinstance(result.end.result, str)
    return result.responses[:-1] if has_text else result.responses[:1]


def _running_is_empty(results: Sequence[CaseResult]) -> Verdict:
    return _of_each(results, _while_running, _is_empty)


def _end_is_empty(results: Sequence[CaseResult]) -> Verdict:
    return _of_each(results, _last, _is_empty)


def _finds_nothing(results: Sequence[CaseResult]) -> Verdict:
    def holds(result: CaseResult, response: Exchange) -> bool:
        one = snapshot(result, response)
        return one is None or not isinstance(one.result, str)

    return _of_each(results, _last, holds)


def _has_text(results: Sequence[CaseResult]) -> Verdict:
    def holds(result: CaseResult, response: Exchange) -> bool:
        one = snapshot(result, response)
        return one is not None and one.state is JobState.SUCCEEDED and isinstance(one.result, str)

    return _of_each(results, _last, holds)


def _has_embedded_text(results: Sequence[CaseResult]) -> Verdict:
    embedded = [result for result in results if result.expected_text is not None]

    def holds(result: CaseResult, response: Exchange) -> bool:
        one = snapshot(result, response)
        return one is not None and one.result == result.expected_text

    return _of_each(embedded, _last, holds)


def _short_v2_has_text(results: Sequence[CaseResult]) -> Verdict:
    return _has_text([result for result in results if result.algo_type == "v2" and result.seconds < SHORTEST_V1])


def _has_no_newline(results: Sequence[CaseResult]) -> Verdict:
    ended = [result for result in results if result.end is not None and isinstance(result.end.result, str)]

    def holds(_: CaseResult, response: Exchange) -> bool:
        return not str((response.content or {})["Data"]["Message"]).endswith("\n")

    return _of_each(ended, _last, holds)


def _submissions(result: CaseResult) -> Sequence[Exchange]:
    """Return the response to the submission, if it says something of the request itself."""
    one = result.submission
    passing = (ImsThrottledError, ImsCredentialsError)
    return [] if one is None or one.may_have_been_carried_out or isinstance(one.error, passing) else [one]


def _is_accepted(results: Sequence[CaseResult]) -> Verdict:
    def choose(result: CaseResult) -> Sequence[Exchange]:
        return [one for one in _submissions(result) if one.status is not None]

    return _of_each(results, choose, lambda _, response: response.error is None)


def _accepted(result: CaseResult) -> Sequence[Exchange]:
    return [one for one in _submissions(result) if one.content is not None]


def _has_documented_shape(results: Sequence[CaseResult]) -> Verdict:
    def holds(_: CaseResult, response: Exchange) -> bool:
        content = response.content or {}
        return (
            isinstance(content.get("Data"), dict)
            and content.get("Message") == "ok"
            and content.get("StatusCode") == 200  # noqa: PLR2004 - the documented value
            and isinstance(content.get("RequestId"), str)
        )

    return _of_each(results, _accepted, holds)


def _has_hexadecimal_id(results: Sequence[CaseResult]) -> Verdict:
    submitted = [result for result in results if result.job_id is not None]
    return _of_each(submitted, _accepted, lambda result, _: bool(_JOB_ID.fullmatch(result.job_id or "")))


_JOB_ID = re.compile(r"[0-9a-f]{32}")


def _repeats_request_id(results: Sequence[CaseResult]) -> Verdict:
    def holds(_: CaseResult, response: Exchange) -> bool:
        request_id = str((response.content or {}).get("RequestId"))
        return request_id == request_id.upper() == response.headers.get("x-acs-request-id")

    return _of_each(results, _accepted, holds)


def _is_job_not_found(results: Sequence[CaseResult]) -> Verdict:
    return _of_each(results, _last, lambda _, response: (response.status, response.code) == (404, "JobNotFound"))


def _is_an_error_body(results: Sequence[CaseResult]) -> Verdict:
    names = {"RequestId", "HostId", "Code", "Message", "Recommend"}

    def choose(result: CaseResult) -> Sequence[Exchange]:
        return [one for one in result.responses if one.error is not None]

    def holds(_: CaseResult, response: Exchange) -> bool:
        return isinstance(response.body, dict) and {"RequestId", "Code", "Message"} <= response.body.keys() <= names

    return _of_each(results, choose, holds)


def _throttled(result: CaseResult) -> Sequence[Exchange]:
    everything = [*result.polls, *([result.submission] if result.submission else [])]
    return [one for one in everything if isinstance(one.error, ImsThrottledError)]


def _is_throttling_user(results: Sequence[CaseResult]) -> Verdict:
    return _of_each(results, _throttled, lambda _, response: (response.status, response.code) == (400, _THROTTLING))


_THROTTLING = "Throttling.User"


def _has_retry_after(results: Sequence[CaseResult]) -> Verdict:
    verdict = _of_each(results, _throttled, lambda _, one: one.headers.get("x-acs-retry-after", "").isdigit())
    values = {one.headers.get("x-acs-retry-after", "none") for result in results for one in _throttled(result)}
    found = f"{verdict.found} with {', '.join(sorted(values))}"
    return verdict if verdict.holds is None else verdict._replace(found=found)


def _state_words(*words: str, has_ended: bool) -> Callable[[Sequence[CaseResult]], Verdict]:
    """Return a check of the words for the state of a job: while it runs, or at its end."""

    def choose(result: CaseResult) -> Sequence[Exchange]:
        ended = result.responses[-1:] if result.end else []
        return ended if has_ended else result.responses[: -1 if result.end else None]

    def holds(result: CaseResult, response: Exchange) -> bool:
        one = snapshot(result, response)
        return one is not None and one.service_state in words

    return lambda results: _of_each(results, choose, holds)


def _result_is_json(results: Sequence[CaseResult]) -> Verdict:
    def holds(_: CaseResult, response: Exchange) -> bool:
        entries = (response.content or {}).get("Data")
        text = entries[0].get("Result") if isinstance(entries, list) and entries else None
        try:
            return "Code" in json.loads(text) if isinstance(text, str) else False
        except (ValueError, TypeError):
            return False

    return _of_each([result for result in results if result.end], _last, holds)


# ---- the rows

_PAGE = "docs/service.md"
_FAMILY = Place("airflow_provider_ims/jobs/watermark_jobs.py", "COPYRIGHT_EXTRACT = _extract(")
_EMBED_FAMILY = Place("airflow_provider_ims/jobs/watermark_jobs.py", "COPYRIGHT = _embed(")
_STATES = Place("airflow_provider_ims/jobs/response.py", "_UNDOCUMENTED_STATE_FIELDS = ")
_EMULATED = Place("airflow_provider_ims/emulator/families/copyright.py", "EXTRACT = JobFamily(")
_EMULATED_EMBED = Place("airflow_provider_ims/emulator/families/copyright.py", "EMBED = JobFamily(")
_TEXT_OF = Place("airflow_provider_ims/emulator/families/copyright.py", "def _extracted_text(")
_PROTOCOL = "airflow_provider_ims/api/protocol.py"


def _row(text: str) -> Place:
    return Place(_PAGE, text)


_END_IS_EMPTY = Assumption(
    "The response for a job that finds nothing, or fails, is empty: no text, no state.",
    _end_is_empty,
    (_row("so does a job that finds nothing or fails"), _FAMILY, _STATES, _EMULATED),
)


def _finding_nothing(text: str, *places: Place) -> tuple[Assumption, ...]:
    return (Assumption(text, _finds_nothing, places), _END_IS_EMPTY)


_EXTRACTIONS = ("found", "unmarked", "mismatch", "too-short")
_SUBMISSIONS = ("embed", *_EXTRACTIONS, "missing")
_SUBMIT, _QUERY = COPYRIGHT_EXTRACT.submit_action, "QueryCopyrightExtractJob"
LIST = "QueryCopyrightJobList"

CASES = (
    Case(
        "unknown-job",
        "What a query for an unknown JobId returns.",
        _QUERY,
        assumptions=(
            Assumption(
                "An unknown JobId is HTTP 404, JobNotFound.",
                _is_job_not_found,
                (
                    _row(
                        "an unknown JobId is 404 `JobNotFound` (or, by setting, returns the response of a running job)"
                    ),
                    Place(_PROTOCOL, r'_rule(r"(Invalid|.*\.)?Job(Id)?\.?NotFound(\..*)?"'),
                    Place("airflow_provider_ims/emulator/actions.py", '"JobNotFound"'),
                ),
            ),
            Assumption(
                "An error has the fields RequestId, Code and Message, perhaps HostId and Recommend, and no others.",
                _is_an_error_body,
                (_row("error body `RequestId`, `HostId`, `Code`, `Message`, `Recommend`"),),
            ),
        ),
    ),
    Case(
        "embed",
        "How an embedding job runs and ends (only with --embed).",
        COPYRIGHT.submit_action,
        Video.UNMARKED,
        "v2",
        COPYRIGHT,
        assumptions=(
            Assumption(
                "The state of a running embedding job is processing.",
                _state_words("processing", has_ended=False),
                (_row("... `processing` and `fail`"), _EMBED_FAMILY, _EMULATED_EMBED),
            ),
            Assumption(
                "The state of an embedding job that has succeeded is success.",
                _state_words("success", has_ended=True),
                (_row("watermark lists: `success`"), _EMBED_FAMILY, _EMULATED_EMBED),
            ),
            Assumption(
                "Result is the text of a JSON object with a Code.",
                _result_is_json,
                (_row("those of watermark lists are JSON in `Result`"), _EMBED_FAMILY),
            ),
        ),
    ),
    Case(
        "found",
        "When and how the text of a marked video comes.",
        _SUBMIT,
        Video.MARKED,
        None,
        COPYRIGHT_EXTRACT,
        assumptions=(
            Assumption(
                "The text of a finished job is in Data.Message.",
                _has_text,
                (_row("the text of a finished job is in `Data.Message`"), _FAMILY),
            ),
            Assumption(
                "The text does not end with a newline.",
                _has_no_newline,
                (
                    _row("the text can end with a newline (off by default)"),
                    Place("airflow_provider_ims/emulator/media.py", "trailing_newline: bool = False"),
                ),
            ),
            Assumption(
                "v2 finds a text in a video of less than 3 minutes.",
                _short_v2_has_text,
                (
                    _row("`v2` has no minimum length"),
                    Place("airflow_provider_ims/emulator/families/copyright.py", "MIN_DURATION = "),
                ),
            ),
            Assumption(
                "An extraction finds the text that an embedding job has embedded.",
                _has_embedded_text,
                (_row("the output of an embedding job has its text, and an extraction finds it"), _TEXT_OF),
            ),
        ),
    ),
    Case(
        "unmarked",
        "What the job of an unmarked video returns.",
        _SUBMIT,
        Video.UNMARKED,
        "v2",
        COPYRIGHT_EXTRACT,
        assumptions=_finding_nothing("Nothing is found in an unmarked video.", _TEXT_OF),
    ),
    Case(
        "mismatch",
        "What a job with another algoType than that of the mark returns.",
        _SUBMIT,
        Video.SHORT,
        "v2",
        COPYRIGHT_EXTRACT,
        assumptions=_finding_nothing(
            "Another algoType than that of the mark finds nothing.",
            _row("another `algoType` than the embedding one finds nothing"),
            _TEXT_OF,
        ),
    ),
    Case(
        "too-short",
        "What the job of a marked video that is too short returns.",
        _SUBMIT,
        Video.SHORT,
        "v1",
        COPYRIGHT_EXTRACT,
        assumptions=_finding_nothing(
            "v1 finds nothing in a video of less than 3 minutes.",
            _row("`v1` finds nothing in a video of less than 3 minutes"),
            Place("airflow_provider_ims/emulator/families/copyright.py", "MIN_DURATION = "),
        ),
    ),
    Case(
        "missing",
        "Whether a missing object is refused, and what its job returns.",
        _SUBMIT,
        Video.MISSING,
        "v2",
        COPYRIGHT_EXTRACT,
        assumptions=(
            Assumption(
                "A submission for a missing object is accepted.",
                _is_accepted,
                (
                    _row("a submission for a missing object is accepted, and the job finds nothing"),
                    Place(
                        "airflow_provider_ims/emulator/families/copyright.py",
                        "# A media object that does not exist is accepted; its job finds nothing.",
                    ),
                ),
            ),
            _END_IS_EMPTY,
        ),
    ),
    Case(
        "running",
        "What a query for a running job returns (looks at the jobs of other cases).",
        None,
        looks_at=_EXTRACTIONS,
        assumptions=(
            Assumption(
                "The response for a running job is empty: no text, no state, no error.",
                _running_is_empty,
                (
                    _row("a running job returns empty `Data`, without text or state"),
                    _FAMILY,
                    _STATES,
                    _EMULATED,
                    Place("airflow_provider_ims/jobs/polling.py", "NOT_FOUND_GRACE = "),
                ),
            ),
        ),
    ),
    Case(
        "submissions",
        "What an accepted submission returns (looks at the jobs of other cases).",
        None,
        looks_at=_SUBMISSIONS,
        assumptions=(
            Assumption(
                "An accepted submission has Data, Message ok, RequestId and StatusCode 200.",
                _has_documented_shape,
                (
                    _row(
                        'shapes of the responses of the watermark families: `Data`, `Message` "ok", `RequestId`, '
                        "`StatusCode` 200"
                    ),
                ),
            ),
            Assumption(
                "A JobId is 32 hexadecimal digits.", _has_hexadecimal_id, (_row("JobId of 32 hexadecimal digits"),)
            ),
            Assumption(
                "The RequestId is in upper case, and repeated in the header x-acs-request-id.",
                _repeats_request_id,
                (_row("... in upper case, repeated in the header `x-acs-request-id`"),),
            ),
        ),
    ),
    Case(
        "throttling",
        "Which code and headers throttling has (sends many free queries at once).",
        LIST,
        looks_at=("throttling", "unknown-job", *_SUBMISSIONS),
        assumptions=(
            Assumption(
                "Throttling is HTTP 400, Throttling.User.",
                _is_throttling_user,
                (
                    _row("throttling is 400 `Throttling.User`, with `x-acs-retry-after` in milliseconds"),
                    Place(_PROTOCOL, '_rule(r"(Throttling|RequestsTooFrequent)'),
                ),
            ),
            Assumption(
                "A throttled response has the header x-acs-retry-after, a whole number.",
                _has_retry_after,
                (
                    _row("throttling is 400 `Throttling.User`, with `x-acs-retry-after` in milliseconds"),
                    Place(_PROTOCOL, "def retry_after("),
                ),
            ),
        ),
    ),
)
"""All cases, in the order in which they run."""


def judge(results: Sequence[CaseResult]) -> list[tuple[Case, Assumption, Verdict]]:
    """Compare the responses of a run with all assumptions.

    :param results: one for each case
    """
    verdicts = []
    for result in results:
        names = result.case.looks_at or (result.case.name,)
        seen = [one for one in results if one.case.name in names and result.not_run is None]
        verdicts += [(result.case, one, one.check(seen)) for one in result.case.assumptions]
    return verdicts
