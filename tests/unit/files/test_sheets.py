from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest

from batches.files import kinds
from batches.files.errors import FileTooLarge, UnreadableFile, UnsupportedFile
from batches.files.kinds import is_spreadsheet
from batches.files.sheets import OpenedSheet, SheetRecords, open_sheet
from tests.unit.files.spreadsheet_files import make_binary_excel, read_file


def archive(**members: bytes) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(name.replace("__", "/").replace("_xml", ".xml"), data)
    file.seek(0)
    return file


ODS = Path(__file__).parents[2] / "data" / "csv" / "people.ods"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def workbook(rows: str, *codes: str) -> io.BytesIO:
    """Make the smallest .xlsx file: one sheet with these rows, and a style for each number format."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}"><Relationship Id="r1" Type="{RELATIONS}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        made.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>'
            '<sheet name="A" sheetId="1" r:id="r1"/></sheets></workbook>',
        )
        made.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{PACKAGE}"><Relationship Id="r1" Type="{RELATIONS}/worksheet" '
            f'Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="{RELATIONS}/styles" Target="styles.xml"/>'
            "</Relationships>",
        )
        made.writestr("xl/styles.xml", styles(codes))
        made.writestr(
            "xl/worksheets/sheet1.xml", f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
        )
    file.seek(0)
    return file


def styles(codes: Sequence[str]) -> str:
    formats = "".join(f"<numFmt numFmtId='{164 + n}' formatCode={quoteattr(code)}/>" for n, code in enumerate(codes))
    cells = "".join(f"<xf numFmtId='{164 + number}'/>" for number in range(len(codes)))
    return (
        f"<styleSheet xmlns='{MAIN}'><numFmts>{formats}</numFmts><cellStyleXfs><xf numFmtId='9'/></cellStyleXfs>"
        f"<cellXfs>{cells}</cellXfs></styleSheet>"
    )


def opendocument(rows: str) -> io.BytesIO:
    """Make a real .ods file with one table of these rows."""
    names = "urn:oasis:names:tc:opendocument:xmlns"
    spaces = " ".join(f'xmlns:{name}="{names}:{name}:1.0"' for name in ("office", "table", "text"))
    content = f'<table:table table:name="A">{rows}</table:table>'
    file = io.BytesIO()
    with zipfile.ZipFile(ODS) as real, zipfile.ZipFile(file, "w") as made:
        for member in real.infolist():
            if member.filename != "content.xml":
                made.writestr(member, real.read(member))
        made.writestr(
            "content.xml",
            f"<office:document-content {spaces}><office:body><office:spreadsheet>{content}"
            "</office:spreadsheet></office:body></office:document-content>",
        )
    file.seek(0)
    return file


def read(sheet: OpenedSheet) -> dict[int, list[str]]:
    """Read a sheet's rows by their numbers in it."""
    records = SheetRecords(sheet)
    return dict((records.line_num, cells) for cells in records if cells)  # noqa: C402  the number changes


def cell(reference: str, value: str) -> str:
    return f'<c r="{reference}" t="inlineStr"><is><t>{value}</t></is></c>'


def test_rows_have_the_sheets_numbers_when_it_begins_further_down() -> None:
    file = workbook(f'<row r="3">{cell("B3", "email")}</row><row r="5">{cell("B5", "ann@example.com")}</row>')
    assert is_spreadsheet(file)
    with open_sheet(file) as sheet:
        assert read(sheet) == {3: ["", "email"], 5: ["", "ann@example.com"]}


@pytest.mark.parametrize(
    ("value", "shown"),
    [("1", "1"), ("1.0", "1"), ("1.5", "1.5"), ("0.30000000000000004", "0.3"), ("493012345678", "493012345678")],
)
def test_number_is_as_a_person_sees_it_when_the_sheet_stores_a_float(value: str, shown: str) -> None:
    with open_sheet(workbook(f'<row r="1"><c r="A1"><v>{value}</v></c></row>')) as sheet:
        assert read(sheet) == {1: [shown]}


@pytest.mark.parametrize(
    ("code", "value", "shown"),
    [
        ("0000000000", "301234567", "0301234567"),
        ("(###) ###-####", "3012345678", "(301) 234-5678"),
        ("0.0%", "0.1234", "12.3%"),
        (r"#,##0.00\ [$€-407]", "-1234.5", "-1234.50 €"),
        ("General", "0.5", "0.5"),
        ("# ?/?", "0.5", "1/2"),
        ("0", "1234567890123450", "1234567890123450"),
        ("00", "1e+300", "1e+300"),
    ],
)
def test_number_has_its_zeros_and_signs_when_excel_shows_them(code: str, value: str, shown: str) -> None:
    file = workbook(f'<row r="2"><c r="B2" s="1"><v>{value}</v></c><c s="0"><v>7</v></c></row>', "General", code)
    with open_sheet(file) as sheet:
        assert read(sheet) == {2: ["", shown, "7"]}


