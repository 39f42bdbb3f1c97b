"""Tell the person who waits how far an import is: the importing process writes it to Redis, any web process reads it.

Only a courtesy: nothing depends on it, and while Redis is away nothing is told.
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

REPORT_SECONDS = 0.3
KEPT_SECONDS = 60
"""An import that was killed is forgotten after this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportProgress:
    """How far an import is."""

    rows: int
    """Read so far, good and bad."""
    percent: int
    """Of the file. At 100 the duplicates are settled and the transaction is committed."""


Report = Callable[[ImportProgress], None]


def follow_blocks(blocks: Iterable[Block], *, report: Report, read_share: Callable[[], float]) -> Iterator[Block]:
    """Pass blocks on, and report every now and then; at their end too."""
    rows, reported_at = 0, 0.0
    for block in blocks:
        rows += block.email_count + block.possible_duplicate_count + block.rejected_count
        if time.monotonic() - reported_at >= REPORT_SECONDS:
            report(ImportProgress(rows=rows, percent=min(99, int(100 * read_share()))))
            reported_at = time.monotonic()
        yield block
    report(ImportProgress(rows=rows, percent=100))


def report_to_redis(user_id: int, key: str) -> Report:
    """A report that ``read_import_progress`` finds by the same user and key."""
    name = _name(user_id, key)
    client = redis_client.connect(timeout_seconds=1, retries=0)
    is_away = False

    def report(loading: ImportProgress) -> None:
        nonlocal is_away
        if is_away:
            return
        try:
            client.set(name, json.dumps([loading.rows, loading.percent]), ex=KEPT_SECONDS)
        except RedisError:
            is_away = True  # asked again at each report, a Redis that hangs would hold up the import

    return report


def read_import_progress(user_id: int, key: str) -> ImportProgress | None:
    """How far the import is that a user began with a key; None where nothing is known."""
    found = None
    with suppress(RedisError), redis_client.connect(timeout_seconds=1, retries=0) as client:
        found = cast("bytes | None", client.get(_name(user_id, key)))
    if found is None:
        return None
    rows, percent = json.loads(found)
    return ImportProgress(rows=rows, percent=percent)


def _name(user_id: int, key: str) -> str:
    return f"emailbatch:loading:{user_id}:{hashlib.sha256(key.encode()).hexdigest()}"
