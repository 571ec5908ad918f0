"""The state of one emulator: what the HTTP server and the control API share. No HTTP."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_provider_ims.emulator.faults import Faults
from airflow_provider_ims.emulator.identity import IdentityState
from airflow_provider_ims.emulator.journal import Journal
from airflow_provider_ims.emulator.keys import Expiry
from airflow_provider_ims.emulator.signature import Verifier

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.keys import Credentials
    from airflow_provider_ims.emulator.service import Service


class EmulatorState:
    """The service, the identities, the faults, the log of requests and the nonces of one emulated region.

    :param credentials: the fixed access key after the start.
    :param service: media, jobs, clock and settings.
    """

    def __init__(self, credentials: Credentials, service: Service) -> None:
        self.service = service
        self.identity = IdentityState(credentials)
        self.faults = Faults()
        self.journal = Journal()
        self.verifier = Verifier(self.identity.keys)

    def reset(self) -> None:
        """Return to the state after the start."""
        self.service.reset()
        self.identity.reset()
        self.faults.clear()
        self.journal.clear()
        self.verifier.forget_nonces()

    def now(self) -> float:
        """Return the time of the server for dates and expiries, in seconds since the epoch: real time and its skew."""
        return time.time() + self.service.settings.clock_skew

    def expiry(self, lifetime: float) -> Expiry:
        """Return the end of a new temporary key.

        :param lifetime: seconds that it is valid if no setting says otherwise.
        """
        settings = self.service.settings
        actual = lifetime if settings.token_lifetime is None else settings.token_lifetime
        stated = actual if settings.stated_lifetime is None else settings.stated_lifetime
        now = self.now()
        return Expiry(now + actual, now + stated)
