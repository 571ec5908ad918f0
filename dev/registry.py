"""Write `.airflow-registry.yaml`, which the Apache Airflow Provider Registry reads: `python -m dev.registry`.

The format is that of the file of astronomer-cosmos (astronomer/astronomer-cosmos#2387): for each module its path and a
description. The keys of the sections are those of provider.yaml; cosmos has only ``operators``.
"""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_ims.get_provider_info import get_provider_info
from dev.console import echo

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = Path(__file__).parent.parent / ".airflow-registry.yaml"
SECTIONS = ("operators", "sensors", "hooks", "triggers")
DESCRIPTION = "Jobs of Alibaba Cloud Intelligent Media Services (IMS): copyright and trace watermarks, and all others"

HEAD = f"""\
# Metadata for the Apache Airflow Provider Registry. `python -m dev.registry` writes this file from the metadata of the
# provider and its docstrings.

package-name: airflow-provider-ims
display-name: {get_provider_info()["name"]}
description: {json.dumps(DESCRIPTION)}
"""


def classes(section: str) -> Iterator[type]:
    """Yield the public classes of a section of the metadata."""
    for entry in get_provider_info()[section]:
        for name in entry["python-modules"]:
            module = importlib.import_module(name)
            for item in vars(module).values():
                if inspect.isclass(item) and item.__module__ == name and item.__name__.startswith("Ims"):
                    yield item


def plain(kind: type) -> str:
    """Return the first sentence of a class's docstring, without the marks of reStructuredText."""
    first: str = (inspect.getdoc(kind) or "").split("\n\n", maxsplit=1)[0].replace("\n", " ")
    return first.replace("``", "`").rstrip(".")


def text() -> str:
    """Return the text of the file."""
    lines = [HEAD]
    for section in SECTIONS:
        lines.append(f"\n{section}:\n")
        for kind in classes(section):
            lines.append(f"  - module: {kind.__module__}.{kind.__qualname__}\n")
            lines.append(f"    description: {json.dumps(plain(kind), ensure_ascii=False)}\n")
    return "".join(lines)


if __name__ == "__main__":
    FILE.write_text(text())
    echo(f"Wrote {FILE.name}")
