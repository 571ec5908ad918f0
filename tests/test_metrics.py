"""The metrics, as a StatsD server receives them from Airflow's own client."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

from airflow_provider_ims import metrics
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.metrics import METRICS, MetricKind
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.sensors.job import ImsJobSensor
from airflow_provider_ims.triggers.job import ImsJobTrigger
from tests.attempts import SimulatedTask, Store, TaskInstance, WorkerCrash
from tests.statsd import ClosableClient, StatsdReceiver, configure_stats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_ims.emulator.process import EmulatorProcess

    Connect = Callable[..., None]

MEDIA = "oss://rights-evidence/clip.mp4"
SUBMIT = "SubmitCopyrightExtractJob"
QUERY = "QueryCopyrightExtractJob"
JOB = {"job_type": "CopyrightExtractJob", "region": "cn-shanghai"}
FORBIDDEN = '{"RequestId": "R", "Code": "Forbidden.RAM", "Message": "no"}'
KINDS = {"c": MetricKind.COUNTER, "ms": MetricKind.TIMER, "g": MetricKind.GAUGE}
AIRFLOW = Version(version("apache-airflow")).release


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch, connect: Connect) -> Iterator[StatsdReceiver]:
    """Return a StatsD server that gets the metrics of this process; there is a connection to the emulator."""
    with StatsdReceiver() as receiver:
        with monkeypatch.context() as changed:
            for name, value in receiver.env.items():
                changed.setenv(name, value)
            changed.setenv("AIRFLOW__METRICS__STATSD_CUSTOM_CLIENT_PATH", f"{ClosableClient.__module__}.ClosableClient")
            configure_stats()
            yield receiver
            # Nothing that differs from job to job.
            for line in receiver.lines():
                assert not re.search(r"[0-9a-f]{32}|clip|oss", line), line
        configure_stats()
    ClosableClient.close_all()


def make_task(**arguments: Any) -> SimulatedTask:
    """Return a task that extracts a watermark, with short pauses."""
    values = {"task_id": "extract", "input_media": MEDIA, "poll_interval": 0.05, "timeout": 30, **arguments}
    return SimulatedTask(lambda: ImsSubmitCopyrightExtractJobOperator(**values))


@pytest.mark.parametrize(
    ("arguments", "component"),
    [({"deferrable": True}, "triggerer"), ({"wait_for_completion": True}, "worker")],
    ids=["deferred", "on the worker"],
)
def test_job_of_an_operator_is_measured(
    arguments: dict[str, Any], component: str, statsd: StatsdReceiver, ims_emulator: EmulatorProcess
) -> None:
    """One submission, each poll, each request's time in the queue, the time to the result, and the wait are sent."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0.5)
    assert make_task(**arguments).run() == "success"
    (job,) = ims_emulator.jobs()
    assert statsd.total("ims.submissions", **JOB) == 1
    assert statsd.total("ims.polls", **JOB) == job["queries"] > 1
    for action, number in ((SUBMIT, 1), (QUERY, job["queries"])):
        queued = [one for one in statsd.samples("ims.queueing_time") if one.tags["action"] == action]
        assert len(queued) == number
        assert all(0 <= one.value < 1000 and one.tags["region"] == "cn-shanghai" for one in queued)
    (result,) = statsd.samples("ims.time_to_result")
    assert result.tags == {**JOB, "outcome": "succeeded"}
    assert 300 <= result.value < 30_000
    assert [one.value for one in statsd.samples("ims.waiting")] == [1, 0]
    assert {one.tags["component"] for one in statsd.samples("ims.waiting")} == {component}
    silent = ("ims.resumed", "ims.unknown", "ims.failed_polls", "ims.throttled")
    assert [one.name for one in statsd.samples() if one.name in silent] == []


