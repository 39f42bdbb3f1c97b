"""Find the encoding of a file and the others that fit it nearly as well, or check the one that a person chose.

Reads the file from start to end in constant memory. The text that it decodes serves the decision only.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from encodings.aliases import aliases
from typing import BinaryIO

from batches.files.errors import UnreadableFile
from batches.files.findings import EncodingChoice
from batches.files.guessing import CANDIDATES, Guess, rank_encodings
from batches.files.repairs import KEEP_CONTROLS, MIXTURES, REPAIRS, count_repairs, find_repair, is_utf8_word
from batches.files.survey import SAMPLE_BYTES, Survey, is_readable

CHOICES = (
    *("utf-8", "utf-16", "cp1252", "iso8859-15", "mac-roman", "cp850", "cp437"),
    *("cp1250", "iso8859-2", "iso8859-16", "mac-latin2", "cp852", "cp1257", "iso8859-13", "cp775"),
    *("cp1251", "koi8-r", "koi8-u", "iso8859-5", "mac-cyrillic", "cp866"),
    *("cp1253", "iso8859-7", "mac-greek", "cp737", "cp1254", "mac-turkish", "cp857"),
    *("cp1255", "cp862", "cp1256", "iso8859-6", "cp874", "cp1258"),
    *("cp932", "euc_jp", "iso2022_jp", "gb18030", "big5", "cp949"),
    *REPAIRS,
)
"""The encodings that a person can choose on a page, by the codecs' own names.

