"""Make a batch of a file, a group of users or a list: in one transaction, all or nothing, once for each key.

A file, a group, users or a list enters, with an idempotency key if the caller has one. A draft leaves. With the key of
an earlier request, the batch of that request leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import psycopg.errors
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet

from batches import audit
from batches.files.full_disk import refuse_full_disk
from batches.files.opening import OpenedFile, ReadingOptions, open_records
from batches.files.spooling import seekable
from batches.intake import sql
from batches.intake.copying import Counts
from batches.intake.errors import IdempotencyConflict
from batches.intake.import_progress import Report
from batches.intake.labels import NO_LABEL, Label, keep_printable
from batches.intake.lists import ListRecords, Recipients, list_layout, list_rows
from batches.intake.loading import load_file, load_group, load_records, load_users
from batches.intake.no_recipients import refuse_if_no_recipients
from batches.intake.uploads import store_upload
from batches.models import AuditAction, Batch, BatchSource, SharedAddresses

ANALYZED_FROM = 10_000
"""An import of so many rows changes what the planner should expect of the table, if the table was not much larger."""

IDEMPOTENCY_CONSTRAINT = "batch_idempotency_key_once"


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The Idempotency-Key header of a request, and the SHA-256 in hex of the whole request."""

    value: str
    request_digest: str


@dataclass(frozen=True, slots=True)
class Imported:
    """The batch of a request, and whether this call made it."""

    batch: Batch
    is_new: bool


def import_csv(
    stream: BinaryIO,
    *,
    filename: str,
    user: User | None,
    key: IdempotencyKey | None = None,
    options: ReadingOptions = ReadingOptions(),  # noqa: B008  frozen
    shared: SharedAddresses = SharedAddresses.FIRST,
    label: Label = NO_LABEL,
    report: Report | None = None,
    is_reviewed: bool = False,
) -> Imported:
    """Make a draft of an uploaded file.

    ``report`` receives the import progress several times a second. ``is_reviewed`` says that a person sees the draft
    next, who may choose another reading if this one has no recipients.

    Raises:
        ListRefused: the file can't be used. Nothing is kept.
    """
    batch = label.make_batch(
        user, filename=_tidy_filename(filename), source=BatchSource.UPLOAD, shared_addresses=shared
    )

    def fill(file: BinaryIO, opened: OpenedFile) -> Counts:
        batch.content_digest = store_upload(batch, file)
        return load_file(batch, opened, options, report)

    _set_key(batch, key)
    if key and (earlier := _find_earlier(batch)):
        return Imported(earlier, is_new=False)
    reader = user.pk if user else None
    with refuse_full_disk(), seekable(stream) as file, open_records(file, options, reader=reader) as opened:
        return _import_once(batch, key, fill=lambda: fill(file, opened), is_reviewed=is_reviewed)


def import_list(
    recipients: Recipients,
    *,
    user: User | None,
    key: IdempotencyKey | None = None,
    shared: SharedAddresses = SharedAddresses.FIRST,
    label: Label = NO_LABEL,
) -> Imported:
    """Make a draft of a list of addresses, or of mappings with an "email" and merge fields.

    Raises:
        ListRefused: the list can't be used. Nothing is kept.
    """
    batch = label.make_batch(user, filename="List of recipients", source=BatchSource.LIST, shared_addresses=shared)
    layout = list_layout(recipients)
    records = ListRecords(list_rows(recipients, layout))
    with refuse_full_disk():
        return _import_once(batch, key, fill=lambda: load_records(batch, records, layout))


def import_group(
    group: Group,
    *,
    user: User | None,
    key: IdempotencyKey | None = None,
    shared: SharedAddresses = SharedAddresses.FIRST,
    label: Label = NO_LABEL,
) -> Imported:
    """Make a draft of the active users of a group who have an address. Their names are merge fields.

    Raises:
        ListRefused: the key was used for another request, or the disk is full. Nothing is kept.
    """
    batch = label.make_batch(
        user, filename=_tidy_filename(group.name), source=BatchSource.USERS, shared_addresses=shared
    )
    with refuse_full_disk():
        return _import_once(batch, key, fill=lambda: load_group(batch, group))