def test_sensor_is_measured(statsd: StatsdReceiver, ims_emulator: EmulatorProcess) -> None:
    """A sensor sends its polls and the time that it has waited, and no submission."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0.2)
    job_id = ImsHook().submit_copyright_extract_job(MEDIA)
    submitted = len(statsd.samples("ims.submissions"))
    context: Any = {"ti": TaskInstance()}
    assert ImsJobSensor(task_id="wait", job_id=job_id, poke_interval=0.05).execute(context) == "(c) Studio"
    (job,) = ims_emulator.jobs()
    assert statsd.total("ims.polls", **JOB) == job["queries"]
    assert [one.tags["outcome"] for one in statsd.samples("ims.time_to_result")] == ["succeeded"]
    assert [one.value for one in statsd.samples("ims.waiting")][-1] == 0
    assert submitted == len(statsd.samples("ims.submissions")) == 1


def test_failed_polls_and_throttled_responses_are_counted(
    statsd: StatsdReceiver, ims_emulator: EmulatorProcess
) -> None:
    """A failed poll is a poll too, and says the class of its error; a throttled response says the action."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    ims_emulator.fault(QUERY, "throttle", retry_after=100)
    ims_emulator.fault(QUERY, "service_unavailable", nth=2, times=2)
    assert make_task(deferrable=True).run() == "success"
    assert statsd.total("ims.polls") == 4
    assert statsd.total("ims.failed_polls") == 3
    assert statsd.total("ims.failed_polls", error="ImsThrottledError", **JOB) == 1
    assert statsd.total("ims.failed_polls", error="ImsServiceError", **JOB) == 2
    (throttled,) = statsd.samples("ims.throttled")
    assert throttled.tags == {"action": QUERY, "region": "cn-shanghai"}


def test_throttled_submission_is_counted(statsd: StatsdReceiver, ims_emulator: EmulatorProcess) -> None:
    """A throttled submission creates no job, and counts as throttled only."""
    ims_emulator.fault(SUBMIT, "throttle", retry_after=100)
    assert make_task().run() == "success"
    assert statsd.total("ims.throttled", action=SUBMIT) == 1
    assert statsd.total("ims.submissions") == len(ims_emulator.bill()["lines"]) == 1


def test_queueing_time_is_that_of_the_rate_limit(
    statsd: StatsdReceiver, ims_emulator: EmulatorProcess, connect: Connect
) -> None:
    """A request that waits half a second for its turn says so."""
    connect(extra={"max_requests_per_second": 2})
    hook = ImsHook()

    async def submit_three() -> None:
        await asyncio.gather(
            *(hook.asubmit(COPYRIGHT_EXTRACT, {"Input": {"Type": "OSS", "Media": MEDIA}}) for _ in range(3))
        )
        await hook.aclose()

    ims_emulator.put_media(MEDIA, processing_time=0)
    asyncio.run(submit_three())
    times = sorted(one.value for one in statsd.samples("ims.queueing_time"))
    assert times[1] < 500
    assert 900 <= times[2] < 5000


def test_lost_response_is_counted_as_unknown(statsd: StatsdReceiver, ims_emulator: EmulatorProcess) -> None:
    """A submission whose response is lost counts as unknown, not as a submission."""
    ims_emulator.put_media(MEDIA, processing_time=0)
    ims_emulator.fault(SUBMIT, "cut_after")
    assert make_task().run() == "failed"
    assert [one.tags for one in statsd.samples("ims.unknown")] == [{**JOB, "found_by": "sender"}]
    assert statsd.samples("ims.submissions") == []


def test_submission_of_a_dead_worker_is_counted_as_unknown(
    statsd: StatsdReceiver, ims_emulator: EmulatorProcess
) -> None:
    """If a worker dies while it submits, the next attempt counts an unknown submission."""
    ims_emulator.put_media(MEDIA, processing_time=0)
    task = make_task()
    store = Store()
    store.failures[("set", 2)] = WorkerCrash()
    task.store = store
    assert task.run() == "failed"
    assert [one.tags for one in statsd.samples("ims.unknown")] == [{**JOB, "found_by": "retry"}]


