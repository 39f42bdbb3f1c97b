"""Write pages of cells as an .xlsx file, row by row and in constant memory.

A text stays a text: leading zeros, long numbers and dates are written as they were read, and a text that looks like a
formula is none (the cell has the type and the format of a text, so it stays one when a person edits it). A sheet has
1,048,576 rows at most (ECMA-376), so more rows fill further sheets, each with the header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from itertools import chain
from typing import IO, Any

import xlsxwriter

from batches.exports.cells import Row

SHEET_ROWS = 1_048_576
CELL_CHARACTERS = 32_767
"""The most that Excel keeps of a cell, in units of UTF-16: most emoji are two."""
CUT = "… (cut)"
"""Ends a cell of which that is not all."""
SHEET_NAME_CHARACTERS = 31
RESERVED_SHEET_NAME = "history"
"""Excel keeps it for itself, and refuses a workbook that has it."""
COLUMN_MIN_WIDTH, COLUMN_MAX_WIDTH = 8, 48
"""In characters."""
_NO_SHEET_NAME = re.compile(r"[\[\]:*?/\\\x00-\x1f]")
DATE_FORMAT = "yyyy-mm-dd hh:mm:ss"
OPTIONS = {
    "constant_memory": True,
    "strings_to_numbers": False,
    "strings_to_formulas": False,
    "strings_to_urls": False,
}


def write_xlsx(
    file: IO[bytes],
    columns: Sequence[str],
    pages: Iterable[list[Row]],
    *,
    sheet_name: str,
    zone: tzinfo,
    sheet_rows: int = SHEET_ROWS,
) -> None:
    """Write everything to a file. Times are shown as the clocks of the zone do."""
    with xlsxwriter.Workbook(file, OPTIONS) as book:
        _BookWriter(book, columns, name_sheet(sheet_name), zone, sheet_rows).write(pages)


def name_sheet(name: str) -> str:
    """Return the name of a sheet as Excel takes it."""
    taken = _NO_SHEET_NAME.sub(" ", name)[:SHEET_NAME_CHARACTERS].strip(" '") or "List"
    return f"{taken} 1" if taken.lower() == RESERVED_SHEET_NAME else taken


class _BookWriter:
    """Writes one workbook. Its sheets are written one after the other: constant memory allows no way back."""

    def __init__(self, book: Any, columns: Sequence[str], name: str, zone: tzinfo, sheet_rows: int) -> None:
        self._book, self._columns, self._name, self._zone = book, columns, name, zone
        self._text = book.add_format({"num_format": "@"})
        self._time = book.add_format({"num_format": DATE_FORMAT, "align": "left"})
        self._head = book.add_format({"num_format": "@", "bold": True})
        self._data_rows = sheet_rows - 1
        self._sheet_count = 0

    def write(self, pages: Iterable[list[Row]]) -> None:
        iterator = iter(pages)
        first = next(iterator, [])
        widths = [_find_width(index, self._columns, first) for index in range(len(self._columns))]
        rows = chain(first, chain.from_iterable(iterator))
        while self._write_sheet(rows, widths):
            pass

    def _write_sheet(self, rows: Iterator[Row], widths: Sequence[int]) -> bool:
        """Fill one sheet, and say whether there may be more rows."""
        row = next(rows, None)
        if row is None and self._sheet_count:
            return False
        self._sheet_count += 1
        sheet = self._book.add_worksheet(self._next_name())
        for index, width in enumerate(widths):
            sheet.set_column(index, index, width)
        sheet.freeze_panes(1, 0)
        for index, column in enumerate(self._columns):
            sheet.write_string(0, index, _fit(column), self._head)
        number = 0
        while row is not None:
            number += 1
            self._write_row(sheet, number, row)
            row = next(rows, None) if number < self._data_rows else None
        return number == self._data_rows

    def _next_name(self) -> str:
        if self._sheet_count == 1:
            return self._name
        ending = f" {self._sheet_count}"
        return self._name[: SHEET_NAME_CHARACTERS - len(ending)] + ending

    def _write_row(self, sheet: Any, number: int, row: Row) -> None:
        for index, cell in enumerate(row):
            if isinstance(cell, str):
                if cell:
                    sheet.write_string(number, index, _fit(cell), self._text)
            elif isinstance(cell, datetime):
                sheet.write_datetime(number, index, cell.astimezone(self._zone).replace(tzinfo=None), self._time)
            elif cell is not None:
                sheet.write_number(number, index, cell)


def _find_width(index: int, columns: Sequence[str], rows: Sequence[Row]) -> int:
    lengths = (len(cell) if isinstance(cell, str) else 19 for row in rows if (cell := row[index]) is not None)
    longest = max([len(columns[index]), *lengths])
    return max(COLUMN_MIN_WIDTH, min(COLUMN_MAX_WIDTH, longest + 2))


def _fit(text: str) -> str:
    if len(text) <= CELL_CHARACTERS // 2:  # of whatever characters
        return text
    units = text.encode("utf-16-le")
    if len(units) <= 2 * CELL_CHARACTERS:
        return text
    return units[: 2 * (CELL_CHARACTERS - len(CUT))].decode("utf-16-le", "ignore") + CUT
