"""Fill a batch with emails from one source, within the caller's transaction, and describe its columns on it.

A saved batch enters, with a source of records. The Counts of its rows leave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import psycopg
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet

from batches.files.addresses import PLAIN_MAX_LENGTH, PLAIN_PATTERN
from batches.files.findings import Reading
from batches.files.layout import Layout
from batches.files.opening import OpenedFile, ReadingOptions
from batches.files.reading import CountedRecords, Records
from batches.files.reading_choices import list_choices
from batches.intake import sql
from batches.intake.copying import Counts, copy_blocks, raw_cursor, resolve_possible_duplicates
from batches.intake.import_progress import Report, report_progress
from batches.intake.odd_rows import OddRows
from batches.intake.rows import Block, BlockReader, SeenAddresses
from batches.models import Batch, RejectionKind, SharedAddresses
from batches.suppressions import pad_key, read_key

Watch = Callable[[Iterable[Block]], Iterable[Block]]
"""Passes blocks on and reports how many there were."""


def load_file(batch: Batch, opened: OpenedFile, options: ReadingOptions, report: Report | None = None) -> Counts:
    """Load a file into an empty batch.

    The caller opens it before its transaction, because a spreadsheet may have to wait for its turn to be read.
    """
    batch.encoding, batch.delimiter = opened.encoding, opened.delimiter
    reading = opened.reading
    reading.hidden_rows, reading.split_cells = options.hidden_rows, options.split_cells
    reading.chosen = list_choices(options)
    watch = partial(report_progress, report=report, fraction_read=opened.fraction_read) if report else None
    return _load(batch, opened.records, opened.layout, reading, watch)


def load_records(batch: Batch, records: Records, layout: Layout) -> Counts:
    """Load the remaining records into an empty batch."""
    return _load(batch, records, layout, Reading())


def _load(batch: Batch, records: Records, layout: Layout, reading: Reading, watch: Watch | None = None) -> Counts:
    """Load records into an empty batch, and store on it how they were read. The caller saves the batch."""
    set_layout(batch, layout)
    reader = BlockReader(
        records, layout=layout, batch_id=batch.pk, seen=SeenAddresses(), digest_key=read_key(), reading=reading
    )
    blocks: Iterable[Block] = watch(reader) if watch else reader
    counts = copy_blocks(blocks, batch, has_lines=reader.has_lines)
    reading.shared_count = counts.shared
    batch.reading = reading.to_json()
    _set_odd(batch, counts.odd)
    return counts


def _set_odd(batch: Batch, odd: OddRows | None) -> None:
    """Set on the batch what is odd about its emails. None: the first review counts it."""
    if odd is None:
        batch.blank_counts = batch.smtputf8_count = None
        return
    missing = len(batch.merge_fields) - len(odd.blank_counts)
    batch.blank_counts, batch.smtputf8_count = [*odd.blank_counts, *[0] * missing], odd.smtputf8_count


def _odd_of(batch: Batch) -> OddRows | None:
    if batch.blank_counts is None or batch.smtputf8_count is None:
        return None
    return OddRows(blank_counts=tuple(batch.blank_counts), smtputf8_count=batch.smtputf8_count)


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
    members |= pad_key(read_key())
    with raw_cursor() as cursor:
        counts, last_row = _load_plain_members(cursor, batch, members)
        cursor.execute(sql.OTHER_MEMBERS, members)
        others = [list(member) for member in sql.OTHER_MEMBERS.rows(cursor.fetchall())]
    reading = Reading(shared_count=counts.shared)
    batch.reading = reading.to_json()
    _set_odd(batch, None)
    counts += append_records(batch, CountedRecords(others), GROUP_LAYOUT, after_line=last_row)
    return counts


def _load_plain_members(cursor: psycopg.Cursor, batch: Batch, members: Mapping[str, object]) -> tuple[Counts, int]:
    """Load the members with a plain address. Return what became of them, and the last row."""
    if batch.shared_addresses == SharedAddresses.FIRST:
        cursor.execute(sql.INSERT_GROUP, {"batch": batch.pk, "kind": RejectionKind.DUPLICATE, **members})
        [inserted] = sql.INSERT_GROUP.rows(cursor.fetchall())
        email_count, duplicate_count, shared_count = inserted
        counts = Counts(total=email_count, rejected=0, duplicate=duplicate_count, shared=shared_count)
        return counts, email_count + duplicate_count
    cursor.execute(sql.CREATE_POSSIBLE_DUPLICATES)
    cursor.execute(sql.GROUP_AS_POSSIBLE_DUPLICATES, members)
    last_row = cursor.rowcount
    return resolve_possible_duplicates(cursor, batch), last_row


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
    """Load records into a batch that has emails already. Their lines are counted on from ``after_line``.

    They are read as the batch's own were, and what they have in common is added to its reading. The caller saves it.
    """
    reading = Reading.from_json(batch.reading)
    reader = BlockReader(
        records,
        layout=layout,
        batch_id=batch.pk,
        seen=None,
        digest_key=read_key(),
        reading=reading,
        after_line=after_line,
    )
    counts = copy_blocks(reader, batch, has_lines=reader.has_lines, is_added=True)
    reading.shared_count += counts.shared
    batch.reading = reading.to_json()
    before = _odd_of(batch)
    _set_odd(batch, None if before is None or counts.odd is None else before + counts.odd)
    return counts


def set_layout(batch: Batch, layout: Layout) -> None:
    """Set the layout on the batch. The caller saves the batch."""
    batch.columns = list(layout.columns)
    batch.address_index, *batch.more_address_indexes = layout.address_indexes
    batch.merge_fields = list(layout.merge_fields)
    batch.has_header = layout.has_header
