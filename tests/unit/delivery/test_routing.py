"""Which routes get emails, if some are slower than others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from batches.delivery.routing import AHEAD_SECONDS, Pinned, Routing
from batches.delivery.terms import ClaimedEmail
from batches.models import sql
from tests.unit.delivery.specs import ROUTE, SPEC, claim


class NoConnection:
    """No route has a quota, so nothing is read."""

    async def execute(self, query: str, params: Mapping[str, object], /) -> Any:
        raise AssertionError(query)

    async def close(self) -> None: ...


def claim_for(route: int, *, count: int, start: int = 1) -> list[ClaimedEmail]:
    claimed = [claim(number) for number in range(start, start + count)]
    for each in claimed:
        each.route = route
    return claimed


def plan(routing: Routing, places: int, *, in_flight: list[ClaimedEmail], usable: list[int]) -> dict[int, int]:
    planned = asyncio.run(routing.plan(NoConnection(), places, usable=usable, in_flight=in_flight, recording={}))
    return dict(Counter(planned.routes))


def make_routing(*fields: dict[str, Any]) -> Routing:
    routes = tuple(
        replace(ROUTE, relay_id=number, name=f"r{number}", connections=1, **each)
        for number, each in enumerate(fields, start=1)
    )
    return Routing(replace(SPEC, routes=routes))


def test_slow_route_holds_a_few_seconds_of_its_rate_when_another_is_faster() -> None:
    routing = make_routing({"rate": 2}, {})
    held = int(2 * AHEAD_SECONDS)
    assert plan(routing, 100, in_flight=[], usable=[0, 1]) == {0: held, 1: 100 - held}
    assert plan(routing, 100, in_flight=claim_for(0, count=held - 1), usable=[0, 1]) == {0: 1, 1: 99}
    assert plan(routing, 100, in_flight=claim_for(0, count=500), usable=[0, 1]) == {1: 100}


@pytest.mark.parametrize(("rates", "usable"), [((2, 0), [0]), ((2, 2), [0, 1]), ((2, 5), [0])])
def test_every_place_is_planned_when_no_other_route_is_faster(rates: tuple[float, float], usable: list[int]) -> None:
    """A claim that found less than it asked for would be repeated at once, again and again."""
    routing = make_routing(*({"rate": rate} for rate in rates))
    assert sum(plan(routing, 100, in_flight=claim_for(0, count=50), usable=usable).values()) == 100


def test_second_order_gets_nothing_when_the_first_is_slow() -> None:
    routing = make_routing({"rate": 2}, {"order": 1})
    assert plan(routing, 100, in_flight=claim_for(0, count=50), usable=[0, 1]) == {0: 100}


@pytest.mark.parametrize(
    ("found", "remedy"),
    [
        (sql.PinnedRetry(7, "m365", False), "Enable it in the admin, under Relays, or cancel the batch."),
        (sql.PinnedRetry(7, "m365", True), "Set its address in the environment again"),
        (sql.PinnedRetry(7, "", False), "or delete it there, or cancel the batch."),
    ],
)
def test_remedy_fits_when_a_retry_waits_for_a_relay_that_is_no_route(found: sql.PinnedRetry, remedy: str) -> None:
    assert remedy in Pinned.of(found, routes=SPEC.routes, full={}).sentence
