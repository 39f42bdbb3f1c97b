"""A program: read a spreadsheet on standard input, and write the rows of one of its sheets on standard output.

Runs in a child process under limits, because the file may be hostile. Its argument is the name of the sheet; without
one it chooses the sheet that looks most like a list of recipients.

A row is written as a JSON list: its number, its cells, and if there is something to say of it, a mapping with "hidden"
and "faults". Standard error receives a JSON mapping with the sheet's name and all sheets. Exit status 3 means that
the file was refused; standard error then holds the sentence for the person.
"""

import gc
import os
import resource
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from xml.parsers import expat

import orjson

if __name__ == "__main__":
    # Python's isolated mode (-I) finds no module of the project. These replace its packages, so that the imports below
    # find their files.
    for name, folder in (("batches", Path(__file__).parents[1]), ("batches.files", Path(__file__).parent)):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(folder)]

from batches.files.excel_sheets import Workbook
from batches.files.opendocument_sheets import CONTENT, OpenDocument
from batches.files.sheet_archive import SheetArchive
from batches.files.sheet_rows import LONG, Fault, Row, Sheet, SheetSample, name_cell

MEMORY_MAX_BYTES = 640 << 20
"""A million rows of five cells, with three million different texts, take 240 MB."""
CPU_MIN_SECONDS = 10
CPU_SECONDS_FOR_MEGABYTE = 2
CPU_MAX_SECONDS = 60
"""The processor time for a small file, for each megabyte of it, and for any file. A real list needs a tenth."""
REFUSED = 3

TEXT_MIN_LENGTH = 16 << 20
TEXT_FACTOR = 50
"""The text of the rows may be 50 times as long as the file, or TEXT_MIN_LENGTH. In a real list it is five times."""
OUTPUT_MIN_BYTES = 256 << 20
OUTPUT_MAX_BYTES = 1 << 30
"""Limits on the output of a small file and of any file. Most of it may be blank cells before one far to the right."""

CELL_MAX_LENGTH = 131_072
"""The most characters in one cell, as in a CSV file."""
CUT_LENGTH = 1000
"""How much is kept of each cell of a row that has a longer one."""
NAME_MAX_LENGTH = 200
SHEETS_MAX = 200
"""How many sheets are named."""


class Refused(Exception):
    """The file holds no list. ``str()`` is a sentence that says why and what to do."""


def main() -> int:
    """Set the limits, write the rows, and return the exit status."""
    megabytes = os.fstat(sys.stdin.fileno()).st_size >> 20
    cpu_seconds = min(CPU_MAX_SECONDS, CPU_MIN_SECONDS + CPU_SECONDS_FOR_MEGABYTE * megabytes)
    for limit, most in ((resource.RLIMIT_AS, MEMORY_MAX_BYTES), (resource.RLIMIT_CPU, cpu_seconds)):
        resource.setrlimit(limit, (most, most))
    gc.disable()  # rows hold no cycles, and looking for some takes a tenth of the time
    try:
        head = write_sheet(sys.argv[1] if len(sys.argv) > 1 else None)
    except Refused as exc:
        sys.stderr.write(str(exc))
    except MemoryError:
        sys.stderr.write("The spreadsheet is too big to read. Save the sheet as CSV and upload that.")
    except OSError:
        raise  # the disk is full: the caller reads the message
    except (LookupError, UnicodeError, expat.ExpatError, zipfile.BadZipFile, zlib.error, struct.error, EOFError):
        sys.stderr.write("The spreadsheet is damaged, so it can't be read. Save it again, or save it as CSV.")
    except (ValueError, NotImplementedError) as exc:
        sys.stderr.write(f"The spreadsheet can't be read ({exc}). Save it again, or save it as CSV.")
    else:
        sys.stderr.write(orjson.dumps(head).decode())
        return 0
    return REFUSED


