"""What a lane run without space does, with relays that are paused, and with refusals that wait to be judged."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from batches.delivery.lane_run import TURN_SECONDS
from batches.delivery.terms import LaneEnd
from batches.models import EmailStatus
from batches.outcomes import Outcome
from batches.smtp.verdicts import Verdict
from tests.unit.delivery import time_loop
from tests.unit.delivery.lane_in_memory import DENIED, SENT, TOO_FAST, World

NEXT_PLEASE = Verdict(Outcome.REQUEUED, 421, "MAIL not over this connection")
SENT_STATUS = EmailStatus.SENT.value


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    time_loop.run(coroutine)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_lane_ends_when_refusals_that_wait_to_be_judged_hold_all_the_space_of_a_quota(count: int) -> None:
    """They would hold it for ever: nothing more can be claimed, so no success and no further refusal can come."""

    async def go() -> None:
        world = World(count + 5, lambda number, place: DENIED if number <= count else SENT)
        world.space, world.space_returns_at = count, 3600.0
        async with asyncio.timeout(600):
            end = await world.run_once()
        assert end is (LaneEnd.NO_SPACE if count < 3 else LaneEnd.TRIPPED)
        assert sum(world.charged().values()) == (count if count < 3 else 0)

    run(go())


@pytest.mark.parametrize("pause_seconds", [30.0, 7200.0])
def test_lane_without_space_waits_no_longer_than_for_the_pause_of_another_relay(pause_seconds: float) -> None:
    async def go() -> None:
        world = World(100, lambda number, place: SENT, routes=2)
        world.routes = (world.routes[0], replace(world.routes[1], paused_seconds=pause_seconds))
        world.space, world.space_returns_at = 40, 3600.0
        assert await world.run_once() is LaneEnd.NO_SPACE
        assert world.table.retry_at <= min(pause_seconds, 3600.0)
        assert world.table.retry_at >= min(pause_seconds, 3600.0) - 10

    run(go())


def test_lane_without_space_waits_in_its_place_when_another_relay_opens_soon() -> None:
    async def go() -> None:
        world = World(100, lambda number, place: SENT, routes=2)
        world.routes = (world.routes[0], replace(world.routes[1], paused_seconds=4.0))
        world.space, world.space_returns_at = 40, 6.0
        assert await world.run_once() is LaneEnd.DRY
        assert world.statuses() == {SENT_STATUS: 100}

    run(go())


def test_relay_stays_closed_when_its_pause_was_over_before_the_lane_ends() -> None:
    """It would carry what the lane is about to requeue."""

    async def go() -> None:
        times: list[float] = []

        def script(number: int, place: int) -> Verdict:
            times.append(world.loop_time())
            return TOO_FAST._replace(wait_seconds=1.0) if times[-1] < 0.5 else NEXT_PLEASE

        world = World(20, script, connections=2)
        world.find_delay = lambda: 4.0 if world.loop_time() > 0.9 else 0.001
        world.should_end = LaneEnd.STOPPED
        async with asyncio.timeout(600):
            assert await world.run_once() is LaneEnd.STOPPED
        assert 1.0 <= max(times) < TURN_SECONDS * 1.3

    run(go())


def test_back_off_of_a_relay_goes_on_when_another_one_sends() -> None:
    async def go() -> None:
        refused: list[float] = []

        def script(number: int, place: int) -> Verdict:
            if place == 1 or world.loop_time() < 3:
                return SENT
            refused.append(world.loop_time())
            return TOO_FAST._replace(reply="4.7.1 MAIL too fast")

        world = World(150, script, routes=2, connections=1)
        world.find_delay = lambda: 0.1 if world.loop_time() < 2.5 else 3.0
        await world.run_until_over()
        assert world.statuses() == {SENT_STATUS: 150}
        # Pauses of 1, 2, 4, 8, 16 and 32 seconds begin within the first minute.
        assert len(refused) <= 6 + world.loop_time() / 60

    run(go())
