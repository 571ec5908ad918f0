"""Write code of the example DAGs into the pages of docs/: `python -m dev.quoted_code`.

A comment in front of a code block names what it quotes: `<!-- example_ims_leak_drill: convert -->` is the statement of
that example which assigns `convert`, with the imports and constants that it uses.
"""

from __future__ import annotations

import ast
import re
import textwrap
from typing import TYPE_CHECKING

from dev.console import echo
from dev.sandbox import EXAMPLE_DAGS, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = sorted((ROOT / "docs").glob("*.md"))
QUOTE = re.compile(r"(<!-- (example_\w+): (\w+) -->\n```python\n)(.*?)(^```$)", re.MULTILINE | re.DOTALL)


def page(text: str) -> str:
    """Return the text of a page with the code as it is now.

    :param text: Markdown
    """
    return QUOTE.sub(lambda found: f"{found[1]}{code(found[2], found[3])}\n{found[5]}", text)


def code(example: str, name: str) -> str:
    """Return the statement of an example that assigns a name, below the imports and constants that it uses.

    :param example: name of the DAG file
    :param name: the variable
    :raises LookupError: if no statement of the file assigns it
    """
    source = (EXAMPLE_DAGS / f"{example}.py").read_text()
    tree = ast.parse(source)
    statements = (node for node in ast.walk(tree) if isinstance(node, ast.stmt))
    statement = next((node for node in statements if _assigned(node) == name), None)
    if statement is None:
        raise LookupError(f"{example} assigns no {name}")
    used = _names(statement)
    constants: list[str] = []
    for node in reversed(tree.body):
        if _assigned(node) in used:
            used |= _names(node)
            constants.insert(0, _lines(source, node))
    parts = ["\n".join(_imports(tree, used)), "\n".join(constants), _lines(source, statement)]
    return "\n\n".join(part for part in parts if part)


def _assigned(node: ast.AST) -> str | None:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name
    return None


def _names(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def _lines(source: str, node: ast.stmt) -> str:
    """Return the lines of a statement, with their comments, as if it stood at the beginning of a line."""
    return textwrap.dedent("\n".join(source.splitlines()[node.lineno - 1 : node.end_lineno]))


def _imports(tree: ast.Module, used: set[str]) -> Iterator[str]:
    """Yield the imports of the names that are used, with a blank line between groups."""
    group = None
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (names := [one.name for one in node.names if one.name in used]):
            package = str(node.module).partition(".")[0]
            if group not in {None, package}:
                yield ""
            group = package
            yield f"from {node.module} import {', '.join(names)}"


def write(path: Path) -> None:
    """Bring the code in a page up to date.

    :param path: the page
    """
    path.write_text(page(path.read_text()))


if __name__ == "__main__":
    for one in PAGES:
        write(one)
    echo(f"Wrote the code of the examples into {len(PAGES)} pages")
