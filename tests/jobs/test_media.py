"""How the arguments of an operator become the parameters of an action."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.exceptions import ImsConfigurationError
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.media import media_text, oss_location
from airflow_provider_ims.jobs.parameters import submission_parameters

if TYPE_CHECKING:
    from airflow_provider_ims.jobs.media import Media


def extract_parameters(*, region: str, **given: Any) -> dict[str, str]:
    """Return the parameters of a copyright extraction."""
    return submission_parameters(COPYRIGHT_EXTRACT, given, region=region)


REGION = "cn-shanghai"
HTTPS = "https://rights-evidence.oss-cn-shanghai.aliyuncs.com/suspects/clip%201.mp4"


@pytest.mark.parametrize(
    ("media", "kind"),
    [
        ("oss://rights-evidence/suspects/clip-1.mp4", "OSS"),
        ("oss://rights-evidence/Verdächtig 1?#.mp4", "OSS"),
        ("oss://rights-evidence/夜\u3000明\u200d.mp4", "OSS"),
        (HTTPS, "OSS"),
        (HTTPS.replace("https", "http"), "OSS"),
        ("e0a3b1f0bd3f71efb1a5c6e6d5496301", "Media"),
        ("icepublic-e0a3_b1", "Media"),
    ],
)
def test_type_of_the_media_is_inferred(media: str, kind: str) -> None:
    """A URL is an OSS object and any other text a media asset; both are sent as given."""
    expected = {"Type": kind, "Media": media}
    for form in (media, expected):
        parameters = extract_parameters(region=REGION, input_media=form)
        assert set(parameters) == {"Input"}
        assert json.loads(parameters["Input"]) == expected


def test_arguments_become_params_and_user_data() -> None:
    """algo_type and job_params become Params; user_data is sent as text or JSON."""
    media: Media = "oss://rights-evidence/clip.mp4"
    parameters = extract_parameters(
        region=REGION, input_media=media, algo_type="v2", user_data={"run": "夜"}, job_params={"x": [1, None]}
    )
    assert json.loads(parameters["Params"]) == {"x": [1, None], "algoType": "v2"}
    assert parameters["UserData"] == '{"run":"夜"}'


def test_algo_type_may_be_repeated_in_job_params() -> None:
    """algo_type and job_params may both name the algorithm if it is the same."""
    parameters = extract_parameters(region=REGION, input_media="abc", algo_type="v1", job_params={"algoType": "v1"})
    assert json.loads(parameters["Params"]) == {"algoType": "v1"}


def test_user_data_may_have_1024_bytes() -> None:
    """user_data may have exactly 1024 bytes in UTF-8."""
    text = "夜" * 341 + "x"
    assert extract_parameters(region=REGION, input_media="abc", user_data=text)["UserData"] == text


OSS_HTTPS = "https://my-bucket.oss-cn-shanghai.aliyuncs.com"
FAULTS: list[tuple[object, str]] = [
    ("oss://AKID:canary@my-bucket/o.mp4", "'oss://my-bucket/o.mp4', which has credentials (not shown)."),
    ("oss://AKID:can/ary@my-bucket/o.mp4", "'oss://my-bucket/o.mp4', which has credentials (not shown)."),
    ("oss://my-bucket:443/o.mp4", "'oss://my-bucket:443/o.mp4', which has a port."),
    ("oss://my-bucket/o.mp4?Signature=canary", "'oss://my-bucket/o.mp4', which has a query string (not shown)."),
    (f"{OSS_HTTPS}/o.mp4?Signature=canary", f"'{OSS_HTTPS}/o.mp4', which has a query string (not shown)."),
    (f"{OSS_HTTPS}/o.mp4#canary", f"'{OSS_HTTPS}/o.mp4', which has a fragment (not shown)."),
    (f"{OSS_HTTPS}:443/o.mp4", f"'{OSS_HTTPS}:443/o.mp4', which has a port."),
    (f"{OSS_HTTPS}/a b.mp4", f"'{OSS_HTTPS}/a b.mp4', which has spaces."),
    (
        f"{OSS_HTTPS.replace('//', '//AKID:canary@')}/o.mp4?Signature=canary",
        f"'{OSS_HTTPS}/o.mp4', which has credentials (not shown) and a query string (not shown).",
    ),
    ("https://AKID:canary/o.mp4", "'https://AKID/o.mp4', which has a port."),
    ("AKID:canary@my-bucket/o.mp4?Signature=canary", "'my-bucket/o.mp4', which is not a URL that IMS reads."),
    ("ftp://host/x/https://AKID:canary@host/o.mp4", "'ftp://host/host/o.mp4', which is not a URL that IMS reads."),
    ("clip.mp4?Signature=canary", "'clip.mp4', which is neither a URL nor a media asset id."),
    ("oss://my-bucket/" + "x" * 300 + "/", f"'oss://my-bucket/{'x' * 184}...', which names no object"),
]


@pytest.mark.parametrize(("media", "message"), FAULTS)
def test_error_says_which_medium_and_which_fault(media: Any, message: str) -> None:
    """The error has the argument, its value without secrets, which fault it is, and what to do."""
    with pytest.raises(ImsConfigurationError) as caught:
        extract_parameters(region=REGION, input_media=media)
    assert str(caught.value).startswith(f"input_media is {message}")
    assert "canary" not in str(caught.value)
    assert "oss://bucket/object" in str(caught.value)


LISTS: list[Any] = [
    ["oss://bucket/1.mp4", "oss://bucket/2.mp4"],
    ("oss://bucket/1.mp4",),
    "['oss://bucket/1.mp4', 'oss://bucket/2.mp4']",
    '["oss://bucket/1.mp4"]',
    {"Type": "OSS", "Media": ["oss://bucket/1.mp4"]},
]


@pytest.mark.parametrize("media", LISTS, ids=str)
def test_error_about_a_list_says_expand(media: Any) -> None:
    """A list, or the text that a template makes of it, is an error that says how to run a task for each item."""
    with pytest.raises(ImsConfigurationError, match=r"input_media is a list, .* into \.expand\(\.\.\.\)"):
        extract_parameters(region=REGION, input_media=media)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('{"Type":"OSS","Media":"oss://bucket/a b.mp4"}', "oss://bucket/a b.mp4"),
        ('{"Type":"Media","Media":"e0a3b1f0"}', "e0a3b1f0"),
        ({"Type": "OSS", "Media": "https://host/a.mp4?Signature=canary"}, "https://host/a.mp4"),
        ("oss://bucket/what?.mp4", "oss://bucket/what?.mp4"),
        ("https://host/a.mp4?Expires=1&Signature=canary", "https://host/a.mp4"),
        ("https://user:canary@host/a.mp4", "https://host/a.mp4"),
        ("oss://user:canary@bucket/a.mp4?Signature=canary", "oss://bucket/a.mp4"),
        ('{"Media": 7}', '{"Media": 7}'),
        ("[" * 5000, "[" * 200 + "..."),
        (7, "7"),
    ],
)
def test_text_of_a_subject_is_short_and_has_no_secret(value: object, text: str) -> None:
    """Messages name the media itself: not the JSON around it, no signature, no password, 200 characters at most."""
    assert media_text(value) == text


@pytest.mark.parametrize(
    ("media", "location"),
    [
        ("oss://rights-evidence/film.mp4", ("rights-evidence", "film.mp4")),
        ({"Type": "OSS", "Media": "oss://rights-evidence/film.mp4"}, ("rights-evidence", "film.mp4")),
        (HTTPS, ("rights-evidence", "suspects/clip 1.mp4")),
        ("oss://studio-streams/film/", ("studio-streams", "film")),
        ("0123abcd", None),
        ({"Type": "Media", "Media": "0123abcd"}, None),
        ("https://example.com/film.mp4", None),
        ("oss://bucket", None),
        (None, None),
        (5, None),
    ],
)
def test_location_of_media_in_oss(media: object, location: tuple[str, str] | None) -> None:
    """Bucket and object of a reference are the same for all its forms; what is not in OSS has none."""
    assert oss_location(media) == location
