"""What a sweep does about old data: it deletes ended sessions, and once a day enqueues the purge (RETENTION_DAYS)."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone

from batches import session_limits
from batches.jobs import queues
from batches.models import Retention, sql

PERIOD = timedelta(hours=24)


def forget_ended_sessions() -> int:
    """Delete the sessions that have ended, whatever RETENTION_DAYS is: anybody can begin one. Returns how many."""
    now = timezone.now()
    return session_limits.forget_ended(now=now) if session_limits.has_ended(now=now) else 0


def enqueue_if_due() -> bool:
    """Enqueue the purge if the last one began a day ago, and say whether this call did.

    The row of Retention is claimed first, so that of many workers one enqueues it. If the work item is lost, the next
    day's purge does its work too.
    """
    if settings.RETENTION_DAYS <= 0:
        return False
    last = Retention.objects.filter(pk=1).first()
    if last is not None and last.began_at > timezone.now() - PERIOD:
        return False
    with connection.cursor() as cursor:
        cursor.execute(sql.BEGIN_RETENTION, {"seconds": PERIOD.total_seconds()})
        is_ours = bool(cursor.rowcount)
    return is_ours and queues.enqueue_purge()
