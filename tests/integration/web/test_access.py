"""Who may sign in, and whose batches a user sees."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.test import Client, RequestFactory
from django.urls import reverse
from django.views.defaults import permission_denied

from batches.models import BatchStatus, EmailTemplate
from batches.permissions import Permission
from tests.conftest import MakeBatch, MakeUser, permit

PAGES = ("home", "batches", "templates", "template-new", "template-preview", "password")


@pytest.mark.parametrize("name", PAGES)
def test_anonymous_visitor_is_redirected_to_the_login(name: str, client: Client, db: None) -> None:
    answer = client.get(reverse(name))
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/accounts/login/?next=")


@pytest.mark.parametrize("name", PAGES)
def test_page_opens_when_signed_in(name: str, page: Client) -> None:
    assert page.get(reverse(name)).status_code == 200


@pytest.mark.parametrize("name", ["batch", "review"])
def test_batch_of_another_user_is_not_found(name: str, page: Client, make_batch: MakeBatch, staff: User) -> None:
    batch = make_batch(owner=staff, pending=1)
    answer = page.get(reverse(name, args=[batch.pk]))
    assert answer.status_code == 404
    assert "list.csv" not in answer.content.decode()


@pytest.mark.parametrize("action", ["pause", "resume", "cancel", "replay-failed", "replay-unknown"])
def test_batch_of_another_user_is_not_steered(action: str, page: Client, make_batch: MakeBatch, staff: User) -> None:
    batch = make_batch(BatchStatus.PROCESSING, owner=staff, pending=1)
    assert page.post(reverse("batch-steer", args=[batch.pk, action])).status_code == 404
    batch.refresh_from_db()
    assert batch.status == BatchStatus.PROCESSING


def test_superusers_see_the_batches_of_all_users(client: Client, make_batch: MakeBatch, staff: User) -> None:
    batch = make_batch(pending=1)
    client.force_login(staff)
    assert client.get(reverse("batch", args=[batch.pk])).status_code == 200
    assert "list.csv" in client.get(reverse("batches")).content.decode()


def test_list_shows_only_the_batches_of_the_user(page: Client, make_batch: MakeBatch, staff: User) -> None:
    make_batch(owner=staff, pending=1)
    assert "list.csv" not in page.get(reverse("batches")).content.decode()


def test_login_redirects_to_the_requested_page(client: Client, sender: User) -> None:
    sender.set_password("a long one 42")
    sender.save()
    answer = client.post("/accounts/login/", {"username": "sender", "password": "a long one 42", "next": "/templates/"})
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/templates/"


def test_wrong_password_is_named_and_the_username_is_kept(client: Client, sender: User) -> None:
    text = client.post("/accounts/login/", {"username": "sender", "password": "wrong"}).content.decode()
    assert "Please enter a correct username and password." in text
    assert 'value="sender"' in text


def test_correct_password_is_accepted_when_some_were_wrong(client: Client, sender: User) -> None:
    sender.set_password("a long one 42")
    sender.save()
    for _ in range(3):
        client.post("/accounts/login/", {"username": "sender", "password": "wrong"}, REMOTE_ADDR=f"x{sender.pk}")
    form = {"username": "sender", "password": "a long one 42"}
    assert client.post("/accounts/login/", form, REMOTE_ADDR=f"x{sender.pk}").status_code == 302


def test_login_works_when_redis_cannot_be_reached(
    client: Client, sender: User, settings: LazySettings, tmp_path: Path
) -> None:
    sender.set_password("a long one 42")
    sender.save()
    settings.REDIS_URL = f"unix://{tmp_path}/nobody"
    form = {"username": "sender", "password": "wrong"}
    assert client.post("/accounts/login/", form).status_code == 200
    assert client.post("/accounts/login/", form | {"password": "a long one 42"}).status_code == 302


def test_logout_ends_the_session_and_needs_a_post(page: Client) -> None:
    assert page.get("/accounts/logout/").status_code == 405
    page.post("/accounts/logout/")
    assert page.get("/").status_code == 302


def test_page_says_so_when_a_person_opens_the_address_of_a_button(page: Client) -> None:
    shown = page.get("/accounts/logout/", headers={"Accept": "text/html"})
    assert shown.status_code == 405 and "POST" in shown["Allow"]
    assert "belongs to a button" in shown.content.decode() and "Sign out" in shown.content.decode()
    assert page.get("/accounts/logout/").content == b"", "a program gets no page"


def test_menu_stays_when_a_value_is_refused(page: Client) -> None:
    shown = page.get("/templates/new/?copy=%00")
    assert shown.status_code == 400 and "Sign out" in shown.content.decode()


def test_password_is_changed(page: Client, sender: User) -> None:
    sender.set_password("the old one 42")
    sender.save()
    page.force_login(sender)
    new = "the new one 43"
    page.post("/accounts/password/", {"old_password": "the old one 42", "new_password1": new, "new_password2": new})
    sender.refresh_from_db()
    assert sender.check_password(new)


def test_post_without_a_token_is_refused(sender: User, make_batch: MakeBatch) -> None:
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(sender)
    batch = make_batch(BatchStatus.PROCESSING, pending=1)
    answer = careful.post(reverse("batch-steer", args=[batch.pk, "cancel"]))
    assert answer.status_code == 403
    assert (
        "Nothing was changed, because you have signed in or out since this page was opened" in answer.content.decode()
    )
    batch.refresh_from_db()
    assert batch.status == BatchStatus.PROCESSING


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [("Only staff may see this.", "Only staff may see this."), ("", "Your account may not open this page")],
)
def test_forbidden_page_shows_the_reason(reason: str, sentence: str, rf: RequestFactory) -> None:
    request = rf.get("/")
    request.user = AnonymousUser()
    answer = permission_denied(request, PermissionDenied(reason))
    assert answer.status_code == 403
    assert sentence in answer.content.decode()


@pytest.mark.parametrize("path", ["/", "/batches/", "/templates/", "/accounts/login/", "/nothing-here/"])
def test_pages_allow_no_inline_script(path: str, page: Client) -> None:
    answer = page.get(path)
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    text = answer.content.decode()
    assert " style=" not in text
    assert " onclick=" not in text
    assert "<script>" not in text


def test_admin_has_the_policy_of_every_page(client: Client, staff: User) -> None:
    client.force_login(staff)
    assert (
        client.get("/admin/").headers["Content-Security-Policy"] == client.get("/").headers["Content-Security-Policy"]
    )


def test_reader_sees_a_sentence_in_place_of_the_forms(
    client: Client, make_user: MakeUser, make_batch: MakeBatch
) -> None:
    client.force_login(make_user("reader"))
    text = client.get("/").content.decode()
    assert "You may not send email. Ask an administrator to add you to the group Senders." in text
    assert 'type="file"' not in text and "home.js" not in text
    assert "New batch" not in client.get("/batches/").content.decode()


def test_viewer_of_a_batch_sees_no_button_and_is_told_why(
    client: Client, make_user: MakeUser, make_batch: MakeBatch, welcome: EmailTemplate
) -> None:
    client.force_login(permit(make_user("viewer", "Senders"), Permission.VIEW_ALL_BATCHES))
    running, draft = make_batch(BatchStatus.PROCESSING, pending=1), make_batch(pending=1)
    sentence = "You may not steer the batches of others."
    text = client.get(reverse("batch", args=[running.pk])).content.decode()
    assert sentence in text and f"/batches/{running.pk}/pause/" not in text and "sender" in text
    text = client.get(reverse("review", args=[draft.pk])).content.decode()
    assert sentence in text and 'id="send"' not in text
    forms = re.findall(rf'action="/batches/{draft.pk}/review/(\w+)/"', text)
    assert set(forms) <= {"choose", "fields", "send"}, "the list can be looked at, and the message of each row"
    assert "Save the names" not in text and "Discard" not in text and "Send a test" not in text


def test_owner_who_may_no_longer_send_stops_a_batch_and_starts_none(
    client: Client, make_user: MakeUser, make_batch: MakeBatch, welcome: EmailTemplate
) -> None:
    former = make_user("former")
    batch = make_batch(BatchStatus.PROCESSING, owner=former, pending=1)
    client.force_login(former)
    text = client.get(reverse("batch", args=[batch.pk])).content.decode()
    assert f"/batches/{batch.pk}/pause/" in text and f"/batches/{batch.pk}/resume/" not in text
    assert "You may not send email." in text
