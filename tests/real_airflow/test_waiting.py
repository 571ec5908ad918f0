"""All ways of waiting have the same outcome: the table of ``scenarios.py`` in a real Airflow."""

from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ims.emulator.process import EmulatorProcess
from dev.sandbox import ROOT, AirflowSandbox, DagRunReport
from tests.real_airflow.scenarios import SCENARIOS, WAYS, Scenario, scenarios_of

pytestmark = pytest.mark.timeout(600)  # the first test waits for all runs

DAG_FILE = Path(__file__).parent / "dags" / "waiting.py"


@dataclass
class Outcome:
    """The outcome of one scenario."""

    run: DagRunReport
    record: dict[str, Any]


def outcomes_of(way: str, home: AirflowSandbox) -> dict[str, Outcome]:
    """Run all scenarios of a way in a separate Airflow, against a separate emulator."""
    with (
        EmulatorProcess() as emulator,
        AirflowSandbox({"AIRFLOW_CONN_IMS_DEFAULT": emulator.connection_json()}) as airflow,
    ):
        shutil.copy(home.home / "airflow.db", airflow.home)
        record = airflow.home / "record.jsonl"
        run = airflow.run_dag(
            airflow.add_dag(DAG_FILE),
            env={"IMS_WAY": way, "IMS_EMULATOR": emulator.endpoint, "IMS_RECORD": str(record), "PYTHONPATH": str(ROOT)},
        )
        if not record.exists():
            raise RuntimeError(run.output)
        lines = [json.loads(line) for line in record.read_text().splitlines()]
        return {line["scenario"]: Outcome(run, line) for line in lines}


CASES = [(way, name) for way in WAYS for name in scenarios_of(way)]


@pytest.fixture(scope="module")
def outcomes(migrated: AirflowSandbox) -> dict[str, dict[str, Outcome]]:
    """Run all ways, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(WAYS, pool.map(lambda way: outcomes_of(way, migrated), WAYS), strict=True))


@pytest.mark.parametrize(("way", "name"), CASES)
def test_all_ways_of_waiting_have_the_same_outcome(
    way: str, name: str, outcomes: dict[str, dict[str, Outcome]]
) -> None:
    """In each way of waiting, a scenario has the same XComs, class of exception and facts in its message."""
    scenario, outcome = SCENARIOS[name], outcomes[way][name]
    (job_id,) = outcome.record["jobs"]  # and only this one is billed
    assert outcome.record["exception"] == scenario.exception, outcome.record["message"]
    if scenario.polls is not None:
        deferred = way.endswith("_deferrable") and not scenario.at_once
        assert outcome.record["queries"] == scenario.polls + deferred
    assert scenario.log.format(job_id) in outcome.run.output
    returned = outcome.run.xcom(name)
    if scenario.exception is None:
        assert outcome.run.xcom(name, "watermark") == [scenario.watermark]
        assert returned == [job_id if way.startswith("operator") else scenario.watermark]
        return
    assert outcome.run.xcom(name, "watermark") == []
    assert returned == []
    has_outage = "outage" in str(scenario.faults)  # then the emulator does not count all polls
    check_facts(outcome.record["message"], job_id, scenario, None if has_outage else outcome.record["queries"])


def check_facts(message: str, job_id: str, scenario: Scenario, queries: int | None) -> None:
    """Check that a message has the facts that the person on call needs.

    :param queries: number of polls that the message must have, None if it is not known
    """
    for text in (job_id, *scenario.message):
        assert text in message
    assert any(advice in message for advice in ("Sensor on its JobId", "new bill", "Check the JobId"))  # what to do
    if scenario.breaks_event:  # the facts are lost with the event
        return
    facts = re.search(r"after (?P<polls>\d+) polls? in [\d.]+ s\. Last response: (none|.+RequestId [\w-]+)", message)
    assert facts, message
    assert queries is None or int(facts["polls"]) == queries
