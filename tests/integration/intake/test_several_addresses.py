"""Lists in which a row makes several emails: several address columns, and cells with several addresses."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.contrib.auth.models import User

from batches.exports.export import rejected_csv, results_csv
from batches.files.findings import Reading, Slip
from batches.files.layout import make_layout
from batches.files.reading import RejectedRecord
from batches.intake import NoRecipients, ReadingOptions, append_csv, import_csv
from batches.intake.loading import load_records
from batches.models import Batch, BatchSource, SharedAddresses
from tests.unit.files.spreadsheet_files import make_excel

pytestmark = pytest.mark.django_db

PARENTS = """child,mother,father
Ann,mia@x.org,max@x.org
Bo,,ben@x.org
Cy,mia@x.org,MIA@x.org
Di,dora@x,dan@x.org
Eve,,
Flo,mia@x.org,fritz@x.org
"""


def upload(user: User, text: str, shared: SharedAddresses = SharedAddresses.FIRST, **options: Any) -> Batch:
    stream = io.BytesIO(text.encode())
    return import_csv(stream, filename="x.csv", user=user, shared=shared, options=ReadingOptions(**options)).batch


def emails_of(batch: Batch) -> list[tuple[int, int | None, str, str]]:
    """Return row, line, address and first cell of each email."""
    emails = batch.emails.order_by("row").values_list("row", "line", "address", "fields")
    return [(row, line, address, fields[0]) for row, line, address, fields in emails]


def rejected_of(batch: Batch) -> list[tuple[int, str, list[str]]]:
    return list(batch.rejected_rows.order_by("line", "id").values_list("line", "kind", "raw"))


def test_each_filled_address_makes_an_email_when_two_columns_are_chosen(sender: User) -> None:
    batch = upload(sender, PARENTS, SharedAddresses.EACH, address_indexes=(1, 2))
    assert emails_of(batch) == [
        (2, None, "mia@x.org", "Ann"),
        (3, 2, "max@x.org", "Ann"),
        (4, 3, "ben@x.org", "Bo"),
        (5, 4, "mia@x.org", "Cy"),
        (6, 5, "dan@x.org", "Di"),
        (7, None, "mia@x.org", "Flo"),
        (8, 7, "fritz@x.org", "Flo"),
    ]
    assert [email.shown_line for email in batch.emails.order_by("row")] == [2, 2, 3, 4, 5, 7, 7]
    # The good address is left out, so that nobody gets a second mail from the corrected row.
    assert rejected_of(batch) == [(5, "invalid", ["Di", "dora@x", ""]), (6, "invalid", ["Eve", "", ""])]
    assert (batch.address_indexes, batch.merge_fields) == ((1, 2), ["child", "mother", "father"])
    assert (batch.total_count, batch.rejected_count, batch.duplicate_count) == (7, 2, 0)


def test_address_makes_one_email_when_it_is_in_several_rows_of_two_columns(sender: User) -> None:
    batch = upload(sender, PARENTS, address_indexes=(1, 2))
    assert [address for _, _, address, _ in emails_of(batch)] == [
        "mia@x.org",
        "max@x.org",
        "ben@x.org",
        "dan@x.org",
        "fritz@x.org",
    ]
    duplicates = batch.rejected_rows.filter(kind="duplicate").order_by("line").values_list("line", "reason")
    assert list(duplicates) == [
        (4, "The same address is already in line 2."),
        (7, "The same address is already in line 2."),
    ]


def test_rows_of_one_parent_are_in_one_email_when_two_columns_go_together(sender: User) -> None:
    batch = upload(sender, PARENTS, SharedAddresses.TOGETHER, address_indexes=(1, 2))
    found = {
        email.address: [row[0] for row in (email.fields[3] if len(email.fields) > 3 else [email.fields])]
        for email in batch.emails.all()
    }
    assert found == {
        "mia@x.org": ["Ann", "Cy", "Flo"],
        "max@x.org": ["Ann"],
        "ben@x.org": ["Bo"],
        "dan@x.org": ["Di"],
        "fritz@x.org": ["Flo"],
    }


def test_columns_are_as_they_were_uploaded_when_results_of_two_address_columns_are_exported(sender: User) -> None:
    batch = upload(sender, PARENTS, address_indexes=(1, 2))
    text = b"".join(results_csv(batch)).decode("utf-8-sig")
    rows = [[row[0], row[1], row[2], *row[7:8], row[-1]] for row in csv.reader(io.StringIO(text, newline=""))]
    assert rows[:3] == [
        ["child", "mother", "father", "line", "address"],
        ["Ann", "mia@x.org", "max@x.org", "2", "mia@x.org"],
        ["Ann", "mia@x.org", "max@x.org", "2", "max@x.org"],
    ]


@pytest.mark.parametrize("shared", SharedAddresses)
def test_corrected_row_adds_only_the_missing_address_when_there_are_two(sender: User, shared: SharedAddresses) -> None:
    batch = upload(sender, PARENTS, shared, address_indexes=(1, 2))
    before = batch.total_count
    corrected = b"".join(rejected_csv(batch)).decode().replace("dora@x,", "dora@x.org,")
    only_di = [line for line in corrected.splitlines() if line.startswith(("\ufeff", "Di"))]
    batch, counts = append_csv(batch, io.BytesIO("\n".join(only_di).encode()))
    assert (counts.total, batch.total_count) == (1, before + 1)
    dora = batch.emails.get(address="dora@x.org")
    assert (dora.fields, dora.shown_line) == (["Di", "dora@x.org", ""], 10)


TWO_IN_A_CELL = "email,child\nmia@x.org; max@x.org,Ann\nbo@x.org,Bo\nMia@x.org;cy@x.org,Cy\n"


def test_row_is_rejected_when_a_cell_holds_two_addresses(sender: User) -> None:
    batch = upload(sender, TWO_IN_A_CELL)
    assert emails_of(batch) == [(3, None, "bo@x.org", "Bo")]
    assert [line for line, _, _ in rejected_of(batch)] == [2, 4]
    assert Reading.from_json(batch.reading).split_count == 2


def test_each_address_makes_an_email_when_cells_are_split(sender: User) -> None:
    batch = upload(sender, TWO_IN_A_CELL, SharedAddresses.EACH, split_cells=True)
    assert emails_of(batch) == [
        (2, None, "mia@x.org", "Ann"),
        (3, 2, "max@x.org", "Ann"),
        (4, 3, "bo@x.org", "Bo"),
        (5, 4, "Mia@x.org", "Cy"),
        (6, 4, "cy@x.org", "Cy"),
    ]
    reading = Reading.from_json(batch.reading)
    assert (reading.split_count, reading.split_cells, reading.shared_count) == (2, True, 1)
    batch, _ = append_csv(batch, io.BytesIO(b"email,child\na@x.org/b@x.org,Di\n"))
    assert emails_of(batch)[5:] == [(8, None, "a@x.org", "Di"), (9, 8, "b@x.org", "Di")]


def test_rows_keep_their_order_when_plain_rows_follow_a_split_cell(sender: User) -> None:
    rows = [f"user{number}@x.org,{number}" for number in range(1000)]
    rows[100] = "one@x.org; two@x.org; three@x.org,100"
    rows[300] = "nope,300"
    batch = upload(sender, "email,n\n" + "\n".join(rows) + "\n", split_cells=True)
    emails = list(batch.emails.order_by("row"))
    assert [int(email.fields[0]) for email in emails] == [
        number for number in range(1000) for _ in range({100: 3, 300: 0}.get(number, 1))
    ]
    assert all(email.shown_line == int(email.fields[0]) + 2 for email in emails)
    assert [email.row for email in emails] == sorted({email.row for email in emails})


class Given:
    """Records, some of which are rejected by their reader."""

    def __init__(self, records: list[list[str] | RejectedRecord]) -> None:
        self._records = iter(records)
        self.reader = self
        self.line_num = 0
        self.read_limit = 100

    def __iter__(self) -> Given:
        return self

    def __next__(self) -> list[str]:
        record = next(self._records)
        self.line_num += 1
        if isinstance(record, RejectedRecord):
            raise record
        return record

    def recover_line(self, exc: csv.Error, *, line: int) -> str:
        raise AssertionError("the record has its own cells") from exc


def test_record_is_rejected_by_itself_when_its_reader_says_so(sender: User) -> None:
    batch = Batch.objects.create(created_by=sender, filename="x", source=BatchSource.UPLOAD)
    records = Given(
        [
            ["ann@x.org", "Ann"],
            RejectedRecord(cells=["bo@x.org", ""], reason="Cell B2 holds a formula without its result."),
            ["cy@x.org", "Cy"],
            RejectedRecord(cells=["di@x.org", "Di"], reason="The row is hidden.", is_hidden=True),
            RejectedRecord(cells=["eve@x.org", "Eve"], reason="The row is hidden.", is_hidden=True),
            ["flo@x.org", "Flo"],
        ]
    )
    layout = make_layout(["email", "name"], address_index=0, has_header=False)
    counts = load_records(batch, records, layout)
    assert (counts.total, counts.rejected) == (3, 1)
    assert [row for row, *_ in emails_of(batch)] == [1, 3, 6]
    assert rejected_of(batch) == [
        (2, "invalid", ["bo@x.org", ""]),
        (4, "hidden", ["di@x.org", "Di"]),
        (5, "hidden", ["eve@x.org", "Eve"]),
    ]
    assert Reading.from_json(batch.reading).hidden_count == 2


def test_misspelt_domains_are_counted_when_a_list_has_some(sender: User) -> None:
    rows = [f"user{number}@{'gamil.com' if number % 10 == 3 else 'gmail.com'}" for number in range(500)]
    batch = upload(sender, "email\n" + "\n".join(rows) + "\nAnn <ann@gmail.con>\n")
    assert Reading.from_json(batch.reading).slips == [
        Slip(domain="gamil.com", suggestion="gmail.com", count=50),
        Slip(domain="gmail.con", suggestion="gmail.com", count=1),
    ]
    batch, _ = append_csv(batch, io.BytesIO(b"email\nbo@gamil.com\n"))
    assert Reading.from_json(batch.reading).slips[0].count == 51


def test_cleaned_addresses_are_counted_when_signs_cling_to_them(sender: User) -> None:
    rows = ["mailto:ann@x.org", "BO@X.org", " cy@x.org ", "Di <di@x.org>", "eve@x.org;", "flo@b\u00fccher.example"]
    assert Reading.from_json(upload(sender, "email,name\n" + ",\n".join(rows) + ",\n").reading).cleaned_count == 2


def test_cells_of_a_hidden_row_are_in_the_order_of_the_list_when_a_sheet_is_added(sender: User) -> None:
    batch = upload(sender, "email,name\nann@x.org,Ann\n")
    sheet = make_excel(["name", "email"], ["Bo", "bo@x.org"], ["Cy", "cy@x.org"], hidden=[2])
    batch, counts = append_csv(batch, sheet)
    assert (counts.total, counts.rejected) == (1, 0)
    assert rejected_of(batch) == [(4, "hidden", ["bo@x.org", "Bo"])]
    assert Reading.from_json(batch.reading).hidden_count == 1


def test_hidden_row_stays_left_out_when_the_corrected_rejected_csv_is_added(sender: User) -> None:
    sheet = make_excel(
        ["email", "name"],
        ["ann@x.org", "Ann"],
        ["gone@x.org", "Gone"],
        ["di@x", "Di"],
        ["eve@x.org", "Eve"],
        hidden=[3, 5],
    )
    batch = import_csv(sheet, filename="list.xlsx", user=sender).batch
    corrected = b"".join(rejected_csv(batch)).replace(b"di@x,", b"di@x.org,").replace(b"Eve,5,", b"Eve,,")
    batch, counts = append_csv(batch, io.BytesIO(corrected))
    assert (counts.total, counts.rejected) == (2, 0)
    assert [address for _, _, address, _ in emails_of(batch)] == ["ann@x.org", "di@x.org", "eve@x.org"]
    assert ["gone@x.org", "Gone"] in [raw for _, kind, raw in rejected_of(batch) if kind == "hidden"]
    reason = batch.rejected_rows.get(raw__contains="gone@x.org").reason
    assert "stays left out" in reason and "column line" in reason


def test_cells_with_several_addresses_are_counted_again_when_some_were_corrected(sender: User) -> None:
    batch = upload(sender, "email,name\nann@x.org,Ann\na@x.org;b@x.org,Bo\nc@x.org;d@x.org,Cy\n")
    assert Reading.from_json(batch.reading).split_count == 2
    corrected = b"".join(rejected_csv(batch)).replace(b"a@x.org;b@x.org", b"a@x.org")
    batch, _ = append_csv(batch, io.BytesIO(corrected))
    assert Reading.from_json(batch.reading).split_count == 1


def test_review_is_not_advised_when_a_list_of_such_cells_is_refused(sender: User) -> None:
    with pytest.raises(NoRecipients, match="The cell holds two addresses") as refused:
        upload(sender, "email,name\na@x.org;b@x.org,Ann\nc@x.org;d@x.org,Bo\n")
    assert "review" not in str(refused.value)
