"""Say whether a word could be a name in some language, by its letters alone. Pure.

A name that was read in the wrong encoding holds signs, capitals inside it, or letters that no single language has side
by side: "Iþýl" is no name in any language, and "Işıl" is one in Turkish.
"""

# ruff: noqa: RUF001, RUF002  letters of many scripts that look alike

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

from batches.files.ideographs import SURNAMES


def _span(first: str, last: str) -> str:
    return "".join(map(chr, range(ord(first), ord(last) + 1)))


_RUSSIAN = _span("а", "я") + "ё"
_ARABIC = _span("ء", "غ") + _span("ـ", "\u0652")

_LETTERS = {
    "de": "äöüß",
    "fr": "àâæçéèêëîïôœùûüÿ",
    "es": "áéíñóúüç",
    "pt": "áâãàçéêíóôõúü",
    "it": "àèéìíòóùú",
    "ca": "àçèéíïòóúü·",
    "nl": "áéèêëíïóôöúü",
    "sv": "åäöéü",
    "da": "åæøéöä",
    "fi": "åäöšž",
    "is": "áðéíóúýþæö",
    "ga": "áéíóú",
    "cy": "âêîôûŵŷäëïöáé",
    "tr": "çğıöşüâîû\u0307",
    "hu": "áéíóöőúüű",
    "pl": "ąćęłńóśźż",
    "cs": "áčďéěíňóřšťúůýžöü",
    "sk": "áäčďéíĺľňóôŕšťúýž",
    "hr": "čćđšž",
    "ro": "ăâîşţșțéá",
    "lt": "ąčęėįšųūž",
    "lv": "āčēģīķļņōŗšūž",
    "et": "äõöüšž",
    "sq": "çë",
    "mt": "ċġħżàèìòù",
    "vi": "ăâđêôơưàáãèéêìíòóõùúýạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ\u0300\u0301\u0303\u0309\u0323",
    "ru": _RUSSIAN,
    "uk": _span("а", "я").translate(dict.fromkeys(map(ord, "ыъэё"))) + "ієїґ’ʼ",
    "be": _span("а", "я").translate(dict.fromkeys(map(ord, "иъщ"))) + "іўё’ʼ",
    "sr": "абвгдђежзијклљмнњопрстћуфхцчџш",
    "mk": "абвгдѓежзѕијклљмнњопрстќуфхцчџш",
    "el": _span("α", "ω") + "άέήίόύώϊϋΐΰ",
    "he": _span("א", "ת") + "׳״",
    "ar": _ARABIC,
    "fa": _ARABIC + "پچژگکیے",
    "th": _span("ก", "ฺ") + _span("เ", "๎"),
}
"""The lower case letters beyond ASCII of each language."""

_LANGUAGES: dict[str, list[str]] = {}
for _language, _alphabet in _LETTERS.items():
    for _letter in _alphabet:
        _LANGUAGES.setdefault(_letter, []).append(_language)

_SIGNS = frozenset("“”‘’„‚«»–—…€£·°§©®™½¿¡、。，（）「」・　-\u00a0")
"""Signs that names and notes contain."""

_SIGNS_BETWEEN_WORDS = frozenset("“”„«»…€£°§©®™½¿¡")
"""Signs that are never between two letters."""

_WESTERN = frozenset("äöüßàâçéèêëîïôùáíñóúìò")
"""Letters of German, French, Spanish and Italian names, which one list of western Europe often has side by side."""

_WESTERN_VALUE = 0.95

_LONE = frozenset("ÓóàÀèéÉåÅöÖ")
"""Letters that are a word by themselves, as in "Ó Briain"."""

_ANY = ("any",)
"""A word of signs and ASCII letters fits every language."""

_CERTAIN = 1.15
_TYPOGRAPHY = re.compile(
    r"[a-z]+’(?:t|d|m|ll|re|ve|n)|(?:O|D|L|Dell)’[A-Z][a-z]+|(?:o|d|l|j|qu|c|n|s|m|t|dell|all)’[a-zà-ÿ]+"
    r"|“[\w.’-]+”|‘[\w.-]+’|„[\w.-]+[“”]|«[\w.-]+»"
    r"|[–—•·…]|[€£§№©®™]?\d*[.,-]*\d*[€£½¼¾°…²³]?C?|\w+[©®™]|[A-Z]?\d{0,3}\.?[ªº]",
    re.IGNORECASE | re.ASCII,
)
"""Words of ASCII letters with the signs of a word processor in their proper places. No wrong encoding makes many."""

_POSSESSIVE = re.compile(r"[a-z]+’s", re.IGNORECASE | re.ASCII)
"""It may be certain text too, but "Ana’s" is also what an encoding of DOS makes of "Anaïs"."""

_QUOTED = re.compile(r"[“„«‘‚][a-zA-Z.-]{3,}|[a-zA-Z.-]*[a-z]{2}[”»’…]")
"""One end of words in quotation marks."""

_BESIDE_DIGIT = re.compile(r"\d[^\W\d_a-zA-Z]|[^\W\d_a-zA-Z]\d")

_RARE = {"is": 0.9, "sq": 0.9, "mt": 0.9, "cy": 0.9, "mk": 0.95, "vi": 0.95}
"""Languages of few people, or of letters that many languages have, win only where no other language explains a word."""

