"""Make small spreadsheets for tests, cell by cell, and read them as an import does."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from batches.files.reading import RejectedRecord
from batches.files.sheets import OpenedSheet, SheetRecords, open_sheet

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
_OPENDOCUMENT = "urn:oasis:names:tc:opendocument:xmlns"

Sheet = tuple[str, str]
"""The name of a sheet, and the XML of its rows."""


def zip_members(members: Mapping[str, str]) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    file.seek(0)
    return file


def excel_members(
    *sheets: Sheet,
    codes: Sequence[str] = (),
    strings: str = "",
    states: Mapping[str, str] | None = None,
    more: str = "",
) -> dict[str, str]:
    """Return the members of an .xlsx file. Style 0 has no format, style 1 the first code, and so on.

    ``states`` are the states of sheets that are not visible, and ``more`` is XML in the workbook.
    """
    states = states or {}
    named = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="r{n}" state="{states.get(name, "visible")}"/>'
        for n, (name, _) in enumerate(sheets, 1)
    )
    related = "".join(
        f'<Relationship Id="r{n}" Type="{RELATIONS}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(sheets) + 1)
    )
    formats = "".join(f'<numFmt numFmtId="{164 + n}" formatCode={quoteattr(code)}/>' for n, code in enumerate(codes))
    styles = "".join(f'<xf numFmtId="{number}"/>' for number in (0, *range(164, 164 + len(codes))))
    return {
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}"><Relationship Id="r1" Type="{RELATIONS}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>{named}</sheets>{more}</workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}">{related}<Relationship Id="s1" '
        f'Type="{RELATIONS}/styles" Target="styles.xml"/><Relationship Id="s2" Type="{RELATIONS}/sharedStrings" '
        'Target="sharedStrings.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><numFmts>{formats}</numFmts><cellStyleXfs><xf numFmtId="9"/>'
        f"</cellStyleXfs><cellXfs>{styles}</cellXfs></styleSheet>",
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}">{strings}</sst>',
        **{
            f"xl/worksheets/sheet{n}.xml": f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
            for n, (_, rows) in enumerate(sheets, 1)
        },
    }


def excel_rows(*rows: Sequence[str], hidden: Sequence[int] = ()) -> str:
    """Return the XML of rows of texts. A cell that begins with "<" is XML already."""
    made = []
    for number, cells in enumerate(rows, 1):
        row = "".join(
            cell if cell.startswith("<") else f'<c t="inlineStr"><is><t>{escape(cell)}</t></is></c>' for cell in cells
        )
        made.append(f'<row r="{number}" hidden="{int(number in hidden)}">{row}</row>')
    return "".join(made)


def make_excel(*rows: Sequence[str], hidden: Sequence[int] = (), codes: Sequence[str] = ()) -> io.BytesIO:
    """Make an .xlsx file of one sheet."""
    return zip_members(excel_members(("People", excel_rows(*rows, hidden=hidden)), codes=codes))


def make_opendocument(*tables: Sheet, styles: str = "", table_styles: Mapping[str, str] | None = None) -> io.BytesIO:
    """Make an .ods file. ``styles`` is XML before its body, and ``table_styles`` names the styles of tables."""
    spaces = " ".join(
        f'xmlns:{name}="{_OPENDOCUMENT}:{name}:1.0"' for name in ("office", "table", "text", "style", "drawing")
    )
    named = table_styles or {}
    content = "".join(
        f'<table:table table:name={quoteattr(name)} table:style-name="{named.get(name, "")}">{rows}</table:table>'
        for name, rows in tables
    )
    return zip_members(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "content.xml": f'<office:document-content {spaces} xmlns:calcext="urn:calcext">{styles}<office:body>'
            f"<office:spreadsheet>{content}</office:spreadsheet></office:body></office:document-content>",
        }
    )


def opendocument_row(*cells: str, attributes: str = "") -> str:
    """Return the XML of a row of texts. A cell that begins with "<" is XML already."""
    texts = (
        cell
        if cell.startswith("<")
        else f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>'
        for cell in cells
    )
    return f"<table:table-row {attributes}>{''.join(texts)}</table:table-row>"


def make_binary_excel(cells: Mapping[tuple[int, int], str]) -> io.BytesIO:
    """Make an .xlsb file of one sheet, from its texts by row and column, both counted from 0."""
    rows: dict[int, bytes] = {}
    for (row, column), text in sorted(cells.items()):
        rows[row] = rows.get(row, b"") + _record(6, struct.pack("<II", column, 0) + _wide(text))
    data = b"".join(
        _record(0, struct.pack("<IIHBBBI", row, 0, 300, 0, 0, 0, 0)) + made for row, made in sorted(rows.items())
    )
    size = _record(148, struct.pack("<IIII", 0, max(rows), 0, max(column for _, column in cells)))
    sheet = _record(156, struct.pack("<II", 0, 1) + _wide("r1") + _wide("People"))
    relation = f'<Relationships xmlns="{PACKAGE}"><Relationship Id="r1" Type="{RELATIONS}'
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("_rels/.rels", f'{relation}/officeDocument" Target="xl/workbook.bin"/></Relationships>')
        archive.writestr("xl/workbook.bin", _record(131) + _record(143) + sheet + _record(144) + _record(132))
        archive.writestr(
            "xl/_rels/workbook.bin.rels", f'{relation}/worksheet" Target="worksheets/sheet1.bin"/></Relationships>'
        )
        archive.writestr(
            "xl/worksheets/sheet1.bin", _record(129) + size + _record(145) + data + _record(146) + _record(130)
        )
    file.seek(0)
    return file


def _record(kind: int, content: bytes = b"") -> bytes:
    """Write a record of MS-XLSB with a type below 256 and less than 16 KB."""
    name = bytes([kind]) if kind < 0x80 else bytes([kind, 1])
    size = len(content)
    return name + (bytes([size]) if size < 0x80 else bytes([size & 0x7F | 0x80, size >> 7])) + content


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def read_all(sheet: OpenedSheet, *, hidden_rows: bool = False) -> dict[int, list[str] | str]:
    """Return the cells of each row by its number, and of a row that is rejected, the reason."""
    records = SheetRecords(sheet, hidden_rows=hidden_rows)
    rows: dict[int, list[str] | str] = {}
    while True:
        try:
            cells = next(records)
        except RejectedRecord as exc:
            rows[records.line_num] = exc.reason
        except StopIteration:
            return rows
        else:
            if cells:
                rows[records.line_num] = cells


def read_file(file: io.BytesIO, *, sheet: str | None = None, hidden_rows: bool = False) -> dict[int, list[str] | str]:
    with open_sheet(file, sheet=sheet) as opened:
        return read_all(opened, hidden_rows=hidden_rows)
