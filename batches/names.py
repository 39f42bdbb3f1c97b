"""Compare names as people write them: headings of lists and fields of templates. Pure."""

from __future__ import annotations

import re
import unicodedata

_OWN_LETTERS = str.maketrans(
    {"\u0131": "i", "ł": "l", "ø": "o", "đ": "d", "ħ": "h", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"}
)
"""Letters with a stroke, without a dot, or of two letters, which Unicode does not take apart."""

_ACCENTS = re.compile("[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]+")
"""Marks that may be left out: accents, and the vowel points of Hebrew and Arabic.

The marks of other scripts spell a vowel or make another letter, such as the voiced signs of Japanese.
"""
_CYRILLIC_SHORT = re.compile("([ИиУу])\u0306")
"""The short i and the short u are letters of their own, and not an i or u with an accent."""


COMPARED_MAX_CHARS = 1000
"""How much of a name is compared. Python sorts the accents of a letter in a time that grows with their square: 160,000
take half a minute, in which nothing else runs in the process."""


def remove_accents(text: str) -> str:
    """Return a text without case, accents and the widths of letters (Unicode NFKD).

    What looks like an accent and makes another letter stays: が is not か, and й is not и. A text that is longer than
    any name is cut.
    """
    text = text[:COMPARED_MAX_CHARS]
    decomposed = _CYRILLIC_SHORT.sub(
        lambda match: unicodedata.normalize("NFC", match[0]), unicodedata.normalize("NFKD", text)
    )
    return unicodedata.normalize("NFC", _ACCENTS.sub("", decomposed)).casefold().translate(_OWN_LETTERS)


def make_key(name: str) -> str:
    """Return the letters and digits of a name, of every script, without case and accents.

    Headings with one key are the same heading, and a template's field and a list's column with one key match.
    """
    return "".join(char for char in remove_accents(name) if is_letter_or_digit(char))


def is_letter_or_digit(char: str) -> bool:
    """Say whether a character is a letter, a digit, or a sign that spells a vowel."""
    return char.isalnum() or unicodedata.category(char) in ("Mn", "Mc")
