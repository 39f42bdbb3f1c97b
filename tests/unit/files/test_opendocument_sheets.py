from __future__ import annotations

import pytest

from batches.files.errors import UnreadableFile
from batches.files.sheets import open_sheet
from tests.unit.files.spreadsheet_files import make_opendocument, opendocument_row, read_file

HEADER = opendocument_row("email", "x")
REPEATED = "table:number-rows-repeated="


def cell(attributes: str, text: str | None = None) -> str:
    inner = "" if text is None else f"<text:p>{text}</text:p>"
    return f"<table:table-cell {attributes}>{inner}</table:table-cell>"


def value(kind: str, name: str, stored: str, shown: str | None = None) -> str:
    return cell(f'office:value-type="{kind}" office:{name}="{stored}"', shown)


def text(inner: str) -> str:
    return f'<table:table-cell office:value-type="string">{inner}</table:table-cell>'


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (value("float", "value", "7", "007"), "007"),
        (value("float", "value", "7"), "7"),
        (value("float", "value", "1234567890123450", "1.23456789012345E+15"), "1234567890123450"),
        (value("float", "value", "12", "###"), "12"),
        (value("percentage", "value", "0.5", "50 %"), "50 %"),
        (value("currency", "value", "1234.5", "1.234,50 €"), "1.234,50 €"),
        (value("time", "time-value", "PT36H15M00S", "36:15"), "36:15"),
        (value("time", "time-value", "PT36H15M00S"), "36:15:00"),
        (value("time", "time-value", "P1DT12H15M00.5S"), "36:15:00"),
        (value("date", "date-value", "2026-03-31", "31.03.26"), "31.03.26"),
        (value("date", "date-value", "2026-03-31"), "2026-03-31"),
        (value("date", "date-value", "2026-03-31T00:00:00"), "2026-03-31"),
        (value("date", "date-value", "2026-03-31T10:00:00", "2026-03-31 10:00:00"), "2026-03-31 10:00:00"),
        (value("boolean", "boolean-value", "true", "WAHR"), "WAHR"),
        (value("boolean", "boolean-value", "true"), "TRUE"),
        (value("string", "string-value", "Ann"), "Ann"),
        (value("string", "string-value", "other", "Ann"), "Ann"),
        (text("<text:p>1 High St</text:p><text:p>Rome</text:p>"), "1 High St\nRome"),
        (text('<text:p>A<text:s text:c="2"/>b<text:tab/>c<text:line-break/>d</text:p>'), "A  b\tc\nd"),
        (text("\n <text:p><text:span>An</text:span><text:a>n</text:a></text:p>\n"), "Ann"),
        (text("<text:p><text:ruby>山田<text:ruby-text>ヤマダ</text:ruby-text></text:ruby></text:p>"), "山田"),
        (text("<office:annotation><text:p>Call first</text:p></office:annotation><text:p>Ann</text:p>"), "Ann"),
        (text("<text:p>Ann</text:p><drawing:frame><text:p>Box</text:p></drawing:frame>"), "Ann"),
    ],
)
def test_cell_is_as_the_program_shows_it(made: str, shown: str) -> None:
    row = opendocument_row("ann@example.org", made)
    assert read_file(make_opendocument(("A", HEADER + row)))[2] == ["ann@example.org", shown]


def test_cells_and_rows_keep_their_places_when_some_are_repeated_or_blank() -> None:
    rows = (
        HEADER
        + f'<table:table-row {REPEATED}"2"><table:table-cell table:number-columns-repeated="16384"/></table:table-row>'
        + "<table:table-row><table:table-cell/><table:covered-table-cell/>"
        + cell('office:value-type="string" table:number-columns-repeated="2"', "x")
        + "</table:table-row>"
        + opendocument_row("ann@example.org", attributes=f'{REPEATED}"2"')
        + f'<table:table-row {REPEATED}"1048000"><table:table-cell/></table:table-row>'
        + opendocument_row("bo@example.org")
    )
    assert read_file(make_opendocument(("A", rows))) == {
        1: ["email", "x"],
        4: ["", "", "x", "x"],
        5: ["ann@example.org"],
        6: ["ann@example.org"],
        1048007: ["bo@example.org"],
    }


