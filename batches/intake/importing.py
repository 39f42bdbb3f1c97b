"""Make a batch of a file, a group of users or a list: one transaction, all or nothing, once for each key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import psycopg.errors
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from batches.files.full_disk import refuse_full_disk
from batches.files.opening import ReadingOptions
from batches.files.reading import CountedRecords
from batches.files.spooling import seekable
from batches.intake.copying import Counts
from batches.intake.errors import IdempotencyConflict
from batches.intake.import_progress import Report
from batches.intake.lists import Recipients, list_layout, list_rows
from batches.intake.loading import load_file, load_group, load_records, load_users
from batches.intake.uploads import keep_upload
from batches.models import Batch, BatchSource

IDEMPOTENCY_CONSTRAINT = "batch_idempotency_key_once"


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The Idempotency-Key header of a request and the SHA-256, in hex, of all that the request asked for."""

    value: str
    request_digest: str


@dataclass(frozen=True, slots=True)
class Imported:
    """The batch that a request stands for, and whether this call made it."""

    batch: Batch
    is_new: bool


def import_csv(
    stream: BinaryIO,
    *,
    filename: str,
    user: User | None,
    key: IdempotencyKey | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    report: Report | None = None,
) -> Imported:
    """Make a draft batch of an uploaded file.

    Encoding and delimiter are found from the file unless they are given. ``report`` is told now and then how
    far it is.

    Raises:
        ListRefused: one of its subclasses, and nothing is kept.
    """
    batch = Batch(created_by=user, filename=_tidy_filename(filename), source=BatchSource.UPLOAD)

    def fill(file: BinaryIO) -> Counts:
        batch.content_digest = keep_upload(batch, file)
        return load_file(batch, file, ReadingOptions(encoding=encoding, delimiter=delimiter), report)

    with refuse_full_disk(), seekable(stream) as file:
        return _import_once(batch, key, fill=lambda: fill(file))


def import_list(recipients: Recipients, *, user: User | None, key: IdempotencyKey | None = None) -> Imported:
    """Make a draft batch of addresses, or of mappings with an "email" and merge fields.

    Raises:
        ListRefused: one of its subclasses, and nothing is kept.
    """
    batch = Batch(created_by=user, filename="List of recipients", source=BatchSource.LIST)
    layout = list_layout(recipients)
    records = CountedRecords(list_rows(recipients, layout))
    with refuse_full_disk():
        return _import_once(batch, key, fill=lambda: load_records(batch, records, layout))


def import_group(group: Group, *, user: User | None, key: IdempotencyKey | None = None) -> Imported:
    """Make a draft batch of a group's active users who have an address, with their names as merge fields.

    Raises:
        ListRefused: one of its subclasses, and nothing is kept.
    """
    batch = Batch(created_by=user, filename=_tidy_filename(group.name), source=BatchSource.USERS)
    with refuse_full_disk():
        return _import_once(batch, key, fill=lambda: load_group(batch, group))


def import_users(users: QuerySet[User], *, user: User | None, key: IdempotencyKey | None = None) -> Imported:
    """Make a draft batch of those of some users who are active and have an address, with the fields of a group's.

    Raises:
        ListRefused: one of its subclasses, and nothing is kept.
    """
    batch = Batch(created_by=user, filename="Selected users", source=BatchSource.USERS)
    with refuse_full_disk():
        return _import_once(batch, key, fill=lambda: load_users(batch, users))


def _import_once(batch: Batch, key: IdempotencyKey | None, *, fill: Callable[[], Counts]) -> Imported:
    """Insert the batch and fill it, unless its key made one before.

    The insert comes first: of identical requests at once all but one wait at the unique constraint, and
    when that one has committed they find its batch (promise 5); if it fails, the next takes its place.
    """
    batch.idempotency_key = key.value if key else None
    batch.request_digest = key.request_digest if key else ""
    with transaction.atomic():
        try:
            with transaction.atomic():
                batch.save(force_insert=True)
        except IntegrityError as exc:
            if key is None or not _is_key_conflict(exc):
                raise
            return Imported(_find_first(batch), is_new=False)
        counts = fill()
        batch.total_count, batch.rejected_count, batch.duplicate_count = counts.total, counts.rejected, counts.duplicate
        batch.save()
    return Imported(batch, is_new=True)


def _is_key_conflict(exc: IntegrityError) -> bool:
    cause = exc.__cause__
    return isinstance(cause, psycopg.errors.UniqueViolation) and cause.diag.constraint_name == IDEMPOTENCY_CONSTRAINT


def _find_first(batch: Batch) -> Batch:
    first = Batch.objects.get(created_by=batch.created_by, idempotency_key=batch.idempotency_key)
    if first.request_digest != batch.request_digest:
        raise IdempotencyConflict(
            "This Idempotency-Key came before with another request. Use a new key for a new request."
        )
    return first


def _tidy_filename(name: str) -> str:
    """The last part of a path, without what can't be shown."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(char for char in last if char.isprintable()).strip()[:255] or "upload.csv"
