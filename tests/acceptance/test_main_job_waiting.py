"""The main job while no worker runs: the page says so, and goes on by itself when one is started."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from playwright.sync_api import expect

from tests.acceptance.browser import running_browser, signed_in_page, take_picture, upload_and_send
from tests.acceptance.client import Client
from tests.acceptance.stack import running_stack

RECIPIENTS = 300
STAYS_SECONDS = 3
PEOPLE = "name,email\n" + "".join(f"Person {number},p{number}@example.org\n" for number in range(RECIPIENTS))


def test_batch_stays_pending_and_says_why_until_a_worker_is_started() -> None:
    folder = Path(tempfile.mkdtemp(prefix="emailbatch-waiting-"))
    with running_stack(folder, workers=0) as stack, running_browser() as browser:
        client = Client(stack)
        with stack.own_worker():
            stack.wait_for_workers(1)
        assert client.get("/api/health")["workers"] == 0
        with signed_in_page(browser, stack) as page:
            batch_id = upload_and_send(page, filename="people.csv", content=PEOPLE.encode())
            waiting = page.locator("#waiting")
            expect(waiting).to_contain_text("No worker is running")
            expect(page.locator("#status")).to_have_text("pending")
            take_picture(page, "main-job-waiting")
            until = time.monotonic() + STAYS_SECONDS
            while time.monotonic() < until:
                assert client.batch(batch_id)["status"] == "pending"
            assert stack.mail_count() == 0
            expect(waiting).to_be_visible()
            with stack.own_worker():
                expect(page.locator('[data-count="percent"]')).to_have_text("100", timeout=30_000)
                expect(page.locator("#status")).to_have_text("completed")
                expect(waiting).to_be_hidden(timeout=2000)
            assert page.evaluate("window.isSamePage")
            assert client.batch(batch_id)["sentCount"] == RECIPIENTS == stack.mail_count()
    shutil.rmtree(folder, ignore_errors=True)
