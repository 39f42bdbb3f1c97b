"""What is known of the emails of a large batch that were left out on purpose: suppressed, or cancelled with their job.

A batch and its snapshot enter. The reasons leave, and where in the list those emails are. No index holds the status of
an email, so they are found by reading the whole batch. That happens once after the end of a job, and the batch's row
keeps the answer. Where it is missing, the first reader pays for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from batches.models import Batch, EmailJob, EmailStatus, sql
from batches.progress import Snapshot, read_snapshot
from batches.suppressions import find_reason

SMALL_ROWS: Final = 20_000
"""A batch of so many emails is read each time."""

ROWS_KEPT: Final = 1_000
"""The rows of so many suppressed emails are kept at most. If there are more, the next fifty are near in the list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """The emails of a batch that were left out."""

    reasons: dict[str, int]
    """How many were suppressed by reason, the most frequent first. Empty reason: nobody knows it any more."""
    suppressed_rows: list[int] | None
    """The rows of the suppressed emails. None: there are too many."""
    suppressed_from: int
    """No suppressed email has a lower row. 0: there is none."""
    cancelled_from: int


def read_left_out(batch: Batch, now: Snapshot) -> LeftOut:
    """Return what is known of the emails that were left out, as the snapshot counts them."""
    if batch.total_count <= SMALL_ROWS:
        return _make(_read(batch.pk))
    key = _make_key(batch.pk, now)
    kept = batch.left_out or {}
    if kept.get("key") != key:
        kept = _remember(batch.pk, key)
    return _make(kept["groups"])


def remember_left_out(batch_id: int) -> None:
    """Keep the answer for a large batch whose job has ended, so that no reader waits for it. Needs no lock."""
    now = read_snapshot(batch_id)
    if now and now["total"] > SMALL_ROWS and (now["suppressed"] or now["cancelled"]):
        _remember(batch_id, _make_key(batch_id, now))


def _make_key(batch_id: int, now: Snapshot) -> list[int]:
    """Return what changes if other emails are left out: within one job there are only ever more of them."""
    job_id = EmailJob.objects.filter(batch=batch_id).order_by("-pk").values_list("pk", flat=True).first()
    return [job_id or 0, now["suppressed"], now["cancelled"]]


def _remember(batch_id: int, key: list[int]) -> dict[str, Any]:
    kept = {"key": key, "groups": _read(batch_id)}
    Batch.objects.filter(pk=batch_id).update(left_out=kept)
    return kept


def _read(batch_id: int) -> list[list[Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql.LEFT_OUT, {"batch": batch_id, "rows_max": ROWS_KEPT + 1})
        groups = sql.LEFT_OUT.rows(cursor.fetchall())
    return [
        [each.status, find_reason(each.reply), each.email_count, each.first_row, each.rows or []] for each in groups
    ]


def _make(groups: list[list[Any]]) -> LeftOut:
    reasons: dict[str, int] = {}
    rows: list[int] = []
    first = {EmailStatus.SUPPRESSED.value: 0, EmailStatus.CANCELLED.value: 0}
    for status, reason, count, first_row, some_rows in groups:
        first[status] = min(first[status] or first_row, first_row)
        if status == EmailStatus.SUPPRESSED:
            reasons[reason] = reasons.get(reason, 0) + count
            rows += some_rows
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return LeftOut(
        reasons=dict(ordered),
        suppressed_rows=rows if sum(reasons.values()) <= ROWS_KEPT else None,
        suppressed_from=first[EmailStatus.SUPPRESSED],
        cancelled_from=first[EmailStatus.CANCELLED],
    )