def test_rest_is_one_rejected_row_when_a_row_is_repeated_a_million_times() -> None:
    rows = (
        HEADER + opendocument_row("ann@example.org", attributes=f'{REPEATED}"1000000"') + opendocument_row("bo@x.org")
    )
    found = read_file(make_opendocument(("A", rows)))
    assert len(found) == 1003
    assert found[1001] == ["ann@example.org"]
    assert found[1002] == (
        "Rows 1,002 to 1,000,001 are the same as the row before them, so they were not read. "
        "Delete them in the sheet if they are no recipients."
    )
    assert found[1000002] == ["bo@x.org"]


@pytest.mark.parametrize("visibility", ["collapse", "filter"])
def test_row_is_rejected_when_it_is_hidden_or_filtered_out(visibility: str) -> None:
    rows = (
        HEADER
        + opendocument_row("ann@example.org")
        + opendocument_row("gone@example.org", attributes=f'table:visibility="{visibility}" {REPEATED}"2"')
    )
    found = read_file(make_opendocument(("A", rows)))
    assert found[2] == ["ann@example.org"]
    assert all("hidden in the sheet" in found[number] for number in (3, 4))
    taken = read_file(make_opendocument(("A", rows)), hidden_rows=True)
    assert taken[3] == taken[4] == ["gone@example.org"]


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (cell('table:formula="of:=A1"'), "Cell B2 holds a formula without its result"),
        (cell('table:formula="of:=A1" office:value-type="float"'), "Cell B2 holds a formula without its result"),
        (cell('table:formula="of:=A1" office:value-type="string" calcext:value-type="error"', "#N/A"), "error #N/A"),
        (cell('table:formula="of:=A1" office:value-type="string"', "#REF!"), "error #REF!"),
        (cell('table:formula="of:=A1" office:value-type="string"', "Err:508"), "error Err:508"),
    ],
)
def test_row_is_rejected_when_a_formula_has_no_result_or_an_error(made: str, says: str) -> None:
    assert says in read_file(make_opendocument(("A", HEADER + opendocument_row("ann@example.org", made))))[2]


@pytest.mark.parametrize(
    "made",
    [
        cell('table:formula="of:=A1" office:value-type="string" office:string-value=""'),
        cell('table:formula="of:=A1" office:value-type="string"', ""),
        cell(""),
    ],
)
def test_cell_is_blank_when_it_shows_nothing(made: str) -> None:
    found = read_file(make_opendocument(("A", HEADER + opendocument_row("ann@example.org", made))))
    assert found[2] == ["ann@example.org"]


def test_table_is_left_out_when_it_is_a_copy_of_another_file() -> None:
    rows = HEADER + opendocument_row("old@example.org") + opendocument_row("older@example.org")
    file = make_opendocument(
        ("'file:///tmp/other.ods'#$Members", rows), ("Members", HEADER + opendocument_row("a@b.org"))
    )
    with open_sheet(file) as sheet:
        assert [each.name for each in sheet.sheets] == ["Members"]


def test_far_cell_costs_one_row_when_columns_are_repeated() -> None:
    rows = opendocument_row("email", '<table:table-cell table:number-columns-repeated="2000000000"/>')
    assert read_file(make_opendocument(("A", rows))) == {1: ["email"]}
    rows = opendocument_row("email", cell('table:number-columns-repeated="2000000000" office:value-type="string"', "x"))
    with pytest.raises(UnreadableFile, match="which no sheet has"), open_sheet(make_opendocument(("A", rows))):
        pass


def test_file_is_refused_when_one_cell_has_millions_of_spaces() -> None:
    rows = HEADER + opendocument_row("a@example.org", "x" + '<text:s text:c="1000"/>' * 20_000)
    with pytest.raises(UnreadableFile, match="millions of characters"), open_sheet(make_opendocument(("A", rows))):
        pass


def test_spaces_between_elements_cost_nothing_when_there_are_many() -> None:
    blank = "<table:table-row>\n <table:table-cell/>\n <table:table-cell/>\n </table:table-row>\n" * 300_000
    assert read_file(make_opendocument(("A", HEADER + blank))) == {1: ["email", "x"]}


def test_file_is_refused_when_it_is_cut_off() -> None:
    file = make_opendocument(("A", HEADER + "<table:table-row><table:table-cell>"))
    with pytest.raises(UnreadableFile, match="can't be read"), open_sheet(file):
        pass