_BROKEN = re.compile(
    r"[םןץףך](?=[א-ת])"  # a final letter inside a word: Hebrew
    r"|ς(?=[α-ώ])|[α-ώ]σ$"  # the same in Greek
    r"|[ةى](?=[ء-ي])"  # the same in Arabic
    r"|^[ะ-ฺๅ-๎]|[เ-ไ](?![ก-ฮ])|[็-๎][็-๎]"  # a Thai vowel or tone without its consonant
    r"|(?<![aeiouyäöü])ß"  # always after a vowel: German
    r"|(?<![aeiouyâăêôơư])[\u0300\u0301\u0303\u0309\u0323]"  # a Vietnamese tone without its vowel
)
"""Finds what no word of these scripts has."""


def measure_names(words: Iterable[str]) -> tuple[float, float]:
    """Say how much some words look like names, and how well one language explains them all. Both from 0 to about 1."""
    score, neutral, count = 0.0, 0.0, 0
    explained: dict[str, float] = {}
    for word in words:
        value, languages = judge_word(word)
        score += value
        count += 1
        if languages == _ANY:
            neutral += value
            continue
        for language in languages:
            explained[language] = explained.get(language, 0.0) + value
        if _WESTERN.issuperset(char for char in word.lower() if not char.isascii()):
            explained["western"] = explained.get("western", 0.0) + _WESTERN_VALUE * value
    return score / max(count, 1), (neutral + max(explained.values(), default=0.0)) / max(count, 1)


@lru_cache(maxsize=4096)
def judge_word(word: str) -> tuple[float, tuple[str, ...]]:
    """Say how much a word looks like a name, from 0 to about 1, and which languages have all of its letters."""
    if _TYPOGRAPHY.fullmatch(word):
        return _CERTAIN, _ANY
    if _POSSESSIVE.fullmatch(word):
        return 1.0, _ANY
    if _has_odd_signs(word) or _has_odd_case(word):
        return 0.0, ()
    lower = word.lower()
    letters = {char for char in lower if not char.isascii() and char not in _SIGNS}
    if not letters:
        return (0.9 if _QUOTED.fullmatch(word) else 0.6), _ANY
    if (len(word) == 1 and word not in _LONE) or _BESIDE_DIGIT.search(word):
        return 0.3, ()
    scripts = {script for char in word if (script := _script_of(char))}
    if scripts <= {"CJK", "HIRAGANA", "KATAKANA", "HANGUL"}:
        return _judge_ideographs(word, scripts), ("cjk",)
    if len(scripts) > 1 or ((scripts != {"LATIN"} or "\u0307" not in lower) and _BROKEN.search(lower)):
        return 0.0, ()
    languages = set.intersection(*(set(_LANGUAGES.get(letter, ())) for letter in letters))
    if not languages:
        return 0.2, ()
    value = max(_RARE.get(language, 1.0) for language in languages)
    return (value if word[0].isascii() or not word[0].islower() else 0.8 * value), tuple(languages)


def _judge_ideographs(word: str, scripts: set[str]) -> float:
    """Prefer words that begin as family names do. Kana with no Kanji is a name too."""
    if "HANGUL" in scripts and len(scripts) > 1:
        return 0.1
    if any(ord(char) > 0xFFFF or 0x3400 <= ord(char) < 0x4E00 for char in word):
        return 0.1
    if word[0] in SURNAMES:
        return 1.0
    return 0.7 if scripts & {"HIRAGANA", "KATAKANA"} else 0.5


def _has_odd_signs(word: str) -> bool:
    for place, char in enumerate(word):
        if char in _SIGNS_BETWEEN_WORDS and _is_inside(word, place):
            return True
        if char == "·" and len(word) > 1 and not _is_inside(word, place):  # Catalan has it between two letters
            return True
        if char.isascii() or char in _SIGNS:
            continue
        if char in "ªº":
            after = word[place + 1 : place + 2]
            if place == 0 or after.isalpha():
                return True
        elif char in "ƒˆµ" or not (char.isalpha() or _is_mark(char)):
            return True
    return False


def _is_inside(word: str, place: int) -> bool:
    return place > 0 and word[place - 1].isalpha() and word[place + 1 : place + 2].isalpha()


def _has_odd_case(word: str) -> bool:
    """Say whether a capital beyond ASCII is inside a word with small letters, or an ASCII one after such a letter."""
    if not any(map(str.islower, word)):
        return False
    return any(
        (second.isupper() and not second.isascii() and first.isalpha())
        or (first.islower() and second.isupper() and not first.isascii())
        for first, second in pairwise(word)
    )


def _is_mark(char: str) -> bool:
    return unicodedata.category(char).startswith("M")


_SCRIPTS = {"HALFWIDTH": "KATAKANA", "KATAKANA-HIRAGANA": "KATAKANA", "IDEOGRAPHIC": "CJK", "FULLWIDTH": "LATIN"}


@lru_cache(maxsize=4096)
def _script_of(char: str) -> str:
    """Return the script of a letter or of its mark; empty if it has none of its own."""
    if char.isascii():
        return "LATIN" if char.isalpha() else ""
    if char in _SIGNS:
        return ""
    script = unicodedata.name(char, "?").split()[0]
    script = _SCRIPTS.get(script, script)
    return "" if script in ("COMBINING", "FEMININE", "MASCULINE") else script
