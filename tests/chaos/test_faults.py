"""Whatever goes wrong on the wire, whenever: no result is lost, nothing fails without a reason, nothing is paid twice.

Each run is a night of a few tasks with retries. First every kind of fault at every place, then nights of several faults
at random. ``IMS_SEEDS`` says how many of the latter; the seed is in the test's name.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.emulator.faults import FaultKind
from airflow_provider_ims.exceptions import ImsSubmitUnknownError
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from tests.attempts import SimulatedTask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_ims.emulator.process import EmulatorProcess

SUBMIT, QUERY = "SubmitCopyrightExtractJob", "QueryCopyrightExtractJob"
WAYS: dict[str, dict[str, Any]] = {
    "sync": {"wait_for_completion": True, "deferrable": False},
    "defer": {"deferrable": True},
}
PLACES = list(product([SUBMIT, QUERY], [1, 2, 5]))
"""Which call of which action is hit."""
TASKS = 5
SEEDS = range(int(os.environ.get("IMS_SEEDS", "40")))

# Seconds.
READ_TIMEOUT = 0.4
OUTAGE = 0.3
RETRY_DELAY = 0.1
PATIENCE = 30.0

LOSE_THE_ANSWER = frozenset(
    {
        "internal_error",
        "internal_error_after",
        "html_502",
        "slow",
        "hang",
        "outage",
        "cut_before",
        "cut_after",
        "answer",
    }
)
"""Kinds after which nobody can know whether there is a job."""

PASSING_ANSWERS: dict[str, list[dict[str, Any]]] = {
    # What a query can be answered with for a while.
    QUERY: [
        {"status": 403, "body": '{"Code": "Forbidden.RAM", "Message": "no", "RequestId": "R"}'},
        {"status": 404, "body": '{"Code": "JobNotFound", "Message": "no", "RequestId": "R"}'},
        {"status": 400, "body": '{"Code": "Strange.Thing", "Message": "no", "RequestId": "R"}'},
        {"status": 200, "body": '{"StatusCode": 500, "Message": "no", "RequestId": "R"}'},
        {"status": 200, "body": '{"Data": "text"}'},
        {"status": 200, "body": "fine"},
    ],
    # What leaves open whether there is a job, or says that there is none.
    SUBMIT: [
        {"status": 200, "body": '{"Message": "ok", "RequestId": "R"}'},
        {"status": 504, "body": ""},
        {"status": 403, "body": '{"Code": "Forbidden.RAM", "Message": "no", "RequestId": "R"}'},
    ],
}


@dataclass(frozen=True)
class Fault:
    """What goes wrong at which calls."""

    action: str
    kind: str
    nth: int
    times: int = 1

    def options(self, dice: random.Random) -> dict[str, Any]:
        """Return the options of the kind."""
        match self.kind:
            case "slow":
                return {"seconds": dice.choice([READ_TIMEOUT / 3, READ_TIMEOUT * 2])}
            case "outage":
                return {"seconds": OUTAGE}
            case "throttle":
                return {"retry_after": 100}
            case "answer":
                return dice.choice(PASSING_ANSWERS[self.action])
            case _:
                return {}


def media_of(number: int) -> str:
    return f"oss://suspects/clip-{number}.mp4"


def text_of(number: int) -> str:
    return f"(c) Studio {number}"


def run_a_night(way: str, faults: Sequence[Fault], dice: random.Random, emulator: EmulatorProcess) -> None:
    """Run all tasks of a night, and check what has become of them."""
    emulator.reset()
    for number in range(TASKS):
        emulator.put_media(media_of(number), watermark=text_of(number), processing_time=0.05)
    for fault in faults:
        emulator.fault(fault.action, fault.kind, nth=fault.nth, times=fault.times, **fault.options(dice))
    tasks = [task_of(number, way) for number in range(TASKS)]
    states = [task.run(retry_delay=RETRY_DELAY) for task in tasks]
    settle(emulator)
    bill = [line["media"] for line in emulator.bill()["lines"]]
    may_be_unknown = any(fault.action == SUBMIT and fault.kind in LOSE_THE_ANSWER for fault in faults)
    for number, (task, state) in enumerate(zip(tasks, states, strict=True)):
        billed = bill.count(media_of(number))
        if state == "success":
            jobs = [job["job_id"] for job in emulator.jobs() if job["media"] == media_of(number)]
            assert billed == 1
            assert task.ti.xcoms["return_value"] == task.ti.xcoms["job_id"] == jobs[0]
            assert task.ti.xcoms["watermark"] == text_of(number)
        else:
            assert may_be_unknown, task.error
            assert isinstance(task.error, ImsSubmitUnknownError), task.error
            assert media_of(number) in str(task.error)
            assert billed <= 1


def settle(emulator: EmulatorProcess) -> None:
    """JobWait until the service is there and has done what it was late with."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if all(request["code"] for request in emulator.requests() if request["fault"] == "slow"):
                return
        except OSError:  # an outage that began with the last call
            pass
        assert time.monotonic() < deadline
        time.sleep(RETRY_DELAY)


def task_of(number: int, way: str) -> SimulatedTask:
    """Return the life of a task of the night."""

    def make() -> ImsSubmitCopyrightExtractJobOperator:
        return ImsSubmitCopyrightExtractJobOperator(
            task_id="extract",
            input_media=media_of(number),
            poll_interval=0.03,
            max_poll_interval=0.03,
            timeout=60,
            **WAYS[way],
        )

    return SimulatedTask(make, retries=6)


@pytest.fixture
def emulator(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> EmulatorProcess:
    """Return an emulator that is not waited for for long."""
    connect(extra={"connect_timeout": 2, "read_timeout": READ_TIMEOUT})
    return ims_emulator


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [kind.value for kind in FaultKind])
def test_every_fault_at_every_place(kind: str, way: str, emulator: EmulatorProcess) -> None:
    """A fault at the first, second or fifth submission or query loses nothing and costs nothing."""
    for action, nth in PLACES:
        run_a_night(way, [Fault(action, kind, nth)], random.Random(nth), emulator)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", SEEDS)
def test_nights_of_several_faults(seed: int, way: str, emulator: EmulatorProcess) -> None:
    """Two or three faults at random, some of them for longer, lose nothing and cost nothing."""
    dice = random.Random(seed)
    kinds = [kind.value for kind in FaultKind]
    faults = [
        Fault(dice.choice([SUBMIT, QUERY]), dice.choice(kinds), dice.randint(1, 6), dice.randint(1, 3))
        for _ in range(dice.randint(2, 3))
    ]
    run_a_night(way, faults, dice, emulator)
