from __future__ import annotations

import time

import pytest

from batches.files.cell_formats import compile_code


def show(code: str, value: float) -> str | None:
    cell_format = compile_code(code)
    return cell_format.show(value) if cell_format else None


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
        # 16 digits and more
        ("0", 1234567890123450, "1234567890123450"),
        ("0000 0000 0000 0000", 1234567890123450, "1234 5678 9012 3450"),
        ("0", 1e300, "1e+300"),
        ("00", 4.5e15, "4500000000000000"),
        # the third section, and none
        ('0;-0;"none"', 7, "7"),
        ('0;-0;"none"', -7, "-7"),
        ('0;-0;"none"', 0, "none"),
        ("0;-0;;@", 0, ""),
        ("0;-0;;@", 5, "5"),
        ('"plus "0;"minus "0', 0, "plus 0"),
        ('"a;b "0;"c"', 4, "a;b 4"),
        (r"0\;0;-0", 12, "1;2"),
        # conditions, as in Excel's own telephone numbers
        ("[<=9999999]###-####;(###) ###-####", 5551234, "555-1234"),
        ("[<=9999999]###-####;(###) ###-####", 3015551234, "(301) 555-1234"),
        ('[=1]0" child";0" children"', 1, "1 child"),
        ('[=1]0" child";0" children"', 3, "3 children"),
        ('[>=1000]0.0,"k";[<0]"debt "0;0', 2500, "2.5k"),
        ('[>=1000]0.0,"k";[<0]"debt "0;0', -3, "debt 3"),
        ('[>=1000]0.0,"k";[<0]"debt "0;0', 12, "12"),
        # thousands and millions
        ("0,", 12345, "12"),
        ('0.0,,"M"', 12_345_678, "12.3M"),
        ("#,##0", 1234567, "1234567"),
        # fractions
        ("# ?/?", 0.5, "1/2"),
        ("# ?/?", 2.25, "2 1/4"),
        ("# ?/?", 3, "3"),
        ("?/?", 1.5, "3/2"),
        ("# ??/??", 0.04, "1/25"),
        ("# ?/8", 0.25, "2/8"),
        ("# ?/?", -0.5, "-1/2"),
        ("# ?/?", 0, "0"),
        ('General" kg"', 70.5, "70.5 kg"),
        ('"none"', 5, "none"),
    ],
)
def test_number_is_as_excel_shows_it_when_the_format_is_supported(code: str, value: float, shown: str) -> None:
    assert show(code, float(value)) == shown


@pytest.mark.parametrize(
    ("code", "value", "shown"),
    [
        ("[h]:mm", 1.510416666666667, "36:15"),
        ("[hh]:mm:ss", 0.0625, "01:30:00"),
        ("[h]:mm", 100.0, "2400:00"),
        ("[mm]:ss", 0.05, "72:00"),
        ("[s]", 0.001, "86"),
        ('[h]" h "mm" min"', 1.510416666666667, "36 h 15 min"),
        ("[h]:mm", -0.5, "-12:00"),
        ("h:mm", 0.378472222222222, "9:05"),
        ("hh:mm:ss", 0.378472222222222, "09:05:00"),
        ("h:mm AM/PM", 0.878472222222222, "9:05 PM"),
        ("h:mm AM/PM", 0.003472222222222, "12:05 AM"),
        ("mm:ss.0", 0.00052083, "00:45.0"),
        ("dd.mm.yyyy", 46112.75, "31.03.2026"),
        (r"d\.m\.yy;@", 46112, "31.3.26"),
        ("yyyy-mm-dd", 46112, "2026-03-31"),
        ("yyyy-mm-dd h:mm:ss", 46112.75, "2026-03-31 18:00:00"),
        ("yyyy-mm-dd h:mm:ss", 46112, "2026-03-31"),
        ("yyyy", 46112, "2026"),
        ("[$-407]dd.mm.yyyy", 46112, "31.03.2026"),
        # What depends on the country or the language is written in the way of ISO 8601.
        ("m/d/yyyy", 46112, "2026-03-31"),
        ("dd/mm/yyyy hh:mm", 46112.75, "2026-03-31 18:00:00"),
        ("d. mmmm yyyy", 46112, "2026-03-31"),
        ("ddd", 46112, "2026-03-31"),
        ("dd.mm.yyyy", 60, "29.02.1900"),
        ("dd.mm.yyyy", 1, "01.01.1900"),
        ("dd.mm.yyyy", 2958465, "31.12.9999"),
        ("dd.mm.yyyy", 2958466, "2958466"),
        ("dd.mm.yyyy", -1, "-1"),
    ],
)
def test_date_is_as_excel_shows_it_when_the_country_does_not_matter(code: str, value: float, shown: str) -> None:
    assert show(code, float(value)) == shown


def test_date_is_four_years_later_when_the_file_counts_from_1904() -> None:
    cell_format = compile_code("yyyy-mm-dd", is_1904=True)
    assert cell_format is not None
    assert cell_format.show(44650.0) == "2026-03-31"


@pytest.mark.parametrize(
    ("code", "text", "shown"),
    [
        ('0;-0;0;"Dr. "@', "Ann", "Dr. Ann"),
        ('@" (member)"', "Ann", "Ann (member)"),
        (r"dd.mm.yyyy;\*@", "soon", "*soon"),
        ('"@ "0;"x"@', "Ann", "xAnn"),
        (";;;", "hidden", ""),
    ],
)
def test_text_is_as_excel_shows_it_when_the_format_has_a_section_for_text(code: str, text: str, shown: str) -> None:
    cell_format = compile_code(code)
    assert cell_format is not None
    assert cell_format.show_text is not None
    assert cell_format.show_text(text) == shown


@pytest.mark.parametrize("code", ["0.00", "dd.mm.yyyy;@", "0;-0", '"@ "0'])
def test_text_is_left_alone_when_the_format_says_nothing_of_text(code: str) -> None:
    cell_format = compile_code(code)
    assert cell_format is not None
    assert cell_format.show_text is None


@pytest.mark.parametrize("code", ["", "General", "@", "0.00E+00", "[DBNum1]0", "0" * 1001, "0" * 5_000_000])
def test_format_is_none_when_it_is_not_supported(code: str) -> None:
    begun = time.monotonic()
    assert compile_code(code) is None
    assert time.monotonic() - begun < 0.1
