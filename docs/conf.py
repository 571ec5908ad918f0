"""Configuration of the documentation site: `make docs`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pygments.lexers.special import TextLexer

from airflow_provider_ims import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).parent
ROOT = DOCS.parent

project = "airflow-provider-ims"
author = "The airflow-provider-ims authors"
release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "sphinxcontrib.mermaid",
]
html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
html_show_copyright = False
smartquotes = False  # messages and JSON are shown as they are

# ---- Markdown pages, which GitHub shows too

myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "vulnerabilities.md",
    "benchmarks/README.md": "benchmarks.md",
    **{f"benchmarks/results/{path.name}": "benchmarks.md" for path in (ROOT / "benchmarks/results").glob("*.md")},
}
"""The page of the site that includes a file from outside of docs/."""

_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")


def links(text: str, file: Path, page: Path) -> str:
    """Return the text of a file with links that hold in the page that includes it.

    :param text: Markdown
    :param file: the file that has the text
    :param page: the page, which may be the file itself
    """

    def link(found: re.Match[str]) -> str:
        target = (file.parent / found[1]).resolve()
        included_in = PAGES.get(os.path.relpath(target, ROOT))
        return os.path.relpath(DOCS / included_in if included_in else target, page.parent)

    return _LINK.sub(link, text)


def _read_page(app: Sphinx, name: str, content: list[str]) -> None:
    path = Path(app.env.doc2path(name))
    content[0] = links(content[0], path, path)


def _read_included(app: Sphinx, path: Path, page: str, content: list[str]) -> None:
    content[0] = links(content[0], (DOCS / path).resolve(), Path(app.env.doc2path(page)))


# ---- figures, drawn when the site is built: a reader's browser loads no script for them

mermaid_cmd = "mermaidx"
mermaid_output_format = "svg"
mermaid_params = ["--background", "white"]

# ---- API reference

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_class_signature = "mixed"


def setup(app: Sphinx) -> None:
    """Register what this file adds to Sphinx."""
    app.connect("source-read", _read_page)
    app.connect("include-read", _read_included)
    for language in ("log", "uri"):
        app.add_lexer(language, TextLexer)
