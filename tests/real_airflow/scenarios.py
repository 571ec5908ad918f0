"""What can become of a wait, as one table: the same for each way of waiting."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

QUERY = "QueryCopyrightExtractJob"
TEXT = "(c) Example Studio"

# Seconds. Short, so that a scenario takes a moment; the policy itself is tested by its formula.
INTERVAL = 0.15
LONG = 30.0
SHORT = 1.0
GRACE = 3.0


def answer(status: int, **body: Any) -> dict[str, Any]:
    """Return the options of a fault that answers with a body."""
    return {"status": status, "body": json.dumps({"RequestId": "MADE-UP", **body})}


def fault(kind: str, *, nth: int = 1, times: int = 1, **options: Any) -> dict[str, Any]:
    """Return a fault of the query."""
    return {"action": QUERY, "kind": kind, "nth": nth, "times": times, **options}


SILENT = answer(200, Data={}, Message="ok", StatusCode=200)
FOREVER = 10_000


@dataclass(frozen=True)
class Scenario:
    """One line of the table.

    :param media: options of the video
    :param faults: what goes wrong with the queries
    :param wait: arguments of the wait
    :param exception: class that the task fails with, None for success
    :param watermark: what XCom has after a success
    :param polls: how often the service is asked; None where that is a matter of time
    :param says: what the message of the failure has in it, besides the facts that all have
    :param logs: what the log has in it, with the JobId for ``{}``
    :param at_once: whether it ends at the first poll, so that a task that could defer does not
    :param breaks_event: what becomes of the trigger's event: ``missing`` or ``malformed``
    """

    media: dict[str, Any] = field(default_factory=dict)
    faults: tuple[dict[str, Any], ...] = ()
    wait: dict[str, Any] = field(default_factory=dict)
    exception: str | None = None
    watermark: str | None = None
    polls: int | None = None
    says: tuple[str, ...] = ()
    logs: str = ""
    at_once: bool = False
    breaks_event: str | None = None

    def in_turn(self, way: str) -> tuple[dict[str, Any], ...]:
        """Return the faults for a way of waiting: one that defers hears nothing at first, or it would not."""
        if self.at_once or not way.endswith("_deferrable"):
            return self.faults
        return (fault("answer", **SILENT), *({**one, "nth": one["nth"] + 1} for one in self.faults))


MARKED = {"watermark": TEXT, "processing_time": 0}
UNMARKED = {"watermark": None, "processing_time": 0}
IN_VAIN = {"timeout": SHORT}

SCENARIOS = {
    "found_at_once": Scenario(MARKED, watermark=TEXT, polls=1, at_once=True),
    "found_after_3_polls": Scenario(MARKED, (fault("answer", times=2, **SILENT),), watermark=TEXT, polls=3),
    "found_with_newline": Scenario({**MARKED, "trailing_newline": True}, watermark=TEXT, polls=1),
    "unmarked": Scenario(
        UNMARKED, wait=IN_VAIN, exception="ImsJobTimeoutError", says=("reports no state", "set no_watermark_after")
    ),
    "unmarked_and_silence_is_an_answer": Scenario(UNMARKED, wait={"no_watermark_after": SHORT}, watermark=""),
    "state_success": Scenario({**MARKED, "variant": "state_field"}, watermark=TEXT, polls=1),
    "state_success_without_text": Scenario({**UNMARKED, "variant": "empty_success"}, watermark="", polls=1),
    "state_failed": Scenario(
        {**UNMARKED, "variant": "state_field"}, exception="ImsJobFailedError", polls=1, says=("state 'Fail'",)
    ),
    "state_cancelled": Scenario(
        {**UNMARKED, "variant": "cancelled"}, exception="ImsJobCancelledError", polls=1, says=("state 'Canceled'",)
    ),
    "state_unknown": Scenario(
        {**UNMARKED, "variant": "unknown_word"},
        wait=IN_VAIN,
        exception="ImsJobTimeoutError",
        says=("state 'Pondering'",),
    ),
    "status_code_500_five_times": Scenario(
        {**MARKED, "variant": "status_code"},
        exception="ImsJobFailedError",
        polls=5,
        says=("counts as failed", "code 500", "message 'InternalError'"),
    ),
    "status_code_500_four_times": Scenario(
        MARKED, (fault("answer", times=4, **answer(200, StatusCode=500)),), watermark=TEXT, polls=5
    ),
    "throttled_ten_times": Scenario(MARKED, (fault("throttle", times=10),), watermark=TEXT, polls=11),
    "html_502": Scenario(MARKED, (fault("html_502"),), watermark=TEXT, polls=2),
    "connection_refused_for_a_while": Scenario(
        MARKED,
        (fault("answer", **SILENT), fault("outage", nth=2, seconds=2.5)),
        watermark=TEXT,
        logs="QueryCopyrightExtractJob of job {} was not sent",
    ),
    "connection_refused_till_the_end": Scenario(
        MARKED,
        (fault("answer", **SILENT), fault("outage", nth=2, seconds=6)),
        wait={"timeout": 3},
        exception="ImsJobTimeoutError",
        says=("The last poll failed: ", "was not sent: 127.0.0.1:"),
    ),
    "credentials_revoked": Scenario(
        MARKED,
        (
            fault("answer", times=2, **SILENT),
            fault("answer", nth=3, times=FOREVER, **answer(403, Code="InvalidAccessKeyId.Inactive", Message="no")),
        ),
        exception="ImsCredentialsError",
        polls=3,
        says=("InvalidAccessKeyId.Inactive", "Check the keys"),
    ),
    "unknown_id_within_grace": Scenario(
        MARKED, (fault("answer", **answer(404, Code="JobNotFound", Message="no")),), watermark=TEXT, polls=2
    ),
    "unknown_id_after_grace": Scenario(
        MARKED,
        (fault("answer", times=FOREVER, **answer(404, Code="JobNotFound", Message="no")),),
        exception="ImsNotFoundError",
        says=("JobNotFound", "Check the JobId"),
    ),
    "event_missing": Scenario(
        MARKED,
        (fault("answer", **SILENT),),
        exception="ImsTriggerEventError",
        polls=2,
        at_once=True,
        says=("cannot be read: there is none",),
        breaks_event="missing",
    ),
    "event_malformed": Scenario(
        MARKED,
        (fault("answer", **SILENT),),
        exception="ImsTriggerEventError",
        polls=2,
        at_once=True,
        says=("kind: Input should be 'succeeded', 'nothing_found',",),
        breaks_event="malformed",
    ),
}

WAYS = ("operator_sync", "operator_deferrable", "sensor_poke", "sensor_reschedule", "sensor_deferrable")


def scenarios_of(way: str) -> dict[str, Scenario]:
    """Return the scenarios that a way of waiting can meet."""
    return {name: one for name, one in SCENARIOS.items() if not one.breaks_event or way.endswith("_deferrable")}
