"""One submission: what it asks for, who is told what becomes of it, and what to say where nobody knows."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_ims.exceptions import ImsSubmitUnknownError

if TYPE_CHECKING:
    from collections.abc import Mapping

CLIENT_TOKEN = "ClientToken"  # noqa: S105 - the name of a parameter
"""The parameter that makes a submission safe to repeat, where the family takes it."""
USER_DATA = "UserData"

# What these say does not change what the job does: who says something else there asks for the same.
_LABELS = frozenset({CLIENT_TOKEN, USER_DATA})


class Asked(Protocol):
    """What is known of a submission: by who sends it, or by who remembers it."""

    @property
    def action(self) -> str:
        """The submit action."""

    @property
    def region(self) -> str:
        """Region of the job."""

    @property
    def what(self) -> str:
        """The action and what it is about, for messages."""

    @property
    def digest(self) -> str:
        """A short name of what is asked for: equal for requests that ask for the same."""

    @property
    def user_data(self) -> str | None:
        """``UserData``, None for none."""

    @property
    def client_token(self) -> str | None:
        """``ClientToken``, None for none."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a submission asks for.

    :param action: the submit action
    :param region: region of the job
    :param params: the action's parameters by the vendor's names
    """

    action: str
    region: str
    params: Mapping[str, Any]

    @property
    def what(self) -> str:
        """The action and what it is about, for messages."""
        return what_is_asked(self.action, self.params)

    @property
    def digest(self) -> str:
        """A short name of what is asked for; ``UserData`` and ``ClientToken`` do not count."""
        asked = {name: value for name, value in self.params.items() if name not in _LABELS and value is not None}
        text = json.dumps([self.action, self.region, asked], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def user_data(self) -> str | None:
        """``UserData``, None for none."""
        return self.params.get(USER_DATA)

    @property
    def client_token(self) -> str | None:
        """``ClientToken``, None for none."""
        return self.params.get(CLIENT_TOKEN)


class SubmissionWitness(Protocol):
    """Is told what becomes of a submission, on the thread that sends it, at the moment it happens."""

    def about_to_send(self) -> None:
        """Hear that the connection stands and the request goes out next. An exception keeps it from being sent."""

    def not_carried_out(self) -> None:
        """Hear that certainly no job was created: the request was not sent after all, or the service refused it."""

    def answered(self, response: dict[str, Any]) -> None:
        """Hear that the service has answered with a success, which should have a JobId in it."""

    def lost(self, request_id: str | None) -> None:
        """Hear that nobody knows whether there is a job; the service's id of the request may be known."""


def what_is_asked(action: str, params: Mapping[str, Any]) -> str:
    """Name a call and what it is about, for messages."""
    if "JobId" in params:
        return f"{action} of job {params['JobId']}"
    return f"{action} of {params['Input']}" if "Input" in params else action


def submission_unknown(
    asked: Asked, why: str, *, at: float | None = None, request_id: str | None = None
) -> ImsSubmitUnknownError:
    """Return the error for a submission of which nobody knows whether it created a job.

    :param asked: the submission
    :param why: how it came that nobody knows, as a sentence
    :param at: when it was sent, in seconds since the epoch; None for just now
    :param request_id: the service's id of the request, where one came back
    """
    known = [
        f"sent at {moment(time.time() if at is None else at)}",
        f"RequestId {request_id or 'none'}",
        f"request digest {asked.digest}",
        *([] if asked.user_data is None else [f"UserData {asked.user_data}"]),
    ]
    return ImsSubmitUnknownError(
        f"It is unknown whether {asked.what} in {asked.region} created a job. {why} What is known: {', '.join(known)}.",
        advice=_CHECK if asked.client_token is None else _SAFE_TO_REPEAT,
        action=asked.action,
        request_id=request_id,
    )


def moment(seconds: float) -> str:
    """Return a time for messages and logs, in UTC.

    :param seconds: seconds since the epoch
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


_CHECK = (
    "IMS has no list of these jobs: look in the account's bill for a charge at that time, or ask Alibaba Cloud support."
    " Where you find a JobId, an ImsJobSensor on it gets the result. Where there is none, or a second bill does not "
    "matter: clearing the task submits again."
)
_SAFE_TO_REPEAT = "The same request with the same ClientToken may be sent again: it makes no second job."
