"""What a plan costs, before anything is spent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CURRENCY = "CNY"
_CENT = Decimal("0.01")
_SECONDS_PER_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Price:
    """The price of an action.

    :param amount: in CNY
    :param unit: what it is for: a minute of video, or nothing if the action is no billable item
    :param source: the vendor's page
    """

    amount: Decimal
    unit: str
    source: str


_PAGE = "https://help.aliyun.com/en/ims/digital-watermarking"
_NOT_LISTED = Price(Decimal(0), "not a billable item", _PAGE)

PRICES = {
    "SubmitCopyrightExtractJob": Price(Decimal("1.00"), "minute", _PAGE),
    "SubmitCopyrightJob": Price(Decimal("1.00"), "minute", _PAGE),
    "QueryCopyrightExtractJob": _NOT_LISTED,
    "QueryCopyrightJobList": _NOT_LISTED,
}
"""The prices of all actions of the kit, for the Chinese mainland, in CNY. An action without one is not called."""


class UnknownPriceError(ValueError):
    """The price of an action is not known."""


@dataclass(frozen=True, slots=True)
class Item:
    """One submission of a plan.

    :param case: the case that submits
    :param action: the submit action
    :param seconds: duration of its video; 0 if there is none
    """

    case: str
    action: str
    seconds: Decimal

    @property
    def minutes(self) -> int:
        """The duration in minutes, rounded up: the vendor does not say how a started minute counts."""
        return math.ceil(self.seconds / _SECONDS_PER_MINUTE)

    @property
    def at_most(self) -> Decimal:
        """The price of the started minutes, in CNY."""
        return price_of(self.action).amount * self.minutes

    @property
    def by_the_second(self) -> Decimal:
        """The price by the vendor's formula, total duration in minutes times the price; in CNY, not rounded."""
        return price_of(self.action).amount * self.seconds / _SECONDS_PER_MINUTE


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the submissions of a plan cost.

    :param items: the submissions
    """

    items: tuple[Item, ...]

    @property
    def at_most(self) -> Decimal:
        """The price if each job counts in started minutes, in CNY: the budget must cover it."""
        return sum((item.at_most for item in self.items), Decimal(0)).quantize(_CENT)

    @property
    def by_the_second(self) -> Decimal:
        """The price if the seconds of all jobs are added up, in CNY."""
        return sum((item.by_the_second for item in self.items), Decimal(0)).quantize(_CENT, ROUND_UP)


def price_of(action: str) -> Price:
    """Return the price of an action.

    :param action: the API operation
    :raises UnknownPriceError: if it is not in the table
    """
    if action not in PRICES:
        raise UnknownPriceError(f"The price of {action} is not known, so it is not called.")
    return PRICES[action]


def estimate(items: Sequence[Item], reads: Sequence[str]) -> Estimate:
    """Return what a plan costs.

    :param items: its submissions
    :param reads: the other actions that it calls
    :raises UnknownPriceError: if the price of one is not known
    """
    for action in (*(item.action for item in items), *reads):
        price_of(action)
    return Estimate(tuple(items))
