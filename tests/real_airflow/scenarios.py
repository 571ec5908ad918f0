"""The table of the scenarios of a wait and their outcomes, which are the same for each way of waiting."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

QUERY = "QueryCopyrightExtractJob"
TEXT = "(c) Example Studio"

# Seconds. Short, so that a scenario is quick; tests/jobs/test_polling.py tests the policy itself.
INTERVAL = 0.15
LONG = 60.0
SHORT = 1.0
GRACE = 3.0


def response(status: int, **body: Any) -> dict[str, Any]:
    """Return the options of a fault that responds with a body."""
    return {"status": status, "body": json.dumps({"RequestId": "MADE-UP", **body})}


def fault(kind: str, *, nth: int = 1, times: int = 1, **options: Any) -> dict[str, Any]:
    """Return a fault of the query."""
    return {"action": QUERY, "kind": kind, "nth": nth, "times": times, **options}


EMPTY = response(200, Data={}, Message="ok", StatusCode=200)
FOREVER = 10_000


@dataclass(frozen=True)
class Scenario:
    """One row of the table.

    :param media: options of the video
    :param faults: the faults of the queries
    :param wait: arguments of the wait
    :param exception: class of the task's error, None for success
    :param watermark: the XCom ``watermark`` after a success
    :param polls: number of polls; None if it depends on the timing
    :param message: texts in the message of the error, besides those that all have
    :param log: a text in the log, with the JobId for ``{}``
    :param at_once: whether the wait ends at the first poll, so that a deferrable task does not defer
    :param breaks_event: how the trigger's event is damaged: ``missing`` or ``malformed``
    """

    media: dict[str, Any] = field(default_factory=dict)
    faults: tuple[dict[str, Any], ...] = ()
    wait: dict[str, Any] = field(default_factory=dict)
    exception: str | None = None
    watermark: str | None = None
    polls: int | None = None
    message: tuple[str, ...] = ()
    log: str = ""
    at_once: bool = False
    breaks_event: str | None = None

    def faults_of(self, way: str) -> tuple[dict[str, Any], ...]:
        """Return the faults for a way of waiting; a deferrable task gets an empty response first, so that it defers."""
        if self.at_once or not way.endswith("_deferrable"):
            return self.faults
        return (fault("answer", **EMPTY), *({**one, "nth": one["nth"] + 1} for one in self.faults))


MARKED = {"watermark": TEXT, "processing_time": 0}
UNMARKED = {"watermark": None, "processing_time": 0}
SHORT_TIMEOUT = {"timeout": SHORT}

SCENARIOS = {
    "found_at_once": Scenario(MARKED, watermark=TEXT, polls=1, at_once=True),
    "found_after_3_polls": Scenario(MARKED, (fault("answer", times=2, **EMPTY),), watermark=TEXT, polls=3),
    "found_with_newline": Scenario({**MARKED, "trailing_newline": True}, watermark=TEXT, polls=1),
    "unmarked": Scenario(
        UNMARKED,
        wait=SHORT_TIMEOUT,
        exception="ImsJobTimeoutError",
        message=("reports no state", "set no_watermark_after"),
    ),
    "unmarked_with_no_watermark_after": Scenario(UNMARKED, wait={"no_watermark_after": SHORT}, watermark=""),
    "state_success": Scenario({**MARKED, "variant": "state_field"}, watermark=TEXT, polls=1),
    "state_success_without_text": Scenario({**UNMARKED, "variant": "empty_success"}, watermark="", polls=1),
    "state_failed": Scenario(
        {**UNMARKED, "variant": "state_field"}, exception="ImsJobFailedError", polls=1, message=("state 'Fail'",)
    ),
    "state_cancelled": Scenario(
        {**UNMARKED, "variant": "cancelled"}, exception="ImsJobCancelledError", polls=1, message=("state 'Canceled'",)
    ),
    "state_unknown": Scenario(
        {**UNMARKED, "variant": "unknown_word"},
        wait=SHORT_TIMEOUT,
        exception="ImsJobTimeoutError",
        message=("state 'Pondering'",),
    ),
    "status_code_500_five_times": Scenario(
        {**MARKED, "variant": "status_code"},
        exception="ImsJobFailedError",
        polls=5,
        message=("counts as failed", "code 500", "message 'InternalError'"),
    ),
    "status_code_500_four_times": Scenario(
        MARKED, (fault("answer", times=4, **response(200, StatusCode=500)),), watermark=TEXT, polls=5
    ),
    "throttled_ten_times": Scenario(MARKED, (fault("throttle", times=10),), watermark=TEXT, polls=11),
    "html_502": Scenario(MARKED, (fault("html_502"),), watermark=TEXT, polls=2),
    "connection_refused_for_a_while": Scenario(
        MARKED,
        (fault("answer", **EMPTY), fault("outage", nth=2, seconds=2.5)),
        watermark=TEXT,
        log="QueryCopyrightExtractJob of job {} was not sent",
    ),
    "connection_refused_until_the_timeout": Scenario(
        MARKED,
        (fault("answer", **EMPTY), fault("outage", nth=2, seconds=6)),
        wait={"timeout": 3},
        exception="ImsJobTimeoutError",
        message=("The last poll failed: ", "was not sent: 127.0.0.1:"),
    ),
    "credentials_revoked": Scenario(
        MARKED,
        (
            fault("answer", times=2, **EMPTY),
            fault("answer", nth=3, times=FOREVER, **response(403, Code="InvalidAccessKeyId.Inactive", Message="no")),
        ),
        exception="ImsCredentialsError",
        polls=7,
        message=("InvalidAccessKeyId.Inactive", "Check the keys"),
    ),
    "unknown_id_within_grace": Scenario(
        MARKED, (fault("answer", **response(404, Code="JobNotFound", Message="no")),), watermark=TEXT, polls=2
    ),
    "unknown_id_after_grace": Scenario(
        MARKED,
        (fault("answer", times=FOREVER, **response(404, Code="JobNotFound", Message="no")),),
        exception="ImsNotFoundError",
        message=("JobNotFound", "Check the JobId"),
    ),
    "event_missing": Scenario(
        MARKED,
        (fault("answer", **EMPTY),),
        exception="ImsTriggerEventError",
        polls=2,
        at_once=True,
        message=("cannot be read: there is none",),
        breaks_event="missing",
    ),
    "event_malformed": Scenario(
        MARKED,
        (fault("answer", **EMPTY),),
        exception="ImsTriggerEventError",
        polls=2,
        at_once=True,
        message=("kind: Input should be 'succeeded', 'nothing_found',",),
        breaks_event="malformed",
    ),
}

WAYS = ("operator_sync", "operator_deferrable", "sensor_poke", "sensor_reschedule", "sensor_deferrable")


def scenarios_of(way: str) -> dict[str, Scenario]:
    """Return the scenarios that can happen with a way of waiting."""
    return {name: one for name, one in SCENARIOS.items() if not one.breaks_event or way.endswith("_deferrable")}
