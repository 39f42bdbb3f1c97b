"""Keep the statements of a letter between the blocks of its Markdown, and not within one. Pure.

A statement that is alone on its line, such as ``{% if vip %}``, is about whole blocks: paragraphs, items, rows of a
table. So it becomes a token of its own between theirs. One in the middle of a line stays in its paragraph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markdown_it.token import Token

from batches.rendering.tag_marks import Marked
from batches.rendering.tags import TagFault

BLOCK_TAG = "template_tag"
"""The type of a token that is a statement between blocks."""

_OPENING = {"if": "endif", "for": "endfor"}
_MIDDLE = {"elif", "else"}
_SINGLE = {"set"}


def find_ends(marked: Marked) -> dict[int, tuple[int, ...]]:
    """Find the statements that belong together: from each opening one to those in its middle and at its end.

    Raises:
        TagFault: A statement has no place in Markdown, or no end.
    """
    found: dict[int, tuple[int, ...]] = {}
    opened: list[list[int]] = []
    for number in range(len(marked.spans)):
        word = marked.word(number)
        if word in _OPENING:
            opened.append([number])
        elif word in _MIDDLE and opened:
            opened[-1].append(number)
        elif opened and word == _OPENING[marked.word(opened[-1][0])]:
            first, *others = opened.pop()
            found[first] = (*others, number)
        elif word and word not in _SINGLE:
            raise TagFault(
                f"{marked.tag(number)} can't be in a letter with this editor. Use if and for, or write it in HTML.",
                marked.offset(number),
            )
    if opened:
        number = opened[-1][0]
        word = marked.word(number)
        raise TagFault(f"{{% {word} %}} has no end. Write {{% {_OPENING[word]} %}} after it.", marked.offset(number))
    return found


def separate_blocks(marked: Marked) -> str:
    """Put a blank line around each statement that is alone on its line, except between the rows of a table.

    It keeps its indentation, so that one within an item of a list stays there. Those that belong together have that of
    the first one.

    Raises:
        TagFault: As in ``find_ends``.
    """
    ends = find_ends(marked)
    lines = marked.text.split("\n")
    alone = {index: numbers for index, line in enumerate(lines) if (numbers := _numbers_alone(line, marked))}
    in_table = _find_in_table(lines, alone, ends)
    indents = _find_indents(lines, alone, ends)
    pieces: list[str] = []
    for index, line in enumerate(lines):
        if index not in alone:
            pieces.append(line)
        elif set(alone[index]) <= in_table:
            pieces += [f"{indents[index]}| {mark} |" for mark in _marks(line, marked)]
        else:
            pieces += [piece for mark in _marks(line, marked) for piece in ("", indents[index] + mark, "")]
    return "\n".join(pieces)


def _numbers_alone(line: str, marked: Marked) -> list[int]:
    """Return the statements and comments of a line that has nothing else. Empty: it has something else."""
    numbers = marked.numbers(line)
    is_alone = numbers and not marked.pattern.sub("", line).strip()
    return numbers if is_alone and all(_is_silent(marked, number) for number in numbers) else []


def _is_silent(marked: Marked, number: int) -> bool:
    """Whether a tag shows nothing itself: a statement or a comment."""
    tag = marked.spans[number].tag
    return tag.is_statement if tag is not None else marked.tag(number).startswith("{#")


def _marks(line: str, marked: Marked) -> Iterator[str]:
    return (found[0] for found in marked.pattern.finditer(line))


def _find_indents(
    lines: Sequence[str], alone: dict[int, list[int]], ends: dict[int, tuple[int, ...]]
) -> dict[int, str]:
    """Return the spaces before the statements of each line that has nothing else."""
    typed = {index: lines[index][: len(lines[index]) - len(lines[index].lstrip())] for index in alone}
    line_of = {number: index for index, numbers in alone.items() for number in numbers}
    found = dict(typed)
    for first, others in ends.items():
        for number in others:
            if first in line_of and number in line_of and number == alone[line_of[number]][0]:
                found[line_of[number]] = typed[line_of[first]]
    return found


def _find_in_table(
    lines: Sequence[str], alone: dict[int, list[int]], ends: dict[int, tuple[int, ...]]
) -> frozenset[int]:
    """Find the statements between the rows of a table: those that begin right after one, with their ends."""
    found: set[int] = set()
    for index, numbers in alone.items():
        above = index - 1
        while above in alone:
            above -= 1
        if above < 0 or not lines[above].lstrip().startswith("|"):
            continue
        for number in numbers:
            if number in ends:
                found |= {number, *ends[number]}
    return frozenset(found)


def lift_tags(tokens: Sequence[Token], marked: Marked) -> list[Token]:
    """Make a token of its own of each paragraph, and of each row of a table, that is a statement alone."""
    lifted: list[Token] = []
    for token in tokens:
        lifted.append(token)
        if token.type == "paragraph_close":
            _lift(lifted, "paragraph_open", marked)
        elif token.type == "tr_close":
            _lift(lifted, "tr_open", marked)
    return lifted


def _lift(tokens: list[Token], opening: str, marked: Marked) -> None:
    start = next(index for index in range(len(tokens) - 1, -1, -1) if tokens[index].type == opening)
    content = "".join(token.content for token in tokens[start:] if token.type == "inline")
    if _numbers_alone(content, marked):
        level = tokens[start].level
        made = (Token(BLOCK_TAG, "", 0, content=mark, level=level, block=True) for mark in _marks(content, marked))
        tokens[start:] = made
