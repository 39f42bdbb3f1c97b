"""SEND_RATE, kept by real workers together: measured by what the relay noted, message by message."""

from __future__ import annotations

import contextlib
import time
from bisect import bisect_left
from itertools import pairwise

import pytest

from tests.acceptance.test_worker import start_batch, wait_for_accepted
from tests.chaos.stack import Stack, wait_until

TOLERANCE = 0.05
WINDOW_SECONDS = 10.0
AWAY_SECONDS = 6.0


def start_sending(stack: Stack, rate: float, *, seconds: float) -> float:
    """Two batches of two lanes each on two workers; the moment of the first message, by the relay's clock."""
    environment = {"SEND_RATE": str(rate), "SEND_LANES": "2", "SEND_WINDOW": "32"}
    for _ in range(2):
        stack.start_worker(environment=environment, wait=False)
    for part in (1, 2):
        start_batch(stack, int(rate * seconds) + part)
    wait_for_accepted(stack, 1)
    return stack.smtp.accepted()[0].at


def wait_for_moment(moment: float) -> None:
    wait_until(lambda: time.time() > moment, seconds=max(1.0, moment - time.time() + 1), what="time to pass")


def rate_between(stack: Stack, begin: float, end: float) -> float:
    """Messages a second, by the relay's record."""
    moments = [entry.at for entry in stack.smtp.accepted()]
    return (bisect_left(moments, end) - bisect_left(moments, begin)) / (end - begin)


@pytest.mark.parametrize("rate", [37])
def test_rate_is_exact_when_four_lanes_share_it(stack: Stack, rate: float) -> None:
    begin = start_sending(stack, rate, seconds=15) + 2  # both workers take part from then on
    wait_for_moment(begin + WINDOW_SECONDS)
    found = rate_between(stack, begin, begin + WINDOW_SECONDS)
    print(f"{rate}/s asked, {found:.1f}/s sent")  # noqa: T201
    assert found == pytest.approx(rate, rel=TOLERANCE)


def test_rate_is_kept_when_redis_is_flushed_or_away(stack: Stack) -> None:
    rate = 200
    begin = start_sending(stack, rate, seconds=40) + 2
    flushed = begin + WINDOW_SECONDS + 3
    wait_for_moment(flushed)
    with contextlib.closing(stack.services.redis()) as client:
        client.flushall()
    wait_for_moment(flushed + WINDOW_SECONDS / 2)
    stack.services.stop("redis")
    away = time.time() + 0.5
    wait_for_moment(away + AWAY_SECONDS)
    spans = [(begin, begin + WINDOW_SECONDS), (flushed - WINDOW_SECONDS / 2, flushed + WINDOW_SECONDS / 2)]
    exact = [rate_between(stack, *span) for span in spans]
    alone = rate_between(stack, away, away + AWAY_SECONDS)
    print(f"{rate}/s asked, {exact[0]:.1f}/s sent, {exact[1]:.1f}/s around a flush, {alone:.1f}/s without Redis")  # noqa: T201
    assert exact == [pytest.approx(rate, rel=TOLERANCE)] * 2
    assert alone == pytest.approx(rate, rel=2 * TOLERANCE)
    assert longest_pause(stack, begin) < 1


def longest_pause(stack: Stack, begin: float) -> float:
    moments = [entry.at for entry in stack.smtp.accepted() if entry.at > begin]
    return max(later - earlier for earlier, later in pairwise(moments))
