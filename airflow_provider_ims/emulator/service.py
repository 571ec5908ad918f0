"""The state of one emulated region: media objects, jobs, the bill's prices, clock and settings. No HTTP."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from airflow_provider_ims.emulator.families.catalog import FAMILIES
from airflow_provider_ims.emulator.families.family import CANCELLED, RUNNING, JobFamily, JobPlan, Outcome, PricePer

if TYPE_CHECKING:
    from decimal import Decimal

    from airflow_provider_ims.emulator.media import MediaObject

CURRENCY = "CNY"


class UnknownJob(StrEnum):
    """How a query responds to a JobId that does not exist: with an error, or as for a running job."""

    ERROR = "error"
    SILENT = "silent"


class ClientToken(StrEnum):
    """Whether a submission with the ``ClientToken`` of an earlier one makes a second job.

    The watermark actions have no ``ClientToken`` and ignore it. A test can make them honour it, to check that a client
    repeats a submission with the same token. Families that honour tokens by their row are not affected.
    """

    IGNORED = "ignored"
    HONOURED = "honoured"


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be changed while the emulator runs.

    :param processing_time: seconds of emulator time that a new job takes.
    :param unknown_job: see :class:`UnknownJob`.
    :param client_token: see :class:`ClientToken`.
    :param token_lifetime: seconds that new temporary keys are valid, whatever the request says; None for what it says.
    :param stated_lifetime: seconds that responses say that new temporary keys are valid; None for the truth.
    :param clock_skew: seconds that the clock of the server is ahead of real time, for the dates of requests and the
        expiries of keys; negative if it is behind.
    """

    processing_time: float = 5.0
    unknown_job: UnknownJob = UnknownJob.ERROR
    client_token: ClientToken = ClientToken.IGNORED
    token_lifetime: float | None = None
    stated_lifetime: float | None = None
    clock_skew: float = 0.0


@dataclass(slots=True)
class Job:
    """One job.

    :param created_at: seconds since the epoch on the emulator's clock.
    :param done_at: end of the job, on the same clock.
    :param client_token: the token of its submission.
    :param queries: number of queries for the job.
    :param cancelled: whether the cancel action has ended the job.
    """

    job_id: str
    plan: JobPlan
    user_data: str | None
    created_at: float
    done_at: float
    client_token: str | None = None
    queries: int = 0
    cancelled: bool = False

    @property
    def family(self) -> JobFamily:
        """The family whose responses the job's queries return."""
        return self.plan.family

    def is_done(self, now: float) -> bool:
        """Return whether the job has ended, whatever its outcome."""
        return now >= self.done_at

    def outcome(self, now: float) -> Outcome:
        """Return how the job has ended, or that it is running."""
        if self.cancelled:
            return CANCELLED
        return self.plan.outcome if self.is_done(now) else RUNNING

    def cancel(self, now: float) -> None:
        """End a running job."""
        self.cancelled = True
        self.done_at = now

    @property
    def minutes(self) -> int:
        """Minutes of media that the job reads; 0 if its media object does not exist."""
        return 0 if self.plan.source is None else self.plan.source.minutes

    @property
    def price(self) -> Decimal:
        """Price of the job in the bill."""
        return self.family.price * (self.minutes if self.family.price_per is PricePer.MINUTE else 1)


class Clock:
    """The real time plus the seconds that it was advanced by, in seconds since the epoch."""

    def __init__(self) -> None:
        # Based on the monotonic clock, so that an adjustment of the machine's clock ends no job.
        self._origin = time.time() - time.monotonic()
        self.advanced = 0.0

    def now(self) -> float:
        """Return the emulator's time."""
        return self._origin + time.monotonic() + self.advanced


@dataclass(slots=True)
class Service:
    """The state of one emulated region.

    :param region: the emulated region.
    :param start_settings: the settings after the start and after :meth:`reset`.
    :param families: all families by name. Jobs keep the family that they were submitted with.
    """

    region: str = "cn-shanghai"
    start_settings: Settings = field(default_factory=Settings)
    settings: Settings = field(init=False)
    clock: Clock = field(init=False)
    families: dict[str, JobFamily] = field(init=False)
    media: dict[str, MediaObject] = field(init=False)
    jobs: dict[str, Job] = field(init=False)

    def __post_init__(self) -> None:
        """Start without media and jobs."""
        self.reset()

    def reset(self) -> None:
        """Delete media and jobs, and return families, clock and settings to their start."""
        self.settings = self.start_settings
        self.clock = Clock()
        self.families = dict(FAMILIES)
        self.media = {}
        self.jobs = {}

    def create_job(self, plan: JobPlan, user_data: str | None, client_token: str | None) -> Job:
        """Create a job and bill it, or return the existing job of the same family and ``client_token``."""
        honoured = plan.family.client_token or self.settings.client_token is ClientToken.HONOURED
        if client_token is not None and honoured:
            for job in self.jobs.values():
                if (job.family.name, job.client_token) == (plan.family.name, client_token):
                    return job
        seconds = self.settings.processing_time
        if plan.source is not None and plan.source.processing_time is not None:
            seconds = plan.source.processing_time
        now = self.clock.now()
        job = Job(
            job_id=uuid.uuid4().hex,
            plan=plan,
            user_data=user_data,
            created_at=now,
            done_at=now + seconds,
            client_token=client_token,
        )
        self.jobs[job.job_id] = job
        return job
