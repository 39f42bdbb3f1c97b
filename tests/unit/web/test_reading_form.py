"""What a posted form says about the file."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import QueryDict

from batches.files.findings import AddressColumn, Reading
from batches.intake import ListRefused
from batches.models import Batch, SharedAddresses
from batches.web.reading_form import list_changes, present_choice, read_posted, read_shared

READING = Reading(
    header_line=3,
    sheet="Members",
    address_columns=[
        AddressColumn(index=1, heading="Mother", count=2, is_used=True),
        AddressColumn(index=2, heading="Father", count=2),
    ],
)
PRESENT = present_choice(Batch(columns=["Child", "Mother", "Father"], address_index=1, reading=READING.to_json()))


def changes(query: str) -> dict[str, Any]:
    return list_changes(read_posted(QueryDict(query), PRESENT), PRESENT)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("sheet=Members&header_row=3&address_indexes=&address_indexes=1&hidden_rows=no&split_cells=no", {}),
        ("sheet=2025", {"sheet": "2025"}),
        ("header_row=0", {"header_row": 0}),
        ("header_row=", {"header_row": None}),
        ("header_row= 5 ", {"header_row": 5}),
        ("address_indexes=2", {"address_indexes": [2]}),
        ("address_indexes=1,2", {"address_indexes": [1, 2]}),
        ("address_indexes=&address_indexes=1&address_indexes=2", {"address_indexes": [1, 2]}),
        ("address_indexes=", {"address_indexes": None}),
        ("address_indexes=x", {"address_indexes": None}),
        ("hidden_rows=no&hidden_rows=yes", {"hidden_rows": True}),
        ("split_cells=yes", {"split_cells": True}),
        ("encoding=cp1254&delimiter=;", {"encoding": "cp1254", "delimiter": ";"}),
    ],
)
def test_only_what_was_changed_is_a_choice(query: str, expected: dict[str, Any]) -> None:
    assert changes(query) == expected


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "9" * 10])
def test_line_of_the_headings_is_refused_when_it_is_no_line(text: str) -> None:
    with pytest.raises(ListRefused, match="must be a number"):
        changes(f"header_row={text}")


def test_present_choice_has_no_line_when_the_list_has_no_headings() -> None:
    assert present_choice(Batch(has_header=False)).header_row == "0"


def test_shared_addresses_are_left_as_they_are_when_the_form_says_nonsense() -> None:
    assert read_shared(read_posted(QueryDict("shared_addresses=each"), PRESENT)) == SharedAddresses.EACH
    assert read_shared(read_posted(QueryDict("shared_addresses=x"), PRESENT)) is None
