"""What a job family is: data about its actions, parameters and responses."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.emulator.errors import InvalidInputError
from airflow_provider_ims.emulator.media import MediaObject, canonical_media
from airflow_provider_ims.emulator.parameters import Parameters, invalid_parameter, json_object, json_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class JobState(StrEnum):
    """The state of a job. Each family has its own words for the states."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PricePer(StrEnum):
    """The unit that a price is for."""

    JOB = "job"
    MINUTE = "minute"


class LengthUnit(StrEnum):
    """The unit that the length of a text is counted in."""

    BYTES = "bytes"
    CHARACTERS = "characters"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ends.

    :param result: what a job that succeeds returns, any JSON value; None for nothing.
    :param parts: the parts of a job that succeeds or fails, each with fields of its own; None for no parts. Parts can
        fail although the job succeeds.
    :param error_code: code of a job that fails; None for none.
    :param error_message: message of a job that fails; None for none.
    :param word: what the query reports as the state, instead of the family's word.
    :param fields: further fields of the query of a job that has ended, by path.
    """

    state: JobState
    result: Any = None
    parts: Sequence[Mapping[str, Any]] | None = None
    error_code: str | None = None
    error_message: str | None = None
    word: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


RUNNING = Outcome(JobState.RUNNING)
SUCCEEDED = Outcome(JobState.SUCCEEDED)
CANCELLED = Outcome(JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Submission:
    """A request that submits a job.

    :param region: the region of the service.
    :param media_objects: the existing media objects by canonical name.
    :param expected: canonical names of the media objects that running jobs will create.
    :param earlier_job: returns the id of the latest job of the family on an existing media object, None for none.
    """

    parameters: Parameters
    region: str
    media_objects: Mapping[str, MediaObject]
    expected: frozenset[str] = frozenset()
    earlier_job: Callable[[str], str | None] = lambda _: None


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What a new job will do.

    :param family: the family whose responses the job's queries return.
    :param outcome: how the job ends.
    :param media: canonical name of the media object that the job reads; None if it reads none.
    :param source: that media object at the time of the submission; None if it does not exist.
    :param algo_type: the chosen algorithm; None in a family that has no choice.
    :param job_id: the id of the job, if the request or a media asset gives it; None for a new one.
    :param created: media objects that exist from the submission on.
    :param replaces: the id of an earlier job of the family that the submission deletes, with the asset of this id.
    :param outputs: media objects that exist when the job has succeeded.
    :param submit_fields: further fields of the response to the submission, by path.
    :param query_fields: further fields of the responses to queries, by path.
    :param siblings: further jobs of the same submission.
    """

    family: JobFamily
    outcome: Outcome
    media: str | None = None
    source: MediaObject | None = None
    algo_type: str | None = None
    job_id: str | None = None
    created: tuple[MediaObject, ...] = ()
    replaces: str | None = None
    outputs: tuple[MediaObject, ...] = ()
    submit_fields: Mapping[str, Any] = field(default_factory=dict)
    query_fields: Mapping[str, Any] = field(default_factory=dict)
    siblings: tuple[JobPlan, ...] = ()


