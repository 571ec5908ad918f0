"""The page of the verification kit, and the places that its report names, are those of the code."""

from __future__ import annotations

import pytest

from airflow_provider_ims.verify.__main__ import EXIT_CODES, parser
from airflow_provider_ims.verify.cases import CASES, Place
from airflow_provider_ims.verify.estimate import PRICES
from tests.test_docs import CODE, ROOT, page, section, table

PAGE = "docs/verification.md"
PLACES = sorted({place for case in CASES for assumption in case.assumptions for place in assumption.places})


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.file}: {place.row[:40]}")
def test_each_place_exists(place: Place) -> None:
    """What the report says to change is there: the first cell of one row of a table, or a text of a module."""
    text = (ROOT / place.file).read_text()
    if place.file.endswith(".md"):
        rows = [line for line in text.splitlines() if line.startswith(f"| {place.row} |")]
        assert len(rows) == 1
    else:
        assert text.count(place.row) == 1


def test_each_assumption_names_a_place() -> None:
    """Each assumption names at least one place, and each case at least one assumption."""
    assert PLACES
    assert all(case.assumptions for case in CASES)
    assert all(assumption.places for case in CASES for assumption in case.assumptions)


def test_table_of_cases_is_the_one_of_the_code() -> None:
    """The page lists all cases with action, video, algorithm and question."""
    rows = table(page(PAGE), "case")[1:]
    assert rows == [
        [
            f"`{case.name}`",
            case.action or "",
            case.video.value if case.video else "",
            case.algo_type or ("that of the mark" if case.video else ""),
            case.question,
        ]
        for case in CASES
    ]


def test_table_of_assumptions_is_the_one_of_the_code() -> None:
    """The page lists all assumptions."""
    rows = table(section(PAGE, "### What is compared"), "case")[1:]
    assert rows == [[f"`{case.name}`", assumption.text] for case in CASES for assumption in case.assumptions]


def test_table_of_prices_is_the_one_of_the_code() -> None:
    """The page shows the price table, with unit and source."""
    rows = table(section(PAGE, "## The cost"), "action")[1:]
    assert sorted(rows) == sorted(
        [
            action,
            f"CNY {price.amount} for each {price.unit} of video" if price.amount else price.unit,
            f"[Digital watermarking]({price.source})",
        ]
        for action, price in PRICES.items()
    )


def test_options_and_exit_codes_are_explained() -> None:
    """The page explains each option with its default, and each exit status."""
    part = section(PAGE, "## Options and exit status")
    shown = {name: row[1].strip("`") for row in table(part, "option")[1:] for name in CODE.findall(row[0])}
    options = {one.option_strings[-1]: one.default for one in parser()._actions if one.dest != "help"}
    assert shown.keys() == options.keys()
    for name, default in options.items():
        if default not in (None, [], False):
            assert shown[name] == f"{default:g}" if isinstance(default, float) else str(default)
    assert [[int(code), text] for code, text in table(part, "exit status")[1:]] == [
        list(one) for one in EXIT_CODES.items()
    ]
