"""Faults at any request: no result is lost, no task fails without a reason, no job is paid twice.

Each test runs a few tasks with retries. First with each kind of fault at each place and each response that is not a
success, then with several faults of the service, the state store and the look-up of the connection at random.
``IMS_SEEDS`` sets the number of random runs; the seed is in the name of the test.
"""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_ims.emulator.faults import FaultKind
from airflow_provider_ims.exceptions import ImsRequestError, ImsSubmitUnknownError
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs import durable
from tests.attempts import SimulatedTask, Store
from tests.chaos.families import OTHERS, STATELESS, Family, put_media
from tests.chaos.object_store import ObjectStorage, object_storage
from tests.responses import REJECTED, UNKNOWN
from tests.runs import AIRFLOW

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta
    from pathlib import Path

    from airflow_provider_ims.emulator.process import EmulatorProcess

SUBMIT, QUERY = "submit", "query"
WAYS: dict[str, dict[str, Any]] = {
    "sync": {"wait_for_completion": True, "deferrable": False},
    "defer": {"deferrable": True},
}
PLACES = list(product([SUBMIT, QUERY], [1, 2, 5]))
"""The action, and which of its calls has the fault."""
TASKS = 5
FEW_PLACES, FEW_TASKS, FEW_SEEDS = list(product([SUBMIT, QUERY], [1, 2])), 2, 50
"""Those of the other families: what they share with the first one is tested with that, and one seed in so many."""
HAS_OBJECT_STORAGE = AIRFLOW >= (3, 3)
"""Whether Airflow has a state store, and so a backend for it. Then each second seed runs on it."""
SEEDS = range(int(os.environ.get("IMS_SEEDS", "150")))
RUNS = [
    *((STATELESS, seed) for seed in SEEDS),
    *((family, seed) for family in OTHERS for seed in SEEDS[: -(-len(SEEDS) // FEW_SEEDS)]),
]
"""Each family with its seeds."""

# Part of the calls to an unreliable state store that fail, and of its writes that are slow.
STORE_FAILURES = 0.1

LOOK_UP_FAILURES = 0.1

# Seconds.
READ_TIMEOUT = 0.4
OUTAGE = 0.3
RETRY_DELAY = 0.1
TIMEOUT = 30.0

LOSE_THE_RESPONSE = frozenset(
    {
        "service_unavailable",
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
"""Kinds after which it is unknown whether a job exists."""

# Rejections that a retry repairs; an invalid request ends a task.
TEMPORARY_REJECTIONS = [case[1] for case in REJECTED if not issubclass(case[2], ImsRequestError)]
TEMPORARY_RESPONSES: dict[str, list[dict[str, Any]]] = {
    # Responses to a query that may be temporary.
    QUERY: [
        *TEMPORARY_REJECTIONS,
        *(case[1] for case in UNKNOWN if not issubclass(case[2], ImsRequestError)),
        {"status": 200, "body": '{"StatusCode": 500, "Message": "no", "RequestId": "R"}'},
        {"status": 200, "body": '{"Data": {"Message": "backend not reachable"}}'},
        {"status": 200, "body": '{"error": {"code": 403}}'},
        {
            "status": 200,
            "body": '{"RequestId": "R\\u0000", "Data": {}, "Message": "half \\ud83d \\u001b[31m", "x": NaN}',
        },
    ],
    # Responses to a submission that leave open whether a job exists, or say that none does.
    SUBMIT: [
        {"status": 200, "body": '{"Message": "ok", "RequestId": "R"}'},
        *TEMPORARY_REJECTIONS,
        *(case[1] for case in UNKNOWN),
        *({**case[1], "carried_out": True} for case in UNKNOWN),
    ],
}


@dataclass(frozen=True)
class Fault:
    """A fault at some calls of an action."""

    action: str
    kind: str
    nth: int
    times: int = 1
    response: dict[str, Any] | None = None

    def options(self, rng: random.Random) -> dict[str, Any]:
        """Return the options for this kind of fault."""
        match self.kind:
            case "slow":
                return {"seconds": rng.choice([READ_TIMEOUT / 3, READ_TIMEOUT * 2])}
            case "outage":
                return {"seconds": OUTAGE}
            case "throttle":
                return {"retry_after": 100}
            case "answer":
                return self.response or rng.choice(TEMPORARY_RESPONSES[self.action])
            case _:
                return {}


def media_of(number: int) -> str:
    return f"oss://suspects/clip-{number}.mp4"


def unreliable(store: Store, rng: random.Random) -> Store:
    """Have the calls of a state store be slow or fail now and then."""
    for call, number in product(["get", "set", "delete"], range(1, 12)):
        if rng.random() < STORE_FAILURES:
            store.failures[call, number] = ConnectionError("the API server is gone")
    write = store.set

    def set_value(key: str, value: Any, *, retention: timedelta) -> None:
        if rng.random() < STORE_FAILURES:
            time.sleep(READ_TIMEOUT)
        write(key, value, retention=retention)

    store.set = set_value  # type: ignore[method-assign]
    return store


def run_tasks(
    way: str,
    faults: Sequence[Fault],
    rng: random.Random,
    emulator: EmulatorProcess,
    make_store: Callable[[], Store] = Store,
    *,
    family: Family = STATELESS,
) -> None:
    """Run all tasks, and check their outcomes."""
    emulator.reset()
    videos = [media_of(number) for number in range(TASKS if family is STATELESS else FEW_TASKS)]
    actions = {SUBMIT: family.job_type.submit_action, QUERY: str(family.job_type.query_action)}
    for media in videos:
        put_media(emulator, media, processing_time=0.05)
    for fault in faults:
        emulator.fault(actions[fault.action], fault.kind, nth=fault.nth, times=fault.times, **fault.options(rng))
    tasks = [make_task(family, number, way, make_store()) for number in range(len(videos))]
    states = [task.run(retry_delay=RETRY_DELAY) for task in tasks]
    wait_for_late_requests(emulator)
    all_jobs = emulator.jobs()
    assert len(emulator.bill()["lines"]) == len(all_jobs)
    may_be_unknown = not family.job_type.takes_client_token and any(
        fault.action == SUBMIT and fault.kind in LOSE_THE_RESPONSE for fault in faults
    )
    for media, task, state in zip(videos, tasks, states, strict=True):
        jobs = [job for job in all_jobs if job["user_data"] == media]
        if state == "success":
            (job,) = jobs
            assert job["state"] == "done"
            assert task.ti.xcoms["return_value"] == task.ti.xcoms["job_id"] == job["job_id"]
            assert family.result(media) in json.dumps(task.ti.xcoms[family.job_type.result_name])
        else:
            assert may_be_unknown, task.error
            assert isinstance(task.error, ImsSubmitUnknownError), task.error
            assert media in str(task.error)
            assert len(jobs) <= 1


def wait_for_late_requests(emulator: EmulatorProcess) -> None:
    """Wait until the service is up and has processed its slow requests."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            if all(request["code"] for request in emulator.requests() if request["fault"] == "slow"):
                return
        except OSError:  # an outage that started with the last call
            pass
        assert time.monotonic() < deadline
        time.sleep(RETRY_DELAY)


def make_task(family: Family, number: int, way: str, store: Store) -> SimulatedTask:
    """Return a task with retries."""

    def make_operator() -> Any:
        return family.operator(
            task_id="extract",
            **family.all_arguments(media_of(number)),
            poll_interval=0.03,
            max_poll_interval=0.03,
            timeout=60,
            **WAYS[way],
        )

    return SimulatedTask(make_operator, retries=12, store=store, map_index=number)


@pytest.fixture
def emulator(
    ims_emulator: EmulatorProcess, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> EmulatorProcess:
    """Return an emulator, with a short read_timeout in the connection to it; a failed write is repeated soon."""
    connect(extra={"connect_timeout": 2, "read_timeout": READ_TIMEOUT})
    monkeypatch.setattr(durable, "_FIRST_WRITE_PAUSE", 0.02)
    return ims_emulator


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [kind.value for kind in FaultKind if kind is not FaultKind.ANSWER])
def test_single_fault_costs_nothing(kind: str, way: str, emulator: EmulatorProcess) -> None:
    """A fault at the first, second or fifth submission or query loses no result and costs no second job."""
    for action, nth in PLACES:
        run_tasks(way, [Fault(action, kind, nth)], random.Random(nth), emulator)


@pytest.mark.parametrize("family", OTHERS, ids=str)
@pytest.mark.parametrize("kind", [kind.value for kind in FaultKind if kind is not FaultKind.ANSWER])
def test_single_fault_costs_nothing_in_other_families(kind: str, family: Family, emulator: EmulatorProcess) -> None:
    """With ClientToken, parts or a cancel action, a fault costs no second job; with ClientToken, no result either."""
    for number, (action, nth) in enumerate(FEW_PLACES):
        way = list(WAYS)[number % 2]
        run_tasks(way, [Fault(action, kind, nth)], random.Random(nth), emulator, family=family)


@pytest.mark.parametrize("action", [SUBMIT, QUERY])
@pytest.mark.parametrize("way", WAYS)
def test_single_response_costs_nothing(way: str, action: str, emulator: EmulatorProcess) -> None:
    """Each response but a success, with a job behind it or not, loses no result and costs no second job."""
    for response in TEMPORARY_RESPONSES[action]:
        run_tasks(way, [Fault(action, "answer", 2, response=response)], random.Random(0), emulator)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory for the objects of all tests: Airflow keeps its path for the life of the process."""
    return tmp_path_factory.mktemp("objects")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("family", "seed"), RUNS, ids=str)
def test_several_faults_cost_nothing(
    family: Family, seed: int, way: str, emulator: EmulatorProcess, objects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random faults of service, state store and look-up, some of them repeated, cost no result and no second job."""
    rng = random.Random(seed)
    kinds = [kind.value for kind in FaultKind]
    faults = [
        Fault(rng.choice([SUBMIT, QUERY]), rng.choice(kinds), rng.randint(1, 6), rng.randint(1, 3))
        for _ in range(rng.randint(2, 3))
    ]
    real = ImsHook.get_connection

    def look_up(conn_id: str) -> Any:
        if rng.random() < LOOK_UP_FAILURES:
            raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")
        return real(conn_id)

    monkeypatch.setattr(ImsHook, "get_connection", staticmethod(look_up))
    if seed % 2 and HAS_OBJECT_STORAGE:
        with object_storage(objects):
            run_tasks(way, faults, rng, emulator, lambda: unreliable(ObjectStorage(), rng), family=family)
    else:
        run_tasks(way, faults, rng, emulator, lambda: unreliable(Store(), rng), family=family)
