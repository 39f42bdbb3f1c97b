"""Recognise what kind of file an upload is, by its content and not by its name; refuse what is no list by name.

Text that may be a list, and spreadsheets that a person can open, go on. Every other kind is refused with a sentence
that names it and says what to do.
"""

from __future__ import annotations

import struct
import zipfile
from typing import BinaryIO, NoReturn

from batches.files.compound_files import MAGIC as OLE
from batches.files.compound_files import read_stream_names
from batches.files.errors import FileTooLarge, UnreadableFile, UnsupportedFile
from batches.files.text_kinds import EXPORT_TABLE, OPEN_AND_SAVE, UPLOAD_LIST, name_text_kind

UNPACKED_MAX_BYTES = 512 << 20
"""How much the members of an .xlsx or .ods file may unpack to. A million rows take about 200 MB."""

HEAD_BYTES = 1 << 12
MANIFEST_MAX_BYTES = 1 << 18
"""How much of an archive's own list of its members is searched for a password."""

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")

UNPACK = "Unpack it, and upload the CSV file or spreadsheet in it."
COPY_LIST = "Copy the list into a spreadsheet, and save that as CSV or .xlsx."

_BINARIES = (
    (b"%PDF-", "a PDF document", COPY_LIST),
    (b"{\\rtf", "a text document (RTF)", COPY_LIST),
    (b"\x1f\x8b", "a gzip archive", UNPACK),
    (b"\xfd7zXZ", "an xz archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", UNPACK),
    (b"7z\xbc\xaf", "a 7-Zip archive", UNPACK),
    (b"Rar!\x1a", "a RAR archive", UNPACK),
    (b"MSCF\0", "a cabinet archive", UNPACK),
    (b"\x89PNG", "a PNG picture", UPLOAD_LIST),
    (b"\xff\xd8\xff", "a JPEG picture", UPLOAD_LIST),
    (b"GIF87a", "a GIF picture", UPLOAD_LIST),
    (b"GIF89a", "a GIF picture", UPLOAD_LIST),
    (b"II*\0", "a TIFF picture", UPLOAD_LIST),
    (b"MM\0*", "a TIFF picture", UPLOAD_LIST),
    (b"\x7fELF", "a program", UPLOAD_LIST),
    (b"MZ\x90\0", "a program", UPLOAD_LIST),
    (b"L\0\0\0\x01\x14\x02\0", "a shortcut to another file", UPLOAD_LIST),
    (b"SQLite format 3", "an SQLite database", EXPORT_TABLE),
    (b"\0\x01\0\0Standard Jet DB", "an Access database", EXPORT_TABLE),
    (b"\0\x01\0\0Standard ACE DB", "an Access database", EXPORT_TABLE),
    (b"PAR1\x15", "a Parquet file", EXPORT_TABLE),
    (b"!BDN", "a mailbox of Outlook (PST)", EXPORT_TABLE),
    (b"\x78\x9f\x3e\x22", "an attachment of Outlook (winmail.dat)", UPLOAD_LIST),
    (b"bplist00", "a property list or a web archive of Safari", UPLOAD_LIST),
    (b"\x09\0\x04\0", "a spreadsheet of Excel 2", OPEN_AND_SAVE),
    (b"\x09\x02\x06\0", "a spreadsheet of Excel 3", OPEN_AND_SAVE),
    (b"\x09\x04\x06\0", "a spreadsheet of Excel 4", OPEN_AND_SAVE),
    (b"\x09\x08\x08\0", "a spreadsheet of Excel 5", OPEN_AND_SAVE),
    (b"\x09\x08\x10\0", "a damaged spreadsheet of Excel", OPEN_AND_SAVE),
    (b"\0\0\x02\0\x06\x04\x06\0", "a spreadsheet of Lotus 1-2-3", OPEN_AND_SAVE),
    (b"\0\0\x1a\0", "a spreadsheet of Lotus 1-2-3", OPEN_AND_SAVE),
)
"""What a file begins with, what such a file is, and what to do."""

_OLE_KINDS = {
    "WordDocument": ("a Word document", COPY_LIST),
    "PowerPoint Document": ("a PowerPoint presentation", COPY_LIST),
    "VisioDocument": ("a Visio drawing", UPLOAD_LIST),
    "__properties_version1.0": ("a message of Outlook", UPLOAD_LIST),
    "Quill": ("a Publisher document", COPY_LIST),
    "MatOST": ("a document of Microsoft Works", COPY_LIST),
}
_DOCUMENT_KINDS = {
    "text": ("a text document (OpenDocument)", COPY_LIST),
    "presentation": ("a presentation (OpenDocument)", COPY_LIST),
    "graphics": ("a drawing (OpenDocument)", COPY_LIST),
    "base": ("a database (OpenDocument)", EXPORT_TABLE),
    "database": ("a database (OpenDocument)", EXPORT_TABLE),
    "formula": ("a formula (OpenDocument)", COPY_LIST),
    "chart": ("a chart (OpenDocument)", COPY_LIST),
}
_APPLE = ("a file of Apple's Numbers, Pages or Keynote", "Export it there to CSV or to Excel, and upload that.")
_ZIP_KINDS = (
    ("word/", "a Word document", COPY_LIST),
    ("ppt/", "a PowerPoint presentation", COPY_LIST),
    ("visio/", "a Visio drawing", UPLOAD_LIST),
    ("index/", *_APPLE),
    ("index.zip", *_APPLE),
    ("index.apxl", "a presentation of Apple's Keynote", COPY_LIST),
    ("doc.kml", "a map (KMZ)", EXPORT_TABLE),
)
_SHEET_MEMBERS = ("xl/workbook", "workbook.xml", "workbook.bin", "content.xml")

