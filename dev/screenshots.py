"""Take the screenshots of the docs from a real Airflow. The script also tests the UI: it exits with 1 if a check fails.

It needs the Python package ``playwright``, Chromium, and a font with Chinese characters for one of the watermarks.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from playwright.sync_api import Error as BrowserError
from playwright.sync_api import expect, sync_playwright

from airflow_provider_ims.connection.fields import CONN_FIELDS, CONN_NAME, UI_FIELD_BEHAVIOUR
from dev.console import Interrupted, echo, stop_on_signals
from dev.demo import EXAMPLE, VIDEOS
from dev.sandbox import ROOT
from dev.ui import CONNECTION_ID, airflow_with_emulator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import Browser, Locator, Page

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.standalone import StandaloneAirflow

IMAGES = ROOT / "docs" / "images"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--disable-gpu", "--disable-quic", "--disable-sync")
LINK = "https://api.aliyun.com/api/ICE/2020-11-09/QueryCopyrightExtractJob?RegionId=cn-shanghai&params="
MAX_BYTES = 300_000

WIDTH = 1280
HEIGHT = 2000
"""More than the height of each page, so that no element needs scrolling."""
FORM_WIDTH = 630
"""The form shows one group of fields at a time; one image shows both groups side by side."""

MILLISECONDS = 1000
TIMEOUT = 30.0
"""Seconds that the UI may take for each step."""

STS_CONNECTION = "ims_sts"
STANDARD_VALUES: dict[str, Any] = {"login": "id-of-a-temporary-key", "password": "not a secret", "port": 443}
EXTRA_VALUES: dict[str, Any] = {
    "region_id": "cn-shanghai",
    "network": "public",
    "auth_type": "sts",
    "security_token": "not a secret either",
    "connect_timeout": 5,
    "read_timeout": 10,
    "max_requests_per_second": 30,
}
SECRETS = ("password", "element_security_token")

TESTED_CONNECTION = "ims_tested"
REFUSED = "Wrong access key secret: the signature was refused (SignatureDoesNotMatch)."
NO_PORT = "The host or port to test differs from the stored connection."
"""What Airflow 3.3.2 says about each connection without a port: apache/airflow#73298."""


class ScreenshotError(RuntimeError):
    """The UI does not show the expected content."""


