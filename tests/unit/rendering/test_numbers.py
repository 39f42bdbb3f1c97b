"""Numbers are read in texts as people write them, and a text is never taken for one."""

from __future__ import annotations

from decimal import Decimal
from operator import eq, ge, gt, le, lt, ne

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.rendering import numbers
from batches.rendering.numbers import ValueFault, calculate, compare, is_in, read_number


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("3", ["3"]),
        (" 7 ", ["7"]),
        ("-5", ["-5"]),
        ("\u22125", ["-5"]),
        ("+5", ["5"]),
        ("12 %", ["12"]),
        ("12%", ["12"]),
        ("1.234,5", ["1234.5"]),
        ("1,234.5", ["1234.5"]),
        ("1.234.567", ["1234567"]),
        ("1,234,567.89", ["1234567.89"]),
        ("1 234,50", ["1234.50"]),
        ("1\u202f234\u00a0567", ["1234567"]),
        ("1'234.50", ["1234.50"]),
        ("1\u2019234", ["1234"]),
        ("12,50 €", ["12.50"]),
        ("€ 12,50", ["12.50"]),
        ("CHF 12.50", ["12.50"]),
        ("$1,234.00", ["1234.00"]),
        ("0,5", ["0.5"]),
        (".5", ["0.5"]),
        ("0.125", ["0.125"]),
        ("1234.567", ["1234.567"]),
        ("007", ["7"]),
        ("1.5E+3", ["1500"]),
        ("٣", ["3"]),
        ("\uff11\uff12", ["12"]),
        ("1.234", ["1.234", "1234"]),
        ("1,234", ["1.234", "1234"]),
        ("", []),
        (" \u00a0", []),
    ],
)
def test_number_is_read_when_a_text_is_one(text: str, readings: list[str]) -> None:
    assert [*read_number(text)] == [*map(Decimal, readings)]


@pytest.mark.parametrize(
    "text",
    ["x", "3 kg", "3b", "1-2", "1/2", "01.02.2026", "2026-01-02", "1.2.3", "1,2,3", "12.34,5", "5.", "%", "€", "1 23",
     "inf", "nan", "0x10", "1_000", "1e999", "9" * 41, "--5", "12:30"],
)  # fmt: skip
def test_nothing_is_read_when_a_text_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        read_number(text)


SIGNS = {"<": lt, "<=": le, ">": gt, ">=": ge, "==": eq, "!=": ne}
INTEGERS = st.integers(-10_000, 10_000)


@given(left=INTEGERS, right=INTEGERS, sign=st.sampled_from([*SIGNS]))
def test_comparison_is_that_of_the_numbers(left: int, right: int, sign: str) -> None:
    expected = SIGNS[sign](left, right)
    for one, other in ((str(left), right), (left, str(right)), (str(left), f" {right} ")):
        assert compare(one, other, sign) is expected


@pytest.mark.parametrize(
    ("left", "sign", "right", "is_true"),
    [
        ("b", ">", "a", True),
        ("2026-02-01", ">", "2026-01-05", True),
        ("10", ">", "9", True),
        ("", "<", "9", False),
        ("x", "!=", "", False),
        ("1.234", ">", 1, True),
        ("1.234", "<", 2000, True),
        (3, "<", 4.5, True),
        (True, "==", 1, True),
    ],
)
def test_two_values_are_compared(left: object, sign: str, right: object, is_true: bool) -> None:
    assert compare(left, right, sign) is is_true


@pytest.mark.parametrize(
    ("left", "right", "sentence"),
    [
        ("many", 3, "points is “many”, which is not a number."),
        ("many", "3", "points is “many”, which is not a number."),
        ("1.234", 100, "points is “1.234”, which may mean 1.234 or 1234."),
        ("01.02.2026", "05.01.2026", "points is the date “01.02.2026”. Dates can only be compared"),
        ("x" * 50, 3, f"points is “{'x' * 39}…”, which is not a number."),
        ([], 3, "points is “[]”, which is not a number."),
    ],
)
def test_value_is_a_fault_when_it_can_not_be_compared(left: object, right: object, sentence: str) -> None:
    with pytest.raises(ValueFault) as fault:
        compare(left, right, ">", "points", "limit")
    assert str(fault.value).startswith(sentence)
    assert fault.value.group.startswith("points ") and "many" not in fault.value.group


