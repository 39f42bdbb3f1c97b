"""Remove the personal data of what is older than some days, and keep the counts.

A number of days enters. What was removed leaves, as counts. Of a batch that ended before, the addresses, the merge
fields and the replies go; each row stays with its status, code and times. Drafts go as a whole, with their files.

It works beside running sends: each transaction changes some thousand rows and takes a fraction of a second, and while
a lane sends, it rests for several times as long as it has worked. It may be interrupted at any time, and goes on where
it was, because an emptied row is empty.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.contrib.admin.models import LogEntry
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from batches import audit, session_limits
from batches.directory import unlist_rows
from batches.models import (
    AuditAction,
    AuditEntry,
    Batch,
    BatchStatus,
    EmailJob,
    Lane,
    RelayPause,
    UnknownReport,
    UploadChunk,
    WaitingReturn,
)
from batches.people import sql
from batches.people.stores import open_stores
from batches.webhooks.deliveries import forget_ended

CHUNK_ROWS = 2_000
"""How many rows one transaction changes: some 50 ms."""

REST_FACTOR = 8
"""How many times as long as it has worked the purge rests while a lane sends."""

STATEMENT_SECONDS = 10
"""A statement of the purge takes a fraction of a second. One that takes this long waits for somebody, and gives up."""

DRAFT_CHUNKS_MAX = 8
"""How many pieces of 256 KB of a stored file one transaction deletes."""

DAYS_MAX = 36_500
"""Nothing is older. More days would begin before the first year that Python knows."""

Rest = Callable[[float], None]
"""Called after each transaction with the seconds that it took. May raise ``Interrupted``."""


class Interrupted(Exception):
    """The purge is to stop here. What it has done is done; the next one does the rest."""


@dataclass(kw_only=True, slots=True)
class Purged:
    """What a purge has removed, as counts by kind."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, count: int) -> None:
        if count:
            self.counts[kind] = self.counts.get(kind, 0) + count

    def __str__(self) -> str:
        if not self.counts:
            return "Nothing was old enough to be removed."
        return "Removed: " + ", ".join(f"{kind} {count:,}" for kind, count in self.counts.items()) + "."


def rest_while_sending(worked_seconds: float) -> None:
    """Rest after a transaction, so that the lanes keep the processor and the disk for themselves."""
    is_sending = Lane.objects.filter(job__completed_at=None, lease_until__isnull=False).exists()
    if is_sending:
        time.sleep(worked_seconds * REST_FACTOR)


def purge(days: int, *, rest: Rest = rest_while_sending, now: datetime | None = None) -> Purged:
    """Remove the personal data of everything that ended, or was left, more than some days ago. Safe to run twice.

    Raises:
        Interrupted: ``rest`` raised it.
    """
    before = (now or timezone.now()) - timedelta(days=min(days, DAYS_MAX))
    purged = Purged()
    # The sessions that have ended are of no use to anybody, however young they are.
    purged.add("sessions", session_limits.forget_ended(now=now or timezone.now()))
    for batch in _find_ended(before):
        _purge_batch(batch, purged, rest)
    for draft in _find_drafts(before):
        _purge_draft(draft, purged, rest)
    _purge_rest(before, purged)
    for store in open_stores():
        purged.add(store.name, store.purge(before))
    if purged.counts:
        audit.record(AuditAction.PURGE, days=days, removed=purged.counts)
    return purged


def _find_ended(before: datetime) -> Iterator[Batch]:
    """Yield the batches that ended before a moment and still have their data, the oldest first."""
    live = EmailJob.objects.filter(batch=OuterRef("pk"), completed_at=None)
    ended = Batch.objects.filter(~Exists(live), completed_at__lt=before, is_emptied=False)
    yield from ended.order_by("pk").iterator()


def _find_drafts(before: datetime) -> QuerySet[Batch]:
    """Find the drafts that were left before a moment. One that somebody took back since was scheduled until then."""
    taken_back = AuditEntry.objects.filter(batch_id=OuterRef("pk"), action=AuditAction.WITHDRAW, at__gte=before)
    drafts = Batch.objects.filter(~Exists(taken_back), status=BatchStatus.DRAFT, created_at__lt=before)
    return drafts.order_by("pk")


