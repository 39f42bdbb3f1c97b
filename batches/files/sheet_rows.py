"""The rows of a sheet as every reader of spreadsheets gives them, and the choice among the sheets of a file.

The isolated program that reads spreadsheets imports this module.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from batches.files.headings import HeadingRank, rank_heading

COLUMNS_MAX = 16_384
"""The most columns that a sheet can have."""

SAMPLE_ROWS = 200
"""How many rows that hold something are looked at to choose the sheet."""

NO_RESULT = "formula"
"""The fault of a cell that holds a formula without its result. Other faults are error values, such as "#N/A"."""

REPEATED = "repeated"
"""The fault of a row that stands for many more like it, which are not read."""

LONG = "long"
"""The fault of a cell with more text than a cell may have."""

Fault = tuple[str, str]
"""The cell, such as B3, and what is wrong with it."""

_ADDRESS = re.compile(r"[^\s@]@[^\s@.,;]+\.[^\s@]")


class Row(NamedTuple):
    """A row that holds something."""

    number: int
    """Its number in the sheet, from 1. Numbers grow."""
    cells: list[str]
    """What the cells show, from column A to the last that is not blank."""
    is_hidden: bool
    faults: list[Fault] | None


@dataclass(kw_only=True, slots=True)
class Sheet:
    """A sheet, whose rows can be read once."""

    name: str
    is_hidden: bool
    rows: Iterator[Row]


class SheetSample:
    """Looks at the first rows of a sheet."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.address_count = 0
        self._has_heading = self._has_list = False

    @property
    def rank(self) -> int:
        """How much the sheet looks like a list of recipients: 0 if it is blank, 1 if it has no address, up to 5."""
        if self._has_list and self.address_count > 1:
            return 5
        if self.address_count > 1:
            return 4
        if self.address_count:
            return 3 if self._has_list else 2
        return 1 if self.rows else 0

    def take(self, rows: Iterable[Row]) -> None:
        """Read the first rows."""
        for row in rows:
            self.rows.append(row)
            count = sum(1 for cell in row.cells if "@" in cell and _ADDRESS.search(cell))
            self.address_count += count
            self._has_list = self._has_list or (self._has_heading and count > 0)
            if not count and not self._has_heading:
                self._has_heading = any(rank_heading(cell) < HeadingRank.NONE for cell in row.cells)
            if len(self.rows) == SAMPLE_ROWS:
                return


def name_cell(row: int, column: int) -> str:
    """Return "B3" for row 3 and column 1."""
    letters = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return f"{letters}{row}"
