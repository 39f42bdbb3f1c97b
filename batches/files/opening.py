"""Open a file of recipients: recognise it, find its encoding, delimiter and layout, and stop at its first record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from batches.files.dialect import Layout, check_delimiter, choose_layout, detect_delimiter, first_records, read_sample
from batches.files.encoding import choose_encoding, detect_encoding
from batches.files.reading import CountedRecords, CsvRecords, Records, read_head, skip_header
from batches.files.sheets import is_spreadsheet, open_sheet, read_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingOptions:
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
def open_records(file: BinaryIO, choices: ReadingOptions) -> Iterator[OpenedFile]:
    """Recognise a file and read its header.

    Raises:
        ListRefused: if it can't be read.
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
