from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

from batches.files.errors import ListRefused, UnreadableFile, UnsupportedFile
from batches.files.kinds import is_spreadsheet
from tests.acceptance.lists.files import make_ole

DATA = Path(__file__).parents[2] / "data" / "csv"
TABLE = "<table><tr><td>email</td></tr><tr><td>ann@example.org</td></tr></table>"
DOCUMENT = "application/vnd.oasis.opendocument"


def make_zip(*names: str, **members: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
        for name, text in members.items():
            archive.writestr(name.replace("__", "/"), text)
    return file.getvalue()


TEXTS = [
    (f'<meta http-equiv="content-type" content="text/html">{TABLE}', "web page"),
    (f"\n <HTML><body>{TABLE}", "web page"),
    (f'<div class="export">{TABLE}</div>', "web page"),
    (f"<style>td {{color: red}}</style>{TABLE}", "web page"),
    (f"<!-- made by a program -->\n<!-- again -->{TABLE}", "web page"),
    ("<!-- a comment that does not end" + " x" * 5000, "web page"),
    (f'<?xml version="1.0"?><!DOCTYPE html><html xmlns="x">{TABLE}', "web page"),
    ('<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?><Workbook xmlns="x">', "XML document"),
    ('<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">', "Excel 2003"),
    ("<Workbook><Worksheet/></Workbook>", "Excel 2003"),
    ("<people><person>ann@example.org</person></people>", "XML document"),
    (f'<office:document office:mimetype="{DOCUMENT}.spreadsheet" xmlns:office="x">', "flat OpenDocument"),
    ("MIME-Version: 1.0\r\nContent-Type: multipart/related;\r\n boundary=b\r\n\r\n--b\r\n", "web archive"),
    ("From: <Saved by Blink>\nSubject: x\nMIME-Version: 1.0\nContent-Type: multipart/related\n\n", "web archive"),
    ("Received: from a by b;\n\tThu, 26 Nov\nFrom: Ann <ann@example.org>\nSubject: Hi\n\nHello\n", "email message"),
    ("From: Ann\nTo: Bo <bo@example.org>\nSubject: Hi\nDate: today\n\nHello\n", "email message"),
    ("From ann@example.org Thu Nov 26 10:00:00 2026\nReturn-Path: <ann@example.org>\n", "mailbox"),
    ('[{"email": "ann@example.org"}]', "JSON"),
    ('{\n "people": [{"email": "ann@example.org"}]}', "JSON"),
    ('{"email": "ann@example.org"}\n{"email": "bo@example.org"}\n', "JSON"),
    ('["ann@example.org", "bo@example.org"]', "JSON"),
    ("BEGIN:VCARD\r\nEMAIL:ann@example.org", "vCard"),
    ("begin:vcalendar\r\nATTENDEE:mailto:ann@example.org", "calendar"),
    ("- email: ann@example.org\n  name: Ann\n- email: bo@example.org\n  name: Bo\n", "YAML"),
    ("---\n- name: Ann\n  email: ann@example.org\n", "YAML"),
    ("INSERT INTO people (email,name) VALUES ('ann@example.org','Ann'),('bo@example.org','Bo');\n", "SQL"),
    ("-- MySQL dump 10.13\n--\n/*!40101 SET NAMES utf8 */;\nDROP TABLE IF EXISTS `people`;\n", "SQL"),
    ("version: 1\n\ndn: cn=Ann\nmail: ann@example.org\n", "LDIF"),
    ("# export\ndn:: Y249QW5u\nmail: ann@example.org\n", "LDIF"),
    ('ID;PWXL;N;E\nC;Y1;X1;K"email"', "SYLK"),
    ('TABLE\r\n0,1\r\n"EXCEL"\r\nVECTORS\r\n', "DIF"),
    ("{\\rtf1 ann@example.org}", "RTF"),
    ("%!PS-Adobe-3.0\n", "PostScript"),
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(("text", "named"), TEXTS)
def test_text_is_refused_by_its_kind_when_it_is_no_list(text: str, named: str, encoding: str) -> None:
    if text.startswith(("{\\rtf", "%!PS")) and encoding != "utf-8":
        pytest.skip("This kind has one encoding.")
    with pytest.raises(UnsupportedFile, match=named) as caught:
        is_spreadsheet(io.BytesIO(text.encode(encoding)))
    assert caught.value.message.count(". ") == 1  # what it is, and what to do


@pytest.mark.parametrize(
    "text",
    [
        "email,name\nann@example.org,Ann\n",
        "<ann@example.org>\n<bo@example.org>\n",
        "<b@example.org>, <a@example.org>\n",
        "Ann <ann@example.org>, Bo <bo@example.org>\n",
        '"Berg, Ann" <ann@example.org>\n',
        "{{name}};email\n",
        "[Members];;\nemail;name;\n",
        '["email"];name\n',
        "From: the office\nemail,name\nann@example.org,Ann\n",
        "Date: 2026-11-26\nSubject: members\nemail,name\nann@example.org,Ann\n",
        "To,Subject,Date\nann@example.org,Hi,today\n",
        "id;prename;email\n1;Ann;ann@example.org\n",
        "Table 1\nemail,name\n",
        "MZ,email\n1,ann@example.org\n",
        "RIFF,email\n1,ann@example.org\n",
        "PAR1,email\n1,ann@example.org\n",
        "# dn: no address book\nemail\n",
        "- ann@example.org\n- bo@example.org\n",
        "insert,email\ninto,ann@example.org\n",
        "-- members --\nemail,name\nann@example.org,Ann\n",
        "",
    ],
)
def test_text_goes_on_when_it_may_be_a_list(text: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        stream = io.BytesIO(text.encode(encoding))
        assert not is_spreadsheet(stream)
        assert stream.tell() == 0


DBASE = bytes([3, 126, 11, 26]) + struct.pack("<IHH", 1, 65, 20) + bytes(60)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (make_zip("[Content_Types].xml", "word/document.xml"), "Word document"),
        (make_zip("[Content_Types].xml", "ppt/presentation.xml"), "PowerPoint"),
        (make_zip(mimetype=f"{DOCUMENT}.text", content=""), "text document"),
        (make_zip("content.xml", mimetype=f"{DOCUMENT}.text-template"), "text document"),
        (make_zip("content.xml", mimetype=f"{DOCUMENT}.presentation"), "presentation"),
        (make_zip("Index/Document.iwa", "Index/Tables/DataList.iwa"), "Apple's Numbers"),
        (make_zip("preview.jpg", "Index.zip"), "Apple's Numbers"),
        (make_zip("list.csv", "index/readme.txt"), "zip archive"),
        (make_zip(), "zip archive"),
        (make_ole({"WordDocument": b"x"}), "Word document"),
        (make_ole({"PowerPoint Document": b"x"}), "PowerPoint"),
        (make_ole({"__properties_version1.0": b"x"}), "message of Outlook"),
        (make_ole({"FileHeader": b"x"}), "old program"),
        (b"\x09\x00\x04\x00\x02\x00\x10\x00", "Excel 2"),
        (b"\x09\x02\x06\x00\x00\x00\x10\x00", "Excel 3"),
        (b"\x09\x04\x06\x00\x00\x00\x10\x00", "Excel 4"),
        (b"\x00\x01\x00\x00Standard ACE DB\x00", "Access"),
        (b"\x00\x01\x00\x00Standard Jet DB\x00", "Access"),
        (b"SQLite format 3\x00", "SQLite"),
        (DBASE, "dBase"),
        (b"\x00\x00\x1a\x00\x00\x10\x04\x00", "Lotus"),
        (b"BZh91AY&SY", "bzip2"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8", "picture"),
        (b"\x00\x00\x00\x18ftypheic", "picture"),
        (bytes(257) + b"ustar\x0000", "tar"),
        (b"  %PDF-1.7", "PDF"),
    ],
)
def test_binary_file_is_refused_by_its_kind(data: bytes, named: str) -> None:
    with pytest.raises(UnsupportedFile, match=named) as caught:
        is_spreadsheet(io.BytesIO(data))
    assert caught.value.http_status == 415


MANIFEST = "<manifest><file-entry><encryption-data/></file-entry></manifest>"


@pytest.mark.parametrize(
    "data",
    [
        make_ole({"EncryptionInfo": b"x", "EncryptedPackage": b"x"}),
        make_zip("content.xml", mimetype=f"{DOCUMENT}.spreadsheet", **{"META-INF__manifest.xml": MANIFEST}),
        make_zip("encrypted-package", mimetype=f"{DOCUMENT}.spreadsheet", **{"META-INF__manifest.xml": MANIFEST}),
    ],
    ids=["office", "opendocument", "opendocument-whole"],
)
def test_spreadsheet_is_refused_with_what_to_do_when_it_has_a_password(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match=r"password\. Open it, save it without a password"):
        is_spreadsheet(io.BytesIO(data))


@pytest.mark.parametrize(
    "data",
    [
        make_zip("xl/workbook.xml"),
        make_zip("xl\\workbook.xml"),
        make_zip("XL/Workbook.xml"),
        make_zip("workbook.xml", "sheet1.xml"),
        make_zip("xl/workbook.bin"),
        make_zip("content.xml", mimetype=f"{DOCUMENT}.spreadsheet"),
        make_zip("content.xml", mimetype=f"{DOCUMENT}.spreadsheet-template"),
        make_ole({"Workbook": b"x"}),
        make_ole({"Book": b"x"}),
        *((DATA / name).read_bytes() for name in ("people.xlsx", "people.xls", "people.ods")),
    ],
)
def test_spreadsheet_is_recognised_when_it_has_its_members_in_any_spelling(data: bytes) -> None:
    stream = io.BytesIO(data)
    assert is_spreadsheet(stream)
    assert stream.tell() == 0


def test_damaged_compound_file_ends_in_a_sentence_or_goes_on_to_its_reader() -> None:
    whole = make_ole({"Workbook": b"x"})
    for place in range(0, 1024, 7):
        damaged = whole[:place] + b"\xff" * 4 + whole[place + 4 :]
        for data in (damaged, damaged[:place], damaged[:700]):
            try:
                is_spreadsheet(io.BytesIO(data))
            except ListRefused as exc:
                assert exc.message