def plan_by_row(family: JobFamily, submission: Submission) -> JobPlan:
    """Plan a job from the row of its family alone.

    The media parameter holds a media reference, or a JSON object that has one as ``Media``.

    :raises ApiError: if the media parameter is not valid.
    """
    name = family.media_parameter
    if name is None:
        return JobPlan(family, family.outcome)
    text = submission.parameters.required(name)
    reference = json_object(text, name).get("Media") if text.startswith("{") else text
    if not isinstance(reference, str):
        raise invalid_parameter(name, "Media must be a string")
    try:
        media = canonical_media(reference, submission.region)
    except InvalidInputError as error:
        raise invalid_parameter(name, str(error)) from None
    return JobPlan(family, family.outcome, media, submission.media_objects.get(media))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFamily:
    """One job family.

    A path is a dotted name of a field in a response, for example ``Data.JobId``. ``Jobs[0].State`` is a field of the
    only object in a list.

    :param query_action: None if jobs cannot be queried.
    :param cancel_action: None if jobs cannot be cancelled.
    :param regions: regions that offer the family; None for all.
    :param required_parameters: parameters that a submission must have.
    :param alternatives: groups of parameters, of each of which a submission must have one.
    :param body_parameters: parameters that must be in the form body. All others must be in the query string.
    :param media_parameter: the parameter that names the media object of the job; None if there is none. In built-in
        families a path may follow, for example ``Config.Inputs[0].InputFile``.
    :param media_types: values of ``Type`` next to the name of the media object.
    :param user_data_limit: longest ``UserData``; None for no limit.
    :param user_data_unit: the unit of this limit.
    :param client_token: whether a submission with the ``ClientToken`` of an earlier one returns the earlier job.
    :param query_parameter: parameter of the query that holds the job id.
    :param cancel_parameter: that of the cancel action; None if it has the same name.
    :param cancel_word: the word that a job must be in to be cancelled; None for any word of a running job.
    :param list_path: where the response to a query holds a list of jobs; None if it returns one job.
    :param list_filters: parameters of a query without job ids that select jobs, with the path of the field to compare.
    :param list_needs_filter: whether a query must have job ids or one of these parameters.
    :param missing_path: where the response to a query lists the ids that do not exist; None if it does not.
    :param job_id_path: where the response to a submission holds the job id.
    :param submit_state_path: where the response to a submission holds the state; None if it reports no state.
    :param query_id_path: where the response to a query holds the job id; None if it does not.
    :param cancel_id_path: where the response to a cancellation holds the job id; None if it does not.
    :param state_path: where the response to a query holds the state; None if it reports no state.
    :param state_words: the family's word for each state.
    :param running_words: its words for a running job, in their order; empty for the word of ``state_words`` only.
    :param result_path: where the response to a query holds the result; None if it returns none.
    :param parts_path: where the response to a query holds the list of parts; None if it returns none.
    :param code_path: where the response to a query holds the error code; None if it returns none.
    :param message_path: where the response to a query holds the error message; None if it returns none.
    :param error_text_path: where the response to a query holds both as the text of a JSON object; None if it does not.
    :param error_text_names: the names of code and message in this text.
    :param created_path: where the response to a query holds the time of the submission in seconds; None for nowhere.
    :param modified_path: where it holds the time of the last change; None for nowhere.
    :param text_echoes: parameters that the response to a query repeats, by path.
    :param json_echoes: such parameters that it repeats as the JSON value of their text.
    :param base_response: fields that every response has.
    :param submit_base: those of the response to a submission; None for ``base_response``.
    :param price: price in the bill.
    :param price_per: the unit that the price is for.
    :param outcome: how jobs of the family end. A family with a ``plan`` of its own may ignore it.
    :param plan: checks the family's own parameters and returns the plan of a new job.
    :param query_without_job: the response to a query for an object that no job has made; it returns None if there is
        no such object.
    """

    name: str
    submit_action: str
    query_action: str | None
    cancel_action: str | None = None
    regions: tuple[str, ...] | None = None
    required_parameters: tuple[str, ...] = ()
    alternatives: tuple[tuple[str, ...], ...] = ()
    body_parameters: tuple[str, ...] = ()
    media_parameter: str | None = None
    media_types: tuple[str, ...] = ("OSS", "Media")
    user_data_limit: int | None = None
    user_data_unit: LengthUnit = LengthUnit.BYTES
    client_token: bool = False
    query_parameter: str = "JobId"
    cancel_parameter: str | None = None
    cancel_word: str | None = None
    list_path: str | None = None
    list_filters: Mapping[str, str] = field(default_factory=dict)
    list_needs_filter: bool = False
    missing_path: str | None = None
    job_id_path: str = "JobId"
    submit_state_path: str | None = None
    query_id_path: str | None = None
    cancel_id_path: str | None = None
    state_path: str | None = None
    state_words: Mapping[JobState, str] = field(default_factory=dict)
    running_words: tuple[str, ...] = ()
    result_path: str | None = None
    parts_path: str | None = None
    code_path: str | None = None
    message_path: str | None = None
    error_text_path: str | None = None
    error_text_names: tuple[str, str] = ("Code", "Message")
    created_path: str | None = None
    modified_path: str | None = None
    text_echoes: Mapping[str, str] = field(default_factory=dict)
    json_echoes: Mapping[str, str] = field(default_factory=dict)
    base_response: Mapping[str, Any] = field(default_factory=dict)
    submit_base: Mapping[str, Any] | None = None
    price: Decimal = Decimal("1.00")
    price_per: PricePer = PricePer.JOB
    outcome: Outcome = SUCCEEDED
    plan: Callable[[JobFamily, Submission], JobPlan] = plan_by_row
    query_without_job: Callable[[Submission], dict[str, Any] | None] | None = None

    @property
    def actions(self) -> dict[str, str]:
        """The actions of the family, by the name of the field that holds them."""
        actions = {
            "submit_action": self.submit_action,
            "query_action": self.query_action,
            "cancel_action": self.cancel_action,
        }
        return {purpose: action for purpose, action in actions.items() if action is not None}

    def echoes(self, parameters: Parameters) -> dict[str, Any]:
        """Return the fields of query responses that repeat parameters, by path.

        :raises ApiError: if the text of a parameter is not JSON.
        """
        texts = {path: parameters.get(name) for path, name in self.text_echoes.items()}
        values = {
            path: json_value(text, name)
            for path, name in self.json_echoes.items()
            if (text := parameters.get(name)) is not None
        }
        return {path: value for path, value in {**texts, **values}.items() if value is not None}

    def word(self, outcome: Outcome, progress: float = 0.0) -> str | None:
        """Return the word for a state.

        :param progress: the part of its time that a running job has taken, from 0 to 1.
        """
        if outcome.word is not None:
            return outcome.word
        if outcome.state is JobState.RUNNING and self.running_words:
            count = len(self.running_words)
            return self.running_words[min(int(progress * count), count - 1)]
        return self.state_words.get(outcome.state)

    def submit_response(self, job_id: str, fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the response to a submission, without its RequestId.

        :param fields: further fields by path.
        """
        base = self.base_response if self.submit_base is None else self.submit_base
        values = {**(fields or {})}
        if self.submit_state_path is not None:
            values[self.submit_state_path] = self.word(RUNNING)
        return response(base, [(self.job_id_path, job_id), *values.items()])

    def query_response(
        self,
        outcome: Outcome,
        *,
        job_id: str | None = None,
        progress: float = 0.0,
        fields: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the response to a query, without its RequestId.

        :param outcome: how the job has ended, or the state RUNNING.
        :param progress: the part of its time that a running job has taken, from 0 to 1.
        :param fields: further fields by path.
        """
        values: list[tuple[str | None, Any]] = [
            (self.state_path, self.word(outcome, progress)),
            (self.query_id_path, job_id),
            *(fields or {}).items(),
        ]
        if outcome.state in {JobState.SUCCEEDED, JobState.FAILED}:
            values += [(self.parts_path, outcome.parts), *outcome.fields.items()]
        match outcome.state:
            case JobState.SUCCEEDED:
                values += [(self.result_path, outcome.result)]
            case JobState.FAILED:
                values += [(self.code_path, outcome.error_code), (self.message_path, outcome.error_message)]
                values += [(self.error_text_path, self._error_text(outcome))]
        return response(self.base_response, values)

    def cancel_response(self, job_id: str) -> dict[str, Any]:
        """Return the response to a cancellation, without its RequestId."""
        return response(self.base_response, [(self.cancel_id_path, job_id)])

    def _error_text(self, outcome: Outcome) -> str | None:
        texts = zip(self.error_text_names, (outcome.error_code, outcome.error_message), strict=True)
        error = {name: text for name, text in texts if text is not None}
        return json.dumps(error, ensure_ascii=False) if error else None


def words(
    running: Sequence[str], succeeded: str, failed: str, cancelled: str | None = None
) -> tuple[tuple[str, ...], dict[JobState, str]]:
    """Return the ``running_words`` and ``state_words`` of a family.

    :param cancelled: by default the word of a job that has failed.
    """
    return tuple(running), {
        JobState.RUNNING: running[0],
        JobState.SUCCEEDED: succeeded,
        JobState.FAILED: failed,
        JobState.CANCELLED: cancelled or failed,
    }


def response(base: Mapping[str, Any], values: Sequence[tuple[str | None, Any]]) -> dict[str, Any]:
    """Return a copy of a response with further fields. Values that are None are left out, as are paths."""
    body = deepcopy(dict(base))
    for path, value in values:
        if path is not None and value is not None:
            _put(body, path, value)
    return body


def _put(body: dict[str, Any], path: str, value: object) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        key, is_list, _ = parent.partition("[0]")
        body = body.setdefault(key, [{}])[0] if is_list else body.setdefault(key, {})
    key, is_list, _ = name.partition("[0]")
    body[key] = [value] if is_list else value
