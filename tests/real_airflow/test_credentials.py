"""Each kind of credential in a real Airflow: submission, and all ways of waiting."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest

from dev.sandbox import ROOT, AirflowSandbox
from tests.api.identities import ACCOUNT, Identities

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_ims.emulator.process import EmulatorProcess

pytestmark = pytest.mark.timeout(600)

DAG_FILE = Path(__file__).parent / "dags" / "credentials.py"
MEDIA = "oss://rights-evidence/suspects/clip-1.mp4"
TEXT = "(c) Example Studio"
WAYS = ("worker", "deferred", "sensor")


@pytest.fixture
def identities(ims_emulator: EmulatorProcess, tmp_path: Path) -> Identities:
    """Return roles and tokens that the emulator knows."""
    return Identities(ims_emulator, tmp_path)


def run(
    airflow: AirflowSandbox, identities: Identities, connections: dict[str, str], ways: Iterable[str] = WAYS
) -> None:
    """Run the DAG with connections by their ids; each task succeeds, and has the text of the video."""
    report = airflow.run_dag(
        airflow.add_dag(DAG_FILE),
        env={
            **{f"AIRFLOW_CONN_{conn_id.upper()}": connection for conn_id, connection in connections.items()},
            "IMS_CONNECTIONS": ",".join(connections),
            "IMS_WAYS": ",".join(ways),
            "AIRFLOW__IMS__OIDC_TOKEN_DIRS": str(identities.home),
            # The way to the metadata service.
            "HTTP_PROXY": identities.emulator.endpoint,
            "NO_PROXY": "127.0.0.1",
            "HOME": str(identities.home),
            "PYTHONPATH": str(ROOT),
        },
    )
    for conn_id in connections:
        for way in ways:
            task_id = f"{way}-{conn_id}"
            assert report.tasks[f"{task_id}[-1]"] == "success", report.output
            assert report.xcom(task_id, "watermark") == [TEXT], task_id


def test_each_kind_submits_and_waits_in_each_way(airflow: AirflowSandbox, identities: Identities) -> None:
    """With each kind, a job is submitted, and its text is read on the worker, in the triggerer and by a sensor."""
    emulator = identities.emulator
    emulator.put_media(MEDIA, watermark=TEXT, processing_time=1)
    identities.write_token()
    key = emulator.access_key_id, emulator.access_key_secret
    (identities.home / ".alibabacloud").mkdir()
    (identities.home / ".alibabacloud" / "credentials.ini").write_text(
        f"[default]\ntype = access_key\naccess_key_id = {key[0]}\naccess_key_secret = {key[1]}\n"
    )
    temporary = identities.temporary_key()
    oidc = {
        "oidc_provider_arn": f"{ACCOUNT}:oidc-provider/ack",
        "oidc_token_file": identities.token_file,
        "sts_endpoint": emulator.endpoint,
    }
    connections = {
        "access_key": emulator.connection_json(),
        "sts": emulator.connection_json(security_token=temporary.security_token)
        .replace(key[0], temporary.key_id)
        .replace(key[1], temporary.secret),
        "ram_role": identities.connection_of_role(),
        "oidc_role": identities.connection(role_arn=f"{ACCOUNT}:role/base", **oidc),
        "ram_over_oidc": identities.connection(
            role_arn=f"{ACCOUNT}:role/worker", oidc_role_arn=f"{ACCOUNT}:role/base", **oidc
        ),
        "ecs_role": identities.connection(auth_type="ecs_ram_role"),
        "uri": identities.connection(secret_credentials_uri=identities.uri),
        "profile": identities.connection(auth_type="profile"),
        "default_chain": identities.connection(auth_type="default_chain"),
    }
    run(airflow, identities, connections)
    assert len(emulator.bill()["lines"]) == len(WAYS) * len(connections)


@pytest.mark.parametrize("way", WAYS)
def test_token_that_expires_in_the_middle_of_a_wait_is_refreshed(
    way: str, airflow: AirflowSandbox, identities: Identities
) -> None:
    """Keys of three seconds: the wait goes on while the first two refreshes fail, and until two have succeeded."""
    emulator = identities.emulator
    emulator.put_media(MEDIA, watermark=TEXT, processing_time=3600)
    emulator.configure(token_lifetime=3)
    # The first keys submit the job.
    emulator.fault("AssumeRole", "service_unavailable", nth=2, times=2)

    def refreshes() -> list[str]:
        return [one["code"] for one in emulator.requests() if one["action"] == "AssumeRole"]

    over = Event()

    def end_job_when_refreshed() -> None:
        while refreshes().count("OK") < 3 and not over.wait(0.2):
            pass
        emulator.advance(3600)

    with ThreadPoolExecutor(1) as pool:
        end = pool.submit(end_job_when_refreshed)
        try:
            run(airflow, identities, {"ram_role": identities.connection_of_role()}, [way])
        finally:
            over.set()
        end.result()
    codes = refreshes()
    assert codes[:3] == ["OK", "ServiceUnavailable", "ServiceUnavailable"]
    assert codes[3:].count("OK") == len(codes[3:]) >= 2
    assert len(emulator.bill()["lines"]) == 1
