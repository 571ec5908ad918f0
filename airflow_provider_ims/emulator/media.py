"""Media objects: the videos that jobs read, and the forms of their names."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
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
    :param watermark: text of the embedded copyright watermark, None for an unmarked video.
    :param algo_type: algorithm that the watermark was embedded with.
    :param trace: text of the embedded trace watermark, None for a video without one.
    :param m3u8_type: type of a playlist with a trace watermark, None for any other object.
    :param trace_streams: whether it is the pair of streams that playlists with trace watermarks are made from.
    :param survives_transcoding: whether jobs that make another video of it keep its watermarks.
    :param processing_time: seconds that jobs on this object take; None uses the setting.
    :param trailing_newline: end the extracted text with a newline, as in an example of the sister product MPS.
    :param variant: how queries for extraction jobs on this object respond, see ``families.extraction``.
    """

    media: str
    duration: float = 600.0
    watermark: str | None = None
    algo_type: str = "v1"
    trace: str | None = None
    m3u8_type: str | None = None
    trace_streams: bool = False
    survives_transcoding: bool = True
    processing_time: float | None = None
    trailing_newline: bool = False
    variant: str = "silent"

    @property
    def minutes(self) -> int:
        """Minutes to pay for: a started minute counts as a full one."""
        return math.ceil(self.duration / 60)

    def transcoded(self, media: str) -> MediaObject:
        """Return the video that a job makes of this one: with its watermarks, if they survive that.

        :param media: canonical name of the new video.
        """
        copy = replace(self, media=media, m3u8_type=None, trace_streams=False)
        return copy if self.survives_transcoding else replace(copy, watermark=None, trace=None)


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
