"""Faults: errors and broken connections at the n-th call of an action."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class FaultKind(StrEnum):
    """What happens to a call that a fault hits."""

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
    """A fault for some calls of an action.

    :param nth: the first call that it hits. The first call after the fault was added is 1.
    :param times: number of calls in a row that it hits.
    :param options: all options of the kind, defaults included.
    :param calls: number of calls of the action since the fault was added.
    :param applied: number of calls that it has hit.
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
        """Whether it cannot hit a further call."""
        return self.calls >= self.nth + self.times - 1


class Faults:
    """All faults since the start or the last reset, spent ones included."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)

    def post(self, faults: list[Fault]) -> None:
        """Add faults."""
        self._faults.extend(faults)

    def clear(self) -> None:
        """Delete all faults."""
        self._faults.clear()

    def draw(self, action: str) -> Fault | None:
        """Count a call and return the fault that hits it. Of several faults, the one that was added first hits."""
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
