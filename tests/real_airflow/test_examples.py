"""The example DAGs in a real Airflow, against the emulator."""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from packaging.version import Version

from dev.example_page import TITLES
from dev.examples import BILLS, FINGERPRINTS, MATCHES, prepare
from dev.sandbox import EXAMPLE_DAGS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.sandbox import AirflowSandbox, DagRunReport
    from dev.web_server import WebServer

    Runner = Callable[..., "Run"]

EXAMPLES = sorted(EXAMPLE_DAGS.glob("*.py"))
SUSPECT = "oss://rights-evidence/suspects/clip-{}.mp4"
LEAK = "oss://rights-evidence/leaks/stream-1.mp4"
TRAILER = "oss://studio-masters/trailer.mp4"
MARK = "(c) Example Studio, leak drill"
REFUSED = json.dumps({"RequestId": "R-1", "HostId": "ice", "Code": "InvalidParameter", "Message": "refused"})
LINKS_ARE_STORED = Version(version("apache-airflow")).major >= 3
"""Airflow 3 computes a link in the worker and stores it; Airflow 2 computes it in the web server."""

TIMETABLES = """
import json, sys
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag
dags = DagBag(sys.argv[1]).dags
print(json.dumps({dag_id: type(dag.timetable).__name__ for dag_id, dag in dags.items()}))
"""

MAPPED_SENSOR = """
from airflow.providers.common.compat.sdk import DAG, task
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.sensors.copyright import ImsCopyrightExtractJobSensor

with DAG("mapped_sensor", schedule=None) as dag:
    submit = ImsSubmitCopyrightExtractJobOperator.partial(task_id="submit").expand(
        input_media=[f"oss://b-1/{number}.mp4" for number in range(3)]
    )
    wait = ImsCopyrightExtractJobSensor.partial(
        task_id="wait", deferrable=True, poke_interval=0.2, no_watermark_after=0.5
    ).expand(job_id=submit.output)

    @task
    def collect(texts):
        return list(texts)

    collect(wait.output)
"""


@dataclass(frozen=True)
class Run:
    """A run of an example, and what is left of it."""

    report: DagRunReport
    bill: dict[str, Any]
    jobs: list[dict[str, Any]]
    media: dict[str, dict[str, Any]]
    requests: list[dict[str, Any]]
    announced: list[tuple[str, Any]]

    @property
    def job_ids(self) -> dict[str, str]:
        """The JobIds by what the jobs read; for a media object that several jobs read, that of the last one."""
        return {job["media"]: job["job_id"] for job in self.jobs}

    def families(self) -> dict[str, tuple[int, Decimal]]:
        """Return the number of jobs and the price of each family in the bill."""
        families = {job["job_id"]: job["family"] for job in self.jobs}
        count = Counter(families[line["job_id"]] for line in self.bill["lines"])
        prices: dict[str, Decimal] = {}
        for line in self.bill["lines"]:
            family = families[line["job_id"]]
            prices[family] = prices.get(family, Decimal()) + Decimal(line["price"])
        return {family: (count[family], prices[family]) for family in count}


