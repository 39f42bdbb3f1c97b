from __future__ import annotations

import pytest

from batches.files.errors import UnreadableFile
from batches.files.findings import Reading, SheetChoice
from batches.files.layout_search import ChosenLayout, FoundLayout, find_layout
from batches.files.sample import SampleRecord

NO_CHOICE = ChosenLayout()


def search(
    *records: list[str], chosen: ChosenLayout = NO_CHOICE, is_sheet: bool = False
) -> tuple[FoundLayout, Reading]:
    sample = [
        SampleRecord(cells=cells, first_line=line, last_line=line)
        for line, cells in enumerate(records, 1)
        if any(cells)
    ]
    reading = Reading()
    return find_layout(sample, reading, chosen=chosen, is_sheet=is_sheet), reading


@pytest.mark.parametrize(
    ("records", "index"),
    [
        ([["Adresse"], ["ann@example.com"]], 0),
        ([["Adresse", "Mail"], ["Markt 1", "ann@example.com"]], 1),
        ([["Adresse", "Wer"], ["Markt 1", "ann@example.com"]], 1),
        ([["x", "y"], ["1", "ann@example.com"], ["2", "bob@example.com"]], 1),
        ([["1", "ann@example.com"], ["2", "bob@example.com"]], 1),
        ([["email", "x"], ["broken", "ann@example.com"], ["bo@example.com", ""]], 0),
        ([["Mail", "E-Mail"], ["ja", "ann@example.com"]], 1),
        ([["name", "mail", "contact"], ["A", "1 High St", "a@x.org"], ["B", "2 Low St", "b@x.org"]], 2),
        ([["E-Mail (alt)", "E-Mail"], ["a@y.org", "a@x.org"], ["b@y.org", ""]], 1),
        ([["E-Mail", "E-Mail (Rechnung)"], ["a@x.org", "o@y.org"], ["", "o@y.org"], ["b@x", "o@y.org"]], 0),
        ([["Email 1", "Email 2"], ["a@x.org", "a@y.org"], ["", "b@y.org"]], 0),
        ([["Alternative email", "Primary email"], ["a@y.org", "a@x.org"]], 1),
        ([["E-Mail Mutter", "E-Mail Vater"], ["", "v@x.org"], ["m@x.org", "w@x.org"]], 0),
        ([["Mutter", "Vater"], ["m@x.org", "v@x.org"], ["", "w@x.org"]], 0),
        ([["Notes", "Contact"], ["ask z@x.org", "a@x.org"], ["", "b@x.org"], ["", "c@x.org"], ["", "d@x.org"]], 1),
        ([["To email", "From email"], *(["club@y.org", f"{name}@x.org"] for name in "abc")], 1),
        ([["created by", "contact"], *(["club@y.org", f"{name}@x.org"] for name in "abc")], 1),
        ([["E-Mail", "Kontakt-Mail"], *(["club@y.org", f"{name}@x.org"] for name in "abc")], 1),
        ([["E-Mail", "Name"], *(["club@y.org", name] for name in "abc")], 0),
        ([["E-Mail", "Notes"], *(["club@y.org", note] for note in ("ask a@x.org", "", "b@x.org", "c"))], 0),
        ([["Альтернативный адрес электронной почты", "Адрес электронной почты"], ["a@y.org", "a@x.org"]], 1),
    ],
)
def test_address_column_is_found_when_its_heading_or_its_cells_show_it(records: list[list[str]], index: int) -> None:
    found, _ = search(*records)
    assert found.layout.address_indexes == (index,)


def test_other_address_columns_are_noted_when_there_is_a_choice() -> None:
    records = [["Kind", "E-Mail Mutter", "E-Mail Vater"], ["Max", "m@x.org", "v@x.org"], ["Eva", "", "w@x.org"]]
    _, reading = search(*records)
    columns = [(column.index, column.heading, column.count, column.is_used) for column in reading.address_columns]
    assert columns == [(1, "E-Mail Mutter", 1, True), (2, "E-Mail Vater", 2, False)]
    found, reading = search(*records, chosen=ChosenLayout(address_indexes=(1, 2)))
    assert found.layout.address_indexes == (1, 2)
    assert found.layout.merge_fields == ("kind", "e_mail_mutter", "e_mail_vater")
    assert [column.is_used for column in reading.address_columns] == [True, True]


