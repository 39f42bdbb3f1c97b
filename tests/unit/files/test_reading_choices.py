"""What a person chose about a file, and one more choice."""

from __future__ import annotations

import json

import pytest

from batches.files.opening import ReadingOptions
from batches.files.reading_choices import change_choices, list_choices


def choose(*changes: dict[str, object]) -> ReadingOptions:
    """Make one change after the other, each from what the one before stored."""
    options = ReadingOptions()
    for change in changes:
        options = change_choices(json.loads(json.dumps(list_choices(options))), change)
    return options


def test_nothing_is_stored_when_nothing_was_chosen() -> None:
    assert list_choices(ReadingOptions()) == {}


def test_choice_is_kept_when_another_one_is_made() -> None:
    options = choose({"sheet": "2026"}, {"address_indexes": (1, 2)}, {"hidden_rows": True}, {"header_row": 0})
    assert options == ReadingOptions(sheet="2026", address_indexes=(1, 2), hidden_rows=True, header_row=0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"sheet": "2025"}, ReadingOptions(sheet="2025")),
        ({"sheet": "2026"}, ReadingOptions(sheet="2026", hidden_rows=True, header_row=3, address_indexes=(1,))),
        ({"sheet": "2025", "header_row": 2}, ReadingOptions(sheet="2025", header_row=2)),
        ({"hidden_rows": False}, ReadingOptions(sheet="2026", header_row=3, address_indexes=(1,))),
        ({"header_row": None}, ReadingOptions(sheet="2026", hidden_rows=True, address_indexes=(1,))),
    ],
)
def test_columns_header_and_hidden_rows_are_found_again_when_the_sheet_changes(
    change: dict[str, object], expected: ReadingOptions
) -> None:
    before = {"sheet": "2026", "hidden_rows": True, "header_row": 3, "address_indexes": (1,)}
    assert choose(before, change) == expected


def test_address_column_is_found_again_when_the_delimiter_changes() -> None:
    assert choose({"delimiter": ";", "address_indexes": (2,)}, {"delimiter": ","}) == ReadingOptions(delimiter=",")


def test_last_one_of_two_ways_to_say_the_header_wins() -> None:
    assert choose({"header_row": 4}, {"has_header": False}) == ReadingOptions(has_header=False)
    assert choose({"has_header": False}, {"header_row": 4}) == ReadingOptions(header_row=4)
