"""Write the text part of a letter from the tokens of its Markdown. Pure.

Tokens enter. A text leaves as a person would type it: no stars around bold words, and the address after the words of a
link. A statement between two blocks takes no line, so that what it leaves out leaves no gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markdown_it.common.normalize_url import normalizeLinkText
from markdown_it.token import Token

from batches.writing.blocks import BLOCK_TAG

_RULE = "-" * 20


@dataclass(slots=True)
class _Writer:
    """The text so far, and where in lists and quotations the next block is."""

    pieces: list[str] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    """What each line begins with: a part for each quotation and item around it."""
    numbers: list[int | None] = field(default_factory=list)
    """The number of the next item of each list around. None: it has bullets."""
    bullet: str = ""
    """The bullet or number of an item that has nothing yet."""
    tight: list[bool] = field(default_factory=list)

    def write_block(self, text: str, *, is_tight: bool) -> None:
        prefix = "".join(self.prefixes)
        first = prefix
        if self.bullet:
            first = prefix[: len(prefix) - len(self.bullet)] + self.bullet
            self.bullet = ""
        lines = text.split("\n")
        self.pieces.append("\n".join((first if number == 0 else prefix) + line for number, line in enumerate(lines)))
        self.pieces.append("\n" if is_tight else "\n\n")

    def begin_item(self) -> None:
        number = self.numbers[-1]
        self.bullet = "- " if number is None else f"{number}. "
        if number is not None:
            self.numbers[-1] = number + 1
        self.prefixes.append(" " * len(self.bullet))

    def end_list(self) -> None:
        self.numbers.pop()
        if not self.numbers and self.pieces and not self.pieces[-1].endswith("\n\n"):
            self.pieces.append("\n")


def write_text(tokens: Sequence[Token]) -> str:
    """Return the text of a letter."""
    writer = _Writer()
    cells: list[str] = []
    for before, token in zip([None, *tokens], tokens, strict=False):
        kind = token.type
        if kind == BLOCK_TAG:
            writer.pieces.append(token.content)
        elif kind in ("bullet_list_open", "ordered_list_open"):
            writer.numbers.append(int(token.attrGet("start") or 1) if kind == "ordered_list_open" else None)
        elif kind in ("bullet_list_close", "ordered_list_close"):
            writer.end_list()
        elif kind == "list_item_open":
            writer.begin_item()
        elif kind == "blockquote_open":
            writer.prefixes.append("> ")
        elif kind in ("list_item_close", "blockquote_close"):
            writer.prefixes.pop()
            writer.bullet = ""
        elif kind == "hr":
            writer.write_block(_RULE, is_tight=False)
        elif kind == "inline" and before is not None:
            _write_inline(writer, before, token, cells)
        elif kind == "tr_close":
            writer.write_block(" | ".join(cells), is_tight=True)
            cells.clear()
        elif kind == "table_close":
            writer.pieces.append("\n")
    return "".join(writer.pieces).strip("\n") + "\n"


def _write_inline(writer: _Writer, before: Token, token: Token, cells: list[str]) -> None:
    words = _say(token.children or [])
    if before.type in ("td_open", "th_open"):
        cells.append(words)
    elif before.type == "heading_open":
        writer.write_block(words, is_tight=False)
    else:
        writer.write_block(words, is_tight=before.hidden)


def _say(children: Sequence[Token]) -> str:
    pieces: list[str] = []
    links: list[tuple[str, int]] = []
    for child in children:
        if child.type in ("text", "code_inline", "text_special", "image"):
            pieces.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            pieces.append("\n")
        elif child.type == "link_open":
            links.append((str(child.attrGet("href") or ""), len(pieces)))
        elif child.type == "link_close":
            address, start = links.pop()
            words = "".join(pieces[start:])
            shown = _readable(address)
            if shown not in (words, f"mailto:{words}", f"http://{words}"):
                pieces.append(f": {shown}" if child.markup != "autolink" else "")
    return "".join(pieces)


def _readable(address: str) -> str:
    """Show an address as a person typed it, if nothing in it has to be encoded."""
    plain = normalizeLinkText(address)
    return plain if plain.isprintable() and not set(' %{}<>"') & set(plain) else address
