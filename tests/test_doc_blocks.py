"""Each code block of the documentation is run or checked, by a rule for its language. A block without a rule fails."""

from __future__ import annotations

import argparse
import ast
import configparser
import json
import re
import shlex
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml  # type: ignore[import-untyped]
from airflow.models.connection import Connection
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_ims.cli.definition import get_commands
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.operators.job import ImsSubmitJobOperator
from airflow_provider_ims.sensors.copyright import ImsCopyrightExtractJobSensor
from airflow_provider_ims.verify.__main__ import parser as verification_parser
from dev.demo import VIDEOS
from dev.quoted_code import QUOTE
from tests.test_docs import PAGES, ROOT, page

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_ims.emulator.process import EmulatorProcess

FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A code block: its page, line, language and text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(path: Path) -> list[Block]:
    """Return the code blocks of a page."""
    text = path.read_text()
    return [
        Block(
            str(path.relative_to(ROOT)),
            text[: found.start()].count("\n") + 1,
            found[2].strip(),
            re.sub(rf"^{found[1]}", "", found[3], flags=re.MULTILINE),
        )
        for found in FENCE.finditer(text)
    ]


OTHER_PAGES = [ROOT / "benchmarks" / "README.md", *sorted((ROOT / "benchmarks" / "results").glob("*.md"))]
BLOCKS = [
    block for path in [*PAGES, *OTHER_PAGES, *sorted((ROOT / "docs" / "api").glob("*.md"))] for block in blocks_of(path)
]


def of(*languages: str) -> list[Block]:
    """Return the blocks in some languages."""
    return [block for block in BLOCKS if block.language in languages]


RULES = {
    "python": "run here or by the test that RUN_BY names, or quoted from an example DAG that is run",
    "sh": "run by the test of the quickstart, or listed in NOT_RUN with the reason",
    "console": "commands are run or parsed here, or listed in NOT_RUN with the reason",
    "text": "compared with what the code prints",
    "log": "compared with the texts of the code by test_docs.py",
    "json": "parsed here, and read by the tests of its section in test_docs.py",
    "ini": "parsed here, and compared with the default in test_docs.py",
    "uri": "parsed here, and read as a connection in test_docs.py",
    "yaml": "parsed here; Helm values are those of deploy/, metrics are compared in test_docs.py",
    "diff": "compared with the files in test_docs.py",
    "mermaid": "drawn by `make docs`",
    "{include}": "resolved by `make docs`",
    "{toctree}": "resolved by `make docs`",
}
"""For each language, how its blocks are run or checked."""


def test_each_block_has_a_rule() -> None:
    """Each fence of each page is that of a block, whose language has a rule."""
    assert len(BLOCKS) > 100
    for block in BLOCKS:
        language = "{include}" if block.language.startswith("{include}") else block.language
        assert language in RULES, f"{block} has the language {block.language!r}, for which there is no rule"
    for path in [*PAGES, *OTHER_PAGES]:
        fences = re.findall(r"^ *```", path.read_text(), re.MULTILINE)
        assert len(fences) == 2 * len(blocks_of(path)), path


# ---- Python

