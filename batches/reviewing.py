"""What a person should know of a draft before it is sent. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone

from batches.intake import sql
from batches.models import Batch, Email, EmailJob, Lane
from batches.rendering.template import MessageParts, make_context

FIRST_ROWS = 10
SAME_CONTENT_SECONDS = 24 * 60 * 60
DEFAULT_RATE_PER_SECOND = 500.0
"""Until a first job has shown what the relay takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewRow:
    """One of the first rows, with its merge fields by name."""

    row: int
    address: str
    fields: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """A draft and a template, held against each other."""

    total_count: int
    rejected_count: int
    duplicate_count: int
    smtputf8_count: int
    """Addresses with letters beyond ASCII before the @, which not every relay takes."""
    first_rows: tuple[ReviewRow, ...]
    missing_fields: tuple[str, ...]
    """Merge fields of the template that the list doesn't have."""
    blank_counts: dict[str, int]
    """For each merge field of the template that some rows leave blank, how many do."""
    same_content_at: datetime | None
    """When a file with the same content was last sent, if that was within a day."""
    same_content_batch_id: int | None
    duration_seconds: float
    """Roughly, at the rate of the last job."""


def review(batch: Batch, parts: MessageParts, *, now: datetime | None = None) -> Review:
    """Compare a draft with the message parts that would be sent to it. Scans the emails of the batch once.

    Raises:
        TemplateFault: The parts can't be compiled.
    """
    needed = parts.compile().merge_fields - {"email"}
    blank_counts, smtputf8_count = _count_blanks(batch, [name for name in batch.merge_fields if name in needed])
    same = _find_same_content(batch, since=(now or timezone.now()) - timedelta(seconds=SAME_CONTENT_SECONDS))
    return Review(
        total_count=batch.total_count,
        rejected_count=batch.rejected_count,
        duplicate_count=batch.duplicate_count,
        smtputf8_count=smtputf8_count,
        first_rows=_first_rows(batch),
        missing_fields=tuple(sorted(needed - set(batch.merge_fields))),
        blank_counts=blank_counts,
        same_content_at=same.created_at if same else None,
        same_content_batch_id=same.batch_id if same else None,
        duration_seconds=batch.total_count / _recent_rate(),
    )


def _first_rows(batch: Batch) -> tuple[ReviewRow, ...]:
    return tuple(_review_row(batch, email) for email in batch.emails.order_by("row")[:FIRST_ROWS])


def _review_row(batch: Batch, email: Email) -> ReviewRow:
    context = make_context(batch.merge_fields, email.fields, address=email.address)
    fields = {name: context[name] for name in batch.merge_fields}
    return ReviewRow(row=email.row, address=email.address, fields=fields)


def _count_blanks(batch: Batch, names: list[str]) -> tuple[dict[str, int], int]:
    """How many rows leave each merge field blank (only those that do), and how many need SMTPUTF8."""
    indexes = [batch.merge_fields.index(name) for name in names]
    counted = [sql.COUNT_BLANK] * len(indexes)
    with connection.cursor() as cursor:
        cursor.execute(sql.COUNT_ODD.format(blanks="".join(counted)), [*indexes, batch.pk])
        smtputf8_count, *blanks = cursor.fetchone()
    return {name: count for name, count in zip(names, blanks, strict=True) if count}, smtputf8_count


def _find_same_content(batch: Batch, *, since: datetime) -> EmailJob | None:
    """The last job that sent a file with the same content."""
    if not batch.content_digest:
        return None
    jobs = EmailJob.objects.filter(batch__content_digest=batch.content_digest, created_at__gte=since)
    return jobs.exclude(batch=batch).order_by("-created_at").first()


def _recent_rate() -> float:
    """Messages a second: of the last job whose lanes noted one, no more than SEND_RATE."""
    last = Lane.objects.filter(rate_per_second__gt=0).order_by("-job_id").first()
    lanes = Lane.objects.filter(job_id=last.job_id) if last else Lane.objects.none()
    rate = sum(lane.rate_per_second for lane in lanes) or DEFAULT_RATE_PER_SECOND
    return min(rate, settings.SEND_RATE) if settings.SEND_RATE else rate
