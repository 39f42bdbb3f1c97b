"""The function that RQ runs once a day if RETENTION_DAYS is set: purge, in turns, so that mail goes first.

It is enqueued by the sweep. When its turn is over, it enqueues itself again after everything that waits.
"""

from __future__ import annotations

import logging
import time
from functools import partial

from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone

from batches import audit
from batches.delivery import stop
from batches.jobs import queues
from batches.models import Retention
from batches.people.purging import Interrupted, purge, rest_while_sending

logger = logging.getLogger(__name__)

TURN_SECONDS = 5.0
"""How long a purge works before it lets a waiting lane use the worker."""


def purge_in_turns(*, turn: int) -> str:
    """Work on the purge until it is done or its turn is over. Safe to run twice.

    Returns:
        Why it ended, in words, for RQ's log.
    """
    if settings.RETENTION_DAYS <= 0:
        return "RETENTION_DAYS is off"
    try:
        purged = purge(settings.RETENTION_DAYS, rest=partial(_rest, began_at=time.monotonic()))
    except Interrupted:
        queues.enqueue_purge(turn=turn + 1)
        return "another's turn"
    _purge_audit()
    Retention.objects.update(ended_at=Now())
    logger.info("%s", purged, extra={"action": "purge"})
    return str(purged)


def _purge_audit() -> None:
    """Delete the old entries of the audit, which have a retention of their own, if the role of this worker may."""
    try:
        audit.purge_old(timezone.now())
    except audit.RetentionRefused as exc:
        logger.warning("%s", exc)


def _rest(worked_seconds: float, *, began_at: float) -> None:
    """Rest, or end the turn if somebody waits.

    Raises:
        Interrupted: the turn is over, or the worker stops.
    """
    is_turn_over = time.monotonic() - began_at >= TURN_SECONDS and queues.has_other_work()
    if is_turn_over or stop.is_requested():
        raise Interrupted
    rest_while_sending(worked_seconds)
