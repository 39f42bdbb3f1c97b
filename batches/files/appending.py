"""Match the columns of a file that is added to a draft with the draft's own, and put its cells in that order."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from batches.files.dialect import Layout
from batches.files.errors import UnreadableFile
from batches.files.formulas import rearm
from batches.files.reading import Reader, Records

LINE_COLUMN = "line"
REASON_COLUMN = "reason"
"""The columns that rejected.csv adds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnMatch:
    """Where each of the draft's columns is in the added file."""

    order: tuple[int, ...]
    width: int
    """Columns in the added file's header."""
    line_index: int | None
    """Where a mended file says which line it mends."""


def match_columns(layout: Layout, columns: Sequence[str]) -> ColumnMatch:
    """Find the draft's columns in the layout of the added file: by name, or by place if it has no header.

    Raises:
        UnreadableFile: naming the columns that are missing or too many.
    """
    if not layout.has_header:
        if len(layout.columns) != len(columns):
            raise UnreadableFile(
                f"The file has {len(layout.columns)} columns and no header, the list has {len(columns)}. Add a header."
            )
        return ColumnMatch(order=tuple(range(len(columns))), width=len(columns), line_index=None)
    left = dict(enumerate(map(_fold, layout.columns)))
    order = [_take(left, _fold(name)) for name in columns]
    missing = [name for name, place in zip(columns, order, strict=True) if place is None]
    line_index = _take(left, LINE_COLUMN)
    _take(left, REASON_COLUMN)
    surplus = [layout.columns[place] for place, name in left.items() if name]
    if missing or surplus:
        what = f"lacks {', '.join(missing)}" if missing else f"also has {', '.join(surplus)}"
        raise UnreadableFile(f"The file must have the columns of the list, but it {what}. Mend its header.")
    places = tuple(place for place in order if place is not None)
    return ColumnMatch(order=places, width=len(layout.columns), line_index=line_index)


class MatchedRecords:
    """The records of an added file, in the order of the draft's columns."""

    def __init__(self, records: Records, match: ColumnMatch) -> None:
        self._records = records
        self._match = match
        self.corrected_lines = array("I")
        """The lines that the file says it mends: four bytes each."""
        self.reader: Reader = self

    @property
    def line_num(self) -> int:
        return self._records.reader.line_num

    @property
    def at_hand(self) -> int:
        return self._records.at_hand

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        cells = next(self._records.reader)
        match = self._match
        if match.line_index is not None and match.line_index < len(cells):
            cells = [rearm(cell) for cell in cells]
            line = cells[match.line_index].strip()
            if line.isdecimal() and len(line) < 10:
                self.corrected_lines.append(int(line))
        ordered = [cells[place] if place < len(cells) else "" for place in match.order]
        return ordered + cells[match.width :]

    def explain(self, exc: csv.Error, *, line: int) -> str:
        return self._records.explain(exc, line=self._records.reader.line_num)


def _fold(heading: str) -> str:
    return " ".join(heading.split()).casefold()


def _take(left: dict[int, str], name: str) -> int | None:
    """The first place that is left with this name; it is left no longer."""
    place = next((place for place, heading in left.items() if heading == name), None)
    if place is not None:
        del left[place]
    return place
