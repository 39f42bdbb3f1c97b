from __future__ import annotations

import io
import random
from collections.abc import Callable

import pytest

from batches.files.errors import UnreadableFile
from batches.files.sheets import open_sheet
from tests.unit.files.spreadsheet_files import (
    MAIN,
    excel_members,
    excel_rows,
    make_excel,
    read_all,
    read_file,
    zip_members,
)

LIST = excel_rows(["email", "name"], ["ann@example.org", "Ann"])
AS_LISTED = {1: ["email", "name"], 2: ["ann@example.org", "Ann"]}
Members = dict[str, str]


def rename(members: Members, change: Callable[[str], str]) -> Members:
    return {change(name): text for name, text in members.items()}


def replace(members: Members, old: str, new: str) -> Members:
    return {name: text.replace(old, new) for name, text in members.items()}


def shared(*strings: str) -> Members:
    """Make a list whose header and names are shared strings: the first two are its header."""
    rows = '<row><c t="s"><v>0</v></c><c t="s"><v>1</v></c></row>' + "".join(
        f'<row><c t="inlineStr"><is><t>a{n}@example.org</t></is></c><c t="s"><v>{n}</v></c></row>'
        for n in range(2, len(strings))
    )
    return excel_members(("A", rows), strings="".join(f"<si>{string}</si>" for string in strings))


@pytest.mark.parametrize(
    "members",
    [
        pytest.param(rename(excel_members(("A", LIST)), lambda name: name.replace("/", "\\")), id="backslashes"),
        pytest.param(rename(excel_members(("A", LIST)), str.upper), id="upper-case"),
        pytest.param(
            replace(excel_members(("A", LIST)), 'Target="worksheets/', 'Target="/xl/worksheets/'), id="absolute"
        ),
        pytest.param(
            replace(
                rename(excel_members(("A", LIST)), lambda name: name.removeprefix("xl/")), '"xl/workbook', '"workbook'
            ),
            id="workbook-at-root",
        ),
        pytest.param(
            {name: text for name, text in excel_members(("A", LIST)).items() if name != "_rels/.rels"}, id="no-rels"
        ),
        pytest.param(
            {name: text for name, text in excel_members(("A", LIST)).items() if "styles" not in name}, id="no-styles"
        ),
        pytest.param(
            replace(excel_members(("A", LIST)), MAIN, "http://purl.oclc.org/ooxml/spreadsheetml/main"), id="strict"
        ),
        pytest.param(
            replace(excel_members(("A", LIST)), "<sheetData>", '<dimension ref="A1:A1"/><sheetData>'),
            id="false-dimension",
        ),
        pytest.param(
            replace(
                excel_members(("A", LIST)), "</sheetData>", "</sheetData><extLst><row><c><v>9</v></c></row></extLst>"
            ),
            id="rows-elsewhere",
        ),
    ],
)
def test_rows_are_read_when_a_program_writes_the_archive_in_its_own_way(members: Members) -> None:
    assert read_file(zip_members(members)) == AS_LISTED


def test_rows_are_read_when_the_elements_have_a_prefix() -> None:
    members = excel_members(("A", LIST))
    sheet = members["xl/worksheets/sheet1.xml"]
    for name in ("worksheet", "sheetData", "row", "c", "is", "t"):
        sheet = sheet.replace(f"<{name} ", f"<x:{name} ").replace(f"<{name}>", f"<x:{name}>")
        sheet = sheet.replace(f"</{name}>", f"</x:{name}>")
    members["xl/worksheets/sheet1.xml"] = sheet.replace("xmlns=", "xmlns:x=")
    assert read_file(zip_members(members)) == AS_LISTED