class ScreenshotSession:
    """Checks the pages of the UI and takes their screenshots.

    :param browser: a running browser
    :param airflow: the running Airflow
    :param emulator: the emulator that its connection points to
    :param out: directory of the images
    """

    def __init__(self, browser: Browser, airflow: StandaloneAirflow, emulator: EmulatorProcess, out: Path) -> None:
        self._airflow = airflow
        self._emulator = emulator
        self._out = out
        context = browser.new_context(
            viewport={"width": WIDTH, "height": HEIGHT},
            color_scheme="light",
            reduced_motion="reduce",
            locale="en-US",
            timezone_id="UTC",
        )
        context.set_default_timeout(TIMEOUT * MILLISECONDS)
        self.page: Page = context.new_page()

    def log_in(self) -> None:
        """Log in to Airflow with the login form."""
        page = self.page
        page.goto(self._airflow.url)
        page.locator("input[name=username]").fill(self._airflow.username)
        page.locator("input[name=password]").fill(self._airflow.password)
        page.locator("button[type=submit]").click()
        expect(page.get_by_role("link", name="Dags").first).to_be_visible()

    def connection_form(self) -> None:
        """Fill in the form of a new connection, take a screenshot, save the form, and check the saved connection."""
        page = self.page
        page.set_viewport_size({"width": FORM_WIDTH, "height": HEIGHT})
        form = self._new_connection(STS_CONNECTION, STANDARD_VALUES)
        for label in (*UI_FIELD_BEHAVIOUR["relabeling"].values(), "Port"):
            expect(form.get_by_text(label, exact=True)).to_be_visible()
        for name in UI_FIELD_BEHAVIOUR["hidden-fields"]:
            expect(form.locator(f"input[name={name}]")).to_be_hidden()
        standard = self._form_image(form)

        _open_extra_fields(form)
        for name, value in EXTRA_VALUES.items():
            _fill(form, name, value)
        _check_extra_fields(form)
        for name in SECRETS:
            expect(form.locator(f"input[name={name}]")).to_have_attribute("type", "password")
        extra = self._form_image(form)
        self._save("connection-form", self._side_by_side(standard, extra))

        self._submit(form)
        saved = self._airflow.request("GET", f"/connections/{STS_CONNECTION}")
        check(
            json.loads(saved["extra"]),
            {**EXTRA_VALUES, "security_token": "***"},
            "The form has saved other extra fields",
        )
        check(saved["port"], STANDARD_VALUES["port"], "The form has saved another port")
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})

    def tested_connection(self) -> None:
        """Make a connection to the emulator in the form, and read what the button says that tests it."""
        emulator = self._emulator
        values = {
            "login": emulator.access_key_id,
            "password": emulator.access_key_secret,
            "host": emulator.endpoint,
            "port": urlsplit(emulator.endpoint).port,
        }
        form = self._new_connection(TESTED_CONNECTION, values)
        _open_extra_fields(form)
        _fill(form, "region_id", emulator.region)
        self._submit(form)
        connected = f"Connected to {emulator.endpoint} (region {emulator.region})"
        self._test(TESTED_CONNECTION, connected)

        form = self._edit_connection(TESTED_CONNECTION)
        form.locator("input[name=password]").fill("another-secret")
        self._submit(form)
        self._test(TESTED_CONNECTION, REFUSED)

        form = self._edit_connection(TESTED_CONNECTION)
        form.locator("input[name=password]").fill(emulator.access_key_secret)
        form.locator("input[name=port]").fill("")
        self._submit(form)
        check(self._airflow.request("GET", f"/connections/{TESTED_CONNECTION}")["port"], None, "The port is not empty")
        # A later Airflow connects.
        self._test(TESTED_CONNECTION, connected, NO_PORT)

    def emulator_connection(self) -> None:
        """Check the edit form and the button that tests a connection; without a screenshot."""
        form = self._edit_connection(CONNECTION_ID)
        expect(form.locator("input[name=host]")).to_have_value(self._emulator.endpoint)
        _open_extra_fields(form)
        _check_extra_fields(form)
        form.get_by_role("button", name="Close").click()
        expect(form).to_be_hidden()
        self._test(CONNECTION_ID, f"Connected to {self._emulator.endpoint} (region cn-shanghai)")

    def task(self) -> None:
        """Run the example DAG, and take screenshots of the XComs and the link of a task instance."""
        dag_id = EXAMPLE.stem
        echo(f"  running the DAG {dag_id} ...")
        run_id = self._airflow.trigger(dag_id)
        state = self._airflow.wait_for_run(dag_id, run_id)
        check(state, "success", f"The run of {dag_id} has not succeeded")
        jobs = {job["media"]: job["job_id"] for job in self._emulator.jobs()}
        found = [self._airflow.xcom(dag_id, run_id, "submit", "job_id", index) for index in range(len(VIDEOS))]
        check(found, [jobs[media] for media in VIDEOS], "The XComs contain other jobs than the emulator")

        page = self.page
        instance = f"{self._airflow.url}/dags/{dag_id}/runs/{run_id}/tasks/submit/mapped/0"
        page.goto(f"{instance}/xcom")
        for key in ("job_id", "return_value"):
            row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=key, exact=True))
            expect(row).to_contain_text(found[0])
        # The value is shown in an editor, which loads later than the rest of the page.
        page.get_by_role("button", name="Expand all").click()
        expect(page.get_by_text("query_action")).to_be_visible()
        self._save("task-xcom", self._page_image_to(page.get_by_role("table").last, margin=24))

        page.goto(f"{instance}/details")
        link = page.get_by_role("link", name="IMS job", exact=True)
        expect(link).to_be_visible()
        expect(link).to_have_attribute("href", re.compile(f"^{re.escape(LINK)}.*{found[0]}"))
        # The rows below show the host name and similar data.
        last = page.get_by_role("row").filter(has=page.get_by_role("cell", name="Duration", exact=True))
        self._save("task-link", self._page_image_to(last))

    def emulator(self) -> None:
        """Take a screenshot of the page of the emulator."""
        self._emulator.advance(3600)
        page = self.page
        page.goto(f"{self._emulator.endpoint}/_emulator")
        bill = self._emulator.bill()
        expect(page.get_by_text(f"{bill['price']} {bill['currency']}", exact=True)).to_be_visible()
        for job in self._emulator.jobs():
            row = page.get_by_role("row").filter(has_text=job["job_id"])
            expect(row.first).to_contain_text(VIDEOS[job["media"]][1])
        check(len(bill["lines"]), len(VIDEOS), "The bill contains other jobs")
        # Jobs and media, without the request log below.
        self._save("emulator", self._page_image_to(page.get_by_role("table").nth(1), margin=24))

    def _new_connection(self, connection_id: str, values: dict[str, Any]) -> Locator:
        """Open the form of a new connection, fill in its standard fields, and return it."""
        page = self.page
        page.goto(f"{self._airflow.url}/connections")
        page.get_by_role("button", name="Add Connection").click()
        form = page.get_by_role("dialog")
        form.locator("input[name=connection_id]").fill(connection_id)
        connection_type = form.get_by_role("combobox").first
        connection_type.fill(CONN_NAME)
        connection_type.press("Enter")
        for name, value in values.items():
            form.locator(f"input[name={name}]").fill(str(value))
        return form

    def _edit_connection(self, connection_id: str) -> Locator:
        """Open the form of a saved connection, and return it."""
        self._row(connection_id).get_by_role("button", name="Edit Connection").click()
        return self.page.get_by_role("dialog")

    def _submit(self, form: Locator) -> None:
        form.get_by_role("button", name="Save").click()
        expect(form).to_be_hidden()

    def _test(self, connection_id: str, *sentences: str) -> None:
        """Press the button that tests a connection; the response must be one of the sentences, and be shown."""
        row = self._row(connection_id)
        with self.page.expect_response("**/connections/test") as response:
            row.get_by_role("button", name="Test Connection").click()
        body = response.value.json()
        text = str(body.get("message", body.get("detail")))
        check(any(sentence in text for sentence in sentences), True, f"The connection test says {text!r}")  # noqa: FBT003
        # Airflow shows the reason of an HTTP error instead of the text.
        expect(self.page.get_by_text(text if response.value.ok else "Bad Request")).to_be_visible()

    def _row(self, connection_id: str) -> Locator:
        """Open the list of connections, without earlier messages, and return the row of one."""
        self.page.goto(f"{self._airflow.url}/connections")
        return self.page.get_by_role("row").filter(has_text=connection_id)

    def _form_image(self, form: Locator) -> bytes:
        # No field has the focus, and the page behind the form does not show at its corners.
        self.page.evaluate("document.activeElement.blur()")
        image: bytes = form.screenshot(animations="disabled", style="[role=dialog] { border-radius: 0 !important }")
        return image

    def _page_image_to(self, last: Locator, margin: int = 0) -> bytes:
        """Return a screenshot of the page from its top to the bottom of an element."""
        expect(last).to_be_visible()
        box = last.bounding_box()
        if box is None:
            raise ScreenshotError("An element has disappeared before its screenshot.")
        height = box["y"] + box["height"] + margin
        image: bytes = self.page.screenshot(
            animations="disabled", clip={"x": 0, "y": 0, "width": WIDTH, "height": height}
        )
        return image

    def _side_by_side(self, *images: bytes) -> bytes:
        """Return one image with several images side by side; rendered by the browser, so no image library is needed."""
        html = "".join(f'<img src="data:image/png;base64,{base64.b64encode(image).decode()}">' for image in images)
        page = self.page.context.new_page()
        try:
            page.set_viewport_size({"width": 2 * WIDTH, "height": HEIGHT})
            page.set_content(
                "<style>body { margin: 0 } div { display: inline-flex; gap: 16px; align-items: start }"
                "img { border: 1px solid #ddd }</style>"
                f"<div>{html}</div>"
            )
            page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth)")
            image: bytes = page.locator("div").screenshot()
        finally:
            page.close()
        return image

    def _save(self, name: str, image: bytes) -> None:
        if len(image) > MAX_BYTES:
            raise ScreenshotError(f"{name}.png has {len(image)} bytes, more than {MAX_BYTES}.")
        path = self._out / f"{name}.png"
        path.write_bytes(image)
        echo(f"  {path.name}: {len(image) // 1000} kB")


