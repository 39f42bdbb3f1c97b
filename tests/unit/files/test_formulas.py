from __future__ import annotations

import pytest

from batches.files.formulas import disarm, rearm

FORMULAS = ["=1+1", "+49", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "  =1", "\uff1d1", "\uff201", "=cmd|' /C calc'!A0"]


@pytest.mark.parametrize("cell", FORMULAS)
def test_formula_gets_an_apostrophe_when_it_is_disarmed_and_loses_it_when_rearmed(cell: str) -> None:
    assert disarm(cell) == f"'{cell}"
    assert rearm(disarm(cell)) == cell


@pytest.mark.parametrize("cell", ["'t Hooft", "", "a=b", "'=1", "Ann"])
def test_cell_stays_as_it_is_when_it_is_no_formula(cell: str) -> None:
    assert disarm(cell) == cell


def test_apostrophe_stays_when_it_disarms_nothing() -> None:
    assert rearm("'t Hooft") == "'t Hooft"
