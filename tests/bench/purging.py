"""Measure a purge of a million emails beside a running send: how fast the send is with and without it, and who waits.

The sends take turns with and without the purge, so that a change of the machine's speed affects both. The purge is the
command, in a process of its own, as many times as it takes.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench.machine import wait_for_quiet
from tests.bench.sink import running_sink
from tests.bench.stack import BenchStack
from tests.chaos.stack import ROOT

OLD_EMAILS = 1_000_000
EMAILS = 60_000
LOOK_SECONDS = 0.1

OLD_BATCH = """
WITH batch AS (
  INSERT INTO batches_batch (filename, source, status, columns, address_index, merge_fields, encoding, delimiter,
    has_header, reading, content_digest, total_count, sent_count, failed_count, unknown_count, suppressed_count,
    cancelled_count, rejected_count, duplicate_count, request_digest, completed_at)
  VALUES ('old.csv', 'upload', 'completed', '["email", "name", "city"]', 0, '["name", "city"]', '', '', true, '{}', '',
    %(count)s, %(count)s, 0, 0, 0, 0, 0, 0, '', now() - interval '400 days')
  RETURNING id
)
INSERT INTO batches_email (batch_id, row, address, fields, status, attempts, code, reply, completed_at)
SELECT id, n, 'person' || n || '@mail' || n %% 997 || '.example.com',
       jsonb_build_array('Name ' || n, 'City ' || n %% 100), 'sent', 1, 250, '2.0.0 Ok: queued as ' || md5(n::text),
       now() - interval '400 days'
FROM batch, generate_series(1, %(count)s) n
"""
OLD_ATTEMPTS = """
INSERT INTO batches_attempt (email_id, lane_id, number, outcome, code, reply, relay, at)
SELECT id, 1, 1, 'sent', 250, reply, 'default', completed_at FROM batches_email WHERE reply <> ''
"""
WAITING = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - query_start)), 0)::float8
FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
"""
LONGEST = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8
FROM pg_stat_activity WHERE application_name = 'purge' AND xact_start IS NOT NULL
"""


class _Watch:
    """Looks at PostgreSQL's sessions while the context runs."""

    def __init__(self, bench: BenchStack) -> None:
        self.lock_wait_seconds = self.transaction_seconds = 0.0
        self._bench, self._is_over = bench, threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._look)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join()

    def _look(self) -> None:
        with self._bench.stack.services.connect() as connection:
            while not self._is_over.wait(LOOK_SECONDS):
                [(waited,)] = connection.execute(WAITING).fetchall()
                [(longest,)] = connection.execute(LONGEST).fetchall()
                self.lock_wait_seconds = max(self.lock_wait_seconds, waited)
                self.transaction_seconds = max(self.transaction_seconds, longest)


def measure_purge(bench: BenchStack, *, runs: int) -> dict[str, Any]:
    """Return the speeds of the sends, their ratio, and the longest wait for a lock and transaction of the purge."""
    with bench.stack.services.connect() as connection:
        connection.execute(OLD_BATCH, {"count": OLD_EMAILS})
        connection.execute(OLD_ATTEMPTS)
        connection.execute("VACUUM ANALYZE batches_email")
        connection.execute("CHECKPOINT")
    watch = _Watch(bench)
    speeds: dict[bool, list[float]] = {False: [], True: []}
    with running_sink() as (port, _):
        url = {"EMAIL_URL": f"smtp://127.0.0.1:{port}"}
        for is_purging in [False, True] * runs:
            wait_for_quiet()
            with _purge(bench) if is_purging else _nothing(), watch.running() if is_purging else _nothing():
                speeds[is_purging].append(bench.send(EMAILS, workers=2, environment=url).per_second)
            watch = watch if not is_purging else _again(watch, bench)
    seconds = _finish(bench)
    with bench.stack.services.connect() as connection:
        [(left,)] = connection.execute("SELECT count(*) FROM batches_email WHERE address LIKE 'person%'").fetchall()
    return {
        "per_second": statistics.median(speeds[False]),
        "beside_purge_per_second": statistics.median(speeds[True]),
        "ratio": statistics.median(speeds[True]) / statistics.median(speeds[False]),
        "lock_wait_seconds": watch.lock_wait_seconds,
        "transaction_seconds": watch.transaction_seconds,
        "rest_seconds": seconds,
        "left": left,
    }


def _again(watch: _Watch, bench: BenchStack) -> _Watch:
    following = _Watch(bench)
    following.lock_wait_seconds, following.transaction_seconds = watch.lock_wait_seconds, watch.transaction_seconds
    return following


def _start(bench: BenchStack) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "purge", "--older-than", "30"],
        cwd=ROOT,
        env=bench.stack.environment | {"PGAPPNAME": "purge"},
        stdout=subprocess.DEVNULL,
    )


@contextmanager
def _purge(bench: BenchStack) -> Iterator[None]:
    """Let a purge run. It is ended with the context, and the next one goes on."""
    process = _start(bench)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _finish(bench: BenchStack) -> float:
    """Purge what is left while nothing is sent, and return the seconds that it took."""
    started = time.monotonic()
    process = _start(bench)
    assert process.wait(timeout=600) == 0
    return time.monotonic() - started
