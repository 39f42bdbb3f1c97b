"""A lane run: claim emails, make messages, send them, judge the replies, and record the decisions.

A ledger cycle and the connections work at the same time: while one cycle commits, decisions gather for the next, so
the number of emails in a cycle follows the load. No message reaches SMTP before its claim is committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from operator import attrgetter

from batches.asyncio_tasks import end_tasks
from batches.delivery import stop
from batches.delivery.ledger import OUTAGES, Fenced, Ledger, clock
from batches.delivery.policy import decide_reply, requeue
from batches.delivery.pool import OpenConnection, open_connection
from batches.delivery.route import Route
from batches.delivery.spec import LaneSpec
from batches.delivery.terms import ClaimedEmail, LaneEnd
from batches.models import sql
from batches.outcomes import Outcome
from batches.smtp.verdicts import Verdict

logger = logging.getLogger(__name__)

# Looked up once: finding a member of an enum searches its class, and each email needs this.
_SENT = Outcome.SENT

TICK_SECONDS = 0.25
"""How often the lane checks its timeouts, its lease and its progress."""

RECORD_SECONDS = 0.5
"""How long a decision waits for others at most. It bounds how old the counts on a page are."""

PROGRESS_SECONDS = 0.5
"""How often a lane publishes a snapshot at most."""

CLEAR_SECONDS = 5.0
"""How often a lane that delivers clears a relay error that another lane reported."""

TURN_SECONDS = 3.0
"""How long a lane runs before it checks whether a lane of another job waits, and how long until it checks again."""

RECONNECT_SECONDS = 0.25
"""How long a lane waits between two attempts to reach PostgreSQL."""

_outbox_of = attrgetter("outbox")


class LaneRun:
    """One run of one lane, in the event loop of its work-horse.

    Args:
        ledger: the lane's ledger, which the run closes at its end.
        publish: called with the batch's counts when they have changed.
        should_yield: called in a thread; says whether a lane of another job waits for this worker.
    """

    def __init__(
        self,
        spec: LaneSpec,
        ledger: Ledger,
        *,
        publish: Callable[[sql.SnapshotRow], Awaitable[None]],
        should_yield: Callable[[], bool],
        open_connection: OpenConnection = open_connection,
        clock: Callable[[], float] = clock,
    ) -> None:
        self._spec, self._ledger, self._publish, self._should_yield = spec, ledger, publish, should_yield
        self._policy, self._clock = spec.policy, clock
        self._routes = [
            Route(spec, route, ledger=ledger, lane=self, clock=clock, open_connection=open_connection)
            for route in spec.routes
        ]
        self._route = self._routes[0]
        # A commit costs as much as sending several emails. So, while the connections have messages to send, a cycle
        # waits until half of the window can be recorded.
        self._enough = max(1, spec.window // 2)
        self._wake = asyncio.Event()
        self._end: LaneEnd | None = None
        self._relay_error, self._has_too_many_connections = "", False
        self._has_sent, self._has_news = False, True
        self._publishing: asyncio.Task[None] | None = None
        self._cycled_at = self._progress_at = self._clear_at = 0.0

    async def run(self) -> LaneEnd:
        """Send until nothing is due, or until there is a reason to stop. Then release the lane."""
        stop.call_when_requested(self.drain)
        tasks = [asyncio.ensure_future(self._tick()), asyncio.ensure_future(self._take_turns())]
        tasks += [asyncio.ensure_future(route.gate.run()) for route in self._routes if route.gate is not None]
        try:
            await self._cycle()
            await self._cycle_until_end()
            await self._close_routes()
            await self._release_lane()
        except Fenced:
            self._end = LaneEnd.FENCED
            logger.warning("Lane %s was reaped; this worker stops sending for it.", self._spec.lane_id)
            await self._close_routes(abort_reason="The lane was reaped.")
        finally:
            await end_tasks(tasks)
            await self._ledger.close()
        return self._end or LaneEnd.DRY

    def drain(self) -> None:
        """Finish what is in flight, requeue the rest and end. Safe to call more than once."""
        self._begin_end(LaneEnd.STOPPED)

    # --- claim ---------------------------------------------------------------------------------------

    async def _cycle_until_end(self) -> None:
        while True:
            self._wake.clear()
            if self._is_cycle_worthwhile() or self._is_cycle_overdue():
                await self._cycle()
            self._pump()
            await self._report()
            if not self._ledger.in_flight and (self._end is not None or self._ledger.is_dry):
                return
            if not self._is_cycle_worthwhile():
                await self._wake.wait()

    def _is_cycle_worthwhile(self) -> bool:
        """Whether a cycle is worth its commit now: enough can be recorded, or the connections would have to wait."""
        recordable = self._ledger.decision_count
        if recordable >= self._enough:
            return True
        if self._end is None and self._has_ready():
            return False  # The connections have messages to send meanwhile.
        return recordable > 0 or (self._places() > 0 and not self._ledger.is_dry)

    def _is_cycle_overdue(self) -> bool:
        """Whether a decision has waited for RECORD_SECONDS, or the lease is due for renewal."""
        pause_seconds = RECORD_SECONDS if self._ledger.decision_count else self._spec.lease_seconds / 3
        return self._clock() > self._cycled_at + pause_seconds

    def _places(self) -> int:
        """Return how many emails may be claimed. The emails that the same commit records leave the window."""
        return 0 if self._end is not None else self._spec.window - self._ledger.undecided_count

    async def _cycle(self) -> None:
        self._cycled_at = self._clock()
        try:
            claimed = await self._ledger.cycle(self._places())
        except OUTAGES as exc:
            logger.warning("PostgreSQL is away. Decisions are kept, and nothing new is sent: %s", exc)
            await self._recover()
            return
        self._has_news = True
        self._add_claimed(claimed)

    async def _recover(self) -> None:
        """Connect again, however long PostgreSQL is away; then record what was kept, and claim."""
        self._ledger.is_up = False
        while True:
            self._cycled_at = self._clock()
            try:
                claimed = await self._ledger.recover(window=0 if self._end is not None else self._spec.window)
                break
            except OUTAGES:
                await asyncio.sleep(RECONNECT_SECONDS)
        self._ledger.is_up = True
        self._add_claimed(claimed)

    def _add_claimed(self, claimed: list[ClaimedEmail]) -> None:
        self._route.outbox.extend(claimed)
        if self._ledger.is_halted:
            self._begin_end(LaneEnd.HALTED)
        if self._end is not None:  # The end may have begun while the claim was on its way.
            self._requeue_rest()

    # --- make, send and judge: the routes do that ----------------------------------------------------

    def _pump(self) -> None:
        for route in self._routes:
            route.pool.pump()

    def _has_ready(self) -> bool:
        """Whether a route has messages to send."""
        return any(map(_outbox_of, self._routes))

    async def _close_routes(self, *, abort_reason: str = "") -> None:
        for route in self._routes:
            await route.pool.close(abort_reason=abort_reason)

    # --- record: the routes say what became of each email --------------------------------------------

    def record(self, claimed: ClaimedEmail, verdict: Verdict) -> None:
        """Take the verdict on an email. The next cycle writes the decision about it."""
        if verdict.outcome is _SENT:
            self._has_sent = True
        self._ledger.add(decide_reply(claimed, verdict, self._policy))
        if self._is_cycle_worthwhile():
            self._wake.set()

    def on_route_down(self, route: Route, reason: str, *, has_too_many_connections: bool) -> None:
        """Hear that a relay accepts no mail now."""
        logger.warning("The relay %s accepts no mail: %s", route.spec.name, reason)
        self._relay_error, self._has_too_many_connections = reason, has_too_many_connections
        self._begin_end(LaneEnd.RELAY_DOWN)

    # --- report, between two cycles ------------------------------------------------------------------

    async def _report(self) -> None:
        """Publish the counts, and record that the relay accepts mail. The next cycle deals with an outage."""
        now = self._clock()
        with contextlib.suppress(*OUTAGES):
            await self._clear_relay_error_if_due(now)
            await self._publish_if_due(now)

    async def _clear_relay_error_if_due(self, now: float) -> None:
        if self._has_sent and now >= self._clear_at:
            self._has_sent, self._clear_at = False, now + CLEAR_SECONDS
            await self._ledger.clear_relay_error()

    async def _publish_if_due(self, now: float) -> None:
        is_publishing = self._publishing is not None and not self._publishing.done()
        if not self._has_news or now < self._progress_at or is_publishing:
            return
        self._has_news, self._progress_at = False, now + PROGRESS_SECONDS
        row = await self._ledger.read_snapshot_row()
        if row is not None:
            self._publishing = asyncio.ensure_future(self._publish(row))

    # --- end -----------------------------------------------------------------------------------------

    def _begin_end(self, end: LaneEnd) -> None:
        """Claim and take no more, and requeue what no connection has taken. The first reason to end counts."""
        if self._end is not None:
            return
        self._end = end
        self._requeue_rest()
        self._wake.set()

    def _requeue_rest(self) -> None:
        for route in self._routes:
            for claimed in route.close():
                self._ledger.add(requeue(claimed))

    async def _release_lane(self) -> None:
        """Report a relay error, and release the lane. Nothing is in flight any more."""
        self._begin_end(LaneEnd.DRY)  # Nothing more is claimed, even if PostgreSQL has to be reached again.
        while True:
            try:
                await self._report_and_release()
                break
            except OUTAGES:
                # Fenced: the lane is free already, and only the reply to its release was lost.
                with contextlib.suppress(Fenced):
                    await self._recover()
        if self._publishing is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._publishing, PROGRESS_SECONDS)

    async def _report_and_release(self) -> None:
        if self._ledger.in_flight:  # A recovery found these claims, and requeued them at once.
            await self._ledger.cycle(0)
        if self._end is LaneEnd.RELAY_DOWN:
            await self._ledger.report_relay_error(
                self._relay_error, has_too_many_connections=self._has_too_many_connections
            )
        await self._ledger.release()

    # --- tasks beside the cycles ---------------------------------------------------------------------

    async def _tick(self) -> None:
        """Wake the cycle for renewals and progress, and let the pool check its timeouts."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for route in self._routes:
                route.pool.tick(TICK_SECONDS)
            self._wake.set()

    async def _take_turns(self) -> None:
        """After each turn, end the lane if a lane of another job waits."""
        while True:
            # The random part keeps the lanes from ending at the same moment. While one lane changes, the others use
            # its part of SEND_RATE.
            await asyncio.sleep(TURN_SECONDS * random.uniform(0.7, 1.3))  # noqa: S311  (no secret)
            if await asyncio.to_thread(self._should_yield):
                self._begin_end(LaneEnd.YIELDED)
                return
