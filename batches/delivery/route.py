"""A relay in one lane run: its connections, the emails that wait for them, and the verdicts on what they sent.

Claimed emails enter, messages go to the connections, and verdicts leave. The lane owns the routes and the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from batches.delivery.ledger import Ledger
from batches.delivery.outbox import Outbox
from batches.delivery.pool import OpenConnection, Pool
from batches.delivery.rate import RateGate
from batches.delivery.spec import LaneSpec, RouteSpec
from batches.delivery.terms import ClaimedEmail
from batches.outcomes import Outcome
from batches.smtp.connection import Capabilities, Connection, Loss, Outgoing
from batches.smtp.verdicts import Verdict

_REQUEUED = Outcome.REQUEUED  # looked up once: finding a member of an enum searches its class


class RouteOwner(Protocol):
    """The lane run, as its routes see it."""

    def record(self, claimed: ClaimedEmail, verdict: Verdict) -> None:
        """Take the verdict on an email."""

    def on_route_down(self, route: Route, reason: str, *, has_too_many_connections: bool) -> None:
        """Hear that the route's relay accepts no mail now."""


class Route:
    """One relay in one lane run. To its connections it is the lane (``LaneEvents``)."""

    def __init__(
        self,
        lane_spec: LaneSpec,
        spec: RouteSpec,
        *,
        ledger: Ledger,
        lane: RouteOwner,
        clock: Callable[[], float],
        open_connection: OpenConnection,
    ) -> None:
        self.spec = spec
        self._ledger, self._lane, self._clock = ledger, lane, clock
        self._record = lane.record
        self._is_open = True
        self.outbox = Outbox(lane_spec, record=lane.record, is_paced=spec.rate > 0)
        self.pool = Pool(lane_spec, spec, lane=self, outbox=self.outbox, clock=clock, open_connection=open_connection)
        self.gate = self._make_gate(lane_spec.redis_url)

    def _make_gate(self, redis_url: str) -> RateGate | None:
        if self.spec.rate <= 0:
            return None
        return RateGate(
            rate=self.spec.rate,
            relay=str(self.spec.address),
            redis_url=redis_url,
            on_tokens=self.pool.pump,
            count_lanes=self._ledger.count_lanes,
        )

    def close(self) -> list[ClaimedEmail]:
        """Give out no more messages, and return the emails that no connection has taken."""
        self._is_open = False
        return self.outbox.clear()

    # --- called by the connections -------------------------------------------------------------------

    def take(self, capabilities: Capabilities) -> Outgoing[ClaimedEmail] | None:
        if not (self._ledger.is_up and self._clock() < self._ledger.deadline):
            return None
        if self.gate is not None and not (self.outbox and self.gate.spend()):
            return None
        return self.outbox.take(capabilities)

    def may_send(self) -> bool:
        return self._clock() < self._ledger.deadline

    def can_record(self) -> bool:
        return self._ledger.is_up

    def on_verdict(self, outgoing: Outgoing[ClaimedEmail], verdict: Verdict) -> None:
        if verdict.outcome is _REQUEUED and self._is_open:
            self.outbox.put_back(outgoing.tag)
            return
        self._record(outgoing.tag, verdict)

    def on_connection_lost(self, connection: Connection, loss: Loss) -> None:
        self.pool.on_connection_lost(connection, loss)

    def on_relay_error(self, reason: str, *, has_too_many_connections: bool) -> None:
        self._lane.on_route_down(self, reason, has_too_many_connections=has_too_many_connections)
