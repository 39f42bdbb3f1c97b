"""The lane: claims emails, sends them over its connections, records what became of each.

A ledger cycle and the connections run side by side: while one cycle commits, outcomes gather for the
next, so the batch size adapts by itself. No message is handed to SMTP before its claim is durable.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg

from batches.asyncio_tasks import end_tasks
from batches.delivery import stop
from batches.delivery.ledger import OUTAGES, Fenced, Ledger, clock
from batches.delivery.outbox import Outbox
from batches.delivery.policy import decide_reply, requeue
from batches.delivery.pool import Pool
from batches.delivery.rate import RateGate
from batches.delivery.terms import ClaimedEmail, LaneEnd, LaneSpec
from batches.outcomes import Outcome
from batches.smtp.connection import Capabilities, Connection, Loss, Outgoing
from batches.smtp.verdicts import Verdict

logger = logging.getLogger(__name__)

# Looked up once: a member of an enum costs a search of its class.
_SENT, _REQUEUED = Outcome.SENT, Outcome.REQUEUED

TICK_SECONDS = 0.25
LANES_SUPPOSED = 8
"""How many lanes share the rate where neither Redis nor Postgres can tell."""

RECORD_SECONDS = 0.5
"""How long an outcome waits for others at most, so that what a page shows is never old."""

PROGRESS_SECONDS = 0.5
CLEAR_SECONDS = 5.0
"""How often a lane that sends takes back what another noted of the relay's trouble."""

TURN_SECONDS = 3.0
"""How long a lane runs before it looks whether another job's lane waits, and how often it looks again."""

RECONNECT_SECONDS = 0.25
RELAY_BACKOFF_SECONDS = 1.0
RELAY_BACKOFF_MAX_SECONDS = 60.0


