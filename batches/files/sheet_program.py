"""A program: read a spreadsheet on standard input, and write its rows on standard output as JSON lists.

Runs in a child process under limits, because the parser holds the whole sheet in memory and the file may be hostile.
Imports only the two modules beside it, number_formats and sheet_formats. Exit status 3 means that the file was refused;
standard error then holds the sentence for the person.
"""

import datetime
import resource
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from xml.parsers import expat

import orjson
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError, SheetVisibleEnum

if __name__ == "__main__":
    # Python's isolated mode (-I) finds no module of the project. This replaces the package of this folder, so that the
    # two imports below find their files. It contains nothing else.
    folder = ModuleType("batches.files")
    folder.__path__ = [str(Path(__file__).parent)]
    sys.modules[folder.__name__] = folder

from batches.files.number_formats import Show
from batches.files.sheet_formats import NO_MORE, read_formats

MEMORY_MAX_BYTES = 2 << 30
OUTPUT_MAX_BYTES = 1 << 30
CPU_MAX_SECONDS = 120
REFUSED = 3
EXACT_BELOW = 1e15
"""Spreadsheets show and keep 15 digits. More digits would show 0.1 + 0.2 as 0.30000000000000004."""


class NoRows(Exception):
    """No sheet has rows. ``str()`` is a sentence that says so."""


def main() -> int:
    """Set the limits, write the rows, and return the exit status."""
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY_MAX_BYTES),
        (resource.RLIMIT_FSIZE, OUTPUT_MAX_BYTES),
        (resource.RLIMIT_CPU, CPU_MAX_SECONDS),
    ):
        resource.setrlimit(limit, (most, most))
    try:
        write_rows()
    except NoRows as exc:
        sys.stderr.write(str(exc))
    except PasswordError:
        sys.stderr.write("The spreadsheet is locked with a password. Save it without one.")
    except (CalamineError, ValueError, KeyError, expat.ExpatError, zipfile.BadZipFile) as exc:
        sys.stderr.write(f"The spreadsheet can't be read ({exc}). Save it again, or save it as CSV.")
    else:
        return 0
    return REFUSED


def write_rows() -> None:
    """Write every row of the first sheet that has rows, blank ones too, so that the place of a row is its number."""
    with CalamineWorkbook.from_filelike(sys.stdin.buffer) as workbook:
        sheet = find_sheet(workbook)
        first_column = (sheet.start or (0, 0))[1]
        names = [{"name": name, "is_hidden": False, "address_count": 0} for name in workbook.sheet_names]
        sys.stdout.buffer.write(orjson.dumps({"sheet": sheet.name, "sheets": names}) + b"\n")
        formats = read_formats(sys.stdin.buffer, sheet.name)
        formatted_row, shows = next(formats, NO_MORE)
        for number, row in enumerate(sheet.iter_rows()):
            while formatted_row < number:
                formatted_row, shows = next(formats, NO_MORE)
            row_shows = shows if formatted_row == number else {}
            cells = [show(cell, row_shows.get(column)) for column, cell in enumerate(row, first_column)]
            if any(cells):
                sys.stdout.buffer.write(orjson.dumps([number + 1, cells]) + b"\n")
    sys.stdout.buffer.flush()


def find_sheet(workbook: CalamineWorkbook) -> CalamineSheet:
    """Return the first visible sheet that is not empty.

    Raises:
        NoRows: there is no such sheet.
    """
    for about in workbook.sheets_metadata:
        if about.visible == SheetVisibleEnum.Visible:
            sheet = workbook.get_sheet_by_name(about.name)
            if sheet.end is not None:
                return sheet
    raise NoRows("The spreadsheet has no sheet with rows in it.")


def show(value: object, format_number: Show | None = None) -> str:
    """Write a cell as a person sees it, as far as the file tells: 1 for 1.0, and a date without its midnight."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        if format_number and abs(value) < EXACT_BELOW:
            return format_number(value)
        return str(int(value)) if value.is_integer() and abs(value) < EXACT_BELOW else format(value, ".15g")
    if isinstance(value, datetime.datetime):
        is_date = value.time() == datetime.time()
        return value.date().isoformat() if is_date else value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, datetime.time):
        return value.isoformat(timespec="minutes" if value.second == 0 else "seconds")
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
