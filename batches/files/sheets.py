"""Read spreadsheets in a child process.

An uploaded file enters. The rows of one sheet leave as records, and the names of all its sheets. Spreadsheets may be
hostile, so a child process with limits reads them.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

import orjson

from batches.files.errors import StorageFull, UnreadableFile
from batches.files.findings import SheetChoice
from batches.files.reading import RejectedRecord, limit_records
from batches.files.sheet_program import REFUSED
from batches.files.sheet_rows import LONG, NO_RESULT, REPEATED
from batches.files.sheet_slots import hold_slot

TIMEOUT_SECONDS = 120
"""How long the child process may take. Its limit on processor time is lower, so this ends a child that hangs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedSheet:
    """The sheet that is read, and the others of its file."""

    name: str
    sheets: tuple[SheetChoice, ...]
    """Every sheet of the file, in its order."""
    rows: BinaryIO
    """Its rows, as sheet_program writes them."""


@contextmanager
def open_sheet(file: BinaryIO, *, sheet: str | None = None, reader: int | None = None) -> Iterator[OpenedSheet]:
    """Read a sheet of a spreadsheet: the one with this name, else the visible one that looks most like a list.

    ``reader`` is the number of the user whose file it is: one user has not all places to read in.

    Raises:
        UnreadableFile: the spreadsheet is locked, broken or too big, or has no such sheet.
        StorageFull: there is no room for the rows.
        ServerBusy: too many spreadsheets are being read.
    """
    with tempfile.TemporaryFile() as copy, tempfile.TemporaryFile() as rows:
        shutil.copyfileobj(file, copy)
        copy.seek(0)
        head = _convert(cast(BinaryIO, copy), cast(BinaryIO, rows), sheet=sheet, reader=reader)
        sheets = tuple(SheetChoice(**choice) for choice in head["sheets"])
        yield OpenedSheet(name=head["sheet"], sheets=sheets, rows=cast(BinaryIO, rows))


class SheetRecords:
    """The records of a sheet. The line of a record is the number of its row in the sheet.

    Rows that hold nothing are not stored. One blank record stands for all that are left out between two rows.
    """

    def __init__(self, sheet: OpenedSheet, *, hidden_rows: bool = False) -> None:
        """Begin at the sheet's first row. Without ``hidden_rows``, each row that the sheet hides is rejected."""
        sheet.rows.seek(0)
        self._rows = map(orjson.loads, sheet.rows)
        self._takes_hidden_rows = hidden_rows
        self._waiting: list[Any] | None = None
        self.reader = self
        self.line_num = 0
        self._count = 0
        self._length = 0

    @property
    def read_limit(self) -> int:
        return limit_records(self._count, self._length)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[str]:
        """Return the next record.

        Raises:
            RejectedRecord: the row is hidden, or a cell of it has no value that a mail could say.
        """
        row = self._waiting or next(self._rows)
        self._waiting = None
        if row[0] > self.line_num + 1:
            self._waiting = row
            self.line_num = row[0] - 1
            return []
        self.line_num = row[0]
        cells: list[str] = row[1]
        self._count += 1
        self._length += sum(map(len, cells)) + len(cells)
        if len(row) > 2:
            self._check(cells, **row[2])
        return cells

    def _check(self, cells: list[str], *, hidden: bool, faults: list[tuple[str, str]]) -> None:
        """Reject a row that must not be read."""
        if hidden and not self._takes_hidden_rows:
            raise RejectedRecord(
                cells=cells,
                reason="The row is hidden in the sheet. Show it there, or choose to take hidden rows too.",
                is_hidden=True,
            )
        if faults:
            raise RejectedRecord(cells=cells, reason=_name_fault(*faults[0]))

    def recover_line(self, exc: csv.Error, *, line: int) -> str:
        raise exc


def _name_fault(cell: str, fault: str) -> str:
    """Say what is wrong with a cell, and what to do."""
    if fault == NO_RESULT:
        return (
            f"Cell {cell} holds a formula without its result. "
            "Open the file in a spreadsheet program, save it, and upload it again."
        )
    if fault == REPEATED:
        first, _, last = cell.partition(":")
        return (
            f"Rows {int(first):,} to {int(last):,} are the same as the row before them, so they were not read. "
            "Delete them in the sheet if they are no recipients."
        )
    if fault == LONG:
        return f"Cell {cell} has more characters than a cell may have. Shorten it."
    return f"Cell {cell} shows the error {fault}. Correct it in the sheet, or replace it by the right value."


def _convert(source: BinaryIO, target: BinaryIO, *, sheet: str | None, reader: int | None) -> dict[str, Any]:
    """Run sheet_program. It writes the rows of a sheet to ``target``; return what it says of the sheets."""
    program = Path(__file__).with_name("sheet_program.py")
    with hold_slot(reader=reader) as slot:
        try:
            done = subprocess.run(  # noqa: S603
                # -I: the child sees neither this process's folder nor its environment, only installed packages.
                [sys.executable, "-I", str(program), *([] if sheet is None else [sheet])],
                stdin=source,
                stdout=target,
                stderr=subprocess.PIPE,
                timeout=TIMEOUT_SECONDS,
                check=False,
                pass_fds=slot,  # if this process is killed, the child goes on for a while, and holds the slot
            )
        except subprocess.TimeoutExpired as exc:
            raise UnreadableFile("The spreadsheet took too long to read. Save it as CSV and upload that.") from exc
    message = done.stderr.decode(errors="replace")
    if done.returncode == REFUSED:
        raise UnreadableFile(message)
    if "No space left on device" in message:
        raise StorageFull
    if done.returncode:
        raise UnreadableFile("The spreadsheet is too big to read or is damaged. Save it as CSV and upload that.")
    return cast(dict[str, Any], orjson.loads(message))
