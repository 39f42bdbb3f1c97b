"""SEND_RATE, kept by real workers together. The relay's own record is the measure, message by message."""

from __future__ import annotations

import contextlib
from itertools import pairwise

import pytest

from batches.delivery.rate import BURST_SECONDS
from batches.redis_client import ANSWER_SECONDS
from tests.acceptance.test_worker import start_batch, wait_for_accepted
from tests.chaos.stack import Stack, wait_until

TOLERANCE = 0.05
LANES = 4
START_SECONDS = 0.5
"""How much later than its token the first message may arrive: its connection is opened in between."""

SPAN_SECONDS = 5.0
"""The rate is reached when it was reached for so long."""

REACHED_SECONDS = 90
"""How long to wait for such a span. A loaded machine may need several."""


def start_sending(stack: Stack, rate: float) -> None:
    """Start two batches of two lanes each on two workers, with more emails than the test needs."""
    environment = {"SEND_RATE": str(rate), "SEND_LANES": str(LANES // 2), "SEND_WINDOW": "32"}
    for _ in range(2):
        stack.start_worker(environment=environment, wait=False)
    for part in (1, 2):
        start_batch(stack, int(rate * REACHED_SECONDS / 2) + part)
    wait_for_accepted(stack, 1)


def read_moments(stack: Stack, *, since: int = 0) -> list[float]:
    """Return when the relay accepted each message, without the first so many."""
    return [entry.at for entry in stack.smtp.accepted()[since:]]


def find_highest_rate(moments: list[float]) -> float:
    """Return the messages a second of the span in which most were accepted."""
    best, first = 0, 0
    for last, moment in enumerate(moments):
        while moments[first] < moment - SPAN_SECONDS:
            first += 1
        best = max(best, last - first + 1)
    return best / SPAN_SECONDS


def wait_for_rate(stack: Stack, rate: float, *, since: int = 0) -> None:
    """Wait until the workers have reached the rate for a span."""
    wait_until(
        lambda: find_highest_rate(read_moments(stack, since=since)) >= rate * (1 - TOLERANCE),
        seconds=REACHED_SECONDS,
        what=f"{rate} messages a second",
        every=0.5,
    )


def assert_never_faster(moments: list[float], rate: float, *, bursts: int = 1) -> None:
    """At each message, no more were accepted since the first than the rate and its bursts allow.

    A slow machine delays messages, and so can only make this easier.
    """
    for count, moment in enumerate(moments):
        allowed = rate * (moment - moments[0]) * (1 + TOLERANCE) + rate * (bursts * BURST_SECONDS + START_SECONDS)
        assert count <= allowed + LANES, f"{count} messages within {moment - moments[0]:.2f} s"
    # The same for each span, however slow the messages before it were. A late machine may deliver START_SECONDS' worth
    # of messages together.
    slack = (bursts * BURST_SECONDS + START_SECONDS) / SPAN_SECONDS
    assert find_highest_rate(moments) <= rate * (1 + TOLERANCE + slack) + LANES / SPAN_SECONDS


@pytest.mark.parametrize("rate", [37])
def test_rate_is_reached_and_never_exceeded_when_four_lanes_share_it(stack: Stack, rate: float) -> None:
    start_sending(stack, rate)
    wait_for_rate(stack, rate)
    assert_never_faster(read_moments(stack), rate)


def test_rate_is_kept_when_redis_is_flushed_or_away(stack: Stack) -> None:
    rate = 200
    start_sending(stack, rate)
    wait_for_rate(stack, rate)
    before_flush = len(read_moments(stack))
    with contextlib.closing(stack.services.redis()) as client:
        client.flushall()
    wait_for_rate(stack, rate, since=before_flush)
    before_outage = len(read_moments(stack))
    stack.services.stop("redis")
    wait_for_rate(stack, rate, since=before_outage)
    moments = read_moments(stack)
    assert_never_faster(moments[:before_outage], rate, bursts=2)  # The flush forgets one burst.
    assert_never_faster(moments[before_outage:], rate * (1 + TOLERANCE), bursts=2)  # Each lane keeps time by itself.
    # No lane waits for a Redis that does not answer.
    assert max(later - earlier for earlier, later in pairwise(moments)) < ANSWER_SECONDS