def test_resumed_job_is_counted(statsd: StatsdReceiver, ims_emulator: EmulatorProcess) -> None:
    """A retry that resumes the job of an earlier attempt counts as resumed; there was one submission."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    task = make_task(wait_for_completion=True)
    assert task.attempt(failing_key="watermark") == "up_for_retry"
    assert task.attempt() == "success"
    assert statsd.total("ims.resumed", **JOB) == 1
    assert statsd.total("ims.submissions") == len(ims_emulator.bill()["lines"]) == 1


def test_all_samples_are_declared(statsd: StatsdReceiver, ims_emulator: EmulatorProcess) -> None:
    """Each sample has the name, the kind and the tags of its declaration, and each declared metric is sent."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    ims_emulator.fault(QUERY, "throttle", retry_after=10)
    task = make_task(wait_for_completion=True)
    task.attempt(failing_key="watermark")
    task.attempt()
    ims_emulator.fault(SUBMIT, "cut_after")
    make_task().run()
    declared = {metric.name: metric for metric in METRICS}
    samples = [one for one in statsd.samples() if not one.name.startswith("ims.waiting.")]
    assert {one.name for one in samples} == declared.keys()
    for one in samples:
        metric = declared[one.name]
        assert KINDS[one.kind] is metric.kind
        assert one.tags.keys() == set(metric.tags), one


def test_waits_of_a_process_are_counted(statsd: StatsdReceiver, ims_emulator: EmulatorProcess) -> None:
    """The gauge says how many jobs a triggerer waits for, with its host as a tag and, without tags, in the name."""
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0.5)
    job_ids = [ImsHook().submit_copyright_extract_job(MEDIA) for _ in range(3)]

    async def wait_for_all() -> None:
        triggers = [trigger_for(job_id) for job_id in job_ids]
        await asyncio.gather(*(anext(aiter(trigger.run())) for trigger in triggers))

    asyncio.run(wait_for_all())
    tagged = statsd.samples("ims.waiting")
    assert [one.value for one in tagged] == [1, 2, 3, 2, 1, 0]
    (host,) = {one.tags["hostname"] for one in tagged}
    assert [one.value for one in statsd.samples(f"ims.waiting.triggerer.{host}")] == [1, 2, 3, 2, 1, 0]


def test_number_of_waits_is_sent_again(
    statsd: StatsdReceiver, ims_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gauge is sent again with a poll, once some time has passed."""
    monkeypatch.setattr(metrics, "_REFRESH", 0.0)
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0.3)
    make_task(wait_for_completion=True).run()
    values = [one.value for one in statsd.samples("ims.waiting")]
    assert len(values) > 3
    assert values[:-1] == [1] * (len(values) - 1)
    assert values[-1] == 0


def trigger_for(job_id: str) -> ImsJobTrigger:
    """Return a trigger with short pauses."""
    now = time.time()
    wait = {"since": now, "deadline": now + 30, "poll_interval": 0.05, "max_poll_interval": 0.05}
    return ImsJobTrigger(wait={"job_type": "CopyrightExtractJob", "job_id": job_id, **wait}, region="cn-shanghai")


# ---- Airflow's side


def fail_at_first(name: str) -> str:
    """Raise for each metric of this provider, as a ``stat_name_handler`` that has a defect."""
    if name.startswith("ims."):
        raise RuntimeError(f"no {name}")
    return name


def fail_later(name: str) -> str:
    """Raise for what is sent, not while the client is created."""
    return name if name == metrics.WAITING.name else fail_at_first(name)


@pytest.mark.parametrize("handler", ["fail_at_first", "fail_later"])
def test_failing_metrics_fail_no_task(
    handler: str,
    statsd: StatsdReceiver,
    ims_emulator: EmulatorProcess,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If Airflow cannot send a metric, tasks and triggers go on, and one warning says so."""
    monkeypatch.setenv("AIRFLOW__METRICS__STAT_NAME_HANDLER", f"{__name__}.{handler}")
    monkeypatch.setattr(metrics, "_interface", metrics._Interface())
    configure_stats()
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0.2)
    assert make_task(deferrable=True).run() == "success"
    assert make_task(wait_for_completion=True).run() == "success"
    assert statsd.lines() == []
    warnings = [text for text in caplog.messages if "metric" in text]
    assert warnings == ["A metric could not be sent; further failures are not logged: RuntimeError"]


