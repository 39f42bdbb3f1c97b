"""A lane run keeps its bounds: window, lease, outage and end. The test controls the relay and the clock."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping
from typing import Any

import psycopg
import pytest
from django.conf import LazySettings
from django.db import connection

from batches.delivery.lane_run import PROGRESS_SECONDS, RECORD_SECONDS, TICK_SECONDS
from batches.delivery.ledger import clock
from batches.delivery.terms import LaneEnd
from batches.jobs import creation
from batches.jobs.run_lane import database_parameters
from batches.jobs.sweep import sweep
from batches.models import Batch, Email, EmailStatus, EmailTemplate, Lane, sql
from batches.smtp.connection import Loss
from tests.integration.jobs.conftest import MakeBatch
from tests.integration.jobs.lane_runs import ControlledRun, FakeRelay
from tests.integration.jobs.ledgers import Run
from tests.integration.jobs.whole_jobs import wait_for

LEASE_SECONDS = 2
RENEWALS = 3


@pytest.fixture(autouse=True)
def short_lease(settings: LazySettings) -> None:
    settings.SEND_LEASE_SECONDS = LEASE_SECONDS


def make_lane(batch: Batch, template: EmailTemplate) -> Lane:
    return creation.create_job(batch, template=template, user=None).lanes.get(number=0)


def statuses(batch: Batch) -> Counter[str]:
    return Counter(Email.objects.filter(batch=batch).values_list("status", flat=True))


async def run_beside(controlled: ControlledRun, *steps: Coroutine[Any, Any, None]) -> LaneEnd:
    """Run the lane, and the test's steps at the same time."""
    running = asyncio.ensure_future(controlled.run())
    try:
        for step in steps:
            await step
        return await asyncio.wait_for(running, 30)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)  # A test that fails leaves no connection open.


def test_no_more_are_in_flight_than_the_window_when_the_relay_does_not_answer(
    make_batch: MakeBatch, template: EmailTemplate, run: Run
) -> None:
    batch = make_batch(40)
    relay = FakeRelay(is_holding=True)
    cycles: list[str] = []

    async def count_cycles(statement: str, arguments: Mapping[str, object]) -> None:
        if statement is sql.LEDGER_CYCLE:
            cycles.append(statement)

    controlled = ControlledRun(
        lane=make_lane(batch, template), relay=relay, after=count_cycles, window=8, connections=20
    )

    async def watch() -> None:
        await relay.await_taken(8)
        cycles.clear()
        async with asyncio.timeout(20):
            while len(cycles) < RENEWALS:
                await asyncio.sleep(0.02)
        assert len(relay.taken) == 8
        relay.deliver()

    assert run(run_beside(controlled, watch())) is LaneEnd.DRY
    assert statuses(batch) == {EmailStatus.SENT: 40}


def test_nothing_is_taken_when_the_lease_has_run_out(make_batch: MakeBatch, template: EmailTemplate, run: Run) -> None:
    """A work-horse that was frozen must not send: its lane may be another worker's by now."""
    batch = make_batch(20)
    relay = FakeRelay()
    controlled = ControlledRun(lane=make_lane(batch, template), relay=relay, clock=lambda: clock() + LEASE_SECONDS + 1)

    async def thaw() -> None:
        async with asyncio.timeout(20):
            while not relay.connections:
                await asyncio.sleep(0.01)
        await relay.await_refusals(5)
        assert relay.taken == []
        controlled.clock = clock

    assert run(run_beside(controlled, thaw())) is LaneEnd.DRY
    assert set(controlled.count_taken().values()) == {1}
    assert statuses(batch) == {EmailStatus.SENT: 20}


def test_nothing_is_recorded_when_the_lane_was_reaped(make_batch: MakeBatch, template: EmailTemplate, run: Run) -> None:
    """The lane's clock does not advance, so it neither renews its lease nor notices that it has run out."""
    batch = make_batch(20)
    relay = FakeRelay(is_holding=True)
    now = clock()
    controlled = ControlledRun(lane=make_lane(batch, template), relay=relay, clock=lambda: now)
    states: Counter[tuple[str, int]] = Counter()

    def reap() -> None:
        try:
            wait_for(lambda: sweep().reaped)
            states.update(Email.objects.filter(batch=batch).values_list("status", "attempts"))
        finally:
            connection.close()

    async def take_away() -> None:
        await relay.await_taken(2)
        await asyncio.to_thread(reap)
        relay.deliver()  # The relay's replies come too late.

    assert run(run_beside(controlled, take_away())) is LaneEnd.FENCED
    assert states == {(EmailStatus.PENDING, 1): 8, (EmailStatus.PENDING, 0): 12}
    assert Counter(Email.objects.filter(batch=batch).values_list("status", "attempts")) == states


