"""Open a file of recipients: recognise its kind, find its encoding, delimiter and layout, and read its header.

A seekable file and reading options enter. An OpenedFile leaves: a layout, and records that are read one at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from batches.files.cell_repair import RepairedRecords, find_cell_repair
from batches.files.dialect import Dialect, check_delimiter, detect_dialect, name_other_delimiter, read_sample
from batches.files.encoding import choose_encoding, detect_encoding, find_rivals, is_encoded_twice
from batches.files.errors import UnreadableFile
from batches.files.findings import Reading
from batches.files.kinds import is_spreadsheet
from batches.files.layout import Layout
from batches.files.layout_search import ChosenLayout, FoundLayout, find_layout
from batches.files.pasted import PASTED_LAYOUT, PastedRecords, is_pasted
from batches.files.reading import CsvRecords, Records, UnwrappedRecords, read_head
from batches.files.repairs import TWICE
from batches.files.sample import read_lines, take_sample
from batches.files.sheets import OpenedSheet, SheetRecords, open_sheet
from batches.files.started import StartedRecords
from batches.files.survey import survey_file


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
    """A file whose layout is known. Its records begin with the lines that are above the header, see StartedRecords."""

    records: Records
    layout: Layout
    reading: Reading
    encoding: str
    """Empty for a spreadsheet."""
    delimiter: str
    """Empty for a spreadsheet, and for recipients as mail programs write them."""
    source: BinaryIO
    """What the records are read from: the file, or the rows of the sheet."""
    size_bytes: int

    def fraction_read(self) -> float:
        """Return how much of the source has been read, from 0 to 1."""
        return self.source.tell() / max(self.size_bytes, 1)


@contextmanager
def open_records(file: BinaryIO, options: ReadingOptions, *, reader: int | None = None) -> Iterator[OpenedFile]:
    """Recognise a file, find its layout and read its header. ``reader`` is the number of the user whose file it is.

    Raises:
        ListRefused: the file can't be read.
    """
    if is_spreadsheet(file):
        with _open_spreadsheet(file, options, reader) as opened:
            yield opened
        return
    if options.sheet:
        raise UnreadableFile(
            f"This is a text file, which has no sheets, so not the sheet {options.sheet!r}. Leave the sheet out."
        )
    yield _open_text(file, options)


@contextmanager
def _open_spreadsheet(file: BinaryIO, options: ReadingOptions, reader: int | None) -> Iterator[OpenedFile]:
    with open_sheet(file, sheet=options.sheet, reader=reader) as sheet:
        repair, rivals = find_cell_repair(_read_sheet(sheet, options), chosen=options.encoding)
        sample = take_sample(_read_sheet(sheet, options, repair).reader)
        reading = Reading(
            sheet=sheet.name, sheets=list(sheet.sheets), encodings=rivals, is_encoded_twice=bool(repair or rivals)
        )
        try:
            found = find_layout(sample, reading, chosen=_choices(options), is_sheet=True)
        except UnreadableFile as exc:
            raise UnreadableFile(f"{exc.message} The sheet that was read is {sheet.name!r}.") from exc
        records = _read_sheet(sheet, options, repair)
        yield _open(sheet.rows, records, found, reading=reading, encoding=repair)


def _read_sheet(sheet: OpenedSheet, options: ReadingOptions, repair: str = "") -> Records:
    records = SheetRecords(sheet, hidden_rows=options.hidden_rows)
    return RepairedRecords(records, repair) if repair else records


def _open_text(file: BinaryIO, options: ReadingOptions) -> OpenedFile:
    survey = survey_file(file)
    encoding = choose_encoding(options.encoding, file) if options.encoding else detect_encoding(file, survey)
    rivals = find_rivals(file, survey, encoding)
    head = read_head(file, encoding)
    reading = Reading(encodings=rivals, is_encoded_twice=encoding in TWICE or is_encoded_twice(read_lines(head)))
    if not options.delimiter and is_pasted(head):
        found = FoundLayout(layout=PASTED_LAYOUT, header_lines=None)
        return _open(file, PastedRecords(file, encoding=encoding), found, reading=reading, encoding=encoding)
    dialect = detect_dialect(head, delimiter=check_delimiter(options.delimiter) if options.delimiter else None)
    found = _find_text_layout(head, dialect, reading, options)
    records = _read_text(file, encoding, dialect)
    return _open(file, records, found, reading=reading, encoding=encoding, delimiter=dialect.delimiter)


def _choices(options: ReadingOptions) -> ChosenLayout:
    return ChosenLayout(
        has_header=options.has_header, header_row=options.header_row, address_indexes=options.address_indexes
    )


def _find_text_layout(head: str, dialect: Dialect, reading: Reading, options: ReadingOptions) -> FoundLayout:
    sample = read_sample(head, dialect)
    other = None if options.delimiter else name_other_delimiter(sample, head)
    if other:
        raise UnreadableFile(
            f"The columns seem to be separated by {other}. Save the file as CSV, with commas or semicolons between the "
            "columns, and upload it again."
        )
    return find_layout(sample, reading, chosen=_choices(options))


def _read_text(file: BinaryIO, encoding: str, dialect: Dialect) -> Records:
    records = CsvRecords(
        file,
        encoding=encoding,
        delimiter=dialect.delimiter,
        quote=dialect.quote,
        skips_blanks=dialect.has_blanks_before_quotes,
        tidy_line=dialect.remove_blanks_after_quotes if dialect.has_blanks_after_quotes else None,
    )
    return UnwrappedRecords(records, delimiter=dialect.delimiter) if dialect.has_quoted_lines else records


def _open(
    source: BinaryIO,
    records: Records,
    found: FoundLayout,
    *,
    reading: Reading,
    encoding: str = "",
    delimiter: str = "",
) -> OpenedFile:
    position = source.tell()
    size_bytes = source.seek(0, 2)
    source.seek(position)
    return OpenedFile(
        records=StartedRecords(records, found.layout, header_lines=found.header_lines),
        layout=found.layout,
        reading=reading,
        encoding=encoding,
        delimiter=delimiter,
        source=source,
        size_bytes=size_bytes,
    )
