from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_ims.verify import __main__ as command_line
from airflow_provider_ims.verify import estimate
from airflow_provider_ims.verify.cases import CASES
from tests.verify.conftest import BUCKET, CLIP, FILM, OUTPUT, PLAIN, QUICK, VIDEOS, Kit, put_videos

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess

Verify = Callable[..., Kit]
ALL = {(case.name, assumption.text) for case in CASES for assumption in case.assumptions}
OF_EMBEDDING = {one for one in ALL if one[0] == "embed" or "embedding job has embedded" in one[1]}
OF_THROTTLING = {one for one in ALL if one[0] == "throttling"}
SUBMIT = "SubmitCopyrightExtractJob"


def submissions(emulator: EmulatorProcess) -> list[str]:
    """Return the media that jobs were submitted for."""
    requests = [one for one in emulator.requests() if one["action"].startswith("Submit")]
    return [json.loads(one["parameters"]["Input"])["Media"] for one in requests]


# ---- verdicts


def test_all_assumptions_hold_for_the_emulator(videos: EmulatorProcess, verify: Verify) -> None:
    """With the emulator as it is, all assumptions hold that were observed, and the status is 0."""
    kit = verify(*VIDEOS)

    assert kit.verdicts("does not hold") == set()
    assert kit.verdicts("not observed") == OF_EMBEDDING | OF_THROTTLING
    assert kit.verdicts("holds") == ALL - OF_EMBEDDING - OF_THROTTLING
    assert kit.status == 0
    assert kit.document["status"] == "complete"
    assert videos.bill()["price"] == kit.document["estimate"]["spent_at_most"] == "4.00"


def test_all_assumptions_are_observed(videos: EmulatorProcess, verify: Verify) -> None:
    """With an embedded mark and a throttled query, each assumption is compared with a response, and holds."""
    put_videos(videos, processing_time=1)  # a slow machine must see it run
    # The connection is tested with the first list; those of the embedding job are fewer than the others.
    videos.fault("QueryCopyrightJobList", "throttle", nth=40, times=100, retry_after=1500)
    kit = verify("--embed", OUTPUT, *VIDEOS[3:], "--timeout", "3", "--burst", "50")

    assert kit.verdicts("holds") == ALL
    assert kit.status == 0
    assert videos.bill()["price"] == kit.document["estimate"]["spent_at_most"] == "5.00"


def test_docs_sample_costs_less_than_5_cny(videos: EmulatorProcess, verify: Verify) -> None:
    """Three videos of up to a minute each, with all cases of the default plan, cost less than CNY 5."""
    kit = verify("--marked-v2", FILM, "60", "--short", CLIP, "60", "--unmarked", PLAIN, "60", budget="0")

    assert "Estimate: CNY 4.00 at most" in kit.output


MISSING_REFUSED = json.dumps({"RequestId": "R-1", "Code": "InvalidParameter.ResourceNotFound", "Message": "no"})
OTHER_SHAPE = json.dumps({"RequestId": "R-1", "Data": {"JobId": "job-1"}})
EMPTY = "The response for a job that finds nothing, or fails, is empty: no text, no state."
RUNNING = ("running", "The response for a running job is empty: no text, no state, no error.")
SHAPES = (
    "An accepted submission has Data, Message ok, RequestId and StatusCode 200.",
    "A JobId is 32 hexadecimal digits.",
    "The RequestId is in upper case, and repeated in the header x-acs-request-id.",
)
UNKNOWN_JOB = ("unknown-job", "An unknown JobId is HTTP 404, JobNotFound.")
THROTTLED = ("throttling", "Throttling is HTTP 400, Throttling.User.")
RETRY_AFTER = ("throttling", "A throttled response has the header x-acs-retry-after, a whole number.")
ERROR_BODY = next(one for one in ALL if one[1].startswith("An error has the fields"))

