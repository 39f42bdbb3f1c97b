"""What a lane claims, and how what it holds is found again, without an index on the state of an email."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import psycopg
import pytest
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone

from batches.delivery.ledger import OUTAGES, Fenced, Ledger, connect
from batches.delivery.retry import give_back
from batches.delivery.spec import Claimed, Outcome
from batches.jobs import lifecycle, queues
from batches.jobs.lanes import _connection_parameters, _specify, acquire_lane, run_lane
from batches.jobs.sweep import sweep
from batches.models import (
    Attempt,
    AttemptOutcome,
    Batch,
    Email,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    JobKind,
    JobStatus,
    Lane,
    read_claims,
    sql,
)
from tests.integration.jobs.conftest import MakeBatch
from tests.smtpserver import RunningServer

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


class OpenLedger(Protocol):
    def __call__(self, batch: Batch, *, lane_number: int = 0) -> Ledger: ...


@pytest.fixture
def open_ledger(run: Run, template: EmailTemplate) -> Iterator[OpenLedger]:
    """The ledgers of lanes just taken, connected until the test's end."""
    opened: list[Ledger] = []

    async def take(lane: Lane) -> Ledger:
        database = _connection_parameters()
        ledger_connection = await connect(database)
        taken = await acquire_lane(ledger_connection, lane.pk, worker="")
        assert taken is not None
        return Ledger(_specify(taken, database), ledger_connection)

    def open_one(batch: Batch, *, lane_number: int = 0) -> Ledger:
        job = batch.jobs.first() or lifecycle.create_job(batch, template=template, user=None)
        opened.append(run(take(job.lanes.get(number=lane_number))))
        return opened[-1]

    yield open_one
    for ledger in opened:
        run(ledger.close())


def sent(claimed: Claimed) -> Outcome:
    return Outcome(claimed.id, EmailStatus.SENT.value, AttemptOutcome.SENT.value, 250, "2.0.0 Ok")


def deferred(claimed: Claimed, *, seconds: float) -> Outcome:
    return Outcome(claimed.id, EmailStatus.PENDING.value, AttemptOutcome.DEFERRED.value, 451, "Later.", seconds)


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
    job = lifecycle.create_job(batch, template=template, user=None)
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
    turn = 0
    while not all(ledger.is_dry for ledger in ledgers):
        claimed = run(ledgers[turn % 2].cycle(50))
        rows[turn % 2].extend(each.row for each in claimed)
        assert read_claims(batch.pk).rows == set(rows[0]) | set(rows[1])
        turn += 1
    assert sorted(rows[0] + rows[1]) == list(range(2, 1002))
    assert list(rows) == [sorted(rows[0]), sorted(rows[1])]
    assert abs(len(rows[0]) - len(rows[1])) <= 128


