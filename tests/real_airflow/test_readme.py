"""The code in the README and on the page of the hook does what they say."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from dev.demo import VIDEOS
from dev.sandbox import ROOT

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.sandbox import AirflowSandbox

README = (ROOT / "README.md").read_text()
(DAG,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
(HOOK,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "hook.md").read_text(), flags=re.DOTALL)


@pytest.mark.skipif(Version(version("apache-airflow")).major < 3, reason="it imports airflow.sdk")
def test_dag_of_the_readme_runs(airflow: AirflowSandbox, ims_emulator: EmulatorProcess) -> None:
    """The first example submits a job for each of its videos, and passes JobIds and texts to the next task."""
    videos = re.findall(r'"(oss://.*?)"', DAG)
    # So that the copy of a newcomer works with `make ui`.
    assert len(videos) == 2
    assert set(videos) <= VIDEOS.keys()
    for number, video in enumerate(videos, start=1):
        ims_emulator.put_media(video, watermark=f"(c) {number}", processing_time=0)
    run = airflow.run_dag(airflow.add_dag(DAG, "readme.py"))
    assert run.state == "success", run.output
    jobs = [job["job_id"] for job in sorted(ims_emulator.jobs(), key=lambda job: job["media"])]
    assert str(dict(zip(jobs, ["(c) 1", "(c) 2"], strict=True))) in run.output


def test_hook_of_its_page_works(airflow: AirflowSandbox, ims_emulator: EmulatorProcess) -> None:
    """The example of the hook prints the watermark."""
    ims_emulator.put_media("oss://rights-evidence/suspects/clip-1.mp4", watermark="(c) Studio", processing_time=0)
    assert "succeeded (c) Studio" in airflow.python("-c", HOOK).stdout
