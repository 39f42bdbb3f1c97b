"""What a lane holds is found again, by itself or by the sweep, whatever was lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import psycopg
import pytest
from django.conf import LazySettings
from django.utils import timezone

from batches.delivery.ledger import OUTAGES, Fenced
from batches.delivery.terms import ClaimedEmail
from batches.jobs import creation, lifecycle
from batches.jobs.run_lane import database_parameters, run_lane
from batches.jobs.sweep import sweep
from batches.models import (
    Attempt,
    Email,
    EmailStatus,
    EmailTemplate,
    JobStatus,
    Lane,
    sql,
)
from tests.integration.jobs.conftest import MakeBatch
from tests.integration.jobs.ledgers import (
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


def test_nothing_is_claimed_when_the_lane_was_taken_away(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(20)
    ledger = open_ledger(batch)
    for claimed in run(ledger.cycle(5)):
        ledger.add(deferred(claimed, seconds=0))  # due again at once
    run(ledger.cycle(0))
    Lane.objects.filter(job__batch=batch).update(token=99)
    with pytest.raises(Fenced):
        run(ledger.cycle(5))
    assert Email.objects.filter(batch=batch, status=EmailStatus.PENDING).count() == 20


def test_claims_are_taken_up_when_the_reply_to_their_commit_was_lost(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(100)
    ledger = open_ledger(batch)
    first = run(ledger.cycle(10))
    for claimed in first:
        ledger.add(deferred(claimed, seconds=0) if claimed.row % 2 else sent(claimed))
    run(ledger.cycle(0))
    lost = run(ledger.cycle(20))  # five retries and fifteen first tries, of which the lane knows nothing now
    ledger.in_flight.clear()
    taken_up = run(ledger.recover(window=0))
    assert {each.id for each in taken_up} == {each.id for each in lost}
    assert len({each.id for each in first} & {each.id for each in taken_up}) == 5
    assert run(ledger.recover(window=0)) == []


def test_claims_are_taken_up_when_the_reply_to_the_recovery_is_lost_too(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(make_batch(100))
    ledger.line.lose(3)
    for lost in (lambda: ledger.cycle(10), lambda: ledger.recover(window=20), lambda: ledger.recover(window=30)):
        with pytest.raises(psycopg.OperationalError):
            run(lost())
    taken_up = run(ledger.recover(window=30))
    assert [each.row for each in taken_up] == list(range(2, 32))
    assert set(ledger.in_flight) == {each.id for each in taken_up}


def test_claims_are_taken_up_when_the_reply_to_the_very_first_cycle_is_lost(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(make_batch(100))
    ledger.line.lose(1)
    with pytest.raises(psycopg.OperationalError):
        run(ledger.cycle(20))
    taken_up = run(ledger.recover(window=30))
    assert [each.row for each in taken_up] == list(range(2, 32))


@pytest.mark.parametrize("is_carried_out", [True, False])
def test_no_row_is_passed_over_when_the_reply_to_the_taking_of_a_stretch_is_lost(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger, *, is_carried_out: bool
) -> None:
    ledger = open_ledger(make_batch(1000))
    first = run(ledger.cycle(128)) + run(ledger.cycle(128))
    for claimed in first:
        ledger.add(sent(claimed))
    ledger.line.lose(2, statement=sql.TAKE_ROW_RANGE, is_carried_out=is_carried_out)
    rows: list[int] = [each.row for each in first]
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            rows.extend(claim_all(run, ledger, places=50))
        rows += [each.row for each in run(ledger.recover(window=0))]
    rows += claim_all(run, ledger, places=50)
    assert sorted(rows) == list(range(2, 1002))


def test_lease_is_renewed_when_there_is_no_room_for_a_cycle(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger, settings: LazySettings
) -> None:
    settings.SEND_LEASE_SECONDS = 1
    batch = make_batch(10)
    ledger = open_ledger(batch)
    run(ledger.cycle(10))
    ledger.line.lose(1, is_carried_out=False)
    Lane.objects.filter(job__batch=batch).update(lease_until=timezone.now() - timedelta(seconds=60))
    with pytest.raises(psycopg.OperationalError):
        run(ledger.recover(window=10))
    sweep()
    lane = Lane.objects.get(job__batch=batch)
    assert lane.lease_until > timezone.now() - timedelta(seconds=1)
    assert lane.suspected_at is None


def test_outcome_is_not_recorded_for_a_later_claim_when_replies_are_lost(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(1)
    ledger = open_ledger(batch)
    [claimed] = run(ledger.cycle(5))
    ledger.add(deferred(claimed, seconds=0))  # due again as soon as it is recorded
    ledger.line.lose(2)
    for lost in (lambda: ledger.cycle(0), lambda: ledger.recover(window=20)):
        with pytest.raises(psycopg.OperationalError):
            run(lost())
    assert run(ledger.recover(window=20)) == []
    [again] = run(ledger.cycle(20))
    assert again.attempts == 2
    assert list(Attempt.objects.filter(email__batch=batch).values_list("number", "outcome")) == [(1, "deferred")]


def test_claims_are_taken_up_when_the_lost_connection_is_still_at_work(
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
        taken_up = run(lose_connection(lane))
    assert {each.row for each in taken_up} == rows_in_flight(batch) == set(range(2, 22))
    assert set(ledger.in_flight) == {each.id for each in taken_up}


def test_all_that_a_dead_lane_was_sending_is_found_when_it_is_reaped(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger, settings: LazySettings
) -> None:
    settings.SEND_LEASE_SECONDS = 0
    batch = make_batch(100)
    ledger = open_ledger(batch)
    for claimed in run(ledger.cycle(10)):
        ledger.add(deferred(claimed, seconds=0) if claimed.row % 2 else sent(claimed))
    run(ledger.cycle(0))
    held = run(ledger.cycle(20))
    run(ledger.close())
    lane = Lane.objects.get(job__batch=batch)
    assert set(lane.claimed_rows) == {each.row for each in held}
    Lane.objects.filter(pk=lane.pk).update(lease_until="1970-01-01T00:00:00Z")  # known to be dead
    report = sweep()
    assert report.reaped == 1
    assert Email.objects.filter(batch=batch, status=EmailStatus.SENDING).count() == 0
    again = Email.objects.filter(batch=batch, pk__in=[each.id for each in held], next_attempt_at__isnull=False)
    assert set(again.values_list("row", "status", "attempts")) == {
        (each.row, EmailStatus.PENDING, each.attempts) for each in held
    }
    assert rows_in_flight(batch) == set()


def test_cycle_changes_nothing_when_it_is_delivered_after_its_lane_has_recovered(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(100)
    ledger = open_ledger(batch)
    run(ledger.cycle(10))
    ledger.line.lose(1, is_carried_out=False)
    with pytest.raises(psycopg.OperationalError):
        run(ledger.cycle(5))
    assert [each.row for each in run(ledger.recover(window=30))] == list(range(12, 32))
    before = Lane.objects.filter(job__batch=batch).values().get()
    [(statement, arguments)] = ledger.line.undelivered
    with psycopg.connect(**database_parameters(), autocommit=True) as line:
        assert line.execute(statement, arguments).fetchall() == []
    assert Lane.objects.filter(job__batch=batch).values().get() == before


def test_successor_keeps_its_lane_when_the_reply_to_its_giving_back_was_lost(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(100)
    first = open_ledger(batch)
    for claimed in run(first.cycle(10)):
        first.add(sent(claimed))
    run(first.cycle(0))
    run(first.release())  # and the reply is lost
    second = open_ledger(batch)
    held = run(second.cycle(20))
    with pytest.raises(Fenced):
        run(first.recover(window=0))
    for claimed in held:
        second.add(sent(claimed))
    assert run(second.cycle(0)) == []
    assert Email.objects.filter(batch=batch, status=EmailStatus.SENT).count() == 30


def test_claims_are_whole_when_the_sweep_wrote_the_lanes_row_while_the_cycle_waited_for_it(
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
    assert [each.row for each in claimed] == [retried.row, *range(7, 16)]
    row = job.lanes.get()
    assert row.suspected_at is not None
    assert sorted(row.claimed_rows) == sorted(each.row for each in rest + claimed)
    assert row.range_after_row == 15


def test_job_ends_when_it_was_cancelled_while_a_dead_lane_held_a_stretch(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(600)
    dead, living = (open_ledger(batch, lane_number=number) for number in (0, 1))
    run(dead.cycle(10))
    run(dead.close())
    for claimed in run(living.cycle(10)):
        living.add(sent(claimed))
    lifecycle.cancel_batch(batch)
    assert run(living.cycle(10)) == []
    assert living.is_halted
    run(living.release())
    job = batch.jobs.get()
    assert not lifecycle.finish_job(job.pk)
    left = Email.objects.filter(batch=batch, status=EmailStatus.PENDING).values_list("row", flat=True)
    assert job.handed_out_to_row < 400
    assert set(left) >= set(range(2, 12))  # what the dead lane may be sending
    assert max(left) == job.handed_out_to_row
    Lane.objects.filter(job=job, number=0).update(lease_until="1970-01-01T00:00:00Z")
    assert sweep().reaped == 1
    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED
    assert job.completed_at is not None
    counts = Counter(Email.objects.filter(batch=batch).values_list("status", flat=True))
    assert counts == {EmailStatus.CANCELLED: 590, EmailStatus.SENT: 10}


def test_email_goes_again_when_it_is_sending_in_a_lane_that_nobody_holds(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(10)
    job = creation.create_job(batch, template=template, user=None)
    lane = job.lanes.get()
    Email.objects.filter(batch=batch, row=5).update(status=EmailStatus.SENDING, lane=lane, attempts=1)  # astray
    run_lane(lane_id=lane.pk)
    for _ in range(2):  # one finds it, the next reaps it
        sweep()
    run_lane(lane_id=lane.pk)
    sweep()
    job.refresh_from_db()
    assert (job.status, job.sent_count) == (JobStatus.COMPLETED, 10)
