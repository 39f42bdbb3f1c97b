"""The lane's side of the ledger: one short transaction at a time that renews, records and claims.

Outcomes and free places go in; claimed emails come out. It holds the only database connection of a lane,
and survives its loss: outcomes are kept and written again, guarded by lane and state.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

import psycopg

from batches.delivery.terms import ClaimedEmail, Decision, LaneSpec
from batches.models import EmailStatus, JobStatus, sql

Row = TypeVar("Row", bound=tuple[Any, ...])

logger = logging.getLogger(__name__)

STATEMENT_TIMEOUT_MS = 30_000
"""A cycle takes milliseconds; one that takes this long is stuck behind a lock or a dying server."""

ROW_RANGE_WINDOWS = 16
"""How many windows of rows a lane is handed at most: few commits for it, and few emails wait behind a slow lane."""

LOCKED_JOB_SECONDS = 0.005
"""How long to leave a job alone that another has locked: as a rule a lane that takes its row range."""

RATE_SECONDS = 1.0
"""The sending rate is taken over spans of this length."""

_PROCESSING = JobStatus.PROCESSING.value
_COUNTED = (EmailStatus.SENT.value, EmailStatus.FAILED.value, EmailStatus.UNKNOWN.value, EmailStatus.PENDING.value)

# A generic plan, made once: planning a cycle anew would cost more than running it. A generic plan knows
# neither the LIMIT nor the arrays' lengths, so everything but walking the right index is switched off.
_SESSION_SETTINGS = (
    "plan_cache_mode=force_generic_plan",
    "enable_seqscan=off",
    "enable_bitmapscan=off",
    "enable_sort=off",
    "enable_hashjoin=off",
    "enable_mergejoin=off",
    "enable_memoize=off",
    "jit=off",
    f"statement_timeout={STATEMENT_TIMEOUT_MS}",
)

clock = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
"""Seconds that also pass while the machine is suspended, where the system can tell them."""


OUTAGES = (psycopg.OperationalError, psycopg.InterfaceError)
"""Postgres is away, restarting, full or stuck: worth another try. Any other error is a bug."""


class _Cursor(NamedTuple):
    """Behind what the next claim looks for retries: due time and id."""

    after_at: datetime
    after_id: int


_FRONT = _Cursor(datetime(1, 1, 1, tzinfo=UTC), 0)


async def connect(database: Mapping[str, Any]) -> psycopg.AsyncConnection[Any]:
    """Open a ledger's connection; ``database`` is what ``psycopg.connect`` takes.

    Raises:
        OUTAGES: Postgres can't be reached.
    """
    options = " ".join(f"-c {setting}" for setting in _SESSION_SETTINGS)
    return await psycopg.AsyncConnection.connect(
        **{**database, "options": options}, autocommit=True, prepare_threshold=0
    )


class Fenced(Exception):
    """The lane is no longer ours: drop everything, record nothing, stop."""


def _array(values: Iterable[object]) -> str:
    """A PostgreSQL array literal of numbers or plain words; a fifth of the time that psycopg's own takes."""
    return "{" + ",".join(map(str, values)) + "}"


