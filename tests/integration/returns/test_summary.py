"""What came back of a batch, in words: in the summary, on the pages and in the API."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from batches.models import Batch, BatchStatus, EmailTemplate, JobStatus, Return, ReturnClass, ReturnKind
from batches.progress import read_snapshot
from batches.returns.summary import (
    NOTHING,
    READ_PER_KIND,
    ReturnSummary,
    choose_return,
    read_returns,
    summarise,
    warn_sender,
)
from tests.conftest import MakeBatch, MakeJob, MakeSender
from tests.integration.returns.reports import add_reports

pytestmark = pytest.mark.django_db


@pytest.fixture
def batch(make_batch: MakeBatch) -> Batch:
    return make_batch(BatchStatus.COMPLETED, sent=20)


@pytest.fixture
def page(client: Client, batch: Batch) -> Client:
    assert batch.created_by is not None
    client.force_login(batch.created_by)
    return client


def summary_of(batch: Batch) -> ReturnSummary:
    return summarise(batch.pk, returned=batch.returned_count, complained=batch.complained_count)


def words_of(page: Client, batch: Batch, query: str = "") -> str:
    text = page.get(reverse("batch", args=[batch.pk]) + query).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


# --- the sentence ----------------------------------------------------------------------------------------


def test_summary_counts_the_classes_and_names_who_blocked(batch: Batch) -> None:
    add_reports(batch, range(2, 7))
    add_reports(batch, (7, 8), ReturnClass.FULL)
    add_reports(batch, (9,), ReturnClass.BLOCKED, domain="mail.example")
    add_reports(batch, (10, 11), ReturnClass.BLOCKED, domain="example.org")
    assert summary_of(batch).sentence == "10 came back: 5 gone, 2 full, 3 blocked by example.org and mail.example."


def test_every_class_has_its_words(batch: Batch) -> None:
    for row, return_class in enumerate(ReturnClass, start=2):
        add_reports(batch, (row,), return_class)
    assert summary_of(batch).sentence == (
        "6 came back: 1 gone, 1 full, 1 blocked by example.com, 1 refused for the content by example.com, "
        "1 not delivered in time, 1 for another reason."
    )


def test_further_domains_are_counted_when_there_are_many(batch: Batch) -> None:
    for row, domain in enumerate(("a.example", "b.example", "b.example", "c.example", "", "d.example"), start=2):
        add_reports(batch, (row,), ReturnClass.BLOCKED, domain=domain)
    assert summary_of(batch).sentence == "6 came back: 6 blocked by b.example, an unknown domain and 3 others."


def test_email_counts_once_by_its_newest_report_when_it_came_back_twice(batch: Batch) -> None:
    add_reports(batch, (2,), ReturnClass.PASSING)
    add_reports(batch, (2, 3))
    assert summary_of(batch).sentence == "2 came back: 2 gone."


def test_complaints_are_said_apart_and_automatic_replies_are_not_said(batch: Batch) -> None:
    add_reports(batch, (2, 3), kind=ReturnKind.COMPLAINED)
    add_reports(batch, (4,), kind=ReturnKind.AUTO_REPLY)
    add_reports(batch, (5,), kind=ReturnKind.REFUSED)
    assert summary_of(batch) == ReturnSummary("2 complained.", "")


def test_nothing_is_read_when_nothing_came_back(batch: Batch) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert summary_of(batch) == NOTHING
    assert not queries


# --- the warning -----------------------------------------------------------------------------------------


def test_sender_is_warned_when_mail_was_blocked_or_refused_for_its_content(batch: Batch) -> None:
    add_reports(batch, (2, 3), ReturnClass.BLOCKED, domain="mail.example")
    add_reports(batch, (4,), ReturnClass.CONTENT)
    warning = summary_of(batch).warning
    assert warning.startswith("2 emails were blocked by mail.example. That is about the sender")
    assert "1 email was refused for the content by example.com." in warning


def test_sender_is_not_warned_when_only_addresses_were_bad(batch: Batch) -> None:
    add_reports(batch, (2, 3))
    add_reports(batch, (4,), ReturnClass.FULL)
    assert summary_of(batch).warning == ""


def test_next_review_warns_of_what_was_blocked_lately_of_the_same_sender(
    batch: Batch,
    page: Client,
    make_job: MakeJob,
    make_batch: MakeBatch,
    make_sender: MakeSender,
    welcome: EmailTemplate,
) -> None:
    assert batch.created_by is not None
    office = make_sender("office", users=(batch.created_by,))
    other = make_sender("other", users=(batch.created_by,))
    make_job(batch, JobStatus.COMPLETED, completed_at=timezone.now(), sender=office)
    add_reports(batch, (2, 3), ReturnClass.BLOCKED)
    add_reports(batch, (4,))
    draft = make_batch(BatchStatus.DRAFT, pending=2)
    review = reverse("review", args=[draft.pk])
    assert (
        "2 emails were refused by example.com because of this sender"
        in page.get(review, {"sender": "office"}).content.decode()
    )
    assert "because of this sender" not in page.get(review, {"sender": "other"}).content.decode()
    assert warn_sender(other.pk) == warn_sender(None) == ""
    Return.objects.update(received_at=timezone.now() - timedelta(days=8))
    assert warn_sender(office.pk) == ""


# --- the page --------------------------------------------------------------------------------------------


def test_page_says_what_came_back_and_that_the_emails_are_sent(batch: Batch, page: Client) -> None:
    add_reports(batch, (2, 3))
    add_reports(batch, (4,), ReturnClass.BLOCKED)
    add_reports(batch, (5,), kind=ReturnKind.COMPLAINED, text="")
    words = words_of(page, batch)
    assert "Sent 20" in words
    assert "3 came back: 2 gone, 1 blocked by example.com. 1 complained." in words
    assert "Came back 3" in words
    assert "Complained 1" in words
    assert "1 email was blocked by example.com." in words


@pytest.mark.parametrize(
    ("state", "rows"), [("returned", [2, 4]), ("complained", [3, 4]), ("sent", list(range(2, 22)))]
)
def test_tab_lists_the_emails_that_came_back_with_the_answer(
    batch: Batch, page: Client, state: str, rows: list[int]
) -> None:
    add_reports(batch, (2, 4), text="5.1.1 <i>nobody</i> here")
    add_reports(batch, (3, 4), kind=ReturnKind.COMPLAINED, text="", status_code="")
    html = page.get(reverse("batch", args=[batch.pk]) + f"?status={state}").content.decode()
    assert [int(row) for row in re.findall(r"person(\d+)@example.org", html)] == rows
    assert "5.1.1 &lt;i&gt;nobody&lt;/i&gt; here" in html
    assert "<i>nobody" not in html
    assert '<span class="pill" data-status="sent">' in html
    if state != "sent":
        assert f'<span class="pill" data-status="{state}">' in html


def test_no_tab_is_shown_when_nothing_came_back(batch: Batch, page: Client) -> None:
    html = page.get(reverse("batch", args=[batch.pk])).content.decode()
    assert "?status=returned" not in html
    assert re.search(r'data-some="returned" hidden>', html)


def test_list_of_batches_counts_what_came_back(batch: Batch, page: Client) -> None:
    add_reports(batch, (2, 3))
    text = page.get(reverse("batches")).content.decode()
    assert "2 came back" in " ".join(re.sub(r"<[^>]+>", "", text).split())


def test_page_is_as_many_queries_when_many_emails_came_back(batch: Batch, page: Client) -> None:
    add_reports(batch, (2,))
    address = reverse("batch", args=[batch.pk])
    with CaptureQueriesContext(connection) as one:
        page.get(address)
    add_reports(batch, range(3, 20))
    with CaptureQueriesContext(connection) as many:
        page.get(address)
    assert len(many) == len(one)


# --- the API ---------------------------------------------------------------------------------------------


def test_api_counts_what_came_back_and_lists_it(batch: Batch, page: Client) -> None:
    add_reports(batch, (2, 3), text="No such user")
    add_reports(batch, (4,), kind=ReturnKind.COMPLAINED, status_code="")
    add_reports(batch, (5,), kind=ReturnKind.AUTO_REPLY)
    described = page.get(f"/api/batches/{batch.pk}").json()
    assert (described["sentCount"], described["returnedCount"], described["complainedCount"]) == (20, 2, 1)
    for query in ("state=returned", "status=returned"):
        items = page.get(f"/api/batches/{batch.pk}/emails?{query}").json()["items"]
        assert [(item["row"], item["status"], item["returned"]) for item in items] == [
            (2, "sent", "gone"),
            (3, "sent", "gone"),
        ]
    assert items[0]["returnedText"] == "5.1.1 No such user"
    assert items[0]["returnedAt"] == items[0]["returns"][0]["receivedAt"]
    assert items[0]["returns"][0] == {
        "kind": "bounced",
        "returnClass": "gone",
        "statusCode": "5.1.1",
        "text": "No such user",
        "domain": "example.com",
        "door": "imap",
        "happenedAt": None,
        "receivedAt": items[0]["returnedAt"],
    }
    [complaint] = page.get(f"/api/batches/{batch.pk}/emails?state=complained").json()["items"]
    assert (complaint["row"], complaint["returned"]) == (4, "complained")
    everything = page.get(f"/api/batches/{batch.pk}/emails").json()["items"]
    away = next(item for item in everything if item["row"] == 5)
    assert (away["returned"], [each["kind"] for each in away["returns"]]) == (None, ["auto_reply"])
    assert page.get(f"/api/batches/{batch.pk}/emails?state=nonsense").status_code == 422


def test_snapshot_has_the_counts(batch: Batch) -> None:
    add_reports(batch, (2, 3))
    add_reports(batch, (4,), kind=ReturnKind.COMPLAINED)
    snapshot = read_snapshot(batch.pk)
    assert snapshot is not None
    assert (snapshot["sent"], snapshot["returned"], snapshot["complained"]) == (20, 2, 1)


def test_emails_are_filtered_by_status_and_by_state_when_a_request_has_both(batch: Batch, page: Client) -> None:
    add_reports(batch, (2, 3))
    add_reports(batch, (3, 4), kind=ReturnKind.COMPLAINED)
    rows = {
        query: [item["row"] for item in page.get(f"/api/batches/{batch.pk}/emails?{query}").json()["items"]]
        for query in ("status=sent&state=returned", "status=returned&state=complained", "status=failed&state=returned")
    }
    assert list(rows.values()) == [[2, 3], [3], []]


def test_newest_reports_of_each_kind_are_read_when_a_mailbox_answers_again_and_again(batch: Batch) -> None:
    add_reports(batch, (2,), ReturnClass.FULL)
    for _ in range(READ_PER_KIND + 5):
        add_reports(batch, (2,), kind=ReturnKind.AUTO_REPLY)
    email_id = batch.emails.get(row=2).pk
    newest = Return.objects.filter(email=email_id, kind=ReturnKind.AUTO_REPLY).order_by("-pk")[:READ_PER_KIND]
    reports = read_returns([email_id])[email_id]
    assert [each.pk for each in reports[1:]] == sorted(each.pk for each in newest)
    chosen = choose_return(reports)
    assert chosen is not None and chosen.return_class == ReturnClass.FULL


def test_refusal_in_the_session_is_no_report(batch: Batch) -> None:
    add_reports(batch, (2,), kind=ReturnKind.REFUSED)
    assert read_returns([batch.emails.get(row=2).pk]) == {}
