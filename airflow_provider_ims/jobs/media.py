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
RENDERED_NOTHING = frozenset({"none", "null", "nan"})
"""What a template makes of a value that is not there, in lower case."""
_QUERY = re.compile(r"\?[^/?]*=")
_NOT_A_PORT = re.compile(r":(?!\d+$).*")
_LONGEST_SCHEME = 16

_VOD = "vod://"
_FORMS = (
    "Use oss://bucket/object, https://bucket.oss-<region>.aliyuncs.com/object or a media asset id "
    "(letters, digits, - and _)."
)
_OBJECT_FORMS = "Use oss://bucket/object or https://bucket.oss-<region>.aliyuncs.com/object."
_SOURCE_FORMS = "Use oss://bucket/object, https://bucket.oss-<region>.aliyuncs.com/object or vod://<media id>."
_FOLDER_FORMS = "Use oss://bucket/folder/ or https://bucket.oss-<region>.aliyuncs.com/folder/."


def media_object(media: Media, *, region: str, name: str) -> dict[str, str]:
    """Return the ``{"Type", "Media"}`` object of a media reference; the type of a string is inferred.

    :param media: see :data:`Media`
    :param region: region of the call
    :param name: the argument's name, for messages
    :raises ImsConfigurationError: if it is neither an object in OSS of the region nor a possible media asset id
    """
    if isinstance(media, Mapping):
        return _typed_media(media, region, name)
    check_text(media, name)
    if "/" in media or ":" in media:
        _check_oss_url(media, region, name)
        return {"Type": "OSS", "Media": media}
    _check_media_id(media, name)
    return {"Type": "Media", "Media": media}


def check_source(url: object, region: str, name: str) -> None:
    """Refuse what cannot be the URL of an object in OSS that is there, or of media in the vendor's product VOD.

    :param url: the value
    :param region: region of the call
    :param name: the argument's name, for messages
    :raises ImsConfigurationError: if it is not such a URL
    """
    if isinstance(url, str) and url.startswith(_VOD):
        if not _MEDIA_ID.fullmatch(url.removeprefix(_VOD)):
            raise _refused(name, url, "which has no media id after vod://", _SOURCE_FORMS)
        return
    try:
        check_text(url, name)
        _check_oss_url(str(url), region, name)
    except ImsConfigurationError as error:
        problem = error.problem.replace(_FORMS, _SOURCE_FORMS)
    else:
        return
    raise ImsConfigurationError(problem)


def check_object(url: object, region: str, name: str) -> None:
    """Refuse what cannot be the URL of an object in OSS that a job writes.

    :param url: the value
    :param region: region of the call
    :param name: the argument's name, for messages
    :raises ImsConfigurationError: if it is not such a URL
    """
    _check_output(url, region, name, _OBJECT_FORMS)


def check_folder(url: object, region: str, name: str) -> None:
    """Refuse what cannot be the URL of a folder in OSS that a job writes to.

    :param url: the value
    :param region: region of the call
    :param name: the argument's name, for messages
    :raises ImsConfigurationError: if it is not such a URL
    """
    if isinstance(url, str) and url.strip() and not url.endswith("/"):
        raise _refused(name, url, "which does not end with a slash", f"IMS writes to a folder. {_FOLDER_FORMS}")
    _check_output(url, region, name, _FOLDER_FORMS)


def _check_output(url: object, region: str, name: str, forms: str) -> None:
    try:
        check_text(url, name)
        _check_oss_url(str(url), region, name, is_folder=forms == _FOLDER_FORMS)
    except ImsConfigurationError as error:
        problem = error.problem.replace(_FORMS, forms).replace("reads one file", "writes one file")
    else:
        return
    raise ImsConfigurationError(problem)


def media_text(value: object) -> str:
    """Return what a job works on for logs and messages: the URL or id of the media, shortened, without secrets.

    :param value: a parameter of a submission; for media, the object that :func:`media_object` returns, or its JSON
    """
    text = str(value)
    with contextlib.suppress(ValueError, RecursionError):
        match value if isinstance(value, Mapping) else json.loads(text):
            case {"Media": str(media)}:
                text = media
    scheme, separator, rest = text.partition("://")
    if separator:
        # Other families may take signed URLs: the query and what stands before the host may hold a key.
        host, slash, path = _QUERY.split(rest)[0].partition("/")
        text = f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


