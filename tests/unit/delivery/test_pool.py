"""How many connections a lane opens, and when. The test controls the relay and the clock."""

from __future__ import annotations

import pytest

from batches.delivery.pool import CONNECTION_RECOVERY_SECONDS, REOPEN_SECONDS
from batches.smtp.connection import Loss
from tests.unit.delivery.pool_fakes import CONNECTIONS, FakeLane, FakeRelay
from tests.unit.delivery.time_loop import let_run

TOO_MANY = Loss(reason="421 4.7.0 Too many connections", has_too_many_connections=True)


async def test_all_connections_are_opened_when_the_first_was_accepted() -> None:
    relay = FakeRelay()
    lane = FakeLane(relay)
    lane.pool.pump()
    lane.pool.pump()
    assert relay.asked_count <= 1, "the relay is asked once before it has accepted a connection"
    await lane.pump()
    await lane.pump()
    assert (len(relay.open), relay.asked_count) == (CONNECTIONS, CONNECTIONS)


@pytest.mark.parametrize("ready", [0, 1, 3])
async def test_no_more_connections_are_opened_than_there_are_messages(ready: int) -> None:
    relay = FakeRelay()
    lane = FakeLane(relay, ready=ready)
    await lane.pump()
    await lane.pump()
    assert len(relay.open) == ready


@pytest.mark.parametrize(("is_away", "has_too_many"), [(True, False), (False, True)], ids=["away", "full"])
async def test_relay_is_asked_once_when_it_accepts_no_connection(is_away: bool, has_too_many: bool) -> None:
    """Otherwise every lane of every worker would connect with all its connections to a relay that is down."""
    relay = FakeRelay(limit=0, is_away=is_away)
    lane = FakeLane(relay)
    await lane.pump()
    assert relay.asked_count == 1
    assert [has_too_many_connections for _, has_too_many_connections in lane.errors] == [has_too_many]
    await lane.wait(REOPEN_SECONDS - 0.1)
    assert relay.asked_count == 1
    await lane.wait(0.2)
    assert relay.asked_count == 2


async def test_connections_stay_fewer_when_the_relay_says_that_they_are_too_many() -> None:
    relay = FakeRelay(limit=5)
    lane = FakeLane(relay)
    await lane.pump()
    await lane.pump()
    asked_count = relay.asked_count
    assert (len(relay.open), lane.errors) == (5, [])
    await lane.wait(REOPEN_SECONDS + 0.1)
    await lane.wait(CONNECTION_RECOVERY_SECONDS - REOPEN_SECONDS - 0.2)
    assert relay.asked_count == asked_count, "no connection is asked for before CONNECTION_RECOVERY_SECONDS are over"


async def test_connections_grow_step_by_step_when_the_relay_accepts_more() -> None:
    relay = FakeRelay(limit=1)
    lane = FakeLane(relay)
    await lane.pump()
    await lane.pump()
    assert len(relay.open) == 1
    relay.limit = 100
    counts = []
    for _ in range(4):
        await lane.wait(CONNECTION_RECOVERY_SECONDS + 0.1)
        counts.append(len(relay.open))
    assert counts == [2, 4, CONNECTIONS, CONNECTIONS]


async def test_growth_begins_again_with_one_when_the_relay_refuses_again() -> None:
    relay = FakeRelay(limit=1)
    lane = FakeLane(relay)
    await lane.pump()
    await lane.pump()
    relay.limit = 2
    await lane.wait(CONNECTION_RECOVERY_SECONDS + 0.1)
    await lane.wait(CONNECTION_RECOVERY_SECONDS + 0.1)
    assert len(relay.open) == 2
    relay.limit = 100
    await lane.wait(CONNECTION_RECOVERY_SECONDS + 0.1)
    assert len(relay.open) == 3


async def test_another_connection_is_opened_at_once_when_one_that_delivered_ends() -> None:
    """A relay may limit how many messages it accepts over one connection."""
    relay = FakeRelay()
    lane = FakeLane(relay)
    await lane.pump()
    await lane.pump()
    connection = next(iter(relay.open))
    connection.deliver()
    connection.lose(Loss(reason="421 4.7.0 100 messages are enough", has_too_many_connections=True))
    await lane.pump()
    assert (len(relay.open), lane.errors) == (CONNECTIONS, [])


async def test_lane_hears_of_it_when_its_last_connection_ends_without_a_delivery() -> None:
    relay = FakeRelay()
    lane = FakeLane(relay, ready=2)
    await lane.pump()
    await lane.pump()
    first, last = relay.open
    first.lose(TOO_MANY)
    assert lane.errors == []
    last.lose(TOO_MANY)
    assert lane.errors == [(TOO_MANY.reason, True)]


async def test_lane_hears_of_it_when_a_relay_that_fell_silent_lets_each_opening_wait_to_its_end() -> None:
    """The openings do not begin together, so one is always under way when another fails."""
    relay = FakeRelay()
    lane = FakeLane(relay)
    await lane.pump()
    await lane.pump()
    relay.silent, relay.is_away = [], True
    for connection in list(relay.open):
        connection.lose(Loss(reason="The relay closed the connection."))
        await lane.wait(REOPEN_SECONDS + 0.1)
    assert len(relay.silent) > 1
    for answer in list(relay.silent):
        assert lane.errors == []
        answer.set_result(None)
        await lane.wait(REOPEN_SECONDS + 0.1)
    assert lane.errors[:1] == [("The relay can't be reached.", False)]


