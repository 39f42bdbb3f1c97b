"""What a pool does with its connections when the relay closes after refusals, and when its route is paused."""

from __future__ import annotations

from batches.delivery.pool import REOPEN_SECONDS
from batches.smtp.connection import Loss
from tests.unit.delivery.pool_fakes import FakeLane, FakeRelay
from tests.unit.delivery.time_loop import let_run


async def test_connection_is_replaced_at_once_when_the_relay_answered_without_accepting() -> None:
    """It refused a recipient and closed, or said 421 to one message: that says nothing about the next connection."""
    relay = FakeRelay()
    lane = FakeLane(relay, ready=1)
    await lane.pump()
    await lane.pump()
    [connection] = relay.open
    connection.refused_count = 1
    lane.ready.append(None)
    connection.lose(Loss(reason="The relay closed the connection.", follows_refusal=True))
    await lane.pump()
    assert (len(relay.open), lane.errors) == (1, [])


async def test_each_connection_sends_one_at_a_time_when_the_relay_closes_after_refusals() -> None:
    relay = FakeRelay()
    lane = FakeLane(relay, ready=3)
    await lane.pump()
    await lane.pump()
    lane.pool.note_closing_after_refusal()
    assert {connection.is_single for connection in relay.open} == {True}
    lane.ready.extend([None] * 2)
    await lane.pump()
    assert relay.careful_count == 2


async def test_connection_sends_one_at_a_time_when_its_pool_learned_that_during_its_opening() -> None:
    relay = FakeRelay()
    lane = FakeLane(relay, ready=1)
    await lane.pump()
    await lane.pump()
    relay.silent = []
    lane.ready.extend([None] * 3)
    await lane.pump()
    await let_run()
    lane.pool.note_closing_after_refusal()
    for answer in relay.silent:
        answer.set_result(None)
    await let_run()
    await lane.pump()
    assert len(relay.open) == 4
    assert {connection.is_single for connection in relay.open} == {True}


async def test_idle_connections_end_and_none_is_opened_when_the_pool_is_paused() -> None:
    relay = FakeRelay()
    lane = FakeLane(relay, ready=3)
    await lane.pump()
    await lane.pump()
    first, *_ = relay.open
    first.deliver()
    lane.pool.pause()
    await let_run()
    assert len(relay.open) == 2, "those with a message in flight wait for its reply"
    for connection in list(relay.open):
        connection.deliver()
    await lane.wait(1)
    lane.ready.extend([None] * 5)
    await lane.wait(REOPEN_SECONDS + 1)
    assert (len(relay.open), relay.asked_count, lane.errors) == (0, 3, [])


async def test_one_connection_is_opened_until_the_probe_ends_when_the_pool_resumes() -> None:
    relay = FakeRelay()
    lane = FakeLane(relay, ready=0)
    lane.pool.pause()
    lane.pool.resume()
    lane.ready.extend([None] * 5)
    await lane.pump()
    await lane.pump()
    assert len(relay.open) == 1
    lane.pool.end_probe()
    await lane.pump()
    assert len(relay.open) == 5
