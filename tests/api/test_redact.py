"""Secrets in any encoding are taken out of a text, and nothing else is."""

from __future__ import annotations

import math
import os
import string
import tempfile
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from airflow_provider_ims.api.redact import MARK, Redactor, log_text, redact_texts
from airflow_provider_ims.connection.access_key import AccessKey
from tests.api.encodings import ENCODINGS, base64_of, encode

# It would write to the current directory.
set_hypothesis_home_dir(tempfile.mkdtemp(prefix="hypothesis-"))

SECRET = "Zq8+mVwK2nB7/xR4tY9pL1sD6fG3=hJ5c"
TOKEN = "CAISrgJ1q6Ft5B2yfSjIr5bMB9TarrBwx7+GZVkDZjjU4OM9/riqfM0zz2IH9JdXVv=="
REDACTOR = Redactor(AccessKey("LTAI5tExample", SECRET, TOKEN))


CONTEXTS = [("", ""), ("«", "»"), ("we got <", ">, go on"), ("token=", "&x=1"), ("Token", "!"), ('{"a":"', '"}')]


def left_over(secret: str, names: list[str], redacted: str, context: str) -> list[str]:
    """Return the parts of an encoded secret, as long as four of its characters, that are still in a text."""
    encoded = encode(secret, names, padding=False)  # it says nothing of the secret
    length = max(4, math.ceil(4 * len(encoded) / len(secret)))
    parts = {encoded[i : i + length] for i in range(len(encoded) - length + 1)}
    return [part for part in parts if part in redacted and part not in f"{context} {MARK}"]


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("secret", [SECRET, TOKEN, SECRET[:8], TOKEN[:20]], ids=["secret", "token", "8", "20"])
def test_secret_is_redacted_in_each_encoding(secret: str, name: str) -> None:
    """A secret, or the beginning of one, is replaced and the text around it stays."""
    encoded = encode(secret, [name])
    for before, after in CONTEXTS[:3]:
        redacted = REDACTOR.redact(f"{before}{encoded}{after}")
        assert left_over(secret, [name], redacted, before + after) == []
        assert redacted.startswith(before)
        assert redacted.endswith(after)
        assert MARK in redacted


@pytest.mark.parametrize("inner", ENCODINGS)
def test_secret_is_redacted_in_each_encoding_of_each_encoding(inner: str) -> None:
    """Two encodings, one after the other, hide a secret no better than one."""
    for outer in ENCODINGS:
        redacted = REDACTOR.redact(f"«{encode(SECRET, [inner, outer])}»")
        assert left_over(SECRET, [inner, outer], redacted, "") == [], outer
        assert redacted.startswith("«")
        assert redacted.endswith("»")


@pytest.mark.parametrize("name", ENCODINGS)
def test_secret_with_any_characters_is_redacted(name: str) -> None:
    """A secret may have characters beyond ASCII, and what looks like an escape."""
    for secret in ("夜é夜é夜é夜é", "%41&lt;\\n+/=\"'%2541\\\\x"):
        redacted = Redactor(AccessKey("id", secret)).redact(f"«{encode(secret, [name])}»")
        assert left_over(secret, [name], redacted, "") == []


KEY = string.ascii_letters + string.digits + "+/="
ANY = KEY + '+/=%&"\\<' * 4 + "é夜👍"


