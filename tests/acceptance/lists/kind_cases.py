"""Cases of files that are no list, or a list without addresses: each is refused with a sentence that names it."""

from __future__ import annotations

import struct

from tests.acceptance.lists.cases import ListCase, make_case
from tests.acceptance.lists.files import OPEN_DOCUMENT, Sheet, make_ods, make_ods_table, make_ole, make_xlsx, make_zip

MIMETYPE = "application/vnd.oasis.opendocument"
PEOPLE = "email,name\nann@example.org,Ann\n"


def _refused(
    name: str, content: str | bytes, filename: str, *, says: str, says_not: tuple[str, ...] = ("(?i)unpack",)
) -> ListCase:
    return make_case(name, content, None, filename=filename, says=(says,), says_not=says_not)


def _record(kind: int, body: bytes) -> bytes:
    return struct.pack("<HH", kind, len(body)) + body


# A .xls file with a password: a BIFF8 workbook whose second record is FILEPASS (MS-XLS 2.4.117, RC4).
LOCKED_WORKBOOK = _record(0x809, struct.pack("<HHHHII", 0x600, 5, 0x1CB2, 1997, 0xC1, 0x306)) + _record(
    0x2F, struct.pack("<HHH", 1, 1, 1) + bytes(48)
)
PASSWORD_ODS = make_ods(
    make_ods_table(),
    manifest='<manifest:encryption-data manifest:checksum-type="SHA1/1K" manifest:checksum="x">'
    '<manifest:algorithm manifest:algorithm-name="Blowfish CFB" manifest:initialisation-vector="x"/>'
    "</manifest:encryption-data>",
)
NUMBERS = {"Index/Document.iwa": b"x", "Index/Tables/DataList.iwa": b"x", "Metadata/Properties.plist": b"x"}
CARD = "BEGIN:VCARD\nVERSION:3.0\nFN:Ann\nEMAIL:ann@example.org\nEND:VCARD\n"
TABLE = "<table><tr><td>email</td></tr><tr><td>ann@example.org</td></tr></table>"
EXCEL_2003 = (
    '<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?>'
    '<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"><Worksheet/></Workbook>'
)

SENTENCES = [
    _refused(
        "word",
        make_zip({"[Content_Types].xml": "<Types/>", "word/document.xml": "<w/>"}),
        "members.docx",
        says="(?i)word|document",
    ),
    _refused(
        "password",
        make_ole({"EncryptionInfo": b"\x04\x00\x04\x00", "EncryptedPackage": bytes(8)}),
        "list.xlsx",
        says="(?i)password",
    ),
    _refused(
        "web-page-meta", f'<meta http-equiv="content-type" content="text/html">{TABLE}', "x.xls", says="(?i)web page"
    ),
    _refused("json", '[{"email": "ann@example.org", "name": "Ann"}]', "list.json", says="(?i)json"),
    make_case("postal-only", "first,last,address,city\nAnn,Berg,1 High St,Rome\nBo,Cole,2 Low St,Oslo\n", None),
    _refused(
        "powerpoint",
        make_zip({"[Content_Types].xml": "<Types/>", "ppt/presentation.xml": "<p/>"}),
        "a.pptx",
        says="(?i)powerpoint|presentation",
    ),
    _refused(
        "writer",
        make_zip({"mimetype": f"{MIMETYPE}.text", "content.xml": f'<d xmlns="{OPEN_DOCUMENT}"/>'}),
        "list.odt",
        says="(?i)document",
    ),
    _refused("numbers", make_zip(dict(NUMBERS)), "list.numbers", says="(?i)numbers"),
    _refused("old-word", make_ole({"WordDocument": b"\xec\xa5\xc1\x00"}), "list.doc", says="(?i)word|document"),
    _refused("password-ods", PASSWORD_ODS, "list.ods", says="(?i)password"),
    _refused("password-xls", make_ole({"Workbook": LOCKED_WORKBOOK}), "list.xls", says="(?i)password"),
    _refused("zip", make_zip({"list.csv": PEOPLE}), "list.zip", says="(?i)zip", says_not=()),
    _refused("web-page-div", f'<div class="export">{TABLE}</div>', "export.xls", says="(?i)web page"),
    _refused("web-page-comment", f"<!-- made by a program -->\n{TABLE}", "export.xls", says="(?i)web page"),
    _refused("web-page-style", f"<style>td {{color: red}}</style>{TABLE}", "export.xls", says="(?i)web page"),
    _refused(
        "web-page-utf16", f"<html><body>{TABLE}</body></html>".encode("utf-16"), "export.xls", says="(?i)web page"
    ),
    _refused(
        "web-archive",
        'MIME-Version: 1.0\nContent-Type: multipart/related; boundary="b"\n\n'
        f"--b\nContent-Type: text/html\n\n{TABLE}\n--b--\n",
        "export.xls",
        says="(?i)web (page|archive)",
    ),
    _refused("excel-2003-xml", EXCEL_2003, "list.xls", says="(?i)xml"),
    _refused("json-lines", '{"email": "ann@example.org"}\n{"email": "bo@example.org"}\n', "list.json", says="(?i)json"),
    _refused("vcard", CARD, "contacts.vcf", says="(?i)vcard|address book"),
    _refused(
        "calendar",
        "BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nATTENDEE:mailto:ann@example.org\nEND:VEVENT\nEND:VCALENDAR\n",
        "dates.ics",
        says="(?i)calendar",
    ),
    _refused(
        "ldif",
        "dn: cn=Ann,dc=example,dc=org\ncn: Ann\nmail: ann@example.org\n\ndn: cn=Bo\ncn: Bo\nmail: bo@example.org\n",
        "book.ldif",
        says="(?i)ldif|address book",
    ),
    _refused(
        "message",
        "Received: from a by b; Thu, 26 Nov 2026 10:00:00 +0000\nFrom: Ann <ann@example.org>\n"
        "To: bo@example.org\nSubject: Hello\nMIME-Version: 1.0\n\nHello\n",
        "mail.eml",
        says="(?i)mail|message",
    ),
    _refused("rich-text", "{\\rtf1\\ansi ann@example.org}", "list.rtf", says="(?i)rtf|document"),
    _refused("header-only", "email,name\n", "list.csv", says="(?i)only|no (rows|recipients|addresses|lines)|nothing"),
    _refused(
        "header-only-sheet",
        make_xlsx(Sheet(rows=[["email", "name"]])),
        "list.xlsx",
        says="(?i)only|no (rows|recipients|addresses|lines)|nothing",
    ),
    _refused("circumflex", "email^name\nann@example.org^Ann\nbo@example.org^Bo\n", "list.csv", says=r"\^"),
    _refused("tilde", "email~name\nann@example.org~Ann\nbo@example.org~Bo\n", "list.csv", says="~"),
    _refused(
        "two-spaces",
        "email              name\nann@example.org    Ann\nbo@example.org     Bo\n",
        "list.txt",
        says="(?i)spaces|blanks",
    ),
    _refused("no-addresses-under-email", "email,name\n,Ann\n,Bo\n", "list.csv", says="(?i)address"),
    _refused("names-under-email", "email,name\nAnn Berg,Ann\nBo Cole,Bo\n", "list.csv", says="(?i)@|address"),
    _refused(
        "sql-dump",
        "INSERT INTO people VALUES (1,'Ann','Rome');\nINSERT INTO people VALUES (2,'Bo','Oslo');\n",
        "dump.sql",
        says="(?i)dump of a database.*CSV",
    ),
]
