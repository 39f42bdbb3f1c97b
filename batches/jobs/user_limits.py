"""How many recipients and batches one user may send to: at once, and in any 24 hours.

A user and a number of recipients enter. Nothing leaves, or a refusal that says when it is possible again. A job counts
from its creation, whatever became of it: a first send, a replay and a test of one recipient alike. The operator's own
commands are not limited.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection
from django.utils import timezone

from batches.jobs.lifecycle import JobRefused
from batches.models import Batch, EmailJob
from batches.permissions import REFUSALS, Permission, may
from batches.waiting import say_time

DAY = timedelta(hours=24)

LOCK_CLASS = 0x6C696D69
"""The first key of the advisory locks ("limi"). The second is the user's id."""

AnyUser = User | AnonymousUser | None


class LargeListRefused(JobRefused):
    """The list is larger than SEND_LARGE_ABOVE, and the user has no permission for it."""

    http_status = 403
    page_status = 403


class LimitReached(JobRefused):
    """The user has sent as much as one user may in 24 hours."""

    http_status = 429
    page_status = 429

    def __init__(self, sentence: str, *, retry_after_seconds: int | None) -> None:
        super().__init__(sentence)
        self.retry_after_seconds = retry_after_seconds
        """When the same send is possible. None: never, because it is larger than the limit."""


def check_limits(user: AnyUser, count: int) -> None:
    """Refuse a job of so many recipients if it is more than the user may send. Call it before the job is inserted.

    Needs a transaction. Until its end, no other job of this user passes the check: two at the same time can't both use
    what is left of a limit.

    Raises:
        LargeListRefused: the user may not send to so many at once.
        LimitReached: the user has sent too much in the last 24 hours.
    """
    if not isinstance(user, User):
        return
    if settings.USER_DAILY_RECIPIENTS or settings.USER_DAILY_BATCHES:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_CLASS, user.pk % 2**31])
    refusal = find_refusal(user, count)
    if refusal is not None:
        raise refusal


def refuse_used_up(user: AnyUser, *, key: str | None = None) -> None:
    """Refuse before a list is read what even a job of one recipient would be refused for.

    Args:
        key: The idempotency key of the request. A request that comes again is not refused, because its job may exist.

    Raises:
        LimitReached: nothing is left of a limit.
    """
    if key is not None and Batch.objects.filter(created_by=user.pk if user else None, idempotency_key=key).exists():
        return
    refusal = find_refusal(user, 1)
    if isinstance(refusal, LimitReached):
        raise refusal


def find_refusal(user: AnyUser, count: int) -> JobRefused | None:
    """Return why a user may not send to so many recipients now, or None. Takes no lock, so it may change at once."""
    if not isinstance(user, User):
        return None
    if settings.SEND_LARGE_ABOVE and count > settings.SEND_LARGE_ABOVE and not may(user, Permission.SEND_LARGE_BATCH):
        return LargeListRefused(
            f"This is for {count:,} recipients, and from {settings.SEND_LARGE_ABOVE + 1:,} on it needs a permission. "
            f"{REFUSALS[Permission.SEND_LARGE_BATCH]}"
        )
    return _find_daily_refusal(user, count)


def _find_daily_refusal(user: User, count: int) -> LimitReached | None:
    if not (settings.USER_DAILY_BATCHES or settings.USER_DAILY_RECIPIENTS):
        return None
    now = timezone.now()
    jobs = EmailJob.objects.filter(created_by=user, created_at__gt=now - DAY).order_by("created_at", "pk")
    sent = list(jobs.values_list("created_at", "total_count"))
    found = (
        _find_batch_refusal([at for at, _ in sent], now=now),
        _find_recipient_refusal(sent, count, now=now),
    )
    refusals = [refusal for refusal in found if refusal is not None]
    # The one that lasts longest: after the other has ended, it would still be refused.
    return max(refusals, key=_lasts_seconds, default=None)


def _lasts_seconds(refusal: LimitReached) -> float:
    return float("inf") if refusal.retry_after_seconds is None else refusal.retry_after_seconds


def _find_batch_refusal(made_at: Sequence[datetime], *, now: datetime) -> LimitReached | None:
    limit = settings.USER_DAILY_BATCHES
    if not limit or len(made_at) < limit:
        return None
    sent, allowed = _say_times(len(made_at)), f"{_say_times(limit)} {'is' if limit == 1 else 'are'}"
    free_at = made_at[len(made_at) - limit] + DAY  # when fewer than the limit are left in the last 24 hours
    return _refuse(
        f"You have sent {sent} in the last 24 hours, and {allowed} allowed.",
        free_at=free_at,
        now=now,
    )


def _say_times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _find_recipient_refusal(sent: Sequence[tuple[datetime, int]], count: int, *, now: datetime) -> LimitReached | None:
    limit = settings.USER_DAILY_RECIPIENTS
    used = sum(total for _, total in sent)
    if not limit or used + count <= limit:
        return None
    if count > limit:
        return LimitReached(
            f"This is for {count:,} recipients, and you may send to {limit:,} in 24 hours. "
            "Make the list shorter, or ask an administrator to send it.",
            retry_after_seconds=None,
        )
    free_at = now
    for made_at, total in sent:
        if used + count <= limit:
            break
        used -= total
        free_at = made_at + DAY
    already = sum(total for _, total in sent)
    return _refuse(
        f"You have sent to {already:,} recipients in the last 24 hours, and {limit:,} are allowed. "
        f"This is for {count:,} more.",
        free_at=free_at,
        now=now,
    )


def _refuse(sentence: str, *, free_at: datetime, now: datetime) -> LimitReached:
    said = f"{sentence} Try again {say_time(free_at, now=now)}, or ask an administrator."
    return LimitReached(said, retry_after_seconds=max(1, int((free_at - now).total_seconds()) + 1))