# How the emulator differs from itself, further arguments, and the assumptions that do not hold then.
DIFFERENCES: dict[str, tuple[Callable[[EmulatorProcess], object], tuple[str, ...], set[tuple[str, str]]]] = {
    "states in extractions": (
        lambda emulator: put_videos(emulator, variant="state_field"),
        (),
        {RUNNING, ("unmarked", EMPTY)},
    ),
    "a text for whatever video": (
        lambda emulator: emulator.put_outcome("CopyrightExtractJob", result="nothing was found"),
        (),
        {
            ("unmarked", "Nothing is found in an unmarked video."),
            ("mismatch", "Another algoType than that of the mark finds nothing."),
            ("too-short", "v1 finds nothing in a video of less than 3 minutes."),
            *((name, EMPTY) for name in ("unmarked", "mismatch", "too-short", "missing")),
        },
    ),
    "no text": (
        lambda emulator: emulator.put_media(FILM, duration=40),
        (),
        {
            ("found", "The text of a finished job is in Data.Message."),
            ("found", "v2 finds a text in a video of less than 3 minutes."),
        },
    ),
    "a newline": (
        lambda emulator: emulator.put_media(FILM, duration=40, watermark="text", algo_type="v2", trailing_newline=True),
        (),
        {("found", "The text does not end with a newline.")},
    ),
    "an unknown job is silent": (lambda emulator: emulator.configure(unknown_job="silent"), (), {UNKNOWN_JOB}),
    "another error body": (
        lambda emulator: emulator.fault(
            "QueryCopyrightExtractJob", "answer", status=404, body='{"RequestId": "R", "Code": "JobNotFound"}'
        ),
        (),
        {ERROR_BODY},
    ),
    "a missing object is refused": (
        lambda emulator: emulator.fault(SUBMIT, "answer", nth=5, status=400, body=MISSING_REFUSED),
        (),
        {("missing", "A submission for a missing object is accepted.")},
    ),
    "other submissions": (
        lambda emulator: emulator.fault(SUBMIT, "answer", body=OTHER_SHAPE),
        ("--skip", "found", "--skip", "mismatch", "--skip", "too-short", "--skip", "missing"),
        {*(("submissions", text) for text in SHAPES), RUNNING, ("unmarked", EMPTY)},
    ),
    "throttling without a pause": (
        lambda emulator: emulator.fault("QueryCopyrightJobList", "throttle", nth=3, times=9),
        (),
        {RETRY_AFTER},
    ),
    "throttling of another form": (
        lambda emulator: emulator.fault(
            "QueryCopyrightJobList",
            "answer",
            nth=3,
            times=9,
            status=429,
            body='{"RequestId": "R", "Code": "Throttling"}',
            headers={"x-acs-retry-after": "9"},
        ),
        (),
        {THROTTLED},
    ),
    "other words of embedding": (
        lambda emulator: emulator.put_outcome("CopyrightJob", word="Succeeded", result="done"),
        ("--embed", OUTPUT),
        {
            ("embed", "The state of an embedding job that has succeeded is success."),
            ("embed", "Result is the text of a JSON object with a Code."),
        },
    ),
    "an embedding job without a state": (
        lambda emulator: emulator.fault(
            "QueryCopyrightJobList", "answer", nth=2, body='{"RequestId": "R", "Data": [], "StatusCode": 200}'
        ),
        ("--embed", OUTPUT),
        {("embed", "The state of a running embedding job is processing.")},
    ),
    "an embedding job that embeds another text": (
        lambda emulator: emulator.put_outcome("CopyrightExtractJob", result="another"),
        ("--embed", OUTPUT, "--skip", "unmarked", "--skip", "missing", "--skip", "mismatch", "--skip", "too-short"),
        {next(one for one in ALL if "embedding job has embedded" in one[1])},
    ),
}


def test_each_assumption_can_fail() -> None:
    """The cases of the next test cover all assumptions."""
    assert {one for _, _, failing in DIFFERENCES.values() for one in failing} == ALL


