"""Remove what clings to an address and is certainly no part of it. Pure.

Copying from mail programs, web pages and spreadsheets leaves spaces of all kinds, marks that nobody sees, quotation
marks, brackets, "mailto:" and the punctuation of a sentence around an address. Nothing is removed from inside an
address, except marks that have no width.
"""

from __future__ import annotations

import re
import unicodedata
from html import unescape
from urllib.parse import unquote

SPACES = " \t\n\r\x0b\x0c\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u202f"
SPACES += "\u205f\u3000\ufeff"
"""White space that clings to the text of a cell."""

_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufe0e\ufe0f]")
_JOINERS = re.compile("[\u200c\u200d]")
"""Marks without width that some scripts need. An address in ASCII does not."""

_WIDE = {0xFF01 + place: 0x21 + place for place in range(94)} | {0xFE6B: "@", 0x3002: ".", 0xFF61: "."}
"""The full-width forms of ASCII, as Japanese and Chinese keyboards write them."""

_NAMED = re.compile(r"([^<>]*)<([^<>]*)>[\s;,.]*", re.DOTALL)  # Ann <ann@example.org>
_NAMED_ASIDE = re.compile(r"([^<>()\[\]@]*)(?:\(([^()]*@[^()]*)\)|\[([^\[\]]*@[^\[\]]*)\])[\s;,.]*", re.DOTALL)
_TAG = re.compile(r"</?[a-z]+\s*/?>", re.IGNORECASE)  # <br>
_ENTITY = re.compile(r"&(?:[a-z]+|#\d+);", re.IGNORECASE)  # &nbsp;
_QUOTED = re.compile(r'"[^"]*"')
_ASIDE = re.compile(r"^\s*\([^()@\\]*\)|\([^()@\\]*\)\s*$|\s\[[^\[\]@]*\]\s*$")  # a comment (RFC 5322, section 3.2.2)

_LABEL = re.compile(
    r"(?:mailto|smtp|e-?mail(?:[ -]?(?:address|adresse))?|mail|to|an|à|para|correo|courriel)\s*(?::\s*(?://)?|=)",
    re.IGNORECASE,
)
_BULLET = re.compile("(?:[-*•·–—→▪●○►‣]|\\d+[.)])\\s+")  # noqa: RUF001  signs of lists
_SYMBOLS = frozenset({"So", "Sm", "Co", "Cn"})
"""The Unicode categories of emoji, ticks and arrows."""
_BEFORE = "<([\"'“”‘’„‚«»‹›,;:´"  # noqa: RUF001
_AFTER = ">)]}\"'“”‘’„‚«»‹›,;:´`|/\\!?*(<[="  # noqa: RUF001  no domain ends with one of these
_PAIRS = {"`": "`", "*": "*", "{": "}", "|": "|", "/": "/"}
"""Signs that a local part may begin with. They are removed if the text ends with their partner."""

_SEPARATORS = re.compile(r"[\s<>()\[\]{}\",;|“”„«»、،؛]+|:::|mailto:|smtp:", re.IGNORECASE)
_JOINED = re.compile(r"[/&+]")


def remove_invisible(text: str) -> str:
    """Return a text without marks that nobody sees, and with full-width signs made ordinary."""
    if text.isascii():
        return text
    seen = _INVISIBLE.sub("", text)
    narrow = _JOINERS.sub("", seen).translate(_WIDE)
    is_sure = narrow.isascii() and narrow.count("@") == max(seen.count("@"), 1)
    return narrow if is_sure or "@" not in seen else seen


def unwrap(text: str) -> tuple[str, str]:
    """Return the part of a text that should be the address, and the text around it where that may hold another one.

    ``"Berg, Ann" <ann@example.org>``, ``Ann (ann@example.org)`` and ``ann@example.org (Ann)`` have a part. Of any other
    text the part is all of it.
    """
    text = unescape(_TAG.sub(" ", text)) if _ENTITY.search(text) else _TAG.sub(" ", text)
    text = _ASIDE.sub("", text).strip() or text
    if match := _NAMED.fullmatch(text):
        return match[2], _QUOTED.sub(" ", match[1])
    if match := _NAMED_ASIDE.fullmatch(text):
        return match[2] or match[3], ""
    is_formula = text.startswith('="')  # ="ann@example.org" keeps a spreadsheet program from changing a cell
    return text[1:] if is_formula else text, ""


def strip_signs(text: str) -> str:
    """Return a text without the signs, labels and spaces that cling to its two ends."""
    before = None
    while before != text:
        before = text
        text = _strip_symbols(text.strip()).lstrip(_BEFORE).strip()
        text = _strip_label(_BULLET.sub("", text, count=1) if _BULLET.match(text) else text)
        if text and _PAIRS.get(text[0]) == text[-1]:
            text = text[1:]
        text = text.rstrip(_AFTER)
        if text.endswith(".") and not text.endswith(".."):  # two or more show that the address was cut off
            text = text[:-1]
    return text


def _strip_symbols(text: str) -> str:
    """Return a text without the emoji and other symbols beyond ASCII at its ends."""
    begin, end = 0, len(text)
    while begin < end and is_symbol(text[begin]):
        begin += 1
    while begin < end and is_symbol(text[end - 1]):
        end -= 1
    return text[begin:end]


def is_symbol(char: str) -> bool:
    """Say whether a character is a picture or a sign beyond ASCII, which no address has."""
    return not char.isascii() and unicodedata.category(char) in _SYMBOLS


def _strip_label(text: str) -> str:
    match = _LABEL.match(text)
    if not match:
        return text
    text = text[match.end() :]
    return unquote(text.partition("?")[0]) if match[0].lower().startswith("mailto") else text


def find_candidates(text: str) -> list[str]:
    """Return the parts of a text that have an @-sign, without what clings to them, in their order."""
    parts = [part for part in _SEPARATORS.split(text) if part and "@" in part]
    pieces = [piece for part in parts for piece in (_JOINED.split(part) if part.count("@") > 1 else [part])]
    if not all("@" in piece for piece in pieces):  # a slash or a plus sign that belongs to a local part
        pieces = parts
    return [strip_signs(piece) for piece in pieces]
