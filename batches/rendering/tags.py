"""Split the source of a template into its tags, and a tag into tokens. Pure.

A source enters as it was typed. Tags leave whose code has only the quotes and spaces that minijinja reads: editors of
web pages replace them by others, or by entities.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import NamedTuple


class TagFault(ValueError):
    """A tag can't be read. The message says why and what to write; ``offset`` is its place in the source."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class Tag(NamedTuple):
    """One ``{{ variable }}`` or ``{% statement %}`` of a source."""

    text: str
    """The tag as it was typed."""
    is_statement: bool
    start: int
    """Where its code begins in the source, after the braces and the sign of whitespace control."""
    end: int
    code: str
    """The code with plain quotes and spaces."""


class Token(NamedTuple):
    """A word, number, string or sign of a tag's code."""

    kind: str
    """"name", "number", "string", "sign", "other", or "end" for the token after the last one."""
    text: str
    start: int
    end: int


_STRING = r"""(?<!\w)'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\])*\""""
_OPENING = re.compile(r"\{\{|\{%|\{#")
_CLOSING = {
    "{{": re.compile(rf"{_STRING}|(?P<close>\}}\}})|[{{}}]"),
    "{%": re.compile(rf"{_STRING}|(?P<close>%\}})|[{{}}]"),
}
_RAW = re.compile(r"[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}", re.DOTALL)
_ENTITY = re.compile(r"&(?:[A-Za-z]+|#\w+);")
_STRING_OR_ENTITY = re.compile(rf"(?P<string>{_STRING})|{_ENTITY.pattern}")
_ODD_SIGNS = re.compile(
    rf"(?P<string>{_STRING})"
    r"|[\u201c-\u201f\u00ab\u00bb](?P<double>[^\u201c-\u201f\u00ab\u00bb\"\n]*)[\u201c-\u201f\u00ab\u00bb]"
    r"|(?<!\w)[\u2018\u201a](?P<single>[^\u2018-\u201a'\n]*)[\u2018\u2019]"
    r"|(?P<space>[^\S \t\r\n])|[\u200b-\u200d\u2060\ufeff\u00ad]"
)
"""Quotes of typography, spaces that do not break or are wider, and signs of no width."""

_LETTER = r"(?:[A-Za-z_]|[^\x00-\x7f])"
_WORD = rf"(?:[0-9]|{_LETTER})"
_TOKEN = re.compile(
    rf"(?P<string>{_STRING})"
    rf"|(?P<number>[0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?!{_WORD}))"
    # Signs without spaces inside a name belong to it: E-Mail, Straße/Ort, Mother's name.
    rf"|(?P<name>{_WORD}+(?:[-/'](?={_LETTER}){_WORD}+)*)"
    r"|(?P<sign>\*\*|//|==|!=|<=|>=|[=<>+\-*/%~|.,:()\[\]{}])"
    r"|(?P<other>\S)"
)


class Span(NamedTuple):
    """A part of a source that the engine reads: a tag, a comment, or what ``{% raw %}`` encloses."""

    start: int
    end: int
    tag: Tag | None
    """None: a comment, or ``{% raw %}``."""


def find_tags(source: str) -> Iterator[Tag]:
    """Find the tags of a source in order, without comments and without what ``{% raw %}`` encloses.

    Raises:
        TagFault: A tag or a comment has no end.
    """
    return (span.tag for span in find_spans(source) if span.tag is not None)


def find_spans(source: str) -> Iterator[Span]:
    """Find everything in a source that the engine reads, in order.

    Raises:
        TagFault: A tag or a comment has no end.
    """
    position = 0
    while opening := _OPENING.search(source, position):
        position, tag = opening.end(), None
        if opening[0] == "{#":
            position = _find_end_of_comment(source, opening.start())
        elif raw := _RAW.match(source, position) if opening[0] == "{%" else None:
            position = raw.end()
        else:
            tag, position = _read_tag(source, opening)
        yield Span(opening.start(), position, tag)


def read_tokens(code: str) -> list[Token]:
    """Split the code of a tag into tokens. The last one has the kind "end"."""
    tokens = [Token(str(m.lastgroup), m[0], m.start(), m.end()) for m in _TOKEN.finditer(code)]
    return [*tokens, Token("end", "", len(code), len(code))]


def find_line(source: str, offset: int) -> int:
    """Return the line of a place in a source. The first line is 1."""
    return source.count("\n", 0, offset) + 1


def _find_end_of_comment(source: str, start: int) -> int:
    end = source.find("#}", start + 2)
    if end < 0:
        raise TagFault(
            "{# begins a comment, and no #} ends it. If it is a part of your text or style, "
            "write a space between { and #.",
            start,
        )
    return end + 2


def _read_tag(source: str, opening: re.Match[str]) -> tuple[Tag, int]:
    start = opening.end()
    close = _find_closing(source, opening)
    position = close + 2
    if source.startswith("{", start) and source.startswith("}", position):
        name = source[start + 1 : close].strip()
        raise TagFault(f"A field has two braces on each side. Write {{{{ {name} }}}}.", opening.start())
    text = source[opening.start() : position]
    start += source.startswith(("-", "+"), start)
    close -= close > start and source[close - 1] in "-+"
    code = _clean(source[start:close])
    return Tag(text, opening[0] == "{%", start, close, code), position


def _find_closing(source: str, opening: re.Match[str]) -> int:
    depth = 0
    for match in _CLOSING[opening[0]].finditer(source, opening.end()):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth = max(0, depth - 1)
        elif match[0] == "}}" and depth > 0:
            depth = max(0, depth - 2)
        elif match["close"]:
            return match.start()
    needed = "}}" if opening[0] == "{{" else "%}"
    end = source.find(needed, opening.end())
    if end >= 0:
        return end
    snippet = " ".join(source[opening.start() : opening.start() + 30].split())
    raise TagFault(f"The tag that begins with “{snippet}” has no end. Write {needed} after it.", opening.start())


def _clean(code: str) -> str:
    if "&" in code:
        code = _STRING_OR_ENTITY.sub(_unescape, code)
    return code if code.isascii() else _ODD_SIGNS.sub(_replace_sign, code)


def _unescape(match: re.Match[str]) -> str:
    if match["string"] is None:
        return html.unescape(match[0])
    # A sign of HTML in a text is meant: replace("<", "&lt;"). A letter is not, and would match no cell.
    return _ENTITY.sub(lambda entity: char if (char := html.unescape(entity[0])).isalnum() else entity[0], match[0])


def _replace_sign(match: re.Match[str]) -> str:
    if match["string"] is not None:
        return match[0]
    if match["double"] is not None:
        return f'"{match["double"]}"'
    if match["single"] is not None:
        return f"'{match['single']}'"
    return " " if match["space"] else ""
