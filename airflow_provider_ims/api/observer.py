"""What the sender of a submission reports about it, at the moment it happens."""

from __future__ import annotations

from typing import Any, Protocol


class SubmissionObserver(Protocol):
    """Is called on the thread that sends a submission. Exactly one ``on_`` method follows ``before_send``."""

    def before_send(self) -> None:
        """Hear that the connection is open and the request leaves next. An exception keeps it from being sent."""

    def on_rejected(self) -> None:
        """Hear that no job was created: the service rejected the request, or it was not sent after all."""

    def on_accepted(self, response: dict[str, Any]) -> None:
        """Hear that the service reported a success, which should have a JobId in it."""

    def on_unknown(self, request_id: str | None) -> None:
        """Hear that it is unknown whether a job exists; the service's id of the request may be known."""
