"""The parts of a lane, each measured alone; then the queue, the memory of a large job, and fair turns."""

from __future__ import annotations

import statistics
import time
from typing import Any

from tests.bench import messages
from tests.bench.machine import measure
from tests.bench.sink import running_sink
from tests.bench.stack import BenchStack

MILLION = 1_000_000
SMALL_JOBS = 7
SMALL_EMAILS = 100
GROUP = 64
"""Emails in one ledger cycle when the ledger is measured alone. A lane with window 128 records about as many."""


def measure_split(bench: BenchStack, *, emails: int, runs: int) -> dict[str, Any]:
    """Return processor microseconds per email of rendering, SMTP and ledger, each alone in a process."""
    with running_sink() as (port, _):
        relay = {"EMAIL_URL": f"smtp://127.0.0.1:{port}"}
        rounds = [_split_once(bench, emails, relay) for _ in range(runs)]
    return {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}


def _split_once(bench: BenchStack, emails: int, relay: dict[str, str]) -> dict[str, float]:
    rendering = bench.step("render", emails)
    smtp = bench.step("smtp", emails, environment=relay)
    batch_id = bench.load(emails)
    with measure(postgres=[bench.stack.services.postmaster_pid()]) as measured:
        ledger = bench.step("ledger", batch_id, GROUP)
    assert measured.cpu is not None
    return {
        "render_us": rendering["us"],
        "message_bytes": rendering["bytes"],
        "smtp_us": smtp["us"],
        "smtp_per_second": smtp["per_second"],
        "ledger_us": ledger["us"],
        "ledger_per_second": ledger["per_second"],
        "ledger_postgres_us": measured.cpu["postgres"] / emails * 1e6,
    }


def measure_queue(bench: BenchStack, *, times: int = 20) -> dict[str, Any]:
    """Measure how long it takes to enqueue a work item and to pick one up, beside a PING."""
    enqueueing = bench.step("enqueue", 200)
    with bench.workers(1, environment={"EMAIL_URL": bench.stack.smtp.url}):
        picking_up = bench.step("pick_up", times)
    return {f"enqueue_{name}" if name == "ping_ms" else name: value for name, value in enqueueing.items()} | picking_up


def measure_million(bench: BenchStack) -> dict[str, Any]:
    """Send a million emails through two workers, and seven small batches beside them: memory and fair turns."""
    with running_sink() as (port, _):
        relay = {"EMAIL_URL": f"smtp://127.0.0.1:{port}"}
        small_ids = [bench.load(SMALL_EMAILS) for _ in range(SMALL_JOBS)]
        big_id = bench.load(MILLION)
        with bench.workers(2, environment=relay) as running:
            lanes = {"SEND_LANES": "8"}  # for each job, so up to 64 lanes over the eight jobs
            bench.step("start", big_id, environment=lanes)
            time.sleep(5)
            for batch_id in small_ids:
                bench.step("start", batch_id, environment=lanes)
            peak = bench.await_end(big_id, running, seconds=600)
    took, _ = bench.read_end(big_id, MILLION)
    return {
        "per_second": MILLION / took,
        "peak_memory_bytes": peak,
        "small_jobs_seconds": [round(_job_seconds(bench, each), 1) for each in small_ids],
    }


def _job_seconds(bench: BenchStack, batch_id: int) -> float:
    with bench.stack.services.connect() as connection:
        row = connection.execute(
            "SELECT extract(epoch FROM completed_at - created_at) FROM batches_emailjob WHERE batch_id = %s", [batch_id]
        ).fetchone()
    assert row is not None
    return float(row[0])


def message_bytes(bench: BenchStack) -> int:
    """Return the mean size of our messages, so that smtp-source can send messages of the same size."""
    mean: float = bench.step("render", len(messages.NAMES) * 10)["bytes"]
    return round(mean)