def import_users(
    users: QuerySet[User],
    *,
    user: User | None,
    key: IdempotencyKey | None = None,
    shared: SharedAddresses = SharedAddresses.FIRST,
    label: Label = NO_LABEL,
) -> Imported:
    """Make a draft of those of some users who are active and have an address. Merge fields are as for a group.

    Raises:
        ListRefused: the key was used for another request, or the disk is full. Nothing is kept.
    """
    batch = Batch(created_by=user, filename="Selected users", source=BatchSource.USERS, shared_addresses=shared)
    with refuse_full_disk():
        return _import_once(batch, key, fill=lambda: load_users(batch, users))


def _import_once(
    batch: Batch, key: IdempotencyKey | None, *, fill: Callable[[], Counts], is_reviewed: bool = False
) -> Imported:
    """Insert the batch and fill it, unless an earlier request with its key made a batch.

    The insert comes first. Of several identical requests at once, all but one wait at the unique constraint. After
    that one has committed, the others find its batch (promise 5). If it fails, the next one takes its place.
    """
    _set_key(batch, key)
    with transaction.atomic():
        try:
            with transaction.atomic():
                batch.save(force_insert=True)
        except IntegrityError as exc:
            if key is None or not _is_key_conflict(exc):
                raise
            earlier = _find_earlier(batch)
            if earlier is None:
                raise Batch.DoesNotExist from exc  # it was discarded since
            return Imported(earlier, is_new=False)
        counts = fill()
        refuse_if_no_recipients(batch, counts, is_reviewed=is_reviewed)
        batch.total_count, batch.rejected_count, batch.duplicate_count = counts.total, counts.rejected, counts.duplicate
        batch.save()
        audit.record(
            AuditAction.UPLOAD, batch, source=batch.source, count=batch.total_count, rejected=batch.rejected_count
        )
        if batch.total_count >= ANALYZED_FROM:
            transaction.on_commit(partial(_analyze, batch.total_count), robust=True)
    return Imported(batch, is_new=True)


def _analyze(added_count: int) -> None:
    """Collect the statistics of the emails, if the planner knows of less than ten times as many.

    Autovacuum looks once a minute, and by then half of a large batch may be sent. Not within the import's transaction,
    which would keep the lock of the table's statistics. Another import that has it does the same, so it is skipped.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql.KNOWN_EMAIL_COUNT)
        [known] = sql.KNOWN_EMAIL_COUNT.rows(cursor.fetchall())
        if known.email_count < 10 * added_count:
            cursor.execute(sql.ANALYZE_EMAILS)


def _is_key_conflict(exc: IntegrityError) -> bool:
    cause = exc.__cause__
    return isinstance(cause, psycopg.errors.UniqueViolation) and cause.diag.constraint_name == IDEMPOTENCY_CONSTRAINT


def _set_key(batch: Batch, key: IdempotencyKey | None) -> None:
    batch.idempotency_key = key.value if key else None
    batch.request_digest = key.request_digest if key else ""


def _find_earlier(batch: Batch) -> Batch | None:
    """Find the batch of an earlier request with the same key.

    Raises:
        IdempotencyConflict: it was another request.
    """
    earlier = Batch.objects.filter(created_by=batch.created_by, idempotency_key=batch.idempotency_key).first()
    if earlier and earlier.request_digest != batch.request_digest:
        raise IdempotencyConflict("This Idempotency-Key was used for another request. Use a new key for a new request.")
    return earlier


def _tidy_filename(name: str) -> str:
    """Return the last part of a path, without the characters that can't be shown."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return keep_printable(last)[:255] or "upload.csv"
