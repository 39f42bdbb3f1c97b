"""Read the names of the streams in an OLE compound file (MS-CFB): old Office files, and new ones with a password.

The isolated program that reads spreadsheets imports this module.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
SECTORS_MAX = 64
"""How many sectors of the directory are read. The names that tell the kind of a file are among the first."""

_HEADER_BYTES = 512
_ENTRY_BYTES = 128
_LAST_SECTOR = 0xFFFFFFFA  # greater numbers are marks
_HEADER_TABLES = 109  # so many sectors of the sector table are named in the header


def read_stream_names(file: BinaryIO) -> set[str]:
    """Return the names of the first streams and folders, and leave the file at its start. Empty if it is broken."""
    try:
        return _read_names(file)
    except struct.error:
        return set()
    finally:
        file.seek(0)


def _read_names(file: BinaryIO) -> set[str]:
    file.seek(0)
    header = file.read(_HEADER_BYTES)
    (shift,) = struct.unpack_from("<H", header, 30)
    (sector,) = struct.unpack_from("<I", header, 48)
    tables = struct.unpack_from(f"<{_HEADER_TABLES}I", header, 76)
    if shift not in (9, 12):
        return set()
    size = 1 << shift
    names: set[str] = set()
    for _ in range(SECTORS_MAX):
        if sector >= _LAST_SECTOR:
            break
        file.seek((sector + 1) * size)
        names |= _read_entries(file.read(size))
        place, offset = divmod(sector, size // 4)
        if place >= _HEADER_TABLES or tables[place] >= _LAST_SECTOR:
            break
        file.seek((tables[place] + 1) * size + 4 * offset)
        (sector,) = struct.unpack("<I", file.read(4))
    return names


def _read_entries(data: bytes) -> set[str]:
    names = set()
    for begin in range(0, len(data) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
        (length,) = struct.unpack_from("<H", data, begin + 64)
        if 2 < length <= 64:
            names.add(data[begin : begin + length - 2].decode("utf-16-le", errors="replace"))
    return names
