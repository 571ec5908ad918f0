"""Media objects: the videos that jobs read, and the forms of their names."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from urllib.parse import unquote

from airflow_provider_ims.emulator.errors import InvalidInputError

_OSS_URL = re.compile(r"oss://(?P<bucket>[a-z0-9][a-z0-9-]{1,61}[a-z0-9])/(?P<object>.+)", re.DOTALL)
_HTTP_URL = re.compile(
    r"https?://(?P<bucket>[a-z0-9][a-z0-9-]{1,61}[a-z0-9])\.oss-(?P<region>[a-z0-9-]+)\.aliyuncs\.com/(?P<object>[^?#]+)"
)
_MEDIA_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class MediaObject:
    """A video that jobs can read.

    :param media: canonical name, see :func:`canonical_media`.
    :param duration: seconds.
    :param watermark: text of the embedded watermark, None for an unmarked video.
    :param algo_type: algorithm that the watermark was embedded with.
    :param processing_time: seconds that jobs on this object take; None uses the setting.
    :param trailing_newline: end the extracted text with a newline, as in an example of the sister product MPS.
    :param variant: how queries for watermark jobs on this object respond, see ``families.copyright``.
    """

    media: str
    duration: float = 600.0
    watermark: str | None = None
    algo_type: str = "v1"
    processing_time: float | None = None
    trailing_newline: bool = False
    variant: str = "silent"

    @property
    def minutes(self) -> int:
        """Minutes to pay for: a started minute counts as a full one."""
        return math.ceil(self.duration / 60)


def canonical_media(media: str, region: str) -> str:
    """Return the one name of a media object: ``oss://bucket/object``, or an unchanged media id.

    :param media: an OSS URL in one of its two forms, or a media id.
    :param region: the region that the object must be in.
    :raises InvalidInputError: for any other form, and for an object in another region.
    """
    if _OSS_URL.fullmatch(media) or _MEDIA_ID.fullmatch(media):
        return media
    match = _HTTP_URL.fullmatch(media)
    if match is None:
        # The message does not repeat the text, because it may be a signed URL.
        raise InvalidInputError(
            "Media must be oss://bucket/object, http(s)://bucket.oss-<region>.aliyuncs.com/object or a media id"
        )
    if match["region"] != region:
        raise InvalidInputError(f"Media is in region {match['region']}, this service is in {region}")
    return f"oss://{match['bucket']}/{unquote(match['object'])}"


def is_media_id(media: str) -> bool:
    """Return whether a canonical name is a media id, not an OSS object."""
    return _MEDIA_ID.fullmatch(media) is not None