def test_decision_is_recorded_and_shown_within_two_seconds_when_the_relay_is_slow(
    make_batch: MakeBatch, template: EmailTemplate, run: Run, settings: LazySettings
) -> None:
    """It waits for others in the ledger, and its snapshot for others in the channel, each for a known time."""
    assert RECORD_SECONDS + PROGRESS_SECONDS + 2 * TICK_SECONDS < 2
    settings.SEND_LEASE_SECONDS = 60  # No renewal of the lease records it.
    batch = make_batch(20)
    relay = FakeRelay(is_holding=True)
    now = [clock()]
    controlled = ControlledRun(lane=make_lane(batch, template), relay=relay, clock=lambda: now[0])

    def is_shown() -> bool:
        return any(row.sent == 1 for row in controlled.published)

    async def watch() -> None:
        await relay.await_taken(2)
        relay.connections[0].deliver()  # One decision: too few for a cycle, while there are emails to send.
        now[0] += RECORD_SECONDS + PROGRESS_SECONDS + 0.01
        async with asyncio.timeout(20):
            while not is_shown():
                await asyncio.sleep(0.02)
        relay.deliver()

    assert run(run_beside(controlled, watch())) is LaneEnd.DRY


def test_nothing_is_taken_when_postgres_is_away(make_batch: MakeBatch, template: EmailTemplate, run: Run) -> None:
    """What is sent now could not be recorded, although the lease still holds for a while."""
    batch = make_batch(20)
    relay = FakeRelay(is_holding=True)
    gone = asyncio.Event()

    async def go_away(statement: str, arguments: Mapping[str, object]) -> None:
        if statement is sql.LEDGER_CYCLE and len(relay.taken) == 2 and not gone.is_set():
            controlled.database.update(host="127.0.0.1", port=1)
            gone.set()
            raise psycopg.OperationalError("The server closed the connection unexpectedly.")

    controlled = ControlledRun(lane=make_lane(batch, template), relay=relay, before=go_away)
    right = dict(controlled.database)

    async def come_back() -> None:
        await asyncio.wait_for(gone.wait(), 20)
        relay.deliver()  # Both connections are free now, and six emails wait in the outbox.
        await relay.await_refusals(5)
        assert len(relay.taken) == 2
        for each in list(relay.connections):
            each.abort(Loss(reason="421 4.4.2 Idle for too long"))  # Others are opened when PostgreSQL is back.
        controlled.database.clear()
        controlled.database.update(right)

    assert run(run_beside(controlled, come_back())) is LaneEnd.DRY
    assert set(controlled.count_taken().values()) == {1}
    assert statuses(batch) == {EmailStatus.SENT: 20}


def test_claims_are_given_back_when_the_lane_is_asked_to_stop_while_they_are_on_their_way(
    make_batch: MakeBatch, template: EmailTemplate, run: Run
) -> None:
    batch = make_batch(20)

    async def drain(statement: str, arguments: Mapping[str, object]) -> None:
        if statement is sql.LEDGER_CYCLE:
            assert controlled.lane_run is not None
            controlled.lane_run.drain()

    controlled = ControlledRun(lane=make_lane(batch, template), after=drain)
    assert run(run_beside(controlled)) is LaneEnd.STOPPED
    assert controlled.relay.taken == []
    controlled.lane.refresh_from_db()
    assert controlled.lane.lease_until is None
    assert Counter(Email.objects.filter(batch=batch).values_list("status", "attempts")) == {
        (EmailStatus.PENDING, 0): 20
    }


def test_message_goes_over_another_connection_when_one_is_lost_before_it(
    make_batch: MakeBatch, template: EmailTemplate, run: Run
) -> None:
    """The ledger does not hear of it: nothing is recorded but the message's end."""
    batch = make_batch(8)
    relay = FakeRelay(is_holding=True)
    recorded: Counter[str] = Counter()

    async def note(statement: str, arguments: Mapping[str, object]) -> None:
        if statement is sql.LEDGER_CYCLE:
            recorded.update(filter(None, str(arguments["ids"]).strip("{}").split(",")))

    controlled = ControlledRun(lane=make_lane(batch, template), relay=relay, after=note)

    async def lose() -> None:
        await relay.await_taken(2)
        relay.is_holding = False
        relay.connections[0].abort(Loss(reason="421 4.3.2 Going down", has_too_many_connections=True))
        relay.deliver()

    assert run(run_beside(controlled, lose())) is LaneEnd.DRY
    assert sorted(controlled.count_taken().values()) == [1] * 7 + [2]
    assert set(recorded.values()) == {1}
    assert statuses(batch) == {EmailStatus.SENT: 8}


def test_nothing_more_is_claimed_when_postgres_goes_away_while_the_lane_is_given_back(
    make_batch: MakeBatch, template: EmailTemplate, run: Run
) -> None:
    batch = make_batch(3)
    terminated: list[int] = []

    async def terminate(statement: str, arguments: Mapping[str, object]) -> None:
        if statement is not sql.RELEASE_LANE or terminated:
            return
        with psycopg.connect(**database_parameters(), autocommit=True) as other:
            other.execute(  # An email falls due. A lane that claims would claim it.
                "UPDATE batches_email SET status = 'pending', next_attempt_at = now() WHERE batch_id = %s AND row = 2",
                [batch.pk],
            )
            terminated.append(controlled.backend_pid)
            other.execute("SELECT pg_terminate_backend(%s, 5000)", terminated)

    controlled = ControlledRun(lane=make_lane(batch, template), before=terminate)
    assert run(run_beside(controlled)) is LaneEnd.DRY
    controlled.lane.refresh_from_db()
    assert len(terminated) == 1
    assert controlled.lane.lease_until is None
    assert statuses(batch) == {EmailStatus.SENT: 2, EmailStatus.PENDING: 1}
