"""Fill a batch that was inserted, within the caller's transaction, and describe its columns on it."""

from __future__ import annotations

from typing import BinaryIO

from django.contrib.auth.models import Group
from django.db import connection

from batches.intake import sql
from batches.intake.copying import Counts, copy_blocks
from batches.intake.dialect import Layout, detect_delimiter, detect_layout, read_sample
from batches.intake.encoding import check_encoding, detect_encoding
from batches.intake.reading import CsvRecords, Records, read_head
from batches.intake.rows import BlockReader, SeenAddresses
from batches.models import Batch, RejectionKind


def load_file(batch: Batch, file: BinaryIO, *, encoding: str | None = None, delimiter: str | None = None) -> Counts:
    """Load a file into the batch; what is None is found from the file."""
    encoding = check_encoding(encoding) if encoding else detect_encoding(file)
    head = read_head(file, encoding)
    delimiter = delimiter or detect_delimiter(head)
    layout = detect_layout(read_sample(head, delimiter))
    records = CsvRecords(file, encoding=encoding, delimiter=delimiter)
    if layout.has_header:
        records.skip_header()
    return load_records(batch, records, layout)


def load_records(batch: Batch, records: Records, layout: Layout) -> Counts:
    """Load all records that are left."""
    _describe(batch, layout)
    blocks = BlockReader(records, layout=layout, batch_id=batch.pk, seen=SeenAddresses())
    return copy_blocks(blocks, batch_id=batch.pk)


GROUP_LAYOUT = Layout(
    columns=("email", "first_name", "last_name", "username", "name"),
    address_index=0,
    merge_fields=("first_name", "last_name", "username", "name"),
    has_header=False,
)


def load_group(batch: Batch, group: Group) -> Counts:
    """Load the group's active users who have an address: one INSERT ... SELECT."""
    _describe(batch, GROUP_LAYOUT)
    with connection.cursor() as cursor:
        cursor.execute(sql.INSERT_GROUP, {"batch": batch.pk, "group": group.pk, "kind": RejectionKind.DUPLICATE.value})
        total, duplicate = cursor.fetchone()
    return Counts(total=total, rejected=0, duplicate=duplicate)


def _describe(batch: Batch, layout: Layout) -> None:
    batch.columns = list(layout.columns)
    batch.address_index = layout.address_index
    batch.merge_fields = list(layout.merge_fields)
