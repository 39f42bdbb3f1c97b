"""Cells that are safe to open."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.api.exports import disarm, write_csv


@pytest.mark.parametrize("cell", ["=1+1", "+49 30", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1"])  # noqa: RUF001
def test_formula_is_disarmed_when_a_spreadsheet_would_run_it(cell: str) -> None:
    assert disarm(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "Ada", "ada@example.org", "1-2", "a=b", "'=1"])
def test_cell_is_kept_when_it_is_no_formula(cell: str) -> None:
    assert disarm(cell) == cell


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=1, max_size=4), max_size=4))
def test_table_is_read_back_when_it_was_written(table: list[list[str]]) -> None:
    written = write_csv(table).decode()
    assert list(csv.reader(io.StringIO(written, newline=""))) == [[disarm(cell) for cell in row] for row in table]
