"""A program of its own: read a spreadsheet on standard input, write its rows on standard output as JSON lists.

Runs in a child process under limits, because the parser holds the whole sheet in memory and its input may
be hostile. Imports nothing of the project. Exit status 3: the message for the person is on standard error.

The parser gives a cell's value but not how it is shown, and a telephone number or a postal code may be a
number that is shown with zeros before it. So the file's formats are read a second time, beside the rows.
"""

import datetime
import re
import resource
import sys
import zipfile
from collections.abc import Callable, Collection, Iterator
from decimal import ROUND_HALF_UP, Decimal
from itertools import takewhile
from typing import BinaryIO
from xml.parsers import expat

import orjson
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError, SheetVisibleEnum

MEMORY_MAX_BYTES = 2 << 30
OUTPUT_MAX_BYTES = 1 << 30
CPU_MAX_SECONDS = 120
REFUSED = 3
EXACT_BELOW = 1e15
"""15 digits are what spreadsheets show and keep; more would show 0.1 + 0.2 as 0.30000000000000004."""

CHUNK_BYTES = 1 << 16
REPEATS_MAX = 1000
"""How often a formatted cell or row is taken as repeated; more is how a program fills the rest of a sheet."""

Show = Callable[[float], str]
"""Writes a number as a cell shows it."""
RowFormats = tuple[int, dict[int, Show]]
"""The place of a row, from 0, and its cells that have a number format, by their column."""
NO_MORE: RowFormats = (sys.maxsize, {})

OPENDOCUMENT_EVENTS = frozenset(
    side + name
    for name in ("table", "table-row", "table-cell", "covered-table-cell", "annotation", "")
    for side in ("", "/")
)

BUILT_IN_CODES = {"1": "0", "2": "0.00", "3": "#,##0", "4": "#,##0.00", "9": "0%", "10": "0.00%"}
"""Excel's number formats that a file need not spell out."""

_TOKEN = re.compile(
    r"""(?P<place>[0#?]) | (?P<point>\.) | (?P<percent>%) | (?P<nothing>,|\[(?:Black|White|Red|Color\d+)\]|[_*].)
      | "(?P<quoted>[^"]*)" | \\(?P<escaped>.) | \[\$(?P<currency>[^\]-]*)(?:-[^\]]*)?\]
      | (?P<sign>[-+(): $€£¥!&'~{}<>=])
    """,
    re.VERBOSE | re.IGNORECASE,
)
Token = tuple[str, str]
"""What it is, and its text."""


def show(value: object, format_number: Show | None = None) -> str:
    """A cell as a person sees it, as near as the file tells: 1 for 1.0, a date without its midnight."""
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


def compile_code(code: str) -> Show | None:
    """What a number format of Excel does: zeros in front, decimals, percent, signs between.

    Thousands are not parted: by which sign depends on the reader's country. None for what is not just digits
    and signs, such as dates and fractions, and for formats with conditions.
    """
    positive, *others = map(_compile_section, code.split(";"))
    if positive is None or not others:
        return positive
    negative = others[0]
    return lambda value: negative(-value) if value < 0 and negative else positive(value)


def _compile_section(section: str) -> Show | None:
    tokens = _split_code(section)
    kinds = [kind for kind, _ in tokens]
    if "place" not in kinds:
        return None
    point = kinds.index("point") if "point" in kinds else len(kinds)
    before, after = tokens[:point][::-1], tokens[point:]
    step = Decimal(1).scaleb(-kinds[point:].count("place"))
    required = sum(token == ("place", "0") for token in after)
    factor = 100 ** kinds.count("percent")

    def shown(value: float) -> str:
        exact = (Decimal(format(value, ".15g")) * factor).quantize(step, ROUND_HALF_UP)
        whole, _, decimals = format(abs(exact), "f").partition(".")
        decimals = decimals[:required] + decimals[required:].rstrip("0")
        shown_after = _fill(after if decimals else [token for token in after if token[0] != "point"], decimals)
        shown_before = _fill(before, whole.lstrip("0")[::-1], is_whole=True)[::-1]
        return ("-" if exact < 0 else "") + shown_before + shown_after

    def padded(value: float) -> str:
        return f"{value:0{len(tokens)}.0f}" if value >= 0 and value.is_integer() else shown(value)

    # Nearly all formats that matter, and four times as fast.
    return padded if set(tokens) == {("place", "0")} else shown


