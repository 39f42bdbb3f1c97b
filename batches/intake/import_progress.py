"""Show a waiting person how much of a file has been read: the import writes it to Redis, the web processes read it.

Nothing depends on it. While Redis is away, the import goes on and nobody sees its progress.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from redis.exceptions import RedisError

from batches import redis_client
from batches.intake.rows import Block

REPORT_INTERVAL_SECONDS = 0.3
KEPT_SECONDS = 60
"""How long Redis keeps the last report. The progress of an import that was killed is forgotten after this time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportProgress:
    """How much of an uploaded file has been read."""

    rows: int
    """How many rows were read, good and bad."""
    percent: int
    """The share of the file. At 100, PostgreSQL resolves the possible duplicates and commits the transaction."""


Report = Callable[[ImportProgress], None]


def report_progress(blocks: Iterable[Block], *, report: Report, fraction_read: Callable[[], float]) -> Iterator[Block]:
    """Pass blocks on, and report at each REPORT_INTERVAL_SECONDS and at the end."""
    rows, reported_at = 0, 0.0
    for block in blocks:
        rows += block.email_count + block.possible_duplicate_count + block.rejected_count
        if time.monotonic() - reported_at >= REPORT_INTERVAL_SECONDS:
            report(ImportProgress(rows=rows, percent=min(99, int(100 * fraction_read()))))
            reported_at = time.monotonic()
        yield block
    report(ImportProgress(rows=rows, percent=100))


def report_to_redis(user_id: int, key: str) -> Report:
    """Return a function that reports to Redis, where ``read_import_progress`` finds it by the same user and key."""
    name = _make_name(user_id, key)
    client = redis_client.connect(timeout_seconds=1, retries=0)
    is_away = False

    def report(progress: ImportProgress) -> None:
        nonlocal is_away
        if is_away:
            return
        try:
            client.set(name, json.dumps([progress.rows, progress.percent]), ex=KEPT_SECONDS)
        except RedisError:
            is_away = True  # Redis is not asked again, because a Redis that hangs would delay the import at each report

    return report


def read_import_progress(user_id: int, key: str) -> ImportProgress | None:
    """Return the progress of the import that a user began with a key; None if nothing is known of it."""
    value = None
    with suppress(RedisError), redis_client.connect(timeout_seconds=1, retries=0) as client:
        value = cast("bytes | None", client.get(_make_name(user_id, key)))
    if value is None:
        return None
    rows, percent = json.loads(value)
    return ImportProgress(rows=rows, percent=percent)


def _make_name(user_id: int, key: str) -> str:
    return f"emailbatch:import-progress:{user_id}:{hashlib.sha256(key.encode()).hexdigest()}"