async def test_no_opening_begins_beside_another_when_all_connections_ended() -> None:
    """Otherwise the lane would hear of a silent relay only when the last of them has waited to its end."""
    relay = FakeRelay()
    lane = FakeLane(relay, ready=CONNECTIONS)
    await lane.pump()
    await lane.pump()
    relay.silent, relay.is_away = [], True
    lane.ready.append(None)
    for connection in list(relay.open):
        connection.deliver()
        connection.lose(Loss(reason="The relay closed the connection."))
    await lane.pump()
    assert len(relay.silent) == 1
    lane.ready.extend([None] * CONNECTIONS)
    await lane.wait(1)
    assert len(relay.silent) == 1
    relay.silent[0].set_result(None)
    await lane.pump()
    assert lane.errors == [("The relay can't be reached.", False)]


async def test_relay_is_asked_once_and_at_once_when_the_last_connection_ends_after_a_refused_opening() -> None:
    """Otherwise a relay that closed all connections and fell silent would be asked only after the pause."""
    relay = FakeRelay()
    lane = FakeLane(relay)
    await lane.pump()
    await lane.pump()
    first, *others = relay.open
    relay.is_away = True
    first.deliver()
    first.lose(Loss(reason="The relay closed the connection."))
    await lane.pump()
    relay.silent, asked_before = [], relay.asked_count
    for connection in others:
        connection.deliver()
        connection.lose(Loss(reason="The relay closed the connection."))
    await lane.pump()
    assert (relay.asked_count, lane.errors) == (asked_before + 1, [])
    relay.silent[0].set_result(None)
    await lane.pump()
    assert lane.errors == [("The relay can't be reached.", False)]


async def test_lane_hears_of_it_at_once_when_the_relay_refuses_our_mail() -> None:
    relay = FakeRelay()
    lane = FakeLane(relay)
    await lane.pump()
    await lane.pump()
    next(iter(relay.open)).lose(Loss(reason="550 5.7.1 Not you", is_relay_error=True))
    assert lane.errors == [("550 5.7.1 Not you", False)]


async def test_each_connection_hears_how_much_time_has_passed() -> None:
    relay = FakeRelay()
    lane = FakeLane(relay, ready=2)
    await lane.pump()
    await lane.pump()
    lane.pool.tick(0.25)
    assert [connection.ticked_seconds for connection in relay.open] == [0.25, 0.25]


@pytest.mark.parametrize("reason", ["", "The lane was reaped."])
async def test_none_is_open_when_the_pool_was_closed(reason: str) -> None:
    relay = FakeRelay()
    lane = FakeLane(relay)
    await lane.pump()
    await lane.pump()
    opened = list(relay.open)
    await lane.pool.close(abort_reason=reason)
    assert relay.open == set()
    assert {connection.aborted and connection.aborted.reason for connection in opened} == {reason or None}
    await lane.pump()
    assert (relay.asked_count, lane.errors) == (CONNECTIONS, [])


async def test_opening_is_cancelled_when_the_pool_is_closed() -> None:
    relay = FakeRelay()
    lane = FakeLane(relay)
    lane.pool.pump()
    await lane.pool.close()
    await let_run()
    assert relay.open == set()


async def test_none_is_opened_when_nothing_could_be_recorded() -> None:
    """While PostgreSQL is away, a connection would deliver nothing, and the relay would seem to accept no mail."""
    relay = FakeRelay()
    lane = FakeLane(relay)
    await lane.pump()
    await lane.pump()
    assert len(relay.open) == CONNECTIONS
    lane.is_ledger_up = False
    for connection in list(relay.open):
        connection.deliver()
        connection.lose(Loss(reason="421 4.4.2 Idle for too long"))
    await lane.pump()
    assert (relay.asked_count, len(relay.open), lane.errors) == (CONNECTIONS, 0, [])
    lane.is_ledger_up = True
    lane.now += REOPEN_SECONDS + 1
    await lane.pump()
    await lane.pump()
    assert len(relay.open) == CONNECTIONS


async def test_as_many_are_opened_as_messages_were_ready_when_one_connection_takes_them_all() -> None:
    relay = FakeRelay()
    lane = FakeLane(relay, ready=1)
    await lane.pump(times=1)
    lane.ready.extend([None] * 4)
    next(iter(relay.open)).deliver()
    await lane.pump(times=1)
    assert len(relay.open) == 5  # The four messages were counted before the idle connection took one of them.


async def test_lane_hears_of_it_when_opening_a_connection_has_a_fault_of_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    relay = FakeRelay()
    relay.fault = KeyError("a bug")
    lane = FakeLane(relay)
    await lane.pump()
    assert lane.errors == [("The relay default can't be used (KeyError). The worker's log says why.", False)]
    assert "a bug" in caplog.text
    await lane.wait(REOPEN_SECONDS - 0.1)
    assert relay.asked_count == 1
