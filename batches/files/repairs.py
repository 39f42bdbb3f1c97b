"""Codecs that undo two common mishaps of encodings: text that was encoded twice, and two encodings in one file.

"Zoë" in UTF-8 that a program took for Windows-1252 and encoded again reads "ZoÃ«". A list that was pasted together of
two files holds lines in UTF-8 beside lines in Windows-1252. Both are repaired alike: each run of characters beyond
ASCII that is UTF-8, once it is written in the other encoding, is replaced by what that UTF-8 says. All else stays.

The codecs are registered with Python, so that a file is opened with them as with any other.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batches.files.alphabets import judge_word

if TYPE_CHECKING:
    from typing_extensions import Buffer

RUN_MAX_LENGTH = 1 << 12
"""A longer run of characters beyond ASCII is no name, and is given out as it is."""

LIKELY = 0.5
"""What judge_word gives to a word that may well be a name."""

KEEP_CONTROLS = "emailbatch.keep_controls"
"""The error handler that reads and writes a byte which an encoding leaves out as the control character of that number.
Browsers do the same."""

_RUN = re.compile(r"[^\x00-\x7f]+")
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
_RUN_AT_END = re.compile(r"[^\x00-\x7f]+\Z")

_LEADS = re.compile(rb"[\xc3-\xc5\xce-\xd1\xd7-\xdb\xe0-\xed\xef\xf0][\x80-\xbf]|\xc2[\xa0-\xbf]|\xe2[\x80-\x84]")
"""The first bytes of UTF-8 letters and signs that names have. Of other sequences a few occur in correct text."""


_ALONE = re.compile("[\u00a0-\u017f\u1e00-\u20cf\u2122\U0001f000-\U0001faff]")
"""Latin letters, signs and emoji, which are alone among ASCII. Letters of other scripts come in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Repair:
    """How a codec repairs text."""

    outer: str
    """The encoding that the file as a whole can be read in."""
    inner: str
    """The encoding for which UTF-8 was taken."""


REPAIRS = {
    "utf-8-twice": Repair(outer="utf-8-sig", inner="cp1252"),
    "utf-8-twice-cp1250": Repair(outer="utf-8-sig", inner="cp1250"),
    "utf-8-twice-cp1251": Repair(outer="utf-8-sig", inner="cp1251"),
    "utf-8-twice-cp850": Repair(outer="utf-8-sig", inner="cp850"),
    "utf-8-twice-mac-roman": Repair(outer="utf-8-sig", inner="mac-roman"),
    "utf-8-mixed": Repair(outer="cp1252", inner="cp1252"),
    "utf-8-mixed-cp1250": Repair(outer="cp1250", inner="cp1250"),
    "utf-8-mixed-cp1251": Repair(outer="cp1251", inner="cp1251"),
    "utf-8-mixed-mac-roman": Repair(outer="mac-roman", inner="mac-roman"),
}
"""The codecs of this module, by name."""

TWICE = [name for name, repair in REPAIRS.items() if repair.outer != repair.inner]
"""The codecs for text that was encoded twice."""

MIXTURES = {repair.inner: name for name, repair in REPAIRS.items() if repair.outer == repair.inner}
"""The codec for a file that holds UTF-8 beside another encoding, by that encoding."""


def repair_text(text: str, inner: str) -> str:
    """Return a text whose runs beyond ASCII are repaired where the whole run is UTF-8 that was taken for ``inner``."""
    return _RUN.sub(lambda run: repair_run(run[0], inner) or run[0], text)


def repair_run(run: str, inner: str) -> str | None:
    """Return what a run of characters beyond ASCII says in UTF-8, or None if it was not encoded twice."""
    try:
        data = run.encode(inner, errors=KEEP_CONTROLS)
        repaired = data.decode() if _LEADS.match(data) else None
    except UnicodeError:
        return None
    return repaired if repaired and (len(repaired) > 1 or _ALONE.match(repaired)) else None


def is_utf8_word(word: bytes) -> bool:
    """Say whether the bytes of a word are UTF-8, of letters that names have. Few words of other encodings are."""
    try:
        return bool(word.decode()) and all(_LEADS.match(run) for run in _HIGH_RUN.findall(word))
    except UnicodeDecodeError:
        return False


def find_repair(words: Sequence[str]) -> str | None:
    """Return the codec that repairs words of UTF-8 text, if at least one of them shows that it was encoded twice.

    One word is enough, because no language has the letters of such a word side by side.
    """
    counts = {name: count_repairs(words, repair.inner) for name, repair in REPAIRS.items() if name in TWICE}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else None


def count_repairs(words: Iterable[str], inner: str) -> int:
    """Return how many words were certainly encoded twice: no name before the repair, and one after it."""
    count = 0
    for word in words:
        runs = _RUN.findall(word)
        if runs and all(repair_run(run, inner) for run in runs):
            before, after = judge_word(word)[0], judge_word(repair_text(word, inner))[0]
            count += before < after and after >= LIKELY
    return count


def _keep_controls(exc: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(exc, UnicodeDecodeError):
        return "".join(map(chr, exc.object[exc.start : exc.end])), exc.end
    if isinstance(exc, UnicodeEncodeError):
        codes = [ord(char) for char in exc.object[exc.start : exc.end]]
        if all(0x80 <= code < 0xA0 for code in codes):
            return bytes(codes), exc.end
    raise exc


class _RepairingDecoder(codecs.IncrementalDecoder):
    """Decodes the outer encoding and repairs each run that is whole. A run at the end waits for what follows."""

    repair: Repair

    def __init__(self, errors: str = "strict") -> None:
        super().__init__(errors)
        if self.repair.outer == self.repair.inner:
            errors = KEEP_CONTROLS
        self._outer = codecs.getincrementaldecoder(self.repair.outer)(errors)
        self._waiting = ""

    def decode(self, data: bytes, final: bool = False) -> str:  # type: ignore[override]
        text = self._waiting + self._outer.decode(data, final)
        self._waiting = ""
        run = None if final else _RUN_AT_END.search(text)
        if run and len(run[0]) <= RUN_MAX_LENGTH:
            self._waiting = run[0]
            text = text[: run.start()]
        return repair_text(text, self.repair.inner)

    def reset(self) -> None:
        self._outer.reset()
        self._waiting = ""

    def getstate(self) -> tuple[bytes, int]:
        return self._outer.getstate()

    def setstate(self, state: tuple[bytes, int]) -> None:
        self._outer.setstate(state)


def _find_codec(name: str) -> codecs.CodecInfo | None:
    wanted = name.replace("_", "-")
    repair = REPAIRS.get(wanted)
    if repair is None:
        return None

    class Decoder(_RepairingDecoder):
        pass

    Decoder.repair = repair

    def decode(data: Buffer, errors: str = "strict") -> tuple[str, int]:
        return Decoder(errors).decode(bytes(data), True), len(bytes(data))

    def encode(text: str, errors: str = "strict") -> tuple[bytes, int]:
        raise UnicodeEncodeError(wanted, text, 0, len(text), "this codec only reads")

    return codecs.CodecInfo(encode, decode, incrementaldecoder=Decoder, name=wanted)


codecs.register_error(KEEP_CONTROLS, _keep_controls)
codecs.register(_find_codec)
