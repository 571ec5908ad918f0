"""Fetched keys are registered with Airflow's secrets masker, and not without bound."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import redact
from asgiref.sync import async_to_sync
from packaging.version import Version

from airflow_provider_ims.api import masking
from airflow_provider_ims.api.client import ImsClient
from airflow_provider_ims.api.masking import mask
from airflow_provider_ims.connection.access_key import AccessKey
from airflow_provider_ims.hooks.ims import ImsHook
from dev.sandbox import AirflowSandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess

LIST = "QueryCopyrightJobList"


def new_key() -> AccessKey:
    return AccessKey("STS.x", secrets.token_hex(20), secrets.token_hex(40))


def text_of(key: AccessKey) -> str:
    return f"<{key.secret}> <{key.security_token}>"


@pytest.fixture(autouse=True)
def few_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start with no registered keys, and register few: the masker of this process keeps them."""
    monkeypatch.setattr(masking, "_registered", set())
    monkeypatch.setattr(masking, "MAX_KEYS", 3)


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the list of what the supervisor of the task is told to mask, as Airflow 3 does in a task."""
    runner = pytest.importorskip("airflow.sdk.execution_time.task_runner")
    masked: list[Any] = []

    class Comms:
        def send(self, message: Any) -> None:
            # Airflow itself masks the fields of a connection, one by one.
            if type(message).__name__ == "MaskSecret" and isinstance(message.value, list):
                masked.append(message.value)

    monkeypatch.setattr(runner, "SUPERVISOR_COMMS", Comms(), raising=False)
    return masked


@pytest.fixture
def temporary_keys(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> None:
    """Let the connection have temporary keys."""
    uri = ims_emulator.put_credentials_uri("x", role="ims")
    connect(login="", password="", extra={"secret_credentials_uri": uri})


@pytest.mark.usefixtures("temporary_keys")
async def test_fetched_keys_are_masked_at_once() -> None:
    """Secret and token are masked in any text as soon as they are fetched, also outside of a task."""
    async with ImsClient(ImsHook().settings) as client:
        key = await client.keys.current()
    assert redact(text_of(key)) == "<***> <***>"


@pytest.mark.usefixtures("temporary_keys")
def test_keys_of_the_hook_are_masked_in_the_supervisor(supervisor: list[Any]) -> None:
    """A call of the hook tells the supervisor the keys, because it writes the log of a task in Airflow 3."""
    ImsHook().call(LIST)
    ((secret, token),) = supervisor
    assert redact(f"{secret} {token}") == "*** ***"
    assert token.startswith("CAIS")


@pytest.mark.usefixtures("temporary_keys")
def test_keys_of_the_typed_client_are_masked(supervisor: list[Any]) -> None:
    """A call of the typed client tells the supervisor the keys, too."""
    from alibabacloud_ice20201109 import models

    ImsHook().get_conn().query_copyright_job_list(models.QueryCopyrightJobListRequest(page_size=1))
    ((secret, token),) = supervisor
    assert redact(f"{secret} {token}") == "*** ***"


async def test_masker_does_not_grow_without_bound(supervisor: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    """After so many keys of a process, later ones are not registered, and one line of the log says so."""
    caplog.set_level(logging.INFO)
    keys = [new_key() for _ in range(6)]
    for key in keys:
        for _ in range(3):
            await mask(key)
    assert [text_of(key) == redact(text_of(key)) for key in keys] == [False] * 3 + [True] * 3
    assert len(supervisor) == 3
    assert caplog.text.count("Airflow's secrets masker has 3 temporary keys of this process") == 1
    assert not any(key.secret in caplog.text for key in keys)


async def test_masked_keys_need_no_token(supervisor: list[Any]) -> None:
    """Keys of a profile may have no token: only the secret is masked."""
    key = AccessKey("LTAIx", secrets.token_hex(20))
    await mask(key)
    assert supervisor == [[key.secret]]
    assert redact(key.secret) == "***"


async def test_registration_does_not_block_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor of a triggerer replies over the event loop of the triggers: keys are registered from a thread."""
    runner = pytest.importorskip("airflow.sdk.execution_time.task_runner")
    loop = asyncio.get_running_loop()
    replies = []

    class Comms:
        def send(self, message: Any) -> None:
            # As Airflow's own does in a triggerer.
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(timeout=5)
            replies.append(message.value)

    monkeypatch.setattr(runner, "SUPERVISOR_COMMS", Comms(), raising=False)
    key = new_key()
    await mask(key)
    assert replies == [[key.secret, key.security_token]]


