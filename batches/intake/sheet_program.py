"""A program of its own: read a spreadsheet on standard input, write its rows on standard output as JSON lists.

Runs in a child process under limits, because the parser holds the whole sheet in memory and its input may
be hostile. Imports nothing of the project. Exit status 3: the message for the person is on standard error.
"""

import datetime
import resource
import sys

import orjson
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError, SheetVisibleEnum

MEMORY_MAX_BYTES = 2 << 30
OUTPUT_MAX_BYTES = 1 << 30
CPU_MAX_SECONDS = 120
REFUSED = 3


def show(value: object) -> str:
    """A cell as a person sees it, as near as the file tells: 1 for 1.0, a date without its midnight."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        # 15 digits are what spreadsheets show and keep; more would show 0.1 + 0.2 as 0.30000000000000004.
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else format(value, ".15g")
    if isinstance(value, datetime.datetime):
        is_date = value.time() == datetime.time()
        return value.date().isoformat() if is_date else value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, datetime.time):
        return value.isoformat(timespec="minutes" if value.second == 0 else "seconds")
    return str(value)


def find_sheet(workbook: CalamineWorkbook) -> CalamineSheet:
    """The first sheet that can be seen and isn't empty."""
    for about in workbook.sheets_metadata:
        if about.visible == SheetVisibleEnum.Visible:
            sheet = workbook.get_sheet_by_name(about.name)
            if sheet.end is not None:
                return sheet
    raise LookupError("The spreadsheet has no sheet with rows in it.")


def write_rows() -> None:
    with CalamineWorkbook.from_filelike(sys.stdin.buffer) as workbook:
        for row in find_sheet(workbook).iter_rows():
            sys.stdout.buffer.write(orjson.dumps([show(cell) for cell in row]) + b"\n")
    sys.stdout.buffer.flush()


def main() -> int:
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY_MAX_BYTES),
        (resource.RLIMIT_FSIZE, OUTPUT_MAX_BYTES),
        (resource.RLIMIT_CPU, CPU_MAX_SECONDS),
    ):
        resource.setrlimit(limit, (most, most))
    try:
        write_rows()
    except LookupError as exc:
        sys.stderr.write(str(exc))
    except PasswordError:
        sys.stderr.write("The spreadsheet is locked with a password. Save it without one.")
    except (CalamineError, ValueError) as exc:
        sys.stderr.write(f"The spreadsheet can't be read ({exc}). Save it again, or as CSV.")
    else:
        return 0
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