@pytest.mark.parametrize(("left", "right", "name"), [(None, 9, "points"), (9, None, "limit"), (None, "x", "points")])
def test_value_is_a_fault_when_there_is_none(left: object, right: object, name: str) -> None:
    with pytest.raises(ValueFault, match=f"^{name} does not exist") as fault:
        compare(left, right, "<", "points", "limit")
    assert fault.value.is_absent


def test_each_number_of_a_group_is_compared() -> None:
    assert is_in("3,0", [1, 3], "points") and not is_in("", [1, 3], "points")
    with pytest.raises(ValueFault, match="points is “x”"):
        is_in("x", [1, 3], "points")


@pytest.mark.parametrize(
    ("left", "sign", "right", "result"),
    [
        ("3", "*", 2, 6),
        ("1,1", "*", 3, 3.3),
        ("7", "/", 2, 3.5),
        ("8", "/", 2, 4),
        ("7", "//", 2, 3),
        ("7", "%", 4, 3),
        ("2", "**", 3, 8),
        ("3", "-", "1", 2),
        (1, "+", "2", 3),
        ("a", "+", "b", "ab"),
    ],
)
def test_result_is_that_of_the_numbers(left: object, sign: str, right: object, result: object) -> None:
    assert calculate(left, right, sign) == result
    assert type(calculate(left, right, sign)) is type(result)


@pytest.mark.parametrize(
    ("left", "sign", "right", "words"),
    [
        ("", "+", 1, "points is blank, so nothing can be calculated with it."),
        ("x", "+", 1, "points is “x”, which is not a number."),
        ("1.234", "+", 1, "points is “1.234”, which may mean"),
        ("3", "+", "4", "points + limit may add or join."),
        ("1", "/", 0, "points / limit has no result"),
        ("9" * 40, "**", 9999999, "points ** limit has no result"),
        ("1e99", "**", 99, "points ** limit has no result"),
    ],
)
def test_calculation_is_a_fault_when_it_has_no_result(left: str, sign: str, right: object, words: str) -> None:
    with pytest.raises(ValueFault) as fault:
        calculate(left, right, sign, "points", "limit")
    assert str(fault.value).startswith(words)


def test_filters_convert_and_leave_blank_what_is_blank() -> None:
    assert (numbers.to_int("1.234,9"), numbers.to_int(""), numbers.to_int("", 0)) == (1234, "", 0)
    assert numbers.to_int("x", 0) == 0
    assert (numbers.to_float("2,50 €"), numbers.to_float(" "), numbers.to_float("4")) == (2.5, "", 4)
    assert (numbers.to_round("2,5"), numbers.to_round("2.3456", 2), numbers.to_abs("-3")) == (3, 2.35, 3)
    assert numbers.to_sum(["1", "", "2,5"]) == 3.5
    assert numbers.to_sum([{"a": "1"}, {"a": "2"}, {}], "a") == 3


@pytest.mark.parametrize("convert", [numbers.to_int, numbers.to_float])
@pytest.mark.parametrize(("text", "words"), [("x", "“x” is not a number"), ("1.234", "may mean 1.234 or 1234")])
def test_conversion_is_a_fault_when_the_text_is_no_certain_number(convert, text: str, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueFault, match=words):
        convert(text)


def test_fault_is_told_when_a_filter_has_wrong_arguments() -> None:
    with pytest.raises(ValueFault, match="arguments that it can't use"):
        numbers.guard(numbers.to_round)("2", 0, "common", 9)
    with pytest.raises(ValueFault, match="arguments that it can't use"):
        numbers.guard(numbers.to_sum)(3)
