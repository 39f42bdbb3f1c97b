"""Cases of spreadsheets: which sheet, which rows, what a cell shows, and nothing in great amount."""

from __future__ import annotations

from tests.acceptance.lists.cases import AB, ABC, BO, ListCase, addresses
from tests.acceptance.lists.cases import make_case as case
from tests.acceptance.lists.files import (
    Blank,
    Cell,
    Formula,
    Sheet,
    Styled,
    StyledText,
    make_ods,
    make_ods_row,
    make_ods_table,
    make_xlsx,
    name_column,
)

XLSX, ODS = "list.xlsx", "list.ods"
PEOPLE: list[list[Cell]] = [["email", "name"], ["ann@example.org", "Ann"], ["bo@example.org", "Bo"]]
OFFICE: list[list[Cell]] = [["Contact"], ["office@example.com"]]
OTHERS: list[list[Cell]] = [["email", "name"], ["old@example.org", "Old"], ["cy@example.org", "Cy"]]
GONE: list[Cell] = ["gone@example.org", "Gone"]
ODS_PEOPLE = [make_ods_row(*row) for row in (("email", "name"), ("ann@example.org", "Ann"), ("bo@example.org", "Bo"))]
FILTERED, COLLAPSED = ' table:visibility="filter"', ' table:visibility="collapse"'

WHICH_SHEET = [
    case(
        "cover",
        make_xlsx(
            Sheet(name="Readme", rows=[["This workbook has our members on the second sheet"]]),
            Sheet(name="Members", rows=PEOPLE),
        ),
        AB,
        filename=XLSX,
        found={"sheet": "Members", "sheets": 2},
    ),
    case(
        "cover-with-address",
        make_xlsx(Sheet(name="Readme", rows=OFFICE), Sheet(name="Members", rows=PEOPLE)),
        AB,
        filename=XLSX,
        found={"sheet": "Members", "sheets": 2},
    ),
    case(
        "filtered",
        make_xlsx(Sheet(rows=[*PEOPLE, GONE], hidden_rows=frozenset([4]))),
        AB,
        rejected=1,
        says=("(?i)hidden",),
        filename=XLSX,
        found={"hiddenCount": 1},
    ),
    case(
        "last-year-first",
        make_xlsx(Sheet(name="2025", rows=OTHERS), Sheet(name="2026", rows=PEOPLE)),
        addresses("old", "cy"),
        filename=XLSX,
        found={"sheet": "2025", "sheets": 2},
    ),
    case(
        "hidden-sheet-first",
        make_xlsx(Sheet(name="Old", rows=OTHERS, state="hidden"), Sheet(name="New", rows=PEOPLE)),
        AB,
        filename=XLSX,
        found={"sheet": "New", "sheets": 2},
    ),
    case(
        "very-hidden-sheet-first",
        make_xlsx(Sheet(name="Data", rows=OTHERS, state="veryHidden"), Sheet(name="New", rows=PEOPLE)),
        AB,
        filename=XLSX,
        found={"sheet": "New"},
    ),
    case(
        "two-empty-sheets-first",
        make_xlsx(Sheet(name="A", rows=[]), Sheet(name="B", rows=[]), Sheet(name="C", rows=PEOPLE)),
        AB,
        filename=XLSX,
        found={"sheet": "C"},
    ),
    case(
        "several-filtered",
        make_xlsx(Sheet(rows=[PEOPLE[0], GONE, PEOPLE[1], GONE, GONE, PEOPLE[2]], hidden_rows=frozenset([2, 4, 5]))),
        AB,
        rejected=3,
        filename=XLSX,
        found={"hiddenCount": 3},
    ),
    case(
        "ods-cover",
        make_ods(
            make_ods_table(make_ods_row("Export Summary"), name="Summary"), make_ods_table(*ODS_PEOPLE, name="List")
        ),
        AB,
        filename=ODS,
        found={"sheet": "List", "sheets": 2},
    ),
    case(
        "ods-filtered",
        make_ods(
            make_ods_table(
                *ODS_PEOPLE,
                make_ods_row("gone@example.org", "Gone", attributes=FILTERED),
                make_ods_row("left@example.org", "Left", attributes=COLLAPSED),
            )
        ),
        AB,
        rejected=2,
        says=("(?i)hidden",),
        filename=ODS,
        found={"hiddenCount": 2},
    ),
    case(
        "no-sheet-with-addresses",
        make_xlsx(
            Sheet(name="Plan", rows=[["What", "When"], ["Party", "May"]]), Sheet(name="Costs", rows=[["Sum"], [5]])
        ),
        None,
        says=("(?i)address",),
        filename=XLSX,
    ),
]


