"""A lane run: claim emails, make messages, send them, judge the replies, and record the decisions.

A ledger cycle and the connections work at the same time: while one cycle commits, decisions gather for the next, so
the number of emails in a cycle follows the load. No message reaches SMTP before its claim is committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import Awaitable, Callable

from batches.asyncio_tasks import end_tasks
from batches.delivery import stop
from batches.delivery.lane_renderer import open_renderer
from batches.delivery.ledger import OUTAGES, Fenced, Ledger, clock
from batches.delivery.pauses import Pauses
from batches.delivery.policy import decide_reply, requeue
from batches.delivery.pool import OpenConnection, open_connection
from batches.delivery.route import Route
from batches.delivery.routes import PATIENCE_SECONDS, PINNED_SECONDS, Routes
from batches.delivery.spec import LaneSpec
from batches.delivery.stopping import ShareJudge
from batches.delivery.terms import LEAD_SECONDS, ClaimedEmail, LaneEnd
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

NOTE_SUCCESS_SECONDS = 5.0
"""How often a lane that delivers notes that its relays accept mail, whatever another lane has noted."""

TURN_SECONDS = 3.0
"""How long a lane runs before it checks whether it has to end, and how long until it checks again."""

SPACE_SECONDS = 1.0
"""How long a lane that found no space in a quota waits at most before it looks again. An email that fails uses none."""

RECONNECT_SECONDS = 0.25
"""How long a lane waits between two attempts to reach PostgreSQL."""


class LaneRun:
    """One run of one lane, in the event loop of its work-horse.

    Args:
        ledger: the lane's ledger, which the run closes at its end.
        publish: called with the batch's counts when they have changed.
        should_end: called in a thread; says why the lane has to end, for example because a lane of another job waits
            for this worker.
    """

    def __init__(
        self,
        spec: LaneSpec,
        ledger: Ledger,
        *,
        publish: Callable[[sql.SnapshotRow], Awaitable[None]],
        should_end: Callable[[], LaneEnd | None],
        open_connection: OpenConnection = open_connection,
        clock: Callable[[], float] = clock,
    ) -> None:
        self._spec, self._ledger, self._publish, self._should_end = spec, ledger, publish, should_end
        self._policy, self._clock = spec.policy, clock
        self._window = spec.window
        """How many emails may be in flight now: none while each route is closed, and one to probe a relay."""
        self._renderer = open_renderer(spec)
        routes = [
            Route(
                spec,
                route,
                ledger=ledger,
                lane=self,
                clock=clock,
                open_connection=open_connection,
                renderer=self._renderer,
            )
            for route in spec.routes
        ]
        self._pauses = Pauses(spec, ledger)
        self._share_judge = ShareJudge(spec, ledger)
        self._routes = Routes(routes, self._pauses, clock=clock, retry_seconds=spec.policy.retry_seconds)
        # A commit costs as much as sending several emails. So, while the connections have messages to send, a cycle
        # waits until half of the window can be recorded.
        self._enough = max(1, spec.window // 2)
        self._wake = asyncio.Event()
        self._end: LaneEnd | None = None
        self._has_sent, self._has_news = False, True
        # How many emails were requeued, and how many of them a cycle has recorded. A claim finds only those.
        self._requeued_count = self._recorded_count = 0
        self._space_at = self._resumes_at = 0.0
        self._open_places: list[int] = []
        self._publishing: asyncio.Task[None] | None = None
        self._cycled_at = self._progress_at = self._note_at = 0.0
        self.on_route_changed()

    async def run(self) -> LaneEnd:
        """Send until nothing is due, or until there is a reason to stop. Then release the lane."""
        stop.call_when_requested(self.drain)
        tasks = [asyncio.ensure_future(self._tick()), asyncio.ensure_future(self._take_turns())]
        tasks += [asyncio.ensure_future(gate) for gate in self._routes.gates()]
        try:
            await self._cycle()
            await self._cycle_until_end()
            await self._routes.close()
            await self._release_lane()
        except Fenced:
            self._end = LaneEnd.FENCED
            logger.warning("Lane %s was reaped; this worker stops sending for it.", self._spec.lane_id)
            await self._routes.close(abort_reason="The lane was reaped.")
        finally:
            await end_tasks(tasks)
            if self._renderer is not None:
                await self._renderer.close()
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
            self._routes.pump()
            await self._report()
            if not self._ledger.in_flight and (self._end is not None or self._ledger.is_dry):
                return
            self._end_if_no_route_is_open()
            if not self._is_cycle_worthwhile():
                await self._wake.wait()

    def _is_cycle_worthwhile(self) -> bool:
        """Whether a cycle is worth its commit now: enough can be recorded, or the connections would have to wait."""
        recordable = self._ledger.decision_count
        if recordable >= self._enough:
            return True
        if self._end is None and self._routes.has_ready():
            return False  # The connections have messages to send meanwhile.
        return recordable > 0 or (self._places() > 0 and not self._ledger.is_dry)

    def _is_cycle_overdue(self) -> bool:
        """Whether a decision has waited for RECORD_SECONDS, or the lease is due for renewal."""
        pause_seconds = RECORD_SECONDS if self._ledger.decision_count else self._spec.lease_seconds / 3
        return self._clock() > self._cycled_at + pause_seconds

    def _places(self) -> int:
        """Return how many emails may be claimed. The emails that the same commit records leave the window."""
        if self._end is not None or self._clock() < self._space_at:
            return 0
        undecided_count = self._ledger.undecided_count
        places = self._window - undecided_count
        if self._window < self._spec.window:  # A suspended refusal must not keep a relay from being probed.
            places = min(places + self._routes.suspended_count, self._spec.window - undecided_count)
        return max(0, places)

    async def _cycle(self) -> None:
        self._cycled_at = self._clock()
        places, requeued_count = self._places(), self._requeued_count
        is_complete = self._recorded_count == requeued_count
        try:
            claimed = await self._ledger.cycle(places, usable=self._routes.usable)
        except OUTAGES as exc:
            logger.warning("PostgreSQL is away. Decisions are kept, and nothing new is sent: %s", exc)
            await self._recover()
            return
        self._recorded_count = requeued_count
        self._has_news = True
        if not is_complete:
            self._ledger.is_dry = False  # The claim could not find what the same statement requeued.
        if places:
            self._note_space(claimed)
        self._add_claimed(claimed)

    def _note_space(self, claimed: list[ClaimedEmail]) -> None:
        """Claim nothing more until a quota has space again, if the last claim found too little."""
        space_at = self._ledger.space_at
        if space_at is None:
            return
        now = self._clock()
        self._space_at = min(space_at, now + SPACE_SECONDS)
        if claimed or self._ledger.undecided_count or not self._routes.is_noted:
            return  # Suspended refusals hold space, and are judged first.
        self._resumes_at = min(space_at, self._routes.reopens_at)
        if self._resumes_at > now + PATIENCE_SECONDS:
            self._begin_end(LaneEnd.NO_SPACE)

    async def _recover(self) -> None:
        """Connect again, however long PostgreSQL is away; then record what was kept, and claim."""
        self._ledger.is_up = False
        while True:
            self._cycled_at = self._clock()
            requeued_count = self._requeued_count
            try:
                claimed = await self._ledger.recover(
                    window=0 if self._end is not None else self._window, usable=self._routes.usable
                )
                break
            except OUTAGES:
                await asyncio.sleep(RECONNECT_SECONDS)
        self._recorded_count = requeued_count
        self._ledger.is_up, self._ledger.is_dry = True, False
        self._add_claimed(claimed)

    def _add_claimed(self, claimed: list[ClaimedEmail]) -> None:
        self._routes.extend(claimed)
        if self._ledger.is_halted:
            self._begin_end(LaneEnd.HALTED)

    # --- record: the routes say what became of each email --------------------------------------------

    def record(self, claimed: ClaimedEmail, verdict: Verdict) -> None:
        """Take the verdict on an email. The next cycle writes the decision about it."""
        if verdict.outcome is _SENT:
            self._has_sent = True
        self._ledger.add(decide_reply(claimed, verdict, self._policy))
        if self._is_cycle_worthwhile():
            self._wake.set()

    def requeue(self, claimed: ClaimedEmail, reason: str, *, delay_seconds: float = 0.0) -> None:
        """Take back an email that was not attempted. The next cycle requeues it, and a later one may claim it again."""
        self._requeued_count += 1
        self._ledger.add(requeue(claimed, reason, delay_seconds=delay_seconds))
        self._wake.set()

    def on_route_changed(self) -> None:
        """Set the window by the routes that are open."""
        if not self._routes.is_open:
            self._window = 0
        else:
            self._window = 1 if self._routes.is_probing else self._spec.window
        self._wake.set()

    def on_suspended(self) -> None:
        """Let the loop look at the breakers."""
        self._wake.set()

    # --- report, between two cycles ------------------------------------------------------------------

    async def _report(self) -> None:
        """Judge the breakers, note what the relays said, and publish the counts.

        The next cycle deals with an outage, and the next call repeats what failed.
        """
        now = self._clock()
        with contextlib.suppress(*OUTAGES):
            if self._routes.suspended_count:
                await self._judge_breakers()
            if self._renderer is not None and await self._renderer.pause_job_if_stuck(self._pauses):
                self._begin_end(LaneEnd.TRIPPED)
            await self._routes.note()
            await self._note_success_if_due(now)
            await self._share_judge.judge(now)
            await self._publish_if_due(now)

    async def _judge_breakers(self) -> None:
        undecided_count = self._ledger.undecided_count
        is_full = undecided_count >= self._spec.window or self._ledger.space_at is not None
        is_over = self._ledger.is_dry or self._end is not None or is_full
        is_last = is_over and self._has_only_suspended()
        if await self._routes.judge_breakers(is_last=is_last):
            self._begin_end(LaneEnd.TRIPPED)
            for route in self._routes.all:
                route.requeue_suspended()

    def _has_only_suspended(self) -> bool:
        """Whether nothing is in flight, except refusals that wait to be judged."""
        return self._ledger.undecided_count == self._routes.suspended_count

    async def _note_success_if_due(self, now: float) -> None:
        if self._has_sent and now >= self._note_at:
            self._has_sent, self._note_at = False, now + NOTE_SUCCESS_SECONDS
            await self._routes.note_success()

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
        """Claim and take no more, and requeue what no connection has taken. The first reason to end counts.

        Suspended refusals are requeued too. At the end of a turn they are judged instead: otherwise a slow relay and
        short turns could requeue the same emails for ever.
        """
        if self._end is not None:
            return
        self._end = end
        self._routes.finish(keeps_suspended=end is LaneEnd.YIELDED)
        self._wake.set()

    def _end_if_no_route_is_open(self) -> None:
        """End if every relay is paused for so long that another job may use the worker meanwhile."""
        if self._end is not None or self._routes.is_open or not self._routes.is_noted:
            return
        route = self._routes.first_to_open
        if route.may_be_awaited and route.reopens_at <= self._clock() + PATIENCE_SECONDS:
            return
        # Without a refusal, only the next lane run can say why: it reads the pauses and the windows of the day.
        self._begin_end(LaneEnd.REROUTED if route.refusal is None else LaneEnd.RELAY_DOWN)

    async def _release_lane(self) -> None:
        """Report a relay error, and release the lane. Nothing is in flight any more."""
        self._open_places = [place for place, route in enumerate(self._routes.all) if route.is_open]
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
            await self._ledger.cycle(0, usable=self._routes.usable)
        await self._routes.note()
        if self._end is LaneEnd.RELAY_DOWN:
            await self._report_relay_down()
        await self._ledger.release(wait_seconds=await self._report_lane_wait())

    async def _report_lane_wait(self) -> float:
        """Report that no relay has space, or none for what is left, and return for how long the lane waits."""
        if self._end is LaneEnd.NO_SPACE:
            seconds = max(0.0, self._resumes_at - self._clock() - LEAD_SECONDS)
            await self._pauses.report_wait(self._ledger.space_sentence, seconds)
            return seconds
        pinned = await self._ledger.find_pinned(self._open_places) if self._end is LaneEnd.DRY else None
        if pinned is None:
            return 0.0
        # No longer than that, because other retries may be due sooner, over other relays.
        seconds = min(self._routes.seconds_of(pinned), PINNED_SECONDS)
        await self._pauses.report_wait(pinned.sentence, seconds)
        return seconds

    async def _report_relay_down(self) -> None:
        route = self._routes.first_to_open
        refusal = route.refusal
        if refusal is None:
            return
        if math.isinf(route.reopens_at):
            # There is no Relay to be noted, or other lanes have all the connections that the relay allows.
            too_many = refusal.has_too_many_connections
            await self._ledger.report_relay_error(refusal.sentence, has_too_many_connections=too_many)
        else:
            # The next lane run begins a little early, and waits in its place for the very end.
            seconds = max(0.0, route.reopens_at - self._clock() - LEAD_SECONDS)
            await self._pauses.report_wait(refusal.sentence, seconds)

    # --- tasks beside the cycles ---------------------------------------------------------------------

    async def _tick(self) -> None:
        """Wake the cycle for renewals and progress, and let the pool check its timeouts."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._routes.tick(TICK_SECONDS)
            self._wake.set()

    async def _take_turns(self) -> None:
        """After each turn, end the lane if there is a reason to."""
        while True:
            # The random part keeps the lanes from ending at the same moment. While one lane changes, the others use
            # its part of SEND_RATE.
            await asyncio.sleep(TURN_SECONDS * random.uniform(0.7, 1.3))  # noqa: S311  (no secret)
            end = await asyncio.to_thread(self._should_end)
            if end is not None:
                self._begin_end(end)
                return
