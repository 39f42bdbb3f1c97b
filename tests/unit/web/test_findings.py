"""What the review says of a file, and what its buttons choose."""

from __future__ import annotations

from typing import Any

import pytest

from batches.files.findings import AddressColumn, EncodingChoice, Reading, SheetChoice, Slip
from batches.models import Batch, SharedAddresses
from batches.web.findings import Finding, make_findings

PARENTS = [
    AddressColumn(index=1, heading="E-Mail Mutter", count=9, is_used=True),
    AddressColumn(index=2, heading="E-Mail Vater", count=10),
]


def find(reading: Reading, *, shows_rows: bool = False, **batch: Any) -> list[Finding]:
    columns = ["Kind", "E-Mail Mutter", "E-Mail Vater"]
    made = {"columns": columns, "merge_fields": ["kind", "e_mail_vater"], "encoding": "cp1252"} | batch
    return make_findings(Batch(reading=reading.to_json(), **made), shows_rows=shows_rows)


def buttons(found: Finding) -> list[tuple[str, str, str]]:
    return [(choice.label, choice.name, choice.value) for choice in found.choices]


def test_nothing_is_said_when_nothing_is_in_doubt() -> None:
    assert find(Reading(header_line=1, address_columns=PARENTS[:1], sheet="A", sheets=[_sheet("A", 9)])) == []


def test_nothing_is_said_when_the_batch_came_from_no_file() -> None:
    assert make_findings(Batch(), shows_rows=False) == []


def test_other_column_and_both_are_offered_when_two_columns_hold_addresses() -> None:
    [found] = find(Reading(header_line=1, address_columns=PARENTS))
    assert found.text == "Two columns hold addresses. The mail goes to “E-Mail Mutter”."
    assert found.is_doubtful
    assert buttons(found) == [
        ("Use “E-Mail Vater”", "address_indexes", "2"),
        ("Both, one mail each", "address_indexes", "1,2"),
    ]


def test_each_column_alone_is_offered_when_all_are_used() -> None:
    used = [AddressColumn(index=column.index, heading=column.heading, count=9, is_used=True) for column in PARENTS]
    [found] = find(Reading(header_line=1, address_columns=used, chosen={"address_indexes": [1, 2]}))
    assert found.text.endswith("Each address in “E-Mail Mutter” and “E-Mail Vater” gets a mail of its own.")
    assert not found.is_doubtful
    assert [label for label, _, _ in buttons(found)] == ["Use “E-Mail Mutter” only", "Use “E-Mail Vater” only"]


def test_column_without_heading_is_called_by_its_number() -> None:
    columns = [*PARENTS, AddressColumn(index=3, heading="", count=1)]
    labels = [label for label, _, _ in buttons(find(Reading(header_line=1, address_columns=columns))[0])]
    assert labels == ["Use “E-Mail Vater”", "Use “column 4”", "All three, one mail each"]


def _sheet(name: str, count: int, *, is_hidden: bool = False) -> SheetChoice:
    return SheetChoice(name=name, is_hidden=is_hidden, address_count=count)


def test_other_sheets_are_offered_with_those_that_hold_addresses_first() -> None:
    sheets = [_sheet("Cover", 0), _sheet("Members", 9), _sheet("2025", 1), _sheet("Old", 8, is_hidden=True)]
    [found] = find(Reading(header_line=1, sheet="Members", sheets=sheets))
    assert found.text == "The list is the sheet “Members”. The file has 3 more sheets."
    assert buttons(found) == [
        ("Use “2025” (1 address)", "sheet", "2025"),
        ("Use “Old” (hidden, 8 addresses)", "sheet", "Old"),
        ("Use “Cover” (no addresses)", "sheet", "Cover"),
    ]
    assert found.is_doubtful


def test_sheet_is_no_doubt_when_no_other_holds_addresses_or_it_was_chosen() -> None:
    empty, full = [_sheet("A", 5), _sheet("B", 0)], [_sheet("A", 5), _sheet("B", 5)]
    assert not find(Reading(header_line=1, sheet="A", sheets=empty))[0].is_doubtful
    assert not find(Reading(header_line=1, sheet="A", sheets=full, chosen={"sheet": "A"}))[0].is_doubtful


def test_only_the_first_sheets_have_buttons_when_there_are_many() -> None:
    [found] = find(Reading(header_line=1, sheet="0", sheets=[_sheet(str(number), 1) for number in range(40)]))
    assert len(found.choices) == 12
    assert found.text.endswith("39 more sheets. The first 12 of them are here, all are in the form below.")


@pytest.mark.parametrize(
    ("skipped", "said"), [(1, "The line above was left out."), (3, "The 3 lines above were left out.")]
)
def test_line_of_the_headings_is_named_when_lines_are_above_it(skipped: int, said: str) -> None:
    [found] = find(Reading(header_line=skipped + 1, skipped_lines=skipped))
    assert found.text == f"The headings are in line {skipped + 1}. {said}"
    assert [(name, value) for _, name, value in buttons(found)] == [("header_row", "1"), ("header_row", "0")]


