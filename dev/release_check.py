"""`make release-check`: compare the files in dist/ with the repository, and the version with a tag if there is one.

``twine`` checks the metadata and ``check-wheel-contents`` the files of the wheel; here is what they do not know.
"""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from typing import TYPE_CHECKING

import airflow_provider_ims
from dev.console import echo
from dev.sandbox import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message
    from pathlib import Path

PACKAGE = "airflow_provider_ims"
ENTRY_POINTS = {
    "apache_airflow_provider": {"provider_info": f"{PACKAGE}.get_provider_info:get_provider_info"},
    "pytest11": {f"{PACKAGE}.emulator.pytest_plugin": f"{PACKAGE}.emulator.pytest_plugin"},
}
NOT_IN_SDIST = (".ci/", ".github/", ".airflow-registry.yaml", ".pre-commit-config.yaml")
"""What only the repository needs."""


def tracked(folder: str = ".") -> set[str]:
    """Return the files of the repository below a folder."""
    done = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines())


def wheel_problems(wheel: Path, version: str) -> Iterator[str]:
    """Yield what is wrong with a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = f"{PACKAGE}-{version}.dist-info"
        if f"{info}/METADATA" not in names:
            yield f"the wheel has no {info}, so it is not version {version}"
            return
        metadata = HeaderParser().parsestr(archive.read(f"{info}/METADATA").decode())
        entries = configparser.ConfigParser(delimiters="=")
        entries.optionxform = str  # type: ignore[assignment, method-assign] # names in upper and lower case
        entries.read_string(archive.read(f"{info}/entry_points.txt").decode())
    files = {name for name in names if not name.startswith(f"{info}/")}
    yield from differences("the wheel", files, tracked(PACKAGE))
    if f"{PACKAGE}/py.typed" not in files:
        yield "the wheel has no py.typed: type checkers would ignore its types"
    if {section: dict(entries[section]) for section in entries.sections()} != ENTRY_POINTS:
        yield "the entry points of the wheel are others"
    yield from metadata_problems(metadata, version)


def metadata_problems(metadata: Message, version: str) -> Iterator[str]:
    """Yield what is wrong with the metadata of a wheel."""
    expected = {"Name": "airflow-provider-ims", "Version": version, "License-Expression": "Apache-2.0"}
    for name, value in expected.items():
        if metadata[name] != value:
            yield f"{name} of the wheel is {metadata[name]}, not {value}"
    if any(re.search(r"[<~]|==", text) for text in metadata.get_all("Requires-Dist", [])):
        yield "a dependency has an upper bound"


def sdist_problems(sdist: Path, version: str) -> Iterator[str]:
    """Yield what is wrong with a source distribution."""
    prefix = f"{PACKAGE}-{version}/"
    with tarfile.open(sdist) as archive:
        files = {member.name.removeprefix(prefix) for member in archive.getmembers() if member.isfile()}
    expected = {name for name in tracked() if not name.startswith(NOT_IN_SDIST)}
    yield from differences("the sdist", files - {"PKG-INFO"}, expected)


def differences(what: str, found: set[str], expected: set[str]) -> Iterator[str]:
    """Yield which files are in a distribution and not in the repository, and the reverse."""
    for name in sorted(found - expected):
        yield f"{what} has {name}, which is not in git"
    for name in sorted(expected - found):
        yield f"{what} has no {name}"


def tag_problems(tag: str, version: str, changelog: str) -> Iterator[str]:
    """Yield why a tag is not that of the version."""
    if tag != f"v{version}":
        yield f"the tag is {tag}, and airflow_provider_ims.__version__ is {version}"
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        yield f"CHANGELOG.md has no heading '## [{version}] - <date>'"


def main(folder: Path, tag: str | None) -> list[str]:
    """Return all problems of the distributions in a folder."""
    version = airflow_provider_ims.__version__
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    problems = [*wheel_problems(wheel, version), *sdist_problems(sdist, version)]
    if tag is not None:
        problems += tag_problems(tag, version, (ROOT / "CHANGELOG.md").read_text())
    return problems


if __name__ == "__main__":
    found = main(ROOT / "dist", sys.argv[1] if len(sys.argv) > 1 else None)
    if found:
        sys.exit("\n".join(found))
    echo(f"The wheel and the sdist of {airflow_provider_ims.__version__} have the files of the repository")
