"""Fill a batch with emails from one source, within the caller's transaction, and describe its columns on it.

A saved batch enters, with a source of records. The Counts of its rows leave.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from django.contrib.auth.models import Group, User
from django.db.models import QuerySet

from batches.files.addresses import PLAIN_MAX_LENGTH, PLAIN_PATTERN
from batches.files.layout import Layout
from batches.files.opening import ReadingOptions, open_records
from batches.files.reading import CountedRecords, Records
from batches.files.reading_choices import list_choices
from batches.intake import sql
from batches.intake.copying import Counts, copy_blocks, raw_cursor
from batches.intake.import_progress import Report, report_progress
from batches.intake.rows import Block, BlockReader, SeenAddresses
from batches.models import Batch, RejectionKind


def load_file(batch: Batch, file: BinaryIO, options: ReadingOptions, report: Report | None = None) -> Counts:
    """Load a file into an empty batch."""
    with open_records(file, options) as opened:
        batch.encoding, batch.delimiter = opened.encoding, opened.delimiter
        set_layout(batch, opened.layout)
        blocks: Iterable[Block] = BlockReader(
            opened.records, layout=opened.layout, batch_id=batch.pk, seen=SeenAddresses()
        )
        if report:
            blocks = report_progress(blocks, report=report, fraction_read=opened.fraction_read)
        counts = copy_blocks(blocks, batch_id=batch.pk)
        opened.reading.chosen = list_choices(options)
        batch.reading = opened.reading.to_json()
        return counts


def load_records(batch: Batch, records: Records, layout: Layout) -> Counts:
    """Load the remaining records into an empty batch."""
    set_layout(batch, layout)
    blocks = BlockReader(records, layout=layout, batch_id=batch.pk, seen=SeenAddresses())
    return copy_blocks(blocks, batch_id=batch.pk)


GROUP_LAYOUT = Layout(
    columns=("email", "first_name", "last_name", "username", "name"),
    address_indexes=(0,),
    merge_fields=("first_name", "last_name", "username", "name"),
    has_header=True,
    width=5,
)


def load_group(batch: Batch, group: Group) -> Counts:
    """Load the active users of a group who have an address.

    One INSERT ... SELECT takes all users whose address is plain in PostgreSQL's eyes. The few others, such as those
    with an internationalised domain, are checked here.
    """
    set_layout(batch, GROUP_LAYOUT)
    members = {"group": group.pk, "plain": f"^{PLAIN_PATTERN}$", "plain_length": PLAIN_MAX_LENGTH}
    with raw_cursor() as cursor:
        cursor.execute(sql.INSERT_GROUP, {"batch": batch.pk, "kind": RejectionKind.DUPLICATE, **members})
        [inserted] = sql.INSERT_GROUP.rows(cursor.fetchall())
        cursor.execute(sql.OTHER_MEMBERS, members)
        others = [list(member) for member in sql.OTHER_MEMBERS.rows(cursor.fetchall())]
    counts = Counts(total=inserted.email_count, rejected=0, duplicate=inserted.duplicate_count)
    last_line = counts.total + counts.duplicate
    return counts + append_records(batch, CountedRecords(others), GROUP_LAYOUT, after_line=last_line)


def load_users(batch: Batch, users: QuerySet[User]) -> Counts:
    """Load those of some users who are active and have an address."""
    reachable = users.filter(is_active=True).exclude(email="").order_by("pk")
    # Read all users before the COPY begins, because the connection can't do both at the same time.
    rows = [
        [user.email, user.first_name, user.last_name, user.username, user.get_full_name()]
        for user in reachable.only("email", "first_name", "last_name", "username")
    ]
    return load_records(batch, CountedRecords(rows), GROUP_LAYOUT)


def append_records(batch: Batch, records: Records, layout: Layout, *, after_line: int) -> Counts:
    """Load records into a batch that has emails already. Their lines are counted on from ``after_line``."""
    blocks = BlockReader(records, layout=layout, batch_id=batch.pk, seen=None, after_line=after_line)
    return copy_blocks(blocks, batch_id=batch.pk)


def set_layout(batch: Batch, layout: Layout) -> None:
    """Set the layout on the batch. The caller saves the batch."""
    batch.columns = list(layout.columns)
    batch.address_index = layout.address_index
    batch.merge_fields = list(layout.merge_fields)
    batch.has_header = layout.has_header
