from __future__ import annotations

import http.client
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess

LIST = "QueryCopyrightJobList"
SUBMIT = "SubmitCopyrightExtractJob"

# What a client of the standard library sees of a connection that ends before the answer.
CUT = (http.client.RemoteDisconnected, ConnectionResetError)


def test_a_throttled_call_is_denied(call: Any) -> None:
    """A throttled call is 400, as the vendor has it, without a hint when to come back."""
    call.emulator.fault(LIST, "throttle")
    answer = call(LIST)

    assert answer.refusal == (400, "Throttling.User", "Request was denied due to user flow control.")
    assert "x-acs-retry-after" not in answer.headers


def test_a_throttled_call_can_say_when_to_come_back(call: Any) -> None:
    """The hint when to come back is a header, in milliseconds."""
    call.emulator.fault(LIST, "throttle", retry_after=1500)

    assert call(LIST).headers["x-acs-retry-after"] == "1500"


def test_the_service_can_be_unavailable(call: Any) -> None:
    """An unavailable service is 503 and has made no job."""
    call.emulator.fault(SUBMIT, "service_unavailable")

    assert call.submit().refusal == (503, "ServiceUnavailable", "The service is temporarily unavailable.")
    assert call.emulator.jobs() == []


@pytest.mark.parametrize(("kind", "jobs"), [("internal_error", 0), ("internal_error_after", 1)])
def test_an_internal_error_can_come_before_or_after_the_job_exists(call: Any, kind: str, jobs: int) -> None:
    """The same 500 leaves a job behind, or none."""
    call.emulator.fault(SUBMIT, kind)

    message = "The request failed for a reason inside the service."
    assert call.submit().refusal == (500, "InternalError", message)
    assert len(call.emulator.jobs()) == jobs


def test_a_proxy_can_answer_in_html(call: Any) -> None:
    """A bad gateway is an HTML page and has made no job."""
    call.emulator.fault(SUBMIT, "html_502")
    answer = call.submit()

    assert (answer.status, answer.headers["content-type"]) == (502, "text/html")
    assert "502 Bad Gateway" in answer.text
    assert call.emulator.jobs() == []


def test_a_slow_call_is_answered_late(call: Any) -> None:
    """A slow call gets its normal answer, after a while."""
    call.emulator.fault(LIST, "slow", seconds=0.2)
    start = time.monotonic()

    assert call(LIST).status == 200
    assert time.monotonic() - start >= 0.2


def test_a_slow_call_delays_no_other(call: Any, connect: Callable[[EmulatorProcess], Any]) -> None:
    """While one call is slow, others are answered."""
    call.emulator.fault(LIST, "slow", seconds=60)
    with pytest.raises(TimeoutError):
        call(LIST, timeout=0.05)

    assert connect(call.emulator)(LIST).status == 200


def test_a_hanging_call_is_never_answered(call: Any) -> None:
    """A hanging call gets no answer and has made no job."""
    call.emulator.fault(SUBMIT, "hang")

    with pytest.raises(TimeoutError):
        call("SubmitCopyrightExtractJob", timeout=0.2)
    assert call.emulator.jobs() == []
    assert call.emulator.requests()[0]["code"] is None


@pytest.mark.parametrize(("kind", "jobs"), [("cut_before", 0), ("cut_after", 1)])
def test_a_connection_can_be_cut_before_or_after_the_job_exists(call: Any, kind: str, jobs: int) -> None:
    """The same lost answer leaves a job behind, or none."""
    call.emulator.fault(SUBMIT, kind)

    with pytest.raises(CUT):
        call.submit()
    assert len(call.emulator.jobs()) == jobs