_LOCKED = "The spreadsheet is locked with a password. Open it, save it without a password, and upload that."


def is_spreadsheet(file: BinaryIO) -> bool:
    """Say whether a file is a spreadsheet, by its first bytes and not by its name, and leave it at its start.

    Raises:
        UnsupportedFile: the file is of another kind, and no list of recipients.
        UnreadableFile: the archive is damaged, or locked with a password.
        FileTooLarge: the spreadsheet unpacks to more than UNPACKED_MAX_BYTES.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if head.startswith(OLE):
        _check_compound_file(file)
        return True
    if head.startswith(_ZIP):
        _check_zip(file)
        return True
    if kind := _name_binary(head) or name_text_kind(head):
        _refuse(*kind)
    return False


def _refuse(name: str, advice: str) -> NoReturn:
    raise UnsupportedFile(f"The file is {name}, not a list of recipients. {advice}")


def _name_binary(head: bytes) -> tuple[str, str] | None:
    for begin, name, advice in _BINARIES:
        if head.startswith(begin) or head.lstrip().startswith(begin):
            return name, advice
    if head.startswith(b"BZh") and head[4:10] == b"1AY&SY":
        return "a bzip2 archive", UNPACK
    if head.startswith(b"RIFF") and head[8:12] in (b"WEBP", b"WAVE", b"AVI "):
        return "a picture, a sound or a film", UPLOAD_LIST
    if head[257:262] == b"ustar":
        return "a tar archive", UNPACK
    if head[4:8] == b"ftyp":
        return "a picture or a film", UPLOAD_LIST
    return ("a dBase table", OPEN_AND_SAVE) if _is_dbase(head) else None


def _is_dbase(head: bytes) -> bool:
    """Recognise a dBase table by its version, its date and the length of its header."""
    if len(head) < 32 or b"\0" not in head or head[0] not in (0x02, 0x03, 0x30, 0x31, 0x32, 0x43, 0x83, 0x8B, 0xF5):
        return False
    (length,) = struct.unpack_from("<H", head, 8)
    return 1 <= head[2] <= 12 and 1 <= head[3] <= 31 and length >= 33


def _check_compound_file(file: BinaryIO) -> None:
    """Refuse an OLE file that is locked, or that another program than Excel made."""
    names = {name.casefold() for name in read_stream_names(file)}
    if "encryptedpackage" in names:
        raise UnreadableFile(_LOCKED)
    if not names or names & {"workbook", "book"}:  # without names the file is damaged, and its reader says so
        return
    for name, kind in _OLE_KINDS.items():
        if name.casefold() in names:
            _refuse(*kind)
    _refuse("a file of an old program, without an Excel sheet in it", OPEN_AND_SAVE)


def _check_zip(file: BinaryIO) -> None:
    """Refuse an archive that is not a spreadsheet, and one that unpacks to too much (a zip bomb)."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            names = {member.filename.replace("\\", "/").lower(): member for member in members}
            media_type = _read_member(archive, names.get("mimetype"))
            manifest = _read_member(archive, names.get("meta-inf/manifest.xml"))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as exc:
        raise UnreadableFile("The spreadsheet or archive is damaged. Save it again, or save it as CSV.") from exc
    finally:
        file.seek(0)
    _refuse_other_archives(set(names), media_type.decode("latin-1").strip())
    if b"encryption-data" in manifest or "encrypted-package" in names:
        raise UnreadableFile(_LOCKED)
    if sum(member.file_size for member in members) > UNPACKED_MAX_BYTES:
        raise FileTooLarge(
            f"The spreadsheet unpacks to more than {UNPACKED_MAX_BYTES:,} bytes. Save it as CSV and upload that."
        )


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo | None) -> bytes:
    if member is None or member.flag_bits & 1:  # 1: the archive itself is encrypted
        return b""
    try:
        with archive.open(member) as file:
            return file.read(MANIFEST_MAX_BYTES)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        return b""


def _refuse_other_archives(names: set[str], media_type: str) -> None:
    document = media_type.partition("opendocument.")[2].removesuffix("-template").partition("-")[0]
    if document in _DOCUMENT_KINDS:
        _refuse(*_DOCUMENT_KINDS[document])
    if any(name.startswith(_SHEET_MEMBERS) for name in names) or "encrypted-package" in names:
        return
    for begin, name, advice in _ZIP_KINDS:
        if any(member.startswith(begin) for member in names) and (begin != "index/" or _has_iwa(names)):
            _refuse(name, advice)
    if media_type == "application/epub+zip":
        _refuse("a book (EPUB)", COPY_LIST)
    _refuse("a zip archive", UNPACK)


def _has_iwa(names: set[str]) -> bool:
    return any(name.endswith(".iwa") for name in names)
