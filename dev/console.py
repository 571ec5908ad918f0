"""What the scripts here share: talking to whoever started them, and leaving tidily when told to stop."""

from __future__ import annotations

import signal

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):  # noqa: N818 - no error: somebody asked us to stop
    """A signal came: leave through the context managers, so that all that was started is stopped."""


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def stop_on_signals() -> None:
    """Let Ctrl-C, SIGTERM and a closed terminal stop what was started."""
    for number in _STOPPING:
        signal.signal(number, _interrupt)


def _interrupt(_signal: int, _frame: object) -> None:
    # Whoever presses Ctrl-C twice does not disturb the stopping.
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    raise Interrupted
