"""A lane claims each email once and finds all of them, and a job ends when none is left."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connection

from batches.delivery.policy import requeue
from batches.delivery.terms import ClaimedEmail
from batches.jobs import creation, lifecycle, queues
from batches.jobs.run_lane import database_parameters, run_lane
from batches.jobs.sweep import sweep
from batches.models import Email, EmailJob, EmailStatus, EmailTemplate, JobKind, JobStatus
from tests.integration.jobs.conftest import MakeBatch
from tests.integration.jobs.ledgers import (
    CYCLES_MAX,
    LockedLane,
    OpenLedger,
    Run,
    claim_all,
    deferred,
    locked_lane,
    rows_in_flight,
    rows_of,
    sent,
)
from tests.integration.jobs.whole_jobs import wait_for
from tests.smtpserver import RunningServer

Execute = Callable[..., Any]


def has_other_backend() -> bool:
    """Whether PostgreSQL still works for another connection to this database, open or just closed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        return cursor.fetchone() is not None


def count_updates() -> tuple[int, int]:
    """Count the updates of emails so far, and those of them that wrote no index entry."""
    # The backend of a closed connection adds its last updates to the statistics when it ends, shortly afterwards.
    wait_for(lambda: not has_other_backend())
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'batches_email'")
        [(updates, hot)] = cursor.fetchall()
    return updates, hot


# --- claims ----------------------------------------------------------------------------------------------