DAG = """
import asyncio
import logging
from airflow.providers.common.compat.sdk import DAG, task
from airflow_provider_ims.hooks.ims import ImsHook

async def log_keys():
    from airflow_provider_ims.api.client import ImsClient

    async with ImsClient(ImsHook().settings) as client:
        key = await client.keys.current()
    logging.getLogger("mine").info("Logged: <%s> <%s> %s", key.secret, key.security_token, key.key_id)
    print("Printed:", key.security_token)

with DAG("masked", schedule=None) as dag:
    @task
    def log():
        asyncio.run(log_keys())

    log()
"""
SUPERVISED = """
import json, os, sys
import httpx
from airflow.executors.workloads.base import BundleInfo
from airflow.sdk.api.client import Client
from airflow.sdk.api.datamodels._generated import TaskInstance
from airflow.sdk.execution_time.supervisor import supervise_task
from uuid6 import uuid7

NONE = dict.fromkeys(("data_interval_start", "data_interval_end", "end_date", "partition_key"))
RUN = {"dag_id": "masked", "run_id": "run", "run_type": "manual", "state": "running", "consumed_asset_events": []}
RUN |= NONE | dict.fromkeys(("logical_date", "start_date", "run_after"), "2026-01-01T00:00:00Z")

def reply(request):
    started = {"dag_run": RUN, "max_tries": 0, "should_retry": False}
    return httpx.Response(200, json=started if request.url.path.endswith("/run") else {})

instance = TaskInstance(
    id=uuid7(), dag_version_id=uuid7(), dag_id="masked", run_id="run", task_id="log", try_number=1, map_index=-1,
    context_carrier={}, pool_slots=1, queue="default", priority_weight=1,
)
client = Client(base_url=None, dry_run=True, token="", transport=httpx.MockTransport(reply))
supervise_task(
    ti=instance, bundle_info=BundleInfo(name="dags-folder"), dag_rel_path="masked.py", token="", dry_run=True,
    log_path="task.log", client=client,
)
"""
"""Runs the task of the DAG as a worker does: in a process of its own, whose supervisor writes the log."""


@pytest.mark.skipif(Version(version("apache-airflow")) < Version("3.3"), reason="its API server replies otherwise")
def test_log_of_a_task_shows_no_fetched_keys(ims_emulator: EmulatorProcess) -> None:
    """If the code of a user logs or prints the keys, the log of the task has them masked."""
    uri = ims_emulator.put_credentials_uri("x", role="ims")
    connection = {**ims_emulator.connection(secret_credentials_uri=uri), "login": "", "password": ""}
    with AirflowSandbox({"AIRFLOW_CONN_IMS_DEFAULT": json.dumps(connection)}) as airflow:
        airflow.add_dag(DAG, "masked.py")
        done = airflow.python("-c", SUPERVISED)
        (path,) = airflow.home.rglob("task.log")
        log = path.read_text()
    assert "Logged: <***> <***> STS." in log, log + done.stderr
    assert "Printed: ***" in log


async def test_supervisor_is_told_over_the_loop_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow may tell the supervisor over streams of the event loop, as the triggerer of 3.1 does."""
    runner = pytest.importorskip("airflow.sdk.execution_time.task_runner")
    loops = []

    async def tell() -> None:
        loops.append(asyncio.get_running_loop())

    class Comms:
        def send(self, message: Any) -> None:
            async_to_sync(tell)()

    monkeypatch.setattr(runner, "SUPERVISOR_COMMS", Comms(), raising=False)
    await mask(new_key())
    assert loops or Version(version("apache-airflow")) < Version("3.1")
    assert set(loops) <= {asyncio.get_running_loop()}
