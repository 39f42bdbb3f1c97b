"""Find the layout of a list from its first records: its header, the columns that count, and the address columns. Pure.

What a person chose takes precedence over what is found. What else it could be is noted in a Reading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from batches.files.cells import holds_address, is_meant_as_address
from batches.files.errors import UnreadableFile
from batches.files.findings import AddressColumn, Reading
from batches.files.header import Header, count_titles, find_header, first_as_header, header_at
from batches.files.headings import HeadingRank, rank_heading
from batches.files.layout import COLUMNS_MAX, Layout, make_layout
from batches.files.sample import SampleRecord

HEADING_MAX_LENGTH = 1000
SHOWN_LENGTH = 40
"""How many characters of a heading an error quotes."""
SHOWN_HEADINGS = 8

FEW = 10
"""A column has next to no addresses if another has more than ten times as many."""

REPEATED = 3
"""In so many rows or more, the same address is not that of the recipients."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundLayout:
    """A layout, and the lines that the import reads past before the first recipient."""

    layout: Layout
    header_lines: tuple[int, int] | None
    """The first and the last line of the header, counted from 1; or of the titles above a list without a header."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenLayout:
    """What a person chose about the layout. None: find it."""

    has_header: bool | None = None
    header_row: int | None = None
    address_indexes: tuple[int, ...] | None = None


def find_layout(
    sample: Sequence[SampleRecord], reading: Reading, *, chosen: ChosenLayout, is_sheet: bool = False
) -> FoundLayout:
    """Find the layout in the first records, and note in the reading what else it could be.

    A sheet leaves out the blank cells at the end of a row, so its header may be shorter than its rows.

    Raises:
        UnreadableFile: there is no record, no column of addresses, or a person chose what the file does not have.
    """
    if not sample:
        raise UnreadableFile("The file is empty. Give it a header and a line for each recipient.")
    header = _choose_header(sample, chosen)
    titles = [] if header else sample[: count_titles(sample)]
    body = header.below if header else sample[len(titles) :]
    cells = header.headings if header else []
    if header is None or is_sheet:
        cells = [*cells, *[""] * (_usual_width(body, is_sheet=is_sheet) - len(cells))]
    _check_length(cells, header)
    kept = [column for column in range(len(cells)) if cells[column] or any(record.cell(column) for record in body)]
    if len(kept) > COLUMNS_MAX:
        raise UnreadableFile(f"The file has {len(kept)} columns. Reduce them to {COLUMNS_MAX} or fewer.")
    headings = [cells[column] for column in kept]
    table = [[record.cell(column) for column in kept] for record in body]
    indexes = _choose_address_columns(headings, table, reading, chosen=chosen, first=body[0] if body else sample[0])
    _note_address_columns(reading, headings, table, used=indexes)
    if header:
        reading.header_line, reading.skipped_lines = header.line, len(header.above)
    else:
        headings, reading.skipped_lines = _invent_headings(kept, indexes), len(titles)
    layout = make_layout(
        headings,
        address_index=indexes[0],
        more_address_indexes=indexes[1:],
        has_header=header is not None,
        kept=tuple(kept),
        width=len(cells),
    )
    if header:
        return FoundLayout(layout=layout, header_lines=(header.first_line, header.last_line))
    return FoundLayout(layout=layout, header_lines=(1, titles[-1].last_line) if titles else None)


def _choose_header(sample: Sequence[SampleRecord], chosen: ChosenLayout) -> Header | None:
    if chosen.header_row:
        found = find_header(sample)
        if found and found.line == chosen.header_row:  # so that a header of two rows stays one
            return found
        if header := header_at(sample, chosen.header_row):
            return header
        last = sample[-1].last_line
        raise UnreadableFile(
            f"Line {chosen.header_row} holds no header: it is blank or too far down. "
            f"Choose the line, of the first {last}, that has the headings."
        )
    if chosen.header_row == 0 or chosen.has_header is False:
        return None
    header = find_header(sample)
    return first_as_header(sample) if header is None and chosen.has_header else header


def _usual_width(records: Sequence[SampleRecord], *, is_sheet: bool) -> int:
    """Return the width of most records; of a sheet's, the greatest, because there a blank end is left out."""
    widths = [len(record.cells) for record in records] or [0]
    return max(widths) if is_sheet else Counter(widths).most_common(1)[0][0]


def _check_length(cells: Sequence[str], header: Header | None) -> None:
    """Refuse a header that no list has, before its cells become columns in the database and on pages."""
    for number, cell in enumerate(cells, 1):
        if header and len(cell) > HEADING_MAX_LENGTH:
            raise UnreadableFile(
                f"Cell {number} of line {header.line} has {len(cell):,} characters. It is read as a heading. "
                f"Shorten it to {HEADING_MAX_LENGTH:,}. If you see no cell that long, a quotation mark opens there "
                "and is never closed."
            )


