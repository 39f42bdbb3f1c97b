"""Prove that a program that changed a marked source kept every tag, in its order and in its place. Pure.

The marks of the result enter. Nothing leaves, or a TagFault with the place of the first tag that was lost, moved or
taken apart from the tag that ends it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser

from batches.rendering.tag_marks import Marked
from batches.rendering.tags import TagFault

_ENDS = {"endif", "endfor"}
_MIDDLE = {"else", "elif"}
_SINGLE = {"", "set"}
_VOID = {"br", "hr", "img", "meta", "link", "input", "area", "base", "col", "embed", "source", "track", "wbr"}
_LINK = re.compile(r'<a (?:[^<>"]|"[^"]*")*>.*?</a>|<img (?:[^<>"]|"[^"]*")*>', re.DOTALL)
_ADDRESS = re.compile(r' (?:href|src)="([^"]*)"')


def prove(marked: Marked, *, html: str, text: str) -> None:
    """Go on only if HTML and text have the tags of the source in its order, and each statement ends where it begins.

    Raises:
        TagFault: A tag is not where it has to be.
    """
    _prove_order(marked, marked.numbers(_LINK.sub(_put_address_last, html)))
    in_pictures = {n for tag in re.findall(r'<img [^>]*? ?src="([^"]*)"', html) for n in marked.numbers(tag)}
    _prove_order(marked, marked.numbers(text), without=in_pictures)
    prove_nesting(marked, html)


def _put_address_last(found: re.Match[str]) -> str:
    """Move the address of a link after its words, and that of a picture after its description, as Markdown has them."""
    element = found[0]
    address = _ADDRESS.search(element)
    if address is None:
        return element
    return element[: address.start()] + element[address.end() :] + address[1]


def _prove_order(marked: Marked, numbers: Sequence[int], *, without: set[int] = frozenset()) -> None:  # type: ignore[assignment]
    expected = [number for number in range(len(marked.spans)) if number not in without]
    if list(numbers) == expected:
        return
    wrong = next((n for n, found in zip(expected, [*numbers, -1], strict=False) if n != found), expected[-1])
    raise TagFault(
        f"{marked.tag(wrong)} can't be used in this place. Write it in the words of a sentence, or in the address of a "
        "link.",
        marked.offset(wrong),
    )


def prove_nesting(marked: Marked, html: str) -> None:
    """Go on only if each statement ends within the same element of HTML in which it begins.

    Raises:
        TagFault: One does not.
    """
    walker = _Walker(marked)
    walker.feed(html)
    walker.close()


class _Walker(HTMLParser):
    """Follows the elements of HTML, and knows within which of them each open statement began."""

    def __init__(self, marked: Marked) -> None:
        super().__init__(convert_charrefs=False)
        self._marked = marked
        self._elements: list[tuple[str, int]] = []
        self._count = 0
        self._opened: list[tuple[int, tuple[tuple[str, int], ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._count += 1
        for name, value in attrs:
            self._walk(value or "", inside=(("", self._count), (name, self._count)))
        if tag not in _VOID:
            self._elements.append((tag, self._count))

    def handle_endtag(self, tag: str) -> None:
        if any(name == tag for name, _ in self._elements):
            while self._elements.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        self._walk(data)

    def handle_comment(self, data: str) -> None:
        self._walk(data)

    def _walk(self, text: str, *, inside: tuple[tuple[str, int], ...] = ()) -> None:
        place = (*self._elements, *inside)
        for number in self._marked.numbers(text):
            word = self._marked.word(number)
            if word in _SINGLE:
                continue
            if word in _MIDDLE | _ENDS:
                self._compare(number, place)
                if word in _MIDDLE:
                    continue
                self._opened.pop()
            else:
                self._opened.append((number, place))

    def _compare(self, number: int, place: tuple[tuple[str, int], ...]) -> None:
        if not self._opened:
            raise TagFault(f"{self._marked.tag(number)} ends nothing.", self._marked.offset(number))
        first, began = self._opened[-1]
        if began == place:
            return
        raise TagFault(
            f"{self._marked.tag(first)} is in another paragraph, or other bold words, than {self._marked.tag(number)}. "
            "Write each of them on a line of its own, or both into the same paragraph.",
            self._marked.offset(number),
        )
