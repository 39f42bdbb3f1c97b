"""A lane run on the real PostgreSQL. The test controls its relay, its clock and its ledger connection."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from batches.delivery.lane_run import LaneRun
from batches.delivery.ledger import Ledger, clock, connect
from batches.delivery.terms import ClaimedEmail, LaneEnd
from batches.jobs.run_lane import acquire_lane, database_parameters, make_spec
from batches.models import Lane, sql
from batches.outcomes import Outcome
from batches.relays import afind_routes
from batches.smtp.backend import Backend
from batches.smtp.connection import Capabilities, Connection, LaneEvents, Loss, Outgoing, Timeouts
from batches.smtp.relay import RelayAddress
from batches.smtp.verdicts import Verdict

OFFERED = Capabilities.of({"pipelining": "", "chunking": "", "8bitmime": "", "smtputf8": ""})
SENT = Verdict(Outcome.SENT, 250, "2.0.0 Ok")

Hook = Callable[[str, Mapping[str, object]], Awaitable[None]]


async def do_nothing(*_: object) -> None:
    """A hook that does nothing."""


@dataclass(kw_only=True)
class FakeRelay:
    """Accept every message: at once or, with ``is_holding``, when the test calls ``deliver``."""

    is_holding: bool = False
    taken: list[int] = field(default_factory=list)
    """The rows of the messages that the connections took, in order."""
    refused_count: int = 0
    """How often a connection asked for a message and got none."""
    connections: list[FakeConnection] = field(default_factory=list)
    pumped: asyncio.Event = field(default_factory=asyncio.Event)

    async def open_connection(
        self,
        relay: RelayAddress | Backend,
        *,
        lane: LaneEvents[ClaimedEmail],
        timeouts: Timeouts,
        depth: int,
        closes_after_refusals: bool,
    ) -> Connection:
        connection = FakeConnection(lane=lane, relay=self)
        self.connections.append(connection)
        return connection

    async def await_taken(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.taken) < count:
                self.pumped.clear()
                await self.pumped.wait()

    async def await_refusals(self, count: int) -> None:
        """Wait until the lane has refused a message this many more times. The connections ask again and again."""
        wanted = self.refused_count + count
        async with asyncio.timeout(20):
            while self.refused_count < wanted:
                for connection in self.connections:
                    connection.pump()
                await asyncio.sleep(0.01)

    def deliver(self) -> None:
        """Accept what the connections hold, and hold nothing more."""
        self.is_holding = False
        for connection in list(self.connections):
            connection.deliver()


@dataclass(kw_only=True, eq=False)
class FakeConnection:
    lane: LaneEvents[ClaimedEmail]
    relay: FakeRelay
    sent_count: int = 0
    outgoing: Outgoing[ClaimedEmail] | None = None

    @property
    def answered_count(self) -> int:
        return self.sent_count

    def send_one_at_a_time(self) -> None: ...

    @property
    def is_idle(self) -> bool:
        return self.outgoing is None

    def pump(self) -> None:
        if self.outgoing is not None or self not in self.relay.connections:
            return
        self.outgoing = self.lane.take(OFFERED)
        self.relay.pumped.set()
        if self.outgoing is None:
            self.relay.refused_count += 1
            return
        self.relay.taken.append(self.outgoing.tag.row)
        if not self.relay.is_holding:
            asyncio.get_running_loop().call_soon(self.deliver)

    def deliver(self) -> None:
        if self.outgoing is not None:
            self._give_verdict(SENT)
            self.sent_count += 1
            self.pump()

    def _give_verdict(self, verdict: Verdict) -> None:
        outgoing, self.outgoing = self.outgoing, None
        assert outgoing is not None
        self.lane.on_verdict(outgoing, verdict)

    def quit(self) -> None:
        self.abort(Loss(reason="We closed the connection."))

    def abort(self, loss: Loss) -> None:
        if self.outgoing is not None:
            self._give_verdict(Verdict(Outcome.REQUEUED, 0, loss.reason))
        self.relay.connections.remove(self)
        self.lane.on_connection_lost(self, loss)

    def tick(self, seconds: float) -> None: ...


@dataclass(kw_only=True)
class WatchedConnection:
    """A ledger's connection. The hooks see each statement before and after PostgreSQL does."""

    connection: psycopg.AsyncConnection[Any]
    before: Hook
    after: Hook

    async def execute(self, statement: str, arguments: Mapping[str, object], /) -> psycopg.AsyncCursor[Any]:
        await self.before(statement, arguments)
        cursor = await self.connection.execute(statement, arguments)
        await self.after(statement, arguments)
        return cursor

    async def close(self) -> None:
        await self.connection.close()


@dataclass(kw_only=True)
class ControlledRun:
    """One lane run, with the parts that the test controls."""

    lane: Lane
    relay: FakeRelay = field(default_factory=FakeRelay)
    before: Hook = do_nothing
    after: Hook = do_nothing
    clock: Callable[[], float] = clock
    """The lane's own clock. A test may replace it while the lane runs."""
    published: list[sql.SnapshotRow] = field(default_factory=list)
    database: dict[str, Any] = field(default_factory=database_parameters)
    """Where the ledger connects. A test that changes it makes PostgreSQL unreachable for the lane."""
    window: int = 8
    connections: int = 2
    lane_run: LaneRun | None = None
    backend_pid: int = 0
    """PostgreSQL's process for the ledger's first connection."""

    async def run(self) -> LaneEnd:
        connection = await connect(self.database)
        self.backend_pid = connection.info.backend_pid
        acquired = await acquire_lane(connection, self.lane.pk, worker="")
        assert acquired is not None
        found = await afind_routes(connection, sender_id=acquired.sender_id)
        spec = make_spec(acquired, self.database, routes=found.routes)
        routes = tuple(replace(route, connections=self.connections) for route in spec.routes)
        spec = replace(spec, window=self.window, routes=routes)
        watched = WatchedConnection(connection=connection, before=self.before, after=self.after)
        self.lane_run = LaneRun(
            spec,
            Ledger(spec, watched),
            publish=self.publish,
            should_end=lambda: None,
            open_connection=self.relay.open_connection,
            clock=lambda: self.clock(),
        )
        return await self.lane_run.run()

    async def publish(self, row: sql.SnapshotRow) -> None:
        self.published.append(row)

    def count_taken(self) -> Counter[int]:
        return Counter(self.relay.taken)
