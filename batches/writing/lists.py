"""Put statements into the list whose items they are about, so that it is one list with one set of numbers. Pure.

The tokens of Markdown enter, with statements between their blocks (``blocks``). The same tokens leave, with fewer ends
of lists: Markdown ends a list at each statement between two of its items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markdown_it.token import Token

from batches.rendering.tag_marks import Marked
from batches.writing.blocks import BLOCK_TAG, find_ends

_OPENINGS = {"bullet_list_open": "bullet_list_close", "ordered_list_open": "ordered_list_close"}


def join_lists(tokens: Sequence[Token], marked: Marked) -> list[Token]:
    """Make one list of those between which there are only statements about items.

    At least one item has to be there whatever the statements say. A loop around all items of a list goes into it too.
    """
    ends = find_ends(marked)
    closings = _match_lists(tokens)
    result: list[Token | None] = list(tokens)
    done: dict[int, int] = {}
    for start, token in enumerate(tokens):
        if start < done.get(token.level, 0) or (token.type != BLOCK_TAG and start not in closings):
            continue
        run = _find_run(tokens, start, closings)
        done[token.level] = run[-1].end
        for part in _split(run, tokens, marked, ends):
            _join(result, part)
    return [token for token in result if token is not None]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A list or a statement: the places of its first token, and after its last one."""

    start: int
    end: int
    is_list: bool


def _match_lists(tokens: Sequence[Token]) -> dict[int, int]:
    """Find the end of each list, from its beginning."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for index, token in enumerate(tokens):
        if token.type in _OPENINGS:
            opened.append(index)
        elif token.type in _OPENINGS.values():
            found[opened.pop()] = index
    return found


def _find_run(tokens: Sequence[Token], start: int, closings: Mapping[int, int]) -> list[_Unit]:
    """Find the lists of one kind and the statements that follow each other, from a place on."""
    run: list[_Unit] = []
    kind, position = "", start
    while position < len(tokens):
        token = tokens[position]
        if token.type == BLOCK_TAG:
            run.append(_Unit(position, position + 1, False))
        elif position in closings and kind in ("", token.type):
            kind = token.type
            run.append(_Unit(position, closings[position] + 1, True))
        else:
            break
        position = run[-1].end
    return run


def _split(
    run: Sequence[_Unit], tokens: Sequence[Token], marked: Marked, ends: Mapping[int, tuple[int, ...]]
) -> list[list[_Unit]]:
    """Split a run where a statement is about more than the run has. Leaves out what has no item of its own."""
    numbers = {unit: marked.numbers(tokens[unit.start].content)[0] for unit in run if not unit.is_list}
    inside = set(numbers.values())
    groups = {first: {first, *others} for first, others in ends.items() if first in inside}
    whole = {number for group in groups.values() if group <= inside for number in group}
    grouped = {number for first, others in ends.items() for number in (first, *others)}
    parts: list[list[_Unit]] = [[]]
    for unit in run:
        if not unit.is_list and numbers[unit] in grouped - whole:
            parts.append([])
        else:
            parts[-1].append(unit)
    stripped = (_strip(part, numbers, ends, marked) for part in parts)
    return [part for part in stripped if _is_one_list(part, numbers, ends, marked)]


def _strip(
    part: list[_Unit], numbers: Mapping[_Unit, int], ends: Mapping[int, tuple[int, ...]], marked: Marked
) -> list[_Unit]:
    """Leave out a condition around everything: it is about the list, and not about its items."""
    while len(part) > 2 and _encloses(part, numbers, ends) and marked.word(numbers[part[0]]) == "if":
        part = part[1:-1]
    return part


def _encloses(part: Sequence[_Unit], numbers: Mapping[_Unit, int], ends: Mapping[int, tuple[int, ...]]) -> bool:
    """Whether the first statement of a part ends with its last one, and has nothing in between such as ``else``."""
    return not part[0].is_list and not part[-1].is_list and ends.get(numbers[part[0]]) == (numbers[part[-1]],)


def _is_one_list(
    part: Sequence[_Unit], numbers: Mapping[_Unit, int], ends: Mapping[int, tuple[int, ...]], marked: Marked
) -> bool:
    """Whether a list with statements in it has an item that is always there, or is all in a loop."""
    last = {others[-1] for others in ends.values()}
    depth = always = statements = 0
    for unit in part:
        if unit.is_list:
            always += depth == 0
        elif numbers[unit] in ends:
            depth, statements = depth + 1, statements + 1
        elif numbers[unit] in last:
            depth -= 1
    has_list = any(unit.is_list for unit in part)
    is_loop = has_list and _encloses(part, numbers, ends) and marked.word(numbers[part[0]]) == "for"
    return depth == 0 and statements > 0 and (always > 0 or is_loop)


def _join(tokens: list[Token | None], part: Sequence[_Unit]) -> None:
    """Put the beginning of the first list before the first statement, and the end of the last one after the last."""
    lists = [unit for unit in part if unit.is_list]
    first, last = lists[0], lists[-1]
    opening, closing = tokens[first.start], tokens[last.end - 1]
    for unit in lists:
        tokens[unit.start] = tokens[unit.end - 1] = None
    start, end = part[0].start, part[-1].end
    tokens[start : first.start + 1] = [opening, *tokens[start : first.start]]
    tokens[last.end - 1 : end] = [*tokens[last.end : end], closing]
