"""Change a draft: read its file in another way, rename its merge fields, add rows, or discard it.

Each function locks the draft for one transaction and refuses a batch that was sent.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

from django.db import transaction
from django.db.models import Max

from batches import audit
from batches.files.addresses import OR_IN_THE_REVIEW
from batches.files.column_match import MatchedRecords, match_columns
from batches.files.errors import ListRefused
from batches.files.findings import Reading
from batches.files.full_disk import refuse_full_disk
from batches.files.headings import is_merge_field
from batches.files.layout import Layout
from batches.files.opening import OpenedFile, ReadingOptions, open_records
from batches.files.spooling import seekable
from batches.intake import sql
from batches.intake.copying import Counts, raw_cursor
from batches.intake.errors import NotADraft
from batches.intake.loading import append_records, load_file
from batches.intake.no_recipients import refuse_if_no_recipients
from batches.intake.uploads import NOT_STORED, digest_file, reopen_upload
from batches.models import AuditAction, Batch, BatchStatus, EmailStatus, RejectionKind, SharedAddresses
from batches.names import make_key


def reread_upload(batch: Batch, options: ReadingOptions, shared: SharedAddresses | None = None) -> Batch:
    """Read a draft's file again in the way that a person chose, and return the changed draft.

    ``shared`` says what happens to rows that share an address. None leaves the draft's choice as it is. If the columns
    turn out to be the same, the merge fields keep the names that a person gave them.

    Raises:
        ListRefused: the file can't be read in this way, or is no longer stored. The draft stays as it was.
    """
    with refuse_full_disk(), ExitStack() as stack:
        with _lock_draft(batch) as draft:
            file = stack.enter_context(reopen_upload(draft))
        # Opened without the lock, because a spreadsheet may have to wait for a slot.
        opened = stack.enter_context(open_records(file, options, reader=batch.created_by_id))
        with _lock_draft(batch) as draft:
            _load_again(draft, opened, options, shared)
            audit.record(AuditAction.LIST_CHANGE, draft, act="read again", count=draft.total_count)
    return draft


def _load_again(draft: Batch, opened: OpenedFile, options: ReadingOptions, shared: SharedAddresses | None) -> None:
    if not draft.upload_chunks.exists():  # rows were added since
        raise NotADraft(NOT_STORED)
    old_columns = (draft.columns, draft.address_indexes)
    old_names = draft.merge_fields
    draft.shared_addresses = shared or draft.shared_addresses
    _delete_rows(draft)
    counts = load_file(draft, opened, options)
    refuse_if_no_recipients(draft, counts)
    if (draft.columns, draft.address_indexes) == old_columns:
        draft.merge_fields = old_names
    _recount(draft)


def rename_merge_fields(batch: Batch, names: Mapping[str, str]) -> Batch:
    """Rename merge fields of a draft, and return the changed draft. ``names`` maps old names to new ones.

    Raises:
        ListRefused: an old name does not exist, or a new name is taken or can't be used by a template.
    """
    with _lock_draft(batch) as draft:
        unknown = [name for name in names if name not in draft.merge_fields]
        if unknown:
            raise ListRefused(f"The list has no merge field {unknown[0]!r}. It has {', '.join(draft.merge_fields)}.")
        renamed = [names.get(name, name) for name in draft.merge_fields]
        for old_name, name in names.items():
            if name != old_name:
                _check_merge_field(name, renamed)
        draft.merge_fields = renamed
        draft.save(update_fields=["merge_fields"])
        audit.record(AuditAction.LIST_CHANGE, draft, act="rename fields")
    return draft


def append_csv(batch: Batch, stream: BinaryIO) -> tuple[Batch, Counts]:
    """Add the rows of a file to a draft. Return the changed draft, and what became of the rows.

    The file has the columns of the draft, in any order. It may be the draft's own rejected.csv with corrections. Its
    column ``reason`` is ignored. Its column ``line`` names rejected rows of the draft: they are deleted, because the
    corrected rows replace them. A corrected row that is still bad is rejected again, with a new line number, and so is
    a row that the sheet of the draft hides. Line numbers continue after the draft's last. Afterwards the first file
    can't be read in another way any more.

    Raises:
        ListRefused: the file can't be added. The draft stays as it was.
    """
    with (
        refuse_full_disk(),
        seekable(stream) as file,
        open_records(file, ReadingOptions(), reader=batch.created_by_id) as opened,  # without the lock, as in reread
        _lock_draft(batch) as draft,
    ):
        last_line = _last_line(draft)
        match = match_columns(opened.layout, draft.columns)
        records = MatchedRecords(opened.records, match, hidden_lines=_hidden_lines(draft))
        counts = append_records(draft, records, _layout_of(draft), after_line=last_line)
        corrected_duplicates = _delete_corrected(draft, records.corrected_lines, up_to=last_line)
        _recount_findings(draft, corrected_duplicates)
        draft.upload_chunks.all().delete()
        draft.content_digest = hashlib.sha256(f"{draft.content_digest}{digest_file(file)}".encode()).hexdigest()
        _recount(draft)
        audit.record(AuditAction.LIST_CHANGE, draft, act="add rows", added=counts.total, count=draft.total_count)
    return draft, counts


def discard_draft(batch: Batch) -> None:
    """Delete a draft with its rows and its file. Nothing but this and RETENTION_DAYS deletes a draft.

    Raises:
        NotADraft: the batch was sent, so it stays as a record.
    """
    with _lock_draft(batch) as draft:
        audit.record(AuditAction.DISCARD, draft, count=draft.total_count)  # first, while it has an id
        _delete_rows(draft)
        draft.delete()


@contextmanager
def _lock_draft(batch: Batch) -> Iterator[Batch]:
    """Lock the draft, so that nobody else sends or changes it at the same time.

    Raises:
        NotADraft: the batch was sent, or is being purged.
    """
    with transaction.atomic():
        draft = Batch.objects.select_for_update().filter(pk=batch.pk, status=BatchStatus.DRAFT).first()
        if draft is None:
            raise NotADraft("This batch was sent or is being sent, so its list can't be changed. Upload a new one.")
        if draft.purged_at is not None:  # with new rows, a part of its list could be sent meanwhile
            raise NotADraft("This draft is so old that it is being removed. Upload the list again.")
        yield draft


def _delete_rows(draft: Batch) -> None:
    """Delete the rows by SQL, because Django would first fetch all emails to look for their attempts."""
    with raw_cursor() as cursor:
        cursor.execute(sql.DELETE_EMAILS, {"batch": draft.pk})
        cursor.execute(sql.DELETE_REJECTED, {"batch": draft.pk})


def _recount(draft: Batch) -> None:
    draft.total_count = draft.emails.count()
    draft.suppressed_count = draft.emails.filter(status=EmailStatus.SUPPRESSED).count()
    draft.rejected_count = draft.rejected_rows.filter(kind=RejectionKind.INVALID).count()
    draft.duplicate_count = draft.rejected_rows.filter(kind=RejectionKind.DUPLICATE).count()
    draft.save()


def _hidden_lines(draft: Batch) -> array[int]:
    """Return the lines that the sheet of the draft hides, in their order. An array holds each in four bytes."""
    hidden = draft.rejected_rows.filter(kind=RejectionKind.HIDDEN).order_by("line")
    return array("I", hidden.values_list("line", flat=True).iterator())


def _recount_findings(draft: Batch, corrected_duplicates: int) -> None:
    """Count again what the review offers a choice for, because rows of rejected.csv take the places of others."""
    reading = Reading.from_json(draft.reading)
    # Each duplicate is a row that shares its address. The row in its place was counted when it was added.
    reading.shared_count = max(0, reading.shared_count - corrected_duplicates)
    reading.hidden_count = draft.rejected_rows.filter(kind=RejectionKind.HIDDEN).count()
    if reading.split_count and not reading.split_cells:
        reading.split_count = draft.rejected_rows.filter(reason__contains=OR_IN_THE_REVIEW).count()
    draft.reading = reading.to_json()


def _last_line(draft: Batch) -> int:
    last_row = draft.emails.aggregate(last=Max("row"))["last"] or 0  # at least the line
    last_rejected = draft.rejected_rows.aggregate(last=Max("line"))["last"] or 0
    return max(last_row, last_rejected, Reading.from_json(draft.reading).last_line)


def _delete_corrected(draft: Batch, lines: Collection[int], *, up_to: int) -> int:
    """Delete the rejected rows that the added rows correct, and none of the added rows themselves.

    Returns:
        How many of the deleted rows were duplicates.
    """
    with raw_cursor() as cursor:
        cursor.execute(
            sql.DELETE_CORRECTED,
            {"batch": draft.pk, "lines": list(lines), "up_to": up_to, "duplicate": RejectionKind.DUPLICATE},
        )
        [deleted] = sql.DELETE_CORRECTED.rows(cursor.fetchall())
    return deleted.duplicate_count


def _layout_of(draft: Batch) -> Layout:
    return Layout(
        columns=tuple(draft.columns),
        address_indexes=draft.address_indexes,
        merge_fields=tuple(draft.merge_fields),
        has_header=draft.has_header,
        width=len(draft.columns),
    )


def _check_merge_field(name: str, names: Sequence[str]) -> None:
    if not is_merge_field(name):
        raise ListRefused(
            f"A template can't use a merge field named {name!r}. Use letters, digits and underscores, begin with a "
            "letter, and use no word of the template language, such as if or for."
        )
    same = [other for other in names if make_key(other) == make_key(name)]
    if len(same) > 1:
        raise ListRefused(
            f"Two merge fields would be named {same[0]!r} and {same[1]!r}. Give each its own name."
            if same[0] != same[1]
            else f"Two merge fields would be named {name!r}. Give each its own name."
        )
