"""Match the columns of a second file with the columns of a list, and put its cells in the list's order.

The records of a file that is added to a draft enter. The same records leave in the order of the draft's columns, with
the line numbers that the file says it corrects.
"""

from __future__ import annotations

import csv
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from batches.files.errors import UnreadableFile
from batches.files.formulas import rearm
from batches.files.layout import Layout
from batches.files.reading import ChangedRecords, Records, RejectedRecord
from batches.names import make_key

LINE_COLUMN = "line"
REASON_COLUMN = "reason"
"""The two columns that rejected.csv adds to the columns of the list."""

LINE_MAX_DIGITS = 9
"""A longer number is no line of a file, and would not fit into four bytes."""

_STAYS_HIDDEN = "The row is hidden in the sheet, so it stays left out. To add it, clear its number in the column line."


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnMatch:
    """Where each column of the list is in the added file."""

    order: tuple[int, ...]
    width: int
    """The number of columns in the added file's header."""
    line_index: int | None
    """The column in which a corrected file says which line of the list each row corrects."""


def match_columns(layout: Layout, columns: Sequence[str]) -> ColumnMatch:
    """Find the columns of the list in the layout of the added file: by name, or by place if the file has no header.

    Raises:
        UnreadableFile: the file lacks columns or has others. The message names them.
    """
    if not layout.has_header:
        if len(layout.columns) != len(columns):
            raise UnreadableFile(
                f"The file has {len(layout.columns)} columns and no header, but the list has {len(columns)} columns. "
                "Add a header."
            )
        return ColumnMatch(order=tuple(range(len(columns))), width=len(columns), line_index=None)
    unmatched = dict(enumerate(map(_fold, layout.columns)))
    places = [_take(unmatched, _fold(name)) for name in columns]
    if None in places:  # "E-Mail" is "email" too, if no column has the very name
        both = zip(columns, places, strict=True)
        places = [_take_by_key(unmatched, name) if place is None else place for name, place in both]
    missing = [name for name, place in zip(columns, places, strict=True) if place is None]
    line_index = _take(unmatched, LINE_COLUMN)
    _take(unmatched, REASON_COLUMN)
    surplus = [layout.columns[place] for place, name in unmatched.items() if name]
    if missing or surplus:
        what = f"lacks {', '.join(missing)}" if missing else f"also has {', '.join(surplus)}"
        raise UnreadableFile(f"The file must have the columns of the list, but it {what}. Correct its header.")
    order = tuple(place for place in places if place is not None)
    return ColumnMatch(order=order, width=len(layout.columns), line_index=line_index)


class MatchedRecords(ChangedRecords):
    """The records of an added file, in the order of the list's columns."""

    def __init__(self, records: Records, match: ColumnMatch, *, hidden_lines: Sequence[int] = ()) -> None:
        """``hidden_lines`` are the lines of the list that its sheet hides, in their order. They stay rejected."""
        super().__init__(records)
        self._match = match
        self._hidden_lines = hidden_lines
        self.corrected_lines = array("I")
        """The lines of the list that the file says it corrects. An array holds each in four bytes."""
        self._record_line = 0
        """The line of the added file in which the last record begins."""

    def __next__(self) -> list[str]:
        self._record_line = self.line_num + 1
        return super().__next__()

    def _change(self, cells: list[str]) -> list[str]:
        """Return the cells in the order of the list's columns, and note which line of the list they correct.

        Raises:
            RejectedRecord: that line is hidden in the sheet of the list.
        """
        match, line = self._match, None
        if match.line_index is not None and match.line_index < len(cells):
            cells = [rearm(cell) for cell in cells]
            line = self._note_corrected_line(cells[match.line_index].strip())
        ordered = [cells[place] if place < len(cells) else "" for place in match.order] + cells[match.width :]
        if line is not None and self._is_hidden(line):
            raise RejectedRecord(cells=ordered, reason=_STAYS_HIDDEN, is_hidden=True)
        return ordered

    def _note_corrected_line(self, text: str) -> int | None:
        if not text.isdecimal() or len(text) > LINE_MAX_DIGITS:
            return None
        line = int(text)
        self.corrected_lines.append(line)
        return line

    def _is_hidden(self, line: int) -> bool:
        place = bisect_left(self._hidden_lines, line)
        return place < len(self._hidden_lines) and self._hidden_lines[place] == line

    def recover_line(self, exc: csv.Error, *, line: int) -> str:
        # ``line`` counts on from the last line of the list. The error is about a line of the added file.
        return self._records.recover_line(exc, line=self._record_line)


def _fold(heading: str) -> str:
    return " ".join(heading.split()).casefold()


def _take(unmatched: dict[int, str], name: str) -> int | None:
    """Remove the first place with this name from the unmatched ones, and return it; None if there is none."""
    place = next((place for place, heading in unmatched.items() if heading == name), None)
    if place is not None:
        del unmatched[place]
    return place


def _take_by_key(unmatched: dict[int, str], name: str) -> int | None:
    """Remove the first place whose name differs only in accents and signs."""
    key = make_key(name)
    place = next((place for place, heading in unmatched.items() if key and make_key(heading) == key), None)
    if place is not None:
        del unmatched[place]
    return place