def oss_location(media: object) -> tuple[str, str] | None:
    """Return bucket and object of a media reference, None if it names no object in OSS.

    :param media: see :data:`Media`; of a folder, its URL
    """
    url = media.get("Media") if isinstance(media, Mapping) else media
    if not isinstance(url, str):
        return None
    scheme, _, rest = url.partition("://")
    host, _, key = rest.partition("/")
    if scheme in {"http", "https"}:
        match = _OSS_HOST.fullmatch(host)
        host, key = (match["bucket"], unquote(key)) if match else ("", "")
    key = key.rstrip("/")
    return (host, key) if scheme in {"oss", "http", "https"} and host and key else None


def _refused(name: str, value: object, fault: str, remedy: str = _FORMS) -> ImsConfigurationError:
    """Return the error: which argument, its value without secrets, what is wrong with it, and what to do."""
    return ImsConfigurationError(f"{name} is {_without_secrets(str(value))!r}, {fault}. {remedy}")


def _without_secrets(text: str) -> str:
    """Return a text that may be anything, for messages: what may be a key, a signature or a password is left out."""
    scheme, separator, rest = text.partition("://") if "://" in text[:_LONGEST_SCHEME] else ("", "", text)
    host, slash, path = rest.partition("/")
    if ":" in host and "@" in rest:
        # A password may have a slash in it.
        host, slash, path = rest.rpartition("@")[2].partition("/")
    host = _NOT_A_PORT.sub("", host.rpartition("@")[2])
    if scheme == "oss":
        # A question mark or a number sign may be part of the key of an object.
        path = _QUERY.split(path)[0]
    else:
        host, path = (re.split(r"[?#]", part)[0] for part in (host, path))
    if scheme not in {"oss", "http", "https"}:
        path = path.rpartition("@")[2]
    shown = f"{scheme}{separator}{host}{slash}{path}"
    return shown if len(shown) <= _LONGEST_TEXT else f"{shown[:_LONGEST_TEXT]}..."


def _typed_media(media: Mapping[str, Any], region: str, name: str) -> dict[str, str]:
    if media.keys() != {"Type", "Media"}:
        raise ImsConfigurationError(f"{name} has the keys {sorted(map(str, media))}. Give exactly 'Type' and 'Media'.")
    value = media["Media"]
    check_text(value, f"Media of {name}")
    match media["Type"]:
        case "OSS":
            _check_oss_url(value, region, name)
        case "Media":
            _check_media_id(value, name)
        case other:
            raise ImsConfigurationError(f"Type of {name} is {other!r}. Use 'OSS' or 'Media'.")
    return {"Type": media["Type"], "Media": value}


def check_text(value: object, name: str) -> None:
    """Refuse a value that is no text, or that a template has made of nothing.

    :param value: the value
    :param name: the argument's name, for messages
    :raises ImsConfigurationError: if it is empty, or has characters that no URL, id or message has
    """
    if _is_list(value):
        raise ImsConfigurationError(
            f"{name} is a list, and a job reads one file. Run one task for each: "
            f"{name.removeprefix('Media of ')} does not go into partial(...), but into .expand(...) after it."
        )
    if not isinstance(value, str):
        raise ImsConfigurationError(f"{name} is a {type(value).__name__}. {_FORMS}")
    if not value.strip():
        raise ImsConfigurationError(f"{name} is empty. {_FORMS}")
    if value.strip().lower() in RENDERED_NOTHING:
        raise ImsConfigurationError(
            f"{name} is {value!r}: the template found nothing. Look at the XCom or variable that it reads. {_FORMS}"
        )
    if any(unicodedata.category(one) in _CONTROL and one not in _JOINERS for one in value):
        raise _refused(name, value, "which has control or format characters", f"Remove them. {_FORMS}")
    if value != value.strip():
        raise _refused(name, value, "which has spaces at its ends", f"Remove them. {_FORMS}")


