"""Read the sheets of an .ods file in one pass, row by row (OpenDocument 1.3 part 3, section 9).

An archive enters. The sheets leave, each with its rows as a person sees them: such a file holds the text that a cell
shows beside its value. The isolated program that reads spreadsheets imports this module.
"""

import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from batches.files.number_formats import show_general
from batches.files.sheet_archive import Attributes, LocalNames, SheetArchive, check_texts, make_parser
from batches.files.sheet_rows import COLUMNS_MAX, NO_RESULT, REPEATED, Fault, Row, Sheet, name_cell

CONTENT = "content.xml"

REPEATS_MAX = 1000
"""How often a row counts that is repeated. A program may fill the rest of a sheet with one row, a million times."""

SPACES_MAX = 1000
"""How many spaces one element may stand for."""

_VALUES = ("value", "string-value", "date-value", "time-value", "boolean-value")
_NUMBERS = ("float", "currency", "percentage")
_NOT_THE_NUMBER = re.compile(r"#+|.*\d[eE][+-]?\d.*")
"""What a cell shows if it is too narrow, or in the scientific notation."""
_ERROR = re.compile(r"#(N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!)|Err:\d+")
_DURATION = re.compile(r"-?P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d+)?S)?")
_WITH_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)[T ]00:00:00")
"""A date as programs write it: its midnight says only that there is no time."""

_OUTSIDE = {"annotation", "ruby-text", "frame", "custom-shape", "g", "rect", "ellipse", "circle", "line", "table"}
"""Elements in a cell whose text is not the cell's: comments, reading aids, drawings, and a table in the cell."""


class _RepeatedRow(NamedTuple):
    row: Row
    repeats: int


class _TableEnd(NamedTuple):
    """Marks the end of a table among the rows."""


class _CellNames(LocalNames):
    """The names of a cell's attributes. LibreOffice adds a second value-type, which says "error" where one is shown."""

    def __missing__(self, name: str) -> str:
        if name == "calcext:value-type":
            self[name] = "shown-type"
            return self[name]
        return super().__missing__(name)


class OpenDocument:
    """The tables of one file. Their rows come in one stream, so each table must be read before the next."""

    def __init__(self, archive: SheetArchive) -> None:
        self._local = LocalNames()
        self._cell_names = _CellNames()
        self._events: deque[_RepeatedRow | Sheet | _TableEnd] = deque()
        self._hidden_styles: set[str] = set()
        self._style = ""
        self._is_in_table = False
        self._outside = 0
        """How many elements of _OUTSIDE are open."""
        self._row = _RowBuilder()
        self._parser = make_parser()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._row.texts.append
        self._chunks = archive.read_chunks(CONTENT)

    def read_sheets(self) -> Iterator[Sheet]:
        """Yield the tables in their order. The rows of one that were not read are skipped."""
        while (event := self._next_event()) is not None:
            if isinstance(event, Sheet):
                event.rows = rows = self._read_rows()
                yield event
                for _ in rows:
                    pass

    def _read_rows(self) -> Iterator[Row]:
        while isinstance(event := self._next_event(), _RepeatedRow):
            row, repeats = event
            for more in range(min(repeats, REPEATS_MAX)):
                yield row._replace(number=row.number + more) if more else row
            if repeats > REPEATS_MAX:
                number = row.number + REPEATS_MAX
                yield row._replace(number=number, faults=[(f"{number}:{row.number + repeats - 1}", REPEATED)])

    def _next_event(self) -> _RepeatedRow | Sheet | _TableEnd | None:
        while not self._events:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._parser.Parse(b"", True)  # fails if the member is cut off
                return None
            self._parser.Parse(chunk)
            check_texts(self._row.texts)
        return self._events.popleft()

    def _start(self, name: str, attributes: Attributes) -> None:
        tag, row = self._local[name], self._row
        if self._outside:
            self._outside += tag in _OUTSIDE
        elif tag in ("table-cell", "covered-table-cell"):
            row.begin_cell({self._cell_names[key]: value for key, value in attributes.items()})
        elif tag == "p":
            row.begin_paragraph()
        elif tag == "table-row":
            row.begin({self._local[key]: value for key, value in attributes.items()})
        elif tag == "table" and not self._is_in_table:
            self._begin_table({self._local[key]: value for key, value in attributes.items()})
        elif tag in _OUTSIDE:
            self._outside = 1
            row.begin_outside()
        elif tag in ("s", "tab", "line-break"):
            self._add_space(tag, attributes)
        elif tag in ("style", "table-properties") and not self._is_in_table:
            self._note_style(tag, {self._local[key]: value for key, value in attributes.items()})

    def _end(self, name: str) -> None:
        tag, row = self._local[name], self._row
        if self._outside:
            if tag in _OUTSIDE:
                self._outside -= 1
                if not self._outside:
                    row.end_outside()
        elif tag in ("table-cell", "covered-table-cell"):
            row.end_cell()
        elif tag == "p":
            row.end_paragraph()
        elif tag == "table-row":
            if self._is_in_table and (found := row.take()):
                self._events.append(found)
        elif tag == "table" and self._is_in_table:
            self._is_in_table = False
            self._events.append(_TableEnd())

    def _begin_table(self, attributes: Attributes) -> None:
        name = attributes.get("name", "")
        self._is_in_table = True
        self._row.number = 1
        if name and not name.startswith("'file:"):  # else a copy of another file's sheet, for formulas
            is_hidden = attributes.get("style-name") in self._hidden_styles
            self._events.append(Sheet(name=name, is_hidden=is_hidden, rows=iter(())))

    def _note_style(self, tag: str, attributes: Attributes) -> None:
        if tag == "style":
            self._style = attributes.get("name", "")
        elif attributes.get("display") == "false":
            self._hidden_styles.add(self._style)

    def _add_space(self, tag: str, attributes: Attributes) -> None:
        count = next((value for key, value in attributes.items() if self._local[key] == "c"), "1")
        self._row.texts.append({"tab": "\t", "line-break": "\n"}.get(tag) or " " * min(int(count), SPACES_MAX))