@pytest.mark.parametrize("name", DIFFERENCES)
def test_report_names_the_assumption_that_does_not_hold(name: str, videos: EmulatorProcess, verify: Verify) -> None:
    """If the emulator behaves otherwise, the report says which assumption does not hold, and what to change."""
    change, arguments, failing = DIFFERENCES[name]
    change(videos)
    kit = verify(*(VIDEOS[3:] if "--embed" in arguments else VIDEOS), *arguments)

    assert kit.verdicts("does not hold") == failing
    assert kit.status == 1
    places = {(p.file, p.row) for c in CASES for a in c.assumptions if (c.name, a.text) in failing for p in a.places}
    for file, row in places:
        assert f"change `{file}`: `` {row} ``" in kit.markdown
    for _, text in failing:
        assert text in kit.output


def test_responses_of_errors_and_headers_are_recorded(videos: EmulatorProcess, verify: Verify) -> None:
    """The report has the body of an error and the headers of throttling; equal responses in a row are one entry."""
    videos.fault("QueryCopyrightJobList", "throttle", nth=3, times=9, retry_after=1500)
    kit = verify(*VIDEOS)

    (unknown,) = kit.case("unknown-job")["responses"]
    assert unknown["body"]["Code"] == "JobNotFound"
    throttled = kit.case("throttling")["responses"][-1]
    assert throttled["headers"]["x-acs-retry-after"] == "1500"
    assert throttled["http_status"] == 400
    unmarked = kit.case("unmarked")["responses"]
    assert [one["action"] for one in unmarked] == [SUBMIT, "QueryCopyrightExtractJob"]
    assert unmarked[1]["times"] > 3


# ---- money