def _is_list(value: object) -> bool:
    # A template makes a text of the list that it reads, unless the DAG renders native objects.
    return isinstance(value, list | tuple | set) or (
        isinstance(value, str) and value.startswith(("[", "(")) and value.endswith(("]", ")"))
    )


def _check_media_id(media: str, name: str) -> None:
    if not _MEDIA_ID.fullmatch(media):
        raise _refused(name, media, "which is neither a URL nor a media asset id")


def _check_oss_url(media: str, region: str, name: str, *, is_folder: bool = False) -> None:
    scheme, separator, rest = media.partition("://")
    if not separator or scheme not in {"oss", "http", "https"}:
        raise _refused(name, media, "which is not a URL that IMS reads")
    if scheme == "oss":
        bucket, _, key = rest.partition("/")
        _check_is_plain(media, name, _extras_of_oss_url(bucket, key))
    else:
        bucket, key = _https_bucket_and_key(media, region, name)
    if not _BUCKET.fullmatch(bucket):
        raise _refused(
            name,
            media,
            f"which has {bucket[:80]!r} where the bucket belongs",
            f"Bucket names have 3 to 63 lower-case letters, digits and hyphens, and no host. {_FORMS}",
        )
    if key.startswith(("/", "\\")):
        raise _refused(
            name,
            media,
            f"which names an object that begins with a slash in the bucket {bucket!r}",
            f"OSS does not allow that: remove one slash. {_FORMS}",
        )
    size = len(unquote(key).encode() if scheme != "oss" else key.encode())
    if size > _MAX_KEY_BYTES:
        raise _refused(
            name,
            media,
            f"which names an object with {size:,} bytes in UTF-8",
            f"OSS allows at most {_MAX_KEY_BYTES:,}. {_FORMS}",
        )
    if not is_folder and (not key or key.endswith("/")):
        raise _refused(
            name,
            media,
            f"which names no object in the bucket {bucket!r}",
            f"IMS reads one file, not a folder. {_FORMS}",
        )


def _check_is_plain(media: str, name: str, extras: list[str]) -> None:
    if extras:
        raise _refused(
            name,
            media,
            f"which has {' and '.join(extras)}",
            f"IMS takes no signed URLs and no credentials. {_FORMS}",
        )


def _extras_of_oss_url(bucket: str, key: str) -> list[str]:
    extras = {
        "credentials (not shown)": "@" in bucket or (":" in bucket and "@" in key),
        "a port": ":" in bucket.rpartition("@")[2] and "@" not in key,
        "a query string (not shown)": _QUERY.search(key) is not None,
    }
    return [what for what, is_there in extras.items() if is_there]


def _https_bucket_and_key(media: str, region: str, name: str) -> tuple[str, str]:
    try:
        url = urlsplit(media)
        _check_is_plain(media, name, _extras_of_https_url(url, media))
    except ValueError:
        raise _refused(name, media, "which is not a valid URL") from None
    host = url.hostname or ""
    match = _OSS_HOST.fullmatch(host)
    if match is None:
        raise _refused(name, media, f"which is on {host[:80]!r}: that is not a bucket of OSS")
    if match["region"].endswith("-internal"):
        raise _refused(
            name,
            media,
            f"which is on the internal host {host!r}",
            f"Use the public name of the bucket, or oss://. {_FORMS}",
        )
    if match["region"].startswith("accelerate"):
        raise _refused(
            name,
            media,
            f"which is on {host!r}: that is the acceleration host of OSS, which belongs to no region",
            f"Use the host of the bucket's region, or oss://. {_FORMS}",
        )
    if match["region"] != region:
        raise _refused(
            name,
            media,
            f"which is in {match['region']} and the job would run in {region}",
            f"Both must be in the same region: set region={match['region']!r}, or use a copy of the media in {region}.",
        )
    return match["bucket"], url.path.removeprefix("/")


def _extras_of_https_url(url: SplitResult, media: str) -> list[str]:
    extras = {
        "credentials (not shown)": url.username is not None or url.password is not None,
        "a port": ":" in url.netloc.rpartition("@")[2].rpartition("]")[2],
        "a query string (not shown)": "?" in media,
        "a fragment (not shown)": "#" in media,
        "spaces": " " in media,
    }
    return [what for what, is_there in extras.items() if is_there]