def test_formats_stay_with_their_cells_when_rows_and_columns_are_left_out() -> None:
    row = (
        '<row r="{0}"><c r="AB{0}" s="0"><v>{0}</v></c><c r="AD{0}"><v>{0}</v></c><c t="str" s="0"><v>{0}</v></c></row>'
    )
    with open_sheet(workbook("".join(map(row.format, (2, 3, 9))), "000")) as sheet:
        assert {number: cells[27:] for number, cells in read(sheet).items()} == {
            number: [f"00{number}", "", f"00{number}", f"{number}"] for number in (2, 3, 9)
        }


def test_number_is_as_it_was_shown_when_the_sheet_is_opendocument() -> None:
    number = '<table:table-cell office:value-type="float" office:value="{}"{}><text:p>{}</text:p></table:table-cell>'
    commented = number.format(1, "", "0001").replace(
        "<text:p>", "<office:annotation><text:p>Call first</text:p></office:annotation><text:p>"
    )
    rows = (
        f"<table:table-row>{number.format(7, ' table:number-columns-repeated=' + chr(34) + '2' + chr(34), '007')}"
        f"{commented}</table:table-row>"
        '<table:table-row table:number-rows-repeated="2"><table:table-cell/></table:table-row>'
        f"<table:table-row><table:table-cell/><table:covered-table-cell/>"
        f"{number.format(0.5, '', '50 %')}</table:table-row>"
    )
    with open_sheet(opendocument(rows)) as sheet:
        assert read(sheet) == {1: ["007", "007", "0001"], 4: ["", "", "50 %"]}


def test_archive_is_refused_when_it_unpacks_to_more_than_a_sheet_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "UNPACKED_MAX_BYTES", 1_000_000)
    bomb = archive(xl__workbook_xml=b"<x/>", xl__worksheets__sheet1_xml=b" " * 1_000_001)
    assert len(bomb.getvalue()) < 5_000
    with pytest.raises(FileTooLarge, match="unpacks to more than"):
        is_spreadsheet(bomb)


def test_far_cell_costs_one_row_when_a_sheet_is_sparse() -> None:
    file = workbook(f'<row r="1">{cell("A1", "email")}</row><row r="1048576">{cell("XFD1048576", "x")}</row>')
    with open_sheet(file) as sheet:
        rows = read(sheet)
    assert list(rows) == [1, 1048576]
    assert len(rows[1048576]) == 16384


def test_sheet_is_refused_when_it_has_no_rows() -> None:
    with pytest.raises(UnreadableFile, match="no visible sheet with rows"), open_sheet(workbook("")):
        pass


@pytest.mark.parametrize("data", [b"PK\x03\x04 and then nothing", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600])
def test_file_is_refused_when_a_spreadsheet_is_damaged(data: bytes) -> None:
    file = io.BytesIO(data)
    with pytest.raises(UnreadableFile, match=r"damaged|can't be read"):
        if is_spreadsheet(file):
            with open_sheet(file):
                pass


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"\xef\xbb\xbf\n <HTML><table><tr><td>ann@example.com", "a web page"),
        (b'<?xml version="1.0"?><Workbook>ann@example.com', "an XML document"),
        (b"{\\rtf1 ann@example.com}", "RTF"),
        (b"BEGIN:VCARD\r\nEMAIL:ann@example.com", "vCard"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_file_is_refused_by_its_kind_when_it_is_no_list(data: bytes, named: str) -> None:
    with pytest.raises(UnsupportedFile, match=named):
        is_spreadsheet(io.BytesIO(data))


def test_archive_is_refused_when_it_holds_no_sheet() -> None:
    with pytest.raises(UnsupportedFile, match="zip archive") as caught:
        is_spreadsheet(archive(list_csv=b"email\n"))
    assert caught.value.http_status == 415


BINARY = {(0, 0): "email", (0, 1): "name", (1, 0): "ann@x.org", (1, 1): "Zoë", (9, 0): "bo@x.org", (9, 2): "3a"}


def test_rows_are_read_when_the_file_is_a_binary_workbook() -> None:
    found = {1: ["email", "name"], 2: ["ann@x.org", "Zoë"], 10: ["bo@x.org", "", "3a"]}
    assert read_file(make_binary_excel(BINARY)) == found


@pytest.mark.parametrize("place", [(1_048_575, 5), (1_048_575, 25), (1_048_575, 16_383), (199_999, 30)])
def test_binary_workbook_is_refused_when_a_cell_is_far_from_the_others(place: tuple[int, int]) -> None:
    with (
        pytest.raises(UnreadableFile, match="far from its list: delete them"),
        open_sheet(make_binary_excel({**BINARY, place: " "})),
    ):
        pass
