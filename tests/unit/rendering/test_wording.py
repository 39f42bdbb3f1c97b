"""What is put together to say where a fault is can be taken apart again, to show it beside its part."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batches.rendering.wording import (
    PARTS,
    Place,
    name_as_letter,
    read_place,
    say_where,
    say_where_in_letter,
)

LINES = st.none() | st.integers(min_value=1, max_value=10**6)


@given(st.sampled_from(sorted(PARTS)), LINES, st.text(min_size=1))
def test_place_is_read_as_it_was_said(part: str, line: int | None, message: str) -> None:
    assert read_place(say_where(part, line, message)) == Place(part, line or 0, message)


@given(LINES, st.text(min_size=1))
def test_place_in_a_letter_is_read_as_it_was_said(line: int | None, message: str) -> None:
    assert read_place(say_where_in_letter(line, message)) == Place("source", line or 0, message)
    assert name_as_letter(say_where("text", line, message)) == say_where_in_letter(line, message)
    assert name_as_letter(say_where("html", line, message)) == say_where("html", line, message)


def test_sentence_about_no_part_has_no_place() -> None:
    assert read_place("The subject is empty.") == Place("", 0, "The subject is empty.")