def skip_without_providers(path: Path) -> None:
    """Skip a test if the environment does not have all providers of Airflow that an example imports."""
    modules = [node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    needed = {".".join(module.split(".")[:4]) for module in modules if module.startswith("airflow.providers.")}
    for module in needed:
        package = module if module.startswith("airflow.providers.common.") else module.rpartition(".")[0]
        try:
            found = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            found = None
        if found is None:
            pytest.skip(f"{path.name} needs {package}")


@pytest.fixture
def run_example(airflow: AirflowSandbox, ims_emulator: EmulatorProcess, web: WebServer) -> Runner:
    """Return a function that runs an example, with what a test has put into the emulator."""
    ims_emulator.configure(processing_time=0)
    prepare(ims_emulator, web)
    (airflow.home / "rights.db").unlink(missing_ok=True)
    return functools.partial(run_in, airflow, ims_emulator, web)


def run_in(airflow: AirflowSandbox, emulator: EmulatorProcess, web: WebServer, name: str, **options: Any) -> Run:
    """Run an example and return what is left of it."""
    path = airflow.dags / f"{name}.py"
    skip_without_providers(path)
    web.received.clear()
    report = airflow.run_dag(path, **options)
    media = {one["media"]: one for one in emulator.media()}
    return Run(report, emulator.bill(), emulator.jobs(), media, emulator.requests(), list(web.received))


@pytest.fixture(scope="module")
def standard_run(migrated: AirflowSandbox, ims_emulator_process: EmulatorProcess, web: WebServer) -> Runner:
    """Return a function that runs an example as it stands, once for all tests of this file.

    The file is parsed without a connection to IMS, which is defined afterwards.
    """

    @functools.cache
    def run(name: str) -> Run:
        ims_emulator_process.reset()
        ims_emulator_process.configure(processing_time=0)
        prepare(ims_emulator_process, web)
        (migrated.home / "rights.db").unlink(missing_ok=True)
        connection = "AIRFLOW_CONN_IMS_DEFAULT"
        late_env = {connection: migrated.env[connection]}
        return run_in(migrated, ims_emulator_process, web, name, env={connection: ""}, late_env=late_env)

    return run


def states(run: Run, task_id: str) -> list[str]:
    """Return the states of a mapped task, by map index."""
    tasks = run.report.tasks
    return [tasks[f"{task_id}[{number}]"] for number in range(sum(name.startswith(f"{task_id}[") for name in tasks))]


def rows(airflow: AirflowSandbox, query: str) -> list[tuple[Any, ...]]:
    """Return rows of the examples' database."""
    with closing(sqlite3.connect(airflow.home / "rights.db")) as database:
        return database.execute(query).fetchall()


# ---- all examples


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_as_it_stands(path: Path, standard_run: Runner) -> None:
    """An example is parsed without a connection, and runs when it is defined; its bill is the listed one."""
    run = standard_run(path.stem)
    assert run.report.state == "success", run.report.output
    listed = {family: (count, Decimal(price)) for family, (count, price) in BILLS[path.stem].items()}
    assert run.families() == listed
    assert Decimal(run.bill["price"]) == sum(price for _, price in listed.values())


def test_each_example_is_listed() -> None:
    """Each example has a bill, and a section of docs/examples.md."""
    assert BILLS.keys() == TITLES.keys() == {path.stem for path in EXAMPLES}


def test_no_example_runs_by_itself(airflow: AirflowSandbox) -> None:
    """No example has a schedule: unpausing one costs nothing."""
    printed = airflow.python("-c", TIMETABLES, str(EXAMPLE_DAGS)).stdout.splitlines()[-1]
    assert json.loads(printed) == {path.stem: "NullTimetable" for path in EXAMPLES}


# ---- submit only


def test_example_passes_job_ids_downstream(standard_run: Runner) -> None:
    """Three mapped tasks submit one job each; its JobId is in the XCom, the link and the downstream task."""
    run = standard_run("example_ims_copyright_extract")
    billed = {line["job_id"]: line["media"] for line in run.bill["lines"]}
    job_ids = run.report.xcom("submit")
    assert sorted(job_ids) == sorted(billed)
    assert len(job_ids) == 3
    assert run.report.xcom("submit", "job_id") == job_ids
    sent = [request["request_id"] for request in run.requests]
    assert sorted(run.report.xcom("submit", "request_id")) == sorted(sent)
    assert run.report.xcom("pair_with_jobs") == [{billed[job_id]: job_id for job_id in job_ids}]
    user_data = {job["user_data"] for job in run.jobs}
    assert user_data == {json.dumps({"run_id": run.report.run_id}, separators=(",", ":"))}
    links = run.report.xcom("submit", "_link_ImsJobLink")
    if not LINKS_ARE_STORED:
        return
    for job_id, link in zip(job_ids, links, strict=True):
        url = urlsplit(link)
        assert link.startswith("https://api.aliyun.com/api/ICE/2020-11-09/QueryCopyrightExtractJob?")
        query = parse_qs(url.query, strict_parsing=True)
        assert query == {"RegionId": ["cn-shanghai"], "params": [f'{{"JobId":"{job_id}"}}']}


# ---- rights check

BRANCHES = ("takedown_notice", "ask_the_owner", "look_at_it")


def branches(run: Run) -> list[str]:
    """Return the branches of the rights check that ran."""
    return [name for name in BRANCHES if run.report.tasks[f"{name}[-1]"] == "success"]


def test_rights_check_recognizes_its_own_mark(standard_run: Runner) -> None:
    """The watermark of the studio leads to a takedown notice."""
    run = standard_run("example_ims_rights_check")
    assert run.report.xcom("watermark") == ["(c) Example Studio, licence 1001"]
    assert branches(run) == ["takedown_notice"]


@pytest.mark.parametrize(("watermark", "branch"), [("(c) Another Studio", "ask_the_owner"), (None, "look_at_it")])
def test_rights_check_branches_on_the_watermark(
    watermark: str | None, branch: str, run_example: Runner, ims_emulator: EmulatorProcess
) -> None:
    """The branch that runs depends on the text that the sensor returns."""
    # Two hours of empty responses are too long for a test: here the service reports the end of the job.
    ims_emulator.put_media(SUSPECT.format(1), watermark=watermark, variant="empty_success")
    run = run_example("example_ims_rights_check")
    assert run.report.state == "success", run.report.output
    assert branches(run) == [branch]


# ---- nightly suspects

NIGHTLY = "example_ims_nightly_suspects"


def test_nightly_suspects_reports_the_copies(standard_run: Runner) -> None:
    """All suspects have a match: each text is extracted, and those of the registry are reported with their film."""
    run = standard_run(NIGHTLY)
    assert run.report.xcom("check.matches") == [MATCHES] * 3
    texts = ["(c) Example Studio, licence 1001", "(c) Example Studio, licence 1002", "版权水印测试"]
    assert run.report.xcom("check.extract", "watermark") == texts
    films = ["The Long Night", "Harbour Lights"]
    extractions = {job["media"]: job["job_id"] for job in run.jobs if job["family"] == "CopyrightExtractJob"}
    assert run.report.xcom("report") == [
        [
            {"media": media, "job_id": extractions[media], "watermark": text, "film": film}
            for media, text, film in zip((SUSPECT.format(1), SUSPECT.format(2)), texts, films, strict=False)
        ]
    ]


def test_nightly_suspects_pays_for_no_extraction_without_a_match(run_example: Runner, web: WebServer) -> None:
    """If the fingerprint library knows no suspect, the bill has the fingerprints only, and the run succeeds."""
    web.serve(FINGERPRINTS, [])
    run = run_example(NIGHTLY)
    assert run.report.state == "success", run.report.output
    assert states(run, "check.extract") == ["skipped"] * 3
    assert run.families() == {"DNAJob": (3, Decimal("34.50"))}
    assert run.report.xcom("report") == [[]]


def test_nightly_suspects_pays_for_the_matches_only(
    run_example: Runner, ims_emulator: EmulatorProcess, web: WebServer
) -> None:
    """One suspect has no match and one extraction is refused: only their mapped tasks end early."""
    web.serve(FINGERPRINTS, MATCHES, [], MATCHES)
    ims_emulator.fault("SubmitCopyrightExtractJob", "answer", status=400, body=REFUSED, nth=2)
    for number in (1, 2, 3):
        ims_emulator.put_media(SUSPECT.format(number), watermark="(c) Example Studio, licence 1001")
    run = run_example(NIGHTLY)
    outcomes = dict(zip(states(run, "check.matches"), states(run, "check.extract"), strict=True))
    assert outcomes["skipped"] == "skipped"
    assert sorted(states(run, "check.extract")) == ["failed", "skipped", "success"]
    assert run.families() == {"DNAJob": (3, Decimal("9.00")), "CopyrightExtractJob": (1, Decimal("10.00"))}
    (copies,) = run.report.xcom("report")
    assert [copy["film"] for copy in copies] == ["The Long Night"]


# ---- check once


def test_video_is_checked_in_one_run_only(
    run_example: Runner, airflow: AirflowSandbox, ims_emulator: EmulatorProcess
) -> None:
    """Two runs that are given the same videos pay for each once, and the table has the findings."""
    ims_emulator.put_media(SUSPECT.format(3), variant="empty_success")
    runs = [run_example("example_ims_check_once") for _ in range(2)]
    assert [run.report.state for run in runs] == ["success", "success"], runs[-1].report.output
    assert len(runs[-1].bill["lines"]) == 3
    found = rows(airflow, "SELECT media, run_id, job_id, outcome, watermark FROM checked_videos ORDER BY media")
    assert found == [
        (SUSPECT.format(number), runs[0].report.run_id, runs[0].job_ids[SUSPECT.format(number)], outcome, text)
        for number, outcome, text in (
            (1, "found", "(c) Example Studio, licence 1001"),
            (2, "found", "(c) Example Studio, licence 1002"),
            (3, "not_found", ""),
        )
    ]


# ---- screener distribution

SCREENERS = "example_ims_screener_distribution"


def test_screeners_have_the_marks_of_the_register(
    run_example: Runner, airflow: AirflowSandbox, ims_emulator: EmulatorProcess
) -> None:
    """The register has partner, mark, copy and JobId; the copy has this mark. One that fails is not registered."""
    ims_emulator.fault("SubmitCopyrightJob", "answer", status=400, body=REFUSED, nth=2)
    run = run_example(SCREENERS)
    assert sorted(states(run, "screener.embed")) == ["failed", "success", "success"]
    registered = rows(airflow, "SELECT partner, mark, media, job_id FROM screeners ORDER BY mark")
    assert len(registered) == 2
    assert {job_id for *_, job_id in registered} == {line["job_id"] for line in run.bill["lines"]}
    for _, mark, media, _ in registered:
        assert run.media[media]["watermark"] == mark
    assert run.families() == {"CopyrightJob": (2, Decimal("180.00"))}


def test_each_partner_gets_a_mark_of_its_own(standard_run: Runner) -> None:
    """The results of the mapped tasks are the three copies, each with its mark."""
    run = standard_run(SCREENERS)
    copies = [f"oss://studio-screeners/harbour-lights/{number}.mp4" for number in (1001, 1002, 1003)]
    assert run.report.xcom("screener.embed", "output") == [{"Type": "OSS", "Media": copy} for copy in copies]
    marks = [f"Harbour Lights, screener {number}" for number in (1001, 1002, 1003)]
    assert [run.media[copy]["watermark"] for copy in copies] == marks


# ---- leak drill

DRILL = "example_ims_leak_drill"


def test_drill_finds_the_mark_again(standard_run: Runner) -> None:
    """The converted copy has the text that was embedded."""
    run = standard_run(DRILL)
    assert run.report.xcom("extract", "watermark") == [MARK]
    assert run.report.xcom("compare") == [MARK]
    (outputs,) = run.report.xcom("convert", "outputs")
    assert outputs["OutputDetails"][0]["Result"]["OutputFile"]["Media"] == "oss://rights-drills/copy.mp4"


def test_drill_fails_if_the_mark_is_lost(run_example: Runner, ims_emulator: EmulatorProcess) -> None:
    """A conversion that loses the mark fails the run, and costs the same."""
    # Two hours of empty responses are too long for a test: here the service reports the end of the job.
    ims_emulator.put_media(TRAILER, duration=180, survives_transcoding=False, variant="empty_success")
    run = run_example(DRILL)
    assert run.report.state == "failed"
    ended = {name: run.report.tasks[f"{name}[-1]"] for name in ("embed", "convert", "extract", "compare")}
    assert ended == {"embed": "success", "convert": "success", "extract": "success", "compare": "failed"}
    assert run.report.xcom("extract", "watermark") == [""]
    assert f"Embedded '{MARK}', and your-transcoding-template leaves ''" in run.report.output
    assert Decimal(run.bill["price"]) == Decimal("6.15")


# ---- trace incident

INCIDENT = "example_ims_trace_incident"


def test_incident_names_the_viewer(standard_run: Runner) -> None:
    """Each viewer has a playlist with a mark, and the mark of the leak names one of them."""
    run = standard_run(INCIDENT)
    playlists = {
        f"oss://studio-streams/final/viewer-{number}.m3u8": f"viewer-{number}" for number in (1001, 1002, 1003)
    }
    assert [output["Media"] for output in run.report.xcom("playlist", "output")] == list(playlists)
    assert {media: run.media[media]["trace"] for media in playlists} == playlists
    (streams,) = run.report.xcom("streams", "trace_media_id")
    assert run.media[streams]["trace_streams"]
    assert run.report.xcom("trace", "trace") == ["viewer-1002"]
    assert run.report.xcom("name_the_viewer") == ["South Festival, jury room"]


def test_incident_without_a_mark_names_nobody(run_example: Runner, ims_emulator: EmulatorProcess) -> None:
    """A leak without a mark is nobody's."""
    ims_emulator.put_media(LEAK, variant="empty_success")
    run = run_example(INCIDENT)
    assert run.report.state == "success", run.report.output
    assert run.report.xcom("name_the_viewer") == ["nobody that we know"]


# ---- highlight reel


def test_reel_has_three_scenes_and_is_announced(standard_run: Runner) -> None:
    """The scenes follow from the duration; the picture is taken of the reel; the web service is notified."""
    run = standard_run("example_ims_highlight_reel")
    (timeline,) = run.report.xcom("timeline")
    clips = timeline["VideoTracks"][0]["VideoTrackClips"]
    assert [(clip["In"], clip["Out"]) for clip in clips] == [(1500, 1510), (3000, 3010), (4500, 4510)]
    (media,) = run.report.xcom("produce", "media")
    pictured = {job["family"]: job["media"] for job in run.jobs}["SnapshotJob"]
    assert pictured == media["MediaId"]
    assert run.announced == [("/reels", {"reel": media["MediaURL"], "pictures": 1})]


# ---- media intake


def test_intake_works_on_the_asset_that_it_has_downloaded(standard_run: Runner) -> None:
    """Tags, cover and duration are those of the downloaded asset; the sensor waits; the subtitles are an asset."""
    run = standard_run("example_ims_media_intake")
    ((asset,),) = run.report.xcom("upload", "media_ids")
    jobs = {job["family"]: job for job in run.jobs}
    assert (jobs["SmarttagJob"]["media"], jobs["IProductionJob"]["media"]) == (asset, asset)
    (cover,) = run.report.xcom("cover")
    assert cover == jobs["IProductionJob"]["job_id"]
    assert run.report.xcom("cover_is_ready", "outcome") == ["succeeded"]
    (duration,) = run.report.xcom("duration")
    assert float(duration) == run.media[asset]["duration"]
    (subtitles,) = run.report.xcom("subtitles", "media_id")
    assert subtitles in run.media
    assert f"Harbour Lights has {duration} s; job {cover} makes its cover" in run.report.output


# ---- a sensor


def test_sensor_maps_over_jobs(airflow: AirflowSandbox, ims_emulator: EmulatorProcess) -> None:
    """A mapped sensor waits for each job of a mapped submission, and the texts are complete and in order."""
    for number, watermark in enumerate(["(c) A", None, "(c) C"]):
        ims_emulator.put_media(f"oss://b-1/{number}.mp4", watermark=watermark, processing_time=0)
    run = airflow.run_dag(airflow.add_dag(MAPPED_SENSOR, "mapped_sensor.py"))
    assert run.state == "success", run.output
    assert run.xcom("collect") == [["(c) A", "", "(c) C"]]
