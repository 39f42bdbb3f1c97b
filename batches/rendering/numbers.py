"""Compare and calculate with the values of a list, which are all texts. Pure.

Values enter as minijinja passes them: texts of cells, and numbers of the template. Truth values and numbers leave. A
text that can't be read as a number is a fault of its row, never a silent answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_UP, Decimal
from math import isinf
from operator import add, eq, floordiv, ge, gt, le, lt, mod, mul, ne, sub, truediv
from typing import Any

Number = int | float
Readings = tuple[Decimal, ...]
"""What a value can mean: one number, or two if its one separator may divide thousands or decimals. Blank: none."""

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge, "==": eq, "!=": ne}
CALCULATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": add, "-": sub, "*": mul, "/": truediv, "//": floordiv, "%": mod, "**": pow,
}  # fmt: skip

_CURRENCY = "[$€£¥]|chf|eur|usd|gbp|kr|zł"
_AROUND = re.compile(rf"^(?:{_CURRENCY})?\s*|\s*(?:{_CURRENCY}|%)?$", re.IGNORECASE)
"""Currencies and the percent sign. 12 % is 12, as the cell shows it."""

_SPACES = re.compile(r"(?<=\d)[\s'\u2019](?=\d{3}(?!\d))")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d+)*|[.,]\d+)(?:[eE][+-]?\d{1,2})?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:([.,])\d{3})(?:\1\d{3})*")
_DATE = re.compile(r"\s*\d{1,2}[./]\s?\d{1,2}[./]\s?\d{2,4}")
_DIGITS_MAX = 40
"""A longer text is an account number or a mistake, and no number to calculate with."""

_INT_MAX = 10**15
"""Larger results are shown in the way of floats, as they are no longer exact."""


class ValueFault(ValueError):
    """A value can't be compared or calculated with.

    ``group`` is the message without the value. ``is_absent``: the row has no such field, and not a blank one.
    """

    def __init__(self, message: str, *, group: str, is_absent: bool = False) -> None:
        super().__init__(message)
        self.group, self.is_absent = group, is_absent


def read_number(value: object) -> Readings:
    """Return what a value means as a number. A blank value, or none, means no number: ().

    Raises:
        ValueError: It is a text that is no number.
    """
    if isinstance(value, bool):
        return (Decimal(int(value)),)
    if isinstance(value, int | float):
        return (Decimal(repr(value)),)
    if value is None:
        return ()
    if not isinstance(value, str):
        raise ValueError
    text = _AROUND.sub("", unicodedata.normalize("NFKC", value).replace("\u2212", "-").strip())
    text = _SPACES.sub("", text)
    if not text:
        if value.strip():
            raise ValueError
        return ()
    if len(text) > _DIGITS_MAX or not _NUMBER.fullmatch(text):
        raise ValueError
    return tuple(dict.fromkeys(map(Decimal, _read_separators(text))))


def _read_separators(text: str) -> list[str]:
    """Return the ways to read the dots and commas of a number, as Python writes them.

    Raises:
        ValueError: The separators fit no way to write a number.
    """
    dots, commas = text.count("."), text.count(",")
    thousands = _THOUSANDS.fullmatch(text)
    if dots + commas <= 1:
        decimal = text.replace(",", ".")
        return [decimal, re.sub("[.,]", "", text)] if thousands else [decimal]
    if thousands:
        return [re.sub("[.,]", "", text)]
    decimal_mark = max(".,", key=text.rfind)
    whole, _, fraction = text.rpartition(decimal_mark)
    if decimal_mark in whole or not _THOUSANDS.fullmatch(whole):
        raise ValueError
    return [re.sub("[.,]", "", whole) + "." + fraction]


def compare(left: object, right: object, sign: str, left_name: str = "", right_name: str = "") -> bool:
    """Compare two values as numbers. With a blank value, every comparison is false.

    Two texts of which none is a number are compared as texts.

    Raises:
        ValueFault: One value is a text, can be read in two ways that give different answers, or does not exist.
    """
    _check_exists(left, left_name)
    _check_exists(right, right_name)
    if _is_blank(left) or _is_blank(right):
        return False
    if isinstance(left, str) and isinstance(right, str) and _are_texts(left, right, left_name):
        return COMPARISONS[sign](left, right)
    lefts, rights = _read(left, left_name), _read(right, right_name)
    answers = {COMPARISONS[sign](one, other) for one in lefts for other in rights}
    if len(answers) > 1:
        raise _ambiguous(*((left, left_name) if len(lefts) > 1 else (right, right_name)))
    return answers.pop()


def is_in(value: object, numbers: Iterable[object], name: str = "") -> bool:
    """Say whether a value is one of some numbers. Raises ValueFault as ``compare`` does."""
    answers = [compare(value, number, "==", name) for number in numbers]  # all of them: each may be a fault
    return any(answers)


def calculate(left: object, right: object, sign: str, left_name: str = "", right_name: str = "") -> Any:
    """Calculate with two values as numbers. ``+`` joins two texts that are no numbers, and ``*`` repeats a text.

    Raises:
        ValueFault: A value is blank, a text, or can be read in two ways; or there is no result.
    """
    if isinstance(left, str) and isinstance(right, str) and sign == "+":
        return _join(left, right, left_name, right_name)
    one, other = _read_one(left, left_name), _read_one(right, right_name)
    try:
        return _simplify(CALCULATIONS[sign](one, other))
    except ArithmeticError as exc:  # a division by zero, or a number without end
        raise _no_result(f"{left_name} {sign} {right_name}") from exc


def to_int(value: object, default: object = None) -> object:
    """Return a value as a whole number, without its decimals. Blank gives the default, or stays blank."""
    _check_exists(value, "The value before |int")
    return _convert(value, default, "int", int)


def to_float(value: object, default: object = None) -> object:
    """Return a value as a number. Blank gives the default, or stays blank, so that no comparison takes it as 0."""
    _check_exists(value, "The value before |float")
    return _convert(value, default, "float", float)


def to_sum(values: Iterable[object], attribute: str | None = None) -> Number:
    """Add numbers, or one field of each row. Blank values count as nothing. The filter ``sum``."""
    _check_exists(values, "The value before |sum")
    items = [value if attribute is None else _get(value, attribute) for value in values]
    name = attribute or "the sum"
    return _simplify(sum((_read_one(item, name) for item in items if not _is_blank(item)), Decimal(0)))


def to_abs(value: object) -> Number:
    """Return a value without its sign. The filter ``abs``."""
    return _simplify(abs(_read_for_filter(value, "abs")))


def to_round(value: object, precision: int = 0, method: str = "common") -> Number:
    """Round a value; a half is rounded up. The filter ``round``."""
    if method != "common":
        raise _no_result(f"round with the method {method!r}")
    number = _read_for_filter(value, "round")
    return _simplify(number.quantize(Decimal(1).scaleb(-precision), ROUND_HALF_UP))


def is_number(value: object) -> bool:
    """Say whether a value is a number, or a text that is one. The test ``number``."""
    try:
        return not isinstance(value, bool) and len(read_number(value)) > 0
    except ValueError:
        return False


def is_divisible(value: object, divisor: object) -> bool:
    """Say whether a number divides a value without a rest. A blank value is not divisible."""
    return not _is_blank(value) and calculate(value, divisor, "%", "the value", "the divisor") == 0


def is_odd(value: object) -> bool:
    """Say whether a value is an odd number. A blank value is not."""
    return not _is_blank(value) and not is_divisible(value, 2)


def make_test(sign: str) -> Callable[[object, object], bool]:
    """Make the test that compares as a sign does, such as ``gt`` for ``>``."""
    return lambda value, other: value is not None and other is not None and compare(value, other, sign)


def guard(function: Callable[..., object]) -> Callable[..., object]:
    """Make a filter or test of a function: a wrong number of arguments or an endless result is a fault."""

    def guarded(*args: object, **options: object) -> object:
        try:
            return function(*args, **options)
        except ValueFault:
            raise
        except (TypeError, ValueError, ArithmeticError) as exc:
            message = "A filter or test has arguments that it can't use. Write it as in the documentation of letters."
            raise ValueFault(message, group=message) from exc

    return guarded


def guard_test(function: Callable[..., bool]) -> Callable[..., bool]:
    """Do what ``guard`` does, for a test."""
    guarded = guard(function)
    return lambda *args, **options: bool(guarded(*args, **options))


def _get(row: object, attribute: str) -> object:
    return row.get(attribute) if isinstance(row, dict) else getattr(row, attribute, None)


def _check_exists(value: object, name: str) -> None:
    """Refuse what no column and no variable gives, as minijinja does: a misspelt name must not count as blank."""
    if value is None:
        message = f"{name or 'A value'} does not exist for this recipient. Check how its name is written."
        raise ValueFault(message, group=message, is_absent=True)


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _are_texts(left: str, right: str, left_name: str) -> bool:
    """Say whether two texts are compared as texts.

    Raises:
        ValueFault: They are dates with the day first, whose order as texts says nothing.
    """
    if _DATE.match(left) and _DATE.match(right):
        raise ValueFault(
            f"{left_name} is the date “{left}”. Dates can only be compared if they are written as 2026-12-31.",
            group=f"{left_name} is a date. Dates can only be compared if they are written as 2026-12-31.",
        )
    return not (is_number(left) or is_number(right))


def _read(value: object, name: str, advice: str = 'put words in quotes: == "gold"') -> Readings:
    try:
        return read_number(value)
    except ValueError:
        pass
    advice = f"Correct the list, or {advice}."
    raise ValueFault(
        f"{name or 'a value'} is “{_shorten(value)}”, which is not a number. {advice}",
        group=f"{name or 'a value'} is not a number. {advice}",
    )


def _read_one(value: object, name: str) -> Decimal:
    readings = _read(value, name, f"write {name}|float(0) to count it as 0" if name else "write |float(0) before it")
    if not readings:
        advice = f"Write {name}|float(0) to count it as 0, or put the place in {{% if {name} %}}."
        message = f"{name} is blank, so nothing can be calculated with it. {advice}"
        raise ValueFault(message, group=f"{name} is blank.", is_absent=value is None)
    if len(readings) > 1:
        raise _ambiguous(value, name)
    return readings[0]


def _read_for_filter(value: object, name: str) -> Decimal:
    if _is_blank(value):
        message = f"A value is blank, and |{name} needs a number. Write |float(0)|{name} to take 0 instead."
        raise ValueFault(message, group=message, is_absent=value is None)
    return _read_one(value, "")


def _ambiguous(value: object, name: str) -> ValueFault:
    low, high = sorted(read_number(value), key=abs)
    advice = "Write the numbers of this column without a sign between the thousands."
    return ValueFault(
        f"{name or 'a value'} is “{_shorten(value)}”, which may mean {low:f} or {high:f}. {advice}",
        group=f"{name or 'a value'} has numbers that may be read in two ways. {advice}",
    )


def _no_result(what: str) -> ValueFault:
    message = f"{what} has no result that can be written. Change the calculation."
    return ValueFault(message, group=message)


def _join(left: str, right: str, left_name: str, right_name: str) -> str:
    if not (is_number(left) and is_number(right)):
        return left + right
    message = (
        f"{left_name} + {right_name} may add or join. Write {left_name}|float + {right_name}|float to add, "
        f"or {left_name} ~ {right_name} to join."
    )
    raise ValueFault(message, group=message)


def _convert(value: object, default: object, name: str, kind: type[int] | type[float]) -> object:
    if _is_blank(value):
        return "" if default is None else default
    try:
        readings = read_number(value)
    except ValueError:
        if default is not None:
            return default
        raise _not_a_number(value, name) from None
    if len({kind(reading) for reading in readings}) > 1:
        raise _ambiguous(value, "")
    return _simplify(Decimal(kind(readings[0])) if kind is int else readings[0])


def _not_a_number(value: object, name: str) -> ValueFault:
    advice = f"Correct the list, or write {name}(0) to take 0 instead."
    return ValueFault(
        f"“{_shorten(value)}” is not a number, which |{name} needs. {advice}",
        group=f"A value is not a number, which |{name} needs. {advice}",
    )


def _simplify(number: Decimal) -> Number:
    """Return a whole number as an int, so that a letter shows 3 and not 3.0."""
    if abs(number) < _INT_MAX and number == number.to_integral_value():
        return int(number)
    if isinf(float(number)):
        raise OverflowError
    return float(number)


def _shorten(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 40 else f"{text[:39]}…"
