"""Find cells far from the others in the sheets of an .xlsb file, before a library makes room for all cells between.

An archive enters. Nothing leaves, or the file is refused. The isolated program that reads spreadsheets imports this
module. The records are those of MS-XLSB, section 2.1.4.
"""

import re
import struct
import zipfile
from collections.abc import Iterator

_SHEET = re.compile(r"xl[/\\]worksheets[/\\][^/\\]+\.bin", re.IGNORECASE)
_ROW, _CELLS = 0, range(2, 12)
"""The types of the records for a row, and for cells that hold something."""

CELLS_MIN = 4_000_000
CELLS_FACTOR = 50
"""How many cells a sheet may span: CELLS_MIN, or 50 for each that holds something."""


def refuse_far_cells(archive: zipfile.ZipFile) -> None:
    """Refuse a file that would take memory for millions of cells that it does not have.

    Raises:
        ValueError: a sheet spans far more cells than it has.
    """
    for member in archive.infolist():
        if not _SHEET.fullmatch(member.filename):
            continue
        count = row = last_row = last_column = 0
        for kind, place, data in _read_records(archive.read(member)):
            if kind == _ROW:
                [row] = struct.unpack_from("<I", data, place)
            elif kind in _CELLS:
                count, last_row = count + 1, max(last_row, row)
                last_column = max(last_column, struct.unpack_from("<I", data, place)[0])
        if (last_row + 1) * (last_column + 1) > max(CELLS_MIN, CELLS_FACTOR * count):
            raise ValueError("a sheet has cells or rows far from its list: delete them")


def _read_records(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the type of each record, the place of its content, and the data. Both numbers have seven bits a byte."""
    place = 0
    while place + 1 < len(data):
        kind = data[place]
        place += 1
        if kind & 0x80:
            kind = kind & 0x7F | data[place] << 7
            place += 1
        size = shift = 0
        while True:
            byte = data[place]
            place += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80 or shift == 28:
                break
        yield kind, place, data
        place += size
