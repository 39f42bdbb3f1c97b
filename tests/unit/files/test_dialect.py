from __future__ import annotations

import pytest

from batches.files.dialect import check_delimiter, choose_layout, detect_delimiter
from batches.files.errors import UnreadableFile


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n3,5;4,5\n", ";"),
        ("email\nann@example.com\n", ","),
        ("email;name\nann@example.com;Doe, Ann\n", ";"),
        ("email|name\nann@example.com|a,b;c\n", "|"),
        ("", ","),
    ],
)
def test_delimiter_is_found_when_cells_contain_the_others(text: str, delimiter: str) -> None:
    assert detect_delimiter(text) == delimiter


@pytest.mark.parametrize(
    ("records", "index"),
    [
        ([["Adresse"], ["ann@example.com"]], 0),
        ([["Adresse", "Mail"], ["Markt 1", "ann@example.com"]], 1),
        ([["Adresse", "Wer"], ["Markt 1", "ann@example.com"]], 1),
        ([["x", "y"], ["1", "ann@example.com"], ["2", "bob@example.com"]], 1),
        ([["1", "ann@example.com"], ["2", "bob@example.com"]], 1),
        ([["email", "x"], ["broken", "ann@example.com"]], 0),
        ([["Mail", "E-Mail"], ["ja", "ann@example.com"]], 1),
        ([["\ufeff\ufeffE-Mail", "x"], ["ann@example.com", "1"]], 0),
    ],
)
def test_address_column_is_found_when_its_heading_or_its_cells_show_it(records: list[list[str]], index: int) -> None:
    assert choose_layout(records).address_index == index


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([["email", "x" * 1001]], "Cell 2 of the first line has 1,001 characters"),
        ([["email", *["x"] * 500]], "has 501 columns"),
        ([["ann@example.com", "bob@example.com"]], "Put each address on a line of its own"),
        ([["{" * 900]], "Its first line has '{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{…'"),
    ],
)
def test_file_is_refused_when_its_first_line_is_that_of_no_list(records: list[list[str]], message: str) -> None:
    with pytest.raises(UnreadableFile) as caught:
        choose_layout(records)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300


def test_layout_is_refused_when_the_chosen_column_does_not_exist() -> None:
    with pytest.raises(UnreadableFile, match=r"There is no column 4 for the address.* only 2"):
        choose_layout([["email", "name"], ["ann@example.com", "Ann"]], address_index=3)


def test_choice_is_taken_when_the_cells_show_something_else() -> None:
    layout = choose_layout([["a@x.org", "b@x.org"], ["1", "c@x.org"]], has_header=True, address_index=0)
    assert (layout.has_header, layout.address_index, layout.columns) == (True, 0, ("a@x.org", "b@x.org"))


def test_delimiter_is_refused_when_no_list_has_it() -> None:
    assert check_delimiter("|") == "|"
    with pytest.raises(UnreadableFile, match="a comma, a semicolon, a tab or a vertical bar"):
        check_delimiter("x")
