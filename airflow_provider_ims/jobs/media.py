"""Media references: OSS URLs and media asset ids, checked before anything is billed."""

from __future__ import annotations

import contextlib
import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from airflow_provider_ims.exceptions import ImsConfigurationError

Media = str | Mapping[str, Any]
"""An ``oss://`` or ``https://`` URL, a media asset id, or ``{"Type": "OSS" | "Media", "Media": ...}``."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_OSS_HOST = re.compile(r"(?P<bucket>[^.]+)\.oss-(?P<region>[a-z0-9-]+)\.aliyuncs\.com")
# No dot and no slash: a file name or path taken for an id would become a job that is billed and finds nothing.
_MEDIA_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

_CONTROL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories: control and format characters, lone surrogates, line and paragraph separators."""
_JOINERS = frozenset("\u200c\u200d")
"""Format characters that words and emoji need."""
_MAX_KEY_BYTES = 1023
_LONGEST_TEXT = 200
"""Characters of a media reference in a message."""
_RENDERED_NOTHING = frozenset({"none", "null", "nan"})
_QUERY = re.compile(r"\?[^/?]*=")

_FORMS = (
    "Use oss://bucket/object, https://bucket.oss-<region>.aliyuncs.com/object or a media asset id "
    "(letters, digits, - and _)."
)


def media_object(media: Media, *, region: str, name: str) -> dict[str, str]:
    """Return the ``{"Type", "Media"}`` object of a media reference; the type of a string is inferred.

    :param media: see :data:`Media`
    :param region: region of the call
    :param name: the argument's name, for messages
    :raises ImsConfigurationError: if it is neither an object in OSS of the region nor a possible media asset id
    """
    if isinstance(media, Mapping):
        return _typed_media(media, region, name)
    _check_text(media, name)
    if "/" in media or ":" in media:
        _check_oss_url(media, region, name)
        return {"Type": "OSS", "Media": media}
    _check_media_id(media, name)
    return {"Type": "Media", "Media": media}


def media_text(value: object) -> str:
    """Return what a job works on for logs and messages: the URL or id of the media, shortened, without secrets.

    :param value: a parameter of a submission; for media, the text of the object that :func:`media_object` returns
    """
    text = str(value)
    with contextlib.suppress(ValueError, RecursionError):
        match json.loads(text):
            case {"Media": str(media)}:
                text = media
    scheme, separator, rest = text.partition("://")
    if separator:
        # Other families may take signed URLs: the query and what stands before the host may hold a key.
        host, slash, path = _QUERY.split(rest)[0].partition("/")
        text = f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


def _typed_media(media: Mapping[str, Any], region: str, name: str) -> dict[str, str]:
    if media.keys() != {"Type", "Media"}:
        raise ImsConfigurationError(f"{name} has the keys {sorted(map(str, media))}. Give exactly 'Type' and 'Media'.")
    value = media["Media"]
    _check_text(value, f"Media of {name}")
    match media["Type"]:
        case "OSS":
            _check_oss_url(value, region, name)
        case "Media":
            _check_media_id(value, name)
        case other:
            raise ImsConfigurationError(f"Type of {name} is {other!r}. Use 'OSS' or 'Media'.")
    return {"Type": media["Type"], "Media": value}


def _check_text(value: object, name: str) -> None:
    if not isinstance(value, str):
        raise ImsConfigurationError(f"{name} is a {type(value).__name__}. {_FORMS}")
    if not value.strip():
        raise ImsConfigurationError(f"{name} is empty. {_FORMS}")
    if value.strip().lower() in _RENDERED_NOTHING:
        raise ImsConfigurationError(
            f"{name} is {value!r}: the template found nothing. Look at the XCom or variable that it reads. {_FORMS}"
        )
    if any(unicodedata.category(one) in _CONTROL and one not in _JOINERS for one in value) or value != value.strip():
        raise ImsConfigurationError(
            f"{name} has control or format characters, or spaces at its ends. Remove them. {_FORMS}"
        )


def _check_media_id(media: str, name: str) -> None:
    if not _MEDIA_ID.fullmatch(media):
        raise ImsConfigurationError(f"{name} {media[:200]!r} is neither a URL nor a media asset id. {_FORMS}")


def _check_oss_url(media: str, region: str, name: str) -> None:
    scheme, separator, rest = media.partition("://")
    if not separator or scheme not in {"oss", "http", "https"}:
        # Only the scheme is repeated: what follows may be a signed URL.
        raise ImsConfigurationError(f"{name} starts with {media[:8]!r}, which is not a URL that IMS reads. {_FORMS}")
    if scheme == "oss":
        bucket, _, key = rest.partition("/")
        if "@" in bucket or ":" in bucket or _QUERY.search(key):
            # The value is not repeated: it may hold a key or a signature.
            raise ImsConfigurationError(
                f"{name} is an oss:// URL with credentials, a port or a query string. IMS takes no signed URLs: give "
                f"oss://bucket/object."
            )
    else:
        bucket, key = _https_bucket_and_key(media, region, name)
    if not _BUCKET.fullmatch(bucket):
        raise ImsConfigurationError(
            f"{name} has {bucket[:80]!r} where the bucket belongs. Bucket names have 3 to 63 lower-case letters, "
            f"digits and hyphens, and no host. {_FORMS}"
        )
    if key.startswith(("/", "\\")):
        raise ImsConfigurationError(
            f"{name} names an object that begins with a slash in the bucket {bucket!r}, which OSS does not allow. "
            f"Remove one slash. {_FORMS}"
        )
    size = len(unquote(key).encode() if scheme != "oss" else key.encode())
    if size > _MAX_KEY_BYTES:
        raise ImsConfigurationError(
            f"{name} names an object with {size:,} bytes in UTF-8. OSS allows at most {_MAX_KEY_BYTES:,}. {_FORMS}"
        )
    if not key or key.endswith("/"):
        raise ImsConfigurationError(
            f"{name} names no object in the bucket {bucket!r}. IMS reads one file, not a folder. {_FORMS}"
        )


def _https_bucket_and_key(media: str, region: str, name: str) -> tuple[str, str]:
    try:
        url = urlsplit(media)
        plain = _is_plain(url, media)
    except ValueError:
        plain = False
    if not plain:
        raise ImsConfigurationError(
            f"{name} is a URL with credentials, a port, a query, a fragment or spaces. IMS takes no signed URLs. "
            f"{_FORMS}"
        )
    host = url.hostname or ""
    match = _OSS_HOST.fullmatch(host)
    if match is None:
        raise ImsConfigurationError(f"{name} is on {host!r}, which is not a bucket of OSS. {_FORMS}")
    if match["region"].endswith("-internal"):
        raise ImsConfigurationError(
            f"{name} is on the internal host {host!r}. Use the public name of the bucket, or oss://. {_FORMS}"
        )
    if match["region"] != region:
        raise ImsConfigurationError(
            f"{name} is in {match['region']} and the job would run in {region}. Both must be in the same region: "
            f"set region={match['region']!r}, or use a copy of the media in {region}."
        )
    return match["bucket"], url.path.removeprefix("/")


def _is_plain(url: SplitResult, media: str) -> bool:
    extras = (url.username, url.password, url.port)
    return all(part is None for part in extras) and not {"?", "#", " "} & set(media)
