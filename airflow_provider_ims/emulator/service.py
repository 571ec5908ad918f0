"""What stands behind the API: media objects, jobs, their clock and the bill. State and rules, no HTTP."""

from __future__ import annotations

import math
import re
import time
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from urllib.parse import unquote

from airflow_provider_ims.emulator.errors import InvalidInputError

CURRENCY = "CNY"
PRICE_PER_MINUTE = Decimal("1.00")

#: Seconds. A v1 mark needs a video of three minutes or more to be embedded; we assume the same for finding it.
MIN_DURATION = {"v1": 180.0, "v2": 0.0}
ALGO_TYPES = tuple(MIN_DURATION)

_OSS_URL = re.compile(r"oss://(?P<bucket>[a-z0-9][a-z0-9-]{1,61}[a-z0-9])/(?P<object>.+)", re.DOTALL)
_HTTP_URL = re.compile(
    r"https?://(?P<bucket>[a-z0-9][a-z0-9-]{1,61}[a-z0-9])\.oss-(?P<region>[a-z0-9-]+)\.aliyuncs\.com/(?P<object>[^?#]+)"
)
_MEDIA_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Variant(StrEnum):
    """How the query answers for jobs on a media object.

    Only ``SILENT`` is documented. The others are what an undocumented answer could look like, so that a client can
    prove that it copes.
    """

    SILENT = "silent"
    STATE_FIELD = "state_field"
    EMPTY_SUCCESS = "empty_success"
    STATUS_CODE = "status_code"
    CANCELLED = "cancelled"
    UNKNOWN_WORD = "unknown_word"


class UnknownJob(StrEnum):
    """How the query answers for a JobId that was never given out."""

    ERROR = "error"
    SILENT = "silent"


class ClientToken(StrEnum):
    """What a ``ClientToken`` does with a submission.

    The watermark actions take none and ignore it. In other families a token that was seen before makes no second job,
    so that a client can prove that it sends the same one again.
    """

    IGNORED = "ignored"
    HONOURED = "honoured"


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be changed while the emulator runs.

    :param processing_time: seconds of emulator time until a new job is done.
    :param unknown_job: see :class:`UnknownJob`.
    :param client_token: see :class:`ClientToken`.
    """

    processing_time: float = 5.0
    unknown_job: UnknownJob = UnknownJob.ERROR
    client_token: ClientToken = ClientToken.IGNORED


@dataclass(frozen=True, slots=True)
class MediaObject:
    """A video that jobs can read.

    :param media: canonical name, see :func:`canonical_media`.
    :param duration: seconds.
    :param watermark: text of the embedded watermark, None for an unmarked video.
    :param algo_type: algorithm that the watermark was embedded with.
    :param processing_time: seconds that jobs on this object take; None means as the settings say.
    :param trailing_newline: return the text with a newline at its end, as a sample of the sister product MPS has it.
    :param variant: see :class:`Variant`.
    """

    media: str
    duration: float = 600.0
    watermark: str | None = None
    algo_type: str = "v1"
    processing_time: float | None = None
    trailing_newline: bool = False
    variant: Variant = Variant.SILENT

    def text_for(self, algo_type: str) -> str | None:
        """Return what extraction with ``algo_type`` finds, None for nothing."""
        if self.watermark is None or algo_type != self.algo_type or self.duration < MIN_DURATION[algo_type]:
            return None
        return f"{self.watermark}\n" if self.trailing_newline else self.watermark


@dataclass(slots=True)
class Job:
    """One extraction job.

    :param source: the media object as it was when the job was created, None if there was none.
    :param created_at: seconds since the epoch on the emulator's clock.
    :param done_at: the same; the job is done from then on.
    :param client_token: the token of its submission.
    :param queries: how often the job was asked for.
    """

    job_id: str
    media: str
    source: MediaObject | None
    algo_type: str
    user_data: str | None
    created_at: float
    done_at: float
    client_token: str | None = None
    queries: int = 0

    def is_done(self, now: float) -> bool:
        """Return whether the job has ended, with or without a text."""
        return now >= self.done_at

    def text(self, now: float) -> str | None:
        """Return the text that the job has found by ``now``, None for none (yet)."""
        if self.source is None or not self.is_done(now):
            return None
        return self.source.text_for(self.algo_type)

    @property
    def variant(self) -> Variant:
        """How queries for the job are answered."""
        return Variant.SILENT if self.source is None else self.source.variant

    @property
    def minutes(self) -> int:
        """Minutes to pay for: each begun minute counts; an object that does not exist has none."""
        return 0 if self.source is None else math.ceil(self.source.duration / 60)


class Clock:
    """The real time plus whatever it was advanced by, in seconds since the epoch."""

    def __init__(self) -> None:
        # Monotonic underneath, so that an adjustment of the machine's clock ends no job.
        self._origin = time.time() - time.monotonic()
        self.advanced = 0.0

    def now(self) -> float:
        """Return the emulator's time."""
        return self._origin + time.monotonic() + self.advanced


def canonical_media(media: str, region: str) -> str:
    """Return the one name of a media object: ``oss://bucket/object``, or a media id as it is.

    :param media: an OSS URL in one of its two forms, or a media id.
    :param region: the region that the object must be in.
    :raises InvalidInputError: for any other form, and for an object in another region.
    """
    if _OSS_URL.fullmatch(media) or _MEDIA_ID.fullmatch(media):
        return media
    match = _HTTP_URL.fullmatch(media)
    if match is None:
        # The text itself stays out of the message: it may be a signed URL.
        raise InvalidInputError(
            "Media must be oss://bucket/object, http(s)://bucket.oss-<region>.aliyuncs.com/object or a media id"
        )
    if match["region"] != region:
        raise InvalidInputError(f"Media is in region {match['region']}, this service is in {region}")
    return f"oss://{match['bucket']}/{unquote(match['object'])}"


def is_media_id(media: str) -> bool:
    """Return whether a canonical name is a media id rather than an OSS object."""
    return _MEDIA_ID.fullmatch(media) is not None


@dataclass(slots=True)
class Service:
    """The state of one emulated region.

    :param region: the region it plays.
    :param start_settings: what :meth:`reset` returns to.
    """

    region: str = "cn-shanghai"
    start_settings: Settings = field(default_factory=Settings)
    settings: Settings = field(init=False)
    clock: Clock = field(init=False)
    media: dict[str, MediaObject] = field(init=False)
    jobs: dict[str, Job] = field(init=False)

    def __post_init__(self) -> None:
        """Start empty."""
        self.reset()

    def reset(self) -> None:
        """Forget media and jobs, and return clock and settings to their start."""
        self.settings = self.start_settings
        self.clock = Clock()
        self.media = {}
        self.jobs = {}

    def create_job(self, media: str, algo_type: str, user_data: str | None, client_token: str | None = None) -> Job:
        """Create a job, which also puts it on the bill; or return that of the same token, where tokens are honoured.

        :param media: canonical name. An object that does not exist is accepted; its job never finds anything.
        """
        if client_token is not None and self.settings.client_token is ClientToken.HONOURED:
            for job in self.jobs.values():
                if job.client_token == client_token:
                    return job
        source = self.media.get(media)
        seconds = self.settings.processing_time
        if source is not None and source.processing_time is not None:
            seconds = source.processing_time
        now = self.clock.now()
        job = Job(
            job_id=uuid.uuid4().hex,
            media=media,
            source=source,
            algo_type=algo_type,
            user_data=user_data,
            created_at=now,
            done_at=now + seconds,
            client_token=client_token,
        )
        self.jobs[job.job_id] = job
        return job
