"""The list of batches, and the page of one batch, as the server draws them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from batches.files.findings import Reading
from batches.models import Attempt, Batch, BatchStatus, EmailStatus, JobStatus, Lane, RejectedRow, RejectionKind
from batches.outcomes import Outcome
from tests.conftest import MakeBatch, MakeJob


def read(page: Client, batch_id: int, query: str = "") -> str:
    """Return the words of a batch's page, without tags and with single spaces."""
    text = page.get(reverse("batch", args=[batch_id]) + query).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_counts_are_drawn_without_a_script(page: Client, make_batch: MakeBatch, make_job: MakeJob) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=6, failed=2, unknown=1, suppressed=1)
    make_job(batch, JobStatus.COMPLETED, completed_at=timezone.now())
    html = page.get(reverse("batch", args=[batch.pk])).content.decode()
    assert '<progress class="hush" id="meter" max="10" value="10"' in html
    assert 'data-segment="sent" x="0.000%" width="60.000%"' in html
    assert 'data-segment="failed" x="60.000%" width="20.000%"' in html
    words = read(page, batch.pk)
    assert "6 sent 2 failed, 1 not certain, 1 not sent" in words
    assert "Sent 6 Failed 2 Not certain 1 On the do-not-send list 1 Cancelled 0 Still to send 0" in words


def test_missing_worker_is_shown_when_the_batch_waits(page: Client, make_batch: MakeBatch, make_job: MakeJob) -> None:
    batch = make_batch(BatchStatus.PENDING, pending=2)
    make_job(batch, JobStatus.QUEUED)
    assert "Sending is switched off at the moment" in read(page, batch.pk)


def test_missing_worker_is_not_shown_when_the_batch_is_done(page: Client, make_batch: MakeBatch) -> None:
    html = page.get(reverse("batch", args=[make_batch(BatchStatus.COMPLETED, sent=2).pk])).content.decode()
    assert re.search(r'id="waiting"[^>]* hidden', html)


def test_page_says_what_the_batch_waits_for_and_when_it_will_be_done(
    page: Client, make_batch: MakeBatch, make_job: MakeJob
) -> None:
    batch = make_batch(BatchStatus.PROCESSING, pending=2)
    retry_at = timezone.now() + timedelta(days=400)
    reason = "The daily limit of the mail server m365 is used up (10,000 in 24 hours)."
    make_job(batch, JobStatus.PROCESSING, last_error=reason, relay_retry_at=retry_at)
    words = read(page, batch.pk)
    day = r"on [A-Z]\w+ \d+ [A-Z]\w+ 20\d\d"
    assert re.search(rf"{re.escape(reason)} Next try {day} at \d\d:\d\d ?\. 2 are waiting\.", words)
    assert re.search(rf"Done {day} ?\.", words)
    listed = page.get(reverse("batches")).content.decode()
    assert reason in listed and "2 are waiting." in listed


def test_page_says_when_a_scheduled_batch_begins(page: Client, make_batch: MakeBatch, make_job: MakeJob) -> None:
    batch = make_batch(BatchStatus.SCHEDULED, pending=2)
    make_job(batch, JobStatus.SCHEDULED, scheduled_at=timezone.now() + timedelta(days=400))
    html = page.get(reverse("batch", args=[batch.pk])).content.decode()
    assert re.search(r'class="notice info" id="waiting-for"[^>]*>The emails go out <time [^>]*>on ', html)


def test_each_failure_has_its_reason(page: Client, make_batch: MakeBatch) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=1, failed=1)
    batch.emails.filter(status=EmailStatus.FAILED).update(code=550, reply="5.1.1 <b>nobody</b> here", attempts=1)
    html = page.get(reverse("batch", args=[batch.pk]) + "?status=failed").content.decode()
    assert "5.1.1 &lt;b&gt;nobody&lt;/b&gt; here" in html
    assert "person3@example.org" in html
    assert "person2@example.org" not in html


def test_all_attempts_are_listed_when_there_were_several(
    page: Client, make_batch: MakeBatch, make_job: MakeJob
) -> None:
    batch = make_batch(BatchStatus.PROCESSING, pending=1)
    lane = Lane.objects.create(job=make_job(batch, JobStatus.PROCESSING), number=0)
    email = batch.emails.get()
    batch.emails.update(attempts=2, code=451, reply="4.7.1 Greylisted", next_attempt_at=timezone.now())
    Attempt.objects.bulk_create(
        Attempt(email=email, lane=lane, number=n, outcome=Outcome.DEFERRED, code=450 + n, reply=f"Attempt {n}")
        for n in (0, 1)
    )
    words = read(page, batch.pk)
    assert "All 2 attempts" in words
    assert "450 Attempt 0" in words
    assert "Next attempt at" in words


@pytest.fixture
def live(make_batch: MakeBatch, make_job: MakeJob) -> Batch:
    """A live batch: row 2 is sent, 3 failed, 4 untried, 5 in its first attempt, 6 in a retry, 7 waits for a retry."""
    batch = make_batch(BatchStatus.PROCESSING, sent=1, failed=1, pending=4, rejected=2)
    job = make_job(batch, JobStatus.PROCESSING)
    lane = Lane.objects.create(job=job, number=0, claimed_rows=[5, 6])
    retry = {"next_attempt_at": timezone.now(), "attempts": 1, "lane": lane}
    batch.emails.filter(row=6).update(status=EmailStatus.SENDING, **retry)
    batch.emails.filter(row=7).update(**retry)
    return batch