def write_sheet(wanted: str | None) -> dict[str, object]:
    """Write the rows of a sheet and return ``{"sheet", "sheets": [{"name", "is_hidden", "address_count"}]}``.

    Raises:
        Refused: there is no such sheet, it has no rows, or the rows are far longer than the file.
    """
    output = _Output()
    best, chosen, named = 0, "", list[dict[str, object]]()
    for sheet in open_sheets():
        sample = SheetSample()
        sample.take(sheet.rows)
        name = sheet.name[:NAME_MAX_LENGTH]
        named.append({"name": name, "is_hidden": sheet.is_hidden, "address_count": sample.address_count})
        may_be_read = name == wanted if wanted is not None else not sheet.is_hidden
        if may_be_read and sample.rank > best:
            best, chosen = sample.rank, name
            output.restart(name)
            output.write(sample.rows)
            output.write(sheet.rows)
    if not best:
        raise Refused(_say_nothing_found(wanted, [str(each["name"]) for each in named]))
    output.close()
    return {"sheet": chosen, "sheets": named[:SHEETS_MAX]}


def open_sheets() -> Iterator[Sheet]:
    """Yield the sheets of the file on standard input. The rows of each are read before the next."""
    stream = sys.stdin.buffer
    if zipfile.is_zipfile(stream):
        archive = SheetArchive(stream)
        if CONTENT in archive:
            return OpenDocument(archive).read_sheets()
        workbook = Workbook(archive)
        if workbook.has_sheets:
            return workbook.read_sheets()
    stream.seek(0)
    from batches.files.old_excel_sheets import read_old_sheets

    return read_old_sheets(stream.read())


def _say_nothing_found(wanted: str | None, names: list[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in names[:10])
    if wanted is None:
        return "The spreadsheet has no visible sheet with rows in it. Show the sheet with the list, and save it again."
    if wanted in names:
        return f'The sheet "{wanted}" has no rows. Choose another sheet: {shown}.'
    return f'The spreadsheet has no sheet "{wanted}". Choose one that it has: {shown}.'


def _find_long_cells(number: int, cells: list[str]) -> list[Fault]:
    return [(name_cell(number, column), LONG) for column, cell in enumerate(cells) if len(cell) > CELL_MAX_LENGTH]


class _Output:
    """Standard output, with the limits on what is written."""

    def __init__(self) -> None:
        self._file = sys.stdout.buffer
        most = TEXT_FACTOR * os.fstat(sys.stdin.fileno()).st_size
        self._text_most = max(TEXT_MIN_LENGTH, most)
        self._bytes_most = min(OUTPUT_MAX_BYTES, max(OUTPUT_MIN_BYTES, most))
        self._text_length = self._bytes = 0
        self._sheet = ""

    def restart(self, sheet: str) -> None:
        """Forget what was written: another sheet is better."""
        if self._bytes:
            self._file.flush()
            self._file.seek(0)
            self._file.truncate()
        self._text_length, self._bytes, self._sheet = 0, 0, sheet

    def write(self, rows: Iterable[Row]) -> None:
        """Write rows.

        Raises:
            Refused: they are far longer than the file.
        """
        write = self._file.write
        for number, cells, is_hidden, faults in rows:
            # Checked before the row is made into one text, because each of its cells may hold the same long text.
            self._text_length += sum(map(len, cells))
            if self._text_length > self._text_most or self._bytes > self._bytes_most:
                self._refuse()
            record: list[object] = [number, cells]
            if is_hidden or faults:
                record.append({"hidden": is_hidden, "faults": faults or []})
            line = orjson.dumps(record)
            if len(line) > CELL_MAX_LENGTH and (long := _find_long_cells(number, cells)):
                cut = [cell[:CUT_LENGTH] for cell in cells]
                line = orjson.dumps([number, cut, {"hidden": is_hidden, "faults": long}])
            self._bytes += len(line) + 1
            write(line)
            write(b"\n")

    def close(self) -> None:
        self._file.flush()

    def _refuse(self) -> None:
        raise Refused(
            f'The rows of the sheet "{self._sheet}" are far longer than the file. They repeat a long text or have '
            "cells far to the right. Delete what is no part of the list, or save the sheet as CSV and upload that."
        )


if __name__ == "__main__":
    sys.exit(main())
