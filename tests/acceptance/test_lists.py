"""Lists as people have them, on a real stack: each line becomes a recipient, or a rejected row with a reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.client import Client
from tests.acceptance.list_page import ListExample, find_list_examples
from tests.acceptance.lists import kind_cases, layout_cases, sheet_cases, text_cases
from tests.acceptance.lists.cases import ListCase
from tests.acceptance.lists.files import Sheet, make_xlsx
from tests.acceptance.lists.judge import Upload, find_faults, read_draft, upload_draft
from tests.acceptance.stack import RunningStack, stack_in_new_folder

KINDS: dict[str, list[ListCase]] = {
    "first-line": layout_cases.FIRST_LINE,
    "address-column": layout_cases.ADDRESS_COLUMN,
    "above-the-header": layout_cases.ABOVE_THE_HEADER,
    "blank-columns": layout_cases.BLANK_COLUMNS,
    "quotes": layout_cases.QUOTES,
    "encoding": text_cases.ENCODINGS,
    "clinging": text_cases.CLINGING,
    "which-sheet": sheet_cases.WHICH_SHEET,
    "shown": sheet_cases.SHOWN,
    "great-amount": sheet_cases.GREAT_AMOUNT,
    "sentence": kind_cases.SENTENCES,
}
PARENTS = (
    b"Kind,E-Mail Mutter,E-Mail Vater\n"
    b"Ann,ann.m@example.org,ann.v@example.org\nBo,,bo.v@example.org\nCy,cy.m@example.org,cy.m@example.org\n"
)


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with stack_in_new_folder("lists", workers=1) as running:
        yield running


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{kind}-{case.name}") for kind, cases in KINDS.items() for case in cases]
)
def test_each_line_becomes_what_a_person_expects(client: Client, case: ListCase) -> None:
    assert find_faults(client, case) == []


def choose(client: Client, upload: Upload, **options: object) -> Upload:
    """Read the file of a draft again with these options, as the buttons of the review do."""
    status, answer = client.request("POST", f"/api/batches/{upload.batch_id}/reread", options)
    assert status == 200, answer
    read_draft(client, upload)
    return upload


def test_both_parents_are_recipients_when_both_columns_are_chosen(client: Client) -> None:
    upload = upload_draft(client, content=PARENTS, filename="parents.csv")
    assert upload.rows.keys() == {"ann.m@example.org", "cy.m@example.org"}
    choose(client, upload, addressColumns=[1, 2])
    assert upload.rows.keys() == {"ann.m@example.org", "ann.v@example.org", "bo.v@example.org", "cy.m@example.org"}
    assert not upload.doubled
    emails = list(client.emails(upload.batch_id or 0))
    assert sorted(email["line"] for email in emails) == [2, 2, 3, 4]


def test_another_address_column_can_be_chosen(client: Client) -> None:
    upload = choose(client, upload_draft(client, content=PARENTS, filename="parents.csv"), addressColumns=[2])
    assert upload.rows.keys() == {"ann.v@example.org", "bo.v@example.org", "cy.m@example.org"}


def test_another_sheet_can_be_chosen_and_keeps_being_chosen(client: Client) -> None:
    head = ["email", "name"]
    content = make_xlsx(
        Sheet(name="2025", rows=[head, ["old@example.org", "Old"]]),
        Sheet(name="2026", rows=[["Choir 2026"], head, ["ann@example.org", "Ann"]]),
    )
    upload = upload_draft(client, content=content, filename="years.xlsx")
    assert upload.rows == {"old@example.org": {"name": "Old"}}
    assert choose(client, upload, sheet="2026").rows == {"ann@example.org": {"name": "Ann"}}
    assert upload.review["reading"]["sheet"] == "2026"


def test_hidden_rows_are_read_when_they_are_asked_for(client: Client) -> None:
    rows = [["email", "name"], ["ann@example.org", "Ann"], ["bo@example.org", "Bo"]]
    content = make_xlsx(Sheet(rows=rows, hidden_rows=frozenset([2])))
    upload = upload_draft(client, content=content, filename="filtered.xlsx")
    assert upload.rows.keys() == {"bo@example.org"} and upload.review["reading"]["hiddenCount"] == 1
    assert choose(client, upload, hiddenRows=True).rows.keys() == {"ann@example.org", "bo@example.org"}
    assert not upload.rejected


@pytest.mark.parametrize(
    ("content", "header_row", "expected"),
    [
        (b"email,name\nann@example.org,Ann\n", 0, {"ann@example.org": {"column_2": "Ann"}}),
        (b"email,name\nMail,Vorname\nann@example.org,Ann\n", 2, {"ann@example.org": {"vorname": "Ann"}}),
    ],
)
def test_another_header_row_can_be_chosen(
    client: Client, content: bytes, header_row: int, expected: dict[str, dict[str, str]]
) -> None:
    upload = upload_draft(client, content=content, filename="list.csv")
    assert choose(client, upload, headerRow=header_row).rows == expected


def test_header_row_of_a_sheet_can_be_chosen(client: Client) -> None:
    rows = [["email", "name"], ["Mail", "Vorname"], ["ann@example.org", "Ann"]]
    upload = upload_draft(client, content=make_xlsx(Sheet(rows=rows)), filename="list.xlsx")
    assert choose(client, upload, headerRow=2).rows == {"ann@example.org": {"vorname": "Ann"}}


def test_cell_with_two_addresses_makes_two_recipients_when_that_is_chosen(client: Client) -> None:
    content = b'email;name\n"karl@example.org; eva@example.org";Berg\nbo@example.org;Bo\n'
    upload = upload_draft(client, content=content, filename="list.csv")
    assert upload.rows.keys() == {"bo@example.org"} and upload.review["reading"]["splitCount"] == 1
    choose(client, upload, splitCells=True)
    assert upload.rows == {
        "karl@example.org": {"name": "Berg"},
        "eva@example.org": {"name": "Berg"},
        "bo@example.org": {"name": "Bo"},
    }
    assert sorted(email["line"] for email in client.emails(upload.batch_id or 0)) == [2, 2, 3]


@pytest.mark.parametrize(("shared", "count"), [("first", 2), ("each", 3), ("together", 2)])
def test_rows_that_share_an_address_become_what_is_chosen(client: Client, shared: str, count: int) -> None:
    content = b"email,child\nann@example.org,Mia\nann@example.org,Tom\nbo@example.org,Kim\n"
    upload = upload_draft(client, content=content, filename="children.csv")
    assert upload.review["reading"]["sharedCount"] == 1
    choose(client, upload, sharedAddresses=shared)
    assert len(list(client.emails(upload.batch_id or 0))) == count
    assert len(upload.rejected) == (1 if shared == "first" else 0)


def test_file_that_is_encoded_twice_can_be_taken_as_it_is(client: Client) -> None:
    twice = "Zoë".encode().decode("cp1252")
    content = f"email,name\nann@example.org,{twice}\n".encode()
    upload = upload_draft(client, content=content, filename="list.csv")
    assert upload.rows == {"ann@example.org": {"name": "Zoë"}}
    assert choose(client, upload, encoding="utf-8").rows == {"ann@example.org": {"name": twice}}
    assert upload.review["reading"]["isEncodedTwice"]


@pytest.mark.parametrize("example", find_list_examples(), ids=lambda example: f"line-{example.content.count(chr(10))}")
def test_lines_become_what_the_page_says(client: Client, example: ListExample) -> None:
    upload = upload_draft(client, content=example.content.encode(), filename="list.csv")
    if example.address_columns:
        choose(client, upload, addressColumns=example.address_columns)
    recipients: dict[int, set[str]] = {}
    for email in client.emails(upload.batch_id or 0):
        recipients.setdefault(email["line"], set()).add(email["address"])
    assert recipients == example.recipients
    assert {line for line, _ in upload.rejected} == example.rejected


def test_page_has_examples_of_lists() -> None:
    examples = find_list_examples()
    assert len(examples) >= 3 and all((each.recipients and each.rejected) or each.address_columns for each in examples)
