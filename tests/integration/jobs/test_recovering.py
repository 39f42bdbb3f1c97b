"""What a lane has in flight is found again, by the lane or by the sweep, whatever was lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.conf import LazySettings
from django.utils import timezone

from batches.delivery.ledger import OUTAGES, Fenced
from batches.delivery.pauses import BACKOFF_SECONDS
from batches.delivery.terms import ClaimedEmail
from batches.jobs import creation, lifecycle
from batches.jobs.run_lane import database_parameters, run_lane
from batches.jobs.sweep import sweep
from batches.models import Attempt, Email, EmailStatus, EmailTemplate, JobStatus, Lane, sql
from tests.integration.jobs.conftest import MakeBatch
from tests.integration.jobs.ledgers import (
    LedgerOnLine,
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
from tests.smtpserver import RunningServer

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The end of the lease of a lane that is known to be dead."""


# --- a fenced lane ---------------------------------------------------------------------------------------


def test_nothing_is_claimed_when_the_lane_was_reaped(run: Run, make_batch: MakeBatch, open_ledger: OpenLedger) -> None:
    batch = make_batch(20)
    ledger = open_ledger(batch)
    for email in run(ledger.cycle(5)):
        ledger.add(deferred(email, seconds=0))  # due again at once
    run(ledger.cycle(0))
    Lane.objects.filter(job__batch=batch).update(token=99)
    with pytest.raises(Fenced):
        run(ledger.cycle(5))
    assert Email.objects.filter(batch=batch, status=EmailStatus.PENDING).count() == 20


