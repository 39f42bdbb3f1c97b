"""Find out how a file is laid out: its delimiter, whether it has a header, which column holds the address.

Works on the first records only.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from batches.files.addresses import SPACES, BadAddress, normalise_address
from batches.files.errors import UnreadableFile
from batches.files.headings import is_address_heading, is_maybe_address_heading, name_merge_fields
from batches.files.reading import is_separator_line

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_RECORDS = 50
COLUMNS_MAX = 500
HEADING_MAX_LENGTH = 1000
SHOWN_LENGTH = 40
"""How much of a heading an error quotes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How the records of one file are to be read."""

    columns: tuple[str, ...]
    """The header as it was written; made-up names if there is none."""
    address_index: int
    merge_fields: tuple[str, ...]
    """One for each column but the address, in file order."""
    has_header: bool


def read_sample(text: str, delimiter: str) -> list[list[str]]:
    """The first records of a file, by a reader that forgives: the true reading names what is wrong."""
    return first_records(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def first_records(records: Iterable[list[str]]) -> list[list[str]]:
    """The first ones that aren't blank."""
    found: list[list[str]] = []
    try:
        for record in islice(records, SAMPLE_RECORDS * 10):
            if any(cell.strip() for cell in record) and not is_separator_line(record):
                found.append(record)
            if len(found) == SAMPLE_RECORDS:
                break
    except csv.Error:
        pass
    return found


def check_delimiter(delimiter: str) -> str:
    """Return what a person chose, or refuse it."""
    if delimiter not in DELIMITERS:
        raise UnreadableFile("The delimiter must be a comma, a semicolon, a tab or a vertical bar. Choose one of them.")
    return delimiter


def detect_delimiter(text: str) -> str:
    """The delimiter that gives most records the same number of columns, more than one; else a comma.

    Between two that do, the one under which a cell is an address wins: "a@x.org;Doe, Jane".
    """

    def score(delimiter: str) -> tuple[bool, bool, float, int]:
        records = read_sample(text, delimiter)
        if not records:
            return (False, False, 0.0, 0)
        width, count = Counter(map(len, records)).most_common(1)[0]
        agreement = count / len(records)
        return (width > 1 and agreement >= 0.5, _has_address_cell(records), agreement, width)

    return max(DELIMITERS, key=score)


def choose_layout(
    records: Sequence[Sequence[str]], has_header: bool | None = None, address_index: int | None = None
) -> Layout:
    """Read the layout off the first records; what a person chose goes before what is found.

    Raises:
        UnreadableFile: if there is no record, or no column of addresses.
    """
    if not records:
        raise UnreadableFile("The file is empty. Give it a header and a line for each recipient.")
    first = [cell.strip().strip(SPACES) for cell in records[0]]
    _check_size(first)
    if address_index is not None and address_index >= len(first):
        raise UnreadableFile(
            f"Read like this the file has no column {address_index + 1} for the address, only {len(first)}. "
            "Choose another column or another delimiter."
        )
    if has_header is None:
        has_header = not any(map(is_address, first))
    if not has_header and len(first) > 1 and all(map(is_address, first)):
        raise UnreadableFile(
            "Every cell of the first line is an address. Put each address on a line of its own, or add a header."
        )
    if address_index is None:
        address_index = _find_address_column(first, records[1:]) if has_header else _find_address_cells(first, records)
    if not has_header:
        first = [f"column_{number}" for number in range(1, len(first) + 1)]
        first[address_index] = "email"
    return make_layout(first, address_index=address_index, has_header=has_header)


def make_layout(columns: Sequence[str], *, address_index: int, has_header: bool) -> Layout:
    """A layout with a merge field for each column but the address."""
    others = [name for index, name in enumerate(columns) if index != address_index]
    positions = [index + 1 for index in range(len(columns)) if index != address_index]
    return Layout(
        columns=tuple(columns),
        address_index=address_index,
        merge_fields=tuple(name_merge_fields(others, positions)),
        has_header=has_header,
    )


def _check_size(first: Sequence[str]) -> None:
    """Refuse a first line that no list has, before its cells become columns in the database and on pages."""
    if len(first) > COLUMNS_MAX:
        raise UnreadableFile(f"The file has {len(first)} columns. Keep it to {COLUMNS_MAX} or fewer.")
    for number, cell in enumerate(first, 1):
        if len(cell) > HEADING_MAX_LENGTH:
            raise UnreadableFile(
                f"Cell {number} of the first line has {len(cell):,} characters. Keep it to {HEADING_MAX_LENGTH:,}; "
                "if you see none that long, a quote is opened there and never closed."
            )


def is_address(cell: str) -> bool:
    try:
        return "@" in cell and bool(normalise_address(cell))
    except BadAddress:
        return False


def _find_address_column(header: Sequence[str], records: Sequence[Sequence[str]]) -> int:
    """By name if the name is plain, else by what is in the column."""
    counts = _count_addresses(header, records)
    strong = [index for index, heading in enumerate(header) if is_address_heading(heading)]
    if strong:  # of several the fullest: "Mail" may say yes or no, beside "E-Mail"
        return max(strong, key=lambda index: counts[index])
    maybe = [index for index, heading in enumerate(header) if is_maybe_address_heading(heading)]
    best = max(maybe or range(len(header)), key=lambda index: counts[index])
    if maybe and (counts[best] or not any(counts)):
        return best
    return _find_address_cells(header, records)


def _find_address_cells(first: Sequence[str], records: Sequence[Sequence[str]]) -> int:
    """The column with most addresses in it."""
    counts = _count_addresses(first, records)
    if not any(counts):
        found = ", ".join(repr(cell if len(cell) <= SHOWN_LENGTH else f"{cell[:SHOWN_LENGTH]}…") for cell in first[:8])
        raise UnreadableFile(
            f"No column of e-mail addresses was found; the first line has {found}. Name one of the columns email."
        )
    return counts.index(max(counts))


def _count_addresses(first: Sequence[str], records: Sequence[Sequence[str]]) -> list[int]:
    """How many of the records have an address in each column."""
    return [sum(index < len(record) and is_address(record[index]) for record in records) for index in range(len(first))]


def _has_address_cell(records: Sequence[Sequence[str]]) -> bool:
    return any(is_address(cell) for record in records[:5] for cell in record)
