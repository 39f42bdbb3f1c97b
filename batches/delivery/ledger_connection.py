"""The ledger's connection to PostgreSQL: how it is opened, and the statements that need no ledger.

A lane's connection parameters enter, and an open connection leaves. This module keeps no state.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

import psycopg

from batches.models import sql

Row = TypeVar("Row", bound=tuple[Any, ...])

STATEMENT_TIMEOUT_MS = 30_000
"""A cycle takes milliseconds. One that takes this long waits for a lock or for a dying server."""

IDLE_TRANSACTION_MS = 4_000
"""A lane that reads quotas has locked their relays until its transaction ends, and the other lanes wait. If its machine
stops in between, PostgreSQL ends the transaction after this time: well within a lease."""

# PostgreSQL makes one generic plan and keeps it, because planning each cycle again would cost more than running it. A
# generic plan knows neither the LIMIT nor the lengths of the arrays, so the planner may only walk the right index.
SESSION_SETTINGS = (
    "plan_cache_mode=force_generic_plan",
    "enable_seqscan=off",
    "enable_bitmapscan=off",
    "enable_sort=off",
    "enable_hashjoin=off",
    "enable_mergejoin=off",
    "enable_memoize=off",
    "jit=off",
    f"statement_timeout={STATEMENT_TIMEOUT_MS}",
    f"idle_in_transaction_session_timeout={IDLE_TRANSACTION_MS}",
)

clock = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
"""Seconds that also pass while the machine is suspended, on systems that can measure them."""


OUTAGES = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.IdleInTransactionSessionTimeout)
"""PostgreSQL is away, restarting, full or stuck, so another attempt is worthwhile. Any other error is a bug."""


class LedgerConnection(Protocol):
    """What the ledger needs of a database connection: a part of ``psycopg.AsyncConnection``."""

    async def execute(self, query: str, params: Mapping[str, object], /) -> psycopg.AsyncCursor[Any]: ...

    async def close(self) -> None: ...


Connect = Callable[[Mapping[str, Any]], Awaitable[LedgerConnection]]


async def connect(database: Mapping[str, Any]) -> psycopg.AsyncConnection[Any]:
    """Open a ledger's connection. ``database`` holds the arguments of ``psycopg.connect``.

    Raises:
        OUTAGES: PostgreSQL can't be reached.
    """
    options = " ".join(f"-c {setting}" for setting in SESSION_SETTINGS)
    return await psycopg.AsyncConnection.connect(
        **{**database, "options": options}, autocommit=True, prepare_threshold=0
    )


async def fetch(
    connection: LedgerConnection, statement: sql.Statement[Row], arguments: Mapping[str, object]
) -> list[Row]:
    cursor = await connection.execute(statement, arguments)
    return statement.rows(await cursor.fetchall())


async def release_lane(connection: LedgerConnection, *, lane_id: int, token: int, wait_seconds: float = 0) -> None:
    """Release a lane that has nothing in flight. The sweep does not enqueue it before the wait has passed."""
    await connection.execute(sql.RELEASE_LANE, {"lane": lane_id, "token": token, "wait_seconds": wait_seconds})
