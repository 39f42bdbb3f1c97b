"""The regular expressions of reply rules: compiled, and refused if a relay's words could make one slow.

Python's matcher tries every way in which the repeats of an expression can share the text. A relay chooses the text, so
the number of those ways is bounded before the expression is used.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter

TEXT_MAX_CHARS = 500
"""The longest text of a reply (replies.py keeps no more). A repeat without limit counts as this many ways."""

WAYS_MAX = 40_000
"""How many ways one expression may have from one place of the text: about one repeat without limit and one `.{0,60}`.
The slowest text then costs a fraction of a second, and only once, because its answer is remembered."""

_TOKEN = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?P[=>]|\(\?\(|\(\?(?:#[^)]*|[a-zA-Z]+)\)"
    r"|\((?:\?(?:P<\w+>|<[=!]|[a-zA-Z]*-?[a-zA-Z]*:|[=!>]))?|[*+?]|\{\d*,?\d*\}|.",
    re.DOTALL,
)
_LETTERS = re.compile(r"\\.|\(\?P<\w+>|.", re.DOTALL)
_REPEAT = re.compile(r"\{(\d*)(,?)(\d*)\}")
_CODE = re.compile(r"\^[45](?:\d\d|\\d\\d)\b(?![{*+?])")
_ENHANCED = re.compile(r"(?<![\d.])[245]\\?\.\d{1,3}\\?\.\d{1,3}(?![\d.])")


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile the expression of a rule, for text in small letters. Its own capitals fit small letters.

    Python's flag for that would cost a few times as much, because it keeps the matcher from looking for a first letter.

    Raises:
        ValueError: it is no regular expression, or it could be slow. The message is a sentence.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as [[:alpha:]], which Python reads as something else
            compiled = re.compile(_fold(pattern))
    except (re.error, OverflowError, RecursionError, Warning) as exc:
        raise ValueError(f"pattern is no regular expression: {exc}. Correct it.") from exc
    if ("number" in compiled.groupindex) != ("unit" in compiled.groupindex):
        raise ValueError("pattern names only one of the groups number and unit. Name both, or none.")
    if compiled.match(""):
        raise ValueError("pattern fits every text. Write the words that the reply has.")
    _refuse_what_words_lack(pattern)
    _refuse_slow(_fold(pattern))
    return compiled


def _refuse_what_words_lack(pattern: str) -> None:
    """Refuse what the words of a reply never have: such a rule would never fit, and nobody would notice."""
    if "@" in pattern:
        raise ValueError(r"pattern has an @-sign, but addresses are taken out of the words. Write \* for an address.")
    if _CODE.match(pattern):
        raise ValueError("pattern begins with the code, which is not in the words. Move it to the key code.")
    if _ENHANCED.search(pattern):
        raise ValueError("pattern has an enhanced code, which is taken out of the words. Move it to the key enhanced.")


def _fold(pattern: str) -> str:
    """Make the letters of an expression small, but not those of its escapes and of its groups' names."""
    pieces = _LETTERS.findall(pattern)
    return "".join(piece if piece.startswith(("\\", "(?P")) else piece.lower() for piece in pieces)


class _Branch:
    """One alternative of a group: in how many ways it can be taken, and the letter with which it begins."""

    def __init__(self) -> None:
        self.ways = 1
        self.letter: str | None = None
        """The empty string: it may begin with more than one letter. None: it has not begun."""

    def append(self, ways: int, letter: str) -> None:
        self.ways *= ways
        if self.letter is None:
            self.letter = letter


def _refuse_slow(pattern: str) -> None:
    pieces = _TOKEN.findall(pattern)
    groups = [[_Branch()]]
    for before, piece, after in zip(["", *pieces], pieces, [*pieces[1:], ""], strict=False):
        if piece in ("(?P=", "(?(") or re.fullmatch(r"\\[1-9]", piece):
            raise ValueError("pattern refers back to a group, which can be slow. Write the words instead.")
        if before == ")" and _is_repeat(piece) and piece != "?":
            raise ValueError(
                "pattern repeats a group, which can be slow. Write the group out, or repeat one character."
            )
        if piece.startswith("(") and not piece.endswith(")"):
            groups.append([_Branch()])
        elif piece == "|":
            groups[-1].append(_Branch())
        elif piece == ")":
            ways = _count_branches(groups.pop())
            groups[-1][-1].append(ways + (after == "?"), "")
        elif not _is_repeat(piece):
            # Two alternatives that begin with different letters never both fit at one place.
            is_letter = (piece.isalnum() or piece == " ") and not _is_repeat(after)
            groups[-1][-1].append(1, piece if is_letter else "")
        elif not _is_repeat(before) and before != ")" and after != "+":
            groups[-1][-1].ways *= _count_ways(piece)  # a possessive repeat takes all it can, in one way
    if _count_branches(groups[0]) > WAYS_MAX:
        raise ValueError(
            r"pattern has too many repeats or alternatives, which can be slow. Write \d{1,6} instead of \d+, and "
            ".{0,40} instead of .*"
        )


def _count_branches(branches: list[_Branch]) -> int:
    """Return in how many ways a group can be taken from one place of the text."""
    ways_by_letter: Counter[str] = Counter()
    for branch in branches:
        ways_by_letter[branch.letter or ""] += branch.ways
    unknown = ways_by_letter.pop("", 0)
    return unknown + max(ways_by_letter.values(), default=0)


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
