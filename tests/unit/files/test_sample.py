from __future__ import annotations

from collections.abc import Iterator

import pytest

from batches.files.reading import RejectedRecord
from batches.files.sample import SAMPLE_RECORDS, find_separator_line, is_separator_line, take_sample


class Sheet:
    """Rows of which some are hidden: those that begin with an asterisk."""

    def __init__(self, *rows: list[str]) -> None:
        self._rows = iter(rows)
        self.line_num = 0

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        cells = next(self._rows)
        self.line_num += 1
        if cells[:1] and cells[0].startswith("*"):
            raise RejectedRecord(cells=[cells[0][1:], *cells[1:]], reason="Hidden.", is_hidden=True)
        return cells


def test_hidden_rows_are_left_out_when_an_address_is_above_them() -> None:
    rows = [["email", "name"], ["a@x.org", "Ann"], ["*Bo"], ["*b@x.org"], ["c@x.org"]]
    assert [record.first_line for record in take_sample(Sheet(*rows))] == [1, 2, 5]


def test_hidden_row_is_taken_when_it_may_be_the_header() -> None:
    rows = [["*email", "name"], ["*b@x.org", "Bo"], ["a@x.org", "Ann"]]
    assert [record.cells for record in take_sample(Sheet(*rows))] == [["email", "name"], ["a@x.org", "Ann"]]


def test_sample_is_full_when_most_rows_are_blank_or_hidden() -> None:
    rows = [["email"], *[["*b@x.org"], [""]] * 1000, *[["a@x.org"]] * 100]
    assert len(take_sample(Sheet(*rows))) == SAMPLE_RECORDS


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [("sep=;\n", ";"), ('\ufeff"SEP=|"\n', "|"), ("\nsep=\t\n", "\t"), ("email;sep=,\n", None), ("", None)],
)
def test_delimiter_is_known_when_the_first_line_names_it(text: str, delimiter: str | None) -> None:
    assert find_separator_line(text) == delimiter


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["sep=;"], True),
        (["sep=", ""], True),
        (["SEP="], True),
        (["sep=", "x"], False),
        (["sep=abc"], False),
        ([], False),
    ],
)
def test_separator_line_is_told_from_a_row(cells: list[str], expected: bool) -> None:
    assert is_separator_line(cells) == expected