def test_an_outage_refuses_connections_for_a_while(call: Any, connect: Callable[[EmulatorProcess], Any]) -> None:
    """An outage breaks the connection, refuses new ones, and then the service is back with what it knew."""
    call.emulator.put_media("oss://b-1/a.mp4")
    call.emulator.fault(LIST, "outage", seconds=0.5)
    start = time.monotonic()

    with pytest.raises(CUT):
        call(LIST)
    with pytest.raises(ConnectionRefusedError):
        connect(call.emulator)(LIST)
    while True:
        try:
            assert connect(call.emulator)(LIST).status == 200
        except ConnectionRefusedError:
            assert time.monotonic() - start < 10
            continue
        break
    assert time.monotonic() - start >= 0.5
    assert len(call.emulator.media()) == 1


def test_an_answer_can_be_made_up(call: Any) -> None:
    """Any status, headers and text can be the answer; nothing is done."""
    call.emulator.fault(SUBMIT, "answer", status=418, body="[水]", content_type="text/plain", headers={"x-more": "1"})
    answer = call.submit()

    assert (answer.status, answer.text) == (418, "[水]")
    assert (answer.headers["content-type"], answer.headers["x-more"]) == ("text/plain", "1")
    assert call.emulator.jobs() == []


def test_an_answer_can_be_made_up_for_any_action(call: Any) -> None:
    """Actions that the emulator does not know can be answered, too."""
    call.emulator.fault("SubmitTranscodeJob", "answer", body='{"TranscodeParentJob": {}}')

    assert call("SubmitTranscodeJob").body == {"TranscodeParentJob": {}}


def test_faults_come_before_the_signature_is_checked(call: Any) -> None:
    """A gateway that is in trouble does not look at signatures."""
    call.emulator.fault(LIST, "throttle")

    assert call(LIST, secret="wrong").body["Code"] == "Throttling.User"


def test_a_cut_after_the_work_needs_a_right_signature_for_the_work(call: Any) -> None:
    """A request that is not authentic makes no job, whatever fault it meets."""
    call.emulator.fault(SUBMIT, "cut_after")

    with pytest.raises(CUT):
        call(SUBMIT, {"Input": '{"Type":"OSS","Media":"oss://bucket/film.mp4"}'}, secret="wrong")
    assert call.emulator.jobs() == []


def test_a_fault_hits_the_calls_it_is_meant_for(call: Any) -> None:
    """A fault hits the n-th call and as many after it as it is told, and no other."""
    call.emulator.fault(LIST, "throttle", nth=2, times=2)

    assert [call(LIST).status for _ in range(5)] == [200, 400, 400, 200, 200]


def test_a_fault_counts_from_when_it_was_posted(call: Any) -> None:
    """Calls before a fault was posted do not count."""
    call(LIST)
    call.emulator.fault(LIST, "throttle", nth=2)

    assert [call(LIST).status for _ in range(3)] == [200, 400, 200]


def test_a_fault_leaves_other_actions_alone(call: Any) -> None:
    """Calls of another action are neither counted nor hit."""
    call.emulator.fault(SUBMIT, "throttle")

    assert call(LIST).status == 200
    assert call.submit().status == 400


def test_the_first_of_two_faults_for_a_call_wins(call: Any) -> None:
    """Where two faults meet, the one posted first hits, and the other has missed its call."""
    call.emulator.fault(LIST, "throttle")
    call.emulator.fault(LIST, "service_unavailable", times=2)

    assert [call(LIST).status for _ in range(3)] == [400, 503, 200]
    assert [fault["applied"] for fault in call.emulator.faults()] == [1, 1]


def test_a_spent_fault_stays_listed(call: Any) -> None:
    """A fault that was used up is listed as spent, until a reset."""
    call.emulator.fault(LIST, "throttle", retry_after=10)
    fault = {
        "action": LIST,
        "kind": "throttle",
        "nth": 1,
        "times": 1,
        "options": {"retry_after": 10},
        "calls": 0,
        "applied": 0,
        "spent": False,
    }
    assert call.emulator.faults() == [fault]

    call(LIST)
    assert call.emulator.faults() == [{**fault, "calls": 1, "applied": 1, "spent": True}]

    call.emulator.reset()
    assert call.emulator.faults() == []
