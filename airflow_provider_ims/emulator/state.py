"""The state of one emulator: what the HTTP server and the control API share. No HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_ims.emulator.faults import Faults
from airflow_provider_ims.emulator.journal import Journal
from airflow_provider_ims.emulator.signature import Credentials, Verifier

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.service import Service


class EmulatorState:
    """The service, the faults, the log of requests and the nonces of one emulated region.

    :param credentials: the only identity whose calls are accepted.
    :param service: media, jobs, clock and settings.
    """

    def __init__(self, credentials: Credentials, service: Service) -> None:
        self.service = service
        self.faults = Faults()
        self.journal = Journal()
        self.verifier = Verifier(credentials)

    def reset(self) -> None:
        """Return to the state after the start."""
        self.service.reset()
        self.faults.clear()
        self.journal.clear()
        self.verifier.forget_nonces()