def _purge_batch(batch: Batch, purged: Purged, rest: Rest) -> None:
    if not _begin(batch):
        return
    blank = json.dumps([""] * len(batch.merge_fields))
    after_row = -1
    while (end_row := _find_end(batch, after_row)) is not None:
        values = {"batch": batch.pk, "after_row": after_row, "end_row": end_row, "blank": blank}
        with _one_step(rest):
            unlist_rows(batch.pk, after_row=after_row, end_row=end_row)
            [emptied] = sql.fetch(sql.PURGE_EMAILS, values)
        purged.add("emails", emptied.email_count)
        after_row = end_row
    _repeat(sql.PURGE_REJECTED, batch, rest, count=lambda count: purged.add("rejected rows", count))
    with _one_step(rest):
        # What was found in the file has samples of its words.
        Batch.objects.filter(pk=batch.pk).update(is_emptied=True, reading={})
        batch.jobs.update(last_error="", accepted_refusal="")
    purged.add("batches", 1)


def _begin(batch: Batch) -> bool:
    """Note that a batch is purged, unless somebody has begun a replay. From then on no replay of it begins."""
    with transaction.atomic():
        locked = Batch.objects.select_for_update().get(pk=batch.pk)
        if locked.jobs.filter(completed_at=None).exists():
            return False
        locked.purged_at = locked.purged_at or timezone.now()
        locked.save(update_fields=["purged_at"])
    return True


def _find_end(batch: Batch, after_row: int) -> int | None:
    """Return the last of the next rows of a batch, or None at its end. Rows may have gaps between them."""
    [last] = sql.fetch(sql.NEXT_ROWS, {"batch": batch.pk, "after_row": after_row, "rows": CHUNK_ROWS})
    return last.row


def _purge_draft(draft: Batch, purged: Purged, rest: Rest) -> None:
    """Delete a draft, piece by piece. Its count is 0 first, so nobody can send a part of its list meanwhile."""
    with transaction.atomic():
        locked = Batch.objects.select_for_update().filter(pk=draft.pk, status=BatchStatus.DRAFT).first()
        if locked is None:
            return
        locked.total_count, locked.purged_at = 0, timezone.now()
        locked.save(update_fields=["total_count", "purged_at"])
    _repeat(sql.DELETE_SOME_EMAILS, draft, rest)
    _repeat(sql.DELETE_SOME_REJECTED, draft, rest)
    numbers = list(draft.upload_chunks.order_by("number").values_list("number", flat=True))
    for first in range(0, len(numbers), DRAFT_CHUNKS_MAX):
        with _one_step(rest):
            UploadChunk.objects.filter(batch=draft, number__in=numbers[first : first + DRAFT_CHUNKS_MAX]).delete()
    Batch.objects.filter(pk=draft.pk, status=BatchStatus.DRAFT).delete()
    purged.add("drafts", 1)


def _repeat(statement: str, batch: Batch, rest: Rest, *, count: Callable[[int], None] = lambda count: None) -> None:
    """Run a statement that changes some rows of a batch until it changes none."""
    while True:
        with _one_step(rest):
            changed = sql.execute(statement, {"batch": batch.pk, "rows": CHUNK_ROWS})
        if not changed:
            return
        count(changed)


def _purge_rest(before: datetime, purged: Purged) -> None:
    """Remove what is small.

    That is the messages of webhooks, those that came back and were not understood, ended pauses of relays, which quote
    replies, and addresses in the log.
    """
    purged.add("webhook messages", forget_ended(before))
    purged.add("messages that nobody understood", UnknownReport.objects.filter(received_at__lt=before).delete()[0])
    purged.add("relay pauses", RelayPause.objects.filter(until__lt=before).delete()[0])
    purged.add("returns of unknown emails", WaitingReturn.objects.filter(received_at__lt=before).delete()[0])
    rows_of_people = LogEntry.objects.filter(
        action_time__lt=before, content_type__app_label="batches", content_type__model__in=("email", "rejectedrow")
    )
    purged.add("entries of the admin's log", rows_of_people.exclude(object_repr="").update(object_repr=""))


@contextmanager
def _one_step(rest: Rest) -> Iterator[None]:
    """Run one short transaction, and rest after it."""
    began_at = time.monotonic()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'")
        yield
    rest(time.monotonic() - began_at)
