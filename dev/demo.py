"""`make demo`: run the example DAG in a real Airflow against the emulator."""

from __future__ import annotations

import sys
import time

from airflow_provider_ims.emulator.process import EmulatorProcess
from dev.console import Interrupted, echo, stop_on_signals
from dev.sandbox import EXAMPLE_DAGS, AirflowSandbox

EXAMPLE = EXAMPLE_DAGS / "example_ims_copyright_extract.py"
VIDEOS = {
    "oss://rights-evidence/suspects/clip-1.mp4": (240, "(c) Example Studio, licence 1001"),
    "oss://rights-evidence/suspects/clip-2.mp4": (1260, "(c) Example Studio, licence 1002"),
    "oss://rights-evidence/suspects/clip-3.mp4": (5400, "版权水印测试"),
}
"""The videos of the example DAG: duration in seconds, and the watermark that they contain."""

QUERY = """
import sys
from airflow_provider_ims.hooks.ims import ImsHook
hook = ImsHook()
for job_id in sys.argv[1:]:
    print(hook.query_copyright_extract_job(job_id).result)
"""


def demo() -> int:
    """Run the demo and return the exit status."""
    started = time.monotonic()
    echo("Starting the IMS emulator ...")
    with (
        EmulatorProcess() as emulator,
        AirflowSandbox({"AIRFLOW_CONN_IMS_DEFAULT": emulator.connection_json()}) as airflow,
    ):
        for media, (duration, watermark) in VIDEOS.items():
            emulator.put_media(media, duration=duration, watermark=watermark)
        echo(f"  it listens at {emulator.endpoint} and has {len(VIDEOS)} videos with a watermark")
        echo("Creating a temporary Airflow (AIRFLOW_HOME and SQLite database in a temporary directory) ...")
        airflow.migrate()
        echo(f"Running the DAG {EXAMPLE.name} ...")
        run = airflow.run_dag(airflow.add_dag(EXAMPLE))
        if run.state != "success":
            echo(run.output)
            echo(f"The DAG run ended in state {run.state}; its log is above.")
            return 1
        (jobs,) = run.xcom("pair_with_jobs")
        echo(f"  run {run.run_id}: {run.state}; the downstream task got {len(jobs)} JobIds")
        emulator.advance(3600)
        echo("Advanced the emulator's clock by an hour. One query for each job:")
        watermarks = airflow.python("-c", QUERY, *jobs.values()).stdout.splitlines()[-len(jobs) :]
        echo("")
        for (media, job_id), watermark in zip(jobs.items(), watermarks, strict=True):
            echo(f"  JobId {job_id}  watermark {watermark}  ({media})")
        bill = emulator.bill()
        echo("")
        echo(f"Bill: {len(bill['lines'])} jobs, {bill['minutes']} minutes, {bill['currency']} {bill['price']}")
        if (
            set(jobs) != set(VIDEOS)
            or watermarks != [VIDEOS[media][1] for media in jobs]
            or len(bill["lines"]) != len(VIDEOS)
        ):
            echo("Unexpected jobs, watermarks or bill: see above.")
            return 1
    echo(f"Done in {time.monotonic() - started:.0f} s; emulator and Airflow are stopped and removed.")
    return 0


if __name__ == "__main__":
    stop_on_signals()
    try:
        sys.exit(demo())
    except Interrupted:
        echo("Interrupted; emulator and Airflow are stopped and removed.")
        sys.exit(130)
    except RuntimeError as error:  # Airflow or the emulator failed; the message contains its output
        echo(str(error))
        sys.exit(1)
