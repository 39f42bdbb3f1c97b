"""The regular expressions of reply rules: compiled, and refused if a relay's words could make one slow.

Python's matcher tries every way in which the repeats of an expression can share the text. A relay chooses the text, so
the number of those ways is bounded before the expression is used.
"""

from __future__ import annotations

import re

TEXT_MAX_CHARS = 500
"""The longest text of a reply (replies.py keeps no more). A repeat without limit counts as this many ways."""

WAYS_MAX = 40_000
"""How many ways one expression may have from one place of the text: about one repeat without limit and one `.{0,60}`.
The slowest text then costs a fraction of a second, and only once, because its answer is remembered."""

_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?P[=>]|\(\?\(|[*+?]|\{\d*,?\d*\}|.", re.DOTALL)
_LETTERS = re.compile(r"\\.|\(\?P<\w+>|.", re.DOTALL)
_REPEAT = re.compile(r"\{(\d*)(,?)(\d*)\}")


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile the expression of a rule, for text in small letters. Its own capitals fit small letters.

    Python's flag for that would cost a few times as much, because it keeps the matcher from looking for a first letter.

    Raises:
        ValueError: it is no regular expression, or it could be slow. The message is a sentence.
    """
    try:
        compiled = re.compile(_fold(pattern))
    except re.error as exc:
        raise ValueError(f"pattern is no regular expression: {exc}. Correct it.") from exc
    if ("number" in compiled.groupindex) != ("unit" in compiled.groupindex):
        raise ValueError("pattern names only one of the groups number and unit. Name both, or none.")
    if compiled.match(""):
        raise ValueError("pattern fits every text. Write the words that the reply has.")
    _refuse_slow(pattern)
    return compiled


def _fold(pattern: str) -> str:
    """Make the letters of an expression small, but not those of its escapes and of its groups' names."""
    pieces = _LETTERS.findall(pattern)
    return "".join(piece if piece.startswith(("\\", "(?P")) else piece.lower() for piece in pieces)


def _refuse_slow(pattern: str) -> None:
    pieces = _TOKEN.findall(pattern)
    ways, depth = [1], 0
    for before, piece, after in zip(["", *pieces], pieces, [*pieces[1:], ""], strict=False):
        if piece in ("(?P=", "(?(") or re.fullmatch(r"\\[1-9]", piece):
            raise ValueError("pattern refers back to a group, which can be slow. Write the words instead.")
        depth += piece.startswith("(") - (piece == ")")
        if piece == "|" and depth == 0:
            ways.append(1)
        if before == "(" or _is_repeat(before):
            continue  # `(?` begins a group, and `+?` and `++` are one repeat
        if before == ")" and _is_repeat(piece) and piece != "?":
            raise ValueError(
                "pattern repeats a group, which can be slow. Write the group out, or repeat one character."
            )
        if after != "+":  # a possessive repeat takes all it can, in one way
            ways[-1] *= _count_ways(piece)
    if sum(ways) > WAYS_MAX:
        raise ValueError(
            r"pattern has too many repeats, which can be slow. Write \d{1,6} instead of \d+, and .{0,40} instead of .*"
        )


def _is_repeat(piece: str) -> bool:
    return piece in ("*", "+", "?") or (piece != "{}" and _REPEAT.fullmatch(piece) is not None)


def _count_ways(piece: str) -> int:
    """Return in how many ways a repeat can be taken. What is no repeat can be taken in one."""
    if piece in ("*", "+"):
        return TEXT_MAX_CHARS
    if piece == "?":
        return 2
    found = _REPEAT.fullmatch(piece)
    if found is None or not found[2]:
        return 1
    least, _, most = found.groups()
    return min(int(most or TEXT_MAX_CHARS), TEXT_MAX_CHARS) - int(least or 0) + 1
