"""The page of the audit, its download, and the same at the API."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from django.utils import timezone

from batches import audit
from batches.models import Approval, AuditAction, AuditEntry, Batch
from batches.permissions import Permission
from tests.conftest import MakeBatch, MakeUser, permit


@pytest.fixture
def auditor(make_user: MakeUser) -> User:
    return make_user("audrey", "Auditors")


@pytest.fixture
def page(client: Client, auditor: User) -> Client:
    client.force_login(auditor)
    return client


@pytest.fixture
def batch(make_batch: MakeBatch, sender: User) -> Batch:
    """A batch with two entries of the sender, one of the program, and a refusal of the sender."""
    made = make_batch(pending=1)
    with audit.acting_as(audit.Actor.of_user(sender, via="page", client="192.0.2.1")):
        audit.record(AuditAction.UPLOAD, made, count=1)
        audit.record(AuditAction.SEND, made, is_refused=True, status=403)
    with audit.acting_as(audit.Actor.of_user(sender, via="token nightly")):
        audit.record(AuditAction.DOWNLOAD, made, file="results.csv")
    audit.record(AuditAction.PAUSE, made)
    return made


def acts(client: Client, query: str) -> list[str]:
    """Return what the API finds."""
    answer = client.get(f"/api/audit?{query}")
    assert answer.status_code == 200, answer.content
    return [entry["action"] for entry in answer.json()["items"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("who=sender", ["download", "send", "upload"]),
        ("who=token%20nightly", ["download"]),
        ("action=send", ["send"]),
        ("refused=true", ["send"]),
        ("who=nobody", []),
    ],
)
def test_entries_are_found_by_each_filter(query: str, found: list[str], page: Client, batch: Batch) -> None:
    assert acts(page, f"batch={batch.pk}&{query}") == found


def test_entries_are_found_by_day(page: Client, batch: Batch) -> None:
    today = timezone.localdate().isoformat()
    assert len(acts(page, f"batch={batch.pk}&since={today}&until={today}")) == 4
    assert acts(page, "since=2999-01-01") == [] and acts(page, "until=2001-01-01") == []


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "2024-02-29"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_odd_days_are_answered(day: str, zone: str, page: Client, db: None, settings: LazySettings) -> None:
    settings.TIME_ZONE = zone
    for name in ("since", "until"):
        assert page.get(f"/audit/?{name}={day}").status_code == 200
        assert page.get(f"/api/audit?{name}={day}").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "who=%00",
        "batch=99999999999999999999",
        "batch=0",
        "batch=x",
        "since=x",
        "until=0",
        "since=1700000000",
        "action=nothing",
        "refused=maybe",
    ],
)
def test_what_can_not_be_looked_for_is_refused(query: str, page: Client, db: None) -> None:
    assert page.get(f"/api/audit?{query}").status_code == 422
    if query != "refused=maybe":  # a box that is ticked, whatever its value is
        assert page.get(f"/audit/?{query}").status_code == 422


def test_user_is_found_by_the_present_name_and_by_the_name_of_that_time(page: Client, batch: Batch) -> None:
    User.objects.filter(username="sender").update(username="renamed")
    for name in ("sender", "renamed"):
        assert acts(page, f"batch={batch.pk}&who={name}") == ["download", "send", "upload"]


def test_page_shows_the_entries_with_their_batch(page: Client, batch: Batch) -> None:
    text = page.get(f"/audit/?batch={batch.pk}").content.decode()
    assert "Uploaded a list" in text and "192.0.2.1" in text and "token nightly" in text and "refused" in text
    assert f'href="/batches/{batch.pk}/"' in text
    assert f'href="/api/audit.csv?batch={batch.pk}"' in text


def test_page_says_who_acted_if_no_user_did(page: Client, db: None) -> None:
    audit.record(AuditAction.PURGE)
    with audit.acting_as(audit.Actor(via="page", client="192.0.2.7")):
        audit.record(AuditAction.SIGN_IN, is_refused=True)
    text = page.get("/audit/").content.decode()
    assert "The program" in text and "Not signed in" in text and "stranger" not in text


def test_page_names_an_approval_once_and_shortens_digests(page: Client, batch: Batch) -> None:
    digest = "0123456789abcdef" * 6
    approval = Approval.objects.create(batch=batch, digest=digest)
    audit.record(AuditAction.APPROVAL_ASK, approval, digest=digest)
    text = page.get("/audit/").content.decode()
    assert f"approval of batch {batch.pk}: waiting" in text and "approval approval" not in text
    assert "0123456789ab…" in text and digest not in text


def test_faulty_filter_shows_nothing_and_says_why(page: Client, batch: Batch) -> None:
    answer = page.get("/audit/?since=yesterday")
    assert answer.status_code == 422 and "Enter a valid date" in answer.content.decode()
    assert "Uploaded a list" not in answer.content.decode()


def test_pages_follow_one_another_without_gaps(page: Client, db: None) -> None:
    AuditEntry.objects.bulk_create(AuditEntry(action=AuditAction.PURGE, via="program") for _ in range(120))
    seen: list[int] = []
    cursor = ""
    while cursor is not None:
        answer = page.get(f"/api/audit?action=purge&limit=50&cursor={cursor}").json()
        seen += [entry["id"] for entry in answer["items"]]
        cursor = answer["next"]
    assert len(seen) == len(set(seen)) == 120 and seen == sorted(seen, reverse=True)
    first = page.get("/audit/?action=purge").content.decode()
    assert first.count("Purged old data</td>") == 50 and "Next page" in first


async def _read(user: User, path: str) -> tuple[int, bytes]:
    client = AsyncClient()
    await client.aforce_login(user)
    answer: Any = await client.get(path)
    return answer.status_code, b"".join([chunk async for chunk in answer.streaming_content])


def download(user: User, query: str = "") -> Iterator[dict[str, str]]:
    status, body = async_to_sync(_read)(user, f"/api/audit.csv{query}")
    assert status == 200, body
    return csv.DictReader(io.StringIO(body.decode("utf-8-sig")))


@pytest.mark.django_db(transaction=True)
def test_file_has_every_entry_and_no_formula(make_user: MakeUser) -> None:
    auditor = make_user("audrey", "Auditors")
    AuditEntry.objects.bulk_create(
        AuditEntry(action=AuditAction.PURGE, via="program", target_name="=1+1") for _ in range(2500)
    )
    rows = list(download(auditor, "?action=purge"))
    assert len(rows) == 2500 and {row["target_name"] for row in rows} == {"'=1+1"}
    entry = AuditEntry.objects.get(action=AuditAction.AUDIT_READ)
    assert entry.actor_id == auditor.pk and entry.details == {"search": {"action": "purge"}}


@pytest.mark.parametrize("path", ["/audit/", "/api/audit"])
def test_others_are_refused_and_that_is_written_down(path: str, client: Client, sender: User) -> None:
    client.force_login(permit(sender, Permission.VIEW_ALL_BATCHES))
    answer = client.get(path)
    assert answer.status_code == 403 and "You may not read the audit" in answer.content.decode()
    entry = AuditEntry.objects.get(action=AuditAction.AUDIT_READ)
    assert entry.is_refused and entry.actor_id == sender.pk


def test_link_is_shown_to_auditors_only(client: Client, sender: User, auditor: User) -> None:
    for user, is_shown in ((sender, False), (auditor, True)):
        client.force_login(user)
        assert ('href="/audit/"' in client.get("/batches/").content.decode()) is is_shown


def test_admin_marks_only_what_was_refused(client: Client, staff: User, batch: Batch) -> None:
    client.force_login(staff)
    allowed, refused = (f"/admin/batches/auditentry/?is_refused__exact={number}" for number in (0, 1))
    assert ">refused</td>" not in client.get(allowed).content.decode()
    client.logout()
    assert client.post("/accounts/login/", {"username": "nobody", "password": "wrong"}).status_code == 200
    client.force_login(staff)
    assert ">refused</td>" in client.get(refused).content.decode()
    assert "icon-no" not in client.get(allowed).content.decode()


def test_admin_lists_entries_and_changes_none(client: Client, staff: User, batch: Batch) -> None:
    client.force_login(staff)
    entry = AuditEntry.objects.get(action=AuditAction.UPLOAD)
    assert "uploaded a list" in client.get("/admin/batches/auditentry/").content.decode()
    text = client.get(f"/admin/batches/auditentry/{entry.pk}/change/").content.decode()
    assert 'name="_save"' not in text
    assert client.post(f"/admin/batches/auditentry/{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.get("/admin/batches/auditentry/add/").status_code == 403
