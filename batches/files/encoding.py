"""Find out in which encoding a file is. Reads the file once, in constant memory; never decodes it for use."""

from __future__ import annotations

import codecs
import re
from typing import BinaryIO

from charset_normalizer import from_bytes
from charset_normalizer.constant import IANA_SUPPORTED

from batches.files.errors import UnreadableFile

CHUNK_BYTES = 1 << 18
SAMPLE_BYTES = 1 << 13
"""How much of the words beyond ASCII charset-normalizer is given; more makes it slow, not better."""

WORD_BYTES = 200
"""A longer word is cut, perhaps within a letter."""

GUESSES = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r", "iso8859_2"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
)
"""What a file without a mark that isn't UTF-8 is taken for. Where several fit as well the first counts:
cp1252 is what Excel writes in western Europe, and has latin-1's letters."""

CHOICES = (
    *("utf-8", "utf-16", "cp1252", "iso8859-15", "mac-roman", "cp850", "cp1250", "iso8859-2", "cp1251", "koi8-r"),
    *("cp1253", "cp1254", "cp1255", "cp1256", "cp932", "euc_jp", "gb18030", "big5", "cp949"),
)
"""The encodings that a page offers, by the codecs' own names and in the order in which it lists them."""

# By the codecs' own names. UTF-7 can spell half of a letter, which nothing else can hold.
_READABLE = {*CHOICES, *(codecs.lookup(name).name for name in IANA_SUPPORTED)} - {"utf-7"}

_WORD = re.compile(rb"[^\s,;|\"<>@]*[\x80-\xff][^\s,;|\"<>@]*")
_SIGNS = frozenset("“”‘’„‚«»–—…€·°§©®™½¿¡、。，（）「」")  # noqa: RUF001  the signs that names and notes have

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def detect_encoding(stream: BinaryIO) -> str:
    """Name the encoding of a seekable file, from its start to its end; leaves it at its start.

    A byte order mark decides; then UTF-8, if the whole file is valid; then charset-normalizer, from the
    first words that are not ASCII.

    A file of which most words are UTF-8 is UTF-8 all the same, so that the reading names the line which isn't:
    taken for anything else, every accent in it would come out wrong because one byte is.
    """
    stream.seek(0)
    head = stream.read(SAMPLE_BYTES)
    stream.seek(0)
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    found = marked or _unmarked_utf16(head) or _utf8(stream) or _guess(stream)
    stream.seek(0)
    return found


def check_encoding(name: str) -> str:
    """Return the codec's own name for what a person chose, or refuse it."""
    try:
        found = codecs.lookup(name).name
    except LookupError:
        found = ""
    if found not in _READABLE:
        raise UnreadableFile(f"{name!r} is no encoding that can be read. Choose another, such as utf-8 or cp1252.")
    return "utf-8-sig" if found == "utf-8" else found  # which reads UTF-8 with a mark and without


def choose_encoding(name: str, stream: BinaryIO) -> str:
    """The codec for what a person chose for a file, or refuse it; leaves the file at its start.

    Raises:
        UnreadableFile: if the name means no encoding of files, or the file can't be in it.
    """
    found = check_encoding(name)
    stream.seek(0)
    head = stream.read(SAMPLE_BYTES)
    stream.seek(0)
    if found != "utf-16" or head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return found
    unmarked = _unmarked_utf16(head)
    if unmarked is None:
        raise UnreadableFile("The file is not UTF-16. Choose the encoding that it was saved in.")
    return unmarked


def _unmarked_utf16(head: bytes) -> str | None:
    """UTF-16 without its mark shows in the NULs of what is ASCII: addresses, delimiters, line ends."""
    low, high = head[0::2].count(0), head[1::2].count(0)
    if 4 * max(low, high) < len(head) // 2 or 4 * min(low, high) > max(low, high):
        return None
    return "utf-16-le" if high > low else "utf-16-be"


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
    """Ask charset-normalizer; of its answers the one with fewest signs in the place of letters counts."""
    words = _sample(stream)
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
    """How much of what isn't ASCII isn't letters either: names in the wrong encoding are full of signs."""
    beyond = [char for char in text if not char.isascii()]
    return sum(not (char.isalpha() or char in _SIGNS) for char in beyond) / max(len(beyond), 1)


def _is_utf8(word: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(word, final=len(word) < WORD_BYTES)
    except UnicodeDecodeError:
        return False
    return True


def _sample(stream: BinaryIO) -> list[bytes]:
    """The first words that are not ASCII, from anywhere in the file."""
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
