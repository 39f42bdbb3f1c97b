"""Write a number as a spreadsheet cell shows it: 301234567 in a cell with the format 0000000000 is "0301234567".

One section of a number format enters, as Excel spells it (ECMA-376 part 1, section 18.8.31). A function from number to
text leaves. It handles leading zeros, decimals, percent, fractions, thousands and the signs between digits. This module
imports nothing of the project, because the isolated program that reads spreadsheets imports it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

Show = Callable[[float], str]
"""Writes a number as a cell shows it."""

EXACT_BELOW = 1e22
"""Numbers from here on are written with an exponent. No telephone or customer number has that many digits."""

Token = tuple[str, str]
"""The kind ("place", "point", "percent", "comma" or "text") and the text."""

_TOKEN = re.compile(
    r"""(?P<place>[0#?]) | (?P<point>\.) | (?P<percent>%) | (?P<comma>,)
      | (?P<nothing>\[(?:Black|Blue|Cyan|Green|Magenta|Red|White|Yellow|Color\d+)\]|[_*].)
      | "(?P<quoted>[^"]*)" | \\(?P<escaped>.) | \[\$(?P<currency>[^\]-]*)(?:-[^\]]*)?\] | (?P<general>General)
      | (?P<sign>[-+(): $€£¥!&'~{}<>=])
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_FRACTION = re.compile(r"(?P<whole>[#0]\s*)?[?#0]+/(?:(?P<places>[?#0]+)|(?P<fixed>[1-9]\d{0,3}))")
_DENOMINATOR_DIGITS_MAX = 4


def show_general(value: float) -> str:
    """Write a number without a format: 1 for 1.0, and 15 digits at most, which is what spreadsheets keep.

    More digits would show 0.1 + 0.2 as 0.30000000000000004.
    """
    if abs(value) >= EXACT_BELOW or not value.is_integer():
        return format(value, ".15g")
    return format(Decimal(format(value, ".15g")), "f") if value else "0"


def compile_number(code: str) -> Show | None:
    """Return the function that writes a number in one section of a format; None if the section is not supported.

    The thousands separator is left out, because which sign it is depends on the reader's country. A section without
    a place for a digit, such as ``"none"``, shows its text alone.
    """
    if fraction := _FRACTION.fullmatch(code.strip()):
        return _compile_fraction(fraction)
    tokens = _split_code(code)
    if tokens is None:
        return None
    kinds = [kind for kind, _ in tokens]
    if "general" in kinds:
        return _compile_general(tokens)
    if "place" not in kinds:
        text = "".join(text for kind, text in tokens if kind == "text")
        return lambda _: text
    return _compile_places(tokens, kinds)


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
    factor: Decimal
    """100 for a percentage, 0.001 for thousands, else 1."""

    def show(self, value: float) -> str:
        if abs(value) >= EXACT_BELOW:
            return show_general(value)
        exact = (Decimal(format(value, ".15g")) * self.factor).quantize(self.step, ROUND_HALF_UP)
        whole, _, decimals = format(abs(exact), "f").partition(".")
        decimals = decimals[: self.decimals_min] + decimals[self.decimals_min :].rstrip("0")
        point_on = self.point_on if decimals else [token for token in self.point_on if token[0] != "point"]
        sign = "-" if exact < 0 else ""
        return sign + _fill_whole(self.whole, whole.lstrip("0")) + _fill_decimals(point_on, decimals)


def _compile_places(tokens: list[Token], kinds: list[str]) -> Show:
    scale = _count_scaling_commas(kinds)
    tokens = [token for token in tokens if token[0] != "comma"]
    kinds = [kind for kind, _ in tokens]
    point = kinds.index("point") if "point" in kinds else len(kinds)
    section = _Section(
        whole=tokens[:point][::-1],
        point_on=tokens[point:],
        step=Decimal(1).scaleb(-kinds[point:].count("place")),
        decimals_min=tokens[point:].count(("place", "0")),
        factor=Decimal(100) ** kinds.count("percent") / Decimal(1000) ** scale,
    )
    is_padding_only = set(tokens) == {("place", "0")} and not scale
    return _pad_with_zeros(len(tokens), section.show) if is_padding_only else section.show


def _count_scaling_commas(kinds: list[str]) -> int:
    """Count the commas after the last place before the point, and after the last one: each divides by a thousand."""
    count, after_place = 0, False
    for number, kind in enumerate(kinds):
        if kind == "comma" and after_place:
            rest = kinds[number:]
            until = rest.index("point") if "point" in rest else len(rest)
            count += "place" not in rest[:until]
        else:
            after_place = kind == "place"
    return count


def _pad_with_zeros(width: int, show_other: Show) -> Show:
    """Write whole numbers of a format that is zeros only in a faster way: postal codes and telephone numbers."""
    return lambda value: f"{value:0{width}.0f}" if 0 <= value < 1e15 and value.is_integer() else show_other(value)


def _compile_general(tokens: list[Token]) -> Show:
    def show(value: float) -> str:
        number = show_general(abs(value))
        shown = "".join(number if kind == "general" else text for kind, text in tokens)
        return f"-{shown}" if value < 0 else shown

    return show


def _compile_fraction(found: re.Match[str]) -> Show:
    """Write 0.5 as 1/2, and 2.5 as 2 1/2 or 5/2."""
    has_whole = bool(found["whole"])
    fixed = int(found["fixed"] or 0)
    most = 10 ** min(len(found["places"] or ""), _DENOMINATOR_DIGITS_MAX) - 1

    def show(value: float) -> str:
        if abs(value) >= EXACT_BELOW:
            return show_general(value)
        exact = abs(Fraction(value))
        near = Fraction(round(exact * fixed), fixed) if fixed else exact.limit_denominator(most)
        whole = int(near) if has_whole else 0
        top, bottom = (near - whole).as_integer_ratio()
        if fixed:
            top, bottom = top * fixed // bottom, fixed
        parts = [str(whole)] if whole or (has_whole and not top) else []
        parts += [f"{top}/{bottom}"] if top or not parts else []
        return ("-" if value < 0 and near else "") + " ".join(parts)

    return show


def _split_code(code: str) -> list[Token] | None:
    """Return the tokens of a section; None if a part of it is not supported."""
    tokens, end = list[Token](), 0
    while found := _TOKEN.match(code, end):
        kind = str(found.lastgroup)
        text = "" if kind == "nothing" else found[kind]
        tokens.append((kind if kind in ("place", "point", "percent", "comma", "general") else "text", text))
        end = found.end()
    return tokens if end == len(code) else None


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
