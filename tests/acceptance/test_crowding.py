"""A relay that takes only so many connections: fewer are made, more again later, and nothing is lost."""

from __future__ import annotations

import time

from tests.acceptance.test_worker import accepted, start_batch, wait_for_accepted, wait_for_end
from tests.chaos.stack import Stack, wait_until

CONNECTIONS = 8
LANES = 2
LIMIT = 5
RATE = 200
RECIPIENTS = 12_000
REFUSED_MAX = 60
"""How many connections the relay may refuse while two lanes have too many, until PACE_MESSAGES were sent."""

PACE_MESSAGES = 1500
"""Seven seconds of mail at RATE. The lanes open no further connection before ten seconds are over."""

PACE_SECONDS = 60
GROW_SECONDS = 60


def count_open(stack: Stack) -> int:
    return stack.smtp.stats()["connections_open"]


def read_attempts(stack: Stack) -> set[int]:
    with stack.services.connect() as connection:
        rows = connection.execute("SELECT DISTINCT attempts FROM batches_email WHERE status <> 'pending'").fetchall()
    return {row[0] for row in rows}


def test_connections_become_fewer_and_more_again_when_relay_has_too_many(stack: Stack) -> None:
    environment = {"SEND_CONNECTIONS": str(CONNECTIONS), "SEND_LANES": str(LANES)}
    for _ in range(LANES):
        stack.start_worker(environment=environment, wait=False)
    start_batch(stack, RECIPIENTS, rate=RATE, max_connections=LIMIT)
    wait_for_accepted(stack, 100)
    wait_until(lambda: count_open(stack) <= LIMIT, seconds=30, what="the refused connections to be gone")
    counts = []
    until = stack.smtp.stats()["accepted"] + PACE_MESSAGES
    deadline = time.monotonic() + PACE_SECONDS
    while stack.smtp.stats()["accepted"] < until:
        assert time.monotonic() < deadline, "the lanes hardly send with the connections that they have"
        counts.append(count_open(stack))
        time.sleep(0.05)  # the pace of the samples
    refused = stack.smtp.stats()["connections"] - LIMIT
    print(f"limited: {min(counts)} to {max(counts)} connections, {refused} refused")  # noqa: T201
    entries = stack.smtp.accepted()[-PACE_MESSAGES:]
    stack.smtp.configure(max_connections=0)
    # Each lane opens one more after ten seconds, then two. A lane that had none opens all at once.
    wait_until(lambda: count_open(stack) > LIMIT + 3, seconds=GROW_SECONDS, what="more connections")
    stack.smtp.configure(rate=0)
    wait_for_end(stack, RECIPIENTS)
    assert set(accepted(stack).values()) == {1}
    assert read_attempts(stack) == {1}
    assert max(counts) <= LIMIT + LANES  # One of each lane is open while it hears its 421.
    assert len({entry.connection for entry in entries}) >= LIMIT, "all connections that the relay accepts are used"
    assert refused < REFUSED_MAX
