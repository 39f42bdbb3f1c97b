"""The emails in a state are found by what is known of them, and not by reading the batch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from batches import paging
from batches.models import Attempt, Batch, BatchStatus, Email, EmailStatus, JobStatus, Lane, sql
from batches.outcomes import Outcome
from batches.paging import Walk, walk_indexes
from batches.progress import Snapshot, read_snapshot
from batches.state_search import FEW, OPEN_STATUSES, find_in_states
from tests.conftest import MakeBatch, MakeJob
from tests.integration.models.conftest import ROWS
from tests.integration.models.conftest import large_batch as large_batch
from tests.integration.models.plans import blocks_of, plan_of, plan_of_emails

LATER = datetime(2030, 1, 2, tzinfo=UTC)
HALF = ROWS // 2


def snapshot_of(batch: Batch) -> Snapshot:
    snapshot = read_snapshot(batch.pk)
    assert snapshot is not None
    return snapshot


def rows_of(walk: Walk[Email], *, cursor: str = "", size: int = 500) -> list[int]:
    return [email.row for email in paging.cut(walk, order=["row"], cursor=cursor, size=size)[0]]


def find_rows(batch: Batch, *states: EmailStatus) -> list[int]:
    return rows_of(find_in_states(batch, states, snapshot_of(batch)))


@pytest.fixture
def live(make_batch: MakeBatch, make_job: MakeJob) -> Batch:
    """A lane has claimed rows 4, 5, 7 and 9. Rows 2 and 3 are done, and rows 6 and 7 were attempted before."""
    batch = make_batch(BatchStatus.PROCESSING, pending=10)
    job = make_job(batch, JobStatus.PROCESSING, handed_out_to_row=9)
    lane = Lane.objects.create(
        job=job, number=0, claimed_rows=[4, 5, 7, 9], range_after_row=8, range_end_row=9, sent_count=1, failed_count=1
    )
    batch.emails.filter(row=2).update(status=EmailStatus.SENT, completed_at=LATER, attempts=1)
    batch.emails.filter(row=3).update(status=EmailStatus.FAILED, completed_at=LATER, attempts=1)
    batch.emails.filter(row=6).update(next_attempt_at=LATER, attempts=1)
    batch.emails.filter(row=7).update(status=EmailStatus.SENDING, next_attempt_at=LATER, attempts=2, lane=lane)
    Attempt.objects.create(email=batch.emails.get(row=3), lane=lane, number=1, outcome=Outcome.FAILED)
    Attempt.objects.create(email=batch.emails.get(row=6), lane=lane, number=1, outcome=Outcome.DEFERRED)
    return batch


@pytest.mark.parametrize("state", EmailStatus)
def test_search_finds_what_is_shown_when_a_batch_is_live(live: Batch, state: EmailStatus) -> None:
    shown = live.emails.with_state().order_by("row")
    assert find_rows(live, state) == [email.row for email in shown if email.state == state]


def test_search_finds_every_email_without_an_end_when_both_states_are_wanted(live: Batch) -> None:
    assert find_rows(live, *OPEN_STATUSES) == [4, 5, 6, 7, 8, 9, 10, 11]


def test_pages_are_in_the_order_of_the_list_when_the_search_has_two_parts(live: Batch) -> None:
    walk = find_in_states(live, OPEN_STATUSES, snapshot_of(live))
    assert (rows_of(walk, size=3), rows_of(walk, cursor="6", size=3)) == ([4, 5, 6], [7, 8, 9])


def test_resent_email_is_not_pending_when_a_replay_of_all_is_under_way(live: Batch) -> None:
    live.emails.filter(row__in=[6, 10]).update(sent_before_at=LATER)
    assert find_rows(live, EmailStatus.PENDING) == [8, 11]
    assert find_rows(live, EmailStatus.SENT) == [2, 6, 10]


def test_search_reads_the_list_when_an_attempt_is_missing(live: Batch) -> None:
    Attempt.objects.all().delete()
    assert find_rows(live, EmailStatus.FAILED) == [3]


def test_search_reads_the_list_when_there_are_too_many_attempts(live: Batch) -> None:
    lane, email = Lane.objects.get(), live.emails.get(row=6)
    Attempt.objects.bulk_create(
        Attempt(email=email, lane=lane, number=number, outcome=Outcome.DEFERRED) for number in range(2, FEW + 2)
    )
    assert find_rows(live, EmailStatus.FAILED) == [3]


def test_draft_is_all_pending(make_batch: MakeBatch) -> None:
    draft = make_batch(pending=3)
    assert find_rows(draft, *OPEN_STATUSES) == [2, 3, 4]


def test_nothing_is_asked_when_the_count_is_zero(live: Batch) -> None:
    now = snapshot_of(live)
    assert find_in_states(live, [EmailStatus.UNKNOWN], now).parts == []
    assert find_in_states(live, OPEN_STATUSES, Snapshot(**{**now, "pending": 0})).parts == []


@pytest.fixture
def half_sent(large_batch: Batch) -> Batch:
    """The first half is sent, except three that failed and five that wait for a retry. The statistics know of none."""
    job, now = large_batch.jobs.get(), timezone.now()
    type(job).objects.filter(pk=job.pk).update(handed_out_to_row=HALF)
    Batch.objects.filter(pk=large_batch.pk).update(total_count=ROWS)
    lanes = Lane.objects.filter(job=job)
    lanes.update(range_after_row=HALF, range_end_row=HALF, claimed_rows=[])
    lanes.filter(number=0).update(sent_count=HALF - 8, failed_count=3)
    large_batch.emails.filter(row__lte=HALF).update(status=EmailStatus.SENT, completed_at=now)
    retries = large_batch.emails.filter(row__in=[7, 11, 13, 17, 19])
    retries.update(status=EmailStatus.PENDING, completed_at=None, next_attempt_at=now + timedelta(hours=1))
    failed = large_batch.emails.filter(row__in=[HALF - 1000, HALF - 10, HALF - 1])
    failed.update(status=EmailStatus.FAILED)
    lane = lanes.get(number=0)
    Attempt.objects.bulk_create(
        Attempt(email=email, lane=lane, number=1, outcome=Outcome.FAILED) for email in failed.all()
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO batches_attempt (email_id, lane_id, number, outcome, reply, relay)"
            " SELECT id, %s, 1, 'sent', '', '' FROM batches_email WHERE batch_id = %s AND status = 'sent'",
            [lane.pk, large_batch.pk],
        )
    return large_batch


@pytest.mark.parametrize("states", [[EmailStatus.FAILED], OPEN_STATUSES, [EmailStatus.PENDING], [EmailStatus.SENT]])
def test_page_reads_few_blocks_when_the_batch_is_large(half_sent: Batch, states: list[EmailStatus]) -> None:
    walk = find_in_states(half_sent, states, snapshot_of(half_sent))
    with walk_indexes():
        plans = [plan_of_emails(part.order_by("row")[:51]) for part in walk.parts]
    assert rows_of(walk)
    assert all("Seq Scan on batches_email " not in plan and "Sort" not in plan for plan in plans), plans
    assert sum(map(blocks_of, plans)) < 400, plans


def test_statements_read_few_blocks_when_the_batch_is_large(half_sent: Batch) -> None:
    arguments = {"batch": half_sent.pk, "status": EmailStatus.FAILED.value, "limit": FEW}
    by_attempts = plan_of(sql.ROWS_WITH_ATTEMPTS, arguments)
    assert "attempt_not_sent" in by_attempts and blocks_of(by_attempts) < 100, by_attempts
    with walk_indexes():
        open_rows = plan_of(sql.OPEN_ROWS, arguments)
    assert "email_retry" in open_rows and blocks_of(open_rows) < 100, open_rows
