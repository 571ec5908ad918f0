"""Processes of a cluster are killed, restarted and shut down while tasks submit and wait; the bill is the witness.

``make cluster-test`` runs the short form, ``make cluster-test LONG=1`` all scenarios.
"""

from __future__ import annotations

import secrets
import subprocess
import time
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped] # a dependency of Airflow, which ships no types
import pytest
import yaml  # type: ignore[import-untyped]

from dev.cluster import COMPONENTS, TRIGGERERS, WORKERS
from dev.processes import tree
from dev.sandbox import ROOT
from tests.cluster.conftest import CONNECTION_ID, FORM
from tests.cluster.loads import FEW, MANY, MIXED, MOST, Load, Way
from tests.cluster.trials import GOES_ON, PROCESSING_TIME, QUERY, SUBMIT, TIMEOUT, Account, Trial, line

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.cluster import Cluster

    Check = Callable[..., Account]
    Start = Callable[[Load], Trial]

pytestmark = [
    pytest.mark.skipif(not FORM, reason="a cluster takes minutes, PostgreSQL and Redis: make cluster-test"),
    pytest.mark.timeout(3600),
]
only_long = pytest.mark.skipif(FORM != "long", reason="make cluster-test LONG=1")

SLOW = 20.0
"""Seconds that a slow submission takes: time for a test to find out who submits, and to kill it."""
OUTAGES = {"short": [5], "long": [5, 30]}.get(FORM, [])
"""Seconds that PostgreSQL is away."""
SIZES = {"short": [MANY], "long": [MANY, MOST]}.get(FORM, [])
KEY_ORDERS = {"short": ["key disabled"], "long": ["key disabled", "connection changed"]}.get(FORM, [])
SECONDS_WITHOUT_KEYS = 5.0
SECONDS_UNTIL_CONNECTIONS_ARE_READ = 130.0
"""A running wait reads its connection once a minute, and uses settings that are at most two minutes old."""


@pytest.fixture
def start(cluster: Cluster, ims_emulator_process: EmulatorProcess) -> Start:
    """Return a function that starts a run on a healthy cluster."""
    cluster.wait_until_healthy()

    def start_run(load: Load) -> Trial:
        trial = Trial(cluster, ims_emulator_process, load, f"{load.dag_id}-{secrets.token_hex(4)}")
        trial.start()
        return trial

    return start_run


@pytest.fixture
def check(accounts: list[Account]) -> Check:
    """Return a function that closes the account of a run, and checks it."""

    def close(trial: Trial, scenario: str, note: str = "") -> Account:
        account = trial.account(scenario, note)
        accounts.append(account)
        for one in account.instances:
            assert not one.lost, (one, line(account))
            assert not one.unexplained, (one, line(account))
        return account

    return close


def begin(start: Start, load: Load = MIXED) -> Trial:
    """Start a run, some of whose submissions take long."""
    trial = start(load)
    trial.emulator.fault(SUBMIT, "slow", nth=3, times=5, seconds=SLOW)
    return trial


def wait_until_busy(trial: Trial, *, workers: tuple[str, ...] = WORKERS) -> tuple[str, set[Any], set[Any]]:
    """Wait until a worker has tasks that submit and tasks that wait; return its name and both."""

    def busy() -> tuple[str, set[Any], set[Any]] | None:
        pids, submitting, jobs = trial.pids(), trial.submitting(), trial.jobs()
        for name in workers:
            members = {process.pid for process in tree(trial.cluster.processes.pid(name) or 0)}
            mine = {key for key, pid in pids.items() if pid in members}
            waiting = {key for key in mine if key[0] is Way.WAIT and jobs[key] and jobs[key][-1]["queries"]}
            if mine & submitting and waiting:
                return name, mine & submitting, waiting
        return None

    found: tuple[str, set[Any], set[Any]] = trial.wait_until("a worker has tasks that submit and that wait", busy)
    return found


def most_triggers(cluster: Cluster) -> tuple[str, dict[str, int]]:
    """Return the triggerer that runs most triggers, and the number of each: Airflow opens a log for each trigger."""
    numbers = {}
    for name in TRIGGERERS:
        files = [file.path for process in tree(cluster.processes.pid(name) or 0) for file in open_files(process)]
        numbers[name] = len({path for path in files if ".trigger." in path})
    return max(numbers, key=lambda name: numbers[name]), numbers


def open_files(process: Any) -> list[Any]:
    """Return the files that a process has open."""
    try:
        files: list[Any] = process.open_files()
    except psutil.Error:  # it has just ended
        return []
    return files


