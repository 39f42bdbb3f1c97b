from __future__ import annotations

import io
from pathlib import Path

import pytest

from batches.files.errors import UnreadableFile
from batches.files.sheets import open_sheet
from tests.unit.files.spreadsheet_files import (
    Sheet,
    excel_members,
    excel_rows,
    make_opendocument,
    opendocument_row,
    read_all,
    read_file,
    zip_members,
)

DATA = Path(__file__).parents[2] / "data"
OLD = DATA / "sheets" / "members.xls"
"""Three sheets: "Read me", "Members" from row 3 with a hidden row, an error and formats, and "Old", which is hidden."""

TITLE: Sheet = ("Read me", excel_rows(["This workbook has our members on the second sheet"]))
CONTACT: Sheet = ("Contact", excel_rows(["Questions to"], ["office@example.org"]))
CONTACT_UNDER_HEADING: Sheet = ("Office", excel_rows(["E-Mail"], ["office@example.org"]))
COMMITTEE: Sheet = ("Committee", excel_rows(["Chair", "chair@example.org"], ["Cashier", "cash@example.org"]))
MEMBERS: Sheet = (
    "Members",
    excel_rows(["Members 2026"], ["Name", "E-Mail"], ["Ann", "ann@example.org"], ["Bo", "bo@example.org"]),
)
BARE: Sheet = ("Bare", excel_rows(["ann@example.org"], ["bo@example.org"]))
LAST_YEAR: Sheet = ("2025", MEMBERS[1].replace("ann@", "old@"))
BLANK: Sheet = ("Blank", "")


def chosen(*sheets: Sheet, hidden: str = "", sheet: str | None = None) -> str:
    file = zip_members(excel_members(*sheets, states={hidden: "hidden"}))
    with open_sheet(file, sheet=sheet) as opened:
        return opened.name


@pytest.mark.parametrize(
    ("sheets", "name"),
    [
        ([TITLE, MEMBERS], "Members"),
        ([CONTACT, MEMBERS], "Members"),
        ([CONTACT_UNDER_HEADING, MEMBERS], "Members"),
        ([COMMITTEE, MEMBERS], "Members"),
        ([BLANK, MEMBERS], "Members"),
        ([LAST_YEAR, MEMBERS], "2025"),
        ([CONTACT, BARE, COMMITTEE], "Bare"),
        ([TITLE, CONTACT], "Contact"),
        ([CONTACT, CONTACT_UNDER_HEADING], "Office"),
        ([BLANK, TITLE], "Read me"),
    ],
)
def test_first_sheet_that_looks_most_like_a_list_is_read(sheets: list[Sheet], name: str) -> None:
    named = [(f"{number}", rows) for number, (_, rows) in enumerate(sheets)]
    wanted = [name for name, _ in sheets].index(name)
    assert chosen(*named) == f"{wanted}"


def test_hidden_sheet_is_read_only_when_a_person_chooses_it() -> None:
    assert chosen(LAST_YEAR, MEMBERS, hidden="2025") == "Members"
    assert chosen(LAST_YEAR, MEMBERS, hidden="2025", sheet="2025") == "2025"
    assert chosen(CONTACT, MEMBERS, sheet="Contact") == "Contact"


def test_all_sheets_are_named_with_their_addresses_when_one_is_read() -> None:
    file = zip_members(excel_members(TITLE, MEMBERS, LAST_YEAR, BLANK, states={"2025": "veryHidden"}))
    with open_sheet(file) as opened:
        assert [(each.name, each.is_hidden, each.address_count) for each in opened.sheets] == [
            ("Read me", False, 0),
            ("Members", False, 2),
            ("2025", True, 2),
            ("Blank", False, 0),
        ]


def test_chart_sheet_is_no_sheet_when_a_workbook_has_one() -> None:
    members = excel_members(("Chart", excel_rows(["a@example.org"], ["b@example.org"])), MEMBERS)
    relations = "xl/_rels/workbook.xml.rels"
    members[relations] = members[relations].replace("/worksheet", "/chartsheet", 1)
    with open_sheet(zip_members(members)) as opened:
        assert [each.name for each in opened.sheets] == ["Members"]


def test_rows_of_one_sheet_are_read_when_a_better_one_follows() -> None:
    long = ("Addresses", excel_rows(*[[f"a{number}@example.org"] for number in range(500)]))
    found = read_file(zip_members(excel_members(long, MEMBERS)))
    assert found == {
        1: ["Members 2026"],
        2: ["Name", "E-Mail"],
        3: ["Ann", "ann@example.org"],
        4: ["Bo", "bo@example.org"],
    }


def test_second_table_is_read_when_it_has_the_list_of_an_opendocument_file() -> None:
    styles = (
        '<office:automatic-styles><style:style style:name="t1" style:family="table"><style:table-properties '
        'table:display="false"/></style:style></office:automatic-styles>'
    )
    members = opendocument_row("email") + opendocument_row("ann@example.org") + opendocument_row("bo@example.org")
    tables = [("Read me", opendocument_row("Hello")), ("Old", members), ("Members", members)]
    with open_sheet(make_opendocument(*tables, styles=styles, table_styles={"Old": "t1"})) as opened:
        assert opened.name == "Members"
        assert [(each.name, each.is_hidden) for each in opened.sheets] == [
            ("Read me", False),
            ("Old", True),
            ("Members", False),
        ]
    with open_sheet(make_opendocument(*tables)) as opened:
        assert opened.name == "Old"


@pytest.mark.parametrize(
    ("sheet", "says"),
    [
        ("Memebrs", r'has no sheet "Memebrs"\. Choose one that it has: "Members", "Blank"'),
        ("Blank", r'The sheet "Blank" has no rows\. Choose another sheet'),
    ],
)
def test_sheet_is_refused_by_its_name_when_it_has_no_rows(sheet: str, says: str) -> None:
    with pytest.raises(UnreadableFile, match=says):
        chosen(MEMBERS, BLANK, sheet=sheet)


def test_file_is_refused_when_its_only_sheet_is_hidden() -> None:
    with pytest.raises(UnreadableFile, match="no visible sheet with rows"):
        chosen(MEMBERS, hidden="Members")


def test_old_excel_file_is_read_as_it_is_shown() -> None:
    with OLD.open("rb") as file, open_sheet(file) as opened:
        assert [(each.name, each.is_hidden, each.address_count) for each in opened.sheets] == [
            ("Read me", False, 0),
            ("Members", False, 4),
            ("Old", True, 2),
        ]
        assert read_all(opened) == {
            3: ["E-Mail", "name", "zip", "hours", "joined", "paid"],
            4: ["ann@example.org", "Ann", "01067", "36:15", "31.03.2026", "TRUE"],
            5: "The row is hidden in the sheet. Show it there, or choose to take hidden rows too.",
            6: ["bo@example.org", "Bo", "99999", "6:00", "31.03.2026", "FALSE"],
            7: "Cell B7 shows the error #N/A. Correct it in the sheet, or replace it by the right value.",
        }


@pytest.mark.parametrize("path", [OLD, DATA / "csv" / "people.xlsx", DATA / "csv" / "people.ods"])
@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_file_is_refused_in_a_sentence_when_bytes_of_it_are_damaged(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes()[: int(path.stat().st_size * place)])
    with pytest.raises(UnreadableFile, match=r"damaged|can't be read"), open_sheet(io.BytesIO(data)):
        pass
