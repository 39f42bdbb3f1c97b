"""What is kept of the emails that were left out: their reasons, and where they are in the list."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches import paging, state_search
from batches.jobs import left_out
from batches.jobs.left_out import read_left_out, remember_left_out
from batches.models import Batch, BatchStatus, EmailStatus, JobStatus, SuppressionReason
from batches.progress import Snapshot, read_snapshot
from batches.suppressions import REPLIES
from tests.conftest import MakeBatch, MakeJob


@pytest.fixture
def batch(make_batch: MakeBatch, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> Batch:
    """Rows 2 to 5 are sent, 6 to 8 suppressed and 9 and 10 cancelled. It counts as large."""
    monkeypatch.setattr(left_out, "SMALL_ROWS", 5)
    monkeypatch.setattr(state_search, "SMALL_ROWS", 5)
    made = make_batch(BatchStatus.CANCELLED, sent=4, suppressed=3, cancelled=2)
    make_job(made, JobStatus.CANCELLED, completed_at=timezone.now())
    made.emails.filter(row__in=(6, 8)).update(reply=REPLIES[SuppressionReason.BOUNCED])
    made.emails.filter(row=7).update(reply=REPLIES[SuppressionReason.MANUAL])
    return made


def snapshot_of(batch: Batch) -> Snapshot:
    now = read_snapshot(batch.pk)
    assert now is not None
    return now


def find_rows(batch: Batch, state: EmailStatus) -> list[int]:
    walk = state_search.find_in_states(batch, [state], snapshot_of(batch))
    return [email.row for email in paging.cut(walk, order=["row"], cursor="", size=50)[0]]


def test_reasons_and_rows_are_kept_when_somebody_looks_first(batch: Batch) -> None:
    found = read_left_out(batch, snapshot_of(batch))
    assert list(found.reasons.items()) == [("bounced", 2), ("manual", 1)]
    assert (sorted(found.suppressed_rows or []), found.suppressed_from, found.cancelled_from) == ([6, 7, 8], 6, 9)
    batch.refresh_from_db()
    with CaptureQueriesContext(connection) as queries:
        assert read_left_out(batch, snapshot_of(batch)) == found
    assert not any("batches_email e" in each["sql"] for each in queries)


def test_answer_is_kept_by_the_end_of_a_job(batch: Batch) -> None:
    remember_left_out(batch.pk)
    batch.refresh_from_db()
    assert batch.left_out is not None


def test_emails_are_read_again_when_more_were_left_out(batch: Batch) -> None:
    read_left_out(batch, snapshot_of(batch))
    batch.emails.filter(row=2).update(status=EmailStatus.SUPPRESSED, reply=REPLIES[SuppressionReason.ERASED])
    Batch.objects.filter(pk=batch.pk).update(suppressed_count=4, sent_count=3)
    batch.refresh_from_db()
    assert read_left_out(batch, snapshot_of(batch)).reasons == {"bounced": 2, "erased": 1, "manual": 1}


@pytest.mark.parametrize("rows_kept", [1_000, 2])
def test_tabs_have_the_emails_that_were_left_out(batch: Batch, monkeypatch: pytest.MonkeyPatch, rows_kept: int) -> None:
    monkeypatch.setattr(left_out, "ROWS_KEPT", rows_kept)
    assert find_rows(batch, EmailStatus.SUPPRESSED) == [6, 7, 8]
    batch.refresh_from_db()
    assert find_rows(batch, EmailStatus.CANCELLED) == [9, 10]
    found = read_left_out(batch, snapshot_of(batch))
    assert (found.suppressed_rows is None) == (rows_kept == 2)


def test_small_batch_keeps_nothing(make_batch: MakeBatch) -> None:
    made = make_batch(BatchStatus.COMPLETED, sent=1, suppressed=1)
    remember_left_out(made.pk)
    assert read_left_out(made, snapshot_of(made)).reasons == {"": 1}
    made.refresh_from_db()
    assert made.left_out is None
