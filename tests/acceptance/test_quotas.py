"""A quota, kept by real workers together. The relay's own record and clock are the measure, message by message."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.acceptance.test_worker import start_batch, wait_for_accepted
from tests.chaos.stack import Stack, wait_until

LANES = 4
AMOUNT, PERIOD_SECONDS = 150, 8
"""The quota of the tests that disturb."""

START_SECONDS = 30
"""How long the first message and the death of a worker may take on a loaded machine."""


def set_quota(stack: Stack, amount: int, period_seconds: int) -> None:
    """Give the relay of the stack a quota, as a person does in the admin."""
    with stack.services.connect() as connection:
        connection.execute(
            "INSERT INTO batches_relayquota (relay_id, amount, period_seconds)"
            " SELECT id, %s, %s FROM batches_relay WHERE name = 'default'",
            [amount, period_seconds],
        )


def start_sending(stack: Stack, *, emails: int) -> None:
    """Start two batches of two lanes each on two workers."""
    for _ in range(2):
        stack.start_worker(environment={"SEND_LANES": str(LANES // 2)}, wait=False)
    for part in range(2):
        start_batch(stack, emails // 2 + part)
    wait_for_accepted(stack, 1)


def read_moments(stack: Stack) -> list[float]:
    return sorted(entry.at for entry in stack.smtp.accepted())


def wait_for_moments(stack: Stack, count: int, *, seconds: float) -> list[float]:
    wait_until(lambda: len(read_moments(stack)) >= count, seconds=seconds, what=f"{count} messages", every=0.2)
    return read_moments(stack)


def assert_never_more(moments: list[float], amount: int, period_seconds: float) -> None:
    """No span of the period has more than the amount: the message after so many others comes a period later."""
    spans = [later - earlier for earlier, later in zip(moments, moments[amount:], strict=False)]
    assert min(spans, default=period_seconds) >= period_seconds


def measure_use(moments: list[float], amount: int, period_seconds: float, periods: int) -> float:
    """Return how much of the quota was used in so many periods, of 1."""
    return periods * period_seconds / (moments[periods * amount] - moments[0])


@pytest.mark.parametrize(
    ("amount", "period_seconds", "periods", "use"),
    [
        (200, 10, 3, 0.8),
        pytest.param(
            1000,
            60,
            2,
            0.98,
            marks=pytest.mark.skipif("LONG_TESTS" not in os.environ, reason="It takes two minutes: set LONG_TESTS=1."),
        ),
    ],
)
def test_quota_is_used_and_never_exceeded_when_four_lanes_share_it(
    stack: Stack, amount: int, period_seconds: int, periods: int, use: float
) -> None:
    set_quota(stack, amount, period_seconds)
    start_sending(stack, emails=amount * (periods + 2))
    moments = wait_for_moments(stack, amount * periods + 1, seconds=START_SECONDS + 1.3 * periods * period_seconds)
    assert_never_more(moments, amount, period_seconds)
    assert measure_use(moments, amount, period_seconds, periods) >= use


def send_while_disturbed(stack: Stack, disturb: Callable[[], None], *, emails: int) -> list[float]:
    """Disturb in the first and in the second period of a quota. Returns the moments of more than three periods."""
    set_quota(stack, AMOUNT, PERIOD_SECONDS)
    start_sending(stack, emails=emails)
    for count in (AMOUNT // 2, AMOUNT + AMOUNT // 2):
        wait_for_moments(stack, count, seconds=START_SECONDS + 2 * PERIOD_SECONDS)
        disturb()
    return wait_for_moments(stack, 3 * AMOUNT + 1, seconds=START_SECONDS + 4 * PERIOD_SECONDS)


def test_quota_is_never_exceeded_when_a_worker_is_killed_and_redis_is_flushed(stack: Stack) -> None:
    def disturb() -> None:
        stack.workers[-1].is_expected_to_end = True
        stack.workers[-1].kill_group()
        with contextlib.closing(stack.services.redis()) as client:
            client.flushall()
        stack.start_worker(environment={"SEND_LANES": str(LANES // 2)}, wait=False)

    moments = send_while_disturbed(stack, disturb, emails=AMOUNT * 5)
    assert_never_more(moments, AMOUNT, PERIOD_SECONDS)


def test_quota_is_never_exceeded_when_postgresql_crashes(stack: Stack) -> None:
    def disturb() -> None:
        stack.services.stop("postgres", signal_number=signal.SIGQUIT)
        stack.services.start_postgres()

    moments = send_while_disturbed(stack, disturb, emails=AMOUNT * 4)
    assert_never_more(moments, AMOUNT, PERIOD_SECONDS)
    assert max(later - earlier for earlier, later in pairwise(moments)) < PERIOD_SECONDS + START_SECONDS