def _shown(cell: Cell, shown: str, *, name: str, formats: tuple[str, ...] = ()) -> ListCase:
    content = make_xlsx(Sheet(rows=[["email", "name"], ["ann@example.org", cell]]), formats=formats)
    return case(name, content, {"ann@example.org": {"name": shown}}, filename=XLSX)


def _without_result(name: str, *cells: Cell, settings: str = "", says: str = "(?i)formula") -> ListCase:
    """Ann's row has a formula without its result, so it is rejected. Bo's row is good."""
    content = make_xlsx(Sheet(rows=[["email", "name"], cells, ["bo@example.org", "Bo"]]), settings=settings)
    return case(name, content, BO, rejected=1, says=(says,), filename=XLSX)


ODS_FAULTS = {
    "formula-without-result": '<table:table-cell table:formula="of:=[.A1]"/>',
    "error-value": '<table:table-cell table:formula="of:=1/0" office:value-type="string" office:string-value="">'
    "<text:p>#DIV/0!</text:p></table:table-cell>",
}
RECALCULATE = '<calcPr fullCalcOnLoad="1"/>'
SHOWN = [
    _shown(Styled(number=1.510416666666667), "36:15", name="hours", formats=("[h]:mm",)),
    _shown(Styled(number=1234567890123450), "1234567890123450", name="sixteen-digits", formats=("0",)),
    _without_result("both-formulas", Formula(source="Data!A2"), Formula(source="Data!B2")),
    _without_result("name-is-a-formula", "ann@example.org", Formula(source="A1")),
    _without_result("address-is-a-formula", Formula(source="A1"), "Ann"),
    _without_result("stored-zero", "ann@example.org", Formula(source="A1", result="0"), settings=RECALCULATE),
    _without_result(
        "error-value", "ann@example.org", Formula(source="A1", result="#N/A", kind="e"), says="(?i)#N/A|error"
    ),
    _without_result("error-address", Formula(source="A1", result="#REF!", kind="e"), "Ann", says="(?i)#REF!|error"),
    _shown(Formula(source="B9", result="Ann", kind="str"), "Ann", name="formula-with-result"),
    _shown(Styled(number=0.0628472222222222), "90:30", name="minutes", formats=("[mm]:ss",)),
    _shown(Styled(number=0), "none", name="third-section", formats=('0;-0;"none"',)),
    _shown(StyledText(text="Ann"), "Mr. Ann", name="text-section", formats=('0;-0;0;"Mr. "@',)),
    _shown(Styled(number=-5), "minus 5", name="second-section", formats=('0;"minus "0',)),
    _shown(Styled(number=42), "00042", name="zeros", formats=("00000",)),
    _shown(Styled(number=0.25), "25%", name="percent", formats=("0%",)),
    _shown(Styled(number=46112), "2026-03-31", name="date", formats=("dd/mm/yyyy",)),
    _shown(Styled(number=24.5), "24.50 €", name="euro", formats=('0.00 "€"',)),
    _shown(Styled(number=5551234567), "555-123-4567", name="phone", formats=("000-000-0000",)),
    _shown(Styled(number=0.5), "12:00", name="time", formats=("hh:mm",)),
    _shown(Styled(number=0), "", name="blank-section", formats=("0;-0;;@",)),
    _shown("  Ann  ", "Ann", name="blanks-around"),
    *(
        case(
            f"ods-{name}",
            make_ods(make_ods_table(*ODS_PEOPLE[:1], make_ods_row("ann@example.org", cell), ODS_PEOPLE[2])),
            BO,
            rejected=1,
            says=("(?i)formula|DIV",),
            filename=ODS,
        )
        for name, cell in ODS_FAULTS.items()
    ),
    case(
        "ods-hours",
        make_ods(
            make_ods_table(
                make_ods_row("email", "name"),
                make_ods_row(
                    "ann@example.org",
                    '<table:table-cell office:value-type="time" office:time-value="PT36H15M00S"><text:p>36:15</text:p>'
                    "</table:table-cell>",
                ),
            )
        ),
        {"ann@example.org": {"name": "36:15"}},
        filename=ODS,
    ),
]

