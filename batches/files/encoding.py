"""Find the encoding of a file, or check the one that a person chose.

Reads the file from start to end in constant memory. The text that it decodes serves the decision only.
"""

from __future__ import annotations

import codecs
import re
from typing import BinaryIO

from charset_normalizer import from_bytes
from charset_normalizer.constant import IANA_SUPPORTED

from batches.files.errors import UnreadableFile

CHUNK_BYTES = 1 << 18
SAMPLE_BYTES = 1 << 13
"""How many bytes of words beyond ASCII charset-normalizer gets. More bytes make it slower and not better."""

WORD_BYTES = 200
"""A longer word is cut, perhaps inside a letter."""

GUESSES = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r", "iso8859_2"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
)
"""The encodings that a file can be in if it has no byte order mark and is not UTF-8.

If several fit equally well, the first of them wins. Excel writes cp1252 in western Europe, and cp1252 contains the
letters of latin-1.
"""

CHOICES = (
    *("utf-8", "utf-16", "cp1252", "iso8859-15", "mac-roman", "cp850", "cp1250", "iso8859-2", "cp1251", "koi8-r"),
    *("cp1253", "cp1254", "cp1255", "cp1256", "cp932", "euc_jp", "gb18030", "big5", "cp949"),
)
"""The encodings that a person can choose on a page, by the codecs' own names.

The page reads ``wording.ENCODING_NAMES``, which gives each of them a name. A test compares the two.
"""

# By the codecs' own names. UTF-7 is left out: it can spell half a surrogate pair, which no other encoding can hold.
_READABLE = {*CHOICES, *(codecs.lookup(name).name for name in IANA_SUPPORTED)} - {"utf-7"}

_WORD = re.compile(rb"[^\s,;|\"<>@]*[\x80-\xff][^\s,;|\"<>@]*")
_SIGNS = frozenset("“”‘’„‚«»–—…€·°§©®™½¿¡、。，（）「」")  # noqa: RUF001  the signs that names and notes contain

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def detect_encoding(stream: BinaryIO) -> str:
    """Return the encoding of a seekable file, and leave the file at its start.

    A byte order mark decides. Without one the file is UTF-8 if all of it is valid UTF-8. Otherwise charset-normalizer
    decides from the first words beyond ASCII.

    A file is also UTF-8 if most of its words beyond ASCII are. The import then names the line with the bad byte. Read
    in any other encoding, every accent in the file would come out wrong because of one byte.
    """
    head = _read_start(stream)
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    encoding = marked or _detect_unmarked_utf16(head) or _detect_utf8(stream) or _guess(stream)
    stream.seek(0)
    return encoding


def check_encoding(name: str) -> str:
    """Return the codec's own name for the encoding that a person chose.

    Raises:
        UnreadableFile: the name means no encoding that a file can have.
    """
    try:
        codec = codecs.lookup(name).name
    except LookupError:
        codec = ""
    if codec not in _READABLE:
        raise UnreadableFile(f"The encoding {name!r} is not known. Choose another one, such as utf-8 or cp1252.")
    return "utf-8-sig" if codec == "utf-8" else codec  # utf-8-sig reads UTF-8 with a byte order mark and without


def choose_encoding(name: str, stream: BinaryIO) -> str:
    """Return the codec for a file and the encoding that a person chose, and leave the file at its start.

    Raises:
        UnreadableFile: the name means no encoding of files, or the file can't be in that encoding.
    """
    codec = check_encoding(name)
    head = _read_start(stream)
    if codec != "utf-16" or head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return codec
    unmarked = _detect_unmarked_utf16(head)
    if unmarked is None:
        raise UnreadableFile("The file is not UTF-16. Choose the encoding that it was saved in.")
    return unmarked


def _read_start(stream: BinaryIO) -> bytes:
    stream.seek(0)
    head = stream.read(SAMPLE_BYTES)
    stream.seek(0)
    return head


def _detect_unmarked_utf16(head: bytes) -> str | None:
    """Recognise UTF-16 without its mark: each ASCII character (of addresses, delimiters, line ends) has a NUL byte."""
    low, high = head[0::2].count(0), head[1::2].count(0)
    if 4 * max(low, high) < len(head) // 2 or 4 * min(low, high) > max(low, high):
        return None
    return "utf-16-le" if high > low else "utf-16-be"


def _detect_utf8(stream: BinaryIO) -> str | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := stream.read(CHUNK_BYTES):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _guess(stream: BinaryIO) -> str:
    """Ask charset-normalizer, and take the answer that puts the fewest signs where letters belong."""
    words = _take_words(stream)
    if 2 * sum(map(_is_utf8, words)) > len(words):
        return "utf-8"
    sample = b" ".join(words)
    ranked = [
        (round(match.chaos + _sign_share(sample.decode(name, errors="replace")), 2), -round(match.coherence, 1), name)
        for match in from_bytes(sample, cp_isolation=list(GUESSES))
        for name in match.could_be_from_charset
    ]
    best = min(ranked, key=lambda rank: (*rank[:2], GUESSES.index(rank[2])), default=None)
    return codecs.lookup(best[2] if best else GUESSES[0]).name


def _sign_share(text: str) -> float:
    """Return the share of signs among the characters beyond ASCII. Names in a wrong encoding are full of signs."""
    beyond = [char for char in text if not char.isascii()]
    return sum(not (char.isalpha() or char in _SIGNS) for char in beyond) / max(len(beyond), 1)


def _is_utf8(word: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(word, final=len(word) < WORD_BYTES)
    except UnicodeDecodeError:
        return False
    return True


def _take_words(stream: BinaryIO) -> list[bytes]:
    """Return the first words beyond ASCII, from anywhere in the file, SAMPLE_BYTES at most."""
    stream.seek(0)
    words: list[bytes] = []
    size = 0
    while size < SAMPLE_BYTES and (chunk := stream.read(CHUNK_BYTES)):
        for word in () if chunk.isascii() else _WORD.finditer(chunk):
            words.append(word[0][:WORD_BYTES])
            size += len(words[-1]) + 1
            if size >= SAMPLE_BYTES:
                break
    return words
