"""What a release consists of: the files in dist/, the workflows, the registry's file and the matrix of versions."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
import yaml  # type: ignore[import-untyped] # a dependency of Airflow

import airflow_provider_ims
from dev import matrix, registry, release_check
from dev.matrix import Result
from dev.sandbox import ROOT

if TYPE_CHECKING:
    from pathlib import Path

VERSION = airflow_provider_ims.__version__
INFO = f"airflow_provider_ims-{VERSION}.dist-info"
MAKEFILE = (ROOT / "Makefile").read_text()
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="an unpacked sdist has no repository")

# ---- the wheel and the sdist


def write_wheel(folder: Path, *, without: str = "", extra: str = "", **texts: str) -> None:
    """Write a wheel with the files of the repository, with changes to it."""
    metadata = "Name: airflow-provider-ims\nVersion: {}\nLicense-Expression: Apache-2.0\nRequires-Dist: aiohttp>=3.11\n"
    entries = "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())
        for group, values in release_check.ENTRY_POINTS.items()
    )
    files = dict.fromkeys(release_check.tracked("airflow_provider_ims"), "")
    files[f"{INFO}/METADATA"] = texts.get("metadata", metadata.format(VERSION))
    files[f"{INFO}/entry_points.txt"] = texts.get("entries", entries)
    if extra:
        files[extra] = ""
    with zipfile.ZipFile(folder / "a.whl", "w") as archive:
        for name, text in files.items():
            if name != without:
                archive.writestr(name, text)


def write_sdist(folder: Path, *, without: str = "", extra: str = "") -> None:
    """Write an sdist with the files of the repository, with changes to it."""
    names = {name for name in release_check.tracked() if not name.startswith(release_check.NOT_IN_SDIST)}
    with tarfile.open(folder / "a.tar.gz", "w:gz") as archive:
        for name in sorted((names | {"PKG-INFO", extra}) - {without, ""}):
            archive.addfile(tarfile.TarInfo(f"airflow_provider_ims-{VERSION}/{name}"), io.BytesIO())


def test_complete_distributions_have_no_problem(tmp_path: Path) -> None:
    """A wheel and an sdist with the files of the repository are accepted."""
    write_wheel(tmp_path)
    write_sdist(tmp_path)
    assert release_check.main(tmp_path, None) == []


METADATA = f"Name: airflow-provider-ims\nVersion: {VERSION}\nLicense-Expression: Apache-2.0\nRequires-Dist: "


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"extra": "tests/test_release.py"}, "the wheel has tests/test_release.py, which is not in git"),
        ({"extra": "airflow_provider_ims/left.py"}, "the wheel has airflow_provider_ims/left.py, which is not in git"),
        ({"without": "airflow_provider_ims/exceptions.py"}, "the wheel has no airflow_provider_ims/exceptions.py"),
        (
            {"without": "airflow_provider_ims/py.typed"},
            "the wheel has no py.typed: type checkers would ignore its types",
        ),
        ({"without": f"{INFO}/METADATA"}, f"the wheel has no {INFO}, so it is not version {VERSION}"),
        ({"entries": "[pytest11]\n"}, "the entry points of the wheel are others"),
        ({"metadata": f"{METADATA}a>=1,<2\n"}, "a dependency has an upper bound"),
        ({"metadata": METADATA.replace(VERSION, "9.9")}, f"Version of the wheel is 9.9, not {VERSION}"),
    ],
)
def test_problem_of_a_wheel_is_named(changes: dict[str, str], problem: str, tmp_path: Path) -> None:
    """A file too many or too few, other entry points, another version and an upper bound are problems."""
    write_wheel(tmp_path, **changes)
    write_sdist(tmp_path)
    assert problem in release_check.main(tmp_path, None)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"extra": "docs/draft.md"}, "the sdist has docs/draft.md, which is not in git"),
        ({"without": "dev/demo.py"}, "the sdist has no dev/demo.py"),
    ],
)
def test_problem_of_an_sdist_is_named(changes: dict[str, str], problem: str, tmp_path: Path) -> None:
    """A file too many or too few is a problem."""
    write_wheel(tmp_path)
    write_sdist(tmp_path, **changes)
    assert release_check.main(tmp_path, None) == [problem]


@pytest.mark.parametrize(
    ("tag", "changelog", "count"),
    [
        ("v1.2.3", "# Changelog\n\n## [1.2.3] - 2026-12-01\n", 0),
        ("v1.2.4", "# Changelog\n\n## [1.2.3] - 2026-12-01\n", 1),
        ("1.2.3", "# Changelog\n\n## [1.2.3] - 2026-12-01\n", 1),
        ("v1.2.3", "# Changelog\n\n## [Unreleased]\n", 1),
    ],
)
def test_tag_is_that_of_version_and_changelog(tag: str, changelog: str, count: int) -> None:
    """A tag is the version with a v before it, and the changelog has the version with its date."""
    assert len(list(release_check.tag_problems(tag, "1.2.3", changelog))) == count


def test_version_stands_in_one_place() -> None:
    """Only ``__init__.py`` has the version: the build reads it there."""
    command = [
        "git",
        "grep",
        "--files-with-matches",
        "--fixed-strings",
        f'"{VERSION}"',
        "--",
        "*.py",
        "*.toml",
        "*.yaml",
    ]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    names = [name for name in found if not name.startswith("tests/")]
    # The option of the configuration says since when it exists.
    assert names == ["airflow_provider_ims/__init__.py", "airflow_provider_ims/get_provider_info.py"]


# ---- GitHub's files and the registry's


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_targets_of_the_makefile(path: Path) -> None:
    """Each command of a workflow that runs make names a target that exists."""
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    steps = [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]
    called = {name for step in steps for name in re.findall(r"\bmake (?:--\S+ )*([a-z-]+)", step.get("run", ""))}
    assert called
    assert called <= targets


def test_workflows_call_what_a_change_must_pass() -> None:
    """The workflow of each change calls the targets that ``.ci/run`` calls."""
    targets = re.compile(r"^[^#\n]*\bmake (?:--\S+ )*([a-z-]+)", re.MULTILINE)
    called = set(targets.findall((ROOT / ".github" / "workflows" / "ci.yml").read_text()))
    assert set(targets.findall((ROOT / ".ci" / "run").read_text())) - {"clean"} == called


def test_file_for_the_registry_is_generated() -> None:
    """.airflow-registry.yaml is what ``python -m dev.registry`` writes now, and is valid YAML."""
    assert registry.FILE.read_text() == registry.text()
    listed = yaml.safe_load(registry.text())
    assert {section: len(listed[section]) for section in registry.SECTIONS}.keys() == set(registry.SECTIONS)
    assert all(entry["description"] for section in registry.SECTIONS for entry in listed[section])


# ---- the matrix


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("2 failed, 10 passed, 3 skipped in 4.50s", (10, 2, 0, 3)),
        ("= 1 passed, 1 error in 61.00s (0:01:01) =", (1, 0, 1, 0)),
        ("1 passed, 2 errors in 0.1s", (1, 0, 2, 0)),
    ],
)
def test_counts_are_those_of_the_closing_line(line: str, counts: tuple[int, ...]) -> None:
    """The last line of pytest gives the numbers of the table."""
    assert tuple(matrix.counts_of(f"noise: 7 passed\n{line}\nmake: done\n").values()) == counts
    assert matrix.counts_of("Installing Airflow ...\nNo package index can be reached\n") == {}


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (["passed", "passed"], 0),
        (["passed", matrix.NO_PYTHON], 0),
        (["passed", "failed"], 1),
        ([matrix.NO_PYTHON], 1),
    ],
)
def test_matrix_fails_if_a_row_fails_or_none_has_run(
    statuses: list[str], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row without an interpreter is listed and does not fail the matrix, unless no row has run."""
    results = {f"3.{n}.0/3.12": Result(f"3.{n}.0/3.12", one, {}, 1.0) for n, one in enumerate(statuses)}
    monkeypatch.setattr(matrix, "run", results.__getitem__)
    assert matrix.main(list(results)) == status
    out = capsys.readouterr().out
    assert all(f"| 3.{n}.0 | 3.12 | {one} |" in out for n, one in enumerate(statuses))


def test_unknown_airflow_needs_a_date() -> None:
    """A version of Airflow without a date in the Makefile is refused before anything is installed."""
    command = ["make", "test-airflow", "AIRFLOW=3.9.9", f"VENV={ROOT / '.venv'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0
    assert "Airflow 3.9.9 is none of " in done.stderr
