"""Read a batch's counts and tell the browsers: full snapshots, never deltas. The only publisher."""

from __future__ import annotations

from typing import TypedDict


class Snapshot(TypedDict):
    """What a websocket message and a server-sent event carry (DESIGN.md section 9)."""

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


STAFF_GROUP = "batches.staff"
"""The channel group of staff, who watch every batch."""

EVENT_TYPE = "batch.changed"
"""The channel layer's message is ``{"type": EVENT_TYPE, "snapshot": Snapshot}``."""
