"""What a lane claims, and when its job is over, without an index on the state of an email."""

from __future__ import annotations

import asyncio
from collections import Counter

import psycopg
import pytest
from django.db import connection

from batches.delivery.policy import requeue
from batches.delivery.terms import ClaimedEmail
from batches.jobs import creation, lifecycle, queues
from batches.jobs.run_lane import database_parameters, run_lane
from batches.jobs.sweep import sweep
from batches.models import (
    Email,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    JobKind,
    JobStatus,
)
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
    sent,
)
from tests.smtpserver import RunningServer


def count_updates() -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'batches_email'")
        updates, hot = cursor.fetchone()
    return updates, hot


def test_an_email_is_written_once_and_no_index_entry_with_it_when_it_is_sent(
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
        claimed = run(ledgers[turn % 2].cycle(50))
        rows[turn % 2].extend(each.row for each in claimed)
        assert rows_in_flight(batch) == set(rows[0]) | set(rows[1])
        if all(ledger.is_dry for ledger in ledgers):
            break
    assert sorted(rows[0] + rows[1]) == list(range(2, 1002))
    assert list(rows) == [sorted(rows[0]), sorted(rows[1])]
    assert abs(len(rows[0]) - len(rows[1])) <= 128


def test_lane_goes_on_with_the_retries_and_comes_back_when_the_list_is_being_handed_to_another(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(300)
    ledger = open_ledger(batch)
    first = run(ledger.cycle(128))
    ledger.add(requeue(first[0]))
    run(ledger.cycle(0))
    with psycopg.connect(**database_parameters()) as other:
        other.execute("SELECT FROM batches_emailjob WHERE batch_id = %s FOR UPDATE", [batch.pk])
        assert [each.row for each in run(ledger.cycle(10))] == [first[0].row]
        assert run(ledger.cycle(10)) == []
        assert not ledger.is_dry
    assert [each.row for each in run(ledger.cycle(10))] == list(range(130, 140))


def test_next_holder_goes_on_with_the_stretch_when_its_lane_was_given_back(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(300)
    ledger = open_ledger(batch)
    for claimed in run(ledger.cycle(10)):
        ledger.add(sent(claimed))
    run(ledger.cycle(0))
    run(ledger.release())
    job = batch.jobs.get()
    Email.objects.filter(batch=batch, row__gt=job.handed_out_to_row).update(status=EmailStatus.SENT)
    assert not lifecycle.finish_job(job.pk)
    queues.client().flushall()
    assert sweep().enqueued == 1  # the others have no row range, and the list none for them
    assert [each.row for each in run(open_ledger(batch).cycle(10))] == list(range(12, 22))


def test_row_behind_which_a_lane_looks_is_not_moved_when_the_job_was_paused_meanwhile(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(100)
    ledger = open_ledger(batch)
    for claimed in run(ledger.cycle(10)):
        ledger.add(sent(claimed))
    lifecycle.pause_batch(batch)
    assert run(ledger.cycle(10)) == []
    assert ledger.is_halted
    run(ledger.release())
    lifecycle.resume_batch(batch)
    assert [each.row for each in run(open_ledger(batch).cycle(5))] == list(range(12, 17))


def test_rows_of_far_apart_failures_are_all_claimed_when_they_are_replayed(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(3000)
    Email.objects.filter(batch=batch).exclude(row__in=(2, 700, 701, 2500, 3001)).update(status=EmailStatus.SENT)
    assert list(claim_all(run, open_ledger(batch), places=64)) == [2, 700, 701, 2500, 3001]


def test_what_was_given_back_is_claimed_before_the_rest_when_the_cursor_has_passed_it(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(100)
    ledger = open_ledger(batch)
    first, *rest = run(ledger.cycle(10))
    ledger.add(requeue(first))
    ledger.add(deferred(rest[0], seconds=0))
    ledger.add(deferred(rest[1], seconds=3600))
    assert run(ledger.cycle(0)) == []
    again = run(ledger.cycle(3))
    assert [(each.row, each.attempts) for each in again] == [(first.row, 1), (rest[0].row, 2), (12, 1)]


def test_first_try_is_claimed_once_when_another_changes_it_between_the_claims_snapshot_and_its_commit(
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
    for each in claimed:
        ledger.add(sent(each))
    claimed += run(ledger.cycle(10))
    assert sorted(each.row for each in claimed) == list(range(2, 12))
    assert set(Email.objects.filter(batch=batch).values_list("status", "attempts")) == {(EmailStatus.SENT, 1)}


def test_retry_is_claimed_once_when_another_is_changing_it(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(10)
    ledger = open_ledger(batch)
    for claimed in run(ledger.cycle(10)):
        ledger.add(deferred(claimed, seconds=0))
    run(ledger.cycle(0))
    with psycopg.connect(**database_parameters()) as other:
        other.execute("UPDATE batches_email SET address = 'new@x.org' WHERE batch_id = %s AND row = 5", [batch.pk])
        again = run(ledger.cycle(10))
    again += run(ledger.cycle(10))
    assert sorted(each.row for each in again) == list(range(2, 12))
    assert [each.address for each in again if each.row == 5] == ["new@x.org"]
    assert set(Email.objects.filter(batch=batch).values_list("status", "attempts")) == {(EmailStatus.SENDING, 2)}


def test_nobody_searches_the_list_again_when_nothing_was_left_of_it(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(3000)
    Email.objects.filter(batch=batch, row__gt=5).update(status=EmailStatus.SENT)
    assert list(claim_all(run, open_ledger(batch), places=64)) == [2, 3, 4, 5]
    job = batch.jobs.get()
    assert (job.handed_out_to_row, job.status) == (3001, JobStatus.PROCESSING)


def test_nothing_is_said_to_be_overlooked_when_a_lane_ends_in_the_midst_of_a_cancel(
    run: Run,
    make_batch: MakeBatch,
    open_ledger: OpenLedger,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    batch = make_batch(100)
    ledger = open_ledger(batch)
    for claimed in run(ledger.cycle(10)):
        ledger.add(sent(claimed))
    run(ledger.cycle(0))
    cancel_pending = lifecycle._cancel_pending

    def end_lane_after(job: EmailJob, *, is_over: bool) -> None:
        cancel_pending(job, is_over=is_over)
        run(ledger.release())

    with monkeypatch.context() as patch:
        patch.setattr(lifecycle, "_cancel_pending", end_lane_after)
        lifecycle.cancel_batch(batch)
    job = batch.jobs.get()
    assert job.completed_at is None
    assert lifecycle.finish_job(job.pk)
    assert "no lane claimed" not in caplog.text
    counts = Counter(Email.objects.filter(batch=batch).values_list("status", flat=True))
    assert counts == {EmailStatus.CANCELLED: 90, EmailStatus.SENT: 10}


def test_job_is_not_over_when_one_email_is_still_being_sent(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(3)
    ledger = open_ledger(batch)
    for claimed in run(ledger.cycle(10)):
        ledger.add(sent(claimed))
    job = EmailJob.objects.get(batch=batch)
    assert not lifecycle.finish_job(job.pk)
    run(ledger.cycle(0))
    run(ledger.release())
    assert lifecycle.finish_job(job.pk)


def test_job_goes_on_when_an_email_was_overlooked(
    make_batch: MakeBatch, template: EmailTemplate, caplog: pytest.LogCaptureFixture
) -> None:
    batch = make_batch(10)
    job = creation.create_job(batch, template=template, user=None)
    EmailJob.objects.filter(pk=job.pk).update(handed_out_to_row=100)  # wrong: nothing was sent
    assert not lifecycle.finish_job(job.pk)
    assert "10 emails that no lane claimed" in caplog.text
    job.refresh_from_db()
    assert (job.handed_out_to_row, job.completed_at) == (0, None)
    assert Email.objects.filter(batch=batch, status=EmailStatus.PENDING).count() == 10


def test_replayed_are_found_wherever_they_stand_when_a_batch_was_sent(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(addresses=["a-rp@x.org", "fail-550-once-rp@x.org", "c-rp@x.org"])
    run_lane(lane_id=creation.create_job(batch, template=template, user=None).lanes.get().pk)
    sweep()
    job = creation.replay_batch(batch, which=JobKind.FAILED, user=None)
    run_lane(lane_id=job.lanes.get().pk)
    job.refresh_from_db()
    assert (job.status, job.sent_count) == (JobStatus.COMPLETED, 1)
