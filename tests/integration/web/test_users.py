"""The pages of users: the list, the invitation, the rights that are given, and each refusal."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from allauth.mfa.models import Authenticator
from django.conf import LazySettings
from django.contrib.auth.models import Group, Permission, User
from django.core import mail
from django.db import connections
from django.test import Client
from django.urls import reverse

from batches import factors, user_accounts
from batches.models import AuditAction, AuditEntry, BatchStatus, JobStatus
from tests.conftest import MakeBatch, MakeJob, MakeUser
from tests.integration.accounts.test_proof import make_proof_older

PASSWORD = "a long one 4711"


@pytest.fixture(autouse=True)
def outbox(settings: LazySettings) -> None:
    """Send mail to the list ``mail.outbox`` of Django."""
    settings.SEND_BACKEND = "django.core.mail.backends.locmem.EmailBackend"


def sign_in(user: User) -> Client:
    """Sign in with the password, which is the proof that changes ask for."""
    user.set_password(PASSWORD)
    user.save()
    client = Client()
    client.post(reverse("login"), {"username": user.username, "password": PASSWORD})
    return client


@pytest.fixture
def admin(staff: User) -> Client:
    return sign_in(staff)


@pytest.fixture
def manager(make_user: MakeUser) -> User:
    """A user who may send and manage users, and is no administrator."""
    user = make_user("manager", "Senders")
    user.user_permissions.add(Permission.objects.get(codename="change_user"))
    return User.objects.get(pk=user.pk)


def change(client: Client, user: User, what: str, **form: object) -> str:
    """Post a change, and return the text of the page that follows."""
    answer = client.post(reverse(f"user-{what}", args=[user.pk]), form, follow=True)
    return answer.content.decode()


def invite(client: Client, **form: object) -> str:
    answer = client.post(reverse("users"), {"email": "new@example.org", **form}, follow=True)
    return answer.content.decode()


def read_link(text: str) -> str:
    found = re.search(r"https?://[^\s<]+/join/[^\s<]+", text)
    assert found, text
    return urlsplit(found[0]).path


def test_users_are_listed_and_found_when_a_manager_searches(admin: Client, make_user: MakeUser) -> None:
    make_user("zoe", "Senders", first_name="Zoë", last_name="Meyer")
    make_user("kofi", is_active=False)
    text = admin.get(reverse("users")).content.decode()
    assert "Zoë Meyer" in text and "kofi" in text and "locked" in text
    found = admin.get(reverse("users"), {"q": "zoë mey"}).content.decode()
    assert "Zoë Meyer" in found and "kofi@example.org" not in found


def test_page_is_refused_when_the_user_may_not_manage_users(page: Client, staff: User) -> None:
    assert page.get(reverse("users")).status_code == 403
    assert page.get(reverse("user", args=[staff.pk])).status_code == 403
    for what in ("invite", "groups", "lock", "unlock", "factors", "promote", "demote"):
        assert page.post(reverse(f"user-{what}", args=[staff.pk])).status_code == 403
    assert page.post(reverse("users"), {"email": "new@example.org"}).status_code == 403


def test_change_asks_for_a_proof_when_the_last_one_is_old(admin: Client, sender: User) -> None:
    make_proof_older(admin, seconds=3600)
    answer = admin.post(reverse("user-lock", args=[sender.pk]))
    assert answer.headers["Location"].startswith("/accounts/reauthenticate/")
    sender.refresh_from_db()
    assert sender.is_active


def test_user_joins_when_the_link_of_the_invitation_is_opened(admin: Client) -> None:
    senders = Group.objects.get(name="Senders")
    text = invite(admin, first_name="Nia", groups=[senders.pk])
    assert "An invitation is on its way to new@example.org." in text
    user = User.objects.get(email="new@example.org")
    assert (user.username, list(user.groups.all())) == ("new@example.org", [senders])
    [note] = mail.outbox
    assert note.to == ["new@example.org"]
    link = read_link(str(note.body))
    stranger = Client()
    form_page = stranger.get(link, follow=True)
    address = form_page.redirect_chain[-1][0]
    assert link not in form_page.content.decode()  # the token is in the session now
    form = {"new_password1": PASSWORD, "new_password2": PASSWORD}
    assert "Your password is set." in stranger.post(address, form, follow=True).content.decode()
    assert User.objects.get(pk=user.pk).check_password(PASSWORD)
    assert "does not work any more" in Client().get(link, follow=True).content.decode()
    assert AuditEntry.objects.filter(action=AuditAction.USER_CHANGE, details__act="invite").exists()


def test_link_is_shown_once_when_the_mail_does_not_go_out(admin: Client, settings: LazySettings) -> None:
    settings.SEND_BACKEND = "no.such.Backend"
    text = invite(admin)
    assert "The email did not go out." in text
    link = read_link(text)
    assert "Choose a password" in Client().get(link, follow=True).content.decode()
    user = User.objects.get(email="new@example.org")
    assert "/join/" not in admin.get(reverse("user", args=[user.pk])).content.decode()


def test_link_ends_when_it_is_old_changed_or_the_user_is_locked(admin: Client, settings: LazySettings) -> None:
    invite(admin)
    link = read_link(str(mail.outbox[0].body))
    changed = link[:-3] + ("a/" if link[-3] != "a" else "b/")
    user = User.objects.get(email="new@example.org")
    assert "does not work any more" in Client().get(changed, follow=True).content.decode()
    change(admin, user, "lock")
    assert "does not work any more" in Client().get(link, follow=True).content.decode()
    change(admin, user, "unlock")
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert "does not work any more" in Client().get(link, follow=True).content.decode()


def test_link_ends_when_its_user_becomes_an_administrator(manager: User) -> None:
    """The manager may have the link, and must not choose the password of somebody who may do everything."""
    invite(sign_in(manager))
    link = read_link(str(mail.outbox[0].body))
    User.objects.filter(email="new@example.org").update(is_superuser=True)
    assert "does not work any more" in Client().get(link, follow=True).content.decode()


def test_invitation_is_sent_again_only_when_the_user_has_not_joined(admin: Client, sender: User) -> None:
    invite(admin)
    user = User.objects.get(email="new@example.org")
    assert "An invitation is on its way" in change(admin, user, "invite")
    assert len(mail.outbox) == 2
    sender.set_password(PASSWORD)
    sender.save()
    assert "has joined already" in change(admin, sender, "invite")
    assert len(mail.outbox) == 2


def test_invitation_is_refused_when_there_is_such_a_user(admin: Client, sender: User) -> None:
    for form in ({"email": "SENDER@example.org"}, {"username": "Sender"}, {"email": "no address"}):
        assert admin.post(reverse("users"), {"email": "new@example.org", **form}).status_code == 422
    assert not mail.outbox


def test_longer_name_is_asked_for_when_the_address_is_no_user_name(admin: Client) -> None:
    long = f"{'n' * 60}@{'.'.join(['e' * 60] * 2)}.org"
    answer = admin.post(reverse("users"), {"email": long})
    assert answer.status_code == 422 and "at most 150 characters" in answer.content.decode()
    assert "An invitation is on its way" in invite(admin, email=long, username="nia")


@pytest.mark.django_db(transaction=True)
def test_one_user_is_made_when_the_button_is_pressed_twice(staff: User) -> None:
    def press() -> str:
        try:
            address = "new@example.org"
            return user_accounts.invite(staff, username=address, email=address, names=("", ""), groups=[]).username
        except user_accounts.UserRefused as exc:
            return str(exc)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        answers = [press.result() for press in [pool.submit(press) for _ in range(4)]]
    assert sorted(answers) == ["There is a user with this name or address already."] * 3 + ["new@example.org"]
    assert User.objects.filter(email="new@example.org").count() == 1


def test_groups_are_changed_and_written_down_when_a_manager_saves_them(admin: Client, sender: User) -> None:
    approvers = Group.objects.get(name="Approvers")
    assert "Saved: what sender may do." in change(admin, sender, "groups", groups=[approvers.pk])
    assert list(sender.groups.all()) == [approvers]
    assert AuditEntry.objects.filter(action=AuditAction.PERMISSION_CHANGE, target_id=sender.pk).exists()


def test_no_more_rights_are_given_than_the_manager_has(manager: User, make_user: MakeUser) -> None:
    client = sign_in(manager)
    other = make_user("other")
    approvers, senders = Group.objects.get(name="Approvers"), Group.objects.get(name="Senders")
    shown = client.get(reverse("user", args=[other.pk])).content.decode()
    assert "Senders: may send email to lists" in shown and "Approvers" not in shown
    assert "none that you may give" in change(client, other, "groups", groups=[approvers.pk])
    assert client.post(reverse("users"), {"email": "n@example.org", "groups": [approvers.pk]}).status_code == 422
    assert not other.groups.exists() and not User.objects.filter(email="n@example.org").exists()
    change(client, other, "groups", groups=[senders.pk])
    assert list(other.groups.all()) == [senders]


@pytest.mark.parametrize("what", ["groups", "lock", "factors"])
def test_change_is_refused_when_the_other_may_do_more(
    manager: User, staff: User, make_user: MakeUser, what: str
) -> None:
    client = sign_in(manager)
    for other in (staff, make_user("auditor", "Auditors")):
        before = set(other.groups.all())
        assert "may do more than you" in change(client, other, what)
        other.refresh_from_db()
        assert other.is_active and set(other.groups.all()) == before


def test_locked_user_with_more_rights_is_not_unlocked_by_a_manager(manager: User, make_user: MakeUser) -> None:
    other = make_user("auditor", "Auditors", is_active=False)
    assert "may do more than you" in change(sign_in(manager), other, "unlock")
    other.refresh_from_db()
    assert not other.is_active


def test_jobs_pause_when_a_user_is_locked(
    admin: Client, sender: User, make_batch: MakeBatch, make_job: MakeJob
) -> None:
    job = make_job(make_batch(BatchStatus.PROCESSING, pending=1), JobStatus.PROCESSING, created_by=sender)
    assert "is locked" in change(admin, sender, "lock")
    job.refresh_from_db()
    sender.refresh_from_db()
    assert (sender.is_active, job.status) == (False, JobStatus.PAUSED)
    assert "may sign in again" in change(admin, sender, "unlock")


def test_own_account_is_not_locked(admin: Client, staff: User) -> None:
    assert "You can&#x27;t lock your own account." in change(admin, staff, "lock")
    staff.refresh_from_db()
    assert staff.is_active


def test_last_administrator_is_not_locked(make_user: MakeUser, staff: User) -> None:
    second = make_user("second", is_superuser=True)
    client = sign_in(second)
    assert "is locked" in change(client, staff, "lock")
    assert not User.objects.get(pk=staff.pk).is_active
    third = sign_in(User.objects.get(pk=second.pk))
    assert "You can&#x27;t lock your own account." in change(third, second, "lock")
    assert User.objects.get(pk=second.pk).is_active


def test_administrator_is_made_and_unmade_when_an_administrator_does_it(admin: Client, sender: User) -> None:
    assert "Make an administrator" in admin.get(reverse("user", args=[sender.pk])).content.decode()
    assert "sender is an administrator now" in change(admin, sender, "promote")
    sender.refresh_from_db()
    assert (sender.is_superuser, sender.is_staff) == (True, True)
    assert AuditEntry.objects.filter(action=AuditAction.USER_CHANGE, details__is_superuser=True).exists()
    assert "sender is no administrator any more" in change(admin, sender, "demote")
    sender.refresh_from_db()
    assert (sender.is_superuser, sender.is_staff) == (False, False)


def test_former_administrator_keeps_the_admin_when_the_form_says_so(admin: Client, sender: User) -> None:
    for keeps, way_in in (({"keeps_admin_pages": "on"}, True), ({}, False)):
        change(admin, sender, "promote")
        change(admin, sender, "demote", **keeps)
        sender.refresh_from_db()
        assert (sender.is_superuser, sender.is_staff) == (False, way_in)


def test_administrator_is_not_made_when_the_manager_is_none(manager: User, sender: User) -> None:
    client = sign_in(manager)
    assert "dministrator" not in client.get(reverse("user", args=[sender.pk])).content.decode().partition("<main")[2]
    for user in (sender, manager):
        assert "Only an administrator makes somebody an administrator." in change(client, user, "promote")
        user.refresh_from_db()
        assert not user.is_superuser


def test_last_administrator_stays_one(admin: Client, staff: User, make_user: MakeUser) -> None:
    make_user("locked", is_superuser=True, is_active=False)  # it can't sign in, so it does not count
    assert "This is the last administrator." in change(admin, staff, "demote")
    staff.refresh_from_db()
    assert staff.is_superuser
    make_user("second", is_superuser=True)
    change(admin, staff, "demote")
    staff.refresh_from_db()
    assert not staff.is_superuser


@pytest.mark.parametrize("left_out", ["is_active", "is_superuser"])
def test_last_administrator_stays_one_in_the_admin(
    admin: Client, staff: User, make_user: MakeUser, left_out: str
) -> None:
    address = reverse("admin:auth_user_change", args=[staff.pk])
    form = {"username": staff.username, "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    form |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    del form[left_out]
    assert "This is the last administrator." in admin.post(address, form).content.decode()
    staff.refresh_from_db()
    assert staff.is_active and staff.is_superuser
    make_user("second", is_superuser=True, is_staff=True)
    assert admin.post(address, form).status_code == 302
    staff.refresh_from_db()
    assert not getattr(staff, left_out)


def test_last_administrator_is_not_deleted_in_the_admin(admin: Client, staff: User, make_user: MakeUser) -> None:
    selected = {"action": "delete_selected", "_selected_action": [staff.pk], "post": "yes"}
    lists = reverse("admin:auth_user_changelist")
    for address, form in ((reverse("admin:auth_user_delete", args=[staff.pk]), {"post": "yes"}), (lists, selected)):
        assert "This is the last administrator." in admin.post(address, form).content.decode()
        assert User.objects.filter(pk=staff.pk).exists()
    make_user("second", is_superuser=True)
    admin.post(lists, selected)
    assert not User.objects.filter(pk=staff.pk).exists()


def test_factors_are_removed_when_a_user_has_lost_them(admin: Client, sender: User) -> None:
    Authenticator.objects.create(user=sender, type=Authenticator.Type.TOTP, data={})
    assert factors.has_factor(sender)
    assert "1 factor of sender is removed." in change(admin, sender, "factors")
    assert not factors.has_factor(sender)
    assert "Nothing was removed." in change(admin, sender, "factors")
