"""Write `docs/examples.md` from the example DAGs: `python -m dev.example_page`."""

from __future__ import annotations

import ast
import importlib.util
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dev.console import echo
from dev.examples import BILLS
from dev.sandbox import EXAMPLE_DAGS, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = ROOT / "docs" / "examples.md"

TITLES = {
    "example_ims_copyright_extract": "Submit only",
    "example_ims_rights_check": "Rights check: one file, and a branch",
    "example_ims_nightly_suspects": "Nightly suspects: a fingerprint before the extraction",
    "example_ims_check_once": "Check each video once",
    "example_ims_screener_distribution": "Screener distribution: one mark for each partner",
    "example_ims_leak_drill": "Leak drill: does the mark survive?",
    "example_ims_trace_incident": "Trace incident: whose stream was recorded?",
    "example_ims_highlight_reel": "Highlight reel",
    "example_ims_media_intake": "Media intake: download, tags, cover",
}
"""The heading of each example, in the order of the page."""

HEAD = """\
# Example pipelines

<!-- `python -m dev.example_page` writes this page from example_dags/. Do not edit it by hand. -->

Each of these DAGs is a file in `example_dags/`. Copy it, and replace the constants at its top and the
tasks that say so. None has a schedule, because each run is billed.

With `make ui` all of them run as they are, against the [emulator](emulator.md) and with the connections that they need.
The tests run them too, on Airflow 3.3 and 2.11, and compare the bill. Three of them need another provider of Airflow:
`apache-airflow-providers-common-sql` (check once, screener distribution) or `apache-airflow-providers-http` (highlight
reel).

In the graphs, a box is a task with its operator. A double border marks a task that runs once for each value of a list,
as does each task of a group that is "mapped".

## Bills

What one run costs in the emulator, with the videos of `make ui`. **Prices are assumptions, except those
of watermark jobs** ([prices of the emulator](emulator.md#the-job-families)); rely on the number of jobs only.
"""


def text() -> str:
    """Return the page."""
    sections = [section(EXAMPLE_DAGS / f"{name}.py", title) for name, title in TITLES.items()]
    return "\n".join([HEAD, *bills(), "", *sections])


def bills() -> Iterator[str]:
    """Yield the table of the bills."""
    yield "| example | jobs | CNY |"
    yield "|---|---|---|"
    for name, title in TITLES.items():
        jobs = ", ".join(f"{count} {family} {price}" for family, (count, price) in BILLS[name].items())
        total = sum(Decimal(price) for _, price in BILLS[name].values())
        yield f"| [{title}](#{anchor(title)}) | {jobs} | {total} |"


def section(path: Path, title: str) -> str:
    """Return what the page says of one example: its docstring, its graph and its code.

    :param path: the DAG file
    :param title: the heading
    """
    about = ast.get_docstring(ast.parse(path.read_text()))
    return (
        f"## {title}\n\n[{path.name}](../example_dags/{path.name})\n\n{about}\n\n"
        f"```mermaid\n{graph(path)}\n```\n\n```python\n{code(path)}\n```\n"
    )


def code(path: Path) -> str:
    """Return the code of a DAG file, without its docstring, its imports and the call at its end.

    :param path: the DAG file
    """
    body = ast.parse(path.read_text()).body
    imports = [number for number, node in enumerate(body) if isinstance(node, ast.Import | ast.ImportFrom | ast.If)]
    first, last = body[imports[-1] + 1], body[-2]
    start = min([first.lineno, *(one.lineno for one in getattr(first, "decorator_list", []))])
    return "\n".join(path.read_text().splitlines()[start - 1 : last.end_lineno])


def graph(path: Path) -> str:
    """Return the graph of a DAG in the language of Mermaid.

    :param path: the DAG file
    """
    dag = load(path)
    edges = [
        f"    {node(task.task_id)} --> {node(other)}"
        for task in dag.tasks
        for other in sorted(task.downstream_task_ids)
    ]
    return "\n".join(["flowchart LR", *_nodes(dag.task_group, "    "), *edges])


def _nodes(group: Any, indent: str) -> Iterator[str]:
    for child in group.children.values():
        if not hasattr(child, "children"):
            label = f'"{child.task_id.rpartition(".")[2]}<br/>{child.operator_name}"'
            is_mapped = "Mapped" in type(child).__name__
            yield f"{indent}{node(child.task_id)}{f'[[{label}]]' if is_mapped else f'[{label}]'}"
            continue
        mapped = ", mapped" if "Mapped" in type(child).__name__ else ""
        yield f'{indent}subgraph {node(child.group_id)} ["{child.group_id}{mapped}"]'
        yield from _nodes(child, f"{indent}    ")
        yield f"{indent}end"


def node(name: str) -> str:
    """Return the name of a task or group in the graph; Mermaid takes ``end`` and dots for words of its own.

    :param name: id of the task or group
    """
    return f"{name.replace('.', '_')}_"


def load(path: Path) -> Any:
    """Return the DAG of a file.

    :param path: the DAG file, whose function has the name of the file
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, path.stem)()


def anchor(title: str) -> str:
    """Return the anchor that GitHub gives to a heading.

    :param title: the heading
    """
    kept = [one for one in title.lower() if one.isalnum() or one in "-_ "]
    return "".join(kept).replace(" ", "-")


if __name__ == "__main__":
    PAGE.write_text(text())
    echo(f"Wrote {PAGE}")
