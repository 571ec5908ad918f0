"""Output and signal handling of the scripts in this directory."""

from __future__ import annotations

import signal

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):  # noqa: N818 - an interrupt is not an error
    """The process has received a stop signal: the context managers stop everything that was started."""


def echo(text: str) -> None:
    """Print a line and flush the output."""
    print(text, flush=True)


def stop_on_signals() -> None:
    """Raise :class:`Interrupted` on Ctrl-C, on SIGTERM and when the terminal is closed."""
    for number in _STOP_SIGNALS:
        signal.signal(number, _interrupt)


def _interrupt(_signal: int, _frame: object) -> None:
    # A second Ctrl-C must not interrupt the cleanup.
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise Interrupted