The page reads ``wording.ENCODING_NAMES``, which gives each of them a name. A test compares the two.
"""

# Beside the choices, every codec of Python that turns bytes into text and that a file can have. UTF-7 is left out: it
# can spell half a surrogate pair, which no other encoding can hold.
_READABLE = {*CHOICES, *(codecs.lookup(name).name for name in set(aliases.values()) - {"mbcs", "oem"})} - {
    *("utf-7", "base64", "bz2", "hex", "quopri", "rot-13", "uu", "zlib")
}

DOUBT = 0.3
"""Of two encodings whose scores differ by less, either may be the right one; by twice as much if there is one word."""

FEW_WORDS = 2
"""In a file of UTF-8, so few bad words are damage, and not lines of another file."""

RIVALS_MAX = 3
SAMPLES_MAX = 5

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_UTF8 = ("utf-8", "utf-8-sig")
_SURE = ("utf-16", "utf-16-le", "utf-16-be", "iso2022_jp")
"""Encodings that a file has a mark or a pattern of, which no other encoding has."""

_MULTIBYTE = ("cp932", "euc_jp", "gb18030", "big5", "cp949")


def detect_encoding(stream: BinaryIO, survey: Survey) -> str:
    """Return the encoding of a seekable file with its survey, and leave the file at its start.

    A byte order mark decides. Without one the file is UTF-8 if all of it is valid UTF-8. Otherwise the letters of the
    first lines beyond ASCII decide, and an encoding that cannot decode the whole file is never the answer.

    A file is also UTF-8 if all but a few of its words beyond ASCII are. The import then names the line with the bad
    byte. Read in any other encoding, every accent in the file would come out wrong because of one byte. A file with
    many words of either kind is read as a mixture, and one whose words were encoded twice is read repaired: see
    ``repairs``. The review says so, because find_rivals names the encoding without the repair.
    """
    head = _read_start(stream)
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    found = marked or _detect_unmarked_utf16(head) or _detect_iso2022(head) or _detect_utf8(stream)
    found = found or _guess(stream, survey)
    return _find_repair(survey.take_words()) or found if found in _UTF8 else found


def find_rivals(stream: BinaryIO, survey: Survey, encoding: str) -> list[EncodingChoice]:
    """Return how else a file could be decoded, with words of it both ways, and leave the file at its start.

    ``encoding`` is the one that was found or chosen. The likeliest rival is first.
    """
    words = survey.take_words()
    if not words or encoding in _SURE:
        return []
    choices = [
        EncodingChoice(encoding=name, samples=_compare(words, encoding, name))
        for name in _name_rivals(stream, survey, words, encoding)
    ]
    return _drop_equal(choices)


def _name_rivals(stream: BinaryIO, survey: Survey, words: list[bytes], encoding: str) -> list[str]:
    if encoding in _UTF8:
        repair = _find_repair(words)
        return [repair] if repair else []
    if encoding in REPAIRS:
        return [REPAIRS[encoding].outer.removesuffix("-sig")]
    mixture = _find_mixture(words, encoding)
    return [*([mixture] if mixture else []), *_find_near(stream, survey, encoding)]


def _find_repair(words: list[bytes]) -> str | None:
    return find_repair([word.decode(errors="replace") for word in words])


def is_encoded_twice(texts: Iterable[str]) -> bool:
    """Say whether some texts show that UTF-8 was taken for another encoding and encoded again ("ZoÃ«")."""
    return find_repair([word for text in texts if not text.isascii() for word in text.split()]) is not None


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


def _detect_iso2022(head: bytes) -> str | None:
    """Recognise the encoding of old Japanese mail programs, which spells letters with an escape and ASCII bytes."""
    return "iso2022_jp" if head.isascii() and (b"\x1b$B" in head or b"\x1b$@" in head) else None


def _detect_utf8(stream: BinaryIO) -> str | None:
    return "utf-8" if is_readable(stream, "utf-8") else None


def _guess(stream: BinaryIO, survey: Survey) -> str:
    """Return the encoding that fits best of those that can decode the whole file, for one that is not UTF-8."""
    words = survey.take_words()
    utf8_count = sum(map(is_utf8_word, words))
    other_count = len(words) - utf8_count
    if other_count <= max(FEW_WORDS, len(words) // 10) and other_count <= utf8_count:
        return "utf-8"
    if mixture := _detect_mixture(survey, words):
        return mixture
    if other_count < utf8_count:
        return "utf-8"
    return next((guess.encoding for guess in _rank(survey) if _can_decode(stream, guess.encoding)), "cp1252")


def _detect_mixture(survey: Survey, words: list[bytes]) -> str | None:
    """Recognise a file with some lines in UTF-8 and others in one of the encodings of MIXTURES."""
    others = tuple(line for line in survey.lines if not is_utf8_word(line))
    if len(others) == len(survey.lines):
        return None
    best = next(iter(rank_encodings(others, tuple(CANDIDATES))), None)
    return _find_mixture(words, best.encoding) if best else None


def _rank(survey: Survey) -> tuple[Guess, ...]:
    """Rank the encodings that have every byte of the file; a control character is no letter of a name."""
    fitting = tuple(name for name in CANDIDATES if name in _MULTIBYTE or _has_letters(name, survey.high_bytes))
    return rank_encodings(survey.lines, fitting)


def _has_letters(encoding: str, high_bytes: bytes) -> bool:
    try:
        text = high_bytes.decode(encoding)
    except UnicodeDecodeError:
        return False
    return not any("\x80" <= char < "\xa0" for char in text)


def _can_decode(stream: BinaryIO, encoding: str) -> bool:
    """Say whether an encoding decodes the whole file. One byte a letter: its bytes were compared before."""
    return encoding not in _MULTIBYTE or is_readable(stream, encoding)


def _find_near(stream: BinaryIO, survey: Survey, encoding: str) -> list[str]:
    """Return the encodings whose score is near to the best or to the score of the encoding in use, the best first."""
    ranked = _rank(survey)
    least = min([ranked[0].score, *(guess.score for guess in ranked if guess.encoding == encoding)]) if ranked else 0.0
    doubt = DOUBT * (1 + 1 / max(len(survey.take_words()), 1))
    near = (guess.encoding for guess in ranked if guess.score > least - doubt and guess.encoding != encoding)
    return [name for name in near if _can_decode(stream, name)]


def _find_mixture(words: list[bytes], encoding: str) -> str | None:
    """Return the codec for a file that holds UTF-8 beside this encoding, if some of the words are UTF-8."""
    codec = MIXTURES.get(encoding)
    texts = (word.decode(encoding, errors=KEEP_CONTROLS) for word in words)
    return codec if codec and count_repairs(texts, encoding) else None


def _compare(words: list[bytes], encoding: str, rival: str) -> list[list[str]]:
    """Return words that the two encodings read differently: as they were read, and as the rival reads them."""
    pairs = ([word.decode(name, errors="replace") for name in (encoding, rival)] for word in words)
    return [pair for pair in pairs if pair[0] != pair[1]][:SAMPLES_MAX]


def _drop_equal(choices: list[EncodingChoice]) -> list[EncodingChoice]:
    """Drop the choices that read the words as the encoding in use or as an earlier choice does."""
    different = {str(choice.samples): choice for choice in reversed(choices) if choice.samples}
    return list(reversed(different.values()))[:RIVALS_MAX]
