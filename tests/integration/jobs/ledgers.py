"""What the tests of a lane's ledger share: routes, decisions, a locked lane, a line that loses PostgreSQL's replies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg

from batches.delivery.ledger import Ledger, connect
from batches.delivery.spec import LaneSpec, RouteSpec
from batches.delivery.terms import ClaimedEmail, Decision
from batches.jobs.run_lane import database_parameters
from batches.models import Batch, EmailStatus, Relay, RelayQuota, sql
from batches.outcomes import Outcome
from batches.smtp.relay import parse_relay

Run = Callable[[Coroutine[Any, Any, Any]], Any]

CYCLES_MAX = 500


class Line:
    """The way from one ledger to PostgreSQL, across all its connections. A test can lose statements and replies."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self.connection = connection
        self.undelivered: list[tuple[str, Mapping[str, object]]] = []
        """The statements that were lost before PostgreSQL had them."""
        self._lost_statement, self._left, self._is_carried_out = "", 0, True

    def lose(self, count: int, *, statement: str = sql.LEDGER_CYCLE, is_carried_out: bool = True) -> None:
        """Lose a statement the next so many times: the reply only, or the statement itself."""
        self._lost_statement, self._left, self._is_carried_out = statement, count, is_carried_out

    def cut(self) -> None:
        """Break the connection so that PostgreSQL does not notice while it is waiting for a lock."""
        with socket.socket(fileno=os.dup(self.connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    async def connect(self, database: Mapping[str, Any]) -> Line:
        """Open the ledger's next connection, as ``ledger.connect`` does."""
        self.connection = await connect(database)
        return self

    async def execute(self, query: str, params: Mapping[str, object], /) -> psycopg.AsyncCursor[Any]:
        if query is not self._lost_statement or not self._left:
            return await self.connection.execute(query, params)
        self._left -= 1
        if self._is_carried_out:
            await self.connection.execute(query, params)
        else:
            self.undelivered.append((query, params))
        raise psycopg.OperationalError("The reply was lost.")

    async def close(self) -> None:
        await self.connection.close()


class LedgerOnLine(Ledger):
    """A ledger whose line the test can disturb."""

    def __init__(self, spec: LaneSpec, line: Line) -> None:
        super().__init__(spec, line, connect=line.connect)
        self.line = line


class OpenLedger(Protocol):
    def __call__(self, batch: Batch, *, lane_number: int = 0, routes: tuple[RouteSpec, ...] = ()) -> LedgerOnLine: ...


def sent(claimed: ClaimedEmail) -> Decision:
    return Decision(claimed.id, EmailStatus.SENT.value, Outcome.SENT.value, 250, "2.0.0 Ok")


def deferred(claimed: ClaimedEmail, *, seconds: float) -> Decision:
    return Decision(claimed.id, EmailStatus.PENDING.value, Outcome.DEFERRED.value, 451, "Later.", seconds)


def rows_of(claimed: list[ClaimedEmail]) -> list[int]:
    return [email.row for email in claimed]


def rows_in_flight(batch: Batch) -> set[int]:
    """The rows that lanes have claimed and not decided, as the database knows them."""
    return set(batch.emails.in_state(EmailStatus.SENDING).values_list("row", flat=True))


def claim_all(run: Run, ledger: Ledger, *, places: int) -> Iterator[int]:
    """Claim until the lane finds nothing more, and give the rows in the order of their claims."""
    for _ in range(CYCLES_MAX):
        for email in run(ledger.cycle(places)):
            yield email.row
        if ledger.is_dry:
            return
    raise AssertionError(f"The lane still finds something after {CYCLES_MAX} cycles.")


@dataclass(frozen=True)
class LockedLane:
    """A lane whose row another transaction has locked: a cycle takes its snapshot, and then waits."""

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
        psycopg.connect(**database_parameters()) as holder,
        psycopg.connect(**database_parameters(), autocommit=True) as other,
    ):
        holder.execute("SELECT FROM batches_lane WHERE job_id = %s FOR UPDATE", [batch.jobs.get().pk])
        yield LockedLane(holder, other)


def make_route(name: str, *, quotas: tuple[tuple[int, int], ...] = (), **fields: Any) -> RouteSpec:
    """Make a relay with quotas of (amount, seconds), and a lane's route by it."""
    relay, _ = Relay.objects.get_or_create(name=name)
    for amount, period_seconds in quotas:
        RelayQuota.objects.get_or_create(relay=relay, amount=amount, period_seconds=period_seconds)
    address = parse_relay(f"smtp://{name}.example:25")
    return RouteSpec(relay_id=relay.pk, name=name, address=address, connections=1, has_quotas=bool(quotas), **fields)
