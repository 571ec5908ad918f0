"""Faults: what goes wrong on the wire at the n-th call of an action."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class FaultKind(StrEnum):
    """What happens to the call."""

    THROTTLE = "throttle"
    SERVICE_UNAVAILABLE = "service_unavailable"
    INTERNAL_ERROR = "internal_error"
    INTERNAL_ERROR_AFTER = "internal_error_after"
    HTML_502 = "html_502"
    SLOW = "slow"
    HANG = "hang"
    CUT_BEFORE = "cut_before"
    CUT_AFTER = "cut_after"
    OUTAGE = "outage"
    ANSWER = "answer"


@dataclass(slots=True)
class Fault:
    """A fault that waits for its calls.

    :param nth: the first call that it hits, counted from when it was posted, beginning with 1.
    :param times: how many calls in a row it hits.
    :param options: those of :data:`OPTIONS` for the kind, complete.
    :param calls: how many calls of the action there were.
    :param applied: how many of them it hit.
    """

    action: str
    kind: FaultKind
    nth: int = 1
    times: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    calls: int = 0
    applied: int = 0

    @property
    def spent(self) -> bool:
        """Return whether it can hit no further call."""
        return self.calls >= self.nth + self.times - 1


class Faults:
    """All faults that were posted since the start or the last reset, spent ones included."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)

    def post(self, faults: list[Fault]) -> None:
        """Add faults."""
        self._faults.extend(faults)

    def clear(self) -> None:
        """Forget all faults."""
        self._faults.clear()

    def draw(self, action: str) -> Fault | None:
        """Count a call and return the fault that hits it; the one posted first wins."""
        chosen: Fault | None = None
        for fault in self._faults:
            if fault.action != action:
                continue
            due = not fault.spent and fault.calls + 1 >= fault.nth
            fault.calls += 1
            if due and chosen is None:
                fault.applied += 1
                chosen = fault
        return chosen