RUN_BY = {
    "README.md": "tests/real_airflow/test_readme.py",
    "docs/hook.md": "tests/real_airflow/test_readme.py",
    "docs/why.md": "tests/real_airflow/test_why.py",
    "docs/quickstart.md": "tests/real_airflow/test_quickstart.py",
    "docs/examples.md": "tests/real_airflow/test_examples.py",
}
"""The test that runs all Python blocks of a page."""
FILES = re.compile(r"^`[\w/]+\.py`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""The files of docs/emulator.md, which tests/emulator/test_pytest_plugin.py runs."""


def is_quoted_or_run_elsewhere(block: Block) -> bool:
    """Whether an example DAG has the block, or another test runs it."""
    text = page(block.page)
    quoted = {quote[4] for quote in QUOTE.finditer(text)}
    return block.page in RUN_BY or block.text in quoted | set(FILES.findall(text))


HERE = [block for block in of("python") if not is_quoted_or_run_elsewhere(block)]


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_python_is_valid(block: Block) -> None:
    """A Python block can be compiled."""
    compile(block.text, str(block), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_files_that_run_blocks_are_tests() -> None:
    """Each file that runs the blocks of a page names the page, or reads what it quotes."""
    for name, test in RUN_BY.items():
        text = (ROOT / test).read_text()
        assert name.rpartition("/")[2] in text or "dev.quickstart" in text or "dev.example_page" in text, test


@pytest.mark.filterwarnings("ignore:Task .* was never mapped")
@pytest.mark.parametrize("block", HERE, ids=str)
def test_python_runs(
    block: Block, ims_emulator: EmulatorProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Python block that no other test runs, runs here: in a DAG, and with an emulator."""
    monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", ims_emulator.connection_json())
    for media in VIDEOS:
        ims_emulator.put_media(media)
    given: dict[str, Any] = {
        "DAG": DAG,
        "ImsCopyrightExtractJobSensor": ImsCopyrightExtractJobSensor,
        "ImsHook": ImsHook,
        "ImsSubmitCopyrightExtractJobOperator": ImsSubmitCopyrightExtractJobOperator,
        "ImsSubmitJobOperator": ImsSubmitJobOperator,
        "act_on": task(task_id="act_on")(lambda *values: values),
        "ims_emulator": ims_emulator,
        "timedelta": timedelta,
        "token_file": tmp_path / "token",
    }
    with DAG("documentation", schedule=None):
        exec(compile(block.text, str(block), "exec"), given)


# ---- shell

NOT_RUN = {
    "make ": "tests/test_makefile.py, and .ci/run",
    "pip install": ".ci/run installs the wheel",
    ".venv-bench/bin/python benchmarks/": "half an hour: `make bench`",
    "aliyun ": "the vendor's program, with an account",
    "ffmpeg ": "makes a video for an account",
    "curl -X PUT -H": "needs an API server; tests/real_airflow/test_resume.py writes the same key",
}
"""Commands that are not run here, by how they begin, and the reason or the place where they are."""
VARIABLE = re.compile(r"^(?:export )?(AIRFLOW_+[A-Z_]+)=", re.MULTILINE)


def commands(block: Block) -> list[str]:
    """Return the commands of a block; of a transcript, the lines after a prompt."""
    text = block.text
    if block.language == "console":
        text = "\n".join(re.findall(r"^\$ ((?:.*\\\n)*.*)$", text, re.MULTILINE))
        assert text, block
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def is_variable(block: Block) -> bool:
    """Whether a block sets environment variables only."""
    return VARIABLE.match(block.text) is not None


@pytest.mark.parametrize(
    "block", [one for one in of("sh") if one.page != "docs/quickstart.md" and not is_variable(one)], ids=str
)
def test_shell_is_listed(block: Block) -> None:
    """A command that no test runs is listed with the reason, and can be parsed."""
    for command in commands(block):
        assert any(command.startswith(beginning) for beginning in NOT_RUN), command
        assert shlex.split(command, comments=True)


@pytest.mark.parametrize(
    "block", [one for one in of("sh") if is_variable(one) and one.page != "docs/quickstart.md"], ids=str
)
def test_variables_have_an_effect(block: Block) -> None:
    """A block that sets a variable sets a connection that is valid JSON, or an option."""
    for name, value in (one.split("=", 1) for one in shlex.split(block.text) if "=" in one):
        if name.startswith("AIRFLOW_CONN_"):
            assert Connection.from_json(value, conn_id="ims_default").conn_type == "ims"
        else:
            assert name.startswith("AIRFLOW__")


@pytest.mark.parametrize("block", of("console"), ids=str)
def test_commands_of_transcripts_are_valid(block: Block, ims_emulator: EmulatorProcess) -> None:
    """A command of ours has arguments that exist; one for the emulator works; any other is listed."""
    for command in commands(block):
        words = shlex.split(command)
        if command.startswith("airflow ims "):
            group: Any = get_commands()[0]
            (resume,) = group.subcommands
            assert words[2] == resume.name
            parser = argparse.ArgumentParser(exit_on_error=False)
            for argument in resume.args:
                argument.add_to_parser(parser)
            assert parser.parse_args(words[3:]).dag_id
        elif command.startswith("python -m airflow_provider_ims.emulator"):
            assert (
                f"listening on http://127.0.0.1:8123 (region {ims_emulator.connection()['extra']['region_id']})"
                in block.text
            )
            assert words[3:] == []
        elif command.startswith("python -m airflow_provider_ims.verify"):
            assert verification_parser().parse_args(words[3:]).budget_cny
        elif "127.0.0.1:8123/_emulator/media" in command:
            body = json.loads(words[words.index("-d") + 1])
            ims_emulator.put_media(**body)
            assert ims_emulator.media()[0]["media"] == body["media"]
        else:
            assert any(command.startswith(beginning) for beginning in NOT_RUN), command


# ---- data and output


@pytest.mark.parametrize("block", of("json", "ini", "uri", "yaml"), ids=str)
def test_data_can_be_parsed(block: Block) -> None:
    """JSON, INI, YAML and URIs are valid."""
    if block.language == "json":
        json.loads(block.text)
    elif block.language == "yaml":
        assert yaml.safe_load(block.text)
    elif block.language == "ini":
        parser = configparser.ConfigParser()
        parser.read_string(block.text)
        assert parser.sections()
    else:
        assert re.fullmatch(r"ims://\S+\n", block.text)


@pytest.mark.parametrize("block", of("text"), ids=str)
def test_output_is_what_the_code_prints(block: Block) -> None:
    """The output of the demo has its videos and their bill; that of the quickstart is compared by its own test."""
    if block.page == "docs/quickstart.md":
        return
    assert block.page == "README.md"
    shown = re.findall(r"^  JobId [0-9a-f]{32}  watermark (.*)  \((.*)\)$", block.text, re.MULTILINE)
    assert shown == [(watermark, media) for media, (_, watermark) in VIDEOS.items()]
    minutes = sum(duration for duration, _ in VIDEOS.values()) // 60
    assert f"Bill: {len(shown)} jobs, {minutes} minutes, CNY {Decimal(minutes):.2f}\n" in block.text


KINDS_OF_FIGURES = ("flowchart ", "stateDiagram-v2\n")


@pytest.mark.parametrize("block", of("mermaid"), ids=str)
def test_figures_are_of_a_kind_that_is_drawn(block: Block) -> None:
    """A figure is of a kind that the program which draws it knows."""
    assert block.text.startswith(KINDS_OF_FIGURES)
