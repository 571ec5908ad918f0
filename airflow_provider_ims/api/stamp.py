"""What makes each request another one: the time at which it is signed, and a nonce."""

from __future__ import annotations

import secrets
import time
from typing import NamedTuple

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
"""How Alibaba Cloud writes times, in UTC."""


class Stamp(NamedTuple):
    """Time and nonce of one request.

    :param at: the time in seconds since the epoch
    :param date: the same as a request has it
    :param nonce: a text that no other request has
    """

    at: float
    date: str
    nonce: str


def new_stamp() -> Stamp:
    """Return the time of now, and a new nonce."""
    now = time.time()
    # Not gmtime() alone: tests simulate a day, and replace time.time().
    return Stamp(now, time.strftime(TIME_FORMAT, time.gmtime(now)), secrets.token_hex(16))
