"""A secrets backend of Airflow whose connection changes while processes run, as one that rotates keys does."""

from __future__ import annotations

from typing import ClassVar

from airflow.secrets import BaseSecretsBackend


class RotatingBackend(BaseSecretsBackend):
    """Returns the connection that was put last. One process: Airflow makes an instance of its own."""

    connections: ClassVar[dict[str, str]] = {}
    """The connections as JSON, by their ids."""
    look_ups: ClassVar[list[str]] = []
    """The ids that were looked up."""

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:
        """Return a connection as JSON; None if there is none of this id."""
        self.look_ups.append(conn_id)
        return self.connections.get(conn_id)
