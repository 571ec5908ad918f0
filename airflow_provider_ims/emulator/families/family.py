"""What a job family is: data about its actions, parameters and responses."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_ims.emulator.media import MediaObject
    from airflow_provider_ims.emulator.parameters import Parameters


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
    """

    state: JobState
    result: Any = None


RUNNING = Outcome(JobState.RUNNING)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFamily:
    """One job family.

    A path is a dotted name of a field in a response, for example ``Data.JobId``.

    :param plan: checks the family's own parameters and returns the plan of the job; raises ``ApiError``.
    :param regions: regions that offer the family; None for all.
    :param required_parameters: parameters that a submission must have.
    :param user_data_limit: longest ``UserData`` in bytes; None for no limit.
    :param query_parameter: the query's parameter for the job id.
    :param job_id_path: where the response to a submission holds the job id.
    :param state_path: where the response to a query holds the state; None if it reports no state.
    :param state_words: the family's word for each state.
    :param result_path: where the response to a query holds the result; None if it returns none.
    :param base_response: fields that every response has.
    :param price: price in the bill.
    :param price_per: the unit that the price is for.
    """

    name: str
    submit_action: str
    query_action: str
    plan: Callable[[JobFamily, Submission], JobPlan]
    regions: tuple[str, ...] | None = None
    required_parameters: tuple[str, ...] = ()
    user_data_limit: int | None = None
    query_parameter: str = "JobId"
    job_id_path: str = "JobId"
    state_path: str | None = None
    state_words: Mapping[JobState, str] = field(default_factory=dict)
    result_path: str | None = None
    base_response: Mapping[str, Any] = field(default_factory=dict)
    price: Decimal = Decimal("1.00")
    price_per: PricePer = PricePer.JOB

    def submit_response(self, job_id: str) -> dict[str, Any]:
        """Return the response to a submission, without its RequestId."""
        return self._response((self.job_id_path, job_id))

    def query_response(self, outcome: Outcome) -> dict[str, Any]:
        """Return the response to a query, without its RequestId.

        :param outcome: how the job has ended, or the state RUNNING.
        """
        return self._response(
            (self.state_path, self.state_words.get(outcome.state)),
            (self.result_path, outcome.result if outcome.state is JobState.SUCCEEDED else None),
        )

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
        body = body.setdefault(parent, {})
    body[name] = value
