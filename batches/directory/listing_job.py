"""The function that RQ runs to list batches for the search for people, in turns, so that mail goes first.

The sweep enqueues it while a batch is not listed. While a lane sends, a turn lists a few thousand rows and ends: the
next sweep goes on.
"""

from __future__ import annotations

import logging
import time

from batches.delivery import stop
from batches.directory.listing import find_unlisted, list_some
from batches.jobs import queues
from batches.models import Lane

logger = logging.getLogger(__name__)

TURN_SECONDS = 5.0
"""How long a turn works before it lets a waiting lane use the worker."""


def list_in_turns(*, turn: int) -> str:
    """List the batches that the search does not know yet, the newest first. Safe to run twice.

    Returns:
        Why it ended, in words, for RQ's log.
    """
    began_at = time.monotonic()
    row_count = 0
    while (batch := find_unlisted()) is not None:
        row_count += list_some(batch.pk)
        if stop.is_requested() or _is_sending():
            return f"{row_count:,} rows; the next sweep goes on"
        if time.monotonic() - began_at >= TURN_SECONDS:
            queues.enqueue_listing(turn=turn + 1)
            return f"{row_count:,} rows; another's turn"
    return f"{row_count:,} rows; all batches are listed"


def _is_sending() -> bool:
    return Lane.objects.filter(job__completed_at=None, lease_until__isnull=False).exists()
