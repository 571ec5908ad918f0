"""A run of the verification kit against the emulator."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.verify.__main__ import main
from airflow_provider_ims.verify.report import JSON, MARKDOWN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_ims.emulator.process import EmulatorProcess

BUCKET = "zebra-canary-bucket"
FILM, CLIP, PLAIN, OUTPUT = (f"oss://{BUCKET}/quagga/{name}-okapi.mp4" for name in ("film", "clip", "plain", "output"))
FILM_TEXT = "(c) Narwhal Pictures 夜"
VIDEOS = ("--marked-v2", FILM, "40", "--short", CLIP, "30", "--unmarked", PLAIN, "20")
QUICK = ("--timeout", "0.9", "--poll-interval", "0.1", "--burst", "5")
PROCESSING_TIME = 0.3


@dataclass
class Kit:
    """What a run has left behind.

    :param status: the exit status
    :param directory: the output directory
    :param output: standard output and standard error
    """

    status: int
    directory: Path
    output: str

    @property
    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        document: dict[str, Any] = json.loads((self.directory / JSON).read_text())
        return document

    @property
    def markdown(self) -> str:
        """The report for people."""
        return (self.directory / MARKDOWN).read_text()

    def verdicts(self, verdict: str) -> set[tuple[str, str]]:
        """Return case and text of the assumptions with a verdict."""
        return {(one["case"], one["assumption"]) for one in self.document["assumptions"] if one["verdict"] == verdict}

    def case(self, name: str) -> dict[str, Any]:
        """Return what is known of a case."""
        (found,) = [case for case in self.document["cases"] if case["case"] == name]
        return dict(found)


def put_videos(emulator: EmulatorProcess, **plain: Any) -> None:
    """Add the videos to an emulator.

    :param plain: fields of the unmarked one
    """
    emulator.configure(processing_time=PROCESSING_TIME)
    emulator.put_media(FILM, duration=40, watermark=FILM_TEXT, algo_type="v2")
    emulator.put_media(CLIP, duration=30, watermark=FILM_TEXT)
    emulator.put_media(PLAIN, duration=20, **plain)


@pytest.fixture
def videos(ims_emulator: EmulatorProcess, connect: Callable[..., None]) -> EmulatorProcess:
    """Return the emulator with the videos, and a connection to it in the environment."""
    put_videos(ims_emulator)
    return ims_emulator


@pytest.fixture
def verify(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Kit]:
    """Return a function that runs the kit in this process."""

    def run(*arguments: str, budget: str = "5") -> Kit:
        directory = tmp_path / "report"
        try:
            status = main(["--budget-cny", budget, "--output", str(directory), "--yes", *QUICK, *arguments])
        except SystemExit as exit_of_parser:
            status = int(str(exit_of_parser.code))
        captured = capfd.readouterr()
        return Kit(status, directory, captured.out + captured.err)

    return run
