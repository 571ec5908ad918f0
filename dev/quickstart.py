"""Run the quickstart as a shell script: `python -m dev.quickstart DIRECTORY_OF_PROGRAMS`.

The directory has the programs of an environment with the provider (`.venv/bin`), so the installation is left out.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from dev.console import echo

PAGE = Path(__file__).parent.parent / "docs" / "quickstart.md"
INSTALLATION = "pip install"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^Save this as `([\w/.-]+)`:$", re.MULTILINE)


def script(page: str, port: int) -> str:
    """Return the commands of the quickstart, with the file that it says to save.

    :param page: the text of the page
    :param port: port of the emulator, in place of 8123
    """
    (file,) = _FILE.findall(page)
    lines = ["set -euo pipefail", "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT"]
    for language, block in _BLOCK.findall(page):
        if language == "python":
            lines.append(f"cat > {file} <<'FILE'\n{block}FILE")
        if language == "sh" and not block.startswith(INSTALLATION):
            lines.append(
                block.replace("airflow_provider_ims.emulator &", "airflow_provider_ims.emulator --port 8123 &")
            )
    return "\n".join(lines).replace("8123", str(port))


def run(programs: Path) -> subprocess.CompletedProcess[str]:
    """Run the quickstart in a temporary directory.

    :param programs: directory of the programs
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "VIRTUAL_ENV", "PYTEST"))
    }
    with tempfile.TemporaryDirectory(prefix="ims-quickstart-") as directory:
        return subprocess.run(
            ["bash", "-c", script(PAGE.read_text(), port)],
            cwd=directory,
            env=kept | {"PATH": f"{programs.resolve()}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )


def problem(completed: subprocess.CompletedProcess[str]) -> str:
    """Return what is wrong with a run of the quickstart; empty if it printed what the page says.

    :param completed: the run
    """
    output = completed.stdout + completed.stderr
    (promised,) = [block for language, block in _BLOCK.findall(PAGE.read_text()) if language == "text"]
    if completed.returncode:
        return output
    if not re.search(re.escape(promised.strip()).replace("<JobId>", "[0-9a-f]{32}"), output):
        return f"Nothing says {promised!r}:\n{output}"
    return "" if re.search(r'"jobs": ?1\b', output) else f"The bill has not one job:\n{output}"


if __name__ == "__main__":
    wrong = problem(run(Path(sys.argv[1])))
    echo(wrong or "The quickstart works as it stands.")
    sys.exit(bool(wrong))
