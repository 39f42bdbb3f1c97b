"""The page of one recipient of a batch."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from batches.models import Attempt, Batch, BatchStatus, JobKind, JobStatus, Lane, SuppressionReason
from batches.outcomes import Outcome
from batches.suppressions import suppress
from tests.conftest import MakeBatch, MakeJob, MakeUser


@pytest.fixture
def replayed(make_batch: MakeBatch, make_job: MakeJob) -> Batch:
    """A batch with one recipient in row 2, who got the mail with the second job."""
    batch = make_batch(BatchStatus.COMPLETED, sent=1)
    email = batch.emails.get()
    for number, (kind, outcome) in enumerate([(JobKind.FIRST, Outcome.FAILED), (JobKind.FAILED, Outcome.SENT)]):
        job = make_job(batch, JobStatus.COMPLETED, kind=kind, completed_at=timezone.now())
        lane = Lane.objects.create(job=job, number=0)
        reply = "mailbox is full" if number == 0 else "queued"
        Attempt.objects.create(email=email, lane=lane, number=1, outcome=outcome, code=250, reply=reply)
        batch.emails.update(attempts=1, lane=lane, reply=reply, completed_at=timezone.now())
    return batch


def show(client: Client, batch: Batch, row: int = 2) -> str:
    return client.get(reverse("recipient", args=[batch.pk, row])).content.decode()


def test_attempts_of_every_job_are_listed_when_the_batch_was_replayed(page: Client, replayed: Batch) -> None:
    html = show(page, replayed)
    jobs = [job.pk for job in replayed.jobs.order_by("pk")]
    assert html.index("mailbox is full") < html.index(f"(job {jobs[1]})")
    assert f'First send <span class="soft">(job {jobs[0]})' in html
    assert f'Replay of the failed <span class="soft">(job {jobs[1]})' in html
    assert "The mail was sent: the mail server accepted it." in html


def test_name_address_and_message_are_shown_when_the_mail_was_sent(page: Client, replayed: Batch) -> None:
    html = show(page, replayed)
    assert "<h1>Person 2</h1>" in html and "person2@example.org" in html
    assert "Hello Person 2" in html
    assert reverse("recipient-message", args=[replayed.pk, 2]) in html


def test_reason_is_shown_when_the_address_is_on_the_do_not_send_list(page: Client, replayed: Batch) -> None:
    suppress("person2@example.org", reason=SuppressionReason.COMPLAINED)
    assert "on the do-not-send list now: complained" in show(page, replayed)


def test_recipient_is_not_found_when_the_batch_is_of_another_user(make_user: MakeUser, replayed: Batch) -> None:
    client = Client()
    client.force_login(make_user("other", "Senders"))
    assert client.get(reverse("recipient", args=[replayed.pk, 2])).status_code == 404


def test_recipient_is_not_found_when_no_row_has_the_number(page: Client, replayed: Batch) -> None:
    assert page.get(reverse("recipient", args=[replayed.pk, 77])).status_code == 404


def test_page_says_so_when_the_address_was_removed(page: Client, replayed: Batch, sender: User) -> None:
    replayed.emails.update(address="", fields=[""], reply="")
    html = show(page, replayed)
    assert "A recipient whose address was removed" in html


def test_rows_lead_to_the_recipients_when_a_batch_is_shown(page: Client, replayed: Batch) -> None:
    html = page.get(reverse("batch", args=[replayed.pk])).content.decode()
    assert f'href="{reverse("recipient", args=[replayed.pk, 2])}"' in html
    assert "<bdi>Person 2</bdi>" in html