SLOW_CLIENT = """
import asyncio
from statsd import StatsClient
created_on_loops = []

class Client(StatsClient):
    def __init__(self, *args, **kwargs):
        created_on_loops.append(asyncio._get_running_loop() is not None)
        super().__init__(*args, **kwargs)
"""
TRIGGERER = """
import asyncio, json, sys
sys.path.insert(0, {path!r})
{configure}
from airflow_provider_ims.triggers.job import ImsJobTrigger

async def main():
    event = await anext(aiter(ImsJobTrigger(**json.loads({arguments!r})).run()))
    print("EVENT", event.payload["kind"])

asyncio.run(main())
import slow_client
print("ON THE LOOP", slow_client.created_on_loops)
"""
CORE = """
from airflow.observability.metrics import stats_utils
from airflow.observability.stats import Stats
try:
    Stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)
except TypeError:  # Airflow 3.2
    Stats.initialize(factory=stats_utils.get_stats_factory(Stats))
"""


def test_triggerer_sends_metrics_and_creates_the_client_off_its_loop(
    statsd: StatsdReceiver, ims_emulator: EmulatorProcess, tmp_path: Any
) -> None:
    """A process that has configured the interface as a triggerer does sends metrics; a thread creates the client.

    To create it looks up a host name, which would block the triggers of all tasks.
    """
    ims_emulator.put_media(MEDIA, watermark="(c) Studio", processing_time=0)
    job_id = ImsHook().submit_copyright_extract_job(MEDIA)
    before = statsd.total("ims.polls")
    (tmp_path / "slow_client.py").write_text(SLOW_CLIENT)
    code = TRIGGERER.format(
        path=str(tmp_path),
        configure=CORE if AIRFLOW >= (3, 2) else "",
        arguments=json.dumps(trigger_for(job_id).serialize()[1]),
    )
    env = {"AIRFLOW__METRICS__STATSD_CUSTOM_CLIENT_PATH": "slow_client.Client"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **env}, check=True, timeout=60
    )
    assert "EVENT succeeded" in done.stdout
    assert re.search(r"ON THE LOOP \[(False(, )?)+\]", done.stdout), done.stdout
    assert statsd.total("ims.polls") == before + 1
    assert [one.value for one in statsd.samples("ims.waiting")][-1] == 0


def test_metric_of_a_loop_waits_for_no_client(statsd: StatsdReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """On an event loop, a metric is dropped while the client is missing; a thread or a task creates it."""
    monkeypatch.setattr(metrics, "_interface", metrics._Interface())

    async def count() -> None:
        metrics.POLLS.count(job_type="dropped")
        await asyncio.to_thread(metrics.load)
        metrics.POLLS.count(job_type="sent")

    asyncio.run(count())
    assert [one.tags for one in statsd.samples()] == [{"job_type": "sent"}]
    monkeypatch.setattr(metrics, "_interface", metrics._Interface())
    metrics.RESUMED.count(**JOB)
    assert statsd.total("ims.resumed") == 1


def test_values_of_tags_are_safe(statsd: StatsdReceiver) -> None:
    """A value that would break the format of a receiver is changed, and a long one is cut; None leaves the tag out."""
    metrics.POLLS.count(job_type="a,b=c d|e:f\n" + "x" * 100, region=None)
    (sample,) = statsd.samples()
    assert sample.tags == {"job_type": ("a_b_c_d_e_f_" + "x" * 100)[:64]}


def test_metrics_of_threads_are_all_counted(statsd: StatsdReceiver) -> None:
    """Waits that begin and end on several threads are all counted."""

    def wait() -> None:
        for _ in range(10):  # more lines at once do not fit into the buffer of the socket
            with metrics.waiting(metrics.Component.WORKER):
                pass

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.value for one in statsd.samples("ims.waiting")][-1] == 0


# ---- the declaration


def test_names_follow_the_conventions_of_airflow() -> None:
    """Names are lower case with dots and underscores, and unique; tags are lower case with underscores."""
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert re.fullmatch(r"ims\.[a-z]+(_[a-z]+)*", metric.name)
        assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", tag) for tag in metric.tags)
        assert (metric.unit == "ms") == (metric.kind is MetricKind.TIMER)
    declared = {value for value in vars(metrics).values() if isinstance(value, metrics.Metric)}
    assert declared == set(METRICS)
