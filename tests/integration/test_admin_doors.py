"""The admin is one of several doors: what a page or the API refuses, the admin refuses too."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Permission, User
from django.test import Client

from batches.jobs import creation
from batches.models import Approval, Batch, EmailJob, EmailStatus, EmailTemplate, JobKind
from batches.permissions import Permission as Rights
from tests.conftest import MakeUser, permit
from tests.integration.test_admin import act, admin, finish, make_batch, members, send_to_users

__all__ = ["admin", "members"]  # fixtures


def test_staff_see_the_batches_of_others_only_with_the_permission_for_that(
    client: Client, sender: User, welcome: EmailTemplate, make_user: MakeUser
) -> None:
    clerk = make_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_batch", "view_email", "view_emailjob"]))
    own, of_another = make_batch(clerk, 1), make_batch(sender, 1)
    for batch in (own, of_another):
        creation.create_job(batch, template=welcome, user=None)
    rows = {"batch": of_another.pk, "email": of_another.emails.get().pk, "emailjob": of_another.jobs.get().pk}
    client.force_login(clerk)
    for model, pk in rows.items():
        page = client.get(f"/admin/batches/{model}/").content.decode()
        assert "1 " in page and f"/{pk}/change/" not in page
        assert client.get(f"/admin/batches/{model}/{pk}/change/").status_code == 302, "there is no such row"
    assert "p1@example.org" in client.get("/admin/batches/email/").content.decode()
    assert "You may not steer" not in act(client, "pause", of_another)
    permit(clerk, Rights.VIEW_ALL_BATCHES)
    for model, pk in rows.items():
        assert client.get(f"/admin/batches/{model}/{pk}/change/").status_code == 200


def test_replay_asks_for_a_proof_as_the_pages_do(
    admin: Client, staff: User, welcome: EmailTemplate, settings: LazySettings
) -> None:
    settings.REAUTHENTICATE_ABOVE = 2
    small, large = make_batch(staff, 2), make_batch(staff, 3)
    for batch in (small, large):
        creation.create_job(batch, template=welcome, user=staff)
        finish(batch, EmailStatus.FAILED)
    page = act(admin, "replay_failed", small, large)
    assert "1 batch queued again." in page and "needs a new proof that it is you" in page
    assert EmailJob.objects.filter(kind=JobKind.FAILED).get().batch == small


@pytest.mark.django_db(transaction=True)
def test_batch_that_needed_an_approval_is_deleted_with_it(
    admin: Client, staff: User, welcome: EmailTemplate, settings: LazySettings
) -> None:
    settings.APPROVAL_ABOVE = 1
    batch = make_batch(staff, 2)
    with pytest.raises(creation.ApprovalAsked):
        creation.create_job(batch, template=welcome, user=staff)
    assert admin.post(f"/admin/batches/batch/{batch.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Batch.objects.exists() and not Approval.objects.exists()


def test_no_batch_stays_when_a_send_to_users_is_refused(
    client: Client, members: list[User], make_user: MakeUser, settings: LazySettings
) -> None:
    settings.SEND_LARGE_ABOVE = 1
    keeper = permit(make_user("keeper", "Senders", is_staff=True), Rights.SEND_TO_GROUP)
    keeper.user_permissions.add(Permission.objects.get(codename="view_user"))
    client.force_login(keeper)
    page = send_to_users(client, _selected_action=[user.pk for user in members[:2]])
    assert "needs a permission" in page
    assert not Batch.objects.exists()


def test_approval_is_asked_for_when_many_users_are_sent_to(
    admin: Client, members: list[User], settings: LazySettings
) -> None:
    settings.APPROVAL_ABOVE = 1
    page = send_to_users(admin, _selected_action=[user.pk for user in members[:2]])
    assert "need the approval of a second person" in page and "emails are queued" not in page
    assert Approval.objects.get().batch == Batch.objects.get()


def test_staff_set_no_password_of_somebody_who_may_do_more(
    client: Client, members: list[User], make_user: MakeUser
) -> None:
    keeper = make_user("keeper", "Senders", is_staff=True)
    keeper.user_permissions.set(Permission.objects.filter(content_type__app_label="auth"))
    client.force_login(keeper)
    passwords = {"password1": "a long one 42", "password2": "a long one 42", "usable_password": "true"}
    expected = {make_user("approver", "Approvers"): 403, make_user("other", "Senders"): 302}
    for user, status in expected.items():
        assert client.post(f"/admin/auth/user/{user.pk}/password/", passwords).status_code == status
        assert User.objects.get(pk=user.pk).has_usable_password() == (status == 302)
    assert client.get("/admin/auth/user/999999/password/").status_code == 404
