"""Read a batch's counts and tell the browsers: full snapshots, never deltas. The only publisher."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

from asgiref.sync import async_to_sync, sync_to_async
from channels.layers import get_channel_layer
from django.db import connection
from redis.exceptions import RedisError

from batches.models import sql

logger = logging.getLogger(__name__)

STAFF_GROUP = "batches.staff"
"""The channel group of staff, who watch every batch."""

EVENT_TYPE = "batch.changed"
"""The channel layer's message is ``{"type": EVENT_TYPE, "snapshot": Snapshot}``."""


class Snapshot(TypedDict):
    """What a websocket message and a server-sent event carry (DESIGN.md section 9).

    ``sequence`` is the database's clock in microseconds: a snapshot with a lower one is older.
    """

    batchId: int
    status: str
    processed: int
    total: int
    sent: int
    failed: int
    unknown: int
    suppressed: int
    pending: int
    ratePerSecond: float
    etaSeconds: float | None
    sequence: int


def batch_group(batch_id: int) -> str:
    """The channel group of those who watch one batch."""
    return f"batch.{batch_id}"


def owner_group(user_id: int | None) -> str:
    """The channel group of those who watch all batches of one user."""
    return f"batches.{user_id or 0}"


def make_snapshot(row: Sequence[Any]) -> tuple[Snapshot, int | None]:
    """The snapshot in a row of ``sql.SNAPSHOTS``, and the id of the batch's owner."""
    batch_id, status, total, sent, failed, unknown, suppressed, cancelled, rate, sequence, owner = row
    processed = min(sent + failed + unknown + suppressed + cancelled, total)
    pending = total - processed
    snapshot = Snapshot(
        batchId=batch_id,
        status=status,
        processed=processed,
        total=total,
        sent=sent,
        failed=failed,
        unknown=unknown,
        suppressed=suppressed,
        pending=pending,
        ratePerSecond=round(rate, 1),
        etaSeconds=round(pending / rate, 1) if rate > 0 else None,
        sequence=sequence,
    )
    return snapshot, owner


def read_snapshots(batch_ids: Iterable[int]) -> dict[int, Snapshot]:
    """The snapshots of those batches that exist, by id."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SNAPSHOTS, {"batches": list(batch_ids)})
        return {row[0]: make_snapshot(row)[0] for row in cursor.fetchall()}


def read_snapshot(batch_id: int) -> Snapshot | None:
    """One batch's snapshot, or None if there is no such batch."""
    return read_snapshots([batch_id]).get(batch_id)


async def aread_snapshot(batch_id: int) -> Snapshot | None:
    """``read_snapshot`` for a coroutine; the caller closes its thread's connection as Channels does."""
    return await sync_to_async(read_snapshot)(batch_id)


async def apublish(snapshot: Snapshot, owner_id: int | None) -> None:
    """Send a snapshot to all who watch the batch. A Redis that is away costs only this message."""
    layer = get_channel_layer()
    message = {"type": EVENT_TYPE, "snapshot": snapshot}
    try:
        for group in (batch_group(snapshot["batchId"]), owner_group(owner_id), STAFF_GROUP):
            await layer.group_send(group, message)
    except (RedisError, OSError) as exc:
        logger.warning("The progress of batch %s was not published: %s", snapshot["batchId"], exc)


def publish(batch_id: int) -> None:
    """Read one batch's snapshot and send it; from code without an event loop. Takes about 3 ms."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SNAPSHOTS, {"batches": [batch_id]})
        row = cursor.fetchone()
    if row is not None:
        async_to_sync(apublish)(*make_snapshot(row))