def test_a_budget_is_needed(videos: EmulatorProcess, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Without --budget-cny the command sends nothing."""
    with pytest.raises(SystemExit) as exited:
        command_line.main(["--yes", "--output", str(tmp_path / "report"), *VIDEOS])

    assert exited.value.code == 2
    assert "--budget-cny" in capfd.readouterr().err
    assert videos.requests() == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (VIDEOS, "The estimate is CNY 4.00 at most, and the budget CNY 3.99"),
        (("--skip", "nothing"), "--skip nothing: there is no such case"),
        (("--short", CLIP, "180"), "--short is a video of 180 seconds"),
        (("--marked-v1", FILM, "179"), "--marked-v1 is a video of 179 seconds"),
        (("--unmarked", PLAIN, "a while"), "--unmarked: the duration is not a number"),
        (("--unmarked", PLAIN, "NaN"), "--unmarked: the duration is not a number"),
        (("--embed", OUTPUT), "--embed marks the unmarked video"),
        (("--unmarked", "oss://Zebra/quagga.mp4?Signature=okapi", "10"), "input_media is"),
        (("--conn-id", "nobody"), "Airflow finds no connection"),
        (("--region", "us-west-1"), "region"),
        (("--surplus", FILM), "unrecognized arguments"),
        (("--timeout", "0"), "not a number of seconds"),
        (("--burst", "1001"), "not a whole number"),
    ],
)
def test_refusals_send_nothing(arguments: tuple[str, ...], text: str, videos: EmulatorProcess, verify: Verify) -> None:
    """Whatever is wrong with the options or the budget: the status is 2, nothing is sent, and no object is named."""
    kit = verify(*arguments, budget="3.99")

    assert (kit.status, videos.requests()) == (2, [])
    assert text in kit.output
    assert not any(word in kit.output.lower() for word in ("zebra", "quagga", "okapi"))


@pytest.mark.parametrize("budget", ["NaN", "-1", "Infinity", "five"])
def test_budget_is_an_amount(budget: str, videos: EmulatorProcess, verify: Verify) -> None:
    """A budget that is no amount of money is refused."""
    kit = verify(*VIDEOS, budget=budget)

    assert (kit.status, videos.requests()) == (2, [])


@pytest.mark.parametrize("action", [SUBMIT, "QueryCopyrightJobList"])
def test_unknown_price_is_refused(
    action: str, videos: EmulatorProcess, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An action without a price is not called, also if it is a query."""
    monkeypatch.delitem(estimate.PRICES, action)
    kit = verify(*VIDEOS)

    assert (kit.status, videos.requests()) == (2, [])
    assert f"The price of {action} is not known" in kit.output


def test_price_table_is_that_of_the_emulator(videos: EmulatorProcess, verify: Verify) -> None:
    """Started minutes count: the estimate is the bill of the emulator, each item included."""
    videos.put_media(FILM, duration=182, watermark="a text")
    kit = verify("--marked-v1", FILM, "182", *VIDEOS[3:], budget="10")

    assert kit.document["estimate"]["at_most"] == videos.bill()["price"] == "7.00"
    assert kit.document["estimate"]["by_the_second"] == "4.37"  # 182, 20 and twice 30 seconds, rounded up


@pytest.mark.parametrize("answer", ["no\n", "\n", ""])
def test_confirmation_is_needed(
    answer: str,
    videos: EmulatorProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Without --yes, the command shows the estimate, and sends nothing unless the answer is yes."""
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert command_line.main(["--budget-cny", "5", "--output", str(tmp_path / "report"), *QUICK, *VIDEOS]) == 2
    assert "Estimate: CNY 4.00 at most" in capfd.readouterr().out
    assert videos.requests() == []


def test_answer_yes_starts(
    videos: EmulatorProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The answer yes starts the run."""
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    assert command_line.main(["--budget-cny", "0", "--output", str(tmp_path / "report"), *QUICK]) == 0
    assert videos.requests() != []


def test_output_directory_must_be_new(videos: EmulatorProcess, verify: Verify) -> None:
    """A second run with the same directory is refused: it would be billed again, and replace the report."""
    assert verify("--unmarked", PLAIN, "20").status == 0
    kit = verify("--unmarked", PLAIN, "20")

    assert kit.status == 2
    assert "--output is not empty" in kit.output
    assert len(submissions(videos)) == 2  # the unmarked and the missing one


def test_without_videos_nothing_is_spent(videos: EmulatorProcess, verify: Verify) -> None:
    """With a budget of 0 and no videos, the free cases run."""
    kit = verify(budget="0")

    assert kit.status == 0
    assert UNKNOWN_JOB in kit.verdicts("holds")
    assert kit.case("missing")["outcome"] == "not run: no missing video is given"
    assert videos.bill()["jobs"] == 0


@pytest.mark.parametrize("kind", ["cut_after", "internal_error_after", "html_502"])
def test_lost_response_is_spent_and_not_repeated(kind: str, videos: EmulatorProcess, verify: Verify) -> None:
    """A submission of unknown outcome counts as spent, is not sent again, and ends the submissions."""
    videos.fault(SUBMIT, kind, nth=2)
    kit = verify(*VIDEOS)

    assert kit.status == 4
    assert submissions(videos) == [FILM, PLAIN]
    assert kit.case("unmarked")["outcome"].startswith("it is unknown whether a job exists")
    assert kit.case("mismatch")["outcome"] == "not run: the response to an earlier submission was lost"
    assert kit.document["estimate"]["spent_at_most"] == "2.00"
    assert "It is unknown whether these submissions created a job: unmarked" in kit.markdown
    assert "it is unknown whether a job exists" in kit.output


def test_response_without_a_job_id_is_spent(videos: EmulatorProcess, verify: Verify) -> None:
    """A success without a JobId counts as spent too."""
    videos.fault(SUBMIT, "answer", body='{"RequestId": "R-1", "Data": {}}')
    kit = verify("--unmarked", PLAIN, "20", "--skip", "submissions")

    assert kit.document["estimate"]["spent_at_most"] == "1.00"
    assert kit.case("unmarked")["outcome"].startswith("it is unknown")


def test_rejected_submission_is_not_spent(videos: EmulatorProcess, verify: Verify) -> None:
    """A throttled submission costs nothing, is not repeated, and says nothing of what was assumed."""
    videos.fault(SUBMIT, "throttle")
    kit = verify("--unmarked", PLAIN, "20", "--skip", "missing")

    assert kit.document["estimate"]["spent_at_most"] == "0.00"
    assert submissions(videos) == [PLAIN]
    assert ("unmarked", EMPTY) in kit.verdicts("not observed")
    assert THROTTLED in kit.verdicts("holds")


def test_embedding_that_fails_spares_the_extraction(videos: EmulatorProcess, verify: Verify) -> None:
    """If the embedding job fails, its output is not extracted."""
    videos.put_outcome("CopyrightJob", "failed", error_code="NoSpace")
    kit = verify("--embed", OUTPUT, "--unmarked", PLAIN, "20", "--skip", "unmarked", "--skip", "missing")

    assert kit.case("found")["outcome"] == "not run: the embedding job was not seen to succeed"
    assert submissions(videos) == [PLAIN]


@pytest.mark.parametrize(
    "change",
    [
        lambda emulator: emulator.deny("*"),
        lambda emulator: emulator.fault("QueryCopyrightJobList", "html_502"),
        lambda emulator: emulator.rotate_key("other", "key-of-others"),
    ],
    ids=["denied", "proxy", "wrong key"],
)
def test_unusable_service_costs_nothing(
    change: Callable[[EmulatorProcess], object], videos: EmulatorProcess, verify: Verify
) -> None:
    """If a free query fails, nothing is submitted, and the status is 3."""
    change(videos)
    kit = verify(*VIDEOS)

    assert kit.status == 3
    assert submissions(videos) == []
    assert "verify: QueryCopyrightJobList" in kit.output


def test_refused_keys_end_the_polls(videos: EmulatorProcess, verify: Verify) -> None:
    """A job whose polls are refused five times in a row is not polled any more, and is named as one that goes on."""
    videos.fault("QueryCopyrightExtractJob", "answer", nth=2, times=99, status=403, body=DENIED)
    kit = verify("--unmarked", PLAIN, "20", "--skip", "missing", "--timeout", "30")

    assert sum(one["times"] for one in kit.case("unmarked")["responses"]) == 2 + 5 - 1
    assert "was not seen to end" in kit.output


DENIED = json.dumps({"RequestId": "R-1", "Code": "NoPermission", "Message": "no"})


# ---- the process


def start(emulator: EmulatorProcess, directory: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the command without a database or a configuration of Airflow."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    env |= {
        "AIRFLOW_CONN_MINE": emulator.connection_json(read_timeout=60),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////nowhere/airflow.db",
        "HOME": str(directory / "home"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    (directory / "home").mkdir()
    command = [sys.executable, "-m", "airflow_provider_ims.verify", "--budget-cny", "5", "--conn-id", "mine", "--yes"]
    return subprocess.Popen(
        [*command, *QUICK, *arguments],
        env=env,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.timeout(600)  # a process of its own imports Airflow: minutes on a busy machine
def test_command_needs_no_database_and_writes_only_its_directory(videos: EmulatorProcess, tmp_path: Path) -> None:
    """With the connection in the environment no database is needed, and only the report is written."""
    with start(videos, tmp_path, *VIDEOS) as process:
        output, _ = process.communicate(timeout=500)

    assert process.returncode == 0, output
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert written == ["ims-verification/report.md", "ims-verification/responses.json"]
    assert BUCKET not in output


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_run_reports_what_is_known(number: signal.Signals, videos: EmulatorProcess, tmp_path: Path) -> None:
    """A signal while a submission waits: the report names the job that goes on, and the one that may exist."""
    videos.fault(SUBMIT, "hang", nth=2)
    with start(videos, tmp_path, *VIDEOS) as process:
        while len(submissions(videos)) < 2 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(number)
        output, _ = process.communicate(timeout=300)

    kit = Kit(process.returncode, tmp_path / "ims-verification", output)
    (job,) = videos.jobs()
    assert kit.case("found")["job_id"] == job["job_id"]
    assert kit.case("found")["goes_on"]
    assert kit.case("unmarked")["outcome"].startswith("it is unknown")
    assert kit.case("mismatch")["outcome"] == "not run: the run ended before it"
    assert f"These jobs were not seen to end: {job['job_id']} (found)" in kit.markdown
    assert Decimal(kit.document["estimate"]["spent_at_most"]) == 2
    if number is signal.SIGKILL:
        assert kit.document["status"] == "running"
    else:
        assert (kit.status, kit.document["status"]) == (130, "interrupted")
        assert f"Job {job['job_id']} (found) was not seen to end." in output
        assert "Traceback" not in output
