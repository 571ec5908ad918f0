"""The errors of this provider, one class for each decision that a caller can take.

Every class derives from ``AirflowException``: deferrable sensors honour ``soft_fail`` for no other. Errors that a retry
cannot repair derive from ``AirflowFailException`` too, so that Airflow ends the task without using up its retries.

A message says what failed, on what, why, and what to do. It never holds a key, token, signature or signed URL.
"""

from __future__ import annotations

import inspect
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSensorTimeout


class ImsError(AirflowException):
    """Base of all errors of this provider.

    :param problem: what failed, on what and why
    :param advice: what to do; follows the problem in the text of the error
    """

    def __init__(self, problem: str, *, advice: str = "") -> None:
        super().__init__(f"{problem} {advice}" if advice else problem)
        self.problem = problem
        self.advice = advice

    def add_advice(self, advice: str) -> None:
        """Add a sentence to the advice.

        :param advice: the sentence; nothing is added if it is empty
        """
        self.advice = f"{self.advice} {advice}".strip()
        self.args = (f"{self.problem} {self.advice}".strip(),)


class ImsConfigurationError(ImsError, AirflowFailException):
    """The connection or an argument is wrong.

    Raised before any call, so that nothing is billed; or because the connection became invalid during a wait.
    """


class ImsConnectionNotFoundError(ImsError):
    """Airflow finds no connection of this id.

    Airflow says so too while its API server or its secrets backend is down, so a retry may help, and a wait goes on.
    """


class ImsTransportError(ImsError):
    """No response of the service came back: it could not be reached, or did not respond in time.

    :param problem: what failed, on what and why
    :param advice: what to do
    :param sent: whether the request may have left this machine before the failure
    :param is_broken: whether the connection broke after that; False for a time-out
    """

    def __init__(self, problem: str, *, advice: str = "", sent: bool = False, is_broken: bool = False) -> None:
        super().__init__(problem, advice=advice)
        self.sent = sent
        self.is_broken = is_broken


class ImsApiError(ImsError):
    """The response of the service is an error, or cannot be used.

    :param problem: what failed, on what and why
    :param advice: what to do
    :param action: API operation, such as ``SubmitCopyrightExtractJob``
    :param code: the service's error code, None if the response had none
    :param request_id: the service's id of the request, for a support ticket
    :param http_status: HTTP status of the response; statuses differ between products for the same code, so decide
        by ``code``
    :param retry_after: seconds that the service tells callers to wait, None if it did not say
    :param is_rejection: whether the service certainly did not carry out the request
    """

    def __init__(
        self,
        problem: str,
        *,
        advice: str = "",
        action: str | None = None,
        code: str | None = None,
        request_id: str | None = None,
        http_status: int | None = None,
        retry_after: float | None = None,
        is_rejection: bool = False,
    ) -> None:
        super().__init__(problem, advice=advice)
        self.action = action
        self.code = code
        self.request_id = request_id
        self.http_status = http_status
        self.retry_after = retry_after
        self.is_rejection = is_rejection


class ImsThrottledError(ImsApiError):
    """Too many requests for the account: the call was rejected and may be repeated later."""


class ImsServiceError(ImsApiError):
    """The service failed, or a gateway in front of it did."""


class ImsCredentialsError(ImsApiError):
    """The key, token, signature, clock or permission was refused."""


class ImsRequestError(ImsApiError, AirflowFailException):
    """The service calls the request invalid. The same request fails again, so Airflow does not retry it."""


class ImsNotFoundError(ImsApiError):
    """The service does not know the job: a wrong JobId or region, or too soon after its submission."""


class ImsJobError(ImsError):
    """A job that was waited for did not end well.

    :param problem: what happened, to which job, and what the service said last
    :param advice: what to do
    :param job_id: the job's id
    :param request_id: the service's id of the last request that got a response
    """

    def __init__(
        self, problem: str, *, advice: str = "", job_id: str | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(problem, advice=advice)
        self.job_id = job_id
        self.request_id = request_id


class ImsJobFailedError(ImsJobError):
    """The service says that the job failed."""


class ImsJobCancelledError(ImsJobError):
    """The service says that the job was cancelled."""


class ImsJobTimeoutError(ImsJobError, AirflowSensorTimeout):
    """The job was not seen to end within the time that the task gave it.

    Airflow does not retry it, as it does not retry the time-out of any sensor: if the service reports no state, the
    job may have found nothing long ago, and a retry would wait for it, or even pay for it, again.
    """


class ImsTriggerEventError(ImsJobError):
    """The triggerer's report on a job is missing or cannot be read: the state of the job is unknown."""


class ImsPublishError(ImsError):
    """A job was submitted, and its id or its result could not be pushed to XCom.

    :param problem: what failed, on what and why
    :param advice: what to do
    :param job_id: the id of the job that exists
    """

    def __init__(self, problem: str, *, advice: str = "", job_id: str | None = None) -> None:
        super().__init__(problem, advice=advice)
        self.job_id = job_id


class ImsRecordError(ImsError):
    """The record of the task's submission could not be read or written. Nothing was submitted.

    :param problem: what failed, on what and why
    :param advice: what to do
    :param is_damaged: whether there is a record that makes no sense, so that a retry cannot help
    """

    def __init__(self, problem: str, *, advice: str = "", is_damaged: bool = False) -> None:
        super().__init__(problem, advice=advice)
        self.is_damaged = is_damaged


class ImsSubmitUnknownError(ImsError):
    """A submission was sent and its response is lost, so a job may exist and be billed.

    Most families have no idempotency token, and the service has no list to look such a job up in: a second submission
    would be a second bill. So Airflow does not retry it, unless an operator is told to (``on_unknown_submit``).

    :param problem: what failed, on what and why
    :param advice: what to do
    :param action: the submit action
    :param request_id: the service's id of the request, if one came back
    :param is_repeatable: whether a retry sends the same request with the same ``ClientToken``
    """

    def __init__(
        self,
        problem: str,
        *,
        advice: str = "",
        action: str | None = None,
        request_id: str | None = None,
        is_repeatable: bool = False,
    ) -> None:
        super().__init__(problem, advice=advice)
        self.action = action
        self.request_id = request_id
        self.is_repeatable = is_repeatable


_CLASSES: dict[str, type[ImsError]] = {
    kind.__name__: kind
    for kind in (
        ImsError,
        ImsConfigurationError,
        ImsConnectionNotFoundError,
        ImsTransportError,
        ImsApiError,
        ImsThrottledError,
        ImsServiceError,
        ImsCredentialsError,
        ImsRequestError,
        ImsNotFoundError,
    )
}


def to_primitives(error: ImsError) -> dict[str, Any]:
    """Return an error of a call as primitives, for the event of a trigger."""
    details = {name: value for name, value in vars(error).items() if not name.startswith("_")}
    return {"class": type(error).__name__, **details}


def from_primitives(primitives: dict[str, Any]) -> ImsError:
    """Return the error again; details of a newer version are ignored.

    :raises KeyError: if a call cannot end in an error of its class
    :raises TypeError: if a detail of its class is missing
    """
    kind = _CLASSES[primitives["class"]]
    known = inspect.signature(kind.__init__).parameters
    return kind(**{name: value for name, value in primitives.items() if name in known})
