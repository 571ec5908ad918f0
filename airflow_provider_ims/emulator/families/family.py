"""What a job family is: data about its actions, parameters and responses."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.emulator.errors import InvalidInputError
from airflow_provider_ims.emulator.media import MediaObject, canonical_media
from airflow_provider_ims.emulator.parameters import Parameters, invalid_parameter, json_object

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


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ends.

    :param result: what a job that succeeds returns, any JSON value; None for nothing.
    :param parts: the parts of a job that succeeds or fails, each with fields of its own; None for no parts. Parts can
        fail although the job succeeds.
    :param error_code: code of a job that fails; None for none.
    :param error_message: message of a job that fails; None for none.
    """

    state: JobState
    result: Any = None
    parts: Sequence[Mapping[str, Any]] | None = None
    error_code: str | None = None
    error_message: str | None = None


RUNNING = Outcome(JobState.RUNNING)
SUCCEEDED = Outcome(JobState.SUCCEEDED)
CANCELLED = Outcome(JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Submission:
    """A request that submits a job.

    :param region: the region of the service.
    :param media_objects: the existing media objects by canonical name.
    """

    parameters: Parameters
    region: str
    media_objects: Mapping[str, MediaObject]


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What a new job will do.

    :param family: the family whose responses the job's queries return.
    :param outcome: how the job ends.
    :param media: canonical name of the media object that the job reads; None if it reads none.
    :param source: that media object at the time of the submission; None if it does not exist.
    :param algo_type: the chosen algorithm; None in a family that has no choice.
    """

    family: JobFamily
    outcome: Outcome
    media: str | None = None
    source: MediaObject | None = None
    algo_type: str | None = None


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

    :param cancel_action: None if jobs cannot be cancelled.
    :param regions: regions that offer the family; None for all.
    :param required_parameters: parameters that a submission must have.
    :param body_parameters: those of them that must be in the form body.
    :param media_parameter: the one of them that names the media object of the job; None if there is none.
    :param user_data_limit: longest ``UserData`` in bytes; None for no limit.
    :param client_token: whether a submission with the ``ClientToken`` of an earlier one returns the earlier job.
    :param query_parameter: parameter of the query and cancel actions that holds the job id.
    :param job_id_path: where the response to a submission holds the job id.
    :param state_path: where the response to a query holds the state; None if it reports no state.
    :param state_words: the family's word for each state.
    :param result_path: where the response to a query holds the result; None if it returns none.
    :param parts_path: where the response to a query holds the list of parts; None if it returns none.
    :param code_path: where the response to a query holds the error code; None if it returns none.
    :param message_path: where the response to a query holds the error message; None if it returns none.
    :param base_response: fields that every response has.
    :param price: price in the bill.
    :param price_per: the unit that the price is for.
    :param outcome: how jobs of the family end. A family with a ``plan`` of its own may ignore it.
    :param plan: checks the family's own parameters and returns the plan of a new job.
    """

    name: str
    submit_action: str
    query_action: str
    cancel_action: str | None = None
    regions: tuple[str, ...] | None = None
    required_parameters: tuple[str, ...] = ()
    body_parameters: tuple[str, ...] = ()
    media_parameter: str | None = None
    user_data_limit: int | None = None
    client_token: bool = False
    query_parameter: str = "JobId"
    job_id_path: str = "JobId"
    state_path: str | None = None
    state_words: Mapping[JobState, str] = field(default_factory=dict)
    result_path: str | None = None
    parts_path: str | None = None
    code_path: str | None = None
    message_path: str | None = None
    base_response: Mapping[str, Any] = field(default_factory=dict)
    price: Decimal = Decimal("1.00")
    price_per: PricePer = PricePer.JOB
    outcome: Outcome = SUCCEEDED
    plan: Callable[[JobFamily, Submission], JobPlan] = plan_by_row

    @property
    def actions(self) -> dict[str, str]:
        """The actions of the family, by the name of the field that holds them."""
        actions = {"submit_action": self.submit_action, "query_action": self.query_action}
        return actions if self.cancel_action is None else {**actions, "cancel_action": self.cancel_action}

    def submit_response(self, job_id: str) -> dict[str, Any]:
        """Return the response to a submission, without its RequestId."""
        return self._response((self.job_id_path, job_id))

    def query_response(self, outcome: Outcome) -> dict[str, Any]:
        """Return the response to a query, without its RequestId.

        :param outcome: how the job has ended, or the state RUNNING.
        """
        values: list[tuple[str | None, Any]] = [(self.state_path, self.state_words.get(outcome.state))]
        match outcome.state:
            case JobState.SUCCEEDED:
                values += [(self.result_path, outcome.result), (self.parts_path, outcome.parts)]
            case JobState.FAILED:
                values += [(self.code_path, outcome.error_code), (self.message_path, outcome.error_message)]
                values += [(self.parts_path, outcome.parts)]
        return self._response(*values)

    def cancel_response(self) -> dict[str, Any]:
        """Return the response to a cancellation, without its RequestId."""
        return self._response()

    def _response(self, *values: tuple[str | None, Any]) -> dict[str, Any]:
        body = deepcopy(dict(self.base_response))
        for path, value in values:
            if path is not None and value is not None:
                _put(body, path, value)
        return body


@dataclass(frozen=True, slots=True)
class FixedAction:
    """An action that always returns the same response.

    :param regions: regions that offer the action; None for all.
    """

    action: str
    response: Mapping[str, Any]
    regions: tuple[str, ...] | None = None


def _put(body: dict[str, Any], path: str, value: object) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        key, is_list, _ = parent.partition("[0]")
        body = body.setdefault(key, [{}])[0] if is_list else body.setdefault(key, {})
    key, is_list, _ = name.partition("[0]")
    body[key] = [value] if is_list else value
