"""What can't be written down is not done: the entry and the act are in one transaction."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from batches.credentials import make_token
from batches.models import ApiToken, AuditEntry, Batch, BatchStatus, EmailJob, EmailTemplate, JobStatus
from tests.conftest import MakeBatch, MakeJob

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long one 42"
NEW = {"old_password": PASSWORD, "new_password1": "another 42 one", "new_password2": "another 42 one"}


@pytest.fixture
def full_audit() -> Iterator[Callable[[], None]]:
    """Let the audit take no entry from the call on."""

    def refuse() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE FUNCTION refuse_entry() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'The disk is full.' USING ERRCODE = 'disk_full'; END $$"
            )
            cursor.execute(
                "CREATE TRIGGER refuse_entry BEFORE INSERT ON batches_auditentry "
                "FOR EACH ROW EXECUTE FUNCTION refuse_entry()"
            )

    yield refuse
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER IF EXISTS refuse_entry ON batches_auditentry")
        cursor.execute("DROP FUNCTION IF EXISTS refuse_entry")


@pytest.fixture
def boss(staff: User) -> Client:
    """An administrator who has just signed in, and whom a 500 does not stop."""
    staff.set_password(PASSWORD)
    staff.save()
    client = Client(raise_request_exception=False)
    client.post("/accounts/login/", {"username": "staff", "password": PASSWORD})
    return client


def take_stock() -> dict[str, Any]:
    """Return what the acts below change."""
    return {
        "passwords": sorted(User.objects.values_list("username", "password", "is_active", "email")),
        "groups": sorted(User.groups.through.objects.values_list("user_id", "group_id")),
        "factors": sorted(Authenticator.objects.values_list("user_id", "type")),
        "tokens": sorted(ApiToken.objects.values_list("pk", flat=True)),
        "batches": sorted(Batch.objects.values_list("pk", "status")),
        "jobs": sorted(EmailJob.objects.values_list("pk", "status")),
        "templates": sorted(EmailTemplate.objects.values_list("key", "name", "is_default")),
        "entries": AuditEntry.objects.count(),
    }


def add_app(client: Client) -> None:
    text = client.get("/accounts/two-factor/totp/activate/").content.decode()
    found = re.search(r"<code>([A-Z2-7]{32})</code>", text)
    assert found
    code = format_hotp_value(hotp_value(found[1], int(time.time()) // 30))
    client.post("/accounts/two-factor/totp/activate/", {"code": code})


TOKEN = {"name": "x", "scopes": ["read"], "days": "7"}
LIST = b"email,name\nann@example.org,Ann\n"
USER = {"username": "sender", "is_active": "", "email": "new@example.org", "date_joined_0": "2026-01-01"}
ACTS: dict[str, Callable[[Client, dict[str, int]], object]] = {
    "password": lambda client, ids: client.post("/accounts/password/", NEW),
    "factor": lambda client, ids: add_app(client),
    "token": lambda client, ids: client.post("/accounts/tokens/", TOKEN),
    "revoked token": lambda client, ids: client.post(f"/accounts/tokens/{ids['token']}/revoke/"),
    "user in the admin": lambda client, ids: client.post(
        f"/admin/auth/user/{ids['sender']}/change/", {**USER, "date_joined_1": "10:00:00", "groups": [ids["group"]]}
    ),
    "password in the admin": lambda client, ids: client.post(
        f"/admin/auth/user/{ids['sender']}/password/",
        {"password1": "another 42 one", "password2": "another 42 one", "usable_password": "true"},
    ),
    "group of a shell": lambda client, ids: User.objects.get(username="sender").groups.add(ids["group"]),
    "upload": lambda client, ids: client.post("/api/upload", {"file": SimpleUploadedFile("a.csv", LIST), "draft": "1"}),
    "send": lambda client, ids: client.post(f"/api/batches/{ids['draft']}/send", {}, content_type="application/json"),
    "discard": lambda client, ids: client.post(f"/batches/{ids['draft']}/review/discard/"),
    "pause": lambda client, ids: client.post(f"/batches/{ids['live']}/pause/"),
    "cancel": lambda client, ids: client.post(f"/batches/{ids['live']}/cancel/"),
    "template": lambda client, ids: client.post(
        "/templates/welcome_email/edit/", {"name": "Other", "subject": "S", "text": "T"}
    ),
    "deleted template": lambda client, ids: client.post("/templates/other/delete/"),
}


@pytest.mark.parametrize("act", ACTS)
def test_nothing_is_done_when_it_can_not_be_written_down(
    act: str,
    boss: Client,
    staff: User,
    sender: User,
    full_audit: Callable[[], None],
    welcome: EmailTemplate,
    make_batch: MakeBatch,
    make_job: MakeJob,
) -> None:
    live = make_batch(BatchStatus.PENDING, pending=1, owner=staff)
    make_job(live, JobStatus.QUEUED)
    draft = make_batch(pending=1, owner=staff)
    make_token(staff, name="old")
    ids = {
        "token": ApiToken.objects.get().pk,
        "sender": sender.pk,
        "group": Group.objects.get_or_create(name="Auditors")[0].pk,
        "draft": draft.pk,
        "live": live.pk,
    }
    EmailTemplate.objects.create(key="other", name="Other", subject="S", text="T", owner=staff)
    full_audit()
    before = take_stock()
    try:
        ACTS[act](boss, ids)
    except Exception as exc:  # a shell sees it
        assert "disk is full" in str(exc)
    assert take_stock() == before
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER refuse_entry ON batches_auditentry")
    ACTS[act](boss, ids)
    assert take_stock() != before  # the test can fail
