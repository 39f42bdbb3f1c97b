"""Read the XML members of a spreadsheet that is a zip archive, with the names that programs really write.

An archive enters, and the start, the end and the text of elements leave, without holding a member in memory. The
isolated program that reads spreadsheets imports it.
"""

import posixpath
import zipfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO
from xml.parsers import expat

CHUNK_BYTES = 1 << 16

TEXT_MAX_LENGTH = 16 << 20
PIECES_MAX = 1 << 20
"""The most text in one place, such as a cell or between two rows, and the most pieces of it."""

Attributes = dict[str, str]


class SheetArchive:
    """The members of a zip archive. Their names count without case, and with either slash."""

    def __init__(self, stream: BinaryIO) -> None:
        self._zip = zipfile.ZipFile(stream)
        self._members = {_fold(member.filename): member for member in self._zip.infolist()}

    def __contains__(self, name: str) -> bool:
        return _fold(name) in self._members

    def read_chunks(self, name: str) -> Iterator[bytes]:
        """Yield the unpacked bytes of a member.

        Raises:
            KeyError: there is no such member.
        """
        with self._zip.open(self._members[_fold(name)]) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def read_elements(self, name: str) -> Iterator[tuple[str, Attributes]]:
        """Yield the name of each element's start, and "/name" for its end, in a small member. No text.

        Names have no prefix. A member that does not exist has no elements.
        """
        if name not in self:
            return
        events: list[tuple[str, Attributes]] = []
        local = LocalNames()
        parser = make_parser()
        parser.StartElementHandler = lambda tag, attributes: events.append(
            (local[tag], {local[key]: value for key, value in attributes.items()})
        )
        parser.EndElementHandler = lambda tag: events.append((f"/{local[tag]}", {}))
        for chunk in self.read_chunks(name):
            parser.Parse(chunk)
            yield from events
            events.clear()


def make_parser() -> expat.XMLParserType:
    """Return a parser that hands the text between two tags over in one piece, and that accepts no entities."""
    parser = expat.ParserCreate()
    parser.EntityDeclHandler = _refuse_entities
    parser.buffer_text = True
    parser.buffer_size = CHUNK_BYTES
    return parser


def check_texts(pieces: Sequence[str]) -> None:
    """Refuse a file that has far too much text in one place, before it takes the memory of this process.

    Raises:
        ValueError: the pieces of text since the last cell or row are too long.
    """
    if len(pieces) > PIECES_MAX or sum(map(len, pieces)) > TEXT_MAX_LENGTH:
        raise ValueError("it has millions of characters in one place")


class LocalNames(dict[str, str]):
    """Names of elements without their prefix, "row" for "x:row". A file has few names and uses them many times."""

    def __missing__(self, name: str) -> str:
        self[name] = name[name.find(":") + 1 :]
        return self[name]


def resolve(target: str, *, folder: str) -> str:
    """Return the member that a relation of a member in ``folder`` points to."""
    target = target.replace("\\", "/")
    return posixpath.normpath(target.lstrip("/") if target.startswith("/") else posixpath.join(folder, target))


def _refuse_entities(*_: object) -> None:
    raise ValueError("it declares entities, which no spreadsheet does")


def _fold(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()
