"""Find the cells of a sheet that have a number format, row by row.

The parser of spreadsheets gives the value of a cell and not how it is shown. A telephone number or a postal code may be
a number that is shown with zeros in front. So this module reads the XML of the file a second time, beside the rows. The
isolated program that reads spreadsheets imports it.
"""

import sys
import zipfile
from collections.abc import Callable, Collection, Iterator
from itertools import takewhile
from typing import BinaryIO
from xml.parsers import expat

from batches.files.number_formats import BUILT_IN_CODES, Show, compile_code

CHUNK_BYTES = 1 << 16
REPEATS_MAX = 1000
"""How often a formatted cell or row counts as repeated. A program fills the rest of a sheet with more repeats."""

RowFormats = tuple[int, dict[int, Show]]
"""The index of a row, from 0, and the formats of its cells, by the index of their column."""
NO_MORE: RowFormats = (sys.maxsize, {})

Attributes = dict[str, str]
"""The attributes of an element, without their namespaces."""
Event = tuple[str, Attributes]
"""The start of an element by its name, its end as "/name", and text as "" with {"": text}."""


def read_formats(stream: BinaryIO, sheet_name: str) -> Iterator[RowFormats]:
    """Yield the rows of a sheet that have formatted cells, in order; none for a file that is not zipped XML."""
    if not zipfile.is_zipfile(stream):
        return iter(())
    archive = zipfile.ZipFile(stream)
    names = set(archive.namelist())
    if "content.xml" in names:
        return _read_opendocument(archive, sheet_name)
    if {"xl/workbook.xml", "xl/styles.xml"} <= names:
        return _read_excel(archive, sheet_name)
    return iter(())


def _read_events(archive: zipfile.ZipFile, member: str, wanted: Collection[str]) -> Iterator[Event]:
    """Yield the events whose names are wanted, in constant memory."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    events: list[Event] = []
    local = _LocalNames()

    def start(name: str, attributes: dict[str, str]) -> None:
        if (name := local[name]) in wanted:
            events.append((name, {local[key]: value for key, value in attributes.items()}))

    def end(name: str) -> None:
        if (name := f"/{local[name]}") in wanted:
            events.append((name, {}))

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    if "" in wanted:
        parser.CharacterDataHandler = lambda text: events.append(("", {"": text}))
    with archive.open(member) as file:
        while chunk := file.read(CHUNK_BYTES):
            parser.Parse(chunk)
            yield from events
            events.clear()


class _LocalNames(dict[str, str]):
    """Names without their prefix, each computed once: a file has few names and uses them millions of times."""

    def __missing__(self, name: str) -> str:
        self[name] = name.rpartition(":")[2]
        return self[name]


def _read_excel(archive: zipfile.ZipFile, sheet_name: str) -> Iterator[RowFormats]:
    styles = _read_excel_styles(archive)
    if not styles:
        return
    row, column, formats = -1, -1, dict[int, Show]()
    member = _find_excel_sheet(archive, sheet_name)
    for name, attributes in _read_events(archive, member, {"row", "c", "/row"}):
        if name == "row":
            row, column, formats = int(attributes.get("r", row + 2)) - 1, -1, {}
        elif name == "c":
            column = _column_index(attributes["r"]) if "r" in attributes else column + 1
            if attributes.get("s") in styles:
                formats[column] = styles[attributes["s"]]
        elif formats:  # at the end of a row
            yield row, formats


def _find_excel_sheet(archive: zipfile.ZipFile, sheet_name: str) -> str:
    """Return the archive's member that holds a sheet."""
    # Without its namespace, a sheet's attribute "id" is the one of its relation. Its own is "sheetId".
    sheets = {at["name"]: at["id"] for _, at in _read_events(archive, "xl/workbook.xml", ["sheet"])}
    relations = _read_events(archive, "xl/_rels/workbook.xml.rels", ["Relationship"])
    targets = {at["Id"]: at["Target"] for _, at in relations}
    target = targets[sheets[sheet_name]]
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _read_excel_styles(archive: zipfile.ZipFile) -> dict[str, Show]:
    """Return the supported formats by the number of the style that a cell names."""
    codes, styles = dict(BUILT_IN_CODES), dict[str, Show]()
    number, is_cell_style = 0, False
    for name, attributes in _read_events(archive, "xl/styles.xml", {"numFmt", "cellXfs", "/cellXfs", "xf"}):
        if name == "numFmt":
            codes[attributes["numFmtId"]] = attributes["formatCode"]
        elif name in ("cellXfs", "/cellXfs"):
            is_cell_style = name == "cellXfs"
        elif name == "xf" and is_cell_style:
            format_number = compile_code(codes.get(attributes.get("numFmtId", ""), ""))
            if format_number:
                styles[str(number)] = format_number
            number += 1
    return styles


def _column_index(reference: str) -> int:
    """Return 0 for A7, and 27 for AB7."""
    number = 0
    for letter in takewhile(str.isalpha, reference):
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1


def _read_opendocument(archive: zipfile.ZipFile, sheet_name: str) -> Iterator[RowFormats]:
    """Yield the formats of an .ods file, whose cells hold the text that the program showed beside the value."""
    table = _OpenDocumentTable()
    events = _read_events(archive, "content.xml", {"table", "/table", *table.handlers})
    for name, attributes in events:
        if name == "table" and attributes.get("name") == sheet_name:
            break
    for name, attributes in takewhile(lambda event: event[0] != "/table", events):
        if name != "table":
            table.handlers[name](attributes)
        if name == "/table-row":
            yield from table.take_rows()


class _OpenDocumentTable:
    """The place in a table while its elements go by, and the formats of the present row."""

    def __init__(self) -> None:
        self.handlers: dict[str, Callable[[Attributes], None]] = {
            "table-row": self._begin_row,
            "table-cell": self._begin_cell,
            "covered-table-cell": self._begin_cell,
            "annotation": self._begin_comment,
            "": self._add_text,
            "/annotation": self._end_comment,
            "/table-cell": self._end_cell,
            "/covered-table-cell": self._end_cell,
            "/table-row": lambda _: None,
        }
        self._row = 0
        self._row_repeats = 1
        self._formats: dict[int, Show] = {}
        self._column = 0
        self._cell_repeats = 1
        self._is_number = False
        self._is_comment = False
        self._text = ""

    def take_rows(self) -> Iterator[RowFormats]:
        """Yield the row that has just ended, as often as it is repeated, and go on to the next one."""
        if self._formats:
            for more in range(min(self._row_repeats, REPEATS_MAX)):
                yield self._row + more, self._formats
        self._row += self._row_repeats

    def _begin_row(self, attributes: Attributes) -> None:
        self._column, self._formats = 0, {}
        self._row_repeats = int(attributes.get("number-rows-repeated", 1))

    def _begin_cell(self, attributes: Attributes) -> None:
        self._text = ""
        self._cell_repeats = int(attributes.get("number-columns-repeated", 1))
        self._is_number = attributes.get("value-type") in ("float", "currency", "percentage")

    def _begin_comment(self, attributes: Attributes) -> None:
        self._is_comment = True

    def _end_comment(self, attributes: Attributes) -> None:
        self._is_comment = False

    def _add_text(self, attributes: Attributes) -> None:
        if not self._is_comment:
            self._text += attributes[""]

    def _end_cell(self, attributes: Attributes) -> None:
        if self._is_number and self._text:
            show = _show_always(self._text)
            self._formats |= {self._column + more: show for more in range(min(self._cell_repeats, REPEATS_MAX))}
        self._column += self._cell_repeats


def _show_always(text: str) -> Show:
    return lambda _: text
