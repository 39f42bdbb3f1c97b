"""Find the header of a list among its first records: below titles and notes, above the first recipient. Pure.

A record with an @-sign is data, so it never becomes a header, and the import reports it if it is above one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from batches.files.cells import has_at_sign, holds_address, is_meant_as_address, is_no_address, is_value, is_wording
from batches.files.headings import HeadingRank, is_known_heading, names_contact, rank_heading
from batches.files.sample import SampleRecord
from batches.names import make_key

SEARCHED_RECORDS = 20
"""In how many of the first records the header is looked for."""

_NOTE = re.compile(r"[^@:]*[^\W\d][^@:]*:(?:$|\s)")

RECORDS_ABOVE_MAX = 2
"""How many lines with an address may be above a header, as in "Questions to:,office@example.com"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The header of a list, and what is around it in the sample."""

    headings: list[str]
    line: int
    """The line by which a person knows it: the one with the headings, or the last one if two rows were joined."""
    first_line: int
    last_line: int
    above: Sequence[SampleRecord]
    below: Sequence[SampleRecord]


def find_header(sample: Sequence[SampleRecord]) -> Header | None:
    """Find the header: the first record with an email heading above addresses, else the record above the first address.

    Returns None if the list has no header.
    """
    searched = sample[:SEARCHED_RECORDS]
    place = _find_by_heading(searched, sample)
    if place is None and not any(holds_address(cell) for record in sample for cell in record.cells):
        place = _find_heading_above_data(searched)
    if place is None:
        place = _find_above_first_address(searched, sample)
    if place is None:
        place = _find_heading_above_data(searched)
    return None if place is None else _with_second_row(sample, place)


def count_titles(sample: Sequence[SampleRecord]) -> int:
    """Count the titles above a list without a header. A blank line is below them, and they have few cells."""
    first = _find_first(sample[:SEARCHED_RECORDS], is_meant_as_address) or 0
    titles = sample[:first]
    if not titles or titles[-1].last_line + 1 == sample[first].first_line:
        return 0
    is_narrow = all(len(record.filled) * 2 <= max(len(sample[first].filled), 2) for record in titles)
    return first if is_narrow and not any(has_at_sign(cell) for record in titles for cell in record.cells) else 0


def header_at(sample: Sequence[SampleRecord], line: int) -> Header | None:
    """Return the header that a person chose by its line, counted from 1; None if that line holds nothing."""
    for place, record in enumerate(sample):
        if record.first_line <= line <= record.last_line:
            return _make_header(sample, place, place, headings=record.cells)
    return None


def first_as_header(sample: Sequence[SampleRecord]) -> Header:
    """Return the first record as the header, because a person said that there is one."""
    return _make_header(sample, 0, 0, headings=sample[0].cells)


def _find_by_heading(searched: Sequence[SampleRecord], sample: Sequence[SampleRecord]) -> int | None:
    for rank in (HeadingRank.PLAIN, HeadingRank.NOTED, HeadingRank.SECONDARY, HeadingRank.AMBIGUOUS):
        for place, record in enumerate(searched):
            below = sample[place + 1 :]
            columns = [column for column in _ranks(record, rank) if _has_address_below(below, column)]
            if not columns or _is_data(record, rank, below) or _is_among_recipients(sample, place, columns):
                continue
            if rank == HeadingRank.PLAIN or not _is_title(record, below):
                return place
    return None


def _is_title(record: SampleRecord, below: Sequence[SampleRecord]) -> bool:
    """Say whether a record has cells over less than half of a usual record, as "E-Mail-Liste 2026" has."""
    width = Counter(len(other.filled) for other in below).most_common(1)[0][0]
    return len(record.filled) * 2 <= width


def _find_heading_above_data(searched: Sequence[SampleRecord]) -> int | None:
    """Find a plain email heading in a list in which no cell under it is an address."""
    for place, record in enumerate(searched):
        if any(map(has_at_sign, record.cells)):
            return None
        if _ranks(record, HeadingRank.PLAIN):
            return place
    return None


def _ranks(record: SampleRecord, rank: HeadingRank) -> list[int]:
    cells = record.cells
    return [
        column for column in record.filled if rank_heading(cells[column]) == rank and not is_no_address(cells[column])
    ]


def _has_address_below(records: Sequence[SampleRecord], column: int) -> bool:
    return any(holds_address(record.cell(column)) for record in records)


def _is_data(record: SampleRecord, rank: HeadingRank, below: Sequence[SampleRecord]) -> bool:
    """Say whether a record holds an address that belongs to no heading, such as "E-Mail <office@example.com>".

    Beside a plain email heading, "Twitter (@)" is a heading too, and "Questions: office@example.com" is a note if its
    column has no addresses.
    """
    if rank != HeadingRank.PLAIN:
        return any(has_at_sign(cell) and rank_heading(cell) == HeadingRank.NONE for cell in record.cells)
    return any(
        is_meant_as_address(cell)
        and rank_heading(cell) == HeadingRank.NONE
        and not (_NOTE.match(cell) and not any(is_meant_as_address(record.cell(column)) for record in below))
        for column, cell in enumerate(record.cells)
    )


def _is_among_recipients(sample: Sequence[SampleRecord], place: int, columns: Sequence[int]) -> bool:
    """Say whether the records above a possible header are recipients, as in two lists that were put together."""
    above = [other for other in range(place) if any(holds_address(sample[other].cell(column)) for column in columns)]
    if len(above) > RECORDS_ABOVE_MAX:
        return True
    return any(
        len(sample[other].filled) >= len(sample[place].filled)
        and not _is_note(sample[other])
        and sample[other].last_line + 1 == sample[other + 1].first_line
        and other + 1 in (*above, place)
        for other in above
    )


def _find_above_first_address(searched: Sequence[SampleRecord], sample: Sequence[SampleRecord]) -> int | None:
    """Find the nearest record above the first address that may be a header. The import rejects those between."""
    tests = (holds_address, is_meant_as_address)
    found = (_find_first(sample, test) for test in tests)
    first = next((place for place in found if place is not None), None)
    if first is None:
        return None
    columns = [column for column in sample[first].filled if is_meant_as_address(sample[first].cells[column])]
    places = range(min(first, len(searched)))
    return next((place for place in reversed(places) if _may_be_header(searched[place], sample[first], columns)), None)


def _find_first(sample: Sequence[SampleRecord], test: Callable[[str], bool]) -> int | None:
    """Find the first record with an address that is no note for the readers of the list, such as "Contact: ..."."""
    places = (place for place, record in enumerate(sample) if any(map(test, record.cells)))
    return next((place for place in places if not _is_note(sample[place])), None)


def _is_note(record: SampleRecord) -> bool:
    """Say whether a record speaks of an address: "Questions to:,office@example.com", "Contact,office@example.com"."""
    return any(_NOTE.match(cell) or names_contact(cell) for cell in record.cells)


def _may_be_header(record: SampleRecord, recipient: SampleRecord, columns: Sequence[int]) -> bool:
    """Say whether a record has a heading over most cells of a recipient, and over the address above all."""
    covered = sum(bool(record.cell(column)) for column in recipient.filled)
    if covered * 2 <= len(recipient.filled) and len(recipient.filled) > 1:
        return False
    if any(has_at_sign(cell) or is_value(cell) for cell in record.cells):
        return False
    if any(is_wording(record.cell(column)) for column in columns):
        return True
    is_blank = not any(record.cell(column) for column in columns)
    return is_blank and any(map(is_known_heading, record.cells))


def _with_second_row(sample: Sequence[SampleRecord], place: int) -> Header:
    """Return the header at a place, joined with the row of headings above or below it, if there is one."""
    record = sample[place]
    lower = sample[place + 1] if place + 1 < len(sample) else None
    if lower and lower.first_line == record.last_line + 1 and not any(map(has_at_sign, lower.cells)):
        columns = [column for column in record.filled if rank_heading(record.cells[column]) < HeadingRank.NONE]
        ranks = [rank_heading(lower.cell(column)) for column in columns]
        if HeadingRank.PLAIN in ranks:  # a title above the header, or the same headings in two languages
            is_wider = len(lower.filled) > len(record.filled)
            chosen = lower if is_wider else record
            return _make_header(sample, place, place + 1, headings=chosen.cells, line=chosen.last_line)
        if any(rank < HeadingRank.NONE for rank in ranks) or _fills_gaps(record, lower, sample[place + 2 :], columns):
            headings = _join_rows(record, lower, is_whole=set(lower.filled) <= set(record.filled))
            return _make_header(sample, place, place + 1, headings=headings)
    upper = sample[place - 1] if place else None
    if upper and upper.last_line + 1 == record.first_line and _is_row_of_groups(upper):
        return _make_header(sample, place - 1, place, headings=_join_rows(upper, record, is_whole=False))
    return _make_header(sample, place, place, headings=record.cells)


def _fills_gaps(
    upper: SampleRecord, lower: SampleRecord, below: Sequence[SampleRecord], columns: Sequence[int]
) -> bool:
    """Say whether a row has the headings that the header above it lacks, as under merged cells."""
    gaps = [column for column in lower.filled if not upper.cell(column)]
    used = {column for record in below for column in record.filled}
    is_blank_under_address = not any(lower.cell(column) for column in columns)
    return (
        bool(gaps)
        and bool(below)
        and is_blank_under_address
        and not any(map(is_value, lower.cells))
        and all(upper.cell(column) or lower.cell(column) for column in used)
    )


def _is_row_of_groups(record: SampleRecord) -> bool:
    """Say whether a record may be the upper row of a header, with a heading over several columns: "Mutter,,Vater,"."""
    return len(record.filled) > 1 and not any(has_at_sign(cell) or is_value(cell) for cell in record.cells)


def _join_rows(upper: SampleRecord, lower: SampleRecord, *, is_whole: bool) -> list[str]:
    """Join two rows of headings.

    The lower heading alone is taken if it is the only one of its name, unless the upper row is whole: then each
    heading goes over two rows. An upper heading counts for the blank cells after it too.
    """
    keys = Counter(map(make_key, lower.cells))
    headings: list[str] = []
    group = ""
    for column in range(max(len(upper.cells), len(lower.cells))):
        above, below = upper.cell(column), lower.cell(column)
        group = above or group
        is_shared = keys[make_key(below)] > 1
        if below and (is_whole or is_shared):
            headings.append(_join_headings(above if is_whole else group, below))
        else:
            headings.append(below or above)
    return headings


def _join_headings(upper: str, lower: str) -> str:
    if upper.endswith("-"):
        return upper[:-1] + lower if lower[:1].islower() else upper + lower
    return f"{upper} {lower}".strip()


def _make_header(
    sample: Sequence[SampleRecord], first: int, last: int, *, headings: list[str], line: int | None = None
) -> Header:
    return Header(
        headings=headings,
        line=line or sample[last].last_line,
        first_line=sample[first].first_line,
        last_line=sample[last].last_line,
        above=sample[:first],
        below=sample[last + 1 :],
    )
