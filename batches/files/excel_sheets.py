"""Read the sheets of an .xlsx or .xlsm file, each in one pass, row by row (ECMA-376 part 1, section 18).

An archive enters. The sheets leave, each with its rows as a person sees them. A cell without a value costs nothing but
its own bytes. The isolated program that reads spreadsheets imports this module.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

from batches.files.cell_formats import CellFormat, compile_code
from batches.files.excel_plain_rows import ROW_END, STRING_END, PlainCell, find_plain_rows, find_plain_strings, split_at
from batches.files.number_formats import show_general
from batches.files.sheet_archive import Attributes, LocalNames, SheetArchive, check_texts, make_parser, resolve
from batches.files.sheet_rows import COLUMNS_MAX, NO_RESULT, Fault, Row, Sheet, name_cell

_TRUE = ("1", "true", "on")
_DIGITS = "0123456789"
DIGITS_MAX = 15
"""Spreadsheets keep so many digits of a number."""
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
"""How Excel writes a character that XML can't hold, such as _x000D_."""

FORMATS_MAX = 10_000
"""How many number formats a file may use. Excel allows about 250 new ones. Each takes memory and time."""
ROWS_MAX = 1 << 20
"""How many rows a sheet of Excel has. Only blank rows below them are refused."""

_DATE, _TIME = "m/d/yyyy", "h:mm/"
"""Formats that depend on the reader's country, as the "/" says. They are shown in the way of ISO 8601."""

BUILT_IN_CODES = {
    "1": "0",
    "2": "0.00",
    "3": "#,##0",
    "4": "#,##0.00",
    "9": "0%",
    "10": "0.00%",
    "12": "# ?/?",
    "13": "# ??/??",
    **dict.fromkeys(("14", "15", "16", "17"), _DATE),
    "18": "h:mm AM/PM",
    "19": "h:mm:ss AM/PM",
    **dict.fromkeys(("20", "21", "32", "33", "34", "35"), _TIME),
    "22": "m/d/yyyy h:mm",
    **dict.fromkeys(map(str, (*range(27, 32), 36, *range(50, 59))), _DATE),
    **dict.fromkeys(("37", "38"), "#,##0;-#,##0"),
    **dict.fromkeys(("39", "40"), "#,##0.00;-#,##0.00"),
    "45": "mm:ss",
    "46": "[h]:mm:ss",
    "47": "mm:ss.0",
}
"""The number formats that a file may name without spelling them out."""


class Workbook:
    """What the sheets of one file share."""

    def __init__(self, archive: SheetArchive) -> None:
        self._archive = archive
        path = _find_workbook(archive)
        folder, name = posixpath.split(path)
        self._sheets: list[Attributes] = []
        self._is_1904 = self._counts_later = False
        for element, attributes in archive.read_elements(path):
            if element == "sheet":
                self._sheets.append(attributes)
            elif element == "workbookPr":
                self._is_1904 = attributes.get("date1904") in _TRUE
            elif element == "calcPr":
                self._counts_later = attributes.get("fullCalcOnLoad") in _TRUE
        self._targets: dict[str, tuple[str, str]] = {}
        self._parts: dict[str, str] = {}
        for element, attributes in archive.read_elements(posixpath.join(folder, "_rels", f"{name}.rels")):
            if element == "Relationship":
                kind = attributes.get("Type", "").rpartition("/")[2]
                target = resolve(attributes.get("Target", ""), folder=folder)
                self._targets[attributes.get("Id", "")] = kind, target
                self._parts[kind] = target
        self._strings: list[str] | None = None
        self._formats: Mapping[str, CellFormat] = {}

    @property
    def has_sheets(self) -> bool:
        """Whether this is a workbook at all. The sheets of an .xlsb file are named elsewhere."""
        return bool(self._sheets)

    def read_sheets(self) -> Iterator[Sheet]:
        """Yield the worksheets in their order. Charts are none. A member that several sheets name is read once."""
        seen = set[str]()
        for attributes in self._sheets:
            kind, member = self._targets.get(attributes.get("id", ""), ("", ""))
            if kind == "worksheet" and member in self._archive and member not in seen:
                seen.add(member)
                yield Sheet(
                    name=attributes.get("name", ""),
                    is_hidden=attributes.get("state", "visible") != "visible",
                    rows=self._read_rows(member),
                )

    def _read_rows(self, member: str) -> Iterator[Row]:
        if self._strings is None:
            strings, styles = self._parts.get("sharedStrings", ""), self._parts.get("styles", "")
            self._strings = _StringReader().read(self._archive.read_chunks(strings)) if strings in self._archive else []
            self._formats = _read_formats(self._archive, styles, is_1904=self._is_1904)
        reader = _SheetReader(self._strings, self._formats, counts_later=self._counts_later)
        return reader.read_rows(self._archive.read_chunks(member))


