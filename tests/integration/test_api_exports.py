"""The downloads results.csv and rejected.csv."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest
from channels.db import database_sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient

from batches import intake
from batches.exports import cells
from batches.jobs.failure_groups import find_key
from batches.models import Email, EmailStatus
from tests.conftest import MakeUser

pytestmark = pytest.mark.django_db(transaction=True)

FILE = """Name;E-Mail;Note
Ada;ada@example.org;=1+1
Bob;not an address;x
Çelik;c@example.org;
Ada;ADA@example.org;again
"""


async def download(user: User, path: str) -> tuple[dict[str, str], list[list[str]]]:
    client = AsyncClient()
    await client.aforce_login(user)
    response = await client.get(path)
    assert response.status_code == 200
    body = b"".join([chunk async for chunk in response])  # type: ignore[attr-defined]
    assert body.startswith(b"\xef\xbb\xbf")
    return dict(response.headers), list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")))


async def test_uploaded_columns_have_a_status_when_results_are_downloaded(
    sender: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batches.exports.cells.PAGE_ROWS", 1)
    imported = await database_sync_to_async(intake.import_csv)(
        io.BytesIO(FILE.encode()), filename="Gäste 2030.csv", user=sender
    )
    await Email.objects.filter(address="ada@example.org").aupdate(
        status=EmailStatus.SENT, code=250, reply="OK", completed_at=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    )
    headers, rows = await download(sender, f"/api/batches/{imported.batch.pk}/results.csv")
    assert rows == [
        ["Name", "E-Mail", "Note", *cells.RESULT_COLUMNS],
        ["Ada", "ada@example.org", "'=1+1", "sent", "250", "OK", "2030-01-02T03:04:05+00:00", "2", *[""] * 5],
        ["Çelik", "c@example.org", "", "pending", "", "", "", "4", *[""] * 5],
    ]
    assert "filename*=UTF-8''G%C3%A4ste%202030-results.csv" in headers["Content-Disposition"]


async def test_results_are_of_one_group_when_the_answer_of_the_mail_server_is_named(
    sender: User, make_user: MakeUser
) -> None:
    other = await database_sync_to_async(make_user)("other", "Senders")
    imported = await database_sync_to_async(intake.import_csv)(
        io.BytesIO(FILE.encode()), filename="guests.csv", user=sender
    )
    await Email.objects.filter(address="ada@example.org").aupdate(status=EmailStatus.FAILED, code=550, reply="No.")
    await Email.objects.filter(address="c@example.org").aupdate(status=EmailStatus.FAILED, code=552, reply="Full.")
    path = f"/api/batches/{imported.batch.pk}/results.csv?failure={find_key('550 No.')}"
    for ending in ("", "&at=example.org"):
        _headers, rows = await download(sender, path + ending)
        assert [row[1] for row in rows[1:]] == ["ada@example.org"]
    client = AsyncClient()
    await client.aforce_login(sender)
    assert (await client.get(f"{path}&at=example.com")).status_code == 404
    await client.aforce_login(other)
    assert (await client.get(path)).status_code == 404


async def test_rejected_rows_have_a_line_number_and_a_reason_when_they_are_downloaded(sender: User) -> None:
    imported = await database_sync_to_async(intake.import_csv)(
        io.BytesIO(FILE.encode()), filename="guests.csv", user=sender
    )
    _, rows = await download(sender, f"/api/batches/{imported.batch.pk}/rejected.csv")
    assert rows[0] == ["Name", "E-Mail", "Note", "line", "reason"]
    assert [row[:4] for row in rows[1:]] == [
        ["Bob", "not an address", "x", "3"],
        ["Ada", "ADA@example.org", "again", "5"],
    ]
    assert all(row[4] for row in rows[1:])


async def test_columns_are_the_merge_fields_when_the_list_was_posted(sender: User) -> None:
    recipients = [{"email": "a@example.org", "name": "A"}, "b@example.org"]
    imported = await database_sync_to_async(intake.import_list)(recipients, user=sender)
    _, rows = await download(sender, f"/api/batches/{imported.batch.pk}/results.csv")
    assert [row[:3] for row in rows] == [
        ["email", "name", "status"],
        ["a@example.org", "A", "pending"],
        ["b@example.org", "", "pending"],
    ]