SHARED = Formula(source="", result="0", kind="s")
SHARED_ROWS: list[list[Cell]] = [[f"a{number}@example.org", SHARED] for number in range(1000)]
REPEATED_BLANK = (
    '<table:table-row table:number-rows-repeated="1048000"><table:table-cell table:number-columns-repeated="1024"/>'
    "</table:table-row>"
)
GREAT_AMOUNT = [
    case("column-700", make_xlsx(Sheet(rows=PEOPLE, far_cells={f"{name_column(700)}1": " "})), AB, filename=XLSX),
    case("cell-Z1048576", make_xlsx(Sheet(rows=PEOPLE, far_cells={"Z1048576": " "})), AB, filename=XLSX, seconds=5),
    case("cell-AN1048576", make_xlsx(Sheet(rows=PEOPLE, far_cells={"AN1048576": " "})), AB, filename=XLSX, seconds=5),
    case(
        "last-cell-of-all",
        make_xlsx(Sheet(rows=PEOPLE, far_cells={"XFD1048576": Blank()})),
        AB,
        filename=XLSX,
        seconds=5,
    ),
    case(
        "styled-blank-rows",
        make_xlsx(Sheet(rows=[*PEOPLE, *([[Blank()] * 26] * 20_000)])),
        AB,
        filename=XLSX,
    ),
    case(
        "ods-blank-rows-between",
        make_ods(make_ods_table(*ODS_PEOPLE[:2], REPEATED_BLANK, ODS_PEOPLE[2])),
        AB,
        filename=ODS,
        seconds=5,
    ),
    case("ods-blank-rows-after", make_ods(make_ods_table(*ODS_PEOPLE, REPEATED_BLANK)), AB, filename=ODS, seconds=5),
    case(
        "ods-blank-columns",
        make_ods(
            make_ods_table(
                *(
                    make_ods_row(*cells, '<table:table-cell table:number-columns-repeated="16382"/>')
                    for cells in (("email", "name"), ("ann@example.org", "Ann"), ("bo@example.org", "Bo"))
                )
            )
        ),
        AB,
        filename=ODS,
        seconds=5,
    ),
    case(
        "ods-one-row-a-million-times",
        make_ods(
            make_ods_table(
                *ODS_PEOPLE,
                make_ods_row("cy@example.org", "Cy", attributes=' table:number-rows-repeated="1000000"'),
            )
        ),
        ABC,
        rejected=1000,
        says=("(?i)rows .* are the same as the row before",),
        filename=ODS,
        seconds=5,
    ),
    case(
        "one-string-in-a-thousand-rows",
        make_xlsx(
            Sheet(rows=[["email", "name"], *SHARED_ROWS]),
            strings=["x" * 100_000],
        ),
        None,
        says=("(?i)big|large|long|repeat|size|characters",),
        filename=XLSX,
        seconds=5,
    ),
    case(
        "number-format-of-five-million-letters",
        make_xlsx(
            Sheet(rows=[["email", "name"], ["ann@example.org", Styled(number=7)], ["bo@example.org", "Bo"]]),
            formats=('"' + "x" * 5_000_000 + '"0',),
        ),
        addresses("ann") | BO,
        filename=XLSX,
        seconds=5,
    ),
]
