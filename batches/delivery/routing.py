"""What a ledger cycle has besides, if the lane has several routes, or a route with quotas.

The free places and the routes that may get emails enter. A plan leaves: which route each newly claimed email goes to.
The quotas are read in a transaction that the cycle commits.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from batches.delivery.ledger_connection import LedgerConnection
from batches.delivery.literals import array, text_array
from batches.delivery.quotas import Space, find_space
from batches.delivery.shares import Shares
from batches.delivery.spec import LaneSpec, RouteSpec
from batches.delivery.terms import ClaimedEmail, Decision
from batches.models import sql
from batches.outcomes import Outcome

_USES = (Outcome.SENT.value, Outcome.UNKNOWN.value)
"""The outcomes that use up a quota: the relay accepted the message, or may have accepted it."""


AHEAD_SECONDS = 5.0
"""A route with a rate holds so many seconds' worth of emails at most while another one is faster."""


class Plan(NamedTuple):
    """Which route each place goes to, and how many emails each route may get. Routes are counted from 0."""

    routes: Sequence[int] = ()
    spaces: Mapping[int, int] = {}
    full: Mapping[int, Space] = {}
    """The routes whose space the plan uses up."""
    is_in_transaction: bool = False


class Pinned(NamedTuple):
    """A retry that is due, and that one relay alone may carry, which carries no mail now."""

    route: int | None
    """The route of the relay, unless the relay is no route of the lane: it is disabled, or not for this sender."""
    sentence: str
    seconds: float | None
    """After how long the relay's quota has space. None: another reason keeps it from carrying mail."""

    @classmethod
    def of(cls, found: sql.PinnedRetry, *, routes: Sequence[RouteSpec], full: Mapping[int, Space]) -> Pinned:
        route = next((number for number, spec in enumerate(routes) if spec.relay_id == found.relay_id), None)
        if route is not None and route in full:
            return cls(route, full[route].sentence, full[route].more_in_seconds)
        name = found.relay_name or "that was deleted"
        sentence = f"Some emails may have reached the relay {name}, so they wait until it carries mail again."
        if route is None:
            sentence = f"{sentence} {_say_remedy(found)}"
        return cls(route, sentence, None)


def _say_remedy(found: sql.PinnedRetry) -> str:
    if found.relay_name and not found.is_enabled:
        return "Enable it in the admin, under Relays, or cancel the batch."
    return (
        "Set its address in the environment again, allow it for this sender in the admin, or delete it there, or cancel"
        " the batch."
    )


def is_plain(spec: LaneSpec) -> bool:
    """Whether a lane run needs no plan: it has one route, and that one has no quotas."""
    return len(spec.routes) == 1 and not spec.routes[0].has_quotas


class Routing:
    """The routes of one lane run, and whose turn it is."""

    def __init__(self, spec: LaneSpec) -> None:
        self.statement = sql.ROUTED_CYCLE_OF_REPLAY if spec.resends_all else sql.ROUTED_CYCLE
        self._lane_id = spec.lane_id
        self._routes = spec.routes
        self._relay_ids = [route.relay_id for route in spec.routes]
        self._labels = [str(route.address) for route in spec.routes]
        self._names = {route.relay_id: route.name for route in spec.routes}
        self._limited = {route.relay_id: number for number, route in enumerate(spec.routes) if route.has_quotas}
        self._shares = Shares(spec.routes)
        self._is_paced = any(route.rate for route in spec.routes)

    async def plan(
        self,
        connection: LedgerConnection,
        places: int,
        *,
        usable: Iterable[int],
        in_flight: Collection[ClaimedEmail],
        recording: Mapping[int, Decision],
    ) -> Plan:
        """Say where up to ``places`` emails go. Begins a transaction if quotas have to be read.

        Raises:
            OUTAGES: PostgreSQL went away.
        """
        if not places:
            return Plan()
        spaces = dict.fromkeys(usable, places)
        limited = {relay: number for relay, number in self._limited.items() if number in spaces}
        found: dict[int, Space] = {}
        if limited:
            held = _count_held(in_flight, recording)
            await connection.execute("BEGIN", {})
            found = await find_space(
                connection,
                lane_id=self._lane_id,
                held={relay: held[number] for relay, number in limited.items()},
                names=self._names,
            )
        full = {}
        for relay, space in found.items():
            number = limited[relay]
            spaces[number] = min(places, space.left)
            if space.left < places:
                full[number] = space
        if self._is_paced:
            self._bound_by_rates(spaces, set(full), held=_count_left(in_flight, recording))
        return Plan(self._shares.plan(places, spaces), spaces, full, bool(limited))

    def _bound_by_rates(self, spaces: dict[int, int], full: Collection[int], *, held: Mapping[int, int]) -> None:
        """Leave to the fastest route of an order what its slower ones would carry too late.

        Otherwise the emails of a slow route would fill the window, and the fast one would be as slow. The fastest is
        one that no quota bounds, and is not bounded here. So a claim never finds too little because of a rate.
        """
        for order in {self._routes[number].order for number in spaces}:
            paces = {
                number: self._routes[number].rate or math.inf
                for number in spaces
                if number not in full and self._routes[number].order == order
            }
            fastest = max(paces.values(), default=0.0)
            for number, rate in paces.items():
                if rate < fastest:
                    ahead = max(self._routes[number].connections, math.ceil(rate * AHEAD_SECONDS))
                    spaces[number] = max(0, min(spaces[number], ahead - held[number]))

    def arguments(
        self, plan: Plan, *, in_flight: Collection[ClaimedEmail], recording: Mapping[int, Decision]
    ) -> dict[str, object]:
        """Return the arguments that ROUTED_CYCLE has besides those of LEDGER_CYCLE.

        ``in_flight`` are all claimed emails, those included whose decision is in ``recording``.
        """
        routes = {email.id: email.route for email in in_flight}
        left = [email.route for email in in_flight if email.id not in recording]
        held = Counter(left)
        numbers = range(len(self._routes))
        return {
            "relay_ids": array(self._relay_ids),
            "labels": text_array(self._labels),
            "limit": len(plan.routes),
            "plan": array(route + 1 for route in plan.routes),
            "spaces": array(plan.spaces.get(number, 0) for number in numbers),
            "pins": array(self._relay_ids[number] for number in numbers if plan.spaces.get(number)),
            "routes": array(routes.get(email_id, 0) + 1 for email_id in recording),
            "in_flight_relays": array(self._relay_ids[route] for route in left),
            "limited": array(self._limited),
            "held": array(held[number] for number in self._limited.values()),
        }


def _count_held(in_flight: Collection[ClaimedEmail], recording: Mapping[int, Decision]) -> Counter[int]:
    """Count by route what the lane holds of quotas after it has recorded: emails in flight, and new uses."""
    return Counter(
        email.route for email in in_flight if email.id not in recording or recording[email.id].outcome in _USES
    )


def _count_left(in_flight: Collection[ClaimedEmail], recording: Mapping[int, Decision]) -> Counter[int]:
    """Count by route what is in flight after the lane has recorded."""
    return Counter(email.route for email in in_flight if email.id not in recording)


def returns_space(recording: Iterable[Decision]) -> bool:
    """Whether a decision frees what was reserved for its email."""
    return any(decision.outcome not in _USES for decision in recording)