@pytest.mark.parametrize(
    ("string", "shown"),
    [
        ("<t>Ann</t>", "Ann"),
        ("<r><rPr><b/></rPr><t>An</t></r>\n <r><t>n</t></r>", "Ann"),
        ("<t>山田</t><rPh sb='0' eb='2'><t>ヤマダ</t></rPh><phoneticPr fontId='1'/>", "山田"),
        ("<t xml:space='preserve'> Ann </t>", " Ann "),
        ("<t>Line_x000D_\nnext _x0041_ x_y</t>", "Line\r\nnext A x_y"),
        ("<t>Tom &amp; Ann &#228;</t>", "Tom & Ann ä"),
    ],
)
def test_text_is_as_shown_when_it_is_a_shared_or_inline_string(string: str, shown: str) -> None:
    rows = read_file(zip_members(shared("<t>email</t>", "<t>name</t>", string)))
    inline = read_file(make_excel(["email", "name"], ["ann@example.org", f'<c t="inlineStr"><is>{string}</is></c>']))
    assert rows[2] == ["a2@example.org", shown]
    assert inline[2] == ["ann@example.org", shown]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ('<c t="b"><v>1</v></c>', "TRUE"),
        ('<c t="b"><v>0</v></c>', "FALSE"),
        ('<c t="str"><f>A1</f><v>Ann</v></c>', "Ann"),
        ('<c t="d"><v>2026-03-31T00:00:00</v></c>', "2026-03-31"),
        ('<c t="d"><v>2026-03-31T10:00:00</v></c>', "2026-03-31 10:00:00"),
        ("<c><v>1.23E+3</v></c>", "1230"),
        ("<c><v>-0.5</v></c>", "-0.5"),
        ("<c><v>1234567890123456</v></c>", "1234567890123460"),
        ("<c><v>007</v></c>", "7"),
        ('<c s="1"><v>1.510416666666667</v></c>', "36:15"),
        ('<c s="1" t="str"><f>A1</f><v>Ann</v></c>', "Ann"),
        ('<c s="2"><v>0</v></c>', "none"),
        ('<c s="2" t="inlineStr"><is><t>Ann</t></is></c>', "Dr. Ann"),
        ("<c><f>B9*2</f><v>0</v></c>", "0"),
    ],
)
def test_cell_is_as_excel_shows_it_when_it_has_a_type_and_a_format(cell: str, shown: str) -> None:
    file = make_excel(["email", "x"], ["ann@example.org", cell], codes=["[h]:mm", '0;-0;"none";"Dr. "@'])
    assert read_file(file)[2] == ["ann@example.org", shown]


@pytest.mark.parametrize(
    ("style", "shown"), [("14", "2026-03-31"), ("22", "2026-03-31 18:00:00"), ("46", "1106706:00:00")]
)
def test_date_is_shown_when_the_format_is_one_that_files_do_not_spell_out(style: str, shown: str) -> None:
    members = excel_members(
        ("A", excel_rows(["email", "x"], ["a@example.org", '<c s="1"><v>46112.75</v></c>'])), codes=["0"]
    )
    members["xl/styles.xml"] = members["xl/styles.xml"].replace('<xf numFmtId="164"/>', f'<xf numFmtId="{style}"/>')
    assert read_file(zip_members(members))[2] == ["a@example.org", shown]


def test_date_is_four_years_later_when_the_workbook_counts_from_1904() -> None:
    rows = excel_rows(["email", "x"], ["a@example.org", '<c s="1"><v>44650</v></c>'])
    file = zip_members(excel_members(("A", rows), codes=["yyyy-mm-dd"], more='<workbookPr date1904="1"/>'))
    assert read_file(file)[2] == ["a@example.org", "2026-03-31"]


@pytest.mark.parametrize(
    ("cell", "more"),
    [
        ("<c><f>Data!A2</f></c>", ""),
        ("<c><f>Data!A2</f><v></v></c>", ""),
        ("<c><f>Data!A2</f><v/></c>", ""),
        ('<c t="str"><f>Data!A2</f></c>', ""),
        ('<c><f t="shared" si="0"/></c>', ""),
        ("<c><f>Data!A2</f><v>0</v></c>", '<calcPr calcId="124519" fullCalcOnLoad="1"/>'),
    ],
)
def test_row_is_rejected_when_a_formula_has_no_result(cell: str, more: str) -> None:
    rows = excel_rows(["email", "name"], [cell, cell], ["bo@example.org", "Bo"], ["cy@example.org", cell])
    found = read_file(zip_members(excel_members(("A", rows), more=more)))
    assert found == {
        1: ["email", "name"],
        2: "Cell A2 holds a formula without its result. "
        "Open the file in a spreadsheet program, save it, and upload it again.",
        3: ["bo@example.org", "Bo"],
        4: "Cell B4 holds a formula without its result. "
        "Open the file in a spreadsheet program, save it, and upload it again.",
    }


