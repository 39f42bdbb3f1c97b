"""The buttons of a batch."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from batches.models import BatchStatus, JobKind, JobStatus
from tests.conftest import MakeBatch, MakeJob


def press(page: Client, batch_id: int, action: str) -> str:
    """Press a button, and return the page that the browser is sent to."""
    answer = page.post(reverse("batch-steer", args=[batch_id, action]), follow=True)
    assert answer.redirect_chain == [(reverse("batch", args=[batch_id]), 302)]
    return answer.content.decode()


@pytest.mark.parametrize(
    ("before", "job_before", "action", "after"),
    [
        (BatchStatus.PROCESSING, JobStatus.PROCESSING, "pause", BatchStatus.PAUSED),
        (BatchStatus.PAUSED, JobStatus.PAUSED, "resume", BatchStatus.PENDING),
        (BatchStatus.PROCESSING, JobStatus.PROCESSING, "cancel", BatchStatus.CANCELLED),
    ],
)
def test_button_changes_the_status_of_the_batch(
    before: BatchStatus,
    job_before: JobStatus,
    action: str,
    after: BatchStatus,
    page: Client,
    make_batch: MakeBatch,
    make_job: MakeJob,
) -> None:
    batch = make_batch(before, pending=3)
    make_job(batch, job_before)
    text = press(page, batch.pk, action)
    batch.refresh_from_db()
    assert batch.status == after
    assert ("Resumed. The rest is being sent." in text) == (action == "resume")


def test_cancel_asks_with_what_comes_after_it(page: Client, make_batch: MakeBatch, make_job: MakeJob) -> None:
    batch = make_batch(BatchStatus.PROCESSING, pending=3)
    make_job(batch, JobStatus.PROCESSING)
    text = page.get(reverse("batch", args=[batch.pk])).content.decode()
    assert 'People who have not got the email yet: <b data-number="pending">3</b>.<br>They will not get it.' in text
    assert "Stop sending" in text and "Keep sending" in text
    assert "be undone" not in text


@pytest.mark.parametrize(("action", "kind"), [("replay-failed", JobKind.FAILED), ("replay-unknown", JobKind.UNKNOWN)])
def test_replay_sends_only_the_emails_of_its_kind(
    action: str, kind: JobKind, page: Client, make_batch: MakeBatch, make_job: MakeJob
) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=3, failed=2, unknown=2)
    make_job(batch, JobStatus.COMPLETED, completed_at=timezone.now())
    assert "2 emails are being sent again." in press(page, batch.pk, action)
    job = batch.jobs.get(completed_at=None)
    assert (job.kind, job.total_count) == (kind, 2)


def test_refusal_is_shown_when_the_batch_has_ended(page: Client, make_batch: MakeBatch) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=1)
    assert "can&#x27;t be paused now" in press(page, batch.pk, "pause")


def test_unknown_action_is_not_found(page: Client, make_batch: MakeBatch) -> None:
    assert page.post(reverse("batch-steer", args=[make_batch(sent=1).pk, "explode"])).status_code == 404


def test_link_leads_to_the_batch_and_changes_nothing(page: Client, make_batch: MakeBatch, make_job: MakeJob) -> None:
    batch = make_batch(BatchStatus.PROCESSING, pending=1)
    make_job(batch, JobStatus.PROCESSING)
    answer = page.get(reverse("batch-steer", args=[batch.pk, "cancel"]))
    assert answer.headers["Location"] == reverse("batch", args=[batch.pk])