def test_each_tab_lists_as_many_rows_as_it_counts(page: Client, live: Batch) -> None:
    tabs = page.get(reverse("batch", args=[live.pk])).context["tabs"]
    assert {tab.value: tab.count for tab in tabs} == {"": 6, "sent": 1, "failed": 1, "pending": 4, "rejected": 2}
    for tab in tabs:
        shown = page.get(reverse("batch", args=[live.pk]), {"status": tab.value}).context
        rows = shown["rejected"] if tab.value == "rejected" else shown["emails"]
        assert len(rows.rows) == tab.count, tab.value


def test_pending_tab_shows_which_emails_are_being_sent_and_which_wait_for_a_retry(page: Client, live: Batch) -> None:
    listed = page.get(reverse("batch", args=[live.pk]), {"status": "pending"}).context["listed_emails"]
    assert [(each.email.row, each.history.state, each.is_to_be_retried) for each in listed] == [
        (4, EmailStatus.PENDING, False),
        (5, EmailStatus.SENDING, False),
        (6, EmailStatus.SENDING, False),
        (7, EmailStatus.PENDING, True),
    ]


def test_rejected_rows_are_listed_with_line_and_reason(page: Client, make_batch: MakeBatch) -> None:
    words = read(page, make_batch(sent=1, rejected=2).pk, "?status=rejected")
    assert "9 Invalid No @ in it. x | bad0" in words


def test_next_page_lists_the_next_emails(page: Client, make_batch: MakeBatch) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=60)
    first = page.get(reverse("batch", args=[batch.pk]) + "?status=sent").content.decode()
    link = re.search(r'rel="next" href="([^"#]+)', first)
    assert link
    second = read(page, batch.pk, link[1].replace("&amp;", "&"))
    assert "person52@example.org" in second
    assert "person51@example.org" not in second


def test_list_needs_no_more_queries_when_it_is_longer(page: Client, make_batch: MakeBatch) -> None:
    make_batch(sent=1)
    with CaptureQueriesContext(connection) as few:
        page.get(reverse("batches"))
    for _ in range(10):
        make_batch(sent=1)
    with CaptureQueriesContext(connection) as many:
        page.get(reverse("batches"))
    assert len(many) == len(few)


@pytest.mark.parametrize("status", ["bogus", "sent", ""])
def test_page_opens_with_any_filter_in_the_address(status: str, page: Client, make_batch: MakeBatch) -> None:
    assert page.get(reverse("batch", args=[make_batch(sent=1).pk]), {"status": status}).status_code == 200


def test_hidden_rows_have_a_tab_of_their_own(page: Client, make_batch: MakeBatch) -> None:
    batch = make_batch(pending=1, rejected=1)
    row = RejectedRow(
        batch=batch, line=7, kind=RejectionKind.HIDDEN, raw=["Gone", "gone@example.org"], reason="Hidden."
    )
    row.save()
    Batch.objects.filter(pk=batch.pk).update(reading=Reading(hidden_count=1).to_json())
    assert "Rejected rows 1 Hidden rows 1" in read(page, batch.pk)
    hidden, rejected = read(page, batch.pk, "?status=hidden"), read(page, batch.pk, "?status=rejected")
    assert "gone@example.org" in hidden and "The sheet hides these rows" in hidden and "bad0" not in hidden
    assert "bad0" in rejected and "gone@example.org" not in rejected
    row.delete()  # as when the row was added to the list
    assert "Hidden rows" not in read(page, batch.pk)


def test_line_of_the_file_is_shown_when_it_is_not_the_row(page: Client, make_batch: MakeBatch) -> None:
    batch = make_batch(pending=2)
    batch.emails.filter(row=3).update(line=41)
    assert "41 Person 3 person3@example.org" in read(page, batch.pk)


def test_times_of_recipients_are_in_the_zone_that_the_page_names(
    page: Client, make_batch: MakeBatch, settings: LazySettings
) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    batch = make_batch(BatchStatus.COMPLETED, sent=1)
    batch.emails.update(completed_at=datetime(2026, 3, 31, 22, 0, 5, tzinfo=UTC))
    text = page.get(reverse("batch", args=[batch.pk])).content.decode()
    assert "<th>When<noscript> (Asia/Tokyo)</noscript></th>" in text
    assert "1 Apr 2026, 07:00:05</time>" in text


def test_more_rows_than_a_page_are_shown_when_they_are_printed(page: Client, make_batch: MakeBatch) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=60, rejected=60)
    for query in ("", "&status=rejected"):
        assert 'rel="next"' in page.get(f"/batches/{batch.pk}/?{query}").content.decode()
        shown = page.get(f"/batches/{batch.pk}/?print=1{query}").content.decode()
        assert 'rel="next"' not in shown
    assert "person61@example.org" in page.get(f"/batches/{batch.pk}/?print=1").content.decode()
