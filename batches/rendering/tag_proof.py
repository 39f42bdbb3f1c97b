"""Prove that a program that changed a marked source kept every tag, in its order and in its place. Pure.

The marks of the result enter. Nothing leaves, or a TagFault with the place of the first tag that was lost, moved or
taken apart from the tag that ends it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from batches.rendering.elements import VOID, Kind, read_pieces
from batches.rendering.tag_marks import Marked
from batches.rendering.tags import TagFault

_ENDS = {"endif", "endfor"}
_MIDDLE = {"else", "elif"}
_SINGLE = {"", "set"}
_LINK = re.compile(r'<a (?:[^<>"]|"[^"]*")*>.*?</a>|<img (?:[^<>"]|"[^"]*")*>', re.DOTALL)
_ADDRESS = re.compile(r' (?:href|src)="([^"]*)"')

Place = tuple[tuple[str, int], ...]
"""The elements around something: the name of each, and which of them it is."""


def prove(marked: Marked, *, html: str, text: str) -> None:
    """Go on only if HTML and text have the tags of the source in its order, and each statement ends where it begins.

    Raises:
        TagFault: A tag is not where it has to be.
    """
    _prove_order(marked, marked.numbers(_LINK.sub(lambda found: _put_address_last(found[0], marked), html)))
    in_pictures = {n for tag in re.findall(r'<img [^>]*? ?src="([^"]*)"', html) for n in marked.numbers(tag)}
    _prove_order(marked, marked.numbers(text), without=in_pictures)
    prove_nesting(marked, html)


def _put_address_last(element: str, marked: Marked) -> str:
    """Move the address of a link after its words, and that of a picture after its description, as Markdown has them.

    An address in angle brackets is the words too. It counts once.
    """
    address = _ADDRESS.search(element)
    if address is None:
        return element
    words = element[: address.start()] + element[address.end() :]
    return words if marked.numbers(words) == marked.numbers(address[1]) else words + address[1]


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


def prove_nesting(marked: Marked, html: str, *, is_letter: bool = True) -> None:
    """Go on only if each statement ends within the same element of HTML in which it begins.

    Args:
        is_letter: Whether a person wrote it as Markdown, and knows of no elements.

    Raises:
        TagFault: One does not.
    """
    elements: list[tuple[str, int]] = []
    statements = _Statements(marked, is_letter=is_letter)
    for count, piece in enumerate(read_pieces(html)):
        if piece.kind not in (Kind.START, Kind.END):
            statements.read(piece.text, elements)
            continue
        attributes = piece.attributes() if marked.prefix in piece.text else {}
        for name, value in attributes.items():
            statements.read(f"{name} {value}", [*elements[-1:], (name, -count)])
        if piece.kind is Kind.START and piece.name not in VOID:
            elements.append((piece.name, count))
        elif piece.kind is Kind.END and any(name == piece.name for name, _ in elements):
            while elements.pop()[0] != piece.name:
                pass


class _Statements:
    """The statements that have begun, and where each did."""

    def __init__(self, marked: Marked, *, is_letter: bool) -> None:
        self._marked, self._is_letter = marked, is_letter
        self._opened: list[tuple[int, Place]] = []

    def read(self, text: str, elements: Sequence[tuple[str, int]]) -> None:
        """Go through the statements of a text that is all within the same elements."""
        for number in self._marked.numbers(text):
            word = self._marked.word(number)
            if word in _SINGLE:
                continue
            if word not in _MIDDLE | _ENDS:
                self._opened.append((number, tuple(elements)))
                continue
            self._compare(number, tuple(elements))
            if word in _ENDS:
                self._opened.pop()

    def _compare(self, number: int, place: Place) -> None:
        if not self._opened:
            raise TagFault(f"{self._marked.tag(number)} ends nothing.", self._marked.offset(number))
        first, began = self._opened[-1]
        if began == place:
            return
        begins, ends = self._marked.tag(first), self._marked.tag(number)
        words = (
            f"{begins} is in another paragraph, or other bold words, than {ends}. "
            "Write each of them on a line of its own, or both into the same paragraph."
            if self._is_letter
            else f"{begins} is in another element than {ends}. Close each element that is opened between them."
        )
        raise TagFault(words, self._marked.offset(number))