def screenshots(out: Path) -> None:
    """Take all screenshots.

    :param out: directory of the images
    """
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with airflow_with_emulator() as (airflow, emulator), sync_playwright() as playwright:
        echo(f"Airflow is ready after {time.monotonic() - started:.0f} s. Taking the screenshots ...")
        installed = next(filter(None, map(shutil.which, CHROMIUM)), None)
        # No signal handlers: this script stops the browser, also after an interrupt. Without an installed browser,
        # Playwright uses the one that "playwright install" has downloaded.
        browser = playwright.chromium.launch(
            executable_path=installed, args=FLAGS, handle_sigint=False, handle_sigterm=False, handle_sighup=False
        )
        expect.set_options(timeout=TIMEOUT * MILLISECONDS)
        try:
            session = ScreenshotSession(browser, airflow, emulator, out)
            session.log_in()
            session.connection_form()
            session.tested_connection()
            session.emulator_connection()
            session.task()
            session.emulator()
        finally:
            browser.close()
    echo(f"Done in {time.monotonic() - started:.0f} s.")


def check(found: object, expected: object, message: str) -> None:
    """Compare two values.

    :raises ScreenshotError: with ``message``, if they differ
    """
    if found != expected:
        raise ScreenshotError(f"{message}: got {found!r}, expected {expected!r}.")


def _open_extra_fields(form: Locator) -> None:
    form.get_by_role("button", name="Extra Fields", exact=True).click()


def _check_extra_fields(form: Locator) -> None:
    for field in CONN_FIELDS.values():
        expect(form.get_by_text(field["label"], exact=True)).to_be_visible()
        expect(form.get_by_text(field["description"], exact=True)).to_be_visible()


def _fill(form: Locator, name: str, value: object) -> None:
    """Fill in an extra field: select a value from its list, or type it."""
    if "enum" not in CONN_FIELDS[name]["schema"]:
        form.locator(f"input[name=element_{name}]").fill(str(value))
        return
    choice = form.locator(f"#element_{name}").get_by_role("combobox")
    choice.fill(str(value))
    choice.press("Enter")
    expect(form.locator(f"input[name=element_{name}]")).to_have_value(str(value))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dev.screenshots", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=IMAGES, help="directory of the images (docs/images)")
    options = parser.parse_args(arguments)
    stop_on_signals()
    try:
        screenshots(options.out)
    except Interrupted:
        echo("Interrupted; Airflow and the emulator are stopped and removed.")
        return 130
    except (AssertionError, BrowserError, RuntimeError) as error:
        echo(f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