def _choose_address_columns(
    headings: Sequence[str],
    table: Sequence[Sequence[str]],
    reading: Reading,
    *,
    chosen: ChosenLayout,
    first: SampleRecord,
) -> tuple[int, ...]:
    if chosen.address_indexes:
        for index in chosen.address_indexes:
            if not 0 <= index < len(headings):
                raise UnreadableFile(
                    f"There is no column {index + 1} for the address: read in this way, the file has only "
                    f"{len(headings)}. Choose another column or another delimiter."
                )
        return tuple(dict.fromkeys(chosen.address_indexes))
    if len(table) == 1 and len(headings) > 1 and not any(headings) and all(map(holds_address, table[0])):
        raise UnreadableFile(
            "Every cell of the first line is an address. Put each address on a line of its own, or add a header."
        )
    column = _find_address_column(headings, table)
    if column is None:
        shown = headings if any(headings) else first.cells
        raise _no_address_column(shown, reading, line=first.first_line, is_header=any(headings))
    return (column,)


def _find_address_column(headings: Sequence[str], table: Sequence[Sequence[str]]) -> int | None:
    """Find the address column: the plainest heading, then the first.

    A column without addresses loses, and so does one that repeats one address in all rows.
    """
    ranks = list(map(rank_heading, headings))
    counts = _count(table, len(headings), holds_address)
    if not any(counts):  # so that the import says of each address what is wrong with it
        counts = _count(table, len(headings), is_meant_as_address)
    most = max(counts, default=0)
    if not most:
        plain = [column for column, rank in enumerate(ranks) if rank == HeadingRank.PLAIN]
        return plain[0] if plain else None
    limits = [most / FEW if rank < HeadingRank.NONE else most / 2 for rank in ranks]
    columns = [column for column, count in enumerate(counts) if count and count >= limits[column]]
    return min(columns, key=lambda column: (_holds_one_address(table, column), ranks[column], column))


def _holds_one_address(table: Sequence[Sequence[str]], column: int) -> bool:
    """Say whether a column repeats one address: that of the office or of the sender, and not of the recipients."""
    cells = [row[column].strip().casefold() for row in table if holds_address(row[column])]
    return len(cells) >= REPEATED and len(set(cells)) == 1


def _count(table: Sequence[Sequence[str]], width: int, test: Callable[[str], bool]) -> list[int]:
    return [sum(test(row[column]) for row in table) for column in range(width)]


def _note_address_columns(
    reading: Reading, headings: Sequence[str], table: Sequence[Sequence[str]], *, used: Sequence[int]
) -> None:
    """Note every column that holds addresses, if there is another choice than the one that was made."""
    counts = _count(table, len(headings), holds_address)
    most = max(counts, default=0)
    columns = [column for column, count in enumerate(counts) if column in used or count * FEW > most]
    if len(columns) < 2 or not most:
        return
    reading.address_columns = [
        AddressColumn(
            index=column,
            heading=headings[column] or f"column {column + 1}",
            count=counts[column],
            is_used=column in used,
        )
        for column in columns
    ]


def _invent_headings(kept: Sequence[int], address_indexes: Sequence[int]) -> list[str]:
    """Name the columns of a list without a header by their places in the file."""
    names = [f"column_{column + 1}" for column in kept]
    names[address_indexes[0]] = "email"
    return names


def _no_address_column(cells: Sequence[str], reading: Reading, *, line: int, is_header: bool) -> UnreadableFile:
    """Say that no cell is an address, show the headings or the first line, and name the sheets."""
    filled = [cell for cell in cells if cell]
    shown = ", ".join(
        repr(cell if len(cell) <= SHOWN_LENGTH else f"{cell[:SHOWN_LENGTH]}…") for cell in filled[:SHOWN_HEADINGS]
    )
    what = f"The sheet {reading.sheet!r}" if reading.sheet else "The file"
    where = "Its columns are" if is_header else f"Line {line} has"
    return UnreadableFile(
        f"{what} has no column of email addresses: no cell in its first lines is one. {where} {shown}. "
        + _advise(reading)
    )


def _advise(reading: Reading) -> str:
    others = (sheet for sheet in reading.sheets if sheet.address_count and sheet.name != reading.sheet)
    sheet = next(others, None)
    if sheet is None:
        return "Add a column named email with an address in each line."
    if not sheet.is_hidden:
        return f"The sheet {sheet.name!r} has some. Choose that one."
    return (
        f"The hidden sheet {sheet.name!r} has some. Show that sheet in the spreadsheet program, save the file, and "
        "upload it again."
    )
