"""Fill a batch that was inserted, within the caller's transaction, and describe its columns on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO, cast

from django.contrib.auth.models import Group, User
from django.db.models import QuerySet

from batches.files.addresses import PLAIN_MAX_LENGTH, PLAIN_PATTERN
from batches.files.dialect import Layout
from batches.files.opening import ReadingOptions, open_records
from batches.files.reading import CountedRecords, Records
from batches.intake import sql
from batches.intake.copying import Counts, copy_blocks, raw_cursor
from batches.intake.import_progress import Report, follow_blocks
from batches.intake.rows import Block, BlockReader, SeenAddresses
from batches.models import Batch, RejectionKind


def load_file(batch: Batch, file: BinaryIO, choices: ReadingOptions, report: Report | None = None) -> Counts:
    """Load a file into an empty batch."""
    with open_records(file, choices) as opened:
        batch.encoding, batch.delimiter = opened.encoding, opened.delimiter
        describe(batch, opened.layout)
        blocks: Iterable[Block] = BlockReader(
            opened.records, layout=opened.layout, batch_id=batch.pk, seen=SeenAddresses()
        )
        if report:
            blocks = follow_blocks(blocks, report=report, read_share=opened.fraction_read)
        return copy_blocks(blocks, batch_id=batch.pk)


def load_records(batch: Batch, records: Records, layout: Layout) -> Counts:
    """Load all records that are left into an empty batch."""
    describe(batch, layout)
    blocks = BlockReader(records, layout=layout, batch_id=batch.pk, seen=SeenAddresses())
    return copy_blocks(blocks, batch_id=batch.pk)


GROUP_LAYOUT = Layout(
    columns=("email", "first_name", "last_name", "username", "name"),
    address_index=0,
    merge_fields=("first_name", "last_name", "username", "name"),
    has_header=True,
)


def load_group(batch: Batch, group: Group) -> Counts:
    """Load the group's active users who have an address.

    One INSERT ... SELECT takes all whose address PostgreSQL can tell is plain. The few others, such as
    those of IDN domains, are looked at here.
    """
    describe(batch, GROUP_LAYOUT)
    members = {"group": group.pk, "plain": f"^{PLAIN_PATTERN}$", "plain_length": PLAIN_MAX_LENGTH}
    with raw_cursor() as cursor:
        cursor.execute(
            sql.INSERT_GROUP,
            {"batch": batch.pk, "kind": RejectionKind.DUPLICATE, **members},
        )
        total, duplicate = cast("tuple[int, int]", cursor.fetchone())
        cursor.execute(sql.SELECT_ODD_MEMBERS, members)
        odd = [list(row) for row in cursor.fetchall()]
    counts = Counts(total=total, rejected=0, duplicate=duplicate)
    return counts + append_records(batch, CountedRecords(odd), GROUP_LAYOUT, after_line=total + duplicate)


def load_users(batch: Batch, users: QuerySet[User]) -> Counts:
    """Load those of some users who are active and have an address."""
    reachable = users.filter(is_active=True).exclude(email="").order_by("pk")
    # Read whole before the COPY begins: the connection can't do both at once.
    rows = [
        [member.email, member.first_name, member.last_name, member.username, member.get_full_name()]
        for member in reachable.only("email", "first_name", "last_name", "username")
    ]
    return load_records(batch, CountedRecords(rows), GROUP_LAYOUT)


def append_records(batch: Batch, records: Records, layout: Layout, *, after_line: int) -> Counts:
    """Load records into a batch that has emails; their lines are counted on from ``after_line``."""
    blocks = BlockReader(records, layout=layout, batch_id=batch.pk, seen=None, after_line=after_line)
    return copy_blocks(blocks, batch_id=batch.pk)


def describe(batch: Batch, layout: Layout) -> None:
    """Note the layout on the batch; the caller saves it."""
    batch.columns = list(layout.columns)
    batch.address_index = layout.address_index
    batch.merge_fields = list(layout.merge_fields)
    batch.has_header = layout.has_header
