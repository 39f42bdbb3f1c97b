"""What Django does by itself is in the audit: signing in, passwords, users, groups, and changes in the admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group, User
from django.test import Client

from batches.models import AuditAction, AuditEntry, Batch, BatchStatus, EmailTemplate, Relay, Sender
from tests.conftest import MakeBatch, MakeSender
from tests.integration.test_audit import SUBJECT, last


@pytest.fixture
def admin(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


def test_signing_in_and_out_is_written_down(client: Client, sender: User) -> None:
    client.force_login(sender)
    assert (last(AuditAction.SIGN_IN).target_id, last(AuditAction.SIGN_IN).is_refused) == (str(sender.pk), False)
    client.post("/accounts/logout/")
    assert last(AuditAction.SIGN_OUT).target_name == "sender"


@pytest.mark.parametrize(("name", "known"), [("sender", True), ("\uff53ender", True), ("my-password-1", False)])
def test_wrong_password_is_written_down_without_what_was_typed(name: str, known: bool, sender: User, rf: Any) -> None:
    assert authenticate(rf.post("/"), username=name, password="typed-password") is None
    entry = last(AuditAction.SIGN_IN)
    assert entry.is_refused and entry.details == {"by": "password", "is_known_name": known}
    assert entry.target_name == ("sender" if known else "")


def test_new_password_is_written_down_by_whatever_door(sender: User) -> None:
    sender.set_password("a-new-password")
    sender.save()
    assert last(AuditAction.PASSWORD_CHANGE).target_id == str(sender.pk)


@pytest.mark.parametrize("flag", ["is_active", "is_staff", "is_superuser"])
def test_flag_of_a_user_is_written_down(flag: str, sender: User) -> None:
    before = AuditEntry.objects.filter(action=AuditAction.USER_CHANGE).count()
    sender.save()
    assert AuditEntry.objects.filter(action=AuditAction.USER_CHANGE).count() == before
    setattr(sender, flag, not getattr(sender, flag))
    sender.save()
    entry = last(AuditAction.USER_CHANGE)
    assert entry.details["changed"] == [flag] and entry.details[flag] == getattr(sender, flag)


def test_groups_and_permissions_are_written_down(admin: Client, sender: User) -> None:
    group = Group.objects.create(name="Readers")
    sender.groups.add(group)
    assert last(AuditAction.PERMISSION_CHANGE).details["act"] == "add"
    assert last(AuditAction.PERMISSION_CHANGE).target_name == "sender"
    sender.groups.remove(group)
    assert last(AuditAction.PERMISSION_CHANGE).details == {
        "act": "remove",
        "relation": "user_groups",
        "ids": [group.pk],
    }
    group.delete()
    assert last(AuditAction.PERMISSION_CHANGE).details["act"] == "delete"


def test_change_in_the_admin_is_written_down(admin: Client, make_sender: MakeSender) -> None:
    office = make_sender("office", "The Office")
    form = {"key": "office", "display_name": "New Office", "address": office.address, "reply_to": ""}
    assert admin.post(f"/admin/batches/sender/{office.pk}/change/", form).status_code == 302
    entry = last(AuditAction.SENDER_CHANGE)
    assert entry.details["act"] == "change" and entry.details["id"] == str(office.pk) and entry.via == "admin"
    assert entry.details["changed"] == ["Display name"]


def test_each_act_of_a_template_is_written_down_once(admin: Client, welcome: EmailTemplate) -> None:
    form = {"name": "News", "key": "news", "subject": SUBJECT, "text": "Hello", "html": "", "sender": ""}
    form_of_admin = {**form, "name": "Newer", "key": "newer", "_save": "Save"}
    steps: list[tuple[AuditAction, str, dict[str, str]]] = [
        (AuditAction.TEMPLATE_CHANGE, "/templates/new/", form),
        (AuditAction.TEMPLATE_CHANGE, "/templates/news/edit/", {**form, "text": "Hello again"}),
        (AuditAction.TEMPLATE_CHANGE, "/admin/batches/emailtemplate/add/", form_of_admin),
        (AuditAction.TEMPLATE_DEFAULT, "/templates/news/default/", {}),
        (AuditAction.TEMPLATE_DELETE, "/templates/newer/delete/", {}),
    ]
    for action, path, data in steps:
        before = AuditEntry.objects.count()
        answer = admin.post(path, data)
        assert answer.status_code == 302, (path, answer.content)
        assert AuditEntry.objects.count() == before + 1, path
        assert (last(action).target, last(action).is_refused) == ("emailtemplate", False)


def test_deletion_of_several_objects_is_written_down_one_by_one(admin: Client, make_sender: MakeSender) -> None:
    senders = [make_sender("one"), make_sender("two")]
    data = {"action": "delete_selected", "_selected_action": [each.pk for each in senders], "post": "yes"}
    admin.post("/admin/batches/sender/", data)
    assert not Sender.objects.filter(key__in=["one", "two"]).exists()
    deleted = AuditEntry.objects.filter(action=AuditAction.SENDER_CHANGE, details__act="delete")
    assert sorted(deleted.values_list("target_name", flat=True)) == ["one", "two"]


def test_switched_relay_is_written_down(admin: Client, db: None) -> None:
    relay = Relay.objects.first() or Relay.objects.create(name="default")
    admin.post("/admin/batches/relay/", {"action": "disable", "_selected_action": [relay.pk]})
    assert (last(AuditAction.RELAY_CHANGE).target_name, last(AuditAction.RELAY_CHANGE).details["act"]) == (
        relay.name,
        "disable",
    )


@pytest.mark.parametrize(
    ("term", "details"),
    [
        ("person2@example.org", {"person"}),
        ("person2@*", {"by"}),
        ("", set()),
    ],
)
def test_search_for_a_person_in_the_admin_is_written_down(
    term: str, details: set[str], admin: Client, make_batch: MakeBatch
) -> None:
    make_batch(BatchStatus.COMPLETED, sent=2)
    assert admin.get("/admin/batches/email/", {"q": term}).status_code == 200
    found = AuditEntry.objects.filter(action=AuditAction.PERSON_SEARCH)
    assert [set(entry.details) for entry in found] == ([details] if term else [])
    assert "person2" not in str([entry.details for entry in found])


def test_deleted_batch_is_written_down(admin: Client, make_batch: MakeBatch) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=2)
    admin.post("/admin/batches/batch/", {"action": "delete_selected", "_selected_action": [batch.pk], "post": "yes"})
    assert not Batch.objects.exists()
    entry = AuditEntry.objects.get(action=AuditAction.ADMIN_CHANGE, batch_id=batch.pk)
    assert entry.details == {"act": "delete", "count": 2}
