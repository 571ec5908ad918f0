"""No process of a whole Airflow writes a secret: workers, triggerer, scheduler, DAG processor, API server and commands.

``tests/test_canary.py`` has the same for all pairs of a kind of credentials and a failure, in fewer processes. Here
each kind has a success that repeats the request, and each failure happens once. The connections are stored in the
database, and everything is logged at the level DEBUG.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from dev.sandbox import AirflowSandbox
from tests.canaries import Canaries
from tests.canary_cases import EXTERNAL_ID, FAILURES, FIXED, IMS_REPEATS, KINDS, MARKED, World
from tests.runs import TIMEOUT, needs_airflow_3, whole_airflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.standalone import StandaloneAirflow

pytestmark = [needs_airflow_3, pytest.mark.timeout(900)]

CANARIES = Canaries()
CANARIES.learn(*FIXED)
CASES = [(kind, IMS_REPEATS) for kind in KINDS] + [
    (next(kind for kind in KINDS if kind in failure.kinds), name)
    for name, failure in FAILURES.items()
    if name != IMS_REPEATS
]
DAG_ID = "canaries"
DAG = """
import json
from pathlib import Path
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.sensors.job import ImsJobSensor

with DAG("canaries", schedule=None):
    for number, (job_id, timeout) in enumerate(json.loads(Path(__file__).with_suffix(".json").read_text())):
        arguments = {"ims_conn_id": f"ims_{number}", "timeout": timeout, "deferrable": True}
        if number % 2:
            ImsJobSensor(task_id=f"task_{number}", job_id=job_id, poke_interval=0.2, **arguments)
        else:
            ImsSubmitCopyrightExtractJobOperator(
                task_id=f"task_{number}", input_media="oss://b-1/a.mp4", poll_interval=0.2, **arguments
            )
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("home"), CANARIES) as one:
        yield one


@pytest.fixture(scope="module")
def airflow(world: World) -> Iterator[StandaloneAirflow]:
    """Run an Airflow whose database has a connection for each case."""
    job_id = world.submit(MARKED)
    connections = {f"ims_{number}": json.loads(world.connection(*case)) for number, case in enumerate(CASES)}
    # It has a secret in its host, which the database has in clear text: in Airflow this is no secret field.
    misconfigured = next(number for number, (_, failure) in enumerate(CASES) if failure == "misconfigured")
    env = {
        **world.variables,
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        f"AIRFLOW_CONN_IMS_{misconfigured}": json.dumps(connections.pop(f"ims_{misconfigured}")),
    }
    with AirflowSandbox(env) as sandbox:
        sandbox.add_dag(DAG, f"{DAG_ID}.py")
        # A wait whose polls fail lasts until its end: long enough to be deferred, also on a busy machine.
        waits = [(job_id, 120 if failure == IMS_REPEATS else 5) for _, failure in CASES]
        (sandbox.dags / f"{DAG_ID}.json").write_text(json.dumps(waits))
        file = sandbox.home / "import.json"
        file.write_text(json.dumps(connections))
        sandbox.migrate()
        sandbox.airflow("connections", "import", str(file))
        file.unlink()
        with whole_airflow(sandbox) as one:
            yield one


def everything_written(airflow: StandaloneAirflow) -> dict[str, bytes]:
    """Return the content of all files: the logs of all processes, their output, the database and its journal."""
    files = [path for path in airflow.sandbox.home.rglob("*") if path.is_file()]
    return {str(path.relative_to(airflow.sandbox.home)): path.read_bytes() for path in files}


def leaks(world: World, written: dict[str, bytes]) -> dict[str, list[bytes]]:
    world.learn_issued()
    return {name: found for name, text in written.items() if (found := CANARIES.find(text))}


def test_runs_write_no_secret(world: World, airflow: StandaloneAirflow) -> None:
    """A run with each kind and each failure leaves no secret in a log, an output, the database or the REST API."""
    run_id = airflow.trigger(DAG_ID)
    airflow.wait_for_run(DAG_ID, run_id, 2 * TIMEOUT)
    states = {ti["task_id"]: ti["state"] for ti in airflow.task_instances(DAG_ID, run_id)}
    expected = {
        f"task_{number}": "success" if failure == IMS_REPEATS else "failed" for number, (_, failure) in enumerate(CASES)
    }
    assert states == expected
    written = everything_written(airflow)
    assert {"airflow.db", "standalone.log"} <= written.keys()
    logs = [name for name in written if name.startswith("logs/dag_id=")]
    assert any(name.endswith(".log") and ".trigger." in name for name in logs), logs
    assert b"AssumeRole" in b"".join(written[name] for name in logs)
    for path in (
        f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances?limit=1000",
        f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/~/xcomEntries?limit=1000",
        "/eventLogs?limit=1000",
        f"/dagSources/{DAG_ID}",
    ):
        written[path] = json.dumps(airflow.request("GET", path)).encode()
    assert leaks(world, written) == {}


def test_api_shows_no_secret_of_a_connection(world: World, airflow: StandaloneAirflow) -> None:
    """The API masks the secret fields of connections. The external id is no secret to who may see connections."""
    text = json.dumps(airflow.request("GET", "/connections?limit=1000"))
    assert "ims_0" in text
    assert leaks(world, {"connections": text.replace(EXTERNAL_ID, "").encode()}) == {}


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{kind}: {failure}" for kind, failure in CASES])
def test_button_writes_no_secret(number: int, world: World, airflow: StandaloneAirflow) -> None:
    """The Test button, which runs in the API server, says what is wrong, without a secret."""
    kind, failure = CASES[number]
    connection = json.loads(world.connection(kind, failure))
    payload: dict[str, Any] = {"connection_id": f"tested_{number}", **connection}
    response = airflow.request(
        "POST", "/connections/test", {**payload, "extra": json.dumps(connection["extra"]), "port": None}
    )
    assert response["status"] is (failure == IMS_REPEATS), response
    if failure != IMS_REPEATS:
        assert re.search(FAILURES[failure].says, response["message"]), response
    assert leaks(world, {"response": json.dumps(response).encode()}) == {}


@pytest.mark.parametrize("number", [2, len(KINDS) + 1])
def test_command_writes_no_secret(number: int, world: World, airflow: StandaloneAirflow) -> None:
    """`airflow connections test` prints no secret."""
    done = airflow.sandbox.airflow("connections", "test", f"ims_{number}", check=False)
    assert ("Connection success!" in done.stdout) is (CASES[number][1] == IMS_REPEATS), done.stdout
    assert leaks(world, {"output": f"{done.stdout}{done.stderr}".encode()}) == {}


def test_processes_wrote_no_secret(world: World, airflow: StandaloneAirflow) -> None:
    """After all of that, the logs and the output of the API server have no secret."""
    assert leaks(world, everything_written(airflow)) == {}
