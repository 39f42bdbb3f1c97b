"""The routes of one lane run together: which are open, when a closed one opens again, and what PostgreSQL hears of it.

The lane calls ``tick`` often and ``note`` between two ledger cycles. The routes call the lane when one has changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Sequence

from batches.delivery.breaker import Trip
from batches.delivery.pauses import Pauses, RelayRefusal, say_refusal, say_trip
from batches.delivery.policy import retry_delay
from batches.delivery.route import LAST_LONG_COUNT, LONG_COUNT, Route
from batches.delivery.routing import Pinned
from batches.delivery.terms import ClaimedEmail
from batches.outcomes import ReplyMeaning

PATIENCE_SECONDS = 5.0
"""How long a lane run waits in its place for a relay. For longer waits it releases the lane, and its worker is free."""

PINNED_SECONDS = 60.0
"""How long retries wait for a relay of which nobody knows when it carries mail again, before a lane asks again."""


class Routes:
    """The routes of one lane run, in the order of the lane spec.

    Args:
        retry_seconds: the wait before a first retry.
    """

    def __init__(
        self, routes: Sequence[Route], pauses: Pauses, *, clock: Callable[[], float], retry_seconds: float
    ) -> None:
        self.all = list(routes)
        self._outboxes = [route.outbox for route in routes]  # each verdict asks ``has_ready``
        self._pauses, self._clock, self._retry_seconds = pauses, clock, retry_seconds
        self._is_plain = len(self.all) == 1 and not self.all[0].spec.has_quotas
        self._has_job_sent = self._is_finished = False
        self._reported: RelayRefusal | None = None

    # --- what the lane asks --------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether a route may carry mail now."""
        return any(route.is_open for route in self.all)

    @property
    def is_probing(self) -> bool:
        """Whether each open route was closed before, and has carried no message since."""
        return all(route.is_probing for route in self.all if route.is_open)

    @property
    def is_noted(self) -> bool:
        """Whether PostgreSQL has answered for how long each closed route is closed."""
        return all(route.is_noted for route in self.all)

    @property
    def usable(self) -> tuple[int, ...] | None:
        """The places of the open routes. None: there is one route without quotas, and the ledger need not choose."""
        return None if self._is_plain else tuple(place for place, route in enumerate(self.all) if route.is_open)

    @property
    def suspended_count(self) -> int:
        return sum(len(route.breaker.suspended) for route in self.all)

    @property
    def first_to_open(self) -> Route:
        """The closed route that is open again first."""
        return min(self.all, key=lambda route: route.reopens_at)

    @property
    def reopens_at(self) -> float:
        """When the first closed route is open again, or when to ask again if nobody knows. Infinite: none is closed."""
        ask_at = self._clock() + PINNED_SECONDS
        closed = [route.reopens_at for route in self.all if not route.is_open]
        return min([ask_at if math.isinf(time) else time for time in closed], default=math.inf)

    def seconds_of(self, pinned: Pinned) -> float:
        """Return for how long a retry has to wait for the only relay that may carry it."""
        if pinned.seconds is not None:
            return pinned.seconds
        reopens_at = math.inf if pinned.route is None else self.all[pinned.route].reopens_at
        return PINNED_SECONDS if math.isinf(reopens_at) else max(1.0, reopens_at - self._clock())

    def has_ready(self) -> bool:
        """Whether a route has messages to send."""
        return any(self._outboxes)

    # --- what the lane does with all of them -----------------------------------------------------------

    def extend(self, claimed: list[ClaimedEmail]) -> None:
        """Hand newly claimed emails to the routes that the ledger chose."""
        if len(self.all) == 1:
            self.all[0].extend(claimed)
            return
        for place, route in enumerate(self.all):
            route.extend([each for each in claimed if each.route == place])

    def pump(self) -> None:
        for route in self.all:
            route.pool.pump()

    def tick(self, seconds: float) -> None:
        """Note that this much time has passed: timeouts, ends of pauses, and the end of the window of the day."""
        now = self._clock()
        for route in self.all:
            route.pool.tick(seconds)
            if self._is_finished:
                continue  # A route that opened now would carry what it was to requeue.
            if now >= route.closes_at:
                route.close_for_good()
            elif not route.is_open and now >= route.reopens_at:
                route.reopen()

    def finish(self, *, keeps_suspended: bool) -> None:
        """Let each route give out no more messages, and stay closed."""
        self._is_finished = True
        for route in self.all:
            route.finish(keeps_suspended=keeps_suspended)

    def gates(self) -> list[Coroutine[None, None, None]]:
        """Return a coroutine for each rate gate, to run beside the cycles."""
        return [route.gate.run() for route in self.all if route.gate is not None]

    async def close(self, *, abort_reason: str = "") -> None:
        for route in self.all:
            await route.pool.close(abort_reason=abort_reason)

    # --- PostgreSQL: each of these may raise an outage, and is called again then ----------------------

    async def note(self) -> None:
        """Note each route that was closed since the last call, and learn for how long it is closed."""
        for route in self.all:
            if not route.is_noted:
                await self._note_pause(route)
            if not route.is_closing_noted:
                await self._pauses.note_closing(route.spec)
                route.is_closing_noted = True
        if not self.is_open:
            await self._report_short_wait()

    async def _note_pause(self, route: Route) -> None:
        refusal = route.refusal
        if refusal is None:
            route.is_noted = True
            return
        has_sent = bool(route.breaker.suspended) and await self._has_sent(route)
        noted = await self._pauses.pause_relay(route.spec, refusal)
        route.reopens_at = math.inf if noted is None else self._clock() + noted.seconds
        # A relay that says how long it takes does not refuse for ever.
        is_long = noted is not None and refusal.wait_seconds is None and noted.failure_count >= route.charges_after
        if has_sent and is_long:
            route.charge_suspended()
        elif has_sent:
            # Later and not at once: the relay may accept others. Untried emails then come first.
            route.requeue_suspended(delay_seconds=retry_delay(1, self._retry_seconds))
        else:
            route.requeue_suspended()
        route.is_noted = True

    async def _report_short_wait(self) -> None:
        """Let the job say why nothing is sent while the lane waits in its place. Its end reports longer waits."""
        route = self.first_to_open
        seconds = route.reopens_at - self._clock()
        refusal = route.refusal
        if refusal is None or refusal is self._reported or not 0 < seconds <= PATIENCE_SECONDS:
            return
        await self._pauses.report_wait(refusal.sentence, seconds)
        self._reported = refusal

    async def judge_breakers(self, *, is_last: bool) -> bool:
        """Look at the suspended refusals: charge them, pause their relay, or pause the job.

        Args:
            is_last: whether nothing more can be sent before they have to be recorded.

        Returns:
            Whether the job is paused now.
        """
        for route in self.all:
            if not route.is_noted:
                continue  # Its suspended emails are requeued when PostgreSQL has noted the pause.
            if not ((is_last and route.breaker.suspended) or route.breaker.is_full(has_sent=route.has_sent)):
                continue
            has_sent = await self._has_sent(route)
            trip = route.breaker.find_trip(has_sent=has_sent, is_last=is_last)
            if trip is None:
                if is_last:
                    route.charge_suspended()
            elif trip.is_temporary or self._has_other(route):
                self._pause_for(route, trip, has_sent=has_sent)
            else:
                await self._pauses.pause_job(say_trip(route.spec.name, trip), trip.refusal)
                return True
        return False

    def _has_other(self, route: Route) -> bool:
        return any(other.is_open for other in self.all if other is not route)

    def _pause_for(self, route: Route, trip: Trip, *, has_sent: bool) -> None:
        """Pause a relay that refuses everybody alike."""
        if has_sent and trip.is_temporary:
            route.charge_retries()
            if not route.breaker.suspended:
                return
        meaning = trip.verdict.meaning or (ReplyMeaning.RELAY if trip.is_temporary else ReplyMeaning.POLICY)
        sentence = say_refusal(route.spec.name, meaning, trip.verdict)
        route.breaker.trip = None
        if route.is_open:
            # For this sender alone: other jobs may have other contents, and find out by themselves.
            refusal = RelayRefusal(meaning, sentence, trip.verdict.wait_seconds, is_for_sender=True)
            route.pause(refusal, charges_after=LAST_LONG_COUNT if trip.is_last else LONG_COUNT)
        else:
            route.requeue_suspended()

    async def _has_sent(self, route: Route) -> bool:
        """Whether the relay has ever accepted a message of the job, as far as this lane run or PostgreSQL knows.

        The lanes' counts do not say over which relay an email went. With several, only this lane run counts.
        """
        if not (route.has_sent or self._has_job_sent or len(self.all) > 1):
            self._has_job_sent = await self._pauses.has_job_sent()
        return route.has_sent or self._has_job_sent

    async def note_success(self) -> None:
        """Note that the routes that send carry mail, and that the job waits for none.

        A route that was paused counts only after a success. Otherwise those of another route would end its back-off.
        """
        sending = [route for route in self.all if route.has_sent and route.refusal is None]
        await self._pauses.note_success([route.spec.relay_id for route in sending])
        self._reported = None