class LaneRun:
    """One run of one lane, in the loop of its work-horse.

    ``ledger_connection`` is what ``ledger.connect`` opened, the lane's from now on; ``publish`` takes a row of
    ``sql.SNAPSHOTS``; ``should_yield`` is asked, in a thread, whether another job's lane waits for this worker.
    """

    def __init__(
        self,
        spec: LaneSpec,
        ledger_connection: psycopg.AsyncConnection[Any],
        *,
        publish: Callable[[tuple[Any, ...]], Awaitable[None]],
        should_yield: Callable[[], bool],
    ) -> None:
        self._spec, self._publish, self._should_yield = spec, publish, should_yield
        self._policy = spec.policy
        self._ledger = Ledger(spec, ledger_connection)
        self._pool = Pool(self, spec)
        self._gate = self._make_gate()
        self._outbox = Outbox(spec, record=self._record)
        # A cycle costs as much as sending several emails, so it waits for half of the window as long as the
        # connections have emails to go on with.
        self._enough = max(1, spec.window // 2)
        self._wake = asyncio.Event()
        self._end: LaneEnd | None = None
        self._relay_error, self._has_too_many_connections = "", False
        self._is_ledger_up = True
        self._has_sent, self._has_news = False, True
        self._publishing: asyncio.Task[None] | None = None
        self._progress_at = self._clear_at = 0.0

    async def run(self) -> LaneEnd:
        """Send until nothing is due, or until there is a reason to stop; the lane is free afterwards."""
        stop.call_when_requested(lambda: self._begin_end(LaneEnd.STOPPED))
        helpers = [asyncio.ensure_future(self._tick()), asyncio.ensure_future(self._take_turns())]
        if self._gate is not None:
            helpers.append(asyncio.ensure_future(self._gate.run()))
        try:
            await self._cycle()
            await self._cycle_until_end()
            await self._pool.close()
            await self._wind_up()
        except Fenced:
            self._end = LaneEnd.FENCED
            logger.warning("Lane %s was given to another worker; this one stops.", self._spec.lane_id)
            await self._pool.close(abort_reason="The lane was given to another worker.")
        finally:
            await end_tasks(helpers)
            await self._ledger.close()
        return self._end or LaneEnd.DRY

    # --- the ledger's cycle --------------------------------------------------------------------------

    async def _cycle_until_end(self) -> None:
        while True:
            self._wake.clear()
            if self._needs_cycle():
                await self._cycle()
            self._pool.pump(len(self._outbox))
            await self._report()
            if not self._ledger.in_flight and (self._end is not None or self._ledger.is_dry):
                return
            if not self._needs_cycle_now():
                await self._wake.wait()

    def _places(self) -> int:
        """How many may be claimed: what the same commit records is in doubt no more."""
        return 0 if self._end is not None else self._spec.window - self._ledger.in_doubt_count

    def _needs_cycle_now(self) -> bool:
        """Whether a cycle is worth its commit: enough has gathered, or the connections would wait for it."""
        recordable = self._ledger.outcome_count
        if recordable >= self._enough:
            return True
        if self._outbox and self._end is None:
            return False  # the connections have work meanwhile
        return recordable > 0 or (self._places() > 0 and not self._ledger.is_dry)

    def _needs_cycle(self) -> bool:
        cycled_at = self._ledger.deadline - self._spec.lease_seconds
        pause_seconds = RECORD_SECONDS if self._ledger.outcome_count else self._spec.lease_seconds / 3
        return self._needs_cycle_now() or clock() > cycled_at + pause_seconds

    async def _cycle(self) -> None:
        try:
            self._take_up(await self._ledger.cycle(self._places()))
            self._has_news = True
        except OUTAGES as exc:
            logger.warning("Postgres went away; outcomes are kept, nothing new is sent: %s", exc)
            await self._recover()

    async def _recover(self) -> None:
        """Connect, however long Postgres is away, write what was kept, and claim."""
        self._is_ledger_up = False
        while True:
            try:
                claimed = await self._ledger.recover(window=0 if self._end is not None else self._spec.window)
                break
            except OUTAGES:
                await asyncio.sleep(RECONNECT_SECONDS)
        self._is_ledger_up = True
        self._take_up(claimed)

    def _take_up(self, claimed: list[ClaimedEmail]) -> None:
        self._outbox.extend(claimed)
        if self._ledger.is_halted:
            self._begin_end(LaneEnd.HALTED)
        if self._end is not None:  # it may have begun while the claim was on its way
            self._give_back_rest()

    async def _report(self) -> None:
        """Between two cycles: tell the browsers, and that the relay takes mail. An outage shows in the next cycle."""
        with contextlib.suppress(*OUTAGES):
            await self._report_if_due(clock())

    async def _report_if_due(self, now: float) -> None:
        if self._has_sent and now >= self._clear_at:
            self._has_sent, self._clear_at = False, now + CLEAR_SECONDS
            await self._ledger.clear_relay_error()
        is_publishing = self._publishing is not None and not self._publishing.done()
        if not self._has_news or now < self._progress_at or is_publishing:
            return
        self._has_news, self._progress_at = False, now + PROGRESS_SECONDS
        row = await self._ledger.read_snapshot_row()
        if row is not None:
            self._publishing = asyncio.ensure_future(self._publish(row))

    async def _wind_up(self) -> None:
        """Nothing is held any more: note the relay's trouble, free the lane."""
        self._begin_end(LaneEnd.DRY)  # even if Postgres has to be found again, nothing more is claimed
        while True:
            try:
                if self._ledger.in_flight:  # taken up in a recovery, and given back at once
                    await self._ledger.cycle(0)
                if self._end is LaneEnd.RELAY_DOWN:
                    await self._ledger.report_relay_error(
                        self._relay_error,
                        base_seconds=RELAY_BACKOFF_SECONDS,
                        cap_seconds=RELAY_BACKOFF_MAX_SECONDS,
                        has_too_many_connections=self._has_too_many_connections,
                    )
                await self._ledger.release()
                break
            except OUTAGES:
                with contextlib.suppress(Fenced):  # freed already, if the commit's reply was lost
                    await self._recover()
        if self._publishing is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._publishing, PROGRESS_SECONDS)

    def _begin_end(self, end: LaneEnd) -> None:
        """Claim and take no more; give back what no connection has taken."""
        if self._end is not None:
            return
        self._end = end
        self._give_back_rest()
        self._wake.set()

    def _give_back_rest(self) -> None:
        for claimed in self._outbox.clear():
            self._ledger.add(requeue(claimed))

    # --- what the sessions ask -----------------------------------------------------------------------

    def may_send(self) -> bool:
        return clock() < self._ledger.deadline

    def take(self, capabilities: Capabilities) -> Outgoing | None:
        if not (self._is_ledger_up and self.may_send()):
            return None
        if self._gate is not None and not (self._outbox and self._gate.spend()):
            return None
        return self._outbox.take(capabilities)

    def on_verdict(self, outgoing: Outgoing, verdict: Verdict) -> None:
        claimed: ClaimedEmail = outgoing.tag
        if verdict.outcome is _REQUEUED and self._end is None:
            self._outbox.put_back(claimed)
            return
        self._record(claimed, verdict)

    def _record(self, claimed: ClaimedEmail, verdict: Verdict) -> None:
        if verdict.outcome is _SENT:
            self._has_sent = True
        self._ledger.add(decide_reply(claimed, verdict, self._policy))
        if self._needs_cycle_now():
            self._wake.set()

    def on_session_lost(self, session: Connection, loss: Loss) -> None:
        self._pool.on_session_lost(session, loss)
        self._wake.set()

    def on_connected(self) -> None:
        self._wake.set()

    def on_relay_error(self, reason: str, *, has_too_many_connections: bool) -> None:
        logger.warning("The relay takes no mail: %s", reason)
        self._relay_error, self._has_too_many_connections = reason, has_too_many_connections
        self._begin_end(LaneEnd.RELAY_DOWN)

    # --- beside it -----------------------------------------------------------------------------------

    def _make_gate(self) -> RateGate | None:
        if self._spec.rate <= 0:
            return None
        return RateGate(
            rate=self._spec.rate,
            relay=str(self._spec.relay),
            redis_url=self._spec.redis_url,
            on_tokens=lambda: self._pool.pump(len(self._outbox)),
            count_lanes=self._count_lanes,
        )

    async def _count_lanes(self) -> int:
        try:
            return await self._ledger.count_lanes()
        except OUTAGES:
            return LANES_SUPPOSED

    async def _tick(self) -> None:
        """Wake the cycle for renewals and progress, and let the pool look at its deadlines."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._pool.tick(TICK_SECONDS)
            self._wake.set()

    async def _take_turns(self) -> None:
        """After a turn, end as soon as a lane of another job waits."""
        while True:
            # Not all lanes at once: where a rate is kept, one takes what the other leaves while it changes.
            await asyncio.sleep(TURN_SECONDS * random.uniform(0.7, 1.3))  # noqa: S311  (no secret)
            if await asyncio.to_thread(self._should_yield):
                self._begin_end(LaneEnd.YIELDED)
                return
