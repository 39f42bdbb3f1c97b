"""A relay that takes only so many connections: fewer are made, more again later, and nothing is lost."""

from __future__ import annotations

import time

from tests.acceptance.test_worker import accepted, start_batch, wait_for_accepted, wait_for_end
from tests.chaos.stack import Stack, wait_until

CONNECTIONS = 8
LIMIT = 5
RECIPIENTS = 9000
REFUSED_MAX = 60
"""Refused connections while the relay is crowded, of two lanes for some ten seconds."""

GROW_SECONDS = 30


def open_count(stack: Stack) -> int:
    return stack.smtp.stats()["connections_open"]


def attempts(stack: Stack) -> set[int]:
    with stack.services.connect() as connection:
        rows = connection.execute("SELECT DISTINCT attempts FROM batches_email WHERE status <> 'pending'").fetchall()
    return {row[0] for row in rows}


def test_connections_become_fewer_and_more_again_when_relay_is_crowded(stack: Stack) -> None:
    environment = {"SEND_CONNECTIONS": str(CONNECTIONS), "SEND_LANES": "2"}
    for _ in range(2):
        stack.start_worker(environment=environment, wait=False)
    start_batch(stack, RECIPIENTS, rate=200, max_connections=LIMIT)
    wait_for_accepted(stack, 100)
    counts, crowded_until = [], time.monotonic() + 10
    before = stack.smtp.stats()["accepted"]
    while time.monotonic() < crowded_until:
        counts.append(open_count(stack))
        time.sleep(0.05)  # the pace of the samples
    pace = (stack.smtp.stats()["accepted"] - before) / 10
    refused = stack.smtp.stats()["connections"] - LIMIT
    print(f"crowded: {min(counts)} to {max(counts)} connections, {refused} refused, {pace:.0f} messages/s")  # noqa: T201
    stack.smtp.configure(max_connections=0)
    began = time.monotonic()
    # If the lanes shared the five, each dares one more after ten seconds, then two; one that got none has all at once.
    wait_until(lambda: open_count(stack) > LIMIT + 3, seconds=GROW_SECONDS, what="more connections")
    print(f"uncrowded: {open_count(stack)} connections after {time.monotonic() - began:.1f} s")  # noqa: T201
    stack.smtp.configure(rate=0)
    wait_for_end(stack, RECIPIENTS)
    assert set(accepted(stack).values()) == {1}
    assert attempts(stack) == {1}
    assert max(counts) <= LIMIT + 1  # one is open while it hears its 421
    assert pace > 150  # of the 200 that the relay allows
    assert refused < REFUSED_MAX
