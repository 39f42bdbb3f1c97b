"""The audit: each act leaves an entry that names its actor, and nothing changes an entry."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import ProgrammingError, connection, transaction
from django.test import Client
from django.utils import timezone

from batches import audit
from batches.credentials import make_token
from batches.jobs import lifecycle
from batches.management.command import find_system_user
from batches.models import (
    AuditAction,
    AuditEntry,
    Batch,
    BatchStatus,
    EmailTemplate,
    JobStatus,
    TokenScope,
)
from tests.conftest import MakeBatch, MakeJob

PEOPLE = "email,name\nann@example.com,Ann Tulip\nbob@example.com,Bob Tulip\nnobody,Cyd\n"
SUBJECT = "A secret subject"


def last(action: AuditAction) -> AuditEntry:
    entry = AuditEntry.objects.filter(action=action).order_by("-pk").first()
    assert entry is not None, f"no entry {action}: {list(AuditEntry.objects.values_list('action', flat=True))}"
    return entry


@pytest.fixture
def page(client: Client, sender: User) -> Client:
    client.force_login(sender)
    return client


@pytest.fixture
def admin(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


def upload(client: Client, **more: Any) -> Batch:
    data = {"file": io.BytesIO(PEOPLE.encode()), "draft": "true", "templateId": "welcome_email"}
    data["file"].name = "list of ann@example.com.csv"  # type: ignore[attr-defined]
    answer = client.post("/api/upload", data, **more)
    assert answer.status_code == 202, answer.content
    return Batch.objects.get(pk=answer.json()["batchId"])


# --- who acts ---------------------------------------------------------------------------------------------


def test_page_names_its_user_and_the_address_of_the_client(
    page: Client, sender: User, make_batch: MakeBatch, make_job: MakeJob, settings: LazySettings
) -> None:
    settings.TRUSTED_PROXY_COUNT = 1
    batch = make_batch(BatchStatus.PROCESSING, pending=1)
    make_job(batch, JobStatus.PROCESSING)
    page.post(f"/batches/{batch.pk}/pause/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="198.51.100.1, 192.0.2.7")
    entry = last(AuditAction.PAUSE)
    assert (entry.actor_id, entry.actor_name, entry.via, entry.client) == (sender.pk, "sender", "page", "192.0.2.7")
    assert (entry.target, entry.target_id, entry.batch_id) == ("batch", str(batch.pk), batch.pk)
    assert not entry.is_refused


def test_api_names_its_token(client: Client, sender: User, welcome: EmailTemplate) -> None:
    token = make_token(sender, name="nightly")
    batch = upload(client, HTTP_AUTHORIZATION=f"Bearer {token}")
    entry = last(AuditAction.UPLOAD)
    assert (entry.actor_id, entry.via, entry.batch_id) == (sender.pk, "token nightly", batch.pk)
    assert entry.details["count"] == 2 and entry.details["rejected"] == 1


def test_admin_is_a_door_of_its_own(admin: Client, staff: User, make_batch: MakeBatch, make_job: MakeJob) -> None:
    batch = make_batch(BatchStatus.PROCESSING, pending=1)
    make_job(batch, JobStatus.PROCESSING)
    admin.post("/admin/batches/batch/", {"action": "cancel", "_selected_action": [batch.pk]})
    entry = last(AuditAction.CANCEL)
    assert (entry.actor_id, entry.via, entry.batch_id) == (staff.pk, "admin", batch.pk)


def test_command_names_itself_and_the_user_of_the_system(tmp_path: Path, welcome: EmailTemplate) -> None:
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE)
    call_command("sendbatch", str(path), "--template", "welcome_email", stdout=io.StringIO(), stderr=io.StringIO())
    for action in (AuditAction.UPLOAD, AuditAction.SEND):
        entry = last(action)
        assert (entry.actor_id, entry.actor_name, entry.via) == (None, find_system_user(), "command sendbatch")


def test_program_acts_where_no_door_names_anybody(make_batch: MakeBatch, make_job: MakeJob) -> None:
    batch = make_batch(BatchStatus.PROCESSING, pending=1)
    make_job(batch, JobStatus.PROCESSING)
    lifecycle.pause_batch(batch)
    assert (last(AuditAction.PAUSE).via, last(AuditAction.PAUSE).actor_id) == ("program", None)


def test_actor_of_a_request_is_forgotten_after_it(page: Client, db: None) -> None:
    page.get("/batches/")
    assert audit.current_actor() == audit.PROGRAM


@pytest.mark.parametrize("client_address", ["", "unix:", "fe80::1%eth0", "::ffff:192.0.2.1", "192.0.2.1"])
def test_entry_is_written_whatever_the_client_address_is(client_address: str, db: None) -> None:
    with audit.acting_as(audit.Actor(via="page", client=client_address)):
        entry = audit.record(AuditAction.SIGN_OUT)
    entry.refresh_from_db()
    assert entry.client in (None, "fe80::1", "::ffff:192.0.2.1", "192.0.2.1")


# --- what is written down ---------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_each_act_of_a_batch_is_written_down(page: Client, welcome: EmailTemplate) -> None:
    batch = upload(page)
    steps: list[tuple[AuditAction, Callable[[], Any]]] = [
        (AuditAction.LIST_CHANGE, lambda: post_file(page, f"/api/batches/{batch.pk}/rows")),
        (AuditAction.DOWNLOAD, lambda: page.get(f"/api/batches/{batch.pk}/rejected.csv")),
        (AuditAction.SEND, lambda: page.post(f"/api/batches/{batch.pk}/send", json.dumps({"subject": SUBJECT}), JSON)),
        (AuditAction.PAUSE, lambda: page.post(f"/api/batches/{batch.pk}/pause")),
        (AuditAction.RESUME, lambda: page.post(f"/api/batches/{batch.pk}/resume")),
        (AuditAction.CANCEL, lambda: page.post(f"/api/batches/{batch.pk}/cancel")),
        (AuditAction.REPLAY, lambda: page.post(f"/api/batches/{batch.pk}/replay", '{"which": "unsent"}', JSON)),
        (AuditAction.DOWNLOAD, lambda: page.get(f"/api/batches/{batch.pk}/results.csv")),
    ]
    for action, act in steps:
        before = AuditEntry.objects.filter(batch_id=batch.pk).count()
        answer = act()
        assert answer.status_code in (200, 202), (action, answer.content)
        assert AuditEntry.objects.filter(batch_id=batch.pk).count() == before + 1, action
        assert last(action).batch_id == batch.pk
    assert last(AuditAction.SEND).details["template"] == "welcome_email"
    assert last(AuditAction.REPLAY).details["job_kind"] == "unsent"


JSON = "application/json"


def post_file(client: Client, path: str) -> Any:
    file = io.BytesIO(b"email,name\ndora@example.com,Dora\n")
    file.name = "more.csv"
    return client.post(path, {"file": file})


def test_review_is_written_down_once_for_what_was_seen(page: Client, welcome: EmailTemplate) -> None:
    batch = upload(page)
    seen = []
    for subject in ("", "", SUBJECT, ""):
        assert page.get(f"/batches/{batch.pk}/review/", {"subject": subject}).status_code == 200
        seen.append(page.get(f"/api/batches/{batch.pk}/review", {"subject": subject}).json()["digest"])
    reviews = AuditEntry.objects.filter(action=AuditAction.REVIEW, batch_id=batch.pk)
    assert len(set(seen)) == 2 and {entry.details["digest"] for entry in reviews} >= set(seen)
    assert 2 <= reviews.count() <= 4  # a page's digest may leave out what its form has


def test_discarded_draft_is_named_although_it_is_gone(page: Client, welcome: EmailTemplate) -> None:
    batch = upload(page)
    page.post(f"/batches/{batch.pk}/review/discard/")
    assert not Batch.objects.exists()
    assert last(AuditAction.DISCARD).batch_id == batch.pk and last(AuditAction.DISCARD).details["count"] == 2


def test_test_message_is_written_down_with_its_draft(page: Client, welcome: EmailTemplate) -> None:
    batch = upload(page)
    answer = page.post(
        f"/batches/{batch.pk}/review/test/", {"template": welcome.key, "to": "me@example.com", "subject": SUBJECT}
    )
    assert answer.status_code == 302
    assert last(AuditAction.TEST).batch_id == batch.pk
    assert Batch.objects.filter(pk=last(AuditAction.TEST).details["test_batch"]).exists()


@pytest.mark.django_db(transaction=True)
def test_entries_hold_no_address_subject_or_value_of_a_recipient(page: Client, welcome: EmailTemplate) -> None:
    test_each_act_of_a_batch_is_written_down(page, welcome)
    test_test_message_is_written_down_with_its_draft(page, welcome)
    with connection.cursor() as cursor:
        cursor.execute("SELECT batches_auditentry::text FROM batches_auditentry")
        text = "\n".join(row for (row,) in cursor.fetchall())
    for value in ("@example.com", "Tulip", SUBJECT, "me@"):
        assert value not in text


def test_act_that_is_rolled_back_leaves_no_entry(make_batch: MakeBatch, make_job: MakeJob) -> None:
    batch = make_batch(BatchStatus.PROCESSING, pending=1)
    make_job(batch, JobStatus.PROCESSING)
    with pytest.raises(RuntimeError), transaction.atomic():
        lifecycle.pause_batch(batch)
        raise RuntimeError
    assert not AuditEntry.objects.filter(action=AuditAction.PAUSE).exists()


def test_same_review_is_written_down_once(make_batch: MakeBatch, sender: User, staff: User) -> None:
    batch = make_batch()
    for user, digest in ((sender, "a"), (sender, "a"), (sender, "b"), (staff, "a"), (sender, "b")):
        with audit.acting_as(audit.Actor.of_user(user, via="page")):
            audit.record_once(AuditAction.REVIEW, batch, digest=digest)
    reviews = AuditEntry.objects.filter(action=AuditAction.REVIEW)
    assert sorted((each.actor_name, each.details["digest"]) for each in reviews) == [
        ("sender", "a"),
        ("sender", "b"),
        ("staff", "a"),
    ]


# --- what is refused --------------------------------------------------------------------------------------


def test_refused_request_of_a_user_is_written_down(page: Client, sender: User, make_batch: MakeBatch) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=1)
    assert page.post(f"/api/batches/{batch.pk}/pause").status_code == 409
    entry = last(AuditAction.PAUSE)
    assert (entry.is_refused, entry.batch_id, entry.actor_id, entry.details["status"]) == (
        True,
        batch.pk,
        sender.pk,
        409,
    )


def test_token_without_the_scope_is_written_down(client: Client, sender: User, make_batch: MakeBatch) -> None:
    token = make_token(sender, name="reader", scopes=[TokenScope.READ])
    batch = make_batch(pending=1)
    answer = client.post(f"/api/batches/{batch.pk}/send", HTTP_AUTHORIZATION=f"Bearer {token}")
    assert answer.status_code == 403
    entry = last(AuditAction.SEND)
    assert (entry.is_refused, entry.via, entry.batch_id) == (True, "token reader", batch.pk)


def test_admin_that_refuses_is_written_down(client: Client, sender: User) -> None:
    User.objects.filter(pk=sender.pk).update(is_staff=True)
    client.force_login(sender)
    assert client.get("/admin/auth/user/").status_code == 403
    assert (last(AuditAction.ADMIN_READ).is_refused, last(AuditAction.ADMIN_READ).via) == (True, "admin")
    assert client.post("/admin/auth/user/add/", {}).status_code == 403
    assert (last(AuditAction.ADMIN_CHANGE).is_refused, last(AuditAction.ADMIN_CHANGE).via) == (True, "admin")


def test_stranger_can_not_fill_the_audit(client: Client, db: None) -> None:
    before = AuditEntry.objects.count()
    for path in ("/api/batches", "/api/batches/1/send", "/admin/", "/batches/1/pause/", "/nothing/"):
        client.get(path)
        client.post(path)
    assert AuditEntry.objects.count() == before


# --- what stays -------------------------------------------------------------------------------------------


@pytest.fixture
def entry(db: None) -> AuditEntry:
    return audit.record(AuditAction.SIGN_OUT)


@pytest.mark.parametrize(
    "change",
    [
        lambda: AuditEntry.objects.update(actor_name="nobody"),
        lambda: AuditEntry.objects.all().delete(),
        lambda: AuditEntry.objects.all()._raw_delete("default"),
    ],
)
def test_entry_can_not_be_changed_or_deleted(change: Callable[[], object], entry: AuditEntry) -> None:
    with pytest.raises(ProgrammingError, match="only grows"), transaction.atomic():
        change()
    assert AuditEntry.objects.filter(pk=entry.pk, actor_name="").exists()


def test_old_entries_go_when_they_are_to_be_kept_no_longer(entry: AuditEntry) -> None:
    now = timezone.now()
    AuditEntry.objects.bulk_create(
        AuditEntry(action=AuditAction.SIGN_OUT, via="page", at=now - timedelta(days=days))
        for days in (400, 380, 40, 20)
    )
    assert audit.delete_older(now - timedelta(days=365), limit=1) == 1
    assert audit.delete_older(now - timedelta(days=365)) == 1
    assert audit.delete_older(now) == 1, "an entry of the last 30 days went, or an older one stayed"
    assert AuditEntry.objects.filter(via="page").count() == 1 and AuditEntry.objects.filter(pk=entry.pk).exists()


def test_purge_deletes_old_entries_by_a_time_of_their_own(entry: AuditEntry, settings: LazySettings) -> None:
    settings.AUDIT_RETENTION_DAYS, settings.RETENTION_DAYS = 365, 0
    now = timezone.now()
    AuditEntry.objects.bulk_create(
        AuditEntry(action=AuditAction.SIGN_OUT, via="page", at=now - timedelta(days=days)) for days in (400, 380, 300)
    )
    stdout = io.StringIO()
    call_command("purge", stdout=stdout)
    assert "Entries of the audit removed: 2." in stdout.getvalue()
    assert AuditEntry.objects.filter(via="page").count() == 1
    assert last(AuditAction.PURGE).details["removed"] == {"audit entries": 2}