@settings(max_examples=int(os.environ.get("IMS_TEST_EXAMPLES", "500")), deadline=None, database=None)
@given(
    # The beginning of a secret counts by its characters, and those of an escape count as one.
    text=st.one_of(
        st.text(ANY, min_size=12, max_size=80).map(lambda text: text.lstrip("\\") + "0" * 9),
        st.text(KEY, min_size=8, max_size=80),
    ),
    # A backslash at either end of a secret stays, which says nothing.
    tail=st.text(KEY, min_size=1, max_size=30),
    names=st.lists(st.sampled_from(sorted(ENCODINGS)), min_size=1, max_size=2),
    context=st.sampled_from(CONTEXTS),
)
def test_secret_is_redacted_in_any_encoding_of_an_encoding(
    text: str, tail: str, names: list[str], context: tuple[str, str]
) -> None:
    """Whatever the secret, no part of it is left, in any encoding and any encoding of one, whole or cut off."""
    redactor = Redactor(AccessKey("id", text + tail, "0" * 20))
    secret = text if set(text) <= set(KEY) else text + tail
    before, after = context
    redacted = redactor.redact(f"{before}{encode(secret, names)}{after}")
    assert left_over(secret, names, redacted, before + after) == []


TEXTS = [
    '(c) 2024 Studio 夜 100% = 50%25 &amp; a+b\\n/\\u003d "x"',
    "7d3f0a9be1c24586a0f1b2c3d4e5f607",
    "5AF7B8C3-2D1E-5E0A-9C4B-7D6E5F4A3B2C",
    "aGVsbG8gd29ybGQsIHRoaXMgaXMgYSB3YXRlcm1hcms=",
    "68656c6c6f20776f726c642c2074686973",
    SECRET[:7],
    SECRET[1:],
    "",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_without_a_secret_stays(text: str) -> None:
    """A text that has no secret in it is not changed, whatever it looks like."""
    assert REDACTOR.redact(text) == text


@settings(max_examples=200, deadline=None, database=None)
@given(st.text())
def test_any_text_without_a_secret_stays(text: str) -> None:
    """No text is changed, and none is an error, if no secret is in it."""
    assert REDACTOR.redact(text) == text


def test_all_secrets_of_a_text_are_redacted() -> None:
    """Each secret is replaced, as often as it occurs, and the text between them stays."""
    text = f"a {SECRET} b {quote(TOKEN, safe='')} c {SECRET}{SECRET} d 夜{TOKEN}夜"
    assert REDACTOR.redact(text) == "a *** b *** c *** d 夜***夜"


def test_secret_is_redacted_where_a_block_begins_with_something_else() -> None:
    """A secret in the middle of base64 or of hexadecimal digits is replaced, and what is around it stays."""
    blocks = (base64_of(f"user:someone:{SECRET}:and what follows"), f"someone:{SECRET}:and what follows".encode().hex())
    for block in blocks:
        redacted = REDACTOR.redact(block)
        assert left_over(SECRET, ["none"], redacted, "") == []
        assert redacted.startswith(block[:14])
        assert redacted.endswith(block[-14:])


@pytest.mark.parametrize("name", [name for name in ENCODINGS if name.startswith(("base64", "hexadecimal"))])
@pytest.mark.parametrize("before", ["T", "To", "Tok", "Toke"])
def test_secret_is_redacted_in_a_block_that_follows_letters(before: str, name: str) -> None:
    """Nothing has to separate base64 or hexadecimal digits from what is before them."""
    redacted = REDACTOR.redact(f"{before}{encode(SECRET, [name])}!")
    assert left_over(SECRET, [name], redacted, before) == []


def test_short_secret_is_redacted() -> None:
    """A secret that is shorter than eight characters is replaced as a whole."""
    assert Redactor(AccessKey("id", "secret")).redact("a secret%20secre") == "a ***%20secre"


@pytest.mark.parametrize("name", ["none", "percent", "base64", "hexadecimal"])
def test_signature_of_the_request_is_redacted(name: str) -> None:
    """The signature of the request is a secret too, for the response to it."""
    signature = "0f1e2d3c4b5a6978" * 4
    redacted = REDACTOR.with_signature(signature).redact(f"<{encode(signature, [name])}> <{encode(SECRET, [name])}>")
    assert left_over(signature, [name], redacted, "") == []
    assert left_over(SECRET, [name], redacted, "") == []
    assert REDACTOR.redact(signature) == signature


def test_json_is_redacted_with_its_names() -> None:
    """All texts of a JSON value are redacted, names and numbers included; other values stay."""
    redactor = Redactor(AccessKey("id", "1234567890123456"))
    value = {"a": ["1234567890123456", 1234567890123456, 5, 0.5, True, None], "x1234567890123456": {}}
    assert redact_texts(value, redactor.redact) == {"a": ["***", "***", 5, 0.5, True, None], "x***": {}}


SIGNED = [
    ("https://b.oss.aliyuncs.com/a?Expires=1&OSSAccessKeyId={}&Signature={}", "https://b.oss.aliyuncs.com/a?Expires=1"),
    ("http://cdn.example.com/a.mp4?auth_key={}", "http://cdn.example.com/a.mp4?auth_key="),
    ('{{"Signature":"{}","x":1}}', '{"Signature":"***","x":1}'),
    (r"{{\"Signature\" : \"{}\"}}", r"{\"Signature\" : \"***\"}"),
    ("signature: {}, so", "signature: ***, so"),
    ("x-acs-signature:{} so", "x-acs-signature:*** so"),
    (
        "Authorization: ACS3-HMAC-SHA256 Credential=LTAI,SignedHeaders=host;x-acs-date,Signature={}",
        "Authorization: ***",
    ),
    ("authorization=Bearer {}", "authorization=***"),
    ("x-acs-security-token: {}", "x-acs-security-token: ***"),
    ("SecurityToken%3D{}%26a", "SecurityToken%3D***%26a"),
    ("Signature&#61;{}&amp;x", "Signature&#61;***&amp;x"),
    ("AccessKeySecret={}", "AccessKeySecret=***"),
    ("server CanonicalRequest:[POST\n/\nhost:{}\n]", "server CanonicalRequest:***"),
    ('"StringToSign": "ACS3\n{}"', '"StringToSign": "***"'),
]


@pytest.mark.parametrize(("text", "shown"), SIGNED)
@pytest.mark.parametrize("value", ["0a" * 32, "x/Y+z0%3D", "x%252fY="])
def test_signature_is_not_logged(value: str, text: str, shown: str) -> None:
    """A log shows no signature of whatever request or URL, and no value whose name says that it is secret."""
    logged = log_text(text.replace("{}", value).replace("{{", "{").replace("}}", "}"))
    assert value not in logged
    assert shown in logged


@pytest.mark.parametrize(
    "text",
    [
        "SignatureDoesNotMatch: Specified signature is not matched with our calculation.",
        "InvalidAccessKeyId.NotFound",
        "The Authorization header must name ACS3-HMAC-SHA256, Credential, SignedHeaders and Signature.",
        "StatusCode 403: no permission",
    ],
)
def test_message_about_a_signature_stays(text: str) -> None:
    """A message that only mentions a signature or a key is logged as it is."""
    assert log_text(text) == text


def test_logged_text_is_one_short_line() -> None:
    """A text for a log has no line breaks and at most 400 characters."""
    assert log_text(" a\n b\t") == "a b"
    assert log_text("x" * 401) == "x" * 400 + "..."


@pytest.mark.parametrize(
    "part",
    [
        *("a", " ", "%", "%25", "\\", "\\\n", "&", "&#1", "&amp;", "6", "\\u003d", "夜", "\u200b"),
        *(SECRET, TOKEN[:8], base64_of(SECRET), base64_of(base64_of(base64_of("secret text"))), quote(quote("=" * 9))),
        *("Signature=ab ", "signature" + " " * 9, "authorization: x", 'canonicalrequest="', "string to sign"),
    ],
)
def test_time_grows_with_the_length_of_the_text(part: str) -> None:
    """No text of 200,000 characters takes longer than a few seconds, whatever it consists of."""
    text = (part * 200_000)[:200_000]
    started = time.process_time()
    log_text(REDACTOR.redact(text))
    assert time.process_time() - started < 5
