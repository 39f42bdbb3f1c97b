"""Choose the section of a number format that shows a value, and show the value in it.

A format has up to four sections: for positive numbers, negative ones, zero, and text (ECMA-376 part 1,
section 18.8.31). The isolated program that reads spreadsheets imports this module.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from batches.files.date_formats import compile_date
from batches.files.number_formats import Show, compile_number, show_general

CODE_MAX_LENGTH = 255
"""A longer format is no format: Excel allows no more, and a hostile one takes time for each of its characters."""
SHOWN_MAX = 4096
"""How many values of one format are remembered: dates and codes come again and again."""

_SECTION = re.compile(r'(?:[^;"\\]|"[^"]*(?:"|$)|\\.?)*', re.DOTALL)
_CONDITION = re.compile(r"\[(<=|>=|<>|<|>|=)\s*(-?\d+(?:\.\d+)?)\]")
_TEXT_TOKEN = re.compile(r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|(?P<nothing>\[[^\]]*\]|[_*].)|(?P<sign>.)', re.DOTALL)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "<>": operator.ne,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Section:
    show: Show | None
    """None if the section is not supported: then the number is shown without a format."""
    is_asked: Callable[[float], bool] | None
    """The section's own condition, as in ``[<100]0``."""


class CellFormat:
    """Shows the values of cells in one format."""

    def __init__(self, sections: list[_Section], text_code: str | None) -> None:
        self._sections = sections
        self._text_code = text_code
        self.show_text = None if text_code is None else self._show_text
        """Shows a text; None if texts are shown as they are."""
        self.show = lru_cache(SHOWN_MAX)(self._show)
        """Shows a number."""

    def _show(self, value: float) -> str:
        section, is_negative = self._choose(value)
        if section is None or section.show is None:
            return show_general(value)
        return section.show(-value if is_negative else value)

    def _choose(self, value: float) -> tuple[_Section | None, bool]:
        """Return the section for a number, and whether the section says by itself that the number is negative."""
        last = len(self._sections) - 1
        for place, section in enumerate(self._sections):
            if section.is_asked:
                if section.is_asked(value):
                    return section, value < 0 and place > 0
            else:
                is_fitting = value < 0 if place else value > 0 or (value == 0 and last == 1)
                if is_fitting or place == last:
                    return section, value < 0 and place == 1
        return None, False

    def _show_text(self, text: str) -> str:
        filled = []
        for found in _TEXT_TOKEN.finditer(self._text_code or ""):
            kind = str(found.lastgroup)
            filled.append(text if found[0] == "@" else "" if kind == "nothing" else found[kind])
        return "".join(filled)


def compile_code(code: str, *, is_1904: bool = False) -> CellFormat | None:
    """Return a format; None if every value is shown in it as without a format."""
    if len(code) > CODE_MAX_LENGTH or code.lower() in ("", "general", "@"):
        return None
    codes = _split_sections(code)[:4]
    text_code = codes.pop() if len(codes) == 4 or (len(codes) > 1 and _is_text(codes[-1])) else None
    if len(codes) == 1 and _is_text(codes[0]):
        codes, text_code = [], codes[0]
    sections = [_compile_section(part, is_1904=is_1904) for part in codes]
    if text_code == "@":
        text_code = None
    if text_code is None and not any(section.show for section in sections):
        return None
    return CellFormat(sections, text_code)


def _split_sections(code: str) -> list[str]:
    sections, end = [], 0
    while end <= len(code):
        found = _SECTION.match(code, end)
        sections.append(found[0] if found else "")
        end += len(sections[-1]) + 1
    return sections


def _is_text(code: str) -> bool:
    return "@" in "".join(found[0] for found in _TEXT_TOKEN.finditer(code) if found.lastgroup == "sign")


def _compile_section(code: str, *, is_1904: bool) -> _Section:
    condition = _CONDITION.search(code)
    if condition:
        code = code.replace(condition[0], "", 1)
    show = compile_date(code, is_1904=is_1904) or compile_number(code)
    if not condition:
        return _Section(show=show, is_asked=None)
    compare, bound = _COMPARE[condition[1]], float(condition[2])
    return _Section(show=show, is_asked=lambda value: compare(value, bound))
