"""Downloads for people: .xlsx in the shape of the upload, and CSV with the list's delimiter and local times."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from python_calamine import CalamineWorkbook

from batches import intake
from batches.exports.cells import RESULT_COLUMNS, Row
from batches.exports.export import Export, FileKind, name_file, write_export
from batches.exports.xlsx_file import CELL_CHARACTERS, CUT, name_sheet, write_xlsx
from batches.models import Attempt, Batch, EmailStatus, Lane
from batches.outcomes import Outcome
from tests.conftest import MakeJob
from tests.integration.conftest import Upload

pytestmark = pytest.mark.django_db

BERLIN = "Europe/Berlin"
SENT_AT = datetime(2026, 7, 1, 22, 30, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def berlin(settings: LazySettings) -> None:
    settings.TIME_ZONE = BERLIN


def sheets_of(data: bytes) -> dict[str, list[list[object]]]:
    book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    return {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}  # type: ignore[misc]


def export(batch: Batch, rows: str = "results", kind: FileKind = FileKind.XLSX, status: str = "") -> bytes:
    wanted = Export(batch_id=batch.pk, rows=rows, kind=kind, status=status)
    return b"".join(write_export(batch, wanted))


def make_sheet(*rows: Row, name: str = "Mitglieder") -> bytes:
    file = io.BytesIO()
    columns, *others = rows
    write_xlsx(file, [str(column) for column in columns], [others], sheet_name=name, zone=UTC)
    return file.getvalue()


def test_results_have_the_sheet_and_the_columns_of_the_upload_when_it_was_a_sheet(sender: User) -> None:
    data = make_sheet(
        ["PLZ", "E-Mail", "Formel"], ["01067", "ann@example.org", "=1+1"], ["00000012345678901234", "b@x.org", ""]
    )
    batch = intake.import_csv(io.BytesIO(data), filename="Gäste.xlsx", user=sender).batch
    batch.emails.filter(address="ann@example.org").update(
        status=EmailStatus.SENT, code=250, reply="OK", attempts=1, completed_at=SENT_AT
    )
    (name, rows), *others = sheets_of(export(batch)).items()
    assert name == "Mitglieder" and not others
    head = [
        f"{column} ({BERLIN})" if column in ("time", "history", "returned_at") else column for column in RESULT_COLUMNS
    ]
    assert rows[0] == ["PLZ", "E-Mail", "Formel", *head]
    assert rows[1][:8] == ["01067", "ann@example.org", "=1+1", "sent", 250.0, "OK", datetime(2026, 7, 2, 0, 30, 5), 2.0]
    assert rows[2][:4] == ["00000012345678901234", "b@x.org", "", "pending"]


def test_rejected_rows_come_back_whole_when_their_sheet_is_added_again(sender: User) -> None:
    data = make_sheet(["Name", "E-Mail"], ["=HYPERLINK(1)", "nope"], ["0012", "ann@example.org"])
    batch = intake.import_csv(io.BytesIO(data), filename="x.xlsx", user=sender).batch
    (rows,) = sheets_of(export(batch, "rejected")).values()
    assert rows[0] == ["Name", "E-Mail", "line", "reason"]
    assert rows[1][:3] == ["=HYPERLINK(1)", "nope", 2.0]
    corrected = make_sheet(["Name", "E-Mail", "line", "reason"], ["=HYPERLINK(1)", "eve@example.org", 2, ""])
    intake.append_csv(batch, io.BytesIO(corrected))
    assert not batch.rejected_rows.exists()
    assert batch.emails.get(address="eve@example.org").fields == ["=HYPERLINK(1)"]


def test_local_csv_has_the_delimiter_of_the_list_and_the_times_of_the_site(upload: Upload, make_job: MakeJob) -> None:
    batch = upload("Name;E-Mail\nZoë;zoe@example.com\nBob;bob@example.com\n")
    lane = Lane.objects.create(job=make_job(batch, "completed", completed_at=SENT_AT), number=1)
    email = batch.emails.get(row=2)
    Attempt.objects.create(email=email, lane=lane, number=1, outcome=Outcome.SENT, code=250, reply="OK", at=SENT_AT)
    batch.emails.filter(row=2).update(status=EmailStatus.SENT, code=250, reply="OK", completed_at=SENT_AT, attempts=1)
    text = export(batch, kind=FileKind.LOCAL_CSV).decode("utf-8-sig")
    head, first, *_ = text.splitlines()
    assert head.startswith(f"Name;E-Mail;status;code;reply;time ({BERLIN});line;job;history ({BERLIN});")
    assert first.startswith("Zoë;zoe@example.com;sent;250;OK;2026-07-02 00:30:05;2;")
    assert f"2026-07-02 00:30:05 job {lane.job_id}" in first


def test_only_one_state_is_exported_when_it_is_asked_for(upload: Upload) -> None:
    batch = upload("email\na@example.com\nb@example.com\n")
    batch.emails.filter(row=3).update(status=EmailStatus.FAILED, code=550)
    wanted = Export(batch_id=batch.pk, rows="results", kind=FileKind.XLSX, status="failed")
    (rows,) = sheets_of(b"".join(write_export(batch, wanted))).values()
    assert [row[0] for row in rows] == ["email", "b@example.com"]
    assert name_file(batch, wanted) == "list-failed-results.xlsx"


def test_more_rows_than_a_sheet_has_fill_further_sheets() -> None:
    file = io.BytesIO()
    pages = [[[str(number)] for number in range(start, start + 3)] for start in (0, 3)]
    write_xlsx(file, ["n"], pages, sheet_name="List", zone=UTC, sheet_rows=4)  # type: ignore[arg-type]
    assert sheets_of(file.getvalue()) == {
        "List": [["n"], ["0"], ["1"], ["2"]],
        "List 2": [["n"], ["3"], ["4"], ["5"]],
    }


def test_cell_is_cut_and_says_so_when_excel_could_not_hold_it() -> None:
    data = make_sheet(["n"], ["x" * (CELL_CHARACTERS + 1)])
    (rows,) = sheets_of(data).values()
    assert len(str(rows[1][0])) == CELL_CHARACTERS and str(rows[1][0]).endswith(CUT)


def test_cell_is_cut_between_characters_when_they_are_two_units_long() -> None:
    data = make_sheet(["n"], ["🙂" * 16_384], ["🙂" * 16_383])
    (rows,) = sheets_of(data).values()
    assert rows[1][0] == "🙂" * ((CELL_CHARACTERS - len(CUT)) // 2) + CUT
    assert rows[2][0] == "🙂" * 16_383


def test_texts_come_back_as_they_were_when_their_sheet_is_uploaded(sender: User) -> None:
    odd = ["=1+1", "+49 30", "-1", "@x", "'=1", "00123", "1e5", "1/2", "2026-11-27", "TRUE", "a\nb", "\u202ex", "#N/A"]
    odd += ["_x0041_", "9" * 20, "12:30", "x;=1+1", '"=1"', "\uff1d1"]
    data = make_sheet(["email", *(f"c{number}" for number in range(len(odd)))], ["a@example.org", *odd])
    batch = intake.import_csv(io.BytesIO(data), filename="x.xlsx", user=sender).batch
    assert batch.emails.get().fields == odd
    again = intake.import_csv(io.BytesIO(export(batch)), filename="results.xlsx", user=sender).batch
    assert again.emails.get().fields[: len(odd)] == odd


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("History", "History 1"),
        ("a/b:c", "a b c"),
        ("'x'", "x"),
        ("", "List"),
        ("?*", "List"),
        ("y" * 40, "y" * 31),
        ("Straße 1", "Straße 1"),
    ],
)
def test_name_of_a_sheet_is_one_that_excel_takes(name: str, expected: str) -> None:
    assert name_sheet(name) == expected
