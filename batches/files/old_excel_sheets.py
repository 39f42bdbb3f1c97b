"""Read the sheets of an .xls file, and of an .xlsb file, row by row.

The file's bytes enter. The sheets leave, each with its rows as a person sees them. Of an .xlsb file only the values are
read, not their formats. The isolated program that reads spreadsheets imports this module.
"""

import datetime
import io
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

import xlrd
from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum
from xlrd.biffh import XL_CELL_BLANK, XL_CELL_BOOLEAN, XL_CELL_EMPTY, XL_CELL_ERROR, XL_CELL_TEXT, error_text_from_code
from xlrd.compdoc import CompDocError

from batches.files.binary_cells import refuse_far_cells
from batches.files.cell_formats import CellFormat, compile_code
from batches.files.compound_files import MAGIC as OLE
from batches.files.excel_sheets import BUILT_IN_CODES
from batches.files.number_formats import show_general
from batches.files.sheet_rows import Fault, Row, Sheet, name_cell


def read_old_sheets(data: bytes) -> Iterator[Sheet]:
    """Yield the sheets of an .xls or .xlsb file.

    Raises:
        ValueError: it is no such file, it is locked, or it is broken.
    """
    book = _open_xls(data) if data.startswith(OLE) else None
    yield from _read_xls(book) if book else _read_xlsb(data)


def _open_xls(data: bytes) -> xlrd.Book | None:
    """Open an .xls file; None if xlrd does not read it."""
    try:
        # xlrd prints warnings, and standard output is for the rows.
        return xlrd.open_workbook(
            file_contents=data, logfile=io.StringIO(), formatting_info=True, on_demand=True, ragged_rows=True
        )
    except xlrd.XLRDError as exc:
        if "encrypted" in str(exc):
            raise ValueError("it is locked with a password: save it without one") from exc
        return None
    except (CompDocError, struct.error):
        return None


def _read_xls(book: xlrd.Book) -> Iterator[Sheet]:
    formats = _XlsFormats(book)
    for number in range(book.nsheets):
        sheet = book.sheet_by_index(number)
        yield Sheet(name=sheet.name, is_hidden=sheet.visibility != 0, rows=_read_xls_rows(sheet, formats))
        book.unload_sheet(number)
        vars(sheet).clear()  # it refers to itself, and sheet_program switches the garbage collection off


class _XlsFormats(dict[int, CellFormat | None]):
    """The formats by the number that a cell names its style with, each compiled once."""

    def __init__(self, book: xlrd.Book) -> None:
        super().__init__()
        self._book = book

    def __missing__(self, style: int) -> CellFormat | None:
        key = self._book.xf_list[style].format_key
        found = self._book.format_map.get(key)
        code = BUILT_IN_CODES.get(str(key)) or (found.format_str if found else "")
        self[style] = compile_code(code, is_1904=self._book.datemode == 1)
        return self[style]


def _read_xls_rows(sheet: xlrd.sheet.Sheet, formats: _XlsFormats) -> Iterator[Row]:
    for place in range(sheet.nrows):
        if not sheet.row_len(place):
            continue
        cells: list[str] = []
        faults: list[Fault] = []
        for column, (kind, value) in enumerate(zip(sheet.row_types(place), sheet.row_values(place), strict=True)):
            if kind in (XL_CELL_EMPTY, XL_CELL_BLANK):
                continue
            if kind == XL_CELL_ERROR:
                faults.append((name_cell(place + 1, column), error_text_from_code.get(value, "#VALUE!")))
                continue
            text = _show_xls(kind, value, formats[sheet.cell_xf_index(place, column)])
            if text and not text.isspace():
                if column > len(cells):
                    cells += [""] * (column - len(cells))
                cells.append(text)
        if cells or faults:
            info = sheet.rowinfo_map.get(place)
            yield Row(place + 1, cells, bool(info and info.hidden), faults or None)


def _show_xls(kind: int, value: Any, cell_format: CellFormat | None) -> str:
    if kind == XL_CELL_TEXT:
        return cell_format.show_text(value) if cell_format and cell_format.show_text else str(value)
    if kind == XL_CELL_BOOLEAN:
        return "TRUE" if value else "FALSE"
    return cell_format.show(value) if cell_format else show_general(value)


def _read_xlsb(data: bytes) -> Iterator[Sheet]:
    """Yield the sheets of an .xlsb file, or of an .xls file that xlrd does not read."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        refuse_far_cells(zipfile.ZipFile(io.BytesIO(data)))
    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(data)) as workbook:
            for about in workbook.sheets_metadata:
                if about.typ == SheetTypeEnum.WorkSheet:
                    is_hidden = about.visible != SheetVisibleEnum.Visible
                    yield Sheet(name=about.name, is_hidden=is_hidden, rows=_read_values(workbook, about.name))
    except CalamineError as exc:
        raise ValueError(str(exc)) from exc


def _read_values(workbook: CalamineWorkbook, name: str) -> Iterator[Row]:
    sheet = workbook.get_sheet_by_name(name)
    first_column = (sheet.start or (0, 0))[1]
    for number, values in enumerate(sheet.iter_rows(), 1):
        cells = list(map(_show_value, values))
        while cells and not cells[-1].strip():
            cells.pop()
        if cells:
            yield Row(number, [""] * first_column + cells, False, None)


def _show_value(value: object) -> str:
    """Write a value in the way of ISO 8601: a date without its midnight, and a duration in hours."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return show_general(value)
    if isinstance(value, datetime.datetime):
        is_date = value.time() == datetime.time()
        return value.date().isoformat() if is_date else value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, datetime.time):
        return value.isoformat(timespec="minutes" if value.second == 0 else "seconds")
    if isinstance(value, datetime.timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02d}" + (f":{seconds:02d}" if seconds else "")
    return str(value)
