"""The state of one emulated region: media objects, jobs, the bill's prices, clock and settings. No HTTP."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from airflow_provider_ims.emulator.families.catalog import FAMILIES
from airflow_provider_ims.emulator.families.family import (
    CANCELLED,
    RUNNING,
    JobFamily,
    JobPlan,
    JobState,
    Outcome,
    PricePer,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal
    from typing import Any

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


@dataclass(frozen=True, slots=True)
class ChosenOutcome:
    """How the next jobs of a family end, instead of as their plan says.

    :param outcome: the state. Fields that it leaves empty are those of the plan, if that ends in the same state.
    """

    outcome: Outcome

    def applied_to(self, plan: JobPlan) -> JobPlan:
        """Return the plan of a job with this outcome."""
        chosen, planned = self.outcome, plan.outcome
        if chosen.state is not planned.state:
            return replace(plan, outcome=chosen)
        merged = replace(
            planned,
            result=planned.result if chosen.result is None else chosen.result,
            parts=planned.parts if chosen.parts is None else chosen.parts,
            error_code=chosen.error_code or planned.error_code,
            error_message=chosen.error_message or planned.error_message,
            word=chosen.word,
        )
        return replace(plan, outcome=merged)


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

    def progress(self, now: float) -> float:
        """Return the part of its time that the job has taken, from 0 to 1."""
        seconds = self.done_at - self.created_at
        return min(max((now - self.created_at) / seconds, 0.0), 1.0) if seconds else 1.0

    def word(self, now: float) -> str | None:
        """Return the family's word for the state of the job."""
        return self.family.word(self.outcome(now), self.progress(now))

    def query_response(self, now: float) -> dict[str, Any]:
        """Return the response to a query for the job, without its RequestId."""
        times = {self.family.created_path: self.created_at, self.family.modified_path: min(now, self.done_at)}
        seconds = {path: int(time) for path, time in times.items() if path is not None}
        return self.family.query_response(
            self.outcome(now),
            job_id=self.job_id,
            progress=self.progress(now),
            fields={**seconds, **self.plan.query_fields},
        )

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
    :param added: the families that were put, by name. Jobs keep the family that they were submitted with.
    :param outcomes: how the next jobs end, by the name of their family.
    :param jobs: all jobs, the oldest first.
    """

    region: str = "cn-shanghai"
    start_settings: Settings = field(default_factory=Settings)
    settings: Settings = field(init=False)
    clock: Clock = field(init=False)
    added: dict[str, JobFamily] = field(init=False)
    outcomes: dict[str, ChosenOutcome] = field(init=False)
    jobs: list[Job] = field(init=False)
    _media: dict[str, MediaObject] = field(init=False)
    _by_id: dict[tuple[str, str], Job] = field(init=False)
    _undelivered: list[Job] = field(init=False)

    def __post_init__(self) -> None:
        """Start without media and jobs."""
        self.reset()

    def reset(self) -> None:
        """Delete media and jobs, and return families, clock and settings to their start."""
        self.settings = self.start_settings
        self.clock = Clock()
        self.added = {}
        self.outcomes = {}
        self.jobs = []
        self._media = {}
        self._by_id = {}
        self._undelivered = []

    @property
    def families(self) -> dict[str, JobFamily]:
        """All families by name: those that were put, and the built-in ones whose submissions they leave free."""
        taken = {family.submit_action for family in self.added.values()}
        return {name: family for name, family in FAMILIES.items() if family.submit_action not in taken} | self.added

    @property
    def media(self) -> dict[str, MediaObject]:
        """The existing media objects by canonical name, with the outputs of the jobs that have succeeded."""
        now = self.clock.now()
        ended = [job for job in self._undelivered if job.is_done(now)]
        self._undelivered = [job for job in self._undelivered if not job.is_done(now)]
        for job in sorted(ended, key=lambda job: job.done_at):
            if job.outcome(now).state is JobState.SUCCEEDED:  # A job that does not succeed creates no media.
                self._media.update({output.media: output for output in job.plan.outputs})
        return self._media

    def expected_media(self) -> frozenset[str]:
        """Return the canonical names of the media objects that running jobs will create."""
        now = self.clock.now()
        running = [job for job in self._undelivered if not job.is_done(now)]
        return frozenset(output.media for job in running for output in job.plan.outputs)

    def find_job(self, families: Iterable[JobFamily], job_id: str) -> Job | None:
        """Return the job of some families with an id, the latest if there are several."""
        return next((job for family in families if (job := self._by_id.get((family.name, job_id)))), None)

    def jobs_of(self, families: Iterable[JobFamily]) -> list[Job]:
        """Return all jobs of some families, the newest first."""
        names = {family.name for family in families}
        return [job for job in reversed(self.jobs) if job.family.name in names]

    def latest_job_on(self, family: JobFamily, media: str) -> str | None:
        """Return the id of the latest job of a family on an existing media object, None for none."""
        jobs = (job for job in self.jobs_of([family]) if job.plan.media == media and job.plan.source is not None)
        return next((job.job_id for job in jobs), None)

    def repeated_jobs(self, family: JobFamily, client_token: str | None) -> list[Job]:
        """Return the jobs of the submission that a request with this ``client_token`` repeats, if it repeats one."""
        honoured = family.client_token or self.settings.client_token is ClientToken.HONOURED
        if client_token is None or not honoured:
            return []
        return [job for job in self.jobs if (job.family.name, job.client_token) == (family.name, client_token)]

    def create_job(self, plan: JobPlan, user_data: str | None, client_token: str | None) -> Job:
        """Create a job and bill it."""
        seconds = self.settings.processing_time
        if plan.source is not None and plan.source.processing_time is not None:
            seconds = plan.source.processing_time
        now = self.clock.now()
        job = Job(
            job_id=plan.job_id or uuid.uuid4().hex,
            plan=plan,
            user_data=user_data,
            created_at=now,
            done_at=now + seconds,
            client_token=client_token,
        )
        if plan.replaces is not None:
            self.media.pop(plan.replaces, None)
            self._by_id.pop((plan.family.name, plan.replaces), None)
        self.media.update({created.media: created for created in plan.created})
        self.jobs.append(job)
        self._by_id[plan.family.name, job.job_id] = job
        if plan.outputs:
            self._undelivered.append(job)
        return job