def test_lane_goes_on_with_the_retries_and_comes_back_when_the_list_is_being_handed_to_another(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(300)
    ledger = open_ledger(batch)
    first = run(ledger.cycle(128))
    ledger.add(give_back(first[0]))
    run(ledger.cycle(0))
    with psycopg.connect(**_connection_parameters()) as other:
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
    Email.objects.filter(batch=batch, row__gt=job.fresh_after_row).update(status=EmailStatus.SENT)
    assert not lifecycle.finish_job(job.pk)
    queues._redis().flushall()
    assert sweep().rung == 1  # the others have no stretch, and the list none for them
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
    ledger = open_ledger(batch)
    rows: list[int] = []
    while not ledger.is_dry:
        rows += [each.row for each in run(ledger.cycle(64))]
    assert rows == [2, 700, 701, 2500, 3001]


def test_what_was_given_back_is_claimed_before_the_rest_when_the_cursor_has_passed_it(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(100)
    ledger = open_ledger(batch)
    first, *rest = run(ledger.cycle(10))
    ledger.add(give_back(first))
    ledger.add(deferred(rest[0], seconds=0))
    ledger.add(deferred(rest[1], seconds=3600))
    assert run(ledger.cycle(0)) == []
    again = run(ledger.cycle(3))
    assert [(each.row, each.attempts) for each in again] == [(first.row, 1), (rest[0].row, 2), (12, 1)]


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
    ledger.held.clear()
    taken_up = run(ledger.recover(window=0))
    assert {each.id for each in taken_up} == {each.id for each in lost}
    assert len({each.id for each in first} & {each.id for each in taken_up}) == 5
    assert run(ledger.recover(window=0)) == []


@dataclass(frozen=True)
class LockedLane:
    """A lane whose row another transaction has locked: each cycle's snapshot is taken, and it waits."""

    holder: psycopg.Connection[Any]
    other: psycopg.Connection[Any]

    async def await_waiting(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.other.execute("SELECT FROM pg_locks WHERE NOT granted").rowcount < count:
                await asyncio.sleep(0.01)

    def unlock(self) -> None:
        self.holder.commit()


@contextlib.contextmanager
def locked_lane(batch: Batch) -> Iterator[LockedLane]:
    with (
        psycopg.connect(**_connection_parameters()) as holder,
        psycopg.connect(**_connection_parameters(), autocommit=True) as other,
    ):
        holder.execute("SELECT FROM batches_lane WHERE job_id = %s FOR UPDATE", [batch.jobs.get().pk])
        yield LockedLane(holder, other)


def lose_replies(ledger: Ledger, count: int, *, is_carried_out: bool = True, lost: str = sql.LEDGER_CYCLE) -> None:
    """So many cycles from now on are carried out, and nobody hears of it; or they are not. Or another statement."""
    fetch, left = ledger._fetch, [count]

    async def fetch_and_lose(statement: str, arguments: dict[str, Any]) -> list[tuple[Any, ...]]:
        is_lost = statement is lost and left[0] > 0
        rows = await fetch(statement, arguments) if is_carried_out or not is_lost else []
        if is_lost:
            left[0] -= 1
            raise psycopg.OperationalError("The reply was lost.")
        return rows

    ledger._fetch = fetch_and_lose  # type: ignore[method-assign]


def test_claims_are_taken_up_when_the_reply_to_the_recovery_is_lost_too(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(make_batch(100))
    lose_replies(ledger, 3)
    for lost in (lambda: ledger.cycle(10), lambda: ledger.recover(window=20), lambda: ledger.recover(window=30)):
        with pytest.raises(psycopg.OperationalError):
            run(lost())
    taken_up = run(ledger.recover(window=30))
    assert [each.row for each in taken_up] == list(range(2, 32))
    assert set(ledger.held) == {each.id for each in taken_up}


def test_claims_are_taken_up_when_the_reply_to_the_very_first_cycle_is_lost(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(make_batch(100))
    lose_replies(ledger, 1)
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
    lose_replies(ledger, 2, is_carried_out=is_carried_out, lost=sql.TAKE_STRETCH)
    rows: list[int] = [each.row for each in first]
    for _ in range(2):
        while True:
            try:
                rows += [each.row for each in run(ledger.cycle(50))]
            except psycopg.OperationalError:
                break
        rows += [each.row for each in run(ledger.recover(window=0))]
    while not ledger.is_dry:
        rows += [each.row for each in run(ledger.cycle(50))]
    assert sorted(rows) == list(range(2, 1002))


def test_lease_is_renewed_when_there_is_no_room_for_a_cycle(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger, settings: LazySettings
) -> None:
    settings.SEND_LEASE_SECONDS = 1
    batch = make_batch(10)
    ledger = open_ledger(batch)
    run(ledger.cycle(10))
    lose_replies(ledger, 1, is_carried_out=False)
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
    lose_replies(ledger, 2)
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

    async def lose_connection(lane: LockedLane) -> list[Claimed]:
        claiming = asyncio.ensure_future(ledger.cycle(20))
        await lane.await_waiting(1)
        assert ledger._connection is not None
        with socket.socket(fileno=os.dup(ledger._connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
        with pytest.raises(OUTAGES):
            await claiming
        recovering = asyncio.ensure_future(ledger.recover(window=20))
        await lane.await_waiting(2)
        lane.unlock()
        return await recovering

    with locked_lane(batch) as lane:
        taken_up = run(lose_connection(lane))
    assert {each.row for each in taken_up} == read_claims(batch.pk).rows == set(range(2, 22))
    assert set(ledger.held) == {each.id for each in taken_up}


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
    again = Email.objects.filter(batch=batch, pk__in=[each.id for each in held], next_attempt_at__isnull=False)
    assert set(again.values_list("row", "status", "attempts")) == {
        (each.row, EmailStatus.PENDING, each.attempts) for each in held
    }
    assert read_claims(batch.pk).rows == frozenset()


def test_retry_is_claimed_once_when_another_is_changing_it(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(10)
    ledger = open_ledger(batch)
    for claimed in run(ledger.cycle(10)):
        ledger.add(deferred(claimed, seconds=0))
    run(ledger.cycle(0))
    with psycopg.connect(**_connection_parameters()) as other:
        other.execute("UPDATE batches_email SET address = 'new@x.org' WHERE batch_id = %s AND row = 5", [batch.pk])
        again = run(ledger.cycle(10))
    again += run(ledger.cycle(10))
    assert sorted(each.row for each in again) == list(range(2, 12))
    assert [each.address for each in again if each.row == 5] == ["new@x.org"]
    assert set(Email.objects.filter(batch=batch).values_list("status", "attempts")) == {(EmailStatus.SENDING, 2)}


def test_cycle_changes_nothing_when_it_is_delivered_after_its_lane_has_recovered(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(100)
    ledger = open_ledger(batch)
    run(ledger.cycle(10))
    late: list[tuple[str, dict[str, Any]]] = []
    fetch = ledger._fetch

    async def delay(statement: str, arguments: dict[str, Any]) -> list[tuple[Any, ...]]:
        late.append((statement, arguments))
        raise psycopg.OperationalError("The connection was lost.")

    ledger._fetch = delay  # type: ignore[method-assign,assignment]
    with pytest.raises(psycopg.OperationalError):
        run(ledger.cycle(5))
    ledger._fetch = fetch  # type: ignore[method-assign]
    assert [each.row for each in run(ledger.recover(window=30))] == list(range(12, 32))
    before = Lane.objects.filter(job__batch=batch).values().get()
    [(statement, arguments)] = late
    with psycopg.connect(**_connection_parameters(), autocommit=True) as line:
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

    async def claim(lane: LockedLane) -> list[Claimed]:
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
    assert row.stretch_after_row == 15


def test_nobody_searches_the_list_again_when_nothing_was_left_of_it(
    run: Run, make_batch: MakeBatch, open_ledger: OpenLedger
) -> None:
    batch = make_batch(3000)
    Email.objects.filter(batch=batch, row__gt=5).update(status=EmailStatus.SENT)
    ledger = open_ledger(batch)
    while not ledger.is_dry:
        run(ledger.cycle(64))
    assert batch.jobs.get().fresh_after_row == 3001


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
    assert job.fresh_after_row < 400
    assert set(left) >= set(range(2, 12))  # what the dead lane may be sending
    assert max(left) == job.fresh_after_row
    Lane.objects.filter(job=job, number=0).update(lease_until="1970-01-01T00:00:00Z")
    assert sweep().reaped == 1
    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED
    assert job.completed_at is not None
    counts = Counter(Email.objects.filter(batch=batch).values_list("status", flat=True))
    assert counts == {EmailStatus.CANCELLED: 590, EmailStatus.SENT: 10}


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
    assert "no lane found" not in caplog.text
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
    job = lifecycle.create_job(batch, template=template, user=None)
    EmailJob.objects.filter(pk=job.pk).update(fresh_after_row=100)  # wrong: nothing was sent
    assert not lifecycle.finish_job(job.pk)
    assert "10 emails that no lane found" in caplog.text
    job.refresh_from_db()
    assert (job.fresh_after_row, job.completed_at) == (0, None)
    assert Email.objects.filter(batch=batch, status=EmailStatus.PENDING).count() == 10


def test_email_goes_again_when_it_is_sending_in_a_lane_that_nobody_holds(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(10)
    job = lifecycle.create_job(batch, template=template, user=None)
    lane = job.lanes.get()
    Email.objects.filter(batch=batch, row=5).update(status=EmailStatus.SENDING, lane=lane, attempts=1)  # astray
    run_lane(lane_id=lane.pk)
    for _ in range(2):  # one finds it, the next reaps it
        sweep()
    run_lane(lane_id=lane.pk)
    sweep()
    job.refresh_from_db()
    assert (job.status, job.sent_count) == (JobStatus.COMPLETED, 10)


def test_replayed_are_found_wherever_they_stand_when_a_batch_was_sent(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(addresses=["a-rp@x.org", "fail-550-once-rp@x.org", "c-rp@x.org"])
    run_lane(lane_id=lifecycle.create_job(batch, template=template, user=None).lanes.get().pk)
    sweep()
    job = lifecycle.replay_batch(batch, which=JobKind.FAILED, user=None)
    run_lane(lane_id=job.lanes.get().pk)
    job.refresh_from_db()
    assert (job.status, job.sent_count) == (JobStatus.COMPLETED, 1)
