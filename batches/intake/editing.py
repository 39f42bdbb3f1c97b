"""Change a draft: read its file another way, rename its merge fields, add mended or further rows.

Each function locks the draft for one transaction and leaves it alone once it was sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from django.db import transaction
from django.db.models import Max

from batches.files.column_match import MatchedRecords, match_columns
from batches.files.dialect import Layout
from batches.files.errors import ListRefused
from batches.files.full_disk import refuse_full_disk
from batches.files.headings import is_merge_field
from batches.files.opening import ReadingOptions, open_records
from batches.files.spooling import seekable
from batches.intake import sql
from batches.intake.copying import Counts, raw_cursor
from batches.intake.errors import NotADraft
from batches.intake.loading import append_records, load_file
from batches.intake.uploads import digest_file, reopen_upload
from batches.models import Batch, BatchStatus, RejectionKind


def reread_upload(
    batch: Batch,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    has_header: bool | None = None,
    address_index: int | None = None,
) -> Batch:
    """Read a draft's file again; what is None is found from the file. Return the changed draft.

    Merge fields keep the names that a person gave them where the columns turn out to be the same.

    Raises:
        ListRefused: and the draft stays as it was.
    """
    choices = ReadingOptions(encoding=encoding, delimiter=delimiter, has_header=has_header, address_index=address_index)
    with refuse_full_disk(), _locked(batch) as draft, reopen_upload(draft) as file:
        known = (draft.columns, draft.address_index)
        names = draft.merge_fields
        _empty(draft)
        load_file(draft, file, choices)
        if (draft.columns, draft.address_index) == known:
            draft.merge_fields = names
        _recount(draft)
    return draft


def rename_merge_fields(batch: Batch, names: Mapping[str, str]) -> Batch:
    """Give merge fields of a draft other names, from old to new. Return the changed draft.

    Raises:
        ListRefused: if a name is unknown, taken, or none that a template can use.
    """
    with _locked(batch) as draft:
        unknown = [name for name in names if name not in draft.merge_fields]
        if unknown:
            raise ListRefused(f"The list has no merge field {unknown[0]!r}. It has {', '.join(draft.merge_fields)}.")
        renamed = [names.get(name, name) for name in draft.merge_fields]
        for name in renamed:
            _check_merge_field(name, renamed)
        draft.merge_fields = renamed
        draft.save(update_fields=["merge_fields"])
    return draft


def append_csv(
    batch: Batch, stream: BinaryIO, *, encoding: str | None = None, delimiter: str | None = None
) -> tuple[Batch, Counts]:
    """Add the rows of a file to a draft. Return the changed draft, and what became of the rows.

    The file has the draft's columns, in any order. It may be the draft's own rejected.csv, mended: its
    column ``reason`` is ignored, and a rejected row whose number stands in its column ``line`` is taken
    off the draft, for the mended row stands for it (and is rejected anew if it is still bad). Line numbers
    go on from the draft's last. After this the first file can't be read again another way.

    Raises:
        ListRefused: and the draft stays as it was.
    """
    with refuse_full_disk(), seekable(stream) as file, _locked(batch) as draft:
        with open_records(file, ReadingOptions(encoding=encoding, delimiter=delimiter)) as opened:
            last_line = _last_line(draft)
            match = match_columns(opened.layout, draft.columns)
            records = MatchedRecords(opened.records, match)
            counts = append_records(draft, records, _layout(draft), after_line=last_line)
            _drop_corrected(draft, records.corrected_lines, up_to=last_line)
        draft.upload_chunks.all().delete()
        draft.content_digest = hashlib.sha256(f"{draft.content_digest}{digest_file(file)}".encode()).hexdigest()
        _recount(draft)
    return draft, counts


def discard_draft(batch: Batch) -> None:
    """Delete a draft with its rows and its file. A draft is never deleted by itself, however old it is.

    Raises:
        NotADraft: the batch was sent, so it stays for the record.
    """
    with _locked(batch) as draft:
        _empty(draft)
        draft.delete()


@contextmanager
def _locked(batch: Batch) -> Iterator[Batch]:
    """Hold the draft, so that it is neither sent nor changed by another meanwhile."""
    with transaction.atomic():
        draft = Batch.objects.select_for_update().filter(pk=batch.pk, status=BatchStatus.DRAFT).first()
        if draft is None:
            raise NotADraft("This batch was sent or is being sent, so its list can't be changed. Upload a new one.")
        yield draft


def _empty(draft: Batch) -> None:
    """Delete the rows in the database alone: Django would fetch all emails, to look for their attempts."""
    with raw_cursor() as cursor:
        cursor.execute(sql.DELETE_EMAILS, {"batch": draft.pk})
        cursor.execute(sql.DELETE_REJECTED, {"batch": draft.pk})


def _recount(draft: Batch) -> None:
    draft.total_count = draft.emails.count()
    draft.rejected_count = draft.rejected_rows.filter(kind=RejectionKind.INVALID).count()
    draft.duplicate_count = draft.rejected_rows.filter(kind=RejectionKind.DUPLICATE).count()
    draft.save()


def _last_line(draft: Batch) -> int:
    last_row = draft.emails.aggregate(last=Max("row"))["last"] or 0
    last_rejected = draft.rejected_rows.aggregate(last=Max("line"))["last"] or 0
    return max(last_row, last_rejected)


def _drop_corrected(draft: Batch, lines: Collection[int], *, up_to: int) -> None:
    """Take the rejected rows off the draft that the added rows stand for, but none of the added rows."""
    with raw_cursor() as cursor:
        cursor.execute(sql.DELETE_CORRECTED, {"batch": draft.pk, "lines": list(lines), "up_to": up_to})


def _layout(draft: Batch) -> Layout:
    return Layout(
        columns=tuple(draft.columns),
        address_index=draft.address_index,
        merge_fields=tuple(draft.merge_fields),
        has_header=draft.has_header,
    )


def _check_merge_field(name: str, names: Sequence[str]) -> None:
    if not is_merge_field(name):
        raise ListRefused(
            f"A template can't use a merge field named {name!r}. Use small letters, digits and underscores, "
            "a letter first, and no word of the template language."
        )
    if names.count(name) > 1:
        raise ListRefused(f"Two merge fields would be named {name!r}. Give each its own name.")
