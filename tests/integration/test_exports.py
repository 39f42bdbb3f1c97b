from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.http import StreamingHttpResponse

from batches.exports.cells import PAGE_ROWS, RESULT_COLUMNS
from batches.exports.export import rejected_csv, results_csv
from batches.intake import import_csv
from batches.models import Batch, EmailStatus, Return, ReturnClass, ReturnKind, SharedAddresses
from tests.integration.conftest import Upload

pytestmark = pytest.mark.django_db


def rows_of(chunks: Iterator[bytes]) -> list[list[str]]:
    data = b"".join(chunks)
    assert data.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))


def test_results_have_the_uploaded_columns_and_the_outcome_when_some_were_sent(upload: Upload) -> None:
    batch = upload('Name,E-Mail,Note\nZoë,zoe@example.com,"a\nb, ""c"""\nBob,bob@example.com,\n')
    sent_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    batch.emails.filter(row=2).update(
        status=EmailStatus.SENT, code=250, reply="2.0.0 Ok", attempts=1, completed_at=sent_at
    )
    assert rows_of(results_csv(batch)) == [
        ["Name", "E-Mail", "Note", *RESULT_COLUMNS],
        ["Zoë", "zoe@example.com", 'a\nb, "c"', "sent", "250", "2.0.0 Ok", "2026-01-02T03:04:05+00:00", "2", *[""] * 5],
        ["Bob", "bob@example.com", "", "pending", "", "", "", "4", *[""] * 5],
    ]


def test_rejected_rows_keep_their_cells_and_order_when_they_are_exported(upload: Upload) -> None:
    batch = upload(
        "email,name\nann@example.com,Ann\nANN@example.com,Twin\nnope,Bob\nx\ncat@example.com,Cat,much,more\n"
    )
    header, *rows = rows_of(rejected_csv(batch))
    assert header == ["email", "name", "line", "reason"]
    assert [row[:3] for row in rows] == [
        ["ANN@example.com", "Twin", "3"],
        ["nope", "Bob", "4"],
        ["x", "", "5"],
        ["cat@example.com", "Cat", "6"],
    ]
    assert rows[0][3] == "The same address is already in line 2."
    assert rows[3][4:] == ["much", "more"]


def test_results_have_every_row_when_rows_went_together(sender: User) -> None:
    data = io.BytesIO(b"child,email\nAnn,pia@x.org\nCy,red@x.org\nBo,PIA@x.org\n")
    batch = import_csv(data, filename="x.csv", user=sender, shared=SharedAddresses.TOGETHER).batch
    assert rows_of(results_csv(batch))[1:] == [
        ["Ann", "pia@x.org", "pending", "", "", "", "2", *[""] * 5],
        ["Bo", "pia@x.org", "pending", "", "", "", "2", *[""] * 5],
        ["Cy", "red@x.org", "pending", "", "", "", "3", *[""] * 5],
    ]


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+49", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "  =1", "\uff1d1", "\uff201", "=cmd|' /C calc'!A0"],
)
def test_formula_is_disarmed_when_it_is_exported(upload: Upload, cell: str) -> None:
    quoted = cell.replace('"', '""')
    batch = upload(f'email,"{quoted}"\nann@example.com,"{quoted}"\nnope,"{quoted}"\n')
    for chunks in (results_csv(batch), rejected_csv(batch)):
        for row in rows_of(chunks):
            assert not any(value.strip(" \n\t").startswith(("=", "+", "-", "@", "\uff1d", "\uff20")) for value in row)


def test_every_row_is_exported_once_when_there_are_many_pages(upload: Upload) -> None:
    count = 2 * PAGE_ROWS + 1
    lines = [f"user{number}@example.com\nnope" for number in range(count)]
    batch = upload("email\n" + "\n".join(lines))
    assert [row[0] for row in rows_of(results_csv(batch))[1:]] == [
        f"user{number}@example.com" for number in range(count)
    ]
    assert [row[1] for row in rows_of(rejected_csv(batch))[1:]] == [str(2 * number + 3) for number in range(count)]


def test_no_chunk_is_large_when_the_batch_is(upload: Upload) -> None:
    batch = upload("email,name\n" + "".join(f"user{number}@example.com,Name\n" for number in range(3 * PAGE_ROWS)))
    sizes = [len(chunk) for chunk in results_csv(batch)]
    assert len(sizes) == 5  # the header, the first few rows, and three pages
    assert max(sizes) < PAGE_ROWS * 100


def test_no_chunk_is_large_when_the_cells_are(upload: Upload) -> None:
    note = "x" * 100_000
    batch = upload("email,note\n" + "".join(f"user{number}@example.com,{note}\nnope,{note}\n" for number in range(60)))
    for chunks in (results_csv(batch), rejected_csv(batch)):
        sizes = [len(chunk) for chunk in chunks]
        assert sum(sizes) > 6_000_000
        assert max(sizes) < 2_200_000


def test_export_is_streamed_when_django_sends_it(upload: Upload) -> None:
    response = StreamingHttpResponse(results_csv(upload("email\nann@example.com\n")), content_type="text/csv")
    assert b"ann@example.com" in response.getvalue()


def test_only_the_header_is_exported_when_the_batch_is_empty(upload: Upload) -> None:
    batch = upload("email\nann@example.com\n")
    batch.emails.all().delete()
    assert rows_of(results_csv(batch)) == [["email", *RESULT_COLUMNS]]
    assert rows_of(rejected_csv(batch)) == [["email", "line", "reason"]]


def report(batch: Batch, row: int, kind: ReturnKind, key: str, text: str = "", status: str = "") -> None:
    """Make a report about the email of a row."""
    Return.objects.create(
        batch=batch,
        email=batch.emails.get(row=row),
        kind=kind,
        return_class=ReturnClass.GONE if kind == ReturnKind.BOUNCED else ReturnClass.OTHER,
        status_code=status,
        text=text,
        door="imap",
        event_key=key,
        received_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )


def test_results_say_what_came_back_beside_the_status_that_stays(upload: Upload) -> None:
    batch = upload("email\nann@example.com\nbob@example.com\ncy@example.com\ndi@example.com\nev@example.com\n")
    batch.emails.update(status=EmailStatus.SENT)
    report(batch, 2, ReturnKind.BOUNCED, "1", "550 No such user", "5.1.1")
    report(batch, 3, ReturnKind.BOUNCED, "2", "=cmd 5.1.1", "5.1.1")
    report(batch, 3, ReturnKind.COMPLAINED, "3")
    report(batch, 4, ReturnKind.AUTO_REPLY, "4", "I am away")
    report(batch, 5, ReturnKind.REFUSED, "5", "550 5.1.1 unknown")
    header, *rows = rows_of(results_csv(batch))
    assert header[-3:] == ["returned", "returned_at", "returned_text"]
    assert [row[1] for row in rows] == ["sent"] * 5
    at = "2026-01-02T03:04:05+00:00"
    assert [row[-3:] for row in rows] == [
        ["gone", at, "5.1.1 550 No such user"],
        ["complained", at, ""],
        ["", "", ""],
        ["", "", ""],
        ["", "", ""],
    ]


def test_text_of_a_report_is_disarmed_when_it_is_exported(upload: Upload) -> None:
    batch = upload("email\nann@example.com\n")
    report(batch, 2, ReturnKind.BOUNCED, "1", "=1+1")
    assert rows_of(results_csv(batch))[1][-1] == "'=1+1"
