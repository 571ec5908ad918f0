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

# The errors of http.client if the connection closes before the response.
CUT = (http.client.RemoteDisconnected, ConnectionResetError)


def test_a_throttled_call_is_refused(call: Any) -> None:
    """A throttled call is 400, by default without a retry header."""
    call.emulator.fault(LIST, "throttle")
    response = call(LIST)

    assert response.error == (400, "Throttling.User", "Request was denied due to user flow control.")
    assert "x-acs-retry-after" not in response.headers


def test_a_throttled_call_can_have_a_retry_header(call: Any) -> None:
    """The delay before a retry is a header, in milliseconds."""
    call.emulator.fault(LIST, "throttle", retry_after=1500)

    assert call(LIST).headers["x-acs-retry-after"] == "1500"


def test_the_service_can_be_unavailable(call: Any) -> None:
    """An unavailable service returns 503 and makes no job."""
    call.emulator.fault(SUBMIT, "service_unavailable")

    assert call.submit().error == (503, "ServiceUnavailable", "The service is temporarily unavailable.")
    assert call.emulator.jobs() == []


@pytest.mark.parametrize(("kind", "jobs"), [("internal_error", 0), ("internal_error_after", 1)])
def test_an_internal_error_can_come_before_or_after_the_job_is_made(call: Any, kind: str, jobs: int) -> None:
    """The same 500 is returned with a job made, or without."""
    call.emulator.fault(SUBMIT, kind)

    message = "The request failed for a reason inside the service."
    assert call.submit().error == (500, "InternalError", message)
    assert len(call.emulator.jobs()) == jobs


def test_a_proxy_can_respond_with_html(call: Any) -> None:
    """A bad gateway returns an HTML page and makes no job."""
    call.emulator.fault(SUBMIT, "html_502")
    response = call.submit()

    assert (response.status, response.headers["content-type"]) == (502, "text/html")
    assert "502 Bad Gateway" in response.text
    assert call.emulator.jobs() == []


def test_a_slow_call_is_delayed(call: Any) -> None:
    """A slow call gets its normal response after the delay."""
    call.emulator.fault(LIST, "slow", seconds=0.2)
    start = time.monotonic()

    assert call(LIST).status == 200
    assert time.monotonic() - start >= 0.2


def test_a_slow_call_delays_no_other(call: Any, connect: Callable[[EmulatorProcess], Any]) -> None:
    """Other calls get their responses while one call is slow."""
    call.emulator.fault(LIST, "slow", seconds=60)
    with pytest.raises(TimeoutError):
        call(LIST, timeout=0.05)

    assert connect(call.emulator)(LIST).status == 200


def test_a_hanging_call_gets_no_response(call: Any) -> None:
    """A hanging call gets no response and makes no job."""
    call.emulator.fault(SUBMIT, "hang")

    with pytest.raises(TimeoutError):
        call("SubmitCopyrightExtractJob", timeout=0.2)
    assert call.emulator.jobs() == []
    assert call.emulator.requests()[0]["code"] is None


@pytest.mark.parametrize(("kind", "jobs"), [("cut_before", 0), ("cut_after", 1)])
def test_a_connection_can_be_cut_before_or_after_the_job_is_made(call: Any, kind: str, jobs: int) -> None:
    """The connection closes without a response, with a job made or without."""
    call.emulator.fault(SUBMIT, kind)

    with pytest.raises(CUT):
        call.submit()
    assert len(call.emulator.jobs()) == jobs


def test_an_outage_refuses_connections_for_a_while(call: Any, connect: Callable[[EmulatorProcess], Any]) -> None:
    """An outage closes connections and refuses new ones; afterwards the service has its state again."""
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


def test_any_response_can_be_set(call: Any) -> None:
    """A fault can set status, headers and body of the response; the action is not carried out."""
    call.emulator.fault(SUBMIT, "answer", status=418, body="[水]", content_type="text/plain", headers={"x-more": "1"})
    response = call.submit()

    assert (response.status, response.text) == (418, "[水]")
    assert (response.headers["content-type"], response.headers["x-more"]) == ("text/plain", "1")
    assert call.emulator.jobs() == []


def test_any_response_can_follow_an_action_that_was_carried_out(call: Any) -> None:
    """A fault can carry out the action and send another response than its own."""
    call.emulator.fault(SUBMIT, "answer", status=503, body="{}", carried_out=True)
    assert call.submit().status == 503
    assert len(call.emulator.jobs()) == 1


def test_any_response_can_be_set_for_an_unknown_action(call: Any) -> None:
    """A fault can set the response of an action that the emulator does not know."""
    call.emulator.fault("SubmitTranscodeJob", "answer", body='{"TranscodeParentJob": {}}')

    assert call("SubmitTranscodeJob").body == {"TranscodeParentJob": {}}


def test_faults_come_before_the_signature_is_checked(call: Any) -> None:
    """A call that a fault refuses is refused before its signature is checked."""
    call.emulator.fault(LIST, "throttle")

    assert call(LIST, secret="wrong").body["Code"] == "Throttling.User"


def test_a_cut_after_makes_no_job_for_a_wrong_signature(call: Any) -> None:
    """A request with a wrong signature makes no job, also with the fault cut_after."""
    call.emulator.fault(SUBMIT, "cut_after")

    with pytest.raises(CUT):
        call(SUBMIT, {"Input": '{"Type":"OSS","Media":"oss://bucket/film.mp4"}'}, secret="wrong")
    assert call.emulator.jobs() == []


def test_a_fault_hits_the_calls_that_it_names(call: Any) -> None:
    """A fault hits the n-th call, the given number of calls in a row, and no others."""
    call.emulator.fault(LIST, "throttle", nth=2, times=2)

    assert [call(LIST).status for _ in range(5)] == [200, 400, 400, 200, 200]


def test_a_fault_counts_calls_after_it_was_added(call: Any) -> None:
    """Calls before a fault was added do not count."""
    call(LIST)
    call.emulator.fault(LIST, "throttle", nth=2)

    assert [call(LIST).status for _ in range(3)] == [200, 400, 200]


def test_a_fault_does_not_hit_other_actions(call: Any) -> None:
    """Calls of another action are neither counted nor hit."""
    call.emulator.fault(SUBMIT, "throttle")

    assert call(LIST).status == 200
    assert call.submit().status == 400


def test_the_first_of_two_faults_hits(call: Any) -> None:
    """If two faults name the same call, the first hits, and the call counts for both."""
    call.emulator.fault(LIST, "throttle")
    call.emulator.fault(LIST, "service_unavailable", times=2)

    assert [call(LIST).status for _ in range(3)] == [400, 503, 200]
    assert [fault["applied"] for fault in call.emulator.faults()] == [1, 1]


def test_a_spent_fault_stays_listed(call: Any) -> None:
    """A spent fault stays in the list, marked as spent, until a reset."""
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