def test_first_line_is_offered_as_headings_when_none_were_found() -> None:
    [found] = find(Reading(), has_header=False, columns=["email", "column_2"])
    assert found.is_doubtful
    assert buttons(found) == [("Line 1 has the headings", "header_row", "1")]
    assert find(Reading(), has_header=False, columns=["email"]) == []
    assert find(Reading(), has_header=False, columns=["email", "name"]) == []  # as mail programs write a list


def test_way_back_is_offered_when_a_person_chose_the_first_line() -> None:
    [found] = find(Reading(header_line=1, chosen={"header_row": 1}))
    assert buttons(found) == [("There are no headings", "header_row", "0")]


def test_same_words_are_shown_in_both_encodings() -> None:
    rival = EncodingChoice(encoding="cp1254", samples=[["Þule", "Şule"]])
    [found] = find(Reading(header_line=1, encodings=[rival]))
    assert found.sample_names == ("Now: Western European (Windows-1252)", "Turkish (Windows-1254)")
    assert found.samples == [["Þule", "Şule"]]
    assert buttons(found) == [("Read it as Turkish (Windows-1254)", "encoding", "cp1254")]


def test_repair_is_offered_when_the_file_was_encoded_twice() -> None:
    rival = EncodingChoice(encoding="utf-8-twice", samples=[["ZoÃ«", "Zoë"]])
    [found] = find(Reading(header_line=1, encodings=[rival], is_encoded_twice=True))
    assert buttons(found) == [("Repair the names", "encoding", "utf-8-twice")]
    assert found.sample_names[1] == "Repaired"
    back = EncodingChoice(encoding="utf-8", samples=[["Zoë", "ZoÃ«"]])
    [repaired] = find(Reading(header_line=1, encodings=[back]), encoding="utf-8-twice")
    assert "They were repaired." in repaired.text
    assert buttons(repaired) == [("Leave the letters as in the file", "encoding", "utf-8")]
    [of_a_sheet] = find(Reading(header_line=1, is_encoded_twice=True))
    assert "Some letters look damaged" in of_a_sheet.text and not of_a_sheet.choices


@pytest.mark.parametrize(
    ("reading", "text", "choice"),
    [
        (Reading(hidden_count=1), "1 row is hidden in the sheet and is left out.", ("hidden_rows", "yes")),
        (Reading(hidden_count=12), "12 rows are hidden in the sheet and are left out.", ("hidden_rows", "yes")),
        (
            Reading(hidden_rows=True),
            "Rows that the sheet hides were taken too, as you chose.",
            ("hidden_rows", "no"),
        ),
        (
            Reading(split_count=1),
            "1 cell holds more than one address. No mail goes to these addresses.",
            ("split_cells", "yes"),
        ),
        (
            Reading(split_count=2, split_cells=True),
            "2 cells hold more than one address. Each of these addresses gets a mail of its own.",
            ("split_cells", "no"),
        ),
    ],
)
def test_choice_that_was_not_made_is_offered(reading: Reading, text: str, choice: tuple[str, str]) -> None:
    reading.header_line = 1
    [found] = find(reading)
    assert found.text == text
    assert [(name, value) for _, name, value in buttons(found)] == [choice]
    assert found.is_doubtful == (choice[1] == "yes")


@pytest.mark.parametrize("present", SharedAddresses)
def test_other_two_ways_are_offered_when_rows_share_an_address(present: SharedAddresses) -> None:
    [found] = find(Reading(header_line=1, shared_count=300), shared_addresses=present)
    assert found.text.startswith(
        "300 rows have an address that an earlier row has too, like two children of one parent."
    )
    assert {value for _, _, value in buttons(found)} == set(SharedAddresses.values) - {present}
    assert {name for _, name, _ in buttons(found)} == {"shared_addresses"}


def test_template_code_is_shown_when_rows_are_together_and_the_message_does_not_show_them() -> None:
    reading = Reading(header_line=1, shared_count=1)
    [found] = find(reading, shared_addresses=SharedAddresses.TOGETHER)
    assert found.is_doubtful and "The message shows only the first of them." in found.text
    assert found.code == "{% for row in rows %} {{ row.kind }} {% endfor %}"
    [shown] = find(reading, shared_addresses=SharedAddresses.TOGETHER, shows_rows=True)
    assert not shown.is_doubtful and not shown.code


def test_misspelt_domains_are_named_with_their_rows() -> None:
    slips = [
        Slip(domain="gamil.com", suggestion="gmail.com", count=12),
        Slip(domain="x.con", suggestion="x.com", count=1),
    ]
    [found] = find(Reading(header_line=1, slips=slips))
    assert "gamil.com instead of gmail.com, in 12 rows; x.con instead of x.com, in 1 row." in found.text
    many = [Slip(domain=f"{number}.con", suggestion=f"{number}.com", count=1) for number in range(8)]
    assert "; and 3 more domains." in find(Reading(header_line=1, slips=many))[0].text


def test_cleaned_addresses_are_counted_without_a_warning() -> None:
    [found] = find(Reading(header_line=1, cleaned_count=14))
    assert found.text.endswith("were removed from 14 addresses.")
    assert not found.is_doubtful
