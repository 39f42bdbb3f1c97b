"""The life of a WebhookDelivery in the database: claimed, recorded, attempted later, given up, and forgotten.

``due -> claimed -> delivered | due later | given up``. A claim is committed before the message is posted. If the sender
dies between the post and the record, the claim runs out, and the same message is posted again under the same id: at
least once, and never lost. Each function opens its own transaction.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from batches import audit
from batches.models import AuditAction, Webhook, WebhookDelivery
from batches.webhooks.posting import Answer

RETRY_SECONDS = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000)
"""The waits between the attempts, as Standard Webhooks proposes them: 5 s, 5 min, 30 min, 2, 5, 10, 14 and 20 h."""

JITTER = 0.1
"""By how much of itself a wait may be longer, so that messages that failed together do not all come back together."""

OUTAGE_SECONDS = (5, 20, 80, 300)
"""How long a Webhook waits after its first, second, third and each later outage in a row. Then one message is tried."""

ASKED_MAX_SECONDS = 3600
"""The longest wait of a whole Webhook for which its receiver may ask: after it, one message finds out."""

CLAIM_SECONDS = 60
"""How long a claim holds. Longer than any attempt takes with its record, so that no second sender has the same one."""

GIVE_UP_AFTER = timedelta(days=3)
"""How old a message may get. The retries take two days and four hours; an outage of the receiver makes it longer."""

KEEP_FOR = timedelta(days=14)
"""How long an ended delivery is kept, for the page that shows the last ones. Its payload may hold an address."""

CHUNK_ROWS = 1000
"""How many rows one transaction of the clean-up changes."""

ERROR_MAX_CHARS = 500

GONE = 410
"""The status by which a receiver says that it wants no more messages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One delivery that this sender may attempt now."""

    id: int
    webhook_id: int
    message_id: str
    payload: dict[str, object]
    attempts: int
    """Including this one."""


def find_due() -> list[Webhook]:
    """Return the Webhooks that have something to send now, in any order, so that none is always the last."""
    due = WebhookDelivery.objects.filter(webhook=OuterRef("pk"), next_attempt_at__lte=Now())
    return list(Webhook.objects.filter(_is_open(), Exists(due)).order_by("?"))


def has_due() -> bool:
    """Whether any Webhook has something to send now. Costs a few index lookups; the sweep asks every two seconds."""
    due = WebhookDelivery.objects.filter(webhook=OuterRef("pk"), next_attempt_at__lte=Now())
    return Webhook.objects.filter(_is_open(), Exists(due)).exists()


def _is_open() -> Q:
    return Q(is_enabled=True) & (Q(waits_until=None) | Q(waits_until__lte=Now()))


def claim(webhook: Webhook, *, limit: int) -> list[Claim]:
    """Claim the deliveries of a Webhook that have been due for the longest. While its receiver is away: only one."""
    with transaction.atomic():
        # SKIP LOCKED: another sender may claim at the same moment.
        due = webhook.deliveries.select_for_update(skip_locked=True).filter(next_attempt_at__lte=Now())
        rows = list(due.order_by("next_attempt_at", "pk")[: 1 if webhook.failure_count else limit])
        WebhookDelivery.objects.filter(pk__in=[row.pk for row in rows]).update(
            attempts=F("attempts") + 1, next_attempt_at=Now() + timedelta(seconds=CLAIM_SECONDS)
        )
    return [
        Claim(
            id=row.pk,
            webhook_id=row.webhook_id,
            message_id=row.message_id,
            payload=row.payload,
            attempts=row.attempts + 1,
        )
        for row in rows
    ]


def record(webhook: Webhook, answers: Sequence[tuple[Claim, Answer]]) -> None:
    """Record what became of claimed deliveries, and whether the receiver is away. Safe to run twice."""
    with transaction.atomic():
        # The Webhook before its deliveries, in the order in which the admin deletes them: so none waits for the other.
        list(Webhook.objects.select_for_update(no_key=True).filter(pk=webhook.pk).values_list("pk"))
        for claimed, answer in answers:
            _record_one(claimed, answer)
        _record_receiver(webhook, [answer for _, answer in answers])


def _record_one(claimed: Claim, answer: Answer) -> None:
    # Not one that somebody else has delivered, claimed again or given up meanwhile.
    row = WebhookDelivery.objects.filter(
        pk=claimed.id, attempts=claimed.attempts, delivered_at=None, next_attempt_at__isnull=False
    )
    if answer.is_success:
        row.update(status=answer.status, error="", delivered_at=Now(), next_attempt_at=None)
        return
    wait = _find_wait(claimed.attempts, answer)
    row.update(
        status=answer.status,
        error=answer.text[:ERROR_MAX_CHARS],
        next_attempt_at=None if wait is None else Now() + wait,
    )


def _find_wait(attempts: int, answer: Answer) -> timedelta | None:
    """Return how long a delivery waits for its next attempt. None: it has had them all."""
    if attempts > len(RETRY_SECONDS):
        return None
    seconds = RETRY_SECONDS[attempts - 1] * (1 + random.uniform(0, JITTER))  # noqa: S311  (no secret)
    asked = min(answer.retry_after_seconds, RETRY_SECONDS[-1])
    return timedelta(seconds=max(seconds, asked))


def _record_receiver(webhook: Webhook, answers: Sequence[Answer]) -> None:
    """Let the whole Webhook wait if its receiver is away, so that one message finds out for all of them."""
    row = Webhook.objects.filter(pk=webhook.pk)
    if any(answer.status == GONE for answer in answers):
        if row.filter(is_enabled=True).update(is_enabled=False):
            audit.record(AuditAction.ADMIN_CHANGE, webhook, act="disable", status=GONE)
    elif answers and all(answer.is_outage for answer in answers):
        usual = OUTAGE_SECONDS[min(webhook.failure_count, len(OUTAGE_SECONDS) - 1)]
        asked = max(answer.retry_after_seconds for answer in answers)
        wait = max(usual, min(asked, ASKED_MAX_SECONDS))
        row.update(failure_count=F("failure_count") + 1, waits_until=Now() + timedelta(seconds=wait))
    else:
        row.exclude(failure_count=0, waits_until=None).update(failure_count=0, waits_until=None)


def rest(webhook: Webhook, *, seconds: float) -> None:
    """Let a Webhook whose receiver is slow wait, because mail waits for the worker. Its next round is a whole one."""
    Webhook.objects.filter(pk=webhook.pk, waits_until=None).update(waits_until=Now() + timedelta(seconds=seconds))


def give_up_old() -> int:
    """Give up the deliveries that are too old, also those of a disabled Webhook. Returns how many."""
    old = WebhookDelivery.objects.filter(next_attempt_at__isnull=False, created_at__lt=Now() - GIVE_UP_AFTER)
    return WebhookDelivery.objects.filter(pk__in=old.order_by().values("pk")[:CHUNK_ROWS]).update(
        next_attempt_at=None, error="It was given up because it could not be delivered for three days."
    )


def forget_old() -> int:
    """Delete the oldest ended deliveries, if they are old enough: some at a time. Returns how many."""
    return _forget_some(Now() - KEEP_FOR)


def forget_ended(before: datetime) -> int:
    """Delete all ended deliveries from before a moment, in chunks. For the purge. Returns how many."""
    total = 0
    while deleted := _forget_some(before):
        total += deleted
    return total


def _forget_some(before: object) -> int:
    old = WebhookDelivery.objects.filter(created_at__lt=before, next_attempt_at=None)
    deleted, _ = WebhookDelivery.objects.filter(pk__in=old.order_by().values("pk")[:CHUNK_ROWS]).delete()
    return deleted


def send_again(deliveries: Sequence[WebhookDelivery]) -> int:
    """Make ended deliveries due again, under their old ids, with all attempts before them. Returns how many."""
    return WebhookDelivery.objects.filter(pk__in=[each.pk for each in deliveries], next_attempt_at=None).update(
        next_attempt_at=Now(), attempts=0, delivered_at=None, created_at=Now()
    )
