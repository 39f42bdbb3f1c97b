"""A lane's side of the database: one short transaction at a time that renews the lease, records and claims.

Decisions and the number of free places enter. Claimed emails leave. The ledger owns the lane's only database
connection and survives its loss: it keeps the decisions and writes them again, and the statements see to it that
nothing counts twice. It never decides and never sends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
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
)
from batches.delivery.literals import array, text_array
from batches.delivery.pauses import BACKOFF_MAX_SECONDS, BACKOFF_SECONDS
from batches.delivery.quotas import Space
from batches.delivery.recovery import Fenced, Recovery
from batches.delivery.routing import Pinned, Plan, Routing, is_plain, returns_space
from batches.delivery.spec import Counters, LaneSpec
from batches.delivery.terms import ClaimedEmail, Decision
from batches.delivery.withholding import Withholding
from batches.models import EmailStatus, JobStatus, sql

__all__ = ["OUTAGES", "Fenced", "Ledger", "clock", "connect", "release_lane"]

logger = logging.getLogger(__name__)

ROW_RANGE_WINDOWS = 16
"""A row range has at most this many windows of rows. With fewer, a lane would need a commit for a new row range more
often. With more, more emails would wait for a slow lane."""

LOCKED_JOB_SECONDS = 0.005
"""How long to wait if another transaction has locked the job: usually another lane that takes its row range."""

RATE_SECONDS = 1.0
"""The sending rate is measured over spans of this length."""

_PROCESSING = JobStatus.PROCESSING.value
_SUPPRESSED = EmailStatus.SUPPRESSED.value
_COUNTED = (
    EmailStatus.SENT.value,
    EmailStatus.FAILED.value,
    EmailStatus.UNKNOWN.value,
    EmailStatus.PENDING.value,
    _SUPPRESSED,
)
"""The statuses of ``Counters``, in its order."""


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
        self._routing = None if is_plain(spec) else Routing(spec)
        self._withholding = Withholding(spec.suppression_version, topic_id=spec.topic_id)
        self._relay_id, self._relay = spec.routes[0].relay_id or None, str(spec.routes[0].address)
        self._transaction = asyncio.Lock()
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
        self._space_for: Sequence[int] | None = None
        self._full: Mapping[int, Space] = {}

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
        Returns the emails that may be sent. The next cycle records the others that it claimed as suppressed.

        All of that is durable when it returns. After an outage nobody knows whether it is: the decisions are kept, and
        ``recover`` writes them again.

        Raises:
            Fenced: The lane was reaped.
            OUTAGES: PostgreSQL went away.
        """
        places = 0 if self._has_no_place(usable) else places
        if places and self._after_row >= self._end_row and not self._is_list_used_up:
            await self._take_row_range()
        recording, self._decisions = self._decisions, []
        counters, started = self._count(recording), self._clock()
        plan = None
        rows: list[sql.ClaimedRow] | list[sql.RoutedRow]
        try:
            if self._routing is None:
                rows = await fetch(self._connection, self._statement, self._arguments(recording, counters, places))
                claimed = [ClaimedEmail(row.id, *row[4:9]) for row in rows if row.id]
            else:
                plan, rows, claimed = await self._cycle_over_routes(self._routing, recording, counters, places, usable)
        except BaseException:
            self._decisions = recording + self._decisions
            raise
        if not rows:
            raise Fenced
        self.deadline = started + self._spec.lease_seconds  # PostgreSQL began the lease no earlier
        self._counters = counters
        for decision in recording:
            self.in_flight.pop(decision.email_id, None)
        self.is_halted = rows[0].job_status != _PROCESSING
        # Before they are taken in: if PostgreSQL goes away now, the recovery finds these claims again.
        kept, suppressed = await self._withholding.divide(self._connection, claimed, rows[0].suppression_version)
        self._take_in(rows, claimed, places if plan is None else len(plan.routes))
        if plan is not None:
            await self._note_space(plan, usable, places=places, claimed_count=len(claimed))
        self._decisions += suppressed
        return kept

    async def _cycle_over_routes(
        self,
        routing: Routing,
        recording: list[Decision],
        counters: Counters,
        places: int,
        usable: Sequence[int] | None,
    ) -> tuple[Plan, list[sql.RoutedRow], list[ClaimedEmail]]:
        """Do a cycle for several routes or quotas: a statement, and around it a transaction if quotas are read."""
        in_flight, decisions = self.in_flight.values(), {decision.email_id: decision for decision in recording}
        usable = range(len(self._spec.routes)) if usable is None else usable
        async with self._transaction:
            plan = await routing.plan(self._connection, places, usable=usable, in_flight=in_flight, recording=decisions)
            arguments = self._arguments(recording, counters, places)
            arguments |= routing.arguments(plan, in_flight=in_flight, recording=decisions)
            rows = await fetch(self._connection, routing.statement, arguments)
            if plan.is_in_transaction:
                await self._connection.execute("COMMIT", {})
        claimed = [
            ClaimedEmail(row.id, row.row, row.address, row.fields, row.attempts, row.digest, row.route - 1)
            for row in rows
            if row.id
        ]
        return plan, rows, claimed

    def _has_no_place(self, usable: Sequence[int] | None) -> bool:
        """Whether no route is usable, or the quotas of these very routes were found used up and have no space yet."""
        if self.space_at is not None and returns_space(self._decisions):
            self.space_at = None
        is_full = self.space_at is not None and usable == self._space_for and self._clock() < self.space_at
        return is_full or (usable is not None and not usable)

    async def _note_space(self, plan: Plan, usable: Sequence[int] | None, *, places: int, claimed_count: int) -> None:
        """Note when a quota has space again, if quotas let the claim have less than it asked for."""
        if not places:
            return
        self._full = plan.full
        self.space_at, self.space_sentence = None, ""
        if claimed_count < len(plan.routes) or len(plan.routes) == places or not plan.full:
            return
        self.is_dry = not await self._has_work()
        if self.is_dry:
            return
        space = min(plan.full.values(), key=lambda space: space.more_in_seconds)
        self.space_at, self.space_sentence = self._clock() + space.more_in_seconds, space.sentence
        self._space_for = usable

    async def _has_work(self) -> bool:
        try:
            rows = await fetch(self._connection, sql.HAS_WORK, {"lane": self._spec.lane_id})
        except OUTAGES:
            return True  # The next cycle finds the outage. The emails that this one claimed must not be lost to it.
        return bool(rows and rows[0].has_work)

    async def find_pinned(self, usable: Sequence[int]) -> Pinned | None:
        """Find a retry that is due and pinned to a relay that carries no mail now. Ask when the lane is dry.

        Raises:
            OUTAGES: PostgreSQL went away.
        """
        relays = [self._spec.routes[route].relay_id for route in usable if route not in self._full]
        arguments = {"batch": self._spec.batch_id, "usable": relays}
        rows = await fetch(self._connection, sql.FIND_PINNED, arguments)
        return Pinned.of(rows[0], routes=self._spec.routes, full=self._full) if rows else None

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
        found, suppressed = await self._withholding.divide_again(self._connection, list(recovery.found.values()))
        # A kept decision may be recorded already, and the email that it deferred may be due. A new claim of that email
        # must not meet the old decision, so nothing is claimed until the decisions are recorded.
        claimed = await self.cycle(0 if self._decisions else max(0, window - self.undecided_count), usable)
        self._recovery = None
        self._decisions += suppressed
        return [*found, *claimed]

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

    def _take_in(
        self, rows: list[sql.ClaimedRow] | list[sql.RoutedRow], claimed: list[ClaimedEmail], places: int
    ) -> None:
        """Take up the emails that a cycle has claimed, and note where the next claim looks."""
        self.in_flight |= {email.id: email for email in claimed}
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

    def _has_searched_everything(self) -> bool:
        """Whether a claim that found too little has looked at all retries and all untried rows."""
        return self._cursor is _START and self._after_row >= self._end_row and self._is_list_used_up

    def _count(self, recording: list[Decision]) -> Counters:
        """Count the decisions about to be recorded, except those that requeue: no attempt ended with them."""
        statuses = [each.status for each in recording if each.outcome or each.status == _SUPPRESSED]
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
            "ids": array(ids),
            "statuses": array(statuses),
            "outcomes": text_array(outcomes),
            "codes": array(codes),
            "replies": text_array(replies),
            "delays": array(delays),
            "relay": self._relay,
            "relay_id": self._relay_id,
            "batch": self._spec.batch_id,
            "in_flight_rows": array(email.row for email in self.in_flight.values() if email.id not in recorded),
            "after_row": self._after_row,
            "end_row": self._end_row,
            **self._cursor._asdict(),
            "limit": places,
            "is_news": self._spec.message_topic is not None,
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
        async with self._transaction:
            rows = await fetch(self._connection, sql.COUNT_LEASED_LANES, {})
        return max(1, rows[0].lane_count)

    async def execute(self, statement: str, arguments: Mapping[str, object]) -> psycopg.AsyncCursor[Any]:
        """Run a statement of its own commit over the lane's connection.

        Raises:
            OUTAGES: PostgreSQL went away.
        """
        async with self._transaction:
            return await self._connection.execute(statement, arguments)

    async def release(self, *, wait_seconds: float = 0) -> None:
        """Release the lane. Only while nothing is in flight. The sweep does not enqueue it during the wait."""
        await release_lane(self._connection, lane_id=self._spec.lane_id, token=self._token, wait_seconds=wait_seconds)

    async def report_relay_error(self, error: str, *, has_too_many_connections: bool) -> None:
        """Record on the job why no mail is sent, and when its lanes start again."""
        arguments = {
            "job": self._spec.job_id,
            "lane": self._spec.lane_id,
            "error": error,
            "base_seconds": BACKOFF_SECONDS,
            "cap_seconds": BACKOFF_MAX_SECONDS,
            "has_too_many_connections": has_too_many_connections,
        }
        await self.execute(sql.REPORT_RELAY_ERROR, arguments)
