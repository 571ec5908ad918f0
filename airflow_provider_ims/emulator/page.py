"""The page of the emulator: its whole state as HTML, without external assets."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MAX_REQUESTS = 50
_MAX_TEXT = 2000

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #888; --accent: #c2410c; }
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 90rem; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; }
p { color: var(--soft); margin: .2rem 0; }
b { color: var(--accent); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; }
td { overflow-wrap: anywhere; }
"""


def render(
    *,
    region: str,
    media: Sequence[Mapping[str, Any]],
    jobs: Sequence[Mapping[str, Any]],
    bill: Mapping[str, Any],
    faults: Sequence[Mapping[str, Any]],
    requests: Mapping[str, Any],
) -> str:
    """Return the page as HTML. The arguments are values of the control API."""
    prices = {line["job_id"]: f"{line['price']} {line['currency']} / {line['minutes']} min" for line in bill["lines"]}
    billed_jobs = [{**job, "bill": prices[job["job_id"]]} for job in reversed(jobs)]
    latest = list(reversed(requests["requests"]))[:_MAX_REQUESTS]
    sections = [
        _section(
            "Jobs",
            billed_jobs,
            ["job_id", "family", "state", "media", "text", "algo_type", "user_data", "queries", "bill"],
        ),
        _section(
            "Media",
            media,
            ["media", "duration", "watermark", "algo_type", "trace", "processing_time", "trailing_newline", "variant"],
        ),
        _section("Faults", faults, ["action", "kind", "nth", "times", "options", "calls", "applied", "spent"]),
        _section(
            f"Requests, the latest {len(latest)} of {requests['total']}",
            latest,
            ["sequence", "time", "action", "parameters", "connection", "fault", "http_status", "code", "request_id"],
        ),
    ]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="5">
<title>IMS emulator</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>IMS emulator</h1>
<p>Region {escape(region)}. This is a local emulator: it causes no costs.</p>
<p>The bill would be <b>{escape(bill["price"])} {escape(bill["currency"])}</b>
for {bill["jobs"]} jobs and {bill["minutes"]} minutes.</p>
{"".join(sections)}
</body>
</html>
"""


def _section(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    if not rows:
        return f"<h2>{escape(title)}</h2>\n<p>None.</p>\n"
    head = _row("th", (column.replace("_", " ") for column in columns))
    body = "".join(_row("td", (_text(row[column]) for column in columns)) for row in rows)
    return f"<h2>{escape(title)}</h2>\n<table>\n{head}{body}</table>\n"


def _row(cell: str, texts: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{cell}>{escape(text)}</{cell}>" for text in texts) + "</tr>\n"


def _text(value: object) -> str:
    match value:
        case None:
            return "-"
        case str():
            text = value
        case _:
            text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]} ... ({len(text):,} characters)"
