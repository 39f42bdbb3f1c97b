"""Split HTML into elements, words and comments as browsers do, in a time that grows only with its length. Pure.

HTML enters, whatever is wrong with it. Pieces leave, in their order. ``html.parser`` is not used for what people write:
it takes twenty seconds for 24 KB of ``<a `` and raises AssertionError for ``<![x``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from html import unescape
from typing import NamedTuple

VOID = frozenset({"br", "hr", "img", "meta", "link", "input", "area", "base", "col", "embed", "source", "track", "wbr"})
"""Elements without an end (HTML, section 13.1.2)."""


class Kind(Enum):
    """What a piece is."""

    START = auto()
    END = auto()
    WORDS = auto()
    COMMENT = auto()
    RAW = auto()
    """What is between the tags of an element in which HTML has no elements, such as a style sheet."""


class Piece(NamedTuple):
    """A part of HTML."""

    kind: Kind
    name: str
    """Of the element, in lower case. Empty: words or a comment."""
    text: str
    """As it is typed: the words, or of a tag what follows its name."""

    def attributes(self) -> dict[str, str | None]:
        """Return the attributes of a tag. Of two with one name, the first counts."""
        found = reversed(list(_ATTRIBUTE.finditer(self.text)))
        return {each["name"].lower(): _read_value(each) for each in found}


# Nothing is tried twice: each alternative goes on to the end of the text if its own end is missing.
_PIECE = re.compile(
    r"<!--(?:-?>|(?P<comment>.*?)(?:--!?>|\Z))"
    r"|<(?P<odd>[!?][^>]*|/[^a-zA-Z>][^>]*)(?:>|\Z)"
    r"|<(?P<slash>/?)(?P<name>[a-zA-Z][^\s/>]*)"
    r"(?P<rest>(?:[^>=]++|=\s*+\"[^\"]*+(?:\"|\Z)|=\s*+'[^']*+(?:'|\Z)|=)*+)(?:>|\Z)"
    r"|(?P<words>[^<]+|<)",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(
    r"(?P<name>[^\s=/>\"'][^\s=/>]*+)(?:\s*+=\s*+(?:\"(?P<double>[^\"]*+)\"?|'(?P<single>[^']*+)'?|(?P<plain>[^\s>]++)))?"
)
_RAW_ENDS = {
    name: re.compile(rf"</{name}(?=[\s/>])|\Z", re.IGNORECASE)
    for name in ("style", "script", "title", "textarea", "xmp", "iframe", "noembed", "noframes")
}


def read_pieces(html: str) -> Iterator[Piece]:
    """Yield the pieces of HTML."""
    position = 0
    while found := _PIECE.match(html, position):
        position = found.end()
        if found["words"]:
            yield Piece(Kind.WORDS, "", found["words"])
        elif found["name"]:
            name = found["name"].lower()
            yield Piece(Kind.END if found["slash"] else Kind.START, name, found["rest"])
            if name in _RAW_ENDS and not found["slash"]:
                end = _RAW_ENDS[name].search(html, position)
                assert end is not None  # noqa: S101  (the end of the text is one)
                yield Piece(Kind.RAW, name, html[position : end.start()])
                position = end.start()
        else:
            yield Piece(Kind.COMMENT, "", found["comment"] or found["odd"] or "")


def _read_value(found: re.Match[str]) -> str | None:
    values = (found["double"], found["single"], found["plain"])
    return next((unescape(value) for value in values if value is not None), None)
