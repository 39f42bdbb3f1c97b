"""Find how a file is laid out: its delimiter, whether it has a header, and which column holds the address.

Looks at the first records only.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from batches.files.addresses import SPACES, is_address
from batches.files.errors import UnreadableFile
from batches.files.headings import is_ambiguous_heading, is_email_heading
from batches.files.layout import COLUMNS_MAX, Layout, make_layout
from batches.files.reading import is_separator_line

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_RECORDS = 50
HEADING_MAX_LENGTH = 1000
SHOWN_LENGTH = 40
"""How many characters of a heading an error quotes."""


def read_sample(text: str, delimiter: str) -> list[list[str]]:
    """Return the first records of a file. A fault ends the sample: the import itself reports it with its line."""
    return take_sample(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def take_sample(records: Iterable[list[str]]) -> list[list[str]]:
    """Return the first records that are not blank, SAMPLE_RECORDS at most."""
    sample: list[list[str]] = []
    try:
        for record in islice(records, SAMPLE_RECORDS * 10):
            if any(cell.strip() for cell in record) and not is_separator_line(record):
                sample.append(record)
            if len(sample) == SAMPLE_RECORDS:
                break
    except csv.Error:
        pass
    return sample


def check_delimiter(delimiter: str) -> str:
    """Return the delimiter that a person chose.

    Raises:
        UnreadableFile: no list can have this delimiter.
    """
    if delimiter not in DELIMITERS:
        raise UnreadableFile("The delimiter must be a comma, a semicolon, a tab or a vertical bar. Choose one of them.")
    return delimiter


def detect_delimiter(text: str) -> str:
    """Find the delimiter under which most records have the same number of columns, two or more; else a comma.

    If two delimiters do that, a delimiter under which a cell is an address wins: "a@x.org;Doe, Jane".
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
    records: Sequence[Sequence[str]], *, has_header: bool | None = None, address_index: int | None = None
) -> Layout:
    """Find the layout in the first records. What a person chose takes precedence over what is found.

    Raises:
        UnreadableFile: there is no record, no column of addresses, or the first line is that of no list.
    """
    if not records:
        raise UnreadableFile("The file is empty. Give it a header and a line for each recipient.")
    first = [cell.strip().strip(SPACES) for cell in records[0]]
    _check_size(first)
    if address_index is not None and address_index >= len(first):
        raise UnreadableFile(
            f"There is no column {address_index + 1} for the address: read in this way, the file has only "
            f"{len(first)}. Choose another column or another delimiter."
        )
    if has_header is None:
        has_header = not any(map(is_address, first))
    if not has_header and len(first) > 1 and all(map(is_address, first)):
        raise UnreadableFile(
            "Every cell of the first line is an address. Put each address on a line of its own, or add a header."
        )
    if address_index is None:
        find = _find_address_column if has_header else _find_column_by_cells
        address_index = find(first, records[1:] if has_header else records)
    if not has_header:
        first = [f"column_{number}" for number in range(1, len(first) + 1)]
        first[address_index] = "email"
    return make_layout(first, address_index=address_index, has_header=has_header)


def _check_size(first: Sequence[str]) -> None:
    """Refuse a first line that no list has, before its cells become columns in the database and on pages."""
    if len(first) > COLUMNS_MAX:
        raise UnreadableFile(f"The file has {len(first)} columns. Reduce them to {COLUMNS_MAX} or fewer.")
    for number, cell in enumerate(first, 1):
        if len(cell) > HEADING_MAX_LENGTH:
            raise UnreadableFile(
                f"Cell {number} of the first line has {len(cell):,} characters. Shorten it to {HEADING_MAX_LENGTH:,}. "
                "If you see no cell that long, a quotation mark opens there and is never closed."
            )


def _find_address_column(headings: Sequence[str], records: Sequence[Sequence[str]]) -> int:
    """Find the address column by its heading, and where the heading leaves a doubt, by its cells."""
    counts = _count_addresses(headings, records)
    certain = [index for index, heading in enumerate(headings) if is_email_heading(heading)]
    if certain:  # of several, take the one with most addresses: beside "E-Mail", a column "Mail" may hold yes or no
        return max(certain, key=lambda index: counts[index])
    ambiguous = [index for index, heading in enumerate(headings) if is_ambiguous_heading(heading)]
    best = max(ambiguous or range(len(headings)), key=lambda index: counts[index])
    if ambiguous and (counts[best] or not any(counts)):
        return best
    return _find_column_by_cells(headings, records)


def _find_column_by_cells(first: Sequence[str], records: Sequence[Sequence[str]]) -> int:
    """Find the column that holds most addresses."""
    counts = _count_addresses(first, records)
    if not any(counts):
        shown = ", ".join(repr(cell if len(cell) <= SHOWN_LENGTH else f"{cell[:SHOWN_LENGTH]}…") for cell in first[:8])
        raise UnreadableFile(
            f"The file has no column of email addresses. Its first line has {shown}. Name one of the columns email."
        )
    return counts.index(max(counts))


def _count_addresses(first: Sequence[str], records: Sequence[Sequence[str]]) -> list[int]:
    """Count, for each column, the records that have an address in it."""
    return [sum(index < len(record) and is_address(record[index]) for record in records) for index in range(len(first))]


def _has_address_cell(records: Sequence[Sequence[str]]) -> bool:
    return any(is_address(cell) for record in records[:5] for cell in record)