def test_no_address_column_is_noted_when_there_is_no_choice() -> None:
    _, reading = search(["email", "name"], ["a@x.org", "Ann"])
    assert reading.address_columns == []
    assert (reading.header_line, reading.skipped_lines) == (1, 0)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([["email", "x" * 1001]], "Cell 2 of line 1 has 1,001 characters"),
        ([["email", *["x"] * 500]], "has 501 columns"),
        ([["ann@example.com", "bob@example.com"]], "Put each address on a line of its own"),
        ([["{" * 900]], "Line 1 has '{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{…'"),
        ([["first", "address", "city"], ["Ann", "1 High St", "Rome"]], "Line 1 has 'first', 'address', 'city'"),
        ([], "The file is empty"),
    ],
)
def test_file_is_refused_when_it_is_no_list(records: list[list[str]], message: str) -> None:
    with pytest.raises(UnreadableFile) as caught:
        search(*records)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300


def test_layout_is_refused_when_a_person_chose_what_does_not_exist() -> None:
    records = [["email", "name"], [], ["ann@example.com", "Ann"]]
    with pytest.raises(UnreadableFile, match=r"There is no column 4 for the address.* only 2"):
        search(*records, chosen=ChosenLayout(address_indexes=(0, 3)))
    for line in (2, 9):
        with pytest.raises(UnreadableFile, match=f"Line {line} holds no header"):
            search(*records, chosen=ChosenLayout(header_row=line))


@pytest.mark.parametrize(
    ("chosen", "columns", "header_lines"),
    [
        (ChosenLayout(has_header=True), ("a@x.org", "b@x.org"), (1, 1)),
        (ChosenLayout(header_row=1), ("a@x.org", "b@x.org"), (1, 1)),
        (ChosenLayout(header_row=2, has_header=False), ("1", "c@x.org"), (2, 2)),
        (ChosenLayout(has_header=False), ("email", "column_2"), None),
        (ChosenLayout(header_row=0, has_header=True), ("email", "column_2"), None),
    ],
)
def test_choice_is_taken_when_the_cells_show_something_else(
    chosen: ChosenLayout, columns: tuple[str, ...], header_lines: tuple[int, int] | None
) -> None:
    chosen = ChosenLayout(has_header=chosen.has_header, header_row=chosen.header_row, address_indexes=(0,))
    found, _ = search(["a@x.org", "b@x.org"], ["1", "c@x.org"], chosen=chosen)
    assert (found.layout.columns, found.header_lines) == (columns, header_lines)


def test_header_stays_two_rows_when_a_person_chose_its_last_line() -> None:
    records = [["First", "Last", "E-Mail"], ["name", "name", "address"], ["Ann", "Berg", "a@x.org"]]
    found, reading = search(*records)
    assert (found.layout.merge_fields, reading.header_line) == (("first_name", "last_name"), 2)
    assert search(*records, chosen=ChosenLayout(header_row=2))[0] == found


def test_columns_do_not_count_when_they_have_no_heading_and_no_content() -> None:
    found, _ = search(["", "email", "", "name", "", ""], ["", "a@x.org", "", "Ann", "Rome", ""])
    layout = found.layout
    assert (layout.columns, layout.kept, layout.width) == (("email", "name", ""), (1, 3, 4), 6)
    assert (layout.address_indexes, layout.merge_fields) == ((0,), ("name", "column_5"))


def test_columns_are_counted_without_the_blank_ones_when_there_are_many() -> None:
    found, _ = search(["email", "name", *[""] * 600], ["a@x.org", "Ann"])
    assert found.layout.kept == (0, 1)


def test_sheet_has_a_column_without_heading_when_its_rows_are_longer_than_its_header() -> None:
    found, _ = search(["email", "name"], ["a@x.org", "Ann", "Rome"], ["b@x.org"], is_sheet=True)
    assert found.layout.merge_fields == ("name", "column_3")
    found, _ = search(["email", "name"], ["a@x.org", "Berg", "Ann"], ["b@x.org", "Cole", "Bo"])
    assert found.layout.merge_fields == ("name",)


@pytest.mark.parametrize(
    ("is_hidden", "advice"),
    [(True, "The hidden sheet 'Members' has some. Show that sheet"), (False, "The sheet 'Members' has some. Choose")],
)
def test_other_sheet_is_named_when_the_one_that_is_read_has_no_addresses(is_hidden: bool, advice: str) -> None:
    sheets = [
        SheetChoice(name="Cover", is_hidden=False, address_count=0),
        SheetChoice(name="Members", is_hidden=is_hidden, address_count=2),
    ]
    sample = [SampleRecord(cells=["Our club"], first_line=1, last_line=1)]
    with pytest.raises(UnreadableFile) as caught:
        find_layout(sample, Reading(sheet="Cover", sheets=sheets), chosen=NO_CHOICE, is_sheet=True)
    assert str(caught.value).startswith("The sheet 'Cover' has no column of email addresses")
    assert advice in str(caught.value)
