"""A lane's side of the database: one short transaction at a time that renews the lease, records and claims.

Decisions and the number of free places enter. Claimed emails leave. The ledger owns the lane's only database
connection and survives its loss: it keeps the decisions and writes them again, and the statements see to it that
nothing counts twice. It never decides and never sends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg

from batches.delivery.ledger_connection import (
    OUTAGES,
    Connect,
    LedgerConnection,
    clock,
    connect,
    fetch,
    release_lane,
    report_relay_error,
)
from batches.delivery.recovery import Fenced, Recovery
from batches.delivery.spec import Counters, LaneSpec
from batches.delivery.terms import ClaimedEmail, Decision
from batches.models import EmailStatus, JobStatus, sql

__all__ = ["OUTAGES", "Fenced", "Ledger", "clock", "connect", "release_lane", "report_relay_error"]

logger = logging.getLogger(__name__)

ROW_RANGE_WINDOWS = 16
"""A row range has at most this many windows of rows. With fewer, a lane would need a commit for a new row range more
often. With more, more emails would wait for a slow lane."""

LOCKED_JOB_SECONDS = 0.005
"""How long to wait if another transaction has locked the job: usually another lane that takes its row range."""

RATE_SECONDS = 1.0
"""The sending rate is measured over spans of this length."""

_PROCESSING = JobStatus.PROCESSING.value
_COUNTED = (EmailStatus.SENT.value, EmailStatus.FAILED.value, EmailStatus.UNKNOWN.value, EmailStatus.PENDING.value)


class _Cursor(NamedTuple):
    """Keyset cursor: the next claim looks for retries that are due after this time and id."""

    after_at: datetime
    after_id: int


_START = _Cursor(datetime(1, 1, 1, tzinfo=UTC), 0)


class Ledger:
    """One lane's way to PostgreSQL.

    ``in_flight`` holds the claimed emails whose decision is not recorded, by id. ``is_halted`` says that the job is not
    to be sent any more. ``is_dry`` says that the last claim found nothing due. ``is_up`` is false during an outage.
    Until ``deadline``, a time of ``clock``, the lease certainly holds. If quotas let the last claim have less than it
    asked for, ``space_at`` is the time of ``clock`` at which there is space again. ``space_sentence`` names the quota.

    Args:
        connection: An open connection, which the ledger owns from now on.
        connect: Opens the next connection after an outage.
    """

    def __init__(
        self,
        spec: LaneSpec,
        connection: LedgerConnection,
        *,
        connect: Connect = connect,
        clock: Callable[[], float] = clock,
    ) -> None:
        self._spec = spec
        self._connection, self._connect, self._clock = connection, connect, clock
        self._decisions: list[Decision] = []
        self._counters = spec.counters
        self._token = spec.token
        self._statement = sql.LEDGER_CYCLE_OF_REPLAY if spec.resends_all else sql.LEDGER_CYCLE
        self._cursor = _START
        self._after_row, self._end_row = spec.row_range
        self._is_list_used_up = False
        self._rate, self._rate_at, self._rate_sent = 0.0, clock(), spec.counters.sent
        self._recovery: Recovery | None = None
        self.in_flight: dict[int, ClaimedEmail] = {}
        self.is_halted = False
        self.is_dry = False
        self.is_up = True
        self.deadline = 0.0
        self.space_at: float | None = None
        self.space_sentence = ""

    def add(self, decision: Decision) -> None:
        """Keep a decision for the next cycle."""
        self._decisions.append(decision)

    @property
    def decision_count(self) -> int:
        """How many decisions wait for the next cycle."""
        return len(self._decisions)

    @property
    def undecided_count(self) -> int:
        """How many claimed emails have no decision yet. They are still in flight after the next cycle."""
        return len(self.in_flight) - len(self._decisions)

    async def close(self) -> None:
        await self._connection.close()

    async def cycle(self, places: int, usable: Sequence[int] | None = None) -> list[ClaimedEmail]:
        """Renew the lease, record the decisions, claim up to ``places`` emails: one statement, one commit.

        ``usable`` are the places in ``LaneSpec.routes`` of the routes that may get emails now. None: all of them.

        All of that is durable when it returns. After an outage nobody knows whether it is: the decisions are kept, and
        ``recover`` writes them again.

        Raises:
            Fenced: The lane was reaped.
            OUTAGES: PostgreSQL went away.
        """
        if usable is not None and not usable:
            places = 0
        if places and self._after_row >= self._end_row and not self._is_list_used_up:
            await self._take_row_range()
        recording, self._decisions = self._decisions, []
        counters = self._count(recording)
        started = self._clock()
        try:
            rows = await fetch(self._connection, self._statement, self._arguments(recording, counters, places))
        except BaseException:
            self._decisions = recording + self._decisions
            raise
        if not rows:
            raise Fenced
        # From before the statement, because PostgreSQL began the lease no earlier.
        self.deadline = started + self._spec.lease_seconds
        self._counters = counters
        for decision in recording:
            self.in_flight.pop(decision.email_id, None)
        self.is_halted = rows[0].job_status != _PROCESSING
        return self._take_in(rows, places)

    async def recover(self, *, window: int, usable: Sequence[int] | None = None) -> list[ClaimedEmail]:
        """Connect again, find the lost claims, write the kept decisions, and claim more up to a window.

        Safe to call again until it succeeds. Returns the lost claims and the new ones.

        Raises:
            Fenced: The lane was reaped meanwhile.
            OUTAGES: PostgreSQL is still away.
        """
        await self.close()
        self._connection = await self._connect(self._spec.database)
        recovery = self._recovery = self._recovery or Recovery(self._spec, token=self._token)
        # First and alone: the lost connection may still be running a cycle, and on a full disk there may be room for
        # this write when there is none for a cycle.
        lane = await recovery.renew_lease(self._connection)
        self._token, self._after_row, self._end_row = recovery.token, lane.after_row, lane.end_row
        # Before the next cycle, which overwrites the claimed rows by which the lost claims are found.
        await recovery.find_claims(self._connection, known=self.in_flight)
        self.in_flight.update(recovery.found)
        # A kept decision may be recorded already, and the email that it deferred may be due. A new claim of that email
        # must not meet the old decision, so nothing is claimed until the decisions are recorded.
        claimed = await self.cycle(0 if self._decisions else max(0, window - self.undecided_count), usable)
        self._recovery = None
        return [*recovery.found.values(), *claimed]

    async def _take_row_range(self) -> None:
        arguments = {
            "job": self._spec.job_id,
            "batch": self._spec.batch_id,
            "lane": self._spec.lane_id,
            "token": self._token,
            "window": self._spec.window,
            "rows_max": ROW_RANGE_WINDOWS * self._spec.window,
        }
        row_ranges = await fetch(self._connection, sql.TAKE_ROW_RANGE, arguments)
        if not row_ranges:
            await asyncio.sleep(LOCKED_JOB_SECONDS)
            return
        after_row, end_row = row_ranges[0]
        if after_row is None or end_row is None:
            self._is_list_used_up = True
        else:
            self._after_row, self._end_row = after_row, end_row

    def _take_in(self, rows: list[sql.ClaimedRow], places: int) -> list[ClaimedEmail]:
        """Take up the emails that a cycle has claimed, and note where the next claim looks."""
        claimed = [ClaimedEmail(row.id, row.row, row.address, row.fields, row.attempts) for row in rows if row.id]
        self.in_flight.update((email.id, email) for email in claimed)
        self._after_row = rows[0].range_after_row
        if len(claimed) < places:
            self.is_dry = not claimed and self._has_searched_everything()
            # The claim has passed the last retry that is due. An email that was requeued meanwhile may be due at an
            # earlier time, so the next claim looks from the start again.
            self._cursor = _START
        elif claimed:
            self.is_dry = False
            retries = [_Cursor(row.due_at, row.id) for row in rows if row.due_at and row.id]
            self._cursor = max(retries, default=self._cursor)
        return claimed

    def _has_searched_everything(self) -> bool:
        """Whether a claim that found too little has looked at all retries and all untried rows."""
        return self._cursor is _START and self._after_row >= self._end_row and self._is_list_used_up

    def _count(self, recording: list[Decision]) -> Counters:
        """Count the decisions about to be recorded, except those that requeue: no attempt ended with them."""
        statuses = [decision.status for decision in recording if decision.outcome]
        return Counters(
            *(before + statuses.count(status) for before, status in zip(self._counters, _COUNTED, strict=True))
        )

    def _arguments(self, recording: list[Decision], counters: Counters, places: int) -> dict[str, object]:
        ids, statuses, outcomes, codes, replies, delays = zip(*recording, strict=True) if recording else ((),) * 6
        recorded = set(ids)
        return {
            "job": self._spec.job_id,
            "lane": self._spec.lane_id,
            "token": self._token,
            "lease_seconds": self._spec.lease_seconds,
            **counters._asdict(),
            "rate": self._measure_rate(counters.sent),
            "ids": _array(ids),
            "statuses": _array(statuses),
            "outcomes": _text_array(outcomes),
            "codes": _array(codes),
            "replies": _text_array(replies),
            "delays": _array(delays),
            "relay": str(self._spec.routes[0].address),
            "batch": self._spec.batch_id,
            "in_flight_rows": _array(email.row for email in self.in_flight.values() if email.id not in recorded),
            "after_row": self._after_row,
            "end_row": self._end_row,
            **self._cursor._asdict(),
            "limit": places,
        }

    def _measure_rate(self, sent: int) -> float:
        now = self._clock()
        span_seconds = now - self._rate_at
        if span_seconds >= RATE_SECONDS:
            self._rate = (sent - self._rate_sent) / span_seconds
            self._rate_at, self._rate_sent = now, sent
        return self._rate

    async def read_snapshot_row(self) -> sql.SnapshotRow | None:
        """Read the batch's row of ``sql.SNAPSHOTS`` for the publisher. None: the batch was deleted."""
        rows = await fetch(self._connection, sql.SNAPSHOTS, {"batches": [self._spec.batch_id]})
        return rows[0] if rows else None

    async def count_lanes(self) -> int:
        """Count the leases that have not run out, this lane's among them."""
        rows = await fetch(self._connection, sql.COUNT_LEASED_LANES, {})
        return max(1, rows[0].lane_count)

    async def execute(self, statement: str, arguments: Mapping[str, object]) -> psycopg.AsyncCursor[Any]:
        """Run a statement of its own commit over the lane's connection.

        Raises:
            OUTAGES: PostgreSQL went away.
        """
        return await self._connection.execute(statement, arguments)

    async def release(self, *, wait_seconds: float = 0) -> None:
        """Release the lane. Only while nothing is in flight. The sweep does not enqueue it during the wait."""
        await release_lane(self._connection, lane_id=self._spec.lane_id, token=self._token, wait_seconds=wait_seconds)

    async def report_relay_error(self, error: str, *, has_too_many_connections: bool) -> None:
        """Record on the job why no mail is sent, and when its lanes start again."""
        await report_relay_error(
            self._connection,
            error,
            job_id=self._spec.job_id,
            lane_id=self._spec.lane_id,
            has_too_many_connections=has_too_many_connections,
        )

    async def clear_relay_error(self) -> None:
        """Record on the job that the relay accepts mail again."""
        await self._connection.execute(sql.CLEAR_RELAY_ERROR, {"job": self._spec.job_id})


def _array(values: Iterable[object]) -> str:
    """Write a PostgreSQL array literal of numbers or plain words. psycopg's own list dumper is much slower."""
    return "{" + ",".join(map(str, values)) + "}"


def _text_array(values: Iterable[str]) -> str:
    """Write a PostgreSQL array literal of any text (PostgreSQL 18, section 8.15.6)."""
    quoted = '","'.join(values)
    if "\\" in quoted or quoted.count('"') != 2 * quoted.count('","'):
        quoted = '","'.join(value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return '{"' + quoted + '"}' if values else "{}"
