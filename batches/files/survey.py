"""Collect what a file shows of its encoding: the first lines beyond ASCII, and which bytes it uses at all.

Reads a file from start to end in constant memory.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import BinaryIO

CHUNK_BYTES = 1 << 18
"""How many bytes of a file are read at once."""

SAMPLE_BYTES = 1 << 13
"""How many bytes of lines beyond ASCII are judged. More make the judgement slower and not better."""

LINE_MAX_BYTES = 1000
"""Of a longer line, what is beyond this is left out."""

_WORDS_MAX = 500

# None of the bytes between words is the second byte of a letter in an encoding of Japan, China or Korea.
_WORD = re.compile(rb"[^\s,;\"<>]*[\x80-\xff][^\s,;\"<>]*")
_ADDRESS = re.compile(rb"[\w.+-]+@[\w.-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What a file shows of its encoding."""

    lines: tuple[bytes, ...]
    """The first lines that hold bytes beyond ASCII, without their addresses."""
    high_bytes: bytes
    """Every byte beyond ASCII that the file uses, once."""

    def take_words(self) -> list[bytes]:
        """Return the different words beyond ASCII in the lines."""
        words = dict.fromkeys(word[0] for line in self.lines for word in _WORD.finditer(line))
        return list(words)[:_WORDS_MAX]


def survey_file(stream: BinaryIO) -> Survey:
    """Survey a seekable file, and leave it at its start."""
    stream.seek(0)
    lines: list[bytes] = []
    size = 0
    high = bytes(range(128))  # ASCII is never of interest
    tail = b""
    while chunk := stream.read(CHUNK_BYTES):
        high += bytes(sorted(set(chunk.translate(None, high))))
        if size < SAMPLE_BYTES:
            *whole, tail = (tail + chunk).splitlines(keepends=True) or [b""]
            size += _add_lines(lines, whole, SAMPLE_BYTES - size)
            tail = tail[:LINE_MAX_BYTES]
    _add_lines(lines, [tail], SAMPLE_BYTES - size)
    stream.seek(0)
    return Survey(lines=tuple(lines), high_bytes=high[128:])


def _add_lines(lines: list[bytes], found: list[bytes], room: int) -> int:
    """Add lines beyond ASCII until there is no more room, and return how many bytes were added."""
    size = 0
    for line in found:
        if size >= room:
            break
        if not line.isascii():
            lines.append(_cut(_ADDRESS.sub(b" ", line.strip())))
            size += len(lines[-1]) + 1
    return size


def _cut(line: bytes) -> bytes:
    """Shorten a long line at the end of a word, so that no letter is cut."""
    if len(line) <= LINE_MAX_BYTES:
        return line
    words = list(_WORD.finditer(line, 0, LINE_MAX_BYTES))
    return b" ".join(word[0] for word in words[:-1] or words)


def is_readable(stream: BinaryIO, encoding: str) -> bool:
    """Say whether an encoding can decode a whole file, and leave the file at its start."""
    decoder = codecs.getincrementaldecoder(encoding)()
    stream.seek(0)
    try:
        while chunk := stream.read(CHUNK_BYTES):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    finally:
        stream.seek(0)
    return True