@pytest.mark.parametrize("cell", ['<c t="str"><f>""</f><v></v></c>', '<c t="str"><f>""</f><v/></c>'])
def test_cell_is_blank_when_the_result_of_its_formula_is_no_text(cell: str) -> None:
    assert read_file(make_excel(["email", "name"], ["ann@example.org", cell]))[2] == ["ann@example.org"]


def test_row_is_rejected_when_a_cell_shows_an_error() -> None:
    error = '<c t="e"><f>VLOOKUP(A2,B:B,1)</f><v>#N/A</v></c>'
    found = read_file(make_excel(["email", "name"], ["ann@example.org", error], ["bo@example.org", "Bo"]))
    assert found[2] == "Cell B2 shows the error #N/A. Correct it in the sheet, or replace it by the right value."
    assert found[3] == ["bo@example.org", "Bo"]


def test_row_is_rejected_when_a_cell_is_longer_than_in_a_csv_file() -> None:
    found = read_file(
        make_excel(["email", "name"], ["ann@example.org", "x" * 131_073], ["bo@example.org", "x" * 131_072])
    )
    assert found[2] == "Cell B2 has more characters than a cell may have. Shorten it."
    assert found[3] == ["bo@example.org", "x" * 131_072]


def test_hidden_row_is_rejected_until_a_person_takes_it() -> None:
    rows = [["email", "name"], ["ann@example.org", "Ann"], ["gone@example.org", "Gone"], ["bo@example.org", "Bo"]]
    found = read_file(make_excel(*rows, hidden=[3]))
    assert found[3] == "The row is hidden in the sheet. Show it there, or choose to take hidden rows too."
    assert found[4] == ["bo@example.org", "Bo"]
    assert read_file(make_excel(*rows, hidden=[3]), hidden_rows=True)[3] == ["gone@example.org", "Gone"]


@pytest.mark.parametrize("reference", ["XFE1", "ZZZZZZ1", "ÄÖ1"])
def test_sheet_is_refused_when_a_cell_is_in_no_column(reference: str) -> None:
    file = zip_members(excel_members(("A", f'<row><c r="{reference}"><v>1</v></c></row>')))
    with pytest.raises(UnreadableFile, match="which no sheet has"), open_sheet(file):
        pass


def test_entities_are_refused_when_a_member_declares_them() -> None:
    members = excel_members(("A", LIST))
    members["xl/sharedStrings.xml"] = '<!DOCTYPE sst [<!ENTITY a "aaaa">]><sst><si><t>&a;</t></si></sst>'
    with pytest.raises(UnreadableFile, match="declares entities"), open_sheet(zip_members(members)):
        pass


def test_text_is_limited_when_a_small_file_repeats_a_long_one() -> None:
    rows = "".join(
        f'<row><c t="inlineStr"><is><t>a{n}@example.org</t></is></c><c t="s"><v>0</v></c></row>' for n in range(1000)
    )
    file = zip_members(excel_members(("Members", rows), strings=f"<si><t>{'x' * 100_000}</t></si>"))
    with (
        pytest.raises(UnreadableFile, match='The rows of the sheet "Members" are far longer than the file'),
        open_sheet(file),
    ):
        pass


@pytest.mark.parametrize("column", ["Z", "AN", "XFD"])
def test_far_blank_cell_costs_nothing(column: str) -> None:
    far = f'<row r="1048576"><c r="{column}1048576" t="inlineStr"><is><t> </t></is></c></row>'
    with open_sheet(zip_members(excel_members(("A", LIST + far)))) as sheet:
        assert len(sheet.rows.read()) < 100


@pytest.mark.parametrize(
    ("rows", "strings", "codes", "named"),
    [
        (LIST + " " * 20_000_000 + "<row></row>", "", (), "millions of characters"),
        (LIST, "<si>" + " " * 20_000_000 + "</si>", (), "millions of characters"),
        (LIST + '<row r="1048576"/><row/>', "", (), "row 1048577"),
        (LIST, "", [f"0.{n}" for n in range(10_001)], "10,000 number formats"),
    ],
)
def test_small_file_is_refused_when_reading_it_would_cost_far_more(
    rows: str, strings: str, codes: list[str], named: str
) -> None:
    file = zip_members(excel_members(("A", rows), strings=strings, codes=codes))
    with pytest.raises(UnreadableFile, match=named), open_sheet(file):
        pass


