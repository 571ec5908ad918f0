"""Once for each task, the log says with which identity it runs."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.exceptions import AirflowRescheduleException

from airflow_provider_ims.hooks import ims
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.sensors.job import ImsJobSensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess

LIST = "QueryCopyrightJobList"
KEY = "Connection 'ims_default': an access key, region cn-shanghai"
ROLE = "acs:ram::1234567890123456:role/ims"
PROVIDER = "acs:ram::1234567890123456:oidc-provider/ack"
TOKEN_FILE = "/var/run/secrets/canary-file"


class RescheduledTask:
    """The part of a task instance that a sensor in the mode reschedule uses."""

    def __init__(self) -> None:
        self.start_date = datetime.now(UTC)

    def get_first_reschedule_date(self, context: object) -> None:
        return None

    def xcom_push(self, key: str, value: object) -> None:
        pass


pytestmark = pytest.mark.usefixtures("connect", "new_process")


@pytest.fixture
def new_process(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Let nothing be logged yet, as in a new process."""
    monkeypatch.setattr(ims, "_logged", set())
    caplog.set_level(logging.INFO, logger=ims.__name__)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the provider's lines about credentials. Airflow 3.0 has one of its own for each look-up."""
    ours = [record for record in caplog.records if record.name.startswith("airflow_provider_ims.")]
    return [record.getMessage() for record in ours if record.getMessage().startswith("Connection ")]


def test_task_says_once_which_credentials_it_has(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One task has one line, however many hooks and calls it has; the next task has its own."""
    for task in ("first", "second"):
        monkeypatch.setenv("AIRFLOW_CTX_TASK_ID", task)
        for _ in range(3):
            hook = ImsHook()
            hook.call(LIST)
            hook.call(LIST)
    assert lines(caplog) == [KEY, KEY]


async def test_triggers_of_a_process_say_it_once(
    caplog: pytest.LogCaptureFixture, connect: Callable[..., None]
) -> None:
    """A thousand waits of a triggerer have one line for their connection."""
    connect(extra={"max_requests_per_second": 10_000})
    hooks = [ImsHook() for _ in range(1000)]
    await asyncio.gather(*(hook.acall(LIST) for hook in hooks))
    await asyncio.gather(*(hook.aclose() for hook in hooks))
    assert lines(caplog) == [KEY]


def test_polls_of_a_wait_say_it_once(ims_emulator: EmulatorProcess, caplog: pytest.LogCaptureFixture) -> None:
    """The polls of a wait add no line."""
    ims_emulator.put_media("oss://b-1/a.mp4", watermark="(c)", processing_time=0.5)
    hook = ImsHook()
    job_id = hook.submit_copyright_extract_job("oss://b-1/a.mp4")
    assert hook.wait(COPYRIGHT_EXTRACT, job_id, poll_interval=0.1).result == "(c)"
    assert lines(caplog) == [KEY]


@pytest.mark.parametrize(("count", "expected"), [(0, [KEY]), (1, []), (7, [])])
def test_sensor_that_comes_back_adds_no_line(
    count: int, expected: list[str], ims_emulator: EmulatorProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """A sensor in the mode reschedule starts a process for each poll: only the first has a line."""
    ims_emulator.put_media("oss://b-1/a.mp4")
    job_id = ImsHook().submit_copyright_extract_job("oss://b-1/a.mp4")
    ims._logged.clear()
    caplog.clear()
    sensor = ImsJobSensor(task_id="wait", job_id=job_id, mode="reschedule")
    context: Any = {"ti": RescheduledTask(), "task_reschedule_count": count}
    with pytest.raises(AirflowRescheduleException):
        sensor.execute(context)
    assert lines(caplog) == expected


def test_another_region_or_identity_has_its_own_line(
    caplog: pytest.LogCaptureFixture, connect: Callable[..., None]
) -> None:
    """A task that uses two regions, or whose connection changes, says so."""
    _ = ImsHook().settings, ImsHook(region="cn-beijing").settings
    connect(extra={"role_arn": ROLE})
    _ = ImsHook().settings
    assert lines(caplog) == [
        KEY,
        "Connection 'ims_default': an access key, region cn-beijing",
        f"Connection 'ims_default': RAM role {ROLE} over an access key, region cn-shanghai",
    ]


@pytest.mark.parametrize(
    ("fields", "identity"),
    [
        ({"extra": {"security_token": "canary"}}, "a temporary access key"),
        (
            {"extra": {"role_arn": ROLE, "oidc_provider_arn": PROVIDER, "oidc_token_file": TOKEN_FILE}},
            f"RAM role {ROLE} over the OIDC provider {PROVIDER}",
        ),
        ({"extra": {"ecs_role_name": "ims"}}, "the RAM role of the ECS instance (ims)"),
        ({"extra": {"role_arn": ROLE, "ecs_role_name": "w"}}, f"RAM role {ROLE} over the RAM role of the ECS instance"),
        ({"extra": {"secret_credentials_uri": "https://keys.example.com/canary"}}, "the keys of a credentials URI"),
        ({"extra": {"profile_name": "ims"}}, "profile 'ims' of credentials.ini"),
        ({"extra": {"auth_type": "default_chain"}}, "the default credentials chain"),
    ],
)
def test_each_kind_is_named_without_a_secret(
    fields: dict[str, Any], identity: str, connect: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """The line has the kind, the role and the region, and no secret, token file or URL."""
    keys = {} if "security_token" in fields["extra"] else {"login": "", "password": ""}
    connect(**keys, **fields)
    _ = ImsHook().settings
    (line,) = lines(caplog)
    assert line.startswith(f"Connection 'ims_default': {identity}")
    assert line.endswith(", region cn-shanghai")
    assert "canary" not in json.dumps(line)


def test_connection_test_adds_no_line(caplog: pytest.LogCaptureFixture) -> None:
    """The connection test is no task: its text says the identity."""
    assert ImsHook().test_connection()[0]
    assert lines(caplog) == []
