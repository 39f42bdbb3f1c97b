"""Write a number as a spreadsheet cell shows it: 301234567 in a cell with the format 0000000000 is "0301234567".

A number format enters, as Excel spells it (ECMA-376 part 1, section 18.8.31). A function from number to text leaves. It
handles leading zeros, decimals, percent and the signs between digits. This module imports nothing of the project,
because the isolated program that reads spreadsheets imports it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

Show = Callable[[float], str]
"""Writes a number as a cell shows it."""

BUILT_IN_CODES = {"1": "0", "2": "0.00", "3": "#,##0", "4": "#,##0.00", "9": "0%", "10": "0.00%"}
"""The number formats of Excel that a file may name without spelling them out."""

Token = tuple[str, str]
"""The kind ("place", "point", "percent" or "text") and the text."""

_TOKEN = re.compile(
    r"""(?P<place>[0#?]) | (?P<point>\.) | (?P<percent>%) | (?P<nothing>,|\[(?:Black|White|Red|Color\d+)\]|[_*].)
      | "(?P<quoted>[^"]*)" | \\(?P<escaped>.) | \[\$(?P<currency>[^\]-]*)(?:-[^\]]*)?\]
      | (?P<sign>[-+(): $€£¥!&'~{}<>=])
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SCALE = re.compile(r"[0#?],+(?![0#?,])")
"""Commas after the last place: the number is shown in thousands."""


def compile_code(code: str) -> Show | None:
    """Return the function that writes a number in a format; None if the format is not supported.

    Dates, fractions, conditions and numbers shown in thousands are not supported. The thousands separator is left out,
    because which sign it is depends on the reader's country.
    """
    positive, *others = map(_compile_section, code.split(";"))
    if positive is None or not others:
        return positive
    negative = others[0]
    return lambda value: negative(-value) if value < 0 and negative else positive(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Section:
    """One section of a format, such as ``(###) ###-####`` or ``0.00 %``."""

    whole: list[Token]
    """The tokens before the decimal point, from right to left."""
    point_on: list[Token]
    """The decimal point and the tokens after it."""
    step: Decimal
    """The last decimal place that is shown: 0.01 for two decimals."""
    decimals_min: int
    """How many decimals are shown even if they are zeros."""
    factor: int
    """100 for a percentage, else 1."""

    def show(self, value: float) -> str:
        exact = (Decimal(format(value, ".15g")) * self.factor).quantize(self.step, ROUND_HALF_UP)
        whole, _, decimals = format(abs(exact), "f").partition(".")
        decimals = decimals[: self.decimals_min] + decimals[self.decimals_min :].rstrip("0")
        point_on = self.point_on if decimals else [token for token in self.point_on if token[0] != "point"]
        sign = "-" if exact < 0 else ""
        return sign + _fill_whole(self.whole, whole.lstrip("0")) + _fill_decimals(point_on, decimals)


def _compile_section(code: str) -> Show | None:
    tokens = _split_code(code)
    kinds = [kind for kind, _ in tokens]
    if "place" not in kinds:
        return None
    point = kinds.index("point") if "point" in kinds else len(kinds)
    section = _Section(
        whole=tokens[:point][::-1],
        point_on=tokens[point:],
        step=Decimal(1).scaleb(-kinds[point:].count("place")),
        decimals_min=tokens[point:].count(("place", "0")),
        factor=100 ** kinds.count("percent"),
    )
    is_padding_only = set(tokens) == {("place", "0")}
    return _pad_with_zeros(len(tokens), section.show) if is_padding_only else section.show


def _pad_with_zeros(width: int, show_other: Show) -> Show:
    """Write whole numbers of a format that is zeros only in a faster way: postal codes and telephone numbers."""
    return lambda value: f"{value:0{width}.0f}" if value >= 0 and value.is_integer() else show_other(value)


def _split_code(code: str) -> list[Token]:
    """Return the tokens of a format; none if a part of it is not supported."""
    tokens, end = list[Token](), 0
    while found := _TOKEN.match(code, end):
        kind = str(found.lastgroup)
        text = "" if kind == "nothing" else found[kind]
        tokens.append((kind if kind in ("place", "point", "percent") else "text", text))
        end = found.end()
    return [] if end < len(code) or _SCALE.search(code) else tokens


def _fill_whole(tokens: list[Token], digits: str) -> str:
    """Put the digits into the places from right to left. The leftmost place takes all digits that are left."""
    last = max((number for number, (kind, _) in enumerate(tokens) if kind == "place"), default=-1)
    filled = []
    for number, (kind, text) in enumerate(tokens):
        if kind == "place":
            cut = 0 if number == last else max(len(digits) - 1, 0)
            filled.append(digits[cut:] or text.strip("#?"))
            digits = digits[:cut]
        else:
            filled.append(text)
    return "".join(reversed(filled))


def _fill_decimals(tokens: list[Token], digits: str) -> str:
    """Put one digit into each place from left to right."""
    filled = []
    for kind, text in tokens:
        if kind == "place":
            filled.append(digits[:1] or text.strip("#?"))
            digits = digits[1:]
        else:
            filled.append(text)
    return "".join(filled)
