"""A real Chromium, and a real daphne on the tables of the test, for the tests of the pages."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import URLError

import pytest
from django.db import connection
from playwright.sync_api import Browser, Page, sync_playwright

from batches import progress
from emailbatch.localstack import addresses
from tests import services
from tests.acceptance.daphne import FAIL_BEFORE_TRUNCATE
from tests.acceptance.stack import RunningStack, wait_until

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
SWITCHED_OFF = (
    # Chromium gives each page that is opened a frame of its own, and Playwright 1.65 may lose it: its locators then
    # look for half a minute into a page that is gone (issue 42068 of Playwright).
    "RenderDocument",
    # Chromium heeds only the last list of this kind, so these are those of Playwright that a test could notice.
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)
CHROMIUM_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    f"--disable-features={','.join(SWITCHED_OFF)}",
)


@contextlib.contextmanager
def running_browser() -> Iterator[Browser]:
    """Start Chromium without a window. If there is none, skip the test, or fail it if REQUIRE_BROWSER=1."""
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if path is None:
        reason = f"No browser was found. Install one of {', '.join(CHROMIUM_NAMES)}."
        (pytest.fail if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip)(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def running_site(more: Mapping[str, str] | None = None) -> Iterator[str]:
    """Start daphne on the database and the Redis of the test run. Yields its URL without a slash at the end.

    ``more`` are further variables of its environment.
    """
    database = addresses.database_url(services.running.data_dir)
    name = connection.settings_dict["NAME"]
    environment = os.environ | {
        "DATABASE_URL": database.replace(f"/{addresses.DATABASE_NAME}?", f"/{name}?"),
        "DATABASE_POOL_SIZE": "4",
        "PGOPTIONS": FAIL_BEFORE_TRUNCATE,
        "PYTHONWARNINGS": "",
        **(more or {}),
    }
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        descriptor = listener.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "daphne", "--fd", str(descriptor), "emailbatch.asgi:application"],
            env=environment,
            cwd=Path(__file__).resolve().parent.parent.parent,
            pass_fds=[descriptor],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    try:
        wait_until(lambda: _answers(f"{url}/accounts/login/"), within_seconds=30, what="The start of daphne")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextlib.contextmanager
def signed_in_page(browser: Browser, stack: RunningStack) -> Iterator[Page]:
    """Open a tab in which the administrator of a local stack is signed in."""
    context = browser.new_context(base_url=stack.url, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto("/accounts/login/")
    page.fill('[name="username"]', stack.username)
    page.fill('[name="password"]', stack.password)
    page.keyboard.press("Enter")
    page.wait_for_url(stack.url)
    try:
        yield page
    finally:
        context.close()


def upload_and_send(page: Page, *, filename: str, content: bytes) -> int:
    """Upload a file on the first page and send it at once. Leaves the batch's page open, and returns the batch's id."""
    page.goto("/")
    page.set_input_files("#id_file", {"name": filename, "mimeType": "text/csv", "buffer": content})
    page.check('input[name="then"][value="send"]')
    page.get_by_role("button", name="Upload").click()
    page.locator("#send").click()  # the question
    page.wait_for_url(re.compile(r"/batches/\d+/$"))
    page.evaluate("window.isSamePage = true")  # a reload would remove it
    return int(page.url.rstrip("/").rpartition("/")[2])


def take_picture(page: Page, name: str) -> None:
    """Save a picture in SCREENSHOT_DIR, if that is set."""
    if directory := os.environ.get("SCREENSHOT_DIR"):
        page.screenshot(path=Path(directory) / f"{name}.png", full_page=True, animations="disabled")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def publish(batch_id: int) -> None:
    """Send a snapshot of the tables to the browsers, as a lane does.

    The snapshot is sent from another thread, because Playwright keeps an event loop running in this one.
    """

    def publish_snapshot() -> None:
        try:
            progress.publish(batch_id)
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(publish_snapshot).result(timeout=30)
