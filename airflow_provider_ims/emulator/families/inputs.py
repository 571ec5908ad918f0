"""What the parameters of a submission name: the media that a job reads, and the media that it creates."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.emulator.errors import ApiError, InvalidInputError
from airflow_provider_ims.emulator.families.family import JobFamily, JobPlan, JobState, Outcome, Submission
from airflow_provider_ims.emulator.media import MediaObject, canonical_media, is_media_id
from airflow_provider_ims.emulator.parameters import invalid_parameter, json_object, json_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_OBJECT_TYPES = ("OSS", "Media")

NOT_FOUND = Outcome(
    JobState.FAILED, error_code="InvalidParameter.ResourceNotFound", error_message="The input media does not exist."
)
TOO_SHORT = Outcome(
    JobState.FAILED, error_code="InvalidParameter.DurationTooShort", error_message="The input video is too short."
)


@dataclass(frozen=True, slots=True)
class Source:
    """The media that a job reads.

    :param media: canonical name; None for no media, or for the URL of another site.
    :param found: the media object; None if it does not exist.
    """

    media: str | None = None
    found: MediaObject | None = None

    @property
    def is_missing(self) -> bool:
        """Whether it names a media object that does not exist."""
        return self.media is not None and self.found is None


def new_id() -> str:
    """Return the id of a new job, media asset or task."""
    return uuid.uuid4().hex


def read_source(family: JobFamily, submission: Submission) -> Source:
    """Return the media object that the family's ``media_parameter`` names.

    :raises ApiError: if the parameter is not valid.
    """
    place = family.media_parameter
    if place is None:
        return Source()
    name, *keys = place.replace("[0]", ".[0]").split(".")
    text = submission.parameters.get(name)
    if text is None:
        return Source()
    takes_object = "OSS" in family.media_types
    value = json_value(text, name) if keys else json_object(text, name) if takes_object else text
    for key in keys:
        value = _step(value, key)
    if value is None and name in family.required_parameters:
        raise ApiError(400, "MissingParameter", f"{place} is mandatory for this action.")
    media = read_media(value, place, submission.region, family.media_types)
    return Source(media, None if media is None else submission.media_objects.get(media))


def read_media(value: object, name: str, region: str, types: Sequence[str] = _OBJECT_TYPES) -> str | None:
    """Return the canonical name of a media reference: an object with ``Type`` and ``Media``, or the latter alone.

    :param name: name of the parameter, for errors.
    :param types: the values that ``Type`` can have. With types other than OSS and Media, URLs of other sites are
        accepted.
    :return: None for a URL of another site, and for a reference that is missing.
    :raises ApiError: if the reference is not valid.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        return _canonical(value, name, region, types)
    for key in ("Type", "Media"):
        if not value.get(key):
            raise ApiError(400, "MissingParameter", f"{name}.{key} is mandatory for this action.")
    media_type = value["Type"]
    if media_type not in types:
        raise invalid_parameter(name, f"Type must be one of {', '.join(types)}")
    canonical = _canonical(value["Media"], name, region, types)
    if canonical is not None and media_type in _OBJECT_TYPES and (media_type == "Media") is not is_media_id(canonical):
        raise invalid_parameter(name, "Type OSS goes with the URL of an OSS object, Type Media with a media id")
    return canonical


def read_output(value: object, name: str, region: str, types: Sequence[str] = ("OSS",)) -> str:
    """Return the canonical name of the object that a job will create.

    :raises ApiError: if the reference is not valid.
    """
    media = read_media(value, name, region, types)
    if media is None:
        raise ApiError(400, "MissingParameter", f"{name}.Media is mandatory for this action.")
    return media


def is_foreign_url(reference: str) -> bool:
    """Return whether a text is the URL of a file outside of OSS."""
    return reference.lower().startswith(("http://", "https://")) and ".aliyuncs.com/" not in reference


def params_choice(submission: Submission, key: str, choices: Sequence[str]) -> str:
    """Return a value of the JSON parameter ``Params``. The first choice is the default.

    :raises ApiError: for any other value.
    """
    choice = json_object(submission.parameters.get("Params") or "{}", "Params").get(key, choices[0])
    if choice not in choices:
        raise invalid_parameter("Params", f"{key} must be one of {', '.join(choices)}")
    return str(choice)


def plan_by_input(family: JobFamily, submission: Submission) -> JobPlan:
    """Plan a job that ends as its family says, and fails if its media object does not exist."""
    source = read_source(family, submission)
    return JobPlan(family, NOT_FOUND if source.is_missing else family.outcome, source.media, source.found)


def derived(source: MediaObject | None, media: str) -> MediaObject:
    """Return the video that a job creates: of its source if it has one, else an unmarked one."""
    return MediaObject(media) if source is None else source.transcoded(media)


def asset_of(video: MediaObject, media_id: str) -> MediaObject:
    """Return the media asset of a video."""
    return replace(video, media=media_id)


def config_media(submission: Submission, name: str, keys: Sequence[str]) -> str | None:
    """Return the OSS object that a JSON parameter names with one of some keys; None if it does not.

    :raises ApiError: if the parameter is not a JSON object, or the value is no OSS object.
    """
    text = submission.parameters.get(name)
    config: Mapping[str, Any] = {} if text is None else json_object(text, name)
    value = next((config[key] for key in keys if config.get(key)), None)
    return read_media(value, name, submission.region)


def _step(value: object, key: str) -> object:
    if key == "[0]":
        return value[0] if isinstance(value, list) and value else None
    return value.get(key) if isinstance(value, dict) else None


def _canonical(reference: object, name: str, region: str, types: Sequence[str]) -> str | None:
    if not isinstance(reference, str):
        raise invalid_parameter(name, "Media must be a string")
    takes_urls = any(kind not in _OBJECT_TYPES for kind in types)
    if takes_urls and reference.startswith("OSS://"):  # so in the vendor's examples for the families that take URLs
        reference = f"oss{reference[3:]}"
    try:
        return canonical_media(reference, region)
    except InvalidInputError as error:
        if takes_urls and is_foreign_url(reference):
            return None
        raise invalid_parameter(name, str(error)) from None