def _split_code(code: str) -> list[Token]:
    """The tokens of a number format; none if there is something in it that isn't known."""
    tokens, end = list[Token](), 0
    while found := _TOKEN.match(code, end):
        kind = str(found.lastgroup)
        text = "" if kind == "nothing" else found[kind]
        tokens.append((kind if kind in ("place", "point", "percent") else "text", text))
        end = found.end()
    is_scaled = re.search(r"[0#?],+(?![0#?,])", code) is not None  # in thousands
    return [] if end < len(code) or is_scaled else tokens


def _fill(tokens: list[Token], digits: str, *, is_whole: bool = False) -> str:
    """Put one digit into each place. The whole part comes reversed, and its last place takes all that are left."""
    last = max((number for number, (kind, _) in enumerate(tokens) if kind == "place"), default=-1)
    filled = []
    for number, (kind, text) in enumerate(tokens):
        if kind == "place":
            taken = digits if is_whole and number == last else digits[:1]
            digits = digits[len(taken) :]
            filled.append(taken or text.strip("#?"))
        else:
            filled.append(text[::-1] if is_whole else text)
    return "".join(filled)


def read_formats(stream: BinaryIO, sheet_name: str) -> Iterator[RowFormats]:
    """The cells of a sheet that have a number format, row by row; nothing for files that aren't zipped XML."""
    if not zipfile.is_zipfile(stream):
        return iter(())
    archive = zipfile.ZipFile(stream)
    names = set(archive.namelist())
    if "content.xml" in names:
        return _opendocument_formats(archive, sheet_name)
    if {"xl/workbook.xml", "xl/styles.xml"} <= names:
        return _excel_formats(archive, sheet_name)
    return iter(())


Event = tuple[str, dict[str, str]]
"""The start of an element, its attributes, without their namespaces; an end as "/name"; text as "", {"": text}."""