def _text_array(values: Iterable[str]) -> str:
    """A PostgreSQL array literal of any text (PostgreSQL 18, section 8.15.6)."""
    quoted = '","'.join(values)
    if "\\" in quoted or quoted.count('"') != 2 * quoted.count('","'):
        quoted = '","'.join(value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return '{"' + quoted + '"}' if values else "{}"


class Ledger:
    """One lane's way to Postgres.

    ``in_flight`` are the emails claimed and not yet recorded; ``is_halted`` says that the job is no longer to
    be sent, ``is_dry`` that nothing was due at the last claim; ``deadline`` is the moment, on ``clock``,
    until which the lease surely holds.
    """

    def __init__(self, spec: LaneSpec, connection: psycopg.AsyncConnection[Any]) -> None:
        self._spec = spec
        self._connection = connection
        self._outcomes: list[Decision] = []
        self._counters = spec.counters
        self._token = spec.token
        self._cursor = _FRONT
        self._after_row, self._end_row = spec.row_range
        self._is_list_used_up = False
        self._rate, self._rate_at, self._rate_sent = 0.0, clock(), spec.counters[0]
        self._found: list[ClaimedEmail] = []
        self.in_flight: dict[int, ClaimedEmail] = {}
        self.is_halted = False
        self.is_dry = False
        self.deadline = 0.0

    def add(self, outcome: Decision) -> None:
        """Keep an outcome for the next cycle."""
        self._outcomes.append(outcome)

    @property
    def in_doubt_count(self) -> int:
        """How many claimed emails have no outcome yet: what a crash now would leave in doubt, once the next
        cycle has recorded the rest."""
        return len(self.in_flight) - len(self._outcomes)

    @property
    def outcome_count(self) -> int:
        """How many outcomes wait for the next cycle."""
        return len(self._outcomes)

    async def close(self) -> None:
        await self._connection.close()

    async def recover(self, *, window: int) -> list[ClaimedEmail]:
        """Connect again; write the kept outcomes, take up what was claimed unknown to us, claim more up to a window.

        Raises:
            Fenced: the lane was taken away meanwhile.
            OUTAGES: Postgres is still away.
        """
        await self.close()
        self._connection = await connect(self._spec.database)
        await self._find_lost_claims()
        # Kept outcomes may be recorded by now, and what they deferred be due: its claim must not stand beside them.
        claimed = await self.cycle(0 if self._outcomes else max(0, window - self.in_doubt_count))
        found, self._found = self._found, []
        return found + claimed

    async def _find_lost_claims(self) -> None:
        """Renew the lease, then take up what was claimed or handed out by a statement whose reply was lost."""
        # The lost connection may still be at work, and there may be room for this when there is none for a cycle.
        lease = {
            "lane": self._spec.lane_id,
            "token": self._token,
            "next_token": self._token + 1,
            "lease_seconds": self._spec.lease_seconds,
        }
        lanes = await self._fetch(sql.RENEW_LANE, lease)
        if not lanes:
            raise Fenced
        self._token += 1
        self._after_row, self._end_row = lanes[0].after_row, lanes[0].end_row
        # Before the next cycle, which writes the rows by which these are found.
        rows = await self._fetch(sql.IN_DOUBT_OF_LANE, {"batch": self._spec.batch_id, "lane": self._spec.lane_id})
        found = [ClaimedEmail(*row) for row in rows if row.id not in self.in_flight]
        self.in_flight.update((each.id, each) for each in found)
        self._found += found  # until a cycle gets through

    async def cycle(self, places: int) -> list[ClaimedEmail]:
        """Renew the lease, record what was added, claim up to ``places``: one statement, one commit.

        When it returns, all of that is durable. After an outage nobody knows if it is: the outcomes
        are kept, and ``recover`` writes them again.

        Raises:
            Fenced: the lane was taken away.
            OUTAGES: Postgres went away.
        """
        if places and self._after_row >= self._end_row and not self._is_list_used_up:
            await self._take_row_range()
        recording, self._outcomes = self._outcomes, []
        counters = self._count(recording)
        started = clock()
        try:
            rows = await self._fetch(sql.LEDGER_CYCLE, self._arguments(recording, counters, places))
        except BaseException:
            self._outcomes = recording + self._outcomes
            raise
        if not rows:
            raise Fenced
        self.deadline = started + self._spec.lease_seconds
        self._counters = counters
        for outcome in recording:
            self.in_flight.pop(outcome.email_id, None)
        self.is_halted = rows[0].job_status != _PROCESSING
        return self._take_in(rows, places)

    async def _take_row_range(self) -> None:
        arguments = {
            "job": self._spec.job_id,
            "batch": self._spec.batch_id,
            "lane": self._spec.lane_id,
            "token": self._token,
            "window": self._spec.window,
            "rows_max": ROW_RANGE_WINDOWS * self._spec.window,
        }
        answer = await self._fetch(sql.TAKE_ROW_RANGE, arguments)
        if not answer:
            await asyncio.sleep(LOCKED_JOB_SECONDS)
            return
        [row_range] = answer
        if row_range.after_row is None or row_range.end_row is None:
            self._is_list_used_up = True
        else:
            self._after_row, self._end_row = row_range.after_row, row_range.end_row

    def _take_in(self, rows: list[sql.ClaimedRow], places: int) -> list[ClaimedEmail]:
        claimed = [ClaimedEmail(row.id, row.row, row.address, row.fields, row.attempts) for row in rows if row.id]
        self._after_row = rows[0].range_after_row
        if len(claimed) < places:
            # Nothing is left behind the cursor; but what others gave back may be due before it.
            is_used_up = self._after_row >= self._end_row and self._is_list_used_up
            self.is_dry = not claimed and self._cursor is _FRONT and is_used_up
            self._cursor = _FRONT
        elif claimed:
            self.is_dry = False
            retries = [_Cursor(row.due_at, row.id) for row in rows if row.due_at and row.id]
            self._cursor = max(retries, default=self._cursor)
        self.in_flight.update((each.id, each) for each in claimed)
        return claimed

    def _count(self, recording: list[Decision]) -> tuple[int, int, int, int]:
        statuses = [outcome.status for outcome in recording if outcome.outcome]
        sent, failed, unknown, retried = (
            before + statuses.count(status) for before, status in zip(self._counters, _COUNTED, strict=True)
        )
        return sent, failed, unknown, retried

    def _arguments(
        self, recording: list[Decision], counters: tuple[int, int, int, int], places: int
    ) -> dict[str, object]:
        sent, failed, unknown, retried = counters
        ids, statuses, outcomes, codes, replies, delays = zip(*recording, strict=True) if recording else ((),) * 6
        recorded = set(ids)
        return {
            "job": self._spec.job_id,
            "lane": self._spec.lane_id,
            "token": self._token,
            "lease_seconds": self._spec.lease_seconds,
            "sent": sent,
            "failed": failed,
            "unknown": unknown,
            "retried": retried,
            "rate": self._measure_rate(sent),
            "ids": _array(ids),
            "statuses": _array(statuses),
            "outcomes": _text_array(outcomes),
            "codes": _array(codes),
            "replies": _text_array(replies),
            "delays": _array(delays),
            "relay": str(self._spec.relay),
            "batch": self._spec.batch_id,
            "in_flight_rows": _array(each.row for each in self.in_flight.values() if each.id not in recorded),
            "after_row": self._after_row,
            "end_row": self._end_row,
            **self._cursor._asdict(),
            "limit": places,
        }

    def _measure_rate(self, sent: int) -> float:
        now = clock()
        span = now - self._rate_at
        if span >= RATE_SECONDS:
            self._rate = (sent - self._rate_sent) / span
            self._rate_at, self._rate_sent = now, sent
        return self._rate

    async def read_snapshot_row(self) -> sql.SnapshotRow | None:
        """The batch's row of ``sql.SNAPSHOTS``, for the publisher."""
        rows = await self._fetch(sql.SNAPSHOTS, {"batches": [self._spec.batch_id]})
        return rows[0] if rows else None

    async def count_lanes(self) -> int:
        """How many lanes are at work now, this one among them."""
        rows = await self._fetch(sql.COUNT_LEASED_LANES, {})
        return max(1, rows[0].lane_count)

    async def release(self) -> None:
        """Give the lane back; only when nothing is held."""
        await self._execute(sql.RELEASE_LANE, {"lane": self._spec.lane_id, "token": self._token})

    async def report_relay_error(
        self, error: str, *, base_seconds: float, cap_seconds: float, has_too_many_connections: bool
    ) -> None:
        """Note on the job why no mail goes out, and when to try again."""
        arguments = {
            "job": self._spec.job_id,
            "lane": self._spec.lane_id,
            "error": error,
            "base_seconds": base_seconds,
            "cap_seconds": cap_seconds,
            "has_too_many_connections": has_too_many_connections,
        }
        await self._execute(sql.REPORT_RELAY_ERROR, arguments)

    async def clear_relay_error(self) -> None:
        await self._execute(sql.CLEAR_RELAY_ERROR, {"job": self._spec.job_id})

    async def _fetch(self, statement: sql.Statement[Row], arguments: Mapping[str, object]) -> list[Row]:
        cursor = await self._execute(statement, arguments)
        return statement.rows(await cursor.fetchall())

    async def _execute(self, statement: str, arguments: Mapping[str, object]) -> psycopg.AsyncCursor[Any]:
        return await self._connection.execute(statement, arguments)
