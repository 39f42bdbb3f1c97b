"""Search the stored files of drafts for an address.

A draft and a Spelling enter. Whether its file holds the address leaves, and the lines of a text file that do.

A file is searched as bytes, in the encodings that a list may have. The parts of a spreadsheet are unpacked for that, up
to a limit. A file that can't be searched counts as one that holds the address: erasing then deletes it.
"""

from __future__ import annotations

import codecs
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, BinaryIO

from batches.intake.uploads import reopen_upload
from batches.models import Batch
from batches.people.spelling import Spelling

UNPACKED_MAX_BYTES = 512 << 20
"""How much of a spreadsheet is unpacked. A larger one is not searched."""

READ_BYTES = 1 << 20
OVERLAP_CHARS = 1024
"""How much of one piece is searched again with the next. Longer than any spelling of an address."""

LINES_MAX = 1000
"""How many lines of a file are exported."""


class _NotSearchable(Exception):
    """The file is larger than the limit, or damaged, or locked with a password."""


def holds_address(draft: Batch, spelling: Spelling) -> bool:
    """Whether the stored file of a draft holds the address, or can't be searched."""
    with reopen_upload(draft) as file:
        try:
            return any(_holds(part, spelling) for part in _parts(file))
        except (_NotSearchable, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError):
            return True


def find_lines(draft: Batch, spelling: Spelling) -> list[str]:
    """Return the lines of a stored text file that hold the address. None for a spreadsheet, which has no encoding."""
    if not draft.encoding:
        return []
    with reopen_upload(draft) as file:
        text = io.TextIOWrapper(file, encoding=draft.encoding, errors="replace", newline="")
        try:
            found = (line.rstrip("\r\n") for line in text if spelling.is_in(line))
            return [line for line, _ in zip(found, range(LINES_MAX), strict=False)]
        finally:
            text.detach()


def _parts(file: BinaryIO) -> Iterator[IO[bytes]]:
    """Yield the file, or the unpacked parts of a spreadsheet.

    Raises:
        _NotSearchable: the parts are too large together.
    """
    yield file
    file.seek(0)
    if file.read(4) != b"PK\x03\x04":
        return
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        if sum(part.file_size for part in archive.infolist()) > UNPACKED_MAX_BYTES:
            raise _NotSearchable
        for part in archive.infolist():
            with ExitStack() as stack:
                yield stack.enter_context(archive.open(part))


def _holds(part: IO[bytes], spelling: Spelling) -> bool:
    """Whether the octets hold the address: in an encoding that has ASCII's signs, or in UTF-16, which adds zeros."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    text = wide_text = ""
    while piece := part.read(READ_BYTES):
        text = text[-OVERLAP_CHARS:] + decode(piece)
        if spelling.is_in(text):
            return True
        if b"\0" in piece:
            wide_text = wide_text[-OVERLAP_CHARS:] + piece.replace(b"\0", b"").decode("latin-1")
            if spelling.is_in(wide_text):
                return True
    return False
