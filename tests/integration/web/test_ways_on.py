"""The ways on from a batch: another time, now, back to a draft, a copy."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from batches.jobs import approvals, creation, lifecycle
from batches.models import (
    ApprovalStatus,
    AuditAction,
    AuditEntry,
    Batch,
    BatchStatus,
    EmailStatus,
    EmailTemplate,
    JobStatus,
)
from tests.conftest import MakeBatch, MakeJob, MakeUser
from tests.integration.accounts.test_proof import make_proof_older
from tests.integration.web.test_users import sign_in


@pytest.fixture
def scheduled(make_batch: MakeBatch, welcome: EmailTemplate, sender: User) -> Batch:
    batch = make_batch(pending=3)
    creation.create_job(batch, template=welcome, user=sender, scheduled_at=timezone.now() + timedelta(days=1))
    return batch


def press(page: Client, batch: Batch, action: str, **posted: str) -> str:
    answer = page.post(reverse("batch-steer", args=[batch.pk, action]), posted, follow=True)
    assert answer.status_code == 200
    batch.refresh_from_db()
    return str(answer.content.decode())


def test_time_is_changed_when_the_batch_waits_for_it(page: Client, scheduled: Batch) -> None:
    typed = {"scheduled_at": "2099-03-31T09:00", "scheduled_at_zone": "Europe/Berlin"}
    text = press(page, scheduled, "time", **typed)
    assert re.search(r'The new time is <time [^>]*title="31 March 2099, 07:00:00 UTC">', text)
    job = scheduled.jobs.get()
    assert (job.status, job.scheduled_at) == (JobStatus.SCHEDULED, datetime(2099, 3, 31, 7, 0, tzinfo=UTC))
    assert AuditEntry.objects.filter(action=AuditAction.RESCHEDULE, batch_id=scheduled.pk).exists()


AN_HOUR_AGO = f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%MZ}"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Choose the time first."),
        ("2001-01-01T09:00", "has passed"),
        (AN_HOUR_AGO, "has passed"),
        ("9999-12-31T23:59", "a hundred years"),
        ("0001-01-01T00:00", "has passed"),
        ("1969-12-31T23:59", "has passed"),
    ],
)
def test_time_stays_when_the_other_can_not_be_used(page: Client, scheduled: Batch, typed: str, sentence: str) -> None:
    before = scheduled.jobs.get().scheduled_at
    assert sentence in press(page, scheduled, "time", scheduled_at=typed)
    assert scheduled.jobs.get().scheduled_at == before


@pytest.mark.parametrize("action", ["time", "send-now"])
def test_time_stays_when_the_proof_is_old(scheduled: Batch, sender: User, settings: LazySettings, action: str) -> None:
    """Another time may be in a minute. Who has found an open browser must not send to everybody by it."""
    settings.REAUTHENTICATE_ABOVE = 2
    client = sign_in(sender)
    make_proof_older(client, seconds=3600)
    before = scheduled.jobs.get().scheduled_at
    answer = client.post(reverse("batch-steer", args=[scheduled.pk, action]), {"scheduled_at": "2099-03-31T09:00"})
    assert answer.headers["Location"].startswith("/accounts/reauthenticate/")
    assert scheduled.jobs.get().scheduled_at == before


def test_batch_is_no_draft_when_its_job_has_begun(page: Client, scheduled: Batch) -> None:
    """Even if a clock that was wrong made it wait once more: a draft would be sent to the same people again."""
    scheduled.jobs.update(started_at=timezone.now())
    for action in ("time", "send-now", "draft"):
        text = press(page, scheduled, action, scheduled_at="2099-03-31T09:00")
        assert "does not wait for its time any more" in text
    assert scheduled.jobs.get().status == JobStatus.SCHEDULED


def test_choice_is_offered_when_the_other_time_comes_twice(page: Client, scheduled: Batch) -> None:
    before = scheduled.jobs.get().scheduled_at
    typed = {"scheduled_at": "2099-10-25T02:30", "scheduled_at_zone": "Europe/Berlin"}
    text = press(page, scheduled, "time", **typed)
    assert "so 02:30 comes twice. Choose which one." in text
    assert scheduled.jobs.get().scheduled_at == before
    form = text[text.index("/time/") :]
    assert 'value="2099-10-25T02:30"' in form and 'value="Europe/Berlin"' in form
    assert re.search(r'<details class="confirm safe"[^>]* open>', text)
    assert re.search(r'<option value="second">the second 02:30 \(UTC\+1\)', form)
    press(page, scheduled, "time", **typed, scheduled_at_which="second")
    assert scheduled.jobs.get().scheduled_at == datetime(2099, 10, 25, 1, 30, tzinfo=UTC)


def test_batch_begins_when_it_is_sent_now(page: Client, scheduled: Batch) -> None:
    press(page, scheduled, "send-now")
    assert (scheduled.status, scheduled.jobs.get().status) == (BatchStatus.PENDING, JobStatus.QUEUED)


def test_action_is_refused_when_the_time_has_come_meanwhile(page: Client, scheduled: Batch) -> None:
    scheduled.jobs.update(scheduled_at=timezone.now())
    assert lifecycle.start_due_job(scheduled.jobs.get().pk)
    for action in ("time", "send-now", "draft"):
        text = press(page, scheduled, action, scheduled_at="2099-03-31T09:00")
        assert "does not wait for its time any more" in text
    assert scheduled.status == BatchStatus.PENDING


def test_scheduled_batch_is_a_draft_again_when_it_is_taken_back(page: Client, scheduled: Batch) -> None:
    scheduled.emails.filter(row=2).update(status=EmailStatus.SUPPRESSED, reply="on the list")
    Batch.objects.filter(pk=scheduled.pk).update(suppressed_count=1)
    text = press(page, scheduled, "draft")
    assert "is a draft again. Nothing was sent." in text
    assert "Review before sending" in text
    assert scheduled.status == BatchStatus.DRAFT
    assert scheduled.suppressed_count == 0
    assert not scheduled.jobs.exists()
    assert set(scheduled.emails.values_list("status", flat=True)) == {EmailStatus.PENDING}


def test_draft_can_be_sent_again_after_it_was_taken_back(
    page: Client, scheduled: Batch, welcome: EmailTemplate, sender: User
) -> None:
    press(page, scheduled, "draft")
    job = creation.create_job(scheduled, template=welcome, user=sender)
    assert (job.status, job.total_count) == (JobStatus.QUEUED, 3)


@pytest.fixture
def approved(
    make_batch: MakeBatch, welcome: EmailTemplate, sender: User, make_user: MakeUser, settings: LazySettings
) -> Batch:
    settings.APPROVAL_ABOVE = 2
    batch = make_batch(pending=3)
    with pytest.raises(creation.ApprovalAsked) as asked:
        creation.create_job(batch, template=welcome, user=sender, scheduled_at=timezone.now() + timedelta(days=1))
    approvals.approve(batch, digest=asked.value.approval.digest, by=make_user("boss", "Approvers"))
    return batch


@pytest.mark.parametrize("action", ["time", "send-now"])
def test_time_stays_when_it_was_approved(page: Client, approved: Batch, action: str) -> None:
    before = approved.jobs.get().scheduled_at
    assert "approved for its time" in press(page, approved, action, scheduled_at="2099-03-31T09:00")
    assert (approved.status, approved.jobs.get().scheduled_at) == (BatchStatus.SCHEDULED, before)


def test_approval_is_void_when_the_batch_is_taken_back(
    page: Client, approved: Batch, welcome: EmailTemplate, sender: User
) -> None:
    press(page, approved, "draft")
    assert approved.approvals.get().status == ApprovalStatus.VOID
    with pytest.raises(creation.ApprovalAsked):
        creation.create_job(approved, template=welcome, user=sender)
    assert not approved.jobs.exists()


def test_copy_is_a_draft_with_the_same_recipients(page: Client, make_batch: MakeBatch, make_job: MakeJob) -> None:
    batch = make_batch(BatchStatus.CANCELLED, sent=1, failed=1, cancelled=2)
    job = make_job(batch, JobStatus.CANCELLED, completed_at=timezone.now())
    type(job).objects.filter(pk=job.pk).update(subject="Another subject")
    batch.emails.filter(row=5).update(address="")  # somebody was erased
    text = press(page, batch, "copy")
    copy = Batch.objects.latest("pk")
    assert copy.pk != batch.pk
    assert (copy.status, copy.total_count, copy.title) == (BatchStatus.DRAFT, 3, "Copy of list.csv")
    assert list(copy.emails.order_by("row").values_list("row", "address", "fields", "status")) == [
        (row, f"person{row}@example.org", [f"Person {row}"], EmailStatus.PENDING) for row in (2, 3, 4)
    ]
    assert "This is a new draft with the list of" in text
    assert "Another subject" in text
    assert batch.status == BatchStatus.CANCELLED


def test_copy_says_when_the_template_was_changed_since(
    page: Client, make_batch: MakeBatch, make_job: MakeJob, welcome: EmailTemplate
) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=1)
    make_job(batch, JobStatus.COMPLETED, completed_at=timezone.now())
    assert "The template was changed" not in press(page, batch, "copy")
    EmailTemplate.objects.filter(pk=welcome.pk).update(text="Other")
    assert "The template was changed" in press(page, batch, "copy")


def test_copy_is_refused_when_the_addresses_were_removed(
    page: Client, make_batch: MakeBatch, make_job: MakeJob
) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=1)
    make_job(batch, JobStatus.COMPLETED, completed_at=timezone.now())
    batch.emails.update(address="", fields=[])
    assert "there is no list to copy" in press(page, batch, "copy")
    assert Batch.objects.count() == 1


def test_copy_is_refused_when_a_purge_has_begun(page: Client, make_batch: MakeBatch, make_job: MakeJob) -> None:
    """It empties the list part by part: the copy of what is left would be taken for the whole list."""
    batch = make_batch(BatchStatus.COMPLETED, sent=3)
    make_job(batch, JobStatus.COMPLETED, completed_at=timezone.now())
    Batch.objects.filter(pk=batch.pk).update(purged_at=timezone.now())
    batch.emails.filter(row=2).update(address="")
    assert "there is no list to copy" in press(page, batch, "copy")
    assert Batch.objects.count() == 1


def test_actions_are_not_found_when_the_batch_is_another_users(scheduled: Batch, make_user: MakeUser) -> None:
    stranger = Client()
    stranger.force_login(make_user("stranger", "Senders"))
    for action in ("time", "send-now", "draft", "copy"):
        assert stranger.post(reverse("batch-steer", args=[scheduled.pk, action])).status_code == 404
