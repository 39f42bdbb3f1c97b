"""Make the files of the cases with the standard library, as the programs of the people who send lists write them."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
OPEN_DOCUMENT = "urn:oasis:names:tc:opendocument:xmlns"
XML = '<?xml version="1.0" encoding="UTF-8"?>'


@dataclass(frozen=True, kw_only=True, slots=True)
class Styled:
    """A number with the style of a number format. Style 1 is the first of the workbook's ``formats``."""

    number: float
    style: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class StyledText:
    """A text with the style of a number format."""

    text: str
    style: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Formula:
    """A formula with the result that the program stored, or None if it stored none. ``kind`` is the type of a cell."""

    source: str
    result: str | None = None
    kind: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blank:
    """A cell that has a style and holds nothing."""

    style: int = 0


Cell = str | int | float | Styled | StyledText | Formula | Blank | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """A sheet of a workbook."""

    rows: Sequence[Sequence[Cell]]
    name: str = "Sheet1"
    state: str = "visible"
    hidden_rows: frozenset[int] = frozenset()
    far_cells: Mapping[str, Cell] = field(default_factory=dict)
    """Cells by their references, such as Z1048576. Each is in a row after the others, or in the first row."""


def make_zip(members: Mapping[str, str | bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def make_xlsx(*sheets: Sheet, formats: Sequence[str] = (), settings: str = "", strings: Sequence[str] = ()) -> bytes:
    """Make an .xlsx file.

    Args:
        formats: the number formats of the styles 1, 2 and so on.
        settings: XML after the sheets of the workbook, such as ``<calcPr fullCalcOnLoad="1"/>``.
        strings: the shared strings. A sheet names one as ``Formula(source="", result="0", kind="s")``.
    """
    paths = [f"worksheets/sheet{number}.xml" for number in range(1, len(sheets) + 1)]
    listed = "".join(
        f'<sheet name={quoteattr(sheet.name)} sheetId="{number}" state="{sheet.state}" r:id="rId{number}"/>'
        for number, sheet in enumerate(sheets, start=1)
    )
    links = [f'Id="rId{n}" Type="{RELATIONS}/worksheet" Target="{path}"' for n, path in enumerate(paths, start=1)]
    links.append(f'Id="rId98" Type="{RELATIONS}/sharedStrings" Target="sharedStrings.xml"')
    links.append(f'Id="rId99" Type="{RELATIONS}/styles" Target="styles.xml"')
    items = "".join(f"<si><t>{escape(text)}</t></si>" for text in strings)
    return make_zip(
        {
            "[Content_Types].xml": _make_content_types(paths),
            "_rels/.rels": _make_links([f'Id="rId1" Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"']),
            "xl/workbook.xml": f'{XML}<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>{listed}</sheets>'
            f"{settings}</workbook>",
            "xl/_rels/workbook.xml.rels": _make_links(links),
            "xl/sharedStrings.xml": f'{XML}<sst xmlns="{MAIN}">{items}</sst>',
            "xl/styles.xml": _make_styles(formats),
            **{f"xl/{path}": make_sheet_xml(sheet) for path, sheet in zip(paths, sheets, strict=True)},
        }
    )


def make_sheet_xml(sheet: Sheet) -> str:
    first = {reference: cell for reference, cell in sheet.far_cells.items() if _row_of(reference) == 1}
    written = []
    for number, row in enumerate(sheet.rows, start=1):
        cells = {f"{name_column(place)}{number}": cell for place, cell in enumerate(row, start=1)}
        written.append(_make_row(number, cells | (first if number == 1 else {}), number in sheet.hidden_rows))
    for reference, cell in sheet.far_cells.items():
        if reference not in first:
            written.append(_make_row(_row_of(reference), {reference: cell}, False))
    return f'{XML}<worksheet xmlns="{MAIN}"><sheetData>{"".join(written)}</sheetData></worksheet>'


def name_column(number: int) -> str:
    """Return the letters of a column, which is counted from 1."""
    name = ""
    while number:
        number, rest = divmod(number - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


def _row_of(reference: str) -> int:
    return int(reference.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))


def _make_row(number: int, cells: Mapping[str, Cell], is_hidden: bool) -> str:
    hidden = ' hidden="1"' if is_hidden else ""
    return f'<row r="{number}"{hidden}>{"".join(_make_cell(*item) for item in cells.items())}</row>'


def _make_cell(reference: str, cell: Cell) -> str:
    match cell:
        case None | "":
            return ""
        case Blank():
            return f'<c r="{reference}" s="{cell.style}"/>'
        case Formula():
            kind = f' t="{cell.kind}"' if cell.kind else ""
            result = "" if cell.result is None else f"<v>{escape(cell.result)}</v>"
            source = f"<f>{escape(cell.source)}</f>" if cell.source else ""
            return f'<c r="{reference}"{kind}>{source}{result}</c>'
        case Styled():
            return f'<c r="{reference}" s="{cell.style}"><v>{cell.number!r}</v></c>'
        case StyledText():
            return f'<c r="{reference}" s="{cell.style}" t="inlineStr"><is><t>{escape(cell.text)}</t></is></c>'
        case str():
            text = f'<t xml:space="preserve">{escape(cell)}</t>'
            return f'<c r="{reference}" t="inlineStr"><is>{text}</is></c>'
        case _:
            return f'<c r="{reference}"><v>{cell!r}</v></c>'


def _make_links(links: Iterable[str]) -> str:
    return (
        f'{XML}<Relationships xmlns="{PACKAGE}">{"".join(f"<Relationship {link}/>" for link in links)}</Relationships>'
    )


def _make_content_types(paths: Iterable[str]) -> str:
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {"workbook.xml": "sheet.main", "styles.xml": "styles", "sharedStrings.xml": "sharedStrings"}
    parts |= dict.fromkeys(paths, "worksheet")
    overrides = "".join(f'<Override PartName="/xl/{p}" ContentType="{kind}.{t}+xml"/>' for p, t in parts.items())
    return (
        f'{XML}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>'
    )


def _make_styles(formats: Sequence[str]) -> str:
    codes = "".join(f'<numFmt numFmtId="{164 + n}" formatCode={quoteattr(code)}/>' for n, code in enumerate(formats))
    numbers = [0, *(164 + number for number in range(len(formats)))]
    styles = "".join(
        f'<xf numFmtId="{number}" fontId="0" fillId="0" borderId="0" applyNumberFormat="1"/>' for number in numbers
    )
    known = f'<numFmts count="{len(formats)}">{codes}</numFmts>' if formats else ""
    return (
        f'{XML}<styleSheet xmlns="{MAIN}">{known}<fonts count="1"><font/></fonts><fills count="1"><fill/></fills>'
        '<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs>'
        f'<cellXfs count="{len(numbers)}">{styles}</cellXfs></styleSheet>'
    )


def make_ods(*tables: str, manifest: str = "") -> bytes:
    """Make an .ods file of tables that ``make_ods_table`` made. ``manifest`` is XML inside the only file entry."""
    spaces = " ".join(f'xmlns:{name}="{OPEN_DOCUMENT}:{name}:1.0"' for name in ("office", "table", "text"))
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    entry = f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/>'
    content = f'<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml">{manifest}'
    return make_zip(
        {
            "mimetype": kind,
            "META-INF/manifest.xml": f'{XML}<manifest:manifest xmlns:manifest="{OPEN_DOCUMENT}:manifest:1.0">'
            f"{entry}{content}</manifest:file-entry></manifest:manifest>",
            "content.xml": f"{XML}<office:document-content {spaces}><office:body><office:spreadsheet>"
            f"{''.join(tables)}</office:spreadsheet></office:body></office:document-content>",
        }
    )


def make_ods_table(*rows: str, name: str = "Sheet1") -> str:
    return f"<table:table table:name={quoteattr(name)}>{''.join(rows)}</table:table>"


def make_ods_row(*cells: str, attributes: str = "") -> str:
    """Make a row. A cell is a text, or the XML of a cell."""
    made = [
        cell
        if cell.startswith("<table:")
        else f'<table:table-cell office:value-type="string"><text:p>{escape(cell)}</text:p></table:table-cell>'
        for cell in cells
    ]
    return f"<table:table-row{attributes}>{''.join(made)}</table:table-row>"


_SECTOR = 512
_END, _FREE, _TABLE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD


def make_ole(streams: Mapping[str, bytes]) -> bytes:
    """Make an OLE compound file (MS-CFB), as Office did before 2007 and does for files with a password.

    Each stream is filled up to 4,096 bytes, so that the file needs no table of small sectors.
    """
    filled = [content.ljust(max(4096, -(-len(content) // _SECTOR) * _SECTOR), b"\0") for content in streams.values()]
    starts, next_sector = [], 2  # sector 0 is the table of sectors and sector 1 the directory
    table = [_TABLE, _END]
    for content in filled:
        count = len(content) // _SECTOR
        starts.append(next_sector)
        table += [*range(next_sector + 1, next_sector + count), _END]
        next_sector += count
    entries = [_make_ole_entry("Root Entry", kind=5, child=1, start=_END, size=0)]
    for number, (name, content) in enumerate(zip(streams, filled, strict=True), start=1):
        right = number + 1 if number < len(streams) else _FREE
        entries.append(_make_ole_entry(name, kind=2, right=right, start=starts[number - 1], size=len(content)))
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    # One sector of the table, the directory in sector 1, no small sectors, and the table itself in sector 0.
    head += struct.pack("<10I", 0, 1, 1, 0, 4096, _END, 0, _END, 0, 0)
    head = head.ljust(_SECTOR, b"\xff")
    sectors = struct.pack(f"<{len(table)}I", *table).ljust(_SECTOR, b"\xff")
    return head + sectors + b"".join(entries).ljust(_SECTOR, b"\0") + b"".join(filled)


def _make_ole_entry(name: str, *, kind: int, start: int, size: int, right: int = _FREE, child: int = _FREE) -> bytes:
    text = name.encode("utf-16-le")
    head = text.ljust(64, b"\0") + struct.pack("<HBB", len(text) + 2, kind, 1)
    return head + struct.pack("<III16xI16xIQ", _FREE, right, child, 0, start, size)