class _RowBuilder:
    """Builds one row from the elements of its cells."""

    def __init__(self) -> None:
        self.number = 1
        self.texts: list[str] = []
        """The pieces of the cell's text. Before ``_kept`` they count, after it is what has not ended yet."""
        self._kept = 0
        self._repeats = 1
        self._is_hidden = False
        self._cells: list[str] = []
        self._faults: list[Fault] = []
        self._column = 0
        self._cell: Attributes = {}
        self._has_paragraph = False
        self._outside_at = 0

    def begin(self, attributes: Attributes) -> None:
        self._cells, self._faults, self._column = [], [], 0
        self.texts.clear()
        self._is_hidden = attributes.get("visibility") in ("collapse", "filter")
        self._repeats = int(attributes.get("number-rows-repeated", 1))

    def take(self) -> _RepeatedRow | None:
        """Return the row that has just ended, if it holds something, and go on to the next one."""
        number, self.number = self.number, self.number + self._repeats
        if not self._cells and not self._faults:
            return None
        return _RepeatedRow(Row(number, self._cells, self._is_hidden, self._faults or None), self._repeats)

    def begin_cell(self, attributes: Attributes) -> None:
        self._cell = attributes
        self._kept = 0
        self._has_paragraph = False

    def begin_paragraph(self) -> None:
        del self.texts[self._kept :]
        if self._has_paragraph:
            self.texts.append("\n")
        self._has_paragraph = True

    def end_paragraph(self) -> None:
        self._kept = len(self.texts)

    def begin_outside(self) -> None:
        self._outside_at = len(self.texts)

    def end_outside(self) -> None:
        del self.texts[self._outside_at :]

    def end_cell(self) -> None:
        """Add the cell, as often as it is repeated."""
        cell, column = self._cell, self._column
        repeats = int(cell["number-columns-repeated"]) if "number-columns-repeated" in cell else 1
        self._column += repeats
        if not self._has_paragraph and "value-type" not in cell and "formula" not in cell:
            return
        text = "".join(self.texts[: self._kept])
        if fault := self._find_fault(text):
            self._faults.append((name_cell(self.number, column), fault))
            return
        text = self._show(text)
        if not text or text.isspace():
            return
        if self._column > COLUMNS_MAX:
            raise ValueError(f"a cell is in column {self._column}, which no sheet has")
        self._cells += [""] * (column - len(self._cells))
        self._cells += [text] * repeats

    def _find_fault(self, text: str) -> str | None:
        """Return the error value that the cell shows, or say that its formula has no result."""
        cell = self._cell
        if cell.get("shown-type") == "error" or ("formula" in cell and _ERROR.fullmatch(text)):
            return text or "#VALUE!"
        if "formula" not in cell or self._has_paragraph:
            return None
        return None if any(name in cell for name in _VALUES) else NO_RESULT

    def _show(self, text: str) -> str:
        """Return the text that the cell shows, or if the program left it out, the value."""
        cell = self._cell
        kind = cell.get("value-type")
        if kind in _NUMBERS:
            if text and not _NOT_THE_NUMBER.fullmatch(text):
                return text
            return show_general(float(cell["value"])) if "value" in cell else text
        if kind == "date" and (text := text or cell.get("date-value", "").replace("T", " ")):
            return _WITH_MIDNIGHT.sub(r"\1", text)
        if text or kind is None:
            return text
        if kind == "string":
            return "" if self._has_paragraph else cell.get("string-value", "")
        if kind == "time":
            return _show_duration(cell.get("time-value", ""))
        return cell.get("boolean-value", "").upper()


def _show_duration(text: str) -> str:
    """Return "36:15:00" for PT36H15M00S."""
    found = _DURATION.fullmatch(text)
    if not found:
        return text
    days, hours, minutes, seconds = (int(group or 0) for group in found.groups())
    return f"{'-' if text.startswith('-') else ''}{24 * days + hours:02d}:{minutes:02d}:{seconds:02d}"
