"""A relay, its connections and a lane for the tests of the pool. The test controls the relay and the clock."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from batches.delivery.pool import Pool
from batches.delivery.terms import ClaimedEmail
from batches.smtp.backend import Backend
from batches.smtp.connection import Capabilities, Connection, LaneEvents, Loss, Outgoing, Timeouts
from batches.smtp.relay import RelayAddress, RelayError
from batches.smtp.verdicts import Verdict
from tests.unit.delivery.specs import ROUTE, SPEC
from tests.unit.delivery.time_loop import let_run

CONNECTIONS = 8


class FakeConnection:
    """An open connection. It takes one message, and keeps it until the test delivers it or ends the connection."""

    def __init__(self, lane: LaneEvents[ClaimedEmail], relay: FakeRelay) -> None:
        self.lane, self.relay = lane, relay
        self.sent_count = self.refused_count = 0
        self.is_single = False
        self.outgoing: Outgoing[ClaimedEmail] | None = None
        self.ticked_seconds = 0.0
        self.aborted: Loss | None = None

    @property
    def answered_count(self) -> int:
        return self.sent_count + self.refused_count

    def send_one_at_a_time(self) -> None:
        self.is_single = True

    @property
    def is_idle(self) -> bool:
        return self.outgoing is None

    def pump(self) -> None:
        if self.outgoing is None:
            self.outgoing = self.lane.take(Capabilities())

    def quit(self) -> None:
        self.lose(Loss(reason="We closed the connection."))

    def abort(self, loss: Loss) -> None:
        self.aborted = loss
        self.lose(loss)

    def tick(self, seconds: float) -> None:
        self.ticked_seconds += seconds

    def deliver(self) -> None:
        assert self.outgoing is not None
        self.outgoing = None
        self.sent_count += 1

    def lose(self, loss: Loss) -> None:
        self.relay.open.discard(self)
        self.lane.on_connection_lost(self, loss)


class FakeRelay:
    """Open connections up to a limit, and answer 421 above it. With ``is_away``, answer nobody."""

    def __init__(self, *, limit: int = 100, is_away: bool = False) -> None:
        self.limit, self.is_away = limit, is_away
        self.silent: list[asyncio.Future[None]] | None = None  # a list of the openings that it leaves without an answer
        self.fault: Exception | None = None  # what opening a connection raises
        self.asked_count = 0
        self.careful_count = 0  # openings for one message at a time
        self.open: set[FakeConnection] = set()

    async def open_connection(
        self,
        relay: RelayAddress | Backend,
        *,
        lane: LaneEvents[ClaimedEmail],
        timeouts: Timeouts,
        depth: int,
        closes_after_refusals: bool,
    ) -> Connection:
        self.asked_count += 1
        self.careful_count += closes_after_refusals
        await let_run()
        if self.silent is not None:
            answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.silent.append(answer)
            await answer
        if self.fault is not None:
            raise self.fault
        if self.is_away:
            raise RelayError("The relay can't be reached.")
        if len(self.open) >= self.limit:
            raise RelayError("Too many connections", has_too_many_connections=True)
        connection = FakeConnection(lane, self)
        self.open.add(connection)
        return connection


class FakeLane:
    """A lane with this many messages ready, a clock that the test sets, and the pool under test."""

    def __init__(self, relay: FakeRelay, *, ready: int = 100) -> None:
        self.now = 1000.0
        self.ready = [None] * ready
        self.is_ledger_up = True
        self.errors: list[tuple[str, bool]] = []
        self.pool = Pool(
            SPEC,
            replace(ROUTE, connections=CONNECTIONS),
            lane=self,
            outbox=self.ready,
            clock=lambda: self.now,
            open_connection=relay.open_connection,
        )

    def take(self, capabilities: Capabilities) -> Outgoing[ClaimedEmail] | None:
        if not self.ready:
            return None
        self.ready.pop()
        claimed = ClaimedEmail(1, 1, "a@x.org", "[]", 1)
        return Outgoing(tag=claimed, sender=b"", recipient="a@x.org", content=b"", is_8bit=False)

    def may_send(self) -> bool:
        return True

    def can_record(self) -> bool:
        return self.is_ledger_up

    def on_verdict(self, outgoing: Outgoing[ClaimedEmail], verdict: Verdict) -> None: ...

    def on_connection_lost(self, connection: Connection, loss: Loss) -> None:
        self.pool.on_connection_lost(connection, loss)

    def on_relay_down(self, error: RelayError) -> None:
        self.errors.append((str(error), error.has_too_many_connections))

    async def pump(self, *, times: int = 5) -> None:
        """Pump as often as a busy lane does, and let the openings come to their end."""
        for _ in range(times):
            self.pool.pump()
        await let_run()
        await let_run()

    async def wait(self, seconds: float) -> None:
        """Let time pass, and pump."""
        self.now += seconds
        self.pool.tick(seconds)
        await self.pump()