def _find_workbook(archive: SheetArchive) -> str:
    """Return the member that names the sheets.

    Raises:
        KeyError: there is none.
    """
    for element, attributes in archive.read_elements("_rels/.rels"):
        if element == "Relationship" and attributes.get("Type", "").endswith("/officeDocument"):
            member = resolve(attributes.get("Target", ""), folder="")
            if member in archive and not member.endswith(".bin"):  # as in an .xlsb file
                return member
    return next((name for name in ("xl/workbook.xml", "workbook.xml") if name in archive), "xl/workbook.xml")


def _read_formats(archive: SheetArchive, member: str, *, is_1904: bool) -> dict[str, CellFormat]:
    """Return the formats of the styles that have one, by the number that a cell names its style with."""
    codes, formats, styles = dict(BUILT_IN_CODES), dict[str, CellFormat | None](), dict[str, CellFormat]()
    number, is_cell_style = 0, False
    for element, attributes in archive.read_elements(member):
        if element == "numFmt":
            codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif element in ("cellXfs", "/cellXfs"):
            is_cell_style = element == "cellXfs"
        elif element == "xf" and is_cell_style:
            code = codes.get(attributes.get("numFmtId", ""), "")
            if code not in formats:
                if len(formats) == FORMATS_MAX:
                    raise ValueError(f"it has more than {FORMATS_MAX:,} number formats")
                formats[code] = compile_code(code, is_1904=is_1904)
            if found := formats[code]:
                styles[str(number)] = found
            number += 1
    return styles


class _SheetReader:
    """Turns the elements of one sheet into rows. Two of its methods run for each element of each cell."""

    def __init__(self, strings: Sequence[str], formats: Mapping[str, CellFormat], *, counts_later: bool) -> None:
        self._strings = strings
        self._formats = formats
        self._counts_later = counts_later
        self._parser = make_parser()
        self._columns = _Columns()
        self._local = LocalNames()
        self._rows: list[Row] = []
        self._is_in_data = self._is_done = False
        self._has_markup = False
        """Whether a comment or the like was seen, in which a row counts for nothing."""
        # The row.
        self._number = 0
        self._is_hidden = False
        self._cells: list[str] = []
        self._faults: list[Fault] | None = None
        # The cell.
        self._column = -1
        self._kind = ""
        self._style = ""
        self._has_formula = self._has_value = False
        # The text of a cell comes in pieces: before _kept they count, after it is what has not ended yet.
        self._texts: list[str] = []
        self._kept = 0
        self._is_phonetic = False

    def read_rows(self, chunks: Iterator[bytes]) -> Iterator[Row]:
        """Yield the rows that hold something, until the data ends."""
        parser = self._parser
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._texts.append
        for data in split_at(ROW_END, chunks):
            self._has_markup = self._has_markup or b"<!" in data
            for part in find_plain_rows(data) if self._is_in_data and not self._has_markup else [data]:
                if isinstance(part, bytes):
                    parser.Parse(part)
                    check_texts(self._texts)
                    if self._is_done:
                        break
                else:
                    self._add_plain_row(*part)
            yield from self._rows
            self._rows.clear()
            if self._is_done:
                return
        parser.Parse(b"", True)  # fails if the member is cut off

    def _add_plain_row(self, number: int, cells: list[PlainCell]) -> None:
        self._number = max(number, self._number + 1)
        row: list[str] = []
        self._cells = row
        columns, strings, has_formats = self._columns, self._strings, bool(self._formats)
        for letters, style, kind, value in cells:
            self._column, self._style = columns[letters], style or "0"
            if kind == "s":
                text = self._show_text(strings[int(value)]) if has_formats else strings[int(value)]
            else:
                text = self._show_number(value)
            if self._column == len(row) and text and not text.isspace():
                row.append(text)
            else:
                self._add(text)
        if self._cells:
            self._rows.append(Row(self._number, self._cells, False, None))

    def _start(self, name: str, attributes: Attributes) -> None:
        tag = self._local[name]
        if tag == "c":
            reference = attributes.get("r")
            self._column = self._columns[reference.rstrip(_DIGITS)] if reference else self._column + 1
            self._kind = attributes.get("t", "n")
            self._style = attributes.get("s", "0")
            self._has_formula = self._has_value = False
        elif tag == "v":
            self._texts.clear()
        elif tag == "f":
            self._has_formula = True
        elif tag == "row":
            self._number = max(int(attributes.get("r", 0)), self._number + 1)
            self._is_hidden = attributes.get("hidden") in _TRUE or attributes.get("ht") == "0"
            self._column = -1
            self._cells, self._faults = [], None
            self._texts.clear()
        elif tag == "t":
            del self._texts[self._kept :]
        elif tag == "is":
            self._kept = 0
        elif tag == "rPh":
            self._is_phonetic = True
        elif tag == "sheetData":
            self._is_in_data = True

    def _end(self, name: str) -> None:
        tag = self._local[name]
        if tag == "v":
            self._has_value = True
            self._add_value("".join(self._texts))
        elif tag == "c":
            if self._has_formula and not self._has_value:
                self._add_fault(NO_RESULT)
        elif tag == "row":
            if self._cells or self._faults:
                self._rows.append(Row(self._number, self._cells, self._is_hidden, self._faults))
            elif self._number > ROWS_MAX:
                raise ValueError(f"it has a row {self._number}, which no sheet has")
        elif tag == "t":
            if not self._is_phonetic:
                self._kept = len(self._texts)
        elif tag == "is":
            self._add(self._show_text(_unescape("".join(self._texts[: self._kept]))))
        elif tag == "rPh":
            self._is_phonetic = False
        elif tag == "sheetData":
            self._is_done = True
            self._parser.StartElementHandler = self._parser.EndElementHandler = None

    def _add_value(self, text: str) -> None:
        """Add the value of a cell as the sheet shows it."""
        kind = self._kind
        if kind == "n":
            if self._has_formula and (not text or (self._counts_later and text == "0")):
                self._add_fault(NO_RESULT)
                return
            text = self._show_number(text)
        elif kind == "s":
            text = self._show_text(self._strings[int(text)])
        elif kind == "b":
            text = "TRUE" if text.strip() in _TRUE else "FALSE"
        elif kind == "e":
            self._add_fault(text)
            return
        elif kind == "d":
            text = text.replace("T", " ").removesuffix(" 00:00:00")
        else:
            text = self._show_text(_unescape(text))
        self._add(text)

    def _show_number(self, text: str) -> str:
        cell_format = self._formats.get(self._style)
        if cell_format:
            return cell_format.show(float(text)) if text else ""
        if text.isdecimal() and len(text) < DIGITS_MAX and text[0] != "0":
            return text  # nearly all numbers
        return show_general(float(text)) if text else ""

    def _show_text(self, text: str) -> str:
        cell_format = self._formats.get(self._style)
        return cell_format.show_text(text) if cell_format and cell_format.show_text else text

    def _add(self, text: str) -> None:
        if not text or text.isspace():
            return
        cells, column = self._cells, self._column
        if column == len(cells):
            cells.append(text)
        elif column > len(cells):
            cells.extend([""] * (column - len(cells)))
            cells.append(text)
        else:
            cells[column] = text

    def _add_fault(self, fault: str) -> None:
        if self._faults is None:
            self._faults = []
        self._faults.append((name_cell(self._number, self._column), fault))


