"""A relay in one lane run: its connections, the emails that wait for them, and the verdicts on what they sent.

Claimed emails enter, messages go to the connections, and verdicts leave. The lane owns the routes and the ledger. A
route is *open* while it may carry mail. It closes for the time of a relay pause, and then carries one message at first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from batches.delivery.breaker import Breaker, Trip
from batches.delivery.lane_renderer import LaneRenderer
from batches.delivery.ledger import Ledger
from batches.delivery.outbox import BIG_MESSAGE_BYTES, Outbox
from batches.delivery.pauses import NEEDS_PERSON, RelayRefusal, say_refusal
from batches.delivery.pool import OpenConnection, Pool
from batches.delivery.rate import RateGate
from batches.delivery.refusals import MAIL_COUNT, charge, is_ours, may_be_about_one, may_pass_at_once
from batches.delivery.rendered_outbox import RenderedOutbox
from batches.delivery.spec import LaneSpec, RouteSpec
from batches.delivery.strikes import Effect, Strikes
from batches.delivery.take_order import TakeOrder
from batches.delivery.terms import ClaimedEmail
from batches.outcomes import Outcome, ReplyMeaning
from batches.smtp.connection import Capabilities, Connection, Loss, Outgoing
from batches.smtp.relay import RelayError
from batches.smtp.verdicts import Stage, Verdict

# Looked up once: finding a member of an enum searches its class.
_SENT, _REQUEUED = Outcome.SENT, Outcome.REQUEUED

LONG_COUNT = 20
"""So many pauses of a relay in a row, about fifteen minutes, without one message accepted from anybody. If the relay
has accepted others of the job before, what is left may be what it never accepts: then attempts are charged, so that the
job ends."""

LAST_LONG_COUNT = 6
"""The same for the last few emails of a job."""


class RouteOwner(Protocol):
    """The lane run, as its routes see it."""

    def record(self, claimed: ClaimedEmail, verdict: Verdict) -> None:
        """Take the verdict on an email."""

    def requeue(self, claimed: ClaimedEmail, reason: str, *, delay_seconds: float = 0.0) -> None:
        """Take back an email that was not attempted."""

    def on_route_changed(self) -> None:
        """Hear that the route was closed, or has carried its first message after that."""

    def on_suspended(self) -> None:
        """Hear that a refusal waits until it is known whether it is about everybody."""


class Route:
    """One relay in one lane run. To its connections it is the lane (``LaneEvents``).

    ``reopens_at`` is a time of the lane's clock: when the route is open again. It is infinite until PostgreSQL has
    answered for how long the relay is paused, and if the route stays closed for the rest of the lane run.
    """

    def __init__(
        self,
        lane_spec: LaneSpec,
        spec: RouteSpec,
        *,
        ledger: Ledger,
        lane: RouteOwner,
        clock: Callable[[], float],
        open_connection: OpenConnection,
        renderer: LaneRenderer | None = None,
    ) -> None:
        self.spec = spec
        self._ledger, self._lane, self._clock = ledger, lane, clock
        # While nothing is watched, each success but the first goes straight to the lane.
        self._record = self._record_success
        self._order: TakeOrder | None = None
        """While a success may end something: the order in which emails are taken."""
        self._watched_from = self._struck_from = 0
        self.is_open = True
        self.is_probing = False
        """It was closed, and has carried no message since."""
        self.has_sent = False
        self.refusal: RelayRefusal | None = None
        """Why it is closed. None: only the lane spec, or the window of the day, says so."""
        self.charges_after = LONG_COUNT
        self.is_noted = True
        self.is_closing_noted = True
        self.reopens_at = math.inf
        self.closes_at = math.inf if spec.closes_in_seconds is None else clock() + spec.closes_in_seconds
        self.breaker = Breaker(lane_spec.accepted_refusal, window=lane_spec.window)
        self._mail_count, self._mail_limit = 0, MAIL_COUNT
        self._strikes = Strikes()
        self._struck: dict[int, Verdict] = {}
        """The last strike of each email that was struck."""
        self.outbox = self._make_outbox(lane_spec, renderer)
        self.pool = Pool(lane_spec, spec, lane=self, outbox=self.outbox, clock=clock, open_connection=open_connection)
        self.gate = self._make_gate(lane_spec.redis_url)
        if spec.paused_seconds > 0:
            self._close()
            self.reopens_at = clock() + spec.paused_seconds

    def _make_outbox(self, lane_spec: LaneSpec, renderer: LaneRenderer | None) -> Outbox:
        is_paced = self.spec.rate > 0
        paths = lane_spec.return_paths if self.spec.takes_return_paths else None
        if renderer is None:
            return Outbox(lane_spec, record=self._lane.record, is_paced=is_paced, return_paths=paths)
        return RenderedOutbox(
            lane_spec,
            record=self._lane.record,
            renderer=renderer,
            on_ready=lambda: self.pool.pump(),  # there is no pool yet
            is_paced=is_paced,
            return_paths=paths,
        )

    def _make_gate(self, redis_url: str) -> RateGate | None:
        if self.spec.rate <= 0:
            return None
        return RateGate(
            rate=self.spec.rate,
            relay=f"{self.spec.name}:{self.spec.address}",
            redis_url=redis_url,
            on_tokens=self.pool.pump,
            count_lanes=self._ledger.count_lanes,
        )

    # --- called by the lane --------------------------------------------------------------------------

    def extend(self, claimed: list[ClaimedEmail]) -> None:
        """Take newly claimed emails, or requeue them if the route was closed while the claim was on its way."""
        if self.is_open:
            self.outbox.extend(claimed)
            if self._order is not None:
                for each in claimed:
                    self._order.append(each.id)
        else:
            for each in claimed:
                self._lane.requeue(each, "")

    def finish(self, *, keeps_suspended: bool) -> None:
        """Give out no more messages, and requeue what has no verdict and is on no connection."""
        self._close()
        for claimed in self.outbox.clear():
            if self._strikes.is_clear(claimed.id):  # The next lane run would not know that.
                self._lane.record(claimed, charge(self._struck[claimed.id]))
            else:
                self._lane.requeue(claimed, "")
        if not keeps_suspended:
            self.requeue_suspended()

    def pause(self, refusal: RelayRefusal, *, charges_after: int = LONG_COUNT) -> None:
        """Close the route because its relay accepts no mail now. PostgreSQL then answers for how long.

        The emails that no connection has taken are requeued. What is in flight still gets its replies. The suspended
        refusals wait for the answer of PostgreSQL: after so many pauses in a row they are charged, if the relay has
        accepted others of the job.
        """
        if not self.is_open:
            return
        self._close()
        self.refusal, self.is_noted, self.reopens_at = refusal, False, math.inf
        self.charges_after = charges_after
        self._requeue_waiting()
        self._lane.on_route_changed()

    def close_for_good(self) -> None:
        """Close the route for the rest of the lane run, because the window of the day has closed."""
        self._close()
        self.refusal, self.is_noted, self.reopens_at, self.closes_at = None, True, math.inf, math.inf
        self._requeue_waiting()
        self.requeue_suspended()
        self._lane.on_route_changed()

    def reopen(self) -> None:
        """Carry one message, and more after its success."""
        self.is_open = self.is_probing = True
        self._order = None
        self._watch()
        self.pool.resume()
        self._lane.on_route_changed()

    def charge_suspended(self) -> None:
        """Charge the suspended refusals to their recipients."""
        for each in self.breaker.end_run():
            self._lane.record(each.claimed, each.verdict)

    def charge_retries(self) -> None:
        """Charge those of the suspended refusals whose emails were charged before: they look like everybody.

        The retries of a list come together, and the relay has accepted others.
        """
        for each in self.breaker.take_retries():
            self._lane.record(each.claimed, each.verdict)

    def requeue_suspended(self, *, delay_seconds: float = 0.0) -> None:
        """Requeue the emails whose refusals are suspended. Nobody is charged."""
        for each in self.breaker.release():
            self._lane.requeue(each.claimed, each.verdict.reply, delay_seconds=delay_seconds)

    def _close(self) -> None:
        self.is_open = self.is_probing = False
        self.pool.pause()

    def _requeue_waiting(self) -> None:
        for claimed in self.outbox.clear():
            self._lane.requeue(claimed, "")

    # --- called by the connections -------------------------------------------------------------------

    def take(self, capabilities: Capabilities) -> Outgoing[ClaimedEmail] | None:
        if not (self._ledger.is_up and self._clock() < self._ledger.deadline):
            return None
        if self.gate is not None and not (self.outbox.is_ready_for(capabilities) and self.gate.spend()):
            return None
        return self.outbox.take(capabilities)

    def may_send(self) -> bool:
        return self._clock() < self._ledger.deadline

    def can_record(self) -> bool:
        return self._ledger.is_up

    def on_verdict(self, outgoing: Outgoing[ClaimedEmail], verdict: Verdict) -> None:
        if len(outgoing.content) > BIG_MESSAGE_BYTES:
            self.outbox.release(outgoing)
        if verdict.outcome is _SENT:
            self._record(outgoing.tag, verdict)
        elif verdict.outcome is _REQUEUED:
            self._on_requeued(outgoing, verdict)
        else:
            self._on_refused(outgoing, verdict)

    def on_connection_lost(self, connection: Connection, loss: Loss) -> None:
        if loss.follows_refusal and not self.spec.closes_after_refusals and not self.pool.closes_after_refusals:
            self.is_closing_noted = False
            self.pool.note_closing_after_refusal()
        self.pool.on_connection_lost(connection, loss)

    def on_relay_down(self, error: RelayError) -> None:
        """Hear from the pool that no connection can be had, or that the relay refuses us."""
        too_many = error.has_too_many_connections
        refusal = RelayRefusal(error.meaning, str(error), error.wait_seconds, has_too_many_connections=too_many)
        self.pause(refusal)

    # --- what follows from a verdict -----------------------------------------------------------------

    def _watch(self) -> TakeOrder:
        """Compare successes with what was refused or closed before, from now on until there is nothing to compare."""
        if self._order is None:
            self._order = TakeOrder(self._ledger.in_flight)
            self._watched_from = self._find_free_place(self._order)
            self._record = self._record_success
        return self._order

    def _find_free_place(self, order: TakeOrder) -> int:
        """Return the place of the first email that is not taken yet. A success is new from there on."""
        first = self.outbox.first
        return order.end_place if first is None else order.place_of(first.id)

    def _record_success(self, claimed: ClaimedEmail, verdict: Verdict) -> None:
        """Record the first success, or one that may end what is watched."""
        self.has_sent = True
        if self._order is None:
            self._record = self._lane.record
        else:
            self._note_success(self._order.place_of(claimed.id))
        self._lane.record(claimed, verdict)

    def _note_success(self, place: int) -> None:
        self._mail_count = 0
        for each in self.breaker.on_success(place):
            self._lane.record(each.claimed, each.verdict)
        if place >= self._struck_from:
            self._strikes.on_success()
        if place < self._watched_from:
            return  # It was on its way already, so it says nothing about the relay as it is now.
        self.breaker.forget_run()
        self._mail_limit = MAIL_COUNT
        if self.is_probing:
            self.is_probing, self.refusal = False, None
            self.pool.end_probe()
            self._lane.on_route_changed()
        if not (self.breaker.suspended or self._strikes.run_count):
            self._order = None
            self._record = self._lane.record

    def _suspend(self, claimed: ClaimedEmail, verdict: Verdict, *, stage: Stage | None) -> bool:
        """Let the breaker keep a refusal. False: it is to be charged."""
        order = self._watch()
        return self.breaker.suspend(
            claimed,
            verdict,
            stage=stage,
            place=order.place_of(claimed.id),
            free_place=self._find_free_place(order),
        )

    def _on_requeued(self, outgoing: Outgoing[ClaimedEmail], verdict: Verdict) -> None:
        claimed = outgoing.tag
        if not self.is_open:
            self._lane.requeue(claimed, verdict.reply)
        elif verdict.is_strike:
            self._on_strike(claimed, verdict)
        elif verdict.meaning is None:
            self._put_back(claimed)
        elif may_be_about_one(outgoing, verdict):
            self._on_strike(claimed, verdict)
        elif may_pass_at_once(verdict) and self._mail_count + 1 < self._mail_limit:
            self._mail_count += 1
            self._put_last(claimed, self._watch())
        else:
            self._mail_count, self._mail_limit = 0, 1  # After the pause, one is enough.
            self._lane.requeue(claimed, verdict.reply)
            self._pause_for(verdict, verdict.meaning)

    def _put_back(self, claimed: ClaimedEmail) -> None:
        """Put back an email that no relay has refused."""
        if self._order is None:
            self.outbox.put_back(claimed)
        else:
            self._put_last(claimed, self._order)  # So that the order of the outbox is that of the places.

    def _put_last(self, claimed: ClaimedEmail, order: TakeOrder) -> None:
        self.outbox.put_last(claimed)
        order.append(claimed.id)

    def _pause_for(self, verdict: Verdict, meaning: ReplyMeaning) -> None:
        sentence = say_refusal(self.spec.name, meaning, verdict)
        self.pause(RelayRefusal(meaning, sentence, verdict.wait_seconds))

    def _on_strike(self, claimed: ClaimedEmail, verdict: Verdict) -> None:
        """Put a struck email last, so that the others go on. After more strikes, charge it or pause the relay."""
        order = self._watch()
        if not self._strikes.run_count:
            self._struck_from = self._find_free_place(order)
        effect = self._strikes.add(claimed.id, is_retry=claimed.attempts > 1, is_recognised=is_ours(verdict))
        if effect is Effect.BACK:
            self._struck[claimed.id] = verdict
            self._put_last(claimed, order)
            return
        has_success_since = self._strikes.has_success_since(claimed.id)
        self._strikes.forget(claimed.id)
        if effect is Effect.DEFER and has_success_since:
            self._lane.record(claimed, charge(verdict))
        elif is_ours(verdict) and verdict.meaning is not None:
            if effect is Effect.EVERYBODY or not self._suspend(claimed, charge(verdict), stage=None):
                self._lane.requeue(claimed, verdict.reply)
            self._pause_for(verdict, verdict.meaning)
        else:
            self._suspend_struck(claimed, charge(verdict), is_everybody=effect is Effect.EVERYBODY)

    def _suspend_struck(self, claimed: ClaimedEmail, verdict: Verdict, *, is_everybody: bool) -> None:
        """Charge an email that no rule excuses, or let the breaker look at it if it may be about everybody."""
        # A retry was charged before, so the relay is known to accept others.
        is_its_own = not is_everybody and (self.has_sent or claimed.attempts > 1)
        if is_its_own or not self._suspend(claimed, verdict, stage=None):
            self._lane.record(claimed, verdict)
            return
        if is_everybody:
            self.breaker.trip = Trip(verdict._replace(meaning=ReplyMeaning.RATE), self._strikes.run_count, refusal="")
        self._lane.on_suspended()

    def _on_refused(self, outgoing: Outgoing[ClaimedEmail], verdict: Verdict) -> None:
        """Record a refusal, unless it may be about everybody: then it waits for a success, or for more like it."""
        claimed = outgoing.tag
        # A letter that is refused for its content may be the same for everybody.
        is_about_one = verdict.is_recognised and verdict.meaning is not ReplyMeaning.CONTENT
        if is_about_one or self._is_known_to_be_deferred(claimed, verdict):
            self._lane.record(claimed, verdict)
        elif not self.is_open:
            self._lane.requeue(claimed, verdict.reply)
        else:
            stage = outgoing.refusal[0] if outgoing.refusal is not None else None
            if self._suspend(claimed, verdict, stage=stage):
                self._lane.on_suspended()
            else:
                self._lane.record(claimed, verdict)

    def _is_known_to_be_deferred(self, claimed: ClaimedEmail, verdict: Verdict) -> bool:
        """Whether an email is deferred again after the relay has accepted others.

        The retries of a list come together. So the few emails that a relay always defers come in a row then, and look
        like everybody.
        """
        return verdict.outcome is Outcome.DEFERRED and claimed.attempts > 1 and self.has_sent

    @property
    def may_be_awaited(self) -> bool:
        """Whether the relay may accept mail again soon, so that a lane run may wait for it in its place."""
        refusal = self.refusal
        return refusal is None or not (refusal.meaning in NEEDS_PERSON or refusal.has_too_many_connections)
