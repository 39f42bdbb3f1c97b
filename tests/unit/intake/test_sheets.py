from __future__ import annotations

import io
import zipfile

import pytest

from batches.intake import sheets
from batches.intake.errors import FileTooLarge, UnreadableFile, UnsupportedFile
from batches.intake.sheets import is_spreadsheet, open_sheet, read_rows


def archive(**members: bytes) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(name.replace("__", "/").replace("_xml", ".xml"), data)
    file.seek(0)
    return file


def workbook(rows: str) -> io.BytesIO:
    """The least that is an .xlsx: one sheet with these rows."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}"><Relationship Id="r1" Type="{relations}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        made.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>'
            '<sheet name="A" sheetId="1" r:id="r1"/></sheets></workbook>',
        )
        made.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}"><Relationship Id="r1" Type="{relations}/worksheet" '
            'Target="worksheets/sheet1.xml"/></Relationships>',
        )
        made.writestr(
            "xl/worksheets/sheet1.xml", f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>'
        )
    file.seek(0)
    return file


def cell(reference: str, value: str) -> str:
    return f'<c r="{reference}" t="inlineStr"><is><t>{value}</t></is></c>'


def test_rows_have_the_sheets_numbers_when_it_begins_further_down() -> None:
    file = workbook(f'<row r="3">{cell("B3", "email")}</row><row r="5">{cell("B5", "ann@example.com")}</row>')
    assert is_spreadsheet(file)
    with open_sheet(file) as sheet:
        rows = list(read_rows(sheet))
    assert [number for number, row in enumerate(rows, 1) if any(row)] == [3, 5]
    assert rows[4] == ["ann@example.com"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [("1", "1"), ("1.0", "1"), ("1.5", "1.5"), ("0.30000000000000004", "0.3"), ("493012345678", "493012345678")],
)
def test_number_is_as_a_person_sees_it_when_the_sheet_keeps_a_float(value: str, shown: str) -> None:
    with open_sheet(workbook(f'<row r="1"><c r="A1"><v>{value}</v></c></row>')) as sheet:
        assert list(read_rows(sheet)) == [[shown]]


def test_archive_is_refused_when_it_unpacks_to_more_than_a_sheet_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "UNPACKED_MAX_BYTES", 1_000_000)
    bomb = archive(xl__workbook_xml=b"<x/>", xl__worksheets__sheet1_xml=b" " * 1_000_001)
    assert len(bomb.getvalue()) < 5_000
    with pytest.raises(FileTooLarge, match="unpacks to more than"):
        is_spreadsheet(bomb)


def test_child_is_stopped_when_a_sheet_hides_how_much_it_unpacks_to() -> None:
    # One cell at the far corner: a range of 17 thousand million cells out of a few bytes.
    file = workbook(f'<row r="1">{cell("A1", "email")}</row><row r="1048576">{cell("XFD1048576", "x")}</row>')
    with pytest.raises(UnreadableFile, match=r"too big|damaged|can't be read"), open_sheet(file) as sheet:
        list(read_rows(sheet))


def test_sheet_is_refused_when_it_has_no_rows() -> None:
    with pytest.raises(UnreadableFile, match="no sheet with rows"), open_sheet(workbook("")):
        pass


@pytest.mark.parametrize("data", [b"PK\x03\x04 and then nothing", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600])
def test_error_says_so_when_a_spreadsheet_is_damaged(data: bytes) -> None:
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