def test_member_is_read_once_when_many_sheets_name_it() -> None:
    members = excel_members(("A", LIST), ("B", LIST))
    members = replace(members, "worksheets/sheet2.xml", "worksheets/sheet1.xml")
    with open_sheet(zip_members(members)) as sheet:
        assert [each.name for each in sheet.sheets] == ["A"]


def test_spaces_between_elements_cost_nothing_when_there_are_many() -> None:
    blank = "<row>\n <c/>\n <c/>\n </row>\n" * 300_000
    with open_sheet(zip_members(excel_members(("A", LIST + blank)))) as sheet:
        assert read_all(sheet) == AS_LISTED


def test_file_is_refused_when_a_member_is_cut_off() -> None:
    members = excel_members(("A", LIST))
    members["xl/worksheets/sheet1.xml"] = members["xl/worksheets/sheet1.xml"][:-60]
    with pytest.raises(UnreadableFile, match="can't be read"), open_sheet(zip_members(members)):
        pass


def test_file_is_refused_when_it_is_locked_or_no_spreadsheet() -> None:
    with pytest.raises(UnreadableFile, match="can't be read"), open_sheet(io.BytesIO(b"PK\x05\x06" + bytes(18))):
        pass


def test_rows_are_the_same_when_the_parser_reads_all_of_them() -> None:
    # A comment in the sheet or among the strings ends the faster reading of plain rows and strings.
    chance = random.Random(11)
    cells = (
        '<c r="{0}" t="s"><v>{1}</v></c>',
        '<c r="{0}" s="1" t="s"><v>{1}</v></c>',
        '<c r="{0}"><v>{1}.50</v></c>',
        '<c r="{0}" s="1"><v>{1}</v></c>',
        '<c r="{0}" s="2"><v>{1}</v></c>',
        '<c r="{0}" s="2"/>',
        '<c r="{0}"><f>A1</f></c>',
        '<c r="{0}" t="b"><v>1</v></c>',
        '<c r="{0}" t="str"><f>A1</f><v>&lt;{1}&gt;</v></c>',
        '<c r="{0}" t="inlineStr"><is><t>in {1}</t></is></c>',
        '<c r="{0}" t="e"><v>#REF!</v></c>',
    )
    weights = [40, 10, 20, 10, 10, 10, 1, 1, 1, 1, 1]
    rows = ""
    for number in sorted(chance.sample(range(1, 9000), 3000)):
        made = (
            chance.choices(cells, weights)[0].format(f"{letter}{number}", chance.randrange(200))
            for letter in ("A", "B", "C", "F", "AB")
            if chance.random() < 0.9
        )
        attributes = chance.choice(['spans="1:6"', 'spans="1:6" x14ac:dyDescent="0.25"', 'hidden="1"', 's="3" ht="0"'])
        rows += f'<row r="{number}" {attributes}>{"".join(made)}</row>' + chance.choice(["", "\n"])
    kinds = ("<t>é{0}</t>", "<t> {0} &amp;</t>", "<r><t>a</t></r><r><t>{0}</t></r>", "<t/>")
    strings = "".join(f"<si>{chance.choice(kinds).format(number)}</si>" for number in range(200))
    members = excel_members(("A", rows), strings=strings, codes=["000;-0;0;@@", "[h]:mm"])
    fast = read_file(zip_members(members))
    for name, mark in (("xl/worksheets/sheet1.xml", "<sheetData>"), ("xl/sharedStrings.xml", "<si>")):
        members[name] = members[name].replace(mark, f"<!-- -->{mark}", 1)
    assert len(fast) > 2500
    assert fast == read_file(zip_members(members))


def test_row_counts_for_nothing_when_it_is_in_a_comment() -> None:
    gone = '<row r="3"><c r="A3" t="s"><v>0</v></c></row>'
    filler = "".join(f'<row r="{number}"><c r="A{number}"><v>1</v></c></row>' for number in range(10, 5000))
    members = excel_members(("A", LIST + filler + f"<!--{gone.replace('3', '6000')}-->"), strings="<si><t>x</t></si>")
    assert 6000 not in read_file(zip_members(members))
