"""Open a file of recipients: recognise its kind, find its encoding, delimiter and layout, and read its header.

A seekable file and reading options enter. An OpenedFile leaves: a layout, and records that are read one at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

from batches.files.dialect import check_delimiter, choose_layout, detect_delimiter, read_sample, take_sample
from batches.files.encoding import choose_encoding, detect_encoding, find_rivals, is_encoded_twice
from batches.files.findings import Reading
from batches.files.layout import Layout
from batches.files.reading import CsvRecords, Records, read_head, skip_header
from batches.files.sheets import SheetRecords, is_spreadsheet, open_sheet


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingOptions:
    """How a person wants a file to be read. An option that is None is found from the file."""

    encoding: str | None = None
    delimiter: str | None = None
    has_header: bool | None = None
    header_row: int | None = None
    """The line of the header, counted from 1. 0 means that the file has no header. Wins over ``has_header``."""
    address_indexes: tuple[int, ...] | None = None
    """The columns that hold addresses, counted from 0. Several make one email for each filled address of a row."""
    sheet: str | None = None
    """The name of the sheet to read."""
    hidden_rows: bool = False
    """Whether rows that the sheet hides are read too. Without it they are rejected as hidden."""
    split_cells: bool = False
    """Whether a cell with several addresses makes one email for each of them. Without it the row is rejected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedFile:
    """A file whose layout is known, at its first record after the header."""

    records: Records
    layout: Layout
    reading: Reading
    encoding: str
    """Empty for a spreadsheet, as is the delimiter."""
    delimiter: str
    source: BinaryIO
    """What the records are read from: the file, or the rows of the sheet."""
    size_bytes: int

    def fraction_read(self) -> float:
        """Return how much of the source has been read, from 0 to 1."""
        return self.source.tell() / max(self.size_bytes, 1)


@contextmanager
def open_records(file: BinaryIO, options: ReadingOptions) -> Iterator[OpenedFile]:
    """Recognise a file, find its layout and read its header.

    Raises:
        ListRefused: the file can't be read.
    """
    if is_spreadsheet(file):
        with open_sheet(file, sheet=options.sheet) as sheet:
            sample = take_sample(SheetRecords(sheet, hidden_rows=options.hidden_rows))
            layout = _choose_layout(sample, options)
            opened = _open(sheet.rows, SheetRecords(sheet, hidden_rows=options.hidden_rows), layout)
            opened.reading.sheet, opened.reading.sheets = sheet.name, list(sheet.sheets)
            opened.reading.is_encoded_twice = is_encoded_twice(chain.from_iterable(sample))
            yield opened
        return
    encoding = choose_encoding(options.encoding, file) if options.encoding else detect_encoding(file)
    rivals = find_rivals(file, encoding)
    head = read_head(file, encoding)
    delimiter = check_delimiter(options.delimiter) if options.delimiter else detect_delimiter(head)
    sample = read_sample(head, delimiter)
    layout = _choose_layout(sample, options)
    records = CsvRecords(file, encoding=encoding, delimiter=delimiter)
    opened = _open(file, records, layout, encoding=encoding, delimiter=delimiter)
    opened.reading.encodings = rivals
    opened.reading.is_encoded_twice = is_encoded_twice(chain.from_iterable(sample))
    yield opened


def _choose_layout(sample: list[list[str]], options: ReadingOptions) -> Layout:
    index = options.address_indexes[0] if options.address_indexes else None
    has_header = options.has_header if options.header_row is None else options.header_row > 0
    return choose_layout(sample, has_header=has_header, address_index=index)


def _open(source: BinaryIO, records: Records, layout: Layout, *, encoding: str = "", delimiter: str = "") -> OpenedFile:
    position = source.tell()
    size_bytes = source.seek(0, 2)
    source.seek(position)
    if layout.has_header:
        skip_header(records)
    return OpenedFile(
        records=records,
        layout=layout,
        reading=Reading(),
        encoding=encoding,
        delimiter=delimiter,
        source=source,
        size_bytes=size_bytes,
    )
