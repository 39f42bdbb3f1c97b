"""Recognise spreadsheets by their content and read them in a child process; refuse other binary files by name.

An uploaded file enters. The rows of its first sheet with rows leave, each a list of cells as text. Spreadsheets may be
hostile, so a child process with limits reads them.
"""

from __future__ import annotations

import codecs
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import orjson

from batches.files.errors import FileTooLarge, StorageFull, UnreadableFile, UnsupportedFile
from batches.files.sheet_program import REFUSED

UNPACKED_MAX_BYTES = 512 << 20
"""How much the members of an .xlsx or .ods file may unpack to. A million rows take about 200 MB."""

TIMEOUT_SECONDS = 180
"""How long the child process may take. Its limit on processor time is lower, so this ends a child that hangs."""

_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BINARIES = {
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"\x7fELF": "a program",
    b"SQLite format 3": "an SQLite database",
    b"PAR1": "a Parquet file",
    b"{\\rtf": "a text document (RTF)",
}
_MARKUPS = {
    b"<!doctype html": "a web page, whatever its name says",
    b"<html": "a web page, whatever its name says",
    b"<table": "a web page, whatever its name says",
    b"<?xml": "an XML document",
    b"begin:vcard": "an address book (vCard)",
}
"""Text that is no list. Some programs on the web name a page with a table ``.xls``."""

HEAD_BYTES = 64


def is_spreadsheet(file: BinaryIO) -> bool:
    """Say whether a file is a spreadsheet, by its first bytes and not by its name, and leave it at its start.

    Raises:
        UnsupportedFile: the first bytes are those of another kind of file.
        UnreadableFile: the archive is damaged.
        FileTooLarge: the spreadsheet unpacks to more than UNPACKED_MAX_BYTES.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if head.startswith(_OLE):
        return True
    if head.startswith(_ZIP):
        _check_zip(file)
        return True
    kind = _name_other_kind(head)
    if kind:
        raise UnsupportedFile(
            f"The file is {kind}, not a list of recipients. "
            "Open it with the program that made it or with a spreadsheet program, and save it as CSV or .xlsx."
        )
    return False


def _name_other_kind(head: bytes) -> str | None:
    """Name the kind of a file that is no list; None if it may be one."""
    text = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    known = [(head, magic, name) for magic, name in _BINARIES.items()]
    known += [(text, start, name) for start, name in _MARKUPS.items()]
    return next((name for data, start, name in known if data.startswith(start)), None)


@contextmanager
def open_sheet(file: BinaryIO) -> Iterator[BinaryIO]:
    """Give a file with the rows of a spreadsheet's first sheet that has rows, to be read by ``read_rows``.

    Raises:
        UnreadableFile: the spreadsheet is locked, broken or too big.
        StorageFull: there is no room for the rows.
    """
    with tempfile.TemporaryFile() as copy, tempfile.TemporaryFile() as rows:
        shutil.copyfileobj(file, copy)
        copy.seek(0)
        _convert(cast(BinaryIO, copy), cast(BinaryIO, rows))
        yield cast(BinaryIO, rows)


def read_rows(sheet: BinaryIO) -> Iterator[list[str]]:
    """Yield every row of the sheet. A blank row is a list of blank cells, so the place of a row is its number."""
    sheet.seek(0)
    return map(orjson.loads, sheet)


def _convert(source: BinaryIO, target: BinaryIO) -> None:
    program = Path(__file__).with_name("sheet_program.py")
    try:
        done = subprocess.run(  # noqa: S603
            # -I: the child sees neither this process's folder nor its environment, only installed packages.
            [sys.executable, "-I", str(program)],
            stdin=source,
            stdout=target,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise UnreadableFile("The spreadsheet took too long to read. Save it as CSV and upload that.") from exc
    message = done.stderr.decode(errors="replace")
    if done.returncode == REFUSED:
        raise UnreadableFile(message)
    if "No space left on device" in message:
        raise StorageFull
    if done.returncode:
        raise UnreadableFile("The spreadsheet is too big to read or is damaged. Save it as CSV and upload that.")


def _check_zip(file: BinaryIO) -> None:
    """Refuse an archive that is not a spreadsheet, and one that unpacks to too much (a zip bomb)."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as exc:
        raise UnreadableFile("The spreadsheet or archive is damaged. Save it again, or save it as CSV.") from exc
    finally:
        file.seek(0)
    names = {member.filename for member in members}
    if not any(name.startswith(("xl/workbook", "content.xml")) for name in names):
        raise UnsupportedFile("The file is a zip archive. Unpack it and upload the CSV file or spreadsheet in it.")
    if sum(member.file_size for member in members) > UNPACKED_MAX_BYTES:
        raise FileTooLarge(
            f"The spreadsheet unpacks to more than {UNPACKED_MAX_BYTES:,} bytes. Save it as CSV and upload that."
        )
