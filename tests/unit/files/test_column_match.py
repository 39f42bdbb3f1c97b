from __future__ import annotations

import csv
import io

import pytest

from batches.files.column_match import MatchedRecords, match_columns
from batches.files.errors import UnreadableFile
from batches.files.layout import Layout, make_layout
from batches.files.reading import CsvRecords

COLUMNS = ["email", "name", "note"]


def layout(*columns: str, has_header: bool = True) -> Layout:
    return make_layout(columns, address_index=0, has_header=has_header)


def matched(text: str, *columns: str) -> MatchedRecords:
    records = CsvRecords(io.BytesIO(text.encode()), encoding="utf-8", delimiter=",")
    next(records.reader)
    return MatchedRecords(records, match_columns(layout(*columns), COLUMNS))


def test_cells_come_in_the_lists_order_when_the_file_has_another() -> None:
    records = matched("NOTE,Email, name\nn,a@x.org,A,surplus\n", "NOTE", "Email", " name")
    assert list(records) == [["a@x.org", "A", "n", "surplus"]]


def test_cells_come_in_the_lists_order_when_headings_differ_in_signs_and_accents() -> None:
    records = matched("E-Mail,Nâme,no te\na@x.org,A,n\n", "E-Mail", "Nâme", "no te")
    assert list(records) == [["a@x.org", "A", "n"]]


def test_short_row_is_filled_up_when_the_file_has_other_places() -> None:
    assert list(matched("note,email,name\nn\n", "note", "email", "name")) == [["", "", "n"]]


def test_corrected_lines_are_noted_when_the_file_names_them() -> None:
    text = "email,name,note,line,reason\na@x.org,'=1,n,17,Bad.\nb@x.org,B,n,+3,\nc@x.org,C,n,1234567890,\nd@x.org,D,n\n"
    records = matched(text, *COLUMNS, "line", "reason")
    assert [cells[:3] for cells in records] == [
        ["a@x.org", "=1", "n"],
        ["b@x.org", "B", "n"],
        ["c@x.org", "C", "n"],
        ["d@x.org", "D", "n"],
    ]
    assert list(records.corrected_lines) == [17]


def test_columns_match_by_place_when_the_file_has_no_header() -> None:
    match = match_columns(layout("email", "column_2", "column_3", has_header=False), COLUMNS)
    assert (match.order, match.width, match.line_index) == ((0, 1, 2), 3, None)


def test_file_is_refused_when_it_has_no_header_and_another_width() -> None:
    with pytest.raises(UnreadableFile, match="has 2 columns and no header, but the list has 3 columns"):
        match_columns(layout("email", "column_2", has_header=False), COLUMNS)


def test_raw_text_is_returned_when_a_quotation_mark_is_misplaced_on_one_line() -> None:
    records = matched('email,name,note\na@x.org,"x "y" z",n\nb@x.org,B,n\n', *COLUMNS)
    with pytest.raises(csv.Error) as caught:
        next(records)
    assert records.recover_line(caught.value, line=9) == 'a@x.org,"x "y" z",n'
    assert next(records) == ["b@x.org", "B", "n"]


def test_file_is_refused_when_a_bad_record_goes_over_several_lines() -> None:
    records = matched('email,name,note\na@x.org,"one\nb@x.org,"two",n\n', *COLUMNS)
    with pytest.raises(csv.Error) as caught:
        next(records)
    with pytest.raises(UnreadableFile, match="In the record of line 2"):
        records.recover_line(caught.value, line=9)
