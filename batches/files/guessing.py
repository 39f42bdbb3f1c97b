"""Rank the encodings that a text can be in, by the company of its letters.

Some lines of a file enter. Two judges rank the encodings: chardet, which knows how often letters follow each other in
some fifty languages, and ``alphabets`` or, for China, Japan and Korea, ``ideographs``, which know what names look like.
A file of names is short and has few letters beyond ASCII, and there either judge alone is often wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import chardet

from batches.files.alphabets import measure_names
from batches.files.ideographs import ENCODINGS as IDEOGRAPHIC
from batches.files.ideographs import measure_ideographs

CANDIDATES = {
    "cp1252": 0.15,
    "cp1250": 0.09,
    "cp1251": 0.09,
    "cp1253": 0.09,
    "cp1254": 0.09,
    "cp1255": 0.09,
    "cp1256": 0.09,
    "cp1257": 0.09,
    "cp874": 0.09,
    "cp932": 0.09,
    "gb18030": 0.09,
    "big5": 0.09,
    "cp949": 0.09,
    "euc_jp": 0.07,
    "cp1258": 0.03,
    "koi8-r": 0.06,
    "koi8-u": 0.05,
    "iso8859-2": 0.05,
    "iso8859-15": 0.05,
    "iso8859-5": 0.03,
    "iso8859-6": 0.03,
    "iso8859-7": 0.05,
    "iso8859-16": 0.0,
    "mac-roman": 0.07,
    "mac-cyrillic": 0.04,
    "mac-greek": 0.03,
    "mac-latin2": 0.01,
    "mac-turkish": 0.02,
    "cp850": 0.04,
    "cp437": 0.0,
    "cp852": 0.03,
    "cp866": 0.03,
    "cp857": 0.02,
    "cp775": 0.02,
    "cp737": 0.02,
    "cp862": 0.02,
}
"""The encodings that a file can be in if it is not Unicode, and how much of a start each has.

Excel writes the Windows encodings. The start decides only where both judges find two encodings equally good, or
have hardly a word to judge.
"""

_CHARDET_NAMES = {"euc_jp": "euc_jis_2004", "big5": "big5hkscs"}

SCARCITY = 3
"""How much more the start counts if one word is all there is to judge: with so little to go by, the usual is likely."""

WORDS_MAX = 300
_BETWEEN = re.compile(r"[\s,;|\"<>@()\[\]{}/:!?*&+=_]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Guess:
    """An encoding, and how well it fits."""

    encoding: str
    score: float
    """From 0 to about 4. A difference of 0.3 is a doubt."""


@lru_cache(maxsize=4)
def rank_encodings(lines: tuple[bytes, ...], encodings: tuple[str, ...]) -> tuple[Guess, ...]:
    """Rank encodings for some lines that hold bytes beyond ASCII; the best is first.

    An encoding that cannot decode the lines is left out.
    """
    sample = b"\n".join(lines)
    judged: dict[str, tuple[float, float]] = {}
    texts: dict[str, str] = {}
    counts: dict[str, int] = {}
    for encoding in encodings:
        try:
            texts[encoding] = text = sample.decode(encoding)
        except UnicodeDecodeError:
            continue
        words = take_words(text)
        counts[text] = max(1, len(words))
        is_ideographic = encoding in IDEOGRAPHIC
        looks, explained = measure_ideographs(words, encoding) if is_ideographic else measure_names(words)
        habit = _ask_chardet(text, encoding)
        judged[text] = 2 * looks + explained, max(habit, judged.get(text, (0.0, 0.0))[1])
    highest = max((habit for _, habit in judged.values()), default=0.0) or 1.0
    guesses = []
    for encoding, text in texts.items():  # encodings that make the same text of the lines differ in their start alone
        looks, habit = judged[text]
        score = looks + 0.6 * habit / highest + CANDIDATES.get(encoding, 0.0) * (1 + SCARCITY / counts[text])
        guesses.append(Guess(encoding=encoding, score=score))
    return tuple(sorted(guesses, key=lambda guess: -guess.score))


def take_words(text: str) -> list[str]:
    """Return the different words of a text with letters beyond ASCII, WORDS_MAX at most."""
    words: dict[str, None] = {}
    for word in _BETWEEN.split(text):
        if not word.isascii():
            words[word] = None
            if len(words) == WORDS_MAX:
                break
    return list(words)


def _ask_chardet(text: str, encoding: str) -> float:
    """Return chardet's confidence that a text, in this encoding, is in some language.

    chardet knows words in small letters, so names in capitals are made small.
    """
    sample = text.title().encode(encoding, errors="ignore")
    asked = _CHARDET_NAMES.get(encoding, encoding)
    answer = chardet.detect(
        sample, compat_names=False, include_encodings=[asked], no_match_encoding=asked, empty_input_encoding=asked
    )
    return answer["confidence"] or 0.0