def test_email_is_written_once_and_without_an_index_entry_when_it_is_sent(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(2000)
    job = creation.create_job(batch, template=template, user=None)
    updates_before, hot_before = count_updates()
    run_lane(lane_id=job.lanes.get(number=0).pk)
    updates, hot = count_updates()
    assert updates - updates_before == 2000
    assert hot - hot_before >= 0.95 * (updates - updates_before)


def test_each_row_is_claimed_once_and_in_order_when_two_lanes_claim(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(1000)
    ledgers = [open_ledger(batch, lane_number=number) for number in (0, 1)]
    rows: tuple[list[int], list[int]] = ([], [])
    for turn in range(CYCLES_MAX):
        rows[turn % 2].extend(rows_of(run(ledgers[turn % 2].cycle(50))))
        assert rows_in_flight(batch) == set(rows[0]) | set(rows[1])
        if all(ledger.is_dry for ledger in ledgers):
            break
    assert sorted(rows[0] + rows[1]) == list(range(2, 1002))
    assert list(rows) == [sorted(rows[0]), sorted(rows[1])]
    assert abs(len(rows[0]) - len(rows[1])) <= 128


def test_first_attempt_is_claimed_once_when_another_transaction_changes_the_email_after_the_snapshot(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(10)
    ledger = open_ledger(batch)

    async def claim(lane: LockedLane) -> list[ClaimedEmail]:
        claiming = asyncio.ensure_future(ledger.cycle(10))
        await lane.await_waiting(1)
        lane.other.execute("UPDATE batches_email SET address = 'new@x.org' WHERE batch_id = %s AND row = 5", [batch.pk])
        lane.unlock()
        return await claiming

    with locked_lane(batch) as lane:
        claimed = run(claim(lane))
    for email in claimed:
        ledger.add(sent(email))
    claimed += run(ledger.cycle(10))
    assert sorted(rows_of(claimed)) == list(range(2, 12))
    assert set(Email.objects.filter(batch=batch).values_list("status", "attempts")) == {(EmailStatus.SENT, 1)}


def test_retry_is_claimed_once_when_another_transaction_is_changing_the_email(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(10)
    ledger = open_ledger(batch)
    for email in run(ledger.cycle(10)):
        ledger.add(deferred(email, seconds=0))
    run(ledger.cycle(0))
    with psycopg.connect(**database_parameters()) as other:
        other.execute("UPDATE batches_email SET address = 'new@x.org' WHERE batch_id = %s AND row = 5", [batch.pk])
        claimed = run(ledger.cycle(10))
    claimed += run(ledger.cycle(10))
    assert sorted(rows_of(claimed)) == list(range(2, 12))
    assert [email.address for email in claimed if email.row == 5] == ["new@x.org"]
    assert set(Email.objects.filter(batch=batch).values_list("status", "attempts")) == {(EmailStatus.SENDING, 2)}


def test_requeued_and_deferred_emails_are_claimed_before_the_rest_when_the_cursor_has_passed_them(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(make_batch(100))
    first, *rest = run(ledger.cycle(10))
    ledger.add(requeue(first))
    ledger.add(deferred(rest[0], seconds=0))
    ledger.add(deferred(rest[1], seconds=3600))
    assert run(ledger.cycle(0)) == []
    claimed = run(ledger.cycle(3))
    assert [(email.row, email.attempts) for email in claimed] == [(first.row, 1), (rest[0].row, 2), (12, 1)]


def test_lane_is_not_dry_when_the_cursor_has_passed_a_retry_that_was_locked(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(10)
    ledger = open_ledger(batch)
    assert len(list(claim_all(run, ledger, places=10))) == 10  # no untried row is left from here on
    for email in list(ledger.in_flight.values()):
        ledger.add(deferred(email, seconds=0))
    run(ledger.cycle(0))
    with psycopg.connect(**database_parameters()) as other:
        other.execute(
            "SELECT FROM batches_email WHERE batch_id = %s ORDER BY next_attempt_at, id LIMIT 1 FOR UPDATE", [batch.pk]
        )
        assert len(run(ledger.cycle(9))) == 9
        assert run(ledger.cycle(9)) == []
        assert not ledger.is_dry
    assert len(run(ledger.cycle(9))) == 1
    assert run(ledger.cycle(9)) == []
    assert ledger.is_dry


# --- row ranges ------------------------------------------------------------------------------------------


def test_lane_claims_retries_first_and_untried_rows_later_when_the_job_is_locked(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(300)
    ledger = open_ledger(batch)
    first = run(ledger.cycle(128))
    ledger.add(requeue(first[0]))
    run(ledger.cycle(0))
    with psycopg.connect(**database_parameters()) as other:
        other.execute("SELECT FROM batches_emailjob WHERE batch_id = %s FOR UPDATE", [batch.pk])
        assert rows_of(run(ledger.cycle(10))) == [first[0].row]
        assert run(ledger.cycle(10)) == []
        assert not ledger.is_dry
    assert rows_of(run(ledger.cycle(10))) == list(range(130, 140))


def test_next_holder_continues_with_the_row_range_when_its_lane_was_released(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(300)
    ledger = open_ledger(batch)
    for email in run(ledger.cycle(10)):
        ledger.add(sent(email))
    run(ledger.cycle(0))
    run(ledger.release())
    job = batch.jobs.get()
    Email.objects.filter(batch=batch, row__gt=job.handed_out_to_row).update(status=EmailStatus.SENT)
    assert not lifecycle.finish_job(job.pk)
    queues.client().flushall()
    assert sweep().enqueued == 1  # the other lanes have no row range, and the list has none left for them
    assert rows_of(run(open_ledger(batch).cycle(10))) == list(range(12, 22))


def test_lane_continues_at_its_row_when_the_job_was_paused_meanwhile(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(100)
    ledger = open_ledger(batch)
    for email in run(ledger.cycle(10)):
        ledger.add(sent(email))
    lifecycle.pause_batch(batch)
    assert run(ledger.cycle(10)) == []
    assert ledger.is_halted
    run(ledger.release())
    lifecycle.resume_batch(batch)
    assert rows_of(run(open_ledger(batch).cycle(5))) == list(range(12, 17))


def test_no_lane_searches_the_list_again_when_no_untried_row_is_left(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(3000)
    Email.objects.filter(batch=batch, row__gt=5).update(status=EmailStatus.SENT)
    assert list(claim_all(run, open_ledger(batch), places=64)) == [2, 3, 4, 5]
    job = batch.jobs.get()
    assert (job.handed_out_to_row, job.status) == (3001, JobStatus.PROCESSING)


# --- replays ---------------------------------------------------------------------------------------------


def test_all_rows_are_claimed_when_the_replayed_emails_are_far_apart(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(3000)
    Email.objects.filter(batch=batch).exclude(row__in=(2, 700, 701, 2500, 3001)).update(status=EmailStatus.SENT)
    assert list(claim_all(run, open_ledger(batch), places=64)) == [2, 700, 701, 2500, 3001]


def test_replayed_email_has_all_its_attempts_again_when_it_failed_after_its_last(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(addresses=["a-ra@x.org", "fail-550-once-ra@x.org"])
    first = creation.create_job(batch, template=template, user=None)
    run_lane(lane_id=first.lanes.get().pk)
    sweep()
    Email.objects.filter(batch=batch, status=EmailStatus.FAILED).update(attempts=3)
    job = creation.replay_batch(batch, which=JobKind.FAILED, user=None)
    run_lane(lane_id=job.lanes.get().pk)
    job.refresh_from_db()
    assert (job.status, job.sent_count) == (JobStatus.COMPLETED, 1)
    assert Email.objects.get(batch=batch, address__startswith="fail").attempts == 1


# --- the end of a job ------------------------------------------------------------------------------------


def test_job_is_not_over_when_one_email_is_still_in_flight(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(3)
    ledger = open_ledger(batch)
    for email in run(ledger.cycle(10)):
        ledger.add(sent(email))
    job = EmailJob.objects.get(batch=batch)
    assert not lifecycle.finish_job(job.pk)
    run(ledger.cycle(0))
    run(ledger.release())
    assert lifecycle.finish_job(job.pk)


def test_job_continues_when_no_lane_has_claimed_an_email(
    make_batch: MakeBatch, template: EmailTemplate, caplog: pytest.LogCaptureFixture
) -> None:
    batch = make_batch(10)
    job = creation.create_job(batch, template=template, user=None)
    EmailJob.objects.filter(pk=job.pk).update(handed_out_to_row=100)  # wrong, because nothing was sent
    assert not lifecycle.finish_job(job.pk)
    assert "10 emails that no lane claimed" in caplog.text
    job.refresh_from_db()
    assert (job.handed_out_to_row, job.completed_at) == (0, None)
    assert Email.objects.filter(batch=batch, status=EmailStatus.PENDING).count() == 10


def test_cancel_does_not_report_unclaimed_emails_when_the_last_lane_ends_meanwhile(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger, caplog: pytest.LogCaptureFixture
) -> None:
    batch = make_batch(100)
    ledger = open_ledger(batch)
    for email in run(ledger.cycle(10)):
        ledger.add(sent(email))
    run(ledger.cycle(0))

    def release_after_cancelling(execute: Execute, statement: str, *rest: Any) -> Any:
        result = execute(statement, *rest)
        if statement.startswith('UPDATE "batches_email"'):
            run(ledger.release())
        return result

    with connection.execute_wrapper(release_after_cancelling):
        lifecycle.cancel_batch(batch)
    job = batch.jobs.get()
    assert (job.completed_at, job.lanes.filter(lease_until=None).count()) == (None, job.lanes.count())
    assert lifecycle.finish_job(job.pk)
    assert "no lane claimed" not in caplog.text
    counts = Counter(Email.objects.filter(batch=batch).values_list("status", flat=True))
    assert counts == {EmailStatus.CANCELLED: 90, EmailStatus.SENT: 10}
