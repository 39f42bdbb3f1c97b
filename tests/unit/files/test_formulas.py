"""Where a spreadsheet program would begin a formula there is an apostrophe, and it comes off again without a trace."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.files.formulas import FORMULA_STARTS, SEPARATORS, SKIPPED, disarm, rearm

FORMULAS = ["=1+1", "+49", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "  =1", "\uff1d1", "\uff201", "=cmd|' /C calc'!A0"]
HIDDEN = [
    "\u200b=1+1",
    "\ufeff=1+1",
    "\xa0=1",
    "\u2060+1",
    "\u00ad@A1",
    "\x00=1",
    "\u3164=1",
    '"=1"',
    "\u2800-1",
    "\ufe63 1",
]
INSIDE = {
    "x;=1+1": "x;'=1+1",
    "y;@SUM(1)": "y;'@SUM(1)",
    "x\t=1": "x\t'=1",
    "x|-1": "x|'-1",
    "x, +49": "x,' +49",
    "a\n=1": "a\n'=1",
    "a\r\n\u200b=1": "a\r\n'\u200b=1",
    'x;"=1"': 'x;\'"=1"',
    "=1;=2": "'=1;'=2",
    "a;;=1": "a;;'=1",
}
ALPHABET = "=+-@;,|\t\r\n '\"\u200b\ufeff\xa0ab1\uff1d\u2212"


@pytest.mark.parametrize("cell", FORMULAS + HIDDEN)
def test_formula_gets_an_apostrophe_when_it_is_disarmed_and_loses_it_when_rearmed(cell: str) -> None:
    assert disarm(cell) == f"'{cell}"
    assert rearm(disarm(cell)) == cell


@pytest.mark.parametrize(("cell", "expected"), INSIDE.items())
def test_formula_inside_a_cell_gets_an_apostrophe_when_another_program_would_begin_a_cell_there(
    cell: str, expected: str
) -> None:
    assert disarm(cell) == expected
    assert rearm(expected) == cell


@pytest.mark.parametrize("cell", ["'t Hooft", "", "a=b", "Ann", "Berg, Ann", "2026-03-31", "a | b", "ann@example.org"])
def test_cell_stays_as_it_is_when_it_is_no_formula(cell: str) -> None:
    assert disarm(cell) == cell


def test_apostrophe_stays_when_it_disarms_nothing() -> None:
    assert rearm("'t Hooft") == "'t Hooft"


@given(st.one_of(st.text(), st.text(alphabet=ALPHABET)))
def test_cell_comes_back_the_same_when_it_makes_the_round_trip(cell: str) -> None:
    assert rearm(disarm(cell)) == cell


@given(st.text(alphabet=ALPHABET), st.sampled_from(["", *";,|\t\r\n"]), st.text(alphabet=" '\"\u200b\ufeff\xa0"))
def test_no_formula_is_left_when_a_cell_is_disarmed(before: str, separator: str, skipped: str) -> None:
    disarmed = disarm(f"{before}{separator}{skipped}=1+1")
    for part in re.split(f"[{SEPARATORS}]", disarmed):
        first = re.sub(f"^[{SKIPPED}]*", "", part.replace("'", "\0", 1) if part.startswith("'") else part)
        assert part.startswith("'") or not re.match(f"[{FORMULA_STARTS}]", first)


def test_every_mark_that_nobody_sees_is_known() -> None:
    known = re.compile(f"[{SKIPPED}{SEPARATORS}]")
    unseen = (
        c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) in ("Cf", "Cc", "Zs", "Zl", "Zp")
    )
    assert [hex(ord(c)) for c in unseen if not known.match(c)] == []


def test_every_sign_that_is_compatible_with_a_start_is_known() -> None:
    known = re.compile(f"[{FORMULA_STARTS}]")
    alike = (c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.normalize("NFKC", c) in ("=", "+", "-", "@"))
    assert [hex(ord(c)) for c in alike if not known.match(c)] == []
