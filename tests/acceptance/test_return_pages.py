"""The operator sees what comes back, live: the page of a batch in a real browser while reports are recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from batches.jobs.stopping import stop_jobs
from batches.models import Batch, BatchStatus, Email, JobStatus
from batches.return_paths import ReturnPathMaker, derive_key
from batches.returns.recording import Recorded, record_events
from batches.returns.reports import read_report
from batches.suppressions import find_digest, read_key
from tests.acceptance.browser import take_picture
from tests.conftest import MakeBatch, MakeJob

BOUNCE_ADDRESS = "bounce@news.example.org"
SENT = 61
VIEWS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}},
    "narrow-dark": {"color_scheme": "dark", "viewport": {"width": 360, "height": 740}},
}

REPORT = """\
From: MAILER-DAEMON@mx.example.org
To: {path}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

This is the mail system. Your message could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; {address}
Action: failed
Status: {status}
Diagnostic-Code: smtp; {answer}

--b--
"""
GONE = ("5.1.1", "550 5.1.1 User unknown in virtual mailbox table")
FULL = ("5.2.2", "552 5.2.2 Mailbox full")
BLOCKED = ("5.7.1", "554 5.7.1 Message blocked because of spam, see https://blocklist.example/why")


@pytest.fixture(autouse=True)
def own_return_paths(settings: LazySettings) -> None:
    settings.BOUNCE_ADDRESS = BOUNCE_ADDRESS


@pytest.fixture
def batch(transactional_db: None, make_batch: MakeBatch, make_job: MakeJob) -> Batch:
    batch = make_batch(BatchStatus.COMPLETED, sent=SENT, failed=1)
    make_job(batch, JobStatus.COMPLETED, completed_at=timezone.now())
    for email in batch.emails.all():
        email.address_digest = find_digest(email.address)
        email.code, email.reply, email.completed_at = 250, "2.0.0 Ok: queued", timezone.now()
        email.save()
    return batch


@pytest.fixture
def open_page(chromium: Browser, site: str, batch: Batch) -> Iterator[Callable[[str], Page]]:
    """Open a tab in which the owner of the batch is signed in, with one of VIEWS."""
    client = Client()
    assert batch.created_by is not None
    client.force_login(batch.created_by)
    contexts = []

    def open_one(view: str) -> Page:
        context = chromium.new_context(base_url=site, **VIEWS[view])
        contexts.append(context)
        context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}])
        return context.new_page()

    yield open_one
    for context in contexts:
        context.close()


def in_a_thread(act: Callable[[], Any]) -> Any:
    """Act without the event loop that Playwright keeps running in this thread."""

    def work() -> Any:
        try:
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(work).result(timeout=30)


def let_come_back(batch: Batch, rows: range, status: str, answer: str) -> Recorded:
    """Hand a delivery status notification about each of these rows to what reads and records them."""
    maker = ReturnPathMaker(BOUNCE_ADDRESS, key=derive_key(read_key()))

    def record() -> Recorded:
        events = []
        for email in Email.objects.filter(batch=batch, row__in=rows):
            path = maker.make(email.pk, email.address)
            raw = REPORT.format(path=path, address=email.address, status=status, answer=answer)
            events += read_report(raw.replace("\n", "\r\n").encode(), door="lmtp", rcpt=path).events
        return record_events(events)

    recorded: Recorded = in_a_thread(record)
    return recorded


def test_operator_sees_returns_arrive_without_a_reload(batch: Batch, open_page: Callable[[str], Page]) -> None:
    page = open_page("light")
    page.goto(f"/batches/{batch.pk}/")
    page.evaluate("window.isSamePage = true")
    expect(page.locator(".legend .returned")).to_be_hidden()
    assert let_come_back(batch, range(2, 50), *GONE).recorded == 48
    expect(page.locator('dd[data-count="returned"]')).to_have_text("48", timeout=20_000)
    expect(page.locator(".came-back")).to_have_text("48 came back: 48 gone.", timeout=20_000)
    assert let_come_back(batch, range(50, 59), *FULL).recorded == 9
    assert let_come_back(batch, range(59, 63), *BLOCKED).recorded == 4
    sentence = "61 came back: 48 gone, 9 full, 4 blocked by example.org."
    expect(page.locator(".came-back")).to_have_text(sentence, timeout=20_000)
    expect(page.locator("#came-back .warning")).to_contain_text("4 emails were blocked by example.org.")
    expect(page.locator('dd[data-count="sent"]')).to_have_text(str(SENT))
    take_picture(page, "came-back-live")
    page.locator("#rows").scroll_into_view_if_needed()  # the page fetches the table only while it is in sight
    page.get_by_role("link", name="Came back").click()
    expect(page.locator("#rows tbody tr")).to_have_count(50)
    expect(page.locator("#rows tbody tr").first).to_contain_text("User unknown in virtual mailbox table")
    expect(page.locator("#rows .meaning")).to_contain_text("they came back")
    page.goto("/batches/")
    expect(page.locator("#cards")).to_contain_text("61 came back")


def test_same_reports_change_nothing_when_they_come_again(batch: Batch, open_page: Callable[[str], Page]) -> None:
    let_come_back(batch, range(2, 6), *GONE)
    again = let_come_back(batch, range(2, 6), *GONE)
    assert (again.recorded, again.repeated) == (0, 4)
    page = open_page("light")
    page.goto(f"/batches/{batch.pk}/")
    expect(page.locator(".came-back")).to_have_text("4 came back: 4 gone.")


@pytest.mark.parametrize("view", VIEWS)
def test_page_fits_the_screen_when_much_came_back(batch: Batch, open_page: Callable[[str], Page], view: str) -> None:
    let_come_back(batch, range(2, 6), *GONE)
    let_come_back(batch, range(6, 9), *FULL)
    let_come_back(batch, range(59, 63), *BLOCKED)
    page = open_page(view)
    for tab in ("", "?status=returned"):
        page.goto(f"/batches/{batch.pk}/{tab}")
        expect(page.locator(".came-back")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        take_picture(page, f"came-back-{view}{'-tab' if tab else ''}")
    page.goto("/batches/")
    take_picture(page, f"came-back-{view}-list")


def test_operator_sees_the_reason_and_resumes_when_a_batch_was_stopped(
    make_batch: MakeBatch, make_job: MakeJob, batch: Batch, open_page: Callable[[str], Page], settings: LazySettings
) -> None:
    settings.SEND_STOP_ABOVE = 5
    live = make_batch(BatchStatus.PROCESSING, sent=94, failed=6, pending=400)
    make_job(live, JobStatus.PROCESSING, started_at=timezone.now() - timedelta(minutes=1))
    page = open_page("light")
    page.goto(f"/batches/{live.pk}/")
    expect(page.locator("#status")).to_contain_text("Processing")
    assert in_a_thread(stop_jobs) == 1
    expect(page.locator("#status")).to_contain_text("Paused", timeout=20_000)
    expect(page.locator("#waiting-for")).to_contain_text("6 of the first 100 emails failed or came back: 6 failed.")
    expect(page.locator("#waiting-for")).to_contain_text("400 are waiting.")
    take_picture(page, "stopped")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#status")).not_to_contain_text("Paused", timeout=20_000)
    assert live.jobs.get().accepted_share == 6
    assert in_a_thread(stop_jobs) == 0


def test_page_says_what_the_canary_waits_for(
    make_batch: MakeBatch, make_job: MakeJob, batch: Batch, open_page: Callable[[str], Page]
) -> None:
    live = make_batch(BatchStatus.PROCESSING, sent=50, pending=400)
    until = timezone.now() + timedelta(minutes=10)
    make_job(live, JobStatus.PROCESSING, started_at=timezone.now(), canary_to_row=51, canary_until=until)
    page = open_page("narrow")
    page.goto(f"/batches/{live.pk}/")
    expect(page.locator("#waiting-for")).to_contain_text("to see what comes back. Sending goes on at")
    expect(page.locator("#waiting-for")).to_contain_text("400 are waiting.")
    take_picture(page, "canary")
