"""Texts of a response that nothing can be harmed by."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from airflow_provider_ims.api.clean import clean
from airflow_provider_ims.api.protocol import ApiRequest, decode
from airflow_provider_ims.exceptions import ImsServiceError


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("(c) Studio\n", "(c) Studio\n"),
        ("版权\t水印\r\n", "版权\t水印\r\n"),
        ("family \U0001f468\u200d\U0001f469", "family \U0001f468\u200d\U0001f469"),
        ("half \ud83d", "half \ufffd"),
        (
            "nul \x00 esc \x1b[31m bell \x07 del \x7f c1 \x9b",
            "nul \ufffd esc \ufffd[31m bell \ufffd del \ufffd c1 \ufffd",
        ),
        ("mp4.\u202egnp", "mp4.\ufffdgnp"),
        ("\u2066isolated\u2069 \u200f", "\ufffdisolated\ufffd \ufffd"),
    ],
)
def test_unsafe_characters_are_replaced(text: str, cleaned: str) -> None:
    """Surrogates, control and direction characters are replaced; line breaks, tabs and joiners stay."""
    assert clean(text) == cleaned
    assert clean({text: [text, {"x": text}]}) == {cleaned: [cleaned, {"x": cleaned}]}
    clean(text).encode()


@pytest.mark.parametrize("value", [1, 1.5, True, None, [], {}])
def test_other_values_stay(value: Any) -> None:
    """Numbers, truth values, null and empty containers are not changed."""
    assert clean(value) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_know_become_texts(value: float) -> None:
    """What Python reads from a body may not be written as JSON again."""
    assert json.loads(json.dumps({"x": clean(value)}, allow_nan=False)) == {"x": str(value)}


@pytest.mark.parametrize(
    "body",
    [
        '{"RequestId": "R", "Data": ' + '{"x":' * 200 + "1" + "}" * 201,
        '{"RequestId": "R", "Data": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"RequestId": "R", "Data": ' + "9" * 5000 + "}",
    ],
    ids=["deep", "very deep", "huge number"],
)
def test_absurd_body_is_not_the_services(body: str) -> None:
    """A body that no service sends is a passing failure, not an exception of another kind."""
    with pytest.raises(ImsServiceError, match="which is not the service's JSON object"):
        decode(ApiRequest("QueryX", {}), region="r", status=200, headers={}, body=body.encode(), redact=str)


def test_decoded_response_is_clean() -> None:
    """All that comes from the service passes the cleaning, before anything else looks at it."""
    body = b'{"RequestId": "R", "Data": {"Message": "half \\ud83d", "n": NaN}}'
    content = decode(ApiRequest("QueryX", {}), region="r", status=200, headers={}, body=body, redact=str)
    assert content["Data"] == {"Message": "half \ufffd", "n": "nan"}