def test_worker_dies_while_tasks_submit_and_wait(start: Start, check: Check, cluster: Cluster) -> None:
    """If a worker dies, its submissions are unknown, its other tasks resume their jobs, and none is paid twice."""
    trial = begin(start)
    name, submitting, waiting = wait_until_busy(trial)
    cluster.processes.kill(name)
    trial.finish()
    account = check(trial, "kill -9 of a worker", f"{len(submitting)} submitting, {len(waiting)} waiting on it")
    ends = {(one.way, one.number): one for one in account.instances}
    assert all(ends[key].has_result and ends[key].attempts > 1 for key in waiting), ends
    assert all(ends[key].is_unknown for key in submitting), ends


@pytest.mark.parametrize("seconds", OUTAGES)
def test_postgresql_and_api_server_restart(seconds: int, start: Start, check: Check, cluster: Cluster) -> None:
    """If PostgreSQL and the API server restart while tasks submit and wait, nothing is paid twice or lost."""
    trial = begin(start)
    wait_until_busy(trial)
    before = {name: cluster.processes.starts(name) for name in COMPONENTS}
    cluster.processes.stop("postgresql")
    cluster.processes.terminate("api-server")
    time.sleep(seconds)
    cluster.processes.start("postgresql")
    cluster.wait_until_healthy()
    trial.finish()
    restarted = [name for name, number in before.items() if cluster.processes.starts(name) > number]
    check(trial, f"PostgreSQL away for {seconds} s, API server restarted", f"restarted: {', '.join(restarted)}")


@only_long
def test_postgresql_dies(start: Start, check: Check, cluster: Cluster) -> None:
    """If PostgreSQL dies and recovers while tasks submit and wait, nothing is paid twice or lost."""
    trial = begin(start)
    wait_until_busy(trial)
    cluster.processes.kill("postgresql")
    cluster.wait_until_healthy()
    trial.finish()
    check(trial, "kill -9 of PostgreSQL", "all connections broken, recovery from the log")


@only_long
def test_api_server_dies(start: Start, check: Check, cluster: Cluster) -> None:
    """If the API server dies while tasks submit and wait, nothing is paid twice or lost."""
    trial = begin(start)
    wait_until_busy(trial)
    for _ in range(2):
        cluster.processes.kill("api-server")
        cluster.wait_until_healthy()
    trial.finish()
    check(trial, "kill -9 of the API server, twice")


@only_long
def test_redis_dies(start: Start, check: Check, cluster: Cluster) -> None:
    """If the broker dies while tasks are queued, submit and wait, nothing is paid twice or lost."""
    trial = begin(start)
    wait_until_busy(trial)
    cluster.processes.kill("redis")
    cluster.wait_until_healthy()
    trial.finish()
    check(trial, "kill -9 of Redis")


@only_long
def test_scheduler_dies(start: Start, check: Check, cluster: Cluster) -> None:
    """If the scheduler dies while tasks submit and wait, nothing is paid twice or lost."""
    trial = begin(start)
    wait_until_busy(trial)
    cluster.processes.kill("scheduler")
    cluster.wait_until_healthy()
    trial.finish()
    check(trial, "kill -9 of the scheduler")


@only_long
def test_workers_shut_down_warmly(start: Start, check: Check, cluster: Cluster) -> None:
    """A worker that is asked to end lets its tasks submit and wait to their end; nothing is retried."""
    trial = begin(start)
    name, submitting, waiting = wait_until_busy(trial)
    cluster.processes.stop(*WORKERS)
    trial.wait_until("all submissions have a response", lambda: not trial.submitting())
    trial.emulator.advance(PROCESSING_TIME)
    cluster.processes.wait_until_stopped(*WORKERS)
    cluster.processes.start(*WORKERS)
    trial.finish()
    note = f"{len(submitting)} submitting, {len(waiting)} waiting on {name}"
    account = check(trial, "warm shutdown of both workers", note)
    assert all(one.has_result and one.attempts == 1 for one in account.instances)


def test_runs_are_cleared_marked_and_deleted(start: Start, check: Check, cluster: Cluster) -> None:
    """A cleared task submits a new job and says so; a marked or deleted one says which job goes on."""
    cleared, marked, deleted = (start(FEW) for _ in range(3))
    for trial in (cleared, marked, deleted):
        trial.wait_until_polled()
    cluster.clear(FEW.dag_id, cleared.run_id, Way.DEFER)
    for number in range(FEW.size):
        path = f"/dags/{FEW.dag_id}/dagRuns/{marked.run_id}/taskInstances/{Way.DEFER}/{number}"
        cluster.tell("PATCH", path, {"new_state": "failed"})
    # Airflow deletes no run that is running.
    run = f"/dags/{FEW.dag_id}/dagRuns/{deleted.run_id}"
    cluster.tell("PATCH", run, {"state": "failed"})
    cluster.request("DELETE", run)

    def told(trial: Trial) -> bool:
        return all(GOES_ON in trial.log(*key) for key in trial.instances())

    for trial in (cleared, marked, deleted):
        trial.wait_until("the logs say which jobs go on", lambda trial=trial: told(trial))
    cleared.finish()
    account = check(cleared, "clear of deferred tasks")
    assert all(one.has_result and len(one.jobs) == 2 for one in account.instances)
    for trial, scenario in (
        (marked, "deferred tasks marked as failed"),
        (deleted, "run marked as failed and deleted at once"),
    ):
        account = check(trial, scenario)
        assert all(len(one.jobs) == 1 for one in account.instances)


