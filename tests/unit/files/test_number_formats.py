from __future__ import annotations

import pytest

from batches.files.number_formats import compile_code


@pytest.mark.parametrize(
    ("code", "value", "shown"),
    [
        ("00000", 1067, "01067"),
        ("0000000000", 301234567, "0301234567"),
        ("00000-0000", 12345678, "01234-5678"),
        ("(###) ###-####", 3012345678, "(301) 234-5678"),
        ("###", 0, ""),
        ("000", 12.5, "013"),
        ("000", -5, "-005"),
        ("0.00", 12.5, "12.50"),
        ("0.00", 1.005, "1.01"),
        ("0.##", 3, "3"),
        ("0.0#", 3.25, "3.25"),
        ("0.0%", 0.1234, "12.3%"),
        ('#,##0.00 "EUR"', 1234567.5, "1234567.50 EUR"),
        (r"#,##0.00\ [$€-407]", -1234.5, "-1234.50 €"),
        ("0.00_);[Red](0.00)", -2, "(2.00)"),
        ("0.00_);[Red](0.00)", 2, "2.00"),
        ('0;-0;"none"', 7, "7"),
    ],
)
def test_number_is_as_excel_shows_it_when_the_format_is_supported(code: str, value: float, shown: str) -> None:
    show = compile_code(code)
    assert show is not None
    assert show(float(value)) == shown


@pytest.mark.parametrize(
    "code",
    ["", "General", "# ?/?", "[<=99]0;00", "yyyy-mm-dd", "@", "0,", "0.0,,", '"text only"'],
    ids=["empty", "general", "fraction", "condition", "date", "text", "thousands", "millions", "no place"],
)
def test_format_is_none_when_it_is_not_supported(code: str) -> None:
    assert compile_code(code) is None
