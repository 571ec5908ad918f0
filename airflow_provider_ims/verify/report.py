"""The report of a run: Markdown for people, JSON with the responses."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_ims import __version__
from airflow_provider_ims.api.protocol import API_VERSION
from airflow_provider_ims.verify.cases import judge
from airflow_provider_ims.verify.estimate import CURRENCY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_provider_ims.verify.calls import Exchange
    from airflow_provider_ims.verify.cases import CaseResult
    from airflow_provider_ims.verify.estimate import Estimate
    from airflow_provider_ims.verify.scrub import Scrubber

MARKDOWN, JSON = "report.md", "responses.json"

HOLDS, FAILS, UNSEEN = "holds", "does not hold", "not observed"
_VERDICTS = {True: HOLDS, False: FAILS, None: UNSEEN}

_NO_CANCEL = "IMS has no action that cancels them; they end, and are billed, by themselves."


@dataclass(slots=True)
class Report:
    """What is known so far. Each :meth:`write` replaces both files, so that an end at any time leaves what is known.

    :param directory: where the files are
    :param region: region of the jobs
    :param estimate: what the plan costs
    :param results: one for each case
    :param scrubber: removes what tells the account
    :param status: ``running``, ``complete``, ``interrupted``, or why the run ended
    """

    directory: Path
    region: str
    estimate: Estimate
    results: Sequence[CaseResult]
    scrubber: Scrubber
    status: str = "running"
    started_at: float = field(default_factory=lambda: datetime.now(UTC).timestamp())

    def write(self) -> None:
        """Write both files."""
        document = self.document()
        self._replace(JSON, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        self._replace(MARKDOWN, markdown(document))

    def document(self) -> dict[str, Any]:
        """Return the report as JSON."""
        cases = [self._case(result) for result in self.results]
        spent = {item.case: item for item in self.estimate.items}
        paid = [spent[result.case.name] for result in self.results if result.is_spent and result.case.name in spent]
        return {
            "provider": __version__,
            "api": API_VERSION,
            "region": self.region,
            "status": self.scrubber.text(self.status),
            "started": _time(self.started_at),
            "estimate": {
                "currency": CURRENCY,
                "at_most": str(self.estimate.at_most),
                "by_the_second": str(self.estimate.by_the_second),
                "spent_at_most": str(type(self.estimate)(tuple(paid)).at_most),
            },
            "assumptions": [
                {
                    "case": case.name,
                    "assumption": assumption.text,
                    "verdict": _VERDICTS[verdict.holds],
                    "seen_in": verdict.case,
                    "found": self.scrubber.text(verdict.found),
                    "change": [place._asdict() for place in assumption.places],
                }
                for case, assumption, verdict in judge(self.results)
            ],
            "cases": cases,
        }

    def _case(self, result: CaseResult) -> dict[str, Any]:
        since = result.submitted_at or (result.polls[0].at if result.polls else self.started_at)
        submission = [] if result.submission is None else [result.submission]
        return {
            "case": result.case.name,
            "question": result.case.question,
            "outcome": self._outcome(result),
            "job_id": None if result.job_id is None else self.scrubber.text(result.job_id),
            "goes_on": result.goes_on,
            "responses": self._responses([*submission, *result.polls], since),
        }

    def _responses(self, exchanges: Sequence[Exchange], since: float) -> list[dict[str, Any]]:
        """Return responses; those in a row that differ in nothing but their RequestId are one entry."""
        entries: list[dict[str, Any]] = []
        for one in exchanges:
            entry = {
                "action": one.action,
                "http_status": one.status,
                "headers": self.scrubber.json(dict(one.headers)),
                "body": self.scrubber.json(one.body),
                "error": None if one.error is None or one.status else self.scrubber.text(one.error.problem),
            }
            seconds = round(one.at - since, 1)
            last = entries[-1] if entries else None
            if last is not None and _same(last) == _same(entry):
                last |= {"last_after_seconds": seconds, "times": last["times"] + 1}
            else:
                entries.append({**entry, "first_after_seconds": seconds, "last_after_seconds": seconds, "times": 1})
        return entries

    def _outcome(self, result: CaseResult) -> str:
        """Say in a few words what became of a case."""
        if result.not_run is not None:
            return f"not run: {result.not_run}"
        if result.is_unknown:
            return "it is unknown whether a job exists: counted as spent, and not submitted again"
        if result.submission is not None and result.job_id is None:
            return f"rejected: {self.scrubber.text(result.submission.summary)}"
        if result.job_id is None:
            return "run" if result.polls or result.case.looks_at else "not run: the run ended before it"
        end = result.end
        return "no end was seen" if end is None else f"ended: {end.state.value}"

    def _replace(self, name: str, text: str) -> None:
        new = self.directory / f".{name}.new"
        new.write_text(text, encoding="utf-8")
        new.replace(self.directory / name)


def _same(entry: dict[str, Any]) -> str:
    """Return what tells an entry from others."""
    body, headers = entry["body"], entry["headers"]
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if name not in {"RequestId", "Recommend"}}
    headers = {name: value for name, value in headers.items() if name not in {"x-acs-request-id", "x-acs-trace-id"}}
    return json.dumps([entry["action"], entry["http_status"], headers, body, entry["error"]], sort_keys=True)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def markdown(document: dict[str, Any]) -> str:
    """Return the report for people.

    :param document: the report as JSON
    """
    estimate = document["estimate"]
    head = (
        f"Provider {document['provider']}, API {document['api']}, region {document['region']}, "
        f"started {document['started']}. Status: {document['status']}."
    )
    cost = (
        f"Estimate: {CURRENCY} {estimate['at_most']} at most, {estimate['by_the_second']} by the second. "
        f"Submitted: {CURRENCY} {estimate['spent_at_most']} at most."
    )
    removed = (
        "Secrets, ids of the account, buckets and objects are removed (`***`). "
        f"All responses are in [{JSON}]({JSON}). Read both files before you show them to others."
    )
    lines = ["# Verification of IMS", "", head, "", cost, "", removed]
    wrong = [place for one in document["assumptions"] if one["verdict"] == FAILS for place in one["change"]]
    for verdict, heading in ((FAILS, "Does not hold"), (HOLDS, "Holds"), (UNSEEN, "Not observed")):
        found = [one for one in document["assumptions"] if one["verdict"] == verdict]
        lines += ["", f"## {heading} ({len(found)})", ""]
        for one in found:
            found_in = f" Found in {one['seen_in']}: {one['found']}." if one["seen_in"] else ""
            lines.append(f"- {one['case']}: {one['assumption']}{found_in}")
            if verdict == FAILS:
                lines += [f"  - change `{place['file']}`: {_quoted(place['row'])}" for place in one["change"]]
            elif verdict == HOLDS:
                rows = [place for place in one["change"] if place["file"].endswith(".md") and place not in wrong]
                lines += [
                    f"  - compared with the service: `{place['file']}`, {_quoted(place['row'])}" for place in rows
                ]
        if not found:
            lines.append("None.")
    lines += ["", "## Cases", "", "| case | outcome | JobId | last response |", "|---|---|---|---|"]
    for case in document["cases"]:
        cells = (case["case"], case["outcome"], case["job_id"] or "", _last_response(case["responses"]))
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    unknown = [case["case"] for case in document["cases"] if case["outcome"].startswith("it is unknown")]
    going_on = [case for case in document["cases"] if case["goes_on"]]
    if unknown:
        lines += ["", f"It is unknown whether these submissions created a job: {', '.join(unknown)}. Look in the bill."]
    if going_on:
        jobs = ", ".join(f"{case['job_id']} ({case['case']})" for case in going_on)
        lines += ["", f"These jobs were not seen to end: {jobs}. {_NO_CANCEL}"]
    return "\n".join(lines) + "\n"


def _quoted(row: str) -> str:
    """Return a text as code, whatever backticks it has."""
    return f"`` {row} ``"


def _last_response(responses: list[dict[str, Any]]) -> str:
    if not responses:
        return ""
    last = responses[-1]
    if last["http_status"] is None:
        return str(last["error"])
    return f"{last['action']}, HTTP {last['http_status']}, after {last['last_after_seconds']:g} s"
