"""Fill a batch that was inserted, within the caller's transaction, and describe its columns on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from django.contrib.auth.models import Group, User
from django.db.models import QuerySet

from batches.intake import sql
from batches.intake.addresses import PLAIN_MAX_LENGTH, PLAIN_PATTERN
from batches.intake.copying import Counts, copy_blocks, raw_cursor
from batches.intake.dialect import Layout, check_delimiter, choose_layout, detect_delimiter, first_records, read_sample
from batches.intake.encoding import choose_encoding, detect_encoding
from batches.intake.reading import CountedRecords, CsvRecords, Records, read_head, skip_header
from batches.intake.reporting import Report, follow_blocks
from batches.intake.rows import Block, BlockReader, SeenAddresses
from batches.intake.sheets import is_spreadsheet, open_sheet, read_rows
from batches.models import Batch, RejectionKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """How a person says that a file is to be read; None is found from the file."""

    encoding: str | None = None
    delimiter: str | None = None
    has_header: bool | None = None
    address_index: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedFile:
    """A file whose layout is known, at its first record behind the header."""

    records: Records
    layout: Layout
    encoding: str
    """Empty for a spreadsheet, as is the delimiter."""
    delimiter: str
    source: BinaryIO
    """What the records are read from: the file, or the rows of the sheet."""
    size_bytes: int

    def read_share(self) -> float:
        """How much of the source has been read, from 0 to 1."""
        return self.source.tell() / max(self.size_bytes, 1)


@contextmanager
def open_records(file: BinaryIO, choices: Choices) -> Iterator[OpenedFile]:
    """Recognise a file and read its header.

    Raises:
        IntakeError: if it can't be read.
    """
    if is_spreadsheet(file):
        with open_sheet(file) as sheet:
            layout = choose_layout(first_records(read_rows(sheet)), choices.has_header, choices.address_index)
            yield _opened(sheet, CountedRecords(read_rows(sheet)), layout)
        return
    encoding = choose_encoding(choices.encoding, file) if choices.encoding else detect_encoding(file)
    head = read_head(file, encoding)
    delimiter = check_delimiter(choices.delimiter) if choices.delimiter else detect_delimiter(head)
    layout = choose_layout(read_sample(head, delimiter), choices.has_header, choices.address_index)
    records = CsvRecords(file, encoding=encoding, delimiter=delimiter)
    yield _opened(file, records, layout, encoding=encoding, delimiter=delimiter)


def load_file(batch: Batch, file: BinaryIO, choices: Choices, report: Report | None = None) -> Counts:
    """Load a file into an empty batch."""
    with open_records(file, choices) as opened:
        batch.encoding, batch.delimiter = opened.encoding, opened.delimiter
        describe(batch, opened.layout)
        blocks: Iterable[Block] = BlockReader(
            opened.records, layout=opened.layout, batch_id=batch.pk, seen=SeenAddresses()
        )
        if report:
            blocks = follow_blocks(blocks, report=report, read_share=opened.read_share)
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


def _opened(
    source: BinaryIO, records: Records, layout: Layout, *, encoding: str = "", delimiter: str = ""
) -> OpenedFile:
    position = source.tell()
    size_bytes = source.seek(0, 2)
    source.seek(position)
    if layout.has_header:
        skip_header(records)
    return OpenedFile(
        records=records, layout=layout, encoding=encoding, delimiter=delimiter, source=source, size_bytes=size_bytes
    )
