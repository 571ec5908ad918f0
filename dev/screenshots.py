"""Take the screenshots of the docs from a real Airflow. The script also tests the UI: it exits with 1 if a check fails.

It needs the Python package ``playwright``, Chromium, and a font with Chinese characters for one of the watermarks.
"""

from __future__ import annotations

import argparse
import base64
import re
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from playwright.sync_api import Error as BrowserError
from playwright.sync_api import expect, sync_playwright

from airflow_provider_ims.connection.fields import CONN_FIELDS, UI_FIELD_BEHAVIOUR
from airflow_provider_ims.connection.kinds import KINDS
from dev.connection_forms import (
    ACCOUNT,
    STANDARD_FIELDS,
    ConnectionPage,
    UiError,
    check,
    check_form,
    connected,
    fill_in,
    form_cases,
    open_extra_fields,
    set_up_identities,
)
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
HEIGHT = 4000
"""More than the height of each page, so that no element needs scrolling."""
TEST_HEIGHT = 460
MARGIN = 24
FORM_WIDTH = 630
"""The form shows one group of fields at a time; one image shows both groups side by side."""

MILLISECONDS = 1000
TIMEOUT = 30.0
"""Seconds that the UI may take for each step."""

COMMON_VALUES = {"login": "id-of-the-key", "password": "not a secret", "port": 443, "region_id": "cn-shanghai"}
KEY_VALUES = {
    **COMMON_VALUES,
    "network": "public",
    "auth_type": "access_key",
    "connect_timeout": 5,
    "read_timeout": 10,
    "max_requests_per_second": 30,
}
RAM_ROLE_VALUES = {
    **COMMON_VALUES,
    "auth_type": "ram_role_arn",
    "role_arn": f"{ACCOUNT}:role/ims",
    "role_session_name": "airflow",
    "role_session_duration": 1800,
    "role_external_id": "partner-42",
}
LAST_FIELD_OF_RAM_ROLE = "role_external_id"
HIDDEN_AS_TYPED = ("password", "element_security_token", "element_secret_credentials_uri")


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
        self._connections = ConnectionPage(self.page, airflow)

    def log_in(self) -> None:
        """Log in to Airflow with the login form."""
        page = self.page
        page.goto(self._airflow.url)
        page.locator("input[name=username]").fill(self._airflow.username)
        page.locator("input[name=password]").fill(self._airflow.password)
        page.locator("button[type=submit]").click()
        expect(page.get_by_role("link", name="Dags").first).to_be_visible()

    def connection_form(self) -> None:
        """Check the form of a new connection, and take screenshots of it: all fields, and those of a RAM role."""
        page = self.page
        page.set_viewport_size({"width": FORM_WIDTH, "height": HEIGHT})
        self._connections.open()
        form = self._connections.add("ims_default")
        for label in (*UI_FIELD_BEHAVIOUR["relabeling"].values(), "Port"):
            expect(form.get_by_text(label, exact=True)).to_be_visible()
        for name in UI_FIELD_BEHAVIOUR["hidden-fields"]:
            expect(form.locator(f"input[name={name}]")).to_be_hidden()
        standard, extra = self._form_images(form, KEY_VALUES)
        _check_extra_fields(form)
        for name in HIDDEN_AS_TYPED:
            expect(form.locator(f"input[name={name}]")).to_have_attribute("type", "password")
        self._save("connection-form", self._side_by_side(standard, extra))

        self._connections.open()
        form = self._connections.add("ims_default")
        images = self._form_images(form, RAM_ROLE_VALUES, LAST_FIELD_OF_RAM_ROLE)
        self._save("connection-ram-role", self._side_by_side(*images))
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})

    def kinds_of_credentials(self) -> None:
        """Make, edit and test a connection of each kind of credential; without a screenshot."""
        cases = form_cases(self._emulator, self._airflow.sandbox)
        check({case.kind for case in cases}, {kind.name for kind in KINDS}, "The cases have other kinds of credentials")
        filled = {name for case in cases for step in case.steps for name in step.fields}
        check(filled, {*STANDARD_FIELDS, *CONN_FIELDS}, "The cases fill in other fields")
        self._connections.open()
        for case in cases:
            messages = self._connections.run(case)
            echo("\n    ".join([f"  {case.kind}", *messages]))

    def emulator_connection(self) -> None:
        """Check the edit form of a connection that was not made in it, and take a screenshot of the message of Test."""
        emulator = self._emulator
        self._connections.open(CONNECTION_ID)
        form = self._connections.edit(CONNECTION_ID)
        values = {"login": emulator.access_key_id, "password": emulator.access_key_secret, "host": emulator.endpoint}
        check_form(form, {**values, "port": urlsplit(emulator.endpoint).port, "region_id": emulator.region})
        open_extra_fields(form)
        _check_extra_fields(form)
        form.get_by_role("button", name="Close").click()
        expect(form).to_be_hidden()
        # The message is at the bottom of the window.
        self.page.set_viewport_size({"width": WIDTH, "height": TEST_HEIGHT})
        self._connections.test(CONNECTION_ID, connected(emulator, "user/emulator"))
        self._save("connection-test", self.page.screenshot(animations="disabled"))
        self.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})

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
        self._save("task-xcom", self._page_image_to(page.get_by_role("table").last, margin=MARGIN))

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
        self._save("emulator", self._page_image_to(page.get_by_role("table").nth(1), margin=MARGIN))

    def _form_images(self, form: Locator, values: dict[str, Any], last: str | None = None) -> tuple[bytes, bytes]:
        """Fill in the form, and return screenshots of its two groups of fields.

        :param last: the extra field that the second screenshot ends with; None for the whole form
        """
        standard = {name: value for name, value in values.items() if name in STANDARD_FIELDS}
        fill_in(form, standard)
        first = self._form_image(form)
        fill_in(form, {name: value for name, value in values.items() if name not in standard})
        return first, self._form_image(form, last)

    def _form_image(self, form: Locator, last: str | None = None) -> bytes:
        # No field has the focus, and the page behind the form does not show at its corners.
        self.page.evaluate("document.activeElement.blur()")
        x, y, width, height = _box(form)
        if last:
            _, last_y, _, last_height = _box(form.get_by_text(CONN_FIELDS[last]["description"], exact=True))
            height = last_y + last_height + MARGIN - y
        image: bytes = self.page.screenshot(
            animations="disabled",
            style="[role=dialog] { border-radius: 0 !important }",
            clip={"x": x, "y": y, "width": width, "height": height},
        )
        return image

    def _page_image_to(self, last: Locator, margin: int = 0) -> bytes:
        """Return a screenshot of the page from its top to the bottom of an element."""
        _, y, _, height = _box(last)
        image: bytes = self.page.screenshot(
            animations="disabled", clip={"x": 0, "y": 0, "width": WIDTH, "height": y + height + margin}
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
            raise UiError(f"{name}.png has {len(image)} bytes, more than {MAX_BYTES}.")
        path = self._out / f"{name}.png"
        path.write_bytes(image)
        echo(f"  {path.name}: {len(image) // 1000} kB")


def screenshots(out: Path) -> None:
    """Take all screenshots.

    :param out: directory of the images
    """
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with airflow_with_emulator(set_up_identities) as (airflow, emulator), sync_playwright() as playwright:
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
            session.kinds_of_credentials()
            session.emulator_connection()
            session.task()
            session.emulator()
        finally:
            browser.close()
    echo(f"Done in {time.monotonic() - started:.0f} s.")


def _box(element: Locator) -> tuple[float, float, float, float]:
    """Return the place of an element on the page: x, y, width and height."""
    expect(element).to_be_visible()
    box = element.bounding_box()
    if box is None:
        raise UiError("An element has disappeared before its screenshot.")
    return box["x"], box["y"], box["width"], box["height"]


def _check_extra_fields(form: Locator) -> None:
    for field in CONN_FIELDS.values():
        expect(form.get_by_text(field["label"], exact=True)).to_be_visible()
        expect(form.get_by_text(field["description"], exact=True)).to_be_visible()


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
