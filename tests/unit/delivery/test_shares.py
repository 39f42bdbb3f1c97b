"""The order in which routes get emails: by order, by weight, and as far as each has space."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from batches.delivery.shares import Shares
from tests.unit.delivery.specs import ROUTE

MANY = 1_000


def make_shares(*weights: int, orders: tuple[int, ...] = ()) -> Shares:
    orders = orders or (0,) * len(weights)
    return Shares([replace(ROUTE, weight=weight, order=order) for weight, order in zip(weights, orders, strict=True)])


def everywhere(count: int) -> dict[int, int]:
    return dict.fromkeys(range(count), MANY)


def test_turns_are_spread_when_weights_differ() -> None:
    assert make_shares(5, 1, 1).plan(7, everywhere(3)) == [0, 0, 1, 0, 2, 0, 0]  # the example in nginx's own change


def test_turns_go_on_where_they_ended_when_places_come_one_by_one() -> None:
    shares = make_shares(3, 2)
    one_by_one = [route for _ in range(10) for route in shares.plan(1, everywhere(2))]
    assert one_by_one == make_shares(3, 2).plan(10, everywhere(2))


def test_higher_order_gets_only_what_the_lower_has_no_space_for() -> None:
    assert make_shares(1, 1, 1, orders=(0, 0, 1)).plan(6, {0: 1, 1: 2, 2: 9}) == [0, 1, 1, 2, 2, 2]


def test_nothing_is_planned_when_no_route_has_space() -> None:
    assert make_shares(1, 1).plan(5, {0: 0}) == []


@given(weights=st.lists(st.integers(1, 20), min_size=1, max_size=3), places=st.integers(0, 200))
def test_shares_are_within_one_email_of_the_weights_at_any_moment(weights: list[int], places: int) -> None:
    counts = Counter(make_shares(*weights).plan(places, everywhere(len(weights))))
    for route, weight in enumerate(weights):
        assert abs(counts[route] - places * weight / sum(weights)) <= 1


@given(weights=st.lists(st.integers(1, 20), min_size=1, max_size=8), rounds=st.integers(1, 5))
def test_shares_are_exact_when_the_places_are_a_multiple_of_the_weights(weights: list[int], rounds: int) -> None:
    counts = Counter(make_shares(*weights).plan(rounds * sum(weights), everywhere(len(weights))))
    assert counts == {route: rounds * weight for route, weight in enumerate(weights)}


@given(
    weights=st.lists(st.integers(1, 9), min_size=4, max_size=4),
    orders=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    cycles=st.lists(st.tuples(st.integers(0, 30), st.lists(st.integers(0, 12), min_size=4, max_size=4)), max_size=6),
)
def test_no_route_exceeds_its_space_and_no_space_is_left_over(
    weights: list[int], orders: list[int], cycles: list[tuple[int, list[int]]]
) -> None:
    shares = make_shares(*weights, orders=tuple(orders))
    for places, spaces in cycles:
        counts = Counter(shares.plan(places, dict(enumerate(spaces))))
        assert all(counts[route] <= space for route, space in enumerate(spaces))
        assert counts.total() == min(places, sum(spaces))
        for route in counts:  # a lower order has no space left
            assert all(counts[other] == spaces[other] for other in range(4) if orders[other] < orders[route])
