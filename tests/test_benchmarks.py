"""The benchmarks run in a short form; the full measurement is ``make bench``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import credentials, key_callers, throttling, waiting
from benchmarks.rounds import interleave

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.rounds import Sample


def test_all_candidates_poll(tmp_path: Path) -> None:
    """Each candidate polls its jobs over TLS without failures; ours shares its connections."""
    samples = waiting.run(3, 0.0, 0.5, 1, tmp_path)
    assert set(samples) == set(waiting.CANDIDATES)
    for name, (sample,) in samples.items():
        assert sample["polls"] > 0, name
        assert sample["failed"] == 0, name
        assert sample["cpu"] > 0, name
        assert sample["stall_max"] >= sample["stall_p99"] >= sample["stall_p50"] >= 0, name
    assert 1 <= samples[waiting.OURS][0]["connections"] <= 4
    report = waiting.report({3: samples}, waiting.BARE)
    assert all(f"3 · {name}" in report for name in waiting.CANDIDATES)


def test_halving_avoids_throttled_requests() -> None:
    """The rate limiter causes fewer throttled requests than the variant that keeps its rate."""
    samples = {name: [throttling.run(name, 2.5)] for name in throttling.CANDIDATES}
    (halving,), (no_halving,) = samples[throttling.HALVING], samples[throttling.NO_HALVING]
    for quota in throttling.QUOTAS:
        assert 0 < halving[f"throttled {quota}"] < 0.8 * no_halving[f"throttled {quota}"]
        assert halving[f"accepted {quota}"] > 0
        assert f"{quota} · {throttling.HALVING}" in throttling.report(samples)


def test_all_candidates_get_keys(tmp_path: Path) -> None:
    """Each candidate gets keys for a single caller, without failures and stalls, and calls STS once."""
    samples = credentials.run(1, 1.0, 1, tmp_path)
    assert set(samples) == set(key_callers.CANDIDATES)
    for name, (sample,) in samples.items():
        assert sample["failed"] == 0, name
        assert sample["fetches"] == 1, name
        assert not sample["is_blocked"], name
        assert sample["stall_max"] >= sample["stall_p99"] >= 0, name
    report = credentials.report({1: samples})
    assert all(f"1 · {name}" in report for name in key_callers.CANDIDATES)


def test_order_rotates() -> None:
    """The order of the candidates rotates in each round, and the warm-up round is not measured."""
    order: list[str] = []

    def run(name: str) -> Sample:
        order.append(name)
        return {"number": len(order)}

    samples = interleave("ab", 2, run)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert samples == {"a": [{"number": 4}, {"number": 5}], "b": [{"number": 3}, {"number": 6}]}


@pytest.mark.parametrize("name", ["import_cost", "cold_submit", "waiting", "throttling", "credentials"])
def test_results_exist(name: str) -> None:
    """The tables that the documentation links to exist and contain the measured versions."""
    text = (waiting._HERE / "results" / f"{name}.md").read_text(encoding="utf-8")
    assert "Python 3." in text
    assert "apache-airflow 3." in text
