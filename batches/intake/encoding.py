"""Find out in which encoding a file is. Reads the file once, in constant memory; never decodes it for use."""

from __future__ import annotations

import codecs
from typing import BinaryIO

from charset_normalizer import from_bytes

from batches.intake.errors import UnreadableFile

CHUNK_BYTES = 1 << 18
SAMPLE_BYTES = 1 << 15
"""How much text with letters beyond ASCII charset-normalizer is given; more makes it slow, not better."""

FALLBACK = "cp1252"
"""What Excel writes in western Europe; unlike latin-1 it has the euro sign and the curly quotes."""

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def detect_encoding(stream: BinaryIO) -> str:
    """Name the encoding of a seekable file, from its start to its end; leaves it at its start.

    A byte order mark decides; then UTF-8, if the whole file is valid; then charset-normalizer, from the
    first lines that are not ASCII.
    """
    stream.seek(0)
    head = stream.read(4)
    stream.seek(0)
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    found = marked or _unmarked_utf16(head) or _utf8(stream) or _guess(stream)
    stream.seek(0)
    return found


def check_encoding(name: str) -> str:
    """Return the codec's own name for what a person chose, or refuse it."""
    try:
        codec = codecs.lookup(name)
    except LookupError as exc:
        raise UnreadableFile(f"There is no encoding named {name!r}. Choose another, such as utf-8 or cp1252.") from exc
    if not codec._is_text_encoding:
        raise UnreadableFile(f"{name!r} is not an encoding of text. Choose another, such as utf-8 or cp1252.")
    return codec.name


def _unmarked_utf16(head: bytes) -> str | None:
    """UTF-16 without its mark shows in the NULs of its first two characters, if they are ASCII."""
    zeros = [byte == 0 for byte in head]
    if zeros == [False, True, False, True]:
        return "utf-16-le"
    return "utf-16-be" if zeros == [True, False, True, False] else None


def _utf8(stream: BinaryIO) -> str | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := stream.read(CHUNK_BYTES):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _guess(stream: BinaryIO) -> str:
    """Ask charset-normalizer; what it can't tell, or calls a sister of cp1252, is read as cp1252."""
    best = from_bytes(_sample(stream)).best()
    if best is None or best.encoding in ("ascii", "utf_8"):
        return FALLBACK
    siblings = {best.encoding, *best.could_be_from_charset}
    return FALLBACK if FALLBACK in siblings else codecs.lookup(best.encoding).name


def _sample(stream: BinaryIO) -> bytes:
    """The first lines that are not ASCII, from anywhere in the file."""
    stream.seek(0)
    lines: list[bytes] = []
    size = 0
    while size < SAMPLE_BYTES and (chunk := stream.read(CHUNK_BYTES)):
        if chunk.isascii():
            continue
        for line in chunk.splitlines(keepends=True):
            if not line.isascii() and size < SAMPLE_BYTES:
                lines.append(line[:1024])
                size += len(lines[-1])
    return b"".join(lines)