def test_no_row_range_is_taken_when_the_lane_was_reaped(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(1000)
    ledger = open_ledger(batch)
    Lane.objects.filter(job__batch=batch).update(token=99)
    with pytest.raises(Fenced):
        run(ledger.cycle(10))
    lane = Lane.objects.get(job__batch=batch, number=0)
    assert (lane.range_after_row, lane.range_end_row, batch.jobs.get().handed_out_to_row) == (0, 0, 0)


def test_next_holder_keeps_its_lane_when_the_reply_to_the_release_was_lost(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(100)
    first = open_ledger(batch)
    for email in run(first.cycle(10)):
        first.add(sent(email))
    run(first.cycle(0))
    run(first.release())  # and the reply is lost
    second = open_ledger(batch)
    claimed = run(second.cycle(20))
    with pytest.raises(Fenced):
        run(first.recover(window=0))
    for email in claimed:
        second.add(sent(email))
    assert run(second.cycle(0)) == []
    assert Email.objects.filter(batch=batch, status=EmailStatus.SENT).count() == 30


def test_late_cycle_changes_nothing_when_its_lane_has_recovered(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(100)
    ledger = open_ledger(batch)
    run(ledger.cycle(10))
    ledger.line.lose(1, is_carried_out=False)
    with pytest.raises(psycopg.OperationalError):
        run(ledger.cycle(5))
    assert rows_of(run(ledger.recover(window=30))) == list(range(12, 32))
    before = Lane.objects.filter(job__batch=batch).values().get()
    [(statement, arguments)] = ledger.line.undelivered
    with psycopg.connect(**database_parameters(), autocommit=True) as late:
        assert late.execute(statement, arguments).fetchall() == []
    assert Lane.objects.filter(job__batch=batch).values().get() == before


# --- lost replies ----------------------------------------------------------------------------------------


def fail_to_cycle(run: Run, ledger: LedgerOnLine, *, places: int) -> None:
    with pytest.raises(psycopg.OperationalError):
        run(ledger.cycle(places))


def fail_to_recover(run: Run, ledger: LedgerOnLine, *, window: int) -> None:
    with pytest.raises(psycopg.OperationalError):
        run(ledger.recover(window=window))


def test_claims_are_found_when_the_reply_to_their_commit_was_lost(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(100)
    ledger = open_ledger(batch)
    first = run(ledger.cycle(10))
    for email in first:
        ledger.add(deferred(email, seconds=0) if email.row % 2 else sent(email))
    run(ledger.cycle(0))
    ledger.line.lose(1)
    fail_to_cycle(run, ledger, places=20)
    retried = {email.row for email in first if email.row % 2}
    found = run(ledger.recover(window=0))
    assert {email.row for email in found} == retried | set(range(12, 27)) == rows_in_flight(batch)
    assert run(ledger.recover(window=0)) == []


def test_claims_are_found_when_the_replies_to_the_recovery_are_lost_too(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(make_batch(100))
    ledger.line.lose(3)
    fail_to_cycle(run, ledger, places=10)
    fail_to_recover(run, ledger, window=20)
    fail_to_recover(run, ledger, window=30)
    found = run(ledger.recover(window=30))
    assert rows_of(found) == list(range(2, 32))
    assert set(ledger.in_flight) == {email.id for email in found}


def test_claims_are_found_when_the_reply_to_the_very_first_cycle_is_lost(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(make_batch(100))
    ledger.line.lose(1)
    fail_to_cycle(run, ledger, places=20)
    assert rows_of(run(ledger.recover(window=30))) == list(range(2, 32))


def test_lane_is_not_fenced_when_the_reply_to_its_renewal_is_lost(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(make_batch(100))
    claimed = run(ledger.cycle(10))
    ledger.line.lose(1, statement=sql.RENEW_LANE)
    fail_to_recover(run, ledger, window=10)
    assert run(ledger.recover(window=10)) == []
    assert set(ledger.in_flight) == {email.id for email in claimed}


@pytest.mark.parametrize("is_carried_out", [True, False])
def test_no_row_is_left_out_when_the_reply_to_taking_a_row_range_is_lost(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger, *, is_carried_out: bool
) -> None:
    ledger = open_ledger(make_batch(1000))
    first = run(ledger.cycle(128)) + run(ledger.cycle(128))
    for email in first:
        ledger.add(sent(email))
    ledger.line.lose(2, statement=sql.TAKE_ROW_RANGE, is_carried_out=is_carried_out)
    rows = rows_of(first)
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            rows.extend(claim_all(run, ledger, places=50))
        rows += rows_of(run(ledger.recover(window=0)))
    rows += claim_all(run, ledger, places=50)
    assert sorted(rows) == list(range(2, 1002))


def test_decision_is_not_recorded_for_a_later_claim_when_replies_are_lost(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(1)
    ledger = open_ledger(batch)
    [email] = run(ledger.cycle(5))
    ledger.add(deferred(email, seconds=0))  # due again as soon as it is recorded
    ledger.line.lose(2)
    fail_to_cycle(run, ledger, places=0)
    fail_to_recover(run, ledger, window=20)
    assert run(ledger.recover(window=20)) == []
    [again] = run(ledger.cycle(20))
    assert again.attempts == 2
    assert list(Attempt.objects.filter(email__batch=batch).values_list("number", "outcome")) == [(1, "deferred")]


def test_claims_are_found_when_the_lost_connection_is_still_running_the_cycle(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(100)
    ledger = open_ledger(batch)

    async def lose_connection(lane: LockedLane) -> list[ClaimedEmail]:
        claiming = asyncio.ensure_future(ledger.cycle(20))
        await lane.await_waiting(1)
        ledger.line.cut()
        with pytest.raises(OUTAGES):
            await claiming
        recovering = asyncio.ensure_future(ledger.recover(window=20))
        await lane.await_waiting(2)
        lane.unlock()
        return await recovering

    with locked_lane(batch) as lane:
        found = run(lose_connection(lane))
    assert set(rows_of(found)) == rows_in_flight(batch) == set(range(2, 22))
    assert set(ledger.in_flight) == {email.id for email in found}


def test_lease_is_renewed_when_there_is_no_room_for_a_cycle(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger, settings: LazySettings
) -> None:
    settings.SEND_LEASE_SECONDS = 60
    batch = make_batch(10)
    ledger = open_ledger(batch)
    run(ledger.cycle(10))
    ledger.line.lose(1, is_carried_out=False)
    Lane.objects.filter(job__batch=batch).update(lease_until=timezone.now() - timedelta(seconds=60))
    fail_to_recover(run, ledger, window=10)
    sweep()
    lane = Lane.objects.get(job__batch=batch)
    assert lane.lease_until is not None
    assert lane.lease_until > timezone.now()
    assert lane.suspected_at is None


# --- the sweep beside a lane -----------------------------------------------------------------------------


def test_sweep_finds_all_emails_in_flight_when_their_lane_is_dead(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger, settings: LazySettings
) -> None:
    settings.SEND_LEASE_SECONDS = 0
    batch = make_batch(100)
    ledger = open_ledger(batch)
    for email in run(ledger.cycle(10)):
        ledger.add(deferred(email, seconds=0) if email.row % 2 else sent(email))
    run(ledger.cycle(0))
    claimed = run(ledger.cycle(20))
    run(ledger.close())
    lane = Lane.objects.get(job__batch=batch)
    assert set(lane.claimed_rows) == set(rows_of(claimed))
    Lane.objects.filter(pk=lane.pk).update(lease_until=EPOCH)
    assert sweep().reaped == 1
    assert Email.objects.filter(batch=batch, status=EmailStatus.SENDING).count() == 0
    again = Email.objects.filter(pk__in=[email.id for email in claimed], next_attempt_at__isnull=False)
    assert set(again.values_list("row", "status", "attempts")) == {
        (email.row, EmailStatus.PENDING, email.attempts) for email in claimed
    }
    assert rows_in_flight(batch) == set()


def test_claims_are_complete_when_the_sweep_wrote_the_lanes_row_while_the_cycle_waited(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(100)
    ledger = open_ledger(batch)
    job = batch.jobs.get()
    retried, *rest = run(ledger.cycle(5))
    ledger.add(deferred(retried, seconds=0))
    run(ledger.cycle(0))

    async def claim(lane: LockedLane) -> list[ClaimedEmail]:
        lane.holder.execute("UPDATE batches_lane SET suspected_at = now() WHERE job_id = %s", [job.pk])
        claiming = asyncio.ensure_future(ledger.cycle(10))
        await lane.await_waiting(1)
        lane.unlock()
        return await claiming

    with locked_lane(batch) as lane:
        claimed = run(claim(lane))
    assert rows_of(claimed) == [retried.row, *range(7, 16)]
    row = job.lanes.get()
    assert row.suspected_at is not None
    assert sorted(row.claimed_rows) == sorted(rows_of(rest + claimed))
    assert row.range_after_row == 15


def test_job_ends_when_it_was_cancelled_while_a_dead_lane_had_a_row_range(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(600)
    dead, living = (open_ledger(batch, lane_number=number) for number in (0, 1))
    run(dead.cycle(10))
    run(dead.close())
    for email in run(living.cycle(10)):
        living.add(sent(email))
    lifecycle.cancel_batch(batch)
    assert run(living.cycle(10)) == []
    assert living.is_halted
    run(living.release())
    job = batch.jobs.get()
    assert not lifecycle.finish_job(job.pk)
    left = set(Email.objects.filter(batch=batch, status=EmailStatus.PENDING).values_list("row", flat=True))
    assert job.handed_out_to_row < 400
    assert left >= set(range(2, 12))  # the emails that the dead lane may have in flight
    assert max(left) == job.handed_out_to_row
    Lane.objects.filter(job=job, number=0).update(lease_until=EPOCH)
    assert sweep().reaped == 1
    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED
    assert job.completed_at is not None
    counts = Counter(Email.objects.filter(batch=batch).values_list("status", flat=True))
    # Nobody can say that what the dead lane had in flight was not sent.
    assert counts == {EmailStatus.CANCELLED: 580, EmailStatus.UNKNOWN: 10, EmailStatus.SENT: 10}


def test_email_is_attempted_again_when_it_is_sending_in_a_free_lane(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(10)
    job = creation.create_job(batch, template=template, user=None)
    lane = job.lanes.get()
    # No lane of today leaves an email like this.
    Email.objects.filter(batch=batch, row=5).update(status=EmailStatus.SENDING, lane=lane, attempts=1)
    run_lane(lane_id=lane.pk)
    for _ in range(2):  # the first sweep finds the email, the second reaps its lane
        sweep()
    run_lane(lane_id=lane.pk)
    sweep()
    job.refresh_from_db()
    assert (job.status, job.sent_count) == (JobStatus.COMPLETED, 10)


# --- the relay error of several lanes --------------------------------------------------------------------


def report_relay_error(run: Run, ledger: LedgerOnLine) -> None:
    run(ledger.report_relay_error("Refused.", has_too_many_connections=False))


def test_wait_for_the_relay_is_not_doubled_when_two_lanes_fail_in_the_same_wait(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(600)
    first, second = (open_ledger(batch, lane_number=number) for number in (0, 1))
    report_relay_error(run, first)
    batch.jobs.update(relay_retry_at=timezone.now() + timedelta(hours=1))  # The wait still runs, however slow the test.
    before = batch.jobs.get()
    report_relay_error(run, second)
    after = batch.jobs.get()
    assert (after.relay_failure_count, after.relay_retry_at) == (1, before.relay_retry_at)


def test_wait_for_the_relay_is_doubled_when_it_fails_after_the_wait(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(100)
    ledger = open_ledger(batch)
    report_relay_error(run, ledger)
    batch.jobs.update(relay_retry_at=timezone.now())
    started = timezone.now()
    report_relay_error(run, ledger)
    ended = timezone.now()
    second = batch.jobs.get()
    doubled = timedelta(seconds=2 * BACKOFF_SECONDS)
    assert second.relay_retry_at is not None
    assert second.relay_failure_count == 2
    assert started + doubled <= second.relay_retry_at <= ended + doubled


def test_paused_job_keeps_the_reason_of_its_pause_when_a_lane_fails(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(100)
    ledger = open_ledger(batch)
    batch.jobs.update(status=JobStatus.PAUSED, last_error="The relay refused everybody.")
    report_relay_error(run, ledger)
    assert batch.jobs.get().last_error == "The relay refused everybody."
