"""What the tests of a lane's ledger share: outcomes, a locked lane, lost replies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg

from batches.delivery.ledger import Ledger
from batches.delivery.terms import ClaimedEmail, Decision
from batches.jobs.run_lane import database_parameters
from batches.models import Batch, EmailStatus, sql
from batches.outcomes import Outcome

Run = Callable[[Coroutine[Any, Any, Any]], Any]

CYCLES_MAX = 500


class OpenLedger(Protocol):
    def __call__(self, batch: Batch, *, lane_number: int = 0) -> Ledger: ...


def sent(claimed: ClaimedEmail) -> Decision:
    return Decision(claimed.id, EmailStatus.SENT.value, Outcome.SENT.value, 250, "2.0.0 Ok")


def deferred(claimed: ClaimedEmail, *, seconds: float) -> Decision:
    return Decision(claimed.id, EmailStatus.PENDING.value, Outcome.DEFERRED.value, 451, "Later.", seconds)


def rows_in_flight(batch: Batch) -> set[int]:
    """The rows that the lanes have claimed and not decided, as the database knows them."""
    return set(batch.emails.in_state(EmailStatus.SENDING).values_list("row", flat=True))


def claim_all(run: Run, ledger: Ledger, *, places: int) -> Iterator[int]:
    """Claim until the lane finds nothing more; the rows in the order of their claims."""
    for _ in range(CYCLES_MAX):
        for each in run(ledger.cycle(places)):
            yield each.row
        if ledger.is_dry:
            return
    raise AssertionError(f"The lane still finds something after {CYCLES_MAX} cycles.")


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
        psycopg.connect(**database_parameters()) as holder,
        psycopg.connect(**database_parameters(), autocommit=True) as other,
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
