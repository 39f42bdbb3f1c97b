"""Hide the tags of a source from a program that would change them, and put them back. Pure.

A source enters. The same text leaves with a mark in place of each tag: a word of letters, which Markdown, HTML and an
address leave as it is. Afterwards each mark becomes its tag again, and who changed the text proves that none is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2s
from itertools import count

from batches.rendering.tags import Span, TagFault, find_spans

_DIGITS = 5
_END = "qz"
_LETTERS = str.maketrans("0123456789", "abcdefghij")
_BRACES = (re.compile(r"\\[{%#]|&(?:#0*123|#[xX]0*7[bB]|lcub|lbrace);"), re.compile(r"\{"))
"""What a person may have typed where a brace comes out: a sign after a backslash or an entity, else a single brace."""
_NUMBERS = str.maketrans("abcdefghij", "0123456789")


@dataclass(frozen=True, kw_only=True, slots=True)
class Marked:
    """A source whose tags are hidden."""

    source: str
    text: str
    """The source with marks."""
    spans: tuple[Span, ...]
    prefix: str
    """How each mark begins. The source does not have it."""

    @property
    def pattern(self) -> re.Pattern[str]:
        """What finds a mark. Its group is what ``number`` reads."""
        return re.compile(rf"{self.prefix}([a-j]{{{_DIGITS}}}){_END}")

    def numbers(self, text: str) -> list[int]:
        """Return the numbers of the marks of a text in their order."""
        return [int(found.translate(_NUMBERS)) for found in self.pattern.findall(text)]

    def tag(self, number: int) -> str:
        """Return a tag as it was typed."""
        span = self.spans[number]
        return self.source[span.start : span.end]

    def word(self, number: int) -> str:
        """Return the first word of a statement. Empty: it shows a value, is a comment, or is ``{% raw %}``."""
        tag = self.spans[number].tag
        words = tag.code.split() if tag is not None and tag.is_statement else []
        return words[0] if words else ""

    def restore(self, text: str) -> str:
        """Put the tags back into a text that has marks, or comments of HTML that are a mark alone.

        Raises:
            TagFault: The text would have a tag that the source does not have, such as one of ``\\{\\{``.
        """
        pattern = re.compile(rf"<!--{self.pattern.pattern}-->|{self.pattern.pattern}")
        pieces: list[str] = []
        expected: list[tuple[int, int]] = []
        position = length = 0
        for found in pattern.finditer(text):
            before, tag = text[position : found.start()], self.tag(int((found[1] or found[2]).translate(_NUMBERS)))
            expected.append((length + len(before), length + len(before) + len(tag)))
            pieces += [before, tag]
            length, position = expected[-1][1], found.end()
        restored = "".join([*pieces, text[position:]])
        if _find_places(restored) != expected:
            raise TagFault(
                "Two signs in this line would be read as a field after they are put together. Write a space between "
                "a brace and the sign after it.",
                self._find_brace(),
            )
        return restored

    def _find_brace(self) -> int:
        """Return the place of what may have become a tag: a brace that is no part of one."""
        outside = list(self.source)
        for span in self.spans:
            outside[span.start : span.end] = " " * (span.end - span.start)
        found = [brace for pattern in _BRACES if (brace := pattern.search("".join(outside)))]
        return found[0].start() if found else 0

    def offset(self, number: int) -> int:
        """Return the place of a tag in the source."""
        return self.spans[number].start


def _find_places(text: str) -> list[tuple[int, int]] | None:
    """Return where each tag of a text begins and ends. None: one of them has no end."""
    try:
        return [(span.start, span.end) for span in find_spans(text)]
    except TagFault:
        return None


def make_mark(prefix: str, number: int) -> str:
    """Return the mark of a tag: letters only, and as many for each number."""
    return prefix + str(number).zfill(_DIGITS).translate(_LETTERS) + _END


def _make_prefixes(source: str) -> Iterator[str]:
    """Make prefixes that nobody has in a source by accident, the same ones for the same source."""
    octets = source.encode("utf-8", "surrogatepass")
    for number in count():
        digits = blake2s(octets, key=b"%d" % number, digest_size=4).hexdigest()
        yield "zq" + digits.translate(str.maketrans("0123456789", "ghijklmnop"))


def hide_tags(source: str) -> Marked:
    """Replace the tags of a source by marks.

    Raises:
        TagFault: A tag or a comment has no end, or there are too many of them.
    """
    spans = tuple(find_spans(source))
    if len(spans) >= 10**_DIGITS:
        raise TagFault("There are too many tags. Make the letter shorter.", spans[-1].start)
    lowered = source.lower()
    prefix = next(prefix for prefix in _make_prefixes(source) if prefix not in lowered)
    pieces, position = [], 0
    for number, span in enumerate(spans):
        pieces += [source[position : span.start], make_mark(prefix, number)]
        position = span.end
    return Marked(source=source, text="".join([*pieces, source[position:]]), spans=spans, prefix=prefix)