@pytest.mark.parametrize("first", KEY_ORDERS)
def test_keys_are_rotated(first: str, start: Start, check: Check, cluster: Cluster) -> None:
    """Waits in all triggerers go on with the new keys of the connection, also if the old ones are refused before."""
    trial = start(FEW)
    trial.wait_until_polled()
    emulator = trial.emulator
    old = emulator.access_key_id
    last = emulator.requests()[-1]["sequence"]
    emulator.rotate_key(f"id-{secrets.token_hex(4)}", secrets.token_hex(16), old="active")
    if first == "key disabled":
        emulator.revoke(access_key_id=old)
        time.sleep(SECONDS_WITHOUT_KEYS)
    fields = {"connection_id": CONNECTION_ID, "conn_type": "ims"}
    keys = {"login": emulator.access_key_id, "password": emulator.access_key_secret}
    mask = "&".join(f"update_mask={name}" for name in keys)
    cluster.tell("PATCH", f"/connections/{CONNECTION_ID}?{mask}", {**fields, **keys})
    if first == "connection changed":
        time.sleep(SECONDS_UNTIL_CONNECTIONS_ARE_READ)
        emulator.revoke(access_key_id=old)
    queries = {key: jobs[-1]["queries"] for key, jobs in trial.jobs().items()}
    trial.wait_until(
        "all waits go on",
        lambda: all(jobs[-1]["queries"] > queries[key] for key, jobs in trial.jobs().items()),
    )
    after = [one for one in emulator.requests() if one["sequence"] > last and one["action"] == QUERY]
    refused = [one for one in after if one["code"] not in {"OK", None}]
    trial.finish()
    account = check(trial, f"rotation of keys, {first} first", f"{len(refused)} polls refused")
    assert bool(refused) == (first == "key disabled")
    assert all(one.has_result and one.attempts == 1 for one in account.instances)


@pytest.mark.parametrize("load", SIZES, ids=lambda load: load.dag_id)
def test_triggerer_dies_with_its_waits(load: Load, start: Start, check: Check, cluster: Cluster) -> None:
    """If a triggerer dies, its waits go on in another one or after its restart, and each task gets its result."""
    trial = start(load)
    trial.wait_until_polled()
    name, numbers = most_triggers(cluster)
    assert numbers[name], numbers
    cluster.processes.kill(name)
    queries = {key: jobs[-1]["queries"] for key, jobs in trial.jobs().items()}

    def polled_again() -> bool:
        return all(jobs[-1]["queries"] > queries[key] for key, jobs in trial.jobs().items())

    trial.wait_until("all waits go on", polled_again)
    trial.finish()
    shares = " and ".join(str(number) for number in sorted(numbers.values(), reverse=True))
    account = check(
        trial, f"{load.size} deferred at once, kill -9 of a triggerer", f"shares {shares}, larger one killed"
    )
    assert all(one.has_result and len(one.jobs) == one.attempts == 1 for one in account.instances)


@only_long
def test_triggerers_shut_down(start: Start, check: Check, cluster: Cluster) -> None:
    """If both triggerers are asked to end, the waits go on when they are back, and no log says that a job was left."""
    trial = start(MANY)
    trial.wait_until_polled()
    cluster.processes.stop(*TRIGGERERS)
    cluster.processes.wait_until_stopped(*TRIGGERERS)
    cluster.processes.start(*TRIGGERERS)
    trial.finish()
    account = check(trial, "shutdown of both triggerers", f"{MANY.size} waits")
    assert all(one.has_result and GOES_ON not in one.log for one in account.instances)


@only_long
@pytest.mark.parametrize("name", ["dag-processor", *TRIGGERERS, *WORKERS])
def test_health_check_of_compose_succeeds(name: str, cluster: Cluster) -> None:
    """The health check of a component in docker-compose.yaml, run as it stands, says that it is healthy."""
    cluster.wait_until_healthy()
    service = yaml.safe_load((ROOT / "deploy" / "docker-compose.yaml").read_text())["services"][name]
    kind, command = service["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    ((hostname,),) = cluster.sql("SELECT hostname FROM job WHERE job_type = 'SchedulerJob' LIMIT 1")
    env = {**cluster.env, "HOSTNAME": hostname}
    # Compose writes $$ for $.
    checked = subprocess.run(
        ["sh", "-c", command.replace("$$", "$")], env=env, capture_output=True, text=True, check=False, timeout=TIMEOUT
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
