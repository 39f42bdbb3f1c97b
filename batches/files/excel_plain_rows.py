"""Find the rows and strings of an Excel file that are written in the plainest way, which is nearly all of them.

Bytes of XML enter. The parts of a plain element leave, and between them the bytes that are for the XML parser. A plain
row has no cell but those with a number or a shared string. A plain string is one text without a sign for XML in it. A
pattern takes a third of the parser's time for them, and the parser can do without a whole element. The isolated program
that reads spreadsheets imports this module.
"""

import re
from collections.abc import Iterator

ROW_END = b"</row>"
STRING_END = b"</si>"
ELEMENT_MAX_BYTES = 1 << 20
"""A longer row or string goes to the parser in pieces."""

_CELL = rb'<c r="[A-Z]{1,3}[0-9]++"(?: s="[0-9]++")?(?: t="[sn]")?(?:/>|><v>[0-9.eE+-]++</v></c>)'
_ROW = re.compile(
    rb'<row r="([0-9]++)"(?: (?:spans|x14ac:dyDescent|s|customFormat)="[0-9:.]*+")*+>((?:%b)++)</row>' % _CELL
)
_CELL_PARTS = re.compile(r'<c r="([A-Z]+)[0-9]+"(?: s="([0-9]+)")?(?: t="([sn])")?><v>([^<]+)')

_STRING = re.compile(rb'<si><t(?: xml:space="preserve")?>([^<&\r]*+)</t></si>')

PlainCell = tuple[str, str, str, str]
"""The column's letters, the style or "", the type or "", and the value."""
PlainRow = tuple[int, list[PlainCell]]
"""The number of a row, and its cells that have a value."""


def split_at(mark: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut the bytes of a member at ends of its elements, ROW_END or STRING_END."""
    tail = b""
    for chunk in chunks:
        data = tail + chunk
        last = data.rfind(mark)
        end = len(data) if last < 0 and len(data) > ELEMENT_MAX_BYTES else last + len(mark) if last >= 0 else 0
        if end:
            yield data[:end]
        tail = data[end:]
    yield tail


def find_plain_rows(data: bytes) -> Iterator[bytes | PlainRow]:
    """Yield plain rows, and the bytes between them."""
    place = 0
    while place < len(data):
        if found := _ROW.match(data, place):
            yield int(found[1]), _CELL_PARTS.findall(found[2].decode("ascii"))
            place = found.end()
            continue
        end = data.find(ROW_END, place)
        end = len(data) if end < 0 else end + len(ROW_END)
        yield data[place:end]
        place = end


def find_plain_strings(data: bytes) -> Iterator[bytes | str]:
    """Yield plain strings of a member in UTF-8, and the bytes between them."""
    place = 0
    while place < len(data):
        if found := _STRING.match(data, place):
            yield found[1].decode()
            place = found.end()
            continue
        end = data.find(STRING_END, place)
        end = len(data) if end < 0 else end + len(STRING_END)
        yield data[place:end]
        place = end
