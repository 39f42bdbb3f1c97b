"""The main job while no worker runs: the page says so, and sending begins in the right order when a worker starts."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.acceptance.browser import running_browser, signed_in_page, take_picture, upload_and_send
from tests.acceptance.client import Client
from tests.acceptance.stack import RunningStack, stack_in_new_folder

RECIPIENTS = 300
STAYS_SECONDS = 3
PEOPLE = "name,email\n" + "".join(f"Person {number},p{number}@example.org\n" for number in range(RECIPIENTS))


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with stack_in_new_folder("waiting", workers=0) as running:
        yield running


@pytest.fixture(scope="module")
def client(stack: RunningStack) -> Client:
    return Client(stack)


def test_batch_stays_pending_and_says_why_until_a_worker_is_started(stack: RunningStack, client: Client) -> None:
    with stack.own_worker():
        stack.wait_for_workers(1)
    assert client.get("/api/health")["workers"] == 0
    before = stack.mail_count()
    with running_browser() as browser, signed_in_page(browser, stack) as page:
        batch_id = upload_and_send(page, filename="people.csv", content=PEOPLE.encode())
        waiting = page.locator("#waiting-for")
        expect(waiting).to_contain_text("Sending is switched off at the moment")
        expect(page.locator("#status")).to_contain_text("Pending")
        take_picture(page, "main-job-waiting")
        until = time.monotonic() + STAYS_SECONDS
        while time.monotonic() < until:
            assert client.batch(batch_id)["status"] == "pending"
        assert stack.mail_count() == before
        expect(waiting).to_be_visible()
        with stack.own_worker():
            expect(page.locator('[data-count="percent"]')).to_have_text("100", timeout=30_000)
            expect(page.locator("#status")).to_contain_text("Completed")
            expect(waiting).to_be_hidden(timeout=2000)
        assert page.evaluate("window.isSamePage")
    assert client.batch(batch_id)["sentCount"] == RECIPIENTS == stack.mail_count() - before


def test_high_priority_is_sent_first_when_two_batches_waited(stack: RunningStack, client: Client) -> None:
    later, first = (
        client.post(
            "/api/emails/send-bulk",
            {"recipients": [f"{name}{number}@priority.example.org" for number in range(50)], "priority": priority},
        )["batchId"]
        for name, priority in (("later", "default"), ("first", "high"))
    )
    with stack.own_worker():
        for batch_id in (first, later):
            assert client.wait_for_end(batch_id)["sentCount"] == 50
    order = [recipients for recipients, _ in stack.raw_mails() if recipients.endswith("@priority.example.org")]
    assert len(order) == 100
    assert all(address.startswith("first") for address in order[:50])