def _events(archive: zipfile.ZipFile, member: str, wanted: Collection[str]) -> Iterator[Event]:
    """Of the wanted elements; an empty name is wanted for text, one with a slash for an end."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    found: list[Event] = []
    local = _LocalNames()

    def start(name: str, attributes: dict[str, str]) -> None:
        if (name := local[name]) in wanted:
            found.append((name, {local[key]: value for key, value in attributes.items()}))

    def end(name: str) -> None:
        if (name := f"/{local[name]}") in wanted:
            found.append((name, {}))

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    if "" in wanted:
        parser.CharacterDataHandler = lambda text: found.append(("", {"": text}))
    with archive.open(member) as file:
        while chunk := file.read(CHUNK_BYTES):
            parser.Parse(chunk)
            yield from found
            found.clear()


class _LocalNames(dict[str, str]):
    """Names without their prefix; there are few, and they come millions of times."""

    def __missing__(self, name: str) -> str:
        self[name] = name.rpartition(":")[2]
        return self[name]


def _excel_formats(archive: zipfile.ZipFile, sheet_name: str) -> Iterator[RowFormats]:
    styles = _excel_styles(archive)
    if not styles:
        return
    # The attribute "id" of a sheet is that of its relation: its own is "sheetId".
    sheets = {at["name"]: at["id"] for _, at in _events(archive, "xl/workbook.xml", ["sheet"])}
    relations = _events(archive, "xl/_rels/workbook.xml.rels", ["Relationship"])
    targets = {at["Id"]: at["Target"] for _, at in relations}
    target = targets[sheets[sheet_name]]
    member = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    row, column, shown = -1, -1, dict[int, Show]()
    for name, attributes in _events(archive, member, {"row", "c", "/row"}):
        if name == "row":
            row, column, shown = int(attributes.get("r", row + 2)) - 1, -1, {}
        elif name == "c":
            column = _column(attributes["r"]) if "r" in attributes else column + 1
            if attributes.get("s") in styles:
                shown[column] = styles[attributes["s"]]
        elif name == "/row" and shown:
            yield row, shown


def _excel_styles(archive: zipfile.ZipFile) -> dict[str, Show]:
    """The styles of cells, by the number that a cell gives, that have a format which shows more than the value."""
    codes, styles = dict(BUILT_IN_CODES), dict[str, Show]()
    number, is_cell_style = 0, False
    for name, attributes in _events(archive, "xl/styles.xml", {"numFmt", "cellXfs", "/cellXfs", "xf"}):
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


def _column(reference: str) -> int:
    """0 for A7, 27 for AB7."""
    number = 0
    for letter in takewhile(str.isalpha, reference):
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1


def _opendocument_formats(archive: zipfile.ZipFile, sheet_name: str) -> Iterator[RowFormats]:
    """There a cell holds, beside its value, the very text that the program showed."""
    events = _events(archive, "content.xml", OPENDOCUMENT_EVENTS)
    for name, attributes in events:
        if name == "table" and attributes.get("name") == sheet_name:
            break
    row, column, row_repeats, repeats, texts = 0, 0, 1, 1, dict[int, Show]()
    text, is_number, is_comment = "", False, False
    for name, attributes in takewhile(lambda event: event[0] != "/table", events):
        if name == "table-row":
            column, texts, row_repeats = 0, {}, int(attributes.get("number-rows-repeated", 1))
        elif name in ("table-cell", "covered-table-cell"):
            repeats, text = int(attributes.get("number-columns-repeated", 1)), ""
            is_number = attributes.get("value-type") in ("float", "currency", "percentage")
        elif name in ("annotation", "/annotation"):
            is_comment = name == "annotation"
        elif name == "" and not is_comment:
            text += attributes[""]
        elif name in ("/table-cell", "/covered-table-cell"):
            if is_number and text:
                texts |= {column + more: _always(text) for more in range(min(repeats, REPEATS_MAX))}
            column += repeats
        elif name == "/table-row":
            if texts:
                yield from ((row + more, texts) for more in range(min(row_repeats, REPEATS_MAX)))
            row += row_repeats


def _always(text: str) -> Show:
    return lambda _: text


class NoRows(Exception):
    """str() says so, as a sentence."""


def find_sheet(workbook: CalamineWorkbook) -> CalamineSheet:
    """The first sheet that can be seen and isn't empty."""
    for about in workbook.sheets_metadata:
        if about.visible == SheetVisibleEnum.Visible:
            sheet = workbook.get_sheet_by_name(about.name)
            if sheet.end is not None:
                return sheet
    raise NoRows("The spreadsheet has no sheet with rows in it.")


def write_rows() -> None:
    with CalamineWorkbook.from_filelike(sys.stdin.buffer) as workbook:
        sheet = find_sheet(workbook)
        first_column = (sheet.start or (0, 0))[1]
        formats = read_formats(sys.stdin.buffer, sheet.name)
        place, shown = next(formats, NO_MORE)
        for number, row in enumerate(sheet.iter_rows()):
            while place < number:
                place, shown = next(formats, NO_MORE)
            in_row = shown if place == number else {}
            cells = [show(cell, in_row.get(column)) for column, cell in enumerate(row, first_column)]
            sys.stdout.buffer.write(orjson.dumps(cells) + b"\n")
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
    except NoRows as exc:
        sys.stderr.write(str(exc))
    except PasswordError:
        sys.stderr.write("The spreadsheet is locked with a password. Save it without one.")
    except (CalamineError, ValueError, KeyError, expat.ExpatError, zipfile.BadZipFile) as exc:
        sys.stderr.write(f"The spreadsheet can't be read ({exc}). Save it again, or as CSV.")
    else:
        return 0
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
