"""Who is signed out in the middle loses nothing: batches/accounts/signed_out.py."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import URLPattern, reverse

from batches.accounts.kept_forms import FORMS, LONG_CHARS, LONG_FORMS, MAX_CHARS, cookie_name
from batches.models import Batch, BatchStatus, EmailTemplate
from batches.permissions import Permission
from batches.web import urls as web_urls
from tests.conftest import MakeBatch, permit
from tests.integration.accounts.conftest import PASSWORD

LETTER = {"name": "Autumn", "subject": "Come & see", "html": "<p>Dear {{ name }}</p>", "text": "Dear\n\n{{ name }}"}
NOTHING_DONE = "You were signed out; nothing was done."


@pytest.fixture
def template(db: None) -> EmailTemplate:
    return EmailTemplate.objects.create(key="hello", name="Hello", subject="Hello", text="Hello", is_default=True)


@pytest.fixture
def page(bob: User) -> Client:
    """A browser in which bob has signed in, whose session has then ended."""
    client = Client()
    sign_in(client)
    end_session(client)
    return client


def sign_in(client: Client, name: str = "bob", **fields: str) -> str:
    answer = client.post(
        "/accounts/login/", {"username": name, "password": PASSWORD, **fields}, follow=True, headers=DOCUMENT
    )
    return answer.content.decode()


def end_session(client: Client) -> None:
    client.session.delete()


DOCUMENT = {"Sec-Fetch-Dest": "document"}


def post(client: Client, address: str, fields: Mapping[str, object]) -> str:
    """Post a form, and return the page that asks for the sign-in."""
    return client.post(address, fields, follow=True, headers=DOCUMENT).content.decode()


def test_letter_is_in_its_form_again_when_the_same_user_signs_in(page: Client) -> None:
    asked = post(page, "/templates/new/?kind=html", LETTER)
    assert "what you typed comes back" in asked
    text = sign_in(page, next="/templates/new/?kind=html")
    assert "What you typed is back in its form." in text
    assert 'value="Autumn"' in text and 'value="Come &amp; see"' in text
    assert "&lt;p&gt;Dear {{ name }}&lt;/p&gt;</textarea>" in text and "Dear\n\n{{ name }}</textarea>" in text
    assert not EmailTemplate.objects.filter(name="Autumn").exists()
    assert "Autumn" not in page.get("/templates/new/").content.decode()


def test_letter_is_forgotten_when_another_user_signs_in(page: Client) -> None:
    User.objects.create_user("eve", password=PASSWORD)
    post(page, "/templates/new/", LETTER)
    text = sign_in(page, "eve", next="/templates/new/")
    assert "Autumn" not in text and "kept-form" not in text
    end_session(page)
    assert "Autumn" not in sign_in(page, next="/templates/new/")


def test_nothing_is_stored_when_nobody_has_used_the_browser(bob: User) -> None:
    stranger = Client()
    asked = post(stranger, "/templates/new/", LETTER)
    assert "Sign in again, and repeat it." in asked
    assert "kept_form" not in stranger.session
    assert "Autumn" not in sign_in(stranger, next="/templates/new/")


@pytest.mark.parametrize(("text", "limit"), [("Dear", FORMS.limit_count), ("x" * LONG_CHARS, LONG_FORMS.limit_count)])
def test_forms_are_kept_up_to_a_limit_when_a_browser_drops_its_session_each_time(
    text: str, limit: int, page: Client
) -> None:
    kept = []
    for _ in range(limit + 2):
        client = Client()
        client.cookies[cookie_name()] = page.cookies[cookie_name()].value
        asked = post(client, "/templates/new/", LETTER | {"html": text})
        kept.append("what you typed comes back" in asked)
        assert bool(client.session["kept_form"]["fields"]) == kept[-1]
    assert kept == [True] * limit + [False] * 2


def test_text_is_not_stored_when_it_is_too_long(page: Client) -> None:
    asked = post(page, "/templates/new/", LETTER | {"html": "x" * MAX_CHARS})
    assert "copy your text first" in asked
    assert page.session["kept_form"]["fields"] == {}


def test_secrets_are_not_stored_when_a_form_has_them(page: Client) -> None:
    post(page, "/templates/new/", LETTER | {"password1": "a long one 43", "client_secret": "xyz"})
    assert page.session["kept_form"]["fields"].keys() == LETTER.keys()


def test_the_admins_form_is_filled_when_the_session_ended_in_it(page: Client, bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_staff=True, is_superuser=True)
    address = reverse("admin:batches_topic_add")
    asked = page.post(address, {"name": "Concerts", "key": "concerts"}, headers=DOCUMENT)
    assert asked.status_code == 302
    assert 'value="Concerts"' in sign_in(page, next=address)


def test_a_button_says_that_nothing_was_done_when_the_user_is_back(
    page: Client, bob: User, make_batch: MakeBatch
) -> None:
    batch = make_batch(BatchStatus.PROCESSING, pending=2, owner=bob)
    address = reverse("batch-steer", args=[batch.pk, "pause"])
    assert "nothing was done" in post(page, address, {})
    text = sign_in(page, next=address)
    assert f"<h1>{batch.title}</h1>" in text or batch.title in text
    assert NOTHING_DONE in text and "Press the button again" in text
    assert Batch.objects.get().status == BatchStatus.PROCESSING
    assert NOTHING_DONE not in page.get(reverse("batch", args=[batch.pk])).content.decode()


def test_the_message_is_shown_again_when_the_review_was_posted(
    page: Client, bob: User, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    permit(bob, Permission.SEND_BATCH)
    batch = make_batch(BatchStatus.DRAFT, pending=1, owner=bob)
    address = reverse("review-send", args=[batch.pk])
    post(page, address, {"template": template.key, "subject": "Another subject", "scheduled_at": "2099-01-01T09:00"})
    text = sign_in(page, next=address)
    assert 'value="Another subject"' in text and 'value="2099-01-01T09:00"' in text
    assert "subject=Another+subject" in text  # the frame shows that message
    assert Batch.objects.get().status == BatchStatus.DRAFT


def test_the_file_must_be_chosen_again_when_an_upload_was_posted(page: Client, bob: User) -> None:
    permit(bob, Permission.SEND_BATCH)
    post(page, "/", {"subject": "Concert", "then": "send", "file": SimpleUploadedFile("list.csv", b"email\n")})
    text = sign_in(page, next="/")
    assert 'value="Concert"' in text and "Choose the file again." in text


def test_text_is_shown_when_its_form_is_gone(page: Client, bob: User, make_batch: MakeBatch) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=1, owner=bob)
    address = reverse("review-add", args=[batch.pk])
    post(page, address, {"rows": "eva@example.com"})
    text = sign_in(page, next=address)
    assert "The form is not on this page any more." in text and "<pre>eva@example.com</pre>" in text


def test_script_and_frame_are_told_when_the_session_has_ended(page: Client) -> None:
    answer = page.post("/templates/notes/", LETTER, headers={"Sec-Fetch-Dest": "empty"})
    assert (answer.status_code, answer.json()["detail"]) == (
        401,
        "You were signed out, and nothing was done. Sign in again.",
    )
    frame = page.post("/templates/preview/", LETTER, headers={"Sec-Fetch-Dest": "iframe"})
    assert frame.status_code == 401 and "Sign in again in a new tab" in frame.content.decode()
    assert "kept_form" not in page.session


def test_form_comes_back_when_the_user_signed_in_again_in_another_tab(bob: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(bob)
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document"}
    answer = client.post("/templates/new/", LETTER | {"csrfmiddlewaretoken": "x" * 64}, headers=own, follow=True)
    text = answer.content.decode()
    assert "You have signed in again since this page was opened" in text and 'value="Autumn"' in text


def test_form_is_refused_when_another_site_posts_it(bob: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(bob)
    answer = client.post("/templates/new/", LETTER, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert "Autumn" not in client.get("/templates/new/", headers=DOCUMENT).content.decode()


def test_session_is_told_to_scripts_when_they_ask(page: Client) -> None:
    assert page.get("/accounts/session/").status_code == 401
    sign_in(page)
    answer = page.get("/accounts/session/").json()
    assert answer["user"] == "bob" and answer["token"]


ARGUMENTS = {"action": "pause", "key": "welcome_email"}


@pytest.mark.parametrize("pattern", [each for each in web_urls.urlpatterns if each.name != "unsubscribe"])
def test_page_is_shown_when_the_address_of_a_form_is_opened(pattern: URLPattern, bob: User) -> None:
    """Somebody comes there with a GET after the sign-in."""
    User.objects.filter(pk=bob.pk).update(is_superuser=True)
    client = Client()
    client.force_login(bob)
    arguments = {name: ARGUMENTS.get(name, 1) for name in pattern.pattern.converters}
    assert client.get(reverse(pattern.name or "", kwargs=arguments)).status_code in (200, 302, 404)
