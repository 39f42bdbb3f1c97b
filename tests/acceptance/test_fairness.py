"""Sixty-four lanes of eight jobs on two workers: a very long list does not hold up seven lists of a hundred.

``make bench ARGS=--million`` measures the same with a million emails.
"""

from __future__ import annotations

import time

import psycopg

from batches.models import BatchStatus, JobStatus
from tests.acceptance.test_worker import wait_for_accepted
from tests.chaos.stack import Stack, wait_until
from tests.chaos.trial import write_recipients

LANES = 8
ENVIRONMENT = {"SEND_LANES": str(LANES), "SEND_WINDOW": "12"}
BIG, SMALL, SMALL_JOBS = 600_000, 100, 7
TURNS_MAX = 3
"""How many turns each lane of the big list may have until the small lists are done: one that runs, one that waits in
the queue before the small lists, and one to spare."""

DONE_SECONDS = 120
"""How long to wait for the small lists. Without turns they would wait for the whole big list."""

GROW = """
INSERT INTO batches_email (batch_id, row, address, fields)
SELECT %(batch)s, row, 'big' || row || '@example.org', '["Ann", "Town", "C1"]'
FROM generate_series(%(first)s, %(last)s) row
"""


def load(stack: Stack, name: str) -> int:
    addresses = [f"{name}-{number}@example.org" for number in range(SMALL)]
    return stack.send_batch(write_recipients(stack.folder / f"{name}.csv", addresses))


def grow(connection: psycopg.Connection, batch_id: int) -> None:
    """Make a loaded batch big."""
    connection.execute(GROW, {"batch": batch_id, "first": SMALL + 2, "last": BIG + 1})
    connection.execute("UPDATE batches_batch SET total_count = %s WHERE id = %s", [BIG, batch_id])
    connection.execute("UPDATE batches_emailjob SET total_count = %s WHERE batch_id = %s", [BIG, batch_id])
    connection.execute("ANALYZE batches_email")


def move_jobs(connection: psycopg.Connection, batch_ids: list[int], status: JobStatus) -> None:
    connection.execute("UPDATE batches_emailjob SET status = %s WHERE batch_id = ANY(%s)", [status.value, batch_ids])


def read_ends(connection: psycopg.Connection, batch_ids: list[int]) -> dict[int, float]:
    """Return the Unix time at which each completed batch ended."""
    rows = connection.execute(
        "SELECT id, extract(epoch FROM completed_at)::float8 FROM batches_batch WHERE id = ANY(%s) AND status = %s",
        [batch_ids, BatchStatus.COMPLETED.value],
    )
    return dict(rows.fetchall())


def count_lane_runs(connection: psycopg.Connection, batch_id: int) -> float:
    """Count the lane runs of a batch's job: a lane's token rises when it is acquired and when it is given back."""
    row = connection.execute(
        "SELECT sum(token) / 2.0 FROM batches_lane l JOIN batches_emailjob j ON j.id = l.job_id WHERE j.batch_id = %s",
        [batch_id],
    ).fetchone()
    assert row is not None
    return float(row[0])


def test_small_lists_are_done_soon_when_a_very_long_one_is_being_sent(stack: Stack) -> None:
    stack.environment |= ENVIRONMENT
    big, *small = [load(stack, name) for name in ("big", *(f"small{number}" for number in range(SMALL_JOBS)))]
    with stack.services.connect() as connection:
        move_jobs(connection, small, JobStatus.PAUSED)
        grow(connection, big)
        assert connection.execute("SELECT count(*) FROM batches_lane").fetchone() == (LANES * (1 + SMALL_JOBS),)
        for _ in range(2):
            stack.start_worker(wait=False)
        wait_for_accepted(stack, 1000)
        move_jobs(connection, small, JobStatus.QUEUED)
        runs_before, began = count_lane_runs(connection, big), time.time()
        wait_until(
            lambda: len(read_ends(connection, small)) == SMALL_JOBS,
            seconds=DONE_SECONDS,
            what="the small lists to be done",
        )
        runs = count_lane_runs(connection, big) - runs_before
        ends = sorted(ended - began for ended in read_ends(connection, small).values())
        sent = stack.smtp.stats()["accepted"]
        print("small lists done after", ", ".join(f"{seconds:.1f}" for seconds in ends), f"s; {sent} sent")  # noqa: T201
        assert runs <= TURNS_MAX * LANES
        assert read_ends(connection, [big]) == {}
        wait_for_accepted(stack, sent + 1000)  # The big list goes on.
        assert stack.smtp.stats()["accepted"] < BIG
