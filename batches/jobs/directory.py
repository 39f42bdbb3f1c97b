"""What a sweep does for the search for people: it has a worker list the batches that the search does not know yet."""

from __future__ import annotations

from batches.jobs import queues
from batches.models import Batch


def enqueue_if_needed() -> bool:
    """Enqueue a turn of the listing if a batch is not listed and no turn waits, and say whether this call did."""
    return Batch.objects.unlisted().exists() and queues.enqueue_listing(turn=0)