class _Columns(dict[str, int]):
    """The indexes of columns by their letters: 0 for A, and 27 for AB."""

    def __missing__(self, letters: str) -> int:
        number = 0
        for letter in letters.upper():
            number = 26 * number + ord(letter) - ord("A") + 1
        if not letters.isascii() or not letters.isalpha() or number > COLUMNS_MAX:
            raise ValueError(f"a cell is in column {letters[:20]}, which no sheet has")
        self[letters] = number - 1
        return self[letters]


class _StringReader:
    """Collects the shared strings. The reading aids of Japanese text (furigana, rPh) are no part of it."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self._is_plain = True
        """False after a comment or the like, in which a string counts for nothing, and if the text is not in UTF-8."""
        self._local = LocalNames()
        self._texts: list[str] = []
        self._kept = 0
        self._is_phonetic = False

    def read(self, chunks: Iterator[bytes]) -> list[str]:
        """Return the strings by their numbers."""
        parser = make_parser()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._texts.append
        parser.XmlDeclHandler = self._note_encoding
        for data in split_at(STRING_END, chunks):
            self._is_plain = self._is_plain and b"<!" not in data
            for part in find_plain_strings(data) if self._is_plain and self.strings else [data]:
                if isinstance(part, bytes):
                    parser.Parse(part)
                    check_texts(self._texts)
                else:
                    self.strings.append(_unescape(part))
        parser.Parse(b"", True)
        return self.strings

    def _note_encoding(self, version: str, encoding: str | None, standalone: int) -> None:
        self._is_plain = encoding is None or encoding.upper() in ("UTF-8", "UTF8")

    def _start(self, name: str, _: Attributes) -> None:
        tag = self._local[name]
        if tag == "t":
            del self._texts[self._kept :]
        elif tag == "si":
            self._texts.clear()
            self._kept = 0
        elif tag == "rPh":
            self._is_phonetic = True

    def _end(self, name: str) -> None:
        tag = self._local[name]
        if tag == "t":
            if not self._is_phonetic:
                self._kept = len(self._texts)
        elif tag == "si":
            self.strings.append(_unescape("".join(self._texts[: self._kept])))
        elif tag == "rPh":
            self._is_phonetic = False


def _unescape(text: str) -> str:
    """Return a text in which Excel wrote no character as _x000D_."""
    if "_x" not in text:
        return text
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
