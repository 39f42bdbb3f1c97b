"""Give out the records of a list from its first recipient, with the cells of the columns that count.

The records of the whole file enter. A line above the header that holds an @-sign leaves as a RejectedRecord, because it
may be a recipient. Every other line above it, and the header, leave as blank records, so that the lines are counted.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

from batches.files.cells import has_at_sign, is_ruler, tidy_cells
from batches.files.errors import UnreadableFile
from batches.files.layout import Layout
from batches.files.reading import Reader, Records, RejectedRecord
from batches.files.sample import is_separator_line


class StartedRecords:
    """The records of a list, with the header and what is above it taken out."""

    def __init__(self, records: Records, layout: Layout, *, header_lines: tuple[int, int] | None) -> None:
        self._records = records
        self._kept = layout.kept
        self._width = layout.width
        self._dropped = sorted({*range(layout.width)} - {*(layout.kept or range(layout.width))})
        self._header_first, self._header_last = header_lines or (0, 0)
        self._is_at_start = True

    @property
    def reader(self) -> Reader:
        """The file's own reader as soon as it can be: the import's hot loop calls it for each record."""
        return self if self._is_at_start or self._kept is not None else self._records.reader

    @property
    def line_num(self) -> int:
        return self._records.reader.line_num

    @property
    def read_limit(self) -> int:
        return 1 if self._is_at_start else self._records.read_limit

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        reader = self._records.reader
        return self._read_start(reader) if self._is_at_start else self._take_kept(self._next(reader))

    def recover_line(self, exc: csv.Error, *, line: int) -> str:
        return self._records.recover_line(exc, line=line)

    def _read_start(self, reader: Reader) -> list[str]:
        """Read a record of the start: the lines down to the header, or the first line with "sep=;"."""
        line = reader.line_num + 1
        if line > self._header_last:
            cells = self._next(reader)
            if self._header_last and is_ruler(tidy_cells(cells)):  # a line drawn below the header
                return []
            self._is_at_start = False
            return [] if line == 1 and is_separator_line(cells) else self._take_kept(cells)
        try:
            cells = next(reader)
        except RejectedRecord as exc:
            cells = exc.cells
        except csv.Error as exc:
            cells = [self._recover_start(exc, line)]
        if line < self._header_first and any(map(has_at_sign, cells)):
            raise RejectedRecord(
                cells=cells,
                reason="The line is above the header. If it is a recipient, move it below the header.",
            )
        return []

    def _recover_start(self, exc: csv.Error, line: int) -> str:
        if line < self._header_first:
            return self._records.recover_line(exc, line=line)
        raise UnreadableFile(
            f"In the header, a quotation mark is in the wrong place or is never closed. Correct line {line}."
        ) from exc

    def _next(self, reader: Reader) -> list[str]:
        """Read a record. If the reader rejects it, its cells too are those of the columns that count."""
        try:
            return next(reader)
        except RejectedRecord as exc:
            if self._kept is not None:
                exc.cells = self._keep(exc.cells)
            raise

    def _take_kept(self, cells: list[str]) -> list[str]:
        """Return the cells of the columns that count.

        Raises:
            RejectedRecord: another cell holds text.
        """
        if self._kept is None or not cells:
            return cells
        count = len(cells)
        surplus = [*(place for place in self._dropped if place < count), *range(self._width, count)]
        filled = next((place for place in surplus if cells[place].strip()), None)
        if filled is not None:
            raise RejectedRecord(
                cells=[*self._keep(cells), cells[filled]],
                reason=f"Cell {filled + 1} holds text, but its column has no heading, and is blank in the first lines. "
                "Give the column a heading, or clear the cell.",
            )
        return self._keep(cells)

    def _keep(self, cells: list[str]) -> list[str]:
        return [cells[place] if place < len(cells) else "" for place in self._kept or ()]
