from __future__ import annotations

import re
import urllib.request
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess

HOSTILE = '<script>alert("&")</script>'


class Page(HTMLParser):
    """The tags and the visible text of the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag and its addresses."""
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        """Record text."""
        self.text += data + " "


def load(emulator: EmulatorProcess) -> tuple[Any, str]:
    """Return headers and HTML of the page."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{emulator.endpoint}/_emulator", timeout=10) as response:
        return response.headers, response.read().decode()


def test_the_page_shows_the_state(call: Any) -> None:
    """The page shows jobs, media, the bill, faults and the latest requests."""
    call.emulator.put_media("oss://bucket/film.mp4", duration=120, watermark="my mark")
    job_id = call.submitted("oss://bucket/film.mp4", UserData="my data")
    call.emulator.fault("QueryCopyrightJobList", "throttle")

    text = Page(load(call.emulator)[1]).text
    for shown in (job_id, "my mark", "my data", "2.00 CNY", "throttle", "SubmitCopyrightExtractJob", "cn-shanghai"):
        assert shown in text


def test_the_page_can_be_empty(ims_emulator: EmulatorProcess) -> None:
    """Without any state, each section of the page says "None."."""
    assert Page(load(ims_emulator)[1]).text.count("None.") == 4


def test_the_page_escapes_what_it_shows(call: Any) -> None:
    """Markup in names and texts is shown as text."""
    call.emulator.put_media("oss://bucket/" + HOSTILE, watermark=HOSTILE, processing_time=0)
    call.submit("oss://bucket/" + HOSTILE, UserData=HOSTILE)
    call.emulator.fault(HOSTILE, "answer", body=HOSTILE)
    call("QueryCopyrightJobList", {"JobId": HOSTILE, HOSTILE.replace('"', ""): ""})

    page = Page(load(call.emulator)[1])
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 5


def test_the_page_has_no_external_assets(call: Any) -> None:
    """The page has no external assets, and its policy forbids them."""
    headers, html = load(call.emulator)

    assert headers["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert Page(html).addresses == []
    assert not re.search(r"url\(|@import", html)


def test_the_page_shows_no_secret(ims_emulator: EmulatorProcess) -> None:
    """The access key secret is not on the page."""
    assert ims_emulator.access_key_secret not in load(ims_emulator)[1]


def test_the_page_shortens_long_texts(call: Any) -> None:
    """A text of more than 2,000 characters is cut, with its length."""
    call("QueryCopyrightJobList", body="a=" + "x" * 900_000)

    html = load(call.emulator)[1]
    assert len(html) < 10_000
    assert "x ... (900,009 characters)" in html
