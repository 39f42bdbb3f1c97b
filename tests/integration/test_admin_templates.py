"""Templates in the admin: who may change one, and that a save there is a version too."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission as StoredPermission
from django.contrib.auth.models import User
from django.test import Client

from batches.models import AuditAction, AuditEntry, EmailTemplate
from batches.template_versions import save_template
from tests.conftest import MakeUser, join_groups

PARTS = {"key": "council", "name": "Council", "subject": "S", "html": "", "text": "One"}
LIST = "/admin/batches/emailtemplate/"


@pytest.fixture
def clerk(make_user: MakeUser) -> User:
    """A user whom Django's own permissions let change and delete templates in the admin."""
    user = make_user("clerk", "Senders", is_staff=True)
    names = ("add_emailtemplate", "change_emailtemplate", "delete_emailtemplate", "view_emailtemplate")
    user.user_permissions.set(StoredPermission.objects.filter(codename__in=names))
    return User.objects.get(pk=user.pk)


@pytest.fixture
def admin(client: Client, clerk: User) -> Client:
    client.force_login(clerk)
    return client


@pytest.fixture
def theirs(sender: User) -> EmailTemplate:
    template = EmailTemplate(**PARTS)
    save_template(template, by=sender)
    return template


def test_key_is_not_the_number_of_another_template(admin: Client, theirs: EmailTemplate) -> None:
    page = admin.post(f"{LIST}add/", PARTS | {"key": str(theirs.pk)}).content.decode()
    assert "A key of digits alone would be taken for the number of a template." in page
    EmailTemplate.objects.filter(pk=theirs.pk).update(key="2024")  # as an earlier release allowed
    join_groups(User.objects.get(username="clerk"), "Template editors")
    assert admin.post(f"{LIST}{theirs.pk}/change/", PARTS | {"key": "2024", "text": "Two"}).status_code == 302


def test_save_in_the_admin_is_a_version(admin: Client, clerk: User) -> None:
    assert admin.post(f"{LIST}add/", PARTS).status_code == 302
    template = EmailTemplate.objects.get()
    assert admin.post(f"{LIST}{template.pk}/change/", PARTS | {"text": "Two"}).status_code == 302
    template.refresh_from_db()
    assert (template.owner, template.version) == (clerk, 2)
    assert list(template.versions.order_by("number").values_list("text", "saved_by")) == [
        ("One", clerk.pk),
        ("Two", clerk.pk),
    ]


def test_template_of_another_user_is_only_read_in_the_admin(admin: Client, theirs: EmailTemplate) -> None:
    page = admin.get(f"{LIST}{theirs.pk}/change/").content.decode()
    assert 'name="_save"' not in page
    assert admin.post(f"{LIST}{theirs.pk}/change/", PARTS | {"text": "Evil"}).status_code == 403
    assert admin.post(f"{LIST}{theirs.pk}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "make_default", "_selected_action": [theirs.pk]}
    admin.post(LIST, chosen)
    admin.post(LIST, chosen | {"action": "delete_selected", "post": "yes"})
    theirs.refresh_from_db()
    assert (theirs.text, theirs.is_default) == ("One", False)


def test_template_editor_changes_deletes_and_chooses_the_default(
    admin: Client, clerk: User, theirs: EmailTemplate
) -> None:
    join_groups(clerk, "Template editors")
    admin.post(f"{LIST}{theirs.pk}/change/", PARTS | {"text": "Better"})
    admin.post(LIST, {"action": "make_default", "_selected_action": [theirs.pk]})
    theirs.refresh_from_db()
    assert (theirs.text, theirs.is_default, theirs.owner and theirs.owner.username) == ("Better", True, "sender")
    admin.post(f"{LIST}{theirs.pk}/delete/", {"post": "yes"})
    assert not EmailTemplate.objects.exists()
    assert AuditEntry.objects.filter(action=AuditAction.TEMPLATE_DELETE).count() == 1
