"""Where a message's time goes, each part measured alone; memory; the queue; and fair turns."""

from __future__ import annotations

import statistics
import time
from typing import Any

from tests.bench import letters
from tests.bench.house import House
from tests.bench.machine import watch
from tests.bench.sink import running_sink

MILLION = 1_000_000
SMALL_JOBS = 7
SMALL_EMAILS = 100
GROUP = 64
"""Emails in one ledger cycle when it is measured alone: about what a lane of window 128 does."""


def measure_split(house: House, *, emails: int, runs: int) -> dict[str, Any]:
    """Processor microseconds of rendering, SMTP and ledger, each alone in a process."""
    with running_sink() as (port, _):
        relay = {"EMAIL_URL": f"smtp://127.0.0.1:{port}"}
        rounds = [_split_once(house, emails, relay) for _ in range(runs)]
    return {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}


def _split_once(house: House, emails: int, relay: dict[str, str]) -> dict[str, float]:
    rendering = house.step("render", emails)
    smtp = house.step("smtp", emails, environment=relay)
    batch_id = house.load(emails)
    with watch(postgres=[house.stack.services.postmaster_pid()]) as spell:
        ledger = house.step("ledger", batch_id, GROUP)
    assert spell.cpu is not None
    return {
        "render_us": rendering["us"],
        "message_bytes": rendering["bytes"],
        "smtp_us": smtp["us"],
        "smtp_per_second": smtp["per_second"],
        "ledger_us": ledger["us"],
        "ledger_per_second": ledger["per_second"],
        "ledger_postgres_us": spell.cpu["postgres"] / emails * 1e6,
    }


def measure_queue(house: House, *, times: int = 20) -> dict[str, Any]:
    """Ringing and picking up, against a PING."""
    ringing = house.step("enqueue", 200)
    with house.workers(1, environment={"EMAIL_URL": house.stack.smtp.url}):
        picking = house.step("pick_up", times)
    return {f"enqueue_{name}" if name == "ping_ms" else name: value for name, value in ringing.items()} | picking


def measure_million(house: House) -> dict[str, Any]:
    """A million through two workers, with seven batches of a hundred pushed in between: memory and turns."""
    with running_sink() as (port, _):
        relay = {"EMAIL_URL": f"smtp://127.0.0.1:{port}"}
        small_ids = [house.load(SMALL_EMAILS) for _ in range(SMALL_JOBS)]
        big_id = house.load(MILLION)
        with house.workers(2, environment=relay) as running:
            lanes = {"SEND_LANES": "8"}  # a job, so up to 64 over the eight jobs
            house.step("start", big_id, environment=lanes)
            time.sleep(5)
            for batch_id in small_ids:
                house.step("start", batch_id, environment=lanes)
            peak = house.await_end(big_id, running, seconds=600)
    took, _ = house.read_end(big_id, MILLION)
    return {
        "per_second": MILLION / took,
        "peak_memory_bytes": peak,
        "small_jobs_seconds": [round(_job_seconds(house, each), 1) for each in small_ids],
    }


def _job_seconds(house: House, batch_id: int) -> float:
    with house.stack.services.connect() as connection:
        row = connection.execute(
            "SELECT extract(epoch FROM completed_at - created_at) FROM batches_emailjob WHERE batch_id = %s", [batch_id]
        ).fetchone()
    assert row is not None
    return float(row[0])


def message_bytes(house: House) -> int:
    """The size of a message of ours, so that smtp-source sends the same."""
    return round(house.step("render", len(letters.NAMES) * 10)["bytes"])
